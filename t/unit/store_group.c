/*
 * Group commit over several processes: leaders that are killed at every step,
 * stopped, replaced and shut down; stores that are full, disks that fail,
 * files that are swapped, processes of two versions.
 *
 * The parent forks helpers first and opens the store afterwards, since a
 * process with a store open must not fork.  They meet in shared memory.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <lmdb.h>

#include "tap.h"
#include "store_toy.h"


#define PROCS       6
#define SLOTS       24
#define KEYS        400
#define COUNTERS    3


typedef struct {
    doi_store_stats_t  stats;
    _Atomic int        leader;          /* pid of the last that listened      */
    _Atomic int        stop;
    _Atomic int        step;            /* what the scene has come to         */
    _Atomic int        point;           /* where to die, 0: nowhere           */
    _Atomic int        victim;          /* pid that dies there, 0: any        */
    _Atomic int        hold;            /* the leader waits while it is 1     */
    _Atomic int        held;
    _Atomic unsigned   log_lines;
    char               log[16][512];
} shared_t;

/* What a callback tells the parent; short enough to be written at once. */

typedef struct {
    uint32_t           kind;            /* operation, 0: a check failed       */
    uint32_t           result;
    toy_claim_t        claim;
} record_t;


static shared_t          *sh;
static char               dir[256];
static doi_store_hooks_t  hooks;
static unsigned           timeout_ms = 5000;
static int                late;
static uint64_t           size_conf = 67108864;
static int                report = -1;


/*
 * Failures of the disk: LMDB and the log find these instead of libc's.  Meta
 * pages are written by pwrite at the start of the file, data pages above them,
 * and so are the records of the log.
 */

static _Atomic int  fail_data, fail_meta, fail_sync, fail_log;
static _Atomic int  die_meta;           /* killed when a meta page is written */


static int
is_log(int fd)
{
    char         name[300];
    struct stat  log, st;

    (void) snprintf(name, sizeof(name), "%s/data.log", dir);

    return stat(name, &log) == 0 && fstat(fd, &st) == 0
           && log.st_ino == st.st_ino;
}


ssize_t
pwrite(int fd, const void *buf, size_t n, off_t off)
{
    if (atomic_load(&fail_log) && is_log(fd)) {
        errno = fail_log;
        return -1;
    }

    if (off < 8192 && atomic_load(&fail_meta)) {
        errno = atomic_exchange(&fail_meta, 0);
        return -1;
    }

    if (off >= 8192 && atomic_load(&fail_data)) {
        errno = fail_data;
        return -1;
    }

    if (off < 8192 && atomic_load(&die_meta)) {
        (void) !syscall(SYS_pwrite64, fd, buf, n, off);
        (void) raise(SIGKILL);
    }

    return syscall(SYS_pwrite64, fd, buf, n, off);
}


ssize_t
writev(int fd, const struct iovec *iov, int n)
{
    if (atomic_load(&fail_data)) {
        errno = fail_data;
        return -1;
    }

    return syscall(SYS_writev, fd, iov, n);
}


int
fdatasync(int fd)
{
    if (atomic_load(&fail_sync)) {
        errno = fail_sync;
        return -1;
    }

    return (int) syscall(SYS_fdatasync, fd);
}


static void
msleep(unsigned ms)
{
    struct timespec  ts;

    ts.tv_sec = ms / 1000;
    ts.tv_nsec = (long) (ms % 1000) * 1000000;

    (void) nanosleep(&ts, NULL);
}


static int
wait_for(_Atomic int *p, int value)
{
    unsigned  i;

    for (i = 0; i < 20000; i++) {
        if (atomic_load(p) >= value) {
            return 1;
        }

        msleep(1);
    }

    printf("# gave up waiting for %d\n", value);

    return 0;
}


/* Whoever finds no data.mdb is late with what follows, if it is to be. */

int
fstatat(int dirfd, const char *restrict name, struct stat *restrict st,
    int flags)
{
    int  rc;

    rc = (int) syscall(SYS_newfstatat, dirfd, name, st, flags);

    if (rc == -1 && late && strcmp(name, "data.mdb") == 0) {
        late = 0;
        atomic_store(&sh->step, 1);
        (void) wait_for(&sh->step, 2);
        errno = ENOENT;
    }

    return rc;
}


static void
log_line(void *data, int level, const char *msg)
{
    unsigned  n;

    (void) data;

    n = atomic_fetch_add(&sh->log_lines, 1);

    (void) snprintf(sh->log[n % 16], sizeof(sh->log[0]), "%d %s", level, msg);
}


static int
was_logged(const char *text)
{
    unsigned  i;

    for (i = 0; i < 16; i++) {
        if (strstr(sh->log[i], text) != NULL) {
            return 1;
        }
    }

    return 0;
}


static void
at(doi_point_t point)
{
    if (point == DOI_AT_LISTENING) {
        atomic_store(&sh->leader, getpid());
    }

    if (point == DOI_AT_READ && atomic_load(&sh->hold)) {
        atomic_store(&sh->held, 1);

        while (atomic_load(&sh->hold)) {
            msleep(1);
        }
    }

    if (atomic_load(&sh->point) == (int) point
        && (sh->victim == 0 || sh->victim == getpid()))
    {
        atomic_store(&sh->point, 0);
        (void) kill(getpid(), SIGKILL);
        msleep(10000);
    }
}


static int
try_open(doi_store_t **store, char *err, size_t errsize)
{
    doi_store_conf_t  conf;

    memset(&conf, 0, sizeof(conf));
    conf.path = dir;
    conf.size = size_conf;
    conf.queue_max = 512;
    conf.timeout_ms = timeout_ms;
    conf.stats = &sh->stats;
    conf.log = log_line;

    return doi_store_lmdb_open_hooks(&conf, &hooks, store, err, errsize);
}


static doi_store_t *
open_store(void)
{
    char          err[1024];
    doi_store_t  *store;

    if (try_open(&store, err, sizeof(err)) != DOI_OK) {
        printf("Bail out! %s\n", err);
        exit(1);
    }

    return store;
}


static int
open_fails(const char *why)
{
    char          err[1024];
    doi_store_t  *store;

    if (try_open(&store, err, sizeof(err)) == DOI_OK) {
        doi_store_close(store, 1000);
        return 0;
    }

    return strstr(err, why) != NULL;
}


static void
turn(doi_store_t *store, int ms)
{
    struct pollfd  pfd;

    doi_store_flush(store);

    pfd.fd = doi_store_fd(store);
    pfd.events = POLLIN;

    if (poll(&pfd, 1, ms) > 0) {
        doi_store_dispatch(store);
    }
}


/* One operation at a time. */

typedef struct {
    unsigned      calls;
    doi_result_t  result;
    size_t        len;
    uint8_t       bytes[256];
} answer_t;


static void
one_done(void *data, doi_result_t result, doi_str_t answer)
{
    answer_t  *a;

    a = data;
    a->calls++;
    a->result = result;
    a->len = answer.len;

    if (answer.len != 0 && answer.len <= sizeof(a->bytes)) {
        memcpy(a->bytes, answer.data, answer.len);
    }
}


