/*
 * The service thread: at most one process of all that share a store leads, and
 * its service thread runs the operations of all of them, many in one commit.
 *
 * Why a leader: LMDB has one writer, and a commit costs two syncs however much
 * is in it.  If every worker commits for itself they queue for LMDB's lock; if
 * one commits for all, whoever waits shares the next commit.
 *
 * Why sockets and not shared memory: a process that is killed at a bad moment
 * leaves no half-written queue behind, and the kernel tells everybody at once
 * that it is gone, by closing its connections.
 *
 * Leadership is flock(leader.lock).  The kernel gives it up when the last
 * thread of the process is gone, no sooner, so a write that was under way in
 * the kernel has ended before anybody else can lead.  Who holds it listens at
 * leader.sock.  Whoever loses its connection tries for the lock and for a new
 * connection in turns, and sends again all that was not answered.
 *
 * What a crash of the leader leaves, at each step of a batch:
 *
 *   before the commit       nothing; LMDB's old meta page stands, its robust
 *                           mutex goes to the next leader.  The operations
 *                           come again from their clients.
 *   in the commit           the same, or the same as after it
 *   after the commit,       they come again too, find what they did the first
 *   before the answers      time by their attempt id, and give that answer
 *   after some answers      those are done with; the others as above
 *   holding the lock,       the next one unlinks the dead socket and listens;
 *   not listening           meanwhile nobody can connect, and tries again
 *
 * A leader that hangs (a disk that does not answer, SIGSTOP) keeps its lock
 * and its connections.  Nobody takes over, since it may commit when it wakes:
 * operations run into their deadlines, and it drops those that did.
 *
 * A batch: read every connection that has something, run what is complete,
 * commit, answer, repeat.  What comes in during a commit is the next batch.  A
 * delay to make batches larger is added in a rush of several processes only, and
 * to operations that nobody waits for (leader_batch.c).
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "leader_internal.h"
#include "../core/link.h"


#define LEADER_EVENTS       256
#define LEADER_GATHER       100000000ULL        /* ns until all are connected */
#define LEADER_TICK         1000000000ULL       /* ns */
#define LEADER_SYNC_EVERY   10          /* ticks until an idle mark is kept   */
#define LEADER_READERS      30          /* ticks between reader checks        */


static void *leader_thread(void *data);
static void leader_lead(doi_leader_t *l);
static void leader_resign(doi_leader_t *l);
static int leader_listen(doi_leader_t *l);


void
doi_store_address(int dir, struct sockaddr_un *addr)
{
    memset(addr, 0, sizeof(struct sockaddr_un));

    addr->sun_family = AF_UNIX;
    (void) snprintf(addr->sun_path, sizeof(addr->sun_path),
                    "/proc/self/fd/%d/%s", dir, DOI_SOCKET_NAME);
}


static int
leader_watch(doi_leader_t *l, int fd, void *data)
{
    struct epoll_event  ev;

    memset(&ev, 0, sizeof(ev));
    ev.events = EPOLLIN;
    ev.data.ptr = data;

    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev);
}


static void
leader_free(doi_leader_t *l)
{
    if (l->epoll != -1) {
        (void) close(l->epoll);
    }

    if (l->wake != -1) {
        (void) close(l->wake);
    }

    if (l->event != -1) {
        (void) close(l->event);
    }

    if (l->timer != -1) {
        (void) close(l->timer);
    }

    free(l->ops);
    free(l);
}


