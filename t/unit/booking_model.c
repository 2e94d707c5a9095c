/*
 * Random sequences of all transactions on bookings, over a few slots and
 * addresses and with a clock that leaps, checked step by step against a model.
 *
 * The model is an array of bookings.  It says for each step what the result
 * must be, what becomes of which booking, and which events are written; every
 * step but a sweep is run twice.  After each step the rows of all tables must
 * follow from the records (booking_help.h).
 */

#include "tap.h"
#include "booking_help.h"


#define M_BOOKINGS  40
#define M_SLOTS     4
#define M_EMAILS    3
#define M_EVENTS    64

#define HELD        DOI_BOOKING_HELD
#define CLAIMED     DOI_BOOKING_CLAIMED
#define CONFIRMED   DOI_BOOKING_CONFIRMED
#define IN_DOUBT    DOI_BOOKING_IN_DOUBT
#define REFUSED     DOI_BOOKING_REFUSED
#define CANCELLED   DOI_BOOKING_CANCELLED
#define EXPIRED     DOI_BOOKING_EXPIRED


typedef struct {
    int          known;
    unsigned     n;             /* its id is bid(n) */
    unsigned     slot;
    unsigned     email;
    int          state;         /* as stored */
    int          told;
    unsigned     tries;
    unsigned     sends;
    unsigned     sequence;
    unsigned     again;         /* of which bid(), 0: none */
    uint32_t     code;
    doi_time_t   expires;
    doi_time_t   remind;
    doi_time_t   start;
    doi_time_t   ended;
    uint32_t     attempt;       /* of the claim; 0: none */
    uint32_t     tried;         /* attempt with a wrong code */
    doi_time_t   deadline;
    doi_time_t   settled;
    int          release;
    int          retry;
    int          was_confirmed;
    unsigned     resolved;      /* reason of the operator's last RESOLVE */
    int          outcome;
} m_booking_t;

typedef struct {
    test_store_t   store;
    test_store_t   before;
    test_store_t   copy;
    m_booking_t    b[M_BOOKINGS];
    doi_time_t     now;
    uint64_t       seed;
    unsigned       ids;
    uint32_t       attempts;
    uint32_t       recent[8];
    unsigned       op;                      /* of this step */
    const char    *fault;
    unsigned       nevents;                 /* that this step must write */
    uint8_t        events[M_EVENTS][2 + DOI_ID_SIZE];
    doi_time_t     taken[M_EMAILS][3];      /* the latest first */
    unsigned       won[DOI_OPS];
    unsigned       lost[DOI_OPS];
    unsigned       written[DOI_EVENTS];
    unsigned       retries;
    unsigned       late;
    unsigned       limited;
    unsigned       dropped;
    unsigned       wrong;
} model_t;


static const char *const  m_slots[M_SLOTS] = { "s1", "s2", "s3", "s4" };
static const char *const  m_emails[M_EMAILS] = { "a@x.org", "b@x.org",
                                                 "c@x.org" };
static test_answer_t      m_answer, m_again;


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
m_state(const m_booking_t *b, doi_time_t now)
{
    int  state;

    state = b->state;

    if (state == CLAIMED || state == IN_DOUBT) {
        if (now < b->deadline) {
            return state;
        }

        if (!b->release) {
            return IN_DOUBT;
        }

        state = HELD;
    }

    return state == HELD && now >= b->expires ? EXPIRED : state;
}


static int
m_stands(const m_booking_t *b)
{
    return b->known && (b->state == HELD || b->state == CLAIMED
                        || b->state == IN_DOUBT || b->state == CONFIRMED);
}


static void
m_event(model_t *m, const m_booking_t *b, unsigned kind)
{
    uint8_t  *e;

    if (m->nevents < M_EVENTS) {
        e = m->events[m->nevents++];
        e[0] = (uint8_t) kind;
        e[1] = (uint8_t) b->state;
        memcpy(e + 2, bid(b->n), DOI_ID_SIZE);
    }
}


