# Looking at a link: as often as one likes, by any safe method, and the app sees
# a request that knows nothing of tokens.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    log_format doi "$request_method $doi_uri|$doi_id|$doi_state|$doi_scope|$status";
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    proxy_set_header X-Request-Uri $request_uri;
    proxy_set_header X-Referer $http_referer;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        access_log %%DIR%%/doi.log doi;
        location ~ ^/book/(?<token>[^/]+)(?:/page)?$ {
            doi_link $token scope=s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/go-(?<token>[^/.]+)\.html$ {
            doi_link $token scope=s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /arg {
            doi_link $arg_t scope=s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /arg/uri/ {
            doi_link $arg_t scope=s;
            proxy_pass http://127.0.0.1:%%PORT:app%%/app/;
        }
        location ~ ^/fast/(?<token>[^/]+)$ {
            doi_link $token scope=s;
            proxy_pass http://127.0.0.1:%%PORT:fast%%;
        }
    }
    server {
        listen 127.0.0.1:%%PORT:fast%%;
        access_log off;
        return 200 "fast\n";
    }
}
EOC

$t->start;

my $token = $t->mint(scope => 's');
my $id = token_fields($token)->{id};

# The methods

for my $method (qw(GET HEAD OPTIONS GET)) {
    my $r = $t->request($method, "/book/$token");

    is($r->status, 200, "$method: status");
    is($r->body, $method eq 'HEAD' ? '' : "the booking page\n",
       "$method: the app's page");
    is($r->header('Referrer-Policy'), 'strict-origin',
       "$method: Referrer-Policy");
    is($r->header('Cache-Control'), 'no-store', "$method: Cache-Control");
    is($r->header('X-Robots-Tag'), 'noindex', "$method: X-Robots-Tag");
}

is_deeply([ map { $_->{method} } $up->requests ], [qw(GET HEAD OPTIONS GET)],
          'all of them went to the app');

my $r = $t->get("/book/$token", headers =>
    { 'X-Mode' => 'ok header=Cache-Control:public,max-age=60' });
is($r->header('Cache-Control'), 'no-store', 'not to be shared with a cookie');
my $browser = $r->cookie('doi_browser');
ok($browser, 'which comes with the first view');
$r = $t->get("/book/$token", cookie => "doi_browser=$browser", headers =>
    { 'X-Mode' => 'ok header=Cache-Control:public,max-age=60' });
is($r->header('Set-Cookie'), undef, 'but not with the next');
is($r->header('Cache-Control'), 'public,max-age=60',
   "there the app's own Cache-Control stays");
$r = $t->get("/book/$token", headers =>
    { 'X-Mode' => 'ok header=Referrer-Policy:no-referrer' });
is($r->header('Referrer-Policy'), 'no-referrer',
   "the app's own Referrer-Policy stays");

# What goes on to the app: no token, wherever it stood

my @uris = (
    "/book/$token"                      => '/book/',
    "/book/$token?a=1"                  => '/book/?a=1',
    "/book/$token/page"                 => '/book/page',
    "/book/$token/page?x=$token&a=1"    => '/book/page?a=1',
    "/book/$token?next=/book/$token"    => qr{^/book/\?next=},
    "/book/$token?next=%2Fbook%2F$token" => qr{^/book/\?next=},
    "/go-$token.html"                   => qr{^/go-},
    "/arg?t=$token"                     => '/arg',
    "/arg?t=$token&a=1&b=2"             => '/arg?a=1&b=2',
    "/arg?a=1&t=$token&b=2"             => '/arg?a=1&b=2',
    "/arg?a=1&t=$token"                 => '/arg?a=1',
    "/arg?t=$token&t=$token"            => '/arg',
    "/arg?t=$token&a=$token&b=2"        => '/arg?b=2',
    "/arg/$token?t=$token"              => '/arg/',
    "/arg/uri/p?t=$token"               => '/app/p',
    "/arg/uri/p?a=%20&t=$token&b=%26"   => '/app/p?a=%20&b=%26',
);

while (my ($uri, $want) = splice @uris, 0, 2) {
    my $name = $uri =~ s/\Q$token\E/TOKEN/gr;

    $up->forget;
    $r = $t->get($uri, cookie => 'theme=dark; doi_browser=' . 'b' x 22
                                 . "; lang=de; doi_link_0123456789abcdef=$token",
                 headers => { Referer => "https://mail.example/?u=$uri",
                              'Idempotency-Key' => 'made-up',
                              'X-Other' => 'stays' });
    is($r->status, 200, "$name: status");

    my ($got) = $up->requests;
    my $h = $got->{headers};
    my $all = join "\n", $got->{uri}, map { "$_: $h->{$_}" } sort keys %$h;

    ref $want ? like($got->{uri}, $want, "$name: URI")
              : is($got->{uri}, $want, "$name: URI");
    is(index($all, $token), -1, "$name: no token in URI or header")
        or diag($all);
    is($h->{cookie}, 'theme=dark; lang=de', "$name: the others' cookies");
    is_deeply([ @$h{qw(referer idempotency-key)} ], [ undef, undef ],
              "$name: no Referer, no Idempotency-Key");
    is($h->{'x-other'}, 'stays', "$name: other headers");
}

# The log

my $log;
poll_until(30, sub { ($log = slurp($t->dir . '/doi.log')) =~ /%26/ });
like($log, qr{^HEAD /book/\|\Q$id\E\|fresh\|s\|200$}m, 'variables in a log');
like($log, qr{^GET /arg\?a=1&b=2\|\Q$id\E\|fresh\|s\|200$}m, '$doi_uri');
is(index($log, $token), -1, 'no token in the log');

# 10,000 looks

my @counts = parallel(4, sub {
    my $n = 0;

    for my $batch (1 .. 25) {
        my $s = $t->open_raw('');
        Doi::HTTP::send_raw($s, join '', map {
            $t->bytes($_ % 2 ? 'GET' : 'HEAD', "/fast/$token",
                      keepalive => $_ < 100)
        } 1 .. 100);
        local $/;
        my $all = <$s>;
        $n += () = $all =~ /^HTTP\/1\.1 200 OK\r$/mg;
    }

    return $n;
});

is_deeply(\@counts, [ (2500) x 4 ], '10,000 times GET and HEAD');

$up->forget;
is($t->post("/book/$token", form => { name => 'Ada' })->status, 200,
   'and the link can be redeemed');
is(scalar($up->bookings), 1, 'one booking');
is($t->get("/fast/$token")->status, 410, 'now it is used');

done_testing();
