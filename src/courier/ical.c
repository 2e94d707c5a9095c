/*
 * iCalendar objects.  See ical.h.
 *
 * Why text is cleaned although libical escapes it: what it is given ends at
 * the first NUL, is not checked for UTF-8, and a double quote in a parameter
 * has no escape but that of RFC 6868, which it does not know.
 *
 * Why SCHEDULE-AGENT=CLIENT in an object without a method: a CalDAV server
 * that does scheduling (RFC 6638) would mail the attendee on its own as soon
 * as the object is stored, before anything was confirmed.  In iTIP messages
 * the parameter must not be.
 */

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <libical/ical.h>

#include "../core/escape.h"
#include "ical.h"


#define DOI_ICAL_PRODID  "-//ngx_http_doi_module//EN"
#define DOI_ICAL_LINE    75     /* octets, RFC 5545, 3.1 */


typedef enum {
    DOI_CLEAN_LINES = 0,            /* line ends stay                        */
    DOI_CLEAN_LINE,                 /* and here they become a blank          */
    DOI_CLEAN_PARAM                 /* as well; nothing that ends or escapes
                                       a quoted parameter                    */
} doi_clean_t;


static char *doi_ical_fold(const char *raw, size_t *len);
static int doi_ical_calendar(icalcomponent *calendar, const char *method,
    doi_str_t name);
static int doi_ical_calname(icalcomponent *calendar, const char *name);
static int doi_ical_event(icalcomponent *calendar,
    const doi_ical_event_t *event, const char *method);
static int doi_ical_times(icalcomponent *vevent, const doi_ical_event_t *event);
static int doi_ical_status(icalcomponent *vevent, doi_ical_status_t status);
static int doi_ical_texts(icalcomponent *vevent, const doi_ical_event_t *event);
static int doi_ical_people(icalcomponent *vevent,
    const doi_ical_event_t *event, const char *method);
static int doi_ical_attendee(icalproperty *attendee, doi_ical_status_t status);
static int doi_ical_person(icalproperty *person, doi_str_t name,
    const char *method);
static int doi_ical_text(icalcomponent *comp,
    icalproperty *(*create)(const char *), doi_str_t text, doi_clean_t how);
static int doi_ical_add(icalcomponent *comp, icalproperty *property);
static int doi_ical_param(icalproperty *property, icalparameter *param);
static struct icaltimetype doi_ical_time(int64_t t);
static int doi_is_address(doi_str_t address);
static int doi_is_uri(doi_str_t uri);
static char *doi_mailto(doi_str_t address);
static char *doi_clean(doi_str_t text, doi_clean_t how);
static size_t doi_clean_char(doi_str_t text, size_t pos, doi_clean_t how,
    const char **put, size_t *len);


char *
doi_ical(const doi_ical_event_t *events, size_t n, const char *method,
    doi_str_t name, size_t *len)
{
    int             rc;
    char           *raw, *text;
    size_t          i;
    icalcomponent  *calendar;

    icalerror_set_errors_are_fatal(0);

    calendar = icalcomponent_new(ICAL_VCALENDAR_COMPONENT);

    if (calendar == NULL) {
        return NULL;
    }

    rc = doi_ical_calendar(calendar, method, name);

    for (i = 0; rc == DOI_OK && i < n; i++) {
        rc = doi_ical_event(calendar, &events[i], method);
    }

    raw = rc == DOI_OK ? icalcomponent_as_ical_string_r(calendar) : NULL;

    icalcomponent_free(calendar);

    if (raw == NULL) {
        return NULL;
    }

    text = doi_ical_fold(raw, len);

    icalmemory_free_buffer(raw);

    return text;
}


/*
 * libical 3.0.16 folds between the CR and the LF of a line that just fits.  No
 * line starts with a blank but by folding, so what it did can be undone.
 */

