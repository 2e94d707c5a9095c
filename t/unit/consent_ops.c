/*
 * EVENT, BATCH, TOKEN, ERASE, REVIEW and SWEEP over the test view: what they
 * write, what they refuse, and every fault of the store in turn.
 */

#include "tap.h"
#include "consent_help.h"

#include "../../src/core/outbox.h"


#define N   DOI_CONSENT_NONE
#define P   DOI_CONSENT_PENDING
#define S   DOI_CONSENT_SINGLE
#define D   DOI_CONSENT_DOUBLE
#define O   DOI_CONSENT_OPTED_OUT

#define ADA     "+491512345678"
#define BOB     "+4930901820"


static test_answer_t  answer;


static size_t
rows(const test_store_t *store, doi_table_t table)
{
    return store->tables[table].n;
}


static void
test_double_opt_in(void)
{
    int                   rc;
    size_t                i;
    uint8_t               owner[DOI_CONTACT_ID], id[DOI_CONTACT_ID];
    event_t               e;
    doi_str_t             list;
    doi_contact_t         contact;
    doi_reply_row_t       reply;
    test_store_t          store = { 0 };
    doi_consent_answer_t  a;

    e = event(ADA, DOI_CONSENT_SUBSCRIBE, D);
    e.arg.source = DOI_SOURCE_WEB;
    memset(e.arg.confirm, 'c', DOI_ID_SIZE);
    e.arg.confirm_expires = T + DAY;
    e.said[DOI_SAID_WORDING] = "Yes, send me news";
    e.said[DOI_SAID_PERSON] = "customer-7";
    e.said[DOI_SAID_LANG] = "de";
    e.said[DOI_SAID_SENDER] = "+49888";

    is_int(send(&store, T, &e, &a), DOI_WON, "SUBSCRIBE, double");
    ok(a.from == N && a.to == P && a.reply == DOI_REPLY_PROMPT && a.created
       && a.seq == 1 && a.others == 0, "pending, with a prompt");
    ok(rows(&store, DOI_TABLE_CONTACTS) == 1
       && rows(&store, DOI_TABLE_LEDGER) == 1
       && rows(&store, DOI_TABLE_CONTENT) == 1
       && rows(&store, DOI_TABLE_DIRTY) == 1
       && rows(&store, DOI_TABLE_WORDINGS) == 1
       && rows(&store, DOI_TABLE_PERSONS) == 1
       && rows(&store, DOI_TABLE_TOKENS) == 2
       && rows(&store, DOI_TABLE_MESSAGES) == 3
       && rows(&store, DOI_TABLE_OUTBOX) == 2
       && rows(&store, DOI_TABLE_QUEUE) == 2
       && rows(&store, DOI_TABLE_STATS) == 1, "with all that belongs to it");

    test_begin(&store);
    contact_id(DOI_CHANNEL_SMS, ADA, id);
    rc = doi_contact_get(&store.view, id, &contact);
    ok(rc == DOI_OK && contact.nlists == 1 && contact.address.len == 13
       && contact.person.len == 10 && contact.lang.len == 2
       && contact.sender.len == 6 && contact.head_seq == 1
       && contact.lists[0].source == DOI_SOURCE_WEB, "the contact says so");

    rc = doi_token_contact(&store.view, e.arg.confirm, DOI_PURPOSE_CONFIRM,
                           owner, &list);
    ok(rc == DOI_OK && memcmp(owner, e.arg.contact, DOI_CONTACT_ID) == 0
       && list.len == 4, "the prompt's token names contact and list");
    ok(doi_token_contact(&store.view, e.arg.confirm, DOI_PURPOSE_UNSUBSCRIBE,
                         owner, &list) == DOI_NOT_FOUND,
       "for its purpose only");
    test_end(&store, 0);

    is_int(send(&store, T + 5, &e, &a), DOI_WON, "the same again");
    ok(a.from == P && a.to == P && a.reply == 0 && a.seq == 0
       && rows(&store, DOI_TABLE_LEDGER) == 1
       && rows(&store, DOI_TABLE_OUTBOX) == 2, "writes no second entry");

    test_begin(&store);
    for (i = 0; store.tables[DOI_TABLE_MESSAGES].rows[i].klen != DOI_ID_SIZE;
         i++)
    {
        /* void */
    }

    rc = doi_reply_get(&store.view,
                       store.tables[DOI_TABLE_MESSAGES].rows[i].key, &reply);
    ok(rc == DOI_OK && reply.reply == DOI_REPLY_PROMPT && reply.text.len == 9
       && reply.sender.len == 6 && reply.list.len == 4
       && reply.confirm_expires == T + DAY, "the reply waits in the outbox");
    test_end(&store, 0);

    e = event(ADA, DOI_CONSENT_CONFIRM, D);
    e.arg.flags = DOI_CONSENT_INLINE;
    is_int(send(&store, T + 9, &e, &a), DOI_WON, "YES");
    ok(a.from == P && a.to == D && a.reply == DOI_REPLY_CONFIRMED
       && a.seq == 2 && rows(&store, DOI_TABLE_MESSAGES) == 3
       && rows(&store, DOI_TABLE_OUTBOX) == 3,
       "double; a reply that goes inline is not written");
    ok(rows(&store, DOI_TABLE_STATS) == 1
       && store.tables[DOI_TABLE_STATS].rows[0].value[3] == 1
       && store.tables[DOI_TABLE_STATS].rows[0].value[7] == 1,
       "prompt and confirmation are counted side by side");

    is_int(send(&store, T + 9, &e, &a), DOI_WON, "YES again");
    ok(a.to == D && a.reply == 0 && rows(&store, DOI_TABLE_LEDGER) == 2,
       "changes nothing");

    test_store_free(&store);
}


