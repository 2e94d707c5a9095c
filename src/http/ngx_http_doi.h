/*
 * What the files of src/http share.  They parse, submit to the store and
 * answer; what a link is and may become is decided in src/core.
 *
 *   ngx_http_doi_module.c     directives, configuration, module
 *   ngx_http_doi_conf.c       setters of the directives
 *   ngx_http_doi_conf_files.c    likewise, those that have to do with files
 *   ngx_http_doi_process.c    the store in a worker: open, wake up, close
 *   ngx_http_doi_conf_check.c  checks of a location
 *   ngx_http_doi_conf_booking.c  setters and checks of the booking directives
 *   ngx_http_doi_conf_courier.c  setters of doi_mail, doi_webhook, doi_caldav
 *   ngx_http_doi_link.c       access phase: view, claim
 *   ngx_http_doi_hold.c       access phase: a form becomes a hold
 *   ngx_http_doi_form.c       fields of the form, limits
 *   ngx_http_doi_confirm.c    access phase: the booking, its buttons
 *   ngx_http_doi_replay.c     the stored request, sealed and brought back
 *   ngx_http_doi_settle.c     header filter and log phase: settle
 *   ngx_http_doi_request.c    what is cut out of a request
 *   ngx_http_doi_cookie.c     cookies
 *   ngx_http_doi_page.c       pages and problems
 *   ngx_http_doi_vars.c       variables
 *   ngx_http_doi_api.c        JSON API: routing, bodies, answers
 *   ngx_http_doi_api_mint.c   JSON API: mint
 *   ngx_http_doi_api_links.c  JSON API: show, list, revoke, resolve
 *   ngx_http_doi_api_bookings.c  JSON API: bookings
 *   ngx_http_doi_api_outbox.c    JSON API: outbox, suppressed addresses
 *   ngx_http_doi_courier.c    one process delivers: lease, queue, results
 *   ngx_http_doi_deliver.c    what an event means, one delivery at a time;
 *   ngx_http_doi_deliver_fanout.c, _mail.c, _calendar.c, _webhook.c
 *   ngx_http_doi_ical.c       a booking as an appointment
 *   ngx_http_doi_feed.c       calendar feed
 *   ngx_http_doi_api_routes.c  JSON API: which call a request is
 *   ngx_http_doi_api_{contacts,unsubscribe,ledger,review,import,import_row,
 *                    export}.c  JSON API: consent
 *   ngx_http_doi_ledger.c, _event.c   the consent ledger, see
 *                             ngx_http_doi_consent.h
 *   ngx_http_doi_gate.c, _gate_recipients.c, _conf_gate.c   doi_consent
 *   ngx_http_doi_deliver_sync.c  CRMs
 *   ngx_http_doi_metrics.c    Prometheus
 *   ngx_http_doi_metrics_consent.c  ... prompts and confirmations by day
 */

#ifndef NGX_HTTP_DOI_H
#define NGX_HTTP_DOI_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "../core/bytes.h"
#include "../core/token.h"
#include "../core/link.h"
#include "../core/booking.h"
#include "../core/consent.h"
#include "../core/keyword.h"
#include "../core/form.h"
#include "../core/address.h"
#include "../core/seal.h"
#include "../core/pages.h"
#include "../store/store.h"
#include "../courier/courier.h"
#include "../courier/ical.h"
#include "../courier/message.h"


#define NGX_HTTP_DOI_COOKIE_LEN   22    /* 16 random bytes in base64url */

#define NGX_HTTP_DOI_API_READ     0x01
#define NGX_HTTP_DOI_API_MINT     0x02
#define NGX_HTTP_DOI_API_RESOLVE  0x04
#define NGX_HTTP_DOI_API_CONSENT  0x08
#define NGX_HTTP_DOI_API_OVERRIDE 0x10

#define NGX_HTTP_DOI_DELIVERS     (DOI_DELIVERS - DOI_DELIVER_CONFIRM)

#define NGX_HTTP_DOI_UPSTREAMS    5     /* proxy, fastcgi, uwsgi, scgi, grpc */

