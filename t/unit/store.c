/*
 * Conformance of the store's drivers: the same checks for each, then what only
 * one of them can do.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"
#include "store_toy.h"


typedef struct {
    unsigned      calls;
    unsigned      order;
    doi_result_t  result;
    size_t        len;
    uint8_t       bytes[DOI_REPLY_MAX];
} answer_t;


static int                 inside, in_submit;
static unsigned            serial;
static char                dir[512];
static char                logged[8192];
static doi_store_stats_t   stats;
static const char         *driver;
static answer_t            answers[64];


static void
log_line(void *data, int level, const char *msg)
{
    size_t  n;

    (void) data;

    n = strlen(logged);
    (void) snprintf(logged + n, sizeof(logged) - n, "%d %s\n", level, msg);
}


static int
open_store(doi_store_t **store, uint32_t queue_max, char *err, size_t size)
{
    doi_store_conf_t  conf;

    memset(&conf, 0, sizeof(conf));
    conf.path = dir;
    conf.size = 67108864;
    conf.queue_max = queue_max;
    conf.timeout_ms = 5000;
    conf.stats = &stats;
    conf.log = log_line;

    return strcmp(driver, "lmdb") == 0
           ? doi_store_lmdb_open_hooks(&conf, &toy_hooks, store, err, size)
           : doi_store_mem_open_hooks(&conf, &toy_hooks, store, err, size);
}


static doi_store_t *
must_open(uint32_t queue_max)
{
    char          err[1024];
    doi_store_t  *store;

    if (open_store(&store, queue_max, err, sizeof(err)) != DOI_OK) {
        printf("Bail out! %s\n", err);
        exit(1);
    }

    return store;
}


static void
done(void *data, doi_result_t result, doi_str_t answer)
{
    answer_t  *a;

    a = data;

    a->calls++;
    a->order = ++serial;
    a->result = result;
    a->len = answer.len;

    if (answer.len != 0) {
        memcpy(a->bytes, answer.data, answer.len);
    }

    inside += in_submit;
}


static int
submit(doi_store_t *store, unsigned op, const void *arg, size_t len,
    answer_t *a)
{
    int  rc;

    memset(a, 0, offsetof(answer_t, bytes));

    in_submit = 1;
    rc = doi_store_submit(store, op, toy_str(arg, len), done, a);
    in_submit = 0;

    return rc;
}


static void
wait_all(doi_store_t *store)
{
    unsigned       i;
    struct pollfd  pfd;

    in_submit = 1;
    doi_store_flush(store);
    in_submit = 0;

    pfd.fd = doi_store_fd(store);
    pfd.events = POLLIN;

    for (i = 0; i < 1000 && doi_store_pending(store) != 0; i++) {
        if (poll(&pfd, 1, 1000) > 0) {
            doi_store_dispatch(store);
        }
    }
}


static doi_result_t
run(doi_store_t *store, unsigned op, const void *arg, size_t len)
{
    if (submit(store, op, arg, len, &answers[0]) != DOI_OK) {
        return (doi_result_t) 99;
    }

    wait_all(store);

    return answers[0].calls == 1 ? answers[0].result : (doi_result_t) 98;
}


static doi_result_t
set(doi_store_t *store, const void *key, size_t klen, const void *value,
    size_t vlen)
{
    uint8_t  arg[1024];

    return run(store, TOY_SET, arg, toy_set_arg(arg, key, klen, value, vlen));
}


static int
has(doi_store_t *store, const void *key, size_t klen, const char *value)
{
    doi_buf_t  out;

    static uint8_t  bytes[DOI_REPLY_MAX];

    out.data = bytes;
    out.len = 0;
    out.size = sizeof(bytes);

    if (doi_store_read(store, toy_get, toy_str(key, klen), &out) != DOI_WON) {
        return value == NULL;
    }

    return value != NULL && out.len == strlen(value)
           && memcmp(out.data, value, out.len) == 0;
}


/* Submits once more from inside a callback. */

static doi_store_t  *again_store;
static int           again_left;

