# doi_sync salesforce: one record of consent for each contact and list, brought
# up to date; an answer of 200 may be a failure, which its code tells.

use lib 't/lib';
use Doi;
use Doi::Deliver;

use JSON::PP ();

plan(skip_all => 'no faketime with the sanitizers') if $ENV{DOI_ASAN};

# One worker: see clock_jump.t.

my $t = Doi->new(workers => 1, faketime => 1);
my $d = Doi::Deliver->new($t);

$t->write_file('token', "00D-token\n", 0600);
$d->httpd($_, '--answers', $d->answers_file($_)) for qw(force own);

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    doi_optout_scope list;
    doi_sync salesforce http://127.0.0.1:%%PORT:force%%
             secret_file=%%DIR%%/token allow=private;
    doi_sync salesforce http://127.0.0.1:%%PORT:own%%/services/data/v62.0/sobjects/ContactPointTypeConsent/Consent_Key__c
             secret_file=%%DIR%%/token list=news:Newsletter allow=private;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /api/ { doi_api read resolve consent; }
    }
}
EOC

my $clock = 0;
my %asked = (force => 0, own => 0);

sub later {
    my ($seconds) = @_;

    $clock += $seconds;
    $t->faketime($clock);
}

sub event {
    my ($who, $event, %fields) = @_;

    my $r = $t->post("/api/contacts/$who/events", json =>
                     { event => $event, list => 'news', %fields });
    is($r->status, 200, "$event of $who") or diag($r->body);
}

# The next request, with its part and the part's record.

sub asked {
    my ($name, $port, $status) = @_;

    $port //= 'force';
    my $n = $asked{$port}++;

    ok(poll_until(20, sub { $d->requests($port) > $n }), "$name: asked")
        or diag(explain([ $d->outbox ]));

    my $r = ($d->requests($port))[$n] or return {};
    my $json = JSON::PP::decode_json($r->{body});
    my $part = $json->{compositeRequest}[0];

    is($part->{body}{PrivacyConsentStatus}, $status, "$name: $status");

    return { %$r, json => $json, part => $part, record => $part->{body} };
}

# Whether a contact has changed is told by the other one, too.

sub both {
    my ($name, $status) = @_;

    my $r = asked($name, 'force', $status);
    asked("$name, the other", 'own', $status);

    return $r;
}

sub idle {
    ok(poll_until(20, sub { !grep { $_->{kind} eq 'sync' } $d->outbox }),
       "$_[0]: nothing is left") or diag(explain([ $d->outbox ]));
}

sub row {
    my ($code) = @_;

    my $row;
    poll_until(20, sub {
        ($row) = grep { $_->{kind} eq 'sync' && $code->($_) } $d->outbox;
        $row;
    })
    or diag(explain([ $d->outbox ]));

    return $row // {};
}

my $person = '0PKdL000000A1B2WAK';
my $date = qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

# Single

my $ada = 'email:ada@example.com';

event($ada, 'subscribe', source => 'agent', person => $person);
my $r = asked('single', 'force', 'OptIn');
is("$r->{method} $r->{path}", 'POST /services/data/v60.0/composite', 'where');
is($r->{headers}{Authorization}, 'Bearer 00D-token', 'the token');
is($r->{headers}{'Content-Type'}, 'application/json', 'the type');
is($r->{json}{allOrNone}, JSON::PP::true, 'all or nothing');
is($r->{part}{method}, 'PATCH', 'an upsert');
like($r->{part}{url}, qr{^/services/data/v60\.0/sobjects/
     ContactPointTypeConsent/DoiKey__c/[0-9a-f]{32}$}x, 'of this record');

my $record = $r->{record};
like($record->{$_}, $date, $_) for qw(CaptureDate EffectiveFrom);
is($record->{CaptureDate}, $record->{EffectiveFrom}, 'given now');
ok(exists $record->{DoubleConsentCaptureDate}
   && !defined $record->{DoubleConsentCaptureDate},
   'an old date of a double opt-in is emptied');
is_deeply({ map { $_ => $record->{$_} } grep { !/Date|From/ } keys %$record },
          { Name => 'news, email:ada@example.com', ContactPointType => 'Email',
            PrivacyConsentStatus => 'OptIn', CaptureContactPointType => 'Phone',
            CaptureSource => 'agent, email', PartyId => $person },
          'the record');

my $o = asked('single, the other', 'own', 'OptIn');
is($o->{path}, '/services/data/v62.0/composite', 'its version');
like($o->{part}{url}, qr{^/services/data/v62\.0/sobjects/
     ContactPointTypeConsent/Consent_Key__c/[0-9a-f]{32}$}x, 'its field');
is($o->{record}{Name}, 'Newsletter, email:ada@example.com', 'its list');

# Double, by a prompt and its answer

my $bob = 'sms:+4915112345678';

