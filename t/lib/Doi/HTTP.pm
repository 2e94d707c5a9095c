package Doi::HTTP;

# A small HTTP/1.1 client that tests can make do wrong things.

use strict;
use warnings;

use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use Exporter qw(import);
use IO::Poll qw(POLLIN POLLHUP POLLERR);
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Storable ();
use Time::HiRes qw(time sleep);

our @EXPORT_OK = qw(build connect_to send_raw exchange many reset_socket
                    urlencode form_encode);


sub urlencode {
    my ($text) = @_;

    $text =~ s/([^A-Za-z0-9_.~-])/sprintf '%%%02X', ord $1/ge;

    return $text;
}


sub form_encode {
    my ($form) = @_;

    my @pairs = ref $form eq 'ARRAY' ? @$form
                                     : map { $_ => $form->{$_} } sort keys %$form;
    my @out;

    while (my ($name, $value) = splice @pairs, 0, 2) {
        push @out, urlencode($name) . '=' . urlencode($value);
    }

    return join '&', @out;
}


# The bytes of a request.  Options: headers (hash or list), body, form, json,
# type, chunked (1: one chunk, or a list of chunks), accept, cookie, host,
# version ('1.1'), keepalive.

sub build {
    my ($method, $uri, %o) = @_;

    my @given = ref $o{headers} eq 'ARRAY' ? @{$o{headers}}
                                           : %{$o{headers} // {}};
    my %has;
    my $body = $o{body};
    my $type = $o{type};

    for (my $i = 0; $i < @given; $i += 2) {
        $has{lc $given[$i]} = 1;
    }

    if (defined $o{form}) {
        $body = form_encode($o{form});
        $type //= 'application/x-www-form-urlencoded';

    } elsif (defined $o{json}) {
        $body = JSON::PP->new->utf8->canonical->allow_nonref->encode($o{json});
        $type //= 'application/json';
    }

    my @head = ("$method $uri HTTP/" . ($o{version} // '1.1'));

    push @head, 'Host: ' . ($o{host} // 'localhost') unless $has{host};
    push @head, "Accept: $o{accept}" if defined $o{accept};
    push @head, "Cookie: $o{cookie}" if defined $o{cookie};
    push @head, "Content-Type: $type" if defined $type && !$has{'content-type'};
    push @head, 'Connection: close' unless $o{keepalive} || $has{connection};

    if ($o{chunked}) {
        my @chunks = ref $o{chunked} ? @{$o{chunked}} : ($body // '');

        push @head, 'Transfer-Encoding: chunked';
        $body = join '', map { sprintf "%x\r\n%s\r\n", length, $_ }
                         grep { length } @chunks;
        $body .= "0\r\n\r\n";

    } elsif (defined $body || $method =~ /^(?:POST|PUT|PATCH)$/) {
        $body //= '';
        push @head, 'Content-Length: ' . length $body
            unless $has{'content-length'};
    }

    while (my ($name, $value) = splice @given, 0, 2) {
        push @head, "$name: $value";
    }

    return join("\r\n", @head) . "\r\n\r\n" . ($body // '');
}


sub connect_to {
    my ($port, $timeout) = @_;

    my $until = time() + ($timeout // 10);
    my $s;

    # EAGAIN and the like under load: a test means to connect.
    until ($s = IO::Socket::INET->new(Proto => 'tcp', PeerAddr => '127.0.0.1',
                                      PeerPort => $port))
    {
        my $err = $!;
        return undef if $err == Errno::ECONNREFUSED || time() > $until;
        sleep 0.02;
    }

    return $s;
}


sub send_raw {
    my ($s, $bytes, $timeout) = @_;

    my $until = time() + ($timeout // 30);
    my $off = 0;

    local $SIG{PIPE} = 'IGNORE';
    $s->blocking(0);

    while ($off < length $bytes) {
        my $n = syswrite($s, $bytes, length($bytes) - $off, $off);

        if (defined $n) {
            $off += $n;
            next;
        }

        # A server may answer and close before it has read all.
        last unless $! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR;
        last if time() > $until;

        my $w = '';
        vec($w, fileno $s, 1) = 1;
        select(undef, $w, undef, 1);
    }

    $s->blocking(1);

    return $off;
}


# Closes with a TCP reset.

sub reset_socket {
    my ($s) = @_;

    setsockopt($s, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
    close $s;
}


# Reads one response.  The socket stays open.

sub exchange {
    my ($s, $bytes, %o) = @_;

    my $started = time();
    my $until = $started + ($o{timeout} // 30);
    my $buf = '';
    my $eof = 0;

    send_raw($s, $bytes, $o{timeout}) if defined $bytes && length $bytes;

    until (Doi::Response::complete($buf, $o{method})) {
        my $r = '';
        vec($r, fileno $s, 1) = 1;

        my $left = $until - time();
        last if $left <= 0;
        next unless select($r, undef, undef, $left) > 0;

        my $n = sysread($s, $buf, 65536, length $buf);
        next if !defined $n && $! == EINTR;

        if (!$n) {
            $eof = defined $n ? 'closed' : "$!";
            last;
        }
    }

    return Doi::Response->parse($buf, method => $o{method}, eof => $eof,
                                time => time() - $started);
}


# Fires n requests at once: every connection is open and has sent all but its
# last byte before the first of them is completed.  make->(i) returns the bytes.
# Returns the responses in order.

sub many {
    my ($port, $n, $make, %o) = @_;

    my $procs = $o{procs} // ($n < 8 ? $n : 8);
    my $timeout = $o{timeout} // 60;
    my $dir = $o{dir} or die 'many: no dir';
    my $stem = "$dir/many.$$." . int(rand 1e9);
    my @pids;

    pipe(my $ready_r, my $ready_w) or die "pipe: $!";
    pipe(my $go_r, my $go_w) or die "pipe: $!";

    for my $proc (0 .. $procs - 1) {
        my $pid = fork() // die "fork: $!";

        if ($pid) {
            push @pids, $pid;
            next;
        }

        my $ok = eval {
            close $ready_r;
            close $go_w;

            my @mine = grep { $_ % $procs == $proc } 0 .. $n - 1;
            my $res = _many_child($port, \@mine, $make, $ready_w, $go_r,
                                  $timeout, $o{together} // 1);
            Storable::nstore($res, "$stem.$proc");
            1;
        };

        print STDERR "# many: $@" unless $ok;
        POSIX::_exit($ok ? 0 : 1);
    }

    close $ready_w;
    close $go_r;

    my $ready = '';
    while (length $ready < $procs) {
        sysread($ready_r, $ready, 64, length $ready) or last;
    }

    $o{before}->() if $o{before};
    close $go_w;
    $o{during}->() if $o{during};

    waitpid($_, 0) for @pids;

    my @all;
    for my $proc (0 .. $procs - 1) {
        my $res = -f "$stem.$proc" ? Storable::retrieve("$stem.$proc") : {};
        unlink "$stem.$proc";
        $all[$_] = $res->{$_} for keys %$res;
    }

    $all[$_] //= Doi::Response->parse('', eof => 'no answer') for 0 .. $n - 1;

    return @all;
}


sub _many_child {
    my ($port, $mine, $make, $ready_w, $go_r, $timeout, $together) = @_;

    my (%conn, %res);

    for my $i (@$mine) {
        my $bytes = $make->($i);
        my $s = connect_to($port, $timeout);

        if (!$s) {
            $res{$i} = Doi::Response->parse('', eof => "connect: $!");
            next;
        }

        my ($method) = $bytes =~ /^(\S+)/;
        my $cut = $together ? length($bytes) - 1 : 0;
        send_raw($s, substr($bytes, 0, $cut)) if $cut;
        $conn{fileno $s} = { i => $i, s => $s, buf => '', method => $method,
                             rest => substr($bytes, $cut) };
    }

    syswrite $ready_w, '.';
    close $ready_w;
    sysread $go_r, my $nothing, 1;

    my $started = time();

    for my $c (values %conn) {
        send_raw($c->{s}, $c->{rest});
        $c->{s}->blocking(0);
    }

    while (%conn) {
        my $left = $started + $timeout - time();
        last if $left <= 0;

        my @set = map { $_, POLLIN } keys %conn;
        next if IO::Poll::_poll($left * 1000, @set) <= 0;

        while (my ($fd, $revents) = splice @set, 0, 2) {
            next unless $revents & (POLLIN | POLLHUP | POLLERR);

            my $c = $conn{$fd};
            my $n = sysread($c->{s}, $c->{buf}, 65536, length $c->{buf});

            next if !defined $n && ($! == EAGAIN || $! == EINTR);

            my $eof = defined $n ? ($n ? 0 : 'closed') : "$!";

            if ($eof || Doi::Response::complete($c->{buf}, $c->{method})) {
                $res{$c->{i}} = Doi::Response->parse($c->{buf}, eof => $eof,
                    method => $c->{method}, time => time() - $started);
                delete $conn{$fd};
            }
        }
    }

    for my $c (values %conn) {
        $res{$c->{i}} = Doi::Response->parse($c->{buf}, eof => 'timeout',
            method => $c->{method}, time => $timeout);
    }

    return \%res;
}


package Doi::Response;

# status is 0 if no status line came; eof tells why; truncated if the body is
# shorter than announced.

sub complete {
    my ($buf, $method) = @_;

    $buf =~ s/\AHTTP\/1\.1 1\d\d .*?\r\n\r\n//s;
    $buf =~ /\r\n\r\n/ or return 0;

    my ($head, $body) = ($`, $');
    my ($status) = $head =~ /\AHTTP\/1\.[01] (\d+)/ or return 0;

    return 1 if ($method // '') eq 'HEAD' || $status == 204 || $status == 304;

    if ($head =~ /^transfer-encoding:\s*chunked/mi) {
        return $body =~ /(?:\A|\r\n)0\r\n\r\n\z/;
    }

    if ($head =~ /^content-length:\s*(\d+)/mi) {
        return length $body >= $1;
    }

    return 0;
}


sub parse {
    my ($class, $buf, %o) = @_;

    my $self = bless { status => 0, reason => '', list => [], body => '',
                       raw => $buf, truncated => 0, eof => $o{eof} || '',
                       time => $o{time} }, $class;

    $buf =~ s/\AHTTP\/1\.1 1\d\d .*?\r\n\r\n//s;

    my ($head, $body) = split /\r\n\r\n/, $buf, 2;
    return $self unless defined $head;

    my ($line, @lines) = split /\r\n/, $head;
    ($self->{status}, $self->{reason}) = ($1, $2)
        if ($line // '') =~ /\AHTTP\/1\.[01] (\d+) ?(.*)/;

    for (@lines) {
        push @{$self->{list}}, [ lc $1, $2 ] if /^([^:]+):[ \t]*(.*?)[ \t]*$/;
    }

    $body //= '';

    if (($self->header('transfer-encoding') // '') =~ /chunked/i) {
        my $out = '';
        my $ended = 0;

        while ($body =~ s/\A([0-9a-fA-F]+)[^\r\n]*\r\n//) {
            my $len = hex $1;
            if ($len == 0) { $ended = 1; last }
            $out .= substr($body, 0, $len, '');
            $body =~ s/\A\r\n// or last;
        }

        $self->{truncated} = !$ended;
        $body = $out;

    } elsif (defined(my $len = $self->header('content-length'))) {
        $self->{truncated} = 1
            if length $body < $len && ($o{method} // '') ne 'HEAD'
               && $self->{status} != 304;
    }

    $self->{body} = $body;

    return $self;
}


sub status    { $_[0]{status} }
sub reason    { $_[0]{reason} }
sub body      { $_[0]{body} }
sub raw       { $_[0]{raw} }
sub eof       { $_[0]{eof} }
sub truncated { $_[0]{truncated} }
sub time      { $_[0]{time} }

sub header {
    my ($self, $name) = @_;

    my @values = $self->headers($name);

    return @values ? join(', ', @values) : undef;
}

sub headers {
    my ($self, $name) = @_;

    return map { $_->[1] } grep { $_->[0] eq lc $name } @{$self->{list}};
}

# The value of a cookie that is set.

sub cookie {
    my ($self, $name) = @_;

    for ($self->headers('set-cookie')) {
        return $1 if /^\Q$name\E=([^;]*)/;
    }

    return undef;
}

sub json {
    my ($self) = @_;

    return eval { JSON::PP->new->utf8->allow_nonref->decode($self->{body}) };
}

1;
