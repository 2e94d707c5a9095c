/*
 * The log on top of a snapshot: what a process reads while LMDB is behind.
 *
 * Whoever was told that an operation is done must find it done, in whatever
 * process he asks next.  So a reader looks behind its snapshot into the log,
 * through a map of the file: what was acknowledged before it began is either in
 * the one or in the other.  Unless LMDB has committed in between, and the log
 * has begun at its front again: therefore the front is looked at last.  The
 * record that is being written and synced is not among those that are found.
 *
 * Rows are found by a hash of their key.  They are kept, and only what is new
 * in the log is added, until a commit of LMDB has taken them in: then the next
 * snapshot has them.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../core/bytes.h"
#include "log.h"


#define OVER_BUCKETS        1024        /* at first; a power of two           */


static int
over_map(doi_over_t *o, int dir)
{
    int          fd;
    void        *p;
    struct stat  st;

    fd = openat(dir, DOI_LOG_NAME, O_RDONLY|O_CLOEXEC|O_NOFOLLOW);
    if (fd == -1) {
        return DOI_ERROR;
    }

    p = MAP_FAILED;
    errno = EINVAL;

    if (fstat(fd, &st) == 0 && st.st_size > (off_t) DOI_LOG_START
        && st.st_size <= (off_t) UINT32_MAX && st.st_size % 4096 == 0)
    {
        p = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    }

    if (p == MAP_FAILED) {
        (void) close(fd);
        return DOI_ERROR;
    }

    o->map = p;
    o->fd = fd;
    o->size = (size_t) st.st_size;

    return DOI_OK;
}


static void
over_unmap(doi_over_t *o)
{
    if (o->map != NULL) {
        (void) munmap((void *) o->map, o->size);
        (void) close(o->fd);
        o->map = NULL;
    }
}


static uint32_t *
over_bucket(const doi_over_t *o, uint32_t hash)
{
    return &o->buckets[hash & (o->nbuckets - 1)];
}


/* A row as it stands in the copies, up to the end of the record at least. */

static void
over_row(const doi_over_t *o, uint32_t at, doi_over_item_t *item)
{
    doi_str_t  rows;

    rows.data = o->bytes + at;
    rows.len = o->len - at;

    (void) doi_log_row(&rows, &item->key, &item->value, &item->del);
}


static doi_over_row_t *
over_find(const doi_over_t *o, doi_str_t key, uint32_t hash)
{
    uint32_t         i;
    doi_over_row_t  *r;
    doi_over_item_t  item;

    if (o->nrows == 0) {
        return NULL;
    }

    for (i = *over_bucket(o, hash); i != 0; i = r->next) {
        r = &o->rows[i - 1];

        if (r->hash != hash) {
            continue;
        }

        over_row(o, r->row, &item);

        if (item.key.len == key.len
            && memcmp(item.key.data, key.data, key.len) == 0)
        {
            return r;
        }
    }

    return NULL;
}


static int
over_grow(doi_over_t *o)
{
    void             *p;
    size_t            i, n;
    uint32_t         *bucket;

    if (o->nrows == o->rows_room) {
        n = o->rows_room != 0 ? o->rows_room * 2 : OVER_BUCKETS;

        p = realloc(o->rows, n * sizeof(doi_over_row_t));
        if (p == NULL) {
            return DOI_ERROR;
        }

        o->rows = p;
        o->rows_room = n;
    }

    if (o->nrows < o->nbuckets) {
        return DOI_OK;
    }

    n = o->nbuckets != 0 ? o->nbuckets * 4 : OVER_BUCKETS;

    p = realloc(o->buckets, n * sizeof(uint32_t));
    if (p == NULL) {
        return DOI_ERROR;
    }

    o->buckets = p;
    o->nbuckets = n;
    memset(o->buckets, 0, n * sizeof(uint32_t));

    for (i = 0; i < o->nrows; i++) {
        bucket = over_bucket(o, o->rows[i].hash);
        o->rows[i].next = *bucket;
        *bucket = (uint32_t) i + 1;
    }

    return DOI_OK;
}


static int
over_add(doi_over_t *o, doi_str_t rows)
{
    int              rc;
    uint32_t         at, hash, *bucket;
    doi_over_row_t  *r;
    doi_over_item_t  item;

    for ( ;; ) {
        at = (uint32_t) (rows.data - o->bytes);

        rc = doi_log_row(&rows, &item.key, &item.value, &item.del);
        if (rc != DOI_OK) {
            return rc == DOI_NOT_FOUND ? DOI_OK : DOI_ERROR;
        }

        hash = doi_hash(item.key);
        r = over_find(o, item.key, hash);

        if (r != NULL) {
            r->row = at;
            continue;
        }

        if (over_grow(o) != DOI_OK) {
            return DOI_ERROR;
        }

        bucket = over_bucket(o, hash);
        r = &o->rows[o->nrows++];
        r->row = at;
        r->hash = hash;
        r->table = item.key.data[0];
        r->next = *bucket;
        *bucket = (uint32_t) o->nrows;
    }
}


