# POST links: what comes back, and that it works.

use lib 't/lib';
use Doi;

use Digest::SHA qw(hmac_sha256);
use MIME::Base64 qw(decode_base64url encode_base64url);

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=64m;
    doi_key 7 file:%%KEY%%;
    doi_key 1 file:%%KEY:other%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location ~ ^/book/(?<cal>[^/]*)/(?<token>[^/]+)$ {
            doi_link $token scope=$cal;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read mint; }
        location /url/ {
            doi_api mint;
            doi_base_url https://book.example.com/;
            doi_url link /b/$doi_scope/$doi_token?from=mail;
        }
        location /host/ {
            doi_api mint;
            doi_base_url https://$arg_h.example.com;
            doi_url link /$doi_token;
        }
        location /nopath/ {
            doi_api mint;
            doi_base_url https://book.example.com;
        }
        location = /metrics { doi_metrics; }
    }
}
EOC

sub mint {
    my ($json, $uri) = @_;

    return $t->post($uri // '/api/links', json => $json);
}

# Is it what the independent code would have made of its fields?

sub valid {
    my ($token, $scope) = @_;

    my $f = token_fields($token);

    return $token eq Doi::Token::mint(secret => $t->secret, key_id => 7,
        scope => $scope, expires => $f->{expires}, minted => $f->{minted},
        random => substr(decode_base64url($f->{id}), 4));
}

# Defaults

my $from = time();
my $r = mint({});
my $j = $r->json;

is($r->status, 201, 'minted');
is($r->header('Content-Type'), 'application/json', 'content type');
is($r->header('Cache-Control'), 'no-store', 'not to be stored');
is_deeply([ sort keys %$j ], [ qw(expires id token url uses) ], 'members');

my $f = token_fields($j->{token});

is($j->{id}, substr($j->{token}, 8, 16), 'the id is characters 8 to 23');
is($j->{id}, $f->{id}, 'which are bytes 6 to 17');
is($j->{url}, undef, 'no doi_base_url, no url');
is($j->{uses}, 1, 'one use');
is($j->{expires}, $f->{expires}, 'expires is that of the token');
is($j->{expires} - $f->{minted}, 7 * 86400, 'a week');
ok($f->{minted} >= $from && $f->{minted} <= time() + 1, 'minted now');
is_deeply([ @$f{qw(version purpose key_id)} ], [ 1, 1, 7 ],
          'signed with the first key');
ok(valid($j->{token}, ''), 'the independent code makes the same token');
unlike($r->raw, qr/\.0\b|"\d+"/, 'numbers are whole numbers');

is($t->post('/api/links', body => '{}',
            type => 'application/json; charset=utf-8')->status, 201,
   'content type with a parameter');
is($t->post('/api/links/', json => {})->status, 201, 'a slash at the end');

# Fields

for (
    [ 60, 60 ], [ '60', 60 ], [ '36h', 129600 ], [ '14d', 1209600 ],
    [ '1h30m', 5400 ], [ 1, 1 ],
) {
    my ($ttl, $seconds) = @$_;
    $j = mint({ ttl => $ttl })->json;

    is($j->{expires} - token_fields($j->{token})->{minted}, $seconds,
       "ttl $ttl");
}

my $meta = { person => "Z\x{fc}rich \"5\" </script>", nested => [ 1, { } ],
             n => 1.5 };
$j = mint({ scope => 'room-4', uses => 3, ttl => 600, meta => $meta })->json;
is($j->{uses}, 3, 'uses');
ok(valid($j->{token}, 'room-4'), 'scope');
is_deeply($t->get("/api/links/$j->{id}")->json->{meta}, $meta, 'meta');
is($t->get("/api/links/$j->{id}")->json->{scope}, 'room-4', 'scope is kept');

is($t->post("/book/room-4/$j->{token}", body => 'x')->status, 200,
   "use $_") for 1 .. 3;
is($t->post("/book/room-4/$j->{token}", body => 'x')->status, 410,
   'no fourth one');
is($t->get("/book/room-5/$j->{token}")->status, 403, 'nor elsewhere');
is(scalar($up->bookings), 3, 'bookings');

$j = mint({ scope => 's' x 255, uses => 1000, count => 1 })->json;
is($j->{uses}, 1000, '1,000 uses');
ok(valid($j->{token}, 's' x 255), 'a scope of 255 bytes');
is(ref $j->{links}, '', 'count 1 is answered as one');

# URLs

my $utf8 = "a b/\xc3\xa4?&%";
utf8::decode(my $scope = $utf8);
$j = mint({ scope => $scope }, '/url/links')->json;
is($j->{url}, 'https://book.example.com/b/a%20b%2F%C3%A4%3F%26%25/'
   . "$j->{token}?from=mail", 'url, with the scope escaped');
ok(valid($j->{token}, $utf8), 'a scope that is not ASCII');

$j = mint({}, '/host/links?h=north')->json;
is($j->{url}, "https://north.example.com/$j->{token}",
   'url from a variable');
is(mint({}, '/nopath/links')->json->{url}, undef, 'no doi_url, no url');

# Many, while others are served

my $before = $t->metrics->{doi_links_minted_total};
my $s = $t->open_raw($t->bytes(POST => '/api/links', json => {
    scope => 'many', count => 10000, meta => { list => 'x' x 100 } }));
my $served = $t->get('/metrics');

is($served->status, 200, 'somebody else is served');

$r = Doi::HTTP::exchange($s, '', method => 'POST');
close $s;

is($r->status, 201, 'count 10,000');
$j = $r->json;
is_deeply([ keys %$j ], [ 'links' ], 'are answered as a list');

my @links = @{$j->{links}};
is(scalar(@links), 10000, 'of 10,000');

my (%tokens, %ids);
$tokens{$_->{token}} = $ids{$_->{id}} = 1 for @links;

is(scalar(keys %tokens), 10000, 'all tokens differ');
is(scalar(keys %ids), 10000, 'all ids do');
is(scalar(grep { valid($_->{token}, 'many') } @links), 10000,
   'all are valid');
is($t->metrics->{doi_links_minted_total} - $before, 10000, 'all are counted');

my $cursor = '';

do {
    my $page = $t->get("/api/links?limit=1000$cursor")->json;
    delete $ids{$_->{id}} for @{$page->{links}};
    $cursor = $page->{next} ? "&cursor=$page->{next}" : '';
} while ($cursor);

is(scalar(keys %ids), 0, 'all are in the store');

my $one = $links[-1]{token};
is_deeply([ map { $t->post("/book/many/$one", body => 'x')->status } 1 .. 2 ],
          [ 200, 410 ], 'the last of them books once');

$r = mint({ count => 2 });
is(scalar(@{$r->json->{links}}), 2, 'count 2');

my @leaks = grep { /doi: / } $t->leaks(tokens => [ map { $_->{token} }
                                                   @links ]);
is_deeply(\@leaks, [], 'no token in the log');

done_testing();
