/*
 * A leader's batch: what all connections have brought, in one commit.
 *
 * Order: the operations of one connection are run as they came.  Between
 * connections there is no order but that of the batches, with one exception.
 * Whoever is told that a link is being booked right now gets a second look, in
 * a batch of its own time: core/link_look.c says why.
 *
 *   looked at        its answer asks for another look: it is put aside, with
 *                    its bytes, and is not answered
 *   the next rounds  every connection is read until its socket was empty once,
 *                    and what was read is run (clean)
 *   after that       all that were put aside are run again, and answered
 *
 * What is put aside meanwhile waits for the round after.
 *
 * Settlements are patient: nobody waits for their answers.  Where there is
 * nothing else to run they are held for a moment, in the buffers of their
 * connections, so that they share the commit of the next claim instead of
 * costing one of their own; whatever else comes takes them along at once.  And
 * their answers are kept for longer, to be sent with that of the next claim, so
 * that no worker is woken for one of them alone.
 *
 * A rush: several processes bring operations one after the other, each as soon
 * as its last ones are answered.  A leader that begins with the first would
 * commit them by ones and twos, which costs everybody more than the moment that
 * it waits for the others.  One process alone brings all it has at once.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>

#include "leader_internal.h"


#define LEADER_ROUNDS       16          /* batches that a second look waits   */
#define LEADER_SWEEP_MIN    16          /* rows                               */
#define LEADER_HELD         64          /* operations that are held           */
#define LEADER_BUSY         4           /* processes that make a rush         */
#define LEADER_KEPT         4096        /* bytes of answers, per connection   */
#define LEADER_REFUSED      10000000000ULL      /* ns between log lines       */


/*
 * The first frame of a connection.  A process that speaks another version, or
 * means another file by the same path, is told so and left alone: its
 * operations wait for a leader of its own kind.
 */

static void
leader_hello(doi_leader_t *l, doi_conn_t *c, const doi_frame_t *f,
    const uint8_t *arg)
{
    uint64_t       ns;
    doi_hello_t    hello;
    doi_file_id_t  id;

    memset(&hello, 0, sizeof(hello));

    if (f->len == sizeof(hello)) {
        memcpy(&hello, arg, sizeof(hello));
    }

    id = doi_lmdb_id(l->lmdb);

    if (f->version != l->store->hooks.protocol
        || hello.magic != DOI_WIRE_MAGIC
        || hello.data.dev != id.dev || hello.data.ino != id.ino)
    {
        /* It comes again four times a second. */

        ns = doi_store_ns();

        if (l->refused == 0 || ns - l->refused > LEADER_REFUSED) {
            l->refused = ns;
            doi_store_log(l->store, 4, "a process that speaks version %u of "
                          "the store's protocol (this one: %u)%s was refused; "
                          "it waits until the processes of this generation "
                          "are gone", f->version, l->store->hooks.protocol,
                          f->version == l->store->hooks.protocol
                          ? " but has another data.mdb open" : "");
        }

        (void) doi_conn_reply(c, DOI_WIRE_HELLO, DOI_CONFLICT, l->clock.mark,
                              l->store->hooks.protocol, NULL, 0);
        doi_conn_send(c);
        c->dead = 1;
        return;
    }

    c->greeted = 1;

    if (doi_conn_reply(c, DOI_WIRE_HELLO, DOI_WON, l->clock.mark,
                       l->store->hooks.protocol, NULL, 0)
        != DOI_OK)
    {
        c->dead = 1;
    }

    c->due = 1;
}


/* Adds the complete operations of one connection to the batch. */

