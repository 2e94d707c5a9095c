/*
 * E-mail addresses.  See address.h.
 *
 * Narrower than RFC 5321 on purpose: what is refused here, quoted local parts,
 * comments, routes and address literals, is what injections into headers and
 * envelopes are made of.
 */

#include <string.h>

#include "address.h"
#include "escape.h"
#include "form.h"


#define DOI_LOCAL_MAX       64
#define DOI_LABEL_MAX       63

/* As it is typed: a domain in UTF-8 may be longer than its A-labels. */
#define DOI_EMAIL_TEXT_MAX  1024


static int doi_email_split(doi_str_t text, doi_str_t *local,
    doi_str_t *domain, const char **err);
static int doi_email_local(doi_str_t local, const char **err);
static int doi_email_domain(doi_str_t domain, const char **err);
static int doi_email_label(const uint8_t *p, size_t len, const char **err);
static int doi_email_wants_idn(doi_str_t domain);
static int doi_email_has(doi_str_t s, const char *chars);
static int doi_email_ascii(doi_str_t s);
static int doi_is_alnum(uint8_t c);
static uint8_t doi_lower(uint8_t c);
static size_t doi_email_mask_first(doi_str_t s, uint8_t *p);


int
doi_email_normalise(doi_str_t text, doi_idn_pt idn, doi_buf_t *out,
    const char **err)
{
    size_t      i;
    uint8_t    *p, ascii[DOI_EMAIL_MAX];
    doi_buf_t   buf = { ascii, 0, sizeof(ascii) };
    doi_str_t   local, domain;

    if (doi_field_clean(&text, DOI_EMAIL_TEXT_MAX, err) != DOI_OK
        || doi_email_split(text, &local, &domain, err) != DOI_OK
        || doi_email_local(local, err) != DOI_OK)
    {
        return DOI_ERROR;
    }

    if (doi_email_wants_idn(domain)) {

        if (idn == NULL || idn(domain, &buf) != DOI_OK) {
            *err = "has a domain that is not a valid international name";
            return DOI_ERROR;
        }

        domain.data = buf.data;
        domain.len = buf.len;
    }

    if (doi_email_domain(domain, err) != DOI_OK) {
        return DOI_ERROR;
    }

    if (local.len + 1 + domain.len > DOI_EMAIL_MAX || out->size < out->len
        || out->size - out->len < local.len + 1 + domain.len)
    {
        *err = "is too long";
        return DOI_ERROR;
    }

    p = out->data + out->len;

    for (i = 0; i < local.len; i++) {
        *p++ = doi_lower(local.data[i]);
    }

    *p++ = '@';

    for (i = 0; i < domain.len; i++) {
        *p++ = doi_lower(domain.data[i]);
    }

    out->len += local.len + 1 + domain.len;

    return DOI_OK;
}


/* The most telling error first: what else is wrong often follows from it. */

static int
doi_email_split(doi_str_t text, doi_str_t *local, doi_str_t *domain,
    const char **err)
{
    const uint8_t  *at;

    if (text.len == 0) {
        *err = "is empty";
        return DOI_ERROR;
    }

    if (doi_email_has(text, "<>")) {
        *err = "has a name or angle brackets around it";
        return DOI_ERROR;
    }

    if (doi_email_has(text, "\"")) {
        *err = "has quotation marks";
        return DOI_ERROR;
    }

    if (doi_email_has(text, ",;")) {
        *err = "is more than one address";
        return DOI_ERROR;
    }

    if (doi_email_has(text, "()")) {
        *err = "has a comment";
        return DOI_ERROR;
    }

    if (doi_email_has(text, " ")) {
        *err = "has a blank in it";
        return DOI_ERROR;
    }

    at = memchr(text.data, '@', text.len);

    if (at == NULL) {
        *err = "has no @ sign";
        return DOI_ERROR;
    }

    local->data = text.data;
    local->len = (size_t) (at - text.data);

    domain->data = at + 1;
    domain->len = text.len - local->len - 1;

    if (doi_email_has(*domain, "@")) {
        *err = "has more than one @ sign";
        return DOI_ERROR;
    }

    return DOI_OK;
}


