/*
 * doi_consent: whom a request is for.
 *
 * The app behind may read a request in more ways than one: a name in upper
 * case, a field twice, "to[]", an argument in the query, fields with semicolons
 * between them.  Whatever it might take for a recipient is taken for one here,
 * and what cannot be read is refused.
 */

#include "ngx_http_doi_gate.h"


#define NGX_HTTP_DOI_GATE_RECIPIENTS  1000


static ngx_int_t ngx_http_doi_gate_urlencoded(ngx_http_request_t *r,
    ngx_http_doi_gate_t *gate, ngx_str_t *text);
static ngx_int_t ngx_http_doi_gate_form(ngx_http_request_t *r,
    ngx_http_doi_gate_t *gate, doi_form_type_t kind, doi_str_t type,
    ngx_str_t *text);
static size_t ngx_http_doi_gate_flat(u_char *name, size_t len);
static ngx_uint_t ngx_http_doi_gate_is(ngx_http_doi_gate_t *gate,
    const u_char *name, size_t len);
static ngx_int_t ngx_http_doi_gate_add(ngx_http_request_t *r,
    ngx_http_doi_gate_t *gate, const u_char *data, size_t len);


ngx_int_t
ngx_http_doi_gate_collect(ngx_http_request_t *r, ngx_http_doi_gate_t *gate)
{
    ngx_int_t  rc;
    ngx_str_t  text;
    doi_str_t  type;

    if (gate->conf->address) {

        if (ngx_http_complex_value(r, gate->conf->address, &text) != NGX_OK) {
            return NGX_ERROR;
        }

        return ngx_http_doi_gate_split(r, gate, text.data, text.len);
    }

    rc = ngx_http_doi_body(r, NGX_HTTP_DOI_GATE_BODY, &text);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_BUSY : NGX_ERROR;
    }

    rc = ngx_http_doi_gate_urlencoded(r, gate, &r->args);

    if (rc != NGX_OK || text.len == 0) {
        return rc;
    }

    switch (gate->kind) {

    case DOI_FORM_JSON:
        return ngx_http_doi_gate_json(r, gate, &text);

    case DOI_FORM_URLENCODED:
        return ngx_http_doi_gate_urlencoded(r, gate, &text);

    case DOI_FORM_MULTIPART:
        type.data = r->headers_in.content_type->value.data;
        type.len = r->headers_in.content_type->value.len;

        return ngx_http_doi_gate_form(r, gate, gate->kind, type, &text);

    default: /* DOI_FORM_UNKNOWN */
        return NGX_DECLINED;
    }
}


/* Once as it is, and once what is behind semicolons: old parsers of Perl and
   Python begin another field there. */

static ngx_int_t
ngx_http_doi_gate_urlencoded(ngx_http_request_t *r, ngx_http_doi_gate_t *gate,
    ngx_str_t *text)
{
    u_char     *p, *dst, *end, *last;
    ngx_int_t   rc;
    ngx_str_t   more;
    doi_str_t   type = doi_str("application/x-www-form-urlencoded");

    if (text->len == 0) {
        return NGX_OK;
    }

    rc = ngx_http_doi_gate_form(r, gate, DOI_FORM_URLENCODED, type, text);

    last = text->data + text->len;
    p = ngx_strlchr(text->data, last, ';');

    if (rc != NGX_OK || p == NULL) {
        return rc;
    }

    more.data = ngx_pnalloc(r->pool, text->len);
    if (more.data == NULL) {
        return NGX_ERROR;
    }

    for (dst = more.data; p; p = ngx_strlchr(end, last, ';')) {

        for (end = ++p; end < last && *end != ';' && *end != '&'; end++) {
            /* void */
        }

        if (ngx_strlchr(p, end, '=')) {
            dst = ngx_cpymem(dst, p, end - p);
            *dst++ = '&';
        }
    }

    more.len = dst - more.data;

    return more.len ? ngx_http_doi_gate_form(r, gate, DOI_FORM_URLENCODED,
                                             type, &more)
                    : NGX_OK;
}


