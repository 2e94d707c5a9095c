# kill -9, a reload and a binary upgrade between every two steps in the life of
# a booking, and in the middle of those that take time: nothing is lost, the app
# books once, whoever is to know is told, twice only after a crash and then
# under the same Message-ID or webhook-id.

use lib 't/lib';
use Doi;
use Doi::Deliver;

plan(skip_all => 'no radicale')
    if !grep { -x "$_/radicale" } split /:/, $ENV{PATH};

use IO::Select ();
use MIME::Base64 qw(encode_base64);

my $t = Doi->new(workers => 2);
my $up = $t->upstream('app');
my $d = Doi::Deliver->new($t);

my $hold = $t->dir . '/hold';
my $timeout = 2;

my %server = (
    mail => $d->smtpd('mail', '--hold', $hold),
    hooks => $d->httpd('hooks'),
    dav => $d->radicale('dav', 'olga', 'secret'),
);

$t->write_file('secret', 'whsec_' . encode_base64('x' x 32), 0600);
$t->write_file('password', "secret\n", 0600);

is($t->request('MKCALENDAR', '/olga/cal/', port => 'dav', headers =>
               { Authorization => 'Basic ' . encode_base64('olga:secret', '') })
   ->status, 201, 'a calendar');

$t->conf(<<"EOC");
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store size=64m;
    doi_key 1 file:%%KEY%%;
    doi_mail smtp://127.0.0.1:%%PORT:mail%% from=bookings\@example.org;
    doi_base_url http://127.0.0.1:%%PORT:http%%;
    doi_url confirm /confirm/\$doi_token;
    doi_owner name=Olga email=olga\@example.com;
    doi_limit recipient off;
    doi_limit address off;
    doi_limit network off;
    doi_claim_timeout ${timeout}s;
    doi_caldav http://127.0.0.1:%%PORT:dav%%/olga/cal/ user=olga
               password_file=%%DIR%%/password;
    doi_webhook http://127.0.0.1:%%PORT:hooks%%/200 secret_file=%%DIR%%/secret
                allow=private;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /book {
            doi_hold email=email slot=slot name=name timezone=UTC;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location ~ ^/confirm/(?<token>[^/]+)\$ {
            doi_confirm \$token;
            proxy_read_timeout 5s;
            proxy_pass http://127.0.0.1:%%PORT:app%%;
        }
        location /api/ { doi_api read resolve; }
    }
}
EOC

$t->expect_log(qr/worker process \d+ exited on signal 9/);
$t->expect_log(qr/shared memory zone ".*" was locked by \d+/);
$t->start;


# What may happen between two steps.  The first half of it leaves an old
# generation where there is one, whose work may go on; the second one waits for
# its end.

my @old;

my %begin = (
    workers => sub {
        my @w = $t->workers;
        kill 'KILL', @w;
        $t->wait_gone(30, @w) && poll_until(30, sub { $t->workers == 2 });
    },
    all => sub {
        my @pids = ($t->pid, $t->workers);
        $t->kill_all && threads_gone(@pids) && $t->start;
    },
    reload => sub { @old = $t->reload },
    upgrade => sub { $t->upgrade_start },
);

my %end = (
    workers => sub { 1 },
    all => sub { 1 },
    reload => sub { $t->wait_gone(30, @old) },
    upgrade => sub { $t->upgrade_finish },
);

# A process whose main thread is a zombie may have others, which have locks.

sub threads_gone {
    my @pids = @_;

    return poll_until(30, sub {
        !grep { slurp("$_/stat") =~ /^\d+ \(.*\) [^ZX]/s }
         map { glob "/proc/$_/task/*" } @pids;
    });
}


# Until a worker has opened the store it answers 503, and rightly so.

sub ready {
    my $n = 0;

    return poll_until(30, sub {
        $n = $t->get('/api/bookings?limit=1')->status == 200 ? $n + 1 : 0;
        $n >= 8;
    });
}


# Runs code (what ends what was held up) between the halves.

sub disturb {
    my ($how, $where, $code) = @_;

    ok($begin{$how}->() && ready(), "$how: $where");
    $code->() if $code;
    ok($end{$how}->(), "$how: $where, done") if $how !~ /workers|all/;
}


# Visitors.  Each has an address and a slot of its own.

my $n = 0;
my @visitors;

sub visitor {
    my ($name) = @_;

    $n++;

    my $v = { name => $name, email => "v$n\@example.org", n => $n,
              slot => sprintf('2030-%02d-%02d 09:00', 1 + $n / 28, 1 + $n % 28) };
    push @visitors, $v;

    return $v;
}

