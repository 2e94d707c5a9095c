/*
 * The courier's thread, and what its owner sees of it.
 *
 * Errands go in through one list and come back through another, both under one
 * lock that nobody holds while he does anything else.  The thread sleeps in
 * epoll, which has the sockets of all transfers and an eventfd.
 *
 * Each kind has its own limit of transfers, so that mail servers that hang do
 * not hold up webhooks.  A mail goes to a Maildir between two looks at the
 * network: that takes milliseconds.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "internal.h"


#define COURIER_SMTP        16          /* transfers at a time */
#define COURIER_HTTP        16
#define COURIER_SLOTS       (COURIER_SMTP + COURIER_HTTP)
#define COURIER_EVENTS      64

/* In epoll's data instead of a slot. */
#define COURIER_WAKE        UINT32_MAX


typedef struct {
    doi_errand_t        *head;
    doi_errand_t       **last;
} courier_list_t;

struct doi_courier_s {
    doi_courier_log_pt   log;
    void                *log_data;
    size_t               pending;       /* the owner's alone, as stopping */
    unsigned             stopping:1;

    pthread_t            thread;
    int                  results_fd;    /* eventfds */
    int                  wake_fd;
    int                  epoll;

    pthread_mutex_t      lock;
    courier_list_t       queue;         /* under the lock, as all of these */
    courier_list_t       results;
    uint64_t             stop_at;       /* ms, 0: not told to stop */

    /* The thread's alone. */

    courier_list_t       waiting;
    doi_transfer_t      *slots[COURIER_SLOTS];
    size_t               active;
};


static void courier_free(doi_courier_t *c);
static int courier_thread_start(doi_courier_t *c);
static void courier_signal(int fd);
static void courier_list_init(courier_list_t *list);
static void courier_list_add(courier_list_t *list, doi_errand_t *e);
static void courier_list_move(courier_list_t *to, courier_list_t *from);
static void *courier_thread(void *data);
static uint64_t courier_take(doi_courier_t *c);
static void courier_give(doi_courier_t *c, doi_errand_t *e);
static int courier_begin(doi_courier_t *c);
static int courier_begin_transfer(doi_courier_t *c, doi_errand_t *e);
static void courier_finish(doi_courier_t *c, size_t slot);
static int courier_timeout(doi_courier_t *c, uint64_t stop_at);
static void courier_wait(doi_courier_t *c, int timeout);
static void courier_timers(doi_courier_t *c);
static void courier_abort(doi_courier_t *c, courier_list_t *list);
static void courier_abort_transfers(doi_courier_t *c);


doi_courier_t *
doi_courier_start(doi_courier_log_pt log, void *log_data, char *err,
    size_t errsize)
{
    int             rc;
    char            buf[128];
    doi_courier_t  *c;

    /* Here, since it is not safe beside other threads everywhere. */

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        (void) snprintf(err, errsize, "curl_global_init() failed");
        return NULL;
    }

    c = calloc(1, sizeof(doi_courier_t));
    if (c == NULL) {
        curl_global_cleanup();
        (void) snprintf(err, errsize, "no memory");
        return NULL;
    }

    c->log = log;
    c->log_data = log_data;

    courier_list_init(&c->queue);
    courier_list_init(&c->results);
    courier_list_init(&c->waiting);

    (void) pthread_mutex_init(&c->lock, NULL);

    c->results_fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);
    c->wake_fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);
    c->epoll = epoll_create1(EPOLL_CLOEXEC);

    rc = c->results_fd == -1 || c->wake_fd == -1 || c->epoll == -1
         ? errno : courier_thread_start(c);

    if (rc != 0) {
        (void) snprintf(err, errsize, "starting the courier failed (%d: %s)",
                        rc, strerror_r(rc, buf, sizeof(buf)));
        courier_free(c);
        return NULL;
    }

    return c;
}


int
doi_courier_fd(doi_courier_t *c)
{
    return c->results_fd;
}


int
doi_courier_submit(doi_courier_t *c, const doi_job_t *job,
    doi_job_done_pt done, void *data)
{
    doi_errand_t  *e;

    if (c->stopping || c->pending >= DOI_COURIER_JOBS) {
        return DOI_ERROR;
    }

    e = doi_errand_copy(job);
    if (e == NULL) {
        return DOI_ERROR;
    }

    e->done = done;
    e->data = data;

    (void) pthread_mutex_lock(&c->lock);
    courier_list_add(&c->queue, e);
    (void) pthread_mutex_unlock(&c->lock);

    c->pending++;
    courier_signal(c->wake_fd);

    return DOI_OK;
}


