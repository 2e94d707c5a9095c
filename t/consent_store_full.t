# The store is full: a message that it does not take is answered 503, so that
# the provider delivers it again; forms and clicks are told so as well.

use lib 't/lib';
use Doi;
use Doi::Deliver;

use Digest::SHA qw(hmac_sha256_hex);

my $t = Doi->new(workers => 2);
my $d = Doi::Deliver->new($t);

$t->write_file('secret', "s3cret\n", 0600);

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=1m;
    doi_key 1 file:%%KEY%%;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_token;
    doi_url unsubscribe /u/$doi_token;
    doi_mail maildir:%%DIR%%/mail from=news@example.org;
    doi_owner name=Example email=owner@example.org;
    doi_limit network off;
    doi_limit recipient off;
    doi_limit address off;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location = /form { doi_subscribe channel=email address=email; }
        location = /double {
            doi_subscribe channel=email address=email level=double;
        }
        location ~ ^/confirm/(?<token>[^/]+)$ { doi_confirm $token; }
        location = /in { doi_inbound json secret_file=%%DIR%%/secret; }
        location ~ ^/u/(?<token>[^/]+)$ { doi_unsubscribe $token; }
        location /api/ { doi_api read mint consent; }
    }
}
EOC

ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');

my $n = 0;

sub message {
    my $body = JSON::PP->new->encode({ id => 'm' . ++$n, channel => 'sms',
        from => sprintf('+4915123%06d', $n), to => '+1',
        text => 'start ' . 'x' x 1500 });

    return $t->post('/in', body => $body, type => 'application/json',
                    headers => { 'X-Doi-Signature-256' =>
                                 'sha256=' . hmac_sha256_hex($body, 's3cret') });
}

sub form { $t->post('/form', form => { email => 'f' . ++$n . '@example.org' }) }

my @tokens;
for my $i (1 .. 50) {
    my $who = "/api/contacts/email:a$i\@example.org";
    $t->post("$who/events", json => { event => 'subscribe' })->status == 200
        or BAIL_OUT('no contact');
    push @tokens, $t->post("$who/unsubscribe", json => {})->json->{token};
}
is(scalar(grep { defined } @tokens), 50, 'tokens to unsubscribe');
is($t->post('/double', form => { email => 'b@example.org' })->status, 202,
   'one who is to confirm');
my ($mail) = $d->wait_mails(1, to => 'b@example.org');
my $link = $d->link($mail);
is(message()->status, 200, 'a message');
is(form()->status, 200, 'a form');

my $r;

for (1 .. 50) {
    $r = $t->post('/api/links', json => { scope => 's', count => 100,
                                          meta => { text => 'x' x 2000 } });
    last if $r->status != 201;
}

is($r->status, 503, 'the store is filled');

# Single ones, for which a page may have room, until that is over, too

ok(poll_until(30, sub { form()->status == 503 }), 'a form: 503');

$r = form();
is($r->status, 503, 'the next one as well') if $r->status != 200;
unlike($r->body, qr/You are subscribed/, 'and is not told that all is well')
    if $r->status != 200;

ok(poll_until(30, sub { message()->status == 503 }), 'a message: 503');

# Who opts out is not told that he has, unless that was written.

my ($said, $done) = (0, 0);
for my $i (1 .. 50) {
    $r = $t->post("/u/$tokens[$i - 1]", body => 'List-Unsubscribe=One-Click',
                  type => 'application/x-www-form-urlencoded');
    $said++ if $r->status == 200 || $r->body =~ /You are unsubscribed/;
    $done++ if $t->get("/api/contacts/email:a$i\@example.org")
                 ->json->{lists}[0]{status} eq 'opted_out';
}
is($said, $done, "$done are told that they are out, and are");

# Likewise who confirms

$r = $t->post($link, form => { action => 'confirm' });
my $status = $t->get('/api/contacts/email:b@example.org')
               ->json->{lists}[0]{status};
is($status, $r->status == 200 ? 'double' : 'pending', "a click: $status");
ok($r->status == 200 || $r->status == 503, 'done, or to be tried again')
    or diag($r->status);

done_testing();
