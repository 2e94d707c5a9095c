/*
 * Fuzzing of src/core/token.c with libFuzzer: any bytes as a token, as
 * base64url, as an id and as a key file.
 *
 *   clang -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined \
 *       t/fuzz/token.c src/core/token.c -lcrypto -o fuzz_token
 *   ./fuzz_token -max_total_time=30
 */

#include <stdlib.h>
#include <string.h>

#include "../../src/core/token.h"


#define check(cond)                                                           \
    do {                                                                      \
        if (!(cond)) {                                                        \
            abort();                                                          \
        }                                                                     \
    } while (0)


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_verify(doi_keyring_t *ring, const uint8_t *data, size_t size);
static void fuzz_mint(doi_keyring_t *ring, const uint8_t *data, size_t size);
static void fuzz_base64url(const uint8_t *data, size_t size);
static void fuzz_id(const uint8_t *data, size_t size);
static void fuzz_secret(const uint8_t *data, size_t size);


static doi_str_t
str(const uint8_t *data, size_t len)
{
    doi_str_t  s;

    s.data = data;
    s.len = len;

    return s;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                 i;
    uint8_t                secret[DOI_SECRET_MIN];
    static doi_keyring_t  *ring;

    if (ring == NULL) {

        /* the secret of t/vectors/token.json, whose tokens are a good corpus */

        for (i = 0; i < sizeof(secret); i++) {
            secret[i] = (uint8_t) i;
        }

        ring = doi_keyring_new();
        check(ring != NULL);
        check(doi_keyring_add(ring, 1, secret, sizeof(secret)) == DOI_OK);
        check(doi_keyring_add(ring, 2, secret, sizeof(secret)) == DOI_OK);
    }

    fuzz_verify(ring, data, size);
    fuzz_mint(ring, data, size);
    fuzz_base64url(data, size);
    fuzz_id(data, size);
    fuzz_secret(data, size);

    return 0;
}


/*
 * As a token: what is accepted has to come out of minting again, which also
 * shows that each token has one spelling only.  As bytes of a token: gets past
 * the decoding.
 */

static void
fuzz_verify(doi_keyring_t *ring, const uint8_t *data, size_t size)
{
    int              i;
    uint8_t          chars[DOI_TOKEN_CHARS], minted[DOI_TOKEN_CHARS];
    uint32_t         at;
    doi_str_t        scope = doi_str("calendar");
    doi_token_t      token;
    doi_token_rc_t   rc;

    static const uint8_t  none[DOI_ID_SIZE];

    for (i = 0; i <= 4; i++) {
        memset(&token, 0xff, sizeof(token));
        rc = doi_token_verify(ring, (doi_purpose_t) i, scope, 1000,
                              str(data, size), &token);

        if (rc == DOI_TOKEN_OK || rc == DOI_TOKEN_EXPIRED) {
            check(size == DOI_TOKEN_CHARS && token.key_id <= 2);
            check((rc == DOI_TOKEN_OK) == (token.expires > 1000));
            at = (uint32_t) token.id[0] << 24 | (uint32_t) token.id[1] << 16
                 | (uint32_t) token.id[2] << 8 | (uint32_t) token.id[3];

            check(doi_token_mint(ring, token.purpose, scope, at, token.expires,
                                 &token.id[4], minted, NULL)
                  == DOI_OK);
            check(token.key_id != 1 || memcmp(minted, data, size) == 0);

        } else {
            check(rc != DOI_TOKEN_FAILED);
            check(token.purpose == 0 && token.key_id == 0
                  && token.expires == 0
                  && memcmp(token.id, none, DOI_ID_SIZE) == 0);
        }
    }

    if (size >= DOI_TOKEN_SIZE) {
        check(doi_base64url_encode(data, DOI_TOKEN_SIZE, chars)
              == DOI_TOKEN_CHARS);
        rc = doi_token_verify(ring, (doi_purpose_t) (data[0] & 15), scope, 1000,
                              str(chars, DOI_TOKEN_CHARS), &token);
        check((rc == DOI_TOKEN_MALFORMED) == (data[0] >> 4 != 1));
        check(rc != DOI_TOKEN_FAILED);
    }
}


/* fields and scope from the input: minted is verified, and changed refused */

