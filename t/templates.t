# doi_templates: an operator's own frame, style, page for one state and
# language; and values of doi_owner that are out for no good.

use lib 't/lib';
use Doi;

use Digest::SHA qw(sha256_base64);

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

my $frame = slurp("$Doi::ROOT/pages/page.html");

$t->write_file('own/page.html', $frame =~ s/<main>/<main id="own">/r);
$t->write_file('own/style.css', "body { color: #123 }\n/* <&\"' */\n");
$t->write_file('own/used.html', <<'EOH');
<!DOCTYPE html>
<html lang="{{lang}}"><head><title>{{t.title}}</title>
<style>{{style|css}}</style></head><body>
<h1>USED {{status}} {{state}}</h1>
<p>{{t.text}}|{{t.hours}}</p>
<p>{{owner.name}}|{{owner.email}}|{{owner.phone}}|{{owner.url}}</p>
<p><a href="{{owner.url|url}}">{{owner.url|short}}</a></p>
<p>{{id}}</p></body></html>
EOH
$t->write_file('own/fr.txt', <<'EOH');
used.title = D'abord & <toujours>
used.text = Ce lien a déjà servi
used.hours = Du lundi au vendredi
EOH
$t->write_file('own/en.txt', slurp("$Doi::ROOT/pages/en.txt")
               . "\nused.hours = Monday to Friday\n");

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /plain/ {
            doi_link $arg_t scope=s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /own/ {
            doi_link $arg_t scope=s;
            doi_templates own;
            doi_owner "name=Dental & Sons" email=info@$arg_o
                      "phone=+49 (0)30 12" url=https://$arg_o/contact;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
            location /own/sub/ {
                proxy_pass http://127.0.0.1:%%PORT:app%%;
            }
        }
        location /evil/ {
            doi_link $arg_t scope=s;
            doi_owner name=$http_x_name email=$http_x_email
                      phone=$http_x_phone url=$http_x_url;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

my $used = $t->mint(scope => 's');
my $id = token_fields($used)->{id};
is($t->post("/plain/?t=$used", body => 'x')->status, 200, 'book');

sub page {
    my ($uri, $lang, @headers) = @_;

    my $r = $t->get("$uri?o=dental.example&t=$used", headers => {
        $lang ? ('Accept-Language' => $lang) : (), @headers });
    my $text = $r->body;
    utf8::decode($text) or fail("$uri: not UTF-8");

    return ($text, $r);
}

# What is between <style> and </style> is what the policy lets through.

sub policy {
    my ($name, $r) = @_;

    my @styles = $r->body =~ m{<style>(.*?)</style>}sg;
    my $csp = $r->header('Content-Security-Policy') // '';

    is(scalar(@styles), 1, "$name: one style");
    like($csp, qr/style-src 'sha256-\Q@{[ sha256_base64($styles[0]) ]}\E='/,
         "$name: its hash is in the policy");
    like($csp, qr/default-src 'none'/, "$name: nothing else is let through");
    unlike($csp, qr/unsafe|script-src/, "$name: no exception");
}

# Built in

my ($text, $r) = page('/plain/');
is($r->status, 410, 'built-in page');
unlike($text, qr/id="own"|USED/, 'has nothing of ours');
policy('built-in', $r);

# Our own

($text, $r) = page('/own/');
is($r->status, 410, 'page of our own');
like($text, qr/<h1>USED 410 used<\/h1>/, 'of that state');
like($text, qr/\|Monday to Friday</, 'with a text of our own');
like($text, qr/Dental &amp; Sons\|info\@dental\.example\|\+49 \(0\)30 12\|/,
     'owner from variables');
like($text, qr{<a href="https://dental\.example/contact">dental},
     'his page');
like($text, qr/<p>$id</, 'the reference');
like($text, qr/color: #123/, 'our style');
policy('of our own', $r);
is($r->header('Content-Language'), 'en', 'its language');

is((page('/own/sub/'))[0], $text, 'inherited');

($text, $r) = page('/own/', 'fr-CA, de;q=0.5');
is($r->header('Content-Language'), 'fr', 'a new language');
like($text, qr/<html lang="fr">/, 'is in the page');
like($text, qr/<title>D(?:'|&#39;|&#x27;)abord &amp; &lt;toujours&gt;<\/title>/,
     'texts are escaped, too');
like($text, qr/Ce lien a d\x{e9}j\x{e0} servi\|Du lundi/, 'its texts');

($text, $r) = page('/own/', 'de');
is($r->header('Content-Language'), 'de', 'a built-in language');
like($text, qr/\|Monday to Friday</, 'what it lacks is from English');

$r = $t->get('/own/?t=forged&o=dental.example');
is($r->status, 403, 'another state');
like($r->body, qr/<main id="own">/, 'has our frame');
unlike($r->body, qr/USED/, 'not the page of that state');
like($r->body, qr/tel:\+?493012|tel:\+49/, 'the number to call');
policy('another state', $r);

$r = $t->get('/own/?t=forged', headers => { 'Accept-Language' => 'fr' });
like($r->body, qr/This link is not valid/, 'what a language lacks is English');

($text, $r) = page('/own/', 'fr', Accept => 'application/json');
my $j = $r->json;
is($j->{title}, "D'abord & <toujours>", 'JSON has texts as they are');
is_deeply($j->{contact}, { name => 'Dental & Sons',
    email => 'info@dental.example', phone => '+49 (0)30 12',
    url => 'https://dental.example/contact' }, 'and the owner');

# Owners out for no good: nothing of it may become markup or a script.

sub evil {
    my ($name, %h) = @_;

    my ($text, $r) = page('/evil/', undef,
        'X-Name' => 'N', 'X-Email' => 'e@h', %h);
    my @tags = $text =~ /<(?!!--|\/)([a-z0-9]+)/gi;

    is_deeply([ grep { !/^(?:html|head|meta|title|style|body|main|article|svg
                            |circle|path|h1|h2|p|time|a|section|dl|div|dt|dd
                            |bdi|footer|code)$/x } @tags ], [],
              "$name: no tag that is not ours");
    unlike($text, qr/<[^>]*\son\w+\s*=/i, "$name: no handler");
    unlike($text, qr/(?:href|src)\s*=\s*["']?\s*(?:javascript|data|vbscript):/i,
           "$name: no script in a link");
    my @open = $text =~ /<(?!!|meta|circle|path)([a-z0-9]+)[^>]*>/g;
    my @close = $text =~ /<\/([a-z0-9]+)>/g;
    is(scalar(@open), scalar(@close), "$name: tags are closed");
    ok($t->get("/evil/?t=$used", headers => { %h },
               accept => 'application/json')->json, "$name: JSON is JSON");

    return $text;
}

$text = evil('script', 'X-Name' => '<script>alert(1)</script>');
like($text, qr/&lt;script&gt;alert\(1\)/, 'script: is shown');

evil("in $_", "X-$_" => '"><img src=x onerror=alert(1)>')
    for qw(Name Email Phone Url);
evil('quotes', map { ("X-$_" => q(" onclick="alert(1)" x=' y=`)) }
     qw(Name Email Phone Url));
evil('a style', 'X-Name' => '</style><style>*{display:none}</style>');
evil('a comment', 'X-Name' => '<!-- ', 'X-Email' => '--><b>');
evil('a template', 'X-Name' => '{{t.title}}{{#is.used}}');

for my $url ('javascript:alert(1)', 'JavaScript:alert(1)',
             "java\tscript:alert(1)", ' javascript:alert(1)',
             'data:text/html,<script>1</script>', 'vbscript:x',
             '//evil.example/', '/\\evil.example', 'https:javascript:alert(1)')
{
    $text = evil("url $url", 'X-Url' => $url);
    unlike($text, qr/href="[^"]*(?:script|data:)/i, "url $url: not a link")
        if $url !~ /^https:|evil/;
    unlike($text, qr{href="[/\\]{2}}, "url $url: not another host");
}

like(evil('a path', 'X-Url' => '/contact'), qr{href="/contact"},
     'a path is a link');
like(evil('a mail with arguments', 'X-Email' => 'a@b?bcc=c@d&body=x'),
     qr/mailto:a%40b%3Fbcc|mailto:a\@b%3Fbcc/,
     'a mail address cannot bring arguments');
like(evil('broken UTF-8', 'X-Name' => "a\xff\xfeb"), qr/a\x{fffd}+b/,
     'broken UTF-8 is replaced');
evil('empty', map { ("X-$_" => '') } qw(Name Email Phone Url));

# A change is used after a reload; a broken one is not.

$t->write_file('own/used.html', "<p>{{nonsense}}</p>\n");
my ($status, $out) = $t->test_config;
isnt($status, 0, 'a broken template: nginx -t fails');
like($out, qr/doi_templates.*used\.html:1: .*nonsense/, 'and says where');
like((page('/own/'))[0], qr/USED/, 'what runs goes on');

$t->write_file('own/used.html', "<title>v2</title><style>{{style|css}}</style>"
               . "<p>{{t.text}} {{t.hours}}</p>\n");

# Frames of mails, and of pages of bookings, are checked with the rest.

for my $bad ([ 'mail.txt', "{{t.title}}\n\n{{url|url}}\n",
               qr/mail\.txt:3: .*plain text does not take .*"url"/ ],
             [ 'mail.html', "<p>\n{{nonsense}}</p>\n",
               qr/mail\.html:2: .*nonsense/ ],
             [ 'mail.html', '', qr/mail\.html is empty/ ],
             [ 'confirm.html', "<style>p{}</style>\n",
               qr/confirm\.html:1: styles go to style\.css/ ],
             [ 'de.txt', "when = {{slot}}\n", qr/de\.txt:1: .*"slot"/ ],
             [ 'de.txt', "mail_owner.titel = x\n",
               qr/de\.txt:1: no page uses "mail_owner\.titel"/ ])
{
    my ($file, $content, $says) = @$bad;

    $t->write_file("own/$file", $content);
    ($status, $out) = $t->test_config;
    isnt($status, 0, "a broken $file: nginx -t fails");
    like($out, qr/doi_templates.*$says/, 'and says where');
    unlink $t->dir . "/own/$file" or die "unlink: $!";
}

$t->write_file('own/mail.txt', "{{t.title}}\n\n{{url}}\n");
$t->write_file('own/mail.html',
               qq(<p style="color:red"><a href="{{url|url}}">{{t.button}}</a>\n));
$t->write_file('own/confirm.html',
               "{{#is.ask}}<form method=\"post\">{{t.yes}}</form>{{/is.ask}}\n");
($status, $out) = $t->test_config;
is($status, 0, 'good ones');
unlike($out, qr/is ignored/, 'whose names are known');

my @old = $t->reload(30);
ok(@old && $t->wait_gone(30, @old), 'reload');
like((page('/own/'))[0], qr/v2/, 'the new one');
is((page('/own/', 'mail, de;q=0.5'))[1]->header('Content-Language'), 'de',
   'mail.txt is not a language');
policy('the new one', (page('/own/'))[1]);

done_testing();
