/*
 * Mails: which text, to whom, with which calendar object.
 */

#include "ngx_http_doi_courier.h"


#define NGX_HTTP_DOI_SLOT_FIT   64      /* bytes */


typedef enum {
    NGX_HTTP_DOI_WHILE_HELD = 0,    /* no longer true later on               */
    NGX_HTTP_DOI_WHILE_CONFIRMED,
    NGX_HTTP_DOI_WHILE_IN_DOUBT,
    NGX_HTTP_DOI_ALWAYS
} ngx_http_doi_while_e;


/* Indexed by kind less DOI_DELIVER_CONFIRM. */

typedef struct {
    doi_mail_t             mail;
    ngx_http_doi_while_e   valid;
    ngx_uint_t             owner;       /* it goes to the owner              */
    const char            *method;      /* of the calendar object, or NULL   */
    doi_ical_status_t      status;
} ngx_http_doi_mail_kind_t;

static const ngx_http_doi_mail_kind_t  ngx_http_doi_mail_kinds[] = {
    { DOI_MAIL_CONFIRM,         NGX_HTTP_DOI_WHILE_HELD,      0, NULL, 0 },
    { DOI_MAIL_REMIND,          NGX_HTTP_DOI_WHILE_HELD,      0, NULL, 0 },
    { DOI_MAIL_BOOKED,          NGX_HTTP_DOI_WHILE_CONFIRMED, 0,
      "REQUEST", DOI_ICAL_CONFIRMED },
    { DOI_MAIL_OWNER,           NGX_HTTP_DOI_WHILE_CONFIRMED, 1,
      "PUBLISH", DOI_ICAL_CONFIRMED },
    { DOI_MAIL_CANCELLED,       NGX_HTTP_DOI_ALWAYS,          0,
      "CANCEL", DOI_ICAL_CANCELLED },
    { DOI_MAIL_OWNER_CANCELLED, NGX_HTTP_DOI_ALWAYS,          1,
      "CANCEL", DOI_ICAL_CANCELLED },
    { DOI_MAIL_OWNER_DOUBT,     NGX_HTTP_DOI_WHILE_IN_DOUBT,  1, NULL, 0 }
};


typedef size_t (*ngx_http_doi_render_pt)(const doi_pages_t *pages,
    doi_mail_t mail, size_t lang, const doi_page_vars_t *vars, doi_buf_t *out);


static ngx_int_t ngx_http_doi_mail_make(ngx_http_doi_delivery_t *d,
    const ngx_http_doi_mail_kind_t *kind, const doi_pages_t *pages,
    const doi_page_vars_t *vars, doi_job_t *job);
static ngx_int_t ngx_http_doi_mail_outdated(ngx_http_doi_delivery_t *d,
    const ngx_http_doi_mail_kind_t *kind);
static const doi_pages_t *ngx_http_doi_mail_pages(ngx_http_doi_delivery_t *d);
static ngx_int_t ngx_http_doi_mail_vars(ngx_http_doi_delivery_t *d,
    const ngx_http_doi_mail_kind_t *kind, doi_page_vars_t *vars);
static ngx_uint_t ngx_http_doi_mail_slot_fit(const doi_booking_t *booking);
static ngx_int_t ngx_http_doi_mail_link(ngx_http_doi_delivery_t *d,
    doi_str_t *url);
static void ngx_http_doi_mail_expires(const doi_booking_t *booking,
    doi_page_vars_t *vars);
static ngx_int_t ngx_http_doi_mail_render(ngx_http_doi_delivery_t *d,
    ngx_http_doi_render_pt render, const doi_pages_t *pages, doi_mail_t mail,
    size_t lang, const doi_page_vars_t *vars, doi_str_t *out);
static ngx_int_t ngx_http_doi_mail_calendar(ngx_http_doi_delivery_t *d,
    const ngx_http_doi_mail_kind_t *kind, doi_message_t *message);
static ngx_int_t ngx_http_doi_mail_message(ngx_http_doi_delivery_t *d,
    const ngx_http_doi_mail_kind_t *kind, doi_message_t *message,
    doi_str_t *out);
static ngx_int_t ngx_http_doi_mail_job(ngx_http_doi_delivery_t *d,
    doi_str_t recipient, doi_job_t *job);


ngx_int_t
ngx_http_doi_deliver_mail(ngx_http_doi_delivery_t *d, doi_job_t *job)
{
    ngx_int_t           rc;
    doi_page_vars_t     vars;
    const doi_pages_t  *pages;

    const ngx_http_doi_mail_kind_t  *kind;

    kind = &ngx_http_doi_mail_kinds[d->row.kind - DOI_DELIVER_CONFIRM];

    if (ngx_http_doi_mail_outdated(d, kind)) {
        return NGX_DONE;
    }

    pages = ngx_http_doi_mail_pages(d);

    if (d->conf->mail == NULL || pages == NULL) {
        d->why = "the configuration has no \"doi_mail\" any more";
        return NGX_ERROR;
    }

    rc = ngx_http_doi_mail_vars(d, kind, &vars);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_doi_mail_make(d, kind, pages, &vars, job);
}


