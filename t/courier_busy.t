# The store takes nothing for a while, just when a delivery has been made: it is
# not made again.

use lib 't/lib';
use Doi;
use Doi::Deliver;

use MIME::Base64 qw(encode_base64);

my $t = Doi->new(workers => 3);
my $up = $t->upstream('app');
my $d = Doi::Deliver->new($t);

$t->write_file('secret', 'whsec_' . encode_base64('x' x 32), 0600);
$d->httpd('hooks');

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    doi_mail maildir:%%DIR%%/mail from=bookings@example.org;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_token;
    doi_limit recipient off;
    doi_limit address off;
    doi_limit network off;
    doi_webhook http://127.0.0.1:%%PORT:hooks%%/slow secret_file=%%DIR%%/secret
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

# The one that delivers must not be the one that commits, which is to be stopped:
# if it is, the lock is taken away from it while it cannot take it again.

my ($leader, $worker);

ok(poll_until(20, sub { $leader = $d->worker('leader.lock')
                        and $worker = $d->worker }), 'two locks are taken');

if ($worker == $leader) {
    my $lock = $t->dir . '/store/courier.lock';
    my $inode = (stat $lock)[1];

    kill 'STOP', $leader;
    unlink $lock;
    poll_until(20, sub { $worker = $d->worker });
    kill 'CONT', $leader;
    poll_until(20, sub { Doi::slurp('/proc/locks') !~ /:$inode / });
}

isnt($worker, $leader, 'one delivers, another one commits');

is($d->book(slot => 'room 1')->status, 202, 'held');
ok(poll_until(30, sub { $d->requests('hooks') == 1 }), 'the webhook is sent');

# The receiver answers after a second

kill 'STOP', $leader;
select undef, undef, undef, 14;
kill 'CONT', $leader;

ok(poll_until(30, sub { $t->metrics->{doi_outbox_waiting} == 0 }),
   'it is noted at last');
is(scalar(() = $d->requests('hooks')), 1, 'and was sent once');
is(scalar(() = $d->mails), 1, 'the mail too');
is($t->metrics->{'doi_deliveries_total{kind="webhook",result="sent"}'}, 1,
   'counted once');

done_testing();
