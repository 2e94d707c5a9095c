/*
 * The log before LMDB, when things go wrong around it: a sync that takes long
 * or fails, a log that is removed or replaced, no room to take it in.
 *
 * LMDB is kept behind (flush_ms), so that the log is all there is.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <lmdb.h>

#include "tap.h"
#include "store_log_help.h"
#include "../../src/store/log.h"


#define KEYS        40
#define LATER       600000              /* ms                                 */


typedef struct {
    doi_store_stats_t  stats;
    _Atomic int        wait;            /* the leader opens when it is 0      */
    _Atomic int        ready;
    _Atomic int        stop;
    _Atomic int        hold;            /* a sync of the log waits while 1    */
    _Atomic int        held;
    _Atomic int        fail;            /* errno of every sync                */
} shared_t;

static shared_t  *sh;
static char       dir[256], copy[256];


static void
msleep(unsigned ms)
{
    struct timespec  ts = { ms / 1000, (long) (ms % 1000) * 1000000 };

    (void) nanosleep(&ts, NULL);
}


static int
is_log(int fd)
{
    char         name[300];
    struct stat  log, st;

    (void) snprintf(name, sizeof(name), "%s/data.log", dir);

    return stat(name, &log) == 0 && fstat(fd, &st) == 0
           && log.st_ino == st.st_ino;
}


/* LMDB and the log find this one instead of libc's. */

int
fdatasync(int fd)
{
    if (atomic_load(&sh->fail)) {
        errno = sh->fail;
        return -1;
    }

    if (atomic_load(&sh->hold) && is_log(fd)) {
        atomic_store(&sh->held, 1);

        while (atomic_load(&sh->hold)) {
            msleep(1);
        }
    }

    return (int) syscall(SYS_fdatasync, fd);
}


static doi_store_t *
try_store(const char *path, char *err, size_t errsize)
{
    doi_store_t        *store;
    doi_store_conf_t    conf;
    doi_store_hooks_t   hooks;

    memset(&conf, 0, sizeof(conf));
    conf.path = path;
    conf.size = 4194304;
    conf.queue_max = 512;
    conf.timeout_ms = 5000;
    conf.stats = &sh->stats;

    hooks = toy_hooks;
    hooks.flush_ms = LATER;

    return doi_store_lmdb_open_hooks(&conf, &hooks, &store, err, errsize)
           == DOI_OK ? store : NULL;
}


static void
fresh_dirs(void)
{
    (void) snprintf(dir, sizeof(dir), "/tmp/doi-log2-XXXXXX");
    (void) snprintf(copy, sizeof(copy), "/tmp/doi-log2copy-XXXXXX");

    if (mkdtemp(dir) == NULL || mkdtemp(copy) == NULL) {
        printf("Bail out! mkdtemp\n");
        exit(1);
    }

    memset((void *) sh, 0, sizeof(shared_t));
}


static void
drop_dirs(void)
{
    run("rm -rf '%s' '%s'", dir, copy);
}


/* Keys k00 .. in the log of a leader that goes on. */

static void
leader(void)
{
    int           i;
    char          key[16];
    doi_store_t  *store;

    while (atomic_load(&sh->wait)) {
        msleep(1);
    }

    store = open_store(dir);

    for (i = 0; i < KEYS; i++) {
        (void) snprintf(key, sizeof(key), "k%02d", i);
        (void) set(store, key, "1");
    }

    atomic_store(&sh->ready, 1);

    while (!atomic_load(&sh->stop)) {
        turn(store, 5);
    }

    doi_store_close(store, 1000);
    _exit(0);
}


static pid_t
spawn(void (*fn)(void))
{
    pid_t  pid;

    (void) fflush(stdout);

    pid = fork();

    if (pid == 0) {
        fn();
        _exit(0);
    }

    return pid;
}


static void
wait_leader(void)
{
    while (!atomic_load(&sh->ready)) {
        msleep(1);
    }
}


static pid_t
spawn_leader(void)
{
    pid_t  pid;

    pid = spawn(leader);
    wait_leader();

    return pid;
}


static void
kill_leader(pid_t pid)
{
    (void) kill(pid, SIGKILL);
    (void) waitpid(pid, NULL, 0);
}


static int
has_all(doi_store_t *store)
{
    int   i, n;
    char  key[16];

    for (i = n = 0; i < KEYS; i++) {
        (void) snprintf(key, sizeof(key), "k%02d", i);
        n += has(store, key, "1");
    }

    return n;
}


/* Nobody is shown what a power cut may undo. */

