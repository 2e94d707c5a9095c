# A person with a browser opts in by a form and out by the link of a mail, on a
# desktop and on a phone, in English and German, with JavaScript and without.
# What became of it is read from the ledger.  DOI_SCREENSHOTS=DIR keeps what was
# seen.

# Chromium may be slow.
BEGIN { $ENV{DOI_TEST_TIMEOUT} //= 900 }

use utf8;
use lib 't/lib';
use Doi;
use Doi::Browser;
use Doi::Deliver;
use Doi::Mail;

use Encode qw(encode);

my $t = Doi->new(workers => 2);

my $probe = Doi::Browser->new(dir => $t->dir);
plan(skip_all => 'no chromium with chromedriver') if !$probe;
$probe->quit;

my %screens = (phone => [ 390, 844 ], desktop => [ 1200, 900 ]);

my %say = (
    en => {
        invalid  => qr/^This link is not valid$/,
        again    => qr/^Please open the link again$/,
        check    => qr/^One more step$/,
        ask      => qr/^Confirm your subscription\?$/,
        in       => qr/^You are subscribed$/,
        leave    => qr/^Unsubscribe\?$/,
        out      => qr/^You are unsubscribed$/,
        form     => qr/^Please check what you entered$/,
        mail     => qr/not a complete email address/,
        number   => qr/not a complete telephone number/,
        missing  => qr/Something that we need is missing/,
        reply    => qr/reply YES/,
        wording  => 'I want the newsletter',
    },
    de => {
        invalid  => qr/^Dieser Link ist nicht gültig$/,
        again    => qr/^Bitte öffnen Sie den Link noch einmal$/,
        check    => qr/^Noch ein Schritt$/,
        ask      => qr/^Anmeldung bestätigen\?$/,
        in       => qr/^Sie sind angemeldet$/,
        leave    => qr/^Abmelden\?$/,
        out      => qr/^Sie sind abgemeldet$/,
        form     => qr/^Bitte prüfen Sie Ihre Angaben$/,
        mail     => qr/keine vollständige E-Mail-Adresse/,
        number   => qr/keine vollständige Telefonnummer/,
        missing  => qr/die wir brauchen, fehlt/,
        reply    => qr/antworten Sie YES/,
        wording  => 'Ich möchte den Newsletter',
    },
);

my $d = Doi::Deliver->new($t);
my $mail = Doi::Mail->new($d->{maildir});

$t->write_file('secret', "s3cret\n", 0600);
$d->httpd('gw');

mkdir $t->dir . '/www';
form_page($_) for sort keys %say;

$t->conf(encode('UTF-8', <<'EOC'))->start;
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    types { text/html html; }
    charset utf-8;
    log_not_found off;
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_token;
    doi_url unsubscribe /unsubscribe/$doi_token;
    doi_mail maildir:%%DIR%%/mail "from=Example Ltd. <news@example.org>";
    doi_gateway sms json http://127.0.0.1:%%PORT:gw%%/ secret_file=%%DIR%%/secret
                allow=private;
    doi_owner "name=Example Ltd." email=hello@example.org
              "phone=+49 30 555 0123" url=https://example.org/;
    doi_evidence client=full;
    doi_optout_scope list;
    doi_limit recipient off;
    doi_limit address off;
    doi_limit network off;
    map $uri $wording {
        ~/en\.html$ "I want the newsletter";
        ~/de\.html$ "Ich möchte den Newsletter";
    }
    server {
        listen 127.0.0.1:%%PORT:http%%;
        root %%DIR%%/www;
        location /mail/ {
            doi_subscribe channel=email address=email level=double list=news
                          wording=$wording;
        }
        location /sms/ {
            doi_subscribe channel=sms address=phone level=double list=news
                          country=49 wording=$wording;
        }
        location ~ ^/confirm/(?<c>[^/]+)$ { doi_confirm $c; }
        location ~ ^/unsubscribe/(?<u>[^/]+)$ { doi_unsubscribe $u; }
        location /api/ { doi_api consent read; }
    }
    server {
        listen 127.0.0.1:%%PORT:webmail%%;
        root %%DIR%%/www;
    }
}
EOC

