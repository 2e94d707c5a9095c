/*
 * The JSON API: links to unsubscribe by.
 */

#include "ngx_http_doi_api_consent.h"


#define NGX_HTTP_DOI_TOKEN_TTL   7776000    /* seconds: 90 days              */
#define NGX_HTTP_DOI_TTL_MAX     157680000  /* 5 years                       */


static ngx_int_t ngx_http_doi_api_unsubscribe_done(ngx_http_doi_api_t *api,
    doi_result_t result, doi_str_t answer);


/* A link to unsubscribe by, for a mail that somebody else sends. */

ngx_int_t
ngx_http_doi_api_unsubscribe(ngx_http_doi_api_t *api)
{
    u_char                       random[8];
    u_char                      *p;
    ngx_int_t                    rc;
    ngx_str_t                    scope;
    doi_str_t                    bound;
    json_int_t                   ttl;
    doi_token_t                  token;
    const char                  *bad;
    doi_token_arg_t              head;
    ngx_http_doi_loc_conf_t     *conf;
    ngx_http_doi_api_contact_t  *call;
    u_char                       arg[sizeof(doi_token_arg_t) + 64];

    static const char  *names[] = { "list", "ttl", "scope", NULL };

    call = ngx_http_doi_api_contact_call(api, &rc);
    if (call == NULL) {
        return rc;
    }

    call->body = ngx_http_doi_api_body(api, names, &rc);
    if (call->body == NULL) {
        return rc;
    }

    conf = ngx_http_get_module_loc_conf(api->request, ngx_http_doi_module);
    bad = NULL;

    ngx_str_set(&call->list, "default");
    ngx_str_set(&scope, "");

    if (ngx_http_doi_api_text(call->body, "list", 64, &call->list) != NGX_OK
        || call->list.len == 0)
    {
        bad = "\"list\" must be a string of 1 to 64 bytes";
    }

    if (ngx_http_doi_api_text(call->body, "scope", DOI_SCOPE_KEEP, &scope)
        != NGX_OK)
    {
        bad = "\"scope\" must be a string of at most 255 bytes";
    }

    ttl = NGX_HTTP_DOI_TOKEN_TTL;

    if (ngx_http_doi_api_ttl(json_object_get(call->body, "ttl"), &ttl)
        != NGX_OK
        || ttl > NGX_HTTP_DOI_TTL_MAX)
    {
        bad = "\"ttl\" must be seconds, or a time such as \"90d\", at most 5 "
              "years";
    }

    if (conf->ring == NULL) {
        bad = "a \"doi_key\" is needed in this server";
    }

    if (bad) {
        return ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST, "field",
                                        "%s", bad);
    }

    call->scope = scope;
    call->expires = ngx_http_doi_now() + (doi_time_t) ttl;

    bound.data = scope.data;
    bound.len = scope.len;

    if (ngx_http_doi_random(random, sizeof(random)) != NGX_OK
        || doi_token_mint(conf->ring, DOI_PURPOSE_UNSUBSCRIBE, bound,
                          ngx_http_doi_now(), call->expires, random,
                          call->token, &token)
           != DOI_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&head, sizeof(doi_token_arg_t));
    ngx_memcpy(head.id, token.id, DOI_ID_SIZE);
    ngx_memcpy(head.contact, call->contact.id, DOI_CONTACT_ID);
    head.expires = call->expires;
    head.purpose = DOI_PURPOSE_UNSUBSCRIBE;
    head.list_len = (uint16_t) call->list.len;

    p = ngx_cpymem(arg, &head, sizeof(doi_token_arg_t));
    p = ngx_cpymem(p, call->list.data, call->list.len);

    return ngx_http_doi_api_submit(api, DOI_OP_CONSENT_TOKEN, arg, p - arg,
                                   ngx_http_doi_api_unsubscribe_done);
}


static ngx_int_t
ngx_http_doi_api_unsubscribe_done(ngx_http_doi_api_t *api, doi_result_t result,
    doi_str_t answer)
{
    json_t                      *json;
    ngx_int_t                    rc;
    ngx_str_t                    token, url;
    ngx_http_doi_loc_conf_t     *conf;
    ngx_http_doi_api_contact_t  *call;

    if (result == DOI_CONFLICT) {
        return ngx_http_doi_api_problem(api, NGX_HTTP_NOT_FOUND, "not_found",
                                        "this contact is not known");
    }

    call = api->data;
    conf = ngx_http_get_module_loc_conf(api->request, ngx_http_doi_module);

    token.data = call->token;
    token.len = DOI_TOKEN_CHARS;

    rc = ngx_http_doi_make_url(api->request, conf, DOI_PURPOSE_UNSUBSCRIBE,
                               &token, &call->scope, &url);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    json = json_pack("{s:s%, s:o, s:I}",
                     "token", (char *) call->token, (size_t) DOI_TOKEN_CHARS,
                     "url", rc == NGX_OK
                            ? json_stringn((char *) url.data, url.len)
                            : json_null(),
                     "expires", (json_int_t) call->expires);

    return json ? ngx_http_doi_api_json(api, NGX_HTTP_CREATED, json)
                : NGX_HTTP_INTERNAL_SERVER_ERROR;
}
