/*
 * The LMDB driver as its caller sees it: operations go to the leader over one
 * non-blocking connection, answers come back over it.
 *
 * An operation is kept, with its bytes, until it is answered.  So whatever
 * happens to the leader, nothing is lost that was accepted here:
 *
 *   the connection breaks       the leader is gone: its lock is free, and who
 *                               gets it leads.  All that is unanswered is
 *                               sent again, in order.  It may have been done;
 *                               transactions know their attempts again.
 *   nobody leads                we ask our service thread to try, and try to
 *                               connect, in turns, after 1, 2, 4 .. 50 ms
 *   the leader does not answer  (it hangs, or its disk does): the connection is
 *                               kept, since whoever hangs may commit later.
 *                               At the deadline DOI_UNKNOWN for what was sent,
 *                               DOI_RETRY for what was not.
 *   the leader is of another    nothing of ours was run, so it counts as not
 *   version                     sent; until it is gone, DOI_RETRY at the
 *                               deadline
 *   we crash                    what was written to the socket is run, and
 *                               nobody is told; the claims among it are in
 *                               doubt when their time is over
 *
 * Why DOI_UNKNOWN keeps its promise (done before anything that is submitted
 * later, or never): the leader drops what is past its deadline before it runs
 * it; what it runs, it has read before anything that is sent later; and a
 * leader that died takes unread operations with it.
 *
 * An operation that was sent to a leader that died, and is refused with
 * DOI_RETRY by its successor (too late, store full), may have been done by the
 * first: it is told as DOI_UNKNOWN.
 *
 * Deadlines are those of one clock for the whole machine, CLOCK_MONOTONIC, and
 * all operations of a process have the same time, so the oldest one expires
 * first.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "client_internal.h"


int
doi_client_watch(doi_client_t *c, int op, int fd, uint32_t events)
{
    struct epoll_event  ev;

    memset(&ev, 0, sizeof(ev));
    ev.events = events;
    ev.data.fd = fd;

    return epoll_ctl(c->epoll, op, fd, &ev);
}


doi_client_op_t **
doi_client_bucket(doi_client_t *c, uint64_t seq)
{
    return &c->buckets[(size_t) seq & c->mask];
}


/* Takes an operation out of all lists; its memory is the caller's. */

static void
client_unlink(doi_client_t *c, doi_client_op_t *op)
{
    doi_client_op_t  **p;

    if (c->unsent == op) {
        c->unsent = op->next;
    }

    if (c->head == op) {
        c->head = op->next;

    } else {
        op->prev->next = op->next;
    }

    if (c->tail == op) {
        c->tail = op->prev;

    } else {
        op->next->prev = op->prev;
    }

    for (p = doi_client_bucket(c, op->frame.seq); *p != op; p = &(*p)->chain) {
        /* void */
    }

    *p = op->chain;
    c->pending--;
}


void
doi_client_answer(doi_client_t *c, doi_client_op_t *op, doi_result_t result,
    doi_str_t answer)
{
    void              *data;
    doi_store_done_pt  done;

    if (result == DOI_RETRY && op->exposed) {
        result = DOI_UNKNOWN;
    }

    if (result == DOI_UNKNOWN) {
        atomic_fetch_add(&c->store.conf.stats->unknown, 1);
    }

    client_unlink(c, op);

    done = op->done;
    data = op->data;

    if (c->partial == op) {
        c->partial_dead = 1;

    } else {
        free(op);
    }

    done(data, result, answer);
}


/* all: whether or not their time is over. */

static void
client_expire(doi_client_t *c, int all)
{
    uint64_t          ns;
    doi_str_t         none = { NULL, 0 };
    doi_client_op_t  *op;

    if (c->head == NULL) {
        return;
    }

    ns = doi_store_ns();

    while (c->head != NULL && (all || ns >= c->head->frame.deadline)) {
        op = c->head;

        doi_client_answer(c, op,
                          op->sent || op->exposed ? DOI_UNKNOWN : DOI_RETRY,
                          none);
    }
}


/*
 * The timer is set to the first thing to come, and left alone when that is
 * gone: it then fires once for nothing, which is cheaper than setting it
 * for every operation.
 */

