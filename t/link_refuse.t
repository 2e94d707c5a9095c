# Tokens that are not good: what they get, and that the app sees nothing.

use lib 't/lib';
use Doi;

use MIME::Base64 qw(encode_base64url decode_base64url);

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 2 file:%%KEY:new%%;
    doi_key 1 file:%%KEY%%;
    doi_owner name=Ada email=ada@example.com;
    large_client_header_buffers 4 32k;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location ~ ^/book/(?<token>[^/]*)$ {
            doi_link $token scope=s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location = /arg {
            doi_link $arg_t scope=s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api mint read resolve; }
    }
}
EOC

$t->start;

my $good = $t->mint(scope => 's');
my $bytes = decode_base64url($good);
my $last = substr $good, -1;
my $noncanonical = substr($good, 0, -1)
                   . chr(ord($last) + ($last =~ /[AEIMQUYcgkosw048]/ ? 1 : 0));

my $revoked = $t->mint(scope => 's');
is($t->delete('/api/links/' . token_fields($revoked)->{id})->status, 200,
   'revoke');

my $other = $t->mint(scope => 's');

sub encoded { sprintf '%%%02X%s', ord $_[0], substr $_[0], 1 }

my $i = 0;

# name, path, status, code
my @cases = (
    [ 'empty',        '/book/',                          403, 'invalid' ],
    [ 'empty arg',    '/arg?t=',                         403, 'invalid' ],
    [ 'no arg',       '/arg',                            403, 'invalid' ],
    [ 'short',        '/book/' . substr($good, 0, 45),   403, 'invalid' ],
    [ 'long',         "/book/${good}A",                  403, 'invalid' ],
    [ 'padded',       "/arg?t=$good==",                  403, 'invalid' ],
    [ 'last bits',    "/book/$noncanonical",             403, 'invalid' ],
    [ '10,000 chars', '/book/' . 'E' x 10000,            403, 'invalid' ],
    [ '10,000 in an arg', '/arg?t=' . $good x 217 . 'E' x 18, 403, 'invalid' ],
    [ 'other alphabet', '/book/' . 'E+' x 23,            403, 'invalid' ],
    [ 'percent-encoded', '/book/' . encoded($t->mint(scope => 's')),
                                                         403, 'invalid' ],
    [ 'percent-encoded, and not', '/book/' . encoded($other) . "?x=$other",
                                                         403, 'invalid' ],
    [ 'percent-encoded arg', '/arg?t=' . encoded($other), 403, 'invalid' ],
    [ 'version 2',    '/book/' . $t->mint(scope => 's', version => 2),
                                                         403, 'invalid' ],
    [ 'confirm',      '/book/' . $t->mint(scope => 's', purpose => 'confirm'),
                                                         403, 'invalid' ],
    [ 'unsubscribe',  '/book/' . $t->mint(scope => 's',
                                 purpose => 'unsubscribe'), 403, 'invalid' ],
    [ 'other scope',  '/book/' . $t->mint(scope => 't'), 403, 'invalid' ],
    [ 'no scope',     '/book/' . $t->mint(scope => ''),  403, 'invalid' ],
    [ 'unknown key',  '/book/' . $t->mint(scope => 's', key_id => 3),
                                                         403, 'invalid' ],
    [ "another key's id", '/book/' . $t->mint(scope => 's', key_id => 2),
                                                         403, 'invalid' ],
    [ 'MAC of zeros', '/book/' . $t->mint(scope => 's', mac => "\0" x 16),
                                                         403, 'invalid' ],
    (map {
        my $copy = $bytes;
        substr($copy, $_, 1) = chr(ord(substr $copy, $_, 1) ^ 1);
        [ "byte $_ changed", '/book/' . encode_base64url($copy),
          403, 'invalid' ]
     } 0, 1, 2, 5, 6, 17, 18, 33),
    [ 'expired',      '/book/' . $t->mint(scope => 's', ttl => -1),
                                                         410, 'expired' ],
    [ 'expired long ago', '/book/' . $t->mint(scope => 's', minted => 1,
                                 expires => 2),          410, 'expired' ],
    [ 'forged and expired', '/book/' . $t->mint(scope => 't', ttl => -1),
                                                         403, 'invalid' ],
    [ 'revoked',      "/book/$revoked",                  410, 'revoked' ],
);

