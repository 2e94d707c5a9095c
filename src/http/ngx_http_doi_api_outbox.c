/*
 * The JSON API: what waits to be delivered or was given up, and addresses that
 * are not mailed any more.
 */

#include "ngx_http_doi_api.h"
#include "ngx_http_doi_consent.h"


typedef struct {
    ngx_http_doi_api_page_t   *page;
    ngx_http_doi_main_conf_t  *conf;
    doi_view_t                *view;
    ngx_int_t                  state;   /* doi_outbox_state_t, or -1: any */
} ngx_http_doi_outbox_list_t;


static doi_result_t ngx_http_doi_outbox_read(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
static int ngx_http_doi_outbox_row(void *data, doi_str_t key, doi_str_t value);
static json_t *ngx_http_doi_outbox_json(const doi_outbox_t *row,
    ngx_http_doi_main_conf_t *conf);
static json_t *ngx_http_doi_outbox_target(const doi_outbox_t *row,
    ngx_http_doi_main_conf_t *conf);
static ngx_str_t *ngx_http_doi_outbox_url(const doi_outbox_t *row,
    ngx_http_doi_main_conf_t *conf);
static ngx_int_t ngx_http_doi_outbox_retry_done(ngx_http_doi_api_t *api,
    doi_result_t result, doi_str_t answer);

static ngx_int_t ngx_http_doi_suppression_email(ngx_http_doi_api_t *api,
    doi_buf_t *email, ngx_int_t *rc);
static ngx_int_t ngx_http_doi_suppression_answer(ngx_http_doi_api_t *api,
    doi_buf_t *email, ngx_uint_t suppressed);
static ngx_int_t ngx_http_doi_suppression_done(ngx_http_doi_api_t *api,
    doi_result_t result, doi_str_t answer);
static doi_result_t ngx_http_doi_suppression_read(doi_view_t *view,
    doi_time_t now, doi_str_t arg, doi_buf_t *out);


ngx_int_t
ngx_http_doi_api_outbox(ngx_http_doi_api_t *api)
{
    ngx_int_t                    rc;
    ngx_str_t                    value;
    ngx_http_doi_api_page_t      page;
    ngx_http_doi_outbox_list_t   list;

    ngx_memzero(&list, sizeof(ngx_http_doi_outbox_list_t));

    list.page = &page;
    list.conf = ngx_http_get_module_main_conf(api->request,
                                              ngx_http_doi_module);
    list.state = -1;

    if (ngx_http_arg(api->request, (u_char *) "state", 5, &value) == NGX_OK) {

        if (value.len == 4 && ngx_strncmp(value.data, "dead", 4) == 0) {
            list.state = DOI_DEAD;

        } else if (value.len == 6 && ngx_strncmp(value.data, "queued", 6) == 0)
        {
            list.state = DOI_QUEUED;

        } else {
            return ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST, "field",
                                            "\"state\" must be dead or "
                                            "queued");
        }
    }

    if (ngx_http_doi_api_page(api, &page, DOI_QUEUE_KEY_SIZE, &rc) != NGX_OK) {
        return rc;
    }

    return ngx_http_doi_api_page_read(api, &page, "outbox",
                                      ngx_http_doi_outbox_read, &list,
                                      sizeof(ngx_http_doi_outbox_list_t));
}


static doi_result_t
ngx_http_doi_outbox_read(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                          rc;
    u_char                       state;
    doi_str_t                    from;
    ngx_http_doi_outbox_list_t  *list;

    list = (ngx_http_doi_outbox_list_t *) arg.data;
    list->view = view;

    state = (u_char) ((list->state == -1) ? DOI_QUEUED : list->state);

    from.data = list->page->cursor;
    from.len = list->page->cursor_len;

    if (from.len == 0 || from.data[0] < state) {
        from.data = &state;
        from.len = 1;
    }

    rc = view->scan(view, DOI_TABLE_QUEUE, from, ngx_http_doi_outbox_row,
                    list);

    return (rc == DOI_OK || rc == DOI_NOT_FOUND) ? DOI_WON : DOI_RETRY;
}


