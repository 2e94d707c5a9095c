/*
 * Transactions on links: src/core/link_ops.c
 *
 * First a table of every event in every state of a one-use link; each cell is
 * run again (idempotence) and with each of its store calls failing in turn.
 * Then what the table cannot say about CLAIM and SETTLE; link_admin.c and
 * link_sweep.c have the other transactions, link_model.c random sequences.
 */

#include "tap.h"
#include "link_help.h"


/* States of the table.  The claim, if any, is attempt A's by browser a. */

typedef struct {
    const char  *name;
    int          record;
    int          minted;
    int          revoked;
    doi_time_t   expires;
    int          claim;         /* doi_claim_state_t, 0: none */
    int          flags;
    doi_time_t   deadline;
} given_t;

/* Events of the table. */

enum {
    CLAIM_B, CLAIM_B_IDEM, CLAIM_A, CLAIM_C,
    A_USED, A_RELEASED, A_DOUBT, X_USED, X_RELEASED, X_DOUBT,
    READ_A, READ_B, REVOKE, RESOLVE_USED, RESOLVE_FRESH, MINT, SWEEP,
    EVENTS
};

static const char  *event_names[EVENTS] = {
    "claim by another", "idempotent claim by another", "same attempt again",
    "another attempt of the same browser",
    "settle used", "settle released", "settle in doubt",
    "settle unknown attempt used", "settle unknown attempt released",
    "settle unknown attempt in doubt",
    "read by the same browser", "read by another", "revoke",
    "resolve used", "resolve fresh", "mint", "sweep"
};

/*
 * A cell has five characters:
 *   result    W won, C conflict
 *   answer    - none, b the record as stored, the state's letter (capital: by
 *             this same browser), for SWEEP the number of claims released
 *   after     the state's letter as a stranger sees it, n: no record
 *   holder    of slot 0: A B C or - for none
 *   written   ! something, . nothing
 */

typedef struct {
    given_t      given;
    const char  *want[EVENTS];
} row_t;

#define E   (T + 1000)
#define L   (T + 30)            /* a deadline to come */
#define CL  DOI_CLAIM_CLAIMED
#define US  DOI_CLAIM_USED
#define ID  DOI_CLAIM_IN_DOUBT
#define RE  DOI_CLAIM_RELEASE

