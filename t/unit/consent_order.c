/*
 * Messages that come late, in another order than they were sent; replies that
 * go out in the order in which they were made.
 */

#include "tap.h"
#include "consent_help.h"

#include "../../src/core/outbox.h"


#define P   DOI_CONSENT_PENDING
#define S   DOI_CONSENT_SINGLE
#define D   DOI_CONSENT_DOUBLE
#define O   DOI_CONSENT_OPTED_OUT

#define START   DOI_CONSENT_SUBSCRIBE
#define YES     DOI_CONSENT_CONFIRM
#define STOP    DOI_CONSENT_STOP
#define OTHER   DOI_CONSENT_OTHER

#define ADA     "+491512345678"


/* Sent at that time, and here now. */

static int
sent(test_store_t *store, doi_time_t now, doi_time_t at, unsigned what,
    unsigned level, doi_consent_answer_t *a)
{
    event_t  e;

    e = event(ADA, what, level);
    e.arg.at = at;
    is_int(send(store, now, &e, a), DOI_WON, "a message is taken");

    return a->to;
}


static void
test_step(void)
{
    unsigned       state, what, n;
    doi_consent_t  c;

    n = 0;

    for (state = 0; state < DOI_CONSENT_STATES; state++) {
        for (what = 0; what < DOI_CONSENT_EVENTS; what++) {
            memset(&c, 0, sizeof(c));
            c.state = (uint8_t) state;
            c.since = T;

            if (doi_consent_late(&c, what, T)
                || doi_consent_late(&c, what, T + 1)
                || doi_consent_late(&c, what, 0))
            {
                ok(0, "%u, %u: in time", state, what);
            }

            if (doi_consent_late(&c, what, T - 1)) {
                ok((state == O && what == START)
                   || (state == P && what == YES), "%s in %s may be late",
                   doi_consent_event_name(what), doi_consent_name(state));
                n++;
            }
        }
    }

    is_int(n, 2, "nothing else may");
}


static void
test_late(void)
{
    int                   rc;
    uint8_t               id[DOI_CONTACT_ID];
    event_t               e;
    doi_consent_t         c;
    test_store_t          store = { 0 };
    doi_consent_answer_t  a;

    contact_id(DOI_CHANNEL_SMS, ADA, id);

    is_int(sent(&store, T + 100, T + 10, STOP, D, &a), O, "STOP");
    c = look_at(&store, id, "news", &rc);
    ok(c.since == T + 10, "opted out since it was sent");

    is_int(sent(&store, T + 101, T + 9, START, D, &a), O,
           "START that was sent before changes nothing");
    ok(a.reply == 0 && a.seq == 0 && !a.refused, "and is not answered");
    is_int(sent(&store, T + 102, T + 9, START, S, &a), O, "nor single");
    is_int(sent(&store, T + 103, T + 9, OTHER, D, &a), O, "nor other text");

    is_int(sent(&store, T + 104, T + 11, START, D, &a), P,
           "START that was sent afterwards counts");
    c = look_at(&store, id, "news", &rc);
    ok(c.since == T + 11 && c.asked == T + 104,
       "since it was sent; the prompt is of now");

    is_int(sent(&store, T + 105, T + 8, YES, D, &a), P,
           "YES that was sent before it does not confirm it");
    is_int(sent(&store, T + 106, T + 11, YES, D, &a), D,
           "of the same second it does");
    c = look_at(&store, id, "news", &rc);
    ok(c.opted_in == T + 11, "opted in when it was sent");

    is_int(sent(&store, T + 107, T + 5, STOP, D, &a), O,
           "an opt-out is never late");
    ok(a.reply == DOI_REPLY_OPTED_OUT, "and is acknowledged");
    c = look_at(&store, id, "news", &rc);
    ok(c.since == T + 11, "not before what it ends");
    is_int(sent(&store, T + 108, T + 10, START, D, &a), O,
           "START that was sent before that");

    /* who does not know the time, or says one to come */

    is_int(sent(&store, T + 109, 0, START, S, &a), S, "no time: now");
    c = look_at(&store, id, "news", &rc);
    ok(c.since == T + 109 && c.opted_in == T + 109, "since now");
    is_int(sent(&store, T + 110, T + 900, STOP, S, &a), O, "to come: now");
    c = look_at(&store, id, "news", &rc);
    ok(c.since == T + 110, "since now");

    /* said once more; and a list that he has never heard of */

    e = event(ADA, STOP, S);
    e.arg.scope = DOI_SCOPE_CONTACT;
    e.arg.at = T + 150;
    (void) send(&store, T + 200, &e, &a);
    ok(a.from == O && a.seq == 0, "STOP again writes no entry");

    is_int(sent(&store, T + 201, T + 149, START, S, &a), O,
           "START that was sent between the two");

    e = event(ADA, START, S);
    e.said[DOI_SAID_LIST] = "offers";
    e.arg.at = T + 149;
    is_int(send(&store, T + 202, &e, &a), DOI_WON, "START for a new list");
    is_int(a.to, O, "sent before he stopped everything");
    e.arg.at = T + 150;
    (void) send(&store, T + 203, &e, &a);
    is_int(a.to, S, "sent afterwards");

    test_store_free(&store);
}


