/*
 * Shared by the tests of the log: a store, and operations that are waited for.
 */

#ifndef STORE_LOG_HELP_H
#define STORE_LOG_HELP_H

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "store_toy.h"


typedef struct {
    unsigned      calls;
    doi_result_t  result;
} answer_t;


/* Each test's own; NULL and err: it does not open. */
static doi_store_t *try_store(const char *path, char *err, size_t errsize);


static inline doi_store_t *
open_store(const char *path)
{
    char          err[1024];
    doi_store_t  *store;

    store = try_store(path, err, sizeof(err));

    if (store == NULL) {
        printf("Bail out! %s\n", err);
        exit(1);
    }

    return store;
}


static inline void
turn(doi_store_t *store, int ms)
{
    struct pollfd  pfd;

    doi_store_flush(store);

    pfd.fd = doi_store_fd(store);
    pfd.events = POLLIN;

    if (poll(&pfd, 1, ms) > 0) {
        doi_store_dispatch(store);
    }
}


static inline void
one_done(void *data, doi_result_t result, doi_str_t answer)
{
    answer_t  *a;

    (void) answer;

    a = data;
    a->calls++;
    a->result = result;
}


static inline int
one(doi_store_t *store, unsigned op, const void *arg, size_t len)
{
    unsigned  i;
    answer_t  a = { 0, DOI_RETRY };

    if (doi_store_submit(store, op, toy_str(arg, len), one_done, &a) != DOI_OK)
    {
        return 99;
    }

    for (i = 0; i < 10000 && a.calls == 0; i++) {
        turn(store, 1000);
    }

    return a.calls == 1 ? (int) a.result : 98;
}


static inline int
set(doi_store_t *store, const char *key, const char *value)
{
    uint8_t  arg[512];

    return one(store, TOY_SET, arg,
               toy_set_arg(arg, key, strlen(key), value, strlen(value)));
}


static inline int
has(doi_store_t *store, const char *key, const char *value)
{
    uint8_t       bytes[512];
    doi_buf_t     out = { bytes, 0, sizeof(bytes) };
    doi_result_t  result;

    result = doi_store_read(store, toy_get, toy_str(key, strlen(key)), &out);

    if (value == NULL) {
        return result == DOI_CONFLICT;
    }

    return result == DOI_WON && out.len == strlen(value)
           && memcmp(bytes, value, out.len) == 0;
}


static inline void __attribute__((format(printf, 1, 2)))
run(const char *fmt, ...)
{
    char     cmd[2048];
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(cmd, sizeof(cmd), fmt, args);
    va_end(args);

    if (system(cmd) != 0) {
        printf("Bail out! %s\n", cmd);
        exit(1);
    }
}

#endif /* STORE_LOG_HELP_H */
