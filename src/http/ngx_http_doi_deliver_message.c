/*
 * Replies to contacts: by the channel's gateway, or by mail.  What the texts
 * are made of stands in ngx_http_doi_reply.c.
 */

#include "ngx_http_doi_consent.h"
#include "ngx_http_doi_courier.h"


#define NGX_HTTP_DOI_GATEWAY_TIMEOUT  20    /* seconds */


/* A reply that waits, and to whom; texts are in the delivery's pool. */

typedef struct ngx_http_doi_reply_s {
    ngx_http_doi_delivery_t   *delivery;
    doi_reply_row_t            row;
    doi_contact_t              contact;
    doi_consent_t              consent;
    ngx_uint_t                 found;
    char                       why[DOI_ERROR_TEXT + 1];
} ngx_http_doi_reply_t;


static doi_result_t ngx_http_doi_message_read(doi_view_t *view,
    doi_time_t now, doi_str_t arg, doi_buf_t *out);
static ngx_uint_t ngx_http_doi_message_outdated(ngx_http_doi_reply_t *reply);
static ngx_int_t ngx_http_doi_message_unseal(ngx_http_doi_delivery_t *d,
    ngx_http_doi_reply_t *reply);
static ngx_int_t ngx_http_doi_message_mail(ngx_http_doi_delivery_t *d,
    ngx_http_doi_reply_t *reply, doi_job_t *job);
static doi_str_t ngx_http_doi_message_line(doi_str_t *text);
static ngx_int_t ngx_http_doi_message_gateway(ngx_http_doi_delivery_t *d,
    ngx_http_doi_reply_t *reply, doi_job_t *job);
static ngx_int_t ngx_http_doi_message_opted_out(ngx_http_doi_delivery_t *d);
static void ngx_http_doi_message_noted(void *data, doi_result_t result,
    doi_str_t answer);


ngx_int_t
ngx_http_doi_deliver_message(ngx_http_doi_delivery_t *d, doi_job_t *job)
{
    ngx_int_t              rc;
    doi_str_t              arg;
    doi_buf_t              out;
    ngx_http_doi_reply_t  *reply;

    reply = ngx_pcalloc(d->pool, sizeof(ngx_http_doi_reply_t));
    if (reply == NULL) {
        return NGX_ERROR;
    }

    d->reply = reply;
    d->gateway = NULL;
    reply->delivery = d;

    arg.data = (u_char *) reply;
    arg.len = sizeof(ngx_http_doi_reply_t);
    ngx_memzero(&out, sizeof(doi_buf_t));

    if (doi_store_read(ngx_http_doi_process_store(), ngx_http_doi_message_read,
                       arg, &out)
        != DOI_WON)
    {
        d->why = "the store could not be read";
        return NGX_ERROR;
    }

    /* erased meanwhile, or no longer true */

    if (!reply->found || ngx_http_doi_message_outdated(reply)) {
        return NGX_DONE;
    }

    rc = ngx_http_doi_message_unseal(d, reply);
    if (rc != NGX_OK) {
        return rc;
    }

    return reply->contact.channel == DOI_CHANNEL_EMAIL
           ? ngx_http_doi_message_mail(d, reply, job)
           : ngx_http_doi_message_gateway(d, reply, job);
}


static doi_result_t
ngx_http_doi_message_read(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                       rc;
    doi_contact_t            *c;
    ngx_http_doi_reply_t     *reply;
    ngx_http_doi_delivery_t  *d;

    reply = (ngx_http_doi_reply_t *) arg.data;
    d = reply->delivery;
    c = &reply->contact;

    rc = doi_reply_get(view, d->row.id, &reply->row);

    if (rc == DOI_OK) {
        rc = doi_contact_get(view, d->row.booking, c);
    }

    if (rc == DOI_NOT_FOUND || (rc == DOI_OK && c->address.len == 0)) {
        return DOI_WON;
    }

    if (rc != DOI_OK
        || doi_contact_look(view, c->id, reply->row.list, &reply->consent)
           == DOI_ERROR)
    {
        return DOI_RETRY;
    }

    if (c->channel == DOI_CHANNEL_EMAIL) {

        rc = doi_suppressed(view, c->address);

        if (rc != DOI_OK && rc != DOI_NOT_FOUND) {
            return DOI_RETRY;
        }

        d->suppressed = (rc == DOI_OK);
    }

    c->nlists = 0;
    c->lists = NULL;

    if (ngx_http_doi_deliver_text(d, &c->address) != NGX_OK
        || ngx_http_doi_deliver_text(d, &c->lang) != NGX_OK
        || ngx_http_doi_deliver_text(d, &reply->row.list) != NGX_OK
        || ngx_http_doi_deliver_text(d, &reply->row.sender) != NGX_OK
        || ngx_http_doi_deliver_text(d, &reply->row.text) != NGX_OK)
    {
        return DOI_RETRY;
    }

    reply->found = 1;

    return DOI_WON;
}


