# Some frameworks take a GET for a POST if a header says so: where a POST is to
# be held, that is no look.

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
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /form/ {
            doi_hold email=email slot=slot;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /maybe/ {
            doi_hold email=email slot=slot if=$arg_on;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

$t->start;

for my $header (qw(X-HTTP-Method-Override x-http-method X-Method-Override)) {
    for my $method (qw(GET HEAD OPTIONS)) {
        is($t->request($method, '/form/', headers => { $header => 'POST' })
           ->status, 405, "$method with $header: 405");
    }

    is($t->get('/maybe/?on=1', headers => { $header => 'POST' })->status, 405,
       "$header, if=1: 405");
}

is(scalar($up->requests), 0, 'the app was not asked');

my %o = (headers => { 'X-HTTP-Method-Override' => 'POST' });

is($t->get('/maybe/?on=0', %o)->status, 200, 'if=0: untouched');
is($t->get('/form/')->status, 200, 'a look');
is(scalar($up->requests), 2, 'both reached the app');

done_testing();
