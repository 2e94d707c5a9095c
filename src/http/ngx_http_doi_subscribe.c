/*
 * doi_subscribe: a contact opts in by a form; and the link by which he confirms
 * it, which doi_confirm serves.
 *
 * The answer to the form is the same whoever is known here, and so is the work:
 * what is said beyond it goes to the address alone.
 */

#include "ngx_http_doi_consent.h"
#include "ngx_http_doi_booking.h"


static ngx_int_t ngx_http_doi_subscribe_begin(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf);
static ngx_int_t ngx_http_doi_subscribe_form(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_http_doi_loc_conf_t *conf);
static ngx_int_t ngx_http_doi_subscribe_contact(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_http_doi_subscribe_conf_t *sub);
static ngx_int_t ngx_http_doi_subscribe_limit(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_http_doi_loc_conf_t *conf);
static ngx_int_t ngx_http_doi_subscribe_event(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_http_doi_loc_conf_t *conf);
static ngx_int_t ngx_http_doi_subscribe_answered(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_http_doi_loc_conf_t *conf);


ngx_int_t
ngx_http_doi_subscribe_handler(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf)
{
    ngx_http_doi_ctx_t  *ctx;

    ctx = ngx_http_doi_get_ctx(r);

    if (ctx && ctx->booking) {

        switch (ctx->stage) {

        case NGX_HTTP_DOI_START:
            break;

        case NGX_HTTP_DOI_CLAIM:
            return ngx_http_doi_subscribe_form(r, ctx, conf);

        case NGX_HTTP_DOI_ANSWERED:
            return ngx_http_doi_subscribe_answered(r, ctx, conf);

        default: /* NGX_HTTP_DOI_BODY, NGX_HTTP_DOI_WAIT */
            return NGX_DONE;
        }
    }

    /* the page with the form may be in the same place */

    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_OPTIONS)) {
        return NGX_DECLINED;
    }

    return ngx_http_doi_subscribe_begin(r, conf);
}


static ngx_int_t
ngx_http_doi_subscribe_begin(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf)
{
    ngx_http_doi_ctx_t  *ctx;

    ctx = ngx_http_doi_booking_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->booking->hold = 1;
    ctx->booking->opt_in = 1;

    if (r->method != NGX_HTTP_POST) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_METHOD);
    }

    if (ngx_http_doi_process_store() == NULL || ngx_http_doi_ledger() == NULL)
    {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_UNAVAILABLE);
    }

    if (ngx_http_doi_form_type(r) == DOI_FORM_UNKNOWN) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_TYPE);
    }

    if (r->headers_in.content_length_n > DOI_REQUEST_MAX) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_LARGE);
    }

    return ngx_http_doi_read_body(r, ctx);
}


static ngx_int_t
ngx_http_doi_subscribe_form(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_loc_conf_t *conf)
{
    ngx_int_t  rc;
    ngx_str_t  body;

    rc = ngx_http_doi_body(r, DOI_REQUEST_MAX, &body);

    if (rc == NGX_DECLINED) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_LARGE);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_doi_form_contact(r, ctx, conf, &body);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_doi_subscribe_contact(r, ctx, conf->subscribe);
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_FORM);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_doi_subscribe_limit(r, ctx, conf);
}


/* NGX_DECLINED: the address is none. */

