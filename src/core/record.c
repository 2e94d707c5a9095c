/*
 * Codec of link records, version 1: the values of DOI_TABLE_LINKS.
 *
 *   offset  size  field
 *   0       1     version: 1
 *   1       1     bits: 0x01 minted by the API, 0x02 revoked; the last action
 *                 of an operator was to resolve: 0x04 as used, 0x08 as released
 *                 (not both); others zero
 *   2       4     expires, Unix seconds; ffffffff: not known
 *   6       4     changed, Unix seconds
 *   10      2     uses: 1 .. DOI_USES_MAX
 *   12      2     C, number of claims: 0 .. uses
 *   14      1     S, bytes of scope
 *   15      1     A, bytes of actor: at most DOI_ACTOR_MAX
 *   16      2     M, bytes of meta: at most DOI_META_MAX
 *   18      2     R, bytes of reason: at most DOI_REASON_MAX
 *   20      S     scope
 *           M     meta
 *           A     actor
 *           R     reason
 *           50*C  claims, in ascending order of slot
 *
 * One claim:
 *
 *   0       16    attempt
 *   16      16    browser; zeros: not known
 *   32      4     claimed, Unix seconds
 *   36      4     deadline, Unix seconds
 *   40      4     settled, Unix seconds; 0: never
 *   44      2     slot: 0 .. uses - 1
 *   46      2     status of the upstream; 0: none
 *   48      1     state: 1 claimed, 2 used, 3 in doubt
 *   49      1     bits: 0x01 released by age, 0x02 retry; others zero
 *
 * Numbers are unsigned and big-endian, so that a store can be moved to a
 * machine of another kind, and read in a hex dump.
 *
 * The id is the key of the row and is not repeated.  Lengths stand in front,
 * at fixed places: a record's size is known from its first 20 bytes and must be
 * that of the value, hence truncated and overlong ones are told apart from good
 * ones without a checksum (LMDB's pages are all or nothing anyway).  Claims are
 * of fixed size: variable-length numbers would save a dozen bytes of the usual
 * 70 and cost a loop that has to be right.  The largest record, 1000 uses, all
 * used, with every string at its limit, has 52,963 bytes.
 *
 * Decoding accepts only what encoding can have written, so that each link has
 * one representation, and a record by a later version is never half
 * understood: the transaction fails closed instead.
 */

#include <string.h>

#include "record.h"


#define DOI_RECORD_MINTED   0x01
#define DOI_RECORD_REVOKED  0x02
#define DOI_RECORD_RESOLVED 2       /* shift of doi_outcome_t: 1 or 2 */
#define DOI_RECORD_BITS     0x0f

_Static_assert(DOI_RECORD_MAX <= DOI_VALUE_MAX, "a record fits a row");
_Static_assert(DOI_RECORD_MAX <= DOI_REPLY_MAX, "a record fits an answer");
_Static_assert(DOI_SCOPE_KEEP <= 255, "the scope's length fits its byte");
_Static_assert(DOI_ACTOR_MAX <= 255, "the actor's length fits its byte");


static int doi_record_head(doi_str_t value, doi_link_t *link);
static int doi_record_claims(doi_str_t value, doi_link_t *link);
static int doi_record_check(const doi_link_t *link);
static int doi_record_check_claims(const doi_link_t *link);
static void doi_claim_decode(const uint8_t *p, doi_claim_t *claim);
static void doi_claim_encode(uint8_t *p, const doi_claim_t *claim);


int
doi_link_decode(doi_view_t *view, doi_str_t value, doi_link_t *link)
{
    if (doi_record_head(value, link) != DOI_OK) {
        return DOI_ERROR;
    }

    link->claims = view->alloc(view,
                               (link->nclaims + 1) * sizeof(doi_claim_t));
    if (link->claims == NULL) {
        return DOI_ERROR;
    }

    return doi_record_claims(value, link);
}


int
doi_link_parse(doi_str_t value, doi_link_t *link, doi_claim_t *claims,
    size_t room)
{
    if (doi_record_head(value, link) != DOI_OK || link->nclaims >= room) {
        return DOI_ERROR;
    }

    link->claims = claims;

    return doi_record_claims(value, link);
}


/* Everything but the claims; their number is right if this is DOI_OK. */

static int
doi_record_head(doi_str_t value, doi_link_t *link)
{
    const uint8_t  *p;

    memset(link, 0, sizeof(doi_link_t));

    p = value.data;

    if (value.len < DOI_RECORD_HEAD_SIZE || p[0] != DOI_RECORD_VERSION
        || (p[1] & ~DOI_RECORD_BITS)
        || p[1] >> DOI_RECORD_RESOLVED > DOI_OUTCOME_RELEASED)
    {
        return DOI_ERROR;
    }

    link->minted = (p[1] & DOI_RECORD_MINTED) != 0;
    link->revoked = (p[1] & DOI_RECORD_REVOKED) != 0;
    link->resolved = (uint8_t) (p[1] >> DOI_RECORD_RESOLVED);
    link->expires = doi_get32(p + 2);
    link->changed = doi_get32(p + 6);
    link->uses = doi_get16(p + 10);
    link->nclaims = doi_get16(p + 12);
    link->scope.len = p[14];
    link->actor.len = p[15];
    link->meta.len = doi_get16(p + 16);
    link->reason.len = doi_get16(p + 18);

    if (doi_record_check(link) != DOI_OK || doi_link_size(link) != value.len) {
        return DOI_ERROR;
    }

    link->scope.data = p + DOI_RECORD_HEAD_SIZE;
    link->meta.data = link->scope.data + link->scope.len;
    link->actor.data = link->meta.data + link->meta.len;
    link->reason.data = link->actor.data + link->actor.len;

    return DOI_OK;
}


