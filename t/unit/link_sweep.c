/* SWEEP: src/core/link_sweep.c */

#include "tap.h"
#include "link_help.h"


#define E   (T + 1000)


static test_answer_t  answer;


/* n used links with ids 'a', 'b' ... and these expiries */

static void
sweep_store(test_store_t *store, const doi_time_t *expires, size_t n)
{
    size_t   i;
    uint8_t  id[DOI_ID_SIZE];

    for (i = 0; i < n; i++) {
        memset(id, 'a' + (int) i, DOI_ID_SIZE);
        claim(store, expires[i] - 100, id, expires[i], 60, 'A', 'a', 0,
              &answer);
        settle(store, expires[i] - 50, id, 'A', DOI_OUTCOME_USED, &answer);
    }
}


static void
test_sweep_links(void)
{
    unsigned            n;
    doi_str_t           key, junk = doi_str("junk"), odd = doi_str("odd");
    test_store_t        store = { 0 };
    doi_sweep_answer_t  a;

    static const doi_time_t  expires[] = {
        T - DOI_KEEP_BURNED, T - DOI_KEEP_BURNED + 1, 1000,
        T - DOI_KEEP_BURNED, UINT32_MAX - 1, T
    };

    sweep_store(&store, expires, 6);

    sweep(&store, T + 99999999, T, 100, NULL, &answer);
    a = sweep_answer(&answer);
    ok(a.looked == 6 && a.dropped == 3 && a.released == 0 && a.next[0] == 0,
       "by mark, not by now");
    is_int(store.tables[DOI_TABLE_LINKS].n, 3, "three are left");

    test_store_free(&store);
    sweep_store(&store, expires, 6);

    sweep(&store, T, T, 2, NULL, &answer);
    a = sweep_answer(&answer);
    ok(a.looked == 2 && a.dropped == 1 && a.next[0] == 'c',
       "at most limit rows, and where to go on");

    for (n = 0; a.next[0] && n < 10; n++) {
        sweep(&store, T, T, 2, a.next, &answer);
        a = sweep_answer(&answer);
    }

    is_int(store.tables[DOI_TABLE_LINKS].n, 3, "in steps the same");

    sweep(&store, T, T, 0, NULL, &answer);
    a = sweep_answer(&answer);
    ok(a.looked == 0 && a.dropped == 0, "limit 0 does nothing");

    sweep(&store, T, T, UINT32_MAX, NULL, &answer);
    is_int(sweep_answer(&answer).looked, 3, "an endless limit");

    key.data = ID1;
    key.len = DOI_ID_SIZE;
    test_store_set(&store, DOI_TABLE_LINKS, key, junk);
    test_store_set(&store, DOI_TABLE_LINKS, odd, junk);
    test_store_set(&store, DOI_TABLE_OPEN, odd, junk);
    sweep(&store, UINT32_MAX, UINT32_MAX, 100, NULL, &answer);
    a = sweep_answer(&answer);
    ok(a.dropped == 2 && a.looked == 6
       && store.tables[DOI_TABLE_LINKS].n == 3
       && store.tables[DOI_TABLE_OPEN].n == 1,
       "what cannot be read is looked at and kept");

    sweep(&store, T, T, 2, NULL, &answer);
    ok(memcmp(sweep_answer(&answer).next, "odd\0", 4) == 0,
       "an odd key can be where to go on");
    test_store_free(&store);
}


static void
test_sweep_keep(void)
{
    int           i;
    test_store_t  store = { 0 };

    static const struct {
        const char  *name;
        int          outcome;       /* 0: in flight */
        uint32_t     flags;
        doi_time_t   keep;
    } cases[] = {
        { "used", DOI_OUTCOME_USED, 0, DOI_KEEP_BURNED },
        { "claimed", 0, 0, DOI_KEEP_DOUBT },
        { "in doubt", DOI_OUTCOME_IN_DOUBT, 0, DOI_KEEP_DOUBT },
        { "claimed, released by age", 0, DOI_CLAIM_RELEASE, DOI_KEEP_BURNED },
        { "in doubt, released by age", DOI_OUTCOME_IN_DOUBT, DOI_CLAIM_RELEASE,
          DOI_KEEP_BURNED }
    };

    for (i = 0; i < 5; i++) {
        claim(&store, T, ID1, E, 60, 'A', 'a', cases[i].flags, &answer);

        if (cases[i].outcome) {
            settle(&store, T, ID1, 'A', cases[i].outcome, &answer);
        }

        /* now is kept back, so that no claim is freed by age */
        sweep(&store, T, E + cases[i].keep - 1, 100, NULL, &answer);
        is_int(store.tables[DOI_TABLE_LINKS].n, 1, "%s: kept",
               cases[i].name);
        sweep(&store, T, E + cases[i].keep, 100, NULL, &answer);
        ok(store.tables[DOI_TABLE_LINKS].n == 0
           && store.tables[DOI_TABLE_OPEN].n == 0
           && sweep_answer(&answer).dropped == 1,
           "%s: dropped with its open row", cases[i].name);
        test_store_free(&store);
    }

    operate(&store, DOI_OP_LINK_REVOKE, T, ID1, 0, 0, "", "", &answer);
    sweep(&store, UINT32_MAX, UINT32_MAX, 100, NULL, &answer);
    is_int(store.tables[DOI_TABLE_LINKS].n, 1, "without expiry: kept");
    test_store_free(&store);
}