sub fields {
    my ($v) = @_;

    return (form => { email => $v->{email}, slot => $v->{slot},
                      name => 'Ada' });
}

sub book { $t->post('/book', fields($_[0])) }

sub bookings {
    my ($v) = @_;

    return grep { $_->{email} eq $v->{email} }
           @{$t->get('/api/bookings?limit=1000')->json->{bookings}};
}

sub state { (bookings($_[0]))[0]{state} // 'none' }

sub mails {
    my ($v, $re) = @_;

    return grep { $_->{head}{'x-envelope-to'} eq $v->{email}
                  && ($re ? $_->{raw} =~ $re : 1) } $d->mails;
}

# The link, from the first mail

sub link {
    my ($v) = @_;

    return $v->{link} //= do {
        my $link;
        poll_until(30, sub {
            my ($mail) = mails($v);
            $link = $mail && $d->link($mail);
        });
        $link;
    } // '/none';
}

sub click { $t->post(&link($_[0]), form => { action => 'confirm' }) }

sub sent_to_app {
    my ($v) = @_;

    return grep { $_->{body} =~ /\Q@{[ urlencode($v->{email}) ]}\E/ }
           $up->posts;
}

sub booked {
    my ($v) = @_;

    return grep { $_->{body} =~ /\Q@{[ urlencode($v->{email}) ]}\E/ }
           $up->bookings;
}

sub held {
    my ($name) = @_;

    my $v = visitor($name);
    is(book($v)->status, 202, "$name: held");
    isnt(&link($v), '/none', "$name: the mail is there");

    return $v;
}

# Sends a confirmation, which stays open

sub confirming {
    my ($v, $mode) = @_;

    $v->{mode} = $mode;
    $v->{socket} = $t->open_raw($t->bytes('POST', &link($v),
        form => { action => 'confirm' }, headers => { 'X-Mode' => $mode }));
}


# A connection that a worker has, with all but the end of a request

sub half {
    my ($bytes) = @_;

    my $s = $t->open_raw($t->bytes('GET', '/api/bookings?limit=1',
                                   keepalive => 1));

    my $answer = '';
    poll_until(30, sub {
        sysread $s, $answer, 65536, length $answer;
        $answer =~ /\r\n\r\n.*\}\s*(?:0\r\n\r\n)?\z/s;
    });
    Doi::HTTP::send_raw($s, substr $bytes, 0, -3);

    return $s;
}


# Nothing is left to be sent; what has failed meanwhile is tried again at once.

sub flush {
    my ($name) = @_;

    my $ok = poll_until(30, sub {
        my @rows = $d->outbox('state=queued') or return 1;
        $t->post("/api/outbox/$_->{id}/retry", json => {})
            for grep { $_->{attempts} } @rows;
        return;
    });

    ok($ok, "$name: all is delivered")
        or diag(map { JSON::PP->new->encode($_) . "\n" } $d->outbox);
}


# To the end: whatever state it is in, the API knows it, and by what the API
# says and the app knows it gets confirmed.  Returns what it had been.

sub bring_home {
    my ($v) = @_;

    my $name = $v->{name};
    my @b = bookings($v);
    is(scalar(@b), 1, "$name: one booking in the API") or return '';

    my $id = $b[0]{id};

    ok(poll_until($timeout + 30, sub { state($v) ne 'claimed' }),
       "$name: is not claimed for ever");

    my $was = state($v);
    like($was, qr/^(?:held|in_doubt|confirmed)$/, "$name: $was");

    cmp_ok(scalar(booked($v)), '<=', 1, "$name: booked once at most");
    is(scalar(booked($v)), 1, "$name: booked, if confirmed")
        if $was eq 'confirmed';
    is(scalar(sent_to_app($v)), 0, "$name: not sent, if held")
        if $was eq 'held';

    if ($was eq 'in_doubt') {
        my $sent = () = sent_to_app($v);
        is(click($v)->status, 409, "$name: a click is refused");
        is(scalar(() = sent_to_app($v)), $sent, "$name: and not sent again");

        # The operator looks into the app.
        my $outcome = booked($v) ? 'used' : 'fresh';
        is($t->post("/api/bookings/$id/resolve",
                    json => { outcome => $outcome, reason => 'looked' })
           ->status, 200, "$name: resolved as $outcome");
    }

    is(click($v)->status, 200, "$name: confirmed");
    is($t->get("/api/bookings/$id")->json->{state}, 'confirmed',
       "$name: for the API");
    is(scalar(() = booked($v)), 1, "$name: booked once");

    return $was;
}


