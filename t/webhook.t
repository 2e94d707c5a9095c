# Webhooks: what they say, that they verify, and what is done about receivers
# that fail.

use lib 't/lib';
use Doi;
use Doi::Deliver;

use Digest::SHA qw(hmac_sha256);
use MIME::Base64 qw(encode_base64 decode_base64);

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');
my $d = Doi::Deliver->new($t);

my $key = Doi::Token::random_bytes(32);
my $secret = 'whsec_' . encode_base64($key, '');

$t->write_file('secret', "$secret\n", 0600);

$d->httpd('hooks');

my $conf = <<'EOC';
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    doi_mail maildir:%%DIR%%/mail from=bookings@example.org;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_token;
    doi_limit recipient off;
    doi_limit address off;
    doi_limit network off;
    HOOKS
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /book {
            doi_hold scope=hair email=email slot=slot name=name lang=lang
                     timezone=Europe/Berlin duration=30m;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/confirm/(?<token>[^/]+)$ {
            doi_confirm $token scope=hair;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read resolve; }
        location = /metrics { doi_metrics; }
    }
}
EOC

sub conf {
    my @hooks = map { "doi_webhook http://127.0.0.1:%%PORT:hooks%%/$_->[0] "
                      . "secret_file=%%DIR%%/secret $_->[1];" } @_;
    (my $text = $conf) =~ s/HOOKS/@hooks/;

    return $t->conf($text);
}

sub hooks {
    my ($path, $n) = @_;

    my @got;
    poll_until(30, sub {
        @got = grep { $_->{path} eq "/$path" } $d->requests('hooks');
        @got >= $n;
    });

    return @got;
}

