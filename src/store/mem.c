/*
 * The memory driver: one process, nothing durable, faults on request.
 *
 * It exists for tests.  It keeps the promises of store.h that can be kept
 * without a disk (order, exactly one callback and never inside submit,
 * buffered writes, a clock that does not run backwards), so that what passes
 * over it passes over LMDB; and it breaks the others when it is told to, which
 * a disk does only once in a while.
 *
 * Rows stand in one array, ordered by row key.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "store_internal.h"
#include "../core/clock.h"


typedef struct {
    uint8_t    *data;                   /* key, then value                    */
    size_t      klen;
    size_t      vlen;
} mem_row_t;


typedef struct mem_op_s  mem_op_t;

struct mem_op_s {
    mem_op_t           *next;
    doi_store_done_pt   done;
    void               *data;
    unsigned            op;
    doi_fault_t         fault;
    size_t              len;
    _Alignas(16) uint8_t  arg[];
};


typedef struct {
    doi_store_t         store;

    mem_row_t          *rows;
    size_t              nrows;
    size_t              room;

    mem_op_t           *first;
    mem_op_t          **last;
    size_t              pending;

    int                 fd;             /* readable while ops wait            */

    doi_bview_t         view;
    doi_bview_t         rview;
    doi_clock_t         clock;
    doi_time_t          wall;           /* 0: the real clocks                 */
    uint64_t            mono;

    doi_fault_t         fault;
    unsigned            skip;
    unsigned            count;
    unsigned            forever:1;
    unsigned            dispatching:1;

    uint8_t             answer[DOI_REPLY_MAX];
} mem_store_t;


static size_t
mem_search(const mem_store_t *m, doi_str_t key, int *found)
{
    int               rc;
    size_t            lo, hi, mid, len;
    const mem_row_t  *row;

    lo = 0;
    hi = m->nrows;
    *found = 0;

    while (lo < hi) {
        mid = lo + (hi - lo) / 2;
        row = &m->rows[mid];
        len = row->klen < key.len ? row->klen : key.len;

        rc = memcmp(row->data, key.data, len);

        if (rc == 0) {
            if (row->klen == key.len) {
                *found = 1;
                return mid;
            }

            rc = row->klen < key.len ? -1 : 1;
        }

        if (rc < 0) {
            lo = mid + 1;

        } else {
            hi = mid;
        }
    }

    return lo;
}


static int
mem_get(void *data, doi_str_t key, doi_str_t *value)
{
    int                 found;
    size_t              i;
    const mem_store_t  *m;

    m = data;
    i = mem_search(m, key, &found);

    if (!found) {
        return DOI_NOT_FOUND;
    }

    value->data = m->rows[i].data + m->rows[i].klen;
    value->len = m->rows[i].vlen;

    return DOI_OK;
}


static int
mem_scan(void *data, doi_str_t from, doi_scan_pt row, void *row_data)
{
    int                 rc, found;
    size_t              i;
    doi_str_t           key, value;
    const mem_store_t  *m;

    m = data;

    for (i = mem_search(m, from, &found); i < m->nrows; i++) {

        if (m->rows[i].data[0] != from.data[0]) {
            break;
        }

        key.data = m->rows[i].data + 1;
        key.len = m->rows[i].klen - 1;
        value.data = m->rows[i].data + m->rows[i].klen;
        value.len = m->rows[i].vlen;

        rc = row(row_data, key, value);
        if (rc != DOI_OK) {
            return rc;
        }
    }

    return DOI_OK;
}


static const doi_backend_t  mem_backend = { mem_get, mem_scan };


/* All of it or nothing: memory is taken before the first row is changed. */

