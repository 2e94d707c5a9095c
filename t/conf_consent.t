# What nginx -t says of the directives for consent: what is wrong, where, and the
# mend.

use lib 't/lib';
use Doi;

my $t = Doi->new;

$t->write_file('secret', "hunter2\n", 0600);
$t->write_file('open', "hunter2\n", 0644);
$t->write_file('group', "hunter2\n", 0620);
$t->write_file('empty', "\n", 0600);
$t->write_file('blank', "hunter2 x\n", 0600);
$t->write_file('large', 'hunter2' x 1000, 0600);

my $dir = $t->dir;
my $secret = "secret_file=$dir/secret";
my $base = 'doi_base_url https://www.example.org;';
my $mail = 'doi_mail maildir:%%DIR%%/mail from=a@example.com;';
my $url = "$base doi_url confirm /c/\$doi_token;";
my $sms = "doi_gateway sms json https://h/x $secret;";
my $proxy = 'proxy_pass http://127.0.0.1:1;';
my $gate = 'doi_consent double to=To channel=sms;';
my $form = 'doi_subscribe channel=email address=email;';
my $in = "doi_inbound json $secret;";
my $out = 'doi_unsubscribe $arg_t;';

sub conf {
    my ($http, $location, %o) = @_;

    my $store = $o{store} // 'doi_store %%DIR%%/store;';
    my $key = $o{key} // 'doi_key 1 file:%%KEY%%;';
    my $server = $o{server} // '';

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
        $server
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

# A file with a secret: %s is its path.

sub secrets {
    my ($directive, $http, $location) = @_;

    for my $case ([ open => qr/can be read or written by others: "chmod 600/ ],
                  [ group => qr/can be read or written by others: "chmod 600/ ],
                  [ empty => qr/is empty: its first line is the secret/ ],
                  [ nowhere => qr/cannot open ".*nowhere"/ ],
                  [ large => qr/is larger than \d+ bytes/ ])
    {
        my ($file, $like) = @$case;

        my @conf = map { s{%s}{$dir/$file}gr } $http, $location;
        bad("$directive: secret: $file", $like, @conf);

        my (undef, $out) = $t->test_config(conf(@conf));
        like($out, qr/"\Q$directive\E"/, "$directive: is named");
        like($out, qr{"\Q$dir/$file\E"}, "$directive: the file, too");
    }
}

# Where each may stand, and how many values it takes.

my %directives = (
    doi_inbound      => [ "json $secret", 'http server' ],
    doi_gateway      => [ "sms json https://h/x $secret", 'server location' ],
    doi_keyword      => [ 'stop weg', '' ],
    doi_message      => [ 'help x', '' ],
    doi_subscribe    => [ 'channel=email address=email', 'http server' ],
    doi_unsubscribe  => [ '$arg_t', 'http server' ],
    doi_consent      => [ 'single to=To channel=sms', 'http server' ],
    doi_optout_scope => [ 'list', '' ],
    doi_evidence     => [ 'client=hash', '' ],
    doi_sync         => [ "json https://h/x $secret", 'server location' ],
);

for my $name (sort keys %directives) {
    my ($args, $wrong) = @{ $directives{$name} };

    for my $place (qw(http server location)) {
        my @conf = $place eq 'http' ? ("$name $args;", '')
                 : $place eq 'server' ? ('', '', server => "$name $args;")
                 : ('', "$name $args;");

        $wrong =~ /$place/
            ? bad("$name in $place", qr/"$name" directive is not allowed here/,
                  @conf)
            : good("$name in $place", @conf);
    }

    bad("$name: no values",
        qr/invalid number of arguments in "$name" directive/,
        $wrong =~ /server/ && $wrong !~ /http/ ? ("$name;", '') : ('', "$name;"));
}

# doi_inbound

good('inbound', $base, "doi_inbound twilio $secret level=double list=\$arg_l
     country=49;");
good('inbound: meta', "doi_gateway whatsapp meta https://h/x $secret;",
     "doi_inbound meta $secret verify_token_file=$dir/secret level=double;");
good('inbound: if in a location', '', "$in if (\$arg_a) { set \$x 1; }");

bad('inbound: provider', qr/unknown provider "sinch" of "doi_inbound": it is "twilio", "meta" or "json"/,
    '', "doi_inbound sinch $secret;");
bad('inbound: no secret', qr/"doi_inbound" directive needs "secret_file=PATH"/,
    '', 'doi_inbound json level=single;');
bad('inbound: unknown parameter',
    qr/invalid parameter "lists=x" of "doi_inbound": known.*"list="/,
    '', "doi_inbound json $secret lists=x;");
for my $param ('level=triple', 'country=0', 'country=999', 'country=+49',
               'country=', 'list=', 'level=', "verify_token_file=$dir/secret")
{
    bad("inbound: $param", qr/invalid parameter "\Q$param\E" of "doi_inbound"/,
        '', "doi_inbound json $secret $param;");
}
for my $param ('level=single', 'country=49', 'list=a', $secret) {
    bad("inbound: $param twice", qr/invalid parameter "\Q$param\E" of "doi_inbound": known, once each/,
        '', "doi_inbound json $secret $param $param;");
}
bad('inbound twice', qr/"doi_inbound" directive is duplicate/, '', "$in $in");
bad('inbound: unknown variable', qr/unknown "nothing" variable/,
    '', "doi_inbound json $secret list=\$nothing;");
bad('inbound: no address',
    qr/"doi_inbound twilio" has to know.*"doi_base_url https:/,
    '', "doi_inbound twilio $secret;");
bad('inbound: nobody sends the prompt of meta',
    qr/"doi_inbound" with "level=double".*"doi_gateway whatsapp/, $sms,
    "doi_inbound meta $secret level=double;");
bad('inbound: nobody sends the prompt of json',
    qr/"doi_inbound" with "level=double".*"doi_gateway sms/, '',
    "doi_inbound json $secret level=double;");
bad('inbound: no store', qr/"doi_inbound" needs a store: put "doi_store /,
    '', $in, store => '');
bad('inbound: no key', qr/"doi_inbound" needs a key.*openssl rand -hex 32/,
    '', $in, key => '');
secrets('doi_inbound', '', 'doi_inbound json secret_file=%s;');
secrets('doi_inbound', '',
        "doi_inbound meta $secret verify_token_file=%s;");

# doi_gateway

good('gateways', "doi_gateway sms twilio https://h/x user=AC1 from=+15005550006
     $secret; doi_gateway whatsapp json http://127.0.0.1/ $secret
     ca_file=/etc/ssl/cert.pem allow=private;", '');

bad('gateway: channel', qr/unknown channel "email" of "doi_gateway".*"doi_mail"/,
    "doi_gateway email json https://h/ $secret;", '');
bad('gateway: provider', qr/unknown provider "sinch" of "doi_gateway"/,
    "doi_gateway sms sinch https://h/ $secret;", '');
bad('gateway: no URL', qr/"doi_gateway" directive needs a channel, a provider/,
    'doi_gateway sms json;', '');
for my $bad ('ftp://h/', 'https://', 'https://u:p@h/', 'h') {
    bad("gateway: $bad", qr/invalid "\Q$bad\E" of "doi_gateway": give a URL/,
        "doi_gateway sms json $bad $secret;", '');
}
bad('gateway: meta has no sms',
    qr/"meta" of "doi_gateway" sends no SMS: .*"doi_gateway whatsapp meta/,
    "doi_gateway sms meta https://h/ $secret;", '');
bad('gateway: no secret', qr/"doi_gateway" directive needs "secret_file=PATH"/,
    'doi_gateway sms json https://h/ allow=private;', '');
bad('gateway: twilio alone', qr/twilio needs "user=".*"from="/,
    "doi_gateway sms twilio https://h/ $secret user=AC1;", '');
bad('gateway: unknown parameter',
    qr/invalid parameter "to=1" of "doi_gateway": known/,
    "doi_gateway sms json https://h/ $secret to=1;", '');
for my $param ('from=', 'user=', 'ca_file=', 'allow=all') {
    bad("gateway: $param", qr/invalid parameter "\Q$param\E" of "doi_gateway"/,
        "doi_gateway sms json https://h/ $secret $param;", '');
}
for my $param ('from=+1', 'user=AC1', $secret, 'ca_file=/x') {
    bad("gateway: $param twice",
        qr/invalid parameter "\Q$param\E" of "doi_gateway"/,
        "doi_gateway sms json https://h/ $secret $param $param;", '');
}
bad('gateway twice', qr/"doi_gateway" directive stands twice for this channel/,
    "$sms $sms", '');
secrets('doi_gateway', 'doi_gateway sms json https://h/x secret_file=%s;', '');

# doi_keyword

good('keywords', 'doi_keyword confirm ok; doi_keyword subscribe Hallo mitmachen;
     doi_keyword stop "kein interesse"; doi_keyword help hilfe;', '');
good('a keyword that is there anyhow', 'doi_keyword stop STOP stop;', '');

bad('keyword: meaning', qr/unknown meaning "halt" of "doi_keyword": it is "confirm"/,
    'doi_keyword halt x;', '');
bad('keyword: confirm', qr/the word "SURE" of "doi_keyword" is none of YES/,
    'doi_keyword confirm SURE;', '');
bad('keyword: two words of confirmation',
    qr/"doi_keyword confirm" takes one word/, 'doi_keyword confirm YES OK;', '');
bad('keyword: stop word that confirms', qr/"yes" of "doi_keyword" means something else/,
    'doi_keyword stop yes;', '');
bad('keyword: stop word that subscribes',
    qr/"stop" of "doi_keyword" means something else/,
    'doi_keyword subscribe stop;', '');
bad('keyword: a stop word in it', qr/"please stop it" of "doi_keyword" has a stop word in it/,
    'doi_keyword subscribe "please stop it";', '');
bad('keyword: empty', qr/the word "" of "doi_keyword" is empty/,
    'doi_keyword stop "";', '');
bad('keyword: long', qr/of "doi_keyword" is too long/,
    'doi_keyword stop ' . 'x' x 200 . ';', '');
bad('keyword: not UTF-8', qr/of "doi_keyword" is not UTF-8/,
    "doi_keyword stop \xff\xfe;", '');
bad('keyword: too many', qr/of "doi_keyword" is one too many/,
    join('', map { "doi_keyword stop weg$_;" } 1 .. 200), '');

# doi_message

good('messages', 'doi_message prompt "{{owner}}: {{keyword}} {{link}} $host";
     doi_message reminder "see {{link}}"; doi_message confirmed x;
     doi_message opted_out "{{owner}}"; doi_message help "";', '');

bad('message: name', qr/unknown message "hello" of "doi_message": it is "prompt"/,
    'doi_message hello x;', '');
bad('message: variable', qr/unknown variable in "\{\{name}}" of "doi_message": known are "\{\{keyword/,
    'doi_message help "{{name}}";', '');
bad('message: variable of nginx', qr/unknown "nothing" variable/,
    'doi_message help $nothing;', '');
bad('message: nothing to answer', qr/"doi_message" directive of a prompt.*\{\{keyword}}/,
    'doi_message prompt "please confirm";', '');
bad('message twice', qr/"doi_message" directive is duplicate/,
    'doi_message help a; doi_message help b;', '');

# doi_subscribe

good('subscribe', "$mail $url", 'doi_subscribe channel=email address=who.mail
     level=double list=$arg_l person=id "wording=I agree, $host";' . $proxy);
good('subscribe: sms', "$sms", 'doi_subscribe channel=sms address=phone
     level=double country=49;');
good('subscribe: single needs nobody', '', $form);

bad('subscribe: no channel', qr/"doi_subscribe" directive needs.*channel=email/,
    '', 'doi_subscribe address=email;');
bad('subscribe: no address', qr/"doi_subscribe" directive needs.*address=FIELD/,
    '', 'doi_subscribe channel=email;');
bad('subscribe: unknown parameter',
    qr/invalid parameter "email=m" of "doi_subscribe": known/,
    '', 'doi_subscribe channel=email email=m;');
for my $param ('channel=fax', 'address=', 'person=', 'list=', 'level=none',
               'country=zz')
{
    bad("subscribe: $param",
        qr/invalid parameter "\Q$param\E" of "doi_subscribe"/,
        '', "doi_subscribe $param;");
}
for my $param ('channel=email', 'address=a', 'person=p', 'list=l', 'wording=w',
               'level=single', 'country=49')
{
    bad("subscribe: $param twice",
        qr/invalid parameter "\Q$param\E" of "doi_subscribe": known, once each/,
        '', "doi_subscribe $param $param;");
}
bad('subscribe twice', qr/"doi_subscribe" directive is duplicate/, '',
    "$form $form");
bad('subscribe: no mail', qr/sends a mail with a link: give "doi_mail"/, $url,
    'doi_subscribe channel=email address=email level=double;');
bad('subscribe: no address of links', qr/give "doi_mail", "doi_base_url .*"doi_url confirm/,
    $mail, 'doi_subscribe channel=email address=email level=double;');
bad('subscribe: no gateway', qr/sends a message: give "doi_gateway whatsapp/,
    $sms, 'doi_subscribe channel=whatsapp address=p level=double;');
bad('subscribe: no store', qr/"doi_subscribe" needs a store/, '', $form,
    store => '');
bad('subscribe: no key', qr/"doi_subscribe" needs a key/, '', $form, key => '');
bad('subscribe: satisfy any', qr/"satisfy any".*"doi_subscribe"/, '',
    "satisfy any; $form");

# doi_unsubscribe

good('unsubscribe', '', 'doi_unsubscribe $arg_t scope=$arg_s;');

bad('unsubscribe: a constant', qr/invalid token "abc" of "doi_unsubscribe": give a variable/,
    '', 'doi_unsubscribe abc;');
bad('unsubscribe: unknown parameter',
    qr/invalid parameter "list=x" of "doi_unsubscribe": known is "scope="/,
    '', 'doi_unsubscribe $arg_t list=x;');
bad('unsubscribe twice', qr/"doi_unsubscribe" directive is duplicate/, '',
    "$out $out");
bad('unsubscribe: no store', qr/"doi_unsubscribe" needs a store/, '', $out,
    store => '');
bad('unsubscribe: no key', qr/"doi_unsubscribe" needs a key/, '', $out,
    key => '');
bad('unsubscribe: satisfy any', qr/"satisfy any".*"doi_unsubscribe"/, '',
    "satisfy any; $out");

# doi_consent

good('gate', '', 'doi_consent double to=To channel=sms list=$arg_l country=49
     since=2026-01-01 learn=twilio;' . $proxy);
good('gate: a value', '',
     "doi_consent single address=\$arg_to channel=email; $proxy");
good('gate: off', '', 'doi_consent off;' . $proxy, store => '', key => '');
good('gate: on outside, off inside', '',
     "$gate $proxy location /x/y { doi_consent off; $out }");

bad('gate: level', qr/invalid level "triple" of "doi_consent": known are "single", "double"/,
    '', 'doi_consent triple to=To channel=sms;');
bad('gate: no recipient', qr/"doi_consent" directive needs either "address=VALUE" or "to=FIELD"/,
    '', 'doi_consent single channel=sms;');
bad('gate: both', qr/"doi_consent" directive needs either/,
    '', 'doi_consent single address=$arg_a to=To channel=sms;');
bad('gate: no channel', qr/"doi_consent" directive needs "channel=email"/,
    '', 'doi_consent single to=To;');
bad('gate: since with single', qr/"since=", which means something with "double" only/,
    '', 'doi_consent single to=To channel=sms since=2026-01-01;');
for my $date ('2026-02-31', '2026-1-1', '26-01-01', 'today', '2026-13-01',
              '2026-01-01T00:00:00Z', '')
{
    bad("gate: since=$date",
        qr/invalid "since=$date" of "doi_consent": give a date/,
        '', "doi_consent double to=To channel=sms since=$date;");
}
for my $code ('999', '0049', '+49', 'de', '') {
    bad("gate: country=$code",
        qr/invalid "country=\Q$code\E" of "doi_consent": give the country's code/,
        '', "doi_consent single to=To channel=sms country=$code;");
}
for my $param ('channel=fax', 'to=', 'address=', 'list=', 'learn=meta',
               'field=To')
{
    bad("gate: $param", qr/invalid parameter "\Q$param\E" of "doi_consent": known/,
        '', "doi_consent double $param;");
}
for my $param ('channel=sms', 'address=$arg_a', 'list=l', 'learn=twilio',
               'since=2026-01-01', 'country=49')
{
    bad("gate: $param twice",
        qr/invalid parameter "\Q$param\E" of "doi_consent": known/,
        '', "doi_consent double $param $param;");
}
bad('gate twice', qr/"doi_consent" directive is duplicate/, '', "$gate $gate");
bad('gate: no store', qr/"doi_consent" needs a store/, '', "$gate $proxy",
    store => '');
bad('gate: no key', qr/"doi_consent" needs a key/, '', "$gate $proxy",
    key => '');
bad('gate: satisfy any', qr/"satisfy any".*"doi_consent"/, '',
    "satisfy any; $gate $proxy");
for my $other ('doi_link $arg_t;', 'doi_confirm $arg_t;', $form, $in, $out) {
    my ($name) = $other =~ /^(\w+)/;

    bad("gate with $name", qr/"doi_consent" cannot stand in a location with.*"$name".*"doi_consent off;"/,
        '', "$gate $other $proxy");
}

# Two of them in one location

for my $pair ([ $form, $in ], [ $in, $out ], [ $out, $form ],
              [ $form, 'doi_confirm $arg_t;' ])
{
    bad("@$pair", qr/needs a location of its own: put.*into different ones/,
        '', "@$pair");
}

# doi_optout_scope, doi_evidence

good("scope $_", "doi_optout_scope $_;", '') for qw(person contact list);
good("client=$_", "doi_evidence client=$_;", '') for qw(truncate hash full off);

bad('scope: value', qr/invalid value "all" of "doi_optout_scope": known are "person", "contact" and "list"/,
    'doi_optout_scope all;', '');
bad('scope twice', qr/"doi_optout_scope" directive is duplicate/,
    'doi_optout_scope list; doi_optout_scope list;', '');
bad('evidence: value', qr/invalid parameter "client=yes" of "doi_evidence": known are "client=truncate"/,
    'doi_evidence client=yes;', '');
bad('evidence twice', qr/"doi_evidence" directive is duplicate/,
    'doi_evidence client=off; doi_evidence client=off;', '');

# doi_sync

good('sync', "doi_sync json https://h/a $secret;
     doi_sync salesforce https://h/b $secret allow=private ca_file=/x;
     doi_sync hubspot https://h/c $secret list=news:1 list=sports:2;", '');

bad('sync: CRM', qr/invalid "zoho" of "doi_sync": known are "hubspot"/,
    "doi_sync zoho https://h/ $secret;", '');
for my $bad ('ftp://h/', 'https://', 'https://u:p@h/', 'h') {
    bad("sync: $bad", qr/invalid "\Q$bad\E" of "doi_sync": give a URL/,
        "doi_sync json $bad $secret;", '');
}
bad('sync: no secret', qr/"doi_sync" directive needs "secret_file=PATH"/,
    'doi_sync json https://h/ allow=private;', '');
bad('sync: hubspot without lists',
    qr/"doi_sync" directive of hubspot needs "list=NAME:ID"/,
    "doi_sync hubspot https://h/ $secret;", '');
bad('sync: unknown parameter', qr/invalid parameter "user=x" of "doi_sync": known/,
    "doi_sync json https://h/ $secret user=x;", '');
for my $bad ('news', ':1', 'news:', '') {
    bad("sync: list=$bad", qr/invalid "list=$bad" of "doi_sync": give "list=NAME:ID"/,
        "doi_sync json https://h/ $secret list=$bad;", '');
}
for my $bad ('news:a', 'news:1x', 'news:-1', 'news:1000000000000000000') {
    bad("sync: hubspot, list=$bad",
        qr/invalid "list=$bad" of "doi_sync hubspot": give the number/,
        "doi_sync hubspot https://h/ $secret list=$bad;", '');
}
bad('sync: a list twice', qr/"list=news:2" of "doi_sync" names a list for the second time/,
    "doi_sync json https://h/ $secret list=news:1 list=news:2;", '');
for my $param ('ca_file=', 'allow=all') {
    bad("sync: $param", qr/invalid parameter "\Q$param\E" of "doi_sync"/,
        "doi_sync json https://h/ $secret $param;", '');
}
for my $param ($secret, 'ca_file=/x') {
    bad("sync: $param twice", qr/invalid parameter "\Q$param\E" of "doi_sync"/,
        "doi_sync json https://h/ $secret $param $param;", '');
}
bad('sync twice', qr/"doi_sync" directive stands twice for this URL/,
    "doi_sync json https://h/ $secret; doi_sync json https://h/ $secret;", '');
bad('sync: too many', qr/"doi_sync" directive stands too often/,
    join('', map { "doi_sync json https://h/$_ $secret;" } 1 .. 17), '');
bad('sync: no store', qr/"doi_sync" needs a store/,
    "doi_sync json https://h/ $secret;", '', store => '');
bad('sync: no key', qr/"doi_sync" needs a key/,
    "doi_sync json https://h/ $secret;", '', key => '');
bad('sync: a blank in the secret', qr/printable characters without blanks/,
    "doi_sync json https://h/ secret_file=$dir/blank;", '');
secrets('doi_sync', 'doi_sync json https://h/x secret_file=%s;', '');

# doi_api consent

good('api', '', 'doi_api consent override;');
bad('api: no key', qr/"doi_api consent" needs a key/, '', 'doi_api consent;',
    key => '');

done_testing();