#define NGX_HTTP_DOI_CONSENT_EVENTS   8     /* at least DOI_CONSENT_EVENTS   */
#define NGX_HTTP_DOI_CONSENT_SOURCES  8     /* at least DOI_SOURCES          */


/* What the gate of doi_consent said. */

typedef enum {
    NGX_HTTP_DOI_GATE_PASSED = 0,
    NGX_HTTP_DOI_GATE_NEVER,
    NGX_HTTP_DOI_GATE_PENDING,
    NGX_HTTP_DOI_GATE_OUT,
    NGX_HTTP_DOI_GATE_SINGLE,           /* not confirmed                     */
    NGX_HTTP_DOI_GATE_INVALID,          /* no recipient, or not an address   */
    NGX_HTTP_DOI_GATE_UNAVAILABLE,
    NGX_HTTP_DOI_GATE_RESULTS
} ngx_http_doi_gate_e;


/* Counters of all workers, in a shared zone that survives reloads. */

typedef struct {
    doi_store_stats_t  store;
    _Atomic uint64_t   minted;
    _Atomic uint64_t   viewed;          /* live links opened                 */
    _Atomic uint64_t   claimed;
    _Atomic uint64_t   used;
    _Atomic uint64_t   released;
    _Atomic uint64_t   in_doubt;
    _Atomic uint64_t   resolved;
    _Atomic uint64_t   revoked;
    _Atomic uint64_t   pages[DOI_PAGES];
    _Atomic uint64_t   refused[DOI_TOKEN_FAILED + 1];   /* by doi_token_rc_t */

    /* bookings, counted when their events are taken from the outbox */
    _Atomic uint64_t   events[DOI_EVENTS];              /* doi_outbox_kind_t */
    _Atomic uint64_t   released_by[DOI_BOOKING_STATES]; /* state it ended in */
    _Atomic uint64_t   limited;                         /* submissions       */

    /* deliveries, by kind less DOI_DELIVER_CONFIRM */
    _Atomic uint64_t   queued[NGX_HTTP_DOI_DELIVERS];
    _Atomic uint64_t   sent[NGX_HTTP_DOI_DELIVERS];
    _Atomic uint64_t   failed[NGX_HTTP_DOI_DELIVERS];   /* tries             */
    _Atomic uint64_t   dead[NGX_HTTP_DOI_DELIVERS];
    _Atomic uint64_t   suppressed;                      /* mails not sent    */

    /* changes of a status, by event and source */
    _Atomic uint64_t   consent[NGX_HTTP_DOI_CONSENT_EVENTS]
                              [NGX_HTTP_DOI_CONSENT_SOURCES];
    _Atomic uint64_t   prompts;
    _Atomic uint64_t   confirmations;
    _Atomic uint64_t   gate[NGX_HTTP_DOI_GATE_RESULTS];
} ngx_http_doi_stats_t;

#define ngx_http_doi_count(counter)                                           \
    (void) atomic_fetch_add_explicit(counter, 1, memory_order_relaxed)


/* doi_mail.  Strings end with a zero; NULL data: not given. */

typedef struct {
    ngx_str_t                  url;         /* smtp://host:port, smtps://…,
                                               or the Maildir's full path    */
    ngx_uint_t                 maildir;     /* 1: it is one                  */
    ngx_uint_t                 starttls;    /* doi_tls_t                     */
    ngx_str_t                  from_name;   /* may be empty                  */
    ngx_str_t                  from;        /* normalised address            */
    ngx_str_t                  user;
    ngx_str_t                  password;
    ngx_str_t                  ca_file;
    ngx_str_t                  helo;
    time_t                     timeout;
} ngx_http_doi_mail_t;


typedef struct {
    ngx_str_t                  url;
    u_char                     target[DOI_TARGET_SIZE]; /* SHA-256 of the URL */
    u_char                     secret[DOI_WEBHOOK_SECRET_MAX];
    size_t                     secret_len;
    ngx_uint_t                 events;      /* bits: 1 << doi_outbox_kind_t  */
    ngx_uint_t                 private_ok;  /* allow=private                 */
    ngx_str_t                  ca_file;
} ngx_http_doi_webhook_t;


