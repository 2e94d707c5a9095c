/*
 * Setters and checks of doi_consent, doi_optout_scope, doi_evidence and
 * doi_sync.
 */

#include "ngx_http_doi_consent.h"


#define NGX_HTTP_DOI_SECRET_FILE  4096  /* bytes of a secret's file          */
#define NGX_HTTP_DOI_SYNCS        16
#define NGX_HTTP_DOI_SYNC_DIGITS  18    /* of a number of HubSpot's          */


static char *ngx_http_doi_gate_param(ngx_conf_t *cf,
    ngx_http_doi_gate_conf_t *gate, ngx_str_t *arg);
static char *ngx_http_doi_gate_to(ngx_conf_t *cf,
    ngx_http_doi_gate_conf_t *gate, ngx_str_t *value);
static char *ngx_http_doi_gate_since(ngx_conf_t *cf,
    ngx_http_doi_gate_conf_t *gate, ngx_str_t *value);
static char *ngx_http_doi_gate_country(ngx_conf_t *cf,
    ngx_http_doi_gate_conf_t *gate, ngx_str_t *value);
static char *ngx_http_doi_sync_param(ngx_conf_t *cf,
    ngx_http_doi_sync_t *sync, ngx_str_t *arg);
static char *ngx_http_doi_sync_secret(ngx_conf_t *cf,
    ngx_http_doi_sync_t *sync, ngx_str_t *path);
static char *ngx_http_doi_sync_list(ngx_conf_t *cf, ngx_http_doi_sync_t *sync,
    ngx_str_t *value);


char *
ngx_http_doi_consent(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    char                      *rv;
    ngx_str_t                 *value;
    ngx_uint_t                 i;
    ngx_http_doi_gate_conf_t  *gate;
    ngx_http_doi_main_conf_t  *mcf;

    if (lcf->gate != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        lcf->gate = NULL;
        return NGX_CONF_OK;
    }

    gate = ngx_pcalloc(cf->pool, sizeof(ngx_http_doi_gate_conf_t));
    if (gate == NULL) {
        return NGX_CONF_ERROR;
    }

    gate->channel = NGX_CONF_UNSET_UINT;

    if (ngx_strcmp(value[1].data, "single") == 0) {
        gate->level = DOI_CONSENT_SINGLE;

    } else if (ngx_strcmp(value[1].data, "double") == 0) {
        gate->level = DOI_CONSENT_DOUBLE;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid level \"%V\" of \"doi_consent\": known are "
                           "\"single\", \"double\" and \"off\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        rv = ngx_http_doi_gate_param(cf, gate, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if ((gate->address == NULL) == (gate->to == NULL)) {
        return "needs either \"address=VALUE\" or \"to=FIELD\"";
    }

    if (gate->channel == NGX_CONF_UNSET_UINT) {
        return "needs \"channel=email\", \"channel=sms\" or "
               "\"channel=whatsapp\"";
    }

    if (gate->since && gate->level != DOI_CONSENT_DOUBLE) {
        return "has \"since=\", which means something with \"double\" only";
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_doi_module);
    mcf->consent = 1;
    mcf->holds = 1;

    lcf->gate = gate;

    return NGX_CONF_OK;
}


