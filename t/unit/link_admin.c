/* MINT, REVOKE and RESOLVE: src/core/link_admin.c */

#include "tap.h"
#include "link_help.h"


#define E   (T + 1000)


static test_answer_t  answer;


static void
test_mint(void)
{
    size_t        i;
    uint8_t       ids[DOI_MINT_BATCH * DOI_ID_SIZE];
    doi_link_t    link;
    test_store_t  store = { 0 };

    for (i = 0; i < DOI_MINT_BATCH; i++) {
        memset(ids + i * DOI_ID_SIZE, (int) (i >> 8), DOI_ID_SIZE);
        ids[i * DOI_ID_SIZE + 3] = (uint8_t) i;
    }

    is_int(mint(&store, T, ids, DOI_MINT_BATCH, E, 5, "cal", "{\"a\":1}",
                "jo", &answer), DOI_WON, "a whole batch");
    is_int(store.tables[DOI_TABLE_LINKS].n, DOI_MINT_BATCH, "500 records");
    is_int(answer.len, 0, "no answer");

    ok(get_link(&store, ids, &link) && link.uses == 5 && link.minted
       && link.expires == E && link.changed == T && link.scope.len == 3
       && memcmp(link.scope.data, "cal", 3) == 0
       && memcmp(link.meta.data, "{\"a\":1}", 7) == 0
       && memcmp(link.actor.data, "jo", 2) == 0 && link.reason.len == 0,
       "with all that was said");

    is_int(mint(&store, T + 9, ids, DOI_MINT_BATCH, E, 5, "cal", "{\"a\":1}",
                "jo", &answer), DOI_WON, "the same again is done already");
    is_int(store.applied, 0, "and writes nothing");

    is_int(mint(&store, T, ids, 1, E + 1, 5, "cal", "", "", &answer),
           DOI_CONFLICT, "not with another expiry");
    is_int(mint(&store, T, ids, 1, E, 6, "cal", "", "", &answer),
           DOI_CONFLICT, "not with other uses");
    is_int(mint(&store, T, ids, 1, E, 5, "cat", "", "", &answer),
           DOI_CONFLICT, "not with another scope");

    operate(&store, DOI_OP_LINK_REVOKE, T, ids, 0, 0, "jo", "", &answer);
    is_int(mint(&store, T, ids, 1, E, 5, "cal", "{\"a\":1}", "jo", &answer),
           DOI_CONFLICT, "not once it was revoked");

    /* a new id, then one that is taken */
    memset(ids, 'n', DOI_ID_SIZE);
    is_int(mint(&store, T, ids, 2, E, 1, "", "", "", &answer), DOI_CONFLICT,
           "one id that is taken spoils the batch");
    ok(!get_link(&store, ids, &link), "of which nothing is written");

    memcpy(ids + DOI_ID_SIZE, ids, DOI_ID_SIZE);
    is_int(mint(&store, T, ids, 2, E, 1, "", "", "", &answer), DOI_WON,
           "the same id twice is one link");
    test_store_free(&store);
}


static void
test_mint_args(void)
{
    size_t          i;
    uint8_t         arg[65536];
    test_store_t    store = { 0 };
    doi_mint_arg_t  a;

    static const struct {
        const char      *name;
        doi_mint_arg_t   a;
        int              extra;
        int              want;
    } cases[] = {
        { "all at their limits",
          { E, DOI_MINT_BATCH, DOI_USES_MAX, DOI_SCOPE_KEEP, DOI_META_MAX,
            DOI_ACTOR_MAX, 0 }, 0, DOI_WON },
        { "no links",         { E, 0, 1, 0, 0, 0, 0 },   0,   DOI_CONFLICT },
        { "too many links",   { E, 501, 1, 0, 0, 0, 0 }, 0,   DOI_CONFLICT },
        { "no uses",          { E, 1, 0, 0, 0, 0, 0 },   0,   DOI_CONFLICT },
        { "too many uses",    { E, 1, 1001, 0, 0, 0, 0 }, 0,  DOI_CONFLICT },
        { "scope too long",   { E, 1, 1, 256, 0, 0, 0 }, 0,   DOI_CONFLICT },
        { "meta too long",    { E, 1, 1, 0, 2049, 0, 0 }, 0,  DOI_CONFLICT },
        { "actor too long",   { E, 1, 1, 0, 0, 129, 0 }, 0,   DOI_CONFLICT },
        { "a byte too many",  { E, 1, 1, 1, 1, 1, 0 },   1,   DOI_CONFLICT },
        { "a byte too few",   { E, 1, 1, 1, 1, 1, 0 },   -1,  DOI_CONFLICT },
        { "an id too few",    { E, 2, 1, 0, 0, 0, 0 },   -12, DOI_CONFLICT },
        { "no bytes behind",  { E, 1, 1, 0, 0, 0, 0 },   -12, DOI_CONFLICT },
        { "struct cut short", { E, 1, 1, 0, 0, 0, 0 },   -13, DOI_CONFLICT }
    };

    memset(arg, 'z', sizeof(arg));

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        test_store_free(&store);
        a = cases[i].a;
        memcpy(arg, &a, sizeof(a));

        is_int(run(&store, DOI_OP_LINK_MINT, T, arg,
                   (size_t) ((int) sizeof(a) + a.count * DOI_ID_SIZE
                             + a.scope_len + a.meta_len + a.actor_len
                             + cases[i].extra), &answer),
               cases[i].want, "mint: %s", cases[i].name);
        is_int(answer.len, 0, "mint: %s: no answer", cases[i].name);
    }

    test_store_free(&store);
}


