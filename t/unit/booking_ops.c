/*
 * Transactions on bookings: src/core/booking_ops.c, booking_settle.c
 *
 * booking_sweep.c has what time does, booking_model.c random sequences.  At the
 * end one booking after the other is taken through its life, with every call
 * of each transaction to its view failing in turn, then over the memory store
 * with each of its faults.
 */

#include "tap.h"
#include "booking_help.h"
#include "../../src/store/store.h"


static test_answer_t  answer, answer2;
static test_store_t   store;


static doi_result_t
brun(unsigned op, doi_time_t now, doi_str_t arg)
{
    doi_result_t  result;

    result = test_run(&store, op, now, arg, &answer);

    if (check_rows(&store) != NULL) {
        ok(0, "op %u: %s", op, check_rows(&store));
    }

    return result;
}


static int
told(void)
{
    return booking_answer(&answer).state;
}


static doi_result_t
bhold(doi_time_t now, unsigned n, const hold_t *h)
{
    return brun(DOI_OP_BOOKING_HOLD, now, hold_arg(bid(n), h));
}


static doi_result_t
bclaim(doi_time_t now, unsigned n, int attempt, int browser, uint32_t flags)
{
    return brun(DOI_OP_BOOKING_CLAIM, now,
                bclaim_arg(bid(n), 60, attempt, browser, flags, 0, 0));
}


static doi_result_t
code(doi_time_t now, unsigned n, int attempt, uint32_t typed)
{
    return brun(DOI_OP_BOOKING_CLAIM, now,
                bclaim_arg(bid(n), 60, attempt, 'b', 0, 1, typed));
}


static doi_result_t
bsettle(doi_time_t now, unsigned n, int attempt, int outcome, int status)
{
    return brun(DOI_OP_BOOKING_SETTLE, now,
                bsettle_arg(bid(n), attempt, outcome, status));
}


static doi_result_t
cancel(doi_time_t now, unsigned n, int suppress, const char *actor)
{
    return brun(DOI_OP_BOOKING_CANCEL, now,
                action_arg(bid(n), 0, suppress, actor, "why"));
}


static doi_result_t
resolve(doi_time_t now, unsigned n, int outcome, const char *reason)
{
    return brun(DOI_OP_BOOKING_RESOLVE, now,
                action_arg(bid(n), outcome, 0, "op", reason));
}


static doi_booking_answer_t
blook(doi_time_t now, unsigned n, int browser)
{
    brun(DOI_OP_BOOKING_READ, now, bread_arg(bid(n), browser));

    return booking_answer(&answer);
}


static int
suppressed(const char *email)
{
    int        rc;
    doi_str_t  str = { (const uint8_t *) email, strlen(email) };

    test_begin(&store);
    rc = doi_suppressed(&store.view, str);
    test_end(&store, 0);

    return rc == DOI_OK;
}


static void
test_hold(void)
{
    hold_t                h = usual;
    doi_booking_t         b;
    doi_limit_t           l[2];
    doi_booking_answer_t  a;
    const test_row_t     *row;

    memset(l, 0, sizeof(l));
    memset(l[0].key, 'k', DOI_LIMIT_KEY_SIZE);
    memset(l[1].key, 'l', DOI_LIMIT_KEY_SIZE);
    l[0].period = 60;
    l[0].count = 1;
    l[0].burst = 1;
    l[1].period = 100;
    l[1].count = 10;
    l[1].burst = 10;
    h.nlimits = 2;
    h.limits = l;
    h.code = 42;
    h.remind = T + 3600;

    ok(bhold(T, 1, &h) == DOI_WON && told() == DOI_BOOKING_HELD
       && answer.len == sizeof(doi_booking_answer_t), "held");
    ok(get_booking(&store, bid(1), &b) && b.state == DOI_BOOKING_HELD
       && b.created == T && b.changed == T && b.expires == h.expires
       && b.start == h.start && b.duration == 1800 && b.remind == h.remind
       && b.code == 42 && b.sends == 1 && b.sequence == 0 && b.tries == 0
       && b.text[DOI_TEXT_NAME].len == 3
       && memcmp(b.text[DOI_TEXT_EMAIL].data, h.email, strlen(h.email)) == 0,
       "the record");
    row = test_rows_get(&store.tables[DOI_TABLE_REQUESTS], bid(1),
                        DOI_ID_SIZE);
    ok(row && row->vlen == 14 && memcmp(row->value, "sealed request", 14)
       == 0, "the request");
    is_int(events(&store, DOI_EVENT_HELD), 1, "the event");

    ok(bhold(T, 1, &h) == DOI_WON && store.applied == 0, "run again");

    h.email = "bob@example.com";
    ok(bhold(T + 1, 2, &h) == DOI_CONFLICT && told() == DOI_BOOKING_TAKEN,
       "by another: taken, whatever the limits say");

    h.email = usual.email;
    bhold(T + 20, 2, &h);
    a = booking_answer(&answer);
    ok(a.state == DOI_BOOKING_LIMITED && a.retry_after == 40
       && rows(&store, DOI_TABLE_BOOKINGS) == 1, "by the same: limited");

    answer2 = answer;
    ok(bhold(T + 60, 2, &h) == DOI_WON && told() == DOI_BOOKING_HELD
       && events(&store, DOI_EVENT_RESEND) == 1
       && rows(&store, DOI_TABLE_BOOKINGS) == 1
       && get_booking(&store, bid(1), &b) && b.sends == 2,
       "later: the mail once more");
    ok(bhold(T + 61, 2, &h) == DOI_WON && store.applied == 0,
       "run again: no third mail");
    h.nlimits = 0;
    bhold(T + 62, 3, &h);
    is_int(events(&store, DOI_EVENT_RESEND), 2, "another one is another mail");

    h.slot = "another";
    h.scope = "cal2";
    h.nlimits = 2;
    ok(bhold(T + 70, 4, &h) == DOI_CONFLICT
       && told() == DOI_BOOKING_LIMITED
       && !has_row(&store, DOI_TABLE_BOOKINGS, bid(4), DOI_ID_SIZE),
       "a new slot: limited all the same");
    h.nlimits = 0;
    h.slot = usual.slot;
    ok(bhold(T + 70, 4, &h) == DOI_WON, "that slot of another scope");

    h = usual;
    h.email = "bob@example.com";
    h.expires = T + 9 * DAY;
    ok(bhold(T + DAY - 1, 5, &h) == DOI_CONFLICT, "until the last second");
    ok(bhold(T + DAY, 5, &h) == DOI_WON && told() == DOI_BOOKING_HELD
       && get_booking(&store, bid(1), &b) && b.state == DOI_BOOKING_EXPIRED
       && b.sequence == 1 && events(&store, DOI_EVENT_RELEASED) == 1
       && events(&store, DOI_EVENT_HELD) == 3,
       "one that has expired is taken over");

    h.slot = "third";
    ok(bhold(T + 9 * DAY, 6, &h) == DOI_CONFLICT
       && told() == DOI_BOOKING_EXPIRED
       && !has_row(&store, DOI_TABLE_BOOKINGS, bid(6), DOI_ID_SIZE),
       "a hold that ends before it begins");

    test_store_free(&store);
}


