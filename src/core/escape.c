/*
 * Escaping.  See escape.h.
 */

#include "escape.h"

#include <string.h>


#define DOI_REPLACEMENT      "\xEF\xBF\xBD"          /* U+FFFD */
#define DOI_REPLACEMENT_URI  "%EF%BF%BD"

#define doi_out_text(out, text)  doi_out_put(out, text, sizeof(text) - 1)


static int doi_is_alnum(uint8_t c);
static int doi_is_plain(doi_escape_t how, uint8_t c);
static int doi_is_break(const uint8_t *p, size_t len);
static int doi_is_link(doi_str_t s);
static int doi_has_prefix(doi_str_t s, const char *prefix);
static doi_str_t doi_without_scheme(doi_str_t s);
static void doi_out_utf8(doi_out_t *out, doi_escape_t how, doi_str_t value);
static void doi_out_ascii(doi_out_t *out, doi_escape_t how, uint8_t c);
static void doi_out_percent(doi_out_t *out, const uint8_t *p, size_t len);
static void doi_out_tel(doi_out_t *out, doi_str_t value);


void
doi_out_init(doi_out_t *out, const doi_buf_t *buf)
{
    out->pos = buf->size > buf->len ? buf->data + buf->len : NULL;
    out->end = buf->size > buf->len ? buf->data + buf->size : NULL;
    out->need = 0;
}


void
doi_out_done(const doi_out_t *out, doi_buf_t *buf)
{
    if (out->pos != NULL) {
        buf->len = (size_t) (out->pos - buf->data);
    }
}


void
doi_out_put(doi_out_t *out, const void *data, size_t len)
{
    size_t  fits;

    out->need += len;

    fits = (size_t) (out->end - out->pos);

    if (fits > len) {
        fits = len;
    }

    if (fits) {
        memcpy(out->pos, data, fits);
        out->pos += fits;
    }
}


void
doi_out_escape(doi_out_t *out, doi_escape_t how, doi_str_t value)
{
    switch (how) {

    case DOI_ESCAPE_RAW:
        doi_out_put(out, value.data, value.len);
        break;

    case DOI_ESCAPE_TEL:
        doi_out_tel(out, value);
        break;

    case DOI_ESCAPE_URL:
        if (doi_is_link(value)) {
            doi_out_utf8(out, how, value);
        }
        break;

    case DOI_ESCAPE_SHORT:
        doi_out_utf8(out, DOI_ESCAPE_HTML, doi_without_scheme(value));
        break;

    case DOI_ESCAPE_HTML:
    case DOI_ESCAPE_URI:
    case DOI_ESCAPE_JSON:
    case DOI_ESCAPE_TEXT:
        doi_out_utf8(out, how, value);
        break;
    }
}


int
doi_escape_empty(doi_escape_t how, doi_str_t value)
{
    doi_out_t  out = { NULL, NULL, 0 };

    if (value.len == 0) {
        return 1;
    }

    if (how == DOI_ESCAPE_HTML || how == DOI_ESCAPE_JSON
        || how == DOI_ESCAPE_TEXT || how == DOI_ESCAPE_RAW)
    {
        return 0;
    }

    doi_out_escape(&out, how, value);

    return out.need == 0;
}


static void
doi_out_utf8(doi_out_t *out, doi_escape_t how, doi_str_t value)
{
    size_t          len, bad;
    const uint8_t  *p, *end, *run;

    if (value.len == 0) {
        return;
    }

    p = value.data;
    end = p + value.len;
    run = p;

    while (p < end) {

        if (*p < 0x80) {

            if (doi_is_plain(how, *p)) {
                p++;
                continue;
            }

            doi_out_put(out, run, (size_t) (p - run));
            doi_out_ascii(out, how, *p++);
            run = p;
            continue;
        }

        len = doi_utf8_next(p, end, &bad);

        if (len && how != DOI_ESCAPE_URI && how != DOI_ESCAPE_URL
            && !(how == DOI_ESCAPE_TEXT && doi_is_break(p, len)))
        {
            p += len;
            continue;
        }

        doi_out_put(out, run, (size_t) (p - run));

        if (len && how == DOI_ESCAPE_TEXT) {
            doi_out_text(out, " ");
            p += len;

        } else if (len) {
            doi_out_percent(out, p, len);
            p += len;

        } else {
            if (how == DOI_ESCAPE_URI || how == DOI_ESCAPE_URL) {
                doi_out_text(out, DOI_REPLACEMENT_URI);

            } else {
                doi_out_text(out, DOI_REPLACEMENT);
            }

            p += bad;
        }

        run = p;
    }

    doi_out_put(out, run, (size_t) (p - run));
}


