/*
 * doi_unsubscribe: the link of List-Unsubscribe.
 *
 * Mail programs post "List-Unsubscribe=One-Click" to it (RFC 8058), without
 * cookies, and follow no redirect.  A person who opens it sees a page with a
 * button: programs that look into links change nothing.
 */

#include "ngx_http_doi_consent.h"
#include "ngx_http_doi_booking.h"


static ngx_int_t ngx_http_doi_unsubscribe_begin(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf);
static ngx_int_t ngx_http_doi_unsubscribe_view(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx);
static ngx_int_t ngx_http_doi_unsubscribe_click(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_http_doi_loc_conf_t *conf);
static ngx_uint_t ngx_http_doi_unsubscribe_is(doi_form_t *form,
    const char *name, const char *value);
static ngx_int_t ngx_http_doi_unsubscribe_stop(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_http_doi_loc_conf_t *conf);
static ngx_int_t ngx_http_doi_unsubscribe_answered(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx);


#define NGX_HTTP_DOI_UNSUBSCRIBE_MAX  4096      /* bytes of a body */


ngx_int_t
ngx_http_doi_unsubscribe_handler(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf)
{
    ngx_http_doi_ctx_t  *ctx;

    ctx = ngx_http_doi_get_ctx(r);

    if (ctx && ctx->booking) {

        switch (ctx->stage) {

        case NGX_HTTP_DOI_CLAIM:
            return ngx_http_doi_unsubscribe_click(r, ctx, conf);

        case NGX_HTTP_DOI_ANSWERED:
            return ngx_http_doi_unsubscribe_answered(r, ctx);

        case NGX_HTTP_DOI_BODY:
        case NGX_HTTP_DOI_WAIT:
            return NGX_DONE;

        default: /* NGX_HTTP_DOI_START */
            break;
        }
    }

    return ngx_http_doi_unsubscribe_begin(r, conf);
}


static ngx_int_t
ngx_http_doi_unsubscribe_begin(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf)
{
    ngx_int_t            rc;
    ngx_http_doi_ctx_t  *ctx;

    ctx = ngx_http_doi_booking_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->booking->opt_in = 1;

    rc = ngx_http_doi_verify(r, ctx, DOI_PURPOSE_UNSUBSCRIBE,
                             conf->unsubscribe->token,
                             conf->unsubscribe->scope);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_doi_process_store() == NULL || ngx_http_doi_ledger() == NULL)
    {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_UNAVAILABLE);
    }

    if (r->method != NGX_HTTP_POST) {
        return ngx_http_doi_unsubscribe_view(r, ctx);
    }

    if (r->headers_in.content_length_n > NGX_HTTP_DOI_UNSUBSCRIBE_MAX) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_LARGE);
    }

    return ngx_http_doi_read_body(r, ctx);
}


static ngx_int_t
ngx_http_doi_unsubscribe_view(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx)
{
    ngx_int_t      rc;
    ngx_str_t      list;
    doi_contact_t  contact;
    doi_consent_t  consent;

    rc = ngx_http_doi_contact_of(r->pool, ctx->token.id,
                                 DOI_PURPOSE_UNSUBSCRIBE, &contact, &list);

    if (rc == NGX_DECLINED) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_EXPIRED);
    }

    if (rc != NGX_OK
        || ngx_http_doi_contact_read(contact.id, &list, &consent) == NGX_ERROR)
    {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_UNAVAILABLE);
    }

    return ngx_http_doi_send_page(r, ctx,
                                  consent.state == DOI_CONSENT_OPTED_OUT
                                  ? DOI_PAGE_OPTED_OUT : DOI_PAGE_UNSUBSCRIBE);
}


