/*
 * Which answers deserve another look.
 *
 * The leader of the store reads the sockets of all processes one after the
 * other.  Say worker A settles a booking: it writes the settle to its socket,
 * then answers its client.  The client, or whoever it told, now asks worker B,
 * and B's question reaches B's socket when the leader has already passed A's
 * and is about to read B's.  Run at once, the question would be told "somebody
 * is booking right now" about a booking whose end was sent before the question
 * was asked.  So whatever is answered "claimed" is run once more, after every
 * socket has been read again: the settle is then seen.
 *
 * The other answers do not need it: a link that is used, revoked or expired
 * stays so, a win is a win, and whoever is told "in doubt" is told that the
 * outcome is still being looked for.
 */

#include "booking.h"


/* Both answers begin with the state, one byte. */

_Static_assert(offsetof(doi_link_answer_t, state) == 0
               && offsetof(doi_booking_answer_t, state) == 0,
               "the state is the first byte");


int
doi_op_wants_another_look(unsigned op, doi_result_t result, doi_str_t answer)
{
    size_t   size;
    uint8_t  claimed;

    switch (op) {

    case DOI_OP_LINK_CLAIM:
    case DOI_OP_LINK_READ:
        size = sizeof(doi_link_answer_t);
        claimed = DOI_LINK_CLAIMED;
        break;

    case DOI_OP_BOOKING_CLAIM:
    case DOI_OP_BOOKING_READ:
        size = sizeof(doi_booking_answer_t);
        claimed = DOI_BOOKING_CLAIMED;
        break;

    default:
        return 0;
    }

    switch (op) {

    case DOI_OP_LINK_CLAIM:
    case DOI_OP_BOOKING_CLAIM:

        /* DOI_WON is the claim of whoever asks. */

        if (result != DOI_CONFLICT) {
            return 0;
        }

        break;

    default: /* READ */

        if (result != DOI_CONFLICT && result != DOI_WON) {
            return 0;
        }
    }

    return answer.len >= size && answer.data[0] == claimed;
}
