/*
 * The outbox is delivered by one process at a time: whoever holds the lock on
 * courier.lock in the store's directory.  It looks for rows that are due, and
 * has them delivered by the thread of src/courier.
 *
 * A worker that shuts down takes nothing new, waits for what is under way and
 * lets go of the lock; the next generation goes on.  One that is killed loses
 * the lock to the kernel: what it was about to do is done again by the next,
 * under the same id.
 */

#include "ngx_http_doi_courier.h"

#include <sys/file.h>


#define NGX_HTTP_DOI_TICK       500     /* ms */
#define NGX_HTTP_DOI_TICK_MORE  50      /* ms, while rows are left to look at */
#define NGX_HTTP_DOI_PICK       32      /* rows taken up in one go           */
#define NGX_HTTP_DOI_LOOK       1000    /* rows looked at in one go          */
#define NGX_HTTP_DOI_PER_URL    4       /* under way, for one webhook        */
#define NGX_HTTP_DOI_SWEEP      1000    /* ms between sweeps                 */
#define NGX_HTTP_DOI_SWEEP_ROWS 200
#define NGX_HTTP_DOI_LIMITS_AGE 60      /* seconds between sweeps of limits  */
#define NGX_HTTP_DOI_STOP       1000    /* ms for what is under way at "stop":
                                           nginx's master kills after 1.5 s  */
#define NGX_HTTP_DOI_HOLD       3600000


/* A look at the queue; lives during one read of the store. */

typedef struct {
    doi_view_t    *view;
    doi_time_t     now;
    ngx_uint_t     looked;
    ngx_uint_t     n;
    doi_outbox_t   rows[NGX_HTTP_DOI_PICK];
    ngx_uint_t     busy[NGX_HTTP_DOI_CHANNELS];
    u_char         last[DOI_QUEUE_KEY_SIZE];
    unsigned       more:1;
} ngx_http_doi_look_t;


static void ngx_http_doi_courier_tick(ngx_event_t *ev);
static void ngx_http_doi_courier_turn_event(ngx_event_t *ev);
static void ngx_http_doi_courier_hold_event(ngx_event_t *ev);
static void ngx_http_doi_courier_turn(void);
static void ngx_http_doi_courier_hold(void);

static ngx_int_t ngx_http_doi_courier_lease(void);
static ngx_uint_t ngx_http_doi_courier_in_place(void);
static void ngx_http_doi_courier_release(void);
static void ngx_http_doi_courier_stop(unsigned timeout);
static void ngx_http_doi_courier_results(ngx_event_t *ev);
static void ngx_http_doi_courier_log(void *data, int level, const char *msg);

