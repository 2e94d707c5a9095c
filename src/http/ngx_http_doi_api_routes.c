/*
 * The JSON API: which call a request is.
 */

#include "ngx_http_doi_api.h"


typedef enum {
    NGX_HTTP_DOI_IDS = 0,       /* 16 characters each                        */
    NGX_HTTP_DOI_ADDRESSES,     /* all that follows                          */
    NGX_HTTP_DOI_CONTACTS_ID,   /* CHANNEL:ADDRESS, may have "/" in it       */
    NGX_HTTP_DOI_NO_IDS
} ngx_http_doi_api_ids_e;

typedef struct {
    const char              *name;
    ngx_http_doi_api_ids_e   ids;
} ngx_http_doi_api_resource_t;


static ngx_int_t ngx_http_doi_api_path(ngx_http_doi_api_t *api,
    ngx_str_t *path, ngx_uint_t *resource, ngx_uint_t *with_id);
static ngx_int_t ngx_http_doi_api_not_allowed(ngx_http_doi_api_t *api,
    ngx_uint_t methods);
static ngx_uint_t ngx_http_doi_api_plain(ngx_http_doi_api_ids_e ids,
    ngx_str_t *path);
static void ngx_http_doi_api_contact_id(ngx_str_t *id);


#define NGX_HTTP_DOI_LINKS         0
#define NGX_HTTP_DOI_BOOKINGS      1
#define NGX_HTTP_DOI_OUTBOX        2
#define NGX_HTTP_DOI_SUPPRESSIONS  3
#define NGX_HTTP_DOI_CONTACTS      4
#define NGX_HTTP_DOI_REVIEW        5
#define NGX_HTTP_DOI_LEDGER        6
#define NGX_HTTP_DOI_FIGURES       7

static const ngx_http_doi_api_resource_t  ngx_http_doi_api_resources[] = {
    { "links", NGX_HTTP_DOI_IDS },
    { "bookings", NGX_HTTP_DOI_IDS },
    { "outbox", NGX_HTTP_DOI_IDS },
    { "suppressions", NGX_HTTP_DOI_ADDRESSES },
    { "contacts", NGX_HTTP_DOI_CONTACTS_ID },
    { "review", NGX_HTTP_DOI_IDS },
    { "ledger", NGX_HTTP_DOI_NO_IDS },
    { "stats", NGX_HTTP_DOI_NO_IDS },
    { NULL, NGX_HTTP_DOI_NO_IDS }
};


