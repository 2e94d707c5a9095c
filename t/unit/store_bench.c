/*
 * How many durable operations a second: N processes that share a store, with
 * M operations in flight in all of them together.
 *
 *   store_bench [seconds [directory]]
 *
 * Each operation claims a key of its own, so each writes a row.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "store_toy.h"


typedef struct {
    doi_store_stats_t  stats;
    _Atomic uint64_t   won;
    _Atomic uint64_t   failed;
    _Atomic uint64_t   wait_us;
    _Atomic uint64_t   worst_us;
} shared_t;

typedef struct {
    doi_store_t  *store;
    toy_claim_t   claim;
    uint64_t      start;
} slot_t;

static shared_t  *shared;
static uint64_t   stop_at, serial;


static void next(slot_t *slot);


static void
done(void *data, doi_result_t result, doi_str_t answer)
{
    slot_t   *slot;
    uint64_t  us;

    (void) answer;

    slot = data;
    us = (doi_store_ns() - slot->start) / 1000;

    if (result == DOI_WON) {
        shared->won++;
        shared->wait_us += us;

    } else {
        shared->failed++;
    }

    if (us > shared->worst_us) {
        shared->worst_us = us;
    }

    next(slot);
}


static void
next(slot_t *slot)
{
    slot->start = doi_store_ns();

    if (slot->start >= stop_at) {
        return;
    }

    /* As ids of tokens are: nearly in order of time. */

    serial++;
    slot->claim.key = __builtin_bswap64((doi_store_ns() << 8)
                                        + (uint64_t) getpid() % 256);
    memcpy(slot->claim.attempt, &serial, sizeof(serial));

    if (doi_store_submit(slot->store, TOY_CLAIM,
                         toy_str(&slot->claim, sizeof(slot->claim)),
                         done, slot)
        != DOI_OK)
    {
        shared->failed++;
    }
}


static void
worker(const char *dir, unsigned slots)
{
    char              err[1024];
    slot_t           *s;
    unsigned          i;
    doi_store_t      *store;
    struct pollfd     pfd;
    doi_store_conf_t  conf;

    memset(&conf, 0, sizeof(conf));
    conf.path = dir;
    conf.size = 1073741824;
    conf.queue_max = 4096;
    conf.timeout_ms = 5000;
    conf.stats = &shared->stats;

    if (doi_store_lmdb_open_hooks(&conf, &toy_hooks, &store, err, sizeof(err))
        != DOI_OK)
    {
        printf("%s\n", err);
        _exit(1);
    }

    s = calloc(slots, sizeof(slot_t));

    for (i = 0; s != NULL && i < slots; i++) {
        s[i].store = store;
        next(&s[i]);
    }

    doi_store_flush(store);

    pfd.fd = doi_store_fd(store);
    pfd.events = POLLIN;

    while (doi_store_pending(store) != 0) {
        if (poll(&pfd, 1, 1000) > 0) {
            doi_store_dispatch(store);
        }
    }

    doi_store_close(store, 1000);
    free(s);
    _exit(0);
}


int
main(int argc, char **argv)
{
    char      dir[600], cmd[700];
    double    seconds;
    size_t    p, m;
    unsigned  i;

    static const unsigned  procs[] = { 1, 8 };
    static const unsigned  flights[] = { 16, 64, 256 };

    seconds = argc > 1 ? atof(argv[1]) : 3;

    printf("%9s %9s %10s %10s %10s %9s %9s\n", "processes", "in flight",
           "ops/s", "commits/s", "ops/commit", "mean us", "worst us");

    for (p = 0; p < 2; p++) {
        for (m = 0; m < 3; m++) {

            (void) snprintf(dir, sizeof(dir), "%.500s/doi-bench-XXXXXX",
                            argc > 2 ? argv[2] : "/tmp");

            if (mkdtemp(dir) == NULL) {
                return 1;
            }

            shared = mmap(NULL, sizeof(shared_t), PROT_READ|PROT_WRITE,
                          MAP_SHARED|MAP_ANONYMOUS, -1, 0);
            if (shared == MAP_FAILED) {
                return 1;
            }

            stop_at = doi_store_ns() + (uint64_t) (seconds * 1e9);
            (void) fflush(stdout);

            for (i = 0; i < procs[p]; i++) {
                if (fork() == 0) {
                    worker(dir, flights[m] / procs[p]);
                }
            }

            while (wait(NULL) > 0) { /* void */ }

            printf("%9u %9u %10.0f %10.0f %10.1f %9.0f %9llu%s\n", procs[p],
                   flights[m], (double) shared->won / seconds,
                   (double) shared->stats.commits / seconds,
                   (double) shared->stats.ops / (double) shared->stats.commits,
                   (double) shared->wait_us / (double) shared->won,
                   (unsigned long long) shared->worst_us,
                   shared->failed ? "  (some failed)" : "");

            (void) munmap(shared, sizeof(shared_t));
            (void) snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
            (void) !system(cmd);
        }
    }

    return 0;
}