ngx_int_t
ngx_http_doi_deliver_opt_mail(ngx_http_doi_delivery_t *d, doi_mail_t mail,
    doi_page_vars_t *vars, doi_job_t *job)
{
    const doi_pages_t         *pages;
    ngx_http_doi_mail_kind_t   kind;

    pages = ngx_http_doi_mail_pages(d);

    if (d->conf->mail == NULL || pages == NULL) {
        d->why = "the configuration has no \"doi_mail\" any more";
        return NGX_ERROR;
    }

    ngx_memzero(&kind, sizeof(ngx_http_doi_mail_kind_t));

    kind.mail = mail;
    kind.valid = NGX_HTTP_DOI_ALWAYS;

    ngx_http_doi_mail_expires(&d->booking, vars);

    return ngx_http_doi_mail_make(d, &kind, pages, vars, job);
}


static ngx_int_t
ngx_http_doi_mail_make(ngx_http_doi_delivery_t *d,
    const ngx_http_doi_mail_kind_t *kind, const doi_pages_t *pages,
    const doi_page_vars_t *vars, doi_job_t *job)
{
    size_t         lang;
    ngx_int_t      rc;
    doi_message_t  message;

    lang = doi_pages_lang_tag(pages, d->booking.text[DOI_TEXT_LANG]);

    ngx_memzero(&message, sizeof(doi_message_t));

    if (ngx_http_doi_mail_render(d, doi_mail_subject, pages, kind->mail, lang,
                                 vars, &message.subject)
           != NGX_OK
        || ngx_http_doi_mail_render(d, doi_mail_text, pages, kind->mail, lang,
                                    vars, &message.text)
           != NGX_OK
        || ngx_http_doi_mail_render(d, doi_mail_html, pages, kind->mail, lang,
                                    vars, &message.html)
           != NGX_OK
        || ngx_http_doi_mail_calendar(d, kind, &message) != NGX_OK)
    {
        return NGX_ERROR;
    }

    message.lang.data = (const uint8_t *) pages->langs[lang].tag;
    message.lang.len = ngx_strlen(pages->langs[lang].tag);

    rc = ngx_http_doi_mail_message(d, kind, &message, &job->body);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_doi_mail_job(d, message.to, job);
}


/*
 * A mail that has waited, while its booking went on: "please confirm" or "you
 * have an appointment" would be wrong by now.
 */

static ngx_int_t
ngx_http_doi_mail_outdated(ngx_http_doi_delivery_t *d,
    const ngx_http_doi_mail_kind_t *kind)
{
    doi_booking_state_t  state;

    state = doi_booking_state(&d->booking, d->now);

    switch (kind->valid) {

    case NGX_HTTP_DOI_WHILE_HELD:

        if (state == DOI_BOOKING_HELD && d->suppressed) {
            ngx_http_doi_count(&d->conf->stats->suppressed);
            return 1;
        }

        return state != DOI_BOOKING_HELD;

    case NGX_HTTP_DOI_WHILE_CONFIRMED:
        return state != DOI_BOOKING_CONFIRMED;

    case NGX_HTTP_DOI_WHILE_IN_DOUBT:
        return state != DOI_BOOKING_IN_DOUBT;

    default:
        return 0;
    }
}


/* The set that the booking was made with; if it is gone, the built-in one. */

static const doi_pages_t *
ngx_http_doi_mail_pages(ngx_http_doi_delivery_t *d)
{
    ngx_uint_t                 i;
    doi_str_t                  path;
    const doi_pages_t         *pages;
    ngx_http_doi_pages_set_t  *set;

    if (d->conf->pages == NULL) {
        return NULL;
    }

    pages = NULL;
    path = d->booking.text[DOI_TEXT_TEMPLATES];
    set = d->conf->pages->elts;

    for (i = 0; i < d->conf->pages->nelts; i++) {

        if (set[i].path.len == path.len
            && (path.len == 0
                || ngx_strncmp(set[i].path.data, path.data, path.len)
                   == 0))
        {
            return set[i].pages;
        }

        if (pages == NULL || set[i].path.len == 0) {
            pages = set[i].pages;
        }
    }

    return pages;
}


/* The owner gets no link: it confirms, or cancels, in the visitor's name. */

