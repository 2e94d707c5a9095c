/*
 * The consent ledger as a pure state machine, and its transactions.
 *
 * A contact is a channel and a normalised address: "sms:+491512345678",
 * "whatsapp:+4915...", "email:ada@example.com".  It has one status per list.
 *
 *   status \ event   SUBSCRIBE           CONFIRM     STOP, REVOKE  OVERRIDE
 *                    single    double
 *   none             single    pending P -           opted_out     single
 *   pending          single    pending R double      opted_out     single
 *   single           -         - P       double (1)  opted_out     -
 *   double           -         -         -           opted_out     -
 *   opted_out        single    pending P -           -             single
 *
 *   P   the prompt is asked for; (1) only if a prompt is outstanding.
 *   R   a reminder, if one is due: only when the contact writes again, at most
 *       three, at least 12 hours apart.  OTHER (a text that is no keyword) does
 *       that too while pending or while a prompt is outstanding.
 *   -   no change; SUBSCRIBE of single or double replies CONFIRMED once more.
 *
 * A SUBSCRIBE from a form (DOI_SOURCE_WEB) is a double one at pending and
 * opted_out, whatever the level: anybody can fill it in.
 *
 * From opted_out lead only the contact's own SUBSCRIBE (DOI_SOURCE_WEB,
 * KEYWORD, IVR) and OVERRIDE; SUBSCRIBE from anybody else is refused there, and
 * while a form that nobody has confirmed yet makes it pending.  OVERRIDE from
 * IMPORT, PROVIDER or SYNC is refused anywhere.  Where P stands at
 * single and a prompt is outstanding, it is R; where R stands and none was ever
 * sent, P.  STOP replies OPTED_OUT once (on the change), REVOKE never.  HELP
 * replies HELP and changes nothing.  A CONFIRM that means nothing counts as
 * OTHER; what comes late may mean nothing: doi_consent_late.
 *
 * Every change of status writes one entry of the ledger (ledger.h) and one
 * event to the outbox (DOI_EVENT_CONSENT); a reply writes one delivery of a
 * message.  Entries without a change of status: a prompt or reminder that was
 * asked for, a review decision, an erasure.
 */

#ifndef DOI_CONSENT_H
#define DOI_CONSENT_H

#include "link.h"
#include "outbox.h"


#define DOI_CONTACT_ID      DOI_ID_SIZE /* 12 bytes: first of
                                           HMAC-SHA256(contact key,
                                           "sms:+49..."): see ledger.h       */
#define DOI_WORDING_ID      DOI_TARGET_SIZE /* 8 bytes: first of
                                               SHA-256(text)                 */

#define DOI_LISTS_MAX       32          /* lists of one contact              */
#define DOI_PERSON_CONTACTS 64          /* contacts of one person            */
#define DOI_REMINDERS_MAX   3
#define DOI_REMIND_EVERY    43200       /* seconds: 12 hours                 */
#define DOI_PROVIDER_KEEP   2592000     /* a provider's message id is known for
                                           30 days                           */


typedef enum {
    DOI_CHANNEL_EMAIL = 0,
    DOI_CHANNEL_SMS,
    DOI_CHANNEL_WHATSAPP,
    DOI_CHANNELS
} doi_channel_t;

typedef enum {
    DOI_CONSENT_NONE = 0,
    DOI_CONSENT_PENDING,
    DOI_CONSENT_SINGLE,
    DOI_CONSENT_DOUBLE,
    DOI_CONSENT_OPTED_OUT,
    DOI_CONSENT_STATES
} doi_consent_state_t;

typedef enum {
    DOI_CONSENT_SUBSCRIBE = 0,
    DOI_CONSENT_CONFIRM,
    DOI_CONSENT_STOP,
    DOI_CONSENT_REVOKE,
    DOI_CONSENT_OVERRIDE,
    DOI_CONSENT_OTHER,
    DOI_CONSENT_HELP,
    DOI_CONSENT_EVENTS
} doi_consent_event_t;

