/*
 * Toy transactions for the tests of the store: small enough that what they
 * must leave behind is plain to see.  Numbers are far from those of link.h.
 */

#ifndef STORE_TOY_H
#define STORE_TOY_H

#include <stdlib.h>
#include <string.h>

#include "../../src/core/link.h"
#include "../../src/store/store_internal.h"


enum {
    TOY_SET = 1000,     /* key_len (1), key, value                            */
    TOY_GET,            /* key -> value, or CONFLICT                          */
    TOY_DEL,            /* key                                                */
    TOY_HALF,           /* key: writes, then gives up with CONFLICT           */
    TOY_HALF_RETRY,     /* the same with RETRY                                */
    TOY_OWN,            /* key: sees its own writes?                          */
    TOY_SCAN,           /* from -> keys, each with its length before it       */
    TOY_CLAIM,          /* toy_claim_t                                        */
    TOY_COUNT,          /* toy_claim_t: adds one, once for each attempt       */
    TOY_NOW,            /* -> the clock                                       */
    TOY_LOOK,           /* key -> value; "c" asks for another look            */
    TOY_MANY,           /* count (4): so many rows at once                    */
    TOY_BIG,            /* a put that is too long                             */
    TOY_ANSWER          /* -> the longest answer there is                     */
};

typedef struct {
    uint8_t   attempt[16];
    uint64_t  key;
} toy_claim_t;


static inline doi_str_t
toy_str(const void *data, size_t len)
{
    doi_str_t  s;

    s.data = data;
    s.len = len;

    return s;
}


static inline doi_result_t
toy_out(doi_buf_t *out, const void *data, size_t len)
{
    if (out->size - out->len < len) {
        return DOI_RETRY;
    }

    memcpy(out->data + out->len, data, len);
    out->len += len;

    return DOI_WON;
}


static doi_result_t
toy_set(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    size_t  klen;

    (void) now;
    (void) out;

    klen = arg.data[0];

    if (view->put(view, DOI_TABLE_LINKS, toy_str(arg.data + 1, klen),
                  toy_str(arg.data + 1 + klen, arg.len - 1 - klen))
        != DOI_OK)
    {
        return DOI_RETRY;
    }

    return DOI_WON;
}


static doi_result_t
toy_get(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    doi_str_t  value;

    (void) now;

    switch (view->get(view, DOI_TABLE_LINKS, arg, &value)) {
    case DOI_OK:
        return toy_out(out, value.data, value.len);
    case DOI_NOT_FOUND:
        return DOI_CONFLICT;
    default:
        return DOI_RETRY;
    }
}


static doi_result_t
toy_look(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    return toy_get(view, now, arg, out);
}


static doi_result_t
toy_del(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    (void) now;
    (void) out;

    return view->del(view, DOI_TABLE_LINKS, arg) == DOI_OK ? DOI_WON
                                                           : DOI_RETRY;
}


static doi_result_t
toy_half(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    (void) now;

    (void) view->put(view, DOI_TABLE_LINKS, arg, toy_str("half", 4));
    (void) toy_out(out, "why", 3);

    return DOI_CONFLICT;
}


static doi_result_t
toy_half_retry(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    (void) toy_half(view, now, arg, out);

    return DOI_RETRY;
}


static doi_result_t
toy_own(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    uint8_t    *p;
    doi_str_t   first, value;

    (void) now;

    if (view->put(view, DOI_TABLE_LINKS, arg, toy_str("one", 3)) != DOI_OK
        || view->get(view, DOI_TABLE_LINKS, arg, &first) != DOI_OK
        || view->put(view, DOI_TABLE_LINKS, arg, toy_str("three", 5)) != DOI_OK
        || view->get(view, DOI_TABLE_LINKS, arg, &value) != DOI_OK)
    {
        return DOI_RETRY;
    }

    /* A value stays valid when the row is written again. */

    if (first.len != 3 || memcmp(first.data, "one", 3) != 0
        || value.len != 5 || memcmp(value.data, "three", 5) != 0)
    {
        return DOI_CONFLICT;
    }

    p = view->alloc(view, 1000);

    if (p == NULL || (uintptr_t) p % 16 != 0) {
        return DOI_CONFLICT;
    }

    memset(p, 1, 1000);

    if (view->del(view, DOI_TABLE_LINKS, arg) != DOI_OK
        || view->get(view, DOI_TABLE_LINKS, arg, &value) != DOI_NOT_FOUND
        || view->get(view, DOI_TABLE_OPEN, arg, &value) != DOI_NOT_FOUND
        || view->put(view, DOI_TABLE_LINKS, arg, toy_str("", 0)) != DOI_OK
        || view->get(view, DOI_TABLE_LINKS, arg, &value) != DOI_OK
        || value.len != 0)
    {
        return DOI_CONFLICT;
    }

    return toy_out(out, "ok", 2);
}


static int
toy_scan_row(void *data, doi_str_t key, doi_str_t value)
{
    uint8_t  len;

    (void) value;

    len = (uint8_t) key.len;

    return toy_out(data, &len, 1) == DOI_WON
           && toy_out(data, key.data, key.len) == DOI_WON ? DOI_OK : 7;
}


