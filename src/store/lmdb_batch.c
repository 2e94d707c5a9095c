/*
 * Write transactions: what the leader does.
 *
 * A batch is many transaction functions inside one LMDB transaction.  Each
 * runs over a buffered view whose writes are applied only if it won, so one
 * that gives up leaves no trace, and later ones see what earlier ones did.
 *
 * Full: the map is larger than what the operator asked for by a reserve.  What
 * makes the store grow stops at the size asked for; what replaces a row by a
 * larger one (the settle of a claim) may go half way into the reserve; what
 * only shrinks and deletes may have all of it, since LMDB needs free pages
 * even to delete.
 *
 * When a commit fails (mdb.c 0.9.24, mdb_txn_commit): data pages are written
 * and synced first, the meta page that makes them count last, through a
 * descriptor with O_DSYNC.  ENOSPC or EIO up to the sync: the transaction is
 * aborted, the old meta page stands, nothing was applied, LMDB goes on: the
 * batch is answered DOI_RETRY.  An error while the meta page is written: LMDB
 * puts the old one back into the page cache, but what is on the disk nobody
 * knows, and the environment refuses everything from then on (MDB_PANIC): the
 * batch is answered DOI_UNKNOWN, this process stops, another one leads.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lmdb_internal.h"


#define DOI_ANSWERS_MAX     4194304U


static const doi_str_t  lmdb_schema = doi_str("schema");
static const doi_str_t  lmdb_clock = doi_str("clock");


static void
write_u32(uint8_t *p, uint32_t n)
{
    p[0] = (uint8_t) (n >> 24);
    p[1] = (uint8_t) (n >> 16);
    p[2] = (uint8_t) (n >> 8);
    p[3] = (uint8_t) n;
}


static int
lmdb_put_u32(doi_lmdb_t *lmdb, doi_str_t name, uint32_t n)
{
    uint8_t  row[16], bytes[4];
    MDB_val  key, data;

    row[0] = DOI_TABLE_META;
    memcpy(row + 1, name.data, name.len);
    write_u32(bytes, n);

    key.mv_data = row;
    key.mv_size = 1 + name.len;
    data.mv_data = bytes;
    data.mv_size = 4;

    return mdb_put(lmdb->w.txn, lmdb->w.dbi, &key, &data, 0);
}


/* Errors that come from the size of a transaction, not from the disk. */

static int
lmdb_is_full(int rc)
{
    return rc == MDB_MAP_FULL || rc == MDB_TXN_FULL;
}


/* Opens w.txn and takes map_lock; lmdb_end gives that back. */

static int
lmdb_begin(doi_lmdb_t *lmdb)
{
    int       rc;
    unsigned  tries;

    lmdb->dirty = 0;
    lmdb->w.error = 0;

    for (tries = 0; /* void */ ; tries++) {

        (void) pthread_rwlock_rdlock(&lmdb->map_lock);

        rc = mdb_txn_begin(lmdb->env, NULL, 0, &lmdb->w.txn);
        if (rc == 0) {
            return 0;
        }

        lmdb->w.txn = NULL;
        (void) pthread_rwlock_unlock(&lmdb->map_lock);

        if (rc != MDB_MAP_RESIZED || tries != 0) {
            return rc;
        }

        rc = doi_lmdb_adopt_size(lmdb, 1);
        if (rc != 0) {
            return rc;
        }
    }
}


static void
lmdb_abort(doi_lmdb_t *lmdb)
{
    mdb_txn_abort(lmdb->w.txn);
    lmdb->w.txn = NULL;

    (void) pthread_rwlock_unlock(&lmdb->map_lock);
}


static void
lmdb_count_commit(doi_lmdb_t *lmdb, uint64_t ns)
{
    size_t              i;
    uint64_t            us;
    doi_store_stats_t  *stats;

    us = ns / 1000;
    stats = lmdb->store->conf.stats;

    for (i = 0; i < DOI_STORE_BUCKETS - 1; i++) {
        if (us <= doi_store_bucket_us[i]) {
            break;
        }
    }

    atomic_fetch_add(&stats->commit_bucket[i], 1);
    atomic_fetch_add(&stats->commit_us, us);
    atomic_fetch_add(&stats->commits, 1);
}


/* A transaction that has written nothing costs no sync. */

