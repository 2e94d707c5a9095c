/*
 * doi_hold: the POST of a booking form becomes a hold, before the app has seen
 * anything of it.
 *
 * The request is read whole, judged by the fields that are named, sealed, and
 * written with the hold in one transaction; the mail with the link follows from
 * the event of that transaction.  Nothing depends on whether an address is
 * known: the answer is the same, and so is the work that it takes.
 *
 * A visitor who hangs up while the store is asked has nothing to take back: the
 * hold stands, and its mail says what to do.
 */

#include "ngx_http_doi_booking.h"


/* The texts of a hold that come from the configuration. */

typedef struct {
    doi_booking_text_t         text;
    ngx_http_complex_value_t  *value;
} ngx_http_doi_hold_value_t;


static ngx_int_t ngx_http_doi_hold_wanted(ngx_http_request_t *r,
    ngx_http_doi_hold_conf_t *hold);
static ngx_int_t ngx_http_doi_hold_begin(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf);
static ngx_int_t ngx_http_doi_hold_form(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_http_doi_loc_conf_t *conf);
static ngx_int_t ngx_http_doi_hold_submit(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_http_doi_loc_conf_t *conf,
    ngx_str_t *body);
static ngx_int_t ngx_http_doi_hold_token(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_http_doi_loc_conf_t *conf, doi_str_t *url);
static ngx_int_t ngx_http_doi_hold_texts(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_http_doi_loc_conf_t *conf, doi_str_t *text);
static ngx_int_t ngx_http_doi_hold_owner(ngx_http_request_t *r,
    doi_str_t *email);
static ngx_int_t ngx_http_doi_hold_answered(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx);


ngx_int_t
ngx_http_doi_hold_handler(ngx_http_request_t *r, ngx_http_doi_loc_conf_t *conf)
{
    ngx_int_t            rc;
    ngx_http_doi_ctx_t  *ctx;

    ctx = ngx_http_doi_get_ctx(r);

    if (ctx && ctx->booking) {

        switch (ctx->stage) {

        case NGX_HTTP_DOI_START:
            break;

        case NGX_HTTP_DOI_CLAIM:
            return ngx_http_doi_hold_form(r, ctx, conf);

        case NGX_HTTP_DOI_ANSWERED:
            return ngx_http_doi_hold_answered(r, ctx);

        default: /* NGX_HTTP_DOI_BODY, NGX_HTTP_DOI_WAIT */
            return NGX_DONE;
        }
    }

    rc = ngx_http_doi_hold_wanted(r, conf->hold);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_doi_hold_begin(r, conf);
}


/* NGX_DECLINED: the request goes on to the app, untouched. */

static ngx_int_t
ngx_http_doi_hold_wanted(ngx_http_request_t *r, ngx_http_doi_hold_conf_t *hold)
{
    ngx_str_t  cond;

    /* some frameworks take a GET for a POST if a header says so */

    if ((r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_OPTIONS))
        && !ngx_http_doi_is_disguised(r))
    {
        return NGX_DECLINED;
    }

    if (hold->cond == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, hold->cond, &cond) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return (cond.len == 0 || (cond.len == 1 && cond.data[0] == '0'))
           ? NGX_DECLINED : NGX_OK;
}


ngx_http_doi_ctx_t *
ngx_http_doi_booking_ctx(ngx_http_request_t *r)
{
    ngx_http_doi_ctx_t      *ctx;
    ngx_http_doi_booking_t  *b;

    ctx = ngx_http_doi_get_ctx(r);

    if (ctx == NULL) {
        ctx = ngx_http_doi_create_ctx(r);
        if (ctx == NULL) {
            return NULL;
        }
    }

    b = ngx_pcalloc(r->pool, sizeof(ngx_http_doi_booking_t));
    if (b == NULL) {
        return NULL;
    }

    ctx->booking = b;
    ctx->stage = NGX_HTTP_DOI_START;

    return ctx;
}