/* Who has opted out while a message waited gets none but that he has. */

static ngx_uint_t
ngx_http_doi_message_outdated(ngx_http_doi_reply_t *reply)
{
    switch (reply->row.reply) {

    case DOI_REPLY_PROMPT:
    case DOI_REPLY_REMINDER:

        if (reply->delivery->suppressed) {
            ngx_http_doi_count(&reply->delivery->conf->stats->suppressed);
            return 1;
        }

        return reply->consent.state != DOI_CONSENT_PENDING
               && !reply->consent.prompted;

    case DOI_REPLY_CONFIRMED:
        return reply->consent.state != DOI_CONSENT_SINGLE
               && reply->consent.state != DOI_CONSENT_DOUBLE;

    default:
        return 0;
    }
}


static ngx_int_t
ngx_http_doi_message_unseal(ngx_http_doi_delivery_t *d,
    ngx_http_doi_reply_t *reply)
{
    doi_buf_t         out;
    doi_str_t         aad, sealed;
    ngx_uint_t        i, n;
    doi_keyring_t   **ring;

    sealed = reply->row.text;

    if (sealed.len == 0 || sealed.data[0] != NGX_HTTP_DOI_REPLY_SEALED) {
        return NGX_OK;
    }

    sealed.data++;
    sealed.len--;

    out.size = sealed.len;
    out.data = ngx_pnalloc(d->pool, out.size + 1);
    if (out.data == NULL) {
        return NGX_ERROR;
    }

    aad.data = reply->row.confirm;
    aad.len = DOI_ID_SIZE;

    n = d->conf->rings ? d->conf->rings->nelts : 0;
    ring = n ? d->conf->rings->elts : NULL;

    for (i = 0; i < n; i++) {

        out.len = 0;

        if (doi_unseal(ring[i], aad, sealed, &out) == DOI_OK) {
            reply->row.text.data = out.data;
            reply->row.text.len = out.len;
            return NGX_OK;
        }
    }

    d->why = "the link of the message cannot be read: the key (\"doi_key\") "
             "that it was made with is gone";

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_doi_message_mail(ngx_http_doi_delivery_t *d,
    ngx_http_doi_reply_t *reply, doi_job_t *job)
{
    doi_str_t        *text, rest;
    doi_page_vars_t   vars;

    static const doi_mail_t  mails[DOI_REPLIES] = {
        [DOI_REPLY_PROMPT]    = DOI_MAIL_OPT_IN,
        [DOI_REPLY_REMINDER]  = DOI_MAIL_OPT_IN_REMIND,
        [DOI_REPLY_CONFIRMED] = DOI_MAIL_SUBSCRIBED,
        [DOI_REPLY_OPTED_OUT] = DOI_MAIL_OPTED_OUT
    };

    if (reply->row.reply == DOI_REPLY_HELP) {
        return NGX_DONE;
    }

    ngx_memzero(&vars, sizeof(doi_page_vars_t));

    text = d->booking.text;
    rest = reply->row.text;

    vars.code = UINT32_MAX;
    vars.opt_in = 1;
    vars.url = ngx_http_doi_message_line(&rest);
    text[DOI_TEXT_TEMPLATES] = ngx_http_doi_message_line(&rest);
    text[DOI_TEXT_OWNER_NAME] = ngx_http_doi_message_line(&rest);
    text[DOI_TEXT_OWNER_EMAIL] = ngx_http_doi_message_line(&rest);
    text[DOI_TEXT_EMAIL] = reply->contact.address;
    text[DOI_TEXT_LANG] = reply->contact.lang;

    vars.owner_name = text[DOI_TEXT_OWNER_NAME];
    vars.owner_email = text[DOI_TEXT_OWNER_EMAIL];
    vars.message = rest;

    d->booking.expires = reply->row.confirm_expires;

    if (vars.url.len == 0 && (reply->row.reply == DOI_REPLY_PROMPT
                              || reply->row.reply == DOI_REPLY_REMINDER))
    {
        d->why = "it has no link: \"doi_base_url\" and \"doi_url confirm\" are "
                 "missing where the subscription came in";
        return NGX_DECLINED;
    }

    return ngx_http_doi_deliver_opt_mail(d, mails[reply->row.reply], &vars,
                                         job);
}


/* The next line of what is left. */

static doi_str_t
ngx_http_doi_message_line(doi_str_t *text)
{
    size_t     n;
    doi_str_t  line;

    for (n = 0; n < text->len && text->data[n] != LF; n++) { /* void */ }

    line.data = text->data;
    line.len = n;

    if (n < text->len) {
        n++;
    }

    text->data += n;
    text->len -= n;

    return line;
}


static ngx_int_t
ngx_http_doi_message_gateway(ngx_http_doi_delivery_t *d,
    ngx_http_doi_reply_t *reply, doi_job_t *job)
{
    doi_outbound_t           out;
    doi_http_request_t      *request;
    ngx_http_doi_gateway_t  *gw;

    gw = d->conf->gateways[reply->contact.channel];

    if (gw == NULL) {
        d->why = "the configuration has no \"doi_gateway\" for this channel";
        return NGX_ERROR;
    }

    request = ngx_http_doi_deliver_request(d);
    if (request == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&out, sizeof(doi_outbound_t));

    out.url = (const char *) gw->url.data;
    out.user = (const char *) gw->user.data;
    out.secret.data = gw->secret.data;
    out.secret.len = gw->secret.len;
    out.from.data = gw->from.data;
    out.from.len = gw->from.len;
    out.channel = reply->contact.channel;
    out.to = reply->contact.address;
    out.text = reply->row.text;
    out.id.data = d->id;
    out.id.len = DOI_ID_CHARS;
    out.now = (doi_time_t) ngx_time();

    /* from the number that was written to, if we have several */

    if (reply->row.sender.len && gw->provider != DOI_PROVIDER_META) {
        out.from = reply->row.sender;
    }

    if (doi_outbound(gw->provider, &out, request) != DOI_OK) {
        d->why = "the message cannot be written as the provider wants it";
        return NGX_DECLINED;
    }

    ngx_http_doi_deliver_http(job, request);

    job->ca_file = (char *) gw->ca_file.data;
    job->timeout = NGX_HTTP_DOI_GATEWAY_TIMEOUT;
    job->private_ok = gw->private_ok;

    d->gateway = gw;

    return NGX_OK;
}


/* What the provider says counts, not the status alone. */

ngx_int_t
ngx_http_doi_deliver_message_result(ngx_http_doi_delivery_t *d,
    doi_job_result_t *result)
{
    if (d->gateway == NULL || result->outcome == DOI_JOB_ABORTED
        || result->code == 0)
    {
        return NGX_OK;
    }

    switch (doi_outbound_answer(d->gateway->provider, result->code,
                                result->body, d->reply->why,
                                sizeof(d->reply->why)))
    {
    case DOI_ANSWER_DONE:
        result->outcome = DOI_JOB_DONE;
        break;

    case DOI_ANSWER_TEMPORARY:
        result->outcome = DOI_JOB_TEMPORARY;
        break;

    case DOI_ANSWER_PERMANENT:
        result->outcome = DOI_JOB_PERMANENT;
        break;

    case DOI_ANSWER_OPTED_OUT:

        if (ngx_http_doi_message_opted_out(d) == NGX_OK) {
            return NGX_AGAIN;
        }

        result->outcome = DOI_JOB_TEMPORARY;
        break;
    }

    result->text = d->reply->why;

    return NGX_OK;
}


/* The contact has opted out with the provider: then he has with us. */

static ngx_int_t
ngx_http_doi_message_opted_out(ngx_http_doi_delivery_t *d)
{
    ngx_http_doi_event_t   event;
    ngx_http_doi_reply_t  *reply;

    reply = d->reply;

    ngx_memzero(&event, sizeof(ngx_http_doi_event_t));

    ngx_memcpy(event.arg.contact, reply->contact.id, DOI_CONTACT_ID);
    event.arg.channel = reply->contact.channel;
    event.arg.event = DOI_CONSENT_REVOKE;
    event.arg.source = DOI_SOURCE_PROVIDER;
    event.arg.scope = DOI_SCOPE_CONTACT;

    event.said[DOI_SAID_ADDRESS].data = (u_char *) reply->contact.address.data;
    event.said[DOI_SAID_ADDRESS].len = reply->contact.address.len;
    event.said[DOI_SAID_LIST].data = (u_char *) reply->row.list.data;
    event.said[DOI_SAID_LIST].len = reply->row.list.len;
    event.said[DOI_SAID_REASON].data = (u_char *) reply->why;
    event.said[DOI_SAID_REASON].len = ngx_strlen(reply->why);

    return ngx_http_doi_event(&event, ngx_http_doi_message_noted, d);
}


static void
ngx_http_doi_message_noted(void *data, doi_result_t result, doi_str_t answer)
{
    ngx_http_doi_delivery_t *d = data;

    doi_job_result_t  last;

    ngx_memzero(&last, sizeof(doi_job_result_t));

    last.etag = "";
    last.text = d->reply->why;
    last.outcome = (result == DOI_WON || result == DOI_CONFLICT)
                   ? DOI_JOB_PERMANENT : DOI_JOB_TEMPORARY;

    ngx_http_doi_deliver_judge(d, &last);
}