static const row_t  table[] = {

{ { "no record", 0, 0, 0, E, 0, 0, 0 }, {
    "WCcB!", "WCcB!", "WCcA!", "WCcC!",
    "C-n-.", "W-n-.", "C-n-.", "C-n-.", "W-n-.", "C-n-.",
    "Wfn-.", "Wfn-.", "Wbr-!", "C-n-.", "C-n-.", "W-f-!", "W0n-." } },

{ { "minted", 1, 1, 0, E, 0, 0, 0 }, {
    "WCcB!", "WCcB!", "WCcA!", "WCcC!",
    "C-f-.", "W-f-.", "C-f-.", "C-f-.", "W-f-.", "C-f-.",
    "Wff-.", "Wff-.", "Wbr-!", "Cbf-.", "Cbf-.", "W-f-.", "W0f-." } },

{ { "claimed", 1, 0, 0, E, CL, 0, L }, {
    "CccA.", "CccA.", "WCcA.", "CCcA.",
    "W-uA!", "W-n-!", "W-dA!", "C-cA.", "W-cA.", "C-cA.",
    "WCcA.", "WccA.", "WbrA!", "CbcA.", "CbcA.", "C-cA.", "W0cA." } },

{ { "minted, claimed", 1, 1, 0, E, CL, 0, L }, {
    "CccA.", "CccA.", "WCcA.", "CCcA.",
    "W-uA!", "W-f-!", "W-dA!", "C-cA.", "W-cA.", "C-cA.",
    "WCcA.", "WccA.", "WbrA!", "CbcA.", "CbcA.", "C-cA.", "W0cA." } },

{ { "claimed, to be released", 1, 0, 0, E, CL, RE, L }, {
    "CccA.", "CccA.", "WCcA.", "CCcA.",
    "W-uA!", "W-n-!", "W-dA!", "C-cA.", "W-cA.", "C-cA.",
    "WCcA.", "WccA.", "WbrA!", "CbcA.", "CbcA.", "C-cA.", "W0cA." } },

{ { "overdue", 1, 0, 0, E, CL, 0, T }, {
    "CddA.", "WCcB!", "CDdA.", "CDdA.",
    "W-uA!", "W-n-!", "W-dA!", "C-dA.", "W-dA.", "C-dA.",
    "WDdA.", "WddA.", "WbrA!", "WbuA!", "Wbf-!", "C-dA.", "W0dA!" } },

{ { "overdue, released", 1, 0, 0, E, CL, RE, T }, {
    "WCcB!", "WCcB!", "WCcA!", "WCcC!",
    "W-uA!", "W-n-!", "W-fA!", "C-fA.", "W-fA.", "C-fA.",
    "WffA.", "WffA.", "WbrA!", "CbfA.", "CbfA.", "C-fA.", "W1n-!" } },

{ { "in doubt", 1, 0, 0, E, ID, 0, L }, {
    "CddA.", "WCcB!", "CDdA.", "CDdA.",
    "W-uA!", "W-n-!", "W-dA.", "C-dA.", "W-dA.", "C-dA.",
    "WDdA.", "WddA.", "WbrA!", "WbuA!", "Wbf-!", "C-dA.", "W0dA." } },

{ { "in doubt, to be released", 1, 0, 0, E, ID, RE, L }, {
    "CddA.", "WCcB!", "CDdA.", "CDdA.",
    "W-uA!", "W-n-!", "W-dA.", "C-dA.", "W-dA.", "C-dA.",
    "WDdA.", "WddA.", "WbrA!", "WbuA!", "Wbf-!", "C-dA.", "W0dA." } },

{ { "in doubt, released", 1, 0, 0, E, ID, RE, T }, {
    "WCcB!", "WCcB!", "WCcA!", "WCcC!",
    "W-uA!", "W-n-!", "W-fA.", "C-fA.", "W-fA.", "C-fA.",
    "WffA.", "WffA.", "WbrA!", "CbfA.", "CbfA.", "C-fA.", "W1n-!" } },

{ { "used", 1, 0, 0, E, US, 0, T }, {
    "CuuA.", "CuuA.", "CUuA.", "CUuA.",
    "W-uA.", "C-uA.", "C-uA.", "C-uA.", "W-uA.", "C-uA.",
    "WUuA.", "WuuA.", "CbuA.", "CbuA.", "CbuA.", "C-uA.", "W0uA." } },

{ { "used, deadline and flag past", 1, 0, 0, E, US, RE, T }, {
    "CuuA.", "CuuA.", "CUuA.", "CUuA.",
    "W-uA.", "C-uA.", "C-uA.", "C-uA.", "W-uA.", "C-uA.",
    "WUuA.", "WuuA.", "CbuA.", "CbuA.", "CbuA.", "C-uA.", "W0uA." } },

{ { "revoked", 1, 0, 1, E, 0, 0, 0 }, {
    "Crr-.", "Crr-.", "Crr-.", "Crr-.",
    "C-r-.", "W-r-.", "C-r-.", "C-r-.", "W-r-.", "C-r-.",
    "Wrr-.", "Wrr-.", "Wbr-.", "Cbr-.", "Cbr-.", "C-r-.", "W0r-." } },

{ { "revoked while claimed", 1, 0, 1, E, CL, 0, L }, {
    "CrrA.", "CrrA.", "WCrA.", "CrrA.",
    "W-rA!", "W-r-!", "W-rA!", "C-rA.", "W-rA.", "C-rA.",
    "WrrA.", "WrrA.", "WbrA.", "CbrA.", "CbrA.", "C-rA.", "W0rA." } },

{ { "revoked while in doubt", 1, 0, 1, E, ID, 0, L }, {
    "CrrA.", "CrrA.", "CrrA.", "CrrA.",
    "W-rA!", "W-r-!", "W-rA.", "C-rA.", "W-rA.", "C-rA.",
    "WrrA.", "WrrA.", "WbrA.", "WbrA!", "Wbr-!", "C-rA.", "W0rA." } },

{ { "revoked, but booked", 1, 0, 1, E, US, 0, T }, {
    "CrrA.", "CrrA.", "CUrA.", "CUrA.",
    "W-rA.", "C-rA.", "C-rA.", "C-rA.", "W-rA.", "C-rA.",
    "WUrA.", "WrrA.", "WbrA.", "CbrA.", "CbrA.", "C-rA.", "W0rA." } },

{ { "expired", 1, 1, 0, T, 0, 0, 0 }, {
    "Cxx-.", "Cxx-.", "Cxx-.", "Cxx-.",
    "C-x-.", "W-x-.", "C-x-.", "C-x-.", "W-x-.", "C-x-.",
    "Wxx-.", "Wxx-.", "Wbr-!", "Cbx-.", "Cbx-.", "W-x-.", "W0x-." } },

{ { "expired while claimed", 1, 0, 0, T, CL, 0, L }, {
    "CxxA.", "CxxA.", "WCxA.", "CxxA.",
    "W-xA!", "W-n-!", "W-xA!", "C-xA.", "W-xA.", "C-xA.",
    "WxxA.", "WxxA.", "WbrA!", "CbxA.", "CbxA.", "C-xA.", "W0xA." } },

{ { "expired while in doubt", 1, 0, 0, T, ID, 0, L }, {
    "CxxA.", "CxxA.", "CxxA.", "CxxA.",
    "W-xA!", "W-n-!", "W-xA.", "C-xA.", "W-xA.", "C-xA.",
    "WxxA.", "WxxA.", "WbrA!", "WbxA!", "Wbx-!", "C-xA.", "W0xA." } },

{ { "expired after use", 1, 0, 0, T, US, 0, T }, {
    "CxxA.", "CxxA.", "CxxA.", "CxxA.",
    "W-xA.", "C-xA.", "C-xA.", "C-xA.", "W-xA.", "C-xA.",
    "WxxA.", "WxxA.", "CbxA.", "CbxA.", "CbxA.", "C-xA.", "W0xA." } },

{ { "past its time", 1, 0, 0, T - DOI_KEEP_BURNED, US, 0, 5 }, {
    "CxxA.", "CxxA.", "CxxA.", "CxxA.",
    "W-xA.", "C-xA.", "C-xA.", "C-xA.", "W-xA.", "C-xA.",
    "WxxA.", "WxxA.", "CbxA.", "CbxA.", "CbxA.", "C-xA.", "W0n-!" } },

{ { "past its time in doubt", 1, 0, 0, T - DOI_KEEP_DOUBT, ID, 0, 5 }, {
    "CxxA.", "CxxA.", "CxxA.", "CxxA.",
    "W-xA!", "W-n-!", "W-xA.", "C-xA.", "W-xA.", "C-xA.",
    "WxxA.", "WxxA.", "WbrA!", "WbxA!", "Wbx-!", "C-xA.", "W0n-!" } }
};


