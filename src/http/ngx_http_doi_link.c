/*
 * doi_link: only the bearer of a live link may pass, and a POST redeems it.
 *
 * A request meets, in this order: the MAC and the clock (no I/O); for a POST
 * the whole body, so that a client that never finishes it burns nothing; the
 * claim, which is durable before the request goes on.  What the upstream then
 * says is settled in ngx_http_doi_settle.c.
 *
 * Views read a snapshot in this process.  Only if that shows a claim under way
 * does a view go through the queue of the store, behind the settlement that
 * may just have been sent: a visitor who was told "booked" and opens the link
 * again must not meet a state from before.
 */

#include "ngx_http_doi_booking.h"
#include "ngx_http_doi_consent.h"


typedef struct ngx_http_doi_op_s  ngx_http_doi_op_t;


static ngx_int_t ngx_http_doi_token_text(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_http_complex_value_t *token);
static ngx_int_t ngx_http_doi_view(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx);
static void ngx_http_doi_read(ngx_http_doi_ctx_t *ctx, doi_read_arg_t *read);
static void ngx_http_doi_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_doi_claim(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_http_doi_loc_conf_t *conf);
static void ngx_http_doi_done(void *data, doi_result_t result,
    doi_str_t answer);
static ngx_int_t ngx_http_doi_take(ngx_http_doi_op_t *w, doi_str_t answer);
static void ngx_http_doi_resume(ngx_http_request_t *r);
static ngx_int_t ngx_http_doi_answered(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx);
static ngx_int_t ngx_http_doi_pass(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx);
static ngx_int_t ngx_http_doi_again(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx);
static void ngx_http_doi_cleanup(void *data);


/*
 * An operation in flight.  It does not live in the request's pool: the request
 * may be gone when the answer comes, and a claim that was won by then must be
 * given back.
 */

struct ngx_http_doi_op_s {
    ngx_http_request_t  *request;           /* NULL: gone */
    ngx_http_doi_ctx_t  *ctx;
    uint8_t              id[DOI_ID_SIZE];
    uint8_t              attempt[DOI_ATTEMPT_SIZE];
    ngx_uint_t           settle;            /* a claim, to be settled by
                                               this op; 0: it is none */
    unsigned             link:1;
    unsigned             consent:1;         /* an event of the ledger */
    unsigned             wake:1;            /* it writes to the outbox */
};


/* For HTTP status, see DESIGN.md, section 4. */

static doi_page_t  ngx_http_doi_refusal[] = {
    DOI_PAGE_INVALID,       /* DOI_TOKEN_OK, not used      */
    DOI_PAGE_INVALID,       /* DOI_TOKEN_MALFORMED         */
    DOI_PAGE_INVALID,       /* DOI_TOKEN_PURPOSE           */
    DOI_PAGE_INVALID,       /* DOI_TOKEN_UNKNOWN_KEY       */
    DOI_PAGE_INVALID,       /* DOI_TOKEN_FORGED            */
    DOI_PAGE_EXPIRED,       /* DOI_TOKEN_EXPIRED           */
    DOI_PAGE_UNAVAILABLE    /* DOI_TOKEN_FAILED            */
};


