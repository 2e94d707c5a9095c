/*
 * Unit tests of src/courier/message.c and mime.c: what Python's mail parser
 * (t/lib/checkmail.py) reads is what was meant, whatever the names hold.
 */

#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/courier/message.h"
#include "tap.h"


#define ROOM    400000
#define ARGS    20

#define ROCKET  "\xF0\x9F\x9A\x80"
#define RLO     "\xE2\x80\xAE"
#define HEBREW  "\xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D"
#define FFFD    "\xEF\xBF\xBD"

#define CALENDAR                                                              \
    "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\n"                                   \
    "SUMMARY:M\xC3\xBCller = gr\xC3\xB6\xC3\x9F" "er als 75 Bytes ist diese"  \
    " Zeile hier\r\n"                                                         \
    "END:VCALENDAR\r\n"


extern char **environ;

static uint8_t  room[ROOM];


static doi_str_t
str(const char *text)
{
    doi_str_t  s;

    s.data = (const uint8_t *) text;
    s.len = strlen(text);

    return s;
}


static doi_message_t
plain(void)
{
    doi_message_t  m;

    memset(&m, 0, sizeof(m));

    m.from = str("praxis@example.org");
    m.to = str("ada@example.net");
    m.subject = str("Please confirm");
    m.id = str("AAECAwQFBgcICQoL.held");
    m.date = 1795510800;
    m.text = str("Hello\n");

    return m;
}


static size_t
write_out(const doi_message_t *m)
{
    doi_buf_t  out = { room, 0, sizeof(room) };
    size_t     len;

    len = doi_message(m, &out);

    return len == out.len ? len : 0;
}


/* key=value ..., NULL */

