/*
 * HMAC-SHA256 and HKDF-SHA256, of libcrypto.
 */

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/opensslv.h>
#include <openssl/params.h>

#include "hmac.h"


/*
 * Until 3.0.2 EVP_MAC_init() took a NULL key for "carry on" instead of "start
 * again with the same key" (openssl issue 17811), and said it had succeeded.
 */

#if (OPENSSL_VERSION_NUMBER < 0x30000030L)
#error OpenSSL 3.0.3 or newer is required
#endif


EVP_MAC_CTX *
doi_hmac_new(const uint8_t key[DOI_SHA256_SIZE])
{
    uint8_t       mac[2][DOI_SHA256_SIZE];
    EVP_MAC      *hmac;
    OSSL_PARAM    params[2];
    EVP_MAC_CTX  *ctx;

    hmac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
    ctx = hmac != NULL ? EVP_MAC_CTX_new(hmac) : NULL;
    EVP_MAC_free(hmac);

    if (ctx == NULL) {
        return NULL;
    }

    /* libcrypto only reads what it points to; the cast is its API's */

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                                 (char *) "SHA256", 0);
    params[1] = OSSL_PARAM_construct_end();

    /*
     * The library that is loaded may be older than the headers: see that it
     * does start again with the same key.
     */

    if (EVP_MAC_init(ctx, key, DOI_SHA256_SIZE, params) != 1
        || doi_hmac(ctx, NULL, 0, mac[0]) != DOI_OK
        || doi_hmac(ctx, NULL, 0, mac[1]) != DOI_OK
        || CRYPTO_memcmp(mac[0], mac[1], DOI_SHA256_SIZE) != 0)
    {
        EVP_MAC_CTX_free(ctx);
        return NULL;
    }

    return ctx;
}


int
doi_hmac(EVP_MAC_CTX *ctx, const doi_str_t *parts, size_t n,
    uint8_t mac[DOI_SHA256_SIZE])
{
    size_t  i, len;

    if (EVP_MAC_init(ctx, NULL, 0, NULL) != 1) {
        return DOI_ERROR;
    }

    for (i = 0; i < n; i++) {
        if (parts[i].len != 0
            && EVP_MAC_update(ctx, parts[i].data, parts[i].len) != 1)
        {
            return DOI_ERROR;
        }
    }

    return EVP_MAC_final(ctx, mac, &len, DOI_SHA256_SIZE) == 1
           && len == DOI_SHA256_SIZE
           ? DOI_OK : DOI_ERROR;
}


int
doi_hkdf(doi_str_t secret, const char *info, uint8_t derived[DOI_SHA256_SIZE])
{
    int           rc;
    EVP_KDF      *kdf;
    OSSL_PARAM    params[4];
    EVP_KDF_CTX  *ctx;

    kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_HKDF, NULL);
    ctx = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
    EVP_KDF_free(kdf);

    if (ctx == NULL) {
        return DOI_ERROR;
    }

    /* libcrypto only reads what these point to; the casts are its API's */

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
                                                 (char *) "SHA256", 0);
    params[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
                                                  (void *) secret.data,
                                                  secret.len);
    params[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO,
                                                  (void *) info, strlen(info));
    params[3] = OSSL_PARAM_construct_end();

    rc = EVP_KDF_derive(ctx, derived, DOI_SHA256_SIZE, params) > 0 ? DOI_OK
                                                                   : DOI_ERROR;
    EVP_KDF_CTX_free(ctx);

    return rc;
}