static int
mem_apply(mem_store_t *m)
{
    int           found;
    void         *p;
    size_t        i, n, room;
    doi_str_t     key;
    uint8_t     **copies;
    doi_write_t  *w;

    n = m->view.nwrites;

    if (n == 0) {
        return DOI_OK;
    }

    if (m->nrows + n > m->room) {
        room = (m->nrows + n) * 2;

        p = realloc(m->rows, room * sizeof(mem_row_t));
        if (p == NULL) {
            return DOI_ERROR;
        }

        m->rows = p;
        m->room = room;
    }

    copies = calloc(n, sizeof(uint8_t *));
    if (copies == NULL) {
        return DOI_ERROR;
    }

    for (i = 0; i < n; i++) {
        w = &m->view.writes[i];

        copies[i] = malloc(w->klen + w->value.len);
        if (copies[i] == NULL) {
            while (i != 0) {
                free(copies[--i]);
            }

            free(copies);
            return DOI_ERROR;
        }

        memcpy(copies[i], w->key, w->klen);

        if (w->value.len != 0) {
            memcpy(copies[i] + w->klen, w->value.data, w->value.len);
        }
    }

    for (n = 0; n < m->view.nwrites; n++) {
        w = &m->view.writes[n];

        key.data = w->key;
        key.len = w->klen;

        i = mem_search(m, key, &found);

        if (found) {
            free(m->rows[i].data);

            if (w->del) {
                m->nrows--;
                memmove(&m->rows[i], &m->rows[i + 1],
                        (m->nrows - i) * sizeof(mem_row_t));
            }

        } else if (!w->del) {
            memmove(&m->rows[i + 1], &m->rows[i],
                    (m->nrows - i) * sizeof(mem_row_t));
            m->nrows++;
        }

        if (w->del) {
            free(copies[n]);
            continue;
        }

        m->rows[i].data = copies[n];
        m->rows[i].klen = w->klen;
        m->rows[i].vlen = w->value.len;
    }

    free(copies);

    return DOI_OK;
}


static doi_time_t
mem_tick(mem_store_t *m)
{
    if (m->wall != 0) {
        return doi_clock_tick(&m->clock, m->wall, m->mono);
    }

    return doi_clock_tick(&m->clock, doi_store_wall(), doi_store_mono());
}


static doi_result_t
mem_run(mem_store_t *m, mem_op_t *op, doi_buf_t *out)
{
    doi_str_t     arg;
    doi_time_t    now;
    doi_txn_pt    fn;
    doi_result_t  result;

    out->len = 0;

    if (op->fault == DOI_FAULT_RETRY) {
        return DOI_RETRY;
    }

    if (op->fault == DOI_FAULT_LOST) {
        return DOI_UNKNOWN;
    }

    fn = doi_store_function(&m->store, op->op);

    if (fn == NULL) {
        return DOI_RETRY;
    }

    now = mem_tick(m);
    arg.data = op->arg;
    arg.len = op->len;

    m->view.fail_get = op->fault == DOI_FAULT_GET;
    m->view.fail_put = op->fault == DOI_FAULT_PUT;

    result = doi_bview_run(&m->view, fn, now, arg, out);

    if (op->fault == DOI_FAULT_TWICE) {
        result = doi_bview_run(&m->view, fn, now, arg, out);
    }

    if (result == DOI_WON && mem_apply(m) != DOI_OK) {
        out->len = 0;
        return DOI_RETRY;
    }

    if (op->fault == DOI_FAULT_UNKNOWN) {
        out->len = 0;
        return DOI_UNKNOWN;
    }

    return result;
}


/* Operations that callbacks submit are left to the next turn. */

static void
mem_dispatch(doi_store_t *store)
{
    uint64_t            count;
    mem_op_t           *op, *list;
    doi_buf_t           out;
    doi_str_t           answer;
    mem_store_t        *m;
    doi_result_t        result;
    doi_store_stats_t  *stats;

    m = (mem_store_t *) store;
    stats = store->conf.stats;

    if (m->dispatching) {
        return;
    }

    m->dispatching = 1;

    while (read(m->fd, &count, sizeof(count)) < 0 && errno == EINTR) {
        /* void */
    }

    list = m->first;
    m->first = NULL;
    m->last = &m->first;

    while (list != NULL) {
        op = list;
        list = op->next;

        out.data = m->answer;
        out.size = sizeof(m->answer);

        result = mem_run(m, op, &out);

        if (result == DOI_WON) {
            stats->commits++;
            stats->ops++;
        }

        if (result == DOI_UNKNOWN) {
            stats->unknown++;
        }

        stats->clock_mark = m->clock.mark;

        answer.data = out.data;
        answer.len = out.len;

        m->pending--;
        op->done(op->data, result, answer);
        free(op);
    }

    m->dispatching = 0;

    if (m->first != NULL) {
        count = 1;
        (void) !write(m->fd, &count, sizeof(count));
    }
}


