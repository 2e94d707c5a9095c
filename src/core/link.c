/*
 * The states of a link and of its claims, computed from the record and the
 * clock (link.h).
 */

#include <string.h>

#include "link.h"
#include "record.h"


static const doi_claim_t *doi_link_own(const doi_link_t *link, doi_time_t now,
    const uint8_t *browser);
static int doi_link_own_rank(int state);


const char *
doi_link_state_name(doi_link_state_t state)
{
    switch (state) {

    case DOI_LINK_FRESH:
        return "fresh";

    case DOI_LINK_CLAIMED:
        return "claimed";

    case DOI_LINK_USED:
        return "used";

    case DOI_LINK_IN_DOUBT:
        return "in_doubt";

    case DOI_LINK_REVOKED:
        return "revoked";

    case DOI_LINK_EXPIRED:
        return "expired";

    default:
        return "unknown";
    }
}


int
doi_claim_state(const doi_claim_t *claim, doi_time_t now)
{
    if (claim->state == DOI_CLAIM_USED) {
        return DOI_CLAIM_USED;
    }

    if (now >= claim->deadline) {
        return (claim->flags & DOI_CLAIM_RELEASE) ? 0 : DOI_CLAIM_IN_DOUBT;
    }

    return claim->state;
}


doi_link_state_t
doi_link_state(const doi_link_t *link, doi_time_t now, const uint8_t *browser,
    const doi_claim_t **own)
{
    size_t              i, n[DOI_CLAIM_IN_DOUBT + 1];
    doi_link_state_t    state;
    const doi_claim_t  *mine;
    static const doi_link_state_t  names[] = {
        DOI_LINK_FRESH, DOI_LINK_CLAIMED, DOI_LINK_USED, DOI_LINK_IN_DOUBT
    };

    if (own != NULL) {
        *own = NULL;
    }

    if (link == NULL) {
        return DOI_LINK_FRESH;
    }

    mine = doi_link_own(link, now, browser);

    if (link->revoked) {

        /* Who has booked keeps the booking, and may look at it. */

        if (mine == NULL || mine->state != DOI_CLAIM_USED) {
            return DOI_LINK_REVOKED;
        }

        state = DOI_LINK_USED;
        goto found;
    }

    if (link->expires != UINT32_MAX && now >= link->expires) {
        return DOI_LINK_EXPIRED;
    }

    memset(n, 0, sizeof(n));

    for (i = 0; i < link->nclaims; i++) {
        n[doi_claim_state(&link->claims[i], now)]++;
    }

    if (link->nclaims - n[0] < link->uses) {
        return DOI_LINK_FRESH;
    }

    if (mine != NULL) {
        state = names[doi_claim_state(mine, now)];
        goto found;
    }

    if (n[DOI_CLAIM_CLAIMED]) {
        return DOI_LINK_CLAIMED;
    }

    return n[DOI_CLAIM_IN_DOUBT] ? DOI_LINK_IN_DOUBT : DOI_LINK_USED;

found:

    if (own != NULL) {
        *own = mine;
    }

    return state;
}


/*
 * The claim that tells a browser most: one in flight, one in doubt, or its
 * latest booking; of a revoked link only a booking counts.
 */

static const doi_claim_t *
doi_link_own(const doi_link_t *link, doi_time_t now, const uint8_t *browser)
{
    int                 rank, best;
    size_t              i;
    const doi_claim_t  *claim, *own;
    static const uint8_t  nobody[DOI_BROWSER_SIZE];

    if (browser == NULL || memcmp(browser, nobody, DOI_BROWSER_SIZE) == 0) {
        return NULL;
    }

    own = NULL;
    best = 0;

    for (i = 0; i < link->nclaims; i++) {
        claim = &link->claims[i];

        if (memcmp(claim->browser, browser, DOI_BROWSER_SIZE) != 0
            || (link->revoked && claim->state != DOI_CLAIM_USED))
        {
            continue;
        }

        rank = doi_link_own_rank(doi_claim_state(claim, now));

        if (rank > best
            || (own != NULL && rank == best && claim->settled >= own->settled))
        {
            own = claim;
            best = rank;
        }
    }

    return own;
}


static int
doi_link_own_rank(int state)
{
    switch (state) {

    case DOI_CLAIM_CLAIMED:
        return 3;

    case DOI_CLAIM_IN_DOUBT:
        return 2;

    case DOI_CLAIM_USED:
        return 1;

    default:
        return 0;
    }
}


int
doi_link_get(doi_view_t *view, const uint8_t id[DOI_ID_SIZE], doi_link_t *link)
{
    int        rc;
    doi_str_t  key, value;

    key.data = id;
    key.len = DOI_ID_SIZE;

    rc = view->get(view, DOI_TABLE_LINKS, key, &value);

    if (rc == DOI_NOT_FOUND) {
        return DOI_NOT_FOUND;
    }

    if (rc != DOI_OK || doi_link_decode(view, value, link) != DOI_OK) {
        return DOI_ERROR;
    }

    memcpy(link->id, id, DOI_ID_SIZE);

    return DOI_OK;
}


void
doi_open_key(doi_time_t deadline, const uint8_t id[DOI_ID_SIZE], uint16_t slot,
    uint8_t key[DOI_OPEN_KEY_SIZE])
{
    doi_put32(key, deadline);
    memcpy(key + 4, id, DOI_ID_SIZE);
    doi_put16(key + 4 + DOI_ID_SIZE, slot);
}
