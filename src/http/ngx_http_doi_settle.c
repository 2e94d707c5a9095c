/*
 * Settling a claim by what the upstream did.
 *
 * The outcome is known when the header of the upstream's answer is complete,
 * or when it is clear that none will come.  The settlement is sent to the
 * store before the answer goes to the client, but the answer does not wait for
 * it: it rests on the upstream's word and on the claim, which is durable.  A
 * power cut in between leaves the claim in doubt, never fresh.
 */

#include "ngx_http_doi_booking.h"
#include "ngx_http_doi_consent.h"


static ngx_int_t ngx_http_doi_header_filter(ngx_http_request_t *r);
static ngx_uint_t ngx_http_doi_is_own_error(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx);
static ngx_int_t ngx_http_doi_replace(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx);
static void ngx_http_doi_drop_headers(ngx_http_request_t *r);
static ngx_int_t ngx_http_doi_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_uint_t ngx_http_doi_outcome(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_uint_t *status);
static ngx_uint_t ngx_http_doi_never_reached(ngx_http_doi_ctx_t *ctx);
static ngx_uint_t ngx_http_doi_by_status(ngx_http_doi_ctx_t *ctx,
    ngx_uint_t status, ngx_list_t *headers, ngx_uint_t retry);
static ngx_uint_t ngx_http_doi_is_success(ngx_http_doi_loc_conf_t *conf,
    ngx_uint_t status, ngx_list_t *headers);
static ngx_uint_t ngx_http_doi_in_codes(ngx_array_t *codes, ngx_uint_t status);
static void ngx_http_doi_tell(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_uint_t status);
static void ngx_http_doi_settle_send(ngx_event_t *ev);
static void ngx_http_doi_settle_done(void *data, doi_result_t result,
    doi_str_t answer);
static ngx_int_t ngx_http_doi_guard_headers(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx);


#define NGX_HTTP_DOI_SETTLE_TRIES   10
#define NGX_HTTP_DOI_SETTLE_EXITING 4       /* in a worker that shuts down */
#define NGX_HTTP_DOI_SETTLE_DELAY   200     /* ms, doubled each time */


/* A settlement on its way; it outlives its request. */

typedef struct {
    ngx_event_t        event;
    ngx_connection_t   dummy;       /* nginx logs event.data as a connection */
    ngx_uint_t         tries;
    ngx_uint_t         op;
    doi_settle_arg_t   arg;
} ngx_http_doi_settle_t;


static ngx_http_output_header_filter_pt  ngx_http_doi_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_doi_next_body_filter;


