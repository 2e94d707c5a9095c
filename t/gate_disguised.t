# doi_consent: a recipient that the app would see, and that is written so that
# the gate might not.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 1);
my $up = $t->upstream('app');

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /api/ { doi_api consent; }
        location /send {
            doi_consent single to=to channel=sms;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /under {
            doi_consent single to=send_to channel=sms;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /path {
            doi_consent single to=messages.to.number channel=sms;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /mail {
            doi_consent single to=p.to.email to=p.cc.email to=p.bcc.email
                        channel=email;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /copy {
            mirror /send;
            proxy_pass http://127.0.0.1:%%PORT:other%%/;
        }
        location /ask {
            auth_request /send;
            proxy_pass http://127.0.0.1:%%PORT:other%%/;
        }
    }
    server {
        listen 127.0.0.1:%%PORT:other%%;
        location / { return 200; }
    }
}
EOC

ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');

my ($yes, $out) = ('+4915112345670', '+4915112345671');
my ($y, $o) = map { s/\+/%2B/r } $yes, $out;

for ([ "sms:$yes", 'subscribe' ], [ "sms:$out", 'stop' ],
     [ 'email:y@example.com', 'subscribe' ], [ 'email:o@example.com', 'stop' ])
{
    is($t->post("/api/contacts/$_->[0]/events", json => { event => $_->[1] })
       ->status, 200, "$_->[1] of $_->[0]");
}

my $sent = 0;

sub passes {
    my ($name, $uri, @how) = @_;

    is($t->post($uri, @how)->status, 200, "$name passes");
    $sent++;
}

sub refused {
    my ($name, $status, $uri, @how) = @_;

    my $r = $t->post($uri, @how);
    is($r->status, $status, "$name: $status") or diag($r->body);
}

my $form = 'application/x-www-form-urlencoded';

# Names as PHP reads them, and separators as old parsers of Perl and Python do

refused('blank in front', 403, '/send', body => "to=$y&%20to=$o",
        type => $form);
refused('plus in front', 403, '/send', body => "to=$y&+to=$o", type => $form);
refused('zero behind', 403, '/send', body => "to=$y&to%00x=$o", type => $form);
refused('semicolon', 403, '/send', body => "to=$y&a=1;to=$o", type => $form);
refused('semicolon in the query', 403, "/send?a=1;to=$o", body => "to=$y",
        type => $form);
passes('semicolon in a text', '/send', body => "to=$y&a=1;b=2", type => $form);
passes('underscore', '/under', body => "send_to=$y", type => $form);

for my $name ('send.to', 'send+to', 'send[to', 'SEND%20TO') {
    refused("$name for send_to", 403, '/under',
            body => "send_to=$y&$name=$o", type => $form);
}

# A path in a form

for my $name ('messages[0][to][number]', 'messages[][to][number]',
              'messages.0.to.number', 'messages[0].to[0].number',
              'messages.to.number', 'Messages[to][number][]')
{
    passes("$name", '/path', form => { $name => $yes });
    refused("$name, out", 403, '/path',
            body => "messages.to.number=$y&$name=$o", type => $form);
}

refused('another path', 422, '/path', form => { 'messages[0][from]' => $yes });

# What apps take lists apart at

passes('semicolon between recipients', '/send', json => { to => "$yes;$yes" });
passes('a line for each', '/send', json => { to => "$yes\r\n$yes\r\n" });
refused('semicolon, out', 403, '/send', json => { to => "$yes;$out" });
refused('lines, out', 403, '/send', json => { to => "$yes\n$out" });
refused('line end in a number', 422, '/send',
        json => { to => '+49151123456' . "\n" . '70' });
refused('tab in a number', 422, '/send',
        json => { to => '+49151123456' . "\t" . '70' });

# Twilio takes both at one address

refused('WhatsApp instead of SMS', 422, '/send', form => { to => "whatsapp:$yes" });
refused('WhatsApp, with a blank', 422, '/send', form => { To => " WhatsApp:$yes" });
passes('tel:', '/send', form => { to => "tel:$yes" });

# Several fields

passes('to', '/mail', json => { p => [ { to => [ { email => 'y@example.com' } ]
                                         } ] });
refused('nobody', 422, '/mail', json => { p => [ { from => 1 } ] });

for my $field (qw(to cc bcc)) {
    refused("$field is out", 403, '/mail', json => { p => [
        { to => [ { email => 'y@example.com' } ] },
        { to => [ { email => 'y@example.com' } ],
          $field => [ { email => 'o@example.com' } ] } ] });
}

# Bytes that mean something else to the app

refused('the second Content-Encoding', 415, '/send', body => "to=$y",
        headers => [ 'Content-Type' => $form, 'Content-Encoding' => 'identity',
                     'Content-Encoding' => 'gzip' ]);
refused("charset $_", 415, '/send', body => "to=$y", type => "$form; charset=$_")
    for qw(ibm037 utf-7 utf-16 "UTF-16LE");
refused('two charsets', 415, '/send', body => "to=$y",
        type => "$form; charset=utf-8; charset=utf-7");
passes("charset $_", '/send', body => "to=$y", type => "$form; charset=$_")
    for qw(utf-8 UTF-8 "utf-8" us-ascii ISO-8859-1);
passes('charset of JSON', '/send', body => qq({"to":"$yes"}),
       type => 'application/json;charset=UTF-8');

# Subrequests do not come by the access phase

is(scalar($up->requests), $sent, 'only those that passed came through');

$t->post('/copy', form => { to => $out });
$t->post('/ask', form => { to => $out });
passes('after them', '/send', form => { to => $yes });
is(scalar($up->requests), $sent, 'subrequests did not');
ok($t->grep_log(qr/subrequest/), 'the log says why');

done_testing();
