/*
 * The JSON API: contacts from CSV.
 *
 * The body is parsed as it comes.  Rows gather in a batch, one transaction;
 * while it is under way nothing more is read, so the client is as fast as the
 * store, and an import takes the memory of one batch, however long it is.  What
 * a batch wrote is durable before the next begins: an import that breaks off
 * may be sent again.
 */

#include "ngx_http_doi_api_import.h"


#define NGX_HTTP_DOI_IMPORT_LOG     100000  /* rows between lines of the log */
#define NGX_HTTP_DOI_IMPORT_ERRORS  100     /* that are described            */
#define NGX_HTTP_DOI_IMPORT_POOL    16384


static ngx_int_t ngx_http_doi_import_refuse(ngx_http_doi_api_t *api,
    ngx_int_t rc);
static ngx_http_doi_import_t *ngx_http_doi_import_create(
    ngx_http_doi_api_t *api);
static void ngx_http_doi_import_cleanup(void *data);
static void ngx_http_doi_import_body(ngx_http_request_t *r);
static void ngx_http_doi_import_event(ngx_http_request_t *r);
static ngx_int_t ngx_http_doi_import_go(ngx_http_doi_api_t *api);
static ngx_int_t ngx_http_doi_import_feed(ngx_http_doi_api_t *api,
    ngx_http_doi_import_t *im);
static ngx_int_t ngx_http_doi_import_record(ngx_http_doi_api_t *api,
    ngx_http_doi_import_t *im, int rc, const char *err);
static ngx_int_t ngx_http_doi_import_add(ngx_http_doi_import_t *im);
static ngx_int_t ngx_http_doi_import_submit(ngx_http_doi_api_t *api,
    ngx_http_doi_import_t *im);
static ngx_int_t ngx_http_doi_import_done(ngx_http_doi_api_t *api,
    doi_result_t result, doi_str_t answer);
static ngx_int_t ngx_http_doi_import_answer(ngx_http_doi_api_t *api,
    ngx_http_doi_import_t *im);


/* It is never called: begin takes the request over. */

ngx_int_t
ngx_http_doi_api_import(ngx_http_doi_api_t *api)
{
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}


