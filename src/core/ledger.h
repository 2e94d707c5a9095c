/*
 * The evidence: an append-only ledger with a keyed hash chain per contact, and
 * a chain of epochs that seals the heads of those that changed.
 *
 * The ledger's secret: 32 random bytes, made once, kept sealed (seal.h, aad
 * "ledger") under DOI_TABLE_META, key "ledger".  Keys are HKDF-SHA256 of it,
 * empty salt: info "doi/v1/contact" (ids of contacts), "doi/v1/ledger" (MACs),
 * "doi/v1/content" (commitments).  It does not change when keys are rotated; it
 * is sealed anew by the first key then.
 *
 * An entry is two rows: what is chained for good, without anything about the
 * person (DOI_TABLE_LEDGER: contact id, seq (4 BE)), and its content
 * (DOI_TABLE_CONTENT, same key), which the former commits to by an HMAC over it
 * with a random-looking salt (from seq and contact id) and which an erasure
 * removes.  MAC of an entry: HMAC-SHA256(ledger key, MAC before || contact id
 * || seq || entry without its MAC); before the first: zeros.
 *
 * DOI_TABLE_DIRTY has the ids of contacts whose heads are not sealed yet.  SEAL
 * takes up to limit of them, in order, into an epoch: DOI_TABLE_EPOCHS, number
 * (4 BE) -> time, count, digest of the heads, MAC over the MAC of the epoch
 * before and these; DOI_TABLE_SEALED, epoch (4 BE) contact id -> seq, MAC of
 * the head.  The last epoch's number and MAC stand under DOI_TABLE_META, key
 * "epoch".
 */

#ifndef DOI_LEDGER_H
#define DOI_LEDGER_H

#include "consent.h"
#include "hmac.h"


#define DOI_LEDGER_SECRET   32
#define DOI_LEDGER_SEALED_MAX   1024    /* bytes of a sealed secret          */


/* A secret's derived keys; filled once per process. */

typedef struct {
    uint8_t       secret[DOI_LEDGER_SECRET];
    EVP_MAC_CTX  *contact;
    uint8_t       ledger[DOI_SHA256_SIZE];
    uint8_t       content[DOI_SHA256_SIZE];
} doi_ledger_keys_t;

/* For as long as doi_ledger_keys_free() is not called; of one thread. */
int doi_ledger_keys(const uint8_t secret[DOI_LEDGER_SECRET],
    doi_ledger_keys_t *keys);
void doi_ledger_keys_free(doi_ledger_keys_t *keys);

/* Of channel name, ":", address. */
int doi_contact_id(const doi_ledger_keys_t *keys, unsigned channel,
    doi_str_t address, uint8_t id[DOI_CONTACT_ID]);


/* An entry as it is shown. */

typedef struct {
    uint32_t      seq;
    doi_time_t    time;
    uint8_t       event;        /* doi_consent_event_t; DOI_ENTRY_*          */
    uint8_t       source;
    uint8_t       from;
    uint8_t       to;
    uint8_t       reply;
    uint8_t       erased;       /* its content is gone                       */
    doi_time_t    given;        /* import: when consent was given; keyword:
                                   when it was sent; 0: then                 */
    uint8_t       wording[DOI_WORDING_ID];
    uint8_t       list_hash[DOI_LIST_HASH];     /* zeros: all lists          */
    uint8_t       commitment[32];
    uint8_t       mac[32];
    doi_str_t     said[DOI_SAIDS];      /* empty if erased; not ADDRESS, LIST,
                                           WORDING, REPLY                    */
} doi_entry_t;

#define DOI_ENTRY_ERASED    64
#define DOI_ENTRY_REVIEWED  65
#define DOI_ENTRY_IMPORTED  66          /* DOI_CONSENT_SET                   */

/* ledger.c opens with the tables of bytes.  content empty: there is none.
   seq is that of the key.  DOI_OK or DOI_ERROR; the texts point into
   content. */
int doi_entry_decode(doi_str_t row, doi_str_t content, doi_entry_t *entry);


/*
 * Verification, in pieces, so that a large ledger is checked in many short
 * reads: from an empty cursor to cursor.done.  Problems are counted and the
 * first ones described: changed, removed, truncated and reordered entries,
 * heads and statuses that do not fit, epochs that do not.  Entries may be added
 * meanwhile.
 */

#define DOI_PROBLEMS        16

typedef struct {
    unsigned     stage;         /* 0 chains, 1 heads, 2 epochs, 3 unsealed   */
    uint8_t      contact[DOI_CONTACT_ID];       /* row that was looked at
                                                   last                      */
    uint32_t     seq;
    uint8_t      mac[32];
    uint32_t     missing;       /* first entry without its content, or 0     */
    unsigned     nlists;        /* what the chain says of the lists          */
    struct {
        uint8_t     hash[DOI_LIST_HASH];
        uint8_t     state;
        doi_time_t  opted_in;   /* 0: not                                    */
        uint8_t     overridden;
    }            lists[DOI_LISTS_MAX];
    uint32_t     epoch;         /* that is looked at                         */
    uint32_t     count;         /* of its heads so far, with their digest    */
    uint8_t      digest[32];
    uint8_t      open;          /* not all of them yet                       */
    uint8_t      gap;           /* the epoch before is missing               */
    int          done;

    uint64_t     entries;
    uint64_t     contacts;
    uint32_t     epochs;
    uint64_t     unsealed;      /* heads that no epoch covers yet            */
    uint64_t     problems;
    char         text[DOI_PROBLEMS][160];
    uint32_t     last_epoch;    /* and its MAC: the seal to keep elsewhere   */
    uint8_t      last_mac[32];
} doi_verify_t;

/* Looks at no more than limit rows.  DOI_OK, or DOI_ERROR: driver. */
int doi_ledger_verify(doi_view_t *view, const doi_ledger_keys_t *keys,
    doi_verify_t *verify, uint32_t limit);

/* An exported seal (number, MAC) against the store: DOI_OK if that epoch is
   there with this MAC, DOI_NOT_FOUND if not, DOI_ERROR. */
int doi_ledger_seal_known(doi_view_t *view, uint32_t epoch,
    const uint8_t mac[32]);


/*
 * LEDGER_INIT: followed by a sealed secret; stored if there is none.  The
 * answer is the sealed secret that is stored.  With replace 1 and the old one
 * right (SHA-256 of it), stores this one: key rotation; CONFLICT if the old one
 * is another.
 *
 * LEDGER_SEAL: makes an epoch of at most limit dirty heads.  CONFLICT if there
 * is none.  The answer is the epoch's number (uint32_t) and MAC.
 */

typedef struct {
    uint32_t     replace;
    uint32_t     sealed_len;
    uint8_t      old[32];
} doi_ledger_init_arg_t;

#define DOI_LEDGER_SEAL_MAX 1000

typedef struct {
    uint8_t      ledger[32];    /* key of doi_ledger_keys_t                  */
    uint32_t     limit;         /* to DOI_LEDGER_SEAL_MAX                    */
} doi_ledger_seal_arg_t;

typedef struct {
    uint32_t     epoch;
    uint32_t     count;
    uint8_t      mac[32];
} doi_ledger_seal_answer_t;

#endif /* DOI_LEDGER_H */
