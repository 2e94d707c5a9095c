/*
 * The JSON API: list, show, resolve, resend and cancel bookings.
 */

#include "ngx_http_doi_api.h"


#define NGX_HTTP_DOI_PAGE       100     /* rows in a page of a list */
#define NGX_HTTP_DOI_PAGE_MAX   1000
#define NGX_HTTP_DOI_LOOK_MAX   5000    /* rows looked at for one page */


typedef struct {
    ngx_http_doi_api_page_t  *page;
    doi_time_t                now;
    ngx_int_t                 state;    /* wanted doi_booking_state_t, or -1 */
    ngx_str_t                 scope;    /* data NULL: any */
} ngx_http_doi_bookings_t;


static doi_result_t ngx_http_doi_bookings_read(doi_view_t *view,
    doi_time_t now, doi_str_t arg, doi_buf_t *out);
static int ngx_http_doi_bookings_row(void *data, doi_str_t key,
    doi_str_t value);
static ngx_int_t ngx_http_doi_booking_done(ngx_http_doi_api_t *api,
    doi_result_t result, doi_str_t answer);
static ngx_int_t ngx_http_doi_booking_operator(ngx_http_doi_api_t *api,
    ngx_uint_t op, doi_booking_operator_arg_t *head, ngx_str_t *reason);
static ngx_int_t ngx_http_doi_booking_conflict(ngx_http_doi_api_t *api,
    ngx_uint_t state);
static json_t *ngx_http_doi_booking_json(const doi_booking_t *booking,
    doi_time_t now);
static json_t *ngx_http_doi_booking_text(const doi_str_t *text);
static json_t *ngx_http_doi_booking_time(doi_time_t t);


ngx_int_t
ngx_http_doi_api_bookings(ngx_http_doi_api_t *api)
{
    u_char                   *src, *dst;
    ngx_int_t                 rc;
    ngx_str_t                 value;
    ngx_uint_t                i;
    const char               *name;
    ngx_http_doi_api_page_t   page;
    ngx_http_doi_bookings_t   list;

    ngx_memzero(&list, sizeof(ngx_http_doi_bookings_t));

    list.page = &page;
    list.state = -1;

    if (ngx_http_arg(api->request, (u_char *) "state", 5, &value) == NGX_OK) {

        for (i = 0; i < DOI_BOOKING_STATES; i++) {
            name = doi_booking_state_name(i);

            if (value.len == ngx_strlen(name)
                && ngx_strncmp(value.data, name, value.len) == 0)
            {
                list.state = i;
            }
        }

        if (list.state == -1) {
            return ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST, "field",
                                            "\"state\" must be held, claimed, "
                                            "confirmed, in_doubt, refused, "
                                            "cancelled or expired");
        }
    }

    if (ngx_http_arg(api->request, (u_char *) "scope", 5, &value) == NGX_OK) {

        dst = ngx_pnalloc(api->request->pool, value.len + 1);
        if (dst == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        list.scope.data = dst;
        src = value.data;

        ngx_unescape_uri(&dst, &src, value.len, 0);
        list.scope.len = dst - list.scope.data;
    }

    if (ngx_http_doi_api_page(api, &page, DOI_ID_SIZE, &rc) != NGX_OK) {
        return rc;
    }

    return ngx_http_doi_api_page_read(api, &page, "bookings",
                                      ngx_http_doi_bookings_read, &list,
                                      sizeof(ngx_http_doi_bookings_t));
}


static doi_result_t
ngx_http_doi_bookings_read(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                       rc;
    doi_str_t                 from;
    ngx_http_doi_bookings_t  *list;

    list = (ngx_http_doi_bookings_t *) arg.data;
    list->now = now;

    from.data = list->page->cursor;
    from.len = list->page->cursor_len;

    rc = view->scan(view, DOI_TABLE_BOOKINGS, from, ngx_http_doi_bookings_row,
                    list);

    return (rc == DOI_OK || rc == DOI_NOT_FOUND) ? DOI_WON : DOI_RETRY;
}


