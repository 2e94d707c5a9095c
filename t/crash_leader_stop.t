# The leader of the store hangs (SIGSTOP) for longer than an operation may take:
# nobody is let through, visitors are told to come back, and can.

use lib 't/lib';
use Doi;

use POSIX ();
use Time::HiRes qw(sleep);

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
        location /api/ { doi_api read mint; }
        location /metrics { doi_metrics; }
    }
}
EOC

$t->start;

sub leader {
    my $inode = (stat $t->dir . '/store/leader.lock')[1] or return;
    my ($pid) = slurp('/proc/locks')
                =~ /FLOCK\s+ADVISORY\s+WRITE\s+(\d+)\s+\S+:$inode\s/;

    return $pid;
}

my $used = '/book/' . $t->mint(scope => 's');
is($t->post($used, body => 'a=b')->status, 200, 'it works');
my $leader = leader();
ok((grep { $_ == $leader } $t->workers), 'one worker leads');

# A booking that is under way in another worker

my ($slow, $s);

for (1 .. 50) {
    $slow = '/book/' . $t->mint(scope => 's');
    $up->forget;
    $s = $t->open_raw($t->bytes('POST', $slow, body => 'a=b',
                                headers => { 'X-Mode' => 'slow ms=1500' }));
    poll_until(30, sub { $up->posts == 1 });

    last unless asks_app($leader);
    Doi::HTTP::exchange($s, undef);
    close $s;
}

# Is a process connected to the app?

sub asks_app {
    my ($pid) = @_;

    my $port = sprintf '%04X', $t->port('app');
    my %inode = map { (split)[9] => 1 }
                grep { (split)[2] =~ /:$port$/ && (split)[3] eq '01' }
                grep { /^\s*\d+:/ } split /\n/, slurp('/proc/net/tcp');

    return grep { (readlink($_) // '') =~ /^socket:\[(\d+)\]/
                  && $inode{$1} } glob "/proc/$pid/fd/*";
}

$up->forget;
kill 'STOP', $leader;

# A connection wakes one worker only.  If that is the stopped one, it waits for
# the next connection to wake another: hence somebody who comes all the time.

my $parent = $$;
my $knocks = fork() // die "fork: $!";

if ($knocks == 0) {
    while (getppid() == $parent) {
        close($_) for grep { $_ } Doi::HTTP::connect_to($t->port, 1);
        sleep 0.05;
    }

    POSIX::_exit(0);
}

# Forged and used ones need no leader, nor do looks.

is_deeply($t->statuses($t->many(8, sub { [ GET => '/book/' . 'x' x 46 ] })),
          { 403 => 8 }, 'forged: refused');
is($t->get($used)->status, 410, 'used: told so');
is($t->get('/book/' . $t->mint(scope => 's'))->status, 200, 'a look: let in');
$up->forget;

my $r = Doi::HTTP::exchange($s, undef);
is($r->status, 200, 'a booking that was under way gets its answer');
close $s;

# 40 links, two requests each; and the API

my @links = map { '/book/' . $t->mint(scope => 's') } 1 .. 40;

my @r = $t->many(82, sub {
    my ($i) = @_;

    return [ POST => '/api/links', json => { scope => 's' } ] if $i == 80;
    return [ GET => $slow ] if $i == 81;
    return [ POST => $links[$i % 40], body => 'a=b' ];
}, timeout => 60);

my $looked = pop @r;
my $minted = pop @r;

is_deeply($t->statuses(@r), { 503 => 80 }, 'nobody is let through');
is_deeply([ grep { ($_->header('Retry-After') // '') !~ /^[1-9]\d*$/ } @r ], [],
          'all are told when to come back');
is($minted->status, 503, 'API: 503');
like($minted->header('Retry-After'), qr/^[1-9]\d*$/, 'API: Retry-After');
isnt($looked->status, 200, 'a look at the link that is being booked: '
                           . $looked->status);
is_deeply([ grep { $_ > 25 } map { $_->time } @r, $minted ], [],
          'after the time that is set');
is(scalar($up->requests), 0, 'nothing got to the app');
is(leader(), $leader, 'nobody took the lead from one who may come back');

# It comes back

kill 'CONT', $leader;
kill 'KILL', $knocks;
waitpid $knocks, 0;

my @first = $t->many(40, sub { [ POST => $links[$_[0]], body => 'a=b' ] });
my %n = %{$t->statuses(@first)};
note explain \%n;
is_deeply([ grep { !/^(?:200|409|503)$/ } keys %n ], [], 'back again');

my @left = @links[grep { $first[$_]->status != 200 } 0 .. $#links];

ok(poll_until(30, sub {
    @left = grep { $t->post($_, body => 'a=b')->status != 200 } @left;
    !@left;
}), 'every link can be redeemed');

is_deeply($t->statuses($t->many(40, sub { [ POST => $links[$_[0]] ] })),
          { 410 => 40 }, 'once');

my %asked;
$asked{$_->{headers}{'idempotency-key'}}++ for $up->posts;
is_deeply(\%asked, { map { token_fields(substr $_, 6)->{id} => 1 } @links },
          'one request to the app for each');

ok(poll_until(30, sub { $t->get($slow)->status == 410 }),
   'the booking that was under way is used');
is_deeply($t->get('/api/links?state=claimed')->json->{links}, [],
          'no claim is left open');
is_deeply($t->get('/api/links?state=in_doubt')->json->{links}, [],
          'none is in doubt');
cmp_ok($t->metrics->{doi_store_unknown_total}, '>', 0, 'which was counted');
is($t->leaks, 0, 'no token in the error log');

done_testing();
