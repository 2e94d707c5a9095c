/*
 * The log of the store: a batch is durable with one sync of a few consecutive
 * bytes, instead of two syncs and as many scattered pages as it has touched.
 * LMDB gets the same rows in a transaction that stays open over many batches
 * (lmdb_commit.c), and then the log begins at its front again.
 *
 * data.log has a fixed size and all its blocks from the start, so that no sync
 * waits for the file system's own journal.  From DOI_LOG_START on, records one
 * behind the other, each in pages of its own, so that no write that fails half
 * way touches one that was acknowledged; numbers are big-endian:
 *
 *   0   8  generation: random, drawn by each leader when it takes over
 *   8   8  number: one more than that of the record before
 *   16  4  bytes of rows, without padding
 *   20  4  the clock's high-water mark
 *   24  8  first bytes of the SHA-256 of all that, and of the rows
 *   32     rows: key length (1), 1 if deleted (1), value length (4), key, value
 *
 * While a record is written and synced its number is locked (F_OFD_SETLK): who
 * reads must not show what a power cut may undo.  It stays so if that fails.
 *
 * What counts is said by data.mdb alone: its META row "log" has the generation,
 * the number of the last record that is in it, and where the next one would be.
 * A record counts if it is just that next one, and whole.  So a log beside an
 * older or newer data.mdb, or one of another store, is no more than bytes that
 * do not fit, and a record that was cut short is the end.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../core/bytes.h"
#include "log.h"


#define LOG_NEW             DOI_LOG_NAME ".new"
#define LOG_ROW             6           /* bytes in front of a row's key      */
#define LOG_SUM             8
#define LOG_SUM_AT          24


static int log_lock(int fd, int cmd, struct flock *lock, uint64_t seq);


static void
write_u64(uint8_t *p, uint64_t n)
{
    doi_put32(p, (uint32_t) (n >> 32));
    doi_put32(p + 4, (uint32_t) n);
}


static uint64_t
read_u64(const uint8_t *p)
{
    return (uint64_t) doi_get32(p) << 32 | doi_get32(p + 4);
}


void
doi_log_pos_encode(uint8_t p[DOI_LOG_POS_SIZE], const doi_log_pos_t *pos)
{
    write_u64(p, pos->gen);
    write_u64(p + 8, pos->seq);
    doi_put32(p + 16, pos->off);
}


void
doi_log_pos_decode(const uint8_t *p, doi_log_pos_t *pos)
{
    pos->gen = read_u64(p);
    pos->seq = read_u64(p + 8);
    pos->off = doi_get32(p + 16);
}


/* Over the header up to the sum, and the rows. */

static int
log_sum(const uint8_t *p, size_t rows, uint8_t sum[LOG_SUM])
{
    doi_str_t  parts[2];

    parts[0].data = p;
    parts[0].len = LOG_SUM_AT;
    parts[1].data = p + DOI_LOG_HEAD;
    parts[1].len = rows;

    return doi_digest(parts, 2, sum, LOG_SUM);
}


int
doi_log_is_next(const uint8_t *p, const doi_log_pos_t *pos)
{
    return read_u64(p) == pos->gen && read_u64(p + 8) == pos->seq + 1;
}


int
doi_log_is_past(const uint8_t *p, const doi_log_pos_t *pos)
{
    return read_u64(p) == pos->gen && read_u64(p + 8) <= pos->seq;
}


size_t
doi_log_record(const uint8_t *p, size_t n, const doi_log_pos_t *pos,
    doi_time_t *mark, doi_str_t *rows)
{
    size_t   len;
    uint8_t  sum[LOG_SUM];

    if (n < DOI_LOG_HEAD || !doi_log_is_next(p, pos)) {
        return 0;
    }

    len = doi_get32(p + 16);

    if (len > n - DOI_LOG_HEAD
        || log_sum(p, len, sum) != DOI_OK
        || memcmp(sum, p + LOG_SUM_AT, LOG_SUM) != 0)
    {
        return 0;
    }

    *mark = doi_get32(p + 20);
    rows->data = p + DOI_LOG_HEAD;
    rows->len = len;

    return doi_log_size(len);
}


