/* States of links and claims: src/core/link.c */

#include "tap.h"
#include "view.h"


#define T   1700000000u         /* now */


/*
 * A claim in short: state and browser as letters.  c claimed, o overdue (the
 * deadline is now), r overdue with DOI_CLAIM_RELEASE, d in doubt, D in doubt
 * with DOI_CLAIM_RELEASE and time left, u used; browsers a, b, or 0 for one
 * that is not known.  Claims take the slots from 0 on and are settled at T plus
 * their slot; '.' leaves a slot free.
 *
 * want: the state's first letter as seen by browser a, b, zeros, and NULL; in
 * capitals if *own is set, then the own slot follows.
 */

typedef struct {
    const char  *name;
    unsigned     uses;
    int          revoked;
    doi_time_t   expires;
    const char  *claims;
    const char  *want;
} state_case_t;

#define E   (T + 1)
#define U   UINT32_MAX

static const state_case_t  cases[] = {
    { "no claims",                     1, 0, E, "",         "f f f f" },
    { "no claims, expiry unknown",     1, 0, U, "",         "f f f f" },
    { "claimed",                       1, 0, E, "ca",       "C0 c c c" },
    { "claimed by nobody known",       1, 0, E, "c0",       "c c c c" },
    { "overdue",                       1, 0, E, "oa",       "D0 d d d" },
    { "overdue, released",             1, 0, E, "ra",       "f f f f" },
    { "in doubt",                      1, 0, E, "da",       "D0 d d d" },
    { "in doubt with time left",       1, 0, E, "Da",       "D0 d d d" },
    { "used",                          1, 0, E, "ua",       "U0 u u u" },
    { "used by nobody known",          1, 0, E, "u0",       "u u u u" },

    { "a free slot at the end",        2, 0, E, "ua",       "f f f f" },
    { "a free slot in front",          2, 0, E, ". ua",     "f f f f" },
    { "a released slot",               2, 0, E, "ua ra",    "f f f f" },
    { "used and claimed",              2, 0, E, "ua cb",    "U0 C1 c c" },
    { "used and in doubt",             2, 0, E, "ua db",    "U0 D1 d d" },
    { "claimed before in doubt",       3, 0, E, "u0 d0 c0", "c c c c" },
    { "in doubt before used",          3, 0, E, "u0 d0 u0", "d d d d" },
    { "all used",                      3, 0, E, "u0 ub u0", "u U1 u u" },
    { "own: claimed first",            3, 0, E, "ua da ca", "C2 c c c" },
    { "own: claimed in front",         3, 0, E, "ca da ua", "C0 c c c" },
    { "own: in doubt before used",     3, 0, E, "ua da ub", "D1 U2 d d" },
    { "own: latest used",              3, 0, E, "ua ua ub", "U1 U2 u u" },

    { "revoked",                       1, 1, E, "",         "r r r r" },
    { "revoked, expired too",          1, 1, T, "",         "r r r r" },
    { "revoked, expiry unknown",       1, 1, U, "",         "r r r r" },
    { "revoked while claimed",         1, 1, E, "ca",       "r r r r" },
    { "revoked while in doubt",        1, 1, E, "da",       "r r r r" },
    { "revoked, but booked",           1, 1, E, "ua",       "U0 r r r" },
    { "revoked, expired, but booked",  1, 1, T, "ua",       "U0 r r r" },
    { "revoked, booked by nobody",     1, 1, E, "u0",       "r r r r" },
    { "revoked, booked and claimed",   3, 1, E, "ua ca",    "U0 r r r" },

    { "expired this second",           1, 0, T, "",         "x x x x" },
    { "expired while claimed",         1, 0, T, "ca",       "x x x x" },
    { "expired after use",             1, 0, T, "ua",       "x x x x" },
    { "expired with free slots",       2, 0, T, "ua",       "x x x x" }
};


static void
build(const state_case_t *c, doi_link_t *link, doi_claim_t *claims)
{
    unsigned      slot;
    const char   *p;
    doi_claim_t  *claim;

    memset(link, 0, sizeof(doi_link_t));
    link->uses = (uint16_t) c->uses;
    link->revoked = (uint8_t) c->revoked;
    link->expires = c->expires;
    link->claims = claims;

    for (p = c->claims, slot = 0; *p; slot++) {

        if (*p != '.') {
            claim = &claims[link->nclaims++];
            memset(claim, 0, sizeof(doi_claim_t));
            claim->slot = (uint16_t) slot;
            claim->settled = T + slot;
            claim->state = *p == 'u' ? DOI_CLAIM_USED
                           : *p == 'd' || *p == 'D' ? DOI_CLAIM_IN_DOUBT
                           : DOI_CLAIM_CLAIMED;
            claim->flags = *p == 'r' || *p == 'D' ? DOI_CLAIM_RELEASE : 0;
            claim->deadline = *p == 'o' || *p == 'r' ? T : T + 1;

            p++;

            if (*p != '0') {
                memset(claim->browser, *p, DOI_BROWSER_SIZE);
            }
        }

        p++;
        p += (*p == ' ');
    }
}


