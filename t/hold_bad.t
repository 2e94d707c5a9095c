# doi_hold: forms that cannot be used get a clear answer, and leave nothing
# behind: the slot is free for the next one.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 1);
my $up = $t->upstream('app');

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
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
        large_client_header_buffers 8 32k;
        location / {
            doi_hold email=email slot=date,time name=name lang=lang tz=zone;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /json {
            doi_hold email=who.email slot=guests.0.slot;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /big {
            client_max_body_size 8m;
            doi_hold email=email slot=slot;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

$t->start;

my %good = (email => 'ada@example.org', name => 'Ada', date => '2030-01-01',
            time => '09:00');

sub without {
    my (@names) = @_;

    my %form = %good;
    delete @form{@names};

    return \%form;
}

sub problem {
    my ($name, $status, $code, $field, @request) = @_;

    my $r = $t->post(@request, accept => 'application/json');

    is($r->status, $status, "$name: $status");

    my $json = $r->json // {};
    is($json->{code}, $code, "$name: $code");
    is($json->{field}, $field, "$name: field") if defined $field;

    # as a page
    $r = $t->post(@request);
    is($r->status, $status, "$name: the page, too");
    like($r->body, qr/<h1>/, "$name: is one");
}

# Fields

for (
    [ 'no email',          'email', without('email') ],
    [ 'no time',           'time',  without('time') ],
    [ 'nothing',           'email', {} ],
    [ 'empty email',       'email', { %good, email => '' } ],
    [ 'blank email',       'email', { %good, email => "  \t " } ],
    [ 'empty slot',        'date',  { %good, date => '' } ],
    [ 'blank slot',        'time',  { %good, time => '  ' } ],
    [ 'email twice',       'email', [ %good, email => 'bob@example.org' ] ],
    [ 'email twice, same', 'email', [ %good, email => $good{email} ] ],
    [ 'slot twice',        'date',  [ %good, date => '2030-01-02' ] ],
    [ 'name twice',        'name',  [ %good, name => 'Bob' ] ],
    [ 'no @',              'email', { %good, email => 'ada.example.org' } ],
    [ 'no domain',         'email', { %good, email => 'ada@' } ],
    [ 'one label',         'email', { %good, email => 'ada@localhost' } ],
    [ 'two addresses',     'email',
      { %good, email => 'ada@example.org, bob@example.org' } ],
    [ 'two addresses, ;',  'email',
      { %good, email => 'ada@example.org;bob@example.org' } ],
    [ 'two addresses, blank', 'email',
      { %good, email => 'ada@example.org bob@example.org' } ],
    [ 'display name',      'email',
      { %good, email => 'Ada <ada@example.org>' } ],
    [ 'CR LF in the address', 'email',
      { %good, email => "ada\@example.org\r\nBcc: eve\@example.org" } ],
    [ 'NUL in the address', 'email', { %good, email => "ada\0\@example.org" } ],
    [ 'CR LF in the name', 'name', { %good, name => "Ada\r\nBcc: eve" } ],
    [ 'NUL in the name',   'name', { %good, name => "A\0da" } ],
    [ 'NUL in the slot',   'date', { %good, date => "2030\0-01-01" } ],
    [ 'not UTF-8, name',   'name', { %good, name => "Ad\xff" } ],
    [ 'not UTF-8, address', 'email',
      { %good, email => "ad\xff\@example.org" } ],
    [ 'not UTF-8, slot',   'time', { %good, time => "9\xc0\x80" } ],
    [ 'direction of writing', 'name', { %good, name => "Ada\xe2\x80\xae" } ],
    [ 'long address',      'email',
      { %good, email => ('a' x 300) . '@example.org' } ],
    [ 'long name',         'name', { %good, name => 'x' x 256 } ],
    [ 'slot of 10 kB',     'date', { %good, date => 'x' x 10000 } ],
    [ 'slot of 256 bytes in two', 'time',
      { %good, date => 'x' x 128, time => 'y' x 127 } ],
    [ 'zone',              'zone', { %good, zone => 'Europe/Nowhere' } ],
    [ 'zone, a path',      'zone', { %good, zone => '../../etc/passwd' } ],
    [ 'zone, long',        'zone', { %good, zone => 'x' x 65 } ],
    [ 'lang, long',        'lang', { %good, lang => 'x' x 36 } ],
) {
    my ($name, $field, $form) = @$_;

    problem($name, 422, 'form', $field, '/', form => $form);
}

# Texts that say what is wrong

for (
    [ qr/email address/i, { %good, email => 'ada' } ],
    [ qr/one email/i,     { %good, email => 'a@b.org,c@d.org' } ],
    [ qr/too long/i,      { %good, name => 'x' x 256 } ],
    [ qr/twice/i,         [ %good, name => 'x' ] ],
    [ qr/missing/i,       without('email') ],
    [ qr/time zone/i,     { %good, zone => 'Mars' } ],
    [ qr/characters/i,    { %good, name => "\x01" } ],
) {
    like($t->post('/', form => $_->[1])->body, $_->[0], "text: $_->[0]");
}

my $r = $t->post('/', form => { %good, email => '<script>@x' });
unlike($r->body, qr/<script>/, 'nothing of the form comes back as markup');

# Bodies

my $url = 'application/x-www-form-urlencoded';
my $multi = 'multipart/form-data; boundary=b';
my $part = "--b\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\n"
           . "ada\@example.org\r\n";

for (
    [ 'empty',                  $url, '' ],
    [ 'broken percent sign',    $url, 'email=a%4&date=x&time=y' ],
    [ '600 fields',             $url, join '&', map { "f$_=1" } 1 .. 600 ],
    [ 'multipart, empty',       $multi, '' ],
    [ 'multipart, no end',      $multi, $part ],
    [ 'multipart, cut',         $multi, substr($part, 0, 40) ],
    [ 'multipart, no boundary', 'multipart/form-data', "$part--b--\r\n" ],
    [ 'multipart, wrong one',   'multipart/form-data; boundary=c',
      "$part--b--\r\n" ],
    [ 'multipart, no name',     $multi,
      "--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n" ],
) {
    problem($_->[0], 422, 'form', undef, '/', type => $_->[1], body => $_->[2]);
}

for (
    [ 'JSON, empty',        '' ],
    [ 'JSON, broken',       '{"who":' ],
    [ 'JSON, depth 10,000', '[' x 10000 . ']' x 10000 ],
    [ 'JSON, objects, depth 4,000', '{"a":' x 4000 . '1' . '}' x 4000 ],
    [ 'JSON, not UTF-8',    "{\"who\":{\"email\":\"\xff\"}}" ],
    [ 'JSON, NUL',          '{"who":{"email":"a\u0000@example.org"}}' ],
    [ 'JSON, twice',
      '{"who":{"email":"a@example.org","email":"b@example.org"}}' ],
    [ 'JSON, a string',     '"x"' ],
    [ 'JSON, null',         '{"who":null}' ],
    [ 'JSON, an array',     '[1,2]' ],
    [ 'JSON, a list of addresses',
      '{"who":{"email":["a@example.org"]},"guests":[{"slot":"x"}]}' ],
    [ 'JSON, an object',
      '{"who":{"email":{"a":1}},"guests":[{"slot":"x"}]}' ],
    [ 'JSON, true',
      '{"who":{"email":true},"guests":[{"slot":"x"}]}' ],
    [ 'JSON, no guest',
      '{"who":{"email":"a@example.org"},"guests":[]}' ],
    [ 'JSON, guests is no list',
      '{"who":{"email":"a@example.org"},"guests":"x"}' ],
) {
    problem($_->[0], 422, 'form', undef, '/json', type => 'application/json',
            body => $_->[1]);
}

# Types

for (undef, '', 'text/plain', 'application/xml', 'application/octet-stream') {
    problem('type ' . ($_ // 'none'), 415, 'type', undef, '/', type => $_,
            body => 'email=ada@example.org&date=x&time=y');
}

is($t->http_raw(join "\r\n", 'POST / HTTP/1.1', 'Host: x',
                "Content-Type: $url", 'Content-Type: application/json',
                'Content-Length: 1', 'Connection: close', '', 'x')->status,
   415, 'two types');

problem('compressed', 415, 'type', undef, '/', type => $url, body => 'x',
        headers => { 'Content-Encoding' => 'gzip' });

# Sizes: by Content-Length, chunked, a field of 1 MB, and what comes with it

problem('60,000 bytes', 413, 'large', undef, '/',
        form => { %good, note => 'x' x 60000 });
problem('60,000 bytes, chunked', 413, 'large', undef, '/', type => $url,
        chunked => [ map { 'x' x 1000 } 1 .. 60 ]);
problem('49,000 bytes and headers', 413, 'large', undef, '/',
        form => { %good, note => 'x' x 48000 }, cookie => 'c=' . 'y' x 2000);
problem('1 MB', 413, 'large', undef, '/big',
        form => { email => 'ada@example.org', slot => 'x' x 1048576 });
is($t->post('/', form => { %good, note => 'x' x 2000000 })->status, 413,
   '2 MB: more than client_max_body_size');

# What was held of all that: nothing

is(scalar($up->requests), 0, 'the app saw nothing');
is($t->post('/', form => \%good)->status, 202, 'the slot is free');

# A client that goes away within its body

my $s = $t->open_raw("POST / HTTP/1.1\r\nHost: x\r\nContent-Type: $url\r\n"
                     . "Content-Length: 100\r\n\r\nemail=ada");
close $s;

is($t->post('/', form => { %good, date => '2030-02-01' })->status, 202,
   'and the next one is served');

is((grep { /ada\@|eve\@|bob\@/ } $t->grep_log(qr/doi:/)), 0,
   'no address in the error log');

done_testing();
