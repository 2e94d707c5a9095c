/*
 * The request of a booking form, kept until it is confirmed: sealed (seal.h)
 * with the booking's id, so that it opens for this booking only.
 *
 *   offset  size  field
 *   0       1     version, 1
 *   1       1     flags: 1 = the URI was not rewritten before it was held
 *   2       2+n   URI as the client sent it (length, bytes; numbers are
 *                 big-endian)
 *   .       2+n   path, decoded
 *   .       2+n   arguments
 *   .       1     number of headers
 *   .       3+n   each: number in ngx_http_doi_kept, length, value
 *   .       4+n   body
 *
 * The method is POST: no other is held.
 *
 * Headers are those that an app decides by: what it is sent, who sends it (its
 * session, its guards against forged forms), in which form and language it is
 * to answer.  All others, such as X-Forwarded-For, are those of the click.
 */

#include "ngx_http_doi_booking.h"


typedef struct {
    ngx_uint_t   unparsed;
    ngx_str_t    unparsed_uri;
    ngx_str_t    uri;
    ngx_str_t    args;
    ngx_uint_t   nheaders;
    u_char      *headers;           /* checked */
    ngx_str_t    body;
} ngx_http_doi_stored_t;


static size_t ngx_http_doi_kept_len(ngx_http_request_t *r);
static u_char *ngx_http_doi_put_headers(ngx_http_request_t *r, u_char *p);
static ngx_uint_t ngx_http_doi_kept_number(ngx_str_t *key);
static u_char *ngx_http_doi_put_bytes(u_char *p, size_t width, ngx_str_t *s);
static ngx_int_t ngx_http_doi_replay_open(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_http_doi_loc_conf_t *conf,
    ngx_http_doi_stored_t *stored);
static ngx_int_t ngx_http_doi_replay_decode(ngx_str_t *text,
    ngx_http_doi_stored_t *stored);
static u_char *ngx_http_doi_get_bytes(u_char *p, const u_char *last,
    size_t width, ngx_str_t *s);
static ngx_http_request_body_t *ngx_http_doi_replay_body(
    ngx_http_request_t *r, ngx_str_t *body);
static ngx_int_t ngx_http_doi_replay_headers(ngx_http_request_t *r,
    ngx_http_doi_ctx_t *ctx, ngx_http_doi_stored_t *stored,
    ngx_list_t *list);
static ngx_uint_t ngx_http_doi_is_of_click(ngx_str_t *key);
static ngx_table_elt_t *ngx_http_doi_push_header(ngx_http_request_t *r,
    ngx_list_t *list, const char *name);
static ngx_int_t ngx_http_doi_replay_fields(ngx_http_request_t *r,
    ngx_list_t *list);


#define NGX_HTTP_DOI_REPLAY_VERSION   1
#define NGX_HTTP_DOI_REPLAY_UNPARSED  0x01
#define NGX_HTTP_DOI_REPLAY_HEADERS   64
#define NGX_HTTP_DOI_REPLAY_FIXED     (1 + 1 + 3 * 2 + 1 + 4)


/* Numbers are stored: new names go to the end. */

static const char *const  ngx_http_doi_kept[] = {
    "Content-Type",
    "Cookie",
    "Origin",
    "Referer",
    "Accept",
    "Accept-Language",
    "User-Agent",
    "X-Requested-With",
    "X-CSRF-Token",
    "X-CSRFToken",
    "X-XSRF-Token"
};

#define NGX_HTTP_DOI_KEPT                                                     \
    (sizeof(ngx_http_doi_kept) / sizeof(ngx_http_doi_kept[0]))

#define NGX_HTTP_DOI_KEPT_COOKIE  1


/* What speaks of the click's own body, or of the click, and would be untrue of
   the request that takes its place. */

static const char *const  ngx_http_doi_of_click[] = {
    "content-length",
    "content-encoding",
    "content-range",
    "transfer-encoding",
    "expect",
    "te",
    "trailer",
    "range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
    "idempotency-key",
    "sec-fetch-site",
    "sec-fetch-mode",
    "sec-fetch-dest",
    "sec-fetch-user",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    NULL
};


/* Variables that nginx remembers, and that are of the request: those of the
   headers that are kept among them. */

static const char *const  ngx_http_doi_of_request[] = {
    "request_uri",
    "request_body",
    "request_body_file",
    "content_type",
    "content_length",
    "http_content_type",
    "http_content_length",
    "http_cookie",
    "http_origin",
    "http_referer",
    "http_accept",
    "http_accept_language",
    "http_user_agent",
    "http_x_requested_with",
    "http_x_csrf_token",
    "http_x_csrftoken",
    "http_x_xsrf_token",
    "http_idempotency_key",
    "cookie_",
    NULL
};


