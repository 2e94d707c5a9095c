/*
 * The life of a one-time link, as a pure state machine, and the
 * transactions that run it over a store.
 *
 * A link that nobody has touched has no record: it is fresh, with one use.  A
 * record comes into being with the first claim, or when the API mints, revokes
 * or resolves.  A link with several uses has as many slots; each redemption is
 * a claim of the lowest free slot, so that the idempotency key of a retried
 * slot is the same.
 *
 *   slot:  free --claim--> claimed --settle used-----> used
 *            ^               |  |
 *            +-- released ---+  +---- settle in doubt, or the deadline passes
 *            |                            |
 *            +---- resolve fresh ---- in doubt ---- resolve used ---> used
 *
 * A claim whose deadline has passed is in doubt without any write: states are
 * computed from the record and the clock.  With DOI_CLAIM_RELEASE such a claim
 * counts as released once its deadline has passed.
 */

#ifndef DOI_LINK_H
#define DOI_LINK_H

#include "view.h"


#define DOI_USES_MAX        1000
#define DOI_META_MAX        2048        /* bytes of JSON text */
#define DOI_ACTOR_MAX       128         /* bytes */
#define DOI_REASON_MAX      512         /* bytes */
#define DOI_SCOPE_KEEP      255         /* bytes of scope kept in a record */
#define DOI_MINT_BATCH      500         /* links in one mint transaction */

#define DOI_KEEP_BURNED     86400       /* seconds that a record outlives its
                                           link's expiry */
#define DOI_KEEP_DOUBT      2592000     /* the same while a claim is open */


/* What a link is for a visitor. */

typedef enum {
    DOI_LINK_FRESH = 0,     /* a slot is free                                 */
    DOI_LINK_CLAIMED,       /* somebody is booking right now                  */
    DOI_LINK_USED,
    DOI_LINK_IN_DOUBT,
    DOI_LINK_REVOKED,
    DOI_LINK_EXPIRED,
    DOI_LINK_STATES
} doi_link_state_t;

/* "fresh", "claimed", "used", "in_doubt", "revoked", "expired" */
const char *doi_link_state_name(doi_link_state_t state);


typedef enum {
    DOI_CLAIM_CLAIMED = 1,
    DOI_CLAIM_USED,
    DOI_CLAIM_IN_DOUBT
} doi_claim_state_t;

#define DOI_CLAIM_RELEASE   0x01    /* doi_in_doubt release: free after
                                       deadline                              */
#define DOI_CLAIM_RETRY     0x02    /* took over a slot that was in doubt    */


typedef struct {
    uint8_t      attempt[DOI_ATTEMPT_SIZE];
    uint8_t      browser[DOI_BROWSER_SIZE];     /* zeros: unknown */
    doi_time_t   claimed;       /* when                                       */
    doi_time_t   deadline;      /* the claim is in doubt from then on         */
    doi_time_t   settled;       /* when the state was last settled, or 0      */
    uint16_t     slot;          /* 0 .. uses - 1, at most one claim per slot  */
    uint16_t     status;        /* upstream's status, 0 if none came          */
    uint8_t      state;         /* doi_claim_state_t                          */
    uint8_t      flags;         /* DOI_CLAIM_*                                */
    uint16_t     pad;
} doi_claim_t;


/* A link record in memory; strings and claims point to memory of the view. */

typedef struct {
    uint8_t       id[DOI_ID_SIZE];
    doi_time_t    expires;      /* UINT32_MAX: not known                      */
    doi_time_t    changed;
    uint16_t      uses;
    uint8_t       minted;       /* 1: by the API                              */
    uint8_t       revoked;
    uint8_t       resolved;     /* by the last operator action: doi_outcome_t
                                   USED or RELEASED, or 0                     */
    doi_str_t     scope;        /* empty: not known                           */
    doi_str_t     meta;         /* JSON text, may be empty                    */
    doi_str_t     actor;        /* of the last operator action, may be empty  */
    doi_str_t     reason;
    size_t        nclaims;      /* claims, ordered by slot                    */
    doi_claim_t  *claims;       /* room for nclaims + 1                       */
} doi_link_t;


