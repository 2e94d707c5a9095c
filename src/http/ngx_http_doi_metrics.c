/*
 * Figures in the text format of Prometheus, version 0.0.4.
 */

#include "ngx_http_doi_consent.h"


typedef struct {
    const char  *name;
    const char  *type;
    const char  *help;
    size_t       offset;        /* of a 64-bit number in ngx_http_doi_stats_t */
} ngx_http_doi_metric_t;


static u_char *ngx_http_doi_metrics_write(u_char *p, u_char *last,
    ngx_http_doi_stats_t *stats);
static u_char *ngx_http_doi_metrics_refused(u_char *p, u_char *last,
    ngx_http_doi_stats_t *stats);
static u_char *ngx_http_doi_metrics_store(u_char *p, u_char *last,
    ngx_http_doi_stats_t *stats);
static u_char *ngx_http_doi_metrics_bookings(u_char *p, u_char *last,
    ngx_http_doi_stats_t *stats);
static u_char *ngx_http_doi_metrics_deliveries(u_char *p, u_char *last,
    ngx_http_doi_stats_t *stats);
static u_char *ngx_http_doi_metrics_consent(u_char *p, u_char *last,
    ngx_http_doi_stats_t *stats);
static u_char *ngx_http_doi_metrics_outbox(u_char *p, u_char *last);
static ngx_int_t ngx_http_doi_metrics_in_doubt(uint64_t *n);
static doi_result_t ngx_http_doi_count_outbox(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
static int ngx_http_doi_count_outbox_row(void *data, doi_str_t key,
    doi_str_t value);
static doi_result_t ngx_http_doi_count_in_doubt(doi_view_t *view,
    doi_time_t now, doi_str_t arg, doi_buf_t *out);
static int ngx_http_doi_count_row(void *data, doi_str_t key, doi_str_t value);


#define NGX_HTTP_DOI_METRICS_SIZE  49152
#define NGX_HTTP_DOI_METRICS_ROWS  10000   /* gauges: counted up to here */

#define ngx_http_doi_stat(field)  offsetof(ngx_http_doi_stats_t, field)

#define ngx_http_doi_load(counter)                                            \
    ((uint64_t) atomic_load_explicit(counter, memory_order_relaxed))


static ngx_http_doi_metric_t  ngx_http_doi_metrics_plain[] = {

    { "doi_links_minted_total", "counter",
      "One-time links minted by the API.", ngx_http_doi_stat(minted) },

    { "doi_link_views_total", "counter",
      "Live links opened.", ngx_http_doi_stat(viewed) },

    { "doi_claims_total", "counter",
      "Redemptions that were claimed and went to the upstream.",
      ngx_http_doi_stat(claimed) },

    { "doi_links_revoked_total", "counter",
      "Links revoked by the API.", ngx_http_doi_stat(revoked) },

    { "doi_links_resolved_total", "counter",
      "Links in doubt that were resolved by the API.",
      ngx_http_doi_stat(resolved) },

    { "doi_holds_limited_total", "counter",
      "Forms refused by doi_limit.", ngx_http_doi_stat(limited) },

    { "doi_mails_suppressed_total", "counter",
      "Mails not sent, since their address wants none.",
      ngx_http_doi_stat(suppressed) },

    { "doi_store_commits_total", "counter",
      "Durable commits.", ngx_http_doi_stat(store.commits) },

    { "doi_store_commit_errors_total", "counter",
      "Commits that failed.", ngx_http_doi_stat(store.commit_errors) },

    { "doi_store_operations_total", "counter",
      "Operations in durable commits.", ngx_http_doi_stat(store.ops) },

    { "doi_store_unknown_total", "counter",
      "Operations whose outcome was not known in time.",
      ngx_http_doi_stat(store.unknown) },

    { "doi_store_leaders_total", "counter",
      "Times that a process took over committing.",
      ngx_http_doi_stat(store.leaders) },

    { "doi_store_expired_total", "counter",
      "Expired records deleted.", ngx_http_doi_stat(store.dropped) },

    { "doi_store_claims_freed_total", "counter",
      "Claims freed by age (doi_in_doubt release).",
      ngx_http_doi_stat(store.released) },

    { "doi_store_queue_length", "gauge",
      "Operations waiting for a commit.", ngx_http_doi_stat(store.queue) },

    { "doi_store_map_used_bytes", "gauge",
      "Bytes of the store's map in use.", ngx_http_doi_stat(store.map_used) },

    { "doi_store_map_size_bytes", "gauge",
      "Size of the store's map (doi_store size=).",
      ngx_http_doi_stat(store.map_size) },

    { "doi_store_clock_seconds", "gauge",
      "High-water mark of the clock, Unix seconds.",
      ngx_http_doi_stat(store.clock_mark) },

    { NULL, NULL, NULL, 0 }
};


ngx_int_t
ngx_http_doi_metrics_handler(ngx_http_request_t *r)
{
    u_char                    *p;
    ngx_int_t                  rc;
    ngx_buf_t                 *b, *measures;
    ngx_chain_t                out[2];
    ngx_http_doi_main_conf_t  *mcf;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_doi_module);

    b = ngx_create_temp_buf(r->pool, NGX_HTTP_DOI_METRICS_SIZE);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_http_doi_metrics_write(b->pos, b->end, mcf->stats);

    b->last = p;

    measures = ngx_http_doi_metrics_measures(r->pool);
    if (measures == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    measures->last_buf = (r == r->main);
    measures->last_in_chain = 1;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = (b->last - b->pos)
                                      + (measures->last - measures->pos);

    ngx_str_set(&r->headers_out.content_type,
                "text/plain; version=0.0.4; charset=utf-8");
    r->headers_out.content_type_len = sizeof("text/plain") - 1;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out[0].buf = b;
    out[0].next = &out[1];
    out[1].buf = measures;
    out[1].next = NULL;

    return ngx_http_output_filter(r, out);
}


static u_char *
ngx_http_doi_metrics_write(u_char *p, u_char *last,
    ngx_http_doi_stats_t *stats)
{
    uint64_t                in_doubt;
    ngx_uint_t              up;
    _Atomic uint64_t       *counter;
    ngx_http_doi_metric_t  *m;

    for (m = ngx_http_doi_metrics_plain; m->name; m++) {

        counter = (_Atomic uint64_t *) ((u_char *) stats + m->offset);

        p = ngx_slprintf(p, last, "# HELP %s %s\n# TYPE %s %s\n%s %uL\n",
                         m->name, m->help, m->name, m->type, m->name,
                         ngx_http_doi_load(counter));
    }

    p = ngx_slprintf(p, last,
                     "# HELP doi_redemptions_total Redemptions by outcome.\n"
                     "# TYPE doi_redemptions_total counter\n"
                     "doi_redemptions_total{outcome=\"used\"} %uL\n"
                     "doi_redemptions_total{outcome=\"released\"} %uL\n"
                     "doi_redemptions_total{outcome=\"in_doubt\"} %uL\n",
                     ngx_http_doi_load(&stats->used),
                     ngx_http_doi_load(&stats->released),
                     ngx_http_doi_load(&stats->in_doubt));

    up = (ngx_http_doi_metrics_in_doubt(&in_doubt) == NGX_OK);

    p = ngx_slprintf(p, last,
                     "# HELP doi_links_in_doubt Redemptions that wait for an "
                     "operator to resolve them.\n"
                     "# TYPE doi_links_in_doubt gauge\n"
                     "doi_links_in_doubt %uL\n",
                     in_doubt);

    p = ngx_slprintf(p, last,
                     "# HELP doi_store_up 1 if this worker can read the "
                     "store.\n"
                     "# TYPE doi_store_up gauge\n"
                     "doi_store_up %d\n",
                     (int) up);

    p = ngx_http_doi_metrics_refused(p, last, stats);
    p = ngx_http_doi_metrics_bookings(p, last, stats);
    p = ngx_http_doi_metrics_deliveries(p, last, stats);
    p = ngx_http_doi_metrics_outbox(p, last);
    p = ngx_http_doi_metrics_consent(p, last, stats);

    return ngx_http_doi_metrics_store(p, last, stats);
}


static u_char *
ngx_http_doi_metrics_refused(u_char *p, u_char *last,
    ngx_http_doi_stats_t *stats)
{
    ngx_uint_t  i;

    static const char  *reasons[] = {
        NULL, "malformed", "purpose", "unknown_key", "forged", "expired",
        "failed"
    };

    p = ngx_slprintf(p, last,
                     "# HELP doi_tokens_refused_total Tokens refused from MAC "
                     "and clock alone.\n"
                     "# TYPE doi_tokens_refused_total counter\n");

    for (i = DOI_TOKEN_MALFORMED; i <= DOI_TOKEN_FAILED; i++) {
        p = ngx_slprintf(p, last,
                         "doi_tokens_refused_total{reason=\"%s\"} %uL\n",
                         reasons[i], ngx_http_doi_load(&stats->refused[i]));
    }

    p = ngx_slprintf(p, last,
                     "# HELP doi_pages_total Pages and problems sent by the "
                     "module.\n"
                     "# TYPE doi_pages_total counter\n");

    for (i = 0; i < DOI_PAGES; i++) {
        p = ngx_slprintf(p, last, "doi_pages_total{page=\"%s\"} %uL\n",
                         doi_page_name(i), ngx_http_doi_load(&stats->pages[i]));
    }

    return p;
}


static u_char *
ngx_http_doi_metrics_bookings(u_char *p, u_char *last,
    ngx_http_doi_stats_t *stats)
{
    uint64_t    sent, confirmed;
    ngx_uint_t  i;

    static const ngx_uint_t  ends[] = {
        DOI_BOOKING_REFUSED, DOI_BOOKING_CANCELLED, DOI_BOOKING_EXPIRED
    };

    p = ngx_slprintf(p, last,
                     "# HELP doi_bookings_total Events of bookings.\n"
                     "# TYPE doi_bookings_total counter\n");

    for (i = DOI_EVENT_HELD; i < DOI_EVENT_CONSENT; i++) {
        p = ngx_slprintf(p, last, "doi_bookings_total{event=\"%s\"} %uL\n",
                         doi_outbox_kind_name(i),
                         ngx_http_doi_load(&stats->events[i]));
    }

    p = ngx_slprintf(p, last,
                     "# HELP doi_bookings_released_total Bookings whose slot "
                     "is free again, by how they ended.\n"
                     "# TYPE doi_bookings_released_total counter\n");

    for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        p = ngx_slprintf(p, last,
                         "doi_bookings_released_total{state=\"%s\"} %uL\n",
                         doi_booking_state_name(ends[i]),
                         ngx_http_doi_load(&stats->released_by[ends[i]]));
    }

    confirmed = ngx_http_doi_load(&stats->events[DOI_EVENT_CONFIRMED]);
    sent = ngx_http_doi_load(&stats->sent[0]);

    return ngx_slprintf(p, last,
                        "# HELP doi_booking_confirmation_ratio Bookings "
                        "confirmed per confirmation mail sent.\n"
                        "# TYPE doi_booking_confirmation_ratio gauge\n"
                        "doi_booking_confirmation_ratio %uL.%04uL\n",
                        sent ? confirmed / sent : 0,
                        sent ? confirmed % sent * 10000 / sent : 0);
}


