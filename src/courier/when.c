/*
 * Times as forms have them, in the system's time zones.  See ical.h.
 *
 * Why both the day before and the day after are asked for their offsets: where
 * they differ, a local time may stand for two times, or for none.  The offset
 * of the day before, if it holds at the time that it gives, gives the first of
 * two; in a gap neither holds, and the one before it moves the time forward, as
 * RFC 5545, 3.3.5, says.
 *
 * Why "-09:30" is sometimes an offset and sometimes the end of a range: after
 * "T", or after seconds unless it has seconds too, it is an offset, as in RFC
 * 3339 and in what databases print.  Otherwise, and with blanks around it, it
 * is the end.
 */

#include <string.h>

#include <libical/ical.h>

#include "ical.h"


#define DOI_WHEN_MAX     128        /* bytes; no longer text is a time */
#define DOI_ZONE_MAX     64
#define DOI_DAY          86400
#define DOI_HALF_DAY     43200
#define DOI_FIRST_YEAR   1970
#define DOI_LAST_YEAR    2106
#define DOI_TIME_MAX     0xFFFFFFFFLL
#define DOI_EAST_MAX     (14 * 3600)
#define DOI_WEST_MAX     (12 * 3600)


typedef struct {
    const uint8_t  *pos;
    const uint8_t  *end;
} doi_scan_t;


typedef struct {
    int64_t         day;            /* local midnight as if it were UTC       */
    int64_t         clock;          /* seconds since then                     */
    int             offset;         /* east of Greenwich                      */
    unsigned        with_t:1;
    unsigned        with_seconds:1;
    unsigned        with_offset:1;
} doi_when_t;


static int doi_zone_find(doi_str_t zone, icaltimezone **found);
static int doi_zone_utc(doi_str_t zone);
static int64_t doi_zone_offset(icaltimezone *zone, int64_t utc);
static int doi_when_resolve(const doi_when_t *when, doi_str_t zone,
    int64_t *utc);
static int doi_scan_when(doi_scan_t *scan, doi_when_t *when);
static int doi_scan_range(doi_scan_t *scan, const doi_when_t *start,
    doi_when_t *end);
static int doi_scan_date(doi_scan_t *scan, int64_t *day);
static int doi_scan_clock(doi_scan_t *scan, doi_when_t *when);
static int doi_scan_offset(doi_scan_t *scan, doi_when_t *when);
static int doi_scan_digits(doi_scan_t *scan, size_t n, int *value);
static int doi_scan_char(doi_scan_t *scan, char c);
static int doi_scan_blanks(doi_scan_t *scan);
static size_t doi_count_digits(const doi_scan_t *scan);
static int64_t doi_days(int year, int month, int day);


int
doi_zone_known(doi_str_t zone)
{
    icaltimezone  *found;

    return zone.len != 0 && doi_zone_find(zone, &found);
}


int
doi_zone_local(doi_str_t zone, doi_time_t utc, doi_time_t *local)
{
    int64_t        time;
    icaltimezone  *found;

    if (!doi_zone_find(zone, &found)) {
        return DOI_NOT_FOUND;
    }

    time = (int64_t) utc + doi_zone_offset(found, utc);

    if (time < 0 || time > DOI_TIME_MAX) {
        return DOI_NOT_FOUND;
    }

    *local = (doi_time_t) time;

    return DOI_OK;
}


int
doi_when_parse(doi_str_t text, doi_str_t zone, doi_time_t *start,
    uint32_t *duration)
{
    int         range;
    int64_t     from, to, wall;
    doi_scan_t  scan;
    doi_when_t  first, last;

    if (text.len == 0 || text.len > DOI_WHEN_MAX) {
        return DOI_NOT_FOUND;
    }

    scan.pos = text.data;
    scan.end = text.data + text.len;

    (void) doi_scan_blanks(&scan);

    if (!doi_scan_when(&scan, &first) || first.clock >= DOI_DAY) {
        return DOI_NOT_FOUND;
    }

    (void) doi_scan_blanks(&scan);

    range = scan.pos != scan.end;

    if (range) {

        if (!doi_scan_range(&scan, &first, &last)) {
            return DOI_NOT_FOUND;
        }

        (void) doi_scan_blanks(&scan);

        if (scan.pos != scan.end) {
            return DOI_NOT_FOUND;
        }
    }

    if (!doi_when_resolve(&first, zone, &from)) {
        return DOI_NOT_FOUND;
    }

    if (range) {

        if (!doi_when_resolve(&last, zone, &to)) {
            return DOI_NOT_FOUND;
        }

        /* in a gap the start may have moved past the end */

        wall = last.day + last.clock - last.offset
               - first.day - first.clock + first.offset;

        if (wall <= 0) {
            return DOI_NOT_FOUND;
        }

        *duration = (uint32_t) (to > from ? to - from : wall);
    }

    *start = (doi_time_t) from;

    return DOI_OK;
}


