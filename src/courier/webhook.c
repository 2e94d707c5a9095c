/*
 * Standard Webhooks 1.0 (https://www.standardwebhooks.com): secrets and
 * signatures.  See message.h.
 */

#include <stdio.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "message.h"


#define DOI_SECRET_MIN      24      /* bytes */
#define DOI_SECRET_CHARS    ((DOI_WEBHOOK_SECRET_MAX + 2) / 3 * 4)

#define DOI_SECRET_PREFIX   "whsec_"
#define DOI_SIGN_PREFIX     "v1,"

#define DOI_HMAC_SIZE       32


static doi_str_t doi_trim(doi_str_t text);
static int doi_base64(doi_str_t text, size_t *padding);
static int doi_id_signable(doi_str_t id);
static int doi_hmac(const uint8_t *secret, size_t len, const doi_str_t *parts,
    size_t n, uint8_t mac[DOI_HMAC_SIZE]);


int
doi_webhook_secret(doi_str_t text, uint8_t secret[DOI_WEBHOOK_SECRET_MAX],
    size_t *len, const char **err)
{
    size_t   padding, prefix, n;
    uint8_t  decoded[DOI_SECRET_CHARS / 4 * 3];

    text = doi_trim(text);
    prefix = sizeof(DOI_SECRET_PREFIX) - 1;

    if (text.len < prefix
        || memcmp(text.data, DOI_SECRET_PREFIX, prefix) != 0)
    {
        *err = "does not start with \"whsec_\"";
        return DOI_ERROR;
    }

    text.data += prefix;
    text.len -= prefix;

    if (!doi_base64(text, &padding)) {
        *err = "is not \"whsec_\" and padded base64";
        return DOI_ERROR;
    }

    n = text.len / 4 * 3 - padding;

    if (n < DOI_SECRET_MIN || n > DOI_WEBHOOK_SECRET_MAX) {
        *err = "does not have 24 to 64 bytes";
        return DOI_ERROR;
    }

    if (EVP_DecodeBlock(decoded, text.data, (int) text.len) < 0) {
        *err = "is not \"whsec_\" and padded base64";
        return DOI_ERROR;
    }

    memcpy(secret, decoded, n);
    *len = n;

    OPENSSL_cleanse(decoded, sizeof(decoded));

    return DOI_OK;
}


int
doi_webhook_sign(const uint8_t *secret, size_t len, doi_str_t id,
    doi_time_t timestamp, doi_str_t body, char signature[DOI_WEBHOOK_SIGNATURE])
{
    int        n;
    char       stamp[16];
    uint8_t    mac[DOI_HMAC_SIZE];
    doi_str_t  parts[3];

    if (len == 0 || len > DOI_WEBHOOK_SECRET_MAX || !doi_id_signable(id)) {
        return DOI_ERROR;
    }

    n = snprintf(stamp, sizeof(stamp), ".%lu.", (unsigned long) timestamp);

    if (n < 0 || (size_t) n >= sizeof(stamp)) {
        return DOI_ERROR;
    }

    parts[0] = id;
    parts[1].data = (const uint8_t *) stamp;
    parts[1].len = (size_t) n;
    parts[2] = body;

    if (doi_hmac(secret, len, parts, 3, mac) != DOI_OK) {
        return DOI_ERROR;
    }

    memcpy(signature, DOI_SIGN_PREFIX, sizeof(DOI_SIGN_PREFIX) - 1);
    (void) EVP_EncodeBlock((unsigned char *) signature
                           + sizeof(DOI_SIGN_PREFIX) - 1, mac, DOI_HMAC_SIZE);

    return DOI_OK;
}


static doi_str_t
doi_trim(doi_str_t text)
{
    while (text.len && strchr(" \t\r\n", text.data[text.len - 1]) != NULL
           && text.data[text.len - 1] != '\0')
    {
        text.len--;
    }

    while (text.len && strchr(" \t\r\n", text.data[0]) != NULL
           && text.data[0] != '\0')
    {
        text.data++;
        text.len--;
    }

    return text;
}


/* EVP_DecodeBlock() alone takes blanks, and "=" for a digit. */

static int
doi_base64(doi_str_t text, size_t *padding)
{
    size_t   i, end;
    uint8_t  c;

    if (text.len == 0 || text.len % 4) {
        return 0;
    }

    end = text.len;

    while (text.len - end < 2 && text.data[end - 1] == '=') {
        end--;
    }

    *padding = text.len - end;

    for (i = 0; i < end; i++) {
        c = text.data[i];

        if ((c < '0' || c > '9') && (c < 'A' || c > 'Z')
            && (c < 'a' || c > 'z') && c != '+' && c != '/')
        {
            return 0;
        }
    }

    return 1;
}


/* A full stop would let one signature stand for two messages. */

static int
doi_id_signable(doi_str_t id)
{
    size_t  i;

    for (i = 0; i < id.len; i++) {

        if (id.data[i] <= ' ' || id.data[i] >= 0x7F || id.data[i] == '.') {
            return 0;
        }
    }

    return id.len != 0;
}


static int
doi_hmac(const uint8_t *secret, size_t len, const doi_str_t *parts, size_t n,
    uint8_t mac[DOI_HMAC_SIZE])
{
    int           ok;
    size_t        i, size;
    EVP_MAC      *hmac;
    OSSL_PARAM    params[2];
    EVP_MAC_CTX  *ctx;
    char          digest[] = "SHA256";

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest,
                                                 0);
    params[1] = OSSL_PARAM_construct_end();

    hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    ctx = hmac != NULL ? EVP_MAC_CTX_new(hmac) : NULL;

    ok = ctx != NULL && EVP_MAC_init(ctx, secret, len, params);

    for (i = 0; ok && i < n; i++) {
        ok = parts[i].len == 0
             || EVP_MAC_update(ctx, parts[i].data, parts[i].len);
    }

    ok = ok && EVP_MAC_final(ctx, mac, &size, DOI_HMAC_SIZE)
         && size == DOI_HMAC_SIZE;

    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(hmac);

    return ok ? DOI_OK : DOI_ERROR;
}
