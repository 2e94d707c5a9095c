/*
 * The life of a booking with double opt-in, as a pure state machine, and the
 * transactions that run it over a store.
 *
 *   held --claim--> claimed --settle used------------------> confirmed
 *    |  ^             |  |
 *    |  |             |  +--- settle in doubt, or the deadline passes
 *    |  +- released,  |                |
 *    |     no status -+             in doubt --resolve used--> confirmed
 *    |                |                +------resolve fresh--> held, or expired
 *    |                +- released by a status ---------------> refused
 *    +-- the visitor: "it wasn't me", operator, wrong codes -> cancelled
 *    +-- not confirmed in time ------------------------------> expired
 *
 *   confirmed --operator cancels--> cancelled
 *
 * A hold takes its slot; whoever comes for that slot meets it until the booking
 * is refused, cancelled or expired, or the record of a confirmed one is
 * dropped.  The request that made it lies sealed in a table of its own until
 * the booking is settled for good.
 *
 * Each change that the world is to know of writes one event to the outbox, in
 * the same transaction (outbox.h).
 *
 * Claims are those of links (link.h): same structure, same states, same rules
 * for deadlines and for taking over.
 */

#ifndef DOI_BOOKING_H
#define DOI_BOOKING_H

#include "limit.h"
#include "link.h"
#include "outbox.h"


#define DOI_REQUEST_MAX     49152   /* bytes of a sealed request             */
#define DOI_CODE_TRIES      5       /* wrong codes until a hold is cancelled */

#define DOI_KEEP_ENDED      2592000     /* seconds that a refused, cancelled or
                                           expired booking is kept: 30 days  */
#define DOI_KEEP_CONFIRMED  7776000     /* after the end of the appointment:
                                           90 days                           */
#define DOI_KEEP_UNDATED    34560000    /* after confirmation, if that is not
                                           known: 400 days                   */


typedef enum {
    DOI_BOOKING_HELD = 0,
    DOI_BOOKING_CLAIMED,        /* its request is being replayed             */
    DOI_BOOKING_CONFIRMED,
    DOI_BOOKING_IN_DOUBT,
    DOI_BOOKING_REFUSED,        /* by the app                                */
    DOI_BOOKING_CANCELLED,
    DOI_BOOKING_EXPIRED,
    DOI_BOOKING_STATES,

    /* answers only, never stored */
    DOI_BOOKING_UNKNOWN = DOI_BOOKING_STATES,   /* no record                 */
    DOI_BOOKING_TAKEN,          /* HOLD: by somebody else                    */
    DOI_BOOKING_LIMITED         /* HOLD, RESEND: retry_after                 */
} doi_booking_state_t;

/* "held", "claimed", "confirmed", "in_doubt", "refused", "cancelled",
   "expired"; NULL for the others */
const char *doi_booking_state_name(unsigned state);


/* Texts of a record, in this order, UTF-8, each of at most so many bytes. */

typedef enum {
    DOI_TEXT_SCOPE = 0,         /* 255                                       */
    DOI_TEXT_SLOT,              /* 255: values of the fields, with a blank
                                   between                                   */
    DOI_TEXT_EMAIL,             /* 254: normalised                           */
    DOI_TEXT_NAME,              /* 255                                       */
    DOI_TEXT_LANG,              /* 35: "en", "pt-br"                         */
    DOI_TEXT_ZONE,              /* 64: time zone of the slot, may be empty   */
    DOI_TEXT_SUMMARY,           /* 255: title of the appointment             */
    DOI_TEXT_URL,               /* 1024: confirmation link, sealed (seal.h)
                                   with the id as aad                        */
    DOI_TEXT_OWNER_NAME,        /* 255                                       */
    DOI_TEXT_OWNER_EMAIL,       /* 254                                       */
    DOI_TEXT_OWNER_PHONE,       /* 64                                        */
    DOI_TEXT_OWNER_URL,         /* 512                                       */
    DOI_TEXT_TEMPLATES,         /* 512: directory of doi_templates, or empty */
    DOI_TEXT_CALENDAR,          /* 512: URL of doi_caldav, or empty          */
    DOI_TEXT_ACTOR,             /* 128: of the last operator action          */
    DOI_TEXT_REASON,            /* 512                                       */
    DOI_TEXTS
} doi_booking_text_t;

extern const uint16_t  doi_booking_text_max[DOI_TEXTS];


/* A booking in memory; texts point to memory of the view or of a value. */