static void
again(void *data, doi_result_t result, doi_str_t answer)
{
    done(data, result, answer);

    if (again_left-- > 0) {
        (void) doi_store_submit(again_store, TOY_NOW, toy_str("", 0), again,
                                data);
        doi_store_flush(again_store);
        doi_store_dispatch(again_store);
    }
}


static void
rows(void)
{
    uint8_t       key[64], far[80];
    doi_store_t  *s;

    s = must_open(64);

    is_int(set(s, "b", 1, "2", 1), DOI_WON, "%s: put", driver);
    ok(has(s, "b", 1, "2"), "%s: a read sees what was committed", driver);
    is_int(run(s, TOY_GET, "b", 1), DOI_WON, "%s: get", driver);
    ok(answers[0].len == 1 && answers[0].bytes[0] == '2', "%s: its answer",
       driver);
    is_int(run(s, TOY_GET, "x", 1), DOI_CONFLICT, "%s: no such row", driver);

    set(s, "b", 1, "22", 2);
    ok(has(s, "b", 1, "22"), "%s: put again", driver);

    is_int(set(s, "e", 1, "", 0), DOI_WON, "%s: an empty value", driver);
    ok(has(s, "e", 1, ""), "%s: is there", driver);

    is_int(run(s, TOY_DEL, "e", 1), DOI_WON, "%s: del", driver);
    ok(has(s, "e", 1, NULL), "%s: is gone", driver);
    is_int(run(s, TOY_DEL, "e", 1), DOI_WON, "%s: del of nothing", driver);

    is_int(run(s, TOY_HALF, "h", 1), DOI_CONFLICT, "%s: conflict", driver);
    ok(answers[0].len == 3, "%s: has its answer", driver);
    ok(has(s, "h", 1, NULL), "%s: and has written nothing", driver);
    is_int(run(s, TOY_HALF_RETRY, "h", 1), DOI_RETRY, "%s: retry", driver);
    ok(answers[0].len == 0, "%s: has no answer", driver);
    ok(has(s, "h", 1, NULL), "%s: and has written nothing", driver);

    is_int(run(s, TOY_OWN, "o", 1), DOI_WON, "%s: own writes are seen",
           driver);
    ok(has(s, "o", 1, ""), "%s: the last one counts", driver);

    set(s, "a", 1, "1", 1);
    set(s, "c", 1, "3", 1);
    set(s, "ab", 2, "12", 2);

    is_int(run(s, TOY_SCAN, "", 0), DOI_WON, "%s: scan", driver);
    ok(answers[0].len == 11
       && memcmp(answers[0].bytes, "\1a\2ab\1b\1c\1o", 11) == 0,
       "%s: in bytewise order", driver);
    is_int(run(s, TOY_SCAN, "aa", 2), DOI_WON, "%s: scan from", driver);
    ok(answers[0].len == 9
       && memcmp(answers[0].bytes, "\2ab\1b\1c\1o", 9) == 0,
       "%s: begins there", driver);

    /* Long keys, and a short one that tries to be one of them. */

    memset(far, 'k', sizeof(far));
    set(s, far, 80, "long", 4);
    far[79] = 'l';
    ok(has(s, far, 80, NULL), "%s: long keys differ at the end", driver);
    set(s, far, 80, "other", 5);
    ok(has(s, far, 80, "other"), "%s: a long key", driver);
    far[79] = 'k';
    ok(has(s, far, 80, "long"), "%s: another long key", driver);

    run(s, TOY_SCAN, far, 33);
    ok(answers[0].len == 4 + 2 * 66 - 2 && answers[0].bytes[0] == 65,
       "%s: long keys are stored as 65 bytes", driver);
    memcpy(key, answers[0].bytes + 1, 64);
    set(s, key, 64, "short", 5);
    ok(has(s, far, 80, "long"), "%s: cannot be forged by a short one", driver);
    run(s, TOY_DEL, far, 80);
    ok(has(s, far, 80, NULL), "%s: and can be deleted", driver);

    is_int(run(s, TOY_BIG, "big", 3), DOI_RETRY, "%s: a value that is too "
           "long", driver);
    ok(has(s, "ok", 2, NULL), "%s: spoils the transaction", driver);
    is_int(set(s, "", 0, "x", 1), DOI_RETRY, "%s: an empty key", driver);

    {
        uint32_t  n = 5000;

        is_int(run(s, TOY_MANY, &n, 4), DOI_WON, "%s: many writes in one "
               "transaction", driver);
    }

    is_int(run(s, TOY_ANSWER, "", 0), DOI_WON, "%s: a long answer", driver);
    ok(answers[0].len == DOI_REPLY_MAX && answers[0].bytes[65535] == 'x',
       "%s: arrives whole", driver);

    is_int(run(s, 77, "", 0), DOI_RETRY, "%s: an unknown operation", driver);

    doi_store_close(s, 1000);
}


