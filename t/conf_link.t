# What nginx -t says of doi_link and the directives around it: settings that
# would let a booking slip past the module, and plain mistakes.

use lib 't/lib';
use Doi;

my $t = Doi->new;

my $store = 'doi_store %%DIR%%/store;';
my $key = 'doi_key 1 file:%%KEY%%;';
my $link = 'doi_link $arg_t scope=s;';
my $proxy = 'proxy_pass http://127.0.0.1:%%PORT:app%%;';

sub conf {
    my ($location, %o) = @_;

    my $http = $o{http} // '';
    my $server = $o{server} // '';
    $_ //= '' for my ($s, $k) = ($o{store} // $store, $o{key} // $key);

    return <<"EOC";
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    $s
    $k
    $http
    server {
        listen 127.0.0.1:%%PORT:http%%;
        $server
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
    unlike($out, qr/emerg|alert/, "good: $name: no complaint");
}

sub bad {
    my ($name, $conf, @like) = @_;

    my ($status, $out) = $t->test_config(conf(ref $conf ? @$conf : $conf));

    isnt($status, 0, "$name: refused");
    like($out, qr/\[emerg\].*$_/, "$name: says $_") for @like;
    like($out, qr/test\.conf:\d+/, "$name: file and line");
}

# What doi_link needs

good('the usual', "$link $proxy");
good('nothing but the module', '', store => '', key => '');
bad('no store', [ "$link $proxy", store => '' ],
    qr/"doi_link".*doi_store \/var\/lib\/nginx\/doi;/);
bad('no key', [ "$link $proxy", key => '' ],
    qr/"doi_link".*doi_key 1 file:.*openssl rand -hex 32/);
good('key of the server', "$link $proxy", key => '', server => $key);

# Its parameters

bad('a constant token', "doi_link abc $proxy", qr/./);
bad('a constant token', "doi_link abc; $proxy",
    qr/invalid token "abc" of "doi_link".*variable/);
bad('no token', "doi_link; $proxy", qr/number of arguments.*"doi_link"/);
my ($status, $out) = $t->test_config(conf("doi_link \$none; $proxy"));
isnt($status, 0, 'unknown variable: refused');
like($out, qr/unknown "none" variable/, 'unknown variable: says which');

bad('unknown parameter', "doi_link \$arg_t scop=s; $proxy",
    qr/invalid parameter "scop=s" of "doi_link".*scope=/);
bad('scope twice', "doi_link \$arg_t scope=a scope=b; $proxy",
    qr/"scope=b" of "doi_link"/);
bad('cookie=maybe', "doi_link \$arg_t cookie=maybe; $proxy",
    qr/"cookie=maybe" of "doi_link"/);
bad('cookie cookie=on', "doi_link cookie cookie=on; $proxy",
    qr/"cookie=on" of "doi_link"/);
bad('twice', "$link $link $proxy", qr/"doi_link" directive is duplicate/);
bad('at server level', [ '', server => $link ],
    qr/"doi_link" directive is not allowed here/);
good('from the cookie', "doi_link cookie scope=s; $proxy");
good('cookie=on', "doi_link \$arg_t scope=\$host cookie=on; $proxy");
good('empty scope', "doi_link \$arg_t scope=; $proxy");

# What would let a request pass by

bad('satisfy any', "satisfy any; allow 127.0.0.1; deny all; $link $proxy",
    qr/satisfy any.*doi_link.*satisfy all/);
bad('satisfy any, inherited', [ "$link $proxy", http => 'satisfy any;' ],
    qr/satisfy any/);
good('satisfy all', "satisfy all; $link $proxy", http => 'satisfy any;');
good('satisfy any elsewhere', $proxy, http => 'satisfy any;');

# What would send a booking twice

my $again = 'next_upstream error timeout non_idempotent;';

for my $m (qw(proxy fastcgi uwsgi scgi)) {
    my $pass = "${m}_pass 127.0.0.1:1;";
    $pass = $proxy if $m eq 'proxy';

    bad("${m}_next_upstream", "$link $pass ${m}_$again",
        qr/"non_idempotent".*doi_link.*doi_upstream_idempotent on/);
    bad("${m}_next_upstream, inherited",
        [ "$link $pass", http => "${m}_$again" ], qr/"non_idempotent"/);
    good("${m}_next_upstream, doi_upstream_idempotent on",
         "$link $pass ${m}_$again doi_upstream_idempotent on;");
    good("${m}_next_upstream, overridden",
         "$link $pass ${m}_next_upstream error timeout;",
         http => "${m}_$again");
    good("${m}_next_upstream elsewhere", $pass, http => "${m}_$again");
}

bad('grpc_next_upstream', [ "$link grpc_pass 127.0.0.1:1;",
    server => 'grpc_next_upstream error non_idempotent;' ],
    qr/"non_idempotent"/);

my $zone = 'proxy_cache_path %%DIR%%/cache keys_zone=c:1m;';
my $cache = 'proxy_cache c; proxy_cache_key $doi_uri; ';

bad('proxy_cache of POST',
    [ "$link $proxy $cache proxy_cache_methods GET POST;", http => $zone ],
    qr/"proxy_cache_methods POST".*doi_link/);
bad('proxy_cache of POST, inherited',
    [ "$link $proxy", http => "$zone $cache proxy_cache_methods GET POST;" ],
    qr/"proxy_cache_methods POST"/);
good('proxy_cache of GET', "$link $proxy $cache", http => $zone);

# Outcome policy

for my $d (qw(doi_success doi_release)) {
    bad("$d $_", "$link $proxy $d $_;", qr/invalid status code "\Q$_\E"/,
        qr/200 to 599/)
        for qw(99 199 600 6xx 1xx abc 2x 2xxx -200 20O 200-299);
    good("$d $_", "$link $proxy $d $_;") for '200', '2xx', '303 4xx 599';
    bad("$d twice", "$link $proxy $d 200; $d 303;",
        qr/"$d" directive is duplicate/);
    bad("$d of nothing", "$link $proxy $d;", qr/number of arguments.*"$d"/);
}

bad('release by header', "$link $proxy doi_release header=X-No;",
    qr/invalid status code "header=X-No"/);
bad("doi_success $_->[0]", "$link $proxy doi_success $_->[0];", $_->[1])
    for [ 'header=', qr/"doi_success".*without a name/ ],
        [ 'header==1', qr/"doi_success".*without a name/ ],
        [ 'header=X=', qr/"doi_success".*empty value/ ],
        [ 'header=X header=Y', qr/"doi_success".*more than one/ ];
good("doi_success $_", "$link $proxy doi_success $_;")
    for 'header=X-Booking-Id', '200 header=X-State=booked';

bad('doi_in_doubt maybe', "$link $proxy doi_in_doubt maybe;",
    qr/invalid value "maybe"/);
good("doi_in_doubt $_", "$link $proxy doi_in_doubt $_;") for qw(keep release);
bad('doi_upstream_idempotent maybe', "doi_upstream_idempotent maybe;",
    qr/"maybe" in "doi_upstream_idempotent"/);
bad('doi_claim_timeout 0', "$link $proxy doi_claim_timeout 0;",
    qr/"doi_claim_timeout".*at least one second/);
bad("doi_claim_timeout $_", "$link $proxy doi_claim_timeout $_;", qr/invalid/)
    for qw(abc -1 1s5m);
good('doi_claim_timeout 5m', "$link $proxy doi_claim_timeout 5m;");

# Inherited, and switched off further down

bad('nested: no store', [ "$link $proxy location /sub/ { $proxy }",
    store => '' ], qr/"doi_link"/);
bad('nested: inherits the checks',
    "$link $proxy location /sub/ { $proxy proxy_$again }",
    qr/"non_idempotent"/);
good('nested: off', "$link $proxy location /sub/ { doi_link off; $proxy "
     . "proxy_$again satisfy any; }");
bad('off with a parameter', "doi_link off scope=s; $proxy",
    qr/invalid token "off" of "doi_link"/);

done_testing();
