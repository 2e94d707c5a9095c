# The API on links that are there: show, list, revoke, resolve.

use lib 't/lib';
use Doi;

use MIME::Base64 qw(encode_base64);

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

$t->write_file('users', "ada:{PLAIN}secret\ngrace:{PLAIN}secret\n");

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=64m;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /book/ {
            doi_link $arg_t scope=s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
            proxy_read_timeout 300ms;
        }
        location /slow/ {
            doi_link $arg_t scope=s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ {
            auth_basic operators;
            auth_basic_user_file %%DIR%%/users;
            doi_api read mint resolve;
        }
        location /open { doi_api read mint resolve; }
        location = /metrics { doi_metrics; }
    }
}
EOC

my $user = 'ada';

sub api {
    my ($method, $uri, %o) = @_;

    return $t->request($method, "/api/$uri", %o, headers => {
        Authorization => 'Basic ' . encode_base64("$user:secret", '') });
}

sub mint { api(POST => 'links', json => { scope => 's', @_ })->json }
sub show { api(GET => "links/$_[0]{id}")->json }
sub revoke { api(DELETE => "links/$_[0]{id}") }
sub resolve { api(POST => "links/$_[0]{id}/resolve", json => $_[1]) }

sub book {
    my ($link, $mode) = @_;

    # only who is not to answer has little time for it
    my $where = $mode ? 'book' : 'slow';

    return $t->post("/$where/?t=$link->{token}", body => 'x',
                    headers => $mode ? { 'X-Mode' => $mode } : {})->status;
}

sub view { $t->get("/slow/?t=$_[0]{token}")->status }

# What the store was told last may still be on its way.

