/*
 * One row of the outbox, from the look at the booking to the update that says
 * what became of it.
 */

#include "ngx_http_doi_courier.h"


#define NGX_HTTP_DOI_GIVE_UP     259200 /* seconds since the event: 3 days   */
#define NGX_HTTP_DOI_TRIES_MIN   4      /* ... but not before so many tries  */
#define NGX_HTTP_DOI_UPDATE_WAIT 250    /* ms, doubled each time ...         */
#define NGX_HTTP_DOI_UPDATE_MAX  7      /* ... to 32 s                       */
#define NGX_HTTP_DOI_UPDATE_LAST 4      /* tries while shutting down         */


static void ngx_http_doi_deliver_events(ngx_http_doi_delivery_t *d);
static void ngx_http_doi_deliver_fanout_done(void *data, doi_result_t result,
    doi_str_t answer);

static void ngx_http_doi_deliver_try(ngx_http_doi_delivery_t *d);
static void ngx_http_doi_deliver_result(void *data,
    const doi_job_result_t *result);
static void ngx_http_doi_deliver_failed(ngx_http_doi_delivery_t *d,
    ngx_uint_t permanent, unsigned retry_after, const char *text);
static void ngx_http_doi_deliver_log(ngx_http_doi_delivery_t *d,
    ngx_uint_t level, const char *what, const char *text);

static void ngx_http_doi_deliver_update(ngx_http_doi_delivery_t *d,
    ngx_uint_t action, doi_time_t due, const char *text);
static void ngx_http_doi_deliver_submit(ngx_event_t *ev);
static void ngx_http_doi_deliver_updated(void *data, doi_result_t result,
    doi_str_t answer);