static void
leader_collect_conn(doi_leader_t *l, doi_conn_t *c)
{
    int              rc;
    size_t           pos;
    doi_frame_t      f;
    doi_batch_op_t  *op;

    pos = c->in_pos;

    while (!c->dead && l->nops < DOI_LEADER_BATCH) {

        rc = doi_conn_frame(c, pos, &f);

        if (rc == DOI_NOT_FOUND) {

            /* All that had arrived when it was read is in this batch. */

            if (c->drained) {
                c->clean = 1;
            }

            return;
        }

        if (rc == DOI_ERROR
            || (c->greeted && f.version != l->store->hooks.protocol))
        {
            doi_store_log(l->store, 3, "a process has sent a frame that makes "
                          "no sense; its connection is closed");
            c->dead = 1;
            return;
        }

        if (!c->greeted) {
            leader_hello(l, c, &f, c->in + pos + sizeof(f));
            pos += sizeof(f) + doi_wire_pad(f.len);
            c->in_pos = pos;
            continue;
        }

        op = &l->ops[l->nops++];

        memset(op, 0, sizeof(doi_batch_op_t));
        op->function = doi_store_function(l->store, f.op);
        op->arg.data = c->in + pos + sizeof(f);
        op->arg.len = f.len;
        op->deadline = f.deadline;
        op->op = f.op;
        op->seq = f.seq;
        op->conn = c;

        pos += sizeof(f) + doi_wire_pad(f.len);
        op->end = pos;
    }

    if (!c->dead && doi_conn_frame(c, pos, &f) != DOI_NOT_FOUND) {
        l->more = 1;

    } else if (c->drained) {
        c->clean = 1;
    }
}


/* Does somebody wait for its answer? */

static int
leader_waits_for(const doi_leader_t *l, const doi_batch_op_t *op)
{
    return l->store->hooks.patient == NULL || !l->store->hooks.patient(op->op);
}


/*
 * May all that was collected wait?  Not what somebody waits for; nor the last
 * words of a process that is gone, which nobody would send again.
 */

static int
leader_is_patient(const doi_leader_t *l)
{
    size_t       i;
    doi_conn_t  *c;

    if (l->nops > LEADER_HELD || l->more || l->sweep_due
        || l->looks[l->current].n != 0)
    {
        return 0;
    }

    for (i = 0; i < l->nops; i++) {
        c = l->ops[i].conn;

        if (c->eof || c->dead || leader_waits_for(l, &l->ops[i])) {
            return 0;
        }
    }

    return l->nops != 0;
}


static int
leader_hold(doi_leader_t *l)
{
    struct itimerspec  it;

    if (!leader_is_patient(l) || (l->held && l->over)) {
        l->held = 0;
        return 0;
    }

    if (!l->held) {
        memset(&it, 0, sizeof(it));
        it.it_value.tv_sec = l->store->hooks.hold_us / 1000000;
        it.it_value.tv_nsec = l->store->hooks.hold_us % 1000000 * 1000;

        l->over = 0;
        l->held = timerfd_settime(l->timer, 0, &it, NULL) == 0;
    }

    return l->held;
}


/*
 * It sleeps, without looking at its connections: to be woken by each operation
 * that comes would cost as much as the commits that it saves.
 */

int
doi_leader_rush(const doi_leader_t *l, int ready)
{
    int               busy;
    uint64_t          ns, window;
    doi_conn_t       *c;
    struct timespec   ts;

    window = (uint64_t) l->store->hooks.rush_us * 1000;

    if (ready <= 0 || window == 0) {
        return 0;
    }

    ns = doi_store_ns();
    busy = 0;

    for (c = l->conns; c != NULL; c = c->next) {
        if (c->asked != 0 && ns - c->asked < window) {
            busy++;
        }
    }

    if (busy < LEADER_BUSY || busy <= ready) {
        return 0;
    }

    ts.tv_sec = l->store->hooks.rush_wait_us / 1000000;
    ts.tv_nsec = l->store->hooks.rush_wait_us % 1000000 * 1000;

    (void) nanosleep(&ts, NULL);

    return 1;
}


/*
 * New operations of all connections, each batch beginning with another one;
 * then those that get their second look, if every connection has been read to
 * its end since they had the first.
 */

