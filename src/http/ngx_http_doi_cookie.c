/*
 * The module's cookies: which browser it is, and in cookie mode the token.
 */

#include "ngx_http_doi.h"

#include <openssl/evp.h>
#include <openssl/rand.h>


static ngx_int_t ngx_http_doi_set_cookie(ngx_http_request_t *r,
    ngx_str_t *name, ngx_str_t *value, ngx_str_t *max_age);


static ngx_str_t  ngx_http_doi_browser_cookie = ngx_string("doi_browser");
static ngx_str_t  ngx_http_doi_browser_age = ngx_string("7776000");
                                                    /* seconds: 90 days */


ngx_int_t
ngx_http_doi_get_cookie(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value)
{
#if (nginx_version >= 1023000)
    return ngx_http_parse_multi_header_lines(r, r->headers_in.cookie, name,
                                             value)
           ? NGX_OK : NGX_DECLINED;
#else
    return ngx_http_parse_multi_header_lines(&r->headers_in.cookies, name,
                                             value)
           != NGX_DECLINED ? NGX_OK : NGX_DECLINED;
#endif
}


/*
 * The cookie that carries the token of one scope: a browser may hold links to
 * several calendars of one host.
 */

ngx_int_t
ngx_http_doi_scope_cookie(ngx_pool_t *pool, ngx_str_t *scope, ngx_str_t *name)
{
    u_char    *p;
    unsigned   n;
    u_char     hash[EVP_MAX_MD_SIZE];

    if (EVP_Digest(scope->data, scope->len, hash, &n, EVP_sha256(), NULL)
        != 1)
    {
        return NGX_ERROR;
    }

    name->len = sizeof("doi_link_") - 1 + 16;
    name->data = ngx_pnalloc(pool, name->len);
    if (name->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(name->data, "doi_link_", sizeof("doi_link_") - 1);
    (void) ngx_hex_dump(p, hash, 8);

    return NGX_OK;
}


/*
 * The browser by its cookie, or a new one that gets a cookie with the answer.
 * A new one is known to nobody, so its hash is needed only for a claim.
 */

ngx_int_t
ngx_http_doi_browser(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx)
{
    ngx_str_t  value;
    u_char     random[16];

    if (ctx->browser.len) {
        return NGX_OK;
    }

    if (ngx_http_doi_get_cookie(r, &ngx_http_doi_browser_cookie, &value)
        == NGX_OK
        && value.len == NGX_HTTP_DOI_COOKIE_LEN)
    {
        ctx->browser = value;
        return NGX_OK;
    }

    ctx->browser.data = ngx_pnalloc(r->pool, NGX_HTTP_DOI_COOKIE_LEN);
    if (ctx->browser.data == NULL
        || ngx_http_doi_random(random, sizeof(random)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->browser.len = doi_base64url_encode(random, sizeof(random),
                                            ctx->browser.data);
    ctx->new_browser = 1;

    return NGX_OK;
}


/* Only a hash of the cookie goes to the store. */

ngx_int_t
ngx_http_doi_browser_hash(ngx_http_doi_ctx_t *ctx,
    u_char hash[DOI_BROWSER_SIZE])
{
    unsigned  n;
    u_char    digest[EVP_MAX_MD_SIZE];

    if (EVP_Digest(ctx->browser.data, ctx->browser.len, digest, &n,
                   EVP_sha256(), NULL)
        != 1)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(hash, digest, DOI_BROWSER_SIZE);

    return NGX_OK;
}


/* From the generator of libcrypto, fetched for many at a time. */

ngx_int_t
ngx_http_doi_random(u_char *out, size_t len)
{
    static size_t  left;
    static u_char  pool[1024];

    if (left < len) {

        if (RAND_bytes(pool, sizeof(pool)) != 1) {
            left = 0;
            return NGX_ERROR;
        }

        left = sizeof(pool);
    }

    left -= len;

    ngx_memcpy(out, pool + left, len);
    ngx_explicit_memzero(pool + left, len);

    return NGX_OK;
}


ngx_int_t
ngx_http_doi_set_cookies(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx)
{
    time_t     seconds;
    u_char     text[NGX_TIME_T_LEN];
    ngx_str_t  name, age;

    if (ctx->new_browser) {
        ctx->new_browser = 0;

        if (ngx_http_doi_set_cookie(r, &ngx_http_doi_browser_cookie,
                                    &ctx->browser, &ngx_http_doi_browser_age)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ctx->token_cookie) {
        ctx->token_cookie = 0;

        seconds = (time_t) ctx->token.expires - (time_t) ngx_http_doi_now();

        age.data = text;
        age.len = ngx_sprintf(text, "%T", seconds) - text;

        if (ngx_http_doi_scope_cookie(r->pool, &ctx->scope, &name) != NGX_OK) {
            return NGX_ERROR;
        }

        return ngx_http_doi_set_cookie(r, &name, &ctx->text, &age);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_set_cookie(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value, ngx_str_t *max_age)
{
    u_char                   *p, *cookie;
    ngx_uint_t                secure;
    ngx_http_doi_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_doi_module);

    /* TLS may end in front of this nginx */

    secure = conf->base_url && conf->base_url->value.len > 8
             && ngx_strncasecmp(conf->base_url->value.data,
                                (u_char *) "https://", 8)
                == 0;

#if (NGX_HTTP_SSL)
    secure |= (r->connection->ssl != NULL);
#endif

    cookie = ngx_pnalloc(r->pool, name->len + value->len + max_age->len
                         + sizeof("=; Max-Age=; Path=/; HttpOnly; "
                                  "SameSite=Lax; Secure"));
    if (cookie == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(cookie, name->data, name->len);
    *p++ = '=';
    p = ngx_cpymem(p, value->data, value->len);
    p = ngx_cpymem(p, "; Max-Age=", sizeof("; Max-Age=") - 1);
    p = ngx_cpymem(p, max_age->data, max_age->len);
    p = ngx_cpymem(p, "; Path=/; HttpOnly; SameSite=Lax",
                   sizeof("; Path=/; HttpOnly; SameSite=Lax") - 1);

    if (secure) {
        p = ngx_cpymem(p, "; Secure", sizeof("; Secure") - 1);
    }

    return ngx_http_doi_header(r, "Set-Cookie", cookie, p - cookie);
}
