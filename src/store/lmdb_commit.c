/*
 * Write transactions, and the log before them.
 *
 * A batch is made durable by the log (log.c): its rows stand in LMDB's
 * transaction, which stays open, and in a record, which is synced.  LMDB
 * commits when the store has been idle for a moment, when it is a quarter of a
 * second behind, or when a batch does not fit the log any more: then that batch
 * is made durable by this commit, and needs no record.  Nothing is taken for
 * done before one of the two has it, so each can be the other's substitute:
 *
 *   the log cannot be written    LMDB commits at once
 *   LMDB cannot commit           its transaction is gone; a new one gets from
 *                                the log what was acknowledged, and the batch
 *                                is refused that could not be logged either
 *
 * When a commit fails (mdb.c 0.9.24, mdb_txn_commit): data pages are written
 * and synced first, the meta page that makes them count last, through a
 * descriptor with O_DSYNC.  ENOSPC or EIO up to the sync: the transaction is
 * aborted, the old meta page stands, nothing was applied, LMDB goes on.  An
 * error while the meta page is written: LMDB puts the old one back into the
 * page cache, but what is on the disk nobody knows, and the environment refuses
 * everything from then on (MDB_PANIC): this process stops, another one leads.
 *
 * Every commit has a number of its own in META, as if it were a record: so a
 * record of that number that could not be synced, and may be on the disk or
 * not, never counts.
 *
 * The log is appended to only while w.txn is open, which is to say, with LMDB's
 * lock in hand and after a look at META: two leaders, which there are for a
 * moment when somebody removes leader.lock, cannot both write to it.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../core/bytes.h"
#include "lmdb_internal.h"


#define COMMIT_IDLE         10000000ULL         /* ns after the last batch    */
#define COMMIT_AGE          250000000ULL        /* ns after the first         */
#define COMMIT_RETRY        1000000000ULL       /* ns after a failure         */
#define COMMIT_ROWS         16384U      /* LMDB keeps their pages in memory   */
#define COMMIT_GROW         8388608U
#define COMMIT_GROWS        16          /* in the life of a process           */


static int
lmdb_put_meta(doi_lmdb_t *lmdb, const char *name, const uint8_t *value,
    size_t len)
{
    uint8_t  row[16];
    MDB_val  key, data;

    row[0] = DOI_TABLE_META;
    memcpy(row + 1, name, strlen(name));

    key.mv_data = row;
    key.mv_size = 1 + strlen(name);
    data.mv_data = (void *) value;
    data.mv_size = len;

    return mdb_put(lmdb->w.txn, lmdb->w.dbi, &key, &data, 0);
}


