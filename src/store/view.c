/*
 * The buffered view: what a transaction function reads and writes.
 *
 * Writes are kept aside until the function has said DOI_WON.  This is what
 * lets many functions share one LMDB transaction: LMDB has no cheap way back
 * to the middle of a transaction, so a function that gives up half way must
 * not have touched it.  It is also what a driver with optimistic transactions
 * needs, which runs a function before it knows whether it may commit.
 *
 * A second benefit: since nothing is written while a function runs, what it
 * reads can point straight into LMDB's pages.
 *
 * Memory: an arena that grows by chunks and falls back to its first chunk for
 * the next transaction.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "../core/bytes.h"
#include "store_internal.h"


#define DOI_CHUNK_SIZE      65536
#define DOI_ARENA_MAX       16777216U
#define DOI_ALIGN           16


struct doi_chunk_s {
    doi_chunk_t  *next;
    size_t        size;
    _Alignas(DOI_ALIGN) uint8_t  data[];
};


static int bview_get(doi_view_t *view, doi_table_t table, doi_str_t key,
    doi_str_t *value);
static int bview_put(doi_view_t *view, doi_table_t table, doi_str_t key,
    doi_str_t value);
static int bview_del(doi_view_t *view, doi_table_t table, doi_str_t key);
static int bview_scan(doi_view_t *view, doi_table_t table, doi_str_t from,
    doi_scan_pt row, void *data);
static void *bview_alloc(doi_view_t *view, size_t size);


void
doi_bview_init(doi_bview_t *v, const doi_backend_t *backend, void *data)
{
    memset(v, 0, sizeof(doi_bview_t));

    v->view.get = bview_get;
    v->view.put = bview_put;
    v->view.del = bview_del;
    v->view.scan = bview_scan;
    v->view.alloc = bview_alloc;

    v->backend = backend;
    v->data = data;
    v->buckets = v->few;
    v->nbuckets = DOI_VIEW_BUCKETS;
}


static void
bview_drop_writes(doi_bview_t *v)
{
    if (v->nwrites == 0) {
        return;
    }

    if (v->buckets != v->few) {
        free(v->buckets);
        v->buckets = v->few;
        v->nbuckets = DOI_VIEW_BUCKETS;
    }

    memset(v->few, 0, sizeof(v->few));
    v->nwrites = 0;
}


static void
bview_reset(doi_bview_t *v)
{
    doi_chunk_t  *chunk;

    bview_drop_writes(v);

    while (v->chunk != NULL
           && (v->chunk->next != NULL || v->chunk->size > DOI_CHUNK_SIZE))
    {
        chunk = v->chunk;
        v->chunk = chunk->next;
        v->total -= chunk->size;
        free(chunk);
    }

    v->used = 0;
    v->failed = 0;
}


void
doi_bview_free(doi_bview_t *v)
{
    bview_reset(v);

    free(v->chunk);
    free(v->writes);

    v->chunk = NULL;
    v->writes = NULL;
    v->room = 0;
}


doi_result_t
doi_bview_run(doi_bview_t *v, doi_txn_pt fn, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    doi_result_t  result;

    bview_reset(v);
    out->len = 0;

    result = fn(&v->view, now, arg, out);

    /* A function that has gone on over an error of the driver has decided
       on the strength of something it has not read. */

    if (v->failed || (result != DOI_WON && result != DOI_CONFLICT)) {
        result = DOI_RETRY;
        out->len = 0;
    }

    if (result != DOI_WON) {
        bview_drop_writes(v);
    }

    return result;
}


/* The length of the row key, or 0 if key cannot be one. */

static size_t
row_key(doi_table_t table, doi_str_t key, uint8_t row[DOI_ROW_KEY_MAX])
{
    if ((unsigned) table >= DOI_TABLES || key.len == 0) {
        return 0;
    }

    row[0] = (uint8_t) table;

    if (key.len <= DOI_KEY_MAX) {
        memcpy(row + 1, key.data, key.len);
        return 1 + key.len;
    }

    memcpy(row + 1, key.data, DOI_ROW_HEAD);

    if (EVP_Digest(key.data, key.len, row + 1 + DOI_ROW_HEAD, NULL,
                   EVP_sha256(), NULL)
        != 1)
    {
        return 0;
    }

    return DOI_ROW_KEY_MAX;
}


static uint32_t *
bview_bucket(doi_bview_t *v, const uint8_t *key, size_t len)
{
    doi_str_t  row;

    row.data = key;
    row.len = len;

    return &v->buckets[doi_hash(row) & (v->nbuckets - 1)];
}


static doi_write_t *
bview_find(doi_bview_t *v, const uint8_t *key, size_t len)
{
    uint32_t      i;
    doi_write_t  *w;

    if (v->nwrites == 0) {
        return NULL;
    }

    for (i = *bview_bucket(v, key, len); i != 0; i = w->next) {
        w = &v->writes[i - 1];

        if (w->klen == len && memcmp(w->key, key, len) == 0) {
            return w;
        }
    }

    return NULL;
}


/* Without memory for more buckets it is slower, no more. */