static void
m_unclaim(m_booking_t *b)
{
    b->attempt = 0;
    b->tried = 0;
    b->release = 0;
    b->retry = 0;
    b->told = 0;
}


static void
m_end(model_t *m, m_booking_t *b, int state)
{
    b->state = state;
    b->sequence++;
    b->ended = m->now;
    m_event(m, b, DOI_EVENT_RELEASED);
}


static void
m_doubt(model_t *m, m_booking_t *b, doi_time_t since)
{
    b->state = IN_DOUBT;
    b->settled = since;

    if (!b->told && m_state(b, m->now) == IN_DOUBT) {
        b->told = 1;
        m_event(m, b, DOI_EVENT_IN_DOUBT);
    }
}


static void
m_confirm(model_t *m, m_booking_t *b)
{
    b->state = CONFIRMED;
    b->settled = m->now;
    b->sequence++;
    m_event(m, b, DOI_EVENT_CONFIRMED);
}


/* Were the events written that should be, and no others? */

static void
m_events(model_t *m)
{
    size_t             i;
    unsigned           j, n;
    doi_str_t          value;
    doi_outbox_t       o;
    const test_row_t  *row;

    n = 0;

    for (i = 0; i < rows(&m->store, DOI_TABLE_OUTBOX); i++) {
        row = &m->store.tables[DOI_TABLE_OUTBOX].rows[i];

        if (has_row(&m->before, DOI_TABLE_OUTBOX, row->key, row->klen)) {
            continue;
        }

        value.data = row->value;
        value.len = row->vlen;
        m_check(m, doi_outbox_decode(value, &o) == DOI_OK, "event: codec");

        if (o.kind >= DOI_EVENTS) {
            continue;
        }

        n++;
        m->written[o.kind]++;
        m_check(m, o.created == m->now && o.due == m->now
                   && o.state == DOI_QUEUED && o.attempts == 0,
                "event: fields");

        for (j = 0; j < m->nevents; j++) {
            if (m->events[j][0] == o.kind
                && m->events[j][1] == o.booking_state
                && memcmp(m->events[j] + 2, o.booking, DOI_ID_SIZE) == 0)
            {
                m->events[j][0] = 0;
                break;
            }
        }

        m_check(m, j < m->nevents, "event: one too many");
    }

    m_check(m, n == m->nevents, "event: missing");
}


static doi_result_t
m_run(model_t *m, unsigned op, doi_str_t arg)
{
    unsigned      applied;
    doi_result_t  result;

    test_store_copy(&m->before, &m->store);
    m->nevents = 0;
    m->op = op;

    result = test_run(&m->store, op, m->now, arg, &m_answer);
    applied = m->store.applied;

    m_check(m, result == DOI_WON || result == DOI_CONFLICT, "no result");
    m_check(m, result == DOI_WON || applied == 0, "conflict wrote");

    if (result == DOI_WON) {
        m->won[op]++;
    } else {
        m->lost[op]++;
    }

    if (op == DOI_OP_BOOKING_SWEEP) {
        return result;
    }

    test_store_copy(&m->copy, &m->store);

    m_check(m, op == DOI_OP_OUTBOX_FANOUT
               || (test_run(&m->store, op, m->now, arg, &m_again) == result
                   && m_again.len == m_answer.len
                   && memcmp(m_again.data, m_answer.data, m_answer.len) == 0),
            "run again: another answer");
    m_check(m, test_store_same(&m->store, &m->copy),
            "run again: another store");

    return result;
}


/* A booking of the past; NULL: none. */

static m_booking_t *
m_any(model_t *m)
{
    unsigned  i, n;

    for (n = 0; n < 60; n++) {
        i = m_random(m, M_BOOKINGS);

        /* mostly those that something can happen to */

        if (m->b[i].known && (m_stands(&m->b[i]) || n > 40)) {
            return &m->b[i];
        }
    }

    return NULL;
}