static doi_result_t
one(doi_store_t *store, unsigned op, const void *arg, size_t len, answer_t *a)
{
    unsigned  i;
    answer_t  mine;

    if (a == NULL) {
        a = &mine;
    }

    memset(a, 0, sizeof(answer_t));

    if (doi_store_submit(store, op, toy_str(arg, len), one_done, a) != DOI_OK)
    {
        return (doi_result_t) 99;
    }

    for (i = 0; i < 20000 && a->calls == 0; i++) {
        turn(store, 1000);
    }

    return a->calls == 1 ? a->result : (doi_result_t) 98;
}


static doi_result_t
set(doi_store_t *store, const char *key, const char *value)
{
    uint8_t  arg[512];

    return one(store, TOY_SET, arg,
               toy_set_arg(arg, key, strlen(key), value, strlen(value)), NULL);
}


static int
has(doi_store_t *store, const char *key, const char *value)
{
    uint8_t       bytes[512];
    doi_buf_t     out = { bytes, 0, sizeof(bytes) };
    doi_result_t  result;

    result = doi_store_read(store, toy_get, toy_str(key, strlen(key)), &out);

    if (value == NULL) {
        return result == DOI_CONFLICT;
    }

    return result == DOI_WON && out.len == strlen(value)
           && memcmp(bytes, value, out.len) == 0;
}


static void
fresh_dir(void)
{
    (void) snprintf(dir, sizeof(dir), "/tmp/doi-group-XXXXXX");

    if (mkdtemp(dir) == NULL) {
        printf("Bail out! mkdtemp: %s\n", strerror(errno));
        exit(1);
    }

    memset((void *) sh, 0, sizeof(shared_t));

    hooks = toy_hooks;
    hooks.at = at;
    timeout_ms = 5000;
    size_conf = 67108864;
}


static void
drop_dir(void)
{
    char  cmd[300];

    (void) snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
    (void) !system(cmd);
}


static pid_t
spawn(void (*fn)(void))
{
    pid_t  pid;

    (void) fflush(stdout);

    pid = fork();

    if (pid == 0) {
        fn();
        (void) fflush(stdout);
        _exit(0);
    }

    return pid;
}


static int
reap(pid_t pid)
{
    int  status;

    while (waitpid(pid, &status, 0) == -1 && errno == EINTR) { /* void */ }

    return status;
}


/*
 * The hammer: processes that claim keys and count, while others are killed.
 */

typedef struct {
    doi_store_t  *store;
    record_t      r;
    unsigned      pending;
} slot_t;

static uint64_t  serial;

static void hammer_next(slot_t *slot);


static void
hammer_done(void *data, doi_result_t result, doi_str_t answer)
{
    slot_t  *slot;

    (void) answer;

    slot = data;

    if (slot->pending != 1) {
        slot->r.kind = 0;
    }

    slot->pending = 0;
    slot->r.result = result;

    (void) !write(report, &slot->r, sizeof(record_t));

    hammer_next(slot);
}


static void
hammer_next(slot_t *slot)
{
    if (atomic_load(&sh->stop)) {
        return;
    }

    memset(&slot->r, 0, sizeof(record_t));

    serial++;
    slot->r.kind = serial % 3 ? TOY_CLAIM : TOY_COUNT;
    memcpy(slot->r.claim.attempt, &serial, 8);
    memcpy(slot->r.claim.attempt + 8, &(pid_t) { getpid() }, sizeof(pid_t));

    slot->r.claim.key = slot->r.kind == TOY_CLAIM
                        ? 1000 + (uint64_t) random() % KEYS
                        : (uint64_t) random() % COUNTERS;
    slot->pending = 1;

    if (doi_store_submit(slot->store, slot->r.kind,
                         toy_str(&slot->r.claim, sizeof(toy_claim_t)),
                         hammer_done, slot)
        != DOI_OK)
    {
        slot->r.kind = 0;
        (void) !write(report, &slot->r, sizeof(record_t));
    }
}


static void
hammer(void)
{
    size_t        i;
    slot_t        slots[SLOTS];
    doi_store_t  *store;

    srandom((unsigned) getpid());
    store = open_store();

    for (i = 0; i < SLOTS; i++) {
        slots[i].store = store;
        hammer_next(&slots[i]);
    }

    while (doi_store_pending(store) != 0) {
        turn(store, 100);
    }

    doi_store_close(store, 5000);
}


static int
count_row(void *data, doi_str_t key, doi_str_t value)
{
    (void) key;
    (void) value;

    (*(uint64_t *) data)++;

    return DOI_OK;
}


static doi_result_t
count_open(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    uint64_t  n;

    (void) now;
    (void) arg;

    n = 0;

    if (view->scan(view, DOI_TABLE_OPEN, toy_str("", 0), count_row, &n)
        != DOI_OK)
    {
        return DOI_RETRY;
    }

    return toy_out(out, &n, sizeof(n));
}


static doi_result_t
get_open(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    doi_str_t  value;

    (void) now;
    (void) out;

    return view->get(view, DOI_TABLE_OPEN, arg, &value) == DOI_OK
           ? DOI_WON : DOI_CONFLICT;
}


typedef struct {
    record_t  *list;
    size_t     n;
    size_t     room;
} records_t;


static void
drain(int fd, records_t *recs)
{
    ssize_t  n;

    for ( ;; ) {
        if (recs->n == recs->room) {
            recs->room = recs->room ? recs->room * 2 : 65536;
            recs->list = realloc(recs->list, recs->room * sizeof(record_t));

            if (recs->list == NULL) {
                exit(1);
            }
        }

        n = read(fd, &recs->list[recs->n], sizeof(record_t));

        if (n != (ssize_t) sizeof(record_t)) {
            return;
        }

        recs->n++;
    }
}


