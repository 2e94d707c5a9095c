# The store's files are replaced or removed under a running nginx: every booking
# is refused with 503 and none reaches the upstream, and the log says what to
# do.

use lib 't/lib';
use Doi;

use File::Path qw(remove_tree);

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');
my $store = $t->dir . '/store';

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /book/ {
            doi_link $arg_t scope=s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read mint; }
        location = /metrics { doi_metrics; }
    }
}
EOC

sub token { $t->mint(scope => 's') }

sub book {
    my ($token, %o) = @_;

    return $t->post("/book/?t=$token", body => 'x', %o);
}

my $used = token();
is(book($used)->status, 200, 'books');
is(book($used)->status, 410, 'once');
ok(poll_until(30, sub { ($t->get('/api/links/' . token_fields($used)->{id})
                           ->json // {})->{state} eq 'used' }), 'and is used');

# How the store goes away; none of it is noticed by LMDB itself.

# The copy is data.mdb alone: LMDB has all that was in the log at the end.

ok($t->quit, 'the end');

my $files = join ' ', map { "$store/$_" } qw(data.mdb lock.mdb);
my $copy = $t->dir . '/copy';
mkdir $copy;
system("cp -p $files $copy") == 0 or die 'cp';
$t->start;

my @ways = (
    [ 'data.mdb removed', sub { unlink "$store/data.mdb" },
      qr/data\.mdb was replaced or removed/ ],
    [ 'data.mdb replaced by a copy', sub {
          system("cp -p $copy/data.mdb $store/new.mdb") == 0 or die 'cp';
          rename "$store/new.mdb", "$store/data.mdb" or die $!;
      }, qr/data\.mdb was replaced or removed/ ],
    [ 'data.mdb replaced by an empty file', sub {
          $t->write_file('empty', '', 0666);
          rename $t->dir . '/empty', "$store/data.mdb" or die $!;
      }, qr/data\.mdb was replaced or removed/ ],
    [ 'lock.mdb removed', sub { unlink "$store/lock.mdb" },
      qr/lock\.mdb was replaced or removed/ ],
    [ 'the directory renamed', sub {
          rename $store, "$store.old" or die $!;
      }, qr/data\.mdb was replaced or removed/ ],
    [ 'the directory replaced', sub {
          rename $store, "$store.old2" or die $!;
          mkdir $store, 0777;
          system("cp -p $copy/data.mdb $copy/lock.mdb $store") == 0
              or die 'cp';
      }, qr/data\.mdb was replaced or removed/ ],
);

for my $case (@ways) {
    my ($name, $how, $log) = @$case;

    $up->forget;

    my @lines = $t->grep_log($log);
    my $r;

    $how->();

    # At once, and at all workers

    my @tokens = map { token() } 1 .. 40;
    my @r = $t->many(40, sub { [ POST => "/book/?t=$tokens[$_[0]]",
                                 body => 'x' ] });

    is_deeply($t->statuses(@r), { 503 => 40 }, "$name: at once all get 503");
    is(scalar($up->posts), 0, "$name: none reaches the upstream");

    # Also by those who do not lead

    ok(poll_until(30, sub { !grep { book(token())->status != 503 } 1 .. 8 }),
       "$name: 503 it stays");
    $up->forget;

    $r = book(token(), accept => 'application/json');
    is(($r->json // {})->{code}, 'unavailable', "$name: a problem");
    ok($r->header('Retry-After'), "$name: with Retry-After");

    $r = book($used);
    isnt($r->status, 200, "$name: a used link does not book");

    is($t->post('/api/links', json => {})->status, 503, "$name: nor minting");

    my @new = $t->grep_log($log);
    ok(@new > @lines, "$name: it is in the log");
    ok(@new <= @lines + 2, "$name: once per worker");
    like($new[-1] // '', qr/reload nginx|restart|stopped/,
         "$name: with the mend");
    is(scalar($up->posts), 0, "$name: nothing has reached the upstream");

    # As the log says: put the right files there while nginx is stopped.

    ok($t->stop, "$name: nginx stops");
    remove_tree($store, "$store.old");
    mkdir $store, 0700;
    system("cp -p $copy/data.mdb $store/data.mdb") == 0 or die 'cp';
    chown +(stat "$copy/data.mdb")[4, 5], $store;
    $t->start;

    is(book($used)->status, 410, "$name: with the right files, used is used");
    is(book(token())->status, 200, "$name: and others book");
}

# Without a stop: lock.mdb, which the old workers hold, knows the number of the
# last commit, and LMDB picks by it one of the two roots in data.mdb.  In a copy
# that is so many commits older that may be the wrong one.  A reload either goes
# on with all that is in the copy, or refuses to.

for my $commits (1 .. 3) {
    my $name = "replaced by one that is $commits commits older";

    ok($t->stop, "$name: nginx stops");
    system("cp -p $copy/data.mdb $store/data.mdb") == 0 or die 'cp';
    unlink "$store/lock.mdb";
    $t->start;
    is($t->get("/book/?t=$used")->status, 410, "$name: used is used");
    is($t->post('/api/links', json => {})->status, 201, "$name: a commit")
        for 1 .. $commits;

    system("cp -p $copy/data.mdb $store/new.mdb") == 0 or die 'cp';
    rename "$store/new.mdb", "$store/data.mdb" or die $!;
    ok(poll_until(30, sub { !grep { book(token())->status != 503 } 1 .. 8 }),
       "$name: 503");

    ok(scalar $t->reload, "$name: reload");

    my %got = map { book($used)->status => 1 } 1 .. 8;
    delete @got{410, 503};
    is_deeply([ keys %got ], [], "$name: used is used, or 503");
}

my @leaks = grep { /doi: / } $t->leaks;
is_deeply(\@leaks, [], 'no token in what the module logs');

done_testing();
