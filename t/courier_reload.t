# Reload while deliveries are on their way: the old worker ends them, the new
# one goes on; each is made once.

use lib 't/lib';
use Doi;
use Doi::Deliver;

use MIME::Base64 qw(encode_base64);

my $t = Doi->new(workers => 2);
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

my $first;
ok(poll_until(30, sub { $first = $d->worker }), 'one worker delivers');

my $n = 0;

for my $round (1 .. 3) {

    for (1 .. 6) {
        $n++;
        is($d->book(slot => "2030-01-01 room $n", email => "v$n\@example.org")
           ->status, 202, 'held');
    }

    # The receiver answers after a second: some are always on their way.
    poll_until(30, sub { $d->requests('hooks') > 6 * ($round - 1) });

    my @old = $t->reload;
    ok(@old, 'reload');
    ok($t->wait_gone(30, @old), 'the old workers are gone');
}

my $last;
ok(poll_until(30, sub { $last = $d->worker }), 'a new worker delivers');
isnt($last, $first, 'a new one');

ok($d->idle(60), 'all is delivered');

my %seen;
$seen{$_->{headers}{'webhook-id'} // $_->{headers}{'Webhook-Id'}}++
    for $d->requests('hooks');
is(scalar(keys %seen), $n, 'all webhooks');
is_deeply([ grep { $_ != 1 } values %seen ], [], 'each once');
is(scalar($d->mails), $n, 'all mails, each once');

my $m = $t->metrics;
is($m->{'doi_deliveries_total{kind="webhook",result="sent"}'}, $n,
   'counted by both generations');
is($m->{'doi_deliveries_total{kind="webhook",result="failed"}'}, 0,
   'none failed');
is($m->{doi_outbox_waiting}, 0, 'none waits');

# One that ends has no more to do than to let go

my @old = $t->reload;
ok($t->wait_gone(15, @old), 'without work the old workers end at once');

# A lock file that is replaced keeps nobody out: the lock is taken anew

my $file = $t->dir . '/store/courier.lock';
unlink $file;
ok(poll_until(30, sub { -e $file && $d->worker }), 'the lock is there again');

is($d->book(slot => 'room 99', email => 'last@example.org')->status, 202,
   'held');
ok(poll_until(30, sub { $d->mails(to => 'last') }), 'and mails go out');

is((stat $file)[2] & 0777, 0600, 'its mode');

done_testing();