static int
doi_email_local(doi_str_t local, const char **err)
{
    size_t   i;
    uint8_t  c;

    if (local.len == 0) {
        *err = "has nothing before the @ sign";
        return DOI_ERROR;
    }

    if (!doi_email_ascii(local)) {
        *err = "has characters other than ASCII before the @ sign";
        return DOI_ERROR;
    }

    if (local.len > DOI_LOCAL_MAX) {
        *err = "has more than 64 characters before the @ sign";
        return DOI_ERROR;
    }

    for (i = 0; i < local.len; i++) {
        c = local.data[i];

        if (c == '.') {

            if (i == 0 || i == local.len - 1 || local.data[i - 1] == '.') {
                *err = "has a dot in a wrong place before the @ sign";
                return DOI_ERROR;
            }

            continue;
        }

        /* atext of RFC 5322 */

        if (!doi_is_alnum(c) && strchr("!#$%&'*+-/=?^_`{|}~", c) == NULL) {
            *err = "has a character that is not allowed before the @ sign";
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


static int
doi_email_domain(doi_str_t domain, const char **err)
{
    int             digits;
    size_t          i, start, labels;

    if (domain.len == 0) {
        *err = "has nothing behind the @ sign";
        return DOI_ERROR;
    }

    if (domain.data[0] == '[') {
        *err = "has a network address instead of a domain";
        return DOI_ERROR;
    }

    start = 0;
    labels = 0;

    for (i = 0; i <= domain.len; i++) {

        if (i < domain.len && domain.data[i] != '.') {
            continue;
        }

        if (doi_email_label(domain.data + start, i - start, err) != DOI_OK) {
            return DOI_ERROR;
        }

        labels++;

        if (i < domain.len) {
            start = i + 1;
        }
    }

    if (labels < 2) {
        *err = "has a domain without a dot";
        return DOI_ERROR;
    }

    digits = 1;

    for (i = start; i < domain.len; i++) {
        digits &= domain.data[i] >= '0' && domain.data[i] <= '9';
    }

    if (digits) {
        *err = "has a domain that ends with a number";
        return DOI_ERROR;
    }

    return DOI_OK;
}


static int
doi_email_label(const uint8_t *p, size_t len, const char **err)
{
    size_t  i;

    if (len == 0) {
        *err = "has a dot in a wrong place behind the @ sign";
        return DOI_ERROR;
    }

    if (len > DOI_LABEL_MAX) {
        *err = "has a part of more than 63 characters in its domain";
        return DOI_ERROR;
    }

    for (i = 0; i < len; i++) {
        if (!doi_is_alnum(p[i]) && p[i] != '-') {
            *err = "has a character that is not allowed behind the @ sign";
            return DOI_ERROR;
        }
    }

    if (p[0] == '-' || p[len - 1] == '-') {
        *err = "has a hyphen in a wrong place behind the @ sign";
        return DOI_ERROR;
    }

    return DOI_OK;
}


/*
 * A-labels that are typed as such are looked at too: not every text that begins
 * with "xn--" is one.
 */

static int
doi_email_wants_idn(doi_str_t domain)
{
    size_t  i;

    if (!doi_email_ascii(domain)) {
        return 1;
    }

    for (i = 0; i + 4 <= domain.len; i++) {
        if ((i == 0 || domain.data[i - 1] == '.')
            && doi_lower(domain.data[i]) == 'x'
            && doi_lower(domain.data[i + 1]) == 'n'
            && domain.data[i + 2] == '-' && domain.data[i + 3] == '-')
        {
            return 1;
        }
    }

    return 0;
}


static int
doi_email_has(doi_str_t s, const char *chars)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] != '\0' && strchr(chars, s.data[i]) != NULL) {
            return 1;
        }
    }

    return 0;
}


static int
doi_email_ascii(doi_str_t s)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] >= 0x80) {
            return 0;
        }
    }

    return 1;
}


static int
doi_is_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')
           || (c >= 'a' && c <= 'z');
}


static uint8_t
doi_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}


/* Any bytes: what is refused is logged as well. */

size_t
doi_email_mask(doi_str_t email, uint8_t out[16])
{
    size_t     i;
    uint8_t   *p;
    doi_str_t  local, domain;

    local = email;
    domain = email;
    domain.len = 0;

    for (i = 0; i < email.len; i++) {
        if (email.data[i] == '@') {
            local.len = i;
            domain.data = email.data + i + 1;
            domain.len = email.len - i - 1;
            break;
        }
    }

    p = out;

    p += doi_email_mask_first(local, p);
    memcpy(p, "***@", 4);
    p += 4;

    p += doi_email_mask_first(domain, p);
    memcpy(p, "***", 3);
    p += 3;

    return (size_t) (p - out);
}


/* At most 4 bytes; a question mark for what must not be shown. */

static size_t
doi_email_mask_first(doi_str_t s, uint8_t *p)
{
    size_t       bad;
    const char  *err;

    if (s.len == 0) {
        return 0;
    }

    s.len = doi_utf8_next(s.data, s.data + s.len, &bad);

    if (s.len == 0 || doi_field_clean(&s, s.len, &err) != DOI_OK
        || s.len == 0)
    {
        *p = '?';
        return 1;
    }

    memcpy(p, s.data, s.len);

    return s.len;
}