static void ngx_http_doi_courier_pick(void);
static doi_result_t ngx_http_doi_courier_look(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
static int ngx_http_doi_courier_look_row(void *data, doi_str_t key,
    doi_str_t value);
static ngx_uint_t ngx_http_doi_courier_has_room(ngx_http_doi_look_t *look,
    const doi_outbox_t *row);
static ngx_uint_t ngx_http_doi_courier_meets(ngx_http_doi_channel_e channel,
    const doi_outbox_t *row, const doi_outbox_t *other);
static void ngx_http_doi_courier_begin(const doi_outbox_t *row);
static void ngx_http_doi_courier_sweep(void);
static ngx_int_t ngx_http_doi_courier_due(doi_time_t mark);
static doi_result_t ngx_http_doi_courier_due_read(doi_view_t *view,
    doi_time_t now, doi_str_t arg, doi_buf_t *out);
static void ngx_http_doi_courier_sweep_done(void *data, doi_result_t result,
    doi_str_t answer);


static struct {
    ngx_http_doi_main_conf_t  *conf;
    ngx_event_t        tick;
    ngx_event_t        turn;
    ngx_event_t        hold;
    ngx_connection_t   dummy;       /* nginx logs ev->data as a connection */

    ngx_fd_t           lock;
    ngx_uint_t         leased;      /* 1: this process delivers */
    ngx_uint_t         displaced;   /* the lock is not on courier.lock */
    ngx_uint_t         complained;

    doi_courier_t     *courier;
    ngx_connection_t  *connection;

    ngx_queue_t        under_way;   /* ngx_http_doi_delivery_t */
    ngx_uint_t         busy[NGX_HTTP_DOI_CHANNELS];

    u_char             from[DOI_QUEUE_KEY_SIZE];
    ngx_uint_t         more;        /* the next look begins at from */

    ngx_msec_t         swept;
    doi_time_t         limits;      /* when limits are to be swept */
    u_char             limits_from[DOI_LIMIT_KEY_SIZE];
    ngx_uint_t         sweeping;
} ngx_http_doi_courier;


/* What may be under way.  All of it must fit into DOI_COURIER_JOBS. */

static const ngx_uint_t  ngx_http_doi_courier_room[NGX_HTTP_DOI_CHANNELS] = {
    32,     /* events: to the store only */
    20,     /* mails                     */
    8,      /* calendars                 */
    12,     /* webhooks                  */
    12,     /* messages                  */
    12      /* CRMs                      */
};


ngx_int_t
ngx_http_doi_courier_init(ngx_cycle_t *cycle)
{
    ngx_http_doi_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_doi_module);

    if (mcf == NULL || !mcf->holds) {
        return NGX_OK;
    }

    ngx_http_doi_courier.conf = mcf;
    ngx_http_doi_courier.lock = NGX_INVALID_FILE;
    ngx_http_doi_courier.dummy.fd = (ngx_socket_t) -1;
    ngx_queue_init(&ngx_http_doi_courier.under_way);

    ngx_http_doi_courier.tick.handler = ngx_http_doi_courier_tick;
    ngx_http_doi_courier.tick.data = &ngx_http_doi_courier.dummy;
    ngx_http_doi_courier.tick.log = cycle->log;
    ngx_http_doi_courier.tick.cancelable = 1;

    ngx_http_doi_courier.turn.handler = ngx_http_doi_courier_turn_event;
    ngx_http_doi_courier.turn.data = &ngx_http_doi_courier.dummy;
    ngx_http_doi_courier.turn.log = cycle->log;

    ngx_http_doi_courier.hold.handler = ngx_http_doi_courier_hold_event;
    ngx_http_doi_courier.hold.data = &ngx_http_doi_courier.dummy;
    ngx_http_doi_courier.hold.log = cycle->log;

    ngx_add_timer(&ngx_http_doi_courier.tick, 1);

    return NGX_OK;
}


/*
 * Results that come now are written by the caller's last look at the store.
 * The lock goes with the process, after that: what was sent must be known to
 * be sent before anybody else looks.
 */

void
ngx_http_doi_courier_exit(ngx_cycle_t *cycle)
{
    if (ngx_http_doi_courier.conf) {
        ngx_http_doi_courier_stop(NGX_HTTP_DOI_STOP);
    }
}


void
ngx_http_doi_courier_wake(void)
{
    if (ngx_http_doi_courier.leased && !ngx_http_doi_courier.turn.posted) {
        ngx_post_event(&ngx_http_doi_courier.turn, &ngx_posted_events);
    }
}


ngx_uint_t
ngx_http_doi_courier_leased(void)
{
    return ngx_http_doi_courier.leased;
}


ngx_uint_t
ngx_http_doi_courier_ending(void)
{
    return ngx_exiting || ngx_quit || ngx_terminate || ngx_http_doi_exiting();
}


static void
ngx_http_doi_courier_tick(ngx_event_t *ev)
{
    ngx_http_doi_courier.displaced = !ngx_http_doi_courier_in_place();

    ngx_http_doi_courier_turn();

    ngx_add_timer(ev, ngx_http_doi_courier.more ? NGX_HTTP_DOI_TICK_MORE
                                                : NGX_HTTP_DOI_TICK);
}


static void
ngx_http_doi_courier_turn_event(ngx_event_t *ev)
{
    ngx_http_doi_courier_turn();
}


static void
ngx_http_doi_courier_turn(void)
{
    if (ngx_http_doi_process_store() == NULL) {
        return;
    }

    if (ngx_http_doi_courier_ending() || ngx_http_doi_courier.displaced) {

        if (ngx_queue_empty(&ngx_http_doi_courier.under_way)) {
            ngx_http_doi_courier_release();
        }

        return;
    }

    if (ngx_http_doi_courier_lease() != NGX_OK) {
        return;
    }

    ngx_http_doi_courier_sweep();
    ngx_http_doi_courier_pick();
}


