/*
 * Random sequences of transactions on a few links, checked step by step
 * against a model: an array of slots per link and nothing else.
 *
 * The model says for each step what the result must be, who wins which slot,
 * and what the record must hold afterwards.  It also keeps count of its own of
 * who has won and not lost again, so that a slot is never given twice.
 */

#include "tap.h"
#include "link_help.h"


#define M_LINKS     4
#define M_USES      5
#define M_RECENT    6


typedef struct {
    int          state;         /* doi_claim_state_t as stored, 0: free */
    uint32_t     attempt;
    int          browser;
    int          release;
    doi_time_t   deadline;
} m_slot_t;

typedef struct {
    uint8_t      id[DOI_ID_SIZE];
    doi_time_t   expires;
    unsigned     uses;
    int          minted;
    int          revoked;
    m_slot_t     slots[M_USES];
    uint32_t     recent[M_RECENT];      /* attempts */
    int          live;                  /* won and not released */
} m_link_t;

typedef struct {
    test_store_t    store;
    test_store_t    copy;
    m_link_t        links[M_LINKS];
    doi_time_t      now;
    uint32_t        attempts;
    uint64_t        seed;
    const char     *fault;              /* what went wrong first */
    unsigned        won[DOI_OPS];
    unsigned        lost[DOI_OPS];
    unsigned        retries;
    unsigned        aged;
    unsigned        dropped;
} model_t;


static test_answer_t  m_answer, m_again;


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


/* A slot's state now; 0: free. */

static int
m_state(const m_slot_t *slot, doi_time_t now)
{
    if (slot->state == 0 || slot->state == DOI_CLAIM_USED
        || now < slot->deadline)
    {
        return slot->state;
    }

    return slot->release ? 0 : DOI_CLAIM_IN_DOUBT;
}


static m_slot_t *
m_find(m_link_t *l, uint32_t attempt)
{
    unsigned  i;

    for (i = 0; i < l->uses; i++) {
        if (l->slots[i].state && l->slots[i].attempt == attempt) {
            return &l->slots[i];
        }
    }

    return NULL;
}


static m_slot_t *
m_lowest(m_link_t *l, int state, doi_time_t now)
{
    unsigned  i;

    for (i = 0; i < l->uses; i++) {
        if (m_state(&l->slots[i], now) == state) {
            return &l->slots[i];
        }
    }

    return NULL;
}


static void
m_free(m_link_t *l, m_slot_t *slot)
{
    memset(slot, 0, sizeof(m_slot_t));
    l->live--;
}


static unsigned
m_free_aged(m_link_t *l, doi_time_t now)
{
    unsigned  i, n;

    n = 0;

    for (i = 0; i < l->uses; i++) {
        if (l->slots[i].state && m_state(&l->slots[i], now) == 0) {
            m_free(l, &l->slots[i]);
            n++;
        }
    }

    return n;
}


/* A link of its own name; half of them are minted. */

static void
m_new_link(model_t *m, m_link_t *l)
{
    uint32_t         i;
    static uint32_t  serial;

    memset(l, 0, sizeof(m_link_t));
    serial++;

    for (i = 0; i < 4; i++) {
        l->id[i] = (uint8_t) (m->now >> (24 - 8 * i));
        l->id[4 + i] = (uint8_t) (serial >> (24 - 8 * i));
    }

    l->expires = m->now + 200 + m_random(m, 20000);
    l->uses = 1;

    if (m_random(m, 2)) {
        l->minted = 1;
        l->uses = 1 + m_random(m, M_USES);
        m_check(m, mint(&m->store, m->now, l->id, 1, l->expires, l->uses, "s",
                        "", "op", &m_answer) == DOI_WON, "mint");
    }
}


/* Runs an op, then again: the same result, the same answer, nothing new. */

static doi_result_t
m_run(model_t *m, unsigned op, const void *arg, size_t len)
{
    unsigned      applied;
    doi_result_t  result;

    result = run(&m->store, op, m->now, arg, len, &m_answer);
    applied = m->store.applied;
    test_store_copy(&m->copy, &m->store);

    m_check(m, run(&m->store, op, m->now, arg, len, &m_again) == result,
            "run again: another result");
    m_check(m, op == DOI_OP_SWEEP
               || (m_again.len == m_answer.len
                   && memcmp(m_again.data, m_answer.data, m_answer.len) == 0),
            "run again: another answer");
    m_check(m, test_store_same(&m->store, &m->copy),
            "run again: another store");
    m_check(m, result == DOI_WON || result == DOI_CONFLICT, "no result");
    m_check(m, result == DOI_WON || applied == 0, "conflict wrote");

    if (result == DOI_WON) {
        m->won[op]++;
    } else {
        m->lost[op]++;
    }

    return result;
}