doi_leader_t *
doi_leader_start(doi_store_t *store, doi_lmdb_t *lmdb, char *err,
    size_t errsize)
{
    int            rc;
    sigset_t       all, old;
    doi_leader_t  *l;

    l = calloc(1, sizeof(doi_leader_t));
    if (l == NULL) {
        (void) snprintf(err, errsize, "doi_store \"%s\": out of memory",
                        store->conf.path);
        return NULL;
    }

    l->store = store;
    l->lmdb = lmdb;
    l->lock = -1;
    l->listen = -1;

    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->wake = eventfd(0, EFD_CLOEXEC|EFD_NONBLOCK);
    l->event = eventfd(0, EFD_CLOEXEC|EFD_NONBLOCK);
    l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC|TFD_NONBLOCK);
    l->ops = malloc((DOI_LEADER_BATCH + DOI_LEADER_LOOKS + 1)
                    * sizeof(doi_batch_op_t));

    if (l->epoll == -1 || l->wake == -1 || l->event == -1 || l->timer == -1
        || l->ops == NULL
        || leader_watch(l, l->wake, &l->wake) == -1
        || leader_watch(l, l->timer, &l->timer) == -1)
    {
        (void) snprintf(err, errsize, "doi_store \"%s\": %s%s",
                        store->conf.path, strerror(errno),
                        errno == EMFILE ? "; raise worker_rlimit_nofile" : "");
        leader_free(l);
        return NULL;
    }

    /* Signals are the caller's. */

    (void) sigfillset(&all);
    (void) pthread_sigmask(SIG_BLOCK, &all, &old);

    rc = pthread_create(&l->thread, NULL, leader_thread, l);

    (void) pthread_sigmask(SIG_SETMASK, &old, NULL);

    if (rc != 0) {
        (void) snprintf(err, errsize, "doi_store \"%s\": cannot start a "
                        "thread: %s", store->conf.path, strerror(rc));
        leader_free(l);
        return NULL;
    }

    (void) pthread_setname_np(l->thread, "doi-store");

    return l;
}


void
doi_leader_stop(doi_leader_t *l)
{
    uint64_t  one = 1;

    atomic_store(&l->stop, 1);
    (void) !write(l->wake, &one, sizeof(one));

    (void) pthread_join(l->thread, NULL);

    leader_free(l);
}


void
doi_leader_poke(doi_leader_t *l)
{
    uint64_t  one = 1;

    if (!atomic_exchange(&l->poked, 1)) {
        (void) !write(l->wake, &one, sizeof(one));
    }
}


int
doi_leader_event_fd(doi_leader_t *l)
{
    return l->event;
}


int
doi_leader_event(doi_leader_t *l)
{
    uint64_t  n;

    if (!atomic_load_explicit(&l->happened, memory_order_acquire)) {
        return 0;
    }

    atomic_store(&l->happened, 0);
    (void) !read(l->event, &n, sizeof(n));

    return 1;
}


static void
leader_raise(doi_leader_t *l)
{
    uint64_t  one = 1;

    /* The descriptor last: whoever is woken by it finds the flag, and if the
       flag is taken before, the descriptor wakes once for nothing. */

    atomic_store(&l->happened, 1);
    (void) !write(l->event, &one, sizeof(one));
}


void
doi_leader_at(doi_leader_t *l, doi_point_t point)
{
    if (l->store->hooks.at != NULL) {
        l->store->hooks.at(point);
    }
}


/* Something in the way of leading; another may have more luck. */

static void
leader_cannot(doi_leader_t *l, const char *what, const char *name)
{
    int       error;
    uint64_t  ns;

    error = errno;
    ns = doi_store_ns();

    if (l->logged == 0 || ns - l->logged > 10 * LEADER_TICK) {
        l->logged = ns;
        doi_store_log(l->store, 3, "%s %s failed: %s; until a process can, "
                      "nothing is written", what, name, strerror(error));
    }
}


static void *
leader_thread(void *data)
{
    int                 n;
    uint64_t            count;
    doi_leader_t       *l;
    struct epoll_event  ev;

    l = data;

    /* The usual 0.05 ms are much beside what it waits for in a rush. */

    (void) prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0);

    while (!atomic_load(&l->stop)) {

        n = epoll_wait(l->epoll, &ev, 1, 1000);

        if (n == 1) {
            (void) !read(l->wake, &count, sizeof(count));
        }

        /* Once a second. */

        if (n == 0 && !doi_lmdb_stopped(l->lmdb)
            && doi_lmdb_check_files(l->lmdb) != DOI_OK)
        {
            leader_raise(l);
        }

        if (atomic_exchange(&l->poked, 0) && !atomic_load(&l->stop)
            && !doi_lmdb_stopped(l->lmdb))
        {
            leader_lead(l);
        }
    }

    return NULL;
}


/*
 * Takes the lock if it is free; never waits for it.  The file is looked up
 * again afterwards: a lock on a file that is no longer in its place would let
 * two processes lead.
 */

