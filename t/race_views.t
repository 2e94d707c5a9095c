# No answer comes from before: whoever has seen a booking end, and asks on
# another connection, is told so by any worker at once.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 4);
my $up = $t->upstream('app');

$t->conf(<<'EOC');
%%GLOBALS%%
events { worker_connections 4096; }
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%% reuseport;
        location ~ ^/book/(?<token>[^/]+)$ {
            doi_link $token scope=s;
            add_header X-Worker $pid always;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

$t->start;

my ($procs, $links) = (3, 100);
my @tokens = map { $t->mint(scope => 's') } 1 .. 2 * $procs * $links;


# A connection on which a request is there but for its last byte.

sub ready {
    my $bytes = $t->bytes(@_);

    return [ $t->open_raw(substr $bytes, 0, -1), substr $bytes, -1 ];
}

sub go { Doi::HTTP::exchange(@{$_[0]}) }


# After a success: two looks on connections that were open before.

my @seen = parallel($procs, sub {
    my ($i) = @_;
    my %n;

    for my $k (0 .. $links - 1) {
        my $link = '/book/' . $tokens[$i * $links + $k];
        my @looks = (ready(GET => $link), ready(GET => $link));
        my $r = $t->post($link, body => '');
        my @l = map { go($_) } @looks;

        $n{'POST ' . $r->status}++;
        $n{'GET ' . $_->status}++ for @l;
        $n{elsewhere}++
            if grep { $_->header('X-Worker') ne $r->header('X-Worker') } @l;
    }

    return \%n;
});

my %n;
for my $s (@seen) { $n{$_} += $s->{$_} for keys %$s }
my $elsewhere = delete $n{elsewhere};

is_deeply(\%n, { 'POST 200' => $procs * $links,
                 'GET 410' => 2 * $procs * $links },
          'after a booking every look is told "used"') or diag explain \%n;
cmp_ok($elsewhere, '>', $links / 2, "and often by another worker: $elsewhere");
is(scalar(grep { $_->{method} eq 'GET' } $up->requests), 0,
   'no look got to the app');
is(scalar($up->bookings), $procs * $links, 'one booking each');

# After a refusal: the next POST, on a connection that was open before

$up->forget;
splice @tokens, 0, $procs * $links;

@seen = parallel($procs, sub {
    my ($i) = @_;
    my %n;

    for my $k (0 .. $links - 1) {
        my $link = '/book/' . $tokens[$i * $links + $k];
        my $again = ready(POST => $link, body => 'a=b');
        my $look = ready(GET => $link);
        my $r = $t->post($link, body => 'a=b',
                         headers => { 'X-Mode' => '422' });

        $n{'first ' . $r->status}++;

        # Every other time the look comes first.
        my @order = $k % 2 ? ($look, $again) : ($again);
        my @r = map { go($_) } @order;
        $n{'GET ' . $r[0]->status}++ if $k % 2;
        $n{'again ' . $r[-1]->status}++;
    }

    return \%n;
});

%n = ();
for my $s (@seen) { $n{$_} += $s->{$_} for keys %$s }

is_deeply(\%n, { 'first 422' => $procs * $links,
                 'again 200' => $procs * $links,
                 'GET 200' => $procs * $links / 2 },
          'after a refusal the link is free at once') or diag explain \%n;
is(scalar($up->bookings), $procs * $links, 'booked once each');

done_testing();