static ngx_int_t
ngx_http_doi_hold_begin(ngx_http_request_t *r, ngx_http_doi_loc_conf_t *conf)
{
    ngx_http_doi_ctx_t  *ctx;

    ctx = ngx_http_doi_booking_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->booking->hold = 1;

    /* PUT or PATCH to an app that takes it for a booking must not slip past */

    if (r->method != NGX_HTTP_POST) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_METHOD);
    }

    if (ngx_http_doi_process_store() == NULL) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_UNAVAILABLE);
    }

    if (ngx_http_doi_form_type(r) == DOI_FORM_UNKNOWN) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_TYPE);
    }

    if (r->headers_in.content_length_n > DOI_REQUEST_MAX) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_LARGE);
    }

    if (conf->hold->scope
        && ngx_http_complex_value(r, conf->hold->scope, &ctx->scope)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_doi_read_body(r, ctx);
}


static ngx_int_t
ngx_http_doi_hold_form(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_loc_conf_t *conf)
{
    ngx_int_t  rc;
    ngx_str_t  body;

    rc = ngx_http_doi_body(r, DOI_REQUEST_MAX, &body);

    if (rc == NGX_DECLINED) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_LARGE);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_doi_form_read(r, ctx, conf, &body);

        if (rc == NGX_DECLINED) {
            return ngx_http_doi_send_page(r, ctx, DOI_PAGE_FORM);
        }
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_doi_hold_submit(r, ctx, conf, &body);
}