static test_answer_t  answer, answer2;


static void
given(test_store_t *store, const given_t *g)
{
    doi_link_t   link;
    doi_claim_t  one;

    test_store_free(store);

    if (!g->record) {
        return;
    }

    memset(&link, 0, sizeof(link));
    memcpy(link.id, ID1, DOI_ID_SIZE);
    link.expires = g->expires;
    link.uses = 1;
    link.minted = (uint8_t) g->minted;
    link.revoked = (uint8_t) g->revoked;
    link.nclaims = g->claim != 0;
    link.claims = &one;

    if (g->revoked) {
        link.actor = (doi_str_t) doi_str("boss");
    }

    memset(&one, 0, sizeof(one));
    memset(one.attempt, 'A', DOI_ATTEMPT_SIZE);
    memset(one.browser, 'a', DOI_BROWSER_SIZE);
    one.claimed = T - 30;
    one.deadline = g->deadline;
    one.settled = g->claim == CL ? 0 : T - 10;
    one.status = g->claim == US ? 303 : 0;
    one.state = (uint8_t) g->claim;
    one.flags = (uint8_t) g->flags;

    put_link(store, &link);
}


static doi_result_t
event(test_store_t *store, const given_t *g, int e, test_answer_t *a)
{
    switch (e) {

    case CLAIM_B:
        return claim(store, T, ID1, g->expires, 60, 'B', 'b', 0, a);

    case CLAIM_B_IDEM:
        return claim(store, T, ID1, g->expires, 60, 'B', 'b',
                     DOI_CLAIM_IDEMPOTENT, a);

    case CLAIM_A:
        return claim(store, T, ID1, g->expires, 60, 'A', 'a', 0, a);

    case CLAIM_C:
        return claim(store, T, ID1, g->expires, 60, 'C', 'a', 0, a);

    case A_USED:
    case A_RELEASED:
    case A_DOUBT:
        return settle(store, T, ID1, 'A', DOI_OUTCOME_USED + e - A_USED, a);

    case X_USED:
    case X_RELEASED:
    case X_DOUBT:
        return settle(store, T, ID1, 'X', DOI_OUTCOME_USED + e - X_USED, a);

    case READ_A:
        return look(store, T, ID1, 'a', a);

    case READ_B:
        return look(store, T, ID1, 'b', a);

    case REVOKE:
        return operate(store, DOI_OP_LINK_REVOKE, T, ID1, 0, 0, "op", "why",
                       a);

    case RESOLVE_USED:
        return operate(store, DOI_OP_LINK_RESOLVE, T, ID1, DOI_OUTCOME_USED,
                       DOI_SLOT_ALL, "op", "why", a);

    case RESOLVE_FRESH:
        return operate(store, DOI_OP_LINK_RESOLVE, T, ID1,
                       DOI_OUTCOME_RELEASED, DOI_SLOT_ALL, "op", "why", a);

    case MINT:
        return mint(store, T, ID1, 1, g->expires, 1, "", "", "", a);

    default:
        return sweep(store, T, T, 100, NULL, a);
    }
}