static u_char *
ngx_http_doi_metrics_deliveries(u_char *p, u_char *last,
    ngx_http_doi_stats_t *stats)
{
    ngx_uint_t   i, kind;

    p = ngx_slprintf(p, last,
                     "# HELP doi_deliveries_total Mails, webhooks, calendar "
                     "updates, messages, CRMs: queued, sent, failed (tries), dead (given "
                     "up).\n"
                     "# TYPE doi_deliveries_total counter\n");

    for (kind = DOI_DELIVER_CONFIRM; kind < DOI_DELIVERS; kind++) {

        i = kind - DOI_DELIVER_CONFIRM;

        p = ngx_slprintf(p, last,
             "doi_deliveries_total{kind=\"%s\",result=\"queued\"} %uL\n"
             "doi_deliveries_total{kind=\"%s\",result=\"sent\"} %uL\n"
             "doi_deliveries_total{kind=\"%s\",result=\"failed\"} %uL\n"
             "doi_deliveries_total{kind=\"%s\",result=\"dead\"} %uL\n",
             doi_outbox_kind_name(kind), ngx_http_doi_load(&stats->queued[i]),
             doi_outbox_kind_name(kind), ngx_http_doi_load(&stats->sent[i]),
             doi_outbox_kind_name(kind), ngx_http_doi_load(&stats->failed[i]),
             doi_outbox_kind_name(kind), ngx_http_doi_load(&stats->dead[i]));
    }

    return p;
}


