# make install puts three files below DESTDIR, which work; make uninstall takes
# them away.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 1);
my $root = $Doi::ROOT;
my $build = $ENV{DOI_BUILD} // "$root/build";
my $dest = $t->dir . '/dest';

# What is built stays as it is: others are using it.

delete $ENV{$_} for qw(MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES);

sub make {
    my (@args) = @_;

    my $tool = "$build/doi-ledger";
    my @old = ('-o', "$build/ngx_http_doi_module.so",
               -x $tool ? ('-o', $tool) : ());
    my $out = $t->dir . '/make.out';

    system("cd '$root' && make -s @old BUILD='$build' @args >'$out' 2>&1") == 0
        or diag(slurp($out));

    return $? >> 8;
}

my %mode = ('/usr/lib/nginx/modules/ngx_http_doi_module.so' => 0644,
            '/usr/share/nginx/modules-available/50-mod-http-doi.conf' => 0644,
            '/usr/bin/doi-ledger' => 0755);

umask 022;
is(make('install', "DESTDIR='$dest'"), 0, 'make install');

for (sort keys %mode) {
    ok(-f "$dest$_", $_);
    is(((stat "$dest$_")[2] // 0) & 07777, $mode{$_}, 'its mode');
}

chomp(my @files = `find '$dest' -type f`);
is(scalar(@files), 3, 'and no other file');

my $conf = slurp("$dest/usr/share/nginx/modules-available/50-mod-http-doi.conf");
is($conf, "load_module modules/ngx_http_doi_module.so;\n", 'what loads it');

is(slurp("$dest/usr/lib/nginx/modules/ngx_http_doi_module.so"),
   slurp("$build/ngx_http_doi_module.so"), 'the module itself');

# The tool

sub ledger {
    my ($args) = @_;

    my ($out, $err) = map { $t->dir . "/$_" } qw(out err);
    system("'$dest/usr/bin/doi-ledger' $args >'$out' 2>'$err'");

    return ($? >> 8, slurp($out), slurp($err));
}

my ($status, $out, $err) = ledger('--help');
is($status, 0, '--help');
like($out, qr/^usage: doi-ledger DIRECTORY ID:KEYFILE/, 'says how');
like($out, qr/Exit status: 0 intact, 1 .*, 2 /, 'and what its status is');
is($err, '', 'to stdout');

my $key = $t->key;

for my $case ([ '', 'usage:' ], [ $t->dir, 'usage:' ],
              [ "--sael 1:00 /x 1:$key", '"--sael" is no option' ],
              [ "/x 1:$key --seal", '"--seal" is no option' ],
              [ "/x 1:$key --seal 1:zz", 'is not NUMBER:MAC' ],
              [ "/x $key", 'is not ID:KEYFILE' ],
              [ "/x 256:$key", 'is not ID:KEYFILE' ],
              [ '/x 1:/nowhere', '/nowhere: No such file' ],
              [ "/nowhere 1:$key", '/nowhere: No such file' ])
{
    ($status, $out, $err) = ledger($case->[0]);
    is($status, 2, "'$case->[0]': 2");
    like($err, qr/\Q$case->[1]\E/, 'and why');
    is($out, '', 'nothing on stdout');
}

is(make('uninstall', "DESTDIR='$dest'"), 0, 'make uninstall');
chomp(@files = `find '$dest' -type f`);
is_deeply(\@files, [], 'nothing is left');

done_testing();
