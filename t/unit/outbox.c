/* The outbox: src/core/outbox.c */

#include "tap.h"
#include "booking_help.h"


static test_answer_t  answer;
static test_store_t   store;


static int
get_row(const uint8_t *id, doi_outbox_t *o)
{
    doi_str_t          value;
    const test_row_t  *row;

    memset(o, 0, sizeof(doi_outbox_t));
    row = test_rows_get(&store.tables[DOI_TABLE_OUTBOX], id, DOI_ID_SIZE);

    if (row == NULL) {
        return 0;
    }

    value.data = row->value;
    value.len = row->vlen;

    return doi_outbox_decode(value, o) == DOI_OK;
}


static void
put_event(const uint8_t *booking, unsigned kind, uint32_t serial)
{
    test_begin(&store);
    test_end(&store, doi_event_put(&store.view, T, booking,
                                   DOI_BOOKING_HELD, kind, serial)
                     == DOI_OK);
}


static int
decode(const uint8_t *data, size_t len)
{
    int           rc;
    uint8_t      *copy, bytes[DOI_OUTBOX_MAX];
    doi_buf_t     buf = { bytes, 0, sizeof(bytes) };
    doi_str_t     value;
    doi_outbox_t  o;

    copy = malloc(len ? len : 1);
    if (copy == NULL) {
        abort();
    }

    memcpy(copy, data, len);
    value.data = copy;
    value.len = len;

    rc = doi_outbox_decode(value, &o);

    if (rc == DOI_OK) {
        rc = doi_outbox_encode(&o, &buf) == DOI_OK && buf.len == len
             && memcmp(bytes, data, len) == 0 ? DOI_OK : 99;
    }

    free(copy);

    return rc;
}


static void
test_codec(void)
{
    size_t        i, accepted;
    uint8_t       bytes[DOI_OUTBOX_MAX], copy[DOI_OUTBOX_MAX];
    unsigned      v;
    doi_buf_t     buf = { bytes, 0, sizeof(bytes) };
    doi_outbox_t  o;
    char          text[DOI_ERROR_TEXT + 1];

    static const char  want[] =
        "\x01\x28\x04\x01\x02\x03\x01\x02" "\x03\x04\x05\x06"
        "\x07\x08\x09\x0a" "bbbbbbbbbbbb" "tttttttt" "bad";

    memset(&o, 0, sizeof(o));
    o.kind = DOI_DELIVER_WEBHOOK;
    o.event = DOI_EVENT_CONFIRMED;
    o.state = DOI_DEAD;
    o.booking_state = DOI_BOOKING_CONFIRMED;
    o.attempts = 0x0102;
    o.created = 0x03040506;
    o.due = 0x0708090a;
    memset(o.booking, 'b', DOI_ID_SIZE);
    memset(o.target, 't', DOI_TARGET_SIZE);
    o.error = (doi_str_t) doi_str("bad");

    ok(doi_outbox_encode(&o, &buf) == DOI_OK && buf.len == sizeof(want) - 1
       && memcmp(bytes, want, buf.len) == 0, "the bytes of the table");
    is_int(decode(bytes, buf.len), DOI_OK, "and back");

    accepted = 0;

    for (i = 0; i < buf.len; i++) {
        accepted += decode(bytes, i) != DOI_ERROR;

        for (v = 0; v < 256; v++) {
            memcpy(copy, bytes, buf.len);
            copy[i] = (uint8_t) v;
            accepted += decode(copy, buf.len) == 99;
        }
    }

    is_int(accepted, 0, "nothing truncated, nothing twice");

#define refuses(at, value, name)                                              \
    do {                                                                      \
        memcpy(copy, bytes, buf.len);                                         \
        copy[at] = value;                                                     \
        is_int(decode(copy, buf.len), DOI_ERROR, name);                       \
    } while (0)

    refuses(0, 2, "version");
    refuses(1, 0, "kind 0");
    refuses(1, DOI_EVENTS, "kind that is none");
    refuses(1, DOI_DELIVERS, "kind that is none");
    refuses(1, DOI_EVENT_HELD, "event of an event");
    refuses(1, DOI_DELIVER_OWNER, "mail with a target");
    refuses(2, 0, "delivery of nothing");
    refuses(2, DOI_EVENTS, "delivery of an event that is none");
    refuses(3, 2, "state");
    refuses(4, DOI_BOOKING_STATES, "state of the booking");
    refuses(5, 4, "length");
    refuses(36, 0x0a, "line end in the error");
    refuses(36, 0x7f, "DEL in the error");

    memset(text, 'x', sizeof(text));
    o.error.data = (const uint8_t *) text;
    o.error.len = DOI_ERROR_TEXT;
    buf.len = 0;
    is_int(doi_outbox_encode(&o, &buf), DOI_OK, "longest error");
    buf.size = buf.len - 1;
    buf.len = 0;
    is_int(doi_outbox_encode(&o, &buf), DOI_ERROR, "no room");
    o.error.len++;
    buf.size = sizeof(bytes);
    is_int(doi_outbox_encode(&o, &buf), DOI_ERROR, "too long error");
}