static const ngx_http_doi_api_route_t  ngx_http_doi_api_routes[] = {
    { NGX_HTTP_POST,   NGX_HTTP_DOI_LINKS, "", 0,
      NGX_HTTP_DOI_API_MINT, ngx_http_doi_api_mint },
    { NGX_HTTP_GET,    NGX_HTTP_DOI_LINKS, "", 0,
      NGX_HTTP_DOI_API_READ, ngx_http_doi_api_list },
    { NGX_HTTP_GET,    NGX_HTTP_DOI_LINKS, "", 1,
      NGX_HTTP_DOI_API_READ, ngx_http_doi_api_show },
    { NGX_HTTP_DELETE, NGX_HTTP_DOI_LINKS, "", 1,
      NGX_HTTP_DOI_API_MINT, ngx_http_doi_api_revoke },
    { NGX_HTTP_POST,   NGX_HTTP_DOI_LINKS, "/resolve", 1,
      NGX_HTTP_DOI_API_RESOLVE, ngx_http_doi_api_resolve },

    { NGX_HTTP_GET,    NGX_HTTP_DOI_BOOKINGS, "", 0,
      NGX_HTTP_DOI_API_READ, ngx_http_doi_api_bookings },
    { NGX_HTTP_GET,    NGX_HTTP_DOI_BOOKINGS, "", 1,
      NGX_HTTP_DOI_API_READ, ngx_http_doi_api_booking },
    { NGX_HTTP_DELETE, NGX_HTTP_DOI_BOOKINGS, "", 1,
      NGX_HTTP_DOI_API_RESOLVE, ngx_http_doi_api_booking_cancel },
    { NGX_HTTP_POST,   NGX_HTTP_DOI_BOOKINGS, "/resolve", 1,
      NGX_HTTP_DOI_API_RESOLVE, ngx_http_doi_api_booking_resolve },
    { NGX_HTTP_POST,   NGX_HTTP_DOI_BOOKINGS, "/resend", 1,
      NGX_HTTP_DOI_API_RESOLVE, ngx_http_doi_api_booking_resend },

    { NGX_HTTP_GET,    NGX_HTTP_DOI_OUTBOX, "", 0,
      NGX_HTTP_DOI_API_READ, ngx_http_doi_api_outbox },
    { NGX_HTTP_POST,   NGX_HTTP_DOI_OUTBOX, "/retry", 1,
      NGX_HTTP_DOI_API_RESOLVE, ngx_http_doi_api_outbox_retry },

    { NGX_HTTP_GET,    NGX_HTTP_DOI_SUPPRESSIONS, "", 1,
      NGX_HTTP_DOI_API_READ, ngx_http_doi_api_suppression },
    { NGX_HTTP_DELETE, NGX_HTTP_DOI_SUPPRESSIONS, "", 1,
      NGX_HTTP_DOI_API_RESOLVE, ngx_http_doi_api_suppression_lift },

    { NGX_HTTP_GET,    NGX_HTTP_DOI_CONTACTS, "", 1,
      NGX_HTTP_DOI_API_CONSENT, ngx_http_doi_api_contact },
    { NGX_HTTP_DELETE, NGX_HTTP_DOI_CONTACTS, "", 1,
      NGX_HTTP_DOI_API_CONSENT, ngx_http_doi_api_contact_erase },
    { NGX_HTTP_POST,   NGX_HTTP_DOI_CONTACTS, "/events", 1,
      NGX_HTTP_DOI_API_CONSENT, ngx_http_doi_api_contact_event },
    { NGX_HTTP_GET,    NGX_HTTP_DOI_CONTACTS, "/evidence", 1,
      NGX_HTTP_DOI_API_CONSENT, ngx_http_doi_api_evidence },
    { NGX_HTTP_POST,   NGX_HTTP_DOI_CONTACTS, "/unsubscribe", 1,
      NGX_HTTP_DOI_API_CONSENT, ngx_http_doi_api_unsubscribe },
    { NGX_HTTP_POST,   NGX_HTTP_DOI_CONTACTS, "/import", 0,
      NGX_HTTP_DOI_API_CONSENT, ngx_http_doi_api_import },
    { NGX_HTTP_GET,    NGX_HTTP_DOI_CONTACTS, "/export", 0,
      NGX_HTTP_DOI_API_CONSENT, ngx_http_doi_api_export },

    { NGX_HTTP_GET,    NGX_HTTP_DOI_REVIEW, "", 0,
      NGX_HTTP_DOI_API_CONSENT, ngx_http_doi_api_review },
    { NGX_HTTP_POST,   NGX_HTTP_DOI_REVIEW, "", 1,
      NGX_HTTP_DOI_API_CONSENT, ngx_http_doi_api_review_decide },

    { NGX_HTTP_GET,    NGX_HTTP_DOI_LEDGER, "/verify", 0,
      NGX_HTTP_DOI_API_CONSENT, ngx_http_doi_api_ledger_verify },
    { NGX_HTTP_GET,    NGX_HTTP_DOI_LEDGER, "/seal", 0,
      NGX_HTTP_DOI_API_CONSENT, ngx_http_doi_api_ledger_seal },

    { NGX_HTTP_GET,    NGX_HTTP_DOI_FIGURES, "", 0,
      NGX_HTTP_DOI_API_CONSENT, ngx_http_doi_api_stats },

    { 0, 0, NULL, 0, 0, NULL }
};


const ngx_http_doi_api_route_t *
ngx_http_doi_api_find(ngx_http_doi_api_t *api, ngx_uint_t *allowed)
{
    ngx_str_t    path;
    ngx_uint_t   resource, with_id, method;

    const ngx_http_doi_api_route_t  *route;

    *allowed = 0;

    if (ngx_http_doi_api_path(api, &path, &resource, &with_id) != NGX_OK) {
        return NULL;
    }

    method = (api->request->method == NGX_HTTP_HEAD) ? NGX_HTTP_GET
                                                     : api->request->method;

    for (route = ngx_http_doi_api_routes; route->handler; route++) {

        if (route->resource != resource
            || route->with_id != with_id
            || path.len != ngx_strlen(route->under)
            || ngx_strncmp(path.data, route->under, path.len) != 0)
        {
            continue;
        }

        if (route->method == method) {
            return route;
        }

        *allowed |= route->method;
    }

    return NULL;
}


ngx_uint_t
ngx_http_doi_api_is_import(ngx_http_doi_api_t *api)
{
    ngx_uint_t                       allowed;
    const ngx_http_doi_api_route_t  *route;

    route = ngx_http_doi_api_find(api, &allowed);

    return route && route->handler == ngx_http_doi_api_import;
}


