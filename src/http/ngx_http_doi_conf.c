/*
 * Setters of the directives.  What is wrong is said with the name of the
 * directive and the mend, and fails nginx -t.
 */

#include "ngx_http_doi.h"


static char *ngx_http_doi_codes(ngx_conf_t *cf, ngx_array_t *codes,
    ngx_str_t *text);


char *
ngx_http_doi_base_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    ngx_str_t  *value;

    if (lcf->base_url) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].data[0] != '$'
        && ngx_strncasecmp(value[1].data, (u_char *) "http://", 7) != 0
        && ngx_strncasecmp(value[1].data, (u_char *) "https://", 8) != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"%V\" of \"doi_base_url\": give the "
                           "start of your links, such as "
                           "\"https://book.example.org\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    return ngx_http_doi_complex(cf, &value[1], &lcf->base_url);
}


char *
ngx_http_doi_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    ngx_str_t      *value;
    doi_purpose_t   purpose;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "link") == 0) {
        purpose = DOI_PURPOSE_LINK;

    } else if (ngx_strcmp(value[1].data, "confirm") == 0) {
        purpose = DOI_PURPOSE_CONFIRM;

    } else if (ngx_strcmp(value[1].data, "unsubscribe") == 0) {
        purpose = DOI_PURPOSE_UNSUBSCRIBE;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown purpose \"%V\" of \"doi_url\": it is "
                           "\"link\", \"confirm\" or \"unsubscribe\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    if (lcf->url[purpose]) {
        return "is duplicate";
    }

    if (value[2].len == 0
        || value[2].data[0] != '/'
        || (ngx_strstr(value[2].data, "$doi_token") == NULL
            && ngx_strstr(value[2].data, "${doi_token}") == NULL))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid path \"%V\" of \"doi_url\": it starts with "
                           "\"/\" and has \"$doi_token\" in it", &value[2]);
        return NGX_CONF_ERROR;
    }

    return ngx_http_doi_complex(cf, &value[2], &lcf->url[purpose]);
}


char *
ngx_http_doi_link(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    char                      *rv;
    ngx_str_t                 *value, s;
    ngx_uint_t                 i;
    ngx_http_doi_link_conf_t  *link;

    if (lcf->link != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0 && cf->args->nelts == 2) {
        lcf->link = NULL;
        return NGX_CONF_OK;
    }

    link = ngx_pcalloc(cf->pool, sizeof(ngx_http_doi_link_conf_t));
    if (link == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_strcmp(value[1].data, "cookie") != 0) {

        if (ngx_http_script_variables_count(&value[1]) == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid token \"%V\" of \"doi_link\": give a "
                               "variable that holds it, such as \"$arg_t\", "
                               "or \"cookie\" or \"off\"", &value[1]);
            return NGX_CONF_ERROR;
        }

        rv = ngx_http_doi_complex(cf, &value[1], &link->token);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "scope=", 6) == 0
            && link->scope == NULL)
        {
            s.data = value[i].data + 6;
            s.len = value[i].len - 6;

            rv = ngx_http_doi_complex(cf, &s, &link->scope);
            if (rv != NGX_CONF_OK) {
                return rv;
            }

            continue;
        }

        if (ngx_strcmp(value[i].data, "cookie=on") == 0 && link->token) {
            link->cookie = 1;
            continue;
        }

        if (ngx_strcmp(value[i].data, "cookie=off") == 0) {
            link->cookie = 0;
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"doi_link\": known "
                           "are \"scope=\" and, if the token is not from the "
                           "cookie, \"cookie=on\"", &value[i]);
        return NGX_CONF_ERROR;
    }

    lcf->link = link;

    return NGX_CONF_OK;
}


