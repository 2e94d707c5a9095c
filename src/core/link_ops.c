/*
 * The transactions that visitors cause: CLAIM, SETTLE and READ, and what all
 * transactions on links share.
 *
 * Arguments come from other processes of this machine, but no length in them
 * is trusted: one that is not well-formed is a CONFLICT without an answer.
 * What cannot be read (driver error, record of a later version) is a RETRY:
 * nobody gets in on the strength of a guess.
 */

#include <string.h>

#include "booking_ops.h"
#include "consent_ops.h"


static doi_result_t doi_op_claim(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
static int doi_claim_load(doi_view_t *view, const doi_claim_arg_t *a,
    doi_link_t *link);
static doi_claim_t *doi_claim_find(const doi_link_t *link,
    const uint8_t *attempt);
static int doi_claim_take(doi_view_t *view, doi_link_t *link,
    const doi_claim_arg_t *a, doi_time_t now, doi_claim_t **taken);
static doi_claim_t *doi_claim_take_free(doi_link_t *link);
static doi_claim_t *doi_claim_take_over(const doi_link_t *link,
    doi_time_t now);
static doi_result_t doi_claim_won(const doi_claim_arg_t *a,
    const doi_claim_t *claim, doi_buf_t *out);
static doi_result_t doi_claim_refuse(const doi_link_t *link, doi_time_t now,
    const doi_claim_arg_t *a, const doi_claim_t *same, doi_buf_t *out);
static void doi_answer_own(doi_link_answer_t *answer, const doi_claim_t *own);
static doi_time_t doi_link_earliest(const doi_link_t *link, doi_time_t now);
static int doi_browser_is(const doi_claim_t *claim, const uint8_t *browser);
static doi_result_t doi_op_settle(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
static doi_result_t doi_settle_claim(doi_view_t *view, doi_time_t now,
    const doi_settle_arg_t *a, doi_link_t *link, doi_claim_t *claim);
static doi_result_t doi_op_read(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
static int doi_arg(doi_str_t arg, void *data, size_t size);


doi_txn_pt
doi_op_function(unsigned op)
{
    switch (op) {

    case DOI_OP_LINK_CLAIM:
        return doi_op_claim;

    case DOI_OP_LINK_SETTLE:
        return doi_op_settle;

    case DOI_OP_LINK_READ:
        return doi_op_read;

    case DOI_OP_LINK_MINT:
        return doi_op_mint;

    case DOI_OP_LINK_REVOKE:
        return doi_op_revoke;

    case DOI_OP_LINK_RESOLVE:
        return doi_op_resolve;

    case DOI_OP_SWEEP:
        return doi_op_sweep;

    case DOI_OP_BOOKING_HOLD:
        return doi_op_booking_hold;

    case DOI_OP_BOOKING_CLAIM:
        return doi_op_booking_claim;

    case DOI_OP_BOOKING_SETTLE:
        return doi_op_booking_settle;

    case DOI_OP_BOOKING_READ:
        return doi_op_booking_read;

    case DOI_OP_BOOKING_CANCEL:
        return doi_op_booking_cancel;

    case DOI_OP_BOOKING_RESOLVE:
        return doi_op_booking_resolve;

    case DOI_OP_BOOKING_RESEND:
        return doi_op_booking_resend;

    case DOI_OP_BOOKING_SWEEP:
        return doi_op_booking_sweep;

    case DOI_OP_SUPPRESS:
        return doi_op_suppress;

    case DOI_OP_OUTBOX_FANOUT:
        return doi_op_outbox_fanout;

    case DOI_OP_OUTBOX_UPDATE:
        return doi_op_outbox_update;

    case DOI_OP_CONSENT_EVENT:
        return doi_op_consent_event;

    case DOI_OP_CONSENT_BATCH:
        return doi_op_consent_batch;

    case DOI_OP_CONSENT_TOKEN:
        return doi_op_consent_token;

    case DOI_OP_CONSENT_ERASE:
        return doi_op_consent_erase;

    case DOI_OP_CONSENT_REVIEW:
        return doi_op_consent_review;

    case DOI_OP_CONSENT_SWEEP:
        return doi_op_consent_sweep;

    case DOI_OP_LEDGER_INIT:
        return doi_op_ledger_init;

    case DOI_OP_LEDGER_SEAL:
        return doi_op_ledger_seal;

    case DOI_OP_LIMIT:
        return doi_op_limit;

    default:
        return NULL;
    }
}


/* The visitor was answered before; a settlement is for the books. */

int
doi_op_is_patient(unsigned op)
{
    return op == DOI_OP_LINK_SETTLE;
}


static doi_result_t
doi_op_claim(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    int              rc;
    doi_link_t       link;
    doi_time_t       known;
    doi_claim_t     *claim;
    doi_claim_arg_t  a;

    if (!doi_arg(arg, &a, sizeof(a))) {
        return DOI_CONFLICT;
    }

    if (doi_claim_load(view, &a, &link) != DOI_OK) {
        return DOI_RETRY;
    }

    /*
     * An attempt that is run again has won already, whatever happened to the
     * link in the meantime; refused, it would leave a claim of nobody's.
     */

    claim = doi_claim_find(&link, a.attempt);

    if (claim != NULL && doi_claim_state(claim, now) == DOI_CLAIM_CLAIMED) {
        return doi_claim_won(&a, claim, out);
    }

    /* The token's expiry is authentic, the record's is a copy. */

    known = link.expires;
    link.expires = a.expires;

    if (now >= a.expires || link.revoked) {
        return doi_claim_refuse(&link, now, &a, NULL, out);
    }

    if (doi_link_release_aged(view, &link, now, NULL) != DOI_OK) {
        return DOI_RETRY;
    }

    claim = doi_claim_find(&link, a.attempt);

    if (claim != NULL) {
        return doi_claim_refuse(&link, now, &a, claim, out);
    }

    rc = doi_claim_take(view, &link, &a, now, &claim);

    if (rc == DOI_NOT_FOUND) {
        return doi_claim_refuse(&link, now, &a, NULL, out);
    }

    /* A record must not be dropped before the last token for it expires. */

    if (known != UINT32_MAX && known > link.expires) {
        link.expires = known;
    }

    if (rc != DOI_OK || doi_link_store(view, &link, now) != DOI_OK) {
        return DOI_RETRY;
    }

    return doi_claim_won(&a, claim, out);
}


/* The record, or what a link that nobody has touched would have as one. */

static int
doi_claim_load(doi_view_t *view, const doi_claim_arg_t *a, doi_link_t *link)
{
    int  rc;

    rc = doi_link_get(view, a->id, link);

    if (rc != DOI_NOT_FOUND) {
        return rc;
    }

    memset(link, 0, sizeof(doi_link_t));
    memcpy(link->id, a->id, DOI_ID_SIZE);
    link->expires = a->expires;
    link->uses = 1;
    link->claims = view->alloc(view, sizeof(doi_claim_t));

    return link->claims != NULL ? DOI_OK : DOI_ERROR;
}


static doi_claim_t *
doi_claim_find(const doi_link_t *link, const uint8_t *attempt)
{
    size_t  i;

    for (i = 0; i < link->nclaims; i++) {
        if (memcmp(link->claims[i].attempt, attempt, DOI_ATTEMPT_SIZE) == 0) {
            return &link->claims[i];
        }
    }

    return NULL;
}


/* DOI_NOT_FOUND: there is no slot to be had. */

static int
doi_claim_take(doi_view_t *view, doi_link_t *link, const doi_claim_arg_t *a,
    doi_time_t now, doi_claim_t **taken)
{
    uint8_t       flags;
    uint16_t      slot;
    uint32_t      timeout;
    doi_claim_t  *claim;

    flags = a->flags & DOI_CLAIM_RELEASE;
    claim = doi_claim_take_free(link);

    if (claim == NULL && (a->flags & DOI_CLAIM_IDEMPOTENT)) {
        claim = doi_claim_take_over(link, now);

        if (claim != NULL && doi_claim_row_del(view, link, claim) != DOI_OK) {
            return DOI_ERROR;
        }

        flags |= DOI_CLAIM_RETRY;
    }

    if (claim == NULL) {
        return DOI_NOT_FOUND;
    }

    /* A claim that ends when it begins would never be seen as claimed. */

    timeout = a->timeout ? a->timeout : 1;
    slot = claim->slot;

    memset(claim, 0, sizeof(doi_claim_t));
    memcpy(claim->attempt, a->attempt, DOI_ATTEMPT_SIZE);
    memcpy(claim->browser, a->browser, DOI_BROWSER_SIZE);
    claim->claimed = now;
    claim->deadline = timeout > UINT32_MAX - now ? UINT32_MAX : now + timeout;
    claim->slot = slot;
    claim->state = DOI_CLAIM_CLAIMED;
    claim->flags = flags;

    *taken = claim;

    return doi_claim_row_put(view, link, claim);
}


/* Makes room for a claim of the lowest free slot. */

static doi_claim_t *
doi_claim_take_free(doi_link_t *link)
{
    size_t        i;
    doi_claim_t  *claim;

    /* In ascending order without gaps, claim i has slot i. */

    for (i = 0; i < link->nclaims; i++) {
        if (link->claims[i].slot != i) {
            break;
        }
    }

    if (i >= link->uses) {
        return NULL;
    }

    claim = &link->claims[i];

    memmove(claim + 1, claim, (link->nclaims - i) * sizeof(doi_claim_t));
    link->nclaims++;
    claim->slot = (uint16_t) i;

    return claim;
}


static doi_claim_t *
doi_claim_take_over(const doi_link_t *link, doi_time_t now)
{
    size_t  i;

    for (i = 0; i < link->nclaims; i++) {
        if (doi_claim_state(&link->claims[i], now) == DOI_CLAIM_IN_DOUBT) {
            return &link->claims[i];
        }
    }

    return NULL;
}


static doi_result_t
doi_claim_won(const doi_claim_arg_t *a, const doi_claim_t *claim,
    doi_buf_t *out)
{
    doi_link_answer_t  answer;

    memset(&answer, 0, sizeof(answer));
    answer.state = DOI_LINK_CLAIMED;
    answer.own = (uint8_t) doi_browser_is(claim, a->browser);
    answer.flags = claim->flags;
    answer.slot = claim->slot;
    answer.deadline = claim->deadline;

    return doi_answer(out, &answer, sizeof(answer)) == DOI_OK ? DOI_WON
                                                              : DOI_RETRY;
}


/* same: the claim of this very attempt, which has been settled. */

static doi_result_t
doi_claim_refuse(const doi_link_t *link, doi_time_t now,
    const doi_claim_arg_t *a, const doi_claim_t *same, doi_buf_t *out)
{
    const doi_claim_t  *own;
    doi_link_answer_t   answer;

    memset(&answer, 0, sizeof(answer));
    own = NULL;

    if (now >= a->expires) {
        answer.state = DOI_LINK_EXPIRED;

    } else if (same != NULL) {
        answer.state = doi_claim_state(same, now) == DOI_CLAIM_USED
                       ? DOI_LINK_USED : DOI_LINK_IN_DOUBT;
        own = doi_browser_is(same, a->browser) ? same : NULL;

    } else {
        answer.state = (uint8_t) doi_link_state(link, now, a->browser, &own);
    }

    doi_answer_own(&answer, own);

    if (answer.state == DOI_LINK_CLAIMED) {
        answer.deadline = doi_link_earliest(link, now);
    }

    return doi_answer(out, &answer, sizeof(answer)) == DOI_OK ? DOI_CONFLICT
                                                              : DOI_RETRY;
}


static void
doi_answer_own(doi_link_answer_t *answer, const doi_claim_t *own)
{
    if (own != NULL) {
        answer->own = 1;
        answer->slot = own->slot;
        answer->status = own->status;
        answer->settled = own->settled;
    }
}


/* The first moment at which a claim in flight may have ended. */

static doi_time_t
doi_link_earliest(const doi_link_t *link, doi_time_t now)
{
    size_t      i;
    doi_time_t  earliest;

    earliest = UINT32_MAX;

    for (i = 0; i < link->nclaims; i++) {
        if (doi_claim_state(&link->claims[i], now) == DOI_CLAIM_CLAIMED
            && link->claims[i].deadline < earliest)
        {
            earliest = link->claims[i].deadline;
        }
    }

    return earliest;
}


static int
doi_browser_is(const doi_claim_t *claim, const uint8_t *browser)
{
    static const uint8_t  nobody[DOI_BROWSER_SIZE];

    return memcmp(browser, nobody, DOI_BROWSER_SIZE) != 0
           && memcmp(claim->browser, browser, DOI_BROWSER_SIZE) == 0;
}


static doi_result_t
doi_op_settle(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    int                rc;
    doi_link_t         link;
    doi_claim_t       *claim;
    doi_settle_arg_t   a;

    (void) out;

    if (!doi_arg(arg, &a, sizeof(a))
        || a.outcome < DOI_OUTCOME_USED || a.outcome > DOI_OUTCOME_IN_DOUBT)
    {
        return DOI_CONFLICT;
    }

    rc = doi_link_get(view, a.id, &link);

    if (rc == DOI_ERROR) {
        return DOI_RETRY;
    }

    claim = (rc == DOI_OK) ? doi_claim_find(&link, a.attempt) : NULL;

    if (claim == NULL) {
        return a.outcome == DOI_OUTCOME_RELEASED ? DOI_WON : DOI_CONFLICT;
    }

    if (claim->state == DOI_CLAIM_USED) {
        return a.outcome == DOI_OUTCOME_USED ? DOI_WON : DOI_CONFLICT;
    }

    if (claim->state == DOI_CLAIM_IN_DOUBT
        && a.outcome == DOI_OUTCOME_IN_DOUBT)
    {
        return DOI_WON;
    }

    return doi_settle_claim(view, now, &a, &link, claim);
}


/*
 * The claim is in flight or in doubt, maybe released by age but not yet
 * dropped.  An upstream that answers late is believed in all these cases: its
 * answer is worth more than a deadline.
 */

static doi_result_t
doi_settle_claim(doi_view_t *view, doi_time_t now, const doi_settle_arg_t *a,
    doi_link_t *link, doi_claim_t *claim)
{
    int  rc;

    claim->status = a->status;

    switch (a->outcome) {

    case DOI_OUTCOME_USED:
        rc = doi_claim_used(view, link, claim, now);
        break;

    case DOI_OUTCOME_IN_DOUBT:
        rc = doi_claim_doubt(view, link, claim, now);
        break;

    default: /* DOI_OUTCOME_RELEASED */

        /* a retry that got no answer tells nothing of the attempt before */

        rc = ((claim->flags & DOI_CLAIM_RETRY) && a->status == 0)
             ? doi_claim_doubt(view, link, claim, now)
             : doi_claim_remove(view, link, claim);
    }

    if (rc != DOI_OK || doi_link_store_or_forget(view, link, now) != DOI_OK) {
        return DOI_RETRY;
    }

    return DOI_WON;
}


static doi_result_t
doi_op_read(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    int                 rc;
    doi_link_t          link;
    doi_read_arg_t      a;
    const doi_claim_t  *own;
    doi_link_answer_t   answer;

    if (!doi_arg(arg, &a, sizeof(a))) {
        return DOI_CONFLICT;
    }

    rc = doi_link_get(view, a.id, &link);

    if (rc == DOI_ERROR) {
        return DOI_RETRY;
    }

    memset(&answer, 0, sizeof(answer));
    answer.state = (uint8_t) doi_link_state(rc == DOI_OK ? &link : NULL, now,
                                            a.browser, &own);
    doi_answer_own(&answer, own);

    if (answer.state == DOI_LINK_CLAIMED) {
        answer.deadline = doi_link_earliest(&link, now);
    }

    return doi_answer(out, &answer, sizeof(answer)) == DOI_OK ? DOI_WON
                                                              : DOI_RETRY;
}


/* An argument of fixed size. */

static int
doi_arg(doi_str_t arg, void *data, size_t size)
{
    if (arg.len != size) {
        return 0;
    }

    memcpy(data, arg.data, size);

    return 1;
}


int
doi_answer(doi_buf_t *out, const void *data, size_t len)
{
    if (len > out->size - out->len) {
        return DOI_ERROR;
    }

    memcpy(out->data + out->len, data, len);
    out->len += len;

    return DOI_OK;
}


void
doi_claim_row(const doi_link_t *link, const doi_claim_t *claim,
    uint8_t key[DOI_OPEN_KEY_SIZE])
{
    doi_time_t  deadline;

    deadline = claim->deadline;

    if (claim->state == DOI_CLAIM_IN_DOUBT
        && !(claim->flags & DOI_CLAIM_RELEASE))
    {
        deadline = 0;
    }

    doi_open_key(deadline, link->id, claim->slot, key);
}


int
doi_claim_row_put(doi_view_t *view, const doi_link_t *link,
    const doi_claim_t *claim)
{
    uint8_t    row[DOI_OPEN_KEY_SIZE];
    doi_str_t  key, empty;

    doi_claim_row(link, claim, row);

    key.data = row;
    key.len = sizeof(row);
    empty.data = NULL;
    empty.len = 0;

    return view->put(view, DOI_TABLE_OPEN, key, empty) == DOI_OK ? DOI_OK
                                                                 : DOI_ERROR;
}


int
doi_claim_row_del(doi_view_t *view, const doi_link_t *link,
    const doi_claim_t *claim)
{
    uint8_t    row[DOI_OPEN_KEY_SIZE];
    doi_str_t  key;

    if (claim->state == DOI_CLAIM_USED) {
        return DOI_OK;
    }

    doi_claim_row(link, claim, row);

    key.data = row;
    key.len = sizeof(row);

    return view->del(view, DOI_TABLE_OPEN, key) == DOI_OK ? DOI_OK : DOI_ERROR;
}


int
doi_claim_used(doi_view_t *view, const doi_link_t *link, doi_claim_t *claim,
    doi_time_t now)
{
    if (doi_claim_row_del(view, link, claim) != DOI_OK) {
        return DOI_ERROR;
    }

    claim->state = DOI_CLAIM_USED;
    claim->settled = now;

    return DOI_OK;
}


int
doi_claim_doubt(doi_view_t *view, const doi_link_t *link, doi_claim_t *claim,
    doi_time_t now)
{
    if (doi_claim_row_del(view, link, claim) != DOI_OK) {
        return DOI_ERROR;
    }

    claim->state = DOI_CLAIM_IN_DOUBT;
    claim->settled = now;

    return doi_claim_row_put(view, link, claim);
}


int
doi_claim_remove(doi_view_t *view, doi_link_t *link, doi_claim_t *claim)
{
    size_t  i;

    if (doi_claim_row_del(view, link, claim) != DOI_OK) {
        return DOI_ERROR;
    }

    i = (size_t) (claim - link->claims);
    link->nclaims--;

    memmove(claim, claim + 1, (link->nclaims - i) * sizeof(doi_claim_t));

    return DOI_OK;
}


int
doi_link_release_aged(doi_view_t *view, doi_link_t *link, doi_time_t now,
    uint32_t *n)
{
    size_t  i;

    i = 0;

    while (i < link->nclaims) {
        if (doi_claim_state(&link->claims[i], now) != 0) {
            i++;
            continue;
        }

        if (doi_claim_remove(view, link, &link->claims[i]) != DOI_OK) {
            return DOI_ERROR;
        }

        if (n != NULL) {
            (*n)++;
        }
    }

    return DOI_OK;
}


int
doi_link_store(doi_view_t *view, doi_link_t *link, doi_time_t now)
{
    doi_buf_t  buf;
    doi_str_t  key, value;

    link->changed = now;

    buf.len = 0;
    buf.size = doi_link_size(link);
    buf.data = view->alloc(view, buf.size);

    if (buf.data == NULL || doi_link_encode(link, &buf) != DOI_OK) {
        return DOI_ERROR;
    }

    key.data = link->id;
    key.len = DOI_ID_SIZE;
    value.data = buf.data;
    value.len = buf.len;

    return view->put(view, DOI_TABLE_LINKS, key, value) == DOI_OK ? DOI_OK
                                                                  : DOI_ERROR;
}


int
doi_link_store_or_forget(doi_view_t *view, doi_link_t *link, doi_time_t now)
{
    doi_str_t  key;

    if (link->nclaims != 0 || link->minted || link->revoked || link->uses != 1
        || link->actor.len != 0 || link->reason.len != 0)
    {
        return doi_link_store(view, link, now);
    }

    key.data = link->id;
    key.len = DOI_ID_SIZE;

    return view->del(view, DOI_TABLE_LINKS, key) == DOI_OK ? DOI_OK
                                                           : DOI_ERROR;
}