ngx_int_t
ngx_http_doi_api_import_begin(ngx_http_doi_api_t *api)
{
    ngx_int_t                        rc;
    ngx_uint_t                       allowed;
    ngx_table_elt_t                 *type;
    ngx_http_request_t              *r;
    ngx_http_doi_import_t           *im;
    const ngx_http_doi_api_route_t  *route;

    r = api->request;

    route = ngx_http_doi_api_find(api, &allowed);

    rc = ngx_http_doi_api_permit(api, route);
    if (rc != NGX_DECLINED) {
        return ngx_http_doi_import_refuse(api, rc);
    }

    type = r->headers_in.content_type;

    if (type == NULL || type->value.len < 8
        || ngx_strncasecmp(type->value.data, (u_char *) "text/csv", 8) != 0)
    {
        rc = ngx_http_doi_api_problem(api, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                      "content_type", "send the rows as "
                                      "\"Content-Type: text/csv\"");
        return ngx_http_doi_import_refuse(api, rc);
    }

    if (ngx_http_doi_ledger() == NULL) {
        return ngx_http_doi_import_refuse(api,
                                          ngx_http_doi_api_unavailable(api));
    }

    im = ngx_http_doi_import_create(api);
    if (im == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_doi_import_args(api, im);
    if (rc != NGX_DECLINED) {
        return ngx_http_doi_import_refuse(api, rc);
    }

    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_doi_import_body);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


/* It was answered; the connection cannot be used for what follows the body. */

static ngx_int_t
ngx_http_doi_import_refuse(ngx_http_doi_api_t *api, ngx_int_t rc)
{
    (void) ngx_http_discard_request_body(api->request);

    return rc;
}


static ngx_http_doi_import_t *
ngx_http_doi_import_create(ngx_http_doi_api_t *api)
{
    ngx_pool_cleanup_t     *cln;
    ngx_http_doi_import_t  *im;

    cln = ngx_pool_cleanup_add(api->request->pool,
                               sizeof(ngx_http_doi_import_t));
    if (cln == NULL) {
        return NULL;
    }

    im = cln->data;
    ngx_memzero(im, sizeof(ngx_http_doi_import_t));

    cln->handler = ngx_http_doi_import_cleanup;
    api->data = im;

    doi_csv_init(&im->csv);

    im->errors = json_array();
    im->batch = ngx_palloc(api->request->pool, DOI_ARG_MAX);
    im->row = ngx_palloc(api->request->pool, NGX_HTTP_DOI_EVENT_MAX);
    im->pool = ngx_create_pool(NGX_HTTP_DOI_IMPORT_POOL,
                               api->request->connection->log);

    if (im->errors == NULL || im->batch == NULL || im->row == NULL
        || im->pool == NULL)
    {
        return NULL;
    }

    return im;
}


static void
ngx_http_doi_import_cleanup(void *data)
{
    ngx_http_doi_import_t *im = data;

    json_decref(im->errors);

    if (im->pool) {
        ngx_destroy_pool(im->pool);
    }
}


static void
ngx_http_doi_import_body(ngx_http_request_t *r)
{
    ngx_http_doi_ctx_t     *ctx;
    ngx_http_doi_import_t  *im;

    ctx = ngx_http_get_module_ctx(r, ngx_http_doi_module);
    im = ctx->api->data;

    im->eof = !r->reading_body;

    ngx_http_doi_import_event(r);
}


static void
ngx_http_doi_import_event(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_http_doi_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_doi_module);

    rc = ngx_http_doi_import_go(ctx->api);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


/* As far as it goes: until a batch is full, or no more has come. */

static ngx_int_t
ngx_http_doi_import_go(ngx_http_doi_api_t *api)
{
    ngx_int_t               rc;
    const char             *err;
    ngx_http_request_t     *r;
    ngx_http_doi_import_t  *im;

    r = api->request;
    im = api->data;

    for ( ;; ) {
        rc = ngx_http_doi_import_feed(api, im);

        if (rc == NGX_OK && im->eof && !im->finished) {
            im->finished = 1;
            rc = ngx_http_doi_import_record(api, im,
                                            doi_csv_finish(&im->csv, &err),
                                            err);
        }

        if (rc == NGX_BUSY || (rc == NGX_OK && im->eof && im->n)) {
            return ngx_http_doi_import_submit(api, im);
        }

        if (rc != NGX_OK) {
            return ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST,
                                            "header", "line 1: %s", im->bad);
        }

        if (im->eof) {
            return ngx_http_doi_import_answer(api, im);
        }

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            return rc;
        }

        if (rc == NGX_OK) {
            im->eof = 1;

        } else if (r->request_body->bufs == NULL) {
            r->read_event_handler = ngx_http_doi_import_event;
            return NGX_DONE;
        }
    }
}


/*
 * What has come.  NGX_OK: all of it is taken; NGX_BUSY: the batch is full;
 * NGX_ABORT: it is no good at all, im->bad.
 */