typedef enum {
    DOI_SOURCE_WEB = 0,
    DOI_SOURCE_KEYWORD,
    DOI_SOURCE_AGENT,
    DOI_SOURCE_IVR,
    DOI_SOURCE_IMPORT,
    DOI_SOURCE_API,
    DOI_SOURCE_PROVIDER,                /* "recipient opted out", complaint  */
    DOI_SOURCE_SYNC,                    /* a CRM: not echoed to it           */
    DOI_SOURCES
} doi_source_t;

typedef enum {
    DOI_REPLY_NONE = 0,
    DOI_REPLY_PROMPT,
    DOI_REPLY_REMINDER,
    DOI_REPLY_CONFIRMED,
    DOI_REPLY_OPTED_OUT,
    DOI_REPLY_HELP,
    DOI_REPLIES
} doi_reply_t;

typedef enum {
    DOI_SCOPE_PERSON = 0,               /* all contacts of the person, all
                                           lists                             */
    DOI_SCOPE_CONTACT,                  /* all lists of the contact          */
    DOI_SCOPE_LIST                      /* this list of this contact         */
} doi_optout_scope_t;

/* "email", "sms", "whatsapp"; "none", "pending", "single", "double",
   "opted_out"; "subscribe", "confirm", "stop", "revoke", "override", "other",
   "help"; "web", "keyword", ...; NULL for other numbers.  The _by_ functions
   give -1 for other names. */
const char *doi_channel_name(unsigned channel);
const char *doi_consent_name(unsigned state);
const char *doi_consent_event_name(unsigned event);
const char *doi_source_name(unsigned source);
const char *doi_reply_name(unsigned reply);
int doi_channel_by_name(doi_str_t name);
int doi_consent_by_name(doi_str_t name);
int doi_consent_event_by_name(doi_str_t name);
int doi_source_by_name(doi_str_t name);

/* True if the contact itself is heard there. */
int doi_source_own(unsigned source);


/* The pure step. */

typedef struct {
    uint8_t      state;         /* doi_consent_state_t                       */
    uint8_t      prompted;      /* a prompt is outstanding                   */
    uint8_t      reminders;     /* sent since the prompt                     */
    uint8_t      overridden;    /* active by an override                     */
    doi_time_t   since;         /* of the status                             */
    doi_time_t   asked;         /* last prompt or reminder, 0: none          */
    doi_time_t   opted_in;      /* first became single or double since it was
                                   last opted out or new, 0: not             */
} doi_consent_t;

typedef struct {
    uint8_t      reply;         /* doi_reply_t                               */
    uint8_t      changed;       /* the status is another one                 */
    uint8_t      refused;       /* 1: not from this source                   */
} doi_consent_effect_t;

/* level: DOI_CONSENT_SINGLE or DOUBLE, what the list asks for now. */
void doi_consent_step(doi_consent_t *consent, unsigned event, unsigned source,
    unsigned level, doi_time_t now, doi_consent_effect_t *effect);

/*
 * Providers deliver again for days what was not taken, so a message may come
 * after others that were sent later.  1 if one sent at that time (0: not known)
 * was sent before the status came about that it would raise: a SUBSCRIBE before
 * the opt-out, a CONFIRM before what it would confirm.  An opt-out is never
 * late.
 */
int doi_consent_late(const doi_consent_t *consent, unsigned event,
    doi_time_t at);

/*
 * SET of an import: state is the status to have, since when.  known: there is a
 * status already, which is only ever lowered: opted_out < none < pending <
 * single < double.
 */
void doi_consent_import(doi_consent_t *consent, int known, unsigned state,
    doi_time_t when, doi_consent_effect_t *effect);

/*
 * The gate: 1 if a message may be sent at this level.  since: contacts that
 * opted in (single) before that time count as double; 0: none do.  Otherwise 0,
 * and *reason gets DOI_CONSENT_NONE (never opted in), PENDING, OPTED_OUT, or
 * SINGLE (not confirmed).
 */
int doi_consent_allows(const doi_consent_t *consent, unsigned level,
    doi_time_t since, unsigned *reason);


/* A contact in memory; texts point to memory of the view or of a value. */

