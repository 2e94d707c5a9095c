# Calls to the API that are wrong: a problem that says what, and nothing is
# minted.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /api/ { doi_api read mint resolve; }
        location /read/ { doi_api read; }
        location /mint/ { doi_api mint; }
        location /resolve/ { doi_api resolve; }
        location /small/ { doi_api mint; client_max_body_size 1k; }
        location = /metrics { doi_metrics; }
    }
}
EOC

sub problem {
    my ($name, $r, $status, $code, $detail) = @_;

    my $j = $r->json;

    is($r->status, $status, "$name: status $status") or diag($r->raw);
    is($r->header('Content-Type'), 'application/problem+json',
       "$name: a problem");
    is(ref $j, 'HASH', "$name: JSON") or return;
    is_deeply([ @$j{qw(status code)} ], [ $status, $code ],
              "$name: status and code");
    like($j->{detail} // '', $detail // qr/\w/, "$name: detail");
}

sub links { $t->post('/api/links', type => 'application/json', body => $_[0]) }
sub minted { $t->metrics->{doi_links_minted_total} }

is(links('{}')->status, 201, 'a good one');
is(minted(), 1, 'is counted');

# Not JSON, not an object

for (
    [ 'empty',                 '' ],
    [ 'blanks',                " \n" ],
    [ 'text',                  'hello' ],
    [ 'cut off',               '{"ttl":' ],
    [ 'a comma too many',      '{"ttl":1,}' ],
    [ 'something behind it',   '{} {}' ],
    [ 'a comment',             '{} // x' ],
    [ 'single quotes',         "{'ttl':1}" ],
    [ 'an array',              '[{}]',           qr/object/ ],
    [ 'a string',              '"{}"' ],
    [ 'a number',              '1' ],
    [ 'null',                  'null' ],
    [ 'a form',                'ttl=60' ],
    [ 'the same field twice',  '{"ttl":60,"ttl":61}', qr/duplicate/ ],
    [ 'the same, escaped',     '{"ttl":60,"\u0074tl":61}', qr/duplicate/ ],
    [ '10,000 deep',           '[' x 10000 . ']' x 10000 ],
    [ '10,000 deep in meta',   '{"meta":' . '{"a":' x 10000 . '1'
                               . '}' x 10000 . '}' ],
    [ 'broken UTF-8',          "{\"scope\":\"\xff\"}" ],
    [ 'an overlong zero',      "{\"scope\":\"a\xc0\x80b\"}" ],
    [ 'a zero in a string',    '{"scope":"a\u0000b"}', qr/u0000/ ],
    [ 'half a pair',           '{"scope":"\ud800"}' ],
    [ 'UTF-16',                "\xff\xfe{\0}\0" ],
    [ 'a zero byte',           "{}\0" ],
    [ 'a huge number',         '{"ttl":1e999}' ],
    [ 'beyond 64 bits',        '{"ttl":99999999999999999999}' ],
) {
    my ($name, $body, $detail) = @$_;

    problem($name, links($body), 400, 'json', $detail);
}

# Fields

for (
    [ scope => 1, [], {}, \1, undef, 's' x 256 ],
    [ ttl   => 0, -1, 1.5, \1, [], {}, undef, '', '0', '-1h', 'soon', '5x',
               '1.5h', 2 ** 32, 2 ** 53, 4294967295, '999999999999d', '150y' ],
    [ uses  => 0, -1, 1.5, '1', 1001, [], undef ],
    [ count => 0, -1, 1.5, '1', 10001, [], undef, 2 ** 40 ],
    [ meta  => 1, 'x', [], undef, { a => 'x' x 2048 } ],
) {
    my ($field, @values) = @$_;

    for my $value (@values) {
        my $json = JSON::PP->new->canonical->allow_nonref;
        my $shown = substr($json->encode($value), 0, 40);

        problem("$field $shown", $t->post('/api/links',
                json => { $field => $value }), 400, 'field', qr/"$field"/);
    }
}

problem('much meta for many links', $t->post('/api/links', json => {
        count => 500, meta => { a => 'x' x 64000 } }), 400, 'field',
        qr/"meta"/);

for my $field (qw(Scope expires url x), 'y' x 5000, "a\nb", "\x{e9}", '%s%n') {
    my $shown = substr($field, 0, 100);

    utf8::encode(my $bytes = $field);
    my $r = $t->post('/api/links', json => { $field => 1, scope => 's' });

    problem('unknown field ' . ($shown =~ s/\n/\\n/r), $r, 400,
            'unknown_field', qr/\Q$shown\E/);
}

# Content type

problem("content type $_", $t->post('/api/links', body => '{}', type => $_),
        415, 'content_type', qr/application\/json/)
    for 'application/x-www-form-urlencoded', 'text/plain', 'application/jsonx',
        'multipart/form-data; boundary=x', 'application/problem+json', '';
problem('no content type', $t->post('/api/links', body => '{}'), 415,
        'content_type');

# Size

my $big = '{"scope":"' . 's' x 66000 . '"}';

problem('too large', links($big), 413, 'too_large', qr/65536/);
problem('too large, chunked', $t->post('/api/links',
        type => 'application/json', body => $big, chunked => 1), 413,
        'too_large');
problem('too large by the header', $t->post('/api/links', body => '{}',
        type => 'application/json',
        headers => { 'Content-Length' => 1000000 }), 413, 'too_large');
is($t->post('/small/links', json => { scope => 's' x 2000 })->status, 413,
   'client_max_body_size');
is($t->post('/small/links', type => 'application/json',
            body => '{"scope":"' . 's' x 2000 . '"}', chunked => 1)->status,
   413, 'client_max_body_size, chunked');
problem('60,000 bytes', links('{' . ' ' x 60000 . '"x":1}'), 400,
        'unknown_field');

# Paths and methods

my $id = links('{}')->json->{id};
my $minted = minted();

problem('GET ' . substr($_, 0, 40), $t->get($_), 404, 'not_found')
    for '/api/', '/api/link', '/api/linksx', '/api/contacts', '/api/links/x',
        "/api/links/${id}x", '/api/links/' . substr($id, 1),
        "/api/links/$id/x", "/api/links/$id/resolve/x",
        '/api/links/' . 'A' x 2000, '/api/links/!!!!!!!!!!!!!!!!';

for (
    [ PUT    => '/api/links',              'GET, HEAD, POST' ],
    [ DELETE => '/api/links',              'GET, HEAD, POST' ],
    [ PATCH  => '/api/links',              'GET, HEAD, POST' ],
    [ POST   => "/api/links/$id",          'GET, HEAD, DELETE' ],
    [ PUT    => "/api/links/$id",          'GET, HEAD, DELETE' ],
    [ GET    => "/api/links/$id/resolve",  'POST' ],
    [ DELETE => "/api/links/$id/resolve",  'POST' ],
) {
    my ($method, $uri, $allow) = @$_;
    my $r = $t->request($method, $uri);

    problem("$method $uri", $r, 405, 'method');
    is($r->header('Allow'), $allow, "$method $uri: Allow");
}

# Permissions

my $resolve = { outcome => 'used', reason => 'x' };

problem("permission: @$_[0, 1]", $t->request(@$_), 403, 'permission',
        qr/doi_api/)
    for [ POST => '/read/links', json => {} ],
        [ DELETE => "/read/links/$id" ],
        [ POST => "/read/links/$id/resolve", json => $resolve ],
        [ GET => '/mint/links' ], [ GET => "/mint/links/$id" ],
        [ POST => "/mint/links/$id/resolve", json => $resolve ],
        [ GET => "/resolve/links/$id" ], [ DELETE => "/resolve/links/$id" ],
        [ POST => '/resolve/links', json => {} ];

# Resolve

for my $json ({}, { outcome => 'used' }, { reason => 'x' },
              { outcome => 'lost', reason => 'x' },
              { outcome => 1, reason => 'x' },
              { outcome => 'used', reason => '' },
              { outcome => 'used', reason => 'x' x 513 },
              { outcome => 'used', reason => [] },
              { %$resolve, slot => -1 }, { %$resolve, slot => 1000 },
              { %$resolve, slot => '0' })
{
    problem('resolve ' . substr(JSON::PP->new->canonical->encode($json), 0, 60),
            $t->post("/api/links/$id/resolve", json => $json), 400, 'field');
}

problem('resolve with an unknown field', $t->post("/api/links/$id/resolve",
        json => { %$resolve, actor => 'me' }), 400, 'unknown_field',
        qr/"actor"/);

# After all that

is(minted(), $minted, 'nothing was minted');
is($t->get("/api/links/$id")->json->{state}, 'fresh', 'nothing was changed');
is(scalar(@{$t->get('/api/links')->json->{links}}), 2,
   'nothing is in the store but two good ones');

done_testing();