my $base = 'http://127.0.0.1:' . $t->port('http');
my $n = 0;

for my $screen (sort keys %screens) {
    for my $lang (sort keys %say) {
        my $b = browser("$screen-$lang", @{ $screens{$screen} }, lang => $lang);

        person($b, $lang, "$screen, $lang");
        mistakes($b, $lang, "$screen, $lang");
        not_me($b, $lang, "$screen, $lang");
        $b->quit;
    }
}

my $b = browser('plain', 390, 844, lang => 'en', no_js => 1);
person($b, 'en', 'without JavaScript');
mistakes($b, 'en', 'without JavaScript');
$b->quit;

scanner();

is($t->get('/api/ledger/verify')->json->{problems}, 0, 'the ledger is intact');
is($t->leaks, 0, 'no token in the error log');

done_testing();


# The form of a site; its own checks are off, to see ours.

sub form_page {
    my ($lang) = @_;

    my @fields = ([ mail => 'email', 'Email' ], [ sms => 'phone', 'Phone' ]);

    for (@fields) {
        my ($way, $name, $label) = @$_;

        mkdir $t->dir . "/www/$way";
        $t->write_file("www/$way/$lang.html", encode('UTF-8', <<"EOH"));
<!DOCTYPE html>
<html lang="$lang"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>plain</title><script>document.title = 'scripted'</script></head>
<body><h1>Newsletter</h1>
<form method="post" novalidate>
<label>$label <input name="$name"></label>
<label><input type="checkbox" name="ok"> $say{$lang}{wording}</label>
<button>OK</button>
</form></body></html>
EOH
    }
}

# What came by mail, as a webmail of another site shows it.

sub webmail {
    my ($link) = @_;

    my $file = 'mail-' . ++$n . '.html';

    $t->write_file("www/$file", "<!DOCTYPE html><title>Mail</title>"
                   . "<p>News! <a id=u href=\"$link\">Unsubscribe</a>"
                   . "<form method=post action=\"$link\">"
                   . '<button name=action value=confirm>Win</button></form>');

    return 'http://localhost:' . $t->port('webmail') . "/$file";
}

sub browser {
    my ($name, $width, $height, @o) = @_;

    mkdir $t->dir . "/$name";

    my $b = Doi::Browser->new(dir => $t->dir . "/$name", name => $name,
                              width => $width, height => $height, @o);
    $b->{shot} = 0;

    return $b;
}

# A page of the module: its heading, language and layout.

sub page_is {
    my ($b, $lang, $like, $name) = @_;

    like($b->wait_text('h1', $like), $like, $name);
    is($b->count("html[lang=$lang]"), 1, "$name: language");
    is($b->count('script'), 0, "$name: no script");
    unlike($b->text('body'), qr/\b(?:book|appointment)|Buchung|Termin/i,
           "$name: no word of bookings");
    is($b->count('a[href*=ooking], a[href*=Buchung]'), 0, "$name: nor in links")
        if $name !~ /confirm: forged/;
    is($b->overflow, 0, "$name: nothing to scroll sideways") if !$b->{no_js};
    $b->screenshot(sprintf '%s-%02d.png', $b->{name}, ++$b->{shot});
}

sub status {
    my ($who) = @_;

    my $r = $t->get("/api/contacts/$who");

    return $r->status == 404 ? 'unknown'
           : join ' ', map { "$_->{list}=$_->{status}" } @{$r->json->{lists}};
}

sub entries {
    my ($who) = @_;

    my $r = $t->get("/api/contacts/$who/evidence");

    return $r->status == 404 ? () : @{ $r->json->{entries} };
}

sub steps {
    my ($who) = @_;

    return join ', ', map { "$_->{event} $_->{from}-$_->{to}" } entries($who);
}


# In by the form and a mail, out by the link of another one.

