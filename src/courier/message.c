/*
 * Mail messages.  See message.h.
 *
 *   multipart/mixed                 with a calendar object only
 *     multipart/alternative         with more than one of
 *       text/plain                  quoted-printable
 *       text/html                   quoted-printable
 *       text/calendar; method=...   quoted-printable
 *     application/ics               base64, attachment, invite.ics
 *
 * Why the calendar is there twice: mail programs that know iTIP look for the
 * alternative with its method, the others offer the attachment for download.
 * The attachment has another type, or the first kind would show the
 * invitation twice.
 *
 * Why boundaries need not be random: each starts with "=_", which neither
 * quoted-printable nor base64 can contain.
 *
 * Why quoted-printable: a message in a Maildir can be read as it is, and many
 * filters count base64 around text against a mail.
 */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "message.h"
#include "mime.h"


#define DOI_ID_MAX       60     /* so that a boundary fits on a line */
#define DOI_ADDRESS_MAX  254


static int doi_message_fit(const doi_message_t *message);
static int doi_address_fit(doi_str_t address);
static int doi_id_fit(doi_str_t id);
static int doi_method_fit(doi_str_t method);
static int doi_lang_fit(doi_str_t lang);
static doi_str_t doi_domain(doi_str_t address);
static void doi_mail_headers(doi_mime_t *mail, const doi_message_t *message);
static void doi_mail_date(doi_mime_t *mail, doi_time_t date);
static void doi_mail_address(doi_mime_t *mail, const char *field,
    doi_str_t name, doi_str_t address);
static void doi_mail_bodies(doi_mime_t *mail, const doi_message_t *message);
static void doi_mail_alternatives(doi_mime_t *mail,
    const doi_message_t *message);
static void doi_mail_multipart(doi_mime_t *mail, const char *type, char which,
    doi_str_t id);
static void doi_mail_boundary(doi_mime_t *mail, char which, doi_str_t id,
    const char *end);
static void doi_mail_part(doi_mime_t *mail, const char *type, doi_str_t method,
    doi_str_t body);
static void doi_mail_attachment(doi_mime_t *mail, doi_str_t data);
static int doi_alnum(uint8_t c);


size_t
doi_message(const doi_message_t *message, doi_buf_t *out)
{
    doi_mime_t  mail;

    if (!doi_message_fit(message)) {
        return 0;
    }

    doi_out_init(&mail.out, out);
    mail.col = 0;

    doi_mail_headers(&mail, message);
    doi_mail_bodies(&mail, message);

    if (mail.col) {
        doi_mime_crlf(&mail);
    }

    doi_out_done(&mail.out, out);

    return mail.out.need;
}


static int
doi_message_fit(const doi_message_t *message)
{
    if (!doi_address_fit(message->from) || !doi_address_fit(message->to)) {
        return 0;
    }

    if (message->reply_to.len && !doi_address_fit(message->reply_to)) {
        return 0;
    }

    return doi_id_fit(message->id) && doi_method_fit(message->method);
}


static int
doi_address_fit(doi_str_t address)
{
    size_t   i, at;
    uint8_t  c;

    if (address.len > DOI_ADDRESS_MAX) {
        return 0;
    }

    at = 0;

    for (i = 0; i < address.len; i++) {
        c = address.data[i];

        if (c <= ' ' || c >= 0x7F || strchr("<>,;:\\\"()", c) != NULL) {
            return 0;
        }

        if (c == '@') {

            if (at) {
                return 0;
            }

            at = i;
        }
    }

    return at != 0 && at + 1 < address.len;
}


/* A dot-atom, as the left part of a Message-ID is (RFC 5322, 3.6.4). */

static int
doi_id_fit(doi_str_t id)
{
    size_t   i;
    uint8_t  c, last;

    if (id.len > DOI_ID_MAX) {
        return 0;
    }

    last = '.';

    for (i = 0; i < id.len; i++) {
        c = id.data[i];

        if (!doi_alnum(c) && c != '_' && c != '-' && (c != '.' || last == '.'))
        {
            return 0;
        }

        last = c;
    }

    return last != '.';
}