static int
ngx_http_doi_bookings_row(void *data, doi_str_t key, doi_str_t value)
{
    ngx_http_doi_bookings_t *list = data;

    json_t         *json;
    doi_str_t      *scope;
    doi_booking_t   booking;

    switch (ngx_http_doi_api_page_row(list->page, key)) {

    case DOI_OK:
        break;

    case DOI_NOT_FOUND:
        return DOI_OK;

    default:
        return DOI_NOT_FOUND;
    }

    if (key.len != DOI_ID_SIZE || doi_booking_decode(value, &booking) != DOI_OK)
    {
        return DOI_OK;
    }

    ngx_memcpy(booking.id, key.data, DOI_ID_SIZE);

    scope = &booking.text[DOI_TEXT_SCOPE];

    if ((list->state != -1
         && (ngx_int_t) doi_booking_state(&booking, list->now) != list->state)
        || (list->scope.data
            && (list->scope.len != scope->len
                || ngx_memcmp(list->scope.data, scope->data, scope->len) != 0)))
    {
        return DOI_OK;
    }

    json = ngx_http_doi_booking_json(&booking, list->now);

    if (json == NULL || json_array_append_new(list->page->rows, json) != 0) {
        return DOI_ERROR;
    }

    list->page->found++;

    return DOI_OK;
}


/*
 * Behind all that was submitted before, as for links.
 */

ngx_int_t
ngx_http_doi_api_booking(ngx_http_doi_api_t *api)
{
    doi_read_arg_t  read;

    ngx_memzero(&read, sizeof(doi_read_arg_t));
    ngx_memcpy(read.id, api->id, DOI_ID_SIZE);

    api->data = (void *) (uintptr_t) DOI_OP_BOOKING_READ;

    return ngx_http_doi_api_submit(api, DOI_OP_BOOKING_READ, &read,
                                   sizeof(doi_read_arg_t),
                                   ngx_http_doi_booking_done);
}


ngx_int_t
ngx_http_doi_api_booking_resolve(ngx_http_doi_api_t *api)
{
    json_t                      *body;
    ngx_int_t                    rc;
    ngx_str_t                    reason;
    ngx_uint_t                   outcome;
    const char                  *bad;
    doi_booking_operator_arg_t   head;

    static const char  *names[] = { "outcome", "reason", NULL };

    body = ngx_http_doi_api_body(api, names, &rc);
    if (body == NULL) {
        return rc;
    }

    ngx_memzero(&head, sizeof(doi_booking_operator_arg_t));

    bad = ngx_http_doi_api_outcome(body, &outcome, &reason);

    if (bad) {
        rc = ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST, "field", "%s",
                                      bad);
    } else {
        head.outcome = (uint16_t) outcome;
        rc = ngx_http_doi_booking_operator(api, DOI_OP_BOOKING_RESOLVE, &head,
                                           &reason);
    }

    json_decref(body);

    return rc;
}


ngx_int_t
ngx_http_doi_api_booking_resend(ngx_http_doi_api_t *api)
{
    ngx_int_t                   rc;
    doi_booking_operator_arg_t  head;

    if (ngx_http_doi_api_empty(api, &rc) != NGX_OK) {
        return rc;
    }

    ngx_memzero(&head, sizeof(doi_booking_operator_arg_t));

    if (ngx_http_doi_random(head.again, DOI_ID_SIZE) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* neither actor nor reason: no limits follow, and nothing else does */

    ngx_memcpy(head.id, api->id, DOI_ID_SIZE);
    api->data = (void *) (uintptr_t) DOI_OP_BOOKING_RESEND;

    return ngx_http_doi_api_submit(api, DOI_OP_BOOKING_RESEND, &head,
                                   sizeof(doi_booking_operator_arg_t),
                                   ngx_http_doi_booking_done);
}


ngx_int_t
ngx_http_doi_api_booking_cancel(ngx_http_doi_api_t *api)
{
    json_t                      *body, *value;
    ngx_int_t                    rc;
    ngx_str_t                    reason = ngx_string("");
    doi_booking_operator_arg_t   head;

    static const char  *names[] = { "reason", NULL };

    body = NULL;

    if (api->body.len) {
        body = ngx_http_doi_api_body(api, names, &rc);
        if (body == NULL) {
            return rc;
        }

        value = json_object_get(body, "reason");

        if (value && (!json_is_string(value)
                      || json_string_length(value) > DOI_REASON_MAX))
        {
            json_decref(body);

            return ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST, "field",
                                            "\"reason\" must be a string of at "
                                            "most 512 bytes");
        }

        if (value) {
            reason.data = (u_char *) json_string_value(value);
            reason.len = json_string_length(value);
        }
    }

    ngx_memzero(&head, sizeof(doi_booking_operator_arg_t));

    rc = ngx_http_doi_booking_operator(api, DOI_OP_BOOKING_CANCEL, &head,
                                       &reason);
    json_decref(body);

    return rc;
}