static ngx_int_t
ngx_http_doi_unsubscribe_click(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_loc_conf_t *conf)
{
    u_char           *scratch;
    ngx_int_t         rc;
    ngx_str_t         body;
    doi_str_t         text, type;
    doi_form_t       *form;
    const char       *err;
    doi_form_type_t   kind;

    rc = ngx_http_doi_body(r, NGX_HTTP_DOI_UNSUBSCRIBE_MAX, &body);

    if (rc == NGX_DECLINED) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_LARGE);
    }

    form = ngx_palloc(r->pool, sizeof(doi_form_t));
    scratch = ngx_pnalloc(r->pool, NGX_HTTP_DOI_UNSUBSCRIBE_MAX);

    if (rc != NGX_OK || form == NULL || scratch == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    kind = ngx_http_doi_form_type(r);

    if (kind != DOI_FORM_URLENCODED && kind != DOI_FORM_MULTIPART) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_TYPE);
    }

    text.data = body.data;
    text.len = body.len;
    type.data = r->headers_in.content_type->value.data;
    type.len = r->headers_in.content_type->value.len;

    ctx->booking->problem = "problem.broken";

    if (doi_form_parse(kind, type, text, scratch, form, &err) != DOI_OK) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_FORM);
    }

    /* whatever else is in the body, it is not what RFC 8058 says */

    if (ngx_http_doi_unsubscribe_is(form, "List-Unsubscribe", "One-Click")) {
        return ngx_http_doi_unsubscribe_stop(r, ctx, conf);
    }

    if (!ngx_http_doi_unsubscribe_is(form, "action", "confirm")) {
        ngx_str_set(&ctx->booking->field, "List-Unsubscribe");
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_FORM);
    }

    if (ngx_http_doi_same_origin(r) != NGX_OK) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_FORBIDDEN);
    }

    return ngx_http_doi_unsubscribe_stop(r, ctx, conf);
}


/* The form is this field, and nothing else. */

static ngx_uint_t
ngx_http_doi_unsubscribe_is(doi_form_t *form, const char *name,
    const char *value)
{
    doi_field_t  *f;

    f = &form->fields[0];

    return form->n == 1 && !f->file
           && f->name.len == ngx_strlen(name)
           && ngx_memcmp(f->name.data, name, f->name.len) == 0
           && f->value.len == ngx_strlen(value)
           && ngx_memcmp(f->value.data, value, f->value.len) == 0;
}


static ngx_int_t
ngx_http_doi_unsubscribe_stop(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_loc_conf_t *conf)
{
    ngx_int_t             rc;
    ngx_str_t             list;
    doi_contact_t         contact;
    ngx_http_doi_event_t  event;

    rc = ngx_http_doi_contact_of(r->pool, ctx->token.id,
                                 DOI_PURPOSE_UNSUBSCRIBE, &contact, &list);

    if (rc == NGX_DECLINED) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_EXPIRED);
    }

    if (rc != NGX_OK) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_UNAVAILABLE);
    }

    if (contact.erased) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_OPTED_OUT);
    }

    ngx_memzero(&event, sizeof(ngx_http_doi_event_t));

    ngx_memcpy(event.arg.contact, contact.id, DOI_CONTACT_ID);
    event.arg.channel = contact.channel;
    event.arg.event = DOI_CONSENT_STOP;
    event.arg.source = DOI_SOURCE_WEB;
    event.arg.scope = (uint16_t) conf->optout_scope;

    event.said[DOI_SAID_ADDRESS].data = (u_char *) contact.address.data;
    event.said[DOI_SAID_ADDRESS].len = contact.address.len;
    event.said[DOI_SAID_LIST] = list;

    if (ngx_http_doi_event_client(r, &event) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* no text: the page says it, and he has enough of messages */

    return ngx_http_doi_wait_event(r, ctx, &event);
}


static ngx_int_t
ngx_http_doi_unsubscribe_answered(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx)
{
    if (ctx->result != DOI_WON) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_UNAVAILABLE);
    }

    ctx->booking->state = doi_consent_name(ctx->booking->consent.to);

    return ngx_http_doi_send_page(r, ctx, DOI_PAGE_OPTED_OUT);
}