/* Counted here and not by who delivers: that may be nobody. */

static u_char *
ngx_http_doi_metrics_outbox(u_char *p, u_char *last)
{
    doi_str_t  arg;
    doi_buf_t  out;
    uint64_t   count[DOI_DEAD + 1];

    ngx_memzero(count, sizeof(count));
    ngx_memzero(&out, sizeof(doi_buf_t));

    if (ngx_http_doi_process_store()) {
        arg.data = (u_char *) count;
        arg.len = sizeof(count);

        (void) doi_store_read(ngx_http_doi_process_store(),
                              ngx_http_doi_count_outbox, arg, &out);
    }

    return ngx_slprintf(p, last,
                        "# HELP doi_outbox_waiting Rows that wait to be "
                        "delivered.\n"
                        "# TYPE doi_outbox_waiting gauge\n"
                        "doi_outbox_waiting %uL\n"
                        "# HELP doi_outbox_dead Deliveries given up, for an "
                        "operator to look at.\n"
                        "# TYPE doi_outbox_dead gauge\n"
                        "doi_outbox_dead %uL\n",
                        count[DOI_QUEUED], count[DOI_DEAD]);
}


static u_char *
ngx_http_doi_metrics_consent(u_char *p, u_char *last,
    ngx_http_doi_stats_t *stats)
{
    ngx_uint_t  i, k;

    static const char  *results[NGX_HTTP_DOI_GATE_RESULTS] = {
        "passed", "never_opted_in", "pending", "opted_out", "not_confirmed",
        "invalid", "unavailable"
    };

    p = ngx_slprintf(p, last,
                     "# HELP doi_consent_events_total Changes of a contact's "
                     "consent.\n"
                     "# TYPE doi_consent_events_total counter\n");

    for (i = 0; i < DOI_CONSENT_OTHER; i++) {
        for (k = 0; k < DOI_SOURCES; k++) {
            p = ngx_slprintf(p, last,
                             "doi_consent_events_total{event=\"%s\","
                             "source=\"%s\"} %uL\n",
                             doi_consent_event_name(i), doi_source_name(k),
                             ngx_http_doi_load(&stats->consent[i][k]));
        }
    }

    p = ngx_slprintf(p, last,
                     "# HELP doi_consent_prompts_total Contacts that were "
                     "asked to confirm.\n"
                     "# TYPE doi_consent_prompts_total counter\n"
                     "doi_consent_prompts_total %uL\n"
                     "# HELP doi_consent_confirmations_total Those that did.\n"
                     "# TYPE doi_consent_confirmations_total counter\n"
                     "doi_consent_confirmations_total %uL\n",
                     ngx_http_doi_load(&stats->prompts),
                     ngx_http_doi_load(&stats->confirmations));

    p = ngx_slprintf(p, last,
                     "# HELP doi_gate_total Requests at doi_consent.\n"
                     "# TYPE doi_gate_total counter\n");

    for (i = 0; i < NGX_HTTP_DOI_GATE_RESULTS; i++) {
        p = ngx_slprintf(p, last, "doi_gate_total{result=\"%s\"} %uL\n",
                         results[i], ngx_http_doi_load(&stats->gate[i]));
    }

    return p;
}