ngx_int_t
ngx_http_doi_replay_store(ngx_http_request_t *r, ngx_http_doi_loc_conf_t *conf,
    const uint8_t *id, ngx_str_t *body, ngx_str_t *sealed)
{
    u_char     *p;
    u_char      nonce[DOI_SEAL_NONCE];
    size_t      len;
    doi_buf_t   out;
    doi_str_t   aad, plain;

    len = NGX_HTTP_DOI_REPLAY_FIXED + r->unparsed_uri.len + r->uri.len
          + r->args.len + ngx_http_doi_kept_len(r) + body->len;

    if (len + DOI_SEAL_OVERHEAD > DOI_REQUEST_MAX) {
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(r->pool, len);
    out.data = ngx_pnalloc(r->pool, len + DOI_SEAL_OVERHEAD);

    if (p == NULL || out.data == NULL
        || ngx_http_doi_random(nonce, sizeof(nonce)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    plain.data = p;

    *p++ = NGX_HTTP_DOI_REPLAY_VERSION;
    *p++ = r->valid_unparsed_uri ? NGX_HTTP_DOI_REPLAY_UNPARSED : 0;

    p = ngx_http_doi_put_bytes(p, 2, &r->unparsed_uri);
    p = ngx_http_doi_put_bytes(p, 2, &r->uri);
    p = ngx_http_doi_put_bytes(p, 2, &r->args);

    p = ngx_http_doi_put_headers(r, p);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = ngx_http_doi_put_bytes(p, 4, body);

    plain.len = p - plain.data;

    aad.data = id;
    aad.len = DOI_ID_SIZE;

    out.len = 0;
    out.size = len + DOI_SEAL_OVERHEAD;

    if (doi_seal(conf->ring, nonce, aad, plain, &out) != DOI_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "doi: could not seal a request");
        return NGX_ERROR;
    }

    sealed->data = out.data;
    sealed->len = out.len;

    return NGX_OK;
}


/* Bytes that the headers take at most. */

static size_t
ngx_http_doi_kept_len(ngx_http_request_t *r)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    len = 0;

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        header = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (ngx_http_doi_kept_number(&header[i].key)
                != NGX_HTTP_DOI_KEPT)
            {
                len += 3 + header[i].value.len;
            }
        }
    }

    return len;
}


static u_char *
ngx_http_doi_put_headers(ngx_http_request_t *r, u_char *p)
{
    u_char           *count;
    ngx_str_t         value;
    ngx_uint_t        i, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    count = p++;
    *count = 0;

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        header = part->elts;

        for (i = 0; i < part->nelts; i++) {

            n = ngx_http_doi_kept_number(&header[i].key);

            if (n == NGX_HTTP_DOI_KEPT
                || *count == NGX_HTTP_DOI_REPLAY_HEADERS)
            {
                continue;
            }

            value = header[i].value;

            if (n == NGX_HTTP_DOI_KEPT_COOKIE) {

                if (ngx_http_doi_clean_cookie(r->pool, &value) != NGX_OK) {
                    return NULL;
                }

                if (value.len == 0) {
                    continue;
                }
            }

            *p++ = (u_char) n;
            p = ngx_http_doi_put_bytes(p, 2, &value);

            (*count)++;
        }
    }

    return p;
}


static ngx_uint_t
ngx_http_doi_kept_number(ngx_str_t *key)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_DOI_KEPT; i++) {
        if (ngx_http_doi_is(key, ngx_http_doi_kept[i])) {
            break;
        }
    }

    return i;
}


static u_char *
ngx_http_doi_put_bytes(u_char *p, size_t width, ngx_str_t *s)
{
    while (width--) {
        *p++ = (u_char) (s->len >> (8 * width));
    }

    return s->len ? ngx_cpymem(p, s->data, s->len) : p;
}