static int
leader_lock(doi_leader_t *l)
{
    int          fd, dir;
    struct stat  mine, there;

    dir = doi_lmdb_dir(l->lmdb);

    fd = openat(dir, DOI_LOCK_NAME, O_RDWR|O_CREAT|O_CLOEXEC|O_NOFOLLOW, 0600);

    if (fd == -1) {
        leader_cannot(l, "opening", DOI_LOCK_NAME);
        return DOI_ERROR;
    }

    if (flock(fd, LOCK_EX|LOCK_NB) == -1) {
        if (errno != EWOULDBLOCK) {
            leader_cannot(l, "locking", DOI_LOCK_NAME);
        }

        (void) close(fd);
        return DOI_ERROR;
    }

    if (fstat(fd, &mine) == -1
        || fstatat(dir, DOI_LOCK_NAME, &there, 0) == -1
        || mine.st_dev != there.st_dev || mine.st_ino != there.st_ino)
    {
        (void) close(fd);
        return DOI_ERROR;
    }

    l->lock = fd;
    l->lock_id.dev = (uint64_t) mine.st_dev;
    l->lock_id.ino = (uint64_t) mine.st_ino;

    return DOI_OK;
}


static int
leader_listen(doi_leader_t *l)
{
    int                 fd, dir;
    struct stat         st;
    struct sockaddr_un  addr;

    if (l->listen != -1) {
        (void) close(l->listen);
        l->listen = -1;
    }

    dir = doi_lmdb_dir(l->lmdb);
    doi_store_address(dir, &addr);

    /* Left by a leader that died; with the lock in hand, nobody's. */

    (void) unlinkat(dir, DOI_SOCKET_NAME, 0);

    fd = socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, 0);

    /* On Linux a socket in the file system gets the mode of its descriptor;
       umask would be the whole process's. */

    if (fd == -1
        || fchmod(fd, 0600) == -1
        || bind(fd, (struct sockaddr *) &addr, sizeof(addr)) == -1
        || listen(fd, 1024) == -1
        || fstatat(dir, DOI_SOCKET_NAME, &st, AT_SYMLINK_NOFOLLOW) == -1
        || leader_watch(l, fd, &l->listen) == -1)
    {
        leader_cannot(l, "listening at", DOI_SOCKET_NAME);

        if (fd != -1) {
            (void) close(fd);
        }

        return DOI_ERROR;
    }

    l->listen = fd;
    l->deaf = 0;
    l->listen_id.dev = (uint64_t) st.st_dev;
    l->listen_id.ino = (uint64_t) st.st_ino;

    return DOI_OK;
}


static void
leader_accept(doi_leader_t *l)
{
    int                 fd;
    doi_conn_t         *c;
    socklen_t           len;
    struct ucred        peer;
    struct epoll_event  ev;

    for ( ;; ) {
        fd = accept4(l->listen, NULL, NULL, SOCK_CLOEXEC|SOCK_NONBLOCK);

        if (fd == -1) {
            if (errno == EINTR || errno == ECONNABORTED) {
                continue;
            }

            if (errno != EAGAIN) {
                leader_cannot(l, "accepting at", DOI_SOCKET_NAME);

                /* Out of descriptors: do not spin until there are some. */

                memset(&ev, 0, sizeof(ev));
                (void) epoll_ctl(l->epoll, EPOLL_CTL_DEL, l->listen, &ev);
                l->deaf = 1;
            }

            return;
        }

        len = sizeof(peer);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1
            || (peer.uid != geteuid() && peer.uid != 0))
        {
            (void) close(fd);
            continue;
        }

        c = doi_conn_create(fd, l->epoll);
        if (c == NULL) {
            continue;
        }

        c->next = l->conns;
        l->conns = c;
    }
}


/* Takes connections that have ended out of the list. */

static void
leader_reap(doi_leader_t *l)
{
    size_t       i, k;
    doi_conn_t  *c, **p;

    for (p = &l->conns; *p != NULL; /* void */ ) {
        c = *p;

        if (!c->dead) {
            p = &c->next;
            continue;
        }

        for (k = 0; k < 2; k++) {
            for (i = 0; i < l->looks[k].n; i++) {
                if (l->looks[k].looks[i]->conn == c) {
                    l->looks[k].looks[i]->conn = NULL;
                }
            }
        }

        if (l->turn == c) {
            l->turn = NULL;
        }

        *p = c->next;
        doi_conn_close(c);
    }
}


