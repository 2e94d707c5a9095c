/*
 * The transactions that visitors cause: HOLD, CLAIM and READ, and the arguments
 * and answers of all transactions on bookings.
 *
 * As in link_ops.c, an argument that is not well-formed is a CONFLICT without
 * an answer, and what cannot be read is a RETRY.
 */

#include <string.h>

#include "booking_ops.h"


typedef struct {
    doi_hold_arg_t  arg;
    doi_limit_t     limits[DOI_LIMITS_MAX];
    doi_booking_t   booking;            /* to be */
    doi_str_t       request;
} doi_hold_t;


static int doi_hold_parse(doi_str_t arg, doi_hold_t *hold);
static int doi_hold_slot(doi_view_t *view, const doi_hold_t *hold,
    doi_booking_t *other);
static doi_result_t doi_hold_other(doi_view_t *view, doi_time_t now,
    const doi_hold_t *hold, const doi_booking_t *other, doi_buf_t *out);
static doi_result_t doi_hold_new(doi_view_t *view, doi_time_t now,
    doi_hold_t *hold, doi_buf_t *out);
static doi_result_t doi_hold_tell(doi_result_t result, unsigned state,
    doi_buf_t *out);
static int doi_claim_tried(const doi_booking_t *booking, doi_time_t now);
static int doi_claim_may(const doi_booking_t *booking, doi_time_t now,
    const doi_booking_claim_arg_t *a);
static doi_result_t doi_claim_new(doi_view_t *view, doi_time_t now,
    const doi_booking_claim_arg_t *a, const doi_booking_t *was,
    doi_buf_t *out);
static doi_result_t doi_claim_tell(doi_view_t *view,
    const doi_booking_claim_arg_t *a, const doi_booking_t *booking,
    doi_buf_t *out);
static int doi_code_wrong(const doi_booking_t *booking,
    const doi_booking_claim_arg_t *a);
static doi_result_t doi_code_count(doi_view_t *view, doi_time_t now,
    const doi_booking_claim_arg_t *a, const doi_booking_t *was,
    doi_buf_t *out);
static doi_result_t doi_code_tell(const doi_booking_t *booking,
    doi_buf_t *out);
static int doi_booking_own(const doi_booking_t *booking, unsigned state,
    const uint8_t *browser);


doi_result_t
doi_op_booking_hold(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int            rc;
    doi_hold_t     hold;
    doi_booking_t  other, was;

    if (!doi_hold_parse(arg, &hold)) {
        return DOI_CONFLICT;
    }

    rc = doi_booking_get(view, hold.arg.id, &other);

    if (rc == DOI_OK) {
        return doi_hold_tell(DOI_WON, DOI_BOOKING_HELD, out);
    }

    if (rc == DOI_NOT_FOUND) {
        rc = doi_hold_slot(view, &hold, &other);
    }

    if (rc == DOI_NOT_FOUND) {
        return doi_hold_new(view, now, &hold, out);
    }

    if (rc != DOI_OK) {
        return DOI_RETRY;
    }

    switch (doi_booking_state(&other, now)) {

    case DOI_BOOKING_EXPIRED:
    case DOI_BOOKING_REFUSED:
    case DOI_BOOKING_CANCELLED:

        /* The others have ended by more than the clock: nothing to be done. */

        was = other;

        if (doi_booking_stands(&was)
            && doi_booking_end(view, now, &was, &other, DOI_BOOKING_EXPIRED)
               != DOI_OK)
        {
            return DOI_RETRY;
        }

        return doi_hold_new(view, now, &hold, out);

    default:
        return doi_hold_other(view, now, &hold, &other, out);
    }
}


