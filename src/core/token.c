/*
 * Token codec and key ring, version 1 (docs/token.md).
 *
 *   byte   characters   field
 *   0      0..1         high nibble: version, 1; low nibble: purpose
 *   1      1..2         key id
 *   2      2..7         expiry, unsigned big-endian Unix seconds
 *   6      8..13        id: mint time, unsigned big-endian Unix seconds
 *   10     13..23       id: 8 random bytes
 *   18     24..45       first 16 bytes of HMAC-SHA256(K, scope length
 *                       (2 bytes BE) || scope || bytes 0..17)
 *   34     46           end
 *
 *   K = HKDF-SHA256(secret, salt empty, info = "doi/v1/" || purpose name)
 *
 * Why only the canonical form is accepted: 46 characters hold 276 bits, 4
 * more than a token has.  If these were ignored, 16 strings would stand for
 * one token; and so would padded and percent-encoded ones.  Whatever is keyed
 * by the string, such as a cache, a log or a limit, would then take one token
 * for many.
 *
 * Why the MAC is truncated: a forger has to ask this server about each guess,
 * and 2^128 guesses are as good as 2^256.  RFC 2104, section 5, allows half of
 * the hash; it saves 21 characters of an SMS.
 *
 * Why no field names an algorithm: what the bearer can write, the bearer can
 * choose ("alg": "none").  The version fixes everything; a change of algorithm
 * is a new version.
 *
 * Why the scope is preceded by its length: so that there is one way only to
 * read what was signed, even if a later version signs more or fewer bytes after
 * it.  Why each purpose has a key of its own as well as a nibble: the MAC of
 * one purpose is useless for another even to code that forgets the nibble.
 */

#include <limits.h>
#include <string.h>

#include <openssl/crypto.h>

#include "bytes.h"
#include "keyring_internal.h"


#define DOI_TOKEN_VERSION   1
#define DOI_TOKEN_BODY      18      /* bytes that the MAC covers */
#define DOI_TOKEN_MAC       (DOI_TOKEN_SIZE - DOI_TOKEN_BODY)

#define doi_hex_blank(c)    ((c) == ' ' || (c) == '\t')


static int doi_key_init(doi_key_t *key, const uint8_t *secret, size_t len);
static void doi_key_done(doi_key_t *key);
static int doi_token_mac(EVP_MAC_CTX *ctx, doi_str_t scope,
    const uint8_t body[DOI_TOKEN_BODY], uint8_t mac[DOI_SHA256_SIZE]);
static int doi_hex_digit(uint8_t c);


static const char *const  doi_key_info[DOI_KEY_MACS] = {
    "doi/v1/link",
    "doi/v1/confirm",
    "doi/v1/unsubscribe",
    "doi/v1/code"
};


