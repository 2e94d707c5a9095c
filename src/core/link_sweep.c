/*
 * SWEEP: what time does to links.
 *
 * Rows are collected by the scans and changed afterwards, because a scan does
 * not see what its own transaction writes.  Records are dropped first: a row of
 * DOI_TABLE_OPEN whose record is gone by then is skipped.
 *
 * A link may have 1000 claims, so what is decoded goes to one array that is
 * used again for every row, not to the view's memory.
 */

#include <string.h>

#include "link_ops.h"


/*
 * Rows in one transaction, however large a limit is asked for: other
 * operations wait for it.
 */

#define DOI_SWEEP_ROWS      4096


typedef struct {
    doi_view_t          *view;
    doi_time_t           now;
    doi_sweep_arg_t      arg;
    doi_sweep_answer_t   answer;
    uint32_t             left;      /* rows that this scan may look at */
    size_t               nids;
    uint8_t             *ids;       /* of the links to be worked on    */
    doi_claim_t         *claims;
} doi_sweep_t;


static int doi_sweep_init(doi_sweep_t *sweep);
static int doi_sweep_links(doi_sweep_t *sweep);
static int doi_sweep_link_row(void *data, doi_str_t key, doi_str_t value);
static int doi_sweep_past(const doi_link_t *link, doi_time_t mark);
static int doi_sweep_drop(doi_sweep_t *sweep, doi_link_t *link);
static int doi_sweep_open(doi_sweep_t *sweep);
static int doi_sweep_open_row(void *data, doi_str_t key, doi_str_t value);
static int doi_sweep_age(doi_sweep_t *sweep, doi_link_t *link);
static int doi_sweep_each(doi_sweep_t *sweep,
    int (*work)(doi_sweep_t *sweep, doi_link_t *link));


doi_result_t
doi_op_sweep(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    doi_sweep_t  sweep;

    if (arg.len != sizeof(doi_sweep_arg_t)) {
        return DOI_CONFLICT;
    }

    memset(&sweep, 0, sizeof(sweep));
    memcpy(&sweep.arg, arg.data, sizeof(doi_sweep_arg_t));
    sweep.view = view;
    sweep.now = now;

    if (doi_sweep_init(&sweep) != DOI_OK
        || doi_sweep_links(&sweep) != DOI_OK
        || doi_sweep_open(&sweep) != DOI_OK
        || doi_answer(out, &sweep.answer, sizeof(sweep.answer)) != DOI_OK)
    {
        return DOI_RETRY;
    }

    return DOI_WON;
}


static int
doi_sweep_init(doi_sweep_t *sweep)
{
    doi_view_t  *view;

    view = sweep->view;

    if (sweep->arg.limit > DOI_SWEEP_ROWS) {
        sweep->arg.limit = DOI_SWEEP_ROWS;
    }

    sweep->ids = view->alloc(view,
                             ((size_t) sweep->arg.limit + 1) * DOI_ID_SIZE);
    sweep->claims = view->alloc(view,
                                (DOI_USES_MAX + 1) * sizeof(doi_claim_t));

    return sweep->ids != NULL && sweep->claims != NULL ? DOI_OK : DOI_ERROR;
}


static int
doi_sweep_links(doi_sweep_t *sweep)
{
    int          rc;
    doi_str_t    from;
    doi_view_t  *view;

    view = sweep->view;

    sweep->nids = 0;
    sweep->left = sweep->arg.limit;

    from.data = sweep->arg.from;
    from.len = DOI_ID_SIZE;

    rc = view->scan(view, DOI_TABLE_LINKS, from, doi_sweep_link_row, sweep);

    if (rc != DOI_OK && rc != DOI_NOT_FOUND) {
        return DOI_ERROR;
    }

    return doi_sweep_each(sweep, doi_sweep_drop);
}


/* DOI_NOT_FOUND ends the scan. */

static int
doi_sweep_link_row(void *data, doi_str_t key, doi_str_t value)
{
    doi_sweep_t *sweep = data;

    doi_link_t  link;

    if (sweep->left == 0) {
        memcpy(sweep->answer.next, key.data,
               key.len < DOI_ID_SIZE ? key.len : DOI_ID_SIZE);
        return DOI_NOT_FOUND;
    }

    sweep->left--;
    sweep->answer.looked++;

    if (key.len == DOI_ID_SIZE
        && doi_link_parse(value, &link, sweep->claims, DOI_USES_MAX + 1)
           == DOI_OK
        && doi_sweep_past(&link, sweep->arg.mark))
    {
        memcpy(sweep->ids + sweep->nids * DOI_ID_SIZE, key.data, DOI_ID_SIZE);
        sweep->nids++;
    }

    return DOI_OK;
}


/*
 * By the mark alone, not by now: a wall clock that leapt ahead must not make
 * burned links forgotten, or they would live again when it is put right.  An
 * expiry that is not known is the largest there is, which no mark outlives.
 */

