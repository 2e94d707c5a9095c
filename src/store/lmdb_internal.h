/*
 * One LMDB environment, as the files lmdb*.c see it.
 *
 *   lmdb_open.c    opening and closing: the checks that come with it
 *   lmdb.c         rows, snapshots, what to do about errors
 *   lmdb_batch.c   write transactions
 */

#ifndef DOI_LMDB_INTERNAL_H
#define DOI_LMDB_INTERNAL_H

#include <pthread.h>
#include <sys/stat.h>

#include <lmdb.h>

#include "store_internal.h"


#define DOI_SCHEMA          1U
#define DOI_LOG_ERRORS      8


/* What a backend needs to read: one for each thread. */

typedef struct {
    MDB_txn        *txn;
    MDB_dbi         dbi;
    int             error;              /* of LMDB, while a function ran      */
} doi_lmdb_cursor_t;


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

    /* the caller's thread */
    doi_lmdb_cursor_t  r;
    doi_bview_t        rview;

    /* the service thread */
    doi_lmdb_cursor_t  w;
    doi_bview_t        wview;
    doi_time_t         mark;            /* as it stands in the store          */
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

/*
 * The schema version, 0 if there is none yet; *mark is raised to the persisted
 * one.  Returns an error of LMDB.
 */
int doi_lmdb_read_meta(doi_lmdb_t *lmdb, MDB_txn *txn, uint32_t *schema,
    doi_time_t *mark);

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
