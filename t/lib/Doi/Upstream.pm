package Doi::Upstream;

# An app to put nginx in front of, that books, and fails in every way.
#
# A booking is a line in a file, written before the answer.  Only methods other
# than GET, HEAD and OPTIONS book.  What happens is said by a mode, with
# parameters:
#
#   ok              200 with X-Booking-Id, booked
#   NNN             that status: 2xx and 3xx book, the rest do not
#                   (3xx has Location: done/ID)
#   NNN-booked      booked; NNN-unbooked: not
#   form-error      200 with the form again, not booked, no X-Booking-Id
#   hang            reads the request, never answers; hang-booked
#   slow  ms=N      booked, answers after N ms
#   late  ms=N      booked after N ms, then answers
#                   (both with until=FILE: as soon as that is there)
#   drip  ms=N      booked, answers 200 and drips the body, a byte every N ms
#   half            booked, sends the header of a 200 and then nothing
#   truncated       booked, 200 whose body ends too early
#   reset           TCP reset once the header is there, body unread
#   reset-read      TCP reset after the request was read, not booked
#   reset-booked    the same, booked
#   close           closes without an answer, not booked; close-booked
#   garbage         booked, answers what is not HTTP
#   stale           keepalive: closes as soon as a second request comes
#
# idempotent=1 makes a repeated Idempotency-Key get the first booking's answer.
# body=TEXT, header=NAME:VALUE, size=N (bytes of body) change the answer.
#
# The mode of a request: header "X-Mode: slow ms=300", else the query
# ?mode=slow&ms=300, else a path with /mode/slow/ms=300/, else for methods that
# book the one set by $up->mode('slow', ms => 300), else ok.

use strict;
use warnings;

use Errno qw(EAGAIN EINTR);
use IO::Poll qw(POLLIN POLLOUT POLLHUP POLLERR);
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER SOMAXCONN TCP_NODELAY IPPROTO_TCP);
use Time::HiRes qw(time sleep);

my $json = JSON::PP->new->ascii->canonical;


sub new {
    my ($class, %o) = @_;

    my $self = bless { name => $o{name}, dir => $o{dir}, port => $o{port},
                       stem => "$o{dir}/upstream-$o{name}" }, $class;

    $self->start if $o{start} // 1;

    return $self;
}


sub port { $_[0]{port} }
sub pid  { $_[0]{pid} }


sub start {
    my ($self) = @_;

    return if $self->{pid};

    my $listen = IO::Socket::INET->new(Proto => 'tcp', Listen => SOMAXCONN,
        LocalAddr => '127.0.0.1', LocalPort => $self->{port}, ReuseAddr => 1)
        or die "upstream on port $self->{port}: $!";

    my $parent = $$;
    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(TERM INT HUP ALRM);
        $SIG{PIPE} = 'IGNORE';
        alarm 0;
        open(STDIN, '<', '/dev/null');
        open(STDOUT, '>>', "$self->{stem}.out");
        open(STDERR, '>&', \*STDOUT);

        eval { $self->_serve($listen, $parent); 1 } or print STDERR $@;
        POSIX::_exit(1);
    }

    close $listen;
    $self->{pid} = $pid;
}


# From now on connections are refused; those that are open are cut.

sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;

    kill 'KILL', $pid;
    waitpid $pid, 0;
}


# Forgets requests and bookings.

sub forget {
    my ($self) = @_;

    truncate "$self->{stem}.$_", 0 for qw(requests bookings aborts);
}


sub mode {
    my ($self, $mode, %o) = @_;

    my $file = "$self->{stem}.mode";
    open(my $fh, '>', "$file.new") or die "$file.new: $!";
    print $fh join ' ', $mode // 'ok', map { "$_=$o{$_}" } sort keys %o;
    close $fh;
    rename "$file.new", $file or die "$file: $!";
}


sub _lines {
    my ($self, $what) = @_;

    my @rows;

    if (open(my $fh, '<', "$self->{stem}.$what")) {
        @rows = map { $json->decode($_) } grep { /\n\z/ } <$fh>;
    }

    return @rows;
}

# Requests that were read to the end: { method, uri, version, headers (lower
# case name => value), body, conn, mode, time }.  Bookings: { id, key, method,
# uri, body, time }.  Aborts: { uri, time }, where nginx hung up before we had
# answered.

sub requests { $_[0]->_lines('requests') }
sub bookings { $_[0]->_lines('bookings') }
sub aborts   { $_[0]->_lines('aborts') }

sub posts {
    return grep { $_->{method} !~ /^(?:GET|HEAD|OPTIONS)$/ } $_[0]->requests;
}


sub _note {
    my ($self, $what, $row) = @_;

    open(my $fh, '>>', "$self->{stem}.$what") or die "$self->{stem}.$what: $!";
    syswrite $fh, $json->encode({ %$row, time => time() }) . "\n";
    close $fh;
}


# The server: one process, one loop.

