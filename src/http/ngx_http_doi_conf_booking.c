/*
 * Setters and checks of the directives for bookings with double opt-in: what
 * a location does.  Where mails and events go is in
 * ngx_http_doi_conf_courier.c.
 */

#include "ngx_http_doi.h"


static ngx_uint_t ngx_http_doi_zone_known(ngx_str_t *zone);
static char *ngx_http_doi_hold_param(ngx_conf_t *cf,
    ngx_http_doi_hold_conf_t *hold, ngx_str_t *arg);
static char *ngx_http_doi_hold_time(ngx_conf_t *cf, ngx_str_t *value,
    ngx_str_t *arg, time_t *seconds);
static char *ngx_http_doi_hold_slot(ngx_conf_t *cf,
    ngx_http_doi_hold_conf_t *hold, ngx_str_t *value);
static char *ngx_http_doi_check_hold(ngx_conf_t *cf,
    ngx_http_doi_loc_conf_t *conf);


#define NGX_HTTP_DOI_TTL_MIN  60            /* seconds */
#define NGX_HTTP_DOI_TTL_MAX  7776000       /* 90 days */


const char *const  ngx_http_doi_limit_names[NGX_HTTP_DOI_LIMITS] = {
    "recipient", "address", "network", "slot", "global"
};


/*
 * On unless the kind is configured: a stranger's mailbox must not be flooded
 * through the form, nor a calendar filled from one place.
 */

static const ngx_http_doi_limit_t  ngx_http_doi_limits[] = {
    { NGX_HTTP_DOI_LIMIT_RECIPIENT, { { 0 }, 900, 1, 1 } },
    { NGX_HTTP_DOI_LIMIT_RECIPIENT, { { 0 }, 86400, 5, 5 } },
    { NGX_HTTP_DOI_LIMIT_ADDRESS, { { 0 }, 86400, 10, 10 } },
    { NGX_HTTP_DOI_LIMIT_NETWORK, { { 0 }, 3600, 60, 20 } }
};


char *
ngx_http_doi_hold(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    char                      *rv;
    ngx_str_t                 *value;
    ngx_uint_t                 i;
    ngx_http_doi_hold_conf_t  *hold;

    if (lcf->hold != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0 && cf->args->nelts == 2) {
        lcf->hold = NULL;
        return NGX_CONF_OK;
    }

    hold = ngx_pcalloc(cf->pool, sizeof(ngx_http_doi_hold_conf_t));
    if (hold == NULL) {
        return NGX_CONF_ERROR;
    }

    hold->ttl = 86400;

    if (ngx_array_init(&hold->slot, cf->pool, 2, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        rv = ngx_http_doi_hold_param(cf, hold, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (hold->email.len == 0 || hold->slot.nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"doi_hold\" needs to know the fields of your "
                           "form: give \"email=FIELD\" and \"slot=FIELD\" or "
                           "\"slot=FIELD,FIELD\"");
        return NGX_CONF_ERROR;
    }

    if (hold->remind && hold->remind >= hold->ttl) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"remind=\" of \"doi_hold\" is a time before the "
                           "end of \"ttl=\", and must be shorter than that");
        return NGX_CONF_ERROR;
    }

    lcf->hold = hold;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_doi_param(ngx_str_t *arg, const char *name, ngx_str_t *value)
{
    size_t  len;

    len = ngx_strlen(name);

    if (arg->len < len || ngx_strncmp(arg->data, name, len) != 0) {
        return NGX_DECLINED;
    }

    value->data = arg->data + len;
    value->len = arg->len - len;

    return NGX_OK;
}


static char *
ngx_http_doi_hold_param(ngx_conf_t *cf, ngx_http_doi_hold_conf_t *hold,
    ngx_str_t *arg)
{
    ngx_str_t   value;
    ngx_uint_t  i;

    struct {
        const char                *name;
        ngx_http_complex_value_t **value;
    } values[] = {
        { "if=", &hold->cond },
        { "scope=", &hold->scope },
        { "timezone=", &hold->zone },
        { "summary=", &hold->summary }
    };

    struct {
        const char  *name;
        ngx_str_t   *field;
    } fields[] = {
        { "email=", &hold->email },
        { "name=", &hold->name },
        { "lang=", &hold->lang },
        { "tz=", &hold->tz }
    };

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {

        if (ngx_http_doi_param(arg, values[i].name, &value) == NGX_OK
            && *values[i].value == NULL)
        {
            if (values[i].value == &hold->zone
                && ngx_http_script_variables_count(&value) == 0
                && !ngx_http_doi_zone_known(&value))
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "unknown time zone in \"%V\" of "
                                   "\"doi_hold\": give a name such as "
                                   "\"Europe/Berlin\"; Debian has them in "
                                   "the package tzdata", arg);
                return NGX_CONF_ERROR;
            }

            return ngx_http_doi_complex(cf, &value, values[i].value);
        }
    }

    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {

        if (ngx_http_doi_param(arg, fields[i].name, &value) == NGX_OK
            && value.len && fields[i].field->len == 0)
        {
            *fields[i].field = value;
            return NGX_CONF_OK;
        }
    }

    if (ngx_http_doi_param(arg, "slot=", &value) == NGX_OK) {
        return ngx_http_doi_hold_slot(cf, hold, &value);
    }

    if (ngx_http_doi_param(arg, "ttl=", &value) == NGX_OK) {
        return ngx_http_doi_hold_time(cf, &value, arg, &hold->ttl);
    }

    if (ngx_http_doi_param(arg, "remind=", &value) == NGX_OK) {
        return ngx_http_doi_hold_time(cf, &value, arg, &hold->remind);
    }

    if (ngx_http_doi_param(arg, "duration=", &value) == NGX_OK) {
        return ngx_http_doi_hold_time(cf, &value, arg, &hold->duration);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of \"doi_hold\": known, once "
                       "each, are \"if=\", \"scope=\", \"ttl=\", \"remind=\", "
                       "\"duration=\", \"timezone=\", \"summary=\", and the "
                       "fields \"email=\", \"slot=\", \"name=\", \"lang=\" and "
                       "\"tz=\"", arg);
    return NGX_CONF_ERROR;
}