static void
verify(const records_t *recs, unsigned kills)
{
    size_t        i, won, unknown, retry, lost, twice, broken;
    uint8_t       bytes[64], (*winner)[16];
    uint64_t      n, sum, rows, counted;
    doi_buf_t     out = { bytes, 0, sizeof(bytes) };
    doi_store_t  *store;
    const record_t  *r;

    store = open_store();
    (void) set(store, "settled", "yes");

    won = unknown = retry = lost = twice = broken = 0;
    counted = 0;
    winner = calloc(KEYS, 16);

    for (i = 0; winner != NULL && i < recs->n; i++) {
        r = &recs->list[i];

        if (r->kind == 0) {
            broken++;
            continue;
        }

        unknown += r->result == DOI_UNKNOWN;
        retry += r->result == DOI_RETRY;

        if (r->result != DOI_WON) {
            continue;
        }

        won++;

        if (r->kind == TOY_COUNT) {
            counted++;

            if (doi_store_read(store, get_open, toy_str(r->claim.attempt, 16),
                               &out)
                != DOI_WON)
            {
                lost++;
            }

            continue;
        }

        if (memcmp(winner[r->claim.key - 1000], "\0\0\0\0\0\0\0\0", 8) != 0) {
            twice++;
        }

        memcpy(winner[r->claim.key - 1000], r->claim.attempt, 16);

        if (doi_store_read(store, toy_get,
                           toy_str(&r->claim.key, sizeof(uint64_t)), &out)
            != DOI_WON
            || out.len != 16 || memcmp(bytes, r->claim.attempt, 16) != 0)
        {
            lost++;
        }
    }

    sum = 0;

    for (n = 0; n < COUNTERS; n++) {
        rows = 0;

        if (doi_store_read(store, toy_get, toy_str(&n, sizeof(n)), &out)
            == DOI_WON)
        {
            memcpy(&rows, bytes, sizeof(rows));
        }

        sum += rows;
    }

    rows = 0;
    (void) doi_store_read(store, count_open, toy_str("", 0), &out);
    memcpy(&rows, bytes, sizeof(rows));

    is_int(broken, 0, "hammer: no callback came twice, none was refused");
    is_int(lost, 0, "hammer: every win that was told is in the store");
    is_int(twice, 0, "hammer: no key was won twice");
    is_int(sum, rows, "hammer: each attempt counted once");
    ok(sum >= counted, "hammer: all that was told was counted");
    ok(sum - counted <= (uint64_t) kills * SLOTS + unknown,
       "hammer: and little else (%llu of %llu)",
       (unsigned long long) (sum - counted), (unsigned long long) sum);
    is_int(unknown + retry, 0, "hammer: nobody was told to try again");

    printf("# %zu answers, %zu wins, %u kills, %llu leaders, %.1f ops/commit\n",
           recs->n, won, kills, (unsigned long long) sh->stats.leaders,
           (double) sh->stats.ops / (double) sh->stats.commits);

    free(winner);
    doi_store_close(store, 1000);
}


static void
scene_hammer(void)
{
    int          fds[2], leader;
    size_t       i, k;
    pid_t        pids[PROCS];
    unsigned     kills, seconds;
    uint64_t     end;
    records_t    recs = { NULL, 0, 0 };
    const char  *env;

    fresh_dir();

    env = getenv("DOI_HAMMER");
    seconds = env != NULL ? (unsigned) atoi(env) : 4;

    if (pipe2(fds, O_CLOEXEC) == -1) {
        exit(1);
    }

    (void) fcntl(fds[0], F_SETFL, O_NONBLOCK);
    (void) fcntl(fds[1], F_SETPIPE_SZ, 1048576);
    report = fds[1];

    for (i = 0; i < PROCS; i++) {
        pids[i] = spawn(hammer);
    }

    kills = 0;
    end = doi_store_ns() + seconds * 1000000000ULL;

    while (doi_store_ns() < end) {

        msleep(5 + (unsigned) random() % 60);
        drain(fds[0], &recs);

        k = (size_t) random() % PROCS;
        leader = atomic_load(&sh->leader);

        for (i = 0; i < PROCS && random() % 3; i++) {
            if (pids[i] == leader) {
                k = i;
            }
        }

        (void) kill(pids[k], SIGKILL);
        (void) reap(pids[k]);
        pids[k] = spawn(hammer);
        kills++;
    }

    atomic_store(&sh->stop, 1);

    for (i = 0; i < PROCS; i++) {
        while (waitpid(pids[i], NULL, WNOHANG) == 0) {
            drain(fds[0], &recs);
            msleep(1);
        }
    }

    drain(fds[0], &recs);
    (void) close(fds[0]);
    (void) close(fds[1]);

    verify(&recs, kills);
    free(recs.list);
    drop_dir();
}


/* A leader that dies at a given point of its work. */

static void
bystander(void)
{
    doi_store_t  *store;

    store = open_store();
    (void) set(store, "up", "1");
    atomic_store(&sh->victim, getpid());
    atomic_store(&sh->step, 1);

    while (!atomic_load(&sh->stop)) {
        turn(store, 10);
    }

    doi_store_close(store, 1000);
}


static void
scene_points(void)
{
    int           i, point, good;
    char          key[32], value[32];
    pid_t         pid;
    answer_t      a[20];
    toy_claim_t   c;
    doi_store_t  *store;

    static const char *const  names[] = {
        "", "with the lock", "listening", "before it runs", "before it commits",
        "after the commit", "after the answers"
    };

    for (point = DOI_AT_READ; point <= DOI_AT_ANSWERED; point++) {

        fresh_dir();
        pid = spawn(bystander);
        (void) wait_for(&sh->step, 1);

        store = open_store();
        good = set(store, "both", "1") == DOI_WON;
        atomic_store(&sh->point, point);

        for (i = 0; i < 20; i++) {
            memset(&c, 0, sizeof(c));
            memset(c.attempt, i + 1, 16);
            c.key = (uint64_t) i;
            memset(&a[i], 0, sizeof(answer_t));
            (void) doi_store_submit(store, i & 1 ? TOY_CLAIM : TOY_COUNT,
                                    toy_str(&c, sizeof(c)), one_done, &a[i]);
        }

        while (doi_store_pending(store) != 0) {
            turn(store, 100);
        }

        for (i = 0; i < 20; i++) {
            good &= a[i].calls == 1 && a[i].result == DOI_WON;
        }

        /* The leader has died, or dies of this one. */

        for (i = 0; i < 3; i++) {
            (void) snprintf(key, sizeof(key), "k%d", i);
            (void) snprintf(value, sizeof(value), "v%d", i);
            good &= set(store, key, value) == DOI_WON && has(store, key, value);
        }

        ok(WIFSIGNALED(reap(pid)) && good, "a leader that dies %s loses "
           "nothing", names[point]);

        good = 1;

        for (i = 0; i < 20; i += 2) {
            uint64_t   n = 0, k = (uint64_t) i;
            doi_buf_t  out = { (uint8_t *) &n, 0, sizeof(n) };

            good &= doi_store_read(store, toy_get, toy_str(&k, 8), &out)
                    == DOI_WON && n == 1;
        }

        ok(good, "and nothing was done twice");
        is_int(sh->leader, getpid(), "another one leads");

        doi_store_close(store, 1000);
        drop_dir();
    }

    for (point = DOI_AT_LOCKED; point <= DOI_AT_LISTENING; point++) {

        fresh_dir();
        atomic_store(&sh->point, point);
        pid = spawn(bystander);
        good = WIFSIGNALED(reap(pid));

        store = open_store();
        ok(good && set(store, "a", "b") == DOI_WON, "one that dies %s is no "
           "obstacle", names[point]);
        doi_store_close(store, 1000);
        drop_dir();
    }
}


/*
 * What a leader that died may have done, and its successor refuses, is
 * unknown.
 */

static doi_txn_pt
no_function(unsigned op)
{
    (void) op;

    return NULL;
}