static int
doi_method_fit(doi_str_t method)
{
    size_t                    i;
    static const char *const  names[] = { "", "REQUEST", "PUBLISH", "CANCEL" };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {

        if (method.len == strlen(names[i])
            && (method.len == 0
                || memcmp(method.data, names[i], method.len) == 0))
        {
            return 1;
        }
    }

    return 0;
}


static int
doi_lang_fit(doi_str_t lang)
{
    size_t  i;

    for (i = 0; i < lang.len; i++) {

        if (!doi_alnum(lang.data[i]) && lang.data[i] != '-') {
            return 0;
        }
    }

    return lang.len != 0 && lang.len <= 35;
}


static doi_str_t
doi_domain(doi_str_t address)
{
    size_t  skip;

    skip = (size_t) ((const uint8_t *) memchr(address.data, '@', address.len)
                     - address.data) + 1;

    address.data += skip;
    address.len -= skip;

    return address;
}


static void
doi_mail_headers(doi_mime_t *mail, const doi_message_t *message)
{
    doi_str_t  domain;

    doi_mail_date(mail, message->date);
    doi_mail_address(mail, "From:", message->from_name, message->from);
    doi_mail_address(mail, "To:", message->to_name, message->to);

    if (message->reply_to.len) {
        doi_mail_address(mail, "Reply-To:", message->reply_name,
                         message->reply_to);
    }

    domain = doi_domain(message->from);

    doi_mime_puts(mail, "Message-ID:");
    doi_mime_fold(mail, message->id.len + domain.len + sizeof("<@>") - 1);
    doi_mime_puts(mail, "<");
    doi_mime_put(mail, message->id.data, message->id.len);
    doi_mime_puts(mail, "@");
    doi_mime_put(mail, domain.data, domain.len);
    doi_mime_puts(mail, ">");
    doi_mime_crlf(mail);

    if (!doi_mime_blank(message->subject)) {
        doi_mime_puts(mail, "Subject:");
        doi_mime_text(mail, message->subject);
        doi_mime_crlf(mail);
    }

    doi_mime_puts(mail, "Auto-Submitted: auto-generated");
    doi_mime_crlf(mail);
    doi_mime_puts(mail, "X-Auto-Response-Suppress: All");
    doi_mime_crlf(mail);

    if (doi_lang_fit(message->lang)) {
        doi_mime_puts(mail, "Content-Language: ");
        doi_mime_put(mail, message->lang.data, message->lang.len);
        doi_mime_crlf(mail);
    }

    doi_mime_puts(mail, "MIME-Version: 1.0");
    doi_mime_crlf(mail);
}


/* Not strftime(): its names are those of a locale. */