ngx_int_t
ngx_http_doi_settle_init(ngx_conf_t *cf)
{
    ngx_http_doi_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_doi_header_filter;

    ngx_http_doi_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_doi_body_filter;

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_header_filter(ngx_http_request_t *r)
{
    ngx_http_doi_ctx_t  *ctx;

    if (r != r->main) {
        return ngx_http_doi_next_header_filter(r);
    }

    ctx = ngx_http_doi_get_ctx(r);

    if (ctx == NULL) {
        return ngx_http_doi_next_header_filter(r);
    }

    if (ctx->claimed) {

        ngx_http_doi_settle_request(r, ctx);

        if ((ctx->booking && ctx->booking->page)
            || ngx_http_doi_is_own_error(r, ctx))
        {
            return ngx_http_doi_replace(r, ctx);
        }
    }

    if (ctx->stage == NGX_HTTP_DOI_PASSED
        && ngx_http_doi_guard_headers(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_doi_next_header_filter(r);
}


/* 502, 504 and the like, made by nginx because no answer came. */

static ngx_uint_t
ngx_http_doi_is_own_error(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx)
{
    ngx_http_upstream_state_t  *state;

    if (ctx->outcome == DOI_OUTCOME_USED
        || r->headers_out.status < NGX_HTTP_INTERNAL_SERVER_ERROR
        || !ngx_http_doi_asked(r, ctx))
    {
        return 0;
    }

    state = r->upstream_states->elts;

    return state[r->upstream_states->nelts - 1].header_time
           == (ngx_msec_t) -1;
}


/*
 * The visitor is told what became of the booking instead.  The page goes out
 * at once: it does not wait for a body that may be slow to come.
 */

static ngx_int_t
ngx_http_doi_replace(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx)
{
    ngx_int_t   rc;
    doi_page_t  page;

    if (ctx->booking) {
        page = ngx_http_doi_outcome_page(ctx);

    } else {
        page = (ctx->outcome == DOI_OUTCOME_RELEASED) ? DOI_PAGE_UNAVAILABLE
                                                      : DOI_PAGE_IN_DOUBT;
    }

    ngx_http_doi_drop_headers(r);

    if (r->http_version < NGX_HTTP_VERSION_10) {
        /* garbage, which nginx takes for HTTP/0.9: not what the visitor has */
        r->http_version = NGX_HTTP_VERSION_10;
    }

    if (ngx_http_doi_make_page(r, ctx, page) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->replaced = 1;

    rc = ngx_http_doi_next_header_filter(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_doi_next_body_filter(r, ctx->page);
}


/*
 * What the upstream said of its own answer is not true of the page.  Its
 * cookies go, too: the session is that of whoever sent the form, and who
 * pressed the button may be somebody else, to be caught in it.
 */

static void
ngx_http_doi_drop_headers(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    for (part = &r->headers_out.headers.part; part; part = part->next) {

        header = part->elts;

        for (i = 0; i < part->nelts; i++) {
            header[i].hash = 0;
        }
    }

    r->headers_out.location = NULL;
    r->headers_out.refresh = NULL;
    r->headers_out.content_encoding = NULL;
    r->headers_out.content_range = NULL;
    r->headers_out.www_authenticate = NULL;
    r->headers_out.expires = NULL;
    r->headers_out.charset.len = 0;
    r->headers_out.override_charset = NULL;

#if (nginx_version >= 1023000)
    r->headers_out.cache_control = NULL;
    r->headers_out.link = NULL;
#else
    r->headers_out.cache_control.nelts = 0;
    r->headers_out.link.nelts = 0;
#endif

    r->headers_out.trailers.part.nelts = 0;
    r->headers_out.trailers.part.next = NULL;
    r->headers_out.trailers.last = &r->headers_out.trailers.part;
    r->expect_trailers = 0;
}


static ngx_int_t
ngx_http_doi_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_doi_ctx_t  *ctx;

    if (in == NULL || r != r->main) {
        return ngx_http_doi_next_body_filter(r, in);
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_doi_module);

    if (ctx && ctx->gate) {
        ngx_http_doi_gate_learn(r, in);
    }

    if (ctx == NULL || !ctx->replaced) {
        return ngx_http_doi_next_body_filter(r, in);
    }

    for ( /* void */ ; in; in = in->next) {
        in->buf->pos = in->buf->last;
        in->buf->file_pos = in->buf->file_last;
    }

    return NGX_OK;
}


/* Requests that end without a header: the claim must not stay open. */

ngx_int_t
ngx_http_doi_log_handler(ngx_http_request_t *r)
{
    ngx_http_doi_ctx_t  *ctx;

    /* a logged subrequest, such as a mirror's, says nothing of the booking */

    if (r != r->main) {
        return NGX_OK;
    }

    ctx = ngx_http_doi_get_ctx(r);

    if (ctx && ctx->claimed) {
        ngx_http_doi_settle_request(r, ctx);
    }

    return NGX_OK;
}


void
ngx_http_doi_settle_request(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx)
{
    ngx_uint_t  outcome, status;

    outcome = ngx_http_doi_outcome(r, ctx, &status);

    ctx->claimed = 0;
    ctx->outcome = outcome;

    ngx_http_doi_tell(r, ctx, status);

    ngx_http_doi_settle(ctx->booking ? DOI_OP_BOOKING_SETTLE
                                     : DOI_OP_LINK_SETTLE,
                        ctx->token.id, ctx->attempt, outcome, status);

    /* on its way before any byte of the answer */

    ngx_http_doi_flush();
}


/* $doi_state, counters and log.  Bookings are counted by their events. */

static void
ngx_http_doi_tell(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_uint_t status)
{
    ngx_uint_t                 booking;
    ngx_http_doi_booking_t    *b;
    ngx_http_doi_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_doi_module);
    b = ctx->booking;

    switch (ctx->outcome) {

    case DOI_OUTCOME_USED:
        ctx->state = DOI_LINK_USED;
        booking = DOI_BOOKING_CONFIRMED;

        if (b == NULL) {
            ngx_http_doi_count(&mcf->stats->used);
        }

        break;

    case DOI_OUTCOME_RELEASED:
        ctx->state = DOI_LINK_FRESH;
        booking = status ? DOI_BOOKING_REFUSED : DOI_BOOKING_HELD;

        if (b == NULL) {
            ngx_http_doi_count(&mcf->stats->released);
        }

        break;

    default:
        ctx->state = DOI_LINK_IN_DOUBT;
        booking = DOI_BOOKING_IN_DOUBT;

        if (b == NULL) {
            ngx_http_doi_count(&mcf->stats->in_doubt);
        }

        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "doi: %s %*s is in doubt, upstream status %ui",
                      b ? "booking" : "redemption of link",
                      (size_t) DOI_ID_CHARS, ctx->id, status);
    }

    if (b) {
        b->answer.state = (uint8_t) booking;
        b->state = doi_booking_state_name((unsigned) booking);
    }
}


/* DESIGN.md, section 4 */

static ngx_uint_t
ngx_http_doi_outcome(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_uint_t *status)
{
    ngx_uint_t                  i, last, sent, retry;
    ngx_list_t                 *headers;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_upstream_state_t  *state;

    *status = 0;

    if (!ngx_http_doi_asked(r, ctx)) {

        /* no upstream was asked; some other content handler may have booked */

        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        if (r->upstream || clcf->handler == NULL
            || r->method != NGX_HTTP_POST)
        {
            return ngx_http_doi_never_reached(ctx);
        }

        *status = r->headers_out.status;

        return ngx_http_doi_by_status(ctx, *status, &r->headers_out.headers,
                                      0);
    }

    state = r->upstream_states->elts;
    last = r->upstream_states->nelts - 1;
    sent = 0;
    retry = 0;

    for (i = ctx->asked; i <= last; i++) {

        if (i < last && state[i].bytes_sent) {
            retry = 1;
        }

        sent |= (state[i].bytes_sent != 0);
    }

    if (state[last].header_time != (ngx_msec_t) -1) {

        /* the header of the answer is complete */

        if (r->upstream == NULL || r->upstream->headers_in.status_n == 0) {
            /* what nginx takes for HTTP/0.9 is no answer */
            return DOI_OUTCOME_IN_DOUBT;
        }

        *status = r->upstream->headers_in.status_n;
        headers = &r->upstream->headers_in.headers;

        return ngx_http_doi_by_status(ctx, *status, headers, retry);
    }

    if (sent || (r->upstream && r->upstream->peer.connection
                 && r->upstream->peer.connection->sent))
    {
        return DOI_OUTCOME_IN_DOUBT;
    }

    return ngx_http_doi_never_reached(ctx);
}


/* Whether an upstream was asked since the claim. */

ngx_uint_t
ngx_http_doi_asked(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx)
{
    ngx_uint_t                  i;
    ngx_http_upstream_state_t  *state;

    if (r->upstream_states == NULL) {
        return 0;
    }

    state = r->upstream_states->elts;

    for (i = ctx->asked; i < r->upstream_states->nelts; i++) {

        /* nginx separates the upstreams of internal redirects by zeros */

        if (state[i].peer || state[i].status || state[i].bytes_sent) {
            return 1;
        }
    }

    return 0;
}


/* A retry of a link in doubt that reached nobody has resolved nothing. */

static ngx_uint_t
ngx_http_doi_never_reached(ngx_http_doi_ctx_t *ctx)
{
    return (ctx->answer.flags & DOI_CLAIM_RETRY) ? DOI_OUTCOME_IN_DOUBT
                                                 : DOI_OUTCOME_RELEASED;
}


static ngx_uint_t
ngx_http_doi_by_status(ngx_http_doi_ctx_t *ctx, ngx_uint_t status,
    ngx_list_t *headers, ngx_uint_t retry)
{
    ngx_http_doi_loc_conf_t  *conf;

    conf = ctx->conf;

    if (ngx_http_doi_is_success(conf, status, headers)) {
        return DOI_OUTCOME_USED;
    }

    if ((retry || (ctx->answer.flags & DOI_CLAIM_RETRY))
        && (status == NGX_HTTP_CONFLICT || status == 422))
    {
        /*
         * An upstream that honours Idempotency-Key says so of a retry whose
         * first attempt is still going on, or had another body: neither tells
         * what became of the first.
         */

        return DOI_OUTCOME_IN_DOUBT;
    }

    if (status >= 200 && status < 400) {
        return DOI_OUTCOME_RELEASED;
    }

    if (conf->release == NULL) {
        return (status == NGX_HTTP_BAD_REQUEST || status == NGX_HTTP_NOT_FOUND
                || status == NGX_HTTP_CONFLICT || status == 422)
               ? DOI_OUTCOME_RELEASED : DOI_OUTCOME_IN_DOUBT;
    }

    return ngx_http_doi_in_codes(conf->release, status)
           ? DOI_OUTCOME_RELEASED : DOI_OUTCOME_IN_DOUBT;
}


static ngx_uint_t
ngx_http_doi_is_success(ngx_http_doi_loc_conf_t *conf, ngx_uint_t status,
    ngx_list_t *headers)
{
    ngx_str_t        *name, *value;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    if (conf->success && conf->success->nelts) {
        if (!ngx_http_doi_in_codes(conf->success, status)) {
            return 0;
        }

    } else if (status < 200 || status >= 400) {
        return 0;
    }

    name = &conf->success_header;
    value = &conf->success_value;

    if (name->len == 0) {
        return 1;
    }

    part = &headers->part;
    header = part->elts;

    for (i = 0; /* void */; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return 0;
            }

            part = part->next;
            header = part->elts;
            i = 0;
        }

        if (header[i].key.len == name->len
            && ngx_strncasecmp(header[i].key.data, name->data, name->len) == 0
            && (value->len == 0
                || (header[i].value.len == value->len
                    && ngx_strncmp(header[i].value.data, value->data,
                                   value->len) == 0)))
        {
            return 1;
        }
    }
}


