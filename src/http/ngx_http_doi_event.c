/*
 * Contacts and what happens to them: ids, events, the client's address as it
 * goes into the evidence, and the look at one contact's consent.
 */

#include "ngx_http_doi_consent.h"
#include "../core/escape.h"
#include "../core/hmac.h"


#define NGX_HTTP_DOI_CLIENT_HASHED 16       /* bytes of a hashed address     */


/* An event that is under way. */

typedef struct {
    doi_store_done_pt          done;
    void                      *data;
    u_char                     event;
    u_char                     source;
    uint16_t                   flags;
} ngx_http_doi_event_wait_t;

typedef struct {
    const u_char              *id;
    doi_str_t                  list;
    doi_consent_t             *consent;
} ngx_http_doi_contact_look_t;


static size_t ngx_http_doi_event_cut(ngx_str_t *text, size_t max);
static void ngx_http_doi_event_clean(u_char *p, size_t len);
static void ngx_http_doi_event_done(void *data, doi_result_t result,
    doi_str_t answer);
static ngx_int_t ngx_http_doi_client_truncate(ngx_http_request_t *r,
    ngx_str_t *client);
static ngx_int_t ngx_http_doi_client_hash(ngx_http_request_t *r,
    ngx_str_t *client);
static doi_result_t ngx_http_doi_contact_look(doi_view_t *view,
    doi_time_t now, doi_str_t arg, doi_buf_t *out);


ngx_int_t
ngx_http_doi_contact(ngx_pool_t *pool, ngx_uint_t channel, ngx_str_t *text,
    ngx_str_t *country, ngx_http_doi_contact_t *contact, const char **err)
{
    int                       rc;
    doi_buf_t                 out;
    doi_str_t                 s, c;
    const doi_ledger_keys_t  *keys;

    keys = ngx_http_doi_ledger();

    if (keys == NULL) {
        return NGX_ERROR;
    }

    out.len = 0;
    out.size = (channel == DOI_CHANNEL_EMAIL) ? DOI_EMAIL_MAX : DOI_PHONE_MAX;
    out.data = ngx_pnalloc(pool, out.size);

    if (out.data == NULL) {
        return NGX_ERROR;
    }

    s.data = text->data;
    s.len = text->len;

    if (channel == DOI_CHANNEL_EMAIL) {
        rc = doi_email_normalise(s, doi_idn, &out, err);

    } else if (channel == DOI_CHANNEL_SMS
               && ngx_strlchr(text->data, text->data + text->len, ':')
               && ngx_strlcasestrn(text->data, text->data + text->len,
                                   (u_char *) "whatsapp",
                                   sizeof("whatsapp") - 2))
    {
        /* Twilio sends both from the same address */

        *err = "is one of WhatsApp, not of SMS";
        rc = DOI_ERROR;

    } else {
        c.data = country->data;
        c.len = country->len;
        rc = doi_phone_normalise(s, c, &out, err);
    }

    if (rc != DOI_OK) {
        return NGX_DECLINED;
    }

    contact->channel = channel;
    contact->address.data = out.data;
    contact->address.len = out.len;

    s.data = out.data;
    s.len = out.len;

    return doi_contact_id(keys, (unsigned) channel, s, contact->id) == DOI_OK
           ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_doi_event_pack(ngx_http_doi_event_t *event, u_char *out, size_t size,
    size_t *len)
{
    u_char                   *p;
    ngx_uint_t                i;
    doi_consent_arg_t        *arg;
    const doi_ledger_keys_t  *keys;
    ngx_http_doi_main_conf_t *mcf;

    keys = ngx_http_doi_ledger();
    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle, ngx_http_doi_module);

    if (keys == NULL || mcf == NULL) {
        return NGX_ERROR;
    }

    /* a part of it would be no evidence */

    if (event->said[DOI_SAID_WORDING].len > doi_said_max[DOI_SAID_WORDING]) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "doi: a wording has %uz bytes, more than %ui: shorten "
                      "\"wording=\", \"doi_message prompt\" or the mail's "
                      "template", event->said[DOI_SAID_WORDING].len,
                      (ngx_uint_t) doi_said_max[DOI_SAID_WORDING]);
        return NGX_DECLINED;
    }

    arg = &event->arg;
    *len = sizeof(doi_consent_arg_t);

    ngx_memcpy(arg->ledger, keys->ledger, sizeof(arg->ledger));
    ngx_memcpy(arg->content, keys->content, sizeof(arg->content));
    arg->pad = 0;

    if (mcf->syncs == NULL) {
        arg->flags |= DOI_CONSENT_SILENT;
    }

    for (i = 0; i < DOI_SAIDS; i++) {
        arg->said_len[i] = (uint16_t) ngx_http_doi_event_cut(&event->said[i],
                                                             doi_said_max[i]);
        *len += arg->said_len[i];
    }

    for (i = 0; i < DOI_REPLIES; i++) {
        arg->reply_len[i] = (uint16_t)
                            ngx_http_doi_event_cut(&event->reply[i],
                                               doi_said_max[DOI_SAID_REPLY]);
        *len += arg->reply_len[i];
    }

    if (*len > size) {
        return NGX_DECLINED;
    }

    p = ngx_cpymem(out, arg, sizeof(doi_consent_arg_t));

    for (i = 0; i < DOI_SAIDS; i++) {
        if (arg->said_len[i]) {
            ngx_memcpy(p, event->said[i].data, arg->said_len[i]);
            ngx_http_doi_event_clean(p, arg->said_len[i]);
            p += arg->said_len[i];
        }
    }

    for (i = 0; i < DOI_REPLIES; i++) {
        if (arg->reply_len[i]) {
            p = ngx_cpymem(p, event->reply[i].data, arg->reply_len[i]);
        }
    }

    return NGX_OK;
}