sub _serve {
    my ($self, $listen, $parent) = @_;

    my %conn;
    my @timers;
    my $serial = 0;

    $self->{after} = sub {
        my ($ms, $code) = @_;
        push @timers, [ time() + $ms / 1000, $code ];
        @timers = sort { $a->[0] <=> $b->[0] } @timers;
    };
    $self->{nbookings} = scalar(my @b = $self->bookings);
    $self->{keys} = { map { ($_->{key} // '') => $_->{id} } @b };

    $listen->blocking(0);

    while (getppid() == $parent) {
        my $wait = @timers ? $timers[0][0] - time() : 1;
        $wait = 0 if $wait < 0;
        $wait = 1 if $wait > 1;

        my @set = (fileno($listen), POLLIN,
                   map { ($_, POLLIN | (length $conn{$_}{out} ? POLLOUT : 0)) }
                       keys %conn);

        my $n = IO::Poll::_poll(int($wait * 1000 + 0.999), @set);

        if ($n > 0) {
            while (my ($fd, $revents) = splice @set, 0, 2) {
                next unless $revents;

                if ($fd == fileno $listen) {
                    for (1 .. 256) {
                        my $s = $listen->accept or last;
                        $s->blocking(0);
                        setsockopt($s, IPPROTO_TCP, TCP_NODELAY, 1);
                        $conn{fileno $s} = { s => $s, in => '', out => '',
                                             n => ++$serial, count => 0 };
                    }
                    next;
                }

                my $c = $conn{$fd} or next;
                $self->_event($c, $revents);
            }
        }

        while (@timers && $timers[0][0] <= time()) {
            (shift @timers)->[1]->();
        }

        for my $fd (keys %conn) {
            delete $conn{$fd} if $conn{$fd}{gone};
        }
    }
}


sub _event {
    my ($self, $c, $revents) = @_;

    if ($revents & POLLOUT) {
        $self->_flush($c);
        return if $c->{gone};
    }

    return unless $revents & (POLLIN | POLLHUP | POLLERR);

    my $n = sysread($c->{s}, $c->{in}, 65536, length $c->{in});

    return if !defined $n && ($! == EAGAIN || $! == EINTR);

    if (!$n) {
        $self->_note('aborts', { uri => $c->{uri} }) if $c->{busy};
        return $self->_drop($c);
    }

    $self->_read($c) unless $c->{busy};
}


sub _read {
    my ($self, $c) = @_;

    if ($c->{stale}) {
        return $self->_drop($c);
    }

    my $end = index($c->{in}, "\r\n\r\n");
    return if $end < 0;

    my ($line, @lines) = split /\r\n/, substr($c->{in}, 0, $end);
    my ($method, $uri, $version) = split / /, $line;
    my %h;

    for (@lines) {
        my ($name, $value) = /^([^:]+):\s*(.*?)\s*$/ or next;
        $name = lc $name;
        $h{$name} = exists $h{$name} ? "$h{$name}, $value" : $value;
    }

    my ($mode, %o) = $self->_mode($method, $uri, \%h);

    if ($mode eq 'reset') {
        $self->_note('aborts', { uri => $uri, reset => 1 });
        return $self->_drop($c, 1);
    }

    my $rest = substr($c->{in}, $end + 4);
    my $body = '';

    if (($h{'transfer-encoding'} // '') =~ /chunked/i) {
        my $ended;

        while ($rest =~ /\A([0-9a-fA-F]+)[^\r\n]*\r\n/) {
            my $len = hex $1;
            my $head = length $&;

            if ($len == 0) {
                return unless $rest =~ /\A0[^\r\n]*\r\n\r\n/;
                $rest = $';
                $ended = 1;
                last;
            }

            return if length $rest < $head + $len + 2;
            $body .= substr($rest, $head, $len);
            $rest = substr($rest, $head + $len + 2);
        }

        return unless $ended;

    } elsif (my $len = $h{'content-length'}) {
        return if length $rest < $len;
        $body = substr($rest, 0, $len, '');
    }

    $c->{in} = $rest;
    $c->{busy} = 1;
    $c->{uri} = $uri;
    $c->{head} = $method eq 'HEAD';
    $c->{keep} = $version eq 'HTTP/1.1'
                 && ($h{connection} // '') !~ /close/i;
    $c->{count}++;

    my $r = { method => $method, uri => $uri, version => $version,
              headers => \%h, body => $body, conn => $c->{n}, mode => $mode };

    $self->_note('requests', $r);
    $self->_act($c, $r, $mode, %o);
}


sub _mode {
    my ($self, $method, $uri, $h) = @_;

    my $text;

    if (defined $h->{'x-mode'}) {
        $text = $h->{'x-mode'};

    } elsif ($uri =~ /[?&](mode=[^#]*)/) {
        ($text = $1) =~ s/[&;+]/ /g;
        $text =~ s/^mode=//;

    } elsif ($uri =~ m{/mode/([^/?]+(?:/[a-z]+=[^/?]*)*)}) {
        ($text = $1) =~ s{/}{ }g;

    } elsif ($method !~ /^(?:GET|HEAD|OPTIONS)$/
             && open(my $fh, '<', "$self->{stem}.mode"))
    {
        $text = <$fh>;
    }

    my ($mode, @o) = split / /, $text // 'ok';

    return ($mode || 'ok', map { /^([^=]+)=(.*)/ ? ($1 => $2) : () } @o);
}


sub _act {
    my ($self, $c, $r, $mode, %o) = @_;

    my $safe = $r->{method} =~ /^(?:GET|HEAD|OPTIONS)$/;
    my $ms = $o{ms} // 100;
    my $known = $o{idempotent}
                ? $self->{keys}{$r->{headers}{'idempotency-key'} // ''} : undef;
    my $id;

    my $book = sub {
        return if $safe;
        return $id = $known if defined $known;

        $id = ++$self->{nbookings};
        my $key = $r->{headers}{'idempotency-key'};
        $self->{keys}{$key} = $id if defined $key;
        $self->_note('bookings', { id => $id, key => $key, uri => $r->{uri},
                                   method => $r->{method},
                                   body => $r->{body} });
    };

    my $later;
    $later = sub {
        my ($code) = @_;

        return $self->{after}->($ms, $code) if !defined $o{until};
        return $code->() if -e "$self->{dir}/$o{until}";
        $self->{after}->(20, sub { $later->($code) });
    };

    my $answer = sub {
        my ($status, %a) = @_;

        return if $c->{gone};

        my $body = $a{body} // $o{body};
        $body //= $o{size} ? 'x' x $o{size}
                  : defined $id ? "booked $id\n" : "the booking page\n";
        my @head = ("HTTP/1.1 $status Mode", 'Content-Type: text/html');

        push @head, "X-Booking-Id: $id" if defined $id;
        push @head, 'Location: done/' . ($id // 0) if $status =~ /^3/;
        push @head, "$1: $2" if ($o{header} // '') =~ /^([^:]+):(.*)/;
        push @head, 'Content-Length: ' . ($a{length} // length $body);
        push @head, 'Connection: ' . ($c->{keep} ? 'keep-alive' : 'close');

        $self->_send($c, join("\r\n", @head) . "\r\n\r\n"
                         . ($c->{head} ? '' : $body), $a{more});
    };

    if ($mode eq 'ok') {
        $book->();
        $answer->(200);

    } elsif ($mode =~ /^(\d\d\d)(-booked|-unbooked)?$/) {
        my ($status, $say) = ($1, $2 // '');
        $book->() if $say eq '-booked' || ($say eq '' && $status < 400);
        $answer->($status);

    } elsif ($mode eq 'form-error') {
        $answer->(200, body => "<p>please fill in your name</p>\n");

    } elsif ($mode =~ /^hang(-booked)?$/) {
        $book->() if $1;

    } elsif ($mode eq 'slow') {
        $book->();
        $later->(sub { $answer->(200) });

    } elsif ($mode eq 'late') {
        $later->(sub { $book->(); $answer->(200) });

    } elsif ($mode eq 'drip') {
        $book->();
        my $body = "drip drip drip drip\n";
        $answer->(200, body => '', length => length $body, more => 1);

        my $i = 0;
        my $drop;
        $drop = sub {
            return if $c->{gone};
            my $last = $i == length($body) - 1;
            $self->_send($c, substr($body, $i++, 1), !$last);
            $self->{after}->($ms, $drop) unless $last;
        };
        $self->{after}->($ms, $drop);

    } elsif ($mode eq 'half') {
        $book->();
        $answer->(200, body => '', length => 1000, more => 1);

    } elsif ($mode eq 'truncated') {
        $book->();
        $c->{keep} = 0;
        $answer->(200, body => 'x' x 100, length => 1000);

    } elsif ($mode =~ /^reset-(read|booked)$/) {
        $book->() if $1 eq 'booked';
        $self->_drop($c, 1);

    } elsif ($mode =~ /^close(-booked)?$/) {
        $book->() if $1;
        $self->_drop($c);

    } elsif ($mode eq 'garbage') {
        $book->();
        $c->{keep} = 0;
        $self->_send($c, "what is this?\r\n\r\n");

    } elsif ($mode eq 'stale') {
        $book->();
        $c->{stale} = 1;
        $answer->(200);

    } else {
        $answer->(501, body => "unknown mode $mode\n");
    }
}


sub _send {
    my ($self, $c, $bytes, $more) = @_;

    $c->{out} .= $bytes;
    $c->{done} = !$more;
    $self->_flush($c);
}


sub _flush {
    my ($self, $c) = @_;

    while (length $c->{out}) {
        my $n = syswrite($c->{s}, $c->{out});

        if (!defined $n) {
            return if $! == EAGAIN || $! == EINTR;
            return $self->_drop($c);
        }

        substr($c->{out}, 0, $n, '');
    }

    return unless delete $c->{done};

    $c->{busy} = 0;

    if (!$c->{keep}) {
        return $self->_drop($c);
    }

    $self->_read($c) if length $c->{in};
}


sub _drop {
    my ($self, $c, $reset) = @_;

    return if $c->{gone};

    setsockopt($c->{s}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)) if $reset;
    $c->{gone} = 1;

    # Now, not when the loop comes round: a reset is to be prompt.
    close $c->{s};
}

1;
