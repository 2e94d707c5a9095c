/*
 * The caller's side of the LMDB driver, as its files see it.
 *
 *   client.c        the operations of this process: accepted, kept, answered
 *   client_wire.c   the connection to the leader
 */

#ifndef DOI_CLIENT_INTERNAL_H
#define DOI_CLIENT_INTERNAL_H

#include "store_internal.h"


#define DOI_CLIENT_IN       131072      /* more than the longest answer       */
#define DOI_CLIENT_RETRY    1000000ULL  /* ns until the next try to connect   */


typedef struct doi_client_op_s  doi_client_op_t;

struct doi_client_op_s {
    doi_client_op_t    *next;           /* in order of submission             */
    doi_client_op_t    *prev;
    doi_client_op_t    *chain;          /* of the same bucket                 */
    doi_store_done_pt   done;
    void               *data;
    size_t              size;           /* of frame and padded argument       */
    unsigned            sent:1;         /* at least in part, here             */
    unsigned            exposed:1;      /* or to a leader that is gone        */
    doi_frame_t         frame;
    uint8_t             arg[];
};


typedef struct {
    doi_store_t         store;          /* first                              */
    doi_lmdb_t         *lmdb;
    doi_leader_t       *leader;

    int                 epoll;
    int                 timer;
    uint64_t            timer_ns;       /* what it is set to, 0: nothing      */

    doi_client_op_t    *head;           /* unanswered                         */
    doi_client_op_t    *tail;
    doi_client_op_t    *unsent;         /* the first that is not sent         */
    doi_client_op_t   **buckets;
    size_t              mask;
    size_t              pending;
    uint64_t            seq;

    /* One that was sent in part must be sent to its end, even when its time
       is over meanwhile. */
    doi_client_op_t    *partial;
    size_t              partial_pos;
    unsigned            partial_dead:1;

    int                 fd;             /* -1: not connected                  */
    unsigned            blocked:1;      /* EPOLLOUT is asked for              */
    unsigned            hello_sent:1;
    unsigned            dispatching:1;
    unsigned            closing:1;
    uint64_t            retry_at;       /* when to connect                    */
    uint64_t            retry_ns;

    uint8_t            *in;
    size_t              in_len;

    doi_time_t          mark;
} doi_client_t;


int doi_client_watch(doi_client_t *c, int op, int fd, uint32_t events);

/* Takes an operation out of the queue and runs its callback. */
void doi_client_answer(doi_client_t *c, doi_client_op_t *op,
    doi_result_t result, doi_str_t answer);

doi_client_op_t **doi_client_bucket(doi_client_t *c, uint64_t seq);

/* Tries to connect, if it is time to. */
void doi_client_connect(doi_client_t *c);

/* refused: by a leader that has run nothing of what it was sent. */
void doi_client_disconnect(doi_client_t *c, int refused);

void doi_client_send(doi_client_t *c);
void doi_client_receive(doi_client_t *c);
void doi_client_drop_partial(doi_client_t *c);

#endif /* DOI_CLIENT_INTERNAL_H */