static doi_result_t ngx_http_doi_deliver_read(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
static ngx_int_t ngx_http_doi_deliver_copy(ngx_http_doi_delivery_t *d,
    const doi_booking_t *booking);
static void ngx_http_doi_deliver_free(void *data);

#define ngx_http_doi_deliver_index(d)  ((d)->row.kind - DOI_DELIVER_CONFIRM)


ngx_http_doi_channel_e
ngx_http_doi_deliver_channel(ngx_uint_t kind)
{
    if (kind < DOI_DELIVER_CONFIRM) {
        return NGX_HTTP_DOI_EVENTS;
    }

    switch (kind) {

    case DOI_DELIVER_CALENDAR:
        return NGX_HTTP_DOI_CALENDARS;

    case DOI_DELIVER_WEBHOOK:
        return NGX_HTTP_DOI_WEBHOOKS;

    case DOI_DELIVER_MESSAGE:
        return NGX_HTTP_DOI_MESSAGES;

    case DOI_DELIVER_SYNC:
        return NGX_HTTP_DOI_SYNCS;

    default:
        return NGX_HTTP_DOI_MAILS;
    }
}


void
ngx_http_doi_deliver(ngx_http_doi_delivery_t *d)
{
    if (d->channel == NGX_HTTP_DOI_EVENTS) {
        ngx_http_doi_deliver_events(d);

    } else {
        ngx_http_doi_deliver_try(d);
    }
}


static void
ngx_http_doi_deliver_events(ngx_http_doi_delivery_t *d)
{
    u_char            *p;
    doi_fanout_arg_t   head;
    u_char             arg[sizeof(doi_fanout_arg_t)
                           + DOI_FANOUT_MAX * sizeof(doi_fanout_t)];

    if (ngx_http_doi_deliver_load(d) != NGX_OK) {
        ngx_http_doi_courier_end(d, 0);
        return;
    }

    ngx_http_doi_deliver_fanout(d);

    ngx_memzero(&head, sizeof(doi_fanout_arg_t));
    ngx_memcpy(head.id, d->row.id, DOI_ID_SIZE);
    head.n = (uint16_t) d->nfanout;

    p = ngx_cpymem(arg, &head, sizeof(doi_fanout_arg_t));
    p = ngx_cpymem(p, d->fanout, d->nfanout * sizeof(doi_fanout_t));

    if (ngx_http_doi_submit(DOI_OP_OUTBOX_FANOUT, arg, p - arg,
                            ngx_http_doi_deliver_fanout_done, d)
        != NGX_OK)
    {
        ngx_http_doi_courier_end(d, 0);
    }
}


/* What was not done is found again by the next look at the queue. */

static void
ngx_http_doi_deliver_fanout_done(void *data, doi_result_t result,
    doi_str_t answer)
{
    ngx_http_doi_delivery_t *d = data;

    ngx_uint_t             i;
    ngx_http_doi_stats_t  *stats;

    if (result == DOI_WON) {

        stats = d->conf->stats;

        if (d->row.kind < DOI_EVENTS) {
            ngx_http_doi_count(&stats->events[d->row.kind]);
        }

        if (d->row.kind == DOI_EVENT_RELEASED
            && d->row.booking_state < DOI_BOOKING_STATES)
        {
            ngx_http_doi_count(&stats->released_by[d->row.booking_state]);
        }

        for (i = 0; i < d->nfanout; i++) {
            ngx_http_doi_count(&stats->queued[d->fanout[i].kind
                                              - DOI_DELIVER_CONFIRM]);
        }

        for (i = 0; i < d->dropped; i++) {
            ngx_http_doi_count(&stats->suppressed);
        }
    }

    ngx_http_doi_courier_end(d, result == DOI_WON);
}


static void
ngx_http_doi_deliver_try(ngx_http_doi_delivery_t *d)
{
    ngx_int_t       rc;
    doi_job_t       job;
    doi_courier_t  *courier;

    if (ngx_http_doi_deliver_load(d) != NGX_OK) {
        ngx_http_doi_courier_end(d, 0);
        return;
    }

    if (!d->found && d->channel != NGX_HTTP_DOI_MESSAGES
        && d->channel != NGX_HTTP_DOI_SYNCS)
    {
        ngx_http_doi_deliver_failed(d, 1, 0, "its booking is gone");
        return;
    }

    ngx_memzero(&job, sizeof(doi_job_t));
    d->why = "no memory";

    switch (d->channel) {

    case NGX_HTTP_DOI_CALENDARS:
        rc = ngx_http_doi_deliver_calendar(d, &job);
        break;

    case NGX_HTTP_DOI_WEBHOOKS:
        rc = ngx_http_doi_deliver_webhook(d, &job);
        break;

    case NGX_HTTP_DOI_MESSAGES:
        rc = ngx_http_doi_deliver_message(d, &job);
        break;

    case NGX_HTTP_DOI_SYNCS:
        rc = ngx_http_doi_deliver_sync(d, &job);
        break;

    default:
        rc = ngx_http_doi_deliver_mail(d, &job);
    }

    switch (rc) {

    case NGX_OK:
        break;

    case NGX_DONE:
        ngx_http_doi_deliver_update(d, DOI_OUTBOX_DONE, 0, NULL);
        return;

    case NGX_DECLINED:
        ngx_http_doi_deliver_failed(d, 1, 0, d->why);
        return;

    default: /* NGX_ERROR */
        ngx_http_doi_deliver_failed(d, 0, 0, d->why);
        return;
    }

    courier = ngx_http_doi_courier_get();

    if (courier == NULL || doi_courier_pending(courier) >= DOI_COURIER_JOBS) {
        ngx_http_doi_courier_end(d, 0);
        return;
    }

    if (doi_courier_submit(courier, &job, ngx_http_doi_deliver_result, d)
        != DOI_OK)
    {
        ngx_http_doi_deliver_failed(d, 0, 0, "not taken by the courier: no "
                                    "memory, or a line end in an address");
    }
}


static void
ngx_http_doi_deliver_result(void *data, const doi_job_result_t *result)
{
    ngx_http_doi_delivery_t *d = data;

    char              text[DOI_ERROR_TEXT + 1];
    doi_job_result_t  last;

    last = *result;

    if (last.outcome != DOI_JOB_ABORTED
        && ((d->channel == NGX_HTTP_DOI_CALENDARS
             && ngx_http_doi_deliver_calendar_result(d, &last) == NGX_AGAIN)
            || (d->channel == NGX_HTTP_DOI_SYNCS
                && ngx_http_doi_deliver_sync_result(d, &last, text,
                                                    sizeof(text))
                   == NGX_AGAIN)))
    {
        if (!ngx_http_doi_courier_ending()) {
            ngx_http_doi_deliver_try(d);
            return;
        }

        last.outcome = DOI_JOB_ABORTED;
    }

    if (d->channel == NGX_HTTP_DOI_MESSAGES
        && ngx_http_doi_deliver_message_result(d, &last) == NGX_AGAIN)
    {
        return;
    }

    ngx_http_doi_deliver_judge(d, &last);
}


void
ngx_http_doi_deliver_judge(ngx_http_doi_delivery_t *d,
    const doi_job_result_t *result)
{
    switch (result->outcome) {

    case DOI_JOB_DONE:
        ngx_http_doi_count(&d->conf->stats->sent[
                               ngx_http_doi_deliver_index(d)]);
        ngx_http_doi_deliver_log(d, NGX_LOG_INFO, "delivered", result->text);
        ngx_http_doi_deliver_update(d, DOI_OUTBOX_DONE, 0, NULL);
        return;

    case DOI_JOB_ABORTED:

        /* whoever delivers next does it again, under the same id */

        ngx_http_doi_courier_end(d, 0);
        return;

    case DOI_JOB_PERMANENT:
        ngx_http_doi_deliver_failed(d, 1, 0, result->text);
        return;

    default: /* DOI_JOB_TEMPORARY */
        ngx_http_doi_deliver_failed(d, 0, result->retry_after, result->text);
    }
}


static void
ngx_http_doi_deliver_failed(ngx_http_doi_delivery_t *d, ngx_uint_t permanent,
    unsigned retry_after, const char *text)
{
    uint32_t               spread;
    unsigned               wait;
    doi_time_t             now;
    ngx_uint_t             index;
    ngx_http_doi_stats_t  *stats;

    stats = d->conf->stats;
    index = ngx_http_doi_deliver_index(d);
    now = ngx_http_doi_now();

    ngx_http_doi_count(&stats->failed[index]);

    if (!permanent && now > d->row.created
        && now - d->row.created > NGX_HTTP_DOI_GIVE_UP
        && d->row.attempts + 1 >= NGX_HTTP_DOI_TRIES_MIN)
    {
        permanent = 1;
    }

    if (permanent) {
        ngx_http_doi_count(&stats->dead[index]);
        ngx_http_doi_deliver_log(d, NGX_LOG_WARN, "given up", text);
        ngx_http_doi_deliver_update(d, DOI_OUTBOX_BURY, 0, text);
        return;
    }

    if (ngx_http_doi_random((u_char *) &spread, sizeof(spread)) != NGX_OK) {
        spread = (uint32_t) ngx_random();
    }

    wait = doi_backoff(d->row.attempts + 1, spread);
    wait = ngx_max(wait, ngx_min(retry_after, NGX_HTTP_DOI_WAIT_MAX));

    ngx_http_doi_deliver_log(d, NGX_LOG_WARN, "to be tried again", text);
    ngx_http_doi_deliver_update(d, DOI_OUTBOX_DEFER, now + wait, text);
}


/* Whole addresses stay out of logs. */

static void
ngx_http_doi_deliver_log(ngx_http_doi_delivery_t *d, ngx_uint_t level,
    const char *what, const char *text)
{
    size_t      n;
    u_char      masked[16], booking[DOI_ID_CHARS];
    ngx_uint_t  owner;

    n = 0;

    if (d->channel == NGX_HTTP_DOI_MAILS && d->found) {

        owner = (d->row.kind == DOI_DELIVER_OWNER
                 || d->row.kind == DOI_DELIVER_OWNER_CANCELLED
                 || d->row.kind == DOI_DELIVER_OWNER_DOUBT);

        n = doi_email_mask(d->booking.text[owner ? DOI_TEXT_OWNER_EMAIL
                                                 : DOI_TEXT_EMAIL], masked);
    }

    doi_id_encode(d->row.booking, booking);

    ngx_log_error(level, ngx_cycle->log, 0,
                  "doi: delivery %*s (%s%s%*s) of %s %*s %s%s%s",
                  (size_t) DOI_ID_CHARS, d->id,
                  doi_outbox_kind_name(d->row.kind), n ? " to " : "",
                  n, masked, d->row.event == DOI_EVENT_CONSENT ? "contact"
                                                               : "booking",
                  (size_t) DOI_ID_CHARS, booking, what,
                  (text && *text) ? ": " : "", text ? text : "");
}


static void
ngx_http_doi_deliver_update(ngx_http_doi_delivery_t *d, ngx_uint_t action,
    doi_time_t due, const char *text)
{
    size_t  i;

    ngx_memcpy(d->update.head.id, d->row.id, DOI_ID_SIZE);
    d->update.head.action = (uint16_t) action;
    d->update.head.due = due;

    for (i = 0; text && text[i] && i < DOI_ERROR_TEXT; i++) {
        d->update.error[i] = (text[i] >= 0x20 && text[i] < 0x7f)
                             ? (u_char) text[i] : '?';
    }

    d->update.head.error_len = (uint16_t) i;

    d->dummy.fd = (ngx_socket_t) -1;
    d->event.data = &d->dummy;
    d->event.handler = ngx_http_doi_deliver_submit;
    d->event.log = ngx_cycle->log;

    ngx_http_doi_deliver_submit(&d->event);
}


static void
ngx_http_doi_deliver_submit(ngx_event_t *ev)
{
    doi_str_t                 none = { NULL, 0 };
    ngx_http_doi_delivery_t  *d;

    d = (ngx_http_doi_delivery_t *) ((u_char *) ev
                                     - offsetof(ngx_http_doi_delivery_t,
                                                event));

    if (ngx_http_doi_submit(DOI_OP_OUTBOX_UPDATE, &d->update,
                            sizeof(doi_outbox_arg_t)
                            + d->update.head.error_len,
                            ngx_http_doi_deliver_updated, d)
        != NGX_OK)
    {
        ngx_http_doi_deliver_updated(d, DOI_RETRY, none);
    }
}


/*
 * The row stays under way until the store has taken what became of it: nothing
 * is sent twice because the store was busy.
 */

static void
ngx_http_doi_deliver_updated(void *data, doi_result_t result,
    doi_str_t answer)
{
    ngx_http_doi_delivery_t *d = data;

    if (result == DOI_WON || result == DOI_CONFLICT) {
        ngx_http_doi_courier_end(d, 1);
        return;
    }

    if (!ngx_http_doi_exiting()
        && (!ngx_http_doi_courier_ending()
            || d->tries < NGX_HTTP_DOI_UPDATE_LAST))
    {
        ngx_add_timer(&d->event, NGX_HTTP_DOI_UPDATE_WAIT
                                 << ngx_min(d->tries,
                                            NGX_HTTP_DOI_UPDATE_MAX));
        d->tries++;
        return;
    }

    ngx_http_doi_deliver_log(d, NGX_LOG_ERR, "is not noted, the store did not "
                             "take it: it may be done once more", NULL);
    ngx_http_doi_courier_end(d, 0);
}


ngx_int_t
ngx_http_doi_deliver_load(ngx_http_doi_delivery_t *d)
{
    doi_str_t  arg;
    doi_buf_t  out;

    arg.data = (u_char *) d;
    arg.len = sizeof(ngx_http_doi_delivery_t);
    ngx_memzero(&out, sizeof(doi_buf_t));

    return doi_store_read(ngx_http_doi_process_store(),
                          ngx_http_doi_deliver_read, arg, &out)
           == DOI_WON
           ? NGX_OK : NGX_ERROR;
}


static doi_result_t
ngx_http_doi_deliver_read(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                       rc;
    doi_booking_t             booking;
    ngx_http_doi_delivery_t  *d;

    d = (ngx_http_doi_delivery_t *) arg.data;

    d->now = now;
    d->found = 0;
    d->suppressed = 0;

    rc = doi_booking_get(view, d->row.booking, &booking);

    if (rc == DOI_NOT_FOUND) {
        return DOI_WON;
    }

    if (rc != DOI_OK) {
        return DOI_RETRY;
    }

    rc = doi_suppressed(view, booking.text[DOI_TEXT_EMAIL]);

    if ((rc != DOI_OK && rc != DOI_NOT_FOUND)
        || ngx_http_doi_deliver_copy(d, &booking) != NGX_OK)
    {
        return DOI_RETRY;
    }

    d->suppressed = (rc == DOI_OK);
    d->found = 1;

    return DOI_WON;
}


static ngx_int_t
ngx_http_doi_deliver_copy(ngx_http_doi_delivery_t *d,
    const doi_booking_t *booking)
{
    size_t       len;
    u_char      *p;
    ngx_uint_t   i;

    len = 1;

    for (i = 0; i < DOI_TEXTS; i++) {
        len += booking->text[i].len;
    }

    p = ngx_pnalloc(d->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    d->booking = *booking;

    for (i = 0; i < DOI_TEXTS; i++) {
        d->booking.text[i].data = p;

        if (booking->text[i].len) {
            p = ngx_cpymem(p, booking->text[i].data, booking->text[i].len);
        }
    }

    return NGX_OK;
}


char *
ngx_http_doi_deliver_string(ngx_http_doi_delivery_t *d, const u_char *data,
    size_t len)
{
    char  *p;

    p = ngx_pnalloc(d->pool, len + 1);

    if (p) {
        if (len) {
            ngx_memcpy(p, data, len);
        }

        p[len] = '\0';
    }

    return p;
}


ngx_int_t
ngx_http_doi_deliver_text(ngx_http_doi_delivery_t *d, doi_str_t *text)
{
    char  *p;

    p = ngx_http_doi_deliver_string(d, text->data, text->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = (uint8_t *) p;

    return NGX_OK;
}


doi_http_request_t *
ngx_http_doi_deliver_request(ngx_http_doi_delivery_t *d)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(d->pool, sizeof(doi_http_request_t));
    if (cln == NULL) {
        return NULL;
    }

    ngx_memzero(cln->data, sizeof(doi_http_request_t));
    cln->handler = ngx_http_doi_deliver_free;

    return cln->data;
}


static void
ngx_http_doi_deliver_free(void *data)
{
    doi_http_request_free(data);
}


void
ngx_http_doi_deliver_http(doi_job_t *job, const doi_http_request_t *request)
{
    ngx_uint_t  i;

    job->kind = DOI_JOB_HTTP;
    job->method = request->method;
    job->url = request->url;
    job->user = request->user;
    job->password = request->password;
    job->body.data = (uint8_t *) request->body;
    job->body.len = request->len;

    for (i = 0;
         i < sizeof(request->headers) / sizeof(request->headers[0])
         && request->headers[i];
         i++)
    {
        job->headers[i] = request->headers[i];
    }
}