static int
mem_submit(doi_store_t *store, unsigned op, doi_str_t arg,
    doi_store_done_pt done, void *data)
{
    mem_op_t     *o;
    mem_store_t  *m;

    m = (mem_store_t *) store;

    if (m->pending >= store->conf.queue_max) {
        store->conf.stats->refused_queue++;
        return DOI_ERROR;
    }

    o = malloc(sizeof(mem_op_t) + arg.len);
    if (o == NULL) {
        return DOI_ERROR;
    }

    o->next = NULL;
    o->done = done;
    o->data = data;
    o->op = op;
    o->fault = DOI_FAULT_NONE;
    o->len = arg.len;

    if (arg.len != 0) {
        memcpy(o->arg, arg.data, arg.len);
    }

    if (m->fault != DOI_FAULT_NONE) {

        if (m->skip != 0) {
            m->skip--;

        } else {
            o->fault = m->fault;

            if (!m->forever && --m->count == 0) {
                m->fault = DOI_FAULT_NONE;
            }
        }
    }

    *m->last = o;
    m->last = &o->next;
    m->pending++;

    return DOI_OK;
}


static void
mem_flush(doi_store_t *store)
{
    uint64_t      count;
    mem_store_t  *m;

    m = (mem_store_t *) store;

    if (m->first != NULL) {
        count = 1;
        (void) !write(m->fd, &count, sizeof(count));
    }
}


static size_t
mem_pending(doi_store_t *store)
{
    return ((mem_store_t *) store)->pending;
}


static int
mem_fd(doi_store_t *store)
{
    return ((mem_store_t *) store)->fd;
}


static doi_time_t
mem_now(doi_store_t *store, doi_time_t wall)
{
    mem_store_t  *m;

    m = (mem_store_t *) store;

    return wall > m->clock.mark ? wall : m->clock.mark;
}


static doi_result_t
mem_read(doi_store_t *store, doi_txn_pt fn, doi_str_t arg, doi_buf_t *out)
{
    mem_store_t  *m;

    m = (mem_store_t *) store;

    return doi_bview_run(&m->rview, fn,
                         mem_now(store, m->wall != 0 ? m->wall
                                                     : doi_store_wall()),
                         arg, out);
}


static void
mem_close(doi_store_t *store, uint32_t timeout_ms)
{
    size_t        i;
    mem_store_t  *m;

    m = (mem_store_t *) store;
    (void) timeout_ms;

    /* Callbacks may submit once more, but not for ever. */

    store->conf.queue_max = 0;

    while (m->first != NULL) {
        mem_dispatch(store);
    }

    for (i = 0; i < m->nrows; i++) {
        free(m->rows[i].data);
    }

    free(m->rows);
    doi_bview_free(&m->view);
    doi_bview_free(&m->rview);
    (void) close(m->fd);
    doi_store_done(store);
    free(m);
}


static const doi_store_ops_t  mem_ops = {
    mem_close,
    mem_fd,
    mem_dispatch,
    mem_submit,
    mem_flush,
    mem_pending,
    mem_read,
    mem_now
};


int
doi_store_mem_open_hooks(const doi_store_conf_t *conf,
    const doi_store_hooks_t *hooks, doi_store_t **store, char *err,
    size_t errsize)
{
    mem_store_t  *m;

    m = calloc(1, sizeof(mem_store_t));

    if (m == NULL || doi_store_init(&m->store, &mem_ops, conf, hooks) != DOI_OK)
    {
        free(m);
        (void) snprintf(err, errsize, "out of memory");
        return DOI_ERROR;
    }

    m->fd = eventfd(0, EFD_CLOEXEC|EFD_NONBLOCK);

    if (m->fd == -1) {
        (void) snprintf(err, errsize, "eventfd() failed: %s; raise the limit "
                        "of open files", strerror(errno));
        doi_store_done(&m->store);
        free(m);
        return DOI_ERROR;
    }

    m->last = &m->first;

    doi_bview_init(&m->view, &mem_backend, m);
    doi_bview_init(&m->rview, &mem_backend, m);
    m->rview.readonly = 1;

    doi_clock_init(&m->clock, 0);

    *store = &m->store;

    return DOI_OK;
}


void
doi_store_mem_fault(doi_store_t *store, doi_fault_t fault, unsigned skip,
    unsigned count)
{
    mem_store_t  *m;

    m = (mem_store_t *) store;

    m->fault = fault;
    m->skip = skip;
    m->count = count;
    m->forever = count == 0;
}


void
doi_store_mem_clock(doi_store_t *store, doi_time_t wall, uint64_t mono)
{
    mem_store_t  *m;

    m = (mem_store_t *) store;

    m->wall = wall;
    m->mono = mono;
}
