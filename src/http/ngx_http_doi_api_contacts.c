/*
 * The JSON API: contacts, their events, erasure.
 */

#include "ngx_http_doi_api_consent.h"


static void ngx_http_doi_api_contact_cleanup(void *data);
static doi_result_t ngx_http_doi_api_contact_read(doi_view_t *view,
    doi_time_t now, doi_str_t arg, doi_buf_t *out);
static json_t *ngx_http_doi_contact_json(const doi_contact_t *contact,
    ngx_str_t *list);
static json_t *ngx_http_doi_contact_list_json(const doi_contact_list_t *list);
static const char *ngx_http_doi_event_fields(ngx_http_doi_api_t *api,
    ngx_http_doi_api_contact_t *call, ngx_http_doi_event_t *event);
static const char *ngx_http_doi_event_kinds(json_t *body,
    ngx_http_doi_event_t *event);
static ngx_int_t ngx_http_doi_api_event_answer(ngx_http_doi_api_t *api,
    doi_result_t result, doi_str_t answer);
static ngx_int_t ngx_http_doi_api_erased(ngx_http_doi_api_t *api,
    doi_result_t result, doi_str_t answer);


ngx_http_doi_api_contact_t *
ngx_http_doi_api_contact_call(ngx_http_doi_api_t *api, ngx_int_t *rc)
{
    int                          channel;
    u_char                      *colon;
    doi_str_t                    name;
    ngx_str_t                    text, none = ngx_string("");
    const char                  *err;
    ngx_pool_cleanup_t          *cln;
    ngx_http_doi_api_contact_t  *call;

    *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

    cln = ngx_pool_cleanup_add(api->request->pool,
                               sizeof(ngx_http_doi_api_contact_t));
    if (cln == NULL) {
        return NULL;
    }

    call = cln->data;
    ngx_memzero(call, sizeof(ngx_http_doi_api_contact_t));

    cln->handler = ngx_http_doi_api_contact_cleanup;
    api->data = call;

    colon = ngx_strlchr(api->id_text.data,
                        api->id_text.data + api->id_text.len, ':');
    channel = -1;

    if (colon) {
        name.data = api->id_text.data;
        name.len = colon - api->id_text.data;
        channel = doi_channel_by_name(name);
    }

    if (channel == -1) {
        *rc = ngx_http_doi_api_problem(api, NGX_HTTP_NOT_FOUND, "not_found",
                                       "name a contact as CHANNEL:ADDRESS, "
                                       "with channel email, sms or whatsapp");
        return NULL;
    }

    text.data = colon + 1;
    text.len = api->id_text.data + api->id_text.len - text.data;

    switch (ngx_http_doi_contact(api->request->pool, channel, &text, &none,
                                 &call->contact, &err))
    {

    case NGX_OK:
        return call;

    case NGX_DECLINED:
        *rc = ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST, "address",
                                       "the %s %s",
                                       channel == DOI_CHANNEL_EMAIL
                                       ? "address" : "number", err);
        return NULL;

    default:
        *rc = ngx_http_doi_api_unavailable(api);
        return NULL;
    }
}


static void
ngx_http_doi_api_contact_cleanup(void *data)
{
    ngx_http_doi_api_contact_t *call = data;

    json_decref(call->body);
    json_decref(call->json);
}


