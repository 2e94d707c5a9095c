# Mails: the link to confirm, then the news to both parties, with an
# appointment that their calendars can take.

use lib 't/lib';
use Doi;
use Doi::Deliver;

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');
my $d = Doi::Deliver->new($t);

$d->smtpd('mail');

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    doi_mail smtp://127.0.0.1:%%PORT:mail%%
             "from=Bücher & Co <bookings@example.org>" helo=nginx.example.org;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_token;
    doi_owner name=Olga email=olga@example.com;
    doi_limit recipient off;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /book {
            doi_hold email=email slot=slot name=name lang=lang
                     summary=Haircut timezone=Europe/Berlin duration=30m;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/confirm/(?<token>[^/]+)$ {
            doi_confirm $token;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read resolve; }
        location = /metrics { doi_metrics; }
    }
}
EOC

is($d->book(slot => '2030-01-15 09:00')->status, 202, 'held');

my ($mail) = $d->wait_mails(1);
ok($mail, 'a mail') or BAIL_OUT('no mail');

is($mail->{head}{'x-envelope-to'}, 'ada@example.org', 'to the visitor');
is($mail->{head}{'x-envelope-from'}, 'bookings@example.org', 'from us');
like($mail->{head}{from}, qr/<bookings\@example\.org>$/, 'From');
like($mail->{head}{from}, qr/^=\?utf-8\?/i, 'with its name encoded');
is($mail->{head}{to}, 'ada@example.org', 'To, without the name that was typed');
like($mail->{head}{'reply-to'}, qr/olga\@example\.com/, 'Reply-To: the owner');
like($mail->{head}{'auto-submitted'}, qr/auto-generated/, 'Auto-Submitted');

my $row = $mail->{head}{'message-id'};
like($row, qr/^<[A-Za-z0-9_-]{16}\.doi\@example\.org>$/, 'Message-ID');
ok(!$mail->{body}{'text/calendar'}, 'no appointment before it is confirmed');
ok($mail->{body}{'text/html'}, 'there is HTML as well');

my $booking = $d->booking;
is($booking->{state}, 'held', 'the API shows it held');
is($booking->{email}, 'ada@example.org', 'with its address');
is($booking->{start}, 1894694400, '09:00 in Berlin in winter is 08:00 UTC');
is($booking->{duration}, 1800, 'half an hour');

ok(my $link = $d->link($mail), 'a link');
is($d->confirm($mail)->status, 200, 'confirmed');

my ($booked) = $d->wait_mails(1, to => 'ada', subject => qr/./)
    && (grep { $_->{body}{'text/calendar'} }
        do { my @m; poll_until(30, sub { (@m = $d->mails(to => 'ada')) >= 2 });
             @m });

ok($booked, 'a mail to the visitor, with an appointment');

my $ics = $booked->{body}{'text/calendar'};
like($ics, qr/^METHOD:REQUEST$/m, 'METHOD');
like($ics, qr/^UID:$booking->{id}\@example\.org$/m, 'UID');
like($ics, qr/^DTSTART:20300115T080000Z$/m, 'DTSTART');
like($ics, qr/^DTEND:20300115T083000Z$|^DURATION:PT30M$/m, 'its end');
like($ics, qr/^STATUS:CONFIRMED$/m, 'STATUS');
like($ics, qr/^SUMMARY:Haircut$/m, 'SUMMARY');
like($ics, qr/^ORGANIZER.*olga\@example\.com$/mi, 'ORGANIZER');
like(join('', split /\n /, $ics), qr/^ATTENDEE.*ada\@example\.org/mi,
     'ATTENDEE');

my ($owner) = $d->wait_mails(1, to => 'olga');
is($owner->{head}{'x-envelope-to'}, 'olga@example.com', 'a mail to the owner');
like($owner->{head}{'reply-to'}, qr/ada\@example\.org/,
     'Reply-To: the visitor');
like($owner->{body}{'text/calendar'}, qr/^METHOD:PUBLISH$/m, 'METHOD');
unlike($owner->{body}{'text/calendar'}, qr/^ATTENDEE/m, 'no ATTENDEE');
unlike($owner->{raw} . join('', values %{$owner->{body}}),
       qr/\Q$link\E/, 'the owner does not get the link');

# An operator cancels

is($t->delete("/api/bookings/$booking->{id}")->status, 200, 'cancelled');

my @cancel;
poll_until(30, sub {
    @cancel = grep { ($_->{body}{'text/calendar'} // '') =~ /METHOD:CANCEL/ }
              $d->mails;
    @cancel == 2;
});

is_deeply([ sort map { $_->{head}{'x-envelope-to'} } @cancel ],
          [ 'ada@example.org', 'olga@example.com' ], 'both are told');

for (@cancel) {
    my $c = $_->{body}{'text/calendar'};
    like($c, qr/^STATUS:CANCELLED$/m, 'STATUS');
    like($c, qr/^UID:$booking->{id}\@example\.org$/m, 'the same UID');
    my ($seq) = $c =~ /^SEQUENCE:(\d+)/m;
    my ($before) = $ics =~ /^SEQUENCE:(\d+)/m;
    cmp_ok($seq // 0, '>', $before // 0, 'a higher SEQUENCE');
}

# German

is($d->book(slot => '2030-01-16 09:00', lang => 'de-AT')->status, 202, 'held');
($mail) = (grep { ($_->{head}{'content-language'} // '') eq 'de' }
           do { my @m; poll_until(30, sub {
                    (@m = $d->mails(to => 'ada')) >= 4 }); @m });
ok($mail, 'in the language of the form');

ok($d->idle, 'nothing is left');

my %id;
$id{$_->{head}{'message-id'}}++ for $d->mails;
is_deeply([ grep { $id{$_} > 1 } keys %id ], [], 'no mail came twice');

my $m = $t->metrics;
is($m->{'doi_deliveries_total{kind="confirm",result="sent"}'}, 2, 'counted');
is($m->{'doi_deliveries_total{kind="owner_cancelled",result="sent"}'}, 1,
   'counted');
is($m->{'doi_bookings_total{event="held"}'}, 2, 'counted');
is($m->{'doi_booking_confirmation_ratio'}, '0.5000', 'one of two');

unlike($t->error_log, qr/ada\@example|olga\@example/, 'no address in the log');

done_testing();
