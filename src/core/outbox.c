/*
 * The outbox: codec of its rows (version 1: the values of DOI_TABLE_OUTBOX),
 * ids, and the transactions FANOUT and UPDATE.
 *
 *   offset  size  field
 *   0       1     version: 1
 *   1       1     kind: doi_outbox_kind_t
 *   2       1     event: 0 for an event, of which kind it was for a delivery
 *   3       1     state: 0 queued, 1 dead
 *   4       1     state of the booking at the event: doi_booking_state_t
 *   5       1     E, bytes of error: at most DOI_ERROR_TEXT
 *   6       2     attempts
 *   8       4     created, Unix seconds
 *   12      4     due, Unix seconds
 *   16      12    id of the booking
 *   28      8     target: zeros but for a webhook or a CRM
 *   36      E     error, printable ASCII
 *
 * Numbers are unsigned and big-endian; the id is the key of the row.  Decoding
 * accepts only what encoding can have written.
 *
 * Each row has one in DOI_TABLE_QUEUE, whose key follows from it.
 */

#include <string.h>

#include <openssl/evp.h>

#include "consent_ops.h"


#define DOI_OUTBOX_VERSION      1
#define DOI_OUTBOX_HEAD_SIZE    36

_Static_assert(DOI_OUTBOX_HEAD_SIZE + DOI_ERROR_TEXT <= DOI_OUTBOX_MAX,
               "the largest row fits");
_Static_assert(DOI_ERROR_TEXT <= UINT8_MAX, "its length fits its byte");


static int doi_outbox_check(const doi_outbox_t *row);
static int doi_is_event(unsigned kind);
static int doi_is_delivery(unsigned kind);
static int doi_has_target(unsigned kind);
static void doi_outbox_id(const uint8_t *text, size_t len,
    uint8_t id[DOI_ID_SIZE]);
static int doi_outbox_del(doi_view_t *view, const doi_outbox_t *row);
static int doi_outbox_change(doi_view_t *view, const doi_outbox_t *was,
    const doi_outbox_t *row);
static void doi_queue_key(const doi_outbox_t *row,
    uint8_t key[DOI_QUEUE_KEY_SIZE], doi_str_t *str);
static int doi_fanout_parse(doi_str_t arg, doi_fanout_arg_t *a,
    doi_fanout_t to[DOI_FANOUT_MAX]);
static int doi_fanout_put(doi_view_t *view, doi_time_t now,
    const doi_outbox_t *event, const doi_fanout_t *to);
static int doi_update_parse(doi_str_t arg, doi_outbox_arg_t *a,
    uint8_t text[DOI_ERROR_TEXT], doi_str_t *error);
static void doi_update_row(const doi_outbox_arg_t *a, doi_time_t now,
    doi_str_t error, doi_outbox_t *row);
static int doi_updated_before(const doi_outbox_arg_t *a, doi_time_t now,
    doi_str_t error, const doi_outbox_t *row);


const char *
doi_outbox_kind_name(unsigned kind)
{
    static const char *const  names[DOI_DELIVERS] = {
        [DOI_EVENT_HELD] = "held",
        [DOI_EVENT_RESEND] = "resend",
        [DOI_EVENT_REMIND] = "remind",
        [DOI_EVENT_CONFIRMED] = "confirmed",
        [DOI_EVENT_CONFIRM_RESEND] = "confirm_resend",
        [DOI_EVENT_RELEASED] = "released",
        [DOI_EVENT_IN_DOUBT] = "in_doubt",
        [DOI_EVENT_CONSENT] = "consent",
        [DOI_DELIVER_CONFIRM] = "confirm",
        [DOI_DELIVER_REMIND] = "remind",
        [DOI_DELIVER_BOOKED] = "booked",
        [DOI_DELIVER_OWNER] = "owner",
        [DOI_DELIVER_CANCELLED] = "cancelled",
        [DOI_DELIVER_OWNER_CANCELLED] = "owner_cancelled",
        [DOI_DELIVER_OWNER_DOUBT] = "owner_doubt",
        [DOI_DELIVER_CALENDAR] = "calendar",
        [DOI_DELIVER_WEBHOOK] = "webhook",
        [DOI_DELIVER_MESSAGE] = "message",
        [DOI_DELIVER_SYNC] = "sync"
    };

    return kind < DOI_DELIVERS ? names[kind] : NULL;
}