static int
doi_is_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')
           || (c >= 'a' && c <= 'z');
}


/* C1 controls (next line is one), and the separators U+2028 and U+2029. */

static int
doi_is_break(const uint8_t *p, size_t len)
{
    return (len == 2 && p[0] == 0xC2 && p[1] < 0xA0)
           || (len == 3 && p[0] == 0xE2 && p[1] == 0x80
               && (p[2] == 0xA8 || p[2] == 0xA9));
}


/* ASCII that is written as it is. */

static int
doi_is_plain(doi_escape_t how, uint8_t c)
{
    if (doi_is_alnum(c)) {
        return 1;
    }

    if (c < 0x20 || c == 0x7F) {
        return how == DOI_ESCAPE_HTML && (c == '\t' || c == '\n');
    }

    switch (how) {

    case DOI_ESCAPE_HTML:
        return c != '&' && c != '<' && c != '>' && c != '"' && c != '\'';

    case DOI_ESCAPE_JSON:
        return c != '"' && c != '\\';

    case DOI_ESCAPE_TEXT:
        return 1;

    case DOI_ESCAPE_URI:
        /* "@" is legal in a query, and some mail programs do not
           find the host of an address without it */
        return c == '-' || c == '.' || c == '_' || c == '~' || c == '@';

    default: /* DOI_ESCAPE_URL */
        /* what RFC 3986 allows, but for & and ', which HTML would read */
        return strchr("-._~:/?#[]@!$()*+,;=%", c) != NULL;
    }
}


static void
doi_out_ascii(doi_out_t *out, doi_escape_t how, uint8_t c)
{
    char               hex[2];
    static const char  digits[] = "0123456789abcdef";

    switch (how) {

    case DOI_ESCAPE_JSON:

        switch (c) {
        case '"':
            doi_out_text(out, "\\\"");
            return;
        case '\\':
            doi_out_text(out, "\\\\");
            return;
        case '\n':
            doi_out_text(out, "\\n");
            return;
        case '\r':
            doi_out_text(out, "\\r");
            return;
        case '\t':
            doi_out_text(out, "\\t");
            return;
        default:
            break;
        }

        hex[0] = digits[c >> 4];
        hex[1] = digits[c & 0xF];
        doi_out_text(out, "\\u00");
        doi_out_put(out, hex, 2);
        return;

    case DOI_ESCAPE_TEXT:
        doi_out_text(out, " ");
        return;

    case DOI_ESCAPE_URI:

        /* mail programs have taken %0D%0A in an address for a new header */

        if (c >= 0x20 && c != 0x7F) {
            doi_out_percent(out, &c, 1);
        }

        return;

    case DOI_ESCAPE_URL:

        if (c == '&') {
            doi_out_text(out, "&amp;");
            return;
        }

        /* browsers drop tabs and line ends and read "\" as "/":
           escaped, "/<tab>/host" stays a path of this site */

        doi_out_percent(out, &c, 1);
        return;

    default: /* DOI_ESCAPE_HTML */

        switch (c) {
        case '&':
            doi_out_text(out, "&amp;");
            return;
        case '<':
            doi_out_text(out, "&lt;");
            return;
        case '>':
            doi_out_text(out, "&gt;");
            return;
        case '"':
            doi_out_text(out, "&quot;");
            return;
        case '\'':
            doi_out_text(out, "&#39;");
            return;
        case '\r':
            doi_out_text(out, "\n");
            return;
        default:
            doi_out_text(out, DOI_REPLACEMENT);
            return;
        }
    }
}


