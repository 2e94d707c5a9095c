/*
 * The log before LMDB: what was acknowledged and is in the log alone must be
 * there after a crash at any point, after a power cut, and for every reader;
 * a torn, stale or foreign log must add nothing.
 *
 * LMDB is kept behind (flush_ms), so that the log is all there is.  A power cut
 * is a copy of both files while the leader lives.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"
#include "store_log_help.h"
#include "../../src/store/log.h"


#define KEYS        40
#define LATER       600000              /* ms                                 */


typedef struct {
    doi_store_stats_t  stats;
    _Atomic int        ready;
    _Atomic int        stop;
    _Atomic int        point;           /* where the leader dies              */
    _Atomic int        listened;
} shared_t;

static shared_t  *sh;
static char       dir[256], copy[256];
static uint32_t   flush_ms;


static void
at(doi_point_t point)
{
    if (point == DOI_AT_LISTENING) {
        atomic_fetch_add(&sh->listened, 1);
    }

    if (atomic_load(&sh->point) == (int) point) {
        atomic_store(&sh->point, 0);
        (void) kill(getpid(), SIGKILL);
    }
}


static doi_store_t *
try_store(const char *path, char *err, size_t errsize)
{
    doi_store_t        *store;
    doi_store_conf_t    conf;
    doi_store_hooks_t   hooks;

    memset(&conf, 0, sizeof(conf));
    conf.path = path;
    conf.size = 268435456;
    conf.queue_max = 512;
    conf.timeout_ms = 5000;
    conf.stats = &sh->stats;

    hooks = toy_hooks;
    hooks.at = at;
    hooks.flush_ms = flush_ms;

    return doi_store_lmdb_open_hooks(&conf, &hooks, &store, err, errsize)
           == DOI_OK ? store : NULL;
}


/* The keys from a key on: "a b c ". */

static const char *
keys(doi_store_t *store, const char *from)
{
    size_t        i, n;
    uint8_t       bytes[4096];
    doi_buf_t     out = { bytes, 0, sizeof(bytes) };
    static char   text[4096];

    n = 0;

    if (doi_store_read(store, toy_scan, toy_str(from, strlen(from)), &out)
        != DOI_WON)
    {
        return "failed";
    }

    for (i = 0; i < out.len; i += 1 + (size_t) bytes[i]) {
        memcpy(text + n, bytes + i + 1, bytes[i]);
        n += bytes[i];
        text[n++] = ' ';
    }

    text[n] = '\0';

    return text;
}


static void
fresh_dirs(void)
{
    (void) snprintf(dir, sizeof(dir), "/tmp/doi-log-XXXXXX");
    (void) snprintf(copy, sizeof(copy), "/tmp/doi-logcopy-XXXXXX");

    if (mkdtemp(dir) == NULL || mkdtemp(copy) == NULL) {
        printf("Bail out! mkdtemp\n");
        exit(1);
    }

    memset((void *) sh, 0, sizeof(shared_t));
    flush_ms = LATER;
}


static void
drop_dirs(void)
{
    run("rm -rf '%s' '%s'", dir, copy);
}


/* What a power cut leaves: both files, and the sign of a leader. */

static void
cut_power(const char *to)
{
    run("rm -rf '%s' && mkdir -m 700 '%s' && cp '%s/data.mdb' '%s/data.log' "
        "'%s' && touch '%s/leader.lock'", to, to, dir, dir, to, to);
}


static void
leader(void)
{
    doi_store_t  *store;

    store = open_store(dir);
    (void) set(store, "up", "1");
    atomic_store(&sh->ready, 1);

    while (!atomic_load(&sh->stop)) {
        turn(store, 5);
    }

    doi_store_close(store, 1000);
    _exit(0);
}


static pid_t
spawn_leader(void)
{
    pid_t            pid;
    struct timespec  ms = { 0, 1000000 };

    (void) fflush(stdout);

    pid = fork();

    if (pid == 0) {
        leader();
    }

    while (!atomic_load(&sh->ready)) {
        (void) nanosleep(&ms, NULL);
    }

    return pid;
}


static void
end_leader(pid_t pid)
{
    atomic_store(&sh->stop, 1);
    (void) waitpid(pid, NULL, 0);
}


/* Another process reads what LMDB does not have yet. */