sub person {
    my ($b, $lang, $name) = @_;

    my $say = $say{$lang};
    my $address = $b->{name} . '@example.com';
    my $who = "email:$address";

    # the form

    $b->open("$base/mail/$lang.html");
    $b->element('input[name=email]');
    is($b->title, $b->{no_js} ? 'plain' : 'scripted', "$name: the form");
    $b->type('input[name=email]', $address);
    $b->click('button');

    page_is($b, $lang, $say->{check}, "$name: one more step");
    like($b->text('main'), qr/\Q$address/, "$name: names the address");
    is(status($who), 'news=pending', "$name: pending");
    is(steps($who), 'subscribe none-pending', "$name: one entry");

    # the mail

    my $m = $mail->wait(to => $address);
    my ($link) = $m->{text} =~ m{(\Q$base\E/confirm/\S+)};
    ok($link, "$name: a link in the mail") or return;
    like($m->{html}, qr/href="\Q$link"/, "$name: and a button");
    unlike($m->{text}, qr{\.\.}, "$name: whole sentences");
    unlike($m->{text}, qr/\b(?:book|appointment)|Buchung|Termin/i,
           "$name: no word of bookings in the mail");

    # looked at, in two tabs

    my ($first) = @{ $b->tabs };
    $b->open($link);
    page_is($b, $lang, $say->{ask}, "$name: asks");
    is($b->count('button'), 2, "$name: two buttons");
    $b->reload;
    my $second = $b->tab;
    $b->open($link);
    like($b->wait_text('h1', $say->{ask}), $say->{ask}, "$name: asks again");
    is(steps($who), 'subscribe none-pending', "$name: a look confirms nothing");

    # pressed, and pressed again in the other tab

    for my $tab ($second, $first) {
        $b->switch($tab);
        $b->click('button[value=confirm]');
        page_is($b, $lang, $say->{in}, "$name: subscribed");
        is($b->count('button'), 0, "$name: nothing to press");
        is(status($who), 'news=double', "$name: double");
    }

    $b->open($link);
    like($b->wait_text('h1', $say->{in}), $say->{in}, "$name: opened again");

    my @e = entries($who);
    is(steps($who), 'subscribe none-pending, confirm pending-double',
       "$name: confirmed once");
    is_deeply([ map { $_->{source} } @e ], [ qw(web web) ], "$name: by web");
    is($e[0]{wording}, $say->{wording}, "$name: the wording of the form");
    is($e[0]{lang}, $lang, "$name: the language");
    is($_->{client}, '127.0.0.1', "$name: the client") for @e;
    like($_->{agent}, qr{Chrome/}, "$name: the browser") for @e;

    # out: the link stands in a mail that another site shows

    my $r = $t->post("/api/contacts/$who/unsubscribe", json => { list => 'news' });
    my $out = $r->json->{url};
    like($out, qr{^\Q$base\E/unsubscribe/}, "$name: a link to unsubscribe by");

    $b->switch($second);
    $b->open($out);
    page_is($b, $lang, $say->{leave}, "$name: asks before it unsubscribes");
    $b->switch($first);
    $b->open(webmail($out));
    $b->click('button[value=confirm]');
    page_is($b, $lang, $say->{again}, "$name: a button of another site");
    is(status($who), 'news=double', "$name: unsubscribes nobody");
    $b->open(webmail($out));
    $b->click('#u');
    like($b->wait_text('h1', $say->{leave}), $say->{leave}, "$name: by a click");
    is($b->count('button'), 1, "$name: one button");
    $b->reload;
    is(status($who), 'news=double', "$name: a look unsubscribes nobody");

    for my $tab ($first, $second) {
        $b->switch($tab);
        $b->click('button[value=confirm]');
        page_is($b, $lang, $say->{out}, "$name: unsubscribed");
        is($b->count('button'), 0, "$name: nothing to press");
        is(status($who), 'news=opted_out', "$name: opted out");
    }

    $b->open($out);
    like($b->wait_text('h1', $say->{out}), $say->{out}, "$name: opened again");
    $b->open($link);
    like($b->wait_text('h1', $say->{out}), $say->{out},
         "$name: the old link opts nobody in");

    is(steps($who), 'subscribe none-pending, confirm pending-double,'
       . ' stop double-opted_out', "$name: opted out once");
    is((entries($who))[2]{source}, 'web', "$name: by web");
}


