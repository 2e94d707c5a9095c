/*
 * doi_consent: whom a request is for.
 *
 * The app behind may read a request in more ways than one: a name in upper
 * case, a field twice, "to[]", an argument in the query.  Whatever it might
 * take for a recipient is taken for one here, and what cannot be read is
 * refused.
 */

#include "ngx_http_doi_gate.h"


#define NGX_HTTP_DOI_GATE_RECIPIENTS  1000


static ngx_int_t ngx_http_doi_gate_args(ngx_http_request_t *r,
    ngx_http_doi_gate_t *gate);
static ngx_int_t ngx_http_doi_gate_form(ngx_http_request_t *r,
    ngx_http_doi_gate_t *gate, doi_form_type_t kind, doi_str_t type,
    ngx_str_t *text);
static ngx_uint_t ngx_http_doi_gate_is(ngx_http_doi_gate_t *gate,
    doi_str_t name);
static ngx_int_t ngx_http_doi_gate_json(ngx_http_request_t *r,
    ngx_http_doi_gate_t *gate, ngx_str_t *body);
static ngx_int_t ngx_http_doi_gate_walk(ngx_http_request_t *r,
    ngx_http_doi_gate_t *gate, json_t *json, ngx_str_t *path);
static ngx_int_t ngx_http_doi_gate_split(ngx_http_request_t *r,
    ngx_http_doi_gate_t *gate, const u_char *data, size_t len);
static ngx_int_t ngx_http_doi_gate_add(ngx_http_request_t *r,
    ngx_http_doi_gate_t *gate, const u_char *data, size_t len);


ngx_int_t
ngx_http_doi_gate_collect(ngx_http_request_t *r, ngx_http_doi_gate_t *gate)
{
    ngx_int_t        rc;
    ngx_str_t        text;
    doi_str_t        type;
    doi_form_type_t  kind;

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

    rc = ngx_http_doi_gate_args(r, gate);

    if (rc != NGX_OK || text.len == 0) {
        return rc;
    }

    kind = ngx_http_doi_form_type(r);

    if (kind == DOI_FORM_JSON) {
        return ngx_http_doi_gate_json(r, gate, &text);
    }

    if (kind == DOI_FORM_UNKNOWN) {
        return NGX_DECLINED;
    }

    type.data = r->headers_in.content_type->value.data;
    type.len = r->headers_in.content_type->value.len;

    return ngx_http_doi_gate_form(r, gate, kind, type, &text);
}


static ngx_int_t
ngx_http_doi_gate_args(ngx_http_request_t *r, ngx_http_doi_gate_t *gate)
{
    doi_str_t  type = doi_str("application/x-www-form-urlencoded");

    return r->args.len ? ngx_http_doi_gate_form(r, gate, DOI_FORM_URLENCODED,
                                                type, &r->args)
                       : NGX_OK;
}


static ngx_int_t
ngx_http_doi_gate_form(ngx_http_request_t *r, ngx_http_doi_gate_t *gate,
    doi_form_type_t kind, doi_str_t type, ngx_str_t *text)
{
    size_t        i;
    u_char       *scratch;
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

        if (!ngx_http_doi_gate_is(gate, form->fields[i].name)) {
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


/* "to", "To", "to[]", "to[0]" */

static ngx_uint_t
ngx_http_doi_gate_is(ngx_http_doi_gate_t *gate, doi_str_t name)
{
    ngx_str_t  *to;

    to = &gate->conf->to;

    return name.len >= to->len
           && ngx_strncasecmp((u_char *) name.data, to->data, to->len) == 0
           && (name.len == to->len || name.data[to->len] == '[');
}


static ngx_int_t
ngx_http_doi_gate_json(ngx_http_request_t *r, ngx_http_doi_gate_t *gate,
    ngx_str_t *body)
{
    json_t        *json;
    ngx_int_t      rc;
    json_error_t   error;

    json = json_loadb((char *) body->data, body->len, JSON_REJECT_DUPLICATES,
                      &error);
    if (json == NULL) {
        return NGX_DECLINED;
    }

    rc = ngx_http_doi_gate_walk(r, gate, json, &gate->conf->to);

    json_decref(json);

    return rc;
}


/* An array stands for each of its elements, at the end of the path or on it. */

static ngx_int_t
ngx_http_doi_gate_walk(ngx_http_request_t *r, ngx_http_doi_gate_t *gate,
    json_t *json, ngx_str_t *path)
{
    void        *member;
    u_char      *dot;
    size_t       i, len;
    ngx_int_t    rc;
    ngx_str_t    rest;
    const char  *key;

    if (json_is_array(json)) {

        for (i = 0; i < json_array_size(json); i++) {
            rc = ngx_http_doi_gate_walk(r, gate, json_array_get(json, i),
                                        path);
            if (rc != NGX_OK) {
                return rc;
            }
        }

        return NGX_OK;
    }

    if (path->len == 0) {

        if (json_is_string(json)) {
            return ngx_http_doi_gate_split(r, gate,
                                           (u_char *) json_string_value(json),
                                           json_string_length(json));
        }

        return json_is_null(json) ? NGX_OK : NGX_DECLINED;
    }

    if (!json_is_object(json)) {
        return NGX_DECLINED;
    }

    dot = ngx_strlchr(path->data, path->data + path->len, '.');
    len = dot ? (size_t) (dot - path->data) : path->len;

    rest.data = dot ? dot + 1 : path->data + path->len;
    rest.len = path->data + path->len - rest.data;

    for (member = json_object_iter(json);
         member;
         member = json_object_iter_next(json, member))
    {
        key = json_object_iter_key(member);

        if (ngx_strlen(key) != len
            || ngx_strncasecmp((u_char *) key, path->data, len) != 0)
        {
            continue;
        }

        rc = ngx_http_doi_gate_walk(r, gate, json_object_iter_value(member),
                                    &rest);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/* "+491511, +491512" */

static ngx_int_t
ngx_http_doi_gate_split(ngx_http_request_t *r, ngx_http_doi_gate_t *gate,
    const u_char *data, size_t len)
{
    ngx_int_t      rc;
    const u_char  *p, *last, *comma;

    last = data + len;

    for (p = data; p < last; p = comma + 1) {

        for (comma = p; comma < last && *comma != ','; comma++) {
            /* void */
        }

        rc = ngx_http_doi_gate_add(r, gate, p, comma - p);
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
