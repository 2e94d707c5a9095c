/*
 * Unit tests of src/courier/ical.c and when.c.  What is written is read by
 * t/lib/checkical.py, line by line, and by libical.
 */

#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libical/ical.h>

#include "../../src/courier/ical.h"
#include "tap.h"


#define ARGS    40

#define UNTOUCHED  77777
#define NO_RANGE   UNTOUCHED

#define ROCKET  "\xF0\x9F\x9A\x80"
#define FFFD    "\xEF\xBF\xBD"
#define DASH    "\xE2\x80\x93"


extern char **environ;


static doi_str_t
str(const char *text)
{
    doi_str_t  s;

    s.data = (const uint8_t *) text;
    s.len = strlen(text);

    return s;
}


/* A copy that ends where the text does, for the address sanitizer. */

static int
parse(doi_str_t text, const char *zone, doi_time_t *start, uint32_t *duration)
{
    int         rc;
    uint8_t    *copy;
    doi_str_t   s;

    copy = malloc(text.len ? text.len : 1);
    memcpy(copy, text.data, text.len);
    s.data = copy;
    s.len = text.len;

    rc = doi_when_parse(s, str(zone), start, duration);

    free(copy);

    return rc;
}


static void
is_when(const char *text, const char *zone, doi_time_t want, uint32_t length)
{
    int         rc;
    uint32_t    duration;
    doi_time_t  start;

    start = UNTOUCHED;
    duration = UNTOUCHED;
    rc = parse(str(text), zone, &start, &duration);

    if (!ok(rc == DOI_OK && start == want && duration == length, "\"%s\" in %s",
            text, zone[0] != '\0' ? zone : "UTC"))
    {
        printf("# %d: %lu %lu, expected %lu %lu\n", rc, (unsigned long) start,
               (unsigned long) duration, (unsigned long) want,
               (unsigned long) length);
    }
}


static void
is_none(const char *text, const char *zone)
{
    uint32_t    duration;
    doi_time_t  start;

    start = UNTOUCHED;
    duration = UNTOUCHED;

    ok(parse(str(text), zone, &start, &duration) == DOI_NOT_FOUND
       && start == UNTOUCHED && duration == UNTOUCHED, "none: \"%.60s\" in %s",
       text, zone[0] != '\0' ? zone : "UTC");
}


static void
test_zones(void)
{
    size_t     i;
    char       name[10001];
    doi_str_t  s;

    static const char *const  known[] = {
        "UTC", "Europe/Berlin", "US/Eastern", "Asia/Calcutta", "Etc/GMT+5",
        "America/Argentina/Buenos_Aires", "America/Port-au-Prince", "GMT",
        "Asia/Kathmandu", "Etc/UTC"
    };

    static const char *const  unknown[] = {
        "", "Nowhere/City", "Europe", "Europe/", "/Europe/Berlin",
        "Europe/Berli", "../zoneinfo/UTC", "Europe/../UTC", "Europe//Berlin",
        "europe berlin",
        "leapseconds", "zone.tab", "tzdata.zi", "./UTC", "/etc/localtime",
        "Europe/Berlin\x1F", "right/Europe/Berlin", "-", "+1", "Europe/Berlin ",
        "..", "/", "_", "Europe/Berlin%s%n", "Europe\\Berlin", "UTC/"
    };

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        is_int(doi_zone_known(str(known[i])), 1, "zone %s", known[i]);
    }

    for (i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        is_int(doi_zone_known(str(unknown[i])), 0, "no zone %zu", i);
        is_none(unknown[i][0] != '\0' ? "2026-11-24 09:00" : "", unknown[i]);
    }

    memset(name, 'A', 10000);
    name[10000] = '\0';
    is_int(doi_zone_known(str(name)), 0, "a name of 10 kB");

    s.data = (const uint8_t *) "UTC\0x";
    s.len = 5;
    is_int(doi_zone_known(s), 0, "a name with a NUL");
}


