/*
 * What the consent ledger's files share among themselves; everybody else gets
 * the transactions from doi_op_function (link.h).
 *
 *   consent.c        names, the step, the gate
 *   contact.c        codec of contacts, and how one is read and written
 *   consent_ops.c    EVENT, BATCH
 *   consent_write.c  how an event is written
 *   consent_rows.c   the rows beside contacts and ledger
 *   consent_reply.c  replies that wait, and their order
 *   consent_admin.c  TOKEN, ERASE, REVIEW, SWEEP
 *   ledger.c         keys, entries, how one is appended
 *   ledger_seal.c    INIT, SEAL
 *   ledger_verify.c  verification, with ledger_epochs.c
 */

#ifndef DOI_CONSENT_OPS_H
#define DOI_CONSENT_OPS_H

#include "booking_ops.h"
#include "ledger.h"
#include "token.h"


doi_result_t doi_op_consent_event(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
doi_result_t doi_op_consent_batch(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
doi_result_t doi_op_consent_token(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
doi_result_t doi_op_consent_erase(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
doi_result_t doi_op_consent_review(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
doi_result_t doi_op_consent_sweep(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
doi_result_t doi_op_ledger_init(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
doi_result_t doi_op_ledger_seal(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);


/* All functions below that return an int return DOI_OK or DOI_ERROR, unless
   they say otherwise. */

/* Contacts. */

/* As doi_contact_decode, with lists of the caller's; one is kept free. */
int doi_contact_parse(doi_str_t value, doi_contact_t *contact,
    doi_contact_list_t *lists, size_t room);
int doi_contact_put(doi_view_t *view, doi_time_t now,
    doi_contact_t *contact);

/* A list that the contact does not have, in its place; others move.  NULL: it
   has DOI_LISTS_MAX. */
doi_contact_list_t *doi_contact_list_add(doi_contact_t *contact,
    doi_str_t name);


/* The ledger. */

#define DOI_MAC_SIZE        32

#define DOI_ENTRY_KEY       (DOI_CONTACT_ID + 4)
#define DOI_ENTRY_BODY      62      /* bytes of an entry before its MAC      */
#define DOI_ENTRY_SIZE      (DOI_ENTRY_BODY + DOI_MAC_SIZE)
#define DOI_CONTENT_MAX     4096

typedef struct {
    const uint8_t  *ledger;
    const uint8_t  *content;
} doi_chain_keys_t;

/* HMAC-SHA256 with a key of 32 bytes. */
int doi_ledger_hmac(const uint8_t *key, const uint8_t *data, size_t len,
    uint8_t mac[DOI_MAC_SIZE]);

void doi_entry_key(const uint8_t contact[DOI_CONTACT_ID], uint32_t seq,
    uint8_t key[DOI_ENTRY_KEY]);

/* MAC of an entry (its first DOI_ENTRY_BODY bytes) after the MAC before. */
int doi_entry_mac(const uint8_t *ledger_key, const uint8_t *before,
    const uint8_t key[DOI_ENTRY_KEY], const uint8_t *body,
    uint8_t mac[DOI_MAC_SIZE]);

/* What an entry commits to; content of at most DOI_CONTENT_MAX bytes. */
int doi_entry_commit(const uint8_t *content_key,
    const uint8_t key[DOI_ENTRY_KEY], doi_str_t content,
    uint8_t commitment[DOI_MAC_SIZE]);

/*
 * Appends to the contact's chain.  Of entry the caller fills in what is not
 * derived: event, source, from, to, reply, given, wording, list_hash, said.
 * The contact's head is moved on; its record is for the caller to write.
 */
int doi_ledger_append(doi_view_t *view, doi_time_t now,
    const doi_chain_keys_t *keys, doi_contact_t *contact,
    doi_entry_t *entry);


#define DOI_PROVIDER_KEY    16
#define DOI_PROVIDER_SIZE   4       /* since when                            */

/* An event that is run. */

typedef struct {
    doi_view_t            *view;
    doi_time_t             now;
    doi_consent_arg_t      arg;
    doi_chain_keys_t       keys;
    doi_str_t              said[DOI_SAIDS];
    doi_str_t              reply[DOI_REPLIES];
    uint8_t                wording[DOI_WORDING_ID];     /* said; zeros: none */
    uint8_t                provider[DOI_PROVIDER_KEY];

    doi_contact_t          contact;
    doi_contact_list_t    *list;        /* of the event                      */
    doi_consent_t          before;
    int                    known;       /* the list had a status             */
    int                    moves;       /* to the person that is said        */
    int                    store;       /* the contact's record              */
    doi_time_t             when;        /* it was said or given; at most now */
    doi_consent_effect_t   effect;
    doi_consent_answer_t   answer;
} doi_consent_op_t;

/* It is not refused: writes all that follows from it. */
int doi_consent_write(doi_consent_op_t *op);

/* A status that has changed begins when that was said, but not before the one
   that it follows. */
void doi_consent_date(const doi_consent_op_t *op,
    const doi_consent_t *before, doi_consent_t *consent);

/* Who has opted out says so once more: 1 if the status begins anew, so that
   what was sent before that is late. */
int doi_consent_stops_again(const doi_consent_op_t *op,
    doi_consent_t *consent);

/* True for STOP and REVOKE. */
int doi_consent_stops(const doi_consent_op_t *op);


/* Epochs. */

#define DOI_EPOCH_SIZE      73      /* version, time, count, digest, MAC     */
#define DOI_EPOCH_BODY      41      /* without the MAC                       */
#define DOI_SEALED_KEY      (4 + DOI_CONTACT_ID)
#define DOI_SEALED_SIZE     (4 + DOI_MAC_SIZE)
#define DOI_EPOCH_LAST      (4 + DOI_MAC_SIZE)

extern const doi_str_t  doi_epoch_last;     /* key in DOI_TABLE_META         */

int doi_epoch_digest(uint8_t digest[DOI_MAC_SIZE],
    const uint8_t contact[DOI_CONTACT_ID], const uint8_t *sealed);
int doi_epoch_mac(const uint8_t *ledger_key, const uint8_t *before,
    uint32_t epoch, const uint8_t *body, uint8_t mac[DOI_MAC_SIZE]);


int doi_row_put(doi_view_t *view, doi_table_t table, const uint8_t *key,
    size_t key_len, const uint8_t *value, size_t len);
int doi_row_del(doi_view_t *view, doi_table_t table, const uint8_t *key,
    size_t key_len);

/*
 * Rows that are found from a contact: key contact id || id, value "".  collect
 * gives the ids, *n of them, in memory of the view; it does not see what its
 * own transaction has written.
 */
int doi_index_put(doi_view_t *view, doi_table_t table,
    const uint8_t contact[DOI_CONTACT_ID], const uint8_t id[DOI_ID_SIZE]);
int doi_index_del(doi_view_t *view, doi_table_t table,
    const uint8_t contact[DOI_CONTACT_ID], const uint8_t id[DOI_ID_SIZE]);

/* tails: what follows the contact's id in keys of len bytes more. */
int doi_index_collect(doi_view_t *view, doi_table_t table,
    const uint8_t contact[DOI_CONTACT_ID], size_t len, uint8_t **tails,
    size_t *n);


/* Persons.  DOI_NOT_FOUND: the person has DOI_PERSON_CONTACTS; nothing done. */
int doi_person_add(doi_view_t *view, doi_str_t person,
    const uint8_t contact[DOI_CONTACT_ID]);
int doi_person_del(doi_view_t *view, doi_str_t person,
    const uint8_t contact[DOI_CONTACT_ID]);
/* Their ids, one after the other; empty if there are none. */
int doi_person_contacts(doi_view_t *view, doi_str_t person, doi_str_t *ids);


/* Tokens. */
int doi_token_put(doi_view_t *view, const uint8_t id[DOI_ID_SIZE],
    const uint8_t contact[DOI_CONTACT_ID], doi_time_t expires,
    unsigned purpose, doi_str_t list);
int doi_token_del(doi_view_t *view, const uint8_t id[DOI_ID_SIZE],
    const uint8_t contact[DOI_CONTACT_ID]);

#define DOI_TOKEN_ROW       17      /* bytes before the list                 */


/* Provider's message ids. */

int doi_provider_key(const uint8_t contact[DOI_CONTACT_ID], doi_str_t id,
    uint8_t key[DOI_PROVIDER_KEY]);


/* A reply that waits, with its row in the outbox; salt tells replies of one
   contact at one head of its chain apart. */
int doi_reply_put(doi_view_t *view, doi_time_t now,
    const doi_contact_t *contact, unsigned state,
    const uint8_t salt[DOI_TARGET_SIZE], const doi_reply_row_t *row);

/* With its rows in DOI_TABLE_MESSAGES, not that in the outbox. */
int doi_reply_del(doi_view_t *view, const uint8_t delivery[DOI_ID_SIZE],
    const uint8_t contact[DOI_CONTACT_ID]);

int doi_review_put(doi_view_t *view, const doi_review_t *review);
int doi_review_del(doi_view_t *view, const uint8_t id[DOI_ID_SIZE],
    const uint8_t contact[DOI_CONTACT_ID]);

/* id of a text; its row is written if there is none. */
int doi_wording_id(doi_str_t text, uint8_t id[DOI_WORDING_ID]);
int doi_wording_put(doi_view_t *view, const uint8_t id[DOI_WORDING_ID],
    doi_str_t text);


typedef enum {
    DOI_STAT_PROMPT = 0,
    DOI_STAT_CONFIRM,
    DOI_STAT_SUBSCRIBE,
    DOI_STAT_OUT,
    DOI_STATS
} doi_stat_t;

/* One more of them. */
int doi_stat_add(doi_view_t *view, doi_time_t now, unsigned channel,
    unsigned source, const uint8_t wording[DOI_WORDING_ID], doi_str_t list,
    doi_stat_t stat);

#endif /* DOI_CONSENT_OPS_H */