/* doi_caldav.  All that the configuration names stand in the main one's list,
   by which the courier finds what a booking says. */

typedef struct {
    ngx_str_t                  url;         /* of the collection, ends in "/" */
    ngx_str_t                  user;
    ngx_str_t                  password;
    ngx_str_t                  ca_file;
} ngx_http_doi_caldav_t;


typedef struct {
    ngx_str_t                  path;        /* as doi_templates; empty: ours */
    doi_pages_t               *pages;
} ngx_http_doi_pages_set_t;


/* What doi_limit counts by. */

typedef enum {
    NGX_HTTP_DOI_LIMIT_RECIPIENT = 0,       /* mails to one address          */
    NGX_HTTP_DOI_LIMIT_ADDRESS,             /* holds of one address          */
    NGX_HTTP_DOI_LIMIT_NETWORK,             /* holds from one /24 or /64     */
    NGX_HTTP_DOI_LIMIT_SLOT,                /* holds of one slot             */
    NGX_HTTP_DOI_LIMIT_GLOBAL,
    NGX_HTTP_DOI_LIMITS
} ngx_http_doi_limit_e;

typedef struct {
    ngx_uint_t                 kind;        /* ngx_http_doi_limit_e          */
    doi_limit_t                limit;       /* without the key               */
} ngx_http_doi_limit_t;

extern const char *const  ngx_http_doi_limit_names[NGX_HTTP_DOI_LIMITS];


typedef struct {
    ngx_str_t                  store;       /* full path, zero-terminated    */
    off_t                      store_size;
    ngx_shm_zone_t            *zone;
    ngx_http_doi_stats_t      *stats;
    ngx_uint_t                 upstream[NGX_HTTP_DOI_UPSTREAMS];
    ngx_uint_t                 nupstreams;  /* ctx_index of those built in   */

    ngx_http_doi_mail_t       *mail;        /* NULL: none                    */
    ngx_array_t               *webhooks;    /* ngx_http_doi_webhook_t        */
    ngx_array_t               *caldavs;     /* ngx_http_doi_caldav_t *       */
    ngx_array_t               *pages;       /* ngx_http_doi_pages_set_t      */
    ngx_array_t               *rings;       /* doi_keyring_t *: all of them, to
                                               unseal what any server sealed */
    ngx_uint_t                 holds;       /* doi_hold, doi_confirm or doi_api
                                               is somewhere: a courier is
                                               needed                        */

    struct ngx_http_doi_gateway_s  *gateways[DOI_CHANNELS];

    ngx_uint_t                 consent;     /* a directive of the consent ledger
                                               is somewhere                  */
    ngx_array_t               *syncs;       /* ngx_http_doi_sync_t           */
} ngx_http_doi_main_conf_t;


typedef struct {
    ngx_uint_t                 lo;          /* first and last status code    */
    ngx_uint_t                 hi;
} ngx_http_doi_codes_t;


typedef struct {
    ngx_http_complex_value_t  *name;
    ngx_http_complex_value_t  *email;
    ngx_http_complex_value_t  *phone;
    ngx_http_complex_value_t  *url;
} ngx_http_doi_owner_t;


typedef struct {
    ngx_http_complex_value_t  *token;       /* NULL: from the cookie */
    ngx_http_complex_value_t  *scope;       /* NULL: empty scope */
    ngx_flag_t                 cookie;      /* set the cookie at first view */
} ngx_http_doi_link_conf_t;


/* doi_hold.  Fields are names in a form, or paths in JSON ("who.email"). */

