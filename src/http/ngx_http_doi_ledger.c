/*
 * The consent ledger in a worker: its secret, and what is done in the
 * background: seals, and the sweep of what is over.
 *
 * The secret is made when a ledger is first used: whoever comes first stores
 * his, sealed with a key of the configuration, and everybody reads that.  All
 * that identifies a contact hangs on it, so it outlives every key: unsealed
 * with any key there is, it is sealed anew as soon as the first key is another
 * one.
 *
 * Epochs are sealed where the courier's lease is held, so by one process.
 */

#include "ngx_http_doi_consent.h"
#include "ngx_http_doi_courier.h"

#include <openssl/crypto.h>


#define NGX_HTTP_DOI_LEDGER_TICK   1000     /* ms */
#define NGX_HTTP_DOI_LEDGER_SEAL   5000     /* ms between epochs             */
#define NGX_HTTP_DOI_LEDGER_MORE   10       /* ms, while heads are left      */
#define NGX_HTTP_DOI_LEDGER_SWEEP  600      /* seconds between sweeps        */
#define NGX_HTTP_DOI_LEDGER_HEADS  256      /* of an epoch                   */
#define NGX_HTTP_DOI_LEDGER_ROWS   500      /* of a sweep                    */


static void ngx_http_doi_ledger_tick(ngx_event_t *ev);
static void ngx_http_doi_ledger_load(void);
static ngx_int_t ngx_http_doi_ledger_take(doi_str_t sealed);
static doi_keyring_t *ngx_http_doi_ledger_unseal(doi_str_t sealed,
    doi_buf_t *secret);
static ngx_int_t ngx_http_doi_ledger_put(const u_char *secret, doi_str_t old,
    ngx_uint_t anew);
static void ngx_http_doi_ledger_put_done(void *data, doi_result_t result,
    doi_str_t answer);