int
doi_log_row(doi_str_t *rows, doi_str_t *key, doi_str_t *value, int *del)
{
    const uint8_t  *p;

    if (rows->len == 0) {
        return DOI_NOT_FOUND;
    }

    p = rows->data;

    if (rows->len < LOG_ROW) {
        return DOI_ERROR;
    }

    key->len = p[0];
    *del = p[1];
    value->len = doi_get32(p + 2);

    if (key->len == 0 || rows->len - LOG_ROW < key->len
        || rows->len - LOG_ROW - key->len < value->len)
    {
        return DOI_ERROR;
    }

    key->data = p + LOG_ROW;
    value->data = key->data + key->len;

    rows->data = value->data + value->len;
    rows->len -= LOG_ROW + key->len + value->len;

    return DOI_OK;
}


/* Whole or not there: it gets its name when all its blocks are on the disk. */

static int
log_create(int dir)
{
    int         fd, rc;
    size_t      i;
    ssize_t     n;
    static const uint8_t  zeros[65536];

    fd = openat(dir, LOG_NEW, O_RDWR|O_CREAT|O_TRUNC|O_CLOEXEC|O_NOFOLLOW,
                0600);
    if (fd == -1) {
        return errno;
    }

    rc = 0;

    /* Not fallocate: its blocks would have to be marked as written, later. */

    for (i = 0; rc == 0 && i < DOI_LOG_SIZE; i += sizeof(zeros)) {
        n = write(fd, zeros, sizeof(zeros));

        if (n != (ssize_t) sizeof(zeros)) {
            rc = n == -1 ? errno : ENOSPC;
        }
    }

    if (rc == 0
        && (fsync(fd) == -1 || renameat(dir, LOG_NEW, dir, DOI_LOG_NAME) == -1))
    {
        rc = errno;
    }

    (void) close(fd);

    if (rc != 0) {
        (void) unlinkat(dir, LOG_NEW, 0);
        return rc;
    }

    /* dir is an O_PATH descriptor, which cannot be synced. */

    fd = openat(dir, ".", O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1) {
        return errno;
    }

    rc = fsync(fd) == -1 ? errno : 0;
    (void) close(fd);

    return rc;
}


int
doi_log_open(doi_log_t *log, int dir, int create)
{
    int          rc;
    struct stat  st;

    log->fd = openat(dir, DOI_LOG_NAME, O_RDWR|O_CLOEXEC|O_NOFOLLOW);

    if (log->fd == -1 && errno == ENOENT && create) {

        rc = log_create(dir);
        if (rc != 0) {
            return rc;
        }

        log->fd = openat(dir, DOI_LOG_NAME, O_RDWR|O_CLOEXEC|O_NOFOLLOW);
    }

    if (log->fd == -1) {
        return errno == ENOENT && !create ? DOI_NOT_FOUND : errno;
    }

    if (fstat(log->fd, &st) == -1) {
        rc = errno;
        doi_log_close(log);
        return rc;
    }

    log->size = st.st_size > (off_t) UINT32_MAX ? UINT32_MAX
                                                : (size_t) st.st_size;
    log->id.dev = (uint64_t) st.st_dev;
    log->id.ino = (uint64_t) st.st_ino;
    log->broken = 0;

    return 0;
}


void
doi_log_close(doi_log_t *log)
{
    if (log->fd != -1) {
        (void) close(log->fd);
        log->fd = -1;
    }
}


/* A byte for each number, wherever the file ends; seq 0: of all numbers. */

static int
log_lock(int fd, int cmd, struct flock *lock, uint64_t seq)
{
    lock->l_whence = SEEK_SET;
    lock->l_start = (off_t) (seq & INT64_MAX);
    lock->l_len = seq != 0;
    lock->l_pid = 0;

    return fcntl(fd, cmd, lock);
}


int
doi_log_is_synced(int fd, uint64_t seq)
{
    struct flock  lock;

    memset(&lock, 0, sizeof(lock));
    lock.l_type = F_WRLCK;

    if (log_lock(fd, F_OFD_GETLK, &lock, seq) == -1) {
        return DOI_ERROR;
    }

    return lock.l_type == F_UNLCK ? DOI_OK : DOI_NOT_FOUND;
}