static void
scene_exposed(void)
{
    pid_t         pid;
    doi_store_t  *store;

    fresh_dir();
    pid = spawn(bystander);
    (void) wait_for(&sh->step, 1);

    hooks.function = no_function;
    store = open_store();
    atomic_store(&sh->point, DOI_AT_COMMITTED);

    is_int(set(store, "e", "1"), DOI_UNKNOWN, "exposed: done, then refused: "
           "unknown");
    ok(WIFSIGNALED(reap(pid)) && has(store, "e", "1"), "exposed: it was done");
    is_int(set(store, "e", "2"), DOI_RETRY, "exposed: refused alone: try "
           "again");

    doi_store_close(store, 1000);
    drop_dir();
}


/* A leader that is stopped keeps its place; nobody else may take it. */

static void
scene_stopped(void)
{
    int           i, status;
    pid_t         pid;
    uint8_t       arg[60000];
    answer_t      first, rest[40];
    unsigned      unknown, retry;
    uint64_t      start, ns;
    doi_store_t  *store;

    fresh_dir();
    pid = spawn(bystander);
    (void) wait_for(&sh->step, 1);

    timeout_ms = 2000;
    store = open_store();
    is_int(set(store, "x", "0"), DOI_WON, "stopped: before");

    (void) kill(pid, SIGSTOP);
    (void) waitpid(pid, &status, WUNTRACED);

    start = doi_store_ns();
    is_int(set(store, "x", "1"), DOI_UNKNOWN, "stopped: what was sent is "
           "unknown");
    ns = doi_store_ns() - start;
    ok(ns > 1990000000 && ns < 20000000000, "stopped: at the deadline");
    ok(has(store, "x", "0"), "stopped: reads go on");

    /* More than the socket takes. */

    memset(arg, 'y', sizeof(arg));
    memset(rest, 0, sizeof(rest));
    arg[0] = 1;

    for (i = 0; i < 40; i++) {
        (void) doi_store_submit(store, TOY_SET, toy_str(arg, sizeof(arg)),
                                one_done, &rest[i]);
    }

    while (doi_store_pending(store) != 0) {
        turn(store, 100);
    }

    unknown = retry = 0;

    for (i = 0; i < 40; i++) {
        unknown += rest[i].calls == 1 && rest[i].result == DOI_UNKNOWN;
        retry += rest[i].calls == 1 && rest[i].result == DOI_RETRY;
    }

    ok(unknown > 0 && retry > 0 && unknown + retry == 40,
       "stopped: what was not sent can be tried again (%u, %u)", unknown,
       retry);
    is_int(sh->leader, pid, "stopped: nobody has taken over");

    (void) kill(pid, SIGCONT);

    memset(&first, 0, sizeof(first));
    is_int(set(store, "x", "2"), DOI_WON, "stopped: it goes on");
    is_int(sh->leader, pid, "stopped: with the same leader");

    /* Had "1" been done, then before. */

    ok(has(store, "x", "2"), "stopped: the last write is the last");
    ok(has(store, "y", NULL), "stopped: what was too late was not done");

    atomic_store(&sh->stop, 1);
    (void) reap(pid);
    is_int(set(store, "x", "3"), DOI_WON, "stopped: after it has gone");
    doi_store_close(store, 1000);
    drop_dir();
}


/* Generations: each new process opens the store, then the oldest leaves. */

static void
generation(void)
{
    int           i, failed;
    char          key[32];
    answer_t      a[8];
    doi_store_t  *store;

    store = open_store();
    failed = 0;

    while (!atomic_load(&sh->stop) && atomic_load(&sh->victim) != getpid()) {

        memset(a, 0, sizeof(a));

        for (i = 0; i < 8; i++) {
            uint8_t  arg[64];

            (void) snprintf(key, sizeof(key), "g%d", (int) random() % 100);
            (void) doi_store_submit(store, TOY_SET,
                                    toy_str(arg, toy_set_arg(arg, key,
                                            strlen(key), "v", 1)),
                                    one_done, &a[i]);
        }

        while (doi_store_pending(store) != 0) {
            turn(store, 100);
        }

        for (i = 0; i < 8; i++) {
            failed += a[i].calls != 1 || a[i].result != DOI_WON;
        }

        atomic_fetch_add(&sh->step, 1);
    }

    doi_store_close(store, 1000);
    _exit(failed != 0);
}


static void
scene_generations(void)
{
    int       i, failed;
    pid_t     pids[12];
    uint64_t  leaders;

    fresh_dir();

    pids[0] = spawn(generation);
    (void) wait_for(&sh->step, 1);

    failed = 0;

    for (i = 1; i < 12; i++) {
        pids[i] = spawn(generation);

        atomic_store(&sh->step, 0);
        (void) wait_for(&sh->step, 10);

        atomic_store(&sh->victim, pids[i - 1]);
        failed += reap(pids[i - 1]) != 0;
    }

    leaders = sh->stats.leaders;
    atomic_store(&sh->stop, 1);
    failed += reap(pids[11]) != 0;

    is_int(failed, 0, "generations: nothing fails when leaders leave");
    ok(leaders > 5, "generations: %llu leaders", (unsigned long long) leaders);
    drop_dir();
}


/* Two versions of the protocol. */

static void
scene_versions(void)
{
    pid_t         pid;
    doi_store_t  *store;

    fresh_dir();
    pid = spawn(bystander);
    (void) wait_for(&sh->step, 1);

    hooks.protocol++;
    timeout_ms = 2000;
    store = open_store();

    is_int(set(store, "v", "1"), DOI_RETRY, "versions: the new one waits");
    ok(was_logged("protocol"), "versions: it is logged");

    atomic_store(&sh->stop, 1);
    (void) reap(pid);

    timeout_ms = 5000;
    is_int(set(store, "v", "2"), DOI_WON, "versions: until the old is gone");
    is_int(sh->leader, getpid(), "versions: then it leads");
    doi_store_close(store, 1000);
    drop_dir();
}


/* The store is full. */

#define MANY  100

/* The same operation on rows from .. from + MANY; returns how many it won. */

static int
many(doi_store_t *store, unsigned op, int from, int step, size_t vlen)
{
    int       i, won;
    uint8_t   arg[1200];
    answer_t  a[MANY];

    memset(a, 0, sizeof(a));
    memset(arg, 'f', sizeof(arg));

    for (i = 0; i < MANY; i++) {
        (void) snprintf((char *) arg + 1, 32, "full%06u",
                        (unsigned) (from + i * step) % 1000000);
        arg[0] = 10;
        arg[11] = 'f';

        (void) doi_store_submit(store, op,
                                op == TOY_DEL ? toy_str(arg + 1, 10)
                                              : toy_str(arg, 11 + vlen),
                                one_done, &a[i]);
    }

    while (doi_store_pending(store) != 0) {
        turn(store, 100);
    }

    won = 0;

    for (i = 0; i < MANY && a[i].calls == 1 && a[i].result == DOI_WON; i++) {
        won++;
    }

    return won;
}


