/*
 * The JSON API: contacts as CSV.
 *
 * A piece of rows at a time, each read in a snapshot of its own and sent before
 * the next is read: contacts that change meanwhile are there in one of their
 * states.
 */

#include "ngx_http_doi_api_consent.h"
#include "../core/csv.h"


#define NGX_HTTP_DOI_EXPORT_ROWS  500       /* contacts in one piece         */
#define NGX_HTTP_DOI_EXPORT_BUF   131072
#define NGX_HTTP_DOI_EXPORT_ROOM  65536     /* for the lists of one contact  */


typedef struct {
    ngx_buf_t                 *buf;
    u_char                    *start;
    doi_buf_t                  out;
    u_char                     cursor[DOI_CONTACT_ID];  /* last one          */
    ngx_uint_t                 n;
    doi_view_t                *view;
    unsigned                   begun:1;     /* cursor is filled              */
    unsigned                   more:1;
} ngx_http_doi_export_t;


static ngx_int_t ngx_http_doi_export_piece(ngx_http_doi_api_t *api);
static doi_result_t ngx_http_doi_export_read(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
static int ngx_http_doi_export_row(void *data, doi_str_t key,
    doi_str_t value);
static int ngx_http_doi_export_put(doi_buf_t *out,
    const doi_contact_t *contact, const doi_contact_list_t *list);
static int ngx_http_doi_export_text(doi_buf_t *out, const char *text);
static void ngx_http_doi_export_time(doi_time_t t, char *text);
static void ngx_http_doi_export_write(ngx_http_request_t *r);
static ngx_int_t ngx_http_doi_export_wait(ngx_http_doi_api_t *api);


ngx_int_t
ngx_http_doi_api_export(ngx_http_doi_api_t *api)
{
    ngx_int_t               rc;
    ngx_http_request_t     *r;
    ngx_http_doi_export_t  *ex;

    static const char  header[] =
        "channel,address,list,status,person,lang,date,opted_in,source\r\n";

    r = api->request;

    ex = ngx_pcalloc(r->pool, sizeof(ngx_http_doi_export_t));
    if (ex == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ex->start = ngx_palloc(r->pool, NGX_HTTP_DOI_EXPORT_BUF);
    ex->buf = ngx_calloc_buf(r->pool);

    if (ex->start == NULL || ex->buf == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    api->data = ex;

    ex->out.data = ex->start;
    ex->out.size = NGX_HTTP_DOI_EXPORT_BUF;
    ex->out.len = sizeof(header) - 1;
    ngx_memcpy(ex->start, header, sizeof(header) - 1);

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = -1;
    ngx_str_set(&r->headers_out.content_type, "text/csv; charset=utf-8");
    r->headers_out.content_type_len = sizeof("text/csv") - 1;
    r->headers_out.content_type_lowcase = NULL;

    if (ngx_http_doi_header_str(r, "Cache-Control", "no-store") != NGX_OK
        || ngx_http_doi_header_str(r, "X-Content-Type-Options", "nosniff")
           != NGX_OK
        || ngx_http_doi_header_str(r, "Content-Disposition",
                                   "attachment; filename=contacts.csv")
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_doi_export_piece(api);
}


static ngx_int_t
ngx_http_doi_export_piece(ngx_http_doi_api_t *api)
{
    ngx_int_t               rc;
    ngx_buf_t              *b;
    doi_str_t               arg;
    doi_buf_t               none;
    ngx_chain_t             cl;
    ngx_http_doi_export_t  *ex;

    ex = api->data;

    arg.data = (u_char *) ex;
    arg.len = sizeof(ngx_http_doi_export_t);
    ngx_memzero(&none, sizeof(doi_buf_t));

    if (doi_store_read(ngx_http_doi_process_store(), ngx_http_doi_export_read,
                       arg, &none)
        != DOI_WON)
    {
        /* without the end of a chunked body the client knows that it is cut */

        ngx_log_error(NGX_LOG_ERR, api->request->connection->log, 0,
                      "doi: the export breaks off: the store cannot be read");
        return NGX_ERROR;
    }

    b = ex->buf;
    ngx_memzero(b, sizeof(ngx_buf_t));

    b->start = ex->start;
    b->pos = ex->start;
    b->last = ex->start + ex->out.len;
    b->end = ex->start + NGX_HTTP_DOI_EXPORT_BUF;
    b->temporary = (ex->out.len != 0);
    b->flush = ex->more;
    b->last_buf = !ex->more;
    b->last_in_chain = 1;

    cl.buf = b;
    cl.next = NULL;

    rc = ngx_http_output_filter(api->request, &cl);

    if (rc == NGX_ERROR || !ex->more) {
        return rc;
    }

    ex->out.len = 0;

    return ngx_http_doi_export_wait(api);
}


/* The buffer is filled again when all of it is gone. */

static ngx_int_t
ngx_http_doi_export_wait(ngx_http_doi_api_t *api)
{
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = api->request;
    c = r->connection;

    if (!r->buffered && !c->buffered) {

        if (c->write->timer_set) {
            ngx_del_timer(c->write);
        }

        return ngx_http_doi_api_later(api, ngx_http_doi_export_piece);
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_doi_export_write;

    if (!c->write->delayed) {
        ngx_add_timer(c->write, clcf->send_timeout);
    }

    return ngx_handle_write_event(c->write, clcf->send_lowat) == NGX_OK
           ? NGX_DONE : NGX_ERROR;
}


static void
ngx_http_doi_export_write(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_event_t         *wev;
    ngx_http_doi_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_doi_module);
    wev = r->connection->write;

    if (wev->timedout) {
        r->connection->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (wev->delayed) {
        return;
    }

    rc = ngx_http_output_filter(r, NULL);

    if (rc != NGX_ERROR) {
        rc = ngx_http_doi_export_wait(ctx->api);
    }

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


static doi_result_t
ngx_http_doi_export_read(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                     rc;
    doi_str_t               from;
    ngx_http_doi_export_t  *ex;

    ex = (ngx_http_doi_export_t *) arg.data;

    ex->view = view;
    ex->n = 0;
    ex->more = 0;

    from.data = ex->cursor;
    from.len = ex->begun ? DOI_CONTACT_ID : 0;

    rc = view->scan(view, DOI_TABLE_CONTACTS, from, ngx_http_doi_export_row,
                    ex);

    return (rc == DOI_OK || rc == DOI_NOT_FOUND) ? DOI_WON : DOI_RETRY;
}


static int
ngx_http_doi_export_row(void *data, doi_str_t key, doi_str_t value)
{
    ngx_http_doi_export_t *ex = data;

    size_t         i;
    doi_contact_t  contact;

    if (key.len != DOI_CONTACT_ID
        || (ex->begun && ngx_memcmp(key.data, ex->cursor, key.len) == 0))
    {
        return DOI_OK;
    }

    if (ex->n == NGX_HTTP_DOI_EXPORT_ROWS
        || ex->out.size - ex->out.len < NGX_HTTP_DOI_EXPORT_ROOM)
    {
        ex->more = 1;
        return DOI_NOT_FOUND;
    }

    ngx_memcpy(ex->cursor, key.data, DOI_CONTACT_ID);
    ex->begun = 1;
    ex->n++;

    if (doi_contact_decode(ex->view, value, &contact) != DOI_OK
        || contact.erased)
    {
        return DOI_OK;
    }

    for (i = 0; i < contact.nlists; i++) {
        if (ngx_http_doi_export_put(&ex->out, &contact, &contact.lists[i])
            != DOI_OK)
        {
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


static int
ngx_http_doi_export_put(doi_buf_t *out, const doi_contact_t *contact,
    const doi_contact_list_t *list)
{
    char  since[32], opted_in[32];

    ngx_http_doi_export_time(list->consent.since, since);
    ngx_http_doi_export_time(list->consent.opted_in, opted_in);

    return ngx_http_doi_export_text(out, doi_channel_name(contact->channel))
           || ngx_http_doi_export_text(out, ",")
           || doi_csv_put(out, contact->address)
           || ngx_http_doi_export_text(out, ",")
           || doi_csv_put(out, list->name)
           || ngx_http_doi_export_text(out, ",")
           || ngx_http_doi_export_text(out,
                                       doi_consent_name(list->consent.state))
           || ngx_http_doi_export_text(out, ",")
           || doi_csv_put(out, contact->person)
           || ngx_http_doi_export_text(out, ",")
           || doi_csv_put(out, contact->lang)
           || ngx_http_doi_export_text(out, ",")
           || ngx_http_doi_export_text(out, since)
           || ngx_http_doi_export_text(out, ",")
           || ngx_http_doi_export_text(out, opted_in)
           || ngx_http_doi_export_text(out, ",")
           || ngx_http_doi_export_text(out, doi_source_name(list->source))
           || ngx_http_doi_export_text(out, "\r\n")
           ? DOI_ERROR : DOI_OK;
}


/* 0, as DOI_OK is. */

static int
ngx_http_doi_export_text(doi_buf_t *out, const char *text)
{
    size_t  len;

    if (text == NULL) {
        return DOI_OK;
    }

    len = ngx_strlen(text);

    if (len > out->size - out->len) {
        return DOI_ERROR;
    }

    ngx_memcpy(out->data + out->len, text, len);
    out->len += len;

    return DOI_OK;
}


static void
ngx_http_doi_export_time(doi_time_t t, char *text)
{
    ngx_tm_t  tm;

    text[0] = '\0';

    if (t) {
        ngx_gmtime((time_t) t, &tm);

        *ngx_sprintf((u_char *) text, "%4d-%02d-%02dT%02d:%02d:%02dZ",
                     tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                     tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec) = '\0';
    }
}
