package Doi;

# The harness of t/*.t: a real nginx with the module, an upstream that fails in
# every way, a client, and tokens minted by other code than the module's.
#
#   use lib 't/lib';
#   use Doi;
#
#   my $t = Doi->new(workers => 4);
#   my $up = $t->upstream('app');
#
#   $t->conf(<<'EOC');
#   %%GLOBALS%%
#   events { worker_connections 4096; }
#   http {
#       %%HTTP%%
#       doi_store %%DIR%%/store;
#       doi_key 1 file:%%KEY%%;
#       server {
#           listen 127.0.0.1:%%PORT:http%%;
#           location ~ ^/book/(?<token>[^/]+)$ {
#               doi_link $token scope=s;
#               proxy_pass http://127.0.0.1:%%PORT:app%%/;
#           }
#       }
#   }
#   EOC
#
#   $t->start;
#   my $token = $t->mint(scope => 's');
#   is($t->post("/book/$token", form => { name => 'Ada' })->status, 200);
#   is(scalar $up->bookings, 1);
#   done_testing();
#
# done_testing stops nginx and fails on an [alert], an [emerg] (but for what
# expect_log has announced), a sanitizer's report or a core file.
#
# Environment: DOI_MODULE, DOI_NGINX; DOI_ASAN=1 preloads the sanitizers'
# runtimes; DOI_TEST_KEEP=1 keeps the directory; DOI_TEST_DEBUG=1 logs at debug
# level; DOI_TEST_TIMEOUT is the seconds until a test is given up (300).

use strict;
use warnings;

use Carp qw(croak);
use Cwd ();
use File::Basename qw(dirname);
use File::Path ();
use File::Temp ();
use IO::Socket::INET;
use POSIX ();
use Test::More ();
use Time::HiRes qw(time sleep);

use Doi::HTTP ();
use Doi::Token ();
use Doi::Upstream ();

our $ROOT = Cwd::abs_path(dirname(__FILE__) . '/../..');

my @all;                # every harness of this process
my $owner = $$;
my $checked = 0;

my $san = 'AddressSanitizer|UndefinedBehaviorSanitizer|LeakSanitizer'
          . '|runtime error:';


# A test gets strict, warnings, all of Test::More, and these.

sub import {
    my ($class) = @_;

    my $caller = caller;

    strict->import;
    warnings->import;

    no strict 'refs';
    no warnings 'redefine';

    for my $name (@Test::More::EXPORT) {
        if ($name =~ /^\w/) {
            *{"${caller}::$name"} = \&{"Test::More::$name"};
        } elsif ($name eq '$TODO') {
            *{"${caller}::TODO"} = \${"Test::More::TODO"};
        }
    }

    *{"${caller}::done_testing"} = \&done_testing;
    *{"${caller}::poll_until"} = \&poll_until;
    *{"${caller}::parallel"} = \&parallel;
    *{"${caller}::slurp"} = \&slurp;
    *{"${caller}::urlencode"} = \&Doi::HTTP::urlencode;
    *{"${caller}::token_fields"} = \&Doi::Token::token_fields;

    binmode STDOUT, ':utf8';
    binmode STDERR, ':utf8';
    binmode Test::More->builder->$_, ':utf8'
        for qw(output failure_output todo_output);

    my $limit = $ENV{DOI_TEST_TIMEOUT} // 300;
    $SIG{ALRM} = sub { die "given up after $limit s\n" };
    $SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);
    alarm $limit;
}


# Options: module (0: plain nginx), faketime (1: see faketime()), workers (for
# %%WORKERS%%), level (of the error log, 'info'), name.

