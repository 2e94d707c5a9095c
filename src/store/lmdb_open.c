/*
 * Opening and closing the LMDB environment of one process.
 *
 * The rules that LMDB lays upon its users are kept here: one environment for
 * a file in a process, found by device and inode and not by name; nothing but
 * LMDB opens lock.mdb while it is in use; none of the flags that trade
 * durability for speed.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "lmdb_internal.h"


#define DOI_READERS         512
#define DOI_LOCK_BYTES      65536       /* room for that many readers         */
#define DOI_SIZE_MIN        1048576U
#define DOI_RESERVE_MIN     4194304U


/*
 * LMDB must not open a file twice in one process: closing either one drops
 * the locks of both.
 */

static pthread_mutex_t   lmdb_open_lock = PTHREAD_MUTEX_INITIALIZER;
static doi_lmdb_t       *lmdb_opened;


static int
lmdb_open_error(const doi_store_t *store, const char *what, int rc, char *err,
    size_t errsize)
{
    (void) snprintf(err, errsize, "doi_store \"%s\": %s: %s%s",
                    store->conf.path, what, mdb_strerror(rc),
                    doi_lmdb_mend(rc));
    return DOI_ERROR;
}


/*
 * lock.mdb is written through a map: on a full disk the first touch of a page
 * that has no block yet would be a SIGBUS.  So its blocks are taken first.
 * This is before LMDB has any lock in this process, so closing the file drops
 * none; and a file that is whole is not opened.
 */

static int
lmdb_reserve_lock(doi_lmdb_t *lmdb)
{
    int          fd, rc;
    struct stat  st;

    if (fstatat(lmdb->dir, "lock.mdb", &st, 0) == 0
        && st.st_size != 0 && st.st_blocks * 512 >= st.st_size)
    {
        return 0;
    }

    fd = openat(lmdb->dir, "lock.mdb", O_RDWR|O_CREAT|O_CLOEXEC|O_NOFOLLOW,
                0600);
    if (fd == -1) {
        return errno;
    }

    rc = 0;

    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, DOI_LOCK_BYTES) == -1
        && (errno == ENOSPC || errno == EDQUOT))
    {
        rc = errno;
    }

    (void) close(fd);

    return rc;
}


static int
lmdb_open_dir(doi_lmdb_t *lmdb, char *err, size_t errsize)
{
    int           rc, used;
    doi_lmdb_t   *other;
    struct stat   st;
    doi_store_t  *store;

    store = lmdb->store;

    lmdb->dir = open(store->conf.path, O_PATH|O_DIRECTORY|O_CLOEXEC);

    if (lmdb->dir == -1 || fstat(lmdb->dir, &st) == -1) {
        return lmdb_open_error(store, "cannot open", errno, err, errsize);
    }

    lmdb->dir_id = doi_file_id(&st);

    if (faccessat(lmdb->dir, ".", W_OK|X_OK, AT_EACCESS) == -1) {
        return lmdb_open_error(store, "cannot write", errno, err, errsize);
    }

    /* The lock first: another process may be making both, data.mdb before. */

    used = fstatat(lmdb->dir, DOI_LOCK_NAME, &st, 0) == 0;
    rc = fstatat(lmdb->dir, "data.mdb", &st, 0);

    for (other = lmdb_opened; other != NULL; other = other->next) {

        if (doi_same_file(other->dir_id, lmdb->dir_id)
            || (rc == 0 && doi_same_file(other->data_id, doi_file_id(&st))))
        {
            (void) snprintf(err, errsize, "doi_store \"%s\": this process has "
                            "it open already, as \"%s\"; use one doi_store "
                            "for both",
                            store->conf.path, other->store->conf.path);
            return DOI_ERROR;
        }
    }

    /*
     * A leader has been here, so there was a store.  An empty one in its place
     * would make every link fresh again that was used.
     */

    if (rc == -1 && errno == ENOENT && used) {
        (void) snprintf(err, errsize, "doi_store \"%s\": data.mdb is missing, "
                        "though this store has been in use; put a backup in "
                        "its place, or, to forget every used link, remove "
                        "leader.lock too", store->conf.path);
        return DOI_ERROR;
    }

    rc = lmdb_reserve_lock(lmdb);
    if (rc != 0) {
        return lmdb_open_error(store, "cannot prepare lock.mdb", rc, err,
                               errsize);
    }

    return DOI_OK;
}