ngx_int_t
ngx_http_doi_body(ngx_http_request_t *r, size_t max, ngx_str_t *body)
{
    off_t         size;
    u_char       *p;
    ssize_t       n;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (r->request_body == NULL) {

        /* thrown away: too large for the location that "error_page" led from */

        return NGX_DECLINED;
    }

    size = 0;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    if (size > (off_t) max) {
        return NGX_DECLINED;
    }

    body->len = (size_t) size;
    body->data = ngx_pnalloc(r->pool, (size_t) size + 1);
    if (body->data == NULL) {
        return NGX_ERROR;
    }

    p = body->data;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {

        b = cl->buf;
        n = (ssize_t) ngx_buf_size(b);

        if (ngx_buf_in_memory(b)) {
            p = ngx_cpymem(p, b->pos, n);

        } else if (n) {

            /* a few pages that were written a moment ago */

            if (ngx_read_file(b->file, p, n, b->file_pos) != n) {
                ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                              "doi: could not read the request body from "
                              "\"%V\"", &b->file->name);
                return NGX_ERROR;
            }

            p += n;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_hold_submit(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_loc_conf_t *conf, ngx_str_t *body)
{
    u_char                  *p, *arg;
    size_t                   len;
    ngx_int_t                rc;
    ngx_str_t                sealed;
    doi_str_t                text[DOI_TEXTS];
    doi_time_t               now;
    ngx_int_t                nlimits;
    ngx_uint_t               i;
    doi_limit_t              limits[DOI_LIMITS_MAX];
    doi_hold_arg_t           hold;
    ngx_http_doi_booking_t  *b;

    b = ctx->booking;
    now = ngx_http_doi_now();

    ngx_memzero(&hold, sizeof(doi_hold_arg_t));
    ngx_memzero(text, sizeof(text));

    b->expires = now + (doi_time_t) conf->hold->ttl;

    if (ngx_http_doi_hold_token(r, ctx, conf, &text[DOI_TEXT_URL])
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_doi_hold_texts(r, ctx, conf, text);

    if (rc == NGX_DECLINED) {
        b->problem = "problem.text";
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_FORM);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_doi_replay_store(r, conf, ctx->token.id, body, &sealed);

    if (rc == NGX_DECLINED) {
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_LARGE);
    }

    nlimits = ngx_http_doi_form_limits(r, ctx, conf, limits);

    if (rc != NGX_OK || nlimits == NGX_ERROR
        || doi_code(conf->ring, ctx->token.id, &hold.code) != DOI_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(hold.id, ctx->token.id, DOI_ID_SIZE);

    hold.expires = b->expires;
    hold.start = b->form.start;
    hold.duration = b->form.duration;
    hold.request_len = (uint32_t) sealed.len;
    hold.nlimits = (uint16_t) nlimits;

    if (conf->hold->remind) {
        hold.remind = b->expires - (doi_time_t) conf->hold->remind;
    }

    len = sizeof(doi_hold_arg_t) + nlimits * sizeof(doi_limit_t) + sealed.len;

    for (i = 0; i < DOI_TEXTS; i++) {
        hold.text_len[i] = (uint16_t) text[i].len;
        len += text[i].len;
    }

    arg = ngx_palloc(r->pool, len);
    if (arg == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(arg, &hold, sizeof(doi_hold_arg_t));
    p = ngx_cpymem(p, limits, nlimits * sizeof(doi_limit_t));

    for (i = 0; i < DOI_TEXTS; i++) {
        if (text[i].len) {
            p = ngx_cpymem(p, text[i].data, text[i].len);
        }
    }

    ngx_memcpy(p, sealed.data, sealed.len);

    return ngx_http_doi_wait(r, ctx, DOI_OP_BOOKING_HOLD, arg, len);
}


/* The confirmation token, whose id is the booking's, and its link, sealed. */

static ngx_int_t
ngx_http_doi_hold_token(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_loc_conf_t *conf, doi_str_t *url)
{
    u_char     random[8], nonce[DOI_SEAL_NONCE];
    uint8_t    chars[DOI_TOKEN_CHARS];
    doi_buf_t  out;
    doi_str_t  aad, plain, scope;
    ngx_str_t  token, s;

    scope.data = ctx->scope.data;
    scope.len = ctx->scope.len;

    if (ngx_http_doi_random(random, sizeof(random)) != NGX_OK
        || ngx_http_doi_random(nonce, sizeof(nonce)) != NGX_OK
        || doi_token_mint(conf->ring, DOI_PURPOSE_CONFIRM, scope,
                          ngx_http_doi_now(), ctx->booking->expires, random,
                          chars, &ctx->token)
           != DOI_OK)
    {
        return NGX_ERROR;
    }

    doi_id_encode(ctx->token.id, ctx->id);
    ctx->genuine = 1;

    token.data = chars;
    token.len = DOI_TOKEN_CHARS;

    if (ngx_http_doi_make_url(r, conf, DOI_PURPOSE_CONFIRM, &token,
                              &ctx->scope, &s)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    out.len = 0;
    out.size = doi_booking_text_max[DOI_TEXT_URL];

    if (s.len + DOI_SEAL_OVERHEAD > out.size) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "doi: the confirmation link has %uz bytes, more than "
                      "%uz: shorten \"doi_base_url\" or \"doi_url\"",
                      s.len, out.size - DOI_SEAL_OVERHEAD);
        return NGX_ERROR;
    }

    out.data = ngx_pnalloc(r->pool, out.size);
    if (out.data == NULL) {
        return NGX_ERROR;
    }

    aad.data = ctx->token.id;
    aad.len = DOI_ID_SIZE;
    plain.data = s.data;
    plain.len = s.len;

    if (doi_seal(conf->ring, nonce, aad, plain, &out) != DOI_OK) {
        return NGX_ERROR;
    }

    url->data = out.data;
    url->len = out.len;

    return NGX_OK;
}


/*
 * NGX_DECLINED: one has bytes that are no text.  The path or the arguments may
 * have brought them, and neither a mail nor JSON could be made of them.
 */

static ngx_int_t
ngx_http_doi_hold_texts(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_loc_conf_t *conf, doi_str_t *text)
{
    ngx_str_t                    s;
    doi_str_t                    clean;
    const char                  *err;
    ngx_uint_t                   i;
    ngx_http_doi_form_t         *form;
    ngx_http_doi_hold_value_t   *v;
    ngx_http_doi_hold_value_t    values[] = {
        { DOI_TEXT_SUMMARY, conf->hold->summary },
        { DOI_TEXT_OWNER_NAME, conf->owner ? conf->owner->name : NULL },
        { DOI_TEXT_OWNER_EMAIL, conf->owner ? conf->owner->email : NULL },
        { DOI_TEXT_OWNER_PHONE, conf->owner ? conf->owner->phone : NULL },
        { DOI_TEXT_OWNER_URL, conf->owner ? conf->owner->url : NULL }
    };

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {

        v = &values[i];

        if (v->value == NULL) {
            continue;
        }

        if (ngx_http_complex_value(r, v->value, &s) != NGX_OK) {
            return NGX_ERROR;
        }

        text[v->text].data = s.data;
        text[v->text].len = s.len;
    }

    if (ngx_http_doi_hold_owner(r, &text[DOI_TEXT_OWNER_EMAIL]) != NGX_OK) {
        return NGX_ERROR;
    }

    form = &ctx->booking->form;
    form->summary = text[DOI_TEXT_SUMMARY];

    text[DOI_TEXT_SCOPE].data = ctx->scope.data;
    text[DOI_TEXT_SCOPE].len = ctx->scope.len;
    text[DOI_TEXT_SLOT] = form->slot;
    text[DOI_TEXT_EMAIL] = form->email;
    text[DOI_TEXT_NAME] = form->name;
    text[DOI_TEXT_LANG] = form->lang;
    text[DOI_TEXT_ZONE] = form->zone;
    text[DOI_TEXT_TEMPLATES].data = conf->templates.data;
    text[DOI_TEXT_TEMPLATES].len = conf->templates.len;

    if (conf->caldav) {
        text[DOI_TEXT_CALENDAR].data = conf->caldav->url.data;
        text[DOI_TEXT_CALENDAR].len = conf->caldav->url.len;
    }

    for (i = 0; i < DOI_TEXTS; i++) {

        if (text[i].len > doi_booking_text_max[i]) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "doi: a value of the configuration for \"doi_hold\" "
                          "has %uz bytes, more than %ui: see \"scope=\", "
                          "\"summary=\", \"doi_owner\", \"doi_templates\" and "
                          "\"doi_caldav\"",
                          text[i].len, (ngx_uint_t) doi_booking_text_max[i]);
            return NGX_ERROR;
        }

        clean = text[i];

        if (i != DOI_TEXT_URL
            && doi_field_clean(&clean, doi_booking_text_max[i], &err)
               != DOI_OK)
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/*
 * The owner's address as mails have it.  Without a valid one the visitor's mail
 * still goes out: it must not be kept back for a Reply-To that cannot be.
 */

static ngx_int_t
ngx_http_doi_hold_owner(ngx_http_request_t *r, doi_str_t *email)
{
    doi_buf_t    out;
    const char  *err;

    if (email->len == 0) {
        return NGX_OK;
    }

    out.len = 0;
    out.size = DOI_EMAIL_MAX;
    out.data = ngx_pnalloc(r->pool, out.size);
    if (out.data == NULL) {
        return NGX_ERROR;
    }

    if (doi_email_normalise(*email, doi_idn, &out, &err) != DOI_OK) {

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "doi: \"email=\" of \"doi_owner\" gave what is no "
                      "address, it %s: the owner is not told of this booking",
                      err);

        out.len = 0;
    }

    email->data = out.data;
    email->len = out.len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_hold_answered(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx)
{
    ngx_http_doi_booking_t    *b;
    ngx_http_doi_main_conf_t  *mcf;

    b = ctx->booking;

    if (ctx->result == DOI_WON) {
        b->state = "held";
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_CHECK_MAIL);
    }

    if (ctx->result == DOI_CONFLICT
        && b->answer.state == DOI_BOOKING_LIMITED)
    {
        mcf = ngx_http_get_module_main_conf(r, ngx_http_doi_module);
        ngx_http_doi_count(&mcf->stats->limited);

        b->state = "limited";
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_LIMITED);
    }

    if (ctx->result == DOI_CONFLICT && b->answer.state == DOI_BOOKING_TAKEN) {
        b->state = "taken";
        return ngx_http_doi_send_page(r, ctx, DOI_PAGE_TAKEN);
    }

    return ngx_http_doi_send_page(r, ctx, DOI_PAGE_UNAVAILABLE);
}