static void
calls(void)
{
    int           i, good;
    char          key[4];
    uint8_t       arg[64], *large;
    size_t        n;
    uint64_t      refused;
    doi_buf_t     out;
    doi_store_t  *s;

    s = must_open(16);
    inside = 0;

    ok(submit(s, TOY_NOW, "", 0, &answers[1]) == DOI_OK
       && answers[1].calls == 0, "%s: accepted, not called", driver);
    is_int(doi_store_pending(s), 1, "%s: pending", driver);
    wait_all(s);
    is_int(answers[1].calls, 1, "%s: called once", driver);
    is_int(doi_store_pending(s), 0, "%s: nothing pending", driver);

    refused = stats.refused_queue;

    for (i = 0; i < 16; i++) {
        (void) snprintf(key, sizeof(key), "q%d", i);
        n = toy_set_arg(arg, "order", 5, key, strlen(key));
        (void) submit(s, TOY_SET, arg, n, &answers[i]);
    }

    is_int(submit(s, TOY_NOW, "", 0, &answers[20]), DOI_ERROR,
           "%s: the queue is bounded", driver);
    is_int(stats.refused_queue, refused + 1, "%s: and says so", driver);
    wait_all(s);

    good = 1;

    for (i = 0; i < 16; i++) {
        good &= answers[i].calls == 1 && answers[i].result == DOI_WON
                && (i == 0 || answers[i].order > answers[i - 1].order);
    }

    ok(good, "%s: each called once, in order", driver);
    is_int(answers[20].calls, 0, "%s: not what was refused", driver);
    ok(has(s, "order", 5, "q15"), "%s: run in order", driver);

    large = calloc(1, DOI_ARG_MAX + 1);
    is_int(submit(s, TOY_NOW, large, DOI_ARG_MAX + 1, &answers[0]), DOI_ERROR,
           "%s: an argument that is too long", driver);
    is_int(submit(s, TOY_NOW, large, DOI_ARG_MAX, &answers[0]), DOI_OK,
           "%s: the longest argument", driver);

    for (i = 1; i < 16; i++) {
        (void) submit(s, i & 1 ? TOY_NOW : TOY_ANSWER, large, DOI_ARG_MAX,
                      &answers[i]);
    }

    free(large);
    wait_all(s);

    good = 1;

    for (i = 0; i < 16; i++) {
        good &= answers[i].calls == 1 && answers[i].result == DOI_WON;
    }

    ok(good, "%s: many of the longest", driver);

    again_store = s;
    again_left = 20;
    memset(&answers[0], 0, offsetof(answer_t, bytes));
    (void) doi_store_submit(s, TOY_NOW, toy_str("", 0), again, &answers[0]);
    wait_all(s);
    is_int(answers[0].calls, 21, "%s: callbacks may submit", driver);
    is_int(inside, 0, "%s: never called from inside submit or flush", driver);

    out.data = answers[0].bytes;
    out.len = 0;
    out.size = DOI_REPLY_MAX;
    is_int(doi_store_read(s, toy_half, toy_str("w", 1), &out), DOI_RETRY,
           "%s: a read must not write", driver);
    ok(has(s, "w", 1, NULL), "%s: and has not", driver);

    for (i = 0; i < 10; i++) {
        n = toy_set_arg(arg, "last", 4, "x", 1);
        (void) submit(s, TOY_SET, arg, n, &answers[i]);
    }

    doi_store_close(s, 2000);

    good = 1;

    for (i = 0; i < 10; i++) {
        good &= answers[i].calls == 1 && answers[i].result == DOI_WON;
    }

    ok(good, "%s: close waits for what is in flight", driver);
}