/* Bytes of whole characters. */

static size_t
ngx_http_doi_event_cut(ngx_str_t *text, size_t max)
{
    size_t  len;

    if (text->len <= max) {
        return text->len;
    }

    for (len = max; len && (text->data[len] & 0xc0) == 0x80; len--) {
        /* void */
    }

    return len;
}


/* A User-Agent may be any bytes, but evidence is shown as JSON. */

static void
ngx_http_doi_event_clean(u_char *p, size_t len)
{
    size_t     n;
    doi_str_t  text;

    for ( ;; ) {
        text.data = p;
        text.len = len;

        n = doi_utf8_check(text);

        if (n == len) {
            return;
        }

        p[n] = '?';
        p += n + 1;
        len -= n + 1;
    }
}


ngx_int_t
ngx_http_doi_event(ngx_http_doi_event_t *event, doi_store_done_pt done,
    void *data)
{
    size_t                      len;
    ngx_http_doi_event_wait_t  *wait;
    u_char                      arg[NGX_HTTP_DOI_EVENT_MAX];

    if (ngx_http_doi_event_pack(event, arg, sizeof(arg), &len) != NGX_OK) {
        return NGX_ERROR;
    }

    wait = ngx_alloc(sizeof(ngx_http_doi_event_wait_t), ngx_cycle->log);
    if (wait == NULL) {
        return NGX_ERROR;
    }

    wait->done = done;
    wait->data = data;
    wait->event = event->arg.event;
    wait->source = event->arg.source;
    wait->flags = event->arg.flags;

    if (ngx_http_doi_submit(DOI_OP_CONSENT_EVENT, arg, len,
                            ngx_http_doi_event_done, wait)
        != NGX_OK)
    {
        ngx_free(wait);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_doi_event_done(void *data, doi_result_t result, doi_str_t answer)
{
    ngx_http_doi_event_wait_t *wait = data;

    doi_store_done_pt       done;
    doi_consent_answer_t    a;

    if (result == DOI_WON && answer.len >= sizeof(a)) {
        ngx_memcpy(&a, answer.data, sizeof(a));
        ngx_http_doi_event_count(wait->event, wait->source, wait->flags, &a);
        ngx_http_doi_courier_wake();
    }

    done = wait->done;
    data = wait->data;
    ngx_free(wait);

    done(data, result, answer);
}


void
ngx_http_doi_event_count(ngx_uint_t event, ngx_uint_t source,
    ngx_uint_t flags, const doi_consent_answer_t *answer)
{
    ngx_http_doi_stats_t      *stats;
    ngx_http_doi_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle, ngx_http_doi_module);
    stats = mcf->stats;

    if (answer->from != answer->to) {
        ngx_http_doi_count(&stats->consent[event][source]);
    }

    if (answer->reply == DOI_REPLY_PROMPT) {
        ngx_http_doi_count(&stats->prompts);
    }

    if (answer->reply != DOI_REPLY_NONE && !(flags & DOI_CONSENT_INLINE)) {
        ngx_http_doi_count(&stats->queued[DOI_DELIVER_MESSAGE
                                          - DOI_DELIVER_CONFIRM]);
    }

    if (event == DOI_CONSENT_CONFIRM && answer->from != answer->to
        && answer->to == DOI_CONSENT_DOUBLE)
    {
        ngx_http_doi_count(&stats->confirmations);
    }
}


ngx_int_t
ngx_http_doi_event_client(ngx_http_request_t *r, ngx_http_doi_event_t *event)
{
    ngx_str_t                *client;
    ngx_http_doi_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_doi_module);
    client = &event->said[DOI_SAID_CLIENT];

    if (r->headers_in.user_agent) {
        event->said[DOI_SAID_AGENT] = r->headers_in.user_agent->value;
    }

    switch (conf->evidence) {

    case NGX_HTTP_DOI_CLIENT_TRUNCATE:
        return ngx_http_doi_client_truncate(r, client);

    case NGX_HTTP_DOI_CLIENT_HASH:
        return ngx_http_doi_client_hash(r, client);

    case NGX_HTTP_DOI_CLIENT_FULL:
        *client = r->connection->addr_text;
        return NGX_OK;

    default: /* NGX_HTTP_DOI_CLIENT_OFF */
        ngx_str_null(client);
        return NGX_OK;
    }
}


