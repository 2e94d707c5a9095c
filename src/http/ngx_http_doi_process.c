/*
 * The store in a worker process.
 *
 * It is opened here, after the last fork, and never in the master, in cache
 * helpers or under nginx -t.  If that fails the worker serves all the same:
 * what needs the store is answered 503, and opening is tried again.
 */

#include "ngx_http_doi_consent.h"

#include <poll.h>


#define NGX_HTTP_DOI_QUEUE_MAX   8192   /* unanswered operations of a worker */
#define NGX_HTTP_DOI_TIMEOUT     10000  /* ms until an operation is given up */
#define NGX_HTTP_DOI_REOPEN      5000   /* ms between attempts to open */
#define NGX_HTTP_DOI_CLOSE       5000   /* ms to finish when a worker ends */
#define NGX_HTTP_DOI_HOLD        3600000


static void ngx_http_doi_drain(void);
static void ngx_http_doi_open(ngx_http_doi_main_conf_t *mcf);
static void ngx_http_doi_reopen(ngx_event_t *ev);
static void ngx_http_doi_store_event(ngx_event_t *ev);
static void ngx_http_doi_flush_event(ngx_event_t *ev);
static void ngx_http_doi_hold_worker(void);
static void ngx_http_doi_hold_event(ngx_event_t *ev);
static void ngx_http_doi_log(void *data, int level, const char *msg);


/* One per process; a thread of the store calls only ngx_http_doi_log. */

static struct {
    doi_store_t       *store;
    ngx_connection_t  *connection;
    ngx_event_t        flush;
    ngx_event_t        reopen;
    ngx_event_t        hold;
    ngx_uint_t         exiting;
    ngx_connection_t   dummy;       /* nginx logs ev->data as a connection */
    ngx_http_doi_main_conf_t  *conf;
} ngx_http_doi_process;