# What cannot be used is said so, and leaves no trace.

sub mistakes {
    my ($b, $lang, $name) = @_;

    my $say = $say{$lang};
    my $before = $t->get('/api/ledger/verify')->json;

    for my $case ([ mail => 'email', 'nobody', $say->{mail} ],
                  [ mail => 'email', '', $say->{missing} ],
                  [ sms => 'phone', '12', $say->{number} ],
                  [ sms => 'phone', 'call me', $say->{number} ])
    {
        my ($way, $field, $text, $like) = @$case;

        $b->open("$base/$way/$lang.html");
        $b->type("input[name=$field]", $text);
        $b->click('button');
        page_is($b, $lang, $say->{form}, "$name: $field \"$text\"");
        like($b->text('main'), $like, "$name: says what is wrong");

        # back to the form, which has what was typed

        $b->back;
        is($b->wait_text('h1', qr/Newsletter/), 'Newsletter', "$name: back");
    }

    for my $way (qw(confirm unsubscribe)) {
        $b->open("$base/$way/" . 'A' x 46);
        page_is($b, $lang, $say->{invalid}, "$name: $way: forged");
    }

    my $after = $t->get('/api/ledger/verify')->json;
    is_deeply([ @{$after}{qw(contacts entries)} ],
              [ @{$before}{qw(contacts entries)} ], "$name: nothing is kept");
}


# A number in the form; the link of the short message; "it wasn't me".

sub not_me {
    my ($b, $lang, $name) = @_;

    my $say = $say{$lang};
    my $number = '+49151234567' . ++$n;
    my $who = "sms:$number";

    $b->open("$base/sms/$lang.html");
    $b->type('input[name=phone]', $number =~ s/^\+49(...)/0$1 /r);
    $b->click('button');
    page_is($b, $lang, $say->{check}, "$name: sms: one more step");
    is(status($who), 'news=pending', "$name: sms: pending");

    my ($sent) = poll_until(20, sub {
        (grep { $_->{body} =~ /\Q$number/ } $d->requests('gw'))[0] });
    like($sent->{body}, $say->{reply}, "$name: sms: asks for the keyword");
    my ($link) = $sent->{body} =~ m{(\Q$base\E/confirm/[\w-]+)};
    ok($link, "$name: sms: has a link") or return;

    $b->open($link);
    page_is($b, $lang, $say->{ask}, "$name: sms: asks");
    is(status($who), 'news=pending', "$name: sms: still pending");
    $b->click('button[value=cancel]');
    page_is($b, $lang, $say->{out}, "$name: sms: it was not me");
    is(steps($who), 'subscribe none-pending, revoke pending-opted_out',
       "$name: sms: opted out");
}


# Programs that look into mails open every link, some of them in a browser.

sub scanner {
    my $who = 'email:scanned@example.com';

    is($t->post('/mail/en.html', form => { email => 'scanned@example.com' })
         ->status, 202, 'a form');
    my $m = $mail->wait(to => 'scanned@example.com');
    my ($link) = $m->{text} =~ m{\Q$base\E(/confirm/\S+)};
    my $out = $t->post("/api/contacts/$who/unsubscribe",
                       json => { list => 'news' })->json->{url} =~ s/^\Q$base//r;

    my $b = browser('scanner', 1024, 768);

    for my $uri ($link, $out) {
        for my $method (qw(HEAD GET OPTIONS)) {
            for my $agent ('Mozilla/5.0', 'BarracudaCentral', '') {
                is($t->request($method, $uri, headers => {
                       'User-Agent' => $agent,
                       'Sec-Purpose' => 'prefetch;prerender',
                   })->status, 200, "scanner: $method");
            }
        }

        $b->open($base . $uri);
        $b->wait_text('h1', qr/\?$/);
        $b->script('document.querySelectorAll("*").forEach('
                   . 'e => e.dispatchEvent(new MouseEvent("mouseover")))');
    }

    $b->quit;

    is(steps($who), 'subscribe none-pending', 'a scanner changes nothing');
}
