/*
 * Setters and checks of the directives by which contacts opt in and out:
 * doi_inbound, doi_subscribe, doi_unsubscribe.
 */

#include "ngx_http_doi_consent.h"


/* What doi_inbound and doi_subscribe have in common. */

typedef struct {
    ngx_http_complex_value_t **list;
    ngx_uint_t                *level;
    ngx_str_t                 *country;
} ngx_http_doi_opt_conf_t;


static ngx_int_t ngx_http_doi_opt_param(ngx_conf_t *cf,
    ngx_http_doi_opt_conf_t *opt, ngx_str_t *arg);
static char *ngx_http_doi_inbound_param(ngx_conf_t *cf,
    ngx_http_doi_inbound_conf_t *in, ngx_str_t *arg);
static char *ngx_http_doi_subscribe_param(ngx_conf_t *cf,
    ngx_http_doi_subscribe_conf_t *sub, ngx_str_t *arg);
static char *ngx_http_doi_check_inbound(ngx_conf_t *cf,
    ngx_http_doi_loc_conf_t *conf);
static char *ngx_http_doi_check_subscribe(ngx_conf_t *cf,
    ngx_http_doi_loc_conf_t *conf);


static const char *const  ngx_http_doi_providers[] = {
    "twilio", "meta", "json"
};


