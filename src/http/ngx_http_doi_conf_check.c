/*
 * Checks of a location's configuration: what would let a booking slip past the
 * module, or go to an upstream twice, fails nginx -t.
 */

#include "ngx_http_doi.h"


static char *ngx_http_doi_check_passed(ngx_conf_t *cf,
    ngx_http_doi_loc_conf_t *conf, const char *name);
static void *ngx_http_doi_setting(ngx_conf_t *cf, const char *name,
    char *(*set)(ngx_conf_t *cf, ngx_command_t *cmd, void *conf));


/* doi_api and doi_metrics: "if" and "limit_except" blocks take part. */

char *
ngx_http_doi_check_handlers(ngx_conf_t *cf, ngx_http_doi_loc_conf_t *prev,
    ngx_http_doi_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_doi_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_doi_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname && conf->api == 0) {
        conf->api = prev->api;
    }

    if (clcf->lmt_excpt && clcf->handler == NULL) {

        if (prev->api) {
            clcf->handler = ngx_http_doi_api_handler;

        } else if (prev->metrics) {
            clcf->handler = ngx_http_doi_metrics_handler;
        }
    }

    if ((conf->api || conf->metrics)
        && ngx_http_doi_check_store(cf, conf->api ? "doi_api" : "doi_metrics")
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if ((conf->api & NGX_HTTP_DOI_API_MINT)
        && ngx_http_doi_check_key(cf, conf->ring, "doi_api mint") != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (conf->api & NGX_HTTP_DOI_API_CONSENT) {

        if (ngx_http_doi_check_key(cf, mcf->rings, "doi_api consent")
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

        /* who seals the ledger may be another process than is asked */

        mcf->consent = 1;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_doi_check_store(ngx_conf_t *cf, const char *name)
{
    ngx_http_doi_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_doi_module);

    if (mcf->store.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%s\" needs a store: put \"doi_store "
                           "/var/lib/nginx/doi;\" into the http block", name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_doi_check_key(ngx_conf_t *cf, const void *rings, const char *name)
{
    if (rings == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%s\" needs a key: put \"doi_key 1 "
                           "file:/etc/nginx/doi.key;\" into the http or server "
                           "block and make the file with \"openssl rand -hex "
                           "32\"", name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * A location with doi_link, doi_hold or doi_confirm (name) must not let a
 * booking slip past the module.
 */

char *
ngx_http_doi_check_link(ngx_conf_t *cf, ngx_http_doi_loc_conf_t *conf,
    const char *name)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (ngx_http_doi_check_store(cf, name) != NGX_OK
        || ngx_http_doi_check_key(cf, conf->ring, name) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (conf->claim_timeout == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"doi_claim_timeout\" must be at least one second");
        return NGX_CONF_ERROR;
    }

    if (clcf->satisfy == NGX_HTTP_SATISFY_ANY) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"satisfy any\" would let requests pass by "
                           "\"%s\": use \"satisfy all\" in this location",
                           name);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_doi_page_prepare(cf, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_doi_check_passed(cf, conf, name) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    return conf->hold ? NGX_CONF_OK
                      : ngx_http_doi_check_upstreams(cf, conf, name);
}


/*
 * What goes to the upstream must be what was judged: not a look that was made
 * a booking of, nor a booking without what is booked.
 */

static char *
ngx_http_doi_check_passed(ngx_conf_t *cf, ngx_http_doi_loc_conf_t *conf,
    const char *name)
{
    ngx_str_t                 *body;
    ngx_uint_t                 i;
    ngx_http_conf_ctx_t       *ctx;
    ngx_http_complex_value_t **method;
    ngx_http_upstream_conf_t  *ucf;
    ngx_http_doi_main_conf_t  *mcf;

    method = ngx_http_doi_setting(cf, "proxy_method",
                                  ngx_http_set_complex_value_slot);

    if (method && *method && *method != NGX_CONF_UNSET_PTR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"proxy_method\" would make another request of "
                           "the one that \"%s\" let pass: remove it from this "
                           "location", name);
        return NGX_CONF_ERROR;
    }

    if (conf->confirm == NULL) {
        return NGX_CONF_OK;
    }

    body = ngx_http_doi_setting(cf, "proxy_set_body", ngx_conf_set_str_slot);

    if (body && body->data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"proxy_set_body\" would take the place of the "
                           "form that \"doi_confirm\" sends: remove it from "
                           "this location");
        return NGX_CONF_ERROR;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_doi_module);
    ctx = cf->ctx;

    for (i = 0; i < mcf->nupstreams; i++) {

        ucf = ctx->loc_conf[mcf->upstream[i]];

        if (!ucf->pass_request_body || !ucf->pass_request_headers) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"proxy_pass_request_%s off\" (or its like) "
                               "would keep the form that \"doi_confirm\" sends "
                               "from the app: remove it from this location",
                               ucf->pass_request_body ? "headers" : "body");
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* What a directive of another module has set here, or NULL: it is not known,
   or not set by this function. */

static void *
ngx_http_doi_setting(ngx_conf_t *cf, const char *name,
    char *(*set)(ngx_conf_t *cf, ngx_command_t *cmd, void *conf))
{
    u_char               *conf;
    ngx_uint_t            i;
    ngx_module_t         *module;
    ngx_command_t        *cmd;
    ngx_http_conf_ctx_t  *ctx;

    ctx = cf->ctx;

    for (i = 0; cf->cycle->modules[i]; i++) {

        module = cf->cycle->modules[i];

        if (module->type != NGX_HTTP_MODULE) {
            continue;
        }

        for (cmd = module->commands; cmd && cmd->name.len; cmd++) {

            if (ngx_strcmp(cmd->name.data, name) == 0 && cmd->set == set
                && cmd->conf == NGX_HTTP_LOC_CONF_OFFSET)
            {
                conf = ctx->loc_conf[module->ctx_index];
                return conf + cmd->offset;
            }
        }
    }

    return NULL;
}


/*
 * The location configuration of each of these modules starts with an
 * ngx_http_upstream_conf_t.  They are merged already: static modules come
 * before dynamic ones.
 */

char *
ngx_http_doi_check_upstreams(ngx_conf_t *cf, ngx_http_doi_loc_conf_t *conf,
    const char *name)
{
    ngx_uint_t                 i, slow;
    ngx_http_conf_ctx_t       *ctx;
    ngx_http_upstream_conf_t  *ucf;
    ngx_http_doi_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_doi_module);
    ctx = cf->ctx;
    slow = 0;

    for (i = 0; i < mcf->nupstreams; i++) {

        ucf = ctx->loc_conf[mcf->upstream[i]];

        if ((ucf->next_upstream & NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT)
            && !conf->idempotent)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"non_idempotent\" in \"proxy_next_upstream\" "
                               "(or its like) would let nginx send a booking "
                               "to a second server: remove it from this "
                               "location with \"%s\", or set "
                               "\"doi_upstream_idempotent on\" if the upstream "
                               "honours Idempotency-Key", name);
            return NGX_CONF_ERROR;
        }

#if (NGX_HTTP_CACHE)
        if (ucf->cache && (ucf->cache_methods & NGX_HTTP_POST)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"proxy_cache_methods POST\" (or its like) "
                               "would answer a booking from the cache: remove "
                               "it from this location with \"%s\"", name);
            return NGX_CONF_ERROR;
        }
#endif

        if (conf->idempotent && !ucf->pass_request_headers) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"proxy_pass_request_headers off\" (or its "
                               "like) would keep Idempotency-Key from the "
                               "upstream: remove it, or "
                               "\"doi_upstream_idempotent on\"");
            return NGX_CONF_ERROR;
        }

        if (conf->in_doubt && ucf->upstream
            && (ngx_msec_t) conf->claim_timeout * 1000
               < ucf->connect_timeout + ucf->send_timeout + ucf->read_timeout)
        {
            slow = 1;
        }

        /*
         * A visitor who hangs up must not cut off an upstream that is about
         * to book: what it did would not be known.
         */

        ucf->ignore_client_abort = 1;
    }

    if (slow) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"doi_in_doubt release\" with a "
                           "\"doi_claim_timeout\" shorter than the timeouts "
                           "of the upstream frees links while they are being "
                           "booked: raise \"doi_claim_timeout\"");
    }

    return NGX_CONF_OK;
}
