package Doi::Token;

# Tokens of docs/token.md, version 1: written from the document, without a look
# at src/core/token.c, so that each proves the other.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256);
use MIME::Base64 qw(encode_base64url decode_base64url);
use Exporter qw(import);

our @EXPORT_OK = qw(mint token_fields random_bytes derive);

my %purposes = (link => 1, confirm => 2, unsubscribe => 3);


sub random_bytes {
    my ($n) = @_;

    open(my $fh, '<:raw', '/dev/urandom') or die "/dev/urandom: $!";
    read($fh, my $bytes, $n) == $n or die "/dev/urandom: short read";

    return $bytes;
}


# HKDF-SHA256 (RFC 5869) with an empty salt; 32 bytes are one block.

sub derive {
    my ($secret, $purpose) = @_;

    my $prk = hmac_sha256($secret, "\0" x 32);

    return hmac_sha256("doi/v1/$purpose\x01", $prk);
}


# secret: bytes.  Options: key_id (1), purpose (link), scope (''), minted (now),
# expires or ttl (3600 from minted), random (8 bytes), id (in place of minted and
# random, as users see it), version, mac (override).

sub mint {
    my (%o) = @_;

    if (defined $o{id}) {
        @o{qw(minted random)} = unpack('N a8', decode_base64url($o{id}));
    }

    my $purpose = $o{purpose} // 'link';
    my $minted = $o{minted} // time();
    my $expires = $o{expires} // $minted + ($o{ttl} // 3600);
    my $scope = $o{scope} // '';
    my $number = $purposes{$purpose} // die "unknown purpose $purpose";

    my $head = pack('C C N N a8', ($o{version} // 1) << 4 | $number,
                    $o{key_id} // 1, $expires, $minted,
                    $o{random} // random_bytes(8));

    my $mac = $o{mac} // substr(hmac_sha256(pack('n', length $scope) . $scope
                                            . $head,
                                            derive($o{secret}, $purpose)),
                                0, 16);

    return encode_base64url($head . $mac);
}


sub token_fields {
    my ($token) = @_;

    my $bytes = decode_base64url($token);
    my ($first, $key_id, $expires, $id, $mac) = unpack('C C N a12 a16', $bytes);

    return { version => $first >> 4, purpose => $first & 15,
             key_id => $key_id, expires => $expires,
             minted => unpack('N', $id), id => encode_base64url($id),
             mac => $mac };
}

1;