static void
test_duplicates(void)
{
    event_t               e;
    test_store_t          store = { 0 }, copy = { 0 };
    doi_consent_answer_t  a;

    e = event(ADA, DOI_CONSENT_SUBSCRIBE, S);
    e.said[DOI_SAID_MESSAGE_ID] = "SM1";
    (void) send(&store, T, &e, &a);
    ok(a.to == S && a.reply == DOI_REPLY_CONFIRMED, "START");

    test_store_copy(&copy, &store);
    is_int(send(&store, T + 1, &e, &a), DOI_CONFLICT, "delivered again");
    ok(a.duplicate && a.from == S && a.to == S && a.reply == 0 && !a.created
       && test_store_same(&store, &copy), "a duplicate, nothing written");

    e.arg.event = DOI_CONSENT_STOP;
    is_int(send(&store, T + 1, &e, &a), DOI_CONFLICT,
           "whatever it is said to mean now");

    e.said[DOI_SAID_MESSAGE_ID] = "SM2";
    ok(send(&store, T + 1, &e, &a) == DOI_WON && a.to == O
       && a.reply == DOI_REPLY_OPTED_OUT, "another id is another message");

    e.arg.event = DOI_CONSENT_SUBSCRIBE;
    e.said[DOI_SAID_MESSAGE_ID] = "SM1";
    ok(send(&store, T + 2, &e, &a) == DOI_CONFLICT && a.to == O,
       "START that comes once more does not undo STOP");

    e = event(BOB, DOI_CONSENT_SUBSCRIBE, S);
    e.said[DOI_SAID_MESSAGE_ID] = "SM1";
    ok(send(&store, T + 2, &e, &a) == DOI_WON && a.to == S,
       "the same id of another contact is another message");

    e = event("+491", DOI_CONSENT_HELP, S);
    e.arg.flags = DOI_CONSENT_INLINE;
    e.said[DOI_SAID_MESSAGE_ID] = "SM9";
    ok(send(&store, T, &e, &a) == DOI_WON && a.reply == DOI_REPLY_HELP
       && rows(&store, DOI_TABLE_CONTACTS) == 2,
       "HELP of somebody unknown: answered, not kept");
    ok(send(&store, T, &e, &a) == DOI_CONFLICT && a.duplicate,
       "and answered once");

    e.arg.flags = 0;
    e.said[DOI_SAID_MESSAGE_ID] = "SM10";
    ok(send(&store, T, &e, &a) == DOI_WON
       && rows(&store, DOI_TABLE_CONTACTS) == 3
       && rows(&store, DOI_TABLE_LEDGER) == 3,
       "a reply by the gateway needs the address, but no entry");

    test_store_free(&store);
    test_store_free(&copy);
}


/* Run again without a message id: no entry, no second reply. */

static void
test_again(void)
{
    static const uint8_t  events[] = { DOI_CONSENT_SUBSCRIBE,
                                       DOI_CONSENT_CONFIRM, DOI_CONSENT_STOP,
                                       DOI_CONSENT_REVOKE,
                                       DOI_CONSENT_OVERRIDE };

    size_t                i;
    unsigned              level, from;
    event_t               e;
    test_store_t          store = { 0 }, copy = { 0 };
    doi_consent_answer_t  a;

    for (level = S; level <= D; level++) {
        for (from = 0; from < 3; from++) {
            for (i = 0; i < sizeof(events); i++) {
                (void) say(&store, T, ADA, DOI_CONSENT_SUBSCRIBE,
                           from == 1 ? S : D);

                if (from == 2) {
                    (void) say(&store, T, ADA, DOI_CONSENT_STOP, S);
                }

                e = event(ADA, events[i], level);
                (void) send(&store, T + 60, &e, &a);
                test_store_copy(&copy, &store);
                (void) send(&store, T + 61, &e, &a);

                if (!ok(a.seq == 0 && a.from == a.to
                        && rows(&store, DOI_TABLE_LEDGER)
                           == rows(&copy, DOI_TABLE_LEDGER)
                        && rows(&store, DOI_TABLE_OUTBOX)
                           <= rows(&copy, DOI_TABLE_OUTBOX),
                        "%s at %s twice", doi_consent_event_name(events[i]),
                        doi_consent_name(level)))
                {
                    printf("# from %u\n", from);
                }

                test_store_free(&store);
            }
        }
    }

    test_store_free(&copy);
}


static int
list_status(test_store_t *store, const char *address, const char *list,
    unsigned what, unsigned scope, unsigned *others)
{
    event_t               e;
    doi_consent_answer_t  a;

    e = event(address, what, S);
    e.said[DOI_SAID_LIST] = list;
    e.said[DOI_SAID_PERSON] = "p";
    e.arg.scope = (uint16_t) scope;
    (void) send(store, T, &e, &a);

    if (others != NULL) {
        *others = a.others;
    }

    return a.to;
}