static int
m_limit(model_t *m, unsigned email)
{
    if (m->taken[email][2] != 0 && m->taken[email][2] + 900 > m->now) {
        m->limited++;
        return 0;
    }

    m->taken[email][2] = m->taken[email][1];
    m->taken[email][1] = m->taken[email][0];
    m->taken[email][0] = m->now;

    return 1;
}


static void
m_limit_of(unsigned email, doi_limit_t *limit)
{
    memset(limit, 0, sizeof(doi_limit_t));
    memset(limit->key, 'a' + (int) email, DOI_LIMIT_KEY_SIZE);
    limit->period = 900;
    limit->count = 3;
    limit->burst = 3;
}


static void
m_hold(model_t *m)
{
    int           want;
    hold_t        h;
    unsigned      i, n, slot, email, told;
    doi_limit_t   limit;
    m_booking_t  *b, *old, *free;
    doi_result_t  result;

    slot = m_random(m, M_SLOTS);
    email = m_random(m, M_EMAILS);

    /* an id of its own; or that of a booking, or of a mail sent again */

    b = m_any(m);
    n = ++m->ids;

    if (b != NULL && m_random(m, 10) == 0) {
        n = b->n;

        if (b->again && m_state(b, m->now) == HELD) {
            n = b->again;
            slot = b->slot;
            email = b->email;
        }
    }

    m_limit_of(email, &limit);


    h = usual;
    h.slot = m_slots[slot];
    h.email = m_emails[email];
    h.expires = m_random(m, 50) ? m->now + 1 + m_random(m, 4000) : m->now;
    h.start = m_random(m, 3) ? m->now - 1000 + m_random(m, 900000) : 0;
    h.remind = m_random(m, 2) ? h.expires - m_random(m, 2000) : 0;
    h.code = m_random(m, 2) ? m_random(m, 3) : DOI_CODE_NONE;
    h.nlimits = m_random(m, 3) != 0;
    h.limits = &limit;

    b = NULL;
    old = NULL;
    free = NULL;

    for (i = 0; i < M_BOOKINGS; i++) {
        if (!m->b[i].known) {
            free = &m->b[i];

        } else if (m->b[i].n == n) {
            b = &m->b[i];

        } else if (m_stands(&m->b[i]) && m->b[i].slot == slot) {
            old = &m->b[i];
        }
    }

    if (free == NULL) {
        return;
    }

    result = m_run(m, DOI_OP_BOOKING_HOLD, hold_arg(bid(n), &h));
    told = booking_answer(&m_answer).state;
    want = HELD;

    if (b != NULL) {
        /* the same again */

    } else if (old != NULL && m_state(old, m->now) != EXPIRED) {

        if (m_state(old, m->now) != HELD || old->email != email) {
            want = DOI_BOOKING_TAKEN;

        } else if (old->again != n) {

            if (h.nlimits && !m_limit(m, email)) {
                want = DOI_BOOKING_LIMITED;

            } else {
                old->again = n;
                old->sends++;
                i = (unsigned) old->state;
                old->state = HELD;
                m_event(m, old, DOI_EVENT_RESEND);
                old->state = (int) i;
            }
        }

    } else if (h.expires <= m->now) {
        want = EXPIRED;

    } else if (h.nlimits && !m_limit(m, email)) {
        want = DOI_BOOKING_LIMITED;

    } else {

        if (old != NULL) {
            if (old->attempt) {
                m_unclaim(old);
            }

            m_end(m, old, EXPIRED);
        }

        memset(free, 0, sizeof(m_booking_t));
        free->known = 1;
        free->n = n;
        free->slot = slot;
        free->email = email;
        free->sends = 1;
        free->expires = h.expires;
        free->remind = h.remind;
        free->start = h.start;
        free->code = h.code;
        m_event(m, free, DOI_EVENT_HELD);
    }

    m_check(m, (int) told == want, "hold: state");
    m_check(m, (result == DOI_WON) == (want == HELD), "hold: result");
    m_check(m, m_answer.len == sizeof(doi_booking_answer_t), "hold: answer");
}