static void
scene_unsynced(void)
{
    int           i, rc;
    char          arg[16];
    pid_t         pid;
    answer_t      a = { 0, DOI_RETRY };
    doi_store_t  *store;

    fresh_dirs();
    pid = spawn_leader();
    store = open_store(dir);
    is_int(set(store, "a", "1"), DOI_WON, "unsynced: set");

    atomic_store(&sh->hold, 1);

    (void) doi_store_submit(store, TOY_SET,
                            toy_str(arg, toy_set_arg((uint8_t *) arg, "a", 1,
                                                     "2", 1)),
                            one_done, &a);

    for (i = 0; i < 5000 && !atomic_load(&sh->held); i++) {
        turn(store, 0);
        msleep(1);
    }

    ok(sh->held, "unsynced: the record is written");
    ok(has(store, "a", "1"), "unsynced: and not shown");
    ok(has(store, "k39", "1"), "unsynced: what is before it is");

    atomic_store(&sh->hold, 0);

    for (i = 0; i < 5000 && a.calls == 0; i++) {
        turn(store, 10);
    }

    is_int(a.result, DOI_WON, "unsynced: then it is");
    ok(has(store, "a", "2"), "unsynced: and is shown");

    atomic_store(&sh->fail, EIO);
    is_int(set(store, "a", "3"), DOI_UNKNOWN, "unsynced: nobody knows");
    ok(has(store, "a", "2") && has_all(store) == KEYS,
       "unsynced: nor is that shown");
    atomic_store(&sh->fail, 0);

    for (i = 0; i < 50 && (rc = set(store, "b", "1")) == DOI_RETRY; i++) {
        msleep(100);
    }

    is_int(rc, DOI_WON, "unsynced: it goes on");
    ok(has(store, "a", "2") && has(store, "b", "1") && has_all(store) == KEYS,
       "unsynced: with all that was told");

    kill_leader(pid);
    is_int(set(store, "c", "1"), DOI_WON, "unsynced: another leader");
    ok(has(store, "a", "2") && has(store, "b", "1") && has_all(store) == KEYS,
       "unsynced: has it too");
    doi_store_close(store, 1000);
    drop_dirs();
}


/* Somebody removes the log while it has all there is. */

static void
scene_removed(void)
{
    pid_t         pid;
    doi_store_t  *store;

    fresh_dirs();

    /* Open before there is a leader, like the first workers of all. */

    atomic_store(&sh->wait, 1);
    pid = spawn(leader);
    store = open_store(dir);
    atomic_store(&sh->wait, 0);
    wait_leader();
    is_int(has_all(store), KEYS, "removed: set");

    run("rm '%s/data.log'", dir);
    ok(set(store, "x", "1") != DOI_WON, "removed: nobody makes another one");

    kill_leader(pid);
    (void) set(store, "x", "1");
    doi_store_close(store, 1000);

    run("rm -f '%s/leader.lock'", dir);
    store = open_store(dir);
    is_int(has_all(store), KEYS, "removed: and it is in LMDB");
    is_int(set(store, "y", "1"), DOI_WON, "removed: as a backup it goes on");
    doi_store_close(store, 1000);
    drop_dirs();
}


/* The same bytes in a file of their own. */

static void
scene_replaced(void)
{
    pid_t         pid;
    doi_store_t  *store;

    fresh_dirs();
    pid = spawn_leader();
    store = open_store(dir);
    is_int(has_all(store), KEYS, "replaced: read");

    kill_leader(pid);
    run("cp '%s/data.log' '%s/x' && mv '%s/x' '%s/data.log'", dir, dir, dir,
        dir);

    is_int(set(store, "a", "1"), DOI_WON, "replaced: set");
    ok(has(store, "a", "1"), "replaced: it is shown");
    is_int(has_all(store), KEYS, "replaced: with the rest");
    doi_store_close(store, 1000);
    drop_dirs();
}


/* Rows of a table of its own, until there is no page left. */

static void
fill(void)
{
    int       rc, n;
    size_t    len;
    MDB_dbi   dbi;
    MDB_env  *env;
    MDB_txn  *txn;
    MDB_val   key, data;
    uint8_t   bytes[65536], name[8];

    memset(bytes, 'f', sizeof(bytes));
    memset(name, 0xee, sizeof(name));

    (void) mdb_env_create(&env);

    if (mdb_env_open(env, dir, MDB_NOTLS, 0600) != 0) {
        _exit(1);
    }

    for (len = sizeof(bytes), n = 0; len > 1000; len /= 2) {
        do {
            n++;
            memcpy(name + 1, &n, sizeof(n));
            key.mv_data = name;
            key.mv_size = sizeof(name);
            data.mv_data = bytes;
            data.mv_size = len;

            rc = mdb_txn_begin(env, NULL, 0, &txn);

            if (rc == 0) {
                rc = mdb_dbi_open(txn, NULL, 0, &dbi);
                rc = rc != 0 ? rc : mdb_put(txn, dbi, &key, &data, 0);

                if (rc == 0) {
                    rc = mdb_txn_commit(txn);
                } else {
                    mdb_txn_abort(txn);
                }
            }
        } while (rc == 0);
    }

    mdb_env_close(env);
    _exit(rc == MDB_MAP_FULL ? 0 : 1);
}