typedef struct {
    doi_str_t      name;        /* at most 64 bytes                          */
    uint8_t        wording[DOI_WORDING_ID];     /* of the last prompt        */
    uint8_t        source;      /* of the last change                        */
    doi_consent_t  consent;
} doi_contact_list_t;

typedef struct {
    uint8_t              id[DOI_CONTACT_ID];
    uint8_t              channel;
    uint8_t              erased;        /* address, person, lang and sender are
                                           empty                             */
    uint8_t              stopped;       /* opted out of everything at least
                                           once: an unknown list begins as
                                           opted_out                         */
    doi_time_t           created;
    doi_time_t           changed;
    uint32_t             head_seq;      /* of its chain, see ledger.h        */
    uint8_t              head_mac[32];
    doi_str_t            address;       /* normalised, at most 254 bytes     */
    doi_str_t            person;        /* at most 128 bytes, may be empty   */
    doi_str_t            lang;          /* at most 35 bytes                  */
    doi_str_t            sender;        /* our number or address that the
                                           contact wrote to, at most 64 bytes */
    size_t               nlists;
    doi_contact_list_t  *lists;         /* room for nlists + 1               */
} doi_contact_t;

#define DOI_CONTACT_MAX     8192        /* bytes of a record                 */

/* In contact.c, which opens with the table of bytes.  DOI_OK, DOI_NOT_FOUND,
   DOI_ERROR. */
int doi_contact_decode(doi_view_t *view, doi_str_t value,
    doi_contact_t *contact);
int doi_contact_encode(const doi_contact_t *contact, doi_buf_t *out);
int doi_contact_get(doi_view_t *view, const uint8_t id[DOI_CONTACT_ID],
    doi_contact_t *contact);
/* The list, or NULL. */
doi_contact_list_t *doi_contact_list(const doi_contact_t *contact,
    doi_str_t name);

/*
 * The gate's look at one contact, without allocating or decoding the rest:
 * fast.  DOI_OK, DOI_NOT_FOUND (contact or list: *consent is that of a new one,
 * which is opted_out if the contact was erased or has stopped everything),
 * DOI_ERROR.
 */
int doi_contact_look(doi_view_t *view, const uint8_t id[DOI_CONTACT_ID],
    doi_str_t list, doi_consent_t *consent);


/*
 * Texts of an event, in this order; each at most so many bytes.  What is said
 * of the person (all but ADDRESS, LIST, WORDING) goes into the content part of
 * the ledger's entry, which an erasure removes.
 */

typedef enum {
    DOI_SAID_ADDRESS = 0,       /* 254: normalised, without the channel      */
    DOI_SAID_LIST,              /* 64                                        */
    DOI_SAID_PERSON,            /* 128                                       */
    DOI_SAID_ACTOR,             /* 128                                       */
    DOI_SAID_REASON,            /* 512                                       */
    DOI_SAID_CLIENT,            /* 64: address, truncated or hashed, or in
                                   full                                      */
    DOI_SAID_AGENT,             /* 255: User-Agent                           */
    DOI_SAID_MESSAGE_ID,        /* 128: of the provider                      */
    DOI_SAID_LANG,              /* 35                                        */
    DOI_SAID_SENDER,            /* 64: our number                            */
    DOI_SAID_TEXT,              /* 1600: what the contact wrote              */
    DOI_SAID_WORDING,           /* 8192: of the prompt, or of the form's
                                   consent                                   */
    DOI_SAID_REPLY,             /* 2048: text of the reply, chosen by REPLY: see
                                   nreplies                                  */
    DOI_SAIDS
} doi_said_t;

extern const uint16_t  doi_said_max[DOI_SAIDS];


