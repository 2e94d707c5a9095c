# doi_unsubscribe: RFC 8058 in one click, and a page for people; looking changes
# nothing.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url unsubscribe /u/$doi_token;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location ~ ^/u/(?<token>[^/]+)$ { doi_unsubscribe $token; }
        location ~ ^/list/(?<token>[^/]+)$ {
            doi_optout_scope list;
            doi_unsubscribe $token scope=x;
        }
        location /api/ { doi_api consent read; }
    }
}
EOC

ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');

my $n = 0;

# A contact with two lists, and the token of the first.

sub contact {
    my (%o) = @_;

    my $who = '/api/contacts/email:u' . ++$n . '@example.org';

    for my $list (qw(news sports)) {
        is($t->post("$who/events", json => { event => 'subscribe', list => $list,
                                             source => 'agent' })->status, 200,
           "$list");
    }

    my $r = $t->post("$who/unsubscribe", json => { list => 'news', %o });
    like($r->status, qr/^20[01]$/, 'minted') or diag($r->body);

    return ($who, $r->json->{token});
}

sub lists {
    my ($who) = @_;

    return join ' ', map { "$_->{list}=$_->{status}" }
                     sort { $a->{list} cmp $b->{list} }
                     @{$t->get($who)->json->{lists}};
}

my $in = 'news=single sports=single';
my $out = 'news=opted_out sports=opted_out';
my @one = (body => 'List-Unsubscribe=One-Click',
           type => 'application/x-www-form-urlencoded');

my ($who, $token) = contact();

for my $m (qw(GET HEAD OPTIONS)) {
    is($t->request($m, "/u/$token")->status, 200, "$m: 200");
}
like($t->get("/u/$token")->body, qr/Yes, unsubscribe me/, 'a button');
unlike($t->get("/u/$token")->body, qr/value="cancel"/, 'and no other');
is(lists($who), $in, 'looking changes nothing');

for my $bad ('', 'List-Unsubscribe=one-click', 'list-unsubscribe=One-Click',
             'List-Unsubscribe=One-Click&x=1', 'x=1',
             'List-Unsubscribe=One-Click&List-Unsubscribe=One-Click',
             'action=cancel')
{
    is($t->post("/u/$token", body => $bad, type => $one[3])->status, 422,
       "body \"$bad\": 422");
}
is($t->post("/u/$token", body => $one[1], type => 'text/plain')->status, 415,
   'plain text: 415');
is($t->post("/u/$token", body => 'x' x 5000, type => $one[3])->status, 413,
   'too large');
is($t->post("/u/$token", chunked => [ 'x' x 5000 ], type => $one[3])->status,
   413, 'too large, chunked');
is($t->post("/u/$token", type => 'multipart/form-data; boundary=b',
            body => "--b\r\nContent-Disposition: form-data; "
                    . 'name="List-Unsubscribe"; filename="a"'
                    . "\r\n\r\nOne-Click\r\n--b--\r\n")->status, 422,
   'a file of that name');
for my $m (qw(PUT DELETE PATCH)) {
    is($t->request($m, "/u/$token", @one)->status, 405, "$m: 405");
}
is(lists($who), $in, 'nothing of that changed anything');

# urlencoded

my $r = $t->post("/u/$token", @one,
                 headers => { Origin => 'https://mail.example' });
is($r->status, 200, 'one click: 200');
is($r->header('Set-Cookie'), undef, 'no cookie');
is($r->header('Location'), undef, 'no redirect');
is(lists($who), $out, 'the contact has opted out');
is($t->post("/u/$token", @one)->status, 200, 'once more');
like($t->get("/u/$token")->body, qr/You are unsubscribed/, 'and a look');

# multipart

($who, $token) = contact();
my $part = "--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\""
           . "\r\n\r\nOne-Click\r\n--b--\r\n";
$r = $t->post("/u/$token", body => $part,
              type => 'multipart/form-data; boundary=b');
is($r->status, 200, 'multipart: 200');
is(lists($who), $out, 'has opted out');

# the button

($who, $token) = contact();
is($t->post("/u/$token", form => { action => 'confirm' },
            headers => { Origin => 'https://evil.example' })->status, 403,
   'the button of another site');
is(lists($who), $in, 'changes nothing');
$r = $t->post("/u/$token", form => { action => 'confirm' },
              headers => { 'Accept-Language' => 'de' });
is($r->status, 200, 'the button');
like($r->body, qr/Sie sind abgemeldet/, 'the page');
is(lists($who), $out, 'has opted out');

# this list only

($who, $token) = contact(scope => 'x');
is($t->post("/u/$token", @one)->status, 403, 'another scope: 403');
is($t->post("/list/$token", @one)->status, 200, 'doi_optout_scope list');
is(lists($who), 'news=opted_out sports=single', 'the other list stays');

# tokens that are none of these

for my $p (qw(link confirm)) {
    my $other = $t->mint(purpose => $p, ttl => 1000);
    is($t->post("/u/$other", @one)->status, 403, "purpose $p: 403");
}
is($t->post('/u/' . $t->mint(purpose => 'unsubscribe', ttl => 1000), @one)
     ->status, 410, 'unknown: 410');
is($t->post('/u/' . $t->mint(purpose => 'unsubscribe', ttl => -10), @one)
     ->status, 410, 'expired: 410');

# erased meanwhile

($who, $token) = contact();
is($t->delete($who, headers => { 'X-Reason' => 'gdpr' },
              json => { reason => 'gdpr' })->status, 200, 'erased');
is($t->post("/u/$token", @one)->status, 410, 'its link is gone');

is($t->leaks, 0, 'no token in the error log');

done_testing();