static void
test_forms(void)
{
    /* 2026-11-24 09:00 UTC */

    is_when("2026-11-24T09:00", "", 1795510800, NO_RANGE);
    is_when("2026-11-24 09:00", "", 1795510800, NO_RANGE);
    is_when("2026-11-24 09:00:00", "UTC", 1795510800, NO_RANGE);
    is_when("20261124T090000", "", 1795510800, NO_RANGE);
    is_when("20261124T0900", "", 1795510800, NO_RANGE);
    is_when("20261124T090000Z", "Europe/Berlin", 1795510800, NO_RANGE);
    is_when("2026-11-24T09:00Z", "Europe/Berlin", 1795510800, NO_RANGE);
    is_when("2026-11-24T09:00:00.000Z", "Asia/Tokyo", 1795510800, NO_RANGE);
    is_when("2026-11-24T10:00+01:00", "Asia/Tokyo", 1795510800, NO_RANGE);
    is_when("2026-11-24T10:00:00+0100", "", 1795510800, NO_RANGE);
}


static void
test_garbage(void)
{
    size_t       i;
    uint32_t     duration;
    doi_str_t    s;
    doi_time_t   start;
    static char  text[10001];

    static const char *const  bad[] = {
        "", " ", "T", "2026", "2026-11", "2026-11-24", "2026-11-24T",
        "2026-11-24 ", "09:00", "2026-11-2409:00", "2026-11-24T9", "tomorrow",
        "2026-11-24 9", "2026-11-24 09:0", "2026-11-24 09:000",
        "2026-11-24 009:00", "2026-11-24 09:00:0", "2026-11-24 09:00:000",
        "2026-11-24 09:00:00.", "2026-11-24 09:00 x", "2026-11-24 09:00 PM",
        "2026-1-24 09:00", "2026-11-4 09:00", "26-11-24 09:00",
        "24.11.2026 09:00", "11/24/2026 09:00", "-2026-11-24 09:00",
        "02026-11-24 09:00", "2026-00-24 09:00", "2026-13-24 09:00",
        "2026-11-00 09:00", "2026-11-31 09:00", "2026-02-29 09:00",
        "2100-02-29 09:00", "2026-11-24 24:00", "2026-11-24 25:00",
        "2026-11-24 23:60", "2026-11-24 23:59:60", "2026-11-24 24:00:01",
        "2026-11-24 09:00-", "2026-11-24 09:00 - ", "2026-11-24 09:00/",
        "2026-11-24 09:00-9", "2026-11-24 09:00-09:00",
        "2026-11-24 09:00-08:00", "2026-11-24 09:00-24:01",
        "2026-11-24 09:00-09:30-10:00", "2026-11-24 09:00--09:30",
        "2026-11-24T09:00+", "2026-11-24T09:00+1", "2026-11-24T09:00+15:00",
        "2026-11-24T09:00-12:30", "2026-11-24T09:00+01:60",
        "2026-11-24T09:00+010", "2026-11-24T09:00ZZ", "2026-11-24T09:00Z+01:00",
        "2026-11-24T09:00Z/2026-11-24T08:00Z",
        "2026-11-24 09:00/2026-11-24T10:00Z", "2026-11-24 09:00" DASH,
        "2026-11-24 09:00 \xE2\x80", "2026-11-24\v09:00", "1969-12-31 23:59",
        "1970-01-01T00:00+00:01", "1900-01-01 09:00", "0000-01-01 00:00",
        "9999-12-31 09:00", "2106-02-08 06:28:16", "2106-12-31 09:00",
        "2107-01-01 09:00", "99999999T090000", "2026-11-24 09:00 2026-11-25"
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_none(bad[i], "");
        is_none(bad[i], "Europe/Berlin");
    }

    memset(text, '2', 10000);
    is_none(text, "");
    memset(text, ' ', 10000);
    is_none(text, "");
    memcpy(text, "2026-11-24 09:00", 16);
    is_none(text, "");
    memset(text, '0', 10000);
    memcpy(text, "2026-11-24 09:00:00.", 20);
    is_none(text, "");

    s.data = (const uint8_t *) "2026-11-24 09:00\0";
    s.len = 17;
    is_int(parse(s, "", &start, &duration), DOI_NOT_FOUND, "a NUL at the end");
    s.len = 16;
    is_int(parse(s, "", &start, &duration), DOI_OK, "and without it");
}


