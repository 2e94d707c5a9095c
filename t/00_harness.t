# The harness itself, with a plain nginx before each mode of the upstream.

use lib 't/lib';
use Doi;

use Socket qw(SHUT_WR);
use Time::HiRes qw(time);

my $t = Doi->new(module => 0, workers => 2, faketime => $ENV{DOI_ASAN} ? 0 : 1);
my $up = $t->upstream('app');

my $conf = <<'EOC';
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    upstream app {
        server 127.0.0.1:%%PORT:app%%;
        keepalive 4;
    }
    server {
        listen 127.0.0.1:%%PORT:http%% backlog=4096;
        location / {
            proxy_pass http://127.0.0.1:%%PORT:app%%;
            proxy_next_upstream off;
        }
        location /brief {
            proxy_pass http://127.0.0.1:%%PORT:app%%;
            proxy_read_timeout 3s;
            proxy_next_upstream off;
        }
        location /bulk {
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /keep/ {
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_next_upstream off;
        }
        location = /static { return 200 "static\n"; }
        location = /time { return 200 "$msec\n"; }
        location = /echo {
            add_header X-Cookie $http_cookie;
            add_header Set-Cookie "a=b; Path=/";
            return 200 "$request_method $content_type\n";
        }
    }
}
EOC

$t->conf($conf);

my ($status, $out) = $t->test_config;
is($status, 0, 'nginx -t') or diag($out);

($status, $out) = $t->test_config("%%GLOBALS%%\nnonsense on;\nevents {}\n");
isnt($status, 0, 'nginx -t of nonsense');
like($out, qr/unknown directive "nonsense"/, 'and what it says');

$t->start;

# Client

my $r = $t->get('/static');
is($r->status, 200, 'status');
is($r->body, "static\n", 'body');
is($r->header('Content-Length'), 7, 'header');

$r = $t->head('/static');
is($r->status . $r->body, '200', 'HEAD has no body');

$r = $t->post('/echo', form => { a => 'b c' }, cookie => 'x=y');
is($r->body, "POST application/x-www-form-urlencoded\n", 'form');
is($r->header('x-cookie'), 'x=y', 'cookie sent');
is($r->cookie('a'), 'b', 'cookie got');

is($t->http_raw("nonsense\r\n\r\n")->status, 400, 'raw bytes');
is($t->get('/static', port => 1)->status, 0, 'nothing listens');

# The upstream's modes

sub booked {
    my ($n, $what) = @_;

    is(scalar($up->bookings), $n, "$what: bookings $n");
    $up->forget;
}

$r = $t->get('/page');
is($r->status, 200, 'GET');
is($r->header('X-Booking-Id'), undef, 'does not book');
is(scalar($up->requests), 1, 'was logged');
booked(0, 'GET');

$r = $t->post('/x?a=1', form => [ name => 'Ada', mail => 'a@b.c' ],
              headers => { 'Idempotency-Key' => 'k1' });
is($r->status, 200, 'ok');
like($r->header('X-Booking-Id'), qr/^\d+$/, 'X-Booking-Id');
my ($req) = $up->requests;
is($req->{uri}, '/x?a=1', 'URI');
is($req->{body}, 'name=Ada&mail=a%40b.c', 'body');
is($req->{headers}{'idempotency-key'}, 'k1', 'header');
my ($booking) = $up->bookings;
is($booking->{key}, 'k1', 'key of the booking');
booked(1, 'ok');

$r = $t->post('/x', chunked => [ 'abc', 'defg' ]);
is(($up->requests)[0]{body}, 'abcdefg', 'chunked body');
booked(1, 'chunked');

my @modes = (
    # mode            status  bookings
    [ '303',             303, 1 ],
    [ '400',             400, 0 ],
    [ '404',             404, 0 ],
    [ '409',             409, 0 ],
    [ '422',             422, 0 ],
    [ '500',             500, 0 ],
    [ '500-booked',      500, 1 ],
    [ 'form-error',      200, 0 ],
    [ 'hang',            504, 0 ],
    [ 'hang-booked',     504, 1 ],
    [ 'slow ms=300',     200, 1 ],
    [ 'late ms=300',     200, 1 ],
    [ 'drip ms=10',      200, 1 ],
    [ 'half',            200, 1 ],
    [ 'truncated',       200, 1 ],
    [ 'reset',           502, 0 ],
    [ 'reset-read',      502, 0 ],
    [ 'reset-booked',    502, 1 ],
    [ 'close',           502, 0 ],
    [ 'close-booked',    502, 1 ],
    [ 'garbage',           0, 1 ],    # passed on, as HTTP/0.9
);

my %res;

for (@modes) {
    my ($mode, $want, $bookings) = @$_;

    my $uri = $mode =~ /^(?:hang|half)/ ? '/brief' : '/';

    $r = $res{$mode} = $t->post($uri, body => 'a=b',
                                headers => { 'X-Mode' => $mode });

    is($r->status, $want, "$mode: status $want");
    booked($bookings, $mode);
}

