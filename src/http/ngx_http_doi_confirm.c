/*
 * doi_confirm: the page behind the link of the mail, and its two buttons.
 *
 * A look changes nothing.  A click on "confirm" claims the booking, as a POST
 * claims a link: durably, before anything goes out.  Then the request that was
 * stored takes the place of the click, and what the app says to it is settled
 * in ngx_http_doi_settle.c.  A click on "it wasn't me" ends the hold, and mail
 * to that address.
 */

#include "ngx_http_doi_booking.h"
#include "ngx_http_doi_consent.h"


static ngx_int_t ngx_http_doi_confirm_begin(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf);
static ngx_int_t ngx_http_doi_confirm_view(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx);
static ngx_int_t ngx_http_doi_confirm_read(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, doi_read_arg_t *read);
static ngx_int_t ngx_http_doi_confirm_click(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_http_doi_loc_conf_t *conf);
static uint32_t ngx_http_doi_confirm_code(doi_str_t *text);
static ngx_int_t ngx_http_doi_confirm_claim(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_http_doi_loc_conf_t *conf, uint32_t code);
static ngx_int_t ngx_http_doi_confirm_cancel(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx);
static ngx_int_t ngx_http_doi_confirm_answered(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_http_doi_loc_conf_t *conf);
static ngx_int_t ngx_http_doi_confirm_claimed(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_http_doi_loc_conf_t *conf);
static doi_page_t ngx_http_doi_confirm_page(doi_booking_answer_t *answer);


#define NGX_HTTP_DOI_CLICK_MAX    4096      /* bytes of a body */
#define NGX_HTTP_DOI_CODE_DIGITS  6
#define NGX_HTTP_DOI_CODE_WRONG   1000000   /* no code is that large */


static const doi_str_t  ngx_http_doi_action = doi_str("action");
static const doi_str_t  ngx_http_doi_typed = doi_str("code");


ngx_int_t
ngx_http_doi_confirm_handler(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf)
{
    ngx_http_doi_ctx_t  *ctx;

    ctx = ngx_http_doi_get_ctx(r);

    if (ctx && ctx->booking) {

        switch (ctx->stage) {

        case NGX_HTTP_DOI_CLAIM:
            return ngx_http_doi_confirm_click(r, ctx, conf);

        case NGX_HTTP_DOI_ANSWERED:
            return ngx_http_doi_confirm_answered(r, ctx, conf);

        case NGX_HTTP_DOI_BODY:
        case NGX_HTTP_DOI_WAIT:
            return NGX_DONE;

        default: /* NGX_HTTP_DOI_START */
            break;
        }
    }

    return ngx_http_doi_confirm_begin(r, conf);
}


static ngx_int_t
ngx_http_doi_confirm_begin(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf)
{
    ngx_int_t            rc;
    ngx_http_doi_ctx_t  *ctx;

    ctx = ngx_http_doi_booking_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->booking->page = !conf->confirm->upstream;

    rc = ngx_http_doi_verify(r, ctx, DOI_PURPOSE_CONFIRM, conf->confirm->token,
                             conf->confirm->scope);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_doi_process_store() == NULL) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_UNAVAILABLE);
    }

    if (r->method != NGX_HTTP_POST) {
        return ngx_http_doi_confirm_view(r, ctx);
    }

    /* the link is a secret, but a page elsewhere may have been given it */

    if (ngx_http_doi_same_origin(r) != NGX_OK) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_FORBIDDEN);
    }

    if (r->headers_in.content_length_n > NGX_HTTP_DOI_CLICK_MAX) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_LARGE);
    }

    return ngx_http_doi_read_body(r, ctx);
}


