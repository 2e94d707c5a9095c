/*
 * Between the files of doi_consent.
 */

#ifndef NGX_HTTP_DOI_GATE_H
#define NGX_HTTP_DOI_GATE_H

#include "ngx_http_doi_consent.h"
#include "ngx_http_doi_booking.h"
#include "ngx_http_doi_api.h"


#define NGX_HTTP_DOI_GATE_BODY        1048576   /* bytes                     */


typedef struct {
    ngx_str_t                  sent;        /* as the caller wrote it        */
    u_char                     id[DOI_CONTACT_ID];
    ngx_str_t                  address;
    ngx_uint_t                 result;      /* ngx_http_doi_gate_e           */
    const char                *err;
} ngx_http_doi_recipient_t;

typedef enum {
    NGX_HTTP_DOI_GATE_START = 0,
    NGX_HTTP_DOI_GATE_READING,
    NGX_HTTP_DOI_GATE_READ
} ngx_http_doi_gate_stage_e;

typedef struct ngx_http_doi_gate_s {
    ngx_http_doi_gate_conf_t  *conf;
    ngx_http_doi_gate_stage_e  stage;
    doi_form_type_t            kind;        /* of the body                   */
    ngx_array_t                recipients;  /* ngx_http_doi_recipient_t      */
    ngx_str_t                  list;
    ngx_uint_t                 scope;       /* doi_optout_scope_t            */
    ngx_uint_t                 learn;       /* 1: from the upstream's answer */
    u_char                    *answer;      /* as much as is needed of it    */
    size_t                     answer_len;
    size_t                     answer_size;
} ngx_http_doi_gate_t;


/*
 * All recipients of a request, to gate->recipients.  NGX_DECLINED: it cannot be
 * read; NGX_ABORT: too many; NGX_BUSY: the body is too large; NGX_ERROR.
 */
ngx_int_t ngx_http_doi_gate_collect(ngx_http_request_t *r,
    ngx_http_doi_gate_t *gate);

/* The same of a JSON body, and of a list "+491511, +491512". */
ngx_int_t ngx_http_doi_gate_json(ngx_http_request_t *r,
    ngx_http_doi_gate_t *gate, ngx_str_t *body);
ngx_int_t ngx_http_doi_gate_split(ngx_http_request_t *r,
    ngx_http_doi_gate_t *gate, const u_char *data, size_t len);

#endif /* NGX_HTTP_DOI_GATE_H */