static int
lmdb_open_txn(doi_lmdb_t *lmdb)
{
    int       rc;
    unsigned  tries;

    for (tries = 0; /* void */ ; tries++) {

        (void) pthread_rwlock_rdlock(&lmdb->map_lock);

        rc = mdb_txn_begin(lmdb->env, NULL, 0, &lmdb->w.txn);
        if (rc == 0) {
            lmdb->rows = 0;
            lmdb->since = 0;
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


/*
 * Puts into w.txn what the log has after *pos, up to last if that is not 0;
 * *pos and *mark go along.
 */

static int
lmdb_replay(doi_lmdb_t *lmdb, doi_log_pos_t *pos, uint64_t last,
    doi_time_t *mark)
{
    int         rc, del;
    size_t      n, done, len;
    uint8_t    *p;
    MDB_val     k, v;
    doi_str_t   rows, key, value;
    doi_time_t  at;

    n = last != 0 ? lmdb->log.pos.off : lmdb->log.size;

    p = doi_log_read(&lmdb->log, pos->off, n);
    if (p == NULL) {
        return EIO;
    }

    n = (n < lmdb->log.size ? n : lmdb->log.size) - pos->off;
    done = 0;
    rc = 0;

    while (rc == 0 && (last == 0 || pos->seq != last)) {

        len = done < n ? doi_log_record(p + done, n - done, pos, &at, &rows)
                       : 0;

        if (len == 0) {
            rc = last != 0 ? EIO : 0;
            break;
        }

        while (rc == 0
               && (rc = doi_log_row(&rows, &key, &value, &del)) == DOI_OK)
        {
            k.mv_data = (void *) key.data;
            k.mv_size = key.len;
            v.mv_data = (void *) value.data;
            v.mv_size = value.len;

            rc = del ? mdb_del(lmdb->w.txn, lmdb->w.dbi, &k, NULL)
                     : mdb_put(lmdb->w.txn, lmdb->w.dbi, &k, &v, 0);

            if (rc == MDB_NOTFOUND) {
                rc = 0;
            }

            lmdb->rows++;
        }

        if (rc != DOI_NOT_FOUND) {
            rc = rc == DOI_ERROR ? MDB_CORRUPTED : rc;
            break;
        }

        rc = 0;
        done += len;
        pos->off += (uint32_t) len;
        pos->seq++;

        if (at > *mark) {
            *mark = at;
        }
    }

    free(p);

    return rc;
}


int
doi_lmdb_begin(doi_lmdb_t *lmdb)
{
    int              rc;
    doi_time_t       mark;
    doi_lmdb_meta_t  meta;

    lmdb->dirty = 0;
    lmdb->w.error = 0;
    doi_log_begin(&lmdb->log);

    if (lmdb->w.txn != NULL) {
        return 0;
    }

    rc = lmdb_open_txn(lmdb);
    if (rc != 0) {
        return rc;
    }

    rc = doi_lmdb_read_meta(lmdb, lmdb->w.txn, &meta, 0);

    if (rc == 0
        && (meta.log.gen != lmdb->log.pos.gen || meta.log.seq != lmdb->seq))
    {
        rc = EBUSY;
    }

    if (rc == 0 && lmdb->seq != lmdb->log.pos.seq) {
        mark = 0;
        rc = lmdb_replay(lmdb, &meta.log, lmdb->log.pos.seq, &mark);
        lmdb->since = doi_store_ns();
    }

    if (rc != 0) {
        doi_lmdb_abort(lmdb);
    }

    return rc;
}


void
doi_lmdb_abort(doi_lmdb_t *lmdb)
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


/* Commits w.txn; what the log has until now is in it, so it begins anew. */

static int
lmdb_write(doi_lmdb_t *lmdb, doi_time_t mark)
{
    int            rc;
    uint8_t        bytes[DOI_LOG_POS_SIZE], clock[4];
    doi_log_pos_t  pos;

    pos.gen = lmdb->log.pos.gen;
    pos.seq = lmdb->log.pos.seq + 1;
    pos.off = DOI_LOG_START;

    if (mark < lmdb->mark) {
        mark = lmdb->mark;
    }

    doi_lmdb_measure(lmdb);
    atomic_store(&lmdb->store->conf.stats->map_used, lmdb->used);

    doi_log_pos_encode(bytes, &pos);
    rc = lmdb_put_meta(lmdb, "log", bytes, sizeof(bytes));

    if (rc == 0 && mark > lmdb->meta_mark) {
        doi_put32(clock, mark);
        rc = lmdb_put_meta(lmdb, "clock", clock, sizeof(clock));
    }

    if (rc != 0) {
        doi_lmdb_abort(lmdb);
        return rc;
    }

    rc = mdb_txn_commit(lmdb->w.txn);
    lmdb->w.txn = NULL;

    (void) pthread_rwlock_unlock(&lmdb->map_lock);

    if (rc != 0) {
        atomic_fetch_add(&lmdb->store->conf.stats->commit_errors, 1);
        return rc;
    }

    lmdb->mark = mark;
    lmdb->meta_mark = mark;
    lmdb->seq = pos.seq;
    lmdb->retry = 0;

    doi_log_restart(&lmdb->log, &pos);

    return 0;
}


/* A transaction that has written nothing costs no sync. */

int
doi_lmdb_commit(doi_lmdb_t *lmdb, doi_time_t mark, int direct)
{
    int       rc;
    uint64_t  start;

    if (lmdb->store->hooks.at != NULL) {
        lmdb->store->hooks.at(DOI_AT_RUN);
    }

    if (!lmdb->dirty) {
        if (lmdb->since == 0) {
            doi_lmdb_abort(lmdb);
        }

        return 0;
    }

    start = doi_store_ns();
    rc = direct ? -1 : doi_log_append(&lmdb->log, mark);

    if (rc > 0) {
        doi_lmdb_log_error(lmdb, "writing " DOI_LOG_NAME, rc);
    }

    if (rc == 0) {
        lmdb->touched = doi_store_ns();

        if (lmdb->since == 0) {
            lmdb->since = lmdb->touched;
        }

        if (mark > lmdb->mark) {
            lmdb->mark = mark;
        }

    } else {
        rc = lmdb_write(lmdb, mark);
        if (rc != 0) {
            return rc;
        }
    }

    lmdb_count_commit(lmdb, doi_store_ns() - start);

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

doi_result_t
doi_lmdb_failed(doi_lmdb_t *lmdb, const char *what, int rc)
{
    if (doi_lmdb_is_fatal(rc)) {
        doi_lmdb_stop(lmdb, mdb_strerror(rc), doi_lmdb_mend(rc));
        return lmdb->log.broken ? DOI_UNKNOWN : DOI_RETRY;
    }

    doi_lmdb_log_error(lmdb, what, rc);

    if (lmdb_panicked(lmdb)) {
        doi_lmdb_stop(lmdb, "the last page of a commit could not be written",
                      "; check the disk, then reload nginx");
        return DOI_UNKNOWN;
    }

    return lmdb->log.broken ? DOI_UNKNOWN : DOI_RETRY;
}


/*
 * What was acknowledged must find room, however full the store is: operations
 * are held to size and reserve, but freed pages that a reader still looks at
 * are not in that sum.  Not without end, if that reader never goes: then it
 * waits in the log.
 */

static int
lmdb_grow(doi_lmdb_t *lmdb)
{
    int          rc;
    MDB_envinfo  info;

    if (lmdb->grown == COMMIT_GROWS) {
        return MDB_MAP_FULL;
    }

    lmdb->grown++;

    /* One that is dead is no reason. */

    (void) mdb_reader_check(lmdb->env, NULL);

    (void) pthread_rwlock_wrlock(&lmdb->map_lock);

    (void) mdb_env_info(lmdb->env, &info);
    rc = mdb_env_set_mapsize(lmdb->env, info.me_mapsize + COMMIT_GROW);

    (void) pthread_rwlock_unlock(&lmdb->map_lock);

    return rc;
}


/* A log that was lost may have had what was acknowledged. */

static int
lmdb_start_log(doi_lmdb_t *lmdb, const doi_lmdb_meta_t *meta)
{
    int  rc, bare;

    if (lmdb->log.fd != -1) {
        return DOI_OK;
    }

    bare = doi_lmdb_is_bare(lmdb, meta->log.gen);

    rc = doi_log_open(&lmdb->log, lmdb->dir, bare);

    if (rc == 0) {
        return DOI_OK;
    }

    if (rc == DOI_NOT_FOUND) {
        doi_lmdb_stop(lmdb, DOI_LOG_NAME " is missing",
                      "; put it back in its place, then reload nginx");
        return DOI_ERROR;
    }

    doi_lmdb_log_error(lmdb, bare ? "making " DOI_LOG_NAME
                                  : "opening " DOI_LOG_NAME, rc);

    /* No room for it, say: slower, no more. */

    return bare ? DOI_OK : DOI_ERROR;
}


/*
 * Takes in the log, and begins a generation.  An error of LMDB, or DOI_ERROR:
 * it was logged.
 */

static int
lmdb_take_over(doi_lmdb_t *lmdb)
{
    int              rc;
    uint8_t          schema[4];
    doi_time_t       at;
    doi_lmdb_meta_t  meta;

    rc = lmdb_open_txn(lmdb);
    if (rc != 0) {
        return rc;
    }

    rc = doi_lmdb_read_meta(lmdb, lmdb->w.txn, &meta, 1);

    if (rc == 0 && meta.schema > DOI_SCHEMA) {
        doi_lmdb_stop(lmdb, "another module has changed the schema",
                      "; reload nginx");
        rc = DOI_ERROR;
    }

    if (rc == 0 && lmdb_start_log(lmdb, &meta) != DOI_OK) {
        rc = DOI_ERROR;
    }

    at = meta.mark;

    if (rc == 0 && meta.log.gen != 0 && lmdb->log.fd != -1) {
        rc = lmdb_replay(lmdb, &meta.log, 0, &at);
    }

    if (lmdb->store->hooks.at != NULL) {
        lmdb->store->hooks.at(DOI_AT_REPLAYED);
    }

    if (rc == 0 && meta.schema != DOI_SCHEMA) {
        doi_put32(schema, DOI_SCHEMA);
        rc = lmdb_put_meta(lmdb, "schema", schema, sizeof(schema));
    }

    /* A generation of its own: whatever stands in the log has been taken in, or
       does not count, now and for ever. */

    meta.log.gen = 0;

    if (rc == 0 && lmdb->log.fd != -1
        && (getrandom(&meta.log.gen, 8, 0) != 8 || meta.log.gen == 0))
    {
        rc = EIO;
    }

    if (rc != 0) {
        doi_lmdb_abort(lmdb);
        return rc;
    }

    lmdb->mark = at;
    lmdb->meta_mark = meta.mark;
    lmdb->log.pos = meta.log;

    return lmdb_write(lmdb, at);
}


int
doi_lmdb_start(doi_lmdb_t *lmdb, doi_time_t *mark)
{
    int  rc;

    do {
        rc = lmdb_take_over(lmdb);
    } while (rc == MDB_MAP_FULL && lmdb_grow(lmdb) == 0);

    if (rc != 0) {

        /* Nothing here is for this leader to commit. */

        lmdb->log.pos.seq = lmdb->seq;

        if (rc != DOI_ERROR) {
            (void) doi_lmdb_failed(lmdb, "writing", rc);
        }

        return DOI_ERROR;
    }

    lmdb->since = 0;

    /* So that readers see by its front that the log is of this generation. */

    doi_log_blank(&lmdb->log);

    if (lmdb->mark > *mark) {
        *mark = lmdb->mark;
    }

    return DOI_OK;
}


uint64_t
doi_lmdb_flush_at(const doi_lmdb_t *lmdb)
{
    uint64_t  idle, age;

    if (lmdb->seq == lmdb->log.pos.seq && !lmdb->log.broken) {
        return 0;
    }

    if (lmdb->retry != 0) {
        return lmdb->retry;
    }

    if (lmdb->rows > COMMIT_ROWS || lmdb->w.txn == NULL) {
        return 1;
    }

    if (lmdb->store->hooks.flush_ms != 0) {
        return lmdb->since + lmdb->store->hooks.flush_ms * 1000000ULL;
    }

    idle = lmdb->touched + COMMIT_IDLE;
    age = lmdb->since + COMMIT_AGE;

    return idle < age ? idle : age;
}


static int
lmdb_flush(doi_lmdb_t *lmdb, doi_time_t mark)
{
    int  rc;

    do {
        rc = doi_lmdb_begin(lmdb);

        if (rc == 0) {

            if (lmdb->store->hooks.at != NULL) {
                lmdb->store->hooks.at(DOI_AT_FLUSH);
            }

            rc = lmdb_write(lmdb, mark);
        }

    } while (rc == MDB_MAP_FULL && lmdb_grow(lmdb) == 0);

    if (lmdb->store->hooks.at != NULL) {
        lmdb->store->hooks.at(DOI_AT_FLUSHED);
    }

    return rc;
}


void
doi_lmdb_flush(doi_lmdb_t *lmdb, doi_time_t mark)
{
    int  rc;

    if (doi_lmdb_stopped(lmdb) || doi_lmdb_flush_at(lmdb) == 0) {
        return;
    }

    rc = lmdb_flush(lmdb, mark);

    if (rc != 0) {
        lmdb->retry = doi_store_ns() + COMMIT_RETRY;
        (void) doi_lmdb_failed(lmdb, "commit", rc);
    }
}


void
doi_lmdb_persist_mark(doi_lmdb_t *lmdb, doi_time_t mark)
{
    int  rc;

    if (mark <= lmdb->mark || doi_lmdb_stopped(lmdb)) {
        return;
    }

    rc = lmdb_flush(lmdb, mark);

    if (rc != 0) {
        (void) doi_lmdb_failed(lmdb, "commit", rc);
    }
}


void
doi_lmdb_end(doi_lmdb_t *lmdb, doi_time_t mark)
{
    doi_lmdb_flush(lmdb, mark);

    if (lmdb->w.txn != NULL) {
        doi_lmdb_abort(lmdb);
    }

    /* What could not be committed is there for the next leader. */

    lmdb->log.pos.seq = lmdb->seq;
    lmdb->log.broken = 0;
    lmdb->since = 0;
    lmdb->retry = 0;

    doi_log_close(&lmdb->log);
}