static int
ngx_http_doi_outbox_row(void *data, doi_str_t key, doi_str_t value)
{
    ngx_http_doi_outbox_list_t *list = data;

    json_t        *json;
    doi_outbox_t   row;

    if (key.len != DOI_QUEUE_KEY_SIZE) {
        return DOI_OK;
    }

    if (list->state != -1 && key.data[0] != list->state) {
        return DOI_NOT_FOUND;
    }

    switch (ngx_http_doi_api_page_row(list->page, key)) {

    case DOI_OK:
        break;

    case DOI_NOT_FOUND:
        return DOI_OK;

    default:
        return DOI_NOT_FOUND;
    }

    if (doi_outbox_get(list->view, key.data + 5, &row) != DOI_OK) {
        return DOI_OK;
    }

    json = ngx_http_doi_outbox_json(&row, list->conf);

    if (json == NULL || json_array_append_new(list->page->rows, json) != 0) {
        return DOI_ERROR;
    }

    list->page->found++;

    return DOI_OK;
}


static json_t *
ngx_http_doi_outbox_json(const doi_outbox_t *row,
    ngx_http_doi_main_conf_t *conf)
{
    u_char       id[DOI_ID_CHARS], booking[DOI_ID_CHARS];
    const char  *event;

    doi_id_encode(row->id, id);
    doi_id_encode(row->booking, booking);

    event = (row->kind < DOI_DELIVER_CONFIRM)
            ? NULL : doi_outbox_kind_name(row->event);

    return json_pack("{s:s%, s:s?, s:s?, s:s%, s:s, s:i, s:I, s:I, s:s%, s:o}",
                     "id", (char *) id, (size_t) DOI_ID_CHARS,
                     "kind", doi_outbox_kind_name(row->kind),
                     "event", event,
                     "booking", (char *) booking, (size_t) DOI_ID_CHARS,
                     "state", (row->state == DOI_DEAD) ? "dead" : "queued",
                     "attempts", (int) row->attempts,
                     "created", (json_int_t) row->created,
                     "due", (json_int_t) row->due,
                     "error", row->error.len ? (char *) row->error.data : "",
                     row->error.len,
                     "target", ngx_http_doi_outbox_target(row, conf));
}


/* Without its path: that is often the secret of the receiver. */

static json_t *
ngx_http_doi_outbox_target(const doi_outbox_t *row,
    ngx_http_doi_main_conf_t *conf)
{
    u_char     *p, *end;
    ngx_str_t  *url;

    url = ngx_http_doi_outbox_url(row, conf);

    if (url == NULL) {
        return json_null();
    }

    end = url->data + url->len;
    p = (u_char *) ngx_strstr(url->data, "://");
    p = p ? p + 3 : url->data;

    while (p < end && *p != '/' && *p != '?' && *p != '#') {
        p++;
    }

    return json_stringn((char *) url->data, p - url->data);
}


/* Of a webhook or a CRM.  NULL: other kinds, and those no longer configured. */