typedef struct {
    uint8_t      id[DOI_ID_SIZE];   /* of its confirmation token            */
    uint8_t      again[DOI_ID_SIZE];/* id of the last submission that made the
                                       confirmation mail be sent again       */
    uint8_t      state;         /* doi_booking_state_t, as stored            */
    uint8_t      flags;         /* DOI_BOOKING_*                             */
    uint8_t      tries;         /* wrong codes                               */
    uint8_t      sends;         /* confirmation mails asked for, to 255      */
    doi_time_t   created;
    doi_time_t   expires;       /* of the hold, and of the token             */
    doi_time_t   changed;
    doi_time_t   start;         /* of the appointment, UTC; 0: not known     */
    uint32_t     duration;      /* seconds; 0: not known                     */
    doi_time_t   remind;        /* when; 0: no reminder, or it was sent      */
    uint32_t     code;          /* to be typed; DOI_CODE_NONE                */
    uint32_t     sequence;      /* of the iCalendar object                   */
    doi_claim_t  claim;         /* attempt all zeros: none                   */
    doi_str_t    text[DOI_TEXTS];
} doi_booking_t;

#define DOI_CODE_NONE               UINT32_MAX

#define DOI_BOOKING_WAS_CONFIRMED   0x01    /* cancelled after that          */
#define DOI_BOOKING_BY_VISITOR      0x02    /* cancelled: "it wasn't me"     */
#define DOI_BOOKING_BY_CODES        0x04    /* cancelled: wrong codes        */
#define DOI_BOOKING_RESOLVED        0x08    /* by an operator                */
#define DOI_BOOKING_TOLD_DOUBT      0x10    /* event IN_DOUBT was written    */


/*
 * Record codec; booking.c opens with the table of bytes.  DOI_ERROR on any byte
 * that it does not understand; decoded texts point into value.
 */
#define DOI_BOOKING_MAX     8192    /* bytes of a record, no less than needed */

int doi_booking_decode(doi_str_t value, doi_booking_t *booking);
int doi_booking_encode(const doi_booking_t *booking, doi_buf_t *out);

/* DOI_OK, DOI_NOT_FOUND, DOI_ERROR */
int doi_booking_get(doi_view_t *view, const uint8_t id[DOI_ID_SIZE],
    doi_booking_t *booking);

/*
 * The state by the clock: a claim past its deadline is in doubt (held again
 * with DOI_CLAIM_RELEASE), a hold past its time is expired, before any
 * transaction has said so.
 */
doi_booking_state_t doi_booking_state(const doi_booking_t *booking,
    doi_time_t now);


/*
 * The transactions; as for links, structs of fixed-width fields without holes,
 * idempotent when run again.
 */

/* Answer to HOLD, CLAIM, READ, CANCEL, RESOLVE and RESEND. */

typedef struct {
    uint8_t      state;         /* doi_booking_state_t, by the clock         */
    uint8_t      own;           /* the claim is this browser's               */
    uint8_t      flags;         /* DOI_CLAIM_* of the claim that was won     */
    uint8_t      wrong_code;    /* CLAIM: WON, but only the try was counted  */
    uint32_t     retry_after;   /* seconds: LIMITED, CLAIMED                 */
    uint32_t     record_len;    /* the record follows (all but HOLD), if there
                                   is one                                    */
    uint32_t     request_len;   /* then, CLAIM that was won: the sealed
                                   request                                   */
} doi_booking_answer_t;


/*
 * HOLD, followed by nlimits of doi_limit_t, the texts, the sealed request.
 *
 *   WON, HELD          held; or the same address has this slot on hold already,
 *                      and its mail is sent again (DOI_EVENT_RESEND; the new
 *                      request is dropped)
 *   CONFLICT, TAKEN    the slot is held or booked by another address, or booked
 *   CONFLICT, LIMITED  one of the limits; nothing is counted
 *
 * A slot that belongs to a booking which has expired by the clock is taken over
 * (that booking becomes EXPIRED, with its event).
 */

typedef struct {
    uint8_t      id[DOI_ID_SIZE];
    doi_time_t   expires;
    doi_time_t   start;
    uint32_t     duration;
    doi_time_t   remind;
    uint32_t     code;
    uint32_t     request_len;   /* 1 .. DOI_REQUEST_MAX                      */
    uint16_t     nlimits;       /* at most DOI_LIMITS_MAX                    */
    uint16_t     text_len[DOI_TEXTS];
    uint16_t     pad;
} doi_hold_arg_t;


/*
 * CLAIM: WON with state CLAIMED; WON with wrong_code and state HELD, or
 * CANCELLED by the last try; else CONFLICT with the state that forbids it.
 * The hold's expiry counts, not the token's.
 */