sub becomes {
    my ($link, $member, $value) = @_;

    poll_until(30, sub { (show($link)->{$member} // '') eq $value })
        or fail("$member of $link->{id} becomes $value");
}

sub offline {
    my $token = $t->mint(scope => 's', @_);

    return { token => $token, id => token_fields($token)->{id} };
}

sub conflict {
    my ($r, $name) = @_;

    is($r->status, 409, "$name: 409");
    is($r->json->{code}, 'state', "$name: code");
    ok($r->json->{detail}, "$name: detail");
}

is($t->get('/api/links')->status, 401, 'auth_basic is asked first');

# Show

my $fresh = mint(ttl => 600, meta => { for => 'Bob' });
my $j = show($fresh);

is_deeply([ sort keys %$j ], [ sort qw(id scope state uses used in_doubt minted
          expires changed meta actor reason claims) ], 'members');
is($j->{$_->[0]}, $_->[1], "fresh: $_->[0]")
    for [ id => $fresh->{id} ], [ scope => 's' ], [ state => 'fresh' ],
        [ uses => 1 ], [ used => 0 ], [ in_doubt => 0 ],
        [ expires => $fresh->{expires} ], [ actor => 'ada' ], [ reason => '' ],
        [ minted => token_fields($fresh->{token})->{minted} ];
is_deeply($j->{meta}, { for => 'Bob' }, 'fresh: meta');
is_deeply($j->{claims}, [], 'fresh: no claims');

my $r = api(HEAD => "links/$fresh->{id}");
is($r->status . $r->body, 200, 'HEAD');
ok($r->header('Content-Length') > 50, 'HEAD: length');

$r = api(GET => 'links/' . offline()->{id});
is($r->status, 404, 'nobody has seen it: 404');
is($r->json->{code}, 'not_found', 'code');

my $used = offline();
is(book($used), 200, 'book');
becomes($used, state => 'used');
$j = show($used);
is_deeply([ @$j{qw(state used uses)} ], [ 'used', 1, 1 ], 'used');
is($j->{expires}, token_fields($used->{token})->{expires}, 'expires is known');
is_deeply([ map { [ @$_{qw(slot state status)} ] } @{$j->{claims}} ],
          [ [ 0, 'used', 200 ] ], 'its claim');
ok($j->{claims}[0]{settled} >= $j->{claims}[0]{claimed}, 'settled');

my $claimed = offline();
my $s = $t->open_raw($t->bytes(POST => "/slow/?t=$claimed->{token}",
    body => 'x', headers => { 'X-Mode' => 'hang-booked' }));
ok(poll_until(30, sub { ($up->posts)[-1]{mode} eq 'hang-booked' }), 'claim');
$j = show($claimed);
is($j->{state}, 'claimed', 'claimed');
is($j->{claims}[0]{state}, 'claimed', 'its claim');
is($j->{claims}[0]{deadline} - $j->{claims}[0]{claimed}, 300, 'its deadline');
is($j->{claims}[0]{settled}, undef, 'not settled');

my @doubtful = map { offline() } 1 .. 4;
is(book($_, 'hang'), 409, 'no answer') for @doubtful;
becomes($_, state => 'in_doubt') for @doubtful;
is(show($doubtful[0])->{in_doubt}, 1, 'how many');
is(view($doubtful[0]), 409, 'what the visitor gets');

# Revoke

my $metric = $t->metrics->{doi_links_revoked_total};
my $revoked = mint();
$user = 'grace';
$r = revoke($revoked);
is($r->status, 200, 'revoke');
is($r->json->{state}, 'revoked', 'the record');
is($r->json->{actor}, 'grace', 'and who did it');
is($t->metrics->{doi_links_revoked_total} - $metric, 1, 'is counted');
$user = 'ada';
is(show($revoked)->{actor}, 'grace', 'is kept');
is(view($revoked), 410, 'the visitor gets 410');
like($t->get("/book/?t=$revoked->{token}", accept => 'application/json')
       ->json->{code}, qr/^revoked$/, 'revoked');
is(book($revoked), 410, 'nor can it book');
is(revoke($revoked)->status, 200, 'again: the same');
is(show($revoked)->{actor}, 'grace', 'the first one stays');
$metric = $t->metrics->{doi_links_revoked_total};
conflict(revoke($used), 'revoke a used one');
is(view($used), 410, 'which stays used');
is($t->metrics->{doi_links_revoked_total}, $metric, 'is not counted');

my $unseen = offline(ttl => 86400);
is(view($unseen), 200, 'a link that the store has not seen');
is(revoke($unseen)->status, 200, 'can be revoked');
is(view($unseen), 410, 'and is');
is(show($unseen)->{expires}, undef, 'its expiry is not known');

my $three = mint(uses => 3);
is(book($three), 200, 'one of three uses');
becomes($three, used => 1);
is(revoke($three)->status, 200, 'can be revoked');
is(book($three), 410, 'and is');
is(show($three)->{used}, 1, 'with one use');

# A claim in flight is left to settle.

is(revoke($claimed)->status, 200, 'revoke during a booking');
is(view($claimed), 410, 'nobody else gets in');
is(show($claimed)->{claims}[0]{state}, 'claimed', 'the booking goes on');

# Resolve

my $reason = "called Bob: it is in the calendar \x{2713}";

$r = resolve($doubtful[0], { outcome => 'used', reason => $reason });
is($r->status, 200, 'resolve as used');
is_deeply([ @{$r->json}{qw(state used in_doubt actor reason)} ],
          [ 'used', 1, 0, 'ada', $reason ], 'the record');
is(view($doubtful[0]), 410, 'it is used');

$r = resolve($doubtful[1], { outcome => 'fresh', reason => 'no booking' });
is($r->json->{state}, 'fresh', 'resolve as fresh');
is(view($doubtful[1]), 200, 'it opens');
is(book($doubtful[1]), 200, 'and books');
is(book($doubtful[1]), 410, 'once');
becomes($doubtful[1], state => 'used');

for ([ fresh => $fresh ], [ used => $used ], [ revoked => $revoked ]) {
    conflict(resolve($_->[1], { outcome => 'used', reason => 'x' }),
             "resolve one that is $_->[0]");
}
is(resolve(offline(), { outcome => 'used', reason => 'x' })->status, 404,
   'resolve an unknown one: 404');
is($t->metrics->{doi_links_resolved_total}, 2, 'two were resolved');

my $two = mint(uses => 2);
is(book($two, 'hang'), 409, 'one of two uses in doubt');
becomes($two, in_doubt => 1);
is(view($two), 200, 'it opens for the other');
conflict(resolve($two, { outcome => 'used', reason => 'x', slot => 1 }),
         'resolve the other slot');
is(resolve($two, { outcome => 'used', reason => 'x', slot => 0 })->status, 200,
   'resolve its slot');

# Without a user there is no actor.

my $anonymous = $t->post('/open/links', json => {})->json;
is($t->get("/open/links/$anonymous->{id}")->json->{actor}, '', 'no actor');

# Lists

sub ids { join ' ', sort map { $_->{id} } @_ }
sub list { @{api(GET => "links?limit=1000&state=$_[0]")->json->{links}} }

is(ids(list('in_doubt')), ids(@doubtful[2, 3]), 'list of those in doubt');
is(ids(list('revoked')), ids($revoked, $unseen, $three, $claimed),
   'list of revoked ones');
is(ids(list('used')), ids($used, @doubtful[0, 1]), 'list of used ones');
is(ids(list('fresh')), ids($fresh, $two, $anonymous), 'list of fresh ones');
is(ids(list('expired')), '', 'list of expired ones');

mint(count => 250);

my ($next, %seen, $pages) = ('');

do {
    $r = api(GET => "links?limit=100$next");
    $seen{$_->{id}}++ for @{$r->json->{links}};
    $next = $r->json->{next};
    like($next, qr/^[\w-]+$/, 'a cursor that needs no escaping')
        if defined $next;
    $next = defined $next ? "&cursor=$next" : '';
    $pages++;
} while ($next && $pages < 20);

my $all = keys %seen;
cmp_ok($all, '>=', 260, 'pages show all');
is($pages, 1 + int(($all - 1) / 100), 'in pages of 100');
is_deeply([ grep { $_ != 1 } values %seen ], [], 'each once');
is(scalar(@{api(GET => 'links')->json->{links}}), 100, 'a page is 100 links');

is(scalar(list('fresh')), 253, '253 are fresh');

# A page at a time, those in doubt, with one that is so twice

my $both = mint(uses => 2);
is(book($both, 'hang'), 409, 'both uses in doubt') for 1 .. 2;
becomes($both, in_doubt => 2);

my @found;
$next = '';

for (1 .. 20) {
    $j = api(GET => "links?state=in_doubt&limit=1$next")->json;
    push @found, @{$j->{links}};
    $next = defined $j->{next} ? "&cursor=$j->{next}" : last;
}

is(ids(@found), ids(@doubtful[2, 3], $both), 'pages of those in doubt');

$r = api(HEAD => 'links?limit=3');
is($r->status . $r->body, 200, 'HEAD of a list');

for ('cursor=', 'cursor=!!', 'cursor=a', 'cursor=' . 'A' x 200, 'limit=0',
     'limit=-1', 'limit=1001', 'limit=x', 'limit=', 'state=', 'state=doubtful')
{
    $r = api(GET => "links?$_");
    my ($name) = /^(\w+)/;

    is($r->status, 400, substr($_, 0, 20) . ': 400');
    like($r->json->{detail} // '', qr/"$name"/, substr($_, 0, 20)
         . ': names it');
}

close $s;
$up->stop;
done_testing();