/* The store and the answer as a cell of the table. */

static const char *
cell(test_store_t *store, int e, doi_result_t result, test_answer_t *a)
{
    doi_link_t         link;
    const test_row_t  *row;
    static char        got[6];
    static const char  letters[] = "fcudrx";

    strcpy(got, "?-n-.");

    if (result == DOI_WON || result == DOI_CONFLICT) {
        got[0] = "WC"[result];
    }

    row = test_rows_get(&store->tables[DOI_TABLE_LINKS], ID1, DOI_ID_SIZE);

    if (a->len != 0) {
        if (e == SWEEP) {
            got[1] = "0123456789"[sweep_answer(a).released % 10];

        } else if (e == REVOKE || e == RESOLVE_USED || e == RESOLVE_FRESH) {
            got[1] = row != NULL && row->vlen == a->len
                     && memcmp(row->value, a->data, a->len) == 0 ? 'b' : '?';

        } else {
            got[1] = "fcudrxFCUDRX"[link_answer(a).state
                                    + (link_answer(a).own ? 6 : 0)];
        }
    }

    if (get_link(store, ID1, &link)) {
        got[2] = letters[doi_link_state(&link, T, NULL, NULL)];

        if (link.nclaims) {
            got[3] = (char) link.claims[0].attempt[0];
        }
    }

    got[4] = store->applied ? '!' : '.';

    return got;
}


/* Each call of the transaction to its view fails in turn. */

