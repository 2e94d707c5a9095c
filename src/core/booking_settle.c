/*
 * What ends a claim or a booking, and the actions of operators: SETTLE, CANCEL,
 * RESOLVE, RESEND and SUPPRESS.
 */

#include <string.h>

#include "booking_ops.h"


#define DOI_ADDRESS_HASH    32


typedef struct {
    doi_booking_operator_arg_t  arg;
    doi_limit_t                 limits[DOI_LIMITS_MAX];
    doi_str_t                   actor;
    doi_str_t                   reason;
} doi_action_t;


static doi_claim_t *doi_settle_find(doi_booking_t *booking,
    const uint8_t *attempt);
static int doi_settle_doubts(const doi_settle_arg_t *a,
    const doi_claim_t *claim);
static int doi_settle_open(doi_view_t *view, doi_time_t now,
    const doi_settle_arg_t *a, const doi_booking_t *was,
    doi_booking_t *booking);
static int doi_booking_confirm(doi_view_t *view, doi_time_t now,
    const doi_booking_t *was, doi_booking_t *booking);
static int doi_action_parse(doi_str_t arg, doi_action_t *action);
static doi_result_t doi_cancelled_before(doi_view_t *view, doi_time_t now,
    const doi_action_t *action, const doi_booking_t *booking, doi_buf_t *out);
static int doi_cancel_may(const doi_action_t *action, unsigned state);
static int doi_resolved_before(const doi_action_t *action,
    const doi_booking_t *booking);
static void doi_action_note(const doi_action_t *action,
    doi_booking_t *booking);
static int doi_suppress_put(doi_view_t *view, doi_time_t now,
    doi_str_t email);
static int doi_suppress_del(doi_view_t *view, doi_str_t email);
static int doi_address_key(doi_str_t email, uint8_t hash[DOI_ADDRESS_HASH],
    doi_str_t *key);


doi_result_t
doi_op_booking_settle(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                rc;
    doi_str_t          rest;
    doi_claim_t       *claim;
    doi_booking_t      booking, was;
    doi_settle_arg_t   a;

    (void) out;

    if (!doi_arg_head(arg, &a, sizeof(a), &rest) || rest.len != 0
        || a.outcome < DOI_OUTCOME_USED || a.outcome > DOI_OUTCOME_IN_DOUBT)
    {
        return DOI_CONFLICT;
    }

    rc = doi_booking_get(view, a.id, &booking);

    if (rc == DOI_ERROR) {
        return DOI_RETRY;
    }

    claim = (rc == DOI_OK) ? doi_settle_find(&booking, a.attempt) : NULL;

    if (claim == NULL || booking.state == DOI_BOOKING_REFUSED) {
        return a.outcome == DOI_OUTCOME_RELEASED ? DOI_WON : DOI_CONFLICT;
    }

    if (claim->state == DOI_CLAIM_USED) {
        return a.outcome == DOI_OUTCOME_USED ? DOI_WON : DOI_CONFLICT;
    }

    if (claim->state == DOI_CLAIM_IN_DOUBT && doi_settle_doubts(&a, claim)) {
        return DOI_WON;
    }

    was = booking;

    return doi_settle_open(view, now, &a, &was, &booking) == DOI_OK
           ? DOI_WON : DOI_RETRY;
}


/* An attempt that is remembered for its wrong code alone was no claim. */

static doi_claim_t *
doi_settle_find(doi_booking_t *booking, const uint8_t *attempt)
{
    doi_claim_t  *claim;

    claim = &booking->claim;

    if (doi_zeros(attempt, DOI_ATTEMPT_SIZE)
        || memcmp(claim->attempt, attempt, DOI_ATTEMPT_SIZE) != 0
        || (claim->state == 0 && booking->state != DOI_BOOKING_REFUSED))
    {
        return NULL;
    }

    return claim;
}


/* A retry that got no answer tells nothing of the attempt before. */

static int
doi_settle_doubts(const doi_settle_arg_t *a, const doi_claim_t *claim)
{
    return a->outcome == DOI_OUTCOME_IN_DOUBT
           || (a->outcome == DOI_OUTCOME_RELEASED && a->status == 0
               && (claim->flags & DOI_CLAIM_RETRY));
}


/*
 * The claim is in flight or in doubt, maybe released by age but not yet
 * dropped.  An upstream that answers late is believed in all these cases: its
 * answer is worth more than a deadline.
 */