static void
over_reset(doi_over_t *o, const doi_log_pos_t *base)
{
    if (o->nrows != 0) {
        memset(o->buckets, 0, o->nbuckets * sizeof(uint32_t));
    }

    o->base = *base;
    o->pos = *base;
    o->mark = 0;
    o->len = 0;
    o->nrows = 0;
}


/*
 * One record, copied before it is judged: the leader may be writing over it.
 * DOI_NOT_FOUND: there is none.
 */

static int
over_take(doi_over_t *o)
{
    int             rc;
    void           *p;
    size_t          n, len, room;
    doi_str_t       rows;
    doi_time_t      mark;
    const uint8_t  *at;

    if (o->pos.off > o->size || o->size - o->pos.off < DOI_LOG_HEAD) {
        return DOI_NOT_FOUND;
    }

    at = o->map + o->pos.off;

    if (!doi_log_is_next(at, &o->pos)) {
        return DOI_NOT_FOUND;
    }

    n = DOI_LOG_HEAD + (size_t) doi_get32(at + 16);

    if (n > o->size - o->pos.off) {
        return DOI_NOT_FOUND;
    }

    if (o->room - o->len < n) {
        room = (o->len + n) * 2;

        p = realloc(o->bytes, room);
        if (p == NULL) {
            return DOI_ERROR;
        }

        o->bytes = p;
        o->room = room;
    }

    memcpy(o->bytes + o->len, at, n);

    len = doi_log_record(o->bytes + o->len, n, &o->pos, &mark, &rows);

    if (len == 0) {
        return DOI_NOT_FOUND;
    }

    /* Its number was locked before it was written. */

    rc = doi_log_is_synced(o->fd, o->pos.seq + 1);
    if (rc != DOI_OK) {
        return rc;
    }

    o->len += n;

    if (over_add(o, rows) != DOI_OK) {
        return DOI_ERROR;
    }

    o->pos.off += (uint32_t) len;
    o->pos.seq++;

    if (mark > o->mark) {
        o->mark = mark;
    }

    return DOI_OK;
}


int
doi_over_update(doi_over_t *o, int dir, const doi_log_pos_t *base, int bare)
{
    int             rc;
    const uint8_t  *front;

    /* Each leader draws a generation after it has opened the file. */

    if (base->gen != o->base.gen) {
        over_unmap(o);
    }

    if (base->gen != 0 && o->map == NULL && over_map(o, dir) != DOI_OK) {

        if (!bare || errno != ENOENT) {
            return DOI_ERROR;
        }

        over_reset(o, base);
        o->base.gen = 0;
        return DOI_NOT_FOUND;
    }

    if (base->gen != o->base.gen || base->seq != o->base.seq
        || base->off != o->base.off)
    {
        over_reset(o, base);
    }

    if (base->gen == 0) {
        return DOI_OK;
    }

    do {
        rc = over_take(o);
    } while (rc == DOI_OK);

    if (rc == DOI_ERROR) {

        /* Half a record may have been added. */

        over_reset(o, base);
        o->base.gen = 0;
        return DOI_ERROR;
    }

    /*
     * The front is written over before anything behind it.  If the first record
     * is still the one behind the snapshot, or one that the snapshot has, the
     * log is what it was when the snapshot was taken.
     */

    atomic_thread_fence(memory_order_acquire);

    front = o->map + DOI_LOG_START;

    return doi_log_is_next(front, base) || doi_log_is_past(front, base)
           ? DOI_OK : DOI_NOT_FOUND;
}


void
doi_over_free(doi_over_t *o)
{
    over_unmap(o);

    free(o->bytes);
    free(o->rows);
    free(o->buckets);
}


int
doi_over_get(const doi_over_t *o, doi_str_t key, doi_str_t *value, int *del)
{
    doi_over_row_t  *r;
    doi_over_item_t  item;

    r = over_find(o, key, doi_hash(key));

    if (r == NULL) {
        return DOI_NOT_FOUND;
    }

    over_row(o, r->row, &item);

    *value = item.value;
    *del = item.del;

    return DOI_OK;
}


static int
over_order(const void *one, const void *two)
{
    int                     rc;
    size_t                  len;
    const doi_over_item_t  *a, *b;

    a = one;
    b = two;
    len = a->key.len < b->key.len ? a->key.len : b->key.len;

    rc = memcmp(a->key.data, b->key.data, len);

    return rc != 0 ? rc : (a->key.len > b->key.len) - (a->key.len < b->key.len);
}


doi_over_item_t *
doi_over_sorted(const doi_over_t *o, doi_str_t from, size_t *n)
{
    size_t            i;
    doi_over_item_t  *items, *item, first;

    *n = 0;

    items = malloc((o->nrows + 1) * sizeof(doi_over_item_t));
    if (items == NULL) {
        return NULL;
    }

    first.key = from;

    for (i = 0; i < o->nrows; i++) {
        if (o->rows[i].table != from.data[0]) {
            continue;
        }

        item = &items[*n];
        over_row(o, o->rows[i].row, item);

        if (over_order(item, &first) >= 0) {
            (*n)++;
        }
    }

    qsort(items, *n, sizeof(doi_over_item_t), over_order);

    return items;
}
