# What time does: a reminder before a hold ends, its end, a claim that was never
# settled; and letters that are given up after three days.

use lib 't/lib';
use Doi;
use Doi::Deliver;

use MIME::Base64 qw(encode_base64);

plan(skip_all => 'no faketime with the sanitizers') if $ENV{DOI_ASAN};

my $t = Doi->new(workers => 2, faketime => 1);
my $up = $t->upstream('app');
my $d = Doi::Deliver->new($t);

$t->write_file('secret', 'whsec_' . encode_base64('x' x 32), 0600);
$d->httpd('hooks');

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    doi_mail maildir:%%DIR%%/mail from=bookings@example.org;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_token;
    doi_owner name=Olga email=olga@example.com;
    doi_limit recipient off;
    doi_limit address off;
    doi_limit network off;
    doi_webhook http://127.0.0.1:%%PORT:hooks%%/200 secret_file=%%DIR%%/secret
                allow=private;
    doi_webhook http://127.0.0.1:%%PORT:hooks%%/500 secret_file=%%DIR%%/secret
                allow=private events=held;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /book {
            doi_hold email=email slot=slot name=name ttl=2h remind=1h;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/confirm/(?<token>[^/]+)$ {
            doi_confirm $token;
            doi_claim_timeout 5m;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read resolve; }
        location = /metrics { doi_metrics; }
    }
}
EOC

sub types {
    map { JSON::PP::decode_json($_->{body})->{type} }
        grep { $_->{path} eq '/200' } $d->requests('hooks');
}

is($d->book(slot => 'room 1')->status, 202, 'held');
is($d->book(slot => 'room 2', email => 'bob@example.org')->status, 202, 'held');
is(scalar($d->wait_mails(2)), 2, 'two mails');

my %id = map { $_->{slot} => $_->{id} }
         @{$t->get('/api/bookings')->json->{bookings}};

# Somebody confirms, and the worker is killed while the app is asked

my ($bob) = $d->mails(to => 'bob');
$up->mode('hang');
my $s = $t->open_raw(join "\r\n", 'POST ' . $d->link($bob) . ' HTTP/1.1',
                     'Host: 127.0.0.1:' . $t->port, 'Content-Type: '
                     . 'application/x-www-form-urlencoded',
                     'Content-Length: 14', '', 'action=confirm');
ok(poll_until(30, sub {
    $t->get("/api/bookings/$id{'room 2'}")->json->{state} eq 'claimed' }),
   'claimed');
$t->kill_worker('KILL', $_) for $t->workers;
$up->mode('ok');

# An hour on

$t->faketime(3700);

ok(poll_until(20, sub { $d->mails(to => 'ada') == 2 }), 'a reminder');
ok(poll_until(20, sub { grep { $_ eq 'booking.in_doubt' } types() }),
   'the claim is in doubt');
ok(poll_until(20, sub { $d->mails(to => 'olga') == 1 }),
   'the owner is asked to look');
is(scalar(() = $d->mails(to => 'bob')), 1, 'the visitor is not reminded');

my @ada = $d->mails(to => 'ada');
is($d->link($ada[0]), $d->link($ada[1]), 'the reminder has the same link');

# Another hour: the slot is free

$t->faketime(7400);

ok(poll_until(20, sub { grep { $_ eq 'booking.released' } types() }),
   'released');
is($t->get("/api/bookings/$id{'room 1'}")->json->{state}, 'expired',
   'expired');
is($t->get("/api/bookings/$id{'room 2'}")->json->{state}, 'in_doubt',
   'what is in doubt stays so');
is($d->book(slot => 'room 1', email => 'eve@example.org')->status, 202,
   'the slot is free');

my $m = $t->metrics;
is($m->{'doi_bookings_released_total{state="expired"}'}, 1, 'counted');
is($m->{'doi_bookings_total{event="remind"}'}, 1, 'counted');
is($m->{'doi_bookings_total{event="in_doubt"}'}, 1, 'counted');

# Three days of failures

my @wait = $d->outbox('state=queued');
ok(@wait >= 2, 'what fails waits');

for my $days (1 .. 5) {
    $t->faketime(7400 + 80000 * $days);
    poll_until(30, sub {
        !grep { $_->{due} <= time + 7400 + 80000 * $days } $d->outbox('state=queued')
    });
}

my @dead = $d->outbox('state=dead');
cmp_ok(scalar(@dead), '>=', 2, 'is given up at last');
like($_->{error}, qr/500/, 'with the last error') for @dead;
cmp_ok($_->{attempts}, '>=', 4, 'after some tries') for @dead;

done_testing();
