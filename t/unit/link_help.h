/*
 * Short ways to run transactions on links over the test view.  Attempts and
 * browsers are one character, repeated; browser 0 is nobody.
 */

#ifndef LINK_HELP_H
#define LINK_HELP_H

#include <stdio.h>

#include "view.h"


#define T       1700000000u         /* some moment */
#define ID1     ((const uint8_t *) "\x65\x53\xf1\x00" "12345678")


static inline doi_result_t
run(test_store_t *store, unsigned op, doi_time_t now, const void *arg,
    size_t len, test_answer_t *a)
{
    doi_str_t  str;

    str.data = arg;
    str.len = len;

    return test_run(store, op, now, str, a);
}


static inline doi_result_t
claim(test_store_t *store, doi_time_t now, const uint8_t *id,
    doi_time_t expires, uint32_t timeout, int attempt, int browser,
    uint32_t flags, test_answer_t *a)
{
    doi_claim_arg_t  arg;

    memcpy(arg.id, id, DOI_ID_SIZE);
    arg.expires = expires;
    arg.timeout = timeout;
    memset(arg.attempt, attempt, DOI_ATTEMPT_SIZE);
    memset(arg.browser, browser, DOI_BROWSER_SIZE);
    arg.flags = flags;

    return run(store, DOI_OP_LINK_CLAIM, now, &arg, sizeof(arg), a);
}


static inline doi_result_t
settle_status(test_store_t *store, doi_time_t now, const uint8_t *id,
    int attempt, int outcome, int status, test_answer_t *a)
{
    doi_settle_arg_t  arg;

    memcpy(arg.id, id, DOI_ID_SIZE);
    memset(arg.attempt, attempt, DOI_ATTEMPT_SIZE);
    arg.outcome = (uint16_t) outcome;
    arg.status = (uint16_t) status;

    return run(store, DOI_OP_LINK_SETTLE, now, &arg, sizeof(arg), a);
}


static inline doi_result_t
settle(test_store_t *store, doi_time_t now, const uint8_t *id, int attempt,
    int outcome, test_answer_t *a)
{
    return settle_status(store, now, id, attempt, outcome, 0, a);
}


static inline doi_result_t
look(test_store_t *store, doi_time_t now, const uint8_t *id, int browser,
    test_answer_t *a)
{
    doi_read_arg_t  arg;

    memcpy(arg.id, id, DOI_ID_SIZE);
    memset(arg.browser, browser, DOI_BROWSER_SIZE);

    return run(store, DOI_OP_LINK_READ, now, &arg, sizeof(arg), a);
}


static inline size_t
append(uint8_t *p, size_t at, const void *data, size_t len)
{
    memcpy(p + at, data, len);

    return at + len;
}


static inline doi_result_t
operate(test_store_t *store, unsigned op, doi_time_t now, const uint8_t *id,
    int outcome, int slot, const char *actor, const char *reason,
    test_answer_t *a)
{
    size_t              len;
    uint8_t             bytes[4096];
    doi_operator_arg_t  arg;

    memcpy(arg.id, id, DOI_ID_SIZE);
    arg.outcome = (uint16_t) outcome;
    arg.slot = (uint16_t) slot;
    arg.actor_len = (uint16_t) strlen(actor);
    arg.reason_len = (uint16_t) strlen(reason);

    len = append(bytes, 0, &arg, sizeof(arg));
    len = append(bytes, len, actor, arg.actor_len);
    len = append(bytes, len, reason, arg.reason_len);

    return run(store, op, now, bytes, len, a);
}


static inline doi_result_t
mint(test_store_t *store, doi_time_t now, const uint8_t *ids, unsigned count,
    doi_time_t expires, unsigned uses, const char *scope, const char *meta,
    const char *actor, test_answer_t *a)
{
    size_t          len;
    uint8_t         bytes[16384];
    doi_mint_arg_t  arg;

    arg.expires = expires;
    arg.count = (uint16_t) count;
    arg.uses = (uint16_t) uses;
    arg.scope_len = (uint16_t) strlen(scope);
    arg.meta_len = (uint16_t) strlen(meta);
    arg.actor_len = (uint16_t) strlen(actor);
    arg.pad = 0;

    len = append(bytes, 0, &arg, sizeof(arg));
    len = append(bytes, len, ids, (size_t) count * DOI_ID_SIZE);
    len = append(bytes, len, scope, arg.scope_len);
    len = append(bytes, len, meta, arg.meta_len);
    len = append(bytes, len, actor, arg.actor_len);

    return run(store, DOI_OP_LINK_MINT, now, bytes, len, a);
}