static void
test_scopes(void)
{
    unsigned       scope, n;
    doi_verify_t   v;
    test_store_t   store = { 0 };

    for (scope = DOI_SCOPE_PERSON; scope <= DOI_SCOPE_LIST; scope++) {
        (void) list_status(&store, ADA, "a", DOI_CONSENT_SUBSCRIBE, 2, NULL);
        (void) list_status(&store, ADA, "b", DOI_CONSENT_SUBSCRIBE, 2, NULL);
        (void) list_status(&store, BOB, "a", DOI_CONSENT_SUBSCRIBE, 2, NULL);
        (void) list_status(&store, BOB, "c", DOI_CONSENT_SUBSCRIBE, 2, NULL);
        (void) say(&store, T, "+4999", DOI_CONSENT_SUBSCRIBE, S);

        is_int(list_status(&store, ADA, "a", DOI_CONSENT_STOP, scope, &n), O,
               "STOP with scope %u", scope);
        is_int(n, scope == DOI_SCOPE_PERSON ? 3
               : scope == DOI_SCOPE_CONTACT ? 1 : 0, "others go along");
        is_int(status(&store, ADA, "b"), scope == DOI_SCOPE_LIST ? S : O,
               "the contact's other list");
        is_int(status(&store, BOB, "c"), scope == DOI_SCOPE_PERSON ? O : S,
               "the person's other contact");
        is_int(status(&store, ADA, "new"), scope == DOI_SCOPE_LIST ? N : O,
               "a list that comes later");
        is_int(status(&store, BOB, "new"), scope == DOI_SCOPE_PERSON ? O : N,
               "a list of the other contact");
        is_int(status(&store, "+4999", "news"), S, "nobody else");

        (void) list_status(&store, ADA, "a", DOI_CONSENT_STOP, scope, &n);
        is_int(n, 0, "STOP again changes nothing");

        is_int(list_status(&store, ADA, "new", DOI_CONSENT_SUBSCRIBE, 2,
                           NULL), S, "the contact may come back");

        v = verify(&store, 7);
        is_int(v.problems, 0, "the chains are whole");
        show(&v);
        test_store_free(&store);
    }
}


static int
import(test_store_t *store, const char *address, unsigned state,
    unsigned flags, doi_consent_answer_t *a)
{
    event_t  e;

    e = event(address, DOI_CONSENT_SUBSCRIBE, state);
    e.arg.source = DOI_SOURCE_IMPORT;
    e.arg.flags = (uint16_t) (DOI_CONSENT_SET | flags);
    e.arg.at = T - 100 * DAY;

    return send(store, T, &e, a);
}


static void
test_import(void)
{
    static const int      rank[] = { [O] = 0, [N] = 1, [P] = 2, [S] = 3,
                                     [D] = 4 };

    int                   rc;
    unsigned              from, to;
    uint8_t               id[DOI_CONTACT_ID];
    doi_consent_t         c;
    test_store_t          store = { 0 }, copy = { 0 };
    doi_consent_answer_t  a;

    contact_id(DOI_CHANNEL_SMS, ADA, id);

    for (from = N; from < DOI_CONSENT_STATES; from++) {
        for (to = N; to < DOI_CONSENT_STATES; to++) {
            rc = import(&store, ADA, from, 0, &a);
            ok(rc == DOI_WON && a.created && a.to == from
               && (a.seq != 0) == (from != N) && a.reply == 0,
               "a new contact: %s", doi_consent_name(from));

            test_store_copy(&copy, &store);
            is_int(import(&store, ADA, to, 0, &a), DOI_WON, "then %s",
                   doi_consent_name(to));
            is_int(a.to, rank[to] < rank[from] ? to : from,
                   "is only ever lowered");
            ok(a.from == from && !a.created
               && (rank[to] < rank[from] || test_store_same(&store, &copy)),
               "and otherwise untouched");
            test_store_free(&store);
        }
    }

    (void) say(&store, T, ADA, DOI_CONSENT_STOP, S);
    (void) import(&store, ADA, D, 0, &a);
    is_int(a.to, O, "nobody is imported out of opted_out");

    test_store_free(&store);
    (void) import(&store, ADA, S, 0, &a);
    c = look_at(&store, id, "news", &rc);
    ok(c.since == T - 100 * DAY && c.opted_in == T - 100 * DAY,
       "consent is as old as it is");
    is_int(rows(&store, DOI_TABLE_CONTENT), 0, "nothing is said, no content");
    is_int(rows(&store, DOI_TABLE_OUTBOX), 1, "an event");

    test_store_free(&store);
    (void) import(&store, ADA, S, DOI_CONSENT_SILENT, &a);
    ok(a.to == S && rows(&store, DOI_TABLE_OUTBOX) == 0
       && store.applied <= 4, "silent: %u rows", store.applied);

    test_store_free(&store);
    (void) import(&store, ADA, D, DOI_CONSENT_DRY, &a);
    ok(a.to == D && a.created && store.applied == 0
       && rows(&store, DOI_TABLE_CONTACTS) == 0,
       "a dry run says what would be and writes nothing");

    test_store_free(&store);
    test_store_free(&copy);
}


