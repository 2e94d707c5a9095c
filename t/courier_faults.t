# Mail servers that hang, talk garbage, close, or refuse: webhooks go out all
# the same, nothing is lost, what is refused for good can be seen and retried.

use lib 't/lib';
use Doi;
use Doi::Deliver;

use MIME::Base64 qw(encode_base64);

my @faults = qw(hang-greeting hang-data garbage close-mid-data 4xx-greeting
                refuse-rcpt-4xx 4xx-data reset);
my @final = qw(refuse-rcpt-5xx 5xx-data);

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');
my $d = Doi::Deliver->new($t);

$t->write_file('secret', 'whsec_' . encode_base64('x' x 32), 0600);
$d->httpd('hooks');

$t->conf(<<'EOC');
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    doi_mail smtp://127.0.0.1:%%PORT:mail%% from=bookings@example.org
             timeout=10s;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_token;
    doi_limit recipient off;
    doi_limit address off;
    doi_limit network off;
    doi_webhook http://127.0.0.1:%%PORT:hooks%%/200 secret_file=%%DIR%%/secret
                allow=private;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /book {
            doi_hold email=email slot=slot name=name;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/confirm/(?<token>[^/]+)$ {
            doi_confirm $token;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read resolve; }
        location = /metrics { doi_metrics; }
    }
}
EOC

$t->start;

my $n = 0;

sub hold {
    $n++;
    return $t->post('/book', accept => 'application/json', form =>
                    { slot => "room $n", email => "v$n\@example.org" });
}

# Nobody listens at first

is(hold()->status, 202, 'no mail server: held');
ok(poll_until(30, sub { $d->requests('hooks') == 1 }), 'its webhook goes out');

my $row;
poll_until(30, sub { ($row) = $d->outbox('state=queued'); $row->{attempts} });
is($row->{attempts}, 1, 'one try');
cmp_ok($row->{due} - time, '>', 15, 'the next one later');
cmp_ok($row->{due} - time, '<', 45, 'but soon');
ok(length $row->{error}, "an error to be read: $row->{error}");

for my $fault (@faults) {
    $d->smtpd('mail', '--fault', $fault);

    # More than may be on their way at the same time.
    my $before = $d->requests('hooks');
    is(hold()->status, 202, "$fault: held") for 1 .. 3;

    ok(poll_until(30, sub { $d->requests('hooks') >= $before + 3 }),
       "$fault: webhooks go out");
    ok(scalar(grep { $_->{kind} ne 'webhook' && !$_->{attempts} } $d->outbox),
       "$fault: before the mails") if $fault =~ /^hang/;

    ok(poll_until(60, sub {
        !grep { $_->{kind} ne 'webhook' && !$_->{attempts} } $d->outbox
    }), "$fault: tried");

    is(scalar($d->outbox('state=dead')), 0, "$fault: nothing is given up");
    $d->stop('mail');
}

my $waiting = 1 + 3 * @faults;
ok(poll_until(30, sub { $waiting == $d->outbox('state=queued&limit=1000') }),
   'all of them wait');
is($t->metrics->{doi_outbox_waiting}, $waiting, 'the metric says so');

# Refused for good

for my $fault (@final) {
    $d->smtpd('mail', '--fault', $fault);
    my $r = hold();
    is($r->status, 202, "$fault: held");

    # What waits from before may be tried just now, too.
    my @dead;
    poll_until(30, sub {
        @dead = grep { $_->{booking} eq $r->json->{reference} }
                $d->outbox('state=dead');
    });
    is_deeply([ map { $_->{attempts} } @dead ], [ 1 ],
              "$fault: given up at once")
        or diag(join "\n", map { $_->{error} } $d->outbox('limit=1000'));
    like($dead[0]{error}, qr/55[04]/, "$fault: as the server said");
    $d->stop('mail');
}

my @dead = $d->outbox('state=dead');
is($_->{kind}, 'confirm', 'the kind of a dead letter') for @dead;
unlike($_->{error}, qr/\@/, "no address: $_->{error}") for @dead;

# Mended

$d->smtpd('mail');
like($t->post("/api/outbox/$_->{id}/retry", json => {})->status,
     qr{^(?:200|404)$}, "retry, unless it is delivered meanwhile")
    for $d->outbox('limit=1000');


# One that was under way just then has failed after that.
ok(poll_until(60, sub {
    my @rows = $d->outbox('limit=1000') or return 1;
    $t->post("/api/outbox/$_->{id}/retry", json => {})
        for grep { $_->{attempts} } @rows;
    return;
}), 'all is delivered');
is_deeply([ $d->outbox ], [], 'the outbox is empty');

my %to;
$to{$_->{head}{'x-envelope-to'}}++ for $d->mails;
is_deeply(\%to, { map { ("v$_\@example.org" => 1) } 1 .. $n },
          'every mail, once');

is($t->post("/api/outbox/$dead[0]{id}/retry", json => {})->status, 404,
   'what is delivered cannot be retried');

like($t->error_log, qr/v\*\*\*\@e\*\*\*/, 'the log has masked addresses');
unlike($t->error_log, qr/v\d+\@example/, 'and no others');

done_testing();
