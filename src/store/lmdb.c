/*
 * The LMDB environment of one process: rows, snapshots, errors.
 *
 * Layout: one unnamed B-tree.  The first byte of a key is the table, the rest
 * is the key (store_internal.h).  One tree instead of one per table, since a
 * commit then writes fewer pages: a named tree costs a page of its own and one
 * of its parent for each table that a commit touches.
 *
 *   META "schema"   4 bytes BE, DOI_SCHEMA
 *   META "clock"    4 bytes BE, the clock's high-water mark
 *
 * Two threads use the environment: the caller's reads snapshots, the service
 * thread writes.  LMDB lets both go on at once, but for the moment when the
 * map is replaced by a larger one (map_lock).
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lmdb_internal.h"


#define DOI_LOG_EVERY       10000000000ULL      /* ns, per error              */


static int lmdb_scan(void *data, doi_str_t from, doi_scan_pt row,
    void *row_data);

const doi_backend_t  doi_lmdb_backend = { doi_lmdb_get, lmdb_scan };


int
doi_lmdb_stopped(const doi_lmdb_t *lmdb)
{
    return atomic_load_explicit(&lmdb->stopped, memory_order_relaxed);
}


void
doi_lmdb_stop(doi_lmdb_t *lmdb, const char *why, const char *mend)
{
    if (!atomic_exchange(&lmdb->stopped, 1)) {
        doi_store_log(lmdb->store, 3, "%s; this process serves nothing from "
                      "it any more%s", why, mend);
    }
}


int
doi_lmdb_check_files(doi_lmdb_t *lmdb)
{
    size_t         i;
    char           name[4096];
    struct stat    st;
    doi_file_id_t  id;

    static const char *const  files[] = { "data.mdb", "lock.mdb" };

    if (doi_lmdb_stopped(lmdb)) {
        return DOI_ERROR;
    }

    /* By path and not by the directory's descriptor: the directory may have
       been replaced as a whole. */

    for (i = 0; i < 2; i++) {
        (void) snprintf(name, sizeof(name), "%s/%s", lmdb->store->conf.path,
                        files[i]);

        id = i == 0 ? lmdb->data_id : lmdb->lock_id;

        if (stat(name, &st) == -1) {

            /* Any other error says nothing about the file. */

            if (errno != ENOENT && errno != ENOTDIR) {
                continue;
            }

        } else if (doi_same_file(doi_file_id(&st), id)) {
            continue;
        }

        doi_lmdb_stop(lmdb,
                      i == 0 ? "data.mdb was replaced or removed while it was "
                               "open"
                             : "lock.mdb was replaced or removed while it was "
                               "open",
                      "; put the right files in place while nginx is stopped, "
                      "or stop nginx and start it to go on with what is "
                      "there now");

        return DOI_ERROR;
    }

    return DOI_OK;
}


const char *
doi_lmdb_mend(int rc)
{
    switch (rc) {

    case ENOENT:
        return "; create the directory, mode 0700, owned by the user that "
               "nginx workers run as";

    case ENOTDIR:
        return "; the path must be a directory";

    case EACCES:
    case EPERM:
        return "; the directory and the files in it must belong to the user "
               "that nginx workers run as";

    case EROFS:
        return "; the store needs a file system that can be written";

    case ENOSPC:
    case EDQUOT:
        return "; free some space on this file system";

    case ENOMEM:
        return "; lower size=, or raise the limit of address space "
               "(ulimit -v)";

    case EMFILE:
    case ENFILE:
        return "; raise worker_rlimit_nofile";

    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_PANIC:
        return "; restore the directory from a backup made with mdb_copy";

    case MDB_VERSION_MISMATCH:
        return "; it was written by another version of LMDB";

    case MDB_READERS_FULL:
        return "; too many processes use this store";

    default:
        return "";
    }
}


/* One line per error and 10 seconds. */

void
doi_lmdb_log_error(doi_lmdb_t *lmdb, const char *what, int rc)
{
    size_t    i, slot;
    uint64_t  ns;

    ns = doi_store_ns();
    slot = 0;

    for (i = 0; i < DOI_LOG_ERRORS; i++) {

        if (lmdb->logged[i].error == rc) {
            if (ns - lmdb->logged[i].ns < DOI_LOG_EVERY) {
                return;
            }

            slot = i;
            break;
        }

        if (lmdb->logged[i].ns < lmdb->logged[slot].ns) {
            slot = i;
        }
    }

    lmdb->logged[slot].error = rc;
    lmdb->logged[slot].ns = ns;

    doi_store_log(lmdb->store, 3, "%s failed: %s%s", what, mdb_strerror(rc),
                  doi_lmdb_mend(rc));
}


int
doi_lmdb_is_fatal(int rc)
{
    switch (rc) {
    case MDB_PANIC:
    case MDB_CORRUPTED:
    case MDB_INVALID:
    case MDB_PAGE_NOTFOUND:
    case MDB_VERSION_MISMATCH:
        return 1;
    default:
        return 0;
    }
}


int
doi_lmdb_get(void *data, doi_str_t key, doi_str_t *value)
{
    int                 rc;
    MDB_val             k, v;
    doi_lmdb_cursor_t  *c;

    c = data;
    k.mv_data = (void *) key.data;
    k.mv_size = key.len;

    rc = mdb_get(c->txn, c->dbi, &k, &v);

    if (rc == MDB_NOTFOUND) {
        return DOI_NOT_FOUND;
    }

    if (rc != 0) {
        c->error = rc;
        return DOI_ERROR;
    }

    value->data = v.mv_data;
    value->len = v.mv_size;

    return DOI_OK;
}


