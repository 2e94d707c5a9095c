# What nginx -t says of the directives for bookings: what is wrong, where, and
# the mend.

use lib 't/lib';
use Doi;

my $t = Doi->new;

$t->write_file('secret', "hunter2\n", 0600);
$t->write_file('open', "hunter2\n", 0644);
$t->write_file('empty', "\n", 0600);
$t->write_file('hook', 'whsec_' . 'QUJD' x 10 . "\n", 0600);
$t->write_file('body.conf', '', 0600);

my $dir = $t->dir;
my $mail = 'doi_mail maildir:%%DIR%%/mail from=a@example.com;';
my $url = 'doi_base_url http://127.0.0.1; doi_url confirm /c/$doi_token;';
my $hold = 'doi_hold email=m slot=s;';
my $proxy = 'proxy_pass http://127.0.0.1:1;';

sub conf {
    my ($http, $location, %o) = @_;

    my $store = $o{store} // 'doi_store %%DIR%%/store;';
    my $key = $o{key} // 'doi_key 1 file:%%KEY%%;';

    return <<"EOC";
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    $store
    $key
    $http
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /x { $location }
    }
}
EOC
}

sub good {
    my ($name, @conf) = @_;

    my ($status, $out) = $t->test_config(conf(@conf));
    is($status, 0, $name) or diag($out);
}

sub bad {
    my ($name, $like, @conf) = @_;

    my ($status, $out) = $t->test_config(conf(@conf));
    isnt($status, 0, "$name: refused");
    like($out, $like, "$name: says why");
    unlike($out, qr/hunter2/, "$name: tells no secret");
}

# doi_hold