static int
doi_settle_open(doi_view_t *view, doi_time_t now, const doi_settle_arg_t *a,
    const doi_booking_t *was, doi_booking_t *booking)
{
    doi_claim_t  *claim;

    claim = &booking->claim;
    claim->status = a->status;

    if (doi_settle_doubts(a, claim)) {
        return doi_booking_doubt(view, now, now, was, booking);
    }

    if (a->outcome == DOI_OUTCOME_USED) {
        return doi_booking_confirm(view, now, was, booking);
    }

    if (a->status != 0) {

        /* kept, so that this browser is told what became of it */

        claim->state = 0;
        claim->settled = now;

        return doi_booking_end(view, now, was, booking, DOI_BOOKING_REFUSED);
    }

    /* If the hold is over by now, its row is due at once. */

    doi_booking_release(booking);

    return doi_booking_store(view, now, was, booking);
}


static int
doi_booking_confirm(doi_view_t *view, doi_time_t now,
    const doi_booking_t *was, doi_booking_t *booking)
{
    booking->state = DOI_BOOKING_CONFIRMED;
    booking->claim.state = DOI_CLAIM_USED;
    booking->claim.settled = now;
    booking->sequence++;

    if (doi_event_put(view, now, booking->id, booking->state,
                      DOI_EVENT_CONFIRMED, 0)
        != DOI_OK)
    {
        return DOI_ERROR;
    }

    return doi_booking_store(view, now, was, booking);
}


int
doi_booking_end(doi_view_t *view, doi_time_t now, const doi_booking_t *was,
    doi_booking_t *booking, doi_booking_state_t state)
{
    doi_claim_t  *claim;

    claim = &booking->claim;

    if (claim->state == DOI_CLAIM_CLAIMED
        || claim->state == DOI_CLAIM_IN_DOUBT)
    {
        memset(claim, 0, sizeof(doi_claim_t));
    }

    booking->state = (uint8_t) state;
    booking->sequence++;

    if (doi_event_put(view, now, booking->id, booking->state,
                      DOI_EVENT_RELEASED, 0)
        != DOI_OK)
    {
        return DOI_ERROR;
    }

    return doi_booking_store(view, now, was, booking);
}


/*
 * Nobody is alarmed about a claim that is released by age at this very moment.
 * The serial is the start of the attempt, which names the doubt.
 */

int
doi_booking_doubt(doi_view_t *view, doi_time_t now, doi_time_t since,
    const doi_booking_t *was, doi_booking_t *booking)
{
    booking->state = DOI_BOOKING_IN_DOUBT;
    booking->claim.state = DOI_CLAIM_IN_DOUBT;
    booking->claim.settled = since;

    if (!(booking->flags & DOI_BOOKING_TOLD_DOUBT)
        && doi_booking_state(booking, now) == DOI_BOOKING_IN_DOUBT)
    {
        booking->flags |= DOI_BOOKING_TOLD_DOUBT;

        if (doi_event_put(view, now, booking->id, booking->state,
                          DOI_EVENT_IN_DOUBT,
                          doi_get32(booking->claim.attempt))
            != DOI_OK)
        {
            return DOI_ERROR;
        }
    }

    return doi_booking_store(view, now, was, booking);
}


void
doi_booking_release(doi_booking_t *booking)
{
    booking->state = DOI_BOOKING_HELD;
    booking->flags &= ~DOI_BOOKING_TOLD_DOUBT;
    memset(&booking->claim, 0, sizeof(doi_claim_t));
}


int
doi_booking_send(doi_view_t *view, doi_time_t now, const doi_booking_t *was,
    doi_booking_t *booking, const uint8_t again[DOI_ID_SIZE])
{
    int       kind;
    uint32_t  serial;

    memcpy(booking->again, again, DOI_ID_SIZE);

    if (booking->sends < UINT8_MAX) {
        booking->sends++;
    }

    /* No count any more: the time, which is greater, names the mail. */

    serial = booking->sends < UINT8_MAX ? booking->sends : now;

    kind = booking->state == DOI_BOOKING_CONFIRMED ? DOI_EVENT_CONFIRM_RESEND
                                                   : DOI_EVENT_RESEND;

    if (doi_event_put(view, now, booking->id,
                      doi_booking_state(booking, now), kind, serial)
        != DOI_OK)
    {
        return DOI_ERROR;
    }

    return doi_booking_store(view, now, was, booking);
}


