# A CRM that was away: it is told of each list as it is by then, with the same
# key at each try, and nothing of who was erased; what it refuses for good is
# given up.

use lib 't/lib';
use Doi;
use Doi::Deliver;

my $t = Doi->new(workers => 2);
my $d = Doi::Deliver->new($t);

$t->write_file('secret', "s3cret-of-the-crm\n", 0600);
$d->httpd('no');

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    doi_sync json http://127.0.0.1:%%PORT:crm%%/204 secret_file=%%DIR%%/secret
             allow=private;
    doi_sync json http://127.0.0.1:%%PORT:no%%/400 secret_file=%%DIR%%/secret
             list=refused:x allow=private;
    doi_optout_scope list;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /api/ { doi_api read resolve consent; }
    }
}
EOC

ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');

sub event {
    my ($contact, %fields) = @_;

    my $r = $t->post("/api/contacts/$contact/events", json => \%fields);
    is($r->status, 200, "$fields{event} of $contact") or diag($r->body);
}

sub tried { grep { $_->{attempts} } $d->outbox('state=queued') }

my ($ada, $bob) = map { "email:$_\@example.com" } qw(ada bob);

event($ada, event => 'subscribe', list => $_) for qw(a b c);
event($bob, event => 'subscribe', list => 'a');
ok(poll_until(30, sub { tried() == 4 }), 'four changes wait');
event($ada, event => 'stop', list => 'a');
ok(poll_until(30, sub { tried() == 5 }), 'and another one');
is($t->delete("/api/contacts/$bob", json => { reason => 'gdpr' })->status, 200,
   'one is erased');

$d->httpd('crm');

# One may have been sent by now, as its time had come.

for my $row (tried()) {
    like($t->post("/api/outbox/$row->{id}/retry", json => {})->status,
         qr/^(?:200|404)$/, 'retry');
}

ok($d->idle, 'nothing waits any more');

my (%status, %keys, $bobs);
for ($d->requests('crm')) {
    my $b = JSON::PP::decode_json($_->{body});
    $status{$b->{data}{list}} = $b->{data}{status}
        if $b->{data}{address} eq 'ada@example.com';
    $bobs++ if $b->{data}{address} ne 'ada@example.com';
    $keys{$_->{headers}{'Idempotency-Key'} // ''}++;
}
is_deeply(\%status, { a => 'opted_out', b => 'single', c => 'single' },
          'each list as it is now');
is($bobs, undef, 'nothing of who was erased');
is_deeply([ sort values %keys ], [ (1) x 4 ], 'each change has its key')
    or diag(explain(\%keys));
ok(!(grep { !/^[\w-]{16}$/ } keys %keys), 'in full');

event($ada, event => 'subscribe', list => 'refused');
ok(poll_until(30, sub { $d->outbox('state=dead') == 1 }), 'given up');
is(scalar $d->requests('no'), 1, 'after one try');

done_testing();