sub guarded {
    my ($r, $name) = @_;

    is_deeply([ map { $r->header($_) }
                    qw(Cache-Control X-Robots-Tag X-Content-Type-Options
                       Referrer-Policy) ],
              [ 'no-store', 'noindex', 'nosniff', 'strict-origin' ],
              "$name: headers");
    like($r->header('Content-Security-Policy'), qr/^default-src 'none';/,
         "$name: Content-Security-Policy");
}

for (@cases) {
    my ($name, $uri, $status, $code) = @$_;

    my $r = $t->get($uri);
    is($r->status, $status, "$name: GET $status");
    is($r->header('Content-Type'), 'text/html; charset=utf-8', "$name: HTML");
    like($r->body, qr/<html lang="en".*ada\@example\.com/s, "$name: page");
    guarded($r, $name);

    $r = $t->head($uri);
    is($r->status . $r->body, $status, "$name: HEAD");

    $r = $t->get($uri, accept => 'application/json');
    is($r->header('Content-Type'), 'application/problem+json', "$name: JSON");

    my $json = $r->json // {};
    is_deeply([ @$json{qw(status code)} ], [ $status, $code ],
              "$name: problem");
    ok(length $json->{$_}, "$name: $_") for qw(type title detail);
    is($json->{contact}{email}, 'ada@example.com', "$name: contact");
    guarded($r, "$name, JSON");

    # POST with a body, chunked and not, and a second request behind it

    for my $body ([ form => { name => 'Eve' } ],
                  [ chunked => [ 'a' x 3000, 'b' x 20000 ] ])
    {
        my $kind = $body->[0];
        my $s = $t->open_raw('');

        my @two = map {
            Doi::HTTP::exchange($s, $_, timeout => 30)
        } $t->bytes('POST', $uri, @$body, keepalive => 1),
          $t->bytes('GET', "/book/$good", cookie => 'n=' . ++$i);

        is($two[0]->status, $status, "$name: POST, $kind");
        is($two[1]->body, "the booking page\n", "$name: in sync, $kind");
    }
}

is(scalar($up->posts), 0, 'no POST came to the app');
is(scalar($up->requests), 2 * @cases, 'and no GET with a bad token');
is($t->get('/api/links/' . token_fields($good)->{id})->status, 404,
   'the good token was not touched');

# Languages

my $r = $t->get('/book/x', headers => { 'Accept-Language' => 'de-AT, en;q=.5' });
like($r->body, qr/<html lang="de"/, 'de');
like($r->body, qr/Dieser Link ist nicht g\xc3\xbcltig/, 'in German');
is($r->header('Content-Language'), 'de', 'Content-Language');
like($r->header('Vary'), qr/Accept-Language/, 'Vary');
$r = $t->get('/book/x', accept => 'application/json',
             headers => { 'Accept-Language' => 'fr, de;q=0.5, en;q=0.1' });
like($r->json->{title}, qr/^Dieser Link/, 'JSON in German');
$r = $t->get('/book/x', headers => { 'Accept-Language' => 'fr' });
is($r->header('Content-Language'), 'en', 'a language there is not');

# Other methods

for my $method (qw(PUT DELETE PATCH PROPFIND)) {
    for my $token ($good, 'x') {
        $r = $t->request($method, "/book/$token", body => 'name=Eve');
        is($r->status, 405, "$method: 405");
        is_deeply([ sort split /, */, $r->header('Allow') // '' ],
                  [qw(GET HEAD OPTIONS POST)], "$method: Allow");
        guarded($r, $method);
    }
}

is($t->put("/book/$good", accept => 'application/json')->json->{code},
   'method', 'PUT: problem');
is(scalar($up->posts), 0, 'nothing of it came to the app');

# Two keys: both verify, the first signs

is($t->post('/book/' . $t->mint(scope => 's', key => 'new', key_id => 2),
            body => 'a')->status, 200, 'the new key');
is($t->post("/book/$good", body => 'a')->status, 200, 'the old key');
my $made = $t->post('/api/links', json => { scope => 's' })->json->{token};
is(token_fields($made)->{key_id}, 2, 'the first signs');
is($t->post("/book/$made", body => 'a')->status, 200, 'what verifies');
is(scalar($up->bookings), 3, 'bookings');

done_testing();