doi_result_t
doi_op_booking_cancel(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int            rc;
    doi_action_t   action;
    doi_booking_t  booking, was;

    if (!doi_action_parse(arg, &action) || action.arg.nlimits != 0) {
        return DOI_CONFLICT;
    }

    rc = doi_booking_get(view, action.arg.id, &booking);

    if (rc != DOI_OK) {
        return rc == DOI_NOT_FOUND
               ? doi_booking_tell_unknown(DOI_CONFLICT, out) : DOI_RETRY;
    }

    if (booking.state == DOI_BOOKING_CANCELLED) {
        return doi_cancelled_before(view, now, &action, &booking, out);
    }

    if (!doi_cancel_may(&action, doi_booking_state(&booking, now))) {
        return doi_booking_tell(DOI_CONFLICT, now, &booking, NULL, out);
    }

    was = booking;

    if (was.state == DOI_BOOKING_CONFIRMED) {
        booking.flags |= DOI_BOOKING_WAS_CONFIRMED;
    }

    if (action.arg.suppress) {
        booking.flags |= DOI_BOOKING_BY_VISITOR;

        if (doi_suppress_put(view, now, booking.text[DOI_TEXT_EMAIL])
            != DOI_OK)
        {
            return DOI_RETRY;
        }
    }

    doi_action_note(&action, &booking);

    if (doi_booking_end(view, now, &was, &booking, DOI_BOOKING_CANCELLED)
        != DOI_OK)
    {
        return DOI_RETRY;
    }

    return doi_booking_tell(DOI_WON, now, &booking, NULL, out);
}


/*
 * The owner of an address may say so after others have had its hold cancelled,
 * by wrong codes for one, and is promised the same.
 */

static doi_result_t
doi_cancelled_before(doi_view_t *view, doi_time_t now,
    const doi_action_t *action, const doi_booking_t *booking, doi_buf_t *out)
{
    if (action->arg.suppress
        && !(booking->flags & DOI_BOOKING_WAS_CONFIRMED)
        && doi_suppress_put(view, now, booking->text[DOI_TEXT_EMAIL])
           != DOI_OK)
    {
        return DOI_RETRY;
    }

    return doi_booking_tell(DOI_WON, now, booking, NULL, out);
}


static int
doi_cancel_may(const doi_action_t *action, unsigned state)
{
    return state == DOI_BOOKING_HELD
           || (state == DOI_BOOKING_CONFIRMED && !action->arg.suppress);
}


doi_result_t
doi_op_booking_resolve(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int            rc;
    doi_action_t   action;
    doi_booking_t  booking, was;

    if (!doi_action_parse(arg, &action) || action.arg.nlimits != 0
        || (action.arg.outcome != DOI_OUTCOME_USED
            && action.arg.outcome != DOI_OUTCOME_RELEASED))
    {
        return DOI_CONFLICT;
    }

    rc = doi_booking_get(view, action.arg.id, &booking);

    if (rc != DOI_OK) {
        return rc == DOI_NOT_FOUND
               ? doi_booking_tell_unknown(DOI_CONFLICT, out) : DOI_RETRY;
    }

    if (doi_booking_state(&booking, now) != DOI_BOOKING_IN_DOUBT) {
        return doi_booking_tell(doi_resolved_before(&action, &booking)
                                ? DOI_WON : DOI_CONFLICT, now, &booking, NULL,
                                out);
    }

    was = booking;

    doi_action_note(&action, &booking);
    booking.flags |= DOI_BOOKING_RESOLVED;

    if (action.arg.outcome == DOI_OUTCOME_USED) {
        rc = doi_booking_confirm(view, now, &was, &booking);

    } else {
        doi_booking_release(&booking);

        rc = now < booking.expires
             ? doi_booking_store(view, now, &was, &booking)
             : doi_booking_end(view, now, &was, &booking,
                               DOI_BOOKING_EXPIRED);
    }

    if (rc != DOI_OK) {
        return DOI_RETRY;
    }

    return doi_booking_tell(DOI_WON, now, &booking, NULL, out);
}


/* A later claim or cancellation leaves its mark: see doi_claim_new. */

static int
doi_resolved_before(const doi_action_t *action, const doi_booking_t *booking)
{
    if (!(booking->flags & DOI_BOOKING_RESOLVED)
        || !doi_str_same(booking->text[DOI_TEXT_ACTOR], action->actor)
        || !doi_str_same(booking->text[DOI_TEXT_REASON], action->reason))
    {
        return 0;
    }

    if (action->arg.outcome == DOI_OUTCOME_USED) {
        return booking->state == DOI_BOOKING_CONFIRMED;
    }

    return booking->state == DOI_BOOKING_HELD
           || booking->state == DOI_BOOKING_EXPIRED;
}


