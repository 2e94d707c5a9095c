/*
 * Basic types that every layer shares.
 *
 * src/core is pure: libc and libcrypto only, no I/O, no clock, no global
 * state.  Time, randomness and memory are passed in.
 */

#ifndef DOI_H
#define DOI_H

#include <stddef.h>
#include <stdint.h>


/* Bytes that somebody else owns; data may be NULL only if len is 0. */

typedef struct {
    const uint8_t  *data;
    size_t          len;
} doi_str_t;

#define doi_str(text)       { (const uint8_t *) text, sizeof(text) - 1 }


/*
 * A bounded output buffer.  Writers append at data + len and never exceed
 * size; they return DOI_ERROR when it does not fit.
 */

typedef struct {
    uint8_t  *data;
    size_t    len;
    size_t    size;
} doi_buf_t;


/*
 * Results of reading: DOI_OK, DOI_NOT_FOUND, or DOI_ERROR.
 */

#define DOI_OK              0
#define DOI_NOT_FOUND       1
#define DOI_ERROR         (-1)


/*
 * Seconds since the Unix epoch, as wide as the expiry field of a token: the
 * format ends in February 2106.
 */

typedef uint32_t  doi_time_t;


#define DOI_ID_SIZE         12      /* bytes of a token's id                */
#define DOI_ID_CHARS        16      /* the same in unpadded base64url       */
#define DOI_ATTEMPT_SIZE    16      /* random bytes that name one attempt   */
#define DOI_BROWSER_SIZE    16      /* truncated SHA-256 of a cookie value  */

#endif /* DOI_H */
