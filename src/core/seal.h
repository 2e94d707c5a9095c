/*
 * Encryption at rest, with a key derived from the key ring.
 *
 *   offset  size  field
 *   0       1     version, 1
 *   1       1     key id
 *   2       12    nonce, random
 *   14      n     AES-256-GCM (NIST SP 800-38D) of the plain text
 *   14+n    16    tag
 *
 * Key: HKDF-SHA256 of the secret, empty salt, info = "doi/v1/seal", 32 bytes.
 * The first two bytes and what the caller binds it to (aad) are authenticated.
 */

#ifndef DOI_SEAL_H
#define DOI_SEAL_H

#include "token.h"


#define DOI_SEAL_NONCE      12
#define DOI_SEAL_OVERHEAD   30      /* bytes added to the plain text */


/* Seals with the first key, appends to out.  DOI_ERROR: no room, empty ring,
   libcrypto failed.  nonce: from a CSPRNG, never the same twice. */
int doi_seal(doi_keyring_t *ring, const uint8_t nonce[DOI_SEAL_NONCE],
    doi_str_t aad, doi_str_t plain, doi_buf_t *out);

/* Appends the plain text to out.  DOI_NOT_FOUND: the ring has no key of that
   id; DOI_ERROR: not authentic under it, malformed, or no room. */
int doi_unseal(doi_keyring_t *ring, doi_str_t aad, doi_str_t sealed,
    doi_buf_t *out);

/*
 * A code for people to type, six digits: 0 to 999999, from
 * HMAC-SHA256(HKDF(secret, info = "doi/v1/code"), id), with the first key.
 * DOI_ERROR: empty ring, libcrypto failed.
 */
int doi_code(doi_keyring_t *ring, const uint8_t id[DOI_ID_SIZE],
    uint32_t *code);

#endif /* DOI_SEAL_H */