ngx_int_t
ngx_http_doi_link_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_http_doi_ctx_t       *ctx;
    ngx_http_doi_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_doi_module);

    /* no claim and no redirect leads past it */

    if (conf->gate) {
        rc = ngx_http_doi_gate_handler(r, conf);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    ctx = ngx_http_doi_get_ctx(r);

    if (ctx && (ctx->claimed || ctx->outcome)) {
        return ngx_http_doi_again(r, ctx);
    }

    if (conf->hold) {
        return ngx_http_doi_hold_handler(r, conf);
    }

    if (conf->confirm) {
        return ngx_http_doi_confirm_handler(r, conf);
    }

    if (conf->subscribe) {
        return ngx_http_doi_subscribe_handler(r, conf);
    }

    if (conf->unsubscribe) {
        return ngx_http_doi_unsubscribe_handler(r, conf);
    }

    if (conf->link == NULL) {
        return NGX_DECLINED;
    }

    if (ctx && ctx->stage == NGX_HTTP_DOI_PASSED) {

        /*
         * Let through before an internal redirect: to be judged anew, but with
         * the token that was cut out of the request by then.
         */

        ctx->stage = NGX_HTTP_DOI_START;
        ctx->passed = 1;
    }

    if (ctx == NULL) {
        ctx = ngx_http_doi_create_ctx(r);
        if (ctx == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    switch (ctx->stage) {

    case NGX_HTTP_DOI_START:
        break;

    case NGX_HTTP_DOI_CLAIM:
        return ngx_http_doi_claim(r, ctx, conf);

    case NGX_HTTP_DOI_ANSWERED:
        return ngx_http_doi_answered(r, ctx);

    default: /* NGX_HTTP_DOI_BODY, NGX_HTTP_DOI_WAIT */
        return NGX_DONE;
    }

    rc = ngx_http_doi_verify(r, ctx, DOI_PURPOSE_LINK, conf->link->token,
                             conf->link->scope);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_doi_process_store() == NULL) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_UNAVAILABLE);
    }

    if (r->method != NGX_HTTP_POST) {
        ctx->token_cookie = conf->link->cookie;
        return ngx_http_doi_view(r, ctx);
    }

    if (conf->link->token == NULL && ngx_http_doi_same_origin(r) != NGX_OK) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_FORBIDDEN);
    }

    return ngx_http_doi_read_body(r, ctx);
}


ngx_int_t
ngx_http_doi_verify(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    doi_purpose_t purpose, ngx_http_complex_value_t *token,
    ngx_http_complex_value_t *scope)
{
    doi_str_t                  bound, text;
    doi_page_t                 page;
    doi_token_rc_t             rc;
    ngx_http_doi_loc_conf_t   *conf;
    ngx_http_doi_main_conf_t  *mcf;

    if (scope && ngx_http_complex_value(r, scope, &ctx->scope) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_doi_token_text(r, ctx, token) != NGX_OK
        || ngx_http_doi_hide(r, ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_OPTIONS
                       |NGX_HTTP_POST)))
    {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_METHOD);
    }

    conf = ngx_http_get_module_loc_conf(r, ngx_http_doi_module);
    mcf = ngx_http_get_module_main_conf(r, ngx_http_doi_module);

    bound.data = ctx->scope.data;
    bound.len = ctx->scope.len;
    text.data = ctx->text.data;
    text.len = ctx->text.len;

    rc = doi_token_verify(conf->ring, purpose, bound, ngx_http_doi_now(),
                          text, &ctx->token);

    if (rc == DOI_TOKEN_OK || rc == DOI_TOKEN_EXPIRED) {
        ctx->genuine = 1;
        doi_id_encode(ctx->token.id, ctx->id);
    }

    if (rc == DOI_TOKEN_OK) {
        return NGX_OK;
    }

    page = ngx_http_doi_refusal[rc];

    if (rc == DOI_TOKEN_EXPIRED) {
        ctx->state = DOI_LINK_EXPIRED;
        ctx->known = 1;

        if (purpose == DOI_PURPOSE_CONFIRM) {
            page = DOI_PAGE_LAPSED;
        }
    }

    ngx_http_doi_count(&mcf->stats->refused[rc]);

    return ngx_http_doi_send_page(r, ctx, page);
}