static ngx_uint_t
ngx_http_doi_zone_known(ngx_str_t *zone)
{
    doi_str_t  s;

    s.data = zone->data;
    s.len = zone->len;

    return doi_zone_known(s);
}


static char *
ngx_http_doi_hold_time(ngx_conf_t *cf, ngx_str_t *value, ngx_str_t *arg,
    time_t *seconds)
{
    *seconds = ngx_parse_time(value, 1);

    if (*seconds == (time_t) NGX_ERROR || *seconds < NGX_HTTP_DOI_TTL_MIN
        || *seconds > NGX_HTTP_DOI_TTL_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"%V\" of \"doi_hold\": give a time from "
                           "\"1m\" to \"90d\"", arg);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_doi_hold_slot(ngx_conf_t *cf, ngx_http_doi_hold_conf_t *hold,
    ngx_str_t *value)
{
    u_char     *p, *end, *comma;
    ngx_str_t  *field;

    if (hold->slot.nelts) {
        return "has more than one \"slot=\"";
    }

    p = value->data;
    end = p + value->len;

    for ( ;; ) {
        comma = ngx_strlchr(p, end, ',');

        field = ngx_array_push(&hold->slot);
        if (field == NULL) {
            return NGX_CONF_ERROR;
        }

        field->data = p;
        field->len = (comma ? comma : end) - p;

        if (field->len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid \"slot=%V\" of \"doi_hold\": give the "
                               "names of fields, with commas between them and "
                               "no blanks", value);
            return NGX_CONF_ERROR;
        }

        if (comma == NULL) {
            return NGX_CONF_OK;
        }

        p = comma + 1;
    }
}