void
doi_courier_dispatch(doi_courier_t *c)
{
    uint64_t          n;
    doi_errand_t     *e;
    courier_list_t    list;
    doi_job_result_t  result;

    /* before the list is taken: what comes later makes it readable again */
    (void) !read(c->results_fd, &n, sizeof(n));

    courier_list_init(&list);

    (void) pthread_mutex_lock(&c->lock);
    courier_list_move(&list, &c->results);
    (void) pthread_mutex_unlock(&c->lock);

    while ((e = list.head) != NULL) {

        list.head = e->next;
        c->pending--;

        result.outcome = e->outcome;
        result.code = e->code;
        result.retry_after = e->retry_after;
        result.etag = e->etag;
        result.text = e->text;
        result.body.data = e->body;
        result.body.len = e->body_len;

        e->done(e->data, &result);

        doi_errand_free(e);
    }
}


size_t
doi_courier_pending(const doi_courier_t *c)
{
    return c->pending;
}


void
doi_courier_stop(doi_courier_t *c, unsigned timeout_ms)
{
    uint64_t  stop_at;

    c->stopping = 1;
    stop_at = doi_courier_ms() + timeout_ms;

    (void) pthread_mutex_lock(&c->lock);
    c->stop_at = stop_at;
    (void) pthread_mutex_unlock(&c->lock);

    courier_signal(c->wake_fd);

    (void) pthread_join(c->thread, NULL);

    doi_courier_dispatch(c);
    courier_free(c);
}


static void
courier_free(doi_courier_t *c)
{
    if (c->epoll != -1) {
        (void) close(c->epoll);
    }

    if (c->wake_fd != -1) {
        (void) close(c->wake_fd);
    }

    if (c->results_fd != -1) {
        (void) close(c->results_fd);
    }

    (void) pthread_mutex_destroy(&c->lock);
    free(c);

    curl_global_cleanup();
}


/* 0, or errno. */

static int
courier_thread_start(doi_courier_t *c)
{
    int                 rc;
    sigset_t            all, old;
    struct epoll_event  ev;

    memset(&ev, 0, sizeof(ev));
    ev.events = EPOLLIN;
    ev.data.u64 = (uint64_t) COURIER_WAKE << 32;

    if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, c->wake_fd, &ev) == -1) {
        return errno;
    }

    (void) sigfillset(&all);
    (void) pthread_sigmask(SIG_BLOCK, &all, &old);

    rc = pthread_create(&c->thread, NULL, courier_thread, c);

    (void) pthread_sigmask(SIG_SETMASK, &old, NULL);

    if (rc == 0) {
        (void) pthread_setname_np(c->thread, "doi-courier");
    }

    return rc;
}


/* It cannot fail, but for a counter that is full: then it is readable. */

static void
courier_signal(int fd)
{
    uint64_t  one;

    one = 1;
    (void) !write(fd, &one, sizeof(one));
}


static void
courier_list_init(courier_list_t *list)
{
    list->head = NULL;
    list->last = &list->head;
}


static void
courier_list_add(courier_list_t *list, doi_errand_t *e)
{
    e->next = NULL;
    *list->last = e;
    list->last = &e->next;
}


static void
courier_list_move(courier_list_t *to, courier_list_t *from)
{
    if (from->head == NULL) {
        return;
    }

    *to->last = from->head;
    to->last = from->last;

    courier_list_init(from);
}


static void *
courier_thread(void *data)
{
    int             more;
    uint64_t        stop_at;
    doi_courier_t  *c;

    c = data;

    for ( ;; ) {

        stop_at = courier_take(c);

        if (stop_at != 0) {
            courier_abort(c, &c->waiting);

            if (c->active == 0 || doi_courier_ms() >= stop_at) {
                break;
            }
        }

        more = courier_begin(c);
        courier_wait(c, more ? 0 : courier_timeout(c, stop_at));
        courier_timers(c);
    }

    courier_abort_transfers(c);

    return NULL;
}


static uint64_t
courier_take(doi_courier_t *c)
{
    uint64_t  stop_at;

    (void) pthread_mutex_lock(&c->lock);

    courier_list_move(&c->waiting, &c->queue);
    stop_at = c->stop_at;

    (void) pthread_mutex_unlock(&c->lock);

    return stop_at;
}


static void
courier_give(doi_courier_t *c, doi_errand_t *e)
{
    (void) pthread_mutex_lock(&c->lock);
    courier_list_add(&c->results, e);
    (void) pthread_mutex_unlock(&c->lock);

    courier_signal(c->results_fd);
}


/*
 * Begins all for which there is room, in order of each kind, and does one for
 * a Maildir.  1: another of them waits.
 */

