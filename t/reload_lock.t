# nginx finds its own lock on the store again at a reload and a binary upgrade,
# whatever descriptors were free at that time.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 1);
my $up = $t->upstream('app');

my $globals = "%%GLOBALS%%\nevents { worker_connections 512; }\n";
my $http = <<'EOC';
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location ~ ^/book/(?<token>[^/]+)$ {
            doi_link $token scope=s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

# The http block this deep in files that include one another: all of them are
# open when the lock is taken.

sub conf {
    my ($depth) = @_;

    my $text = $http;

    for my $i (1 .. $depth) {
        $t->write_file("part$i.conf", $t->expand($text));
        $text = "include %%DIR%%/part$i.conf;\n";
    }

    $t->conf($globals . $text);
}

sub lock_fd {
    my $pid = $t->pid;

    return join ' ', map { m{(\d+)$} }
           grep { (readlink($_) // '') =~ /instance\.lock/ }
           glob "/proc/$pid/fd/*";
}

sub books {
    my ($name) = @_;

    my $link = '/book/' . $t->mint(scope => 's');
    is_deeply([ map { $t->post($link, body => 'a=b')->status } 1, 2 ],
              [ 200, 410 ], "$name: books once");
}

conf(8);
$t->start;
books('start');

my $fd = lock_fd();
like($fd, qr/^\d+$/, 'the master has the lock');

conf(0);

for my $i (1 .. 3) {
    my @old = $t->reload(30);
    ok(scalar(@old), "reload $i");
    $t->wait_gone(30, @old);
    is(lock_fd(), $fd, "reload $i: the lock stays");
}

books('reload');

ok(eval { $t->upgrade(30); 1 }, 'binary upgrade');
like(lock_fd(), qr/^\d+$/, 'the new master has the lock');
books('upgrade');

my @old = $t->reload(30);
ok(scalar(@old), 'reload of the new binary');
books('reload of the new binary');

# Somebody else still cannot have it.

my $two = Doi->new(workers => 1);
my $dir = $t->dir;
my $key = $t->key;

$two->conf(<<"EOC");
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store $dir/store;
    doi_key 1 file:$key;
    server { listen 127.0.0.1:%%PORT:http%%; }
}
EOC

my ($status, $out) = $two->try_start;
isnt($status, 0, 'a second nginx does not start');
like($out, qr/in use by another nginx/, 'and says why');
$two->expect_log(qr/in use by another nginx/);

done_testing();