sub in_flight {
    my ($how) = @_;

    my $crash = $how =~ /workers|all/;
    my $name;

    # In the middle of the form

    $name = "$how, half a form";
    my $v = visitor($name);
    my $bytes = $t->bytes('POST', '/book', fields($v));
    my ($s, $r) = half($bytes);

    disturb($how, 'half a form', sub {
        $r = Doi::HTTP::exchange($s, substr($bytes, -3), timeout => 30);
        close $s;
    });
    is($r->status, $crash ? 0 : 202, "$name: the answer");
    is(book($v)->status, 202, "$name: sent again");

    # As the forms are being held

    my @forms = map { visitor("$how, form $_") } 1 .. 6;
    my @s = map { $t->open_raw($t->bytes('POST', '/book', fields($_))) } @forms;

    # The first ones have been answered by then, the last ones perhaps not.
    poll_until(30, sub { IO::Select->new(@s[0, 1])->can_read(0.01) });

    my @r;
    disturb($how, 'forms', sub {
        @r = map { Doi::HTTP::exchange($_, '', timeout => 30) } splice @s;
    });

    for my $i (0 .. $#forms) {
        $name = $forms[$i]{name};
        $r = $r[$i];
        note("$name: answer ", $r->status);
        is($r->status, 202, "$name: held") if !$crash || $r->status;
        is(scalar(bookings($forms[$i])), 1, "$name: what was answered is there")
            if $r->status;
        is(book($forms[$i])->status, 202, "$name: sent again")
            if !$r->status;
    }

    # The mail server does not answer yet; then it has the mail and did not say
    # so

    my $waits = visitor("$how, before the mail");
    kill 'STOP', $server{mail};
    is(book($waits)->status, 202, "$waits->{name}: held");
    disturb($how, 'before the mail', sub { kill 'CONT', $server{mail} });
    isnt(&link($waits), '/none', "$waits->{name}: the mail comes");

    flush("$how, forms");

    my $taken = visitor("$how, the mail is taken");
    $t->write_file('hold', '');
    is(book($taken)->status, 202, "$taken->{name}: held");
    isnt(&link($taken), '/none', "$taken->{name}: the mail is there");
    ok(scalar(grep { $_->{state} eq 'queued' } $d->outbox),
       "$taken->{name}: for nginx it is on its way");
    disturb($how, 'the mail is taken', sub { unlink $hold });

    flush("$how, mails");
    is(scalar(() = mails($taken)), $crash ? 2 : 1,
       "$taken->{name}: sent again only after a crash");

    # Between the mail, the look and the button

    is($t->get(&link($waits))->status, 200, "$waits->{name}: a look");
    disturb($how, 'after a look');
    is($t->get(&link($waits))->status, 200, "$waits->{name}: another look");
    is(state($waits), 'held', "$waits->{name}: still held");

    return ($v, @forms, $waits, $taken);
}


sub at_the_app {
    my ($how) = @_;

    my $crash = $how =~ /workers|all/;

    # Half of the button's form, and where the app is at that moment

    # so slow that it cannot have answered before the crash, on any machine,
    # nor book while we look whether it has
    my @slow = $crash ? ('slow ms=600000', 'late ms=600000')
                      : ('slow ms=700', 'late ms=500');

    my %v = map { $_ => held("$how, app: $_") }
            'half', 'hang', 'hang-booked', @slow, map { "race $_" } 1 .. 4;

    my $half = $v{half};
    my $bytes = $t->bytes('POST', &link($half), form => { action => 'confirm' });
    $half->{socket} = half($bytes);

    my @long = @v{'hang', 'hang-booked', @slow};
    confirming($_, $_->{name} =~ /app: (.*)/) for @long;

    ok(poll_until(30, sub { @long == grep { sent_to_app($_) } @long }),
       "$how: the app has what was confirmed");

    # and some whose claim is being written, or settled
    confirming($v{"race $_"}, 'ok') for 1 .. 4;
    poll_until(30, sub {
        IO::Select->new($v{'race 1'}{socket})->can_read(0.01) });

    my %r;

    disturb($how, 'the app', sub {
        $r{$_} = Doi::HTTP::exchange(delete $v{$_}{socket}, $_ eq 'half'
                     ? substr($bytes, -3) : '', timeout => 30)->status
            for sort keys %v;
    });

    my @v = map { $v{$_} } sort keys %v;
    my %was = map { $_ => bring_home($v{$_}) } sort keys %v;

    note("$how: $_: answer $r{$_}, then $was{$_}") for sort keys %was;

    if ($crash) {
        is($was{half}, 'held', "$how: half a button changes nothing");
        is($was{$_}, 'in_doubt', "$how, $_: in doubt")
            for 'hang', 'hang-booked', @slow;

    } else {
        is($was{$_}, 'in_doubt', "$how, $_: in doubt")
            for 'hang', 'hang-booked';
        is($was{$_}, 'confirmed', "$how, $_: confirmed"),
        is($r{$_}, 200, "$how, $_: the visitor has the answer")
            for 'half', @slow, map { "race $_" } 1 .. 4;
    }

    # The answer does not wait for the commit of the settlement.
    isnt($was{$_}, 'held', "$how, $_: answered 200, not held")
        for grep { $r{$_} == 200 } sort keys %r;

    flush("$how, app");

    return @v;
}


