# The API of bookings: list, show, resolve, send again, cancel; suppressed
# addresses.

use lib 't/lib';
use Doi;
use Doi::Deliver;

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');
my $d = Doi::Deliver->new($t);

$t->write_file('users', "olga:{PLAIN}secret\n");

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    doi_mail maildir:%%DIR%%/mail from=bookings@example.org;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_token;
    doi_owner name=Olga email=olga@example.com;
    doi_limit recipient off;
    doi_limit address off;
    doi_limit network off;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /book {
            doi_hold email=email slot=slot name=name scope=$arg_s
                     timezone=Europe/Berlin;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/confirm/(?<token>[^/]+)$ {
            doi_confirm $token;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read resolve; }
        location /named/ {
            auth_basic x;
            auth_basic_user_file %%DIR%%/users;
            doi_api read resolve;
        }
        location /look/ { doi_api read; }
    }
}
EOC

sub post { $t->post("/api/bookings/$_[0]", json => $_[1] // {}) }
sub show { $t->get("/api/bookings/$_[0]")->json }

# Holds a slot; returns its id and its mail.

sub held {
    my ($slot, %o) = @_;

    my $s = delete $o{s};

    is($d->book(uri => '/book' . ($s ? "?s=$s" : ''), slot => $slot, %o)
       ->status, 202, "held: $slot");

    my ($b) = grep { $_->{slot} eq $slot }
              @{$t->get('/api/bookings?limit=1000')->json->{bookings}};
    my $mail;

    # The id of a booking is part of its token.
    poll_until(30, sub {
        ($mail) = grep { index($d->link($_) // '', $b->{id}) > 0 } $d->mails;
    });

    return ($b->{id}, $mail);
}

my ($id, $mail) = held('2030-01-15 09:00');

my $b = show($id);
is($b->{state}, 'held', 'state');
is($b->{$_->[0]}, $_->[1], $_->[0])
    for [ id => $id ], [ scope => '' ], [ slot => '2030-01-15 09:00' ],
        [ start => 1894694400 ], [ email => 'ada@example.org' ],
        [ name => 'Ada' ], [ zone => 'Europe/Berlin' ], [ sends => 1 ],
        [ status => undef ], [ actor => '' ], [ reason => '' ];
cmp_ok(abs($b->{created} - time), '<', 60, 'created');
cmp_ok($b->{expires}, '>', time, 'expires');

my $json = $t->get("/api/bookings/$id")->body;
unlike($json, qr/confirm\/|token|code|url/i, 'no token, link or code');

is($t->get('/api/bookings/AAAAAAAAAAAAAAAA')->status, 404, 'unknown: 404');
is($t->get('/api/bookings/short')->status, 404, 'not an id: 404');
is($t->put("/api/bookings/$id")->status, 405, 'PUT: 405');
like($t->put("/api/bookings/$id")->header('Allow'), qr/GET, HEAD, DELETE/,
     'Allow');
is($t->delete("/look/bookings/$id")->status, 403, 'not permitted: 403');
is($t->get("/look/bookings/$id")->status, 200, 'reading is');

# Send again

is(post("$id/resend")->status, 200, 'resend');
my @mails = $d->wait_mails(2);
is(scalar(@mails), 2, 'the mail again');
is($d->link($mails[1]), $d->link($mails[0]), 'with the same link');
isnt($mails[1]{head}{'message-id'}, $mails[0]{head}{'message-id'},
     'but another Message-ID');
is(show($id)->{sends}, 2, 'counted');
is(post("$id/resend", { x => 1 })->status, 400, 'unknown field: 400');

# Nothing to resolve yet

my $r = post("$id/resolve", { outcome => 'used', reason => 'x' });
is($r->status, 409, 'not in doubt: 409');
is($r->json->{code}, 'state', 'code');

# In doubt, resolved

$up->mode('reset-read');
is($t->post($d->link($mail), form => { action => 'confirm' })->status, 409,
   'in doubt');
is(show($id)->{state}, 'in_doubt', 'state');

my ($doubt) = $d->wait_mails(1, to => 'olga');
ok($doubt, 'the owner is asked to look');

for (
    [ { outcome => 'maybe', reason => 'x' }, 'outcome' ],
    [ { outcome => 'used' }, 'reason' ],
    [ { outcome => 'used', reason => '' }, 'reason' ],
    [ { outcome => 'used', reason => 'x' x 513 }, 'reason' ],
    [ { outcome => 'used', reason => 'x', slot => 1 }, 'unknown' ],
) {
    my ($body, $what) = @$_;
    $r = post("$id/resolve", $body);
    is($r->status, 400, "$what: 400");
    like($r->json->{detail}, qr/$what/, $r->json->{detail});
}

$r = $t->post("/named/bookings/$id/resolve",
              json => { outcome => 'used', reason => 'saw it' },
              headers => { Authorization => 'Basic b2xnYTpzZWNyZXQ=' });
is($r->status, 200, 'resolved');
is($r->json->{state}, 'confirmed', 'confirmed');
is($r->json->{actor}, 'olga', 'actor');
is($r->json->{reason}, 'saw it', 'reason');

@mails = $d->wait_mails(2, to => 'olga');
is(scalar($d->wait_mails(3, to => 'ada')), 3, 'the visitor is told');
is(scalar(@mails), 2, 'the owner too');

is(post("$id/resend")->status, 200, 'the news may be sent again as well');
is(scalar($d->wait_mails(4, to => 'ada')), 4, 'again');

# Cancel

is($t->delete("/api/bookings/$id", json => { reason => 1 })->status, 400,
   'reason: text');
$r = $t->delete("/api/bookings/$id", json => { reason => 'ill' });
is($r->status, 200, 'cancelled');
is($r->json->{state}, 'cancelled', 'state');
is($r->json->{reason}, 'ill', 'reason');
is($t->delete("/api/bookings/$id", json => { reason => 'ill' })->status, 200,
   'again: 200');
is(post("$id/resend")->status, 409, 'nothing to be sent: 409');
is($t->delete('/api/bookings/AAAAAAAAAAAAAAAA')->status, 404, 'unknown: 404');

# Fresh again

$up->mode('ok');
my ($two, $mail2) = held('2030-01-16 09:00');
$up->mode('reset-read');
is($t->post($d->link($mail2), form => { action => 'confirm' })->status, 409,
   'in doubt');
$up->mode('ok');
is(post("$two/resolve", { outcome => 'fresh', reason => 'not there' })
   ->json->{state}, 'held', 'held again');
is($d->confirm($mail2)->status, 200, 'and can be confirmed');

# Lists

held("2030-02-0$_ 09:00", s => 'hair', email => "l$_\@example.org") for 1 .. 7;

my (@all, $cursor);
do {
    $r = $t->get('/api/bookings?scope=hair&limit=3'
                 . ($cursor ? "&cursor=$cursor" : ''))->json;
    cmp_ok(scalar(@{$r->{bookings}}), '<=', 3, 'at most three');
    push @all, map { $_->{slot} } @{$r->{bookings}};
    $cursor = $r->{next};
} while ($cursor && @all < 20);

is_deeply([ sort @all ], [ map { "2030-02-0$_ 09:00" } 1 .. 7 ],
          'each once, over the pages');

is_deeply([ map { $_->{id} } @{$t->get('/api/bookings?state=cancelled')
                               ->json->{bookings}} ], [ $id ], 'by state');
is_deeply([ map { $_->{id} } @{$t->get('/api/bookings?state=confirmed')
                               ->json->{bookings}} ], [ $two ], 'by state');
is_deeply($t->get('/api/bookings?state=expired')->json,
          { bookings => [], next => undef }, 'none');
is($t->get("/api/bookings?$_")->status, 400, "$_: 400")
    for qw(state=used limit=0 limit=1001 limit=x cursor=AAAA cursor=*);

# "It wasn't me": no more mail to that address, until an operator says so

my ($three, $mail3) = held('2030-03-01 09:00', email => 'bob@example.org');
is($t->get('/api/suppressions/bob@example.org')->status, 404, 'not suppressed');
is($t->post($d->link($mail3), form => { action => 'cancel' })->status, 200,
   'it was not me');
$r = $t->get('/api/suppressions/Bob%40EXAMPLE.org');
is($r->status, 200, 'suppressed');
is_deeply($r->json, { email => 'bob@example.org',
                      suppressed => JSON::PP::true() }, 'the address');

ok($d->idle, 'all mails are delivered');
my $n = () = $d->mails;
is($d->book(slot => '2030-03-02 09:00', email => 'bob@example.org')->status,
   202, 'a form with that address: the same answer');
ok($d->idle, 'no mail is left to be sent');
is(scalar(() = $d->mails), $n, 'and none was sent');

is($t->delete('/look/suppressions/bob@example.org')->status, 403, 'not permitted');
is($t->delete('/api/suppressions/bob@example.org')->status, 200, 'lifted');
is($t->get('/api/suppressions/bob@example.org')->status, 404, 'not suppressed');
is($d->book(slot => '2030-03-03 09:00', email => 'bob@example.org')->status,
   202, 'held');
is(scalar($d->wait_mails($n + 1)), $n + 1, 'with a mail');
is($t->get("/api/suppressions/$_")->status, 400, "$_: 400")
    for qw(bob a@b@example.org x@y);
is($t->get('/api/suppressions')->status, 404, 'no list of them');

unlike($t->error_log, qr/ada\@/, 'no address in the log');

done_testing();
