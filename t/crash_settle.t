# A worker dies between the booking and its settlement: the link is in doubt,
# never free, until an operator says what it is.

use lib 't/lib';
use Doi;

use Time::HiRes qw(sleep time);

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');
my $timeout = 4;

$t->conf(<<"EOC");
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_owner name=Ada email=ada\@example.com;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location ~ ^/book/(?<token>[^/]+)\$ {
            doi_link \$token scope=s;
            doi_claim_timeout ${timeout}s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/retry/(?<token>[^/]+)\$ {
            doi_link \$token scope=s;
            doi_upstream_idempotent on;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read resolve; }
        location /metrics { doi_metrics; }
    }
}
EOC

$t->expect_log(qr/worker process \d+ exited on signal 9/);
$t->expect_log(qr/shared memory zone ".*" was locked by \d+/);
$t->start;

sub code {
    my ($r) = @_;

    return $r->status . ' ' . (($r->json // {})->{code} // '');
}

sub look { code($t->get($_[0]{link}, accept => 'application/json')) }
sub book { $t->post($_[0]{link}, body => 'a=b', accept => 'application/json') }

sub state {
    my $r = $t->get("/api/links/$_[0]{id}");

    return $r->status == 404 ? 'fresh' : $r->json->{state};
}

sub resolve {
    my ($l, $outcome) = @_;

    return $t->post("/api/links/$l->{id}/resolve",
                    json => { outcome => $outcome, reason => 'I asked' });
}


# Where the app is when the worker dies.  half: the header of its answer was
# there, which settles the link.

my @links = map { { mode => $_ } }
            ('slow until=killed', 'late until=killed', 'late until=killed',
             'hang', 'hang-booked', 'slow until=killed', 'half');

for my $l (@links) {
    my $token = $t->mint(scope => 's');
    $l->{id} = token_fields($token)->{id};
    $l->{link} = "/book/$token";
    $l->{retry} = "/retry/$token";
    $l->{s} = $t->open_raw($t->bytes('POST', $l->{link}, body => 'a=b',
                               headers => { 'X-Mode' => $l->{mode} }));
}

my $started = time();
my $half = $links[-1];

ok(poll_until(30, sub { $up->posts == @links }), 'the app has all of them');
ok(poll_until(30, sub { state($half) eq 'used' }), 'half: used by its header');
$t->expect_log(map { qr/worker process $_ exited/ } $t->workers);

my @old = $t->workers;
kill 'KILL', @old;
ok($t->wait_gone(30, @old), 'all workers are killed');
ok(poll_until(30, sub { $t->workers == 2 }), 'and replaced');
$t->write_file('killed', '');

for my $l (@links) {
    my $r = Doi::HTTP::exchange($l->{s}, undef, timeout => 30);
    ok($r->status == 0 || $l == $half, "$l->{mode}: the client has no answer");
}

# Until the claim runs out, somebody is booking; from then on it is in doubt.

ok(poll_until(30, sub { $up->bookings >= 6 }), 'late: booked meanwhile');

pop @links;
my @seen = map { look($_) } @links;

SKIP: {
    skip 'a slow machine', 1 if time() - $started > $timeout - 1;
    is_deeply(\@seen, [ ('409 claimed') x @links ], 'at first: claimed');
}

is_deeply([ grep { !/^409 (?:claimed|in_doubt)$/ } @seen ], [],
          'nobody is let in');
is_deeply([ grep { $_ != 409 } map { book($_)->status } @links ], [],
          'nor to book');

for my $l (@links) {
    ok(poll_until($timeout + 30, sub { look($l) eq '409 in_doubt' }),
       "$l->{mode}: in doubt");
    is(state($l), 'in_doubt', "$l->{mode}: for operators, too");
    is(code(book($l)), '409 in_doubt', "$l->{mode}: no second booking");
}

my $list = $t->get('/api/links?state=in_doubt')->json->{links};
is_deeply([ sort map { $_->{id} } @$list ], [ sort map { $_->{id} } @links ],
          'they are listed');
is($t->metrics->{doi_links_in_doubt}, scalar(@links), 'and counted');

is(look($half), '410 used', 'half: used');
is(resolve($half, 'fresh')->status, 409, 'half: nothing to resolve');

# They stay so: an hour's wait is not to be tested, a reload and a restart are.

ok($t->reload, 'reload');
ok($t->quit, 'stop');
$t->start;
is_deeply([ map { look($_) } @links ], [ ('409 in_doubt') x @links ],
          'in doubt after a restart');

# Operators

my ($slow, $late, $late2, $hang, $booked, $again) = @links;

$up->forget;

for my $l ($slow, $late) {
    is(resolve($l, 'used')->status, 200, "$l->{mode}: resolved as used");
    is(look($l), '410 used', "$l->{mode}: used");
    is(book($l)->status, 410, "$l->{mode}: no booking");
    is(resolve($l, 'fresh')->status, 409, "$l->{mode}: that was final");
}

is(scalar($up->requests), 0, 'the app was not asked again');

for my $l ($late2, $hang) {
    is(resolve($l, 'fresh')->status, 200, "$l->{mode}: resolved as fresh");
    is(state($l), 'fresh', "$l->{mode}: fresh");
    is($t->get($l->{link})->status, 200, "$l->{mode}: can be seen");

    my @r = $t->many(10, [ POST => $l->{link}, body => 'a=b' ]);
    is(scalar(grep { $_->status == 200 } @r), 1, "$l->{mode}: booked once");
    is(look($l), '410 used', "$l->{mode}: and used");
}

my @keys = map { $_->{headers}{'idempotency-key'} } $up->posts;
is_deeply([ sort @keys ], [ sort map { $_->{id} } $late2, $hang ],
          'with the keys of the first attempts');

# An app that honours Idempotency-Key may be asked again.

$up->forget;
is($t->post($again->{retry}, body => 'a=b',
            headers => { 'X-Mode' => 'ok idempotent=1' })->status, 200,
   'a retry with the same key');
is_deeply([ map { $_->{headers}{'idempotency-key'} } $up->posts ],
          [ $again->{id} ], 'which it has');
is(scalar($up->bookings), 0, 'the app knew the booking');
is(look($again), '410 used', 'used');

$list = $t->get('/api/links?state=in_doubt')->json->{links};
is_deeply([ map { $_->{id} } @$list ], [ $booked->{id} ], 'one is left');

done_testing();
