/*
 * Replies that wait in the outbox, and their order.
 *
 * DOI_TABLE_MESSAGES: id of the delivery ->
 *
 *   offset  size  field
 *   0       1     version: 1
 *   1       1     reply: doi_reply_t
 *   2       12    token of the link to confirm; zeros: none
 *   14      4     when that expires
 *   18      1     L, bytes of list
 *   19      1     S, bytes of sender
 *   20      2     T, bytes of text
 *   22            list, sender, text
 *
 * Contact id || id of the delivery -> its place among those of the contact: ids
 * of the delivery before it and of the next one (12 bytes each); zeros: none.
 * By this row an erasure finds it, too.
 *
 * Contact id || "last" -> id of the last one.
 *
 * An id may come again when its delivery is done, so whoever leaves the line
 * takes his id out of it.
 *
 * Numbers are unsigned and big-endian.
 */

#include <string.h>

#include "consent_ops.h"


#define DOI_REPLY_VERSION   1
#define DOI_REPLY_HEAD      22
#define DOI_REPLY_TEXTS     (64 + 64 + 2048)

#define DOI_REPLY_KEY       (DOI_CONTACT_ID + DOI_ID_SIZE)

/* Replies that wait for one another, which are looked through for the first. */
#define DOI_HASTEN_MAX      16


typedef struct {
    uint8_t  before[DOI_ID_SIZE];
    uint8_t  next[DOI_ID_SIZE];
} doi_place_t;


static int doi_reply_link(doi_view_t *view, doi_time_t now,
    const uint8_t *contact, const uint8_t *id);
static int doi_reply_unlink(doi_view_t *view, const uint8_t *contact,
    const uint8_t *id);
static int doi_reply_hasten(doi_view_t *view, doi_time_t now,
    const uint8_t *contact, const uint8_t *id);
static int doi_place_get(doi_view_t *view, const uint8_t *contact,
    const uint8_t *id, doi_place_t *place);
static int doi_place_put(doi_view_t *view, const uint8_t *contact,
    const uint8_t *id, const doi_place_t *place);
static int doi_last_get(doi_view_t *view, const uint8_t *contact,
    uint8_t *id);
static int doi_last_put(doi_view_t *view, const uint8_t *contact,
    const uint8_t *id);
static void doi_reply_key(const uint8_t *contact, const uint8_t *tail,
    size_t len, uint8_t key[DOI_REPLY_KEY], doi_str_t *str);


static const uint8_t  doi_reply_last[] = { 'l', 'a', 's', 't' };


int
doi_reply_put(doi_view_t *view, doi_time_t now, const doi_contact_t *contact,
    unsigned state, const uint8_t salt[DOI_TARGET_SIZE],
    const doi_reply_row_t *row)
{
    uint8_t       event[DOI_ID_SIZE], *p;
    uint8_t       bytes[DOI_REPLY_HEAD + DOI_REPLY_TEXTS];
    doi_outbox_t  outbox;

    if (row->list.len > doi_said_max[DOI_SAID_LIST]
        || row->sender.len > doi_said_max[DOI_SAID_SENDER]
        || row->text.len > doi_said_max[DOI_SAID_REPLY])
    {
        return DOI_ERROR;
    }

    bytes[0] = DOI_REPLY_VERSION;
    bytes[1] = row->reply;
    memcpy(bytes + 2, row->confirm, DOI_ID_SIZE);
    doi_put32(bytes + 14, row->confirm_expires);
    bytes[18] = (uint8_t) row->list.len;
    bytes[19] = (uint8_t) row->sender.len;
    doi_put16(bytes + 20, (uint16_t) row->text.len);
    p = doi_str_put(bytes + DOI_REPLY_HEAD, row->list);
    p = doi_str_put(p, row->sender);
    p = doi_str_put(p, row->text);

    memset(&outbox, 0, sizeof(outbox));
    doi_event_id(contact->id, DOI_EVENT_CONSENT, contact->head_seq, event);
    doi_delivery_id(event, DOI_DELIVER_MESSAGE, salt, outbox.id);
    memcpy(outbox.booking, contact->id, DOI_CONTACT_ID);
    outbox.kind = DOI_DELIVER_MESSAGE;
    outbox.event = DOI_EVENT_CONSENT;
    outbox.booking_state = (uint8_t) state;
    outbox.created = now;
    outbox.due = now;

    if (doi_outbox_put(view, &outbox) != DOI_OK
        || doi_row_put(view, DOI_TABLE_MESSAGES, outbox.id, DOI_ID_SIZE,
                       bytes, (size_t) (p - bytes))
           != DOI_OK)
    {
        return DOI_ERROR;
    }

    return doi_reply_link(view, now, contact->id, outbox.id);
}


