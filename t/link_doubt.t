# Claims in doubt: listed, kept or released, retried with an upstream that
# honours Idempotency-Key, and settled by an answer that comes late.

use lib 't/lib';
use Doi;

use Time::HiRes qw(time sleep);

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    proxy_read_timeout 1s;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location ~ ^/keep/(?<token>[^/]+)$ {
            doi_link $token;
            doi_claim_timeout 4s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/release/(?<token>[^/]+)$ {
            doi_link $token;
            doi_in_doubt release;
            doi_claim_timeout 4s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/late/(?<token>[^/]+)$ {
            doi_link $token;
            doi_claim_timeout 2s;
            proxy_read_timeout 60s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/again/(?<token>[^/]+)$ {
            doi_link $token;
            doi_upstream_idempotent on;
            proxy_read_timeout 20s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read; }
    }
}
EOC

$t->start;

sub id { token_fields($_[0])->{id} }

sub state {
    my $r = $t->get('/api/links/' . id($_[0]));

    return $r->status == 200 ? $r->json->{state} : $r->status;
}

sub becomes {
    my ($token, $want, $name) = @_;

    my $state;
    poll_until(30, sub { ($state = &state($token)) eq $want });
    is($state, $want, $name);
}

sub listed {
    my %ids = map { $_->{id} => 1 }
              @{$t->get('/api/links?state=in_doubt')->json->{links}};

    return \%ids;
}

# An upstream that takes longer than the claim may (the answer is looked for
# below), and two links whose app hangs until nginx gives up

my $token = $t->mint;
my $link = "/late/$token";
my $browser = $t->get($link)->cookie('doi_browser');

my $s = $t->open_raw($t->bytes('POST', $link, body => 'a',
                               cookie => "doi_browser=$browser",
                               headers => { 'X-Mode' => 'late until=go' }));
ok(poll_until(30, sub { &state($token) eq 'claimed' }), 'late: claimed');

my %token = (keep => $t->mint, release => $t->mint);
my $began = time();

my @r = $t->many(2, sub {
    my $where = (qw(keep release))[$_[0]];
    [ POST => "/$where/$token{$where}", body => 'a',
      headers => { 'X-Mode' => 'hang' } ]
});
is_deeply($t->statuses(@r), { 409 => 2 }, 'the app hangs: in doubt');

for my $where (qw(keep release)) {
    my $r = $t->get("/$where/$token{$where}", accept => 'application/json');

    # On a very slow machine the time of the second may have come.
    next if $where eq 'release' && time() > $began + 2.9;

    is($r->status, 409, "$where: the next visitor");
    is(($r->json // {})->{code}, 'in_doubt', "$where: in doubt");
}

# Late: the claim's time is over, the app still works

becomes($token, 'in_doubt', 'late: in doubt after its time');
ok(&listed->{id($token)}, 'late: listed');

for my $cookie (undef, "doi_browser=$browser") {
    my $r = $t->get($link, accept => 'application/json', cookie => $cookie);
    my $who = $cookie ? 'the booker is' : 'others are';

    is($r->status, 409, "late: what $who told");
    is(($r->json // {})->{code}, 'in_doubt', "late: what $who told");
}

is($t->post($link, body => 'b')->status, 409, 'late: nobody gets in');
is(scalar($up->bookings), 0, 'late: the app is not done yet');

# Release

ok(poll_until(30, sub {
    $t->get("/release/$token{release}")->status == 200
}), 'release: free after a while');
ok(time() > $began + 2.9, 'but not at once');
is($t->post("/release/$token{release}", body => 'b')->status, 200,
   'release: can be used');
becomes($token{release}, 'used', 'release: used');

# Late: the answer

$t->write_file('go', '');
is(Doi::HTTP::exchange($s, undef)->status, 200, 'late: its answer');
close $s;
becomes($token, 'used', 'late: used');
is($t->get($link)->status, 410, 'late: used, for others');
is($t->get($link, cookie => "doi_browser=$browser")->status, 200,
   'late: confirmed, for the booker');
ok(!&listed->{id($token)}, 'late: not listed any more');
is(scalar(grep { $_->{uri} =~ /late/ } $up->bookings), 1, 'late: one booking');

# Keep

sleep 0.1 while time() < $began + 4.5;
is($t->get("/keep/$token{keep}")->status, 409, 'keep: not free by age');
is($t->post("/keep/$token{keep}", body => 'b')->status, 409, 'nor for a POST');
is_deeply([ map { &listed->{id($token{$_})} } qw(keep release) ], [ 1, undef ],
          'keep is listed, release is not');
is(scalar(grep { $_->{uri} =~ /keep/ } $up->posts), 1,
   'keep: the app saw one POST');

# doi_upstream_idempotent

for (['reset-booked', 'after it had booked'], ['reset-read', 'before']) {
    my ($mode, $name) = @$_;

    $token = $t->mint;
    $link = "/again/$token";

    $up->forget;
    is($t->post($link, body => 'a', headers => { 'X-Mode' => $mode })->status,
       409, "$name: the app fails");
    becomes($token, 'in_doubt', "$name: in doubt");
    is($t->get($link)->status, 409, "$name: as visitors see");

    # The app says that the first one is still going on.

    is($t->post($link, body => 'a', headers => { 'X-Mode' => '409' })->status,
       409, "$name: no news from a retry");
    becomes($token, 'in_doubt', "$name: in doubt still");

    my $r = $t->post($link, body => 'a',
                     headers => { 'X-Mode' => 'ok idempotent=1' });
    is($r->status, 200, "$name: the retry");
    becomes($token, 'used', "$name: used");

    my %keys = map { $_->{headers}{'idempotency-key'} => 1 } $up->posts;
    is(scalar($up->posts), 3, "$name: three attempts");
    is(scalar(keys %keys), 1, "$name: with one key");
    is(scalar($up->bookings), 1, "$name: one booking");
    is($t->post($link, body => 'a')->status, 410, "$name: used");
}

# Retries at the same time: one of them at once

$token = $t->mint;
$t->post("/again/$token", body => 'a', headers => { 'X-Mode' => 'close' });
becomes($token, 'in_doubt', 'retries: in doubt');
$up->forget;
@r = $t->many(30, [ POST => "/again/$token", body => 'a',
                    headers => { 'X-Mode' => 'slow ms=500 idempotent=1' } ]);
is($t->statuses(@r)->{200}, 1, 'retries: one got through');
is(scalar($up->posts), 1, 'retries: one reached the app');

done_testing();