static void
test_refused(void)
{
    int                   bad;
    size_t                len, i, k;
    event_t               e;
    uint8_t               bytes[8192];
    test_store_t          store = { 0 }, copy = { 0 };
    doi_consent_answer_t  a;

    (void) say(&store, T, ADA, DOI_CONSENT_STOP, S);
    test_store_copy(&copy, &store);

    e = event(ADA, DOI_CONSENT_SUBSCRIBE, S);
    e.arg.source = DOI_SOURCE_API;
    e.said[DOI_SAID_PERSON] = "somebody";
    e.said[DOI_SAID_MESSAGE_ID] = "x";
    ok(send(&store, T, &e, &a) == DOI_CONFLICT && a.refused && a.to == O
       && a.from == O && test_store_same(&store, &copy),
       "an API does not bring back who opted out, and leaves no trace");

    e = event(ADA, DOI_CONSENT_OVERRIDE, S);
    e.said[DOI_SAID_REASON] = NULL;
    ok(send(&store, T, &e, &a) == DOI_CONFLICT && a.to == 0xff,
       "an override without a reason is malformed");

    e = event(ADA, DOI_CONSENT_OVERRIDE, S);
    ok(send(&store, T, &e, &a) == DOI_WON && a.to == S && a.reply == 0,
       "with actor and reason it works, and says nothing to the contact");
    test_store_copy(&copy, &store);

    e = event(BOB, DOI_CONSENT_STOP, S);
    memcpy(e.arg.contact, store.tables[DOI_TABLE_CONTACTS].rows[0].key,
           DOI_CONTACT_ID);
    ok(send(&store, T, &e, &a) == DOI_CONFLICT && a.refused,
       "an id with another's address");

    e = event(ADA, DOI_CONSENT_SUBSCRIBE, S);
    e.said[DOI_SAID_TEXT] = "hello";
    len = event_bytes(&e, bytes);
    bad = 0;

    for (i = 0; i < len; i++) {
        bad += run(&store, DOI_OP_CONSENT_EVENT, T, bytes, i, &answer)
               != DOI_CONFLICT || answer.len != 0;
    }

    bytes[len] = 0;
    bad += run(&store, DOI_OP_CONSENT_EVENT, T, bytes, len + 1, &answer)
           != DOI_CONFLICT || answer.len != 0;
    is_int(bad, 0, "cut off anywhere, or too long: malformed");

    bad = 0;

    for (i = DOI_CONTACT_ID; i < sizeof(doi_consent_arg_t); i++) {
        for (k = 0; k < 8; k++) {
            bytes[i] ^= (uint8_t) (1 << k);
            (void) run(&store, DOI_OP_CONSENT_EVENT, T, bytes, len, &answer);
            bytes[i] ^= (uint8_t) (1 << k);
            bad += answer.len != 0 && answer.len != sizeof(a);
        }
    }

    is_int(bad, 0, "any bit of the argument turned over: no harm");

    e = event(ADA, DOI_CONSENT_SUBSCRIBE, N);
    ok(send(&store, T, &e, &a) == DOI_CONFLICT && a.to == 0xff,
       "a level that is none");
    e = event(ADA, DOI_CONSENT_SUBSCRIBE, S);
    e.arg.flags = DOI_CONSENT_SET;
    ok(send(&store, T, &e, &a) == DOI_CONFLICT && a.to == 0xff,
       "SET is for imports");
    e = event(ADA, DOI_CONSENT_SUBSCRIBE, S);
    e.said[DOI_SAID_ADDRESS] = NULL;
    ok(send(&store, T, &e, &a) == DOI_CONFLICT && a.to == 0xff,
       "no address");

    test_store_free(&store);
    test_store_free(&copy);
}


static void
test_replies(void)
{
    int                   rc;
    uint8_t               id[DOI_CONTACT_ID];
    event_t               e;
    doi_consent_t         c;
    test_store_t          store = { 0 };
    doi_consent_answer_t  a;

    contact_id(DOI_CHANNEL_SMS, ADA, id);

    e = event(ADA, DOI_CONSENT_SUBSCRIBE, D);
    e.arg.flags = DOI_CONSENT_QUIET;
    (void) send(&store, T, &e, &a);
    c = look_at(&store, id, "news", &rc);
    ok(a.to == P && a.reply == 0 && !c.prompted && c.asked == 0
       && rows(&store, DOI_TABLE_MESSAGES) == 0,
       "a prompt that is not sent is not outstanding");

    e.arg.flags = 0;
    e.reply[DOI_REPLY_PROMPT] = NULL;
    (void) send(&store, T, &e, &a);
    c = look_at(&store, id, "news", &rc);
    ok(a.reply == 0 && !c.prompted, "nor is one without a text");

    e = event(ADA, DOI_CONSENT_OTHER, D);
    (void) send(&store, T, &e, &a);
    ok(a.reply == DOI_REPLY_PROMPT && a.seq == 2 && a.from == P && a.to == P,
       "the first that can be sent is a prompt, with an entry");

    (void) send(&store, T + DOI_REMIND_EVERY, &e, &a);
    ok(a.reply == DOI_REPLY_REMINDER && a.seq == 3, "a reminder has one too");

    e = event(ADA, DOI_CONSENT_HELP, D);
    (void) send(&store, T, &e, &a);
    (void) send(&store, T + 1, &e, &a);
    is_int(rows(&store, DOI_TABLE_MESSAGES), 2 * 3 + 1,
           "HELP twice is answered once while it waits");
    e.said[DOI_SAID_MESSAGE_ID] = "m";
    (void) send(&store, T + 1, &e, &a);
    is_int(rows(&store, DOI_TABLE_MESSAGES), 2 * 4 + 1,
           "but each message is answered");

    e = event(ADA, DOI_CONSENT_REVOKE, D);
    e.arg.source = DOI_SOURCE_SYNC;
    rc = (int) rows(&store, DOI_TABLE_OUTBOX);
    (void) send(&store, T, &e, &a);
    ok(a.to == O && a.reply == 0
       && rows(&store, DOI_TABLE_OUTBOX) == (size_t) rc,
       "what comes from a CRM is not told to it");

    test_store_free(&store);
}


static void
test_outbox(void)
{
    size_t                i, deliveries;
    event_t               e;
    doi_outbox_t          row;
    doi_str_t             value;
    test_store_t          store = { 0 };
    doi_outbox_arg_t      arg;
    doi_consent_answer_t  a;

    e = event(ADA, DOI_CONSENT_SUBSCRIBE, S);
    (void) send(&store, T, &e, &a);
    e = event(ADA, DOI_CONSENT_STOP, S);
    (void) send(&store, T, &e, &a);
    e = event(ADA, DOI_CONSENT_SUBSCRIBE, S);
    (void) send(&store, T, &e, &a);

    is_int(rows(&store, DOI_TABLE_OUTBOX), 6, "three events, three replies");

    for (deliveries = 0, i = 0; i < rows(&store, DOI_TABLE_OUTBOX); ) {
        value.data = store.tables[DOI_TABLE_OUTBOX].rows[i].value;
        value.len = store.tables[DOI_TABLE_OUTBOX].rows[i].vlen;

        if (doi_outbox_decode(value, &row) != DOI_OK
            || row.kind != DOI_DELIVER_MESSAGE)
        {
            i++;
            continue;
        }

        memset(&arg, 0, sizeof(arg));
        memcpy(arg.id, store.tables[DOI_TABLE_OUTBOX].rows[i].key,
               DOI_ID_SIZE);
        arg.action = DOI_OUTBOX_DONE;
        (void) run(&store, DOI_OP_OUTBOX_UPDATE, T, &arg, sizeof(arg),
                   &answer);
        deliveries++;
    }

    ok(deliveries == 3 && rows(&store, DOI_TABLE_MESSAGES) == 0
       && rows(&store, DOI_TABLE_OUTBOX) == 3,
       "a reply goes with its row in the outbox");

    test_store_free(&store);
}


