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
    event_t               e;
    test_store_t          store = { 0 };
    doi_consent_answer_t  a;

    e = event(ADA, START, D);
    e.arg.source = DOI_SOURCE_WEB;
    e.arg.at = T - 50;
    (void) send(&store, T, &e, &a);
    is_int(a.to, P, "a form");

    is_int(sent(&store, T + 5, T - 20, YES, D, &a), D,
           "YES by a clock that is slow");

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


int
main(void)
{
    test_step();
    test_late();
    test_form();
    test_along();

    return done_testing();
}
