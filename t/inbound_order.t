# Messages that are delivered again, later and in another order than they were
# sent: each counts once, and an opt-out is not undone by what was sent before.

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
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_gateway whatsapp json http://127.0.0.1:%%PORT:gw%%/200
                secret_file=%%DIR%%/secret allow=private;
    doi_gateway sms json http://127.0.0.1:%%PORT:gw%%/200
                secret_file=%%DIR%%/secret allow=private;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location = /meta {
            doi_inbound meta secret_file=%%DIR%%/secret level=double;
        }
        location = /json { doi_inbound json secret_file=%%DIR%%/secret; }
        location /api/ { doi_api read consent; }
    }
}
EOC

# Long ago, so that all of them are in the past: minutes of that hour

my $hour = int(time / 3600) * 3600 - 7200;
my $n = 0;

sub message {
    my ($from, $minute, $text) = @_;

    return { from => $from, time => $hour + $minute * 60, text => $text,
             id => 'wamid.' . ++$n };
}

sub deliver {
    my (@messages) = @_;

    my $body = JSON::PP->new->utf8->encode({
        object => 'whatsapp_business_account',
        entry => [ { id => '1', changes => [ { field => 'messages', value => {
            messaging_product => 'whatsapp', messages => [ map { {
                from => $_->{from}, id => $_->{id}, type => 'text',
                timestamp => "$_->{time}", text => { body => $_->{text} }
            } } @messages ] } } ] } ] });

    return $t->post('/meta', body => $body, type => 'application/json',
                    headers => { 'X-Hub-Signature-256' =>
                                 'sha256=' . hmac_sha256_hex($body, 's3cret') });
}

sub list {
    my ($from, $channel) = @_;

    my $r = $t->get('/api/contacts/' . ($channel // 'whatsapp') . ":+$from");

    return $r->status == 200 ? $r->json->{lists}[0] : { status => 'unknown' };
}

sub entries {
    return @{$t->get("/api/contacts/whatsapp:+$_[0]/evidence")
             ->json->{entries}};
}

sub replies {
    my ($from) = @_;

    ok($d->idle, 'all replies are gone');

    return grep { $_->{body} =~ /\+$from/ } $d->requests('gw');
}

ok(poll_until(30, sub {
    deliver(message('491510000000', 0, 'hm'))->status == 200 }), 'ready');


# In order, and then all of it again: one by one, as one post, in reverse

my $ada = '491512345670';
my @said = map { message($ada, $_->[0], $_->[1]) }
           [ 1, 'START' ], [ 2, 'YES' ], [ 3, 'STOP' ], [ 4, 'START' ];

is(deliver($_)->status, 200, $_->{text}) for @said;
is(list($ada)->{status}, 'pending', 'pending');
is(list($ada)->{since}, $hour + 240, 'since it was sent');

my @entries = entries($ada);
is_deeply([ map { "$_->{message_id} $_->{to} $_->{given}" } @entries ],
          [ map { "$said[$_->[0]]{id} $_->[1] $said[$_->[0]]{time}" }
            [ 0, 'pending' ], [ 1, 'double' ], [ 2, 'opted_out' ],
            [ 3, 'pending' ] ], 'with the time that each was sent');

my $replies = () = replies($ada);

is(deliver($_)->status, 200, "$_->{text} again") for @said, reverse @said;
is(deliver(@said)->status, 200, 'all together');
is(deliver(reverse @said)->status, 200, 'in reverse');
is_deeply([ entries($ada) ], \@entries, 'nothing was written');
is(scalar(() = replies($ada)), $replies, 'nothing was sent');


# The first START got no answer, and comes after the STOP

my $bob = '491512345671';
my ($start, $yes, $stop) = map { message($bob, $_->[0], $_->[1]) }
                           [ 1, 'START' ], [ 2, 'YES' ], [ 3, 'STOP' ];

is(deliver($stop)->status, 200, 'STOP');
is(deliver($start)->status, 200, 'START, sent before');
is(list($bob)->{status}, 'opted_out', 'changes nothing');
is(deliver($yes)->status, 200, 'YES, sent before');
is(list($bob)->{status}, 'opted_out', 'nothing either');
is(scalar(() = replies($bob)), 1, 'only STOP is answered');

is(deliver($start)->status, 200, 'and once more');
is(deliver(message($bob, 5, 'START'))->status, 200, 'START, sent afterwards');
is(list($bob)->{status}, 'pending', 'counts');
is(deliver(message($bob, 4, 'YES'))->status, 200, 'YES, sent before that');
is(list($bob)->{status}, 'pending', 'is no answer to it');
is(deliver(message($bob, 6, 'YES'))->status, 200, 'YES');
is(list($bob)->{status}, 'double', 'is');


# An opt-out is never too late

is(deliver(message($bob, 2, 'STOP'))->status, 200, 'STOP, sent long before');
is(list($bob)->{status}, 'opted_out', 'opts out');
is(deliver(message($bob, 5, 'START'))->status, 200,
   'START of before the last opt-in');
is(list($bob)->{status}, 'opted_out', 'changes nothing');
is(deliver(message($bob, 20, 'STOP'))->status, 200, 'STOP again');
is(deliver(message($bob, 10, 'START'))->status, 200, 'START between the two');
is(list($bob)->{status}, 'opted_out', 'changes nothing');


# Within one post, whatever its order

my $eve = '491512345672';
is(deliver(message($eve, 3, 'STOP'), message($eve, 1, 'START'),
           message($eve, 2, 'YES'))->status, 200, 'a post in disorder');
is(list($eve)->{status}, 'opted_out', 'opted out');


# Opted out elsewhere, by our clock

my $joe = '491512345673';
is($t->post("/api/contacts/whatsapp:+$joe/events", json => { event => 'stop' })
   ->status, 200, 'opted out by the API');
is(deliver(message($joe, 1, 'START'))->status, 200, 'START, sent before');
is(list($joe)->{status}, 'opted_out', 'changes nothing');


# Our own form: with the time, or without

sub own {
    my ($text, %o) = @_;

    my $body = JSON::PP->new->canonical->encode(
        { id => 'j' . ++$n, channel => 'sms', from => '+491512345674',
          text => $text, %o });

    return $t->post('/json', body => $body, type => 'application/json',
                    headers => { 'X-Doi-Signature-256' =>
                                 'sha256=' . hmac_sha256_hex($body, 's3cret') });
}

is(own('STOP', time => $hour + 120)->status, 200, 'JSON: STOP');
is(own('START', time => $hour + 60)->status, 200, 'START, sent before');
is(list('491512345674', 'sms')->{status}, 'opted_out', 'changes nothing');
is(own('START')->status, 200, 'START without a time');
is(list('491512345674', 'sms')->{status}, 'single', 'is of now');
is(own('x', time => 'noon')->status, 400, 'a bad time: 400');


# A START that comes after the contact was asked by other means: the entry of the
# ledger and the contact have the same time for the consent.

is($t->post('/api/contacts/sms:+491512345675/events',
            json => { event => 'subscribe', level => 'double' })->json->{status},
   'pending', 'asked by the API');
is(own('START', from => '+491512345675', time => $hour + 60)->status, 200,
   'START, sent before');
is(list('491512345675', 'sms')->{status}, 'single', 'counts');
is(list('491512345675', 'sms')->{opted_in}, $hour + 60, 'since it was sent');

my $v = $t->get('/api/ledger/verify')->json;
ok($v->{intact}, 'the ledger is whole') or diag(explain($v));

done_testing();
