# No token, key or body in what the module writes to the error log, in $doi_uri,
# or in the store, whatever came.

use lib 't/lib';
use Doi;

use MIME::Base64 qw(encode_base64url decode_base64url);

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

my $proxy = 'proxy_pass http://127.0.0.1:%%PORT:app%%;';

$t->conf(<<"EOC");
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    log_format doi '\$status \$request_method \$doi_uri|\$doi_id|\$doi_state|'
                   '\$doi_scope|\$doi_token|\$doi_idempotency_key|';
    access_log %%DIR%%/doi.log doi;
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_base_url https://book.example;
    doi_url link /book/\$doi_token;
    proxy_read_timeout 1s;
    client_max_body_size 1k;
    client_header_buffer_size 256;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location ~ ^/book/(?<token>[^/]*)(?:/page)?\$ {
            doi_link \$token scope=s cookie=on;
            $proxy
        }
        location /arg { doi_link \$arg_t scope=s; $proxy }
        location /cookie { doi_link cookie scope=s; $proxy }
        location ~ ^/try/(?<token>[^/]*)\$ {
            doi_link \$token scope=s;
            try_files /none \@app;
        }
        location \@app { $proxy }
        location ~ ^/deny/(?<token>[^/]*)\$ {
            deny all;
            doi_link \$token scope=s;
            $proxy
        }
        location /none/ { return 404; }
        location /api/ { doi_api read mint resolve; }
    }
}
EOC

$t->start;

my $secret = 'my-secret-booking';
my @secrets;                    # what may appear nowhere

sub live {
    my $token = $t->mint(scope => 's');
    push @secrets, $token;

    return $token;
}

my $expired = $t->mint(scope => 's', ttl => -1);
my $wrong = $t->mint(scope => 'other');
my $forged = substr(&live, 0, 20) . substr(&live, 20);
my $short = substr(&live, 0, 45);
my $long = &live . 'x';
my $revoked = &live;
my $hidden = &live;
my $encoded = sprintf '%%%02X%s', ord $hidden, substr $hidden, 1;
push @secrets, $expired, $wrong, $forged, $short, substr($hidden, 1);

$t->delete('/api/links/' . token_fields($revoked)->{id});

# Paths, args, denied, not found, by all kinds of tokens and methods

for my $token (&live, $expired, $wrong, $forged, $short, $long, $revoked,
               $encoded)
{
    for my $uri ("/book/$token", "/book/$token/page?a=1", "/arg?t=$token&b=2",
                 "/arg?b=2&t=$token", "/arg/$token?t=$token", "/try/$token",
                 "/deny/$token", "/deny/$token?x=$token")
    {
        for my $method (qw(GET HEAD PUT DELETE)) {
            $t->request($method, $uri, headers => { Referer => "http://x$uri" },
                        body => $secret);
        }
    }
}

for my $token (&live) {
    $t->get("/none/$token");
    $t->get("/elsewhere?x=$token");
    $t->http_raw("GET /book/$token HTTP/1.1\r\n\r\n");
    $t->http_raw("GET /book/$token HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
}

# Redemptions

for my $mode ('ok', '303', '422', '500', '500-booked', 'reset-booked',
              'close', 'hang', 'truncated', 'garbage')
{
    for my $uri ('/book/' . &live, '/arg?t=' . &live, '/try/' . &live) {
        $t->request($_, $uri, body => "name=$secret", timeout => 30,
                    headers => { 'X-Mode' => $mode })
            for qw(POST GET POST);
        last if $mode eq 'hang';
    }
}

$up->stop;
$t->post('/book/' . &live, body => "name=$secret");
$up->start;

for my $token (&live) {
    my $r = $t->get("/book/$token");
    my $cookie = join '; ', map { /^([^;]+)/ } $r->headers('set-cookie');
    $t->post('/cookie', cookie => $cookie, body => "name=$secret",
             headers => { Origin => 'http://evil.example' });
    $t->post('/cookie', cookie => $cookie, body => "name=$secret");
}

# Bodies that are too large, or end too early; a client that hangs up

$t->post('/book/' . &live, body => $secret x 1000);
$t->post('/book/' . &live, chunked => [ ($secret x 10) x 20 ]);
$t->open_raw('POST /book/' . &live . " HTTP/1.1\r\nHost: x\r\n"
             . "Content-Length: 100\r\n\r\n$secret");
close $t->open_raw($t->bytes('POST', '/book/' . &live, body => $secret,
                             headers => { 'X-Mode' => 'slow ms=100' }));

# The API

my $r = $t->post('/api/links', json => { scope => 's', count => 3 });
push @secrets, my @made = map { $_->{token} } @{$r->json->{links}};
is(scalar(@made), 3, 'minted by the API');
$t->post("/book/$made[0]", body => $secret, headers => { 'X-Mode' => '500' });
$t->post('/api/links/' . token_fields($made[0])->{id} . '/resolve',
         json => { outcome => 'used', reason => $secret });
$t->get("/api/links/$made[1]");

ok(poll_until(30, sub { ($t->get('/api/links?state=claimed')->json->{links}
                        || [1])->@* == 0 }), 'no claim is open');
ok($t->stop, 'stop');

# What was written

my $key = $t->secret;
my @raw = ($secret, $key, unpack('H*', $key));

sub bad {
    my ($name, $text, @secrets) = @_;

    my @lines = split /\n/, $text;
    ok(scalar(@lines), "$name: something was written");

    my @bad = grep { my $l = $_; grep { index($l, $_) >= 0 } @secrets } @lines;
    is(scalar(@bad), 0, "$name: no secret");
    diag($_) for @bad > 10 ? @bad[0 .. 9] : @bad;
}

my $doi = slurp($t->dir . '/doi.log');
my $error = $t->error_log;

bad('access log', $doi, @secrets, @raw);
bad('error log, lines of the module',
    join("\n", grep { / doi: / } split /\n/, $error), @secrets, @raw);
bad('error log, body and key', $error, @raw);
bad('error log, nginx out', slurp($t->dir . '/nginx.out') . "-\n", @secrets,
    @raw);

my ($store) = glob $t->dir . '/store/*.mdb';
bad('store', slurp($t->dir . '/store/data.mdb'), @secrets,
    (map { decode_base64url($_) } @made), $key, "name=$secret");

# The log is of use all the same

like($doi, qr{^200 GET /book/\|[\w-]{16}\|fresh\|s\|-?\|-?\|$}m, 'a look');
like($doi, qr{^200 POST /arg\|([\w-]{16})\|used\|s\|-?\|\1\|$}m, 'a booking');
like($doi, qr{^403 GET /arg\?b=2\|-?\|-?\|s\|}m, 'a refusal');
like($doi, qr{^410 GET /book/\|[\w-]{16}\|expired\|s\|}m, 'expired');
like($doi, qr{^405 PUT /book/page\?a=1\|}m, 'another method');
like($doi, qr{^403 GET /deny/\|}m, 'denied');
like($error, qr/doi: redemption of link [\w-]{16} is in doubt/,
     'what is in doubt is in the error log');

done_testing();
