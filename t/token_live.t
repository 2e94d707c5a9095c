# What the programs that docs/token.md prints mint is redeemed by a running
# server: with each interpreter that is here, at least a shell, Python and Node.

use lib 't/lib';
use Doi;
use Doi::Docs qw(programs interpreters);

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    doi_key 200 file:%%KEY:other%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location ~ ^/b/(?<cal>[^/]*)/(?<token>[^/]+)$ {
            doi_link $token scope=$cal;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read; }
    }
}
EOC

my $dir = $t->dir;
my @all = interpreters(programs(Doi::Docs::slurp("$Doi::ROOT/docs/token.md"),
                                $dir), $dir);
my %here = map { $_->[1] => 1 } grep { @$_ > 2 } @all;

ok($here{$_}, "$_ is here") for qw(sh python javascript);

# The arguments of the page: KEYFILE KEYID PURPOSE SCOPE TTL

sub mint {
    my ($cmd, @args) = @_;

    my ($status, $out) = Doi::Docs::run(undef, @$cmd, @args);

    is($status, 0, 'exit status');
    chomp $out;
    push @{$t->{tokens}}, $out;

    return $out;
}

for (@all) {
    my ($name, undef, @cmd) = @$_;

    subtest $name => sub {
        plan(skip_all => 'not here') if !@cmd;

        $up->forget;

        my $token = mint(\@cmd, $t->key, 1, 'link', 'room-4', 600);

        is($t->get("/b/room-4/$token")->status, 200, 'opens');
        is($t->post("/b/room-4/$token", form => { a => 1 })->status, 200,
           'books');
        is($t->post("/b/room-4/$token", form => { a => 1 })->status, 410,
           'once');
        is(scalar($up->bookings), 1, 'one booking');
        is(($up->bookings)[0]{key}, substr($token, 8, 16),
           'its Idempotency-Key is the id');

        my $j = $t->get('/api/links/' . substr($token, 8, 16))->json;
        is($j->{state}, 'used', 'the API knows it');
        is($j->{expires} - $j->{minted}, 600, 'its ttl');

        # Another key, and a scope that is escaped in the path

        $token = mint(\@cmd, $t->key('other'), 200, 'link', "caf\xc3\xa9 1",
                      600);
        is($t->get("/b/caf%C3%A9%201/$token")->status, 200,
           'another key and scope');
        is($t->get("/b/caf%C3%A9/$token")->status, 403, 'only there');

        # What is not for here

        $token = mint(\@cmd, $t->key, 1, 'confirm', 'room-4', 600);
        is($t->get("/b/room-4/$token")->status, 403, 'another purpose');

        $token = mint(\@cmd, $t->key, 2, 'link', 'room-4', 600);
        is($t->get("/b/room-4/$token")->status, 403, 'an unknown key');

        $token = mint(\@cmd, $t->key('other'), 1, 'link', 'room-4', 600);
        is($t->get("/b/room-4/$token")->status, 403, 'signed with another');

        $token = mint(\@cmd, $t->key, 1, 'link', 'room-4', 0);
        is($t->post("/b/room-4/$token", body => 'x')->status, 410,
           'a ttl of 0 has expired');
        is(scalar($up->bookings), 1, 'none of these books');

        Test::More::done_testing();
    };
}

done_testing();
