/*
 * CRMs are brought up to date with what a contact has agreed to.
 *
 * An event of the outbox says of which contact, but not of which list: that
 * stands in the entry of the ledger that the event was written with, whose
 * number the ids of event and delivery are derived from.  What is sent is the
 * list's status now, so that tries that overtake each other end alike: a CRM
 * gets one of a contact at a time, and whichever is the last one has the newest
 * status.
 *
 * A change that came from a CRM makes no event.  If it comes while that CRM is
 * being told the opposite, it would be lost there: so it is looked for again
 * when the CRM has answered.
 */

#include "ngx_http_doi_consent.h"
#include "ngx_http_doi_courier.h"


#define NGX_HTTP_DOI_SYNC_TIMEOUT  20   /* seconds                           */
#define NGX_HTTP_DOI_SYNC_BACK     4096 /* entries that are looked at        */


typedef struct {
    ngx_http_doi_delivery_t   *d;
    doi_crm_change_t           change;  /* texts: of the pool                */
    ngx_uint_t                 found;
} ngx_http_doi_sync_read_t;


static ngx_int_t ngx_http_doi_sync_load(ngx_http_doi_delivery_t *d,
    ngx_http_doi_sync_read_t *read);
static doi_result_t ngx_http_doi_sync_read(doi_view_t *view, doi_time_t now,
    doi_str_t arg, doi_buf_t *out);
static int ngx_http_doi_sync_entry(doi_view_t *view,
    ngx_http_doi_delivery_t *d, const doi_contact_t *contact,
    uint8_t list_hash[DOI_LIST_HASH]);
static ngx_int_t ngx_http_doi_sync_list(ngx_http_doi_sync_t *sync,
    doi_str_t *list);
static ngx_int_t ngx_http_doi_sync_job(ngx_http_doi_delivery_t *d,
    const doi_crm_change_t *change, doi_job_t *job);


ngx_int_t
ngx_http_doi_deliver_sync(ngx_http_doi_delivery_t *d, doi_job_t *job)
{
    ngx_http_doi_sync_read_t  read;

    d->sync = ngx_http_doi_sync_find(d->conf, &d->row);

    if (d->sync == NULL) {
        d->why = "the configuration has no \"doi_sync\" with this URL any more";
        return NGX_DECLINED;
    }

    if (ngx_http_doi_sync_load(d, &read) != NGX_OK) {
        d->why = "the store cannot be read";
        return NGX_ERROR;
    }

    /* erased since then, or a list that the CRM does not have */

    if (!read.found
        || ngx_http_doi_sync_list(d->sync, &read.change.list) != NGX_OK)
    {
        return NGX_DONE;
    }

    d->told = read.change.status;

    return ngx_http_doi_sync_job(d, &read.change, job);
}


ngx_uint_t
ngx_http_doi_deliver_sync_paused(ngx_http_doi_main_conf_t *conf,
    const doi_outbox_t *row)
{
    ngx_http_doi_sync_t  *sync;

    if (row->kind != DOI_DELIVER_SYNC) {
        return 0;
    }

    sync = ngx_http_doi_sync_find(conf, row);

    return sync != NULL && ngx_http_doi_now() < sync->until;
}


