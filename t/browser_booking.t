# A person with a browser: form, mail, confirmation, second click, on a desktop
# and on a phone, with the demo's app behind it.  DOI_SCREENSHOTS=DIR keeps what
# was seen.

use lib 't/lib';
use Doi;
use Doi::Browser;
use Doi::Mail;

my $t = Doi->new(workers => 2);

my %screens = (phone => [ 390, 844 ], desktop => [ 1200, 900 ]);

my $probe = Doi::Browser->new(dir => $t->dir);
plan(skip_all => 'no chromium with chromedriver') if !$probe;
$probe->quit;

my $port = $t->port('app');
my $app = fork // die "fork: $!";

if ($app == 0) {
    delete $ENV{LD_PRELOAD};
    open STDERR, '>', $t->dir . '/app.log';
    exec 'python3', "$Doi::ROOT/demo/app.py", $port, $t->dir . '/bookings.db';
    exit 127;
}

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_token;
    doi_mail maildir:%%DIR%%/mail "from=Bea Baker <bea@example.org>";
    doi_owner "name=Bea Baker" email=bea@example.org "phone=+49 30 555 0123";
    doi_limit recipient off;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location = /appointments {
            doi_hold email=mail slot=slot name=name scope=s
                     timezone=Europe/Berlin duration=45m "summary=Haircut";
            rewrite ^ / break;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/confirm/(?<token>[^/]+)$ {
            doi_confirm $token scope=s start=/appointments;
            doi_success 303;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location / {
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

$t->start;

my $base = 'http://127.0.0.1:' . $t->port('http');
ok(poll_until(20, sub { $t->get('/')->status == 200 }), 'the app answers');

my $mail = Doi::Mail->new("$t->{dir}/mail");

for my $screen (sort keys %screens) {
    my ($width, $height) = @{ $screens{$screen} };
    my $who = "$screen\@example.com";

    my $b = Doi::Browser->new(dir => $t->dir . "/$screen", width => $width,
                              height => $height)
        if mkdir $t->dir . "/$screen";

    # the form

    $b->open("$base/appointments");
    $b->click('input[name=slot]:not([disabled])');
    $b->type('input[name=name]', 'Ada L.');
    $b->type('input[name=mail]', $who);
    $b->click('button[type=submit]');

    like($b->wait_text('h1', qr/mail/i), qr/check your (?:e-?)?mail/i,
         "$screen: look into your mail");
    like($b->text('main'), qr/\Q$who/, "$screen: the address is shown");
    is($b->overflow, 0, "$screen: nothing to scroll sideways");
    $b->screenshot("$screen-1-held.png");

    unlike($t->get('/bookings')->body, qr/\Q$who/, "$screen: nothing is booked");

    # the mail

    my $m = $mail->wait(to => $who);
    my ($link) = $m->{text} =~ m{(\Q$base\E/confirm/\S+)};
    ok($link, "$screen: a link in the mail") or next;

    # looked at

    $b->open($link);
    like($b->wait_text('h1', qr/confirm/i), qr/confirm/i,
         "$screen: asks to confirm");
    like($b->text('main'), qr/Haircut.*Ada L\./s, "$screen: shows the booking");
    is($b->overflow, 0, "$screen: nothing to scroll sideways");
    $b->screenshot("$screen-2-confirm.png");

    $b->reload;
    unlike($t->get('/bookings')->body, qr/\Q$who/,
           "$screen: a look books nothing");

    # pressed

    $b->click('button[value=confirm]');
    like($b->wait_text('h1', qr/confirmed|booked/i), qr/confirmed|booked/i,
         "$screen: is booked");
    is($b->overflow, 0, "$screen: nothing to scroll sideways");
    $b->screenshot("$screen-3-booked.png");

    like($t->get('/bookings')->body, qr/\Q$who/, "$screen: the app has it");

    # a second time

    $b->open($link);
    like($b->wait_text('h1', qr/confirmed|booked/i), qr/confirmed|booked/i,
         "$screen: the link shows the booking again");
    is($b->count('button'), 0, "$screen: with nothing to press");
    $b->screenshot("$screen-4-again.png");

    my @booked = $t->get('/bookings')->body =~ /\Q$who/g;
    is(scalar @booked, 1, "$screen: booked once");

    # and what comes after

    like($mail->wait(to => $who, subject => qr/confirmed|booked/i)->{text},
         qr/Haircut/, "$screen: mail to the visitor");
    like($mail->wait(to => 'bea@example.org', text => qr/\Q$who/)->{text},
         qr/Ada L\./, "$screen: mail to the owner");

    $b->quit;
}

kill 'TERM', $app;
waitpid $app, 0;

done_testing();
