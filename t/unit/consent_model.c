/*
 * Random events on a few contacts and lists, with what must hold after each of
 * them: consent comes out of opted_out by the contact's own SUBSCRIBE or by an
 * OVERRIDE only, STOP is obeyed, an event that is run again writes no second
 * entry, the statuses are those that a model of its own says, and the chains
 * verify.
 */

#include "tap.h"
#include "consent_help.h"


#define CONTACTS    4
#define LISTS       3

#define N   DOI_CONSENT_NONE
#define P   DOI_CONSENT_PENDING
#define S   DOI_CONSENT_SINGLE
#define D   DOI_CONSENT_DOUBLE
#define O   DOI_CONSENT_OPTED_OUT


typedef struct {
    test_store_t   store;
    uint64_t       seed;
    doi_time_t     now;
    int            state[CONTACTS][LISTS];
    int            prompted[CONTACTS][LISTS];
    int            known[CONTACTS][LISTS];
    int            out[CONTACTS][LISTS];    /* the last word was no          */
    int            stopped[CONTACTS];
    const char    *fault;
    unsigned       raised;
    unsigned       refused;
    unsigned       duplicates;
    unsigned       erased;
} model_t;


static const char *const  addresses[CONTACTS] = { "+491", "+492", "+493",
                                                  "+494" };
static const char *const  lists[LISTS] = { "", "a", "ab" };


static uint32_t
m_random(model_t *m, uint32_t n)
{
    m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;

    return (uint32_t) (m->seed >> 33) % n;
}


static void
m_check(model_t *m, int right, const char *what)
{
    if (!right && m->fault == NULL) {
        m->fault = what;
    }
}


static int
m_own(unsigned source)
{
    return source == DOI_SOURCE_WEB || source == DOI_SOURCE_KEYWORD
           || source == DOI_SOURCE_IVR;
}


static int
m_rank(int state)
{
    return state == O ? 0 : state + 1;
}


/* What the table says of one list, written down once more; -1: refused. */

static int
m_next(int from, int prompted, int out, const event_t *e)
{
    const doi_consent_arg_t  *a;

    a = &e->arg;

    switch (a->event) {

    case DOI_CONSENT_SUBSCRIBE:

        if ((from == O || out) && !m_own(a->source)) {
            return -1;
        }

        if (from == S || from == D) {
            return from;
        }

        if (a->source == DOI_SOURCE_WEB && (from == O || from == P)) {
            return P;
        }

        return a->level == S ? S : P;

    case DOI_CONSENT_CONFIRM:

        if (out && from != O && !m_own(a->source)) {
            return -1;
        }

        return from == P || (from == S && prompted) ? D : from;

    case DOI_CONSENT_STOP:
    case DOI_CONSENT_REVOKE:
        return O;

    case DOI_CONSENT_OVERRIDE:

        if (a->source == DOI_SOURCE_IMPORT || a->source == DOI_SOURCE_SYNC
            || a->source == DOI_SOURCE_PROVIDER)
        {
            return -1;
        }

        return from == S || from == D ? from : S;

    default:
        return from;
    }
}


static void
m_set(model_t *m, unsigned c, unsigned l, int to)
{
    m->state[c][l] = to;

    if (to == S || to == D || to == O) {
        m->out[c][l] = to == O;
    }
}


static void
m_apply(model_t *m, unsigned c, unsigned l, const event_t *e)
{
    int       to;
    unsigned  i, k;

    if (e->arg.flags & DOI_CONSENT_SET) {
        to = e->arg.level;

        if (!m->known[c][l] || m_rank(to) < m_rank(m->state[c][l])) {
            m_set(m, c, l, to);
        }

        m->known[c][l] = 1;

        return;
    }

    to = m_next(m->state[c][l], m->prompted[c][l], m->out[c][l], e);

    if (to < 0) {
        return;
    }

    if (to != m->state[c][l]) {
        m->known[c][l] = 1;
    }

    m_set(m, c, l, to);

    if (e->arg.event != DOI_CONSENT_STOP && e->arg.event != DOI_CONSENT_REVOKE)
    {
        return;
    }

    for (i = 0; i < CONTACTS; i++) {

        /* The contacts of one person are all that the store has met. */

        if (e->arg.scope == DOI_SCOPE_LIST
            || (i != c && (e->arg.scope != DOI_SCOPE_PERSON
                           || status(&m->store, addresses[i], "ab") < 0)))
        {
            continue;
        }

        if (i != c) {
            uint8_t  id[DOI_CONTACT_ID];

            contact_id(DOI_CHANNEL_SMS, addresses[i], id);

            if (test_rows_get(&m->store.tables[DOI_TABLE_CONTACTS], id,
                              sizeof(id)) == NULL)
            {
                continue;
            }
        }

        m->stopped[i] = 1;

        for (k = 0; k < LISTS; k++) {
            m_set(m, i, k, O);
            m->known[i][k] = 1;
        }
    }
}