char *
ngx_http_doi_success(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    char        *rv;
    u_char      *p, *last;
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (lcf->success != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    lcf->success = ngx_array_create(cf->pool, 4, sizeof(ngx_http_doi_codes_t));
    if (lcf->success == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "header=", 7) == 0) {

            if (lcf->success_header.len) {
                return "has more than one \"header=\"";
            }

            p = value[i].data + 7;
            last = value[i].data + value[i].len;

            lcf->success_header.data = p;

            while (p < last && *p != '=') { p++; }

            lcf->success_header.len = p - lcf->success_header.data;

            if (lcf->success_header.len == 0) {
                return "has a \"header=\" without a name";
            }

            if (p < last) {
                lcf->success_value.data = p + 1;
                lcf->success_value.len = last - p - 1;

                if (lcf->success_value.len == 0) {
                    return "has an empty value after \"header=NAME=\"";
                }
            }

            continue;
        }

        rv = ngx_http_doi_codes(cf, lcf->success, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_doi_release(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    char        *rv;
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (lcf->release != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    lcf->release = ngx_array_create(cf->pool, 4, sizeof(ngx_http_doi_codes_t));
    if (lcf->release == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        rv = ngx_http_doi_codes(cf, lcf->release, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


/* "404", or "4xx" for a whole class */

static char *
ngx_http_doi_codes(ngx_conf_t *cf, ngx_array_t *codes, ngx_str_t *text)
{
    ngx_int_t              n;
    ngx_http_doi_codes_t  *code;

    code = ngx_array_push(codes);
    if (code == NULL) {
        return NGX_CONF_ERROR;
    }

    if (text->len == 3
        && text->data[0] >= '2' && text->data[0] <= '5'
        && ngx_strcmp(text->data + 1, "xx") == 0)
    {
        code->lo = (text->data[0] - '0') * 100;
        code->hi = code->lo + 99;
        return NGX_CONF_OK;
    }

    n = ngx_atoi(text->data, text->len);

    if (n < 200 || n > 599) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid status code \"%V\": give 200 to 599, or a "
                           "class such as \"2xx\"", text);
        return NGX_CONF_ERROR;
    }

    code->lo = n;
    code->hi = n;

    return NGX_CONF_OK;
}


char *
ngx_http_doi_owner(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    char                       *rv;
    ngx_str_t                  *value, s;
    ngx_uint_t                  i, k;
    ngx_http_doi_owner_t       *owner;
    ngx_http_complex_value_t  **field[4];

    static ngx_str_t  names[] = {
        ngx_string("name="),
        ngx_string("email="),
        ngx_string("phone="),
        ngx_string("url=")
    };

    if (lcf->owner != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    owner = ngx_pcalloc(cf->pool, sizeof(ngx_http_doi_owner_t));
    if (owner == NULL) {
        return NGX_CONF_ERROR;
    }

    field[0] = &owner->name;
    field[1] = &owner->email;
    field[2] = &owner->phone;
    field[3] = &owner->url;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        for (k = 0; k < 4; k++) {
            if (ngx_strncmp(value[i].data, names[k].data, names[k].len) == 0) {
                break;
            }
        }

        if (k == 4 || *field[k]) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" of \"doi_owner\": "
                               "known are \"name=\", \"email=\", \"phone=\" "
                               "and \"url=\", each once", &value[i]);
            return NGX_CONF_ERROR;
        }

        s.data = value[i].data + names[k].len;
        s.len = value[i].len - names[k].len;

        rv = ngx_http_doi_complex(cf, &s, field[k]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (owner->name == NULL || owner->email == NULL) {
        return "needs \"name=\" and \"email=\"";
    }

    lcf->owner = owner;

    return NGX_CONF_OK;
}


char *
ngx_http_doi_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    ngx_str_t                 *value;
    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;

    if (lcf->api) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "read") == 0) {
            lcf->api |= NGX_HTTP_DOI_API_READ;

        } else if (ngx_strcmp(value[i].data, "mint") == 0) {
            lcf->api |= NGX_HTTP_DOI_API_MINT;

        } else if (ngx_strcmp(value[i].data, "resolve") == 0) {
            lcf->api |= NGX_HTTP_DOI_API_RESOLVE;

        } else if (ngx_strcmp(value[i].data, "consent") == 0) {
            lcf->api |= NGX_HTTP_DOI_API_CONSENT;

        } else if (ngx_strcmp(value[i].data, "override") == 0) {
            lcf->api |= NGX_HTTP_DOI_API_OVERRIDE;

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown permission \"%V\" of \"doi_api\": "
                               "known are \"read\", \"mint\", \"resolve\", "
                               "\"consent\" and \"override\"",
                               &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->named || clcf->name.len == 0 || clcf->name.data[0] != '/'
#if (NGX_PCRE)
        || clcf->regex
#endif
        )
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"doi_api\" needs a location given by a prefix, "
                           "such as \"location /doi/api/\"");
        return NGX_CONF_ERROR;
    }

    clcf->handler = ngx_http_doi_api_handler;

    return NGX_CONF_OK;
}


char *
ngx_http_doi_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_doi_loc_conf_t *lcf = conf;

    ngx_http_core_loc_conf_t  *clcf;

    if (lcf->metrics) {
        return "is duplicate";
    }

    lcf->metrics = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_doi_metrics_handler;

    return NGX_CONF_OK;
}


char *
ngx_http_doi_complex(ngx_conf_t *cf, ngx_str_t *text,
    ngx_http_complex_value_t **value)
{
    ngx_http_compile_complex_value_t  ccv;

    *value = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (*value == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = text;
    ccv.complex_value = *value;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
