# Whoever has been asked to confirm and writes something else gets a reminder,
# not before twelve hours are over, and three times at most.

use lib 't/lib';
use Doi;

use Digest::SHA qw(hmac_sha1);
use MIME::Base64 qw(encode_base64);

plan(skip_all => 'no faketime with the sanitizers') if $ENV{DOI_ASAN};

my $t = Doi->new(workers => 2, faketime => 1);

$t->write_file('secret', "s3cret\n", 0600);

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    doi_base_url https://sms.example.org;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location = /in {
            doi_inbound twilio secret_file=%%DIR%%/secret level=double;
            doi_message reminder "Still waiting for {{keyword}}";
        }
        location /api/ { doi_api consent; }
    }
}
EOC

ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');

my $n = 0;

sub said {
    my ($text) = @_;

    my %f = (From => '+491512345678', To => '+15005550006', Body => $text,
             MessageSid => 'SM' . ++$n);
    my $r = $t->post('/in', form => \%f, headers => {
        'X-Twilio-Signature' => encode_base64(hmac_sha1(
            join('', 'https://sms.example.org/in',
                 map { $_ . $f{$_} } sort keys %f), 's3cret'), '') });

    return $r->status != 200 ? $r->status
           : $r->body =~ /<Message>(.*?)</ ? $1 : '';
}


my $hour = 3600;
my $reminder = 'Still waiting for YES';

like(said('START'), qr/reply YES/, 'the prompt');
is(said('what is that'), '', 'no reminder at once');

my $at = 0;

for my $i (1 .. 3) {
    $at += 11 * $hour;
    $t->faketime($at);
    is(said("after eleven hours, $i"), '', 'not after eleven hours');
    $at += 2 * $hour;
    $t->faketime($at);
    is(said("after thirteen hours, $i"), $reminder, "reminder $i");
    is(said("and now, $i"), '', 'one is enough');
}

$t->faketime($at + 24 * $hour);
is(said('later'), '', 'no fourth one');
like(said('yes'), qr/you are subscribed/, 'YES counts all the same');
$t->faketime($at + 48 * $hour);
is(said('thank you'), '', 'no reminder after that');

my $e = $t->get('/api/contacts/sms:+491512345678/evidence')->json->{entries};
is(join(' ', map { $_->{reply} // '-' } @$e),
   'prompt reminder reminder reminder confirmed', 'all in the ledger');

done_testing();