ngx_http_doi_sync_t *
ngx_http_doi_sync_find(ngx_http_doi_main_conf_t *conf, const doi_outbox_t *row)
{
    ngx_uint_t            i;
    ngx_http_doi_sync_t  *sync;

    if (conf->syncs == NULL) {
        return NULL;
    }

    sync = conf->syncs->elts;

    for (i = 0; i < conf->syncs->nelts; i++) {
        if (ngx_memcmp(sync[i].target, row->target, DOI_TARGET_SIZE) == 0) {
            return &sync[i];
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_doi_sync_load(ngx_http_doi_delivery_t *d,
    ngx_http_doi_sync_read_t *read)
{
    doi_str_t  arg;
    doi_buf_t  out;

    ngx_memzero(read, sizeof(ngx_http_doi_sync_read_t));
    read->d = d;

    arg.data = (u_char *) read;
    arg.len = sizeof(ngx_http_doi_sync_read_t);
    ngx_memzero(&out, sizeof(doi_buf_t));

    return doi_store_read(ngx_http_doi_process_store(), ngx_http_doi_sync_read,
                          arg, &out)
           == DOI_WON
           ? NGX_OK : NGX_ERROR;
}


static doi_result_t
ngx_http_doi_sync_read(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                        rc;
    size_t                     i;
    uint8_t                    wanted[DOI_LIST_HASH], hash[DOI_LIST_HASH];
    doi_contact_t              contact;
    doi_contact_list_t        *list;
    doi_crm_change_t          *change;
    ngx_http_doi_sync_read_t  *read;

    read = (ngx_http_doi_sync_read_t *) arg.data;
    read->found = 0;

    rc = doi_contact_get(view, read->d->row.booking, &contact);

    if (rc == DOI_NOT_FOUND || (rc == DOI_OK && contact.erased)) {
        return DOI_WON;
    }

    if (rc == DOI_OK) {
        rc = ngx_http_doi_sync_entry(view, read->d, &contact, wanted);
    }

    if (rc != DOI_OK) {
        return rc == DOI_NOT_FOUND ? DOI_WON : DOI_RETRY;
    }

    for (i = 0; i < contact.nlists; i++) {
        list = &contact.lists[i];

        if (doi_list_hash(list->name, hash) != DOI_OK
            || ngx_memcmp(hash, wanted, DOI_LIST_HASH) != 0)
        {
            continue;
        }

        change = &read->change;

        change->channel = contact.channel;
        change->address = contact.address;
        change->person = contact.person;
        change->list = list->name;
        change->status = list->consent.state;
        change->source = list->source;
        change->since = list->consent.since;
        change->opted_in = list->consent.opted_in;
        change->now = now;

        if (ngx_http_doi_deliver_text(read->d, &change->address) != NGX_OK
            || ngx_http_doi_deliver_text(read->d, &change->person) != NGX_OK
            || ngx_http_doi_deliver_text(read->d, &change->list) != NGX_OK)
        {
            return DOI_RETRY;
        }

        read->found = 1;
        return DOI_WON;
    }

    return DOI_WON;
}


/* The entry of this delivery: most often the last one. */

static int
ngx_http_doi_sync_entry(doi_view_t *view, ngx_http_doi_delivery_t *d,
    const doi_contact_t *contact, uint8_t list_hash[DOI_LIST_HASH])
{
    int          rc;
    uint8_t      key[DOI_CONTACT_ID + 4], event[DOI_ID_SIZE], id[DOI_ID_SIZE];
    uint32_t     seq, last;
    doi_str_t    k, row, none = { NULL, 0 };
    doi_entry_t  entry;

    last = contact->head_seq > NGX_HTTP_DOI_SYNC_BACK
           ? contact->head_seq - NGX_HTTP_DOI_SYNC_BACK : 0;

    for (seq = contact->head_seq; seq > last; seq--) {

        doi_event_id(contact->id, DOI_EVENT_CONSENT, seq, event);
        doi_delivery_id(event, DOI_DELIVER_SYNC, d->row.target, id);

        if (ngx_memcmp(id, d->row.id, DOI_ID_SIZE) != 0) {
            continue;
        }

        ngx_memcpy(key, contact->id, DOI_CONTACT_ID);
        doi_put32(key + DOI_CONTACT_ID, seq);

        k.data = key;
        k.len = sizeof(key);

        rc = view->get(view, DOI_TABLE_LEDGER, k, &row);
        if (rc != DOI_OK) {
            return rc;
        }

        if (doi_entry_decode(row, none, &entry) != DOI_OK) {
            return DOI_NOT_FOUND;
        }

        ngx_memcpy(list_hash, entry.list_hash, DOI_LIST_HASH);

        return DOI_OK;
    }

    return DOI_NOT_FOUND;
}


/* The CRM's name of the list; NGX_DECLINED: it does not have it. */

static ngx_int_t
ngx_http_doi_sync_list(ngx_http_doi_sync_t *sync, doi_str_t *list)
{
    ngx_uint_t     i;
    ngx_keyval_t  *kv;

    if (sync->lists == NULL) {
        return sync->crm == DOI_CRM_HUBSPOT ? NGX_DECLINED : NGX_OK;
    }

    kv = sync->lists->elts;

    for (i = 0; i < sync->lists->nelts; i++) {

        if (kv[i].key.len == list->len
            && ngx_memcmp(kv[i].key.data, list->data, list->len) == 0)
        {
            list->data = kv[i].value.data;
            list->len = kv[i].value.len;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_doi_sync_job(ngx_http_doi_delivery_t *d,
    const doi_crm_change_t *change, doi_job_t *job)
{
    int                  rc;
    doi_crm_change_t     c;
    doi_http_request_t  *request;

    request = ngx_http_doi_deliver_request(d);
    if (request == NULL) {
        return NGX_ERROR;
    }

    c = *change;
    c.url = (const char *) d->sync->url.data;
    c.secret.data = d->sync->secret.data;
    c.secret.len = d->sync->secret.len;
    c.id.data = d->id;
    c.id.len = DOI_ID_CHARS;
    c.now = (doi_time_t) ngx_time();

    rc = doi_crm_request(d->sync->crm, &c, request);

    if (rc == DOI_NOT_FOUND) {
        return NGX_DONE;
    }

    if (rc != DOI_OK) {
        d->why = "the change cannot be written for this CRM";
        return NGX_DECLINED;
    }

    ngx_http_doi_deliver_http(job, request);

    job->ca_file = (char *) d->sync->ca_file.data;
    job->timeout = NGX_HTTP_DOI_SYNC_TIMEOUT;
    job->private_ok = d->sync->private_ok ? 1 : 0;

    return NGX_OK;
}


ngx_int_t
ngx_http_doi_deliver_sync_result(ngx_http_doi_delivery_t *d,
    doi_job_result_t *result, char *text, size_t size)
{
    unsigned                  wait;
    ngx_http_doi_sync_read_t  read;

    /* without a status there is no answer to be understood */

    if (result->code == 0 || d->sync == NULL) {
        return NGX_OK;
    }

    switch (doi_crm_answer(d->sync->crm, result->code, result->body, text,
                           size))
    {
    case DOI_ANSWER_DONE:
        result->outcome = DOI_JOB_DONE;
        break;

    case DOI_ANSWER_TEMPORARY:
        result->outcome = DOI_JOB_TEMPORARY;
        break;

    default: /* DOI_ANSWER_PERMANENT, DOI_ANSWER_OPTED_OUT */
        result->outcome = DOI_JOB_PERMANENT;
    }

    result->text = text;

    if (result->outcome == DOI_JOB_TEMPORARY && result->retry_after) {

        /* what it says holds for all that it is told */

        wait = ngx_min(result->retry_after, NGX_HTTP_DOI_WAIT_MAX);
        d->sync->until = ngx_max(d->sync->until, ngx_http_doi_now() + wait);
    }

    if (result->outcome != DOI_JOB_DONE
        || ngx_http_doi_sync_load(d, &read) != NGX_OK || !read.found)
    {
        return NGX_OK;
    }

    return (read.change.source == DOI_SOURCE_SYNC
            && (ngx_uint_t) read.change.status != d->told)
           ? NGX_AGAIN : NGX_OK;
}