static doi_result_t
toy_scan(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    (void) now;

    return view->scan(view, DOI_TABLE_LINKS, arg, toy_scan_row, out) == DOI_OK
           ? DOI_WON : DOI_CONFLICT;
}


static doi_result_t
toy_claim(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    doi_str_t    value, key;
    toy_claim_t  c;

    (void) now;

    memcpy(&c, arg.data, sizeof(c));
    key = toy_str(&c.key, sizeof(c.key));

    switch (view->get(view, DOI_TABLE_LINKS, key, &value)) {

    case DOI_OK:
        (void) toy_out(out, value.data, value.len);
        return memcmp(value.data, c.attempt, 16) == 0 ? DOI_WON
                                                      : DOI_CONFLICT;
    case DOI_NOT_FOUND:
        (void) toy_out(out, c.attempt, 16);
        return view->put(view, DOI_TABLE_LINKS, key, toy_str(c.attempt, 16))
               == DOI_OK ? DOI_WON : DOI_RETRY;
    default:
        return DOI_RETRY;
    }
}


static doi_result_t
toy_count(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    uint64_t     n;
    doi_str_t    value, key, attempt;
    toy_claim_t  c;

    (void) now;
    (void) out;

    memcpy(&c, arg.data, sizeof(c));
    key = toy_str(&c.key, sizeof(c.key));
    attempt = toy_str(c.attempt, 16);
    n = 0;

    switch (view->get(view, DOI_TABLE_OPEN, attempt, &value)) {
    case DOI_OK:
        return DOI_WON;
    case DOI_NOT_FOUND:
        break;
    default:
        return DOI_RETRY;
    }

    switch (view->get(view, DOI_TABLE_LINKS, key, &value)) {
    case DOI_OK:
        memcpy(&n, value.data, sizeof(n));
        break;
    case DOI_NOT_FOUND:
        break;
    default:
        return DOI_RETRY;
    }

    n++;

    if (view->put(view, DOI_TABLE_LINKS, key, toy_str(&n, sizeof(n)))
        != DOI_OK
        || view->put(view, DOI_TABLE_OPEN, attempt, toy_str("", 0)) != DOI_OK)
    {
        return DOI_RETRY;
    }

    return DOI_WON;
}


static doi_result_t
toy_now(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    (void) view;
    (void) arg;

    return toy_out(out, &now, sizeof(now));
}


static doi_result_t
toy_many(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    uint8_t   key[8];
    uint32_t  i, n;

    (void) now;
    (void) out;

    memcpy(&n, arg.data, sizeof(n));

    for (i = 0; i < n; i++) {
        memcpy(key, "many", 4);
        key[4] = (uint8_t) (i >> 24);
        key[5] = (uint8_t) (i >> 16);
        key[6] = (uint8_t) (i >> 8);
        key[7] = (uint8_t) i;

        if (view->put(view, DOI_TABLE_OPEN, toy_str(key, 8),
                      toy_str(&i, sizeof(i)))
            != DOI_OK)
        {
            return DOI_RETRY;
        }
    }

    return DOI_WON;
}


static doi_result_t
toy_big(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    uint8_t  *p;

    (void) now;
    (void) out;

    p = view->alloc(view, DOI_VALUE_MAX + 1);
    if (p == NULL) {
        return DOI_RETRY;
    }

    memset(p, 0, DOI_VALUE_MAX + 1);

    /* It does not look at the error, as a careless function might. */

    (void) view->put(view, DOI_TABLE_LINKS, toy_str("ok", 2),
                     toy_str(p, 10));
    (void) view->put(view, DOI_TABLE_LINKS, arg,
                     toy_str(p, DOI_VALUE_MAX + 1));
    return DOI_WON;
}


static doi_result_t
toy_answer(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    (void) view;
    (void) now;
    (void) arg;

    memset(out->data, 'x', out->size);
    out->len = out->size;

    return DOI_WON;
}


static doi_txn_pt
toy_function(unsigned op)
{
    static const doi_txn_pt  functions[] = {
        toy_set, toy_get, toy_del, toy_half, toy_half_retry, toy_own, toy_scan,
        toy_claim, toy_count, toy_now, toy_look, toy_many, toy_big, toy_answer
    };

    if (op < TOY_SET || op > TOY_ANSWER) {
        return NULL;
    }

    return functions[op - TOY_SET];
}


static int
toy_again(unsigned op, doi_result_t result, doi_str_t answer)
{
    return op == TOY_LOOK && result == DOI_WON && answer.len == 1
           && answer.data[0] == 'c';
}


static const doi_store_hooks_t  toy_hooks = {
    toy_function,
    toy_again,
    NULL,
    DOI_WIRE_VERSION,
    0,
    NULL,
    0,
    0,
    0,
    0
};


static inline size_t
toy_set_arg(uint8_t *arg, const void *key, size_t klen, const void *value,
    size_t vlen)
{
    arg[0] = (uint8_t) klen;
    memcpy(arg + 1, key, klen);

    if (vlen != 0) {
        memcpy(arg + 1 + klen, value, vlen);
    }

    return 1 + klen + vlen;
}

#endif /* STORE_TOY_H */