static int
doi_sweep_past(const doi_link_t *link, doi_time_t mark)
{
    int       state;
    size_t    i;
    uint64_t  keep;

    keep = DOI_KEEP_BURNED;

    for (i = 0; i < link->nclaims; i++) {
        state = doi_claim_state(&link->claims[i], mark);

        if (state != 0 && state != DOI_CLAIM_USED) {
            keep = DOI_KEEP_DOUBT;
            break;
        }
    }

    return mark >= (uint64_t) link->expires + keep;
}


static int
doi_sweep_drop(doi_sweep_t *sweep, doi_link_t *link)
{
    size_t       i;
    doi_str_t    key;
    doi_view_t  *view;

    view = sweep->view;

    for (i = 0; i < link->nclaims; i++) {
        if (doi_claim_row_del(view, link, &link->claims[i]) != DOI_OK) {
            return DOI_ERROR;
        }
    }

    sweep->answer.dropped++;

    key.data = link->id;
    key.len = DOI_ID_SIZE;

    return view->del(view, DOI_TABLE_LINKS, key) == DOI_OK ? DOI_OK
                                                           : DOI_ERROR;
}


static int
doi_sweep_open(doi_sweep_t *sweep)
{
    int          rc;
    uint8_t      row[DOI_OPEN_KEY_SIZE];
    doi_str_t    from;
    doi_view_t  *view;
    static const uint8_t  zero[DOI_ID_SIZE];

    view = sweep->view;

    sweep->nids = 0;
    sweep->left = sweep->arg.limit;

    /* Those at 0 wait for an operator, and may be many. */

    doi_open_key(1, zero, 0, row);

    from.data = row;
    from.len = sizeof(row);

    rc = view->scan(view, DOI_TABLE_OPEN, from, doi_sweep_open_row, sweep);

    if (rc != DOI_OK && rc != DOI_NOT_FOUND) {
        return DOI_ERROR;
    }

    return doi_sweep_each(sweep, doi_sweep_age);
}


static int
doi_sweep_open_row(void *data, doi_str_t key, doi_str_t value)
{
    doi_sweep_t *sweep = data;

    (void) value;

    if (sweep->left == 0) {
        return DOI_NOT_FOUND;
    }

    if (key.len != DOI_OPEN_KEY_SIZE) {
        sweep->left--;
        sweep->answer.looked++;
        return DOI_OK;
    }

    if (doi_get32(key.data) > sweep->now) {
        return DOI_NOT_FOUND;
    }

    sweep->left--;
    sweep->answer.looked++;

    memcpy(sweep->ids + sweep->nids * DOI_ID_SIZE, key.data + 4, DOI_ID_SIZE);
    sweep->nids++;

    return DOI_OK;
}


/*
 * Frees what is released by age.  A claim that is in doubt by age is written
 * down as such, which changes nothing for anybody, but moves its row to those
 * at 0: otherwise rows that stay would gather at the front, and the limit would
 * keep the scan from ever reaching a claim that can be freed.
 */

static int
doi_sweep_age(doi_sweep_t *sweep, doi_link_t *link)
{
    size_t        i;
    uint32_t      n;
    doi_claim_t  *claim;

    n = sweep->answer.released;

    if (doi_link_release_aged(sweep->view, link, sweep->now,
                              &sweep->answer.released)
        != DOI_OK)
    {
        return DOI_ERROR;
    }

    n = sweep->answer.released - n;

    for (i = 0; i < link->nclaims; i++) {
        claim = &link->claims[i];

        if (claim->state != DOI_CLAIM_CLAIMED
            || claim->deadline > sweep->now
            || claim->deadline > sweep->arg.mark)
        {
            continue;
        }

        if (doi_claim_doubt(sweep->view, link, claim, claim->deadline)
            != DOI_OK)
        {
            return DOI_ERROR;
        }

        n++;
    }

    if (n == 0) {
        return DOI_OK;
    }

    return doi_link_store_or_forget(sweep->view, link, sweep->now);
}


/* Rows that are gone or that cannot be understood are left alone. */

static int
doi_sweep_each(doi_sweep_t *sweep,
    int (*work)(doi_sweep_t *sweep, doi_link_t *link))
{
    int          rc;
    size_t       i;
    doi_str_t    key, value;
    doi_view_t  *view;
    doi_link_t   link;

    view = sweep->view;

    for (i = 0; i < sweep->nids; i++) {
        key.data = sweep->ids + i * DOI_ID_SIZE;
        key.len = DOI_ID_SIZE;

        rc = view->get(view, DOI_TABLE_LINKS, key, &value);

        if (rc == DOI_NOT_FOUND) {
            continue;
        }

        if (rc != DOI_OK) {
            return DOI_ERROR;
        }

        if (doi_link_parse(value, &link, sweep->claims, DOI_USES_MAX + 1)
            != DOI_OK)
        {
            continue;
        }

        memcpy(link.id, key.data, DOI_ID_SIZE);

        if (work(sweep, &link) != DOI_OK) {
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}