static ngx_int_t
ngx_http_doi_gate_form(ngx_http_request_t *r, ngx_http_doi_gate_t *gate,
    doi_form_type_t kind, doi_str_t type, ngx_str_t *text)
{
    size_t        i, len;
    u_char       *scratch, *name;
    ngx_int_t     rc;
    doi_str_t     body;
    doi_form_t   *form;
    const char   *err;

    form = ngx_palloc(r->pool, sizeof(doi_form_t));
    scratch = ngx_pnalloc(r->pool, text->len + 1);

    if (form == NULL || scratch == NULL) {
        return NGX_ERROR;
    }

    body.data = text->data;
    body.len = text->len;

    if (doi_form_parse(kind, type, body, scratch, form, &err) != DOI_OK) {
        return NGX_DECLINED;
    }

    for (i = 0; i < form->n; i++) {

        /* it lies in scratch */

        name = (u_char *) form->fields[i].name.data;
        len = ngx_http_doi_gate_flat(name, form->fields[i].name.len);

        if (!ngx_http_doi_gate_is(gate, name, len)) {
            continue;
        }

        rc = ngx_http_doi_gate_split(r, gate, form->fields[i].value.data,
                                     form->fields[i].value.len);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/*
 * A name as apps take it apart, in its place: "a[0][b]" and "a.0.b" are "a.b",
 * "a[]" is "a".  PHP leaves out blanks in front, and what a zero follows.
 */

static size_t
ngx_http_doi_gate_flat(u_char *name, size_t len)
{
    u_char  *p, *dst, *end, *last, *part;

    last = name + len;
    dst = name;

    for (p = name; p < last && *p && *p <= ' '; p++) { /* void */ }

    for ( /* void */ ; p < last && *p; p = end) {

        part = p;

        while (part < last && *part >= '0' && *part <= '9') {
            part++;
        }

        for (end = p;
             end < last && *end && *end != '.' && *end != '[' && *end != ']';
             end++)
        {
            /* void */
        }

        /* nothing, or an index */

        if (end != p && (end != part || dst == name)) {

            if (dst != name) {
                *dst++ = '.';
            }

            dst = ngx_movemem(dst, p, end - p);
        }

        if (end < last && *end) {
            end++;
        }
    }

    return dst - name;
}


/* Also "to.x"; PHP has "_" for dots, blanks and brackets. */

static ngx_uint_t
ngx_http_doi_gate_is(ngx_http_doi_gate_t *gate, const u_char *name,
    size_t len)
{
    size_t      j;
    ngx_str_t  *to;
    ngx_uint_t  i;

    to = gate->conf->to->elts;

    for (i = 0; i < gate->conf->to->nelts; i++) {

        if (len < to[i].len || (len > to[i].len && name[to[i].len] != '.')) {
            continue;
        }

        for (j = 0; j < to[i].len; j++) {
            if (ngx_tolower(name[j]) != ngx_tolower(to[i].data[j])
                && (to[i].data[j] != '_'
                    || (name[j] != '.' && name[j] != ' ')))
            {
                break;
            }
        }

        if (j == to[i].len) {
            return 1;
        }
    }

    return 0;
}


/* "+491511, +491512": also with semicolons, or one on each line. */

ngx_int_t
ngx_http_doi_gate_split(ngx_http_request_t *r, ngx_http_doi_gate_t *gate,
    const u_char *data, size_t len)
{
    ngx_int_t      rc;
    const u_char  *p, *last, *end;

    last = data + len;

    for (p = data; p < last; p = end + 1) {

        for (end = p;
             end < last && *end != ',' && *end != ';'
             && (*end < '\t' || *end > '\r');
             end++)
        {
            /* void */
        }

        if (end == p) {
            continue;
        }

        rc = ngx_http_doi_gate_add(r, gate, p, end - p);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_gate_add(ngx_http_request_t *r, ngx_http_doi_gate_t *gate,
    const u_char *data, size_t len)
{
    ngx_int_t                  rc;
    ngx_str_t                  text;
    ngx_http_doi_contact_t     contact;
    ngx_http_doi_recipient_t  *to;

    if (gate->recipients.nelts == NGX_HTTP_DOI_GATE_RECIPIENTS) {
        return NGX_ABORT;
    }

    to = ngx_array_push(&gate->recipients);
    if (to == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(to, sizeof(ngx_http_doi_recipient_t));

    to->sent.len = len;
    to->sent.data = ngx_pnalloc(r->pool, len + 1);
    if (to->sent.data == NULL) {
        return NGX_ERROR;
    }

    to->sent.data[0] = '+';
    ngx_memcpy(to->sent.data + 1, data, len);

    text.data = to->sent.data + 1;
    text.len = len;

    /* WhatsApp's Cloud API takes numbers without the plus sign */

    if (gate->conf->channel == DOI_CHANNEL_WHATSAPP
        && gate->conf->country.len == 0 && len && data[0] >= '1'
        && data[0] <= '9')
    {
        text.data--;
        text.len++;
    }

    to->sent.data++;

    rc = ngx_http_doi_contact(r->pool, gate->conf->channel, &text,
                              &gate->conf->country, &contact, &to->err);

    if (rc == NGX_DECLINED) {
        to->result = NGX_HTTP_DOI_GATE_INVALID;
        return NGX_OK;
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    to->err = NULL;
    to->address = contact.address;
    ngx_memcpy(to->id, contact.id, DOI_CONTACT_ID);

    return NGX_OK;
}