/* A worker that shuts down waits while this timer is set. */

static void
ngx_http_doi_courier_hold(void)
{
    ngx_uint_t  busy;

    busy = !ngx_queue_empty(&ngx_http_doi_courier.under_way);

    if (busy && !ngx_http_doi_courier.hold.timer_set) {
        ngx_add_timer(&ngx_http_doi_courier.hold, NGX_HTTP_DOI_HOLD);

    } else if (!busy && ngx_http_doi_courier.hold.timer_set) {
        ngx_del_timer(&ngx_http_doi_courier.hold);
    }
}


static void
ngx_http_doi_courier_hold_event(ngx_event_t *ev)
{
    ngx_http_doi_courier_hold();
}


static ngx_int_t
ngx_http_doi_courier_lease(void)
{
    u_char      path[NGX_MAX_PATH];
    u_char     *p;
    ngx_fd_t    fd;
    ngx_err_t   err;

    if (ngx_http_doi_courier.leased) {
        return NGX_OK;
    }

    fd = ngx_http_doi_courier.lock;

    if (fd == NGX_INVALID_FILE) {

        p = ngx_snprintf(path, sizeof(path) - 1, "%V/courier.lock",
                         &ngx_http_doi_courier.conf->store);
        *p = '\0';

        fd = open((char *) path, O_RDWR|O_CREAT|O_CLOEXEC|O_NOFOLLOW, 0600);

        if (fd == NGX_INVALID_FILE) {

            if (!ngx_http_doi_courier.complained) {
                ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, ngx_errno,
                              "doi: cannot open \"%s\": nothing is delivered",
                              path);
                ngx_http_doi_courier.complained = 1;
            }

            return NGX_ERROR;
        }

        ngx_http_doi_courier.complained = 0;
        ngx_http_doi_courier.lock = fd;
    }

    if (flock(fd, LOCK_EX|LOCK_NB) == -1) {
        err = ngx_errno;

        if (err != EWOULDBLOCK && err != NGX_EINTR) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, err,
                          "doi: cannot lock \"courier.lock\" of the store");
        }

        return NGX_DECLINED;
    }

    ngx_http_doi_courier.leased = 1;
    ngx_http_doi_courier.more = 0;

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "doi: this process delivers mails, calendars and webhooks");

    return NGX_OK;
}


/* A lock on a file that is no longer in its place keeps nobody out. */

static ngx_uint_t
ngx_http_doi_courier_in_place(void)
{
    u_char          path[NGX_MAX_PATH];
    u_char         *p;
    struct stat     have, there;

    if (ngx_http_doi_courier.lock == NGX_INVALID_FILE) {
        return 1;
    }

    p = ngx_snprintf(path, sizeof(path) - 1, "%V/courier.lock",
                     &ngx_http_doi_courier.conf->store);
    *p = '\0';

    return fstat(ngx_http_doi_courier.lock, &have) == 0
           && lstat((char *) path, &there) == 0
           && have.st_dev == there.st_dev
           && have.st_ino == there.st_ino;
}


static void
ngx_http_doi_courier_release(void)
{
    ngx_http_doi_courier_stop(0);

    ngx_http_doi_courier.leased = 0;
    ngx_http_doi_courier.displaced = 0;
    ngx_http_doi_courier.more = 0;

    if (ngx_http_doi_courier.lock != NGX_INVALID_FILE) {
        (void) close(ngx_http_doi_courier.lock);
        ngx_http_doi_courier.lock = NGX_INVALID_FILE;
    }
}


doi_courier_t *
ngx_http_doi_courier_get(void)
{
    ngx_connection_t  *c;
    doi_courier_t     *courier;
    char               err[256];

    if (ngx_http_doi_courier.courier) {
        return ngx_http_doi_courier.courier;
    }

    courier = doi_courier_start(ngx_http_doi_courier_log, NULL, err,
                                sizeof(err));
    if (courier == NULL) {

        if (!ngx_http_doi_courier.complained) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "doi: cannot start the courier: %s; nothing is "
                          "delivered", err);
            ngx_http_doi_courier.complained = 1;
        }

        return NULL;
    }

    c = ngx_get_connection(doi_courier_fd(courier), ngx_cycle->log);

    if (c == NULL) {
        doi_courier_stop(courier, 0);
        return NULL;
    }

    c->read->handler = ngx_http_doi_courier_results;
    c->read->log = ngx_cycle->log;

    if (ngx_add_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT) != NGX_OK) {
        ngx_free_connection(c);
        c->fd = (ngx_socket_t) -1;
        doi_courier_stop(courier, 0);
        return NULL;
    }

    ngx_http_doi_courier.complained = 0;
    ngx_http_doi_courier.courier = courier;
    ngx_http_doi_courier.connection = c;

    return courier;
}


