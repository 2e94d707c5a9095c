# doi_hold: a form becomes a hold, of whatever type it is; the app sees nothing
# of it until it is confirmed, and then just what the visitor has sent.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    log_format doi "$request_method $doi_state $doi_id $doi_email";
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_mail maildir:%%DIR%%/mail from=bookings@example.org;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_token;
    doi_limit recipient off;
    doi_limit address off;
    doi_limit network off;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        access_log %%DIR%%/doi.log doi;
        location /book {
            doi_hold if=$http_x_doi email=email slot=date,time name=name
                     summary=Haircut timezone=Europe/Berlin lang=lang tz=zone;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /json {
            doi_hold email=customer.email slot=slots.0.start name=customer.name;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/confirm/(?<token>[^/]+)$ {
            doi_confirm $token start=/book;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

$t->start;

my $day = 1;

# A slot of its own for each case.

sub form {
    return { email => ' Ada.Lovelace@Example.ORG ', name => 'Ada',
             date => sprintf('2030-01-%02d', $day++), time => '09:00', @_ };
}

sub hold {
    my ($uri, %o) = @_;

    return $t->post($uri, accept => 'application/json', %o,
                    headers => { 'X-Doi' => 1, %{$o{headers} // {}} });
}

# Confirms what was held; returns what the app got.

sub confirm {
    my ($r, %o) = @_;

    my $token = $t->confirm_token($r->json->{reference}, %o);

    $up->forget;
    is($t->post("/confirm/$token", form => { action => 'confirm' })->status,
       200, 'confirmed');

    my @got = $up->posts;
    is(scalar(@got), 1, 'one request to the app');

    return $got[0];
}

# What passes

for my $method (qw(GET HEAD OPTIONS)) {
    $up->forget;
    is($t->request($method, '/book', headers => { 'X-Doi' => 1 })->status, 200,
       "$method passes");
    is(scalar($up->requests), 1, "$method reaches the app");
}

for my $off ('', '0') {
    $up->forget;
    is($t->post('/book', form => form(), headers => { 'X-Doi' => $off })
         ->status, 200, "if= is \"$off\": the POST passes");
    is(($up->posts)[0]{body} =~ tr/&//, 3, 'with its body');
}

$up->forget;

for my $method (qw(PUT PATCH DELETE)) {
    is($t->request($method, '/book', form => form(),
                   headers => { 'X-Doi' => 1 })->status, 405,
       "$method: 405");
}

is(scalar($up->requests), 0, 'and does not reach the app');

# A form, urlencoded

$up->forget;
my $form = form();
my $r = hold('/book?ref=a%20b', form => $form, cookie =>
             'session=xyz; doi_browser=aaaaaaaaaaaaaaaaaaaaaa',
             headers => { Referer => 'http://127.0.0.1/book',
                          Origin => 'http://127.0.0.1',
                          'X-CSRF-Token' => 'csrf', 'X-Other' => 'no',
                          'User-Agent' => 'Firefox',
                          'Accept-Language' => 'de' });

is($r->status, 202, 'urlencoded: 202');
is($r->header('Content-Type'), 'application/json', 'type');
like($r->json->{reference}, qr/^[\w-]{16}$/, 'reference');
is($r->json->{code}, 'check_mail', 'code');
is($r->header('Cache-Control'), 'no-store', 'not for caches');
is(scalar($up->requests), 0, 'the app saw nothing');

my $line;
poll_until(30, sub {
    ($line) = grep { /^POST held/ } split /\n/, slurp($t->dir . '/doi.log');
});
is($line, 'POST held ' . $r->json->{reference} . ' ada.lovelace@example.org',
   'variables');

my $got = confirm($r);

is($got->{method}, 'POST', 'replay: method');
is($got->{uri}, '/book?ref=a%20b', 'replay: URI');
is($got->{body}, Doi::HTTP::form_encode($form), 'replay: body');

my %h = %{$got->{headers}};

is($h{'content-type'}, 'application/x-www-form-urlencoded', 'replay: type');
is($h{'content-length'}, length $got->{body}, 'replay: length');
is($h{'cookie'}, 'session=xyz', 'replay: cookie, without our own');
is($h{'referer'}, 'http://127.0.0.1/book', 'replay: Referer');
is($h{'origin'}, 'http://127.0.0.1', 'replay: Origin');
is($h{'x-csrf-token'}, 'csrf', 'replay: guard against forged forms');
is($h{'user-agent'}, 'Firefox', 'replay: User-Agent');
is($h{'accept-language'}, 'de', 'replay: Accept-Language');
is($h{'accept'}, 'application/json', 'replay: Accept');
is($h{'x-other'}, undef, 'replay: other headers are not kept');
is($h{'idempotency-key'}, $r->json->{reference}, 'replay: Idempotency-Key');

# As a page

$r = $t->post('/book', form => form(), headers =>
              { 'X-Doi' => 1, 'Accept-Language' => 'de',
                Referer => 'http://127.0.0.1:' . $t->port . '/book?x=1#y' });
is($r->status, 202, 'page: 202');
like($r->body, qr/<html lang="de"/, 'page: language');
like($r->body, qr/ada\.lovelace\@example\.org/, 'page: address');

# multipart

sub multipart {
    my ($form, $file) = @_;

    my $body = join '', map {
        "--xYz\r\nContent-Disposition: form-data; name=\"$_\"\r\n\r\n"
        . "$form->{$_}\r\n" } sort keys %$form;
    $body .= "--xYz\r\nContent-Disposition: form-data; name=\"f\"; "
             . "filename=\"a.bin\"\r\nContent-Type: x/y\r\n\r\n$file\r\n"
        if defined $file;

    return $body . "--xYz--\r\n";
}

for my $size (0, 1000, 20000, 40000) {
    my $body = multipart(form(), pack('C*', map { $_ & 255 } 1 .. $size));
    my $type = 'multipart/form-data; boundary=xYz';

    $r = hold('/book', body => $body, type => $type);
    is($r->status, 202, "multipart, file of $size bytes: 202");
    $got = confirm($r);
    is($got->{headers}{'content-type'}, $type, 'its type');
    ok($got->{body} eq $body, 'its body, byte for byte');
}

# chunked, also beyond the buffer, in pieces

for my $size (100, 30000) {
    my $body = Doi::HTTP::form_encode(form(note => 'x' x $size));

    $r = hold('/book', chunked => [ unpack '(a777)*', $body ],
              type => 'application/x-www-form-urlencoded');
    is($r->status, 202, "chunked, $size bytes: 202");
    $got = confirm($r);
    ok($got->{body} eq $body, 'its body');
    is($got->{headers}{'transfer-encoding'}, undef, 'is not chunked any more');
    is($got->{headers}{'content-length'}, length $body, 'its length');
}

# JSON

my $json = { customer => { email => 'bob@example.com', name => "B\x{f6}b" },
             slots => [ { start => '2031-02-03T10:00Z' } ] };
$r = hold('/json', json => $json);
is($r->status, 202, 'JSON: 202');
$got = confirm($r);
is_deeply(JSON::PP->new->utf8->decode($got->{body}), $json, 'JSON: body');
is($got->{headers}{'content-type'}, 'application/json', 'JSON: type');

$json->{slots}[0]{start} = 20310204;
is(hold('/json', json => $json)->status, 202, 'JSON: a number is a value');

# a visitor who hangs up at once: the hold stands

my $gone = form(date => 'hung', time => 'up', email => 'hung@example.com');
close $t->open_raw($t->bytes(POST => '/book', form => $gone,
                             headers => { 'X-Doi' => 1 }));
ok(poll_until(30, sub {
    slurp($t->dir . '/doi.log') =~ /^POST .* hung\@example\.com$/m;
}), 'a visitor hangs up');
is(hold('/book', form => { %$gone, email => 'bob@example.com' })->status, 409,
   'and has held all the same');

# languages and zones

is(hold('/book', form => form(lang => 'de', zone => 'America/New_York'))
     ->status, 202, 'language and zone by the form');
# the end of the hold is shown in the zone of the slot

for my $zone ('', 'America/New_York') {
    my $from = time();
    my $page = $t->post('/book', form => form(zone => $zone),
                        headers => { 'X-Doi' => 1 })->body;
    my @times = do {
        local $ENV{TZ} = $zone || 'Europe/Berlin';
        POSIX::tzset();
        map { POSIX::strftime('%H:%M', localtime($_ + 86400)) }
            ($from, time());
    };
    POSIX::tzset();
    like($page, qr/\b(?:$times[0]|$times[1])\b/, "end of the hold, $zone");
}

is(hold('/book', form => form(lang => 'xx', zone => ''))->status, 202,
   'a language that there is none of, an empty zone');
is(hold('/book', form => form(date => 'the blue', time => 'room'))->status,
   202, 'a slot may be any text');

is($t->leaks, 0, 'no token in the error log');

done_testing();
