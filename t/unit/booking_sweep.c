/* SWEEP of bookings, rows that are due: src/core/booking_sweep.c */

#include "tap.h"
#include "booking_help.h"


static test_answer_t  answer;
static test_store_t   store;


static doi_result_t
brun(unsigned op, doi_time_t now, doi_str_t arg)
{
    return test_run(&store, op, now, arg, &answer);
}


static doi_booking_sweep_answer_t
bsweep(doi_time_t now, doi_time_t mark, uint32_t limit)
{
    brun(DOI_OP_BOOKING_SWEEP, now, bsweep_arg(mark, limit));

    return bsweep_answer(&answer);
}


static void
hold_one(unsigned n, const hold_t *h)
{
    if (brun(DOI_OP_BOOKING_HOLD, T, hold_arg(bid(n), h)) != DOI_WON) {
        abort();
    }
}


static void
claim_one(unsigned n, doi_time_t now, int attempt, uint32_t timeout,
    uint32_t flags)
{
    if (brun(DOI_OP_BOOKING_CLAIM, now,
             bclaim_arg(bid(n), timeout, attempt, 1, flags, 0, 0))
        != DOI_WON)
    {
        abort();
    }
}


static int
state_of(unsigned n)
{
    doi_booking_t  b;

    return get_booking(&store, bid(n), &b) ? b.state : -1;
}


static int
due(doi_time_t mark)
{
    int  rc;

    test_begin(&store);
    rc = doi_booking_due(&store.view, mark);
    test_end(&store, 0);

    return rc;
}


static void
test_expire(void)
{
    hold_t                      h = usual;
    doi_booking_t               b;
    doi_booking_sweep_answer_t  a;

    ok(!due(UINT32_MAX), "nothing is due in an empty store");

    h.expires = T + 100;
    h.remind = T + 50;
    hold_one(1, &h);

    ok(!due(T + 49) && due(T + 50), "due");
    a = bsweep(T + 49, T + 49, 10);
    ok(a.looked == 0 && a.reminded == 0, "too early");

    a = bsweep(T + 99999, T + 50, 10);
    ok(a.looked == 1 && a.reminded == 1 && a.expired == 0
       && events(&store, DOI_EVENT_REMIND) == 1 && state_of(1) == 0,
       "by mark, not by now: reminded");
    a = bsweep(T + 60, T + 60, 10);
    ok(a.looked == 0 && events(&store, DOI_EVENT_REMIND) == 1, "once");
    ok(check_rows(&store) == NULL, "rows are right");

    a = bsweep(T + 99, T + 9999, 10);
    is_int(a.looked, 0, "a mark ahead of now is not believed");
    a = bsweep(T + 100, T + 100, 10);
    ok(a.looked == 1 && a.expired == 1
       && events(&store, DOI_EVENT_RELEASED) == 1
       && state_of(1) == DOI_BOOKING_EXPIRED && check_rows(&store) == NULL,
       "expired");
    ok(get_booking(&store, bid(1), &b) && b.sequence == 1,
       "the calendar is to know");

    a = bsweep(T + 99 + DOI_KEEP_ENDED, T + 99 + DOI_KEEP_ENDED, 10);
    ok(a.looked == 0 && state_of(1) == DOI_BOOKING_EXPIRED, "kept");
    a = bsweep(T + 100 + DOI_KEEP_ENDED, T + 100 + DOI_KEEP_ENDED, 10);
    ok(a.dropped == 1 && state_of(1) == -1
       && rows(&store, DOI_TABLE_DUE) == 0, "and dropped");
    test_store_free(&store);

    hold_one(1, &h);
    a = bsweep(T + 100, T + 100, 10);
    ok(a.looked == 2 && a.reminded == 0 && a.expired == 1
       && check_rows(&store) == NULL, "too late for a reminder");
    test_store_free(&store);
}