like($res{303}->header('Location'), qr{done/\d+$}, 'Location');
is($res{'drip ms=10'}->body, "drip drip drip drip\n", 'dripped body');
ok($res{'drip ms=10'}->time > 0.15, 'slowly');
ok($res{'slow ms=300'}->time > 0.29, 'slow');
ok($res{half}->truncated, 'half');
ok($res{truncated}->truncated, 'truncated');
is(length $res{truncated}->body, 100, 'at 100 bytes');

is($t->post('/?mode=422', body => 'x')->status, 422, 'mode in the query');
is($t->post('/mode/slow/ms=10/x', body => 'x')->status, 200, 'in the path');

$up->mode('409');
is($t->post('/', body => 'x')->status, 409, 'mode set for all');
is($t->get('/')->status, 200, 'which GET does not follow');
$up->mode('ok', idempotent => 1);
$up->forget;
is($t->post('/', headers => { 'Idempotency-Key' => 'again' })
     ->header('X-Booking-Id'),
   $t->post('/', headers => { 'Idempotency-Key' => 'again' })
     ->header('X-Booking-Id'), 'idempotent: the same booking');
booked(1, 'idempotent');
$up->mode('ok');

$up->stop;
is($t->post('/', body => 'x')->status, 502, 'refused');
$up->start;
is($t->post('/', body => 'x')->status, 200, 'and back');
$up->forget;

# Keepalive to the upstream

$t->get('/keep/1') for 1 .. 6;
my %conns = map { $_->{conn} => 1 } $up->requests;
ok(keys %conns <= 2, 'connections are kept');

is($t->post('/keep/', headers => { 'X-Mode' => 'stale' })->status, 200,
   'stale: the first');

# Either worker may get the next ones; only one of them has that connection.
ok(poll_until(30, sub { $t->post('/keep/')->status == 502 }),
   'stale: the next on it is cut');
$up->forget;

# A client that goes away

my $s = $t->open_raw($t->bytes('POST', '/?mode=hang', body => 'x'));
ok(poll_until(30, sub { $up->requests == 1 }), 'the upstream has the request');
close $s;
ok(poll_until(30, sub { $up->aborts == 1 }), 'the hang-up gets through');
$up->forget;

# Many at once

my $n = 2000;
my @many = $t->many($n, sub { [ POST => "/bulk?i=$_[0]", body => 'a=b' ] });
is_deeply($t->statuses(@many), { 200 => $n }, "$n at the same time");
is(scalar($up->posts), $n, 'all of them came');
is(scalar($up->bookings), $n, 'and booked');
$up->forget;

is_deeply([ parallel(4, sub { $t->get('/static')->status + $_[0] }) ],
          [ 200, 201, 202, 203 ], 'parallel');

# Reload, upgrade, kill

is(scalar($t->workers), 2, 'two workers');
my @old = $t->reload;
is(scalar(@old), 2, 'reload');
ok($t->wait_gone(30, @old), 'old workers go');

my ($old, $new) = $t->upgrade;
isnt($old, $new, 'upgrade: another master');
is($t->pid, $new, 'upgrade: pid file');
is($t->get('/static')->status, 200, 'upgrade: answers');

my $killed = $t->kill_worker;
ok(!grep({ $_ == $killed } $t->workers), 'the killed worker was replaced');
is($t->get('/static')->status, 200, 'and it answers');
ok($t->grep_log(qr/exited on signal 9/), 'error log');

# The clock

SKIP: {
    skip 'no faketime under ASan', 3 if $ENV{DOI_ASAN};

    my $now = $t->get('/time')->body;
    ok(abs($now - time()) < 5, 'the true time');
    $t->faketime(86400);
    poll_until(30, sub { $t->get('/time')->body > $now + 86000 });
    ok($t->get('/time')->body > $now + 86000, 'tomorrow');
    $t->faketime(-86400);
    ok(poll_until(30, sub { $t->get('/time')->body < $now - 86000 }),
       'yesterday');
    $t->faketime(0);
}

# Tokens: RFC 5869's HKDF is not that of a test vector with an empty salt and
# 32 bytes, but case 3 begins with our 32 bytes (info is empty there).

use Digest::SHA qw(hmac_sha256);

my $prk = hmac_sha256("\x0b" x 22, "\0" x 32);
is(unpack('H*', hmac_sha256("\x01", $prk)),
   '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d',
   'HKDF as in RFC 5869, A.3');

my $token = $t->mint(scope => 's', minted => 1000, expires => 2000,
                     random => 'abcdefgh', key_id => 7);
is(length $token, 46, 'token');
my $f = token_fields($token);
is_deeply([ @$f{qw(version purpose key_id expires minted)} ],
          [ 1, 1, 7, 2000, 1000 ], 'fields');
is(sprintf('%o', (stat $t->key)[2] & 07777), '600', 'key file');

# Leaks, alerts

$t->get("/none/$token");
ok(poll_until(30, sub { $t->leaks(file => 'access.log') }), 'leaks sees a token');
ok(!$t->leaks, 'which is not in the error log');

done_testing();
