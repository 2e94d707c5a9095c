/*
 * The JSON API of operators: bodies and answers.  Who may call it is
 * nginx's business; the user name that nginx checked is the actor in records.
 */

#include "ngx_http_doi_api.h"


/* An operation in flight; the request may be gone when it is done. */

typedef struct ngx_http_doi_api_op_s {
    ngx_http_doi_api_t        *api;         /* NULL: gone */
    ngx_http_doi_api_done_pt   done;
} ngx_http_doi_api_op_t;


static void ngx_http_doi_api_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_doi_api_run(ngx_http_doi_api_t *api);
static ngx_int_t ngx_http_doi_api_read(ngx_http_doi_api_t *api);
static void ngx_http_doi_api_op_done(void *data, doi_result_t result,
    doi_str_t answer);
static void ngx_http_doi_api_cleanup(void *data);
static ngx_int_t ngx_http_doi_api_actor(ngx_http_doi_api_t *api);


#define NGX_HTTP_DOI_API_BODY   65536   /* bytes */


ngx_int_t
ngx_http_doi_api_handler(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_http_doi_ctx_t  *ctx;
    ngx_http_doi_api_t  *api;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_doi_api_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    api = cln->data;
    ngx_memzero(api, sizeof(ngx_http_doi_api_t));

    cln->handler = ngx_http_doi_api_cleanup;
    api->request = r;

    ctx = ngx_http_doi_get_ctx(r);

    if (ctx == NULL) {
        ctx = ngx_http_doi_create_ctx(r);
        if (ctx == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    ctx->api = api;

    /* an import may be large: it is read as it comes */

    if (ngx_http_doi_api_is_import(api)) {
        return ngx_http_doi_api_import_begin(api);
    }

    if (r->headers_in.content_length_n > NGX_HTTP_DOI_API_BODY) {
        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }

        return ngx_http_doi_api_problem(api, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                        "too_large", "the body is larger than "
                                        "%d bytes", NGX_HTTP_DOI_API_BODY);
    }

    rc = ngx_http_read_client_request_body(r, ngx_http_doi_api_body_handler);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


static void
ngx_http_doi_api_body_handler(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_http_doi_ctx_t  *ctx;

    ctx = ngx_http_doi_get_ctx(r);

    rc = ngx_http_doi_api_run(ctx->api);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


static ngx_int_t
ngx_http_doi_api_run(ngx_http_doi_api_t *api)
{
    ngx_int_t                  rc;
    ngx_uint_t                 allowed;

    const ngx_http_doi_api_route_t  *route;

    route = ngx_http_doi_api_find(api, &allowed);

    if (route == NULL) {
        return ngx_http_doi_api_no_route(api, allowed);
    }

    rc = ngx_http_doi_api_permit(api, route);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_http_doi_api_read(api);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    return route->handler(api);
}


ngx_int_t
ngx_http_doi_api_permit(ngx_http_doi_api_t *api,
    const ngx_http_doi_api_route_t *route)
{
    ngx_http_doi_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(api->request, ngx_http_doi_module);

    if (!(conf->api & route->permission)) {
        return ngx_http_doi_api_problem(api, NGX_HTTP_FORBIDDEN,
                                        "permission", "\"doi_api\" of this "
                                        "location does not permit this call");
    }

    if (ngx_http_doi_api_actor(api) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_doi_process_store() == NULL) {
        return ngx_http_doi_api_unavailable(api);
    }

    return NGX_DECLINED;
}


/*
 * $remote_user, as checked by auth_basic and its like.  Without them it is
 * whatever the client says: what is not clean UTF-8 text becomes "?".
 */

static ngx_int_t
ngx_http_doi_api_actor(ngx_http_doi_api_t *api)
{
    u_char                     *p, *from, *last, *actor;
    size_t                      n;
    uint32_t                    ch;
    ngx_uint_t                  key;
    ngx_http_variable_value_t  *v;

    static ngx_str_t  name = ngx_string("remote_user");

    key = ngx_hash_key(name.data, name.len);

    v = ngx_http_get_variable(api->request, &name, key);
    if (v == NULL) {
        return NGX_ERROR;
    }

    if (v->not_found || !v->valid || v->len == 0) {
        ngx_str_set(&api->actor, "");
        return NGX_OK;
    }

    actor = ngx_pnalloc(api->request->pool, v->len);
    if (actor == NULL) {
        return NGX_ERROR;
    }

    api->actor.data = actor;
    p = v->data;
    last = p + v->len;

    while (p < last) {

        from = p;
        ch = (*p < 0x80) ? *p++ : ngx_utf8_decode(&p, last - p);

        if (ch > 0x10ffff || ch < 0x20 || ch == 0x7f
            || (ch >= 0xd800 && ch < 0xe000))
        {
            p = from + 1;
            from = (u_char *) "?";
            n = 1;

        } else {
            n = p - from;
        }

        if (api->actor.len + n > DOI_ACTOR_MAX) {
            break;
        }

        actor = ngx_cpymem(actor, from, n);
        api->actor.len += n;
    }

    return NGX_OK;
}


/*
 * The body in one piece; a temporary file is small here.  NGX_DECLINED: go on,
 * else it was answered.
 */

static ngx_int_t
ngx_http_doi_api_read(ngx_http_doi_api_t *api)
{
    off_t                len;
    u_char              *p;
    ssize_t              n;
    ngx_buf_t           *b;
    ngx_chain_t         *cl;
    ngx_http_request_t  *r;

    r = api->request;

    if (r->request_body == NULL) {
        return NGX_DECLINED;
    }

    len = 0;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        len += ngx_buf_size(cl->buf);
    }

    if (len > NGX_HTTP_DOI_API_BODY) {
        return ngx_http_doi_api_problem(api, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                        "too_large",
                                        "the body is larger than %d bytes",
                                        NGX_HTTP_DOI_API_BODY);
    }

    p = ngx_pnalloc(r->pool, (size_t) len + 1);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    api->body.data = p;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {

        b = cl->buf;

        if (ngx_buf_in_memory(b)) {
            p = ngx_cpymem(p, b->pos, b->last - b->pos);
            continue;
        }

        if (b->in_file) {
            n = ngx_read_file(b->file, p, (size_t) (b->file_last - b->file_pos),
                              b->file_pos);

            if (n != b->file_last - b->file_pos) {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }

            p += n;
        }
    }

    api->body.len = p - api->body.data;

    return NGX_DECLINED;
}


json_t *
ngx_http_doi_api_body(ngx_http_doi_api_t *api, const char **names,
    ngx_int_t *rc)
{
    void             *member;
    json_t           *json;
    const char      **name;
    ngx_str_t        *type;
    json_error_t      error;
    ngx_table_elt_t  *header;

    header = api->request->headers_in.content_type;
    type = header ? &header->value : NULL;

    if (type == NULL || type->len < 16
        || ngx_strncasecmp(type->data, (u_char *) "application/json", 16) != 0
        || (type->len > 16 && type->data[16] != ';' && type->data[16] != ' '))
    {
        *rc = ngx_http_doi_api_problem(api, 415, "content_type",
                                       "send the body as \"Content-Type: "
                                       "application/json\"");
        return NULL;
    }

    json = json_loadb((char *) api->body.data, api->body.len,
                      JSON_REJECT_DUPLICATES, &error);

    if (json == NULL) {
        *rc = ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST, "json",
                                       "the body is not valid JSON: line %d, "
                                       "column %d: %s", error.line,
                                       error.column, error.text);
        return NULL;
    }

    if (!json_is_object(json)) {
        *rc = ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST, "json",
                                       "the body must be a JSON object");
        json_decref(json);
        return NULL;
    }

    for (member = json_object_iter(json);
         member;
         member = json_object_iter_next(json, member))
    {
        for (name = names; *name; name++) {
            if (strcmp(json_object_iter_key(member), *name) == 0) {
                break;
            }
        }

        if (*name == NULL) {
            *rc = ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST,
                                           "unknown_field",
                                           "unknown field \"%s\"",
                                           json_object_iter_key(member));
            json_decref(json);
            return NULL;
        }
    }

    return json;
}


