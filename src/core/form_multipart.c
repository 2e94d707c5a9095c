/*
 * multipart/form-data: RFC 7578, over RFC 2046, section 5.1.
 *
 *   --boundary [blanks] CRLF
 *   Content-Disposition: form-data; name="..." [; filename="..."] CRLF
 *   [other header lines]
 *   CRLF
 *   value CRLF
 *   --boundary ... CRLF
 *   --boundary-- [blanks] [CRLF epilogue]
 *
 * Stricter than RFC 2046 wherever parsers are known to disagree, since the app
 * reads the same bytes: line ends are CRLF; no line may only begin with the
 * boundary, or have it after a lone LF (PHP takes that for a delimiter) or
 * behind the last one (PHP reads on); no folded header lines; no name*, and no
 * transfer encoding, both of which RFC 7578 forbids.  A preamble and an
 * epilogue are skipped.
 *
 * Names are in quotes, where browsers write a quote as %22 and line ends as
 * %0D and %0A (WHATWG HTML, "multipart form data"), and others write \" and
 * \\.  Any other backslash or percent sign is itself.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE     /* memmem */
#endif

#include <string.h>

#include "form_internal.h"


#define DOI_BOUNDARY_MAX    70      /* RFC 2046, section 5.1.1 */


typedef struct {
    uint8_t     dashed[2 + DOI_BOUNDARY_MAX];   /* "--" in front of it */
    size_t      len;
    doi_str_t   rest;               /* of the body */
    uint8_t    *scratch;
} doi_multipart_t;


typedef struct {
    doi_str_t   before;             /* what ends at this delimiter */
    int         last;
} doi_delimiter_t;


/* A parameter of a header; the value is without its quotes, but not decoded. */

typedef struct {
    doi_str_t   name;
    doi_str_t   value;
    int         quoted;
} doi_param_t;


typedef struct {
    doi_str_t   name;
    int         named;
    int         file;
    int         seen;               /* there was a Content-Disposition */
} doi_part_t;


static int doi_boundary(doi_str_t content_type, doi_multipart_t *m,
    const char **err);
static int doi_boundary_set(const doi_param_t *param, doi_multipart_t *m,
    const char **err);
static int doi_boundary_char(uint8_t c);
static int doi_delimiter_next(doi_multipart_t *m, doi_delimiter_t *delimiter,
    const char **err);
static int doi_delimiter_end(doi_multipart_t *m, const uint8_t *p,
    doi_delimiter_t *delimiter, const char **err);
static int doi_part_add(doi_multipart_t *m, doi_str_t part, doi_form_t *form,
    const char **err);
static int doi_part_header(doi_multipart_t *m, doi_str_t line,
    doi_part_t *part, const char **err);
static int doi_part_disposition(doi_multipart_t *m, doi_str_t value,
    doi_part_t *part, const char **err);
static void doi_part_name(doi_multipart_t *m, const doi_param_t *param,
    doi_part_t *part);
static size_t doi_part_unescape(const uint8_t *p, size_t len, uint8_t *c);
static void doi_params_begin(doi_str_t value, doi_str_t *type, doi_str_t *rest);
static int doi_param_next(doi_str_t *rest, doi_param_t *param);
static int doi_param_quoted(doi_str_t *rest, doi_str_t *value);
static int doi_token_char(uint8_t c);
static void doi_skip(doi_str_t *s, size_t n);


int
doi_form_multipart(doi_str_t content_type, doi_str_t body, uint8_t *scratch,
    doi_form_t *form, const char **err)
{
    int              rc;
    doi_multipart_t  m;
    doi_delimiter_t  delimiter;

    if (doi_boundary(content_type, &m, err) != DOI_OK) {
        return DOI_ERROR;
    }

    m.rest = body;
    m.scratch = scratch;

    rc = doi_delimiter_next(&m, &delimiter, err);

    while (rc == DOI_OK && !delimiter.last) {

        rc = doi_delimiter_next(&m, &delimiter, err);

        if (rc == DOI_OK) {
            rc = doi_part_add(&m, delimiter.before, form, err);
        }
    }

    if (rc == DOI_NOT_FOUND) {
        *err = "ends before its last boundary";
        return DOI_ERROR;
    }

    if (rc != DOI_OK) {
        return DOI_ERROR;
    }

    rc = doi_delimiter_next(&m, &delimiter, err);

    if (rc == DOI_NOT_FOUND) {
        return DOI_OK;
    }

    if (rc == DOI_OK) {
        *err = "goes on after its last boundary";
    }

    return DOI_ERROR;
}