char *
ngx_http_doi_confirm(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    char                         *rv;
    ngx_str_t                    *value, s;
    ngx_uint_t                    i;
    ngx_http_complex_value_t    **cv;
    ngx_http_doi_confirm_conf_t  *confirm;

    if (lcf->confirm != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0 && cf->args->nelts == 2) {
        lcf->confirm = NULL;
        return NGX_CONF_OK;
    }

    confirm = ngx_pcalloc(cf->pool, sizeof(ngx_http_doi_confirm_conf_t));
    if (confirm == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_script_variables_count(&value[1]) == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid token \"%V\" of \"doi_confirm\": give a "
                           "variable that holds it, such as \"$arg_t\", or "
                           "\"off\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_doi_complex(cf, &value[1], &confirm->token);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        cv = NULL;

        if (ngx_http_doi_param(&value[i], "scope=", &s) == NGX_OK) {
            cv = &confirm->scope;

        } else if (ngx_http_doi_param(&value[i], "start=", &s) == NGX_OK) {
            cv = &confirm->start;
        }

        if (cv && *cv == NULL) {
            rv = ngx_http_doi_complex(cf, &s, cv);
            if (rv != NGX_CONF_OK) {
                return rv;
            }

            continue;
        }

        if (ngx_strcmp(value[i].data, "answer=page") == 0) {
            confirm->upstream = 0;
            continue;
        }

        if (ngx_strcmp(value[i].data, "answer=upstream") == 0) {
            confirm->upstream = 1;
            continue;
        }

        if (ngx_strcmp(value[i].data, "code=on") == 0) {
            confirm->code = 1;
            continue;
        }

        if (ngx_strcmp(value[i].data, "code=off") == 0) {
            confirm->code = 0;
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"doi_confirm\": known "
                           "are \"scope=\", \"start=\", \"answer=page\" or "
                           "\"answer=upstream\", and \"code=on\"", &value[i]);
        return NGX_CONF_ERROR;
    }

    lcf->confirm = confirm;

    return NGX_CONF_OK;
}


char *
ngx_http_doi_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    ngx_int_t              burst;
    ngx_str_t             *value, s;
    doi_str_t              rate;
    ngx_uint_t             i, kind, off;
    const char            *err;
    ngx_http_doi_limit_t  *limit;

    value = cf->args->elts;

    for (kind = 0; kind < NGX_HTTP_DOI_LIMITS; kind++) {
        if (ngx_strcmp(value[1].data, ngx_http_doi_limit_names[kind]) == 0) {
            break;
        }
    }

    if (kind == NGX_HTTP_DOI_LIMITS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown key \"%V\" of \"doi_limit\": it is "
                           "\"recipient\", \"address\", \"network\", \"slot\" "
                           "or \"global\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (lcf->limits == NGX_CONF_UNSET_PTR) {
        lcf->limits = ngx_array_create(cf->pool, 4,
                                       sizeof(ngx_http_doi_limit_t));
        if (lcf->limits == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    limit = ngx_array_push(lcf->limits);
    if (limit == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(limit, sizeof(ngx_http_doi_limit_t));

    limit->kind = kind;
    off = (cf->args->nelts == 3 && ngx_strcmp(value[2].data, "off") == 0);

    for (i = 2; i < cf->args->nelts && !off; i++) {

        if (ngx_http_doi_param(&value[i], "rate=", &s) == NGX_OK
            && limit->limit.count == 0)
        {
            rate.data = s.data;
            rate.len = s.len;

            if (doi_limit_parse(rate, &limit->limit.count,
                                &limit->limit.period, &err)
                != DOI_OK)
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid \"%V\" of \"doi_limit\": %s; give "
                                   "a rate such as \"rate=5/d\" or "
                                   "\"rate=1/15m\"", &value[i], err);
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_http_doi_param(&value[i], "burst=", &s) == NGX_OK
            && limit->limit.burst == 0)
        {
            burst = ngx_atoi(s.data, s.len);

            if (burst > 0 && burst <= DOI_LIMIT_COUNT_MAX) {
                limit->limit.burst = (uint16_t) burst;
                continue;
            }
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"doi_limit\": known "
                           "are \"rate=\" and \"burst=\", a number up to %d, "
                           "or \"off\"", &value[i], DOI_LIMIT_COUNT_MAX);
        return NGX_CONF_ERROR;
    }

    if (!off && limit->limit.count == 0) {
        return "needs \"rate=\" or \"off\"";
    }

    if (limit->limit.burst == 0 || limit->limit.burst > limit->limit.count) {
        limit->limit.burst = limit->limit.count;
    }

    if (lcf->limits->nelts + sizeof(ngx_http_doi_limits)
                             / sizeof(ngx_http_doi_limits[0])
        > DOI_LIMITS_MAX)
    {
        return "stands here too often";
    }

    return NGX_CONF_OK;
}


char *
ngx_http_doi_feed(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    char                      *rv;
    ngx_str_t                 *value, s;
    ngx_http_core_loc_conf_t  *clcf;

    if (lcf->feed) {
        return "is duplicate";
    }

    value = cf->args->elts;
    ngx_str_null(&s);

    if (cf->args->nelts == 2
        && ngx_http_doi_param(&value[1], "scope=", &s) != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"doi_feed\": known is "
                           "\"scope=\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_doi_complex(cf, &s, &lcf->feed);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_doi_feed_handler;

    return NGX_CONF_OK;
}


char *
ngx_http_doi_merge_booking(ngx_conf_t *cf, ngx_http_doi_loc_conf_t *prev,
    ngx_http_doi_loc_conf_t *conf)
{
    ngx_http_doi_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_doi_module);

    ngx_conf_merge_ptr_value(conf->hold, prev->hold, NULL);
    ngx_conf_merge_ptr_value(conf->confirm, prev->confirm, NULL);
    ngx_conf_merge_ptr_value(conf->limits, prev->limits, NULL);
    ngx_conf_merge_ptr_value(conf->caldav, prev->caldav, NULL);

    if ((conf->link != NULL) + (conf->hold != NULL) + (conf->confirm != NULL)
        > 1)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"doi_link\", \"doi_hold\" and \"doi_confirm\" "
                           "need a location each: put them into different "
                           "ones");
        return NGX_CONF_ERROR;
    }

    if (conf->hold || conf->confirm || conf->api || conf->feed) {
        mcf->holds = 1;
    }

    if (conf->feed && ngx_http_doi_check_store(cf, "doi_feed") != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return conf->hold ? ngx_http_doi_check_hold(cf, conf) : NGX_CONF_OK;
}


