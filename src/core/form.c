/*
 * Fields of a submitted form: media types, urlencoded bodies, and what all
 * values go through before they are shown.
 *
 * The app behind us reads the same body with a parser of its own.  What two
 * parsers may understand differently is refused here instead of repaired:
 * otherwise one slot would be held and another one booked.
 */

#include <string.h>

#include "bytes.h"
#include "escape.h"
#include "form_internal.h"


static int doi_form_urlencoded(doi_str_t body, uint8_t *scratch,
    doi_form_t *form, const char **err);
static int doi_form_decode(doi_str_t s, uint8_t **scratch, doi_str_t *decoded);
static uint32_t doi_code_point(const uint8_t *p, size_t len);
static int doi_is_control(uint32_t c);
static int doi_is_override(uint32_t c);
static int doi_is_space(uint32_t c);
static doi_str_t doi_field_trim(doi_str_t s);


doi_form_type_t
doi_form_type(doi_str_t content_type)
{
    size_t          i;
    doi_str_t       type, suffix;
    const uint8_t  *slash;

    type = content_type;

    for (i = 0; i < type.len; i++) {
        if (type.data[i] == ';') {
            type.len = i;
        }
    }

    type = doi_form_trim(type);

    if (doi_form_same(type, "application/x-www-form-urlencoded")) {
        return DOI_FORM_URLENCODED;
    }

    if (doi_form_same(type, "multipart/form-data")) {
        return DOI_FORM_MULTIPART;
    }

    if (doi_form_same(type, "application/json")) {
        return DOI_FORM_JSON;
    }

    slash = type.len ? memchr(type.data, '/', type.len) : NULL;

    if (slash == NULL || slash == type.data) {
        return DOI_FORM_UNKNOWN;
    }

    for (i = 0; i < type.len; i++) {
        if (type.data[i] <= ' ' || type.data[i] >= 0x7F
            || type.data[i] == ',')
        {
            return DOI_FORM_UNKNOWN;
        }
    }

    /* there is something between the slash and the plus sign */

    suffix.len = sizeof("+json") - 1;

    if ((size_t) (type.data + type.len - slash) <= suffix.len + 1) {
        return DOI_FORM_UNKNOWN;
    }

    suffix.data = type.data + type.len - suffix.len;

    return doi_form_same(suffix, "+json") ? DOI_FORM_JSON : DOI_FORM_UNKNOWN;
}


int
doi_form_parse(doi_form_type_t type, doi_str_t content_type, doi_str_t body,
    uint8_t *scratch, doi_form_t *form, const char **err)
{
    int  rc;

    *err = NULL;
    form->n = 0;

    switch (type) {

    case DOI_FORM_URLENCODED:
        rc = doi_form_urlencoded(body, scratch, form, err);
        break;

    case DOI_FORM_MULTIPART:
        rc = doi_form_multipart(content_type, body, scratch, form, err);
        break;

    case DOI_FORM_JSON:
    case DOI_FORM_UNKNOWN:
    default:
        *err = "is neither urlencoded nor multipart";
        rc = DOI_ERROR;
    }

    if (rc != DOI_OK) {
        form->n = 0;
    }

    return rc;
}