static void
scene_readers(void)
{
    pid_t         pid;
    doi_store_t  *store, *old;

    fresh_dirs();
    pid = spawn_leader();
    store = open_store(dir);

    is_int(set(store, "b", "1"), DOI_WON, "readers: set");
    ok(has(store, "b", "1"), "readers: what was told is there");
    is_int(set(store, "b", "2"), DOI_WON, "readers: set anew");
    ok(has(store, "b", "2"), "readers: the last one counts");
    is_int(set(store, "d", ""), DOI_WON, "readers: an empty value");
    ok(has(store, "d", ""), "readers: is there");

    run("mkdir '%s/mdb' && cp '%s/data.mdb' '%s/mdb'", copy, dir, copy);
    end_leader(pid);

    /* The parent leads, with that in LMDB. */

    is_int(set(store, "f", "1"), DOI_WON, "readers: after the leader has gone");
    ok(has(store, "b", "2") && has(store, "f", "1"), "readers: all is there");

    (void) set(store, "a", "1");
    (void) set(store, "c", "1");
    (void) set(store, "e", "1");
    (void) set(store, "g", "1");
    is_int(one(store, TOY_DEL, "d", 1), DOI_WON, "readers: delete");
    is_int(one(store, TOY_DEL, "g", 1), DOI_WON, "readers: delete");
    ok(has(store, "d", NULL) && has(store, "g", NULL), "readers: deleted");
    ok(strcmp(keys(store, "a"), "a b c e f up ") == 0,
       "readers: a scan sees both, in order (%s)", keys(store, "a"));
    ok(strcmp(keys(store, "c"), "c e f up ") == 0,
       "readers: from a key of the log (%s)", keys(store, "c"));
    ok(strcmp(keys(store, "d"), "e f up ") == 0,
       "readers: from a deleted key (%s)", keys(store, "d"));
    ok(strcmp(keys(store, "v"), "") == 0, "readers: from behind all");
    doi_store_close(store, 1000);

    store = open_store(dir);
    ok(strcmp(keys(store, "a"), "a b c e f up ") == 0,
       "readers: LMDB has the same after the end (%s)", keys(store, "a"));
    doi_store_close(store, 1000);

    (void) snprintf(copy + strlen(copy), 8, "/mdb");
    old = open_store(copy);
    ok(has(old, "b", NULL), "readers: LMDB was behind meanwhile");
    doi_store_close(old, 1000);
    copy[strlen(copy) - 4] = '\0';

    drop_dirs();
}


/* The leader dies, with acknowledged operations in the log. */

static void
scene_points(void)
{
    int           i, point, good;
    char          key[16];
    pid_t         pid;
    doi_store_t  *store;

    for (point = DOI_AT_READ; point <= DOI_AT_FLUSHED; point++) {

        fresh_dirs();
        pid = spawn_leader();

        store = open_store(dir);
        good = 1;

        for (i = 0; i < KEYS; i++) {
            (void) snprintf(key, sizeof(key), "k%02d", i);
            good &= set(store, key, "1") == DOI_WON;
        }

        atomic_store(&sh->point, point);

        if (point >= DOI_AT_FLUSH) {
            end_leader(pid);

        } else {
            good &= set(store, "last", "1") == DOI_WON;
            (void) waitpid(pid, NULL, 0);
        }

        good &= set(store, "after", "1") == DOI_WON;
        ok(good, "points: %d: all went well", point);

        for (i = 0; i < KEYS; i++) {
            (void) snprintf(key, sizeof(key), "k%02d", i);
            good &= has(store, key, "1");
        }

        good &= has(store, "last", point >= DOI_AT_FLUSH ? NULL : "1");
        ok(good, "points: %d: nothing is lost", point);
        doi_store_close(store, 1000);

        store = open_store(dir);
        ok(has(store, "k00", "1") && has(store, "k39", "1")
           && has(store, "after", "1"), "points: %d: nor later", point);
        doi_store_close(store, 1000);
        drop_dirs();
    }
}


/* The next leader dies too, while it reads the log. */

