/*
 * doi_consent: the gate in front of a messaging API.
 *
 * Who a message is for stands in the request.  All of its recipients are looked
 * at in one snapshot, at the time of sending, and one that may not be written
 * to holds up all: a provider must never see half a list.
 */

#include "ngx_http_doi_gate.h"


#define NGX_HTTP_DOI_GATE_SHOWN       256       /* bytes of an address that is
                                                   named in an answer        */
#define NGX_HTTP_DOI_GATE_ANSWER      4096      /* of the upstream's answer  */
#define NGX_HTTP_DOI_TWILIO_STOPPED   21610


static ngx_http_doi_gate_t *ngx_http_doi_gate_create(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf);
static ngx_int_t ngx_http_doi_gate_read_body(ngx_http_request_t *r,
    ngx_http_doi_gate_t *gate);
static ngx_uint_t ngx_http_doi_gate_charset(ngx_http_request_t *r);
static void ngx_http_doi_gate_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_doi_gate_judge(ngx_http_request_t *r,
    ngx_http_doi_gate_t *gate);
static ngx_int_t ngx_http_doi_gate_recipients(ngx_http_request_t *r,
    ngx_http_doi_gate_t *gate);
static ngx_int_t ngx_http_doi_gate_look(ngx_http_doi_gate_t *gate);
static doi_result_t ngx_http_doi_gate_read(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
static ngx_int_t ngx_http_doi_gate_refuse(ngx_http_request_t *r,
    ngx_http_doi_gate_t *gate, ngx_uint_t result);
static json_t *ngx_http_doi_gate_named(ngx_http_doi_gate_t *gate,
    ngx_uint_t invalid);
static ngx_int_t ngx_http_doi_gate_problem(ngx_http_request_t *r,
    ngx_uint_t status, const char *code, const char *detail,
    json_t *recipients);
static ngx_int_t ngx_http_doi_gate_unavailable(ngx_http_request_t *r);
static void ngx_http_doi_gate_count(ngx_http_request_t *r,
    ngx_uint_t result);
static void ngx_http_doi_gate_stop(ngx_http_request_t *r,
    ngx_http_doi_gate_t *gate);
static void ngx_http_doi_gate_stopped(void *data, doi_result_t result,
    doi_str_t answer);


static const struct {
    const char  *code;
    const char  *detail;
} ngx_http_doi_gate_refusals[NGX_HTTP_DOI_GATE_RESULTS] = {

    [NGX_HTTP_DOI_GATE_NEVER] =
        { "never_opted_in", "a recipient has never opted in" },

    [NGX_HTTP_DOI_GATE_PENDING] =
        { "pending", "a recipient has not confirmed the opt-in yet" },

    [NGX_HTTP_DOI_GATE_OUT] =
        { "opted_out", "a recipient has opted out" },

    [NGX_HTTP_DOI_GATE_SINGLE] =
        { "not_confirmed", "a recipient has opted in, but not confirmed it" },

    [NGX_HTTP_DOI_GATE_INVALID] =
        { "invalid_recipient", "a recipient is not a valid address" }
};


ngx_int_t
ngx_http_doi_gate_handler(ngx_http_request_t *r, ngx_http_doi_loc_conf_t *conf)
{
    ngx_http_doi_ctx_t   *ctx;
    ngx_http_doi_gate_t  *gate;

    ctx = ngx_http_doi_get_ctx(r);
    gate = ctx ? ctx->gate : NULL;

    if (gate && gate->conf == conf->gate) {

        if (gate->stage == NGX_HTTP_DOI_GATE_READING) {
            return NGX_DONE;
        }

        if (gate->stage == NGX_HTTP_DOI_GATE_READ) {
            gate->stage = NGX_HTTP_DOI_GATE_START;
            return ngx_http_doi_gate_judge(r, gate);
        }
    }

    gate = ngx_http_doi_gate_create(r, conf);
    if (gate == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_doi_process_store() == NULL || ngx_http_doi_ledger() == NULL)
    {
        return ngx_http_doi_gate_unavailable(r);
    }

    if (conf->gate->address) {
        return ngx_http_doi_gate_judge(r, gate);
    }

    return ngx_http_doi_gate_read_body(r, gate);
}


static ngx_http_doi_gate_t *
ngx_http_doi_gate_create(ngx_http_request_t *r, ngx_http_doi_loc_conf_t *conf)
{
    ngx_http_doi_ctx_t   *ctx;
    ngx_http_doi_gate_t  *gate;

    ctx = ngx_http_doi_get_ctx(r);

    if (ctx == NULL) {
        ctx = ngx_http_doi_create_ctx(r);
        if (ctx == NULL) {
            return NULL;
        }
    }

    gate = ngx_pcalloc(r->pool, sizeof(ngx_http_doi_gate_t));
    if (gate == NULL) {
        return NULL;
    }

    gate->conf = conf->gate;
    gate->scope = conf->optout_scope;

    if (ngx_array_init(&gate->recipients, r->pool, 1,
                       sizeof(ngx_http_doi_recipient_t))
        != NGX_OK)
    {
        return NULL;
    }

    ctx->gate = gate;

    return gate;
}


static ngx_int_t
ngx_http_doi_gate_read_body(ngx_http_request_t *r, ngx_http_doi_gate_t *gate)
{
    ngx_int_t  rc;

    if (r->headers_in.content_length_n > NGX_HTTP_DOI_GATE_BODY) {
        return ngx_http_doi_gate_problem(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                         "too_large", "the body is larger than "
                                         "1 MiB", NULL);
    }

    gate->kind = ngx_http_doi_form_type(r);

    if (gate->kind == DOI_FORM_UNKNOWN
        && (r->headers_in.content_length_n > 0 || r->headers_in.chunked
            || r->headers_in.content_type))
    {
        return ngx_http_doi_gate_problem(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                         "content_type",
                                         ngx_http_doi_headers(r, "content-type")
                                         > 1
                                         ? "there is more than one Content-Type"
                                         : "send a form, multipart or JSON, "
                                           "without Content-Encoding", NULL);
    }

    if (!ngx_http_doi_gate_charset(r)) {
        return ngx_http_doi_gate_problem(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                         "content_type", "the charset is not "
                                         "UTF-8", NULL);
    }

    gate->stage = NGX_HTTP_DOI_GATE_READING;

    rc = ngx_http_read_client_request_body(r, ngx_http_doi_gate_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        gate->stage = NGX_HTTP_DOI_GATE_START;
        return rc;
    }

    ngx_http_finalize_request(r, NGX_DONE);

    return NGX_DONE;
}


/* In UTF-7 or EBCDIC the same bytes name another recipient. */

static ngx_uint_t
ngx_http_doi_gate_charset(ngx_http_request_t *r)
{
    u_char      *p, *last;
    ngx_uint_t   i;
    ngx_str_t   *type;

    static ngx_str_t  known[] = {
        ngx_string("utf-8"),
        ngx_string("utf8"),
        ngx_string("us-ascii"),
        ngx_string("iso-8859-1"),
        ngx_null_string
    };

    if (r->headers_in.content_type == NULL) {
        return 1;
    }

    type = &r->headers_in.content_type->value;
    last = type->data + type->len;

    if (memchr(type->data, ';', type->len) == NULL) {
        return 1;
    }

    for (p = type->data;
         (p = ngx_strlcasestrn(p, last, (u_char *) "charset",
                               sizeof("charset") - 2)) != NULL;
         /* void */ )
    {
        p += sizeof("charset") - 1;
        p += (p < last && *p == '=');
        p += (p < last && *p == '"');

        for (i = 0; known[i].len; i++) {
            if ((size_t) (last - p) >= known[i].len
                && ngx_strncasecmp(p, known[i].data, known[i].len) == 0)
            {
                break;
            }
        }

        p += known[i].len;

        if (known[i].len == 0
            || (p < last && *p != ';' && *p != '"' && *p != ' '))
        {
            return 0;
        }
    }

    return 1;
}


static void
ngx_http_doi_gate_body_handler(ngx_http_request_t *r)
{
    ngx_http_doi_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_doi_module);

    ctx->gate->stage = NGX_HTTP_DOI_GATE_READ;

    r->preserve_body = 1;

    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
}