static void
test_ids(void)
{
    uint8_t  a[DOI_ID_SIZE], b[DOI_ID_SIZE], target[DOI_TARGET_SIZE] = { 0 };

    /* python3 -c 'import hashlib; print(hashlib.sha256(b"event" + b"b" * 12
       + bytes([2]) + bytes([0, 0, 0, 3])).hexdigest()[:24])', and so on */

    static const uint8_t  event[] = {
        0x5f, 0x52, 0xc6, 0x77, 0x6c, 0x19,
        0x91, 0x92, 0x26, 0xa7, 0x97, 0xd7
    }, delivery[] = {
        0x7d, 0xd0, 0x85, 0x9d, 0x7d, 0x4d,
        0xbb, 0xa3, 0xcd, 0xee, 0xd5, 0xc9
    };

    doi_event_id((const uint8_t *) "bbbbbbbbbbbb", 2, 3, a);
    ok(memcmp(a, event, DOI_ID_SIZE) == 0, "id of an event");
    doi_event_id((const uint8_t *) "bbbbbbbbbbbb", 2, 4, b);
    ok(memcmp(a, b, DOI_ID_SIZE) != 0, "another serial");
    doi_event_id((const uint8_t *) "bbbbbbbbbbbb", 3, 3, b);
    ok(memcmp(a, b, DOI_ID_SIZE) != 0, "another kind");

    doi_delivery_id((const uint8_t *) "eeeeeeeeeeee", 40, target, a);
    ok(memcmp(a, delivery, DOI_ID_SIZE) == 0, "id of a delivery");
    target[7] = 1;
    doi_delivery_id((const uint8_t *) "eeeeeeeeeeee", 40, target, b);
    ok(memcmp(a, b, DOI_ID_SIZE) != 0, "another target");

    ok(strcmp(doi_outbox_kind_name(DOI_EVENT_CONFIRM_RESEND),
              "confirm_resend") == 0
       && strcmp(doi_outbox_kind_name(DOI_DELIVER_OWNER_DOUBT),
                 "owner_doubt") == 0
       && doi_outbox_kind_name(0) == NULL
       && doi_outbox_kind_name(DOI_EVENTS) == NULL
       && doi_outbox_kind_name(DOI_DELIVERS) == NULL
       && doi_outbox_kind_name(UINT32_MAX) == NULL, "names");
}


static void
test_fanout(void)
{
    uint8_t       id[DOI_ID_SIZE], to[DOI_ID_SIZE];
    uint8_t       none[DOI_TARGET_SIZE] = { 0 };
    doi_str_t     arg;
    doi_outbox_t  o;

    put_event(bid(1), DOI_EVENT_HELD, 0);
    doi_event_id(bid(1), DOI_EVENT_HELD, 0, id);
    ok(get_row(id, &o) && o.kind == DOI_EVENT_HELD && o.created == T
       && check_rows(&store) == NULL, "an event");
    put_event(bid(1), DOI_EVENT_HELD, 0);
    ok(rows(&store, DOI_TABLE_OUTBOX) == 1 && check_rows(&store) == NULL,
       "again: the same row");

    is_int(test_run(&store, DOI_OP_OUTBOX_FANOUT, T + 5,
                    fanout_arg(id, DOI_DELIVER_CONFIRM, 9), &answer),
           DOI_WON, "fanout to one of each kind");
    doi_delivery_id(id, DOI_DELIVER_OWNER, none, to);
    ok(rows(&store, DOI_TABLE_OUTBOX) == 9 && !get_row(id, &o)
       && check_rows(&store) == NULL, "nine in place of the event");
    ok(get_row(to, &o) && o.event == DOI_EVENT_HELD && o.created == T
       && o.due == T + 5 && o.attempts == 0
       && memcmp(o.booking, bid(1), DOI_ID_SIZE) == 0,
       "each says of what it is");

    is_int(test_run(&store, DOI_OP_OUTBOX_FANOUT, T + 6,
                    fanout_arg(id, DOI_DELIVER_CONFIRM, 9), &answer),
           DOI_CONFLICT, "the event is gone");
    is_int(test_run(&store, DOI_OP_OUTBOX_FANOUT, T + 6,
                    fanout_arg(to, DOI_DELIVER_CONFIRM, 1), &answer),
           DOI_CONFLICT, "a delivery is not an event");

    put_event(bid(1), DOI_EVENT_HELD, 0);
    is_int(test_run(&store, DOI_OP_OUTBOX_FANOUT, T + 6,
                    fanout_arg(id, DOI_EVENT_HELD, 1), &answer),
           DOI_CONFLICT, "an event is not a delivery");
    is_int(test_run(&store, DOI_OP_OUTBOX_FANOUT, T + 6,
                    fanout_arg(id, DOI_DELIVERS, 1), &answer),
           DOI_CONFLICT, "a kind that is none");
    arg = fanout_arg(id, DOI_DELIVER_CONFIRM, 2);
    arg.len--;
    is_int(test_run(&store, DOI_OP_OUTBOX_FANOUT, T + 6, arg, &answer),
           DOI_CONFLICT, "too short");
    arg_bytes[sizeof(doi_fanout_arg_t)] = 1;
    arg.len++;
    is_int(test_run(&store, DOI_OP_OUTBOX_FANOUT, T + 6, arg, &answer),
           DOI_CONFLICT, "a mail with a target");
    arg = fanout_arg(id, DOI_DELIVER_CONFIRM, 0);
    arg_bytes[DOI_ID_SIZE] = DOI_FANOUT_MAX + 1;
    arg.len += (DOI_FANOUT_MAX + 1) * sizeof(doi_fanout_t);
    is_int(test_run(&store, DOI_OP_OUTBOX_FANOUT, T + 6, arg, &answer),
           DOI_CONFLICT, "too many");
    ok(rows(&store, DOI_TABLE_OUTBOX) == 10, "nothing has changed");

    is_int(test_run(&store, DOI_OP_OUTBOX_FANOUT, T + 6,
                    fanout_arg(id, 0, 0), &answer), DOI_WON, "to nobody");
    ok(rows(&store, DOI_TABLE_OUTBOX) == 9 && check_rows(&store) == NULL,
       "only deletes");

    test_store_free(&store);
}


