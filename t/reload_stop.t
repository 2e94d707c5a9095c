# A worker that is told to end at once while claims wait for their commit: what
# it wins then goes to nobody, and is given back.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location ~ ^/book/(?<token>[^/]+)$ {
            doi_link $token;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

$t->start;

is($t->post('/book/' . $t->mint, body => 'a')->status, 200, 'it works');

my $inode = (stat $t->dir . '/store/leader.lock')[1];
my ($leader) = slurp('/proc/locks')
               =~ /FLOCK\s+ADVISORY\s+WRITE\s+(\d+)\s+\S+:$inode\s/;
my ($other) = grep { $_ != $leader } $t->workers;
ok($leader && $other, 'one worker leads, the other does not');

$up->forget;
kill 'STOP', $leader;

# Each connection may wake either worker; those of the stopped one just wait.

my @links = map { '/book/' . $t->mint } 1 .. 8;
my @s = map { $t->open_raw($t->bytes('POST', $_, body => 'a')) } @links;

# The worker has sent its claims once it sleeps, and goes on sleeping.

my $asleep = 0;
poll_until(30, sub {
    my ($state) = slurp("/proc/$other/stat") =~ /^\d+ \(.*\) (\S)/;
    $asleep = ($state // '') eq 'S' ? $asleep + 1 : 0;
    return $asleep > 10;
});

kill 'TERM', $other;
select undef, undef, undef, 0.3;
kill 'CONT', $leader;

ok($t->wait_gone(30, $other), 'the worker has ended');
close $_ for @s;

ok(poll_until(30, sub { $t->workers == 2 }), 'it is replaced');

# Whatever came of each: no booking without its link used, no link lost.

my $lost = 0;

for my $link (@links) {
    my $status = 0;
    poll_until(30, sub {
        ($status = $t->post($link, body => 'a')->status) != 409;
    });
    $lost++ if $status != 200 && $status != 410;
}

is($lost, 0, 'every link is free or used, none is in doubt');
is(scalar($up->bookings), 8, 'and was booked once');

done_testing();