static int
doi_boundary(doi_str_t content_type, doi_multipart_t *m, const char **err)
{
    int          rc;
    doi_str_t    type, rest;
    doi_param_t  param;

    m->len = 0;

    doi_params_begin(content_type, &type, &rest);

    while ((rc = doi_param_next(&rest, &param)) == DOI_OK) {

        if (!doi_form_same(param.name, "boundary")) {
            continue;
        }

        if (m->len) {
            *err = "has two boundaries in its Content-Type";
            return DOI_ERROR;
        }

        if (doi_boundary_set(&param, m, err) != DOI_OK) {
            return DOI_ERROR;
        }
    }

    if (rc == DOI_ERROR) {
        *err = "has a Content-Type with a broken parameter";
        return DOI_ERROR;
    }

    if (m->len == 0) {
        *err = "has no boundary in its Content-Type";
        return DOI_ERROR;
    }

    return DOI_OK;
}


static int
doi_boundary_set(const doi_param_t *param, doi_multipart_t *m,
    const char **err)
{
    size_t     i;
    doi_str_t  value;

    value = param->value;

    if (value.len == 0) {
        *err = "has an empty boundary in its Content-Type";
        return DOI_ERROR;
    }

    if (value.len > DOI_BOUNDARY_MAX) {
        *err = "has a boundary of more than 70 characters";
        return DOI_ERROR;
    }

    for (i = 0; i < value.len; i++) {

        /* blanks at the end would be lost among those after the boundary */

        if (!doi_boundary_char(value.data[i])
            || (value.data[i] == ' ' && i == value.len - 1))
        {
            *err = "has a boundary with a character that may not be in it";
            return DOI_ERROR;
        }
    }

    m->dashed[0] = '-';
    m->dashed[1] = '-';
    memcpy(m->dashed + 2, value.data, value.len);
    m->len = value.len + 2;

    return DOI_OK;
}


/* bchars of RFC 2046: neither quotes nor a backslash are among them. */

static int
doi_boundary_char(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')
           || (c >= 'a' && c <= 'z')
           || (c != '\0' && strchr("'()+_,-./:=? ", c) != NULL);
}


/*
 * The next line that is a delimiter: m->rest is moved behind it, and
 * DOI_NOT_FOUND if there is none.  The line end before it belongs to it.
 */

static int
doi_delimiter_next(doi_multipart_t *m, doi_delimiter_t *delimiter,
    const char **err)
{
    const uint8_t  *p, *start, *end;

    if (m->rest.len == 0) {
        return DOI_NOT_FOUND;
    }

    start = m->rest.data;
    end = start + m->rest.len;

    for (p = start;
         (p = memmem(p, (size_t) (end - p), m->dashed, m->len)) != NULL;
         p++)
    {
        if (p == start) {
            delimiter->before.data = start;
            delimiter->before.len = 0;
            return doi_delimiter_end(m, p + m->len, delimiter, err);
        }

        if (p[-1] == '\n' && p - start >= 2 && p[-2] == '\r') {
            delimiter->before.data = start;
            delimiter->before.len = (size_t) (p - start) - 2;
            return doi_delimiter_end(m, p + m->len, delimiter, err);
        }

        if (p[-1] == '\n' || p[-1] == '\r') {
            *err = "has line ends other than CR LF around its boundary";
            return DOI_ERROR;
        }
    }

    return DOI_NOT_FOUND;
}


