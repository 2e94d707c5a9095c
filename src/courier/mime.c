/*
 * Encodings of MIME.  See mime.h.
 */

#include <string.h>

#include <openssl/evp.h>

#include "mime.h"


#define DOI_WORD_MAX      75    /* encoded word, the same                    */
#define DOI_QP_MAX        76    /* line, with the "=" of a soft break        */
#define DOI_ASCII_MAX     60    /* a word beyond this is encoded, to fold it */
#define DOI_BASE64_LINE   57    /* bytes of 76 characters                    */

#define DOI_WORD_START_Q  "=?UTF-8?Q?"
#define DOI_WORD_START_B  "=?UTF-8?B?"
#define DOI_WORD_END      "?="
#define DOI_WORD_ROOM     (DOI_WORD_MAX - (sizeof(DOI_WORD_START_Q) - 1)      \
                           - (sizeof(DOI_WORD_END) - 1))


/* A character of cleaned text. */

typedef struct {
    uint8_t  bytes[4];
    size_t   len;
} doi_char_t;


static int doi_text_plain(doi_str_t text);
static void doi_text_fold(doi_mime_t *mime, doi_str_t text);
static void doi_encode(doi_mime_t *mime, doi_str_t text);
static int doi_encode_q(doi_str_t text);
static size_t doi_encode_fits(doi_str_t text, size_t pos, int q, size_t room);
static void doi_encode_word_q(doi_mime_t *mime, doi_str_t text, size_t pos,
    size_t end);
static void doi_encode_word_b(doi_mime_t *mime, doi_str_t text, size_t pos,
    size_t end);
static size_t doi_q_len(const doi_char_t *c);
static void doi_qp_char(doi_mime_t *mime, doi_str_t text, size_t pos,
    size_t next, const doi_char_t *c);
static void doi_qp_break(doi_mime_t *mime);
static size_t doi_qp_len(const doi_char_t *c);
static size_t doi_qp_word(doi_str_t text, size_t pos);
static void doi_hex(doi_mime_t *mime, const doi_char_t *c);
static size_t doi_next_char(doi_str_t text, size_t pos, doi_char_t *c);
static int doi_is(const doi_char_t *c, uint8_t ascii);
static size_t doi_line_end(doi_str_t text, size_t pos);


void
doi_mime_put(doi_mime_t *mime, const void *data, size_t len)
{
    doi_out_put(&mime->out, data, len);
    mime->col += len;
}


void
doi_mime_puts(doi_mime_t *mime, const char *text)
{
    doi_mime_put(mime, text, strlen(text));
}


void
doi_mime_crlf(doi_mime_t *mime)
{
    doi_out_put(&mime->out, "\r\n", 2);
    mime->col = 0;
}


void
doi_mime_fold(doi_mime_t *mime, size_t len)
{
    if (mime->col + 1 + len > DOI_MIME_LINE) {
        doi_mime_crlf(mime);
    }

    doi_mime_puts(mime, " ");
}


/*
 * ASCII is always quoted: no name needs it less by being of atoms alone.  What
 * looks like encoded words is encoded, many readers decode them inside of
 * quotes too.
 */

void
doi_mime_name(doi_mime_t *mime, doi_str_t name)
{
    size_t      i, len;
    doi_char_t  c;

    len = name.len;

    for (i = 0; i < name.len; i++) {
        len += name.data[i] == '"' || name.data[i] == '\\';
    }

    if (!doi_text_plain(name) || len > DOI_ASCII_MAX) {
        doi_encode(mime, name);
        return;
    }

    doi_mime_puts(mime, " \"");

    for (i = 0; i < name.len; /* void */) {
        i += doi_next_char(name, i, &c);

        if (doi_is(&c, '"') || doi_is(&c, '\\')) {
            doi_mime_puts(mime, "\\");
        }

        doi_mime_put(mime, c.bytes, 1);
    }

    doi_mime_puts(mime, "\"");
}


void
doi_mime_text(doi_mime_t *mime, doi_str_t text)
{
    if (doi_text_plain(text)) {
        doi_text_fold(mime, text);

    } else {
        doi_encode(mime, text);
    }
}


int
doi_mime_blank(doi_str_t text)
{
    size_t      i;
    doi_char_t  c;

    for (i = 0; i < text.len; /* void */) {
        i += doi_next_char(text, i, &c);

        if (!doi_is(&c, ' ')) {
            return 0;
        }
    }

    return 1;
}


/*
 * ASCII that survives as it is.  Two blanks, or one at either end, may get lost
 * where a line is folded or in a reader.
 */

static int
doi_text_plain(doi_str_t text)
{
    size_t      i, word;
    uint8_t     last;
    doi_char_t  c;

    last = ' ';
    word = 0;

    for (i = 0; i < text.len; /* void */) {
        i += doi_next_char(text, i, &c);

        if (c.len != 1 || (doi_is(&c, ' ') && last == ' ')
            || (doi_is(&c, '?') && last == '='))
        {
            return 0;
        }

        last = c.bytes[0];
        word = last == ' ' ? 0 : word + 1;

        if (word > DOI_ASCII_MAX) {
            return 0;
        }
    }

    return last != ' ';
}