static int
reads_as(const doi_message_t *m, const char *first, ...)
{
    int          fd, status;
    char         path[] = "/tmp/doi-message-XXXXXX", script[4096];
    char        *argv[ARGS];
    size_t       n, len;
    pid_t        pid;
    va_list      args;
    const char  *arg, *root;

    len = write_out(m);
    fd = mkstemp(path);

    if (len == 0 || fd == -1 || write(fd, room, len) != (ssize_t) len) {
        printf("# no message\n");
        return 0;
    }

    root = getenv("DOI_ROOT");
    snprintf(script, sizeof(script), "%s/t/lib/checkmail.py",
             root != NULL ? root : ".");

    n = 0;
    argv[n++] = (char *) "python3";
    argv[n++] = script;
    argv[n++] = path;

    va_start(args, first);

    for (arg = first; arg != NULL && n < ARGS - 1; arg = va_arg(args, char *)) {
        argv[n++] = (char *) arg;
    }

    va_end(args);
    argv[n] = NULL;

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


static void
test_plain(void)
{
    doi_message_t  m;

    m = plain();
    ok(reads_as(&m, "from=praxis@example.org", "from_name=",
                "to=ada@example.net", "to_name=", "reply=",
                "subject=Please confirm", "types=text/plain", "text=Hello\n",
                "id=<AAECAwQFBgcICQoL.held@example.org>",
                "date=Tue, 24 Nov 2026 09:00:00 +0000", "lang=", NULL),
       "the least that a message has");

    m.text.len = 0;
    m.subject.len = 0;
    ok(reads_as(&m, "types=text/plain", "text=", "subject=", NULL),
       "without text");

    m.html = str("<p>Hello</p>\n");
    ok(reads_as(&m, "types=text/html", "html=<p>Hello</p>\n", NULL),
       "with HTML alone");

    m = plain();
    m.text = str("no line end");
    m.html = str("<p title=\"x=y\">G\xC3\xBC</p>");
    m.lang = str("de-AT");
    m.reply_to = str("owner@example.com");
    m.reply_name = str("Owner");
    ok(reads_as(&m, "types=multipart/alternative text/plain text/html",
                "text=no line end", "html=<p title=\"x=y\">G\xC3\xBC</p>",
                "lang=de-AT", "reply=owner@example.com", "reply_name=Owner",
                NULL),
       "text and HTML, byte by byte");

    m.lang = str("de\r\nBcc: x@example.org");
    ok(reads_as(&m, "lang=", NULL), "what is no language is left out");
}


static void
test_calendar(void)
{
    doi_message_t  m;

    m = plain();
    m.html = str("<p>Hello</p>\n");
    m.calendar = str(CALENDAR);
    m.method = str("REQUEST");

    ok(reads_as(&m, "types=multipart/mixed multipart/alternative text/plain "
                "text/html text/calendar application/ics", "method=REQUEST",
                "calendar=" CALENDAR, "attachment=" CALENDAR, "text=Hello\n",
                "html=<p>Hello</p>\n", NULL),
       "text, HTML, calendar and attachment");

    m.html.len = 0;
    m.text.len = 0;
    m.method.len = 0;
    ok(reads_as(&m, "types=multipart/mixed text/calendar application/ics",
                "method=", "calendar=" CALENDAR, NULL), "a calendar alone");

    m.id = str("012345678901234567890123456789012345678901234567890123456789");
    ok(reads_as(&m, "attachment=" CALENDAR, NULL), "an id of 60 bytes");
}


static void
test_name(const char *name, const char *read, const char *what)
{
    char           from[600], to[600], reply[600];
    doi_message_t  m;

    m = plain();
    m.from_name = str(name);
    m.to_name = str(name);
    m.reply_name = str(name);
    m.reply_to = str("owner@example.com");

    snprintf(from, sizeof(from), "from_name=%s", read);
    snprintf(to, sizeof(to), "to_name=%s", read);
    snprintf(reply, sizeof(reply), "reply_name=%s", read);

    ok(reads_as(&m, from, to, reply, "from=praxis@example.org",
                "to=ada@example.net", "reply=owner@example.com",
                "subject=Please confirm", NULL),
       "name: %s", what);
}


static void
test_names(void)
{
    test_name("Ada", "Ada", "one word");
    test_name("Dr. Ada, Countess of Lovelace (London)",
              "Dr. Ada, Countess of Lovelace (London)", "with specials");
    test_name("Ada \"the\\ Great\"", "Ada \"the\\ Great\"",
              "with quotes and a backslash");
    test_name("\"\"\"\"\\\\\\\\", "\"\"\"\"\\\\\\\\", "of quotes alone");
    test_name("<x@evil.example>,", "<x@evil.example>,", "that is an address");
    test_name("J\xC3\xBCrgen M\xC3\xBCller", "J\xC3\xBCrgen M\xC3\xBCller",
              "with umlauts");
    test_name(ROCKET ROCKET ROCKET ROCKET ROCKET ROCKET ROCKET ROCKET ROCKET
              ROCKET ROCKET ROCKET ROCKET ROCKET ROCKET ROCKET ROCKET ROCKET,
              ROCKET ROCKET ROCKET ROCKET ROCKET ROCKET ROCKET ROCKET ROCKET
              ROCKET ROCKET ROCKET ROCKET ROCKET ROCKET ROCKET ROCKET ROCKET,
              "of 18 rockets");
    test_name(HEBREW " " RLO "x", HEBREW " " RLO "x", "from right to left");
    test_name("=?UTF-8?Q?=0D=0ABcc?=", "=?UTF-8?Q?=0D=0ABcc?=",
              "that looks encoded");
    test_name("A\r\nBcc: x@evil.example", "A  Bcc: x@evil.example",
              "with a header in it");
    test_name("A\rB\nC\tD\x7F" "E\xC2\x85" "F\xE2\x80\xA8G", "A B C D E F G",
              "with control characters");
    test_name("A\xC3(B\xF0\x9F\xFF", "A" FFFD "(B" FFFD FFFD, "not UTF-8");
    test_name(" \r\n\t ", "", "of blanks");
    test_name("An organisation with a name of more than sixty characters, and"
              " then another sixty, as if it were a law in Germany, section 3",
              "An organisation with a name of more than sixty characters, and"
              " then another sixty, as if it were a law in Germany, section 3",
              "a long one");
}


static void
test_subject(const char *subject, const char *read, const char *what)
{
    static char    want[20000];
    doi_message_t  m;

    m = plain();
    m.subject = str(subject);

    snprintf(want, sizeof(want), "subject=%s", read);

    ok(reads_as(&m, want, "text=Hello\n", "to=ada@example.net", NULL),
       "subject: %s", what);
}


static void
test_subjects(void)
{
    int    i;
    char   cases[100], want[100];
    static char  text[16000];

    for (i = 0; i < 2000; i++) {
        memcpy(text + 5 * i, "word ", 5);
    }

    text[9999] = '\0';
    test_subject(text, text, "2000 words");

    for (i = 0; i < 3000; i++) {
        memcpy(text + 4 * i, ROCKET, 5);
    }

    test_subject(text, text, "3000 rockets");

    memset(text, 'x', 1000);
    text[1000] = '\0';
    test_subject(text, text, "a word of 1000 letters");

    test_subject("Termin am 24. November um 9 Uhr best\xC3\xA4tigen: "
                 "Praxis f\xC3\xBCr Physiotherapie, M\xC3\xBCnchen",
                 "Termin am 24. November um 9 Uhr best\xC3\xA4tigen: "
                 "Praxis f\xC3\xBCr Physiotherapie, M\xC3\xBCnchen", "German");
    test_subject("a  b", "a  b", "two blanks");
    test_subject(" a ", " a ", "blanks around it");
    test_subject("a =?x", "a =?x", "the start of an encoded word");
    test_subject("x\r\n\r\n<script>", "x    <script>", "the end of the header");
    test_subject("x\xC2\x85y z", "x y z", "a control character of two bytes");
    test_subject("\xC2\x85", "", "of a control character alone");

    /* every column at which a character may have to be split off */

    for (i = 0; i < 16; i++) {
        memset(cases, 'x', (size_t) i);
        strcpy(cases + i, "\xC3\xA4" ROCKET HEBREW ROCKET "\xC3\xA4" HEBREW
               ROCKET ROCKET HEBREW);
        strcpy(want, cases);
        test_subject(cases, want, "whole characters in each word");
    }
}


static void
test_text(const char *text, const char *read, const char *what)
{
    static char    want[20000], html[20000];
    doi_message_t  m;

    m = plain();
    m.text = str(text);
    m.html = str(text);

    snprintf(want, sizeof(want), "text=%s", read);
    snprintf(html, sizeof(html), "html=%s", read);

    ok(reads_as(&m, want, html, NULL), "text: %s", what);
}


static void
test_texts(void)
{
    char         cases[200];
    size_t       i;
    static char  text[16000];

    memset(text, '=', 10000);
    text[10000] = '\0';
    test_text(text, text, "10000 equals signs");

    for (i = 0; i < 3000; i++) {
        memcpy(text + 4 * i, i % 20 ? ROCKET : " abc", 5);
    }

    test_text(text, text, "rockets");
    test_text(".\n.\n\n..\nFrom me\n>From\n", ".\n.\n\n..\nFrom me\n>From\n",
              "dots and From");
    test_text("blank \ntab\t\n \n", "blank \ntab\t\n \n", "blanks at the end");
    test_text("a \t", "a \t", "and at the very end");
    test_text("a\r\nb\rc\vd\n", "a\nb c d\n", "line ends and controls");
    test_text("\xFF\xC3\n\xE2\x82\n", FFFD FFFD "\n" FFFD "\n", "not UTF-8");
    test_text("--=_a_AAECAwQFBgcICQoL.held--\r\nContent-Type: text/html\n",
              "--=_a_AAECAwQFBgcICQoL.held--\nContent-Type: text/html\n",
              "a boundary");

    text[0] = '\0';

    for (i = 70; i < 80; i++) {
        memset(cases, 'x', i);
        strcpy(cases + i, ". .\n=\n");
        strcat(text, cases);
        strcpy(cases + i, " \n\xC3\xA4 \n");
        strcat(text, cases);
    }

    test_text(text, text, "lines that just fit, or do not");
}


static void
test_soft_breaks(void)
{
    const char    *link;
    doi_message_t  m;

    m = plain();
    link = "https://book.example.org/confirm/"
           "EGqFxQEAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcY";
    m.text = str("Please open this link to confirm your appointment, please: "
                 "https://book.example.org/confirm/"
                 "EGqFxQEAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcY\n");

    ok(write_out(&m) && memmem(room, sizeof(room), link, strlen(link)) != NULL,
       "a link that fits on a line is not broken");
}


static void
test_addresses(void)
{
    char         longest[255];
    char         want[300];
    size_t       i;
    doi_message_t  m;

    static const char *const  bad[] = {
        "", "ada", "@", "@x", "ada@", "a@b@c", "a b@x.example", "a@x\r\n",
        "a@x\nBcc: b@x", "a@x,b@x", "<a@x>", "\"a\"@x", "a(b)@x", "a@x;",
        "a:b@x", "a\\@x", "\xC3\xA4@x.example", "a@\x7Fx", "a@x\t"
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        m = plain();
        m.to = str(bad[i]);
        is_int(write_out(&m), 0, "recipient %zu refused", i);
        m = plain();
        m.from = str(bad[i]);
        is_int(write_out(&m), 0, "sender %zu refused", i);

        if (bad[i][0] != '\0') {
            m = plain();
            m.reply_to = str(bad[i]);
            is_int(write_out(&m), 0, "Reply-To %zu refused", i);
        }
    }

    m = plain();
    m.to.data = (const uint8_t *) "a@x\0y";
    m.to.len = 5;
    is_int(write_out(&m), 0, "an address with a NUL");

    memset(longest, 'x', 254);
    longest[64] = '@';
    longest[254] = '\0';
    m = plain();
    m.to = str(longest);
    m.to_name = str("J\xC3\xBCrgen");
    m.from = str(longest);
    snprintf(want, sizeof(want), "to=%s", longest);
    ok(reads_as(&m, want, "to_name=J\xC3\xBCrgen", "from_name=", NULL),
       "the longest address");

    m.to.len = 255;
    is_int(write_out(&m), 0, "a longer one");
}


static void
test_ids(void)
{
    size_t         i;
    doi_message_t  m;

    static const char *const  bad[] = {
        "", ".", "a.", ".a", "a..b", "a b", "a@b", "a>", "a\r\nb", "a\"",
        "0123456789012345678901234567890123456789012345678901234567890"
    };

    static const char *const  methods[] = {
        "request", "REQUEST\r\n", "REPLY", "REQUESTS", ";"
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        m = plain();
        m.id = str(bad[i]);
        is_int(write_out(&m), 0, "id %zu refused", i);
    }

    for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        m = plain();
        m.calendar = str(CALENDAR);
        m.method = str(methods[i]);
        is_int(write_out(&m), 0, "method %zu refused", i);
    }
}


