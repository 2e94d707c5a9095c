# A full store holds nothing: 503 with Retry-After, and no mail is promised.
# What was held can still be confirmed, and cancelled.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=1m;
    doi_key 1 file:%%KEY%%;
    doi_mail maildir:%%DIR%%/mail from=bookings@example.org;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /c/$doi_token;
    doi_limit recipient off;
    doi_limit address off;
    doi_limit network off;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /book {
            doi_hold email=email slot=slot;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/c/(?<token>[^/]+)$ {
            doi_confirm $token;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

$t->start;

my ($r, @held);

for my $n (1 .. 200) {
    $r = $t->post('/book', accept => 'application/json', timeout => 20,
                  form => { email => "v$n\@example.org", slot => "slot $n",
                            note => 'x' x 20000 });
    last if $r->status != 202;
    push @held, $r->json->{reference};
}

ok(@held > 3, scalar(@held) . ' were held');
is($r->status, 503, 'then the store is full: 503');
is($r->json->{code}, 'unavailable', 'code');
like($r->header('Retry-After'), qr/^[1-9]\d*$/, 'Retry-After');
is(scalar($up->requests), 0, 'nothing went to the app');

my @links = map { '/c/' . $t->confirm_token($_) } @held;

is($t->get($links[0])->status, 200, 'a look');

# settling takes a stored request away, so there is room again

for my $i (0 .. 2) {
    ok(poll_until(20, sub {
        $r = $t->post($links[$i],
                      form => { action => $i ? 'confirm' : 'cancel' });
        $r->status == 200;
    }), 'what was held can be ' . ($i ? 'confirmed' : 'cancelled'));
}

is(scalar($up->posts), 2, 'each once');
ok(poll_until(20, sub {
    $t->post('/book', form => { email => 'w@example.org', slot => 'w' })
      ->status == 202;
}), 'then there is room');

done_testing();
