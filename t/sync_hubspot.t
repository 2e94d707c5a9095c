# doi_sync hubspot: its API is called as it wants to be; what it answers is
# understood; and in the end it has the newest status of each contact.

use lib 't/lib';
use Doi;
use Doi::Deliver;

use JSON::PP ();
use POSIX ();

plan(skip_all => 'no faketime with the sanitizers') if $ENV{DOI_ASAN};

# One worker: see clock_jump.t.

my $t = Doi->new(workers => 1, faketime => 1);
my $d = Doi::Deliver->new($t);

$t->write_file('token', "pat-eu1-first\n", 0600);
$t->write_file('secret', "x\n", 0600);
$d->httpd('hub', '--answers', $d->answers_file('hub'));
$d->httpd('json');

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    doi_optout_scope list;
    doi_sync hubspot http://127.0.0.1:%%PORT:hub%%/ secret_file=%%DIR%%/token
             list=news:4711 list=offers:4712 allow=private;
    doi_sync json http://127.0.0.1:%%PORT:json%%/204 secret_file=%%DIR%%/secret
             allow=private;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /api/ { doi_api read resolve consent; }
        location = /metrics { doi_metrics; }
    }
}
EOC

my $clock = 0;
my $told = 0;       # requests that 'json' has had: it gets every change
my $asked = 0;      # and 'hub'
my $markers = 0;

sub later {
    my ($seconds) = @_;

    $clock += $seconds;
    $t->faketime($clock);
}