void
doi_leader_collect(doi_leader_t *l)
{
    size_t           i;
    unsigned         ready;
    doi_conn_t      *c, *start;
    doi_look_t      *look;
    doi_batch_op_t  *op;
    doi_looks_t     *looks;

    l->nops = 0;
    l->more = 0;
    l->looking = 0;

    start = l->turn != NULL ? l->turn : l->conns;

    for (c = start; c != NULL; c = c->next) {
        leader_collect_conn(l, c);
    }

    for (c = l->conns; c != start; c = c->next) {
        leader_collect_conn(l, c);
    }

    l->turn = start != NULL ? start->next : NULL;

    if (leader_hold(l)) {
        l->nops = 0;
        return;
    }

    looks = &l->looks[l->current];

    if (looks->n == 0 || doi_store_ns() < l->gather) {
        return;
    }

    ready = 1;

    for (c = l->conns; c != NULL; c = c->next) {
        if (!c->clean && !c->dead) {
            ready = 0;
        }
    }

    /* Under so much load that a connection is never read to its end: "claimed"
       may be told a little late. */

    if (!ready && ++looks->rounds < LEADER_ROUNDS) {
        l->more = 1;
        return;
    }

    l->looking = 1;

    for (i = 0; i < looks->n; i++) {
        look = looks->looks[i];

        if (look->conn == NULL) {
            continue;
        }

        op = &l->ops[l->nops++];

        memset(op, 0, sizeof(doi_batch_op_t));
        op->function = doi_store_function(l->store, look->op);
        op->arg.data = look->arg;
        op->arg.len = look->len;
        op->deadline = look->deadline;
        op->op = look->op;
        op->seq = look->seq;
        op->conn = look->conn;
        op->looked = 1;
    }
}


/* Puts an operation aside for its second look; DOI_ERROR: answer it now. */

static int
leader_look_again(doi_leader_t *l, const doi_batch_op_t *op)
{
    doi_look_t   *look;
    doi_looks_t  *looks;

    looks = &l->looks[l->current ^ 1];

    if (op->looked || looks->n == DOI_LEADER_LOOKS
        || !l->store->hooks.again(op->op, op->result,
                                  doi_lmdb_answer(l->lmdb, op)))
    {
        return DOI_ERROR;
    }

    look = malloc(sizeof(doi_look_t) + op->arg.len);
    if (look == NULL) {
        return DOI_ERROR;
    }

    look->conn = op->conn;
    look->seq = op->seq;
    look->deadline = op->deadline;
    look->op = op->op;
    look->len = op->arg.len;
    memcpy(look->arg, op->arg.data, op->arg.len);

    looks->looks[looks->n++] = look;

    return DOI_OK;
}


void
doi_leader_free_looks(doi_looks_t *looks)
{
    size_t  i;

    for (i = 0; i < looks->n; i++) {
        free(looks->looks[i]);
    }

    looks->n = 0;
    looks->rounds = 0;
}


/*
 * The next round of second looks begins when the last one is over.  If the
 * answers grew too long for one batch, all of this round are run again; those
 * that were answered then get an answer that nobody waits for.
 */

static void
leader_turn_looks(doi_leader_t *l, size_t ran)
{
    doi_conn_t  *c;

    if (l->looking && ran == l->nops) {
        doi_leader_free_looks(&l->looks[l->current]);
    }

    if (l->looks[l->current].n == 0 && l->looks[l->current ^ 1].n != 0) {

        l->current ^= 1;

        for (c = l->conns; c != NULL; c = c->next) {
            c->clean = 0;
        }
    }
}


