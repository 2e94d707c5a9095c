/*
 * The states of a booking, the codec of its record (version 1: the values of
 * DOI_TABLE_BOOKINGS), and keys.
 *
 *   offset  size  field
 *   0       1     version: 1
 *   1       1     state: doi_booking_state_t, 0 .. 6
 *   2       1     flags: DOI_BOOKING_*; others zero
 *   3       1     tries: 0 .. DOI_CODE_TRIES
 *   4       1     sends
 *   5       1     state of the claim: 0 none or released, 1 claimed, 2 used,
 *                 3 in doubt; see below
 *   6       1     bits of the claim: 0x01 released by age, 0x02 retry; others
 *                 zero
 *   7       1     zero
 *   8       4     created, Unix seconds
 *   12      4     expires, Unix seconds
 *   16      4     changed, Unix seconds
 *   20      4     start, Unix seconds; 0: not known
 *   24      4     duration, seconds; 0: not known
 *   28      4     remind, Unix seconds; 0: never
 *   32      4     code: 0 .. 999999; ffffffff: none
 *   36      4     sequence
 *   40      12    again; zeros: none
 *   52      16    attempt of the claim; zeros: none
 *   68      16    browser of the claim; zeros: not known
 *   84      4     claimed, Unix seconds
 *   88      4     deadline, Unix seconds
 *   92      4     settled, Unix seconds; 0: never
 *   96      2     status of the upstream; 0: none
 *   98      2*16  bytes of each text, at most doi_booking_text_max
 *   130           the texts, in the order of doi_booking_text_t
 *
 * Numbers are unsigned and big-endian, lengths stand in front, the id is the
 * key of the row, and decoding accepts only what encoding can have written: all
 * for the reasons that record.c gives.
 *
 * The state of the claim follows from that of the booking: claimed if that is
 * claimed, in doubt if in doubt, used if it is confirmed or was before it was
 * cancelled, else 0.  A refused booking keeps its claim with state 0.  So does
 * one whose last claim had a wrong code: its attempt is known when it is run
 * again, and is not counted twice.  Without an attempt, all of the claim is
 * zero.
 */

#include <string.h>

#include "booking_ops.h"


#define DOI_BOOKING_VERSION     1
#define DOI_BOOKING_LENGTHS     98
#define DOI_BOOKING_HEAD_SIZE   (DOI_BOOKING_LENGTHS + 2 * DOI_TEXTS)

#define DOI_BOOKING_FLAGS       0x1f

#define DOI_BOOKING_TEXTS_SUM                                                 \
    (255 + 255 + 254 + 255 + 35 + 64 + 255 + 1024 + 255 + 254 + 64 + 512      \
     + 512 + 512 + 128 + 512)

_Static_assert(DOI_BOOKING_HEAD_SIZE + DOI_BOOKING_TEXTS_SUM
               <= DOI_BOOKING_MAX, "the largest record fits");
_Static_assert(sizeof(doi_booking_answer_t) + DOI_BOOKING_MAX + DOI_REQUEST_MAX
               <= DOI_REPLY_MAX, "record and request fit an answer");


static int doi_booking_check(const doi_booking_t *booking);
static int doi_booking_check_claim(const doi_booking_t *booking);


const uint16_t  doi_booking_text_max[DOI_TEXTS] = {
    [DOI_TEXT_SCOPE] = 255,
    [DOI_TEXT_SLOT] = 255,
    [DOI_TEXT_EMAIL] = 254,
    [DOI_TEXT_NAME] = 255,
    [DOI_TEXT_LANG] = 35,
    [DOI_TEXT_ZONE] = 64,
    [DOI_TEXT_SUMMARY] = 255,
    [DOI_TEXT_URL] = 1024,
    [DOI_TEXT_OWNER_NAME] = 255,
    [DOI_TEXT_OWNER_EMAIL] = 254,
    [DOI_TEXT_OWNER_PHONE] = 64,
    [DOI_TEXT_OWNER_URL] = 512,
    [DOI_TEXT_TEMPLATES] = 512,
    [DOI_TEXT_CALENDAR] = 512,
    [DOI_TEXT_ACTOR] = 128,
    [DOI_TEXT_REASON] = 512
};


const char *
doi_booking_state_name(unsigned state)
{
    static const char *const  names[DOI_BOOKING_STATES] = {
        [DOI_BOOKING_HELD] = "held",
        [DOI_BOOKING_CLAIMED] = "claimed",
        [DOI_BOOKING_CONFIRMED] = "confirmed",
        [DOI_BOOKING_IN_DOUBT] = "in_doubt",
        [DOI_BOOKING_REFUSED] = "refused",
        [DOI_BOOKING_CANCELLED] = "cancelled",
        [DOI_BOOKING_EXPIRED] = "expired"
    };

    return state < DOI_BOOKING_STATES ? names[state] : NULL;
}