ngx_int_t
ngx_http_doi_api_contact(ngx_http_doi_api_t *api)
{
    u_char                      *src, *dst;
    ngx_int_t                    rc;
    ngx_str_t                    value;
    ngx_http_doi_api_contact_t  *call;

    call = ngx_http_doi_api_contact_call(api, &rc);
    if (call == NULL) {
        return rc;
    }

    if (ngx_http_arg(api->request, (u_char *) "list", 4, &value) == NGX_OK) {

        dst = ngx_pnalloc(api->request->pool, value.len + 1);
        if (dst == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        call->list.data = dst;
        src = value.data;

        ngx_unescape_uri(&dst, &src, value.len, 0);
        call->list.len = dst - call->list.data;
    }

    return ngx_http_doi_api_contact_find(api, ngx_http_doi_api_contact_read,
                                         call);
}


ngx_int_t
ngx_http_doi_api_contact_find(ngx_http_doi_api_t *api, doi_txn_pt fn,
    ngx_http_doi_api_contact_t *call)
{
    json_t     *json;
    doi_str_t   arg;
    doi_buf_t   out;

    arg.data = (u_char *) call;
    arg.len = sizeof(ngx_http_doi_api_contact_t);
    ngx_memzero(&out, sizeof(doi_buf_t));

    switch (doi_store_read(ngx_http_doi_process_store(), fn, arg, &out)) {

    case DOI_WON:
        json = call->json;
        call->json = NULL;
        return ngx_http_doi_api_json(api, NGX_HTTP_OK, json);

    case DOI_CONFLICT:
        return ngx_http_doi_api_problem(api, NGX_HTTP_NOT_FOUND, "not_found",
                                        "this contact is not known");

    default:
        return ngx_http_doi_api_unavailable(api);
    }
}


static doi_result_t
ngx_http_doi_api_contact_read(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                          rc;
    doi_contact_t                contact;
    ngx_http_doi_api_contact_t  *call;

    call = (ngx_http_doi_api_contact_t *) arg.data;

    rc = doi_contact_get(view, call->contact.id, &contact);

    if (rc == DOI_NOT_FOUND) {
        return DOI_CONFLICT;
    }

    if (rc != DOI_OK) {
        return DOI_RETRY;
    }

    call->json = ngx_http_doi_contact_json(&contact,
                                           call->list.data ? &call->list
                                                           : NULL);

    return call->json ? DOI_WON : DOI_RETRY;
}


static json_t *
ngx_http_doi_contact_json(const doi_contact_t *contact, ngx_str_t *list)
{
    size_t                     i;
    u_char                     id[DOI_ID_CHARS];
    json_t                    *lists, *row;
    const doi_contact_list_t  *l;

    lists = json_array();

    for (i = 0; lists && i < contact->nlists; i++) {
        l = &contact->lists[i];

        if (list && (l->name.len != list->len
                     || ngx_memcmp(l->name.data, list->data, list->len) != 0))
        {
            continue;
        }

        row = ngx_http_doi_contact_list_json(l);

        if (row == NULL || json_array_append_new(lists, row) != 0) {
            json_decref(lists);
            return NULL;
        }
    }

    doi_id_encode(contact->id, id);

    return json_pack("{s:s%, s:s, s:s%, s:s%, s:s%, s:b, s:b, s:o, s:o, s:i,"
                     " s:o}",
                     "id", (char *) id, (size_t) DOI_ID_CHARS,
                     "channel", doi_channel_name(contact->channel),
                     "address", (char *) contact->address.data,
                     contact->address.len,
                     "person", (char *) contact->person.data,
                     contact->person.len,
                     "lang", (char *) contact->lang.data, contact->lang.len,
                     "erased", (int) contact->erased,
                     "stopped", (int) contact->stopped,
                     "created", ngx_http_doi_time_json(contact->created),
                     "changed", ngx_http_doi_time_json(contact->changed),
                     "entries", (int) contact->head_seq,
                     "lists", lists);
}


static json_t *
ngx_http_doi_contact_list_json(const doi_contact_list_t *list)
{
    const doi_consent_t  *c;

    c = &list->consent;

    return json_pack("{s:s%, s:s?, s:s?, s:o, s:o, s:o, s:b, s:b, s:i}",
                     "list", (char *) list->name.data, list->name.len,
                     "status", doi_consent_name(c->state),
                     "source", doi_source_name(list->source),
                     "since", ngx_http_doi_time_json(c->since),
                     "asked", ngx_http_doi_time_json(c->asked),
                     "opted_in", ngx_http_doi_time_json(c->opted_in),
                     "prompted", (int) c->prompted,
                     "overridden", (int) c->overridden,
                     "reminders", (int) c->reminders);
}


ngx_int_t
ngx_http_doi_api_contact_event(ngx_http_doi_api_t *api)
{
    size_t                       len;
    u_char                      *packed;
    ngx_int_t                    rc;
    doi_str_t                    lang;
    const char                  *bad;
    ngx_http_doi_event_t         event;
    ngx_http_doi_loc_conf_t     *conf;
    ngx_http_doi_api_contact_t  *call;

    static const char  *names[] = {
        "event", "source", "reason", "list", "level", "lang", "person",
        "wording", NULL
    };

    call = ngx_http_doi_api_contact_call(api, &rc);
    if (call == NULL) {
        return rc;
    }

    call->body = ngx_http_doi_api_body(api, names, &rc);
    if (call->body == NULL) {
        return rc;
    }

    conf = ngx_http_get_module_loc_conf(api->request, ngx_http_doi_module);

    ngx_memzero(&event, sizeof(ngx_http_doi_event_t));

    bad = ngx_http_doi_event_fields(api, call, &event);

    if (event.arg.event == DOI_CONSENT_OVERRIDE
        && !(conf->api & NGX_HTTP_DOI_API_OVERRIDE))
    {
        return ngx_http_doi_api_problem(api, NGX_HTTP_FORBIDDEN, "permission",
                                        "\"doi_api\" of this location does not "
                                        "permit \"override\"");
    }

    if (bad) {
        return ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST, "field",
                                        "%s", bad);
    }

    /* the contact is asked only what it is to answer */

    if (event.arg.event == DOI_CONSENT_SUBSCRIBE
        && event.arg.level == DOI_CONSENT_DOUBLE)
    {
        lang.data = event.said[DOI_SAID_LANG].data;
        lang.len = event.said[DOI_SAID_LANG].len;

        rc = ngx_http_doi_event_replies(api->request, &event,
                                        doi_pages_lang_tag(conf->pages, lang));
        if (rc != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

    } else {
        event.arg.flags |= DOI_CONSENT_QUIET;
    }

    packed = ngx_pnalloc(api->request->pool, NGX_HTTP_DOI_EVENT_MAX);

    if (packed == NULL
        || ngx_http_doi_event_client(api->request, &event) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_doi_event_pack(&event, packed, NGX_HTTP_DOI_EVENT_MAX, &len)
        != NGX_OK)
    {
        return ngx_http_doi_api_unavailable(api);
    }

    call->n = event.arg.event;
    call->source = event.arg.source;

    return ngx_http_doi_api_submit(api, DOI_OP_CONSENT_EVENT, packed, len,
                                   ngx_http_doi_api_event_answer);
}


/* NULL, or what is wrong. */

static const char *
ngx_http_doi_event_fields(ngx_http_doi_api_t *api,
    ngx_http_doi_api_contact_t *call, ngx_http_doi_event_t *event)
{
    const char               *bad;
    ngx_str_t                *said;
    ngx_uint_t                i;
    ngx_http_doi_loc_conf_t  *conf;

    static const struct {
        const char  *name;
        doi_said_t   said;
    } texts[] = {
        { "reason", DOI_SAID_REASON },
        { "list", DOI_SAID_LIST },
        { "lang", DOI_SAID_LANG },
        { "person", DOI_SAID_PERSON },
        { "wording", DOI_SAID_WORDING }
    };

    conf = ngx_http_get_module_loc_conf(api->request, ngx_http_doi_module);
    said = event->said;

    bad = ngx_http_doi_event_kinds(call->body, event);
    if (bad) {
        return bad;
    }

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {

        if (ngx_http_doi_api_text(call->body, texts[i].name,
                                    doi_said_max[texts[i].said],
                                    &said[texts[i].said])
            != NGX_OK)
        {
            return "\"reason\", \"list\", \"lang\", \"person\" and \"wording\" "
                   "must be strings of at most 512, 64, 35, 128 and 8192 bytes";
        }
    }

    if (said[DOI_SAID_LIST].len == 0) {
        ngx_str_set(&said[DOI_SAID_LIST], "default");
    }

    said[DOI_SAID_ADDRESS] = call->contact.address;
    said[DOI_SAID_ACTOR] = api->actor;

    if (event->arg.event == DOI_CONSENT_OVERRIDE
        && (said[DOI_SAID_REASON].len == 0 || api->actor.len == 0))
    {
        return "\"override\" needs a \"reason\", and a user name that nginx "
               "has checked, such as by auth_basic";
    }

    ngx_memcpy(event->arg.contact, call->contact.id, DOI_CONTACT_ID);
    event->arg.channel = (uint8_t) call->contact.channel;
    event->arg.scope = (uint16_t) conf->optout_scope;

    return NULL;
}


static const char *
ngx_http_doi_event_kinds(json_t *body, ngx_http_doi_event_t *event)
{
    ngx_uint_t   i;
    const char  *text;

    static const struct {
        const char           *name;
        doi_consent_event_t   event;
    } events[] = {
        { "subscribe", DOI_CONSENT_SUBSCRIBE },
        { "confirm", DOI_CONSENT_CONFIRM },
        { "stop", DOI_CONSENT_STOP },
        { "revoke", DOI_CONSENT_REVOKE },
        { "override", DOI_CONSENT_OVERRIDE }
    };

    static const struct {
        const char           *name;
        doi_source_t          source;
    } sources[] = {
        { "api", DOI_SOURCE_API },
        { "agent", DOI_SOURCE_AGENT },
        { "ivr", DOI_SOURCE_IVR },
        { "provider", DOI_SOURCE_PROVIDER },
        { "sync", DOI_SOURCE_SYNC }
    };

    text = json_string_value(json_object_get(body, "event"));

    for (i = 0; text && i < sizeof(events) / sizeof(events[0]); i++) {
        if (strcmp(text, events[i].name) == 0) {
            break;
        }
    }

    if (text == NULL || i == sizeof(events) / sizeof(events[0])) {
        return "\"event\" must be \"subscribe\", \"confirm\", \"stop\", "
               "\"revoke\" or \"override\"";
    }

    event->arg.event = (uint8_t) events[i].event;
    event->arg.source = DOI_SOURCE_API;
    event->arg.level = DOI_CONSENT_SINGLE;

    if (json_object_get(body, "source")) {
        text = json_string_value(json_object_get(body, "source"));

        for (i = 0; text && i < sizeof(sources) / sizeof(sources[0]); i++) {
            if (strcmp(text, sources[i].name) == 0) {
                break;
            }
        }

        if (text == NULL || i == sizeof(sources) / sizeof(sources[0])) {
            return "\"source\" must be \"api\", \"agent\", \"ivr\", "
                   "\"provider\" or \"sync\"";
        }

        event->arg.source = (uint8_t) sources[i].source;
    }

    if (json_object_get(body, "level")) {
        text = json_string_value(json_object_get(body, "level"));

        if (text && strcmp(text, "double") == 0) {
            event->arg.level = DOI_CONSENT_DOUBLE;

        } else if (text == NULL || strcmp(text, "single") != 0) {
            return "\"level\" must be \"single\" or \"double\"";
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_doi_api_text(json_t *body, const char *name, size_t max,
    ngx_str_t *text)
{
    size_t   len;
    json_t  *value;

    value = json_object_get(body, name);

    if (value == NULL) {
        return NGX_OK;
    }

    len = json_string_length(value);

    if (!json_is_string(value) || len > max
        || memchr(json_string_value(value), '\0', len))
    {
        return NGX_DECLINED;
    }

    text->data = (u_char *) json_string_value(value);
    text->len = len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_api_event_answer(ngx_http_doi_api_t *api, doi_result_t result,
    doi_str_t answer)
{
    json_t                      *json;
    const char                  *reply;
    doi_consent_answer_t         a;
    ngx_http_doi_api_contact_t  *call;

    if (answer.len < sizeof(a)) {
        return ngx_http_doi_api_problem(api, NGX_HTTP_CONFLICT, "refused",
                                        "the store does not take such an "
                                        "event");
    }

    ngx_memcpy(&a, answer.data, sizeof(a));
    call = api->data;

    if (result == DOI_CONFLICT) {
        return ngx_http_doi_api_problem(api, NGX_HTTP_CONFLICT, "refused",
                                        "this contact is %s: that cannot be "
                                        "changed by this event from this "
                                        "source", doi_consent_name(a.from));
    }

    ngx_http_doi_event_count(call->n, call->source, 0, &a);
    ngx_http_doi_courier_wake();

    reply = a.reply == DOI_REPLY_NONE ? NULL : doi_reply_name(a.reply);

    json = json_pack("{s:s?, s:s?, s:b, s:b, s:s?, s:i, s:I}",
                     "from", doi_consent_name(a.from),
                     "status", doi_consent_name(a.to),
                     "changed", (int) (a.from != a.to),
                     "created", (int) a.created,
                     "reply", reply,
                     "others", (int) a.others,
                     "seq", (json_int_t) a.seq);

    if (json == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_doi_api_json(api, NGX_HTTP_OK, json);
}


ngx_int_t
ngx_http_doi_api_contact_erase(ngx_http_doi_api_t *api)
{
    ngx_int_t                    rc;
    ngx_http_doi_api_contact_t  *call;

    call = ngx_http_doi_api_contact_call(api, &rc);
    if (call == NULL) {
        return rc;
    }

    return ngx_http_doi_api_contact_admin(api, DOI_OP_CONSENT_ERASE,
                                          call->contact.id, NULL,
                                          ngx_http_doi_api_erased);
}


ngx_int_t
ngx_http_doi_api_contact_admin(ngx_http_doi_api_t *api, ngx_uint_t op,
    const u_char *contact, const u_char *review, ngx_http_doi_api_done_pt done)
{
    u_char                   *p;
    json_t                   *body;
    size_t                    len;
    ngx_int_t                 rc;
    ngx_str_t                 reason;
    doi_contact_arg_t         head;
    const doi_ledger_keys_t  *keys;
    u_char                    arg[sizeof(doi_contact_arg_t) + DOI_ACTOR_MAX
                                  + DOI_REASON_MAX];

    static const char  *names[] = { "reason", NULL };

    body = ngx_http_doi_api_body(api, names, &rc);
    if (body == NULL) {
        return rc;
    }

    ngx_str_null(&reason);

    if (ngx_http_doi_api_text(body, "reason", DOI_REASON_MAX, &reason)
        != NGX_OK || reason.len == 0)
    {
        json_decref(body);

        return ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST, "field",
                                        "\"reason\" must be a string of 1 to "
                                        "512 bytes");
    }

    keys = ngx_http_doi_ledger();

    if (keys == NULL) {
        json_decref(body);
        return ngx_http_doi_api_unavailable(api);
    }

    ngx_memzero(&head, sizeof(doi_contact_arg_t));
    ngx_memcpy(head.contact, contact, DOI_CONTACT_ID);
    ngx_memcpy(head.ledger, keys->ledger, sizeof(head.ledger));
    ngx_memcpy(head.content, keys->content, sizeof(head.content));

    if (review) {
        ngx_memcpy(head.review, review, DOI_ID_SIZE);
    }

    head.actor_len = (uint16_t) api->actor.len;
    head.reason_len = (uint16_t) reason.len;

    p = ngx_cpymem(arg, &head, sizeof(doi_contact_arg_t));
    p = ngx_cpymem(p, api->actor.data, api->actor.len);
    p = ngx_cpymem(p, reason.data, reason.len);
    len = p - arg;

    json_decref(body);

    return ngx_http_doi_api_submit(api, op, arg, len, done);
}


static ngx_int_t
ngx_http_doi_api_erased(ngx_http_doi_api_t *api, doi_result_t result,
    doi_str_t answer)
{
    json_t  *json;

    if (result == DOI_CONFLICT) {
        return ngx_http_doi_api_problem(api, NGX_HTTP_NOT_FOUND, "not_found",
                                        "this contact is not known");
    }

    /* the request's log would add its line, with the address in it */

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "doi: a contact was erased by \"%V\"", &api->actor);

    json = json_pack("{s:b}", "erased", 1);

    return json ? ngx_http_doi_api_json(api, NGX_HTTP_OK, json)
                : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


json_t *
ngx_http_doi_time_json(doi_time_t t)
{
    return t ? json_integer(t) : json_null();
}


json_t *
ngx_http_doi_hex_json(const u_char *data, size_t len)
{
    u_char  hex[64];

    len = ngx_min(len, sizeof(hex) / 2);

    return json_stringn((char *) hex,
                        ngx_hex_dump(hex, (u_char *) data, len) - hex);
}