int
doi_outbox_decode(doi_str_t value, doi_outbox_t *row)
{
    const uint8_t  *p;

    memset(row, 0, sizeof(doi_outbox_t));

    p = value.data;

    if (value.len < DOI_OUTBOX_HEAD_SIZE || p[0] != DOI_OUTBOX_VERSION
        || value.len != (size_t) DOI_OUTBOX_HEAD_SIZE + p[5])
    {
        return DOI_ERROR;
    }

    row->kind = p[1];
    row->event = p[2];
    row->state = p[3];
    row->booking_state = p[4];
    row->attempts = doi_get16(p + 6);
    row->created = doi_get32(p + 8);
    row->due = doi_get32(p + 12);
    memcpy(row->booking, p + 16, DOI_ID_SIZE);
    memcpy(row->target, p + 28, DOI_TARGET_SIZE);
    row->error.data = p + DOI_OUTBOX_HEAD_SIZE;
    row->error.len = p[5];

    return doi_outbox_check(row);
}


int
doi_outbox_encode(const doi_outbox_t *row, doi_buf_t *out)
{
    size_t    size;
    uint8_t  *p;

    if (doi_outbox_check(row) != DOI_OK) {
        return DOI_ERROR;
    }

    size = DOI_OUTBOX_HEAD_SIZE + row->error.len;

    if (size > out->size - out->len) {
        return DOI_ERROR;
    }

    p = out->data + out->len;

    p[0] = DOI_OUTBOX_VERSION;
    p[1] = row->kind;
    p[2] = row->event;
    p[3] = row->state;
    p[4] = row->booking_state;
    p[5] = (uint8_t) row->error.len;
    doi_put16(p + 6, row->attempts);
    doi_put32(p + 8, row->created);
    doi_put32(p + 12, row->due);
    memcpy(p + 16, row->booking, DOI_ID_SIZE);
    memcpy(p + 28, row->target, DOI_TARGET_SIZE);

    if (row->error.len != 0) {
        memcpy(p + DOI_OUTBOX_HEAD_SIZE, row->error.data, row->error.len);
    }

    out->len += size;

    return DOI_OK;
}


/* One list of rules for both ways: what can be written can be read. */