static char *
ngx_http_doi_check_hold(ngx_conf_t *cf, ngx_http_doi_loc_conf_t *conf)
{
    ngx_http_doi_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_doi_module);

    if (mcf->mail == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"doi_hold\" sends mail: put \"doi_mail "
                           "smtp://localhost from=bookings@example.org;\" into "
                           "the http block, or for trying it out \"doi_mail "
                           "maildir:/var/lib/nginx/mail from=...;\"");
        return NGX_CONF_ERROR;
    }

    if (conf->base_url == NULL || conf->url[DOI_PURPOSE_CONFIRM] == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"doi_hold\" has to know the address of its links: "
                           "give \"doi_base_url https://book.example.org;\" "
                           "and \"doi_url confirm /confirm/$doi_token;\"");
        return NGX_CONF_ERROR;
    }

    return ngx_http_doi_default_limits(cf, conf);
}


/* The limits of this location: what is configured, and the defaults of those
   kinds that are not. */

char *
ngx_http_doi_default_limits(ngx_conf_t *cf, ngx_http_doi_loc_conf_t *conf)
{
    ngx_uint_t             i, given;
    ngx_array_t           *limits;
    ngx_http_doi_limit_t  *limit, *own;

    limits = ngx_array_create(cf->pool, DOI_LIMITS_MAX,
                              sizeof(ngx_http_doi_limit_t));
    if (limits == NULL) {
        return NGX_CONF_ERROR;
    }

    given = 0;
    own = conf->limits ? conf->limits->elts : NULL;

    for (i = 0; own && i < conf->limits->nelts; i++) {

        given |= (ngx_uint_t) 1 << own[i].kind;

        if (own[i].limit.count == 0) {
            continue;
        }

        limit = ngx_array_push(limits);
        if (limit == NULL) {
            return NGX_CONF_ERROR;
        }

        *limit = own[i];
    }

    for (i = 0; i < sizeof(ngx_http_doi_limits)
                    / sizeof(ngx_http_doi_limits[0]); i++)
    {
        if (given & ((ngx_uint_t) 1 << ngx_http_doi_limits[i].kind)) {
            continue;
        }

        limit = ngx_array_push(limits);
        if (limit == NULL) {
            return NGX_CONF_ERROR;
        }

        *limit = ngx_http_doi_limits[i];
    }

    conf->limits = limits;

    return NGX_CONF_OK;
}
