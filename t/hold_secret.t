# What a visitor has sent is nobody's: not in a log, and the stored request not
# in clear on the disk; without the key it opens for nobody.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 1, level => 'info');
my $up = $t->upstream('app');

my $conf = <<'EOC';
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    log_format doi "$request_method $doi_uri $status $doi_state $doi_id";
    doi_store %%DIR%%/store;
    doi_key KEYS
    doi_mail maildir:%%DIR%%/mail from=bookings@example.org;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /c/$doi_token;
    doi_limit recipient off;
    doi_limit address off;
    doi_limit network off;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        access_log %%DIR%%/doi.log doi;
        location /book {
            doi_hold email=email slot=slot;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/c/(?<token>[^/]+)$ {
            doi_confirm $token;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/c2/(?<token>[^/]+)$ {
            doi_confirm $token scope=other;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

sub keys_are {
    my ($keys) = @_;

    (my $text = $conf) =~ s/doi_key KEYS/$keys/;
    $t->conf($text);
}

keys_are('doi_key 1 file:%%KEY%%;');
$t->start;

my $r = $t->post('/book', accept => 'application/json',
                 cookie => 'session=sEsSiOnSeCrEt',
                 form => { email => 'ada@secret.example', slot => 's',
                           note => 'nOtEsEcReT' });
is($r->status, 202, 'held');

my $id = $r->json->{reference};
my $token = $t->confirm_token($id);

# a form with mistakes, a click that is refused, one on a wrong address
is($t->post('/book', form => { email => 'ada@secret.example,nOtEsEcReT',
                               slot => 's' })->status, 422, 'not usable');
is($t->post("/c2/$token", form => { action => 'confirm' })->status, 403,
   'wrong scope');
is($t->post("/c/$token", form => { action => 'nOtEsEcReT' })->status, 422,
   'not understood');
is($t->get("/c/$token")->status, 200, 'a look');

my $data = join '', map { slurp($_) } glob $t->dir . '/store/*';
ok(length $data, 'the store');

for my $secret (qw(sEsSiOnSeCrEt nOtEsEcReT), $token) {
    is(index($data, $secret), -1, 'the store does not have it in clear');
}

ok(index($data, 'ada@secret.example') >= 0,
   'but for the address itself, which mails are sent to');

# The key is gone: nothing is sent, nothing is lost

keys_are('doi_key 2 file:%%KEY:other%%;');
ok($t->reload, 'another key alone');
is($t->get("/c/$token")->status, 403, 'the link is not valid');

my $other = $t->confirm_token($id, key => 'other', key_id => 2);
$r = $t->post("/c/$other", form => { action => 'confirm' });
is($r->status, 503, 'a token that is, but the request does not open: 503');
is(scalar($up->requests), 0, 'nothing was sent');
is(scalar($t->grep_log(qr/\[error\].*request of booking \Q$id\E.*doi_key/)), 1,
   'the log says which booking, and why');

keys_are("doi_key 2 file:%%KEY:other%%;\n    doi_key 1 file:%%KEY%%;");
ok($t->reload, 'the key is back, as second one');
$r = undef;
poll_until(30, sub {
    $r = $t->post("/c/$token", form => { action => 'confirm' });
    $r->status == 200;
});
is($r->status, 200, 'then it works');
is(scalar($up->posts), 1, 'one booking');
is(($up->posts)[0]{headers}{cookie}, 'session=sEsSiOnSeCrEt',
   'with all that was sent');

# Logs

my $logs = $t->error_log . slurp($t->dir . '/doi.log')
           . slurp($t->dir . '/nginx.out');

for my $secret (qw(sEsSiOnSeCrEt nOtEsEcReT secret.example), $token, $other) {
    is(index($logs, $secret), -1, 'not in a log');
}

done_testing();
