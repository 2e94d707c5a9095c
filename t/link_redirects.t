# Internal redirects and other access checks: whatever nginx does with a
# redemption, one upstream gets it once.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');
my $second = $t->upstream('second');

$t->write_file('html/sorry.html', "sorry\n");
$t->write_file('html/done.html', "all done\n");
$t->write_file('htpasswd', "ada:{PLAIN}secret\n");

my $proxy = 'proxy_pass http://127.0.0.1:%%PORT:app%%;';

$t->conf(<<"EOC");
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    proxy_read_timeout 4s;
    root %%DIR%%/html;
    limit_req_zone \$server_port zone=slow:1m rate=1r/m;
    server {
        listen 127.0.0.1:%%PORT:http%%;

        location ~ ^/book/(?<token>[^/]+)\$ { doi_link \$token; $proxy }

        location ~ ^/page/(?<token>[^/]+)\$ {
            doi_link \$token;
            proxy_intercept_errors on;
            error_page 404 422 500 502 504 /sorry.html;
            $proxy
        }
        location ~ ^/named/(?<token>[^/]+)\$ {
            doi_link \$token;
            proxy_intercept_errors on;
            error_page 404 422 500 502 504 = \@second;
            $proxy
        }
        location ~ ^/uri/(?<token>[^/]+)\$ {
            doi_link \$token;
            proxy_intercept_errors on;
            error_page 404 422 500 502 504 = /fallback;
            $proxy
        }
        location ~ ^/same/(?<token>[^/]+)\$ {
            doi_link \$token;
            proxy_intercept_errors on;
            error_page 404 422 500 502 504 = /same/\$token?ok=1;
            $proxy
        }
        location \@second {
            proxy_set_header X-Mode "";
            proxy_pass http://127.0.0.1:%%PORT:second%%;
        }
        location = /fallback {
            proxy_set_header X-Mode "";
            proxy_pass http://127.0.0.1:%%PORT:second%%;
        }
        location = /sorry.html { internal; }
        location = /done.html { internal; }

        location ~ ^/try/(?<token>[^/]+)\$ {
            doi_link \$token;
            try_files /none \@app;
        }
        location \@app { $proxy }

        location ~ ^/loop/(?<token>[^/]+)\$ {
            doi_link \$token;
            try_files /none /inner/x?\$args;
        }
        location /inner/ {
            doi_link \$arg_t;
            $proxy
        }

        location ~ ^/auth/(?<token>[^/]+)\$ {
            satisfy all;
            auth_basic doi;
            auth_basic_user_file %%DIR%%/htpasswd;
            doi_link \$token;
            $proxy
        }
        location ~ ^/deny/(?<token>[^/]+)\$ {
            deny all;
            doi_link \$token;
            $proxy
        }
        location ~ ^/limit/(?<token>[^/]+)\$ {
            limit_req zone=slow;
            doi_link \$token;
            $proxy
        }

        location ~ ^/mirror/(?<token>[^/]+)\$ {
            doi_link \$token;
            mirror /copy;
            $proxy
        }
        location = /copy {
            internal;
            log_subrequest on;
            proxy_pass http://127.0.0.1:%%PORT:nobody%%;
        }

        location /api/ { doi_api read; }
    }
}
EOC

$t->start;

sub state {
    my $r = $t->get('/api/links/' . token_fields($_[0])->{id});

    return $r->status == 200 ? $r->json->{state} : $r->status;
}

sub becomes {
    my ($token, $want, $name) = @_;

    my $state;
    poll_until(30, sub { ($state = &state($token)) eq $want });
    is($state, $want, "$name: $want");
}

sub forget { $_->forget for $up, $second }

# error_page: where to, mode, status, body, state

