# Replies by a gateway: what it says counts; a contact that opted out there has
# opted out here; what is no longer true is not sent.

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
    GATEWAYS
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location = /in { doi_inbound json secret_file=%%DIR%%/secret; }
        location /api/ { doi_api read resolve; }
        location = /metrics { doi_metrics; }
    }
}
EOC

sub conf {
    my ($sms, $wa) = @_;

    my $text = "doi_gateway sms twilio http://127.0.0.1:%%PORT:gw%%/$sms "
               . 'user=AC1 from=+15005550006 secret_file=%%DIR%%/secret '
               . "allow=private;\n";
    $text .= "doi_gateway whatsapp json http://127.0.0.1:%%PORT:gw%%/$wa "
             . 'secret_file=%%DIR%%/secret allow=private;' if $wa;
    (my $all = $conf) =~ s/GATEWAYS/$text/;

    return $t->conf($all);
}

my $n = 0;

sub say_it {
    my ($channel, $from, $text) = @_;

    my $body = JSON::PP->new->utf8->encode(
        { id => 'm' . ++$n, channel => $channel, from => $from, to => '',
          text => $text });

    return $t->post('/in', body => $body, type => 'application/json',
                    headers => { 'X-Doi-Signature-256' =>
                                 'sha256=' . hmac_sha256_hex($body, 's3cret') });
}

sub got {
    my ($path, $n) = @_;

    my @got;
    poll_until(30, sub {
        @got = grep { $_->{path} =~ m{^/$path} } $d->requests('gw');
        @got >= $n;
    });

    return @got;
}

conf('201', '503')->start;

poll_until(30, sub { say_it('sms', '+491510000000', 'x')->status == 200 });

# Twilio's API

is(say_it('sms', '+491512345678', 'START')->status, 200, 'START');
my ($r) = got('201', 1);
is($r->{method}, 'POST', 'POST');
my %h = map { lc $_ => $r->{headers}{$_} } keys %{$r->{headers}};
is($h{'content-type'}, 'application/x-www-form-urlencoded', 'a form');
like($h{authorization}, qr/^Basic /, 'with a password');
like($r->{body}, qr/To=%2B491512345678/, 'to');
like($r->{body}, qr/From=%2B15005550006/, 'from');
like($r->{body}, qr/Body=[^&]*subscribed/, 'text');

# A gateway that is down for now: no answer is lost

is(say_it('whatsapp', '+491512345678', 'START')->status, 200, 'WhatsApp');
got('503', 1);
ok(poll_until(30, sub { $t->grep_log(qr/\(message\) of contact \S+ to be tried/) }),
   'to be tried again');
is(scalar($t->grep_log(qr/\+491512345678/)), 0, 'no number in the log');

# Opted out with the provider: an event, and no more tries

conf('400-json')->reload;
is(say_it('sms', '+491512345670', 'START')->status, 200, 'START');
got('400-json', 1);
ok(poll_until(30, sub { $t->grep_log(qr/\(message\) of contact \S+ given up/) }),
   'given up');

# The opt-out is on its way when that is in the log.

my $revoked = 'doi_consent_events_total{event="revoke",source="provider"}';
ok(poll_until(30, sub { $t->metrics->{$revoked} == 1 }), 'and opted out');
my $before = () = got('400-json', 1);
is(say_it('sms', '+491512345670', 'STOP')->status, 200, 'STOP');
is(say_it('sms', '+491512345671', 'HELP')->status, 200, 'another');
got('400-json', $before + 1);
is(scalar(grep { $_->{body} =~ /2345670/ } got('400-json', 1)), 1,
   'it had opted out already: STOP is not acknowledged');

done_testing();
