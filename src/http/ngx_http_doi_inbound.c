/*
 * doi_inbound: what contacts write comes in by the webhooks of providers.
 *
 * A post is verified as a whole before anything of it is looked at.  Then each
 * message becomes one event of the consent ledger, in the order of the post,
 * and the answer is sent when all of them are durable: a provider that gets
 * another answer delivers again, and what was taken before is known by its
 * message id.
 */

#include "ngx_http_doi_consent.h"
#include "ngx_http_doi_booking.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>


/*
 * A post that waits for the store.  Not in the request's pool: the request may
 * be gone before the answers come.
 */

typedef struct {
    ngx_http_request_t  *request;       /* NULL: gone */
    ngx_uint_t           pending;
    ngx_uint_t           failed;
    ngx_uint_t           taken;
    ngx_uint_t           skipped;
    ngx_uint_t           twilio;
    ngx_uint_t           said;          /* doi_reply_t                       */
    ngx_str_t            reply[DOI_REPLIES];    /* twilio: of r->pool        */
} ngx_http_doi_post_t;


static ngx_int_t ngx_http_doi_inbound_challenge(ngx_http_request_t *r,
    ngx_http_doi_inbound_conf_t *in);
static ngx_int_t ngx_http_doi_inbound_arg(doi_form_t *form, const char *name,
    doi_str_t *value);
static void ngx_http_doi_inbound_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_doi_inbound_run(ngx_http_request_t *r);
static ngx_int_t ngx_http_doi_inbound_twilio(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf, ngx_str_t *body, doi_inbounds_t *messages);
static ngx_int_t ngx_http_doi_inbound_signed(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf, doi_form_t *form, ngx_str_t *body);
static ngx_int_t ngx_http_doi_inbound_json(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf, ngx_str_t *body, doi_inbounds_t *messages);
static ngx_int_t ngx_http_doi_inbound_forbidden(ngx_http_request_t *r,
    const char *why);
static void ngx_http_doi_inbound_json_free(void *data);
static ngx_int_t ngx_http_doi_inbound_submit(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf, doi_inbounds_t *messages);
static ngx_int_t ngx_http_doi_inbound_message(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf, doi_inbound_t *message,
    ngx_str_t *list, ngx_http_doi_post_t *post);
static ngx_int_t ngx_http_doi_inbound_from(ngx_http_request_t *r,
    ngx_http_doi_inbound_conf_t *in, doi_inbound_t *message,
    ngx_str_t *from);
static ngx_int_t ngx_http_doi_inbound_id(ngx_http_request_t *r,
    doi_inbound_t *message, ngx_str_t *id);
static void ngx_http_doi_inbound_says(ngx_http_doi_loc_conf_t *conf,
    doi_inbound_t *message, ngx_http_doi_event_t *event);
static void ngx_http_doi_inbound_done(void *data, doi_result_t result,
    doi_str_t answer);
static ngx_int_t ngx_http_doi_inbound_answer(ngx_http_request_t *r,
    ngx_http_doi_post_t *post);
static void ngx_http_doi_inbound_cleanup(void *data);


#define NGX_HTTP_DOI_INBOUND_BODY  1048576  /* bytes */
#define NGX_HTTP_DOI_CHALLENGE     1024     /* bytes */


ngx_int_t
ngx_http_doi_inbound_handler(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_http_doi_loc_conf_t      *conf;
    ngx_http_doi_inbound_conf_t  *in;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_doi_module);
    in = conf->inbound;

    if (r->method == NGX_HTTP_GET && in->provider == DOI_PROVIDER_META) {

        rc = ngx_http_discard_request_body(r);

        return rc == NGX_OK ? ngx_http_doi_inbound_challenge(r, in) : rc;
    }

    if (r->method != NGX_HTTP_POST) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    if (r->headers_in.content_length_n > NGX_HTTP_DOI_INBOUND_BODY) {
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    }

    rc = ngx_http_read_client_request_body(r,
                                           ngx_http_doi_inbound_body_handler);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


/* Meta asks once whether we are who we should be. */