static void
test_claims(void)
{
    hold_t                      h = usual;
    doi_booking_t               b;
    doi_booking_sweep_answer_t  a;

    h.expires = T + 100;
    h.remind = T + 50;
    hold_one(1, &h);
    claim_one(1, T + 40, 'A', 70, 0);

    a = bsweep(T + 105, T + 105, 10);
    ok(a.looked == 0 && state_of(1) == DOI_BOOKING_CLAIMED,
       "a hold does not end under a claim, nor is anybody reminded");
    a = bsweep(T + 115, T + 115, 10);
    ok(a.in_doubt == 1 && state_of(1) == DOI_BOOKING_IN_DOUBT
       && events(&store, DOI_EVENT_IN_DOUBT) == 1
       && get_booking(&store, bid(1), &b) && b.claim.settled == T + 110
       && check_rows(&store) == NULL, "in doubt since its deadline");
    a = bsweep(T + 200, T + 200, 10);
    ok(a.looked == 0 && events(&store, DOI_EVENT_IN_DOUBT) == 1,
       "told once, and kept");

    brun(DOI_OP_BOOKING_RESOLVE, T + 300,
         action_arg(bid(1), DOI_OUTCOME_RELEASED, 0, "op", "why"));
    ok(state_of(1) == DOI_BOOKING_EXPIRED
       && events(&store, DOI_EVENT_RELEASED) == 1
       && check_rows(&store) == NULL, "resolved when the hold is over");
    test_store_free(&store);

    hold_one(1, &h);
    claim_one(1, T + 40, 'A', 20, DOI_CLAIM_RELEASE);
    a = bsweep(T + 59, T + 59, 10);
    is_int(a.looked, 0, "released by age: not yet");
    a = bsweep(T + 60, T + 60, 10);
    ok(a.in_doubt == 0 && a.reminded == 1 && state_of(1) == DOI_BOOKING_HELD
       && check_rows(&store) == NULL,
       "held again, and the reminder made up for");
    claim_one(1, T + 70, 'B', 60, DOI_CLAIM_RELEASE);
    a = bsweep(T + 130, T + 130, 10);
    ok(a.expired == 1 && state_of(1) == DOI_BOOKING_EXPIRED
       && events(&store, DOI_EVENT_IN_DOUBT) == 0
       && check_rows(&store) == NULL, "expired at the end of the claim");
    test_store_free(&store);

    hold_one(1, &h);
    claim_one(1, T + 40, 'A', 200, 0);
    brun(DOI_OP_BOOKING_SETTLE, T + 120,
         bsettle_arg(bid(1), 'A', DOI_OUTCOME_RELEASED, 0));
    ok(state_of(1) == DOI_BOOKING_HELD && due(T + 120),
       "released after its time: held, and due");
    a = bsweep(T + 120, T + 120, 10);
    ok(a.expired == 1 && check_rows(&store) == NULL, "expired by the sweep");
    test_store_free(&store);

    hold_one(1, &h);
    claim_one(1, T + 40, 'A', 20, DOI_CLAIM_RELEASE);
    brun(DOI_OP_BOOKING_SETTLE, T + 50,
         bsettle_arg(bid(1), 'A', DOI_OUTCOME_IN_DOUBT, 504));
    ok(state_of(1) == DOI_BOOKING_IN_DOUBT
       && events(&store, DOI_EVENT_IN_DOUBT) == 1
       && check_rows(&store) == NULL, "in doubt until its deadline");
    bsweep(T + 60, T + 60, 10);
    ok(state_of(1) == DOI_BOOKING_HELD && check_rows(&store) == NULL,
       "and held again");
    test_store_free(&store);
}


static void
test_drop(void)
{
    int         i;
    hold_t      h;
    doi_time_t  t;

    static const struct {
        const char  *name;
        doi_time_t   start;
        int          outcome;
        doi_time_t   until;
    } cases[] = {
        { "confirmed", T + 5000, DOI_OUTCOME_USED,
          T + 5000 + 1800 + DOI_KEEP_CONFIRMED },
        { "confirmed for a day that is past", T - 99999, DOI_OUTCOME_USED,
          T + 20 + DOI_KEEP_CONFIRMED },
        { "confirmed, undated", 0, DOI_OUTCOME_USED,
          T + 20 + DOI_KEEP_UNDATED },
        { "in doubt", T + 5000, DOI_OUTCOME_IN_DOUBT,
          T + 5000 + 1800 + DOI_KEEP_CONFIRMED },
        { "in doubt, undated", 0, DOI_OUTCOME_IN_DOUBT,
          T + 20 + DOI_KEEP_UNDATED },
        { "refused", T + 5000, DOI_OUTCOME_RELEASED,
          T + 20 + DOI_KEEP_ENDED }
    };

    for (i = 0; i < 6; i++) {
        h = usual;
        h.start = cases[i].start;
        hold_one(1, &h);
        claim_one(1, T + 10, 'A', 60, 0);
        brun(DOI_OP_BOOKING_SETTLE, T + 20,
             bsettle_arg(bid(1), 'A', cases[i].outcome,
                         cases[i].outcome == DOI_OUTCOME_RELEASED ? 409 : 0));
        t = cases[i].until;
        bsweep(t - 1, t - 1, 10);
        ok(state_of(1) != -1 && check_rows(&store) == NULL, "%s: kept",
           cases[i].name);
        bsweep(t, t, 10);
        ok(state_of(1) == -1 && rows(&store, DOI_TABLE_DUE) == 0
           && rows(&store, DOI_TABLE_SLOTS) == 0
           && rows(&store, DOI_TABLE_AGENDA) == 0
           && rows(&store, DOI_TABLE_REQUESTS) == 0, "%s: dropped",
           cases[i].name);
        test_store_free(&store);
    }
}


