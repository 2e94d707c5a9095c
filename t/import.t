# Import and export of contacts: what rows become, dry runs, errors by line,
# bodies in pieces, a worker that is killed in the middle; what was exported can
# be imported again.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    client_max_body_size 0;
    doi_store %%DIR%%/store size=256m;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /api/ { doi_api consent; }
        location /look/ { doi_api read; }
    }
}
EOC

ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');

sub import_csv {
    my ($csv, $query, %o) = @_;

    return $t->post('/api/contacts/import' . ($query ? "?$query" : ''),
                    body => $csv, headers => { 'Content-Type' => 'text/csv' },
                    %o);
}

sub status_of {
    my ($contact, $list) = @_;

    my $r = $t->get("/api/contacts/$contact?list=" . ($list // 'default'));

    return $r->status == 200 ? $r->json->{lists}[0]{status} : $r->status;
}

is($t->post('/look/contacts/import', body => "address\n",
            headers => { 'Content-Type' => 'text/csv' })->status, 403,
   'permission');
is($t->post('/api/contacts/import', json => {})->status, 415, 'no CSV');
is(import_csv('')->status, 400, 'nothing at all');
is(import_csv("a,b\n1,2\n")->json->{code}, 'header', 'no address');
is(import_csv("email,phone\n")->json->{code}, 'header', 'two addresses');
is(import_csv("address\n", 'dry_run=yes')->status, 400, 'dry_run');

my $csv = "\xef\xbb\xbfE-Mail,Status,Person-ID,lang,Opt-in date\r\n"
          . "ada\@example.com,single,p1,en,2024-05-06\r\n"
          . "\"Bob\@Example.COM\",opted_out,,,\r\n"
          . "nobody,single,,,\r\n"
          . "carl\@example.com,maybe,,,\r\n"
          . "dora\@example.com,,,,\r\n"
          . "emil\@example.com,single,,,2024-02-31\r\n";

my $r = import_csv($csv, 'dry_run=1');
is($r->status, 200, 'dry run') or diag($r->body);
my $n = $r->json;
is_deeply([ @{$n}{qw(rows created changed invalid)} ], [ 6, 3, 0, 3 ],
          'what would be');
is_deeply([ map { $_->{line} } @{$n->{errors}} ], [ 4, 5, 7 ], 'lines');
is(status_of('email:ada@example.com'), 404, 'nothing was written');

$n = import_csv($csv)->json;
is_deeply([ @{$n}{qw(rows created changed invalid dry_run)} ],
          [ 6, 3, 0, 3, $n->{dry_run} ], 'what was');
ok(!$n->{dry_run}, 'not dry');
is(status_of('email:ada@example.com'), 'single', 'single');
is(status_of('email:bob@example.com'), 'opted_out', 'opted out');
is(status_of('email:dora@example.com'), 'none', 'without a status: none');

my $c = $t->get('/api/contacts/email:ada@example.com')->json;
is($c->{person}, 'p1', 'person');
is($c->{lists}[0]{opted_in}, 1714953600, 'when it was given');

$n = import_csv($csv)->json;
is_deeply([ @{$n}{qw(created changed unchanged)} ], [ 0, 0, 3 ], 'again');

import_csv("email,status\nbob\@example.com,double\nada\@example.com,none\n"
           . "dora\@example.com,single\n");
is(status_of('email:bob@example.com'), 'opted_out', 'never raised');
is(status_of('email:ada@example.com'), 'none', 'lowered');
is(status_of('email:dora@example.com'), 'none', 'a known one is not raised');

# A row without a status, or a file without such a column, says nothing of it.

import_csv("email,status\nkim\@example.com,single\nlea\@example.com,double\n");
$n = import_csv("email,lang,status\nkim\@example.com,de,\n"
                . "max\@example.com,de,\n")->json;
is_deeply([ @{$n}{qw(created changed unchanged)} ], [ 1, 0, 1 ], 'no status');
is(status_of('email:kim@example.com'), 'single', 'a known one keeps its own');
is($t->get('/api/contacts/email:kim@example.com')->json->{lang}, 'de',
   '... and gets the rest');
is(status_of('email:max@example.com'), 'none', 'a new one has none');
import_csv("email,person\nlea\@example.com,p9\n");
is(status_of('email:lea@example.com'), 'double', 'no such column');

$n = import_csv("channel,number\nsms,0151 2345678\nwhatsapp,+4915112345678\n"
                . "sms,'+4915112345679\n", 'country=49&list=a%20b')->json;
is($n->{created}, 3, 'numbers') or diag(explain($n));
is(status_of('sms:+491512345678', 'a%20b'), 'none', 'national, and a list');

# In pieces of odd size, chunked, quoted line ends, no line end at the end.

my $rows = join '', map { sprintf qq("p%d\@example.org","a\r\nb","%s"\n),
                          $_, 'x' x ($_ % 50) } 1 .. 3000;
my $body = "email,note,other\n" . $rows . 'last@example.org';
my $chunks = join '', map { sprintf("%x\r\n%s\r\n", length $_, $_) }
             unpack '(a777)*', $body;
$r = $t->http_raw("POST /api/contacts/import HTTP/1.1\r\nHost: a\r\n"
                  . "Content-Type: text/csv\r\nConnection: close\r\n"
                  . "Transfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n",
                  timeout => 120);
is($r->status, 200, 'chunked') or diag($r->body);
is_deeply([ @{$r->json}{qw(rows created invalid)} ], [ 3001, 1, 3000 ],
          'line ends are no text for a reason');
is(scalar @{$r->json->{errors}}, 100, 'the first hundred errors');

$rows = join '', map { "p$_\@example.org,single,de\n" } 1 .. 5000;
$n = import_csv("email,status,lang\n$rows", undef, timeout => 120)->json;
is_deeply([ @{$n}{qw(rows created invalid)} ], [ 5000, 5000, 0 ], 'many');

# What comes out goes in again.

$r = $t->get('/api/contacts/export', timeout => 120);
is($r->status, 200, 'export');
my @lines = split /\r\n/, $r->body;
is(scalar @lines, 5000 + 10 + 1, 'all of them');
is($lines[0], 'channel,address,list,status,person,lang,date,opted_in,source',
   'header');
ok((grep { /^sms,'\+491512345678,a b,none,/ } @lines), 'no formula');
$n = import_csv($r->body, undef, timeout => 120)->json;
is_deeply([ @{$n}{qw(created changed unchanged invalid)} ], [ 0, 0, 5010, 0 ],
          'the same again') or diag(explain($n));
is($t->head('/api/contacts/export')->status, 200, 'HEAD');

# kill -9 in the middle: what is there is whole, and the rest can follow.

my $big = "email,status\n" . join '', map { "k$_\@example.net,single\n" }
                                      1 .. 30000;
my $pid = fork() // die;

if ($pid == 0) {
    eval { import_csv($big, undef, timeout => 120) };
    POSIX::_exit(0);
}

ok(poll_until(20, sub { status_of('email:k400@example.net') eq 'single' }),
   'it is under way');
$t->kill_worker('KILL', $_) for $t->workers;
waitpid $pid, 0;
$t->expect_log(qr/worker process \d+ exited on signal 9/);

my $v;
ok(poll_until(20, sub {
    my $r = $t->get('/api/ledger/verify', timeout => 30);
    $r->status == 200 && ($v = $r->json);
}), 'new workers');
ok($v->{intact}, 'the chain is whole') or diag(explain($v));
is(status_of('email:k1@example.net'), 'single', 'what was written is there');

$n = import_csv($big, undef, timeout => 120)->json;
is($n->{created} + $n->{unchanged}, 30000, 'once more, to the end')
    or diag(explain($n));
cmp_ok($n->{unchanged}, '>=', 400, 'nothing of it was lost');
ok($t->get('/api/ledger/verify', timeout => 30)->json->{intact}, 'whole');

done_testing();
