/*
 * The consent ledger over the memory store and its faults: whoever is not told
 * how it ended submits again, and there are the same rows in the end, on which
 * verification finds nothing to object to.
 */

#include "tap.h"
#include "consent_help.h"

#include "../../src/store/store.h"


#define STEPS       13

#define ADA         "+491512345678"
#define BOB         "+4930901820"


typedef struct {
    size_t   len;
    uint8_t  bytes[1 << 18];
} dump_t;


static int
dump_row(void *data, doi_str_t key, doi_str_t value)
{
    dump_t  *d = data;

    d->len = append(d->bytes, d->len, key.data, key.len);

    if (value.len) {
        d->len = append(d->bytes, d->len, value.data, value.len);
    }

    return DOI_OK;
}


static doi_result_t
dump_all(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    int            table;
    dump_t        *d;
    doi_str_t      from = { NULL, 0 };
    doi_verify_t   v;

    (void) now;
    memcpy(&d, arg.data, sizeof(d));
    d->len = 0;

    for (table = DOI_TABLE_LINKS; table < DOI_TABLES; table++) {
        d->bytes[d->len++] = (uint8_t) table;

        if (view->scan(view, (doi_table_t) table, from, dump_row, d)
            != DOI_OK)
        {
            return DOI_RETRY;
        }
    }

    memset(&v, 0, sizeof(v));

    while (!v.done) {
        if (doi_ledger_verify(view, keys(), &v, 3) != DOI_OK) {
            return DOI_RETRY;
        }
    }

    show(&v);
    out->data[0] = v.problems != 0;

    return DOI_WON;
}


static int
dump(doi_store_t *s, dump_t *d)
{
    uint8_t    bytes[64];
    doi_buf_t  out = { bytes, 0, sizeof(bytes) };
    doi_str_t  arg = { (const uint8_t *) &d, sizeof(d) };

    if (doi_store_read(s, dump_all, arg, &out) != DOI_WON) {
        abort();
    }

    return bytes[0];
}


/* One step of the lives of two contacts. */

static doi_str_t
life(int step, unsigned *op)
{
    event_t                 e;
    doi_str_t               arg;
    static uint8_t          bytes[16384];
    doi_contact_arg_t       erase;
    doi_ledger_seal_arg_t   sealing;

    static const struct {
        const char  *address;
        const char  *list;
        uint8_t      event;
        uint8_t      level;
        const char  *id;
    } steps[STEPS] = {
        { ADA, "a", DOI_CONSENT_SUBSCRIBE, DOI_CONSENT_DOUBLE, "1" },
        { ADA, "a", DOI_CONSENT_OTHER, DOI_CONSENT_DOUBLE, "2" },
        { ADA, "a", DOI_CONSENT_CONFIRM, DOI_CONSENT_DOUBLE, NULL },
        { BOB, "a", DOI_CONSENT_SUBSCRIBE, DOI_CONSENT_SINGLE, NULL },
        { BOB, "b", DOI_CONSENT_OVERRIDE, DOI_CONSENT_SINGLE, NULL },
        { NULL, NULL, 0, 0, NULL },
        { ADA, "a", DOI_CONSENT_STOP, DOI_CONSENT_SINGLE, "3" },
        { ADA, "a", DOI_CONSENT_HELP, DOI_CONSENT_SINGLE, NULL },
        { BOB, "b", DOI_CONSENT_SUBSCRIBE, DOI_CONSENT_DOUBLE, NULL },
        { ADA, NULL, 0, 0, NULL },
        { ADA, "b", DOI_CONSENT_SUBSCRIBE, DOI_CONSENT_SINGLE, "4" },
        { BOB, "b", DOI_CONSENT_STOP, DOI_CONSENT_SINGLE, NULL },
        { NULL, NULL, 0, 0, NULL }
    };

    arg.data = bytes;

    if (steps[step].address == NULL) {
        *op = DOI_OP_LEDGER_SEAL;
        memcpy(sealing.ledger, keys()->ledger, 32);
        sealing.limit = 100;
        arg.len = append(bytes, 0, &sealing, sizeof(sealing));

        return arg;
    }

    e = event(steps[step].address, steps[step].event, steps[step].level);

    if (steps[step].list == NULL) {
        *op = DOI_OP_CONSENT_ERASE;
        memset(&erase, 0, sizeof(erase));
        memcpy(erase.contact, e.arg.contact, DOI_CONTACT_ID);
        memcpy(erase.ledger, keys()->ledger, 32);
        memcpy(erase.content, keys()->content, 32);
        arg.len = append(bytes, 0, &erase, sizeof(erase));

        return arg;
    }

    *op = DOI_OP_CONSENT_EVENT;
    e.arg.scope = DOI_SCOPE_PERSON;
    e.arg.flags = DOI_CONSENT_REVIEW;
    memset(e.arg.confirm, step + 1, DOI_ID_SIZE);
    e.said[DOI_SAID_LIST] = steps[step].list;
    e.said[DOI_SAID_PERSON] = "one";
    e.said[DOI_SAID_TEXT] = "text";
    e.said[DOI_SAID_WORDING] = "wording";
    e.said[DOI_SAID_MESSAGE_ID] = steps[step].id;
    arg.len = event_bytes(&e, bytes);

    return arg;
}