uint8_t *
doi_log_read(const doi_log_t *log, size_t off, size_t end)
{
    size_t    len, done;
    ssize_t   n;
    uint8_t  *p;

    if (end > log->size) {
        end = log->size;
    }

    if (log->fd == -1 || off > end) {
        return NULL;
    }

    len = end - off;

    p = malloc(len + 1);
    if (p == NULL) {
        return NULL;
    }

    for (done = 0; done < len; done += (size_t) n) {
        n = pread(log->fd, p + done, len - done, (off_t) (off + done));

        if (n <= 0) {
            free(p);
            return NULL;
        }
    }

    return p;
}


void
doi_log_begin(doi_log_t *log)
{
    log->len = DOI_LOG_HEAD;
    log->skip = 0;
}


void
doi_log_add(doi_log_t *log, const doi_write_t *w)
{
    void     *p;
    size_t    need, room;
    uint8_t  *row;

    if (log->fd == -1 || log->skip) {
        return;
    }

    need = doi_log_size(log->len + LOG_ROW + w->klen + w->value.len
                        - DOI_LOG_HEAD);

    if (log->pos.off + need > log->size) {
        log->skip = 1;
        return;
    }

    if (need > log->room) {
        room = need * 2;

        p = realloc(log->rec, room);
        if (p == NULL) {
            log->skip = 1;
            return;
        }

        log->rec = p;
        log->room = room;
    }

    row = log->rec + log->len;

    row[0] = w->klen;
    row[1] = w->del;
    doi_put32(row + 2, (uint32_t) w->value.len);
    memcpy(row + LOG_ROW, w->key, w->klen);

    if (w->value.len != 0) {
        memcpy(row + LOG_ROW + w->klen, w->value.data, w->value.len);
    }

    log->len += LOG_ROW + w->klen + w->value.len;
}


void
doi_log_blank(doi_log_t *log)
{
    uint8_t  head[DOI_LOG_HEAD];

    if (log->fd == -1) {
        return;
    }

    memset(head, 0, sizeof(head));
    write_u64(head, log->pos.gen);
    write_u64(head + 8, log->pos.seq);

    (void) !pwrite(log->fd, head, sizeof(head), (off_t) log->pos.off);
}


int
doi_log_append(doi_log_t *log, doi_time_t mark)
{
    int           rc;
    size_t        rows, len;
    ssize_t       n;
    struct flock  lock;

    if (log->fd == -1 || log->skip || log->broken || log->pos.gen == 0
        || log->len == DOI_LOG_HEAD)
    {
        return -1;
    }

    rows = log->len - DOI_LOG_HEAD;
    len = doi_log_size(rows);

    memset(log->rec + log->len, 0, len - log->len);

    write_u64(log->rec, log->pos.gen);
    write_u64(log->rec + 8, log->pos.seq + 1);
    doi_put32(log->rec + 16, rows);
    doi_put32(log->rec + 20, mark);

    if (log_sum(log->rec, rows, log->rec + LOG_SUM_AT) != DOI_OK) {
        return -1;
    }

    memset(&lock, 0, sizeof(lock));
    lock.l_type = F_WRLCK;

    if (log_lock(log->fd, F_OFD_SETLK, &lock, log->pos.seq + 1) == -1) {
        return -1;
    }

    rc = 0;
    n = pwrite(log->fd, log->rec, len, (off_t) log->pos.off);

    if (n == -1) {
        rc = errno;                     /* nothing was written                */

    } else if (n != (ssize_t) len || fdatasync(log->fd) == -1) {

        /*
         * It may be on the disk or not, and the kernel will not tell again.
         * Here it shall not count, and after a power cut it does not once LMDB
         * has a commit with its number.
         */

        rc = n != (ssize_t) len ? EIO : errno;
        log->broken = 1;
        doi_log_blank(log);

        return rc;

    } else {
        log->pos.seq++;
        log->pos.off += (uint32_t) len;
    }

    lock.l_type = F_UNLCK;
    (void) log_lock(log->fd, F_OFD_SETLK, &lock, 0);

    return rc;
}


void
doi_log_restart(doi_log_t *log, const doi_log_pos_t *pos)
{
    struct flock  lock;

    if (log->broken) {
        memset(&lock, 0, sizeof(lock));
        lock.l_type = F_UNLCK;
        (void) log_lock(log->fd, F_OFD_SETLK, &lock, 0);
    }

    log->pos = *pos;
    log->broken = 0;
}