static ngx_int_t
ngx_http_doi_import_feed(ngx_http_doi_api_t *api, ngx_http_doi_import_t *im)
{
    int                  rc;
    ngx_int_t            rv;
    ngx_buf_t           *b;
    ngx_chain_t         *cl;
    const char          *err;
    const uint8_t       *pos;
    ngx_http_request_t  *r;

    r = api->request;

    if (im->row_len && ngx_http_doi_import_add(im) != NGX_OK) {
        return NGX_BUSY;
    }

    while (r->request_body->bufs) {

        cl = r->request_body->bufs;
        b = cl->buf;

        while (b->pos < b->last) {
            pos = b->pos;
            rc = doi_csv_feed(&im->csv, &pos, b->last, &err);
            b->pos = (u_char *) pos;

            if (rc == DOI_NOT_FOUND) {
                break;
            }

            rv = ngx_http_doi_import_record(api, im, rc, err);
            if (rv != NGX_OK) {
                return rv;
            }
        }

        r->request_body->bufs = cl->next;
        ngx_free_chain(r->pool, cl);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_import_record(ngx_http_doi_api_t *api, ngx_http_doi_import_t *im,
    int rc, const char *err)
{
    if (rc == DOI_NOT_FOUND) {
        return NGX_OK;
    }

    if (!im->header) {

        if (rc == DOI_OK) {
            err = ngx_http_doi_import_header(im);
        }

        if (err && (rc != DOI_OK || im->columns[NGX_HTTP_DOI_COL_ADDRESS] < 0))
        {
            im->bad = err;
            return NGX_ABORT;
        }

        im->header = 1;

        return NGX_OK;
    }

    im->rows++;

    if (im->rows % NGX_HTTP_DOI_IMPORT_LOG == 0) {
        ngx_log_error(NGX_LOG_NOTICE, api->request->connection->log, 0,
                      "doi: import%s: %uL rows, %uL invalid",
                      im->dry ? " (dry run)" : "", im->rows, im->invalid);
    }

    if (rc == DOI_OK) {
        err = ngx_http_doi_import_row(api, im);
    }

    if (rc != DOI_OK || err) {
        im->invalid++;
        ngx_http_doi_import_error(im, im->csv.line, err);
        return NGX_OK;
    }

    return ngx_http_doi_import_add(im) == NGX_OK ? NGX_OK : NGX_BUSY;
}


void
ngx_http_doi_import_error(ngx_http_doi_import_t *im, uint64_t line,
    const char *err)
{
    if (json_array_size(im->errors) < NGX_HTTP_DOI_IMPORT_ERRORS) {
        (void) json_array_append_new(im->errors,
                                     json_pack("{s:I, s:s}", "line",
                                               (json_int_t) line, "problem",
                                               err));
    }
}


/* The row that was read, to the batch; NGX_DECLINED: there is no room. */

static ngx_int_t
ngx_http_doi_import_add(ngx_http_doi_import_t *im)
{
    u_char    *p;
    size_t     padded;
    uint32_t   len;

    padded = ngx_align(im->row_len, 4);

    if (im->n == DOI_BATCH_MAX
        || im->batch_len + sizeof(len) + padded > DOI_ARG_MAX)
    {
        return NGX_DECLINED;
    }

    len = (uint32_t) im->row_len;

    p = ngx_cpymem(im->batch + im->batch_len, &len, sizeof(len));
    p = ngx_cpymem(p, im->row, im->row_len);
    ngx_memzero(p, padded - im->row_len);

    im->batch_len += sizeof(len) + padded;
    im->lines[im->n++] = im->row_line;
    im->row_len = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_import_submit(ngx_http_doi_api_t *api, ngx_http_doi_import_t *im)
{
    ngx_connection_t  *c;

    /* who waits for us is not slow */

    c = api->request->connection;

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    c->read->timedout = 0;

    ngx_reset_pool(im->pool);

    return ngx_http_doi_api_submit(api, DOI_OP_CONSENT_BATCH, im->batch,
                                   im->batch_len, ngx_http_doi_import_done);
}


static ngx_int_t
ngx_http_doi_import_done(ngx_http_doi_api_t *api, doi_result_t result,
    doi_str_t answer)
{
    ngx_uint_t               i;
    doi_consent_answer_t     a;
    ngx_http_doi_import_t   *im;

    im = api->data;

    if (result != DOI_WON || answer.len < im->n * sizeof(a)) {
        ngx_log_error(NGX_LOG_ALERT, api->request->connection->log, 0,
                      "doi: the store does not take a batch of an import");
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0; i < im->n; i++) {
        ngx_memcpy(&a, answer.data + i * sizeof(a), sizeof(a));

        if (a.refused) {
            im->refused++;
            ngx_http_doi_import_error(im, im->lines[i],
                                      "was refused by the ledger");

        } else if (a.created) {
            im->created++;

        } else if (a.from != a.to) {
            im->changed++;

        } else {
            im->unchanged++;
        }

        if (!im->dry && !a.refused) {
            ngx_http_doi_event_count(DOI_CONSENT_SUBSCRIBE, DOI_SOURCE_IMPORT,
                                     DOI_CONSENT_QUIET, &a);
        }
    }

    im->n = 0;
    im->batch_len = 0;

    return ngx_http_doi_import_go(api);
}


static ngx_int_t
ngx_http_doi_import_answer(ngx_http_doi_api_t *api, ngx_http_doi_import_t *im)
{
    json_t  *json;

    if (!im->header) {
        return ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST, "header",
                                        "there is no line with the names of "
                                        "the columns");
    }

    ngx_log_error(NGX_LOG_NOTICE, api->request->connection->log, 0,
                  "doi: import%s by \"%V\": %uL rows, %uL new, %uL changed, "
                  "%uL invalid", im->dry ? " (dry run)" : "", &api->actor,
                  im->rows, im->created, im->changed, im->invalid);

    ngx_http_doi_courier_wake();

    json = json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:O}",
                     "dry_run", (int) im->dry,
                     "rows", (json_int_t) im->rows,
                     "created", (json_int_t) im->created,
                     "changed", (json_int_t) im->changed,
                     "unchanged", (json_int_t) im->unchanged,
                     "refused", (json_int_t) im->refused,
                     "invalid", (json_int_t) im->invalid,
                     "errors", im->errors);

    return json ? ngx_http_doi_api_json(api, NGX_HTTP_OK, json)
                : NGX_HTTP_INTERNAL_SERVER_ERROR;
}
