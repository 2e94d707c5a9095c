# The store has grown to the size that doi_store gives it: what would make it
# grow is refused with 503, all else goes on.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=1m;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /book/ {
            doi_link $arg_t scope=s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /brief/ {
            doi_link $arg_t scope=s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
            proxy_read_timeout 1s;
        }
        location /api/ { doi_api read mint resolve; }
        location = /metrics { doi_metrics; }
    }
}
EOC

my $full = 'doi_store_refused_total{reason="full"}';

sub book {
    my ($token, %o) = @_;

    my $where = delete $o{where} // 'book';

    return $t->post("/$where/?t=$token", body => 'x', accept => '*/*', %o);
}

sub id { token_fields($_[0])->{id} }
sub link_json { $t->get('/api/links/' . id($_[0]))->json // {} }
sub mint_many { $t->post('/api/links', json => { scope => 's', @_ }) }

# One in doubt, one used, and one that is being booked while the store fills

my ($doubtful, $used, $slow, $fresh, $doomed, $offline) =
    map { $t->mint(scope => 's') } 1 .. 6;

is(book($used)->status, 200, 'one is used');
is(book($doubtful, where => 'brief', headers => { 'X-Mode' => 'hang' })->status,
   409, 'one is in doubt');

my $minted = mint_many(count => 2)->json->{links};
is(scalar(@{$minted // []}), 2, 'two are minted');

my $m = $t->metrics;
is($m->{$full}, 0, 'nothing was refused so far');
is($m->{doi_store_map_size_bytes}, 1048576, 'the size as configured');

my $s = $t->open_raw($t->bytes(POST => "/book/?t=$slow", body => 'x',
    headers => { 'X-Mode' => 'slow until=go' }));
ok(poll_until(30, sub { grep { $_->{uri} !~ /mode=/ && $_->{mode} =~ /^slow/ }
                        $up->requests }), 'one is being booked');

# Fill it

my ($r, $calls) = (undef, 0);

for (1 .. 50) {
    $r = mint_many(count => 100, meta => { text => 'x' x 2000 });
    last if $r->status != 201;
    $calls++;
}

is(link_json($slow)->{state}, 'claimed', 'it is still being booked');
ok($calls > 0, "$calls calls minted 100 each");
is($r->status, 503, 'then the store is full: 503');
is($r->json->{code}, 'unavailable', 'a problem');
like($r->header('Retry-After') // '', qr/^[1-9]\d*$/, 'Retry-After');

$m = $t->metrics;
ok($m->{$full} > 0, 'counted as refused, full');
is($m->{doi_links_minted_total}, 2 + 100 * $calls,
   'minted: those that were answered');
ok($m->{doi_store_map_used_bytes} >= 0.6 * $m->{doi_store_map_size_bytes},
   'the map is in use');

is(mint_many(count => 100, meta => { text => 'x' x 2000 })->status, 503,
   'full it stays');

# Single ones, for which a page may have room, until that is over, too

poll_until(30, sub { mint_many()->status == 503 })
    or BAIL_OUT('the store does not get full');

# Claims

$up->forget;
my $before = $t->metrics->{$full};

$r = book($offline, accept => 'application/json');
is($r->status, 503, 'a booking with a link minted offline is refused');
is($r->json->{code}, 'unavailable', 'as a problem');
ok($r->header('Retry-After'), 'with Retry-After');
is(book($minted->[0]{token})->status, 503, 'with a link minted here, too');
is(scalar($up->posts), 0, 'neither reached the upstream');
is($t->metrics->{$full} - $before, 2, 'both are counted');

# Views

is($t->get("/book/?t=$offline")->status, 200, 'a fresh link opens');
is($t->get("/book/?t=$used")->status, 410, 'a used one is used');
is(book($used)->status, 410, 'also for a booking');
is($t->get("/book/?t=$doubtful")->status, 409, 'one in doubt is that');
is($t->get('/api/links?limit=5')->status, 200, 'the list of links');

# The claim in flight

$t->write_file('go', '');
$r = Doi::HTTP::exchange($s, '', method => 'POST');
close $s;
is($r->status, 200, 'what was being booked is booked');
ok(poll_until(20, sub { link_json($slow)->{state} eq 'used' }),
   'and gets used, full or not');
is(book($slow)->status, 410, 'for all');

# Operators

$r = $t->post('/api/links/' . id($doubtful) . '/resolve',
              json => { outcome => 'used', reason => 'it is in the calendar' });
is($r->status, 200, 'resolve');
is(link_json($doubtful)->{state}, 'used', 'is in the record');
is($t->delete("/api/links/$minted->[1]{id}")->status, 200,
   'a link that was minted here can be revoked');
is($t->get("/book/?t=$minted->[1]{token}")->status, 410, 'and is revoked');

$r = $t->delete('/api/links/' . id($doomed));
ok($r->status == 503 && $t->get("/book/?t=$doomed")->status == 200
   || $r->status == 200 && $t->get("/book/?t=$doomed")->status == 410,
   'revoking a link that the store has not seen: done, or refused')
    or diag($r->status);
isnt($r->status, 500, 'not an error');

# A reload changes nothing about it; with a larger map it goes on.

my $conf = slurp($t->dir . '/nginx.conf');

my @old = $t->reload;
ok($t->wait_gone(20, @old), 'reload');
is(book($offline)->status, 503, 'still full');

$t->write_file('nginx.conf', $conf =~ s/size=1m/size=16m/r);
@old = $t->reload;
ok($t->wait_gone(20, @old), 'reload with a larger size');
is(book($offline)->status, 200, 'then the link books');
is(mint_many(count => 100, meta => { text => 'x' x 2000 })->status, 201,
   'and minting goes on');
is($t->metrics->{doi_store_map_size_bytes}, 16777216, 'the new size');

done_testing();
