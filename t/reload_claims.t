# Reloads in the middle of claims: nothing is lost, nothing is sent twice, and
# the new generation does not wait for the old one.

use lib 't/lib';
use Doi;

use Time::HiRes qw(sleep time);

my $t = Doi->new(workers => 3);
my $up = $t->upstream('app');

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location ~ ^/book/(?<token>[^/]+)$ {
            doi_link $token scope=s;
            add_header X-Worker $pid always;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read; }
        location /metrics { doi_metrics; }
    }
}
EOC

$t->start;

# An old generation that is busy does not hold up the new one.

my $slow = '/book/' . $t->mint(scope => 's');
my $s = $t->open_raw($t->bytes('POST', $slow, body => 'a=b',
                               headers => { 'X-Mode' => 'slow until=go' }));
ok(poll_until(30, sub { $up->posts == 1 }), 'a slow booking is under way');

my @old = $t->reload;
my %old = map { $_ => 1 } @old;
is(scalar(@old), 3, 'reload');

# The leader is of the old generation as long as that lives.
for my $i (1 .. 20) {
    my $link = '/book/' . $t->mint(scope => 's');
    my $r = $t->post($link, body => 'a=b');

    $r->status == 200 && !$old{$r->header('X-Worker')}
        && $t->get($link)->status == 410
        or fail("request $i: " . $r->status . ' in ' . $r->time . ' s');
}

ok((grep { Doi::alive($_) } @old), 'the old one was still busy');
is($t->get($slow)->status, 409, 'the slow booking seen by the new one');
is($t->post($slow, body => 'a=b')->status, 409, 'and not made twice');
$t->write_file('go', '');

my $r = Doi::HTTP::exchange($s, undef);
close $s;          # nginx lingers for the client
is($r->status, 200, 'the slow one gets its answer');
ok($old{$r->header('X-Worker')}, 'from the old generation');
is($t->get($slow)->status, 410, 'and is used at once');
ok($t->wait_gone(30, @old), 'the old generation goes');
is(scalar(grep { $_->{headers}{'idempotency-key'} eq token_fields(
                 substr $slow, 6)->{id} } $up->posts), 1, 'one request');

# Several reloads in a row, under load

$up->forget;

my ($clients, $each, $reloads) = (10, 30, 5);
my @tokens = map { $t->mint(scope => 's') } 1 .. $clients * $each;
my @modes = ('slow ms=60', 'ok', 'slow ms=300', 'late ms=30');

my @res = parallel($clients + 1, sub {
    my ($i) = @_;

    if ($i == $clients) {
        my @pids;

        for (1 .. $reloads) {
            sleep 0.3 + rand 0.3;
            push @pids, $t->reload;
        }

        return \@pids;
    }

    my %res;

    for my $k (0 .. $each - 1) {
        my $token = $tokens[$i * $each + $k];
        my $r = $t->post("/book/$token", body => 'a=b',
                         headers => { 'X-Mode' => $modes[$k % 4] });
        my $look = $t->get("/book/$token");

        # A new leader that has not heard of the settlement yet may say for a
        # moment that somebody is booking; never that the link is free.
        poll_until(30, sub {
            $look->status != 409 or ($look = $t->get("/book/$token")) && 0;
        });
        $res{$r->status . ' ' . $look->status}++;
        $res{workers}{$r->header('X-Worker') // 0} = 1;
    }

    return \%res;
});

@old = @{pop @res};
is(scalar(@old), 3 * $reloads, "$reloads reloads");

my (%n, %workers);

for my $res (@res) {
    $workers{$_} = 1 for keys %{delete $res->{workers}};
    $n{$_} += $res->{$_} for keys %$res;
}

is_deeply(\%n, { '200 410' => scalar(@tokens) },
          'every booking was answered, and its link is used')
    or diag explain \%n;
cmp_ok(scalar(grep { $workers{$_} } @old), '>', 2,
       'by workers of several generations');

my %asked;
$asked{$_->{headers}{'idempotency-key'}}++ for $up->posts;
is_deeply(\%asked, { map { token_fields($_)->{id} => 1 } @tokens },
          'one request to the app for each');

ok($t->wait_gone(30, @old), 'all old workers are gone');
ok(poll_until(30, sub { $t->workers(all => 1) == 3 }), 'three are left');

is_deeply($t->get('/api/links?state=claimed')->json->{links}, [],
          'no claim is left open');
is_deeply($t->get('/api/links?state=in_doubt')->json->{links}, [],
          'none is in doubt');

my $m;
poll_until(30, sub {
    $m = $t->metrics;
    $m->{'doi_redemptions_total{outcome="used"}'} >= @tokens + 21
    && $m->{doi_store_queue_length} == 0;
});
is($m->{'doi_redemptions_total{outcome="used"}'}, @tokens + 21,
   'the figures survive reloads');
is($m->{doi_store_queue_length}, 0, 'nothing waits');

done_testing();
