# doi_confirm code=on: only who has the mail can read the code in it.

use lib 't/lib';
use Doi;

use Digest::SHA qw(hmac_sha256);
use MIME::Base64 qw(decode_base64url);

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
            doi_confirm $token code=on;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
    }
}
EOC

$t->start;

my @json = (accept => 'application/json');
my $n = 0;

# (link, code)

sub hold {
    my $r = $t->post('/book', form => { email => 'ada@example.org',
                                        slot => 'slot ' . ++$n }, @json);
    my $id = $r->json->{reference};

    # seal.h: of HMAC-SHA256(HKDF(secret, info = "doi/v1/code"), id)
    my $key = Doi::Token::derive($t->secret, 'code');
    my $code = unpack('Q>', hmac_sha256(decode_base64url($id), $key)) % 1000000;

    return ('/c/' . $t->confirm_token($id), sprintf '%06d', $code);
}

sub click {
    my ($link, $code, @o) = @_;

    return $t->post($link, form => { action => 'confirm',
                                     defined $code ? (code => $code) : () },
                    @o);
}

my ($link, $code) = hold();
like($t->get($link)->body, qr/<input[^>]* name="code"/, 'a code is asked for');
unlike($t->get($link)->body, qr/\b$code\b/, 'and not given away');

# Wrong ones

my $wrong = sprintf '%06d', ($code + 1) % 1000000;
my @wrong = (undef, '', substr($code, 0, 5), "${code}0");

for my $i (0 .. $#wrong) {
    my $r = click($link, $wrong[$i], @json);
    is($r->status, 422, 'wrong code: 422');
    is($r->json->{code}, 'wrong_code', 'code');
}

my $r = $t->get($link);
is($r->status, 200, 'a look costs no try');
is(scalar($up->requests), 0, 'the app saw nothing');

is(click($link, substr($code, 0, 3) . ' ' . substr($code, 3))->status, 200,
   'the right one, with a blank in it');
is(scalar($up->posts), 1, 'one booking');

# Five wrong ones

($link, $code) = hold();
$wrong = sprintf '%06d', ($code + 1) % 1000000;

my @status = map { click($link, $wrong)->status } 1 .. 5;
is("@status", '422 422 422 422 410', 'five wrong codes end the hold');
is(click($link, $code)->status, 410, 'the right one is of no use then');
is($t->get($link, @json)->json->{code}, 'withdrawn', 'withdrawn');
is($t->post('/book', form => { email => 'bob@example.org', slot => "slot $n" })
     ->status, 202, 'the slot is free');

($link, $code) = hold();
$r = click($link, 'abcdef');
is($r->status, 422, 'letters');
like($r->body, qr/\b4\b/, 'four tries are left');
is($t->post($link, form => { action => 'cancel' })->status, 200,
   'it was not me: no code is needed');

# Many guesses at once

($link, $code) = hold();
$wrong = sprintf '%06d', ($code + 1) % 1000000;

my @r = $t->many(50, [ POST => $link, form => { action => 'confirm',
                                                code => $wrong } ]);
is_deeply($t->statuses(@r), { 422 => 4, 410 => 46 }, '50 guesses: 5 count');
is(scalar($up->posts), 1, 'still one booking');

done_testing();
