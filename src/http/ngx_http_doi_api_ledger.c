/*
 * The JSON API: the ledger's evidence, verification, seals.
 *
 * A ledger may be large: it is verified in pieces, each in a snapshot of its
 * own, with the event loop's other work between them.
 */

#include "ngx_http_doi_api_consent.h"


#define NGX_HTTP_DOI_ENTRIES      5000  /* of one contact, in an answer      */
#define NGX_HTTP_DOI_VERIFY_ROWS  2000  /* in one piece                      */
#define NGX_HTTP_DOI_LATER        1     /* ms between pieces                 */


typedef struct {
    ngx_http_doi_api_contact_t  *call;
    doi_contact_t                record;
    doi_view_t                  *view;
    ngx_uint_t                   n;
    ngx_uint_t                   failed;
} ngx_http_doi_evidence_t;


static doi_result_t ngx_http_doi_api_evidence_read(doi_view_t *view,
    doi_time_t now, doi_str_t arg, doi_buf_t *out);
static int ngx_http_doi_api_evidence_row(void *data, doi_str_t key,
    doi_str_t value);
static json_t *ngx_http_doi_entry_json(ngx_http_doi_evidence_t *evidence,
    const doi_entry_t *entry);
static json_t *ngx_http_doi_entry_list(const doi_contact_t *contact,
    const doi_entry_t *entry);
static void ngx_http_doi_api_later_event(ngx_event_t *ev);
static ngx_int_t ngx_http_doi_api_verify_piece(ngx_http_doi_api_t *api);
static doi_result_t ngx_http_doi_api_verify_read(doi_view_t *view,
    doi_time_t now, doi_str_t arg, doi_buf_t *out);
static ngx_int_t ngx_http_doi_api_verified(ngx_http_doi_api_t *api,
    const doi_verify_t *verify);
static doi_result_t ngx_http_doi_api_seal_read(doi_view_t *view,
    doi_time_t now, doi_str_t arg, doi_buf_t *out);


ngx_int_t
ngx_http_doi_api_evidence(ngx_http_doi_api_t *api)
{
    ngx_int_t                    rc;
    ngx_http_doi_api_contact_t  *call;

    call = ngx_http_doi_api_contact_call(api, &rc);
    if (call == NULL) {
        return rc;
    }

    return ngx_http_doi_api_contact_find(api, ngx_http_doi_api_evidence_read,
                                         call);
}


static doi_result_t
ngx_http_doi_api_evidence_read(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                       rc;
    u_char                    id[DOI_ID_CHARS];
    doi_str_t                 from;
    ngx_http_doi_evidence_t   evidence;

    ngx_memzero(&evidence, sizeof(ngx_http_doi_evidence_t));

    evidence.call = (ngx_http_doi_api_contact_t *) arg.data;
    evidence.view = view;

    rc = doi_contact_get(view, evidence.call->contact.id, &evidence.record);

    if (rc == DOI_NOT_FOUND) {
        return DOI_CONFLICT;
    }

    if (rc != DOI_OK) {
        return DOI_RETRY;
    }

    doi_id_encode(evidence.record.id, id);

    json_decref(evidence.call->json);

    evidence.call->json =
        json_pack("{s:s%, s:s?, s:s%, s:s%, s:b, s:i, s:o, s:b, s:[]}",
                  "id", (char *) id, (size_t) DOI_ID_CHARS,
                  "channel", doi_channel_name(evidence.record.channel),
                  "address", (char *) evidence.record.address.data,
                  evidence.record.address.len,
                  "person", (char *) evidence.record.person.data,
                  evidence.record.person.len,
                  "erased", (int) evidence.record.erased,
                  "head_seq", (int) evidence.record.head_seq,
                  "head_mac", ngx_http_doi_hex_json(evidence.record.head_mac,
                                                    32),
                  "truncated", 0,
                  "entries");

    if (evidence.call->json == NULL) {
        return DOI_RETRY;
    }

    from.data = evidence.record.id;
    from.len = DOI_CONTACT_ID;

    rc = view->scan(view, DOI_TABLE_LEDGER, from,
                    ngx_http_doi_api_evidence_row, &evidence);

    return (rc == DOI_OK || rc == DOI_NOT_FOUND) && !evidence.failed
           ? DOI_WON : DOI_RETRY;
}


