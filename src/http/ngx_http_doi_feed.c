/*
 * doi_feed: the appointments of a scope as an iCalendar object, for calendars
 * that subscribe.
 *
 * It may be long, and making it is slow next to what an event loop has time
 * for: so it is made in parts, one in each turn of the loop, each from a
 * snapshot of its own.
 */

#include "ngx_http_doi_courier.h"


#define NGX_HTTP_DOI_FEED_PAST   2592000    /* seconds back: 30 days         */
#define NGX_HTTP_DOI_FEED_MAX    2000       /* appointments                  */
#define NGX_HTTP_DOI_FEED_PART   50         /* appointments in one turn      */
#define NGX_HTTP_DOI_FEED_LOOK   500        /* rows looked at in one turn    */


typedef struct {
    ngx_http_request_t        *request;
    ngx_http_doi_main_conf_t  *conf;
    ngx_event_t                event;
    doi_str_t                  scope;
    u_char                     from[DOI_AGENDA_KEY_SIZE];
    ngx_uint_t                 skip;    /* from itself was seen              */
    ngx_uint_t                 total;

    ngx_chain_t               *out;
    ngx_chain_t              **last;
    off_t                      len;

    /* of one turn */
    ngx_pool_t                *pool;
    doi_view_t                *view;
    doi_time_t                 now;
    ngx_uint_t                 looked;
    ngx_uint_t                 n;
    doi_ical_event_t           events[NGX_HTTP_DOI_FEED_PART];
    unsigned                   more:1;
} ngx_http_doi_feed_t;