static int
doi_hold_parse(doi_str_t arg, doi_hold_t *hold)
{
    size_t           i;
    doi_str_t        rest;
    doi_booking_t   *b;
    doi_hold_arg_t  *a;

    a = &hold->arg;
    b = &hold->booking;

    if (!doi_arg_head(arg, a, sizeof(doi_hold_arg_t), &rest)
        || a->request_len == 0 || a->request_len > DOI_REQUEST_MAX
        || !doi_arg_limits(&rest, a->nlimits, hold->limits))
    {
        return 0;
    }

    memset(b, 0, sizeof(doi_booking_t));
    memcpy(b->id, a->id, DOI_ID_SIZE);
    b->state = DOI_BOOKING_HELD;
    b->sends = 1;
    b->expires = a->expires;
    b->start = a->start;
    b->duration = a->duration;
    b->remind = a->remind;
    b->code = a->code;

    for (i = 0; i < DOI_TEXTS; i++) {
        if (a->text_len[i] > doi_booking_text_max[i]
            || !doi_str_take(&rest, a->text_len[i], &b->text[i]))
        {
            return 0;
        }
    }

    return (b->code <= DOI_CODE_MAX || b->code == DOI_CODE_NONE)
           && b->text[DOI_TEXT_EMAIL].len != 0
           && doi_str_take(&rest, a->request_len, &hold->request)
           && rest.len == 0;
}


/* The booking that has the slot; DOI_NOT_FOUND: none has. */

static int
doi_hold_slot(doi_view_t *view, const doi_hold_t *hold, doi_booking_t *other)
{
    int        rc;
    uint8_t    hash[DOI_SLOT_KEY_SIZE];
    doi_str_t  key, value;

    if (doi_slot_key(hold->booking.text[DOI_TEXT_SCOPE],
                     hold->booking.text[DOI_TEXT_SLOT], hash)
        != DOI_OK)
    {
        return DOI_ERROR;
    }

    key.data = hash;
    key.len = sizeof(hash);

    rc = view->get(view, DOI_TABLE_SLOTS, key, &value);

    if (rc != DOI_OK) {
        return rc;
    }

    if (value.len != DOI_ID_SIZE) {
        return DOI_ERROR;
    }

    return doi_booking_get(view, value.data, other);
}


static doi_result_t
doi_hold_other(doi_view_t *view, doi_time_t now, const doi_hold_t *hold,
    const doi_booking_t *other, doi_buf_t *out)
{
    int            rc;
    uint32_t       retry_after;
    doi_booking_t  booking;

    if (doi_booking_state(other, now) != DOI_BOOKING_HELD
        || !doi_str_same(other->text[DOI_TEXT_EMAIL],
                         hold->booking.text[DOI_TEXT_EMAIL]))
    {
        return doi_hold_tell(DOI_CONFLICT, DOI_BOOKING_TAKEN, out);
    }

    if (memcmp(other->again, hold->arg.id, DOI_ID_SIZE) == 0) {
        return doi_hold_tell(DOI_WON, DOI_BOOKING_HELD, out);
    }

    rc = doi_limit_take(view, now, hold->limits, hold->arg.nlimits,
                        &retry_after);

    if (rc == DOI_NOT_FOUND) {
        return doi_booking_tell_limited(retry_after, out);
    }

    booking = *other;

    if (rc != DOI_OK
        || doi_booking_send(view, now, other, &booking, hold->arg.id)
           != DOI_OK)
    {
        return DOI_RETRY;
    }

    return doi_hold_tell(DOI_WON, DOI_BOOKING_HELD, out);
}


static doi_result_t
doi_hold_new(doi_view_t *view, doi_time_t now, doi_hold_t *hold,
    doi_buf_t *out)
{
    int             rc;
    uint32_t        retry_after;
    doi_str_t       key;
    doi_booking_t  *b;

    b = &hold->booking;

    if (now >= b->expires) {
        return doi_hold_tell(DOI_CONFLICT, DOI_BOOKING_EXPIRED, out);
    }

    rc = doi_limit_take(view, now, hold->limits, hold->arg.nlimits,
                        &retry_after);

    if (rc == DOI_NOT_FOUND) {
        return doi_booking_tell_limited(retry_after, out);
    }

    key.data = b->id;
    key.len = DOI_ID_SIZE;
    b->created = now;

    if (rc != DOI_OK
        || view->put(view, DOI_TABLE_REQUESTS, key, hold->request) != DOI_OK
        || doi_event_put(view, now, b->id, b->state, DOI_EVENT_HELD, 0)
           != DOI_OK
        || doi_booking_store(view, now, NULL, b) != DOI_OK)
    {
        return DOI_RETRY;
    }

    return doi_hold_tell(DOI_WON, DOI_BOOKING_HELD, out);
}


