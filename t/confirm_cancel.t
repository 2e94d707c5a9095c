# "It wasn't me": the hold ends, the slot is free, and that address is left in
# peace; nobody can tell from outside.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);
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
    doi_url confirm /c/$doi_token;
    doi_limit recipient off;
    doi_limit address off;
    doi_limit network off;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /book {
            doi_hold email=email slot=slot;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/c/(?<token>[^/]+)$ {
            doi_confirm $token start=/book;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

$t->start;

sub hold {
    my ($email, $slot, %o) = @_;

    return $t->post('/book', form => { email => $email, slot => $slot }, %o);
}

sub link_of {
    my ($r) = @_;

    return '/c/' . $t->confirm_token($r->json->{reference});
}

my @json = (accept => 'application/json');
my $link = link_of(hold('ada@example.org', 'a', @json));

my $r = $t->post($link, form => { action => 'cancel' },
                 headers => { Origin => 'https://evil.example' });
is($r->status, 403, 'not from another site');
is($t->get($link)->status, 200, 'it is held as before');

$r = $t->post($link, form => { action => 'cancel' });
is($r->status, 200, 'it was not me: 200');
like($r->body, qr/<h1>/, 'a page');
is($t->post($link, form => { action => 'cancel' })->status, 200,
   'twice is as good as once');
is($t->get($link)->status, 410, 'the link: withdrawn');
is($t->get($link, @json)->json->{code}, 'withdrawn', 'code');
$r = $t->post($link, form => { action => 'confirm' });
is($r->status, 410, 'cannot be confirmed any more');
is(scalar($up->requests), 0, 'the app saw nothing');

# The same answer for an address that is suppressed now, for one that is known,
# and for one that nobody has ever seen: status, headers, body.

is(hold('bob@example.org', 'a')->status, 202, 'the slot is free');

sub bare {
    my ($r) = @_;

    (my $raw = $r->raw) =~ s/^(?:Date|Set-Cookie):.*\r\n//gm;
    $raw =~ s/(?<![\w-])[\w-]{16}(?![\w-])/ID/g;
    $raw =~ s/\b\d\d:\d\d\b/TIME/g;            # a minute may pass

    return $raw;
}

for my $o ([], [@json]) {
    my @answers = map { bare(hold($_, "slot of $_", @$o)) }
                  qw(ada@example.org bob@example.org eve@example.org);

    s/\b(?:ada|bob|eve)\b/NAME/g for @answers;
    is($answers[0], $answers[2], 'suppressed, unknown: the same answer');
    is($answers[1], $answers[2], 'known, unknown: the same answer');

    # a second time: sent again, or not
    my @again = map { bare(hold($_, "slot of $_", @$o)) }
                qw(ada@example.org bob@example.org eve@example.org);
    s/\b(?:ada|bob|eve)\b/NAME/g for @again;
    is($again[0], $answers[2], 'and again');
    is($again[1], $answers[2], 'and again');
}

# It was not me, after all is done: no

$link = link_of(hold('carol@example.org', 'c', @json));
is($t->post($link, form => { action => 'confirm' })->status, 200, 'confirmed');
poll_until(30, sub {
    $r = $t->post($link, form => { action => 'cancel' }, @json);
    $r->status == 200;
});
is($r->json->{code}, 'booked', 'then "it was not me": it is booked');
is($t->get($link, @json)->json->{code}, 'booked', 'and stays so');

done_testing();