/* One that waits already, and is written again, stays in its place. */

static int
doi_reply_link(doi_view_t *view, doi_time_t now, const uint8_t *contact,
    const uint8_t *id)
{
    int          rc;
    doi_place_t  place, other;

    rc = doi_place_get(view, contact, id, &place);

    if (rc != DOI_NOT_FOUND) {
        return rc;
    }

    memset(&place, 0, sizeof(place));

    rc = doi_last_get(view, contact, place.before);

    if (rc == DOI_OK) {
        rc = doi_place_get(view, contact, place.before, &other);
    }

    if (rc == DOI_OK) {
        memcpy(other.next, id, DOI_ID_SIZE);
        rc = doi_place_put(view, contact, place.before, &other);
    }

    if (rc == DOI_OK) {
        rc = doi_reply_hasten(view, now, contact, place.before);
    }

    if (rc == DOI_ERROR
        || doi_place_put(view, contact, id, &place) != DOI_OK)
    {
        return DOI_ERROR;
    }

    return doi_last_put(view, contact, id);
}


static int
doi_reply_unlink(doi_view_t *view, const uint8_t *contact,
    const uint8_t *id)
{
    int          rc;
    uint8_t      last[DOI_ID_SIZE];
    doi_place_t  place, other;

    rc = doi_place_get(view, contact, id, &place);

    if (rc != DOI_OK) {
        return rc == DOI_NOT_FOUND ? DOI_OK : DOI_ERROR;
    }

    rc = doi_place_get(view, contact, place.next, &other);

    if (rc == DOI_OK) {
        memcpy(other.before, place.before, DOI_ID_SIZE);
        rc = doi_place_put(view, contact, place.next, &other);
    }

    if (rc == DOI_ERROR) {
        return DOI_ERROR;
    }

    rc = doi_place_get(view, contact, place.before, &other);

    if (rc == DOI_OK) {
        memcpy(other.next, place.next, DOI_ID_SIZE);
        rc = doi_place_put(view, contact, place.before, &other);
    }

    if (rc == DOI_ERROR) {
        return DOI_ERROR;
    }

    rc = doi_last_get(view, contact, last);

    if (rc == DOI_OK && memcmp(last, id, DOI_ID_SIZE) == 0) {
        rc = doi_last_put(view, contact, place.before);
    }

    return rc == DOI_ERROR ? DOI_ERROR
                           : doi_index_del(view, DOI_TABLE_MESSAGES, contact,
                                           id);
}


/*
 * Whoever writes is there now: what he was to be told before is tried at once,
 * and what he is told now does not wait for an hour because of it.
 */

static int
doi_reply_hasten(doi_view_t *view, doi_time_t now, const uint8_t *contact,
    const uint8_t *id)
{
    int           rc;
    unsigned      n;
    uint8_t       before[DOI_ID_SIZE];
    doi_place_t   place;
    doi_outbox_t  row, first;

    memset(&first, 0, sizeof(first));
    memcpy(before, id, DOI_ID_SIZE);
    rc = DOI_OK;

    for (n = 0; n < DOI_HASTEN_MAX && rc == DOI_OK; n++) {

        rc = doi_outbox_get(view, before, &row);

        if (rc != DOI_OK || row.state != DOI_QUEUED) {
            break;
        }

        first = row;
        rc = doi_place_get(view, contact, before, &place);

        if (rc == DOI_OK) {
            memcpy(before, place.before, DOI_ID_SIZE);
        }
    }

    if (rc == DOI_ERROR) {
        return DOI_ERROR;
    }

    if (first.due <= now) {
        return DOI_OK;
    }

    first.due = now;

    return doi_outbox_put(view, &first);
}


