# What becomes of a link by what the app did: seen through the API, and by what
# the next visitor gets.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

my $proxy = 'proxy_pass http://127.0.0.1:%%PORT:app%%;';

$t->conf(<<"EOC");
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    upstream kept {
        server 127.0.0.1:%%PORT:app%%;
        keepalive 4;
    }
    server {
        listen 127.0.0.1:%%PORT:http%% reuseport;
        location ~ ^/book/(?<token>[^/]+)\$ { doi_link \$token; $proxy }
        location ~ ^/brief/(?<token>[^/]+)\$ {
            doi_link \$token; proxy_read_timeout 2s; $proxy
        }
        location ~ ^/kept/(?<token>[^/]+)\$ {
            doi_link \$token;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://kept;
        }
        location ~ ^/only303/(?<token>[^/]+)\$ {
            doi_link \$token; doi_success 303; $proxy
        }
        location ~ ^/header/(?<token>[^/]+)\$ {
            doi_link \$token; doi_success 2xx header=X-Booking-Id; $proxy
        }
        location ~ ^/value/(?<token>[^/]+)\$ {
            doi_link \$token; doi_success header=x-result=booked; $proxy
        }
        location ~ ^/release/(?<token>[^/]+)\$ {
            doi_link \$token; doi_release 403 5xx; $proxy
        }
        location /api/ { doi_api read; }
    }
}
EOC

$t->start;

sub state {
    my ($token) = @_;

    my $r = $t->get('/api/links/' . token_fields($token)->{id});

    return $r->status == 200 ? $r->json->{state} : $r->status;
}

# The settlement is on its way when the answer comes.

sub settled {
    my ($token, $want, $name) = @_;

    my $state;
    poll_until(30, sub { ($state = &state($token)) eq $want });
    is($state, $want, "$name: $want");
}

my %next = (used => 410, in_doubt => 409, 404 => 200);

# location, mode, status, state, bookings
my @cases = (
    # no answer: nginx's 502 and 504 would not tell what became of the booking
    [ 'brief', 'hang',           409, 'in_doubt', 0 ],
    [ 'brief', 'hang-booked',    409, 'in_doubt', 1 ],
    [ 'book', 'reset',           409, 'in_doubt', 0 ],
    [ 'book', 'reset-read',      409, 'in_doubt', 0 ],
    [ 'book', 'reset-booked',    409, 'in_doubt', 1 ],
    [ 'book', 'close',           409, 'in_doubt', 0 ],
    [ 'book', 'close-booked',    409, 'in_doubt', 1 ],
    [ 'book', 'garbage',           0, 'in_doubt', 1 ],

    # an answer: yes
    [ 'book', 'ok',              200, 'used', 1 ],
    [ 'book', '201',             201, 'used', 1 ],
    [ 'book', '302',             302, 'used', 1 ],
    [ 'book', '303',             303, 'used', 1 ],
    [ 'book', 'slow ms=200',     200, 'used', 1 ],
    [ 'book', 'late ms=200',     200, 'used', 1 ],
    [ 'book', 'drip ms=10',      200, 'used', 1 ],
    [ 'brief', 'half',           200, 'used', 1 ],
    [ 'book', 'truncated',       200, 'used', 1 ],
    [ 'book', 'form-error',      200, 'used', 0 ],

    # no
    [ 'book', '400',             400, 404, 0 ],
    [ 'book', '404',             404, 404, 0 ],
    [ 'book', '409',             409, 404, 0 ],
    [ 'book', '422',             422, 404, 0 ],

    # neither
    [ 'book', '401',             401, 'in_doubt', 0 ],
    [ 'book', '403',             403, 'in_doubt', 0 ],
    [ 'book', '429',             429, 'in_doubt', 0 ],
    [ 'book', '500',             500, 'in_doubt', 0 ],
    [ 'book', '500-booked',      500, 'in_doubt', 1 ],
    [ 'book', '502',             502, 'in_doubt', 0 ],
    [ 'book', '503',             503, 'in_doubt', 0 ],
    [ 'book', '504-booked',      504, 'in_doubt', 1 ],

    # doi_success
    [ 'only303', '303',          303, 'used', 1 ],
    [ 'only303', '302-unbooked', 302, 404, 0 ],
    [ 'only303', 'form-error',   200, 404, 0 ],
    [ 'only303', '422',          422, 404, 0 ],
    [ 'only303', '500',          500, 'in_doubt', 0 ],
    [ 'header', 'ok',            200, 'used', 1 ],
    [ 'header', '201',           201, 'used', 1 ],
    [ 'header', 'form-error',    200, 404, 0 ],
    [ 'header', '303',           303, 404, 1 ],
    [ 'header', '500-booked',    500, 'in_doubt', 1 ],
    [ 'value', '200-unbooked header=X-Result:booked',  200, 'used', 0 ],
    [ 'value', '303-unbooked header=X-Result:booked',  303, 'used', 0 ],
    [ 'value', '200-unbooked header=X-Result:full',    200, 404, 0 ],
    [ 'value', '200-unbooked header=X-Result:booked2', 200, 404, 0 ],
    [ 'value', '200-unbooked header=X-Result:book',    200, 404, 0 ],
    [ 'value', '500 header=X-Result:booked',           500, 'in_doubt', 0 ],

    # doi_release
    [ 'release', '403',          403, 404, 0 ],
    [ 'release', '500',          500, 404, 0 ],
    [ 'release', '503',          503, 404, 0 ],
    [ 'release', '422',          422, 'in_doubt', 0 ],
    [ 'release', '404',          404, 'in_doubt', 0 ],
    [ 'release', 'ok',           200, 'used', 1 ],
    [ 'release', 'reset-read',   409, 'in_doubt', 0 ],

    [ 'kept', 'ok',              200, 'used', 1 ],
);