static ngx_int_t
ngx_http_doi_inbound_challenge(ngx_http_request_t *r,
    ngx_http_doi_inbound_conf_t *in)
{
    u_char                    *scratch;
    size_t                     i;
    ngx_str_t                  type;
    doi_str_t                  args, mode, token, challenge;
    doi_form_t                *form;
    const char                *err;
    ngx_http_complex_value_t   cv;

    form = ngx_palloc(r->pool, sizeof(doi_form_t));
    scratch = ngx_pnalloc(r->pool, r->args.len + 1);

    if (form == NULL || scratch == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    args.data = r->args.data;
    args.len = r->args.len;

    if (doi_form_parse(DOI_FORM_URLENCODED, args, args, scratch, form, &err)
           != DOI_OK
        || ngx_http_doi_inbound_arg(form, "hub.mode", &mode) != NGX_OK
        || ngx_http_doi_inbound_arg(form, "hub.verify_token", &token)
           != NGX_OK
        || ngx_http_doi_inbound_arg(form, "hub.challenge", &challenge)
           != NGX_OK)
    {
        return NGX_HTTP_BAD_REQUEST;
    }

    if (in->verify_token.len == 0
        || mode.len != sizeof("subscribe") - 1
        || ngx_memcmp(mode.data, "subscribe", mode.len) != 0
        || token.len != in->verify_token.len
        || CRYPTO_memcmp(token.data, in->verify_token.data, token.len) != 0)
    {
        return ngx_http_doi_inbound_forbidden(r, "the verify token of this "
                                              "request is not that of "
                                              "\"verify_token_file=\"");
    }

    if (challenge.len > NGX_HTTP_DOI_CHALLENGE) {
        return NGX_HTTP_BAD_REQUEST;
    }

    for (i = 0; i < challenge.len; i++) {
        if (challenge.data[i] < 0x20 || challenge.data[i] > 0x7e) {
            return NGX_HTTP_BAD_REQUEST;
        }
    }

    if (ngx_http_doi_header_str(r, "X-Content-Type-Options", "nosniff")
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));
    cv.value.data = (u_char *) challenge.data;
    cv.value.len = challenge.len;
    ngx_str_set(&type, "text/plain");

    return ngx_http_send_response(r, NGX_HTTP_OK, &type, &cv);
}


static ngx_int_t
ngx_http_doi_inbound_arg(doi_form_t *form, const char *name, doi_str_t *value)
{
    doi_str_t  key;

    key.data = (const uint8_t *) name;
    key.len = ngx_strlen(name);

    return doi_form_get(form, key, value) == DOI_OK ? NGX_OK : NGX_DECLINED;
}


static void
ngx_http_doi_inbound_body_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_doi_inbound_run(r);

    if (rc != NGX_AGAIN) {
        ngx_http_finalize_request(r, rc);
    }
}


/* NGX_AGAIN: the store is asked. */

static ngx_int_t
ngx_http_doi_inbound_run(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_str_t                 body;
    doi_inbounds_t           *messages;
    ngx_http_doi_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_doi_module);

    rc = ngx_http_doi_body(r, NGX_HTTP_DOI_INBOUND_BODY, &body);

    if (rc == NGX_DECLINED) {
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    }

    messages = ngx_palloc(r->pool, sizeof(doi_inbounds_t));

    if (rc != NGX_OK || messages == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    messages->n = 0;
    messages->json = NULL;

    rc = (conf->inbound->provider == DOI_PROVIDER_TWILIO)
         ? ngx_http_doi_inbound_twilio(r, conf, &body, messages)
         : ngx_http_doi_inbound_json(r, conf, &body, messages);

    return rc == NGX_OK ? ngx_http_doi_inbound_submit(r, conf, messages) : rc;
}


static ngx_int_t
ngx_http_doi_inbound_twilio(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf, ngx_str_t *body, doi_inbounds_t *messages)
{
    u_char      *scratch;
    ngx_int_t    rc;
    doi_str_t    text;
    doi_form_t  *form;
    const char  *err;

    if (ngx_http_doi_form_type(r) != DOI_FORM_URLENCODED) {
        return NGX_HTTP_BAD_REQUEST;
    }

    form = ngx_palloc(r->pool, sizeof(doi_form_t));
    scratch = ngx_pnalloc(r->pool, body->len + 1);

    if (form == NULL || scratch == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    text.data = body->data;
    text.len = body->len;

    if (doi_form_parse(DOI_FORM_URLENCODED, text, text, scratch, form, &err)
        != DOI_OK)
    {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "doi: client sent a form that %s", err);
        return NGX_HTTP_BAD_REQUEST;
    }

    rc = ngx_http_doi_inbound_signed(r, conf, form, body);
    if (rc != NGX_OK) {
        return rc;
    }

    if (doi_inbound_twilio(form, messages, &err) != DOI_OK) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "doi: the provider sent a message that %s", err);
        return NGX_HTTP_BAD_REQUEST;
    }

    return NGX_OK;
}


