/*
 * A view for tests: rows in arrays kept in key order.  It knows nothing of
 * src/store, so that core and store cannot be wrong together.
 *
 *   test_store_t  store = { 0 };
 *   result = test_run(&store, op, now, arg, &answer);
 *   test_store_free(&store);
 *
 * Writes of a transaction are kept in a list of their own and applied on
 * DOI_WON only.  store.fail = n makes the n-th call to the view fail.
 */

#ifndef TEST_VIEW_H
#define TEST_VIEW_H

#include <stdlib.h>
#include <string.h>

#include "../../src/core/link.h"


typedef struct {
    uint8_t       key[DOI_KEY_MAX];
    size_t        klen;
    uint8_t      *value;            /* malloc()ed */
    size_t        vlen;
    doi_table_t   table;            /* of a write */
    int           del;
} test_row_t;

typedef struct {
    test_row_t   *rows;
    size_t        n;
    size_t        size;
} test_rows_t;

typedef struct test_block_s  test_block_t;

struct test_block_s {
    test_block_t  *next;
    max_align_t    data[];
};

typedef struct {
    doi_view_t     view;            /* must be first */
    test_rows_t    tables[DOI_TABLES];
    test_rows_t    writes;
    test_block_t  *blocks;
    unsigned       calls;
    unsigned       fail;            /* 0: never */
    unsigned       applied;         /* writes of the last transaction */
} test_store_t;

typedef struct {
    uint8_t       data[DOI_REPLY_MAX];
    size_t        len;
} test_answer_t;


static inline int
test_key_cmp(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen)
{
    int     rc;
    size_t  n;

    n = alen < blen ? alen : blen;
    rc = n ? memcmp(a, b, n) : 0;

    return rc ? rc : (alen > blen) - (alen < blen);
}


/* The first row whose key is not less. */

static inline size_t
test_rows_find(const test_rows_t *rows, const uint8_t *key, size_t len)
{
    size_t  lo, hi, mid;

    lo = 0;
    hi = rows->n;

    while (lo < hi) {
        mid = (lo + hi) / 2;

        if (test_key_cmp(rows->rows[mid].key, rows->rows[mid].klen, key, len)
            < 0)
        {
            lo = mid + 1;

        } else {
            hi = mid;
        }
    }

    return lo;
}


static inline test_row_t *
test_rows_get(const test_rows_t *rows, const uint8_t *key, size_t len)
{
    size_t  i;

    i = test_rows_find(rows, key, len);

    if (i < rows->n
        && test_key_cmp(rows->rows[i].key, rows->rows[i].klen, key, len) == 0)
    {
        return &rows->rows[i];
    }

    return NULL;
}


static inline test_row_t *
test_rows_insert(test_rows_t *rows, size_t i, doi_str_t key, doi_str_t value)
{
    test_row_t  *row;

    if (rows->n == rows->size) {
        rows->size = rows->size ? rows->size * 2 : 16;
        rows->rows = realloc(rows->rows, rows->size * sizeof(test_row_t));
        if (rows->rows == NULL) {
            abort();
        }
    }

    row = &rows->rows[i];
    memmove(row + 1, row, (rows->n - i) * sizeof(test_row_t));
    rows->n++;

    memset(row, 0, sizeof(test_row_t));
    memcpy(row->key, key.data, key.len);
    row->klen = key.len;
    row->value = malloc(value.len + 1);
    row->vlen = value.len;

    if (row->value == NULL) {
        abort();
    }

    if (value.len) {
        memcpy(row->value, value.data, value.len);
    }

    return row;
}


static inline void
test_rows_remove(test_rows_t *rows, size_t i)
{
    if (i >= rows->n || rows->rows == NULL) {
        abort();
    }

    free(rows->rows[i].value);
    rows->n--;
    memmove(&rows->rows[i], &rows->rows[i + 1],
            (rows->n - i) * sizeof(test_row_t));
}


/* Writes a row at once, outside of any transaction. */

static inline void
test_store_set(test_store_t *store, doi_table_t table, doi_str_t key,
    doi_str_t value)
{
    size_t        i;
    test_rows_t  *rows;

    rows = &store->tables[table];

    if (test_rows_get(rows, key.data, key.len) != NULL) {
        test_rows_remove(rows, test_rows_find(rows, key.data, key.len));
    }

    i = test_rows_find(rows, key.data, key.len);
    test_rows_insert(rows, i, key, value);
}


static inline int
test_view_fails(test_store_t *store)
{
    return ++store->calls == store->fail;
}


static inline int
test_view_get(doi_view_t *view, doi_table_t table, doi_str_t key,
    doi_str_t *value)
{
    size_t         i;
    test_row_t    *row;
    test_store_t  *store = (test_store_t *) view;

    if (test_view_fails(store)) {
        return DOI_ERROR;
    }

    row = test_rows_get(&store->tables[table], key.data, key.len);

    for (i = 0; i < store->writes.n; i++) {
        if (store->writes.rows[i].table == table
            && test_key_cmp(store->writes.rows[i].key,
                            store->writes.rows[i].klen, key.data, key.len)
               == 0)
        {
            row = &store->writes.rows[i];
        }
    }

    if (row == NULL || row->del) {
        return DOI_NOT_FOUND;
    }

    value->data = row->value;
    value->len = row->vlen;

    return DOI_OK;
}


