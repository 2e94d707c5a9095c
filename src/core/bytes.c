/*
 * Strings of bytes.  See bytes.h.
 */

#include <string.h>

#include <openssl/evp.h>

#include "bytes.h"


int
doi_str_same(doi_str_t a, doi_str_t b)
{
    return a.len == b.len
           && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}


int
doi_str_is(doi_str_t s, const char *text)
{
    return s.len == strlen(text)
           && (s.len == 0 || memcmp(s.data, text, s.len) == 0);
}


int
doi_str_like(doi_str_t s, const char *lower, size_t len)
{
    size_t   i;
    uint8_t  c;

    if (s.len != len) {
        return 0;
    }

    for (i = 0; i < len; i++) {
        c = s.data[i];

        if (c >= 'A' && c <= 'Z') {
            c |= 0x20;
        }

        if (c != (uint8_t) lower[i]) {
            return 0;
        }
    }

    return 1;
}


int
doi_str_take(doi_str_t *rest, size_t len, doi_str_t *str)
{
    if (len > rest->len) {
        return 0;
    }

    str->data = rest->data;
    str->len = len;

    if (len != 0) {
        rest->data += len;
        rest->len -= len;
    }

    return 1;
}


uint8_t *
doi_str_put(uint8_t *p, doi_str_t str)
{
    if (str.len != 0) {
        memcpy(p, str.data, str.len);
    }

    return p + str.len;
}


int
doi_zeros(const uint8_t *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (p[i] != 0) {
            return 0;
        }
    }

    return 1;
}


int
doi_digest(const doi_str_t *parts, size_t n, uint8_t *out, size_t size)
{
    int          rc;
    size_t       i;
    uint8_t      hash[EVP_MAX_MD_SIZE];
    EVP_MD_CTX  *ctx;

    ctx = EVP_MD_CTX_new();

    if (ctx == NULL) {
        return DOI_ERROR;
    }

    rc = EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);

    for (i = 0; rc == 1 && i < n; i++) {
        rc = parts[i].len == 0
             || EVP_DigestUpdate(ctx, parts[i].data, parts[i].len) == 1;
    }

    if (rc == 1 && EVP_DigestFinal_ex(ctx, hash, NULL) == 1) {
        memcpy(out, hash, size);

    } else {
        rc = 0;
    }

    EVP_MD_CTX_free(ctx);

    return rc == 1 ? DOI_OK : DOI_ERROR;
}


static inline uint64_t
hash_mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;

    return hash ^ hash >> 32;
}


/* Eight bytes at a time, each mixed in by an odd factor (Fibonacci hashing). */

uint32_t
doi_hash(doi_str_t s)
{
    size_t    i;
    uint64_t  hash, word;

    hash = s.len;

    for (i = 0; s.len - i >= sizeof(word); i += sizeof(word)) {
        memcpy(&word, s.data + i, sizeof(word));
        hash = hash_mix(hash, word);
    }

    for (word = 0; i < s.len; i++) {
        word = word << 8 | s.data[i];
    }

    return (uint32_t) hash_mix(hash, word);
}