/*
 * Of the public address: behind a proxy that ends TLS this server knows neither
 * its scheme nor its port, and Host is the client's word.
 */

static ngx_int_t
ngx_http_doi_inbound_signed(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf, doi_form_t *form, ngx_str_t *body)
{
    u_char      *p;
    ngx_str_t    base;
    doi_buf_t    out[2];
    doi_str_t    urls[3], secret, text;
    ngx_uint_t   n;

    if (ngx_http_complex_value(r, conf->base_url, &base) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    while (base.len && base.data[base.len - 1] == '/') {
        base.len--;
    }

    if (r->unparsed_uri.len == 0 || r->unparsed_uri.data[0] != '/') {
        return NGX_HTTP_BAD_REQUEST;
    }

    p = ngx_pnalloc(r->pool, base.len + r->unparsed_uri.len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    urls[0].data = p;
    urls[0].len = base.len + r->unparsed_uri.len;

    p = ngx_cpymem(p, base.data, base.len);
    ngx_memcpy(p, r->unparsed_uri.data, r->unparsed_uri.len);

    for (n = 0; n < 2; n++) {
        out[n].len = 0;
        out[n].size = urls[0].len + sizeof(":65535");
        out[n].data = ngx_pnalloc(r->pool, out[n].size);
        if (out[n].data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    n = 1;

    if (doi_url_with_port(urls[0], &out[0]) == DOI_OK) {
        urls[n].data = out[0].data;
        urls[n++].len = out[0].len;
    }

    if (doi_url_without_port(urls[0], &out[1]) == DOI_OK) {
        urls[n].data = out[1].data;
        urls[n++].len = out[1].len;
    }

    secret.data = conf->inbound->secret.data;
    secret.len = conf->inbound->secret.len;
    text.data = body->data;
    text.len = body->len;

    if (doi_twilio_verify(secret, urls, n, form, text,
                          ngx_http_doi_request_header(r, "x-twilio-signature"))
        == DOI_OK)
    {
        return NGX_OK;
    }

    return ngx_http_doi_inbound_forbidden(r, "X-Twilio-Signature is missing or "
                                          "wrong: \"secret_file=\" has to hold "
                                          "the auth token, and "
                                          "\"doi_base_url\" to be the address "
                                          "that Twilio posts to");
}


static ngx_int_t
ngx_http_doi_inbound_json(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf, ngx_str_t *body, doi_inbounds_t *messages)
{
    doi_str_t            secret, text;
    const char          *err;
    ngx_uint_t           meta;
    ngx_pool_cleanup_t  *cln;

    meta = (conf->inbound->provider == DOI_PROVIDER_META);

    secret.data = conf->inbound->secret.data;
    secret.len = conf->inbound->secret.len;
    text.data = body->data;
    text.len = body->len;

    if (doi_hub_verify(secret, text,
                       ngx_http_doi_request_header(r, meta
                                                   ? "x-hub-signature-256"
                                                   : "x-doi-signature-256"))
        != DOI_OK)
    {
        return ngx_http_doi_inbound_forbidden(r, meta
                   ? "X-Hub-Signature-256 is missing or wrong: "
                     "\"secret_file=\" has to hold the app secret"
                   : "X-Doi-Signature-256 is missing or wrong");
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (doi_inbound_json(conf->inbound->provider, text, messages, &err)
        != DOI_OK)
    {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "doi: the provider sent a body that %s", err);
        return NGX_HTTP_BAD_REQUEST;
    }

    cln->handler = ngx_http_doi_inbound_json_free;
    cln->data = messages;

    return NGX_OK;
}


static void
ngx_http_doi_inbound_json_free(void *data)
{
    doi_inbound_free(data);
}


static ngx_int_t
ngx_http_doi_inbound_forbidden(ngx_http_request_t *r, const char *why)
{
    ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                  "doi: refused a post to \"doi_inbound\": %s", why);

    return NGX_HTTP_FORBIDDEN;
}


static ngx_int_t
ngx_http_doi_inbound_submit(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf, doi_inbounds_t *messages)
{
    size_t                i;
    ngx_int_t             rc;
    ngx_str_t             list;
    ngx_pool_cleanup_t   *cln;
    ngx_http_doi_post_t  *post;

    if (ngx_http_doi_process_store() == NULL || ngx_http_doi_ledger() == NULL)
    {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (cln == NULL
        || ngx_http_doi_list(r, conf->inbound->list, &list) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    post = ngx_calloc(sizeof(ngx_http_doi_post_t), r->connection->log);
    if (post == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    post->request = r;
    post->twilio = (conf->inbound->provider == DOI_PROVIDER_TWILIO);
    post->pending = 1;

    cln->handler = ngx_http_doi_inbound_cleanup;
    cln->data = post;

    for (i = 0; i < messages->n && !post->failed; i++) {

        rc = ngx_http_doi_inbound_message(r, conf, &messages->messages[i],
                                          &list, post);
        if (rc == NGX_ERROR) {
            post->failed = 1;
        }
    }

    if (--post->pending == 0) {
        return ngx_http_doi_inbound_answer(r, post);
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_AGAIN;
}


/* Meta's numbers are international, but for the plus in front. */

static ngx_int_t
ngx_http_doi_inbound_from(ngx_http_request_t *r,
    ngx_http_doi_inbound_conf_t *in, doi_inbound_t *message, ngx_str_t *from)
{
    from->data = (u_char *) message->from.data;
    from->len = message->from.len;

    if (in->provider != DOI_PROVIDER_META || from->len == 0
        || from->data[0] < '0' || from->data[0] > '9')
    {
        return NGX_OK;
    }

    from->data = ngx_pnalloc(r->pool, from->len + 1);
    if (from->data == NULL) {
        return NGX_ERROR;
    }

    from->data[0] = '+';
    ngx_memcpy(from->data + 1, message->from.data, from->len++);

    return NGX_OK;
}


/* NGX_DECLINED: it is of nobody whom we can know. */

static ngx_int_t
ngx_http_doi_inbound_message(ngx_http_request_t *r,
    ngx_http_doi_loc_conf_t *conf, doi_inbound_t *message, ngx_str_t *list,
    ngx_http_doi_post_t *post)
{
    size_t                   lang;
    ngx_int_t                rc;
    ngx_str_t                from, *said;
    const char              *err;
    doi_contact_t            known;
    ngx_http_doi_event_t     event;
    ngx_http_doi_contact_t   contact;

    if (ngx_http_doi_inbound_from(r, conf->inbound, message, &from)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_http_doi_contact(r->pool, (ngx_uint_t) message->channel, &from,
                              &conf->inbound->country, &contact, &err);
    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "doi: a message was left out: its sender's number (%uz "
                      "characters) %s", from.len, err);
        post->skipped++;
        return NGX_DECLINED;
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&event, sizeof(ngx_http_doi_event_t));

    ngx_memcpy(event.arg.contact, contact.id, DOI_CONTACT_ID);
    event.arg.channel = (uint8_t) contact.channel;
    event.arg.source = DOI_SOURCE_KEYWORD;
    event.arg.level = (uint8_t) conf->inbound->level;
    event.arg.scope = (uint16_t) conf->optout_scope;
    event.arg.at = message->sent;
    event.arg.flags = post->twilio ? DOI_CONSENT_INLINE : 0;

    ngx_http_doi_inbound_says(conf, message, &event);

    event.said[DOI_SAID_ADDRESS] = contact.address;
    event.said[DOI_SAID_LIST] = *list;
    event.said[DOI_SAID_SENDER].data = (u_char *) message->to.data;
    event.said[DOI_SAID_SENDER].len = message->to.len;
    event.said[DOI_SAID_TEXT].data = (u_char *) message->text.data;
    event.said[DOI_SAID_TEXT].len = message->text.len;

    if (ngx_http_doi_inbound_id(r, message,
                                &event.said[DOI_SAID_MESSAGE_ID])
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* in the language that he has spoken before */

    ngx_memzero(&known, sizeof(doi_contact_t));

    if (ngx_http_doi_contact_get(r->pool, contact.id, &known) == NGX_ERROR) {
        return NGX_ERROR;
    }

    lang = 0;
    said = &event.said[DOI_SAID_LANG];

    if (known.lang.len) {
        lang = doi_pages_lang_tag(conf->pages, known.lang);
        said->data = (u_char *) known.lang.data;
        said->len = known.lang.len;

    } else {
        said->data = (u_char *) conf->pages->langs[0].tag;
        said->len = ngx_strlen(said->data);
    }

    if (ngx_http_doi_event_replies(r, &event, lang) != NGX_OK) {
        return NGX_ERROR;
    }

    if (post->twilio) {
        ngx_memcpy(post->reply, event.reply, sizeof(post->reply));
    }

    if (ngx_http_doi_event(&event, ngx_http_doi_inbound_done, post)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    post->pending++;

    return NGX_OK;
}


/* Cut, two long ids might be the same: they go by their SHA-256. */

static ngx_int_t
ngx_http_doi_inbound_id(ngx_http_request_t *r, doi_inbound_t *message,
    ngx_str_t *id)
{
    u_char  digest[SHA256_DIGEST_LENGTH];

    id->data = (u_char *) message->id.data;
    id->len = message->id.len;

    if (id->len <= doi_said_max[DOI_SAID_MESSAGE_ID]) {
        return NGX_OK;
    }

    (void) SHA256(message->id.data, message->id.len, digest);

    id->len = 2 * sizeof(digest);
    id->data = ngx_pnalloc(r->pool, id->len);
    if (id->data == NULL) {
        return NGX_ERROR;
    }

    ngx_hex_dump(id->data, digest, sizeof(digest));

    return NGX_OK;
}


static void
ngx_http_doi_inbound_says(ngx_http_doi_loc_conf_t *conf,
    doi_inbound_t *message, ngx_http_doi_event_t *event)
{
    doi_says_t  says;

    static const doi_keywords_t  standard = { .confirm = "yes" };

    says = doi_keyword(conf->keywords ? conf->keywords : &standard,
                       message->text);

    /* Twilio has understood it as one, and refuses from now on */

    if (message->opt_out == 1) {
        says = DOI_SAYS_STOP;
    }

    /* ... and has answered */

    if (message->opt_out == 1 || message->opt_out == 3) {
        event->arg.flags |= DOI_CONSENT_QUIET;
    }

    switch (says) {

    case DOI_SAYS_CONFIRM:
        event->arg.event = DOI_CONSENT_CONFIRM;
        break;

    case DOI_SAYS_SUBSCRIBE:
        event->arg.event = DOI_CONSENT_SUBSCRIBE;
        break;

    case DOI_SAYS_STOP:
        event->arg.event = DOI_CONSENT_STOP;
        break;

    case DOI_SAYS_HELP:
        event->arg.event = DOI_CONSENT_HELP;
        break;

    case DOI_SAYS_DOUBTFUL:
        event->arg.event = DOI_CONSENT_OTHER;
        event->arg.flags |= DOI_CONSENT_REVIEW;
        break;

    default: /* DOI_SAYS_OTHER */
        event->arg.event = DOI_CONSENT_OTHER;
    }
}


static void
ngx_http_doi_inbound_done(void *data, doi_result_t result, doi_str_t answer)
{
    ngx_http_doi_post_t *post = data;

    ngx_connection_t      *c;
    ngx_http_request_t    *r;
    doi_consent_answer_t   a;

    if ((result == DOI_WON || result == DOI_CONFLICT)
        && answer.len == sizeof(doi_consent_answer_t))
    {
        ngx_memcpy(&a, answer.data, sizeof(doi_consent_answer_t));

        post->taken++;
        post->said = (result == DOI_WON) ? a.reply : DOI_REPLY_NONE;

        if (post->said) {
            ngx_http_doi_courier_wake();
        }

    } else {
        post->failed = 1;
    }

    if (--post->pending) {
        return;
    }

    r = post->request;

    if (r == NULL) {
        ngx_free(post);
        return;
    }

    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_http_finalize_request(r, ngx_http_doi_inbound_answer(r, post));
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_doi_inbound_answer(ngx_http_request_t *r, ngx_http_doi_post_t *post)
{
    ngx_str_t                  type;
    doi_buf_t                  out;
    doi_str_t                  text;
    ngx_http_complex_value_t   cv;

    if (post->failed) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    if (ngx_http_doi_header_str(r, "Cache-Control", "no-store") != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));

    text.data = post->reply[post->said].data;
    text.len = post->said ? post->reply[post->said].len : 0;

    /* "&quot;" is as long as it gets */

    out.len = 0;
    out.size = post->twilio ? 6 * text.len + 256 : 128;
    out.data = ngx_pnalloc(r->pool, out.size);
    if (out.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (post->twilio) {

        if (doi_twiml(text, &out) != DOI_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_str_set(&type, "text/xml; charset=utf-8");

    } else {
        out.len = ngx_sprintf(out.data, "{\"accepted\":%ui,\"skipped\":%ui}\n",
                              post->taken, post->skipped) - out.data;

        ngx_str_set(&type, "application/json");
    }

    cv.value.data = out.data;
    cv.value.len = out.len;

    return ngx_http_send_response(r, NGX_HTTP_OK, &type, &cv);
}


static void
ngx_http_doi_inbound_cleanup(void *data)
{
    ngx_http_doi_post_t *post = data;

    if (post->pending == 0) {
        ngx_free(post);
        return;
    }

    post->request = NULL;
}
