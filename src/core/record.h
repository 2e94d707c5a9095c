/*
 * What record.c offers to the rest of the core besides doi_link_decode and
 * doi_link_encode (link.h): sizes, and decoding into memory of the caller's
 * own.
 */

#ifndef DOI_RECORD_H
#define DOI_RECORD_H

#include "bytes.h"
#include "link.h"


#define DOI_RECORD_VERSION      1

#define DOI_RECORD_HEAD_SIZE    20      /* bytes before the strings */
#define DOI_RECORD_CLAIM_SIZE   50      /* bytes of one claim       */

#define DOI_RECORD_MAX                                                        \
    (DOI_RECORD_HEAD_SIZE + DOI_SCOPE_KEEP + DOI_META_MAX + DOI_ACTOR_MAX     \
     + DOI_REASON_MAX + DOI_USES_MAX * DOI_RECORD_CLAIM_SIZE)


/*
 * As doi_link_decode, but the claims go to an array of the caller's with room
 * for that many; one is kept free.  The strings point into value.
 */
int doi_link_parse(doi_str_t value, doi_link_t *link, doi_claim_t *claims,
    size_t room);

/* The bytes that doi_link_encode needs. */
size_t doi_link_size(const doi_link_t *link);

#endif /* DOI_RECORD_H */
