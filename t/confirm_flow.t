# doi_confirm: the link may be opened any number of times; one click makes the
# booking; afterwards it is shown.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    log_format doi '$request_method $status $doi_state [$doi_id] '
                   '[$doi_idempotency_key] $doi_email $doi_uri';
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_mail maildir:%%DIR%%/mail from=bookings@example.org;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_scope/$doi_token;
    doi_owner name=Grace email=grace@example.org;
    doi_limit recipient off;
    doi_limit address off;
    doi_limit network off;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        access_log %%DIR%%/doi.log doi;
        location ~ ^/book/(?<cal>\w+)$ {
            doi_hold email=email slot=slot name=name scope=$cal
                     "summary=Haircut & more";
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/confirm/(?<cal>\w+)/(?<token>[^/]+)$ {
            doi_confirm $token scope=$cal start=/book/$cal;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }

        # other ways to go on
        location /rewritten/ {
            rewrite ^/rewritten/(.*)$ /app/$1?from=rewrite break;
            doi_hold email=email slot=slot;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /with/uri/ {
            doi_confirm $arg_t;
            proxy_pass http://127.0.0.1:%%PORT:app%%/other/;
        }
        location /by/variable/ {
            doi_confirm $arg_t;
            proxy_pass http://127.0.0.1:%%PORT:app%%$request_uri;
        }
        location /plain/ {
            doi_confirm $arg_t;
            proxy_http_version 1.1;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /form/ {
            doi_hold email=email slot=slot;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

$t->start;

my $n = 0;

sub hold {
    my ($where, %o) = @_;

    my $r = $t->post($where, form => { email => 'ada@example.org',
                                       name => 'Ada',
                                       slot => 'slot ' . $n++ },
                     accept => 'application/json', %o);
    is($r->status, 202, "held at $where");

    return $r->json->{reference};
}

my $id = hold('/book/red');
my $token = $t->confirm_token($id, scope => 'red');
my $link = "/confirm/red/$token";

# A look, and another one: people, scanners, previews

my $r;

for my $method (qw(GET HEAD OPTIONS GET)) {
    $r = $t->request($method, $link);
    is($r->status, 200, "$method: 200");
    is($r->header('Cache-Control'), 'no-store', "$method: no-store");
    is($r->header('X-Robots-Tag'), 'noindex', "$method: noindex");
}

like($r->body, qr/<button[^>]* value="confirm"/, 'a button to confirm');
like($r->body, qr/<button[^>]* value="cancel"/, 'a button to say no');
like($r->body, qr/Haircut &amp; more/, 'what it is about');
like($r->body, qr/ada\@example\.org/, 'whose it is');
unlike($r->body, qr/name="code"/, 'no code is asked for');
ok($r->cookie('doi_browser'), 'the browser is known from now on');

is($t->put($link)->status, 405, 'PUT: 405');
is(scalar($up->requests), 0, 'a look changes nothing');

# Who may not click

for (
    [ 403, "/confirm/blue/$token" ],
    [ 403, '/confirm/red/' . $t->mint(scope => 'red') ],
    [ 403, '/confirm/red/nonsense' ],
    [ 403, $link . 'A' ],
    [ 403, $link, headers => { Origin => 'https://evil.example' } ],
    [ 403, $link, headers => { Origin => 'null' } ],
    [ 422, $link, form => {} ],
    [ 422, $link, form => { action => 'delete' } ],
    [ 422, $link, form => { action => '' } ],
    [ 422, $link, form => [ action => 'confirm', action => 'cancel' ] ],
    [ 422, $link, form => [ action => 'confirm', code => 1, code => 2 ] ],
    [ 422, $link, body => 'action=%zz',
      type => 'application/x-www-form-urlencoded' ],
    [ 415, $link, body => 'action=confirm' ],
    [ 415, $link, json => { action => 'confirm' } ],
    [ 413, $link, form => { action => 'confirm', x => 'x' x 5000 } ],
    [ 413, $link, type => 'application/x-www-form-urlencoded',
      chunked => [ 'action=confirm&x=', map { 'x' x 1000 } 1 .. 5 ] ],
) {
    my ($status, $uri, %o) = @$_;

    $o{form} = { action => 'confirm' } unless grep { defined } @o{qw(form body
                                              json chunked)};
    $r = $t->post($uri, %o);
    is($r->status, $status, "refused with $status");
}

is(scalar($up->requests), 0, 'nothing of that reached the app');
is($t->get($link)->status, 200, 'and it can still be confirmed');

# The click

$r = $t->post($link, form => { action => 'confirm' }, cookie => 'theme=dark',
              headers => { Origin => 'http://127.0.0.1:' . $t->port,
                           Referer => "http://127.0.0.1$link",
                           'If-Unmodified-Since' =>
                               'Sat, 01 Jan 2000 00:00:00 GMT',
                           'If-Match' => '"x"', Range => 'bytes=0-1',
                           'Sec-Fetch-Site' => 'same-origin',
                           'Idempotency-Key' => 'made-up' });
is($r->status, 200, 'the click: 200');
like($r->body, qr/<h1>[^<]*(?:booked|confirmed)/i, 'it is booked');
like($r->body, qr/Haircut &amp; more/, 'what');
is(scalar($up->requests), 1, 'one request to the app');

my ($got) = $up->posts;

is($got->{uri}, '/book/red', 'its URI');
is($got->{headers}{'idempotency-key'}, $id, 'its Idempotency-Key');
is($got->{headers}{$_}, undef, "$_ of the click is not there")
    for qw(cookie referer origin range if-match if-unmodified-since
           sec-fetch-site);
is(index(join(' ', map { $_ // '' } %$got, %{$got->{headers}}), $token), -1,
   'no token in it');

# Afterwards

for my $go (sub { $t->get($link) },
            sub { $t->post($link, form => { action => 'confirm' }) },
            sub { $t->post($link, form => { action => 'cancel' }) }) {
    my $ok = poll_until(30, sub { $r = $go->(); $r->status == 200 });
    ok($ok, 'afterwards: 200') or diag $r->status;
    like($r->body, qr/<h1>[^<]*(?:booked|confirmed)/i, 'it is booked');
    unlike($r->body, qr/value="confirm"/, 'no button any more');
}

$r = $t->get($link, accept => 'application/json');
is($r->json->{code}, 'booked', 'as JSON');
is($r->header('Content-Type'), 'application/json', 'type');
is(scalar($up->requests), 1, 'still one request');

my @log;
poll_until(30, sub {
    @log = split /\n/, slurp($t->dir . '/doi.log');
    grep { /^POST 200 confirmed/ } @log;
});
my ($line) = grep { /^POST 200 confirmed/ } @log;
is($line, "POST 200 confirmed [$id] [$id] ada\@example.org /confirm/red/",
   'variables');
is((grep { /\Q$token/ } @log), 0, 'no token by $doi_uri');

# HTTP/1.1 keepalive: the next request on the connection is its own

$id = hold('/form/a');
$token = $t->confirm_token($id);
my $s = $t->open_raw('');
my $body = 'action=confirm';
$r = Doi::HTTP::exchange($s, $t->bytes(POST => "/plain/?t=$token",
         type => 'application/x-www-form-urlencoded', keepalive => 1,
         chunked => [ split //, $body ]), method => 'POST');
is($r->status, 200, 'a chunked click');
$r = Doi::HTTP::exchange($s, $t->bytes(GET => "/plain/?t=$token"));
is($r->status, 200, 'then a look on the same connection');
like($r->body, qr/<h1>[^<]*(?:booked|confirmed)/i, 'it is booked');

# Where it goes

for (
    [ '/form/x%2Fy?a=%41',   '/plain/',       '/form/x%2Fy?a=%41' ],
    [ '/form//z',            '/plain/',       '/form//z' ],
    [ '/form/x%20y?a=b',     '/with/uri/',    '/form/x%20y?a=b' ],
    [ '/form/v',             '/with/uri/',    '/form/v' ],
    [ '/form/x%20y?a=b',     '/by/variable/', '/form/x%20y?a=b' ],
    [ '/rewritten/q%20r?a=b', '/plain/',      '/app/q%20r?from=rewrite&a=b' ],
) {
    my ($where, $how, $want) = @$_;

    $id = hold($where);
    $up->forget;
    is($t->post("$how?t=" . $t->confirm_token($id),
                form => { action => 'confirm' })->status, 200,
       "$where, confirmed at $how");
    is(($up->posts)[0]{uri}, $want, "goes to $want");
}

# A large one, by a small click

$id = hold('/form/large', form => undef, type => 'application/json',
           body => undef, json => { email => 'ada@example.org', slot => 'large',
                                    note => 'x' x 40000 });
$up->forget;
is($t->post('/plain/?t=' . $t->confirm_token($id),
            form => { action => 'confirm' })->status, 200, '40 kB');
is(length(($up->posts)[0]{body}), ($up->posts)[0]{headers}{'content-length'},
   'its length');

# The page is for who clicks, whatever the form was sent by

$id = hold('/form/lang', headers => { 'Accept-Language' => 'en' });
$r = $t->post('/plain/?t=' . $t->confirm_token($id),
              form => { action => 'confirm' }, accept => 'text/html',
              headers => { 'Accept-Language' => 'de' });
is($r->header('Content-Language'), 'de', 'in the language of the click');
like($r->header('Content-Type'), qr{^text/html}, 'as a page');

# While it is under way: the same browser waits, another one is told

$id = hold('/form/slow');
$link = '/plain/?t=' . $t->confirm_token($id);

my ($browser) = $t->get($link)->raw =~ /(doi_browser=[\w-]+)/;

$up->forget;
$up->mode('slow', until => 'answer');
$s = $t->open_raw($t->bytes(POST => $link, form => { action => 'confirm' },
                            cookie => $browser));
ok(poll_until(30, sub { scalar $up->requests }), 'it is under way');

$r = $t->get($link, cookie => $browser);
is($r->status, 409, 'this browser: 409');
like($r->header('Refresh'), qr/^2; url=/, 'looks again by itself');
$r = $t->get($link, accept => 'application/json');
is($r->status, 409, 'another one: 409');
is($r->json->{code}, 'claimed', 'claimed');
like($r->header('Retry-After'), qr/^[1-5]$/, 'Retry-After');
is($t->post($link, form => { action => $_ })->status, 409, "$_: 409")
    for qw(confirm cancel);
$t->write_file('answer', '');
ok(poll_until(30, sub { $t->get($link)->status == 200 }), 'then it is booked');
is(scalar($up->posts), 1, 'once');
$up->mode('ok');
close $s;

# A booking that nobody has made

$token = $t->mint(purpose => 'confirm', scope => 'red');
$r = $t->get("/confirm/red/$token");
is($r->status, 410, 'genuine, without a booking: 410');
like($r->body, qr{href="/book/red"}, 'start again');
is($t->post("/confirm/red/$token", form => { action => 'confirm' })->status,
   410, 'POST: 410');

$token = $t->mint(purpose => 'confirm', scope => 'red', ttl => -1);
is($t->get("/confirm/red/$token")->status, 410, 'expired token: 410');

is($t->leaks, 0, 'no token in the error log');

done_testing();
