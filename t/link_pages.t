# What a visitor or an app must not be given: another site's address in a page,
# the status of an error_page, a method in disguise.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        merge_slashes off;
        location ~ /p/(?<token>[^/]+)$ {
            doi_link $token;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/named/(?<token>[^/]+)$ {
            doi_link $token;
            error_page 504 @other;
            proxy_read_timeout 1s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/again/(?<token>[^/]+)$ {
            doi_link $token;
            doi_upstream_idempotent on;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location @other { proxy_pass http://127.0.0.1:%%PORT:app%%; }
        location = /metrics { doi_metrics; }
    }
}
EOC

$t->start;

# A double-click under "//host": the page that looks again stays on this site.

my $token = $t->mint;
my $browser = $t->get("/p/$token")->cookie('doi_browser');
my $s = $t->open_raw($t->bytes('POST', "/p/$token", body => 'a',
                               cookie => "doi_browser=$browser",
                               headers => { 'X-Mode' => 'slow until=go' }));
ok(poll_until(30, sub { $up->posts == 1 }), 'a booking is under way');

my $r = $t->get("//evil.example/p/$token", cookie => "doi_browser=$browser");
is($r->status, 409, 'the same browser looks again');
is($r->header('Refresh'), "2; url=/evil.example/p/$token",
   'and stays on this site');
$t->write_file('go', '');
is(Doi::HTTP::exchange($s, undef)->status, 200, 'the booking');
close $s;

# A GET that says it is a POST claims nothing, so it must not say so.

for my $name (qw(X-HTTP-Method-Override X-HTTP-Method X-Method-Override)) {
    $up->forget;
    is($t->get('/p/' . $t->mint, headers => { $name => 'POST' })->status, 200,
       "$name: a look");
    is(($up->requests)[0]{headers}{lc $name}, undef, "$name: is not passed on");
}

# error_page leads to another upstream: the page has its own status.

$up->forget;
$r = $t->post('/named/' . $t->mint, body => 'a',
              headers => { 'X-Mode' => 'hang' });
is($r->status, 409, 'error_page 504: in doubt is 409 all the same');
like($r->body, qr/checking/, 'and says so');
is(scalar($up->posts), 1, 'the booking was sent once');

# A retry of a link in doubt that reaches nobody has resolved nothing.

$token = $t->mint;
is($t->post("/again/$token", body => 'a',
            headers => { 'X-Mode' => 'reset-booked' })->status, 409, 'in doubt');
$up->stop;
$r = $t->post("/again/$token", body => 'a');
is($r->status, 409, 'a retry that reaches nobody: in doubt still');
is($t->metrics->{'doi_redemptions_total{outcome="released"}'}, 0,
   'nothing was released');
ok(poll_until(30, sub { $t->get("/again/$token")->status == 409 }),
   'and nobody else is let in');
$up->start;

done_testing();
