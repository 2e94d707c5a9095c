/*
 * doi_consent: the recipients of a JSON body.
 *
 * A gate reads all that is sent, so the body is parsed without a tree of it.  An
 * array stands for each of its elements, at the end of the path or on it; a
 * name that is there twice, or in another case, counts each time.
 */

#include "ngx_http_doi_gate.h"

#include <yajl/yajl_parse.h>


#define NGX_HTTP_DOI_GATE_DEPTH  128
#define NGX_HTTP_DOI_GATE_OFF    ((size_t) -1)
#define NGX_HTTP_DOI_GATE_SIZED  16     /* bytes: a size, and its alignment  */


/*
 * Where a value stands: how many bytes of the path lead to it, or OFF.  Of an
 * array it goes for the elements; in an object each name sets its own.
 */

typedef struct {
    ngx_http_request_t   *request;
    ngx_http_doi_gate_t  *gate;
    ngx_str_t            *path;
    ngx_int_t             rc;           /* of what stopped the parser        */
    size_t                at;           /* of the value that comes next      */
    ngx_uint_t            depth;
    size_t                in[NGX_HTTP_DOI_GATE_DEPTH];
} ngx_http_doi_gate_json_t;


static ngx_int_t ngx_http_doi_gate_json_parse(ngx_http_doi_gate_json_t *json,
    ngx_str_t *body);
static void *ngx_http_doi_gate_json_alloc(void *data, size_t size);
static void *ngx_http_doi_gate_json_realloc(void *data, void *p, size_t size);
static void ngx_http_doi_gate_json_free(void *data, void *p);
static int ngx_http_doi_gate_json_other(void *data);
static int ngx_http_doi_gate_json_null(void *data);
static int ngx_http_doi_gate_json_bool(void *data, int value);
static int ngx_http_doi_gate_json_number(void *data, const char *text,
    size_t len);
static int ngx_http_doi_gate_json_string(void *data, const u_char *text,
    size_t len);
static int ngx_http_doi_gate_json_map(void *data);
static int ngx_http_doi_gate_json_key(void *data, const u_char *key,
    size_t len);
static int ngx_http_doi_gate_json_array(void *data);
static int ngx_http_doi_gate_json_end(void *data);
static int ngx_http_doi_gate_json_enter(ngx_http_doi_gate_json_t *json);
static ngx_uint_t ngx_http_doi_gate_json_last(ngx_http_doi_gate_json_t *json);


static yajl_callbacks  ngx_http_doi_gate_callbacks = {
    ngx_http_doi_gate_json_null,
    ngx_http_doi_gate_json_bool,
    NULL,
    NULL,
    ngx_http_doi_gate_json_number,
    ngx_http_doi_gate_json_string,
    ngx_http_doi_gate_json_map,
    ngx_http_doi_gate_json_key,
    ngx_http_doi_gate_json_end,
    ngx_http_doi_gate_json_array,
    ngx_http_doi_gate_json_end
};


ngx_int_t
ngx_http_doi_gate_json(ngx_http_request_t *r, ngx_http_doi_gate_t *gate,
    ngx_str_t *body)
{
    ngx_int_t                 rc;
    ngx_uint_t                i;
    ngx_http_doi_gate_json_t  json;

    json.request = r;
    json.gate = gate;
    json.path = gate->conf->to->elts;

    rc = NGX_OK;

    for (i = 0; i < gate->conf->to->nelts && rc == NGX_OK; i++) {
        rc = ngx_http_doi_gate_json_parse(&json, body);
        json.path++;
    }

    return rc;
}


static ngx_int_t
ngx_http_doi_gate_json_parse(ngx_http_doi_gate_json_t *json, ngx_str_t *body)
{
    yajl_handle       handle;
    yajl_status       status;
    yajl_alloc_funcs  alloc;

    alloc.malloc = ngx_http_doi_gate_json_alloc;
    alloc.realloc = ngx_http_doi_gate_json_realloc;
    alloc.free = ngx_http_doi_gate_json_free;
    alloc.ctx = json->request->pool;

    json->rc = NGX_DECLINED;
    json->at = 0;
    json->depth = 0;

    handle = yajl_alloc(&ngx_http_doi_gate_callbacks, &alloc, json);
    if (handle == NULL) {
        return NGX_ERROR;
    }

    status = yajl_parse(handle, body->data, body->len);

    if (status == yajl_status_ok) {
        status = yajl_complete_parse(handle);
    }

    yajl_free(handle);

    return status == yajl_status_ok ? NGX_OK : json->rc;
}