static int
doi_form_urlencoded(doi_str_t body, uint8_t *scratch, doi_form_t *form,
    const char **err)
{
    doi_str_t       name, value;
    const uint8_t  *p, *end, *last, *equals;

    if (body.len == 0) {
        return DOI_OK;
    }

    end = body.data + body.len;

    for (p = body.data; p < end; p = last + 1) {

        last = memchr(p, '&', (size_t) (end - p));

        if (last == NULL) {
            last = end;
        }

        if (last == p) {
            continue;
        }

        equals = memchr(p, '=', (size_t) (last - p));

        name.data = p;
        name.len = (size_t) ((equals ? equals : last) - p);

        value.data = equals ? equals + 1 : last;
        value.len = (size_t) (last - value.data);

        if (doi_form_decode(name, &scratch, &name) != DOI_OK
            || doi_form_decode(value, &scratch, &value) != DOI_OK)
        {
            *err = "has a percent sign without two hexadecimal digits";
            return DOI_ERROR;
        }

        if (doi_form_add(form, name, value, 0, err) != DOI_OK) {
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


/* Writes to *scratch, which is moved on, no more than s.len bytes. */

static int
doi_form_decode(doi_str_t s, uint8_t **scratch, doi_str_t *decoded)
{
    int       high, low;
    size_t    i;
    uint8_t  *p;

    p = *scratch;

    for (i = 0; i < s.len; i++) {

        if (s.data[i] == '+') {
            *p++ = ' ';
            continue;
        }

        if (s.data[i] != '%') {
            *p++ = s.data[i];
            continue;
        }

        if (s.len - i < 3) {
            return DOI_ERROR;
        }

        high = doi_form_hex(s.data[i + 1]);
        low = doi_form_hex(s.data[i + 2]);

        if (high < 0 || low < 0) {
            return DOI_ERROR;
        }

        *p++ = (uint8_t) (high << 4 | low);
        i += 2;
    }

    decoded->data = *scratch;
    decoded->len = (size_t) (p - *scratch);
    *scratch = p;

    return DOI_OK;
}


int
doi_form_add(doi_form_t *form, doi_str_t name, doi_str_t value, int file,
    const char **err)
{
    doi_field_t  *field;

    if (form->n == DOI_FORM_FIELDS) {
        *err = "has more than 512 fields";
        return DOI_ERROR;
    }

    field = &form->fields[form->n++];

    field->name = name;
    field->value = value;
    field->file = file;

    return DOI_OK;
}


/*
 * Most apps keep files apart from the other fields, so an uploaded file is
 * not the value of a field; but some do not, so it makes a second one.
 */

int
doi_form_get(const doi_form_t *form, doi_str_t name, doi_str_t *value)
{
    size_t              i;
    const doi_field_t  *field, *found;

    found = NULL;

    for (i = 0; i < form->n; i++) {
        field = &form->fields[i];

        if (field->name.len != name.len
            || (name.len
                && memcmp(field->name.data, name.data, name.len) != 0))
        {
            continue;
        }

        if (found != NULL) {
            return DOI_ERROR;
        }

        found = field;
    }

    if (found == NULL || found->file) {
        return DOI_NOT_FOUND;
    }

    *value = found->value;

    return DOI_OK;
}


int
doi_form_same(doi_str_t s, const char *text)
{
    return doi_str_like(s, text, strlen(text));
}


doi_str_t
doi_form_trim(doi_str_t s)
{
    while (s.len && doi_form_blank(s.data[0])) {
        s.data++;
        s.len--;
    }

    while (s.len && doi_form_blank(s.data[s.len - 1])) {
        s.len--;
    }

    return s;
}


int
doi_form_hex(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }

    return -1;
}


/*
 * Control characters are looked for before white space is cut off: a line end
 * at the end of a one-line field is no slip of the keyboard.
 */

int
doi_field_clean(doi_str_t *value, size_t max, const char **err)
{
    size_t          len, bad;
    uint32_t        c;
    doi_str_t       clean;
    const uint8_t  *p, *end;

    *err = NULL;

    if (value->len == 0) {
        return DOI_OK;
    }

    end = value->data + value->len;

    for (p = value->data; p < end; p += len) {

        len = doi_utf8_next(p, end, &bad);

        if (len == 0) {
            *err = "is not valid UTF-8";
            return DOI_ERROR;
        }

        c = doi_code_point(p, len);

        if (doi_is_control(c)) {
            *err = "holds a control character";
            return DOI_ERROR;
        }

        if (doi_is_override(c)) {
            *err = "holds a character that changes the direction of writing";
            return DOI_ERROR;
        }
    }

    clean = doi_field_trim(*value);

    if (clean.len > max) {
        *err = "is too long";
        return DOI_ERROR;
    }

    *value = clean;

    return DOI_OK;
}


/* The sequence is well-formed. */

static uint32_t
doi_code_point(const uint8_t *p, size_t len)
{
    size_t    i;
    uint32_t  c;

    if (len == 1) {
        return p[0];
    }

    /* the lead byte has len ones and a zero in front of its bits */

    c = p[0] & (0x7FU >> len);

    for (i = 1; i < len; i++) {
        c = c << 6 | (p[i] & 0x3FU);
    }

    return c;
}


static int
doi_is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x2028 || c == 0x2029;
}


static int
doi_is_override(uint32_t c)
{
    return (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}


/*
 * White_Space of Unicode without the control characters, and the two of no
 * width that come with pasted text: U+200B and U+FEFF, the byte order mark.
 */

static int
doi_is_space(uint32_t c)
{
    return c == ' ' || c == 0xA0 || c == 0x1680
           || (c >= 0x2000 && c <= 0x200B) || c == 0x202F || c == 0x205F
           || c == 0x3000 || c == 0xFEFF;
}


/* s is UTF-8. */

static doi_str_t
doi_field_trim(doi_str_t s)
{
    size_t  len, bad;

    while (s.len) {
        len = doi_utf8_next(s.data, s.data + s.len, &bad);

        if (!doi_is_space(doi_code_point(s.data, len))) {
            break;
        }

        s.data += len;
        s.len -= len;
    }

    while (s.len) {
        len = 1;

        while (len < s.len && (s.data[s.len - len] & 0xC0) == 0x80) {
            len++;
        }

        if (!doi_is_space(doi_code_point(s.data + s.len - len, len))) {
            break;
        }

        s.len -= len;
    }

    return s;
}