static char *
doi_ical_fold(const char *raw, size_t *len)
{
    char    *text, *p;
    size_t   n, c, col;

    n = strlen(raw);

    /* a line has at least 71 bytes of those before: 75, but for the blank and
       the rest of a character */

    if (n > SIZE_MAX / 2) {
        return NULL;
    }

    text = malloc(n + (n / 71 + 1) * 3 + 1);

    if (text == NULL) {
        return NULL;
    }

    p = text;
    col = 0;

    while (*raw != '\0') {

        if (strncmp(raw, "\r\n ", 3) == 0) {
            raw += 3;
            continue;
        }

        if (*raw == '\r' || *raw == '\n') {
            *p++ = *raw++;
            col = 0;
            continue;
        }

        for (c = 1; ((uint8_t) raw[c] & 0xC0) == 0x80; c++) { /* void */ }

        if (col + c > DOI_ICAL_LINE) {
            memcpy(p, "\r\n ", 3);
            p += 3;
            col = 1;
        }

        memcpy(p, raw, c);
        p += c;
        raw += c;
        col += c;
    }

    *p = '\0';
    *len = (size_t) (p - text);

    return text;
}


static int
doi_ical_calendar(icalcomponent *calendar, const char *method, doi_str_t name)
{
    int                   rc;
    char                 *clean;
    icalproperty_method   m;

    if (doi_ical_add(calendar, icalproperty_new_prodid(DOI_ICAL_PRODID))
        != DOI_OK
        || doi_ical_add(calendar, icalproperty_new_version("2.0")) != DOI_OK
        || doi_ical_add(calendar, icalproperty_new_calscale("GREGORIAN"))
           != DOI_OK)
    {
        return DOI_ERROR;
    }

    if (method != NULL) {
        m = strcmp(method, "REQUEST") == 0 ? ICAL_METHOD_REQUEST
            : strcmp(method, "CANCEL") == 0 ? ICAL_METHOD_CANCEL
            : ICAL_METHOD_PUBLISH;

        if (doi_ical_add(calendar, icalproperty_new_method(m)) != DOI_OK) {
            return DOI_ERROR;
        }
    }

    clean = doi_clean(name, DOI_CLEAN_LINE);

    if (clean == NULL) {
        return DOI_ERROR;
    }

    rc = clean[0] == '\0' ? DOI_OK : doi_ical_calname(calendar, clean);

    free(clean);

    return rc;
}


/* NAME for those who know RFC 7986, the other for the rest of them. */

static int
doi_ical_calname(icalcomponent *calendar, const char *name)
{
    icalproperty  *property;

    if (doi_ical_add(calendar, icalproperty_new_name(name)) != DOI_OK) {
        return DOI_ERROR;
    }

    property = icalproperty_new_x(name);

    if (property == NULL) {
        return DOI_ERROR;
    }

    icalproperty_set_x_name(property, "X-WR-CALNAME");

    return doi_ical_add(calendar, property);
}


static int
doi_ical_event(icalcomponent *calendar, const doi_ical_event_t *event,
    const char *method)
{
    icalcomponent  *vevent;

    vevent = icalcomponent_new(ICAL_VEVENT_COMPONENT);

    if (vevent == NULL) {
        return DOI_ERROR;
    }

    icalcomponent_add_component(calendar, vevent);

    if (doi_ical_times(vevent, event) != DOI_OK
        || doi_ical_status(vevent, event->status) != DOI_OK
        || doi_ical_texts(vevent, event) != DOI_OK)
    {
        return DOI_ERROR;
    }

    return doi_ical_people(vevent, event, method);
}


static int
doi_ical_times(icalcomponent *vevent, const doi_ical_event_t *event)
{
    int      sequence;
    int64_t  end;

    end = (int64_t) event->start + (event->duration ? event->duration : 1);
    sequence = event->sequence > INT_MAX ? INT_MAX : (int) event->sequence;

    if (doi_ical_text(vevent, icalproperty_new_uid, event->uid, DOI_CLEAN_LINE)
        != DOI_OK
        || doi_ical_add(vevent,
                        icalproperty_new_dtstamp(doi_ical_time(event->stamp)))
           != DOI_OK
        || doi_ical_add(vevent,
                        icalproperty_new_created(doi_ical_time(event->created)))
           != DOI_OK
        || doi_ical_add(vevent, icalproperty_new_lastmodified(
                                    doi_ical_time(event->stamp)))
           != DOI_OK
        || doi_ical_add(vevent,
                        icalproperty_new_dtstart(doi_ical_time(event->start)))
           != DOI_OK
        || doi_ical_add(vevent, icalproperty_new_dtend(doi_ical_time(end)))
           != DOI_OK)
    {
        return DOI_ERROR;
    }

    return doi_ical_add(vevent, icalproperty_new_sequence(sequence));
}


