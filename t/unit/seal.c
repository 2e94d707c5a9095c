/* Encryption at rest and typed codes: src/core/seal.c */

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "../../src/core/seal.h"
#include "tap.h"


static const uint8_t  nonce[DOI_SEAL_NONCE] = "nonce 12 byt";
static const uint8_t  secret_a[32] = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
};
static const uint8_t  secret_b[32] = "another secret of 32 bytes or so";

static uint8_t  sealed[65536], plain[65536];


static doi_str_t
str(const void *data, size_t len)
{
    doi_str_t  s;

    s.data = data;
    s.len = len;

    return s;
}


static doi_str_t
text(const char *s)
{
    return str(s, strlen(s));
}


static doi_keyring_t *
ring_of(int id, const uint8_t *secret, int id2, const uint8_t *secret2)
{
    doi_keyring_t  *ring;

    ring = doi_keyring_new();

    if (ring == NULL
        || (secret && doi_keyring_add(ring, (uint8_t) id, secret, 32))
        || (secret2 && doi_keyring_add(ring, (uint8_t) id2, secret2, 32)))
    {
        abort();
    }

    return ring;
}


/* Returns the length, or -1. */

static int
seal(doi_keyring_t *ring, const char *aad, doi_str_t in)
{
    doi_buf_t  out = { sealed, 0, sizeof(sealed) };

    return doi_seal(ring, nonce, text(aad), in, &out) == DOI_OK
           ? (int) out.len : -1;
}


/* From memory of exactly that size. */

static int
unseal(doi_keyring_t *ring, const char *aad, size_t len, size_t *got)
{
    int        rc;
    uint8_t   *copy;
    doi_buf_t  out = { plain, 0, sizeof(plain) };

    copy = malloc(len ? len : 1);
    if (copy == NULL) {
        abort();
    }

    memcpy(copy, sealed, len);
    rc = doi_unseal(ring, text(aad), str(copy, len), &out);
    *got = out.len;
    free(copy);

    return rc;
}


/* HKDF of RFC 5869 for 32 bytes and no salt, written down again. */

static void
hkdf(const uint8_t *secret, const char *info, uint8_t key[32])
{
    size_t    n;
    uint8_t   zero[32] = { 0 }, prk[32], in[64];

    n = strlen(info);
    memcpy(in, info, n);
    in[n] = 1;

    HMAC(EVP_sha256(), zero, 32, secret, 32, prk, NULL);
    HMAC(EVP_sha256(), prk, 32, in, n + 1, key, NULL);
}


/* The format, by the book. */

static void
test_format(void)
{
    int              n, m;
    uint8_t          key[32], want[64], tag[16];
    doi_keyring_t   *ring;
    EVP_CIPHER_CTX  *ctx;

    static const uint8_t  head[2] = { 1, 7 };

    ring = ring_of(7, secret_a, 8, secret_b);

    is_int(seal(ring, "id 1", text("the request")), 11 + DOI_SEAL_OVERHEAD,
           "sealed");

    ok(sealed[0] == 1, "version");
    ok(sealed[1] == 7, "the first key's id");
    ok(memcmp(sealed + 2, nonce, DOI_SEAL_NONCE) == 0, "nonce");

    hkdf(secret_a, "doi/v1/seal", key);
    ctx = EVP_CIPHER_CTX_new();
    EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce);
    EVP_EncryptUpdate(ctx, NULL, &n, head, 2);
    EVP_EncryptUpdate(ctx, NULL, &n, (const uint8_t *) "id 1", 4);
    EVP_EncryptUpdate(ctx, want, &n, (const uint8_t *) "the request", 11);
    EVP_EncryptFinal_ex(ctx, want + n, &m);
    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, tag);
    EVP_CIPHER_CTX_free(ctx);

    ok(memcmp(sealed + 14, want, 11) == 0, "AES-256-GCM by the derived key");
    ok(memcmp(sealed + 14 + 11, tag, 16) == 0, "tag");

    doi_keyring_free(ring);
}


