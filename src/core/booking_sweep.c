/*
 * SWEEP: what time does to bookings.
 *
 * Rows of DOI_TABLE_DUE, by the state that is stored:
 *
 *   held                       EXPIRE at the hold's end; REMIND, if it is to be
 *   claimed                    CLAIM at the deadline
 *   in doubt                   CLAIM at the deadline with DOI_CLAIM_RELEASE;
 *                              else DROP, as confirmed
 *   confirmed                  DROP when DOI_KEEP_CONFIRMED or _UNDATED is over
 *   refused, cancelled,
 *   expired                    DROP after DOI_KEEP_ENDED
 *
 * A row says only that somebody should look at that booking, and what is done
 * follows from the record alone.  Whoever writes a record makes the rows of the
 * old one into those of the new one, and a row that does not follow from its
 * record is deleted when it is due: no orphan can stay.
 *
 * A booking in doubt which nobody resolves is kept as long as if it had been
 * confirmed, which it may have been.
 */

#include <string.h>

#include "booking_ops.h"


/* Rows in one transaction: other operations wait for it. */

#define DOI_DUE_ROWS        512

/* Seconds until a record that cannot be understood is looked at again. */

#define DOI_DUE_AGAIN       3600


typedef struct {
    doi_view_t                  *view;
    doi_time_t                   now;
    doi_time_t                   time;      /* up to which rows are due */
    doi_booking_sweep_arg_t      arg;
    doi_booking_sweep_answer_t   answer;
    uint8_t                     *rows;      /* answer.looked keys */
} doi_due_sweep_t;


static int doi_due_collect(doi_due_sweep_t *sweep);
static int doi_due_row(void *data, doi_str_t key, doi_str_t value);
static int doi_due_first(void *data, doi_str_t key, doi_str_t value);
static int doi_due_work(doi_due_sweep_t *sweep, const uint8_t *row);
static int doi_due_booking(doi_due_sweep_t *sweep, const doi_booking_t *was,
    doi_booking_t *booking);
static int doi_due_held(doi_due_sweep_t *sweep, const doi_booking_t *was,
    doi_booking_t *booking);
static int doi_due_settled(doi_due_sweep_t *sweep, const doi_booking_t *was);
static int doi_due_postpone(doi_due_sweep_t *sweep, const uint8_t *row);
static doi_time_t doi_booking_keep(const doi_booking_t *booking);
static void doi_due_key(doi_time_t time, const uint8_t *id, doi_due_t kind,
    uint8_t key[DOI_DUE_KEY_SIZE]);
static int doi_due_in(const uint8_t *key,
    uint8_t keys[DOI_DUE_MAX][DOI_DUE_KEY_SIZE], size_t n);
static int doi_due_put(doi_view_t *view, const uint8_t *key);
static int doi_due_del(doi_view_t *view, const uint8_t *key);


doi_result_t
doi_op_booking_sweep(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    uint32_t         i;
    doi_str_t        rest;
    doi_due_sweep_t  sweep;

    memset(&sweep, 0, sizeof(sweep));

    if (!doi_arg_head(arg, &sweep.arg, sizeof(sweep.arg), &rest)
        || rest.len != 0)
    {
        return DOI_CONFLICT;
    }

    /* A clock that leapt ahead of the mark is not believed yet. */

    sweep.view = view;
    sweep.now = now;
    sweep.time = sweep.arg.mark < now ? sweep.arg.mark : now;

    if (sweep.arg.limit > DOI_DUE_ROWS) {
        sweep.arg.limit = DOI_DUE_ROWS;
    }

    if (doi_due_collect(&sweep) != DOI_OK) {
        return DOI_RETRY;
    }

    for (i = 0; i < sweep.answer.looked; i++) {
        if (doi_due_work(&sweep, sweep.rows + i * DOI_DUE_KEY_SIZE)
            != DOI_OK)
        {
            return DOI_RETRY;
        }
    }

    memcpy(sweep.answer.next, sweep.arg.from, DOI_LIMIT_KEY_SIZE);

    if (doi_limit_sweep(view, sweep.time, sweep.arg.limit, sweep.answer.next,
                        &sweep.answer.dropped)
        != DOI_OK
        || doi_answer(out, &sweep.answer, sizeof(sweep.answer)) != DOI_OK)
    {
        return DOI_RETRY;
    }

    return DOI_WON;
}


/* A scan does not see what its own transaction writes: keys first. */

static int
doi_due_collect(doi_due_sweep_t *sweep)
{
    int          rc;
    doi_str_t    from = { NULL, 0 };
    doi_view_t  *view;

    view = sweep->view;

    sweep->rows = view->alloc(view, ((size_t) sweep->arg.limit + 1)
                                    * DOI_DUE_KEY_SIZE);
    if (sweep->rows == NULL) {
        return DOI_ERROR;
    }

    rc = view->scan(view, DOI_TABLE_DUE, from, doi_due_row, sweep);

    return rc == DOI_OK || rc == DOI_NOT_FOUND ? DOI_OK : DOI_ERROR;
}


