/*
 * The key ring as token.c and seal.c see it.
 */

#ifndef DOI_KEYRING_INTERNAL_H
#define DOI_KEYRING_INTERNAL_H

#include "hmac.h"
#include "token.h"


#define DOI_KEY_CODE        3       /* after the purposes, by purpose - 1 */
#define DOI_KEY_MACS        4

typedef struct {
    uint8_t       id;
    uint8_t       seal[DOI_SHA256_SIZE];    /* key of AES-256-GCM */
    EVP_MAC_CTX  *mac[DOI_KEY_MACS];
} doi_key_t;


struct doi_keyring_s {
    size_t        count;
    doi_key_t     keys[DOI_KEYS_MAX];       /* the first one signs */
};

#endif /* DOI_KEYRING_INTERNAL_H */
