/*
 * Setters of the directives that say where mails, events and appointments go.
 */

#include "ngx_http_doi.h"


static char *ngx_http_doi_mail_url(ngx_conf_t *cf, ngx_http_doi_mail_t *mail,
    ngx_str_t *arg);
static char *ngx_http_doi_mail_param(ngx_conf_t *cf, ngx_http_doi_mail_t *mail,
    ngx_str_t *arg);
static char *ngx_http_doi_mail_from(ngx_conf_t *cf, ngx_http_doi_mail_t *mail,
    ngx_str_t *value);
static char *ngx_http_doi_webhook_param(ngx_conf_t *cf,
    ngx_http_doi_webhook_t *hook, ngx_str_t *arg);
static char *ngx_http_doi_webhook_secret(ngx_conf_t *cf,
    ngx_http_doi_webhook_t *hook, ngx_str_t *path);
static char *ngx_http_doi_webhook_events(ngx_conf_t *cf,
    ngx_http_doi_webhook_t *hook, ngx_str_t *value);
static ngx_uint_t ngx_http_doi_is_plain(ngx_str_t *text);


#define NGX_HTTP_DOI_SECRET_FILE  4096      /* bytes */


char *
ngx_http_doi_mail(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_main_conf_t *mcf = conf;

    char                 *rv;
    ngx_str_t            *value;
    ngx_uint_t            i;
    ngx_http_doi_mail_t  *mail;

    if (mcf->mail) {
        return "is duplicate";
    }

    mail = ngx_pcalloc(cf->pool, sizeof(ngx_http_doi_mail_t));
    if (mail == NULL) {
        return NGX_CONF_ERROR;
    }

    mail->starttls = DOI_TLS_TRY;
    mail->timeout = 60;

    value = cf->args->elts;

    rv = ngx_http_doi_mail_url(cf, mail, &value[1]);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        rv = ngx_http_doi_mail_param(cf, mail, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (mail->from.len == 0) {
        return "needs a sender: \"from=bookings@example.org\" or "
               "\"from=Example <bookings@example.org>\" in quotes";
    }

    if ((mail->user.len == 0) != (mail->password.len == 0)) {
        return "needs both \"user=\" and \"password_file=\", or none of them";
    }

    mcf->mail = mail;

    return NGX_CONF_OK;
}


static char *
ngx_http_doi_mail_url(ngx_conf_t *cf, ngx_http_doi_mail_t *mail,
    ngx_str_t *arg)
{
    ngx_path_t  *path;

    if (ngx_http_doi_param(arg, "maildir:", &mail->url) == NGX_OK
        && mail->url.len)
    {
        mail->maildir = 1;

        if (ngx_conf_full_name(cf->cycle, &mail->url, 0) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        /* nginx creates it, 0700, owned by the worker user */

        path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));
        if (path == NULL) {
            return NGX_CONF_ERROR;
        }

        path->name = mail->url;
        path->conf_file = cf->conf_file->file.name.data;
        path->line = cf->conf_file->line;

        return ngx_add_path(cf, &path) == NGX_OK ? NGX_CONF_OK
                                                 : NGX_CONF_ERROR;
    }

    if (ngx_http_doi_is_url(arg, "smtp://")
        || ngx_http_doi_is_url(arg, "smtps://"))
    {
        mail->url = *arg;
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid \"%V\" of \"doi_mail\": give "
                       "\"smtp://HOST[:PORT]\", \"smtps://HOST[:PORT]\" or "
                       "\"maildir:PATH\"", arg);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_doi_mail_param(ngx_conf_t *cf, ngx_http_doi_mail_t *mail,
    ngx_str_t *arg)
{
    ngx_str_t  value;

    if (ngx_http_doi_param(arg, "from=", &value) == NGX_OK) {
        return ngx_http_doi_mail_from(cf, mail, &value);
    }

    if (ngx_http_doi_param(arg, "user=", &value) == NGX_OK && value.len) {
        mail->user = value;
        return NGX_CONF_OK;
    }

    if (ngx_http_doi_param(arg, "password_file=", &value) == NGX_OK) {
        return ngx_http_doi_secret_file(cf, "doi_mail", &value,
                                        &mail->password);
    }

    if (ngx_http_doi_param(arg, "ca_file=", &mail->ca_file) == NGX_OK) {
        return ngx_conf_full_name(cf->cycle, &mail->ca_file, 1) == NGX_OK
               ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    if (ngx_http_doi_param(arg, "helo=", &value) == NGX_OK
        && ngx_http_doi_is_plain(&value))
    {
        mail->helo = value;
        return NGX_CONF_OK;
    }

    if (ngx_http_doi_param(arg, "timeout=", &value) == NGX_OK) {

        mail->timeout = ngx_parse_time(&value, 1);

        if (mail->timeout > 0 && mail->timeout <= 600) {
            return NGX_CONF_OK;
        }
    }

    if (!mail->maildir && ngx_strncmp(mail->url.data, "smtp:", 5) == 0) {

        if (ngx_strcmp(arg->data, "starttls=on") == 0) {
            mail->starttls = DOI_TLS_TRY;
            return NGX_CONF_OK;
        }

        if (ngx_strcmp(arg->data, "starttls=required") == 0) {
            mail->starttls = DOI_TLS_REQUIRED;
            return NGX_CONF_OK;
        }

        if (ngx_strcmp(arg->data, "starttls=off") == 0) {
            mail->starttls = DOI_TLS_OFF;
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of \"doi_mail\": known are "
                       "\"from=\", \"user=\", \"password_file=\", "
                       "\"ca_file=\", \"helo=\", \"timeout=\" up to 10m, and "
                       "with smtp:// \"starttls=\" on, off or required", arg);

    return NGX_CONF_ERROR;
}


/* An address, or a name with an address in angle brackets. */

static char *
ngx_http_doi_mail_from(ngx_conf_t *cf, ngx_http_doi_mail_t *mail,
    ngx_str_t *value)
{
    u_char      *open, *end;
    doi_buf_t    out;
    doi_str_t    address, name;
    const char  *err;

    if (mail->from.len) {
        return "has more than one \"from=\"";
    }

    end = value->data + value->len;
    open = ngx_strlchr(value->data, end, '<');

    address.data = value->data;
    address.len = value->len;

    if (open && end[-1] == '>') {
        address.data = open + 1;
        address.len = end - 1 - address.data;

        name.data = value->data;
        name.len = open - value->data;

        if (doi_field_clean(&name, 255, &err) != DOI_OK) {
            goto invalid;
        }

        mail->from_name.data = (u_char *) name.data;
        mail->from_name.len = name.len;
    }

    /* zero-terminated */

    out.data = ngx_pcalloc(cf->pool, DOI_EMAIL_MAX + 1);
    if (out.data == NULL) {
        return NGX_CONF_ERROR;
    }

    out.len = 0;
    out.size = DOI_EMAIL_MAX;

    if (doi_email_normalise(address, doi_idn, &out, &err) != DOI_OK) {
        goto invalid;
    }

    mail->from.data = out.data;
    mail->from.len = out.len;

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid \"from=%V\" of \"doi_mail\": the address or "
                       "name %s; give \"bookings@example.org\" or "
                       "\"Example <bookings@example.org>\"", value, err);

    return NGX_CONF_ERROR;
}


char *
ngx_http_doi_webhook(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_main_conf_t *mcf = conf;

    char                    *rv;
    doi_str_t                url;
    ngx_str_t               *value;
    ngx_uint_t               i;
    ngx_http_doi_webhook_t  *hook, *other;

    value = cf->args->elts;

    if (mcf->webhooks == NULL) {
        mcf->webhooks = ngx_array_create(cf->pool, 2,
                                         sizeof(ngx_http_doi_webhook_t));
        if (mcf->webhooks == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    if (!ngx_http_doi_is_url(&value[1], "https://")
        && !ngx_http_doi_is_url(&value[1], "http://"))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"%V\" of \"doi_webhook\": give a URL that "
                           "begins with \"https://\" or \"http://\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    other = mcf->webhooks->elts;

    for (i = 0; i < mcf->webhooks->nelts; i++) {
        if (ngx_strcmp(other[i].url.data, value[1].data) == 0) {
            return "stands twice for this URL";
        }
    }

    if (mcf->webhooks->nelts == DOI_FANOUT_MAX / 2) {
        return "stands too often";
    }

    hook = ngx_array_push(mcf->webhooks);
    if (hook == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(hook, sizeof(ngx_http_doi_webhook_t));

    hook->url = value[1];

    url.data = value[1].data;
    url.len = value[1].len;

    if (doi_digest(&url, 1, hook->target, DOI_TARGET_SIZE) != DOI_OK) {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        rv = ngx_http_doi_webhook_param(cf, hook, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (hook->secret_len == 0) {
        return "needs \"secret_file=PATH\"; make one with (printf whsec_; "
               "openssl rand -base64 32) > PATH";
    }

    if (hook->events == 0) {
        hook->events = 1 << DOI_EVENT_HELD | 1 << DOI_EVENT_CONFIRMED
                       | 1 << DOI_EVENT_RELEASED | 1 << DOI_EVENT_IN_DOUBT;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_doi_webhook_param(ngx_conf_t *cf, ngx_http_doi_webhook_t *hook,
    ngx_str_t *arg)
{
    ngx_str_t  value;

    if (ngx_http_doi_param(arg, "secret_file=", &value) == NGX_OK) {
        return ngx_http_doi_webhook_secret(cf, hook, &value);
    }

    if (ngx_http_doi_param(arg, "events=", &value) == NGX_OK) {
        return ngx_http_doi_webhook_events(cf, hook, &value);
    }

    if (ngx_http_doi_param(arg, "ca_file=", &hook->ca_file) == NGX_OK) {
        return ngx_conf_full_name(cf->cycle, &hook->ca_file, 1) == NGX_OK
               ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    if (ngx_strcmp(arg->data, "allow=private") == 0) {
        hook->private_ok = 1;
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of \"doi_webhook\": known are "
                       "\"secret_file=\", \"events=\", \"ca_file=\" and "
                       "\"allow=private\"", arg);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_doi_webhook_secret(ngx_conf_t *cf, ngx_http_doi_webhook_t *hook,
    ngx_str_t *path)
{
    char        *rv;
    doi_str_t    content;
    ngx_str_t    text;
    const char  *err;

    rv = ngx_http_doi_secret_file(cf, "doi_webhook", path, &text);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    content.data = text.data;
    content.len = text.len;

    if (doi_webhook_secret(content, hook->secret, &hook->secret_len, &err)
        != DOI_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the secret in \"%V\" of \"doi_webhook\" is not "
                           "valid: %s; make one with (printf whsec_; openssl "
                           "rand -base64 32)", path, err);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* "held,confirmed" */

static char *
ngx_http_doi_webhook_events(ngx_conf_t *cf, ngx_http_doi_webhook_t *hook,
    ngx_str_t *value)
{
    u_char            *p, *end, *comma;
    size_t             len;
    const char        *name;
    ngx_uint_t         i;

    static const ngx_uint_t  events[] = {
        DOI_EVENT_HELD, DOI_EVENT_CONFIRMED, DOI_EVENT_RELEASED,
        DOI_EVENT_IN_DOUBT
    };

    p = value->data;
    end = p + value->len;

    for ( ;; ) {
        comma = ngx_strlchr(p, end, ',');
        len = (comma ? comma : end) - p;

        for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {

            name = doi_outbox_kind_name(events[i]);

            if (len == ngx_strlen(name) && ngx_strncmp(p, name, len) == 0) {
                hook->events |= (ngx_uint_t) 1 << events[i];
                break;
            }
        }

        if (i == sizeof(events) / sizeof(events[0])) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown event in \"events=%V\" of "
                               "\"doi_webhook\": they are \"held\", "
                               "\"confirmed\", \"released\" and \"in_doubt\", "
                               "with commas between", value);
            return NGX_CONF_ERROR;
        }

        if (comma == NULL) {
            return NGX_CONF_OK;
        }

        p = comma + 1;
    }
}


char *
ngx_http_doi_caldav(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    char                       *rv;
    ngx_str_t                  *value, s;
    ngx_uint_t                  i;
    ngx_http_doi_caldav_t      *caldav, **p;
    ngx_http_doi_main_conf_t   *mcf;

    if (lcf->caldav != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0 && cf->args->nelts == 2) {
        lcf->caldav = NULL;
        return NGX_CONF_OK;
    }

    if ((!ngx_http_doi_is_url(&value[1], "https://")
         && !ngx_http_doi_is_url(&value[1], "http://"))
        || value[1].data[value[1].len - 1] != '/'
        || value[1].len > doi_booking_text_max[DOI_TEXT_CALENDAR])
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"%V\" of \"doi_caldav\": give the URL of "
                           "the calendar, which begins with \"https://\" or "
                           "\"http://\" and ends in \"/\", or \"off\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    caldav = ngx_pcalloc(cf->pool, sizeof(ngx_http_doi_caldav_t));
    if (caldav == NULL) {
        return NGX_CONF_ERROR;
    }

    caldav->url = value[1];

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_http_doi_param(&value[i], "user=", &s) == NGX_OK && s.len) {
            caldav->user = s;
            continue;
        }

        if (ngx_http_doi_param(&value[i], "password_file=", &s) == NGX_OK) {

            rv = ngx_http_doi_secret_file(cf, "doi_caldav", &s,
                                          &caldav->password);
            if (rv != NGX_CONF_OK) {
                return rv;
            }

            continue;
        }

        if (ngx_http_doi_param(&value[i], "ca_file=", &s) == NGX_OK) {

            if (ngx_conf_full_name(cf->cycle, &s, 1) != NGX_OK) {
                return NGX_CONF_ERROR;
            }

            caldav->ca_file = s;
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"doi_caldav\": known "
                           "are \"user=\", \"password_file=\" and \"ca_file=\"",
                           &value[i]);
        return NGX_CONF_ERROR;
    }

    if ((caldav->user.len == 0) != (caldav->password.len == 0)) {
        return "needs both \"user=\" and \"password_file=\", or none of them";
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_doi_module);

    if (mcf->caldavs == NULL) {
        mcf->caldavs = ngx_array_create(cf->pool, 2,
                                        sizeof(ngx_http_doi_caldav_t *));
        if (mcf->caldavs == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    p = ngx_array_push(mcf->caldavs);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    *p = caldav;
    lcf->caldav = caldav;

    return NGX_CONF_OK;
}


char *
ngx_http_doi_secret_file(ngx_conf_t *cf, const char *directive,
    ngx_str_t *path, ngx_str_t *secret)
{
    size_t           len;
    doi_str_t        content;
    ngx_file_info_t  fi;

    if (ngx_conf_full_name(cf->cycle, path, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_doi_read_file(cf, path, NGX_HTTP_DOI_SECRET_FILE, &fi,
                               &content)
        != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%s\" cannot use the file \"%V\"", directive,
                           path);
        return NGX_CONF_ERROR;
    }

    if (fi.st_mode & (S_IRWXO|S_IWGRP)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the file \"%V\" of \"%s\" can be read or written "
                           "by others: \"chmod 600 %V\", and change the secret "
                           "if somebody may have read it", path, directive,
                           path);
        return NGX_CONF_ERROR;
    }

    for (len = 0; len < content.len; len++) {
        if (content.data[len] < 0x20) {
            break;
        }
    }

    if (len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the file \"%V\" of \"%s\" is empty: its first line "
                           "is the secret", path, directive);
        return NGX_CONF_ERROR;
    }

    secret->data = ngx_pnalloc(cf->pool, len + 1);
    if (secret->data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(secret->data, content.data, len);
    secret->data[len] = '\0';
    secret->len = len;

    ngx_explicit_memzero((void *) content.data, content.len);

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_http_doi_is_url(ngx_str_t *url, const char *scheme)
{
    ngx_str_t  rest;

    return ngx_http_doi_param(url, scheme, &rest) == NGX_OK
           && ngx_http_doi_is_plain(&rest)
           && rest.data[0] != '/' && rest.data[0] != ':'
           && ngx_strlchr(rest.data, rest.data + rest.len, '@') == NULL;
}


/* Printable ASCII without blanks, not empty. */

static ngx_uint_t
ngx_http_doi_is_plain(ngx_str_t *text)
{
    size_t  i;

    for (i = 0; i < text->len; i++) {
        if (text->data[i] <= 0x20 || text->data[i] >= 0x7f) {
            return 0;
        }
    }

    return text->len != 0;
}