static void
test_taken(void)
{
    size_t  i;

    static const struct {
        const char  *name;
        int          outcome;
        int          status;
        doi_time_t   when;
        int          free;
    } cases[] = {
        { "claimed", 0, 0, T + 20, 0 },
        { "overdue", 0, 0, T + 500, 0 },
        { "in doubt", DOI_OUTCOME_IN_DOUBT, 504, T + 20, 0 },
        { "in doubt, hold over", DOI_OUTCOME_IN_DOUBT, 504, T + 9 * DAY, 0 },
        { "confirmed", DOI_OUTCOME_USED, 303, T + 9 * DAY, 0 },
        { "refused", DOI_OUTCOME_RELEASED, 409, T + 20, 1 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        hold_t  h = usual;

        bhold(T, 1, &usual);
        bclaim(T + 10, 1, 'A', 'a', 0);

        if (cases[i].outcome) {
            bsettle(T + 15, 1, 'A', cases[i].outcome, cases[i].status);
        }

        h.expires = cases[i].when + 100;
        is_int(bhold(cases[i].when, 2, &h),
               cases[i].free ? DOI_WON : DOI_CONFLICT, "%s: for the same",
               cases[i].name);
        ok(told() == (cases[i].free ? DOI_BOOKING_HELD : DOI_BOOKING_TAKEN),
           "%s: told", cases[i].name);
        test_store_free(&store);
    }
}


static void
test_malformed(void)
{
    size_t          i, n;
    hold_t          h = usual;
    unsigned        bad;
    doi_str_t       arg;
    doi_limit_t     l;
    doi_hold_arg_t  a;

    static const struct {
        uint32_t  period;
        uint16_t  count;
        uint16_t  burst;
    } limits[] = {
        { 0, 1, 1 }, { DOI_LIMIT_PERIOD_MAX + 1, 1, 1 }, { 60, 0, 0 },
        { 60, DOI_LIMIT_COUNT_MAX + 1, 1 }, { 60, 5, 0 }, { 60, 5, 6 }
    };

    arg = hold_arg(bid(1), &usual);
    n = arg.len;
    bad = 0;

    for (i = 0; i <= n + 1; i++) {
        uint8_t  *copy;

        if (i == n) {
            continue;
        }

        copy = malloc(i ? i : 1);
        if (copy == NULL) {
            abort();
        }

        memset(copy, 0, i);
        memcpy(copy, arg_bytes, i < n ? i : n);
        arg.data = copy;
        arg.len = i;
        bad += brun(DOI_OP_BOOKING_HOLD, T, arg) != DOI_CONFLICT
               || answer.len != 0;
        free(copy);
    }

    is_int(bad, 0, "HOLD of any other length");

#define refuses(field, value, more, name)                                     \
    do {                                                                      \
        arg = hold_arg(bid(1), &usual);                                       \
        memcpy(&a, arg_bytes, sizeof(a));                                     \
        a.field = value;                                                      \
        memcpy(arg_bytes, &a, sizeof(a));                                     \
        arg.len += more;                                                      \
        ok(brun(DOI_OP_BOOKING_HOLD, T, arg) == DOI_CONFLICT                  \
           && answer.len == 0, name);                                         \
    } while (0)

    refuses(request_len, 0, -strlen(usual.request), "HOLD without a request");
    refuses(request_len, DOI_REQUEST_MAX + 1,
            DOI_REQUEST_MAX + 1 - strlen(usual.request), "too long a request");
    refuses(request_len, UINT32_MAX, 0, "a request of 4 GB");
    refuses(nlimits, DOI_LIMITS_MAX + 1,
            (DOI_LIMITS_MAX + 1) * sizeof(doi_limit_t), "too many limits");
    refuses(nlimits, UINT16_MAX, 0, "limits that are not there");
    refuses(text_len[DOI_TEXT_LANG], 36, 36, "too long a text");
    refuses(text_len[DOI_TEXT_URL], UINT16_MAX, 0, "a text not there");
    refuses(text_len[DOI_TEXT_EMAIL], 0, -strlen(usual.email), "no address");
    refuses(code, 1000000, 0, "code of seven digits");

    for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        memset(&l, 0, sizeof(l));
        l.period = limits[i].period;
        l.count = limits[i].count;
        l.burst = limits[i].burst;
        h.nlimits = 1;
        h.limits = &l;
        ok(bhold(T, 1, &h) == DOI_CONFLICT && answer.len == 0,
           "limit %u is none", (unsigned) i);
    }

}