typedef struct {
    ngx_http_complex_value_t  *cond;        /* if=; NULL: always             */
    ngx_http_complex_value_t  *scope;       /* NULL: empty                   */
    ngx_str_t                  email;
    ngx_array_t                slot;        /* ngx_str_t, at least one       */
    ngx_str_t                  name;        /* empty: not given              */
    ngx_str_t                  lang;
    ngx_str_t                  tz;
    ngx_http_complex_value_t  *zone;        /* timezone=, NULL: none         */
    ngx_http_complex_value_t  *summary;     /* NULL: a text of the pages     */
    time_t                     ttl;         /* seconds                       */
    time_t                     remind;      /* seconds before the end, or 0  */
    time_t                     duration;    /* seconds, or 0                 */
} ngx_http_doi_hold_conf_t;


/* doi_confirm */

typedef struct {
    ngx_http_complex_value_t  *token;
    ngx_http_complex_value_t  *scope;       /* NULL: empty                   */
    ngx_http_complex_value_t  *start;       /* start=: where to book anew    */
    ngx_uint_t                 upstream;    /* answer=upstream               */
    ngx_uint_t                 code;        /* code=on                       */
} ngx_http_doi_confirm_conf_t;


typedef struct {
    doi_keyring_t             *ring;
    ngx_http_complex_value_t  *base_url;
    ngx_http_complex_value_t  *url[DOI_PURPOSE_UNSUBSCRIBE + 1];

    ngx_http_doi_link_conf_t  *link;        /* NULL: off */
    ngx_http_doi_hold_conf_t  *hold;        /* NULL: off */
    ngx_http_doi_confirm_conf_t  *confirm;  /* NULL: off */
    ngx_array_t               *limits;      /* ngx_http_doi_limit_t */
    ngx_http_doi_caldav_t     *caldav;      /* NULL: none */
    ngx_str_t                  templates;   /* path as given, or empty */
    ngx_http_complex_value_t  *feed;        /* scope; NULL: off */

    ngx_array_t               *success;     /* ngx_http_doi_codes_t */
    ngx_str_t                  success_header;
    ngx_str_t                  success_value;
    ngx_array_t               *release;     /* ngx_http_doi_codes_t */
    ngx_flag_t                 idempotent;
    ngx_uint_t                 in_doubt;    /* 1: release */
    time_t                     claim_timeout;

    ngx_http_doi_owner_t      *owner;
    doi_pages_t               *pages;
    ngx_str_t                 *invalid;     /* DOI_PAGE_INVALID, made already:
                                               HTML, JSON per language       */
    ngx_uint_t                 api;         /* NGX_HTTP_DOI_API_* */
    ngx_flag_t                 metrics;

    /* each NULL: off */
    struct ngx_http_doi_inbound_conf_s      *inbound;
    struct ngx_http_doi_subscribe_conf_s    *subscribe;
    struct ngx_http_doi_unsubscribe_conf_s  *unsubscribe;
    doi_keywords_t            *keywords;
    ngx_http_complex_value_t  *messages[DOI_MESSAGES];

    struct ngx_http_doi_gate_conf_s  *gate; /* NULL: off */
    ngx_uint_t                 optout_scope;    /* doi_optout_scope_t */
    ngx_uint_t                 evidence;    /* ngx_http_doi_client_e */
} ngx_http_doi_loc_conf_t;


/*
 * What a request is to the module.  Allocated from the request's pool, found
 * again after an internal redirect through a pool cleanup.
 */

typedef enum {
    NGX_HTTP_DOI_START = 0,
    NGX_HTTP_DOI_BODY,          /* reading the body                          */
    NGX_HTTP_DOI_CLAIM,         /* body is there, to be claimed              */
    NGX_HTTP_DOI_WAIT,          /* an operation is under way                 */
    NGX_HTTP_DOI_ANSWERED,      /* its answer is in result and answer        */
    NGX_HTTP_DOI_PASSED         /* let through                               */
} ngx_http_doi_stage_e;