static void
doi_text_fold(doi_mime_t *mime, doi_str_t text)
{
    size_t      i, len, end;
    doi_char_t  c;

    for (i = 0; i < text.len; i = end + len) {

        len = 0;

        for (end = i; end < text.len; end += len) {

            len = doi_next_char(text, end, &c);

            if (doi_is(&c, ' ')) {
                break;
            }
        }

        if (end == text.len) {
            len = 0;
        }

        doi_mime_fold(mime, end - i);
        doi_mime_put(mime, text.data + i, end - i);
    }
}


/* Encoded words, each of whole characters. */

static void
doi_encode(doi_mime_t *mime, doi_str_t text)
{
    int     q;
    size_t  i, end, room;

    q = doi_encode_q(text);

    for (i = 0; i < text.len; i = end) {

        doi_mime_puts(mime, q ? " " DOI_WORD_START_Q : " " DOI_WORD_START_B);

        room = DOI_MIME_LINE - (sizeof(DOI_WORD_END) - 1) - mime->col;
        end = doi_encode_fits(text, i, q,
                              room < DOI_WORD_ROOM ? room : DOI_WORD_ROOM);

        if (q) {
            doi_encode_word_q(mime, text, i, end);

        } else {
            doi_encode_word_b(mime, text, i, end);
        }

        doi_mime_puts(mime, DOI_WORD_END);

        if (end < text.len) {
            doi_mime_crlf(mime);
        }
    }
}


/*
 * 1 if Q is the shorter encoding: it is for most of Europe's languages, which
 * can then be read as they are.
 */

static int
doi_encode_q(doi_str_t text)
{
    size_t      i, q, b;
    doi_char_t  c;

    q = 0;
    b = 0;

    for (i = 0; i < text.len; /* void */) {
        i += doi_next_char(text, i, &c);
        q += doi_q_len(&c);
        b += c.len;
    }

    return q <= (b + 2) / 3 * 4;
}


/* The end of what fits into room bytes.  The names of our fields are short: one
   character always does. */

static size_t
doi_encode_fits(doi_str_t text, size_t pos, int q, size_t room)
{
    size_t      len, plain, coded;
    doi_char_t  c;

    plain = 0;
    coded = 0;

    while (pos < text.len) {

        len = doi_next_char(text, pos, &c);

        plain += c.len;
        coded = q ? coded + doi_q_len(&c) : (plain + 2) / 3 * 4;

        if (coded > room) {
            break;
        }

        pos += len;
    }

    return pos;
}


static void
doi_encode_word_q(doi_mime_t *mime, doi_str_t text, size_t pos, size_t end)
{
    doi_char_t  c;

    while (pos < end) {
        pos += doi_next_char(text, pos, &c);

        if (doi_is(&c, ' ')) {
            doi_mime_puts(mime, "_");

        } else if (doi_q_len(&c) == 1) {
            doi_mime_put(mime, c.bytes, 1);

        } else {
            doi_hex(mime, &c);
        }
    }
}


static void
doi_encode_word_b(doi_mime_t *mime, doi_str_t text, size_t pos, size_t end)
{
    size_t         len;
    uint8_t        plain[DOI_WORD_MAX];
    doi_char_t     c;
    unsigned char  coded[DOI_WORD_MAX / 3 * 4 + 1];

    len = 0;

    while (pos < end) {
        pos += doi_next_char(text, pos, &c);
        memcpy(plain + len, c.bytes, c.len);
        len += c.len;
    }

    doi_mime_put(mime, coded,
                 (size_t) EVP_EncodeBlock(coded, plain, (int) len));
}


/* Unencoded is only what may be so in a phrase: RFC 2047, 5 (3). */

static size_t
doi_q_len(const doi_char_t *c)
{
    uint8_t  b;

    b = c->bytes[0];

    if (c->len == 1
        && ((b >= '0' && b <= '9') || (b >= 'A' && b <= 'Z')
            || (b >= 'a' && b <= 'z') || strchr(" !*+-/", b) != NULL))
    {
        return 1;
    }

    return 3 * c->len;
}


/*
 * RFC 2045, 6.7.  Soft line breaks go between words where they can: what was
 * not meant to be read raw, such as a message in a Maildir, then can be.
 */