/* "192.0.2.0/24", "2001:db8:1::/48" */

static ngx_int_t
ngx_http_doi_client_truncate(ngx_http_request_t *r, ngx_str_t *client)
{
    u_char               *p;
    struct sockaddr_in    sin;
    struct sockaddr_in6   sin6;
    const u_char         *v4;

    v4 = NULL;
    ngx_memzero(&sin6, sizeof(struct sockaddr_in6));

    switch (r->connection->sockaddr->sa_family) {

    case AF_INET:
        ngx_memcpy(&sin, r->connection->sockaddr, sizeof(struct sockaddr_in));
        v4 = (u_char *) &sin.sin_addr;
        break;

    case AF_INET6:
        ngx_memcpy(&sin6, r->connection->sockaddr,
                   sizeof(struct sockaddr_in6));

        if (IN6_IS_ADDR_V4MAPPED(&sin6.sin6_addr)) {
            v4 = sin6.sin6_addr.s6_addr + 12;
        }

        break;

    default:
        ngx_str_null(client);
        return NGX_OK;
    }

    client->data = ngx_pnalloc(r->pool, NGX_INET6_ADDRSTRLEN + 4);
    if (client->data == NULL) {
        return NGX_ERROR;
    }

    if (v4) {
        p = ngx_sprintf(client->data, "%ud.%ud.%ud.0/24", (uint32_t) v4[0],
                        (uint32_t) v4[1], (uint32_t) v4[2]);

    } else {
        ngx_memzero(sin6.sin6_addr.s6_addr + 6, 10);

        p = client->data + ngx_inet6_ntop(sin6.sin6_addr.s6_addr,
                                          client->data, NGX_INET6_ADDRSTRLEN);
        p = ngx_cpymem(p, "/48", 3);
    }

    client->len = p - client->data;

    return NGX_OK;
}


/* The same address gives the same hash, for who knows the ledger's secret. */

static ngx_int_t
ngx_http_doi_client_hash(ngx_http_request_t *r, ngx_str_t *client)
{
    u_char                    mac[DOI_SHA256_SIZE];
    doi_str_t                 parts[2] = { doi_str("client:") };
    const doi_ledger_keys_t  *keys;

    keys = ngx_http_doi_ledger();

    if (keys == NULL) {
        return NGX_ERROR;
    }

    parts[1].data = r->connection->addr_text.data;
    parts[1].len = r->connection->addr_text.len;

    if (doi_hmac(keys->contact, parts, 2, mac) != DOI_OK) {
        return NGX_ERROR;
    }

    client->len = 2 * NGX_HTTP_DOI_CLIENT_HASHED;
    client->data = ngx_pnalloc(r->pool, client->len);
    if (client->data == NULL) {
        return NGX_ERROR;
    }

    ngx_hex_dump(client->data, mac, NGX_HTTP_DOI_CLIENT_HASHED);

    return NGX_OK;
}


ngx_int_t
ngx_http_doi_contact_read(const u_char *id, ngx_str_t *list,
    doi_consent_t *consent)
{
    doi_str_t                     arg;
    doi_buf_t                     out;
    doi_store_t                  *store;
    ngx_http_doi_contact_look_t   look;

    store = ngx_http_doi_process_store();

    if (store == NULL) {
        return NGX_ERROR;
    }

    look.id = id;
    look.list.data = list->data;
    look.list.len = list->len;
    look.consent = consent;

    arg.data = (u_char *) &look;
    arg.len = sizeof(look);
    ngx_memzero(&out, sizeof(doi_buf_t));

    return doi_store_read(store, ngx_http_doi_contact_look, arg, &out)
           == DOI_WON ? NGX_OK : NGX_ERROR;
}


static doi_result_t
ngx_http_doi_contact_look(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                           rc;
    ngx_http_doi_contact_look_t  *look;

    look = (ngx_http_doi_contact_look_t *) arg.data;

    rc = doi_contact_look(view, look->id, look->list, look->consent);

    return (rc == DOI_OK || rc == DOI_NOT_FOUND) ? DOI_WON : DOI_RETRY;
}