static void
ngx_http_doi_courier_stop(unsigned timeout)
{
    doi_courier_t     *courier;
    ngx_connection_t  *c;

    courier = ngx_http_doi_courier.courier;
    c = ngx_http_doi_courier.connection;

    if (courier == NULL) {
        return;
    }

    if (c->read->active) {
        (void) ngx_del_event(c->read, NGX_READ_EVENT, 0);
    }

    ngx_free_connection(c);
    c->fd = (ngx_socket_t) -1;

    ngx_http_doi_courier.connection = NULL;
    ngx_http_doi_courier.courier = NULL;

    doi_courier_stop(courier, timeout);
}


static void
ngx_http_doi_courier_results(ngx_event_t *ev)
{
    doi_courier_dispatch(ngx_http_doi_courier.courier);
}


static void
ngx_http_doi_courier_log(void *data, int level, const char *msg)
{
    ngx_uint_t  lvl;

    lvl = (level <= 3) ? NGX_LOG_ERR
                       : (level == 4) ? NGX_LOG_WARN : NGX_LOG_INFO;

    ngx_log_error(lvl, ngx_cycle->log, 0, "doi: courier: %s", msg);
}


/*
 * Rows for which there is no room are passed over, and there may be very many
 * of them.  So a look that has seen enough rows leaves off, and the next goes
 * on from there.
 */

static void
ngx_http_doi_courier_pick(void)
{
    doi_str_t             arg;
    doi_buf_t             out;
    ngx_uint_t            i;
    ngx_http_doi_look_t   look;

    look.looked = 0;
    look.n = 0;
    look.more = 0;

    arg.data = (u_char *) &look;
    arg.len = sizeof(ngx_http_doi_look_t);
    ngx_memzero(&out, sizeof(doi_buf_t));

    if (doi_store_read(ngx_http_doi_process_store(), ngx_http_doi_courier_look,
                       arg, &out)
        != DOI_WON)
    {
        return;
    }

    ngx_http_doi_courier.more = look.more;
    ngx_memcpy(ngx_http_doi_courier.from, look.last, DOI_QUEUE_KEY_SIZE);

    for (i = 0; i < look.n; i++) {
        ngx_http_doi_courier_begin(&look.rows[i]);
    }
}


static doi_result_t
ngx_http_doi_courier_look(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                   rc;
    doi_str_t             from;
    ngx_http_doi_look_t  *look;

    look = (ngx_http_doi_look_t *) arg.data;

    look->view = view;
    look->now = now;
    look->looked = 0;
    look->n = 0;
    look->more = 0;

    ngx_memcpy(look->busy, ngx_http_doi_courier.busy, sizeof(look->busy));

    from.data = ngx_http_doi_courier.from;
    from.len = ngx_http_doi_courier.more ? DOI_QUEUE_KEY_SIZE : 0;

    rc = view->scan(view, DOI_TABLE_QUEUE, from,
                    ngx_http_doi_courier_look_row, look);

    return (rc == DOI_OK || rc == DOI_NOT_FOUND) ? DOI_WON : DOI_RETRY;
}