doi_booking_state_t
doi_booking_state(const doi_booking_t *booking, doi_time_t now)
{
    switch (booking->state) {

    case DOI_BOOKING_CLAIMED:
    case DOI_BOOKING_IN_DOUBT:

        switch (doi_claim_state(&booking->claim, now)) {

        case DOI_CLAIM_CLAIMED:
            return DOI_BOOKING_CLAIMED;

        case DOI_CLAIM_IN_DOUBT:
            return DOI_BOOKING_IN_DOUBT;

        default: /* released by age: a hold */
            break;
        }

        /* fall through */

    case DOI_BOOKING_HELD:
        return now >= booking->expires ? DOI_BOOKING_EXPIRED
                                       : DOI_BOOKING_HELD;

    default:
        return booking->state;
    }
}


int
doi_booking_decode(doi_str_t value, doi_booking_t *booking)
{
    size_t          i, len;
    doi_claim_t    *claim;
    const uint8_t  *p;

    memset(booking, 0, sizeof(doi_booking_t));

    p = value.data;

    if (value.len < DOI_BOOKING_HEAD_SIZE || p[0] != DOI_BOOKING_VERSION
        || p[7] != 0)
    {
        return DOI_ERROR;
    }

    booking->state = p[1];
    booking->flags = p[2];
    booking->tries = p[3];
    booking->sends = p[4];
    booking->created = doi_get32(p + 8);
    booking->expires = doi_get32(p + 12);
    booking->changed = doi_get32(p + 16);
    booking->start = doi_get32(p + 20);
    booking->duration = doi_get32(p + 24);
    booking->remind = doi_get32(p + 28);
    booking->code = doi_get32(p + 32);
    booking->sequence = doi_get32(p + 36);
    memcpy(booking->again, p + 40, DOI_ID_SIZE);

    claim = &booking->claim;
    claim->state = p[5];
    claim->flags = p[6];
    memcpy(claim->attempt, p + 52, DOI_ATTEMPT_SIZE);
    memcpy(claim->browser, p + 68, DOI_BROWSER_SIZE);
    claim->claimed = doi_get32(p + 84);
    claim->deadline = doi_get32(p + 88);
    claim->settled = doi_get32(p + 92);
    claim->status = doi_get16(p + 96);

    len = DOI_BOOKING_HEAD_SIZE;

    for (i = 0; i < DOI_TEXTS; i++) {
        booking->text[i].data = p + len;
        booking->text[i].len = doi_get16(p + DOI_BOOKING_LENGTHS + 2 * i);

        if (booking->text[i].len > value.len - len) {
            return DOI_ERROR;
        }

        len += booking->text[i].len;
    }

    return len == value.len ? doi_booking_check(booking) : DOI_ERROR;
}


int
doi_booking_encode(const doi_booking_t *booking, doi_buf_t *out)
{
    size_t              i, size;
    uint8_t            *p;
    const doi_claim_t  *claim;

    if (doi_booking_check(booking) != DOI_OK) {
        return DOI_ERROR;
    }

    size = doi_booking_size(booking);

    if (size > out->size - out->len) {
        return DOI_ERROR;
    }

    claim = &booking->claim;
    p = out->data + out->len;

    p[0] = DOI_BOOKING_VERSION;
    p[1] = booking->state;
    p[2] = booking->flags;
    p[3] = booking->tries;
    p[4] = booking->sends;
    p[5] = claim->state;
    p[6] = claim->flags;
    p[7] = 0;
    doi_put32(p + 8, booking->created);
    doi_put32(p + 12, booking->expires);
    doi_put32(p + 16, booking->changed);
    doi_put32(p + 20, booking->start);
    doi_put32(p + 24, booking->duration);
    doi_put32(p + 28, booking->remind);
    doi_put32(p + 32, booking->code);
    doi_put32(p + 36, booking->sequence);
    memcpy(p + 40, booking->again, DOI_ID_SIZE);
    memcpy(p + 52, claim->attempt, DOI_ATTEMPT_SIZE);
    memcpy(p + 68, claim->browser, DOI_BROWSER_SIZE);
    doi_put32(p + 84, claim->claimed);
    doi_put32(p + 88, claim->deadline);
    doi_put32(p + 92, claim->settled);
    doi_put16(p + 96, claim->status);

    for (i = 0; i < DOI_TEXTS; i++) {
        doi_put16(p + DOI_BOOKING_LENGTHS + 2 * i,
                  (uint16_t) booking->text[i].len);
    }

    p += DOI_BOOKING_HEAD_SIZE;

    for (i = 0; i < DOI_TEXTS; i++) {
        if (booking->text[i].len != 0) {
            memcpy(p, booking->text[i].data, booking->text[i].len);
            p += booking->text[i].len;
        }
    }

    out->len += size;

    return DOI_OK;
}


