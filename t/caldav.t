# CalDAV, with radicale: tentative on hold, confirmed on confirm, gone on
# release; and servers that refuse.

use lib 't/lib';
use Doi;
use Doi::Deliver;

plan(skip_all => 'no radicale')
    if !grep { -x "$_/radicale" } split /:/, $ENV{PATH};

use MIME::Base64 qw(encode_base64);

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');
my $d = Doi::Deliver->new($t);

$d->radicale('dav', 'olga', 'pass word');
$d->httpd('http');
$t->write_file('password', "pass word\n", 0600);
$t->write_file('wrong', "guess\n", 0600);

my $dav = $t->port('dav');
my $auth = 'Basic ' . encode_base64('olga:pass word', '');

sub dav {
    my ($method, $path, $body, %h) = @_;

    return $t->request($method, $path, port => $dav, body => $body,
                       headers => { Authorization => $auth, %h });
}

is(dav('MKCOL', '/olga/cal/', <<'EOX')->status, 201, 'a calendar');
<?xml version="1.0"?>
<D:mkcol xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:set><D:prop>
<D:resourcetype><D:collection/><C:calendar/></D:resourcetype>
</D:prop></D:set></D:mkcol>
EOX

my $conf = <<'EOC';
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
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
            doi_hold email=email slot=slot name=name
                     summary=Haircut timezone=Europe/Berlin duration=30m;
            doi_caldav http://127.0.0.1:%%PORT:dav%%/olga/cal/ user=olga
                       password_file=%%DIR%%/password;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /wrong {
            doi_hold email=email slot=slot name=name scope=wrong;
            doi_caldav http://127.0.0.1:%%PORT:dav%%/olga/./cal/ user=olga
                       password_file=%%DIR%%/wrong;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /absent {
            doi_hold email=email slot=slot name=name scope=absent;
            doi_caldav http://127.0.0.1:%%PORT:dav%%/olga/none/ user=olga
                       password_file=%%DIR%%/password;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /ill {
            doi_hold email=email slot=slot name=name scope=ill;
            doi_caldav http://127.0.0.1:%%PORT:http%%1/500/;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /etag {
            doi_hold email=email slot=slot name=name scope=etag;
            doi_caldav http://127.0.0.1:%%PORT:etag%%/;
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

# A server that is asked for conditions: the first PUT meets a change.

my $py = <<'EOP';
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
etag = ['"one"', '"two"', 'W/"three"']
puts = []
class H(BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_GET(self):
        self.send_response(200)
        self.send_header('ETag', etag[min(len(puts), 2)])
        self.send_header('Content-Length', '0')
        self.end_headers()
    def do_PUT(self):
        self.rfile.read(int(self.headers['Content-Length']))
        puts.append(self.headers.get('If-Match') or '')
        open(sys.argv[2], 'a').write(puts[-1] + '|\n')
        self.send_response(412 if len(puts) == 1 else 204)
        self.send_header('Content-Length', '0')
        self.end_headers()
HTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()
EOP

$t->write_file('server.py', $py);
$d->spawn('etag', '/usr/bin/python3', $t->dir . '/server.py', $t->port('etag'),
          $t->dir . '/puts');

$conf =~ s/%%PORT:http%%1/127.0.0.1:%%PORT:status%%/;
$conf =~ s{http://127.0.0.1:127.0.0.1}{http://127.0.0.1};
$d->httpd('status');
$d->stop('http');
$t->conf($conf)->start;

# The object of a booking; with text: once it matches.

sub object {
    my ($id, $re) = @_;

    my $r;
    poll_until(30, sub {
        $r = dav('GET', "/olga/cal/$id.ics");
        $re ? $r->status == 200 && $r->body =~ $re : $r->status == 404;
    });

    return $r->status == 200 ? $r->body : $r->status;
}

is($d->book(slot => '2030-01-15 09:00')->status, 202, 'held');
my $id = $d->booking->{id};

my $ics = object($id, qr/^STATUS:TENTATIVE/m);
like($ics, qr/^STATUS:TENTATIVE/m, 'tentative');
like($ics, qr/^UID:$id\@example\.org/m, 'UID');
like($ics, qr/^DTSTART:20300115T080000Z/m, 'DTSTART');
like($ics, qr/^SUMMARY:Haircut: Ada/m, 'SUMMARY says who');
unlike($ics, qr/^METHOD/m, 'without METHOD');

my ($mail) = $d->wait_mails(1);
is($d->confirm($mail)->status, 200, 'confirmed');

$ics = object($id, qr/^STATUS:CONFIRMED/m);
like($ics, qr/^STATUS:CONFIRMED/m, 'confirmed');
like($ics, qr/^UID:$id\@example\.org/m, 'the same UID');

# Somebody has moved it meanwhile: ours is what counts, but by its ETag

$ics =~ s/^SUMMARY:.*/SUMMARY:mine/m;
is(dav('PUT', "/olga/cal/$id.ics", $ics, 'Content-Type' => 'text/calendar')
   ->status, 201, 'changed by somebody else');

is($t->delete("/api/bookings/$id")->status, 200, 'cancelled');
is(object($id), 404, 'gone');
ok($d->idle, 'nothing is left');

# Removed by hand before it is released: nothing to be done

is($d->book(slot => '2030-01-16 09:00')->status, 202, 'held');
my $second = $d->booking('state=held')->{id};
like(object($second, qr/TENTATIVE/), qr/TENTATIVE/, 'tentative');
is(dav('DELETE', "/olga/cal/$second.ics")->status, 200, 'removed by hand');
is($t->delete("/api/bookings/$second")->status, 200, 'cancelled');
ok($d->idle, 'nothing is left');
is_deeply([ $d->outbox ], [], 'and nothing was given up');

# A slot that is no time

is($d->book(slot => 'room 5')->status, 202, 'held');
ok($d->idle, 'nothing is left');
like($t->error_log, qr/the start of the appointment is not known/, 'logged');

# Servers that refuse: tried again, with a word on the cause

for (
    [ '/wrong',  qr/user or the password/, 'wrong password' ],
    [ '/absent', qr/is not there/, 'no such calendar' ],
    [ '/ill',    qr/500/, 'HTTP 500' ],
) {
    my ($uri, $re, $name) = @$_;

    is($d->book(uri => $uri, slot => '2030-02-01 09:00')->status, 202,
       "$name: held all the same");

    my $row;
    poll_until(30, sub {
        ($row) = grep { $_->{kind} eq 'calendar' && $_->{error} =~ $re }
                 $d->outbox('state=queued');
    });
    ok($row, "$name: is told");
    cmp_ok($row->{due}, '>', time, "$name: tried again");
}

# Changed between our GET and our PUT

is($d->book(uri => '/etag', slot => '2030-02-01 09:00')->status, 202, 'held');

my $changed;
poll_until(30, sub {
    ($changed) = grep { $_->{error} =~ /changed the object/ }
                 $d->outbox('state=queued');
});
ok($changed, '412: tried again');
is($t->post("/api/outbox/$changed->{id}/retry", json => {})->status, 200, 'now');
poll_until(30, sub { slurp($t->dir . '/puts') =~ /two/ });
is(slurp($t->dir . '/puts'), qq{"one"|\n"two"|\n},
   'each PUT on the condition of what was there');

my ($wrong) = grep { $_->{error} =~ /password/ } $d->outbox('state=queued');
$t->write_file('wrong', "pass word\n", 0600);
$t->reload;
is($t->post("/api/outbox/$wrong->{id}/retry", json => {})->status, 200,
   'mended, and tried again');

my $healed = $wrong->{booking};
like(object($healed, qr/TENTATIVE/), qr/TENTATIVE/, 'it is there now');

# No longer configured: given up, by name

(my $less = $conf) =~ s/doi_caldav \S+\/olga\/none\/[^;]*;//;
my ($absent) = grep { $_->{error} =~ /is not there/ }
               $d->outbox('state=queued');
$t->conf($less);
$t->reload;
$t->post("/api/outbox/$absent->{id}/retry", json => {});

my $row;
poll_until(30, sub { ($row) = $d->outbox('state=dead') });
like($row->{error}, qr/no "doi_caldav"/, 'given up, and it says why');

done_testing();
