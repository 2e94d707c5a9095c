/*
 * The outbox: what the world is still to be told, written in the transaction
 * that causes it.
 *
 * A transition writes one *event*.  Whoever delivers (one process at a time)
 * turns it into *deliveries*, by the configuration it has then: FANOUT deletes
 * the event and puts them in its place, in one transaction.  A delivery is
 * deleted when it is done, put off when it failed, or marked dead.
 *
 * Ids are derived, so that whatever is run again writes the same rows, and a
 * message that has to be sent a second time after a crash has the same
 * Message-ID:
 *
 *   event      first 12 bytes of SHA-256("event" || booking id || kind ||
 *              serial (4 bytes BE))
 *   delivery   first 12 bytes of SHA-256("delivery" || event id || kind ||
 *              target)
 *
 * Rows of the consent ledger have the contact's id as that of the booking, its
 * new status as the booking's state, and the ledger's seq as serial, so that
 * the events of one contact differ.  A message (DOI_DELIVER_MESSAGE) has no
 * event that it was fanned out from: event is DOI_EVENT_CONSENT, and what it
 * says is a row of DOI_TABLE_MESSAGES, which goes with it (consent.h).
 */

#ifndef DOI_OUTBOX_H
#define DOI_OUTBOX_H

#include "view.h"


#define DOI_TARGET_SIZE     8       /* names a webhook or a CRM: hash of its
                                       URL                                   */
#define DOI_ERROR_TEXT      200     /* bytes of the last error               */
#define DOI_FANOUT_MAX      64      /* deliveries of one event               */


typedef enum {
    DOI_EVENT_HELD = 1,         /* booking.held                              */
    DOI_EVENT_RESEND,           /* the confirmation mail once more           */
    DOI_EVENT_REMIND,           /* the hold ends soon                        */
    DOI_EVENT_CONFIRMED,        /* booking.confirmed                         */
    DOI_EVENT_CONFIRM_RESEND,   /* the mail about that once more             */
    DOI_EVENT_RELEASED,         /* booking.released: refused, cancelled,
                                   expired                                   */
    DOI_EVENT_IN_DOUBT,         /* booking.in_doubt                          */
    DOI_EVENT_CONSENT,          /* a contact's status has changed            */
    DOI_EVENTS,

    DOI_DELIVER_CONFIRM = 32,   /* mail: please confirm                      */
    DOI_DELIVER_REMIND,         /* mail: please confirm, soon                */
    DOI_DELIVER_BOOKED,         /* mail to the visitor                       */
    DOI_DELIVER_OWNER,          /* mail to the owner: new booking            */
    DOI_DELIVER_CANCELLED,      /* mail to the visitor                       */
    DOI_DELIVER_OWNER_CANCELLED,
    DOI_DELIVER_OWNER_DOUBT,    /* mail to the owner: please look            */
    DOI_DELIVER_CALENDAR,       /* bring the calendar up to date             */
    DOI_DELIVER_WEBHOOK,
    DOI_DELIVER_MESSAGE,        /* a reply to a contact                      */
    DOI_DELIVER_SYNC,           /* bring a CRM up to date                    */
    DOI_DELIVERS
} doi_outbox_kind_t;

/* "held", "resend", ... "confirm", "remind", "booked", "owner", "cancelled",
   "owner_cancelled", "owner_doubt", "calendar", "webhook", "message", "sync";
   "consent"; NULL if none */
const char *doi_outbox_kind_name(unsigned kind);


typedef enum {
    DOI_QUEUED = 0,
    DOI_DEAD
} doi_outbox_state_t;

typedef struct {
    uint8_t      id[DOI_ID_SIZE];
    uint8_t      booking[DOI_ID_SIZE];
    uint8_t      target[DOI_TARGET_SIZE];
    uint8_t      kind;          /* doi_outbox_kind_t                         */
    uint8_t      event;         /* delivery: of which kind of event          */
    uint8_t      state;         /* doi_outbox_state_t                        */
    uint8_t      booking_state; /* as it was at the event                    */
    uint16_t     attempts;      /* tries that failed                         */
    doi_time_t   created;       /* of the event                              */
    doi_time_t   due;           /* next try                                  */
    doi_str_t    error;         /* last one, printable ASCII                 */
} doi_outbox_t;

/* Record codec; outbox.c opens with the table of bytes. */

#define DOI_OUTBOX_MAX      320

int doi_outbox_decode(doi_str_t value, doi_outbox_t *row);
int doi_outbox_encode(const doi_outbox_t *row, doi_buf_t *out);

int doi_outbox_get(doi_view_t *view, const uint8_t id[DOI_ID_SIZE],
    doi_outbox_t *row);

void doi_event_id(const uint8_t booking[DOI_ID_SIZE], unsigned kind,
    uint32_t serial, uint8_t id[DOI_ID_SIZE]);
void doi_delivery_id(const uint8_t event[DOI_ID_SIZE], unsigned kind,
    const uint8_t target[DOI_TARGET_SIZE], uint8_t id[DOI_ID_SIZE]);

/*
 * All that write return DOI_OK or DOI_ERROR.  A row of the same id is replaced;
 * dropping one that is gone is no error.
 */
int doi_outbox_put(doi_view_t *view, const doi_outbox_t *row);
int doi_outbox_drop(doi_view_t *view, const uint8_t id[DOI_ID_SIZE]);

/* Writes an event that is due now. */
int doi_event_put(doi_view_t *view, doi_time_t now,
    const uint8_t booking[DOI_ID_SIZE], unsigned booking_state, unsigned kind,
    uint32_t serial);


/* Rows of DOI_TABLE_QUEUE: state (1 byte), due (4 bytes BE), id. */

#define DOI_QUEUE_KEY_SIZE  (1 + 4 + DOI_ID_SIZE)


/* FANOUT, followed by n of doi_fanout_t.  WON; CONFLICT if the event is
   gone. */

typedef struct {
    uint8_t      id[DOI_ID_SIZE];       /* of the event                      */
    uint16_t     n;                     /* to DOI_FANOUT_MAX; 0: only delete */
    uint16_t     pad;
} doi_fanout_arg_t;

typedef struct {
    uint8_t      target[DOI_TARGET_SIZE];   /* zeros but for WEBHOOK and SYNC */
    uint16_t     kind;                      /* DOI_DELIVER_*                 */
    uint16_t     pad;
} doi_fanout_t;


/*
 * UPDATE of a delivery, followed by error_len bytes of error text.  WON also if
 * the row is gone (done before).
 */

typedef enum {
    DOI_OUTBOX_DONE = 1,        /* deleted                                   */
    DOI_OUTBOX_DEFER,           /* one more attempt failed; next at due      */
    DOI_OUTBOX_BURY,            /* the same, and dead                        */
    DOI_OUTBOX_RETRY            /* operator: dead or waiting, due now; attempts
                                   begin anew; CONFLICT if it is gone        */
} doi_outbox_action_t;

typedef struct {
    uint8_t      id[DOI_ID_SIZE];
    uint16_t     action;
    uint16_t     error_len;     /* at most DOI_ERROR_TEXT                    */
    doi_time_t   due;           /* DEFER                                     */
} doi_outbox_arg_t;

#endif /* DOI_OUTBOX_H */
