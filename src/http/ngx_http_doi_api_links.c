/*
 * The JSON API: show, list, revoke and resolve links.
 */

#include "ngx_http_doi_api.h"


#define NGX_HTTP_DOI_PAGE       100     /* links in a page of a list */
#define NGX_HTTP_DOI_PAGE_MAX   1000
#define NGX_HTTP_DOI_LOOK_MAX   5000    /* rows looked at for one page */


/* A list call; lives during one read of the store. */

typedef struct {
    ngx_http_doi_api_t  *api;
    doi_view_t          *view;
    doi_time_t           now;
    ngx_int_t            state;     /* wanted doi_link_state_t, or -1        */
    ngx_uint_t           limit;
    ngx_uint_t           found;
    ngx_uint_t           looked;
    ngx_uint_t           skip;      /* the first row is the cursor's         */
    json_t              *links;
    u_char               cursor[DOI_OPEN_KEY_SIZE];
    size_t               cursor_len;
    u_char               last[DOI_ID_SIZE];
    unsigned             more:1;
    unsigned             has_last:1;
} ngx_http_doi_list_t;


static ngx_int_t ngx_http_doi_operator(ngx_http_doi_api_t *api,
    ngx_uint_t op, ngx_uint_t outcome, ngx_uint_t slot, ngx_str_t *reason,
    ngx_http_doi_api_done_pt done);
static ngx_int_t ngx_http_doi_operator_done(ngx_http_doi_api_t *api,
    doi_result_t result, doi_str_t answer);

static ngx_int_t ngx_http_doi_show(ngx_http_doi_api_t *api);
static ngx_int_t ngx_http_doi_show_done(ngx_http_doi_api_t *api,
    doi_result_t result, doi_str_t answer);