typedef struct {
    ngx_http_doi_stage_e       stage;
    doi_token_t                token;
    ngx_str_t                  text;        /* the token as presented        */
    ngx_str_t                  scope;
    u_char                     id[DOI_ID_CHARS];

    ngx_str_t                  browser;     /* value of the browser's cookie */
    ngx_str_t                  uri;         /* as the client sent it         */

    u_char                     attempt[DOI_ATTEMPT_SIZE];
    ngx_str_t                  key;         /* Idempotency-Key               */
    struct ngx_http_doi_op_s  *op;          /* in flight                     */
    doi_result_t               result;
    doi_link_answer_t          answer;
    ngx_uint_t                 state;       /* doi_link_state_t, for
                                               $doi_state                    */
    ngx_http_doi_loc_conf_t   *conf;        /* of the location that claimed  */
    ngx_uint_t                 asked;       /* upstreams before the claim    */
    ngx_uint_t                 outcome;     /* doi_outcome_t once settled    */
    ngx_chain_t               *page;        /* to be sent in place of nginx's */

    struct ngx_http_doi_api_s *api;         /* call to the API               */
    struct ngx_http_doi_gate_s  *gate;      /* doi_consent                   */
    struct ngx_http_doi_booking_s  *booking;    /* doi_hold, doi_confirm     */

    ngx_str_t                  url_token;   /* $doi_token while a link is    */
    ngx_str_t                  url_scope;   /* made, and $doi_scope          */

    unsigned                   genuine:1;   /* token, id, scope are filled   */
    unsigned                   known:1;     /* state is filled               */
    unsigned                   claimed:1;   /* a claim is held, to be settled */
    unsigned                   claiming:1;  /* the operation is a claim      */
    unsigned                   new_browser:1;   /* cookie is to be set       */
    unsigned                   token_cookie:1;  /* likewise, with the token  */
    unsigned                   replaced:1;  /* the body is a page of ours    */
    unsigned                   passed:1;    /* let through in a location
                                               before                        */
} ngx_http_doi_ctx_t;


/* module */

extern ngx_module_t  ngx_http_doi_module;

/* conf */