static int
lmdb_open_env(doi_lmdb_t *lmdb)
{
    int          rc, fd;
    uint64_t     want;
    MDB_stat     stat;
    MDB_envinfo  info;
    struct stat  st;

    rc = mdb_env_create(&lmdb->env);
    if (rc != 0) {
        lmdb->env = NULL;
        return rc;
    }

    rc = mdb_env_set_maxreaders(lmdb->env, DOI_READERS);
    if (rc != 0) {
        return rc;
    }

    rc = mdb_env_open(lmdb->env, lmdb->store->conf.path, MDB_NOTLS, 0600);
    if (rc != 0) {
        return rc;
    }

    rc = mdb_env_get_fd(lmdb->env, &fd);
    if (rc != 0) {
        return rc;
    }

    if (fstat(fd, &st) == -1) {
        return errno;
    }

    lmdb->data_id = doi_file_id(&st);

    if (fstatat(lmdb->dir, "lock.mdb", &st, 0) == -1) {
        return errno;
    }

    lmdb->lock_id = doi_file_id(&st);

    (void) mdb_env_stat(lmdb->env, &stat);
    lmdb->page = stat.ms_psize;

    /* Never smaller than it was: other processes would have to adopt the
       larger size again, and so on in turns. */

    want = lmdb->size + lmdb->reserve;
    want = (want + lmdb->page - 1) / lmdb->page * lmdb->page;

    (void) mdb_env_info(lmdb->env, &info);

    if (info.me_mapsize < want) {
        return mdb_env_set_mapsize(lmdb->env, (size_t) want);
    }

    return 0;
}


/*
 * A leader that was killed in the midst of a commit may have left its number in
 * data.mdb only.  LMDB mends that for whoever writes next, which the next leader
 * does; but no process gets to lead that does not get in here.  While nobody
 * leads nobody has the writers' mutex for long.
 */

static void
lmdb_mend_root(const doi_lmdb_t *lmdb)
{
    int       fd;
    MDB_txn  *txn;

    fd = openat(lmdb->dir, DOI_LOCK_NAME, O_RDWR|O_CLOEXEC|O_NOFOLLOW);
    if (fd == -1) {
        return;
    }

    if (flock(fd, LOCK_EX|LOCK_NB) == 0
        && mdb_txn_begin(lmdb->env, NULL, 0, &txn) == 0)
    {
        mdb_txn_abort(txn);
    }

    (void) close(fd);
}


/*
 * LMDB takes the number of the last commit from lock.mdb, and by it one of the
 * two roots in data.mdb.  If data.mdb was replaced while others hold lock.mdb,
 * that may be the older root.  They differ for a moment in every commit, too.
 */

static int
lmdb_roots_differ(const doi_lmdb_t *lmdb)
{
    int              i;
    size_t           id;
    MDB_txn         *txn;
    MDB_envinfo      info;
    struct timespec  ms = { 0, 1000000 };

    for (i = 0; i < 1000; i++) {

        if (mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, &txn) != 0) {
            return 0;
        }

        id = mdb_txn_id(txn);
        (void) mdb_env_info(lmdb->env, &info);
        mdb_txn_abort(txn);

        if (id == info.me_last_txnid) {
            return 0;
        }

        lmdb_mend_root(lmdb);
        (void) nanosleep(&ms, NULL);
    }

    return 1;
}


/*
 * A leader has been here, and what it has acknowledged last may be in its log.
 * It may also be at work, and not have made it yet.
 */

static int
lmdb_log_lost(const doi_lmdb_t *lmdb, const doi_lmdb_meta_t *meta)
{
    int              i;
    struct stat      st;
    struct timespec  ms = { 0, 1000000 };

    if (doi_lmdb_is_bare(lmdb, meta->log.gen)) {
        return 0;
    }

    for (i = 0; i < 1000; i++) {

        if (fstatat(lmdb->dir, DOI_LOG_NAME, &st, 0) == 0 || errno != ENOENT) {
            return 0;
        }

        (void) nanosleep(&ms, NULL);
    }

    return 1;
}