static int
doi_delimiter_end(doi_multipart_t *m, const uint8_t *p,
    doi_delimiter_t *delimiter, const char **err)
{
    const uint8_t  *end;

    end = m->rest.data + m->rest.len;

    delimiter->last = 0;

    if (end - p >= 2 && p[0] == '-' && p[1] == '-') {
        delimiter->last = 1;
        p += 2;
    }

    while (p < end && doi_form_blank(*p)) {
        p++;
    }

    if (p == end) {
        m->rest.data = end;
        m->rest.len = 0;
        return delimiter->last ? DOI_OK : DOI_NOT_FOUND;
    }

    if (*p == '\n' || (*p == '\r' && (end - p < 2 || p[1] != '\n'))) {
        *err = "has line ends other than CR LF around its boundary";
        return DOI_ERROR;
    }

    if (*p != '\r') {
        *err = "has a line that only begins as its boundary does";
        return DOI_ERROR;
    }

    /*
     * After the last delimiter this line end begins the line of one that must
     * not follow; in a part it has been used.
     */

    if (!delimiter->last) {
        p += 2;
    }

    m->rest.data = p;
    m->rest.len = (size_t) (end - p);

    return DOI_OK;
}


static int
doi_part_add(doi_multipart_t *m, doi_str_t part, doi_form_t *form,
    const char **err)
{
    doi_str_t       line;
    doi_part_t      told;
    const uint8_t  *crlf;

    memset(&told, 0, sizeof(told));

    for ( ;; ) {

        crlf = part.len ? memmem(part.data, part.len, "\r\n", 2) : NULL;

        if (crlf == NULL) {
            *err = "has a part without an empty line after its headers";
            return DOI_ERROR;
        }

        line.data = part.data;
        line.len = (size_t) (crlf - part.data);
        doi_skip(&part, line.len + 2);

        if (line.len == 0) {
            break;
        }

        if (doi_part_header(m, line, &told, err) != DOI_OK) {
            return DOI_ERROR;
        }
    }

    if (!told.named) {
        *err = "has a part without a name";
        return DOI_ERROR;
    }

    return doi_form_add(form, told.name, part, told.file, err);
}


static int
doi_part_header(doi_multipart_t *m, doi_str_t line, doi_part_t *part,
    const char **err)
{
    size_t     i;
    doi_str_t  name, value;

    for (i = 0; i < line.len; i++) {
        if ((line.data[i] < ' ' && line.data[i] != '\t')
            || line.data[i] == 0x7F)
        {
            *err = "has a control character in the headers of a part";
            return DOI_ERROR;
        }
    }

    for (i = 0; i < line.len && doi_token_char(line.data[i]); i++) {
        /* void */
    }

    /* a folded line has no name either */

    if (i == 0 || i == line.len || line.data[i] != ':') {
        *err = "has a part with a broken header line";
        return DOI_ERROR;
    }

    name.data = line.data;
    name.len = i;

    doi_skip(&line, i + 1);
    value = doi_form_trim(line);

    if (doi_form_same(name, "content-disposition")) {
        return doi_part_disposition(m, value, part, err);
    }

    if (doi_form_same(name, "content-transfer-encoding")
        && !doi_form_same(value, "7bit") && !doi_form_same(value, "8bit")
        && !doi_form_same(value, "binary"))
    {
        *err = "has a part with a transfer encoding";
        return DOI_ERROR;
    }

    return DOI_OK;
}


static int
doi_part_disposition(doi_multipart_t *m, doi_str_t value, doi_part_t *part,
    const char **err)
{
    int          rc;
    doi_str_t    type, rest;
    doi_param_t  param;

    if (part->seen) {
        *err = "has a part with two Content-Dispositions";
        return DOI_ERROR;
    }

    doi_params_begin(value, &type, &rest);

    if (!doi_form_same(type, "form-data")) {
        *err = "has a part that is not form-data";
        return DOI_ERROR;
    }

    part->seen = 1;

    while ((rc = doi_param_next(&rest, &param)) == DOI_OK) {

        if (doi_form_same(param.name, "filename")
            || doi_form_same(param.name, "filename*"))
        {
            part->file = 1;
            continue;
        }

        if (doi_form_same(param.name, "name*")) {
            break;
        }

        if (doi_form_same(param.name, "name")) {

            if (part->named) {
                *err = "has a part with two names";
                return DOI_ERROR;
            }

            doi_part_name(m, &param, part);
        }
    }

    if (rc != DOI_NOT_FOUND) {
        *err = "has a part with a broken Content-Disposition";
        return DOI_ERROR;
    }

    return DOI_OK;
}


