/*
 * Between the files of the JSON API.
 */

#ifndef NGX_HTTP_DOI_API_H
#define NGX_HTTP_DOI_API_H

#include "ngx_http_doi.h"

#include <jansson.h>


/* One call to the API, in the request's pool. */

typedef struct ngx_http_doi_api_s {
    ngx_http_request_t        *request;
    ngx_str_t                  id_text;     /* of links/ID, or an address    */
    u_char                     id[DOI_ID_SIZE];
    ngx_str_t                  body;
    ngx_str_t                  actor;       /* $remote_user, may be empty    */
    struct ngx_http_doi_api_op_s  *op;      /* in flight                     */
    void                      *data;        /* of the call                   */
    ngx_event_t                event;       /* ngx_http_doi_api_later        */
    ngx_int_t                (*later)(struct ngx_http_doi_api_s *api);
} ngx_http_doi_api_t;

/* NGX_DONE: it goes on later; all else is to finalize the request with. */
typedef ngx_int_t (*ngx_http_doi_api_pt)(ngx_http_doi_api_t *api);

typedef struct {
    ngx_uint_t             method;
    ngx_uint_t             resource;    /* NGX_HTTP_DOI_LINKS ...            */
    const char            *under;       /* after its name, or after the id   */
    ngx_uint_t             with_id;
    ngx_uint_t             permission;
    ngx_http_doi_api_pt    handler;
} ngx_http_doi_api_route_t;

/* Called with the result of an operation, unless the client is gone. */
typedef ngx_int_t (*ngx_http_doi_api_done_pt)(ngx_http_doi_api_t *api,
    doi_result_t result, doi_str_t answer);


/* Answers with problem+json; detail is a format of ngx_sprintf. */
ngx_int_t ngx_http_doi_api_problem(ngx_http_doi_api_t *api, ngx_uint_t status,
    const char *code, const char *fmt, ...);

/* Answers with JSON; the reference to json is taken over. */
ngx_int_t ngx_http_doi_api_json(ngx_http_doi_api_t *api, ngx_uint_t status,
    json_t *json);

/* Answers with a chain of JSON text of len bytes. */
ngx_int_t ngx_http_doi_api_chain(ngx_http_doi_api_t *api, ngx_uint_t status,
    ngx_chain_t *chain, off_t len);

/* A copy of a JSON value as text in the request's pool. */
ngx_int_t ngx_http_doi_api_dump(ngx_http_doi_api_t *api, json_t *json,
    ngx_str_t *text);

/*
 * The body as an object whose members are all among names (NULL-terminated).
 * NULL: the problem was answered and *rc is what to return.
 */
json_t *ngx_http_doi_api_body(ngx_http_doi_api_t *api, const char **names,
    ngx_int_t *rc);

/* A call that takes nothing: no body, or an object without members. */
ngx_int_t ngx_http_doi_api_empty(ngx_http_doi_api_t *api, ngx_int_t *rc);

/*
 * The outcome and the reason that resolve something; the reason is that of the
 * body.  What is wrong with them, or NULL.
 */
const char *ngx_http_doi_api_outcome(json_t *body, ngx_uint_t *outcome,
    ngx_str_t *reason);

/* NGX_DONE, or the answer of a failure. */
ngx_int_t ngx_http_doi_api_submit(ngx_http_doi_api_t *api, ngx_uint_t op,
    void *arg, size_t len, ngx_http_doi_api_done_pt done);

ngx_int_t ngx_http_doi_api_unavailable(ngx_http_doi_api_t *api);


/* The call; NULL: none, *allowed are the methods that the resource knows. */
const ngx_http_doi_api_route_t *ngx_http_doi_api_find(ngx_http_doi_api_t *api,
    ngx_uint_t *allowed);
ngx_int_t ngx_http_doi_api_no_route(ngx_http_doi_api_t *api,
    ngx_uint_t allowed);
ngx_uint_t ngx_http_doi_api_is_import(ngx_http_doi_api_t *api);

/* NGX_DECLINED: it may be made; api->actor is filled. */
ngx_int_t ngx_http_doi_api_permit(ngx_http_doi_api_t *api,
    const ngx_http_doi_api_route_t *route);


/* What the lists of bookings and of the outbox have in common. */

#define NGX_HTTP_DOI_CURSOR_MAX  20     /* bytes of a key */

