# What the ledger keeps of forms, clicks and messages: who, in which words, and
# the network that the client has after realip; no secret of a link.

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
    doi_mail maildir:%%DIR%%/mail from=news@example.org;
    doi_gateway sms json http://127.0.0.1:%%PORT:gw%%/200 from=+15005550006
                secret_file=%%DIR%%/secret allow=private;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_token;
    doi_url unsubscribe /u/$doi_token;
    doi_owner name=Example email=owner@example.org;
    set_real_ip_from 127.0.0.1;
    real_ip_header X-Real-IP;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location = /form {
            doi_subscribe channel=email address=email person=id level=double
                          list=news "wording=I want the news";
        }
        location = /plain {
            doi_subscribe channel=email address=email level=double;
        }
        location = /sms {
            doi_subscribe channel=sms address=phone level=double;
        }
        location = /in {
            doi_inbound json secret_file=%%DIR%%/secret level=double;
        }
        location ~ ^/confirm/(?<token>[^/]+)$ { doi_confirm $token; }
        location ~ ^/u/(?<token>[^/]+)$ { doi_unsubscribe $token; }
        location /api/ { doi_api consent; }
        location = /metrics { doi_metrics; }
    }
}
EOC

ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');

my @browser = ('User-Agent' => 'Mozilla/5.0 (test)');

sub entries {
    my ($contact) = @_;

    my $r = $t->get("/api/contacts/$contact/evidence");

    return $r->status == 200 ? @{$r->json->{entries}} : ();
}

sub event {
    my ($contact, %fields) = @_;

    my $r = $t->post("/api/contacts/$contact/events", json => \%fields);
    is($r->status, 200, "$fields{event} of $contact") or diag($r->body);
}

sub link_of {
    my ($m) = $d->wait_mails(1, to => $_[0]);

    return $m ? $d->link($m) : undef;
}

# A form

is($t->post('/form', form => { email => 'a@example.org', id => 'p7' },
            headers => { @browser, 'X-Real-IP' => '2001:db8:1:2:3::7',
                         'Accept-Language' => 'de' })->status, 202, 'the form');
my ($e) = entries('email:a@example.org');
is_deeply([ @{$e}{qw(event source from to reply list)} ],
          [ qw(subscribe web none pending prompt news) ], 'what happened');
is_deeply([ @{$e}{qw(person lang wording agent)} ],
          [ 'p7', 'de', 'I want the news', 'Mozilla/5.0 (test)' ],
          'who, and the words of the form');
is($e->{client}, '2001:db8:1::/48', 'the network of an IPv6 address');

# Its link

my $link = link_of('a@example.org');
is($t->post($link, form => { action => 'confirm' },
            headers => { @browser, 'X-Real-IP' => '::ffff:192.0.2.77' })
     ->status, 200, 'the click');
$e = (entries('email:a@example.org'))[1];
is_deeply([ @{$e}{qw(event source from to wording agent)} ],
          [ qw(confirm web pending double), 'I want the news',
            'Mozilla/5.0 (test)' ], 'confirms those words');
is($e->{client}, '192.0.2.0/24', 'an IPv4 address in an IPv6 one');

# "It wasn't me" is about the list of that prompt.

event('email:b@example.org', event => 'subscribe', list => 'sports');
is($t->post('/form', form => { email => 'b@example.org' })->status, 202,
   'somebody else fills it in');
is($t->post(link_of('b@example.org'), form => { action => 'cancel' })->status,
   200, 'it was not me');
is_deeply({ map { $_->{list} => $_->{status} }
            @{$t->get('/api/contacts/email:b@example.org')->json->{lists}} },
          { news => 'opted_out', sports => 'single' }, 'the other list stays');

# Unsubscribing

my $token = $t->post('/api/contacts/email:a@example.org/unsubscribe',
                     json => { list => 'news' })->json->{token};
is($t->post("/u/$token", body => 'List-Unsubscribe=One-Click',
            type => 'application/x-www-form-urlencoded',
            headers => { @browser, 'X-Real-IP' => '192.0.2.77' })->status, 200,
   'unsubscribed');
$e = (entries('email:a@example.org'))[-1];
is_deeply([ @{$e}{qw(event source to client agent)} ],
          [ qw(stop web opted_out 192.0.2.0/24), 'Mozilla/5.0 (test)' ],
          'with client and agent');

# Without wording= it is the prompt, without what its link gives away.

is($t->post('/plain', form => { email => 'c@example.org' })->status, 202,
   'no wording');
($e) = entries('email:c@example.org');
like($e->{wording}, qr/Example/, 'the text of the mail');
unlike($e->{wording}, qr{/confirm/}, 'but no link');

is($t->post('/sms', form => { phone => '+491512345678' })->status, 202, 'SMS');
my @sent;
ok(poll_until(30, sub { @sent = $d->requests('gw') }), 'is sent');
my ($secret) = $sent[0]{body} =~ m{/confirm/([\w-]{46})};
ok($secret, 'with a link') or diag($sent[0]{body});
($e) = entries('sms:+491512345678');
like($e->{wording}, qr/reply YES/, 'the text of the message');
unlike($e->{wording}, qr{/confirm/}, 'but no link');
is(system('grep', '-rqa', $secret // 'none', $t->dir . '/store') >> 8, 1,
   'which is nowhere in the store');

# Messages; what is too long is cut between characters.

my $n = 0;

sub say_it {
    my ($text) = @_;

    my $body = JSON::PP->new->ascii->encode(
        { id => 'm' . ++$n, channel => 'sms', from => '+491512345679',
          to => '+4930123456', text => $text });

    return $t->post('/in', body => $body, type => 'application/json',
                    headers => { 'X-Doi-Signature-256' =>
                                 'sha256=' . hmac_sha256_hex($body, 's3cret') });
}

is(say_it('Start')->status, 200, 'START');
($e) = entries('sms:+491512345679');
is_deeply([ @{$e}{qw(source text message_id sender to)} ],
          [ qw(keyword Start m1 +4930123456 pending) ], 'the message');
ok(poll_until(30, sub { (@sent = $d->requests('gw')) == 2 }), 'is answered');
like($sent[1]{body}, qr/reply YES/, 'by a prompt');
unlike($sent[1]{body}, qr{/confirm/}, 'without a link: answer by keyword');

is(say_it('please stop it ' . 'x' x $_ . "\x{20ac}" x 600)->status, 200,
   "a long one, $_") for 0 .. 2;
my @review = grep { length $_->{text} > 500 }
             @{$t->get('/api/review')->json->{review}};
is(scalar @review, 3, 'waits for the review');
ok(!(grep { !/\x{20ac}\z/ } map { $_->{text} } @review), 'in whole characters');

my $m = $t->metrics;
is($m->{doi_consent_prompts_total}, 5, 'five prompts');
is($m->{doi_consent_confirmations_total}, 1, 'and a confirmation');

ok($t->get('/api/ledger/verify')->json->{intact}, 'the chains are whole');
is($t->leaks, 0, 'no token in the error log');

done_testing();