static int
doi_ical_status(icalcomponent *vevent, doi_ical_status_t status)
{
    icalproperty_status  s;

    s = status == DOI_ICAL_CONFIRMED ? ICAL_STATUS_CONFIRMED
        : status == DOI_ICAL_CANCELLED ? ICAL_STATUS_CANCELLED
        : ICAL_STATUS_TENTATIVE;

    if (doi_ical_add(vevent, icalproperty_new_status(s)) != DOI_OK) {
        return DOI_ERROR;
    }

    return doi_ical_add(vevent, icalproperty_new_transp(ICAL_TRANSP_OPAQUE));
}


static int
doi_ical_texts(icalcomponent *vevent, const doi_ical_event_t *event)
{
    if (doi_ical_text(vevent, icalproperty_new_summary, event->summary,
                      DOI_CLEAN_LINE)
        != DOI_OK
        || doi_ical_text(vevent, icalproperty_new_description,
                         event->description, DOI_CLEAN_LINES)
           != DOI_OK)
    {
        return DOI_ERROR;
    }

    if (!doi_is_uri(event->url)) {
        return DOI_OK;
    }

    return doi_ical_text(vevent, icalproperty_new_url, event->url,
                         DOI_CLEAN_LINE);
}


/* Without attendee if published: RFC 5546, 3.2.1. */

static int
doi_ical_people(icalcomponent *vevent, const doi_ical_event_t *event,
    const char *method)
{
    char          *mailto;
    icalproperty  *person;

    if (doi_is_address(event->organizer)) {
        mailto = doi_mailto(event->organizer);
        person = mailto != NULL ? icalproperty_new_organizer(mailto) : NULL;
        free(mailto);

        if (doi_ical_add(vevent, person) != DOI_OK
            || doi_ical_person(person, event->organizer_name, method)
               != DOI_OK)
        {
            return DOI_ERROR;
        }
    }

    if (!doi_is_address(event->attendee)
        || (method != NULL && strcmp(method, "PUBLISH") == 0))
    {
        return DOI_OK;
    }

    mailto = doi_mailto(event->attendee);
    person = mailto != NULL ? icalproperty_new_attendee(mailto) : NULL;
    free(mailto);

    if (doi_ical_add(vevent, person) != DOI_OK
        || doi_ical_person(person, event->attendee_name, method) != DOI_OK)
    {
        return DOI_ERROR;
    }

    return doi_ical_attendee(person, event->status);
}


static int
doi_ical_attendee(icalproperty *attendee, doi_ical_status_t status)
{
    icalparameter_partstat  p;

    p = status == DOI_ICAL_CONFIRMED ? ICAL_PARTSTAT_ACCEPTED
        : status == DOI_ICAL_CANCELLED ? ICAL_PARTSTAT_DECLINED
        : ICAL_PARTSTAT_NEEDSACTION;

    if (doi_ical_param(attendee,
                       icalparameter_new_role(ICAL_ROLE_REQPARTICIPANT))
        != DOI_OK
        || doi_ical_param(attendee, icalparameter_new_partstat(p)) != DOI_OK)
    {
        return DOI_ERROR;
    }

    return doi_ical_param(attendee, icalparameter_new_rsvp(ICAL_RSVP_FALSE));
}


static int
doi_ical_person(icalproperty *person, doi_str_t name, const char *method)
{
    int    rc;
    char  *clean;

    clean = doi_clean(name, DOI_CLEAN_PARAM);

    if (clean == NULL) {
        return DOI_ERROR;
    }

    rc = clean[0] == '\0' ? DOI_OK
         : doi_ical_param(person, icalparameter_new_cn(clean));

    free(clean);

    if (rc != DOI_OK || method != NULL) {
        return rc;
    }

    return doi_ical_param(person,
               icalparameter_new_scheduleagent(ICAL_SCHEDULEAGENT_CLIENT));
}


static int
doi_ical_text(icalcomponent *comp, icalproperty *(*create)(const char *),
    doi_str_t text, doi_clean_t how)
{
    int    rc;
    char  *clean;

    clean = doi_clean(text, how);

    if (clean == NULL) {
        return DOI_ERROR;
    }

    rc = clean[0] == '\0' ? DOI_OK : doi_ical_add(comp, create(clean));

    free(clean);

    return rc;
}