/*
 * The state of a link for whoever carries this browser hash (NULL: nobody
 * known).  *own (may be NULL) gets that browser's claim if it explains the
 * state (CLAIMED, USED or IN_DOUBT), else NULL.  link NULL: no record.
 */
doi_link_state_t doi_link_state(const doi_link_t *link, doi_time_t now,
    const uint8_t *browser, const doi_claim_t **own);

/* The state of one claim, with the deadline taken into account; 0: released. */
int doi_claim_state(const doi_claim_t *claim, doi_time_t now);

/*
 * Record codec; record.c opens with the table of bytes.  Decoding returns
 * DOI_ERROR on any byte that it does not understand.
 */
int doi_link_decode(doi_view_t *view, doi_str_t value, doi_link_t *link);
int doi_link_encode(const doi_link_t *link, doi_buf_t *out);

/* DOI_OK, DOI_NOT_FOUND or DOI_ERROR */
int doi_link_get(doi_view_t *view, const uint8_t id[DOI_ID_SIZE],
    doi_link_t *link);


/*
 * The transactions.  Arguments and answers are structs of fixed-width fields
 * without holes, copied byte for byte: they travel between processes of one
 * machine, never to disk.  A struct that is followed by bytes says so.
 *
 * Each is idempotent by its attempt id: run again after a crash between commit
 * and answer, it gives the same answer.
 */

typedef enum {
    DOI_OP_LINK_CLAIM = 1,
    DOI_OP_LINK_SETTLE,
    DOI_OP_LINK_READ,
    DOI_OP_LINK_MINT,
    DOI_OP_LINK_REVOKE,
    DOI_OP_LINK_RESOLVE,
    DOI_OP_SWEEP,

    DOI_OP_BOOKING_HOLD,        /* booking.h */
    DOI_OP_BOOKING_CLAIM,
    DOI_OP_BOOKING_SETTLE,
    DOI_OP_BOOKING_READ,
    DOI_OP_BOOKING_CANCEL,
    DOI_OP_BOOKING_RESOLVE,
    DOI_OP_BOOKING_RESEND,
    DOI_OP_BOOKING_SWEEP,
    DOI_OP_SUPPRESS,

    DOI_OP_OUTBOX_FANOUT,       /* outbox.h */
    DOI_OP_OUTBOX_UPDATE,

    DOI_OP_CONSENT_EVENT,       /* consent.h */
    DOI_OP_CONSENT_BATCH,
    DOI_OP_CONSENT_TOKEN,
    DOI_OP_CONSENT_ERASE,
    DOI_OP_CONSENT_REVIEW,
    DOI_OP_CONSENT_SWEEP,

    DOI_OP_LEDGER_INIT,         /* ledger.h */
    DOI_OP_LEDGER_SEAL,

    DOI_OP_LIMIT,               /* booking.h                                 */
    DOI_OPS
} doi_op_t;

/* The function of an op, or NULL for a number that is none. */
doi_txn_pt doi_op_function(unsigned op);

/* True if nobody waits for its answer. */
int doi_op_is_patient(unsigned op);

/*
 * True if an operation with this result is to be run once more after all that
 * had been sent before it was seen: link_look.c says why.
 */
int doi_op_wants_another_look(unsigned op, doi_result_t result,
    doi_str_t answer);


/* The answer to CLAIM and READ. */

typedef struct {
    uint8_t      state;         /* doi_link_state_t                           */
    uint8_t      own;           /* 1: by this same browser                    */
    uint8_t      flags;         /* DOI_CLAIM_* of the claim that was won      */
    uint8_t      pad;
    uint16_t     slot;          /* won, or of the own claim                   */
    uint16_t     status;        /* of the own claim                           */
    doi_time_t   settled;       /* of the own claim                           */
    doi_time_t   deadline;      /* CLAIMED: the earliest end, for Retry-After */
} doi_link_answer_t;


/* CLAIM: WON with state CLAIMED, or CONFLICT with the state that forbids it. */

#define DOI_CLAIM_IDEMPOTENT  0x80  /* may take over a slot that is in doubt  */

