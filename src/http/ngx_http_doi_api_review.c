/*
 * The JSON API: doubtful texts that somebody is to read; figures.
 */

#include "ngx_http_doi_api_consent.h"


#define NGX_HTTP_DOI_DAYS_MAX     366


typedef struct {
    json_t                      *json;
    uint32_t                     from;      /* days since 1970               */
    uint32_t                     to;
    doi_view_t                  *view;
} ngx_http_doi_stats_read_t;


static doi_result_t ngx_http_doi_api_review_read(doi_view_t *view,
    doi_time_t now, doi_str_t arg, doi_buf_t *out);
static int ngx_http_doi_api_review_row(void *data, doi_str_t key,
    doi_str_t value);
static doi_result_t ngx_http_doi_api_review_find(doi_view_t *view,
    doi_time_t now, doi_str_t arg, doi_buf_t *out);
static ngx_int_t ngx_http_doi_api_reviewed(ngx_http_doi_api_t *api,
    doi_result_t result, doi_str_t answer);
static ngx_int_t ngx_http_doi_api_day(ngx_http_request_t *r, const char *name,
    uint32_t *day);
static doi_result_t ngx_http_doi_api_stats_read(doi_view_t *view,
    doi_time_t now, doi_str_t arg, doi_buf_t *out);
static int ngx_http_doi_api_stats_row(void *data, doi_str_t key,
    doi_str_t value);


ngx_int_t
ngx_http_doi_api_review(ngx_http_doi_api_t *api)
{
    ngx_int_t                rc;
    ngx_http_doi_api_page_t  page;

    if (ngx_http_doi_api_page(api, &page, DOI_ID_SIZE, &rc) != NGX_OK) {
        return rc;
    }

    return ngx_http_doi_api_page_read(api, &page, "review",
                                      ngx_http_doi_api_review_read, &page,
                                      sizeof(page));
}


static doi_result_t
ngx_http_doi_api_review_read(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                       rc;
    doi_str_t                 from;
    ngx_http_doi_api_page_t  *page;

    page = (ngx_http_doi_api_page_t *) arg.data;

    from.data = page->cursor;
    from.len = page->cursor_len;

    page->view = view;

    rc = view->scan(view, DOI_TABLE_REVIEW, from, ngx_http_doi_api_review_row,
                    page);

    return (rc == DOI_OK || rc == DOI_NOT_FOUND) ? DOI_WON : DOI_RETRY;
}


static int
ngx_http_doi_api_review_row(void *data, doi_str_t key, doi_str_t value)
{
    ngx_http_doi_api_page_t *page = data;

    int            rc;
    u_char         id[DOI_ID_CHARS];
    json_t        *json;
    doi_review_t   review;
    doi_contact_t  contact;

    /* rows of other lengths are for erasure */

    if (key.len != DOI_ID_SIZE) {
        return DOI_OK;
    }

    switch (ngx_http_doi_api_page_row(page, key)) {

    case DOI_OK:
        break;

    case DOI_NOT_FOUND:
        return DOI_OK;

    default:
        return DOI_NOT_FOUND;
    }

    if (doi_review_decode(value, &review) != DOI_OK) {
        return DOI_OK;
    }

    rc = doi_contact_get(page->view, review.contact, &contact);

    if (rc == DOI_NOT_FOUND) {
        return DOI_OK;
    }

    if (rc != DOI_OK) {
        return DOI_ERROR;
    }

    doi_id_encode(key.data, id);

    json = json_pack("{s:s%, s:s?, s:s%, s:I, s:s%, s:s%, s:s%, s:s%}",
                     "id", (char *) id, (size_t) DOI_ID_CHARS,
                     "channel", doi_channel_name(review.channel),
                     "address", (char *) contact.address.data,
                     contact.address.len,
                     "time", (json_int_t) review.time,
                     "list", (char *) review.list.data, review.list.len,
                     "sender", (char *) review.sender.data, review.sender.len,
                     "message_id", (char *) review.message_id.data,
                     review.message_id.len,
                     "text", (char *) review.text.data, review.text.len);

    if (json == NULL || json_array_append_new(page->rows, json) != 0) {
        return DOI_ERROR;
    }

    page->found++;

    return DOI_OK;
}