ngx_int_t
ngx_http_doi_api_no_route(ngx_http_doi_api_t *api, ngx_uint_t allowed)
{
    if (allowed) {
        return ngx_http_doi_api_not_allowed(api, allowed);
    }

    return ngx_http_doi_api_problem(api, NGX_HTTP_NOT_FOUND, "not_found",
                                    "there is no such resource");
}


/* What stands behind the location's prefix: RESOURCE[/ID][REST]. */

static ngx_int_t
ngx_http_doi_api_path(ngx_http_doi_api_t *api, ngx_str_t *path,
    ngx_uint_t *resource, ngx_uint_t *with_id)
{
    size_t                     len;
    doi_str_t                  id;
    ngx_uint_t                 i;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    const ngx_http_doi_api_resource_t  *known;

    r = api->request;
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (r->uri.len < clcf->name.len) {
        return NGX_DECLINED;
    }

    path->data = r->uri.data + clcf->name.len;
    path->len = r->uri.len - clcf->name.len;

    if (path->len && path->data[0] == '/') {
        path->data++;
        path->len--;
    }

    known = ngx_http_doi_api_resources;

    for (i = 0; known[i].name; i++) {
        len = ngx_strlen(known[i].name);

        if (path->len >= len && ngx_strncmp(path->data, known[i].name, len) == 0
            && (path->len == len || path->data[len] == '/'))
        {
            break;
        }
    }

    if (known[i].name == NULL) {
        return NGX_DECLINED;
    }

    *resource = i;
    *with_id = 0;

    path->data += len;
    path->len -= len;

    if (path->len > 1 && !ngx_http_doi_api_plain(known[i].ids, path)) {

        *with_id = 1;

        api->id_text.data = path->data + 1;
        api->id_text.len = path->len - 1;

        if (known[i].ids == NGX_HTTP_DOI_CONTACTS_ID) {
            ngx_http_doi_api_contact_id(&api->id_text);

        } else if (known[i].ids == NGX_HTTP_DOI_IDS) {
            id.data = path->data + 1;
            id.len = ngx_min(path->len - 1, DOI_ID_CHARS);

            if (doi_id_decode(id, api->id) != DOI_OK) {
                return NGX_DECLINED;
            }

            api->id_text.len = DOI_ID_CHARS;
        }

        path->data += 1 + api->id_text.len;
        path->len -= 1 + api->id_text.len;
    }

    if (path->len == 1 && path->data[0] == '/') {
        path->len = 0;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_api_not_allowed(ngx_http_doi_api_t *api, ngx_uint_t methods)
{
    u_char  *p, *allow;

    allow = ngx_pnalloc(api->request->pool, sizeof("GET, HEAD, POST, DELETE"));
    if (allow == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_sprintf(allow, "%s%s%s%s",
                    (methods & NGX_HTTP_GET) ? "GET, HEAD" : "",
                    (methods & NGX_HTTP_GET)
                    && (methods & (NGX_HTTP_POST|NGX_HTTP_DELETE)) ? ", " : "",
                    (methods & NGX_HTTP_POST) ? "POST" : "",
                    (methods & NGX_HTTP_DELETE) ? "DELETE" : "");

    if (ngx_http_doi_header(api->request, "Allow", allow, p - allow)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_doi_api_problem(api, NGX_HTTP_NOT_ALLOWED, "method",
                                    "this resource knows other methods only, "
                                    "see Allow");
}


/* What follows the resource's name is no id. */

static ngx_uint_t
ngx_http_doi_api_plain(ngx_http_doi_api_ids_e ids, ngx_str_t *path)
{
    return ids == NGX_HTTP_DOI_NO_IDS
           || (ids == NGX_HTTP_DOI_CONTACTS_ID
               && ngx_strlchr(path->data, path->data + path->len, ':')
                  == NULL);
}


/* Without what stands behind the last slash; there is none in a domain. */

static void
ngx_http_doi_api_contact_id(ngx_str_t *id)
{
    size_t  i, len;

    static const char  *under[] = { "/events", "/evidence", "/unsubscribe" };

    for (i = 0; i < sizeof(under) / sizeof(under[0]); i++) {
        len = ngx_strlen(under[i]);

        if (id->len > len
            && ngx_memcmp(id->data + id->len - len, under[i], len) == 0)
        {
            id->len -= len;
            return;
        }
    }
}