static int
ngx_http_doi_api_evidence_row(void *data, doi_str_t key, doi_str_t value)
{
    ngx_http_doi_evidence_t *evidence = data;

    int           rc;
    json_t       *json;
    doi_str_t     content;
    doi_entry_t   entry;

    if (key.len != DOI_CONTACT_ID + 4
        || ngx_memcmp(key.data, evidence->record.id, DOI_CONTACT_ID) != 0)
    {
        return DOI_NOT_FOUND;
    }

    if (evidence->n == NGX_HTTP_DOI_ENTRIES) {
        evidence->failed = (json_object_set_new(evidence->call->json,
                                                "truncated", json_true())
                            != 0);
        return DOI_NOT_FOUND;
    }

    rc = evidence->view->get(evidence->view, DOI_TABLE_CONTENT, key, &content);

    if (rc == DOI_NOT_FOUND) {
        content.data = NULL;
        content.len = 0;

    } else if (rc != DOI_OK) {
        return DOI_ERROR;
    }

    if (doi_entry_decode(value, content, &entry) != DOI_OK) {
        evidence->failed = 1;
        return DOI_NOT_FOUND;
    }

    entry.seq = doi_get32(key.data + DOI_CONTACT_ID);

    json = ngx_http_doi_entry_json(evidence, &entry);

    if (json == NULL
        || json_array_append_new(json_object_get(evidence->call->json,
                                                 "entries"), json)
           != 0)
    {
        evidence->failed = 1;
        return DOI_NOT_FOUND;
    }

    evidence->n++;

    return DOI_OK;
}


static json_t *
ngx_http_doi_entry_json(ngx_http_doi_evidence_t *evidence,
    const doi_entry_t *entry)
{
    json_t      *json;
    ngx_uint_t   i;
    const char  *event, *reply;

    static const struct {
        const char  *name;
        doi_said_t   said;
    } texts[] = {
        { "person", DOI_SAID_PERSON },
        { "actor", DOI_SAID_ACTOR },
        { "reason", DOI_SAID_REASON },
        { "client", DOI_SAID_CLIENT },
        { "agent", DOI_SAID_AGENT },
        { "message_id", DOI_SAID_MESSAGE_ID },
        { "lang", DOI_SAID_LANG },
        { "sender", DOI_SAID_SENDER },
        { "text", DOI_SAID_TEXT }
    };

    switch (entry->event) {

    case DOI_ENTRY_ERASED:
        event = "erased";
        break;

    case DOI_ENTRY_REVIEWED:
        event = "reviewed";
        break;

    case DOI_ENTRY_IMPORTED:
        event = "imported";
        break;

    default:
        event = doi_consent_event_name(entry->event);
    }

    reply = entry->reply == DOI_REPLY_NONE ? NULL
                                           : doi_reply_name(entry->reply);

    json = json_pack("{s:I, s:o, s:s?, s:s?, s:s?, s:s?, s:s?, s:o, s:o, s:b,"
                     " s:o, s:o, s:o}",
                     "seq", (json_int_t) entry->seq,
                     "time", ngx_http_doi_time_json(entry->time),
                     "event", event,
                     "source", doi_source_name(entry->source),
                     "from", doi_consent_name(entry->from),
                     "to", doi_consent_name(entry->to),
                     "reply", reply,
                     "list", ngx_http_doi_entry_list(&evidence->record, entry),
                     "given", ngx_http_doi_time_json(entry->given),
                     "erased", (int) entry->erased,
                     "wording", ngx_http_doi_wording_json(evidence->view,
                                                          entry->wording),
                     "commitment", ngx_http_doi_hex_json(entry->commitment,
                                                         32),
                     "mac", ngx_http_doi_hex_json(entry->mac, 32));

    for (i = 0; json && i < sizeof(texts) / sizeof(texts[0]); i++) {

        if (entry->said[texts[i].said].len == 0) {
            continue;
        }

        if (json_object_set_new(json, texts[i].name,
                json_stringn((char *) entry->said[texts[i].said].data,
                             entry->said[texts[i].said].len))
            != 0)
        {
            json_decref(json);
            return NULL;
        }
    }

    return json;
}


/* Its name, if the contact still has such a list. */

static json_t *
ngx_http_doi_entry_list(const doi_contact_t *contact, const doi_entry_t *entry)
{
    size_t   i;
    uint8_t  hash[DOI_LIST_HASH];

    for (i = 0; i < contact->nlists; i++) {

        if (doi_list_hash(contact->lists[i].name, hash) == DOI_OK
            && ngx_memcmp(hash, entry->list_hash, DOI_LIST_HASH) == 0)
        {
            return json_stringn((char *) contact->lists[i].name.data,
                                contact->lists[i].name.len);
        }
    }

    return json_null();
}


json_t *
ngx_http_doi_wording_json(doi_view_t *view, const u_char *wording)
{
    doi_str_t  key, text;

    static const u_char  zeros[DOI_WORDING_ID];

    if (ngx_memcmp(wording, zeros, DOI_WORDING_ID) == 0) {
        return json_null();
    }

    key.data = wording;
    key.len = DOI_WORDING_ID;

    if (view->get(view, DOI_TABLE_WORDINGS, key, &text) != DOI_OK) {
        return json_null();
    }

    return json_stringn((char *) text.data, text.len);
}


