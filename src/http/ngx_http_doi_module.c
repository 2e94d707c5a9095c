/*
 * Directives, configuration and the module itself.  docs/directives.md is the
 * reference for users.
 */

#include "ngx_http_doi.h"


static ngx_int_t ngx_http_doi_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_doi_postconfiguration(ngx_conf_t *cf);
static void *ngx_http_doi_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_doi_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_doi_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_doi_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_doi_check_handlers(ngx_conf_t *cf,
    ngx_http_doi_loc_conf_t *prev, ngx_http_doi_loc_conf_t *conf);
static char *ngx_http_doi_check_link(ngx_conf_t *cf,
    ngx_http_doi_loc_conf_t *conf, const char *name);
static char *ngx_http_doi_check_passed(ngx_conf_t *cf,
    ngx_http_doi_loc_conf_t *conf, const char *name);
static void *ngx_http_doi_setting(ngx_conf_t *cf, const char *name,
    char *(*set)(ngx_conf_t *cf, ngx_command_t *cmd, void *conf));
static char *ngx_http_doi_check_upstreams(ngx_conf_t *cf,
    ngx_http_doi_loc_conf_t *conf, const char *name);


static ngx_conf_enum_t  ngx_http_doi_in_doubt[] = {
    { ngx_string("keep"), 0 },
    { ngx_string("release"), 1 },
    { ngx_null_string, 0 }
};


#define NGX_HTTP_DOI_ANY                                                      \
    NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF


static ngx_command_t  ngx_http_doi_commands[] = {

    { ngx_string("doi_store"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_doi_store,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_key"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_TAKE2,
      ngx_http_doi_key,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_base_url"),
      NGX_HTTP_DOI_ANY|NGX_CONF_TAKE1,
      ngx_http_doi_base_url,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_url"),
      NGX_HTTP_DOI_ANY|NGX_CONF_TAKE2,
      ngx_http_doi_url,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_link"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE123,
      ngx_http_doi_link,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_hold"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_doi_hold,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_confirm"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_doi_confirm,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_limit"),
      NGX_HTTP_DOI_ANY|NGX_CONF_TAKE123,
      ngx_http_doi_limit,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_mail"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_http_doi_mail,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_webhook"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_http_doi_webhook,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_caldav"),
      NGX_HTTP_DOI_ANY|NGX_CONF_1MORE,
      ngx_http_doi_caldav,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_feed"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_doi_feed,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_success"),
      NGX_HTTP_DOI_ANY|NGX_CONF_1MORE,
      ngx_http_doi_success,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_release"),
      NGX_HTTP_DOI_ANY|NGX_CONF_1MORE,
      ngx_http_doi_release,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_upstream_idempotent"),
      NGX_HTTP_DOI_ANY|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_doi_loc_conf_t, idempotent),
      NULL },

    { ngx_string("doi_in_doubt"),
      NGX_HTTP_DOI_ANY|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_doi_loc_conf_t, in_doubt),
      &ngx_http_doi_in_doubt },

    { ngx_string("doi_claim_timeout"),
      NGX_HTTP_DOI_ANY|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_doi_loc_conf_t, claim_timeout),
      NULL },

    { ngx_string("doi_owner"),
      NGX_HTTP_DOI_ANY|NGX_CONF_1MORE,
      ngx_http_doi_owner,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_templates"),
      NGX_HTTP_DOI_ANY|NGX_CONF_TAKE1,
      ngx_http_doi_templates,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_doi_api,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_doi_metrics,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_doi_module_ctx = {
    ngx_http_doi_preconfiguration,         /* preconfiguration */
    ngx_http_doi_postconfiguration,        /* postconfiguration */

    ngx_http_doi_create_main_conf,         /* create main configuration */
    ngx_http_doi_init_main_conf,           /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_doi_create_loc_conf,          /* create location configuration */
    ngx_http_doi_merge_loc_conf            /* merge location configuration */
};


ngx_module_t  ngx_http_doi_module = {
    NGX_MODULE_V1,
    &ngx_http_doi_module_ctx,              /* module context */
    ngx_http_doi_commands,                 /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_doi_init_process,             /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_doi_exit_process,             /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_str_t  ngx_http_doi_upstream_modules[] = {
    ngx_string("ngx_http_proxy_module"),
    ngx_string("ngx_http_fastcgi_module"),
    ngx_string("ngx_http_uwsgi_module"),
    ngx_string("ngx_http_scgi_module"),
    ngx_string("ngx_http_grpc_module"),
    ngx_null_string
};


static ngx_int_t
ngx_http_doi_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_doi_add_variables(cf);
}


static ngx_int_t
ngx_http_doi_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h, *first;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    /*
     * The handler that was pushed first runs last.  A link is to be claimed
     * only after every other access check let the request pass, so ours goes
     * to the front.
     */

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    first = cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers.elts;

    ngx_memmove(first + 1, first, (u_char *) h - (u_char *) first);

    *first = ngx_http_doi_link_handler;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_REWRITE_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_doi_rewrite_handler;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_doi_log_handler;

    return ngx_http_doi_settle_init(cf);
}


