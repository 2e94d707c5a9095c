# A subscription by the API with double opt-in: the contact gets a prompt in its
# language; other events by the API tell it nothing.

use lib 't/lib';
use Doi;
use Doi::Deliver;

my $t = Doi->new(workers => 2);
my $d = Doi::Deliver->new($t);

$t->write_file('secret', "s3cret\n", 0600);
$d->httpd('gw');

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    doi_gateway sms json http://127.0.0.1:%%PORT:gw%%/200 from=+15005550006
                secret_file=%%DIR%%/secret allow=private;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /api/ { doi_api consent; }
    }
}
EOC

ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');

sub event {
    my ($contact, %fields) = @_;

    my $r = $t->post("/api/contacts/sms:$contact/events", json => \%fields);
    is($r->status, 200, "$fields{event} of $contact") or diag($r->body);

    return $r->json;
}

my ($single, $en, $de) = map { "+49151234567$_" } 10 .. 12;

is(event($single, event => 'subscribe')->{reply}, undef, 'single: no message');
is(event($single, event => 'stop')->{reply}, undef, 'nor for an opt-out');
is(event($en, event => 'subscribe', level => 'double')->{reply}, 'prompt',
   'double: a prompt');
is(event($de, event => 'subscribe', level => 'double', lang => 'de')->{reply},
   'prompt', 'another');

my %sent;
ok(poll_until(30, sub {
    %sent = map { $_->{to} => $_->{text} }
            map { JSON::PP::decode_json($_->{body}) } $d->requests('gw');
    $sent{$en} && $sent{$de};
}), 'they are sent');
like($sent{$en}, qr/reply YES/, 'in English');
like($sent{$de}, qr/antworte/i, 'in German');
is($sent{$single}, undef, 'and no other');

my ($e) = @{$t->get("/api/contacts/sms:$de/evidence")->json->{entries}};
is_deeply([ @{$e}{qw(to reply lang wording)} ],
          [ 'pending', 'prompt', 'de', $sent{$de} ], 'the evidence has its words');

done_testing();