static doi_result_t ngx_http_doi_ledger_read(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
static ngx_uint_t ngx_http_doi_ledger_seal(void);
static ngx_uint_t ngx_http_doi_ledger_due(void);
static void ngx_http_doi_ledger_seal_done(void *data, doi_result_t result,
    doi_str_t answer);
static doi_result_t ngx_http_doi_ledger_dirty(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
static int ngx_http_doi_ledger_any(void *data, doi_str_t key,
    doi_str_t value);
static void ngx_http_doi_ledger_sweep(void);
static void ngx_http_doi_ledger_swept(void *data, doi_result_t result,
    doi_str_t answer);


static struct {
    ngx_http_doi_main_conf_t  *conf;
    ngx_event_t                tick;
    ngx_connection_t           dummy;   /* nginx logs ev->data as one        */

    doi_ledger_keys_t          keys;
    ngx_uint_t                 ready;
    ngx_uint_t                 putting; /* INIT is under way                 */
    ngx_uint_t                 complained;
    ngx_uint_t                 wanted;  /* somebody asked for the keys       */

    ngx_uint_t                 sealing;
    ngx_uint_t                 full;    /* the last epoch: there are more    */
    ngx_msec_t                 sealed;  /* when                              */

    ngx_uint_t                 sweeping;
    doi_time_t                 sweep;   /* when the next begins              */
    doi_consent_sweep_arg_t    from;
} ngx_http_doi_ledger_process;


static const doi_str_t  ngx_http_doi_ledger_name = doi_str("ledger");


ngx_int_t
ngx_http_doi_ledger_init(ngx_cycle_t *cycle)
{
    ngx_http_doi_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_doi_module);

    if (mcf == NULL || mcf->store.len == 0 || mcf->rings == NULL) {
        return NGX_OK;
    }

    ngx_http_doi_ledger_process.conf = mcf;
    ngx_http_doi_ledger_process.dummy.fd = (ngx_socket_t) -1;

    ngx_http_doi_ledger_process.tick.handler = ngx_http_doi_ledger_tick;
    ngx_http_doi_ledger_process.tick.data = &ngx_http_doi_ledger_process.dummy;
    ngx_http_doi_ledger_process.tick.log = cycle->log;
    ngx_http_doi_ledger_process.tick.cancelable = 1;

    ngx_http_doi_ledger_process.wanted = mcf->consent;

    if (ngx_http_doi_ledger_process.wanted) {
        ngx_http_doi_ledger_load();
    }

    ngx_add_timer(&ngx_http_doi_ledger_process.tick, NGX_HTTP_DOI_LEDGER_TICK);

    return NGX_OK;
}


const doi_ledger_keys_t *
ngx_http_doi_ledger(void)
{
    ngx_http_doi_ledger_process.wanted = 1;

    if (!ngx_http_doi_ledger_process.ready) {
        ngx_http_doi_ledger_load();
    }

    return ngx_http_doi_ledger_process.ready
           ? &ngx_http_doi_ledger_process.keys : NULL;
}


static void
ngx_http_doi_ledger_tick(ngx_event_t *ev)
{
    ngx_uint_t  more;

    more = 0;

    if (ngx_http_doi_ledger_process.wanted
        && !ngx_http_doi_ledger_process.ready)
    {
        ngx_http_doi_ledger_load();
    }

    if (ngx_http_doi_ledger_process.ready && ngx_http_doi_courier_leased()
        && !ngx_http_doi_courier_ending())
    {
        more = ngx_http_doi_ledger_seal();
        ngx_http_doi_ledger_sweep();
    }

    ngx_add_timer(ev, more ? NGX_HTTP_DOI_LEDGER_MORE
                           : NGX_HTTP_DOI_LEDGER_TICK);
}


/* Reads the secret; makes one if there is none. */

static void
ngx_http_doi_ledger_load(void)
{
    u_char        buf[DOI_LEDGER_SEALED_MAX], secret[DOI_LEDGER_SECRET];
    doi_buf_t     out;
    doi_str_t     sealed, none;
    doi_store_t  *store;

    store = ngx_http_doi_process_store();

    if (store == NULL || ngx_http_doi_ledger_process.conf == NULL) {
        return;
    }

    out.data = buf;
    out.len = 0;
    out.size = sizeof(buf);
    none.data = NULL;
    none.len = 0;

    switch (doi_store_read(store, ngx_http_doi_ledger_read, none, &out)) {

    case DOI_WON:
        sealed.data = out.data;
        sealed.len = out.len;
        (void) ngx_http_doi_ledger_take(sealed);
        return;

    case DOI_CONFLICT:
        break;

    default:
        return;
    }

    /* while ours is under way, another worker's may be there already */

    if (ngx_http_doi_ledger_process.putting) {
        return;
    }

    if (ngx_http_doi_random(secret, sizeof(secret)) == NGX_OK) {
        (void) ngx_http_doi_ledger_put(secret, none, 1);
    }

    OPENSSL_cleanse(secret, sizeof(secret));
}


static doi_result_t
ngx_http_doi_ledger_read(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int        rc;
    doi_str_t  sealed;

    rc = view->get(view, DOI_TABLE_META, ngx_http_doi_ledger_name, &sealed);

    if (rc == DOI_NOT_FOUND) {
        return DOI_CONFLICT;
    }

    if (rc != DOI_OK || sealed.len > out->size) {
        return DOI_RETRY;
    }

    ngx_memcpy(out->data, sealed.data, sealed.len);
    out->len = sealed.len;

    return DOI_WON;
}


/* The secret as it is stored becomes this process's keys. */

static ngx_int_t
ngx_http_doi_ledger_take(doi_str_t sealed)
{
    int              rc;
    u_char           secret[DOI_LEDGER_SECRET];
    doi_buf_t        out;
    doi_keyring_t   *ring, **first;

    out.data = secret;
    out.len = 0;
    out.size = sizeof(secret);

    ring = ngx_http_doi_ledger_unseal(sealed, &out);

    if (ring == NULL || out.len != DOI_LEDGER_SECRET) {

        if (!ngx_http_doi_ledger_process.complained) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "doi: no \"doi_key\" opens the secret of the consent "
                          "ledger, which was sealed with key %ui: add that "
                          "key as a second \"doi_key\"; until then contacts "
                          "are answered 503",
                          (ngx_uint_t) (sealed.len > 1 ? sealed.data[1] : 0));
            ngx_http_doi_ledger_process.complained = 1;
        }

        return NGX_ERROR;
    }

    rc = doi_ledger_keys(secret, &ngx_http_doi_ledger_process.keys);

    if (rc == DOI_OK) {
        ngx_http_doi_ledger_process.ready = 1;

        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "doi: the consent ledger is open");

        first = ngx_http_doi_ledger_process.conf->rings->elts;

        /* a key of another ring may have the same id */

        (void) ngx_http_doi_ledger_put(secret, sealed, ring != first[0]);
    }

    OPENSSL_cleanse(secret, sizeof(secret));

    return rc == DOI_OK ? NGX_OK : NGX_ERROR;
}


