# Prompts and confirmations by day, list, channel, source and wording: the same
# in GET stats and in doi_metrics, and in the store for good.

use lib 't/lib';
use Doi;
use Doi::Deliver;

use Digest::SHA qw(hmac_sha256_hex sha256_hex);
use Encode ();
use POSIX ();

plan(skip_all => 'no faketime with the sanitizers') if $ENV{DOI_ASAN};

# One worker: see clock_jump.t.

my $t = Doi->new(workers => 1, faketime => 1);
my $up = $t->upstream('app');
my $d = Doi::Deliver->new($t);

# From tomorrow noon on, so that no day ends before it is told to.

my $clock = 86400 + 43200 - time % 86400;

$t->write_file('secret', "s3cret\n", 0600);
$d->httpd('gw');

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=64m;
    doi_key 1 file:%%KEY%%;
    doi_mail maildir:%%DIR%%/mail from=news@example.org;
    doi_gateway sms json http://127.0.0.1:%%PORT:gw%%/200 from=+15005550006
                secret_file=%%DIR%%/secret allow=private;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_token;
    doi_owner name=Example email=owner@example.org;
    doi_limit network off;
    doi_limit recipient off;
    doi_limit address off;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location = /double {
            doi_subscribe channel=email address=email level=double list=news
                          wording=$http_x_wording;
        }
        location = /single {
            doi_subscribe channel=email address=email list=$http_x_list
                          "wording=Text C";
        }
        location = /sms {
            doi_inbound json secret_file=%%DIR%%/secret level=double list=offers;
        }
        location ~ ^/confirm/(?<token>[^/]+)$ { doi_confirm $token; }
        location /api/ { doi_api read consent; }
        location = /metrics { doi_metrics; }
    }
}
EOC

ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');
$t->faketime($clock);

sub later {
    my ($seconds) = @_;

    $clock += $seconds;
    $t->faketime($clock);
}

sub day { POSIX::strftime('%Y-%m-%d', gmtime(time + $clock)) }

sub subscribe {
    my ($who, $wording) = @_;

    is($t->post('/double', form => { email => "$who\@example.org" },
                headers => { 'X-Wording' => $wording })->status, 202,
       "$who is asked");
}

sub single {
    my ($who, $list) = @_;

    return $t->post('/single', form => { email => "$who\@example.org" },
                    headers => { 'X-List' => $list })->status;
}

sub confirm {
    my ($who) = @_;

    my ($m) = $d->wait_mails(1, to => "$who\@example.org", subject =>
                             qr/confirm/i);
    my ($link) = $m ? $m->{body}{'text/plain'} =~ m{(/confirm/[\w-]+)} : ();

    is($t->post($link // '/', form => { action => 'confirm' })->status, 200,
       "$who confirms");
}

my $n = 0;

sub sms {
    my ($who, $text) = @_;

    my $body = JSON::PP::encode_json({ id => 'm' . ++$n, channel => 'sms',
        from => "+49151123456$who", to => '+4930123456', text => $text });

    is($t->post('/sms', body => $body, type => 'application/json', headers =>
                { 'X-Doi-Signature-256' =>
                      'sha256=' . hmac_sha256_hex($body, 's3cret') })->status,
       200, "$who: $text");
}

# Both as "day channel source list wording" => "prompts confirmations
# subscriptions opt_outs".

my @kinds = qw(prompts confirmations subscriptions opt_outs);

sub stats {
    my ($query) = @_;

    my $r = $t->get('/api/stats' . ($query // ''));
    is($r->status, 200, 'GET stats') or diag($r->body);

    return { map {
        my $row = $_;
        join(' ', map { $_ // 'none' } @$row{qw(day channel source list
                                                wording_id)})
            => join(' ', @$row{@kinds})
    } @{$r->json->{stats}} };
}

sub measures {
    my %rows;

    my $m = $t->metrics;

    for my $k (0 .. 3) {
        for (keys %$m) {
            my ($labels) = /^doi_consent_day_$kinds[$k]\{(.*)\}$/ or next;
            my %l = $labels =~ /(\w+)="((?:[^"\\]|\\.)*)"/g;
            is(join(' ', sort keys %l), 'channel day list source wording',
               'labels') if !%rows;
            $rows{join ' ', @l{qw(day channel source list wording)}}[$k]
                = $m->{$_};
        }
    }

    return { map { $_ => join ' ', @{$rows{$_}} } keys %rows };
}

# Two wordings on one list, by mail