static ngx_int_t
ngx_http_doi_subscribe_contact(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_subscribe_conf_t *sub)
{
    ngx_int_t                 rc;
    ngx_str_t                 text;
    const char               *err;
    ngx_http_doi_booking_t   *b;
    ngx_http_doi_contact_t   *contact;

    b = ctx->booking;

    contact = ngx_palloc(r->pool, sizeof(ngx_http_doi_contact_t));
    if (contact == NULL) {
        return NGX_ERROR;
    }

    b->contact = contact;

    text.data = (u_char *) b->form.email.data;
    text.len = b->form.email.len;

    rc = ngx_http_doi_contact(r->pool, sub->channel, &text, &sub->country,
                              contact, &err);

    if (rc == NGX_DECLINED) {
        b->problem = (sub->channel == DOI_CHANNEL_EMAIL) ? "problem.email"
                                                         : "problem.number";
        b->field = sub->address;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    /* limits count the address, however it was written */

    b->form.email.data = contact->address.data;
    b->form.email.len = contact->address.len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_subscribe_limit(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_loc_conf_t *conf)
{
    ngx_int_t        n;
    doi_limit_arg_t  arg;

    n = ngx_http_doi_form_limits(r, ctx, conf, arg.limits);

    if (n == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (n == 0) {
        return ngx_http_doi_subscribe_event(r, ctx, conf);
    }

    arg.n = (uint32_t) n;
    ctx->booking->op = DOI_OP_LIMIT;

    return ngx_http_doi_wait(r, ctx, DOI_OP_LIMIT, &arg,
                             offsetof(doi_limit_arg_t, limits)
                             + n * sizeof(doi_limit_t));
}


static ngx_int_t
ngx_http_doi_subscribe_event(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_loc_conf_t *conf)
{
    size_t                          lang;
    ngx_str_t                       wording;
    ngx_http_doi_event_t            event;
    ngx_http_doi_booking_t         *b;
    ngx_http_doi_contact_t         *contact;
    ngx_http_doi_subscribe_conf_t  *sub;

    b = ctx->booking;
    sub = conf->subscribe;
    contact = b->contact;

    ngx_memzero(&event, sizeof(ngx_http_doi_event_t));

    ngx_memcpy(event.arg.contact, contact->id, DOI_CONTACT_ID);
    event.arg.channel = (uint8_t) contact->channel;
    event.arg.event = DOI_CONSENT_SUBSCRIBE;
    event.arg.source = DOI_SOURCE_WEB;
    event.arg.level = (uint8_t) sub->level;

    lang = doi_pages_lang(conf->pages,
                          ngx_http_doi_request_header(r, "accept-language"));

    event.said[DOI_SAID_ADDRESS] = contact->address;
    event.said[DOI_SAID_PERSON].data = (u_char *) b->form.name.data;
    event.said[DOI_SAID_PERSON].len = b->form.name.len;
    event.said[DOI_SAID_LANG].data = (u_char *) conf->pages->langs[lang].tag;
    event.said[DOI_SAID_LANG].len = ngx_strlen(conf->pages->langs[lang].tag);

    if (sub->wording) {

        if (ngx_http_complex_value(r, sub->wording, &wording) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        event.said[DOI_SAID_WORDING] = wording;
    }

    if (ngx_http_doi_list(r, sub->list, &event.said[DOI_SAID_LIST]) != NGX_OK
        || ngx_http_doi_event_client(r, &event) != NGX_OK
        || ngx_http_doi_event_replies(r, &event, lang) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->op = DOI_OP_CONSENT_EVENT;

    return ngx_http_doi_wait_event(r, ctx, &event);
}


static ngx_int_t
ngx_http_doi_subscribe_answered(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_loc_conf_t *conf)
{
    ngx_http_doi_booking_t    *b;
    ngx_http_doi_main_conf_t  *mcf;

    b = ctx->booking;

    if (ctx->result == DOI_RETRY || ctx->result == DOI_UNKNOWN) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_UNAVAILABLE);
    }

    if (b->op == DOI_OP_LIMIT) {

        if (ctx->result == DOI_WON) {
            return ngx_http_doi_subscribe_event(r, ctx, conf);
        }

        mcf = ngx_http_get_module_main_conf(r, ngx_http_doi_module);
        ngx_http_doi_count(&mcf->stats->limited);

        b->state = "limited";
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_LIMITED);
    }

    /*
     * A conflict: the contact has too many lists, or its person too many
     * contacts.  That is nobody's business.
     */

    if (ctx->result == DOI_CONFLICT) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "doi: a subscription was refused: the contact or its "
                      "person has too many lists or contacts");
    }

    /* who has opted out is asked, whatever the level */

    if (conf->subscribe->level == DOI_CONSENT_DOUBLE
        || (ctx->result == DOI_WON && b->consent.to == DOI_CONSENT_PENDING))
    {
        b->state = "pending";
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_SUBSCRIBE_CHECK);
    }

    b->state = "subscribed";

    return ngx_http_doi_send_page(r, ctx, DOI_PAGE_SUBSCRIBED);
}


