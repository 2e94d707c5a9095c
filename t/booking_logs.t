# The whole life of bookings, and all that goes wrong with the form, the app,
# the mail server, the calendar and the webhooks: no token, code, body, whole
# address, cookie, key, secret or password in the error log (level info) or in
# access logs of the formats that the documentation gives.

use lib 't/lib';
use Doi;
use Doi::Deliver;

use Digest::SHA qw(hmac_sha256);
use Encode ();
use MIME::Base64 qw(encode_base64 decode_base64url);

my $t = Doi->new(workers => 2, level => 'info');
my $up = $t->upstream('app');
my $d = Doi::Deliver->new($t);

my $webhook = 'whsec_' . encode_base64(join('', map { chr 33 + $_ } 1 .. 32),
                                       '');
my %password = (mail => 'mAiLpAsSwOrD', dav => 'dAvPaSsWoRd');

$t->write_file('secret', "$webhook\n", 0600);
$t->write_file("password-$_", "$password{$_}\n", 0600) for keys %password;

my $dir = $t->dir;
system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
       . " -addext subjectAltName=IP:127.0.0.1 -keyout $dir/tls.key"
       . " -out $dir/tls.pem 2>/dev/null") == 0 or die 'openssl';
chmod 0644, "$dir/tls.pem";

# The formats, as they stand in the documentation

