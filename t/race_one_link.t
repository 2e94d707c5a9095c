# G1: of any number of POSTs of one link, over several workers, one reaches the
# app.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 4);
my $up = $t->upstream('app');

# reuseport spreads the connections, so that every worker has a share.

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    log_format who "$pid $status";
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%% backlog=4096 reuseport;
        access_log %%DIR%%/who.log who;
        location ~ ^/book/(?<token>[^/]+)$ {
            doi_link $token scope=s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /metrics { doi_metrics; }
    }
}
EOC

$t->start;

# 2,000 at the same moment: some while the booking is under way, some after it

my $n = 2000;
my $token = $t->mint(scope => 's');
my $link = "/book/$token";

$up->mode('slow', ms => 300);

my @r = $t->many($n, [ POST => $link, form => { name => 'Ada' } ]);
my $statuses = $t->statuses(@r);
my %rest = %$statuses;

is(delete $rest{200}, 1, "of $n, one has booked");
is_deeply([ grep { !/^(?:409|410|503)$/ } keys %rest ], [],
          'the others are refused as the design says')
    or diag explain $statuses;
ok($rest{409}, 'some of them while it was being booked');
is(scalar($up->requests), 1, 'one request to the app');
is(scalar($up->bookings), 1, 'one booking');

for (grep { $_->status == 503 } @r) {
    like($_->header('Retry-After'), qr/^\d+$/, '503 has Retry-After');
    last;
}

my %pids = map { /^(\d+) / ? ($1 => 1) : () }
           split /\n/, slurp($t->dir . '/who.log');
is(scalar(keys %pids), 4, 'all four workers had a part in it');

# Afterwards

@r = $t->many(200, [ POST => $link, form => { name => 'Eve' } ]);
is_deeply($t->statuses(@r), { 410 => 200 }, 'used, for 200 more');
is($t->get($link)->status, 410, 'GET: used');
is(scalar($up->requests), 1, 'still one request');

my $m;
poll_until(30, sub {
    $m = $t->metrics;
    $m->{'doi_redemptions_total{outcome="used"}'};
});
is($m->{doi_claims_total}, 1, 'one claim');
is($m->{'doi_redemptions_total{outcome="used"}'}, 1, 'which was settled');

# 50 links, 20 times each, in turns

$up->forget;
$up->mode('slow', ms => 100);

my @tokens = map { $t->mint(scope => 's') } 1 .. 50;

@r = $t->many(1000, sub { [ POST => "/book/$tokens[$_[0] % 50]", body => '' ] });

my %won;
$won{$_ % 50}++ for grep { $r[$_]->status == 200 } 0 .. $#r;

is_deeply(\%won, { map { $_ => 1 } 0 .. 49 }, 'each link has one winner');
is_deeply([ grep { !/^(?:200|409|410|503)$/ } keys %{$t->statuses(@r)} ], [],
          'the others are refused');

my %keys;
$keys{$_->{headers}{'idempotency-key'}}++ for $up->requests;

is_deeply(\%keys, { map { token_fields($_)->{id} => 1 } @tokens },
          'the app had one request for each');

is($t->leaks, 0, 'no token in the error log');

done_testing();
