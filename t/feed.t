# doi_feed: the appointments of a scope for calendars that subscribe.

use lib 't/lib';
use Doi;
use Doi::Deliver;

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');
my $d = Doi::Deliver->new($t);

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=64m;
    doi_key 1 file:%%KEY%%;
    doi_mail maildir:%%DIR%%/mail from=bookings@example.org;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_token;
    doi_limit recipient off;
    doi_limit address off;
    doi_limit network off;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /book {
            doi_hold email=email slot=slot name=name scope=$arg_s
                     duration=30m;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/confirm/(?<token>[^/]+)$ {
            doi_confirm $token scope=hair;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read resolve; }
        location ~ ^/feed/(?<scope>\w+)\.ics$ { doi_feed scope=$scope; }
    }
}
EOC

sub feed {
    my $r = $t->get("/feed/$_[0].ics");
    (my $text = $r->body) =~ s/\r\n /\r\n/g;

    return $text;
}

sub events { map { { /^([A-Z-]+)[^:\r]*:(.*?)\r$/mg } }
             $_[0] =~ /BEGIN:VEVENT\r\n(.*?)END:VEVENT\r\n/sg }

my $r = $t->get('/feed/hair.ics');
is($r->status, 200, 'an empty feed');
is($r->header('Content-Type'), 'text/calendar; charset=utf-8', 'content type');
is($r->header('Cache-Control'), 'private, max-age=300', 'Cache-Control');
like($r->body, qr/^BEGIN:VCALENDAR\r\n.*END:VCALENDAR\r\n\z/s, 'an object');
is(scalar(events($r->body)), 0, 'without appointments');

is($d->book(uri => '/book?s=hair', slot => '2030-01-15 09:00')->status, 202,
   'held');
is($d->book(uri => '/book?s=hair', slot => '2030-01-15 10:00')->status, 202,
   'held');
is($d->book(uri => '/book?s=nails', slot => '2030-01-15 11:00')->status, 202,
   'held elsewhere');
is($d->book(uri => '/book?s=hair', slot => 'room 5')->status, 202,
   'held, at no time');

my %id = map { $_->{slot} => $_->{id} }
         @{$t->get('/api/bookings')->json->{bookings}};

my @e = events(feed('hair'));
is(scalar(@e), 2, 'two appointments');
is_deeply([ map { $_->{DTSTART} } @e ],
          [ qw(20300115T090000Z 20300115T100000Z) ], 'in their order');
is($_->{STATUS}, 'TENTATIVE', 'tentative') for @e;
is($e[0]{UID}, $id{'2030-01-15 09:00'} . '@example.org', 'UID');
like($e[0]{SUMMARY}, qr/Ada/, 'SUMMARY says who');
unlike(feed('hair'), qr/confirm|METHOD/, 'no link, no METHOD');

my ($mail) = grep { index($d->link($_), $id{'2030-01-15 09:00'}) > 0 }
             $d->wait_mails(4);
is($d->confirm($mail)->status, 200, 'confirmed');
is($t->delete('/api/bookings/' . $id{'2030-01-15 10:00'})->status, 200,
   'cancelled');

poll_until(30, sub {
    @e = events(feed('hair'));
    @e == 1 && $e[0]{STATUS} eq 'CONFIRMED';
});
is(scalar(@e), 1, 'one is left');
is($e[0]{STATUS}, 'CONFIRMED', 'confirmed');
is(scalar(events(feed('nails'))), 1, 'the other scope has its own');
is(scalar(events(feed('none'))), 0, 'another has none');

# Methods

$r = $t->head('/feed/hair.ics');
is($r->status, 200, 'HEAD');
is($r->body, '', 'without a body');
is($r->header('Content-Length'), length $t->get('/feed/hair.ics')->body,
   'the same length');
is($t->post('/feed/hair.ics', body => 'x')->status, 405, 'POST: 405');
is($t->delete('/feed/hair.ics')->status, 405, 'DELETE: 405');

# More than is made in one go

my @slots = map { sprintf '2031-%02d-%02d %02d:00', 1 + $_ % 12,
                          1 + int($_ / 12) % 28, 8 + int($_ / 336) }
            0 .. 399;

$t->many(scalar @slots, sub {
    return [ POST => '/book?s=many',
             form => { email => "v$_[0]\@example.org", name => "N $_[0]",
                       slot => $slots[$_[0]] } ];
});

@e = events(feed('many'));
is(scalar(@e), 400, '400 appointments');
is_deeply([ map { $_->{DTSTART} } @e ], [ sort map { $_->{DTSTART} } @e ],
          'in their order');

my %uid = map { $_->{UID} => 1 } @e;
is(scalar(keys %uid), 400, 'each once');

my $text = feed('many');
is(scalar(() = $text =~ /^BEGIN:VCALENDAR/mg), 1, 'one object');
is(scalar(() = $text =~ /^END:VCALENDAR/mg), 1, 'with one end');
like($text, qr/END:VCALENDAR\r\n\z/, 'at the end');

my @r = $t->many(20, [ GET => '/feed/many.ics' ]);
is_deeply($t->statuses(@r), { 200 => 20 }, 'twenty at the same time');
is(scalar(grep { events($_->body) == 400 } @r), 20, 'all of them whole');

# A client that hangs up in the middle

for (1 .. 10) {
    my $s = $t->open_raw("GET /feed/many.ics HTTP/1.1\r\nHost: x\r\n\r\n");
    select undef, undef, undef, 0.002 * $_;
    Doi::HTTP::reset_socket($s);
}

is(scalar(events(feed('many'))), 400, 'harms nobody');

# No store

rename $t->dir . '/store/data.mdb', $t->dir . '/store/gone';
my $status;
poll_until(30, sub { ($status = $t->get('/feed/hair.ics')->status) == 503 });
is($status, 503, 'the store is gone: 503');

done_testing();
