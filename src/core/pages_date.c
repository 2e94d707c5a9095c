/*
 * Moments in the words of a language: slots as forms write them, and times of
 * our own.  The text "when" of LANG.txt says how the parts are put together.
 */

#include "pages_set.h"

#include <stdio.h>
#include <time.h>


/* "09:00", an en dash, "09:30" */
#define DOI_HOURS_SIZE       16

/* "UTC+01:00" */
#define DOI_OFFSET_SIZE      16

#define DOI_MINUTES_OF_DAY   1440


typedef struct {
    unsigned  year;
    unsigned  month;                    /* 1 to 12 */
    unsigned  day;
    char      hours[DOI_HOURS_SIZE];
    char      offset[DOI_OFFSET_SIZE];  /* that the slot brings, or empty */
} doi_date_t;


static int doi_parse_slot(doi_str_t s, doi_date_t *date);
static int doi_parse_day(doi_str_t s, doi_date_t *date);
static int doi_parse_rest(doi_str_t s, unsigned start, doi_date_t *date);
static int doi_parse_offset(doi_str_t s, doi_date_t *date);
static int doi_parse_hours(doi_str_t s, unsigned *minutes);
static int doi_parse_number(doi_str_t s, size_t at, size_t digits,
    unsigned *number);
static void doi_skip(doi_str_t *s, size_t n);
static int doi_skip_seconds(doi_str_t *s);
static unsigned doi_weekday(unsigned year, unsigned month, unsigned day);
static doi_str_t doi_date_text(const doi_compiled_lang_t *lang,
    const doi_date_t *date, doi_str_t zone, uint8_t *space);


const char *const  doi_date_vars[DOI_DATE_VARS + 1] = {
    [DOI_DATE_WEEKDAY] = "date.weekday",
    [DOI_DATE_DAY]     = "date.day",
    [DOI_DATE_MONTH]   = "date.month",
    [DOI_DATE_YEAR]    = "date.year",
    [DOI_DATE_TIME]    = "date.time",
    [DOI_DATE_ZONE]    = "date.zone",
    [DOI_DATE_VARS]    = NULL
};


doi_str_t
doi_slot_text(const doi_compiled_lang_t *lang, doi_str_t slot, doi_str_t zone,
    uint8_t space[DOI_WHEN_SIZE])
{
    doi_str_t   text;
    doi_date_t  date;

    if (!doi_parse_slot(slot, &date)) {
        return slot;
    }

    /* the hours are those of the offset, whatever the zone may be */

    if (date.offset[0] != '\0') {
        zone = doi_from_text(date.offset);
    }

    text = doi_date_text(lang, &date, zone, space);

    return text.len ? text : slot;
}


doi_str_t
doi_time_text(const doi_compiled_lang_t *lang, doi_time_t when,
    doi_str_t zone, uint8_t space[DOI_WHEN_SIZE])
{
    time_t      seconds;
    struct tm   tm;
    doi_str_t   none = { NULL, 0 };
    doi_date_t  date;

    seconds = (time_t) when;

    if (when == 0 || gmtime_r(&seconds, &tm) == NULL) {
        return none;
    }

    date.year = (unsigned) tm.tm_year + 1900;
    date.month = (unsigned) tm.tm_mon + 1;
    date.day = (unsigned) tm.tm_mday;

    (void) strftime(date.hours, DOI_HOURS_SIZE, "%H:%M", &tm);

    return doi_date_text(lang, &date, zone, space);
}


/* Empty if it does not fit. */

static doi_str_t
doi_date_text(const doi_compiled_lang_t *lang, const doi_date_t *date,
    doi_str_t zone, uint8_t *space)
{
    char       day[DOI_NUMBER_SIZE], year[DOI_NUMBER_SIZE];
    doi_buf_t  buf;
    doi_out_t  out;
    doi_str_t  text, values[DOI_DATE_VARS];

    (void) snprintf(day, sizeof(day), "%u", date->day);
    (void) snprintf(year, sizeof(year), "%u", date->year);

    values[DOI_DATE_WEEKDAY] =
            lang->weekdays[doi_weekday(date->year, date->month, date->day)];
    values[DOI_DATE_DAY] = doi_from_text(day);
    values[DOI_DATE_MONTH] = lang->months[date->month - 1];
    values[DOI_DATE_YEAR] = doi_from_text(year);
    values[DOI_DATE_TIME] = doi_from_text(date->hours);
    values[DOI_DATE_ZONE] = zone;

    buf.data = space;
    buf.len = 0;
    buf.size = DOI_WHEN_SIZE;

    doi_out_init(&out, &buf);
    doi_template_render(&lang->when, values, &out);
    doi_out_done(&out, &buf);

    text.data = space;
    text.len = out.need <= DOI_WHEN_SIZE ? buf.len : 0;

    return text;
}


/*
 * "2026-11-24T09:00", a blank for the "T", with seconds, "Z" or an offset, or
 * with the end: "-09:30".  Anything else is not understood, and so not to be
 * shown as if it were.
 */

static int
doi_parse_slot(doi_str_t s, doi_date_t *date)
{
    int        seconds;
    doi_str_t  rest;
    unsigned   start;

    memset(date, 0, sizeof(doi_date_t));

    if (s.len < 16 || !doi_parse_day(s, date)
        || (s.data[10] != 'T' && s.data[10] != 't' && s.data[10] != ' '))
    {
        return 0;
    }

    rest = s;
    doi_skip(&rest, 11);

    if (!doi_parse_hours(rest, &start) || start >= DOI_MINUTES_OF_DAY) {
        return 0;
    }

    memcpy(date->hours, rest.data, 5);
    doi_skip(&rest, 5);

    seconds = doi_skip_seconds(&rest);

    if (rest.len == 0) {
        return 1;
    }

    /* "-09:30" after minutes is an end, after seconds an offset */

    if ((rest.data[0] != '-' || seconds) && doi_parse_offset(rest, date)) {
        return 1;
    }

    return doi_parse_rest(rest, start, date);
}