static void
test_claim(void)
{
    hold_t                h = usual;
    doi_booking_answer_t  a;

    ok(bclaim(T, 1, 'A', 'a', 0) == DOI_CONFLICT
       && told() == DOI_BOOKING_UNKNOWN, "no such booking");

    bhold(T, 1, &h);
    is_int(bclaim(T, 1, 0, 'a', 0), DOI_CONFLICT, "attempt zero is none");
    is_int(answer.len, 0, "and not answered");

    is_int(bclaim(T + 10, 1, 'A', 'a', DOI_CLAIM_RELEASE), DOI_WON, "won");
    a = booking_answer(&answer);
    ok(a.state == DOI_BOOKING_CLAIMED && a.own && a.record_len
       && a.flags == DOI_CLAIM_RELEASE && a.request_len == 14
       && memcmp(answer.data + answer.len - 14, "sealed request", 14) == 0,
       "what a winner is told");
    ok(bclaim(T + 20, 1, 'A', 'a', 0) == DOI_WON && store.applied == 0
       && booking_answer(&answer).request_len == 14, "run again");

    is_int(bclaim(T + 20, 1, 'B', 'b', DOI_CLAIM_IDEMPOTENT), DOI_CONFLICT,
           "another comes too late");
    a = booking_answer(&answer);
    ok(a.state == DOI_BOOKING_CLAIMED && !a.own && a.retry_after == 50
       && a.record_len && a.request_len == 0, "and is told when to try");
    ok(blook(T + 20, 1, 'a').own && !blook(T + 20, 1, 'b').own
       && !blook(T + 20, 1, 0).own, "whose claim it is");
    ok(!blook(T + 70, 1, 'a').own, "nobody's once it is released by age");

    ok(bclaim(T + 70, 1, 'B', 'b', 0) == DOI_WON, "which frees it");
    ok(bclaim(T + 130, 1, 'C', 'c', 0) == DOI_CONFLICT
       && told() == DOI_BOOKING_IN_DOUBT, "in doubt");
    ok(bclaim(T + 130, 1, 'B', 'b', DOI_CLAIM_IDEMPOTENT) == DOI_CONFLICT
       && booking_answer(&answer).own, "not for the same attempt again");
    ok(bclaim(T + 130, 1, 'C', 'c', DOI_CLAIM_IDEMPOTENT) == DOI_WON
       && booking_answer(&answer).flags == DOI_CLAIM_RETRY, "a retry");
    ok(bsettle(T + 140, 1, 'B', DOI_OUTCOME_USED, 303) == DOI_CONFLICT
       && bsettle(T + 140, 1, 'B', DOI_OUTCOME_RELEASED, 409) == DOI_WON
       && store.applied == 0, "the attempt before says nothing any more");
    bsettle(T + 140, 1, 'C', DOI_OUTCOME_RELEASED, 0);
    ok(blook(T + 140, 1, 0).state == DOI_BOOKING_IN_DOUBT
       && events(&store, DOI_EVENT_IN_DOUBT) == 1,
       "a retry without an answer: in doubt again");
    bclaim(T + 150, 1, 'D', 'd', DOI_CLAIM_IDEMPOTENT);
    bsettle(T + 160, 1, 'D', DOI_OUTCOME_IN_DOUBT, 504);
    is_int(events(&store, DOI_EVENT_IN_DOUBT), 1, "one doubt is told once");
    ok(bclaim(T + DAY, 1, 'E', 'e', DOI_CLAIM_IDEMPOTENT) == DOI_CONFLICT,
       "no retry after the hold's time");
    test_store_free(&store);

    bhold(T, 1, &h);
    ok(bclaim(T + DAY, 1, 'A', 'a', 0) == DOI_CONFLICT
       && told() == DOI_BOOKING_EXPIRED, "too late");
    test_rows_remove(&store.tables[DOI_TABLE_REQUESTS], 0);
    is_int(test_run(&store, DOI_OP_BOOKING_CLAIM, T,
                    bclaim_arg(bid(1), 60, 'A', 'a', 0, 0, 0), &answer),
           DOI_RETRY, "a request that is not there is nobody's win");
    test_store_free(&store);
}