static uint32_t
m_attempt(model_t *m, m_link_t *l, int fresh)
{
    uint32_t  i;

    i = m_random(m, M_RECENT);

    if (fresh) {
        l->recent[i] = ++m->attempts;
    }

    return l->recent[i];
}


static void
m_claim(model_t *m, m_link_t *l)
{
    m_slot_t          *slot;
    doi_result_t       result;
    doi_claim_arg_t    arg;
    doi_link_answer_t  a;
    uint32_t           attempt;
    int                browser, won, retry;

    attempt = m_attempt(m, l, m_random(m, 8) != 0);
    browser = (int) m_random(m, 4);

    memset(&arg, 0, sizeof(arg));
    memcpy(arg.id, l->id, DOI_ID_SIZE);
    memcpy(arg.attempt, &attempt, sizeof(attempt));
    memset(arg.browser, browser, DOI_BROWSER_SIZE);
    arg.expires = l->expires;
    arg.timeout = m_random(m, 60);
    arg.flags = (m_random(m, 3) == 0 ? DOI_CLAIM_RELEASE : 0)
                | (m_random(m, 3) == 0 ? DOI_CLAIM_IDEMPOTENT : 0);

    result = m_run(m, DOI_OP_LINK_CLAIM, &arg, sizeof(arg));
    a = link_answer(&m_answer);
    retry = 0;
    slot = m_find(l, attempt);
    won = slot && m_state(slot, m->now) == DOI_CLAIM_CLAIMED;

    if (!won && m->now < l->expires && !l->revoked
        && (slot == NULL || m_state(slot, m->now) == 0))
    {
        slot = m_lowest(l, 0, m->now);

        if (slot == NULL && (arg.flags & DOI_CLAIM_IDEMPOTENT)) {
            slot = m_lowest(l, DOI_CLAIM_IN_DOUBT, m->now);
            retry = slot != NULL;
        }

        if (slot != NULL) {
            m_free_aged(l, m->now);

            l->live += !retry;
            m->retries += (unsigned) retry;
            slot->state = DOI_CLAIM_CLAIMED;
            slot->attempt = attempt;
            slot->browser = browser;
            slot->release = (arg.flags & DOI_CLAIM_RELEASE) != 0;
            slot->deadline = m->now + (arg.timeout ? arg.timeout : 1);
            won = 1;

            m_check(m, !retry == !(a.flags & DOI_CLAIM_RETRY), "retry flag");
        }
    }

    m_check(m, (result == DOI_WON) == won, "claim: result");
    m_check(m, m_answer.len == sizeof(a), "claim: answer");
    m_check(m, !won || (slot && a.slot == slot - l->slots), "claim: slot");
    m_check(m, !won || a.state == DOI_LINK_CLAIMED, "claim: state");
    m_check(m, won || a.state != DOI_LINK_FRESH, "claim: refused, but fresh");
}


static void
m_settle(model_t *m, m_link_t *l)
{
    int               want;
    m_slot_t         *slot;
    uint32_t          attempt;
    doi_result_t      result;
    doi_settle_arg_t  arg;

    attempt = m_attempt(m, l, m_random(m, 30) == 0);

    memset(&arg, 0, sizeof(arg));
    memcpy(arg.id, l->id, DOI_ID_SIZE);
    memcpy(arg.attempt, &attempt, sizeof(attempt));
    arg.outcome = (uint16_t) (1 + m_random(m, 3));
    arg.status = (uint16_t) m_random(m, 600);

    result = m_run(m, DOI_OP_LINK_SETTLE, &arg, sizeof(arg));
    slot = m_find(l, attempt);

    if (slot == NULL) {
        want = arg.outcome == DOI_OUTCOME_RELEASED;

    } else if (slot->state == DOI_CLAIM_USED) {
        want = arg.outcome == DOI_OUTCOME_USED;

    } else {
        want = 1;

        if (arg.outcome == DOI_OUTCOME_RELEASED) {
            m_free(l, slot);
        } else {
            slot->state = arg.outcome == DOI_OUTCOME_USED ? DOI_CLAIM_USED
                                                          : DOI_CLAIM_IN_DOUBT;
        }
    }

    m_check(m, (result == DOI_WON) == want, "settle: result");
}