static void
doi_part_name(doi_multipart_t *m, const doi_param_t *param, doi_part_t *part)
{
    size_t     i;
    doi_str_t  value;

    value = param->value;

    part->named = 1;
    part->name.data = m->scratch;

    for (i = 0; i < value.len; /* void */ ) {

        if (param->quoted) {
            i += doi_part_unescape(value.data + i, value.len - i, m->scratch);

        } else {
            *m->scratch = value.data[i++];
        }

        m->scratch++;
    }

    part->name.len = (size_t) (m->scratch - part->name.data);
}


/* One character of a quoted name to *c; len is not 0. */

static size_t
doi_part_unescape(const uint8_t *p, size_t len, uint8_t *c)
{
    *c = p[0];

    if (len >= 2 && p[0] == '\\' && (p[1] == '"' || p[1] == '\\')) {
        *c = p[1];
        return 2;
    }

    if (len >= 3 && p[0] == '%') {

        if (p[1] == '2' && p[2] == '2') {
            *c = '"';
            return 3;
        }

        if (p[1] == '0' && (p[2] | 0x20) == 'd') {
            *c = '\r';
            return 3;
        }

        if (p[1] == '0' && (p[2] | 0x20) == 'a') {
            *c = '\n';
            return 3;
        }
    }

    return 1;
}


/* "type; parameters" */

static void
doi_params_begin(doi_str_t value, doi_str_t *type, doi_str_t *rest)
{
    size_t  i;

    for (i = 0; i < value.len && value.data[i] != ';'; i++) {
        /* void */
    }

    type->data = value.data;
    type->len = i;
    *type = doi_form_trim(*type);

    *rest = value;
    doi_skip(rest, i);
}


/*
 * Takes "; name=value" from rest.  DOI_NOT_FOUND at its end; DOI_ERROR: it is
 * neither.  Empty parameters, as in "; ;", are passed over.
 */

static int
doi_param_next(doi_str_t *rest, doi_param_t *param)
{
    size_t  i;

    if (rest->len && rest->data[0] != ';') {
        return DOI_ERROR;
    }

    while (rest->len
           && (rest->data[0] == ';' || doi_form_blank(rest->data[0])))
    {
        doi_skip(rest, 1);
    }

    if (rest->len == 0) {
        return DOI_NOT_FOUND;
    }

    for (i = 0; i < rest->len && doi_token_char(rest->data[i]); i++) {
        /* void */
    }

    if (i == 0 || i == rest->len || rest->data[i] != '=') {
        return DOI_ERROR;
    }

    param->name.data = rest->data;
    param->name.len = i;
    doi_skip(rest, i + 1);

    param->quoted = rest->len && rest->data[0] == '"';

    if (param->quoted) {
        return doi_param_quoted(rest, &param->value);
    }

    /* more than a token: boundaries with / and = are sent without quotes */

    for (i = 0;
         i < rest->len && rest->data[i] > ' ' && rest->data[i] != ';'
         && rest->data[i] != '"' && rest->data[i] != '\\';
         i++)
    {
        /* void */
    }

    param->value.data = rest->data;
    param->value.len = i;
    doi_skip(rest, i);

    /* what follows it, if not a semicolon, is the next call's error */

    *rest = doi_form_trim(*rest);

    return DOI_OK;
}


static int
doi_param_quoted(doi_str_t *rest, doi_str_t *value)
{
    size_t  i;

    for (i = 1; i < rest->len && rest->data[i] != '"'; i++) {

        if (rest->data[i] == '\\' && i + 1 < rest->len
            && (rest->data[i + 1] == '"' || rest->data[i + 1] == '\\'))
        {
            i++;
        }
    }

    if (i >= rest->len) {
        return DOI_ERROR;
    }

    value->data = rest->data + 1;
    value->len = i - 1;
    doi_skip(rest, i + 1);

    *rest = doi_form_trim(*rest);

    return DOI_OK;
}


/* RFC 9110, section 5.6.2 */

static int
doi_token_char(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')
           || (c >= 'a' && c <= 'z')
           || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}


static void
doi_skip(doi_str_t *s, size_t n)
{
    if (n) {
        s->data += n;
        s->len -= n;
    }
}