static uint32_t
m_attempt(model_t *m, int fresh)
{
    uint32_t  i;

    i = m_random(m, 8);

    if (fresh || m->recent[i] == 0) {
        m->recent[i] = ++m->attempts;
    }

    return m->recent[i];
}


/* Attempts differ in their first bytes, of which the serial is made. */

static void
m_attempt_bytes(uint32_t attempt, uint8_t *p)
{
    memset(p, 0x55, DOI_ATTEMPT_SIZE);
    memcpy(p, &attempt, sizeof(attempt));
}


static void
m_claim(model_t *m, m_booking_t *b)
{
    int                      state, won, wrong, run_again;
    uint32_t                 attempt;
    doi_result_t             result;
    doi_booking_answer_t     a;
    doi_booking_claim_arg_t  arg;

    attempt = m_random(m, 4) == 0 && (b->attempt || b->tried)
              ? (b->attempt ? b->attempt : b->tried)
              : m_attempt(m, m_random(m, 8) != 0);

    memset(&arg, 0, sizeof(arg));
    memcpy(arg.id, bid(b->n), DOI_ID_SIZE);
    m_attempt_bytes(attempt, arg.attempt);
    memset(arg.browser, (int) m_random(m, 3), DOI_BROWSER_SIZE);
    arg.timeout = m_random(m, 60);
    arg.flags = (m_random(m, 3) == 0 ? DOI_CLAIM_RELEASE : 0)
                | (m_random(m, 3) == 0 ? DOI_CLAIM_IDEMPOTENT : 0);
    arg.code_needed = m_random(m, 3) == 0;
    arg.code = m_random(m, 3);

    result = m_run(m, DOI_OP_BOOKING_CLAIM,
                   arg_end(append(arg_bytes, 0, &arg, sizeof(arg))));
    a = booking_answer(&m_answer);
    state = m_state(b, m->now);
    wrong = arg.code_needed && b->code != DOI_CODE_NONE
            && arg.code != b->code;
    run_again = state == CLAIMED && b->attempt == attempt;
    won = 0;

    if (b->tried == attempt && (state == HELD || state == CANCELLED)) {
        m_check(m, result == DOI_WON && a.wrong_code && a.state == state,
                "claim: wrong code again");
        return;
    }

    if (!run_again && state == HELD && wrong) {
        m->wrong++;
        b->tries++;
        b->state = HELD;
        m_unclaim(b);
        b->tried = attempt;

        if (b->tries == DOI_CODE_TRIES) {
            m_end(m, b, CANCELLED);
        }

        m_check(m, result == DOI_WON && a.wrong_code && a.state == b->state
                   && a.request_len == 0, "claim: wrong code");
        return;
    }

    if (!run_again
        && (state == HELD
            || (state == IN_DOUBT && !wrong && m->now < b->expires
                && (arg.flags & DOI_CLAIM_IDEMPOTENT)
                && b->attempt != attempt)))
    {
        b->retry = state == IN_DOUBT;
        m->retries += (unsigned) b->retry;

        if (!b->retry) {
            b->told = 0;
        }

        b->state = CLAIMED;
        b->attempt = attempt;
        b->tried = 0;
        b->release = (arg.flags & DOI_CLAIM_RELEASE) != 0;
        b->deadline = m->now + (arg.timeout ? arg.timeout : 1);
        b->resolved = 0;
        won = 1;
    }

    won |= run_again;

    m_check(m, (result == DOI_WON) == won && !a.wrong_code, "claim: result");
    m_check(m, a.state == (won ? CLAIMED : state), "claim: state");
    m_check(m, won ? a.request_len == strlen(usual.request)
                   : a.request_len == 0, "claim: request");
    m_check(m, !won || !(a.flags & DOI_CLAIM_RETRY) == !b->retry,
            "claim: retry");
}