static void
clocks(void)
{
    doi_time_t    now, wall, mark;
    doi_store_t  *s;

    s = must_open(16);

    wall = (doi_time_t) time(NULL);
    run(s, TOY_NOW, "", 0);
    memcpy(&now, answers[0].bytes, sizeof(now));
    ok(now >= wall && now <= wall + 2, "%s: the clock is right", driver);

    mark = doi_store_now(s, 0);
    ok(mark >= wall && mark <= wall + 2, "%s: the mark came with the answer",
       driver);
    is_int(doi_store_now(s, wall + 100), wall + 100, "%s: now is the wall "
           "clock", driver);
    is_int(doi_store_now(s, wall - 1000), mark, "%s: but never behind the "
           "mark", driver);

    doi_store_close(s, 1000);
}


static void
faults(void)
{
    int           i;
    doi_buf_t     out;
    doi_time_t    now;
    doi_store_t  *s;

    driver = "mem";
    s = must_open(64);

    doi_store_mem_fault(s, DOI_FAULT_RETRY, 1, 1);
    is_int(set(s, "r", 1, "1", 1), DOI_WON, "mem: skipped");
    is_int(set(s, "r", 1, "2", 1), DOI_RETRY, "mem: retry");
    ok(has(s, "r", 1, "1"), "mem: not applied");
    is_int(set(s, "r", 1, "3", 1), DOI_WON, "mem: once");

    doi_store_mem_fault(s, DOI_FAULT_LOST, 0, 1);
    is_int(set(s, "r", 1, "4", 1), DOI_UNKNOWN, "mem: lost");
    ok(has(s, "r", 1, "3"), "mem: not applied");

    doi_store_mem_fault(s, DOI_FAULT_UNKNOWN, 0, 1);
    is_int(set(s, "r", 1, "5", 1), DOI_UNKNOWN, "mem: unknown");
    ok(has(s, "r", 1, "5"), "mem: applied");

    doi_store_mem_fault(s, DOI_FAULT_GET, 0, 1);
    is_int(run(s, TOY_GET, "r", 1), DOI_RETRY, "mem: a read fails");
    is_int(run(s, TOY_GET, "r", 1), DOI_WON, "mem: the next one does not");

    doi_store_mem_fault(s, DOI_FAULT_PUT, 0, 0);

    for (i = 0; i < 3; i++) {
        is_int(set(s, "r", 1, "6", 1), DOI_RETRY, "mem: a write fails");
    }

    doi_store_mem_fault(s, DOI_FAULT_NONE, 0, 0);
    ok(has(s, "r", 1, "5"), "mem: not applied");

    doi_store_mem_fault(s, DOI_FAULT_TWICE, 0, 1);
    is_int(run(s, TOY_OWN, "t", 1), DOI_WON, "mem: run twice");
    ok(has(s, "t", 1, ""), "mem: applied");

    doi_store_mem_clock(s, 1000000, 1);
    run(s, TOY_NOW, "", 0);
    memcpy(&now, answers[0].bytes, sizeof(now));
    ok(now > 1000000, "mem: a clock that is set back does not go back");
    doi_store_close(s, 100);

    s = must_open(64);
    doi_store_mem_clock(s, 1000000, 1);
    run(s, TOY_NOW, "", 0);
    memcpy(&now, answers[0].bytes, sizeof(now));
    is_int(now, 1000000, "mem: the clock can be set");

    out.data = answers[0].bytes;
    out.len = 0;
    out.size = DOI_REPLY_MAX;
    (void) doi_store_read(s, toy_now, toy_str("", 0), &out);
    memcpy(&now, answers[0].bytes, sizeof(now));
    is_int(now, 1000000, "mem: for reads too");
    doi_store_close(s, 100);
}


static int
mode_of(const char *name)
{
    char         path[600];
    struct stat  st;

    (void) snprintf(path, sizeof(path), "%s/%s", dir, name);

    return stat(path, &st) == 0 ? (int) (st.st_mode & 07777) : -1;
}


/* What only a store on disk can do. */

