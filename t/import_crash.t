# kill -9 of the leader of the store, of another worker and of all, in the
# middle of an import: what is there are whole rows, in a whole chain; an answer
# tells what was done; once more brings the rest, and nothing twice.

use lib 't/lib';
use Doi;

use Time::HiRes qw(sleep);

my $t = Doi->new(workers => 2);
my $dir = $t->dir;

$t->conf(<<'EOC');
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    client_max_body_size 0;
    doi_store %%DIR%%/store size=256m;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /api/ { doi_api consent; }
    }
}
EOC

$t->expect_log(qr/worker process \d+ exited on signal 9/);
$t->expect_log(qr/shared memory zone ".*" was locked by \d+/);
$t->start;

sub ready {
    my $n = 0;

    return poll_until(20, sub {
        $n = $t->get('/api/contacts/email:nobody@example.org')->status == 404
             ? $n + 1 : 0;
        $n == 20;
    });
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

my %kill = (
    leader => sub { $t->kill_worker('KILL', poll_until(30, \&leader)) },

    other => sub {
        my $leader = poll_until(30, \&leader) // 0;
        $t->kill_worker('KILL', (grep { $_ != $leader } $t->workers)[0]);
    },

    all => sub {
        my @pids = ($t->pid, $t->workers);
        $t->kill_all && threads_gone(@pids) && $t->start;
    },
);


my ($rows, $written) = (6000, 0);

sub import_csv {
    my ($csv) = @_;

    return $t->post('/api/contacts/import', body => $csv, timeout => 120,
                    headers => { 'Content-Type' => 'text/csv' });
}

# Contacts of this kind, as they come out

sub exported {
    my ($how) = @_;

    return grep { /^email,$how\d+\@/ }
           split /\r\n/, $t->get('/api/contacts/export', timeout => 60)->body;
}

sub verified {
    my ($name) = @_;

    my $v = $t->get('/api/ledger/verify', timeout => 60)->json;
    ok($v->{intact}, "$name: the chain is whole") or diag(explain($v));

    return $v->{entries};
}

ok(ready(), 'ready');
is(import_csv("email,status\na\@example.org,single\n")->json->{created}, 1,
   'an import');
my $entries = 1;

for my $how (qw(leader other all)) {
    my $csv = "email,status,person,lang,date\n"
              . join '', map { "$how$_\@example.org,single,$how-$_,de,"
                               . "2024-05-06\n" } 1 .. $rows;

    my ($r) = parallel(2, sub {
        return import_csv($csv) if $_[0] == 0;

        poll_until(20, sub {
            $t->get("/api/contacts/email:${how}400\@example.org")->status
            == 200;
        });
        $kill{$how}->();
    });

    ok(ready(), "$how: ready again");

    my @there = exported($how);
    my $n = @there;
    note("$how: answer ", $r->status, ", $n rows are there");

    cmp_ok($n, '>=', 400, "$how: what was written is there");
    is_deeply([ grep { !/^email,(\w+)(\d+)\@example.org,default,single,\1-\2,de,
                          .*,2024-05-06T00:00:00Z,import$/x } @there ], [],
              "$how: whole rows");
    is(verified($how), $entries + $n, "$how: one entry each");

    if ($r->status == 200) {
        is($r->json->{created} + $r->json->{unchanged}, $rows,
           "$how: answered, for all of them");
        is($n, $rows, "$how: and they are there");

    } else {
        like($r->status, qr/^(?:0|503)$/, "$how: no answer");
    }

    $r = import_csv($csv);
    is($r->status, 200, "$how: once more");
    is_deeply([ @{$r->json}{qw(rows created unchanged invalid refused)} ],
              [ $rows, $rows - $n, $n, 0, 0 ], "$how: the rest of it");

    $entries += $rows;
    is(verified($how), $entries, "$how: nothing twice");
}

my $r = $t->get('/api/contacts/email:all5@example.org/evidence');
is(scalar(@{$r->json->{entries}}), 1, 'one entry of a contact');
is($r->json->{entries}[0]{given}, 1714953600, 'with its date');


# As seen from outside, in a copy of what a crash leaves

SKIP: {
    my $tool = ($ENV{DOI_BUILD} // 'build') . '/doi-ledger';
    skip 'no doi-ledger: make tools', 3 unless -x $tool;

    # The last commits may be in the store's log still, which it does not read.

    my $run = sub { qx($tool $dir/store 1:@{[ $t->key ]} 2>&1) };
    poll_until(30, sub { $run->() =~ /^$entries entries/m });

    ok($t->kill_all, 'all are dead');
    my $out = $run->();
    is($? >> 8, 0, 'doi-ledger has no complaint') or diag($out);
    like($out, qr/^$entries entries of $entries contacts/m, 'and counts them');
}

done_testing();
