/*
 * Directives, configuration and the module itself.  docs/directives.md is the
 * reference for users.
 */

#include "ngx_http_doi_consent.h"


static ngx_int_t ngx_http_doi_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_doi_postconfiguration(ngx_conf_t *cf);
static void *ngx_http_doi_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_doi_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_doi_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_doi_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);


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

    { ngx_string("doi_inbound"),
      NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_http_doi_inbound,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_gateway"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_http_doi_gateway,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_keyword"),
      NGX_HTTP_DOI_ANY|NGX_CONF_2MORE,
      ngx_http_doi_keyword,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_message"),
      NGX_HTTP_DOI_ANY|NGX_CONF_TAKE2,
      ngx_http_doi_message,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_subscribe"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_doi_subscribe,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_unsubscribe"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_doi_unsubscribe,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_consent"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_doi_consent,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_optout_scope"),
      NGX_HTTP_DOI_ANY|NGX_CONF_TAKE1,
      ngx_http_doi_optout_scope,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_evidence"),
      NGX_HTTP_DOI_ANY|NGX_CONF_TAKE1,
      ngx_http_doi_evidence,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("doi_sync"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_http_doi_sync,
      NGX_HTTP_MAIN_CONF_OFFSET,
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

    if (mcf->syncs
        && (ngx_http_doi_check_store(cf, "doi_sync") != NGX_OK
            || ngx_http_doi_check_key(cf, mcf->rings, "doi_sync") != NGX_OK))
    {
        return NGX_CONF_ERROR;
    }

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

    conf->inbound = NGX_CONF_UNSET_PTR;
    conf->subscribe = NGX_CONF_UNSET_PTR;
    conf->unsubscribe = NGX_CONF_UNSET_PTR;
    conf->keywords = NGX_CONF_UNSET_PTR;
    conf->gate = NGX_CONF_UNSET_PTR;
    conf->optout_scope = NGX_CONF_UNSET_UINT;
    conf->evidence = NGX_CONF_UNSET_UINT;

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

    rv = ngx_http_doi_merge_consent(cf, prev, conf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    rv = ngx_http_doi_merge_gate(cf, prev, conf);
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
