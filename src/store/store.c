/*
 * The store's front: hands each call to the driver, and holds what both
 * drivers need.
 *
 * A driver is a table of functions.  There are two, and a third one that is
 * distributed is meant to come; nothing above this file knows which it has.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store_internal.h"
#include "../core/link.h"


const doi_store_hooks_t  doi_store_hooks_default = {
    doi_op_function,
    doi_op_wants_another_look,
    NULL,
    DOI_WIRE_VERSION,
    0,
    doi_op_is_patient,
    50,
    10000,
    2000,
    150
};

const uint32_t  doi_store_bucket_us[DOI_STORE_BUCKETS - 1] = {
    100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000,
    500000, 1000000
};


int
doi_store_lmdb_open(const doi_store_conf_t *conf, doi_store_t **store,
    char *err, size_t errsize)
{
    return doi_store_lmdb_open_hooks(conf, &doi_store_hooks_default, store,
                                     err, errsize);
}


int
doi_store_mem_open(const doi_store_conf_t *conf, doi_store_t **store,
    char *err, size_t errsize)
{
    return doi_store_mem_open_hooks(conf, &doi_store_hooks_default, store,
                                    err, errsize);
}


void
doi_store_close(doi_store_t *store, uint32_t timeout_ms)
{
    store->ops->close(store, timeout_ms);
}


int
doi_store_fd(doi_store_t *store)
{
    return store->ops->fd(store);
}


void
doi_store_dispatch(doi_store_t *store)
{
    store->ops->dispatch(store);
}


int
doi_store_submit(doi_store_t *store, unsigned op, doi_str_t arg,
    doi_store_done_pt done, void *data)
{
    if (arg.len > DOI_ARG_MAX) {
        return DOI_ERROR;
    }

    return store->ops->submit(store, op, arg, done, data);
}


void
doi_store_flush(doi_store_t *store)
{
    store->ops->flush(store);
}


size_t
doi_store_pending(doi_store_t *store)
{
    return store->ops->pending(store);
}


doi_result_t
doi_store_read(doi_store_t *store, doi_txn_pt fn, doi_str_t arg,
    doi_buf_t *out)
{
    return store->ops->read(store, fn, arg, out);
}


doi_time_t
doi_store_now(doi_store_t *store, doi_time_t wall)
{
    return store->ops->now(store, wall);
}


int
doi_store_init(doi_store_t *store, const doi_store_ops_t *ops,
    const doi_store_conf_t *conf, const doi_store_hooks_t *hooks)
{
    store->ops = ops;
    store->conf = *conf;
    store->hooks = *hooks;

    store->conf.path = strdup(conf->path != NULL ? conf->path : "");
    store->own_stats = NULL;

    if (conf->stats == NULL) {
        store->own_stats = calloc(1, sizeof(doi_store_stats_t));
        store->conf.stats = store->own_stats;
    }

    if (store->conf.path == NULL || store->conf.stats == NULL) {
        doi_store_done(store);
        return DOI_ERROR;
    }

    return DOI_OK;
}


void
doi_store_done(doi_store_t *store)
{
    free((void *) store->conf.path);
    free(store->own_stats);
}


void
doi_store_log(const doi_store_t *store, int level, const char *fmt, ...)
{
    int      n;
    char     msg[1024];
    va_list  args;

    if (store->conf.log == NULL) {
        return;
    }

    n = snprintf(msg, sizeof(msg), "doi_store \"%.500s\": ",
                 store->conf.path);

    if (n < 0 || (size_t) n >= sizeof(msg)) {
        return;
    }

    va_start(args, fmt);
    (void) vsnprintf(msg + n, sizeof(msg) - (size_t) n, fmt, args);
    va_end(args);

    store->conf.log(store->conf.log_data, level, msg);
}


doi_txn_pt
doi_store_function(const doi_store_t *store, unsigned op)
{
    return store->hooks.function(op);
}


uint64_t
doi_store_ns(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}


doi_time_t
doi_store_wall(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);

    if (ts.tv_sec < 0) {
        return 0;
    }

    return (uint64_t) ts.tv_sec > UINT32_MAX ? UINT32_MAX
                                             : (doi_time_t) ts.tv_sec;
}


uint64_t
doi_store_mono(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);

    return (uint64_t) ts.tv_sec;
}
