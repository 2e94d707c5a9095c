# doi_inbound meta: the verification by GET, and posts of several messages.

use lib 't/lib';
use Doi;
use Doi::Deliver;

use Digest::SHA qw(hmac_sha256_hex);

my $t = Doi->new(workers => 2);
my $d = Doi::Deliver->new($t);
my $secret = 'app secret';

$t->write_file('secret', "$secret\n", 0600);
$t->write_file('verify', "verify me\n", 0600);
$t->write_file('token', "access\n", 0600);
$d->httpd('gw');

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_gateway whatsapp meta http://127.0.0.1:%%PORT:gw%%/200
                secret_file=%%DIR%%/token allow=private;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location = /wa {
            doi_inbound meta secret_file=%%DIR%%/secret level=double
                        verify_token_file=%%DIR%%/verify;
        }
        location = /mute { doi_inbound meta secret_file=%%DIR%%/secret; }
    }
}
EOC

# Verification

my $q = 'hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=';
my $r = $t->get("/wa?${q}verify%20me");
is($r->status, 200, 'verification: 200');
is($r->body, '1158201444', 'the challenge');
like($r->header('Content-Type'), qr{^text/plain}, 'as plain text');
is($r->header('X-Content-Type-Options'), 'nosniff', 'and as nothing else');
is($t->get("/wa?${q}verify+you")->status, 403, 'wrong token: 403');
is($t->get("/wa?${q}")->status, 403, 'empty token: 403');
is($t->get("/mute?${q}")->status, 403, 'without verify_token_file: 403');
is($t->get('/wa?hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=verify+me')
     ->status, 403, 'another mode');
is($t->get('/wa')->status, 400, 'nothing: 400');
is($t->get('/wa?hub.mode=subscribe&hub.verify_token=verify+me'
           . '&hub.challenge=%0d%0ax')->status, 400, 'no header to be made');
my $long = '/wa?hub.mode=subscribe&hub.verify_token=verify+me&hub.challenge=';
is($t->get($long . 'x' x 1024)->status, 200, 'a long challenge');
is($t->get($long . 'x' x 1025)->status, 400, 'one that is too long');
is($t->put('/wa')->status, 405, 'PUT: 405');

# Posts

my $n = 0;

sub message {
    my ($from, $text, %o) = @_;

    return { from => $from, id => $o{id} // 'wamid.' . ++$n, timestamp => '1',
             type => 'text', text => { body => $text } };
}

sub body {
    my (@messages) = @_;

    return JSON::PP->new->utf8->encode({
        object => 'whatsapp_business_account',
        entry => [ { id => '1', changes => [ { field => 'messages', value => {
            messaging_product => 'whatsapp',
            metadata => { display_phone_number => '15550783881',
                          phone_number_id => '106540352242922' },
            messages => [ @messages ] } } ] } ] });
}

sub deliver {
    my ($body, %o) = @_;

    return $t->post($o{uri} // '/wa', body => $body, type => 'application/json',
                    headers => { 'X-Hub-Signature-256' => $o{signature}
                                 // 'sha256=' . hmac_sha256_hex($body,
                                        $o{key} // $secret) });
}

sub sent {
    my ($n) = @_;

    my @r;
    poll_until(30, sub { (@r = $d->requests('gw')) >= $n });

    return map { JSON::PP::decode_json($_->{body}) } @r;
}

poll_until(30, sub { deliver(body())->status == 200 });

my $start = body(message('4915111111111', 'START'),
                 message('4915111111112', "start \x{1f600}"),
                 message('4915111111113', "\x{2066}Start\x{2069}"),
                 { from => '4915111111114', id => 'w', type => 'reaction',
                   timestamp => 1, reaction => { emoji => "\x{1f44d}" } },
                 message('letters', 'START'));
$r = deliver($start);
is($r->status, 200, 'several messages: 200');
is($r->json->{accepted}, 3, 'accepted');
is($r->json->{skipped}, 1, 'left out');

my @sent = sort { $a->{to} cmp $b->{to} } sent(2);
is(deliver($start)->json->{accepted}, 3, 'delivered again: 200');
is($sent[0]{to}, '4915111111111', 'a prompt') or diag(explain(\@sent));
like($sent[0]{text}{body}, qr/reply YES/, 'its text');

# The word of confirmation, without doi_keyword

sub texts_to {
    my ($to) = @_;

    return map { $_->{text}{body} } grep { $_->{to} eq $to } sent(1);
}

is(deliver(body(message('4915111111111', ' Yes ')))->status, 200, 'YES');
ok(poll_until(30, sub {
    grep { /you are subscribed/ } texts_to('4915111111111')
}), 'confirms') or diag(explain([ texts_to('4915111111111') ]));

# In order, within a post

my $who = '4915111111120';
is(deliver(body(message($who, 'start'), message($who, ' YES '),
                message($who, 'Stop!'), message($who, 'unstop')))->status, 200,
   'a whole story in a post');
my ($end) = do {
    my @mine;
    poll_until(30, sub {
        @mine = grep { $_->{to} eq $who } sent(1);
        grep { $_->{text}{body} =~ /unsubscribed and/ } @mine;
    });
    @mine;
};
ok($end, 'is answered');

# Signatures

my $body = body(message('4915111111130', 'START'));
my %bad = ('of another key' => { key => 'x' }, 'empty' => { signature => '' },
           'SHA-1' => { signature => 'sha1=' . 'a' x 40 },
           'upper case name' => { signature => 'SHA256=' . 'a' x 64 },
           'too short' => { signature => 'sha256=' . 'a' x 63 });
is(deliver($body, %{$bad{$_}})->status, 403, "signature $_: 403")
    for sort keys %bad;
my $right = hmac_sha256_hex($body, $secret);
is(deliver($body, signature => "sha256=$right$_")->status, 403,
   "signature and \"$_\": 403") for '0', ', sha256=', substr $right, 0, 1;
is($t->post('/wa', body => $body, type => 'application/json')->status, 403,
   'none: 403');

my @before = sent(1);
is(deliver('{"object":')->status, 400, 'broken JSON: 400');
is(deliver('[]')->status, 400, 'no object: 400');
is(deliver('{"object":"page"}')->status, 400, 'about something else: 400');
is(deliver(body(message('1', 'x' x 1100000)))->status, 413, 'too large: 413');

done_testing();