static void
m_settle(model_t *m, m_booking_t *b)
{
    int               want;
    uint32_t          attempt;
    doi_result_t      result;
    doi_settle_arg_t  arg;

    attempt = b->attempt && m_random(m, 5) ? b->attempt : m_attempt(m, 0);

    memset(&arg, 0, sizeof(arg));
    memcpy(arg.id, bid(b->n), DOI_ID_SIZE);
    m_attempt_bytes(attempt, arg.attempt);
    arg.outcome = (uint16_t) (1 + m_random(m, 3));
    arg.status = m_random(m, 2) ? 409 : 0;

    result = m_run(m, DOI_OP_BOOKING_SETTLE,
                   arg_end(append(arg_bytes, 0, &arg, sizeof(arg))));

    if (b->attempt != attempt || b->state == REFUSED) {
        want = arg.outcome == DOI_OUTCOME_RELEASED;

    } else if (b->state == CONFIRMED || b->state == CANCELLED) {
        want = arg.outcome == DOI_OUTCOME_USED;

    } else if (b->state == IN_DOUBT && arg.outcome == DOI_OUTCOME_IN_DOUBT) {
        want = 1;

    } else {
        want = 1;
        m->late += m->now >= b->deadline;

        if (arg.outcome == DOI_OUTCOME_USED) {
            m_confirm(m, b);

        } else if (arg.outcome == DOI_OUTCOME_RELEASED && arg.status) {
            m_end(m, b, REFUSED);

        } else if (arg.outcome == DOI_OUTCOME_RELEASED && !b->retry) {
            b->state = HELD;
            m_unclaim(b);

        } else {
            m_doubt(m, b, m->now);
        }
    }

    m_check(m, (result == DOI_WON) == want, "settle: result");
}


static void
m_read(model_t *m, m_booking_t *b)
{
    doi_booking_answer_t  a;

    m_check(m, m_run(m, DOI_OP_BOOKING_READ, bread_arg(bid(b->n), 1))
               == DOI_WON && m->store.applied == 0, "read: result");
    a = booking_answer(&m_answer);
    m_check(m, a.state == m_state(b, m->now), "read: state");
    m_check(m, a.record_len != 0 && a.request_len == 0, "read: record");
    m_check(m, a.state != CLAIMED || a.retry_after == b->deadline - m->now,
            "read: retry after");
}


static void
m_cancel(model_t *m, m_booking_t *b)
{
    int           suppress, state, want;
    doi_result_t  result;

    suppress = m_random(m, 2) == 0;
    state = m_state(b, m->now);

    result = m_run(m, DOI_OP_BOOKING_CANCEL,
                   action_arg(bid(b->n), 0, suppress, "op", "why"));

    want = state == HELD || (state == CONFIRMED && !suppress);

    if (want) {
        b->was_confirmed = state == CONFIRMED;

        if (state == HELD) {
            b->attempt = 0;         /* its claim was released by age */
        }

        m_end(m, b, CANCELLED);
    }

    m_check(m, (result == DOI_WON) == (want || state == CANCELLED),
            "cancel: result");
    m_check(m, booking_answer(&m_answer).state == m_state(b, m->now),
            "cancel: state");
}


static void
m_resolve(model_t *m, m_booking_t *b)
{
    int           outcome, want;
    char          reason[16];
    unsigned      n;
    doi_result_t  result;

    outcome = m_random(m, 2) ? DOI_OUTCOME_USED : DOI_OUTCOME_RELEASED;
    n = b->resolved && m_random(m, 2) ? b->resolved : ++m->attempts;
    snprintf(reason, sizeof(reason), "%u", n);

    result = m_run(m, DOI_OP_BOOKING_RESOLVE,
                   action_arg(bid(b->n), outcome, 0, "op", reason));

    if (m_state(b, m->now) == IN_DOUBT) {
        want = 1;
        b->resolved = n;
        b->outcome = outcome;

        if (outcome == DOI_OUTCOME_USED) {
            m_confirm(m, b);

        } else {
            b->state = HELD;
            m_unclaim(b);

            if (m->now >= b->expires) {
                m_end(m, b, EXPIRED);
            }
        }

    } else {
        want = b->resolved == n
               && (outcome == DOI_OUTCOME_USED
                   ? b->state == CONFIRMED
                   : b->state == HELD || b->state == EXPIRED);
    }

    m_check(m, (result == DOI_WON) == want, "resolve: result");
    m_check(m, booking_answer(&m_answer).state == m_state(b, m->now),
            "resolve: state");
}


