# Key files that cannot be used: nginx -t says which directive and what to do,
# and shows nothing of the secret.

use lib 't/lib';
use Doi;

my $t = Doi->new(workers => 2);
my $hex = unpack 'H*', Doi::Token::random_bytes(32);

sub conf {
    my ($keys) = @_;

    return <<"EOC";
%%GLOBALS%%
events {}
http {
    %%HTTP%%
    doi_store %%DIR%%/store;
    $keys
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

# Makes a key file; the path.

my $files = 0;

sub file {
    my ($text, $mode) = @_;

    return $t->write_file('keys/' . $files++, $text, $mode // 0600);
}

sub good {
    my ($name, @keys) = @_;

    my ($status, $out) = $t->test_config(conf(join "\n", @keys));

    is($status, 0, "good: $name") or diag($out);
}

# All of @like are in the message, which is one of level emerg.

sub bad {
    my ($name, $keys, @like) = @_;

    my ($status, $out) = $t->test_config(conf($keys));
    my ($line) = $out =~ /^(.*\[emerg\].*doi_key.*)$/m;

    isnt($status, 0, "$name: refused");
    ok(defined $line, "$name: the message names the directive") or diag($out);
    like($line // $out, $_, "$name: says $_") for @like;
    unlike($out, qr/[0-9a-f]{16}/i, "$name: nothing of the secret");
    like($out, qr/test\.conf:\d+/, "$name: file and line");
}

my $mend = qr/openssl rand -hex 32/;

good('64 digits', 'doi_key 1 file:' . file("$hex\n") . ';');
good('no line end', 'doi_key 1 file:' . file($hex) . ';');
good('CRLF, capitals, blanks', 'doi_key 1 file:'
     . file(' ' . uc($hex) . " \r\n") . ';');
good('2,048 digits', 'doi_key 255 file:' . file($hex x 32) . ';');
good('readable by the group', 'doi_key 0 file:' . file($hex, 0640) . ';');
good('two keys', map { "doi_key $_ file:" . file($hex) . ';' } 1, 2);
good('a path from the configuration\'s directory',
     (file($hex) =~ m{(keys/\d+)$})[0] =~ s/(.*)/doi_key 1 file:$1;/r);

bad('missing', "doi_key 1 file:$t->{dir}/none;", $mend, qr{/none});
bad('a directory', "doi_key 1 file:$t->{dir}/keys;", $mend);

for (
    [ 'empty',             '',                        qr/empty/ ],
    [ 'a line end only',   "\n",                      qr/empty/ ],
    [ '62 digits',         substr($hex, 0, 62),       qr/fewer than 64/ ],
    [ '65 digits',         $hex . 'a',                qr/odd number/ ],
    [ 'not hexadecimal',   substr($hex, 0, 63) . 'g', qr/hexadecimal digits/ ],
    [ '0x',                "0x$hex",                  qr/hexadecimal digits/ ],
    [ 'a zero byte',       "$hex\0$hex",              qr/hexadecimal digits/ ],
    [ 'two lines',         "$hex\n$hex\n",            qr/more than one line/ ],
    [ '2,050 digits',      $hex x 32 . 'aa',          qr/[Mm]ore than|larger/ ],
    [ 'a megabyte',        'a' x 1048576,             qr/larger/ ],
) {
    my ($name, $text, $like) = @$_;
    my $file = file($text);

    my ($status, $out) = $t->test_config(conf("doi_key 1 file:$file;"));

    isnt($status, 0, "$name: refused");
    like($out, $like, "$name: says why");
    like($out, qr/\[emerg\].*\Q$file\E.*doi_key|\[emerg\].*doi_key.*\Q$file\E/,
         "$name: names the directive and the file");
    like($out, $mend, "$name: names the mend")
        unless $name eq 'two lines' || $name eq '65 digits';
    unlike($out, qr/[0-9a-f]{16}/i, "$name: nothing of the secret");
}

for my $mode (0604, 0602, 0601, 0620, 0666) {
    my $file = file($hex, $mode);

    bad(sprintf('mode %04o', $mode), "doi_key 1 file:$file;",
        qr/chmod 600 \Q$file\E/, qr/new key/);
}

my $file = file("$hex\n");

bad('the same id twice', "doi_key 1 file:$file; doi_key 1 file:$file;",
    qr/doi_key 1"/, qr/only\s+once/);
bad("id $_", "doi_key $_ file:$file;", qr/"\Q$_\E"/, qr/from 0 to 255/)
    for qw(256 -1 x 1x 99999999999);
bad('without file:', "doi_key 1 $file;", qr/file:PATH/);
bad('nothing after file:', 'doi_key 1 file:;', qr/file:PATH/);
bad('too few arguments', 'doi_key 1;', qr/number of arguments/);

# The secret itself in the configuration: it is not to be repeated.

my ($status, $out) = $t->test_config(conf("doi_key 1 $hex;"));
isnt($status, 0, 'the secret in place of the file: refused');
like($out, qr/doi_key.*file:PATH/, 'and the mend');
unlike($out, qr/\Q$hex\E/, 'the secret is not repeated');

# A reload with a broken key: the old configuration serves on.

$t->conf(conf('doi_key 1 file:%%KEY%%;'))->start;

my $token = $t->mint(scope => 's');
is($t->get("/book/?t=$token")->status, 200, 'serves');

my @workers = $t->workers;

chmod 0644, $t->key;
$t->expect_log(qr/doi_key.*chmod 600/);
kill 'HUP', $t->pid;

ok(poll_until(30, sub { $t->grep_log(qr/\[emerg\].*doi_key/) }),
   'reload: the broken key is in the error log');
is_deeply([ $t->workers ], \@workers, 'reload: the old workers stay');
is($t->get("/book/?t=$token")->status, 200, 'reload: and serve');

chmod 0600, $t->key;
ok(scalar $t->reload, 'reload with the key mended');
is($t->get("/book/?t=$token")->status, 200, 'serves');

done_testing();