static ngx_int_t
ngx_http_doi_token_text(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_complex_value_t *token)
{
    u_char     *p;
    size_t      len;
    ngx_str_t   name;

    if (ctx->passed) {
        return NGX_OK;
    }

    if (token == NULL) {

        if (ngx_http_doi_scope_cookie(r->pool, &ctx->scope, &name) != NGX_OK) {
            return NGX_ERROR;
        }

        if (ngx_http_doi_get_cookie(r, &name, &ctx->text) != NGX_OK) {
            ngx_str_null(&ctx->text);
        }

        return NGX_OK;
    }

    if (ngx_http_complex_value(r, token, &ctx->text) != NGX_OK) {
        return NGX_ERROR;
    }

    /*
     * The path that the token was taken from is decoded.  A token that was
     * percent-encoded there is not canonical, and could not be cut out of the
     * URI that goes on.
     */

    len = r->unparsed_uri.len;

    if (r->valid_unparsed_uri) {
        p = ngx_strlchr(r->unparsed_uri.data, r->unparsed_uri.data + len, '?');

        if (p) {
            len = p - r->unparsed_uri.data;
        }
    }

    if (ctx->text.len
        && ngx_http_doi_search(r->uri.data, r->uri.len, &ctx->text)
        && ngx_http_doi_search(r->unparsed_uri.data, len, &ctx->text) == NULL)
    {
        ngx_str_null(&ctx->text);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_view(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx)
{
    doi_read_arg_t  read;

    if (ngx_http_doi_browser(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(read.id, ctx->token.id, DOI_ID_SIZE);
    ngx_memzero(read.browser, DOI_BROWSER_SIZE);

    ngx_http_doi_read(ctx, &read);

    if (ctx->result != DOI_WON || ctx->answer.state == DOI_LINK_FRESH) {
        return ngx_http_doi_answered(r, ctx);
    }

    /* only now it matters which browser it is */

    if (!ctx->new_browser) {

        if (ngx_http_doi_browser_hash(ctx, read.browser) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_http_doi_read(ctx, &read);
    }

    if (ctx->result == DOI_WON && ctx->answer.state == DOI_LINK_CLAIMED) {
        return ngx_http_doi_wait(r, ctx, DOI_OP_LINK_READ, &read,
                                 sizeof(doi_read_arg_t));
    }

    return ngx_http_doi_answered(r, ctx);
}


/* The state in a snapshot, to ctx->result and ctx->answer. */

static void
ngx_http_doi_read(ngx_http_doi_ctx_t *ctx, doi_read_arg_t *read)
{
    doi_buf_t  out;
    doi_str_t  arg;

    arg.data = (u_char *) read;
    arg.len = sizeof(doi_read_arg_t);

    out.data = (u_char *) &ctx->answer;
    out.len = 0;
    out.size = sizeof(doi_link_answer_t);

    ctx->result = doi_store_read(ngx_http_doi_process_store(),
                                 doi_op_function(DOI_OP_LINK_READ), arg, &out);

    if (out.len != sizeof(doi_link_answer_t)) {
        ctx->result = DOI_RETRY;
    }
}


/* The shape of the mirror module: others leak the connection when a chunked
   body outgrows client_max_body_size. */

ngx_int_t
ngx_http_doi_read_body(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx)
{
    ngx_int_t  rc;

    ctx->stage = NGX_HTTP_DOI_BODY;

    rc = ngx_http_read_client_request_body(r, ngx_http_doi_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        ctx->stage = NGX_HTTP_DOI_START;
        return rc;
    }

    ngx_http_finalize_request(r, NGX_DONE);

    return NGX_DONE;
}


static void
ngx_http_doi_body_handler(ngx_http_request_t *r)
{
    ngx_http_doi_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_doi_module);

    ctx->stage = NGX_HTTP_DOI_CLAIM;

    r->preserve_body = 1;

    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
}


static ngx_int_t
ngx_http_doi_claim(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_loc_conf_t *conf)
{
    doi_claim_arg_t  arg;

    ngx_memzero(&arg, sizeof(doi_claim_arg_t));

    if (ngx_http_doi_browser(r, ctx) != NGX_OK
        || ngx_http_doi_browser_hash(ctx, arg.browser) != NGX_OK
        || ngx_http_doi_random(ctx->attempt, DOI_ATTEMPT_SIZE) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(arg.id, ctx->token.id, DOI_ID_SIZE);
    ngx_memcpy(arg.attempt, ctx->attempt, DOI_ATTEMPT_SIZE);

    arg.expires = ctx->token.expires;
    arg.timeout = (uint32_t) conf->claim_timeout;

    if (conf->in_doubt) {
        arg.flags |= DOI_CLAIM_RELEASE;
    }

    if (conf->idempotent) {
        arg.flags |= DOI_CLAIM_IDEMPOTENT;
    }

    ctx->conf = conf;
    ctx->claiming = 1;

    return ngx_http_doi_wait(r, ctx, DOI_OP_LINK_CLAIM, &arg,
                             sizeof(doi_claim_arg_t));
}


/* Submits and waits in the access phase, as the limit_req module waits. */

ngx_int_t
ngx_http_doi_wait(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_uint_t op, void *arg, size_t len)
{
    ngx_http_doi_op_t  *w;

    w = ngx_alloc(sizeof(ngx_http_doi_op_t), r->connection->log);
    if (w == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    w->request = r;
    w->ctx = ctx;
    w->link = (ctx->booking == NULL);
    w->wake = (!w->link && op != DOI_OP_BOOKING_READ && op != DOI_OP_LIMIT);
    w->consent = 0;
    w->settle = (op == DOI_OP_LINK_CLAIM) ? DOI_OP_LINK_SETTLE
                : (op == DOI_OP_BOOKING_CLAIM) ? DOI_OP_BOOKING_SETTLE : 0;

    ngx_memcpy(w->id, ctx->token.id, DOI_ID_SIZE);
    ngx_memcpy(w->attempt, ctx->attempt, DOI_ATTEMPT_SIZE);

    /* a client that hangs up from now on has claimed nothing */

    if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
        ngx_free(w);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_doi_submit(op, arg, len, ngx_http_doi_done, w) != NGX_OK) {
        ngx_free(w);
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_UNAVAILABLE);
    }

    ctx->op = w;
    ctx->stage = NGX_HTTP_DOI_WAIT;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_AGAIN;
}


ngx_int_t
ngx_http_doi_wait_event(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_event_t *event)
{
    ngx_http_doi_op_t  *w;

    w = ngx_calloc(sizeof(ngx_http_doi_op_t), r->connection->log);
    if (w == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    w->request = r;
    w->ctx = ctx;
    w->consent = 1;
    w->wake = 1;

    if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
        ngx_free(w);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_doi_event(event, ngx_http_doi_done, w) != NGX_OK) {
        ngx_free(w);
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_UNAVAILABLE);
    }

    ctx->op = w;
    ctx->stage = NGX_HTTP_DOI_WAIT;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_AGAIN;
}


static void
ngx_http_doi_done(void *data, doi_result_t result, doi_str_t answer)
{
    ngx_http_doi_op_t *w = data;

    ngx_http_request_t  *r;
    ngx_http_doi_ctx_t  *ctx;

    r = w->request;

    if (r) {
        w->ctx->op = NULL;

        if (ngx_http_doi_exiting()) {
            r = NULL;
        }
    }

    if (result == DOI_WON && w->wake) {
        ngx_http_doi_courier_wake();
    }

    if (r && result != DOI_RETRY && ngx_http_doi_take(w, answer) != NGX_OK) {
        result = DOI_UNKNOWN;
    }

    if (w->settle
        && (result == DOI_UNKNOWN || (result == DOI_WON && r == NULL)))
    {
        /* nothing was sent to the upstream, nor will be */

        ngx_http_doi_settle(w->settle, w->id, w->attempt,
                            DOI_OUTCOME_RELEASED, 0);
    }

    ctx = w->ctx;

    ngx_free(w);

    if (r == NULL) {
        return;
    }

    ctx->result = result;
    ctx->stage = NGX_HTTP_DOI_ANSWERED;

    ngx_http_doi_resume(r);
}


/* The answer to the request that waits for it; no answer is NGX_ERROR. */

static ngx_int_t
ngx_http_doi_take(ngx_http_doi_op_t *w, doi_str_t answer)
{
    if (w->consent) {

        if (answer.len != sizeof(doi_consent_answer_t)) {
            return NGX_ERROR;
        }

        ngx_memcpy(&w->ctx->booking->consent, answer.data,
                   sizeof(doi_consent_answer_t));
        return NGX_OK;
    }

    if (!w->link) {
        return ngx_http_doi_booking_answer(w->request->pool, w->ctx->booking,
                                           answer);
    }

    if (answer.len != sizeof(doi_link_answer_t)) {
        return NGX_ERROR;
    }

    ngx_memcpy(&w->ctx->answer, answer.data, sizeof(doi_link_answer_t));

    return NGX_OK;
}


static void
ngx_http_doi_resume(ngx_http_request_t *r)
{
    ngx_connection_t  *c;

    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_doi_answered(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx)
{
    u_char                    *p;
    ngx_http_doi_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_doi_module);

    if (ctx->result == DOI_RETRY || ctx->result == DOI_UNKNOWN) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_UNAVAILABLE);
    }

    ctx->state = ctx->answer.state;
    ctx->known = 1;

    if (ctx->claiming && ctx->result == DOI_WON) {

        ngx_http_doi_count(&mcf->stats->claimed);

        ctx->claimed = 1;
        ctx->asked = r->upstream_states ? r->upstream_states->nelts : 0;

        /* id, then the slot of a link with several uses */

        ctx->key.data = ngx_pnalloc(r->pool,
                                    DOI_ID_CHARS + 1 + NGX_INT_T_LEN);
        if (ctx->key.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        p = ngx_cpymem(ctx->key.data, ctx->id, DOI_ID_CHARS);

        if (ctx->answer.slot) {
            p = ngx_sprintf(p, ".%ui", (ngx_uint_t) ctx->answer.slot);
        }

        ctx->key.len = p - ctx->key.data;

        return ngx_http_doi_pass(r, ctx);
    }

    if (!ctx->claiming && ctx->answer.state == DOI_LINK_FRESH) {
        ngx_http_doi_count(&mcf->stats->viewed);
        return ngx_http_doi_pass(r, ctx);
    }

    return ngx_http_doi_send_page(r, ctx,
                                  ngx_http_doi_state_page(&ctx->answer));
}


static ngx_int_t
ngx_http_doi_pass(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx)
{
    ctx->stage = NGX_HTTP_DOI_PASSED;

    /* a request that is replayed was cleaned when it was stored */

    if (ctx->booking == NULL && ngx_http_doi_clean_request(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_OK;
}


/*
 * The access phase again, with a claim: an internal redirect, by try_files
 * before an upstream was asked, or by error_page or X-Accel-Redirect after.
 * In the latter case the claim is settled now, by the upstream that had the
 * booking, and the booking is not sent a second time.
 */

static ngx_int_t
ngx_http_doi_again(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx)
{
    if (ctx->claimed) {

        if (r->method == NGX_HTTP_POST && !ngx_http_doi_asked(r, ctx)) {
            return ngx_http_doi_pass(r, ctx);
        }

        ngx_http_doi_settle_request(r, ctx);
    }

    if (ctx->booking && ctx->booking->page) {
        return ngx_http_doi_send_page(r, ctx, ngx_http_doi_outcome_page(ctx));
    }

    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) {
        return ngx_http_doi_pass(r, ctx);
    }

    if (ctx->booking) {
        return ngx_http_doi_send_page(r, ctx, ngx_http_doi_outcome_page(ctx));
    }

    switch (ctx->outcome) {

    case DOI_OUTCOME_USED:
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_CONFIRMED);

    case DOI_OUTCOME_RELEASED:
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_UNAVAILABLE);

    default:
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_IN_DOUBT);
    }
}