subscribe($_, 'Text A') for qw(a1 a2 a3);
subscribe($_, 'Text B') for qw(b1 b2);
confirm($_) for qw(a1 a2 b1);
confirm('a1');

# Another list, by message

sms($_, 'START') for 0 .. 3;
sms($_, 'Yes') for 0 .. 2;
sms(0, 'Yes');
sms(3, 'STOP');

is(single('c1', 'news'), 200, 'c1 is in at once');

my $r = $t->post('/api/contacts/email:a1@example.org/events',
                 json => { event => 'stop', list => 'news' });
is($r->status, 200, 'a1 opts out');

my $one = day();
my %id = map { $_ => substr sha256_hex("Text $_"), 0, 16 } qw(A B C);
my ($prompt) = map { $_->{wording_id} } grep { $_->{channel} eq 'sms' }
               @{$t->get('/api/stats')->json->{stats}};
my ($text) = map { $_->{wording} } grep { $_->{channel} eq 'sms' }
             @{$t->get('/api/stats')->json->{stats}};

is($prompt, substr(sha256_hex(Encode::encode_utf8($text)), 0, 16),
   'the wording of a prompt');
like($text, qr/YES/, 'is what it says');

my %want = ("$one email web news $id{A}" => '3 2 0 1',
            "$one email web news $id{B}" => '2 1 0 0',
            "$one email web news $id{C}" => '0 0 1 0',
            "$one sms keyword offers $prompt" => '4 3 0 1');

is_deeply(stats(), \%want, 'GET stats');
is_deeply(measures(), \%want, 'the metrics');

my $m = $t->metrics;
is($m->{doi_consent_prompts_total}, 9, 'all prompts');
is($m->{doi_consent_confirmations_total}, 6, 'all confirmations');

# Nothing of it is in a process only

ok(scalar($t->reload), 'reload');
is_deeply(measures(), \%want, 'after a reload');
is($t->metrics->{doi_consent_prompts_total}, 9, 'the total, too');

$t->kill_worker('KILL', $_) for $t->workers;
ok(poll_until(20, sub { $t->get('/api/stats')->status == 200 }), 'killed');
is_deeply(measures(), \%want, 'after kill -9');

$t->quit;
$t->start;
is_deeply(stats(), \%want, 'GET stats after a restart');
is_deeply(measures(), \%want, 'the metrics after a restart');
is($t->metrics->{doi_consent_prompts_total}, 0, 'the total begins anew');

# The next day: it stands beside its prompt, on the day on which it came

later(13 * 3600);
my $two = day();
isnt($two, $one, 'the next day');
confirm('a3');
$want{"$two email web news $id{A}"} = '0 1 0 0';
is_deeply(stats(), \%want, 'GET stats has both days');
is_deeply(measures(), \%want, 'so have the metrics');
is_deeply(stats("?from=$two&to=$two"),
          { "$two email web news $id{A}" => '0 1 0 0' }, 'or one of them');

later(86400);
is_deeply(measures(), { "$two email web news $id{A}" => '0 1 0 0' },
          'the metrics have today and yesterday');
is_deeply(stats(), \%want, 'GET stats has all');

# As many series as there may be; labels with anything in them

later(86400);
my $four = day();
my $odd = "a\"b\\c\xc3\xa4";
is(single('x', $odd), 200, 'an odd name of a list');
is(single("x$_", sprintf 'list-%03d', $_), 200, 'one of many lists')
    for 1 .. 119;

my $all = measures();
is(scalar(keys %$all), 101, '100 series, and one for all others')
    or diag(explain([ sort keys %$all ]));
my ($sum) = 0;
$sum += (split)[2] for values %$all;
is($sum, 120, 'in which nothing is lost');
like($all->{"$four other other other other"}, qr/^0 0 20 0$/, 'the others');
is(scalar(keys %{stats("?from=$four")}), 120, 'GET stats has each');

SKIP: {
    my ($promtool) = grep { -x } map { "$_/promtool" } split /:/, $ENV{PATH};
    skip 'no promtool (Debian: prometheus)', 1 if !$promtool;

    my $file = $t->write_file('metrics', $t->get('/metrics')->body);
    my $out = `$promtool check metrics < $file 2>&1`;
    is($?, 0, 'promtool check metrics') or diag($out);
}

like($t->get('/metrics')->body, qr/list="a\\"b\\\\c\xc3\xa4"/,
     'quotes and backslashes are escaped')
    if grep { /a\\"b/ } keys %$all;

done_testing();
