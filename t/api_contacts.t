# The API of contacts: events, what they lead to, evidence, erasure, the links
# to unsubscribe by; and the gate that asks for what is written there.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

$t->write_file('users', "ada:{PLAIN}secret\n");

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url unsubscribe /u/$doi_token;
    doi_optout_scope contact;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /api/ { doi_api consent; }
        location /boss/ {
            auth_basic boss;
            auth_basic_user_file %%DIR%%/users;
            doi_api consent override;
        }
        location /nobody/ { doi_api consent override; }
        location /look/ { doi_api read; }
        location /send {
            doi_consent single to=To channel=sms;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /strict {
            doi_consent double to=To channel=sms;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');

my $n = '/api/contacts/sms:+4915112345678';
my @boss = (headers => { Authorization => 'Basic YWRhOnNlY3JldA==' });

sub event {
    my ($fields, %o) = @_;

    return $t->post($o{at} // "$n/events", json => $fields,
                    @{$o{with} // []});
}

is($t->get($n)->status, 404, 'not known');
is($t->get('/look/contacts/sms:+4915112345678')->status, 403, 'permission');
is($t->get('/api/contacts/fax:+4915112345678')->status, 404, 'no such channel');
is($t->get('/api/contacts/sms:12')->status, 400, 'no number');
is($t->get('/api/contacts')->status, 404, 'there is no list of them');
is($t->post('/send', form => { To => '+4915112345678', Body => 'hi' })->status,
   403, 'the gate is closed');

my $r = event({ event => 'subscribe', source => 'agent', person => 'p1',
                lang => 'de', wording => 'I agree' });
is($r->status, 200, 'subscribe') or diag($r->body);
is_deeply([ @{$r->json}{qw(from status seq)}, !!$r->json->{created} ],
          [ 'none', 'single', 1, !!1 ], 'a new contact');

is($t->post('/send', form => { To => '+49 (0)151 12345678', Body => 'hi' })
     ->status, 200, 'the gate is open');

my $c = $t->get($n)->json;
is($c->{address}, '+4915112345678', 'address');
is($c->{person}, 'p1', 'person');
is($c->{lists}[0]{list}, 'default', 'list');
is($c->{lists}[0]{status}, 'single', 'status');
is($c->{lists}[0]{source}, 'agent', 'source');
is_deeply($t->get("$n?list=other")->json->{lists}, [], 'not on another list');

is(event({ event => 'subscribe', list => 'news' })->json->{status}, 'single',
   'a second list');
$r = event({ event => 'stop', reason => 'on the phone' });
is_deeply([ @{$r->json}{qw(from status others)} ], [ 'single', 'opted_out', 1 ],
          'stop reaches all lists');
is($t->post('/send', form => { To => '+4915112345678' })->json->{code},
   'opted_out', 'the gate says why');

$r = event({ event => 'subscribe', source => 'agent' });
is($r->status, 409, 'an agent cannot undo it');
is($r->json->{code}, 'refused', 'and is told so');

is(event({ event => 'override', reason => 'by letter' })->status, 403,
   'override needs its permission');
is(event({ event => 'override', reason => 'by letter' },
         at => '/nobody/contacts/sms:+4915112345678/events')->status, 400,
   'and a name');
is(event({ event => 'override' }, with => \@boss,
         at => '/boss/contacts/sms:+4915112345678/events')->status, 400,
   'and a reason');
$r = event({ event => 'override', reason => 'by letter' }, with => \@boss,
           at => '/boss/contacts/sms:+4915112345678/events');
is($r->json->{status}, 'single', 'override') or diag($r->body);
is($t->post('/strict', form => { To => '+4915112345678' })->status, 200,
   'which is good for every gate');

for my $bad ({}, { event => 'other' }, { event => 'subscribe', level => 'x' },
             { event => 'subscribe', source => 'web' },
             { event => 'subscribe', list => 'l' x 65 },
             { event => 'subscribe', list => "a\0b" },
             { event => 'subscribe', more => 1 })
{
    is(event($bad)->status, 400, 'refused: ' . join ' ', %$bad);
}

my $e = $t->get("$n/evidence")->json;
is($e->{head_seq}, scalar @{$e->{entries}}, 'all entries');
is_deeply([ map { $_->{seq} } @{$e->{entries}} ],
          [ 1 .. @{$e->{entries}} ], 'in order');
is($e->{entries}[0]{wording}, 'I agree', 'the exact wording');
is($e->{entries}[0]{client}, '127.0.0.0/24', 'the client, truncated');
is($e->{entries}[0]{list}, 'default', 'the list');
is($e->{entries}[-1]{actor}, 'ada', 'who');
is($e->{entries}[-1]{reason}, 'by letter', 'why');
is($e->{head_mac}, $e->{entries}[-1]{mac}, 'the head');

$r = $t->post("$n/unsubscribe", json => { list => 'news', ttl => 60 });
is($r->status, 201, 'a link to unsubscribe') or diag($r->body);
like($r->json->{url}, qr{/u/\Q@{[$r->json->{token}]}\E$}, 'with the token');
$r = $t->post("$n/unsubscribe", json => { ttl => '30d' });
is($r->status, 201, 'for 30 days') or diag($r->body);
cmp_ok(abs($r->json->{expires} - time - 30 * 86400), '<', 60, 'from now on');
for my $ttl (0, -1, '', 'soon', '6y', 157680001, JSON::PP::true) {
    is($t->post("$n/unsubscribe", json => { ttl => $ttl })->status, 400,
       "not for \"$ttl\"");
}
is($t->post('/api/contacts/sms:+4915100000000/unsubscribe', json => {})
     ->status, 404, 'not for a contact that is not known');

is($t->delete($n, json => {})->status, 400, 'erasure needs a reason');
is($t->delete($n, json => { reason => 'Article 17' })->status, 200, 'erasure');
is($t->delete($n, json => { reason => 'Article 17' })->status, 200, 'again');
$c = $t->get($n)->json;
is($c->{address}, '', 'no address');
is($t->post('/api/contacts/email:b@example.org/events',
            json => { event => 'subscribe' })->status, 200, 'another contact');
is($t->delete('/boss/contacts/email:b@example.org', @boss,
              json => { reason => 'by letter' })->status, 200, 'erased by name');
is_deeply([ @{$t->get('/api/contacts/email:b@example.org/evidence')
                ->json->{entries}[-1]}{qw(event actor reason)} ],
          [ 'erased', 'ada', 'by letter' ], 'which is kept');
is($c->{person}, '', 'no person');
is_deeply([ map { $_->{status} } @{$c->{lists}} ], [ ('opted_out') x 2 ],
          'opted out of all lists');
$e = $t->get("$n/evidence")->json;
ok(!grep({ exists $_->{reason} || exists $_->{client} } @{$e->{entries}}[0 .. 3]),
   'nothing personal in the evidence');
is($e->{entries}[-1]{event}, 'erased', 'one entry more');

# By telephone it is the contact itself that says so.

for ([ stop => 'opted_out' ], [ subscribe => 'single' ], [ stop => 'opted_out' ],
     [ subscribe => 'single' ])
{
    my ($event, $status) = @$_;

    $r = event({ event => $event, source => 'ivr' },
               at => '/api/contacts/sms:+4915112345600/events');
    is($r->json->{status}, $status, "ivr: $event") or diag($r->body);
}

my $v = $t->get('/api/ledger/verify')->json;
ok($v->{intact}, 'the chain is whole') or diag(explain($v));
is($v->{contacts}, 3, 'three contacts');
is($v->{entries}, $e->{head_seq} + 2 + 4, 'all entries');

done_testing();