static void
test_limit(void)
{
    char                        slot[8];
    hold_t                      h = usual;
    unsigned                    n;
    doi_booking_sweep_answer_t  a;

    h.slot = slot;

    for (n = 0; n < 600; n++) {
        snprintf(slot, sizeof(slot), "%u", n);
        hold_one(n, &h);
    }

    a = bsweep(T + DAY, T + DAY, 0);
    ok(a.looked == 0 && a.expired == 0, "limit 0 does nothing");
    a = bsweep(T + DAY, T + DAY, 3);
    ok(a.looked == 3 && a.expired == 3, "at most limit rows");
    a = bsweep(T + DAY, T + DAY, UINT32_MAX);
    ok(a.looked == 512 && a.expired == 512, "never more than 512");
    a = bsweep(T + DAY, T + DAY, 512);
    ok(a.expired == 85 && !due(T + DAY) && check_rows(&store) == NULL,
       "then the rest");
    test_store_free(&store);
}


/* Rows that should not be there, records that cannot be read. */

static void
test_odd(void)
{
    int                         i;
    uint8_t                     key[17] = { 0 };
    doi_str_t                   k = { key, sizeof(key) }, none = { NULL, 0 };
    doi_str_t                   id, junk = doi_str("junk");
    doi_str_t                   odd = doi_str("odd");
    doi_booking_sweep_answer_t  a;

    hold_one(1, &usual);
    test_store_set(&store, DOI_TABLE_DUE, odd, none);
    memcpy(key + 4, bid(1), DOI_ID_SIZE);

    for (i = 0; i < 6; i++) {
        key[16] = (uint8_t) i;
        test_store_set(&store, DOI_TABLE_DUE, k, none);
    }

    memcpy(key + 4, bid(2), DOI_ID_SIZE);
    test_store_set(&store, DOI_TABLE_DUE, k, none);

    ok(due(T), "orphans are due");
    a = bsweep(T, T, 100);
    ok(a.looked == 7 && a.expired == 0 && state_of(1) == DOI_BOOKING_HELD
       && rows(&store, DOI_TABLE_DUE) == 2 && !due(T),
       "orphans are deleted, and nothing else");

    /* a row that got lost comes back with the next one that is due */

    memset(key, 0, sizeof(key));
    memcpy(key + 4, bid(1), DOI_ID_SIZE);
    test_rows_remove(&store.tables[DOI_TABLE_DUE],
                     rows(&store, DOI_TABLE_DUE) - 2);
    test_store_set(&store, DOI_TABLE_DUE, k, none);
    bsweep(T, T, 100);
    ok(due_row(&store, usual.expires, bid(1), 1), "a lost row comes back");

    id.data = bid(1);
    id.len = DOI_ID_SIZE;
    test_store_set(&store, DOI_TABLE_BOOKINGS, id, junk);
    a = bsweep(T + DAY, T + DAY, 100);
    ok(a.looked == 1 && rows(&store, DOI_TABLE_BOOKINGS) == 1
       && due_row(&store, T + DAY + 3600, bid(1), 1) && !due(T + DAY),
       "a record that cannot be read is looked at later");
    test_store_free(&store);
}


static void
test_limits(void)
{
    hold_t                      h = usual;
    doi_limit_t                 l;
    doi_booking_sweep_arg_t     arg;
    doi_booking_sweep_answer_t  a;

    memset(&l, 0, sizeof(l));
    memset(l.key, 'k', DOI_LIMIT_KEY_SIZE);
    l.period = 60;
    l.count = 1;
    l.burst = 1;
    h.nlimits = 1;
    h.limits = &l;
    hold_one(1, &h);

    a = bsweep(T + 30, T + 30, 10);
    ok(a.dropped == 0 && rows(&store, DOI_TABLE_LIMITS) == 1
       && a.next[0] == 0, "a limit that counts is kept");
    memset(&arg, 0, sizeof(arg));
    arg.mark = T + 61;
    arg.limit = 10;
    memset(arg.from, 'z', DOI_LIMIT_KEY_SIZE);
    brun(DOI_OP_BOOKING_SWEEP, T + 61,
         arg_end(append(arg_bytes, 0, &arg, sizeof(arg))));
    is_int(rows(&store, DOI_TABLE_LIMITS), 1, "from a key on");
    a = bsweep(T + 61, T + 61, 10);
    ok(rows(&store, DOI_TABLE_LIMITS) == 0, "one that is over goes");

    is_int(brun(DOI_OP_BOOKING_SWEEP, T,
                arg_end(sizeof(doi_booking_sweep_arg_t) - 1)), DOI_CONFLICT,
           "too short an argument");
    is_int(brun(DOI_OP_BOOKING_SWEEP, T,
                arg_end(sizeof(doi_booking_sweep_arg_t) + 1)), DOI_CONFLICT,
           "too long an argument");
    test_store_free(&store);
}


int
main(void)
{
    test_expire();
    test_claims();
    test_drop();
    test_limit();
    test_odd();
    test_limits();

    return done_testing();
}
