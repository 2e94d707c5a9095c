/*
 * What the transactions on bookings and on the outbox share among themselves;
 * everybody else gets them from doi_op_function (link.h).
 *
 *   booking_ops.c     HOLD, READ, CLAIM; arguments and answers
 *   booking_settle.c  SETTLE, CANCEL, RESOLVE, RESEND, SUPPRESS
 *   booking_rows.c    how a booking is written
 *   booking_sweep.c   SWEEP: what time does, and the rows that wait for it
 *   outbox.c          FANOUT, UPDATE
 */

#ifndef DOI_BOOKING_OPS_H
#define DOI_BOOKING_OPS_H

#include "booking.h"
#include "link_ops.h"


#define DOI_CODE_MAX        999999  /* six digits, as doi_code makes them */


doi_result_t doi_op_booking_hold(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
doi_result_t doi_op_booking_claim(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
doi_result_t doi_op_booking_read(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
doi_result_t doi_op_booking_settle(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
doi_result_t doi_op_booking_cancel(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
doi_result_t doi_op_booking_resolve(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
doi_result_t doi_op_booking_resend(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
doi_result_t doi_op_booking_sweep(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
doi_result_t doi_op_suppress(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out);
doi_result_t doi_op_outbox_fanout(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
doi_result_t doi_op_outbox_update(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);


/* Arguments: true if they are well-formed. */

/* The struct that an argument begins with, and what follows it. */
int doi_arg_head(doi_str_t arg, void *data, size_t size, doi_str_t *rest);

doi_result_t doi_op_limit(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out);

/* Takes n limits. */
int doi_arg_limits(doi_str_t *rest, unsigned n,
    doi_limit_t limits[DOI_LIMITS_MAX]);


/*
 * Appends an answer, with the record unless booking is NULL, and the request:
 * result, or DOI_RETRY if it does not fit.
 */
doi_result_t doi_booking_answer(doi_result_t result, doi_booking_answer_t *a,
    const doi_booking_t *booking, doi_str_t request, doi_buf_t *out);

/* The same, with the state by the clock.  browser NULL: nobody known. */
doi_result_t doi_booking_tell(doi_result_t result, doi_time_t now,
    const doi_booking_t *booking, const uint8_t *browser, doi_buf_t *out);

/* That there is no such booking. */
doi_result_t doi_booking_tell_unknown(doi_result_t result, doi_buf_t *out);

/* CONFLICT: not before retry_after seconds have passed. */
doi_result_t doi_booking_tell_limited(uint32_t retry_after, doi_buf_t *out);


size_t doi_booking_size(const doi_booking_t *booking);

/* True if it has its slot, by the state that is stored. */
int doi_booking_stands(const doi_booking_t *booking);


/*
 * A change of a booking: was as it was read, booking a copy of it as it is to
 * be.  All that return an int return DOI_OK or DOI_ERROR.
 */

/* Writes the record and all rows that follow from it; was NULL: a new one. */
int doi_booking_store(doi_view_t *view, doi_time_t now,
    const doi_booking_t *was, doi_booking_t *booking);

/* Deletes the record and all that belongs to it. */
int doi_booking_drop(doi_view_t *view, const doi_booking_t *was);

/* Refused, cancelled or expired; with the event. */
int doi_booking_end(doi_view_t *view, doi_time_t now,
    const doi_booking_t *was, doi_booking_t *booking,
    doi_booking_state_t state);

/* Its claim is in doubt since then; with the event, if nobody was told. */
int doi_booking_doubt(doi_view_t *view, doi_time_t now, doi_time_t since,
    const doi_booking_t *was, doi_booking_t *booking);

/* Asks for its mail once more, on behalf of the request again. */
int doi_booking_send(doi_view_t *view, doi_time_t now,
    const doi_booking_t *was, doi_booking_t *booking,
    const uint8_t again[DOI_ID_SIZE]);

/* Held again, without a claim; nothing is written. */
void doi_booking_release(doi_booking_t *booking);


/*
 * Rows of DOI_TABLE_DUE: time (4 bytes BE), id, kind (1 byte).  They follow
 * from the record, see booking_sweep.c.
 */

#define DOI_DUE_KEY_SIZE    (4 + DOI_ID_SIZE + 1)
#define DOI_DUE_MAX         2       /* rows of one booking */

typedef enum {
    DOI_DUE_EXPIRE = 1,
    DOI_DUE_REMIND,
    DOI_DUE_CLAIM,
    DOI_DUE_DROP
} doi_due_t;

size_t doi_due_keys(const doi_booking_t *booking,
    uint8_t keys[DOI_DUE_MAX][DOI_DUE_KEY_SIZE]);

/* Makes the rows of was into those of booking; each may be NULL. */
int doi_due_change(doi_view_t *view, const doi_booking_t *was,
    const doi_booking_t *booking);

#endif /* DOI_BOOKING_OPS_H */
