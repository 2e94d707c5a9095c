# doi_inbound json: our own plain form.

use lib 't/lib';
use Doi;
use Doi::Deliver;

use Digest::SHA qw(hmac_sha256_hex);

my $t = Doi->new(workers => 2);
my $d = Doi::Deliver->new($t);

$t->write_file('secret', "s3cret\n", 0600);
$d->httpd('gw');

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_gateway sms json http://127.0.0.1:%%PORT:gw%%/200 from=+15005550006
                secret_file=%%DIR%%/secret allow=private;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location = /in {
            doi_inbound json secret_file=%%DIR%%/secret country=49;
            doi_message confirmed "Moin, {{owner}}{{keyword}}";
        }
    }
}
EOC

my $n = 0;

sub message {
    my ($from, $text, %o) = @_;

    return { id => 'm' . ++$n, channel => 'sms', from => $from, to => '+4930123456',
             text => $text, %o };
}

sub deliver {
    my ($json, %o) = @_;

    my $body = ref $json ? JSON::PP->new->utf8->encode($json) : $json;

    return $t->post('/in', body => $body, type => 'application/json',
                    headers => { ($o{header} // 'X-Doi-Signature-256') =>
                                 'sha256=' . hmac_sha256_hex($body,
                                     $o{key} // 's3cret') });
}

poll_until(30, sub { deliver(message('0151 1000000', 'hello'))->status == 200 });

my $one = message('0151 2345678', 'START');
my $r = deliver($one);
is($r->status, 200, 'one message: 200');
is($r->json->{accepted}, 1, 'accepted');

my @sent;
poll_until(30, sub { @sent = $d->requests('gw') });
my $m = JSON::PP::decode_json($sent[0]{body});
like($sent[0]{body}, qr/Moin, YES/, 'doi_message');
like($sent[0]{body}, qr/\+491512345678/, 'to the contact');
like($sent[0]{body}, qr/\+4930123456/, 'from the number that was written to');

is(deliver($one)->status, 200, 'delivered again');
is(deliver({ messages => [ message('+491512345679', 'START'),
                           message('+491512345670', 'START'),
                           message('12', 'START') ] })->json->{skipped}, 1,
   'a list');
poll_until(30, sub { $d->requests('gw') >= 3 });
is(scalar($d->requests('gw')), 3, 'one answer each, none for what came twice');

is(deliver($one, key => 'x')->status, 403, 'another key: 403');
is(deliver($one, header => 'X-Hub-Signature-256')->status, 403,
   'another header: 403');
is($t->post('/in', json => $one)->status, 403, 'none: 403');
is($t->get('/in')->status, 405, 'GET: 405');
is(deliver('{')->status, 400, 'broken: 400');
is(deliver({ id => 'x' })->status, 400, 'incomplete: 400');
is(deliver(message('+491512345678', 'x', channel => 'fax'))->status, 400,
   'another channel: 400');
is(deliver({ messages => [ map { message('+491512345678', 'x') } 1 .. 257 ] })
     ->status, 400, 'too many: 400');

done_testing();