/* DOI_NOT_FOUND ends the scan. */

static int
doi_due_row(void *data, doi_str_t key, doi_str_t value)
{
    doi_due_sweep_t *sweep = data;

    (void) value;

    if (key.len != DOI_DUE_KEY_SIZE) {
        return DOI_OK;
    }

    if (sweep->answer.looked == sweep->arg.limit
        || doi_get32(key.data) > sweep->time)
    {
        return DOI_NOT_FOUND;
    }

    memcpy(sweep->rows + sweep->answer.looked * DOI_DUE_KEY_SIZE, key.data,
           DOI_DUE_KEY_SIZE);
    sweep->answer.looked++;

    return DOI_OK;
}


int
doi_booking_due(doi_view_t *view, doi_time_t mark)
{
    doi_str_t   from = { NULL, 0 };
    doi_time_t  first;

    first = UINT32_MAX;

    return view->scan(view, DOI_TABLE_DUE, from, doi_due_first, &first)
           == DOI_NOT_FOUND && first <= mark;
}


static int
doi_due_first(void *data, doi_str_t key, doi_str_t value)
{
    doi_time_t *first = data;

    (void) value;

    if (key.len != DOI_DUE_KEY_SIZE) {
        return DOI_OK;
    }

    *first = doi_get32(key.data);

    return DOI_NOT_FOUND;
}


static int
doi_due_work(doi_due_sweep_t *sweep, const uint8_t *row)
{
    int             rc;
    size_t          n;
    uint8_t         keys[DOI_DUE_MAX][DOI_DUE_KEY_SIZE];
    doi_str_t       key, value;
    doi_view_t     *view;
    doi_booking_t   booking, was;

    view = sweep->view;

    key.data = row + 4;
    key.len = DOI_ID_SIZE;

    rc = view->get(view, DOI_TABLE_BOOKINGS, key, &value);

    if (rc == DOI_NOT_FOUND) {
        return doi_due_del(view, row);
    }

    if (rc != DOI_OK) {
        return DOI_ERROR;
    }

    if (doi_booking_decode(value, &booking) != DOI_OK) {
        return doi_due_postpone(sweep, row);
    }

    memcpy(booking.id, key.data, DOI_ID_SIZE);
    was = booking;

    if (doi_due_booking(sweep, &was, &booking) != DOI_OK) {
        return DOI_ERROR;
    }

    /* what followed from the old record alone is gone by now */

    n = doi_due_keys(&booking, keys);

    return doi_due_in(row, keys, n) ? DOI_OK : doi_due_del(view, row);
}


static int
doi_due_booking(doi_due_sweep_t *sweep, const doi_booking_t *was,
    doi_booking_t *booking)
{
    switch (doi_booking_state(was, sweep->time)) {

    case DOI_BOOKING_HELD:
        return doi_due_held(sweep, was, booking);

    case DOI_BOOKING_EXPIRED:

        if (was->state == DOI_BOOKING_EXPIRED) {
            return doi_due_settled(sweep, was);
        }

        sweep->answer.expired++;

        return doi_booking_end(sweep->view, sweep->now, was, booking,
                               DOI_BOOKING_EXPIRED);

    case DOI_BOOKING_IN_DOUBT:

        if (was->state == DOI_BOOKING_IN_DOUBT) {
            return doi_due_settled(sweep, was);
        }

        sweep->answer.in_doubt++;

        return doi_booking_doubt(sweep->view, sweep->now,
                                 was->claim.deadline, was, booking);

    case DOI_BOOKING_CLAIMED:
        return doi_due_change(sweep->view, NULL, was);

    default: /* confirmed, refused, cancelled */
        return doi_due_settled(sweep, was);
    }
}


/* Held, or its claim has been released by age; maybe the reminder is due. */

static int
doi_due_held(doi_due_sweep_t *sweep, const doi_booking_t *was,
    doi_booking_t *booking)
{
    int  released;

    released = was->state != DOI_BOOKING_HELD;

    if (released) {
        doi_booking_release(booking);
    }

    if (booking->remind == 0 || booking->remind > sweep->time) {
        return released ? doi_booking_store(sweep->view, sweep->now, was,
                                            booking)
                        : doi_due_change(sweep->view, NULL, was);
    }

    booking->remind = 0;
    sweep->answer.reminded++;

    if (doi_event_put(sweep->view, sweep->now, booking->id, booking->state,
                      DOI_EVENT_REMIND, 0)
        != DOI_OK)
    {
        return DOI_ERROR;
    }

    return doi_booking_store(sweep->view, sweep->now, was, booking);
}


/* Nothing can happen to it any more but to be dropped. */

static int
doi_due_settled(doi_due_sweep_t *sweep, const doi_booking_t *was)
{
    if (doi_booking_keep(was) > sweep->time) {
        return doi_due_change(sweep->view, NULL, was);
    }

    sweep->answer.dropped++;

    return doi_booking_drop(sweep->view, was);
}