static event_t
m_event(model_t *m, unsigned c, unsigned l)
{
    event_t                e;
    static char            id[16];
    static const unsigned  sources[] = { 0, 1, 1, 1, 2, 3, 4, 5, 6, 7 };

    e = event(addresses[c], m_random(m, DOI_CONSENT_EVENTS),
              m_random(m, 2) ? S : D);
    e.said[DOI_SAID_LIST] = lists[l];
    e.said[DOI_SAID_PERSON] = "all of them";
    e.arg.source = (uint8_t) sources[m_random(m, 10)];
    e.arg.scope = (uint16_t) (m_random(m, 4) ? DOI_SCOPE_LIST
                                             : m_random(m, 3));

    if (m_random(m, 3) == 0) {
        e.said[DOI_SAID_TEXT] = "hello";
        e.said[DOI_SAID_WORDING] = "news?";
        e.said[DOI_SAID_ACTOR] = "op";
        e.said[DOI_SAID_REASON] = "because";
    }

    if (m_random(m, 3) == 0) {
        (void) snprintf(id, sizeof(id), "m%u", m_random(m, 1000000));
        e.said[DOI_SAID_MESSAGE_ID] = id;
    }

    if (m_random(m, 4) == 0) {
        e.arg.flags = DOI_CONSENT_INLINE;
    }

    if (m_random(m, 10) == 0) {
        e.arg.flags |= DOI_CONSENT_REVIEW;
    }

    if (m_random(m, 6) == 0) {
        e.arg.event = DOI_CONSENT_SUBSCRIBE;
        e.arg.source = DOI_SOURCE_IMPORT;
        e.arg.level = (uint8_t) m_random(m, DOI_CONSENT_STATES);
        e.arg.flags = DOI_CONSENT_SET;
        e.said[DOI_SAID_MESSAGE_ID] = NULL;
    }

    if (e.arg.event == DOI_CONSENT_OVERRIDE) {
        e.said[DOI_SAID_ACTOR] = "op";
        e.said[DOI_SAID_REASON] = "because";
    }

    return e;
}


static void
m_erase(model_t *m, unsigned c)
{
    unsigned  k;

    if (admin(&m->store, DOI_OP_CONSENT_ERASE, m->now, addresses[c], NULL,
              "op", "gdpr") != DOI_WON)
    {
        return;
    }

    m->erased++;
    m->stopped[c] = 1;

    for (k = 0; k < LISTS; k++) {
        m_set(m, c, k, O);
        m->known[c][k] = 1;
    }
}


/* What the store says against what it has to be. */

static void
m_compare(model_t *m, unsigned c, unsigned l, const event_t *e)
{
    int            rc, allowed;
    uint8_t        id[DOI_CONTACT_ID];
    unsigned       i, k;
    doi_consent_t  consent;
    static int     was[CONTACTS][LISTS];

    if (e == NULL) {
        memset(was, 0, sizeof(was));
        return;
    }

    for (i = 0; i < CONTACTS; i++) {
        contact_id(DOI_CHANNEL_SMS, addresses[i], id);

        for (k = 0; k < LISTS; k++) {
            consent = look_at(&m->store, id, lists[k], &rc);
            m_check(m, rc != DOI_ERROR && consent.state == m->state[i][k],
                    "a status is not that of the model");

            allowed = i == c && k == l
                      && !(e->arg.flags & DOI_CONSENT_SET)
                      && (e->arg.event == DOI_CONSENT_OVERRIDE
                          || (e->arg.event == DOI_CONSENT_SUBSCRIBE
                              && m_own(e->arg.source)));

            if (was[i][k] == O && consent.state != O) {
                m->raised++;
                m_check(m, allowed, "consent out of opted_out");
            }

            was[i][k] = consent.state;
            m->prompted[i][k] = consent.prompted;
        }
    }
}


