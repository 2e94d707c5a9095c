/*
 * HMAC-SHA256 (RFC 2104) and HKDF-SHA256 (RFC 5869), of libcrypto.
 */

#ifndef DOI_HMAC_H
#define DOI_HMAC_H

#include <openssl/evp.h>

#include "doi.h"


#define DOI_SHA256_SIZE     32


/*
 * A keyed context instead of a key: starting again from one costs 0.2 us, from
 * the key 0.4 us, and without a context 1.1 us.  The caller frees it with
 * EVP_MAC_CTX_free(); NULL: out of memory, or the library cannot do it.
 */
EVP_MAC_CTX *doi_hmac_new(const uint8_t key[DOI_SHA256_SIZE]);

/* Of parts, one after the other.  One thread at a time has a context. */
int doi_hmac(EVP_MAC_CTX *ctx, const doi_str_t *parts, size_t n,
    uint8_t mac[DOI_SHA256_SIZE]);

int doi_hkdf(doi_str_t secret, const char *info,
    uint8_t derived[DOI_SHA256_SIZE]);

#endif /* DOI_HMAC_H */