event($bob, 'subscribe', level => 'double');
my $seen = both('pending', 'Seen');
is($seen->{record}{ContactPointType}, 'Phone', 'a number');
ok(!exists $seen->{record}{PartyId}, 'no id of a person');
later(60);
event($bob, 'confirm', source => 'ivr');
$r = both('double', 'OptIn');
like($r->{record}{DoubleConsentCaptureDate}, $date, 'when it was confirmed');
is($r->{record}{EffectiveFrom}, $r->{record}{DoubleConsentCaptureDate},
   'from then on');
is($r->{part}{url}, $seen->{part}{url}, 'the same record');

event($bob, 'stop');
$r = both('opt-out', 'OptOut');
ok(!defined $r->{record}{DoubleConsentCaptureDate}, 'and no date any more');
is($r->{part}{url}, $seen->{part}{url}, 'the same record');

event($bob, 'subscribe', list => 'offers');
isnt(asked('another list', 'force', 'OptIn')->{part}{url}, $seen->{part}{url},
     'another record');
idle('double');
is(scalar(() = $d->requests('own')), $asked{own}, 'which the other has not');

# 200, and an error in it

sub part {
    my ($status, $code) = @_;

    return { status => 200, body => JSON::PP::encode_json({
        compositeResponse => [ { httpStatusCode => $status, httpHeaders => {},
            referenceId => 'consent', body => $code
                ? [ { errorCode => $code, message => 'of ada@example.com' } ]
                : { id => '0Zk1', success => JSON::PP::true, errors => [],
                    created => JSON::PP::false } } ] }) };
}

sub unsaved {
    my ($code) = @_;

    return { status => 200, body => JSON::PP::encode_json(
        [ { success => JSON::PP::false, errors =>
            [ { statusCode => $code, message => 'm', fields => [] } ] } ]) };
}

my @later = ([ 'a lock', part(400, 'UNABLE_TO_LOCK_ROW') ],
             [ 'a limit', part(403, 'REQUEST_LIMIT_EXCEEDED') ],
             [ 'a limit of the whole', { status => 403, body =>
               '[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"m"}]' } ],
             [ 'not saved, a lock', unsaved('UNABLE_TO_LOCK_ROW') ],
             [ 'a part with 503', part(503) ],
             [ 'a session that is over', { status => 401, body =>
               '[{"errorCode":"INVALID_SESSION_ID","message":"m"}]' } ],
             [ 'a page to log in', { status => 200, body => '<html>' } ],
             [ '503', { status => 503, body => '' } ]);

my $n = 0;

for (@later) {
    my ($name, $answer) = @$_;
    my ($event, $status) = $n++ % 2 ? ('subscribe', 'OptIn')
                                    : ('stop', 'OptOut');

    $d->answers('force', $answer);
    event($ada, $event, source => 'ivr');
    both($name, $status);
    my $row = row(sub { $_[0]{attempts} });
    is($row->{state}, 'queued', "$name: later");
    like($row->{error}, qr/$1/, 'its code') if $answer->{body} =~ /([A-Z_]{9,})/;
    unlike($row->{error}, qr/ada\@/, 'no address');

    $d->answers('force', part(200));
    later(40);
    asked("$name, again", 'force', $status);
    idle($name);
}

my @final = ([ 'a missing field', part(400, 'REQUIRED_FIELD_MISSING') ],
             [ 'not saved', unsaved('FIELD_CUSTOM_VALIDATION_EXCEPTION') ],
             [ 'no such object', { status => 404, body =>
               '[{"errorCode":"NOT_FOUND","message":"m"}]' } ]);

for (@final) {
    my ($name, $answer) = @$_;
    my ($event, $status) = $n++ % 2 ? ('subscribe', 'OptIn')
                                    : ('stop', 'OptOut');

    $d->answers('force', $answer);
    event($ada, $event, source => 'ivr');
    both($name, $status);
    my $row = row(sub { $_[0]{state} eq 'dead' });
    my ($code) = $answer->{body} =~ /([A-Z_]{9,})/;
    like($row->{error}, qr/$code/, "$name: given up");

    is($t->post("/api/outbox/$row->{id}/retry", json => {})->status, 200,
       'an operator tries again');
    asked('retry', 'force', $status);
    idle($name);
}

# The newest status wins, whatever comes first

$d->answers('force', part(400, 'UNABLE_TO_LOCK_ROW'));
event($ada, 'subscribe', source => 'ivr');
both('fails', 'OptIn');
row(sub { $_[0]{attempts} });
event($ada, 'stop');
both('the next one', 'OptOut');
later(40);
asked('the first one, later', 'force', 'OptOut');
idle('newest');

unlike($t->error_log, qr/ada\@|\+4915112345678/, 'no address in the log');
unlike($t->error_log, qr/00D-token/, 'no token');

done_testing();
