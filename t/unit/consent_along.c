/*
 * What an event brings with it besides the new status: other contacts of the
 * person, figures, evidence, replies that cannot be sent.
 */

#include "tap.h"
#include "consent_help.h"

#include "../../src/core/consent_ops.h"


#define N   DOI_CONSENT_NONE
#define P   DOI_CONSENT_PENDING
#define S   DOI_CONSENT_SINGLE
#define D   DOI_CONSENT_DOUBLE
#define O   DOI_CONSENT_OPTED_OUT

#define ADA     "+491512345678"
#define BOB     "+4930901820"
#define MAIL    "ada@example.org"


static size_t
rows(const test_store_t *store, doi_table_t table)
{
    return store->tables[table].n;
}


/* The text in a row of this table whose key begins with id (NULL: in any). */

static int
holds(const test_store_t *store, doi_table_t table, const uint8_t *id,
    const char *needle)
{
    size_t             i;
    const test_row_t  *row;

    for (i = 0; i < rows(store, table); i++) {
        row = &store->tables[table].rows[i];

        if (id != NULL && (row->klen < DOI_CONTACT_ID
                           || memcmp(row->key, id, DOI_CONTACT_ID) != 0))
        {
            continue;
        }

        if (memmem(row->value, row->vlen, needle, strlen(needle)) != NULL) {
            return 1;
        }
    }

    return 0;
}


/* A figure of the statistics, over all days, lists and wordings. */

static unsigned
figure(const test_store_t *store, unsigned channel, unsigned source,
    doi_stat_t stat)
{
    size_t             i;
    unsigned           n;
    const test_row_t  *row;

    n = 0;

    for (i = 0; i < rows(store, DOI_TABLE_STATS); i++) {
        row = &store->tables[DOI_TABLE_STATS].rows[i];

        if (row->key[4] == channel && row->key[5] == source) {
            n += row->value[4 * stat + 3];
        }
    }

    return n;
}


static event_t
mail_event(unsigned what)
{
    event_t  e;

    e = event(MAIL, what, S);
    contact_id(DOI_CHANNEL_EMAIL, MAIL, e.arg.contact);
    e.arg.channel = DOI_CHANNEL_EMAIL;
    e.arg.source = DOI_SOURCE_WEB;

    return e;
}


static void
test_others(void)
{
    int                   rc;
    uint8_t               mail[DOI_CONTACT_ID];
    event_t               e;
    doi_consent_t         c;
    test_store_t          store = { 0 };
    doi_consent_answer_t  a;

    e = mail_event(DOI_CONSENT_SUBSCRIBE);
    memcpy(mail, e.arg.contact, DOI_CONTACT_ID);
    e.said[DOI_SAID_PERSON] = "p";
    (void) send(&store, T, &e, &a);
    e = event(ADA, DOI_CONSENT_SUBSCRIBE, S);
    e.said[DOI_SAID_PERSON] = "p";
    (void) send(&store, T, &e, &a);

    e = event(ADA, DOI_CONSENT_STOP, S);
    e.arg.scope = DOI_SCOPE_PERSON;
    e.said[DOI_SAID_TEXT] = "SECRETtext";
    e.said[DOI_SAID_CLIENT] = "SECRETclient";
    e.said[DOI_SAID_AGENT] = "SECRETagent";
    e.said[DOI_SAID_REASON] = "by-word-of-mouth";
    e.said[DOI_SAID_ACTOR] = "operator-7";
    (void) send(&store, T + 1, &e, &a);
    c = look_at(&store, mail, "news", &rc);
    ok(a.to == O && a.others == 1 && c.state == O,
       "the mail address goes along with the number");

    ok(holds(&store, DOI_TABLE_CONTENT, mail, "by-word-of-mouth")
       && holds(&store, DOI_TABLE_CONTENT, mail, "operator-7"),
       "its evidence says why, and by whom");
    ok(!holds(&store, DOI_TABLE_CONTENT, mail, "SECRET"),
       "and nothing that only the other said");

    is_int(admin(&store, DOI_OP_CONSENT_ERASE, T + 2, ADA, NULL, "op", "gdpr"),
           DOI_WON, "the number is erased");
    ok(!holds(&store, DOI_TABLE_CONTENT, NULL, "SECRET"),
       "so nothing of that is left");

    is_int(figure(&store, DOI_CHANNEL_SMS, DOI_SOURCE_KEYWORD, DOI_STAT_OUT),
           1, "one opt-out of a number");
    is_int(figure(&store, DOI_CHANNEL_EMAIL, DOI_SOURCE_WEB, DOI_STAT_OUT), 1,
           "and one of a mail address");
    is_int(figure(&store, DOI_CHANNEL_SMS, DOI_SOURCE_WEB, DOI_STAT_OUT), 0,
           "not of a number by a form");
    is_int(verify(&store, 5).problems, 0, "the chains are whole");

    test_store_free(&store);
}