static int
check_faults(const given_t *g, int e, unsigned calls)
{
    int           bad;
    unsigned      n;
    test_store_t  store = { 0 }, before = { 0 };

    bad = 0;

    for (n = 1; n <= calls; n++) {
        given(&store, g);
        test_store_copy(&before, &store);
        store.fail = n;

        if (event(&store, g, e, &answer2) != DOI_RETRY
            || !test_store_same(&store, &before))
        {
            bad++;
        }
    }

    test_store_free(&store);
    test_store_free(&before);

    return bad == 0;
}


static void
test_table(void)
{
    int            e;
    size_t         i;
    unsigned       calls;
    const char    *got;
    test_store_t   store = { 0 }, after = { 0 };
    doi_result_t   result;
    const given_t *g;

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        for (e = 0; e < EVENTS; e++) {
            g = &table[i].given;
            given(&store, g);

            result = event(&store, g, e, &answer);
            calls = store.calls;
            got = cell(&store, e, result, &answer);

            if (!ok(strcmp(got, table[i].want[e]) == 0, "%s: %s", g->name,
                    event_names[e]))
            {
                printf("# got %s, expected %s\n", got, table[i].want[e]);
            }

            ok(check_store(&store), "%s: %s: open rows are right", g->name,
               event_names[e]);

            test_store_copy(&after, &store);

            ok(event(&store, g, e, &answer2) == result
               && test_store_same(&store, &after)
               && (e == SWEEP
                   || (answer.len == answer2.len
                       && memcmp(answer.data, answer2.data, answer.len) == 0)),
               "%s: %s: the same again", g->name, event_names[e]);

            ok(check_faults(g, e, calls), "%s: %s: faults", g->name,
               event_names[e]);
        }
    }

    test_store_free(&store);
    test_store_free(&after);
}


static void
test_claim_answers(void)
{
    doi_link_t         link;
    test_store_t       store = { 0 };
    doi_link_answer_t  a;

    claim(&store, T, ID1, E, 60, 'A', 'a', RE, &answer);
    a = link_answer(&answer);
    ok(answer.len == sizeof(a) && a.slot == 0 && a.flags == RE
       && a.deadline == T + 60 && a.own == 1, "what a winner is told");

    claim(&store, T + 1, ID1, E, 60, 'B', 'b', 0, &answer);
    a = link_answer(&answer);
    ok(a.state == DOI_LINK_CLAIMED && !a.own && a.deadline == T + 60
       && a.flags == 0 && a.slot == 0, "what comes too late is told");

    settle_status(&store, T + 2, ID1, 'A', DOI_OUTCOME_USED, 303, &answer);
    look(&store, T + 3, ID1, 'a', &answer);
    a = link_answer(&answer);
    ok(a.state == DOI_LINK_USED && a.own && a.status == 303
       && a.settled == T + 2 && a.deadline == 0, "the stored outcome");

    look(&store, T + 3, ID1, 0, &answer);
    ok(!link_answer(&answer).own, "zeros are nobody");
    test_store_free(&store);

    claim(&store, T, ID1, E, 60, 'A', 0, 0, &answer);
    ok(!link_answer(&answer).own, "nobody wins without being known");
    look(&store, T, ID1, 0, &answer);
    ok(!link_answer(&answer).own, "and nobody is known by zeros");
    test_store_free(&store);

    claim(&store, T, ID1, E, UINT32_MAX, 'A', 'a', 0, &answer);
    is_int(link_answer(&answer).deadline, UINT32_MAX, "deadline saturates");
    test_store_free(&store);

    claim(&store, T, ID1, E, 0, 'A', 'a', 0, &answer);
    is_int(link_answer(&answer).deadline, T + 1, "a claim has some time");
    test_store_free(&store);

    /* takeover */

    claim(&store, T, ID1, E, 60, 'A', 'a', RE, &answer);
    settle_status(&store, T, ID1, 'A', DOI_OUTCOME_IN_DOUBT, 504, &answer);
    is_int(claim(&store, T + 1, ID1, E, 60, 'B', 'b', DOI_CLAIM_IDEMPOTENT,
                 &answer), DOI_WON, "a slot in doubt is taken over");
    is_int(link_answer(&answer).flags, DOI_CLAIM_RETRY, "as a retry");
    is_int(settle(&store, T + 2, ID1, 'A', DOI_OUTCOME_USED, &answer),
           DOI_CONFLICT, "who held it before has lost it");
    settle_status(&store, T + 3, ID1, 'B', DOI_OUTCOME_IN_DOUBT, 0, &answer);
    claim(&store, T + 4, ID1, E, 60, 'C', 'a', DOI_CLAIM_IDEMPOTENT | RE,
          &answer);
    is_int(link_answer(&answer).flags, DOI_CLAIM_RETRY | RE,
           "a retry of a retry");
    get_link(&store, ID1, &link);
    ok(link.nclaims == 1 && link.claims[0].status == 0
       && link.claims[0].settled == 0 && link.claims[0].claimed == T + 4,
       "nothing is left of the old claim");
    ok(check_store(&store), "open rows are right");
    test_store_free(&store);
}


