# With doi_api consent alone the ledger is sealed by whoever delivers, though
# nobody has asked that process for a contact.

use lib 't/lib';
use Doi;

use Fcntl qw(:flock);

my $t = Doi->new(workers => 1);

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /api/ { doi_api consent; }
    }
}
EOC

ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');
$t->stop;

# Somebody else has the lease while the contact opts in.

open my $lock, '+<', $t->dir . '/store/courier.lock' or die;
flock $lock, LOCK_EX or die;
$t->start;

ok(poll_until(30, sub {
    $t->post('/api/contacts/email:ada@example.com/events',
             json => { event => 'subscribe' })->status == 200;
}), 'a contact');
is($t->get('/api/ledger/seal')->status, 404, 'nothing is sealed');

$t->stop;
close $lock;
$t->start;

ok(poll_until(30, sub { $t->get('/api/ledger/seal')->status == 200 }),
   'sealed without another call for a contact');

done_testing();