# The app has booked; mail, webhook and calendar are on their way

sub news {
    my ($how) = @_;

    my $v = held("$how, news");
    flush("$how, news");

    $t->write_file('hold', '');
    kill 'STOP', @server{qw(hooks dav)};
    is(click($v)->status, 200, "$v->{name}: confirmed");
    ok(poll_until(30, sub { mails($v) == 2 }), "$v->{name}: a mail was taken");

    disturb($how, 'news', sub {
        unlink $hold;
        kill 'CONT', @server{qw(hooks dav)};
    });

    flush($v->{name});

    return $v;
}


my %by;

ok(ready(), 'ready');

for my $how (qw(workers all reload upgrade)) {
    my @v = in_flight($how);

    $by{$how} = [ @v, at_the_app($how), news($how) ];
    is(bring_home($_), 'held', "$_->{name}: was held") for @v;
    flush($how);
}

# All is over: nothing more happens to it, whatever happens

my $mails = () = $d->mails;
my $hooks = () = $d->requests('hooks');
my $posts = () = $up->posts;

for my $how (qw(workers all reload upgrade)) {
    disturb($how, 'when all is over');
    is(click($visitors[0])->status, 200, "$how: a click shows the booking");
}

flush('all is over');
is(scalar(() = $d->mails), $mails, 'no mail is sent again');
is(scalar(() = $d->requests('hooks')), $hooks, 'no webhook');
is(scalar(() = $up->posts), $posts, 'no booking');


# Who has been told

my %calendar = map { /\nUID:([^\r\n]+)/ ? ($1 => $_) : () }
               map { slurp($_) } glob $t->dir
               . '/dav/data/collection-root/olga/cal/*.ics';

my (%hooks, %owner);

for my $r ($d->requests('hooks')) {
    my $e = JSON::PP::decode_json($r->{body});
    my %h = map { lc $_ => $r->{headers}{$_} } keys %{$r->{headers}};

    $hooks{$e->{data}{id}}{$e->{type}}{$h{'webhook-id'}}++;
}

for my $mail (grep { $_->{head}{'x-envelope-to'} eq 'olga@example.com' }
              $d->mails)
{
    my ($uid) = ($mail->{body}{'text/calendar'} // '') =~ /\nUID:([^\r\n]+)/;
    $owner{$uid}{$mail->{head}{'message-id'}}++ if $uid;
}

for my $how (qw(workers all reload upgrade)) {
    my $crash = $how =~ /workers|all/;

    for my $v (@{$by{$how}}) {
        my $name = $v->{name};
        my $b = (bookings($v))[0];
        my (%asked, %told);

        for my $mail (mails($v)) {
            my $ical = $mail->{body}{'text/calendar'};
            ($ical ? \%told : \%asked)->{$mail->{head}{'message-id'}}++;
        }

        my ($uid) = grep { index($_, $b->{id}) >= 0 } keys %calendar;

        ok($uid && $calendar{$uid} =~ /\nSTATUS:CONFIRMED/,
           "$name: confirmed in the calendar");

        # A form that was sent twice may have had its mail sent twice.
        my $forms = $name =~ /form/ ? 2 : 1;
        cmp_ok(scalar(keys %asked), '>=', 1, "$name: was asked");
        cmp_ok(scalar(keys %asked), '<=', $forms, "$name: once");
        is(scalar(keys %told), 1, "$name: was told, under one Message-ID");
        is(scalar(keys %{$owner{$uid // ''}}), 1, "$name: so was the owner");

        my $h = $hooks{$b->{id}};
        is(scalar(keys %{$h->{$_}}), 1, "$name: $_, under one webhook-id")
            for qw(booking.held booking.confirmed);
        is($h->{'booking.released'}, undef, "$name: not released");

        next if $crash;

        my @times = map { values %$_ }
                    \%asked, \%told, $owner{$uid // ''}, values %$h;
        is_deeply([ grep { $_ != 1 } @times ], [], "$name: each once");
    }
}

done_testing();
