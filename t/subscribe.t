# doi_subscribe: a form opts in; with double opt-in what confirms it goes to the
# address alone, and the answer is the same for everybody.

use lib 't/lib';
use Doi;
use Doi::Deliver;

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');
my $d = Doi::Deliver->new($t);

$t->write_file('secret', "s3cret\n", 0600);
$d->httpd('gw');

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_mail maildir:%%DIR%%/mail from=news@example.org;
    doi_gateway sms json http://127.0.0.1:%%PORT:gw%%/200 secret_file=%%DIR%%/secret
                allow=private;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_owner name=Example email=owner@example.org;
    doi_limit network off;
    doi_limit recipient off;
    doi_limit address off;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location = /single {
            doi_url confirm /confirm/$doi_token;
            doi_subscribe channel=email address=email list=news wording=$http_x_w;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location = /double {
            doi_url confirm /confirm/$doi_token;
            doi_subscribe channel=email address=who.mail level=double list=news
                          person=who.id;
        }
        location = /sms {
            doi_subscribe channel=sms address=phone level=double country=49;
        }
        location = /limited {
            doi_limit recipient rate=1/h;
            doi_subscribe channel=email address=email;
        }
        location = /long {
            doi_limit recipient rate=100/h;
            doi_subscribe channel=email address=email
                          "wording=$http_x_w$http_x_w";
        }
        location ~ ^/confirm/(?<token>[^/]+)$ { doi_confirm $token; }
        location /api/ { doi_api consent; }
    }
}
EOC

ok(poll_until(30, sub { $t->post('/single', form => { email => 'a@example.org' })
                          ->status == 200 }), 'single: 200');

my $r = $t->post('/single', form => { email => ' B@Example.ORG ' },
                 headers => { 'X-W' => 'I agree', 'Accept-Language' => 'de' });
is($r->status, 200, 'subscribed');
like($r->body, qr/Sie sind angemeldet/, 'the page');
is($r->header('Cache-Control'), 'no-store', 'not for caches');
is($r->header('Set-Cookie'), undef, 'no cookie');
is(scalar($up->requests), 0, 'the app has seen nothing');
is($t->get('/single')->status, 200, 'GET passes');
is(scalar($up->requests), 1, 'to the app');
is($t->put('/single', form => { email => 'a@b.example' })->status, 405, 'PUT');

my ($m) = $d->wait_mails(1, to => 'b@example.org');
like($m->{head}{subject}, qr/angemeldet/, 'a mail says so, in his language');

for my $case ([ { email => '' }, 'missing' ], [ { email => 'nobody' }, 'email' ],
              [ { mail => 'a@b.example' }, 'missing' ],
              [ { email => "a\@b.example\r\nTo: c" }, 'text' ])
{
    $r = $t->post('/single', form => $case->[0], accept => 'application/json');
    is($r->status, 422, "form: $case->[1]");
    is($r->json->{field}, 'email', 'names the field');
    unlike($r->body, qr/booked/, 'nothing about bookings');
}

is($t->post('/single', body => 'x', type => 'text/plain')->status, 415, 'neither form nor JSON');
is($t->post('/single', body => 'email=%zz',
            type => 'application/x-www-form-urlencoded')->status, 422, 'broken');
is($t->post('/single', body => 'x' x 70000,
            type => 'application/x-www-form-urlencoded')->status, 413, 'large');

# Double opt-in by mail

sub double {
    my ($mail, @id) = @_;

    return $t->post('/double', json => { who => { mail => $mail,
                                                  @id ? (id => $id[0]) : () } },
                    accept => 'application/json');
}

