/*
 * iCalendar (RFC 5545, iTIP: RFC 5546) by libical.  Used from one thread.
 */

#ifndef DOI_ICAL_H
#define DOI_ICAL_H

#include "../core/doi.h"


/* 1 if this is the name of a time zone that the system knows
   ("Europe/Berlin", "UTC").  Never touches a file outside of its database:
   names with other than [A-Za-z0-9_+/-], or "..", or a leading "/" are none. */
int doi_zone_known(doi_str_t zone);

/* What clocks in that zone (empty: UTC) show: utc plus the offset that holds
   then.  DOI_NOT_FOUND: not a zone, or beyond the range. */
int doi_zone_local(doi_str_t zone, doi_time_t utc, doi_time_t *local);

/*
 * Start of an appointment from text as a form has it: "2026-11-24T09:00",
 * "2026-11-24 09:00", "2026-11-24 09:00:00", "20261124T090000", each with an
 * optional "Z" or "+01:00"; a time range ("09:00-09:30", "09:00 - 09:30",
 * "09:00/09:30", with hyphen or en dash) also gives the duration.  Without an
 * offset it is local time in zone (empty: UTC).
 * *start: Unix seconds; *duration: seconds, left alone without a range.
 * DOI_NOT_FOUND: nothing of this kind (a day that does not exist too; a local
 * time that is skipped in spring is moved forward, as RFC 5545 says).
 */
int doi_when_parse(doi_str_t text, doi_str_t zone, doi_time_t *start,
    uint32_t *duration);


typedef enum {
    DOI_ICAL_TENTATIVE = 0,
    DOI_ICAL_CONFIRMED,
    DOI_ICAL_CANCELLED
} doi_ical_status_t;

/* Strings are UTF-8 of any origin, escaped by libical; control characters
   are dropped.  Empty: absent. */

typedef struct {
    doi_str_t          uid;         /* globally unique, printable ASCII      */
    doi_time_t         start;       /* UTC                                   */
    uint32_t           duration;    /* seconds, at least 1                   */
    doi_time_t         created;
    doi_time_t         stamp;       /* DTSTAMP and LAST-MODIFIED             */
    uint32_t           sequence;
    doi_ical_status_t  status;
    doi_str_t          summary;
    doi_str_t          description;
    doi_str_t          organizer;   /* address */
    doi_str_t          organizer_name;
    doi_str_t          attendee;    /* address; PARTSTAT by status           */
    doi_str_t          attendee_name;
    doi_str_t          url;
} doi_ical_event_t;

/*
 * A VCALENDAR object: method NULL for an object that is stored on a CalDAV
 * server (RFC 4791, 4.1: without METHOD) or a feed, else "PUBLISH", "REQUEST",
 * "CANCEL".  n events (a feed may have none); name: X-WR-CALNAME and NAME (RFC
 * 7986), or empty.  Lines end with CRLF and are folded.  Memory from malloc,
 * zero-terminated, *len without the zero; NULL without memory.
 */
char *doi_ical(const doi_ical_event_t *events, size_t n, const char *method,
    doi_str_t name, size_t *len);

#endif /* DOI_ICAL_H */