static u_char *
ngx_http_doi_metrics_store(u_char *p, u_char *last,
    ngx_http_doi_stats_t *stats)
{
    uint64_t    sum, us;
    ngx_uint_t  i;

    p = ngx_slprintf(p, last,
                     "# HELP doi_store_refused_total Operations that the "
                     "store refused.\n"
                     "# TYPE doi_store_refused_total counter\n"
                     "doi_store_refused_total{reason=\"queue\"} %uL\n"
                     "doi_store_refused_total{reason=\"full\"} %uL\n",
                     ngx_http_doi_load(&stats->store.refused_queue),
                     ngx_http_doi_load(&stats->store.refused_full));

    p = ngx_slprintf(p, last,
                     "# HELP doi_store_commit_seconds Time of a durable "
                     "commit.\n"
                     "# TYPE doi_store_commit_seconds histogram\n");

    sum = 0;

    for (i = 0; i < DOI_STORE_BUCKETS - 1; i++) {

        sum += ngx_http_doi_load(&stats->store.commit_bucket[i]);

        p = ngx_slprintf(p, last,
                         "doi_store_commit_seconds_bucket{le=\"%ud.%06ud\"} "
                         "%uL\n", doi_store_bucket_us[i] / 1000000,
                         doi_store_bucket_us[i] % 1000000, sum);
    }

    sum += ngx_http_doi_load(&stats->store.commit_bucket[i]);
    us = ngx_http_doi_load(&stats->store.commit_us);

    return ngx_slprintf(p, last,
                        "doi_store_commit_seconds_bucket{le=\"+Inf\"} %uL\n"
                        "doi_store_commit_seconds_sum %uL.%06uL\n"
                        "doi_store_commit_seconds_count %uL\n",
                        sum, us / 1000000, us % 1000000, sum);
}