static int
doi_ical_add(icalcomponent *comp, icalproperty *property)
{
    if (property == NULL) {
        return DOI_ERROR;
    }

    icalcomponent_add_property(comp, property);

    return DOI_OK;
}


static int
doi_ical_param(icalproperty *property, icalparameter *param)
{
    if (param == NULL) {
        return DOI_ERROR;
    }

    icalproperty_add_parameter(property, param);

    return DOI_OK;
}


static struct icaltimetype
doi_ical_time(int64_t t)
{
    return icaltime_from_timet_with_zone((time_t) t, 0,
                                         icaltimezone_get_utc_timezone());
}


static int
doi_is_address(doi_str_t address)
{
    size_t    i;
    unsigned  at;
    uint8_t   c;

    at = 0;

    for (i = 0; i < address.len; i++) {
        c = address.data[i];

        if (c <= ' ' || c >= 0x7F || strchr("<>\"(),:;\\", c) != NULL) {
            return 0;
        }

        at += c == '@';
    }

    return at == 1;
}


/* RFC 3986, as far as a value can be harmed by it; web pages only. */

static int
doi_is_uri(doi_str_t uri)
{
    size_t  i;

    if ((uri.len <= 7 || memcmp(uri.data, "http://", 7) != 0)
        && (uri.len <= 8 || memcmp(uri.data, "https://", 8) != 0))
    {
        return 0;
    }

    for (i = 0; i < uri.len; i++) {

        if (uri.data[i] <= ' ' || uri.data[i] >= 0x7F
            || strchr("<>\"\\^`{|}", uri.data[i]) != NULL)
        {
            return 0;
        }
    }

    return 1;
}


/* RFC 6068: what would start the query of such a URI is encoded. */

static char *
doi_mailto(doi_str_t address)
{
    char               *mailto, *p;
    size_t              i;
    uint8_t             c;
    static const char   scheme[] = "mailto:", digits[] = "0123456789ABCDEF";

    mailto = malloc(sizeof(scheme) + 3 * address.len);

    if (mailto == NULL) {
        return NULL;
    }

    memcpy(mailto, scheme, sizeof(scheme) - 1);
    p = mailto + sizeof(scheme) - 1;

    for (i = 0; i < address.len; i++) {
        c = address.data[i];

        if (strchr("%?#&/^`{|}[]", c) != NULL) {
            *p++ = '%';
            *p++ = digits[c >> 4];
            *p++ = digits[c & 0xF];
            continue;
        }

        *p++ = (char) c;
    }

    *p = '\0';

    return mailto;
}


/* Zero-terminated UTF-8, from malloc. */

static char *
doi_clean(doi_str_t text, doi_clean_t how)
{
    char        *clean, *p;
    size_t       i, len;
    const char  *put;

    /* U+FFFD has three bytes, and may stand for one */

    if (text.len > SIZE_MAX / 3 - 1) {
        return NULL;
    }

    clean = malloc(3 * text.len + 1);

    if (clean == NULL) {
        return NULL;
    }

    p = clean;

    for (i = 0; i < text.len; /* void */) {
        i += doi_clean_char(text, i, how, &put, &len);
        memcpy(p, put, len);
        p += len;
    }

    *p = '\0';

    return clean;
}


/* What to write for the next character, and how many bytes that one has. */

static size_t
doi_clean_char(doi_str_t text, size_t pos, doi_clean_t how, const char **put,
    size_t *len)
{
    size_t          n, bad;
    const uint8_t  *p;

    p = text.data + pos;
    n = doi_utf8_next(p, text.data + text.len, &bad);

    *put = (const char *) p;
    *len = n;

    if (n == 0) {
        *put = "\xEF\xBF\xBD";
        *len = 3;
        return bad;
    }

    if (p[0] == '\n' || p[0] == '\t') {
        *put = how == DOI_CLEAN_LINES ? *put : " ";

    } else if (p[0] < ' ' || p[0] == 0x7F || (p[0] == 0xC2 && p[1] < 0xA0)) {
        *len = 0;

    } else if (how == DOI_CLEAN_PARAM && p[0] == '"') {
        *put = "'";

    } else if (how == DOI_CLEAN_PARAM && p[0] == '^') {
        *len = 0;
    }

    return n;
}