static void
test_ranges(void)
{
    is_when("2026-11-24 09:00-09:30", "", 1795510800, 1800);
    is_when("2026-11-24 09:00 - 09:30", "", 1795510800, 1800);
    is_when("2026-11-24 09:00 " DASH " 09:30", "", 1795510800, 1800);
    is_when("2026-11-24 09:00" DASH "09:30", "", 1795510800, 1800);
    is_when("2026-11-24 09:00/09:30", "", 1795510800, 1800);
    is_when(" 2026-11-24\t 9:00 - 9:30 ", "", 1795510800, 1800);
    is_when("2026-11-24 09:00 -09:30", "", 1795510800, 1800);
    is_when("2026-11-24 09:00:00-09:30:15", "", 1795510800, 1815);
    is_when("2026-11-24T09:00 - 09:30", "", 1795510800, 1800);
    is_when("2026-11-24T09:00/2026-11-24T09:30", "", 1795510800, 1800);
    is_when("2026-11-24T10:00+01:00/10:30", "", 1795510800, 1800);
    is_when("2026-11-24T10:00+01:00/2026-11-24T09:45Z", "", 1795510800, 2700);
    is_when("20261124T090000Z/20261125T090000Z", "", 1795510800, 86400);
    is_when("2026-11-24 09:00-24:00", "", 1795510800, 54000);
    is_when("2026-11-24 23:30-00:30", "", 1795563000, 3600);
    is_when("2026-11-24 10:00-10:45", "Europe/Berlin", 1795510800, 2700);

    /* as RFC 3339 and databases write offsets */

    is_when("2026-11-24T04:00-05:00", "Asia/Tokyo", 1795510800, NO_RANGE);
    is_when("2026-11-24 04:00:00-05:00", "", 1795510800, NO_RANGE);
    is_when("2026-11-24 04:00:00 -0500", "", 1795510800, NO_RANGE);
    is_when("2026-11-24 10:00:00+01", "", 1795510800, NO_RANGE);
    is_when("2026-11-24 10:00:00 +0100", "", 1795510800, NO_RANGE);
}


static void
test_daylight(void)
{
    /* Berlin: +1 until 29 March 2026, 1:00 UTC; +2 until 25 October, 1:00 */

    is_when("2026-03-29 01:59", "Europe/Berlin", 1774745940, NO_RANGE);
    is_when("2026-03-29 02:00", "Europe/Berlin", 1774746000, NO_RANGE);
    is_when("2026-03-29 02:30", "Europe/Berlin", 1774747800, NO_RANGE);
    is_when("2026-03-29 03:00", "Europe/Berlin", 1774746000, NO_RANGE);
    is_when("2026-03-29 02:30-03:00", "Europe/Berlin", 1774747800, 1800);
    is_when("2026-03-29 01:30-03:30", "Europe/Berlin", 1774744200, 3600);

    is_when("2026-10-25 01:59", "Europe/Berlin", 1792886340, NO_RANGE);
    is_when("2026-10-25 02:00", "Europe/Berlin", 1792886400, NO_RANGE);
    is_when("2026-10-25 02:59", "Europe/Berlin", 1792889940, NO_RANGE);
    is_when("2026-10-25 03:00", "Europe/Berlin", 1792893600, NO_RANGE);
    is_when("2026-10-25 01:30-03:30", "Europe/Berlin", 1792884600, 10800);

    /* half an hour; the southern hemisphere; odd offsets; an old name */

    is_when("2026-10-04 02:15", "Australia/Lord_Howe", 1791042300, NO_RANGE);
    is_when("2026-11-24 20:00", "Australia/Sydney", 1795510800, NO_RANGE);
    is_when("2026-11-24 14:45", "Asia/Kathmandu", 1795510800, NO_RANGE);
    is_when("2026-07-01 09:00", "America/New_York", 1782910800, NO_RANGE);
    is_when("2026-11-24 04:00", "America/New_York", 1795510800, NO_RANGE);
    is_when("2026-11-24 04:00", "EST5EDT", 1795510800, NO_RANGE);

    is_when("2028-02-29 09:00", "", 1835427600, NO_RANGE);
    is_when("2000-02-29 00:00", "", 951782400, NO_RANGE);
    is_none("2106-02-07 06:28:16", "");
    is_none("1970-01-01 00:30", "Europe/Berlin");
    is_when("2106-02-07 07:28:15", "Europe/Berlin", 4294967295, NO_RANGE);
    is_when("1970-01-01 00:00", "", 0, NO_RANGE);
    is_when("1970-01-01T01:00+01:00", "", 0, NO_RANGE);
    is_when("1969-12-31T23:00-01:00", "", 0, NO_RANGE);
    is_when("2106-02-07 06:28:15", "", 4294967295, NO_RANGE);
    is_when("2105-07-01 11:00", "Europe/Berlin", 4275882000, NO_RANGE);
}


/* libical turns the system's zones into rules of its own, not always the same
   ones: compared with Python's for the years that matter. */

