/*
 * Short ways to run transactions on bookings over the test view.  As in
 * link_help.h, attempts and browsers are one character, repeated.
 *
 * The functions that make an argument give it in static memory, until the next
 * one is made.
 */

#ifndef BOOKING_HELP_H
#define BOOKING_HELP_H

#include "link_help.h"
#include "../../src/core/booking.h"


#define DAY     86400u
#define HOUR    3600u

typedef struct {
    const char         *scope;
    const char         *slot;
    const char         *email;
    const char         *request;
    doi_time_t          expires;
    doi_time_t          start;
    uint32_t            duration;
    doi_time_t          remind;
    uint32_t            code;
    unsigned            nlimits;
    const doi_limit_t  *limits;
} hold_t;

static const hold_t  usual = {
    "cal", "2024-05-01 10:00", "ann@example.com", "sealed request",
    T + DAY, T + 10 * DAY, 1800, 0, DOI_CODE_NONE, 0, NULL
};

static uint8_t  arg_bytes[65536];


/* Id of booking n. */

static inline const uint8_t *
bid(unsigned n)
{
    static uint8_t   ids[8][DOI_ID_SIZE];
    static unsigned  next;
    uint8_t         *id;

    id = ids[next++ % 8];
    memset(id, 0, DOI_ID_SIZE);
    memcpy(id, "id", 2);
    id[2] = (uint8_t) (n >> 24);
    id[3] = (uint8_t) (n >> 16);
    id[4] = (uint8_t) (n >> 8);
    id[5] = (uint8_t) n;

    return id;
}


static inline doi_str_t
arg_end(size_t len)
{
    doi_str_t  arg = { arg_bytes, len };

    return arg;
}


static inline doi_str_t
hold_arg(const uint8_t *id, const hold_t *h)
{
    size_t          i, len;
    doi_hold_arg_t  a;
    const char     *text[DOI_TEXTS] = { NULL };

    text[DOI_TEXT_SCOPE] = h->scope;
    text[DOI_TEXT_SLOT] = h->slot;
    text[DOI_TEXT_EMAIL] = h->email;
    text[DOI_TEXT_NAME] = "Ann";
    text[DOI_TEXT_URL] = "sealed link";

    memset(&a, 0, sizeof(a));
    memcpy(a.id, id, DOI_ID_SIZE);
    a.expires = h->expires;
    a.start = h->start;
    a.duration = h->duration;
    a.remind = h->remind;
    a.code = h->code;
    a.request_len = (uint32_t) strlen(h->request);
    a.nlimits = (uint16_t) h->nlimits;

    for (i = 0; i < DOI_TEXTS; i++) {
        a.text_len[i] = text[i] ? (uint16_t) strlen(text[i]) : 0;
    }

    len = append(arg_bytes, 0, &a, sizeof(a));

    if (h->nlimits) {
        len = append(arg_bytes, len, h->limits,
                     h->nlimits * sizeof(doi_limit_t));
    }

    for (i = 0; i < DOI_TEXTS; i++) {
        if (text[i]) {
            len = append(arg_bytes, len, text[i], a.text_len[i]);
        }
    }

    return arg_end(append(arg_bytes, len, h->request, a.request_len));
}


static inline doi_str_t
bclaim_arg(const uint8_t *id, uint32_t timeout, int attempt, int browser,
    uint32_t flags, int needed, uint32_t code)
{
    doi_booking_claim_arg_t  a;

    memset(&a, 0, sizeof(a));
    memcpy(a.id, id, DOI_ID_SIZE);
    memset(a.attempt, attempt, DOI_ATTEMPT_SIZE);
    memset(a.browser, browser, DOI_BROWSER_SIZE);
    a.timeout = timeout;
    a.flags = flags;
    a.code = code;
    a.code_needed = (uint32_t) needed;

    return arg_end(append(arg_bytes, 0, &a, sizeof(a)));
}


