/*
 * What the files of src/store share, and the hooks of their tests.  Nothing
 * outside src/store and t/unit includes this.
 *
 *   store.c                     dispatch to a driver, what both drivers need
 *   view.c                      the buffered view that both drivers run
 *                               transactions over
 *   mem.c                       the memory driver
 *   client.c, client_wire.c     the LMDB driver as its caller sees it: submits
 *                               to the leader
 *   leader.c, leader_batch.c,   the service thread: leads, runs the batches
 *   conn.c                      of all processes
 *   lmdb_open.c, lmdb.c,        the LMDB environment
 *   lmdb_batch.c, lmdb_commit.c
 *   log.c, log_over.c           the log before it
 */

#ifndef DOI_STORE_INTERNAL_H
#define DOI_STORE_INTERNAL_H

#include "store.h"


/*
 * Hooks.  The defaults (doi_store_hooks_default) are what production runs
 * with; tests register toy transactions, speak another protocol version, and
 * die at the named points.
 */

typedef enum {
    DOI_AT_LOCKED = 1,      /* holds the lock, does not listen yet            */
    DOI_AT_LISTENING,
    DOI_AT_READ,            /* operations were read, none was run             */
    DOI_AT_RUN,             /* they were run, nothing is committed            */
    DOI_AT_COMMITTED,       /* durable, nobody was answered                   */
    DOI_AT_ANSWERED,
    DOI_AT_FLUSH,           /* LMDB is to take in what the log has            */
    DOI_AT_FLUSHED,         /* it has                                         */
    DOI_AT_REPLAYED         /* a new leader has read the log, not committed   */
} doi_point_t;

typedef doi_txn_pt (*doi_function_pt)(unsigned op);
typedef int (*doi_again_pt)(unsigned op, doi_result_t result,
    doi_str_t answer);
typedef int (*doi_patient_pt)(unsigned op);
typedef void (*doi_at_pt)(doi_point_t point);

typedef struct {
    doi_function_pt   function;
    doi_again_pt      again;
    doi_at_pt         at;           /* in the leader's thread; may be NULL    */
    uint16_t          protocol;
    uint32_t          flush_ms;     /* how long LMDB may be behind; 0: usual  */
    doi_patient_pt    patient;      /* may be NULL: none is                   */
    uint32_t          hold_us;      /* how long patient operations are held   */
    uint32_t          tell_us;      /* and their answers                      */
    uint32_t          rush_us;      /* a process that has brought others so
                                       recently is busy; 0: none ever is      */
    uint32_t          rush_wait_us; /* how long a batch waits for the busy    */
} doi_store_hooks_t;

extern const doi_store_hooks_t  doi_store_hooks_default;

int doi_store_lmdb_open_hooks(const doi_store_conf_t *conf,
    const doi_store_hooks_t *hooks, doi_store_t **store, char *err,
    size_t errsize);
int doi_store_mem_open_hooks(const doi_store_conf_t *conf,
    const doi_store_hooks_t *hooks, doi_store_t **store, char *err,
    size_t errsize);


/* A driver. */

typedef struct {
    void          (*close)(doi_store_t *store, uint32_t timeout_ms);
    int           (*fd)(doi_store_t *store);
    void          (*dispatch)(doi_store_t *store);
    int           (*submit)(doi_store_t *store, unsigned op, doi_str_t arg,
                            doi_store_done_pt done, void *data);
    void          (*flush)(doi_store_t *store);
    size_t        (*pending)(doi_store_t *store);
    doi_result_t  (*read)(doi_store_t *store, doi_txn_pt fn, doi_str_t arg,
                          doi_buf_t *out);
    doi_time_t    (*now)(doi_store_t *store, doi_time_t wall);
} doi_store_ops_t;

/* The start of every driver's own structure. */

struct doi_store_s {
    const doi_store_ops_t  *ops;
    doi_store_conf_t        conf;       /* path: own copy; stats: not NULL    */
    doi_store_hooks_t       hooks;
    doi_store_stats_t      *own_stats;  /* when the caller gave none          */
};

doi_txn_pt doi_store_function(const doi_store_t *store, unsigned op);

/* Copies conf and hooks; DOI_ERROR without memory. */
int doi_store_init(doi_store_t *store, const doi_store_ops_t *ops,
    const doi_store_conf_t *conf, const doi_store_hooks_t *hooks);