static void
m_read(model_t *m, m_link_t *l)
{
    int                n[4] = { 0 };
    unsigned           i;
    doi_link_t         link;
    doi_read_arg_t     arg;
    doi_link_state_t   want;
    doi_link_answer_t  a;

    memset(&arg, 0, sizeof(arg));
    memcpy(arg.id, l->id, DOI_ID_SIZE);
    m_check(m, m_run(m, DOI_OP_LINK_READ, &arg, sizeof(arg)) == DOI_WON,
            "read: result");
    m_check(m, m->store.applied == 0, "read: wrote");
    a = link_answer(&m_answer);

    for (i = 0; i < l->uses; i++) {
        n[m_state(&l->slots[i], m->now)]++;
    }

    if (l->revoked) {
        want = DOI_LINK_REVOKED;

    } else if (get_link(&m->store, l->id, &link) && m->now >= link.expires) {
        want = DOI_LINK_EXPIRED;

    } else {
        want = n[0] ? DOI_LINK_FRESH
               : n[DOI_CLAIM_CLAIMED] ? DOI_LINK_CLAIMED
               : n[DOI_CLAIM_IN_DOUBT] ? DOI_LINK_IN_DOUBT : DOI_LINK_USED;
    }

    m_check(m, a.state == want && !a.own, "read: state");
}


static void
m_operate(model_t *m, m_link_t *l, unsigned op)
{
    int           slot, outcome;
    char          reason[16];
    unsigned      i, n, used;
    size_t        len;
    uint8_t       bytes[64];
    doi_result_t  result;

    doi_operator_arg_t  arg;

    slot = m_random(m, 2) ? DOI_SLOT_ALL : (int) m_random(m, l->uses + 1);
    outcome = 1 + (int) m_random(m, 2);
    snprintf(reason, sizeof(reason), "%u", m->attempts++);

    memset(&arg, 0, sizeof(arg));
    memcpy(arg.id, l->id, DOI_ID_SIZE);
    arg.outcome = (uint16_t) outcome;
    arg.slot = (uint16_t) slot;
    arg.reason_len = (uint16_t) strlen(reason);
    len = append(bytes, 0, &arg, sizeof(arg));
    len = append(bytes, len, reason, arg.reason_len);

    result = m_run(m, op, bytes, len);
    used = 0;
    n = 0;

    for (i = 0; i < l->uses; i++) {
        used += l->slots[i].state == DOI_CLAIM_USED;

        if (op == DOI_OP_LINK_RESOLVE
            && m_state(&l->slots[i], m->now) == DOI_CLAIM_IN_DOUBT
            && (slot == DOI_SLOT_ALL || slot == (int) i))
        {
            n++;

            if (outcome == DOI_OUTCOME_USED) {
                l->slots[i].state = DOI_CLAIM_USED;
            } else {
                m_free(l, &l->slots[i]);
            }
        }
    }

    if (op == DOI_OP_LINK_RESOLVE) {
        m_check(m, (result == DOI_WON) == (n != 0), "resolve: result");

    } else if (l->revoked || used < l->uses) {
        m_check(m, result == DOI_WON, "revoke: result");
        l->revoked = 1;

    } else {
        m_check(m, result == DOI_CONFLICT, "revoke: result when used");
    }
}


static void
m_sweep(model_t *m)
{
    int                 state, open, known;
    unsigned            i, j, dropped, released;
    m_link_t           *l;
    doi_link_t          link;
    doi_sweep_arg_t     arg;
    doi_sweep_answer_t  a;
    int                 gone[M_LINKS];

    memset(&arg, 0, sizeof(arg));
    arg.limit = 1000;
    arg.mark = m->now - (m_random(m, 4) ? 0 : m_random(m, 1000));
    dropped = 0;
    released = 0;

    for (i = 0; i < M_LINKS; i++) {
        l = &m->links[i];
        known = get_link(&m->store, l->id, &link)
                && link.expires != UINT32_MAX;
        open = 0;

        for (j = 0; j < l->uses; j++) {
            state = m_state(&l->slots[j], arg.mark);
            open |= state == DOI_CLAIM_CLAIMED || state == DOI_CLAIM_IN_DOUBT;
        }

        gone[i] = known && arg.mark >= (uint64_t) l->expires
                             + (open ? DOI_KEEP_DOUBT : DOI_KEEP_BURNED);

        if (gone[i]) {
            dropped++;
        } else {
            released += m_free_aged(l, m->now);
        }
    }

    m_check(m, m_run(m, DOI_OP_SWEEP, &arg, sizeof(arg)) == DOI_WON,
            "sweep: result");
    a = sweep_answer(&m_answer);

    /* Links that the model has replaced may be swept too. */
    m_check(m, a.dropped >= dropped, "sweep: dropped");
    m_check(m, a.released >= released, "sweep: released");
    m->dropped += a.dropped;
    m->aged += a.released;

    for (i = 0; i < M_LINKS; i++) {
        if (gone[i]) {
            m_check(m, !get_link(&m->store, m->links[i].id, &link),
                    "sweep: still there");
            m_new_link(m, &m->links[i]);
        }
    }
}


