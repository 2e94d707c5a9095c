package Doi::Deliver;

# The other side of what the module delivers: servers of mail, webhooks and
# calendars, and what has arrived there; visitors who book and confirm.
#
#   my $d = Doi::Deliver->new($t);
#   $d->smtpd('mail');                  # at %%PORT:mail%%, to DIR/mail
#   $d->httpd('hooks');                 # at %%PORT:hooks%%
#   $d->radicale('dav', 'user', 'password');
#
#   my $mail = $d->hold('/book', slot => '2030-01-01 09:00');
#   $d->confirm($mail);
#
# A mail is { file, head (names in lower case), body => { 'text/plain' => ... },
# raw }.

use strict;
use warnings;

use IO::Socket::INET ();
use JSON::PP ();
use MIME::Base64 ();
use MIME::QuotedPrint ();
use POSIX ();
use Time::HiRes ();

my @pids;
my $owner = $$;


sub new {
    my ($class, $t) = @_;

    my $maildir = $t->dir . "/mail";

    # The workers may be of another user.
    mkdir $maildir;
    chmod 01777, $maildir;

    return bless { t => $t, dir => $t->dir, maildir => $maildir,
                   pids => {} }, $class;
}


# Runs a command in the background, until its port answers.

sub spawn {
    my ($self, $name, @cmd) = @_;

    my $port = $self->{t}->port($name);
    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        alarm 0;
        open(STDIN, '<', '/dev/null');
        open(STDOUT, '>', "$self->{dir}/$name.out");
        open(STDERR, '>&', \*STDOUT);
        exec @cmd or POSIX::_exit(127);
    }

    push @pids, $pid;
    $self->{pids}{$name} = $pid;

    Doi::poll_until(60, sub {
        IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
    }) or die "$name does not listen: " . Doi::slurp("$self->{dir}/$name.out");

    return $pid;
}

sub stop {
    my ($self, $name) = @_;

    my $pid = delete $self->{pids}{$name} or return;

    kill 'KILL', $pid;
    waitpid $pid, 0;
    @pids = grep { $_ != $pid } @pids;
}


# See t/lib/smtpd.py and t/lib/httpd.py for their arguments.

sub smtpd {
    my ($self, $name, @args) = @_;

    return $self->spawn($name, '/usr/bin/python3', "$Doi::ROOT/t/lib/smtpd.py",
                        '--port', $self->{t}->port($name),
                        '--maildir', $self->{maildir}, @args);
}

sub httpd {
    my ($self, $name, @args) = @_;

    return $self->spawn($name, '/usr/bin/python3', "$Doi::ROOT/t/lib/httpd.py",
                        '--port', $self->{t}->port($name),
                        '--log', "$self->{dir}/$name.log", @args);
}

# What an httpd with '--answers' => $d->answers_file(NAME) says next: hashes, see
# t/lib/httpd.py.

sub answers_file { "$_[0]{dir}/$_[1].answers" }

sub answers {
    my ($self, $name, @answers) = @_;

    open(my $fh, '>>:raw', $self->answers_file($name)) or die "answers: $!";
    print $fh join '', map { JSON::PP::encode_json($_) . "\n" } @answers;
    close $fh or die "answers: $!";
}

# What httpd has got: hashes of method, path, headers, body.

sub requests {
    my ($self, $name) = @_;

    # The last line may not be complete yet.
    return map { JSON::PP::decode_json($_) }
           Doi::slurp("$self->{dir}/$name.log") =~ /^(.+)\n/mg;
}


sub radicale {
    my ($self, $name, $user, $password) = @_;

    my $dir = "$self->{dir}/$name";
    my $port = $self->{t}->port($name);

    mkdir $dir;
    $self->{t}->write_file("$name/users", "$user:$password\n");
    $self->{t}->write_file("$name/config", <<"EOC");
[server]
hosts = 127.0.0.1:$port
[auth]
type = htpasswd
htpasswd_filename = $dir/users
htpasswd_encryption = plain
[storage]
filesystem_folder = $dir/data
EOC

    return $self->spawn($name, 'radicale', '--config', "$dir/config");
}