my @formats = map { slurp("$Doi::ROOT/docs/$_.md")
                    =~ /^\s*log_format doi ((?:\s*'[^']*')+;)/m }
              qw(bookings directives operations);
is(scalar(@formats), 3, 'log formats of the documentation');

my $formats = join "\n", map { "log_format doi$_ $formats[$_]\n"
                               . "access_log %%DIR%%/doi.log doi$_;" }
              0 .. $#formats;

$t->conf(<<"EOC");
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    $formats
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    doi_mail smtp://127.0.0.1:%%PORT:mail%% from=bookings\@example.org
             user=mailer password_file=%%DIR%%/password-mail starttls=required
             ca_file=%%DIR%%/tls.pem timeout=5s;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/\$doi_token;
    doi_owner name=Olga email=olga.owner\@owner.example;
    doi_limit network off;
    doi_limit recipient off;
    doi_limit address off;
    doi_claim_timeout 3s;
    doi_caldav http://127.0.0.1:%%PORT:hooks%%/401/ user=caldav
               password_file=%%DIR%%/password-dav;
    doi_webhook http://127.0.0.1:%%PORT:hooks%%/200 secret_file=%%DIR%%/secret
                allow=private;
    doi_webhook http://127.0.0.1:%%PORT:hooks%%/500 secret_file=%%DIR%%/secret
                allow=private;
    doi_webhook http://127.0.0.1:%%PORT:hooks%%/302 secret_file=%%DIR%%/secret
                allow=private;
    doi_webhook http://127.0.0.1:%%PORT:nobody%%/ secret_file=%%DIR%%/secret;
    proxy_read_timeout 5s;
    client_max_body_size 100k;
    client_body_buffer_size 1k;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /book {
            doi_hold email=email slot=slot name=name timezone=UTC;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /limited {
            doi_limit recipient rate=1/15m;
            doi_hold email=email slot=slot name=name timezone=UTC;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/confirm/(?<token>[^/]+)\$ {
            doi_confirm \$token;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/code/(?<token>[^/]+)\$ {
            doi_confirm \$token code=on;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/denied/(?<token>[^/]+)\$ {
            deny all;
            doi_confirm \$token;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read resolve; }
    }
}
EOC

$t->expect_log(qr/worker process \d+ exited on signal 9/);
$t->expect_log(qr/shared memory zone ".*" was locked by \d+/);
$t->start;

my @fields = (name => 'NaMeSeCrEt', note => 'nOtEsEcReT');
my @cookie = (cookie => 'session=sEsSiOnSeCrEt');
my (@tokens, @codes, @emails);
my $n = 0;

sub fields {
    my ($email) = @_;

    $n++;
    push @emails, $email;

    return (email => $email, slot => "2030-01-01 09:00 #$n", @fields);
}

# Posts a form; (id, token) if it was held.

sub hold {
    my ($email, $uri) = @_;

    my $r = $t->post($uri // '/book', form => { fields($email) }, @cookie,
                     accept => 'application/json',
                     headers => { Referer => "http://x/confirm/$tokens[-1]" });
    return unless $r->status == 202;

    my $id = $r->json->{reference};
    push @tokens, $t->confirm_token($id);

    return ($id, $tokens[-1]);
}

sub click {
    my ($token, %o) = @_;

    my $uri = delete $o{uri} // '/confirm';
    my $mode = delete $o{mode} // 'ok';

    return $t->post("$uri/$token", form => { action => 'confirm', %o },
                    @cookie, timeout => 30,
                    headers => { Referer => "http://x$uri/$token",
                                 'X-Mode' => $mode });
}

push @tokens, $t->confirm_token('AAAAAAAAAAAAAAAA');

# Forms that cannot be taken

my $boundary = 'Content-Type: multipart/form-data; boundary=x';

for my $email ('one@form.example, two@form.example', "a\@form.example\r\nBcc: b",
               "a\@form.example\0", 'no-at.form.example', 'x' x 3000 . '@form.ex',
               '<a@form.example>')
{
    my $r = $t->post('/book', form => { fields($email) }, @cookie);
    is($r->status, 422, 'not an address: 422');
}

push @emails, 'form.example';

is($t->post('/book', @cookie, form => [ fields('twice@double.example'),
            email => 'again@double.example' ])->status, 422, 'two: 422');
is($t->post('/book', type => 'application/json', @cookie,
            body => '{"email":"js@json.example","note":"nOtEsEcReT' )
   ->status, 422, 'broken JSON: 422');
is($t->post('/book', type => 'multipart/form-data; boundary=x', @cookie,
            body => "--x\r\nContent-Disposition: form-data; name=email\r\n\r\n"
                    . "mp\@multi.example\r\n--nOtEsEcReT")->status, 422,
   'broken multipart: 422');
is($t->post('/book', @cookie, form => { fields('big@large.example'),
            more => 'nOtEsEcReT' x 20000 })->status, 413, 'too large: 413');
push @emails, 'js@json.example', 'mp@multi.example', 'double.example';

# Visitors who hang up in the middle of a form, and of a confirmation

my $half = $t->bytes('POST', '/book', form => { fields('gone@away.example') },
                     @cookie);
close $t->open_raw(substr $half, 0, -10);
$half =~ s{^Host}{Referer: http://x/confirm/$tokens[0]\r\nHost}m;
close $t->open_raw(substr $half, 0, -10);

# No mail server yet, then each of them

my ($id, $token) = hold('first.visitor@alpha.example');
ok($token, 'held');

sub failures {
    scalar(my @lines = $t->grep_log(qr/doi: delivery .* \(confirm.*: /));
}

sub poke {
    $t->post("/api/outbox/$_->{id}/retry", json => {})
        for grep { $_->{kind} !~ /webhook|caldav|calendar/ } $d->outbox;
}

my @tls = ('--tls-cert', "$dir/tls.pem", '--tls-key', "$dir/tls.key");
my @auth = (@tls, '--auth', "mailer:$password{mail}");

for (
    [ 'password refused', @tls, '--auth', 'mailer:another' ],
    [ 'no STARTTLS' ],
    map { [ $_, @auth, '--fault', $_ ] }
    qw(refuse-mail-5xx refuse-rcpt-5xx refuse-rcpt-4xx 5xx-data 4xx-data
       5xx-greeting garbage garbage-rcpt endless-rcpt close-mid-data hang-data
       reset),
) {
    my ($name, @args) = @$_;

    $d->smtpd('mail', @args);
    hold("visitor.$n\@alpha.example");

    my $before = failures();
    poke();
    ok(poll_until(30, sub { failures() > $before }), "mail: $name");
    $d->stop('mail');
}

$d->smtpd('mail', @auth);
$d->httpd('hooks');

# What was refused for good is tried again, and arrives.

my @mails;
ok(poll_until(30, sub {
    poke();
    (@mails = $d->mails(to => 'alpha.example')) >= 15;
}), 'then all have their mail');

# Bad links and buttons, codes

is($t->get("/confirm/$token", headers => { Referer => "http://x/c/$token" })
   ->status, 200, 'a look');
is(click($token, action => 'nOtEsEcReT')->status, 422, 'not a button');
is($t->put("/confirm/$token", body => 'nOtEsEcReT')->status, 405, 'PUT');
is($t->get("/denied/$token")->status, 403, 'denied');
click("${token}x");
click(substr $token, 0, 45);
$t->get("/confirm/$token?t=$token");

$half = $t->bytes('POST', "/confirm/$token", form => { action => 'confirm' },
                  headers => { Referer => "http://x/confirm/$token" });
close $t->open_raw(substr $half, 0, -3);

my ($coded, $with) = hold('coded@beta.example');
my $key = Doi::Token::derive($t->secret, 'code');
push @codes, sprintf '%06d', unpack('Q>', hmac_sha256(decode_base64url($coded),
                                                      $key)) % 1000000;

isnt(click($with, uri => '/code', code => "bAdCoDe$_")->status, 200, 'bad code')
    for 1 .. 2;
is(click($with, uri => '/code', code => $codes[0])->status, 200, 'the code');

# The app: all outcomes

for my $mode (qw(ok 303 409 500 500-booked hang close garbage reset-booked
                 truncated))
{
    my (undef, $link) = hold("app-$mode\@gamma.example");
    isnt(click($link, mode => $mode)->status, 0, "app: $mode");
    click($link);
}

my (undef, $off) = hold('off@gamma.example');
$up->stop;
is(click($off)->status, 503, 'app: not there');
$up->start;

# It wasn't me; then their address is refused, and let in by an operator

my (undef, $not) = hold('not.me@delta.example');
is($t->post("/confirm/$not", form => { action => 'cancel' })->status, 200,
   'it was not me');
hold('not.me@delta.example');

# Too many

hold('many@epsilon.example', '/limited');
is($t->post('/limited', form => { fields('many@epsilon.example') }, @cookie)
   ->status, 429, 'too many');

# IDN, and long ones

my $idn = Encode::encode('UTF-8', "ida\@b\x{fc}cher.example");
hold($idn);
push @emails, 'ida@xn--bcher-kva.example';

# Somebody is killed in the middle of it

my ($killed, $link) = hold('killed@zeta.example');
my $s = $t->open_raw($t->bytes('POST', "/confirm/$link", @cookie,
                               form => { action => 'confirm' },
                               headers => { 'X-Mode' => 'late ms=600000' }));
ok(poll_until(30, sub { grep { $_->{mode} =~ /late/ } $up->posts }), 'asked');
$t->kill_worker('KILL', $_) for $t->workers;
close $s;
ok(poll_until(30, sub {
    $t->get("/api/bookings/$killed")->json->{state} eq 'in_doubt' }),
   'in doubt');

# Operators

is($t->post("/api/bookings/$killed/resolve", json =>
            { outcome => 'used', reason => 'rEaSoNsEcReT' })->status, 200,
   'resolved');
$t->post("/api/bookings/$killed/resolve", body => '{"reason":"rEaSoNsEcReT',
         type => 'application/json');
$t->get('/api/outbox?state=dead');
$t->post("/api/bookings/$killed/resend", json => {});
is($t->delete("/api/bookings/$killed", json => { reason => 'rEaSoNsEcReT' })
   ->status, 200, 'cancelled');

ok(poll_until(30, sub {
    poke();
    !grep { $_->{kind} !~ /webhook|caldav|calendar/ } $d->outbox('state=queued')
}), 'all mails are delivered');

my @old = $t->reload;
ok($t->wait_gone(30, @old), 'reload');
ok($t->quit, 'stop');

# What was written

my $error = $t->error_log;
my $access = slurp("$dir/doi.log");

like($error, qr/doi: delivery \S+ \(confirm/, 'failures are in the error log');
like($error, qr/doi: booking \S+ is in doubt/, 'doubts as well');
like($access, qr{"POST /confirm/ ?[^"]*" 200 }, 'confirmations in the other');
unlike($error, qr/\[debug\]/, 'not at level debug');

my @links = map { $_->{raw} =~ /E[A-Za-z0-9_-]{45}\b/g } $d->mails;

my %secret = (
    tokens => [ @tokens, @links ],
    codes => \@codes,
    typed => [ 'bAdCoDe' ],
    fields => [ qw(nOtEsEcReT NaMeSeCrEt rEaSoNsEcReT) ],
    cookie => [ 'sEsSiOnSeCrEt' ],
    addresses => [ 'olga.owner@owner.example', 'owner.example',
                   map { ($_, urlencode($_)) } grep { length } @emails ],
    domains => [ map { "$_.example" } qw(alpha beta gamma delta epsilon zeta
                                         away large double multi json) ],
    key => [ $t->secret, unpack('H*', $t->secret) ],
    passwords => [ values %password, map { encode_base64($_, '') }
                   values %password, "\0mailer\0$password{mail}",
                   "caldav:$password{dav}" ],
    webhook => [ $webhook, substr($webhook, 6) ],
);

sub found {
    my ($text, @secrets) = @_;

    my @lines = grep { my $l = $_; grep { index($l, $_) >= 0 } @secrets }
                split /\n/, $text;

    return @lines > 5 ? @lines[0 .. 4] : @lines;
}

for my $name (sort keys %secret) {
    my @secrets = @{$secret{$name}};

    ok(scalar(@secrets), "$name: something to look for");
    is_deeply([ found($access, @secrets) ], [], "access logs: no $name");
    is_deeply([ found($error, @secrets) ], [], "error log: no $name");
    is_deeply([ found(slurp("$dir/nginx.out"), @secrets) ], [],
              "output: no $name");
}

done_testing();