sub event {
    my ($who, $event, %fields) = @_;

    my $r = $t->post("/api/contacts/email:$who\@example.com/events", json =>
                     { event => $event, list => 'news', %fields });
    is($r->status, 200, "$event of $who") or diag($r->body);

    $told++ if ($fields{source} // '') ne 'sync';
}

# What HubSpot is asked next: status and name.

sub hub {
    my ($name, $want) = @_;

    $asked++;
    ok(poll_until(20, sub { $d->requests('hub') >= $asked }), "$name: asked")
        or diag(explain([ $d->outbox ]));

    my $r = ($d->requests('hub'))[$asked - 1] or return {};
    my ($who) = $r->{path} =~ m{/([^/]+)\@example\.com$};
    my $body = JSON::PP::decode_json($r->{body});

    is("$who $body->{statusState}", $want, "$name: $want");

    return { %$r, json => $body };
}

# It is asked nothing: the other one has had all there is by now.

sub quiet {
    my ($name) = @_;

    event('marker-' . ++$markers, 'subscribe', list => 'other');
    ok(poll_until(20, sub { $d->requests('json') >= $told }),
       'the other CRM is told');
    is(scalar(() = $d->requests('hub')), $asked, "$name: HubSpot is not asked");
}

sub idle {
    ok($d->idle(60), "$_[0]: nothing is left")
        or diag(explain([ $d->outbox ]));
}

sub row {
    my ($code) = @_;

    my $row;
    poll_until(20, sub { ($row) = grep { $code->($_) } $d->outbox; $row })
        or diag(explain([ $d->outbox ]));

    return $row // {};
}

event('ada', 'subscribe', source => 'agent');
my $r = hub('opt-in', 'ada SUBSCRIBED');
is("$r->{method} $r->{path}",
   'POST /communication-preferences/v4/statuses/ada@example.com', 'the path');
is($r->{headers}{Authorization}, 'Bearer pat-eu1-first', 'the token');
is($r->{headers}{'Content-Type'}, 'application/json', 'the type');

my $why = delete $r->{json}{legalBasisExplanation};
like($why, qr/^opt-in \(agent\) at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'why');
is_deeply($r->{json}, { channel => 'EMAIL', statusState => 'SUBSCRIBED',
                        subscriptionId => 4711,
                        legalBasis => 'CONSENT_WITH_NOTICE' }, 'the body');
like($r->{body}, qr/"subscriptionId":4711,/, 'the id is a number');

event('ada', 'stop');
hub('opt-out', 'ada UNSUBSCRIBED');
event('ada', 'subscribe', source => 'ivr');
hub('back again', 'ada SUBSCRIBED');

event('ada', 'subscribe', list => 'offers');
is(hub('another list', 'ada SUBSCRIBED')->{json}{subscriptionId}, 4712,
   'of its own number');

is($t->post('/api/contacts/sms:+4915112345678/events',
            json => { event => 'subscribe', list => 'news' })->status, 200,
   'an SMS contact');
$told++;
quiet('another channel, a list it does not have');

# Busy: a number of seconds, which holds for all that it is to be told

$d->answers('hub', { status => 429, headers => { 'Retry-After' => '200' },
    body => '{"category":"RATE_LIMITS","message":"secondly limit"}' });
event('bob', 'subscribe');
hub('429', 'bob SUBSCRIBED');

my $row = row(sub { $_[0]{attempts} });
is($row->{state}, 'queued', '429: later');
like($row->{error}, qr/429, code RATE_LIMITS/, 'why');
cmp_ok($row->{due} - time, '>', 190, 'not before Retry-After');
cmp_ok($row->{due} - time, '<=', 200, 'but then');

event('cy', 'subscribe');
quiet('Retry-After');
later(150);
quiet('150 s later');
later(60);

my @two = map { $_->{path} =~ m{([a-z]+)\@} } do {
    poll_until(20, sub { $d->requests('hub') >= $asked + 2 });
    my @all = $d->requests('hub');
    splice @all, $asked;
};
$asked += 2;
is("@{[ sort @two ]}", 'bob cy', 'and then both are told');
idle('429');

# A date

$d->answers('hub', { status => 429, headers => {
    'Retry-After' => POSIX::strftime('%a, %d %b %Y %H:%M:%S GMT',
                                     gmtime(time + $clock + 500)) } });
event('bob', 'stop');
hub('a date', 'bob UNSUBSCRIBED');
$row = row(sub { $_[0]{attempts} });
cmp_ok($row->{due} - time - $clock, '>', 480, 'not before that date');
cmp_ok($row->{due} - time - $clock, '<=', 501, 'but then');
later(510);
hub('after that date', 'bob UNSUBSCRIBED');
idle('a date');

# It fails, and is asked again by itself

for my $status (500, 502, 503) {
    $d->answers('hub', { status => $status, body => '<html>' });
    event('bob', $status == 502 ? 'stop' : 'subscribe', source => 'ivr');
    my $want = $status == 502 ? 'bob UNSUBSCRIBED' : 'bob SUBSCRIBED';
    hub($status, $want);
    is(row(sub { $_[0]{attempts} })->{state}, 'queued', "$status: later");
    later(40);
    hub("$status, again", $want);
}

idle('5xx');

# The token has run out: a new one, and a reload

$d->answers('hub', { status => 401,
                     body => '{"category":"EXPIRED_AUTHENTICATION"}' });
event('bob', 'stop');
hub('401', 'bob UNSUBSCRIBED');
$row = row(sub { $_[0]{attempts} });
is($row->{state}, 'queued', '401: later');
like($row->{error}, qr/401, code EXPIRED_AUTHENTICATION/, 'why');

$t->write_file('token', "pat-eu1-second\n", 0600);
ok(scalar($t->reload), 'reload');
later(40);
is(hub('401, again', 'bob UNSUBSCRIBED')->{headers}{Authorization},
   'Bearer pat-eu1-second', 'with the new token');
idle('401');

# Refused for good; also with a status that looks well

my @final = ({ status => 400, body => '{"category":"VALIDATION_ERROR",'
                   . '"message":"dan@example.com is not valid"}' },
             { status => 403, body => '{"category":"MISSING_SCOPES"}' },
             { status => 404, body => '' },
             { status => 207, body => '{"results":[],"numErrors":1,"errors":'
                   . '[{"category":"OBJECT_NOT_FOUND","message":"no 4711"}]}' });

for my $i (0 .. $#final) {
    $d->answers('hub', $final[$i]);
    event('dan', $i % 2 ? 'stop' : 'subscribe', source => 'ivr');
    hub($final[$i]{status}, $i % 2 ? 'dan UNSUBSCRIBED' : 'dan SUBSCRIBED');

    $row = row(sub { $_[0]{state} eq 'dead' });
    like($row->{error}, qr/$final[$i]{status}/, "given up: $row->{error}");
    unlike($row->{error}, qr/dan\@/, 'no address');

    is($t->post("/api/outbox/$row->{id}/retry", json => {})->status, 200,
       'an operator tries again');
    hub('retry', $i % 2 ? 'dan UNSUBSCRIBED' : 'dan SUBSCRIBED');
    idle('retry');
}

# One of a contact at a time, in order

my $go = $t->dir . '/go';

$d->answers('hub', { hold => "$go-1" });
event('eve', 'subscribe');
hub('slow', 'eve SUBSCRIBED');
event('eve', 'stop');
quiet('while it is slow');
$t->write_file('go-1', '');
hub('in order', 'eve UNSUBSCRIBED');
idle('in order');

# What failed and comes later has the newest status, not an old one

$d->answers('hub', { status => 503 });
event('fay', 'subscribe');
hub('fails', 'fay SUBSCRIBED');
row(sub { $_[0]{attempts} });
event('fay', 'stop');
hub('the next one', 'fay UNSUBSCRIBED');
later(40);
hub('the first one, later', 'fay UNSUBSCRIBED');
idle('newest');

# What comes from a CRM is not told, unless it would be lost

event('gil', 'subscribe');
hub('opt-in', 'gil SUBSCRIBED');
idle('opt-in');
event('gil', 'stop', source => 'sync');
quiet('from a CRM');

event('gil', 'subscribe', source => 'ivr');
hub('opt-in', 'gil SUBSCRIBED');
idle('opt-in');

$d->answers('hub', { hold => "$go-2" });
event('hal', 'subscribe');
hub('slow', 'hal SUBSCRIBED');
event('hal', 'stop', source => 'sync');
$t->write_file('go-2', '');
hub('it crossed with ours', 'hal UNSUBSCRIBED');
idle('crossed');
quiet('all the same');

my %last;

for ($d->requests('hub')) {
    my ($who) = $_->{path} =~ m{([a-z]+)\@};
    my $b = JSON::PP::decode_json($_->{body});
    $last{"$who $b->{subscriptionId}"} = $b->{statusState};
}

my ($n, @wrong) = 0;

for (keys %last) {
    my ($who, $list) = split;
    my $name = $list == 4711 ? 'news' : 'offers';
    my ($have) = grep { $_->{list} eq $name }
        @{$t->get("/api/contacts/email:$who\@example.com")->json->{lists}};
    my $out = $have->{status} eq 'opted_out';

    $n++;
    push @wrong, "$_ $have->{status}"
        if $last{$_} ne ($out ? 'UNSUBSCRIBED' : 'SUBSCRIBED');
}

is($n, 9, 'contacts and lists at HubSpot');
is_deeply(\@wrong, [], 'all as they are here');

unlike($t->error_log, qr/\@example\.com/, 'no address in the log');
unlike($t->error_log, qr/pat-eu1/, 'no token');

done_testing();