ngx_int_t
ngx_http_doi_replay(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_loc_conf_t *conf)
{
    doi_str_t                 accept, accept_language;
    ngx_list_t                list;
    ngx_http_request_body_t  *rb;
    ngx_http_doi_stored_t     stored;

    accept = ngx_http_doi_request_header(r, "accept");
    accept_language = ngx_http_doi_request_header(r, "accept-language");

    if (ngx_http_doi_replay_open(r, ctx, conf, &stored) != NGX_OK) {
        return NGX_ERROR;
    }

    /* all that may fail comes first */

    rb = ngx_http_doi_replay_body(r, &stored.body);

    if (rb == NULL
        || ngx_http_doi_replay_headers(r, ctx, &stored, &list) != NGX_OK
        || ngx_http_doi_replay_fields(r, &list) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->booking->accept = accept;
    ctx->booking->accept_language = accept_language;
    ctx->booking->replayed = 1;

    r->request_body = rb;
    r->headers_in.content_length_n = stored.body.len;
    r->headers_in.chunked = 0;

    r->unparsed_uri = stored.unparsed_uri;
    r->valid_unparsed_uri = stored.unparsed;
    r->uri = stored.uri;
    r->args = stored.args;

    /*
     * The path is not one of this location: proxy_pass with a URI must not cut
     * the location's prefix off it.  It is decoded, so it is to be escaped.
     */

    r->valid_location = 0;
    r->quoted_uri = 1;

    ngx_http_set_exten(r);

    ngx_http_doi_forget(r, ngx_http_doi_of_request);

    return ngx_http_doi_hide_referer(r);
}


static ngx_int_t
ngx_http_doi_replay_open(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_loc_conf_t *conf, ngx_http_doi_stored_t *stored)
{
    int         rc;
    doi_buf_t   out;
    doi_str_t   aad, sealed;
    ngx_str_t   text;

    sealed = ctx->booking->request;

    aad.data = ctx->token.id;
    aad.len = DOI_ID_SIZE;

    out.len = 0;
    out.size = sealed.len;
    out.data = ngx_pnalloc(r->pool, sealed.len + 1);
    if (out.data == NULL) {
        return NGX_ERROR;
    }

    rc = doi_unseal(conf->ring, aad, sealed, &out);

    if (rc == DOI_OK) {

        text.data = out.data;
        text.len = out.len;

        if (ngx_http_doi_replay_decode(&text, stored) == NGX_OK) {
            return NGX_OK;
        }
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "doi: the request of booking %*s cannot be replayed: %s",
                  (size_t) DOI_ID_CHARS, ctx->id,
                  (rc == DOI_NOT_FOUND)
                  ? "the key that it was sealed with is gone, give it back by "
                    "\"doi_key\""
                  : (rc == DOI_OK) ? "its format is not known"
                                   : "it does not open");

    return NGX_ERROR;
}


/* Of our own making, and authenticated; lengths are checked all the same. */

static ngx_int_t
ngx_http_doi_replay_decode(ngx_str_t *text, ngx_http_doi_stored_t *stored)
{
    u_char      *p, *last;
    ngx_str_t    value;
    ngx_uint_t   i;

    p = text->data;
    last = p + text->len;

    if (last - p < NGX_HTTP_DOI_REPLAY_FIXED
        || p[0] != NGX_HTTP_DOI_REPLAY_VERSION
        || (p[1] & ~NGX_HTTP_DOI_REPLAY_UNPARSED))
    {
        return NGX_ERROR;
    }

    stored->unparsed = p[1];

    p = ngx_http_doi_get_bytes(p + 2, last, 2, &stored->unparsed_uri);
    p = ngx_http_doi_get_bytes(p, last, 2, &stored->uri);
    p = ngx_http_doi_get_bytes(p, last, 2, &stored->args);

    if (p == NULL || p == last || stored->uri.len == 0
        || *p > NGX_HTTP_DOI_REPLAY_HEADERS)
    {
        return NGX_ERROR;
    }

    stored->nheaders = *p++;
    stored->headers = p;

    for (i = 0; i < stored->nheaders; i++) {

        if (p == NULL || p == last || *p >= NGX_HTTP_DOI_KEPT) {
            return NGX_ERROR;
        }

        p = ngx_http_doi_get_bytes(p + 1, last, 2, &value);
    }

    return (ngx_http_doi_get_bytes(p, last, 4, &stored->body) == last)
           ? NGX_OK : NGX_ERROR;
}


/* What follows, or NULL, also if p is. */

static u_char *
ngx_http_doi_get_bytes(u_char *p, const u_char *last, size_t width,
    ngx_str_t *s)
{
    size_t  len;

    if (p == NULL || (size_t) (last - p) < width) {
        return NULL;
    }

    for (len = 0; width; width--) {
        len = len << 8 | *p++;
    }

    if ((size_t) (last - p) < len) {
        return NULL;
    }

    s->data = p;
    s->len = len;

    return p + len;
}


static ngx_http_request_body_t *
ngx_http_doi_replay_body(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_buf_t                *b;
    ngx_http_request_body_t  *rb;

    rb = ngx_pcalloc(r->pool, sizeof(ngx_http_request_body_t));
    b = ngx_calloc_buf(r->pool);

    if (rb == NULL || b == NULL) {
        return NULL;
    }

    if (body->len == 0) {
        return rb;
    }

    rb->bufs = ngx_alloc_chain_link(r->pool);
    if (rb->bufs == NULL) {
        return NULL;
    }

    /* start: from there it is sent to a second upstream */

    b->start = body->data;
    b->pos = body->data;
    b->last = body->data + body->len;
    b->end = b->last;
    b->memory = 1;
    b->last_buf = 1;

    rb->bufs->buf = b;
    rb->bufs->next = NULL;

    return rb;
}


/* The headers of the click without those that are replaced, then the stored
   ones. */

static ngx_int_t
ngx_http_doi_replay_headers(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_stored_t *stored, ngx_list_t *list)
{
    u_char           *p, *last;
    ngx_str_t         value;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h, *header;

    if (ngx_list_init(list, r->pool, 20, sizeof(ngx_table_elt_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        header = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_http_doi_kept_number(&header[i].key) != NGX_HTTP_DOI_KEPT
                || ngx_http_doi_is_of_click(&header[i].key))
            {
                continue;
            }

            h = ngx_list_push(list);
            if (h == NULL) {
                return NGX_ERROR;
            }

            *h = header[i];

#if (nginx_version >= 1023000)
            h->next = NULL;
#endif
        }
    }

    p = stored->headers;
    last = stored->body.data;

    for (i = 0; i < stored->nheaders; i++) {

        header = ngx_http_doi_push_header(r, list, ngx_http_doi_kept[*p]);

        if (header == NULL) {
            return NGX_ERROR;
        }

        p = ngx_http_doi_get_bytes(p + 1, last, 2, &header->value);
    }

    value.data = ngx_pnalloc(r->pool, NGX_SIZE_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%uz", stored->body.len) - value.data;

    h = ngx_http_doi_push_header(r, list, "Content-Length");
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->value = value;

    h = ngx_http_doi_push_header(r, list, "Idempotency-Key");
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->value = ctx->key;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_doi_is_of_click(ngx_str_t *key)
{
    ngx_uint_t  i;

    for (i = 0; ngx_http_doi_of_click[i]; i++) {
        if (ngx_http_doi_is(key, ngx_http_doi_of_click[i])) {
            return 1;
        }
    }

    return 0;
}


/* A header without a value. */

static ngx_table_elt_t *
ngx_http_doi_push_header(ngx_http_request_t *r, ngx_list_t *list,
    const char *name)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(list);
    if (h == NULL) {
        return NULL;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);

    h->lowcase_key = ngx_pnalloc(r->pool, h->key.len);
    if (h->lowcase_key == NULL) {
        return NULL;
    }

    h->hash = ngx_hash_strlow(h->lowcase_key, h->key.data, h->key.len);

    return h;
}


/*
 * The list takes the place of the old one, and so do the pointers into it that
 * nginx keeps.
 */

static ngx_int_t
ngx_http_doi_replay_fields(ngx_http_request_t *r, ngx_list_t *list)
{
    ngx_uint_t           i;
    ngx_list_part_t     *part;
    ngx_table_elt_t     *h;
    ngx_http_headers_in_t  *in;

#if (nginx_version >= 1023000)
    ngx_table_elt_t    **cookie;
#else
    ngx_array_t          cookies;
    ngx_table_elt_t    **cookie;

    if (ngx_array_init(&cookies, r->pool, 1, sizeof(ngx_table_elt_t *))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (part = &list->part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_http_doi_is(&h[i].key, "cookie")) {

                cookie = ngx_array_push(&cookies);
                if (cookie == NULL) {
                    return NGX_ERROR;
                }

                *cookie = &h[i];
            }
        }
    }
#endif

    in = &r->headers_in;

    in->headers = *list;

    if (list->last == &list->part) {
        /* it was built on the stack */
        in->headers.last = &in->headers.part;
    }

    list = &in->headers;

#if (nginx_version >= 1023000)

    in->cookie = NULL;
    cookie = &in->cookie;

    for (part = &list->part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (ngx_http_doi_is(&h[i].key, "cookie")) {
                *cookie = &h[i];
                cookie = &h[i].next;
            }
        }
    }

    in->multi = 0;
    in->multi_linked = 0;

#else
    in->cookies = cookies;
#endif

    in->content_type = ngx_http_doi_find_header(list, "content-type");
    in->content_length = ngx_http_doi_find_header(list, "content-length");
    in->user_agent = ngx_http_doi_find_header(list, "user-agent");
    in->referer = ngx_http_doi_find_header(list, "referer");

#if (NGX_HTTP_HEADERS)
    in->accept = ngx_http_doi_find_header(list, "accept");
    in->accept_language = ngx_http_doi_find_header(list, "accept-language");
#endif

    in->transfer_encoding = NULL;
    in->te = NULL;
    in->expect = NULL;
    in->range = NULL;
    in->if_range = NULL;
    in->content_range = NULL;
    in->if_match = NULL;
    in->if_none_match = NULL;
    in->if_modified_since = NULL;
    in->if_unmodified_since = NULL;

    return NGX_OK;
}
