/*
 * The consent ledger in nginx: what its files share.
 *
 *   ngx_http_doi_conf_consent.c  setters and checks of inbound, subscribe,
 *                                unsubscribe, gateway, keyword, message
 *   ngx_http_doi_inbound.c       providers' webhooks
 *   ngx_http_doi_subscribe.c     web opt-in, its confirmation
 *   ngx_http_doi_unsubscribe.c   RFC 8058, human page
 *   ngx_http_doi_deliver_message.c  replies by gateway or mail
 *   ngx_http_doi_conf_gate.c     setters of consent, optout_scope, sync,
 *                                evidence
 *   ngx_http_doi_gate.c          the gate in front of a messaging API
 *   ngx_http_doi_ledger.c        secret, contact ids, events, seals
 *   ngx_http_doi_api_contacts.c, _api_import.c, _api_ledger.c
 *   ngx_http_doi_deliver_sync.c  CRMs
 */

#ifndef NGX_HTTP_DOI_CONSENT_H
#define NGX_HTTP_DOI_CONSENT_H

#include "ngx_http_doi.h"
#include "../core/consent.h"
#include "../core/ledger.h"
#include "../core/keyword.h"
#include "../core/phone.h"
#include "../courier/provider.h"


typedef struct ngx_http_doi_gateway_s {
    ngx_str_t                  url;         /* zero-terminated               */
    doi_provider_t             provider;
    ngx_str_t                  from;
    ngx_str_t                  user;
    ngx_str_t                  secret;
    ngx_str_t                  ca_file;
    ngx_uint_t                 private_ok;  /* allow=private                 */
} ngx_http_doi_gateway_t;                   /* by channel; main conf         */

typedef struct ngx_http_doi_inbound_conf_s {
    doi_provider_t             provider;
    ngx_str_t                  secret;
    ngx_str_t                  verify_token;    /* Meta's GET                */
    ngx_http_complex_value_t  *list;        /* NULL: "default"               */
    ngx_uint_t                 level;       /* DOI_CONSENT_SINGLE, _DOUBLE   */
    ngx_str_t                  country;     /* "49" or empty                 */
} ngx_http_doi_inbound_conf_t;

typedef struct ngx_http_doi_subscribe_conf_s {
    ngx_uint_t                 channel;
    ngx_str_t                  address;     /* field                         */
    ngx_str_t                  person;      /* field or empty                */
    ngx_http_complex_value_t  *list;
    ngx_uint_t                 level;
    ngx_str_t                  country;
    ngx_http_complex_value_t  *wording;     /* wording=: consent text that the
                                               form shows                    */
} ngx_http_doi_subscribe_conf_t;

typedef struct ngx_http_doi_gate_conf_s {
    ngx_uint_t                 level;
    ngx_uint_t                 channel;
    ngx_http_complex_value_t  *address;     /* address=VALUE, or NULL        */
    ngx_array_t               *to;          /* to=FIELD: form fields or JSON
                                               paths; ngx_str_t; or NULL     */
    ngx_http_complex_value_t  *list;
    doi_time_t                 since;       /* 0: not given                  */
    ngx_str_t                  country;
    ngx_uint_t                 learn;       /* learn=twilio: 21610 of the
                                               upstream becomes an opt-out   */
} ngx_http_doi_gate_conf_t;

typedef struct ngx_http_doi_sync_s {
    doi_crm_t                  crm;
    ngx_str_t                  url;
    u_char                     target[DOI_TARGET_SIZE];
    ngx_str_t                  secret;
    ngx_str_t                  ca_file;
    ngx_uint_t                 private_ok;
    ngx_array_t               *lists;       /* list=NAME:ID pairs,
                                               ngx_keyval_t                  */
    doi_time_t                 until;       /* it wants to be left alone, in the
                                               process that delivers         */
} ngx_http_doi_sync_t;                      /* main conf, array              */

/* Whom a DOI_DELIVER_SYNC is for; NULL: nobody that is configured. */
ngx_http_doi_sync_t *ngx_http_doi_sync_find(ngx_http_doi_main_conf_t *conf,
    const doi_outbox_t *row);

/* doi_unsubscribe */

typedef struct ngx_http_doi_unsubscribe_conf_s {
    ngx_http_complex_value_t  *token;
    ngx_http_complex_value_t  *scope;       /* NULL: empty                   */
} ngx_http_doi_unsubscribe_conf_t;

/* How the client's address goes into the evidence (doi_evidence). */

typedef enum {
    NGX_HTTP_DOI_CLIENT_TRUNCATE = 0,       /* /24, /48; default             */
    NGX_HTTP_DOI_CLIENT_HASH,
    NGX_HTTP_DOI_CLIENT_FULL,
    NGX_HTTP_DOI_CLIENT_OFF
} ngx_http_doi_client_e;


/* Derived keys of this store's ledger; NULL until they are loaded: 503. */
const doi_ledger_keys_t *ngx_http_doi_ledger(void);