static void
client_set_timer(doi_client_t *c)
{
    uint64_t           at;
    struct itimerspec  it;

    at = c->head != NULL ? c->head->frame.deadline : 0;

    if (c->fd == -1 && !doi_lmdb_stopped(c->lmdb)
        && (at == 0 || c->retry_at < at))
    {
        at = c->retry_at;
    }

    if (at == 0 || (c->timer_ns != 0 && c->timer_ns <= at)) {
        return;
    }

    memset(&it, 0, sizeof(it));
    it.it_value.tv_sec = (time_t) (at / 1000000000);
    it.it_value.tv_nsec = (long) (at % 1000000000);

    if (timerfd_settime(c->timer, TFD_TIMER_ABSTIME, &it, NULL) == 0) {
        c->timer_ns = at;
    }
}


static void
client_take_timer(doi_client_t *c)
{
    uint64_t  n;

    if (c->timer_ns != 0 && doi_store_ns() >= c->timer_ns) {
        if (read(c->timer, &n, sizeof(n)) == (ssize_t) sizeof(n)) {
            c->timer_ns = 0;
        }
    }
}


static void
client_dispatch(doi_store_t *store)
{
    doi_client_t  *c;

    c = (doi_client_t *) store;

    if (c->dispatching) {
        return;
    }

    c->dispatching = 1;

    client_take_timer(c);

    if (doi_leader_event(c->leader)) {
        c->retry_at = 0;
    }

    /* Answers first: one that has come in time counts, even if we are late. */

    doi_client_receive(c);
    doi_client_connect(c);
    client_expire(c, doi_lmdb_stopped(c->lmdb));
    doi_client_send(c);
    client_set_timer(c);

    c->dispatching = 0;
}


static void
client_flush(doi_store_t *store)
{
    doi_client_t  *c;

    c = (doi_client_t *) store;

    if (c->dispatching || (c->unsent == NULL && c->timer_ns != 0)) {
        return;
    }

    if (c->fd != -1 && !c->blocked) {
        doi_client_send(c);
    }

    client_set_timer(c);
}


static int
client_submit(doi_store_t *store, unsigned op, doi_str_t arg,
    doi_store_done_pt done, void *data)
{
    size_t            size;
    doi_client_t     *c;
    doi_client_op_t  *o, **bucket;

    c = (doi_client_t *) store;

    if (c->closing || op == DOI_WIRE_HELLO || op > UINT16_MAX
        || doi_lmdb_stopped(c->lmdb))
    {
        return DOI_ERROR;
    }

    if (c->pending >= store->conf.queue_max) {
        atomic_fetch_add(&store->conf.stats->refused_queue, 1);
        return DOI_ERROR;
    }

    size = doi_wire_pad(arg.len);

    o = malloc(sizeof(doi_client_op_t) + size);
    if (o == NULL) {
        return DOI_ERROR;
    }

    o->done = done;
    o->data = data;
    o->size = sizeof(doi_frame_t) + size;
    o->sent = 0;
    o->exposed = 0;

    o->frame.len = (uint32_t) arg.len;
    o->frame.op = (uint16_t) op;
    o->frame.version = store->hooks.protocol;
    o->frame.seq = ++c->seq;
    o->frame.deadline = doi_store_ns()
                        + (uint64_t) store->conf.timeout_ms * 1000000;

    if (size != 0) {
        memset(o->arg + size - 8, 0, 8);
        memcpy(o->arg, arg.data, arg.len);
    }

    o->next = NULL;
    o->prev = c->tail;

    if (c->tail != NULL) {
        c->tail->next = o;

    } else {
        c->head = o;
    }

    c->tail = o;

    if (c->unsent == NULL) {
        c->unsent = o;
    }

    bucket = doi_client_bucket(c, o->frame.seq);
    o->chain = *bucket;
    *bucket = o;

    c->pending++;

    return DOI_OK;
}


static size_t
client_pending(doi_store_t *store)
{
    return ((doi_client_t *) store)->pending;
}


static int
client_fd(doi_store_t *store)
{
    return ((doi_client_t *) store)->epoll;
}


static void client_learn_mark(doi_client_t *c);


static doi_time_t
client_now(doi_store_t *store, doi_time_t wall)
{
    doi_client_t  *c;

    c = (doi_client_t *) store;
    client_learn_mark(c);

    return wall > c->mark ? wall : c->mark;
}


/* An idle process hears of the mark from the leader's gauge. */

static void
client_learn_mark(doi_client_t *c)
{
    uint64_t  mark;

    mark = atomic_load_explicit(&c->store.conf.stats->clock_mark,
                                memory_order_relaxed);

    if (mark > c->mark && mark <= UINT32_MAX) {
        c->mark = (doi_time_t) mark;
    }
}