static void
scene_full(void)
{
    int           i, n;
    char          key[32];
    uint8_t       arg[1200];
    uint64_t      used;
    doi_store_t  *store;

    fresh_dir();
    size_conf = 1048576;
    timeout_ms = 20000;
    store = open_store();

    memset(arg, 'f', sizeof(arg));
    arg[0] = 10;
    n = 0;

    do {
        i = many(store, TOY_SET, n, 1, 800);
        n += i;
    } while (i == MANY && n < 5000);

    ok(n > 500 && n < 5000, "full: after %d rows of 800 bytes", n);
    ok(sh->stats.refused_full > 0, "full: it is counted");
    used = sh->stats.map_used;
    ok(used >= size_conf && used < size_conf + 65536, "full: at the size that "
       "was asked for");

    /* Those of one batch are judged one by one. */

    {
        answer_t  a[3];

        memset(a, 0, sizeof(a));
        (void) doi_store_submit(store, TOY_DEL, toy_str("full000000", 10),
                                one_done, &a[0]);
        (void) doi_store_submit(store, TOY_GET, toy_str("full000001", 10),
                                one_done, &a[1]);
        (void) snprintf(key, sizeof(key), "full%06d", n);
        memcpy(arg + 1, key, 10);
        (void) doi_store_submit(store, TOY_SET, toy_str(arg, 811), one_done,
                                &a[2]);

        while (doi_store_pending(store) != 0) {
            turn(store, 100);
        }

        ok(a[0].result == DOI_WON && a[1].result == DOI_WON
           && a[2].result == DOI_RETRY, "full: deletes and reads still run");
    }

    (void) toy_set_arg(arg, "full000002", 10, NULL, 0);
    is_int(one(store, TOY_SET, arg, 900, NULL), DOI_WON, "full: a row may "
           "still grow a little");
    is_int(one(store, TOY_SET, arg, 100, NULL), DOI_WON, "full: or shrink");

    for (i = 0; i < 60; i++) {
        if (many(store, TOY_SET, 3, i & 1, 800 + (size_t) i % 7) != MANY) {
            break;
        }
    }

    is_int(i, 60, "full: rows can be replaced for ever");

    for (i = 0; i < n; i += MANY) {
        if (many(store, TOY_DEL, i, 1, 0) != MANY) {
            break;
        }
    }

    ok(i >= n, "full: every row can be deleted");
    is_int(set(store, "new", "row"), DOI_WON, "full: then there is room "
           "again");

    /* A transaction that is larger than the whole map, among others. */

    {
        uint32_t  rows = 400000;
        answer_t  a[3];

        memset(a, 0, sizeof(a));
        (void) doi_store_submit(store, TOY_DEL, toy_str("new", 3), one_done,
                                &a[0]);
        (void) doi_store_submit(store, TOY_MANY, toy_str(&rows, 4), one_done,
                                &a[1]);
        (void) toy_set_arg(arg, "end", 3, NULL, 0);
        (void) doi_store_submit(store, TOY_SET, toy_str(arg, 100), one_done,
                                &a[2]);

        while (doi_store_pending(store) != 0) {
            turn(store, 100);
        }

        ok(a[0].result == DOI_WON && a[1].result == DOI_RETRY
           && a[2].result == DOI_WON, "full: only who is too large is "
           "refused");
        ok(has(store, "new", NULL), "full: the others are done");
    }

    doi_store_close(store, 1000);

    /* Another process has opened it with more; the size only grows. */

    size_conf = 33554432;
    store = open_store();
    is_int(set(store, "more", "1"), DOI_WON, "full: opened with a larger "
           "size");
    doi_store_close(store, 1000);
    drop_dir();
}


/* The map was made larger by another process. */

static int  read_first;


static void
grower(void)
{
    int           i;
    doi_store_t  *store;

    size_conf = 67108864;
    store = open_store();

    /* More than the first process has mapped. */

    while (atomic_load(&sh->leader) != getpid()) {
        turn(store, 20);
    }

    for (i = 0; i < 9000; i += MANY) {
        if (many(store, TOY_SET, i, 1, 1000) != MANY) {
            _exit(1);
        }
    }

    atomic_store(&sh->step, 3);
    (void) wait_for(&sh->step, 4);

    doi_store_close(store, 1000);
}


static void
smaller(void)
{
    doi_store_t  *store;

    store = open_store();
    (void) set(store, "small", "1");

    /* Here it is stopped, so that the other one leads. */

    atomic_store(&sh->step, 2);
    (void) wait_for(&sh->step, 3);

    if (read_first && !has(store, "small", "1")) {
        _exit(1);
    }

    /* Now it leads itself, in a map that was too small. */

    atomic_store(&sh->step, 4);

    while (atomic_load(&sh->leader) != getpid()) {
        turn(store, 10);
    }

    if (set(store, "small", "2") != DOI_WON || !has(store, "small", "2")
        || one(store, TOY_GET, "full008999", 10, NULL) != DOI_WON)
    {
        _exit(2);
    }

    doi_store_close(store, 1000);
}


static void
scene_resized(void)
{
    pid_t  first, small, large;

    for (read_first = 0; read_first < 2; read_first++) {

        fresh_dir();
        size_conf = 1048576;

        first = spawn(bystander);
        (void) wait_for(&sh->step, 1);
        small = spawn(smaller);
        (void) wait_for(&sh->step, 2);
        (void) kill(small, SIGSTOP);

        large = spawn(grower);
        atomic_store(&sh->stop, 1);
        (void) reap(first);
        (void) wait_for(&sh->step, 3);
        (void) kill(small, SIGCONT);

        is_int(reap(small), 0, "resized: a process with a smaller map adopts "
               "the larger one when it %s", read_first ? "reads" : "leads");
        is_int(reap(large), 0, "resized: so that both can go on");
        drop_dir();
    }
}


/* The workers of a first start: one has looked before there was a store. */

static void
latecomer(void)
{
    char          err[1024];
    doi_store_t  *store;

    late = 1;

    if (try_open(&store, err, sizeof(err)) != DOI_OK) {
        printf("# %s\n", err);
        (void) fflush(stdout);
        _exit(1);
    }

    if (!has(store, "f", "1") || set(store, "f", "2") != DOI_WON) {
        _exit(2);
    }

    doi_store_close(store, 1000);
}


static void
scene_first(void)
{
    pid_t         pid;
    doi_store_t  *store;

    fresh_dir();
    pid = spawn(latecomer);
    (void) wait_for(&sh->step, 1);

    store = open_store();
    is_int(set(store, "f", "1"), DOI_WON, "first: one makes the store");
    atomic_store(&sh->step, 2);
    is_int(reap(pid), 0, "first: who has looked before gets in, too");
    ok(has(store, "f", "2"), "first: and goes on");

    doi_store_close(store, 1000);
    drop_dir();
}


/* A leader looks after its files once a second, and goes on meanwhile. */