sub head { my ($r, $name) = @_;
           my ($k) = grep { lc eq $name } keys %{$r->{headers}};
           return $r->{headers}{$k // ''} }

my @all = ([ 200, 'allow=private' ], [ 204, 'allow=private events=confirmed' ],
           [ 410, 'allow=private events=held' ],
           [ 429, 'allow=private events=held' ],
           [ 302, 'allow=private events=held' ],
           [ 'private', 'events=held' ]);

conf(@all)->start;

# Held

is($d->book(slot => '2030-01-15 09:00', name => "Ad\xc3\xa4 \"A\"")->status, 202,
   'held');

my ($r) = hooks(200, 1);
is($r->{method}, 'POST', 'POST');
is(head($r, 'content-type'), 'application/json', 'content type');

my $json = JSON::PP::decode_json($r->{body});
my $id = $d->booking->{id};
my $data = $json->{data};

is($json->{type}, 'booking.held', 'type');
like($json->{timestamp}, qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'timestamp');
is($data->{id}, $id, 'id');
is($data->{state}, 'held', 'state');
is($data->{scope}, 'hair', 'scope');
is($data->{slot}, '2030-01-15 09:00', 'slot');
is($data->{start}, '2030-01-15T08:00:00Z', 'start');
is($data->{duration}, 1800, 'duration');
is($data->{email}, 'ada@example.org', 'email');
is($data->{name}, "Ad\x{e4} \"A\"", 'name');
is($data->{zone}, 'Europe/Berlin', 'zone');
like($data->{$_}, qr/Z$/, $_) for qw(created expires);
unlike($r->{body}, qr/confirm\//, 'no link');

# The signature, by our own arithmetic, then by theirs

sub signed {
    my ($r) = @_;

    my $text = join '.', head($r, 'webhook-id'), head($r, 'webhook-timestamp'),
               $r->{body};

    return 'v1,' . encode_base64(hmac_sha256($text, $key), '')
           eq head($r, 'webhook-signature');
}

ok(signed($r), 'signature');
cmp_ok(abs(time - head($r, 'webhook-timestamp')), '<', 30, 'time of the try');

SKIP: {
    my $npm = "$ENV{HOME}/.cache/doi-npm";
    my $log = $t->dir . '/npm.log';

    -d "$npm/node_modules/standardwebhooks"
        or system("mkdir -p $npm && cd $npm && npm install --no-audit "
                  . "--no-fund --silent standardwebhooks >$log 2>&1") == 0
        or skip 'npm install standardwebhooks failed', 2;

    my $file = $t->write_file('hook.json', JSON::PP::encode_json({
        secret => $secret, body => $r->{body},
        headers => { map { $_ => head($r, "webhook-$_") }
                     qw(id timestamp signature) } }));

    my $js = $t->write_file('verify.js', <<'EOJ');
const { Webhook } = require(process.argv[2] + '/node_modules/standardwebhooks');
const d = JSON.parse(require('fs').readFileSync(process.argv[3]));
const h = {};
for (const k of Object.keys(d.headers)) h['webhook-' + k] = d.headers[k];
console.log(new Webhook(d.secret).verify(
    Buffer.from(d.body, 'latin1').toString('utf8'), h).type);
try { new Webhook(d.secret).verify(d.body + ' ', h); }
catch (e) { console.log('refused'); }
EOJ
    my @out = split /\n/, `node $js $npm $file 2>&1`;
    is($out[0], 'booking.held', 'standardwebhooks verifies it');
    is($out[1], 'refused', 'and nothing else');
}

# Receivers that do not want it: given up, or later

my @dead;
poll_until(30, sub { (@dead = $d->outbox('state=dead')) == 3 });

is_deeply([ sort map { $_->{error} =~ /(410|302|address)/ ? $1 : $_->{error} }
            @dead ], [ '302', '410', 'address' ],
          'given up: 410, 302, an address that is private');
is($_->{attempts}, 1, 'after one try') for @dead;
is_deeply([ hooks('', 0) ], [], 'no redirect was followed');

my @wait;
poll_until(30, sub { (@wait = $d->outbox('state=queued')) == 1
                     && $wait[0]{attempts} });
like($wait[0]{error}, qr/429/, '429: later');
cmp_ok($wait[0]{due} - head((hooks(429, 1))[0], 'webhook-timestamp'), '>', 5,
       'as the receiver says, and not sooner');

# Only what is wanted

is(scalar(hooks(204, 0)), 0, 'events=');
my ($mail) = $d->wait_mails(1);
is($d->confirm($mail)->status, 200, 'confirmed');

my ($c) = hooks(204, 1);
is(JSON::PP::decode_json($c->{body})->{type}, 'booking.confirmed', 'type');
is(scalar(hooks(200, 2)), 2, 'the other is told as well');

# Tried again by an operator: the same id, another time

my ($gone) = grep { $_->{error} =~ /410/ } @dead;
is($gone->{target}, 'http://127.0.0.1:' . $t->port('hooks'),
   'the API tells which, without the path');
is($t->post("/api/outbox/$gone->{id}/retry", json => {})->status, 200, 'retry');

my @try = hooks(410, 2);
is(scalar(@try), 2, 'a second try');
is(head($try[1], 'webhook-id'), head($try[0], 'webhook-id'), 'the same id');
is(head($try[0], 'webhook-id'), $gone->{id}, 'that of the delivery');
is($try[1]{body}, $try[0]{body}, 'the same body');
ok(signed($try[1]), 'signed anew');

# No longer configured

poll_until(30, sub { $d->outbox('state=dead') == 3 });
conf(grep { $_->[0] ne '410' } @all);
$t->reload;
$t->post("/api/outbox/$gone->{id}/retry", json => {});

my $row;
poll_until(30, sub {
    ($row) = grep { $_->{id} eq $gone->{id} } $d->outbox('state=dead');
    $row && $row->{error} =~ /doi_webhook/;
});
like($row->{error}, qr/no "doi_webhook"/, 'given up, and it says why');

my $m;
my $sent = 'doi_deliveries_total{kind="webhook",result="sent"}';
poll_until(30, sub {
    $m = $t->metrics;
    $m->{$sent} == 3 && $m->{doi_outbox_dead} == 3;
});
is($m->{$sent}, 3, 'sent');
is($m->{doi_outbox_dead}, 3, 'dead');

# Released

is($d->book(slot => '2030-01-17 09:00')->status, 202, 'held');
my $next = $d->booking('state=held');
is($t->delete("/api/bookings/$next->{id}", json => { reason => 'ill' })->status,
   200, 'cancelled');

# It may come before the event that is about holding it.

my ($rel) = grep { $_->{type} eq 'booking.released' }
            map { JSON::PP::decode_json($_->{body}) } hooks(200, 4);
$json = $rel // { data => {} };
is($json->{type}, 'booking.released', 'type');
is($json->{data}{id}, $next->{id}, 'id');
is($json->{data}{state}, 'cancelled', 'state');
is($json->{data}{reason}, 'ill', 'reason');

done_testing();
