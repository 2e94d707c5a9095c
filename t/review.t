# Doubtful texts wait for somebody to read them, and opt nobody in; deciding is
# an entry of the ledger.  The figures of each day.

use lib 't/lib';
use Doi;

use Digest::SHA qw(hmac_sha256_hex);
use POSIX qw(strftime);

my $t = Doi->new(workers => 2);

$t->write_file('secret', "s3cret\n", 0600);
$t->write_file('users', "ada:{PLAIN}secret\n");

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    doi_gateway sms json http://127.0.0.1:%%PORT:nobody%%/
                secret_file=%%DIR%%/secret allow=private;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location = /in {
            doi_inbound json secret_file=%%DIR%%/secret level=double list=news;
        }
        location /api/ { doi_api consent; }
        location /boss/ {
            auth_basic boss;
            auth_basic_user_file %%DIR%%/users;
            doi_api consent;
        }
        location /look/ { doi_api read; }
    }
}
EOC

ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');

my @boss = (headers => { Authorization => 'Basic YWRhOnNlY3JldA==' });
my $n = 0;

sub say_it {
    my ($from, $text) = @_;

    my $body = JSON::PP->new->ascii->encode(
        { id => 'm' . ++$n, channel => 'sms', from => $from,
          to => '+4930123456', text => $text });

    is($t->post('/in', body => $body, type => 'application/json', headers => {
           'X-Doi-Signature-256' => 'sha256=' . hmac_sha256_hex($body,
                                                                's3cret') })
         ->status, 200, $text);
}

sub review { @{$t->get('/api/review' . ($_[0] // ''))->json->{review}} }

sub status_of {
    my $r = $t->get("/api/contacts/sms:$_[0]?list=news");

    return $r->status == 200 ? $r->json->{lists}[0]{status} : $r->status;
}

my ($ada, $bob) = ('+491512345678', '+491512345679');

is_deeply([ review() ], [], 'nothing waits');
is($t->get('/look/review')->status, 403, 'permission');

say_it($ada, 'do not stop, please start it');
say_it($bob, 'START');
say_it($bob, 'could you stop that');
say_it($bob, 'thank you');

is(status_of($ada), 'none', 'a doubtful text is no opt-in');
is(status_of($bob), 'pending', 'and no opt-out');

my %by = map { $_->{address} => $_ } review();
is(scalar keys %by, 2, 'two wait');
is_deeply([ @{$by{$bob}}{qw(channel list sender message_id text)} ],
          [ qw(sms news +4930123456 m3), 'could you stop that' ],
          'as they were written');
cmp_ok(abs($by{$bob}{time} - time), '<', 60, 'and when');

my ($first, $second) = map { $_->{id} } review();
is(scalar review('?limit=1'), 1, 'one at a time');

# Deciding

my $id = $by{$bob}{id};
is($t->post("/boss/review/$id", @boss, json => {})->status, 400,
   'needs a reason');
is($t->post("/look/review/$id", json => { reason => 'x' })->status, 403,
   'and the permission');
is($t->post('/api/review/' . 'A' x length $id, json => { reason => 'x' })
     ->status, 404, 'an id that is none');
is(scalar review(), 2, 'both wait as before');
is($t->post("/boss/review/$id", @boss, json => { reason => 'he means it' })
     ->status, 200, 'decided');
is_deeply([ map { $_->{address} } review() ], [ $ada ], 'one is left');
is($t->post("/boss/review/$id", @boss, json => { reason => 'again' })->status,
   404, 'nothing of this id any more');

my $e = $t->get("/api/contacts/sms:$bob/evidence")->json->{entries}[-1];
is_deeply([ @{$e}{qw(event actor reason list from to)} ],
          [ qw(reviewed ada), 'he means it', qw(news pending pending) ],
          'the ledger says who, and why');
is(status_of($bob), 'pending', 'what follows from it is another event');

# Erased with its contact

is($t->delete("/api/contacts/sms:$ada", json => { reason => 'gdpr' })->status,
   200, 'erased');
is_deeply([ review() ], [], 'and nothing waits');

# Figures

for ([ a => 'double' ], [ b => 'double' ], [ c => 'single' ]) {
    is($t->post("/api/contacts/email:$_->[0]\@example.org/events",
                json => { event => 'subscribe', level => $_->[1],
                          wording => 'I want it', list => 'l' })->status, 200,
       "$_->[0]: $_->[1]");
}
is($t->post("/api/contacts/email:$_\@example.org/events",
            json => { event => 'confirm', list => 'l' })->status, 200,
   "$_ has confirmed") for qw(a b);
is($t->post('/api/contacts/email:c@example.org/events',
            json => { event => 'stop', list => 'l' })->status, 200, 'stopped');

sub stats {
    my $r = $t->get('/api/stats' . ($_[0] // ''));

    return $r->status == 200 ? @{$r->json->{stats}} : $r->status;
}

# Midnight may have been meanwhile.

my @stats = grep { $_->{list} eq 'l' } stats();
my %sum;
for my $row (@stats) {
    $sum{$_} += $row->{$_} for qw(prompts confirmations subscriptions opt_outs);
}
is_deeply(\%sum, { prompts => 2, confirmations => 2, subscriptions => 1,
                   opt_outs => 1 }, 'counted') or diag(explain(\@stats));
is($stats[0]{wording}, 'I want it', 'by wording');
is_deeply([ @{$stats[0]}{qw(channel source)} ], [ qw(email api) ],
          'channel and source');

sub day { strftime('%Y-%m-%d', gmtime(time + 86400 * $_[0])) }

is(scalar stats('?from=' . day(-1) . '&to=' . day(1)), scalar stats(),
   'from yesterday on');
is_deeply([ stats('?from=' . day(-30) . '&to=' . day(-2)) ], [],
          'nothing of last month');
is_deeply([ stats('?from=' . day(2) . '&to=' . day(3)) ], [],
          'nor of the day after tomorrow');
isnt((stats('?from=2026-03-01&to=2027-03-01'))[0] // '', 400, '366 days');
is(stats($_), 400, "no such days: $_")
    for '?from=2026-03-01&to=2027-03-02', '?from=2026-03-02&to=2026-03-01',
        '?from=2026-13-01', '?to=2026-03-32', '?to=2026-3-01', '?to=';

ok($t->get('/api/ledger/verify')->json->{intact}, 'the chains are whole');

done_testing();
