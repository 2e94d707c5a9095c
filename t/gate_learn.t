# doi_consent learn=twilio: an answer that says that the recipient has opted out
# is an opt-out here, as far as doi_optout_scope says; other answers are not.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);

$t->conf(<<'EOC')->start;
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=16m;
    doi_key 1 file:%%KEY%%;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /api/ { doi_api consent; }
        location ~ ^/(?<answer>[a-z]+)$ {
            doi_optout_scope contact;
            doi_consent single to=To channel=sms learn=twilio;
            proxy_pass http://127.0.0.1:%%PORT:twilio%%/$answer;
        }
        location = /list/stopped {
            doi_optout_scope list;
            doi_consent single to=To channel=sms learn=twilio;
            proxy_pass http://127.0.0.1:%%PORT:twilio%%/stopped;
        }
        location = /person/stopped {
            doi_consent single to=To channel=sms learn=twilio;
            proxy_pass http://127.0.0.1:%%PORT:twilio%%/stopped;
        }
    }
    server {
        listen 127.0.0.1:%%PORT:twilio%%;
        default_type application/json;
        location /stopped {
            return 400 '{"code": 21610, "message": "unsubscribed"}';
        }
        location /failed {
            return 201 '{"sid": "SM1", "code": null, "error_code": 21610}';
        }
        location /streamed {                # without Content-Length
            sub_filter code code;
            sub_filter_types *;
            return 400 '{"code": 21610}';
        }
        location /other { return 400 '{"code": 21611}'; }
        location /text { return 400 '{"code": "21610"}'; }
        location /broken { return 400 '{"code": 21610'; }
        location /zipped {
            add_header Content-Encoding gzip;
            return 200 '{"code": 21610}';
        }
    }
}
EOC

ok(poll_until(30, sub { $t->get('/api/ledger/verify')->status == 200 }),
   'the ledger has its keys');

my $n = 0;

# A contact of person p on two lists.

sub contact {
    my $who = sprintf '+49151123456%02d', $n++;

    for my $list (qw(default news)) {
        is($t->post("/api/contacts/sms:$who/events",
                    json => { event => 'subscribe', list => $list,
                              person => 'p' })->status, 200, "$who: $list");
    }

    return $who;
}

sub lists {
    my ($who) = @_;

    return join ' ', map { "$_->{list}=$_->{status}" }
                     sort { $a->{list} cmp $b->{list} }
                     @{$t->get("/api/contacts/sms:$who")->json->{lists}};
}

my $in = 'default=single news=single';

my ($one, $two) = (contact(), contact());

# Nothing is learnt

for my $answer (qw(other text broken zipped)) {
    isnt($t->post("/$answer", form => { To => $one })->status, 403,
         "answer: $answer");
}
isnt($t->post('/stopped', form => { To => "$one,$two" })->status, 403,
     'two recipients: nobody knows which');

# What is learnt comes after those, in this worker or another.

my $last = contact();
is($t->post('/failed', form => { To => $last })->status, 201,
   'a message that was made and failed');
ok(poll_until(30, sub { lists($last) eq 'default=opted_out news=opted_out' }),
   'is learnt, for the contact') or diag(lists($last));

my $e = $t->get("/api/contacts/sms:$last/evidence")->json->{entries};
my ($stop) = grep { $_->{event} eq 'stop' } @$e;
is_deeply([ @{$stop // {}}{qw(source reason list)} ],
          [ 'provider', 'Twilio 21610', 'default' ], 'and the evidence says why');

my $streamed = contact();
my $r = $t->post('/streamed', form => { To => $streamed });
is($r->status, 400, 'an answer');
is($r->header('Content-Length'), undef, 'whose length nobody has said');
ok(poll_until(30, sub { lists($streamed) ne $in }), 'is learnt');

is($t->post('/list/stopped', form => { To => $two })->status, 400,
   'doi_optout_scope list');
ok(poll_until(30, sub { lists($two) ne $in }), 'is learnt');
is(lists($two), 'default=opted_out news=single', 'for this list');

is(lists($one), $in, 'nothing was learnt before');
is($t->post('/other', form => { To => $one })->status, 400,
   'who may still be written to');

my $other = contact();
is($t->post('/person/stopped', form => { To => $other })->status, 400,
   'doi_optout_scope person');
ok(poll_until(30, sub { lists($one) eq 'default=opted_out news=opted_out' }),
   'reaches all of the person');

done_testing();
