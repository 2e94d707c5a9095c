# doi_inbound twilio: what is signed comes in once, in order, and is answered as
# TwiML; what is not signed writes nothing.

use lib 't/lib';
use Doi;

use Digest::SHA qw(hmac_sha1);
use MIME::Base64 qw(encode_base64);

my $t = Doi->new(workers => 2);
my $secret = '0123456789abcdef0123456789abcdef';

$t->write_file('secret', "$secret\n", 0600);

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_base_url https://sms.example.org/;
    doi_owner name=Example email=owner@example.org;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        client_max_body_size 4m;
        location = /single { doi_inbound twilio secret_file=%%DIR%%/secret; }
        location = /double {
            doi_inbound twilio secret_file=%%DIR%%/secret list=news
                        level=double country=49;
            doi_keyword confirm APPROVE;
            doi_keyword stop Halt;
        }
        location = /words {
            doi_inbound twilio secret_file=%%DIR%%/secret level=double list=$arg_l;
            doi_message prompt "<{{owner}}> Say {{keyword}} & nothing else";
        }
        location = /port {
            doi_base_url https://sms.example.org:443;
            doi_inbound twilio secret_file=%%DIR%%/secret;
        }
        location = /scope {
            doi_optout_scope list;
            doi_inbound twilio secret_file=%%DIR%%/secret list=$arg_l;
        }
        location /api/ { doi_api consent; }
    }
}
EOC

$t->start;

