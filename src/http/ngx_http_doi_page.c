/*
 * Answers to visitors: HTML or problem+json, with the headers of DESIGN.md,
 * section 4.
 */

#include "ngx_http_doi_booking.h"
#include "ngx_http_doi_consent.h"


static ngx_int_t ngx_http_doi_page_render(ngx_pool_t *pool,
    doi_pages_t *pages, doi_page_t page, size_t lang, ngx_uint_t json,
    doi_page_vars_t *vars, ngx_str_t *text);
static ngx_int_t ngx_http_doi_page_vars(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, doi_page_t page, doi_page_vars_t *vars);
static ngx_int_t ngx_http_doi_page_booking(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, doi_page_t page, doi_page_vars_t *vars);
static void ngx_http_doi_page_record(doi_booking_t *record,
    doi_page_vars_t *vars);
static void ngx_http_doi_page_expires(doi_time_t expires,
    doi_page_vars_t *vars);
static void ngx_http_doi_page_form(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, doi_page_t page, doi_page_vars_t *vars);
static void ngx_http_doi_page_referer(ngx_http_request_t *r, doi_str_t *url);
static ngx_int_t ngx_http_doi_page_owner(ngx_http_request_t *r,
    doi_page_vars_t *vars);
static ngx_int_t ngx_http_doi_page_var(ngx_http_request_t *r,
    ngx_http_complex_value_t *value, doi_str_t *out);
static ngx_int_t ngx_http_doi_page_headers(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, doi_page_t page, doi_page_vars_t *vars,
    doi_pages_t *pages, size_t lang, ngx_uint_t json);


#define NGX_HTTP_DOI_PAGE_SIZE    8192  /* bytes that mostly suffice */
#define NGX_HTTP_DOI_RETRY_AFTER  5     /* seconds */
#define NGX_HTTP_DOI_RETRY_MAX    60    /* seconds */


