# Forms and clicks over HTTP/2.

use lib 't/lib';
use Doi;

plan(skip_all => 'no curl with HTTP/2')
    if `curl --version 2>/dev/null` !~ /\bHTTP2\b/;

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_mail maildir:%%DIR%%/mail from=bookings@example.org;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /c/$doi_token;
    doi_limit recipient off;
    doi_limit address off;
    doi_limit network off;
    server {
        listen 127.0.0.1:%%PORT:http%% http2;
        location /book {
            doi_hold email=email slot=slot;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/c/(?<token>[^/]+)$ {
            doi_confirm $token start=/book;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

$t->start;

sub curl {
    my ($args, $uri) = @_;

    my $curl = 'curl -s --http2-prior-knowledge -m 20'
               . q( -w '\n%{http_code} %{http_version}');
    my $base = 'http://127.0.0.1:' . $t->port;

    return scalar `$curl $args '$base$uri'`;
}

my $n = 0;

for my $size (0, 10, 30000) {
    my $body = 'email=ada%40example.org&slot=s' . $n++ . '&note=' . 'x' x $size;
    my $file = $t->write_file("body$size", $body);
    my $out = curl("-H 'Accept: application/json' -b 'a=1; b=2' "
                   . "--data-binary \@$file", '/book?q=1');

    like($out, qr/^202 2$/m, "$size bytes: held");

    my ($id) = $out =~ /"reference":"([\w-]{16})"/;
    my $link = '/c/' . $t->confirm_token($id);

    like(curl('', $link), qr/^200 2$/m, 'a look');
    $up->forget;
    $out = curl('-d action=confirm', $link);
    like($out, qr/^200 2$/m, 'a click');
    like($out, qr{</html>}, 'with a page');

    my @got = $up->posts;
    is(scalar(@got), 1, 'one request');
    is($got[0]{uri}, '/book?q=1', 'its URI');
    ok($got[0]{body} eq $body, 'its body');
    is($got[0]{headers}{cookie}, 'a=1; b=2', 'its cookies');
}

done_testing();
