# What a row of an import may say: dates, words for a status, channels, lists;
# rows that are refused; who imported it.  What an export shows of that.

use lib 't/lib';
use Doi;

use POSIX qw(strftime);

my $t = Doi->new(workers => 2);

$t->write_file('users', "ada:{PLAIN}secret\n");

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    client_max_body_size 0;
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /api/ {
            auth_basic boss;
            auth_basic_user_file %%DIR%%/users;
            doi_api consent;
        }
        location /look/ { doi_api read; }
        location = /metrics { doi_metrics; }
    }
}
EOC

my @boss = (Authorization => 'Basic YWRhOnNlY3JldA==');

sub get { $t->get("/api/$_[0]", headers => { @boss }) }

ok(poll_until(30, sub { get('ledger/verify')->status == 200 }),
   'the ledger has its keys');

sub import_csv {
    my ($csv, $query) = @_;

    return $t->post('/api/contacts/import' . ($query ? "?$query" : ''),
                    body => $csv,
                    headers => { @boss, 'Content-Type' => 'text/csv' });
}

sub list_of {
    my ($contact, $list) = @_;

    my $r = get("contacts/$contact");

    return $r->status == 200
           ? (grep { $_->{list} eq ($list // 'default') } @{$r->json->{lists}})[0]
           : {};
}

# Words

my %status = (subscribed => 'single', 'Opted-In' => 'single',
              active => 'single', Confirmed => 'double',
              unsubscribed => 'opted_out', 'opted out' => 'opted_out',
              Optout => 'opted_out', pending => 'pending');
my @words = sort keys %status;
my $csv = "email,status\n";
$csv .= "w$_\@example.org,$words[$_]\n" for 0 .. $#words;
is(import_csv($csv)->json->{created}, scalar @words, 'words for a status');
is(list_of("email:w$_\@example.org")->{status}, $status{$words[$_]},
   $words[$_]) for 0 .. $#words;

# Dates

my $tomorrow = strftime('%Y-%m-%d', gmtime(time + 3 * 86400));
my @bad = ('2024-13-01', '2024-00-10', '2024-02-30', '2024-1-01', '20240101xx',
           '2024-02-03T25:00:00Z', '2024-02-03T10:60:00Z',
           '2024-02-03T10:00:00+', '2024-02-03X10:00:00Z', '1969-12-31',
           $tomorrow);
my $n = import_csv("email,date\n" . join '', map { "bad\@example.org,$_\n" } @bad)
        ->json;
is($n->{invalid}, scalar @bad, 'dates that are none') or diag(explain($n));
is_deeply([ map { $_->{line} } @{$n->{errors}} ], [ 2 .. @bad + 1 ],
          'each by its line');

$n = import_csv("email,consent,since\na\@example.org,single,2024-05-06\n"
                . "b\@example.org,double,2024-05-06T07:08:09Z\n"
                . 'c@example.org,single,' . strftime('%Y-%m-%d', gmtime) . "\n")
     ->json;
is($n->{created}, 3, 'dates') or diag(explain($n));
is(list_of('email:a@example.org')->{opted_in}, 1714953600, 'a day');
is(list_of('email:b@example.org')->{opted_in}, 1714953600 + 25689, 'a second');
my $e = get('contacts/email:a@example.org/evidence')->json->{entries}[0];
is_deeply([ @{$e}{qw(event source given actor)} ],
          [ qw(imported import 1714953600 ada) ],
          'the evidence: when it was given, who says so');
cmp_ok(abs($e->{time} - time), '<', 60, 'and since when we know it');

# Channels and lists

$n = import_csv("address,list,person,lang,note,wording,status\n"
                . "sms:+491512345678,,p1,de,\"at the fair\",I want it,single\n"
                . "whatsapp:+491512345678,b,p1,,,,\n"
                . "d\@example.org,,p1,,,,\n", 'channel=email&list=a')->json;
is($n->{created}, 3, 'channels') or diag(explain($n));
is(list_of('sms:+491512345678', 'a')->{status}, 'single', 'list= of the query');
is(list_of('whatsapp:+491512345678', 'b')->{status}, 'none', 'list of the row');
is(list_of('email:d@example.org', 'a')->{status}, 'none', 'channel= of the query');
$e = get('contacts/sms:+491512345678/evidence')->json->{entries}[0];
is_deeply([ @{$e}{qw(list person lang reason wording)} ],
          [ 'a', 'p1', 'de', 'at the fair', 'I want it' ], 'in the evidence');

$n = import_csv("address\nd\@example.org\n")->json;
is($n->{invalid}, 1, 'no channel');

for my $query ('channel=fax', 'country=0', 'country=abc', 'country=1234',
               'list=', 'list=' . 'x' x 65, 'dry_run=2')
{
    is(import_csv("email\nx\@example.org\n", $query)->status, 400, $query);
}
is(list_of('email:x@example.org')->{status}, undef, 'nothing of that is there');

# Too much

$n = import_csv("email,person,reason,wording\n"
                . 'e@example.org,' . 'p' x 128 . ',' . 'r' x 512 . ','
                . 'w' x 8192 . "\n"
                . 'f@example.org,' . 'p' x 129 . ",,\n"
                . 'g@example.org,,' . 'r' x 513 . ",\n"
                . 'h@example.org,,,' . 'w' x 8193 . "\n"
                . 'j@example.org,,"a' . "\x01" . "b\",\n")->json;
is_deeply([ @{$n}{qw(created invalid)} ], [ 1, 4 ], 'texts that are too long')
    or diag(explain($n));
is_deeply([ map { $_->{problem} =~ /too long/ ? 'long' : $_->{problem} }
                @{$n->{errors}} ],
          [ ('long') x 3, 'has a text with control characters' ], 'and why');

$csv = "email,list,status\n" . join '', map { "i\@example.org,l$_,single\n" }
                                        1 .. 34;
my $count = 'doi_consent_events_total{event="subscribe",source="import"}';
my $before = $t->metrics->{$count};
cmp_ok($before, '>', 0, 'imports are counted');
$n = import_csv($csv, 'dry_run=1')->json;
is($n->{rows}, 34, 'a dry run of 34 lists');
is($t->metrics->{$count}, $before, 'is not');
$n = import_csv($csv)->json;
is_deeply([ @{$n}{qw(rows created refused)} ], [ 34, 1, 2 ],
          'a contact has 32 lists at most') or diag(explain($n));
is_deeply([ map { $_->{line} } @{$n->{errors}} ], [ 34, 35 ], 'which are told');
is($t->metrics->{$count}, $before + 32, 'those that were taken are counted');

# Export

is($t->delete('/api/contacts/email:e@example.org', headers => { @boss },
              json => { reason => 'gdpr' })->status, 200, 'one is erased');
is($t->get('/look/contacts/export')->status, 403, 'permission');
my $r = get('contacts/export');
is($r->status, 200, 'export');
like($r->header('Content-Type'), qr{^text/csv}, 'CSV');
is($r->header('Cache-Control'), 'no-store', 'not for caches');
is($r->header('X-Content-Type-Options'), 'nosniff', 'no other type');
like($r->header('Content-Disposition'), qr/^attachment/, 'to be saved');
my @lines = split /\r\n/, $r->body;
ok(!(grep { /^email,,/ || /e\@example\.org/ } @lines), 'without the erased one');
my ($sms) = grep { /^sms/ } @lines;
like($sms, qr/^sms,'\+491512345678,a,single,p1,de,
              (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ),\1,import$/x, 'a line of it');
is(scalar @lines, 1 + @words + 3 + 3 + 32, 'all the others');

done_testing();
