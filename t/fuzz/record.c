/*
 * libFuzzer target for link records and the transactions on links.
 *
 *   clang -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined \
 *       t/fuzz/record.c src/core/record.c src/core/link.c \
 *       src/core/link_ops.c src/core/link_admin.c src/core/link_sweep.c
 *
 * The first byte chooses: 0 a record to decode; else steps, each of an op, a
 * few seconds of time, a length and that many bytes of argument.  Ids get few
 * values, so that steps meet each other's links.  One step may plant bytes as a
 * record, to see the ops over whatever a store may hold.
 */

#include "../unit/link_help.h"


static test_answer_t  first, second;


static void
must(int cond)
{
    if (!cond) {
        abort();
    }
}


static void
fuzz_decode(const uint8_t *data, size_t size)
{
    doi_str_t     value;
    doi_buf_t     out = { first.data, 0, sizeof(first.data) };
    doi_link_t    link;
    test_store_t  store = { 0 };

    value.data = data;
    value.len = size;

    test_begin(&store);

    if (doi_link_decode(&store.view, value, &link) == DOI_OK) {
        must(doi_link_encode(&link, &out) == DOI_OK);
        must(out.len == size && memcmp(out.data, data, size) == 0);
        (void) doi_link_state(&link, link.expires - 1, data, NULL);
    }

    test_end(&store, 0);
}


/* A record under one of the ids, with the open rows that it calls for. */

static void
plant(test_store_t *store, const uint8_t *data, size_t size)
{
    int         good;
    doi_str_t   key, value;
    doi_link_t  link;
    uint8_t     id[DOI_ID_SIZE] = { 0 };

    value.data = data;
    value.len = size;
    key.data = id;
    key.len = sizeof(id);

    if (test_rows_get(&store->tables[DOI_TABLE_LINKS], id, sizeof(id))) {
        return;
    }

    test_begin(store);
    good = doi_link_decode(&store->view, value, &link) == DOI_OK;
    memset(link.id, 0, DOI_ID_SIZE);

    if (good) {
        put_link(store, &link);
    } else {
        test_store_set(store, DOI_TABLE_LINKS, key, value);
    }

    test_end(store, 0);
}


/* Only a planted record may be unreadable; without one, all must agree. */

static int
readable(test_store_t *store)
{
    int         good;
    size_t      i;
    doi_str_t   value;
    doi_link_t  link;

    good = 1;

    for (i = 0; i < store->tables[DOI_TABLE_LINKS].n; i++) {
        value.data = store->tables[DOI_TABLE_LINKS].rows[i].value;
        value.len = store->tables[DOI_TABLE_LINKS].rows[i].vlen;

        test_begin(store);
        good &= doi_link_decode(&store->view, value, &link) == DOI_OK;
        test_end(store, 0);
    }

    return good;
}


static void
step(test_store_t *store, unsigned op, doi_time_t now, const uint8_t *data,
    size_t len)
{
    size_t               i;
    uint8_t             *arg;
    doi_result_t         result;
    static test_store_t  copy;

    /* A block of exactly that size: reading past it is seen. */

    arg = malloc(len ? len : 1);
    must(arg != NULL);

    if (len) {
        memcpy(arg, data, len);
    }

    for (i = 1; op != DOI_OP_LINK_MINT && i < DOI_ID_SIZE && i < len; i++) {
        arg[i] = 0;
    }

    if (op != DOI_OP_LINK_MINT && op != DOI_OP_SWEEP && len) {
        arg[0] &= 1;
    }

    test_store_copy(&copy, store);

    result = run(store, op, now, arg, len, &first);
    must(result == DOI_WON || result == DOI_CONFLICT || result == DOI_RETRY);

    if (result != DOI_WON) {
        must(test_store_same(store, &copy));
    }

    if (readable(store)) {
        must(result != DOI_RETRY);
        must(check_store(store));

        test_store_copy(&copy, store);
        must(op == DOI_OP_SWEEP
             || run(store, op, now, arg, len, &second) == result
             || op == DOI_OP_LINK_RESOLVE);
        must(op == DOI_OP_SWEEP || test_store_same(store, &copy));
    }

    free(arg);
    test_store_free(&copy);
}


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t        len;
    unsigned      op;
    doi_time_t    now;
    test_store_t  store = { 0 };

    if (size == 0) {
        return 0;
    }

    if (data[0] == 0) {
        fuzz_decode(data + 1, size - 1);
        return 0;
    }

    now = (doi_time_t) data[0] << 24;
    data++;
    size--;

    while (size >= 3) {
        op = data[0] % (DOI_OPS + 1);
        now += data[1];
        len = data[2];
        data += 3;
        size -= 3;

        if (len > size) {
            len = size;
        }

        if (op == 0 || op == DOI_OPS) {
            plant(&store, data, len);
        } else {
            step(&store, op, now, data, len);
        }

        data += len;
        size -= len;
    }

    test_store_free(&store);

    return 0;
}
