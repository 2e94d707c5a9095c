# What becomes of a booking by what the app says to the replay, and what the
# visitor is told.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

my $conf = <<'EOC';
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_mail maildir:%%DIR%%/mail from=bookings@example.org;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /c/$doi_token;
    doi_owner name=Grace email=grace@example.org;
    doi_limit recipient off;
    doi_limit address off;
    doi_limit network off;
    proxy_pass_header Date;
    proxy_pass_header Server;
    upstream two {
        server 127.0.0.1:%%PORT:gone%%;
        server 127.0.0.1:%%PORT:app%% backup;
    }
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /book {
            doi_hold email=email slot=slot;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/c/(?<token>[^/]+)$ {
            doi_confirm $token start=/book;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/up/(?<token>[^/]+)$ {
            doi_confirm $token answer=upstream;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/caught/(?<token>[^/]+)$ {
            doi_confirm $token;
            proxy_intercept_errors on;
            error_page 409 500 502 504 /sorry;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/accel/(?<token>[^/]+)$ {
            doi_confirm $token;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/two/(?<token>[^/]+)$ {
            doi_confirm $token;
            proxy_pass http://two;
        }
        location ~ ^/gzip/(?<token>[^/]+)$ {
            doi_confirm $token;
            gzip on;
            gzip_min_length 1;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/try/(?<token>[^/]+)$ {
            doi_confirm $token;
            try_files /no/such/file @app;
        }
        location @app { proxy_pass http://127.0.0.1:%%PORT:app%%; }
        location = /sorry { return 200 "sorry"; }
        location /metrics { doi_metrics; }
    }
}
EOC

# The same again, for an app that hangs: only there it has little time.

my ($brief) = $conf =~ /^(    server \{.*^    \}\n)/ms;
$brief =~ s/PORT:http%%;/PORT:brief%%;\n        proxy_read_timeout 1s;/;
$conf =~ s/^\}\n\z/$brief}\n/m;

sub port { $_[0] =~ /^hang/ ? 'brief' : 'http' }

$t->conf($conf)->start;

my $n = 0;

sub hold {
    my ($slot) = @_;

    my $r = $t->post('/book', form => { email => 'ada@example.org',
                                        slot => $slot // 'a slot ' . $n++ },
                     accept => 'application/json');

    return $r->status == 202 ? $t->confirm_token($r->json->{reference}) : undef;
}

sub code {
    my ($token) = @_;

    return ($t->get("/c/$token", accept => 'application/json')->json // {})
               ->{code};
}

# mode, status, what it is for the visitor, bookings, what it is afterwards,
# whether the slot is free

my @cases = (
    [ 'ok',           200, 'booked',   1, 'booked',   0 ],
    [ '201',          200, 'booked',   1, 'booked',   0 ],
    [ '204',          200, 'booked',   1, 'booked',   0 ],
    [ '302',          200, 'booked',   1, 'booked',   0 ],
    [ '303',          200, 'booked',   1, 'booked',   0 ],
    [ 'slow ms=200',  200, 'booked',   1, 'booked',   0 ],
    [ 'drip ms=10',   200, 'booked',   1, 'booked',   0 ],
    [ 'half',         200, 'booked',   1, 'booked',   0 ],
    [ 'truncated',    200, 'booked',   1, 'booked',   0 ],
    [ 'ok size=300000', 200, 'booked', 1, 'booked',   0 ],
    [ '400',          409, 'refused',  0, 'refused',  1 ],
    [ '404',          409, 'refused',  0, 'refused',  1 ],
    [ '409',          409, 'refused',  0, 'refused',  1 ],
    [ '422',          409, 'refused',  0, 'refused',  1 ],
    [ '403',          409, 'in_doubt', 0, 'in_doubt', 0 ],
    [ '500',          409, 'in_doubt', 0, 'in_doubt', 0 ],
    [ '500-booked',   409, 'in_doubt', 1, 'in_doubt', 0 ],
    [ '503',          409, 'in_doubt', 0, 'in_doubt', 0 ],
    [ 'hang',         409, 'in_doubt', 0, 'in_doubt', 0 ],
    [ 'hang-booked',  409, 'in_doubt', 1, 'in_doubt', 0 ],
    [ 'reset-read',   409, 'in_doubt', 0, 'in_doubt', 0 ],
    [ 'reset-booked', 409, 'in_doubt', 1, 'in_doubt', 0 ],
    [ 'close-booked', 409, 'in_doubt', 1, 'in_doubt', 0 ],
    [ 'garbage',      409, 'in_doubt', 1, 'in_doubt', 0 ],
);

for my $where (qw(c caught accel gzip try)) {
    for (@cases) {
        my ($mode, $status, $code, $bookings, $then, $free) = @$_;

        next if $where ne 'c' && $mode !~ /^(?:ok|303|409|500|hang)$/;

        my $name = "$where, $mode";
        my $token = hold('slot ' . ++$n);

        $up->forget;
        my $accel = $where eq 'accel' ? ' header=X-Accel-Redirect:/sorry' : '';
        my $r = $t->post("/$where/$token", form => { action => 'confirm' },
                         accept => 'application/json', timeout => 30,
                         port => port($mode),
                         headers => { 'X-Mode' => $mode . $accel });
        is($r->status, $status, "$name: $status");
        is(($r->json // {})->{code}, $code, "$name: $code");
        is($r->header('X-Booking-Id'), undef, "$name: nothing of the app");
        is($r->header('Location'), undef, "$name: no Location");
        ok(!$r->truncated, "$name: complete");
        is(scalar(my @b = $up->bookings), $bookings, "$name: bookings");

        poll_until(30, sub { (code($token) // '') eq $then });
        is(code($token), $then, "$name: afterwards $then");

        $up->forget;
        $t->post("/c/$token", form => { action => 'confirm' });
        is(scalar($up->posts), 0, "$name: is not sent again");
        is($t->post('/book', form => { email => 'bob@example.org',
                                       slot => "slot $n" })->status,
           $free ? 202 : 409, "$name: the slot");
    }
}

# A page of the app is not waited for

my $token = hold();
my $r = $t->post("/c/$token", form => { action => 'confirm' }, timeout => 30,
                 headers => { 'X-Mode' => 'half' });
is($r->status, 200, 'half an answer: 200');
ok($r->time < 20, 'at once') or diag $r->time;

# Headers of the app: none; its session was begun by whoever sent the form

$token = hold();
$r = $t->post("/c/$token", form => { action => 'confirm' }, headers =>
              { 'X-Mode' => 'ok header=Set-Cookie:session=1' });
is($r->cookie('session'), undef, 'no cookie of the app');

for ('Content-Encoding:br', 'ETag:"x"', 'Cache-Control:public',
     'Expires:Thu,_01_Jan_2099_00:00:00_GMT', 'Last-Modified:x',
     'Refresh:0', 'Link:x', 'X-Frame-Options:DENY') {
    my ($name) = /^([^:]+)/;

    $token = hold();
    $r = $t->post("/c/$token", form => { action => 'confirm' },
                  headers => { 'X-Mode' => "ok header=$_" });
    is($r->header($name), $name eq 'Cache-Control' ? 'no-store' : undef,
       "$name of the app is gone");
    like($r->body, qr{</html>}, 'the page is there');
}

# answer=upstream

for (
    [ 'ok',   200, 'booked' ],
    [ '303',  303, 'booked' ],
    [ '409',  409, 'refused' ],
    [ '500',  500, 'in_doubt' ],
    [ 'hang', 409, 'in_doubt' ],
) {
    my ($mode, $status, $then) = @$_;

    $token = hold();
    $r = $t->post("/up/$token", form => { action => 'confirm' }, timeout => 30,
                  port => port($mode), headers => { 'X-Mode' => $mode });
    is($r->status, $status, "upstream, $mode: $status");
    poll_until(30, sub { (code($token) // '') eq $then });
    is(code($token), $then, "upstream, $mode: $then");
}

# Never reached: it is held as before, and may be confirmed again

$token = hold('unreached');
$up->stop;
$r = $t->post("/c/$token", form => { action => 'confirm' },
              accept => 'application/json');
is($r->status, 503, 'refused connection: 503');
like($r->header('Retry-After'), qr/^\d+$/, 'Retry-After');
is($r->json->{code}, 'unavailable', 'code');
poll_until(30, sub { (code($token) // '') eq 'confirm' });
is(code($token), 'confirm', 'held as before');
is($t->post('/book', form => { email => 'bob@example.org',
                               slot => 'unreached' })->status, 409,
   'the slot, too');
$up->start;
$up->forget;
is($t->post("/c/$token", form => { action => 'confirm' })->status, 200,
   'then it works');
is(scalar($up->bookings), 1, 'one booking');

# Only one of two servers is there: the body goes to the second one whole

$token = hold('second');
$up->forget;
is($t->post("/two/$token", form => { action => 'confirm' })->status, 200,
   'second server');
is(($up->posts)[0]{body}, 'email=ada%40example.org&slot=second', 'its body');

# The visitor hangs up while the app works

$token = hold('gone');
$up->forget;
my $s = $t->open_raw($t->bytes(POST => "/c/$token",
                               form => { action => 'confirm' },
                               headers => { 'X-Mode' => 'slow ms=500' }));
poll_until(30, sub { scalar $up->requests });
close $s;
ok(poll_until(30, sub { (code($token) // '') eq 'booked' }),
   'a visitor who hangs up has booked');

# Links are counted apart

my $m = $t->metrics;
is($m->{doi_claims_total}, 0, 'no link was claimed');
is($m->{'doi_redemptions_total{outcome="used"}'}, 0, 'none was used');

is($t->leaks, 0, 'no token in the error log');

done_testing();