/* The same whether the booking is a new one or not. */

static doi_result_t
doi_hold_tell(doi_result_t result, unsigned state, doi_buf_t *out)
{
    doi_str_t             none = { NULL, 0 };
    doi_booking_answer_t  a;

    memset(&a, 0, sizeof(a));
    a.state = (uint8_t) state;

    return doi_booking_answer(result, &a, NULL, none, out);
}


doi_result_t
doi_op_booking_claim(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                      rc;
    doi_str_t                rest;
    doi_booking_t            booking;
    doi_booking_claim_arg_t  a;

    if (!doi_arg_head(arg, &a, sizeof(a), &rest) || rest.len != 0
        || doi_zeros(a.attempt, DOI_ATTEMPT_SIZE))
    {
        return DOI_CONFLICT;
    }

    rc = doi_booking_get(view, a.id, &booking);

    if (rc != DOI_OK) {
        return rc == DOI_NOT_FOUND
               ? doi_booking_tell_unknown(DOI_CONFLICT, out) : DOI_RETRY;
    }

    /* An attempt that is run again: see doi_op_claim of link_ops.c. */

    if (memcmp(booking.claim.attempt, a.attempt, DOI_ATTEMPT_SIZE) == 0) {

        if (doi_booking_state(&booking, now) == DOI_BOOKING_CLAIMED) {
            return doi_claim_tell(view, &a, &booking, out);
        }

        if (doi_claim_tried(&booking, now)) {
            return doi_code_tell(&booking, out);
        }
    }

    if (!doi_claim_may(&booking, now, &a)) {
        return doi_booking_tell(DOI_CONFLICT, now, &booking, a.browser, out);
    }

    if (!doi_code_wrong(&booking, &a)) {
        return doi_claim_new(view, now, &a, &booking, out);
    }

    /* Nobody may cancel what is in doubt, not by wrong codes either. */

    if (doi_booking_state(&booking, now) == DOI_BOOKING_IN_DOUBT) {
        return doi_booking_tell(DOI_CONFLICT, now, &booking, a.browser, out);
    }

    return doi_code_count(view, now, &a, &booking, out);
}


/* True if the claim is but the name of an attempt that had a wrong code. */

static int
doi_claim_tried(const doi_booking_t *booking, doi_time_t now)
{
    if (booking->claim.state != 0) {
        return 0;
    }

    return booking->state == DOI_BOOKING_CANCELLED
           || doi_booking_state(booking, now) == DOI_BOOKING_HELD;
}


static int
doi_claim_may(const doi_booking_t *booking, doi_time_t now,
    const doi_booking_claim_arg_t *a)
{
    switch (doi_booking_state(booking, now)) {

    case DOI_BOOKING_HELD:
        return 1;

    case DOI_BOOKING_IN_DOUBT:
        return (a->flags & DOI_CLAIM_IDEMPOTENT) && now < booking->expires
               && memcmp(booking->claim.attempt, a->attempt, DOI_ATTEMPT_SIZE)
                  != 0;

    default:
        return 0;
    }
}


