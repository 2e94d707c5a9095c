/*
 * The JSON API: minting links.
 *
 * Minting many links goes in batches, each a transaction of its own; between
 * them the event loop serves others.  No token is shown before every record is
 * durable.
 */

#include "ngx_http_doi_api.h"


#define NGX_HTTP_DOI_TTL        604800  /* seconds: a week */
#define NGX_HTTP_DOI_COUNT_MAX  10000


/* A mint call that is under way. */

typedef struct {
    ngx_str_t       scope;
    ngx_str_t       meta;
    doi_time_t      minted;
    doi_time_t      expires;
    ngx_uint_t      uses;
    ngx_uint_t      count;
    ngx_uint_t      done;           /* minted in earlier batches             */
    ngx_uint_t      batch;          /* in the batch that is under way        */
    unsigned        many:1;         /* answered as a list                    */
    u_char          ids[DOI_MINT_BATCH][DOI_ID_SIZE];
    u_char          tokens[DOI_MINT_BATCH][DOI_TOKEN_CHARS];
    ngx_chain_t    *out;
    ngx_chain_t   **last_out;
    off_t           len;
} ngx_http_doi_mint_t;


static ngx_int_t ngx_http_doi_mint_fields(ngx_http_doi_api_t *api,
    ngx_http_doi_mint_t *mint, json_t *body);
static ngx_int_t ngx_http_doi_mint_ttl(ngx_http_doi_mint_t *mint,
    json_t *value);
static ngx_int_t ngx_http_doi_mint_batch(ngx_http_doi_api_t *api);
static ngx_int_t ngx_http_doi_mint_done(ngx_http_doi_api_t *api,
    doi_result_t result, doi_str_t answer);
static ngx_int_t ngx_http_doi_mint_link(ngx_http_doi_api_t *api,
    ngx_http_doi_mint_t *mint, ngx_uint_t i);
static ngx_int_t ngx_http_doi_mint_out(ngx_http_doi_api_t *api,
    ngx_http_doi_mint_t *mint, void *data, size_t len);