/* Clocks differ: the answer to a form may come within seconds. */

static void
test_form(void)
{
    int                   rc;
    uint8_t               id[DOI_CONTACT_ID];
    event_t               e;
    doi_consent_t         c;
    test_store_t          store = { 0 };
    doi_consent_answer_t  a;

    e = event(ADA, START, D);
    e.arg.source = DOI_SOURCE_WEB;
    e.arg.at = T - 50;
    (void) send(&store, T, &e, &a);
    is_int(a.to, P, "a form");

    is_int(sent(&store, T + 5, T - 20, YES, D, &a), D,
           "YES by a clock that is slow");
    contact_id(DOI_CHANNEL_SMS, ADA, id);
    c = look_at(&store, id, "news", &rc);
    ok(c.since == T && c.opted_in == T - 20,
       "double no earlier than pending; opted in when it was sent");

    e.arg.event = DOI_CONSENT_REVOKE;
    (void) send(&store, T + 10, &e, &a);
    is_int(a.to, O, "unsubscribed by a link");
    is_int(sent(&store, T + 11, T + 9, START, D, &a), O,
           "START that was sent before");

    e = event(ADA, START, D);
    e.arg.source = DOI_SOURCE_WEB;
    e.arg.at = T - 50;
    (void) send(&store, T + 12, &e, &a);
    is_int(a.to, P, "a form is never late");

    test_store_free(&store);
}


/* All lists, and all contacts of the person, since the same time. */

static void
test_along(void)
{
    int                   rc;
    uint8_t               id[DOI_CONTACT_ID];
    event_t               e;
    doi_consent_t         c;
    test_store_t          store = { 0 };
    doi_consent_answer_t  a;

    contact_id(DOI_CHANNEL_SMS, ADA, id);

    e = event(ADA, START, S);
    e.said[DOI_SAID_LIST] = "offers";
    e.arg.at = T + 50;
    (void) send(&store, T + 60, &e, &a);
    e.said[DOI_SAID_LIST] = "tips";
    e.arg.at = T + 10;
    (void) send(&store, T + 61, &e, &a);

    e = event(ADA, STOP, S);
    e.arg.scope = DOI_SCOPE_CONTACT;
    e.arg.at = T + 20;
    (void) send(&store, T + 70, &e, &a);
    is_int(a.others, 2, "two others along with it");

    c = look_at(&store, id, "tips", &rc);
    ok(c.state == O && c.since == T + 20, "since it was sent");
    c = look_at(&store, id, "offers", &rc);
    ok(c.state == O && c.since == T + 50, "not before what it ends");

    e.arg.at = T + 80;
    (void) send(&store, T + 90, &e, &a);
    c = look_at(&store, id, "tips", &rc);
    ok(a.others == 0 && a.seq == 0 && c.since == T + 80,
       "said once more, no entry");

    test_store_free(&store);
}


