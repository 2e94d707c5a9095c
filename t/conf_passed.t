# nginx -t refuses what would send the app another request than the one that
# was judged: a look as a booking, or a booking without its form.

use lib 't/lib';
use Doi;

my $t = Doi->new;

sub conf {
    my ($location, $server) = @_;

    $server //= '';

    return <<"EOC";
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_mail maildir:%%DIR%%/mail from=bookings\@example.org;
    doi_base_url http://127.0.0.1;
    doi_url confirm /confirm/\$doi_token;
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
}

sub bad {
    my ($name, $like, @conf) = @_;

    my ($status, $out) = $t->test_config(conf(@conf));

    isnt($status, 0, "$name: refused");
    like($out, qr/\[emerg\].*$like/, "$name: says why");
}

my $confirm = 'doi_confirm $arg_t;';
my $proxy = 'proxy_pass http://127.0.0.1:1;';

for (
    [ doi_link => 'doi_link $arg_t;' ],
    [ doi_hold => 'doi_hold email=e slot=s;' ],
    [ doi_confirm => $confirm ],
) {
    my ($name, $directive) = @$_;

    good($name, "$directive $proxy");
    bad("$name: proxy_method", qr/"proxy_method".*"$name"/,
        "$directive $proxy proxy_method POST;");
    bad("$name: proxy_method, inherited", qr/"proxy_method".*"$name"/,
        "$directive $proxy", 'proxy_method GET;');
}

good('proxy_method elsewhere', "$proxy proxy_method POST;");

bad('proxy_set_body', qr/"proxy_set_body".*"doi_confirm"/,
    "$confirm $proxy proxy_set_body \$arg_a;");
bad('proxy_set_body, inherited', qr/"proxy_set_body".*"doi_confirm"/,
    "$confirm $proxy", 'proxy_set_body "";');

for my $m (qw(proxy fastcgi uwsgi scgi)) {
    my $pass = $m eq 'proxy' ? $proxy : "${m}_pass 127.0.0.1:1;";

    for my $what (qw(body headers)) {
        my $off = "${m}_pass_request_$what off;";
        my $like = qr/"proxy_pass_request_$what off".*"doi_confirm"/;

        bad($off, $like, "$confirm $pass $off");
        bad("$off, inherited", $like, "$confirm $pass", $off);
        good("$off for a link", "doi_link \$arg_t; $pass $off");
    }
}

done_testing();
