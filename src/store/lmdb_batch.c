/*
 * Batches: what the leader does.
 *
 * A batch is many transaction functions inside one LMDB transaction.  Each
 * runs over a buffered view whose writes are applied only if it won, so one
 * that gives up leaves no trace, and later ones see what earlier ones did.
 *
 * Full: the map is larger than what the operator asked for by a reserve.  What
 * is new stops at the size asked for; what ends or replaces something (the
 * settle of a claim, an event that becomes deliveries) may go half way into the
 * reserve; what shrinks the store may have all of it, since LMDB needs free
 * pages even to delete.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdlib.h>
#include <string.h>

#include "lmdb_internal.h"


#define DOI_ANSWERS_MAX     4194304U


/* Errors that come from the size of a transaction, not from the disk. */

static int
lmdb_is_full(int rc)
{
    return rc == MDB_MAP_FULL || rc == MDB_TXN_FULL;
}


/* Pages in use, with those of the open transaction. */

void
doi_lmdb_measure(doi_lmdb_t *lmdb)
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
    size_t        i, ended;
    doi_str_t     key, value;
    doi_write_t  *w;

    doi_lmdb_measure(lmdb);

    if (lmdb->used < lmdb->size) {
        return 1;
    }

    rows = 0;
    bytes = 0;
    ended = 0;

    for (i = 0; i < lmdb->wview.nwrites; i++) {
        w = &lmdb->wview.writes[i];

        key.data = w->key;
        key.len = w->klen;

        switch (doi_lmdb_get(&lmdb->w, key, &value)) {

        case DOI_OK:
            rows--;
            bytes -= (int64_t) (w->klen + value.len);
            ended += w->del;
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

    if (rows > 0 && bytes > 0 && ended == 0) {
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
        lmdb->rows++;
        doi_log_add(&lmdb->log, w);
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
    doi_lmdb_flush(lmdb, mark);

    /* They may all be in a record that may be on the disk. */

    if (lmdb->log.broken) {
        lmdb_settle(ops, n, DOI_UNKNOWN);
        return;
    }

    for (i = 0; i < n; i++) {

        if (doi_lmdb_stopped(lmdb) || lmdb_answer_room(lmdb) != DOI_OK) {
            lmdb_settle(&ops[i], 1, DOI_RETRY);
            continue;
        }

        rc = doi_lmdb_begin(lmdb);

        if (rc == 0) {
            rc = lmdb_run(lmdb, &ops[i], now, doi_store_ns());

            if (rc != 0) {
                doi_lmdb_abort(lmdb);

            } else {
                rc = doi_lmdb_commit(lmdb, mark, 1);
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

        lmdb_settle(&ops[i], 1, doi_lmdb_failed(lmdb, "commit", rc));
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

    /* Next to nothing beside a commit. */

    if (doi_lmdb_check_files(lmdb) != DOI_OK) {
        lmdb_settle(ops, n, DOI_RETRY);
        return n;
    }

    /* What may be in the log, and was answered UNKNOWN, must not come after
       anything else. */

    if (lmdb->log.broken) {
        doi_lmdb_flush(lmdb, mark);

        if (lmdb->log.broken) {
            lmdb_settle(ops, n, DOI_RETRY);
            return n;
        }
    }

    what = "write transaction";

    rc = doi_lmdb_begin(lmdb);
    if (rc != 0) {
        lmdb_settle(ops, n, doi_lmdb_failed(lmdb, what, rc));
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
        doi_lmdb_abort(lmdb);
        i++;

    } else {
        what = "commit";

        if (lmdb->dirty) {
            doi_lmdb_measure(lmdb);
        }

        rc = doi_lmdb_commit(lmdb, mark, 0);
    }

    if (rc == 0) {
        if (lmdb->dirty) {
            atomic_fetch_add(&lmdb->store->conf.stats->ops, i);
        }

    } else if (lmdb_is_full(rc)) {
        lmdb_one_by_one(lmdb, ops, i, now, mark);

    } else {
        lmdb_settle(ops, i, doi_lmdb_failed(lmdb, what, rc));
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