static void
scene_replay(void)
{
    pid_t         pid, two;
    doi_store_t  *store;

    fresh_dirs();
    pid = spawn_leader();
    store = open_store(dir);
    is_int(set(store, "a", "1"), DOI_WON, "replay: set");
    doi_store_close(store, 1000);

    (void) kill(pid, SIGKILL);
    (void) waitpid(pid, NULL, 0);

    atomic_store(&sh->ready, 1);
    atomic_store(&sh->point, DOI_AT_REPLAYED);
    two = spawn_leader();
    (void) waitpid(two, NULL, 0);
    is_int(sh->point, 0, "replay: it died");

    store = open_store(dir);
    is_int(set(store, "b", "1"), DOI_WON, "replay: the third one leads");
    ok(has(store, "a", "1") && has(store, "up", "1"), "replay: with all");
    doi_store_close(store, 1000);
    drop_dirs();
}


/* The first n of the keys t0 .. t5 are there, and no other. */

static int
first(doi_store_t *store, int n)
{
    int   i, good;
    char  key[16];

    good = 1;

    for (i = 0; i < 6; i++) {
        (void) snprintf(key, sizeof(key), "t%d", i);
        good &= has(store, key, i < n ? "a value of 23 bytes ..." : NULL);
    }

    return good;
}


/*
 * A power cut, with the log torn at every place: of the operations before that
 * none is missing, of those behind it there is nothing.
 */

static void
scene_torn(void)
{
    int           i, fd, flip, good, late;
    char          key[16], to[300], name[320];
    off_t         at, up;
    long          len;
    pid_t         pid;
    uint8_t       bytes[4096];
    doi_store_t  *store;

    fresh_dirs();
    pid = spawn_leader();
    store = open_store(dir);

    for (i = 0; i < 6; i++) {
        (void) snprintf(key, sizeof(key), "t%d", i);
        (void) set(store, key, "a value of 23 bytes ...");
    }

    cut_power(copy);
    end_leader(pid);
    doi_store_close(store, 1000);

    /* "up" came first.  Rows have 6 bytes before table, key and value. */

    up = DOI_LOG_START + DOI_LOG_ALIGN;
    len = DOI_LOG_HEAD + 6 + 3 + 23;

    (void) snprintf(to, sizeof(to), "%s.torn", copy);
    (void) snprintf(name, sizeof(name), "%s/data.log", to);

    for (flip = 0; flip < 2; flip++) {

        good = late = 1;

        for (i = 0; i <= 6 * len; i += 5) {

            at = up + i / len * DOI_LOG_ALIGN + i % len;

            run("rm -rf '%s' && cp -r '%s' '%s'", to, copy, to);
            fd = open(name, O_RDWR|O_CLOEXEC);

            if (flip) {
                good &= pread(fd, bytes, 1, at) == 1;
                bytes[0] ^= 1;
                good &= pwrite(fd, bytes, 1, at) == 1;

            } else {
                memset(bytes, 0, sizeof(bytes));
                good &= pwrite(fd, bytes, sizeof(bytes), at)
                        == (ssize_t) sizeof(bytes);
            }

            (void) close(fd);

            store = open_store(to);
            good &= first(store, (int) (i / len));
            late &= set(store, "t", "1") == DOI_WON;
            late &= first(store, (int) (i / len));
            late &= has(store, "up", "1") && has(store, "t", "1");
            doi_store_close(store, 1000);
        }

        ok(good, "torn: %s, before a leader comes",
           flip ? "a wrong bit" : "cut short");
        ok(late, "torn: %s, and afterwards", flip ? "a wrong bit"
                                                  : "cut short");
    }

    /* Whatever is behind the tear stays without effect. */

    store = open_store(to);
    (void) set(store, "x", "1");
    doi_store_close(store, 1000);
    store = open_store(to);
    ok(has(store, "x", "1") && first(store, 5), "torn: and for good");
    doi_store_close(store, 1000);

    run("rm -rf '%s'", to);
    drop_dirs();
}


/* Files that do not belong together. */