size_t
doi_booking_size(const doi_booking_t *booking)
{
    size_t  i, size;

    size = DOI_BOOKING_HEAD_SIZE;

    for (i = 0; i < DOI_TEXTS; i++) {
        size += booking->text[i].len;
    }

    return size;
}


/* One list of rules for both ways: what can be written can be read. */

static int
doi_booking_check(const doi_booking_t *booking)
{
    size_t  i;

    if (booking->state >= DOI_BOOKING_STATES
        || (booking->flags & ~DOI_BOOKING_FLAGS)
        || booking->tries > DOI_CODE_TRIES
        || (booking->code > DOI_CODE_MAX && booking->code != DOI_CODE_NONE))
    {
        return DOI_ERROR;
    }

    for (i = 0; i < DOI_TEXTS; i++) {
        if (booking->text[i].len > doi_booking_text_max[i]) {
            return DOI_ERROR;
        }
    }

    return doi_booking_check_claim(booking);
}


static int
doi_booking_check_claim(const doi_booking_t *booking)
{
    uint8_t             want;
    const doi_claim_t  *claim;
    static const uint8_t  states[DOI_BOOKING_STATES] = {
        [DOI_BOOKING_CLAIMED] = DOI_CLAIM_CLAIMED,
        [DOI_BOOKING_CONFIRMED] = DOI_CLAIM_USED,
        [DOI_BOOKING_IN_DOUBT] = DOI_CLAIM_IN_DOUBT
    };

    claim = &booking->claim;
    want = states[booking->state];

    if (booking->flags & DOI_BOOKING_WAS_CONFIRMED) {
        if (booking->state != DOI_BOOKING_CANCELLED) {
            return DOI_ERROR;
        }

        want = DOI_CLAIM_USED;
    }

    if (claim->state != want || claim->slot != 0
        || (claim->flags & ~(DOI_CLAIM_RELEASE | DOI_CLAIM_RETRY)))
    {
        return DOI_ERROR;
    }

    if (!doi_zeros(claim->attempt, DOI_ATTEMPT_SIZE)) {
        return DOI_OK;
    }

    if (want != 0 || booking->state == DOI_BOOKING_REFUSED
        || claim->flags || claim->claimed || claim->deadline
        || claim->settled || claim->status
        || !doi_zeros(claim->browser, DOI_BROWSER_SIZE))
    {
        return DOI_ERROR;
    }

    return DOI_OK;
}


int
doi_booking_get(doi_view_t *view, const uint8_t id[DOI_ID_SIZE],
    doi_booking_t *booking)
{
    int        rc;
    doi_str_t  key, value;

    key.data = id;
    key.len = DOI_ID_SIZE;

    rc = view->get(view, DOI_TABLE_BOOKINGS, key, &value);

    if (rc == DOI_NOT_FOUND) {
        return DOI_NOT_FOUND;
    }

    if (rc != DOI_OK || doi_booking_decode(value, booking) != DOI_OK) {
        return DOI_ERROR;
    }

    memcpy(booking->id, id, DOI_ID_SIZE);

    return DOI_OK;
}


int
doi_slot_key(doi_str_t scope, doi_str_t slot, uint8_t key[DOI_SLOT_KEY_SIZE])
{
    uint8_t    len[2];
    doi_str_t  parts[3];

    if (scope.len > doi_booking_text_max[DOI_TEXT_SCOPE]
        || slot.len > doi_booking_text_max[DOI_TEXT_SLOT])
    {
        return DOI_ERROR;
    }

    doi_put16(len, (uint16_t) scope.len);

    parts[0].data = len;
    parts[0].len = sizeof(len);
    parts[1] = scope;
    parts[2] = slot;

    return doi_digest(parts, 3, key, DOI_SLOT_KEY_SIZE);
}


/* If libcrypto fails, the key is all zeros: a row that is nobody's. */

void
doi_agenda_key(doi_str_t scope, doi_time_t start,
    const uint8_t id[DOI_ID_SIZE], uint8_t key[DOI_AGENDA_KEY_SIZE])
{
    memset(key, 0, DOI_AGENDA_KEY_SIZE);

    if (doi_digest(&scope, 1, key, 8) == DOI_OK) {
        doi_put32(key + 8, start);
        memcpy(key + 12, id, DOI_ID_SIZE);
    }
}