static void
test_states(void)
{
    char                got[64], *p;
    size_t              i, j;
    uint8_t             browsers[3][DOI_BROWSER_SIZE];
    doi_link_t          link;
    doi_claim_t         claims[4];
    doi_link_state_t    state;
    const doi_claim_t  *own;
    static const char   letters[] = "fcudrx";

    memset(browsers, 0, sizeof(browsers));
    memset(browsers[0], 'a', DOI_BROWSER_SIZE);
    memset(browsers[1], 'b', DOI_BROWSER_SIZE);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        build(&cases[i], &link, claims);
        p = got;

        for (j = 0; j < 4; j++) {
            own = &claims[3];
            state = doi_link_state(&link, T, j < 3 ? browsers[j] : NULL, &own);

            if (own != NULL) {
                p += sprintf(p, "%c%u ", letters[state] - 'a' + 'A',
                             own->slot);
            } else {
                p += sprintf(p, "%c ", letters[state]);
            }
        }

        p[-1] = '\0';

        if (!ok(strcmp(got, cases[i].want) == 0, "%s", cases[i].name)) {
            printf("# got %s, expected %s\n", got, cases[i].want);
        }

        ok(doi_link_state(&link, T, browsers[0], NULL)
           == doi_link_state(&link, T, browsers[0], &own),
           "%s: own may be NULL", cases[i].name);
    }

    own = &claims[0];
    ok(doi_link_state(NULL, T, browsers[0], &own) == DOI_LINK_FRESH
       && own == NULL, "no record is a fresh link");

    build(&(state_case_t) { "", 1, 0, U, "ca", "" }, &link, claims);
    ok(doi_link_state(&link, UINT32_MAX, NULL, NULL) == DOI_LINK_IN_DOUBT,
       "an unknown expiry never comes");
}


static void
test_claim_state(void)
{
    size_t       i;
    doi_claim_t  claim;

    static const struct {
        uint8_t  state, flags;
        int      before, at;    /* a second before the deadline, and at it */
    } claims[] = {
        { DOI_CLAIM_CLAIMED, 0, DOI_CLAIM_CLAIMED, DOI_CLAIM_IN_DOUBT },
        { DOI_CLAIM_CLAIMED, DOI_CLAIM_RETRY, DOI_CLAIM_CLAIMED,
          DOI_CLAIM_IN_DOUBT },
        { DOI_CLAIM_CLAIMED, DOI_CLAIM_RELEASE, DOI_CLAIM_CLAIMED, 0 },
        { DOI_CLAIM_IN_DOUBT, 0, DOI_CLAIM_IN_DOUBT, DOI_CLAIM_IN_DOUBT },
        { DOI_CLAIM_IN_DOUBT, DOI_CLAIM_RELEASE, DOI_CLAIM_IN_DOUBT, 0 },
        { DOI_CLAIM_USED, 0, DOI_CLAIM_USED, DOI_CLAIM_USED },
        { DOI_CLAIM_USED, DOI_CLAIM_RELEASE, DOI_CLAIM_USED, DOI_CLAIM_USED }
    };

    for (i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
        memset(&claim, 0, sizeof(claim));
        claim.state = claims[i].state;
        claim.flags = claims[i].flags;
        claim.deadline = T;

        ok(doi_claim_state(&claim, T - 1) == claims[i].before
           && doi_claim_state(&claim, T) == claims[i].at
           && doi_claim_state(&claim, UINT32_MAX) == claims[i].at,
           "claim in state %u with flags %u", claims[i].state,
           claims[i].flags);
    }
}


static void
test_names(void)
{
    size_t              i;
    static const char  *names[DOI_LINK_STATES] = {
        "fresh", "claimed", "used", "in_doubt", "revoked", "expired"
    };

    for (i = 0; i < DOI_LINK_STATES; i++) {
        ok(strcmp(doi_link_state_name((doi_link_state_t) i), names[i]) == 0,
           "%s", names[i]);
    }

    ok(doi_link_state_name(DOI_LINK_STATES) != NULL,
       "a name for what is no state");
}


static void
test_open_key(void)
{
    uint8_t               key[DOI_OPEN_KEY_SIZE];
    static const uint8_t  want[] = "\1\2\3\4ABCDEFGHIJKL\5\6";

    doi_open_key(0x01020304, (const uint8_t *) "ABCDEFGHIJKL", 0x0506, key);
    ok(memcmp(key, want, sizeof(key)) == 0, "key of an open row");
}


static void
test_get(void)
{
    doi_str_t             key, value;
    doi_link_t            link;
    test_store_t          store = { 0 };
    static const uint8_t  id[DOI_ID_SIZE] = "ABCDEFGHIJK";
    static const uint8_t  record[20] = { 1, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 1 };

    key.data = id;
    key.len = DOI_ID_SIZE;
    value.data = record;
    value.len = sizeof(record);

    test_begin(&store);
    is_int(doi_link_get(&store.view, id, &link), DOI_NOT_FOUND, "no record");
    test_end(&store, 0);

    test_store_set(&store, DOI_TABLE_LINKS, key, value);
    test_begin(&store);
    ok(doi_link_get(&store.view, id, &link) == DOI_OK && link.expires == 9
       && memcmp(link.id, id, DOI_ID_SIZE) == 0, "a record, with its id");
    test_end(&store, 0);

    store.fail = 1;
    test_begin(&store);
    is_int(doi_link_get(&store.view, id, &link), DOI_ERROR, "get fails");
    test_end(&store, 0);

    store.fail = 0;
    value.len--;
    test_store_set(&store, DOI_TABLE_LINKS, key, value);
    test_begin(&store);
    is_int(doi_link_get(&store.view, id, &link), DOI_ERROR,
           "a record that cannot be understood");
    test_end(&store, 0);

    test_store_free(&store);
}


int
main(void)
{
    test_states();
    test_claim_state();
    test_names();
    test_open_key();
    test_get();

    return done_testing();
}