static int
is_back(doi_store_t *store, const char *name)
{
    int  i;

    for (i = 0; i < 300 && access(name, F_OK) != 0; i++) {
        msleep(100);

        if (set(store, "f", "1") != DOI_WON) {
            return 0;
        }
    }

    return access(name, F_OK) == 0;
}


/* Files that are taken away. */

static void
scene_files(void)
{
    int           i;
    char          a[300], b[300];
    doi_store_t  *store;

    fresh_dir();
    store = open_store();
    (void) set(store, "f", "1");

    (void) snprintf(a, sizeof(a), "%s/leader.sock", dir);
    (void) unlink(a);
    is_int(set(store, "f", "2"), DOI_WON, "files: no matter that the socket "
           "was removed");
    ok(is_back(store, a), "files: it is made anew");

    (void) snprintf(a, sizeof(a), "%s/leader.lock", dir);
    (void) unlink(a);
    ok(is_back(store, a), "files: or the lock, which is made anew too");
    is_int(set(store, "f", "3"), DOI_WON, "files: it goes on");

    (void) snprintf(a, sizeof(a), "%s/data.mdb", dir);
    (void) snprintf(b, sizeof(b), "%s/data.old", dir);
    (void) rename(a, b);

    for (i = 0; i < 300; i++) {
        msleep(100);
        turn(store, 0);

        if (!has(store, "f", "3")) {
            break;
        }
    }

    ok(i < 300, "files: without data.mdb it stops");
    is_int(doi_store_submit(store, TOY_NOW, toy_str("", 0), one_done, NULL),
           DOI_ERROR, "files: and takes nothing more");
    ok(was_logged("data.mdb was replaced"), "files: and says why");
    doi_store_close(store, 100);

    ok(open_fails("data.mdb is missing"), "files: nobody starts an empty one "
       "in its place");

    (void) snprintf(a, sizeof(a), "%s/leader.lock", dir);
    (void) unlink(a);

    store = open_store();
    is_int(set(store, "f", "4"), DOI_WON, "files: but for who says so");
    doi_store_close(store, 1000);
    drop_dir();
}


/*
 * A leader dies when its commit is in data.mdb and LMDB has not told the others
 * yet; one of them still has the store open, but lives not long enough to lead.
 */

static void
leaver(void)
{
    MDB_env  *env;

    if (mdb_env_create(&env) == 0 && mdb_env_open(env, dir, 0, 0600) == 0) {
        atomic_store(&sh->step, 1);
        (void) wait_for(&sh->step, 2);
        mdb_env_close(env);
    }
}


static void
dier(void)
{
    doi_store_t  *store;

    store = open_store();
    atomic_store(&die_meta, 1);
    (void) set(store, "f", "2");
    doi_store_close(store, 1000);
}


static void
scene_died(void)
{
    int           status;
    pid_t         pid;
    doi_store_t  *store;

    fresh_dir();
    store = open_store();
    (void) set(store, "f", "1");
    doi_store_close(store, 1000);

    atomic_store(&sh->step, 0);
    pid = spawn(leaver);
    (void) wait_for(&sh->step, 1);

    status = reap(spawn(dier));
    ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "died: in a commit");

    store = open_store();
    ok(has(store, "f", "1"), "died: the next one gets in at once");
    is_int(set(store, "f", "2"), DOI_WON, "died: and leads");
    doi_store_close(store, 1000);

    atomic_store(&sh->step, 2);
    (void) reap(pid);
    drop_dir();
}


/* A disk that fails. */

static void
scene_disk(void)
{
    int           i;
    pid_t         pid;
    uint64_t      errors;
    doi_store_t  *store;

    fresh_dir();
    store = open_store();
    (void) set(store, "d", "0");

    atomic_store(&fail_data, ENOSPC);
    is_int(set(store, "d", "1"), DOI_RETRY, "disk: no space");
    ok(has(store, "d", "0"), "disk: nothing was done");
    ok(was_logged("free some space"), "disk: it is logged");
    atomic_store(&fail_data, 0);
    is_int(set(store, "d", "2"), DOI_WON, "disk: it goes on");

    errors = sh->stats.commit_errors;
    atomic_store(&fail_sync, EIO);
    is_int(set(store, "d", "3"), DOI_UNKNOWN, "disk: a sync fails, and nobody "
           "knows what the log has");
    ok(sh->stats.commit_errors > errors, "disk: it is counted");
    is_int(set(store, "x", "3"), DOI_RETRY, "disk: until that is known, "
           "nothing is done");
    atomic_store(&fail_sync, 0);
    ok(has(store, "d", "2"), "disk: nothing was done");
    is_int(set(store, "d", "4"), DOI_WON, "disk: it goes on");

    doi_store_close(store, 1000);

    pid = spawn(bystander);
    (void) wait_for(&sh->step, 1);
    store = open_store();
    atomic_store(&sh->stop, 1);

    while (atomic_load(&sh->leader) != getpid()) {
        turn(store, 10);
    }

    (void) reap(pid);

    atomic_store(&sh->stop, 0);
    atomic_store(&fail_log, EIO);
    is_int(set(store, "d", "5"), DOI_WON, "disk: without the log LMDB commits");
    ok(has(store, "d", "5"), "disk: and it is done");

    atomic_store(&fail_meta, EIO);
    is_int(set(store, "d", "6"), DOI_UNKNOWN, "disk: the last page of a "
           "commit fails: nobody knows");
    turn(store, 0);
    is_int(set(store, "d", "7"), 99, "disk: this process has stopped");
    ok(was_logged("reload nginx"), "disk: and says so");
    doi_store_close(store, 1000);
    atomic_store(&fail_log, 0);

    hooks.flush_ms = 2000;
    store = open_store();
    is_int(set(store, "d", "8"), DOI_WON, "disk: another one goes on");

    /* The same when it is told already, from the log, and LMDB is late. */

    atomic_store(&fail_meta, EIO);
    is_int(set(store, "d", "9"), DOI_WON, "disk: in the log");

    for (i = 0; i < 3000 && doi_store_pending(store) == 0; i++) {
        msleep(10);

        if (set(store, "e", "1") == 99) {
            break;
        }
    }

    ok(i < 3000, "disk: LMDB fails behind it, this process has stopped");
    doi_store_close(store, 1000);
    hooks.flush_ms = 0;

    store = open_store();
    ok(has(store, "d", "9"), "disk: nothing is lost");
    is_int(set(store, "f", "1"), DOI_WON, "disk: another one goes on");
    ok(has(store, "d", "9") && has(store, "f", "1"), "disk: with that");
    doi_store_close(store, 1000);
    drop_dir();
}


