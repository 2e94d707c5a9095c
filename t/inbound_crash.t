# kill -9 of workers, of the leader of the store and of all at once, while
# contacts write and a provider delivers each message until it is taken, and
# some once more: each counts once, in order, and none is lost.

use lib 't/lib';
use Doi;
use Doi::Deliver;

use Digest::SHA qw(hmac_sha1 hmac_sha256_hex);
use MIME::Base64 qw(encode_base64);
use Time::HiRes qw(sleep time);

my ($kills, $clients, $each) = (9, 6, 2);

my $t = Doi->new(workers => 3);
my $d = Doi::Deliver->new($t);
my $dir = $t->dir;

$t->write_file('secret', "s3cret\n", 0600);
$d->httpd('gw');

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_base_url https://sms.example.org;
    doi_gateway sms json http://127.0.0.1:%%PORT:gw%%/200 from=+15005550006
                secret_file=%%DIR%%/secret allow=private;
    doi_message prompt "prompt {{keyword}}";
    doi_message confirmed confirmed;
    doi_message opted_out opted_out;
    doi_message help help;
    server {
        listen 127.0.0.1:%%PORT:http%% reuseport;
        location = /twilio {
            doi_inbound twilio secret_file=%%DIR%%/secret level=double;
        }
        location = /json {
            doi_inbound json secret_file=%%DIR%%/secret level=double;
        }
        location /api/ { doi_api read consent; }
    }
}
EOC

$t->expect_log(qr/worker process \d+ exited on signal 9/);
$t->expect_log(qr/shared memory zone ".*" was locked by \d+/);
$t->start;


# A message is { id, from, text, by }.

my $n = 0;

sub message {
    my ($from, $text, $by) = @_;

    return { id => join('.', 'm', $$, ++$n), from => $from, text => $text,
             by => $by };
}

sub bytes {
    my ($m) = @_;

    if ($m->{by} eq 'twilio') {
        my $form = { From => $m->{from}, To => '+15005550006',
                     Body => $m->{text}, MessageSid => $m->{id} };
        my $signed = join '', 'https://sms.example.org/twilio',
                     map { $_ . $form->{$_} } sort keys %$form;

        return $t->bytes(POST => '/twilio', form => $form, headers => {
            'X-Twilio-Signature' =>
                encode_base64(hmac_sha1($signed, 's3cret'), '') });
    }

    my $body = JSON::PP->new->canonical->encode(
        { id => $m->{id}, channel => 'sms', from => $m->{from},
          to => '+15005550006', text => $m->{text} });

    return $t->bytes(POST => '/json', body => $body,
                     type => 'application/json', headers => {
        'X-Doi-Signature-256' => 'sha256=' . hmac_sha256_hex($body, 's3cret')
    });
}


# As a provider does: until it is taken.  Some hang up and come again, some
# deliver twice.

sub deliver {
    my ($m) = @_;

    my $bytes = bytes($m);

    if (rand() < 0.15) {
        my $s = eval { $t->open_raw($bytes) };
        close $s if $s;
    }

    my $taken = poll_until(30, sub {
        $t->http_raw($bytes, timeout => 30)->status == 200;
    });

    $t->http_raw($bytes, timeout => 30) if $taken && rand() < 0.15;

    return $taken;
}

sub client {
    my ($i) = @_;

    srand($$);

    my @words = qw(START START YES YES STOP HELP hm);
    my @from = map { sprintf '+4915123456%d%d', $i, $_ } 1 .. $each;
    my @done;

    while (!-e "$dir/over") {
        for my $from (@from) {
            my $m = message($from, $words[rand @words],
                            rand() < 0.5 ? 'twilio' : 'json');
            $m->{taken} = deliver($m);
            push @done, $m;
            return \@done if !$m->{taken};
        }
    }

    return \@done;
}


sub leader {
    my $inode = (stat "$dir/store/leader.lock")[1] or return;
    my ($pid) = slurp('/proc/locks')
                =~ /FLOCK\s+ADVISORY\s+WRITE\s+(\d+)\s+\S+:$inode\s/;

    return $pid;
}

# A process whose main thread is a zombie may have others, which have locks.

sub threads_gone {
    my @pids = @_;

    return poll_until(30, sub {
        !grep { slurp("$_/stat") =~ /^\d+ \(.*\) [^ZX]/s }
         map { glob "/proc/$_/task/*" } @pids;
    });
}

sub killer {
    my %killed;

    for my $k (1 .. $kills) {
        sleep 0.1 + rand 0.15;

        if ($k % 3 == 0) {
            my @pids = ($t->pid, $t->workers);
            $t->kill_all && threads_gone(@pids) && $t->start && $killed{all}++;
            next;
        }

        my @workers = $t->workers;
        my $pid = $k % 3 == 1 ? poll_until(30, \&leader)
                              : $workers[rand @workers];
        $t->kill_worker('KILL', $pid);
        $killed{$k % 3 == 1 ? 'leader' : 'worker'}++;
    }

    $t->write_file('over', '');

    return \%killed;
}


# All workers have opened the store and the ledger.

sub ready {
    my $n = 0;

    return poll_until(20, sub {
        $n = $t->get('/api/contacts/sms:+491510000000')->status == 404
             ? $n + 1 : 0;
        $n == 30;
    });
}


ok(ready(), 'ready');
poll_until(30, sub {
    $t->http_raw(bytes(message('+491510000001', 'hm', 'json')))->status == 200
});
ok(poll_until(30, \&leader), 'there is a leader');