static int
lmdb_scan(void *data, doi_str_t from, doi_scan_pt row, void *row_data)
{
    int                 rc, res;
    MDB_val             k, v;
    doi_str_t           key, value;
    MDB_cursor         *cursor;
    doi_lmdb_cursor_t  *c;

    c = data;

    rc = mdb_cursor_open(c->txn, c->dbi, &cursor);
    if (rc != 0) {
        c->error = rc;
        return DOI_ERROR;
    }

    k.mv_data = (void *) from.data;
    k.mv_size = from.len;

    res = DOI_OK;

    for (rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
         rc == 0;
         rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT))
    {
        key.data = k.mv_data;
        key.len = k.mv_size;

        if (key.len == 0 || key.data[0] != from.data[0]) {
            break;
        }

        key.data++;
        key.len--;
        value.data = v.mv_data;
        value.len = v.mv_size;

        res = row(row_data, key, value);
        if (res != DOI_OK) {
            break;
        }
    }

    mdb_cursor_close(cursor);

    if (rc != 0 && rc != MDB_NOTFOUND) {
        c->error = rc;
        return DOI_ERROR;
    }

    return res;
}


static uint32_t
read_u32(const uint8_t *p)
{
    return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16
           | (uint32_t) p[2] << 8 | p[3];
}


/* The schema version, 0 if there is none yet, and the mark. */

int
doi_lmdb_read_meta(doi_lmdb_t *lmdb, MDB_txn *txn, uint32_t *schema,
    doi_time_t *mark)
{
    int                rc;
    doi_str_t          value;
    doi_lmdb_cursor_t  c;

    static const uint8_t    schema_key[] = "\0schema";
    static const uint8_t    clock_key[] = "\0clock";
    static const doi_str_t  schema_row = { schema_key, 7 };
    static const doi_str_t  clock_row = { clock_key, 6 };

    c.txn = txn;
    c.dbi = lmdb->w.dbi;
    c.error = 0;

    *schema = 0;

    rc = doi_lmdb_get(&c, schema_row, &value);
    if (rc == DOI_ERROR) {
        return c.error;
    }

    if (rc == DOI_OK) {
        *schema = value.len == 4 ? read_u32(value.data) : UINT32_MAX;
    }

    rc = doi_lmdb_get(&c, clock_row, &value);
    if (rc == DOI_ERROR) {
        return c.error;
    }

    if (rc == DOI_OK && value.len == 4 && read_u32(value.data) > *mark) {
        *mark = read_u32(value.data);
    }

    return 0;
}


/*
 * Another process has made the file larger than our map: take its size.  The
 * caller's thread must not wait for a batch to end, and does not.
 */

int
doi_lmdb_adopt_size(doi_lmdb_t *lmdb, int wait)
{
    int  rc;

    rc = wait ? pthread_rwlock_wrlock(&lmdb->map_lock)
              : pthread_rwlock_trywrlock(&lmdb->map_lock);

    if (rc != 0) {
        return rc;
    }

    rc = mdb_env_set_mapsize(lmdb->env, 0);

    (void) pthread_rwlock_unlock(&lmdb->map_lock);

    return rc;
}


static int
lmdb_begin_read(doi_lmdb_t *lmdb)
{
    int       rc;
    unsigned  tries;

    for (tries = 0; /* void */ ; tries++) {

        (void) pthread_rwlock_rdlock(&lmdb->map_lock);

        if (lmdb->r.txn == NULL) {
            rc = mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, &lmdb->r.txn);

        } else {
            rc = mdb_txn_renew(lmdb->r.txn);

            if (rc != 0) {
                mdb_txn_abort(lmdb->r.txn);
            }
        }

        if (rc == 0) {
            return 0;
        }

        lmdb->r.txn = NULL;
        (void) pthread_rwlock_unlock(&lmdb->map_lock);

        if (tries != 0) {
            return rc;
        }

        if (rc == MDB_MAP_RESIZED) {
            if (doi_lmdb_adopt_size(lmdb, 0) != 0) {
                return rc;
            }

        } else if (rc == MDB_READERS_FULL) {
            (void) mdb_reader_check(lmdb->env, NULL);

        } else {
            return rc;
        }
    }
}


doi_result_t
doi_lmdb_read(doi_lmdb_t *lmdb, doi_txn_pt fn, doi_str_t arg, doi_buf_t *out,
    doi_time_t wall, doi_time_t *mark)
{
    int           rc;
    uint32_t      schema;
    doi_result_t  result;

    out->len = 0;

    if (doi_lmdb_stopped(lmdb)) {
        return DOI_RETRY;
    }

    rc = lmdb_begin_read(lmdb);

    if (rc == 0) {
        lmdb->r.error = 0;
        result = DOI_RETRY;

        rc = doi_lmdb_read_meta(lmdb, lmdb->r.txn, &schema, mark);

        if (rc == 0) {
            result = doi_bview_run(&lmdb->rview, fn,
                                   wall > *mark ? wall : *mark, arg, out);
            rc = lmdb->r.error;
        }

        mdb_txn_reset(lmdb->r.txn);
        (void) pthread_rwlock_unlock(&lmdb->map_lock);

        if (rc == 0) {
            return result;
        }
    }

    if (doi_lmdb_is_fatal(rc)) {
        doi_lmdb_stop(lmdb, mdb_strerror(rc), doi_lmdb_mend(rc));
    }

    out->len = 0;

    return DOI_RETRY;
}


void
doi_lmdb_reader_check(doi_lmdb_t *lmdb)
{
    (void) mdb_reader_check(lmdb->env, NULL);
}