int
doi_reply_get(doi_view_t *view, const uint8_t delivery[DOI_ID_SIZE],
    doi_reply_row_t *row)
{
    int             rc;
    uint8_t         head[DOI_REPLY_HEAD];
    doi_str_t       key, value, rest;

    key.data = delivery;
    key.len = DOI_ID_SIZE;

    rc = view->get(view, DOI_TABLE_MESSAGES, key, &value);

    if (rc == DOI_NOT_FOUND) {
        return DOI_NOT_FOUND;
    }

    if (rc != DOI_OK || !doi_arg_head(value, head, sizeof(head), &rest)
        || head[0] != DOI_REPLY_VERSION || head[1] == DOI_REPLY_NONE
        || head[1] >= DOI_REPLIES)
    {
        return DOI_ERROR;
    }

    memset(row, 0, sizeof(doi_reply_row_t));
    row->reply = head[1];
    memcpy(row->confirm, head + 2, DOI_ID_SIZE);
    row->confirm_expires = doi_get32(head + 14);

    return doi_str_take(&rest, head[18], &row->list)
           && doi_str_take(&rest, head[19], &row->sender)
           && doi_str_take(&rest, doi_get16(head + 20), &row->text)
           && rest.len == 0
           ? DOI_OK : DOI_ERROR;
}


int
doi_reply_waits(doi_view_t *view, const doi_outbox_t *row)
{
    doi_place_t   place;
    doi_outbox_t  other;

    return row->kind == DOI_DELIVER_MESSAGE
           && doi_place_get(view, row->booking, row->id, &place) == DOI_OK
           && doi_outbox_get(view, place.before, &other) == DOI_OK
           && other.state == DOI_QUEUED;
}


int
doi_reply_del(doi_view_t *view, const uint8_t delivery[DOI_ID_SIZE],
    const uint8_t contact[DOI_CONTACT_ID])
{
    return doi_row_del(view, DOI_TABLE_MESSAGES, delivery, DOI_ID_SIZE)
           == DOI_OK
           ? doi_reply_unlink(view, contact, delivery) : DOI_ERROR;
}


/* DOI_NOT_FOUND: no such reply waits, as of the id that is all zeros. */

static int
doi_place_get(doi_view_t *view, const uint8_t *contact, const uint8_t *id,
    doi_place_t *place)
{
    int        rc;
    uint8_t    bytes[DOI_REPLY_KEY];
    doi_str_t  key, value;

    doi_reply_key(contact, id, DOI_ID_SIZE, bytes, &key);
    rc = view->get(view, DOI_TABLE_MESSAGES, key, &value);

    if (rc != DOI_OK) {
        return rc;
    }

    if (value.len != sizeof(doi_place_t)) {
        return DOI_ERROR;
    }

    memcpy(place, value.data, sizeof(doi_place_t));

    return DOI_OK;
}


static int
doi_place_put(doi_view_t *view, const uint8_t *contact, const uint8_t *id,
    const doi_place_t *place)
{
    uint8_t    bytes[DOI_REPLY_KEY];
    doi_str_t  key;

    doi_reply_key(contact, id, DOI_ID_SIZE, bytes, &key);

    return doi_row_put(view, DOI_TABLE_MESSAGES, key.data, key.len,
                       (const uint8_t *) place, sizeof(doi_place_t));
}


/* DOI_NOT_FOUND: none waits. */

static int
doi_last_get(doi_view_t *view, const uint8_t *contact, uint8_t *id)
{
    int        rc;
    uint8_t    bytes[DOI_REPLY_KEY];
    doi_str_t  key, value;

    doi_reply_key(contact, doi_reply_last, sizeof(doi_reply_last), bytes,
                  &key);
    rc = view->get(view, DOI_TABLE_MESSAGES, key, &value);

    if (rc != DOI_OK) {
        return rc;
    }

    if (value.len != DOI_ID_SIZE) {
        return DOI_ERROR;
    }

    memcpy(id, value.data, DOI_ID_SIZE);

    return DOI_OK;
}


/* An id that is all zeros: none. */

static int
doi_last_put(doi_view_t *view, const uint8_t *contact, const uint8_t *id)
{
    uint8_t    bytes[DOI_REPLY_KEY];
    doi_str_t  key;

    doi_reply_key(contact, doi_reply_last, sizeof(doi_reply_last), bytes,
                  &key);

    return doi_zeros(id, DOI_ID_SIZE)
           ? doi_row_del(view, DOI_TABLE_MESSAGES, key.data, key.len)
           : doi_row_put(view, DOI_TABLE_MESSAGES, key.data, key.len, id,
                         DOI_ID_SIZE);
}


/* What follows the contact's id. */

static void
doi_reply_key(const uint8_t *contact, const uint8_t *tail, size_t len,
    uint8_t key[DOI_REPLY_KEY], doi_str_t *str)
{
    memcpy(key, contact, DOI_CONTACT_ID);
    memcpy(key + DOI_CONTACT_ID, tail, len);

    str->data = key;
    str->len = DOI_CONTACT_ID + len;
}