/* What follows from it is an event of its own; this takes it off the list. */

ngx_int_t
ngx_http_doi_api_review_decide(ngx_http_doi_api_t *api)
{
    u_char     contact[DOI_CONTACT_ID];
    doi_str_t  arg;
    doi_buf_t  out;

    arg.data = api->id;
    arg.len = DOI_ID_SIZE;
    out.data = contact;
    out.len = 0;
    out.size = sizeof(contact);

    switch (doi_store_read(ngx_http_doi_process_store(),
                           ngx_http_doi_api_review_find, arg, &out))
    {

    case DOI_WON:
        break;

    case DOI_CONFLICT:
        return ngx_http_doi_api_problem(api, NGX_HTTP_NOT_FOUND, "not_found",
                                        "there is nothing of this id to be "
                                        "reviewed any more");

    default:
        return ngx_http_doi_api_unavailable(api);
    }

    return ngx_http_doi_api_contact_admin(api, DOI_OP_CONSENT_REVIEW, contact,
                                          api->id, ngx_http_doi_api_reviewed);
}


static doi_result_t
ngx_http_doi_api_review_find(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int            rc;
    doi_str_t      value;
    doi_review_t   review;

    rc = view->get(view, DOI_TABLE_REVIEW, arg, &value);

    if (rc == DOI_NOT_FOUND) {
        return DOI_CONFLICT;
    }

    if (rc != DOI_OK || doi_review_decode(value, &review) != DOI_OK) {
        return DOI_RETRY;
    }

    ngx_memcpy(out->data, review.contact, DOI_CONTACT_ID);
    out->len = DOI_CONTACT_ID;

    return DOI_WON;
}


static ngx_int_t
ngx_http_doi_api_reviewed(ngx_http_doi_api_t *api, doi_result_t result,
    doi_str_t answer)
{
    json_t  *json;

    if (result == DOI_CONFLICT) {
        return ngx_http_doi_api_problem(api, NGX_HTTP_NOT_FOUND, "not_found",
                                        "there is nothing of this id to be "
                                        "reviewed any more");
    }

    json = json_pack("{s:b}", "reviewed", 1);

    return json ? ngx_http_doi_api_json(api, NGX_HTTP_OK, json)
                : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


ngx_int_t
ngx_http_doi_api_stats(ngx_http_doi_api_t *api)
{
    doi_str_t                   arg;
    doi_buf_t                   out;
    ngx_http_doi_stats_read_t   stats;

    ngx_memzero(&stats, sizeof(ngx_http_doi_stats_read_t));

    stats.to = ngx_http_doi_now() / 86400;
    stats.from = stats.to - 29;

    if (ngx_http_doi_api_day(api->request, "to", &stats.to) != NGX_OK
        || ngx_http_doi_api_day(api->request, "from", &stats.from) != NGX_OK
        || stats.from > stats.to
        || stats.to - stats.from >= NGX_HTTP_DOI_DAYS_MAX)
    {
        return ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST, "field",
                                        "\"from\" and \"to\" must be days such "
                                        "as 2026-03-14, at most 366 of them");
    }

    arg.data = (u_char *) &stats;
    arg.len = sizeof(ngx_http_doi_stats_read_t);
    ngx_memzero(&out, sizeof(doi_buf_t));

    if (doi_store_read(ngx_http_doi_process_store(),
                       ngx_http_doi_api_stats_read, arg, &out)
        != DOI_WON)
    {
        json_decref(stats.json);
        return ngx_http_doi_api_unavailable(api);
    }

    return ngx_http_doi_api_json(api, NGX_HTTP_OK, stats.json);
}


