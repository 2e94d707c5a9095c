# An owner's address that no mail can name must not keep the visitor's mail back.

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
        location /idn/ {
            doi_owner name=Grace email=Grace@bücher.example;
            doi_hold email=email slot=slot;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /bad/ {
            doi_owner name=Grace email=$arg_o;
            doi_hold email=email slot=slot;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

$t->start;

sub mails { map { slurp($_) } glob $t->dir . '/mail/new/*' }

is($t->post('/idn/', form => { email => 'ada@example.org', slot => 1 })
   ->status, 202, 'held');
ok(poll_until(30, sub { mails() == 1 }), 'the mail goes out');
like((mails())[0], qr/^Reply-To: .*grace\@xn--bcher-kva\.example/mi,
     'and names the owner');

is($t->post('/bad/?o=none', form => { email => 'eve@example.org', slot => 2 })
   ->status, 202, 'held');
ok(poll_until(30, sub { mails() == 2 }), 'the mail goes out');
is(scalar($t->grep_log(qr/"email=" of "doi_owner" gave what is no address/)), 1,
   'the log says why');

done_testing();