static inline doi_str_t
bsettle_arg(const uint8_t *id, int attempt, int outcome, int status)
{
    doi_settle_arg_t  a;

    memset(&a, 0, sizeof(a));
    memcpy(a.id, id, DOI_ID_SIZE);
    memset(a.attempt, attempt, DOI_ATTEMPT_SIZE);
    a.outcome = (uint16_t) outcome;
    a.status = (uint16_t) status;

    return arg_end(append(arg_bytes, 0, &a, sizeof(a)));
}


static inline doi_str_t
bread_arg(const uint8_t *id, int browser)
{
    doi_read_arg_t  a;

    memcpy(a.id, id, DOI_ID_SIZE);
    memset(a.browser, browser, DOI_BROWSER_SIZE);

    return arg_end(append(arg_bytes, 0, &a, sizeof(a)));
}


/* CANCEL and RESOLVE */

static inline doi_str_t
action_arg(const uint8_t *id, int outcome, int suppress, const char *actor,
    const char *reason)
{
    size_t                      len;
    doi_booking_operator_arg_t  a;

    memset(&a, 0, sizeof(a));
    memcpy(a.id, id, DOI_ID_SIZE);
    a.outcome = (uint16_t) outcome;
    a.suppress = (uint16_t) suppress;
    a.actor_len = (uint16_t) strlen(actor);
    a.reason_len = (uint16_t) strlen(reason);

    len = append(arg_bytes, 0, &a, sizeof(a));
    len = append(arg_bytes, len, actor, a.actor_len);

    return arg_end(append(arg_bytes, len, reason, a.reason_len));
}


static inline doi_str_t
resend_arg(const uint8_t *id, const uint8_t *again, const doi_limit_t *limits,
    unsigned n)
{
    size_t                      len;
    doi_booking_operator_arg_t  a;

    memset(&a, 0, sizeof(a));
    memcpy(a.id, id, DOI_ID_SIZE);
    memcpy(a.again, again, DOI_ID_SIZE);
    a.nlimits = (uint16_t) n;

    len = append(arg_bytes, 0, &a, sizeof(a));

    return arg_end(n ? append(arg_bytes, len, limits,
                              n * sizeof(doi_limit_t)) : len);
}


static inline doi_str_t
bsweep_arg(doi_time_t mark, uint32_t limit)
{
    doi_booking_sweep_arg_t  a;

    memset(&a, 0, sizeof(a));
    a.mark = mark;
    a.limit = limit;

    return arg_end(append(arg_bytes, 0, &a, sizeof(a)));
}


static inline doi_str_t
suppress_arg(const char *email, int lift)
{
    size_t              len;
    doi_suppress_arg_t  a;

    a.lift = (uint16_t) lift;
    a.email_len = (uint16_t) strlen(email);

    len = append(arg_bytes, 0, &a, sizeof(a));

    return arg_end(append(arg_bytes, len, email, a.email_len));
}


/* One delivery of each kind from first on. */

static inline doi_str_t
fanout_arg(const uint8_t *id, unsigned first, unsigned n)
{
    size_t            len;
    unsigned          i;
    doi_fanout_t      to;
    doi_fanout_arg_t  a;

    memset(&a, 0, sizeof(a));
    memcpy(a.id, id, DOI_ID_SIZE);
    a.n = (uint16_t) n;

    len = append(arg_bytes, 0, &a, sizeof(a));

    for (i = 0; i < n; i++) {
        memset(&to, 0, sizeof(to));
        to.kind = (uint16_t) (first + i);
        len = append(arg_bytes, len, &to, sizeof(to));
    }

    return arg_end(len);
}


static inline doi_str_t
update_arg(const uint8_t *id, int action, doi_time_t due, const char *error)
{
    size_t            len;
    doi_outbox_arg_t  a;

    memset(&a, 0, sizeof(a));
    memcpy(a.id, id, DOI_ID_SIZE);
    a.action = (uint16_t) action;
    a.due = due;
    a.error_len = (uint16_t) strlen(error);

    len = append(arg_bytes, 0, &a, sizeof(a));

    return arg_end(append(arg_bytes, len, error, a.error_len));
}


