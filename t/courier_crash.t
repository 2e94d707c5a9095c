# Whoever delivers is killed while a mail is on its way: somebody else delivers
# it, under the same Message-ID, and nothing is lost.

use lib 't/lib';
use Doi;
use Doi::Deliver;

my $t = Doi->new(workers => 4);
my $up = $t->upstream('app');
my $d = Doi::Deliver->new($t);

$d->smtpd('mail', '--fault', 'hang-data', '--log', $t->dir . '/smtp.log');

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    doi_mail smtp://127.0.0.1:%%PORT:mail%% from=bookings@example.org;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_token;
    doi_limit recipient off;
    doi_limit address off;
    doi_limit network off;
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
    }
}
EOC

my $first;
ok(poll_until(30, sub { $first = $d->worker }), 'one worker delivers');

is($d->book(slot => "2030-01-1$_ 09:00", email => "v$_\@example.org")->status,
   202, 'held') for 1 .. 5;

sub started { scalar(() = slurp($t->dir . '/smtp.log') =~ /C MAIL/g) }

ok(poll_until(30, sub { started() >= 5 }), 'five mails are on their way');

my %row = map { $_->{id} => $_ } $d->outbox;
is(scalar(keys %row), 5, 'five rows wait');

$t->kill_worker('KILL', $first);

my $second;
ok(poll_until(30, sub { $second = $d->worker }), 'another one delivers');
isnt($second, $first, 'another one');
ok(poll_until(30, sub { started() >= 10 }), 'all of them once more');
is($_->{attempts}, 0, 'none has failed') for $d->outbox;

# The server is mended; what hangs there is tried again

$d->stop('mail');
$d->smtpd('mail', '--log', $t->dir . '/smtp.log');

poll_until(30, sub { 5 == grep { $_->{attempts} } $d->outbox });
$t->post("/api/outbox/$_/retry", json => {}) for keys %row;

ok($d->idle, 'all are delivered');

my @mails = $d->mails;
is_deeply([ sort map { $_->{head}{'x-envelope-to'} } @mails ],
          [ map { "v$_\@example.org" } 1 .. 5 ], 'to each, once');
is_deeply([ sort map { $_->{head}{'message-id'} =~ /^<(.*)\.doi\@/ } @mails ],
          [ sort keys %row ], 'the Message-ID is that of the delivery');

done_testing();
