# Redeeming a link: the POST goes to the app once, whole, and with a key; what
# everyone is told afterwards, and while it is going on.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    log_format doi "$request_method $doi_idempotency_key $doi_state";
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_owner "name=Ada's <b>Salon</b>" email=ada@example.com
              "phone=+49 30 1234" url=https://salon.example/;
    client_body_buffer_size 8k;
    client_max_body_size 4m;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        access_log %%DIR%%/doi.log doi;
        location ~ ^/book/(?<token>[^/]+)$ {
            doi_link $token scope=s;
            proxy_set_header X-Key $doi_idempotency_key;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

$t->start;

my %seen;

sub link { '/book/' . $t->mint(scope => 's') }

# Bodies arrive as they were sent

my $form = 'name=Ada+L%C3%B6velace&slot=9%3A30&empty=';
my $multi = "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\""
            . "\r\n\r\n" . join('', map { chr $_ % 256 } 0 .. 999)
            . "\r\n--x--\r\n";
my $large = join '', map { "line $_ of a large booking\n" } 1 .. 8000;

my @bodies = (
    [ 'urlencoded', $form,  type => 'application/x-www-form-urlencoded' ],
    [ 'multipart',  $multi, type => 'multipart/form-data; boundary=x' ],
    [ 'JSON',       '{"a":[1,2]}', type => 'application/json' ],
    [ 'chunked',    $form,  type => 'text/plain',
                            chunked => [ $form =~ /(.{1,7})/g ] ],
    [ 'large',      $large, type => 'text/plain' ],
    [ 'large and chunked', $large, type => 'text/plain',
                            chunked => [ unpack '(a5000)*', $large ] ],
    [ 'empty',      '',     type => 'text/plain' ],
    [ 'empty and chunked', '', type => 'text/plain', chunked => [''] ],
);

for (@bodies) {
    my ($name, $body, %o) = @$_;
    my $link = &link;

    $up->forget;
    my $r = $t->post("$link?a=1", body => $body, %o);
    is($r->status, 200, "$name: status");
    like($r->header('X-Booking-Id'), qr/^\d+$/, "$name: the app's answer");

    my @got = $up->requests;
    is(scalar(@got), 1, "$name: one request");
    is($got[0]{method} . ' ' . $got[0]{uri}, 'POST /book/?a=1',
       "$name: method, URI");
    ok($got[0]{body} eq $body, "$name: body of " . length($body) . ' bytes');
    is($got[0]{headers}{'content-type'}, $o{type}, "$name: type");

    my $key = $got[0]{headers}{'idempotency-key'};
    like($key, qr/^[\w-]{16,}(?:\.\d+)?$/, "$name: Idempotency-Key");
    ok(!$seen{$key}++, "$name: of its own");
    is($got[0]{headers}{'x-key'}, $key, "$name: \$doi_idempotency_key");
    is($r->header('Cache-Control'), 'no-store', "$name: not for caches");
}

# Afterwards

my $link = &link;
my $browser = $t->get($link)->cookie('doi_browser');
like($browser, qr/^[\w-]{22}$/, 'the first look gives a cookie');

my $r = $t->post($link, form => { name => 'Ada' },
                 cookie => "doi_browser=$browser");
is($r->status, 200, 'booked');
is($r->cookie('doi_browser'), undef, 'no second cookie');
$up->forget;

for my $method (qw(GET HEAD POST OPTIONS)) {
    $r = $t->request($method, $link, body => 'name=Eve');
    is($r->status, 410, "$method by somebody else");
    is($r->header('Content-Type'), 'text/html; charset=utf-8', "$method: HTML");
    is($r->header('Cache-Control'), 'no-store', "$method: Cache-Control");

    $r = $t->request($method, $link, cookie => "doi_browser=$browser");
    is($r->status, 200, "$method by the same browser");
    like($r->body, $method eq 'HEAD' ? qr/^\z/
                                     : qr/<h1>Your booking is confirmed/,
         "$method: confirmed");
}

my $html = $t->get($link)->body;
like($html, qr/<h1>This link has already been used/, 'used: heading');
like($html, qr/Ada(?:'|&#39;|&#x27;)s &lt;b&gt;Salon/, 'the owner, escaped');
like($html, qr/mailto:ada\@example\.com/, 'mail');
like($html, qr/tel:\+49301234|tel:\+4930 ?1234/, 'phone');
like($html, qr/href="https:\/\/salon\.example\/"/, 'web');

$r = $t->get($link, accept => 'application/json');
is($r->header('Content-Type'), 'application/problem+json', 'used as JSON');
is($r->json->{status}, 410, 'JSON: status');
is($r->json->{code}, 'used', 'JSON: code');
is_deeply($r->json->{contact},
          { name => "Ada's <b>Salon</b>", email => 'ada@example.com',
            phone => '+49 30 1234', url => 'https://salon.example/' },
          'JSON: contact');

$r = $t->post($link, accept => 'application/json', body => '{}',
              cookie => "x=y; doi_browser=$browser");
is($r->status, 200, 'confirmed as JSON');
is($r->header('Content-Type'), 'application/json', 'which is no problem');
is($r->json->{code}, 'confirmed', 'JSON: code');
like($r->json->{booked_at}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/,
     'JSON: when');

is($t->get($link, cookie => 'doi_browser=' . 'x' x 22)->status, 410,
   "another browser's cookie");
is(scalar($up->requests), 0, 'the app saw nothing of all that');

# A first POST without a cookie gets one, too

$link = &link;
$r = $t->post($link, form => { a => 1 });
is($t->get($link, cookie => 'doi_browser=' . $r->cookie('doi_browser'))->status,
   200, 'the cookie of a POST that was the first request');

# While it is going on

$link = &link;
$browser = $t->get($link)->cookie('doi_browser');
$up->forget;

my $s = $t->open_raw($t->bytes('POST', $link, form => { name => 'Ada' },
                               headers => { 'X-Mode' => 'slow until=go' },
                               cookie => "doi_browser=$browser"));
ok(poll_until(30, sub { $up->bookings == 1 }), 'the app is at it');

for my $method (qw(POST GET)) {
    $r = $t->request($method, $link, form => { name => 'Ada' },
                     cookie => "doi_browser=$browser");
    is($r->status, 409, "double-click, $method: pending");
    like($r->header('Refresh'), qr/^\d+; url=\Q$link\E$/, "$method: Refresh");
    like($r->body, qr/<h1>Your booking is being processed/, "$method: page");

    $r = $t->request($method, $link, form => { name => 'Eve' });
    is($r->status, 409, "somebody else, $method: claimed");
    like($r->header('Retry-After'), qr/^[1-9]\d?$/, "$method: Retry-After");
    is($r->header('Refresh'), undef, "$method: no Refresh");
    like($r->body, qr/<h1>Someone is booking right now/, "$method: page");
}

$r = $t->post($link, accept => 'application/json', body => '');
is($r->json->{code}, 'claimed', 'claimed as JSON');

$t->write_file('go', '');
is(Doi::HTTP::exchange($s, undef)->status, 200, 'the first click is through');
close $s;
is($t->get($link, cookie => "doi_browser=$browser")->status, 200, 'confirmed');
is($t->get($link)->status, 410, 'used, for the others');
is(scalar($up->posts), 1, 'one request to the app');

like(slurp($t->dir . '/doi.log'), qr/^POST ([\w.-]+) used$/m,
     '$doi_state of a redemption');

done_testing();