static size_t
batch_add(uint8_t *bytes, size_t len, event_t *e)
{
    size_t    n;
    uint32_t  size;

    n = event_bytes(e, bytes + len + 4);
    size = (uint32_t) n;
    memcpy(bytes + len, &size, 4);

    for (len += 4 + n; len % 4 != 0; len++) {
        bytes[len] = 0;
    }

    return len;
}


static void
test_batch(void)
{
    char                   address[32];
    size_t                 i, len, half;
    event_t                e;
    unsigned               applied;
    test_store_t           store = { 0 }, copy = { 0 };
    static uint8_t         bytes[DOI_REPLY_MAX];
    doi_consent_answer_t   a[DOI_BATCH_MAX];

    (void) say(&store, T, ADA, DOI_CONSENT_STOP, S);
    test_store_copy(&copy, &store);

    for (i = 0, len = 0, half = 0; i < DOI_BATCH_MAX; i++) {
        (void) snprintf(address, sizeof(address), "+49%u", (unsigned) i / 2);
        e = event(i == 4 ? ADA : address, DOI_CONSENT_SUBSCRIBE,
                  i % 2 ? N : S);
        e.arg.source = DOI_SOURCE_IMPORT;
        e.arg.flags = i == 4 ? DOI_CONSENT_SILENT
                             : DOI_CONSENT_SET | DOI_CONSENT_SILENT;
        memset(e.reply, 0, sizeof(e.reply));
        half = len;
        len = batch_add(bytes, len, &e);
    }

    is_int(run(&store, DOI_OP_CONSENT_BATCH, T, bytes, len, &answer), DOI_WON,
           "a full batch, %u bytes", (unsigned) len);
    applied = store.applied;
    memcpy(a, answer.data, sizeof(a));
    ok(answer.len == sizeof(a) && a[0].created && a[0].to == S
       && !a[1].created && a[1].from == S && a[1].to == N && a[1].seq == 2,
       "an event sees those before it");
    ok(a[4].refused && a[4].to == O && a[5].created
       && a[DOI_BATCH_MAX - 1].to == N,
       "one that is refused does not stop the others");
    printf("# %u writes\n", applied);

    test_store_free(&store);
    test_store_copy(&store, &copy);
    is_int(run(&store, DOI_OP_CONSENT_BATCH, T, bytes, half + 1, &answer),
           DOI_CONFLICT, "a batch that is cut off");
    ok(answer.len == 0 && test_store_same(&store, &copy), "is not begun");

    memcpy(bytes + len, bytes, 300);
    is_int(run(&store, DOI_OP_CONSENT_BATCH, T, bytes, len
                  + half / (DOI_BATCH_MAX - 1),
               &answer), DOI_CONFLICT, "one too many");
    is_int(run(&store, DOI_OP_CONSENT_BATCH, T, bytes, 0, &answer),
           DOI_CONFLICT, "none at all");
    memset(bytes, 0xff, 4);
    is_int(run(&store, DOI_OP_CONSENT_BATCH, T, bytes, len, &answer),
           DOI_CONFLICT, "a length beyond the end");
    ok(test_store_same(&store, &copy), "nothing was written");

    test_store_free(&store);
    test_store_free(&copy);
}


static doi_result_t
token(test_store_t *store, const char *address, int id, const char *list)
{
    size_t           len;
    uint8_t          bytes[256];
    doi_token_arg_t  arg;

    memset(&arg, 0, sizeof(arg));
    memset(arg.id, id, DOI_ID_SIZE);
    contact_id(DOI_CHANNEL_SMS, address, arg.contact);
    arg.expires = T + (doi_time_t) id;
    arg.purpose = DOI_PURPOSE_UNSUBSCRIBE;
    arg.list_len = (uint16_t) strlen(list);
    len = append(bytes, 0, &arg, sizeof(arg));
    len = append(bytes, len, list, arg.list_len);

    return run(store, DOI_OP_CONSENT_TOKEN, T, bytes, len, &answer);
}


static int
holds(const test_store_t *store, const char *needle)
{
    size_t             t, i, k, len;
    const test_row_t  *row;

    len = strlen(needle);

    for (t = 0; t < DOI_TABLES; t++) {
        for (i = 0; i < store->tables[t].n; i++) {
            row = &store->tables[t].rows[i];

            for (k = 0; k + len <= row->vlen; k++) {
                if (memcmp(row->value + k, needle, len) == 0) {
                    return 1;
                }
            }
        }
    }

    return 0;
}


