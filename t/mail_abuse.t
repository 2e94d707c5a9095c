# A form must not carry a stranger's words into somebody's mailbox: before the
# address is confirmed, its mail has nothing of the form but the address and a
# slot that is a date or a plain word.

use lib 't/lib';
use Doi;
use Doi::Mail;

my $t = Doi->new(workers => 1);
my $up = $t->upstream('app');

$t->conf(<<'EOC');
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_token;
    doi_mail maildir:%%DIR%%/mail from=a@example.org;
    doi_owner "name=Ada" email=ada@example.org;
    doi_limit recipient off;
    doi_limit network off;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location = /form {
            doi_hold email=mail slot=slot name=name;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/confirm/(?<token>[^/]+)$ {
            doi_confirm $token;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

$t->start;

my $mail = Doi::Mail->new($t->dir . '/mail');
my $n = 0;

for ([ 'http://evil.example/', 'http://evil.example/win', undef ],
     [ 'evil.example', 'evil.example now', undef ],
     [ 'Grace', 'room 5', 'room 5' ],
     [ 'evil.example', '2027-03-01 10:00', 'Monday, 1 March 2027, 10:00' ])
{
    my ($name, $slot, $shown) = @$_;
    my $to = 'v' . ++$n . '@example.com';

    is($t->post('/form', form => { mail => $to, name => $name,
                                   slot => $slot })->status,
       202, "$slot: held");

    my $m = $mail->wait(to => $to);
    my $all = join ' ', values %{ $m->{headers} }, $m->{text}, $m->{html};

    unlike($all, qr/evil/, "$slot: not in the mail");
    unlike($all, qr/Grace/, "$slot: no name");
    like($m->{text}, qr/\Q$shown/, "$slot: shown") if defined $shown;

    my ($link) = $m->{text} =~ m{http://[^/]+(/confirm/\S+)};
    is($t->post($link, form => { action => 'confirm' })->status, 200,
       "$slot: booked");

    # from then on it is the visitor's own

    my $booked = $mail->wait(to => $to, subject => qr/booked/);
    like($booked->{headers}{to}, qr/\Q$name/, "$slot: named now");
}

done_testing();