static void
m_step(model_t *m)
{
    size_t                entries;
    event_t               e;
    unsigned              c, l;
    doi_result_t          result;
    doi_consent_answer_t  a, again;

    c = m_random(m, CONTACTS);
    l = m_random(m, LISTS);
    m->now += m_random(m, 4) ? 1 : m_random(m, DOI_REMIND_EVERY);

    e = m_event(m, c, l);

    if (m_random(m, 60) == 0) {
        m_erase(m, c);
    }

    m_apply(m, c, l, &e);
    result = send(&m->store, m->now, &e, &a);
    m_check(m, result == DOI_WON || result == DOI_CONFLICT, "malformed");
    m_check(m, result == DOI_WON || a.refused || a.duplicate,
            "refused without a reason");
    m->refused += result == DOI_CONFLICT && a.refused;
    m->duplicates += result == DOI_CONFLICT && a.duplicate;

    if (result == DOI_CONFLICT) {
        m_check(m, a.from == a.to && a.seq == 0, "refused, yet changed");
    }

    if (result == DOI_WON && (e.arg.event == DOI_CONSENT_STOP
                              || e.arg.event == DOI_CONSENT_REVOKE))
    {
        m_check(m, a.to == O, "STOP was not obeyed");
    }

    /* The same bytes once more. */

    entries = m->store.tables[DOI_TABLE_LEDGER].n;
    (void) send(&m->store, m->now + m_random(m, 2), &e, &again);
    m_check(m, m->store.tables[DOI_TABLE_LEDGER].n == entries
            && again.seq == 0, "run again, it wrote an entry");

    m_compare(m, c, l, &e);
}


static void
test_random(uint64_t seed, unsigned steps)
{
    unsigned      i;
    model_t       m;
    doi_verify_t  v;

    memset(&m, 0, sizeof(m));
    memset(&v, 0, sizeof(v));
    m.seed = seed;
    m.now = T;
    m_compare(&m, 0, 0, NULL);

    for (i = 0; i < steps && m.fault == NULL; i++) {
        m_step(&m);

        if (i % 100 == 50) {
            (void) seal(&m.store, m.now, 1 + m_random(&m, 4), NULL);
        }

        if (i % 200 == 199) {
            v = verify(&m.store, 1 + m_random(&m, 50));
            m_check(&m, v.problems == 0 && v.done, "a chain is broken");
            show(&v);
        }
    }

    if (!ok(m.fault == NULL, "%u random events, seed %u", steps,
            (unsigned) seed))
    {
        printf("# step %u: %s\n", i, m.fault);
    }

    printf("# %u raised, %u refused, %u erased, %u entries, %u epochs\n",
           m.raised, m.refused, m.erased,
           (unsigned) m.store.tables[DOI_TABLE_LEDGER].n, v.epochs);

    /* A test that never gets anywhere proves nothing. */

    ok(m.raised > 10 && m.refused > 10 && m.erased > 2 && v.epochs > 5
       && v.entries > 100, "and all kinds of things have happened");

    test_store_free(&m.store);
}


/* 25 STOP and 25 YES, in any order: YES never undoes STOP. */

static void
test_interleaved(void)
{
    int           bad;
    model_t       m;
    unsigned      i, round, stops, yes, stopped, bad_chain;
    doi_verify_t  v;

    memset(&m, 0, sizeof(m));
    m.seed = 7;
    bad = 0;
    bad_chain = 0;

    for (round = 0; round < 100; round++) {
        (void) say(&m.store, T, "+49", DOI_CONSENT_SUBSCRIBE, D);
        stops = 25;
        yes = 25;
        stopped = 0;

        for (i = 0; i < 50; i++) {

            if (yes == 0 || (stops != 0 && m_random(&m, 2))) {
                bad += say(&m.store, T, "+49", DOI_CONSENT_STOP, D) != O;
                stopped = 1;
                stops--;

            } else {
                bad += say(&m.store, T, "+49", DOI_CONSENT_CONFIRM, D)
                       != (stopped ? O : D);
                yes--;
            }
        }

        v = verify(&m.store, 10);
        bad_chain += v.problems != 0 || v.entries < 2 || v.entries > 3;
        bad += status(&m.store, "+49", "news") != O;
        test_store_free(&m.store);
    }

    is_int(bad, 0, "50 STOP and YES in any order end in opted_out");
    is_int(bad_chain, 0, "with two or three entries and a whole chain");
}


int
main(void)
{
    test_random(1, 2000);
    test_random(20260722, 2000);
    test_random(99, 2000);
    test_interleaved();

    return done_testing();
}