ngx_int_t
ngx_http_doi_api_empty(ngx_http_doi_api_t *api, ngx_int_t *rc)
{
    json_t  *body;

    static const char  *names[] = { NULL };

    if (api->body.len == 0) {
        return NGX_OK;
    }

    body = ngx_http_doi_api_body(api, names, rc);
    if (body == NULL) {
        return NGX_ERROR;
    }

    json_decref(body);

    return NGX_OK;
}


const char *
ngx_http_doi_api_outcome(json_t *body, ngx_uint_t *outcome, ngx_str_t *reason)
{
    json_t      *value;
    const char  *text;

    text = json_string_value(json_object_get(body, "outcome"));

    if (text && strcmp(text, "used") == 0) {
        *outcome = DOI_OUTCOME_USED;

    } else if (text && strcmp(text, "fresh") == 0) {
        *outcome = DOI_OUTCOME_RELEASED;

    } else {
        return "\"outcome\" must be \"used\" or \"fresh\"";
    }

    value = json_object_get(body, "reason");

    if (!json_is_string(value) || json_string_length(value) == 0
        || json_string_length(value) > DOI_REASON_MAX)
    {
        return "\"reason\" must be a string of 1 to 512 bytes";
    }

    reason->data = (u_char *) json_string_value(value);
    reason->len = json_string_length(value);

    return NULL;
}