static doi_result_t
doi_claim_new(doi_view_t *view, doi_time_t now,
    const doi_booking_claim_arg_t *a, const doi_booking_t *was,
    doi_buf_t *out)
{
    uint32_t        timeout;
    doi_claim_t    *claim;
    doi_booking_t   booking;

    booking = *was;
    claim = &booking.claim;

    memset(claim, 0, sizeof(doi_claim_t));
    claim->flags = a->flags & DOI_CLAIM_RELEASE;

    /* A retry is part of the doubt that it is to end: it is told once. */

    if (doi_booking_state(was, now) == DOI_BOOKING_IN_DOUBT) {
        claim->flags |= DOI_CLAIM_RETRY;

    } else {
        booking.flags &= ~DOI_BOOKING_TOLD_DOUBT;
    }

    /* A claim that ends when it begins would never be seen as claimed. */

    timeout = a->timeout ? a->timeout : 1;

    memcpy(claim->attempt, a->attempt, DOI_ATTEMPT_SIZE);
    memcpy(claim->browser, a->browser, DOI_BROWSER_SIZE);
    claim->claimed = now;
    claim->deadline = timeout > UINT32_MAX - now ? UINT32_MAX : now + timeout;
    claim->state = DOI_CLAIM_CLAIMED;

    booking.state = DOI_BOOKING_CLAIMED;
    booking.flags &= ~DOI_BOOKING_RESOLVED;

    if (doi_booking_store(view, now, was, &booking) != DOI_OK) {
        return DOI_RETRY;
    }

    return doi_claim_tell(view, a, &booking, out);
}


static doi_result_t
doi_claim_tell(doi_view_t *view, const doi_booking_claim_arg_t *a,
    const doi_booking_t *booking, doi_buf_t *out)
{
    doi_str_t             key, request;
    doi_booking_answer_t  answer;

    key.data = booking->id;
    key.len = DOI_ID_SIZE;

    if (view->get(view, DOI_TABLE_REQUESTS, key, &request) != DOI_OK) {
        return DOI_RETRY;
    }

    memset(&answer, 0, sizeof(answer));
    answer.state = DOI_BOOKING_CLAIMED;
    answer.flags = booking->claim.flags;
    answer.own = (uint8_t) doi_booking_own(booking, DOI_BOOKING_CLAIMED,
                                           a->browser);

    return doi_booking_answer(DOI_WON, &answer, booking, request, out);
}


/*
 * A booking that was made without a code has none that anybody could type, even
 * if the configuration asks for one by now.
 */

static int
doi_code_wrong(const doi_booking_t *booking, const doi_booking_claim_arg_t *a)
{
    return a->code_needed && booking->code != DOI_CODE_NONE
           && a->code != booking->code;
}


static doi_result_t
doi_code_count(doi_view_t *view, doi_time_t now,
    const doi_booking_claim_arg_t *a, const doi_booking_t *was,
    doi_buf_t *out)
{
    int            rc;
    doi_booking_t  booking;

    booking = *was;

    doi_booking_release(&booking);
    memcpy(booking.claim.attempt, a->attempt, DOI_ATTEMPT_SIZE);

    if (booking.tries < DOI_CODE_TRIES) {
        booking.tries++;
    }

    if (booking.tries < DOI_CODE_TRIES) {
        rc = doi_booking_store(view, now, was, &booking);

    } else {
        booking.flags |= DOI_BOOKING_BY_CODES;
        rc = doi_booking_end(view, now, was, &booking, DOI_BOOKING_CANCELLED);
    }

    return rc == DOI_OK ? doi_code_tell(&booking, out) : DOI_RETRY;
}


static doi_result_t
doi_code_tell(const doi_booking_t *booking, doi_buf_t *out)
{
    doi_str_t             none = { NULL, 0 };
    doi_booking_answer_t  answer;

    memset(&answer, 0, sizeof(answer));
    answer.state = booking->state;
    answer.wrong_code = 1;

    return doi_booking_answer(DOI_WON, &answer, booking, none, out);
}


doi_result_t
doi_op_booking_read(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int             rc;
    doi_str_t       rest;
    doi_booking_t   booking;
    doi_read_arg_t  a;

    if (!doi_arg_head(arg, &a, sizeof(a), &rest) || rest.len != 0) {
        return DOI_CONFLICT;
    }

    rc = doi_booking_get(view, a.id, &booking);

    if (rc != DOI_OK) {
        return rc == DOI_NOT_FOUND ? doi_booking_tell_unknown(DOI_WON, out)
                                   : DOI_RETRY;
    }

    return doi_booking_tell(DOI_WON, now, &booking, a.browser, out);
}


int
doi_arg_head(doi_str_t arg, void *data, size_t size, doi_str_t *rest)
{
    doi_str_t  head;

    *rest = arg;

    if (!doi_str_take(rest, size, &head)) {
        return 0;
    }

    memcpy(data, head.data, size);

    return 1;
}


