# doi_hold: a slot is held by one address at a time.

use lib 't/lib';
use Doi;

plan(skip_all => 'no faketime with the sanitizers') if $ENV{DOI_ASAN};

my $t = Doi->new(workers => 2, faketime => 1);
my $up = $t->upstream('app');

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    log_format doi "$doi_state";
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_mail maildir:%%DIR%%/mail from=bookings@example.org;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_scope/$doi_token;
    doi_limit recipient off;
    doi_limit address off;
    doi_limit network off;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        access_log %%DIR%%/doi.log doi;
        location ~ ^/book/(?<cal>\w+)$ {
            doi_hold email=email slot=slot scope=$cal ttl=10m;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/confirm/(?<cal>\w+)/(?<token>[^/]+)$ {
            doi_confirm $token scope=$cal start=/book/$cal;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

$t->start;

sub hold {
    my ($email, $slot, %o) = @_;

    return $t->post('/book/' . ($o{cal} // 'red'),
                    form => { email => $email, slot => $slot },
                    accept => 'application/json', %o);
}

sub link_of {
    my ($r, $cal) = @_;

    $cal //= 'red';

    return "/confirm/$cal/" . $t->confirm_token($r->json->{reference},
                                                scope => $cal, ttl => 600);
}

my $r = hold('ada@example.org', '2030-01-01 09:00');
is($r->status, 202, 'held');
my $link = link_of($r);

my $taken = hold('bob@example.org', '2030-01-01 09:00');
is($taken->status, 409, 'another address: taken');
is($taken->json->{code}, 'taken', 'code');
is($taken->header('Retry-After'), undef, 'no Retry-After');

my $page = $t->post('/book/red', form => { email => 'bob@example.org',
                    slot => '2030-01-01 09:00' }, headers =>
                    { Referer => 'http://127.0.0.1:' . $t->port
                                 . '/book/red?week=3#top' });
is($page->status, 409, 'as a page');
like($page->body, qr{href="/book/red\?week=3"}, 'with the way back');
unlike($page->body, qr/ada/, 'and nothing of who has it');

for my $referer ('http://evil.example/book', 'javascript://127.0.0.1/x',
                 'http://127.0.0.1:' . $t->port . '//evil.example/',
                 'http://127.0.0.1:' . $t->port . '.evil.example/') {
    $page = $t->post('/book/red', form => { email => 'bob@example.org',
                     slot => '2030-01-01 09:00' },
                     headers => { Referer => $referer });
    unlike($page->body, qr/evil|javascript/, "not back to $referer");
}

is(hold(' ADA@example.org', '2030-01-01 09:00')->status, 202,
   'the same address: as before');
is(hold('bob@example.org', ' 2030-01-01 09:00 ')->status, 409,
   'blanks around make no other slot');
is(hold('bob@example.org', '2030-01-01 09:00', cal => 'blue')->status, 202,
   'another calendar');
is(hold('bob@example.org', '2030-01-01 09:30')->status, 202, 'another slot');

my %states;

poll_until(30, sub {
    my @lines = split /\n/, slurp($t->dir . '/doi.log');
    %states = ();
    $states{$_}++ for @lines;
    @lines == 11;
});

is_deeply(\%states, { held => 4, taken => 7 }, '$doi_state')
    or diag explain \%states;

# Confirmed: taken for good

is($t->post($link, form => { action => 'confirm' })->status, 200, 'confirmed');

ok(poll_until(30, sub {
    ($t->get($link, accept => 'application/json')->json // {})->{code}
        eq 'booked';
}), 'settled');
is(hold('bob@example.org', '2030-01-01 09:00')->status, 409, 'booked: taken');
is(hold('ada@example.org', '2030-01-01 09:00')->status, 409,
   'booked: by the same address as well');

# Expired by the clock: free for the next, and the old link is of no use

$r = hold('ada@example.org', '2030-01-02 09:00');
$link = link_of($r);
$t->faketime(601);
is($t->get($link)->status, 410, 'expired');
like($t->get($link)->body, qr{href="/book/red"}, 'with a way to start again');
is($t->post($link, form => { action => 'confirm' })->status, 410,
   'cannot be confirmed');

$r = hold('bob@example.org', '2030-01-02 09:00');
is($r->status, 202, 'free for the next');
is($t->post(link_of($r), form => { action => 'confirm' })->status, 200,
   'who confirms');
is($t->get($link)->status, 410, 'the old link: expired as before');
is(scalar($up->posts), 2, 'two bookings');

done_testing();