typedef struct {
    uint8_t      id[DOI_ID_SIZE];
    uint32_t     timeout;
    uint8_t      attempt[DOI_ATTEMPT_SIZE];
    uint8_t      browser[DOI_BROWSER_SIZE];
    uint32_t     flags;         /* DOI_CLAIM_RELEASE, DOI_CLAIM_IDEMPOTENT   */
    uint32_t     code;          /* as typed; DOI_CODE_NONE                   */
    uint32_t     code_needed;   /* 1: compare                                */
} doi_booking_claim_arg_t;


/*
 * SETTLE: doi_settle_arg_t of link.h, and its rules.  RELEASED with a status:
 * refused, the slot is free.  RELEASED without one: held again, and if that is
 * over, expired at the next sweep; a retry (DOI_CLAIM_RETRY) is in doubt again.
 */


/* READ: doi_read_arg_t of link.h.  WON, also with state UNKNOWN. */


/*
 * CANCEL, followed by actor and reason.  By the visitor (SUPPRESS): HELD only,
 * and its address is put into DOI_TABLE_SUPPRESSED: no more mail to it, whose
 * booking it may be.  By an operator: HELD or CONFIRMED.  WON also if it was
 * cancelled before; otherwise CONFLICT.
 *
 * RESOLVE, followed by actor and reason: outcome DOI_OUTCOME_USED or RELEASED
 * for a booking in doubt.  WON also if just this was the last action.
 *
 * RESEND, with nlimits of doi_limit_t following (actor_len and reason_len 0):
 * the mail that a booking waits for or has had: HELD (EVENT_RESEND) or
 * CONFIRMED (EVENT_CONFIRM_RESEND).
 */

typedef struct {
    uint8_t      id[DOI_ID_SIZE];
    uint16_t     outcome;       /* RESOLVE                                   */
    uint16_t     suppress;      /* CANCEL: 1                                 */
    uint16_t     actor_len;
    uint16_t     reason_len;
    uint16_t     nlimits;       /* RESEND                                    */
    uint16_t     pad;
    uint8_t      again[DOI_ID_SIZE];    /* RESEND: names this very request   */
} doi_booking_operator_arg_t;


/*
 * SWEEP of bookings: works off what is due in DOI_TABLE_DUE at mark, at most
 * limit rows: holds expire, reminders become due (DOI_EVENT_REMIND), overdue
 * claims are told to be in doubt (or released by DOI_CLAIM_RELEASE), records
 * are dropped; and drops limits that are over, from the 16 bytes of from.
 */

typedef struct {
    doi_time_t   mark;          /* the clock's high-water mark               */
    uint32_t     limit;
    uint8_t      from[DOI_LIMIT_KEY_SIZE];
} doi_booking_sweep_arg_t;

typedef struct {
    uint32_t     looked;        /* rows that were due                        */
    uint32_t     expired;
    uint32_t     reminded;
    uint32_t     in_doubt;
    uint32_t     dropped;
    uint8_t      next[DOI_LIMIT_KEY_SIZE];  /* zeros: all limits were seen   */
} doi_booking_sweep_answer_t;

/* True if a sweep at this time would find something in DOI_TABLE_DUE. */
int doi_booking_due(doi_view_t *view, doi_time_t mark);


/* SUPPRESS: followed by the address; lift 1: it may be mailed again. */

typedef struct {
    uint16_t     lift;
    uint16_t     email_len;
} doi_suppress_arg_t;

/* DOI_OK: mail to this address is suppressed; DOI_NOT_FOUND; DOI_ERROR. */
int doi_suppressed(doi_view_t *view, doi_str_t email);


/* Keys. */

#define DOI_SLOT_KEY_SIZE   32      /* SHA-256(scope length (2 BE), scope,
                                       slot)                                 */

int doi_slot_key(doi_str_t scope, doi_str_t slot,
    uint8_t key[DOI_SLOT_KEY_SIZE]);

#define DOI_AGENDA_KEY_SIZE (8 + 4 + DOI_ID_SIZE)   /* hash of the scope, start
                                                       (BE), id              */
void doi_agenda_key(doi_str_t scope, doi_time_t start,
    const uint8_t id[DOI_ID_SIZE], uint8_t key[DOI_AGENDA_KEY_SIZE]);


/* LIMIT: counts one event for each.  CONFLICT: too many, nothing is counted;
   the answer is that of HOLD. */

typedef struct {
    uint32_t     n;
    doi_limit_t  limits[DOI_LIMITS_MAX];    /* n of them are there           */
} doi_limit_arg_t;

#endif /* DOI_BOOKING_H */