static void
test_codes(void)
{
    hold_t         h = usual;
    doi_booking_t  b;

    h.code = 123456;
    bhold(T, 1, &h);

    ok(code(T, 1, 'A', 999) == DOI_WON
       && booking_answer(&answer).wrong_code == 1
       && told() == DOI_BOOKING_HELD
       && booking_answer(&answer).request_len == 0, "wrong code");
    ok(code(T, 1, 'A', 999) == DOI_WON && store.applied == 0
       && booking_answer(&answer).wrong_code == 1
       && get_booking(&store, bid(1), &b) && b.tries == 1,
       "run again: counted once");
    ok(bsettle(T, 1, 'A', DOI_OUTCOME_USED, 303) == DOI_CONFLICT,
       "it was no claim");
    code(T, 1, 'B', DOI_CODE_NONE);
    code(T, 1, 'C', 0);
    code(T, 1, 'D', 0);
    ok(code(T, 1, 'E', 123456) == DOI_WON && told() == DOI_BOOKING_CLAIMED
       && booking_answer(&answer).wrong_code == 0, "the right one");
    ok(code(T + 1, 1, 'F', 1) == DOI_CONFLICT
       && told() == DOI_BOOKING_CLAIMED
       && code(T + 100, 1, 'F', 1) == DOI_CONFLICT
       && told() == DOI_BOOKING_IN_DOUBT, "no try while it is claimed");
    is_int(brun(DOI_OP_BOOKING_CLAIM, T + 100,
                bclaim_arg(bid(1), 60, 'F', 'b', DOI_CLAIM_IDEMPOTENT, 1, 7)),
           DOI_CONFLICT, "no retry with a wrong code");
    bsettle(T + 100, 1, 'E', DOI_OUTCOME_RELEASED, 0);
    ok(code(T + 101, 1, 'G', 7) == DOI_WON && told() == DOI_BOOKING_CANCELLED
       && booking_answer(&answer).wrong_code == 1
       && get_booking(&store, bid(1), &b) && b.tries == 5
       && (b.flags & DOI_BOOKING_BY_CODES) && b.sequence == 1
       && events(&store, DOI_EVENT_RELEASED) == 1, "the last try");
    ok(code(T + 102, 1, 'G', 7) == DOI_WON && told() == DOI_BOOKING_CANCELLED
       && store.applied == 0, "run again");
    ok(code(T + 102, 1, 'H', 123456) == DOI_CONFLICT
       && told() == DOI_BOOKING_CANCELLED, "too late for the right one");
    ok(cancel(T + 103, 1, 1, "") == DOI_WON && suppressed(h.email),
       "it wasn't me: no more mail, though somebody else has cancelled it");
    test_store_free(&store);

    bhold(T, 1, &usual);
    is_int(code(T, 1, 'A', DOI_CODE_NONE), DOI_WON,
           "a booking without a code");
    is_int(told(), DOI_BOOKING_CLAIMED, "needs none");
    test_store_free(&store);
}


/* SETTLE of attempt A (and X, of nobody) in each state; as link_ops.c. */

static void
test_settle(void)
{
    int     outcome, status, was, x;
    size_t  i;

    static const char *const  names[] = {
        "claimed", "overdue", "overdue, released", "in doubt", "retry",
        "confirmed", "refused", "held"
    };

    /* used, released, released by a status, in doubt: result and state */

    static const char *const  want[] = {
        "WcWhWrWd", "WcWhWrWd", "WcWxWrWx", "WcWhWrWd", "WcWdWrWd",
        "WcCcCcCc", "CrWrWrCr", "ChWhWhCh"
    };
    static const char  letters[] = "hlcdrax";

    for (i = 0; i < 8; i++) {
        for (x = 0; x < 4; x++) {
            hold_t      h = usual;
            doi_time_t  when = i == 1 || i == 2 ? T + 90 : T + 20;
            char        got[3] = "??";

            h.expires = i == 2 ? T + 80 : T + DAY;
            bhold(T, 1, &h);
            bclaim(T, 1, i == 4 ? 'Z' : 'A', 'a', i == 2 ? DOI_CLAIM_RELEASE
                                                         : 0);

            if (i == 3) {
                bsettle(T, 1, 'A', DOI_OUTCOME_IN_DOUBT, 504);
            } else if (i == 4) {
                bsettle(T, 1, 'Z', DOI_OUTCOME_IN_DOUBT, 504);
                bclaim(T + 1, 1, 'A', 'a', DOI_CLAIM_IDEMPOTENT);
            } else if (i == 5) {
                bsettle(T, 1, 'A', DOI_OUTCOME_USED, 303);
            } else if (i == 6) {
                bsettle(T, 1, 'A', DOI_OUTCOME_RELEASED, 409);
            } else if (i == 7) {
                bsettle(T, 1, 'A', DOI_OUTCOME_RELEASED, 0);
            }

            was = blook(when, 1, 0).state;
            outcome = x == 0 ? DOI_OUTCOME_USED
                      : x == 3 ? DOI_OUTCOME_IN_DOUBT : DOI_OUTCOME_RELEASED;
            status = x == 2 ? 409 : 0;

            ok(bsettle(when, 1, 'X', outcome, status)
               == (outcome == DOI_OUTCOME_RELEASED ? DOI_WON : DOI_CONFLICT)
               && blook(when, 1, 0).state == was, "%s: attempt of nobody's",
               names[i]);

            got[0] = "WCRU"[bsettle(when, 1, 'A', outcome, status)];
            got[1] = letters[blook(when, 1, 0).state];

            if (!ok(memcmp(got, want[i] + 2 * x, 2) == 0,
                    "%s: outcome %d, status %d", names[i], outcome, status))
            {
                printf("# got %s, expected %.2s\n", got, want[i] + 2 * x);
            }

            ok(bsettle(when, 1, 'A', outcome, status)
               == (got[0] == 'W' ? DOI_WON : DOI_CONFLICT)
               && store.applied == 0, "%s: run again", names[i]);

            if (got[0] == 'W' && got[1] == 'r' && i != 6) {
                ok(blook(when, 1, 'a').own
                   && rows(&store, DOI_TABLE_REQUESTS) == 0
                   && events(&store, DOI_EVENT_RELEASED) == 1,
                   "%s: refused, this browser may know", names[i]);
            }

            test_store_free(&store);
        }
    }

    is_int(bsettle(T, 1, 'A', 0, 0), DOI_CONFLICT, "outcome 0");
    is_int(bsettle(T, 1, 'A', 4, 0), DOI_CONFLICT, "outcome 4");
    is_int(bsettle(T, 1, 'A', DOI_OUTCOME_RELEASED, 0), DOI_WON,
           "no such booking, released");
    is_int(bsettle(T, 1, 'A', DOI_OUTCOME_USED, 0), DOI_CONFLICT,
           "no such booking, used");
}


