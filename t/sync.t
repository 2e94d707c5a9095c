# doi_sync: CRMs are told of changes, once, in the end with the status that the
# contact has; 429 with Retry-After is respected; changes of a CRM do not come
# back to it.

use lib 't/lib';
use Doi;
use Doi::Deliver;
use JSON::PP ();

my $t = Doi->new(workers => 2);
my $d = Doi::Deliver->new($t);

$t->write_file('secret', "s3cret-of-the-crm\n", 0600);
$d->httpd($_) for qw(json hub force busy);

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    doi_sync json http://127.0.0.1:%%PORT:json%%/204 secret_file=%%DIR%%/secret
             allow=private;
    doi_sync hubspot http://127.0.0.1:%%PORT:hub%%/200
             secret_file=%%DIR%%/secret list=news:4711 allow=private;
    doi_sync json http://127.0.0.1:%%PORT:busy%%/429 secret_file=%%DIR%%/secret
             list=default:x allow=private;
    doi_optout_scope list;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /api/ { doi_api read consent; }
        location = /metrics { doi_metrics; }
    }
}
EOC

ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');

sub event {
    my ($contact, %fields) = @_;

    my $r = $t->post("/api/contacts/$contact/events", json => \%fields);
    is($r->status, 200, "$fields{event} of $contact") or diag($r->body);
}

sub bodies { map { JSON::PP::decode_json($_->{body}) } $d->requests($_[0]) }

event('email:a@example.com', event => 'subscribe', list => 'news',
      person => 'p1');

ok(poll_until(30, sub { $d->requests('json') == 1 }), 'JSON is told');
ok(poll_until(30, sub { $d->requests('hub') == 1 }), 'HubSpot is told');

my ($b) = bodies('json');
my $text = JSON::PP->new->canonical->encode($b);
like($text, qr/a\@example\.com/, 'whom');
like($text, qr/"single"/, 'what');
like($text, qr/"news"/, 'which list');

my ($h) = $d->requests('hub');
like($h->{body}, qr/4711/, "the list's id there");
is($h->{headers}{Authorization}, 'Bearer s3cret-of-the-crm', 'bearer token');

# of another list HubSpot knows nothing; a number is none of its business

event('email:a@example.com', event => 'subscribe');
event('sms:+4915112345678', event => 'subscribe', list => 'news');
ok(poll_until(30, sub { $d->requests('json') == 3 }), 'JSON is told of all');

my ($busy, $asked);
ok(poll_until(30, sub {
    $asked = (stat $t->dir . '/busy.log')[9] // return;
    ($busy) = grep { $_->{attempts} }
              @{$t->get('/api/outbox')->json->{outbox}};
    $busy;
}), 'one waits') or diag(explain($t->get('/api/outbox')->json));
is($busy->{kind}, 'sync', 'a sync');
is($busy->{target}, 'http://127.0.0.1:' . $t->port('busy'),
   'of which CRM, without the path');
cmp_ok($busy->{due} - $asked, '>=', 5, 'not before Retry-After');
like($busy->{error}, qr/429/, 'why');

is(scalar $d->requests('hub'), 1, 'HubSpot was not told of them');

# from a CRM

event('email:a@example.com', event => 'stop', source => 'sync', list => 'news');
event('email:b@example.com', event => 'subscribe', list => 'news');
ok(poll_until(30, sub { $d->requests('hub') == 2 }), 'a later change is told');
unlike(($d->requests('hub'))[1]{path}, qr/a\@example/,
       "the CRM's own change is not");

event('email:b@example.com', event => 'stop', list => 'news');
ok(poll_until(30, sub { $d->requests('hub') == 3 }), 'an opt-out is told');
like(($d->requests('hub'))[2]{body}, qr/"UNSUBSCRIBED"/, 'as such');

like($t->get('/metrics')->body,
     qr/^doi_deliveries_total\{kind="sync",result="sent"\} [1-9]/m, 'counted');
like($t->get('/metrics')->body,
     qr/^doi_deliveries_total\{kind="sync",result="queued"\} [1-9]/m,
     'those that were queued, too');

done_testing();