/* What was acknowledged must find room when a leader takes it in. */

static void
scene_full(void)
{
    int           i, status;
    char          key[16], value[401];
    pid_t         pid;
    doi_store_t  *store;

    fresh_dirs();
    pid = spawn_leader();
    store = open_store(dir);

    memset(value, 'v', sizeof(value));
    value[400] = '\0';

    for (i = 0; i < 200; i++) {
        (void) snprintf(key, sizeof(key), "v%03d", i);
        (void) set(store, key, value);
    }

    doi_store_close(store, 1000);
    kill_leader(pid);

    (void) waitpid(spawn(fill), &status, 0);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "full: no page is left");

    store = open_store(dir);
    is_int(has_all(store), KEYS, "full: it is shown");
    is_int(one(store, TOY_GET, "k00", 3), DOI_WON, "full: somebody leads");
    is_int(one(store, TOY_DEL, "k00", 3), DOI_WON, "full: deleting goes on");
    is_int(has_all(store), KEYS - 1, "full: nothing else is lost");
    ok(has(store, "v000", value) && has(store, "v199", value),
       "full: however much it is");
    doi_store_close(store, 1000);

    store = open_store(dir);
    is_int(has_all(store), KEYS - 1, "full: nor later");
    doi_store_close(store, 1000);
    drop_dirs();
}


/* A backup where no log can be made: slower, no more. */

static void
scene_bare(void)
{
    pid_t         pid;
    doi_store_t  *store;

    fresh_dirs();
    pid = spawn_leader();
    atomic_store(&sh->stop, 1);
    (void) waitpid(pid, NULL, 0);

    run("cp '%s/data.mdb' '%s/data.mdb' && mkdir '%s/data.log.new'", dir, copy,
        copy);

    store = open_store(copy);
    is_int(has_all(store), KEYS, "bare: read");
    is_int(set(store, "a", "1"), DOI_WON, "bare: set");
    ok(has(store, "a", "1") && has_all(store) == KEYS, "bare: it is shown");
    doi_store_close(store, 1000);

    run("rmdir '%s/data.log.new'", copy);
    store = open_store(copy);
    is_int(set(store, "b", "1"), DOI_WON, "bare: the log is made later");
    ok(has(store, "a", "1") && has(store, "b", "1")
       && has_all(store) == KEYS, "bare: with all");
    doi_store_close(store, 1000);
    drop_dirs();
}


/*
 * A leader that has written nothing yet: a reader need not ask LMDB, which in
 * the middle of a commit would make it wait.
 */

static void
front(void)
{
    int            rc, fd;
    MDB_dbi        dbi;
    MDB_env       *env;
    MDB_txn       *txn;
    MDB_val        key, data;
    doi_over_t     over;
    doi_log_pos_t  pos;
    uint8_t        name[] = { DOI_TABLE_META, 'l', 'o', 'g' };

    memset(&over, 0, sizeof(over));
    key.mv_data = name;
    key.mv_size = sizeof(name);

    (void) mdb_env_create(&env);
    fd = open(dir, O_PATH|O_DIRECTORY|O_CLOEXEC);

    rc = mdb_env_open(env, dir, MDB_NOTLS, 0600);
    rc = rc != 0 ? rc : mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    rc = rc != 0 ? rc : mdb_dbi_open(txn, NULL, 0, &dbi);
    rc = rc != 0 ? rc : mdb_get(txn, dbi, &key, &data);

    if (rc != 0 || data.mv_size != DOI_LOG_POS_SIZE) {
        _exit(1);
    }

    doi_log_pos_decode(data.mv_data, &pos);

    _exit(doi_over_update(&over, fd, &pos, 0) == DOI_OK && over.nrows == 0
          ? 0 : 2);
}


static void
scene_front(void)
{
    int           status;
    pid_t         pid;
    doi_store_t  *store;

    fresh_dirs();
    pid = spawn_leader();
    store = open_store(dir);
    kill_leader(pid);
    is_int(one(store, TOY_GET, "k00", 3), DOI_WON, "front: another leader");

    (void) waitpid(spawn(front), &status, 0);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 0,
       "front: it says whose the log is");
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

    scene_unsynced();
    scene_removed();
    scene_replaced();
    scene_full();
    scene_bare();
    scene_front();

    return done_testing();
}