static ngx_int_t
ngx_http_doi_api_day(ngx_http_request_t *r, const char *name, uint32_t *day)
{
    time_t     t;
    ngx_int_t  y, m, d;
    ngx_str_t  value;
    struct tm  tm;

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), &value) != NGX_OK) {
        return NGX_OK;
    }

    if (value.len != 10 || value.data[4] != '-' || value.data[7] != '-') {
        return NGX_DECLINED;
    }

    y = ngx_atoi(value.data, 4);
    m = ngx_atoi(value.data + 5, 2);
    d = ngx_atoi(value.data + 8, 2);

    if (y < 1970 || y > 2105 || m < 1 || m > 12 || d < 1 || d > 31) {
        return NGX_DECLINED;
    }

    ngx_memzero(&tm, sizeof(struct tm));

    tm.tm_year = (int) y - 1900;
    tm.tm_mon = (int) m - 1;
    tm.tm_mday = (int) d;

    t = timegm(&tm);

    if (t < 0) {
        return NGX_DECLINED;
    }

    *day = (uint32_t) (t / 86400);

    return NGX_OK;
}


static doi_result_t
ngx_http_doi_api_stats_read(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                         rc;
    u_char                      key[4];
    doi_str_t                   from;
    ngx_http_doi_stats_read_t  *stats;

    stats = (ngx_http_doi_stats_read_t *) arg.data;
    stats->view = view;

    json_decref(stats->json);
    stats->json = json_pack("{s:[]}", "stats");

    if (stats->json == NULL) {
        return DOI_RETRY;
    }

    doi_put32(key, stats->from);

    from.data = key;
    from.len = sizeof(key);

    rc = view->scan(view, DOI_TABLE_STATS, from, ngx_http_doi_api_stats_row,
                    stats);

    return (rc == DOI_OK || rc == DOI_NOT_FOUND) ? DOI_WON : DOI_RETRY;
}


static int
ngx_http_doi_api_stats_row(void *data, doi_str_t key, doi_str_t value)
{
    ngx_http_doi_stats_read_t *stats = data;

    u_char           *p, day[sizeof("2026-03-14")];
    json_t           *json;
    uint32_t          days;
    ngx_tm_t          tm;
    ngx_uint_t        i;
    uint32_t          n[4];
    const uint8_t    *k;

    if (key.len != DOI_STATS_KEY || value.len < DOI_STATS_VALUE) {
        return DOI_OK;
    }

    k = key.data;
    days = doi_get32(k);

    if (days > stats->to) {
        return DOI_NOT_FOUND;
    }

    for (i = 0; i < 4; i++) {
        n[i] = doi_get32(value.data + 4 * i);
    }

    ngx_gmtime((time_t) days * 86400, &tm);

    p = ngx_sprintf(day, "%4d-%02d-%02d", tm.ngx_tm_year, tm.ngx_tm_mon,
                    tm.ngx_tm_mday);

    json = json_pack("{s:s%, s:s?, s:s?, s:s%, s:o, s:o, s:I, s:I, s:I, s:I}",
                     "day", (char *) day, (size_t) (p - day),
                     "channel", doi_channel_name(k[4]),
                     "source", doi_source_name(k[5]),
                     "list", (char *) value.data + DOI_STATS_VALUE,
                     value.len - DOI_STATS_VALUE,
                     "wording_id", ngx_http_doi_hex_json(k + 6,
                                                         DOI_WORDING_ID),
                     "wording", ngx_http_doi_wording_json(stats->view, k + 6),
                     "prompts", (json_int_t) n[0],
                     "confirmations", (json_int_t) n[1],
                     "subscriptions", (json_int_t) n[2],
                     "opt_outs", (json_int_t) n[3]);

    if (json == NULL
        || json_array_append_new(json_object_get(stats->json, "stats"), json)
           != 0)
    {
        return DOI_ERROR;
    }

    return DOI_OK;
}