# Mails, in the order of their arrival.

sub mails {
    my ($self, %o) = @_;

    my @mails = map { $self->_mail($_) }
                sort { (stat $a)[9] <=> (stat $b)[9] || $a cmp $b }
                glob "$self->{maildir}/new/* $self->{maildir}/cur/*";

    @mails = grep { $_->{head}{to} =~ /\Q$o{to}\E/ } @mails if $o{to};
    @mails = grep { $_->{head}{subject} =~ $o{subject} } @mails if $o{subject};

    return @mails;
}

sub wait_mails {
    my ($self, $n, %o) = @_;

    my @mails;
    Doi::poll_until($o{timeout} // 30,
                    sub { (@mails = $self->mails(%o)) >= $n });

    return @mails;
}

sub _mail {
    my ($self, $file) = @_;

    my $raw = Doi::slurp($file);
    my $mail = { file => $file, raw => $raw, body => {} };

    $raw =~ s/\r\n/\n/g;
    $mail->{head} = _part($mail->{body}, $raw);

    return $mail;
}

sub _part {
    my ($body, $text) = @_;

    my ($head, $rest) = split /\n\n/, $text, 2;
    $head =~ s/\n[ \t]+/ /g;

    my %h = map { /^([^:]+):\s*(.*)/ ? (lc $1 => $2) : () } split /\n/, $head;
    my ($type) = ($h{'content-type'} // 'text/plain') =~ m{^([^;\s]+)};

    if ($h{'content-type'} && $h{'content-type'} =~ /boundary="?([^";]+)/) {
        my (undef, @parts) = split /^--\Q$1\E(?:--)?\n?/m, $rest;
        _part($body, $_) for grep { /\S/ } @parts;
        return \%h;
    }

    my $code = lc($h{'content-transfer-encoding'} // '');

    $rest = $code eq 'base64' ? MIME::Base64::decode($rest)
          : $code eq 'quoted-printable' ? MIME::QuotedPrint::decode($rest)
          : $rest;

    $body->{lc $type} //= $rest;

    return \%h;
}


# A visitor fills the form in; options: uri, email, slot, name and others are
# fields.  Returns the response.

sub book {
    my ($self, %o) = @_;

    my $uri = delete $o{uri} // '/book';

    return $self->{t}->post($uri, form => { email => 'ada@example.org',
                                            name => 'Ada', %o });
}

# The link in a mail, without the origin.

sub link {
    my ($self, $mail) = @_;

    my ($path) = $mail->{body}{'text/plain'}
                 =~ m{https?://[^/\s]+(/confirm/[A-Za-z0-9_-]{46})};

    return $path;
}

sub confirm {
    my ($self, $mail) = @_;

    return $self->{t}->post($self->link($mail), form => { action => 'confirm' });
}


# The booking as the API shows it, the only one or the newest; filter: its
# query.

sub booking {
    my ($self, $query) = @_;

    my $r = $self->{t}->get('/api/bookings' . ($query ? "?$query" : ''));

    return $r->json->{bookings}[-1];
}

sub outbox {
    my ($self, $query) = @_;

    return @{$self->{t}->get('/api/outbox' . ($query ? "?$query" : ''))
             ->json->{outbox}};
}

# Waits until nothing is left to be delivered.

sub idle {
    my ($self, $timeout) = @_;

    return Doi::poll_until($timeout // 30,
                           sub { !$self->outbox('state=queued') });
}

# The worker that delivers, or that has another lock of the store.

sub worker {
    my ($self, $name) = @_;

    $name //= 'courier.lock';

    my $inode = (stat "$self->{dir}/store/$name")[1] or return;
    my %mine = map { $_ => 1 } $self->{t}->workers;

    for (split /\n/, Doi::slurp('/proc/locks')) {
        return $1 if /FLOCK .* (\d+) \S+:$inode / && $mine{$1};
    }

    return;
}


END {
    if ($$ == $owner) {
        local $?;
        kill 'KILL', $_ for @pids;
        waitpid $_, 0 for @pids;
    }
}

1;
