# Binary upgrades in the middle of claims: both generations share the store, and
# one of them is rolled back.

use lib 't/lib';
use Doi;

use Time::HiRes qw(sleep time);

my $t = Doi->new(workers => 2);
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
    }
}
EOC

$t->start;

my ($clients, $min) = (8, 10);
my @modes = ('slow ms=50', 'ok', 'slow ms=250', 'late ms=30');
my $stop = $t->dir . '/stop';


# Clients redeem links of their own until what is done meanwhile is done; what
# it returns comes first, then their results.

sub under_load {
    my ($code) = @_;

    unlink $stop;
    $up->forget;

    my ($done, @res) = parallel(1 + $clients, sub {
        my ($i) = @_;

        if ($i == 0) {
            poll_until(30, sub { $up->posts >= 10 });
            my $res = eval { $code->() };
            my $err = $@;
            open(my $fh, '>', $stop) or die "$stop: $!";
            die $err if $err;
            return $res;
        }

        my @res;
        my $over = 0;
        my $until = time() + 120;

        # The last one begins when all is done.

        while (time() < $until && (!$over || @res < $min)) {
            $over = -e $stop;
            my $token = $t->mint(scope => 's');
            my $r = $t->post("/book/$token", body => 'a=b',
                             headers => { 'X-Mode' => $modes[@res % 4] });
            my $look = $t->get("/book/$token");

            # As in reload_claims.t: a new leader.
            poll_until(30, sub {
                $look->status != 409 or ($look = $t->get("/book/$token")) && 0;
            });
            push @res, [ token_fields($token)->{id}, $r->status, $look->status,
                         $r->header('X-Worker') // 0 ];
        }

        return \@res;
    });

    return ($done, map { @$_ } @res);
}

sub check {
    my ($name, @res) = @_;

    my (%n, %asked);
    $n{"$_->[1] $_->[2]"}++ for @res;
    $asked{$_->{headers}{'idempotency-key'}}++ for $up->posts;

    is_deeply(\%n, { '200 410' => scalar(@res) },
              "$name: every booking was answered, and its link is used")
        or diag explain \%n;
    is_deeply(\%asked, { map { $_->[0] => 1 } @res },
              "$name: one request to the app for each of " . @res);

    for my $state (qw(claimed in_doubt)) {
        is_deeply($t->get("/api/links?state=$state")->json->{links}, [],
                  "$name: none is left $state");
    }
}

sub served {
    my ($pids, @res) = @_;

    my %pids = map { $_ => 1 } @$pids;

    return scalar grep { $pids{$_->[3]} } @res;
}


# An upgrade, with both generations at work for a while

my $slow = '/book/' . $t->mint(scope => 's');
my $first = $t->pid;

my ($pids, @res) = under_load(sub {
    my %p = (old => [ $t->workers ]);

    ($p{master}, my $new) = $t->upgrade_start;
    $p{new} = [ $t->workers(master => $new) ];
    sleep 0.5;
    $p{finished} = $t->upgrade_finish;

    return \%p;
});

is($pids->{master}, $first, 'upgrade');
ok($pids->{finished}, 'the old processes are gone');
isnt($t->pid, $first, 'another master');
check('upgrade', @res);
ok(served($pids->{old}, @res), 'the old workers had a part');
ok(served($pids->{new}, @res), 'and the new ones');

# A link claimed by the old generation, seen by the new one

my $s = $t->open_raw($t->bytes('POST', $slow, body => 'a=b',
                               headers => { 'X-Mode' => 'slow until=go' }));
ok(poll_until(30, sub { grep { $_->{mode} =~ /slow/
                              && $_->{headers}{'idempotency-key'}
                                 eq token_fields(substr $slow, 6)->{id} }
                       $up->posts }), 'a slow booking is under way');

my ($old, $new) = $t->upgrade_start;
my @old = $t->workers(master => $old);
kill 'WINCH', $old;
ok(poll_until(30, sub { !$t->workers(master => $old) }),
   'the old workers take nothing new');
is($t->get($slow)->status, 409, 'the new ones know the claim of the old ones');
is($t->post($slow)->status, 409, 'and keep to it');
$t->write_file('go', '');

my $r = Doi::HTTP::exchange($s, undef);
close $s;          # nginx lingers for the client
is($r->status, 200, 'it gets its answer');
ok((grep { $_ == $r->header('X-Worker') } @old), 'from an old worker');
is($t->get($slow)->status, 410, 'and is used for the new ones at once');
ok($t->upgrade_finish, 'the upgrade ends');

# One that is rolled back

$first = $t->pid;

($pids, @res) = under_load(sub {
    my ($old, $new) = $t->upgrade_start;
    my %p = (new => [ $t->workers(master => $new) ],
             old => [ $t->workers(master => $old) ]);

    # The old workers go, the new ones are not liked, the old ones come back.

    kill 'WINCH', $old;
    $p{wound} = poll_until(30, sub { !$t->workers(master => $old) });

    # More than the old ones may still be at work for: the new ones, too.

    my $n = () = $up->posts;
    poll_until(30, sub { $up->posts > $n + $clients });
    kill 'HUP', $old;
    $p{back} = poll_until(30, sub { $t->workers(master => $old) == 2 });
    $p{again} = [ $t->workers(master => $old) ];

    kill 'QUIT', $new;
    $p{gone} = $t->wait_gone(60, $new, @{$p{new}}, @{$p{old}});

    return \%p;
});

ok($pids->{wound} && $pids->{back}, 'roll back: old workers again');
ok($pids->{gone}, 'the new processes are gone');
ok(poll_until(30, sub { ($t->pid // 0) == $first }), 'the old master stays');
check('roll back', @res);
ok(served($pids->{new}, @res), 'the new workers had a part');
ok(served($pids->{again}, @res), 'the old master\'s, too, in the end');

$r = $t->post('/api/links', json => { scope => 's' });
is($r->status, 201, 'it still works');

done_testing();
