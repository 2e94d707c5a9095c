# "The recipient has opted out" in an answer that comes in pieces is an opt-out,
# at the gate and from a gateway; compressed, or behind much else, it is not
# looked for, and the gate passes the answer on as it is.

use lib 't/lib';
use Doi;
use Doi::Deliver;

use Compress::Zlib ();
use Digest::SHA qw(hmac_sha256_hex);
use IO::Socket::INET;
use Time::HiRes qw(sleep);

my $t = Doi->new(workers => 2);
my $d = Doi::Deliver->new($t);

my $json = '{"code": 21610, "message": "unsubscribed recipient"}';
my $zip = Compress::Zlib::memGzip($json);

my %answers = (
    pieces => [ '{"code": 216', '10', ', "message": "unsubs', 'cribed"}' ],
    bytes => [ split //, $json ],
    late => [ '{"message": "', ('x' x 1000) x 5, '", "code": 21610}' ],
    zipped => [ substr($zip, 0, 20), substr($zip, 20) ],
);


# An upstream that sends each piece as a chunk of its own.

sub serve {
    my ($s, $request) = ($_[0], '');

    while ($request !~ /\r\n\r\n/) {
        sysread($s, $request, 65536, length $request) or return;
    }

    my ($len) = $request =~ /^Content-Length: (\d+)/mi;
    my $head = 4 + index $request, "\r\n\r\n";

    while (length $request < $head + ($len // 0)) {
        sysread($s, $request, 65536, length $request) or return;
    }

    my ($name) = $request =~ m{^\S+ /(\w+)};

    syswrite $s, "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json"
                 . "\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
                 . ($name eq 'zipped' ? "Content-Encoding: gzip\r\n" : '')
                 . "\r\n";

    for my $piece (@{$answers{$name} // []}) {
        syswrite $s, sprintf("%x\r\n%s\r\n", length $piece, $piece);
        sleep 0.01;
    }

    syswrite $s, "0\r\n\r\n";
}

my $listen = IO::Socket::INET->new(Listen => 16, ReuseAddr => 1,
    LocalAddr => '127.0.0.1', LocalPort => $t->port('twilio')) or die $!;
my $server = fork() // die $!;

if ($server == 0) {
    $SIG{PIPE} = 'IGNORE';
    $SIG{TERM} = 'DEFAULT';
    alarm 300;

    while (my $s = $listen->accept) {
        serve($s);
        close $s;
    }

    POSIX::_exit(0);
}

close $listen;


$t->write_file('secret', "s3cret\n", 0600);

my $conf = <<'EOC';
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    doi_gateway sms twilio http://127.0.0.1:%%PORT:twilio%%/ANSWER user=AC1
                from=+15005550006 secret_file=%%DIR%%/secret allow=private;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /api/ { doi_api consent read; }
        location = /in { doi_inbound json secret_file=%%DIR%%/secret; }
        location ~ ^/(?<answer>[a-z]+)$ {
            doi_consent single to=To channel=sms learn=twilio;
            proxy_pass http://127.0.0.1:%%PORT:twilio%%/$answer;
        }
        location ~ ^/unbuffered/(?<answer>[a-z]+)$ {
            proxy_buffering off;
            doi_consent single to=To channel=sms learn=twilio;
            proxy_pass http://127.0.0.1:%%PORT:twilio%%/$answer;
        }
    }
}
EOC

$t->conf($conf =~ s/ANSWER/pieces/r)->start;
ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');

my $n = 0;

sub status_of {
    my $r = $t->get("/api/contacts/sms:$_[0]");

    return $r->status == 200 ? $r->json->{lists}[0]{status} : $r->status;
}

sub entries { @{$t->get("/api/contacts/sms:$_[0]/evidence")->json->{entries}} }

sub contact {
    my $who = sprintf '+49151123456%02d', $n++;

    is($t->post("/api/contacts/sms:$who/events",
                json => { event => 'subscribe', source => 'agent' })->status,
       200, "$who is in");

    return $who;
}


# The gate

my %who;

for my $answer (qw(late zipped pieces bytes)) {
    for my $uri ("/$answer", "/unbuffered/$answer") {
        my $who = $who{$uri} = contact();
        my $r = $t->post($uri, form => { To => $who, Body => 'hi' });

        is($r->status, 400, "$uri: the answer");
        is($r->body, join('', @{$answers{$answer}}), "$uri: as it is");
        next if $answer =~ /late|zipped/;

        ok(poll_until(30, sub { status_of($who) eq 'opted_out' }),
           "$uri: opted out");

        my @stops = grep { $_->{to} eq 'opted_out' } entries($who);
        is_deeply([ map { "$_->{event} $_->{source} $_->{reason}" } @stops ],
                  [ 'stop provider Twilio 21610' ], "$uri: once, with reason");
    }
}

is(status_of($who{$_}), 'single', "$_: is not looked for")
    for grep { /late|zipped/ } sort keys %who;


# A gateway

sub start {
    my ($who) = @_;

    my $body = JSON::PP->new->encode({ id => 'm' . ++$n, channel => 'sms',
                                       from => $who, to => '',
                                       text => 'START' });

    is($t->post('/in', body => $body, type => 'application/json', headers => {
           'X-Doi-Signature-256' => 'sha256=' . hmac_sha256_hex($body,
                                                                's3cret') })
         ->status, 200, 'START');
}

my $who = contact();
start($who);
ok(poll_until(30, sub { status_of($who) eq 'opted_out' }),
   'gateway, in pieces: opted out');

my @stops = grep { $_->{to} eq 'opted_out' } entries($who);
is_deeply([ map { "$_->{event} $_->{source}" } @stops ], [ 'revoke provider' ],
          'once');
like($stops[0]{reason}, qr/21610/, 'with reason');

$t->conf($conf =~ s/ANSWER/zipped/r);
ok($t->reload, 'compressed, which was not asked for');
$who = contact();
start($who);
ok(poll_until(30, sub { $d->outbox('state=dead') == 2 }),
   'gateway, compressed: given up');
is(status_of($who), 'single', 'but not learnt');

kill 'TERM', $server;
waitpid $server, 0;

done_testing();