sub new {
    my ($class, %o) = @_;

    my $self = bless { workers => $o{workers} // 2, ports => {}, keys => {},
                       expected => [], upstreams => [], tokens => [],
                       module => $o{module} // $ENV{DOI_MODULE}
                                 // "$ROOT/build/ngx_http_doi_module.so",
                       nginx => $ENV{DOI_NGINX} // '/usr/sbin/nginx',
                       level => $ENV{DOI_TEST_DEBUG} ? 'debug'
                                                     : $o{level} // 'info',
                       faketime => $o{faketime} }, $class;

    -x $self->{nginx}
        or die "no nginx in $self->{nginx} (set DOI_NGINX)\n";

    if ($self->{module}) {
        -r $self->{module} or die "no module in $self->{module}: make build\n";
        $self->{module} = Cwd::abs_path($self->{module});
    }

    # Not File::Temp's CLEANUP: it would also run in forked children.
    $self->{dir} = File::Temp::tempdir('doi-test-XXXXXX', TMPDIR => 1,
                                       CLEANUP => 0);
    chmod 0755, $self->{dir};

    mkdir "$self->{dir}/tmp";
    mkdir "$self->{dir}/san";
    chmod 01777, "$self->{dir}/$_" for qw(tmp san);

    $self->{preload} = [];
    $self->{env} = {};
    $self->_asan if $ENV{DOI_ASAN};
    $self->_faketime if $o{faketime};

    if (@{$self->{preload}}) {
        $self->{env}{LD_PRELOAD} = join ':', @{$self->{preload}};
    }

    push @all, $self;

    return $self;
}


sub dir { $_[0]{dir} }


sub _asan {
    my ($self) = @_;

    for my $name (qw(libasan.so libubsan.so)) {
        chomp(my $path = `cc -print-file-name=$name`);
        -e $path or die "DOI_ASAN: no $name\n";
        push @{$self->{preload}}, Cwd::abs_path($path);
    }

    my $log = "log_path=$self->{dir}/san/report";

    # nginx frees its pools at exit only in part, and is not instrumented.
    $self->{env}{ASAN_OPTIONS} = "detect_leaks=0:abort_on_error=0:$log";
    $self->{env}{UBSAN_OPTIONS} = "print_stacktrace=1:$log";
}


sub _faketime {
    my ($self) = @_;

    my ($lib) = glob '/usr/lib/*/faketime/libfaketimeMT.so.1';
    $lib or die "faketime: apt-get install libfaketime\n";

    push @{$self->{preload}}, $lib;
    $self->{env}{FAKETIME_TIMESTAMP_FILE} = "$self->{dir}/clock";
    $self->{env}{FAKETIME_NO_CACHE} = 1;
    $self->{env}{FAKETIME_DONT_FAKE_MONOTONIC} = 1;
    $self->{env}{DONT_FAKE_MONOTONIC} = 1;
    $self->{env}{NO_FAKE_STAT} = 1;
    $self->faketime(0);
}


# Jumps the wall clock of a running nginx (made with faketime => 1) to so many
# seconds from the real one; takes effect at once.

sub faketime {
    my ($self, $seconds) = @_;

    _write("$self->{dir}/clock.new", sprintf("%+d\n", $seconds));
    chmod 0644, "$self->{dir}/clock.new";
    rename "$self->{dir}/clock.new", "$self->{dir}/clock";
}


# Files

sub slurp {
    my ($file) = @_;

    open(my $fh, '<:raw', $file) or return '';
    local $/;

    return scalar(<$fh>) // '';
}

sub _write {
    my ($file, $text) = @_;

    open(my $fh, '>:raw', $file) or die "$file: $!";
    print $fh $text;
    close $fh or die "$file: $!";
}

# Writes DIR/NAME, readable by all; returns the path.

sub write_file {
    my ($self, $name, $text, $mode) = @_;

    my $file = "$self->{dir}/$name";
    File::Path::make_path(dirname($file));
    _write($file, $text);
    chmod $mode // 0644, $file;

    return $file;
}


# The path of a key file, made when first asked for, and its secret (bytes).

sub key {
    my ($self, $name) = @_;

    $self->secret($name);

    return "$self->{dir}/key-" . ($name // 'main');
}

sub secret {
    my ($self, $name) = @_;

    $name //= 'main';

    return $self->{keys}{$name} //= do {
        my $secret = Doi::Token::random_bytes(32);
        my $file = "$self->{dir}/key-$name";
        my $umask = umask 0077;
        _write($file, unpack('H*', $secret) . "\n");
        umask $umask;
        $secret;
    };
}


