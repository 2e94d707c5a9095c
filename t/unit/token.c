/*
 * Unit tests of src/core/token.c: what is accepted, and above all what is
 * refused.
 */

#include <stdlib.h>

#include <openssl/crypto.h>

#include "../../src/core/token.h"
#include "tap.h"


#define MINTED    1700000000
#define EXPIRES   1700003600


/*
 * Allocations of libcrypto: number fail_at fails, and so does every later one
 * if fail_all is set.  0 is never.
 */

static long  allocs, fail_at;
static int   fail_all;


static uint8_t  secret_a[32], secret_b[32];

static const uint8_t  rnd[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

static const char  alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";


static int
fails(void)
{
    allocs++;

    return fail_at != 0
           && (allocs == fail_at || (fail_all && allocs > fail_at));
}


static void *
test_malloc(size_t size, const char *file, int line)
{
    (void) file;
    (void) line;

    return fails() ? NULL : malloc(size);
}


static void *
test_realloc(void *p, size_t size, const char *file, int line)
{
    (void) file;
    (void) line;

    return fails() ? NULL : realloc(p, size);
}


static void
test_free(void *p, const char *file, int line)
{
    (void) file;
    (void) line;

    free(p);
}


static doi_str_t
str(const char *text)
{
    doi_str_t  s;

    s.data = (const uint8_t *) text;
    s.len = strlen(text);

    return s;
}


static doi_str_t
bytes(const void *data, size_t len)
{
    doi_str_t  s;

    s.data = data;
    s.len = len;

    return s;
}


static doi_keyring_t *
ring_of(uint8_t id, const uint8_t secret[32])
{
    doi_keyring_t  *ring;

    ring = doi_keyring_new();

    if (ring == NULL || doi_keyring_add(ring, id, secret, 32) != DOI_OK) {
        printf("Bail out! no key ring\n");
        exit(1);
    }

    return ring;
}


static int
zeroed(const doi_token_t *token)
{
    static const uint8_t  none[DOI_ID_SIZE];

    return token->purpose == 0 && token->key_id == 0 && token->expires == 0
           && memcmp(token->id, none, DOI_ID_SIZE) == 0;
}


/*
 * Verifies a copy of exactly this size, so that a sanitizer sees a read past
 * the end, with a dirty *token: refused ones have to come back zeroed.
 */

static doi_token_rc_t
verify(doi_keyring_t *ring, doi_purpose_t purpose, doi_str_t scope,
    doi_time_t now, const void *chars, size_t len)
{
    uint8_t         *copy;
    doi_token_t      token;
    doi_token_rc_t   rc;

    copy = malloc(len ? len : 1);

    if (copy == NULL) {
        printf("Bail out! no memory\n");
        exit(1);
    }

    memcpy(copy, chars, len);
    memset(&token, 0xff, sizeof(token));

    rc = doi_token_verify(ring, purpose, scope, now, bytes(copy, len), &token);

    if (rc != DOI_TOKEN_OK && rc != DOI_TOKEN_EXPIRED && !zeroed(&token)) {
        ok(0, "a refused token is zeroed");
    }

    free(copy);

    return rc;
}


static void
test_round_trip(void)
{
    int             i, good;
    uint8_t         chars[DOI_TOKEN_CHARS + 1], id[DOI_ID_CHARS];
    uint8_t         back[DOI_ID_SIZE];
    uint8_t         raw[DOI_TOKEN_SIZE];
    doi_str_t       scope = doi_str("calendar");
    doi_token_t     minted, token;
    doi_keyring_t  *ring;

    ring = ring_of(7, secret_a);

    for (i = DOI_PURPOSE_LINK; i <= DOI_PURPOSE_UNSUBSCRIBE; i++) {
        memset(chars, '#', sizeof(chars));

        is_int(doi_token_mint(ring, (doi_purpose_t) i, scope, MINTED, EXPIRES,
                              rnd, chars, &minted),
               DOI_OK, "purpose %d: minted", i);
        ok(chars[DOI_TOKEN_CHARS] == '#', "purpose %d: 46 characters", i);

        is_int(doi_token_verify(ring, (doi_purpose_t) i, scope, EXPIRES - 1,
                                bytes(chars, DOI_TOKEN_CHARS), &token),
               DOI_TOKEN_OK, "purpose %d: verified", i);

        ok((int) token.purpose == i && token.key_id == 7
           && token.expires == EXPIRES
           && memcmp(token.id, "\x65\x53\xf1\x00\1\2\3\4\5\6\7\10", 12) == 0,
           "purpose %d: fields", i);

        ok(minted.purpose == token.purpose && minted.key_id == token.key_id
           && minted.expires == token.expires
           && memcmp(minted.id, token.id, DOI_ID_SIZE) == 0,
           "purpose %d: mint reports the same fields", i);

        doi_id_encode(token.id, id);
        ok(memcmp(id, chars + 8, DOI_ID_CHARS) == 0,
           "purpose %d: the id is characters 8 to 23", i);
        ok(doi_id_decode(bytes(id, DOI_ID_CHARS), back) == DOI_OK
           && memcmp(back, token.id, DOI_ID_SIZE) == 0,
           "purpose %d: the id decodes", i);
    }

    is_int(doi_base64url_decode(bytes(chars, DOI_TOKEN_CHARS), raw,
                                sizeof(raw)),
           DOI_TOKEN_SIZE, "a token is 34 bytes");
    ok(memcmp(raw, "\x13\x07\x65\x53\xff\x10\x65\x53\xf1\x00"
                   "\1\2\3\4\5\6\7\10", 18) == 0, "bytes 0 to 17");

    is_int(doi_token_mint(ring, DOI_PURPOSE_LINK, scope, MINTED, EXPIRES, rnd,
                          chars, NULL),
           DOI_OK, "mint without fields");

    /* the context of a key is used again and again */

    good = 0;

    for (i = 0; i < 1000; i++) {
        good += verify(ring, DOI_PURPOSE_LINK, scope, MINTED, chars,
                       DOI_TOKEN_CHARS) == DOI_TOKEN_OK;
    }

    is_int(good, 1000, "1,000 times the same");

    doi_keyring_free(ring);
}


static void
test_every_bit(void)
{
    int              bit, bad;
    uint8_t          chars[DOI_TOKEN_CHARS], raw[DOI_TOKEN_SIZE];
    doi_str_t        scope = doi_str("s");
    doi_keyring_t   *ring;
    doi_token_rc_t   rc, want;

    ring = ring_of(1, secret_a);
    bad = 0;

    (void) doi_token_mint(ring, DOI_PURPOSE_LINK, scope, MINTED, EXPIRES, rnd,
                          chars, NULL);
    (void) doi_base64url_decode(bytes(chars, sizeof(chars)), raw, sizeof(raw));

    for (bit = 0; bit < DOI_TOKEN_SIZE * 8; bit++) {
        raw[bit / 8] ^= (uint8_t) (0x80 >> bit % 8);
        (void) doi_base64url_encode(raw, sizeof(raw), chars);

        want = (bit < 4) ? DOI_TOKEN_MALFORMED
               : (bit < 8) ? DOI_TOKEN_PURPOSE
               : (bit < 16) ? DOI_TOKEN_UNKNOWN_KEY
               : DOI_TOKEN_FORGED;

        rc = verify(ring, DOI_PURPOSE_LINK, scope, MINTED, chars,
                    sizeof(chars));

        if (rc != want) {
            bad++;
            printf("# bit %d: got %d, expected %d\n", bit, (int) rc,
                   (int) want);
        }

        raw[bit / 8] ^= (uint8_t) (0x80 >> bit % 8);
    }

    is_int(bad, 0, "each of the 272 bits is guarded");

    (void) doi_base64url_encode(raw, sizeof(raw), chars);
    is_int(verify(ring, DOI_PURPOSE_LINK, scope, MINTED, chars, sizeof(chars)),
           DOI_TOKEN_OK, "and as it was it is accepted");

    doi_keyring_free(ring);
}


static void
test_form(void)
{
    int             i, bad;
    char            last, line[64];
    size_t          n;
    uint8_t         chars[DOI_TOKEN_CHARS], text[10000];
    doi_str_t       scope = doi_str("s");
    const char     *p;
    doi_keyring_t  *ring;

    ring = ring_of(1, secret_a);

    (void) doi_token_mint(ring, DOI_PURPOSE_LINK, scope, MINTED, EXPIRES, rnd,
                          chars, NULL);

    /* the token repeated, so that each prefix looks genuine */

    for (n = 0; n < sizeof(text); n++) {
        text[n] = chars[n % DOI_TOKEN_CHARS];
    }

    bad = 0;

    for (n = 0; n <= 100; n++) {
        bad += verify(ring, DOI_PURPOSE_LINK, scope, MINTED, text, n)
               != (n == DOI_TOKEN_CHARS ? DOI_TOKEN_OK : DOI_TOKEN_MALFORMED);
    }

    is_int(bad, 0, "of the lengths 0 to 100 only 46 is accepted");
    is_int(verify(ring, DOI_PURPOSE_LINK, scope, MINTED, text, sizeof(text)),
           DOI_TOKEN_MALFORMED, "10,000 characters");
    is_int(doi_token_verify(ring, DOI_PURPOSE_LINK, scope, MINTED,
                            bytes(NULL, 0), &(doi_token_t) { 0 }),
           DOI_TOKEN_MALFORMED, "NULL and 0 characters");

    /* 276 bits in 46 characters: 4 of the last one are unused */

    p = strchr(alphabet, chars[DOI_TOKEN_CHARS - 1]);
    is_int((p - alphabet) & 0x0f, 0, "the unused bits of the last are zero");
    last = *p;
    bad = 0;

    for (i = 1; i < 16; i++) {
        text[DOI_TOKEN_CHARS - 1] = (uint8_t) p[i];
        bad += verify(ring, DOI_PURPOSE_LINK, scope, MINTED, text,
                      DOI_TOKEN_CHARS) != DOI_TOKEN_MALFORMED;
    }

    is_int(bad, 0, "each of the 15 other spellings of the token is refused");

    text[DOI_TOKEN_CHARS - 1] = (uint8_t) last;

    /* every byte that is not of the alphabet, at every place */

    bad = 0;

    for (n = 0; n < DOI_TOKEN_CHARS; n++) {
        for (i = 0; i < 256; i++) {
            if (i != 0 && strchr(alphabet, i)) {
                continue;
            }

            text[n] = (uint8_t) i;
            bad += verify(ring, DOI_PURPOSE_LINK, scope, MINTED, text,
                          DOI_TOKEN_CHARS) != DOI_TOKEN_MALFORMED;
        }

        text[n] = chars[n];
    }

    is_int(bad, 0, "192 other bytes in each of 46 places are refused");

    (void) snprintf(line, sizeof(line), "%.46s==", (char *) chars);
    is_int(verify(ring, DOI_PURPOSE_LINK, scope, MINTED, line, 48),
           DOI_TOKEN_MALFORMED, "padding after the token");
    (void) snprintf(line, sizeof(line), "%.46s\n", (char *) chars);
    is_int(verify(ring, DOI_PURPOSE_LINK, scope, MINTED, line, 47),
           DOI_TOKEN_MALFORMED, "a line end after the token");
    (void) snprintf(line, sizeof(line), "%%%02X%.45s", chars[0],
                    (char *) chars + 1);
    is_int(verify(ring, DOI_PURPOSE_LINK, scope, MINTED, line, 48),
           DOI_TOKEN_MALFORMED, "percent-encoding");
    (void) snprintf(line, sizeof(line), "%.43s%%2B", (char *) chars);
    is_int(verify(ring, DOI_PURPOSE_LINK, scope, MINTED, line, 46),
           DOI_TOKEN_MALFORMED, "percent-encoding within 46 characters");

    doi_keyring_free(ring);
}


static void
test_purpose(void)
{
    int              i, k, bad;
    uint8_t          chars[DOI_TOKEN_CHARS], raw[DOI_TOKEN_SIZE];
    doi_str_t        scope = doi_str("s");
    doi_token_t      token;
    doi_keyring_t   *ring;

    ring = ring_of(1, secret_a);
    bad = 0;

    for (i = 1; i <= 3; i++) {
        (void) doi_token_mint(ring, (doi_purpose_t) i, scope, MINTED, EXPIRES,
                              rnd, chars, NULL);

        for (k = 0; k <= 16; k++) {
            bad += verify(ring, (doi_purpose_t) k, scope, MINTED, chars,
                          sizeof(chars))
                   != (i == k ? DOI_TOKEN_OK : DOI_TOKEN_PURPOSE);
        }

        /* with the nibble of another purpose, there is still its key */

        for (k = 1; k <= 3; k++) {
            (void) doi_base64url_decode(bytes(chars, sizeof(chars)), raw,
                                        sizeof(raw));
            raw[0] = (uint8_t) (0x10 | k);
            (void) doi_base64url_encode(raw, sizeof(raw), chars);
            bad += verify(ring, (doi_purpose_t) k, scope, MINTED, chars,
                          sizeof(chars))
                   != (i == k ? DOI_TOKEN_OK : DOI_TOKEN_FORGED);
        }
    }

    is_int(bad, 0, "a token serves no other purpose");

    /* purposes and versions that do not exist */

    for (i = 0, bad = 0; i < 256; i++) {
        raw[0] = (uint8_t) i;
        (void) doi_base64url_encode(raw, sizeof(raw), chars);
        bad += verify(ring, DOI_PURPOSE_LINK, scope, MINTED, chars,
                      sizeof(chars))
               != ((i >> 4) != 1 ? DOI_TOKEN_MALFORMED
                   : (i & 15) != 1 ? DOI_TOKEN_PURPOSE : DOI_TOKEN_FORGED);
    }

    is_int(bad, 0, "all 256 first bytes");

    memset(&token, 0xff, sizeof(token));
    is_int(doi_token_mint(ring, (doi_purpose_t) 0, scope, MINTED, EXPIRES, rnd,
                          chars, &token),
           DOI_ERROR, "purpose 0 cannot be minted");
    ok(zeroed(&token), "and leaves no fields");
    is_int(doi_token_mint(ring, (doi_purpose_t) 4, scope, MINTED, EXPIRES, rnd,
                          chars, NULL),
           DOI_ERROR, "nor can purpose 4");

    doi_keyring_free(ring);
}


static void
test_scope(void)
{
    uint8_t         chars[DOI_TOKEN_CHARS], *big;
    doi_keyring_t  *ring;

    ring = ring_of(1, secret_a);

    (void) doi_token_mint(ring, DOI_PURPOSE_LINK, str("a"), MINTED, EXPIRES,
                          rnd, chars, NULL);

    is_int(verify(ring, DOI_PURPOSE_LINK, str("a"), MINTED, chars, 46),
           DOI_TOKEN_OK, "its scope");
    is_int(verify(ring, DOI_PURPOSE_LINK, str("b"), MINTED, chars, 46),
           DOI_TOKEN_FORGED, "another scope");
    is_int(verify(ring, DOI_PURPOSE_LINK, str("A"), MINTED, chars, 46),
           DOI_TOKEN_FORGED, "another case");
    is_int(verify(ring, DOI_PURPOSE_LINK, str(""), MINTED, chars, 46),
           DOI_TOKEN_FORGED, "no scope");
    is_int(verify(ring, DOI_PURPOSE_LINK, bytes("a", 2), MINTED, chars, 46),
           DOI_TOKEN_FORGED, "a zero byte more");

    (void) doi_token_mint(ring, DOI_PURPOSE_LINK, bytes(NULL, 0), MINTED,
                          EXPIRES, rnd, chars, NULL);
    is_int(verify(ring, DOI_PURPOSE_LINK, bytes(NULL, 0), MINTED, chars, 46),
           DOI_TOKEN_OK, "an empty scope, NULL");
    is_int(verify(ring, DOI_PURPOSE_LINK, str(""), MINTED, chars, 46),
           DOI_TOKEN_OK, "is the empty scope \"\"");
    is_int(verify(ring, DOI_PURPOSE_LINK, bytes("\0", 1), MINTED, chars, 46),
           DOI_TOKEN_FORGED, "but not a zero byte");

    /* a zero byte within a scope counts like any other */

    (void) doi_token_mint(ring, DOI_PURPOSE_LINK, bytes("a\0b", 3), MINTED,
                          EXPIRES, rnd, chars, NULL);
    is_int(verify(ring, DOI_PURPOSE_LINK, bytes("a\0b", 3), MINTED, chars, 46),
           DOI_TOKEN_OK, "a scope with a zero byte");
    is_int(verify(ring, DOI_PURPOSE_LINK, bytes("a\0c", 3), MINTED, chars, 46),
           DOI_TOKEN_FORGED, "differs after it");

    /* the boundary: a byte of the token must not pass for one of the scope */

    doi_keyring_free(ring);
    ring = ring_of(0x11, secret_a);

    (void) doi_token_mint(ring, DOI_PURPOSE_LINK, str("x"), 0x11111111,
                          0x11111111, (const uint8_t *) "\x11\x11\x11\x11"
                          "\x11\x11\x11\x11", chars, NULL);
    is_int(verify(ring, DOI_PURPOSE_LINK, str("x"), 0, chars, 46),
           DOI_TOKEN_OK, "a token of 18 bytes 0x11");
    is_int(verify(ring, DOI_PURPOSE_LINK, str("x\x11"), 0, chars, 46),
           DOI_TOKEN_FORGED, "is of no scope that ends with 0x11");

    /* the limits of the length field */

    big = calloc(1, 65536 + 1);

    if (big == NULL) {
        printf("Bail out! no memory\n");
        exit(1);
    }

    memset(big, 's', 65536);

    is_int(doi_token_mint(ring, DOI_PURPOSE_LINK, bytes(big, 65535), MINTED,
                          EXPIRES, rnd, chars, NULL),
           DOI_OK, "a scope of 65,535 bytes");
    is_int(verify(ring, DOI_PURPOSE_LINK, bytes(big, 65535), MINTED, chars, 46),
           DOI_TOKEN_OK, "is verified");
    is_int(verify(ring, DOI_PURPOSE_LINK, bytes(big, 65534), MINTED, chars, 46),
           DOI_TOKEN_FORGED, "but not with a byte less");
    is_int(verify(ring, DOI_PURPOSE_LINK, bytes(big, 65536), MINTED, chars, 46),
           DOI_TOKEN_FORGED, "nor with a byte more");
    is_int(doi_token_mint(ring, DOI_PURPOSE_LINK, bytes(big, 65536), MINTED,
                          EXPIRES, rnd, chars, NULL),
           DOI_ERROR, "a scope of 65,536 bytes cannot be minted");

    (void) doi_token_mint(ring, DOI_PURPOSE_LINK, str(""), MINTED, EXPIRES,
                          rnd, chars, NULL);
    is_int(verify(ring, DOI_PURPOSE_LINK, bytes(big, 65536), MINTED, chars, 46),
           DOI_TOKEN_FORGED, "and its length is not taken for 0");

    free(big);
    doi_keyring_free(ring);
}


static void
test_expiry(void)
{
    uint8_t         chars[DOI_TOKEN_CHARS], raw[DOI_TOKEN_SIZE];
    doi_str_t       scope = doi_str("s");
    doi_token_t     token;
    doi_keyring_t  *ring;

    ring = ring_of(1, secret_a);

    (void) doi_token_mint(ring, DOI_PURPOSE_LINK, scope, MINTED, EXPIRES, rnd,
                          chars, NULL);

    is_int(verify(ring, DOI_PURPOSE_LINK, scope, EXPIRES - 1, chars, 46),
           DOI_TOKEN_OK, "valid in its last second");
    is_int(verify(ring, DOI_PURPOSE_LINK, scope, EXPIRES + 1, chars, 46),
           DOI_TOKEN_EXPIRED, "not later");
    is_int(verify(ring, DOI_PURPOSE_LINK, scope, 0, chars, 46),
           DOI_TOKEN_OK, "the mint time is not checked");

    memset(&token, 0xff, sizeof(token));
    is_int(doi_token_verify(ring, DOI_PURPOSE_LINK, scope, EXPIRES,
                            bytes(chars, 46), &token),
           DOI_TOKEN_EXPIRED, "expired when now == expires");
    ok(token.purpose == DOI_PURPOSE_LINK && token.key_id == 1
       && token.expires == EXPIRES && memcmp(token.id + 4, rnd, 8) == 0,
       "with its fields");

    (void) doi_base64url_decode(bytes(chars, 46), raw, sizeof(raw));
    raw[33] ^= 1;
    (void) doi_base64url_encode(raw, sizeof(raw), chars);
    is_int(verify(ring, DOI_PURPOSE_LINK, scope, EXPIRES, chars, 46),
           DOI_TOKEN_FORGED, "forged and expired is forged");

    (void) doi_token_mint(ring, DOI_PURPOSE_LINK, scope, 0, 0, rnd, chars,
                          NULL);
    is_int(verify(ring, DOI_PURPOSE_LINK, scope, 0, chars, 46),
           DOI_TOKEN_EXPIRED, "expiry 0 is always past");

    (void) doi_token_mint(ring, DOI_PURPOSE_LINK, scope, UINT32_MAX,
                          UINT32_MAX, rnd, chars, NULL);
    is_int(verify(ring, DOI_PURPOSE_LINK, scope, UINT32_MAX - 1, chars, 46),
           DOI_TOKEN_OK, "the last second of the format");
    is_int(verify(ring, DOI_PURPOSE_LINK, scope, UINT32_MAX, chars, 46),
           DOI_TOKEN_EXPIRED, "and its end");

    doi_keyring_free(ring);
}


static void
test_ring(void)
{
    int             i;
    uint8_t         old[DOI_TOKEN_CHARS], new[DOI_TOKEN_CHARS], key[1025];
    doi_str_t       scope = doi_str("s");
    doi_token_t     token;
    doi_keyring_t  *a, *ab, *ba, *b, *ring;

    doi_keyring_free(NULL);
    ok(1, "nothing to free");

    ring = doi_keyring_new();
    is_int(doi_keyring_count(ring), 0, "an empty ring");
    is_int(doi_token_mint(ring, DOI_PURPOSE_LINK, scope, MINTED, EXPIRES, rnd,
                          new, NULL),
           DOI_ERROR, "does not mint");

    a = ring_of(1, secret_a);
    b = ring_of(2, secret_b);
    ab = ring_of(1, secret_a);
    ba = ring_of(2, secret_b);
    is_int(doi_keyring_add(ab, 2, secret_b, 32), DOI_OK, "a second key");
    is_int(doi_keyring_add(ba, 1, secret_a, 32), DOI_OK, "and the reverse");
    is_int(doi_keyring_count(ab), 2, "two keys");

    /* rotation: b is added behind a everywhere, then signs, then a goes */

    (void) doi_token_mint(ab, DOI_PURPOSE_LINK, scope, MINTED, EXPIRES, rnd,
                          old, &token);
    is_int(token.key_id, 1, "the first key signs");
    (void) doi_token_mint(ba, DOI_PURPOSE_LINK, scope, MINTED, EXPIRES, rnd,
                          new, &token);
    is_int(token.key_id, 2, "the first key signs, not the lowest");

    is_int(verify(ring, DOI_PURPOSE_LINK, scope, MINTED, old, 46),
           DOI_TOKEN_UNKNOWN_KEY, "no key");
    is_int(verify(a, DOI_PURPOSE_LINK, scope, MINTED, old, 46),
           DOI_TOKEN_OK, "old token, before the rotation");
    is_int(verify(ab, DOI_PURPOSE_LINK, scope, MINTED, old, 46),
           DOI_TOKEN_OK, "old token, new key known");
    is_int(verify(ba, DOI_PURPOSE_LINK, scope, MINTED, old, 46),
           DOI_TOKEN_OK, "old token, new key signs");
    is_int(verify(b, DOI_PURPOSE_LINK, scope, MINTED, old, 46),
           DOI_TOKEN_UNKNOWN_KEY, "old token, old key gone");
    is_int(verify(a, DOI_PURPOSE_LINK, scope, MINTED, new, 46),
           DOI_TOKEN_UNKNOWN_KEY, "new token, new key not yet known");
    is_int(verify(ab, DOI_PURPOSE_LINK, scope, MINTED, new, 46),
           DOI_TOKEN_OK, "new token, new key known");

    doi_keyring_free(b);
    b = ring_of(1, secret_b);
    is_int(verify(b, DOI_PURPOSE_LINK, scope, MINTED, old, 46),
           DOI_TOKEN_FORGED, "the same id with another secret");

    is_int(doi_keyring_add(ab, 1, secret_b, 32), DOI_ERROR,
           "an id that is there already");
    is_int(doi_keyring_count(ab), 2, "is not added");
    is_int(verify(ab, DOI_PURPOSE_LINK, scope, MINTED, old, 46),
           DOI_TOKEN_OK, "and its key is what it was");

    memset(key, 0xa5, sizeof(key));
    is_int(doi_keyring_add(ring, 1, key, 0), DOI_ERROR, "no secret");
    is_int(doi_keyring_add(ring, 1, key, 31), DOI_ERROR, "31 bytes");
    is_int(doi_keyring_add(ring, 1, key, 1025), DOI_ERROR, "1,025 bytes");
    is_int(doi_keyring_count(ring), 0, "none was added");
    is_int(doi_keyring_add(ring, 0, key, 1024), DOI_OK, "1,024 bytes, id 0");
    is_int(doi_keyring_add(ring, 255, key, 32), DOI_OK, "32 bytes, id 255");

    for (i = 2; i < DOI_KEYS_MAX; i++) {
        if (doi_keyring_add(ring, (uint8_t) i, secret_a, 32) != DOI_OK) {
            break;
        }
    }

    is_int(i, DOI_KEYS_MAX, "16 keys");
    is_int(doi_keyring_add(ring, 200, key, 32), DOI_ERROR, "no 17th");
    is_int(doi_keyring_count(ring), DOI_KEYS_MAX, "the ring is full");

    doi_keyring_free(b);
    b = ring_of(15, secret_a);
    (void) doi_token_mint(b, DOI_PURPOSE_CONFIRM, scope, MINTED, EXPIRES, rnd,
                          new, NULL);
    is_int(verify(ring, DOI_PURPOSE_CONFIRM, scope, MINTED, new, 46),
           DOI_TOKEN_OK, "the 16th key verifies");

    /* a secret is not kept, so the caller may wipe it */

    memcpy(key, secret_a, 32);
    doi_keyring_free(b);
    b = ring_of(1, key);
    memset(key, 0, sizeof(key));
    is_int(verify(b, DOI_PURPOSE_LINK, scope, MINTED, old, 46),
           DOI_TOKEN_OK, "the secret is not kept");

    doi_keyring_free(a);
    doi_keyring_free(b);
    doi_keyring_free(ab);
    doi_keyring_free(ba);
    doi_keyring_free(ring);
}


/* parses a copy of exactly this size; -1 or the number of bytes */

static int
parse(const void *text, size_t n, uint8_t secret[DOI_SECRET_MAX])
{
    int          rc;
    size_t       len;
    uint8_t     *copy;
    const char  *err;

    copy = malloc(n ? n : 1);

    if (copy == NULL) {
        printf("Bail out! no memory\n");
        exit(1);
    }

    memcpy(copy, text, n);
    len = 12345;
    err = "unset";

    rc = doi_secret_parse(copy, n, secret, &len, &err);

    free(copy);

    if (rc == DOI_OK) {
        ok(err == NULL, "no error is told");
        return (int) len;
    }

    ok(rc == DOI_ERROR && len == 0 && err != NULL && strlen(err) > 10,
       "it %s", err ? err : "says nothing");

    return -1;
}


static void
test_secret(void)
{
    int      i, bad;
    char     text[4096];
    uint8_t  secret[DOI_SECRET_MAX], back[32];

    static const char  hex[] =
        "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1eff";

    for (i = 0; i < 31; i++) {
        back[i] = (uint8_t) i;
    }

    back[31] = 0xff;

    is_int(parse(hex, 64, secret), 32, "64 digits of both cases");
    ok(memcmp(secret, back, 32) == 0, "their value");

    (void) snprintf(text, sizeof(text), "%s\n", hex);
    is_int(parse(text, 65, secret), 32, "a line");
    (void) snprintf(text, sizeof(text), "%s\r\n", hex);
    is_int(parse(text, 66, secret), 32, "a line with CRLF");
    (void) snprintf(text, sizeof(text), " \t%s\t \r\n", hex);
    memset(secret, 0, sizeof(secret));
    is_int(parse(text, strlen(text), secret), 32, "blanks around it");
    ok(memcmp(secret, back, 32) == 0, "the value is the same");

    is_int(parse("", 0, secret), -1, "an empty file");
    is_int(parse("\n", 1, secret), -1, "an empty line");
    is_int(parse(" \t \r\n", 5, secret), -1, "blanks");
    is_int(parse("\n\n", 2, secret), -1, "empty lines");
    is_int(parse(hex, 63, secret), -1, "63 digits");
    is_int(parse(hex, 62, secret), -1, "62 digits");

    (void) snprintf(text, sizeof(text), "%s0", hex);
    is_int(parse(text, 65, secret), -1, "65 digits");
    (void) snprintf(text, sizeof(text), "%s01", hex);
    is_int(parse(text, 66, secret), 33, "66 digits");

    (void) snprintf(text, sizeof(text), "%s\n\n", hex);
    is_int(parse(text, 66, secret), -1, "two line ends");
    (void) snprintf(text, sizeof(text), "\n%s", hex);
    is_int(parse(text, 65, secret), -1, "an empty line before it");
    (void) snprintf(text, sizeof(text), "%s\r", hex);
    is_int(parse(text, 65, secret), -1, "CR alone");
    (void) snprintf(text, sizeof(text), "%s\r\r\n", hex);
    is_int(parse(text, 67, secret), -1, "CR CRLF");
    (void) snprintf(text, sizeof(text), "%s\n%s\n", hex, hex);
    is_int(parse(text, 130, secret), -1, "two lines");
    (void) snprintf(text, sizeof(text), "%s\n# key\n", hex);
    is_int(parse(text, strlen(text), secret), -1, "a comment");
    (void) snprintf(text, sizeof(text), "%.32s %s", hex, hex);
    is_int(parse(text, strlen(text), secret), -1, "a blank within");
    (void) snprintf(text, sizeof(text), "0x%s", hex);
    is_int(parse(text, strlen(text), secret), -1, "0x before it");
    (void) snprintf(text, sizeof(text), "\xef\xbb\xbf%s", hex);
    is_int(parse(text, strlen(text), secret), -1, "a byte order mark");
    (void) snprintf(text, sizeof(text), "%s", hex);
    is_int(parse(text, 65, secret), -1, "a zero byte after it");

    for (i = 0, bad = 0; i < 256; i++) {
        const char  *err;
        size_t       len;

        if (i != 0 && strchr("0123456789abcdefABCDEF", i)) {
            continue;
        }

        text[20] = (char) i;
        bad += doi_secret_parse((const uint8_t *) text, 64, secret, &len, &err)
               != DOI_ERROR;
    }

    is_int(bad, 0, "none of the 234 other bytes is a digit");

    memset(text, 'f', sizeof(text));
    memset(secret, 0, sizeof(secret));
    is_int(parse(text, 2048, secret), 1024, "2,048 digits");
    ok(secret[1023] == 0xff, "up to the last");
    is_int(parse(text, 2049, secret), -1, "2,049 digits");
    is_int(parse(text, 2050, secret), -1, "2,050 digits");
}


static void
test_base64url(void)
{
    int      bad;
    size_t   i, n, len;
    uint8_t  data[64], back[64], chars[100];

    /* RFC 4648, section 10, without the padding */

    static const char *const  rfc[] = {
        "", "Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy"
    };

    for (i = 0; i < 7; i++) {
        n = doi_base64url_encode((const uint8_t *) "foobar", i, chars);
        ok(n == strlen(rfc[i]) && memcmp(chars, rfc[i], n) == 0,
           "RFC 4648: \"%s\"", rfc[i]);
        ok(doi_base64url_decode(str(rfc[i]), back, i) == (int) i
           && memcmp(back, "foobar", i) == 0, "and back");

        if (i > 0) {
            is_int(doi_base64url_decode(str(rfc[i]), back, i - 1), DOI_ERROR,
                   "not into a byte less");
        }
    }

    n = doi_base64url_encode((const uint8_t *) "\xff\xef\xbe", 3, chars);
    ok(n == 4 && memcmp(chars, "_---", 4) == 0, "characters 62 and 63");
    is_int(doi_base64url_decode(str("-_-_"), back, 3), 3, "- and _");
    ok(memcmp(back, "\xfb\xff\xbf", 3) == 0, "are 62 and 63");
    is_int(doi_base64url_decode(str("+/+/"), back, 3), DOI_ERROR,
           "+ and / are not");
    is_int(doi_base64url_decode(str("Zg=="), back, 64), DOI_ERROR, "padding");
    is_int(doi_base64url_decode(str("Z"), back, 64), DOI_ERROR, "1 character");
    is_int(doi_base64url_decode(str("Zm9vZ"), back, 64), DOI_ERROR, "5");
    is_int(doi_base64url_decode(bytes(NULL, 0), back, 0), 0, "NULL");
    is_int((long long) doi_base64url_encode(NULL, 0, chars), 0,
           "and NULL encoded");

    is_int((long long) doi_base64url_span((const uint8_t *) "Az09-_=A", 8), 6,
           "characters up to the first that is none");
    is_int((long long) doi_base64url_span((const uint8_t *) "AAAA", 3), 3,
           "or to the last");
    is_int((long long) doi_base64url_span(NULL, 0), 0, "of none: none");

    /* of 64 last characters, 4 or 16 are canonical */

    for (i = 0, bad = 0, n = 0; i < 64; i++) {
        chars[0] = 'A';
        chars[1] = 'A';
        chars[2] = (uint8_t) alphabet[i];
        bad += doi_base64url_decode(bytes(chars, 3), back, 64) == 2;
        chars[1] = (uint8_t) alphabet[i];
        n += doi_base64url_decode(bytes(chars, 2), back, 64) == 1;
    }

    is_int(bad, 16, "16 of 64 last characters of 3");
    is_int((long long) n, 4, "4 of 64 last characters of 2");

    /* the size of a string near SIZE_MAX does not overflow */

    is_int(doi_base64url_decode(bytes(chars, SIZE_MAX - 3), back, 64),
           DOI_ERROR, "a huge length");
    is_int(doi_base64url_decode(bytes(chars, SIZE_MAX), back, 64),
           DOI_ERROR, "the largest length");

    for (n = 0, bad = 0; n <= sizeof(data); n++) {
        for (i = 0; i < n; i++) {
            data[i] = (uint8_t) (n * 37 + i * 101);
        }

        len = doi_base64url_encode(data, n, chars);
        bad += len != (n * 4 + 2) / 3
               || doi_base64url_decode(bytes(chars, len), back, n) != (int) n
               || memcmp(data, back, n) != 0;
    }

    is_int(bad, 0, "0 to 64 bytes there and back");
}


static void
test_id(void)
{
    uint8_t  id[DOI_ID_SIZE];

    is_int(doi_id_decode(str("ZVPxAAECAwQFBgcI"), id), DOI_OK, "an id");
    ok(memcmp(id, "\x65\x53\xf1\0\1\2\3\4\5\6\7\10", 12) == 0, "its bytes");
    is_int(doi_id_decode(str("ZVPxAAECAwQFBgc"), id), DOI_ERROR,
           "15 characters");
    is_int(doi_id_decode(str("ZVPxAAECAwQFBgcIA"), id), DOI_ERROR,
           "17 characters");
    is_int(doi_id_decode(str("ZVPxAAECAwQFBgcIAA"), id), DOI_ERROR,
           "18 characters");
    is_int(doi_id_decode(str(""), id), DOI_ERROR, "none");
    is_int(doi_id_decode(bytes(NULL, 0), id), DOI_ERROR, "NULL");
    is_int(doi_id_decode(str("ZVPxAAECAwQFBgc="), id), DOI_ERROR, "padded");
    is_int(doi_id_decode(str("ZVPxAAECAwQFBg.I"), id), DOI_ERROR,
           "not of the alphabet");
}


/*
 * Without memory, an answer may be DOI_TOKEN_FAILED, or it is the right one;
 * afterwards the ring works as before.  Under ASan this also finds leaks.
 */

static void
test_no_memory(void)
{
    int              all, bad, missed;
    long             n, total;
    uint8_t          chars[DOI_TOKEN_CHARS], forged[DOI_TOKEN_CHARS];
    uint8_t          got[DOI_TOKEN_CHARS];
    doi_str_t        scope = doi_str("s");
    doi_token_t      token;
    doi_keyring_t   *ring;
    doi_token_rc_t   rc;

    for (all = 0; all <= 1; all++) {
        fail_all = all;
        bad = 0;
        missed = 0;
        total = 0;

        for (n = 1; n < 1000; n++) {
            allocs = 0;
            fail_at = n;
            ring = doi_keyring_new();

            if (ring == NULL) {
                fail_at = 0;
                continue;
            }

            if (doi_keyring_add(ring, 1, secret_a, 32) == DOI_OK) {
                total = allocs;
            }

            missed += allocs < n;
            fail_at = 0;

            /* either it was added, or it can be added now */

            if (doi_keyring_count(ring) == 0) {
                bad += doi_keyring_add(ring, 1, secret_a, 32) != DOI_OK;
            }

            rc = doi_token_mint(ring, DOI_PURPOSE_LINK, scope, MINTED, EXPIRES,
                                rnd, chars, NULL) == DOI_OK
                 ? verify(ring, DOI_PURPOSE_LINK, scope, MINTED, chars, 46)
                 : DOI_TOKEN_FAILED;
            bad += rc != DOI_TOKEN_OK;
            doi_keyring_free(ring);

            if (missed) {
                break;
            }
        }

        ok(bad == 0 && missed, "add: each of %ld allocations fails%s", total,
           all ? " for good" : "");
    }

    ring = ring_of(1, secret_a);
    (void) doi_token_mint(ring, DOI_PURPOSE_LINK, scope, MINTED, EXPIRES, rnd,
                          chars, NULL);
    memcpy(forged, chars, sizeof(forged));
    forged[30] = (forged[30] == 'A') ? 'B' : 'A';

    for (all = 0; all <= 1; all++) {
        fail_all = all;
        bad = 0;
        total = 0;

        for (n = 1; n < 20; n++) {
            allocs = 0;
            fail_at = n;
            memset(&token, 0xff, sizeof(token));
            rc = doi_token_verify(ring, DOI_PURPOSE_LINK, scope, MINTED,
                                  bytes(chars, 46), &token);
            fail_at = 0;
            total += rc == DOI_TOKEN_FAILED;
            bad += rc == DOI_TOKEN_FAILED ? !zeroed(&token)
                                          : rc != DOI_TOKEN_OK;

            allocs = 0;
            fail_at = n;
            rc = verify(ring, DOI_PURPOSE_LINK, scope, MINTED, forged, 46);
            fail_at = 0;
            bad += rc != DOI_TOKEN_FAILED && rc != DOI_TOKEN_FORGED;

            allocs = 0;
            fail_at = n;
            memset(&token, 0xff, sizeof(token));
            if (doi_token_mint(ring, DOI_PURPOSE_LINK, scope, MINTED, EXPIRES,
                               rnd, got, &token) == DOI_OK)
            {
                bad += memcmp(got, chars, sizeof(got)) != 0;

            } else {
                bad += !zeroed(&token);
            }

            fail_at = 0;
            bad += verify(ring, DOI_PURPOSE_LINK, scope, MINTED, chars, 46)
                   != DOI_TOKEN_OK;
        }

        ok(bad == 0, "verify and mint without memory%s: %ld times FAILED",
           all ? " for good" : "", total);
    }

    doi_keyring_free(ring);
}


int
main(void)
{
    size_t  i;

    if (CRYPTO_set_mem_functions(test_malloc, test_realloc, test_free) != 1) {
        printf("Bail out! libcrypto has allocated already\n");
        return 1;
    }

    for (i = 0; i < 32; i++) {
        secret_a[i] = (uint8_t) i;
        secret_b[i] = (uint8_t) (0xf0 ^ i);
    }

    test_round_trip();
    test_every_bit();
    test_form();
    test_purpose();
    test_scope();
    test_expiry();
    test_ring();
    test_secret();
    test_base64url();
    test_id();
    test_no_memory();

    return done_testing();
}