static doi_result_t ngx_http_doi_read_record(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
static doi_result_t ngx_http_doi_read_list(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
static int ngx_http_doi_list_open(void *data, doi_str_t key, doi_str_t value);
static int ngx_http_doi_list_link(void *data, doi_str_t key, doi_str_t value);
static int ngx_http_doi_list_add(ngx_http_doi_list_t *list,
    const doi_link_t *link, doi_str_t key);

static ngx_int_t ngx_http_doi_show_record(ngx_http_doi_api_t *api,
    ngx_uint_t status, doi_str_t record);
static json_t *ngx_http_doi_link_json(const doi_link_t *link, doi_time_t now,
    ngx_uint_t whole);
static json_t *ngx_http_doi_claim_json(const doi_claim_t *claim,
    doi_time_t now);
static void *ngx_http_doi_pool_alloc(doi_view_t *view, size_t size);


typedef struct {
    doi_view_t   view;
    ngx_pool_t  *pool;
} ngx_http_doi_pool_view_t;


ngx_int_t
ngx_http_doi_api_revoke(ngx_http_doi_api_t *api)
{
    ngx_str_t  reason = ngx_string("");

    return ngx_http_doi_operator(api, DOI_OP_LINK_REVOKE, 0, 0, &reason,
                                 ngx_http_doi_operator_done);
}


ngx_int_t
ngx_http_doi_api_resolve(ngx_http_doi_api_t *api)
{
    json_t      *body, *value;
    ngx_int_t    rc;
    ngx_str_t    reason;
    ngx_uint_t   outcome, slot;
    const char  *bad;

    static const char  *names[] = { "outcome", "reason", "slot", NULL };

    body = ngx_http_doi_api_body(api, names, &rc);
    if (body == NULL) {
        return rc;
    }

    slot = DOI_SLOT_ALL;

    bad = ngx_http_doi_api_outcome(body, &outcome, &reason);
    if (bad) {
        goto failed;
    }

    value = json_object_get(body, "slot");

    if (value) {
        if (!json_is_integer(value) || json_integer_value(value) < 0
            || json_integer_value(value) >= DOI_USES_MAX)
        {
            bad = "\"slot\" must be a whole number from 0 to 999";
            goto failed;
        }

        slot = json_integer_value(value);
    }

    rc = ngx_http_doi_operator(api, DOI_OP_LINK_RESOLVE, outcome, slot,
                               &reason, ngx_http_doi_operator_done);
    json_decref(body);

    return rc;

failed:

    json_decref(body);

    return ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST, "field", "%s",
                                    bad);
}


static ngx_int_t
ngx_http_doi_operator(ngx_http_doi_api_t *api, ngx_uint_t op,
    ngx_uint_t outcome, ngx_uint_t slot, ngx_str_t *reason,
    ngx_http_doi_api_done_pt done)
{
    u_char              *p;
    doi_operator_arg_t   head;
    u_char               arg[sizeof(doi_operator_arg_t) + DOI_ACTOR_MAX
                             + DOI_REASON_MAX];

    api->data = (void *) (uintptr_t) op;

    ngx_memzero(&head, sizeof(doi_operator_arg_t));
    ngx_memcpy(head.id, api->id, DOI_ID_SIZE);

    head.outcome = (uint16_t) outcome;
    head.slot = (uint16_t) slot;
    head.actor_len = (uint16_t) api->actor.len;
    head.reason_len = (uint16_t) reason->len;

    p = ngx_cpymem(arg, &head, sizeof(doi_operator_arg_t));
    p = ngx_cpymem(p, api->actor.data, api->actor.len);
    p = ngx_cpymem(p, reason->data, reason->len);

    return ngx_http_doi_api_submit(api, op, arg, p - arg, done);
}


static ngx_int_t
ngx_http_doi_operator_done(ngx_http_doi_api_t *api, doi_result_t result,
    doi_str_t answer)
{
    ngx_uint_t                 op;
    ngx_http_doi_main_conf_t  *mcf;

    op = (uintptr_t) api->data;
    mcf = ngx_http_get_module_main_conf(api->request, ngx_http_doi_module);

    if (result == DOI_CONFLICT) {

        if (answer.len == 0) {
            return ngx_http_doi_api_problem(api, NGX_HTTP_NOT_FOUND,
                                            "not_found",
                                            "nothing is known of this link");
        }

        return ngx_http_doi_api_problem(api, NGX_HTTP_CONFLICT, "state",
                   (op == DOI_OP_LINK_REVOKE)
                   ? "all uses of this link are used"
                   : "no redemption of this link is in doubt");
    }

    ngx_http_doi_count((op == DOI_OP_LINK_REVOKE) ? &mcf->stats->revoked
                                                  : &mcf->stats->resolved);

    ngx_log_error(NGX_LOG_NOTICE, api->request->connection->log, 0,
                  "doi: link %V was %s by \"%V\"", &api->id_text,
                  (op == DOI_OP_LINK_REVOKE) ? "revoked" : "resolved",
                  &api->actor);

    return ngx_http_doi_show_record(api, NGX_HTTP_OK, answer);
}


/*
 * Behind all that was submitted before: whoever got the answer to a booking
 * sees it settled.
 */

ngx_int_t
ngx_http_doi_api_show(ngx_http_doi_api_t *api)
{
    doi_read_arg_t  read;

    ngx_memzero(&read, sizeof(doi_read_arg_t));
    ngx_memcpy(read.id, api->id, DOI_ID_SIZE);

    return ngx_http_doi_api_submit(api, DOI_OP_LINK_READ, &read,
                                   sizeof(doi_read_arg_t),
                                   ngx_http_doi_show_done);
}


static ngx_int_t
ngx_http_doi_show(ngx_http_doi_api_t *api)
{
    doi_buf_t     out;
    doi_str_t     arg, record;
    doi_result_t  result;

    out.size = DOI_REPLY_MAX;
    out.len = 0;
    out.data = ngx_palloc(api->request->pool, out.size);
    if (out.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    arg.data = api->id;
    arg.len = DOI_ID_SIZE;

    result = doi_store_read(ngx_http_doi_process_store(),
                            ngx_http_doi_read_record, arg, &out);

    if (result == DOI_CONFLICT) {
        return ngx_http_doi_api_problem(api, NGX_HTTP_NOT_FOUND, "not_found",
                                        "nothing is known of this link: it "
                                        "was minted elsewhere and never used, "
                                        "or has expired");
    }

    if (result != DOI_WON) {
        return ngx_http_doi_api_unavailable(api);
    }

    record.data = out.data;
    record.len = out.len;

    return ngx_http_doi_show_record(api, NGX_HTTP_OK, record);
}


static ngx_int_t
ngx_http_doi_show_done(ngx_http_doi_api_t *api, doi_result_t result,
    doi_str_t answer)
{
    return ngx_http_doi_show(api);
}


/* arg: the id; the answer is the record as it is stored. */

static doi_result_t
ngx_http_doi_read_record(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int         rc;
    doi_str_t   value;

    rc = view->get(view, DOI_TABLE_LINKS, arg, &value);

    if (rc == DOI_NOT_FOUND) {
        return DOI_CONFLICT;
    }

    if (rc != DOI_OK || value.len > out->size) {
        return DOI_RETRY;
    }

    ngx_memcpy(out->data, value.data, value.len);
    out->len = value.len;

    return DOI_WON;
}


static ngx_int_t
ngx_http_doi_show_record(ngx_http_doi_api_t *api, ngx_uint_t status,
    doi_str_t record)
{
    json_t                    *json;
    doi_link_t                 link;
    ngx_http_doi_pool_view_t   pv;

    ngx_memzero(&pv, sizeof(ngx_http_doi_pool_view_t));

    pv.view.alloc = ngx_http_doi_pool_alloc;
    pv.pool = api->request->pool;

    if (doi_link_decode(&pv.view, record, &link) != DOI_OK) {
        return ngx_http_doi_api_unavailable(api);
    }

    ngx_memcpy(link.id, api->id, DOI_ID_SIZE);

    json = ngx_http_doi_link_json(&link, ngx_http_doi_now(), 1);
    if (json == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_doi_api_json(api, status, json);
}


static void *
ngx_http_doi_pool_alloc(doi_view_t *view, size_t size)
{
    return ngx_palloc(((ngx_http_doi_pool_view_t *) view)->pool, size);
}


static json_t *
ngx_http_doi_link_json(const doi_link_t *link, doi_time_t now,
    ngx_uint_t whole)
{
    int          state;
    size_t       i, used, doubt;
    json_t      *json, *claims, *meta;
    doi_time_t   minted;
    u_char       id[DOI_ID_CHARS];

    doi_id_encode(link->id, id);

    minted = doi_get32(link->id);

    claims = whole ? json_array() : NULL;
    used = 0;
    doubt = 0;

    for (i = 0; i < link->nclaims; i++) {

        state = doi_claim_state(&link->claims[i], now);

        used += (state == DOI_CLAIM_USED);
        doubt += (state == DOI_CLAIM_IN_DOUBT);

        if (state && whole) {
            (void) json_array_append_new(claims,
                           ngx_http_doi_claim_json(&link->claims[i], now));
        }
    }

    meta = link->meta.len ? json_loadb((char *) link->meta.data,
                                       link->meta.len, 0, NULL)
                          : NULL;

    json = json_pack("{s:s%, s:s%, s:s, s:i, s:I, s:I, s:I, s:o, s:I, s:o*,"
                     " s:s%, s:s%, s:o*}",
                     "id", (char *) id, (size_t) DOI_ID_CHARS,
                     "scope", link->scope.len ? (char *) link->scope.data : "",
                     link->scope.len,
                     "state", doi_link_state_name(doi_link_state(link, now,
                                                                 NULL, NULL)),
                     "uses", (int) link->uses,
                     "used", (json_int_t) used,
                     "in_doubt", (json_int_t) doubt,
                     "minted", (json_int_t) minted,
                     "expires", link->expires == UINT32_MAX
                                ? json_null()
                                : json_integer(link->expires),
                     "changed", (json_int_t) link->changed,
                     "meta", meta,
                     "actor", link->actor.len ? (char *) link->actor.data : "",
                     link->actor.len,
                     "reason", link->reason.len ? (char *) link->reason.data
                                                : "",
                     link->reason.len,
                     "claims", claims);

    return json;
}


static json_t *
ngx_http_doi_claim_json(const doi_claim_t *claim, doi_time_t now)
{
    static const char  *names[] = { "released", "claimed", "used",
                                    "in_doubt" };

    return json_pack("{s:i, s:s, s:I, s:I, s:o, s:o}",
                     "slot", (int) claim->slot,
                     "state", names[doi_claim_state(claim, now)],
                     "claimed", (json_int_t) claim->claimed,
                     "deadline", (json_int_t) claim->deadline,
                     "settled", claim->settled ? json_integer(claim->settled)
                                               : json_null(),
                     "status", claim->status ? json_integer(claim->status)
                                             : json_null());
}


ngx_int_t
ngx_http_doi_api_list(ngx_http_doi_api_t *api)
{
    int                   n;
    json_t               *json;
    ngx_int_t             limit;
    ngx_str_t             value;
    doi_str_t             arg, chars;
    doi_buf_t             out;
    ngx_uint_t            i;
    doi_result_t          result;
    ngx_http_doi_list_t   list;
    u_char                cursor[DOI_OPEN_KEY_SIZE * 2];

    ngx_memzero(&list, sizeof(ngx_http_doi_list_t));

    list.api = api;
    list.state = -1;
    list.limit = NGX_HTTP_DOI_PAGE;

    if (ngx_http_arg(api->request, (u_char *) "state", 5, &value) == NGX_OK) {

        for (i = 0; i < DOI_LINK_STATES; i++) {
            if (value.len == ngx_strlen(doi_link_state_name(i))
                && ngx_strncmp(value.data, doi_link_state_name(i), value.len)
                   == 0)
            {
                list.state = i;
            }
        }

        if (list.state == -1) {
            return ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST, "field",
                                            "\"state\" must be fresh, claimed, "
                                            "used, in_doubt, revoked or "
                                            "expired");
        }
    }

    if (ngx_http_arg(api->request, (u_char *) "limit", 5, &value) == NGX_OK) {

        limit = ngx_atoi(value.data, value.len);

        if (limit < 1 || limit > NGX_HTTP_DOI_PAGE_MAX) {
            return ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST, "field",
                                            "\"limit\" must be a whole number "
                                            "from 1 to 1000");
        }

        list.limit = limit;
    }

    if (ngx_http_arg(api->request, (u_char *) "cursor", 6, &value) == NGX_OK) {

        chars.data = value.data;
        chars.len = value.len;

        n = doi_base64url_decode(chars, list.cursor, sizeof(list.cursor));

        if (n < 1) {
            return ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST, "field",
                                            "\"cursor\" is not one that this "
                                            "API gave");
        }

        list.cursor_len = n;
        list.skip = 1;
    }

    list.links = json_array();
    if (list.links == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    arg.data = (u_char *) &list;
    arg.len = sizeof(ngx_http_doi_list_t);
    ngx_memzero(&out, sizeof(doi_buf_t));

    result = doi_store_read(ngx_http_doi_process_store(),
                            ngx_http_doi_read_list, arg, &out);

    if (result != DOI_WON) {
        json_decref(list.links);
        return ngx_http_doi_api_unavailable(api);
    }

    n = list.more ? (int) doi_base64url_encode(list.cursor, list.cursor_len,
                                               cursor)
                  : 0;

    json = json_pack("{s:o, s:o}", "links", list.links, "next",
                     n ? json_stringn((char *) cursor, n) : json_null());

    if (json == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_doi_api_json(api, NGX_HTTP_OK, json);
}


/*
 * Claimed and in doubt have an index.  All other states are looked for in the
 * records; a page ends also when it has looked at many rows, so that an event
 * loop is not held up.
 */

static doi_result_t
ngx_http_doi_read_list(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                   rc;
    doi_str_t             from;
    ngx_http_doi_list_t  *list;

    list = (ngx_http_doi_list_t *) arg.data;
    list->view = view;
    list->now = now;

    from.data = list->cursor;
    from.len = list->cursor_len;

    if (list->state == DOI_LINK_CLAIMED || list->state == DOI_LINK_IN_DOUBT) {
        rc = view->scan(view, DOI_TABLE_OPEN, from, ngx_http_doi_list_open,
                        list);
    } else {
        rc = view->scan(view, DOI_TABLE_LINKS, from, ngx_http_doi_list_link,
                        list);
    }

    return (rc == DOI_OK || rc == DOI_NOT_FOUND) ? DOI_WON : DOI_RETRY;
}


static int
ngx_http_doi_list_open(void *data, doi_str_t key, doi_str_t value)
{
    ngx_http_doi_list_t *list = data;

    doi_link_t  link;

    if (key.len != DOI_OPEN_KEY_SIZE) {
        return DOI_OK;
    }

    /* several claims of one link stand in a row, or a page apart */

    if (list->has_last
        && ngx_memcmp(key.data + 4, list->last, DOI_ID_SIZE) == 0)
    {
        return DOI_OK;
    }

    ngx_memcpy(list->last, key.data + 4, DOI_ID_SIZE);
    list->has_last = 1;

    if (doi_link_get(list->view, list->last, &link) != DOI_OK) {
        return DOI_OK;
    }

    return ngx_http_doi_list_add(list, &link, key);
}


static int
ngx_http_doi_list_link(void *data, doi_str_t key, doi_str_t value)
{
    ngx_http_doi_list_t *list = data;

    doi_link_t  link;

    if (key.len != DOI_ID_SIZE
        || doi_link_decode(list->view, value, &link) != DOI_OK)
    {
        return DOI_OK;
    }

    ngx_memcpy(link.id, key.data, DOI_ID_SIZE);

    return ngx_http_doi_list_add(list, &link, key);
}


static int
ngx_http_doi_list_add(ngx_http_doi_list_t *list, const doi_link_t *link,
    doi_str_t key)
{
    size_t       i;
    json_t      *json;
    ngx_uint_t   match;

    if (list->skip) {
        list->skip = 0;

        if (key.len == list->cursor_len
            && ngx_memcmp(key.data, list->cursor, key.len) == 0)
        {
            return DOI_OK;
        }
    }

    if (list->found == list->limit || list->looked >= NGX_HTTP_DOI_LOOK_MAX) {
        list->more = 1;
        return DOI_NOT_FOUND;
    }

    list->looked += 1 + link->nclaims / 8;

    ngx_memcpy(list->cursor, key.data, key.len);
    list->cursor_len = key.len;

    match = (list->state == -1
             || (ngx_int_t) doi_link_state(link, list->now, NULL, NULL)
                == list->state);

    /* a link with several uses may be open to others all the same */

    for (i = 0; !match && i < link->nclaims; i++) {
        match = (list->state == DOI_LINK_IN_DOUBT
                 && doi_claim_state(&link->claims[i], list->now)
                    == DOI_CLAIM_IN_DOUBT);
    }

    if (!match) {
        return DOI_OK;
    }

    json = ngx_http_doi_link_json(link, list->now, 0);

    if (json == NULL || json_array_append_new(list->links, json) != 0) {
        return DOI_ERROR;
    }

    list->found++;

    return DOI_OK;
}
