/*
 * Between the files of the JSON API that have to do with consent.
 */

#ifndef NGX_HTTP_DOI_API_CONSENT_H
#define NGX_HTTP_DOI_API_CONSENT_H

#include "ngx_http_doi_consent.h"
#include "ngx_http_doi_api.h"


/* A call about one contact: api->data. */

typedef struct {
    ngx_http_doi_contact_t     contact;
    ngx_str_t                  list;        /* data NULL: all                */
    json_t                    *json;        /* what a read has found         */
    json_t                    *body;        /* texts of the event            */
    ngx_uint_t                 n;           /* event */
    ngx_uint_t                 source;
    u_char                     token[DOI_TOKEN_CHARS];
    ngx_str_t                  scope;
    doi_time_t                 expires;
} ngx_http_doi_api_contact_t;


/* CHANNEL:ADDRESS of the path; NULL: *rc was answered. */
ngx_http_doi_api_contact_t *ngx_http_doi_api_contact_call(
    ngx_http_doi_api_t *api, ngx_int_t *rc);

/* Answers with what fn, whose argument is the call, puts into its json. */
ngx_int_t ngx_http_doi_api_contact_find(ngx_http_doi_api_t *api, doi_txn_pt fn,
    ngx_http_doi_api_contact_t *call);

/* ERASE and REVIEW, with the reason in the body. */
ngx_int_t ngx_http_doi_api_contact_admin(ngx_http_doi_api_t *api,
    ngx_uint_t op, const u_char *contact, const u_char *review,
    ngx_http_doi_api_done_pt done);

/*
 * Calls fn again in a later turn of the event loop, while the client is there;
 * NGX_DONE.
 */
ngx_int_t ngx_http_doi_api_later(ngx_http_doi_api_t *api,
    ngx_http_doi_api_pt fn);

/* A member that may be missing; NGX_DECLINED: it is not such a text. */
ngx_int_t ngx_http_doi_api_text(json_t *body, const char *name, size_t max,
    ngx_str_t *text);

/* The text of a wording, or null. */
json_t *ngx_http_doi_wording_json(doi_view_t *view, const u_char *wording);

/* null for 0; 32 bytes at most. */
json_t *ngx_http_doi_time_json(doi_time_t t);
json_t *ngx_http_doi_hex_json(const u_char *data, size_t len);

#endif /* NGX_HTTP_DOI_API_CONSENT_H */