/*
 * EVENT of consent, followed by the texts, then by those of the replies PROMPT
 * to HELP in the order of doi_reply_t, each with its length in reply_len (0:
 * that reply is not sent; DOI_SAID_REPLY is empty).
 *
 * WON: done, also if nothing changed.  CONFLICT: refused by the table, or a
 * duplicate (answer.duplicate): nothing was written.  With DOI_SCOPE_PERSON or
 * CONTACT a STOP or REVOKE opts out all that the scope says; the reply is for
 * the contact that wrote.
 *
 * A message that is late (doi_consent_late) changes nothing and is not
 * answered: WON.
 *
 * A message id that this contact has delivered before is a duplicate: the
 * answer is what the contact's status is now, with no reply.
 *
 * Run again after a crash between commit and answer, an event with a message id
 * is a duplicate.  One without finds the status reached already and writes no
 * entry: SUBSCRIBE, CONFIRM, STOP, REVOKE, OVERRIDE and SET alike; a reply that
 * waits is not written twice within the hour, nor is a row for the review.
 * What remains is an event of another kind between the two runs (SUBSCRIBE,
 * STOP, the same SUBSCRIBE again): who may submit twice gives a message id,
 * which may be any unique text.
 */

#define DOI_CONSENT_INLINE  0x01        /* the reply goes out in the HTTP
                                           answer: no delivery is written    */
#define DOI_CONSENT_REVIEW  0x02        /* doubtful: put on the review list  */
#define DOI_CONSENT_QUIET   0x04        /* no reply at all                   */
#define DOI_CONSENT_DRY     0x08        /* import's dry run: nothing is written,
                                           the answer says what would be     */
#define DOI_CONSENT_SET     0x10        /* import: level is the status to have
                                           (doi_consent_state_t), see
                                           doi_consent_import; source is
                                           IMPORT                            */
#define DOI_CONSENT_SILENT  0x20        /* nobody listens: no event is
                                           written                           */
#define DOI_CONSENT_KEEP    0x40        /* import, with SET: the row names no
                                           status; a known one stays as it is */
#define DOI_CONSENT_FLAGS   0x7f

typedef struct {
    uint8_t      contact[DOI_CONTACT_ID];
    uint8_t      channel;
    uint8_t      event;
    uint8_t      source;
    uint8_t      level;
    uint8_t      ledger[32];    /* keys of doi_ledger_keys_t, see ledger.h   */
    uint8_t      content[32];
    uint8_t      confirm[DOI_ID_SIZE];  /* id of the confirmation token that the
                                           prompt carries; zeros: none       */
    doi_time_t   confirm_expires;
    doi_time_t   at;            /* import: when it was given; keyword: when
                                   it was sent; 0: now                       */
    uint16_t     flags;         /* DOI_CONSENT_*                             */
    uint16_t     scope;         /* doi_optout_scope_t                        */
    uint16_t     said_len[DOI_SAIDS];
    uint16_t     reply_len[DOI_REPLIES];
    uint16_t     pad;
} doi_consent_arg_t;

typedef struct {
    uint8_t      from;          /* status before and after                   */
    uint8_t      to;
    uint8_t      reply;         /* doi_reply_t: to be sent, or inline        */
    uint8_t      duplicate;
    uint8_t      refused;
    uint8_t      created;       /* the contact was new                       */
    uint16_t     others;        /* opted out along with it                   */
    uint32_t     seq;           /* of the ledger's entry, 0: none            */
} doi_consent_answer_t;

/* BATCH: several EVENTs of an import in one transaction: n times { uint32_t
   len; doi_consent_arg_t and what follows it, len bytes, padded to 4 }.  The
   answer is n doi_consent_answer_t.  All of them, or none. */

#define DOI_BATCH_MAX       64


/*
 * Tokens that name a contact: rows of DOI_TABLE_TOKENS, token id -> expiry (4
 * BE), purpose (1), contact id, list; and contact id, token id -> "", for
 * erasure.  CONFIRM's are written by EVENT (confirm), those for unsubscribing
 * by TOKEN: WON, or CONFLICT if the contact is not known, or the id another's.
 */

typedef struct {
    uint8_t      id[DOI_ID_SIZE];
    uint8_t      contact[DOI_CONTACT_ID];
    doi_time_t   expires;
    uint16_t     purpose;       /* doi_purpose_t                             */
    uint16_t     list_len;      /* followed by the list                      */
} doi_token_arg_t;