static void
test_round(void)
{
    int             len, bad;
    size_t          i, got;
    uint8_t         big[65000];
    doi_keyring_t  *ring, *both, *other, *same;

    ring = ring_of(7, secret_a, 0, NULL);
    both = ring_of(8, secret_b, 7, secret_a);
    other = ring_of(8, secret_a, 0, NULL);
    same = ring_of(7, secret_b, 0, NULL);

    len = seal(ring, "aad", text("plain text"));

    is_int(unseal(ring, "aad", (size_t) len, &got), DOI_OK, "unsealed");
    ok(got == 10 && memcmp(plain, "plain text", 10) == 0, "the plain text");

    is_int(unseal(both, "aad", (size_t) len, &got), DOI_OK,
           "by a ring whose first key is another");
    is_int(unseal(other, "aad", (size_t) len, &got), DOI_NOT_FOUND,
           "a ring without that id");
    is_int(unseal(same, "aad", (size_t) len, &got), DOI_ERROR,
           "a ring with another key of that id");

    sealed[1] = 8;
    is_int(unseal(other, "aad", (size_t) len, &got), DOI_ERROR,
           "the id is authenticated");
    sealed[1] = 7;

    is_int(unseal(ring, "aad2", (size_t) len, &got), DOI_ERROR, "other aad");
    is_int(unseal(ring, "", (size_t) len, &got), DOI_ERROR, "no aad");

    bad = 0;

    for (i = 0; i < (size_t) len * 8; i++) {
        sealed[i / 8] ^= (uint8_t) (1 << i % 8);
        memset(plain, 0, sizeof(plain));
        bad += unseal(ring, "aad", (size_t) len, &got) == DOI_OK || got != 0
               || memcmp(plain, "plain", 5) == 0;
        sealed[i / 8] ^= (uint8_t) (1 << i % 8);
    }

    is_int(bad, 0, "no bit of it may change, and no plain text is left");

    for (i = 0, bad = 0; i < (size_t) len; i++) {
        bad += unseal(ring, "aad", i, &got) == DOI_OK || got != 0;
    }

    is_int(bad, 0, "nor may its end be missing");

    sealed[len] = 0;
    is_int(unseal(ring, "aad", (size_t) len + 1, &got), DOI_ERROR,
           "nor be followed by something");
    is_int(unseal(ring, "aad", (size_t) len, &got), DOI_OK, "as it was");

    len = seal(ring, "", str(NULL, 0));
    is_int(len, DOI_SEAL_OVERHEAD, "nothing, sealed");
    is_int(unseal(ring, "", (size_t) len, &got), DOI_OK, "and unsealed");
    is_int(got, 0, "is nothing");
    sealed[len - 1] ^= 1;
    is_int(unseal(ring, "", (size_t) len, &got), DOI_ERROR,
           "but not if its tag is another's");

    memset(big, 'x', sizeof(big));
    len = seal(ring, "a", str(big, sizeof(big)));
    is_int(unseal(ring, "a", (size_t) len, &got), DOI_OK, "65,000 bytes");
    ok(got == sizeof(big) && memcmp(plain, big, got) == 0, "are the same");

    doi_keyring_free(ring);
    doi_keyring_free(both);
    doi_keyring_free(other);
    doi_keyring_free(same);
}