static void
test_changes(void)
{
    int            bad;
    FILE          *zones;
    char           command[4096], zone[100], local[100];
    size_t         n;
    uint32_t       duration;
    doi_time_t     start;
    unsigned long  want;
    const char    *root;

    root = getenv("DOI_ROOT");
    snprintf(command, sizeof(command), "python3 '%s/t/lib/zones.py'",
             root != NULL ? root : ".");

    bad = 0;
    n = 0;
    zones = popen(command, "r");

    while (zones != NULL
           && fscanf(zones, "%99s %99s %lu", zone, local, &want) == 3)
    {
        n++;
        start = 0;

        if ((parse(str(local), zone, &start, &duration) != DOI_OK
             || start != want) && bad++ < 10)
        {
            printf("# %s %s: got %lu, expected %lu\n", zone, local,
                   (unsigned long) start, want);
        }
    }

    if (zones != NULL) {
        pclose(zones);
    }

    ok(n > 5000 && bad == 0, "%zu times around changes of the clocks, to 2036",
       n);
}


/* key=value ..., NULL */

static int
reads_as(const doi_ical_event_t *events, size_t n, const char *method,
    const char *name, ...)
{
    int             fd, status;
    char            path[] = "/tmp/doi-ical-XXXXXX", script[4096], *text;
    char           *argv[ARGS];
    size_t          i, len;
    pid_t           pid;
    va_list         args;
    const char     *arg, *root;
    icalcomponent  *read;

    len = 0;
    text = doi_ical(events, n, method, str(name), &len);
    fd = mkstemp(path);

    if (text == NULL || strlen(text) != len || fd == -1
        || write(fd, text, len) != (ssize_t) len)
    {
        printf("# no object\n");
        return 0;
    }

    read = icalparser_parse_string(text);
    free(text);

    if (read == NULL || icalcomponent_count_errors(read) != 0
        || icalcomponent_count_components(read, ICAL_VEVENT_COMPONENT)
           != (int) n)
    {
        printf("# libical does not read it: %s\n", path);
        return 0;
    }

    icalcomponent_free(read);

    root = getenv("DOI_ROOT");
    snprintf(script, sizeof(script), "%s/t/lib/checkical.py",
             root != NULL ? root : ".");

    i = 0;
    argv[i++] = (char *) "python3";
    argv[i++] = script;
    argv[i++] = path;

    va_start(args, name);

    while (i < ARGS - 1 && (arg = va_arg(args, char *)) != NULL) {
        argv[i++] = (char *) arg;
    }

    va_end(args);
    argv[i] = NULL;

    fflush(stdout);
    status = -1;

    if (posix_spawnp(&pid, "python3", NULL, NULL, argv, environ) == 0) {
        waitpid(pid, &status, 0);
    }

    close(fd);

    if (status != 0) {
        printf("# kept: %s\n", path);
        return 0;
    }

    unlink(path);

    return 1;
}


static doi_ical_event_t
event(void)
{
    doi_ical_event_t  e;

    memset(&e, 0, sizeof(e));

    e.uid = str("AAECAwQFBgcICQoL@example.org");
    e.start = 1795510800;
    e.duration = 1800;
    e.created = 1795000000;
    e.stamp = 1795000060;
    e.sequence = 3;
    e.summary = str("Consultation");
    e.organizer = str("owner@example.org");
    e.organizer_name = str("Owner");
    e.attendee = str("ada@example.net");
    e.attendee_name = str("Ada");

    return e;
}