ngx_int_t
ngx_http_doi_api_later(ngx_http_doi_api_t *api, ngx_http_doi_api_pt fn)
{
    ngx_http_request_t  *r;

    r = api->request;

    api->later = fn;
    api->event.handler = ngx_http_doi_api_later_event;
    api->event.data = r->connection;
    api->event.log = r->connection->log;

    ngx_add_timer(&api->event, NGX_HTTP_DOI_LATER);

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


static void
ngx_http_doi_api_later_event(ngx_event_t *ev)
{
    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_doi_api_t  *api;

    api = (ngx_http_doi_api_t *) ((u_char *) ev
                                  - offsetof(ngx_http_doi_api_t, event));
    c = api->request->connection;

    ngx_http_set_log_request(c->log, api->request);

    rc = ngx_http_doi_process_store() ? api->later(api)
                                      : ngx_http_doi_api_unavailable(api);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(api->request, rc);
    }

    ngx_http_run_posted_requests(c);
}


ngx_int_t
ngx_http_doi_api_ledger_verify(ngx_http_doi_api_t *api)
{
    if (ngx_http_doi_ledger() == NULL) {
        return ngx_http_doi_api_unavailable(api);
    }

    api->data = ngx_pcalloc(api->request->pool, sizeof(doi_verify_t));
    if (api->data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_doi_api_verify_piece(api);
}


static ngx_int_t
ngx_http_doi_api_verify_piece(ngx_http_doi_api_t *api)
{
    doi_str_t      arg;
    doi_buf_t      out;
    doi_verify_t  *verify;

    verify = api->data;

    arg.data = (u_char *) verify;
    arg.len = sizeof(doi_verify_t);
    ngx_memzero(&out, sizeof(doi_buf_t));

    if (doi_store_read(ngx_http_doi_process_store(),
                       ngx_http_doi_api_verify_read, arg, &out)
        != DOI_WON)
    {
        return ngx_http_doi_api_unavailable(api);
    }

    return verify->done ? ngx_http_doi_api_verified(api, verify)
                        : ngx_http_doi_api_later(api,
                                               ngx_http_doi_api_verify_piece);
}


static doi_result_t
ngx_http_doi_api_verify_read(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    const doi_ledger_keys_t  *keys;

    keys = ngx_http_doi_ledger();

    return keys && doi_ledger_verify(view, keys, (doi_verify_t *) arg.data,
                                     NGX_HTTP_DOI_VERIFY_ROWS)
                   == DOI_OK
           ? DOI_WON : DOI_RETRY;
}


static ngx_int_t
ngx_http_doi_api_verified(ngx_http_doi_api_t *api, const doi_verify_t *verify)
{
    json_t      *json, *texts;
    ngx_uint_t   i;

    texts = json_array();

    for (i = 0; texts && i < DOI_PROBLEMS && i < verify->problems; i++) {
        if (json_array_append_new(texts, json_string(verify->text[i])) != 0) {
            json_decref(texts);
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (verify->problems) {
        ngx_log_error(NGX_LOG_ERR, api->request->connection->log, 0,
                      "doi: the consent ledger has %uL problems, the first: %s",
                      verify->problems, verify->text[0]);
    }

    json = json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:o}",
                     "intact", (int) (verify->problems == 0),
                     "entries", (json_int_t) verify->entries,
                     "contacts", (json_int_t) verify->contacts,
                     "epochs", (json_int_t) verify->epochs,
                     "unsealed", (json_int_t) verify->unsealed,
                     "problems", (json_int_t) verify->problems,
                     "first", texts,
                     "epoch", (json_int_t) verify->last_epoch,
                     "mac", ngx_http_doi_hex_json(verify->last_mac, 32));

    return json ? ngx_http_doi_api_json(api, NGX_HTTP_OK, json)
                : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/* The last epoch, to be kept elsewhere. */

ngx_int_t
ngx_http_doi_api_ledger_seal(ngx_http_doi_api_t *api)
{
    u_char     last[4 + 32];
    json_t    *json;
    doi_str_t  arg;
    doi_buf_t  out;

    arg.data = NULL;
    arg.len = 0;
    out.data = last;
    out.len = 0;
    out.size = sizeof(last);

    switch (doi_store_read(ngx_http_doi_process_store(),
                           ngx_http_doi_api_seal_read, arg, &out))
    {

    case DOI_WON:
        break;

    case DOI_CONFLICT:
        return ngx_http_doi_api_problem(api, NGX_HTTP_NOT_FOUND, "not_found",
                                        "nothing has been sealed yet");

    default:
        return ngx_http_doi_api_unavailable(api);
    }

    json = json_pack("{s:I, s:o}",
                     "epoch", (json_int_t) doi_get32(last),
                     "mac", ngx_http_doi_hex_json(last + 4, 32));

    return json ? ngx_http_doi_api_json(api, NGX_HTTP_OK, json)
                : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static doi_result_t
ngx_http_doi_api_seal_read(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int        rc;
    doi_str_t  value;

    static const doi_str_t  key = doi_str("epoch");

    rc = view->get(view, DOI_TABLE_META, key, &value);

    if (rc == DOI_NOT_FOUND) {
        return DOI_CONFLICT;
    }

    if (rc != DOI_OK || value.len != out->size) {
        return DOI_RETRY;
    }

    ngx_memcpy(out->data, value.data, value.len);
    out->len = value.len;

    return DOI_WON;
}