my @cases = (
    [ 'page', 'ok',           200, qr/^booked/,  'used' ],
    [ 'page', '422',          422, qr/^sorry$/,  404 ],
    [ 'page', '404',          404, qr/^sorry$/,  404 ],
    [ 'page', '500-booked',   500, qr/^sorry$/,  'in_doubt' ],
    [ 'page', 'reset-booked', 502, qr/^sorry$/,  'in_doubt' ],
    [ 'page', 'hang',         504, qr/^sorry$/,  'in_doubt' ],

    [ 'named', 'ok',          200, qr/^booked/,  'used' ],
    [ 'named', '422',         503, qr/<h1>Please try again/, 404 ],
    [ 'named', '500-booked',  409, qr/<h1>We are checking/,  'in_doubt' ],
    [ 'named', 'reset-booked', 409, qr/<h1>We are checking/, 'in_doubt' ],
    [ 'named', 'hang',        409, qr/<h1>We are checking/,  'in_doubt' ],

    # As a GET: error_page does that
    [ 'uri', 'ok',            200, qr/^booked/,  'used' ],
    [ 'uri', '422',           200, qr/^the booking page/, 404 ],
    [ 'uri', '500-booked',    200, qr/^the booking page/, 'in_doubt' ],
    [ 'uri', 'reset-booked',  200, qr/^the booking page/, 'in_doubt' ],

    # Into the same location, as a GET; the mode fails that, too
    [ 'same', 'ok',           200, qr/^booked/,  'used' ],
    [ 'same', '422',          422, qr//,         404 ],
    [ 'same', '500-booked',   500, qr/./,        'in_doubt' ],
);

for (@cases) {
    my ($where, $mode, $status, $body, $state) = @$_;

    my $name = "$where, $mode";
    my $token = $t->mint;

    &forget;
    my $r = $t->post("/$where/$token", body => 'name=Ada',
                     headers => { 'X-Mode' => $mode });
    is($r->status, $status, "$name: status");
    like($r->body, $body, "$name: body");
    becomes($token, $state, $name);
    is(scalar($up->posts), 1, "$name: one request");
    is(scalar($second->posts), 0, "$name: and no other");
    is(scalar(grep { index($_->{uri}, $token) >= 0 }
                   $up->requests, $second->requests), 0, "$name: no token");
}

$up->stop;
&forget;

for (['page', 502], ['named', 503], ['uri', 200]) {
    my ($where, $status) = @$_;

    my $token = $t->mint;
    is($t->post("/$where/$token", body => 'a')->status, $status,
       "$where, refused: status");
    becomes($token, 404, "$where, refused");
}

is(scalar($second->posts), 0, 'refused: and no other');
$up->start;

my $token = $t->mint;
my $r = $t->get("/named/$token", headers => { 'X-Mode' => '500' });
is($r->status . $r->body, "200the booking page\n", 'a look may fall back on another server');

# X-Accel-Redirect

for (['/done.html', 200, qr/^all done$/], ['@second', 200, qr/<h1>Your booking/])
{
    my ($to, $status, $body) = @$_;

    $token = $t->mint;
    &forget;
    $r = $t->post("/book/$token", body => 'a',
                  headers => { 'X-Mode' => "ok header=X-Accel-Redirect:$to" });
    is($r->status, $status, "X-Accel-Redirect to $to: status");
    like($r->body, $body, "X-Accel-Redirect to $to: body");
    becomes($token, 'used', "X-Accel-Redirect to $to");
    is(scalar($up->bookings), 1, "X-Accel-Redirect to $to: booked");
    is(scalar($second->posts), 0, "X-Accel-Redirect to $to: nothing more");
}

$token = $t->mint;
$r = $t->get("/book/$token",
             headers => { 'X-Mode' => 'ok header=X-Accel-Redirect:/done.html' });
is($r->body, "all done\n", 'X-Accel-Redirect of a look');
is($r->header('Referrer-Policy'), 'strict-origin', 'with our headers');

# try_files

for my $where (qw(try loop)) {
    $token = $t->mint;
    &forget;
    is($t->get("/$where/$token")->status, 200, "$where: a look");
    is($t->post("/$where/$token", body => 'a=b')->status, 200, "$where: POST");
    becomes($token, 'used', $where);
    is(scalar($up->requests), 2, "$where: two requests");
    is(scalar($up->bookings), 1, "$where: one booking");
    my ($got) = $up->posts;
    is($got->{body}, 'a=b', "$where: body");
    is($got->{headers}{'idempotency-key'}, token_fields($token)->{id},
       "$where: key");
    is(index(join(' ', map { $_->{uri} } $up->requests), $token), -1,
       "$where: no token");
    is($t->post("/$where/$token", body => 'a=b')->status, 410, "$where: used");

    $token = $t->mint;
    $t->post("/$where/$token", body => 'a', headers => { 'X-Mode' => '422' });
    becomes($token, 404, "$where, 422");
    $t->post("/$where/$token", body => 'a', headers => { 'X-Mode' => '500' });
    becomes($token, 'in_doubt', "$where, 500");

    # The client hangs up

    $token = $t->mint;
    &forget;
    my $s = $t->open_raw($t->bytes('POST', "/$where/$token", body => 'a',
                                   headers => { 'X-Mode' => 'slow ms=500' }));
    ok(poll_until(30, sub { $up->bookings == 1 }), "$where: the app is at it");
    close $s;
    becomes($token, 'used', "$where, client gone");
    is(scalar($up->aborts), 0, "$where: the app was let finish");
}

# Who is refused by another check claims nothing

for (['auth', 401], ['deny', 403]) {
    my ($where, $status) = @$_;

    $token = $t->mint;
    &forget;
    for my $method (qw(GET POST)) {
        is($t->request($method, "/$where/$token", body => 'a')->status,
           $status, "$where: $method");
    }
    is(&state($token), 404, "$where: not claimed");
    is(scalar($up->requests), 0, "$where: the app saw nothing");
    is($t->get("/book/$token")->status, 200, "$where: still fresh");
}

$token = $t->mint;
is($t->post("/auth/$token", body => 'a', headers =>
       { Authorization => 'Basic YWRhOnNlY3JldA==' })->status, 200,
   'auth: with a password');
becomes($token, 'used', 'auth');
is($t->post('/auth/' . $t->mint(scope => 'other'), body => 'a', headers =>
       { Authorization => 'Basic YWRhOnNlY3JldA==' })->status, 403,
   'auth: a password alone is not enough');

&forget;
is($t->post('/limit/' . $t->mint, body => 'a')->status, 200, 'limit_req: first');
$token = $t->mint;
is($t->post("/limit/$token", body => 'a')->status, 503, 'limit_req: second');
is(&state($token), 404, 'limit_req: not claimed');
is(scalar($up->posts), 1, 'limit_req: one request');

# A mirror says nothing of the booking, even when it is logged

$token = $t->mint;
&forget;
my $s = $t->open_raw($t->bytes('POST', "/mirror/$token", body => 'a',
                               headers => { 'X-Mode' => 'slow until=go' }));
ok(poll_until(30, sub { $up->bookings == 1 }), 'mirror: the app is at it');
is($t->get("/book/$token")->status, 409, 'mirror: claimed');
is($t->post("/book/$token", body => 'b')->status, 409, 'mirror: for all');
$t->write_file('go', '');
is(Doi::HTTP::exchange($s, undef)->status, 200, 'mirror: booked');
close $s;
becomes($token, 'used', 'mirror');
is(scalar($up->bookings), 1, 'mirror: one booking');

done_testing();