/* The link of a prompt. */

ngx_int_t
ngx_http_doi_opt_in_view(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx)
{
    ngx_int_t       rc;
    ngx_str_t       list;
    doi_contact_t   contact;
    doi_consent_t   consent;

    rc = ngx_http_doi_contact_of(r->pool, ctx->token.id, DOI_PURPOSE_CONFIRM,
                                 &contact, &list);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx->booking->opt_in = 1;

    if (ngx_http_doi_contact_read(contact.id, &list, &consent) == NGX_ERROR) {
        return NGX_ERROR;
    }

    switch (consent.state) {

    case DOI_CONSENT_DOUBLE:
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_SUBSCRIBED);

    case DOI_CONSENT_OPTED_OUT:
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_OPTED_OUT);

    default:
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_OPT_CONFIRM);
    }
}


/* NGX_DECLINED: the token is of no contact. */

ngx_int_t
ngx_http_doi_opt_in_click(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_uint_t event)
{
    size_t                    lang;
    ngx_int_t                 rc;
    ngx_str_t                 list;
    doi_contact_t             contact;
    ngx_http_doi_event_t      ev;
    ngx_http_doi_loc_conf_t  *conf;

    rc = ngx_http_doi_contact_of(r->pool, ctx->token.id, DOI_PURPOSE_CONFIRM,
                                 &contact, &list);
    if (rc != NGX_OK) {
        return rc;
    }

    if (contact.erased) {
        return NGX_DECLINED;
    }

    conf = ngx_http_get_module_loc_conf(r, ngx_http_doi_module);

    ctx->booking->opt_in = 1;

    ngx_memzero(&ev, sizeof(ngx_http_doi_event_t));

    ngx_memcpy(ev.arg.contact, contact.id, DOI_CONTACT_ID);
    ev.arg.channel = contact.channel;
    ev.arg.event = (uint8_t) event;
    ev.arg.source = DOI_SOURCE_WEB;
    ev.arg.level = DOI_CONSENT_DOUBLE;
    ev.arg.scope = DOI_SCOPE_LIST;

    ev.said[DOI_SAID_ADDRESS].data = (u_char *) contact.address.data;
    ev.said[DOI_SAID_ADDRESS].len = contact.address.len;
    ev.said[DOI_SAID_LIST] = list;

    lang = contact.lang.len ? doi_pages_lang_tag(conf->pages, contact.lang)
                            : 0;

    if (ngx_http_doi_event_client(r, &ev) != NGX_OK
        || (event == DOI_CONSENT_CONFIRM
            && ngx_http_doi_event_replies(r, &ev, lang) != NGX_OK))
    {
        return NGX_ERROR;
    }

    /* who looks at the page of confirmation needs no reminder */

    ngx_str_null(&ev.reply[DOI_REPLY_REMINDER]);
    ngx_memzero(ev.arg.confirm, DOI_ID_SIZE);

    ctx->booking->op = DOI_OP_CONSENT_EVENT;

    return ngx_http_doi_wait_event(r, ctx, &ev);
}


ngx_int_t
ngx_http_doi_opt_in_answered(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx)
{
    doi_consent_answer_t  *a;

    a = &ctx->booking->consent;

    if (ctx->result == DOI_RETRY || ctx->result == DOI_UNKNOWN) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_UNAVAILABLE);
    }

    ctx->booking->state = doi_consent_name(a->to);

    switch (a->to) {

    case DOI_CONSENT_OPTED_OUT:
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_OPTED_OUT);

    case DOI_CONSENT_DOUBLE:
    case DOI_CONSENT_SINGLE:
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_SUBSCRIBED);

    default:
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_LAPSED);
    }
}