/* The row in the outbox of what answers this message of Ada's. */

static int
find(test_store_t *store, const char *reply, doi_outbox_t *row)
{
    size_t           i;
    int              found;
    doi_str_t        value;
    doi_reply_row_t  r;

    found = 0;
    test_begin(store);

    for (i = 0; i < store->tables[DOI_TABLE_OUTBOX].n; i++) {
        value.data = store->tables[DOI_TABLE_OUTBOX].rows[i].value;
        value.len = store->tables[DOI_TABLE_OUTBOX].rows[i].vlen;

        if (doi_outbox_decode(value, row) != DOI_OK
            || row->kind != DOI_DELIVER_MESSAGE)
        {
            continue;
        }

        memcpy(row->id, store->tables[DOI_TABLE_OUTBOX].rows[i].key,
               DOI_ID_SIZE);

        if (doi_reply_get(&store->view, row->id, &r) == DOI_OK
            && r.text.len == strlen(reply)
            && memcmp(r.text.data, reply, r.text.len) == 0)
        {
            found = 1;
            break;
        }
    }

    test_end(store, 0);

    return found;
}


/* 'w': waits for another, 'g': goes, '-': is not there. */

static int
waits(test_store_t *store, const char *reply)
{
    int           w;
    doi_outbox_t  row;

    if (!find(store, reply, &row)) {
        return '-';
    }

    test_begin(store);
    w = doi_reply_waits(&store->view, &row);
    test_end(store, 0);

    return w ? 'w' : 'g';
}


static void
update(test_store_t *store, const char *reply, unsigned action,
    doi_time_t now, doi_time_t due)
{
    doi_outbox_t      row;
    test_answer_t     answer;
    doi_outbox_arg_t  arg;

    ok(find(store, reply, &row), "%s is there", reply);

    memset(&arg, 0, sizeof(arg));
    memcpy(arg.id, row.id, DOI_ID_SIZE);
    arg.action = (uint16_t) action;
    arg.due = due;
    is_int(run(store, DOI_OP_OUTBOX_UPDATE, now, &arg, sizeof(arg), &answer),
           DOI_WON, "and updated");
}


/* HELP, answered by that text. */

static void
ask(test_store_t *store, doi_time_t now, const char *id, const char *reply)
{
    event_t               e;
    doi_consent_answer_t  a;

    e = event(ADA, DOI_CONSENT_HELP, S);
    e.said[DOI_SAID_MESSAGE_ID] = id;
    e.reply[DOI_REPLY_HELP] = reply;
    is_int(send(store, now, &e, &a), DOI_WON, "%s is asked for", reply);
}


static void
is_line(test_store_t *store, const char *want, const char *name)
{
    size_t                   i;
    char                     got[5];
    static const char *const  replies[] = { "A", "B", "C", "D" };

    for (i = 0; i < 4; i++) {
        got[i] = (char) waits(store, replies[i]);
    }

    got[4] = '\0';
    ok(strcmp(got, want) == 0, "%s: %s, should be %s", name, got, want);
}


