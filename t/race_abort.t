# Visitors who go away at any moment of a redemption: a link is used if and only
# if the app has booked, and no connection is left over.

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
    client_body_timeout 2s;
    server {
        listen 127.0.0.1:%%PORT:http%% reuseport;
        location ~ ^/book/(?<token>[^/]+)$ {
            doi_link $token scope=s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read; }
        location = /active { return 200 $connections_active; }
    }
}
EOC

$t->start;

sub active { $t->get('/active')->body }

sub fds {
    return join ' ', map { my @fds = glob "/proc/$_/fd/*"; "$_:" . @fds }
                     $t->workers;
}

# All workers have done something once.
$t->many(50, sub { [ POST => '/book/' . $t->mint(scope => 's') ] });
$up->forget;

ok(poll_until(30, sub { active() == 1 }), 'one connection is active');
my $fds = fds();

my ($procs, $each) = (10, 50);
my @tokens = map { $t->mint(scope => 's') } 1 .. $procs * $each;
my @modes = ('slow ms=30', 'late ms=30', '422', 'ok', 'drip ms=3');

my @sent = parallel($procs, sub {
    my ($i) = @_;
    my %whole;

    for my $k (0 .. $each - 1) {
        my $token = $tokens[$i * $each + $k];
        my $bytes = $t->bytes('POST', "/book/$token", body => 'a=b&' x 100,
                              headers => { 'X-Mode' => $modes[$k % @modes] });

        # Some leave before the body is there.
        my $n = $k % 7 == 6 ? int rand length $bytes : length $bytes;
        my $s = $t->open_raw(substr $bytes, 0, $n);
        $whole{$token} = $n == length $bytes;

        my $wait = (0, 0.002, 0.01, 0.05, 0.1)[rand 5];
        sleep rand $wait if $wait;

        if ($k % 3) {
            Doi::HTTP::reset_socket($s);
        } else {
            close $s;
        }
    }

    return \%whole;
});

my %whole = map { %$_ } @sent;
is(scalar(keys %whole), @tokens, 'every link was tried');

ok(poll_until(30, sub { active() == 1 }), 'no connection is left over')
    or diag active();
ok(poll_until(30, sub { !@{$t->get('/api/links?state=claimed')
                              ->json->{links}} }), 'no claim is left open');

# One more than before may be the store's log, opened at the first look.
my %before = $fds =~ /(\d+):(\d+)/g;

ok(poll_until(30, sub {
    my %now = fds() =~ /(\d+):(\d+)/g;
    !grep { $now{$_} > ($before{$_} // 0) + 1 } keys %now;
}), 'no descriptor is left over') or diag "$fds; now " . fds();

my %booked = map { $_->{key} => 1 } $up->bookings;
my %asked;
$asked{$_->{headers}{'idempotency-key'}}++ for $up->posts;

is_deeply([ grep { $asked{$_} > 1 } keys %asked ], [],
          'no link got to the app twice');
is(scalar($up->aborts), 0, 'the app was never cut off');

my (%n, @bad);

for my $token (@tokens) {
    my $id = token_fields($token)->{id};
    my $r = $t->get("/api/links/$id");
    my $state = $r->status == 404 ? 'fresh' : $r->json->{state};

    $n{$state . ($booked{$id} ? ' booked' : $asked{$id} ? ' asked' : '')}++;

    push @bad, "$id: $state" unless $state eq ($booked{$id} ? 'used' : 'fresh');
    push @bad, "$id: the app had half a request" if $asked{$id}
                                                    && !$whole{$token};
}

is_deeply(\@bad, [], 'a link is used if the app has booked, else fresh');
note explain \%n;
ok($n{'used booked'}, 'some have booked');
ok($n{fresh}, 'some did not get to the app');

# Those that are free work

my @fresh = grep { !$booked{token_fields($_)->{id}} } @tokens;
is_deeply($t->statuses($t->many(scalar(@fresh),
              sub { [ POST => "/book/$fresh[$_[0]]", body => 'a=b' ] })),
          { 200 => scalar(@fresh) }, 'fresh ones can be redeemed');

done_testing();