static void
disk(void)
{
    char          err[1024], name[600], saved[600];
    FILE         *f;
    uint64_t      commits;
    doi_store_t  *s, *other;
    doi_time_t    mark;

    driver = "lmdb";

    s = must_open(64);
    ok(has(s, "b", 1, "22"), "lmdb: rows outlive the store");
    mark = doi_store_now(s, 0);
    ok(mark > 1700000000, "lmdb: so does the clock's mark");

    ok(open_store(&other, 16, err, sizeof(err)) == DOI_ERROR
       && strstr(err, "already") != NULL, "lmdb: not twice in one process");

    (void) snprintf(saved, sizeof(saved), "%s", dir);
    (void) snprintf(name, 100, "%.80s.link", dir);
    (void) !symlink(dir, name);
    (void) snprintf(dir, sizeof(dir), "%.100s", name);
    ok(open_store(&other, 16, err, sizeof(err)) == DOI_ERROR
       && strstr(err, "already") != NULL, "lmdb: nor by another path");
    (void) unlink(name);
    (void) snprintf(dir, sizeof(dir), "%.100s", saved);

    is_int(mode_of("data.mdb"), 0600, "lmdb: mode of data.mdb");
    is_int(mode_of("lock.mdb"), 0600, "lmdb: mode of lock.mdb");
    run(s, TOY_NOW, "", 0);
    is_int(mode_of("leader.lock"), 0600, "lmdb: mode of leader.lock");
    is_int(mode_of("leader.sock"), 0600, "lmdb: mode of leader.sock");

    commits = stats.commits;
    is_int(run(s, TOY_GET, "b", 1), DOI_WON, "lmdb: an operation that only "
           "reads");
    is_int(stats.commits, commits, "lmdb: costs no commit");
    set(s, "b", 1, "23", 2);
    is_int(stats.commits, commits + 1, "lmdb: one that writes costs one");
    ok(stats.map_used > 0 && stats.map_size == 67108864,
       "lmdb: gauges");
    doi_store_close(s, 1000);

    is_int(mode_of("leader.sock"), -1, "lmdb: no socket left behind");

    (void) snprintf(dir, sizeof(dir), "/nonexistent/doi");
    ok(open_store(&s, 16, err, sizeof(err)) == DOI_ERROR
       && strstr(err, dir) != NULL && strstr(err, "create") != NULL,
       "lmdb: no directory: %s", err);

    (void) snprintf(dir, sizeof(dir), "/proc/version");
    ok(open_store(&s, 16, err, sizeof(err)) == DOI_ERROR
       && strstr(err, "must be a directory") != NULL,
       "lmdb: not a directory: %s", err);

    (void) snprintf(dir, sizeof(dir), "/proc");
    ok(open_store(&s, 16, err, sizeof(err)) == DOI_ERROR, "lmdb: cannot be "
       "written: %s", err);

    (void) snprintf(dir, sizeof(dir), "/tmp/doi-store-bad-XXXXXX");
    (void) !mkdtemp(dir);
    (void) snprintf(name, sizeof(name), "%s/data.mdb", dir);
    f = fopen(name, "w");

    if (f != NULL) {
        (void) fprintf(f, "%8192s", "not a database");
        (void) fclose(f);
    }

    ok(open_store(&s, 16, err, sizeof(err)) == DOI_ERROR
       && strstr(err, "backup") != NULL, "lmdb: not a database: %s", err);
    ok(open_store(&s, 16, err, sizeof(err)) == DOI_ERROR
       && strstr(err, "backup") != NULL, "lmdb: still not");
    (void) unlink(name);
    s = must_open(16);
    is_int(set(s, "a", 1, "b", 1), DOI_WON, "lmdb: mended");
    doi_store_close(s, 1000);

    {
        char  cmd[600];

        (void) snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
        (void) !system(cmd);
    }

    (void) snprintf(dir, sizeof(dir), "%.100s", saved);
}


/* The operations of production, with the housekeeping that goes with them. */