static void ngx_http_doi_feed_event(ngx_event_t *ev);
static void ngx_http_doi_feed_cleanup(void *data);
static ngx_int_t ngx_http_doi_feed_turn(ngx_http_doi_feed_t *feed);
static doi_result_t ngx_http_doi_feed_read(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
static int ngx_http_doi_feed_row(void *data, doi_str_t key, doi_str_t value);
static ngx_int_t ngx_http_doi_feed_booking(ngx_http_doi_feed_t *feed,
    const doi_booking_t *booking);
static ngx_int_t ngx_http_doi_feed_part(ngx_http_doi_feed_t *feed);
static ngx_int_t ngx_http_doi_feed_append(ngx_http_doi_feed_t *feed,
    const char *text, size_t len);
static ngx_int_t ngx_http_doi_feed_send(ngx_http_doi_feed_t *feed);


ngx_int_t
ngx_http_doi_feed_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_str_t                 scope;
    doi_time_t                now;
    ngx_pool_cleanup_t       *cln;
    ngx_http_doi_feed_t      *feed;
    ngx_http_doi_loc_conf_t  *conf;

    static const u_char  first[DOI_ID_SIZE];

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    conf = ngx_http_get_module_loc_conf(r, ngx_http_doi_module);

    if (ngx_http_complex_value(r, conf->feed, &scope) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_doi_feed_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    feed = cln->data;
    ngx_memzero(feed, sizeof(ngx_http_doi_feed_t));

    cln->handler = ngx_http_doi_feed_cleanup;

    feed->request = r;
    feed->conf = ngx_http_get_module_main_conf(r, ngx_http_doi_module);
    feed->last = &feed->out;
    feed->scope.data = scope.data;
    feed->scope.len = scope.len;

    feed->event.handler = ngx_http_doi_feed_event;
    feed->event.data = feed;
    feed->event.log = r->connection->log;

    now = ngx_http_doi_now();

    doi_agenda_key(feed->scope, now > NGX_HTTP_DOI_FEED_PAST
                                ? now - NGX_HTTP_DOI_FEED_PAST : 0,
                   first, feed->from);

    rc = ngx_http_doi_feed_turn(feed);

    if (rc != NGX_AGAIN) {
        return rc;
    }

    r->main->count++;
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_post_event(&feed->event, &ngx_posted_next_events);

    return NGX_DONE;
}


static void
ngx_http_doi_feed_event(ngx_event_t *ev)
{
    ngx_int_t             rc;
    ngx_connection_t     *c;
    ngx_http_doi_feed_t  *feed;

    feed = ev->data;
    c = feed->request->connection;

    ngx_http_set_log_request(c->log, feed->request);

    rc = ngx_http_doi_feed_turn(feed);

    if (rc == NGX_AGAIN) {
        ngx_post_event(&feed->event, &ngx_posted_next_events);
        return;
    }

    ngx_http_finalize_request(feed->request, rc);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_doi_feed_cleanup(void *data)
{
    ngx_http_doi_feed_t *feed = data;

    if (feed->event.posted) {
        ngx_delete_posted_event(&feed->event);
    }
}


/* NGX_AGAIN: there is more; else the answer was sent, or could not be. */

static ngx_int_t
ngx_http_doi_feed_turn(ngx_http_doi_feed_t *feed)
{
    ngx_int_t      rc;
    doi_str_t      arg;
    doi_buf_t      out;
    doi_result_t   result;

    if (ngx_http_doi_process_store() == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    feed->pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE,
                                 feed->request->connection->log);
    if (feed->pool == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    arg.data = (u_char *) feed;
    arg.len = sizeof(ngx_http_doi_feed_t);
    ngx_memzero(&out, sizeof(doi_buf_t));

    feed->n = 0;
    feed->more = 0;

    result = doi_store_read(ngx_http_doi_process_store(),
                            ngx_http_doi_feed_read, arg, &out);

    rc = (result == DOI_WON) ? ngx_http_doi_feed_part(feed) : NGX_ERROR;

    ngx_destroy_pool(feed->pool);

    if (result != DOI_WON) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return feed->more ? NGX_AGAIN : ngx_http_doi_feed_send(feed);
}


static doi_result_t
ngx_http_doi_feed_read(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                   rc;
    doi_str_t             from;
    ngx_http_doi_feed_t  *feed;
    u_char                key[DOI_AGENDA_KEY_SIZE];

    feed = (ngx_http_doi_feed_t *) arg.data;

    feed->view = view;
    feed->now = now;
    feed->looked = 0;

    ngx_memcpy(key, feed->from, DOI_AGENDA_KEY_SIZE);

    from.data = key;
    from.len = DOI_AGENDA_KEY_SIZE;

    rc = view->scan(view, DOI_TABLE_AGENDA, from, ngx_http_doi_feed_row, feed);

    return (rc == DOI_OK || rc == DOI_NOT_FOUND) ? DOI_WON : DOI_RETRY;
}


static int
ngx_http_doi_feed_row(void *data, doi_str_t key, doi_str_t value)
{
    ngx_http_doi_feed_t *feed = data;

    doi_booking_t  booking;

    if (key.len != DOI_AGENDA_KEY_SIZE
        || ngx_memcmp(key.data, feed->from, 8) != 0
        || feed->total == NGX_HTTP_DOI_FEED_MAX)
    {
        return DOI_NOT_FOUND;
    }

    if (feed->skip
        && ngx_memcmp(key.data, feed->from, DOI_AGENDA_KEY_SIZE) == 0)
    {
        return DOI_OK;
    }

    if (feed->n == NGX_HTTP_DOI_FEED_PART
        || feed->looked == NGX_HTTP_DOI_FEED_LOOK)
    {
        feed->more = 1;
        return DOI_NOT_FOUND;
    }

    feed->looked++;
    feed->skip = 1;
    ngx_memcpy(feed->from, key.data, DOI_AGENDA_KEY_SIZE);

    if (doi_booking_get(feed->view, key.data + 12, &booking) != DOI_OK) {
        return DOI_OK;
    }

    return ngx_http_doi_feed_booking(feed, &booking) == NGX_OK ? DOI_OK
                                                               : DOI_ERROR;
}


static ngx_int_t
ngx_http_doi_feed_booking(ngx_http_doi_feed_t *feed,
    const doi_booking_t *booking)
{
    u_char             *p;
    ngx_uint_t          i;
    doi_booking_t       copy;
    doi_ical_status_t   status;

    switch (doi_booking_state(booking, feed->now)) {

    case DOI_BOOKING_HELD:
    case DOI_BOOKING_CLAIMED:
    case DOI_BOOKING_IN_DOUBT:
        status = DOI_ICAL_TENTATIVE;
        break;

    case DOI_BOOKING_CONFIRMED:
        status = DOI_ICAL_CONFIRMED;
        break;

    default:
        return NGX_OK;
    }

    /* the hash of the scope is short */

    if (booking->text[DOI_TEXT_SCOPE].len != feed->scope.len
        || (feed->scope.len
            && ngx_memcmp(booking->text[DOI_TEXT_SCOPE].data,
                          feed->scope.data, feed->scope.len)
               != 0))
    {
        return NGX_OK;
    }

    copy = *booking;

    for (i = 0; i < DOI_TEXTS; i++) {

        if (booking->text[i].len == 0 || i == DOI_TEXT_URL) {
            copy.text[i].len = 0;
            continue;
        }

        p = ngx_pnalloc(feed->pool, booking->text[i].len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(p, booking->text[i].data, booking->text[i].len);
        copy.text[i].data = p;
    }

    switch (ngx_http_doi_ical_event(feed->pool, feed->conf, &copy, status,
                                    NGX_HTTP_DOI_FOR_CALENDAR,
                                    &feed->events[feed->n]))
    {
    case NGX_OK:
        feed->n++;
        feed->total++;
        return NGX_OK;

    case NGX_DECLINED:
        return NGX_OK;

    default:
        return NGX_ERROR;
    }
}


/*
 * Each part is made as an object of its own, of which the first keeps its head,
 * and the last its end.
 */

static ngx_int_t
ngx_http_doi_feed_part(ngx_http_doi_feed_t *feed)
{
    char       *text, *begin, *end;
    size_t      len;
    doi_str_t   none = { NULL, 0 };
    ngx_int_t   rc;

    static const char  head[] = "BEGIN:VEVENT\r\n";
    static const char  foot[] = "END:VCALENDAR\r\n";

    text = doi_ical(feed->events, feed->n, NULL, none, &len);
    if (text == NULL) {
        return NGX_ERROR;
    }

    begin = text;
    end = text + len - (sizeof(foot) - 1);

    if (end < text || ngx_strncmp(end, foot, sizeof(foot) - 1) != 0) {
        free(text);
        return NGX_ERROR;
    }

    if (feed->out) {
        begin = strstr(text, head);

        if (begin == NULL) {
            begin = end;
        }
    }

    rc = ngx_http_doi_feed_append(feed, begin, end - begin);

    if (rc == NGX_OK && !feed->more) {
        rc = ngx_http_doi_feed_append(feed, foot, sizeof(foot) - 1);
    }

    free(text);

    return rc;
}


static ngx_int_t
ngx_http_doi_feed_append(ngx_http_doi_feed_t *feed, const char *text,
    size_t len)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (len == 0) {
        return NGX_OK;
    }

    b = ngx_create_temp_buf(feed->request->pool, len);
    cl = ngx_alloc_chain_link(feed->request->pool);

    if (b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    b->last = ngx_cpymem(b->pos, text, len);

    cl->buf = b;
    cl->next = NULL;

    *feed->last = cl;
    feed->last = &cl->next;
    feed->len += len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_feed_send(ngx_http_doi_feed_t *feed)
{
    ngx_int_t            rc;
    ngx_chain_t         *cl;
    ngx_http_request_t  *r;

    r = feed->request;

    for (cl = feed->out; cl->next; cl = cl->next) { /* void */ }

    cl->buf->last_buf = (r == r->main);
    cl->buf->last_in_chain = 1;

    ngx_str_set(&r->headers_out.content_type, "text/calendar; charset=utf-8");
    r->headers_out.content_type_len = sizeof("text/calendar") - 1;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = feed->len;

    if (ngx_http_doi_header_str(r, "Cache-Control", "private, max-age=300")
           != NGX_OK
        || ngx_http_doi_header_str(r, "X-Content-Type-Options", "nosniff")
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, feed->out);
}
