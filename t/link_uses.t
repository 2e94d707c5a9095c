# Links with several uses: so many bookings and no more, each with a key of its
# own; a use that was given back is used again with the same key.

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
    proxy_read_timeout 4s;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location ~ ^/book/(?<token>[^/]+)$ {
            doi_link $token scope=s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read mint resolve; }
    }
}
EOC

$t->start;

sub made {
    my ($uses) = @_;

    my $r = $t->post('/api/links', json => { scope => 's', uses => $uses });
    is($r->status, 201, "a link with $uses uses");
    $up->forget;

    return "/book/" . $r->json->{token}, $r->json->{id};
}

# { state, used, in_doubt } as soon as no claim is open

sub counts {
    my ($id) = @_;

    my $link;
    poll_until(30, sub {
        $link = $t->get("/api/links/$id")->json;
        !grep { $_->{state} eq 'claimed' } @{$link->{claims}};
    });

    return [ @$link{qw(state used in_doubt)} ];
}

sub book {
    my ($link, $mode, %o) = @_;

    return $t->post($link, form => { name => 'Ada' }, %o,
                    headers => { 'X-Mode' => $mode })->status;
}

# One after the other

my ($link, $id) = made(3);
is_deeply(counts($id), [ 'fresh', 0, 0 ], 'at first');

for my $n (1 .. 3) {
    is($t->get($link)->status, 200, "$n: a look");
    is(book($link, 'ok'), 200, "$n: a booking");
    is_deeply(counts($id), [ $n < 3 ? 'fresh' : 'used', $n, 0 ], "$n: state");
}

is($t->get($link)->status, 410, 'then it is used');
is(book($link, 'ok'), 410, 'for a POST, too');
like($t->get($link)->body, qr/ada\@example\.com/, 'contact the owner');

my @keys = map { $_->{key} } $up->bookings;
my %keys = map { $_ => 1 } @keys;
is(scalar(@keys), 3, 'three bookings');
is(scalar(keys %keys), 3, 'three keys');
is(scalar(grep { index($_, $id) == 0 } @keys), 3, "of that link's");

# Given back: the same key again

($link, $id) = made(3);
is(book($link, 'ok'), 200, 'the first use');
is(book($link, '422'), 422, 'the app says no');
is_deeply(counts($id), [ 'fresh', 1, 0 ], 'that use is free again');
is(book($link, 'ok'), 200, 'a booking');
@keys = map { $_->{headers}{'idempotency-key'} } $up->posts;
is($keys[1], $keys[2], 'with the same key');
isnt($keys[0], $keys[1], 'which is not that of the first');

# In doubt: that use is held back, the others are not

is(book($link, 'reset-booked'), 409, 'the app fails');
is_deeply(counts($id), [ 'in_doubt', 2, 1 ], 'in doubt');
is($t->get($link)->status, 409, 'nothing free: we are checking');

my $r = $t->post("/api/links/$id/resolve",
                 json => { outcome => 'fresh', reason => 'not in our book' });
is($r->status, 200, 'resolved');
is_deeply(counts($id), [ 'fresh', 2, 0 ], 'a use is free');
is(book($link, 'ok'), 200, 'and taken');
is_deeply(counts($id), [ 'used', 3, 0 ], 'used');

($link, $id) = made(2);
is(book($link, 'hang'), 409, 'in doubt, with another use left');
is_deeply(counts($id), [ 'fresh', 0, 1 ], 'fresh, and one in doubt');
is($t->get("/api/links?state=in_doubt")->json->{links}[0]{id}, $id,
   'which is listed');
is(book($link, 'ok'), 200, 'the other');
is(book($link, 'ok'), 409, 'and no more');

# A browser that has booked, with uses left: it may book again

($link, $id) = made(2);
my $cookie = 'doi_browser=' . $t->get($link)->cookie('doi_browser');
is(book($link, 'ok', cookie => $cookie), 200, 'the browser books');
is($t->get($link, cookie => $cookie)->body, "the booking page\n",
   'it sees the page for another booking');
is(book($link, 'ok', cookie => $cookie), 200, 'books again');
is($t->get($link, cookie => $cookie)->status, 200, 'and is confirmed');
is($t->get($link)->status, 410, 'others are not');
is(scalar($up->bookings), 2, 'two bookings');

# 40 clients at once on 5 uses

($link, $id) = made(5);
my @r = $t->many(40, [ POST => $link, form => { name => 'x' },
                       headers => { 'X-Mode' => 'slow ms=300' } ]);
my $n = $t->statuses(@r);
is($n->{200}, 5, '40 at once on 5 uses: 5 are booked');
is(($n->{409} // 0) + ($n->{410} // 0), 35, 'and 35 are told');
is(scalar($up->posts), 5, 'the app got 5');
%keys = map { $_->{key} => 1 } $up->bookings;
is(scalar(keys %keys), 5, 'with 5 keys');
is_deeply(counts($id), [ 'used', 5, 0 ], 'all used');

done_testing();