static void
test_erase(void)
{
    int                   rc;
    uint8_t               id[DOI_CONTACT_ID];
    event_t               e;
    doi_verify_t          v;
    test_store_t          store = { 0 }, copy = { 0 };
    doi_consent_answer_t  a;

    is_int(admin(&store, DOI_OP_CONSENT_ERASE, T, ADA, NULL, "op", "gdpr"),
           DOI_CONFLICT, "nobody to erase");

    e = event(ADA, DOI_CONSENT_SUBSCRIBE, D);
    memset(e.arg.confirm, 'c', DOI_ID_SIZE);
    e.arg.flags = DOI_CONSENT_REVIEW;
    e.said[DOI_SAID_PERSON] = "SECRETperson";
    e.said[DOI_SAID_TEXT] = "SECRETtext";
    e.said[DOI_SAID_CLIENT] = "SECRETclient";
    e.said[DOI_SAID_AGENT] = "SECRETagent";
    e.said[DOI_SAID_SENDER] = "SECRETsender";
    e.said[DOI_SAID_LANG] = "de";
    (void) send(&store, T, &e, &a);
    e.said[DOI_SAID_LIST] = "other";
    (void) send(&store, T, &e, &a);
    (void) say(&store, T, ADA, DOI_CONSENT_CONFIRM, D);
    (void) say(&store, T, BOB, DOI_CONSENT_SUBSCRIBE, S);
    is_int(token(&store, ADA, 'u', "news"), DOI_WON, "a token");
    is_int(token(&store, ADA, 'u', "news"), DOI_WON, "again");
    is_int(token(&store, BOB, 'u', "news"), DOI_CONFLICT, "another's");
    is_int(token(&store, "+4977", 'v', "news"), DOI_CONFLICT, "nobody's");
    is_int(token(&store, ADA, 'c', "news"), DOI_CONFLICT,
           "an id that is a confirmation's");
    ok(holds(&store, "SECRET") && holds(&store, ADA),
       "much is known of Ada");

    is_int(admin(&store, DOI_OP_CONSENT_ERASE, T + 9, ADA, NULL, "op",
                 "gdpr"), DOI_WON, "she asks to be forgotten");
    ok(!holds(&store, "SECRET") && !holds(&store, ADA), "and is");
    ok(rows(&store, DOI_TABLE_PERSONS) == 0
       && rows(&store, DOI_TABLE_TOKENS) == 0
       && rows(&store, DOI_TABLE_REVIEW) == 0, "with all that names her");
    ok(rows(&store, DOI_TABLE_MESSAGES) == 3 && holds(&store, BOB)
       && status(&store, BOB, "news") == S, "Bob is as he was");
    ok(status(&store, ADA, "news") == O && status(&store, ADA, "other") == O
       && status(&store, ADA, "third") == O, "her opt-out stays, everywhere");

    v = verify(&store, 3);
    is_int(v.problems, 0, "the chain is whole");
    show(&v);

    test_store_copy(&copy, &store);
    is_int(admin(&store, DOI_OP_CONSENT_ERASE, T + 9, ADA, NULL, "op",
                 "gdpr"), DOI_WON, "erased again");
    ok(test_store_same(&store, &copy), "writes nothing");

    (void) import(&store, ADA, S, 0, &a);
    ok(a.to == O && test_store_same(&store, &copy),
       "an import does not bring her back");
    is_int(token(&store, ADA, 'w', "news"), DOI_CONFLICT,
           "nor does a token name her");

    e = event(ADA, DOI_CONSENT_SUBSCRIBE, S);
    e.arg.source = DOI_SOURCE_IMPORT;
    e.said[DOI_SAID_LIST] = "fresh";
    ok(send(&store, T, &e, &a) == DOI_CONFLICT && a.refused,
       "nor on a new list");

    e = event(ADA, DOI_CONSENT_SUBSCRIBE, S);
    e.said[DOI_SAID_PERSON] = "again";
    ok(send(&store, T, &e, &a) == DOI_WON && a.from == O && a.to == S,
       "she may come back herself");
    contact_id(DOI_CHANNEL_SMS, ADA, id);
    (void) look_at(&store, id, "news", &rc);
    ok(rc == DOI_OK && holds(&store, ADA)
       && status(&store, ADA, "other") == O, "to this list");

    v = verify(&store, 1);
    is_int(v.problems, 0, "and the chain goes on");
    show(&v);

    test_store_free(&store);
    test_store_free(&copy);
}


static void
test_review(void)
{
    size_t                i;
    event_t               e;
    doi_str_t             value;
    doi_review_t          review;
    test_row_t           *row;
    test_store_t          store = { 0 }, copy = { 0 };
    doi_consent_answer_t  a;

    e = event(ADA, DOI_CONSENT_OTHER, S);
    e.arg.flags = DOI_CONSENT_REVIEW;
    e.said[DOI_SAID_TEXT] = "could you stop?";
    (void) send(&store, T, &e, &a);
    (void) send(&store, T + 1, &e, &a);
    ok(a.to == N && rows(&store, DOI_TABLE_REVIEW) == 2
       && rows(&store, DOI_TABLE_LEDGER) == 0,
       "a doubtful text waits, once, and is no opt-in");

    row = store.tables[DOI_TABLE_REVIEW].rows;

    for (i = 0; row[i].klen != DOI_ID_SIZE; i++) { /* void */ }

    value.data = row[i].value;
    value.len = row[i].vlen;
    ok(doi_review_decode(value, &review) == DOI_OK && review.text.len == 15
       && review.time == T + 1 && review.list.len == 4, "as it was written");

    value.len--;
    is_int(doi_review_decode(value, &review), DOI_ERROR, "or not at all");

    (void) say(&store, T, BOB, DOI_CONSENT_SUBSCRIBE, S);
    is_int(admin(&store, DOI_OP_CONSENT_REVIEW, T, BOB, row[i].key, "op",
                 "said so"), DOI_CONFLICT, "it is not Bob's");
    is_int(admin(&store, DOI_OP_CONSENT_REVIEW, T, ADA, row[i].key, "op",
                 "said so"), DOI_WON, "decided");
    ok(rows(&store, DOI_TABLE_REVIEW) == 0
       && rows(&store, DOI_TABLE_LEDGER) == 2, "with an entry");

    test_store_copy(&copy, &store);
    is_int(admin(&store, DOI_OP_CONSENT_REVIEW, T, ADA,
                 (const uint8_t *) "123456789012", "op", "x"), DOI_WON,
           "decided before");
    ok(test_store_same(&store, &copy), "nothing more");
    is_int(verify(&store, 2).problems, 0, "the chain is whole");

    test_store_free(&store);
    test_store_free(&copy);
}