ngx_int_t
ngx_http_doi_init_process(ngx_cycle_t *cycle)
{
    ngx_http_doi_main_conf_t  *mcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_doi_module);

    if (mcf == NULL || mcf->store.len == 0 || ngx_http_doi_process.store) {
        return NGX_OK;
    }

    ngx_http_doi_process.conf = mcf;
    ngx_http_doi_process.dummy.fd = (ngx_socket_t) -1;

    ngx_http_doi_process.flush.handler = ngx_http_doi_flush_event;
    ngx_http_doi_process.flush.data = &ngx_http_doi_process.dummy;
    ngx_http_doi_process.flush.log = cycle->log;

    ngx_http_doi_process.hold.handler = ngx_http_doi_hold_event;
    ngx_http_doi_process.hold.data = &ngx_http_doi_process.dummy;
    ngx_http_doi_process.hold.log = cycle->log;

    ngx_http_doi_process.reopen.handler = ngx_http_doi_reopen;
    ngx_http_doi_process.reopen.log = cycle->log;
    ngx_http_doi_process.reopen.data = &ngx_http_doi_process.dummy;
    ngx_http_doi_process.reopen.cancelable = 1;

    ngx_http_doi_open(mcf);

    if (ngx_http_doi_ledger_init(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_doi_courier_init(cycle);
}


void
ngx_http_doi_exit_process(ngx_cycle_t *cycle)
{
    ngx_connection_t  *c;

    if (ngx_http_doi_process.store == NULL) {
        return;
    }

    ngx_http_doi_courier_exit(cycle);

    c = ngx_http_doi_process.connection;

    if (c) {
        if (c->read->active) {
            (void) ngx_del_event(c->read, NGX_READ_EVENT, 0);
        }

        ngx_free_connection(c);
        c->fd = (ngx_socket_t) -1;
    }

    ngx_http_doi_drain();

    doi_store_close(ngx_http_doi_process.store, NGX_HTTP_DOI_CLOSE);

    ngx_http_doi_process.store = NULL;
}


/*
 * No request goes on from here, so a claim that is won now is given back at
 * once; blocking is no harm any more.
 */

static void
ngx_http_doi_drain(void)
{
    ngx_msec_t      end, now;
    doi_store_t    *store;
    struct pollfd   pfd;

    store = ngx_http_doi_process.store;
    ngx_http_doi_process.exiting = 1;

    doi_store_flush(store);

    now = ngx_current_msec;
    end = now + NGX_HTTP_DOI_CLOSE;

    while (doi_store_pending(store) && (ngx_msec_int_t) (end - now) > 0) {

        pfd.fd = doi_store_fd(store);
        pfd.events = POLLIN;

        if (poll(&pfd, 1, (int) (end - now)) == -1 && ngx_errno != NGX_EINTR) {
            break;
        }

        doi_store_dispatch(store);
        doi_store_flush(store);

        ngx_time_update();
        now = ngx_current_msec;
    }
}


ngx_uint_t
ngx_http_doi_exiting(void)
{
    return ngx_http_doi_process.exiting;
}


doi_store_t *
ngx_http_doi_process_store(void)
{
    return ngx_http_doi_process.store;
}


doi_time_t
ngx_http_doi_now(void)
{
    doi_time_t  wall;

    wall = (doi_time_t) ngx_time();

    if (ngx_http_doi_process.store == NULL) {
        return wall;
    }

    return doi_store_now(ngx_http_doi_process.store, wall);
}


ngx_int_t
ngx_http_doi_submit(ngx_uint_t op, void *arg, size_t len,
    doi_store_done_pt done, void *data)
{
    doi_str_t  s;

    if (ngx_http_doi_process.store == NULL) {
        return NGX_ERROR;
    }

    s.data = arg;
    s.len = len;

    if (doi_store_submit(ngx_http_doi_process.store, op, s, done, data)
        != DOI_OK)
    {
        return NGX_ERROR;
    }

    /* one write for all that this turn of the event loop submits */

    if (!ngx_http_doi_process.flush.posted && !ngx_http_doi_process.exiting) {
        ngx_post_event(&ngx_http_doi_process.flush, &ngx_posted_events);
    }

    ngx_http_doi_hold_worker();

    return NGX_OK;
}


void
ngx_http_doi_flush(void)
{
    if (ngx_http_doi_process.store) {
        doi_store_flush(ngx_http_doi_process.store);
    }
}


/*
 * A worker that shuts down waits while a timer is set; requests may be gone
 * long before what they submitted is done.
 */

static void
ngx_http_doi_hold_worker(void)
{
    ngx_uint_t  busy;

    busy = ngx_http_doi_process.store
           && doi_store_pending(ngx_http_doi_process.store) > 0;

    if (busy && !ngx_http_doi_process.hold.timer_set) {
        ngx_add_timer(&ngx_http_doi_process.hold, NGX_HTTP_DOI_HOLD);

    } else if (!busy && ngx_http_doi_process.hold.timer_set) {
        ngx_del_timer(&ngx_http_doi_process.hold);
    }
}


static void
ngx_http_doi_hold_event(ngx_event_t *ev)
{
    ngx_http_doi_hold_worker();
}


static void
ngx_http_doi_open(ngx_http_doi_main_conf_t *mcf)
{
    doi_store_t       *store;
    ngx_connection_t  *c;
    doi_store_conf_t   conf;
    char               err[512];

    ngx_memzero(&conf, sizeof(doi_store_conf_t));

    conf.path = (char *) mcf->store.data;
    conf.size = mcf->store_size;
    conf.queue_max = NGX_HTTP_DOI_QUEUE_MAX;
    conf.timeout_ms = NGX_HTTP_DOI_TIMEOUT;
    conf.stats = &mcf->stats->store;
    conf.log = ngx_http_doi_log;

    if (doi_store_lmdb_open(&conf, &store, err, sizeof(err)) != DOI_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "doi: cannot open the store: %s; requests that need it "
                      "are answered 503, trying again in %d s",
                      err, NGX_HTTP_DOI_REOPEN / 1000);

        ngx_add_timer(&ngx_http_doi_process.reopen, NGX_HTTP_DOI_REOPEN);
        return;
    }

    c = ngx_get_connection(doi_store_fd(store), ngx_cycle->log);

    if (c == NULL) {
        doi_store_close(store, 0);
        ngx_add_timer(&ngx_http_doi_process.reopen, NGX_HTTP_DOI_REOPEN);
        return;
    }

    c->read->handler = ngx_http_doi_store_event;
    c->read->log = ngx_cycle->log;

    if (ngx_add_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT) != NGX_OK) {
        ngx_free_connection(c);
        c->fd = (ngx_socket_t) -1;
        doi_store_close(store, 0);
        ngx_add_timer(&ngx_http_doi_process.reopen, NGX_HTTP_DOI_REOPEN);
        return;
    }

    ngx_http_doi_process.store = store;
    ngx_http_doi_process.connection = c;
}


static void
ngx_http_doi_reopen(ngx_event_t *ev)
{
    ngx_http_doi_open(ngx_http_doi_process.conf);
}


static void
ngx_http_doi_store_event(ngx_event_t *ev)
{
    doi_store_dispatch(ngx_http_doi_process.store);

    ngx_http_doi_hold_worker();
}


static void
ngx_http_doi_flush_event(ngx_event_t *ev)
{
    ngx_http_doi_flush();
}


static void
ngx_http_doi_log(void *data, int level, const char *msg)
{
    ngx_uint_t  lvl;

    lvl = (level <= 3) ? NGX_LOG_ERR
                       : (level == 4) ? NGX_LOG_WARN : NGX_LOG_INFO;

    ngx_log_error(lvl, ngx_cycle->log, 0, "doi: %s", msg);
}