/* Are we still who we think we are?  DOI_ERROR: no longer leading. */

static int
leader_check(doi_leader_t *l)
{
    int          dir;
    struct stat  st;

    if (doi_lmdb_check_files(l->lmdb) != DOI_OK) {
        return DOI_ERROR;
    }

    dir = doi_lmdb_dir(l->lmdb);

    if (fstatat(dir, DOI_LOCK_NAME, &st, 0) == -1
        || (uint64_t) st.st_dev != l->lock_id.dev
        || (uint64_t) st.st_ino != l->lock_id.ino)
    {
        doi_store_log(l->store, 4, DOI_LOCK_NAME " was replaced or removed; "
                      "leadership is laid down and asked for again");
        return DOI_ERROR;
    }

    if (fstatat(dir, DOI_SOCKET_NAME, &st, AT_SYMLINK_NOFOLLOW) == -1
        || (uint64_t) st.st_dev != l->listen_id.dev
        || (uint64_t) st.st_ino != l->listen_id.ino)
    {
        doi_store_log(l->store, 4, DOI_SOCKET_NAME " was replaced or removed; "
                      "it is made anew");

        return leader_listen(l);
    }

    if (l->deaf && leader_watch(l, l->listen, &l->listen) == 0) {
        l->deaf = 0;
    }

    return DOI_OK;
}


static int
leader_tick(doi_leader_t *l, uint64_t ns)
{
    if (ns < l->next_tick) {
        return DOI_OK;
    }

    l->next_tick = ns + LEADER_TICK;
    l->ticks++;

    if (leader_check(l) != DOI_OK) {
        return DOI_ERROR;
    }

    (void) doi_clock_tick(&l->clock, doi_store_wall(), doi_store_mono());

    if (doi_store_function(l->store, DOI_OP_SWEEP) != NULL) {
        l->sweep_due = 1;
    }

    /* Batches that write keep the mark on their way.  An idle store must not
       sync every second for its sake alone. */

    if (l->ticks % LEADER_SYNC_EVERY == 0) {
        doi_lmdb_persist_mark(l->lmdb, l->clock.mark);
    }

    if (l->ticks % LEADER_READERS == 0) {
        doi_lmdb_reader_check(l->lmdb);
    }

    atomic_store_explicit(&l->store->conf.stats->clock_mark, l->clock.mark,
                          memory_order_relaxed);

    return DOI_OK;
}


static int
leader_begin(doi_leader_t *l)
{
    doi_time_t  mark;

    if (leader_lock(l) != DOI_OK) {
        return DOI_ERROR;
    }

    doi_leader_at(l, DOI_AT_LOCKED);

    mark = 0;

    if (doi_lmdb_check_files(l->lmdb) != DOI_OK
        || doi_lmdb_start(l->lmdb, &mark) != DOI_OK
        || leader_listen(l) != DOI_OK)
    {
        return DOI_ERROR;
    }

    doi_clock_init(&l->clock, mark);
    doi_lmdb_reader_check(l->lmdb);

    memset(&l->sweep, 0, sizeof(l->sweep));
    l->sweep.limit = DOI_LEADER_SWEEP;
    l->sweep_due = 0;
    l->more = 0;
    l->held = 0;
    l->tell_at = 0;
    l->ticks = 0;
    l->next_tick = doi_store_ns() + LEADER_TICK;
    l->gather = doi_store_ns() + LEADER_GATHER;

    atomic_fetch_add(&l->store->conf.stats->leaders, 1);

    doi_leader_at(l, DOI_AT_LISTENING);
    leader_raise(l);

    return DOI_OK;
}


/* The shorter one of a timeout and what is left until then, in ms; 0: never. */

static int
leader_until(uint64_t at, uint64_t ns, int timeout)
{
    int  ms;

    if (at == 0) {
        return timeout;
    }

    ms = at > ns ? (int) ((at - ns) / 1000000) + 1 : 0;

    return ms < timeout ? ms : timeout;
}


