/*
 * doi_hold: the fields of a form, and what is counted against the limits.
 *
 * A form is read by names that the configuration gives; what else is in it is
 * the app's, and goes to the app with the replay as it came.
 */

#include "ngx_http_doi_booking.h"
#include "ngx_http_doi_consent.h"

#include <jansson.h>


/* A submitted form of either kind. */

typedef struct {
    ngx_pool_t         *pool;
    doi_form_t         *form;       /* NULL: JSON */
    json_t             *json;
} ngx_http_doi_source_t;


static ngx_int_t ngx_http_doi_form_parse(ngx_http_request_t *r,
    ngx_http_doi_booking_t *b, ngx_str_t *body,
    ngx_http_doi_source_t *source);
static void ngx_http_doi_json_free(void *data);
static ngx_int_t ngx_http_doi_form_field(ngx_http_doi_source_t *source,
    ngx_http_doi_booking_t *b, ngx_str_t *name, size_t max, doi_str_t *value);
static const char *ngx_http_doi_form_value(ngx_http_doi_source_t *source,
    ngx_str_t *name, doi_str_t *value);
static const char *ngx_http_doi_json_value(ngx_http_doi_source_t *source,
    ngx_str_t *path, doi_str_t *value);
static json_t *ngx_http_doi_json_find(json_t *json, ngx_str_t *path);
static ngx_int_t ngx_http_doi_form_email(ngx_http_doi_source_t *source,
    ngx_http_doi_booking_t *b, ngx_str_t *name);
static ngx_int_t ngx_http_doi_form_slot(ngx_http_doi_source_t *source,
    ngx_http_doi_booking_t *b, ngx_array_t *names);
static ngx_int_t ngx_http_doi_form_lang(ngx_http_request_t *r,
    ngx_http_doi_source_t *source, ngx_http_doi_booking_t *b,
    ngx_http_doi_loc_conf_t *conf);
static ngx_int_t ngx_http_doi_form_zone(ngx_http_request_t *r,
    ngx_http_doi_source_t *source, ngx_http_doi_booking_t *b,
    ngx_http_doi_hold_conf_t *hold);
static ngx_int_t ngx_http_doi_form_problem(ngx_http_doi_booking_t *b,
    const char *problem, ngx_str_t *field);
static ngx_int_t ngx_http_doi_network(ngx_http_request_t *r, doi_str_t *text);


/* More than any field may have: what is longer is refused as too long. */

#define NGX_HTTP_DOI_FIELD_MAX  DOI_REQUEST_MAX
#define NGX_HTTP_DOI_KEY_MAX    255     /* bytes of a part of a JSON path */


