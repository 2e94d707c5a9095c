# A graceful end waits for bookings under way: their visitors get the answer,
# and the links are used, also when the visitor has left.

use lib 't/lib';
use Doi;

use Time::HiRes qw(time);

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 4096; }
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
        location /api/ { doi_api read; }
    }
}
EOC

$t->start;

my @links = map { '/book/' . $t->mint(scope => 's') } 1 .. 24;

sub states {
    my %n;

    for (@links) {
        my $r = $t->get('/api/links/' . token_fields(substr $_, 6)->{id});
        $n{$r->status == 404 ? 'fresh' : $r->json->{state}}++;
    }

    return \%n;
}

# 10 are answered, 6 have left, 8 are refused by the app

my @modes = (('slow ms=1500') x 10, ('late ms=1500') x 6,
             ('422') x 4, ('late ms=700') x 4);

my @s = map { $t->open_raw($t->bytes('POST', $links[$_], body => 'a=b',
                               headers => { 'X-Mode' => $modes[$_] })) }
        0 .. $#links;

ok(poll_until(30, sub { $up->posts == @links }), 'bookings are under way');

close $_ for @s[10 .. 15];

my $started = time();
my @pids = ($t->pid, $t->workers);
kill 'QUIT', $t->pid;

my %n;
for my $i (0 .. 9, 16 .. 23) {
    my $r = Doi::HTTP::exchange($s[$i], undef, timeout => 30);
    $n{$modes[$i] . ' ' . $r->status}++;
    close $s[$i];
}

is_deeply(\%n, { 'slow ms=1500 200' => 10, '422 422' => 4,
                 'late ms=700 200' => 4 }, 'all visitors have their answer')
    or diag explain \%n;

ok($t->wait_gone(30, @pids), 'and all processes go');
cmp_ok(time() - $started, '<', 20, 'soon');
is(scalar($up->aborts), 0, 'the app was not cut off');

$t->start;

is_deeply(states(), { used => 20, fresh => 4 },
          'booked links are used, refused ones free');
is_deeply([ map { $_->status } $t->many(scalar(@links),
                  sub { [ POST => $links[$_[0]], body => 'a=b' ] }) ],
          [ (410) x 16, (200) x 4, (410) x 4 ], 'and so it is for visitors');

# With nothing to wait for it goes at once, also with idle connections.

my $s = $t->open_raw($t->bytes('GET', $links[0], keepalive => 1));
is(Doi::HTTP::exchange($s, undef)->status, 410, 'a connection that is kept');

$started = time();
ok($t->quit(30), 'quit');
cmp_ok(time() - $started, '<', 20, 'at once');

# A fast end (TERM) cuts visitors off: in doubt by the claim's deadline, or
# settled, but never free.

$t->start;
$up->forget;

my $link = '/book/' . $t->mint(scope => 's');
$s = $t->open_raw($t->bytes('POST', $link, body => 'a=b',
                            headers => { 'X-Mode' => 'slow until=never' }));
ok(poll_until(30, sub { $up->bookings == 1 }), 'one more is under way');
ok($t->stop(30), 'TERM');
$t->start;
is($t->get($link)->status, 409, 'not free');
is($t->post($link)->status, 409, 'nor to be booked');
is(scalar($up->posts), 1, 'one request to the app');

done_testing();
