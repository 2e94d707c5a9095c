/*
 * One LMDB environment, as the files lmdb*.c see it.
 *
 *   lmdb_open.c    opening and closing: the checks that come with it
 *   lmdb.c         rows, snapshots, what to do about errors
 *   lmdb_batch.c   batches of operations
 *   lmdb_commit.c  write transactions and the log before them
 */

#ifndef DOI_LMDB_INTERNAL_H
#define DOI_LMDB_INTERNAL_H

#include <pthread.h>
#include <sys/stat.h>

#include <lmdb.h>

#include "store_internal.h"
#include "log.h"


#define DOI_SCHEMA          2U          /* 1: without META "log"              */
#define DOI_LOG_ERRORS      8


/* What a backend needs to read: one for each thread. */

typedef struct {
    MDB_txn        *txn;
    MDB_dbi         dbi;
    int             error;              /* of LMDB, while a function ran      */
    doi_over_t     *over;               /* on top of the snapshot, or NULL    */
} doi_lmdb_cursor_t;


/* What the rows of META say. */

typedef struct {
    uint32_t        schema;             /* 0: none yet                        */
    doi_time_t      mark;
    doi_log_pos_t   log;
} doi_lmdb_meta_t;


struct doi_lmdb_s {
    doi_lmdb_t        *next;            /* in the list of open ones           */
    doi_store_t       *store;
    MDB_env           *env;
    int                dir;
    doi_file_id_t      dir_id;
    doi_file_id_t      data_id;
    doi_file_id_t      lock_id;
    _Atomic int        stopped;

    /* Held for reading while a transaction is open in a thread, for writing
       while the map is replaced: LMDB leaves that to its caller. */
    pthread_rwlock_t   map_lock;

    size_t             page;            /* bytes                              */
    uint64_t           size;            /* what the operator asked for        */
    uint64_t           reserve;
    uint64_t           bare;            /* the generation of a backup, that no
                                           log belongs to; 0: of none         */

    /* the caller's thread */
    doi_lmdb_cursor_t  r;
    doi_bview_t        rview;
    doi_over_t         over;
    doi_lmdb_meta_t    seen;            /* of the snapshot that was read last */
    size_t             seen_txn;        /* its number; 0: none               */

    /* the service thread */
    doi_lmdb_cursor_t  w;               /* its transaction stays open while
                                           the log has more than LMDB         */
    doi_bview_t        wview;
    doi_log_t          log;
    uint64_t           seq;             /* of the log, that LMDB has          */
    uint64_t           since;           /* ns: the first batch of w.txn       */
    uint64_t           touched;         /* the last one                       */
    uint64_t           retry;           /* when to try again to commit, or 0  */
    size_t             rows;            /* written in w.txn                   */
    unsigned           grown;           /* how often the map was enlarged     */
    doi_time_t         mark;            /* as it stands in the store          */
    doi_time_t         meta_mark;       /* as it stands in LMDB               */
    uint64_t           used;            /* bytes                              */
    unsigned           dirty:1;
    uint8_t           *answers;
    size_t             nanswers;
    size_t             room;

    struct {
        int           error;
        uint64_t      ns;
    } logged[DOI_LOG_ERRORS];
};


extern const doi_backend_t  doi_lmdb_backend;

/* data: doi_lmdb_cursor_t */
int doi_lmdb_get(void *data, doi_str_t key, doi_str_t *value);

/* Returns an error of LMDB.  The schema only if asked for. */
int doi_lmdb_read_meta(doi_lmdb_t *lmdb, MDB_txn *txn, doi_lmdb_meta_t *meta,
    int schema);

/*
 * Write transactions, lmdb_commit.c.  begin opens w.txn, or goes on with the
 * open one; commit makes durable what was done since, and unless the log can
 * do that, or with direct set, ends w.txn.  Whatever fails ends it.  Errors of
 * LMDB; after one, failed logs it and says what to answer.
 */
int doi_lmdb_begin(doi_lmdb_t *lmdb);
void doi_lmdb_abort(doi_lmdb_t *lmdb);
int doi_lmdb_commit(doi_lmdb_t *lmdb, doi_time_t mark, int direct);
void doi_lmdb_measure(doi_lmdb_t *lmdb);
doi_result_t doi_lmdb_failed(doi_lmdb_t *lmdb, const char *what, int rc);

/* May there be no log beside a state of this generation? */
int doi_lmdb_is_bare(const doi_lmdb_t *lmdb, uint64_t gen);

/* Another process has made the map larger.  No transaction may be open. */
int doi_lmdb_adopt_size(doi_lmdb_t *lmdb, int wait);

/* Stops this process's use of the store for good, and logs why, once. */
void doi_lmdb_stop(doi_lmdb_t *lmdb, const char *why, const char *mend);

/* At most one line in 10 seconds for each error. */
void doi_lmdb_log_error(doi_lmdb_t *lmdb, const char *what, int rc);

/* Errors after which nothing in the environment can be believed. */
int doi_lmdb_is_fatal(int rc);

/* "; what to do about it", or "" */
const char *doi_lmdb_mend(int rc);


static inline int
doi_same_file(doi_file_id_t a, doi_file_id_t b)
{
    return a.dev == b.dev && a.ino == b.ino;
}


static inline doi_file_id_t
doi_file_id(const struct stat *st)
{
    doi_file_id_t  id;

    id.dev = (uint64_t) st->st_dev;
    id.ino = (uint64_t) st->st_ino;

    return id;
}

#endif /* DOI_LMDB_INTERNAL_H */
