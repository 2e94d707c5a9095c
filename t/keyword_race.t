# Parallel STOP and YES of one contact, over several workers, end in one legal
# state: opted out, if the last word of the ledger is STOP; and whoever stopped
# is not opted in by a YES that was under way.

use lib 't/lib';
use Doi;

use Digest::SHA qw(hmac_sha1);
use MIME::Base64 qw(encode_base64);

my $t = Doi->new(workers => 4);

$t->write_file('secret', "s3cret\n", 0600);

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_base_url https://sms.example.org;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location = /in {
            doi_inbound twilio secret_file=%%DIR%%/secret level=double;
        }
        location /api/ { doi_api read consent; }
    }
}
EOC

my $n = 0;

sub bytes {
    my ($from, $text, $id) = @_;

    my $form = { From => $from, To => '+15005550006', Body => $text,
                 MessageSid => $id // 'SM' . ++$n };
    my $text_ = join '', 'https://sms.example.org/in',
                map { $_ . $form->{$_} } sort keys %$form;

    return $t->bytes(POST => '/in', form => $form, headers => {
        'X-Twilio-Signature' => encode_base64(hmac_sha1($text_, 's3cret'), '')
    });
}

sub say_it {
    my $r = $t->http_raw(bytes(@_));
    return $r->status == 200 ? $r->body =~ /<Message>(.*)</ ? $1 : ''
                             : $r->status;
}

poll_until(30, sub { say_it('+491510000000', 'x') eq '' });

for my $round (1 .. 3) {
    my $who = "+4915123456$round$round";

    like(say_it($who, 'START'), qr/reply YES/, "round $round: pending");

    my @r = $t->many(50, sub {
        bytes($who, $_[0] % 2 ? 'STOP' : 'YES', "R$round.$_[0]");
    });

    is_deeply($t->statuses(@r), { 200 => 50 }, 'all are taken');

    my $stopped = grep { $_->body =~ /You are unsubscribed/ } @r;
    my $confirmed = grep { $_->body =~ /you are subscribed/ } @r;

    is($stopped, 1, 'one acknowledgement of STOP');
    cmp_ok($confirmed, '<=', 25, 'confirmations before it');

    is(say_it($who, 'YES'), '', 'YES means nothing afterwards');
    is(say_it($who, 'STOP'), '', 'it has opted out');

    @r = $t->many(20, sub { bytes($who, 'STOP', "R$round." . $_[0] % 2) });
    is_deeply($t->statuses(@r), { 200 => 20 }, 'delivered again');
    is(scalar(grep { $_->body =~ /<Message>/ } @r), 0, 'no answer to that');

    my @lists = @{$t->get("/api/contacts/sms:$who")->json->{lists}};
    is(join(' ', map { "$_->{list}=$_->{status}" } @lists),
       'default=opted_out', 'one state');
}

my $verify = $t->get('/api/ledger/verify');
is($verify->status, 200, 'the ledger is verified');
is($verify->json->{problems}, 0, 'the chain is whole') or diag($verify->body);
cmp_ok($verify->json->{entries}, '>=', 6, 'and was looked at');

done_testing();
