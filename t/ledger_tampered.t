# Somebody has changed the store's file while nginx was down: what the API says
# of the ledger.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /api/ { doi_api consent; }
    }
}
EOC

ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');

for my $n (1 .. 3) {
    is($t->post("/api/contacts/email:u$n\@example.com/events",
                json => { event => 'subscribe', reason => "by-word-of-$n" })
         ->status, 200, "contact $n");
}

my $v = $t->get('/api/ledger/verify')->json;
ok($v->{intact}, 'intact');
is($v->{problems}, 0, 'no problems');

ok($t->quit, 'nginx ends, with all in data.mdb');

my $file = $t->dir . '/store/data.mdb';
open(my $fh, '+<:raw', $file) or die "$file: $!";
my $data = do { local $/; <$fh> };
cmp_ok($data =~ s/by-word-of-2/by-letter-of/g, '>', 0, 'one text is changed');
seek $fh, 0, 0;
print $fh $data;
close $fh or die "$file: $!";

$t->start;
ok(poll_until(30, sub {
    my $r = $t->get('/api/ledger/verify');
    $r->status == 200 && ($v = $r->json);
}), 'verified again');
ok(!$v->{intact}, 'not intact') or diag(explain($v));
is($v->{problems}, 1, 'one problem');
like($v->{first}[0], qr/^contact [0-9a-f]{24}: content of entry 1 is changed$/,
     'which one');
ok($t->grep_log(qr/the consent ledger has 1 problems/), 'the log says so');

done_testing();