static doi_keyring_t *
ngx_http_doi_ledger_unseal(doi_str_t sealed, doi_buf_t *secret)
{
    ngx_uint_t       i;
    ngx_array_t     *rings;
    doi_keyring_t  **ring;

    rings = ngx_http_doi_ledger_process.conf->rings;
    ring = rings->elts;

    for (i = 0; i < rings->nelts; i++) {
        secret->len = 0;

        if (doi_unseal(ring[i], ngx_http_doi_ledger_name, sealed, secret)
            == DOI_OK)
        {
            return ring[i];
        }
    }

    return NULL;
}


/*
 * Stores the secret, sealed by the first key of the first ring, in place of old
 * (empty: of none).  Without anew only if old was sealed by another key.
 */

static ngx_int_t
ngx_http_doi_ledger_put(const u_char *secret, doi_str_t old, ngx_uint_t anew)
{
    u_char                  nonce[DOI_SEAL_NONCE];
    size_t                  len;
    ngx_int_t               rc;
    doi_buf_t               out;
    doi_str_t               plain;
    doi_keyring_t         **ring;
    struct {
        doi_ledger_init_arg_t  head;
        u_char                 sealed[DOI_LEDGER_SECRET + DOI_SEAL_OVERHEAD];
    } arg;

    ngx_memzero(&arg, sizeof(arg));

    ring = ngx_http_doi_ledger_process.conf->rings->elts;

    plain.data = secret;
    plain.len = DOI_LEDGER_SECRET;
    out.data = arg.sealed;
    out.len = 0;
    out.size = sizeof(arg.sealed);

    if (ngx_http_doi_random(nonce, sizeof(nonce)) != NGX_OK
        || doi_seal(ring[0], nonce, ngx_http_doi_ledger_name, plain, &out)
           != DOI_OK)
    {
        return NGX_ERROR;
    }

    /* its second byte is the id of the key */

    if (!anew && old.len > 1 && old.data[1] == arg.sealed[1]) {
        return NGX_OK;
    }

    if (old.len) {
        arg.head.replace = 1;

        if (doi_digest(&old, 1, arg.head.old, sizeof(arg.head.old)) != DOI_OK) {
            return NGX_ERROR;
        }
    }

    arg.head.sealed_len = (uint32_t) out.len;
    len = sizeof(doi_ledger_init_arg_t) + out.len;

    rc = ngx_http_doi_submit(DOI_OP_LEDGER_INIT, &arg, len,
                             ngx_http_doi_ledger_put_done, NULL);

    ngx_http_doi_ledger_process.putting = (rc == NGX_OK);

    return rc;
}


static void
ngx_http_doi_ledger_put_done(void *data, doi_result_t result,
    doi_str_t answer)
{
    ngx_http_doi_ledger_process.putting = 0;

    if ((result == DOI_WON || result == DOI_CONFLICT) && answer.len
        && !ngx_http_doi_ledger_process.ready)
    {
        (void) ngx_http_doi_ledger_take(answer);
    }
}


/* One epoch, if there are heads for it; 1: look again at once. */

static ngx_uint_t
ngx_http_doi_ledger_seal(void)
{
    doi_ledger_seal_arg_t  seal;

    if (ngx_http_doi_ledger_process.sealing) {
        return 1;
    }

    if (!ngx_http_doi_ledger_process.full && !ngx_http_doi_ledger_due()) {
        return 0;
    }

    ngx_memcpy(seal.ledger, ngx_http_doi_ledger_process.keys.ledger,
               sizeof(seal.ledger));
    seal.limit = NGX_HTTP_DOI_LEDGER_HEADS;

    ngx_http_doi_ledger_process.sealing =
        ngx_http_doi_submit(DOI_OP_LEDGER_SEAL, &seal, sizeof(seal),
                            ngx_http_doi_ledger_seal_done, NULL)
        == NGX_OK;

    return ngx_http_doi_ledger_process.sealing;
}


