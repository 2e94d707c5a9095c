# doi_store: paths and sizes that cannot be; who makes the directory, and which
# processes open what is in it.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);
my $dir = $t->dir;

sub conf {
    my ($store) = @_;

    return <<"EOC";
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    $store
    doi_key 1 file:%%KEY%%;
    proxy_cache_path %%DIR%%/cache keys_zone=c:1m;
    server {
        listen 127.0.0.1:%%PORT:http%%;
        location /book/ {
            doi_link \$arg_t scope=s;
            return 200 "open\\n";
        }
    }
}
EOC
}

sub bad {
    my ($name, $store, @like) = @_;

    my ($status, $out) = $t->test_config(conf($store));

    isnt($status, 0, "$name: refused");
    like($out, qr/\[emerg\].*doi_store/, "$name: names the directive");
    like($out, $_, "$name: says $_") for @like;
    like($out, qr/test\.conf/, "$name: names the file");
}

# Parameters

bad("size=$_", "doi_store $dir/new size=$_;", qr/"size=\Q$_\E".*size=1m/)
    for '1k', 'abc', '0', '-1g', '1048575', '1x', '';
bad('unknown parameter', "doi_store $dir/new sice=1g;",
    qr/unknown parameter "sice=1g".*"size="/);
bad('no path', 'doi_store;', qr/number of arguments/);
bad('empty path', 'doi_store "";', qr/needs a path/);
bad('twice', "doi_store $dir/new; doi_store $dir/new2;", qr/is duplicate/);

ok(!-e "$dir/new", 'nothing was made on the way');

# Paths

$t->write_file('file', 'x');

bad('no parent', "doi_store $dir/none/store;",
    qr{cannot create the directory "$dir/none/store".*parent}, qr/No such file/);
bad('a file', "doi_store $dir/file;", qr{needs a directory, but "$dir/file"});
bad('below a file', "doi_store $dir/file/store;", qr/Not a directory/,
    qr{"$dir/file/store"});

# A file system that cannot be written: mounted where only nginx sees it.

SKIP: {
    skip 'not root', 8 if $> != 0;
    skip 'no private mounts here', 8
        if system("unshare -m mount -t tmpfs none $dir/tmp 2>/dev/null") != 0;

    mkdir "$dir/ro";
    my $nginx = $t->{nginx};
    local $t->{nginx} = $t->write_file('nginx-ro', <<"EOS", 0755);
#!/bin/sh
exec unshare -m sh -c '
    mount -t tmpfs none $dir/ro && mkdir $dir/ro/there &&
    mount -o remount,ro $dir/ro && exec "\$@"' sh $nginx "\$@"
EOS

    bad('read-only, to be made', "doi_store $dir/ro/store;",
        qr/Read-only file system/);
    bad('read-only, made before', "doi_store $dir/ro/there;",
        qr/cannot write to "$dir\/ro\/there".*can be written/);
}

# nginx -t makes the directory and nothing in it.

my ($status, $out) = $t->test_config(conf('doi_store store/ size=1m;'));
is($status, 0, 'a relative path with a slash at its end') or diag($out);
is_deeply([ glob "$dir/store/*" ], [], 'nginx -t does not open the store');

sub mode_and_owner {
    my ($mode, $uid) = (stat "$dir/store")[2, 4];

    return sprintf('%04o %s', $mode & 07777, scalar getpwuid $uid);
}

my $user = $> == 0 ? 'www-data' : getpwuid $>;
is(mode_and_owner(), "0700 $user", 'mode and owner of the directory');

# Who opens it

$t->conf(conf('doi_store store/ size=1m;'))->start;

sub open_files {
    my ($pid) = @_;

    my %seen = map { m{^\Q$dir\E/store/(.*)} ? ($1 => 1) : () }
               grep { defined } map { readlink } glob "/proc/$pid/fd/*";

    return join ' ', sort keys %seen;
}

# data.mdb may be mapped only
sub has_data { slurp("/proc/$_[0]/maps") =~ m{\Q$dir\E/store/data\.mdb} }

my @workers;

ok(poll_until(20, sub {
       @workers = $t->workers;
       2 == grep { has_data($_) } @workers;
   }),
   'every worker has the store open');
is(mode_and_owner(), "0700 $user", 'mode and owner once it runs');

for my $file (qw(data.mdb lock.mdb)) {
    is(sprintf('%04o', (stat "$dir/store/$file")[2] & 07777), '0600',
       "mode of $file");
}

my $master = $t->pid;

unlike(open_files($master), qr/mdb/, 'the master has none of it open');
ok(!has_data($master), 'nor mapped');

for my $pid (Doi::_children($master)) {
    next if grep { $_ == $pid } @workers;
    my ($name) = slurp("/proc/$pid/cmdline") =~ /nginx: ([^\0]*)/;

    unlike(open_files($pid), qr/mdb/, "nor has the $name");
    ok(!has_data($pid), "nor mapped by the $name");
}

ok(scalar(grep { !has_data($_) } Doi::_children($master)),
   'a cache process was among them');

# nginx -t beside it

sub files { join ' ', map { $_, (stat)[1] } glob "$dir/store/*" }

my $token = $t->mint(scope => 's');

is($t->get("/book/?t=$token")->status, 200, 'serves');
ok(poll_until(20, sub {
       my @new = glob "$dir/store/*.new";
       !@new && -S "$dir/store/leader.sock" && -f "$dir/store/data.log";
   }),
   'a worker leads');

my $before = files();

($status, $out) = $t->test_config;
is($status, 0, 'nginx -t while it runs') or diag($out);
is(files(), $before, 'made and replaced nothing');
is($t->get("/book/?t=$token")->status, 200, 'and it serves on');

my @log = $t->grep_log(qr/doi/);
is_deeply(\@log, [], 'nothing to complain about');

done_testing();
