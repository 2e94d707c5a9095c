/*
 * Prompts and confirmations of today and yesterday (UTC), by channel, source,
 * list and wording: the same rows as GET stats shows.
 *
 * They come from the store, so they outlive a restart.  A series costs the
 * monitoring as long as it keeps it, and lists may be named by a variable: so
 * there are no more than a fixed number of them for a day, and what is beyond
 * is added up as one.
 */

#include "ngx_http_doi_consent.h"
#include "../core/escape.h"


#define NGX_HTTP_DOI_MEASURES       100     /* series of one day             */
#define NGX_HTTP_DOI_MEASURES_LOOK  10000   /* rows that are looked at       */
#define NGX_HTTP_DOI_MEASURES_LIST  192     /* bytes of a list, escaped: each of
                                               64 becomes at most three      */
#define NGX_HTTP_DOI_MEASURES_LINE  512     /* bytes                         */
#define NGX_HTTP_DOI_MEASURES_KINDS 4
#define NGX_HTTP_DOI_DAY            86400


/* Key: all but the day, as in DOI_TABLE_STATS. */

typedef struct {
    uint32_t     day;
    uint8_t      channel;
    uint8_t      source;
    u_char       wording[DOI_WORDING_ID];
    u_char       list[NGX_HTTP_DOI_MEASURES_LIST + 1];
    size_t       list_len;
    uint64_t     n[NGX_HTTP_DOI_MEASURES_KINDS];
    ngx_uint_t   other;         /* all that did not fit */
} ngx_http_doi_measure_t;

typedef struct {
    uint32_t                 today;
    ngx_uint_t               looked;
    ngx_uint_t               n;
    ngx_uint_t               of_day;
    ngx_http_doi_measure_t   rows[2 * (NGX_HTTP_DOI_MEASURES + 1)];
} ngx_http_doi_measures_t;


static doi_result_t ngx_http_doi_measures_read(doi_view_t *view,
    doi_time_t now, doi_str_t arg, doi_buf_t *out);
static int ngx_http_doi_measures_row(void *data, doi_str_t key,
    doi_str_t value);
static ngx_http_doi_measure_t *ngx_http_doi_measures_next(
    ngx_http_doi_measures_t *measures, uint32_t day);
static size_t ngx_http_doi_measures_list(u_char *out, doi_str_t list);
static u_char *ngx_http_doi_measures_line(u_char *p, u_char *last,
    const char *name, const ngx_http_doi_measure_t *row, uint64_t n);


static const struct {
    const char  *name;
    const char  *help;
} ngx_http_doi_measures_kinds[NGX_HTTP_DOI_MEASURES_KINDS] = {
    { "doi_consent_day_prompts", "Contacts that were asked to confirm." },
    { "doi_consent_day_confirmations", "Contacts that confirmed." },
    { "doi_consent_day_subscriptions", "Contacts that are in without." },
    { "doi_consent_day_opt_outs", "Contacts that opted out." }
};


ngx_buf_t *
ngx_http_doi_metrics_measures(ngx_pool_t *pool)
{
    doi_str_t                 arg;
    doi_buf_t                 out;
    ngx_buf_t                *b;
    ngx_uint_t                i, k;
    ngx_http_doi_measures_t  *measures;

    measures = ngx_pcalloc(pool, sizeof(ngx_http_doi_measures_t));
    if (measures == NULL) {
        return NULL;
    }

    arg.data = (u_char *) measures;
    arg.len = sizeof(ngx_http_doi_measures_t);
    ngx_memzero(&out, sizeof(doi_buf_t));

    if (ngx_http_doi_process_store() == NULL
        || doi_store_read(ngx_http_doi_process_store(),
                          ngx_http_doi_measures_read, arg, &out)
           != DOI_WON)
    {
        measures->n = 0;
    }

    b = ngx_create_temp_buf(pool, NGX_HTTP_DOI_MEASURES_KINDS
                                  * (measures->n + 1)
                                  * NGX_HTTP_DOI_MEASURES_LINE);
    if (b == NULL) {
        return NULL;
    }

    for (k = 0; k < NGX_HTTP_DOI_MEASURES_KINDS; k++) {

        b->last = ngx_slprintf(b->last, b->end, "# HELP %s %s Of today and "
                               "yesterday, UTC.\n# TYPE %s gauge\n",
                               ngx_http_doi_measures_kinds[k].name,
                               ngx_http_doi_measures_kinds[k].help,
                               ngx_http_doi_measures_kinds[k].name);

        for (i = 0; i < measures->n; i++) {
            b->last = ngx_http_doi_measures_line(b->last, b->end,
                                            ngx_http_doi_measures_kinds[k].name,
                                            &measures->rows[i],
                                            measures->rows[i].n[k]);
        }
    }

    return b;
}