static void
on_tmpfs(void)
{
    int           i;
    char          fill[700];
    int           fd;
    uint8_t       block[4096];
    doi_store_t  *store;

    if (unshare(CLONE_NEWNS) == -1
        || mount("none", "/", NULL, MS_REC|MS_PRIVATE, NULL) == -1
        || mount("tmpfs", dir, "tmpfs", 0, "size=1m") == -1)
    {
        _exit(77);
    }

    size_conf = 67108864;
    store = open_store();

    if (set(store, "t", "0") != DOI_WON) {
        _exit(1);
    }

    (void) snprintf(fill, sizeof(fill), "%s/fill", dir);
    fd = open(fill, O_CREAT|O_WRONLY|O_CLOEXEC, 0600);
    memset(block, 1, sizeof(block));

    while (write(fd, block, sizeof(block)) > 0) { /* void */ }

    /* There may be a few blocks that LMDB can use again. */

    memset(block, 'b', 200);

    for (i = 0; i < 2000; i++) {
        (void) snprintf((char *) block, 40, "\nrow%06d.", i);
        block[0] = 9;

        if (one(store, TOY_SET, block, 200, NULL) != DOI_WON) {
            break;
        }
    }

    if (i == 2000 || one(store, TOY_SET, block, 200, NULL) != DOI_RETRY) {
        _exit(2);
    }

    if (!has(store, "t", "0") || one(store, TOY_GET, "t", 1, NULL) != DOI_WON)
    {
        _exit(3);
    }

    (void) close(fd);
    (void) unlink(fill);

    if (one(store, TOY_SET, block, 200, NULL) != DOI_WON) {
        _exit(4);
    }

    doi_store_close(store, 1000);

    /* A store that does not fit at all. */

    (void) unlinkat(AT_FDCWD, fill, 0);
    (void) snprintf(fill, sizeof(fill), "cd %s && rm -f *.mdb leader.lock; "
                    "cat /dev/zero > fill 2>/dev/null", dir);
    (void) !system(fill);

    {
        char              err[1024];
        doi_store_conf_t  conf;

        memset(&conf, 0, sizeof(conf));
        conf.path = dir;
        conf.size = size_conf;
        conf.queue_max = 10;
        conf.timeout_ms = 100;

        if (doi_store_lmdb_open_hooks(&conf, &hooks, &store, err, sizeof(err))
            == DOI_OK || strstr(err, "free some space") == NULL)
        {
            _exit(5);
        }
    }
}


static void
scene_tmpfs(void)
{
    int  status;

    fresh_dir();

    status = reap(spawn(on_tmpfs));

    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        ok(1, "tmpfs: full file system # SKIP cannot mount here");

    } else {
        is_int(status, 0, "tmpfs: full file system: refused, read, gone on");
    }

    drop_dir();
}


/*
 * A question that was asked after an answer was sent, and reaches the leader
 * before it.
 */

static void
settler(void)
{
    doi_store_t  *store;

    store = open_store();
    (void) set(store, "link", "c");
    atomic_store(&sh->step, 1);

    while (!atomic_load(&sh->held)) {
        turn(store, 1);
    }

    /* The leader has read the question, and has not run it. */

    {
        uint8_t   arg[16];
        answer_t  a;

        memset(&a, 0, sizeof(a));
        (void) doi_store_submit(store, TOY_SET,
                                toy_str(arg, toy_set_arg(arg, "link", 4, "u",
                                                         1)),
                                one_done, &a);
        doi_store_flush(store);
        atomic_store(&sh->hold, 0);

        while (doi_store_pending(store) != 0) {
            turn(store, 10);
        }
    }

    while (!atomic_load(&sh->stop)) {
        turn(store, 10);
    }

    doi_store_close(store, 1000);
}


static void
scene_look(void)
{
    pid_t         leader, pid;
    answer_t      a;
    doi_store_t  *store;

    fresh_dir();
    leader = spawn(bystander);
    (void) wait_for(&sh->step, 1);
    atomic_store(&sh->step, 0);
    pid = spawn(settler);
    (void) wait_for(&sh->step, 1);

    store = open_store();

    is_int(one(store, TOY_LOOK, "link", 4, &a), DOI_WON, "look: answered");
    ok(a.len == 1 && a.bytes[0] == 'c', "look: it is claimed");

    atomic_store(&sh->hold, 1);
    is_int(one(store, TOY_LOOK, "link", 4, &a), DOI_WON, "look: answered");
    ok(a.len == 1 && a.bytes[0] == 'u', "look: a settle that was sent before "
       "is seen");

    atomic_store(&sh->stop, 1);
    (void) reap(pid);
    (void) reap(leader);
    doi_store_close(store, 1000);
    drop_dir();
}


/*
 * Operations that nobody waits for are held until somebody else's come, or
 * until whoever has sent them is gone.
 */

static int
patient(unsigned op)
{
    return op == TOY_OWN;
}


static void
leaving(void)
{
    answer_t      a, b;
    doi_store_t  *store;

    (void) wait_for(&sh->step, 2);

    store = open_store();
    (void) one(store, TOY_GET, "none", 4, &b);

    (void) doi_store_submit(store, TOY_OWN, toy_str("gone", 4), one_done, &a);
    doi_store_flush(store);

    _exit(0);
}


static void
scene_hold(void)
{
    int           i;
    pid_t         pid, leader;
    uint8_t       bytes[16];
    answer_t      a, b;
    uint64_t      commits;
    doi_buf_t     out;
    doi_store_t  *store;

    fresh_dir();
    hooks.patient = patient;
    hooks.hold_us = 3600U * 1000000;

    leader = spawn(bystander);
    (void) wait_for(&sh->step, 1);
    pid = spawn(leaving);

    store = open_store();
    (void) one(store, TOY_GET, "none", 4, &b);
    commits = atomic_load(&sh->stats.commits);

    memset(&a, 0, sizeof(a));
    (void) doi_store_submit(store, TOY_OWN, toy_str("held", 4), one_done, &a);

    for (i = 0; i < 20; i++) {
        turn(store, 5);
    }

    is_int(a.calls, 0, "hold: nobody waits for it, and it waits");

    is_int(set(store, "other", "v"), DOI_WON,
           "hold: another operation is run");
    is_int(a.calls, 1, "hold: and takes it along");
    is_int(atomic_load(&sh->stats.commits), commits + 1,
           "hold: in the same commit");

    atomic_store(&sh->step, 2);
    (void) reap(pid);

    out.data = bytes;
    out.size = sizeof(bytes);

    for (i = 0; i < 30000; i++) {
        out.len = 0;

        if (doi_store_read(store, toy_get, toy_str("gone", 4), &out)
            == DOI_WON)
        {
            break;
        }

        turn(store, 1);
    }

    ok(i < 30000, "hold: not the last words of a process that is gone");

    atomic_store(&sh->stop, 1);
    (void) reap(leader);
    doi_store_close(store, 1000);
    drop_dir();

    /* Nobody else comes. */

    fresh_dir();
    hooks.patient = patient;
    hooks.hold_us = 1000;
    hooks.tell_us = 1000;
    timeout_ms = 30000;

    store = open_store();
    (void) one(store, TOY_GET, "none", 4, &b);

    memset(&a, 0, sizeof(a));
    (void) doi_store_submit(store, TOY_OWN, toy_str("alone", 5), one_done, &a);

    for (i = 0; i < 40000 && a.calls == 0; i++) {
        turn(store, 1);
    }

    is_int(a.result, DOI_WON, "hold: and not for ever");

    doi_store_close(store, 1000);
    drop_dir();
}


