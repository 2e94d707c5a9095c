# One nginx per store: a second one with the same path does not start, says
# why, and the first goes on unharmed.  The first finds its own lock again at a
# reload and a binary upgrade; a power cut leaves none behind.

use lib 't/lib';
use Doi;

my $one = Doi->new(workers => 2);
my $two = Doi->new(workers => 2);
my $store = $one->dir . '/store';
my $up = $one->upstream('app');

sub conf {
    my ($t, $path) = @_;

    my $key = $one->key;
    my $app = $one->port('app');

    return $t->conf(<<"EOC");
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store $path size=16m;
    doi_key 1 file:$key;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /book/ {
            doi_link \$arg_t scope=s;
            proxy_pass http://127.0.0.1:$app;
        }
    }
}
EOC
}

sub token { $one->mint(scope => 's') }

# Books once, and not twice.

sub books {
    my ($t, $name) = @_;

    my $token = token();

    is_deeply([ map { $t->post("/book/?t=$token", body => 'x')->status }
                1 .. 2 ], [ 200, 410 ], "$name: books once");
}

sub refused {
    my ($t, $name, $path) = @_;

    my ($status, $out) = conf($t, $path)->try_start;

    isnt($status, 0, "$name: does not start");
    like($out, qr/\[emerg\].*"\Q$path\E".*"doi_store".*in use by another nginx/,
         "$name: says why");
    like($out, qr/stop that one, or give each its own path/,
         "$name: says what to do");
    is($t->pid, undef, "$name: is not there");
}

$two->expect_log(qr/in use by another nginx/);

conf($one, $store)->start;
books($one, 'the first');

my $used = token();
$one->post("/book/?t=$used", body => 'x');

refused($two, 'a second one', $store);
symlink $store, $one->dir . '/link';
refused($two, 'by another name', $one->dir . '/link');

my ($status, $out) = $two->test_config;
is($status, 0, 'nginx -t of the second: no') or diag($out);

books($one, 'the first, after that');

conf($two, $two->dir . '/store')->start;
books($two, 'the second with a store of its own');

# A reload to a path that is taken: it goes on as it was.

my @workers = $two->workers;
conf($two, $store);
kill 'HUP', $two->pid;
ok(poll_until(30, sub { $two->grep_log(qr/emerg.*in use by another/) == 3 }),
   'a reload to a path that is taken is refused');
is_deeply([ $two->workers ], \@workers, 'the workers stay');
books($two, 'the second, after that');
ok($two->stop, 'the second stops');

# The first finds its own lock.

for my $i (1 .. 3) {
    ok(scalar $one->reload, "reload $i");
}
books($one, 'reloaded');
refused($two, 'a second one after reloads', $store);

my $old = $one->pid;
$one->upgrade;
isnt($one->pid, $old, 'binary upgrade');
books($one, 'upgraded');
ok(scalar $one->reload, 'reload after the upgrade');
refused($two, 'a second one after the upgrade', $store);

$one->kill_worker;
books($one, 'with a worker killed');
refused($two, 'a second one after that', $store);

is($one->post("/book/?t=$used", body => 'x')->status, 410,
   'what was used stays used');

# After its end, another one may have it.

ok($one->stop, 'the first stops');
conf($two, $store)->start;
is($two->post("/book/?t=$used", body => 'x')->status, 410,
   'the second knows what was used at the first');
books($two, 'the second');

$one->expect_log(qr/in use by another nginx/);
refused($one, 'now the first', $store);

# A power cut

ok($two->kill_all, 'kill -9 of master and workers');
conf($one, $store)->start;
is($one->post("/book/?t=$used", body => 'x')->status, 410,
   'after it, too');
books($one, 'after a power cut');
ok($one->stop, 'stops');

# The lock is found again whatever number its descriptor has: here it comes
# late, with a reload, among others that are closed later.

{
    my $three = Doi->new(workers => 1);
    my $path = $three->dir . '/store';

    my $prepare = sub {
        my ($store, $logs) = @_;

        my $text = slurp(conf($three, $path)->{dir} . '/nginx.conf');
        my $more = join '', map { "access_log $three->{dir}/$_.log;\n" }
                   1 .. $logs;

        $text =~ s/doi_store.*\n/$more/ if !$store;
        $text =~ s/doi_link.*\n// if !$store;
        $text =~ s/(doi_store.*\n)/$1$more/ if $store;
        $three->write_file('nginx.conf', $text);
    };

    $prepare->(0, 20);
    $three->start;

    $prepare->(1, 20);
    ok(scalar $three->reload, 'doi_store comes with a reload');

    $prepare->(1, 0);

    for my $i (1 .. 3) {
        ok(scalar $three->reload(30), "and is there at reload $i after it")
            or last;
    }

    books($three, 'the third');
    refused($two, 'a second one beside it', $path);
}

done_testing();
