# Replies that had to wait: what is no longer true is not sent when the gateway
# is back; nor is anything to a mail address that asked for no more mail.

use lib 't/lib';
use Doi;
use Doi::Deliver;

use Digest::SHA qw(hmac_sha256_hex);

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');
my $d = Doi::Deliver->new($t);

$t->write_file('secret', "s3cret\n", 0600);

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    doi_mail maildir:%%DIR%%/mail from=news@example.org;
    doi_gateway sms json http://127.0.0.1:%%PORT:gw%%/200 from=+15005550006
                secret_file=%%DIR%%/secret allow=private;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_token;
    doi_owner name=Example email=owner@example.org;
    doi_optout_scope list;
    doi_limit network off;
    doi_limit recipient off;
    doi_limit address off;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location = /single { doi_inbound json secret_file=%%DIR%%/secret; }
        location = /double {
            doi_inbound json secret_file=%%DIR%%/secret level=double;
        }
        location = /form {
            doi_subscribe channel=email address=email level=double;
        }
        location = /book {
            doi_hold email=email slot=slot name=name;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/confirm/(?<token>[^/]+)$ {
            doi_confirm $token;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read resolve consent; }
        location = /metrics { doi_metrics; }
    }
    server {
        listen 127.0.0.1:%%PORT:other%%;
        doi_key 2 file:%%KEY:two%%;
        location = /sms {
            doi_subscribe channel=sms address=phone level=double;
        }
        location ~ ^/confirm/(?<token>[^/]+)$ { doi_confirm $token; }
    }
}
EOC

ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');

my $n = 0;

sub say_it {
    my ($uri, $from, $text) = @_;

    my $body = JSON::PP->new->encode({ id => 'm' . ++$n, channel => 'sms',
        from => $from, to => '', text => $text });

    is($t->post($uri, body => $body, type => 'application/json',
                headers => { 'X-Doi-Signature-256' =>
                             'sha256=' . hmac_sha256_hex($body, 's3cret') })
         ->status, 200, "$text of $from");
}

# Nobody listens at the gateway's port yet.

my ($asks, $stops, $in, $out, $gone) = map { "+49151234567$_" } 10 .. 14;

say_it('/double', $asks, 'START');
say_it('/double', $stops, 'START');
say_it('/single', $in, 'START');
say_it('/single', $out, 'START');
say_it('/double', $gone, 'START');

sub waiting { grep { $_->{kind} eq 'message' } $d->outbox('state=queued') }

ok(poll_until(30, sub { 5 == grep { $_->{attempts} } waiting() }), 'five wait');

say_it('/double', $stops, 'STOP');
say_it('/single', $out, 'STOP');
is($t->delete("/api/contacts/sms:$gone", json => { reason => 'gdpr' })->status,
   200, 'one is erased');
ok(poll_until(30, sub {
    my @rows = waiting();
    @rows == 4 && 4 == grep { $_->{attempts} } @rows;
}), 'what they are told waits in place of what is no longer true')
    or diag(explain([ waiting() ]));

$d->httpd('gw');

# One may have been sent by now, as its time had come.

for my $row (waiting()) {
    like($t->post("/api/outbox/$row->{id}/retry", json => {})->status,
         qr/^(?:200|404)$/, 'retry');
}

ok($d->idle, 'nothing waits any more');

my %sent;
for (map { JSON::PP::decode_json($_->{body}) } $d->requests('gw')) {
    push @{$sent{$_->{to}}}, $_->{text};
}
like($sent{$asks}[0], qr/reply YES/, 'the prompt');
like($sent{$in}[0], qr/you are subscribed/, 'the confirmation');
is(scalar @{$sent{$_}}, 1, "one message to $_") for $asks, $stops, $in, $out;
like($sent{$_}[0], qr/unsubscribed/, 'who has stopped is told that alone')
    for $stops, $out;
is($sent{$gone}, undef, 'who was erased is told nothing');

# A prompt with a link that another server's key has sealed

is($t->post('/sms', form => { phone => '+491512345720' },
            port => $t->port('other'))->status, 202, 'another server');
my ($m) = do {
    my @mine;
    poll_until(30, sub {
        @mine = grep { $_->{to} eq '+491512345720' }
                map { JSON::PP::decode_json($_->{body}) } $d->requests('gw');
    });
    @mine;
};
like($m->{text} // '', qr{/confirm/[\w-]{46}}, 'its link is opened and sent');

# "It wasn't me" of a booking: no more mail

is($d->book(email => 'z@example.org', slot => '2030-01-01 09:00')->status, 202,
   'a booking');
my ($mail) = $d->wait_mails(1, to => 'z@example.org');
is($t->post($d->link($mail), form => { action => 'cancel' })->status, 200,
   'it was not me');
ok(poll_until(30, sub {
    $t->get('/api/suppressions/z@example.org')->status == 200
}), 'no more mail, please');
my $before = $t->metrics->{doi_mails_suppressed_total};
is($t->post('/form', form => { email => 'z@example.org' })->status, 202,
   'a form with that address: the same answer');
ok($d->idle, 'nothing waits');
is(scalar(grep { $_->{head}{subject} =~ /subscription/i }
               $d->mails(to => 'z@example.org')), 0, 'no prompt');
ok(poll_until(30, sub { $t->metrics->{doi_mails_suppressed_total} > $before }),
   'counted');

is($t->leaks, 0, 'no token in the error log');

done_testing();
