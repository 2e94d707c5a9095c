# Apps whose form posts to an address without a token: the first look leaves a
# cookie, and the app's own POST location redeems by it.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_owner name=Ada email=ada@example.com;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location ~ ^/cal/(?<cal>\w+)/(?<token>[^/]+)$ {
            doi_link $token scope=$cal cookie=on;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/plain/(?<token>[^/]+)$ {
            doi_link $token scope=red;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/app/(?<cal>\w+)/ {
            doi_link cookie scope=$cal;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location = /variable {
            doi_link cookie scope=red;
            proxy_set_header Cookie $http_cookie;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

$t->start;

# A browser: a jar of cookies by name

sub keep {
    my ($jar, $r) = @_;

    for ($r->headers('set-cookie')) {
        $jar->{$1} = $2 if /^([^=]+)=([^;]*)/;
    }

    return $r;
}

sub sent {
    my ($jar) = @_;

    return join '; ', map { "$_=$jar->{$_}" } sort keys %$jar;
}

sub visit {
    my ($jar, $method, $uri, %o) = @_;

    return keep($jar, $t->request($method, $uri, cookie => sent($jar),
                                  body => 'name=Ada', %o));
}

# The cookie

my $token = $t->mint(scope => 'red', ttl => 1000);
my %jar = (theme => 'dark', session => 'xyz');
my $r = visit(\%jar, 'GET', "/cal/red/$token");

is($r->status, 200, 'a look');
my ($cookie) = grep { /^doi_link_/ } $r->headers('set-cookie');
like($cookie, qr/^doi_link_\w+=\Q$token\E;/, 'leaves a cookie');
like($cookie, qr/;\s*HttpOnly\b/i, 'HttpOnly');
like($cookie, qr/;\s*SameSite=Lax\b/i, 'SameSite');
like($cookie, qr/;\s*Path=\/(?:;|$)/i, 'Path');
unlike($cookie, qr/Secure/i, 'not Secure over plain HTTP');
my ($age) = $cookie =~ /;\s*Max-Age=(\d+)/i;
ok($age > 900 && $age <= 1000, 'Max-Age') or diag($cookie);
my ($browser) = grep { /^doi_browser=/ } $r->headers('set-cookie');
like($browser, qr/;\s*HttpOnly\b/i, 'that of the browser is HttpOnly');

my ($name) = grep { /^doi_link_/ } keys %jar;
ok($name, 'name of the cookie');
is($t->get('/plain/' . $t->mint(scope => 'red'))->cookie($name), undef,
   'no such cookie without cookie=on');

# What redeems, and what does not

my %other = (%jar, $name => $t->mint(scope => 'blue'));
$up->forget;

my @refused = (
    [ 'no cookie',       {},        403, 'invalid' ],
    [ 'nonsense',        { $name => 'x' }, 403, 'invalid' ],
    [ "another scope's", \%other,   403, 'invalid' ],
    [ 'foreign Origin',  \%jar,     403, 'forbidden',
      Origin => 'https://evil.example' ],
    [ 'foreign Origin, much like ours', \%jar, 403, 'forbidden',
      Origin => 'http://127.0.0.1:' . $t->port . '.evil.example' ],
    [ 'opaque Origin',   \%jar,     403, 'forbidden', Origin => 'null' ],
);

for (@refused) {
    my ($what, $cookies, $status, $code, @headers) = @$_;

    $r = $t->post('/app/red/book', cookie => sent($cookies), body => 'a=b',
                  headers => \@headers, accept => 'application/json');
    is($r->status, $status, "$what: $status");
    is(($r->json // {})->{code}, $code, "$what: $code");
}

is($t->post('/app/blue/book', cookie => sent(\%jar), body => 'a')->status, 403,
   'the wrong calendar');
is(scalar($up->requests), 0, 'the app saw nothing');

is(visit(\%jar, 'GET', '/app/red/form')->status, 200, 'a look by cookie');
is(visit(\%jar, 'GET', '/app/red/form',
         headers => { Origin => 'https://evil.example' })->status, 200,
   'which anybody may cause');
is(visit(\%jar, 'POST', '/app/red/book', headers =>
         { Origin => 'http://127.0.0.1:' . $t->port })->status, 200,
   'a booking by cookie');

my ($got) = $up->posts;
is($got->{uri}, '/app/red/book', 'the app: URI');
is($got->{body}, 'name=Ada', 'the app: body');
is($got->{headers}{cookie}, 'session=xyz; theme=dark',
   'the app: its own cookies only');
is($got->{headers}{'idempotency-key'}, token_fields($token)->{id},
   'the app: Idempotency-Key');

# Afterwards

for my $uri ("/cal/red/$token", '/app/red/book') {
    $r = visit(\%jar, 'GET', $uri);
    is($r->status, 200, "$uri: 200");
    like($r->body, qr/<h1>Your booking is confirmed/, "$uri: confirmed");
}

is(visit(\%jar, 'POST', '/app/red/book')->status, 200, 'a double-click');
is($t->get("/cal/red/$token")->status, 410, 'used, for others');
is($t->post('/app/red/book', cookie => "$name=$token", body => 'a')->status,
   410, 'also by a copied cookie');
is(scalar($up->posts), 1, 'one request to the app');

# Without an Origin: old browsers, programs

$token = $t->mint(scope => 'red');
visit(\%jar, 'GET', "/cal/red/$token");
is($jar{$name}, $token, 'a new link takes the place of the old');
is(visit(\%jar, 'POST', '/app/red/book')->status, 200, 'a POST with no Origin');

# Two calendars in one browser

my %two = ();
visit(\%two, 'GET', "/cal/$_/" . $t->mint(scope => $_)) for qw(green blue);
is(scalar(grep { /^doi_link_/ } keys %two), 2, 'two cookies');
$up->forget;

for my $cal (qw(green blue)) {
    is(visit(\%two, 'POST', "/app/$cal/book")->status, 200, "$cal: booked");
    is(visit(\%two, 'POST', "/app/$cal/book")->body =~ /is confirmed/, 1,
       "$cal: confirmed");
}

is(scalar($up->bookings), 2, 'two bookings');

# Only our cookies, cookies in several lines, and an app that is given the
# variable

%jar = ();
visit(\%jar, 'GET', '/cal/red/' . $t->mint(scope => 'red'));
$up->forget;
visit(\%jar, 'GET', '/app/red/form');
is(($up->requests)[0]{headers}{cookie} // '', '', 'none but ours: none');

$up->forget;
$r = $t->get('/app/red/form', headers => [ Cookie => 'a=1',
    Cookie => sent(\%jar), Cookie => 'doi=2; xdoi_b=3' ]);
is($r->status, 200, 'in several lines');
my $all = ($up->requests)[0]{headers}{cookie};
unlike($all, qr/doi_link|doi_browser/, 'several lines: none of ours');
like($all, qr/a=1.*doi=2; xdoi_b=3/, 'several lines: all others');

$up->forget;
is($t->get('/variable', cookie => 'a=1; ' . sent(\%jar))->status, 200,
   '$http_cookie');
is(($up->requests)[0]{headers}{cookie}, 'a=1', '$http_cookie: none of ours');

done_testing();