static ngx_str_t *
ngx_http_doi_outbox_url(const doi_outbox_t *row,
    ngx_http_doi_main_conf_t *conf)
{
    ngx_uint_t               i;
    ngx_http_doi_sync_t     *sync;
    ngx_http_doi_webhook_t  *hook;

    if (row->kind == DOI_DELIVER_SYNC) {
        sync = ngx_http_doi_sync_find(conf, row);

        return sync ? &sync->url : NULL;
    }

    if (row->kind != DOI_DELIVER_WEBHOOK || conf->webhooks == NULL) {
        return NULL;
    }

    hook = conf->webhooks->elts;

    for (i = 0; i < conf->webhooks->nelts; i++) {
        if (ngx_memcmp(hook[i].target, row->target, DOI_TARGET_SIZE) == 0) {
            return &hook[i].url;
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_doi_api_outbox_retry(ngx_http_doi_api_t *api)
{
    ngx_int_t         rc;
    doi_outbox_arg_t  arg;

    if (ngx_http_doi_api_empty(api, &rc) != NGX_OK) {
        return rc;
    }

    ngx_memzero(&arg, sizeof(doi_outbox_arg_t));
    ngx_memcpy(arg.id, api->id, DOI_ID_SIZE);
    arg.action = DOI_OUTBOX_RETRY;

    return ngx_http_doi_api_submit(api, DOI_OP_OUTBOX_UPDATE, &arg,
                                   sizeof(doi_outbox_arg_t),
                                   ngx_http_doi_outbox_retry_done);
}


static ngx_int_t
ngx_http_doi_outbox_retry_done(ngx_http_doi_api_t *api, doi_result_t result,
    doi_str_t answer)
{
    json_t  *json;

    if (result == DOI_CONFLICT) {
        return ngx_http_doi_api_problem(api, NGX_HTTP_NOT_FOUND, "not_found",
                                        "there is no such delivery: it has "
                                        "been made, or never was");
    }

    ngx_log_error(NGX_LOG_NOTICE, api->request->connection->log, 0,
                  "doi: delivery %V is tried again, by \"%V\"", &api->id_text,
                  &api->actor);

    ngx_http_doi_courier_wake();

    json = json_pack("{s:s%, s:s}", "id", (char *) api->id_text.data,
                     api->id_text.len, "state", "queued");
    if (json == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_doi_api_json(api, NGX_HTTP_OK, json);
}


ngx_int_t
ngx_http_doi_api_suppression(ngx_http_doi_api_t *api)
{
    ngx_int_t  rc;
    doi_str_t  arg;
    doi_buf_t  email, out;

    if (ngx_http_doi_suppression_email(api, &email, &rc) != NGX_OK) {
        return rc;
    }

    arg.data = email.data;
    arg.len = email.len;
    ngx_memzero(&out, sizeof(doi_buf_t));

    switch (doi_store_read(ngx_http_doi_process_store(),
                           ngx_http_doi_suppression_read, arg, &out))
    {
    case DOI_WON:
        return ngx_http_doi_suppression_answer(api, &email, 1);

    case DOI_CONFLICT:
        return ngx_http_doi_api_problem(api, NGX_HTTP_NOT_FOUND, "not_found",
                                        "mail to this address is not "
                                        "suppressed");

    default:
        return ngx_http_doi_api_unavailable(api);
    }
}


ngx_int_t
ngx_http_doi_api_suppression_lift(ngx_http_doi_api_t *api)
{
    u_char              *p;
    ngx_int_t            rc;
    doi_buf_t           *email;
    doi_suppress_arg_t   head;
    u_char               arg[sizeof(doi_suppress_arg_t) + DOI_EMAIL_MAX];

    email = ngx_palloc(api->request->pool, sizeof(doi_buf_t));
    if (email == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_doi_suppression_email(api, email, &rc) != NGX_OK) {
        return rc;
    }

    api->data = email;

    ngx_memzero(&head, sizeof(doi_suppress_arg_t));
    head.lift = 1;
    head.email_len = (uint16_t) email->len;

    p = ngx_cpymem(arg, &head, sizeof(doi_suppress_arg_t));
    p = ngx_cpymem(p, email->data, email->len);

    return ngx_http_doi_api_submit(api, DOI_OP_SUPPRESS, arg, p - arg,
                                   ngx_http_doi_suppression_done);
}


static ngx_int_t
ngx_http_doi_suppression_done(ngx_http_doi_api_t *api, doi_result_t result,
    doi_str_t answer)
{
    u_char     masked[16];
    size_t     n;
    doi_str_t  s;
    doi_buf_t *email;

    if (result != DOI_WON) {
        return ngx_http_doi_api_unavailable(api);
    }

    email = api->data;

    s.data = email->data;
    s.len = email->len;
    n = doi_email_mask(s, masked);

    ngx_log_error(NGX_LOG_NOTICE, api->request->connection->log, 0,
                  "doi: %*s may be mailed again, by \"%V\"", n, masked,
                  &api->actor);

    return ngx_http_doi_suppression_answer(api, email, 0);
}


static ngx_int_t
ngx_http_doi_suppression_email(ngx_http_doi_api_t *api, doi_buf_t *email,
    ngx_int_t *rc)
{
    doi_str_t    text;
    const char  *err;

    email->len = 0;
    email->size = DOI_EMAIL_MAX;
    email->data = ngx_pnalloc(api->request->pool, DOI_EMAIL_MAX);

    if (email->data == NULL) {
        *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        return NGX_ERROR;
    }

    text.data = api->id_text.data;
    text.len = api->id_text.len;

    if (doi_email_normalise(text, doi_idn, email, &err) != DOI_OK) {
        *rc = ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST, "field",
                                       "the address %s", err);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_suppression_answer(ngx_http_doi_api_t *api, doi_buf_t *email,
    ngx_uint_t suppressed)
{
    json_t  *json;

    json = json_pack("{s:s%, s:b}", "email", (char *) email->data, email->len,
                     "suppressed", (int) suppressed);
    if (json == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_doi_api_json(api, NGX_HTTP_OK, json);
}


static doi_result_t
ngx_http_doi_suppression_read(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    switch (doi_suppressed(view, arg)) {

    case DOI_OK:
        return DOI_WON;

    case DOI_NOT_FOUND:
        return DOI_CONFLICT;

    default:
        return DOI_RETRY;
    }
}
