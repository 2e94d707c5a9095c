# What doi_consent, doi_evidence, doi_optout_scope and doi_sync refuse in a
# configuration, and what the gate does without a store.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 1);
my $up = $t->upstream('app');

$t->write_file('secret', "s3cret\n", 0600);
$t->write_file('blank', "two words\n", 0600);

my $conf = <<'EOC';
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    HTTP
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /send {
            LOC
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

my $store = 'doi_store %%DIR%%/store size=16m; doi_key 1 file:%%KEY%%;';

sub refused {
    my ($http, $loc, $why, $name) = @_;

    (my $text = $conf) =~ s/\bHTTP\n/$http\n/;
    $text =~ s/\bLOC\n/$loc\n/;

    my ($status, $out) = $t->test_config($t->expand($text));
    isnt($status, 0, "refused: $name");
    like($out, $why, '... and says why');
}

my $ok = 'doi_consent single to=to channel=sms;';

refused('', $ok, qr/needs a store/, 'no store');
refused('doi_store %%DIR%%/store size=16m;', $ok, qr/needs a key/, 'no key');
refused($store, "satisfy any; $ok", qr/satisfy all/, 'satisfy any');
refused($store, "doi_link \$arg_t; $ok", qr/cannot stand/, 'with doi_link');
refused($store, "$ok $ok", qr/duplicate/, 'twice');

for ([ 'some to=to channel=sms', qr/level/, 'level' ],
     [ 'single channel=sms', qr/either/, 'no recipient' ],
     [ 'single to=to address=$arg_a channel=sms', qr/either/, 'both' ],
     [ 'single to=to', qr/channel=/, 'no channel' ],
     [ 'single to=to channel=fax', qr/"channel=fax"/, 'channel' ],
     [ 'single to=to channel=sms since=2026-01-01', qr/since=/, 'since' ],
     [ 'double to=to channel=sms since=2026-02-31', qr/since=/, 'date' ],
     [ 'double to=to channel=sms since=yesterday', qr/since=/, 'no date' ],
     [ 'single to=to channel=sms country=0049', qr/country=/, 'country' ],
     [ 'single to=to channel=sms learn=all', qr/learn=all/, 'learn' ],
     [ 'single to=to channel=sms more=1', qr/more=1/, 'parameter' ])
{
    refused($store, "doi_consent $_->[0];", $_->[1], $_->[2]);
}

refused($store, 'doi_evidence client=some;', qr/client=some/, 'evidence');
refused($store, 'doi_optout_scope all;', qr/"all"/, 'scope');

for ([ 'other https://a/ secret_file=%%DIR%%/secret', qr/"other"/, 'CRM' ],
     [ 'json ftp://a/ secret_file=%%DIR%%/secret', qr/ftp/, 'URL' ],
     [ 'json https://a/ allow=private', qr/secret_file/, 'no secret' ],
     [ 'json https://a/ secret_file=%%DIR%%/blank', qr/blank/, 'two words' ],
     [ 'json https://a/ secret_file=%%DIR%%/none', qr/none/, 'no file' ],
     [ 'json https://a/ secret_file=%%DIR%%/secret list=x', qr/list=x/,
       'list' ],
     [ 'json https://a/ secret_file=%%DIR%%/secret x=1', qr/x=1/,
       'parameter' ])
{
    refused("$store doi_sync $_->[0];", $ok, $_->[1], "doi_sync, $_->[2]");
}

# Without a store nobody is written to.

mkdir $t->dir . '/store';
chmod 0, $t->dir . '/store';
$t->write_file('store/not-lmdb', '');
$t->write_file('store/data.mdb', 'this is no database' x 1000);
chmod 0555, $t->dir . '/store';

(my $text = $conf) =~ s/\bHTTP\n/$store\n/;
$text =~ s/\bLOC\n/$ok\n/;
$t->conf($text)->start;

my $r = $t->post('/send', form => { to => '+4915112345678' });
is($r->status, 503, 'no store: 503') or diag($r->body);
is($r->json->{code}, 'unavailable', 'and says so');
ok($r->header('retry-after'), 'and when to come again');

done_testing();