# A token; see Doi::Token::mint.  key => NAME of a key file (main), or secret.

sub mint {
    my ($self, %o) = @_;

    my $key = delete $o{key};
    $o{secret} //= $self->secret($key);

    my $token = Doi::Token::mint(%o);
    push @{$self->{tokens}}, $token;

    return $token;
}


# The confirmation token of a booking, by its id (as in the JSON answer to the
# form): what the mail has in it.  Options: ttl of the hold (86400), those of
# mint.

sub confirm_token {
    my ($self, $id, %o) = @_;

    return $self->mint(ttl => 86400, %o, purpose => 'confirm', id => $id);
}


# A port of this name; free when it is first asked for.

sub port {
    my ($self, $name) = @_;

    $name //= 'http';

    return $self->{ports}{$name} //= do {
        my %mine = map { $_ => 1 } grep { defined }
                   map { values %{$_->{ports}} } @all;
        my $port;

        for (1 .. 1000) {
            my $try = 18000 + int rand 14000;
            next if $mine{$try};

            # Without ReuseAddr: a port in TIME_WAIT is not free.
            my $s = IO::Socket::INET->new(Proto => 'tcp', Listen => 1,
                LocalAddr => '127.0.0.1', LocalPort => $try) or next;
            close $s;
            $port = $try;
            last;
        }

        $port // die "no free port\n";
    };
}


# An upstream at port NAME (%%PORT:NAME%%): see Doi::Upstream.

sub upstream {
    my ($self, $name, %o) = @_;

    $name //= 'app';

    my $up = Doi::Upstream->new(name => $name, dir => $self->{dir},
                                port => $self->port($name), %o);
    push @{$self->{upstreams}}, $up;

    return $up;
}


# The configuration.  %%GLOBALS%% (main context), %%HTTP%% (http context),
# %%PORT:NAME%%, %%DIR%%, %%KEY%% and %%KEY:NAME%%, %%MODULE%%, %%PAGES%%,
# %%ROOT%%, %%WORKERS%%.

sub expand {
    my ($self, $text, $log) = @_;

    my $dir = $self->{dir};
    my $tmp = "$dir/tmp";

    $log //= 'error.log';

    my $globals = join "\n",
        "pid $dir/nginx.pid;",
        "error_log $dir/$log $self->{level};",
        'worker_rlimit_nofile ' . _nofile() . ';',
        'worker_rlimit_core 0;',
        "worker_processes $self->{workers};",
        $> == 0 ? ('user www-data;') : (),
        $self->{module} ? ("load_module $self->{module};") : (),
        map { "env $_;" } sort keys %{$self->{env}};

    my $http = join "\n",
        "access_log $dir/access.log;",
        map { "${_}_temp_path $tmp/$_;" }
            qw(client_body proxy fastcgi uwsgi scgi);

    $text =~ s/%%GLOBALS%%/$globals/g;
    $text =~ s/%%HTTP%%/$http/g;
    $text =~ s/%%PORT:(\w+)%%/$self->port("$1")/ge;
    $text =~ s/%%DIR%%/$dir/g;
    $text =~ s/%%KEY(?::(\w+))?%%/$self->key($1 ? "$1" : 'main')/ge;
    $text =~ s/%%MODULE%%/$self->{module}/g;
    $text =~ s/%%PAGES%%/$ROOT\/pages/g;
    $text =~ s/%%ROOT%%/$ROOT/g;
    $text =~ s/%%WORKERS%%/$self->{workers}/g;

    croak "unknown $1 in configuration" if $text =~ /(%%[^%]*%%)/;

    return $text;
}

sub _nofile {
    chomp(my $hard = `sh -c 'ulimit -Hn'`);

    return $hard =~ /^\d+$/ && $hard < 16384 ? $hard : 16384;
}

