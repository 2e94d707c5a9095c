# The disk under the store is full: what cannot be made durable is refused with
# 503 and does not reach the upstream, nothing changes, and when there is room
# again all goes on without a restart.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);
my $dir = $t->dir;
my $disk = "$dir/disk";
mkdir $disk;

$> == 0 or plan(skip_all => 'not root: cannot mount a small disk');
system("unshare -m mount -t tmpfs none $disk 2>/dev/null") == 0
    or plan(skip_all => 'no private mounts here');

# The disk is mounted where only nginx sees it; we reach it through its
# master's root.

my $nginx = $t->{nginx};

$t->{nginx} = $t->write_file('nginx-disk', <<"EOS", 0755);
#!/bin/sh
exec unshare -m sh -c '
    mount -t tmpfs -o size=1m,mode=755 none $disk && exec "\$@"' \\
    sh $nginx "\$@"
EOS

my $up = $t->upstream('app');

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/disk/store size=64m;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /book/ {
            doi_link $arg_t scope=s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read mint resolve; }
        location = /metrics { doi_metrics; }
    }
}
EOC

my $file = '/proc/' . $t->pid . "/root$disk/fill";

sub fill {
    open(my $fh, '>', $file) or die "$file: $!";
    my $bytes = 0;

    while (defined(my $n = syswrite($fh, "\0" x 4096))) {
        $bytes += $n;
        last if $n < 4096;
    }

    return $bytes;
}

sub token { $t->mint(scope => 's') }
sub book { $t->post("/book/?t=$_[0]", body => 'x', accept => $_[1] // '*/*') }
sub state { ($t->get("/api/links/" . token_fields($_[0])->{id})->json
             // {})->{state} }

my $before = token();
is(book($before)->status, 200, 'there is room: books');
ok(poll_until(30, sub { (state($before) // '') eq 'used' }), 'and is settled');
ok(fill() > 4096, 'the disk is full now');

# LMDB has a few free pages left; as long as they last, bookings are durable and
# may go on.

my (@booked, $refused, $r);

for (1 .. 500) {
    my $token = token();
    $r = book($token, 'application/json');

    if ($r->status == 200) {
        push @booked, $token;

    } else {
        $refused = $token;
        last;
    }
}

ok($refused, 'a booking is refused, after ' . @booked . ' that were not')
    or BAIL_OUT('the disk did not get full');
is($r->status, 503, 'status 503');
like($r->header('Retry-After') // '', qr/^[1-9]\d*$/, 'Retry-After');
is($r->header('Content-Type'), 'application/problem+json', 'a problem');
is($r->json->{code}, 'unavailable', 'its code');

my @tokens = map { token() } 1 .. 20;
my @r = $t->many(20, sub { [ POST => "/book/?t=$tokens[$_[0]]", body => 'x' ] });
my $ok = grep { $_->status == 200 } @r;
is_deeply([ grep { $_->status !~ /^(?:200|503)$/ } @r ], [],
          "20 at once: each booked ($ok) or refused");

is(scalar($up->bookings), 1 + @booked + $ok,
   'the upstream has seen those that were let through and no other');
ok(!grep({ $_->{uri} =~ /$refused/ } $up->requests), 'and not that one');

# Minting needs much room.

my $minted = $t->metrics->{doi_links_minted_total};
$r = $t->post('/api/links', json => { scope => 's', count => 500,
                                      meta => { text => 'x' x 2000 } });
is($r->status, 503, 'minting is refused');
is($r->json->{code}, 'unavailable', 'as a problem');
ok($r->header('Retry-After'), 'with Retry-After');
is($t->metrics->{doi_links_minted_total}, $minted, 'none was minted');

# Looking needs none.

is($t->get("/book/?t=$refused")->status, 200, 'the link still opens');
is(state($refused), undef, 'the store does not know it');
is($t->get("/book/?t=$before")->status, 410, 'a used one is used');

ok($t->grep_log(qr/doi: .*No space left on device.*free some space/),
   'the log names the mend');
ok($t->metrics->{doi_store_commit_errors_total} > 0, 'commit errors counted')
    or diag(join "\n", $t->grep_log(qr/doi/));

# Room again

my @workers = $t->workers;
unlink $file or die "$file: $!";

$r = poll_until(30, sub { my $r = book($refused); $r->status != 503 && $r });
is($r && $r->status, 200, 'with room again the same link books');
is(book($refused)->status, 410, 'once');
is_deeply([ $t->workers ], \@workers, 'without a restart');

my @open = @booked;
ok(poll_until(30, sub { @open = grep { state($_) ne 'used' } @open; !@open }),
   'all that was booked is used') or diag(scalar(@open) . ' are not');
is_deeply([ map { book($_)->status } @booked[-3 .. -1] ], [ 410, 410, 410 ],
          'and cannot be booked again') if @booked >= 3;

# A start on a full disk: it serves, and opens the store later.

fill();
$t->expect_log(qr/exited on signal/);
kill 'KILL', $t->workers;
poll_until(30, sub { 2 == grep { my $pid = $_; !grep { $_ == $pid } @workers }
                          $t->workers });
is($t->get("/book/?t=forged")->status, 403, 'new workers serve');
unlink $file;
ok(poll_until(30, sub { book(token())->status == 200 }),
   'and book when there is room');

done_testing();