static ngx_uint_t
ngx_http_doi_in_codes(ngx_array_t *codes, ngx_uint_t status)
{
    ngx_uint_t             i;
    ngx_http_doi_codes_t  *code;

    code = codes->elts;

    for (i = 0; i < codes->nelts; i++) {
        if (status >= code[i].lo && status <= code[i].hi) {
            return 1;
        }
    }

    return 0;
}


void
ngx_http_doi_settle(ngx_uint_t op, const uint8_t *id, const uint8_t *attempt,
    ngx_uint_t outcome, ngx_uint_t status)
{
    ngx_http_doi_settle_t  *s;

    s = ngx_calloc(sizeof(ngx_http_doi_settle_t), ngx_cycle->log);
    if (s == NULL) {
        return;
    }

    s->op = op;

    ngx_memcpy(s->arg.id, id, DOI_ID_SIZE);
    ngx_memcpy(s->arg.attempt, attempt, DOI_ATTEMPT_SIZE);

    s->arg.outcome = (uint16_t) outcome;
    s->arg.status = (uint16_t) status;

    s->dummy.fd = (ngx_socket_t) -1;
    s->event.data = &s->dummy;
    s->event.handler = ngx_http_doi_settle_send;
    s->event.log = ngx_cycle->log;

    ngx_http_doi_settle_send(&s->event);
}


