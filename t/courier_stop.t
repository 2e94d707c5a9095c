# nginx stops at once while a mail server hangs: in time, and the mail goes out
# after the next start.  One of many workers delivers, and a backlog of mails
# holds up nothing else.

use lib 't/lib';
use Doi;
use Doi::Deliver;

use MIME::Base64 qw(encode_base64);

my $t = Doi->new(workers => 4);
my $up = $t->upstream('app');
my $d = Doi::Deliver->new($t);

$t->write_file('secret', 'whsec_' . encode_base64('x' x 32), 0600);
$d->httpd('hooks');
$d->smtpd('mail', '--fault', 'hang-greeting');

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=64m;
    doi_key 1 file:%%KEY%%;
    doi_mail smtp://127.0.0.1:%%PORT:mail%% from=bookings@example.org;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_token;
    doi_limit recipient off;
    doi_limit address off;
    doi_limit network off;
    doi_webhook http://127.0.0.1:%%PORT:hooks%%/200 secret_file=%%DIR%%/secret
                allow=private;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /book {
            doi_hold email=email slot=slot name=name;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/confirm/(?<token>[^/]+)$ {
            doi_confirm $token;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read resolve; }
        location = /metrics { doi_metrics; }
    }
}
EOC

ok(poll_until(30, sub { $d->worker }), 'one worker delivers');

my $n = 1500;
my @r = $t->many($n, sub {
    [ POST => '/book', form => { email => "v$_[0]\@example.org", name => 'A',
                                 slot => "room $_[0]" } ];
}, timeout => 120);
is_deeply($t->statuses(@r), { 202 => $n }, "$n held");

ok(poll_until(120, sub { $d->requests('hooks') >= $n }),
   'all webhooks go out, behind mails that hang')
    or diag(scalar(() = $d->requests('hooks')));

my $m;
ok(poll_until(30, sub { $m = $t->metrics; $m->{doi_outbox_waiting} == $n }),
   'the mails wait') or diag($m->{doi_outbox_waiting});
is($m->{'doi_deliveries_total{kind="confirm",result="queued"}'}, $n, 'queued');

# Stop

ok($t->stop, 'nginx stops');
is(scalar(grep { /exited on signal/ } split /\n/, $t->error_log), 0,
   'without being killed');

$d->stop('mail');
$d->smtpd('mail');
$t->start;

ok(poll_until(120, sub { $t->metrics->{doi_outbox_waiting} == 0 }),
   'all mails go out after the next start');

my %to;
$to{$_}++ for map { slurp($_) =~ /^X-Envelope-To: (\S+)/m ? $1 : () }
              glob "$d->{maildir}/new/*";
is(scalar(keys %to), $n, 'to everybody');
is_deeply([ grep { $_ != 1 } values %to ], [], 'once');

done_testing();
