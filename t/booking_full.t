# A store that is filled by holds: who comes then is told so by a page and not
# asked to look for a mail; nothing that was held is lost, over a crash as well;
# there is room again when holds expire, and at once when the store may grow.

use lib 't/lib';
use Doi;
use Doi::Deliver;

use Fcntl qw(LOCK_EX);

plan(skip_all => 'no faketime with the sanitizers') if $ENV{DOI_ASAN};

my $t = Doi->new(workers => 2, faketime => 1);
my $up = $t->upstream('app');
my $d = Doi::Deliver->new($t);

my $conf = <<'EOC';
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=1m;
    doi_key 1 file:%%KEY%%;
    doi_mail maildir:%%DIR%%/mail from=bookings@example.org;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_token;
    doi_owner name=Olga email=olga@example.com;
    doi_limit recipient off;
    doi_limit address off;
    doi_limit network off;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /book {
            doi_hold email=email slot=slot ttl=2h;
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

# As long as we have the courier's lock nothing is delivered: what was would
# make room.

my ($status, $out) = $t->test_config($conf);
is($status, 0, 'the directory of the store is made') or diag($out);

my $lock = $t->write_file('store/courier.lock', '', 0600);
chown +(stat $t->dir . '/store')[4, 5], $lock;
open(my $courier, '<', $lock) or die "$lock: $!";
flock($courier, LOCK_EX) or die "$lock: $!";

$t->conf($conf)->start;
$t->expect_log(qr/worker process \d+ exited on signal 9/);
$t->expect_log(qr/shared memory zone ".*" was locked by \d+/);

sub book {
    my ($n, %o) = @_;

    my $note = delete $o{note};

    return $t->post('/book', timeout => 20, %o,
                    form => { email => "v$n\@example.org", slot => "slot $n",
                              note => $note // 'x' x 8000 });
}

sub all {
    my ($state) = @_;

    my @b;
    my $cursor = '';

    do {
        my $r = $t->get("/api/bookings?limit=1000&state=$state$cursor")->json;
        push @b, @{$r->{bookings}};
        $cursor = $r->{next} ? "&cursor=$r->{next}" : '';
    } while ($cursor);

    return @b;
}


# Fills it, until even a short form finds no room; returns who was held.

my $n = 0;

sub fill {
    my @held;
    my $r;

    for my $note ('x' x 8000, '') {
        for (1 .. 2000) {
            $n++;
            $r = book($n, note => $note);
            last if $r->status != 202;
            push @held, "v$n\@example.org";
        }
    }

    is($r->status, 503, scalar(@held) . ' were held, then it is full');

    return @held;
}

sub headline { ($_[0]->body =~ m{<h1[^>]*>(.*?)</h1>}s)[0] // '' }

my $r = book('first', headers => { 'Accept-Language' => 'en' });
is($r->status, 202, 'held');
my $held_headline = headline($r);

my @held = ('vfirst@example.org', fill());
cmp_ok(scalar(@held), '>', 10, 'quite some');

# What visitors see

$r = book('late', headers => { 'Accept-Language' => 'en' }, note => '');
is($r->status, 503, 'full: 503');
like($r->header('Retry-After'), qr/^[1-9]\d*$/, 'Retry-After');
like($r->header('Content-Type'), qr{^text/html}, 'a page');
is($r->header('Cache-Control'), 'no-store', 'that nobody keeps');
like($r->body, qr{<h1>[^<]+</h1>}, 'with a headline');
isnt(headline($r), $held_headline, 'which promises no mail');
unlike($r->body, qr/<title>\s*503/, 'it is not nginx\'s own');
is(book('late', headers => { 'Accept-Language' => 'de' }, note => '')->status,
   503, 'another language, too');
$r = book('late', accept => 'application/json', note => '');
is($r->json->{code}, 'unavailable', 'for programs: unavailable');
is($r->header('Content-Type'), 'application/problem+json', 'a problem');
is(scalar(() = $up->requests), 0, 'nothing went past the hold');
ok($t->metrics->{'doi_store_refused_total{reason="full"}'} > 0, 'counted');

# Nothing is lost, and nobody else has got in

sub who { [ sort map { $_->{email} } @_ ] }

is_deeply(who(all('held')), [ sort @held ], 'held are those who were told so');

# A worker, then all, are killed with a full store.

$t->kill_worker('KILL', $_) for $t->workers;
is_deeply(who(all('held')), [ sort @held ], 'also after kill -9');
is(book('late', note => '')->status, 503, 'full it stays');

# Everyone of them gets a mail, even so: what was delivered makes room.

is(scalar(() = $d->mails), 0, 'no mail has gone out yet');
close $courier;
ok($d->idle(60), 'all mails are delivered');
my %mail = map { $_->{head}{to} => $_ } $d->mails;
is_deeply([ sort keys %mail ], [ sort @held ], 'to all who were held');
is(scalar(() = $d->mails), scalar(@held), 'one mail each');

# Looks, and what ends a hold, work in a full store

push @held, fill();
ok($d->idle(60), 'the mails of those as well');
%mail = map { $_->{head}{to} => $_ } $d->mails;

my ($one, $two, $three) = @held;

is($t->get($d->link($mail{$_}))->status, 200, "$_: a look")
    for $one, $two, $three;
is($t->post($d->link($mail{$one}), form => { action => 'cancel' })->status, 200,
   'it was not me');

# To confirm takes no more room than the hold has.

ok(poll_until(30, sub { $d->confirm($mail{$two})->status == 200 }),
   'one confirms');
is(scalar(() = $up->bookings), 1, 'and has booked');
is(scalar($d->wait_mails(1, to => 'olga')), 1, 'the owner is told');
ok($d->idle(60), 'all is delivered');
is(scalar(() = $d->mails(to => 'olga')), 1, 'once');
is_deeply(who(all('confirmed')), [ $two ], 'it is confirmed');

# More room: what was refused is taken, by a reload

push @held, fill();
$t->conf($conf =~ s/size=1m/size=16m/r);
my @old = $t->reload;
ok($t->wait_gone(30, @old), 'a larger size');
is(book('late')->status, 202, 'and there is room');
is(scalar($d->wait_mails(1, to => 'vlate@')), 1, 'and a mail');

# so much that the mails that go out do not make as much

for (1 .. 8) {
    push @held, "vmore$_\@example.org";
    is(book("more$_")->status, 202, 'for more');
}

is_deeply(who(all('held')),
          [ sort 'vlate@example.org', grep { $_ ne $one && $_ ne $two } @held ],
          'nobody was lost by that');
is_deeply(who(all('confirmed')), [ $two ], 'nor the booking');

# Back to the small one: too small for what is in it, but nothing is lost; when
# the holds are over their slots are free.

ok($d->idle(60), 'all mails are delivered');
$t->conf($conf);
@old = $t->reload;
ok($t->wait_gone(30, @old), 'the small size again');
is(book('later', note => '')->status, 503, 'full again');

$t->faketime(7300);
ok(poll_until(30, sub { !all('held') }), 'holds expire in a full store, too');
ok(poll_until(30, sub { book('later', note => '')->status == 202 }),
   'then there is room');
is(book(2, note => '')->status, 202, 'slots of what has expired are free');
is(book(1, note => '')->status, 409, 'that of the booking is not');

done_testing();