static void
ngx_http_doi_settle_send(ngx_event_t *ev)
{
    ngx_http_doi_settle_t  *s;

    s = (ngx_http_doi_settle_t *) ((u_char *) ev
                                   - offsetof(ngx_http_doi_settle_t, event));

    if (ngx_http_doi_submit(s->op, &s->arg,
                            sizeof(doi_settle_arg_t),
                            ngx_http_doi_settle_done, s)
        != NGX_OK)
    {
        doi_str_t  none = { NULL, 0 };

        ngx_http_doi_settle_done(s, DOI_RETRY, none);
    }
}


static void
ngx_http_doi_settle_done(void *data, doi_result_t result, doi_str_t answer)
{
    ngx_http_doi_settle_t *s = data;

    u_char       id[DOI_ID_CHARS];
    const char  *what;
    ngx_uint_t   tries;

    what = (s->op == DOI_OP_BOOKING_SETTLE) ? "booking" : "link";

    if (result == DOI_WON && s->op == DOI_OP_BOOKING_SETTLE) {
        ngx_http_doi_courier_wake();
    }

    if (result == DOI_WON || result == DOI_CONFLICT) {

        if (result == DOI_CONFLICT && s->arg.outcome == DOI_OUTCOME_USED) {

            doi_id_encode(s->arg.id, id);

            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "doi: %s %*s was booked, but its claim had been "
                          "released, resolved or retried meanwhile: see "
                          "whether it is booked twice, and raise "
                          "\"doi_claim_timeout\"",
                          what, (size_t) DOI_ID_CHARS, id);
        }

        ngx_free(s);
        return;
    }

    tries = ngx_exiting ? NGX_HTTP_DOI_SETTLE_EXITING
                        : NGX_HTTP_DOI_SETTLE_TRIES;

    if (s->tries++ < tries && !ngx_http_doi_exiting()) {

        /* the same settlement may be made twice */

        ngx_add_timer(&s->event,
                      NGX_HTTP_DOI_SETTLE_DELAY << (s->tries - 1));
        return;
    }

    doi_id_encode(s->arg.id, id);

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "doi: could not settle %s %*s, the store did not take it: "
                  "it will be in doubt, resolve it by the API",
                  what, (size_t) DOI_ID_CHARS, id);

    ngx_free(s);
}


