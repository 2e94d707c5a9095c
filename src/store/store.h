/*
 * The store: transactions of src/core, run over a driver, with a durable
 * commit behind every answer.
 *
 * One process uses a store from one thread (its event loop).  submit never
 * blocks; answers come out of doi_store_dispatch, which is to be called
 * whenever the descriptor of doi_store_fd is readable.
 *
 *   lmdb.c, leader.c, client.c   LMDB: many processes of one machine, group
 *                                commit
 *   mem.c                        memory, one process; faults can be injected
 */

#ifndef DOI_STORE_H
#define DOI_STORE_H

#include <stdatomic.h>

#include "../core/view.h"


typedef struct doi_store_s  doi_store_t;


/*
 * Called exactly once per accepted submission, from doi_store_dispatch or
 * doi_store_close, never from inside submit.  answer is valid during the call.
 *
 *   DOI_WON, DOI_CONFLICT   the transaction's own result; WON is durable
 *   DOI_RETRY               not done: store full, stopped, or no leader in time
 *   DOI_UNKNOWN             handed to a leader that did not answer in time; it
 *                           may be done later, but before anything that is
 *                           submitted from now on
 */
typedef void (*doi_store_done_pt)(void *data, doi_result_t result,
    doi_str_t answer);


/* Levels as in syslog: 3 error, 4 warning, 6 info.  msg has no line end. */

typedef void (*doi_store_log_pt)(void *data, int level, const char *msg);


/*
 * Figures for the operator.  They stand in memory that all processes of one
 * nginx share, and are only ever added to, but for the gauges.
 */

#define DOI_STORE_BUCKETS   14

/* Upper bounds of the commit latency histogram, in microseconds; the last
   bucket has none. */
extern const uint32_t  doi_store_bucket_us[DOI_STORE_BUCKETS - 1];

typedef struct {
    _Atomic uint64_t  commits;
    _Atomic uint64_t  commit_errors;
    _Atomic uint64_t  ops;                  /* operations in those commits   */
    _Atomic uint64_t  commit_us;            /* sum of the latencies          */
    _Atomic uint64_t  commit_bucket[DOI_STORE_BUCKETS];  /* not cumulative   */
    _Atomic uint64_t  refused_queue;        /* submissions: queue was full   */
    _Atomic uint64_t  refused_full;         /* operations: map was full      */
    _Atomic uint64_t  unknown;              /* answered DOI_UNKNOWN          */
    _Atomic uint64_t  leaders;              /* times a leader took over      */
    _Atomic uint64_t  dropped;              /* expired records deleted       */
    _Atomic uint64_t  released;             /* claims freed by age           */
    _Atomic int64_t   queue;                /* gauge: ops waiting, all
                                               processes                     */
    _Atomic uint64_t  map_used;             /* gauge, bytes                  */
    _Atomic uint64_t  map_size;             /* gauge, bytes                  */
    _Atomic uint64_t  clock_mark;           /* gauge: high-water mark        */
} doi_store_stats_t;


typedef struct {
    const char          *path;          /* directory, exists, writable       */
    uint64_t             size;          /* bytes of map, at least 1 MiB      */
    uint32_t             queue_max;     /* unanswered ops of this process    */
    uint32_t             timeout_ms;    /* until an op is given up           */
    doi_store_stats_t   *stats;         /* zeroed by the caller              */
    doi_store_log_pt     log;           /* any thread may call it            */
    void                *log_data;
} doi_store_conf_t;


/*
 * DOI_OK or DOI_ERROR; then err holds a text that names the thing and the
 * mend.  conf is copied, path too.  Must be called after the last fork of the
 * process.  Opening a path that this process has open already (by device and
 * inode) is an error.
 */
int doi_store_lmdb_open(const doi_store_conf_t *conf, doi_store_t **store,
    char *err, size_t errsize);

int doi_store_mem_open(const doi_store_conf_t *conf, doi_store_t **store,
    char *err, size_t errsize);


/*
 * Waits at most timeout_ms for the answers of what is in flight (running the
 * callbacks), answers the rest with DOI_UNKNOWN or DOI_RETRY, hands over
 * leadership, closes.
 */
void doi_store_close(doi_store_t *store, uint32_t timeout_ms);

/* A descriptor that stays the same while the store is open (epoll, level). */
int doi_store_fd(doi_store_t *store);

/* Takes answers in and runs their callbacks; sends what waits to be sent. */
void doi_store_dispatch(doi_store_t *store);

/*
 * Submits op (a number of doi_op_t) with a copy of arg.  DOI_OK: done will be
 * called.  DOI_ERROR: it will not; the queue is full, arg too large
 * (DOI_ARG_MAX), or the store has stopped.
 *
 * Operations of one process are run in the order of submission.  What is
 * submitted is sent by the next doi_store_flush or doi_store_dispatch.
 */
#define DOI_ARG_MAX         65536

int doi_store_submit(doi_store_t *store, unsigned op, doi_str_t arg,
    doi_store_done_pt done, void *data);
void doi_store_flush(doi_store_t *store);

/* Accepted submissions whose callback has not run yet. */
size_t doi_store_pending(doi_store_t *store);

/*
 * Runs fn at once on a snapshot that holds every commit known to be durable.
 * Its writes are errors.  Returns fn's result, or DOI_RETRY if the store is
 * down.  now: as doi_store_now.
 */
doi_result_t doi_store_read(doi_store_t *store, doi_txn_pt fn, doi_str_t arg,
    doi_buf_t *out);

/*
 * The wall clock, but never behind the store's high-water mark.  wall: Unix
 * seconds by the caller's clock.
 */
doi_time_t doi_store_now(doi_store_t *store, doi_time_t wall);


/*
 * Faults of the memory driver.  The next submissions are run after skip
 * others went well, count of them (0: all from then on).
 */

typedef enum {
    DOI_FAULT_NONE = 0,
    DOI_FAULT_RETRY,            /* refused, not applied                      */
    DOI_FAULT_LOST,             /* not applied, answered UNKNOWN             */
    DOI_FAULT_UNKNOWN,          /* applied, answered UNKNOWN                 */
    DOI_FAULT_GET,              /* a read inside the transaction fails       */
    DOI_FAULT_PUT,              /* a write inside the transaction fails      */
    DOI_FAULT_TWICE             /* run twice before it is applied            */
} doi_fault_t;

void doi_store_mem_fault(doi_store_t *store, doi_fault_t fault, unsigned skip,
    unsigned count);

/* Sets the clock of the memory driver; 0: the real one. */
void doi_store_mem_clock(doi_store_t *store, doi_time_t wall, uint64_t mono);

#endif /* DOI_STORE_H */
