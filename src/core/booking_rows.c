/*
 * How a booking is written.
 *
 * All rows of a booking besides its record follow from the record, so they are
 * kept in one place: while it is held, claimed, in doubt or confirmed it has
 * its slot and its place in the agenda, and until it is settled for good its
 * request.  What it waits for is in booking_sweep.c.
 */

#include <string.h>

#include "booking_ops.h"


static int doi_booking_places(doi_view_t *view, const doi_booking_t *was,
    const doi_booking_t *booking);
static int doi_booking_place(doi_view_t *view, const doi_booking_t *booking,
    int put);
static int doi_booking_slot_del(doi_view_t *view, doi_str_t key,
    const doi_booking_t *booking);
static int doi_booking_waits(const doi_booking_t *booking);


int
doi_booking_store(doi_view_t *view, doi_time_t now, const doi_booking_t *was,
    doi_booking_t *booking)
{
    doi_buf_t  buf;
    doi_str_t  key, value;

    booking->changed = now;

    buf.len = 0;
    buf.size = doi_booking_size(booking);
    buf.data = view->alloc(view, buf.size);

    if (buf.data == NULL || doi_booking_encode(booking, &buf) != DOI_OK) {
        return DOI_ERROR;
    }

    key.data = booking->id;
    key.len = DOI_ID_SIZE;
    value.data = buf.data;
    value.len = buf.len;

    if (view->put(view, DOI_TABLE_BOOKINGS, key, value) != DOI_OK
        || doi_due_change(view, was, booking) != DOI_OK)
    {
        return DOI_ERROR;
    }

    return doi_booking_places(view, was, booking);
}


int
doi_booking_drop(doi_view_t *view, const doi_booking_t *was)
{
    doi_str_t  key;

    key.data = was->id;
    key.len = DOI_ID_SIZE;

    if (view->del(view, DOI_TABLE_BOOKINGS, key) != DOI_OK
        || doi_due_change(view, was, NULL) != DOI_OK)
    {
        return DOI_ERROR;
    }

    return doi_booking_places(view, was, NULL);
}


/* Slot, agenda and request. */

static int
doi_booking_places(doi_view_t *view, const doi_booking_t *was,
    const doi_booking_t *booking)
{
    int        stood, stands;
    doi_str_t  key;

    stood = was != NULL && doi_booking_stands(was);
    stands = booking != NULL && doi_booking_stands(booking);

    if (stands && !stood && doi_booking_place(view, booking, 1) != DOI_OK) {
        return DOI_ERROR;
    }

    if (stood && !stands && doi_booking_place(view, was, 0) != DOI_OK) {
        return DOI_ERROR;
    }

    if (was == NULL || !doi_booking_waits(was)
        || (booking != NULL && doi_booking_waits(booking)))
    {
        return DOI_OK;
    }

    key.data = was->id;
    key.len = DOI_ID_SIZE;

    return view->del(view, DOI_TABLE_REQUESTS, key) == DOI_OK ? DOI_OK
                                                              : DOI_ERROR;
}


static int
doi_booking_place(doi_view_t *view, const doi_booking_t *booking, int put)
{
    int        rc;
    uint8_t    slot_key[DOI_SLOT_KEY_SIZE], agenda_key[DOI_AGENDA_KEY_SIZE];
    doi_str_t  slot, agenda, id, none = { NULL, 0 };

    doi_agenda_key(booking->text[DOI_TEXT_SCOPE], booking->start, booking->id,
                   agenda_key);

    if (doi_slot_key(booking->text[DOI_TEXT_SCOPE],
                     booking->text[DOI_TEXT_SLOT], slot_key)
        != DOI_OK
        || memcmp(agenda_key + 12, booking->id, DOI_ID_SIZE) != 0)
    {
        return DOI_ERROR;
    }

    slot.data = slot_key;
    slot.len = sizeof(slot_key);
    agenda.data = agenda_key;
    agenda.len = sizeof(agenda_key);
    id.data = booking->id;
    id.len = DOI_ID_SIZE;

    if (put) {
        rc = view->put(view, DOI_TABLE_SLOTS, slot, id);

        return rc == DOI_OK
               && view->put(view, DOI_TABLE_AGENDA, agenda, none) == DOI_OK
               ? DOI_OK : DOI_ERROR;
    }

    rc = doi_booking_slot_del(view, slot, booking);

    return rc == DOI_OK
           && view->del(view, DOI_TABLE_AGENDA, agenda) == DOI_OK
           ? DOI_OK : DOI_ERROR;
}


/* Whatever has gone wrong: nobody's slot is given away but one's own. */

static int
doi_booking_slot_del(doi_view_t *view, doi_str_t key,
    const doi_booking_t *booking)
{
    int        rc;
    doi_str_t  value;

    rc = view->get(view, DOI_TABLE_SLOTS, key, &value);

    if (rc == DOI_NOT_FOUND) {
        return DOI_OK;
    }

    if (rc != DOI_OK) {
        return DOI_ERROR;
    }

    if (value.len != DOI_ID_SIZE
        || memcmp(value.data, booking->id, DOI_ID_SIZE) != 0)
    {
        return DOI_OK;
    }

    return view->del(view, DOI_TABLE_SLOTS, key) == DOI_OK ? DOI_OK
                                                           : DOI_ERROR;
}


int
doi_booking_stands(const doi_booking_t *booking)
{
    return booking->state == DOI_BOOKING_CONFIRMED
           || doi_booking_waits(booking);
}


/* Its request may be needed yet. */

static int
doi_booking_waits(const doi_booking_t *booking)
{
    return booking->state == DOI_BOOKING_HELD
           || booking->state == DOI_BOOKING_CLAIMED
           || booking->state == DOI_BOOKING_IN_DOUBT;
}
