/*
 * The log: row writes that are durable before LMDB has them.
 *
 * log.c has the layout and why there is one.  The leader's thread appends and,
 * when it takes over, replays; every process reads it on top of its snapshots
 * (log_over.c).
 */

#ifndef DOI_LOG_H
#define DOI_LOG_H

#include "store_internal.h"


#define DOI_LOG_NAME        "data.log"
#define DOI_LOG_SIZE        8388608U
#define DOI_LOG_START       8192U       /* of the first record                */
#define DOI_LOG_HEAD        32U         /* of a record                        */
#define DOI_LOG_ALIGN       4096U

/* The room that a record with so many bytes of rows takes. */
#define doi_log_size(rows)                                                    \
    ((DOI_LOG_HEAD + (rows) + DOI_LOG_ALIGN - 1)                              \
     & ~(size_t) (DOI_LOG_ALIGN - 1))


/*
 * Where a state of the store stands in the log, as META row "log" says: it has
 * all up to seq, and what is newer begins at off.  gen 0: there is no log.
 */

#define DOI_LOG_POS_SIZE    20

typedef struct {
    uint64_t       gen;
    uint64_t       seq;
    uint32_t       off;
} doi_log_pos_t;


/* The writer. */

typedef struct {
    int            fd;                  /* -1: none, commit everything        */
    size_t         size;
    doi_file_id_t  id;
    doi_log_pos_t  pos;                 /* of what comes next                 */
    uint8_t       *rec;                 /* the record that is being built     */
    size_t         len;
    size_t         room;
    unsigned       skip:1;              /* it does not fit                    */
    unsigned       broken:1;            /* what stands at pos may be on the
                                           disk, and was not acknowledged     */
} doi_log_t;


void doi_log_pos_encode(uint8_t p[DOI_LOG_POS_SIZE], const doi_log_pos_t *pos);
void doi_log_pos_decode(const uint8_t *p, doi_log_pos_t *pos);

/* A record whose header says that it is the one after pos. */
int doi_log_is_next(const uint8_t *p, const doi_log_pos_t *pos);

/* One that pos has already. */
int doi_log_is_past(const uint8_t *p, const doi_log_pos_t *pos);

/*
 * The room that the record after pos takes, which is at p; 0 if there is no
 * whole one in n bytes.  Its padding need not be there.
 */
size_t doi_log_record(const uint8_t *p, size_t n, const doi_log_pos_t *pos,
    doi_time_t *mark, doi_str_t *rows);

/* Takes the next row off rows; DOI_NOT_FOUND: there is none. */
int doi_log_row(doi_str_t *rows, doi_str_t *key, doi_str_t *value, int *del);

/*
 * The file in directory dir.  create: DOI_NOT_FOUND if there was none, or an
 * errno of what went wrong.
 */
int doi_log_open(doi_log_t *log, int dir, int create);
void doi_log_close(doi_log_t *log);

/* Reads from off to the end (or to end), into malloc'ed memory. */
uint8_t *doi_log_read(const doi_log_t *log, size_t off, size_t end);

/* A record: begin, the rows, append.  append: 0, an errno, or -1: no room. */
void doi_log_begin(doi_log_t *log);
void doi_log_add(doi_log_t *log, const doi_write_t *w);
int doi_log_append(doi_log_t *log, doi_time_t mark);

/* All that was appended is in LMDB: begin at the front again. */
void doi_log_restart(doi_log_t *log, const doi_log_pos_t *pos);

/* There is no record at pos, but one that every state of LMDB has already. */
void doi_log_blank(doi_log_t *log);

/* Is the record of that number, which was seen whole, on the disk too?
   DOI_NOT_FOUND: not yet.  Not for the descriptor that writes. */
int doi_log_is_synced(int fd, uint64_t seq);


/* What the log has on top of a snapshot. */

typedef struct {
    uint32_t       row;                 /* offset in bytes                    */
    uint32_t       next;
    uint32_t       hash;                /* of its key                         */
    uint8_t        table;
} doi_over_row_t;

typedef struct {
    const uint8_t   *map;
    int              fd;                /* if there is a map                  */
    size_t           size;
    doi_log_pos_t    base;              /* of the snapshot                    */
    doi_log_pos_t    pos;               /* of what was not read yet           */
    doi_time_t       mark;
    uint8_t         *bytes;             /* copies of records                  */
    size_t           len;
    size_t           room;
    doi_over_row_t  *rows;
    size_t           nrows;
    size_t           rows_room;
    uint32_t        *buckets;           /* index + 1                          */
    size_t           nbuckets;
} doi_over_t;

/*
 * DOI_OK: it has all; DOI_NOT_FOUND: if LMDB has not committed since the
 * snapshot was taken; DOI_ERROR: the log cannot be read.  bare: there may be
 * none, beside a backup in a new place.
 */
int doi_over_update(doi_over_t *o, int dir, const doi_log_pos_t *base,
    int bare);
void doi_over_free(doi_over_t *o);

/* DOI_NOT_FOUND: the snapshot has the say. */
int doi_over_get(const doi_over_t *o, doi_str_t key, doi_str_t *value,
    int *del);

/*
 * The rows of a table from a key on, in order; malloc'ed, NULL without memory.
 */

typedef struct {
    doi_str_t        key;
    doi_str_t        value;
    int              del;
} doi_over_item_t;

doi_over_item_t *doi_over_sorted(const doi_over_t *o, doi_str_t from,
    size_t *n);

#endif /* DOI_LOG_H */
