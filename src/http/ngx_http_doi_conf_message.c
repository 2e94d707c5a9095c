/*
 * Setters of the directives that say what contacts are told, and by whom:
 * doi_gateway, doi_keyword, doi_message.
 */

#include "ngx_http_doi_consent.h"


static char *ngx_http_doi_gateway_param(ngx_conf_t *cf,
    ngx_http_doi_gateway_t *gw, ngx_str_t *arg);
static char *ngx_http_doi_message_check(ngx_conf_t *cf, ngx_uint_t message,
    ngx_str_t *text);


char *
ngx_http_doi_gateway(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_main_conf_t *mcf = conf;

    int                      channel;
    char                    *rv;
    ngx_str_t               *value;
    doi_str_t                name;
    ngx_uint_t               i;
    ngx_http_doi_gateway_t  *gw;

    value = cf->args->elts;

    name.data = value[1].data;
    name.len = value[1].len;
    channel = doi_channel_by_name(name);

    if (channel != DOI_CHANNEL_SMS && channel != DOI_CHANNEL_WHATSAPP) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown channel \"%V\" of \"doi_gateway\": it is "
                           "\"sms\" or \"whatsapp\"; mails go out by "
                           "\"doi_mail\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (mcf->gateways[channel]) {
        return "stands twice for this channel";
    }

    if (cf->args->nelts < 4) {
        return "needs a channel, a provider and a URL";
    }

    gw = ngx_pcalloc(cf->pool, sizeof(ngx_http_doi_gateway_t));
    if (gw == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_doi_provider(&value[2], &gw->provider) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown provider \"%V\" of \"doi_gateway\": it is "
                           "\"twilio\", \"meta\" or \"json\"", &value[2]);
        return NGX_CONF_ERROR;
    }

    if (gw->provider == DOI_PROVIDER_META && channel == DOI_CHANNEL_SMS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"meta\" of \"doi_gateway\" sends no SMS: give "
                           "\"doi_gateway whatsapp meta ...;\"");
        return NGX_CONF_ERROR;
    }

    if (!ngx_http_doi_is_url(&value[3], "https://")
        && !ngx_http_doi_is_url(&value[3], "http://"))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"%V\" of \"doi_gateway\": give a URL that "
                           "begins with \"https://\" or \"http://\"",
                           &value[3]);
        return NGX_CONF_ERROR;
    }

    gw->url = value[3];

    for (i = 4; i < cf->args->nelts; i++) {

        rv = ngx_http_doi_gateway_param(cf, gw, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (gw->secret.len == 0) {
        return "needs \"secret_file=PATH\": Twilio's auth token, Meta's access "
               "token, or what signs your own";
    }

    if (gw->provider == DOI_PROVIDER_TWILIO
        && (gw->user.len == 0 || gw->from.len == 0))
    {
        return "of twilio needs \"user=\", the account SID, and \"from=\", "
               "your number";
    }

    mcf->gateways[channel] = gw;

    return NGX_CONF_OK;
}


static char *
ngx_http_doi_gateway_param(ngx_conf_t *cf, ngx_http_doi_gateway_t *gw,
    ngx_str_t *arg)
{
    ngx_str_t  value;

    if (gw->from.len == 0
        && ngx_http_doi_param(arg, "from=", &value) == NGX_OK
        && value.len && value.len <= doi_said_max[DOI_SAID_SENDER])
    {
        gw->from = value;
        return NGX_CONF_OK;
    }

    if (gw->user.len == 0
        && ngx_http_doi_param(arg, "user=", &value) == NGX_OK && value.len)
    {
        gw->user = value;
        return NGX_CONF_OK;
    }

    if (gw->secret.len == 0
        && ngx_http_doi_param(arg, "secret_file=", &value) == NGX_OK)
    {
        return ngx_http_doi_secret_file(cf, "doi_gateway", &value,
                                        &gw->secret);
    }

    if (gw->ca_file.len == 0
        && ngx_http_doi_param(arg, "ca_file=", &gw->ca_file) == NGX_OK
        && gw->ca_file.len)
    {
        return ngx_conf_full_name(cf->cycle, &gw->ca_file, 1) == NGX_OK
               ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    if (ngx_strcmp(arg->data, "allow=private") == 0) {
        gw->private_ok = 1;
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of \"doi_gateway\": known, "
                       "once each, are \"from=\", \"user=\", "
                       "\"secret_file=\", \"ca_file=\" and "
                       "\"allow=private\"", arg);

    return NGX_CONF_ERROR;
}


char *
ngx_http_doi_keyword(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    ngx_str_t   *value;
    doi_str_t    word;
    ngx_uint_t   i, n;
    const char  *err;

    static const struct {
        const char  *name;
        doi_says_t   says;
    } kinds[] = {
        { "confirm",   DOI_SAYS_CONFIRM },
        { "subscribe", DOI_SAYS_SUBSCRIBE },
        { "stop",      DOI_SAYS_STOP },
        { "help",      DOI_SAYS_HELP },
        { NULL,        DOI_SAYS_OTHER }
    };

    if (lcf->keywords == NGX_CONF_UNSET_PTR) {

        lcf->keywords = ngx_palloc(cf->pool, sizeof(doi_keywords_t));
        if (lcf->keywords == NULL) {
            return NGX_CONF_ERROR;
        }

        doi_keywords_init(lcf->keywords);
    }

    value = cf->args->elts;

    for (n = 0; kinds[n].name; n++) {
        if (ngx_strcmp(value[1].data, kinds[n].name) == 0) {
            break;
        }
    }

    if (kinds[n].name == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown meaning \"%V\" of \"doi_keyword\": it is "
                           "\"confirm\", \"subscribe\", \"stop\" or "
                           "\"help\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (kinds[n].says == DOI_SAYS_CONFIRM && cf->args->nelts > 3) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"doi_keyword confirm\" takes one word: \"%V\" is "
                           "one too many", &value[3]);
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        word.data = value[i].data;
        word.len = value[i].len;

        if (doi_keywords_add(lcf->keywords, kinds[n].says, word, &err)
            != DOI_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "the word \"%V\" of \"doi_keyword\" %s",
                               &value[i], err);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_doi_message(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    char        *rv;
    ngx_str_t   *value;
    ngx_uint_t   i;

    value = cf->args->elts;

    for (i = 0; i < DOI_MESSAGES; i++) {
        if (ngx_strcmp(value[1].data, doi_message_name(i)) == 0) {
            break;
        }
    }

    if (i == DOI_MESSAGES) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown message \"%V\" of \"doi_message\": it is "
                           "\"prompt\", \"reminder\", \"confirmed\", "
                           "\"opted_out\" or \"help\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (lcf->messages[i]) {
        return "is duplicate";
    }

    rv = ngx_http_doi_message_check(cf, i, &value[2]);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_doi_complex(cf, &value[2], &lcf->messages[i]);
}


/* Nobody can answer a prompt that does not say how. */

static char *
ngx_http_doi_message_check(ngx_conf_t *cf, ngx_uint_t message,
    ngx_str_t *text)
{
    u_char      *p, *last;
    size_t       left;
    ngx_uint_t   i, asks;

    static const char *const  names[] = {
        "{{keyword}}", "{{link}}", "{{owner}}"
    };

    asks = 0;
    last = text->data + text->len;

    for (p = text->data; p < last; p++) {

        left = last - p;

        if (left < 2 || p[0] != '{' || p[1] != '{') {
            continue;
        }

        for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            if (left >= ngx_strlen(names[i])
                && ngx_strncmp(p, names[i], ngx_strlen(names[i])) == 0)
            {
                break;
            }
        }

        if (i == sizeof(names) / sizeof(names[0])) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown variable in \"%V\" of "
                               "\"doi_message\": known are \"{{keyword}}\", "
                               "\"{{link}}\" and \"{{owner}}\"", text);
            return NGX_CONF_ERROR;
        }

        asks |= (i < 2);
    }

    if (!asks && (message == DOI_MESSAGE_PROMPT
                  || message == DOI_MESSAGE_REMINDER)
        && ngx_http_script_variables_count(text) == 0)
    {
        return "of a prompt or reminder has to say how to confirm: put "
               "\"{{keyword}}\" or \"{{link}}\" into the text";
    }

    return NGX_CONF_OK;
}