static uint32_t
sweep_all(test_store_t *store, doi_time_t mark, uint32_t table, uint32_t limit)
{
    unsigned                    i;
    uint32_t                    dropped;
    doi_consent_sweep_arg_t     arg;
    doi_consent_sweep_answer_t  a;

    memset(&arg, 0, sizeof(arg));
    arg.mark = mark;
    arg.limit = limit;
    arg.table = table;
    dropped = 0;

    for (i = 0; i < 1000; i++) {

        if (run(store, DOI_OP_CONSENT_SWEEP, mark, &arg, sizeof(arg),
                &answer) != DOI_WON || answer.len != sizeof(a))
        {
            return UINT32_MAX;
        }

        memcpy(&a, answer.data, sizeof(a));
        dropped += a.dropped;
        memcpy(arg.from, a.next, sizeof(arg.from));

        if (a.next[0] == 0 && memcmp(a.next, a.next + 1, 23) == 0) {
            return dropped;
        }
    }

    return UINT32_MAX;
}


static void
test_sweep(void)
{
    int                   i;
    char                  id[8];
    event_t               e;
    test_store_t          store = { 0 };
    doi_consent_answer_t  a;

    for (i = 1; i <= 40; i++) {
        e = event(ADA, DOI_CONSENT_HELP, S);
        (void) snprintf(id, sizeof(id), "m%d", i);
        e.said[DOI_SAID_MESSAGE_ID] = id;
        (void) send(&store, T + (doi_time_t) i, &e, &a);
        (void) token(&store, ADA, i, "news");
    }

    is_int(rows(&store, DOI_TABLE_TOKENS), 80, "40 tokens");
    is_int(sweep_all(&store, T + 10, 0, 1), 10, "ten are over");
    is_int(rows(&store, DOI_TABLE_TOKENS), 60, "and gone, row by row");
    is_int(sweep_all(&store, T + 1000, 0, 7), 30, "then the others");
    is_int(rows(&store, DOI_TABLE_TOKENS), 0, "all of them");
    is_int(sweep_all(&store, T + DOI_PROVIDER_KEEP + 10, 1, 3), 10,
           "message ids are known for 30 days");
    is_int(sweep_all(&store, T + DOI_PROVIDER_KEEP + 99, 1, 3), 30,
           "no longer");
    is_int(rows(&store, DOI_TABLE_PROVIDER), 0, "all gone");
    is_int(sweep_all(&store, T, 2, 3), UINT32_MAX, "there are two tables");

    test_store_free(&store);
}


/* The same operation with the n-th call to the store failing, for every n. */

static void
test_faults(void)
{
    int                   bad;
    unsigned              i, n, which;
    size_t                len;
    event_t               e;
    uint8_t               bytes[8192];
    doi_result_t          result;
    test_store_t          store = { 0 }, copy = { 0 };
    doi_contact_arg_t     arg;

    for (which = 0; which < 4; which++) {
        (void) list_status(&store, BOB, "b", DOI_CONSENT_SUBSCRIBE, 2, NULL);
        (void) list_status(&store, ADA, "b", DOI_CONSENT_SUBSCRIBE, 2, NULL);
        e = event(ADA, which == 1 ? DOI_CONSENT_STOP : DOI_CONSENT_SUBSCRIBE,
                  D);
        memset(e.arg.confirm, 'c', DOI_ID_SIZE);
        e.said[DOI_SAID_MESSAGE_ID] = "m";
        e.said[DOI_SAID_PERSON] = which == 1 ? "p" : "q";
        e.said[DOI_SAID_WORDING] = "w";
        e.said[DOI_SAID_TEXT] = "t";
        e.arg.flags = DOI_CONSENT_REVIEW;
        e.arg.scope = DOI_SCOPE_PERSON;
        len = which == 3 ? batch_add(bytes, 0, &e) : event_bytes(&e, bytes);

        if (which == 2) {
            (void) run(&store, DOI_OP_CONSENT_EVENT, T, bytes, len, &answer);
            memset(&arg, 0, sizeof(arg));
            memcpy(arg.contact, e.arg.contact, DOI_CONTACT_ID);
            len = append(bytes, 0, &arg, sizeof(arg));
        }

        test_store_copy(&copy, &store);
        bad = 0;

        for (i = 1; ; i++) {
            store.fail = i;
            result = run(&store, which == 2 ? DOI_OP_CONSENT_ERASE
                                 : which == 3 ? DOI_OP_CONSENT_BATCH
                                              : DOI_OP_CONSENT_EVENT,
                         T, bytes, len, &answer);
            n = store.calls;
            store.fail = 0;

            if (n < i) {
                break;
            }

            bad += result != DOI_RETRY || answer.len != 0
                   || !test_store_same(&store, &copy);
        }

        ok(bad == 0 && result == DOI_WON && i > 20,
           "%s: each of %u calls may fail, and nothing is done by halves",
           which == 2 ? "ERASE" : which == 3 ? "BATCH" : which == 1 ? "STOP"
           : "SUBSCRIBE", i - 1);
        test_store_free(&store);
    }

    test_store_free(&copy);
}


/* Rows that cannot be understood. */