static void
leader_lead(doi_leader_t *l)
{
    int                 i, n, timeout;
    uint64_t            ns, count, flush;
    doi_conn_t         *c;
    struct epoll_event  events[LEADER_EVENTS];

    if (leader_begin(l) != DOI_OK) {
        leader_resign(l);
        return;
    }

    while (!atomic_load_explicit(&l->stop, memory_order_relaxed)
           && !doi_lmdb_stopped(l->lmdb))
    {
        timeout = 0;

        ns = doi_store_ns();

        if (!l->more && !l->sweep_due
            && (l->looks[l->current].n == 0 || ns < l->gather))
        {
            if (l->looks[l->current].n != 0) {
                timeout = (int) ((l->gather - ns) / 1000000) + 1;

            } else if (l->next_tick > ns) {
                timeout = (int) ((l->next_tick - ns) / 1000000) + 1;
            }
        }

        timeout = leader_until(doi_lmdb_flush_at(l->lmdb), ns, timeout);
        timeout = leader_until(l->tell_at, ns, timeout);

        n = epoll_wait(l->epoll, events, LEADER_EVENTS, timeout);

        if (doi_leader_rush(l, n)) {
            n = epoll_wait(l->epoll, events, LEADER_EVENTS, 0);
        }

        /* A second look needs every connection, whether or not epoll has
           had room for all of them. */

        for (c = l->conns; c != NULL; c = c->next) {
            c->drained = 0;
        }

        for (i = 0; i < n; i++) {

            if (events[i].data.ptr == &l->wake) {
                (void) !read(l->wake, &count, sizeof(count));
                atomic_store(&l->poked, 0);
                continue;
            }

            if (events[i].data.ptr == &l->timer) {
                (void) !read(l->timer, &count, sizeof(count));
                l->over = 1;
                continue;
            }

            if (events[i].data.ptr == &l->listen) {
                leader_accept(l);
                continue;
            }

            c = events[i].data.ptr;

            if (events[i].events & EPOLLOUT) {
                doi_conn_send(c);
            }

            if (events[i].events & ~(uint32_t) EPOLLOUT) {
                doi_conn_read(c);
            }
        }

        if (l->looks[l->current].n != 0) {
            for (c = l->conns; c != NULL; c = c->next) {
                if (!c->clean && !c->drained) {
                    doi_conn_read(c);
                }
            }
        }

        if (leader_tick(l, doi_store_ns()) != DOI_OK) {
            break;
        }

        doi_leader_collect(l);
        doi_leader_run(l);

        if (l->tell_at != 0 && doi_store_ns() >= l->tell_at) {
            doi_leader_tell(l);
        }

        for (c = l->conns; c != NULL; c = c->next) {
            doi_conn_update(c);
        }

        leader_reap(l);

        flush = doi_lmdb_flush_at(l->lmdb);

        if (flush != 0 && doi_store_ns() >= flush) {
            doi_lmdb_flush(l->lmdb, l->clock.mark);
        }
    }

    /* Time that an idle store has not kept yet. */

    if (!doi_lmdb_stopped(l->lmdb)) {
        (void) doi_clock_tick(&l->clock, doi_store_wall(), doi_store_mono());
        doi_lmdb_persist_mark(l->lmdb, l->clock.mark);
    }

    leader_resign(l);
}


/*
 * The lock goes before the connections: who loses one finds the lock free.
 * What was read and not run is sent again by its owner to the next leader.
 */

static void
leader_resign(doi_leader_t *l)
{
    doi_conn_t  *c;

    /* Before anybody else can lead. */

    doi_lmdb_end(l->lmdb, l->clock.mark);
    doi_leader_tell(l);

    if (l->listen != -1) {
        (void) unlinkat(doi_lmdb_dir(l->lmdb), DOI_SOCKET_NAME, 0);
        (void) close(l->listen);
        l->listen = -1;
    }

    if (l->lock != -1) {
        (void) close(l->lock);
        l->lock = -1;
    }

    for (c = l->conns; c != NULL; c = c->next) {
        c->dead = 1;
    }

    leader_reap(l);
    doi_leader_free_looks(&l->looks[0]);
    doi_leader_free_looks(&l->looks[1]);

    if (doi_lmdb_stopped(l->lmdb)) {
        leader_raise(l);
    }
}