char *
ngx_http_doi_inbound(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    char                         *rv;
    ngx_str_t                    *value;
    ngx_uint_t                    i;
    ngx_http_core_loc_conf_t     *clcf;
    ngx_http_doi_inbound_conf_t  *in;

    if (lcf->inbound != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    in = ngx_pcalloc(cf->pool, sizeof(ngx_http_doi_inbound_conf_t));
    if (in == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    if (ngx_http_doi_provider(&value[1], &in->provider) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown provider \"%V\" of \"doi_inbound\": it is "
                           "\"twilio\", \"meta\" or \"json\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        rv = ngx_http_doi_inbound_param(cf, in, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (in->secret.len == 0) {
        return "needs \"secret_file=PATH\": what signs the posts; Twilio's "
               "auth token, Meta's app secret, or one of your own";
    }

    if (in->level == 0) {
        in->level = DOI_CONSENT_SINGLE;
    }

    lcf->inbound = in;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_doi_inbound_handler;

    return NGX_CONF_OK;
}


static char *
ngx_http_doi_inbound_param(ngx_conf_t *cf, ngx_http_doi_inbound_conf_t *in,
    ngx_str_t *arg)
{
    ngx_int_t                rc;
    ngx_str_t                value;
    ngx_http_doi_opt_conf_t  opt;

    opt.list = &in->list;
    opt.level = &in->level;
    opt.country = &in->country;

    rc = ngx_http_doi_opt_param(cf, &opt, arg);
    if (rc != NGX_DECLINED) {
        return rc == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    if (ngx_http_doi_param(arg, "secret_file=", &value) == NGX_OK
        && in->secret.len == 0)
    {
        return ngx_http_doi_secret_file(cf, "doi_inbound", &value,
                                        &in->secret);
    }

    if (ngx_http_doi_param(arg, "verify_token_file=", &value) == NGX_OK
        && in->provider == DOI_PROVIDER_META && in->verify_token.len == 0)
    {
        return ngx_http_doi_secret_file(cf, "doi_inbound", &value,
                                        &in->verify_token);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of \"doi_inbound\": known, "
                       "once each, are \"secret_file=\", \"list=\", \"level=\" "
                       "single or double, \"country=\" with a country code "
                       "such as 49, and with meta \"verify_token_file=\"", arg);

    return NGX_CONF_ERROR;
}


/* NGX_DECLINED: it is none of these. */

static ngx_int_t
ngx_http_doi_opt_param(ngx_conf_t *cf, ngx_http_doi_opt_conf_t *opt,
    ngx_str_t *arg)
{
    ngx_str_t  value;

    if (ngx_http_doi_param(arg, "list=", &value) == NGX_OK
        && value.len && *opt->list == NULL)
    {
        return ngx_http_doi_complex(cf, &value, opt->list) == NGX_CONF_OK
               ? NGX_OK : NGX_ERROR;
    }

    if (*opt->level == 0 && ngx_strcmp(arg->data, "level=single") == 0) {
        *opt->level = DOI_CONSENT_SINGLE;
        return NGX_OK;
    }

    if (*opt->level == 0 && ngx_strcmp(arg->data, "level=double") == 0) {
        *opt->level = DOI_CONSENT_DOUBLE;
        return NGX_OK;
    }

    if (ngx_http_doi_param(arg, "country=", &value) == NGX_OK
        && opt->country->len == 0 && ngx_http_doi_is_country(&value))
    {
        *opt->country = value;
        return NGX_OK;
    }

    return NGX_DECLINED;
}


/* One that is assigned: a number with it is one. */

ngx_uint_t
ngx_http_doi_is_country(ngx_str_t *country)
{
    u_char      *p, number[sizeof("+999") - 1 + 7], out[DOI_PHONE_MAX];
    doi_buf_t    buf;
    doi_str_t    text, none;
    ngx_uint_t   i;
    const char  *err;

    if (country->len == 0 || country->len > 3) {
        return 0;
    }

    for (i = 0; i < country->len; i++) {
        if (country->data[i] < '0' || country->data[i] > '9') {
            return 0;
        }
    }

    p = number;
    *p++ = '+';
    p = ngx_cpymem(p, country->data, country->len);
    p = ngx_cpymem(p, "2345678", 7);

    text.data = number;
    text.len = p - number;
    none.data = NULL;
    none.len = 0;
    buf.data = out;
    buf.len = 0;
    buf.size = sizeof(out);

    return doi_phone_normalise(text, none, &buf, &err) == DOI_OK;
}


ngx_int_t
ngx_http_doi_provider(ngx_str_t *name, doi_provider_t *provider)
{
    ngx_uint_t  i;

    for (i = 0; i <= DOI_PROVIDER_JSON; i++) {
        if (ngx_strcmp(name->data, ngx_http_doi_providers[i]) == 0) {
            *provider = (doi_provider_t) i;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


char *
ngx_http_doi_subscribe(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    char                           *rv;
    ngx_str_t                      *value;
    ngx_uint_t                      i;
    ngx_http_doi_subscribe_conf_t  *sub;

    if (lcf->subscribe != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    sub = ngx_pcalloc(cf->pool, sizeof(ngx_http_doi_subscribe_conf_t));
    if (sub == NULL) {
        return NGX_CONF_ERROR;
    }

    sub->channel = DOI_CHANNELS;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        rv = ngx_http_doi_subscribe_param(cf, sub, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (sub->channel == DOI_CHANNELS || sub->address.len == 0) {
        return "needs to know your form: give \"channel=email\", sms or "
               "whatsapp, and \"address=FIELD\"";
    }

    if (sub->level == 0) {
        sub->level = DOI_CONSENT_SINGLE;
    }

    lcf->subscribe = sub;

    return NGX_CONF_OK;
}


static char *
ngx_http_doi_subscribe_param(ngx_conf_t *cf,
    ngx_http_doi_subscribe_conf_t *sub, ngx_str_t *arg)
{
    int                      channel;
    ngx_int_t                rc;
    ngx_str_t                value;
    doi_str_t                name;
    ngx_http_doi_opt_conf_t  opt;

    opt.list = &sub->list;
    opt.level = &sub->level;
    opt.country = &sub->country;

    rc = ngx_http_doi_opt_param(cf, &opt, arg);
    if (rc != NGX_DECLINED) {
        return rc == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    if (ngx_http_doi_param(arg, "channel=", &value) == NGX_OK
        && sub->channel == DOI_CHANNELS)
    {
        name.data = value.data;
        name.len = value.len;
        channel = doi_channel_by_name(name);

        if (channel >= 0) {
            sub->channel = (ngx_uint_t) channel;
            return NGX_CONF_OK;
        }
    }

    if (ngx_http_doi_param(arg, "address=", &value) == NGX_OK
        && value.len && sub->address.len == 0)
    {
        sub->address = value;
        return NGX_CONF_OK;
    }

    if (ngx_http_doi_param(arg, "person=", &value) == NGX_OK
        && value.len && sub->person.len == 0)
    {
        sub->person = value;
        return NGX_CONF_OK;
    }

    if (ngx_http_doi_param(arg, "wording=", &value) == NGX_OK
        && sub->wording == NULL)
    {
        return ngx_http_doi_complex(cf, &value, &sub->wording);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of \"doi_subscribe\": known, "
                       "once each, are \"channel=\" email, sms or whatsapp, "
                       "\"address=FIELD\", \"person=FIELD\", \"list=\", "
                       "\"level=\" single or double, \"country=\" with a "
                       "country code such as 49, and \"wording=\"", arg);

    return NGX_CONF_ERROR;
}


char *
ngx_http_doi_unsubscribe(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    char                             *rv;
    ngx_str_t                        *value, s;
    ngx_http_doi_unsubscribe_conf_t  *unsub;

    if (lcf->unsubscribe != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    unsub = ngx_pcalloc(cf->pool, sizeof(ngx_http_doi_unsubscribe_conf_t));
    if (unsub == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    if (ngx_http_script_variables_count(&value[1]) == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid token \"%V\" of \"doi_unsubscribe\": give "
                           "a variable that holds it, such as \"$arg_t\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_doi_complex(cf, &value[1], &unsub->token);

    if (rv == NGX_CONF_OK && cf->args->nelts == 3) {

        if (ngx_http_doi_param(&value[2], "scope=", &s) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" of "
                               "\"doi_unsubscribe\": known is \"scope=\"",
                               &value[2]);
            return NGX_CONF_ERROR;
        }

        rv = ngx_http_doi_complex(cf, &s, &unsub->scope);
    }

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    lcf->unsubscribe = unsub;

    return NGX_CONF_OK;
}


char *
ngx_http_doi_merge_consent(ngx_conf_t *cf, ngx_http_doi_loc_conf_t *prev,
    ngx_http_doi_loc_conf_t *conf)
{
    ngx_uint_t                 i;
    const char                *name;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_doi_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_doi_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    ngx_conf_merge_ptr_value(conf->keywords, prev->keywords, NULL);

    for (i = 0; i < DOI_MESSAGES; i++) {
        if (conf->messages[i] == NULL) {
            conf->messages[i] = prev->messages[i];
        }
    }

    /* "if" and "limit_except" blocks take part in what the location does */

    if (clcf->lmt_excpt && clcf->handler == NULL && prev->inbound) {
        clcf->handler = ngx_http_doi_inbound_handler;
    }

    ngx_conf_merge_ptr_value(conf->inbound, prev->inbound, NULL);
    ngx_conf_merge_ptr_value(conf->subscribe, prev->subscribe, NULL);
    ngx_conf_merge_ptr_value(conf->unsubscribe, prev->unsubscribe, NULL);

    name = conf->inbound ? "doi_inbound"
           : conf->subscribe ? "doi_subscribe"
           : conf->unsubscribe ? "doi_unsubscribe" : NULL;

    if (name == NULL) {
        return NGX_CONF_OK;
    }

    if ((conf->inbound != NULL) + (conf->subscribe != NULL)
        + (conf->unsubscribe != NULL) + (conf->link != NULL)
        + (conf->hold != NULL) + (conf->confirm != NULL) > 1)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%s\" needs a location of its own: put "
                           "\"doi_link\", \"doi_hold\", \"doi_confirm\", "
                           "\"doi_inbound\", \"doi_subscribe\" and "
                           "\"doi_unsubscribe\" into different ones", name);
        return NGX_CONF_ERROR;
    }

    mcf->holds = 1;
    mcf->consent = 1;

    if (ngx_http_doi_check_store(cf, name) != NGX_OK
        || ngx_http_doi_check_key(cf, conf->ring, name) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (conf->inbound) {
        return ngx_http_doi_check_inbound(cf, conf);
    }

    if (clcf->satisfy == NGX_HTTP_SATISFY_ANY) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"satisfy any\" would let requests pass by "
                           "\"%s\": use \"satisfy all\" in this location",
                           name);
        return NGX_CONF_ERROR;
    }

    return conf->subscribe ? ngx_http_doi_check_subscribe(cf, conf)
                           : NGX_CONF_OK;
}


static char *
ngx_http_doi_check_inbound(ngx_conf_t *cf, ngx_http_doi_loc_conf_t *conf)
{
    ngx_http_doi_main_conf_t     *mcf;
    ngx_http_doi_inbound_conf_t  *in;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_doi_module);
    in = conf->inbound;

    if (in->provider == DOI_PROVIDER_TWILIO) {

        if (conf->base_url) {
            return NGX_CONF_OK;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"doi_inbound twilio\" has to know the address "
                           "that Twilio signs: give \"doi_base_url "
                           "https://www.example.org;\"");
        return NGX_CONF_ERROR;
    }

    /* only Twilio takes the prompt from the answer */

    if (in->level == DOI_CONSENT_DOUBLE
        && mcf->gateways[DOI_CHANNEL_WHATSAPP] == NULL
        && (in->provider == DOI_PROVIDER_META
            || mcf->gateways[DOI_CHANNEL_SMS] == NULL))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"doi_inbound\" with \"level=double\" sends a "
                           "prompt: give \"doi_gateway %s ...;\"",
                           in->provider == DOI_PROVIDER_META ? "whatsapp"
                                                             : "sms");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_doi_check_subscribe(ngx_conf_t *cf, ngx_http_doi_loc_conf_t *conf)
{
    ngx_http_doi_main_conf_t       *mcf;
    ngx_http_doi_subscribe_conf_t  *sub;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_doi_module);
    sub = conf->subscribe;

    if (sub->level == DOI_CONSENT_DOUBLE && sub->channel == DOI_CHANNEL_EMAIL
        && (mcf->mail == NULL || conf->base_url == NULL
            || conf->url[DOI_PURPOSE_CONFIRM] == NULL))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"doi_subscribe channel=email level=double\" sends "
                           "a mail with a link: give \"doi_mail\", "
                           "\"doi_base_url https://www.example.org;\" and "
                           "\"doi_url confirm /confirm/$doi_token;\"");
        return NGX_CONF_ERROR;
    }

    if (sub->level == DOI_CONSENT_DOUBLE && sub->channel != DOI_CHANNEL_EMAIL
        && mcf->gateways[sub->channel] == NULL)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"doi_subscribe\" with \"level=double\" sends a "
                           "message: give \"doi_gateway %s ...;\"",
                           doi_channel_name((unsigned) sub->channel));
        return NGX_CONF_ERROR;
    }

    /* it asks for less, but may be put where nothing can be sent */

    if (sub->channel == DOI_CHANNEL_EMAIL
        ? mcf->mail == NULL || conf->base_url == NULL
          || conf->url[DOI_PURPOSE_CONFIRM] == NULL
        : mcf->gateways[sub->channel] == NULL)
    {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"doi_subscribe\" cannot ask anybody to confirm, "
                           "so who has opted out cannot come back by this "
                           "form: %s",
                           sub->channel == DOI_CHANNEL_EMAIL
                           ? "give \"doi_mail\", \"doi_base_url\" and "
                             "\"doi_url confirm\""
                           : "give a \"doi_gateway\"");
    }

    return ngx_http_doi_default_limits(cf, conf);
}