void
doi_mime_qp(doi_mime_t *mime, doi_str_t text)
{
    int         inside;
    size_t      i, len;
    doi_char_t  c;

    inside = 0;

    for (i = 0; i < text.len; i += len) {

        len = doi_line_end(text, i);

        if (len) {
            doi_mime_crlf(mime);
            inside = 0;
            continue;
        }

        len = doi_next_char(text, i, &c);

        if (doi_is(&c, ' ')) {
            inside = 0;

        } else if (!inside) {
            inside = 1;

            if (mime->col && doi_qp_word(text, i) < DOI_QP_MAX
                && mime->col + doi_qp_word(text, i) >= DOI_QP_MAX)
            {
                doi_qp_break(mime);
            }
        }

        doi_qp_char(mime, text, i, i + len, &c);
    }
}


void
doi_mime_base64(doi_mime_t *mime, doi_str_t data)
{
    size_t         i, len;
    unsigned char  line[DOI_BASE64_LINE / 3 * 4 + 1];

    for (i = 0; i < data.len; i += len) {

        if (i) {
            doi_mime_crlf(mime);
        }

        len = data.len - i < DOI_BASE64_LINE ? data.len - i : DOI_BASE64_LINE;

        doi_mime_put(mime, line,
                     (size_t) EVP_EncodeBlock(line, data.data + i, (int) len));
    }
}


static void
doi_qp_char(doi_mime_t *mime, doi_str_t text, size_t pos, size_t next,
    const doi_char_t *c)
{
    size_t      need;
    doi_char_t  tab;

    if (text.data[pos] == '\t') {
        tab.bytes[0] = '\t';
        tab.len = 1;
        c = &tab;
    }

    need = doi_qp_len(c);

    /* relays strip blanks at the end of a line */

    if ((doi_is(c, ' ') || doi_is(c, '\t'))
        && (next == text.len || doi_line_end(text, next)))
    {
        need = 3;
    }

    if (mime->col + need >= DOI_QP_MAX) {
        doi_qp_break(mime);
    }

    /* a dot alone ends a mail in SMTP, and "From " starts one in mbox */

    if (mime->col == 0
        && (doi_is(c, '.')
            || (text.len - pos >= sizeof("From ") - 1
                && memcmp(text.data + pos, "From ", sizeof("From ") - 1) == 0)))
    {
        need = 3;
    }

    if (need == 1) {
        doi_mime_put(mime, c->bytes, 1);

    } else {
        doi_hex(mime, c);
    }
}


static void
doi_qp_break(doi_mime_t *mime)
{
    doi_mime_puts(mime, "=");
    doi_mime_crlf(mime);
}


static size_t
doi_qp_len(const doi_char_t *c)
{
    return c->len == 1 && !doi_is(c, '=') ? 1 : 3 * c->len;
}


/* Length of a word as it will be written, or more than a line has. */

static size_t
doi_qp_word(doi_str_t text, size_t pos)
{
    size_t      len;
    doi_char_t  c;

    len = 0;

    while (pos < text.len && len < DOI_QP_MAX && !doi_line_end(text, pos)) {

        pos += doi_next_char(text, pos, &c);

        if (doi_is(&c, ' ')) {
            break;
        }

        len += doi_qp_len(&c);
    }

    return len;
}


static void
doi_hex(doi_mime_t *mime, const doi_char_t *c)
{
    char               hex[3];
    size_t             i;
    static const char  digits[] = "0123456789ABCDEF";

    hex[0] = '=';

    for (i = 0; i < c->len; i++) {
        hex[1] = digits[c->bytes[i] >> 4];
        hex[2] = digits[c->bytes[i] & 0xF];
        doi_mime_put(mime, hex, 3);
    }
}


/*
 * The next character of text and how many bytes it took there.  The C1 control
 * characters and Unicode's line separators are control characters as well.
 */

static size_t
doi_next_char(doi_str_t text, size_t pos, doi_char_t *c)
{
    size_t          len, bad;
    const uint8_t  *p;

    p = text.data + pos;
    len = doi_utf8_next(p, text.data + text.len, &bad);

    if (len == 0) {
        memcpy(c->bytes, "\xEF\xBF\xBD", 3);
        c->len = 3;
        return bad;
    }

    if ((len == 1 && (p[0] < ' ' || p[0] == 0x7F))
        || (len == 2 && p[0] == 0xC2 && p[1] < 0xA0)
        || (len == 3 && p[0] == 0xE2 && p[1] == 0x80
            && (p[2] == 0xA8 || p[2] == 0xA9)))
    {
        c->bytes[0] = ' ';
        c->len = 1;
        return len;
    }

    memcpy(c->bytes, p, len);
    c->len = len;

    return len;
}


static int
doi_is(const doi_char_t *c, uint8_t ascii)
{
    return c->len == 1 && c->bytes[0] == ascii;
}


/* Bytes of the line end at pos: LF, or CR LF; 0 if there is none. */

static size_t
doi_line_end(doi_str_t text, size_t pos)
{
    if (text.data[pos] == '\n') {
        return 1;
    }

    return pos + 1 < text.len && text.data[pos] == '\r'
           && text.data[pos + 1] == '\n' ? 2 : 0;
}
