# The API of the outbox: what waits, what was given up, in pages; retry.

use lib 't/lib';
use Doi;
use Doi::Deliver;

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');
my $d = Doi::Deliver->new($t);

my $conf = <<'EOC';
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    doi_mail smtp://127.0.0.1:%%PORT:mail%% from=bookings@example.org timeout=5s;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_token;
    doi_limit recipient off;
    doi_limit address off;
    doi_limit network off;
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
        location /look/ { doi_api read; }
        location = /metrics { doi_metrics; }
    }
}
EOC

$t->conf($conf)->start;

is_deeply($t->get('/api/outbox')->json, { outbox => [], next => undef },
          'empty');

$d->smtpd('mail', '--fault', 'refuse-rcpt-5xx');
is($d->book(slot => "dead $_", email => "d$_\@example.org")->status, 202,
   'held') for 1 .. 7;
ok(poll_until(20, sub { $d->outbox('state=dead') == 7 }), 'seven given up');

$d->stop('mail');
is($d->book(slot => "late $_", email => "l$_\@example.org")->status, 202,
   'held') for 1 .. 3;
ok(poll_until(20, sub {
    3 == grep { $_->{attempts} == 1 } $d->outbox('state=queued');
}), 'three wait');

my ($row) = $d->outbox('state=dead');
is_deeply([ sort keys %$row ],
          [ qw(attempts booking created due error event id kind state target) ],
          'what is told of each');
is($row->{state}, 'dead', 'state');
is($row->{kind}, 'confirm', 'kind');
is($row->{event}, 'held', 'event');
is($row->{target}, undef, 'no target');
like($row->{id}, qr/^[A-Za-z0-9_-]{16}$/, 'id');
cmp_ok(abs($row->{created} - time), '<', 60, 'created');
is($t->get("/api/bookings/$row->{booking}")->json->{state}, 'held', 'booking');

# Pages

for ([ '', 10 ], [ 'state=dead&', 7 ], [ 'state=queued&', 3 ]) {
    my ($query, $n) = @$_;
    my (%seen, $cursor, $pages);

    do {
        my $r = $t->get("/api/outbox?${query}limit=2"
                        . ($cursor ? "&cursor=$cursor" : ''))->json;
        $seen{$_->{id}}++ for @{$r->{outbox}};
        $cursor = $r->{next};
    } while ($cursor && $pages++ < 20);

    is(scalar(keys %seen), $n, "$query all in pages");
    is_deeply([ grep { $_ > 1 } values %seen ], [], 'each once');
}

is($t->get("/api/outbox?$_")->status, 400, "$_: 400")
    for qw(state=used limit=0 cursor=AAAA cursor=*);

# Retry

my $uri = "outbox/$row->{id}/retry";
is($t->post("/look/$uri", json => {})->status, 403, 'not permitted: 403');
is($t->get("/api/$uri")->status, 405, 'GET: 405');
is($t->post("/api/$uri", json => { x => 1 })->status, 400,
   'unknown field: 400');
is($t->post('/api/outbox/AAAAAAAAAAAAAAAA/retry', json => {})->status, 404,
   'unknown: 404');
is($t->get("/api/outbox/$row->{id}")->status, 404, 'no such resource: 404');

$d->smtpd('mail');
my $r = $t->post("/api/$uri", json => {});
is($r->status, 200, 'retry');
is_deeply($r->json, { id => $row->{id}, state => 'queued' }, 'it is queued');

ok(poll_until(30, sub {
    grep { $_->{head}{'message-id'} eq "<$row->{id}.doi\@example.org>" }
         $d->mails;
}), 'delivered, under its id');
ok(poll_until(30, sub { $d->outbox('state=dead') == 6 }), 'six are left');
is($t->post("/api/$uri", json => {})->status, 404, 'it is gone');

# Outdated mail is not sent: the booking was cancelled

my (undef, $other) = $d->outbox('state=dead');
is($t->delete("/api/bookings/$other->{booking}")->status, 200, 'cancelled');
is($t->post("/api/outbox/$other->{id}/retry", json => {})->status, 200,
   'retry');
ok(poll_until(30, sub { $d->outbox('state=dead') == 5 }), 'it is done with');
is(scalar(grep { $_->{head}{'message-id'} =~ /\Q$other->{id}/ } $d->mails), 0,
   'but was not sent');

is($t->metrics->{doi_outbox_dead}, 5, 'the metric');

# The key that the link was sealed with is gone: no mail without a link

my ($last) = $d->outbox('state=dead');
$conf =~ s/doi_key 1 file:%%KEY%%/doi_key 2 file:%%KEY:other%%/;
$t->conf($conf);
my @old = $t->reload;
ok($t->wait_gone(30, @old), 'nobody has it any more');
is($t->post("/api/outbox/$last->{id}/retry", json => {})->status, 200,
   'retry');

my $now;
ok(poll_until(30, sub {
    ($now) = grep { $_->{id} eq $last->{id} && $_->{error} =~ /doi_key/ }
             $d->outbox('state=dead');
}), 'the link cannot be read: given up, and it says why');
is(scalar(grep { $_->{head}{'message-id'} =~ /\Q$last->{id}/ } $d->mails), 0,
   'it was not sent');

done_testing();