/* From the store's open to its close; makes the secret at first use; a timer
   that seals runs where the courier's lease is held. */
ngx_int_t ngx_http_doi_ledger_init(ngx_cycle_t *cycle);

/*
 * A contact's normalised address and id.  country: for national numbers, may be
 * empty.  NGX_DECLINED: *err is a static text ("The address ...", "The number
 * ...").
 */
typedef struct ngx_http_doi_contact_s {
    ngx_uint_t                 channel;
    ngx_str_t                  address;
    u_char                     id[DOI_CONTACT_ID];
} ngx_http_doi_contact_t;

ngx_int_t ngx_http_doi_contact(ngx_pool_t *pool, ngx_uint_t channel,
    ngx_str_t *text, ngx_str_t *country, ngx_http_doi_contact_t *contact,
    const char **err);

/*
 * An event: fill arg (but for lengths and keys, which submit fills) and the
 * texts, then submit.  They are copied; too long ones are cut at a character.
 */
typedef struct ngx_http_doi_event_s {
    doi_consent_arg_t          arg;
    ngx_str_t                  said[DOI_SAIDS];
    ngx_str_t                  reply[DOI_REPLIES];
} ngx_http_doi_event_t;

/* Bytes of the longest event. */
#define NGX_HTTP_DOI_EVENT_MAX  32768

/* The event's bytes, for DOI_OP_CONSENT_EVENT and BATCH.  NGX_DECLINED: larger
   than size; *len is what it takes.  NGX_ERROR: no keys. */
ngx_int_t ngx_http_doi_event_pack(ngx_http_doi_event_t *event, u_char *out,
    size_t size, size_t *len);

/* What an event that was done adds to the metrics; flags: those that it had. */
void ngx_http_doi_event_count(ngx_uint_t event, ngx_uint_t source,
    ngx_uint_t flags, const doi_consent_answer_t *answer);

/* NGX_OK: done will be called; NGX_ERROR: it will not (503). */
ngx_int_t ngx_http_doi_event(ngx_http_doi_event_t *event,
    doi_store_done_pt done, void *data);

/* CLIENT and AGENT of the evidence from a request, by its configuration. */
ngx_int_t ngx_http_doi_event_client(ngx_http_request_t *r,
    ngx_http_doi_event_t *event);

/* One contact and list in a snapshot. */
ngx_int_t ngx_http_doi_contact_read(const u_char *id, ngx_str_t *list,
    doi_consent_t *consent);


/* "twilio", "meta", "json"; NGX_DECLINED: none of them. */
ngx_int_t ngx_http_doi_provider(ngx_str_t *name, doi_provider_t *provider);

/* A country code that is assigned, in digits: "49". */
ngx_uint_t ngx_http_doi_is_country(ngx_str_t *country);

/* The list's name: "default" without one. */
ngx_int_t ngx_http_doi_list(ngx_http_request_t *r,
    ngx_http_complex_value_t *value, ngx_str_t *list);

/*
 * The texts of the replies that the event may call for, by doi_message and the
 * pages, in a language; for a prompt that has a link also its token, with which
 * the texts are sealed (arg.confirm).  For mails see
 * ngx_http_doi_deliver_message.c.  After event, channel and list were filled
 * in.
 */
ngx_int_t ngx_http_doi_event_replies(ngx_http_request_t *r,
    ngx_http_doi_event_t *event, size_t lang);

/* What the text of a waiting reply begins with, if it is sealed. */
#define NGX_HTTP_DOI_REPLY_SEALED  1

/* A known contact, copied to the pool; NGX_DECLINED: not known. */
ngx_int_t ngx_http_doi_contact_get(ngx_pool_t *pool, const u_char *id,
    doi_contact_t *contact);

/* Contact and list of a token; NGX_DECLINED: not known, or over. */
ngx_int_t ngx_http_doi_contact_of(ngx_pool_t *pool, const u_char *token,
    doi_purpose_t purpose, doi_contact_t *contact, ngx_str_t *list);

/* confirm: the link of a subscription.  Called when no booking has its id. */
ngx_int_t ngx_http_doi_opt_in_view(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx);
ngx_int_t ngx_http_doi_opt_in_click(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_uint_t event);
ngx_int_t ngx_http_doi_opt_in_answered(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx);

ngx_int_t ngx_http_doi_inbound_handler(ngx_http_request_t *r);

char *ngx_http_doi_consent(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_optout_scope(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_doi_evidence(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_sync(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_merge_gate(ngx_conf_t *cf, ngx_http_doi_loc_conf_t *prev,
    ngx_http_doi_loc_conf_t *conf);

/* The gate: in the access phase before all else; NGX_DECLINED: may pass. */
ngx_int_t ngx_http_doi_gate_handler(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf);

/* learn=: looks at a piece of the upstream's answer. */
void ngx_http_doi_gate_learn(ngx_http_request_t *r, ngx_chain_t *in);

#endif /* NGX_HTTP_DOI_CONSENT_H */