static doi_result_t
client_read(doi_store_t *store, doi_txn_pt fn, doi_str_t arg, doi_buf_t *out)
{
    doi_client_t  *c;

    c = (doi_client_t *) store;
    client_learn_mark(c);

    return doi_lmdb_read(c->lmdb, fn, arg, out, doi_store_wall(), &c->mark);
}


static void
client_free(doi_client_t *c)
{
    doi_client_drop_partial(c);

    if (c->fd != -1) {
        (void) close(c->fd);
    }

    if (c->timer != -1) {
        (void) close(c->timer);
    }

    if (c->epoll != -1) {
        (void) close(c->epoll);
    }

    doi_store_done(&c->store);

    free(c->buckets);
    free(c->in);
    free(c);
}


static void
client_close(doi_store_t *store, uint32_t timeout_ms)
{
    uint64_t       end, ns;
    doi_client_t  *c;
    struct pollfd  pfd;

    c = (doi_client_t *) store;
    c->closing = 1;

    ns = doi_store_ns();
    end = ns + (uint64_t) timeout_ms * 1000000;

    client_dispatch(store);

    while (c->head != NULL && ns < end) {

        pfd.fd = c->epoll;
        pfd.events = POLLIN;

        if (poll(&pfd, 1, (int) ((end - ns + 999999) / 1000000)) > 0) {
            client_dispatch(store);
        }

        ns = doi_store_ns();
    }

    client_expire(c, 1);

    /* Our thread may be the leader: it finishes its batch and lets another
       one lead. */

    doi_leader_stop(c->leader);
    doi_lmdb_close(c->lmdb);

    client_free(c);
}


static const doi_store_ops_t  client_ops = {
    client_close,
    client_fd,
    client_dispatch,
    client_submit,
    client_flush,
    client_pending,
    client_read,
    client_now
};


/* The mark that the store had when it was last written. */

static doi_result_t
client_no_txn(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    (void) view;
    (void) now;
    (void) arg;
    (void) out;

    return DOI_WON;
}


int
doi_store_lmdb_open_hooks(const doi_store_conf_t *conf,
    const doi_store_hooks_t *hooks, doi_store_t **store, char *err,
    size_t errsize)
{
    size_t         n;
    doi_client_t  *c;
    doi_buf_t      out = { NULL, 0, 0 };
    doi_str_t      none = { NULL, 0 };

    c = calloc(1, sizeof(doi_client_t));

    if (c == NULL
        || doi_store_init(&c->store, &client_ops, conf, hooks) != DOI_OK)
    {
        free(c);
        (void) snprintf(err, errsize, "out of memory");
        return DOI_ERROR;
    }

    c->fd = -1;
    c->retry_ns = DOI_CLIENT_RETRY;

    for (n = 64; n < conf->queue_max && n < 65536; n *= 2) { /* void */ }

    c->mask = n - 1;
    c->buckets = calloc(n, sizeof(doi_client_op_t *));
    c->in = malloc(DOI_CLIENT_IN);
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    c->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC|TFD_NONBLOCK);

    if (c->buckets == NULL || c->in == NULL || c->epoll == -1
        || c->timer == -1
        || doi_client_watch(c, EPOLL_CTL_ADD, c->timer, EPOLLIN) == -1)
    {
        (void) snprintf(err, errsize, "doi_store \"%s\": %s%s", conf->path,
                        strerror(errno),
                        errno == EMFILE ? "; raise worker_rlimit_nofile" : "");
        client_free(c);
        return DOI_ERROR;
    }

    c->lmdb = doi_lmdb_open(&c->store, err, errsize);

    if (c->lmdb == NULL) {
        client_free(c);
        return DOI_ERROR;
    }

    c->leader = doi_leader_start(&c->store, c->lmdb, err, errsize);

    if (c->leader == NULL) {
        doi_lmdb_close(c->lmdb);
        client_free(c);
        return DOI_ERROR;
    }

    if (doi_client_watch(c, EPOLL_CTL_ADD, doi_leader_event_fd(c->leader),
                         EPOLLIN)
        == -1)
    {
        (void) snprintf(err, errsize, "doi_store \"%s\": %s", conf->path,
                        strerror(errno));
        doi_leader_stop(c->leader);
        doi_lmdb_close(c->lmdb);
        client_free(c);
        return DOI_ERROR;
    }

    (void) doi_lmdb_read(c->lmdb, client_no_txn, none, &out, 0, &c->mark);

    doi_client_connect(c);
    doi_client_send(c);
    client_set_timer(c);

    *store = &c->store;

    return DOI_OK;
}