static void
test_event(void)
{
    doi_ical_event_t  e;

    e = event();
    e.description = str("Room 1,\nfirst floor; bring\r\nC:\\papers");
    e.url = str("https://example.org/?a=1;b=2,3");

    ok(reads_as(&e, 1, "REQUEST", "", "PRODID=-//ngx_http_doi_module//EN",
                "VERSION=2.0", "CALSCALE=GREGORIAN", "METHOD=REQUEST",
                "UID=AAECAwQFBgcICQoL@example.org", "DTSTAMP=20261118T110740Z",
                "CREATED=20261118T110640Z", "LAST-MODIFIED=20261118T110740Z",
                "DTSTART=20261124T090000Z", "DTEND=20261124T093000Z",
                "SEQUENCE=3", "STATUS=TENTATIVE", "TRANSP=OPAQUE",
                "SUMMARY=Consultation",
                "DESCRIPTION=Room 1,\nfirst floor; bring\nC:\\papers",
                "URL=https://example.org/?a=1;b=2,3",
                "ORGANIZER=mailto:owner@example.org", "ORGANIZER.CN=Owner",
                "ATTENDEE=mailto:ada@example.net", "ATTENDEE.CN=Ada",
                "ATTENDEE.PARTSTAT=NEEDS-ACTION",
                "ATTENDEE.ROLE=REQ-PARTICIPANT", "ATTENDEE.RSVP=FALSE",
                "ATTENDEE.SCHEDULE-AGENT=", "*DTSTART=1", NULL),
       "an event, all of it");

    e.status = DOI_ICAL_CONFIRMED;
    ok(reads_as(&e, 1, NULL, "", "STATUS=CONFIRMED", "*METHOD=0",
                "ATTENDEE.PARTSTAT=ACCEPTED", "ATTENDEE.SCHEDULE-AGENT=CLIENT",
                "ORGANIZER.SCHEDULE-AGENT=CLIENT", NULL),
       "confirmed, to store: the server is not to mail anybody");

    e.status = DOI_ICAL_CANCELLED;
    ok(reads_as(&e, 1, "CANCEL", "", "STATUS=CANCELLED", "METHOD=CANCEL",
                "ATTENDEE.PARTSTAT=DECLINED", NULL), "cancelled");

    ok(reads_as(&e, 1, "PUBLISH", "", "METHOD=PUBLISH", "*ATTENDEE=0",
                "*ORGANIZER=1", NULL), "published: without attendee");

    memset(&e, 0, sizeof(e));
    e.uid = str("x");
    e.sequence = 0xFFFFFFFF;
    e.start = 0xFFFFFFFF;
    e.duration = 0xFFFFFFFF;
    ok(reads_as(&e, 1, NULL, "", "*ORGANIZER=0", "*ATTENDEE=0", "*URL=0",
                "*SUMMARY=0", "*DESCRIPTION=0", "SEQUENCE=2147483647",
                "DTSTART=21060207T062815Z", "DTEND=22420316T125630Z", NULL),
       "the least that an event has, and the largest numbers");
}


/* 1 if the summary of n letters is folded where it must be, nowhere else. */

static int
folded(const doi_ical_event_t *e, size_t n)
{
    char    want[400], *text, *p;
    size_t  i, col, len;

    p = want + sprintf(want, "\r\nSUMMARY:");
    col = sizeof("SUMMARY:") - 1;

    for (i = 0; i < n; i++) {

        if (col++ == 75) {
            p += sprintf(p, "\r\n ");
            col = 2;
        }

        *p++ = 'x';
    }

    (void) sprintf(p, "\r\nORGANIZER;");

    text = doi_ical(e, 1, "REQUEST", str(""), &len);
    i = text != NULL && strstr(text, want) != NULL;
    free(text);

    return (int) i;
}


static void
test_texts(void)
{
    size_t            i;
    doi_ical_event_t  e;
    static char       text[60000], want[60020];

    e = event();
    e.summary = str("A\r\nATTENDEE:mailto:x@evil.example\nEND:VEVENT");
    e.description = str("\x01\x02\x1B[31mred\x7F \xC2\x85\xFF\xC3( \t\"q\"");
    ok(reads_as(&e, 1, NULL, "", "*ATTENDEE=1", "*END=2",
                "SUMMARY=A ATTENDEE:mailto:x@evil.example END:VEVENT",
                "DESCRIPTION=[31mred " FFFD FFFD "( \t\"q\"", NULL),
       "no line gets out of a text");

    e.summary = str("\\n\\N\\,\\;;;,,\\");
    e.description.data = (const uint8_t *) "a\0b\0";
    e.description.len = 4;
    ok(reads_as(&e, 1, NULL, "", "SUMMARY=\\n\\N\\,\\;;;,,\\",
                "DESCRIPTION=ab", NULL), "escapes, and a NUL");

    for (i = 0; i < 80; i++) {
        memset(text + 200 * i, 'x', i);
        text[200 * i + i] = ' ';
        memcpy(text + 200 * i + i + 1, ROCKET "\xC3\xA4" ROCKET "\xE2\x82\xAC",
               13);
        memset(text + 200 * i + i + 14, ',', 200 - i - 14);
    }

    text[200 * 80] = '\0';
    e.description = str(text);
    snprintf(want, sizeof(want), "DESCRIPTION=%s", text);
    ok(reads_as(&e, 1, NULL, "", want, NULL), "folded between characters");

    e.description.len = 0;

    for (i = 0; i < 160; i++) {
        memset(text + i, 'x', 1);
        text[i + 1] = '\0';
        e.summary = str(text);

        if (!folded(&e, i + 1)) {
            break;
        }
    }

    is_int(i, 160, "lines of any length");

    for (i = 0; i < 10000; i++) {
        memcpy(text + 4 * i, ROCKET, 5);
    }

    e.description = str(text);
    snprintf(want, sizeof(want), "DESCRIPTION=%s", text);
    ok(reads_as(&e, 1, NULL, "", want, NULL), "10000 rockets");
}


