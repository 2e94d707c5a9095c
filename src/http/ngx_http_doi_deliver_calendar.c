/*
 * CalDAV (RFC 4791): the object of a booking is brought to what the booking is
 * now, whatever the event was that asked for it.  First it is fetched, for its
 * ETag; then it is put or deleted on the condition that it is still the same.
 */

#include "ngx_http_doi_courier.h"


#define NGX_HTTP_DOI_CALENDAR_TIMEOUT  30   /* seconds */


static ngx_http_doi_caldav_t *ngx_http_doi_calendar_find(
    ngx_http_doi_delivery_t *d);
static char *ngx_http_doi_calendar_url(ngx_http_doi_delivery_t *d,
    ngx_http_doi_caldav_t *caldav);
static ngx_int_t ngx_http_doi_calendar_status(ngx_http_doi_delivery_t *d,
    doi_ical_status_t *status);
static ngx_int_t ngx_http_doi_calendar_condition(ngx_http_doi_delivery_t *d,
    const char **header);
static ngx_int_t ngx_http_doi_calendar_object(ngx_http_doi_delivery_t *d,
    doi_ical_status_t status, doi_str_t *body);


ngx_int_t
ngx_http_doi_deliver_calendar(ngx_http_doi_delivery_t *d, doi_job_t *job)
{
    doi_ical_status_t       status;
    ngx_http_doi_caldav_t  *caldav;

    if (d->booking.start == 0) {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "doi: delivery %*s: the start of the appointment is not "
                      "known, the calendar is not told",
                      (size_t) DOI_ID_CHARS, d->id);
        return NGX_DONE;
    }

    caldav = ngx_http_doi_calendar_find(d);

    if (caldav == NULL) {
        d->why = "the configuration has no \"doi_caldav\" with the URL of this "
                 "calendar any more";
        return NGX_DECLINED;
    }

    job->kind = DOI_JOB_HTTP;
    job->url = ngx_http_doi_calendar_url(d, caldav);
    job->user = (char *) caldav->user.data;
    job->password = (char *) caldav->password.data;
    job->ca_file = (char *) caldav->ca_file.data;
    job->timeout = NGX_HTTP_DOI_CALENDAR_TIMEOUT;
    job->private_ok = 1;

    if (job->url == NULL) {
        return NGX_ERROR;
    }

    if (!d->putting) {
        job->method = "GET";
        job->headers[0] = "Accept: text/calendar";
        return NGX_OK;
    }

    if (ngx_http_doi_calendar_condition(d, &job->headers[0]) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_doi_calendar_status(d, &status) == NGX_OK) {
        job->method = "PUT";
        job->headers[job->headers[0] ? 1 : 0] =
                                  "Content-Type: text/calendar; charset=utf-8";

        return ngx_http_doi_calendar_object(d, status, &job->body);
    }

    if (!d->exists) {
        return NGX_DONE;
    }

    job->method = "DELETE";
    d->deleting = 1;

    return NGX_OK;
}


ngx_int_t
ngx_http_doi_deliver_calendar_result(ngx_http_doi_delivery_t *d,
    doi_job_result_t *result)
{
    switch (result->code) {

    case 401:
    case 403:
        result->outcome = DOI_JOB_TEMPORARY;
        result->text = "the calendar refuses the user or the password of "
                       "\"doi_caldav\", or the access";
        return NGX_OK;

    case 404:
    case 410:
        if (!d->putting) {
            d->putting = 1;
            d->exists = 0;
            return NGX_AGAIN;
        }

        if (d->deleting) {
            result->outcome = DOI_JOB_DONE;
            return NGX_OK;
        }

        /* fall through */

    case 409:
        result->outcome = DOI_JOB_TEMPORARY;
        result->text = "the object is gone meanwhile, or the calendar of "
                       "\"doi_caldav\" is not there";
        return NGX_OK;

    case 412:
        result->outcome = DOI_JOB_TEMPORARY;
        result->text = "somebody else has changed the object meanwhile";
        return NGX_OK;
    }

    if (result->outcome != DOI_JOB_DONE || d->putting) {
        return NGX_OK;
    }

    d->etag.len = ngx_strlen(result->etag);
    d->etag.data = (u_char *) ngx_http_doi_deliver_string(d,
                                                 (u_char *) result->etag,
                                                 d->etag.len);
    if (d->etag.data == NULL) {
        result->outcome = DOI_JOB_TEMPORARY;
        return NGX_OK;
    }

    d->putting = 1;
    d->exists = 1;

    return NGX_AGAIN;
}


