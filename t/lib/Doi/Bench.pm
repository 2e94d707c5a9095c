package Doi::Bench;

# What t/bench/* have in common: options, wrk, ratios.
#
# Both sides of a ratio are measured in turns within one run, on one machine,
# with the same client (wrk), upstream, request and number of connections; a
# figure is the median of the rounds, and so is the ratio: of those of each
# round, since a machine gets faster and slower in the course of a run.

use strict;
use warnings;

use Exporter 'import';
use File::Basename qw(basename);
use Getopt::Long;

use Doi;

our @EXPORT = qw(options wanted wrk median compare target all_ok heading
                 finish);

my ($failed, %o) = (0);
my $wrk = 'wrk -t1';


# Reads --seconds, --rounds, --only and what more is given: name => [ Getopt
# type, default, text ].  Returns a reference to the options.

sub options {
    my ($only, %more) = @_;

    %o = (seconds => 2, rounds => 9, only => '',
          map { $_ => $more{$_}[1] } keys %more);

    GetOptions(\%o, 'seconds=i', 'rounds=i', 'only=s', 'help',
               map { $_ . $more{$_}[0] } keys %more)
        && !@ARGV && ($o{only} eq '' || grep { $_ eq $o{only} } @$only)
        or warn('try --help') && exit 2;

    if ($o{help}) {
        print "usage: t/bench/", basename($0), " [OPTIONS]\n\n";
        printf "  --%-10s %s\n", @$_
            for [ 'seconds N', 'length of one measurement (2)' ],
                [ 'rounds N', 'of each side; the median counts (9)' ],
                [ 'only NAME', join(', ', @$only) ],
                map { [ "$_ " . ($more{$_}[0] =~ /i$/ ? 'N' : 'X'),
                        $more{$_}[2] ] } sort keys %more;
        exit 0;
    }

    system('command -v wrk >/dev/null') == 0
        or die "no wrk; Debian: apt-get install wrk\n";

    $ENV{DOI_TEST_TIMEOUT} = 0;
    alarm 0;
    $| = 1;

    return \%o;
}


sub wanted { $o{only} eq '' || $o{only} eq $_[0] }


# Runs wrk with a script of t/bench.  Returns requests a second, the share of
# answers that were neither 2xx nor 3xx, how many requests broke off, and the
# 99th percentile of the times that answers took, in milliseconds.

sub wrk {
    my ($t, $connections, $script, @args) = @_;

    my $url = 'http://127.0.0.1:' . $t->port('http');
    my $out = qx{$wrk -c$connections -d$o{seconds}s -s $script $url -- \\
                 @args 2>&1 </dev/null};

    my ($n, $us, $status, $errors, $p99)
        = $out =~ /^RESULT (\d+) (\d+) (\d+) (\d+) (\d+)/m or die "wrk: $out";

    return ($n / ($us / 1e6), $n ? $status / $n : 0, $errors, $p99 / 1000);
}


sub median {
    my @s = sort { $a <=> $b } @_;

    return @s % 2 ? $s[$#s / 2] : ($s[@s / 2 - 1] + $s[@s / 2]) / 2;
}


sub heading {
    printf "%-46s %9s %9s   %5s   %s\n", @_;
}


# A row: the value is to be at least the target, or with most at most.

sub target {
    my ($what, $base, $module, $ratio, $target, $most) = @_;

    my $reached = !$target || ($most ? $ratio <= $target : $ratio >= $target);

    printf "%-46s %9.*f %9.*f   %5.2f   %s\n", $what,
        (map { $_ < 100 ? 1 : 0, $_ } $base, $module), $ratio,
        $target ? sprintf('%4.2f %s', $target, $reached ? 'reached' : 'MISSED')
                : '';

    $failed = 1 unless $reached;
}


# Measures both sides in turns and adds a row.

sub compare {
    my ($what, $target, $base, $module) = @_;

    my (@base, @module, @ratio);

    for (1 .. $o{rounds}) {
        push @base, $base->();
        push @module, $module->();
        push @ratio, $module[-1] / $base[-1];
    }

    target($what, median(@base), median(@module), median(@ratio), $target);
}


sub all_ok {
    my ($rate, $bad, $errors) = @_;

    die sprintf("%.1f %% of the answers were not 2xx\n", $bad * 100)
        if $bad > 0.001;
    die "$errors requests broke off\n" if $errors;

    return $rate;
}


sub finish { exit($failed ? 1 : 0) }

1;