my @res = parallel($clients + 1, sub {
    return $_[0] < $clients ? client($_[0]) : killer();
});

is_deeply(pop @res, { map { $_ => $kills / 3 } qw(leader worker all) },
          'killed');

my @messages = map { @$_ } @res;
note scalar(@messages), ' messages';
cmp_ok(scalar(@messages), '>', 2 * $clients * $each, 'many messages');
is_deeply([ grep { !$_->{taken} } @messages ], [], 'all are taken in the end');


# What they make of a contact, one after the other: status, entries by message
# id, replies that go out by the gateway

sub model {
    my (@messages) = @_;

    my $state = 'none';
    my (@entries, %replies);

    for my $m (@messages) {
        my ($to, $reply) = ($state);
        my $in = $state eq 'double';

        if ($m->{text} eq 'START') {
            ($to, $reply) = $in ? ($state, 'confirmed')
                : $state eq 'pending' ? ($state) : ('pending', 'prompt');

        } elsif ($m->{text} eq 'YES') {
            ($to, $reply) = ('double', 'confirmed') if $state eq 'pending';

        } elsif ($m->{text} eq 'STOP') {
            ($to, $reply) = ('opted_out', 'opted_out')
                if $state ne 'opted_out';

        } elsif ($m->{text} eq 'HELP') {
            $reply = 'help';
        }

        push @entries, "$m->{id}: $state $to" if $to ne $state;
        $replies{$reply}++ if $reply && $m->{by} eq 'json';
        $state = $to;
    }

    return ($state, \@entries, \%replies);
}

my %by;
push @{$by{$_->{from}}}, $_ for @messages;

sub check {
    my ($name) = @_;

    my (@bad, $entries);

    for my $from (sort keys %by) {
        my ($state, $want) = model(@{$by{$from}});
        my $c = $t->get("/api/contacts/sms:$from");
        my $is = $c->status == 404 ? 'none' : $c->json->{lists}[0]{status};
        my @got = $is eq 'none' ? ()
                  : map { "$_->{message_id}: $_->{from} $_->{to}" }
                    @{$t->get("/api/contacts/sms:$from/evidence")
                      ->json->{entries}};

        push @bad, "$from is $is, and should be $state" if $is ne $state;
        push @bad, "$from: entries @got, not @$want" if "@got" ne "@$want";
        $entries += @got;
    }

    is_deeply(\@bad, [], "$name: each message counts once, in order");

    my $v = $t->get('/api/ledger/verify')->json;
    ok($v->{intact}, "$name: the ledger is whole") or diag(explain($v));
    is($v->{entries}, $entries, "$name: nothing else is in it");

    return $entries;
}

ok(ready(), 'ready again');
check('after that');


# Replies: those that may be outdated meanwhile perhaps not

ok($d->idle(60), 'all replies are gone');

my (%sent, %times);

for my $m (map { JSON::PP::decode_json($_->{body}) } $d->requests('gw')) {
    $times{$m->{id}}++ or $sent{$m->{to}}{(split / /, $m->{text})[0]}++;
}

my @bad;

for my $from (sort keys %by) {
    my (undef, undef, $want) = model(@{$by{$from}});

    for my $reply (qw(prompt confirmed opted_out help)) {
        my ($is, $max) = map { $_->{$reply} // 0 } $sent{$from}, $want;
        my $min = $reply =~ /opted_out|help/ ? $max : 0;
        push @bad, "$from: $reply $is times, not $min to $max"
            if $is < $min || $is > $max;
    }
}

is_deeply(\@bad, [], 'each reply is sent, and no other');
note scalar(grep { $_ > 1 } values %times), ' of ', scalar(keys %times),
     ' were sent again';


# All of it once more, and then something new, without a crash

my $before = () = $d->requests('gw');

my %statuses;
my @again = @messages;

while (my @some = splice(@again, 0, 200)) {
    my $s = $t->statuses($t->many(scalar(@some),
                                  sub { bytes($some[$_[0]]) }));
    $statuses{$_} += $s->{$_} for keys %$s;
}

is_deeply(\%statuses, { 200 => scalar(@messages) },
          'delivered again, many at a time');
check('delivered again');
ok($d->idle(60), 'nothing is left');
is(scalar(() = $d->requests('gw')), $before, 'and nothing was sent');

for my $from (sort keys %by) {
    my $m = message($from, 'HELP', 'json');
    push @{$by{$from}}, $m;
    ok(deliver($m), 'HELP');
}

ok($d->idle(60), 'answered');
my @new = map { JSON::PP::decode_json($_->{body}) } $d->requests('gw');
is_deeply([ sort map { $_->{to} } splice @new, $before ], [ sort keys %by ],
          'once');


# The same, as seen from outside, in a copy of what a crash leaves

SKIP: {
    my $tool = ($ENV{DOI_BUILD} // 'build') . '/doi-ledger';
    skip 'no doi-ledger: make tools', 2 unless -x $tool;

    my $entries = check('in the end');

    # The last commits may be in the store's log still, which it does not read.

    my $run = sub { qx($tool $dir/store 1:@{[ $t->key ]} 2>&1) };
    poll_until(30, sub { $run->() =~ /^$entries entries/m });

    ok($t->kill_all, 'all are dead');
    my $out = $run->();
    is($? >> 8, 0, 'doi-ledger has no complaint') or diag($out);
    like($out, qr/^$entries entries of /m, 'and counts the same');
}

done_testing();