for (@cases) {
    my ($where, $mode, $status, $state, $bookings) = @$_;

    my $name = "$where, $mode";
    my $token = $t->mint;

    is(&state($token), 404, "$name: nothing is known at first");

    $up->forget;
    my $r = $t->post("/$where/$token", form => { name => 'Ada' },
                     headers => { 'X-Mode' => $mode }, timeout => 30);
    is($r->status, $status, "$name: status");
    like($r->body, qr/checking/i, "$name: the visitor is told of the doubt")
        if $state eq 'in_doubt' && $status == 409;
    is(scalar($up->bookings), $bookings, "$name: bookings") if $mode ne 'reset';

    is($t->get("/book/$token")->status, $next{$state}, "$name: the next visitor");
    settled($token, $state, $name);

    $up->forget;
    $r = $t->post("/book/$token", form => { name => 'Bob' });
    is($r->status, $next{$state}, "$name: and who posts");
    is(scalar($up->posts), $state eq '404' ? 1 : 0, "$name: reached the app");
}

# Never reached

$up->stop;
my $token = $t->mint;
is($t->post("/book/$token", body => 'a')->status, 503, 'refused: try again');
settled($token, 404, 'refused');
$up->start;
is($t->post("/book/$token", body => 'a')->status, 200, 'refused: then it works');
settled($token, 'used', 'refused');

# A kept connection that goes away as the booking comes: it was sent, and not
# once more on another connection.

is($t->post('/kept/' . $t->mint, body => 'a',
            headers => { 'X-Mode' => 'stale' })->status, 200, 'stale: the first');
$up->forget;

# Either worker may get the next ones, by the client's port; only one of them
# has that connection.

my ($status, $went) = (0, 0);

for (1 .. 50) {
    $token = $t->mint;
    $status = $t->post("/kept/$token", body => 'a')->status;
    settled($token, $status == 200 ? 'used' : 'in_doubt', "stale, $status");

    last if $status != 200;
    $went++;
}

is($status, 409, 'stale: one was cut');
is(scalar($up->bookings), $went, 'stale: and not sent again');

done_testing();
