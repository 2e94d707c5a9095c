# A client that hangs up, at each stage of a redemption.

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
    proxy_read_timeout 5s;
    upstream kept {
        server 127.0.0.1:%%PORT:app%%;
        keepalive 4;
    }
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location ~ ^/book/(?<token>[^/]+)$ {
            doi_link $token;
            proxy_ignore_client_abort off;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/kept/(?<token>[^/]+)$ {
            doi_link $token;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_pass http://kept;
        }
        location /api/ { doi_api read; }
    }
}
EOC

$t->start;

my %hang_up = (close => sub { close $_[0] },
               reset => \&Doi::HTTP::reset_socket);

sub state {
    my $r = $t->get('/api/links/' . token_fields($_[0])->{id});

    return $r->status == 200 ? $r->json->{state} : $r->status;
}

sub becomes {
    my ($token, $want, $name) = @_;

    my $state;
    poll_until(30, sub { ($state = &state($token)) eq $want });
    is($state, $want, "$name: $want");
}

# In the header, in the body

my $token = $t->mint;
my $post = $t->bytes('POST', "/book/$token", form => { name => 'Ada' });
my $cut = index $post, "\r\n\r\n";

for my $n (30, $cut + 2, $cut + 4, length($post) - 1) {
    for my $how (sort keys %hang_up) {
        my $s = $t->open_raw(substr $post, 0, $n);
        $t->get("/book/$token") for 1 .. 4;
        $hang_up{$how}->($s);
    }
}

is($t->get("/book/$token")->status, 200, 'in header or body: still fresh');
is(&state($token), 404, 'never claimed');
is(scalar($up->posts), 0, 'the app saw nothing');
is($t->http_raw($post)->status, 200, 'and it can be used');
$up->forget;

# Right after the body, while the claim is on its way: either it was seen in
# time and the link is fresh, or the app got it and the link is used.  What was
# asked before has been taken by a worker when a look is answered, and has come
# to its end when the workers have.

for my $how (sort keys %hang_up) {
    $up->forget;

    my @tokens = map { $t->mint } 1 .. 100;

    for my $token (@tokens) {
        my $s = $t->open_raw($t->bytes('POST', "/book/$token", body => 'a=b',
                             headers => { 'X-Mode' => 'slow ms=100' }));
        $hang_up{$how}->($s);
    }

    $t->get('/book/' . $t->mint);
    my @old = $t->reload;
    ok(@old && $t->wait_gone(60, @old), "$how: all is over");

    my %state;
    ok(poll_until(30, sub {
        %state = map { $_ => &state($_) } @tokens;
        !grep { !/^(?:404|used)$/ } values %state;
    }), "$how: no claim stays open") or diag(join ' ', values %state);

    my %booked;
    $booked{$_->{key}}++ for $up->bookings;

    my @wrong = grep {
        ($booked{token_fields($_)->{id}} // 0) != ($state{$_} eq 'used')
    } @tokens;
    is_deeply(\@wrong, [], "$how: used exactly where it was booked");
    diag("$how: " . keys(%booked) . ' of 100 were booked')
        if $ENV{TEST_VERBOSE};

    my @fresh = grep { $state{$_} eq '404' } @tokens;
    my @refused = grep { $t->get("/book/$_")->status != 200 } @fresh;
    is_deeply(\@refused, [], "$how: the others are fresh");
}

# While the app works: it is let finish, and what it says counts

my @modes = (
    [ 'slow until=go',      'used',     1 ],
    [ 'late until=go',      'used',     1 ],
    [ 'hang-booked',        'in_doubt', 1 ],
);

for my $where (qw(book kept)) {
    for my $how (sort keys %hang_up) {
        for (@modes) {
            my ($mode, $state, $bookings) = @$_;
            my $name = "$where, $mode, $how";

            next if $mode =~ /hang/ && $how eq 'reset';

            $token = $t->mint;
            $up->forget;
            unlink $t->dir . '/go';
            my $s = $t->open_raw($t->bytes('POST', "/$where/$token",
                body => 'a=b', headers => { 'X-Mode' => $mode }));
            ok(poll_until(30, sub { $up->posts == 1 }), "$name: at work");
            $hang_up{$how}->($s);

            is($t->get("/book/$token")->status, 409, "$name: not given away");
            $t->write_file('go', '');
            becomes($token, $state, $name);
            is(scalar($up->bookings), $bookings, "$name: bookings");
            is(scalar(grep { !$_->{reset} } $up->aborts), 0,
               "$name: the app was let finish") if $mode !~ /hang/;
        }
    }
}

# While the answer is sent

for my $where (qw(book kept)) {
    for my $how (sort keys %hang_up) {
        for my $mode ('ok size=8000000', 'drip ms=50') {
            my $name = "$where, $mode, $how";

            $token = $t->mint;
            $up->forget;
            my $s = $t->open_raw($t->bytes('POST', "/$where/$token",
                body => 'a=b', headers => { 'X-Mode' => $mode }));
            sysread $s, my $head, 100;
            like($head, qr/^HTTP\/1\.1 200 /, "$name: the answer begins");
            $hang_up{$how}->($s);

            is($t->get("/book/$token")->status, 410, "$name: used");
            becomes($token, 'used', $name);
            is(scalar($up->bookings), 1, "$name: one booking");
        }
    }
}

done_testing();