static inline doi_booking_answer_t
booking_answer(const test_answer_t *a)
{
    doi_booking_answer_t  told;

    memset(&told, 0, sizeof(told));
    told.state = 0xff;

    if (a->len >= sizeof(told)) {
        memcpy(&told, a->data, sizeof(told));

        if (a->len != sizeof(told) + told.record_len + told.request_len) {
            told.state = 0xfe;
        }
    }

    return told;
}


static inline doi_booking_sweep_answer_t
bsweep_answer(const test_answer_t *a)
{
    doi_booking_sweep_answer_t  told;

    memset(&told, 0xff, sizeof(told));

    if (a->len == sizeof(told)) {
        memcpy(&told, a->data, sizeof(told));
    }

    return told;
}


/* A record, valid until the store changes; 0 if there is none. */

static inline int
get_booking(test_store_t *store, const uint8_t *id, doi_booking_t *b)
{
    doi_str_t          value;
    const test_row_t  *row;

    row = test_rows_get(&store->tables[DOI_TABLE_BOOKINGS], id, DOI_ID_SIZE);

    if (row == NULL) {
        memset(b, 0, sizeof(doi_booking_t));
        return 0;
    }

    value.data = row->value;
    value.len = row->vlen;

    if (doi_booking_decode(value, b) != DOI_OK) {
        printf("# a record does not decode\n");
        abort();
    }

    memcpy(b->id, id, DOI_ID_SIZE);

    return 1;
}


static inline void
put_booking(test_store_t *store, const doi_booking_t *b)
{
    uint8_t    bytes[DOI_BOOKING_MAX];
    doi_buf_t  buf = { bytes, 0, sizeof(bytes) };
    doi_str_t  key = { b->id, DOI_ID_SIZE }, value;

    if (doi_booking_encode(b, &buf) != DOI_OK) {
        abort();
    }

    value.data = buf.data;
    value.len = buf.len;
    test_store_set(store, DOI_TABLE_BOOKINGS, key, value);
}


static inline int
has_row(const test_store_t *store, doi_table_t table, const void *key,
    size_t len)
{
    return test_rows_get(&store->tables[table], key, len) != NULL;
}


static inline size_t
rows(const test_store_t *store, doi_table_t table)
{
    return store->tables[table].n;
}


/* How many events of this kind the outbox holds. */

static inline unsigned
events(const test_store_t *store, unsigned kind)
{
    size_t    i;
    unsigned  n;

    n = 0;

    for (i = 0; i < rows(store, DOI_TABLE_OUTBOX); i++) {
        n += store->tables[DOI_TABLE_OUTBOX].rows[i].value[1] == kind;
    }

    return n;
}


/* When a settled booking is dropped, by booking.h. */

static inline uint64_t
keep_until(const doi_booking_t *b)
{
    uint64_t  end;

    if (b->state != DOI_BOOKING_CONFIRMED && b->state != DOI_BOOKING_IN_DOUBT)
    {
        return (uint64_t) b->changed + DOI_KEEP_ENDED;
    }

    if (b->start == 0) {
        return (uint64_t) b->claim.settled + DOI_KEEP_UNDATED;
    }

    end = (uint64_t) b->start + b->duration;

    return (end > b->claim.settled ? end : b->claim.settled)
           + DOI_KEEP_CONFIRMED;
}


static inline unsigned
due_row(const test_store_t *store, uint64_t time, const uint8_t *id, int kind)
{
    uint8_t  key[17];

    if (time > UINT32_MAX) {
        time = UINT32_MAX;
    }

    key[0] = (uint8_t) (time >> 24);
    key[1] = (uint8_t) (time >> 16);
    key[2] = (uint8_t) (time >> 8);
    key[3] = (uint8_t) time;
    memcpy(key + 4, id, DOI_ID_SIZE);
    key[16] = (uint8_t) kind;

    return has_row(store, DOI_TABLE_DUE, key, sizeof(key));
}


/* What is wrong with the rows of a store, or NULL. */