static void
m_resend(model_t *m, m_booking_t *b)
{
    int           state, stored, want;
    unsigned      n, nlimits;
    doi_limit_t   limit;
    doi_result_t  result;

    n = b->again && m_random(m, 4) == 0 ? b->again : ++m->ids;
    nlimits = m_random(m, 2);
    m_limit_of(b->email, &limit);
    state = m_state(b, m->now);

    result = m_run(m, DOI_OP_BOOKING_RESEND,
                   resend_arg(bid(b->n), bid(n), &limit, nlimits));
    want = state;

    if (b->again == n) {
        m_check(m, result == DOI_WON, "resend: again");

    } else if (state != HELD && state != CONFIRMED) {
        m_check(m, result == DOI_CONFLICT, "resend: state forbids");

    } else if (nlimits && !m_limit(m, b->email)) {
        m_check(m, result == DOI_CONFLICT, "resend: limit");
        want = DOI_BOOKING_LIMITED;

    } else {
        m_check(m, result == DOI_WON, "resend: result");
        b->again = n;
        b->sends += b->sends < 255;
        stored = b->state;
        b->state = state;
        m_event(m, b, state == HELD ? DOI_EVENT_RESEND
                                    : DOI_EVENT_CONFIRM_RESEND);
        b->state = stored;
    }

    m_check(m, booking_answer(&m_answer).state == want, "resend: answer");
}


static uint64_t
m_keep(const m_booking_t *b)
{
    uint64_t  end;

    if (b->state != CONFIRMED && b->state != IN_DOUBT) {
        return (uint64_t) b->ended + DOI_KEEP_ENDED;
    }

    if (b->start == 0) {
        return (uint64_t) b->settled + DOI_KEEP_UNDATED;
    }

    end = (uint64_t) b->start + usual.duration;

    return (end > b->settled ? end : b->settled) + DOI_KEEP_CONFIRMED;
}


static void
m_age(model_t *m, m_booking_t *b, doi_time_t time)
{
    int  state;

    state = m_state(b, time);

    if ((b->state == CLAIMED || b->state == IN_DOUBT)
        && (state == HELD || state == EXPIRED))
    {
        b->state = HELD;
        m_unclaim(b);
    }

    if (b->state == HELD && state == EXPIRED) {
        m_end(m, b, EXPIRED);

    } else if (b->state == HELD && b->remind && b->remind <= time) {
        b->remind = 0;
        m_event(m, b, DOI_EVENT_REMIND);

    } else if (b->state == CLAIMED && state == IN_DOUBT) {
        m_doubt(m, b, b->deadline);

    } else if (b->state != HELD && b->state != CLAIMED
               && !(b->state == IN_DOUBT && b->release)
               && m_keep(b) <= time)
    {
        b->known = 0;
        m->dropped++;
    }
}


static void
m_sweep(model_t *m)
{
    unsigned    i;
    doi_time_t  mark;

    mark = m_random(m, 4) ? m->now
           : m_random(m, 2) ? m->now - m_random(m, 1000) : m->now + 100000;

    m_check(m, m_run(m, DOI_OP_BOOKING_SWEEP, bsweep_arg(mark, 512))
               == DOI_WON, "sweep: result");

    for (i = 0; i < M_BOOKINGS; i++) {
        if (m->b[i].known) {
            m_age(m, &m->b[i], mark < m->now ? mark : m->now);
        }
    }
}