/* libical would build a path of the name; only plain names get that far. */

static int
doi_zone_find(doi_str_t zone, icaltimezone **found)
{
    char     name[DOI_ZONE_MAX + 1];
    size_t   i;
    uint8_t  c, last;

    if (zone.len > DOI_ZONE_MAX) {
        return 0;
    }

    if (doi_zone_utc(zone)) {
        *found = icaltimezone_get_utc_timezone();
        return 1;
    }

    last = '/';

    for (i = 0; i < zone.len; i++) {
        c = zone.data[i];

        if ((c < '0' || c > '9') && (c < 'A' || c > 'Z')
            && (c < 'a' || c > 'z')
            && (last == '/' || (c != '_' && c != '+' && c != '/' && c != '-')))
        {
            return 0;
        }

        name[i] = (char) c;
        last = c;
    }

    name[i] = '\0';

    /* the "right" ones count leap seconds, which Unix time does not */

    if (last == '/' || strncmp(name, "right/", sizeof("right/") - 1) == 0) {
        return 0;
    }

    icalerror_set_errors_are_fatal(0);
    icaltimezone_set_builtin_tzdata(0);

    *found = icaltimezone_get_builtin_timezone(name);

    return *found != NULL;
}


static int
doi_zone_utc(doi_str_t zone)
{
    return zone.len == 0
           || (zone.len == 3 && memcmp(zone.data, "UTC", 3) == 0);
}


static int64_t
doi_zone_offset(icaltimezone *zone, int64_t utc)
{
    int                  daylight;
    struct icaltimetype  t;

    t = icaltime_from_timet_with_zone((time_t) utc, 0,
                                      icaltimezone_get_utc_timezone());

    return icaltimezone_get_utc_offset_of_utc_time(zone, &t, &daylight);
}


static int
doi_when_resolve(const doi_when_t *when, doi_str_t zone, int64_t *utc)
{
    int64_t        local, before, after;
    icaltimezone  *found;

    local = when->day + when->clock;

    if (when->with_offset) {
        *utc = local - when->offset;

    } else if (doi_zone_utc(zone)) {
        *utc = local;

    } else {

        if (!doi_zone_find(zone, &found)) {
            return 0;
        }

        before = doi_zone_offset(found, local - DOI_DAY);
        after = doi_zone_offset(found, local + DOI_DAY);

        *utc = local - before;

        if (after != before
            && doi_zone_offset(found, local - before) != before
            && doi_zone_offset(found, local - after) == after)
        {
            *utc = local - after;
        }
    }

    return *utc >= 0 && *utc <= DOI_TIME_MAX;
}


static int
doi_scan_when(doi_scan_t *scan, doi_when_t *when)
{
    memset(when, 0, sizeof(*when));

    if (!doi_scan_date(scan, &when->day)) {
        return 0;
    }

    when->with_t = doi_scan_char(scan, 'T');

    if (!when->with_t && !doi_scan_blanks(scan)) {
        return 0;
    }

    return doi_scan_clock(scan, when) && doi_scan_offset(scan, when);
}


/* The end: a time of the same day or of the night after it, or a whole one. */

static int
doi_scan_range(doi_scan_t *scan, const doi_when_t *start, doi_when_t *end)
{
    doi_scan_t  saved;

    if (scan->end - scan->pos > 3 && memcmp(scan->pos, "\xE2\x80\x93", 3) == 0)
    {
        scan->pos += 3;

    } else if (!doi_scan_char(scan, '-') && !doi_scan_char(scan, '/')) {
        return 0;
    }

    (void) doi_scan_blanks(scan);

    saved = *scan;

    if (!doi_scan_when(scan, end)) {

        *scan = saved;
        memset(end, 0, sizeof(*end));
        end->day = start->day;
        end->with_t = start->with_t;

        if (!doi_scan_clock(scan, end) || !doi_scan_offset(scan, end)) {
            return 0;
        }

        if (end->clock < start->clock
            && start->clock - end->clock >= DOI_HALF_DAY)
        {
            end->day += DOI_DAY;
        }
    }

    if (!end->with_offset) {
        end->with_offset = start->with_offset;
        end->offset = start->offset;
    }

    return end->with_offset == start->with_offset;
}


/* 2026-11-24 or 20261124 */

static int
doi_scan_date(doi_scan_t *scan, int64_t *day)
{
    int  year, month, mday, dashes;

    dashes = doi_count_digits(scan) == 4;

    if ((!dashes && doi_count_digits(scan) != 8)
        || !doi_scan_digits(scan, 4, &year)
        || (dashes && !doi_scan_char(scan, '-'))
        || !doi_scan_digits(scan, 2, &month)
        || (dashes && !doi_scan_char(scan, '-'))
        || !doi_scan_digits(scan, 2, &mday))
    {
        return 0;
    }

    /* one year more on either side, for what an offset brings back */

    if (year < DOI_FIRST_YEAR - 1 || year > DOI_LAST_YEAR
        || month < 1 || month > 12
        || mday < 1 || mday > icaltime_days_in_month(month, year))
    {
        return 0;
    }

    *day = doi_days(year, month, mday) * DOI_DAY;

    return 1;
}