static int
lmdb_commit(doi_lmdb_t *lmdb, doi_time_t mark)
{
    int       rc;
    uint64_t  start;

    if (lmdb->dirty && mark > lmdb->mark) {
        rc = lmdb_put_u32(lmdb, lmdb_clock, mark);
        if (rc != 0) {
            lmdb_abort(lmdb);
            return rc;
        }
    }

    if (lmdb->store->hooks.at != NULL) {
        lmdb->store->hooks.at(DOI_AT_RUN);
    }

    start = doi_store_ns();

    rc = mdb_txn_commit(lmdb->w.txn);
    lmdb->w.txn = NULL;

    (void) pthread_rwlock_unlock(&lmdb->map_lock);

    if (rc != 0) {
        atomic_fetch_add(&lmdb->store->conf.stats->commit_errors, 1);
        return rc;
    }

    if (lmdb->dirty) {
        lmdb_count_commit(lmdb, doi_store_ns() - start);

        if (mark > lmdb->mark) {
            lmdb->mark = mark;
        }
    }

    return 0;
}


/*
 * After an error: has LMDB given up on this environment?  Asked with a write
 * transaction, which needs no free slot for a reader to be refused.
 */

static int
lmdb_panicked(doi_lmdb_t *lmdb)
{
    int       rc;
    MDB_txn  *txn;

    (void) pthread_rwlock_rdlock(&lmdb->map_lock);

    rc = mdb_txn_begin(lmdb->env, NULL, 0, &txn);
    if (rc == 0) {
        mdb_txn_abort(txn);
    }

    (void) pthread_rwlock_unlock(&lmdb->map_lock);

    return rc == MDB_PANIC;
}


/*
 * What to tell operations of a transaction that failed with rc.  UNKNOWN only
 * where it may be on the disk nevertheless.
 */

static doi_result_t
lmdb_failed(doi_lmdb_t *lmdb, const char *what, int rc)
{
    if (doi_lmdb_is_fatal(rc)) {
        doi_lmdb_stop(lmdb, mdb_strerror(rc), doi_lmdb_mend(rc));
        return DOI_RETRY;
    }

    doi_lmdb_log_error(lmdb, what, rc);

    if (lmdb_panicked(lmdb)) {
        doi_lmdb_stop(lmdb, "the last page of a commit could not be written",
                  "; check the disk, then reload nginx");
        return DOI_UNKNOWN;
    }

    return DOI_RETRY;
}


int
doi_lmdb_start(doi_lmdb_t *lmdb, doi_time_t *mark)
{
    int       rc;
    uint32_t  schema;

    rc = lmdb_begin(lmdb);

    if (rc == 0) {
        lmdb->mark = 0;

        rc = doi_lmdb_read_meta(lmdb, lmdb->w.txn, &schema, &lmdb->mark);

        if (rc == 0 && schema == 0) {
            rc = lmdb_put_u32(lmdb, lmdb_schema, DOI_SCHEMA);
            lmdb->dirty = 1;
            schema = DOI_SCHEMA;
        }

        if (rc != 0) {
            lmdb_abort(lmdb);

        } else if (schema != DOI_SCHEMA) {
            lmdb_abort(lmdb);
            doi_lmdb_stop(lmdb, "another module has changed the schema",
                          "; reload nginx");
            return DOI_ERROR;

        } else {
            rc = lmdb_commit(lmdb, 0);
        }
    }

    if (rc != 0) {
        (void) lmdb_failed(lmdb, "writing", rc);
        return DOI_ERROR;
    }

    if (lmdb->mark > *mark) {
        *mark = lmdb->mark;
    }

    return DOI_OK;
}


/* Pages in use, with those of the open transaction. */

static void
lmdb_measure(doi_lmdb_t *lmdb)
{
    size_t    pages;
    MDB_stat  st;

    pages = 2;

    if (mdb_stat(lmdb->w.txn, lmdb->w.dbi, &st) == 0) {
        pages += st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages;
    }

    /* 0: the tree of free pages */

    if (mdb_stat(lmdb->w.txn, 0, &st) == 0) {
        pages += st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages;
    }

    lmdb->used = (uint64_t) pages * lmdb->page;
}


/* May these writes be applied, as full as the store is? */