static ngx_int_t
ngx_http_doi_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t           *pool;
    ngx_http_doi_main_conf_t  *mcf;

    mcf = zone->data;

    if (data) {
        /* a reload: the counters go on */
        mcf->stats = ((ngx_http_doi_main_conf_t *) data)->stats;
        return NGX_OK;
    }

    pool = (ngx_slab_pool_t *) zone->shm.addr;

    if (zone->shm.exists) {
        mcf->stats = pool->data;
        return NGX_OK;
    }

    mcf->stats = ngx_slab_calloc(pool, sizeof(ngx_http_doi_stats_t));
    if (mcf->stats == NULL) {
        return NGX_ERROR;
    }

    pool->data = mcf->stats;

    return NGX_OK;
}


static void *
ngx_http_doi_create_main_conf(ngx_conf_t *cf)
{
    ngx_uint_t                 i, n;
    ngx_str_t                 *name;
    ngx_http_doi_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_doi_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    for (name = ngx_http_doi_upstream_modules; name->len; name++) {
        for (i = 0; cf->cycle->modules[i]; i++) {

            if (ngx_strcmp(cf->cycle->modules[i]->name, name->data) == 0) {
                n = mcf->nupstreams++;
                mcf->upstream[n] = cf->cycle->modules[i]->ctx_index;
                break;
            }
        }
    }

    return mcf;
}


static char *
ngx_http_doi_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_doi_main_conf_t *mcf = conf;

    ngx_str_t  name = ngx_string("doi_stats");

    if (mcf->store.len == 0) {
        return NGX_CONF_OK;
    }

    mcf->zone = ngx_shared_memory_add(cf, &name, 8 * ngx_pagesize,
                                      &ngx_http_doi_module);
    if (mcf->zone == NULL) {
        return NGX_CONF_ERROR;
    }

    mcf->zone->init = ngx_http_doi_init_zone;
    mcf->zone->data = mcf;

    return ngx_http_doi_store_lock(cf, mcf);
}


static void *
ngx_http_doi_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_doi_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_doi_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->ring = NULL;
     *     conf->url = { NULL };
     *     conf->success_header = { 0, NULL };
     *     conf->success_value = { 0, NULL };
     *     conf->invalid = NULL;
     *     conf->templates = { 0, NULL };
     *     conf->feed = NULL;
     *     conf->api = 0;
     *     conf->metrics = 0;
     */

    conf->base_url = NULL;
    conf->link = NGX_CONF_UNSET_PTR;
    conf->hold = NGX_CONF_UNSET_PTR;
    conf->confirm = NGX_CONF_UNSET_PTR;
    conf->limits = NGX_CONF_UNSET_PTR;
    conf->caldav = NGX_CONF_UNSET_PTR;
    conf->success = NGX_CONF_UNSET_PTR;
    conf->release = NGX_CONF_UNSET_PTR;
    conf->idempotent = NGX_CONF_UNSET;
    conf->in_doubt = NGX_CONF_UNSET_UINT;
    conf->claim_timeout = NGX_CONF_UNSET;
    conf->owner = NGX_CONF_UNSET_PTR;
    conf->pages = NGX_CONF_UNSET_PTR;

    return conf;
}