static inline const char *
check_rows(test_store_t *store)
{
    int                stands, waits;
    size_t             i;
    uint8_t            key[64];
    unsigned           nstand, nwait, ndue, want;
    doi_str_t          value;
    doi_outbox_t       o;
    doi_booking_t      b;
    const test_row_t  *row;

    nstand = 0;
    nwait = 0;
    ndue = 0;

    for (i = 0; i < rows(store, DOI_TABLE_BOOKINGS); i++) {
        row = &store->tables[DOI_TABLE_BOOKINGS].rows[i];
        get_booking(store, row->key, &b);

        waits = b.state == DOI_BOOKING_HELD || b.state == DOI_BOOKING_CLAIMED
                || b.state == DOI_BOOKING_IN_DOUBT;
        stands = waits || b.state == DOI_BOOKING_CONFIRMED;

        if (has_row(store, DOI_TABLE_REQUESTS, b.id, DOI_ID_SIZE) != waits) {
            return "request";
        }

        doi_agenda_key(b.text[DOI_TEXT_SCOPE], b.start, b.id, key);

        if (has_row(store, DOI_TABLE_AGENDA, key, DOI_AGENDA_KEY_SIZE)
            != stands)
        {
            return "agenda";
        }

        if (stands) {
            doi_slot_key(b.text[DOI_TEXT_SCOPE], b.text[DOI_TEXT_SLOT], key);
            row = test_rows_get(&store->tables[DOI_TABLE_SLOTS], key,
                                DOI_SLOT_KEY_SIZE);

            if (row == NULL || row->vlen != DOI_ID_SIZE
                || memcmp(row->value, b.id, DOI_ID_SIZE) != 0)
            {
                return "slot";
            }
        }

        nwait += (unsigned) waits;
        nstand += (unsigned) stands;

        /* 1 expire, 2 remind, 3 claim, 4 drop */

        if (b.state == DOI_BOOKING_HELD) {
            want = 1 + (b.remind != 0);
            ndue += want;

            if (due_row(store, b.expires, b.id, 1)
                + (b.remind ? due_row(store, b.remind, b.id, 2) : 0) != want)
            {
                return "due rows of a hold";
            }

            continue;
        }

        ndue++;

        if (b.state == DOI_BOOKING_CLAIMED
            || (b.state == DOI_BOOKING_IN_DOUBT
                && (b.claim.flags & DOI_CLAIM_RELEASE)))
        {
            if (!due_row(store, b.claim.deadline, b.id, 3)) {
                return "due row of a claim";
            }

        } else if (!due_row(store, keep_until(&b), b.id, 4)) {
            return "due row of a settled booking";
        }
    }

    if (rows(store, DOI_TABLE_SLOTS) != nstand) {
        return "a slot of nobody's, or two bookings of one";
    }

    if (rows(store, DOI_TABLE_AGENDA) != nstand
        || rows(store, DOI_TABLE_REQUESTS) != nwait
        || rows(store, DOI_TABLE_DUE) != ndue)
    {
        return "rows of nobody's";
    }

    for (i = 0; i < rows(store, DOI_TABLE_OUTBOX); i++) {
        row = &store->tables[DOI_TABLE_OUTBOX].rows[i];
        value.data = row->value;
        value.len = row->vlen;

        if (doi_outbox_decode(value, &o) != DOI_OK) {
            return "outbox";
        }

        key[0] = o.state;
        key[1] = (uint8_t) (o.due >> 24);
        key[2] = (uint8_t) (o.due >> 16);
        key[3] = (uint8_t) (o.due >> 8);
        key[4] = (uint8_t) o.due;
        memcpy(key + 5, row->key, DOI_ID_SIZE);

        if (!has_row(store, DOI_TABLE_QUEUE, key, DOI_QUEUE_KEY_SIZE)) {
            return "queue";
        }
    }

    return rows(store, DOI_TABLE_QUEUE) == rows(store, DOI_TABLE_OUTBOX)
           ? NULL : "queue rows of nobody's";
}

#endif /* BOOKING_HELP_H */