static doi_result_t
ngx_http_doi_measures_read(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                       rc;
    u_char                    key[4];
    doi_str_t                 from;
    ngx_http_doi_measures_t  *measures;

    measures = (ngx_http_doi_measures_t *) arg.data;
    measures->today = now / NGX_HTTP_DOI_DAY;
    measures->looked = 0;
    measures->n = 0;
    measures->of_day = 0;

    doi_put32(key, measures->today - 1);

    from.data = key;
    from.len = sizeof(key);

    rc = view->scan(view, DOI_TABLE_STATS, from, ngx_http_doi_measures_row,
                    measures);

    return (rc == DOI_OK || rc == DOI_NOT_FOUND) ? DOI_WON : DOI_RETRY;
}


static int
ngx_http_doi_measures_row(void *data, doi_str_t key, doi_str_t value)
{
    ngx_http_doi_measures_t *measures = data;

    uint32_t                 day;
    doi_str_t                list;
    ngx_uint_t               k;
    ngx_http_doi_measure_t  *row;

    if (key.len != DOI_STATS_KEY || value.len < DOI_STATS_VALUE
        || value.len > DOI_STATS_VALUE + 64)
    {
        return DOI_OK;
    }

    day = doi_get32(key.data);

    if (day > measures->today
        || measures->looked++ == NGX_HTTP_DOI_MEASURES_LOOK)
    {
        return DOI_NOT_FOUND;
    }

    row = ngx_http_doi_measures_next(measures, day);

    if (!row->other) {
        list.data = value.data + DOI_STATS_VALUE;
        list.len = value.len - DOI_STATS_VALUE;

        row->channel = key.data[4];
        row->source = key.data[5];
        ngx_memcpy(row->wording, key.data + 6, DOI_WORDING_ID);
        row->list_len = ngx_http_doi_measures_list(row->list, list);
    }

    for (k = 0; k < NGX_HTTP_DOI_MEASURES_KINDS; k++) {
        row->n[k] += doi_get32(value.data + 4 * k);
    }

    return DOI_OK;
}


/* A new row, or the one for all that do not fit. */

static ngx_http_doi_measure_t *
ngx_http_doi_measures_next(ngx_http_doi_measures_t *measures, uint32_t day)
{
    ngx_http_doi_measure_t  *row;

    row = measures->n ? &measures->rows[measures->n - 1] : NULL;

    if (row == NULL || row->day != day) {
        measures->of_day = 0;

    } else if (row->other) {
        return row;
    }

    row = &measures->rows[measures->n++];

    ngx_memzero(row, sizeof(ngx_http_doi_measure_t));
    row->day = day;
    row->other = measures->of_day++ == NGX_HTTP_DOI_MEASURES;

    return row;
}


/* UTF-8 on one line, with backslashes and quotes escaped: what a label may
   hold. */

static size_t
ngx_http_doi_measures_list(u_char *out, doi_str_t list)
{
    size_t     i;
    u_char    *p, text[NGX_HTTP_DOI_MEASURES_LIST];
    doi_buf_t  buf;
    doi_out_t  o;

    buf.data = text;
    buf.len = 0;
    buf.size = sizeof(text);

    doi_out_init(&o, &buf);
    doi_out_escape(&o, DOI_ESCAPE_TEXT, list);
    doi_out_done(&o, &buf);

    p = out;

    for (i = 0; i < buf.len && p < out + NGX_HTTP_DOI_MEASURES_LIST; i++) {

        if (text[i] == '"' || text[i] == '\\') {
            *p++ = '\\';
        }

        *p++ = text[i];
    }

    return p - out;
}


static u_char *
ngx_http_doi_measures_line(u_char *p, u_char *last, const char *name,
    const ngx_http_doi_measure_t *row, uint64_t n)
{
    u_char      *end, wording[2 * DOI_WORDING_ID];
    ngx_tm_t     tm;
    const char  *channel, *source;

    static const u_char  zeros[DOI_WORDING_ID];

    ngx_gmtime((time_t) row->day * NGX_HTTP_DOI_DAY, &tm);

    p = ngx_slprintf(p, last, "%s{day=\"%4d-%02d-%02d\",", name,
                     tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday);

    if (row->other) {
        return ngx_slprintf(p, last, "channel=\"other\",source=\"other\","
                            "list=\"other\",wording=\"other\"} %uL\n", n);
    }

    channel = doi_channel_name(row->channel);
    source = doi_source_name(row->source);

    end = ngx_hex_dump(wording, (u_char *) row->wording, DOI_WORDING_ID);

    if (ngx_memcmp(row->wording, zeros, DOI_WORDING_ID) == 0) {
        end = ngx_cpymem(wording, "none", sizeof("none") - 1);
    }

    return ngx_slprintf(p, last, "channel=\"%s\",source=\"%s\",list=\"%*s\","
                        "wording=\"%*s\"} %uL\n",
                        channel ? channel : "unknown",
                        source ? source : "unknown", row->list_len, row->list,
                        end - wording, wording, n);
}