static void
test_unreadable(void)
{
    int                   rc, bad;
    size_t                i, len;
    uint8_t               id[DOI_CONTACT_ID], all[DOI_CONTACT_MAX];
    event_t               e;
    doi_buf_t             buf;
    doi_str_t             key, value;
    test_row_t           *row;
    test_store_t          store = { 0 };
    doi_contact_t         contact;
    doi_consent_answer_t  a;

    (void) list_status(&store, ADA, "b", DOI_CONSENT_SUBSCRIBE, 2, NULL);
    (void) list_status(&store, ADA, "a", DOI_CONSENT_STOP, 2, NULL);
    (void) list_status(&store, ADA, "", DOI_CONSENT_SUBSCRIBE, 2, NULL);
    contact_id(DOI_CHANNEL_SMS, ADA, id);
    row = store.tables[DOI_TABLE_CONTACTS].rows;
    memcpy(all, row->value, row->vlen);
    value.data = all;
    len = row->vlen;

    test_begin(&store);
    bad = 0;

    for (i = 0; i < len; i++) {
        value.len = i;
        bad += doi_contact_decode(&store.view, value, &contact) == DOI_OK;
    }

    value.len = len + 1;
    bad += doi_contact_decode(&store.view, value, &contact) == DOI_OK;
    value.len = len;
    bad += doi_contact_decode(&store.view, value, &contact) != DOI_OK;
    is_int(bad, 0, "a record of another length is none");

    ok(contact.nlists == 3 && contact.lists[0].name.len == 0
       && contact.lists[1].name.data[0] == 'a'
       && contact.lists[2].name.data[0] == 'b', "lists stand in order");

    bad = 0;

    for (i = 0; i < len * 8; i++) {
        all[i / 8] ^= (uint8_t) (1 << i % 8);

        if (doi_contact_decode(&store.view, value, &contact) == DOI_OK) {
            buf.data = test_view_alloc(&store.view, DOI_CONTACT_MAX);
            buf.len = 0;
            buf.size = DOI_CONTACT_MAX;
            bad += doi_contact_encode(&contact, &buf) != DOI_OK
                   || buf.len != len || memcmp(buf.data, all, len) != 0;
        }

        all[i / 8] ^= (uint8_t) (1 << i % 8);
    }

    test_end(&store, 0);
    is_int(bad, 0, "what is read is what would be written");

    key.data = id;
    key.len = sizeof(id);
    value.len = len - 1;
    all[0] = 9;
    test_store_set(&store, DOI_TABLE_CONTACTS, key, value);
    e = event(ADA, DOI_CONSENT_STOP, S);
    is_int(send(&store, T, &e, &a), DOI_RETRY, "a record of a later version");
    (void) look_at(&store, id, "b", &rc);
    is_int(rc, DOI_ERROR, "does not pass the gate");

    all[0] = 1;

    for (i = 0, bad = 0; i < 52 + 25; i++) {
        value.len = i;
        test_store_set(&store, DOI_TABLE_CONTACTS, key, value);
        (void) look_at(&store, id, "b", &rc);
        bad += rc != DOI_ERROR;
    }

    is_int(bad, 0, "nor does one that is cut off");

    test_store_free(&store);
}


static void
test_look(void)
{
    int            rc;
    char           list[8];
    int            i;
    uint8_t        id[DOI_CONTACT_ID];
    test_store_t   store = { 0 };
    doi_consent_t  c;

    contact_id(DOI_CHANNEL_SMS, ADA, id);
    c = look_at(&store, id, "l", &rc);
    ok(rc == DOI_NOT_FOUND && c.state == N, "nobody: none");

    for (i = 0; i < DOI_LISTS_MAX; i++) {
        (void) snprintf(list, sizeof(list), "l%d", i);
        (void) list_status(&store, ADA, list, DOI_CONSENT_SUBSCRIBE, 2, NULL);
    }

    c = look_at(&store, id, "l31", &rc);
    ok(rc == DOI_OK && c.state == S && c.opted_in == T, "the last list");
    is_int(store.calls, 1, "one look at the store, no memory");
    c = look_at(&store, id, "l", &rc);
    ok(rc == DOI_NOT_FOUND && c.state == N, "a list like the others' start");
    is_int(list_status(&store, ADA, "one more", DOI_CONSENT_SUBSCRIBE, 2,
                       NULL), 0, "a list too many is refused");
    is_int(verify(&store, 5).problems, 0, "32 lists verify");
    store.fail = 1;
    (void) look_at(&store, id, "l1", &rc);
    is_int(rc, DOI_ERROR, "a store that is down says so");

    test_store_free(&store);
}


static void
test_persons(void)
{
    int                   i;
    char                  address[32];
    event_t               e;
    test_store_t          store = { 0 };
    doi_consent_answer_t  a;

    for (i = 0; i < DOI_PERSON_CONTACTS; i++) {
        (void) snprintf(address, sizeof(address), "+49%d", 1000 + i);
        (void) list_status(&store, address, "n", DOI_CONSENT_SUBSCRIBE, 2,
                           NULL);
    }

    e = event(ADA, DOI_CONSENT_SUBSCRIBE, S);
    e.said[DOI_SAID_PERSON] = "p";
    ok(send(&store, T, &e, &a) == DOI_CONFLICT && a.refused,
       "a person has 64 contacts at most");

    e.arg.event = DOI_CONSENT_STOP;
    ok(send(&store, T, &e, &a) == DOI_WON && a.to == O,
       "which keeps nobody from STOP");

    e = event("+491000", DOI_CONSENT_STOP, S);
    e.arg.scope = DOI_SCOPE_PERSON;
    ok(send(&store, T, &e, &a) == DOI_WON && a.others == 64,
       "one STOP for all of them");
    is_int(verify(&store, 50).problems, 0, "and 64 whole chains");

    test_store_free(&store);
}


int
main(void)
{
    _Static_assert(sizeof(doi_consent_arg_t) == 144, "no holes");
    _Static_assert(sizeof(doi_consent_answer_t) == 12, "no holes");
    _Static_assert(sizeof(doi_contact_arg_t) == 92, "no holes");
    _Static_assert(sizeof(doi_token_arg_t) == 32, "no holes");
    _Static_assert(sizeof(doi_consent_sweep_arg_t) == 36, "no holes");

    test_double_opt_in();
    test_duplicates();
    test_again();
    test_scopes();
    test_import();
    test_refused();
    test_replies();
    test_outbox();
    test_batch();
    test_erase();
    test_review();
    test_sweep();
    test_faults();
    test_unreadable();
    test_look();
    test_persons();

    return done_testing();
}
