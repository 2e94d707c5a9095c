# A booking whose body is too large, or never comes to its end, burns nothing.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    client_body_timeout 5s;
    client_body_buffer_size 4k;
    client_max_body_size 64k;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location ~ ^/book/(?<token>[^/]+)$ {
            doi_link $token scope=s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/stream/(?<token>[^/]+)$ {
            doi_link $token scope=s;
            proxy_request_buffering off;
            proxy_http_version 1.1;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read; }
    }
}
EOC

$t->start;

my $token;

sub fresh { $token = $t->mint(scope => 's'); return "/book/$token" }

# The link has no record, the app has seen nothing, and the link still works.

sub untouched {
    my ($name) = @_;

    is($t->get('/api/links/' . token_fields($token)->{id})->status, 404,
       "$name: not claimed");
    is(scalar($up->posts), 0, "$name: the app saw nothing");
    is($t->post("/book/$token", body => 'a=b')->status, 200,
       "$name: the link still works");
    is(scalar($up->bookings), 1, "$name: one booking");
    $up->forget;
}

# Closed by the server within the time?

sub closed {
    my ($s) = @_;

    return poll_until(30, sub {
        my $r = '';
        vec($r, fileno $s, 1) = 1;
        select($r, undef, undef, 0) > 0 or return 0;
        my $n = sysread $s, my $buf, 65536;
        return !$n;
    });
}

# Too large

my $large = 'x' x 200_000;

for my $prefix (qw(book stream)) {
    for my $o ([ 'with a length', body => $large ],
               [ 'chunked', chunked => [ unpack '(a3000)*', $large ] ])
    {
        my ($name, @o) = @$o;

        &fresh;
        my $r = $t->post("/$prefix/$token", @o);
        is($r->status, 413, "$prefix, $name: 413");
        untouched("$prefix, $name");
    }
}

# Just not too large

&fresh;
is($t->post("/book/$token", body => 'x' x 65536)->status, 200, 'the limit');
&fresh;
is($t->post("/stream/$token", chunked => [ ('x' x 32768) x 2 ])->status, 200,
   'the limit, chunked');
is(length(($up->posts)[1]{body}), 65536, 'it came, whole');
$up->forget;

# A chunk that says it is too large, and one byte of it

my $link = &fresh;
my $head = "POST $link HTTP/1.1\r\nHost: x\r\n";
my $s = $t->open_raw($head . "Transfer-Encoding: chunked\r\n\r\nfffff\r\nx");
is(Doi::HTTP::exchange($s, undef, timeout => 30)->status, 413,
   'announced as too large');
close $s;
untouched('announced');

# What is not a chunk

$link = &fresh;
my $r = $t->http_raw("POST $link HTTP/1.1\r\nHost: x\r\n"
                     . "Transfer-Encoding: chunked\r\n\r\nnonsense\r\n\r\n");
is($r->status, 400, 'no chunk');
untouched('no chunk');

# Half a body, then the client hangs up; or says no more

my @halves = (
    [ 'length', "Content-Length: 1000\r\n\r\n" . 'x' x 500 ],
    [ 'length, none of it', "Content-Length: 1000\r\n\r\n" ],
    [ 'length, large', "Content-Length: 60000\r\n\r\n" . 'x' x 30000 ],
    [ 'chunked', "Transfer-Encoding: chunked\r\n\r\n100\r\n" . 'x' x 100 ],
    [ 'chunked, all but the last', "Transfer-Encoding: chunked\r\n\r\n"
                                   . "3\r\nabc\r\n" ],
);

my @silent;

for (@halves) {
    my ($name, $rest) = @$_;

    for my $end (qw(silence close reset)) {
        $link = &fresh;
        $s = $t->open_raw("POST $link HTTP/1.1\r\nHost: x\r\n$rest");

        if ($end eq 'silence') {
            push @silent, [ $s, $token, "$name, silence" ];
            next;
        }

        # Let nginx read it: other requests were served in the meantime.
        $t->get($link) for 1 .. 4;

        if ($end eq 'reset') {
            Doi::HTTP::reset_socket($s);
        } else {
            close $s;
        }

        untouched("$name, $end");
    }
}

for (@silent) {
    ($s, $token, my $name) = splice @$_;

    ok(closed($s), "$name: closed by nginx");
    close $s;
    untouched($name);
}

# Expect: 100-continue

$link = &fresh;
$s = $t->open_raw("POST $link HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                  . "Expect: 100-continue\r\n\r\n");
sysread $s, my $go, 4096;
like($go, qr/^HTTP\/1\.1 100 Continue\r\n\r\n\z/, '100 Continue');
is($t->get('/api/links/' . token_fields($token)->{id})->status, 404,
   'not claimed yet');
is(Doi::HTTP::exchange($s, 'a=b')->status, 200, 'then the body');
is(($up->posts)[0]{body}, 'a=b', 'which came');
$up->forget;

$link = &fresh;
chop $link;
$s = $t->open_raw("POST $link HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                  . "Expect: 100-continue\r\n\r\n");
$r = Doi::HTTP::exchange($s, undef, timeout => 30);
is($r->status, 403, 'no token: told so without waiting for the body');

$link = &fresh;
$s = $t->open_raw("POST $link HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n"
                  . "Expect: 100-continue\r\n\r\n");
is(Doi::HTTP::exchange($s, undef, timeout => 30)->status, 413,
   'too large: told so without waiting for the body');
untouched('Expect, too large');

close $s;

done_testing();
