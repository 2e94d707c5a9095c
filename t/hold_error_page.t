# A body that is too large for one location is thrown away.  error_page may lead
# on from there to doi_hold, as a POST without its body: that is refused.

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
        location /small/ {
            client_max_body_size 10;
            error_page 413 = @form;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /confirm/ {
            client_max_body_size 10;
            error_page 413 = @confirm;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location @form {
            doi_hold email=email slot=slot;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location @confirm {
            doi_confirm $arg_t;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

$t->start;

my ($worker) = $t->workers;
my $token = $t->mint(purpose => 'confirm');

for my $path ('/small/', "/confirm/?t=$token") {

    # of which a part is there, so that the rest is thrown away as it comes

    my $s = $t->open_raw("POST $path HTTP/1.1\r\nHost: localhost\r\n"
        . "Content-Type: application/x-www-form-urlencoded\r\n"
        . "Content-Length: 3000\r\n\r\nemail=a%40example.org&slot=5");

    is(Doi::HTTP::exchange($s, undef)->status, 413, "$path: too large");
}

is(join(' ', $t->workers), $worker, 'the worker lives');
is(scalar($up->requests), 0, 'the app was not asked');

done_testing();
