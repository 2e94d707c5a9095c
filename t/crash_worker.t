# kill -9 of workers, among them one leader of the store after the other, while
# links are redeemed through a slow app.

use lib 't/lib';
use Doi;

use Time::HiRes qw(sleep time);

my $t = Doi->new(workers => 4);
my $up = $t->upstream('app');
my $timeout = 3;

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
            add_header X-Worker \$pid always;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read; }
        location /metrics { doi_metrics; }
    }
}
EOC

$t->expect_log(qr/worker process \d+ exited on signal 9/);
$t->expect_log(qr/shared memory zone ".*" was locked by \d+/);
$t->start;


# Who holds leader.lock.

sub leader {
    my $inode = (stat $t->dir . '/store/leader.lock')[1] or return;
    my ($pid) = slurp('/proc/locks')
                =~ /FLOCK\s+ADVISORY\s+WRITE\s+(\d+)\s+\S+:$inode\s/;

    return $pid;
}


# Clients, each with links of its own, which it redeems one after the other,
# and one process that kills.

my ($clients, $each, $kills) = (12, 40, 12);
my @tokens = map { $t->mint(scope => 's') } 1 .. $clients * $each;
my @modes = ('slow ms=60', 'late ms=60', 'ok');

is($t->post('/book/' . $t->mint(scope => 's'))->status, 200, 'it works');
ok(leader(), 'there is a leader');
$up->forget;

my @res = parallel($clients + 1, sub {
    my ($i) = @_;

    if ($i == $clients) {
        my %killed;
        my $led = 0;

        for my $k (1 .. $kills) {
            sleep 0.15 + rand 0.1;

            # Leaders, but for every fourth time.
            my @workers = $t->workers;
            my $pid = $workers[rand @workers];

            # A leader is counted once it listens.
            if ($k % 4) {
                $pid = poll_until(30, sub {
                    $t->metrics->{doi_store_leaders_total} > $led && leader();
                });
                $led++;
            }

            $killed{$t->kill_worker('KILL', $pid)} = $k % 4 ? 'leader' : 'any';
        }

        return \%killed;
    }

    my %res;

    for my $k (0 .. $each - 1) {
        my $token = $tokens[$i * $each + $k];
        my $r = $t->post("/book/$token", body => 'a=b',
                         headers => { 'X-Mode' => $modes[$k % 3] });
        $res{$token} = [ $r->status, $r->header('X-Worker') // 0 ];
    }

    return \%res;
});

my %killed = %{pop @res};
my %res = map { %$_ } @res;

is(scalar(keys %killed), $kills, "$kills workers were killed");
is(scalar(keys %res), @tokens, 'every link was tried once');

my %n;
$n{$_->[0]}++ for values %res;
note explain \%n;

is_deeply([ grep { !/^(?:200|0)$/ } keys %n ], [],
          'clients got the answer of the app, or were cut off')
    or diag explain \%n;
ok($n{0}, 'some were cut off');
cmp_ok($n{200} // 0, '>', @tokens / 2, 'most were not');

# When claims have run out

sleep $timeout + 1;

my %asked;
$asked{$_->{headers}{'idempotency-key'}}++ for $up->posts;
is_deeply([ grep { $asked{$_} > 1 } keys %asked ], [],
          'no link got to the app twice');

my %booked = map { $_->{key} => 1 } $up->bookings;
my (%state, @bad, $late);

for my $token (@tokens) {
    my $id = token_fields($token)->{id};
    my $r = $t->get("/api/links/$id");
    my $state = $state{$id} = $r->status == 404 ? 'fresh' : $r->json->{state};
    my ($status, $worker) = @{$res{$token}};

    if ($status == 200) {

        # A settlement may die with the worker that was to send it.
        $late++ if $state eq 'in_doubt' && $killed{$worker};

        push @bad, "$id: answered by $worker, and is $state"
            unless $state eq 'used'
                   || $state eq 'in_doubt' && $killed{$worker};

    } else {
        push @bad, "$id: cut off, and is $state"
            unless $state =~ /^(?:used|in_doubt|fresh)$/;
        push @bad, "$id: the app had it, and it is fresh"
            if $state eq 'fresh' && $asked{$id};
    }

    push @bad, "$id: used, but not booked" if $state eq 'used' && !$booked{$id};
}

is_deeply(\@bad, [], 'every link is what it should be');
note "answered, but in doubt: $late" if $late;

# In doubt: listed, and refused

my @doubt = sort grep { $state{$_} eq 'in_doubt' } keys %state;
ok(scalar(@doubt), 'in doubt: ' . @doubt);

my $list = $t->get('/api/links?state=in_doubt&limit=1000')->json->{links};
is_deeply([ sort map { $_->{id} } @$list ], \@doubt, 'and listed');

my %by_id = map { token_fields($_)->{id} => $_ } @tokens;
my @r = $t->many(scalar(@doubt),
                 sub { [ POST => "/book/$by_id{$doubt[$_[0]]}" ] });
is_deeply($t->statuses(@r), { 409 => scalar(@doubt) }, 'and refused');

# Fresh: free

my @fresh = grep { $state{$_} eq 'fresh' } keys %state;
@r = $t->many(scalar(@fresh), sub { [ POST => "/book/$by_id{$fresh[$_[0]]}" ] });
is_deeply($t->statuses(@r), @fresh ? { 200 => scalar(@fresh) } : {},
          'fresh: redeemed now: ' . @fresh);

# Figures go on

my $m = $t->metrics;
cmp_ok($m->{doi_claims_total}, '>=', $n{200}, 'claims are counted');
cmp_ok($m->{doi_store_leaders_total}, '>',
       scalar(grep { $_ eq 'leader' } values %killed), 'leaders, too');
is($m->{doi_links_in_doubt}, scalar(@doubt), 'and those in doubt');

is($t->post('/book/' . $t->mint(scope => 's'))->status, 200, 'it still works');
ok(poll_until(30, sub { $t->workers == 4 }), 'four workers');
is($t->leaks, 0, 'no token in the error log');

done_testing();