ngx_int_t
ngx_http_doi_send_page(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    doi_page_t page)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);

    if (rc == NGX_OK) {

        rc = ngx_http_doi_make_page(r, ctx, page);

        if (rc == NGX_OK) {

            rc = ngx_http_send_header(r);

            if (rc == NGX_OK && !r->header_only) {
                rc = ngx_http_output_filter(r, ctx->page);
            }

        } else {
            rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


ngx_int_t
ngx_http_doi_make_page(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    doi_page_t page)
{
    size_t                     lang;
    ngx_buf_t                 *b;
    ngx_str_t                  text;
    ngx_uint_t                 json;
    doi_pages_t               *pages;
    doi_page_vars_t            vars;
    ngx_http_doi_loc_conf_t   *conf;
    ngx_http_doi_main_conf_t  *mcf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_doi_module);
    mcf = ngx_http_get_module_main_conf(r, ngx_http_doi_module);

    ngx_http_doi_count(&mcf->stats->pages[page]);

    ctx->stage = NGX_HTTP_DOI_START;    /* what is sent is not the upstream's */

    pages = conf->pages;

    if (ctx->booking && ctx->booking->replayed) {
        lang = doi_pages_lang(pages, ctx->booking->accept_language);
        json = doi_accepts_json(ctx->booking->accept);

    } else {
        lang = doi_pages_lang(pages, ngx_http_doi_request_header(
                                         r, "accept-language"));
        json = doi_accepts_json(ngx_http_doi_request_header(r, "accept"));
    }

    if (ngx_http_doi_page_vars(r, ctx, page, &vars) != NGX_OK) {
        return NGX_ERROR;
    }

    if (page == DOI_PAGE_INVALID && conf->invalid) {
        text = conf->invalid[lang * 2 + json];

    } else if (ngx_http_doi_page_render(r->pool, pages, page, lang, json,
                                        &vars, &text)
               != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* no "error_page" that led here has a say in it */

    r->err_status = 0;
    r->headers_out.status = doi_page_status(page);
    r->headers_out.status_line.len = 0;

    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);
    ngx_http_clear_last_modified(r);
    ngx_http_clear_etag(r);

    r->headers_out.content_length_n = text.len;

    if (ngx_http_doi_page_headers(r, ctx, page, &vars, pages, lang, json)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    b = ngx_calloc_buf(r->pool);
    ctx->page = ngx_alloc_chain_link(r->pool);

    if (b == NULL || ctx->page == NULL) {
        return NGX_ERROR;
    }

    b->pos = text.data;
    b->last = text.data + text.len;
    b->memory = 1;
    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    ctx->page->buf = b;
    ctx->page->next = NULL;

    return NGX_OK;
}


/*
 * Tokens are guessed in floods: where nothing in the answer depends on the
 * request it is made when the configuration is read.
 */

ngx_int_t
ngx_http_doi_page_prepare(ngx_conf_t *cf, ngx_http_doi_loc_conf_t *conf)
{
    size_t                     lang;
    ngx_str_t                 *text;
    ngx_uint_t                 i, json;
    doi_str_t                 *field[4];
    doi_page_vars_t            vars;
    ngx_http_complex_value_t  *value[4];

    ngx_memzero(&vars, sizeof(doi_page_vars_t));
    vars.code = UINT32_MAX;

    field[0] = &vars.owner_name;
    field[1] = &vars.owner_email;
    field[2] = &vars.owner_phone;
    field[3] = &vars.owner_url;

    ngx_memzero(value, sizeof(value));

    if (conf->owner) {
        value[0] = conf->owner->name;
        value[1] = conf->owner->email;
        value[2] = conf->owner->phone;
        value[3] = conf->owner->url;
    }

    for (i = 0; i < 4; i++) {

        if (value[i] == NULL) {
            continue;
        }

        if (value[i]->lengths) {
            /* with variables */
            return NGX_OK;
        }

        field[i]->data = value[i]->value.data;
        field[i]->len = value[i]->value.len;
    }

    text = ngx_palloc(cf->pool, conf->pages->nlangs * 2 * sizeof(ngx_str_t));
    if (text == NULL) {
        return NGX_ERROR;
    }

    for (lang = 0; lang < conf->pages->nlangs; lang++) {
        for (json = 0; json < 2; json++) {

            if (ngx_http_doi_page_render(cf->pool, conf->pages,
                                         DOI_PAGE_INVALID, lang, json, &vars,
                                         &text[lang * 2 + json])
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    conf->invalid = text;

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_page_render(ngx_pool_t *pool, doi_pages_t *pages,
    doi_page_t page, size_t lang, ngx_uint_t json, doi_page_vars_t *vars,
    ngx_str_t *text)
{
    doi_buf_t  out;

    out.size = NGX_HTTP_DOI_PAGE_SIZE;

    for ( ;; ) {
        out.len = 0;
        out.data = ngx_pnalloc(pool, out.size);
        if (out.data == NULL) {
            return NGX_ERROR;
        }

        text->data = out.data;
        text->len = json ? doi_page_json(pages, page, lang, vars, &out)
                         : doi_page_html(pages, page, lang, vars, &out);

        if (text->len <= out.size) {
            return NGX_OK;
        }

        out.size = text->len;
    }
}


doi_page_t
ngx_http_doi_state_page(const doi_link_answer_t *answer)
{
    switch (answer->state) {

    case DOI_LINK_CLAIMED:
        return answer->own ? DOI_PAGE_PENDING : DOI_PAGE_CLAIMED;

    case DOI_LINK_USED:
        return answer->own ? DOI_PAGE_CONFIRMED : DOI_PAGE_USED;

    case DOI_LINK_IN_DOUBT:
        return DOI_PAGE_IN_DOUBT;

    case DOI_LINK_REVOKED:
        return DOI_PAGE_REVOKED;

    case DOI_LINK_EXPIRED:
        return DOI_PAGE_EXPIRED;

    default:
        return DOI_PAGE_UNAVAILABLE;
    }
}


static ngx_int_t
ngx_http_doi_page_vars(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    doi_page_t page, doi_page_vars_t *vars)
{
    doi_time_t  now;

    ngx_memzero(vars, sizeof(doi_page_vars_t));
    vars->code = UINT32_MAX;

    if (ngx_http_doi_page_owner(r, vars) != NGX_OK) {
        return NGX_ERROR;
    }

    if (page == DOI_PAGE_UNAVAILABLE) {
        vars->retry_after = NGX_HTTP_DOI_RETRY_AFTER;
    }

    if (ctx->booking) {
        return ngx_http_doi_page_booking(r, ctx, page, vars);
    }

    if (ctx->genuine) {
        vars->id.data = ctx->id;
        vars->id.len = DOI_ID_CHARS;

        vars->retry_url.data = ctx->uri.data;
        vars->retry_url.len = ctx->uri.len;
    }

    switch (page) {

    case DOI_PAGE_CONFIRMED:
        vars->when = ctx->answer.settled;
        break;

    case DOI_PAGE_CLAIMED:
        now = ngx_http_doi_now();

        vars->retry_after = (ctx->answer.deadline > now
                             && ctx->answer.deadline - now
                                < NGX_HTTP_DOI_RETRY_AFTER)
                            ? ctx->answer.deadline - now
                            : NGX_HTTP_DOI_RETRY_AFTER;
        break;

    case DOI_PAGE_PENDING:
        vars->retry_after = 2;
        break;

    default:
        break;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_page_booking(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    doi_page_t page, doi_page_vars_t *vars)
{
    ngx_http_doi_booking_t   *b;
    ngx_http_doi_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_doi_module);
    b = ctx->booking;

    if (b->problem) {
        vars->problem.data = (const uint8_t *) b->problem;
        vars->problem.len = ngx_strlen(b->problem);
        vars->field.data = b->field.data;
        vars->field.len = b->field.len;
    }

    vars->opt_in = b->opt_in;

    if (b->hold) {
        ngx_http_doi_page_form(r, ctx, page, vars);
        return NGX_OK;
    }

    if (ctx->genuine) {
        vars->id.data = ctx->id;
        vars->id.len = DOI_ID_CHARS;

        vars->retry_url.data = ctx->uri.data;
        vars->retry_url.len = ctx->uri.len;
    }

    if (b->has_record) {
        ngx_http_doi_page_record(&b->record, vars);
    }

    switch (page) {

    case DOI_PAGE_WRONG_CODE:
        vars->tries = (b->record.tries < DOI_CODE_TRIES)
                      ? DOI_CODE_TRIES - b->record.tries : 0;
        /* fall through */

    case DOI_PAGE_CONFIRM:
        vars->code = (conf->confirm && conf->confirm->code) ? 0 : UINT32_MAX;
        break;

    case DOI_PAGE_CLAIMED:
        vars->retry_after = (b->answer.retry_after
                             && b->answer.retry_after
                                < NGX_HTTP_DOI_RETRY_AFTER)
                            ? b->answer.retry_after
                            : NGX_HTTP_DOI_RETRY_AFTER;
        break;

    case DOI_PAGE_PENDING:
        vars->retry_after = 2;
        break;

    default:
        break;
    }

    if (conf->confirm) {
        return ngx_http_doi_page_var(r, conf->confirm->start,
                                     &vars->start_url);
    }

    return NGX_OK;
}


static void
ngx_http_doi_page_record(doi_booking_t *record, doi_page_vars_t *vars)
{
    doi_str_t  *text;

    text = record->text;

    vars->summary = text[DOI_TEXT_SUMMARY];
    vars->slot = text[DOI_TEXT_SLOT];
    vars->zone = text[DOI_TEXT_ZONE];
    vars->name = text[DOI_TEXT_NAME];
    vars->email = text[DOI_TEXT_EMAIL];

    ngx_http_doi_page_expires(record->expires, vars);

    /* the owner that the mail has named */

    if (vars->owner_name.len == 0 && vars->owner_email.len == 0) {
        vars->owner_name = text[DOI_TEXT_OWNER_NAME];
        vars->owner_email = text[DOI_TEXT_OWNER_EMAIL];
        vars->owner_phone = text[DOI_TEXT_OWNER_PHONE];
        vars->owner_url = text[DOI_TEXT_OWNER_URL];
    }
}


/* In the zone of the slot, or in UTC. */

static void
ngx_http_doi_page_expires(doi_time_t expires, doi_page_vars_t *vars)
{
    if (vars->zone.len
        && doi_zone_local(vars->zone, expires, &vars->expires) == DOI_OK)
    {
        vars->expires_zone = vars->zone;
        return;
    }

    vars->expires = expires;
    vars->expires_zone.data = (const uint8_t *) "UTC";
    vars->expires_zone.len = sizeof("UTC") - 1;
}


/* Only what the visitor has sent: nothing tells who is known here. */

static void
ngx_http_doi_page_form(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    doi_page_t page, doi_page_vars_t *vars)
{
    ngx_http_doi_form_t  *form;

    form = &ctx->booking->form;

    ngx_http_doi_page_referer(r, &vars->start_url);

    switch (page) {

    case DOI_PAGE_CHECK_MAIL:
        vars->id.data = ctx->id;
        vars->id.len = DOI_ID_CHARS;
        break;

    case DOI_PAGE_LIMITED:
        vars->retry_after = ctx->booking->answer.retry_after;
        break;

    case DOI_PAGE_SUBSCRIBE_CHECK:

        if (ctx->booking->contact->channel == DOI_CHANNEL_EMAIL) {
            vars->email = form->email;
        }

        return;

    case DOI_PAGE_TAKEN:
        break;

    default:
        return;
    }

    if (ctx->booking->opt_in) {
        return;
    }

    vars->summary = form->summary;
    vars->slot = form->slot;
    vars->zone = form->zone;
    vars->name = form->name;
    vars->email = form->email;

    if (page == DOI_PAGE_CHECK_MAIL) {
        ngx_http_doi_page_expires(ctx->booking->expires, vars);
    }
}


/* Path and arguments of the page with the form, if it is one of this host. */

static void
ngx_http_doi_page_referer(ngx_http_request_t *r, doi_str_t *url)
{
    u_char           *p, *last, *end;
    ngx_str_t        *host;
    ngx_table_elt_t  *h;

    h = ngx_http_doi_find_header(&r->headers_in.headers, "referer");

    if (h == NULL || r->headers_in.host == NULL) {
        return;
    }

    host = &r->headers_in.host->value;
    last = h->value.data + h->value.len;

    p = ngx_strnstr(h->value.data, "://", h->value.len);

    if (p == NULL || (size_t) (last - p) < 3 + host->len + 1) {
        return;
    }

    p += 3;

    if (ngx_strncasecmp(p, host->data, host->len) != 0 || p[host->len] != '/')
    {
        return;
    }

    p += host->len;

    /* "//host" would be another site */

    if (last - p > 1 && (p[1] == '/' || p[1] == '\\')) {
        return;
    }

    end = ngx_strlchr(p, last, '#');

    url->data = p;
    url->len = (end ? end : last) - p;
}


static ngx_int_t
ngx_http_doi_page_owner(ngx_http_request_t *r, doi_page_vars_t *vars)
{
    ngx_http_doi_owner_t     *owner;
    ngx_http_doi_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_doi_module);
    owner = conf->owner;

    if (owner == NULL) {
        return NGX_OK;
    }

    if (ngx_http_doi_page_var(r, owner->name, &vars->owner_name) != NGX_OK
        || ngx_http_doi_page_var(r, owner->email, &vars->owner_email) != NGX_OK
        || ngx_http_doi_page_var(r, owner->phone, &vars->owner_phone) != NGX_OK
        || ngx_http_doi_page_var(r, owner->url, &vars->owner_url) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_page_var(ngx_http_request_t *r, ngx_http_complex_value_t *value,
    doi_str_t *out)
{
    ngx_str_t  s;

    if (value == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, value, &s) != NGX_OK) {
        return NGX_ERROR;
    }

    out->data = s.data;
    out->len = s.len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_page_headers(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    doi_page_t page, doi_page_vars_t *vars, doi_pages_t *pages, size_t lang,
    ngx_uint_t json)
{
    u_char  *p;

    if (!json) {
        ngx_str_set(&r->headers_out.content_type, "text/html; charset=utf-8");
        r->headers_out.content_type_len = sizeof("text/html") - 1;

    } else if (doi_page_status(page) < NGX_HTTP_SPECIAL_RESPONSE) {
        ngx_str_set(&r->headers_out.content_type, "application/json");
        r->headers_out.content_type_len = r->headers_out.content_type.len;

    } else {
        ngx_str_set(&r->headers_out.content_type, "application/problem+json");
        r->headers_out.content_type_len = r->headers_out.content_type.len;
    }

    r->headers_out.content_type_lowcase = NULL;

    if (ngx_http_doi_header_str(r, "Cache-Control", "no-store") != NGX_OK
        || ngx_http_doi_header_str(r, "X-Robots-Tag", "noindex") != NGX_OK
        || ngx_http_doi_header_str(r, "X-Content-Type-Options", "nosniff")
           != NGX_OK
        || ngx_http_doi_header_str(r, "Referrer-Policy", "strict-origin")
           != NGX_OK
        || ngx_http_doi_header_str(r, "Vary", "Accept, Accept-Language")
           != NGX_OK
        || ngx_http_doi_header(r, "Content-Security-Policy", pages->csp,
                               ngx_strlen(pages->csp))
           != NGX_OK
        || ngx_http_doi_header(r, "Content-Language", pages->langs[lang].tag,
                               ngx_strlen(pages->langs[lang].tag))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (vars->retry_after) {
        p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
        if (p == NULL
            || ngx_http_doi_header(r, "Retry-After", p,
                                   ngx_sprintf(p, "%ui", (ngx_uint_t)
                                               vars->retry_after) - p)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (page == DOI_PAGE_METHOD
        && ngx_http_doi_header_str(r, "Allow", "GET, HEAD, OPTIONS, POST")
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* a double-click: look again until the first click is settled */

    if (page == DOI_PAGE_PENDING && !json) {

        p = ngx_pnalloc(r->pool, sizeof("2; url=") + ctx->uri.len);
        if (p == NULL
            || ngx_http_doi_header(r, "Refresh", p,
                                   ngx_sprintf(p, "2; url=%V", &ctx->uri) - p)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_doi_set_cookies(r, ctx);
}


/* nginx keeps Accept only if it was built with some modules. */

doi_str_t
ngx_http_doi_request_header(ngx_http_request_t *r, const char *name)
{
    doi_str_t         value = { NULL, 0 };
    ngx_table_elt_t  *h;

    h = ngx_http_doi_find_header(&r->headers_in.headers, name);

    if (h) {
        value.data = h->value.data;
        value.len = h->value.len;
    }

    return value;
}