static ngx_int_t
ngx_http_doi_confirm_view(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx)
{
    doi_read_arg_t  read;

    ctx->booking->op = DOI_OP_BOOKING_READ;

    ngx_memcpy(read.id, ctx->token.id, DOI_ID_SIZE);

    if (ngx_http_doi_browser(r, ctx) != NGX_OK
        || ngx_http_doi_browser_hash(ctx, read.browser) != NGX_OK
        || ngx_http_doi_confirm_read(r, ctx, &read) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->result == DOI_WON
        && ctx->booking->answer.state == DOI_BOOKING_CLAIMED)
    {
        /* behind the settlement that may just have been sent */

        return ngx_http_doi_wait(r, ctx, DOI_OP_BOOKING_READ, &read,
                                 sizeof(doi_read_arg_t));
    }

    return ngx_http_doi_confirm_answered(
        r, ctx, ngx_http_get_module_loc_conf(r, ngx_http_doi_module));
}


/* The booking in a snapshot, to ctx->result and ctx->booking. */

static ngx_int_t
ngx_http_doi_confirm_read(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    doi_read_arg_t *read)
{
    doi_buf_t  out;
    doi_str_t  arg, answer;

    out.len = 0;
    out.size = sizeof(doi_booking_answer_t) + DOI_BOOKING_MAX;
    out.data = ngx_palloc(r->pool, out.size);
    if (out.data == NULL) {
        return NGX_ERROR;
    }

    arg.data = (u_char *) read;
    arg.len = sizeof(doi_read_arg_t);

    ctx->result = doi_store_read(ngx_http_doi_process_store(),
                                 doi_op_function(DOI_OP_BOOKING_READ), arg,
                                 &out);

    answer.data = out.data;
    answer.len = out.len;

    if (ctx->result == DOI_WON
        && ngx_http_doi_booking_answer(NULL, ctx->booking, answer) != NGX_OK)
    {
        ctx->result = DOI_RETRY;
    }

    return NGX_OK;
}


/* pool NULL: the answer stays where it is. */

ngx_int_t
ngx_http_doi_booking_answer(ngx_pool_t *pool, ngx_http_doi_booking_t *booking,
    doi_str_t answer)
{
    u_char                *p;
    doi_str_t              record;
    doi_booking_answer_t  *a;

    a = &booking->answer;

    if (answer.len < sizeof(doi_booking_answer_t)) {
        return NGX_ERROR;
    }

    ngx_memcpy(a, answer.data, sizeof(doi_booking_answer_t));

    answer.data += sizeof(doi_booking_answer_t);
    answer.len -= sizeof(doi_booking_answer_t);

    if (answer.len < a->record_len
        || answer.len - a->record_len != a->request_len)
    {
        return NGX_ERROR;
    }

    if (pool && answer.len) {

        p = ngx_pnalloc(pool, answer.len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(p, answer.data, answer.len);
        answer.data = p;
    }

    booking->has_record = 0;

    if (a->record_len) {

        record.data = answer.data;
        record.len = a->record_len;

        if (doi_booking_decode(record, &booking->record) != DOI_OK) {
            return NGX_ERROR;
        }

        booking->has_record = 1;
    }

    booking->request.data = answer.data + a->record_len;
    booking->request.len = a->request_len;

    return NGX_OK;
}


/* The body of the click is there. */

static ngx_int_t
ngx_http_doi_confirm_click(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_loc_conf_t *conf)
{
    u_char                  *scratch;
    ngx_int_t                rc;
    ngx_str_t                body;
    doi_str_t                text, action, code;
    doi_form_t              *form;
    const char              *err;
    ngx_http_doi_booking_t  *b;

    b = ctx->booking;

    rc = ngx_http_doi_body(r, NGX_HTTP_DOI_CLICK_MAX, &body);

    if (rc == NGX_DECLINED) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_LARGE);
    }

    form = ngx_palloc(r->pool, sizeof(doi_form_t));
    scratch = ngx_pnalloc(r->pool, NGX_HTTP_DOI_CLICK_MAX);

    if (rc != NGX_OK || form == NULL || scratch == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_doi_form_type(r) != DOI_FORM_URLENCODED) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_TYPE);
    }

    text.data = body.data;
    text.len = body.len;

    code.data = NULL;
    code.len = 0;

    b->problem = "problem.broken";

    if (doi_form_parse(DOI_FORM_URLENCODED, text, text, scratch, form, &err)
        != DOI_OK)
    {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_FORM);
    }

    ngx_str_set(&b->field, "action");

    if (doi_form_get(form, ngx_http_doi_action, &action) != DOI_OK) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_FORM);
    }

    if (action.len == sizeof("cancel") - 1
        && ngx_memcmp(action.data, "cancel", action.len) == 0)
    {
        return ngx_http_doi_confirm_cancel(r, ctx);
    }

    if (action.len != sizeof("confirm") - 1
        || ngx_memcmp(action.data, "confirm", action.len) != 0)
    {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_FORM);
    }

    ngx_str_set(&b->field, "code");

    if (doi_form_get(form, ngx_http_doi_typed, &code) == DOI_ERROR) {
        b->problem = "problem.twice";
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_FORM);
    }

    return ngx_http_doi_confirm_claim(r, ctx, conf,
                                      ngx_http_doi_confirm_code(&code));
}


