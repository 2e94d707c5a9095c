# Many at the same moment: of 500 visitors for one slot one holds it; of 200
# clicks on one confirmation one reaches the app.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 4);
my $up = $t->upstream('app');

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    log_format who "$pid $status";
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    doi_mail maildir:%%DIR%%/mail from=bookings@example.org;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /c/$doi_token;
    doi_limit recipient off;
    doi_limit address off;
    doi_limit network off;
    server {
        listen 127.0.0.1:%%PORT:http%% backlog=4096 reuseport;
        access_log %%DIR%%/who.log who;
        location /book {
            doi_hold email=email slot=slot;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/c/(?<token>[^/]+)$ {
            doi_confirm $token;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

$t->start;

my @r = $t->many(500, sub { [ POST => '/book', accept => 'application/json',
                              form => { email => "visitor$_[0]\@example.org",
                                        slot => '2030-01-01 09:00' } ] });

is_deeply($t->statuses(@r), { 202 => 1, 409 => 499 },
          '500 visitors for one slot: one holds it');

my ($won) = grep { $_->status == 202 } @r;
my $link = '/c/' . $t->confirm_token($won->json->{reference});

$up->mode('slow', ms => 1000);
@r = $t->many(200, [ POST => $link, form => { action => 'confirm' } ]);
my %statuses = %{$t->statuses(@r)};

is(scalar($up->requests), 1, '200 clicks on one confirmation: one request');
is(scalar($up->bookings), 1, 'one booking');
is_deeply([ grep { !/^(?:200|409)$/ } keys %statuses ], [],
          'all others are told that it is under way, or booked')
    or diag explain \%statuses;
ok($statuses{409}, 'some of them while it was');
ok($statuses{200}, 'the winner at least that it is booked');

ok(poll_until(30, sub { $t->get($link)->status == 200 }), 'booked');
@r = $t->many(200, [ POST => $link, form => { action => 'confirm' } ]);
is_deeply($t->statuses(@r), { 200 => 200 }, '200 more: it is booked');
is(scalar($up->requests), 1, 'still one request');

# 20 visitors for each of 25 slots, then 8 clicks for each

$up->forget;
@r = $t->many(500, sub { [ POST => '/book', accept => 'application/json',
                           form => { email => "guest$_[0]\@example.org",
                                     slot => 'slot ' . $_[0] % 25 } ] });

my %held;
push @{$held{$_ % 25}}, $r[$_]->json->{reference}
    for grep { $r[$_]->status == 202 } 0 .. $#r;
is_deeply([ map { scalar @$_ } values %held ], [ (1) x 25 ],
          'each slot is held once');

my @links = map { '/c/' . $t->confirm_token($held{$_}[0]) } 0 .. 24;
@r = $t->many(200, sub { [ POST => $links[$_[0] % 25],
                           form => { action => 'confirm' } ] });

my %keys;
$keys{$_->{headers}{'idempotency-key'}}++ for $up->requests;
is_deeply(\%keys, { map { $held{$_}[0] => 1 } 0 .. 24 },
          'the app had one request for each');

my %pids = map { /^(\d+) / ? ($1 => 1) : () }
           split /\n/, slurp($t->dir . '/who.log');
is(scalar(keys %pids), 4, 'all four workers had a part in it');
is($t->leaks, 0, 'no token in the error log');

done_testing();
