/*
 * The leader, as the files of the service thread see it.
 *
 *   leader.c         the thread: leadership, connections, housekeeping
 *   leader_batch.c   collects operations, has them run, answers
 *   conn.c           a connection: one to each process that uses the store
 */

#ifndef DOI_LEADER_INTERNAL_H
#define DOI_LEADER_INTERNAL_H

#include <pthread.h>

#include "store_internal.h"
#include "../core/clock.h"
#include "../core/link.h"


typedef struct doi_conn_s  doi_conn_t;

struct doi_conn_s {
    doi_conn_t  *next;
    int          fd;
    int          epoll;
    uint32_t     events;                /* that epoll watches for             */

    unsigned     greeted:1;             /* its hello was accepted             */
    unsigned     eof:1;
    unsigned     dead:1;                /* to be closed                       */
    unsigned     blocked:1;             /* the peer does not read             */
    unsigned     drained:1;             /* read to the end in this round      */
    unsigned     clean:1;               /* all that was there at the start of
                                           the second looks was run           */
    unsigned     due:1;                 /* somebody waits for what is in out  */
    uint64_t     asked;                 /* when something that somebody waits
                                           for was last run, in ns; 0: never  */
    uint8_t     *in;                    /* in_pos .. in_len is to be run      */
    size_t       in_size;
    size_t       in_pos;
    size_t       in_len;

    uint8_t     *out;                   /* out_pos .. out_len is to be sent   */
    size_t       out_size;
    size_t       out_pos;
    size_t       out_len;
};


/* Takes fd over, and closes it when it returns NULL. */
doi_conn_t *doi_conn_create(int fd, int epoll);
void doi_conn_close(doi_conn_t *c);

/* Moves bytes of in: no operation of the last batch may be in use. */
void doi_conn_read(doi_conn_t *c);

/* The frame at in + pos; DOI_NOT_FOUND: not complete; DOI_ERROR: nonsense. */
int doi_conn_frame(const doi_conn_t *c, size_t pos, doi_frame_t *f);

int doi_conn_reply(doi_conn_t *c, uint64_t seq, doi_result_t result,
    uint32_t mark, uint16_t version, const uint8_t *bytes, size_t len);
void doi_conn_send(doi_conn_t *c);

/* After a batch: watches for what it can take; dead when all is done. */
void doi_conn_update(doi_conn_t *c);


#define DOI_LEADER_BATCH    1024        /* new operations in one batch        */
#define DOI_LEADER_LOOKS    512         /* second looks that wait at a time   */
#define DOI_LEADER_SWEEP    500         /* rows                               */


/* An operation that waits for its second look; its bytes are its own. */

typedef struct {
    doi_conn_t         *conn;           /* NULL: gone                         */
    uint64_t            seq;
    uint64_t            deadline;
    unsigned            op;
    size_t              len;
    _Alignas(16) uint8_t  arg[];
} doi_look_t;

typedef struct {
    doi_look_t         *looks[DOI_LEADER_LOOKS];
    size_t              n;
    unsigned            rounds;
} doi_looks_t;


struct doi_leader_s {
    doi_store_t        *store;
    doi_lmdb_t         *lmdb;
    pthread_t           thread;

    int                 epoll;
    int                 wake;           /* eventfd: poked, or to stop         */
    int                 event;          /* eventfd: for the caller's thread   */
    int                 timer;          /* timerfd: held for long enough      */
    _Atomic int         happened;       /* event was raised                   */
    _Atomic int         poked;
    _Atomic int         stop;

    /* while it leads */
    int                 lock;           /* -1: it does not                    */
    int                 listen;
    unsigned            deaf:1;         /* does not accept until next tick    */
    doi_file_id_t       lock_id;
    doi_file_id_t       listen_id;
    doi_conn_t         *conns;
    doi_conn_t         *turn;           /* where the next batch begins        */

    doi_clock_t         clock;
    uint64_t            next_tick;
    uint64_t            gather;         /* until then some process may not be
                                           connected yet, with a settlement
                                           that a second look is to see       */
    unsigned            ticks;
    doi_sweep_arg_t     sweep;
    unsigned            sweep_due:1;
    unsigned            more:1;         /* complete operations were left      */
    uint64_t            tell_at;        /* when answers that nobody waits for
                                           are sent, in ns; 0: there are none */
    unsigned            held:1;         /* what was read waits for others     */
    unsigned            over:1;         /* for long enough                    */

    doi_batch_op_t     *ops;
    size_t              nops;
    doi_looks_t         looks[2];       /* waiting now; for the next round    */
    unsigned            current;
    unsigned            looking:1;      /* this batch has the waiting ones    */
    uint64_t            logged;         /* when it could not lead             */
    uint64_t            refused;        /* when a refusal was logged          */
};


/*
 * One round: collect takes what has been read, run runs it, commits, answers.
 * Between them and before the next round no connection may be read.
 */
void doi_leader_collect(doi_leader_t *l);
void doi_leader_run(doi_leader_t *l);

/*
 * Before it: ready connections have something to read.  Waits for a moment if
 * more are likely to have by then; 1: it did, and epoll is to be asked again.
 */
int doi_leader_rush(const doi_leader_t *l, int ready);

/* Sends all answers that were kept. */
void doi_leader_tell(doi_leader_t *l);

void doi_leader_free_looks(doi_looks_t *looks);

/* The hook of tests. */
void doi_leader_at(doi_leader_t *l, doi_point_t point);

#endif /* DOI_LEADER_INTERNAL_H */