static char *
ngx_http_doi_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_doi_loc_conf_t *prev = parent;
    ngx_http_doi_loc_conf_t *conf = child;

    char                      *rv;
    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_doi_main_conf_t  *mcf;

    if (conf->ring == NULL) {
        conf->ring = prev->ring;
    }

    if (conf->base_url == NULL) {
        conf->base_url = prev->base_url;
    }

    for (i = 0; i <= DOI_PURPOSE_UNSUBSCRIBE; i++) {
        if (conf->url[i] == NULL) {
            conf->url[i] = prev->url[i];
        }
    }

    ngx_conf_merge_ptr_value(conf->link, prev->link, NULL);

    if (conf->success == NGX_CONF_UNSET_PTR) {
        conf->success_header = prev->success_header;
        conf->success_value = prev->success_value;
    }

    ngx_conf_merge_ptr_value(conf->success, prev->success, NULL);
    ngx_conf_merge_ptr_value(conf->release, prev->release, NULL);
    ngx_conf_merge_value(conf->idempotent, prev->idempotent, 0);
    ngx_conf_merge_uint_value(conf->in_doubt, prev->in_doubt, 0);
    ngx_conf_merge_sec_value(conf->claim_timeout, prev->claim_timeout, 300);
    ngx_conf_merge_ptr_value(conf->owner, prev->owner, NULL);

    if (conf->pages == NGX_CONF_UNSET_PTR) {

        if (prev->pages == NGX_CONF_UNSET_PTR) {
            prev->pages = ngx_http_doi_pages_create(cf);

            if (prev->pages == NULL
                || ngx_http_doi_remember_pages(cf, &prev->templates,
                                               prev->pages)
                   != NGX_OK)
            {
                return NGX_CONF_ERROR;
            }
        }

        conf->pages = prev->pages;
        conf->templates = prev->templates;
    }

    rv = ngx_http_doi_check_handlers(cf, prev, conf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_http_doi_merge_booking(cf, prev, conf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (conf->link || conf->hold || conf->confirm) {
        return ngx_http_doi_check_link(cf, conf,
                                       conf->link ? "doi_link"
                                       : conf->hold ? "doi_hold"
                                                    : "doi_confirm");
    }

    /* try_files and error_page lead from a location with doi_link to these */

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_doi_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (mcf->store.len && clcf->named) {
        return ngx_http_doi_check_upstreams(cf, conf, "doi_link");
    }

    return NGX_CONF_OK;
}


/* doi_api and doi_metrics: "if" and "limit_except" blocks take part. */

static char *
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

    if ((conf->api || conf->metrics) && mcf->store.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%s\" needs a store: put \"doi_store "
                           "/var/lib/nginx/doi;\" into the http block",
                           conf->api ? "doi_api" : "doi_metrics");
        return NGX_CONF_ERROR;
    }

    if ((conf->api & NGX_HTTP_DOI_API_MINT) && conf->ring == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"doi_api mint\" needs a key: put \"doi_key 1 "
                           "file:/etc/nginx/doi.key;\" into the http or "
                           "server block and make the file with \"openssl "
                           "rand -hex 32\"");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/*
 * A location with doi_link, doi_hold or doi_confirm (name) must not let a
 * booking slip past the module.
 */

static char *
ngx_http_doi_check_link(ngx_conf_t *cf, ngx_http_doi_loc_conf_t *conf,
    const char *name)
{
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_doi_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_doi_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (mcf->store.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%s\" needs a store: put \"doi_store "
                           "/var/lib/nginx/doi;\" into the http block", name);
        return NGX_CONF_ERROR;
    }

    if (conf->ring == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%s\" needs a key: put \"doi_key 1 "
                           "file:/etc/nginx/doi.key;\" into the http or server "
                           "block and make the file with \"openssl rand -hex "
                           "32\"", name);
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

static char *
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