static ngx_http_doi_caldav_t *
ngx_http_doi_calendar_find(ngx_http_doi_delivery_t *d)
{
    doi_str_t                url;
    ngx_uint_t               i;
    ngx_http_doi_caldav_t  **caldav;

    url = d->booking.text[DOI_TEXT_CALENDAR];

    if (d->conf->caldavs == NULL || url.len == 0) {
        return NULL;
    }

    caldav = d->conf->caldavs->elts;

    for (i = 0; i < d->conf->caldavs->nelts; i++) {
        if (caldav[i]->url.len == url.len
            && ngx_strncmp(caldav[i]->url.data, url.data, url.len) == 0)
        {
            return caldav[i];
        }
    }

    return NULL;
}


static char *
ngx_http_doi_calendar_url(ngx_http_doi_delivery_t *d,
    ngx_http_doi_caldav_t *caldav)
{
    u_char  *p, *url;

    url = ngx_pnalloc(d->pool, caldav->url.len + DOI_ID_CHARS
                               + sizeof(".ics"));
    if (url == NULL) {
        return NULL;
    }

    p = ngx_cpymem(url, caldav->url.data, caldav->url.len);
    doi_id_encode(d->booking.id, p);
    ngx_memcpy(p + DOI_ID_CHARS, ".ics", sizeof(".ics"));

    return (char *) url;
}


/* NGX_DECLINED: there is to be no object. */

static ngx_int_t
ngx_http_doi_calendar_status(ngx_http_doi_delivery_t *d,
    doi_ical_status_t *status)
{
    switch (doi_booking_state(&d->booking, d->now)) {

    case DOI_BOOKING_HELD:
    case DOI_BOOKING_CLAIMED:
    case DOI_BOOKING_IN_DOUBT:
        *status = DOI_ICAL_TENTATIVE;
        return NGX_OK;

    case DOI_BOOKING_CONFIRMED:
        *status = DOI_ICAL_CONFIRMED;
        return NGX_OK;

    default:
        return NGX_DECLINED;
    }
}


/*
 * *header stays NULL where the server has given no strong ETag: If-Match never
 * holds for others (RFC 9110, 13.1.1).
 */

static ngx_int_t
ngx_http_doi_calendar_condition(ngx_http_doi_delivery_t *d,
    const char **header)
{
    u_char  *p;

    *header = NULL;

    if (!d->exists) {
        *header = "If-None-Match: *";
        return NGX_OK;
    }

    if (d->etag.len == 0 || d->etag.data[0] != '"') {
        return NGX_OK;
    }

    p = ngx_pnalloc(d->pool, sizeof("If-Match: ") + d->etag.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    *ngx_sprintf(p, "If-Match: %V", &d->etag) = '\0';
    *header = (char *) p;

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_calendar_object(ngx_http_doi_delivery_t *d,
    doi_ical_status_t status, doi_str_t *body)
{
    char              *ical;
    size_t             len;
    doi_str_t          none = { NULL, 0 };
    doi_ical_event_t   event;

    if (ngx_http_doi_ical_event(d->pool, d->conf, &d->booking, status,
                                NGX_HTTP_DOI_FOR_CALENDAR, &event)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ical = doi_ical(&event, 1, NULL, none, &len);
    if (ical == NULL) {
        return NGX_ERROR;
    }

    body->data = (uint8_t *) ngx_http_doi_deliver_string(d, (u_char *) ical,
                                                         len);
    body->len = len;

    free(ical);

    return body->data ? NGX_OK : NGX_ERROR;
}
