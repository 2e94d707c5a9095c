package Doi::Docs;

# The programs that docs/token.md prints, to be run.

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Spec;
use POSIX ();
use Test::More ();

our @EXPORT_OK = qw(programs interpreters run which slurp spew);

my %files = (
    sh         => 'mint.sh',
    python     => 'mint.py',
    php        => 'mint.php',
    javascript => 'mint.js',
    go         => 'mint.go',
);


# Writes each program of the page to a file in dir: { language => file }.

sub programs {
    my ($doc, $dir) = @_;

    my %programs;

    for my $lang (sort keys %files) {
        my @blocks = $doc =~ /^```\Q$lang\E\n(.*?)^```$/msg;
        Test::More::is(scalar @blocks, 1, "$lang: one program on the page");
        spew($programs{$lang} = "$dir/$files{$lang}", $blocks[0]);
    }

    return \%programs;
}


# What can run them: [name, language, command ...], with no command where there
# is none here.  Every shell that is here is in it: a POSIX script has to run in
# all of them.

sub interpreters {
    my ($programs, $dir) = @_;

    my $sh = which('sh') || Test::More::BAIL_OUT('no sh');
    my @list = [ 'sh', 'sh', $sh ];

    for my $shell (qw(dash bash busybox mksh zsh)) {
        my $path = which($shell) or next;
        next if abs_path($path) eq abs_path($sh);
        push @list, [ $shell, 'sh', $path, $shell eq 'busybox' ? 'sh'
                      : $shell eq 'zsh' ? ('--emulate', 'sh') : () ];
    }

    push @list, [ 'python', 'python', which('python3') ],
                [ 'php', 'php', which('php') ],
                [ 'javascript', 'javascript', which('node')
                                              || which('nodejs') ];

    push @$_, $programs->{$_->[1]} for grep { @$_ > 2 } @list;

    if (my $go = which('go')) {
        my $out = build_go($go, $programs->{go}, $dir);
        Test::More::ok(-x "$dir/mint", 'go: builds') or Test::More::diag($out);
        push @list, [ 'go', 'go', "$dir/mint" ];

    } else {
        push @list, [ 'go', 'go' ];
    }

    return @list;
}


sub build_go {
    my ($go, $file, $dir) = @_;

    local $ENV{GO111MODULE} = 'off';
    local $ENV{GOTOOLCHAIN} = 'local';
    local $ENV{GOPROXY} = 'off';
    local $ENV{CGO_ENABLED} = 0;
    local $ENV{GOFLAGS} = '';
    local $ENV{GOCACHE} = $ENV{GOCACHE}
                          || ($ENV{HOME} ? "$ENV{HOME}/.cache/go-build"
                              : "$dir/cache");

    return scalar `'$go' build -o '$dir/mint' '$file' 2>&1`;
}


# Runs a command without a shell: its exit status and what it prints.  env:
# { minted => Unix seconds, random => hexadecimal }, or undef for the real ones.

sub run {
    my ($env, @cmd) = @_;

    local %ENV = %ENV;
    delete @ENV{qw(DOI_NOW DOI_RANDOM)};

    if ($env) {
        $ENV{DOI_NOW} = $env->{minted};
        $ENV{DOI_RANDOM} = $env->{random};
    }

    my $pid = open(my $out, '-|') // Test::More::BAIL_OUT("cannot fork: $!");

    if ($pid == 0) {
        open(STDERR, '>', File::Spec->devnull());
        exec { $cmd[0] } @cmd or POSIX::_exit(127);
    }

    local $/;
    my $text = <$out>;
    close($out);

    return ($?, $text // '');
}


sub which {
    my ($name) = @_;

    for my $path (File::Spec->path()) {
        return "$path/$name" if -f "$path/$name" && -x _;
    }

    return;
}


sub slurp {
    my ($path) = @_;

    open(my $f, '<:raw', $path)
        or Test::More::BAIL_OUT("$path: $!; run this from the repository's"
                                . ' root');
    local $/;

    return scalar <$f>;
}


sub spew {
    my ($path, $text) = @_;

    open(my $f, '>:raw', $path) or Test::More::BAIL_OUT("$path: $!");
    print {$f} $text;
    close($f) or Test::More::BAIL_OUT("$path: $!");
}

1;