/* The record against the model, and the counts. */

static void
m_compare(model_t *m, m_link_t *l)
{
    int           live;
    size_t        c;
    unsigned      i, used;
    doi_link_t    link;
    doi_claim_t  *claims[M_USES] = { NULL };

    memset(&link, 0, sizeof(link));
    get_link(&m->store, l->id, &link);

    for (c = 0; c < link.nclaims; c++) {
        m_check(m, link.claims[c].slot < l->uses, "record: slot");
        claims[link.claims[c].slot % M_USES] = &link.claims[c];
    }

    live = 0;
    used = 0;

    for (i = 0; i < l->uses; i++) {
        live += l->slots[i].state != 0;
        used += l->slots[i].state == DOI_CLAIM_USED;

        if (l->slots[i].state == 0) {
            m_check(m, claims[i] == NULL, "record: a claim of nobody's");
            continue;
        }

        m_check(m, claims[i]
                   && memcmp(claims[i]->attempt, &l->slots[i].attempt, 4) == 0
                   && doi_claim_state(claims[i], m->now)
                      == m_state(&l->slots[i], m->now),
                "record: a claim is lost or wrong");
    }

    m_check(m, live == l->live && live <= (int) l->uses,
            "more claims won than uses");
    m_check(m, used <= l->uses, "more used than uses");
    m_check(m, link.uses == 0 || link.revoked == l->revoked, "revoked");
}


static void
m_step(model_t *m)
{
    unsigned   i;
    m_link_t  *l;

    m->now += m_random(m, 400) ? m_random(m, 6) : m_random(m, 200000);
    l = &m->links[m_random(m, M_LINKS)];

    i = m_random(m, 100);

    if (i < 40) {
        m_claim(m, l);

    } else if (i < 70) {
        m_settle(m, l);

    } else if (i < 85) {
        m_read(m, l);

    } else if (i < 95) {
        m_operate(m, l, DOI_OP_LINK_RESOLVE);

    } else if (i < 96) {
        m_operate(m, l, m_random(m, 4) ? DOI_OP_LINK_RESOLVE
                                       : DOI_OP_LINK_REVOKE);

    } else if (i < 98) {
        m_sweep(m);

    } else {
        m_new_link(m, l);
    }

    for (i = 0; i < M_LINKS; i++) {
        m_compare(m, &m->links[i]);
    }
}


/* A revoked link without expiry would stay for ever, as would its row. */

static void
m_forget_old(model_t *m)
{
    if (m->store.tables[DOI_TABLE_LINKS].n > 40) {
        test_store_free(&m->store);
        m_new_link(m, &m->links[0]);
        m_new_link(m, &m->links[1]);
        m_new_link(m, &m->links[2]);
        m_new_link(m, &m->links[3]);
    }
}


static void
test_model(unsigned steps)
{
    unsigned        i;
    static model_t  m;

    memset(&m, 0, sizeof(m));
    m.seed = 20240229;
    m.now = T;

    for (i = 0; i < M_LINKS; i++) {
        m_new_link(&m, &m.links[i]);
    }

    for (i = 0; i < steps && m.fault == NULL; i++) {
        m_step(&m);
        m_check(&m, check_store(&m.store), "open rows");
        m_forget_old(&m);
    }

    if (!ok(m.fault == NULL, "%u random steps go as the model says", steps)) {
        printf("# step %u: %s\n", i, m.fault);
    }

    /* A test that never gets anywhere proves nothing. */

    for (i = DOI_OP_LINK_CLAIM; i < DOI_OPS; i++) {
        printf("# op %u: %u won, %u refused\n", i, m.won[i], m.lost[i]);
    }

    printf("# %u taken over, %u released by age, %u dropped\n", m.retries,
           m.aged, m.dropped);

    ok(m.won[DOI_OP_LINK_CLAIM] > steps / 100
       && m.won[DOI_OP_LINK_SETTLE] > steps / 100
       && m.won[DOI_OP_LINK_RESOLVE] > steps / 1000
       && m.won[DOI_OP_LINK_REVOKE] > 0 && m.retries > 0 && m.aged > 0
       && m.dropped > 0, "and all kinds of things have happened");

    test_store_free(&m.store);
    test_store_free(&m.copy);
}


int
main(void)
{
    test_model(200000);

    return done_testing();
}