ngx_int_t
ngx_http_doi_api_mint(ngx_http_doi_api_t *api)
{
    json_t               *body;
    ngx_int_t             rc;
    ngx_http_doi_mint_t  *mint;

    static const char  *names[] = { "scope", "ttl", "uses", "count", "meta",
                                    NULL };

    body = ngx_http_doi_api_body(api, names, &rc);
    if (body == NULL) {
        return rc;
    }

    mint = ngx_pcalloc(api->request->pool, sizeof(ngx_http_doi_mint_t));
    if (mint == NULL) {
        json_decref(body);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    api->data = mint;
    mint->last_out = &mint->out;
    ngx_str_set(&mint->scope, "");
    ngx_str_set(&mint->meta, "");
    mint->minted = ngx_http_doi_now();

    rc = ngx_http_doi_mint_fields(api, mint, body);

    json_decref(body);

    return (rc == NGX_DECLINED) ? ngx_http_doi_mint_batch(api) : rc;
}


/* NGX_DECLINED: go on, else the problem was answered. */

static ngx_int_t
ngx_http_doi_mint_fields(ngx_http_doi_api_t *api, ngx_http_doi_mint_t *mint,
    json_t *body)
{
    size_t       len;
    json_t      *value;
    const char  *bad;

    value = json_object_get(body, "scope");

    if (value) {
        len = json_string_length(value);

        if (!json_is_string(value) || len > DOI_SCOPE_KEEP
            || memchr(json_string_value(value), '\0', len))
        {
            bad = "\"scope\" must be a string of at most 255 bytes";
            goto failed;
        }

        mint->scope.len = len;
        mint->scope.data = ngx_pnalloc(api->request->pool, len + 1);
        if (mint->scope.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_memcpy(mint->scope.data, json_string_value(value), len);
    }

    if (ngx_http_doi_mint_ttl(mint, json_object_get(body, "ttl")) != NGX_OK) {
        bad = "\"ttl\" must be seconds, or a time such as \"36h\" or \"14d\", "
              "that ends before the year 2106";
        goto failed;
    }

    mint->uses = 1;
    value = json_object_get(body, "uses");

    if (value) {
        if (!json_is_integer(value) || json_integer_value(value) < 1
            || json_integer_value(value) > DOI_USES_MAX)
        {
            bad = "\"uses\" must be a whole number from 1 to 1000";
            goto failed;
        }

        mint->uses = json_integer_value(value);
    }

    mint->count = 1;
    value = json_object_get(body, "count");

    if (value) {
        if (!json_is_integer(value) || json_integer_value(value) < 1
            || json_integer_value(value) > NGX_HTTP_DOI_COUNT_MAX)
        {
            bad = "\"count\" must be a whole number from 1 to 10000";
            goto failed;
        }

        mint->count = json_integer_value(value);
        mint->many = (mint->count > 1);
    }

    value = json_object_get(body, "meta");

    if (value) {
        if (!json_is_object(value)
            || ngx_http_doi_api_dump(api, value, &mint->meta) != NGX_OK
            || mint->meta.len > DOI_META_MAX)
        {
            bad = "\"meta\" must be an object of at most 2048 bytes";
            goto failed;
        }
    }

    return NGX_DECLINED;

failed:

    return ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST, "field", "%s",
                                    bad);
}


ngx_int_t
ngx_http_doi_api_ttl(json_t *value, json_int_t *ttl)
{
    ngx_str_t  text;

    if (json_is_integer(value)) {
        *ttl = json_integer_value(value);

    } else if (json_is_string(value)) {
        text.data = (u_char *) json_string_value(value);
        text.len = json_string_length(value);

        *ttl = text.len ? ngx_parse_time(&text, 1) : 0;

    } else if (value) {
        return NGX_ERROR;
    }

    return *ttl < 1 ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_http_doi_mint_ttl(ngx_http_doi_mint_t *mint, json_t *value)
{
    json_int_t  ttl;

    ttl = NGX_HTTP_DOI_TTL;

    if (ngx_http_doi_api_ttl(value, &ttl) != NGX_OK
        || ttl >= (json_int_t) (UINT32_MAX - mint->minted))
    {
        return NGX_ERROR;
    }

    mint->expires = mint->minted + (doi_time_t) ttl;

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_mint_batch(ngx_http_doi_api_t *api)
{
    u_char                   *p, *arg;
    doi_str_t                 scope;
    ngx_uint_t                i;
    doi_token_t               token;
    doi_mint_arg_t            head;
    ngx_http_doi_mint_t      *mint;
    ngx_http_doi_loc_conf_t  *conf;
    u_char                    random[8];

    mint = api->data;
    conf = ngx_http_get_module_loc_conf(api->request, ngx_http_doi_module);

    mint->batch = ngx_min(mint->count - mint->done, DOI_MINT_BATCH);

    scope.data = mint->scope.data;
    scope.len = mint->scope.len;

    for (i = 0; i < mint->batch; i++) {

        if (ngx_http_doi_random(random, sizeof(random)) != NGX_OK
            || doi_token_mint(conf->ring, DOI_PURPOSE_LINK, scope,
                              mint->minted, mint->expires, random,
                              mint->tokens[i], &token)
               != DOI_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_memcpy(mint->ids[i], token.id, DOI_ID_SIZE);
    }

    ngx_memzero(&head, sizeof(doi_mint_arg_t));

    head.expires = mint->expires;
    head.count = (uint16_t) mint->batch;
    head.uses = (uint16_t) mint->uses;
    head.scope_len = (uint16_t) mint->scope.len;
    head.meta_len = (uint16_t) mint->meta.len;
    head.actor_len = (uint16_t) api->actor.len;

    arg = ngx_palloc(api->request->pool, DOI_ARG_MAX);
    if (arg == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(arg, &head, sizeof(doi_mint_arg_t));
    p = ngx_cpymem(p, mint->ids, mint->batch * DOI_ID_SIZE);
    p = ngx_cpymem(p, mint->scope.data, mint->scope.len);
    p = ngx_cpymem(p, mint->meta.data, mint->meta.len);
    p = ngx_cpymem(p, api->actor.data, api->actor.len);

    i = ngx_http_doi_api_submit(api, DOI_OP_LINK_MINT, arg, p - arg,
                                ngx_http_doi_mint_done);

    (void) ngx_pfree(api->request->pool, arg);

    return i;
}


static ngx_int_t
ngx_http_doi_mint_done(ngx_http_doi_api_t *api, doi_result_t result,
    doi_str_t answer)
{
    ngx_uint_t                 i;
    ngx_http_doi_mint_t       *mint;
    ngx_http_doi_main_conf_t  *mcf;

    mint = api->data;

    if (result != DOI_WON) {
        /* ids of 64 random bits that exist already */
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    mcf = ngx_http_get_module_main_conf(api->request, ngx_http_doi_module);

    (void) atomic_fetch_add(&mcf->stats->minted, mint->batch);

    if (mint->many && mint->done == 0
        && ngx_http_doi_mint_out(api, mint, "{\"links\":[", 10) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0; i < mint->batch; i++) {
        if (ngx_http_doi_mint_link(api, mint, i) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    mint->done += mint->batch;

    if (mint->done < mint->count) {
        return ngx_http_doi_mint_batch(api);
    }

    if (mint->many
        && ngx_http_doi_mint_out(api, mint, "]}", 2) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_doi_api_chain(api, NGX_HTTP_CREATED, mint->out, mint->len);
}


static ngx_int_t
ngx_http_doi_mint_link(ngx_http_doi_api_t *api, ngx_http_doi_mint_t *mint,
    ngx_uint_t i)
{
    json_t                   *json;
    ngx_int_t                 rc;
    ngx_str_t                 token, url, text;
    ngx_http_doi_loc_conf_t  *conf;
    u_char                    id[DOI_ID_CHARS];

    conf = ngx_http_get_module_loc_conf(api->request, ngx_http_doi_module);

    token.data = mint->tokens[i];
    token.len = DOI_TOKEN_CHARS;

    rc = ngx_http_doi_make_url(api->request, conf, DOI_PURPOSE_LINK, &token,
                               &mint->scope, &url);
    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    doi_id_encode(mint->ids[i], id);

    json = json_pack("{s:s%, s:s%, s:o, s:I, s:i}",
                     "id", (char *) id, (size_t) DOI_ID_CHARS,
                     "token", (char *) token.data, token.len,
                     "url", (rc == NGX_OK) ? json_stringn((char *) url.data,
                                                          url.len)
                                           : json_null(),
                     "expires", (json_int_t) mint->expires,
                     "uses", (int) mint->uses);

    if (json == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_doi_api_dump(api, json, &text);

    json_decref(json);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (mint->done + i > 0
        && ngx_http_doi_mint_out(api, mint, ",", 1) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_doi_mint_out(api, mint, text.data, text.len);
}


static ngx_int_t
ngx_http_doi_mint_out(ngx_http_doi_api_t *api, ngx_http_doi_mint_t *mint,
    void *data, size_t len)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    cl = ngx_alloc_chain_link(api->request->pool);
    b = ngx_calloc_buf(api->request->pool);

    if (cl == NULL || b == NULL) {
        return NGX_ERROR;
    }

    b->pos = data;
    b->last = b->pos + len;
    b->memory = 1;

    cl->buf = b;
    cl->next = NULL;

    *mint->last_out = cl;
    mint->last_out = &cl->next;
    mint->len += len;

    return NGX_OK;
}
