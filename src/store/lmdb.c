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
 *   META "log"      where this state stands in the log: doi_log_pos_t
 *
 * Two threads use the environment: the caller's reads snapshots, the service
 * thread writes.  LMDB lets both go on at once, but for the moment when the
 * map is replaced by a larger one (map_lock).
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "../core/bytes.h"
#include "lmdb_internal.h"


#define DOI_LOG_EVERY       10000000000ULL      /* ns, per error              */
#define LMDB_TRIES          400         /* snapshots until one is the last    */


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
    struct statx   st;
    doi_file_id_t  id, now;

    static const char *const  files[] = { "data.mdb", "lock.mdb",
                                          DOI_LOG_NAME };
    static const char *const  why[] = {
        "data.mdb was replaced or removed while it was open",
        "lock.mdb was replaced or removed while it was open",
        DOI_LOG_NAME " was replaced or removed while it was open"
    };

    if (doi_lmdb_stopped(lmdb)) {
        return DOI_ERROR;
    }

    /* By path and not by the directory's descriptor: the directory may have
       been replaced as a whole. */

    for (i = 0; i < (lmdb->log.fd != -1 ? 3 : 2); i++) {
        (void) snprintf(name, sizeof(name), "%s/%s", lmdb->store->conf.path,
                        files[i]);

        id = i == 0 ? lmdb->data_id : i == 1 ? lmdb->lock_id : lmdb->log.id;

        /*
         * Not stat(): where a file's time has been asked for Linux (6.13 on)
         * gives its next write another, and the sync has to write the inode
         * too, which makes a commit cost half as much again.
         */

        if (statx(AT_FDCWD, name, 0, STATX_INO, &st) == -1) {

            /* Any other error says nothing about the file. */

            if (errno != ENOENT && errno != ENOTDIR) {
                continue;
            }

        } else {
            now.dev = (uint64_t) makedev(st.stx_dev_major, st.stx_dev_minor);
            now.ino = st.stx_ino;

            if (doi_same_file(now, id)) {
                continue;
            }
        }

        /* What was acknowledged from a log that is gone is in w.txn alone. */

        if (i == 2) {
            doi_lmdb_flush(lmdb, lmdb->mark);
        }

        doi_lmdb_stop(lmdb, why[i],
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
    int                 rc, del;
    MDB_val             k, v;
    doi_lmdb_cursor_t  *c;

    c = data;

    if (c->over != NULL && doi_over_get(c->over, key, value, &del) == DOI_OK) {
        return del ? DOI_NOT_FOUND : DOI_OK;
    }

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


/* Without the byte of the table. */

static int
lmdb_scan_row(doi_scan_pt row, void *row_data, doi_str_t key, doi_str_t value)
{
    key.data++;
    key.len--;

    return row(row_data, key, value);
}


/* Rows of the log that stand before key (NULL: all), and whether at it. */

static int
lmdb_scan_over(doi_over_item_t **items, size_t *n, const doi_str_t *key,
    int *same, doi_scan_pt row, void *row_data)
{
    int               rc;
    size_t            len;
    doi_over_item_t  *i;

    *same = 0;

    for ( /* void */ ; *n != 0; (*items)++, (*n)--) {
        i = *items;

        if (key != NULL) {
            len = key->len < i->key.len ? key->len : i->key.len;
            rc = memcmp(i->key.data, key->data, len);

            if (rc > 0 || (rc == 0 && i->key.len > key->len)) {
                break;
            }

            *same = rc == 0 && i->key.len == key->len;
        }

        if (!i->del) {
            rc = lmdb_scan_row(row, row_data, i->key, i->value);
            if (rc != DOI_OK) {
                return rc;
            }
        }
    }

    return DOI_OK;
}


static int
lmdb_scan(void *data, doi_str_t from, doi_scan_pt row, void *row_data)
{
    int                 rc, res, same;
    size_t              n;
    MDB_val             k, v;
    doi_str_t           key, value;
    MDB_cursor         *cursor;
    doi_over_item_t    *items, *item;
    doi_lmdb_cursor_t  *c;

    c = data;
    n = 0;
    items = NULL;

    if (c->over != NULL && c->over->nrows != 0) {
        items = doi_over_sorted(c->over, from, &n);
        if (items == NULL) {
            c->error = ENOMEM;
            return DOI_ERROR;
        }
    }

    rc = mdb_cursor_open(c->txn, c->dbi, &cursor);
    if (rc != 0) {
        free(items);
        c->error = rc;
        return DOI_ERROR;
    }

    k.mv_data = (void *) from.data;
    k.mv_size = from.len;

    item = items;
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

        res = lmdb_scan_over(&item, &n, &key, &same, row, row_data);

        if (res == DOI_OK && !same) {
            value.data = v.mv_data;
            value.len = v.mv_size;

            res = lmdb_scan_row(row, row_data, key, value);
        }

        if (res != DOI_OK) {
            break;
        }
    }

    if (res == DOI_OK && (rc == 0 || rc == MDB_NOTFOUND)) {
        res = lmdb_scan_over(&item, &n, NULL, &same, row, row_data);
    }

    mdb_cursor_close(cursor);
    free(items);

    if (rc != 0 && rc != MDB_NOTFOUND) {
        c->error = rc;
        return DOI_ERROR;
    }

    return res;
}


int
doi_lmdb_is_bare(const doi_lmdb_t *lmdb, uint64_t gen)
{
    return gen == 0 || gen == lmdb->bare;
}


static int
lmdb_read_row(doi_lmdb_cursor_t *c, const char *name, doi_str_t *value)
{
    size_t     len;
    uint8_t    row[16];
    doi_str_t  key;

    len = strlen(name);
    row[0] = DOI_TABLE_META;
    memcpy(row + 1, name, len);

    key.data = row;
    key.len = 1 + len;

    return doi_lmdb_get(c, key, value);
}


int
doi_lmdb_read_meta(doi_lmdb_t *lmdb, MDB_txn *txn, doi_lmdb_meta_t *meta,
    int schema)
{
    int                rc;
    doi_str_t          value;
    doi_lmdb_cursor_t  c;

    c.txn = txn;
    c.dbi = lmdb->w.dbi;
    c.error = 0;
    c.over = NULL;

    memset(meta, 0, sizeof(doi_lmdb_meta_t));

    if (schema) {
        rc = lmdb_read_row(&c, "schema", &value);
        if (rc == DOI_ERROR) {
            return c.error;
        }

        if (rc == DOI_OK) {
            meta->schema = value.len == 4 ? doi_get32(value.data) : UINT32_MAX;
        }
    }

    rc = lmdb_read_row(&c, "clock", &value);
    if (rc == DOI_ERROR) {
        return c.error;
    }

    if (rc == DOI_OK && value.len == 4) {
        meta->mark = doi_get32(value.data);
    }

    rc = lmdb_read_row(&c, "log", &value);
    if (rc == DOI_ERROR) {
        return c.error;
    }

    if (rc == DOI_OK && value.len == DOI_LOG_POS_SIZE) {
        doi_log_pos_decode(value.data, &meta->log);
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


static void
lmdb_end_read(doi_lmdb_t *lmdb)
{
    mdb_txn_reset(lmdb->r.txn);
    (void) pthread_rwlock_unlock(&lmdb->map_lock);
}


/*
 * A snapshot and what the log has on top of it.  If LMDB has committed since
 * the snapshot was taken, and the log does not show that it is the same as
 * before, both are taken again.  LMDB writes the meta page, which takes as long
 * as a sync, before it gives the snapshot out.
 */

static int
lmdb_begin_whole(doi_lmdb_t *lmdb, doi_time_t *mark)
{
    int              rc, over;
    size_t           txn;
    unsigned         tries;
    MDB_envinfo      info;
    struct timespec  pause = { 0, 50000 };
    doi_lmdb_meta_t  meta;

    for (tries = 0; tries < LMDB_TRIES; tries++) {

        rc = lmdb_begin_read(lmdb);
        if (rc != 0) {
            return rc;
        }

        /* A snapshot is what it is: its rows are read once. */

        rc = 0;
        txn = mdb_txn_id(lmdb->r.txn);

        if (txn == 0 || txn != lmdb->seen_txn) {
            rc = doi_lmdb_read_meta(lmdb, lmdb->r.txn, &lmdb->seen, 0);
            lmdb->seen_txn = rc == 0 ? txn : 0;
        }

        meta = lmdb->seen;
        over = DOI_ERROR;

        if (rc == 0) {
            over = doi_over_update(&lmdb->over, lmdb->dir, &meta.log,
                                   doi_lmdb_is_bare(lmdb, meta.log.gen));
            rc = over == DOI_ERROR ? EIO : 0;
        }

        if (rc != 0) {
            lmdb_end_read(lmdb);
            return rc;
        }

        if (over != DOI_OK) {
            (void) mdb_env_info(lmdb->env, &info);
        }

        if (over == DOI_OK || info.me_last_txnid == txn) {

            if (meta.mark > *mark) {
                *mark = meta.mark;
            }

            if (lmdb->over.mark > *mark) {
                *mark = lmdb->over.mark;
            }

            lmdb->r.over = lmdb->over.nrows != 0 ? &lmdb->over : NULL;

            return 0;
        }

        lmdb_end_read(lmdb);

        if (tries != 0) {
            (void) nanosleep(&pause, NULL);
        }
    }

    return EAGAIN;
}


doi_result_t
doi_lmdb_read(doi_lmdb_t *lmdb, doi_txn_pt fn, doi_str_t arg, doi_buf_t *out,
    doi_time_t wall, doi_time_t *mark)
{
    int           rc;
    doi_result_t  result;

    out->len = 0;

    if (doi_lmdb_stopped(lmdb)) {
        return DOI_RETRY;
    }

    rc = lmdb_begin_whole(lmdb, mark);

    if (rc == 0) {
        lmdb->r.error = 0;

        result = doi_bview_run(&lmdb->rview, fn, wall > *mark ? wall : *mark,
                               arg, out);
        rc = lmdb->r.error;

        lmdb_end_read(lmdb);

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