static ngx_int_t
ngx_http_doi_gate_judge(ngx_http_request_t *r, ngx_http_doi_gate_t *gate)
{
    ngx_int_t                  rc;
    ngx_uint_t                 i, worst;
    ngx_http_doi_recipient_t  *to;

    ngx_str_set(&gate->list, "default");

    if (gate->conf->list
        && ngx_http_complex_value(r, gate->conf->list, &gate->list) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (gate->list.len == 0 || gate->list.len > doi_said_max[DOI_SAID_LIST]) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "doi: \"list=\" of \"doi_consent\" is empty or longer "
                      "than 64 bytes: \"%V\"", &gate->list);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_doi_gate_recipients(r, gate);
    if (rc != NGX_OK) {
        return rc;
    }

    to = gate->recipients.elts;

    for (i = 0; i < gate->recipients.nelts; i++) {
        if (to[i].err) {
            return ngx_http_doi_gate_refuse(r, gate, NGX_HTTP_DOI_GATE_INVALID);
        }
    }

    if (ngx_http_doi_gate_look(gate) != NGX_OK) {
        return ngx_http_doi_gate_unavailable(r);
    }

    worst = NGX_HTTP_DOI_GATE_PASSED;

    for (i = 0; i < gate->recipients.nelts; i++) {
        if (to[i].result != NGX_HTTP_DOI_GATE_PASSED) {
            worst = to[i].result;
            break;
        }
    }

    if (worst != NGX_HTTP_DOI_GATE_PASSED) {
        return ngx_http_doi_gate_refuse(r, gate, worst);
    }

    ngx_http_doi_gate_count(r, NGX_HTTP_DOI_GATE_PASSED);

    /* of several, nobody could say which one it was */

    gate->learn = gate->conf->learn && gate->recipients.nelts == 1;

    return NGX_DECLINED;
}