static void
fuzz_mint(doi_keyring_t *ring, const uint8_t *data, size_t size)
{
    uint8_t         chars[DOI_TOKEN_CHARS], id[DOI_ID_CHARS];
    uint32_t        minted, expires;
    doi_str_t       scope;
    doi_token_t     token, again;
    doi_purpose_t   purpose;

    if (size < 18) {
        return;
    }

    purpose = (doi_purpose_t) (data[0] % 3 + 1);
    memcpy(&minted, data + 2, 4);
    memcpy(&expires, data + 6, 4);
    scope = str(data + 18, size - 18);

    if (scope.len > DOI_SCOPE_MAX) {
        check(doi_token_mint(ring, purpose, scope, minted, expires, data + 10,
                             chars, &token)
              == DOI_ERROR);
        return;
    }

    check(doi_token_mint(ring, purpose, scope, minted, expires, data + 10,
                         chars, &token)
          == DOI_OK);
    check(doi_token_verify(ring, purpose, scope, expires,
                           str(chars, sizeof(chars)), &again)
          == DOI_TOKEN_EXPIRED);
    check(memcmp(again.id, token.id, DOI_ID_SIZE) == 0
          && again.expires == expires && token.expires == expires);

    if (expires > 0) {
        check(doi_token_verify(ring, purpose, scope, expires - 1,
                               str(chars, sizeof(chars)), &again)
              == DOI_TOKEN_OK);
    }

    doi_id_encode(token.id, id);
    check(memcmp(id, chars + 8, DOI_ID_CHARS) == 0);

    if (scope.len > 0) {
        scope.len--;
        check(doi_token_verify(ring, purpose, scope, 0,
                               str(chars, sizeof(chars)), &again)
              == DOI_TOKEN_FORGED);
    }

    chars[data[1] % DOI_TOKEN_CHARS] ^= 1;
    check(doi_token_verify(ring, purpose, str(data + 18, size - 18), 0,
                           str(chars, sizeof(chars)), &again)
          >= DOI_TOKEN_MALFORMED);
}


static void
fuzz_base64url(const uint8_t *data, size_t size)
{
    int       rc;
    size_t    n, max;
    uint8_t  *chars, *back;

    /* buffers of exactly the size that is needed, for ASan to guard */

    n = (size * 4 + 2) / 3;
    max = size * 3 / 4;
    chars = malloc((n > size ? n : size) + 1);
    back = malloc(size + 1);
    check(chars != NULL && back != NULL);

    check(doi_base64url_encode(data, size, chars) == n);
    check(doi_base64url_decode(str(chars, n), back, size) == (int) size);
    check(size == 0 || memcmp(back, data, size) == 0);
    check(size == 0
          || doi_base64url_decode(str(chars, n), back, size - 1) == DOI_ERROR);

    free(back);
    back = malloc(max ? max : 1);
    check(back != NULL);

    rc = doi_base64url_decode(str(data, size), back, max);

    if (rc != DOI_ERROR) {
        check((size_t) rc == max);
        check(doi_base64url_encode(back, max, chars) == size);
        check(size == 0 || memcmp(chars, data, size) == 0);
    }

    free(back);
    free(chars);
}


static void
fuzz_id(const uint8_t *data, size_t size)
{
    uint8_t  id[DOI_ID_SIZE], chars[DOI_ID_CHARS];

    if (doi_id_decode(str(data, size), id) == DOI_OK) {
        check(size == DOI_ID_CHARS);
        doi_id_encode(id, chars);
        check(memcmp(chars, data, size) == 0);
    }

    if (size >= DOI_ID_SIZE) {
        doi_id_encode(data, chars);
        check(doi_id_decode(str(chars, DOI_ID_CHARS), id) == DOI_OK);
        check(memcmp(id, data, DOI_ID_SIZE) == 0);
    }
}


static void
fuzz_secret(const uint8_t *data, size_t size)
{
    int             rc;
    size_t          i, len, again;
    uint8_t         secret[DOI_SECRET_MAX], parsed[DOI_SECRET_MAX];
    uint8_t         text[DOI_SECRET_MAX * 2];
    const char     *err;
    doi_keyring_t  *ring;

    static const char  hex[] = "0123456789abcdef";

    rc = doi_secret_parse(data, size, secret, &len, &err);

    if (rc != DOI_OK) {
        check(rc == DOI_ERROR && len == 0 && err != NULL && *err != '\0');
        return;
    }

    check(len >= DOI_SECRET_MIN && len <= DOI_SECRET_MAX && len * 2 <= size);

    for (i = 0; i < len; i++) {
        text[i * 2] = (uint8_t) hex[secret[i] >> 4];
        text[i * 2 + 1] = (uint8_t) hex[secret[i] & 15];
    }

    check(doi_secret_parse(text, len * 2, parsed, &again, &err) == DOI_OK);
    check(again == len && memcmp(parsed, secret, len) == 0);

    /* what the parser lets through, the ring takes */

    ring = doi_keyring_new();
    check(ring != NULL);
    check(doi_keyring_add(ring, 1, secret, len) == DOI_OK);
    doi_keyring_free(ring);
}