typedef struct {
    uint8_t      id[DOI_ID_SIZE];
    doi_time_t   expires;
    uint32_t     timeout;       /* seconds from now to the deadline           */
    uint8_t      attempt[DOI_ATTEMPT_SIZE];
    uint8_t      browser[DOI_BROWSER_SIZE];
    uint32_t     flags;         /* DOI_CLAIM_RELEASE, DOI_CLAIM_IDEMPOTENT    */
} doi_claim_arg_t;


/*
 * SETTLE: the outcome of one attempt.  WON also when the attempt has that
 * outcome already or (released) is not known; CONFLICT if it was settled
 * otherwise.  A retry (DOI_CLAIM_RETRY) that is released without a status is in
 * doubt again.  No answer bytes.
 */

typedef enum {
    DOI_OUTCOME_USED = 1,
    DOI_OUTCOME_RELEASED,
    DOI_OUTCOME_IN_DOUBT
} doi_outcome_t;

typedef struct {
    uint8_t      id[DOI_ID_SIZE];
    uint8_t      attempt[DOI_ATTEMPT_SIZE];
    uint16_t     outcome;
    uint16_t     status;
} doi_settle_arg_t;


/* READ: the state, after everything that was submitted before. */

typedef struct {
    uint8_t      id[DOI_ID_SIZE];
    uint8_t      browser[DOI_BROWSER_SIZE];
} doi_read_arg_t;


/*
 * MINT: records for count links that share the rest.  The struct is followed
 * by count times DOI_ID_SIZE bytes, then scope, meta and actor.
 */

typedef struct {
    doi_time_t   expires;
    uint16_t     count;         /* 1 .. DOI_MINT_BATCH */
    uint16_t     uses;          /* 1 .. DOI_USES_MAX   */
    uint16_t     scope_len;     /* at most DOI_SCOPE_KEEP */
    uint16_t     meta_len;
    uint16_t     actor_len;
    uint16_t     pad;
} doi_mint_arg_t;


/*
 * REVOKE and RESOLVE, followed by actor and reason.  The answer is the link's
 * new record in the form of record.h, also on CONFLICT (empty if there is
 * none).
 *
 * REVOKE: WON also if it was revoked before.  CONFLICT if all uses are used.
 * A link without a record gets one, with expiry unknown.  Claims in flight
 * are left to settle; nobody new gets in.
 *
 * RESOLVE: outcome USED or RELEASED for the claim in slot, or for all that are
 * in doubt (DOI_SLOT_ALL).  CONFLICT if none is in doubt, or no record; WON if
 * just this was the last action, by the same actor and for the same reason.
 */

#define DOI_SLOT_ALL        0xffff

typedef struct {
    uint8_t      id[DOI_ID_SIZE];
    uint16_t     outcome;
    uint16_t     slot;
    uint16_t     actor_len;
    uint16_t     reason_len;
} doi_operator_arg_t;


/*
 * SWEEP: frees claims whose deadline has passed and that say so, drops link
 * records that are past their time, by mark, at most limit of each.  next is
 * where the scan of links goes on; all zero means from the start.
 */

typedef struct {
    doi_time_t   mark;          /* the clock's high-water mark                */
    uint32_t     limit;         /* rows to look at                            */
    uint8_t      from[DOI_ID_SIZE];
} doi_sweep_arg_t;

typedef struct {
    uint32_t     looked;
    uint32_t     dropped;
    uint32_t     released;
    uint8_t      next[DOI_ID_SIZE];
} doi_sweep_answer_t;


/*
 * Rows of DOI_TABLE_OPEN: deadline (4 bytes BE; 0 once a claim was settled in
 * doubt), id, slot (2 bytes BE).  A claim is in doubt when deadline <= now, so
 * those in doubt stand first.
 */

#define DOI_OPEN_KEY_SIZE   (4 + DOI_ID_SIZE + 2)

void doi_open_key(doi_time_t deadline, const uint8_t id[DOI_ID_SIZE],
    uint16_t slot, uint8_t key[DOI_OPEN_KEY_SIZE]);

#endif /* DOI_LINK_H */