/*
 * A record of a later version, most likely.  Left where it is, its row would
 * stand in the way of those behind it; gone, the booking would be forgotten.
 */

static int
doi_due_postpone(doi_due_sweep_t *sweep, const uint8_t *row)
{
    uint8_t     later[DOI_DUE_KEY_SIZE];
    doi_time_t  time;

    time = sweep->time > UINT32_MAX - DOI_DUE_AGAIN
           ? UINT32_MAX : sweep->time + DOI_DUE_AGAIN;

    memcpy(later, row, DOI_DUE_KEY_SIZE);
    doi_put32(later, time);

    if (doi_due_del(sweep->view, row) != DOI_OK) {
        return DOI_ERROR;
    }

    return doi_due_put(sweep->view, later);
}


size_t
doi_due_keys(const doi_booking_t *booking,
    uint8_t keys[DOI_DUE_MAX][DOI_DUE_KEY_SIZE])
{
    switch (booking->state) {

    case DOI_BOOKING_HELD:
        doi_due_key(booking->expires, booking->id, DOI_DUE_EXPIRE, keys[0]);

        if (booking->remind == 0) {
            return 1;
        }

        doi_due_key(booking->remind, booking->id, DOI_DUE_REMIND, keys[1]);

        return 2;

    case DOI_BOOKING_IN_DOUBT:

        if (!(booking->claim.flags & DOI_CLAIM_RELEASE)) {
            break;
        }

        /* fall through */

    case DOI_BOOKING_CLAIMED:
        doi_due_key(booking->claim.deadline, booking->id, DOI_DUE_CLAIM,
                    keys[0]);
        return 1;

    default:
        break;
    }

    doi_due_key(doi_booking_keep(booking), booking->id, DOI_DUE_DROP,
                keys[0]);

    return 1;
}


/* When the record of a booking that is settled, or in doubt, is dropped. */

static doi_time_t
doi_booking_keep(const doi_booking_t *booking)
{
    uint64_t  time;

    if (booking->state != DOI_BOOKING_CONFIRMED
        && booking->state != DOI_BOOKING_IN_DOUBT)
    {
        time = (uint64_t) booking->changed + DOI_KEEP_ENDED;

    } else if (booking->start == 0) {
        time = (uint64_t) booking->claim.settled + DOI_KEEP_UNDATED;

    } else {
        time = (uint64_t) booking->start + booking->duration;

        /* an appointment in the past, by mistake or on purpose */

        if (time < booking->claim.settled) {
            time = booking->claim.settled;
        }

        time += DOI_KEEP_CONFIRMED;
    }

    return time < UINT32_MAX ? (doi_time_t) time : UINT32_MAX;
}


static void
doi_due_key(doi_time_t time, const uint8_t *id, doi_due_t kind,
    uint8_t key[DOI_DUE_KEY_SIZE])
{
    doi_put32(key, time);
    memcpy(key + 4, id, DOI_ID_SIZE);
    key[4 + DOI_ID_SIZE] = (uint8_t) kind;
}


int
doi_due_change(doi_view_t *view, const doi_booking_t *was,
    const doi_booking_t *booking)
{
    size_t   i, nold, nnew;
    uint8_t  old[DOI_DUE_MAX][DOI_DUE_KEY_SIZE];
    uint8_t  new[DOI_DUE_MAX][DOI_DUE_KEY_SIZE];

    nold = was != NULL ? doi_due_keys(was, old) : 0;
    nnew = booking != NULL ? doi_due_keys(booking, new) : 0;

    for (i = 0; i < nold; i++) {
        if (!doi_due_in(old[i], new, nnew)
            && doi_due_del(view, old[i]) != DOI_OK)
        {
            return DOI_ERROR;
        }
    }

    for (i = 0; i < nnew; i++) {
        if (!doi_due_in(new[i], old, nold)
            && doi_due_put(view, new[i]) != DOI_OK)
        {
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


static int
doi_due_in(const uint8_t *key, uint8_t keys[DOI_DUE_MAX][DOI_DUE_KEY_SIZE],
    size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (memcmp(keys[i], key, DOI_DUE_KEY_SIZE) == 0) {
            return 1;
        }
    }

    return 0;
}


static int
doi_due_put(doi_view_t *view, const uint8_t *key)
{
    doi_str_t  row, none = { NULL, 0 };

    row.data = key;
    row.len = DOI_DUE_KEY_SIZE;

    return view->put(view, DOI_TABLE_DUE, row, none) == DOI_OK ? DOI_OK
                                                               : DOI_ERROR;
}


static int
doi_due_del(doi_view_t *view, const uint8_t *key)
{
    doi_str_t  row;

    row.data = key;
    row.len = DOI_DUE_KEY_SIZE;

    return view->del(view, DOI_TABLE_DUE, row) == DOI_OK ? DOI_OK : DOI_ERROR;
}