static int
ngx_http_doi_courier_look_row(void *data, doi_str_t key, doi_str_t value)
{
    ngx_http_doi_look_t *look = data;

    doi_time_t     due;
    ngx_queue_t   *q;
    doi_outbox_t  *row;
    ngx_http_doi_delivery_t  *d;

    if (key.len != DOI_QUEUE_KEY_SIZE) {
        return DOI_OK;
    }

    due = doi_get32(key.data + 1);

    if (key.data[0] != DOI_QUEUED || due > look->now) {
        return DOI_NOT_FOUND;
    }

    if (look->n == NGX_HTTP_DOI_PICK || look->looked == NGX_HTTP_DOI_LOOK) {
        ngx_memcpy(look->last, key.data, DOI_QUEUE_KEY_SIZE);
        look->more = 1;
        return DOI_NOT_FOUND;
    }

    look->looked++;

    for (q = ngx_queue_head(&ngx_http_doi_courier.under_way);
         q != ngx_queue_sentinel(&ngx_http_doi_courier.under_way);
         q = ngx_queue_next(q))
    {
        d = ngx_queue_data(q, ngx_http_doi_delivery_t, queue);

        if (ngx_memcmp(d->row.id, key.data + 5, DOI_ID_SIZE) == 0) {
            return DOI_OK;
        }
    }

    row = &look->rows[look->n];

    /* a kind without a name is one of a later version */

    if (doi_outbox_get(look->view, key.data + 5, row) != DOI_OK
        || doi_outbox_kind_name(row->kind) == NULL
        || doi_reply_waits(look->view, row)
        || !ngx_http_doi_courier_has_room(look, row))
    {
        return DOI_OK;
    }

    /* it points into the snapshot */
    row->error.data = NULL;
    row->error.len = 0;

    look->n++;

    return DOI_OK;
}


static ngx_uint_t
ngx_http_doi_courier_has_room(ngx_http_doi_look_t *look,
    const doi_outbox_t *row)
{
    ngx_uint_t               i, n;
    ngx_queue_t             *q;
    ngx_http_doi_channel_e   channel;
    ngx_http_doi_delivery_t  *d;

    channel = ngx_http_doi_deliver_channel(row->kind);

    if (look->busy[channel] >= ngx_http_doi_courier_room[channel]
        || ngx_http_doi_deliver_sync_paused(ngx_http_doi_courier.conf, row))
    {
        return 0;
    }

    n = 0;

    for (q = ngx_queue_head(&ngx_http_doi_courier.under_way);
         q != ngx_queue_sentinel(&ngx_http_doi_courier.under_way);
         q = ngx_queue_next(q))
    {
        d = ngx_queue_data(q, ngx_http_doi_delivery_t, queue);
        n += ngx_http_doi_courier_meets(channel, row, &d->row);
    }

    for (i = 0; i < look->n; i++) {
        n += ngx_http_doi_courier_meets(channel, row, &look->rows[i]);
    }

    if (n >= ((channel == NGX_HTTP_DOI_WEBHOOKS) ? NGX_HTTP_DOI_PER_URL : 1)) {
        return 0;
    }

    look->busy[channel]++;
    return 1;
}


/* Two rows that would be in each other's way: one object of a calendar is
   changed in order, and one webhook that hangs leaves room for the others. */

static ngx_uint_t
ngx_http_doi_courier_meets(ngx_http_doi_channel_e channel,
    const doi_outbox_t *row, const doi_outbox_t *other)
{
    if (row->kind != other->kind) {
        return 0;
    }

    switch (channel) {

    case NGX_HTTP_DOI_CALENDARS:    /* their target is zeros */
    case NGX_HTTP_DOI_SYNCS:
        return ngx_memcmp(row->booking, other->booking, DOI_ID_SIZE) == 0
               && ngx_memcmp(row->target, other->target, DOI_TARGET_SIZE) == 0;

    case NGX_HTTP_DOI_WEBHOOKS:
        return ngx_memcmp(row->target, other->target, DOI_TARGET_SIZE) == 0;

    default:
        return 0;
    }
}


static void
ngx_http_doi_courier_begin(const doi_outbox_t *row)
{
    ngx_pool_t               *pool;
    ngx_http_doi_delivery_t  *d;

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, ngx_cycle->log);
    if (pool == NULL) {
        return;
    }

    d = ngx_pcalloc(pool, sizeof(ngx_http_doi_delivery_t));
    if (d == NULL) {
        ngx_destroy_pool(pool);
        return;
    }

    d->pool = pool;
    d->conf = ngx_http_doi_courier.conf;
    d->row = *row;
    d->channel = ngx_http_doi_deliver_channel(row->kind);

    doi_id_encode(row->id, d->id);

    ngx_queue_insert_tail(&ngx_http_doi_courier.under_way, &d->queue);
    ngx_http_doi_courier.busy[d->channel]++;
    ngx_http_doi_courier_hold();

    ngx_http_doi_deliver(d);
}