/* Submits what nobody waits for; returns when it can be read by everybody. */

static int
written(doi_store_t *store, const char *key, answer_t *a)
{
    int        i;
    uint8_t    bytes[16];
    doi_buf_t  out;

    memset(a, 0, sizeof(answer_t));
    (void) doi_store_submit(store, TOY_OWN, toy_str(key, strlen(key)),
                            one_done, a);

    out.data = bytes;
    out.size = sizeof(bytes);

    for (i = 0; i < 20000; i++) {
        turn(store, 1);
        out.len = 0;

        if (doi_store_read(store, toy_get, toy_str(key, strlen(key)), &out)
            == DOI_WON)
        {
            return 1;
        }
    }

    return 0;
}


/* The answers that nobody waits for are kept. */

static void
scene_tell(void)
{
    int           i;
    pid_t         leader;
    answer_t      a, b;
    doi_store_t  *store;

    fresh_dir();
    hooks.patient = patient;
    hooks.hold_us = 1;
    hooks.tell_us = 3600U * 1000000;
    timeout_ms = 100000;

    leader = spawn(bystander);
    (void) wait_for(&sh->step, 1);

    store = open_store();
    (void) one(store, TOY_GET, "none", 4, &b);

    ok(written(store, "kept", &a), "tell: it is run");

    for (i = 0; i < 20; i++) {
        turn(store, 5);
    }

    is_int(a.calls, 0, "tell: its answer waits");

    (void) one(store, TOY_GET, "none", 4, &b);
    is_int(a.calls, 1, "tell: for one that somebody waits for");

    /* The next leader knows nothing of it. */

    ok(written(store, "last", &a), "tell: another one");
    i = a.calls;

    atomic_store(&sh->stop, 1);
    (void) reap(leader);

    doi_store_dispatch(store);
    is_int(a.calls, i + 1, "tell: a leader that goes keeps none");

    doi_store_close(store, 1000);
    drop_dir();
}


/*
 * Where several processes are busy, an operation waits a moment for those of
 * the others.
 */

static void
busy(void)
{
    int           i;
    char          key[16];
    doi_store_t  *store;

    (void) snprintf(key, sizeof(key), "%d", (int) getpid());

    store = open_store();
    (void) set(store, key, "1");
    i = atomic_fetch_add(&sh->step, 1);

    (void) wait_for(&sh->victim, 1);

    /* The first leads; of the others one is there alone at the beginning. */

    if (i != 0) {
        msleep(i == 1 ? 0 : 100);
        (void) set(store, key, "2");
        atomic_fetch_add(&sh->step, 1);
    }

    while (!atomic_load(&sh->stop)) {
        turn(store, 10);
    }

    doi_store_close(store, 1000);
}


static void
scene_rush(void)
{
    int           i;
    pid_t         pid[4];
    uint64_t      commits;
    doi_store_t  *store;

    /* Three are no rush: the wait is longer than their patience. */

    fresh_dir();
    hooks.rush_us = 3600U * 1000000;
    hooks.rush_wait_us = 20U * 1000000;
    timeout_ms = 10000;

    for (i = 0; i < 2; i++) {
        atomic_store(&sh->step, 0);
        pid[i] = spawn(bystander);
        (void) wait_for(&sh->step, 1);
    }

    store = open_store();
    is_int(set(store, "three", "1"), DOI_WON, "rush: not of two");
    is_int(set(store, "three", "2"), DOI_WON, "rush: not of three");

    atomic_store(&sh->stop, 1);
    (void) reap(pid[0]);
    (void) reap(pid[1]);
    doi_store_close(store, 1000);
    drop_dir();

    /* Four are. */

    fresh_dir();
    hooks.rush_us = 3600U * 1000000;
    hooks.rush_wait_us = 2U * 1000000;
    timeout_ms = 30000;

    for (i = 0; i < 4; i++) {
        pid[i] = spawn(busy);
        (void) wait_for(&sh->step, i + 1);
    }

    commits = atomic_load(&sh->stats.commits);
    atomic_store(&sh->victim, 1);

    ok(wait_for(&sh->step, 7), "rush: the operations of three are run");
    is_int(atomic_load(&sh->stats.commits), commits + 1,
           "rush: in one commit, though one was there first");

    store = open_store();
    is_int(set(store, "alone", "1"), DOI_WON,
           "rush: whoever comes alone waits for no longer");

    atomic_store(&sh->stop, 1);

    for (i = 0; i < 4; i++) {
        (void) reap(pid[i]);
    }

    doi_store_close(store, 1000);
    drop_dir();
}


/* Peers that talk nonsense harm nobody else. */

static void
scene_nonsense(void)
{
    int                 fd, i;
    char                junk[200];
    doi_store_t        *store;
    struct sockaddr_un  addr;

    fresh_dir();
    store = open_store();
    (void) set(store, "n", "1");

    for (i = 0; i < 5; i++) {
        fd = socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0);
        memset(&addr, 0, sizeof(addr));
        addr.sun_family = AF_UNIX;
        (void) snprintf(addr.sun_path, sizeof(addr.sun_path),
                        "%.80s/leader.sock", dir);
        (void) connect(fd, (struct sockaddr *) &addr, sizeof(addr));
        memset(junk, i == 0 ? 0 : i == 1 ? 0xff : 'j', sizeof(junk));
        (void) send(fd, junk, i == 4 ? 5 : sizeof(junk), MSG_NOSIGNAL);

        if (i != 3) {
            (void) close(fd);
        }

        is_int(set(store, "n", "2"), DOI_WON, "nonsense: goes by");
    }

    doi_store_close(store, 1000);
    drop_dir();
}


int
main(int argc, char **argv)
{
    size_t  i;

    static const struct {
        const char  *name;
        void       (*fn)(void);
    } scenes[] = {
        { "points", scene_points },
        { "exposed", scene_exposed },
        { "stopped", scene_stopped },
        { "generations", scene_generations },
        { "versions", scene_versions },
        { "look", scene_look },
        { "hold", scene_hold },
        { "tell", scene_tell },
        { "rush", scene_rush },
        { "nonsense", scene_nonsense },
        { "full", scene_full },
        { "resized", scene_resized },
        { "first", scene_first },
        { "files", scene_files },
        { "died", scene_died },
        { "disk", scene_disk },
        { "tmpfs", scene_tmpfs },
        { "hammer", scene_hammer },
    };

    sh = mmap(NULL, sizeof(shared_t), PROT_READ|PROT_WRITE,
              MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (sh == MAP_FAILED) {
        return 1;
    }

    (void) signal(SIGPIPE, SIG_IGN);

    for (i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
        if (argc < 2 || strcmp(argv[1], scenes[i].name) == 0) {
            scenes[i].fn();
        }
    }

    return done_testing();
}