static void
test_operators(void)
{
    char          text[DOI_REASON_MAX + 2];
    doi_link_t    link;
    test_store_t  store = { 0 };

    memset(text, 'x', sizeof(text));
    text[DOI_REASON_MAX + 1] = '\0';

    is_int(operate(&store, DOI_OP_LINK_REVOKE, T, ID1, 0, 0, "op", text,
                   &answer), DOI_CONFLICT, "a reason that is too long");
    text[DOI_ACTOR_MAX + 1] = '\0';
    is_int(operate(&store, DOI_OP_LINK_REVOKE, T, ID1, 0, 0, text, "",
                   &answer), DOI_CONFLICT, "an actor who is too long");
    ok(answer.len == 0 && store.tables[DOI_TABLE_LINKS].n == 0,
       "no answer, no record");

    operate(&store, DOI_OP_LINK_REVOKE, T, ID1, 0, 0, "op", "lost", &answer);
    get_link(&store, ID1, &link);
    ok(link.revoked && link.expires == UINT32_MAX && link.changed == T
       && memcmp(link.actor.data, "op", 2) == 0
       && memcmp(link.reason.data, "lost", 4) == 0,
       "revoking what was never seen leaves a record without expiry");

    operate(&store, DOI_OP_LINK_REVOKE, T + 5, ID1, 0, 0, "two", "", &answer);
    get_link(&store, ID1, &link);
    ok(link.changed == T && link.actor.len == 2,
       "the first to revoke stays on record");
    test_store_free(&store);

    /* resolve one slot of several */

    mint(&store, T, ID1, 1, E, 4, "", "", "", &answer);
    claim(&store, T, ID1, E, 60, 'A', 'a', 0, &answer);
    claim(&store, T, ID1, E, 60, 'B', 'b', 0, &answer);
    claim(&store, T, ID1, E, 900, 'C', 'c', 0, &answer);

    is_int(operate(&store, DOI_OP_LINK_RESOLVE, T + 60, ID1,
                   DOI_OUTCOME_USED, 2, "op", "", &answer),
           DOI_CONFLICT, "a claim in flight cannot be resolved");
    is_int(operate(&store, DOI_OP_LINK_RESOLVE, T + 60, ID1,
                   DOI_OUTCOME_USED, 3, "op", "", &answer),
           DOI_CONFLICT, "nor a free slot");
    is_int(operate(&store, DOI_OP_LINK_RESOLVE, T + 60, ID1,
                   DOI_OUTCOME_IN_DOUBT, 0, "op", "", &answer),
           DOI_CONFLICT, "nor can doubt be the outcome");
    is_int(operate(&store, DOI_OP_LINK_RESOLVE, T + 60, ID1,
                   DOI_OUTCOME_RELEASED, 0, "op", "", &answer),
           DOI_WON, "slot 0 fresh");
    is_int(operate(&store, DOI_OP_LINK_RESOLVE, T + 60, ID1,
                   DOI_OUTCOME_RELEASED, 0, "op", "", &answer),
           DOI_WON, "once more by the same operator");
    is_int(operate(&store, DOI_OP_LINK_RESOLVE, T + 60, ID1,
                   DOI_OUTCOME_RELEASED, 0, "other", "", &answer),
           DOI_CONFLICT, "not by another");
    is_int(operate(&store, DOI_OP_LINK_RESOLVE, T + 60, ID1,
                   DOI_OUTCOME_USED, 0, "op", "", &answer),
           DOI_CONFLICT, "nor to another outcome");
    is_int(operate(&store, DOI_OP_LINK_RESOLVE, T + 61, ID1,
                   DOI_OUTCOME_USED, 1, "op", "", &answer),
           DOI_WON, "slot 1 used");
    get_link(&store, ID1, &link);
    ok(link.nclaims == 2 && link.claims[0].slot == 1
       && link.claims[0].state == DOI_CLAIM_USED
       && link.claims[0].settled == T + 61
       && link.claims[1].state == DOI_CLAIM_CLAIMED, "and the rest as it was");
    is_int(settle(&store, T + 62, ID1, 'B', DOI_OUTCOME_RELEASED, &answer),
           DOI_CONFLICT, "the operator's word stands");
    ok(check_store(&store), "open rows are right");
    test_store_free(&store);
}


int
main(void)
{
    test_mint();
    test_mint_args();
    test_operators();

    return done_testing();
}