static void
real(void)
{
    int                i;
    char               err[1024];
    doi_store_t       *s;
    uint64_t           commits, mark;
    doi_claim_arg_t    claim;
    doi_settle_arg_t   settle;
    doi_link_answer_t  a;
    doi_store_conf_t   conf;

    memset(&conf, 0, sizeof(conf));
    conf.path = dir;
    conf.size = 67108864;
    conf.queue_max = 10;
    conf.timeout_ms = 5000;
    conf.stats = &stats;
    conf.log = log_line;

    if (doi_store_lmdb_open(&conf, &s, err, sizeof(err)) != DOI_OK) {
        ok(0, "links: %s", err);
        return;
    }

    memset(&claim, 0, sizeof(claim));
    memset(claim.id, 7, sizeof(claim.id));
    memset(claim.attempt, 1, sizeof(claim.attempt));
    memset(claim.browser, 1, sizeof(claim.browser));
    claim.expires = (doi_time_t) time(NULL) + 1000;
    claim.timeout = 60;

    is_int(run(s, DOI_OP_LINK_CLAIM, &claim, sizeof(claim)), DOI_WON,
           "links: claimed");
    is_int(run(s, DOI_OP_LINK_CLAIM, &claim, sizeof(claim)), DOI_WON,
           "links: the same attempt wins again");

    memset(claim.attempt, 2, sizeof(claim.attempt));
    memset(claim.browser, 2, sizeof(claim.browser));
    is_int(run(s, DOI_OP_LINK_CLAIM, &claim, sizeof(claim)), DOI_CONFLICT,
           "links: another one does not, at second sight");
    memcpy(&a, answers[0].bytes, sizeof(a));
    is_int(a.state, DOI_LINK_CLAIMED, "links: it is told that it is claimed");

    /* Second looks of one connection do not hold up what comes behind. */

    (void) submit(s, DOI_OP_LINK_CLAIM, &claim, sizeof(claim), &answers[0]);

    memset(&settle, 0, sizeof(settle));
    memset(settle.id, 7, sizeof(settle.id));
    memset(settle.attempt, 1, sizeof(settle.attempt));
    settle.outcome = DOI_OUTCOME_USED;
    settle.status = 200;
    (void) submit(s, DOI_OP_LINK_SETTLE, &settle, sizeof(settle), &answers[1]);
    wait_all(s);

    is_int(answers[1].result, DOI_WON, "links: settled");
    is_int(answers[0].result, DOI_CONFLICT, "links: the other one");
    memcpy(&a, answers[0].bytes, sizeof(a));
    is_int(a.state, DOI_LINK_USED, "links: has seen that");
    ok(answers[1].order < answers[0].order, "links: and was answered later");

    commits = stats.commits;
    mark = stats.clock_mark;
    (void) poll(NULL, 0, 2300);
    ok(stats.commits <= commits + 1, "links: sweeping nothing costs no "
       "commit");

    for (i = 0; i < 300 && stats.clock_mark < mark + 2; i++) {
        (void) poll(NULL, 0, 100);
    }

    ok(stats.clock_mark >= mark + 2, "links: the mark moves on");

    doi_store_close(s, 1000);
}


int
main(void)
{
    char    cmd[600];
    size_t  i, fds[2];
    DIR    *d;

    static const char *const  drivers[] = { "mem", "lmdb" };

    (void) snprintf(dir, sizeof(dir), "/tmp/doi-store-XXXXXX");

    if (mkdtemp(dir) == NULL) {
        printf("Bail out! mkdtemp: %s\n", strerror(errno));
        return 1;
    }

    for (i = 0; i < 2; i++) {
        driver = drivers[i];
        rows();
        calls();
        clocks();
    }

    faults();
    disk();
    real();

    for (i = 0; i < 2; i++) {
        driver = "lmdb";
        doi_store_close(must_open(16), 100);

        fds[i] = 0;
        d = opendir("/proc/self/fd");

        while (d != NULL && readdir(d) != NULL) {
            fds[i]++;
        }

        if (d != NULL) {
            (void) closedir(d);
        }
    }

    is_int(fds[1], fds[0], "no descriptor is left open");
    ok(logged[0] == '\0', "nothing was logged");

    if (logged[0] != '\0') {
        printf("# %s", logged);
    }

    (void) snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
    (void) !system(cmd);

    return done_testing();
}