/* NGX_OK, or what the access phase is to return. */

static ngx_int_t
ngx_http_doi_gate_recipients(ngx_http_request_t *r, ngx_http_doi_gate_t *gate)
{
    const char  *code, *detail;

    switch (ngx_http_doi_gate_collect(r, gate)) {

    case NGX_OK:

        if (gate->recipients.nelts) {
            return NGX_OK;
        }

        code = "no_recipient";
        detail = "the request names no recipient";
        break;

    case NGX_DECLINED:
        code = "unreadable";
        detail = "the recipients cannot be read from this request";
        break;

    case NGX_ABORT:
        code = "too_many";
        detail = "there are more than 1000 recipients";
        break;

    case NGX_BUSY:
        return ngx_http_doi_gate_problem(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                         "too_large", "the body is larger than "
                                         "1 MiB", NULL);

    default: /* NGX_ERROR */
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_doi_gate_count(r, NGX_HTTP_DOI_GATE_INVALID);

    return ngx_http_doi_gate_problem(r, 422, code, detail, NULL);
}


static ngx_int_t
ngx_http_doi_gate_look(ngx_http_doi_gate_t *gate)
{
    doi_str_t  arg;
    doi_buf_t  out;

    arg.data = (u_char *) gate;
    arg.len = sizeof(ngx_http_doi_gate_t);
    ngx_memzero(&out, sizeof(doi_buf_t));

    return doi_store_read(ngx_http_doi_process_store(),
                          ngx_http_doi_gate_read, arg, &out)
           == DOI_WON ? NGX_OK : NGX_ERROR;
}


static doi_result_t
ngx_http_doi_gate_read(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                        rc;
    unsigned                   reason;
    doi_str_t                  list;
    ngx_uint_t                 i;
    doi_consent_t              consent;
    ngx_http_doi_gate_t       *gate;
    ngx_http_doi_recipient_t  *to;

    gate = (ngx_http_doi_gate_t *) arg.data;
    to = gate->recipients.elts;

    list.data = gate->list.data;
    list.len = gate->list.len;

    for (i = 0; i < gate->recipients.nelts; i++) {

        rc = doi_contact_look(view, to[i].id, list, &consent);

        if (rc != DOI_OK && rc != DOI_NOT_FOUND) {
            return DOI_RETRY;
        }

        if (doi_consent_allows(&consent, (unsigned) gate->conf->level,
                               gate->conf->since, &reason))
        {
            to[i].result = NGX_HTTP_DOI_GATE_PASSED;
            continue;
        }

        switch (reason) {

        case DOI_CONSENT_PENDING:
            to[i].result = NGX_HTTP_DOI_GATE_PENDING;
            break;

        case DOI_CONSENT_OPTED_OUT:
            to[i].result = NGX_HTTP_DOI_GATE_OUT;
            break;

        case DOI_CONSENT_SINGLE:
            to[i].result = NGX_HTTP_DOI_GATE_SINGLE;
            break;

        default: /* DOI_CONSENT_NONE */
            to[i].result = NGX_HTTP_DOI_GATE_NEVER;
        }
    }

    return DOI_WON;
}


static ngx_int_t
ngx_http_doi_gate_refuse(ngx_http_request_t *r, ngx_http_doi_gate_t *gate,
    ngx_uint_t result)
{
    json_t      *recipients;
    ngx_uint_t   invalid;

    invalid = (result == NGX_HTTP_DOI_GATE_INVALID);

    ngx_http_doi_gate_count(r, result);

    recipients = ngx_http_doi_gate_named(gate, invalid);
    if (recipients == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_doi_gate_problem(r, invalid ? 422 : NGX_HTTP_FORBIDDEN,
                                     ngx_http_doi_gate_refusals[result].code,
                                     ngx_http_doi_gate_refusals[result].detail,
                                     recipients);
}


/* Those that do not pass, by their place in the request; what was sent goes
   back to who sent it. */

static json_t *
ngx_http_doi_gate_named(ngx_http_doi_gate_t *gate, ngx_uint_t invalid)
{
    size_t                     len;
    json_t                    *json, *sent, *row;
    ngx_uint_t                 i;
    ngx_http_doi_recipient_t  *to;

    json = json_array();
    if (json == NULL) {
        return NULL;
    }

    to = gate->recipients.elts;

    for (i = 0; i < gate->recipients.nelts; i++) {

        if (to[i].result == NGX_HTTP_DOI_GATE_PASSED
            || (invalid && to[i].err == NULL))
        {
            continue;
        }

        len = to[i].sent.len;
        sent = len <= NGX_HTTP_DOI_GATE_SHOWN
               ? json_stringn((char *) to[i].sent.data, len) : NULL;

        row = json_pack("{s:i, s:o, s:s}", "index", (int) i,
                        "address", sent ? sent : json_null(),
                        "code",
                        ngx_http_doi_gate_refusals[to[i].result].code);

        if (row && to[i].err) {
            (void) json_object_set_new(row, "problem",
                                       json_string(to[i].err));
        }

        if (row == NULL || json_array_append_new(json, row) != 0) {
            json_decref(json);
            return NULL;
        }
    }

    return json;
}


/* Answers and finalizes; the reference to recipients is taken over. */

static ngx_int_t
ngx_http_doi_gate_problem(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, const char *detail, json_t *recipients)
{
    json_t              *json;
    ngx_int_t            rc;
    ngx_http_doi_api_t   api;

    json = json_pack("{s:s, s:i, s:s, s:s}", "type", "about:blank",
                     "status", (int) status, "detail", detail,
                     "code", code);

    if (json == NULL
        || (recipients && json_object_set(json, "recipients", recipients) != 0))
    {
        json_decref(json);
        json_decref(recipients);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    json_decref(recipients);

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        json_decref(json);
        return rc;
    }

    ngx_memzero(&api, sizeof(ngx_http_doi_api_t));
    api.request = r;

    ngx_str_set(&r->headers_out.content_type, "application/problem+json");

    rc = ngx_http_doi_api_json(&api, status, json);

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_doi_gate_unavailable(ngx_http_request_t *r)
{
    ngx_http_doi_gate_count(r, NGX_HTTP_DOI_GATE_UNAVAILABLE);

    if (ngx_http_doi_header_str(r, "Retry-After", "5") != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_doi_gate_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                     "unavailable", "consent cannot be looked "
                                     "up now: try again", NULL);
}


static void
ngx_http_doi_gate_count(ngx_http_request_t *r, ngx_uint_t result)
{
    ngx_http_doi_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_doi_module);

    ngx_http_doi_count(&mcf->stats->gate[result]);
}


void
ngx_http_doi_gate_learn(ngx_http_request_t *r, ngx_chain_t *in)
{
    off_t                 len;
    size_t                n;
    ngx_buf_t            *b;
    ngx_uint_t            last;
    ngx_http_doi_ctx_t   *ctx;
    ngx_http_doi_gate_t  *gate;

    ctx = ngx_http_get_module_ctx(r, ngx_http_doi_module);
    gate = ctx->gate;

    if (!gate->learn || r->upstream == NULL
        || r->headers_out.content_encoding)
    {
        return;
    }

    if (gate->answer == NULL) {
        len = r->upstream->headers_in.content_length_n;

        gate->answer_size = len >= 0 && len < NGX_HTTP_DOI_GATE_ANSWER
                            ? (size_t) len : NGX_HTTP_DOI_GATE_ANSWER;

        gate->answer = ngx_pnalloc(r->pool, gate->answer_size + 1);

        if (gate->answer == NULL) {
            gate->learn = 0;
            return;
        }
    }

    last = 0;

    for ( /* void */ ; in; in = in->next) {
        b = in->buf;

        if (ngx_buf_in_memory(b)) {
            n = ngx_min((size_t) (b->last - b->pos),
                        gate->answer_size - gate->answer_len);
            ngx_memcpy(gate->answer + gate->answer_len, b->pos, n);
            gate->answer_len += n;
        }

        last |= b->last_buf || b->last_in_chain;
    }

    if (last || gate->answer_len == gate->answer_size) {
        ngx_http_doi_gate_stop(r, gate);
    }

    /* more of it changes nothing */

    if (gate->answer_len == gate->answer_size) {
        gate->learn = 0;
    }
}


/* {"code": 21610, ...}: the recipient has told Twilio STOP. */

static void
ngx_http_doi_gate_stop(ngx_http_request_t *r, ngx_http_doi_gate_t *gate)
{
    json_t                    *json, *code;
    json_error_t               error;
    ngx_http_doi_event_t       event;
    ngx_http_doi_recipient_t  *to;

    json = json_loadb((char *) gate->answer, gate->answer_len, 0, &error);

    if (json == NULL) {
        return;
    }

    gate->learn = 0;

    code = json_object_get(json, "code");

    if (!json_is_integer(code)) {
        code = json_object_get(json, "error_code");
    }

    if (json_integer_value(code) != NGX_HTTP_DOI_TWILIO_STOPPED) {
        json_decref(json);
        return;
    }

    json_decref(json);

    to = gate->recipients.elts;

    ngx_memzero(&event, sizeof(ngx_http_doi_event_t));

    ngx_memcpy(event.arg.contact, to->id, DOI_CONTACT_ID);
    event.arg.channel = (uint8_t) gate->conf->channel;
    event.arg.event = DOI_CONSENT_STOP;
    event.arg.source = DOI_SOURCE_PROVIDER;
    event.arg.level = (uint8_t) gate->conf->level;
    event.arg.flags = DOI_CONSENT_QUIET;
    event.arg.scope = (uint16_t) gate->scope;
    event.said[DOI_SAID_ADDRESS] = to->address;
    event.said[DOI_SAID_LIST] = gate->list;
    ngx_str_set(&event.said[DOI_SAID_REASON], "Twilio 21610");

    if (ngx_http_doi_event(&event, ngx_http_doi_gate_stopped, NULL) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "doi: Twilio says that a recipient has opted out, but "
                      "the store does not take it now");
    }
}


static void
ngx_http_doi_gate_stopped(void *data, doi_result_t result, doi_str_t answer)
{
    if (result != DOI_WON && result != DOI_CONFLICT) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "doi: Twilio says that a recipient has opted out, but "
                      "the store did not take it");
    }
}