/*
 * From the request's pool, with the size in front.  YAJL takes little, but for
 * a string with escapes, whose space it doubles until it fits.
 */

static void *
ngx_http_doi_gate_json_alloc(void *data, size_t size)
{
    size_t  *p;

    p = ngx_palloc(data, NGX_HTTP_DOI_GATE_SIZED + size);
    if (p == NULL) {
        return NULL;
    }

    *p = size;

    return (u_char *) p + NGX_HTTP_DOI_GATE_SIZED;
}


static void *
ngx_http_doi_gate_json_realloc(void *data, void *p, size_t size)
{
    void    *new;
    size_t   was;

    new = ngx_http_doi_gate_json_alloc(data, size);

    if (p && new) {
        was = *(size_t *) ((u_char *) p - NGX_HTTP_DOI_GATE_SIZED);
        ngx_memcpy(new, p, ngx_min(was, size));
        ngx_http_doi_gate_json_free(data, p);
    }

    return new;
}


static void
ngx_http_doi_gate_json_free(void *data, void *p)
{
    if (p) {
        (void) ngx_pfree(data, (u_char *) p - NGX_HTTP_DOI_GATE_SIZED);
    }
}


/* What is no recipient may not stand where one is to be. */

static int
ngx_http_doi_gate_json_other(void *data)
{
    ngx_http_doi_gate_json_t  *json = data;

    return json->at == NGX_HTTP_DOI_GATE_OFF;
}


static int
ngx_http_doi_gate_json_null(void *data)
{
    return ngx_http_doi_gate_json_last(data)
           || ngx_http_doi_gate_json_other(data);
}


static int
ngx_http_doi_gate_json_bool(void *data, int value)
{
    (void) value;

    return ngx_http_doi_gate_json_other(data);
}


static int
ngx_http_doi_gate_json_number(void *data, const char *text, size_t len)
{
    (void) text;
    (void) len;

    return ngx_http_doi_gate_json_other(data);
}


static int
ngx_http_doi_gate_json_string(void *data, const u_char *text, size_t len)
{
    ngx_http_doi_gate_json_t  *json = data;

    if (!ngx_http_doi_gate_json_last(json)) {
        return ngx_http_doi_gate_json_other(json);
    }

    json->rc = ngx_http_doi_gate_split(json->request, json->gate, text, len);

    if (json->rc != NGX_OK) {
        return 0;
    }

    json->rc = NGX_DECLINED;

    return 1;
}


static int
ngx_http_doi_gate_json_map(void *data)
{
    ngx_http_doi_gate_json_t  *json = data;

    return !ngx_http_doi_gate_json_last(json)
           && ngx_http_doi_gate_json_enter(json);
}


/* A name with a NUL in it is another one to an app in C. */

static int
ngx_http_doi_gate_json_key(void *data, const u_char *key, size_t len)
{
    size_t                     at, n;
    u_char                    *p, *dot, *last;
    ngx_http_doi_gate_json_t  *json = data;

    at = json->in[json->depth - 1];
    json->at = NGX_HTTP_DOI_GATE_OFF;

    if (memchr(key, '\0', len) != NULL) {
        return 0;
    }

    if (at == NGX_HTTP_DOI_GATE_OFF) {
        return 1;
    }

    p = json->path->data + at;
    last = json->path->data + json->path->len;

    dot = ngx_strlchr(p, last, '.');
    n = (dot ? dot : last) - p;

    if (len == n && ngx_strncasecmp((u_char *) key, p, n) == 0) {
        json->at = at + n + (dot != NULL);
    }

    return 1;
}


static int
ngx_http_doi_gate_json_array(void *data)
{
    return ngx_http_doi_gate_json_enter(data);
}


static int
ngx_http_doi_gate_json_end(void *data)
{
    ngx_http_doi_gate_json_t  *json = data;

    json->depth--;
    json->at = json->depth ? json->in[json->depth - 1] : NGX_HTTP_DOI_GATE_OFF;

    return 1;
}


static int
ngx_http_doi_gate_json_enter(ngx_http_doi_gate_json_t *json)
{
    if (json->depth == NGX_HTTP_DOI_GATE_DEPTH) {
        return 0;
    }

    json->in[json->depth++] = json->at;

    return 1;
}


static ngx_uint_t
ngx_http_doi_gate_json_last(ngx_http_doi_gate_json_t *json)
{
    return json->at == json->path->len;
}