static ngx_int_t
ngx_http_doi_mail_vars(ngx_http_doi_delivery_t *d,
    const ngx_http_doi_mail_kind_t *kind, doi_page_vars_t *vars)
{
    u_char               *id;
    const doi_str_t      *text;
    const doi_booking_t  *booking;

    booking = &d->booking;
    text = booking->text;

    ngx_memzero(vars, sizeof(doi_page_vars_t));

    id = ngx_pnalloc(d->pool, DOI_ID_CHARS);
    if (id == NULL) {
        return NGX_ERROR;
    }

    doi_id_encode(booking->id, id);

    vars->id.data = id;
    vars->id.len = DOI_ID_CHARS;

    vars->owner_name = text[DOI_TEXT_OWNER_NAME];
    vars->owner_email = text[DOI_TEXT_OWNER_EMAIL];
    vars->owner_phone = text[DOI_TEXT_OWNER_PHONE];
    vars->owner_url = text[DOI_TEXT_OWNER_URL];
    vars->summary = text[DOI_TEXT_SUMMARY];
    vars->slot = text[DOI_TEXT_SLOT];
    vars->zone = text[DOI_TEXT_ZONE];
    vars->name = text[DOI_TEXT_NAME];
    vars->email = text[DOI_TEXT_EMAIL];
    vars->code = DOI_CODE_NONE;

    if (kind->valid == NGX_HTTP_DOI_WHILE_HELD) {

        if (!ngx_http_doi_mail_slot_fit(booking)) {
            ngx_memzero(&vars->slot, sizeof(doi_str_t));
        }

        vars->code = booking->code;
        ngx_http_doi_mail_expires(booking, vars);
    }

    if (kind->owner || kind->valid == NGX_HTTP_DOI_ALWAYS) {
        return NGX_OK;
    }

    if (ngx_http_doi_mail_link(d, &vars->url) != NGX_OK
        && kind->valid == NGX_HTTP_DOI_WHILE_HELD)
    {
        d->why = "the link of the booking cannot be read: the key "
                 "(\"doi_key\") that it was made with is gone";
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/*
 * Nobody has confirmed yet that this address is that of whoever filled in the
 * form: a stranger's words must not get into somebody's mailbox by it.  What
 * begins with a date has nothing else in it.
 */

static ngx_uint_t
ngx_http_doi_mail_slot_fit(const doi_booking_t *booking)
{
    u_char            c;
    size_t            i;
    const doi_str_t  *slot;

    slot = &booking->text[DOI_TEXT_SLOT];

    if (booking->start) {
        return 1;
    }

    for (i = 0; i < slot->len; i++) {

        c = slot->data[i];

        if ((c < '0' || c > '9') && (c < 'a' || c > 'z')
            && (c < 'A' || c > 'Z') && ngx_strchr(" -_:+,", c) == NULL)
        {
            return 0;
        }
    }

    return slot->len <= NGX_HTTP_DOI_SLOT_FIT;
}


static ngx_int_t
ngx_http_doi_mail_link(ngx_http_doi_delivery_t *d, doi_str_t *url)
{
    doi_buf_t        out;
    doi_str_t        aad, sealed;
    ngx_uint_t       i;
    doi_keyring_t  **ring;

    sealed = d->booking.text[DOI_TEXT_URL];

    if (sealed.len == 0 || d->conf->rings == NULL) {
        return NGX_DECLINED;
    }

    out.size = sealed.len;
    out.data = ngx_pnalloc(d->pool, out.size);
    if (out.data == NULL) {
        return NGX_ERROR;
    }

    aad.data = d->booking.id;
    aad.len = DOI_ID_SIZE;

    ring = d->conf->rings->elts;

    for (i = 0; i < d->conf->rings->nelts; i++) {

        out.len = 0;

        if (doi_unseal(ring[i], aad, sealed, &out) == DOI_OK) {
            url->data = out.data;
            url->len = out.len;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* In the slot's time zone, if that is known. */

static void
ngx_http_doi_mail_expires(const doi_booking_t *booking, doi_page_vars_t *vars)
{
    doi_str_t  zone;

    static const doi_str_t  utc = doi_str("UTC");

    zone = booking->text[DOI_TEXT_ZONE];

    if (zone.len
        && doi_zone_local(zone, booking->expires, &vars->expires) == DOI_OK)
    {
        vars->expires_zone = zone;
        return;
    }

    vars->expires = booking->expires;
    vars->expires_zone = utc;
}


static ngx_int_t
ngx_http_doi_mail_render(ngx_http_doi_delivery_t *d,
    ngx_http_doi_render_pt render, const doi_pages_t *pages, doi_mail_t mail,
    size_t lang, const doi_page_vars_t *vars, doi_str_t *out)
{
    doi_buf_t  buf;

    ngx_memzero(&buf, sizeof(doi_buf_t));

    buf.size = render(pages, mail, lang, vars, &buf);

    buf.data = ngx_pnalloc(d->pool, buf.size + 1);
    if (buf.data == NULL) {
        return NGX_ERROR;
    }

    buf.len = 0;
    (void) render(pages, mail, lang, vars, &buf);

    out->data = buf.data;
    out->len = buf.len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_mail_calendar(ngx_http_doi_delivery_t *d,
    const ngx_http_doi_mail_kind_t *kind, doi_message_t *message)
{
    char              *ical, *copy;
    size_t             len;
    doi_str_t          none = { NULL, 0 };
    doi_ical_event_t   event;

    if (kind->method == NULL) {
        return NGX_OK;
    }

    switch (ngx_http_doi_ical_event(d->pool, d->conf, &d->booking,
                                    kind->status,
                                    kind->owner ? NGX_HTTP_DOI_FOR_OWNER
                                                : NGX_HTTP_DOI_FOR_VISITOR,
                                    &event))
    {
    case NGX_OK:
        break;

    case NGX_DECLINED:
        return NGX_OK;

    default:
        return NGX_ERROR;
    }

    ical = doi_ical(&event, 1, kind->method, none, &len);
    if (ical == NULL) {
        return NGX_ERROR;
    }

    copy = ngx_http_doi_deliver_string(d, (u_char *) ical, len);
    free(ical);

    if (copy == NULL) {
        return NGX_ERROR;
    }

    message->calendar.data = (const uint8_t *) copy;
    message->calendar.len = len;
    message->method.data = (const uint8_t *) kind->method;
    message->method.len = ngx_strlen(kind->method);

    return NGX_OK;
}


/* Whoever answers reaches the other party. */

static ngx_int_t
ngx_http_doi_mail_message(ngx_http_doi_delivery_t *d,
    const ngx_http_doi_mail_kind_t *kind, doi_message_t *message,
    doi_str_t *out)
{
    u_char               *id;
    doi_buf_t             buf;
    const doi_str_t      *text;
    ngx_http_doi_mail_t  *mail;

    mail = d->conf->mail;
    text = d->booking.text;

    message->from.data = mail->from.data;
    message->from.len = mail->from.len;
    message->from_name.data = mail->from_name.data;
    message->from_name.len = mail->from_name.len;

    message->to = text[kind->owner ? DOI_TEXT_OWNER_EMAIL : DOI_TEXT_EMAIL];
    if (kind->owner) {
        message->to_name = text[DOI_TEXT_OWNER_NAME];

    } else if (kind->valid != NGX_HTTP_DOI_WHILE_HELD) {
        message->to_name = text[DOI_TEXT_NAME];
    }

    message->reply_to = text[kind->owner ? DOI_TEXT_EMAIL
                                         : DOI_TEXT_OWNER_EMAIL];
    message->reply_name = text[kind->owner ? DOI_TEXT_NAME
                                           : DOI_TEXT_OWNER_NAME];

    id = ngx_pnalloc(d->pool, DOI_ID_CHARS + 4);
    if (id == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(id, d->id, DOI_ID_CHARS);
    ngx_memcpy(id + DOI_ID_CHARS, ".doi", 4);

    message->id.data = id;
    message->id.len = DOI_ID_CHARS + 4;
    message->date = d->row.created;

    ngx_memzero(&buf, sizeof(doi_buf_t));

    buf.size = doi_message(message, &buf);

    if (buf.size == 0) {
        d->why = "an address is not fit for a mail";
        return NGX_DECLINED;
    }

    buf.data = ngx_pnalloc(d->pool, buf.size);
    if (buf.data == NULL) {
        return NGX_ERROR;
    }

    buf.len = 0;
    (void) doi_message(message, &buf);

    out->data = buf.data;
    out->len = buf.len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_mail_job(ngx_http_doi_delivery_t *d, doi_str_t recipient,
    doi_job_t *job)
{
    ngx_http_doi_mail_t  *mail;

    mail = d->conf->mail;

    job->kind = mail->maildir ? DOI_JOB_MAILDIR : DOI_JOB_SMTP;
    job->url = (char *) mail->url.data;
    job->user = (char *) mail->user.data;
    job->password = (char *) mail->password.data;
    job->ca_file = (char *) mail->ca_file.data;
    job->helo = (char *) mail->helo.data;
    job->timeout = (unsigned) mail->timeout;
    job->starttls = (doi_tls_t) mail->starttls;
    job->sender = (char *) mail->from.data;

    job->recipient = ngx_http_doi_deliver_string(d, recipient.data,
                                                 recipient.len);
    job->unique = ngx_http_doi_deliver_string(d, d->id, DOI_ID_CHARS);

    return (job->recipient && job->unique) ? NGX_OK : NGX_ERROR;
}