static void
test_cancel(void)
{
    doi_booking_t  b;

    ok(cancel(T, 1, 0, "op") == DOI_CONFLICT
       && told() == DOI_BOOKING_UNKNOWN, "no such booking");

    bhold(T, 1, &usual);
    ok(cancel(T + 1, 1, 1, "") == DOI_WON
       && told() == DOI_BOOKING_CANCELLED && suppressed(usual.email)
       && get_booking(&store, bid(1), &b)
       && (b.flags & DOI_BOOKING_BY_VISITOR)
       && events(&store, DOI_EVENT_RELEASED) == 1, "it wasn't me");
    ok(cancel(T + 2, 1, 1, "") == DOI_WON && store.applied == 0, "again");
    ok(bclaim(T + 2, 1, 'A', 'a', 0) == DOI_CONFLICT
       && told() == DOI_BOOKING_CANCELLED, "nobody gets in");

    answer2 = answer;
    bhold(T + 3, 2, &usual);
    ok(told() == DOI_BOOKING_HELD && events(&store, DOI_EVENT_HELD) == 2,
       "HOLD does not tell that the address is suppressed");

    ok(cancel(T + 4, 2, 0, "boss") == DOI_WON
       && get_booking(&store, bid(2), &b)
       && !(b.flags & DOI_BOOKING_BY_VISITOR)
       && b.text[DOI_TEXT_ACTOR].len == 4
       && b.text[DOI_TEXT_REASON].len == 3, "by an operator");
    test_store_free(&store);

    bhold(T, 1, &usual);
    bclaim(T, 1, 'A', 'a', 0);
    ok(cancel(T + 1, 1, 0, "op") == DOI_CONFLICT
       && told() == DOI_BOOKING_CLAIMED, "not while it is claimed");
    ok(cancel(T + 60, 1, 0, "op") == DOI_CONFLICT
       && told() == DOI_BOOKING_IN_DOUBT, "nor in doubt");
    bsettle(T + 61, 1, 'A', DOI_OUTCOME_USED, 303);
    ok(cancel(T + 62, 1, 1, "") == DOI_CONFLICT
       && told() == DOI_BOOKING_CONFIRMED && !suppressed(usual.email),
       "a visitor cannot cancel what is confirmed");
    ok(cancel(T + 62, 1, 0, "op") == DOI_WON
       && get_booking(&store, bid(1), &b)
       && (b.flags & DOI_BOOKING_WAS_CONFIRMED) && b.sequence == 2
       && rows(&store, DOI_TABLE_SLOTS) == 0, "an operator can");
    ok(bsettle(T + 63, 1, 'A', DOI_OUTCOME_USED, 303) == DOI_WON
       && store.applied == 0, "a settle run again changes nothing");
    ok(cancel(T + 64, 1, 1, "") == DOI_WON && !suppressed(usual.email),
       "nor is the address of one who has confirmed suppressed");
    test_store_free(&store);
}


static void
test_suppress(void)
{
    doi_str_t  arg;

    ok(brun(DOI_OP_SUPPRESS, T, suppress_arg("a@x.org", 0)) == DOI_WON
       && suppressed("a@x.org") && !suppressed("b@x.org"), "suppressed");
    ok(brun(DOI_OP_SUPPRESS, T + 5, suppress_arg("a@x.org", 0)) == DOI_WON
       && store.applied == 0, "since the first time");
    ok(brun(DOI_OP_SUPPRESS, T, suppress_arg("a@x.org", 1)) == DOI_WON
       && !suppressed("a@x.org"), "lifted");
    is_int(brun(DOI_OP_SUPPRESS, T, suppress_arg("a@x.org", 2)),
           DOI_CONFLICT, "lift 2");
    is_int(brun(DOI_OP_SUPPRESS, T, suppress_arg("", 0)), DOI_CONFLICT,
           "no address");
    arg = suppress_arg("a@x.org", 0);
    arg.len--;
    is_int(brun(DOI_OP_SUPPRESS, T, arg), DOI_CONFLICT, "too short");
    test_store_free(&store);
}


static void
test_resolve(void)
{
    unsigned       i;
    doi_booking_t  b;

    ok(resolve(T, 1, DOI_OUTCOME_USED, "") == DOI_CONFLICT
       && told() == DOI_BOOKING_UNKNOWN, "no such booking");

    bhold(T, 1, &usual);
    ok(resolve(T, 1, DOI_OUTCOME_USED, "") == DOI_CONFLICT
       && told() == DOI_BOOKING_HELD, "not in doubt");
    bclaim(T, 1, 'A', 'a', 0);
    is_int(resolve(T + 59, 1, DOI_OUTCOME_USED, ""), DOI_CONFLICT,
           "not yet in doubt");
    is_int(resolve(T + 60, 1, DOI_OUTCOME_IN_DOUBT, ""), DOI_CONFLICT,
           "an outcome that is none");

    ok(resolve(T + 60, 1, DOI_OUTCOME_RELEASED, "one") == DOI_WON
       && told() == DOI_BOOKING_HELD, "held again");
    ok(resolve(T + 61, 1, DOI_OUTCOME_RELEASED, "one") == DOI_WON
       && store.applied == 0, "run again");
    is_int(resolve(T + 61, 1, DOI_OUTCOME_RELEASED, "two"), DOI_CONFLICT,
           "for another reason");
    is_int(resolve(T + 61, 1, DOI_OUTCOME_USED, "one"), DOI_CONFLICT,
           "with another outcome");
    is_int(bsettle(T + 61, 1, 'A', DOI_OUTCOME_USED, 303), DOI_CONFLICT,
           "the attempt comes too late");

    bclaim(T + 61, 1, 'X', 'a', 0);
    bsettle(T + 61, 1, 'X', DOI_OUTCOME_RELEASED, 0);
    is_int(resolve(T + 61, 1, DOI_OUTCOME_RELEASED, "one"), DOI_CONFLICT,
           "after another claim");

    bclaim(T + 62, 1, 'B', 'a', 0);
    bsettle(T + 63, 1, 'B', DOI_OUTCOME_IN_DOUBT, 504);
    ok(resolve(T + 64, 1, DOI_OUTCOME_USED, "one") == DOI_WON
       && told() == DOI_BOOKING_CONFIRMED
       && get_booking(&store, bid(1), &b)
       && (b.flags & DOI_BOOKING_RESOLVED)
       && events(&store, DOI_EVENT_CONFIRMED) == 1
       && rows(&store, DOI_TABLE_REQUESTS) == 0, "confirmed");
    ok(resolve(T + 65, 1, DOI_OUTCOME_USED, "one") == DOI_WON
       && store.applied == 0, "run again");
    is_int(bsettle(T + 66, 1, 'B', DOI_OUTCOME_RELEASED, 409), DOI_CONFLICT,
           "a settle that comes too late");
    test_store_free(&store);

    for (i = 0; i < 2; i++) {
        bhold(T, 1, &usual);
        bclaim(T, 1, 'A', 'a', 0);
        resolve(usual.expires - 1 + i, 1, DOI_OUTCOME_RELEASED, "");
        ok(told() == (i ? DOI_BOOKING_EXPIRED : DOI_BOOKING_HELD)
           && events(&store, DOI_EVENT_RELEASED) == i,
           "resolved %s", i ? "when the hold is over" : "just in time");
        test_store_free(&store);
    }
}