/* Who belongs to another person now is not opted out with the former one. */

static void
test_moved(void)
{
    event_t               e;
    test_store_t          store = { 0 };
    doi_consent_answer_t  a;

    e = event(ADA, DOI_CONSENT_SUBSCRIBE, S);
    e.said[DOI_SAID_PERSON] = "p";
    (void) send(&store, T, &e, &a);
    e = event(BOB, DOI_CONSENT_SUBSCRIBE, S);
    e.said[DOI_SAID_PERSON] = "p";
    (void) send(&store, T, &e, &a);
    e = event(ADA, DOI_CONSENT_SUBSCRIBE, S);
    e.said[DOI_SAID_PERSON] = "q";
    (void) send(&store, T + 1, &e, &a);

    e = event(BOB, DOI_CONSENT_STOP, S);
    e.arg.scope = DOI_SCOPE_PERSON;
    (void) send(&store, T + 2, &e, &a);
    ok(a.to == O && a.others == 0 && status(&store, ADA, "news") == S,
       "a contact that was moved to another person stays");

    e = event(BOB, DOI_CONSENT_SUBSCRIBE, S);
    (void) send(&store, T + 3, &e, &a);
    e = event(ADA, DOI_CONSENT_STOP, S);
    e.arg.scope = DOI_SCOPE_PERSON;
    (void) send(&store, T + 4, &e, &a);
    ok(a.to == O && status(&store, BOB, "news") == S, "and the other way round");

    test_store_free(&store);
}


static void
test_figures(void)
{
    event_t               e;
    test_store_t          store = { 0 };
    doi_consent_answer_t  a;

    e = event(ADA, DOI_CONSENT_STOP, S);
    (void) send(&store, T, &e, &a);
    ok(a.to == O
       && figure(&store, DOI_CHANNEL_SMS, DOI_SOURCE_KEYWORD, DOI_STAT_OUT)
          == 1
       && rows(&store, DOI_TABLE_STATS) == 1,
       "STOP of somebody unknown counts where it came from");

    e = event(BOB, DOI_CONSENT_OVERRIDE, S);
    (void) send(&store, T, &e, &a);
    ok(a.to == S && rows(&store, DOI_TABLE_STATS) == 1,
       "an override is nobody's subscription");

    test_store_free(&store);
}


static void
test_answerable(void)
{
    event_t               e;
    test_store_t          store = { 0 };
    doi_consent_answer_t  a;

    e = event(ADA, DOI_CONSENT_OVERRIDE, S);
    e.said[DOI_SAID_ACTOR] = NULL;
    ok(send(&store, T, &e, &a) == DOI_CONFLICT && a.to == 0xff
       && rows(&store, DOI_TABLE_CONTACTS) == 0,
       "an override without an actor is malformed");

    test_store_free(&store);
}


/* A reminder that was not sent is not used up. */

static void
test_unsent(void)
{
    int                   rc, i;
    uint8_t               id[DOI_CONTACT_ID];
    event_t               e;
    doi_consent_t         c;
    test_store_t          store = { 0 };
    doi_consent_answer_t  a;

    contact_id(DOI_CHANNEL_SMS, ADA, id);
    (void) say(&store, T, ADA, DOI_CONSENT_SUBSCRIBE, D);

    for (i = 0; i < 2; i++) {
        e = event(ADA, DOI_CONSENT_OTHER, D);
        e.arg.flags = DOI_CONSENT_QUIET;
        e.said[DOI_SAID_LANG] = i ? "fr" : "de";
        (void) send(&store, T + DOI_REMIND_EVERY, &e, &a);
        c = look_at(&store, id, "news", &rc);
        ok(a.reply == 0 && c.reminders == 0 && c.asked == T && c.prompted,
           "a reminder that is not sent, %d", i);
    }

    e.arg.flags = 0;
    (void) send(&store, T + DOI_REMIND_EVERY, &e, &a);
    c = look_at(&store, id, "news", &rc);
    ok(a.reply == DOI_REPLY_REMINDER && c.reminders == 1
       && c.asked == T + DOI_REMIND_EVERY, "is not used up");

    test_store_free(&store);
}


/* Who was erased has no address that a reply could go to. */