static inline int
test_view_write(test_store_t *store, doi_table_t table, doi_str_t key,
    doi_str_t value, int del)
{
    test_row_t  *row;

    if (test_view_fails(store) || key.len > DOI_KEY_MAX || key.len == 0
        || value.len > DOI_VALUE_MAX)
    {
        return DOI_ERROR;
    }

    row = test_rows_insert(&store->writes, store->writes.n, key, value);
    row->table = table;
    row->del = del;

    return DOI_OK;
}


static inline int
test_view_put(doi_view_t *view, doi_table_t table, doi_str_t key,
    doi_str_t value)
{
    return test_view_write((test_store_t *) view, table, key, value, 0);
}


static inline int
test_view_del(doi_view_t *view, doi_table_t table, doi_str_t key)
{
    doi_str_t  empty = { NULL, 0 };

    return test_view_write((test_store_t *) view, table, key, empty, 1);
}


static inline int
test_view_scan(doi_view_t *view, doi_table_t table, doi_str_t from,
    doi_scan_pt fn, void *data)
{
    int            rc;
    size_t         i;
    doi_str_t      key, value;
    test_rows_t   *rows;
    test_store_t  *store = (test_store_t *) view;

    if (test_view_fails(store)) {
        return DOI_ERROR;
    }

    rows = &store->tables[table];

    for (i = test_rows_find(rows, from.data, from.len); i < rows->n; i++) {
        key.data = rows->rows[i].key;
        key.len = rows->rows[i].klen;
        value.data = rows->rows[i].value;
        value.len = rows->rows[i].vlen;

        rc = fn(data, key, value);
        if (rc != DOI_OK) {
            return rc;
        }
    }

    return DOI_OK;
}


static inline void *
test_view_alloc(doi_view_t *view, size_t size)
{
    test_block_t  *block;
    test_store_t  *store = (test_store_t *) view;

    if (test_view_fails(store)) {
        return NULL;
    }

    block = malloc(sizeof(test_block_t) + size);
    if (block == NULL) {
        abort();
    }

    /* Nobody may count on zeroed memory. */
    memset(block->data, 0xa5, size);

    block->next = store->blocks;
    store->blocks = block;

    return block->data;
}


static inline void
test_begin(test_store_t *store)
{
    store->view.get = test_view_get;
    store->view.put = test_view_put;
    store->view.del = test_view_del;
    store->view.scan = test_view_scan;
    store->view.alloc = test_view_alloc;
    store->calls = 0;
    store->applied = 0;
}


static inline void
test_end(test_store_t *store, int apply)
{
    size_t         i, at;
    doi_str_t      key, value;
    test_row_t    *row;
    test_rows_t   *rows;
    test_block_t  *block;

    for (i = 0; i < store->writes.n; i++) {
        row = &store->writes.rows[i];

        if (apply) {
            store->applied++;
            rows = &store->tables[row->table];
            key.data = row->key;
            key.len = row->klen;
            value.data = row->value;
            value.len = row->vlen;

            if (test_rows_get(rows, row->key, row->klen) != NULL) {
                at = test_rows_find(rows, row->key, row->klen);
                test_rows_remove(rows, at);
            }

            if (!row->del) {
                at = test_rows_find(rows, row->key, row->klen);
                test_rows_insert(rows, at, key, value);
            }
        }

        free(row->value);
    }

    store->writes.n = 0;

    while (store->blocks != NULL) {
        block = store->blocks;
        store->blocks = block->next;
        free(block);
    }
}


static inline doi_result_t
test_run(test_store_t *store, unsigned op, doi_time_t now, doi_str_t arg,
    test_answer_t *answer)
{
    doi_buf_t     out;
    doi_txn_pt    fn;
    doi_result_t  result;

    fn = doi_op_function(op);
    if (fn == NULL) {
        abort();
    }

    out.data = answer->data;
    out.len = 0;
    out.size = sizeof(answer->data);

    test_begin(store);
    result = fn(&store->view, now, arg, &out);
    test_end(store, result == DOI_WON);

    answer->len = out.len;

    return result;
}


static inline void
test_store_free(test_store_t *store)
{
    size_t  i;

    for (i = 0; i < DOI_TABLES; i++) {
        while (store->tables[i].n) {
            test_rows_remove(&store->tables[i], store->tables[i].n - 1);
        }

        free(store->tables[i].rows);
    }

    free(store->writes.rows);
    memset(store, 0, sizeof(test_store_t));
}


/* Do two stores hold the same rows? */

static inline int
test_store_same(const test_store_t *a, const test_store_t *b)
{
    size_t             t, i;
    const test_row_t  *x, *y;

    for (t = 0; t < DOI_TABLES; t++) {
        if (a->tables[t].n != b->tables[t].n) {
            return 0;
        }

        for (i = 0; i < a->tables[t].n; i++) {
            x = &a->tables[t].rows[i];
            y = &b->tables[t].rows[i];

            if (test_key_cmp(x->key, x->klen, y->key, y->klen) != 0
                || test_key_cmp(x->value, x->vlen, y->value, y->vlen) != 0)
            {
                return 0;
            }
        }
    }

    return 1;
}


static inline void
test_store_copy(test_store_t *to, const test_store_t *from)
{
    size_t             t, i;
    doi_str_t          key, value;
    const test_row_t  *row;

    test_store_free(to);

    for (t = 0; t < DOI_TABLES; t++) {
        for (i = 0; i < from->tables[t].n; i++) {
            row = &from->tables[t].rows[i];
            key.data = row->key;
            key.len = row->klen;
            value.data = row->value;
            value.len = row->vlen;
            test_rows_insert(&to->tables[t], i, key, value);
        }
    }
}

#endif /* TEST_VIEW_H */