/* DOI_OK, DOI_NOT_FOUND, DOI_ERROR; list points to memory of the view. */
int doi_token_contact(doi_view_t *view, const uint8_t id[DOI_ID_SIZE],
    unsigned purpose, uint8_t contact[DOI_CONTACT_ID], doi_str_t *list);


/*
 * ERASE, followed by actor and reason: address, person, content of all entries,
 * tokens, review rows and messages that wait are removed; the contact's row
 * stays with its id (the keyed suppression hash) and all lists opted out; the
 * chain stays whole, with one entry more.  WON also if it was erased before.
 *
 * REVIEW decided, followed by actor and reason: the review row is deleted; WON
 * also if it is gone.
 *
 * CONFLICT: no such contact; the review row is another contact's.
 */

typedef struct {
    uint8_t      contact[DOI_CONTACT_ID];
    uint8_t      ledger[32];    /* keys of doi_ledger_keys_t                 */
    uint8_t      content[32];
    uint8_t      review[DOI_ID_SIZE];   /* REVIEW                            */
    uint16_t     actor_len;
    uint16_t     reason_len;
} doi_contact_arg_t;


/*
 * What waits for somebody to read it: rows of DOI_TABLE_REVIEW.  Key (12
 * bytes): hour (4 BE: Unix seconds, rounded down), 8 bytes of a hash; keys of
 * other lengths (contact id, key -> "") are for erasure and are skipped by
 * readers.
 */

typedef struct {
    uint8_t      contact[DOI_CONTACT_ID];
    uint8_t      channel;
    doi_time_t   time;
    doi_str_t    list;
    doi_str_t    sender;
    doi_str_t    message_id;
    doi_str_t    text;
} doi_review_t;

int doi_review_decode(doi_str_t value, doi_review_t *review);


/*
 * A reply that waits in the outbox (DOI_DELIVER_MESSAGE): DOI_TABLE_MESSAGES,
 * id of the delivery -> this.  Deleted with the outbox's row (outbox.c).
 */

typedef struct {
    uint8_t      reply;         /* doi_reply_t                               */
    uint8_t      confirm[DOI_ID_SIZE];  /* token of the link to confirm, or
                                           zeros                             */
    doi_time_t   confirm_expires;
    doi_str_t    list;
    doi_str_t    sender;
    doi_str_t    text;
} doi_reply_row_t;

int doi_reply_get(doi_view_t *view, const uint8_t delivery[DOI_ID_SIZE],
    doi_reply_row_t *row);

/*
 * Replies to a contact go out in the order in which they were made.  1 if the
 * one before this row of the outbox is still to be sent; one that is dead is
 * not waited for.
 */
int doi_reply_waits(doi_view_t *view, const doi_outbox_t *row);


/*
 * Statistics: rows of DOI_TABLE_STATS, written by EVENT: key day (4 bytes BE,
 * Unix days), channel, source, wording id, doi_list_hash; value four 4-byte BE
 * counts: prompts, confirmations, subscriptions (single), opt-outs; then the
 * list.  Confirmations and opt-outs count for the source and wording that the
 * list had before, so that they stand beside the prompts that they answer.
 */

#define DOI_LIST_HASH       8
#define DOI_STATS_KEY       (4 + 1 + 1 + DOI_WORDING_ID + DOI_LIST_HASH)
#define DOI_STATS_VALUE     16          /* bytes before the list             */

/* First 8 bytes of SHA-256 of the name. */
int doi_list_hash(doi_str_t list, uint8_t hash[DOI_LIST_HASH]);

/* SWEEP of consent: tokens and provider ids that are over, at most limit
   rows. */

#define DOI_CONSENT_SWEEP_KEY   24

typedef struct {
    doi_time_t   mark;
    uint32_t     limit;
    uint8_t      from[DOI_CONSENT_SWEEP_KEY];
    uint32_t     table;         /* 0: tokens, 1: provider ids                */
} doi_consent_sweep_arg_t;

typedef struct {
    uint8_t      next[DOI_CONSENT_SWEEP_KEY];   /* zeros: at the end         */
    uint32_t     dropped;
} doi_consent_sweep_answer_t;

#endif /* DOI_CONSENT_H */