doi_result_t
doi_op_limit(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    int          rc;
    uint32_t     n, retry_after;
    doi_limit_t  limits[DOI_LIMITS_MAX];

    memset(limits, 0, sizeof(limits));

    if (!doi_arg_head(arg, &n, sizeof(n), &arg)
        || !doi_arg_limits(&arg, n, limits) || arg.len != 0)
    {
        return DOI_CONFLICT;
    }

    rc = doi_limit_take(view, now, limits, n, &retry_after);

    if (rc == DOI_NOT_FOUND) {
        return doi_booking_tell_limited(retry_after, out);
    }

    return rc == DOI_OK ? doi_hold_tell(DOI_WON, DOI_BOOKING_HELD, out)
                        : DOI_RETRY;
}


int
doi_arg_limits(doi_str_t *rest, unsigned n,
    doi_limit_t limits[DOI_LIMITS_MAX])
{
    unsigned            i;
    doi_str_t           bytes;
    const doi_limit_t  *l;

    if (n > DOI_LIMITS_MAX
        || !doi_str_take(rest, n * sizeof(doi_limit_t), &bytes))
    {
        return 0;
    }

    if (n != 0) {
        memcpy(limits, bytes.data, bytes.len);
    }

    for (i = 0; i < n; i++) {
        l = &limits[i];

        if (l->period == 0 || l->period > DOI_LIMIT_PERIOD_MAX
            || l->count == 0 || l->count > DOI_LIMIT_COUNT_MAX
            || l->burst == 0 || l->burst > l->count)
        {
            return 0;
        }
    }

    return 1;
}


doi_result_t
doi_booking_answer(doi_result_t result, doi_booking_answer_t *a,
    const doi_booking_t *booking, doi_str_t request, doi_buf_t *out)
{
    a->record_len = booking != NULL ? (uint32_t) doi_booking_size(booking) : 0;
    a->request_len = (uint32_t) request.len;

    if (doi_answer(out, a, sizeof(doi_booking_answer_t)) != DOI_OK
        || (booking != NULL && doi_booking_encode(booking, out) != DOI_OK)
        || (request.len != 0
            && doi_answer(out, request.data, request.len) != DOI_OK))
    {
        return DOI_RETRY;
    }

    return result;
}


doi_result_t
doi_booking_tell(doi_result_t result, doi_time_t now,
    const doi_booking_t *booking, const uint8_t *browser, doi_buf_t *out)
{
    doi_str_t             none = { NULL, 0 };
    doi_booking_answer_t  a;

    memset(&a, 0, sizeof(a));
    a.state = (uint8_t) doi_booking_state(booking, now);
    a.own = (uint8_t) doi_booking_own(booking, a.state, browser);

    if (a.state == DOI_BOOKING_CLAIMED) {
        a.retry_after = booking->claim.deadline - now;
    }

    return doi_booking_answer(result, &a, booking, none, out);
}


doi_result_t
doi_booking_tell_unknown(doi_result_t result, doi_buf_t *out)
{
    return doi_hold_tell(result, DOI_BOOKING_UNKNOWN, out);
}


doi_result_t
doi_booking_tell_limited(uint32_t retry_after, doi_buf_t *out)
{
    doi_str_t             none = { NULL, 0 };
    doi_booking_answer_t  a;

    memset(&a, 0, sizeof(a));
    a.state = DOI_BOOKING_LIMITED;
    a.retry_after = retry_after;

    return doi_booking_answer(DOI_CONFLICT, &a, NULL, none, out);
}


/* A claim that was released explains nothing, even if it is not gone yet. */

static int
doi_booking_own(const doi_booking_t *booking, unsigned state,
    const uint8_t *browser)
{
    return state != DOI_BOOKING_HELD && state != DOI_BOOKING_EXPIRED
           && browser != NULL && !doi_zeros(browser, DOI_BROWSER_SIZE)
           && memcmp(booking->claim.browser, browser, DOI_BROWSER_SIZE) == 0;
}
