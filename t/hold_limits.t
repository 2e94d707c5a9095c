# doi_limit: durable limits of submissions, 429 with Retry-After.

use lib 't/lib';
use Doi;

plan(skip_all => 'no faketime with the sanitizers') if $ENV{DOI_ASAN};

my $t = Doi->new(workers => 4, faketime => 1);
my $up = $t->upstream('app');

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_mail maildir:%%DIR%%/mail from=bookings@example.org;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/$doi_token;
    set_real_ip_from 127.0.0.1;
    real_ip_header X-Real-IP;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /default { doi_hold email=e slot=s; }
        location /address {
            doi_hold email=e slot=s scope=a;
            doi_limit recipient off;
            doi_limit network off;
            doi_limit address rate=3/h;
        }
        location /network {
            doi_hold email=e slot=s scope=n;
            doi_limit recipient off;
            doi_limit address off;
            doi_limit network rate=3/h;
        }
        location /slot {
            doi_hold email=e slot=s scope=s;
            doi_limit recipient off;
            doi_limit address off;
            doi_limit network off;
            doi_limit slot rate=2/h;
        }
        location /global {
            doi_hold email=e slot=s scope=g;
            doi_limit recipient off;
            doi_limit address off;
            doi_limit network off;
            doi_limit global rate=5/h burst=5;
        }
        location /metrics { doi_metrics; }
    }
}
EOC

$t->start;

my $slot = 0;

sub hold {
    my ($where, $email, %o) = @_;

    return $t->post("/$where",
                    form => { e => $email, s => $o{slot} // $slot++ },
                    headers => { 'X-Real-IP' => $o{ip} // '192.0.2.1' },
                    accept => 'application/json');
}

sub statuses { return join ' ', map { $_->status } @_ }

# The defaults: one mail per address in 15 minutes, five a day

my @r = map { hold('default', 'ada@example.org') } 1 .. 3;
is(statuses(@r), '202 429 429', 'one mail per address');
is($r[1]->json->{code}, 'limited', 'code');
my $wait = $r[1]->header('Retry-After');
ok($wait > 890 && $wait <= 900, 'Retry-After') or diag $wait;

is(hold('default', 'Ada@Example.org ')->status, 429, 'however it is written');
is(hold('default', 'bob@example.org')->status, 202, 'another address');
is(hold('default', 'ada@example.org', slot => 0)->status, 429,
   'the same slot again: limited as well');

ok($t->reload, 'reload');
is(hold('default', 'ada@example.org')->status, 429, 'a reload forgets nothing');

# What is refused is not counted: a slot that was taken, a limit that was met

$t->faketime(901);
is(hold('default', 'ada@example.org', slot => 0)->status, 202,
   'after the time that Retry-After has said: sent again');

for my $n (3 .. 5) {
    $t->faketime(901 * $n);
    is(hold('default', 'ada@example.org')->status, 202, "mail $n of the day");
}

$t->faketime(901 * 6);
my $r = hold('default', 'ada@example.org');
is($r->status, 429, 'a sixth one is not');
$wait = $r->header('Retry-After');
ok($wait > 80000 && $wait <= 86400 - 901 * 6, 'Retry-After: the next day')
    or diag $wait;

# By address, network, slot, all

is(statuses(map { hold('address', 'ada@example.org') } 1 .. 4),
   '202 202 202 429', 'address');
is(hold('address', 'bob@example.org')->status, 202, 'address: another');

is(statuses(map { hold('network', "u$_\@example.org", ip => "198.51.100.$_") }
            1 .. 4), '202 202 202 429', 'network: /24');
is(hold('network', 'x@example.org', ip => '198.51.101.1')->status, 202,
   'network: another');
is(statuses(map { hold('network', "v$_\@example.org",
                       ip => "2001:db8:1:2::$_") } 1 .. 4),
   '202 202 202 429', 'network: /64');
is(hold('network', 'y@example.org', ip => '2001:db8:1:3::1')->status, 202,
   'network: another /64');
is(statuses(map { hold('network', "w$_\@example.org",
                       ip => "::ffff:203.0.113.$_") } 1 .. 3),
   '202 202 202', 'network: mapped');
is(hold('network', 'z@example.org', ip => '203.0.113.77')->status, 429,
   'network: is the /24 that it stands for');

is(statuses(map { hold('slot', 'ada@example.org', slot => 'x') } 1 .. 3),
   '202 202 429', 'slot');
is(hold('slot', 'ada@example.org', slot => 'y')->status, 202, 'slot: another');

@r = $t->many(40, sub { [ POST => '/global',
                          form => { e => "g$_[0]\@example.org",
                                    s => "g$_[0]" } ] });
is_deeply($t->statuses(@r), { 202 => 5, 429 => 35 },
          'global: exact, over all workers');

is($t->metrics->{'doi_submissions_limited_total'} // 'none', 45, 'metric')
    if exists $t->metrics->{'doi_submissions_limited_total'};
is(scalar($up->requests), 0, 'the app saw nothing');

done_testing();