/* Six digits, as "123 456" too. */

static uint32_t
ngx_http_doi_confirm_code(doi_str_t *text)
{
    size_t    i;
    uint32_t  code, digits;

    code = 0;
    digits = 0;

    for (i = 0; i < text->len; i++) {

        if (text->data[i] == ' ') {
            continue;
        }

        if (text->data[i] < '0' || text->data[i] > '9'
            || ++digits > NGX_HTTP_DOI_CODE_DIGITS)
        {
            return NGX_HTTP_DOI_CODE_WRONG;
        }

        code = code * 10 + (text->data[i] - '0');
    }

    return (digits == NGX_HTTP_DOI_CODE_DIGITS) ? code
                                                : NGX_HTTP_DOI_CODE_WRONG;
}


static ngx_int_t
ngx_http_doi_confirm_claim(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_loc_conf_t *conf, uint32_t code)
{
    doi_booking_claim_arg_t  arg;

    ngx_memzero(&arg, sizeof(doi_booking_claim_arg_t));

    if (ngx_http_doi_browser(r, ctx) != NGX_OK
        || ngx_http_doi_browser_hash(ctx, arg.browser) != NGX_OK
        || ngx_http_doi_random(ctx->attempt, DOI_ATTEMPT_SIZE) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(arg.id, ctx->token.id, DOI_ID_SIZE);
    ngx_memcpy(arg.attempt, ctx->attempt, DOI_ATTEMPT_SIZE);

    arg.timeout = (uint32_t) conf->claim_timeout;
    arg.code = conf->confirm->code ? code : DOI_CODE_NONE;
    arg.code_needed = conf->confirm->code ? 1 : 0;

    if (conf->in_doubt) {
        arg.flags |= DOI_CLAIM_RELEASE;
    }

    if (conf->idempotent) {
        arg.flags |= DOI_CLAIM_IDEMPOTENT;
    }

    ctx->conf = conf;
    ctx->booking->op = DOI_OP_BOOKING_CLAIM;

    return ngx_http_doi_wait(r, ctx, DOI_OP_BOOKING_CLAIM, &arg,
                             sizeof(doi_booking_claim_arg_t));
}


static ngx_int_t
ngx_http_doi_confirm_cancel(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx)
{
    doi_booking_operator_arg_t  arg;

    ngx_memzero(&arg, sizeof(doi_booking_operator_arg_t));

    if (ngx_http_doi_browser(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(arg.id, ctx->token.id, DOI_ID_SIZE);
    arg.suppress = 1;

    ctx->booking->op = DOI_OP_BOOKING_CANCEL;

    return ngx_http_doi_wait(r, ctx, DOI_OP_BOOKING_CANCEL, &arg,
                             sizeof(doi_booking_operator_arg_t));
}


static ngx_int_t
ngx_http_doi_confirm_answered(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_loc_conf_t *conf)
{
    ngx_int_t                rc;
    doi_page_t               page;
    ngx_http_doi_booking_t  *b;

    b = ctx->booking;

    if (b->op == DOI_OP_CONSENT_EVENT) {
        return ngx_http_doi_opt_in_answered(r, ctx);
    }

    if (ctx->result == DOI_RETRY || ctx->result == DOI_UNKNOWN) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_UNAVAILABLE);
    }

    if (b->answer.state == DOI_BOOKING_UNKNOWN) {

        /* it may be the link of a subscription */

        rc = (b->op == DOI_OP_BOOKING_READ)
             ? ngx_http_doi_opt_in_view(r, ctx)
             : ngx_http_doi_opt_in_click(r, ctx,
                                         b->op == DOI_OP_BOOKING_CANCEL
                                         ? DOI_CONSENT_REVOKE
                                         : DOI_CONSENT_CONFIRM);

        if (rc == NGX_ERROR) {
            return ngx_http_doi_send_page(r, ctx, DOI_PAGE_UNAVAILABLE);
        }

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    b->state = doi_booking_state_name(b->answer.state);

    page = ngx_http_doi_confirm_page(&b->answer);

    if (ctx->result == DOI_WON && b->op == DOI_OP_BOOKING_CANCEL) {
        page = DOI_PAGE_CANCELLED;
    }

    if (ctx->result == DOI_WON && b->op == DOI_OP_BOOKING_CLAIM) {

        if (b->answer.state == DOI_BOOKING_CLAIMED) {
            return ngx_http_doi_confirm_claimed(r, ctx, conf);
        }

        if (b->answer.state == DOI_BOOKING_HELD) {
            page = DOI_PAGE_WRONG_CODE;
        }
    }

    return ngx_http_doi_send_page(r, ctx, page);
}


/* The booking is ours to make: the stored request takes the place of the
   click, and goes on. */

static ngx_int_t
ngx_http_doi_confirm_claimed(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_loc_conf_t *conf)
{
    ngx_http_doi_booking_t  *b;

    b = ctx->booking;

    ctx->claimed = 1;
    ctx->asked = r->upstream_states ? r->upstream_states->nelts : 0;
    ctx->answer.flags = b->answer.flags;

    ctx->key.data = ctx->id;
    ctx->key.len = DOI_ID_CHARS;

    if (ngx_http_doi_replay(r, ctx, conf) != NGX_OK) {

        ctx->claimed = 0;
        b->state = doi_booking_state_name(DOI_BOOKING_HELD);

        ngx_http_doi_settle(DOI_OP_BOOKING_SETTLE, ctx->token.id, ctx->attempt,
                            DOI_OUTCOME_RELEASED, 0);

        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_UNAVAILABLE);
    }

    ctx->stage = NGX_HTTP_DOI_PASSED;

    return NGX_OK;
}


static doi_page_t
ngx_http_doi_confirm_page(doi_booking_answer_t *answer)
{
    switch (answer->state) {

    case DOI_BOOKING_HELD:
        return DOI_PAGE_CONFIRM;

    case DOI_BOOKING_CLAIMED:
        return answer->own ? DOI_PAGE_PENDING : DOI_PAGE_CLAIMED;

    case DOI_BOOKING_CONFIRMED:
        return DOI_PAGE_BOOKED;

    case DOI_BOOKING_IN_DOUBT:
        return DOI_PAGE_IN_DOUBT;

    case DOI_BOOKING_REFUSED:
        return DOI_PAGE_REFUSED;

    case DOI_BOOKING_CANCELLED:
        return DOI_PAGE_WITHDRAWN;

    case DOI_BOOKING_EXPIRED:
    case DOI_BOOKING_UNKNOWN:
        return DOI_PAGE_LAPSED;

    default:
        return DOI_PAGE_UNAVAILABLE;
    }
}


doi_page_t
ngx_http_doi_outcome_page(ngx_http_doi_ctx_t *ctx)
{
    switch (ctx->outcome) {

    case DOI_OUTCOME_USED:
        return DOI_PAGE_BOOKED;

    case DOI_OUTCOME_RELEASED:
        return (ctx->booking->answer.state == DOI_BOOKING_REFUSED)
               ? DOI_PAGE_REFUSED : DOI_PAGE_UNAVAILABLE;

    default:
        return DOI_PAGE_IN_DOUBT;
    }
}