static void
test_room(void)
{
    uint8_t         bytes[64], opened[64];
    doi_buf_t       out = { bytes, 3, 3 + 5 + DOI_SEAL_OVERHEAD - 1 };
    doi_keyring_t  *ring, *empty;

    ring = ring_of(1, secret_a, 0, NULL);
    empty = ring_of(0, NULL, 0, NULL);

    memset(bytes, '.', sizeof(bytes));

    is_int(doi_seal(ring, nonce, text(""), text("hello"), &out), DOI_ERROR,
           "no room to seal");
    ok(out.len == 3 && bytes[3] == '.', "nothing is written");

    out.size++;
    is_int(doi_seal(ring, nonce, text(""), text("hello"), &out), DOI_OK,
           "just enough room");
    is_int(out.len, out.size, "is used");
    ok(memcmp(bytes, "...\1\1", 5) == 0 && bytes[out.len] == '.',
       "behind what was there, and no further");

    out.data = opened;
    out.len = 1;
    out.size = 5;
    memset(opened, '.', sizeof(opened));

    is_int(doi_unseal(ring, text(""), str(bytes + 3, 5 + DOI_SEAL_OVERHEAD),
                      &out),
           DOI_ERROR, "no room to unseal");
    ok(out.len == 1 && opened[1] == '.', "nothing is written");

    out.size = 6;
    is_int(doi_unseal(ring, text(""), str(bytes + 3, 5 + DOI_SEAL_OVERHEAD),
                      &out),
           DOI_OK, "just enough room");
    ok(out.len == 6 && memcmp(opened, ".hello.", 7) == 0, "the plain text");

    out.len = 0;
    is_int(doi_seal(empty, nonce, text(""), text("a"), &out), DOI_ERROR,
           "an empty ring seals nothing");
    is_int(doi_unseal(empty, text(""), str(bytes + 3, 5 + DOI_SEAL_OVERHEAD),
                      &out),
           DOI_NOT_FOUND, "and finds no key");
    is_int(doi_unseal(ring, text(""), str(NULL, 0), &out), DOI_ERROR,
           "nothing is not sealed");

    out.data = bytes;
    out.size = DOI_SEAL_OVERHEAD;
    is_int(doi_seal(ring, nonce, text(""), str(NULL, 0), &out), DOI_OK,
           "just enough room for nothing");
    is_int(out.len, DOI_SEAL_OVERHEAD, "is used");

    doi_keyring_free(ring);
    doi_keyring_free(empty);
}


static void
test_code(void)
{
    int             i, differ, low;
    uint8_t         key[32], mac[32], id[DOI_ID_SIZE] = "\x65\x53\xf1\x00" "id";
    uint32_t        code, again, other;
    uint64_t        n;
    doi_keyring_t  *ring, *both, *empty;

    ring = ring_of(7, secret_a, 0, NULL);
    both = ring_of(8, secret_b, 7, secret_a);
    empty = ring_of(0, NULL, 0, NULL);

    is_int(doi_code(ring, id, &code), DOI_OK, "a code");

    hkdf(secret_a, "doi/v1/code", key);
    HMAC(EVP_sha256(), key, 32, id, sizeof(id), mac, NULL);

    for (n = 0, i = 0; i < 8; i++) {
        n = n << 8 | mac[i];
    }

    is_int(code, n % 1000000, "is that of the formula");

    is_int(doi_code(ring, id, &again), DOI_OK, "once more");
    is_int(again, code, "is the same");

    is_int(doi_code(both, id, &other), DOI_OK, "by another first key");
    ok(other != code, "is another");

    for (differ = 0, low = 0, i = 0; i < 1000; i++) {
        id[11] = (uint8_t) i;
        id[10] = (uint8_t) (i >> 8);

        if (doi_code(ring, id, &other) != DOI_OK || other > 999999) {
            break;
        }

        differ += other != code;
        low += other < 500000;
        code = other;
    }

    is_int(i, 1000, "a thousand ids have codes of six digits");
    ok(differ > 990, "that differ");
    ok(low > 400 && low < 600, "and are spread");

    is_int(doi_code(empty, id, &code), DOI_ERROR, "an empty ring has none");

    doi_keyring_free(ring);
    doi_keyring_free(both);
    doi_keyring_free(empty);
}


int
main(void)
{
    test_format();
    test_round();
    test_room();
    test_code();

    return done_testing();
}