static void
leader_swept(doi_leader_t *l, const doi_batch_op_t *op)
{
    doi_str_t           bytes;
    doi_sweep_answer_t  answer;

    l->sweep_due = 0;
    bytes = doi_lmdb_answer(l->lmdb, op);

    if (op->result == DOI_RETRY || op->result == DOI_UNKNOWN) {

        /* It was too much for the room that is left. */

        if (l->sweep.limit > LEADER_SWEEP_MIN) {
            l->sweep.limit /= 2;
        }

        return;
    }

    if (bytes.len != sizeof(answer)) {
        return;
    }

    memcpy(&answer, bytes.data, sizeof(answer));
    memcpy(l->sweep.from, answer.next, sizeof(l->sweep.from));

    atomic_fetch_add(&l->store->conf.stats->dropped, answer.dropped);
    atomic_fetch_add(&l->store->conf.stats->released, answer.released);

    /* Where there is much to do, do not wait a second. */

    if (answer.dropped + answer.released > l->sweep.limit / 2) {
        l->sweep_due = 1;
    }

    l->sweep.limit = DOI_LEADER_SWEEP;
}


/* Sends the answers of a batch; those that nobody waits for may be kept. */

static void
leader_answer(doi_leader_t *l, uint64_t ns)
{
    doi_conn_t  *c;

    for (c = l->conns; c != NULL; c = c->next) {

        if (c->out_len == c->out_pos || c->blocked) {
            continue;
        }

        if (c->due || l->store->hooks.tell_us == 0
            || c->out_len - c->out_pos > LEADER_KEPT)
        {
            c->due = 0;
            doi_conn_send(c);

        } else if (l->tell_at == 0) {
            l->tell_at = ns + (uint64_t) l->store->hooks.tell_us * 1000;
        }
    }
}


void
doi_leader_tell(doi_leader_t *l)
{
    doi_conn_t  *c;

    l->tell_at = 0;

    for (c = l->conns; c != NULL; c = c->next) {
        if (c->out_len != c->out_pos && !c->blocked) {
            doi_conn_send(c);
        }
    }
}


/* Runs what has been collected, commits, answers. */

void
doi_leader_run(doi_leader_t *l)
{
    size_t           i, ran;
    uint64_t         ns;
    doi_str_t        answer;
    doi_time_t       now;
    doi_conn_t      *c;
    doi_batch_op_t  *op;

    now = doi_clock_tick(&l->clock, doi_store_wall(), doi_store_mono());

    if (l->sweep_due) {

        l->sweep.mark = l->clock.mark;

        op = &l->ops[l->nops++];
        memset(op, 0, sizeof(doi_batch_op_t));
        op->op = DOI_OP_SWEEP;
        op->function = doi_store_function(l->store, DOI_OP_SWEEP);
        op->arg.data = (const uint8_t *) &l->sweep;
        op->arg.len = sizeof(l->sweep);
    }

    atomic_store_explicit(&l->store->conf.stats->queue, (int64_t) l->nops,
                          memory_order_relaxed);

    if (l->nops == 0) {
        leader_turn_looks(l, 0);
        return;
    }

    doi_leader_at(l, DOI_AT_READ);

    ran = doi_lmdb_batch(l->lmdb, l->ops, l->nops, now, l->clock.mark);

    doi_leader_at(l, DOI_AT_COMMITTED);

    ns = doi_store_ns();

    for (i = 0; i < ran; i++) {
        op = &l->ops[i];
        c = op->conn;

        if (c == NULL) {
            leader_swept(l, op);
            continue;
        }

        if (leader_waits_for(l, op)) {
            c->asked = ns;
            c->due = 1;
        }

        if (!op->looked) {
            c->in_pos = op->end;

            if (leader_look_again(l, op) == DOI_OK) {
                continue;
            }
        }

        answer = doi_lmdb_answer(l->lmdb, op);

        if (doi_conn_reply(c, op->seq, op->result, l->clock.mark,
                           l->store->hooks.protocol, answer.data, answer.len)
            != DOI_OK)
        {
            c->dead = 1;
        }
    }

    if (ran < l->nops) {
        l->more = 1;
    }

    leader_turn_looks(l, ran);

    leader_answer(l, ns);

    doi_leader_at(l, DOI_AT_ANSWERED);

    atomic_store_explicit(&l->store->conf.stats->queue, 0,
                          memory_order_relaxed);
    atomic_store_explicit(&l->store->conf.stats->clock_mark, l->clock.mark,
                          memory_order_relaxed);
}