static void
test_erased(void)
{
    event_t               e;
    test_store_t          store = { 0 };
    doi_consent_answer_t  a;

    (void) say(&store, T, ADA, DOI_CONSENT_SUBSCRIBE, S);
    (void) admin(&store, DOI_OP_CONSENT_ERASE, T, ADA, NULL, "op", "gdpr");

    e = event(ADA, DOI_CONSENT_HELP, S);
    (void) send(&store, T + 1, &e, &a);
    ok(a.reply == DOI_REPLY_NONE && rows(&store, DOI_TABLE_MESSAGES) == 0,
       "HELP of somebody erased: nothing is put by for later");

    e.arg.flags = DOI_CONSENT_INLINE;
    (void) send(&store, T + 1, &e, &a);
    ok(a.reply == DOI_REPLY_HELP && rows(&store, DOI_TABLE_MESSAGES) == 0,
       "but it is answered at once if that can be done");

    e = event(ADA, DOI_CONSENT_STOP, S);
    e.said[DOI_SAID_SENDER] = "SECRETsender";
    e.said[DOI_SAID_LANG] = "de";
    (void) send(&store, T + 2, &e, &a);
    ok(a.to == O && a.reply == DOI_REPLY_NONE
       && !holds(&store, DOI_TABLE_CONTACTS, NULL, "SECRET")
       && !holds(&store, DOI_TABLE_CONTACTS, NULL, ADA),
       "STOP brings nothing back");

    e = event(ADA, DOI_CONSENT_OTHER, S);
    e.arg.flags = DOI_CONSENT_REVIEW;
    e.said[DOI_SAID_TEXT] = "SECRETtext";
    e.said[DOI_SAID_SENDER] = "+49888";
    (void) send(&store, T + 3, &e, &a);
    ok(holds(&store, DOI_TABLE_REVIEW, NULL, "SECRETtext")
       && holds(&store, DOI_TABLE_REVIEW, NULL, "+49888"),
       "a doubtful text waits, with the number that it was sent to");
    is_int(admin(&store, DOI_OP_CONSENT_ERASE, T + 4, ADA, NULL, "op",
                 "gdpr"), DOI_WON, "erased once more");
    is_int(rows(&store, DOI_TABLE_REVIEW), 0, "that text, too");
    is_int(verify(&store, 5).problems, 0, "the chain is whole");

    test_store_free(&store);
}


/* After an erasure nobody sees that two contacts have said the same. */

static void
test_commitments(void)
{
    size_t                i, n;
    event_t               e;
    doi_str_t             value, none = { NULL, 0 };
    doi_entry_t           entry[2];
    test_store_t          store = { 0 };
    doi_consent_answer_t  a;

    for (n = 0; n < 2; n++) {
        e = event(n ? BOB : ADA, DOI_CONSENT_SUBSCRIBE, S);
        e.said[DOI_SAID_TEXT] = "start";
        (void) send(&store, T, &e, &a);
    }

    for (i = 0, n = 0; i < rows(&store, DOI_TABLE_LEDGER) && n < 2; i++) {
        value.data = store.tables[DOI_TABLE_LEDGER].rows[i].value;
        value.len = store.tables[DOI_TABLE_LEDGER].rows[i].vlen;
        n += doi_entry_decode(value, none, &entry[n]) == DOI_OK;
    }

    ok(n == 2 && memcmp(entry[0].commitment, entry[1].commitment,
                        DOI_MAC_SIZE) != 0,
       "the same words of two contacts have different commitments");

    test_store_free(&store);
}


/* The mark of time that the courier keeps may be ahead of the clock. */

static void
test_sweep(void)
{
    event_t                  e;
    test_store_t             store = { 0 };
    doi_consent_answer_t     a;
    doi_consent_sweep_arg_t  arg;
    static test_answer_t     answer;

    e = event(ADA, DOI_CONSENT_SUBSCRIBE, D);
    memset(e.arg.confirm, 'c', DOI_ID_SIZE);
    e.arg.confirm_expires = T + 7 * DAY;
    (void) send(&store, T, &e, &a);

    memset(&arg, 0, sizeof(arg));
    arg.mark = T + 30 * DAY;
    arg.limit = 10;
    is_int(run(&store, DOI_OP_CONSENT_SWEEP, T + DAY, &arg, sizeof(arg),
               &answer), DOI_WON, "a sweep with a mark that is ahead");
    is_int(rows(&store, DOI_TABLE_TOKENS), 2, "drops nothing that is valid");
    (void) run(&store, DOI_OP_CONSENT_SWEEP, T + 8 * DAY, &arg, sizeof(arg),
               &answer);
    is_int(rows(&store, DOI_TABLE_TOKENS), 0, "and what is over later");

    test_store_free(&store);
}


int
main(void)
{
    test_commitments();
    test_sweep();
    test_others();
    test_moved();
    test_figures();
    test_answerable();
    test_unsent();
    test_erased();

    return done_testing();
}