static int
lmdb_admit(doi_lmdb_t *lmdb)
{
    int64_t       rows, bytes;
    size_t        i;
    doi_str_t     key, value;
    doi_write_t  *w;

    lmdb_measure(lmdb);

    if (lmdb->used < lmdb->size) {
        return 1;
    }

    rows = 0;
    bytes = 0;

    for (i = 0; i < lmdb->wview.nwrites; i++) {
        w = &lmdb->wview.writes[i];

        key.data = w->key;
        key.len = w->klen;

        switch (doi_lmdb_get(&lmdb->w, key, &value)) {

        case DOI_OK:
            rows--;
            bytes -= (int64_t) (w->klen + value.len);
            break;

        case DOI_NOT_FOUND:
            break;

        default:
            return 0;
        }

        if (!w->del) {
            rows++;
            bytes += (int64_t) (w->klen + w->value.len);
        }
    }

    if (rows > 0) {
        return 0;
    }

    if (bytes > 0) {
        return lmdb->used < lmdb->size + lmdb->reserve / 2;
    }

    return 1;
}


static int
lmdb_apply(doi_lmdb_t *lmdb)
{
    int           rc;
    size_t        i;
    MDB_val       key, data;
    doi_write_t  *w;

    static uint8_t  empty[1];

    for (i = 0; i < lmdb->wview.nwrites; i++) {
        w = &lmdb->wview.writes[i];

        key.mv_data = w->key;
        key.mv_size = w->klen;

        if (w->del) {
            rc = mdb_del(lmdb->w.txn, lmdb->w.dbi, &key, NULL);

            if (rc == MDB_NOTFOUND) {
                continue;
            }

        } else {
            data.mv_data = w->value.len != 0 ? (void *) w->value.data : empty;
            data.mv_size = w->value.len;

            rc = mdb_put(lmdb->w.txn, lmdb->w.dbi, &key, &data, 0);
        }

        if (rc != 0) {
            return rc;
        }

        lmdb->dirty = 1;
    }

    return 0;
}


/* Room for one more answer; DOI_NOT_FOUND: not in this batch. */

static int
lmdb_answer_room(doi_lmdb_t *lmdb)
{
    void   *p;
    size_t  room;

    if (lmdb->room - lmdb->nanswers >= DOI_REPLY_MAX) {
        return DOI_OK;
    }

    if (lmdb->nanswers > DOI_ANSWERS_MAX) {
        return DOI_NOT_FOUND;
    }

    room = lmdb->room != 0 ? lmdb->room * 2 : (size_t) DOI_REPLY_MAX * 4;

    p = realloc(lmdb->answers, room);
    if (p == NULL) {
        return DOI_ERROR;
    }

    lmdb->answers = p;
    lmdb->room = room;

    return DOI_OK;
}


/*
 * One operation inside w.txn.  An error of LMDB means that the transaction is
 * spoiled and must be aborted.
 */

static int
lmdb_run(doi_lmdb_t *lmdb, doi_batch_op_t *op, doi_time_t now, uint64_t ns)
{
    int        rc;
    doi_buf_t  out;

    op->result = DOI_RETRY;
    op->answer = lmdb->nanswers;
    op->answer_len = 0;

    if (op->function == NULL || (op->deadline != 0 && ns >= op->deadline)) {
        return 0;
    }

    out.data = lmdb->answers + lmdb->nanswers;
    out.len = 0;
    out.size = DOI_REPLY_MAX;

    op->result = doi_bview_run(&lmdb->wview, op->function, now, op->arg, &out);

    if (lmdb->w.error != 0) {
        return lmdb->w.error;
    }

    if (op->result == DOI_WON && lmdb->wview.nwrites != 0) {

        if (!lmdb_admit(lmdb)) {
            atomic_fetch_add(&lmdb->store->conf.stats->refused_full, 1);
            op->result = DOI_RETRY;
            return lmdb->w.error;
        }

        rc = lmdb_apply(lmdb);
        if (rc != 0) {
            return rc;
        }
    }

    op->answer_len = out.len;
    lmdb->nanswers += out.len;

    return 0;
}


static void
lmdb_settle(doi_batch_op_t *ops, size_t n, doi_result_t result)
{
    size_t  i;

    for (i = 0; i < n; i++) {

        /* Whatever they have read is gone with the transaction. */

        ops[i].result = result;
        ops[i].answer_len = 0;
    }
}