static void
test_resend(void)
{
    int           i;
    doi_str_t     arg;
    doi_limit_t   l;
    doi_booking_t b;

    memset(&l, 0, sizeof(l));
    l.period = 60;
    l.count = 1;
    l.burst = 1;

    arg = resend_arg(bid(1), bid(900), &l, 1);
    ok(brun(DOI_OP_BOOKING_RESEND, T, arg) == DOI_CONFLICT
       && told() == DOI_BOOKING_UNKNOWN, "no such booking");

    bhold(T, 1, &usual);
    ok(brun(DOI_OP_BOOKING_RESEND, T,
            resend_arg(bid(1), bid(901), &l, 1)) == DOI_WON
       && events(&store, DOI_EVENT_RESEND) == 1, "once more");
    ok(brun(DOI_OP_BOOKING_RESEND, T,
            resend_arg(bid(1), bid(901), &l, 1)) == DOI_WON
       && store.applied == 0, "run again");
    brun(DOI_OP_BOOKING_RESEND, T + 10, resend_arg(bid(1), bid(902), &l, 1));
    ok(told() == DOI_BOOKING_LIMITED
       && booking_answer(&answer).retry_after == 50, "limited");
    ok(brun(DOI_OP_BOOKING_RESEND, T, resend_arg(bid(1),
            (const uint8_t *) "\0\0\0\0\0\0\0\0\0\0\0\0", &l, 1))
       == DOI_CONFLICT && answer.len == 0, "by nobody");
    arg = resend_arg(bid(1), bid(903), &l, 1);
    arg.len--;
    ok(brun(DOI_OP_BOOKING_RESEND, T, arg) == DOI_CONFLICT
       && answer.len == 0, "too short");

    bclaim(T, 1, 'A', 'a', 0);
    ok(brun(DOI_OP_BOOKING_RESEND, T, resend_arg(bid(1), bid(904), &l, 0))
       == DOI_CONFLICT && told() == DOI_BOOKING_CLAIMED, "not now");
    bsettle(T, 1, 'A', DOI_OUTCOME_USED, 303);

    for (i = 0; i < 300; i++) {
        brun(DOI_OP_BOOKING_RESEND, T + 100 + (doi_time_t) i,
             resend_arg(bid(1), bid(1000 + (unsigned) i), &l, 0));
    }

    ok(events(&store, DOI_EVENT_CONFIRM_RESEND) == 300
       && get_booking(&store, bid(1), &b) && b.sends == 255,
       "300 mails are 300 events");
    test_store_free(&store);
}


static void
test_unreadable(void)
{
    size_t     i;
    doi_str_t  key = { bid(1), DOI_ID_SIZE }, junk = doi_str("junk");

    bhold(T, 1, &usual);
    test_store_set(&store, DOI_TABLE_BOOKINGS, key, junk);

    for (i = 0; i < 6; i++) {
        doi_str_t  arg;
        unsigned   op = DOI_OP_BOOKING_HOLD + (unsigned) i;

        arg = op == DOI_OP_BOOKING_HOLD ? hold_arg(bid(2), &usual)
              : op == DOI_OP_BOOKING_CLAIM
              ? bclaim_arg(bid(1), 60, 'A', 'a', 0, 0, 0)
              : op == DOI_OP_BOOKING_SETTLE
              ? bsettle_arg(bid(1), 'A', DOI_OUTCOME_USED, 0)
              : op == DOI_OP_BOOKING_READ ? bread_arg(bid(1), 'a')
              : action_arg(bid(1), DOI_OUTCOME_USED, 0, "", "");

        is_int(test_run(&store, op, T, arg, &answer), DOI_RETRY,
               "op %u: a record that cannot be read", op);
    }

    test_store_free(&store);
}


/* A slot that has come to be another's is not given away. */