doi_lmdb_t *
doi_lmdb_open(doi_store_t *store, char *err, size_t errsize)
{
    int          rc;
    MDB_txn     *txn;
    doi_lmdb_t  *lmdb;
    struct stat  st;

    doi_lmdb_meta_t  meta;

    lmdb = calloc(1, sizeof(doi_lmdb_t));
    if (lmdb == NULL) {
        (void) lmdb_open_error(store, "cannot open", ENOMEM, err, errsize);
        return NULL;
    }

    lmdb->store = store;
    lmdb->dir = -1;
    lmdb->log.fd = -1;

    lmdb->size = store->conf.size > DOI_SIZE_MIN ? store->conf.size
                                                 : DOI_SIZE_MIN;
    lmdb->reserve = lmdb->size / 8 > DOI_RESERVE_MIN ? lmdb->size / 8
                                                     : DOI_RESERVE_MIN;

    doi_bview_init(&lmdb->rview, &doi_lmdb_backend, &lmdb->r);
    doi_bview_init(&lmdb->wview, &doi_lmdb_backend, &lmdb->w);
    lmdb->rview.readonly = 1;

    (void) pthread_rwlock_init(&lmdb->map_lock, NULL);
    (void) pthread_mutex_lock(&lmdb_open_lock);

    if (lmdb_open_dir(lmdb, err, errsize) != DOI_OK) {
        goto failed;
    }

    rc = lmdb_open_env(lmdb);
    if (rc != 0) {
        (void) lmdb_open_error(store, "cannot open data.mdb", rc, err,
                               errsize);
        goto failed;
    }

    if (lmdb_roots_differ(lmdb)) {
        (void) snprintf(err, errsize, "doi_store \"%s\": lock.mdb is in use "
                        "and belongs to another data.mdb; stop all nginx "
                        "processes that have it open, then start nginx",
                        store->conf.path);
        goto failed;
    }

    rc = mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, &txn);

    if (rc == 0) {
        rc = mdb_dbi_open(txn, NULL, 0, &lmdb->w.dbi);
        lmdb->r.dbi = lmdb->w.dbi;

        memset(&meta, 0, sizeof(meta));

        if (rc == 0) {
            rc = doi_lmdb_read_meta(lmdb, txn, &meta, 1);
        }

        mdb_txn_abort(txn);
    }

    if (rc != 0) {
        (void) lmdb_open_error(store, "cannot read data.mdb", rc, err,
                               errsize);
        goto failed;
    }

    if (meta.schema > DOI_SCHEMA) {
        (void) snprintf(err, errsize, "doi_store \"%s\": schema version %u "
                        "is not known to this module, which writes version "
                        "%u; use the module that has written it, or another "
                        "directory", store->conf.path, meta.schema,
                        DOI_SCHEMA);
        goto failed;
    }

    /* No leader has been here when this was read, and so none has made a log
       for it. */

    if (fstatat(lmdb->dir, DOI_LOCK_NAME, &st, 0) == -1 && errno == ENOENT) {
        lmdb->bare = meta.log.gen;
    }

    if (lmdb_log_lost(lmdb, &meta)) {
        (void) snprintf(err, errsize, "doi_store \"%s\": " DOI_LOG_NAME
                        " is missing, in which the last redemptions may "
                        "stand; put it back, or, if data.mdb is a backup, "
                        "remove leader.lock too", store->conf.path);
        goto failed;
    }

    lmdb->mark = meta.mark;
    store->conf.stats->map_size = lmdb->size;

    lmdb->next = lmdb_opened;
    lmdb_opened = lmdb;

    (void) pthread_mutex_unlock(&lmdb_open_lock);

    return lmdb;

failed:

    (void) pthread_mutex_unlock(&lmdb_open_lock);

    doi_lmdb_close(lmdb);

    return NULL;
}


void
doi_lmdb_close(doi_lmdb_t *lmdb)
{
    doi_lmdb_t  **p;

    (void) pthread_mutex_lock(&lmdb_open_lock);

    if (lmdb->r.txn != NULL) {
        mdb_txn_abort(lmdb->r.txn);
    }

    if (lmdb->env != NULL) {
        mdb_env_close(lmdb->env);
    }

    for (p = &lmdb_opened; *p != NULL; p = &(*p)->next) {
        if (*p == lmdb) {
            *p = lmdb->next;
            break;
        }
    }

    (void) pthread_mutex_unlock(&lmdb_open_lock);

    if (lmdb->dir != -1) {
        (void) close(lmdb->dir);
    }

    (void) pthread_rwlock_destroy(&lmdb->map_lock);

    doi_bview_free(&lmdb->rview);
    doi_bview_free(&lmdb->wview);
    doi_over_free(&lmdb->over);
    free(lmdb->log.rec);
    free(lmdb->answers);
    free(lmdb);
}


int
doi_lmdb_dir(const doi_lmdb_t *lmdb)
{
    return lmdb->dir;
}


doi_file_id_t
doi_lmdb_id(const doi_lmdb_t *lmdb)
{
    return lmdb->data_id;
}
