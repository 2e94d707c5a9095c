# What nginx -t says of doi_owner, doi_url, doi_base_url, doi_templates, doi_api
# and doi_metrics.

use lib 't/lib';
use Doi;

my $t = Doi->new;

sub conf {
    my ($location, $http) = @_;

    $http //= '';

    return <<"EOC";
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    $http
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location / {
            $location
        }
    }
}
EOC
}

sub good {
    my ($name, @conf) = @_;

    my ($status, $out) = $t->test_config(conf(@conf));

    is($status, 0, "good: $name") or diag($out);

    return $out;
}

sub bad {
    my ($name, $conf, @like) = @_;

    my ($status, $out) = $t->test_config(conf(ref $conf ? @$conf : $conf));

    isnt($status, 0, "$name: refused");
    like($out, qr/\[emerg\].*$_/, "$name: says $_") for @like;
    like($out, qr/test\.conf:\d+/, "$name: file and line");
}

# Owner

good('owner', 'doi_owner "name=A B" email=a@b.example phone=1 url=/c;');
good('owner from variables', 'doi_owner name=$host email=info@$host;');
good('owner of all', '', 'doi_owner name=A email=a@b.example;');
bad('owner without email', 'doi_owner name=A;',
    qr/"doi_owner" directive needs "name=" and "email="/);
bad('owner without name', 'doi_owner email=a@b.example phone=1;',
    qr/"doi_owner" directive needs "name=" and "email="/);
bad('owner with an unknown parameter',
    'doi_owner name=A email=a@b.example fax=1;',
    qr/invalid parameter "fax=1" of "doi_owner".*phone=/);
bad('owner with two names', 'doi_owner name=A name=B email=a@b.example;',
    qr/"name=B" of "doi_owner".*each once/);
bad('owner twice', 'doi_owner name=A email=a; doi_owner name=B email=b;',
    qr/"doi_owner" directive is duplicate/);
bad('owner of nothing', 'doi_owner;', qr/number of arguments.*"doi_owner"/);

# URLs

good('url', 'doi_url link /b/$doi_scope/$doi_token;');
good("url $_", "doi_url $_ /b?t=\$doi_token;") for qw(confirm unsubscribe);
good('braces', 'doi_url link "/b/${doi_token}/";');
good('base url', 'doi_base_url https://$server_name;');
bad('url of an unknown purpose', 'doi_url links /b/$doi_token;',
    qr/unknown purpose "links" of "doi_url".*"link"/);
bad('url without the token', 'doi_url link /b/$doi_scope;',
    qr/invalid path "\/b\/\$doi_scope" of "doi_url".*\$doi_token/);
bad('url that is not a path', 'doi_url link b/$doi_token;',
    qr/of "doi_url".*starts with "\/"/);
bad('url with a host', 'doi_url link https://h/$doi_token;',
    qr/of "doi_url".*starts with "\/"/);
isnt(($t->test_config(conf('doi_url link /b/$doi_tokens;')))[0], 0,
     'url of another variable: refused');
bad('url twice', 'doi_url link /$doi_token; doi_url link /b/$doi_token;',
    qr/"doi_url" directive is duplicate/);
bad('url without a path', 'doi_url link;', qr/number of arguments.*"doi_url"/);
bad('base url twice', 'doi_base_url http://a; doi_base_url http://b;',
    qr/"doi_base_url" directive is duplicate/);

# A link in a mail starts with these; without a scheme it is none.

bad("base url $_", "doi_base_url $_;", qr/"?doi_base_url"?.*https?:\/\//)
    for qw(book.example.com //book.example.com javascript:alert(1));

# Templates

my $dir = $t->dir;

bad('templates that are not there', 'doi_templates %%DIR%%/none;',
    qr/"doi_templates" cannot open the directory ".*\/none"/);
bad('templates in a file', 'doi_templates %%DIR%%/test.conf;',
    qr/"doi_templates" cannot open the directory/);

sub templates {
    my ($file, $text) = @_;

    my $set = $file =~ s/\W/_/gr . int rand 1e9;
    $t->write_file("$set/$file", $text);

    return "doi_templates $set;";
}

my $frame = slurp("$Doi::ROOT/pages/page.html");

good('templates: none', templates('.hidden', '{{#'));
good('templates: the built-in frame', templates('page.html', $frame));
like(good('templates: an unknown file', templates('pagee.html', 'x')),
     qr/\[warn\].*"doi_templates".*pagee\.html/, 'and a warning');

for (
    [ 'unknown variable', 'used.html', "<p>\n{{ownr.name}}</p>\n", qr/:2: / ],
    [ 'open section', 'used.html', "\n\n{{#id}}\n", qr/:\d+: / ],
    [ 'unknown filter', 'used.html', "<a href=\"{{id|upper}}\">\n", qr/:1: / ],
    [ 'script', 'page.html', "$frame\n<script>alert(1)</script>\n", qr/:\d+: / ],
    [ 'a misspelt key', 'en.txt', "# text\nused.titel = Oh\n", qr/:2: / ],
    [ 'a line without =', 'fr.txt', "used.title\n", qr/:1: / ],
    [ 'not UTF-8', 'fr.txt', "used.title = \xe9\n", qr/:1: / ],
) {
    my ($name, $file, $text, $line) = @$_;

    bad("templates: $name", templates($file, $text),
        qr/"?doi_templates\b/, qr/\Q$file\E$line/);
}

bad('templates: too large', templates('style.css', '/*' . 'x' x 262144),
    qr/style\.css" is larger/);
mkdir "$dir/sub";
mkdir "$dir/sub/used.html";
bad('templates: a directory among them', 'doi_templates sub;',
    qr/used\.html" is not a file/);
bad('templates twice', 'doi_templates sub2; doi_templates sub2;', qr/./)
    if mkdir "$dir/sub2";

# API and metrics

good("api $_", "doi_api $_;") for 'read', 'mint read', 'read mint resolve';
bad('api with an unknown permission', 'doi_api read write;',
    qr/unknown permission "write" of "doi_api".*"resolve"/);
bad('api without a permission', 'doi_api;', qr/number of arguments.*"doi_api"/);
bad('api twice', 'doi_api read; doi_api mint;',
    qr/"doi_api" directive is duplicate/);
bad('metrics with an argument', 'doi_metrics on;',
    qr/number of arguments.*"doi_metrics"/);
good('metrics', 'doi_metrics;');

# Without a store they have nothing to tell: say so now, not at run time.

for my $d ('doi_api read', 'doi_metrics') {
    (my $text = conf("$d;")) =~ s/doi_store \S+;//;
    my ($status, $out) = $t->test_config($text);
    my ($name) = split / /, $d;

    isnt($status, 0, "$name without a store: refused");
    like($out, qr/\[emerg\].*"$name".*doi_store/,
         "$name without a store: names the mend");
}

done_testing();