typedef struct {
    ngx_uint_t           limit;
    ngx_uint_t           found;
    ngx_uint_t           looked;
    ngx_uint_t           skip;      /* the first row may be the cursor's     */
    json_t              *rows;
    u_char               cursor[NGX_HTTP_DOI_CURSOR_MAX];
    size_t               cursor_len;
    doi_view_t          *view;      /* for who looks further                 */
    unsigned             more:1;
} ngx_http_doi_api_page_t;

/* Reads "limit" and "cursor", whose keys have so many bytes; else *rc. */
ngx_int_t ngx_http_doi_api_page(ngx_http_doi_api_t *api,
    ngx_http_doi_api_page_t *page, size_t key_size, ngx_int_t *rc);

/*
 * Whether the row of this key is to be looked at: DOI_OK, DOI_NOT_FOUND: not
 * this one; DOI_ERROR: the page is full.
 */
int ngx_http_doi_api_page_row(ngx_http_doi_api_page_t *page, doi_str_t key);

/* Answers with a list of this name that fn has put into page->rows; arg is
   handed to it as it is. */
ngx_int_t ngx_http_doi_api_page_read(ngx_http_doi_api_t *api,
    ngx_http_doi_api_page_t *page, const char *name, doi_txn_pt fn, void *arg,
    size_t len);

/* The calls (docs/directives.md, doi_api). */
ngx_int_t ngx_http_doi_api_mint(ngx_http_doi_api_t *api);

/* A member in seconds, or with nginx's units; without it *ttl stays. */
ngx_int_t ngx_http_doi_api_ttl(json_t *value, json_int_t *ttl);
ngx_int_t ngx_http_doi_api_list(ngx_http_doi_api_t *api);
ngx_int_t ngx_http_doi_api_show(ngx_http_doi_api_t *api);
ngx_int_t ngx_http_doi_api_revoke(ngx_http_doi_api_t *api);
ngx_int_t ngx_http_doi_api_resolve(ngx_http_doi_api_t *api);

ngx_int_t ngx_http_doi_api_bookings(ngx_http_doi_api_t *api);
ngx_int_t ngx_http_doi_api_booking(ngx_http_doi_api_t *api);
ngx_int_t ngx_http_doi_api_booking_resolve(ngx_http_doi_api_t *api);
ngx_int_t ngx_http_doi_api_booking_resend(ngx_http_doi_api_t *api);
ngx_int_t ngx_http_doi_api_booking_cancel(ngx_http_doi_api_t *api);

ngx_int_t ngx_http_doi_api_outbox(ngx_http_doi_api_t *api);
ngx_int_t ngx_http_doi_api_outbox_retry(ngx_http_doi_api_t *api);
ngx_int_t ngx_http_doi_api_suppression(ngx_http_doi_api_t *api);
ngx_int_t ngx_http_doi_api_suppression_lift(ngx_http_doi_api_t *api);

ngx_int_t ngx_http_doi_api_contact(ngx_http_doi_api_t *api);
ngx_int_t ngx_http_doi_api_contact_event(ngx_http_doi_api_t *api);
ngx_int_t ngx_http_doi_api_contact_erase(ngx_http_doi_api_t *api);
ngx_int_t ngx_http_doi_api_evidence(ngx_http_doi_api_t *api);
ngx_int_t ngx_http_doi_api_unsubscribe(ngx_http_doi_api_t *api);
ngx_int_t ngx_http_doi_api_export(ngx_http_doi_api_t *api);
ngx_int_t ngx_http_doi_api_review(ngx_http_doi_api_t *api);
ngx_int_t ngx_http_doi_api_review_decide(ngx_http_doi_api_t *api);
ngx_int_t ngx_http_doi_api_ledger_verify(ngx_http_doi_api_t *api);
ngx_int_t ngx_http_doi_api_ledger_seal(ngx_http_doi_api_t *api);
ngx_int_t ngx_http_doi_api_stats(ngx_http_doi_api_t *api);

/* The import's body is read as it comes: begin is called before it is. */
ngx_int_t ngx_http_doi_api_import(ngx_http_doi_api_t *api);
ngx_int_t ngx_http_doi_api_import_begin(ngx_http_doi_api_t *api);

#endif /* NGX_HTTP_DOI_API_H */