static void
test_several_uses(void)
{
    int           i;
    doi_link_t    link;
    test_store_t  store = { 0 };

    mint(&store, T, ID1, 1, E, 3, "s", "", "op", &answer);

    for (i = 0; i < 3; i++) {
        claim(&store, T, ID1, E, (uint32_t) (60 - i), 'A' + i, 'a', 0,
              &answer);
        is_int(link_answer(&answer).slot, i, "lowest free slot: %d", i);
    }

    is_int(claim(&store, T, ID1, E, 60, 'X', 'x', 0, &answer), DOI_CONFLICT,
           "no slot left");
    is_int(link_answer(&answer).deadline, T + 58,
           "told the earliest end of the three");

    settle(&store, T, ID1, 'B', DOI_OUTCOME_RELEASED, &answer);
    claim(&store, T, ID1, E, 60, 'D', 'd', 0, &answer);
    is_int(link_answer(&answer).slot, 1, "a released slot is taken again");

    settle(&store, T, ID1, 'C', DOI_OUTCOME_USED, &answer);
    settle(&store, T, ID1, 'D', DOI_OUTCOME_IN_DOUBT, &answer);
    claim(&store, T + 60, ID1, E, 60, 'E', 'e', DOI_CLAIM_IDEMPOTENT,
          &answer);
    is_int(link_answer(&answer).slot, 0, "lowest slot in doubt, by age");
    claim(&store, T + 60, ID1, E, 60, 'F', 'f', DOI_CLAIM_IDEMPOTENT,
          &answer);
    is_int(link_answer(&answer).slot, 1, "then the next, by settlement");
    is_int(claim(&store, T + 60, ID1, E, 60, 'G', 'g', DOI_CLAIM_IDEMPOTENT,
                 &answer), DOI_CONFLICT, "then none");

    is_int(claim(&store, T + 60, ID1, E, 60, 'C', 'a', 0, &answer),
           DOI_CONFLICT, "an attempt that was settled never wins again");

    settle(&store, T + 60, ID1, 'E', DOI_OUTCOME_RELEASED, &answer);
    get_link(&store, ID1, &link);
    is_int(link.nclaims, 3, "a retry that reached nobody frees nothing");
    is_int(doi_claim_state(&link.claims[0], T + 60), DOI_CLAIM_IN_DOUBT,
           "its slot is in doubt again");

    settle_status(&store, T + 60, ID1, 'E', DOI_OUTCOME_RELEASED, 404,
                  &answer);
    is_int(claim(&store, T + 60, ID1, E, 60, 'C', 'a', 0, &answer),
           DOI_CONFLICT, "not even with a slot free");
    is_int(link_answer(&answer).state, DOI_LINK_USED, "it is told its own");

    get_link(&store, ID1, &link);
    ok(link.uses == 3 && link.minted && link.nclaims == 2, "and is kept");
    ok(check_store(&store), "open rows are right");
    test_store_free(&store);
}