good('a hold', "$mail $url", "$hold $proxy");
good('with everything', "$mail $url", "doi_hold if=\$arg_x scope=\$arg_s ttl=2d
     remind=3h duration=30m timezone=Europe/Berlin summary=\$host email=a.b
     slot=a,b,c name=n lang=l tz=z; $proxy");
good('off', '', "doi_hold off; $proxy");
good('if in a location', "$mail $url",
     "$hold if (\$arg_a) { set \$x 1; } $proxy");

bad('no store', qr/"doi_hold" needs a store: put "doi_store /,
    "$mail $url", "$hold $proxy", store => '');
bad('no key', qr/"doi_hold" needs a key.*openssl rand -hex 32/,
    "$mail $url", "$hold $proxy", key => '');
bad('no mail', qr/"doi_hold" sends mail: put "doi_mail smtp:/,
    $url, "$hold $proxy");
bad('no address of links', qr/doi_base_url .*doi_url confirm/,
    $mail, "$hold $proxy");
bad('no email=', qr/email=FIELD/, "$mail $url", "doi_hold slot=s; $proxy");
bad('no slot=', qr/slot=FIELD/, "$mail $url", "doi_hold email=m; $proxy");
bad('empty slot', qr/invalid "slot=a,,b"/, "$mail $url",
    "doi_hold email=m slot=a,,b; $proxy");
bad('unknown parameter', qr/invalid parameter "mail=m" of "doi_hold"/,
    "$mail $url", "doi_hold mail=m slot=s; $proxy");
bad('twice', qr/invalid parameter "email=n"/, "$mail $url",
    "doi_hold email=m email=n slot=s; $proxy");
bad('ttl', qr/invalid "ttl=3s".*"1m" to "90d"/, "$mail $url",
    "doi_hold email=m slot=s ttl=3s; $proxy");
bad('remind after the end', qr/"remind=" of "doi_hold"/, "$mail $url",
    "doi_hold email=m slot=s ttl=1h remind=2h; $proxy");
bad('time zone', qr/unknown time zone.*Europe\/Berlin/, "$mail $url",
    "doi_hold email=m slot=s timezone=Mars/Base; $proxy");
bad('time zone with a path', qr/unknown time zone/, "$mail $url",
    "doi_hold email=m slot=s timezone=../../etc/passwd; $proxy");
bad('with doi_link', qr/need a location each/, "$mail $url",
    "$hold doi_link \$arg_t; $proxy");
bad('satisfy any', qr/"satisfy any".*"doi_hold"/, "$mail $url",
    "satisfy any; $hold $proxy");

# doi_confirm

good('confirm', '', "doi_confirm \$arg_t scope=s start=/ code=on
     answer=upstream; $proxy");
bad('a constant token', qr/invalid token "abc" of "doi_confirm"/, '',
    "doi_confirm abc; $proxy");
bad('confirm: unknown parameter', qr/"code=maybe" of "doi_confirm"/, '',
    "doi_confirm \$arg_t code=maybe; $proxy");
bad('confirm: a second upstream', qr/"non_idempotent".*"doi_confirm"/, '',
    "doi_confirm \$arg_t; proxy_next_upstream error non_idempotent; $proxy");
bad('confirm: no store', qr/"doi_confirm" needs a store/, '',
    "doi_confirm \$arg_t; $proxy", store => '');

# doi_limit

good('limits', "$mail $url doi_limit global rate=100/m;
     doi_limit recipient off; doi_limit network rate=10/h burst=2;",
     "$hold $proxy");
bad('limit: key', qr/unknown key "mail" of "doi_limit": .*"recipient"/,
    'doi_limit mail rate=1/d;', $proxy);
bad('limit: rate', qr/invalid "rate=often" of "doi_limit".*rate=5\/d/,
    'doi_limit slot rate=often;', $proxy);
bad('limit: too many', qr/invalid "rate=1000\/d"/,
    'doi_limit slot rate=1000/d;', $proxy);
bad('limit: burst', qr/invalid parameter "burst=0"/,
    'doi_limit slot rate=5/d burst=0;', $proxy);
bad('limit: nothing', qr/needs "rate=" or "off"/, 'doi_limit slot;', $proxy);

# doi_mail

for my $ok ('smtp://localhost', 'smtp://[::1]:2525 starttls=off',
            'smtps://mail.example.com:465',
            "smtp://h user=u password_file=$dir/secret starttls=required")
{
    good("mail $ok", "doi_mail $ok from=a\@example.com;", $proxy);
}

good('mail with a name', 'doi_mail smtp://h "from=Zoë <a@bücher.example>";',
     $proxy);

bad('mail: scheme', qr/invalid "http:\/\/h" of "doi_mail"/,
    'doi_mail http://h from=a@example.com;', $proxy);
bad('mail: no host', qr/invalid "smtp:\/\/" of "doi_mail"/,
    'doi_mail smtp:// from=a@example.com;', $proxy);
bad('mail: password in the URL', qr/invalid "smtp:\/\/u:p\@h"/,
    'doi_mail smtp://u:p@h from=a@example.com;', $proxy);
bad('mail: no sender', qr/needs a sender/,
    'doi_mail smtp://h timeout=5s;', $proxy);
bad('mail: sender', qr/invalid "from=nobody".*bookings\@example\.org/,
    'doi_mail smtp://h from=nobody;', $proxy);
bad('mail: user alone', qr/both "user=" and "password_file="/,
    'doi_mail smtp://h from=a@example.com user=u;', $proxy);
bad('mail: readable password', qr/can be read or written by others: "chmod 600/,
    "doi_mail smtp://h from=a\@example.com user=u password_file=$dir/open;",
    $proxy);
bad('mail: empty password', qr/is empty: its first line/,
    "doi_mail smtp://h from=a\@example.com user=u password_file=$dir/empty;",
    $proxy);
bad('mail: no such file', qr/cannot open ".*nowhere"/,
    "doi_mail smtp://h from=a\@example.com user=u password_file=$dir/nowhere;",
    $proxy);
bad('mail: starttls of smtps', qr/invalid parameter "starttls=on"/,
    'doi_mail smtps://h from=a@example.com starttls=on;', $proxy);
bad('mail twice', qr/"doi_mail" directive is duplicate/,
    "$mail $mail", $proxy);

# doi_webhook

good('webhook', "doi_webhook https://h/x secret_file=$dir/hook
     events=held,confirmed allow=private;", $proxy);
bad('webhook: scheme', qr/invalid "ftp:\/\/h" of "doi_webhook"/,
    "doi_webhook ftp://h secret_file=$dir/hook;", $proxy);
bad('webhook: no secret', qr/needs "secret_file=PATH"/,
    'doi_webhook https://h events=held;', $proxy);
bad('webhook: secret', qr/the secret in ".*" of "doi_webhook" is not valid/,
    "doi_webhook https://h secret_file=$dir/secret;", $proxy);
bad('webhook: event', qr/unknown event in "events=held,booked"/,
    "doi_webhook https://h secret_file=$dir/hook events=held,booked;", $proxy);
bad('webhook twice', qr/stands twice for this URL/,
    "doi_webhook https://h secret_file=$dir/hook;
     doi_webhook https://h secret_file=$dir/hook;", $proxy);

# doi_caldav, doi_feed

good('caldav', "doi_caldav http://h/c/ user=u password_file=$dir/secret;",
     'doi_caldav off;' . $proxy);
bad('caldav: not a collection', qr/invalid "http:\/\/h\/c" of "doi_caldav"/,
    'doi_caldav http://h/c;', $proxy);
bad('caldav: user alone', qr/both "user=" and "password_file="/,
    'doi_caldav http://h/c/ user=u;', $proxy);
good('feed', '', 'doi_feed scope=$arg_s;');
bad('feed: parameter', qr/invalid parameter "all" of "doi_feed"/, '',
    'doi_feed all;');
bad('feed: no store', qr/"doi_feed" needs a store/, '', 'doi_feed;',
    store => '');

done_testing();
