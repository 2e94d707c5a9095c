/*
 * What is cut out of a request before it goes on or is logged.
 *
 * The upstream gets neither the token, nor the Referer, nor the module's own
 * cookies; and it never sees an Idempotency-Key that a client made up.
 */

#include "ngx_http_doi_booking.h"


static ngx_int_t ngx_http_doi_clean_uri(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx);
static ngx_int_t ngx_http_doi_clean_headers(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx);
static ngx_uint_t ngx_http_doi_count_headers(ngx_http_request_t *r,
    ngx_uint_t *dropped);
static ngx_uint_t ngx_http_doi_is_dropped(ngx_http_request_t *r,
    ngx_str_t *key);
static ngx_uint_t ngx_http_doi_is_override(ngx_str_t *key);
static ngx_uint_t ngx_http_doi_is_own_cookie(u_char *p, size_t len);


#define NGX_HTTP_DOI_COOKIE_PREFIX  "doi_"


static const char *const  ngx_http_doi_with_token[] = {
    "request",
    "request_uri",
    NULL
};


/*
 * nginx puts request line and Referer into its error log, whatever the
 * log_format is.  The rewrite phase is the first that knows the location; who
 * is turned away before the access phase is logged without the token, too.
 */

ngx_int_t
ngx_http_doi_rewrite_handler(ngx_http_request_t *r)
{
    ngx_str_t                 none, line;
    ngx_http_doi_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_doi_module);

    /* subrequests skip the access phase, in which the gate stands */

    if (conf->gate && r != r->main) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "doi: refused a subrequest to a location with "
                      "\"doi_consent\"");
        return NGX_HTTP_FORBIDDEN;
    }

    if (conf->link == NULL && conf->confirm == NULL && conf->hold == NULL
        && conf->unsubscribe == NULL)
    {
        return NGX_DECLINED;
    }

    ngx_str_null(&none);

    if (ngx_http_doi_cut(r->pool, &r->request_line, &none, 1, &line) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->request_line = line;

    if (ngx_http_doi_hide_referer(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}


/* What nginx logs is a copy: the header itself may have to be sent on. */

ngx_int_t
ngx_http_doi_hide_referer(ngx_http_request_t *r)
{
    ngx_str_t         none, value;
    ngx_table_elt_t  *copy;

    if (r->headers_in.referer == NULL) {
        return NGX_OK;
    }

    ngx_str_null(&none);

    if (ngx_http_doi_cut(r->pool, &r->headers_in.referer->value, &none, 1,
                         &value)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (value.len == r->headers_in.referer->value.len) {
        return NGX_OK;
    }

    copy = ngx_palloc(r->pool, sizeof(ngx_table_elt_t));
    if (copy == NULL) {
        return NGX_ERROR;
    }

    *copy = *r->headers_in.referer;
    copy->value = value;
    r->headers_in.referer = copy;

    return NGX_OK;
}


/* Likewise with the token that was presented, of whatever form. */

ngx_int_t
ngx_http_doi_hide(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx)
{
    ngx_str_t  line, uri;

    if (ngx_http_doi_cut(r->pool, &r->request_line, &ctx->text, 0, &line)
        != NGX_OK
        || ngx_http_doi_cut(r->pool, &r->unparsed_uri, &ctx->text, 0, &uri)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    r->request_line = line;
    r->unparsed_uri = uri;

    ngx_http_doi_forget(r, ngx_http_doi_with_token);

    return NGX_OK;
}


/*
 * A variable that was asked for in an earlier phase, by a "map" for one, keeps
 * its value, and would carry it on to the upstream.
 */

void
ngx_http_doi_forget(ngx_http_request_t *r, const char *const *names)
{
    size_t                      len;
    ngx_uint_t                  i, k;
    ngx_http_variable_t        *v;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        if (!r->variables[i].valid && !r->variables[i].not_found) {
            continue;
        }

        for (k = 0; names[k]; k++) {

            len = ngx_strlen(names[k]);

            if (names[k][len - 1] == '_'
                ? (v[i].name.len > len
                   && ngx_strncmp(v[i].name.data, names[k], len) == 0)
                : ngx_http_doi_is(&v[i].name, names[k]))
            {
                r->variables[i].valid = 0;
                r->variables[i].not_found = 0;
                break;
            }
        }
    }
}


ngx_int_t
ngx_http_doi_clean_request(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx)
{
    if (ngx_http_doi_clean_uri(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_doi_clean_headers(r, ctx);
}


static ngx_int_t
ngx_http_doi_clean_uri(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx)
{
    u_char     *p;
    ngx_str_t   uri, rest;

    if (ngx_http_doi_cut(r->pool, &r->uri, &ctx->text, 0, &rest) != NGX_OK) {
        return NGX_ERROR;
    }

    r->uri = rest;

    if (r->args.len) {
        rest = r->args;

        /* as an argument string: the cut wants to know that it is one */

        uri.len = rest.len + 1;
        uri.data = ngx_pnalloc(r->pool, uri.len);
        if (uri.data == NULL) {
            return NGX_ERROR;
        }

        uri.data[0] = '?';
        ngx_memcpy(uri.data + 1, rest.data, rest.len);

        if (ngx_http_doi_cut(r->pool, &uri, &ctx->text, 0, &rest) != NGX_OK) {
            return NGX_ERROR;
        }

        if (rest.len != uri.len) {
            p = rest.data + (rest.len != 0);
            r->args.len = rest.len - (rest.len != 0);
            r->args.data = p;
        }
    }

    return NGX_OK;
}


/*
 * nginx has no call that takes a header out of the list.  The list is copied
 * without it; pointers in headers_in still point to the old elements, which
 * hold the same values.
 */

static ngx_int_t
ngx_http_doi_clean_headers(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx)
{
    ngx_list_t        list;
    ngx_uint_t        i, n, dropped;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h, *header;

    static ngx_str_t  key = ngx_string("Idempotency-Key");
    static u_char     lowcase[] = "idempotency-key";

    n = ngx_http_doi_count_headers(r, &dropped);

    if (dropped == 0 && ctx->key.len == 0) {
        return NGX_OK;
    }

    if (ngx_list_init(&list, r->pool, n + 1, sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    part = &r->headers_in.headers.part;
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

        if (ngx_http_doi_is_dropped(r, &header[i].key)) {
            continue;
        }

        if (ngx_http_doi_is(&header[i].key, "cookie")) {

            /* in its place, where $http_cookie looks */

            if (ngx_http_doi_clean_cookie(r->pool, &header[i].value)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            if (header[i].value.len == 0) {
                continue;
            }
        }

        h = ngx_list_push(&list);
        if (h == NULL) {
            return NGX_ERROR;
        }

        *h = header[i];

#if (nginx_version >= 1023000)
        h->next = NULL;
#endif
    }

    if (ctx->key.len) {

        h = ngx_list_push(&list);
        if (h == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(h, sizeof(ngx_table_elt_t));

        h->hash = ngx_hash_key(lowcase, key.len);
        h->key = key;
        h->lowcase_key = lowcase;
        h->value = ctx->key;
    }

    r->headers_in.headers = list;

    if (list.last == &list.part) {
        /* it was built on the stack */
        r->headers_in.headers.last = &r->headers_in.headers.part;
    }

    r->headers_in.referer = NULL;

#if (nginx_version >= 1023000)
    /* the links between headers of one name were those of the old list */
    r->headers_in.multi = 0;
    r->headers_in.multi_linked = 0;
#endif

    return NGX_OK;
}


/* How many headers there are, and how many of them are not to go on as they
   are: most requests have none of those. */

static ngx_uint_t
ngx_http_doi_count_headers(ngx_http_request_t *r, ngx_uint_t *dropped)
{
    ngx_uint_t        i, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    n = 0;
    *dropped = 0;

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        header = part->elts;
        n += part->nelts;

        for (i = 0; i < part->nelts; i++) {
            if (ngx_http_doi_is_dropped(r, &header[i].key)
                || ngx_http_doi_is(&header[i].key, "cookie"))
            {
                (*dropped)++;
            }
        }
    }

    return n;
}


/* The first header of this name, or NULL. */

ngx_table_elt_t *
ngx_http_doi_find_header(ngx_list_t *headers, const char *name)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    for (part = &headers->part; part; part = part->next) {

        header = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (ngx_http_doi_is(&header[i].key, name)) {
                return &header[i];
            }
        }
    }

    return NULL;
}


/*
 * Also dropped: what makes some frameworks take a GET for a POST, since a GET
 * claims nothing.
 */

static ngx_uint_t
ngx_http_doi_is_dropped(ngx_http_request_t *r, ngx_str_t *key)
{
    if (ngx_http_doi_is(key, "referer")
        || ngx_http_doi_is(key, "idempotency-key"))
    {
        return 1;
    }

    return r->method != NGX_HTTP_POST && ngx_http_doi_is_override(key);
}


static ngx_uint_t
ngx_http_doi_is_override(ngx_str_t *key)
{
    return ngx_http_doi_is(key, "x-http-method-override")
           || ngx_http_doi_is(key, "x-http-method")
           || ngx_http_doi_is(key, "x-method-override");
}


ngx_uint_t
ngx_http_doi_is_disguised(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        header = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (ngx_http_doi_is_override(&header[i].key)) {
                return 1;
            }
        }
    }

    return 0;
}


ngx_int_t
ngx_http_doi_clean_cookie(ngx_pool_t *pool, ngx_str_t *value)
{
    u_char  *p, *q, *last, *start, *dst;

    p = value->data;
    last = p + value->len;

    if (ngx_strnstr(p, NGX_HTTP_DOI_COOKIE_PREFIX, value->len) == NULL) {
        return NGX_OK;
    }

    dst = ngx_pnalloc(pool, value->len + 1);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    value->data = dst;
    start = dst;

    while (p < last) {

        while (p < last && (*p == ' ' || *p == ';')) { p++; }

        for (q = p; q < last && *q != ';'; q++) { /* void */ }

        if (q > p && !ngx_http_doi_is_own_cookie(p, q - p)) {

            if (dst != start) {
                *dst++ = ';';
                *dst++ = ' ';
            }

            dst = ngx_cpymem(dst, p, q - p);
        }

        p = q;
    }

    value->len = dst - start;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_doi_is_own_cookie(u_char *p, size_t len)
{
    return (len >= 12 && ngx_strncmp(p, "doi_browser=", 12) == 0)
           || (len >= 9 && ngx_strncmp(p, "doi_link_", 9) == 0);
}


/*
 * A form that is sent by another site carries the cookie of an older browser
 * all the same; Origin tells them apart.
 */

ngx_int_t
ngx_http_doi_same_origin(ngx_http_request_t *r)
{
    u_char           *p;
    size_t            len;
    ngx_table_elt_t  *origin;

    origin = ngx_http_doi_find_header(&r->headers_in.headers, "origin");

    if (origin == NULL) {
        return NGX_OK;
    }

    p = ngx_strnstr(origin->value.data, "://", origin->value.len);

    if (p == NULL || r->headers_in.host == NULL) {
        return NGX_DECLINED;
    }

    p += 3;
    len = origin->value.data + origin->value.len - p;

    if (len == r->headers_in.host->value.len
        && ngx_strncasecmp(p, r->headers_in.host->value.data, len) == 0)
    {
        return NGX_OK;
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_doi_add_header(ngx_http_request_t *r, const char *name,
    size_t name_len, u_char *value, size_t value_len)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = name_len;
    h->value.data = value;
    h->value.len = value_len;

#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return NGX_OK;
}