sub conf {
    my ($self, $text) = @_;

    _write("$self->{dir}/nginx.conf", $self->expand($text));

    return $self;
}


sub _run_nginx {
    my ($self, @args) = @_;

    my $out = "$self->{dir}/nginx.out";
    my $pid = fork() // die "fork: $!";

    if ($pid == 0) {
        $ENV{$_} = $self->{env}{$_} for keys %{$self->{env}};
        open(STDIN, '<', '/dev/null');
        open(STDOUT, '>', $out);
        open(STDERR, '>&', \*STDOUT);
        exec $self->{nginx}, '-p', "$self->{dir}/", @args
            or POSIX::_exit(127);
    }

    waitpid $pid, 0;
    my $status = $?;

    return ($status & 127 ? 128 + ($status & 127) : $status >> 8, slurp($out));
}


# nginx -t with this text (default: that of conf): (exit status, output).

sub test_config {
    my ($self, $text) = @_;

    my $file = "$self->{dir}/nginx.conf";

    if (defined $text) {
        $file = "$self->{dir}/test.conf";
        _write($file, $self->expand($text, 'test.log'));
    }

    return $self->_run_nginx('-t', '-c', $file,
                             '-e', "$self->{dir}/test.log");
}


# Starts nginx and waits until it listens; dies with its output if it does not
# start.  try_start returns (exit status, output) instead.

sub start {
    my ($self) = @_;

    my ($status, $out) = $self->try_start;

    $status == 0 or croak "nginx did not start ($status):\n$out";

    # Its secret is made at the very first start; until then it answers 503.

    if ($self->{level} =~ /^(?:info|debug)$/ && slurp("$self->{dir}/nginx.conf")
        =~ /\bdoi_(?:inbound|subscribe|unsubscribe|consent|sync)\s/)
    {
        my $n = () = $self->workers;

        poll_until(30, sub {
            $n <= scalar(() = $self->grep_log(qr/consent ledger is open/))
            || $self->grep_log(qr/cannot open the store|opens the secret/) });
    }

    return $self;
}

sub try_start {
    my ($self) = @_;

    my ($status, $out) = $self->_run_nginx('-c', "$self->{dir}/nginx.conf",
        '-e', "$self->{dir}/error.log", '-g', 'daemon on;');

    return ($status, $out) if $status;

    poll_until(30, sub { $self->pid })
        or return (1, "no pid file\n$out");
    $self->_wait_workers;
    $self->workers or return (1, "no worker\n$out");

    if (my $port = $self->{ports}{http}) {
        my $s = Doi::HTTP::connect_to($port)
            or return (1, "nothing listens on port $port\n$out");
        close $s;
    }

    return (0, $out);
}


# Processes

