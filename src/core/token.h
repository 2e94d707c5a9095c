/*
 * Token codec and key ring, version 1 (docs/token.md).
 *
 * A token is 34 bytes, written as 46 characters of unpadded base64url
 * (RFC 4648, section 5):
 *
 *   offset  size  field
 *   0       1     high nibble: version, 1; low nibble: purpose
 *   1       1     key id
 *   2       4     expiry, unsigned big-endian Unix seconds
 *   6       12    id: 4 bytes big-endian mint time, 8 random bytes
 *   18      16    first 16 bytes of
 *                 HMAC-SHA256(K, scope length (2 bytes BE) || scope || 0..17)
 *
 * K = HKDF-SHA256 (RFC 5869) of the secret, empty salt,
 * info = "doi/v1/" || "link", "confirm" or "unsubscribe", 32 bytes.
 */

#ifndef DOI_TOKEN_H
#define DOI_TOKEN_H

#include "doi.h"


#define DOI_TOKEN_SIZE        34
#define DOI_TOKEN_CHARS       46
#define DOI_SECRET_MIN        32        /* bytes */
#define DOI_SECRET_MAX        1024      /* bytes */
#define DOI_SCOPE_MAX         65535     /* bytes, by the length field */
#define DOI_KEYS_MAX          16        /* keys in one ring */


typedef enum {
    DOI_PURPOSE_LINK        = 1,
    DOI_PURPOSE_CONFIRM     = 2,
    DOI_PURPOSE_UNSUBSCRIBE = 3
} doi_purpose_t;


/* Why a token was refused.  The order is that of the checks. */

typedef enum {
    DOI_TOKEN_OK = 0,
    DOI_TOKEN_MALFORMED,    /* length, alphabet, canonical form, version   */
    DOI_TOKEN_PURPOSE,      /* well-formed, but of another purpose         */
    DOI_TOKEN_UNKNOWN_KEY,  /* the ring has no key of this id              */
    DOI_TOKEN_FORGED,       /* MAC differs: forged, or of another scope    */
    DOI_TOKEN_EXPIRED,      /* genuine, and now >= expires                 */
    DOI_TOKEN_FAILED        /* libcrypto failed: no memory                 */
} doi_token_rc_t;


typedef struct {
    doi_purpose_t  purpose;
    uint8_t        key_id;
    doi_time_t     expires;
    uint8_t        id[DOI_ID_SIZE];
} doi_token_t;


typedef struct doi_keyring_s  doi_keyring_t;


/*
 * An empty ring, or NULL without memory.  A ring is used by one thread at a
 * time.  doi_keyring_free(NULL) does nothing; keys are wiped.
 */
doi_keyring_t *doi_keyring_new(void);
void doi_keyring_free(doi_keyring_t *ring);

/*
 * Adds a secret of DOI_SECRET_MIN to DOI_SECRET_MAX bytes, which is not kept:
 * only the derived keys are.  The first key added signs, all verify.
 * DOI_ERROR: wrong length, id already there, ring full, or libcrypto failed.
 */
int doi_keyring_add(doi_keyring_t *ring, uint8_t id, const uint8_t *secret,
    size_t len);

size_t doi_keyring_count(const doi_keyring_t *ring);

/*
 * Parses the content of a key file: one line of at least 64 (and an even
 * number of) hexadecimal digits, with optional blanks around it and one
 * optional line end.  Writes at most DOI_SECRET_MAX bytes to secret, their
 * number to *len.  On DOI_ERROR *err points to a static text that says what is
 * wrong.
 */
int doi_secret_parse(const uint8_t *text, size_t n,
    uint8_t secret[DOI_SECRET_MAX], size_t *len, const char **err);

/*
 * Verifies chars (any bytes, any length) as a token of that purpose and scope.
 * On DOI_TOKEN_OK and DOI_TOKEN_EXPIRED *token is filled; otherwise it is
 * zeroed.  The MAC comparison is constant-time.
 */
doi_token_rc_t doi_token_verify(doi_keyring_t *ring, doi_purpose_t purpose,
    doi_str_t scope, doi_time_t now, doi_str_t chars, doi_token_t *token);

/*
 * Mints a token with the first key.  random: 8 bytes from a CSPRNG.  Writes
 * DOI_TOKEN_CHARS characters, no terminating zero.  *token (may be NULL) gets
 * the fields.  DOI_ERROR: empty ring, scope too long, libcrypto failed.
 */
int doi_token_mint(doi_keyring_t *ring, doi_purpose_t purpose, doi_str_t scope,
    doi_time_t minted, doi_time_t expires, const uint8_t random[8],
    uint8_t chars[DOI_TOKEN_CHARS], doi_token_t *token);

/*
 * An id as users see it: DOI_ID_CHARS of base64url, which are characters 8 to
 * 23 of the token.  Decoding accepts only exactly that.
 */
void doi_id_encode(const uint8_t id[DOI_ID_SIZE], uint8_t chars[DOI_ID_CHARS]);
int doi_id_decode(doi_str_t chars, uint8_t id[DOI_ID_SIZE]);

/*
 * Unpadded base64url of RFC 4648, canonical form only.  Encoding writes
 * (n * 4 + 2) / 3 characters and returns their number.  Decoding returns the
 * number of bytes, or DOI_ERROR if chars is not canonical or the result is
 * larger than size.
 */
size_t doi_base64url_encode(const uint8_t *data, size_t n, uint8_t *chars);
int doi_base64url_decode(doi_str_t chars, uint8_t *data, size_t size);

/* How many of n characters, from the first, are of the alphabet. */
size_t doi_base64url_span(const uint8_t *chars, size_t n);

#endif /* DOI_TOKEN_H */