static void
test_full(void)
{
    int              bad;
    unsigned         i;
    doi_link_t       link;
    test_store_t     store = { 0 };
    doi_claim_arg_t  a;

    mint(&store, T, ID1, 1, E, DOI_USES_MAX, "s", "", "op", &answer);

    memset(&a, 0, sizeof(a));
    memcpy(a.id, ID1, DOI_ID_SIZE);
    a.expires = E;
    a.timeout = 60;
    bad = 0;

    for (i = 0; i < DOI_USES_MAX; i++) {
        memcpy(a.attempt, &i, sizeof(i));
        bad += run(&store, DOI_OP_LINK_CLAIM, T, &a, sizeof(a), &answer)
               != DOI_WON;
    }

    is_int(bad, 0, "1000 claims");
    is_int(claim(&store, T, ID1, E, 60, 'X', 'x', 0, &answer), DOI_CONFLICT,
           "not one more");

    is_int(operate(&store, DOI_OP_LINK_RESOLVE, T + 60, ID1, DOI_OUTCOME_USED,
                   DOI_SLOT_ALL, "op", "", &answer), DOI_WON,
           "all in doubt are resolved at once");
    get_link(&store, ID1, &link);
    ok(link.nclaims == DOI_USES_MAX && store.tables[DOI_TABLE_OPEN].n == 0,
       "all used, none open");
    is_int(answer.len, store.tables[DOI_TABLE_LINKS].rows[0].vlen,
           "the answer holds the whole record");

    test_store_free(&store);
}


static void
test_settle_edges(void)
{
    doi_link_t    link;
    test_store_t  store = { 0 };

    claim(&store, T, ID1, E, 60, 'A', 'a', RE, &answer);
    settle(&store, T, ID1, 'A', DOI_OUTCOME_IN_DOUBT, &answer);
    look(&store, T + 59, ID1, 'x', &answer);
    is_int(link_answer(&answer).state, DOI_LINK_IN_DOUBT,
           "in doubt until the deadline");
    look(&store, T + 60, ID1, 'x', &answer);
    is_int(link_answer(&answer).state, DOI_LINK_FRESH, "then free");
    is_int(settle(&store, T + 61, ID1, 'A', DOI_OUTCOME_USED, &answer),
           DOI_WON, "a late yes is believed while the slot is not taken");
    ok(check_store(&store), "open rows are right");

    is_int(settle(&store, T, ID1, 'A', 0, &answer), DOI_CONFLICT,
           "outcome 0 is none");
    is_int(settle(&store, T, ID1, 'A', 4, &answer), DOI_CONFLICT,
           "outcome 4 is none");
    test_store_free(&store);

    claim(&store, T, ID1, E, 60, 'A', 'a', 0, &answer);
    settle(&store, T, ID1, 'A', DOI_OUTCOME_IN_DOUBT, &answer);
    operate(&store, DOI_OP_LINK_RESOLVE, T, ID1, DOI_OUTCOME_RELEASED, 0,
            "op", "", &answer);
    claim(&store, T + 1, ID1, E, 60, 'B', 'b', 0, &answer);
    settle(&store, T + 2, ID1, 'B', DOI_OUTCOME_RELEASED, &answer);
    ok(get_link(&store, ID1, &link) && link.actor.len == 2
       && link.changed == T + 2, "a record that names an actor is kept");
    test_store_free(&store);

    claim(&store, T, ID1, E, 60, 'A', 'a', 0, &answer);
    ok(get_link(&store, ID1, &link) && link.expires == E,
       "a record knows the token's expiry");
    claim(&store, T + 61, ID1, E + 500, 60, 'B', 'b', DOI_CLAIM_IDEMPOTENT,
          &answer);
    get_link(&store, ID1, &link);
    is_int(link.expires, E + 500, "a later token of the same id extends it");
    claim(&store, T + 122, ID1, E, 60, 'C', 'c', DOI_CLAIM_IDEMPOTENT,
          &answer);
    get_link(&store, ID1, &link);
    is_int(link.expires, E + 500, "an earlier one does not shorten it");
    test_store_free(&store);
}