ngx_http_doi_ctx_t *
ngx_http_doi_create_ctx(ngx_http_request_t *r)
{
    ngx_http_doi_ctx_t  *ctx;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_doi_ctx_t));
    if (cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_doi_ctx_t));

    cln->handler = ngx_http_doi_cleanup;

    ctx->uri = r->unparsed_uri;

    /* in a page, "//host" would be another site */

    while (ctx->uri.len > 1 && ctx->uri.data[0] == '/'
           && (ctx->uri.data[1] == '/' || ctx->uri.data[1] == '\\'))
    {
        ctx->uri.data++;
        ctx->uri.len--;
    }

    ngx_http_set_ctx(r, ctx, ngx_http_doi_module);

    return ctx;
}


ngx_http_doi_ctx_t *
ngx_http_doi_get_ctx(ngx_http_request_t *r)
{
    ngx_http_doi_ctx_t  *ctx;
    ngx_pool_cleanup_t  *cln;

    ctx = ngx_http_get_module_ctx(r, ngx_http_doi_module);

    if (ctx == NULL && r == r->main && (r->internal || r->filter_finalize)) {

        /* an internal redirect forgets the contexts, and what was awaited */

        for (cln = r->pool->cleanup; cln; cln = cln->next) {
            if (cln->handler == ngx_http_doi_cleanup) {
                ctx = cln->data;
                ngx_http_set_ctx(r, ctx, ngx_http_doi_module);

                ngx_http_doi_cleanup(ctx);

                if (ctx->stage != NGX_HTTP_DOI_PASSED) {
                    ctx->stage = NGX_HTTP_DOI_START;
                }

                break;
            }
        }
    }

    return ctx;
}


static void
ngx_http_doi_cleanup(void *data)
{
    ngx_http_doi_ctx_t *ctx = data;

    if (ctx->op) {
        ctx->op->request = NULL;
        ctx->op = NULL;
    }
}