static ngx_int_t
ngx_http_doi_booking_operator(ngx_http_doi_api_t *api, ngx_uint_t op,
    doi_booking_operator_arg_t *head, ngx_str_t *reason)
{
    u_char  *p;
    u_char   arg[sizeof(doi_booking_operator_arg_t) + DOI_ACTOR_MAX
                 + DOI_REASON_MAX];

    api->data = (void *) (uintptr_t) op;

    ngx_memcpy(head->id, api->id, DOI_ID_SIZE);

    head->actor_len = (uint16_t) api->actor.len;
    head->reason_len = (uint16_t) reason->len;

    p = ngx_cpymem(arg, head, sizeof(doi_booking_operator_arg_t));
    p = ngx_cpymem(p, api->actor.data, api->actor.len);
    p = ngx_cpymem(p, reason->data, reason->len);

    return ngx_http_doi_api_submit(api, op, arg, p - arg,
                                   ngx_http_doi_booking_done);
}


static ngx_int_t
ngx_http_doi_booking_done(ngx_http_doi_api_t *api, doi_result_t result,
    doi_str_t answer)
{
    json_t                *json;
    doi_str_t              record;
    ngx_uint_t             op;
    const char            *what;
    doi_booking_t          booking;
    doi_booking_answer_t   head;

    if (answer.len < sizeof(doi_booking_answer_t)) {
        return ngx_http_doi_api_unavailable(api);
    }

    ngx_memcpy(&head, answer.data, sizeof(doi_booking_answer_t));

    record.data = answer.data + sizeof(doi_booking_answer_t);
    record.len = head.record_len;

    if (head.record_len > answer.len - sizeof(doi_booking_answer_t)) {
        return ngx_http_doi_api_unavailable(api);
    }

    if (head.state == DOI_BOOKING_UNKNOWN || head.record_len == 0) {
        return ngx_http_doi_api_problem(api, NGX_HTTP_NOT_FOUND, "not_found",
                                        "there is no such booking, or it was "
                                        "long ago");
    }

    if (result == DOI_CONFLICT) {
        return ngx_http_doi_booking_conflict(api, head.state);
    }

    op = (uintptr_t) api->data;

    if (op != DOI_OP_BOOKING_READ) {

        what = (op == DOI_OP_BOOKING_RESOLVE) ? "resolved"
               : (op == DOI_OP_BOOKING_CANCEL) ? "cancelled"
                                               : "mailed again";

        ngx_log_error(NGX_LOG_NOTICE, api->request->connection->log, 0,
                      "doi: booking %V was %s by \"%V\"", &api->id_text, what,
                      &api->actor);

        ngx_http_doi_courier_wake();
    }

    if (doi_booking_decode(record, &booking) != DOI_OK) {
        return ngx_http_doi_api_unavailable(api);
    }

    ngx_memcpy(booking.id, api->id, DOI_ID_SIZE);

    json = ngx_http_doi_booking_json(&booking, ngx_http_doi_now());
    if (json == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_doi_api_json(api, NGX_HTTP_OK, json);
}


static ngx_int_t
ngx_http_doi_booking_conflict(ngx_http_doi_api_t *api, ngx_uint_t state)
{
    const char  *name, *rule;

    switch ((uintptr_t) api->data) {

    case DOI_OP_BOOKING_RESOLVE:
        rule = "only one that is in doubt can be resolved";
        break;

    case DOI_OP_BOOKING_CANCEL:
        rule = "only one that is held or confirmed can be cancelled";
        break;

    default:
        rule = "there is no mail that it waits for";
    }

    name = doi_booking_state_name(state);

    return ngx_http_doi_api_problem(api, NGX_HTTP_CONFLICT, "state",
                                    "this booking is %s: %s",
                                    name ? name : "in another state", rule);
}


/* No token, no link, no code. */

static json_t *
ngx_http_doi_booking_json(const doi_booking_t *booking, doi_time_t now)
{
    json_t             *json;
    ngx_uint_t          i;
    u_char              id[DOI_ID_CHARS];
    const doi_claim_t  *claim;

    static const struct {
        const char          *name;
        doi_booking_text_t   text;
    } texts[] = {
        { "scope",   DOI_TEXT_SCOPE },
        { "slot",    DOI_TEXT_SLOT },
        { "email",   DOI_TEXT_EMAIL },
        { "name",    DOI_TEXT_NAME },
        { "lang",    DOI_TEXT_LANG },
        { "zone",    DOI_TEXT_ZONE },
        { "summary", DOI_TEXT_SUMMARY },
        { "actor",   DOI_TEXT_ACTOR },
        { "reason",  DOI_TEXT_REASON }
    };

    doi_id_encode(booking->id, id);

    claim = &booking->claim;

    json = json_pack("{s:s%, s:s?, s:o, s:o, s:o, s:o, s:o, s:o, s:i}",
                     "id", (char *) id, (size_t) DOI_ID_CHARS,
                     "state", doi_booking_state_name(
                                  doi_booking_state(booking, now)),
                     "start", ngx_http_doi_booking_time(booking->start),
                     "duration", booking->duration
                                 ? json_integer(booking->duration)
                                 : json_null(),
                     "created", ngx_http_doi_booking_time(booking->created),
                     "expires", ngx_http_doi_booking_time(booking->expires),
                     "changed", ngx_http_doi_booking_time(booking->changed),
                     "status", claim->status ? json_integer(claim->status)
                                             : json_null(),
                     "sends", (int) booking->sends);

    for (i = 0; json && i < sizeof(texts) / sizeof(texts[0]); i++) {

        if (json_object_set_new(json, texts[i].name,
                ngx_http_doi_booking_text(&booking->text[texts[i].text]))
            != 0)
        {
            json_decref(json);
            return NULL;
        }
    }

    return json;
}


/* An actor is what a client has called itself; one bad row must not make the
   whole list unreadable. */

static json_t *
ngx_http_doi_booking_text(const doi_str_t *text)
{
    json_t  *json;

    json = json_stringn((char *) text->data, text->len);

    return json ? json : json_string("\xEF\xBF\xBD");
}


static json_t *
ngx_http_doi_booking_time(doi_time_t t)
{
    return t ? json_integer(t) : json_null();
}


ngx_int_t
ngx_http_doi_api_page(ngx_http_doi_api_t *api, ngx_http_doi_api_page_t *page,
    size_t key_size, ngx_int_t *rc)
{
    int        n;
    ngx_int_t  limit;
    doi_str_t  chars;
    ngx_str_t  value;

    ngx_memzero(page, sizeof(ngx_http_doi_api_page_t));

    page->limit = NGX_HTTP_DOI_PAGE;

    if (ngx_http_arg(api->request, (u_char *) "limit", 5, &value) == NGX_OK) {

        limit = ngx_atoi(value.data, value.len);

        if (limit < 1 || limit > NGX_HTTP_DOI_PAGE_MAX) {
            *rc = ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST, "field",
                                           "\"limit\" must be a whole number "
                                           "from 1 to 1000");
            return NGX_DECLINED;
        }

        page->limit = limit;
    }

    if (ngx_http_arg(api->request, (u_char *) "cursor", 6, &value) == NGX_OK) {

        chars.data = value.data;
        chars.len = value.len;

        n = doi_base64url_decode(chars, page->cursor, sizeof(page->cursor));

        if (n < 0 || (size_t) n != key_size) {
            *rc = ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST, "field",
                                           "\"cursor\" is not one that this "
                                           "API gave");
            return NGX_DECLINED;
        }

        page->cursor_len = n;
        page->skip = 1;
    }

    return NGX_OK;
}


