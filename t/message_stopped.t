# The gateway says that the recipient has opted out: that is an opt-out of this
# contact here, on all its lists, with the gateway's words as the reason; others
# of the person stay.

use lib 't/lib';
use Doi;
use Doi::Deliver;

use Digest::SHA qw(hmac_sha256_hex);

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
    doi_gateway sms twilio http://127.0.0.1:%%PORT:gw%%/400-json user=AC1
                from=+15005550006 secret_file=%%DIR%%/secret allow=private;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location = /in {
            doi_inbound json secret_file=%%DIR%%/secret list=news;
        }
        location /api/ { doi_api consent read; }
    }
}
EOC

ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');

my $who = '+491512345678';
my $mail = 'email:ada@example.org';

for ([ "sms:$who", 'default' ], [ "sms:$who", 'sports' ], [ $mail, 'default' ]) {
    is($t->post("/api/contacts/$_->[0]/events",
                json => { event => 'subscribe', list => $_->[1], person => 'p' })
         ->status, 200, "$_->[0]: $_->[1]");
}

my $body = JSON::PP->new->encode({ id => 'm1', channel => 'sms', from => $who,
                                   to => '', text => 'START' });
is($t->post('/in', body => $body, type => 'application/json', headers => {
       'X-Doi-Signature-256' => 'sha256=' . hmac_sha256_hex($body, 's3cret') })
     ->status, 200, 'START');

sub lists {
    join ' ', map { "$_->{list}=$_->{status}" }
              sort { $a->{list} cmp $b->{list} }
              @{$t->get("/api/contacts/$_[0]")->json->{lists}};
}

ok(poll_until(30, sub {
    lists("sms:$who") eq 'default=opted_out news=opted_out sports=opted_out'
}), 'out of all lists') or diag(lists("sms:$who"));
is(lists($mail), 'default=single', "the person's mail address stays");

my ($e) = grep { $_->{event} eq 'revoke' }
          @{$t->get("/api/contacts/sms:$who/evidence")->json->{entries}};
is($e->{source}, 'provider', 'from the provider');
like($e->{reason}, qr/21610/, 'with its reason');
ok(poll_until(30, sub { $d->outbox('state=dead') == 1 }),
   'the message is given up');
is(scalar $d->requests('gw'), 1, 'after one try');

done_testing();
