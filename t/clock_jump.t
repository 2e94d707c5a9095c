# The wall clock jumps: what is used, expired or revoked stays so, what is alive
# comes back to life when a wrong clock is put right, and nothing is dropped.

use lib 't/lib';
use Doi;

plan(skip_all => 'no faketime with the sanitizers') if $ENV{DOI_ASAN};

my $t = Doi->new(workers => 2, faketime => 1);
my $up = $t->upstream('app');

use constant { HOUR => 3600, DAY => 86400, YEAR => 365 * 86400 };

my $conf = <<'EOC';
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%% reuseport;
        location ~ ^/book/(?<token>[^/]+)$ {
            doi_link $token scope=s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api mint read resolve; }
        location /metrics { doi_metrics; }
        location = /time { return 200 $msec; }
    }
}
EOC

$t->conf($conf);


# libfaketime moves timers of absolute time (timerfd) by what the clock is off.
# So while it is off, nginx is started with one worker, which needs none to find
# its leader: itself.

sub restart {
    my ($seconds, $workers) = @_;

    ok($t->stop, 'stop');
    $t->faketime($seconds);
    $t->{workers} = $workers;
    $t->conf($conf);
    begin();
}

# Starts; every worker has found the leader.

sub begin {
    $t->start;
    $t->many(16, sub { [ POST => &link(ttl => DAY), body => '' ] });
}

sub link { '/book/' . $t->mint(scope => 's', @_) }
sub id { token_fields(substr $_[0], 6)->{id} }