/* Each in a transaction of its own, so that only the guilty is refused. */

static void
lmdb_one_by_one(doi_lmdb_t *lmdb, doi_batch_op_t *ops, size_t n,
    doi_time_t now, doi_time_t mark)
{
    int     rc;
    size_t  i;

    lmdb->nanswers = 0;

    for (i = 0; i < n; i++) {

        if (doi_lmdb_stopped(lmdb) || lmdb_answer_room(lmdb) != DOI_OK) {
            lmdb_settle(&ops[i], 1, DOI_RETRY);
            continue;
        }

        rc = lmdb_begin(lmdb);

        if (rc == 0) {
            rc = lmdb_run(lmdb, &ops[i], now, doi_store_ns());

            if (rc != 0) {
                lmdb_abort(lmdb);

            } else {
                rc = lmdb_commit(lmdb, mark);
            }
        }

        if (rc == 0) {
            atomic_fetch_add(&lmdb->store->conf.stats->ops, lmdb->dirty);
            continue;
        }

        if (lmdb_is_full(rc)) {
            atomic_fetch_add(&lmdb->store->conf.stats->refused_full, 1);
            lmdb_settle(&ops[i], 1, DOI_RETRY);
            continue;
        }

        lmdb_settle(&ops[i], 1, lmdb_failed(lmdb, "commit", rc));
    }
}


size_t
doi_lmdb_batch(doi_lmdb_t *lmdb, doi_batch_op_t *ops, size_t n,
    doi_time_t now, doi_time_t mark)
{
    int          rc;
    size_t       i;
    uint64_t     ns;
    const char  *what;

    lmdb->nanswers = 0;

    /* Two calls of stat(), next to nothing beside a commit. */

    if (doi_lmdb_check_files(lmdb) != DOI_OK) {
        lmdb_settle(ops, n, DOI_RETRY);
        return n;
    }

    what = "write transaction";

    rc = lmdb_begin(lmdb);
    if (rc != 0) {
        lmdb_settle(ops, n, lmdb_failed(lmdb, what, rc));
        return n;
    }

    ns = doi_store_ns();

    for (i = 0; i < n; i++) {

        rc = lmdb_answer_room(lmdb);

        if (rc != DOI_OK) {
            if (i == 0) {
                lmdb_settle(ops, 1, DOI_RETRY);
                i = 1;
            }

            rc = 0;
            break;
        }

        rc = lmdb_run(lmdb, &ops[i], now, ns);

        if (rc != 0) {
            break;
        }
    }

    if (rc != 0) {
        lmdb_abort(lmdb);
        i++;

    } else {
        what = "commit";

        if (lmdb->dirty) {
            lmdb_measure(lmdb);
        }

        rc = lmdb_commit(lmdb, mark);
    }

    if (rc == 0) {
        if (lmdb->dirty) {
            atomic_fetch_add(&lmdb->store->conf.stats->ops, i);
        }

    } else if (lmdb_is_full(rc)) {
        lmdb_one_by_one(lmdb, ops, i, now, mark);

    } else {
        lmdb_settle(ops, i, lmdb_failed(lmdb, what, rc));
    }

    atomic_store(&lmdb->store->conf.stats->map_used, lmdb->used);

    return i;
}


doi_str_t
doi_lmdb_answer(const doi_lmdb_t *lmdb, const doi_batch_op_t *op)
{
    doi_str_t  answer;

    answer.data = lmdb->answers + op->answer;
    answer.len = op->answer_len;

    return answer;
}


void
doi_lmdb_persist_mark(doi_lmdb_t *lmdb, doi_time_t mark)
{
    int  rc;

    if (mark <= lmdb->mark || doi_lmdb_stopped(lmdb)) {
        return;
    }

    rc = lmdb_begin(lmdb);

    if (rc == 0) {
        lmdb_measure(lmdb);
        lmdb->dirty = 1;
        rc = lmdb_commit(lmdb, mark);
    }

    if (rc != 0) {
        (void) lmdb_failed(lmdb, "commit", rc);
    }

    atomic_store(&lmdb->store->conf.stats->map_used, lmdb->used);
}
