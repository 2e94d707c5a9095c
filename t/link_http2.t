# The same over HTTP/2.  (The curl of Debian 12 is not sure what to make of an
# answer that comes before it has sent a body: no test of that.)

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
    client_max_body_size 100k;
    server {
        listen 127.0.0.1:%%PORT:http%% http2;
        location ~ ^/book/(?<token>[^/]+)$ {
            doi_link $token;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

$t->start;

my $base = 'http://127.0.0.1:' . $t->port;
my $small = $t->write_file('small', 'name=Ada');
my $large = $t->write_file('large', 'x' x 90_000);

# "status version" of each URI in turn.

sub curl {
    my ($args, @uris) = @_;

    my $curl = "curl -s --http2-prior-knowledge -m 20 -o /dev/null $args"
               . " -w '%{http_code} %{http_version}'";

    return [ map {
        scalar `$curl $base$_`
    } @uris ];
}

my @links = map { '/book/' . $t->mint } 1 .. 4;

is_deeply(curl('', @links), [ ('200 2') x 4 ], 'looks');
is_deeply(curl('-I', @links), [ ('200 2') x 4 ], 'HEAD');
$up->forget;
is_deeply(curl("--data-binary \@$small", @links[0, 1]), [ ('200 2') x 2 ],
          'POST');
is_deeply(curl("--data-binary \@$large", $links[2]), [ '200 2' ],
          'a large body');
is_deeply([ map { length $_->{body} } $up->posts ], [ 8, 8, 90_000 ],
          'bodies arrive');
is_deeply(curl('', '/book/x', $links[0], $links[3]),
          [ '403 2', '410 2', '200 2' ], 'a bad token, a used one, a good one');
is_deeply(curl("--data-binary \@$small", $links[3]), [ '200 2' ],
          'the last');
is(scalar($up->bookings), 4, 'four bookings');

done_testing();
