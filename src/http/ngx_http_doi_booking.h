/*
 * What doi_hold and doi_confirm share with each other, and with the files that
 * they have in common with links: the access phase, settling, pages.
 */

#ifndef NGX_HTTP_DOI_BOOKING_H
#define NGX_HTTP_DOI_BOOKING_H

#include "ngx_http_doi.h"


/* What a visitor has sent to doi_hold, cleaned. */

typedef struct {
    doi_str_t              email;       /* normalised                        */
    doi_str_t              slot;
    doi_str_t              name;
    doi_str_t              lang;
    doi_str_t              zone;
    doi_str_t              summary;
    doi_time_t             start;
    uint32_t               duration;
} ngx_http_doi_form_t;


/* The booking of a request: ctx->booking. */

typedef struct ngx_http_doi_booking_s {
    doi_booking_answer_t   answer;
    doi_booking_t          record;      /* if has_record                     */
    doi_str_t              request;     /* sealed, of a claim that was won   */
    doi_str_t              accept;      /* of the click that is replaced:    */
    doi_str_t              accept_language;     /* the page is for it        */

    ngx_http_doi_form_t    form;        /* hold                              */
    const char            *problem;     /* hold, confirm: key of a text      */
    ngx_str_t              field;       /* the problem is with               */
    doi_time_t             expires;     /* hold                              */

    struct ngx_http_doi_contact_s  *contact;    /* subscribe                 */
    doi_consent_answer_t   consent;     /* answer to an event                */

    const char            *state;       /* $doi_state, or NULL               */
    ngx_uint_t             op;          /* DOI_OP_BOOKING_*, the last one    */

    unsigned               hold:1;      /* doi_hold, not doi_confirm         */
    unsigned               has_record:1;
    unsigned               opt_in:1;    /* no booking           */
    unsigned               page:1;      /* confirm: answer=page              */
    unsigned               replayed:1;  /* confirm: accept... are filled     */
} ngx_http_doi_booking_t;


/* link: the access phase of all three */

/* MAC and clock: NGX_OK, or the answer was sent.  token NULL: the cookie. */
ngx_int_t ngx_http_doi_verify(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    doi_purpose_t purpose, ngx_http_complex_value_t *token,
    ngx_http_complex_value_t *scope);

/* Both come back to the access phase: with stage CLAIM when the body is there,
   with stage ANSWERED when the operation is done. */
ngx_int_t ngx_http_doi_read_body(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx);
ngx_int_t ngx_http_doi_wait(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_uint_t op, void *arg, size_t len);

/* waits for an event, whose answer goes to ctx->booking->consent */
struct ngx_http_doi_event_s;
ngx_int_t ngx_http_doi_wait_event(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, struct ngx_http_doi_event_s *event);

/* hold */

/* The context of a request with a booking in it; NULL without memory. */
ngx_http_doi_ctx_t *ngx_http_doi_booking_ctx(ngx_http_request_t *r);

/*
 * The body that was read, in one piece.  NGX_DECLINED: longer than max bytes,
 * or thrown away for its length; NGX_ERROR: no memory, or the temporary file
 * cannot be read.
 */
ngx_int_t ngx_http_doi_body(ngx_http_request_t *r, size_t max,
    ngx_str_t *body);

/* form */

/*
 * The fields that the configuration names, to ctx->booking->form.  NGX_OK;
 * NGX_DECLINED: ctx->booking->problem and field say what is wrong; NGX_ERROR.
 */
ngx_int_t ngx_http_doi_form_read(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_http_doi_loc_conf_t *conf, ngx_str_t *body);

/* the address as it was sent, and the person, to form.email and
   form.name.  As form_read. */
ngx_int_t ngx_http_doi_form_contact(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_http_doi_loc_conf_t *conf, ngx_str_t *body);

/* Writes what the configuration limits to limits, which has room for
   DOI_LIMITS_MAX; returns how many, or NGX_ERROR. */
ngx_int_t ngx_http_doi_form_limits(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_http_doi_loc_conf_t *conf,
    doi_limit_t *limits);

/* The media type of the request's body. */
doi_form_type_t ngx_http_doi_form_type(ngx_http_request_t *r);

/* confirm */

/* An answer of the store to ctx->booking; NGX_ERROR if it is none. */
ngx_int_t ngx_http_doi_booking_answer(ngx_pool_t *pool,
    ngx_http_doi_booking_t *booking, doi_str_t answer);

/* The page for what became of a claim that was settled. */
doi_page_t ngx_http_doi_outcome_page(ngx_http_doi_ctx_t *ctx);

/* replay */

/*
 * The request as it is to be replayed, sealed for the booking of this id.
 * NGX_DECLINED: too large.
 */
ngx_int_t ngx_http_doi_replay_store(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf, const uint8_t *id, ngx_str_t *body,
    ngx_str_t *sealed);

/* Puts the stored request in place of the one that came.  NGX_ERROR: it cannot
   be read, the log says why; r is not changed then. */
ngx_int_t ngx_http_doi_replay(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_loc_conf_t *conf);

/* page */

/* The value of a header of the request, or an empty one. */
doi_str_t ngx_http_doi_request_header(ngx_http_request_t *r,
    const char *name);

/* request */

/* Whether a header asks to take the request for one of another method. */
ngx_uint_t ngx_http_doi_is_disguised(ngx_http_request_t *r);

/* Has these variables of nginx evaluated anew; "cookie_" is all that begin
   so, NULL the end of the list. */
void ngx_http_doi_forget(ngx_http_request_t *r, const char *const *names);

/* A Cookie header without the module's own ones; it may end up empty. */
ngx_int_t ngx_http_doi_clean_cookie(ngx_pool_t *pool, ngx_str_t *value);

#endif /* NGX_HTTP_DOI_BOOKING_H */