static int
doi_record_claims(doi_str_t value, doi_link_t *link)
{
    size_t          i;
    const uint8_t  *p;

    p = value.data + value.len - link->nclaims * DOI_RECORD_CLAIM_SIZE;

    for (i = 0; i < link->nclaims; i++) {
        doi_claim_decode(p, &link->claims[i]);
        p += DOI_RECORD_CLAIM_SIZE;
    }

    return doi_record_check_claims(link);
}


int
doi_link_encode(const doi_link_t *link, doi_buf_t *out)
{
    size_t    i;
    uint8_t  *p;

    if (doi_record_check(link) != DOI_OK
        || doi_record_check_claims(link) != DOI_OK
        || doi_link_size(link) > out->size - out->len)
    {
        return DOI_ERROR;
    }

    p = out->data + out->len;

    p[0] = DOI_RECORD_VERSION;
    p[1] = (uint8_t) ((link->minted ? DOI_RECORD_MINTED : 0)
                      | (link->revoked ? DOI_RECORD_REVOKED : 0)
                      | link->resolved << DOI_RECORD_RESOLVED);
    doi_put32(p + 2, link->expires);
    doi_put32(p + 6, link->changed);
    doi_put16(p + 10, link->uses);
    doi_put16(p + 12, (uint16_t) link->nclaims);
    p[14] = (uint8_t) link->scope.len;
    p[15] = (uint8_t) link->actor.len;
    doi_put16(p + 16, (uint16_t) link->meta.len);
    doi_put16(p + 18, (uint16_t) link->reason.len);

    p = doi_str_put(p + DOI_RECORD_HEAD_SIZE, link->scope);
    p = doi_str_put(p, link->meta);
    p = doi_str_put(p, link->actor);
    p = doi_str_put(p, link->reason);

    for (i = 0; i < link->nclaims; i++) {
        doi_claim_encode(p, &link->claims[i]);
        p += DOI_RECORD_CLAIM_SIZE;
    }

    out->len += doi_link_size(link);

    return DOI_OK;
}


size_t
doi_link_size(const doi_link_t *link)
{
    return DOI_RECORD_HEAD_SIZE + link->scope.len + link->meta.len
           + link->actor.len + link->reason.len
           + link->nclaims * DOI_RECORD_CLAIM_SIZE;
}


/* One list of rules for both ways: what can be written can be read. */

static int
doi_record_check(const doi_link_t *link)
{
    if (link->uses == 0 || link->uses > DOI_USES_MAX
        || link->nclaims > link->uses
        || link->scope.len > DOI_SCOPE_KEEP
        || link->meta.len > DOI_META_MAX
        || link->actor.len > DOI_ACTOR_MAX
        || link->reason.len > DOI_REASON_MAX)
    {
        return DOI_ERROR;
    }

    return DOI_OK;
}


static int
doi_record_check_claims(const doi_link_t *link)
{
    size_t              i;
    const doi_claim_t  *claim;

    for (i = 0; i < link->nclaims; i++) {
        claim = &link->claims[i];

        if (claim->slot >= link->uses
            || (i > 0 && claim->slot <= claim[-1].slot)
            || claim->state < DOI_CLAIM_CLAIMED
            || claim->state > DOI_CLAIM_IN_DOUBT
            || (claim->flags & ~(DOI_CLAIM_RELEASE | DOI_CLAIM_RETRY)))
        {
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


static void
doi_claim_decode(const uint8_t *p, doi_claim_t *claim)
{
    memcpy(claim->attempt, p, DOI_ATTEMPT_SIZE);
    memcpy(claim->browser, p + 16, DOI_BROWSER_SIZE);
    claim->claimed = doi_get32(p + 32);
    claim->deadline = doi_get32(p + 36);
    claim->settled = doi_get32(p + 40);
    claim->slot = doi_get16(p + 44);
    claim->status = doi_get16(p + 46);
    claim->state = p[48];
    claim->flags = p[49];
    claim->pad = 0;
}


static void
doi_claim_encode(uint8_t *p, const doi_claim_t *claim)
{
    memcpy(p, claim->attempt, DOI_ATTEMPT_SIZE);
    memcpy(p + 16, claim->browser, DOI_BROWSER_SIZE);
    doi_put32(p + 32, claim->claimed);
    doi_put32(p + 36, claim->deadline);
    doi_put32(p + 40, claim->settled);
    doi_put16(p + 44, claim->slot);
    doi_put16(p + 46, claim->status);
    p[48] = claim->state;
    p[49] = claim->flags;
}