static void
bview_more_buckets(doi_bview_t *v)
{
    size_t     i, n;
    uint32_t  *buckets, *bucket;

    n = v->nbuckets * 8;

    buckets = calloc(n, sizeof(uint32_t));
    if (buckets == NULL) {
        return;
    }

    if (v->buckets != v->few) {
        free(v->buckets);
    }

    v->buckets = buckets;
    v->nbuckets = n;

    for (i = 0; i < v->nwrites; i++) {
        bucket = bview_bucket(v, v->writes[i].key, v->writes[i].klen);
        v->writes[i].next = *bucket;
        *bucket = (uint32_t) i + 1;
    }
}


static int
bview_fail(doi_bview_t *v)
{
    v->failed = 1;
    return DOI_ERROR;
}


static int
bview_get(doi_view_t *view, doi_table_t table, doi_str_t key, doi_str_t *value)
{
    int           rc;
    size_t        len;
    uint8_t       row[DOI_ROW_KEY_MAX];
    doi_str_t     k;
    doi_bview_t  *v;
    doi_write_t  *w;

    v = (doi_bview_t *) view;

    len = row_key(table, key, row);

    if (len == 0 || v->fail_get) {
        return bview_fail(v);
    }

    w = bview_find(v, row, len);

    if (w != NULL) {
        if (w->del) {
            return DOI_NOT_FOUND;
        }

        *value = w->value;
        return DOI_OK;
    }

    k.data = row;
    k.len = len;

    rc = v->backend->get(v->data, k, value);

    return rc == DOI_ERROR ? bview_fail(v) : rc;
}


static int
bview_write(doi_bview_t *v, doi_table_t table, doi_str_t key, doi_str_t value,
    unsigned del)
{
    void         *p;
    size_t        len, room;
    uint8_t       row[DOI_ROW_KEY_MAX], *copy;
    uint32_t     *bucket;
    doi_write_t  *w;

    len = row_key(table, key, row);

    if (len == 0 || v->readonly || v->fail_put || value.len > DOI_VALUE_MAX) {
        return bview_fail(v);
    }

    copy = NULL;

    if (value.len != 0) {
        copy = bview_alloc(&v->view, value.len);
        if (copy == NULL) {
            return bview_fail(v);
        }

        memcpy(copy, value.data, value.len);
    }

    w = bview_find(v, row, len);

    if (w == NULL) {

        if (v->nwrites == v->room) {
            room = v->room != 0 ? v->room * 2 : 16;

            p = realloc(v->writes, room * sizeof(doi_write_t));
            if (p == NULL) {
                return bview_fail(v);
            }

            v->writes = p;
            v->room = room;
        }

        if (v->nwrites >= v->nbuckets * 4) {
            bview_more_buckets(v);
        }

        w = &v->writes[v->nwrites++];
        bucket = bview_bucket(v, row, len);

        memcpy(w->key, row, len);
        w->klen = (uint8_t) len;
        w->next = *bucket;
        *bucket = (uint32_t) v->nwrites;
    }

    w->value.data = copy;
    w->value.len = value.len;
    w->del = del != 0;

    return DOI_OK;
}


static int
bview_put(doi_view_t *view, doi_table_t table, doi_str_t key, doi_str_t value)
{
    return bview_write((doi_bview_t *) view, table, key, value, 0);
}


static int
bview_del(doi_view_t *view, doi_table_t table, doi_str_t key)
{
    doi_str_t  none = { NULL, 0 };

    return bview_write((doi_bview_t *) view, table, key, none, 1);
}


static int
bview_scan(doi_view_t *view, doi_table_t table, doi_str_t from,
    doi_scan_pt row, void *data)
{
    uint8_t       key[1 + DOI_KEY_MAX];
    doi_str_t     k;
    doi_bview_t  *v;

    v = (doi_bview_t *) view;

    if ((unsigned) table >= DOI_TABLES || v->fail_get) {
        return bview_fail(v);
    }

    /* Where a long key stands is known by its first bytes only; a scan that
       starts there starts at it or before. */

    if (from.len > DOI_KEY_MAX) {
        from.len = DOI_ROW_HEAD;
    }

    key[0] = (uint8_t) table;

    if (from.len != 0) {
        memcpy(key + 1, from.data, from.len);
    }

    k.data = key;
    k.len = 1 + from.len;

    return v->backend->scan(v->data, k, row, data);
}


static void *
bview_alloc(doi_view_t *view, size_t size)
{
    size_t        need;
    uint8_t      *p;
    doi_bview_t  *v;
    doi_chunk_t  *chunk;

    v = (doi_bview_t *) view;

    if (size > DOI_ARENA_MAX) {
        return NULL;
    }

    size = (size + DOI_ALIGN - 1) & ~(size_t) (DOI_ALIGN - 1);

    if (v->chunk == NULL || v->chunk->size - v->used < size) {
        need = size > DOI_CHUNK_SIZE ? size : DOI_CHUNK_SIZE;

        if (v->total + need > DOI_ARENA_MAX) {
            return NULL;
        }

        chunk = malloc(sizeof(doi_chunk_t) + need);
        if (chunk == NULL) {
            return NULL;
        }

        chunk->next = v->chunk;
        chunk->size = need;
        v->chunk = chunk;
        v->total += need;
        v->used = 0;
    }

    p = v->chunk->data + v->used;
    v->used += size;

    return p;
}