sub link_of {
    my ($to, $n) = @_;

    my @m = $d->wait_mails($n // 1, to => $to, subject => qr/confirm/i);

    return $m[-1] ? ($m[-1]{body}{'text/plain'} =~ m{(/confirm/[\w-]+)})[0]
                  : undef;
}

my $first = double('c@example.org', 'p7');
is($first->status, 202, 'double: 202');
is($first->json->{code}, 'subscribe_check', 'its code');

my $link = link_of('c@example.org');
ok($link, 'a mail with a link');
($m) = $d->mails(to => 'c@example.org');
like($m->{body}{'text/html'}, qr/href="[^"]*\Q$link\E"/, 'and a button');
like($m->{body}{'text/plain'}, qr/Example/, 'the owner');

my $again = double('c@example.org');
is($again->status, 202, 'once more: 202');
is($again->body, $first->body, 'the same answer');

my $token = ($link =~ m{([^/]+)$})[0];
is(system('grep', '-rqa', $token, $t->dir . '/store') >> 8, 1,
   'the link is not in the store');

for my $method (qw(GET HEAD GET)) {
    is($t->request($method, $link)->status, 200, "$method: 200");
}
$r = $t->get($link);
like($r->body, qr/Confirm your subscription/, 'asks');
like($r->body, qr/Yes, subscribe me/, 'has a button');
unlike($r->body, qr/Yes, book it/, 'not that of bookings');
is($t->post($link, form => { action => 'confirm' },
            headers => { Origin => 'https://evil.example' })->status, 403,
   'not from another site');
$r = $t->post($link, form => { action => 'confirm' });
is($r->status, 200, 'confirmed');
like($r->body, qr/You are subscribed/, 'the page');
is($t->post($link, form => { action => 'confirm' })->status, 200, 'twice');
like($t->get($link)->body, qr/You are subscribed/, 'opened again');
my $known = double('c@example.org');
is($known->status, 202, 'who is subscribed gets 202, too');
is($known->body, $first->body, 'and the same answer');

# It wasn't me

double('d@example.org');
$link = link_of('d@example.org');
$r = $t->post($link, form => { action => 'cancel' });
is($r->status, 200, 'it was not me: 200');
like($r->body, qr/You are unsubscribed/, 'the page');
like($t->post($link, form => { action => 'confirm' })->body,
     qr/You are unsubscribed/, 'the link confirms nothing any more');
$r = $t->get($link);
like($r->body, qr/You are unsubscribed/, 'its page says so');
unlike($r->body, qr/Yes, subscribe me/, 'and does not ask again');

# A link that names nobody

my $none = $t->mint(purpose => 'confirm', ttl => 1000);
is($t->get("/confirm/$none")->status, 410, 'unknown: 410');
is($t->post("/confirm/$none", form => { action => 'confirm' })->status, 410,
   'likewise for a click');

# By SMS

for my $text ('0151 2345678', '+49 151 2345678') {
    is($t->post('/sms', form => { phone => $text })->status, 202, "sms: $text");
}
is($t->post('/sms', form => { phone => '12' })->status, 422, 'no number');
my @sent;
poll_until(30, sub { @sent = $d->requests('gw') });
is(scalar(@sent), 1, 'one prompt');
my $json = JSON::PP::decode_json($sent[0]{body});
like($sent[0]{body}, qr/\+491512345678/, 'to the number');
like($sent[0]{body}, qr/reply YES .* STOP/, 'asks for the keyword');

# Anybody can fill in a form: who has opted out is asked, whatever its level.

sub state_of {
    my ($l) = grep { $_->{list} eq 'news' }
                   @{$t->get("/api/contacts/email:$_[0]")->json->{lists}};

    return $l->{status};
}

is($t->post('/single', form => { email => 'o@example.org' })->status, 200,
   'subscribed at once');
is($t->post('/api/contacts/email:o@example.org/events',
            json => { event => 'stop', list => 'news' })->status, 200,
   'opts out');

for my $time (qw(once twice)) {
    $r = $t->post('/single', form => { email => 'o@example.org' },
                  accept => 'application/json');
    is($r->status, 202, "the form again, $time: 202");
    is($r->json->{code}, 'subscribe_check', '... asked to confirm');
    is(state_of('o@example.org'), 'pending', '... not in');
}

for my $source (qw(api agent provider sync)) {
    is($t->post('/api/contacts/email:o@example.org/events',
                json => { event => 'subscribe', list => 'news',
                          source => $source })->status, 409,
       "$source cannot go on from there");
}
is(state_of('o@example.org'), 'pending', '... still not in');

$link = link_of('o@example.org');
is($t->post($link, form => { action => 'confirm' })->status, 200,
   'the link of the mail');
is(state_of('o@example.org'), 'double', 'lets in again');

# Limits

is($t->post('/limited', form => { email => 'z@example.org' })->status, 200,
   'within the limit');
$r = $t->post('/limited', form => { email => 'Z@example.org' });
is($r->status, 429, 'above it');
ok($r->header('Retry-After') > 0, 'Retry-After');
unlike($r->body, qr/bookings/, 'nothing about bookings');

# Refused after it has waited for the store; the connection stays open, so the
# request is gone with the answer (what is still done to it, make asan shows).

$r = $t->http_raw("POST /long HTTP/1.1\r\nHost: a\r\nX-W: " . 'x' x 5000
                  . "\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                  . "Content-Length: 21\r\n\r\nemail=z%40example.org");
is($r->status, 503, 'a wording that is too long: 503');
$t->expect_log(qr/a wording has 10000 bytes/);

is($t->leaks, 0, 'no token in the error log');

done_testing();