static void
scene_stale(void)
{
    char          err[1024], two[300];
    pid_t         pid;
    doi_store_t  *store;

    fresh_dirs();
    (void) snprintf(two, sizeof(two), "%s.two", copy);

    pid = spawn_leader();
    store = open_store(dir);
    (void) set(store, "a", "old");
    (void) set(store, "b", "old");
    cut_power(copy);
    (void) set(store, "c", "old");
    cut_power(two);
    end_leader(pid);

    (void) set(store, "a", "new");
    (void) one(store, TOY_DEL, "b", 1);
    (void) one(store, TOY_DEL, "c", 1);
    doi_store_close(store, 1000);

    /* The log of before beside the data of now. */

    run("cp '%s/data.log' '%s/data.log'", copy, dir);
    store = open_store(dir);
    ok(has(store, "a", "new") && has(store, "b", NULL),
       "stale: an old log is not read");
    is_int(set(store, "d", "1"), DOI_WON, "stale: somebody leads");
    ok(has(store, "a", "new") && has(store, "b", NULL) && has(store, "d", "1"),
       "stale: nor taken in");
    doi_store_close(store, 1000);

    /* The data of before, a backup, beside the log of now. */

    (void) set(store = open_store(copy), "e", "1");
    doi_store_close(store, 1000);
    run("cp '%s/data.mdb' '%s/data.mdb' && rm -f '%s/lock.mdb'", copy, dir,
        dir);
    store = open_store(dir);
    ok(has(store, "a", "old") && has(store, "e", "1") && has(store, "c", NULL)
       && has(store, "d", NULL), "stale: a backup is what it was");
    is_int(set(store, "f", "1"), DOI_WON, "stale: somebody leads");
    ok(has(store, "a", "old") && has(store, "c", NULL) && has(store, "d", NULL),
       "stale: and it stays so");
    doi_store_close(store, 1000);

    /* A leader that has seen less of the same history goes another way, and
       gets to the numbers of the records that it has not seen. */

    run("cp '%s/data.log' '%s/data.log'", two, copy);
    store = open_store(copy);
    (void) set(store, "g", "1");
    (void) set(store, "h", "1");
    ok(has(store, "c", NULL), "stale: the end of another history");
    doi_store_close(store, 1000);

    /* No log. */

    run("rm '%s/data.log'", two);
    ok(try_store(two, err, sizeof(err)) == NULL
       && strstr(err, "data.log is missing") != NULL,
       "stale: without its log it is not opened");
    run("rm '%s/leader.lock'", two);
    store = open_store(two);
    ok(has(store, "a", NULL), "stale: but where it is new, as a backup is");
    is_int(set(store, "a", "1"), DOI_WON, "stale: somebody leads");
    ok(has(store, "a", "1"), "stale: and it has a log");
    doi_store_close(store, 1000);

    run("rm -rf '%s'", two);
    drop_dirs();
}


/* More than the log takes. */

static void
scene_long(void)
{
    int           i, good;
    char          key[16];
    pid_t         pid;
    uint8_t       arg[60000], bytes[61000];
    doi_buf_t     out = { bytes, 0, sizeof(bytes) };
    doi_store_t  *store;

    fresh_dirs();
    pid = spawn_leader();
    store = open_store(dir);
    good = 1;

    for (i = 0; i < 500; i++) {
        memset(arg, 'v', sizeof(arg));
        (void) snprintf((char *) arg, 8, "%cl%04d", 5, i);
        good &= one(store, TOY_SET, arg, sizeof(arg)) == DOI_WON;

        if (i % 10 == 0) {
            (void) snprintf(key, sizeof(key), "l%04d", i);
            out.len = 0;
            good &= doi_store_read(store, toy_get, toy_str(key, 5), &out)
                    == DOI_WON && out.len == sizeof(arg) - 6;
        }
    }

    ok(good, "long: 30 MB through a log of 8");

    (void) kill(pid, SIGKILL);
    (void) waitpid(pid, NULL, 0);

    (void) set(store, "after", "1");

    for (i = 0; i < 500; i++) {
        (void) snprintf(key, sizeof(key), "l%04d", i);
        out.len = 0;
        good &= doi_store_read(store, toy_get, toy_str(key, 5), &out)
                == DOI_WON && out.len == sizeof(arg) - 6;
    }

    ok(good, "long: all of it is there after the leader has died");
    doi_store_close(store, 1000);
    drop_dirs();
}


int
main(void)
{
    sh = mmap(NULL, sizeof(shared_t), PROT_READ|PROT_WRITE,
              MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (sh == MAP_FAILED) {
        return 1;
    }

    scene_readers();
    scene_points();
    scene_replay();
    scene_torn();
    scene_stale();
    scene_long();

    return done_testing();
}