static const uint8_t  doi_base64url_chars[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";


/* The value of a character plus 1; 0 is not one of the alphabet. */

static const uint8_t  doi_base64url_values[256] = {
    ['A'] =  1, ['B'] =  2, ['C'] =  3, ['D'] =  4, ['E'] =  5, ['F'] =  6,
    ['G'] =  7, ['H'] =  8, ['I'] =  9, ['J'] = 10, ['K'] = 11, ['L'] = 12,
    ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18,
    ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30,
    ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36,
    ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42,
    ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54,
    ['2'] = 55, ['3'] = 56, ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60,
    ['8'] = 61, ['9'] = 62, ['-'] = 63, ['_'] = 64
};


doi_keyring_t *
doi_keyring_new(void)
{
    return OPENSSL_zalloc(sizeof(doi_keyring_t));
}


void
doi_keyring_free(doi_keyring_t *ring)
{
    size_t  i;

    if (ring == NULL) {
        return;
    }

    for (i = 0; i < ring->count; i++) {
        doi_key_done(&ring->keys[i]);
    }

    OPENSSL_clear_free(ring, sizeof(doi_keyring_t));
}


int
doi_keyring_add(doi_keyring_t *ring, uint8_t id, const uint8_t *secret,
    size_t len)
{
    size_t  i;

    if (len < DOI_SECRET_MIN || len > DOI_SECRET_MAX) {
        return DOI_ERROR;
    }

    for (i = 0; i < ring->count; i++) {
        if (ring->keys[i].id == id) {
            return DOI_ERROR;
        }
    }

    if (ring->count == DOI_KEYS_MAX) {
        return DOI_ERROR;
    }

    if (doi_key_init(&ring->keys[ring->count], secret, len) != DOI_OK) {
        return DOI_ERROR;
    }

    ring->keys[ring->count++].id = id;

    return DOI_OK;
}


size_t
doi_keyring_count(const doi_keyring_t *ring)
{
    return ring->count;
}


static int
doi_key_init(doi_key_t *key, const uint8_t *secret, size_t len)
{
    int        rc;
    size_t     i;
    uint8_t    derived[DOI_SHA256_SIZE];
    doi_str_t  from;

    from.data = secret;
    from.len = len;

    rc = doi_hkdf(from, "doi/v1/seal", key->seal);

    for (i = 0; i < DOI_KEY_MACS && rc == DOI_OK; i++) {

        rc = doi_hkdf(from, doi_key_info[i], derived);

        if (rc == DOI_OK) {
            key->mac[i] = doi_hmac_new(derived);
            rc = key->mac[i] != NULL ? DOI_OK : DOI_ERROR;
        }
    }

    if (rc != DOI_OK) {
        doi_key_done(key);
    }

    OPENSSL_cleanse(derived, sizeof(derived));

    return rc;
}


static void
doi_key_done(doi_key_t *key)
{
    size_t  i;

    for (i = 0; i < DOI_KEY_MACS; i++) {
        EVP_MAC_CTX_free(key->mac[i]);
        key->mac[i] = NULL;
    }

    OPENSSL_cleanse(key->seal, sizeof(key->seal));
}


static int
doi_token_mac(EVP_MAC_CTX *ctx, doi_str_t scope,
    const uint8_t body[DOI_TOKEN_BODY], uint8_t mac[DOI_SHA256_SIZE])
{
    uint8_t    len[2];
    doi_str_t  parts[3];

    doi_put16(len, (uint16_t) scope.len);

    parts[0].data = len;
    parts[0].len = sizeof(len);
    parts[1] = scope;
    parts[2].data = body;
    parts[2].len = DOI_TOKEN_BODY;

    return doi_hmac(ctx, parts, 3, mac);
}


doi_token_rc_t
doi_token_verify(doi_keyring_t *ring, doi_purpose_t purpose, doi_str_t scope,
    doi_time_t now, doi_str_t chars, doi_token_t *token)
{
    int         differs;
    size_t      i;
    uint8_t     bytes[DOI_TOKEN_SIZE], mac[DOI_SHA256_SIZE];
    doi_key_t  *key;

    memset(token, 0, sizeof(doi_token_t));

    if (chars.len != DOI_TOKEN_CHARS
        || doi_base64url_decode(chars, bytes, DOI_TOKEN_SIZE) != DOI_TOKEN_SIZE
        || (bytes[0] >> 4) != DOI_TOKEN_VERSION)
    {
        return DOI_TOKEN_MALFORMED;
    }

    if (purpose < DOI_PURPOSE_LINK || purpose > DOI_PURPOSE_UNSUBSCRIBE
        || (unsigned) (bytes[0] & 0x0f) != (unsigned) purpose)
    {
        return DOI_TOKEN_PURPOSE;
    }

    key = NULL;

    for (i = 0; i < ring->count; i++) {
        if (ring->keys[i].id == bytes[1]) {
            key = &ring->keys[i];
            break;
        }
    }

    if (key == NULL) {
        return DOI_TOKEN_UNKNOWN_KEY;
    }

    if (scope.len > DOI_SCOPE_MAX) {
        /* no token can be of such a scope */
        return DOI_TOKEN_FORGED;
    }

    if (doi_token_mac(key->mac[purpose - 1], scope, bytes, mac) != DOI_OK) {
        return DOI_TOKEN_FAILED;
    }

    differs = CRYPTO_memcmp(mac, &bytes[DOI_TOKEN_BODY], DOI_TOKEN_MAC);

    /* of a forged token, this would be what makes it genuine */

    OPENSSL_cleanse(mac, sizeof(mac));

    if (differs) {
        return DOI_TOKEN_FORGED;
    }

    token->purpose = purpose;
    token->key_id = bytes[1];
    token->expires = doi_get32(&bytes[2]);
    memcpy(token->id, &bytes[6], DOI_ID_SIZE);

    return (now < token->expires) ? DOI_TOKEN_OK : DOI_TOKEN_EXPIRED;
}


int
doi_token_mint(doi_keyring_t *ring, doi_purpose_t purpose, doi_str_t scope,
    doi_time_t minted, doi_time_t expires, const uint8_t random[8],
    uint8_t chars[DOI_TOKEN_CHARS], doi_token_t *token)
{
    uint8_t  bytes[DOI_TOKEN_SIZE], mac[DOI_SHA256_SIZE];

    if (token != NULL) {
        memset(token, 0, sizeof(doi_token_t));
    }

    if (ring->count == 0 || scope.len > DOI_SCOPE_MAX
        || purpose < DOI_PURPOSE_LINK || purpose > DOI_PURPOSE_UNSUBSCRIBE)
    {
        return DOI_ERROR;
    }

    bytes[0] = (uint8_t) (DOI_TOKEN_VERSION << 4 | (unsigned) purpose);
    bytes[1] = ring->keys[0].id;
    doi_put32(&bytes[2], expires);
    doi_put32(&bytes[6], minted);
    memcpy(&bytes[10], random, 8);

    if (doi_token_mac(ring->keys[0].mac[purpose - 1], scope, bytes, mac)
        != DOI_OK)
    {
        return DOI_ERROR;
    }

    memcpy(&bytes[DOI_TOKEN_BODY], mac, DOI_TOKEN_MAC);

    (void) doi_base64url_encode(bytes, DOI_TOKEN_SIZE, chars);

    if (token != NULL) {
        token->purpose = purpose;
        token->key_id = bytes[1];
        token->expires = expires;
        memcpy(token->id, &bytes[6], DOI_ID_SIZE);
    }

    /* whoever holds the token is its bearer, so it is a secret as well */

    OPENSSL_cleanse(mac, sizeof(mac));
    OPENSSL_cleanse(bytes, sizeof(bytes));

    return DOI_OK;
}


void
doi_id_encode(const uint8_t id[DOI_ID_SIZE], uint8_t chars[DOI_ID_CHARS])
{
    (void) doi_base64url_encode(id, DOI_ID_SIZE, chars);
}


int
doi_id_decode(doi_str_t chars, uint8_t id[DOI_ID_SIZE])
{
    if (chars.len != DOI_ID_CHARS
        || doi_base64url_decode(chars, id, DOI_ID_SIZE) != DOI_ID_SIZE)
    {
        return DOI_ERROR;
    }

    return DOI_OK;
}


size_t
doi_base64url_encode(const uint8_t *data, size_t n, uint8_t *chars)
{
    size_t    i;
    uint8_t  *p;

    p = chars;

    for (i = 0; n - i >= 3; i += 3) {
        *p++ = doi_base64url_chars[data[i] >> 2];
        *p++ = doi_base64url_chars[(data[i] & 0x03) << 4 | data[i + 1] >> 4];
        *p++ = doi_base64url_chars[(data[i + 1] & 0x0f) << 2
                                   | data[i + 2] >> 6];
        *p++ = doi_base64url_chars[data[i + 2] & 0x3f];
    }

    if (n - i == 1) {
        *p++ = doi_base64url_chars[data[i] >> 2];
        *p++ = doi_base64url_chars[(data[i] & 0x03) << 4];

    } else if (n - i == 2) {
        *p++ = doi_base64url_chars[data[i] >> 2];
        *p++ = doi_base64url_chars[(data[i] & 0x03) << 4 | data[i + 1] >> 4];
        *p++ = doi_base64url_chars[(data[i + 1] & 0x0f) << 2];
    }

    return (size_t) (p - chars);
}


int
doi_base64url_decode(doi_str_t chars, uint8_t *data, size_t size)
{
    size_t          i, n, rest;
    uint8_t         a, b, c, d;
    uint32_t        bits;
    const uint8_t  *p, *last;

    rest = chars.len % 4;

    if (rest == 1) {
        return DOI_ERROR;
    }

    n = chars.len / 4 * 3 + (rest ? rest - 1 : 0);

    if (n > size || n > INT_MAX) {
        return DOI_ERROR;
    }

    p = chars.data;
    last = p + (chars.len - rest);

    for ( /* void */ ; p != last; p += 4) {
        a = doi_base64url_values[p[0]];
        b = doi_base64url_values[p[1]];
        c = doi_base64url_values[p[2]];
        d = doi_base64url_values[p[3]];

        if (!a || !b || !c || !d) {
            return DOI_ERROR;
        }

        bits = (uint32_t) (a - 1) << 18 | (uint32_t) (b - 1) << 12
               | (uint32_t) (c - 1) << 6 | (uint32_t) (d - 1);

        *data++ = (uint8_t) (bits >> 16);
        *data++ = (uint8_t) (bits >> 8);
        *data++ = (uint8_t) bits;
    }

    bits = 0;

    for (i = 0; i < rest; i++) {
        a = doi_base64url_values[p[i]];

        if (a == 0) {
            return DOI_ERROR;
        }

        bits = bits << 6 | (uint32_t) (a - 1);
    }

    /* 12 bits hold one byte and 4 unused bits, 18 hold two and 2 unused */

    if (rest == 2) {
        if (bits & 0x0f) {
            return DOI_ERROR;
        }

        *data = (uint8_t) (bits >> 4);

    } else if (rest == 3) {
        if (bits & 0x03) {
            return DOI_ERROR;
        }

        *data++ = (uint8_t) (bits >> 10);
        *data = (uint8_t) (bits >> 2);
    }

    return (int) n;
}


size_t
doi_base64url_span(const uint8_t *chars, size_t n)
{
    size_t  i;

    for (i = 0; i < n && doi_base64url_values[chars[i]]; i++) { /* void */ }

    return i;
}


int
doi_secret_parse(const uint8_t *text, size_t n, uint8_t secret[DOI_SECRET_MAX],
    size_t *len, const char **err)
{
    int     high, low;
    size_t  i, start, digits;

    *len = 0;
    *err = NULL;

    /* from the end: one line end, then blanks */

    if (n > 0 && text[n - 1] == '\n') {
        n--;

        if (n > 0 && text[n - 1] == '\r') {
            n--;
        }
    }

    while (n > 0 && doi_hex_blank(text[n - 1])) {
        n--;
    }

    for (start = 0; start < n && doi_hex_blank(text[start]); start++) {
        /* void */
    }

    digits = n - start;

    if (digits == 0) {
        *err = "is empty, write the output of \"openssl rand -hex 32\" to it";
        return DOI_ERROR;
    }

    for (i = start; i < n; i++) {

        if (text[i] == '\n' || text[i] == '\r') {
            *err = "has more than one line, keep only one secret in it";
            return DOI_ERROR;
        }

        if (doi_hex_digit(text[i]) < 0) {
            *err = "has characters other than hexadecimal digits, "
                   "write the output of \"openssl rand -hex 32\" to it";
            return DOI_ERROR;
        }
    }

    if (digits < (size_t) DOI_SECRET_MIN * 2) {
        *err = "has fewer than 64 hexadecimal digits, "
               "write the output of \"openssl rand -hex 32\" to it";
        return DOI_ERROR;
    }

    if (digits % 2) {
        *err = "has an odd number of hexadecimal digits, "
               "one may have been lost";
        return DOI_ERROR;
    }

    if (digits > (size_t) DOI_SECRET_MAX * 2) {
        *err = "has more than 2048 hexadecimal digits, 64 are enough";
        return DOI_ERROR;
    }

    for (i = 0; i < digits / 2; i++) {
        high = doi_hex_digit(text[start + i * 2]);
        low = doi_hex_digit(text[start + i * 2 + 1]);
        secret[i] = (uint8_t) (high << 4 | low);
    }

    *len = digits / 2;

    return DOI_OK;
}


static int
doi_hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }

    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }

    return -1;
}
