/*
 * Encryption at rest, and typed codes.  See seal.h.
 *
 * Why random nonces: several processes seal with one key and share no
 * counter.  SP 800-38D, 8.3, allows 2^32 of them for one key: two are alike
 * then with a chance of about 2^-33.
 *
 * Why the key id is authenticated although a wrong one fails anyway: two ids
 * may have been given the same secret.
 */

#include <limits.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "keyring_internal.h"
#include "seal.h"


#define DOI_SEAL_VERSION    1
#define DOI_SEAL_HEAD       2       /* version, key id */
#define DOI_SEAL_TAG        16

#define DOI_CODES           1000000


/* What of a sealed text is where. */

typedef struct {
    uint8_t    head[DOI_SEAL_HEAD];
    doi_str_t  aad;
    uint8_t    nonce[DOI_SEAL_NONCE];
    uint8_t    tag[DOI_SEAL_TAG];
} doi_seal_parts_t;


static int doi_seal_run(const doi_key_t *key, int encrypt,
    doi_seal_parts_t *parts, doi_str_t in, uint8_t *out);
static size_t doi_seal_room(const doi_buf_t *out);


int
doi_seal(doi_keyring_t *ring, const uint8_t nonce[DOI_SEAL_NONCE],
    doi_str_t aad, doi_str_t plain, doi_buf_t *out)
{
    uint8_t           *p;
    doi_seal_parts_t   parts;

    if (ring->count == 0 || doi_seal_room(out) < DOI_SEAL_OVERHEAD
        || doi_seal_room(out) - DOI_SEAL_OVERHEAD < plain.len)
    {
        return DOI_ERROR;
    }

    parts.head[0] = DOI_SEAL_VERSION;
    parts.head[1] = ring->keys[0].id;
    parts.aad = aad;
    memcpy(parts.nonce, nonce, DOI_SEAL_NONCE);

    p = out->data + out->len;

    if (doi_seal_run(&ring->keys[0], 1, &parts, plain,
                     p + DOI_SEAL_HEAD + DOI_SEAL_NONCE)
        != DOI_OK)
    {
        return DOI_ERROR;
    }

    memcpy(p, parts.head, DOI_SEAL_HEAD);
    memcpy(p + DOI_SEAL_HEAD, parts.nonce, DOI_SEAL_NONCE);
    memcpy(p + DOI_SEAL_HEAD + DOI_SEAL_NONCE + plain.len, parts.tag,
           DOI_SEAL_TAG);

    out->len += plain.len + DOI_SEAL_OVERHEAD;

    return DOI_OK;
}


int
doi_unseal(doi_keyring_t *ring, doi_str_t aad, doi_str_t sealed,
    doi_buf_t *out)
{
    size_t             i;
    uint8_t           *p;
    doi_str_t          text;
    const doi_key_t   *key;
    doi_seal_parts_t   parts;

    if (sealed.len < DOI_SEAL_OVERHEAD || sealed.data[0] != DOI_SEAL_VERSION) {
        return DOI_ERROR;
    }

    key = NULL;

    for (i = 0; i < ring->count; i++) {
        if (ring->keys[i].id == sealed.data[1]) {
            key = &ring->keys[i];
            break;
        }
    }

    if (key == NULL) {
        return DOI_NOT_FOUND;
    }

    text.data = sealed.data + DOI_SEAL_HEAD + DOI_SEAL_NONCE;
    text.len = sealed.len - DOI_SEAL_OVERHEAD;

    if (doi_seal_room(out) < text.len) {
        return DOI_ERROR;
    }

    memcpy(parts.head, sealed.data, DOI_SEAL_HEAD);
    memcpy(parts.nonce, sealed.data + DOI_SEAL_HEAD, DOI_SEAL_NONCE);
    memcpy(parts.tag, text.data + text.len, DOI_SEAL_TAG);
    parts.aad = aad;

    p = text.len ? out->data + out->len : NULL;

    if (doi_seal_run(key, 0, &parts, text, p) != DOI_OK) {

        /* it is decrypted before it is known to be authentic */

        if (text.len) {
            OPENSSL_cleanse(p, text.len);
        }

        return DOI_ERROR;
    }

    out->len += text.len;

    return DOI_OK;
}


/* Writes in.len bytes to out; the tag is written, or read and checked. */

static int
doi_seal_run(const doi_key_t *key, int encrypt, doi_seal_parts_t *parts,
    doi_str_t in, uint8_t *out)
{
    int              rc, n;
    uint8_t          none[1];
    EVP_CIPHER_CTX  *ctx;

    if (in.len > INT_MAX || parts->aad.len > INT_MAX) {
        return DOI_ERROR;
    }

    ctx = EVP_CIPHER_CTX_new();

    if (ctx == NULL) {
        return DOI_ERROR;
    }

    rc = DOI_ERROR;

    if (EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->seal,
                          parts->nonce, encrypt)
        != 1
        || EVP_CipherUpdate(ctx, NULL, &n, parts->head, DOI_SEAL_HEAD) != 1
        || (parts->aad.len
            && EVP_CipherUpdate(ctx, NULL, &n, parts->aad.data,
                                (int) parts->aad.len)
               != 1)
        || (in.len
            && EVP_CipherUpdate(ctx, out, &n, in.data, (int) in.len) != 1))
    {
        goto done;
    }

    if (!encrypt
        && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, DOI_SEAL_TAG,
                               parts->tag)
           != 1)
    {
        goto done;
    }

    /* GCM has no last block: nothing is written, but the tag is checked */

    if (EVP_CipherFinal_ex(ctx, none, &n) != 1) {
        goto done;
    }

    if (encrypt
        && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, DOI_SEAL_TAG,
                               parts->tag)
           != 1)
    {
        goto done;
    }

    rc = DOI_OK;

done:

    EVP_CIPHER_CTX_free(ctx);

    return rc;
}


static size_t
doi_seal_room(const doi_buf_t *out)
{
    return out->size > out->len ? out->size - out->len : 0;
}


/*
 * The first 8 bytes of the MAC as a big-endian number, modulo 1,000,000: of
 * 2^64, no code is likelier than another by more than one in 10^13.
 */

int
doi_code(doi_keyring_t *ring, const uint8_t id[DOI_ID_SIZE], uint32_t *code)
{
    size_t     i;
    uint8_t    mac[DOI_SHA256_SIZE];
    uint64_t   number;
    doi_str_t  part;

    part.data = id;
    part.len = DOI_ID_SIZE;

    if (ring->count == 0
        || doi_hmac(ring->keys[0].mac[DOI_KEY_CODE], &part, 1, mac) != DOI_OK)
    {
        return DOI_ERROR;
    }

    number = 0;

    for (i = 0; i < 8; i++) {
        number = number << 8 | mac[i];
    }

    OPENSSL_cleanse(mac, sizeof(mac));

    *code = (uint32_t) (number % DOI_CODES);

    return DOI_OK;
}
