/*
 * Webhooks, with the headers and the signature of Standard Webhooks 1.0.
 */

#include "ngx_http_doi_courier.h"

#include <jansson.h>


#define NGX_HTTP_DOI_WEBHOOK_TIMEOUT  20    /* seconds, as the standard says */


static ngx_http_doi_webhook_t *ngx_http_doi_webhook_find(
    ngx_http_doi_delivery_t *d);
static json_t *ngx_http_doi_webhook_json(ngx_http_doi_delivery_t *d);
static json_t *ngx_http_doi_webhook_data(ngx_http_doi_delivery_t *d);
static json_t *ngx_http_doi_webhook_time(doi_time_t t);
static ngx_int_t ngx_http_doi_webhook_headers(ngx_http_doi_delivery_t *d,
    ngx_http_doi_webhook_t *hook, doi_job_t *job);


ngx_int_t
ngx_http_doi_deliver_webhook(ngx_http_doi_delivery_t *d, doi_job_t *job)
{
    size_t                   n;
    json_t                  *json;
    char                    *body;
    ngx_http_doi_webhook_t  *hook;

    hook = ngx_http_doi_webhook_find(d);

    if (hook == NULL) {
        d->why = "the configuration has no \"doi_webhook\" with this URL any "
                 "more";
        return NGX_DECLINED;
    }

    json = ngx_http_doi_webhook_json(d);

    if (json == NULL) {
        d->why = "the booking cannot be written as JSON";
        return NGX_DECLINED;
    }

    n = json_dumpb(json, NULL, 0, JSON_COMPACT);
    body = ngx_pnalloc(d->pool, n + 1);

    if (body) {
        n = json_dumpb(json, body, n, JSON_COMPACT);
    }

    json_decref(json);

    if (body == NULL || n == 0) {
        return NGX_ERROR;
    }

    job->kind = DOI_JOB_HTTP;
    job->method = "POST";
    job->url = (char *) hook->url.data;
    job->ca_file = (char *) hook->ca_file.data;
    job->timeout = NGX_HTTP_DOI_WEBHOOK_TIMEOUT;
    job->private_ok = hook->private_ok;
    job->body.data = (uint8_t *) body;
    job->body.len = n;

    return ngx_http_doi_webhook_headers(d, hook, job);
}


static ngx_http_doi_webhook_t *
ngx_http_doi_webhook_find(ngx_http_doi_delivery_t *d)
{
    ngx_uint_t               i;
    ngx_http_doi_webhook_t  *hook;

    if (d->conf->webhooks == NULL) {
        return NULL;
    }

    hook = d->conf->webhooks->elts;

    for (i = 0; i < d->conf->webhooks->nelts; i++) {
        if (ngx_memcmp(hook[i].target, d->row.target, DOI_TARGET_SIZE) == 0) {
            return &hook[i];
        }
    }

    return NULL;
}


static json_t *
ngx_http_doi_webhook_json(ngx_http_doi_delivery_t *d)
{
    const char  *event;

    event = doi_outbox_kind_name(d->row.event);

    if (event == NULL) {
        return NULL;
    }

    return json_pack("{s:s+, s:o, s:o}",
                     "type", "booking.", event,
                     "timestamp", ngx_http_doi_webhook_time(d->row.created),
                     "data", ngx_http_doi_webhook_data(d));
}


/* The state is that of the event; it may be another by now. */

static json_t *
ngx_http_doi_webhook_data(ngx_http_doi_delivery_t *d)
{
    json_t              *json;
    ngx_uint_t           i;
    u_char               id[DOI_ID_CHARS];
    const doi_str_t     *text;
    const doi_booking_t *booking;

    static const struct {
        const char          *name;
        doi_booking_text_t   text;
    } texts[] = {
        { "scope",  DOI_TEXT_SCOPE },
        { "slot",   DOI_TEXT_SLOT },
        { "email",  DOI_TEXT_EMAIL },
        { "name",   DOI_TEXT_NAME },
        { "zone",   DOI_TEXT_ZONE },
        { "lang",   DOI_TEXT_LANG },
        { "reason", DOI_TEXT_REASON }
    };

    booking = &d->booking;
    text = booking->text;

    doi_id_encode(booking->id, id);

    json = json_pack("{s:s%, s:s?, s:o, s:o, s:o, s:o}",
                     "id", (char *) id, (size_t) DOI_ID_CHARS,
                     "state", doi_booking_state_name(d->row.booking_state),
                     "start", ngx_http_doi_webhook_time(booking->start),
                     "duration", booking->duration
                                 ? json_integer(booking->duration)
                                 : json_null(),
                     "created", ngx_http_doi_webhook_time(booking->created),
                     "expires", ngx_http_doi_webhook_time(booking->expires));

    for (i = 0; json && i < sizeof(texts) / sizeof(texts[0]); i++) {

        if (json_object_set_new(json, texts[i].name,
                json_stringn((char *) text[texts[i].text].data,
                             text[texts[i].text].len))
            != 0)
        {
            json_decref(json);
            return NULL;
        }
    }

    return json;
}


/* RFC 3339; null if it is not known. */

static json_t *
ngx_http_doi_webhook_time(doi_time_t t)
{
    u_char    *p, text[sizeof("2026-11-24T09:00:00Z")];
    ngx_tm_t   tm;

    if (t == 0) {
        return json_null();
    }

    ngx_gmtime((time_t) t, &tm);

    p = ngx_sprintf(text, "%4d-%02d-%02dT%02d:%02d:%02dZ", tm.ngx_tm_year,
                    tm.ngx_tm_mon, tm.ngx_tm_mday, tm.ngx_tm_hour,
                    tm.ngx_tm_min, tm.ngx_tm_sec);

    return json_stringn((char *) text, p - text);
}


/* The id stays the same for all tries; the time is that of this one. */

static ngx_int_t
ngx_http_doi_webhook_headers(ngx_http_doi_delivery_t *d,
    ngx_http_doi_webhook_t *hook, doi_job_t *job)
{
    u_char      *id, *time, *sig;
    char         signature[DOI_WEBHOOK_SIGNATURE];
    doi_str_t    s;
    doi_time_t   now;

    now = (doi_time_t) ngx_time();

    s.data = d->id;
    s.len = DOI_ID_CHARS;

    if (doi_webhook_sign(hook->secret, hook->secret_len, s, now, job->body,
                         signature)
        != DOI_OK)
    {
        d->why = "it could not be signed";
        return NGX_ERROR;
    }

    id = ngx_pnalloc(d->pool, sizeof("webhook-id: ") + DOI_ID_CHARS);
    time = ngx_pnalloc(d->pool, sizeof("webhook-timestamp: ")
                                + NGX_INT_T_LEN);
    sig = ngx_pnalloc(d->pool, sizeof("webhook-signature: ")
                               + ngx_strlen(signature));

    if (id == NULL || time == NULL || sig == NULL) {
        return NGX_ERROR;
    }

    *ngx_sprintf(id, "webhook-id: %*s", (size_t) DOI_ID_CHARS, d->id) = '\0';
    *ngx_sprintf(time, "webhook-timestamp: %uD", now) = '\0';
    *ngx_sprintf(sig, "webhook-signature: %s", signature) = '\0';

    job->headers[0] = "Content-Type: application/json";
    job->headers[1] = (char *) id;
    job->headers[2] = (char *) time;
    job->headers[3] = (char *) sig;

    return NGX_OK;
}
