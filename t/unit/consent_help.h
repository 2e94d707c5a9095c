/*
 * Short ways to run the consent ledger's transactions over the test view.
 */

#ifndef CONSENT_HELP_H
#define CONSENT_HELP_H

#include "link_help.h"

#include "../../src/core/ledger.h"
#include "../../src/core/token.h"


#define DAY     86400u

typedef struct {
    doi_consent_arg_t  arg;
    const char        *said[DOI_SAIDS];
    const char        *reply[DOI_REPLIES];
} event_t;


static inline const doi_ledger_keys_t *
keys(void)
{
    static int                made;
    uint8_t                   secret[DOI_LEDGER_SECRET];
    static doi_ledger_keys_t  k;

    if (!made) {
        memset(secret, 'k', sizeof(secret));
        if (doi_ledger_keys(secret, &k) != DOI_OK) {
            abort();
        }

        made = 1;
    }

    return &k;
}


static inline doi_str_t
text(const char *s)
{
    doi_str_t  str;

    str.data = (const uint8_t *) s;
    str.len = strlen(s);

    return str;
}


static inline void
contact_id(unsigned channel, const char *address, uint8_t *id)
{
    if (doi_contact_id(keys(), channel, text(address), id) != DOI_OK) {
        abort();
    }
}


/* A keyword by SMS to list "news", with all replies. */

static inline event_t
event(const char *address, unsigned what, unsigned level)
{
    event_t  e;

    memset(&e, 0, sizeof(e));
    contact_id(DOI_CHANNEL_SMS, address, e.arg.contact);
    e.arg.channel = DOI_CHANNEL_SMS;
    e.arg.event = (uint8_t) what;
    e.arg.source = DOI_SOURCE_KEYWORD;
    e.arg.level = (uint8_t) level;
    e.arg.scope = DOI_SCOPE_LIST;
    memcpy(e.arg.ledger, keys()->ledger, 32);
    memcpy(e.arg.content, keys()->content, 32);
    e.said[DOI_SAID_ADDRESS] = address;
    e.said[DOI_SAID_LIST] = "news";
    e.reply[DOI_REPLY_PROMPT] = "Reply YES";
    e.reply[DOI_REPLY_REMINDER] = "Reply YES, please";
    e.reply[DOI_REPLY_CONFIRMED] = "Welcome";
    e.reply[DOI_REPLY_OPTED_OUT] = "Bye";
    e.reply[DOI_REPLY_HELP] = "Help";

    if (what == DOI_CONSENT_OVERRIDE) {
        e.arg.source = DOI_SOURCE_AGENT;
        e.said[DOI_SAID_ACTOR] = "ada";
        e.said[DOI_SAID_REASON] = "by phone";
    }

    return e;
}


static inline size_t
event_bytes(event_t *e, uint8_t *bytes)
{
    size_t  i, len;

    for (i = 0; i < DOI_SAIDS; i++) {
        e->arg.said_len[i] = (uint16_t) (e->said[i] ? strlen(e->said[i]) : 0);
    }

    for (i = 0; i < DOI_REPLIES; i++) {
        e->arg.reply_len[i] = (uint16_t) (e->reply[i] ? strlen(e->reply[i])
                                                      : 0);
    }

    len = append(bytes, 0, &e->arg, sizeof(e->arg));

    for (i = 0; i < DOI_SAIDS; i++) {
        len = append(bytes, len, e->said[i] ? e->said[i] : "",
                     e->arg.said_len[i]);
    }

    for (i = 0; i < DOI_REPLIES; i++) {
        len = append(bytes, len, e->reply[i] ? e->reply[i] : "",
                     e->arg.reply_len[i]);
    }

    return len;
}


/* *a is filled with 0xff if there is no answer. */

static inline doi_result_t
send(test_store_t *store, doi_time_t now, event_t *e,
    doi_consent_answer_t *a)
{
    size_t                len;
    doi_result_t          result;
    static uint8_t        bytes[DOI_REPLY_MAX];
    static test_answer_t  answer;

    len = event_bytes(e, bytes);
    result = run(store, DOI_OP_CONSENT_EVENT, now, bytes, len, &answer);

    memset(a, 0xff, sizeof(*a));

    if (answer.len == sizeof(*a)) {
        memcpy(a, answer.data, sizeof(*a));
    }

    return result;
}


/* The usual one, of which only the status matters. */

static inline int
say(test_store_t *store, doi_time_t now, const char *address, unsigned what,
    unsigned level)
{
    event_t               e;
    doi_consent_answer_t  a;

    e = event(address, what, level);
    (void) send(store, now, &e, &a);

    return a.to;
}


static inline doi_consent_t
look_at(test_store_t *store, const uint8_t *id, const char *list, int *rc)
{
    doi_consent_t  consent;

    test_begin(store);
    *rc = doi_contact_look(&store->view, id, text(list), &consent);
    test_end(store, 0);

    return consent;
}


static inline int
status(test_store_t *store, const char *address, const char *list)
{
    int            rc;
    uint8_t        id[DOI_CONTACT_ID];
    doi_consent_t  consent;

    contact_id(DOI_CHANNEL_SMS, address, id);
    consent = look_at(store, id, list, &rc);

    return rc == DOI_ERROR ? -1 : consent.state;
}


static inline doi_result_t
admin(test_store_t *store, unsigned op, doi_time_t now, const char *address,
    const uint8_t *review, const char *actor, const char *reason)
{
    size_t                len;
    uint8_t               bytes[2048];
    doi_contact_arg_t     arg;
    static test_answer_t  answer;

    memset(&arg, 0, sizeof(arg));
    contact_id(DOI_CHANNEL_SMS, address, arg.contact);
    memcpy(arg.ledger, keys()->ledger, 32);
    memcpy(arg.content, keys()->content, 32);

    if (review != NULL) {
        memcpy(arg.review, review, DOI_ID_SIZE);
    }

    arg.actor_len = (uint16_t) strlen(actor);
    arg.reason_len = (uint16_t) strlen(reason);
    len = append(bytes, 0, &arg, sizeof(arg));
    len = append(bytes, len, actor, arg.actor_len);
    len = append(bytes, len, reason, arg.reason_len);

    return run(store, op, now, bytes, len, &answer);
}


static inline doi_result_t
seal(test_store_t *store, doi_time_t now, uint32_t limit,
    doi_ledger_seal_answer_t *a)
{
    doi_result_t           result;
    static test_answer_t   answer;
    doi_ledger_seal_arg_t  arg;

    memcpy(arg.ledger, keys()->ledger, 32);
    arg.limit = limit;
    result = run(store, DOI_OP_LEDGER_SEAL, now, &arg, sizeof(arg), &answer);

    if (a != NULL && answer.len == sizeof(*a)) {
        memcpy(a, answer.data, sizeof(*a));
    }

    return result;
}


/* Verifies everything in pieces of limit rows. */

static inline doi_verify_t
verify(test_store_t *store, uint32_t limit)
{
    int           rc;
    unsigned      i;
    doi_verify_t  v;

    memset(&v, 0, sizeof(v));

    for (i = 0; !v.done && i < 100000; i++) {
        test_begin(store);
        rc = doi_ledger_verify(&store->view, keys(), &v, limit);
        test_end(store, 0);

        if (rc != DOI_OK) {
            v.problems = 9999;
            break;
        }
    }

    return v;
}


static inline void
show(const doi_verify_t *v)
{
    unsigned  i;

    for (i = 0; i < v->problems && i < DOI_PROBLEMS; i++) {
        printf("# %s\n", v->text[i]);
    }
}

#endif /* CONSENT_HELP_H */
