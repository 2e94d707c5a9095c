/*
 * What a transaction sees of the store.
 *
 * A transaction is a pure function over a view.  It may be run more than once
 * for one submission (a driver on a distributed engine runs it optimistically),
 * so it must not depend on anything but its arguments and what it reads.  Its
 * writes are buffered by the view, are seen by its own later reads, and are
 * applied only if it returns DOI_WON.
 */

#ifndef DOI_VIEW_H
#define DOI_VIEW_H

#include "doi.h"


#define DOI_KEY_MAX         64          /* bytes; longer keys are hashed */
#define DOI_VALUE_MAX       262144      /* bytes */


typedef enum {
    DOI_TABLE_META = 0,     /* schema version, clock                         */
    DOI_TABLE_LINKS,        /* id -> link record (record.h)                  */
    DOI_TABLE_OPEN,         /* deadline, id, slot -> "" : unsettled claims   */
    DOI_TABLE_BOOKINGS,     /* id -> booking record (booking.h)              */
    DOI_TABLE_REQUESTS,     /* id -> sealed request of an unsettled booking  */
    DOI_TABLE_SLOTS,        /* hash of scope and slot -> id of the booking   */
    DOI_TABLE_DUE,          /* time, id -> "" : bookings that wait for time  */
    DOI_TABLE_AGENDA,       /* hash of scope, start, id -> "" : for feeds    */
    DOI_TABLE_OUTBOX,       /* id -> event or delivery (outbox.h)            */
    DOI_TABLE_QUEUE,        /* state, due, id -> "" : the outbox in order    */
    DOI_TABLE_LIMITS,       /* hash -> times of the last events (limit.h)    */
    DOI_TABLE_SUPPRESSED,   /* hash of an address -> since when              */
    DOI_TABLE_CONTACTS,     /* id -> contact record (consent.h)              */
    DOI_TABLE_PERSONS,      /* hash of a person -> ids of the contacts       */
    DOI_TABLE_TOKENS,       /* token id -> what it names; contact, token id  */
    DOI_TABLE_MESSAGES,     /* delivery -> reply; contact, delivery          */
    DOI_TABLE_LEDGER,       /* contact, seq -> entry (ledger.h)              */
    DOI_TABLE_CONTENT,      /* contact, seq -> what the entry commits to     */
    DOI_TABLE_DIRTY,        /* contact -> "" : head that is not sealed       */
    DOI_TABLE_EPOCHS,       /* epoch -> its seal                             */
    DOI_TABLE_SEALED,       /* epoch, contact -> head                        */
    DOI_TABLE_WORDINGS,     /* wording id -> text                            */
    DOI_TABLE_PROVIDER,     /* hash of a message id -> since when            */
    DOI_TABLE_REVIEW,       /* hour, hash -> doubtful text; contact, row     */
    DOI_TABLE_STATS,        /* day and what is counted -> counts             */
    DOI_TABLES              /* how many tables there are                     */
} doi_table_t;


typedef enum {
    DOI_WON = 0,            /* applied and durable                           */
    DOI_CONFLICT,           /* the state forbids it; nothing was written     */
    DOI_RETRY,              /* not done, nothing was written: try later      */
    DOI_UNKNOWN             /* may or may not have been done                 */
} doi_result_t;


typedef struct doi_view_s  doi_view_t;


/*
 * Called for each row in key order; a result other than DOI_OK ends the scan
 * and is returned by it.  key and value are valid during the call.
 */
typedef int (*doi_scan_pt)(void *data, doi_str_t key, doi_str_t value);


/*
 * Any result of get, put, del or scan other than DOI_OK and DOI_NOT_FOUND is
 * an error of the driver: the transaction returns DOI_RETRY at once.
 */

struct doi_view_s {
    /* The value is valid until the transaction returns. */
    int    (*get)(doi_view_t *view, doi_table_t table, doi_str_t key,
                  doi_str_t *value);

    /* key and value are copied. */
    int    (*put)(doi_view_t *view, doi_table_t table, doi_str_t key,
                  doi_str_t value);

    /* DOI_OK also if there is no such row. */
    int    (*del)(doi_view_t *view, doi_table_t table, doi_str_t key);

    /*
     * Rows with from <= key, in bytewise order, without the transaction's
     * own buffered writes.  from may be empty.
     */
    int    (*scan)(doi_view_t *view, doi_table_t table, doi_str_t from,
                   doi_scan_pt row, void *data);

    /*
     * Memory that lives until the transaction returns, aligned for any type;
     * NULL without memory.
     */
    void  *(*alloc)(doi_view_t *view, size_t size);
};


/*
 * now is the store's clock, which never runs backwards.  out is the answer
 * that is handed to whoever submitted it, also on DOI_CONFLICT; its size is
 * DOI_REPLY_MAX.
 */

#define DOI_REPLY_MAX       65536

typedef doi_result_t (*doi_txn_pt)(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);

#endif /* DOI_VIEW_H */