static void
doi_out_percent(doi_out_t *out, const uint8_t *p, size_t len)
{
    char               hex[3];
    size_t             i;
    static const char  digits[] = "0123456789ABCDEF";

    for (i = 0; i < len; i++) {
        hex[0] = '%';
        hex[1] = digits[p[i] >> 4];
        hex[2] = digits[p[i] & 0xF];
        doi_out_put(out, hex, 3);
    }
}


static void
doi_out_tel(doi_out_t *out, doi_str_t value)
{
    size_t  i;
    int     digits, plus;

    digits = 0;
    plus = 0;

    for (i = 0; i < value.len; i++) {

        if (value.data[i] == '+' && !digits && !plus) {
            plus = 1;
            continue;
        }

        /* "+49 (0)30 ...": the zero is dialled only within the country */

        if (plus && value.len - i >= 3
            && memcmp(value.data + i, "(0)", 3) == 0)
        {
            i += 2;
            continue;
        }

        if (value.data[i] >= '0' && value.data[i] <= '9') {

            if (plus && !digits) {
                doi_out_text(out, "+");
            }

            doi_out_put(out, value.data + i, 1);
            digits = 1;
        }
    }
}


static int
doi_has_prefix(doi_str_t s, const char *prefix)
{
    size_t   i;
    uint8_t  c;

    for (i = 0; prefix[i] != '\0'; i++) {

        if (i >= s.len) {
            return 0;
        }

        c = s.data[i];

        if (c >= 'A' && c <= 'Z') {
            c |= 0x20;
        }

        if (c != (uint8_t) prefix[i]) {
            return 0;
        }
    }

    return 1;
}


static int
doi_is_link(doi_str_t s)
{
    if (s.len && s.data[0] == '/') {
        return s.len == 1 || (s.data[1] != '/' && s.data[1] != '\\');
    }

    return (doi_has_prefix(s, "http://") && s.len > sizeof("http://") - 1)
           || (doi_has_prefix(s, "https://") && s.len > sizeof("https://") - 1);
}


static doi_str_t
doi_without_scheme(doi_str_t s)
{
    size_t  skip;

    skip = doi_has_prefix(s, "https://") ? sizeof("https://") - 1
           : doi_has_prefix(s, "http://") ? sizeof("http://") - 1 : 0;

    if (skip) {
        s.data += skip;
        s.len -= skip;

        if (s.len && s.data[s.len - 1] == '/') {
            s.len--;
        }
    }

    return s;
}


size_t
doi_utf8_next(const uint8_t *p, const uint8_t *end, size_t *bad)
{
    size_t   i, len;
    uint8_t  c, low, high;

    c = p[0];
    *bad = 1;

    /* table 3-7 of the Unicode standard: only the second byte has ranges of
       its own, which exclude overlong forms, surrogates, and > U+10FFFF */

    low = 0x80;
    high = 0xBF;

    if (c < 0x80) {
        return 1;
    }

    if (c >= 0xC2 && c <= 0xDF) {
        len = 2;

    } else if (c >= 0xE0 && c <= 0xEF) {
        len = 3;
        low = c == 0xE0 ? 0xA0 : 0x80;
        high = c == 0xED ? 0x9F : 0xBF;

    } else if (c >= 0xF0 && c <= 0xF4) {
        len = 4;
        low = c == 0xF0 ? 0x90 : 0x80;
        high = c == 0xF4 ? 0x8F : 0xBF;

    } else {
        return 0;
    }

    for (i = 1; i < len; i++) {

        if (p + i == end || p[i] < low || p[i] > high) {
            *bad = i;
            return 0;
        }

        low = 0x80;
        high = 0xBF;
    }

    return len;
}


size_t
doi_utf8_check(doi_str_t s)
{
    size_t  i, len, bad;

    for (i = 0; i < s.len; i += len) {

        len = doi_utf8_next(s.data + i, s.data + s.len, &bad);

        if (len == 0) {
            return i;
        }
    }

    return s.len;
}