static void
done(void *data, doi_result_t result, doi_str_t answer)
{
    (void) answer;
    *(int *) data = (int) result;
}


static int
submit(doi_store_t *s, int step)
{
    int        result;
    unsigned   op;
    doi_str_t  arg;

    result = -1;
    arg = life(step, &op);
    doi_store_mem_clock(s, T + (doi_time_t) step, (uint64_t) step + 1);

    if (doi_store_submit(s, op, arg, done, &result) != DOI_OK) {
        abort();
    }

    doi_store_dispatch(s);

    return result;
}


static int
told(int result)
{
    return result == DOI_WON || result == DOI_CONFLICT;
}


int
main(void)
{
    int                fault, step, result, bad, broken;
    char               err[256];
    unsigned           met;
    doi_store_t       *s;
    doi_store_conf_t   conf;
    doi_store_stats_t  stats;
    static dump_t      want[STEPS], got;

    memset(&conf, 0, sizeof(conf));
    memset(&stats, 0, sizeof(stats));
    conf.queue_max = 10;
    conf.timeout_ms = 1000;
    conf.stats = &stats;

    for (fault = DOI_FAULT_NONE; fault <= DOI_FAULT_TWICE; fault++) {
        if (doi_store_mem_open(&conf, &s, err, sizeof(err)) != DOI_OK) {
            abort();
        }

        bad = 0;
        broken = 0;
        met = 0;

        for (step = 0; step < STEPS; step++) {
            doi_store_mem_fault(s, (doi_fault_t) fault, 0, 1);
            result = submit(s, step);

            if (!told(result)) {
                met++;
                doi_store_mem_fault(s, DOI_FAULT_NONE, 0, 0);
                bad += !told(submit(s, step));
            }

            broken += dump(s, fault == DOI_FAULT_NONE ? &want[step] : &got);

            if (fault == DOI_FAULT_NONE) {
                bad += result != DOI_WON;
                continue;
            }

            if (got.len != want[step].len
                || memcmp(got.bytes, want[step].bytes, got.len) != 0)
            {
                printf("# step %d differs\n", step);
                bad++;
            }
        }

        is_int(bad, 0, "memory store, fault %d: the same rows", fault);
        is_int(broken, 0, "fault %d: the chains are whole", fault);
        ok(fault == DOI_FAULT_NONE || fault == DOI_FAULT_TWICE ? met == 0
           : fault >= DOI_FAULT_GET ? met >= STEPS / 2 : met == STEPS,
           "fault %d: met %u times", fault, met);
        doi_store_close(s, 0);
    }

    return done_testing();
}