/* 09:00, 9:00, 09:00:00, 09:00:00.000, 0900, 090000; 24:00 ends a day */

static int
doi_scan_clock(doi_scan_t *scan, doi_when_t *when)
{
    int     hour, minute, second, colons;
    size_t  digits;

    digits = doi_count_digits(scan);
    colons = digits <= 2;
    second = 0;

    if ((!colons && digits != 4 && digits != 6) || digits == 0
        || !doi_scan_digits(scan, colons ? digits : 2, &hour)
        || (colons && !doi_scan_char(scan, ':'))
        || (colons && doi_count_digits(scan) != 2)
        || !doi_scan_digits(scan, 2, &minute))
    {
        return 0;
    }

    if (colons ? doi_scan_char(scan, ':') : digits == 6) {

        if (!doi_scan_digits(scan, 2, &second)) {
            return 0;
        }

        when->with_seconds = 1;

        if (doi_scan_char(scan, '.')) {

            if (doi_count_digits(scan) == 0) {
                return 0;
            }

            scan->pos += doi_count_digits(scan);
        }
    }

    if (hour > 24 || minute > 59 || second > 59
        || (hour == 24 && (minute || second)) || doi_count_digits(scan))
    {
        return 0;
    }

    when->clock = hour * 3600 + minute * 60 + second;

    return 1;
}


/* Z, +01:00, +0100, +01, also after blanks.  0: one that cannot be. */

static int
doi_scan_offset(doi_scan_t *scan, doi_when_t *when)
{
    int         hours, minutes, west, blanks;
    doi_scan_t  saved, ahead;
    doi_when_t  end;

    saved = *scan;
    blanks = doi_scan_blanks(scan);

    if (doi_scan_char(scan, 'Z')) {
        when->with_offset = 1;
        return 1;
    }

    west = doi_scan_char(scan, '-');

    if (!west && !doi_scan_char(scan, '+')) {
        *scan = saved;
        return 1;
    }

    if (west) {
        ahead = *scan;
        memset(&end, 0, sizeof(end));

        if ((blanks && !when->with_seconds)
            || (!when->with_t && !when->with_seconds)
            || doi_scan_blanks(&ahead)
            || (doi_scan_clock(&ahead, &end) && end.with_seconds)
            || doi_count_digits(scan) > 4)
        {
            *scan = saved;
            return 1;
        }
    }

    minutes = 0;

    if (!doi_scan_digits(scan, 2, &hours)) {
        return 0;
    }

    if ((doi_scan_char(scan, ':') || doi_count_digits(scan))
        && !doi_scan_digits(scan, 2, &minutes))
    {
        return 0;
    }

    when->offset = hours * 3600 + minutes * 60;

    if (minutes > 59 || doi_count_digits(scan)
        || when->offset > (west ? DOI_WEST_MAX : DOI_EAST_MAX))
    {
        return 0;
    }

    when->offset = west ? -when->offset : when->offset;
    when->with_offset = 1;

    return 1;
}


static int
doi_scan_digits(doi_scan_t *scan, size_t n, int *value)
{
    size_t  i;

    if (doi_count_digits(scan) < n) {
        return 0;
    }

    *value = 0;

    for (i = 0; i < n; i++) {
        *value = *value * 10 + (scan->pos[i] - '0');
    }

    scan->pos += n;

    return 1;
}


static int
doi_scan_char(doi_scan_t *scan, char c)
{
    if (scan->pos == scan->end || *scan->pos != (uint8_t) c) {
        return 0;
    }

    scan->pos++;

    return 1;
}


static int
doi_scan_blanks(doi_scan_t *scan)
{
    const uint8_t  *from;

    from = scan->pos;

    while (scan->pos != scan->end && (*scan->pos == ' ' || *scan->pos == '\t'))
    {
        scan->pos++;
    }

    return scan->pos != from;
}


static size_t
doi_count_digits(const doi_scan_t *scan)
{
    const uint8_t  *p;

    p = scan->pos;

    while (p != scan->end && *p >= '0' && *p <= '9') {
        p++;
    }

    return (size_t) (p - scan->pos);
}


/* Since 1970, in the Gregorian calendar. */

static int64_t
doi_days(int year, int month, int day)
{
    int64_t  y, m;

    /* years from March on, so that a leap day is the last one */

    y = month > 2 ? year : year - 1;
    m = month > 2 ? month - 3 : month + 9;

    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1
           - 719468;
}