ngx_int_t
ngx_http_doi_api_submit(ngx_http_doi_api_t *api, ngx_uint_t op, void *arg,
    size_t len, ngx_http_doi_api_done_pt done)
{
    ngx_http_request_t     *r;
    ngx_http_doi_api_op_t  *w;

    r = api->request;

    w = ngx_alloc(sizeof(ngx_http_doi_api_op_t), r->connection->log);
    if (w == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    w->api = api;
    w->done = done;

    if (ngx_http_doi_submit(op, arg, len, ngx_http_doi_api_op_done, w)
        != NGX_OK)
    {
        ngx_free(w);
        return ngx_http_doi_api_unavailable(api);
    }

    api->op = w;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


static void
ngx_http_doi_api_op_done(void *data, doi_result_t result, doi_str_t answer)
{
    ngx_http_doi_api_op_t *w = data;

    ngx_int_t                  rc;
    ngx_connection_t          *c;
    ngx_http_doi_api_t        *api;
    ngx_http_doi_api_done_pt   done;

    api = w->api;
    done = w->done;

    ngx_free(w);

    if (api == NULL) {
        return;
    }

    api->op = NULL;

    if (ngx_http_doi_exiting()) {
        return;
    }

    c = api->request->connection;

    ngx_http_set_log_request(c->log, api->request);

    if (result == DOI_RETRY || result == DOI_UNKNOWN) {
        rc = ngx_http_doi_api_unavailable(api);

    } else {
        rc = done(api, result, answer);
    }

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(api->request, rc);
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_doi_api_cleanup(void *data)
{
    ngx_http_doi_api_t *api = data;

    if (api->op) {
        api->op->api = NULL;
    }

    if (api->event.timer_set) {
        ngx_del_timer(&api->event);
    }
}


ngx_int_t
ngx_http_doi_api_unavailable(ngx_http_doi_api_t *api)
{
    if (ngx_http_doi_header_str(api->request, "Retry-After", "5") != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_doi_api_problem(api, NGX_HTTP_SERVICE_UNAVAILABLE,
                                    "unavailable", "the store cannot take "
                                    "this now: try again");
}


ngx_int_t
ngx_http_doi_api_problem(ngx_http_doi_api_t *api, ngx_uint_t status,
    const char *code, const char *fmt, ...)
{
    u_char   *p;
    json_t   *json;
    va_list   args;
    u_char    detail[512];

    va_start(args, fmt);
    p = ngx_vslprintf(detail, detail + sizeof(detail), fmt, args);
    va_end(args);

    json = json_pack("{s:s, s:i, s:s%}",
                     "type", "about:blank",
                     "status", (int) status,
                     "detail", (char *) detail, (size_t) (p - detail));

    if (json == NULL) {

        /* what the client sent was not UTF-8, or was cut within a character */

        json = json_pack("{s:s, s:i}", "type", "about:blank",
                         "status", (int) status);
    }

    if (json == NULL
        || json_object_set_new(json, "code", json_string(code)) != 0)
    {
        json_decref(json);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_set(&api->request->headers_out.content_type,
                "application/problem+json");

    return ngx_http_doi_api_json(api, status, json);
}


ngx_int_t
ngx_http_doi_api_json(ngx_http_doi_api_t *api, ngx_uint_t status, json_t *json)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_str_t     text;
    ngx_chain_t  *cl;

    rc = ngx_http_doi_api_dump(api, json, &text);

    json_decref(json);

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b = ngx_calloc_buf(api->request->pool);
    cl = ngx_alloc_chain_link(api->request->pool);

    if (b == NULL || cl == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = text.data;
    b->last = text.data + text.len;
    b->memory = 1;

    cl->buf = b;
    cl->next = NULL;

    return ngx_http_doi_api_chain(api, status, cl, text.len);
}


ngx_int_t
ngx_http_doi_api_chain(ngx_http_doi_api_t *api, ngx_uint_t status,
    ngx_chain_t *chain, off_t len)
{
    ngx_int_t            rc;
    ngx_chain_t         *cl;
    ngx_http_request_t  *r;

    r = api->request;

    for (cl = chain; cl->next; cl = cl->next) { /* void */ }

    cl->buf->last_buf = (r == r->main);
    cl->buf->last_in_chain = 1;

    if (r->headers_out.content_type.len == 0) {
        ngx_str_set(&r->headers_out.content_type, "application/json");
    }

    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.status = status;
    r->headers_out.content_length_n = len;

    if (ngx_http_doi_header_str(r, "Cache-Control", "no-store") != NGX_OK
        || ngx_http_doi_header_str(r, "X-Content-Type-Options", "nosniff")
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, chain);
}


ngx_int_t
ngx_http_doi_api_dump(ngx_http_doi_api_t *api, json_t *json, ngx_str_t *text)
{
    size_t  n;

    n = json_dumpb(json, NULL, 0, JSON_COMPACT|JSON_ENCODE_ANY);

    if (n == 0) {
        return NGX_ERROR;
    }

    text->data = ngx_pnalloc(api->request->pool, n);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    text->len = json_dumpb(json, (char *) text->data, n,
                           JSON_COMPACT|JSON_ENCODE_ANY);

    return (text->len == n) ? NGX_OK : NGX_ERROR;
}