sub pid {
    my ($self, $file) = @_;

    my ($pid) = slurp($file // "$self->{dir}/nginx.pid") =~ /^(\d+)\n/;

    return $pid;
}

sub alive {
    my ($pid) = @_;

    my ($state) = slurp("/proc/$pid/stat") =~ /^\d+ \(.*\) (\S)/s;

    return defined $state && $state !~ /[ZX]/;
}

sub _children {
    my ($master) = @_;

    my @pids;

    for my $stat (glob '/proc/[0-9]*/stat') {
        my ($pid, $state, $parent) = slurp($stat) =~ /^(\d+) \(.*\) (\S) (\d+)/s
            or next;
        push @pids, $pid if $parent == $master && $state !~ /[ZX]/;
    }

    return sort { $a <=> $b } @pids;
}

# Pids of the workers of a master (default: the current one), without those
# that are shutting down; all => 1: with them.

sub workers {
    my ($self, %o) = @_;

    my $master = $o{master} // $self->pid or return;
    my $re = $o{all} ? qr/worker process/
                     : qr/worker process(?! is shutting down)/;

    return grep { slurp("/proc/$_/cmdline") =~ $re } _children($master);
}


# Until all of them have begun; a process that has not is no worker yet.

sub _wait_workers {
    my ($self) = @_;

    my ($n) = slurp("$self->{dir}/nginx.conf") =~ /^worker_processes (\d+);/m;

    return poll_until(30, sub { $self->workers >= ($n // 1) });
}


sub wait_gone {
    my ($self, $timeout, @pids) = @_;

    return poll_until($timeout, sub { !grep { alive($_) } @pids });
}


# Reload; waits for the new workers.  Returns the pids of the old ones, or an
# empty list if nginx did not take the new configuration.

sub reload {
    my ($self, $timeout) = @_;

    my @old = $self->workers;
    my %old = map { $_ => 1 } @old;

    kill 'HUP', $self->pid;

    my $ok = poll_until($timeout // 30, sub {
        my @now = $self->workers;
        @now && !grep { $old{$_} } @now;
    });

    $self->_wait_workers if $ok;

    return $ok ? @old : ();
}


# kill -9 (or another signal) of a worker (default: the first one); waits for
# its replacement.  Returns the pid that was killed.

sub kill_worker {
    my ($self, $signal, $pid) = @_;

    my @old = $self->workers;
    $pid //= $old[0];

    $self->expect_log(qr/worker process $pid exited on signal/);
    $self->expect_log(qr/shared memory zone ".*" was locked by $pid/);

    kill $signal // 'KILL', $pid;

    poll_until(30, sub { !alive($pid) && $self->workers >= @old });

    return $pid;
}


# Binary upgrade, in two steps.  upgrade_start sends USR2 and waits for the new
# master's workers; returns (old master, new master).  upgrade_finish lets the
# old one's workers go (WINCH), then the old master (QUIT), and waits for it.

sub upgrade_start {
    my ($self) = @_;

    my $old = $self->pid;

    kill 'USR2', $old;

    my $new;
    poll_until(30, sub {
        $new = $self->pid;
        $new && $new != $old && -e "$self->{dir}/nginx.pid.oldbin"
            && $self->workers(master => $new);
    }) or croak 'the new binary did not start';

    $self->_wait_workers;
    $self->{old_master} = $old;

    return ($old, $new);
}

sub upgrade_finish {
    my ($self, $timeout) = @_;

    my $old = delete $self->{old_master} or croak 'no upgrade is under way';
    my @workers = $self->workers(master => $old);

    kill 'WINCH', $old;
    my $ok = $self->wait_gone($timeout // 30, @workers);
    kill 'QUIT', $old;

    return $self->wait_gone($timeout // 30, $old) && $ok;
}

sub upgrade {
    my ($self, $timeout) = @_;

    my ($old, $new) = $self->upgrade_start;
    $self->upgrade_finish($timeout) or croak 'the old binary did not end';

    return ($old, $new);
}


# stop: at once (TERM); quit: gracefully (QUIT).  Both wait, and return true if
# all processes went within timeout.  kill_all: kill -9 of master and workers,
# as after a power cut.

sub _end {
    my ($self, $signal, $timeout) = @_;

    my $pid = $self->pid or return 1;
    my @pids = ($pid, $self->workers(all => 1));

    kill $signal, $pid;

    return $self->wait_gone($timeout, @pids);
}

sub stop { $_[0]->_end('TERM', $_[1] // 30) }
sub quit { $_[0]->_end('QUIT', $_[1] // 30) }

sub kill_all {
    my ($self) = @_;

    my $pid = $self->pid or return 1;
    my @pids = ($pid, _children($pid));

    kill 'KILL', @pids;
    unlink "$self->{dir}/nginx.pid";

    return $self->wait_gone(30, @pids);
}


# Logs

sub error_log  { slurp("$_[0]{dir}/error.log") }
sub access_log { slurp("$_[0]{dir}/access.log") }

# Lines of the error log that match.

sub grep_log {
    my ($self, $re) = @_;

    return grep { /$re/ } split /\n/, $self->error_log;
}

# Announces lines of level alert or emerg.

sub expect_log {
    my ($self, @re) = @_;

    push @{$self->{expected}}, @re;
}

# Lines of the error log (or another file of DIR) that have a token in them:
# those that mint has made, and what else is given.

sub leaks {
    my ($self, %o) = @_;

    my @secrets = (@{$self->{tokens}}, @{$o{tokens} // []});
    my @lines = split /\n/, slurp("$self->{dir}/" . ($o{file} // 'error.log'));

    return @lines ? grep { my $l = $_; grep { index($l, $_) >= 0 } @secrets }
                    @lines
                  : ();
}


# Requests.  Options: those of Doi::HTTP::build, and port (name or number),
# timeout.  They return a Doi::Response: status (0: none came), body, json,
# header(NAME), headers(NAME), cookie(NAME), eof, truncated, time, raw.

sub _port {
    my ($self, $port) = @_;

    $port //= 'http';

    return $port =~ /^\d+$/ ? $port : $self->port($port);
}

sub bytes {
    my ($self, $method, $uri, %o) = @_;

    $o{host} //= '127.0.0.1:' . $self->_port($o{port});

    return Doi::HTTP::build($method, $uri, %o);
}

sub request {
    my ($self, $method, $uri, %o) = @_;

    return $self->http_raw($self->bytes($method, $uri, %o), %o,
                           method => $method);
}

sub get     { my ($self, @r) = @_; $self->request('GET', @r) }
sub head    { my ($self, @r) = @_; $self->request('HEAD', @r) }
sub post    { my ($self, @r) = @_; $self->request('POST', @r) }
sub put     { my ($self, @r) = @_; $self->request('PUT', @r) }
sub delete  { my ($self, @r) = @_; $self->request('DELETE', @r) }
sub options { my ($self, @r) = @_; $self->request('OPTIONS', @r) }

# These bytes, one response.

sub http_raw {
    my ($self, $bytes, %o) = @_;

    my $s = Doi::HTTP::connect_to($self->_port($o{port}), $o{timeout})
        or return Doi::Response->parse('', eof => "connect: $!");

    return Doi::HTTP::exchange($s, $bytes, %o);
}

# An open connection that has sent these bytes; close it, reset it
# (Doi::HTTP::reset_socket), or go on with Doi::HTTP::exchange($s, $bytes).

sub open_raw {
    my ($self, $bytes, %o) = @_;

    my $s = Doi::HTTP::connect_to($self->_port($o{port}), $o{timeout})
        or croak "connect: $!";
    Doi::HTTP::send_raw($s, $bytes) if length $bytes;

    return $s;
}

# n requests at the same moment; make->(i) returns [METHOD, URI, options] or
# bytes.  Options: port, procs (8), timeout, together (1), before and during
# (run here, right before and after they are let go).  Returns the responses.

sub many {
    my ($self, $n, $make, %o) = @_;

    $make = do { my $r = $make; sub { $r } } if ref $make ne 'CODE';

    return Doi::HTTP::many($self->_port($o{port}), $n, sub {
        my $r = $make->(@_);
        return ref $r ? $self->bytes(@$r, port => $o{port}) : $r;
    }, %o, dir => $self->{dir});
}

# How many responses have each status: { 200 => 1, 409 => 1999 }.

sub statuses {
    my ($self, @responses) = @_;

    my %n;
    $n{$_->status}++ for @responses;

    return \%n;
}

# Prometheus text as { 'name{labels}' => value }.

sub metrics {
    my ($self, $uri, %o) = @_;

    my %m;

    for (split /\n/, $self->get($uri // '/metrics', %o)->body) {
        $m{$1} = $2 if /^([a-zA-Z_:][^ {]*(?:\{[^}]*\})?) (\S+)/;
    }

    return \%m;
}


# Runs sub in n processes at the same time; returns what each returned (any
# data; undef if it died).

sub parallel {
    my ($n, $code) = @_;

    my @kids;

    for my $i (0 .. $n - 1) {
        pipe(my $r, my $w) or die "pipe: $!";
        my $pid = fork() // die "fork: $!";

        if ($pid == 0) {
            close $r;
            alarm 0;
            my $res = eval { [ scalar $code->($i) ] };
            print STDERR "# parallel: $@" if $@;
            binmode $w;
            print $w Storable::freeze($res // [undef]);
            close $w;
            POSIX::_exit(0);
        }

        close $w;
        push @kids, [ $pid, $r ];
    }

    return map {
        my ($pid, $r) = @$_;
        binmode $r;
        local $/;
        my $bytes = <$r>;
        waitpid $pid, 0;
        my $res = eval { Storable::thaw($bytes) };
        $res ? $res->[0] : undef;
    } @kids;
}


# Runs sub until it returns true or the seconds are over; returns its result.

sub poll_until {
    my ($seconds, $code) = @_;

    my $until = time() + $seconds;
    my $pause = 0.005;

    while (1) {
        my $res = $code->();
        return $res if $res || time() > $until;
        sleep $pause;
        $pause *= 1.3 if $pause < 0.1;
    }
}


# The end

sub _finish {
    my ($self) = @_;

    return if $self->{finished}++;

    if ($self->pid) {
        # Gracefully: nginx then reports sockets that were left open.
        my $gone = $self->_end('QUIT', 3);
        $_->stop for @{$self->{upstreams}};
        $gone ||= $self->wait_gone(20, grep { $_ } $self->pid);
        $gone ||= $self->_end('TERM', 5);
    }

    $_->stop for @{$self->{upstreams}};

    for my $pid (grep { $_ } $self->pid,
                 $self->pid("$self->{dir}/nginx.pid.oldbin"))
    {
        next unless alive($pid)
                    && slurp("/proc/$pid/cmdline") =~ /nginx/;
        kill 'KILL', $pid, _children($pid);
    }
}


# Lines that must not be there.

sub problems {
    my ($self) = @_;

    my @bad;

    for my $line (split /\n/, $self->error_log) {
        if ($line =~ /$san/) {
            push @bad, $line;

        } elsif ($line =~ /\[(?:alert|emerg)\]/) {
            push @bad, $line
                unless grep { $line =~ /$_/ } @{$self->{expected}};
        }
    }

    push @bad, grep { /$san/ }
               map { split /\n/, slurp("$self->{dir}/$_") }
               qw(test.log nginx.out);

    for my $report (glob "$self->{dir}/san/*") {
        push @bad, "sanitizer: $report", split /\n/, slurp($report);
    }

    push @bad, map { "core file: $_" } grep { -f }
               glob "$self->{dir}/core* $self->{dir}/tmp/core*";

    return @bad;
}


sub done_testing {
    my $tb = Test::More->builder;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    for my $self (@all) {
        $self->_finish;

        my @bad = $self->problems;
        $tb->ok(!@bad, 'no alert, no sanitizer report, no core file');
        $tb->diag($_) for @bad > 60 ? (@bad[0 .. 59], '...') : @bad;
    }

    $checked = 1;
    $tb->done_testing(@_);
}


END {
    if ($$ == $owner) {
        my $status = $?;

        alarm 0;
        $SIG{$_} = 'IGNORE' for qw(INT TERM HUP);

        for my $self (@all) {
            $self->_finish;

            # With a plan in place of done_testing.
            if (!$checked && (my @bad = $self->problems)) {
                print STDERR map { "# $_\n" } @bad;
                $status ||= 1;
            }

            my $failed = $status || !Test::More->builder->is_passing;

            if ($failed && (my $log = $self->error_log)) {
                my @lines = grep { !/\[(?:debug|info|notice)\]/ }
                            split /\n/, $log;
                @lines = @lines[-20 .. -1] if @lines > 20;
                print STDERR map { "# log: $_\n" } @lines;
            }

            if ($ENV{DOI_TEST_KEEP}) {
                print STDERR "# kept: $self->{dir}\n";
            } else {
                File::Path::remove_tree($self->{dir}, { safe => 0 });
            }
        }

        $? = $status;
    }
}

1;