/* NGX_DECLINED: the store cannot be read. */

static ngx_int_t
ngx_http_doi_metrics_in_doubt(uint64_t *n)
{
    doi_str_t   arg;
    doi_buf_t   out;

    *n = 0;

    if (ngx_http_doi_process_store() == NULL) {
        return NGX_DECLINED;
    }

    arg.data = (u_char *) n;
    arg.len = sizeof(uint64_t);
    ngx_memzero(&out, sizeof(doi_buf_t));

    return doi_store_read(ngx_http_doi_process_store(),
                          ngx_http_doi_count_in_doubt, arg, &out)
           == DOI_WON
           ? NGX_OK : NGX_DECLINED;
}


typedef struct {
    uint64_t    *count;
    doi_time_t   now;
} ngx_http_doi_in_doubt_t;


static doi_result_t
ngx_http_doi_count_in_doubt(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    doi_str_t                from = { NULL, 0 };
    ngx_http_doi_in_doubt_t  count;

    count.count = (uint64_t *) arg.data;
    count.now = now;

    (void) view->scan(view, DOI_TABLE_OPEN, from, ngx_http_doi_count_row,
                      &count);
    return DOI_WON;
}


static int
ngx_http_doi_count_row(void *data, doi_str_t key, doi_str_t value)
{
    ngx_http_doi_in_doubt_t *count = data;

    doi_time_t  deadline;

    if (key.len != DOI_OPEN_KEY_SIZE) {
        return DOI_OK;
    }

    deadline = doi_get32(key.data);

    if (deadline > count->now || *count->count == NGX_HTTP_DOI_METRICS_ROWS) {
        return DOI_NOT_FOUND;
    }

    (*count->count)++;

    return DOI_OK;
}


typedef struct {
    uint64_t  *count;
    u_char     state;
} ngx_http_doi_outbox_count_t;


/* Both states stand in a row; each is counted for itself. */

static doi_result_t
ngx_http_doi_count_outbox(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    doi_str_t    from;
    uint64_t    *count;
    ngx_uint_t   i;

    ngx_http_doi_outbox_count_t  c;

    count = (uint64_t *) arg.data;
    ngx_memzero(count, arg.len);

    for (i = DOI_QUEUED; i <= DOI_DEAD; i++) {

        c.count = &count[i];
        c.state = (u_char) i;

        from.data = &c.state;
        from.len = 1;

        (void) view->scan(view, DOI_TABLE_QUEUE, from,
                          ngx_http_doi_count_outbox_row, &c);
    }

    return DOI_WON;
}


static int
ngx_http_doi_count_outbox_row(void *data, doi_str_t key, doi_str_t value)
{
    ngx_http_doi_outbox_count_t *c = data;

    if (key.len != DOI_QUEUE_KEY_SIZE || key.data[0] != c->state
        || *c->count == NGX_HTTP_DOI_METRICS_ROWS)
    {
        return DOI_NOT_FOUND;
    }

    (*c->count)++;

    return DOI_OK;
}