static void
ngx_http_doi_ledger_seal_done(void *data, doi_result_t result,
    doi_str_t answer)
{
    doi_ledger_seal_answer_t  a;

    ngx_http_doi_ledger_process.sealing = 0;
    ngx_http_doi_ledger_process.full = 0;
    ngx_http_doi_ledger_process.sealed = ngx_current_msec;

    if (result == DOI_WON && answer.len >= sizeof(a)) {
        ngx_memcpy(&a, answer.data, sizeof(a));
        ngx_http_doi_ledger_process.full = a.count >= NGX_HTTP_DOI_LEDGER_HEADS;
    }
}


/* Is it time, and has a head changed? */

static ngx_uint_t
ngx_http_doi_ledger_due(void)
{
    doi_str_t  arg;
    doi_buf_t  out;

    if (ngx_current_msec - ngx_http_doi_ledger_process.sealed
        < NGX_HTTP_DOI_LEDGER_SEAL)
    {
        return 0;
    }

    arg.data = NULL;
    arg.len = 0;
    ngx_memzero(&out, sizeof(doi_buf_t));

    if (doi_store_read(ngx_http_doi_process_store(), ngx_http_doi_ledger_dirty,
                       arg, &out)
        == DOI_WON)
    {
        return 1;
    }

    ngx_http_doi_ledger_process.sealed = ngx_current_msec;

    return 0;
}


static doi_result_t
ngx_http_doi_ledger_dirty(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    ngx_uint_t  any;

    any = 0;

    return view->scan(view, DOI_TABLE_DIRTY, arg, ngx_http_doi_ledger_any,
                      &any)
           == DOI_NOT_FOUND && any ? DOI_WON : DOI_CONFLICT;
}


static int
ngx_http_doi_ledger_any(void *data, doi_str_t key, doi_str_t value)
{
    ngx_uint_t *any = data;

    *any = 1;

    return DOI_NOT_FOUND;
}


/* Tokens and message ids that are over: first the ones, then the others. */

static void
ngx_http_doi_ledger_sweep(void)
{
    doi_consent_sweep_arg_t  *from;

    if (ngx_http_doi_ledger_process.sweeping
        || ngx_http_doi_ledger_process.sweep > ngx_http_doi_now())
    {
        return;
    }

    from = &ngx_http_doi_ledger_process.from;
    from->mark = (doi_time_t)
                 atomic_load_explicit(&ngx_http_doi_ledger_process.conf->stats
                                      ->store.clock_mark,
                                      memory_order_relaxed);
    from->limit = NGX_HTTP_DOI_LEDGER_ROWS;

    ngx_http_doi_ledger_process.sweeping =
        ngx_http_doi_submit(DOI_OP_CONSENT_SWEEP, from,
                            sizeof(doi_consent_sweep_arg_t),
                            ngx_http_doi_ledger_swept, NULL)
        == NGX_OK;
}


static void
ngx_http_doi_ledger_swept(void *data, doi_result_t result, doi_str_t answer)
{
    doi_consent_sweep_arg_t     *from;
    doi_consent_sweep_answer_t   a;

    static const u_char  zeros[DOI_CONSENT_SWEEP_KEY];

    ngx_http_doi_ledger_process.sweeping = 0;

    if (result != DOI_WON || answer.len < sizeof(a)) {
        return;
    }

    ngx_memcpy(&a, answer.data, sizeof(a));

    from = &ngx_http_doi_ledger_process.from;
    ngx_memcpy(from->from, a.next, DOI_CONSENT_SWEEP_KEY);

    if (ngx_memcmp(a.next, zeros, DOI_CONSENT_SWEEP_KEY) != 0) {
        return;
    }

    from->table = !from->table;

    if (from->table == 0) {
        ngx_http_doi_ledger_process.sweep = ngx_http_doi_now()
                                            + NGX_HTTP_DOI_LEDGER_SWEEP;
    }
}
