# The ledger: seals appear, a backup in which somebody has changed, removed or
# moved entries is found out; the secret outlives a change of keys.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);

my $conf = <<'EOC';
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    KEYS
    doi_evidence client=hash;
    set_real_ip_from 127.0.0.1;
    real_ip_header X-Real-IP;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /api/ { doi_api consent; }
        location /full/ { doi_evidence client=full; doi_api consent; }
        location /off/ { doi_evidence client=off; doi_api consent; }
    }
}
EOC

sub conf {
    (my $text = $conf) =~ s/KEYS/$_[0]/;

    return $t->conf($text);
}

conf('doi_key 1 file:%%KEY%%;')->start;
ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');
is($t->get('/api/ledger/seal')->status, 404, 'nothing is sealed yet');

sub event {
    my ($n, %o) = @_;

    my $api = delete $o{api} // 'api';
    my $ip = delete $o{ip} // '127.0.0.1';
    my $r = $t->post("/$api/contacts/email:u$n\@example.com/events",
                     json => { event => 'subscribe', %o },
                     headers => { 'X-Real-IP' => $ip });
    is($r->status, 200, "event of $n") or diag($r->body);
}

event($_) for 1 .. 4;
event(5, ip => '192.0.2.9');
event(6, api => 'full');
event(7, api => 'off');

sub client {
    $t->get("/api/contacts/email:u$_[0]\@example.com/evidence")
      ->json->{entries}[0]{client};
}

like(client(1), qr/^[0-9a-f]{32}$/, 'hashed');
is(client(1), client(2), 'the same for the same');
like(client(5), qr/^[0-9a-f]{32}$/, 'another one');
isnt(client(5), client(1), 'is another');
is(client(6), '127.0.0.1', 'full');
is(client(7), undef, 'off');

my $v = $t->get('/api/ledger/verify')->json;
is_deeply([ @{$v}{qw(contacts entries problems)} ], [ 7, 7, 0 ], 'verified');

my $seal;
ok(poll_until(20, sub {
    my $r = $t->get('/api/ledger/seal');
    $r->status == 200 && ($seal = $r->json);
}), 'sealed in the background');
is($seal->{epoch}, 1, 'the first epoch');
like($seal->{mac}, qr/^[0-9a-f]{64}$/, 'with its MAC');
$v = $t->get('/api/ledger/verify')->json;
is_deeply([ @{$v}{qw(epochs unsealed epoch mac)} ],
          [ 1, 0, 1, $seal->{mac} ], 'and verified');

event(1, list => 'b');
is(scalar @{$t->get("/api/contacts/email:u$_->[0]\@example.com/evidence")
              ->json->{entries}}, $_->[1], "evidence of $_->[0] alone")
    for [ 1, 2 ], map { [ $_, 1 ] } 2 .. 7;
ok(poll_until(20, sub { $t->get('/api/ledger/seal')->json->{epoch} == 2 }),
   'the next epoch has what changed');

# The figures of the day

my $s = $t->get('/api/stats')->json->{stats};
is($s->[0]{subscriptions}, 7, 'statistics') or diag(explain($s));
is($t->get('/api/stats?from=x')->status, 400, 'no day');

# The offline check, on copies: one as it is, others that were tampered with.

SKIP: {
    my $tool = ($ENV{DOI_BUILD} // 'build') . '/doi-ledger';
    skip 'no doi-ledger: make tools', 8 unless -x $tool;

    my $dir = $t->dir;
    my $copy = sub {
        my ($name, $edit) = @_;

        my $data = slurp("$dir/store/data.mdb");
        $t->write_file("$name/data.mdb", $edit ? $edit->($data) : $data);
    };

    my $run = sub {
        my $out = qx($tool @_ 2>&1);
        return ($? >> 8, $out);
    };

    $copy->('copy');
    my $key = '1:' . $t->key;

    my ($status, $out);

    # The last commit may be in the store's log still.
    poll_until(20, sub {
        $copy->('copy');
        ($status, $out) = $run->("$dir/copy", $key,
                                 "--seal $seal->{epoch}:$seal->{mac}");
        return $out =~ /, 2 epochs/;
    });

    is($status, 0, 'a copy is intact') or diag($out);
    like($out, qr/^8 entries of 7 contacts, 2 epochs, 0 heads/m, 'and counted');

    ($status, $out) = $run->("$dir/copy", $key, '--seal 1:' . '0' x 64);
    is($status, 1, 'a seal that is not there');
    like($out, qr/epoch 1 with this MAC/, '... is named');

    ($status, $out) = $run->("$dir/copy", '1:' . $t->key('other'));
    is($status, 2, 'another key');
    ($status, $out) = $run->("$dir/none", $key);
    is($status, 2, 'no store');

    # the user agent or the like in the content of an entry

    $copy->('changed', sub { $_[0] =~ s/([0-9a-f]{32})/'0' x 32/ger });
    ($status, $out) = $run->("$dir/changed", $key);
    is($status, 1, 'changed content is found') or diag($out);
    like($out, qr/^problem: /m, '... and described');
}

# A new key, the old one still there; then the old one is gone.

conf('doi_key 2 file:%%KEY:two%%; doi_key 1 file:%%KEY%%;')->reload;
ok(poll_until(30, sub {
    my $r = $t->get('/api/contacts/email:u1@example.com');
    $r->status == 200;
}), 'contacts are found with a new key');
event(8);

ok(poll_until(30, sub {
    conf('doi_key 2 file:%%KEY:two%%;');
    $t->reload;
    $t->get('/api/contacts/email:u8@example.com')->status == 200;
}), 'the secret is sealed anew');
ok($t->get('/api/ledger/verify')->json->{intact}, 'and the ledger is whole');

# Nginx starts anew.

my $hashed = client(1);
$t->stop;
$t->start;
ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger is open again');
event(9);
is(client(9), $hashed, 'the same hash for the same address');

# A stranger's key

conf('doi_key 3 file:%%KEY:three%%;')->reload;
ok(poll_until(30, sub {
    $t->get('/api/contacts/email:u8@example.com')->status == 503;
}), 'another key does not open it');
ok($t->grep_log(qr/opens the secret of the consent ledger/), 'the log says so');

done_testing();