/* Some event or delivery, by what a courier does. */

static void
m_outbox(model_t *m)
{
    size_t     n;
    unsigned   kind;
    uint8_t    id[DOI_ID_SIZE];

    test_rows_t   *o;
    doi_result_t   result;

    o = &m->store.tables[DOI_TABLE_OUTBOX];

    if (o->n == 0) {
        return;
    }

    n = m_random(m, (uint32_t) o->n);
    memcpy(id, o->rows[n].key, DOI_ID_SIZE);
    kind = o->rows[n].value[1];

    if (kind < DOI_EVENTS) {
        result = m_run(m, DOI_OP_OUTBOX_FANOUT,
                       fanout_arg(id, DOI_DELIVER_CONFIRM, m_random(m, 3)));

    } else {
        n = m_random(m, 6);
        result = m_run(m, DOI_OP_OUTBOX_UPDATE,
                       update_arg(id, n > 3 ? DOI_OUTBOX_DONE : (int) n + 1,
                                  m->now + m_random(m, 900), "it failed"));
    }

    m_check(m, result == DOI_WON, "outbox: result");
}


/* Delivers the first rows of the outbox until no more than n are left. */

static void
m_drain(model_t *m, size_t n)
{
    int           event;
    unsigned      i;
    test_rows_t  *o;

    o = &m->store.tables[DOI_TABLE_OUTBOX];

    for (i = 0; i < 1000 && o->n > n; i++) {
        event = o->rows[0].value[1] < DOI_EVENTS;

        test_run(&m->store,
                 event ? DOI_OP_OUTBOX_FANOUT : DOI_OP_OUTBOX_UPDATE, m->now,
                 event ? fanout_arg(o->rows[0].key, DOI_DELIVER_CONFIRM, 1)
                       : update_arg(o->rows[0].key, DOI_OUTBOX_DONE, 0, ""),
                 &m_answer);
    }
}


/* The records against the model. */

static void
m_compare(model_t *m)
{
    size_t         known;
    uint8_t        attempt[DOI_ATTEMPT_SIZE];
    unsigned       i, flags;
    m_booking_t   *w;
    doi_booking_t  b;

    known = 0;

    for (i = 0; i < M_BOOKINGS; i++) {
        w = &m->b[i];

        if (!w->known) {
            continue;
        }

        known++;

        if (!get_booking(&m->store, bid(w->n), &b)) {
            m_check(m, 0, "record: lost");
            continue;
        }

        m_check(m, b.state == w->state
                   && (int) doi_booking_state(&b, m->now)
                      == m_state(w, m->now), "record: state");
        m_check(m, b.sequence == w->sequence, "record: sequence");
        m_check(m, b.tries == w->tries && b.sends == w->sends
                   && b.remind == w->remind, "record: counts");

        if (w->attempt || w->tried) {
            m_attempt_bytes(w->attempt ? w->attempt : w->tried, attempt);
        } else {
            memset(attempt, 0, sizeof(attempt));
        }

        m_check(m, memcmp(b.claim.attempt, attempt, DOI_ATTEMPT_SIZE) == 0,
                "record: attempt");

        flags = b.flags & DOI_BOOKING_WAS_CONFIRMED;
        m_check(m, !flags == !w->was_confirmed, "record: flags");

        m_check(m, (w->state != HELD && w->state != CLAIMED
                    && w->state != IN_DOUBT)
                   || !(b.flags & DOI_BOOKING_TOLD_DOUBT) == !w->told,
                "record: told of doubt");

        m_check(m, w->state != CONFIRMED || b.claim.state == DOI_CLAIM_USED,
                "record: claim");
    }

    m_check(m, rows(&m->store, DOI_TABLE_BOOKINGS) == known,
            "record: one too many");
}