static doi_result_t
update(doi_time_t now, const uint8_t *id, int action, doi_time_t due,
    const char *error)
{
    return test_run(&store, DOI_OP_OUTBOX_UPDATE, now,
                    update_arg(id, action, due, error), &answer);
}


static void
test_update(void)
{
    char          text[DOI_ERROR_TEXT + 2];
    uint8_t       id[DOI_ID_SIZE];
    doi_str_t     arg;
    doi_outbox_t  o;

    put_event(bid(1), DOI_EVENT_HELD, 0);
    doi_event_id(bid(1), DOI_EVENT_HELD, 0, id);
    test_run(&store, DOI_OP_OUTBOX_FANOUT, T,
             fanout_arg(id, DOI_DELIVER_CONFIRM, 1), &answer);
    memcpy(id, store.tables[DOI_TABLE_OUTBOX].rows[0].key, DOI_ID_SIZE);

    is_int(update(T, id, DOI_OUTBOX_DEFER, T + 60, "451 later\r\n\xff"),
           DOI_WON, "defer");
    ok(get_row(id, &o) && o.attempts == 1 && o.due == T + 60
       && o.error.len == 12 && memcmp(o.error.data, "451 later???", 12) == 0
       && check_rows(&store) == NULL, "later, and why in ASCII");
    update(T, id, DOI_OUTBOX_DEFER, T + 60, "451 later\r\n\xff");
    get_row(id, &o);
    is_int(o.attempts, 1, "run again: counted once");
    update(T + 60, id, DOI_OUTBOX_DEFER, T + 200, "451 later\r\n\xff");
    get_row(id, &o);
    is_int(o.attempts, 2, "the next one counts");

    is_int(update(T + 70, id, DOI_OUTBOX_BURY, 0, "550 no"), DOI_WON,
           "bury");
    ok(get_row(id, &o) && o.attempts == 3 && o.state == DOI_DEAD
       && o.error.len == 6 && check_rows(&store) == NULL, "dead");
    update(T + 71, id, DOI_OUTBOX_BURY, 0, "550 no");
    get_row(id, &o);
    is_int(o.attempts, 3, "once");

    is_int(update(T + 80, id, DOI_OUTBOX_RETRY, 0, ""), DOI_WON, "retry");
    ok(get_row(id, &o) && o.attempts == 0 && o.state == DOI_QUEUED
       && o.due == T + 80 && o.error.len == 6 && check_rows(&store) == NULL,
       "as new, the last error stays");

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    is_int(update(T, id, DOI_OUTBOX_DEFER, 0, text), DOI_CONFLICT,
           "too long an error");
    is_int(update(T, id, 0, 0, ""), DOI_CONFLICT, "action 0");
    is_int(update(T, id, 5, 0, ""), DOI_CONFLICT, "action 5");
    arg = update_arg(id, DOI_OUTBOX_DONE, 0, "abc");
    arg.len--;
    is_int(test_run(&store, DOI_OP_OUTBOX_UPDATE, T, arg, &answer),
           DOI_CONFLICT, "too short");
    is_int(rows(&store, DOI_TABLE_OUTBOX), 1, "still there");

    is_int(update(T, id, DOI_OUTBOX_DONE, 0, ""), DOI_WON, "done");
    ok(rows(&store, DOI_TABLE_OUTBOX) == 0 && rows(&store, DOI_TABLE_QUEUE)
       == 0, "gone");
    is_int(update(T, id, DOI_OUTBOX_DONE, 0, ""), DOI_WON, "done again");
    is_int(update(T, id, DOI_OUTBOX_DEFER, 1, ""), DOI_WON, "too late");
    is_int(update(T, id, DOI_OUTBOX_RETRY, 0, ""), DOI_CONFLICT,
           "nothing to retry");

    test_store_free(&store);
}


int
main(void)
{
    test_codec();
    test_ids();
    test_fanout();
    test_update();

    return done_testing();
}