doi_result_t
doi_op_booking_resend(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int            rc;
    unsigned       state;
    uint32_t       retry_after;
    doi_action_t   action;
    doi_booking_t  booking, was;

    if (!doi_action_parse(arg, &action)
        || action.actor.len != 0 || action.reason.len != 0
        || doi_zeros(action.arg.again, DOI_ID_SIZE))
    {
        return DOI_CONFLICT;
    }

    rc = doi_booking_get(view, action.arg.id, &booking);

    if (rc != DOI_OK) {
        return rc == DOI_NOT_FOUND
               ? doi_booking_tell_unknown(DOI_CONFLICT, out) : DOI_RETRY;
    }

    if (memcmp(booking.again, action.arg.again, DOI_ID_SIZE) == 0) {
        return doi_booking_tell(DOI_WON, now, &booking, NULL, out);
    }

    state = doi_booking_state(&booking, now);

    if (state != DOI_BOOKING_HELD && state != DOI_BOOKING_CONFIRMED) {
        return doi_booking_tell(DOI_CONFLICT, now, &booking, NULL, out);
    }

    rc = doi_limit_take(view, now, action.limits, action.arg.nlimits,
                        &retry_after);

    if (rc == DOI_NOT_FOUND) {
        return doi_booking_tell_limited(retry_after, out);
    }

    was = booking;

    if (rc != DOI_OK
        || doi_booking_send(view, now, &was, &booking, action.arg.again)
           != DOI_OK)
    {
        return DOI_RETRY;
    }

    return doi_booking_tell(DOI_WON, now, &booking, NULL, out);
}


static int
doi_action_parse(doi_str_t arg, doi_action_t *action)
{
    doi_str_t                    rest;
    doi_booking_operator_arg_t  *a;

    a = &action->arg;

    return doi_arg_head(arg, a, sizeof(doi_booking_operator_arg_t), &rest)
           && a->suppress <= 1
           && a->actor_len <= doi_booking_text_max[DOI_TEXT_ACTOR]
           && a->reason_len <= doi_booking_text_max[DOI_TEXT_REASON]
           && doi_arg_limits(&rest, a->nlimits, action->limits)
           && doi_str_take(&rest, a->actor_len, &action->actor)
           && doi_str_take(&rest, a->reason_len, &action->reason)
           && rest.len == 0;
}


static void
doi_action_note(const doi_action_t *action, doi_booking_t *booking)
{
    booking->text[DOI_TEXT_ACTOR] = action->actor;
    booking->text[DOI_TEXT_REASON] = action->reason;
}


doi_result_t
doi_op_suppress(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                 rc;
    doi_str_t           rest, email;
    doi_suppress_arg_t  a;

    (void) out;

    if (!doi_arg_head(arg, &a, sizeof(a), &rest)
        || a.lift > 1 || a.email_len == 0
        || a.email_len > doi_booking_text_max[DOI_TEXT_EMAIL]
        || !doi_str_take(&rest, a.email_len, &email) || rest.len != 0)
    {
        return DOI_CONFLICT;
    }

    rc = a.lift ? doi_suppress_del(view, email)
                : doi_suppress_put(view, now, email);

    return rc == DOI_OK ? DOI_WON : DOI_RETRY;
}


/* Rows of DOI_TABLE_SUPPRESSED: SHA-256 of the address; 4 bytes (BE), when. */

static int
doi_suppress_put(doi_view_t *view, doi_time_t now, doi_str_t email)
{
    int        rc;
    uint8_t    hash[DOI_ADDRESS_HASH], when[4];
    doi_str_t  key, value;

    if (doi_address_key(email, hash, &key) != DOI_OK) {
        return DOI_ERROR;
    }

    rc = view->get(view, DOI_TABLE_SUPPRESSED, key, &value);

    if (rc != DOI_NOT_FOUND) {
        return rc == DOI_OK ? DOI_OK : DOI_ERROR;
    }

    doi_put32(when, now);
    value.data = when;
    value.len = sizeof(when);

    return view->put(view, DOI_TABLE_SUPPRESSED, key, value) == DOI_OK
           ? DOI_OK : DOI_ERROR;
}


static int
doi_suppress_del(doi_view_t *view, doi_str_t email)
{
    uint8_t    hash[DOI_ADDRESS_HASH];
    doi_str_t  key;

    if (doi_address_key(email, hash, &key) != DOI_OK) {
        return DOI_ERROR;
    }

    return view->del(view, DOI_TABLE_SUPPRESSED, key) == DOI_OK ? DOI_OK
                                                                : DOI_ERROR;
}


int
doi_suppressed(doi_view_t *view, doi_str_t email)
{
    int        rc;
    uint8_t    hash[DOI_ADDRESS_HASH];
    doi_str_t  key, value;

    if (doi_address_key(email, hash, &key) != DOI_OK) {
        return DOI_ERROR;
    }

    rc = view->get(view, DOI_TABLE_SUPPRESSED, key, &value);

    return rc == DOI_OK || rc == DOI_NOT_FOUND ? rc : DOI_ERROR;
}


static int
doi_address_key(doi_str_t email, uint8_t hash[DOI_ADDRESS_HASH],
    doi_str_t *key)
{
    key->data = hash;
    key->len = DOI_ADDRESS_HASH;

    return doi_digest(&email, 1, hash, DOI_ADDRESS_HASH);
}
