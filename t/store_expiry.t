# Records are dropped a day after their links expired, so that the store does
# not grow for ever; those with a claim in doubt are kept for a month.

use lib 't/lib';
use Doi;

plan(skip_all => 'no faketime with the sanitizers') if $ENV{DOI_ASAN};

my $t = Doi->new(workers => 2, faketime => 1);
my $up = $t->upstream('app');

use constant { HOUR => 3600, DAY => 86400 };

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=32m;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location ~ ^/book/(?<token>[^/]+)$ {
            doi_link $token scope=s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api mint read; }
        location /metrics { doi_metrics; }
    }
}
EOC

$t->start;

my $offset = 0;

# A leap of more than a day is believed after an hour only: smaller steps.

sub step {
    my ($seconds) = @_;

    while ($seconds > 0) {
        my $s = $seconds > 23 * HOUR ? 23 * HOUR : $seconds;

        $offset += $s;
        $seconds -= $s;
        $t->faketime($offset);

        poll_until(30, sub {
            $t->metrics->{doi_store_clock_seconds} >= time() + $offset - 2;
        }) or fail('the mark does not follow the clock');
    }
}

sub mint {
    my (%o) = @_;

    my $r = $t->post('/api/links', timeout => 30, json => { scope => 's', %o });
    is($r->status, 201, 'minted') unless $r->status == 201;

    return @{$r->json->{links} // [$r->json]};
}

sub there { $t->get("/api/links/$_[0]{id}")->status }
sub dropped { $t->metrics->{doi_store_expired_total} }
sub used { $t->metrics->{doi_store_map_used_bytes} }
sub size { (stat $t->dir . '/store/data.mdb')[7] }

# What is to stay: a long link, and a booking in doubt

my ($long) = mint(ttl => 60 * DAY);
my ($doubt) = mint(ttl => HOUR);
is($t->post("/book/$doubt->{token}", body => '',
            headers => { 'X-Mode' => '500' })->status, 500, 'one in doubt');

my ($n, $rounds) = (3000, 5);
my (@used, @size);
my $expected = 0;

for my $round (1 .. $rounds) {
    my @links = mint(ttl => HOUR, count => $n, meta => { note => 'x' x 100 });
    is(scalar(@links), $n, "round $round: $n links");

    # Some are redeemed, and one that the store did not know.
    my @tokens = ((map { $_->{token} } @links[0 .. 49]),
                  $t->mint(scope => 's', minted => time() + $offset,
                           ttl => HOUR));
    is_deeply($t->statuses($t->many(51,
                  sub { [ POST => "/book/$tokens[$_[0]]", body => '' ] })),
              { 200 => 51 }, "round $round: redeemed");
    is(dropped(), $expected, "round $round: nothing is dropped as yet");

    # LMDB takes in what is in the store's log some time later.

    ok(poll_until(30, sub { used() > 100 * $n }), "round $round: LMDB has them");

    # Expired is not enough.

    step(3 * HOUR);
    is($t->get("/book/$tokens[0]")->status, 410, "round $round: expired");
    sleep 1;
    is(there($links[-1]), 200, "round $round: but still there");
    is(dropped(), $expected, "round $round: all of them");

    step(23 * HOUR);
    $expected += $n + 1;
    ok(poll_until(30, sub { dropped() == $expected }),
       "round $round: all are dropped a day later") or diag dropped();
    is(there($links[0]), 404, "round $round: a used one is gone");
    is(there($links[-1]), 404, "round $round: a fresh one is gone");
    is($t->get("/book/$tokens[0]")->status, 410, "round $round: expired");
    is($t->post("/book/$tokens[0]")->status, 410, "round $round: for good");

    ok(poll_until(30, sub { used() < 20 * $n }), "round $round: also by LMDB");
    push @used, used();
    push @size, size();
}

poll_until(30, sub { ($used[-1] = used()) <= $used[0] * 1.5 });
note "file: @size; in use: @used";

# Were nothing used again, the file would be $rounds times as large.  How
# often a snapshot was read while LMDB wrote is chance, and leaves room.

cmp_ok($size[-1], '<', $size[0] * $rounds / 2, 'the file has stopped growing');
cmp_ok($used[-1], '<=', $used[0] * 1.5, 'and what is used of it');
cmp_ok($used[-1], '<', $size[0], 'which went down');

is(there($long), 200, 'a link that lives is still there');
is($t->get("/book/$long->{token}")->status, 200, 'and alive');
is($t->get("/api/links/$doubt->{id}")->json->{claims}[0]{state}, 'in_doubt',
   'one in doubt is kept longer');
is_deeply([ map { $_->{id} }
            @{$t->get('/api/links?state=in_doubt')->json->{links}} ],
          [ $doubt->{id} ], 'and listed');

done_testing();
