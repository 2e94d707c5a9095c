# Replies to one contact go out in the order in which they were made, also when
# the first one has to be tried again; nobody else waits for them.

use lib 't/lib';
use Doi;
use Doi::Deliver;

use Digest::SHA qw(hmac_sha256_hex);

my $t = Doi->new(workers => 2);
my $d = Doi::Deliver->new($t);

$t->write_file('secret', "s3cret\n", 0600);
$d->httpd('gw');

my $conf = <<'EOC';
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_gateway sms json http://127.0.0.1:%%PORT:gw%%/SMS from=+15005550006
                secret_file=%%DIR%%/secret allow=private;
    doi_gateway whatsapp json http://127.0.0.1:%%PORT:gw%%/200
                from=+15005550006 secret_file=%%DIR%%/secret allow=private;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location = /in {
            doi_inbound json secret_file=%%DIR%%/secret level=double;
            doi_message help "help $arg_n";
            doi_message prompt "prompt {{keyword}}";
        }
        location /api/ { doi_api read; }
        location = /metrics { doi_metrics; }
    }
}
EOC

sub conf {
    my ($sms) = @_;

    return $t->conf($conf =~ s/SMS/$sms/r);
}

my $n = 0;

sub say_it {
    my ($from, $text, $arg, $channel) = @_;

    my $body = JSON::PP->new->utf8->encode(
        { id => 'm' . ++$n, channel => $channel // 'sms', from => $from,
          to => '', text => $text });

    return $t->post('/in?n=' . ($arg // 0), body => $body,
                    type => 'application/json', headers => {
        'X-Doi-Signature-256' => 'sha256=' . hmac_sha256_hex($body, 's3cret')
    })->status;
}

# What has arrived for a contact, at that path

sub got {
    my ($to, $path) = @_;

    return map { JSON::PP::decode_json($_->{body})->{text} }
           grep { $_->{path} eq "/$path" && $_->{body} =~ /"to":\s*"\Q$to"/ }
           $d->requests('gw');
}

conf(200)->start;
ok(poll_until(30, sub { say_it('+491510000000', 'hm') == 200 }), 'ready');


# All within a moment

my @who = map { "+49151234567$_" } 10 .. 13;

for my $i (1 .. 8) {
    is(say_it($_, 'HELP', $i), 200, "HELP $i") for @who;
}

ok($d->idle(60), 'all are answered');
is_deeply([ got($_, 200) ], [ map { "help $_" } 1 .. 8 ], "$_: in order")
    for @who;


# A gateway that is down: what is made later waits, and does not come first

my $ada = '+491512345678';

conf(503);
ok($t->reload, 'the gateway is down');
is(say_it($ada, 'START'), 200, 'START');
ok(poll_until(30, sub { got($ada, 503) }), 'the prompt is tried');

is(say_it($ada, 'HELP', $_), 200, "HELP $_") for 1, 2;
ok(poll_until(30, sub { got($ada, 503) >= 2 }),
   'whoever writes is there: the prompt is tried at once');
is(say_it($ada, 'HELP', 3, 'whatsapp'), 200, 'HELP by WhatsApp');
ok(poll_until(30, sub { got($ada, 200) }), 'is answered');

my @rows;
ok(poll_until(30, sub {
    @rows = $d->outbox('state=queued');
    @rows == 3 && 1 == grep { $_->{attempts} } @rows;
}), 'three wait, one was tried') or diag(explain(\@rows));
is_deeply([ grep { $_ ne 'prompt YES' } got($ada, 503) ], [],
          'nothing came before it');

conf(200);
ok($t->reload, 'the gateway is back');
is(say_it($ada, 'HELP', 4), 200, 'HELP 4');
ok($d->idle(60), 'all are answered');
is_deeply([ got($ada, 200) ],
          [ 'help 3', 'prompt YES', 'help 1', 'help 2', 'help 4' ],
          'in order');


# One that is given up keeps nobody waiting

conf(400);
ok($t->reload, 'the gateway refuses');
is(say_it($ada, 'HELP', 5), 200, 'HELP 5');
ok(poll_until(30, sub { $d->outbox('state=dead') == 1 }), 'given up');
conf(200);
ok($t->reload, 'no more');
is(say_it($ada, 'HELP', 6), 200, 'HELP 6');
ok($d->idle(60), 'is answered');
is((got($ada, 200))[-1], 'help 6', 'after all');


# Those that were made are counted

my $m = $t->metrics;
is($m->{'doi_deliveries_total{kind="message",result="queued"}'}, 32 + 5 + 2,
   'queued');
is($m->{'doi_deliveries_total{kind="message",result="sent"}'}, 32 + 5 + 1,
   'sent');
is($m->{'doi_deliveries_total{kind="message",result="dead"}'}, 1, 'dead');

done_testing();