static int
doi_parse_day(doi_str_t s, doi_date_t *date)
{
    unsigned                    last;
    static const unsigned char  days[] = { 31, 28, 31, 30, 31, 30,
                                           31, 31, 30, 31, 30, 31 };

    if (!doi_parse_number(s, 0, 4, &date->year) || s.data[4] != '-'
        || !doi_parse_number(s, 5, 2, &date->month) || s.data[7] != '-'
        || !doi_parse_number(s, 8, 2, &date->day)
        || date->year == 0 || date->month == 0 || date->month > DOI_MONTHS
        || date->day == 0)
    {
        return 0;
    }

    last = days[date->month - 1];

    if (date->month == 2 && date->year % 4 == 0
        && (date->year % 100 != 0 || date->year % 400 == 0))
    {
        last = 29;
    }

    return date->day <= last;
}


/* The end: after a hyphen, an en dash, a slash or a blank. */

static int
doi_parse_rest(doi_str_t s, unsigned start, doi_date_t *date)
{
    size_t             dash;
    doi_str_t          end;
    unsigned           minutes;
    static const char  en_dash[] = "\xE2\x80\x93";

    end = s;

    while (end.len && end.data[0] == ' ') {
        doi_skip(&end, 1);
    }

    dash = sizeof(en_dash) - 1;

    if (end.len && (end.data[0] == '-' || end.data[0] == '/')) {
        doi_skip(&end, 1);

    } else if (end.len >= dash && memcmp(end.data, en_dash, dash) == 0) {
        doi_skip(&end, dash);

    } else if (end.len == s.len) {
        return 0;
    }

    while (end.len && end.data[0] == ' ') {
        doi_skip(&end, 1);
    }

    if (!doi_parse_hours(end, &minutes) || minutes <= start) {
        return 0;
    }

    s = end;
    doi_skip(&s, 5);
    (void) doi_skip_seconds(&s);

    if (s.len) {
        return 0;
    }

    memcpy(date->hours + 5, en_dash, dash);
    memcpy(date->hours + 5 + dash, end.data, 5);

    return 1;
}


/* "Z", "+01:00", "-0500" */

static int
doi_parse_offset(doi_str_t s, doi_date_t *date)
{
    size_t    colon;
    unsigned  hours, minutes;

    if (s.len == 1 && (s.data[0] == 'Z' || s.data[0] == 'z')) {
        memcpy(date->offset, "UTC", sizeof("UTC"));
        return 1;
    }

    if (s.data[0] != '+' && s.data[0] != '-') {
        return 0;
    }

    colon = s.len > 3 && s.data[3] == ':';

    if (s.len != 5 + colon || !doi_parse_number(s, 1, 2, &hours)
        || !doi_parse_number(s, 3 + colon, 2, &minutes)
        || hours > 23 || minutes > 59)
    {
        return 0;
    }

    (void) snprintf(date->offset, DOI_OFFSET_SIZE, "UTC%c%02u:%02u",
                    s.data[0], hours % 24, minutes % 60);

    return 1;
}


/* "09:00" to "24:00" in front of s */

static int
doi_parse_hours(doi_str_t s, unsigned *minutes)
{
    unsigned  hour, minute;

    if (s.len < 5 || !doi_parse_number(s, 0, 2, &hour) || s.data[2] != ':'
        || !doi_parse_number(s, 3, 2, &minute) || minute > 59)
    {
        return 0;
    }

    *minutes = hour * 60 + minute;

    return *minutes <= DOI_MINUTES_OF_DAY;
}


static int
doi_parse_number(doi_str_t s, size_t at, size_t digits, unsigned *number)
{
    size_t  i;

    *number = 0;

    if (s.len < at + digits) {
        return 0;
    }

    for (i = at; i < at + digits; i++) {

        if (s.data[i] < '0' || s.data[i] > '9') {
            return 0;
        }

        *number = *number * 10 + (unsigned) (s.data[i] - '0');
    }

    return 1;
}


static void
doi_skip(doi_str_t *s, size_t n)
{
    s->data += n;
    s->len -= n;
}


/* ":00", ":00.000" */

static int
doi_skip_seconds(doi_str_t *s)
{
    unsigned  seconds;

    if (s->len < 3 || s->data[0] != ':'
        || !doi_parse_number(*s, 1, 2, &seconds) || seconds > 60)
    {
        return 0;
    }

    doi_skip(s, 3);

    if (s->len < 2 || s->data[0] != '.' || s->data[1] < '0'
        || s->data[1] > '9')
    {
        return 1;
    }

    do {
        doi_skip(s, 1);
    } while (s->len && s->data[0] >= '0' && s->data[0] <= '9');

    return 1;
}


/* 0 is Monday; by Tomohiko Sakamoto's formula. */

static unsigned
doi_weekday(unsigned year, unsigned month, unsigned day)
{
    static const unsigned char  shift[] = { 0, 3, 2, 5, 0, 3,
                                            5, 1, 4, 6, 2, 4 };

    if (month < 3) {
        year--;
    }

    return (year + year / 4 - year / 100 + year / 400 + shift[month - 1] + day
            + 6)
           % DOI_WEEKDAYS;
}