static void
test_order(void)
{
    event_t               e;
    doi_outbox_t          row;
    test_store_t          store = { 0 };
    doi_consent_answer_t  a;

    ask(&store, T, "1", "A");
    is_line(&store, "g---", "the first goes");
    ask(&store, T, "2", "B");
    ask(&store, T, "3", "C");
    is_line(&store, "gww-", "others of the same second wait");

    update(&store, "A", DOI_OUTBOX_DEFER, T + 1, T + 900);
    is_line(&store, "gww-", "while the first is tried again");
    update(&store, "A", DOI_OUTBOX_DONE, T + 900, 0);
    is_line(&store, "-gw-", "then the second goes");

    /* whoever writes again is there */

    update(&store, "B", DOI_OUTBOX_DEFER, T + 901, T + 5000);
    ask(&store, T + 910, "4", "D");
    is_line(&store, "-gww", "in their order");
    ok(find(&store, "B", &row) && row.due == T + 910 && row.attempts == 1,
       "what is before it is due now");
    ok(find(&store, "C", &row) && row.due == T, "the others are as they were");

    update(&store, "B", DOI_OUTBOX_BURY, T + 911, 0);
    is_line(&store, "-ggw", "nobody waits for what is dead");
    update(&store, "C", DOI_OUTBOX_DONE, T + 912, 0);
    is_line(&store, "-g-g", "nor for what is done");
    update(&store, "D", DOI_OUTBOX_DONE, T + 913, 0);
    update(&store, "B", DOI_OUTBOX_RETRY, T + 914, 0);
    is_line(&store, "-g--", "tried again by an operator");
    ask(&store, T + 915, "1a", "A");
    is_line(&store, "wg--", "it is waited for again");
    update(&store, "B", DOI_OUTBOX_DONE, T + 916, 0);
    update(&store, "A", DOI_OUTBOX_DONE, T + 916, 0);
    is_int(store.tables[DOI_TABLE_MESSAGES].n, 0, "nothing is left");

    /* of others */

    ask(&store, T + 920, "5", "A");
    e = event("+4930901820", DOI_CONSENT_HELP, S);
    e.reply[DOI_REPLY_HELP] = "B";
    (void) send(&store, T + 920, &e, &a);
    is_line(&store, "gg--", "another contact does not wait");

    e = event(ADA, DOI_CONSENT_HELP, S);
    e.arg.channel = DOI_CHANNEL_WHATSAPP;
    contact_id(DOI_CHANNEL_WHATSAPP, ADA, e.arg.contact);
    e.reply[DOI_REPLY_HELP] = "C";
    (void) send(&store, T + 920, &e, &a);
    is_line(&store, "ggg-", "nor does another channel");

    test_store_free(&store);
}


/* Without an id, the same within the hour is the same row: in its place. */

static void
test_again(void)
{
    int           i;
    doi_outbox_t  row;
    test_store_t  store = { 0 };

    ask(&store, T, NULL, "A");
    ask(&store, T + 1, "1", "B");
    update(&store, "A", DOI_OUTBOX_DEFER, T + 2, T + 900);
    ask(&store, T + 3, NULL, "A");
    is_line(&store, "gw--", "still the first");
    ok(find(&store, "A", &row) && row.due == T + 3, "due now");
    update(&store, "A", DOI_OUTBOX_DONE, T + 4, 0);
    is_line(&store, "-g--", "the other goes");
    ask(&store, T + 5, NULL, "A");
    is_line(&store, "wg--", "and is before what is made now");

    /* a long line */

    for (i = 0; i < 40; i++) {
        char  id[8];

        snprintf(id, sizeof(id), "n%d", i);
        ask(&store, T + 6, id, "more");
    }

    update(&store, "B", DOI_OUTBOX_DEFER, T + 7, T + 900);
    ask(&store, T + 8, "2", "C");
    ok(find(&store, "B", &row) && row.due == T + 900,
       "is not looked through to its end");
    is_line(&store, "wgw-", "but kept");

    is_int(admin(&store, DOI_OP_CONSENT_ERASE, T + 9, ADA, NULL, "op",
                 "gdpr"), DOI_WON, "erased");
    is_int(store.tables[DOI_TABLE_MESSAGES].n, 0, "nothing is left");

    test_store_free(&store);
}


int
main(void)
{
    test_step();
    test_late();
    test_form();
    test_along();
    test_order();
    test_again();

    return done_testing();
}