static void
m_step(model_t *m)
{
    unsigned      i;
    const char   *fault;
    m_booking_t  *b;

    m->now += m_random(m, 120) ? m_random(m, 40)
              : m_random(m, 3) ? m_random(m, 20000)
              : m_random(m, 120 * DAY);

    i = m_random(m, 100);
    b = m_any(m);
    m->op = 0;

    if (i < 18 || b == NULL) {
        m_hold(m);

    } else if (i < 40) {
        m_claim(m, b);

    } else if (i < 58) {
        m_settle(m, b);

    } else if (i < 64) {
        m_read(m, b);

    } else if (i < 68) {
        m_cancel(m, b);

    } else if (i < 76) {
        m_resolve(m, b);

    } else if (i < 80) {
        m_resend(m, b);

    } else if (i < 88) {
        m_sweep(m);

    } else if (i < 89) {
        m_check(m, m_run(m, DOI_OP_SUPPRESS,
                         suppress_arg(m_emails[m_random(m, M_EMAILS)],
                                      (int) m_random(m, 2)))
                   == DOI_WON, "suppress");

    } else {
        m_outbox(m);
    }

    if (m->op != 0) {
        m_events(m);
    }

    m_compare(m);

    fault = check_rows(&m->store);
    m_check(m, fault == NULL, fault);
}


/* Long after, when the outbox is drained, nobody's data is left. */

static void
m_end_of_time(model_t *m)
{
    unsigned  i;

    for (i = 0; i < 2000; i++) {
        m->now = m->now > UINT32_MAX - 10 * DAY ? UINT32_MAX
                                                : m->now + 10 * DAY;

        if (test_run(&m->store, DOI_OP_BOOKING_SWEEP, m->now,
                     bsweep_arg(m->now, 3), &m_answer)
            != DOI_WON
            || bsweep_answer(&m_answer).looked > 3)
        {
            m_check(m, 0, "end: sweep");
        }

        m_drain(m, 0);
    }

    for (i = 0; i < DOI_TABLES; i++) {
        if (i != DOI_TABLE_SUPPRESSED && rows(&m->store, i) != 0) {
            printf("# table %u: %u rows\n", i, (unsigned) rows(&m->store, i));
            m_check(m, 0, "end: a row is left");
        }
    }
}


static void
test_model(unsigned steps, uint64_t seed)
{
    unsigned        i;
    static model_t  m;

    memset(&m, 0, sizeof(m));
    m.seed = seed;
    m.now = T;

    for (i = 0; i < steps && m.fault == NULL; i++) {
        m_step(&m);
        m_drain(&m, 40);
    }

    if (!ok(m.fault == NULL, "%u random steps go as the model says", steps)) {
        printf("# step %u, op %u: %s\n", i, m.op, m.fault);
    }

    /* A test that never gets anywhere proves nothing. */

    for (i = DOI_OP_BOOKING_HOLD; i < DOI_OPS; i++) {
        printf("# op %u: %u won, %u refused\n", i, m.won[i], m.lost[i]);
    }

    for (i = DOI_EVENT_HELD; i <= DOI_EVENT_IN_DOUBT; i++) {
        printf("# %s: %u\n", doi_outbox_kind_name(i), m.written[i]);
        ok(m.written[i] > steps / 1000, "%s: has happened",
           doi_outbox_kind_name(i));
    }

    printf("# %u retries, %u settled late, %u limited, %u wrong codes, "
           "%u dropped\n", m.retries, m.late, m.limited, m.wrong, m.dropped);
    ok(m.retries > 20 && m.late > 20 && m.limited > 20 && m.wrong > 20
       && m.dropped > 20, "and all the rest too");

    m.fault = NULL;
    m_end_of_time(&m);

    if (!ok(m.fault == NULL, "in the end nothing is left")) {
        printf("# %s\n", m.fault);
    }

    test_store_free(&m.store);
    test_store_free(&m.before);
    test_store_free(&m.copy);
}


int
main(void)
{
    test_model(40000, 20240229);

    return done_testing();
}
