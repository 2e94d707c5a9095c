# doi_consent: who may be written to, in every kind of body; all recipients
# count, and whatever the app might take for one.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    client_max_body_size 4m;
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /api/ { doi_api consent override; }
        location /send {
            doi_consent single to=to channel=sms country=49;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
            location /send/free {
                doi_consent off;
                proxy_pass http://127.0.0.1:%%PORT:app%%;
            }
        }
        location /path {
            doi_consent single to=messages.to.number channel=sms;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /double {
            doi_consent double to=to channel=email list=$arg_l since=2026-01-01;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /strict {
            doi_consent double to=to channel=sms;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /addr {
            doi_consent single address=$http_x_to channel=whatsapp;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /national {
            doi_consent single address=$http_x_to channel=whatsapp country=49;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /learn {
            doi_consent single to=To channel=sms learn=twilio;
            proxy_pass http://127.0.0.1:%%PORT:twilio%%;
        }
        location /first {
            doi_consent single to=to channel=sms;
            proxy_intercept_errors on;
            error_page 400 = @second;
            proxy_pass http://127.0.0.1:%%PORT:twilio%%;
        }
        location @second {
            doi_consent single to=cc channel=sms;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location = /metrics { doi_metrics; }
    }
    server {
        listen 127.0.0.1:%%PORT:twilio%%;
        client_max_body_size 4m;
        location / {
            default_type application/json;
            return 400 '{"code": 21610, "message": "unsubscribed"}';
        }
    }
}
EOC

ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');

my ($yes, $yes2, $no, $out) = map { "+491511234567$_" } 0 .. 3;

sub event {
    my ($contact, %fields) = @_;

    my $r = $t->post("/api/contacts/$contact/events", json => \%fields);
    is($r->status, 200, "$fields{event} of $contact") or diag($r->body);
}

event("sms:$_", event => 'subscribe', source => 'agent') for $yes, $yes2;
event("sms:$out", event => 'stop');

my $sent = 0;

sub passes {
    my ($name, $uri, @how) = @_;

    is($t->post($uri, @how)->status, 200, "$name passes");
    $sent++;
}

sub refused {
    my ($name, $status, $code, $uri, @how) = @_;

    my $r = $t->post($uri, @how);
    is($r->status, $status, "$name: $status") or diag($r->body);
    is($r->header('content-type'), 'application/problem+json', '... problem');
    is($r->json->{code}, $code, "... $code");

    return $r->json;
}

passes('form', '/send', form => { to => $yes, text => 'hi' });
passes('national number', '/send', form => { to => '0151 12345670' });
passes('JSON', '/send', json => { to => $yes });
passes('JSON list', '/send', json => { to => [ $yes, $yes2 ] });
passes('list in a form', '/send', form => { to => "$yes, $yes2" });
passes('path', '/path', json => { messages => [ { to => [ { number => $yes } ] },
                                      { to => { number => $yes2 } } ] });
passes('switched off', '/send/free', form => { to => $no });

my $multipart = join "\r\n", '--b', 'Content-Disposition: form-data; name="to"',
    '', $yes, '--b', 'Content-Disposition: form-data; name="text"', '', 'hi',
    '--b--', '';
passes('multipart', '/send', body => $multipart, headers =>
       { 'Content-Type' => 'multipart/form-data; boundary=b' });

refused('never', 403, 'never_opted_in', '/send', form => { to => $no });
refused('out', 403, 'opted_out', '/send', form => { to => $out });
my $p = refused('one of three', 403, 'opted_out', '/send',
                json => { to => [ $yes, $out, $no ] });
is_deeply($p->{recipients},
          [ { index => 1, address => $out, code => 'opted_out' },
            { index => 2, address => $no, code => 'never_opted_in' } ],
          'which ones');

# What an app might read otherwise than we do.

refused('second field', 403, 'opted_out', '/send', body => "to=$yes&to=$out"
        =~ s/\+/%2B/gr, headers =>
        { 'Content-Type' => 'application/x-www-form-urlencoded' });
refused('array of PHP', 403, 'opted_out', '/send',
        form => { to => $yes, 'to[]' => $out });
refused('upper case', 403, 'opted_out', '/send',
        form => { to => $yes, TO => $out });
refused('JSON, upper case', 403, 'opted_out', '/send',
        json => { to => $yes, To => $out });
refused('query', 403, 'opted_out', '/send?to=%2B4915112345673',
        form => { to => $yes });

sub json {
    return (body => $_[0], headers => { 'Content-Type' => 'application/json' });
}

passes('long, with escapes', '/send',
       json('{"to":"' . join(',', ("\\u002b" . substr $yes, 1) x 500) . '"}'));

refused('JSON twice', 403, 'opted_out', '/send',
        json(qq({"to":"$yes","to":"$out"})));
refused('JSON twice, the other way', 403, 'opted_out', '/send',
        json(qq({"to":"$out","to":"$yes"})));
refused('escapes in a name', 403, 'opted_out', '/send',
        json(qq({"to":"$yes","\\u0074\\u006f":"$out"})));
refused('NUL in a name', 422, 'unreadable', '/send',
        json(qq({"to":"$yes","to\\u0000x":"$out"})));
refused('NUL in an address', 422, 'invalid_recipient', '/send',
        json(qq({"to":"$yes\\u0000"})));
refused('two documents', 422, 'unreadable', '/send',
        json(qq({"to":"$yes"}{"to":"$out"})));
refused('comment', 422, 'unreadable', '/send', json(qq({"to":"$yes"/**/})));
refused('broken UTF-8', 422, 'unreadable', '/send',
        json(qq({"to":"$yes","a":"\xff"})));
refused('byte order mark', 422, 'unreadable', '/send',
        json(qq(\xef\xbb\xbf{"to":"$yes"})));
refused('arrays without end', 422, 'unreadable', '/send',
        json('{"to":' . '[' x 100000));
refused('objects in objects', 422, 'unreadable', '/send',
        json('{"a":' x 200 . '1' . '}' x 200));
refused('a list', 422, 'unreadable', '/send', json(qq("$yes")));
refused('part of another name', 422, 'no_recipient', '/send',
        form => { tom => $yes });
refused('number in JSON', 422, 'unreadable', '/send',
        json => { to => 4915112345670 });
refused('object', 422, 'unreadable', '/send', json => { to => { a => $yes } });
refused('no recipient', 422, 'no_recipient', '/send', form => { text => 'hi' });
refused('no body', 422, 'no_recipient', '/send');
refused('broken JSON', 422, 'unreadable', '/send', body => '{"to":',
        headers => { 'Content-Type' => 'application/json' });
$p = refused('no address', 422, 'invalid_recipient', '/send',
             json => { to => [ $yes, 'nobody' ] });
is($p->{recipients}[0]{index}, 1, 'which one');
refused('text', 415, 'content_type', '/send', body => "to=$yes",
        headers => { 'Content-Type' => 'text/plain' });
refused('compressed', 415, 'content_type', '/send', body => "to=$yes",
        headers => { 'Content-Type' => 'application/x-www-form-urlencoded',
                     'Content-Encoding' => 'gzip' });
refused('large', 413, 'too_large', '/send',
        json => { to => $yes, text => 'x' x 1100000 });
refused('large, chunked', 413, 'too_large', '/send',
        chunked => [ qq({"to":"$yes","text":"), ('x' x 65536) x 17, '"}' ],
        type => 'application/json');
refused('too many', 422, 'too_many', '/send', json => { to => [ ($yes) x 1001 ] });
passes('as many as there may be', '/send', json => { to => [ ($yes) x 1000 ] });
refused('two types', 415, 'content_type', '/send', body => "to=$yes",
        headers => [ ('Content-Type' => 'application/x-www-form-urlencoded'),
                     ('Content-Type' => 'application/json') ]);
refused('a text in the way of the path', 422, 'unreadable', '/path',
        json => { messages => [ $out, { to => { number => $yes } } ] });
passes('large enough for a temporary file', '/send',
       json => { to => $yes, text => 'x' x 500000 });

for my $method (qw(GET PUT DELETE)) {
    is($t->request($method, '/send')->status, 422, "$method is judged too");
}

is($t->get('/send?to=%2B4915112345670')->status, 200, 'GET with a recipient');
$sent++;

# Levels

refused('single where double is asked for', 403, 'not_confirmed', '/strict',
        form => { to => $yes });
event('email:a@example.com', event => 'subscribe', level => 'double',
      list => 'news');
refused('pending', 403, 'pending', '/double?l=news',
        form => { to => 'a@example.com' });
event('email:a@example.com', event => 'confirm', list => 'news');
passes('confirmed', '/double?l=news', form => { to => 'A@Example.com' });
refused('another list', 403, 'never_opted_in', '/double?l=x',
        form => { to => 'a@example.com' });
$t->post('/api/contacts/import', body => "email,status,list,date\n"
         . "old\@example.com,single,news,2025-05-05\n",
         headers => { 'Content-Type' => 'text/csv' });
passes('opted in before', '/double?l=news', form => { to => 'old@example.com' });

event("whatsapp:$yes", event => 'subscribe');
passes('address=', '/addr', headers => { 'X-To' => substr $yes, 1 });
refused('address=, other', 403, 'never_opted_in', '/addr',
        headers => { 'X-To' => $no });
refused('address=, empty', 422, 'no_recipient', '/addr');
passes('address=, national', '/national',
       headers => { 'X-To' => '15112345670' });
refused('address=, ambiguous', 422, 'invalid_recipient', '/national',
        headers => { 'X-To' => '4915112345670' });

# A request that goes on to another location is judged there as well; its body
# is in a temporary file.

my %long = (to => $yes, text => 'x' x 300000);

passes('both', '/first', json => { %long, cc => $yes2 });
refused('the second', 403, 'opted_out', '/first', json => { %long, cc => $out });

is(scalar $up->requests, $sent, 'only those that passed came through')
    if $up->can('requests');

# What the provider knows

is($t->post('/learn', form => { To => $yes2 })->status, 400, 'Twilio refuses');
ok(poll_until(30, sub {
    $t->get("/api/contacts/sms:$yes2")->json->{lists}[0]{status} eq 'opted_out'
}), 'that is learnt');
is($t->get("/api/contacts/sms:$yes2/evidence")->json->{entries}[-1]{source},
   'provider', 'from the provider');
refused('learnt', 403, 'opted_out', '/learn', form => { To => $yes2 });

my $m;
ok(poll_until(30, sub {
    $m = $t->get('/metrics')->body;
    $m =~ /^doi_consent_events_total\{event="stop",source="provider"\} 1$/m;
}), 'events are counted') or diag($m);
like($m, qr/^doi_gate_total\{result="opted_out"\} [1-9]/m, 'counted');
my ($passed) = $m =~ /^doi_gate_total\{result="passed"\} (\d+)$/m;
cmp_ok($passed // 0, '>=', $sent, 'what passed as well');

done_testing();