char *ngx_http_doi_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_base_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_link(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_success(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_release(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_owner(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_templates(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

doi_pages_t *ngx_http_doi_pages_create(ngx_conf_t *cf);
ngx_int_t ngx_http_doi_remember_pages(ngx_conf_t *cf, ngx_str_t *path,
    doi_pages_t *pages);

/* A whole small file into memory of cf->pool; says itself what went wrong. */
ngx_int_t ngx_http_doi_read_file(ngx_conf_t *cf, ngx_str_t *path, size_t max,
    ngx_file_info_t *fi, doi_str_t *content);

/* NGX_OK if arg is name, which ends in "=", followed by a value. */
ngx_int_t ngx_http_doi_param(ngx_str_t *arg, const char *name,
    ngx_str_t *value);

/* Compiles text into a complex value. */
char *ngx_http_doi_complex(ngx_conf_t *cf, ngx_str_t *text,
    ngx_http_complex_value_t **value);

char *ngx_http_doi_store_lock(ngx_conf_t *cf, ngx_http_doi_main_conf_t *mcf);

/* process */

ngx_int_t ngx_http_doi_init_process(ngx_cycle_t *cycle);
void ngx_http_doi_exit_process(ngx_cycle_t *cycle);

/* The store of this process, or NULL while it cannot be opened. */
doi_store_t *ngx_http_doi_process_store(void);

/* The process ends: operations are still done, but no request goes on. */
ngx_uint_t ngx_http_doi_exiting(void);

/* Seconds by the store's clock. */
doi_time_t ngx_http_doi_now(void);

/*
 * doi_store_submit, with the flush posted to the end of this turn of the event
 * loop.  NGX_OK: done will be called; NGX_ERROR: it will not.
 */
ngx_int_t ngx_http_doi_submit(ngx_uint_t op, void *arg, size_t len,
    doi_store_done_pt done, void *data);

/* Sends what was submitted, before anything else is done. */
void ngx_http_doi_flush(void);

/* link */

ngx_int_t ngx_http_doi_link_handler(ngx_http_request_t *r);
ngx_http_doi_ctx_t *ngx_http_doi_get_ctx(ngx_http_request_t *r);
ngx_http_doi_ctx_t *ngx_http_doi_create_ctx(ngx_http_request_t *r);

/* settle */

ngx_int_t ngx_http_doi_settle_init(ngx_conf_t *cf);
ngx_int_t ngx_http_doi_log_handler(ngx_http_request_t *r);

/*
 * Settles a claim (doi_outcome_t) by DOI_OP_LINK_SETTLE or
 * DOI_OP_BOOKING_SETTLE; no request is needed.  Tried again for some minutes if
 * the store cannot take it; after that the claim is in doubt.
 */
void ngx_http_doi_settle(ngx_uint_t op, const uint8_t *id,
    const uint8_t *attempt, ngx_uint_t outcome, ngx_uint_t status);

/* Whether an upstream was asked since the claim. */
ngx_uint_t ngx_http_doi_asked(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx);

/* Settles the claim of a request by what the upstream did. */
void ngx_http_doi_settle_request(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx);

/* request */

/*
 * Cuts the token that was presented (it may be empty) out of a path, URI or
 * request line; with lookalikes, for logs, also what looks like one.  Whole
 * path segments and whole arguments go with what separates them.
 */
ngx_int_t ngx_http_doi_cut(ngx_pool_t *pool, ngx_str_t *uri, ngx_str_t *token,
    ngx_uint_t lookalikes, ngx_str_t *out);

/* The first place of needle, or NULL. */
u_char *ngx_http_doi_search(u_char *p, size_t len, ngx_str_t *needle);

ngx_int_t ngx_http_doi_rewrite_handler(ngx_http_request_t *r);

/* Takes the token out of what nginx logs of the request, and out of
   $request_uri. */
ngx_int_t ngx_http_doi_hide(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx);

/* Takes tokens out of the Referer that nginx logs; the header stays. */
ngx_int_t ngx_http_doi_hide_referer(ngx_http_request_t *r);

/* Takes token, Referer and own cookies out of the request that goes on to the
   upstream, and puts Idempotency-Key in. */
ngx_int_t ngx_http_doi_clean_request(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx);

/* The first header of this name (whatever the case), or NULL. */
ngx_table_elt_t *ngx_http_doi_find_header(ngx_list_t *headers,
    const char *name);

/* Whether a header has this name, whatever the case. */

static ngx_inline ngx_uint_t
ngx_http_doi_is(ngx_str_t *key, const char *name)
{
    return key->len == ngx_strlen(name)
           && ngx_strncasecmp(key->data, (u_char *) name, key->len) == 0;
}


/* How many headers of that name there are: of two, an app may read another
   than we do. */
ngx_uint_t ngx_http_doi_headers(ngx_http_request_t *r, const char *name);

ngx_int_t ngx_http_doi_same_origin(ngx_http_request_t *r);
ngx_int_t ngx_http_doi_add_header(ngx_http_request_t *r, const char *name,
    size_t name_len, u_char *value, size_t value_len);

#define ngx_http_doi_header(r, name, value, len)                              \
    ngx_http_doi_add_header(r, name, sizeof(name) - 1, (u_char *) (value), len)
#define ngx_http_doi_header_str(r, name, value)                               \
    ngx_http_doi_header(r, name, value, sizeof(value) - 1)

/* cookie */

ngx_int_t ngx_http_doi_get_cookie(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value);
ngx_int_t ngx_http_doi_scope_cookie(ngx_pool_t *pool, ngx_str_t *scope,
    ngx_str_t *name);
ngx_int_t ngx_http_doi_browser(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx);
ngx_int_t ngx_http_doi_browser_hash(ngx_http_doi_ctx_t *ctx,
    u_char hash[DOI_BROWSER_SIZE]);

/* Cryptographically secure; len is at most 64 bytes.  Not before a fork. */
ngx_int_t ngx_http_doi_random(u_char *out, size_t len);
ngx_int_t ngx_http_doi_set_cookies(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx);

/* page */

/*
 * Sets status and headers for a page and puts its body into ctx->page; the
 * header is not sent yet.
 */
ngx_int_t ngx_http_doi_make_page(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, doi_page_t page);

/*
 * Answers with a page and finalizes the request; always NGX_DONE, for the
 * access phase to return.
 */
ngx_int_t ngx_http_doi_send_page(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, doi_page_t page);

/* Makes at configuration time what does not depend on the request. */
ngx_int_t ngx_http_doi_page_prepare(ngx_conf_t *cf,
    ngx_http_doi_loc_conf_t *conf);

/* The page for a state of a link that does not let the visitor in. */
doi_page_t ngx_http_doi_state_page(const doi_link_answer_t *answer);

/* checks */

char *ngx_http_doi_check_handlers(ngx_conf_t *cf,
    ngx_http_doi_loc_conf_t *prev, ngx_http_doi_loc_conf_t *conf);
ngx_int_t ngx_http_doi_check_store(ngx_conf_t *cf, const char *name);
ngx_int_t ngx_http_doi_check_key(ngx_conf_t *cf, const void *rings,
    const char *name);
char *ngx_http_doi_check_link(ngx_conf_t *cf, ngx_http_doi_loc_conf_t *conf,
    const char *name);
char *ngx_http_doi_check_upstreams(ngx_conf_t *cf,
    ngx_http_doi_loc_conf_t *conf, const char *name);

/* booking directives */

char *ngx_http_doi_hold(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_confirm(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_mail(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_webhook(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_caldav(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_feed(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

char *ngx_http_doi_inbound(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_gateway(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_keyword(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_message(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_subscribe(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_doi_unsubscribe(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_doi_merge_consent(ngx_conf_t *cf, ngx_http_doi_loc_conf_t *prev,
    ngx_http_doi_loc_conf_t *conf);
ngx_int_t ngx_http_doi_subscribe_handler(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf);
ngx_int_t ngx_http_doi_unsubscribe_handler(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf);

/* The first line of a file that others may not read, zero-terminated. */
char *ngx_http_doi_secret_file(ngx_conf_t *cf, const char *directive,
    ngx_str_t *path, ngx_str_t *secret);

/* scheme, at least one character of a host, nothing that a URL may not have. */
ngx_uint_t ngx_http_doi_is_url(ngx_str_t *url, const char *scheme);

/* Limits of a location, with the defaults of those that are not given. */
char *ngx_http_doi_default_limits(ngx_conf_t *cf,
    ngx_http_doi_loc_conf_t *conf);

/* Merges them, and refuses what would let a booking slip past the module. */
char *ngx_http_doi_merge_booking(ngx_conf_t *cf, ngx_http_doi_loc_conf_t *prev,
    ngx_http_doi_loc_conf_t *conf);

/* hold, confirm: called by ngx_http_doi_link_handler, which stands in the
   access phase for all three; at most one of them is in a location */

ngx_int_t ngx_http_doi_hold_handler(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf);
ngx_int_t ngx_http_doi_confirm_handler(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf);

/* feed: content handler */

ngx_int_t ngx_http_doi_feed_handler(ngx_http_request_t *r);

/* courier: from init_process and exit_process of a worker */

ngx_int_t ngx_http_doi_courier_init(ngx_cycle_t *cycle);
void ngx_http_doi_courier_exit(ngx_cycle_t *cycle);

/* The outbox has new rows: look now, not at the next tick. */
void ngx_http_doi_courier_wake(void);

/* vars */

ngx_int_t ngx_http_doi_add_variables(ngx_conf_t *cf);

/*
 * base_url and the path of doi_url for a token, through the variables
 * $doi_token and $doi_scope.  NGX_DECLINED: not configured.
 */
ngx_int_t ngx_http_doi_make_url(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf, doi_purpose_t purpose, ngx_str_t *token,
    ngx_str_t *scope, ngx_str_t *url);

/* api, metrics: content handlers */

ngx_int_t ngx_http_doi_api_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_doi_metrics_handler(ngx_http_request_t *r);

/* Consent by day, in the format of metrics; NULL: no memory. */
ngx_buf_t *ngx_http_doi_metrics_measures(ngx_pool_t *pool);

#endif /* NGX_HTTP_DOI_H */