static void
test_slot_of_another(void)
{
    uint8_t       slot[DOI_SLOT_KEY_SIZE];
    doi_str_t     key, id;
    test_rows_t  *slots;

    bhold(T, 1, &usual);
    slots = &store.tables[DOI_TABLE_SLOTS];
    memcpy(slot, slots->rows[0].key, sizeof(slot));
    key.data = slot;
    key.len = sizeof(slot);
    id.data = bid(2);
    id.len = DOI_ID_SIZE;
    test_store_set(&store, DOI_TABLE_SLOTS, key, id);

    ok(test_run(&store, DOI_OP_BOOKING_CANCEL, T,
                action_arg(bid(1), 0, 0, "op", ""), &answer) == DOI_WON
       && slots->n == 1
       && memcmp(slots->rows[0].value, bid(2), DOI_ID_SIZE) == 0,
       "a slot of another booking stays");
    ok(test_run(&store, DOI_OP_BOOKING_HOLD, T, hold_arg(bid(3), &usual),
                &answer) == DOI_WON
       && memcmp(slots->rows[0].value, bid(3), DOI_ID_SIZE) == 0,
       "one of a booking that does not exist is free");
    test_store_free(&store);
}


static void
test_look(void)
{
    doi_str_t  str = { answer.data, 0 };

    bhold(T, 1, &usual);
    bclaim(T, 1, 'A', 'a', 0);
    str.len = answer.len;
    ok(!doi_op_wants_another_look(DOI_OP_BOOKING_CLAIM, DOI_WON, str),
       "a win needs no other look");
    bclaim(T, 1, 'B', 'b', 0);
    str.len = answer.len;
    ok(doi_op_wants_another_look(DOI_OP_BOOKING_CLAIM, DOI_CONFLICT, str),
       "claimed by another does");
    ok(!doi_op_wants_another_look(DOI_OP_BOOKING_HOLD, DOI_CONFLICT, str),
       "for a claim");
    blook(T, 1, 'b');
    str.len = answer.len;
    ok(doi_op_wants_another_look(DOI_OP_BOOKING_READ, DOI_WON, str)
       && !doi_op_wants_another_look(DOI_OP_BOOKING_READ, DOI_RETRY, str),
       "and for a look");
    str.len = sizeof(doi_booking_answer_t) - 1;
    ok(!doi_op_wants_another_look(DOI_OP_BOOKING_READ, DOI_WON, str),
       "no answer, no look");
    blook(T + 60, 1, 'b');
    str.len = answer.len;
    ok(!doi_op_wants_another_look(DOI_OP_BOOKING_READ, DOI_WON, str),
       "in doubt needs none");
    test_store_free(&store);
}


/* The life of some bookings, for faults. */

#define STEPS   26

static doi_str_t
life(int step, unsigned *op, doi_time_t *now)
{
    hold_t   h = usual;
    uint8_t  id[DOI_ID_SIZE], to[DOI_ID_SIZE];

    static const uint8_t  none[DOI_TARGET_SIZE];
    static doi_limit_t    l = { "kkkkkkkkkkkkkkk", 60, 5, 5 };

    *now = T + 10 * (doi_time_t) step;
    h.nlimits = 1;
    h.limits = &l;
    h.code = 42;
    doi_event_id(bid(1), DOI_EVENT_HELD, 0, id);
    doi_delivery_id(id, DOI_DELIVER_CONFIRM, none, to);

#define does(name)  *op = DOI_OP_ ## name; return

    switch (step) {
    case 0:  does(BOOKING_HOLD) hold_arg(bid(1), &h);
    case 1:  does(BOOKING_HOLD) hold_arg(bid(90), &h);     /* again */
    case 2:  does(BOOKING_CLAIM) bclaim_arg(bid(1), 60, 'Z', 'a', 0, 1, 1);
    case 3:  does(BOOKING_CLAIM) bclaim_arg(bid(1), 60, 'A', 'a', 0, 1, 42);
    case 4:  does(BOOKING_SETTLE) bsettle_arg(bid(1), 'A', 3, 504);
    case 5:  does(BOOKING_RESOLVE) action_arg(bid(1), 2, 0, "op", "1");
    case 6:  does(BOOKING_CLAIM) bclaim_arg(bid(1), 9, 'B', 'a', 0, 0, 0);
    case 7:  does(BOOKING_SWEEP) bsweep_arg(*now, 100);    /* in doubt */
    case 8:  does(BOOKING_CLAIM) bclaim_arg(bid(1), 60, 'C', 'a',
                                            DOI_CLAIM_IDEMPOTENT, 0, 0);
    case 9:  does(BOOKING_SETTLE) bsettle_arg(bid(1), 'C', 1, 303);
    case 10: does(BOOKING_RESEND) resend_arg(bid(1), bid(91), &l, 1);
    case 11: does(BOOKING_READ) bread_arg(bid(1), 'a');
    case 12: does(BOOKING_CANCEL) action_arg(bid(1), 0, 0, "op", "no");
    case 13: h.expires = *now + 55;
             h.remind = *now + 15;
             does(BOOKING_HOLD) hold_arg(bid(2), &h);
    case 14: does(BOOKING_HOLD) hold_arg(bid(92), &usual); /* again */
    case 15: does(BOOKING_SWEEP) bsweep_arg(*now, 100);    /* reminder */
    case 19: h.email = "bob@example.com";                  /* taken over */
             does(BOOKING_HOLD) hold_arg(bid(3), &h);
    case 16: does(OUTBOX_FANOUT) fanout_arg(id, DOI_DELIVER_CONFIRM, 3);
    case 17: does(OUTBOX_UPDATE) update_arg(to, DOI_OUTBOX_DEFER, T, "e");
    case 18: does(OUTBOX_UPDATE) update_arg(to, DOI_OUTBOX_DONE, 0, "");
    case 20: does(BOOKING_CANCEL) action_arg(bid(3), 0, 1, "", "");
    case 21: does(SUPPRESS) suppress_arg("bob@example.com", 1);
    case 22: h.expires = *now + 10;
             does(BOOKING_HOLD) hold_arg(bid(4), &h);
    case 23: does(BOOKING_SWEEP) bsweep_arg(*now, 100);    /* expires */
    case 24: does(SUPPRESS) suppress_arg("eve@example.com", 0);
    default: *now = T + 2 * DOI_KEEP_ENDED;
             does(BOOKING_SWEEP) bsweep_arg(*now, 100);    /* dropped */
    }
}


