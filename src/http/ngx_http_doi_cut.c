/*
 * Tokens in a URI, a request line or a Referer: where they are, and the text
 * without them.
 */

#include "ngx_http_doi.h"


#define NGX_HTTP_DOI_CUT_MIN  16        /* bytes */


static ngx_int_t ngx_http_doi_find(u_char *from, u_char *last,
    ngx_str_t *token, ngx_uint_t lookalikes, u_char **start, u_char **end);
static ngx_uint_t ngx_http_doi_has_token_start(u_char *from, u_char *last);
static void ngx_http_doi_widen(const u_char *from, const u_char *last,
    ngx_uint_t args, u_char **start, u_char **end);
static size_t ngx_http_doi_decode(u_char *p, const u_char *last, u_char *ch);


ngx_int_t
ngx_http_doi_cut(ngx_pool_t *pool, ngx_str_t *uri, ngx_str_t *token,
    ngx_uint_t lookalikes, ngx_str_t *out)
{
    u_char      *p, *from, *last, *start, *end;
    ngx_int_t    rc;
    ngx_uint_t   args;

    from = uri->data;
    last = uri->data + uri->len;

    rc = ngx_http_doi_find(from, last, token, lookalikes, &start, &end);

    if (rc != NGX_OK) {
        *out = *uri;
        return NGX_OK;
    }

    out->data = ngx_pnalloc(pool, uri->len + 1);
    if (out->data == NULL) {
        return NGX_ERROR;
    }

    p = out->data;

    for ( /* void */ ; rc == NGX_OK;
         rc = ngx_http_doi_find(from, last, token, lookalikes, &start, &end))
    {
        args = (ngx_strlchr(uri->data, start, '?') != NULL);

        ngx_http_doi_widen(from, last, args, &start, &end);

        p = ngx_cpymem(p, from, start - from);
        from = end;
    }

    p = ngx_cpymem(p, from, last - from);

    /* an argument that stood last leaves its separator behind */

    if (from == last) {
        while (p > out->data && (p[-1] == '?' || p[-1] == '&')) {
            p--;
        }
    }

    out->len = p - out->data;

    return NGX_OK;
}


/* memmem() prepares itself for long needles; a URI is short. */

u_char *
ngx_http_doi_search(u_char *p, size_t len, ngx_str_t *needle)
{
    u_char  *last;

    if (needle->len == 0 || len < needle->len) {
        return NULL;
    }

    for (last = p + len - needle->len + 1; p < last; p++) {

        p = memchr(p, needle->data[0], last - p);

        if (p == NULL) {
            return NULL;
        }

        if (ngx_memcmp(p, needle->data, needle->len) == 0) {
            return p;
        }
    }

    return NULL;
}


/*
 * The first place with a token: the one that was presented, also as a part of
 * something longer, or what looks like one, percent-encoded or not.  A token
 * that was presented and is too short to be one is found only if it stands
 * alone.
 */

static ngx_int_t
ngx_http_doi_find(u_char *from, u_char *last, ngx_str_t *token,
    ngx_uint_t lookalikes, u_char **start, u_char **end)
{
    u_char      *p, *e, *t, ch, first;
    size_t       n, len, run;
    ngx_uint_t   alone;

    t = (token->len >= NGX_HTTP_DOI_CUT_MIN)
        ? ngx_http_doi_search(from, last - from, token) : NULL;

    alone = token->len && token->len < NGX_HTTP_DOI_CUT_MIN;

    if (!alone
        && (!lookalikes || !ngx_http_doi_has_token_start(from, t ? t : last)))
    {
        *start = t;
        *end = t ? t + token->len : NULL;
        return t ? NGX_OK : NGX_DECLINED;
    }

    for (p = from; p < last; p = e) {

        first = 0;
        len = 1;

        for (e = p, n = 0; e < last; n++) {

            run = doi_base64url_span(e, last - e);

            if (n == 0 && run) {
                first = *e;
            }

            e += run;
            n += run;

            if (e == last || *e != '%') {
                break;
            }

            len = ngx_http_doi_decode(e, last, &ch);

            if (!doi_base64url_span(&ch, 1)) {
                break;
            }

            if (n == 0) {
                first = ch;
            }

            e += len;
        }

        if (t && t < ngx_max(e, p + 1)) {
            *start = t;
            *end = t + token->len;
            return NGX_OK;
        }

        if (e == p) {
            e += len;
            continue;
        }

        if ((lookalikes && n == DOI_TOKEN_CHARS && first == 'E')
            || (token->len && (size_t) (e - p) == token->len
                && ngx_memcmp(p, token->data, token->len) == 0))
        {
            *start = p;
            *end = e;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/*
 * All tokens of version 1 start with an "E", which may be encoded as "%45".
 */

static ngx_uint_t
ngx_http_doi_has_token_start(u_char *from, u_char *last)
{
    return from < last && (memchr(from, 'E', last - from)
                           || memchr(from, '%', last - from));
}


/* Whole segments go with a slash, whole arguments with their name. */

static void
ngx_http_doi_widen(const u_char *from, const u_char *last, ngx_uint_t args,
    u_char **start, u_char **end)
{
    u_char  *s, *e;

    s = *start;
    e = *end;

    if (!args) {

        if (s > from && s[-1] == '/' && e < last && *e == '/') {
            *end = e + 1;
        }

        return;
    }

    if (e < last && *e != '&' && *e != ' ') {
        return;
    }

    if (s > from && s[-1] == '=') {
        while (s > from && s[-1] != '&' && s[-1] != '?') { s--; }

    } else if (s == from || (s[-1] != '&' && s[-1] != '?')) {
        return;
    }

    if (e < last && *e == '&') {
        e++;
    }

    *start = s;
    *end = e;
}


/* One character, percent-encoded or not: what it is and how long. */

static size_t
ngx_http_doi_decode(u_char *p, const u_char *last, u_char *ch)
{
    ngx_int_t  n;

    if (*p == '%' && last - p >= 3) {

        n = ngx_hextoi(p + 1, 2);

        if (n != NGX_ERROR) {
            *ch = (u_char) n;
            return 3;
        }
    }

    *ch = *p;

    return 1;
}
