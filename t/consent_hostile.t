# What strangers write does not spoil the evidence, lose an opt-out, or stay in
# a log after an erasure.

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
    large_client_header_buffers 4 16k;
    doi_mail maildir:%%DIR%%/mail from=news@example.org;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /api/ { doi_api consent read; }
        location = /form {
            doi_limit network off;
            doi_limit recipient off;
            doi_limit address off;
            doi_subscribe channel=email address=email person=id list=$arg_l;
        }
        location = /worded {
            doi_limit network off;
            doi_subscribe channel=email address=email wording=$http_x_w;
        }
        location = /in { doi_inbound json secret_file=%%DIR%%/secret list=$arg_l; }
    }
}
EOC

ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');

sub event {
    my ($contact, %fields) = @_;

    my $r = $t->post("/api/contacts/$contact/events",
                     json => { event => 'subscribe', source => 'agent', %fields });
    is($r->status, 200, "event of $contact") or diag($r->body);
}

my $n = 0;

sub write_in {
    my ($from, $text, %o) = @_;

    my $list = delete $o{list} // 'default';
    my $body = encode_json({ id => 'm' . ++$n, channel => 'sms', from => $from,
                             to => '+493012345', text => $text, %o });

    is($t->post("/in?l=$list", body => $body, type => 'application/json',
                headers => { 'X-Doi-Signature-256' =>
                             'sha256=' . hmac_sha256_hex($body, 's3cret') })
       ->status, 200, "$text of $from");
}

sub statuses {
    my ($contact) = @_;

    my %seen = map { $_->{status} => 1 }
               @{$t->get("/api/contacts/$contact")->json->{lists}};

    return join ' ', sort keys %seen;
}

# Bytes that are not UTF-8

is($t->post('/form?l=news', form => { email => 'a@example.org' },
            headers => { 'User-Agent' => "A\xff\xc3" })->status, 200, 'form');
my $r = $t->get('/api/contacts/email:a@example.org/evidence');
is($r->status, 200, 'evidence in spite of its User-Agent');
is($r->json->{entries}[0]{agent}, 'A??', '... which is there')
    if $r->status == 200;
is($t->post("/form?l=n\xffws", form => { email => 'a@example.org' })->status,
   200, 'form for a list with a strange name');
is($t->get('/api/contacts/email:a@example.org')->status, 200, 'its contact');

# A wording is kept as a whole or not at all

is($t->post('/worded', form => { email => 'w@example.org' },
            headers => { 'X-W' => 'w' x 8192 })->status, 200, 'a long wording');
is(length $t->get('/api/contacts/email:w@example.org/evidence')
   ->json->{entries}[0]{wording}, 8192, 'all of it is kept');
cmp_ok($t->post('/worded', form => { email => 'x@example.org' },
                headers => { 'X-W' => 'w' x 8193 })->status, '>=', 500,
       'a longer one');
is($t->get('/api/contacts/email:x@example.org')->status, 404,
   'subscribes nobody');
ok($t->grep_log(qr/a wording has 8193 bytes/), 'the log says why');

# A form that names a person

event("email:$_\@example.org", person => '42') for qw(b c);
is($t->post('/form?l=default', form => { email => 'c@example.org', id => '666' })
   ->status, 200, 'a form of a stranger');
is($t->get('/api/contacts/email:c@example.org')->json->{person}, '42',
   'does not move the contact');
event('email:b@example.org', event => 'stop');
is(statuses('email:c@example.org'), 'opted_out', 'an opt-out reaches it');

# More lists than a contact can have

event('sms:+4915112340000', list => "l$_") for 1 .. 32;
write_in('+4915112340000', 'STOP', list => 'other');
is(statuses('sms:+4915112340000'), 'opted_out', 'STOP at the 33rd list');

# Long ids

my $id = 'x' x 200;
write_in('+4915112340001', 'START', id => "${id}1");
write_in('+4915112340001', 'STOP', id => "${id}2");
is(statuses('sms:+4915112340001'), 'opted_out', 'ids that end differently');
write_in('+4915112340001', 'START', id => "${id}1");
is(statuses('sms:+4915112340001'), 'opted_out', 'delivered again');

# Erased

is($t->delete('/api/contacts/email:b@example.org', json => { reason => 'asked' })
   ->status, 200, 'erased');
is(scalar(grep { /erased/ && /b\@example/ } $t->grep_log(qr/doi: /)), 0,
   'no address in the log');
ok($t->grep_log(qr/a contact was erased/), 'but that somebody was');
ok($t->get('/api/ledger/verify')->json->{intact}, 'the ledger is whole');

done_testing();