void doi_store_done(doi_store_t *store);

void doi_store_log(const doi_store_t *store, int level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* CLOCK_MONOTONIC in nanoseconds: one clock for all processes of a machine. */
uint64_t doi_store_ns(void);
doi_time_t doi_store_wall(void);
uint64_t doi_store_mono(void);          /* seconds, suspend included          */


/*
 * Row keys: one byte of table, then the key.  Keys above DOI_KEY_MAX become
 * their first 33 bytes and the SHA-256 of all of them: longer than any key
 * that is stored as it is, so the two can never meet.
 */

#define DOI_ROW_HEAD        33
#define DOI_ROW_KEY_MAX     (1 + DOI_ROW_HEAD + 32)


/* What a driver gives to the view.  Keys are row keys. */

typedef struct {
    int  (*get)(void *data, doi_str_t key, doi_str_t *value);

    /* Rows from <= key whose first byte is from's; row gets the key without
       it. */
    int  (*scan)(void *data, doi_str_t from, doi_scan_pt row, void *row_data);
} doi_backend_t;

typedef struct {
    doi_str_t   value;                  /* in the arena                       */
    uint32_t    next;                   /* in its bucket, 0: none             */
    uint8_t     del;
    uint8_t     klen;
    uint8_t     key[DOI_ROW_KEY_MAX];
} doi_write_t;

#define DOI_VIEW_BUCKETS    64          /* at first; a power of two           */

typedef struct doi_chunk_s  doi_chunk_t;

typedef struct {
    doi_view_t            view;         /* first: what transactions see       */
    const doi_backend_t  *backend;
    void                 *data;         /* of the backend                     */

    doi_write_t          *writes;       /* in the order of the first write    */
    size_t                nwrites;
    size_t                room;
    uint32_t             *buckets;      /* index + 1                          */
    size_t                nbuckets;
    uint32_t              few[DOI_VIEW_BUCKETS];

    doi_chunk_t          *chunk;        /* arena, the newest chunk first      */
    size_t                used;         /* bytes of the newest chunk          */
    size_t                total;        /* bytes of all chunks                */

    unsigned              readonly:1;
    unsigned              failed:1;     /* the driver failed: DOI_RETRY       */
    unsigned              fail_get:1;   /* faults of the memory driver        */
    unsigned              fail_put:1;
} doi_bview_t;

void doi_bview_init(doi_bview_t *v, const doi_backend_t *backend, void *data);
void doi_bview_free(doi_bview_t *v);

/*
 * Runs fn over an empty view.  On DOI_WON the writes stand in v->writes;
 * otherwise there are none.  Never returns DOI_UNKNOWN.
 */
doi_result_t doi_bview_run(doi_bview_t *v, doi_txn_pt fn, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);


/*
 * The LMDB environment.  The service thread writes (it runs batches while this
 * process leads), the caller's thread reads.
 */

typedef struct doi_lmdb_s  doi_lmdb_t;

/* Which file it is: two processes must not mean different ones. */

typedef struct {
    uint64_t  dev;
    uint64_t  ino;
} doi_file_id_t;

/* One operation of a batch. */

typedef struct {
    doi_txn_pt     function;            /* NULL: refused with DOI_RETRY       */
    doi_str_t      arg;
    uint64_t       deadline;            /* by doi_store_ns, 0: none           */
    doi_result_t   result;
    size_t         answer;              /* offset in the batch's answers      */
    size_t         answer_len;

    /* the leader's own */
    unsigned       op;
    unsigned       looked:1;            /* this is its second look            */
    uint64_t       seq;
    size_t         end;                 /* in the connection's input          */
    void          *conn;                /* NULL: the leader's own operation   */
} doi_batch_op_t;

/* store must have conf and hooks.  Errors: err, as doi_store_lmdb_open. */
doi_lmdb_t *doi_lmdb_open(doi_store_t *store, char *err, size_t errsize);
void doi_lmdb_close(doi_lmdb_t *lmdb);

/* A descriptor of the directory, and the identity of its data.mdb. */
int doi_lmdb_dir(const doi_lmdb_t *lmdb);
doi_file_id_t doi_lmdb_id(const doi_lmdb_t *lmdb);

/* Set for good when the environment must not be used any more. */
int doi_lmdb_stopped(const doi_lmdb_t *lmdb);

/* Any thread: DOI_ERROR, and stopped, if the files are no longer ours. */
int doi_lmdb_check_files(doi_lmdb_t *lmdb);

/*
 * The caller's thread.  *mark is raised to the persisted high-water mark, and
 * fn is run with now = max(wall, *mark).
 */
doi_result_t doi_lmdb_read(doi_lmdb_t *lmdb, doi_txn_pt fn, doi_str_t arg,
    doi_buf_t *out, doi_time_t wall, doi_time_t *mark);

/*
 * The leader's thread.  start takes in what a leader before has left in the
 * log, and gives the persisted mark.  end leaves nothing there, if it can.
 */
int doi_lmdb_start(doi_lmdb_t *lmdb, doi_time_t *mark);
void doi_lmdb_end(doi_lmdb_t *lmdb, doi_time_t mark);

/*
 * Runs ops in order inside one transaction and makes it durable, with mark if
 * that moved.  Returns how many of them have their result: fewer than n when
 * the answers have grown too long for one batch.  Answers are valid until the
 * next batch.
 */
size_t doi_lmdb_batch(doi_lmdb_t *lmdb, doi_batch_op_t *ops, size_t n,
    doi_time_t now, doi_time_t mark);
doi_str_t doi_lmdb_answer(const doi_lmdb_t *lmdb, const doi_batch_op_t *op);

/* Persists the mark when no batch has done so. */
void doi_lmdb_persist_mark(doi_lmdb_t *lmdb, doi_time_t mark);

/* When (doi_store_ns) flush is to be called, 0: LMDB has all; and flush. */
uint64_t doi_lmdb_flush_at(const doi_lmdb_t *lmdb);
void doi_lmdb_flush(doi_lmdb_t *lmdb, doi_time_t mark);

void doi_lmdb_reader_check(doi_lmdb_t *lmdb);


/*
 * Wire format between the processes of one machine: fields in host order,
 * every frame padded to a multiple of 8 bytes so that arguments are aligned.
 *
 * A client opens with a frame of op DOI_WIRE_HELLO that carries doi_hello_t
 * and may send operations right behind it.  The leader answers each frame once.
 * Only the frame header of the hello is promised to later versions.
 *
 * The version must be raised whenever this changes, or an argument or answer
 * of core/link.h, booking.h or outbox.h does: after a reload, old and new
 * workers meet here.
 */

#define DOI_WIRE_VERSION    4
#define DOI_WIRE_HELLO      0           /* as op, and as seq of its answer    */
#define DOI_WIRE_MAGIC      0x646f6973746f7265ULL

typedef struct {
    uint32_t       len;                 /* of the argument, without padding   */
    uint16_t       op;
    uint16_t       version;
    uint64_t       seq;
    uint64_t       deadline;            /* CLOCK_MONOTONIC, nanoseconds       */
} doi_frame_t;

typedef struct {
    uint64_t       magic;
    doi_file_id_t  data;
} doi_hello_t;

typedef struct {
    uint32_t       len;
    uint32_t       mark;                /* the store's clock                  */
    uint64_t       seq;
    uint32_t       result;              /* hello: DOI_WON or DOI_CONFLICT     */
    uint32_t       version;             /* of the leader                      */
} doi_wire_reply_t;

#define doi_wire_pad(n)     (((n) + 7) & ~(size_t) 7)


/*
 * The service thread.  poke asks it to try for leadership; event_fd becomes
 * readable when this process has begun to lead or its store has stopped.
 */

typedef struct doi_leader_s  doi_leader_t;

doi_leader_t *doi_leader_start(doi_store_t *store, doi_lmdb_t *lmdb,
    char *err, size_t errsize);
void doi_leader_poke(doi_leader_t *leader);
int doi_leader_event_fd(doi_leader_t *leader);

/* True if there was an event since the last call; takes it from event_fd. */
int doi_leader_event(doi_leader_t *leader);

/* Ends leadership after the batch that is running, and joins the thread. */
void doi_leader_stop(doi_leader_t *leader);

/* "/proc/self/fd/N/leader.sock", which fits sun_path however long PATH is. */
#define DOI_SOCKET_NAME     "leader.sock"
#define DOI_LOCK_NAME       "leader.lock"

struct sockaddr_un;
void doi_store_address(int dir, struct sockaddr_un *addr);

#endif /* DOI_STORE_INTERNAL_H */