static void
test_sweep_release(void)
{
    int                 i;
    uint8_t             id[DOI_ID_SIZE];
    doi_str_t           key, junk = doi_str("junk");
    doi_link_t          link;
    test_store_t        store = { 0 };
    doi_sweep_answer_t  a;

    /* Twenty that wait for an operator, then one that can be freed. */

    for (i = 0; i < 21; i++) {
        memset(id, 'a' + i, DOI_ID_SIZE);
        claim(&store, T, id, E, i < 20 ? 60 : 61, 'A', 'a',
              i < 20 ? 0 : DOI_CLAIM_RELEASE, &answer);
    }

    for (i = 0; i < 6; i++) {
        sweep(&store, T + 61, T + 61, 4, NULL, &answer);
    }

    a = sweep_answer(&answer);
    ok(a.released == 1 && !get_link(&store, id, &link),
       "claims in doubt do not stand in the way of one to be freed");
    is_int(store.tables[DOI_TABLE_OPEN].n, 20, "and are all still there");
    ok(get_link(&store, (const uint8_t *) "aaaaaaaaaaaa", &link)
       && link.claims[0].state == DOI_CLAIM_IN_DOUBT
       && link.claims[0].settled == T + 60,
       "in doubt since their deadline");
    ok(check_store(&store), "open rows are right");
    test_store_free(&store);

    claim(&store, T, ID1, E, 60, 'A', 'a', 0, &answer);
    sweep(&store, T + 61, T + 59, 100, NULL, &answer);
    get_link(&store, ID1, &link);
    is_int(link.claims[0].state, DOI_CLAIM_CLAIMED,
           "a clock that is not believed yet writes no doubt");
    test_store_free(&store);

    claim(&store, T, ID1, E, 60, 'A', 'a', DOI_CLAIM_RELEASE, &answer);
    mint(&store, T, (const uint8_t *) "abcdefghijkl", 1, E, 2, "", "", "",
         &answer);
    claim(&store, T, (const uint8_t *) "abcdefghijkl", E, 60, 'A', 'a', 0,
          &answer);
    claim(&store, T, (const uint8_t *) "abcdefghijkl", E, 90, 'B', 'b', 0,
          &answer);
    key.data = ID1;
    key.len = DOI_ID_SIZE;
    test_store_set(&store, DOI_TABLE_LINKS, key, junk);
    sweep(&store, T + 60, T + 9999, 100, NULL, &answer);
    is_int(store.tables[DOI_TABLE_OPEN].n, 3,
           "an open row of a record that cannot be read stays");
    get_link(&store, (const uint8_t *) "abcdefghijkl", &link);
    ok(link.claims[0].state == DOI_CLAIM_IN_DOUBT
       && link.claims[1].state == DOI_CLAIM_CLAIMED,
       "a mark ahead of now writes no doubt");
    test_store_free(&store);

    mint(&store, T, ID1, 1, E, 3, "", "", "", &answer);
    claim(&store, T, ID1, E, 60, 'A', 'a', DOI_CLAIM_RELEASE, &answer);
    claim(&store, T, ID1, E, 60, 'B', 'b', DOI_CLAIM_RELEASE, &answer);
    claim(&store, T, ID1, E, 90, 'C', 'c', DOI_CLAIM_RELEASE, &answer);
    sweep(&store, T + 60, T + 60, 1, NULL, &answer);
    is_int(sweep_answer(&answer).released, 2,
           "all claims of a link that are due go at once");
    get_link(&store, ID1, &link);
    ok(link.nclaims == 1 && link.claims[0].slot == 2, "and no other");
    ok(check_store(&store), "open rows are right");
    test_store_free(&store);
}


int
main(void)
{
    test_sweep_links();
    test_sweep_keep();
    test_sweep_release();

    return done_testing();
}
