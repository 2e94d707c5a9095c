/*
 * A booking as an iCalendar event, for mails, CalDAV and feeds.
 */

#include "ngx_http_doi_courier.h"


#define NGX_HTTP_DOI_DURATION  3600     /* seconds, if it is not known */


static ngx_int_t ngx_http_doi_ical_uid(ngx_pool_t *pool,
    ngx_http_doi_main_conf_t *mcf, const doi_booking_t *booking,
    doi_str_t *uid);
static ngx_int_t ngx_http_doi_ical_summary(ngx_pool_t *pool,
    const doi_booking_t *booking, ngx_http_doi_reader_e reader,
    doi_str_t *summary);


ngx_int_t
ngx_http_doi_ical_event(ngx_pool_t *pool, ngx_http_doi_main_conf_t *mcf,
    const doi_booking_t *booking, doi_ical_status_t status,
    ngx_http_doi_reader_e reader, doi_ical_event_t *event)
{
    const doi_str_t  *text;

    if (booking->start == 0) {
        return NGX_DECLINED;
    }

    text = booking->text;

    ngx_memzero(event, sizeof(doi_ical_event_t));

    event->start = booking->start;
    event->duration = booking->duration ? booking->duration
                                        : NGX_HTTP_DOI_DURATION;
    event->created = booking->created;
    event->stamp = booking->changed;
    event->sequence = booking->sequence;
    event->status = status;

    if (text[DOI_TEXT_OWNER_EMAIL].len) {
        event->organizer = text[DOI_TEXT_OWNER_EMAIL];
        event->organizer_name = text[DOI_TEXT_OWNER_NAME];

    } else if (mcf->mail) {
        event->organizer.data = mcf->mail->from.data;
        event->organizer.len = mcf->mail->from.len;
        event->organizer_name.data = mcf->mail->from_name.data;
        event->organizer_name.len = mcf->mail->from_name.len;
    }

    if (reader == NGX_HTTP_DOI_FOR_OWNER) {

        /* RFC 5546, 3.2.1: what is published has no attendees */
        event->description = text[DOI_TEXT_EMAIL];

    } else {
        event->attendee = text[DOI_TEXT_EMAIL];
        event->attendee_name = text[DOI_TEXT_NAME];
    }

    if (ngx_http_doi_ical_uid(pool, mcf, booking, &event->uid) != NGX_OK
        || ngx_http_doi_ical_summary(pool, booking, reader, &event->summary)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_ical_uid(ngx_pool_t *pool, ngx_http_doi_main_conf_t *mcf,
    const doi_booking_t *booking, doi_str_t *uid)
{
    u_char     *p, *at;
    ngx_str_t   domain = ngx_string("doi");

    if (mcf->mail && mcf->mail->from.len) {

        at = ngx_strlchr(mcf->mail->from.data,
                         mcf->mail->from.data + mcf->mail->from.len, '@');

        if (at) {
            domain.data = at + 1;
            domain.len = mcf->mail->from.data + mcf->mail->from.len
                         - domain.data;
        }
    }

    p = ngx_pnalloc(pool, DOI_ID_CHARS + 1 + domain.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    uid->data = p;
    uid->len = DOI_ID_CHARS + 1 + domain.len;

    doi_id_encode(booking->id, p);
    p += DOI_ID_CHARS;

    *p++ = '@';
    ngx_memcpy(p, domain.data, domain.len);

    return NGX_OK;
}


/* Visitors look for what and with whom, owners for whom. */

static ngx_int_t
ngx_http_doi_ical_summary(ngx_pool_t *pool, const doi_booking_t *booking,
    ngx_http_doi_reader_e reader, doi_str_t *summary)
{
    u_char     *p;
    doi_str_t   what, who;

    static const doi_str_t  appointment = doi_str("Appointment");

    what = booking->text[DOI_TEXT_SUMMARY];

    if (what.len == 0) {
        what = appointment;
    }

    if (reader == NGX_HTTP_DOI_FOR_VISITOR) {

        who.len = 0;

        if (booking->text[DOI_TEXT_SUMMARY].len == 0) {
            who = booking->text[DOI_TEXT_OWNER_NAME].len
                  ? booking->text[DOI_TEXT_OWNER_NAME]
                  : booking->text[DOI_TEXT_SLOT];
        }

    } else {
        who = booking->text[DOI_TEXT_NAME].len
              ? booking->text[DOI_TEXT_NAME] : booking->text[DOI_TEXT_EMAIL];
    }

    if (who.len == 0) {
        *summary = what;
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, what.len + 2 + who.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    summary->data = p;
    summary->len = what.len + 2 + who.len;

    p = ngx_cpymem(p, what.data, what.len);
    *p++ = ':';
    *p++ = ' ';
    ngx_memcpy(p, who.data, who.len);

    return NGX_OK;
}