/*
 * A page of the upstream under an address with a token in it is not for
 * caches, search engines or the Referer of other sites; one that carries a
 * cookie of ours is not for caches whatever the upstream says.
 */

static ngx_int_t
ngx_http_doi_guard_headers(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx)
{
    ngx_uint_t        i, referrer, cache, cookie;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    cookie = ctx->new_browser || ctx->token_cookie;
    referrer = 0;
    cache = 0;

    part = &r->headers_out.headers.part;
    header = part->elts;

    for (i = 0; /* void */; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            header = part->elts;
            i = 0;
        }

        if (header[i].hash == 0) {
            continue;
        }

        if (ngx_http_doi_is(&header[i].key, "referrer-policy")) {
            referrer = 1;
        }

        if (ngx_http_doi_is(&header[i].key, "cache-control")) {

            if (cookie) {
                header[i].hash = 0;

            } else {
                cache = 1;
            }
        }

        if (cookie && ngx_http_doi_is(&header[i].key, "expires")) {
            header[i].hash = 0;
            r->headers_out.expires = NULL;
        }
    }

    if (!referrer
        && ngx_http_doi_header_str(r, "Referrer-Policy", "strict-origin")
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!cache
        && ngx_http_doi_header_str(r, "Cache-Control", "no-store") != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_doi_header_str(r, "X-Robots-Tag", "noindex") != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_doi_set_cookies(r, ctx);
}