void
ngx_http_doi_courier_end(ngx_http_doi_delivery_t *d, ngx_uint_t again)
{
    ngx_queue_remove(&d->queue);
    ngx_http_doi_courier.busy[d->channel]--;

    if (d->event.timer_set) {
        ngx_del_timer(&d->event);
    }

    ngx_destroy_pool(d->pool);

    ngx_http_doi_courier_hold();

    if (again || ngx_http_doi_courier_ending()) {
        ngx_http_doi_courier_wake();
    }
}


static void
ngx_http_doi_courier_sweep(void)
{
    doi_time_t               mark;
    ngx_uint_t               limits;
    doi_booking_sweep_arg_t  arg;

    if (ngx_http_doi_courier.sweeping
        || ngx_current_msec - ngx_http_doi_courier.swept < NGX_HTTP_DOI_SWEEP)
    {
        return;
    }

    ngx_http_doi_courier.swept = ngx_current_msec;

    mark = (doi_time_t)
           atomic_load_explicit(&ngx_http_doi_courier.conf->stats
                                ->store.clock_mark, memory_order_relaxed);

    limits = ngx_http_doi_courier.limits <= ngx_http_doi_now();

    if (!limits && ngx_http_doi_courier_due(mark) != NGX_OK) {
        return;
    }

    ngx_memzero(&arg, sizeof(doi_booking_sweep_arg_t));

    arg.mark = mark;
    arg.limit = NGX_HTTP_DOI_SWEEP_ROWS;
    ngx_memcpy(arg.from, ngx_http_doi_courier.limits_from, DOI_LIMIT_KEY_SIZE);

    ngx_http_doi_courier.sweeping =
        ngx_http_doi_submit(DOI_OP_BOOKING_SWEEP, &arg, sizeof(arg),
                            ngx_http_doi_courier_sweep_done, NULL)
        == NGX_OK;
}


static ngx_int_t
ngx_http_doi_courier_due(doi_time_t mark)
{
    doi_str_t  arg;
    doi_buf_t  out;

    arg.data = (u_char *) &mark;
    arg.len = sizeof(doi_time_t);
    ngx_memzero(&out, sizeof(doi_buf_t));

    return doi_store_read(ngx_http_doi_process_store(),
                          ngx_http_doi_courier_due_read, arg, &out)
           == DOI_WON
           ? NGX_OK : NGX_DECLINED;
}


static doi_result_t
ngx_http_doi_courier_due_read(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    doi_time_t  mark;

    ngx_memcpy(&mark, arg.data, sizeof(doi_time_t));

    return doi_booking_due(view, mark) ? DOI_WON : DOI_CONFLICT;
}


static void
ngx_http_doi_courier_sweep_done(void *data, doi_result_t result,
    doi_str_t answer)
{
    ngx_uint_t                   more;
    doi_booking_sweep_answer_t   a;

    static const u_char  zeros[DOI_LIMIT_KEY_SIZE];

    ngx_http_doi_courier.sweeping = 0;

    if (result != DOI_WON || answer.len < sizeof(doi_booking_sweep_answer_t)) {
        return;
    }

    ngx_memcpy(&a, answer.data, sizeof(doi_booking_sweep_answer_t));
    ngx_memcpy(ngx_http_doi_courier.limits_from, a.next, DOI_LIMIT_KEY_SIZE);

    more = (a.looked >= NGX_HTTP_DOI_SWEEP_ROWS);

    if (ngx_memcmp(a.next, zeros, DOI_LIMIT_KEY_SIZE) == 0) {
        ngx_http_doi_courier.limits = ngx_http_doi_now()
                                      + NGX_HTTP_DOI_LIMITS_AGE;

    } else if (ngx_http_doi_courier.limits <= ngx_http_doi_now()) {
        more = 1;
    }

    if (more) {
        ngx_http_doi_courier.swept = ngx_current_msec - NGX_HTTP_DOI_SWEEP;
    }

    if (more || a.expired || a.reminded || a.in_doubt) {
        ngx_http_doi_courier_wake();
    }
}
