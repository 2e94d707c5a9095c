# Variables that were asked for before the click became the request that was
# stored are those of the latter, and carry no token to the app.

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
    doi_url link /link/$doi_token;
    map $request_uri $from_uri {
        ~^/(?:confirm|link)/(?<tok>[^/?]+)  $tok;
    }
    map "$http_cookie $content_length $content_type $request" $seen {
        default  yes;
    }
    server {
        listen 127.0.0.1:%%PORT:http%%;
        set $http_kept kept;
        if ($seen = no) {
            return 400;
        }
        proxy_set_header X-URI $request_uri;
        proxy_set_header X-Line $request;
        proxy_set_header X-Cookie $http_cookie;
        proxy_set_header X-Length $content_length;
        proxy_set_header X-Type $content_type;
        proxy_set_header X-Kept $http_kept;
        location = /form {
            doi_hold email=email slot=slot;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /confirm/ {
            doi_confirm $from_uri;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /link/ {
            doi_link $from_uri;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

$t->start;

my $body = '{"email":"ada@example.org","slot":"one","more":"0123456789"}';

my $r = $t->post('/form?a=b', body => $body,
                 headers => { 'Content-Type' => 'application/json',
                              Cookie => 'session=form' },
                 accept => 'application/json');
is($r->status, 202, 'held');

my $token = $t->confirm_token($r->json->{reference});

is($t->post("/confirm/$token", form => { action => 'confirm' },
            headers => { Cookie => 'session=click' })->status,
   200, 'booked');

my ($q) = $up->requests;
my $h = $q->{headers};

is($h->{'x-uri'}, '/form?a=b', '$request_uri');
is($h->{'x-cookie'}, 'session=form', '$http_cookie');
is($h->{'x-length'}, length($body), '$content_length');
is($h->{'x-type'}, 'application/json', '$content_type');
is($h->{'x-kept'}, 'kept', 'what "set" has made stays');
is(scalar(grep { index($_, $token) >= 0 } values %$h), 0, 'no token');

$token = $t->mint;
is($t->post("/link/$token", body => 'x')->status, 200, 'link: booked');

$h = ($up->requests)[-1]{headers};

is(scalar(grep { index($_, $token) >= 0 } values %$h), 0, 'link: no token');

done_testing();
