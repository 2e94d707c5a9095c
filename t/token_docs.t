#!/usr/bin/perl

# The programs that docs/token.md prints mint the tokens of
# t/vectors/token.json.

use strict;
use warnings;

use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

use lib 't/lib';
use Doi::Docs qw(programs interpreters run which slurp spew);

my $dir = tempdir(CLEANUP => 1);
my $doc = slurp('docs/token.md');
my @vectors = @{ decode_json(slurp('t/vectors/token.json'))->{vectors} };

# those that can be minted

my @good = grep { defined $_->{minted} } @vectors;
cmp_ok(scalar @good, '>=', 20, 'enough vectors');

my ($usual) = grep { $_->{name} eq 'link' } @good;
ok($usual, 'the plainest one');

# the page and the vectors tell of the same token and id

like($doc, qr{/\Q$usual->{token}\E`}, 'the token of the first paragraph');
like($doc, qr/^\Q$usual->{token}\E\n {8}\^{16}\n/m, 'the id that is marked');

test(@$_) for interpreters(programs($doc, $dir), $dir);

done_testing();


sub test {
    my ($name, undef, @cmd) = @_;

    SKIP: {
        skip "$name: no such program here", 1 if !@cmd;

        for my $v (@good) {
            my $key = "$dir/key";

            spew($key, "$v->{secret}\n");

            my ($status, $out) = run($v, @cmd, $key, args($v));

            is($out, "$v->{token}\n", "$name: $v->{name}");
            is($status, 0, "$name: $v->{name}: exit status") if $status;
        }

        # no secret, no token; nor one that would not fit the format

        my @refused = (
            ['a short secret', { secret => 'ab' x 31 }],
            ['a secret that is not hexadecimal', { secret => 'xy' x 32 }],
            ['an odd number of digits', { secret => 'a' x 65 }],
            ['an empty key file', { secret => '' }],
            ['an unknown purpose', { purpose => 'bind' }],
            ['key id 256', { key_id => 256 }],
            ['an expiry beyond 2106', { expires => 2 ** 32 }],
            ['a scope of 65,536 bytes', { scope => 's' x 65536 }],
        );

        for my $case (@refused) {
            my ($what, $changes) = @$case;
            my $v = { %$usual, %$changes };

            spew("$dir/key", "$v->{secret}\n");

            my ($status, $out) = run($v, @cmd, "$dir/key", args($v));

            is($out, '', "$name: $what: no token");
            isnt($status, 0, "$name: $what: exit status");
        }

        # the key file with CRLF, without a line end, and in capitals

        for my $text ("$usual->{secret}\r\n", $usual->{secret},
                      uc("$usual->{secret}\n"))
        {
            spew("$dir/key", $text);

            my (undef, $out) = run($usual, @cmd, "$dir/key", args($usual));

            is($out, "$usual->{token}\n", "$name: "
               . ($text =~ /\r/ ? 'CRLF' : $text =~ /\n/ ? 'capitals'
                  : 'no line end'));
        }

        # with its own clock and random bytes

        spew("$dir/key", "$usual->{secret}\n");

        my $from = time();
        my (undef, $one) = run(undef, @cmd, "$dir/key", args($usual));
        my (undef, $two) = run(undef, @cmd, "$dir/key", args($usual));

        like($one, qr/^[\w-]{45}[AQgw]\n\z/, "$name: a token of today");
        isnt($one, $two, "$name: and another one");

        my ($expires, $minted, $random) = unpack('x2 NN a8', decode($one));

        cmp_ok($minted, '>=', $from, "$name: minted now");
        cmp_ok($minted, '<=', time(), "$name: not in the future");
        is($expires - $minted, $usual->{expires} - $usual->{minted},
           "$name: ttl");
        isnt($random, "\0" x 8, "$name: random bytes");

        # a key on a command line is open to every user: sh -x would show it

        if ($name eq 'sh') {
            no_key_in_arguments($usual, @cmd);
        }
    }
}


# Puts programs that record their arguments before the real ones.

sub no_key_in_arguments {
    my ($v, @cmd) = @_;

    mkdir "$dir/bin";

    for my $name (qw(openssl od tr cut date printf cat)) {
        my $real = which($name) or next;
        spew("$dir/bin/$name", "#!/bin/sh\n"
             . "echo $name \"\$@\" >> $dir/args\nexec $real \"\$@\"\n");
        chmod 0755, "$dir/bin/$name";
    }

    local $ENV{PATH} = "$dir/bin:$ENV{PATH}";

    my (undef, $out) = run($v, @cmd, "$dir/key", args($v));

    is($out, "$v->{token}\n", 'sh: with programs that are watched');

    my $seen = slurp("$dir/args");

    like($seen, qr/^openssl dgst/m, 'sh: arguments are recorded');
    unlike($seen, qr/[0-9a-f]{16}/i, 'sh: no key is among them');
}


sub args {
    my ($v) = @_;

    my $scope = $v->{scope};

    utf8::encode($scope);

    return ($v->{key_id}, $v->{purpose}, $scope,
            $v->{expires} - $v->{minted});
}


sub decode {
    my ($token) = @_;

    require MIME::Base64;
    $token =~ tr/_-/\/+/;

    return MIME::Base64::decode_base64($token . '==');
}
