package Doi::Mail;

# Reads a Maildir (or a folder with one message per file) with Python's email
# package: by other code than the module's.
#
#   my $mail = Doi::Mail->new("$dir/mail");
#   my $m = $mail->wait(to => 'ada@example.com', subject => qr/confirm/i);
#   $m->{text}, $m->{html}, $m->{ics}, $m->{headers}{'message-id'}, $m->{raw}

use strict;
use warnings;

use Carp qw(croak);
use IPC::Open2 qw(open2);
use JSON::PP ();
use Time::HiRes qw(time sleep);

my $reader = <<'END';
import email, email.policy, json, sys

def text(part):
    return part.get_content() if part else None

for line in sys.stdin:
    with open(line.rstrip('\n'), 'rb') as f:
        raw = f.read()
    m = email.message_from_bytes(raw, policy=email.policy.default)
    out = {'headers': {}, 'defects': [str(d) for p in m.walk()
                                      for d in p.defects]}
    for name in m.keys():
        out['headers'].setdefault(name.lower(), str(m[name]))
    for key in ('subject', 'from', 'to'):
        out[key] = str(m.get(key, ''))
    out['text'] = text(m.get_body(('plain',)))
    out['html'] = text(m.get_body(('html',)))
    out['ics'] = [p.get_payload(decode=True).decode('utf-8')
                  for p in m.walk()
                  if p.get_content_type() == 'text/calendar']
    out['parts'] = [p.get_content_type() for p in m.walk()]
    out['raw'] = raw.decode('latin-1')
    print(json.dumps(out), flush=True)
END


sub new {
    my ($class, $path) = @_;

    return bless { path => $path, read => {} }, $class;
}


# All messages, the oldest first.

sub all {
    my ($self) = @_;

    my @files = grep { -f } map { glob "$self->{path}/$_/*" } 'new', 'cur';
    @files = grep { -f } glob "$self->{path}/*" if !-d "$self->{path}/new";

    my @new = grep { !$self->{read}{$_} } @files;

    if (@new) {
        local $ENV{LD_PRELOAD};
        delete $ENV{LD_PRELOAD};

        my $pid = open2(my $out, my $in, 'python3', '-c', $reader);
        for my $file (@new) {
            print $in "$file\n";
            $in->flush;
            my $line = <$out> // croak "cannot read $file";
            my $m = JSON::PP->new->utf8->decode($line);
            $m->{file} = $file;
            $m->{time} = (stat $file)[9] // 0;
            $self->{read}{$file} = $m;
        }
        close $in;
        waitpid $pid, 0;
    }

    return sort { $a->{time} <=> $b->{time} }
           map { $self->{read}{$_} } @files;
}


# Those that fit: to, from (contained), subject, text (patterns).

sub grep {
    my ($self, %want) = @_;

    return CORE::grep {
        my $m = $_;
        !CORE::grep {
            my $have = $m->{$_} // '';
            ref $want{$_} ? $have !~ $want{$_}
                          : index($have, $want{$_}) == -1
        } keys %want;
    } $self->all;
}


# The newest that fits; waits up to timeout (30) seconds, then dies.

sub wait {
    my ($self, %want) = @_;

    my $timeout = delete $want{timeout} // 30;
    my $end = time + $timeout;

    for (;;) {
        my @found = $self->grep(%want);
        return $found[-1] if @found;
        if (time > $end) {
            my @all = map { $_->{to} . ': ' . $_->{subject} } $self->all;
            croak 'no mail ' . join(' ', %want) . ' among: '
                  . join(', ', @all);
        }
        sleep 0.1;
    }
}

1;