static inline doi_result_t
sweep(test_store_t *store, doi_time_t now, doi_time_t mark, uint32_t limit,
    const uint8_t *from, test_answer_t *a)
{
    doi_sweep_arg_t  arg;

    memset(&arg, 0, sizeof(arg));
    arg.mark = mark;
    arg.limit = limit;

    if (from != NULL) {
        memcpy(arg.from, from, DOI_ID_SIZE);
    }

    return run(store, DOI_OP_SWEEP, now, &arg, sizeof(arg), a);
}


static inline doi_link_answer_t
link_answer(const test_answer_t *a)
{
    doi_link_answer_t  told;

    memset(&told, 0, sizeof(told));

    if (a->len == sizeof(told)) {
        memcpy(&told, a->data, sizeof(told));
    }

    return told;
}


static inline doi_sweep_answer_t
sweep_answer(const test_answer_t *a)
{
    doi_sweep_answer_t  told;

    memset(&told, 0, sizeof(told));

    if (a->len == sizeof(told)) {
        memcpy(&told, a->data, sizeof(told));
    }

    return told;
}


/*
 * The record under id, decoded into static memory until the next call; 0 if
 * there is none.
 */

static inline int
get_link(test_store_t *store, const uint8_t *id, doi_link_t *link)
{
    unsigned            applied;
    doi_str_t           value;
    const test_row_t   *row;
    static doi_claim_t  claims[DOI_USES_MAX + 1];

    memset(link, 0, sizeof(doi_link_t));
    link->claims = claims;

    row = test_rows_get(&store->tables[DOI_TABLE_LINKS], id, DOI_ID_SIZE);

    if (row == NULL) {
        return 0;
    }

    value.data = row->value;
    value.len = row->vlen;

    applied = store->applied;
    test_begin(store);

    if (doi_link_decode(&store->view, value, link) != DOI_OK) {
        printf("# a record does not decode\n");
        abort();
    }

    memcpy(claims, link->claims, link->nclaims * sizeof(doi_claim_t));
    link->claims = claims;
    memcpy(link->id, id, DOI_ID_SIZE);
    test_end(store, 0);
    store->applied = applied;

    return 1;
}


/* The key of a claim's open row, by the comment in link.h; 0: has none. */

static inline int
open_key(const doi_link_t *link, const doi_claim_t *c, uint8_t *key)
{
    doi_time_t  deadline;

    if (c->state == DOI_CLAIM_USED) {
        return 0;
    }

    deadline = c->state == DOI_CLAIM_IN_DOUBT
               && !(c->flags & DOI_CLAIM_RELEASE) ? 0 : c->deadline;

    doi_open_key(deadline, link->id, c->slot, key);

    return 1;
}


/* Stores a link with the open rows of its claims. */

static inline void
put_link(test_store_t *store, const doi_link_t *link)
{
    size_t     i;
    uint8_t    bytes[65536], row[DOI_OPEN_KEY_SIZE];
    doi_buf_t  buf = { bytes, 0, sizeof(bytes) };
    doi_str_t  key, value;

    if (doi_link_encode(link, &buf) != DOI_OK) {
        abort();
    }

    key.data = link->id;
    key.len = DOI_ID_SIZE;
    value.data = buf.data;
    value.len = buf.len;
    test_store_set(store, DOI_TABLE_LINKS, key, value);

    for (i = 0; i < link->nclaims; i++) {
        if (open_key(link, &link->claims[i], row)) {
            key.data = row;
            key.len = sizeof(row);
            value.len = 0;
            test_store_set(store, DOI_TABLE_OPEN, key, value);
        }
    }
}


/* Do the open rows match the unsettled claims, one to one? */

static inline int
check_store(test_store_t *store)
{
    size_t             i, j, n;
    uint8_t            key[DOI_OPEN_KEY_SIZE];
    doi_link_t         link;
    const test_row_t  *row;

    n = 0;

    for (i = 0; i < store->tables[DOI_TABLE_LINKS].n; i++) {
        row = &store->tables[DOI_TABLE_LINKS].rows[i];

        if (!get_link(store, row->key, &link)) {
            return 0;
        }

        for (j = 0; j < link.nclaims; j++) {
            if (!open_key(&link, &link.claims[j], key)) {
                continue;
            }

            n++;
            row = test_rows_get(&store->tables[DOI_TABLE_OPEN], key,
                                sizeof(key));

            if (row == NULL || row->vlen != 0) {
                return 0;
            }
        }
    }

    return n == store->tables[DOI_TABLE_OPEN].n;
}

#endif /* LINK_HELP_H */