sub signature {
    my ($url, $form, $key) = @_;

    return encode_base64(hmac_sha1(join('', $url, map { $_ . $form->{$_} }
                                            sort keys %$form),
                                   $key // $secret), '');
}

my $n = 0;

sub form {
    my ($from, $text, %o) = @_;

    return { From => $from, To => '+15005550006', Body => $text,
             MessageSid => sprintf('SM%032x', ++$n), AccountSid => 'AC1',
             NumMedia => 0, %o };
}

# Posts a message; o: url (that is signed), key, signature.

sub say_to {
    my ($uri, $form, %o) = @_;

    return $t->post($uri, form => $form, headers => {
        'X-Twilio-Signature' => $o{signature}
            // signature($o{url} // "https://sms.example.org$uri", $form,
                         $o{key}) });
}

sub said {
    my ($r) = @_;

    return $r->status == 200 && $r->body =~ /<Message>(.*)<\/Message>/s ? $1
           : $r->status == 200 && $r->body =~ /<Response\s*\/>|<Response><\/Response>/
             ? '' : $r->status;
}

my $who = '+491512345678';

# the keys of a new ledger take a moment

poll_until(30, sub { say_to('/single', form('+491510000000', 'hello'))->status
                     == 200 });

# Single opt-in

my $start = form($who, ' Start ');
my $r = say_to('/single', $start);
is($r->status, 200, 'START: 200');
like($r->header('Content-Type'), qr{^text/xml}, 'type');
is($r->header('Cache-Control'), 'no-store', 'not for caches');
like(said($r), qr/^Example: Thank you, you are subscribed/, 'confirmed inline');
is(said(say_to('/single', $start)), '', 'delivered again: no second answer');
like(said(say_to('/single', form($who, 'START'))), qr/^Example: Thank you/,
     'another START is answered');
is(said(say_to('/single', form($who, 'what is this'))), '', 'other text');
like(said(say_to('/single', form($who, 'help'))), qr/START to subscribe/,
     'HELP');
like(said(say_to('/single', form($who, "\x{ff33}\x{ff34}\x{ff2f}\x{ff30}" =~ s/(.)/
         my $c = $1; utf8::encode($c); $c/ger))), qr/unsubscribed/,
     'STOP in full-width letters');
is(said(say_to('/single', form($who, 'stop'))), '', 'acknowledged once');
is(said(say_to('/single', form($who, 'yes'))), '', 'YES means nothing then');
is(said(say_to('/single', form($who, 'please do not stop by at my house')))
   , '', 'doubtful: no answer');

# Twilio's own opt-out has been answered by Twilio

like(said(say_to('/single', form($who, 'START'))), qr/subscribed/, 'again');
is(said(say_to('/single', form($who, 'genug', OptOutType => 'STOP'))), '',
   'OptOutType is no text of ours');
is(said(say_to('/single', form($who, 'STOP'))), '', 'but has opted out');
is(said(say_to('/single', form($who, 'HELP', OptOutType => 'HELP'))), '',
   'HELP has been answered, too');
like(said(say_to('/single', form($who, 'START', OptOutType => 'START'))),
     qr/you are subscribed/, 'START has not');

# Double opt-in

my $d = '+491512345679';
like(said(say_to('/double', form($d, 'SUBSCRIBE'))),
     qr/^Example: Please reply APPROVE .* STOP/, 'prompt');
is(said(say_to('/double', form($d, 'perhaps'))), '', 'no reminder at once');
is(said(say_to('/double', form($d, 'yes'))), '', 'not the configured word');
like(said(say_to('/double', form($d, ' approve '))), qr/you are subscribed/,
     'confirmed');
like(said(say_to('/double', form($d, 'halt'))), qr/unsubscribed/,
     'a configured word');

# a national number, a channel

my $w = form('whatsapp:+491512345670', 'START');
like(said(say_to('/double', $w)), qr/APPROVE/, 'WhatsApp');
like(said(say_to('/double', form('0151 2345670', 'START'))), qr/APPROVE/,
     'country=: another contact');

is(said(say_to('/words?l=a', form($d, 'START'))),
   '&lt;Example&gt; Say YES &amp; nothing else', 'doi_message, escaped');
like(said(say_to('/words?l=a', form($d, ' Yes '))), qr/you are subscribed/,
     'without doi_keyword the word is YES');
is(said(say_to('/words?l=', form($d, 'START'))), 500, 'list without a name');
is(said(say_to('/words?l=' . 'x' x 65, form($d, 'START'))), 500,
   'a name that is too long is not cut');

# in the language that is known, and as far as doi_optout_scope says

my $de = '+491512345677';
is($t->post("/api/contacts/sms:$de/events", json => {
       event => 'subscribe', list => $_, lang => 'de', person => 'p' })->status,
   200, "subscribed to $_") for qw(a b);
is($t->post('/api/contacts/email:p@example.org/events', json => {
       event => 'subscribe', list => 'a', person => 'p' })->status, 200,
   'a mail address of the same person');
like(said(say_to('/scope?l=a', form($de, 'STOP'))), qr/abgemeldet/,
     'STOP, in German');
is(join(' ', map { $_->{status} }
             map { @{$t->get("/api/contacts/$_")->json->{lists}} }
             "sms:$de", 'email:p@example.org'), 'opted_out single single',
   'of this list alone');

# Numbers that are none

for my $from ('12345', '+999123', 'Example', 'whatsapp:Ada') {
    is(said(say_to('/single', form($from, 'START'))), '', "from $from: left out");
}
is(scalar($t->grep_log(qr/a message was left out/)), 4, 'and logged');
is(scalar($t->grep_log(qr/\+999123/)), 0, 'without the number');

# Signatures

my $f = form($who, 'START');
is(say_to('/single', $f, url => "https://sms.example.org:443/single")->status,
   200, 'signed with the port');
is(say_to('/port', form($who, 'x'), url => "https://sms.example.org$_")->status,
   200, "the same, doi_base_url with a port: $_") for '/port', ':443/port';
is(say_to('/double?a=b%20c&d', form($d, 'x'))->status, 200,
   'with the query as sent');

my $fresh = '+491512345600';
my %bad = (
    'of another key' => { key => 'x' },
    'of http'        => { url => 'http://sms.example.org/single' },
    'of Host'        => { url => 'https://127.0.0.1/single' },
    'of another URI' => { url => 'https://sms.example.org/double' },
    'of another port' => { url => 'https://sms.example.org:8443/single' },
    'empty'          => { signature => '' },
    'garbage'        => { signature => 'A' x 28 },
);
for my $what (sort keys %bad) {
    is(say_to('/single', form($fresh, 'START'), %{$bad{$what}})->status, 403,
       "signature $what: 403");
}
my $signed = form($fresh, 'START');
is($t->post('/single', form => $signed)->status, 403, 'no signature: 403');
is($t->post('/single', form => { %$signed, Body => 'STOP' }, headers => {
       'X-Twilio-Signature' => signature('https://sms.example.org/single',
                                         $signed) })->status, 403,
   'another body: 403');
is(said(say_to('/single', form($fresh, 'yes'))), '', 'nothing was written');

# Other requests

for my $m (qw(GET PUT DELETE)) {
    is($t->request($m, '/single')->status, 405, "$m: 405");
}
is($t->post('/single', body => 'x' x 1048577,
            type => 'application/x-www-form-urlencoded')->status, 413, 'too large: 413');
is($t->post('/single', chunked => [ ('x' x 65536) x 17 ],
            type => 'application/x-www-form-urlencoded')->status, 413,
   'chunked: 413');
is($t->post('/single', body => 'a=%zz', headers => {
                'X-Twilio-Signature' => 'A' x 28 },
            type => 'application/x-www-form-urlencoded')->status, 400,
   'broken form: 400');
is($t->post('/single', json => {})->status, 400, 'JSON: 400');
my $lame = { AccountSid => 'AC1', Body => 'x' };
is(say_to('/single', $lame)->status, 400, 'without a sender: 400');
is(said(say_to('/single', { MessageSid => 'SM1', MessageStatus => 'sent',
                            From => $who, To => $who })), '',
   'status callback');

# By the provider's own code, if npm has it

SKIP: {
    my $url = 'https://sms.example.org/single';
    my $p = form($fresh, "Sch\x{c3}\x{b6}n");
    my $js = 'const t = require("twilio"); const p = JSON.parse(process.argv[1]);'
             . 'const {getExpectedTwilioSignature: g} = '
             . 'require("twilio/lib/webhooks/webhooks");'
             . "console.log(g('$secret', '$url', p))";
    my $dir = $ENV{DOI_NODE_PATH} // "$Doi::ROOT/build/node_modules";
    skip 'no npm package twilio', 1 unless -d "$dir/twilio";
    local $ENV{NODE_PATH} = $dir;
    open my $fh, '-|', 'node', '-e', $js, JSON::PP->new->encode({
        map { my $v = $p->{$_}; utf8::decode($v); $_ => $v } keys %$p })
        or die $!;
    chomp(my $sig = <$fh>);
    is(say_to('/single', $p, signature => $sig)->status, 200,
       'signed by the package twilio');
}

done_testing();