/* Arguments of every length that is not the right one. */

static void
test_arg_lengths(void)
{
    int            bad;
    size_t         i, len;
    uint8_t       *arg;
    test_store_t   store = { 0 };

    static const struct {
        unsigned  op;
        size_t    size;
    } ops[] = {
        { DOI_OP_LINK_CLAIM,   sizeof(doi_claim_arg_t)    },
        { DOI_OP_LINK_SETTLE,  sizeof(doi_settle_arg_t)   },
        { DOI_OP_LINK_READ,    sizeof(doi_read_arg_t)     },
        { DOI_OP_LINK_MINT,    sizeof(doi_mint_arg_t)     },
        { DOI_OP_LINK_REVOKE,  sizeof(doi_operator_arg_t) },
        { DOI_OP_LINK_RESOLVE, sizeof(doi_operator_arg_t) },
        { DOI_OP_SWEEP,        sizeof(doi_sweep_arg_t)    }
    };

    for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        bad = 0;

        for (len = 0; len <= ops[i].size + 1; len++) {
            if (len == ops[i].size) {
                continue;
            }

            arg = calloc(1, len + 1);
            bad += arg == NULL
                   || run(&store, ops[i].op, T, arg, len, &answer)
                      != DOI_CONFLICT
                   || answer.len != 0;
            free(arg);
        }

        is_int(bad, 0, "op %u: arguments of wrong length", ops[i].op);
    }

    test_store_free(&store);
}


static void
test_undecodable(void)
{
    int           e;
    doi_str_t     key, value = doi_str("what is this");
    test_store_t  store = { 0 };
    given_t       g = { "", 0, 0, 0, E, 0, 0, 0 };

    for (e = 0; e < SWEEP; e++) {
        key.data = ID1;
        key.len = DOI_ID_SIZE;
        test_store_set(&store, DOI_TABLE_LINKS, key, value);

        is_int(event(&store, &g, e, &answer), DOI_RETRY,
               "an unreadable record: %s: refused", event_names[e]);
    }

    test_store_free(&store);
}


static void
test_function(void)
{
    unsigned  op;

    for (op = DOI_OP_LINK_CLAIM; op < DOI_OPS; op++) {
        ok(doi_op_function(op) != NULL, "op %u is one", op);
    }

    ok(doi_op_function(0) == NULL && doi_op_function(DOI_OPS) == NULL
       && doi_op_function(UINT32_MAX) == NULL, "others are not");
}


/* Answers need room. */

static void
test_small_out(void)
{
    int              i;
    doi_buf_t        out;
    doi_str_t        arg;
    test_store_t     store = { 0 };
    uint8_t          args[3][sizeof(doi_claim_arg_t)] = { { 0 } };
    doi_claim_arg_t  c;

    static const unsigned  ops[] = {
        DOI_OP_LINK_CLAIM, DOI_OP_LINK_READ, DOI_OP_LINK_REVOKE
    };
    static const size_t  sizes[] = {
        sizeof(doi_claim_arg_t), sizeof(doi_read_arg_t),
        sizeof(doi_operator_arg_t)
    };

    memset(&c, 0, sizeof(c));
    c.expires = E;
    memcpy(args[0], &c, sizeof(c));

    for (i = 0; i < 3; i++) {
        arg.data = args[i];
        arg.len = sizes[i];
        out.data = answer.data;
        out.len = 0;
        out.size = 3;

        test_begin(&store);
        is_int(doi_op_function(ops[i])(&store.view, T, arg, &out), DOI_RETRY,
               "op %u: no room for the answer", ops[i]);
        test_end(&store, 0);
        is_int(out.len, 0, "op %u: nothing of it", ops[i]);
    }

    test_store_free(&store);
}


int
main(void)
{
    test_table();
    test_claim_answers();
    test_several_uses();
    test_full();
    test_settle_edges();
    test_arg_lengths();
    test_undecodable();
    test_function();
    test_small_out();

    return done_testing();
}