static void
test_people(void)
{
    size_t            i;
    char              text[900];
    doi_ical_event_t  e;

    static const char *const  bad[] = {
        "ada", "a b@x.example", "<a@x.example>", "a@x\r\nX:y", "\"a\"@x",
        "a@b@c", "\xC3\xA4@x.example", "a@x,b", "a@x;CN=y", "a:b@x", "a@x\x7F"
    };

    e = event();
    e.attendee_name = str("Ada \"the Great\"; CN=x: M\xC3\xBCller,\r\n\tLtd.^n"
                          "\\\x1B\xFF");
    e.organizer_name = str("\":mailto:x@evil.example\r\nX-EVIL:1");
    ok(reads_as(&e, 1, NULL, "", "*X-EVIL=0", "*ATTENDEE=1",
                "ATTENDEE=mailto:ada@example.net",
                "ATTENDEE.CN=Ada 'the Great'; CN=x: M\xC3\xBCller,  Ltd.n\\"
                FFFD, "ATTENDEE.RSVP=FALSE",
                "ORGANIZER=mailto:owner@example.org",
                "ORGANIZER.CN=':mailto:x@evil.example X-EVIL:1", NULL),
       "no name gets out of its quotes");

    for (i = 0; i < 200; i++) {
        memcpy(text + 4 * i, ROCKET, 5);
    }

    e.attendee_name = str(text);
    ok(reads_as(&e, 1, NULL, "", "ATTENDEE=mailto:ada@example.net", NULL),
       "a name of 200 rockets");

    e.attendee = str("a+b%c?subject=x&d@example.net");
    ok(reads_as(&e, 1, NULL, "",
                "ATTENDEE=mailto:a+b%25c%3Fsubject=x%26d@example.net", NULL),
       "an address that would have a query");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        e.attendee = str(bad[i]);
        e.organizer = str(bad[i]);
        e.url = str("https://example.org/\r\nX:y");

        if (!ok(reads_as(&e, 1, NULL, "", "*ATTENDEE=0", "*ORGANIZER=0",
                         "*URL=0", "*X=0", NULL), "address %zu left out", i))
        {
            break;
        }
    }

    e.url = str("javascript:alert(1)");
    ok(reads_as(&e, 1, NULL, "", "*URL=0", NULL), "no link but to the web");
}


static void
test_feed(void)
{
    size_t             i, len;
    char              *text;
    doi_ical_event_t  *events;

    ok(reads_as(NULL, 0, NULL, "", "*BEGIN=1", "*NAME=0", NULL), "no events");

    ok(reads_as(NULL, 0, "PUBLISH", "M\xC3\xBCller; \"x\", \\ y\r\nX-EVIL:1",
                "NAME=M\xC3\xBCller; \"x\", \\ y X-EVIL:1", "*X-EVIL=0",
                "X-WR-CALNAME=M\xC3\xBCller; \"x\", \\ y X-EVIL:1", NULL),
       "the name of a calendar");

    events = calloc(5000, sizeof(*events));

    for (i = 0; i < 5000; i++) {
        events[i] = event();
    }

    text = doi_ical(events, 5000, NULL, str("All"), &len);
    ok(text != NULL && len > 5000 * 300 && strlen(text) == len,
       "5000 events");
    free(text);

    ok(reads_as(events, 20, NULL, "All", "*UID=20", "*ATTENDEE=20", NULL),
       "20 of them");

    free(events);
}


int
main(void)
{
    test_zones();
    test_forms();
    test_garbage();
    test_ranges();
    test_daylight();
    test_changes();
    test_event();
    test_texts();
    test_people();
    test_feed();

    /* what libical keeps of the zones */

    icaltimezone_free_builtin_timezones();

    return done_testing();
}
