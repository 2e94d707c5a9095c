# A scope that is taken from the path may have bytes that are no text: such a
# hold is refused, and does not make the list of bookings unreadable.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 1);
my $up = $t->upstream('app');

$t->conf(<<'EOC');
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_mail maildir:%%DIR%%/mail from=bookings@example.org;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_token;
    doi_limit recipient off;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location ~ ^/book/(?<cal>[^/]+)$ {
            doi_hold email=email slot=slot scope=$cal summary=$arg_s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read; }
    }
}
EOC

$t->start;

my $n = 0;

sub hold {
    my ($uri) = @_;

    return $t->post($uri, form => { email => 'ada@example.org',
                                    slot => 'slot ' . $n++ },
                    accept => 'application/json');
}

is(hold('/book/red')->status, 202, 'held');
is(hold('/book/r%C3%B6d')->status, 202, 'held: UTF-8');

for my $bad (qw(%ff r%C3 a%0Ab %E2%80%AEder)) {
    my $r = hold("/book/$bad");

    is($r->status, 422, "$bad: refused");
    like($r->body, qr/characters/, "$bad: says why");
}

is(hold("/book/red?s=\xff")->status, 422, 'summary: refused');

my $r = $t->get('/api/bookings');

is($r->status, 200, 'the list can be read');
is(scalar @{ $r->json->{bookings} }, 2, 'what was held is in it');

done_testing();
