# What the ledger says of a change, by the source that it came from.

use lib 't/lib';
use Doi;

use Digest::SHA qw(hmac_sha256_hex);
use JSON::PP;

my $t = Doi->new(workers => 2);

$t->write_file('secret', "s3cret\n", 0600);
$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /c/$doi_token;
    doi_mail maildir:%%DIR%%/mail from=news@example.org;
    doi_gateway sms json http://127.0.0.1:%%PORT:nobody%%/
                secret_file=%%DIR%%/secret allow=private;
    set_real_ip_from 127.0.0.1;
    real_ip_header X-Real-IP;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /api/ { doi_api consent read override; }
        location = /in {
            doi_inbound json secret_file=%%DIR%%/secret level=double list=news;
        }
        location = /double {
            doi_subscribe channel=email address=email list=news level=double
                          person=id;
        }
        location = /single {
            doi_evidence client=hash;
            doi_subscribe channel=email address=email list=news
                          "wording=I agree to $host";
        }
    }
}
EOC

ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');

my @boss = ('Authorization' => 'Basic Ym9zczp4',
            'X-Real-IP' => '2001:db8:aaaa:bbbb::1');

sub write_in {
    my $body = encode_json({ channel => 'sms', to => '+4930123', @_ });

    is($t->post('/in', body => $body, type => 'application/json', headers =>
                { 'X-Doi-Signature-256' =>
                  'sha256=' . hmac_sha256_hex($body, 's3cret') })->status, 200,
       'written');
}

sub event {
    my ($contact, %fields) = @_;

    is($t->post("/api/contacts/$contact/events", json => \%fields,
                headers => { @boss })->status, 200, "$fields{event}");
}

# The last entry has this, and time, seq and MAC.

sub entry {
    my ($contact, %wanted) = @_;

    my $e = $t->get("/api/contacts/$contact/evidence")->json->{entries}[-1];

    ok($e->{time} && $e->{seq} && length $e->{mac} == 64, "$contact: an entry");
    is_deeply({ map { $_ => $e->{$_} } keys %wanted }, \%wanted,
              '... as it was') or diag(explain($e));

    return $e;
}

my @web = (headers => { 'User-Agent' => 'UA/1', 'Accept-Language' => 'de',
                        'X-Real-IP' => '203.0.113.99' });

is($t->post('/double', form => { email => 'd@example.org', id => 'p1' }, @web)
   ->status, 202, 'a form');
my $e = entry('email:d@example.org', source => 'web', event => 'subscribe',
              from => 'none', to => 'pending', list => 'news', lang => 'de',
              agent => 'UA/1', client => '203.0.113.0/24', person => 'p1',
              reply => 'prompt');
like($e->{wording}, qr/^Bitte best.*tigen Sie/, 'the wording of the mail');
unlike($e->{wording}, qr{/c/}, '... without its link');

$t->post('/single', form => { email => 's@example.org' }, @web);
$e = entry('email:s@example.org', source => 'web', to => 'single',
           wording => 'I agree to 127.0.0.1');
like($e->{client}, qr/^[0-9a-f]{32}$/, 'a hash of the address');

write_in(id => 'm1', from => '+4915112340009', text => 'Start');
entry('sms:+4915112340009', source => 'keyword', event => 'subscribe',
      from => 'none', to => 'pending', message_id => 'm1', text => 'Start',
      sender => '+4930123', lang => 'en', wording => 'Please reply YES to '
      . 'confirm that you want messages from us. Reply STOP at any time to '
      . 'unsubscribe.');
write_in(id => 'm2', from => '+4915112340009', text => 'yes');
entry('sms:+4915112340009', event => 'confirm', from => 'pending',
      to => 'double', message_id => 'm2', text => 'yes', lang => 'en',
      wording => $t->get('/api/contacts/sms:+4915112340009/evidence')
                 ->json->{entries}[0]{wording});

event('sms:+4915112340010', event => 'subscribe', source => 'agent',
      list => 'news', lang => 'de', reason => 'called', wording => 'May we?');
entry('sms:+4915112340010', source => 'agent', to => 'single', actor => 'boss',
      reason => 'called', wording => 'May we?', lang => 'de',
      client => '2001:db8:aaaa::/48');
write_in(id => 'm3', from => '+4915112340010', text => 'stop');
entry('sms:+4915112340010', source => 'keyword', to => 'opted_out',
      lang => 'de');

for my $source (qw(ivr api)) {
    event("email:$source\@example.org", event => 'subscribe',
          source => $source);
    entry("email:$source\@example.org", source => $source, to => 'single',
          actor => 'boss', client => '2001:db8:aaaa::/48');
}

event('email:o@example.org', event => 'override', reason => 'by letter');
entry('email:o@example.org', event => 'override', actor => 'boss',
      reason => 'by letter', to => 'single');

is($t->post('/api/contacts/import', body => "email,status,date,reason,wording\n"
            . "i\@example.org,double,2020-01-02,a list,\"Old\r\nwords\"\n",
            headers => { 'Content-Type' => 'text/csv', @boss })->status, 200,
   'import');
entry('email:i@example.org', source => 'import', event => 'imported',
      from => 'none', to => 'double', given => 1577923200, actor => 'boss',
      reason => 'a list', wording => "Old\r\nwords");

# One who cannot make up his mind

for my $post (1 .. 20) {
    my $body = encode_json({ messages => [ map { {
        id => "n$post-$_", channel => 'sms', from => '+4915112340011',
        text => $_ % 2 ? 'START' : 'STOP' } } 1 .. 252 ] });

    my $r = $t->post('/in', body => $body, type => 'application/json',
                     headers => { 'X-Doi-Signature-256' => 'sha256='
                                  . hmac_sha256_hex($body, 's3cret') });
    is($r->status, 200, "252 messages, $post") or last;
}

my $all = $t->get('/api/contacts/sms:+4915112340011/evidence')->json;
is($all->{head_seq}, 5040, 'that many entries');
is(scalar @{$all->{entries}}, 5000, 'the first 5000 are shown');
ok($all->{truncated}, '... and that there are more');
ok(!$t->get('/api/contacts/email:i@example.org/evidence')->json->{truncated},
   'not elsewhere');

ok($t->get('/api/ledger/verify')->json->{intact}, 'the ledger is whole');

done_testing();