static void
doi_mail_date(doi_mime_t *mail, doi_time_t date)
{
    char               text[64];
    time_t             t;
    struct tm          tm;
    static const char  days[] = "SunMonTueWedThuFriSat";
    static const char  months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    t = (time_t) date;

    if (gmtime_r(&t, &tm) == NULL) {
        return;
    }

    (void) snprintf(text, sizeof(text),
                    "Date: %.3s, %d %.3s %d %02d:%02d:%02d +0000",
                    days + 3 * tm.tm_wday, tm.tm_mday, months + 3 * tm.tm_mon,
                    tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    doi_mime_puts(mail, text);
    doi_mime_crlf(mail);
}


static void
doi_mail_address(doi_mime_t *mail, const char *field, doi_str_t name,
    doi_str_t address)
{
    doi_mime_puts(mail, field);

    if (doi_mime_blank(name)) {
        doi_mime_fold(mail, address.len);
        doi_mime_put(mail, address.data, address.len);
        doi_mime_crlf(mail);
        return;
    }

    doi_mime_name(mail, name);

    doi_mime_fold(mail, address.len + sizeof("<>") - 1);
    doi_mime_puts(mail, "<");
    doi_mime_put(mail, address.data, address.len);
    doi_mime_puts(mail, ">");
    doi_mime_crlf(mail);
}


static void
doi_mail_bodies(doi_mime_t *mail, const doi_message_t *message)
{
    if (message->calendar.len == 0) {
        doi_mail_alternatives(mail, message);
        return;
    }

    doi_mail_multipart(mail, "multipart/mixed", 'm', message->id);
    doi_mail_boundary(mail, 'm', message->id, "");
    doi_mail_alternatives(mail, message);
    doi_mail_boundary(mail, 'm', message->id, "");
    doi_mail_attachment(mail, message->calendar);
    doi_mail_boundary(mail, 'm', message->id, "--");
}


static void
doi_mail_alternatives(doi_mime_t *mail, const doi_message_t *message)
{
    size_t     i;
    unsigned   parts;
    doi_str_t  bodies[3], none = { NULL, 0 };

    static const char *const  types[3] = {
        "text/plain", "text/html", "text/calendar"
    };

    bodies[0] = message->text;
    bodies[1] = message->html;
    bodies[2] = message->calendar;

    parts = 0;

    for (i = 0; i < 3; i++) {
        parts += bodies[i].len != 0;
    }

    if (parts > 1) {
        doi_mail_multipart(mail, "multipart/alternative", 'a', message->id);
    }

    for (i = 0; i < 3; i++) {

        if (bodies[i].len == 0 && (parts || i)) {
            continue;
        }

        if (parts > 1) {
            doi_mail_boundary(mail, 'a', message->id, "");
        }

        doi_mail_part(mail, types[i], i == 2 ? message->method : none,
                      bodies[i]);
    }

    if (parts > 1) {
        doi_mail_boundary(mail, 'a', message->id, "--");
    }
}


static void
doi_mail_multipart(doi_mime_t *mail, const char *type, char which,
    doi_str_t id)
{
    doi_mime_puts(mail, "Content-Type: ");
    doi_mime_puts(mail, type);
    doi_mime_puts(mail, ";");
    doi_mime_crlf(mail);
    doi_mime_puts(mail, " boundary=\"=_");
    doi_mime_put(mail, &which, 1);
    doi_mime_puts(mail, "_");
    doi_mime_put(mail, id.data, id.len);
    doi_mime_puts(mail, "\"");
    doi_mime_crlf(mail);
}


/*
 * The line end in front belongs to the boundary, not to what is before it (RFC
 * 2046, 5.1.1); the first one ends the header.
 */

static void
doi_mail_boundary(doi_mime_t *mail, char which, doi_str_t id, const char *end)
{
    doi_mime_crlf(mail);
    doi_mime_puts(mail, "--=_");
    doi_mime_put(mail, &which, 1);
    doi_mime_puts(mail, "_");
    doi_mime_put(mail, id.data, id.len);
    doi_mime_puts(mail, end);
    doi_mime_crlf(mail);
}


static void
doi_mail_part(doi_mime_t *mail, const char *type, doi_str_t method,
    doi_str_t body)
{
    doi_mime_puts(mail, "Content-Type: ");
    doi_mime_puts(mail, type);
    doi_mime_puts(mail, "; charset=utf-8");

    if (method.len) {
        doi_mime_puts(mail, "; method=");
        doi_mime_put(mail, method.data, method.len);
    }

    doi_mime_crlf(mail);
    doi_mime_puts(mail, "Content-Transfer-Encoding: quoted-printable");
    doi_mime_crlf(mail);
    doi_mime_crlf(mail);
    doi_mime_qp(mail, body);
}


static void
doi_mail_attachment(doi_mime_t *mail, doi_str_t data)
{
    doi_mime_puts(mail, "Content-Type: application/ics; name=\"invite.ics\"");
    doi_mime_crlf(mail);
    doi_mime_puts(mail, "Content-Disposition: attachment;"
                        " filename=\"invite.ics\"");
    doi_mime_crlf(mail);
    doi_mime_puts(mail, "Content-Transfer-Encoding: base64");
    doi_mime_crlf(mail);
    doi_mime_crlf(mail);
    doi_mime_base64(mail, data);
}


static int
doi_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')
           || (c >= 'a' && c <= 'z');
}
