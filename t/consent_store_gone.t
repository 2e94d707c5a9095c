# The store goes away under a running nginx: messages, forms and clicks are
# answered 503, so nobody is told that he is in, or out, who is not; the gate
# lets nobody through.

use lib 't/lib';
use Doi;
use Doi::Deliver;

use Digest::SHA qw(hmac_sha1 hmac_sha256_hex);
use MIME::Base64 qw(encode_base64);

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');
my $d = Doi::Deliver->new($t);
my $store = $t->dir . '/store';

$t->write_file('secret', "s3cret\n", 0600);

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    doi_mail maildir:%%DIR%%/mail from=news@example.org;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_token;
    doi_url unsubscribe /u/$doi_token;
    doi_owner name=Example email=owner@example.org;
    doi_limit network off;
    doi_limit recipient off;
    doi_limit address off;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location = /form {
            doi_subscribe channel=email address=email level=double;
        }
        location = /json { doi_inbound json secret_file=%%DIR%%/secret; }
        location = /twilio { doi_inbound twilio secret_file=%%DIR%%/secret; }
        location ~ ^/confirm/(?<token>[^/]+)$ { doi_confirm $token; }
        location ~ ^/u/(?<token>[^/]+)$ { doi_unsubscribe $token; }
        location /api/ { doi_api consent; }
        location /send {
            doi_consent single to=to channel=email;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location = /metrics { doi_metrics; }
    }
}
EOC

ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');

my $n = 0;

sub message {
    my $body = JSON::PP->new->encode({ id => 'm' . ++$n, channel => 'sms',
        from => '+491512345678', to => '+1', text => 'STOP' });

    return $t->post('/json', body => $body, type => 'application/json',
                    headers => { 'X-Doi-Signature-256' =>
                                 'sha256=' . hmac_sha256_hex($body, 's3cret') });
}

sub twilio {
    my %f = (From => '+491512345678', To => '+1', Body => 'STOP',
             MessageSid => 'SM' . ++$n);
    my $url = 'http://127.0.0.1:' . $t->port . '/twilio';

    return $t->post('/twilio', form => \%f, headers => {
        'X-Twilio-Signature' => encode_base64(hmac_sha1(join('', $url,
            map { $_ . $f{$_} } sort keys %f), 's3cret'), '') });
}

sub form { $t->post('/form', form => { email => $_[0] . '@example.org' }) }

is($t->post('/api/contacts/email:a@example.org/events',
            json => { event => 'subscribe' })->status, 200, 'a contact');
my $token = $t->post('/api/contacts/email:a@example.org/unsubscribe',
                     json => {})->json->{token};
is(form('b')->status, 202, 'and one who is to confirm');
my ($mail) = $d->wait_mails(1, to => 'b@example.org');
my $link = $d->link($mail);

sub click { $t->post($link, form => { action => 'confirm' }) }
sub leave { $t->post("/u/$token", body => 'List-Unsubscribe=One-Click',
                     type => 'application/x-www-form-urlencoded') }
sub send_to { $t->post('/send', form => { to => 'a@example.org' }) }

is($_->status, 200, 'while it is there: 200') for message(), twilio(), send_to();
is(scalar $up->requests, 1, 'the app has a request');

rename $store, "$store.old" or die "$store: $!";

ok(poll_until(30, sub { !grep { message()->status != 503 } 1 .. 8 }),
   'a message: 503') or diag(message()->status);

for my $round (1 .. 4) {
    for ([ Twilio => twilio() ], [ 'a form' => form("c$round") ],
         [ 'the click on a link' => click() ], [ 'an unsubscription' => leave() ],
         [ 'the API' => $t->post('/api/contacts/email:a@example.org/events',
                                 json => { event => 'stop' }) ])
    {
        is($_->[1]->status, 503, "$_->[0], round $round: 503");
        unlike($_->[1]->body, qr/subscribed|Check your/, '... and no more');
    }
}

ok(poll_until(30, sub { !grep { send_to()->status != 503 } 1 .. 8 }),
   'the gate: 503') or diag(send_to()->status);
$up->forget;
is(send_to()->json->{code}, 'unavailable', 'and why');
is(scalar $up->requests, 0, 'the app has got nothing more');
cmp_ok($t->metrics->{'doi_gate_total{result="unavailable"}'}, '>', 0, 'counted');

done_testing();