sub code {
    my ($r) = @_;

    return $r->status == 200 ? 'passed' : ($r->json // {})->{code} // '?';
}

sub book { code($t->post($_[0], body => '', accept => 'application/json',
                         splice @_, 1)) }

# What 12 looks are told, by all workers.

sub looks {
    my ($link) = @_;

    my %seen;
    $seen{code($_)}++
        for $t->many(12, [ GET => $link, accept => 'application/json' ]);

    return join ' ', sort keys %seen;
}

sub mark { $t->metrics->{doi_store_clock_seconds} }

# Sets the clock, until every worker has it.

sub jump {
    my ($seconds) = @_;

    $t->faketime($seconds);

    poll_until(30, sub {
        !grep { abs($_->body - time() - $seconds) > 30 }
              $t->many(12, [ GET => '/time' ]);
    }) or fail("the clock does not jump to $seconds");
}


begin();

my %link = (
    used    => &link(ttl => 30 * DAY),
    revoked => &link(ttl => 30 * DAY),
    hour    => &link(ttl => HOUR),
    day     => &link(ttl => DAY),
    month   => &link(ttl => 30 * DAY),
    decades => &link(ttl => 20 * YEAR),
);

is(book($link{used}), 'passed', 'one is used');
is($t->delete('/api/links/' . id($link{revoked}))->status, 200,
   'one is revoked');
my $minted = $t->post('/api/links', json => { scope => 's', ttl => HOUR,
                                              count => 50 })->json->{links};
is(scalar(@$minted), 50, 'some are minted');

my $start = time();

# Ten years ahead, for a moment

jump(10 * YEAR);

is(looks($link{hour}), 'expired', '10 years ahead: expired');
is(looks($link{month}), 'expired', '10 years ahead: the month, too');
is(book($link{month}), 'expired', '10 years ahead: no booking');
is(looks($link{decades}), 'passed', '10 years ahead: a very long one is alive');

# Writes and ticks of the leader; the mark is to stay.
is(book(&link(ttl => 20 * YEAR)), 'passed', '10 years ahead: a booking');
my $future = &link(ttl => 20 * YEAR);
is(book($future), 'passed', '10 years ahead: another');
sleep 2;
cmp_ok(mark(), '<', $start + HOUR, 'the mark did not follow');

jump(0);

is(looks($link{$_}), 'passed', "back: $_ is alive") for qw(hour day month);
is(looks($link{used}), 'used', 'back: used');
is(looks($link{revoked}), 'revoked', 'back: revoked');
is(looks($future), 'used', 'back: what was used then is used');
is($t->get("/api/links/$_->{id}")->status, 200, 'back: a minted one is there')
    for $minted->[0], $minted->[-1];
is($t->metrics->{doi_store_expired_total}, 0, 'nothing was dropped');

# A day back: nothing is revived by it, nor is it by a restart.

my $short = &link(ttl => 10);
is(looks($short), 'passed', 'a short one is alive');
ok(poll_until(30, sub { looks($short) eq 'expired' }), 'and expires');
is(book(&link()), 'passed', 'a booking later on');

jump(-1 * DAY);

# Each worker is to know, not only those that have asked the store since.
is(looks($short), 'expired', 'a day back: expired stays expired');
is(book($short), 'expired', 'a day back: no booking');
is(looks($link{used}), 'used', 'a day back: used');
is(looks($link{revoked}), 'revoked', 'a day back: revoked');
is(book($link{used}), 'used', 'a day back: not booked again');
is(looks($link{hour}), 'passed', 'a day back: alive');
is(book(&link(ttl => HOUR)), 'passed', 'a day back: a booking');

restart(-1 * DAY, 1);

is(looks($short), 'expired', 'after a restart: expired');
is(book($short), 'expired', 'after a restart: no booking');
is(looks($link{used}), 'used', 'after a restart: used');
is(looks($link{revoked}), 'revoked', 'after a restart: revoked');
is(book($link{used}), 'used', 'after a restart: not booked again');
cmp_ok(mark(), '>=', $start, 'the mark has stayed');

# The same with nothing written between expiry and stop.

restart(0, 2);
$short = &link(ttl => 10);
my $over = time() + 10;
is(looks($short), 'passed', 'another short one');
ok(poll_until(30, sub { mark() >= $over }), 'its time is over');
restart(-1 * DAY, 1);
is(looks($short), 'expired', 'after an idle moment and a restart: expired');

# Claims in flight: back, and ahead of their deadline (300 s)

restart(0, 2);

my @slow = map { &link(ttl => DAY) } 1, 2;
$up->forget;
my @s = map { $t->open_raw($t->bytes('POST', $slow[$_], body => '', headers =>
              { 'X-Mode' => "slow until=answer$_" })) } 0, 1;
ok(poll_until(30, sub { $up->posts == 2 }), 'two bookings are under way');

jump(-2 * HOUR);
is(looks($slow[0]), 'claimed', 'clock back: claimed');
$t->write_file('answer0', '');
is(Doi::HTTP::exchange($s[0], undef)->status, 200, 'clock back: its answer');
is(looks($slow[0]), 'used', 'clock back: used');

jump(600);
is(looks($slow[1]), 'in_doubt', 'past the deadline: in doubt');
is(book($slow[1]), 'in_doubt', 'no second booking');
my $list = $t->get('/api/links?state=in_doubt')->json->{links};
is_deeply([ map { $_->{id} } @$list ], [ id($slow[1]) ], 'it is listed');
$t->write_file('answer1', '');
is(Doi::HTTP::exchange($s[1], undef)->status, 200, 'the answer, late');
is(looks($slow[1]), 'used', 'and used by it');
is_deeply($t->get('/api/links?state=in_doubt')->json->{links}, [],
          'none is in doubt');
is(scalar($up->posts), 2, 'two requests to the app');

# Two hours ahead

jump(2 * HOUR);
is(looks($link{hour}), 'expired', '2 hours ahead: the hour is over');
is(looks($link{day}), 'passed', '2 hours ahead: the day is not');
is(looks("/book/$minted->[0]{token}"), 'expired', 'a minted one is over');
ok(poll_until(30, sub { mark() >= $start + 2 * HOUR }), 'the mark follows');

jump(0);
is(looks($link{hour}), 'expired', 'and back: expired stays expired');
is(book($link{hour}), 'expired', 'and back: no booking');
is(book($link{day}), 'passed', 'the others can be booked');
is(looks($link{day}), 'used', 'once');
is($t->metrics->{doi_store_expired_total}, 0, 'nothing was dropped');

done_testing();
