# Master and workers are killed at the same moment, in the middle of minting
# and redeeming, three times, on one store.

use lib 't/lib';
use Doi;

use Time::HiRes qw(sleep time);

my $t = Doi->new(workers => 4);
my $up = $t->upstream('app');
my $timeout = 2;

$t->conf(<<"EOC");
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%% reuseport;
        location ~ ^/book/(?<token>[^/]+)\$ {
            doi_link \$token scope=s;
            doi_claim_timeout ${timeout}s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api mint read; }
    }
}
EOC

$t->start;

my ($rounds, $clients, $minters) = (3, 8, 2);
my @modes = ('slow ms=40', 'late ms=40', 'ok', '422');
my (%res, %minted, %mode);


# Until the connection is refused: redeem a link of one's own, or mint some.

sub client {
    my ($until) = @_;
    my @done;

    while (time() < $until) {
        my $token = $t->mint(scope => 's');
        my $mode = $modes[rand @modes];
        my $r = $t->post("/book/$token", body => 'a=b', timeout => 5,
                         headers => { 'X-Mode' => $mode });

        last if $r->eof =~ /^connect/;
        push @done, [ $token, $r->status, $mode ];
    }

    return \@done;
}

sub minter {
    my ($until) = @_;
    my @ids;

    while (time() < $until) {
        my $r = $t->post('/api/links', timeout => 5,
                         json => { scope => 's', count => 20, ttl => 3600 });

        last if $r->eof =~ /^connect/;
        push @ids, map { $_->{id} } @{$r->json->{links}} if $r->status == 201;
        sleep 0.02;
    }

    return \@ids;
}


for my $round (1 .. $rounds) {
    my $until = time() + 60;
    my $before = () = $up->bookings;

    my @out = parallel($clients + $minters + 1, sub {
        my ($i) = @_;

        return client($until) if $i < $clients;
        return minter($until) if $i < $clients + $minters;

        # by then some of the clients have had answers
        poll_until(30, sub { $up->bookings >= $before + 3 * $clients });
        sleep 0.3 + rand 0.3;
        return $t->kill_all;
    });

    ok(pop @out, "round $round: all are dead");

    my $n;

    for (map { @$_ } @out[0 .. $clients - 1]) {
        my ($token, $status, $mode) = @$_;
        $res{$token} = $status;
        $mode{token_fields($token)->{id}} = $mode;
        $n++ if $status == 200;
    }

    $minted{$_} = 1 for map { @$_ } @out[$clients .. $#out];

    ok($n, "round $round: redeemed before that: " . ($n // 0));

    # What it was told is known at once after the start.

    $t->start;

    my $list = $t->post('/api/links', json => { scope => 's' });
    is($list->status, 201, "round $round: the store takes new links");
}

my %n;
$n{$_}++ for values %res;
note explain \%n;
is_deeply([ grep { !/^(?:200|422|0)$/ } keys %n ], [],
          'clients got the answer of the app, or were cut off');
ok($n{0}, 'some were cut off');

# Minted links are all there

my (%have, $cursor);

do {
    my $page = $t->get('/api/links?state=fresh&limit=1000'
                       . ($cursor ? "&cursor=$cursor" : ''))->json;
    $have{$_->{id}} = 1 for @{$page->{links}};
    $cursor = $page->{next};
} while ($cursor);

ok(scalar(keys %minted), 'minted: ' . keys %minted);
is_deeply([ grep { !$have{$_} } keys %minted ], [], 'and none is lost');

# Redeemed links are used; what was cut off is in doubt, or was never begun

sleep $timeout + 1;

my %asked;
$asked{$_->{headers}{'idempotency-key'}}++ for $up->posts;
is_deeply([ grep { $asked{$_} > 1 } keys %asked ], [],
          'no link got to the app twice');

my (%state, @bad, $late);

for my $token (sort keys %res) {
    my $id = token_fields($token)->{id};
    my $r = $t->get("/api/links/$id");
    my $state = $state{$token} = $r->status == 404 ? 'fresh'
                                                   : $r->json->{state};

    if ($res{$token} == 200) {

        # The settlement may have been on its way.
        $late++ if $state eq 'in_doubt';
        push @bad, "$id: answered, and is $state"
            unless $state =~ /^(?:used|in_doubt)$/;

    } elsif ($res{$token} == 422) {
        push @bad, "$id: refused by the app, and is $state"
            unless $state =~ /^(?:fresh|in_doubt)$/;

    } elsif ($asked{$id} && $mode{$id} ne '422') {
        push @bad, "$id: the app had it, and it is $state"
            unless $state =~ /^(?:used|in_doubt)$/;

    } else {
        push @bad, "$id: cut off, and is $state"
            unless $state =~ /^(?:fresh|in_doubt)$/;
    }
}

is_deeply(\@bad, [], 'every link is what it should be');
note 'answered, but in doubt: ' . ($late // 0);
cmp_ok($late // 0, '<=', $rounds * $clients, 'at most one of each client');

# What they get now: fresh ones are redeemed, all others refused

my @tokens = sort keys %res;
my @r = $t->many(scalar(@tokens), sub { [ POST => "/book/$tokens[$_[0]]" ] });
my %got;

for my $i (0 .. $#tokens) {
    $got{$state{$tokens[$i]}}{$r[$i]->status}++;
}

my %want = (fresh => 200, used => 410, in_doubt => 409);
is_deeply([ map { keys %{$got{$_}} } sort keys %got ],
          [ map { $want{$_} } sort keys %got ],
          'fresh: redeemed; used and in doubt: refused')
    or diag explain \%got;

is($t->leaks, 0, 'no token in the error log');

done_testing();
