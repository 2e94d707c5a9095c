# Dependencies point one way: http -> courier, store -> core.  Also: file
# sizes, and the symbols that the module exports.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname basename);
use Test::More;

my $root = abs_path(dirname(__FILE__) . '/..');
my $limit = 800;

# What each layer may include besides <...> of libc, and of which libraries.

my %may = (
    core    => { layers => [qw(core)],               libs => qr{^openssl/} },
    store   => { layers => [qw(core store)],         libs => qr{^(?:lmdb\.h$|openssl/)} },
    courier => { layers => [qw(core store courier)],
                 libs => qr{^(?:curl/|openssl/|jansson\.h$|libical/|idn2\.h$)} },
    http    => { layers => [qw(core store courier http)],
                 libs => qr{^(?:openssl/|jansson\.h$|yajl/|ngx_)} },
);

my $libc = qr{^(?:assert|ctype|dirent|errno|fcntl|inttypes|limits|netinet/in
               |poll|pthread|semaphore|signal|stdalign|stdarg|stdatomic|stdbool|stddef|stdint
               |stdio|stdlib|string|strings|time|unistd
               |sys/[a-z]+)\.h$}x;

# No I/O, no clock, no threads in core.

my $impure = qr{^(?:dirent|fcntl|netinet/in|poll|pthread|semaphore|signal|stdatomic
                 |unistd|sys/.*)\.h$}x;

# <time.h> is for gmtime_r alone.

my $effects = qr{\b((?:time|gettimeofday|clock_gettime|fopen|open|printf
                 |getenv|rand|random|RAND_bytes|localtime(?:_r)?)\s*\()}x;

sub slurp {
    my ($file) = @_;

    open(my $fh, '<', $file) or die "$file: $!";
    local $/;

    return scalar <$fh>;
}

for my $layer (sort keys %may) {
    my @files = sort glob "$root/src/$layer/*.[ch]";

    next if !@files && $layer eq 'courier';

    ok(scalar @files, "src/$layer has files");

    my %home;
    for my $other (keys %may) {
        push @{$home{basename($_)}}, $other for glob "$root/src/$other/*.h";
    }

    my @bad;

    for my $file (@files) {
        my $text = slurp($file);
        my $name = "src/$layer/" . basename($file);

        my $lines = () = $text =~ /\n/g;
        push @bad, "$name: $lines lines, more than $limit" if $lines > $limit;

        $text =~ s{/\*.*?\*/}{}gs;

        while ($text =~ /^[ \t]*#[ \t]*include[ \t]+([<"])([^>"]+)[>"]/mg) {
            my ($quote, $inc) = ($1, $2);

            if ($quote eq '<') {
                next if $inc =~ $may{$layer}{libs};
                push @bad, "$name includes <$inc>"
                    if $inc !~ $libc || $layer eq 'core' && $inc =~ $impure;
                next;
            }

            push(@bad, "$name includes $inc"), next
                if $inc =~ /ngx_/ && $layer ne 'http';

            # "x.h" of the same folder or of core, "../store/x.h", "store/x.h"
            my ($dir, $base) = $inc =~ m{^(?:(?:\.\./)?(\w+)/)?([^/]+)$};

            if (!defined $base) {
                push @bad, "$name includes $inc";
                next;
            }

            my @homes = defined $dir ? ($dir) : @{$home{$base} // []};
            @homes = ($layer) if !defined $dir && -e "$root/src/$layer/$base";

            push @bad, "$name includes $inc"
                if !@homes || grep { my $h = $_;
                                     !grep { $_ eq $h } @{$may{$layer}{layers}}
                                   } @homes;
        }

        while ($layer eq 'core' && $text =~ $effects) {
            push @bad, "$name calls $1";
            last;
        }

        push @bad, "$name uses nginx's ngx_*"
            if $layer ne 'http' && $text =~ /\bngx_\w+\s*\(/;
    }

    is_deeply(\@bad, [], "src/$layer") or diag(join "\n", @bad);
}

my $module = $ENV{DOI_MODULE} // "$root/build/ngx_http_doi_module.so";

SKIP: {
    skip "no module in $module", 2 unless -e $module;

    my @symbols = map { /(\S+)$/ ? $1 : () } `nm -D --defined-only $module`;

    is_deeply([ sort @symbols ],
              [qw(ngx_http_doi_module ngx_module_names ngx_module_order
                  ngx_modules)],
              'what the module exports');

    # nginx binds symbols when it loads the module: a missing one stops it.
    is_deeply([ grep { /\bU (?:ngx_http_)?doi_/ }
                `nm -D --undefined-only $module` ], [],
              'none of our own symbols is missing');
}

done_testing();