ngx_int_t
ngx_http_doi_form_read(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_loc_conf_t *conf, ngx_str_t *body)
{
    ngx_int_t                  rc;
    ngx_http_doi_form_t       *form;
    ngx_http_doi_source_t      source;
    ngx_http_doi_booking_t    *b;
    ngx_http_doi_hold_conf_t  *hold;

    b = ctx->booking;
    form = &b->form;
    hold = conf->hold;

    rc = ngx_http_doi_form_parse(r, b, body, &source);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_doi_form_email(&source, b, &hold->email);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_doi_form_slot(&source, b, &hold->slot);
    if (rc != NGX_OK) {
        return rc;
    }

    if (hold->name.len) {
        rc = ngx_http_doi_form_field(&source, b, &hold->name,
                                     doi_booking_text_max[DOI_TEXT_NAME],
                                     &form->name);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = ngx_http_doi_form_lang(r, &source, b, conf);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_doi_form_zone(r, &source, b, hold);
    if (rc != NGX_OK) {
        return rc;
    }

    /* a slot may be any text: "the blue room" has no time */

    form->duration = (uint32_t) hold->duration;

    if (doi_when_parse(form->slot, form->zone, &form->start, &form->duration)
        != DOI_OK)
    {
        form->start = 0;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_doi_headers(ngx_http_request_t *r, const char *name)
{
    size_t            len;
    ngx_uint_t        i, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    n = 0;
    len = ngx_strlen(name);

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        header = part->elts;

        for (i = 0; i < part->nelts; i++) {
            n += (header[i].key.len == len
                  && ngx_strncasecmp(header[i].key.data, (u_char *) name, len)
                     == 0);
        }
    }

    return n;
}


ngx_int_t
ngx_http_doi_form_contact(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_loc_conf_t *conf, ngx_str_t *body)
{
    ngx_int_t                       rc;
    ngx_http_doi_source_t           source;
    ngx_http_doi_booking_t         *b;
    ngx_http_doi_subscribe_conf_t  *sub;

    b = ctx->booking;
    sub = conf->subscribe;

    rc = ngx_http_doi_form_parse(r, b, body, &source);

    if (rc == NGX_OK) {
        rc = ngx_http_doi_form_field(&source, b, &sub->address,
                                     doi_said_max[DOI_SAID_ADDRESS],
                                     &b->form.email);
    }

    if (rc == NGX_OK && b->form.email.len == 0) {
        return ngx_http_doi_form_problem(b, "problem.missing", &sub->address);
    }

    if (rc == NGX_OK && sub->person.len) {
        rc = ngx_http_doi_form_field(&source, b, &sub->person,
                                     doi_said_max[DOI_SAID_PERSON],
                                     &b->form.name);
    }

    return rc;
}


doi_form_type_t
ngx_http_doi_form_type(ngx_http_request_t *r)
{
    doi_str_t         type;
    ngx_table_elt_t  *h;

    h = ngx_http_doi_find_header(&r->headers_in.headers, "content-encoding");

    if (r->headers_in.content_type == NULL
        || ngx_http_doi_headers(r, "content-type") != 1
        || (h && (!ngx_http_doi_is(&h->value, "identity")
                  || ngx_http_doi_headers(r, "content-encoding") > 1)))
    {
        return DOI_FORM_UNKNOWN;
    }

    type.data = r->headers_in.content_type->value.data;
    type.len = r->headers_in.content_type->value.len;

    return doi_form_type(type);
}


static ngx_int_t
ngx_http_doi_form_parse(ngx_http_request_t *r, ngx_http_doi_booking_t *b,
    ngx_str_t *body, ngx_http_doi_source_t *source)
{
    u_char              *scratch;
    doi_str_t            text, type;
    const char          *err;
    json_error_t         error;
    doi_form_type_t      kind;
    ngx_pool_cleanup_t  *cln;

    ngx_memzero(source, sizeof(ngx_http_doi_source_t));

    source->pool = r->pool;

    kind = ngx_http_doi_form_type(r);

    if (kind == DOI_FORM_JSON) {

        cln = ngx_pool_cleanup_add(r->pool, 0);
        if (cln == NULL) {
            return NGX_ERROR;
        }

        source->json = json_loadb((char *) body->data, body->len,
                                  JSON_REJECT_DUPLICATES, &error);
        if (source->json == NULL) {
            return ngx_http_doi_form_problem(b, "problem.broken", NULL);
        }

        cln->handler = ngx_http_doi_json_free;
        cln->data = source->json;

        return NGX_OK;
    }

    source->form = ngx_palloc(r->pool, sizeof(doi_form_t));
    scratch = ngx_pnalloc(r->pool, body->len + 1);

    if (source->form == NULL || scratch == NULL) {
        return NGX_ERROR;
    }

    type.data = r->headers_in.content_type->value.data;
    type.len = r->headers_in.content_type->value.len;
    text.data = body->data;
    text.len = body->len;

    if (doi_form_parse(kind, type, text, scratch, source->form, &err)
        != DOI_OK)
    {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "doi: client sent a form that %s", err);

        return ngx_http_doi_form_problem(b, "problem.broken", NULL);
    }

    return NGX_OK;
}


static void
ngx_http_doi_json_free(void *data)
{
    json_decref(data);
}


/* A field that may be absent or empty, then the value is empty. */

static ngx_int_t
ngx_http_doi_form_field(ngx_http_doi_source_t *source,
    ngx_http_doi_booking_t *b, ngx_str_t *name, size_t max, doi_str_t *value)
{
    const char  *problem, *err;

    value->data = NULL;
    value->len = 0;

    problem = ngx_http_doi_form_value(source, name, value);

    if (problem) {
        return ngx_http_doi_form_problem(b, problem, name);
    }

    if (doi_field_clean(value, NGX_HTTP_DOI_FIELD_MAX, &err) != DOI_OK) {
        return ngx_http_doi_form_problem(b, "problem.text", name);
    }

    if (value->len > max) {
        return ngx_http_doi_form_problem(b, "problem.long", name);
    }

    return NGX_OK;
}


/* The value as sent: NULL, or the problem with it. */

static const char *
ngx_http_doi_form_value(ngx_http_doi_source_t *source, ngx_str_t *name,
    doi_str_t *value)
{
    doi_str_t  key;

    if (source->form == NULL) {
        return ngx_http_doi_json_value(source, name, value);
    }

    key.data = name->data;
    key.len = name->len;

    return (doi_form_get(source->form, key, value) == DOI_ERROR)
           ? "problem.twice" : NULL;
}


static const char *
ngx_http_doi_json_value(ngx_http_doi_source_t *source, ngx_str_t *path,
    doi_str_t *value)
{
    u_char  *p;
    json_t  *json;

    json = ngx_http_doi_json_find(source->json, path);

    if (json == NULL || json_is_null(json)) {
        return NULL;
    }

    if (json_is_string(json)) {
        value->data = (const uint8_t *) json_string_value(json);
        value->len = json_string_length(json);
        return NULL;
    }

    if (json_is_integer(json)) {

        p = ngx_pnalloc(source->pool, NGX_INT64_LEN);
        if (p == NULL) {
            return "problem.text";
        }

        value->data = p;
        value->len = ngx_sprintf(p, "%L", (int64_t) json_integer_value(json))
                     - p;
        return NULL;
    }

    /* several values are as bad as the field twice */

    return json_is_array(json) ? "problem.twice" : "problem.text";
}


/* "guests.0.email" */

static json_t *
ngx_http_doi_json_find(json_t *json, ngx_str_t *path)
{
    u_char     *p, *end, *dot;
    size_t      len;
    ngx_int_t   n;
    char        key[NGX_HTTP_DOI_KEY_MAX + 1];

    p = path->data;
    end = p + path->len;

    for ( ;; ) {
        dot = ngx_strlchr(p, end, '.');
        len = (dot ? dot : end) - p;

        if (json_is_array(json)) {
            n = ngx_atoi(p, len);
            json = (n == NGX_ERROR) ? NULL : json_array_get(json, n);

        } else if (len > NGX_HTTP_DOI_KEY_MAX) {
            json = NULL;

        } else {
            (void) ngx_cpystrn((u_char *) key, p, len + 1);
            json = json_object_get(json, key);
        }

        if (dot == NULL || json == NULL) {
            return json;
        }

        p = dot + 1;
    }
}


static ngx_int_t
ngx_http_doi_form_email(ngx_http_doi_source_t *source,
    ngx_http_doi_booking_t *b, ngx_str_t *name)
{
    size_t       i, at, separators;
    ngx_int_t    rc;
    doi_buf_t    out;
    doi_str_t    text;
    const char  *err;

    rc = ngx_http_doi_form_field(source, b, name, NGX_HTTP_DOI_FIELD_MAX,
                                 &text);
    if (rc != NGX_OK) {
        return rc;
    }

    if (text.len == 0) {
        return ngx_http_doi_form_problem(b, "problem.missing", name);
    }

    out.len = 0;
    out.size = DOI_EMAIL_MAX;
    out.data = ngx_pnalloc(source->pool, out.size);
    if (out.data == NULL) {
        return NGX_ERROR;
    }

    if (doi_email_normalise(text, doi_idn, &out, &err) == DOI_OK) {
        b->form.email.data = out.data;
        b->form.email.len = out.len;
        return NGX_OK;
    }

    at = 0;
    separators = 0;

    for (i = 0; i < text.len; i++) {
        at += (text.data[i] == '@');
        separators += (text.data[i] == ',' || text.data[i] == ';');
    }

    return ngx_http_doi_form_problem(b, (at > 1 || (at && separators))
                                        ? "problem.emails" : "problem.email",
                                     name);
}


/* All of its fields, with a blank in between: a date and a time, perhaps. */

static ngx_int_t
ngx_http_doi_form_slot(ngx_http_doi_source_t *source,
    ngx_http_doi_booking_t *b, ngx_array_t *names)
{
    u_char      *p, *last;
    size_t       max;
    ngx_int_t    rc;
    ngx_str_t   *name;
    doi_str_t    value;
    ngx_uint_t   i;

    max = doi_booking_text_max[DOI_TEXT_SLOT];
    name = names->elts;

    p = ngx_pnalloc(source->pool, max);
    if (p == NULL) {
        return NGX_ERROR;
    }

    b->form.slot.data = p;
    last = p + max;

    for (i = 0; i < names->nelts; i++) {

        rc = ngx_http_doi_form_field(source, b, &name[i], max, &value);
        if (rc != NGX_OK) {
            return rc;
        }

        if (value.len == 0) {
            return ngx_http_doi_form_problem(b, "problem.missing", &name[i]);
        }

        if ((size_t) (last - p) < value.len + (i != 0)) {
            return ngx_http_doi_form_problem(b, "problem.long", &name[i]);
        }

        if (i != 0) {
            *p++ = ' ';
        }

        p = ngx_cpymem(p, value.data, value.len);
    }

    b->form.slot.len = p - b->form.slot.data;

    return NGX_OK;
}


/* One that there are pages and mails in. */

static ngx_int_t
ngx_http_doi_form_lang(ngx_http_request_t *r, ngx_http_doi_source_t *source,
    ngx_http_doi_booking_t *b, ngx_http_doi_loc_conf_t *conf)
{
    size_t      i;
    ngx_int_t   rc;
    doi_str_t   value;

    value.data = NULL;
    value.len = 0;

    if (conf->hold->lang.len) {
        rc = ngx_http_doi_form_field(source, b, &conf->hold->lang,
                                     doi_booking_text_max[DOI_TEXT_LANG],
                                     &value);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (value.len) {
        i = doi_pages_lang_tag(conf->pages, value);

    } else {
        i = doi_pages_lang(conf->pages,
                           ngx_http_doi_request_header(r, "accept-language"));
    }

    b->form.lang.data = (uint8_t *) conf->pages->langs[i].tag;
    b->form.lang.len = ngx_strlen(conf->pages->langs[i].tag);

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_form_zone(ngx_http_request_t *r, ngx_http_doi_source_t *source,
    ngx_http_doi_booking_t *b, ngx_http_doi_hold_conf_t *hold)
{
    size_t      max;
    ngx_int_t   rc;
    ngx_str_t   value;
    doi_str_t  *zone;

    zone = &b->form.zone;
    max = doi_booking_text_max[DOI_TEXT_ZONE];

    if (hold->tz.len) {

        rc = ngx_http_doi_form_field(source, b, &hold->tz, max, zone);
        if (rc != NGX_OK) {
            return rc;
        }

        if (zone->len) {
            return doi_zone_known(*zone)
                   ? NGX_OK
                   : ngx_http_doi_form_problem(b, "problem.zone", &hold->tz);
        }
    }

    if (hold->zone == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, hold->zone, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    zone->data = value.data;
    zone->len = value.len;

    if (value.len && (value.len > max || !doi_zone_known(*zone))) {

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "doi: \"timezone=\" of \"doi_hold\" gave \"%V\", which "
                      "is no time zone: UTC is taken", &value);

        zone->len = 0;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_form_problem(ngx_http_doi_booking_t *b, const char *problem,
    ngx_str_t *field)
{
    b->problem = problem;

    if (field) {
        b->field = *field;
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_doi_form_limits(ngx_http_request_t *r, ngx_http_doi_ctx_t *ctx,
    ngx_http_doi_loc_conf_t *conf, doi_limit_t *limits)
{
    u_char                 slot[DOI_SLOT_KEY_SIZE];
    doi_str_t              scope, value[NGX_HTTP_DOI_LIMITS];
    ngx_uint_t             i;
    ngx_http_doi_form_t   *form;
    ngx_http_doi_limit_t  *limit;

    if (conf->limits == NULL) {
        return 0;
    }

    form = &ctx->booking->form;

    ngx_memzero(value, sizeof(value));

    value[NGX_HTTP_DOI_LIMIT_RECIPIENT] = form->email;
    value[NGX_HTTP_DOI_LIMIT_ADDRESS] = form->email;

    scope.data = ctx->scope.data;
    scope.len = ctx->scope.len;

    (void) doi_slot_key(scope, form->slot, slot);

    value[NGX_HTTP_DOI_LIMIT_SLOT].data = slot;
    value[NGX_HTTP_DOI_LIMIT_SLOT].len = DOI_SLOT_KEY_SIZE;

    if (ngx_http_doi_network(r, &value[NGX_HTTP_DOI_LIMIT_NETWORK])
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    limit = conf->limits->elts;

    for (i = 0; i < conf->limits->nelts && i < DOI_LIMITS_MAX; i++) {
        limits[i] = limit[i].limit;
        doi_limit_key(ngx_http_doi_limit_names[limit[i].kind],
                      value[limit[i].kind], &limits[i]);
    }

    return (ngx_int_t) i;
}


/* The client's network: /24 or /64, as realip and the like have left it. */

static ngx_int_t
ngx_http_doi_network(ngx_http_request_t *r, doi_str_t *text)
{
    u_char               *p, *addr;
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    text->data = (const uint8_t *) "unix";
    text->len = sizeof("unix") - 1;

    addr = NULL;

    switch (r->connection->sockaddr->sa_family) {

    case AF_INET:
        sin = (struct sockaddr_in *) r->connection->sockaddr;
        addr = (u_char *) &sin->sin_addr;
        break;

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) r->connection->sockaddr;

        if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
            addr = sin6->sin6_addr.s6_addr + 12;
            break;
        }

        p = ngx_pnalloc(r->pool, 2 * 8);
        if (p == NULL) {
            return NGX_ERROR;
        }

        text->data = p;
        text->len = ngx_hex_dump(p, sin6->sin6_addr.s6_addr, 8) - p;

        return NGX_OK;
#endif
    }

    if (addr) {
        p = ngx_pnalloc(r->pool, sizeof("255.255.255.0"));
        if (p == NULL) {
            return NGX_ERROR;
        }

        text->data = p;
        text->len = ngx_sprintf(p, "%ud.%ud.%ud.0", (unsigned) addr[0],
                                (unsigned) addr[1], (unsigned) addr[2]) - p;
    }

    return NGX_OK;
}
