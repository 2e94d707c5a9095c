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

#include <string.h>

#include "link.h"


int
doi_op_wants_another_look(unsigned op, doi_result_t result, doi_str_t answer)
{
    doi_link_answer_t  a;

    if (answer.len < sizeof(a)) {
        return 0;
    }

    switch (op) {

    case DOI_OP_LINK_CLAIM:

        /* DOI_WON is the claim of whoever asks. */

        if (result != DOI_CONFLICT) {
            return 0;
        }

        break;

    case DOI_OP_LINK_READ:

        if (result != DOI_CONFLICT && result != DOI_WON) {
            return 0;
        }

        break;

    default:
        return 0;
    }

    memcpy(&a, answer.data, sizeof(a));

    return a.state == DOI_LINK_CLAIMED;
}