/* Each call of a transaction to its view fails in turn. */

static void
test_view_faults(void)
{
    int           step;
    unsigned      op, n, calls, bad;
    doi_str_t     arg;
    doi_time_t    now;
    test_store_t  before = { 0 };

    for (step = 0; step < STEPS; step++) {
        test_store_copy(&before, &store);
        arg = life(step, &op, &now);
        ok(brun(op, now, arg) == DOI_WON, "step %d: op %u", step, op);
        calls = store.calls;
        bad = 0;

        for (n = 1; n <= calls; n++) {
            test_store_copy(&store, &before);
            store.fail = n;
            bad += test_run(&store, op, now, arg, &answer2) != DOI_RETRY
                   || !test_store_same(&store, &before);
        }

        is_int(bad, 0, "step %d: each of %u calls fails", step, calls);
        store.fail = 0;
        test_store_copy(&store, &before);
        brun(op, now, arg);
    }

    ok(rows(&store, DOI_TABLE_BOOKINGS) == 0, "all are dropped");
    test_store_free(&before);
    test_store_free(&store);
}


typedef struct {
    size_t    len;
    uint8_t   bytes[65536];
} dump_t;

static int
dump_row(void *data, doi_str_t key, doi_str_t value)
{
    dump_t *d = data;

    if (d->len + key.len + value.len + 4 > sizeof(d->bytes)) {
        abort();
    }

    d->bytes[d->len++] = (uint8_t) key.len;
    d->len = append(d->bytes, d->len, key.data, key.len);
    d->bytes[d->len++] = (uint8_t) (value.len >> 8);
    d->bytes[d->len++] = (uint8_t) value.len;

    if (value.len) {
        d->len = append(d->bytes, d->len, value.data, value.len);
    }

    return DOI_OK;
}


static doi_result_t
dump_all(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    int        table;
    dump_t    *d;
    doi_str_t  from = { NULL, 0 };

    (void) now;
    (void) out;
    memcpy(&d, arg.data, sizeof(d));
    d->len = 0;

    for (table = DOI_TABLE_LINKS; table < DOI_TABLES; table++) {
        d->bytes[d->len++] = (uint8_t) table;

        if (view->scan(view, (doi_table_t) table, from, dump_row, d)
            != DOI_OK)
        {
            return DOI_RETRY;
        }
    }

    return DOI_WON;
}


static void
mem_dump(doi_store_t *s, dump_t *d)
{
    uint8_t    bytes[64];
    doi_buf_t  out = { bytes, 0, sizeof(bytes) };
    doi_str_t  arg = { (const uint8_t *) &d, sizeof(d) };

    if (doi_store_read(s, dump_all, arg, &out) != DOI_WON) {
        abort();
    }
}


static void
mem_done(void *data, doi_result_t result, doi_str_t got)
{
    (void) got;
    *(int *) data = (int) result;
}


static int
mem_step(doi_store_t *s, int step)
{
    int         result;
    unsigned    op;
    doi_str_t   arg;
    doi_time_t  now;

    result = -1;
    arg = life(step, &op, &now);
    doi_store_mem_clock(s, now, now - T + 1);

    if (doi_store_submit(s, op, arg, mem_done, &result) != DOI_OK) {
        abort();
    }

    doi_store_dispatch(s);

    return result;
}


/* Whoever is not told how it ended submits again: the same rows in the end. */

static void
test_store_faults(void)
{
    int                fault, step, result, bad;
    char               err[256];
    unsigned           met;
    doi_store_t       *s;
    doi_store_conf_t   conf;
    doi_store_stats_t  stats;
    static dump_t      want[STEPS], got;

    memset(&conf, 0, sizeof(conf));
    memset(&stats, 0, sizeof(stats));
    conf.queue_max = 10;
    conf.timeout_ms = 1000;
    conf.stats = &stats;

    for (fault = DOI_FAULT_NONE; fault <= DOI_FAULT_TWICE; fault++) {
        if (doi_store_mem_open(&conf, &s, err, sizeof(err)) != DOI_OK) {
            abort();
        }

        bad = 0;
        met = 0;

        for (step = 0; step < STEPS; step++) {
            doi_store_mem_fault(s, (doi_fault_t) fault, 0, 1);
            result = mem_step(s, step);

            if (result != DOI_WON) {
                met++;
                doi_store_mem_fault(s, DOI_FAULT_NONE, 0, 0);
                result = mem_step(s, step);
            }

            mem_dump(s, fault == DOI_FAULT_NONE ? &want[step] : &got);

            if (fault == DOI_FAULT_NONE) {
                bad += result != DOI_WON;
                continue;
            }

            if (got.len != want[step].len
                || memcmp(got.bytes, want[step].bytes, got.len) != 0)
            {
                printf("# step %d differs\n", step);
                bad++;
            }
        }

        is_int(bad, 0, "memory store, fault %d: the same rows", fault);
        ok(fault == DOI_FAULT_NONE || fault == DOI_FAULT_TWICE ? met == 0
           : fault >= DOI_FAULT_GET ? met >= STEPS / 2 : met == STEPS,
           "fault %d: met %u times", fault, met);
        doi_store_close(s, 0);
    }
}


int
main(void)
{
    test_hold();
    test_taken();
    test_malformed();
    test_claim();
    test_codes();
    test_settle();
    test_cancel();
    test_suppress();
    test_resolve();
    test_resend();
    test_unreadable();
    test_slot_of_another();
    test_look();
    test_view_faults();
    test_store_faults();

    return done_testing();
}
