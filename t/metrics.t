# Every figure is there, counts what its help text says, and survives a reload.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /book/ {
            doi_link $arg_t scope=s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /patient/ {
            doi_link $arg_t scope=s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read mint resolve; }
        location = /metrics { doi_metrics; }
    }
}
EOC

sub token { $t->mint(scope => 's', @_) }
sub view { $t->get("/book/?t=$_[0]") }
sub id { token_fields($_[0])->{id} }

sub book {
    my ($token, $mode) = @_;

    return $t->post("/book/?t=$token", body => 'x',
                    headers => $mode ? { 'X-Mode' => $mode } : {})->status;
}

# Does what code does change these by so much, and no other of these names?

sub changes {
    my ($name, $want, $code) = @_;

    my $old = $t->metrics;
    $code->();

    my %all = (%$want, map { $_ => $want->{$_} // 0 }
               grep { /^doi_(?:links?_|claims|redempt|tokens|pages)/
                      && !/in_doubt$/ } keys %$old);
    my %got;

    # What the store was told last may still be on its way.
    poll_until(30, sub {
        my $new = $t->metrics;
        %got = map { $_ => ($new->{$_} // -1) - ($old->{$_} // 0) } keys %all;
        !grep { $got{$_} != $all{$_} } keys %all;
    });

    is_deeply(\%got, \%all, $name);
}

my $m = $t->metrics;

my @counters = (
    qw(doi_links_minted_total doi_link_views_total doi_claims_total
       doi_links_revoked_total doi_links_resolved_total
       doi_store_commits_total doi_store_commit_errors_total
       doi_store_operations_total doi_store_unknown_total
       doi_store_leaders_total doi_store_expired_total
       doi_store_claims_freed_total doi_store_commit_seconds_sum
       doi_store_commit_seconds_count),
    map({ "doi_redemptions_total{outcome=\"$_\"}" } qw(used released in_doubt)),
    map({ "doi_tokens_refused_total{reason=\"$_\"}" }
        qw(malformed purpose unknown_key forged expired failed)),
    map({ "doi_pages_total{page=\"$_\"}" }
        qw(invalid expired used confirmed claimed pending in_doubt revoked
           unavailable method forbidden check_mail confirm wrong_code booked
           cancelled withdrawn refused lapsed taken limited form large type
           subscribe_check subscribed opt_confirm unsubscribe opted_out)),
    qw(doi_holds_limited_total doi_mails_suppressed_total),
    map({ "doi_bookings_total{event=\"$_\"}" }
        qw(held resend remind confirmed confirm_resend released in_doubt)),
    map({ "doi_bookings_released_total{state=\"$_\"}" }
        qw(refused cancelled expired)),
    map({ my $kind = $_;
          map { "doi_deliveries_total{kind=\"$kind\",result=\"$_\"}" }
              qw(queued sent failed dead) }
        qw(confirm remind booked owner cancelled owner_cancelled owner_doubt
           calendar webhook message sync)),
    qw(doi_consent_prompts_total doi_consent_confirmations_total),
    map({ "doi_gate_total{result=\"$_\"}" }
        qw(passed never_opted_in pending opted_out not_confirmed invalid
           unavailable)),
    map({ my $event = $_;
          map { "doi_consent_events_total{event=\"$event\",source=\"$_\"}" }
              qw(web keyword agent ivr import api provider sync) }
        qw(subscribe confirm stop revoke override)),
    map({ "doi_store_refused_total{reason=\"$_\"}" } qw(queue full)),
);

my @gauges = qw(doi_store_queue_length doi_store_map_used_bytes
                doi_store_map_size_bytes doi_store_clock_seconds
                doi_links_in_doubt doi_store_up doi_outbox_waiting
                doi_outbox_dead doi_booking_confirmation_ratio);

is_deeply([ sort grep { !/_bucket/ } keys %$m ], [ sort @counters, @gauges ],
          'these figures and no others');

my $r = $t->get('/metrics');
is($r->header('Content-Type'), 'text/plain; version=0.0.4; charset=utf-8',
   'content type');
$r = $t->head('/metrics');
is($r->status . $r->body, 200, 'HEAD');
is($t->post('/metrics', body => 'x')->status, 405, 'POST: 405');

# Links

my @t = map { token() } 0 .. 5;

changes('mint', { doi_links_minted_total => 701 }, sub {
    $t->post('/api/links', json => { count => 700 });
    $t->post('/api/links', json => {});
});

changes('view', { doi_link_views_total => 3 }, sub {
    view($t[0]) for 1 .. 2;
    $t->head("/book/?t=$t[0]");
});

changes('used', { doi_claims_total => 1,
                  'doi_redemptions_total{outcome="used"}' => 1 },
        sub { is(book($t[0]), 200, 'book') });

changes('already used', { 'doi_pages_total{page="used"}' => 2 },
        sub { view($t[0]); book($t[0]) });

changes('released', { doi_claims_total => 1,
                      'doi_redemptions_total{outcome="released"}' => 1 },
        sub { is(book($t[1], '409'), 409, 'the upstream says no') });

changes('in doubt', { doi_claims_total => 2,
                      'doi_redemptions_total{outcome="in_doubt"}' => 2,
                      doi_links_in_doubt => 2,
                      'doi_pages_total{page="in_doubt"}' => 1 },
        sub { book($_, '500') for @t[2, 3]; view($t[2]) });

changes('resolve', { doi_links_resolved_total => 1, doi_links_in_doubt => -1 },
        sub { $t->post('/api/links/' . id($t[2]) . '/resolve',
                       json => { outcome => 'used', reason => 'x' }) });

changes('revoke', { doi_links_revoked_total => 1,
                    'doi_pages_total{page="revoked"}' => 1 },
        sub { $t->delete('/api/links/' . id($t[4])); view($t[4]) });

changes('method', { 'doi_pages_total{page="method"}' => 1 },
        sub { $t->put("/book/?t=$t[5]") });

# Refused

my $forged = token();
substr($forged, 30, 1) =~ tr/A-Za-z0-9_-/B-ZAb-za1-90\-_/;

for (
    [ malformed   => 'nonsense', 'invalid' ],
    [ purpose     => token(purpose => 'confirm'), 'invalid' ],
    [ unknown_key => token(key_id => 9), 'invalid' ],
    [ forged      => $forged, 'invalid' ],
    [ forged      => $t->mint(scope => 'other'), 'invalid' ],
    [ expired     => token(minted => time() - 100, ttl => 10), 'expired' ],
) {
    my ($reason, $token, $page) = @$_;

    changes("refused: $reason",
            { "doi_tokens_refused_total{reason=\"$reason\"}" => 2,
              "doi_pages_total{page=\"$page\"}" => 2 },
            sub { view($token); book($token) });
}

# The store

my $before = $t->metrics;
my @many = map { token() } 1 .. 100;
my @r = $t->many(100, sub {
    [ POST => "/patient/?t=$many[$_[0]]", body => 'x' ] });
is_deeply($t->statuses(@r), { 200 => 100 }, '100 bookings');
ok(poll_until(30, sub {
    $m = $t->metrics;
    $m->{doi_store_operations_total} - $before->{doi_store_operations_total}
        >= 200
    # the figures are taken one by one, perhaps in the middle of a commit
    && $m->{doi_store_queue_length} == 0
    && $m->{doi_store_commit_seconds_count} == $m->{doi_store_commits_total}
}), 'are 100 claims and 100 settlements')
    or diag($m->{doi_store_operations_total}
            - $before->{doi_store_operations_total});
cmp_ok($m->{doi_store_commits_total} - $before->{doi_store_commits_total},
       '<', 200, 'with fewer commits than that');
cmp_ok($m->{doi_store_commits_total}, '>', $before->{doi_store_commits_total},
       'but some');

my @buckets = map { [ /le="([^"]+)"/, $m->{$_} ] } grep { /_bucket/ } keys %$m;
@buckets = sort { ($a->[0] eq '+Inf') - ($b->[0] eq '+Inf')
                  || $a->[0] <=> $b->[0] } @buckets;

cmp_ok(scalar(@buckets), '>=', 10, 'buckets');
is_deeply([ grep { $buckets[$_][1] < $buckets[$_ - 1][1] } 1 .. $#buckets ], [],
          'are cumulative');
is_deeply($buckets[-1], [ '+Inf', $m->{doi_store_commit_seconds_count} ],
          'the last is +Inf, and all');
is($m->{doi_store_commit_seconds_count}, $m->{doi_store_commits_total},
   'each commit is in one');
cmp_ok($m->{doi_store_commit_seconds_sum}, '>', 0, 'their time');

is($m->{doi_store_up}, 1, 'the store is up');
is($m->{doi_store_queue_length}, 0, 'nobody waits');
is($m->{doi_store_map_size_bytes}, 16777216, 'size of the map');
cmp_ok($m->{doi_store_map_used_bytes}, '>', 0, 'used of it');
cmp_ok($m->{doi_store_map_used_bytes}, '<', 16777216, 'not all');
ok(abs($m->{doi_store_clock_seconds} - time()) < 60, 'the clock');

SKIP: {
    my ($promtool) = grep { -x } map { "$_/promtool" } split /:/, $ENV{PATH};
    skip 'no promtool (Debian: prometheus)', 2 if !$promtool;

    my $file = $t->write_file('metrics.txt', $t->get('/metrics')->body);
    my $out = `$promtool check metrics < $file 2>&1`;
    is($?, 0, 'promtool check metrics');
    is($out, '', 'has nothing to say');
}

# A reload, and a worker that is killed

$before = $t->metrics;
my @old = $t->reload;
ok($t->wait_gone(20, @old), 'reload');
$m = $t->metrics;
is_deeply([ grep { $m->{$_} < $before->{$_} } @counters ], [],
          'nothing went back');
is($m->{doi_link_views_total}, $before->{doi_link_views_total}, 'nor on');

view(token());
is($t->metrics->{doi_link_views_total}, $before->{doi_link_views_total} + 1,
   'it counts on');

$t->kill_worker;
$m = $t->metrics;
is_deeply([ grep { $m->{$_} < $before->{$_} } @counters ], [],
          'nor with a worker killed');

# What the module logs of all this has no token in it.

my @leaks = grep { /doi: / } $t->leaks;
is_deeply(\@leaks, [], 'no token in what the module logs');

done_testing();