int
ngx_http_doi_api_page_row(ngx_http_doi_api_page_t *page, doi_str_t key)
{
    if (page->skip) {
        page->skip = 0;

        if (key.len == page->cursor_len
            && ngx_memcmp(key.data, page->cursor, key.len) == 0)
        {
            return DOI_NOT_FOUND;
        }
    }

    if (page->found == page->limit || page->looked == NGX_HTTP_DOI_LOOK_MAX) {
        page->more = 1;
        return DOI_ERROR;
    }

    page->looked++;

    if (key.len > sizeof(page->cursor)) {
        return DOI_NOT_FOUND;
    }

    ngx_memcpy(page->cursor, key.data, key.len);
    page->cursor_len = key.len;

    return DOI_OK;
}


ngx_int_t
ngx_http_doi_api_page_read(ngx_http_doi_api_t *api,
    ngx_http_doi_api_page_t *page, const char *name, doi_txn_pt fn, void *data,
    size_t len)
{
    size_t     n;
    json_t    *json;
    doi_str_t  arg;
    doi_buf_t  out;
    u_char     cursor[NGX_HTTP_DOI_CURSOR_MAX * 2];

    page->rows = json_array();
    if (page->rows == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    arg.data = data;
    arg.len = len;
    ngx_memzero(&out, sizeof(doi_buf_t));

    if (doi_store_read(ngx_http_doi_process_store(), fn, arg, &out) != DOI_WON)
    {
        json_decref(page->rows);
        return ngx_http_doi_api_unavailable(api);
    }

    n = page->more ? doi_base64url_encode(page->cursor, page->cursor_len,
                                          cursor)
                   : 0;

    json = json_pack("{s:o, s:o}", name, page->rows, "next",
                     n ? json_stringn((char *) cursor, n) : json_null());

    if (json == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_doi_api_json(api, NGX_HTTP_OK, json);
}
