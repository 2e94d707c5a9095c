/*
 * Variables.  $doi_token has a value only while the module makes a link, so
 * that it cannot end up in a log.
 */

#include "ngx_http_doi_booking.h"
#include "ngx_http_doi_consent.h"


static ngx_int_t ngx_http_doi_variable_token(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_doi_variable_scope(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_doi_variable_id(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_doi_variable_state(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_doi_variable_email(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_doi_variable_key(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_doi_variable_uri(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_doi_value(ngx_http_variable_value_t *v,
    const void *data, size_t len);


static ngx_http_variable_t  ngx_http_doi_variables[] = {

    { ngx_string("doi_token"), NULL, ngx_http_doi_variable_token,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("doi_scope"), NULL, ngx_http_doi_variable_scope,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("doi_id"), NULL, ngx_http_doi_variable_id,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("doi_state"), NULL, ngx_http_doi_variable_state,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("doi_email"), NULL, ngx_http_doi_variable_email,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("doi_idempotency_key"), NULL, ngx_http_doi_variable_key,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("doi_uri"), NULL, ngx_http_doi_variable_uri,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_doi_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_doi_variables; v->name.len; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_doi_make_url(ngx_http_request_t *r, ngx_http_doi_loc_conf_t *conf,
    doi_purpose_t purpose, ngx_str_t *token, ngx_str_t *scope, ngx_str_t *url)
{
    u_char              *p;
    ngx_str_t            base, path;
    ngx_http_doi_ctx_t  *ctx;

    if (conf->base_url == NULL || conf->url[purpose] == NULL) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_doi_get_ctx(r);

    if (ctx == NULL) {
        ctx = ngx_http_doi_create_ctx(r);
        if (ctx == NULL) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_complex_value(r, conf->base_url, &base) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->url_token = *token;
    ctx->url_scope = *scope;

    if (ngx_http_complex_value(r, conf->url[purpose], &path) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_null(&ctx->url_token);
    ngx_str_null(&ctx->url_scope);

    while (base.len && base.data[base.len - 1] == '/') {
        base.len--;
    }

    url->len = base.len + path.len;
    url->data = ngx_pnalloc(r->pool, url->len);
    if (url->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(url->data, base.data, base.len);
    ngx_memcpy(p, path.data, path.len);

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_variable_token(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_doi_ctx_t  *ctx;

    ctx = ngx_http_doi_get_ctx(r);

    if (ctx == NULL || ctx->url_token.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_doi_value(v, ctx->url_token.data, ctx->url_token.len);
}


/* In a link that is being made the scope is a part of a URL: escaped. */

static ngx_int_t
ngx_http_doi_variable_scope(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char              *p;
    size_t               len;
    ngx_http_doi_ctx_t  *ctx;

    ctx = ngx_http_doi_get_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    if (ctx->url_token.len == 0) {
        return ngx_http_doi_value(v, ctx->scope.data, ctx->scope.len);
    }

    len = ctx->url_scope.len + 2 * ngx_escape_uri(NULL, ctx->url_scope.data,
                                                  ctx->url_scope.len,
                                                  NGX_ESCAPE_URI_COMPONENT);
    p = ngx_pnalloc(r->pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_escape_uri(p, ctx->url_scope.data, ctx->url_scope.len,
                          NGX_ESCAPE_URI_COMPONENT);

    return ngx_http_doi_value(v, p, len);
}


static ngx_int_t
ngx_http_doi_variable_id(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_http_doi_ctx_t  *ctx;

    ctx = ngx_http_doi_get_ctx(r);

    if (ctx == NULL || !ctx->genuine) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_doi_value(v, ctx->id, DOI_ID_CHARS);
}


static ngx_int_t
ngx_http_doi_variable_state(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    const char          *name;
    ngx_http_doi_ctx_t  *ctx;

    ctx = ngx_http_doi_get_ctx(r);

    if (ctx && ctx->booking && ctx->booking->state) {
        name = ctx->booking->state;
        return ngx_http_doi_value(v, name, ngx_strlen(name));
    }

    if (ctx == NULL || !ctx->known) {
        v->not_found = 1;
        return NGX_OK;
    }

    name = doi_link_state_name(ctx->state);

    return ngx_http_doi_value(v, name, ngx_strlen(name));
}


/* The visitor's address, whole: for the upstream, not for logs. */

static ngx_int_t
ngx_http_doi_variable_email(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    doi_str_t            email;
    ngx_http_doi_ctx_t  *ctx;

    ctx = ngx_http_doi_get_ctx(r);

    if (ctx == NULL || ctx->booking == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    email = ctx->booking->has_record
            ? ctx->booking->record.text[DOI_TEXT_EMAIL]
            : ctx->booking->form.email;

    if (email.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_doi_value(v, email.data, email.len);
}


static ngx_int_t
ngx_http_doi_variable_key(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_http_doi_ctx_t  *ctx;

    ctx = ngx_http_doi_get_ctx(r);

    if (ctx == NULL || ctx->key.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_doi_value(v, ctx->key.data, ctx->key.len);
}


static ngx_int_t
ngx_http_doi_variable_uri(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_str_t                  uri, text;
    ngx_http_doi_ctx_t        *ctx;
    ngx_http_doi_loc_conf_t   *conf;
    ngx_http_complex_value_t  *token;

    ctx = ngx_http_doi_get_ctx(r);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_doi_module);

    token = conf->link ? conf->link->token
                       : conf->confirm ? conf->confirm->token
                       : conf->unsubscribe ? conf->unsubscribe->token : NULL;

    ngx_str_null(&text);

    if (ctx) {
        text = ctx->text;

    } else if (token) {

        /* turned away before the token was looked at */

        if (ngx_http_complex_value(r, token, &text) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (r->unparsed_uri.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    if (ngx_http_doi_cut(r->pool, ctx ? &ctx->uri : &r->unparsed_uri, &text, 1,
                         &uri)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_doi_value(v, uri.data, uri.len);
}


static ngx_int_t
ngx_http_doi_value(ngx_http_variable_value_t *v, const void *data, size_t len)
{
    v->len = len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = (u_char *) data;

    return NGX_OK;
}