static int
doi_outbox_check(const doi_outbox_t *row)
{
    size_t  i;

    if (row->state > DOI_DEAD || row->booking_state >= DOI_BOOKING_STATES
        || row->error.len > DOI_ERROR_TEXT)
    {
        return DOI_ERROR;
    }

    if (doi_is_event(row->kind) ? row->event != 0
        : !doi_is_delivery(row->kind) || !doi_is_event(row->event))
    {
        return DOI_ERROR;
    }

    if (!doi_has_target(row->kind)
        && !doi_zeros(row->target, DOI_TARGET_SIZE))
    {
        return DOI_ERROR;
    }

    for (i = 0; i < row->error.len; i++) {
        if (row->error.data[i] < 0x20 || row->error.data[i] > 0x7e) {
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


static int
doi_is_event(unsigned kind)
{
    return kind >= DOI_EVENT_HELD && kind < DOI_EVENTS;
}


static int
doi_is_delivery(unsigned kind)
{
    return kind >= DOI_DELIVER_CONFIRM && kind < DOI_DELIVERS;
}


static int
doi_has_target(unsigned kind)
{
    return kind == DOI_DELIVER_WEBHOOK || kind == DOI_DELIVER_SYNC;
}


int
doi_outbox_get(doi_view_t *view, const uint8_t id[DOI_ID_SIZE],
    doi_outbox_t *row)
{
    int        rc;
    doi_str_t  key, value;

    key.data = id;
    key.len = DOI_ID_SIZE;

    rc = view->get(view, DOI_TABLE_OUTBOX, key, &value);

    if (rc == DOI_NOT_FOUND) {
        return DOI_NOT_FOUND;
    }

    if (rc != DOI_OK || doi_outbox_decode(value, row) != DOI_OK) {
        return DOI_ERROR;
    }

    memcpy(row->id, id, DOI_ID_SIZE);

    return DOI_OK;
}


void
doi_event_id(const uint8_t booking[DOI_ID_SIZE], unsigned kind,
    uint32_t serial, uint8_t id[DOI_ID_SIZE])
{
    uint8_t  text[5 + DOI_ID_SIZE + 1 + 4];

    memcpy(text, "event", 5);
    memcpy(text + 5, booking, DOI_ID_SIZE);
    text[5 + DOI_ID_SIZE] = (uint8_t) kind;
    doi_put32(text + 5 + DOI_ID_SIZE + 1, serial);

    doi_outbox_id(text, sizeof(text), id);
}


void
doi_delivery_id(const uint8_t event[DOI_ID_SIZE], unsigned kind,
    const uint8_t target[DOI_TARGET_SIZE], uint8_t id[DOI_ID_SIZE])
{
    uint8_t  text[8 + DOI_ID_SIZE + 1 + DOI_TARGET_SIZE];

    memcpy(text, "delivery", 8);
    memcpy(text + 8, event, DOI_ID_SIZE);
    text[8 + DOI_ID_SIZE] = (uint8_t) kind;
    memcpy(text + 8 + DOI_ID_SIZE + 1, target, DOI_TARGET_SIZE);

    doi_outbox_id(text, sizeof(text), id);
}


/* If libcrypto fails, the id is all zeros, which doi_outbox_put refuses. */

static void
doi_outbox_id(const uint8_t *text, size_t len, uint8_t id[DOI_ID_SIZE])
{
    uint8_t  hash[EVP_MAX_MD_SIZE];

    memset(id, 0, DOI_ID_SIZE);

    if (EVP_Digest(text, len, hash, NULL, EVP_sha256(), NULL) == 1) {
        memcpy(id, hash, DOI_ID_SIZE);
    }
}


int
doi_event_put(doi_view_t *view, doi_time_t now,
    const uint8_t booking[DOI_ID_SIZE], unsigned booking_state, unsigned kind,
    uint32_t serial)
{
    doi_outbox_t  row;

    memset(&row, 0, sizeof(row));
    doi_event_id(booking, kind, serial, row.id);
    memcpy(row.booking, booking, DOI_ID_SIZE);
    row.kind = (uint8_t) kind;
    row.booking_state = (uint8_t) booking_state;
    row.created = now;
    row.due = now;

    return doi_outbox_put(view, &row);
}


/* A row of that id, if there is one, is replaced. */

int
doi_outbox_put(doi_view_t *view, const doi_outbox_t *row)
{
    int           rc;
    doi_outbox_t  was;

    if (doi_zeros(row->id, DOI_ID_SIZE)) {
        return DOI_ERROR;
    }

    rc = doi_outbox_get(view, row->id, &was);

    if (rc == DOI_ERROR) {
        return DOI_ERROR;
    }

    return doi_outbox_change(view, rc == DOI_OK ? &was : NULL, row);
}


static int
doi_outbox_change(doi_view_t *view, const doi_outbox_t *was,
    const doi_outbox_t *row)
{
    uint8_t    bytes[DOI_OUTBOX_MAX], queue[DOI_QUEUE_KEY_SIZE];
    doi_buf_t  buf;
    doi_str_t  key, value, none = { NULL, 0 };

    buf.data = bytes;
    buf.len = 0;
    buf.size = sizeof(bytes);

    if (doi_outbox_encode(row, &buf) != DOI_OK) {
        return DOI_ERROR;
    }

    if (was != NULL) {
        doi_queue_key(was, queue, &key);

        if (view->del(view, DOI_TABLE_QUEUE, key) != DOI_OK) {
            return DOI_ERROR;
        }
    }

    doi_queue_key(row, queue, &key);

    if (view->put(view, DOI_TABLE_QUEUE, key, none) != DOI_OK) {
        return DOI_ERROR;
    }

    key.data = row->id;
    key.len = DOI_ID_SIZE;
    value.data = buf.data;
    value.len = buf.len;

    return view->put(view, DOI_TABLE_OUTBOX, key, value) == DOI_OK
           ? DOI_OK : DOI_ERROR;
}


static int
doi_outbox_del(doi_view_t *view, const doi_outbox_t *row)
{
    uint8_t    queue[DOI_QUEUE_KEY_SIZE];
    doi_str_t  key;

    doi_queue_key(row, queue, &key);

    if (view->del(view, DOI_TABLE_QUEUE, key) != DOI_OK) {
        return DOI_ERROR;
    }

    key.data = row->id;
    key.len = DOI_ID_SIZE;

    if (view->del(view, DOI_TABLE_OUTBOX, key) != DOI_OK) {
        return DOI_ERROR;
    }

    return row->kind == DOI_DELIVER_MESSAGE
           ? doi_reply_del(view, row->id, row->booking) : DOI_OK;
}


int
doi_outbox_drop(doi_view_t *view, const uint8_t id[DOI_ID_SIZE])
{
    int           rc;
    doi_outbox_t  row;

    rc = doi_outbox_get(view, id, &row);

    if (rc == DOI_NOT_FOUND) {
        return DOI_OK;
    }

    return rc == DOI_OK ? doi_outbox_del(view, &row) : DOI_ERROR;
}


static void
doi_queue_key(const doi_outbox_t *row, uint8_t key[DOI_QUEUE_KEY_SIZE],
    doi_str_t *str)
{
    key[0] = row->state;
    doi_put32(key + 1, row->due);
    memcpy(key + 5, row->id, DOI_ID_SIZE);

    str->data = key;
    str->len = DOI_QUEUE_KEY_SIZE;
}


doi_result_t
doi_op_outbox_fanout(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int               rc;
    unsigned          i;
    doi_fanout_t      to[DOI_FANOUT_MAX];
    doi_outbox_t      event;
    doi_fanout_arg_t  a;

    (void) out;

    if (!doi_fanout_parse(arg, &a, to)) {
        return DOI_CONFLICT;
    }

    rc = doi_outbox_get(view, a.id, &event);

    if (rc == DOI_ERROR) {
        return DOI_RETRY;
    }

    if (rc == DOI_NOT_FOUND || !doi_is_event(event.kind)) {
        return DOI_CONFLICT;
    }

    for (i = 0; i < a.n; i++) {
        if (doi_fanout_put(view, now, &event, &to[i]) != DOI_OK) {
            return DOI_RETRY;
        }
    }

    return doi_outbox_del(view, &event) == DOI_OK ? DOI_WON : DOI_RETRY;
}


static int
doi_fanout_parse(doi_str_t arg, doi_fanout_arg_t *a,
    doi_fanout_t to[DOI_FANOUT_MAX])
{
    unsigned   i;
    doi_str_t  rest;

    if (!doi_arg_head(arg, a, sizeof(doi_fanout_arg_t), &rest)
        || a->n > DOI_FANOUT_MAX || rest.len != a->n * sizeof(doi_fanout_t))
    {
        return 0;
    }

    memset(to, 0, DOI_FANOUT_MAX * sizeof(doi_fanout_t));

    if (a->n != 0) {
        memcpy(to, rest.data, rest.len);
    }

    for (i = 0; i < a->n; i++) {
        if (!doi_is_delivery(to[i].kind)
            || (!doi_has_target(to[i].kind)
                && !doi_zeros(to[i].target, DOI_TARGET_SIZE)))
        {
            return 0;
        }
    }

    return 1;
}


static int
doi_fanout_put(doi_view_t *view, doi_time_t now, const doi_outbox_t *event,
    const doi_fanout_t *to)
{
    doi_outbox_t  row;

    memset(&row, 0, sizeof(row));
    doi_delivery_id(event->id, to->kind, to->target, row.id);
    memcpy(row.booking, event->booking, DOI_ID_SIZE);
    memcpy(row.target, to->target, DOI_TARGET_SIZE);
    row.kind = (uint8_t) to->kind;
    row.event = event->kind;
    row.booking_state = event->booking_state;
    row.created = event->created;
    row.due = now;

    return doi_outbox_put(view, &row);
}


doi_result_t
doi_op_outbox_update(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int               rc;
    uint8_t           text[DOI_ERROR_TEXT];
    doi_str_t         error;
    doi_outbox_t      row, was;
    doi_outbox_arg_t  a;

    (void) out;

    if (!doi_update_parse(arg, &a, text, &error)) {
        return DOI_CONFLICT;
    }

    rc = doi_outbox_get(view, a.id, &row);

    if (rc == DOI_ERROR) {
        return DOI_RETRY;
    }

    if (rc == DOI_NOT_FOUND) {
        return a.action == DOI_OUTBOX_RETRY ? DOI_CONFLICT : DOI_WON;
    }

    if (a.action == DOI_OUTBOX_DONE) {
        return doi_outbox_del(view, &row) == DOI_OK ? DOI_WON : DOI_RETRY;
    }

    if (doi_updated_before(&a, now, error, &row)) {
        return DOI_WON;
    }

    was = row;
    doi_update_row(&a, now, error, &row);

    return doi_outbox_change(view, &was, &row) == DOI_OK ? DOI_WON
                                                         : DOI_RETRY;
}


/*
 * The text comes from other people's servers.  Were it refused for a byte of
 * theirs, the delivery would be tried again at once and for ever.
 */

static int
doi_update_parse(doi_str_t arg, doi_outbox_arg_t *a,
    uint8_t text[DOI_ERROR_TEXT], doi_str_t *error)
{
    size_t     i;
    doi_str_t  rest;

    if (!doi_arg_head(arg, a, sizeof(doi_outbox_arg_t), &rest)
        || a->action < DOI_OUTBOX_DONE || a->action > DOI_OUTBOX_RETRY
        || a->error_len > DOI_ERROR_TEXT || rest.len != a->error_len)
    {
        return 0;
    }

    for (i = 0; i < rest.len; i++) {
        text[i] = rest.data[i] < 0x20 || rest.data[i] > 0x7e ? '?'
                                                             : rest.data[i];
    }

    error->data = text;
    error->len = rest.len;

    return 1;
}


static void
doi_update_row(const doi_outbox_arg_t *a, doi_time_t now, doi_str_t error,
    doi_outbox_t *row)
{
    if (a->action == DOI_OUTBOX_RETRY) {
        row->state = DOI_QUEUED;
        row->attempts = 0;
        row->due = now;
        return;
    }

    if (row->attempts < UINT16_MAX) {
        row->attempts++;
    }

    row->error = error;

    if (a->action == DOI_OUTBOX_DEFER) {
        row->state = DOI_QUEUED;
        row->due = a->due;

    } else {
        row->state = DOI_DEAD;
        row->due = now;
    }
}


/* An attempt that is counted once must not be when the update is run again. */

static int
doi_updated_before(const doi_outbox_arg_t *a, doi_time_t now, doi_str_t error,
    const doi_outbox_t *row)
{
    switch (a->action) {

    case DOI_OUTBOX_DEFER:
        return row->state == DOI_QUEUED && row->attempts != 0
               && row->due == a->due && doi_str_same(row->error, error);

    case DOI_OUTBOX_BURY:
        return row->state == DOI_DEAD;

    default: /* DOI_OUTBOX_RETRY */
        return row->state == DOI_QUEUED && row->attempts == 0
               && row->due <= now;
    }
}