static void
test_same_bytes(void)
{
    int             same;
    size_t          i, len;
    uint8_t        *copy, *part;
    doi_buf_t       out;
    doi_message_t   m;

    m = plain();
    m.to_name = str(ROCKET " \"x\"");
    m.html = str("<p>\xC3\xA4</p>");
    m.calendar = str(CALENDAR);
    m.method = str("CANCEL");

    len = write_out(&m);
    copy = malloc(len);
    memcpy(copy, room, len);

    ok(write_out(&m) == len && memcmp(copy, room, len) == 0,
       "the same message, the same bytes");

    same = 1;

    for (i = 0; i <= len; i++) {

        /* a block of its own, for the address sanitizer */

        part = malloc(i ? i : 1);
        out.data = i ? part : NULL;
        out.len = 0;
        out.size = i;

        same &= doi_message(&m, &out) == len && out.len == i
                && memcmp(part, copy, i) == 0;
        free(part);
    }

    ok(same, "with any room: as much as fits, and the length of the whole");

    memcpy(room, "X", 1);
    out.data = room;
    out.len = 1;
    out.size = sizeof(room);
    ok(doi_message(&m, &out) == len && out.len == len + 1 && room[0] == 'X'
       && memcmp(room + 1, copy, len) == 0, "it is appended");

    m.id = str("AAECAwQFBgcICQoL.sent");
    ok(write_out(&m) == len && memcmp(copy, room, len) != 0,
       "another id, another message");

    m.to = str("x y");
    out.len = 1;
    ok(doi_message(&m, &out) == 0 && out.len == 1,
       "what is refused writes nothing");

    free(copy);
}


static void
test_dates(void)
{
    doi_message_t  m;

    m = plain();
    m.date = 0;
    ok(reads_as(&m, "date=Thu, 01 Jan 1970 00:00:00 +0000", NULL), "1970");
    m.date = 0xFFFFFFFF;
    ok(reads_as(&m, "date=Sun, 07 Feb 2106 06:28:15 +0000", NULL), "2106");
}


int
main(void)
{
    test_plain();
    test_calendar();
    test_names();
    test_subjects();
    test_texts();
    test_soft_breaks();
    test_addresses();
    test_ids();
    test_same_bytes();
    test_dates();

    return done_testing();
}
