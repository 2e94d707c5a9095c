/*
 * Numbers in rows and on the wire, and what all do with strings of bytes.
 */

#ifndef DOI_BYTES_H
#define DOI_BYTES_H

#include "doi.h"


/* True if they are the same. */
int doi_str_same(doi_str_t a, doi_str_t b);
int doi_str_is(doi_str_t s, const char *text);

/* In any case; lower has len bytes. */
int doi_str_like(doi_str_t s, const char *lower, size_t len);

/* Takes len bytes off the front of rest; false if there are not as many. */
int doi_str_take(doi_str_t *rest, size_t len, doi_str_t *str);

/* Writes it to p, and returns what comes behind. */
uint8_t *doi_str_put(uint8_t *p, doi_str_t str);

int doi_zeros(const uint8_t *p, size_t len);

/* SHA-256 of parts, cut to size bytes. */
int doi_digest(const doi_str_t *parts, size_t n, uint8_t *out, size_t size);

/* For a hash table in memory: good in all bits, not to be stored. */
uint32_t doi_hash(doi_str_t s);


/* Big-endian. */

static inline void
doi_put16(uint8_t *p, uint16_t n)
{
    p[0] = (uint8_t) (n >> 8);
    p[1] = (uint8_t) n;
}


static inline void
doi_put32(uint8_t *p, uint32_t n)
{
    p[0] = (uint8_t) (n >> 24);
    p[1] = (uint8_t) (n >> 16);
    p[2] = (uint8_t) (n >> 8);
    p[3] = (uint8_t) n;
}


static inline uint16_t
doi_get16(const uint8_t *p)
{
    return (uint16_t) ((unsigned) p[0] << 8 | p[1]);
}


static inline uint32_t
doi_get32(const uint8_t *p)
{
    return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16
           | (uint32_t) p[2] << 8 | p[3];
}

#endif /* DOI_BYTES_H */