static char *
ngx_http_doi_gate_param(ngx_conf_t *cf, ngx_http_doi_gate_conf_t *gate,
    ngx_str_t *arg)
{
    int        channel;
    doi_str_t  name;
    ngx_str_t  value;

    if (gate->address == NULL
        && ngx_http_doi_param(arg, "address=", &value) == NGX_OK && value.len)
    {
        return ngx_http_doi_complex(cf, &value, &gate->address);
    }

    if (ngx_http_doi_param(arg, "to=", &value) == NGX_OK && value.len) {
        return ngx_http_doi_gate_to(cf, gate, &value);
    }

    if (gate->channel == NGX_CONF_UNSET_UINT
        && ngx_http_doi_param(arg, "channel=", &value) == NGX_OK)
    {
        name.data = value.data;
        name.len = value.len;
        channel = doi_channel_by_name(name);

        if (channel != -1) {
            gate->channel = channel;
            return NGX_CONF_OK;
        }
    }

    if (gate->list == NULL
        && ngx_http_doi_param(arg, "list=", &value) == NGX_OK && value.len)
    {
        return ngx_http_doi_complex(cf, &value, &gate->list);
    }

    if (gate->since == 0
        && ngx_http_doi_param(arg, "since=", &value) == NGX_OK)
    {
        return ngx_http_doi_gate_since(cf, gate, &value);
    }

    if (gate->country.len == 0
        && ngx_http_doi_param(arg, "country=", &value) == NGX_OK)
    {
        return ngx_http_doi_gate_country(cf, gate, &value);
    }

    if (!gate->learn && ngx_strcmp(arg->data, "learn=twilio") == 0) {
        gate->learn = 1;
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of \"doi_consent\": known are "
                       "\"address=\", \"to=\", \"channel=\" (email, sms, "
                       "whatsapp), \"list=\", \"since=\", \"country=\" and "
                       "\"learn=twilio\"", arg);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_doi_gate_to(ngx_conf_t *cf, ngx_http_doi_gate_conf_t *gate,
    ngx_str_t *value)
{
    ngx_str_t  *to;

    if (gate->to == NULL) {
        gate->to = ngx_array_create(cf->pool, 1, sizeof(ngx_str_t));
        if (gate->to == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    to = ngx_array_push(gate->to);
    if (to == NULL) {
        return NGX_CONF_ERROR;
    }

    *to = *value;

    return NGX_CONF_OK;
}


/* "2026-03-14": the begin of that day, UTC. */

static char *
ngx_http_doi_gate_since(ngx_conf_t *cf, ngx_http_doi_gate_conf_t *gate,
    ngx_str_t *value)
{
    time_t     t;
    ngx_int_t  year, month, day;
    struct tm  tm;

    if (value->len != 10 || value->data[4] != '-' || value->data[7] != '-') {
        goto invalid;
    }

    year = ngx_atoi(value->data, 4);
    month = ngx_atoi(value->data + 5, 2);
    day = ngx_atoi(value->data + 8, 2);

    if (year < 1970 || year > 2105 || month < 1 || month > 12 || day < 1
        || day > 31)
    {
        goto invalid;
    }

    ngx_memzero(&tm, sizeof(struct tm));

    tm.tm_year = (int) year - 1900;
    tm.tm_mon = (int) month - 1;
    tm.tm_mday = (int) day;

    t = timegm(&tm);

    /* the 31st of February */

    if (t <= 0 || tm.tm_mday != (int) day) {
        goto invalid;
    }

    gate->since = (doi_time_t) t;

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid \"since=%V\" of \"doi_consent\": give a date, "
                       "such as \"since=2026-03-14\"", value);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_doi_gate_country(ngx_conf_t *cf, ngx_http_doi_gate_conf_t *gate,
    ngx_str_t *value)
{
    if (!ngx_http_doi_is_country(value)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"country=%V\" of \"doi_consent\": give "
                           "the country's code, such as \"country=49\"", value);
        return NGX_CONF_ERROR;
    }

    gate->country = *value;

    return NGX_CONF_OK;
}


char *
ngx_http_doi_merge_gate(ngx_conf_t *cf, ngx_http_doi_loc_conf_t *prev,
    ngx_http_doi_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_doi_main_conf_t  *mcf;

    ngx_conf_merge_ptr_value(conf->gate, prev->gate, NULL);
    ngx_conf_merge_uint_value(conf->optout_scope, prev->optout_scope,
                              DOI_SCOPE_PERSON);
    ngx_conf_merge_uint_value(conf->evidence, prev->evidence,
                              NGX_HTTP_DOI_CLIENT_TRUNCATE);

    if (conf->gate == NULL) {
        return NGX_CONF_OK;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_doi_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (ngx_http_doi_check_store(cf, "doi_consent") != NGX_OK
        || ngx_http_doi_check_key(cf, mcf->rings, "doi_consent") != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (clcf->satisfy == NGX_HTTP_SATISFY_ANY) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"satisfy any\" would let messages pass by "
                           "\"doi_consent\": use \"satisfy all\" in this "
                           "location");
        return NGX_CONF_ERROR;
    }

    if (conf->link || conf->hold || conf->confirm || conf->inbound
        || conf->subscribe || conf->unsubscribe)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"doi_consent\" cannot stand in a location with "
                           "\"doi_link\", \"doi_hold\", \"doi_confirm\", "
                           "\"doi_inbound\", \"doi_subscribe\" or "
                           "\"doi_unsubscribe\": put \"doi_consent off;\" "
                           "there, if it is inherited");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_doi_optout_scope(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i;

    static const struct {
        const char          *name;
        doi_optout_scope_t   scope;
    } scopes[] = {
        { "person", DOI_SCOPE_PERSON },
        { "contact", DOI_SCOPE_CONTACT },
        { "list", DOI_SCOPE_LIST }
    };

    if (lcf->optout_scope != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 0; i < sizeof(scopes) / sizeof(scopes[0]); i++) {
        if (ngx_strcmp(value[1].data, scopes[i].name) == 0) {
            lcf->optout_scope = scopes[i].scope;
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" of \"doi_optout_scope\": known "
                       "are \"person\", \"contact\" and \"list\"", &value[1]);

    return NGX_CONF_ERROR;
}


char *
ngx_http_doi_evidence(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i;

    static const char  *names[] = {
        "client=truncate", "client=hash", "client=full", "client=off"
    };

    if (lcf->evidence != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (ngx_strcmp(value[1].data, names[i]) == 0) {
            lcf->evidence = i;
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of \"doi_evidence\": known "
                       "are \"client=truncate\", \"client=hash\", "
                       "\"client=full\" and \"client=off\"", &value[1]);

    return NGX_CONF_ERROR;
}


char *
ngx_http_doi_sync(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_main_conf_t *mcf = conf;

    char                 *rv;
    doi_str_t             url;
    ngx_str_t            *value;
    ngx_uint_t            i;
    ngx_http_doi_sync_t  *sync, *other;

    value = cf->args->elts;

    if (mcf->syncs == NULL) {
        mcf->syncs = ngx_array_create(cf->pool, 2,
                                      sizeof(ngx_http_doi_sync_t));
        if (mcf->syncs == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    other = mcf->syncs->elts;

    for (i = 0; i < mcf->syncs->nelts; i++) {
        if (ngx_strcmp(other[i].url.data, value[2].data) == 0) {
            return "stands twice for this URL";
        }
    }

    if (mcf->syncs->nelts == NGX_HTTP_DOI_SYNCS) {
        return "stands too often";
    }

    sync = ngx_array_push(mcf->syncs);
    if (sync == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(sync, sizeof(ngx_http_doi_sync_t));

    if (ngx_strcmp(value[1].data, "hubspot") == 0) {
        sync->crm = DOI_CRM_HUBSPOT;

    } else if (ngx_strcmp(value[1].data, "salesforce") == 0) {
        sync->crm = DOI_CRM_SALESFORCE;

    } else if (ngx_strcmp(value[1].data, "json") == 0) {
        sync->crm = DOI_CRM_JSON;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"%V\" of \"doi_sync\": known are "
                           "\"hubspot\", \"salesforce\" and \"json\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    if (!ngx_http_doi_is_url(&value[2], "https://")
        && !ngx_http_doi_is_url(&value[2], "http://"))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"%V\" of \"doi_sync\": give a URL that "
                           "begins with \"https://\" or \"http://\"",
                           &value[2]);
        return NGX_CONF_ERROR;
    }

    sync->url = value[2];

    url.data = value[2].data;
    url.len = value[2].len;

    if (doi_digest(&url, 1, sync->target, DOI_TARGET_SIZE) != DOI_OK) {
        return NGX_CONF_ERROR;
    }

    for (i = 3; i < cf->args->nelts; i++) {
        rv = ngx_http_doi_sync_param(cf, sync, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (sync->secret.len == 0) {
        return "needs \"secret_file=PATH\": the CRM's access token, or what "
               "signs your own";
    }

    if (sync->crm == DOI_CRM_HUBSPOT && sync->lists == NULL) {
        return "of hubspot needs \"list=NAME:ID\": a list, and the id of its "
               "subscription type";
    }

    mcf->consent = 1;
    mcf->holds = 1;

    return NGX_CONF_OK;
}


static char *
ngx_http_doi_sync_param(ngx_conf_t *cf, ngx_http_doi_sync_t *sync,
    ngx_str_t *arg)
{
    ngx_str_t  value;

    if (sync->secret.len == 0
        && ngx_http_doi_param(arg, "secret_file=", &value) == NGX_OK)
    {
        return ngx_http_doi_sync_secret(cf, sync, &value);
    }

    if (ngx_http_doi_param(arg, "list=", &value) == NGX_OK) {
        return ngx_http_doi_sync_list(cf, sync, &value);
    }

    if (sync->ca_file.len == 0
        && ngx_http_doi_param(arg, "ca_file=", &sync->ca_file) == NGX_OK
        && sync->ca_file.len)
    {
        return ngx_conf_full_name(cf->cycle, &sync->ca_file, 1) == NGX_OK
               ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    if (ngx_strcmp(arg->data, "allow=private") == 0) {
        sync->private_ok = 1;
        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of \"doi_sync\": known are "
                       "\"secret_file=\", \"list=NAME:ID\", \"ca_file=\" and "
                       "\"allow=private\"", arg);

    return NGX_CONF_ERROR;
}


/* One line; nothing of it is ever logged. */

static char *
ngx_http_doi_sync_secret(ngx_conf_t *cf, ngx_http_doi_sync_t *sync,
    ngx_str_t *path)
{
    char    *rv;
    size_t   i;

    rv = ngx_http_doi_secret_file(cf, "doi_sync", path, &sync->secret);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    for (i = 0; i < sync->secret.len; i++) {

        if (sync->secret.data[i] > ' ' && sync->secret.data[i] < 0x7f) {
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of \"doi_sync\" must hold one line with the "
                           "secret, of printable characters without blanks",
                           path);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_doi_sync_list(ngx_conf_t *cf, ngx_http_doi_sync_t *sync,
    ngx_str_t *value)
{
    size_t           len;
    u_char          *colon;
    ngx_uint_t       i;
    ngx_keyval_t    *kv;

    colon = ngx_strlchr(value->data, value->data + value->len, ':');

    if (colon == NULL || colon == value->data
        || colon + 1 == value->data + value->len)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"list=%V\" of \"doi_sync\": give "
                           "\"list=NAME:ID\"", value);
        return NGX_CONF_ERROR;
    }

    len = value->data + value->len - (colon + 1);

    if (sync->crm == DOI_CRM_HUBSPOT
        && (ngx_atoi(colon + 1, len) == NGX_ERROR
            || len > NGX_HTTP_DOI_SYNC_DIGITS))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"list=%V\" of \"doi_sync hubspot\": give "
                           "the number of the subscription type after the "
                           "colon", value);
        return NGX_CONF_ERROR;
    }

    if (sync->lists == NULL) {
        sync->lists = ngx_array_create(cf->pool, 2, sizeof(ngx_keyval_t));
        if (sync->lists == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    kv = sync->lists->elts;

    for (i = 0; i < sync->lists->nelts; i++) {

        if (kv[i].key.len != (size_t) (colon - value->data)
            || ngx_strncmp(kv[i].key.data, value->data, kv[i].key.len) != 0)
        {
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"list=%V\" of \"doi_sync\" names a list for the "
                           "second time: give each one once", value);
        return NGX_CONF_ERROR;
    }

    kv = ngx_array_push(sync->lists);
    if (kv == NULL) {
        return NGX_CONF_ERROR;
    }

    kv->key.data = value->data;
    kv->key.len = colon - value->data;
    kv->value.data = colon + 1;
    kv->value.len = len;

    return NGX_CONF_OK;
}