static int
courier_begin(doi_courier_t *c)
{
    int              written, more;
    doi_errand_t    *e, *next;
    courier_list_t   rest;

    written = 0;
    more = 0;
    courier_list_init(&rest);

    for (e = c->waiting.head; e != NULL; e = next) {

        next = e->next;

        if (e->job.kind == DOI_JOB_MAILDIR && !written) {
            doi_maildir_deliver(e);
            courier_give(c, e);
            written = 1;

        } else if (e->job.kind == DOI_JOB_MAILDIR) {
            courier_list_add(&rest, e);
            more = 1;

        } else if (courier_begin_transfer(c, e) != DOI_OK) {
            courier_list_add(&rest, e);
        }
    }

    courier_list_init(&c->waiting);
    courier_list_move(&c->waiting, &rest);

    return more;
}


static int
courier_begin_transfer(doi_courier_t *c, doi_errand_t *e)
{
    size_t  i, end;

    i = e->job.kind == DOI_JOB_SMTP ? 0 : COURIER_SMTP;
    end = e->job.kind == DOI_JOB_SMTP ? COURIER_SMTP : COURIER_SLOTS;

    while (i < end && c->slots[i] != NULL) {
        i++;
    }

    if (i == end) {
        return DOI_NOT_FOUND;
    }

    c->slots[i] = doi_transfer_start(e, c->epoll, (uint32_t) i);

    if (c->slots[i] == NULL) {
        doi_errand_settle(e, DOI_JOB_TEMPORARY, 0, "no memory");
        courier_give(c, e);
        return DOI_OK;
    }

    c->active++;
    courier_finish(c, i);

    return DOI_OK;
}


/* If it is settled. */

static void
courier_finish(doi_courier_t *c, size_t slot)
{
    doi_errand_t    *e;
    doi_transfer_t  *t;

    t = c->slots[slot];

    if (!t->settled) {
        return;
    }

    e = t->errand;

    doi_transfer_free(t);
    c->slots[slot] = NULL;
    c->active--;

    courier_give(c, e);
}


/* Milliseconds, -1: for ever. */

static int
courier_timeout(doi_courier_t *c, uint64_t stop_at)
{
    size_t           i;
    uint64_t         at, now;
    doi_transfer_t  *t;

    at = stop_at != 0 ? stop_at : UINT64_MAX;

    for (i = 0; i < COURIER_SLOTS; i++) {

        t = c->slots[i];

        if (t == NULL) {
            continue;
        }

        if (t->deadline < at) {
            at = t->deadline;
        }

        if (t->timer != 0 && t->timer < at) {
            at = t->timer;
        }
    }

    if (at == UINT64_MAX) {
        return -1;
    }

    now = doi_courier_ms();

    if (at <= now) {
        return 0;
    }

    return at - now < 60000 ? (int) (at - now) : 60000;
}


static void
courier_wait(doi_courier_t *c, int timeout)
{
    int                 i, n;
    size_t              slot;
    uint64_t            count;
    struct epoll_event  events[COURIER_EVENTS];

    n = epoll_wait(c->epoll, events, COURIER_EVENTS, timeout);

    if (n == -1 && errno != EINTR) {
        /* our bug; do not spin */
        c->log(c->log_data, 3, "courier: epoll_wait() failed");
        (void) usleep(100000);
    }

    for (i = 0; i < n; i++) {

        slot = (size_t) (events[i].data.u64 >> 32);

        if (slot == COURIER_WAKE) {
            (void) !read(c->wake_fd, &count, sizeof(count));

        } else if (c->slots[slot] != NULL) {
            doi_transfer_event(c->slots[slot],
                               (int) (events[i].data.u64 & UINT32_MAX),
                               events[i].events);
            courier_finish(c, slot);
        }
    }
}


static void
courier_timers(doi_courier_t *c)
{
    size_t           i;
    uint64_t         now;
    doi_transfer_t  *t;

    now = doi_courier_ms();

    for (i = 0; i < COURIER_SLOTS; i++) {

        t = c->slots[i];

        if (t == NULL) {
            continue;
        }

        if (t->timer != 0 && now >= t->timer) {
            doi_transfer_timer(t);
        }

        if (!t->settled && now >= t->deadline) {
            doi_transfer_expire(t);
        }

        courier_finish(c, i);
    }
}


static void
courier_abort(doi_courier_t *c, courier_list_t *list)
{
    doi_errand_t  *e;

    while ((e = list->head) != NULL) {

        list->head = e->next;

        doi_errand_settle(e, DOI_JOB_ABORTED, 0, "stopped before it began");
        courier_give(c, e);
    }

    courier_list_init(list);
}


static void
courier_abort_transfers(doi_courier_t *c)
{
    size_t           i;
    doi_transfer_t  *t;

    for (i = 0; i < COURIER_SLOTS; i++) {

        t = c->slots[i];

        if (t != NULL) {
            doi_transfer_settle(t, DOI_JOB_ABORTED, 0,
                                "stopped before the end");
            courier_finish(c, i);
        }
    }
}
