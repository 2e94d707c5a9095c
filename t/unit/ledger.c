/*
 * The ledger: keys and entries, INIT and SEAL, and every kind of tampering that
 * verification has to find, in pieces of one row and all at once.
 */

#include "tap.h"
#include "consent_help.h"

#include <openssl/evp.h>


#define CONTACTS    6


static test_answer_t  answer;


static const char *
number(unsigned i)
{
    static char  text[CONTACTS][16];

    (void) snprintf(text[i], sizeof(text[i]), "+4915%u", i);

    return text[i];
}


/* Six contacts with three entries each, in two epochs, one not sealed; the last
   has an entry more, with another list. */

static void
fill(test_store_t *store)
{
    unsigned              i;
    event_t               e;
    doi_consent_answer_t  a;

    for (i = 0; i < CONTACTS; i++) {
        e = event(number(i), DOI_CONSENT_SUBSCRIBE, DOI_CONSENT_DOUBLE);
        e.said[DOI_SAID_TEXT] = i % 2 ? "START" : "start";
        e.said[DOI_SAID_WORDING] = "News?";
        (void) send(store, T, &e, &a);
        e = event(number(i), DOI_CONSENT_CONFIRM, DOI_CONSENT_DOUBLE);
        e.said[DOI_SAID_TEXT] = "YES";
        (void) send(store, T + 1, &e, &a);
    }

    (void) seal(store, T + 2, 4, NULL);
    (void) seal(store, T + 2, 4, NULL);

    for (i = 0; i < CONTACTS; i++) {
        e = event(number(i), DOI_CONSENT_STOP, DOI_CONSENT_DOUBLE);
        e.said[DOI_SAID_TEXT] = "stop";
        (void) send(store, T + 3, &e, &a);
    }

    (void) seal(store, T + 4, CONTACTS - 1, NULL);

    e = event(number(0), DOI_CONSENT_HELP, DOI_CONSENT_DOUBLE);
    e.said[DOI_SAID_LIST] = "mentioned";
    (void) send(store, T + 5, &e, &a);
}


static void
test_keys(void)
{
    uint8_t            id[DOI_CONTACT_ID], other[DOI_CONTACT_ID];
    uint8_t            long_one[256], secret[32];
    doi_str_t          str;
    doi_ledger_keys_t  k;

    /* HKDF-SHA256 and HMAC-SHA256 of 32 times "k", by python's hmac. */

    static const uint8_t  want[DOI_CONTACT_ID] = {
        0xce, 0x7f, 0xac, 0x4d, 0xe1, 0xac, 0x70, 0x37,
        0xc7, 0x13, 0x06, 0xa5
    };

    memset(secret, 'k', sizeof(secret));
    is_int(doi_ledger_keys(secret, &k), DOI_OK, "keys");
    ok(memcmp(k.ledger, k.content, 32) != 0, "each is another");

    is_int(doi_contact_id(&k, DOI_CHANNEL_SMS, text("+491512345678"), id),
           DOI_OK, "a contact's id");
    ok(memcmp(id, want, sizeof(id)) == 0, "is what it has to be");
    (void) doi_contact_id(&k, DOI_CHANNEL_WHATSAPP, text("+491512345678"),
                          other);
    ok(memcmp(id, other, sizeof(id)) != 0, "by channel");

    memset(long_one, 'a', sizeof(long_one));
    str.data = long_one;
    str.len = 255;
    ok(doi_contact_id(&k, DOI_CHANNELS, text("a"), id) == DOI_ERROR
       && doi_contact_id(&k, 0, text(""), id) == DOI_ERROR
       && doi_contact_id(&k, 0, str, id) == DOI_ERROR,
       "no channel, no address, a long one");
    str.len = 254;
    is_int(doi_contact_id(&k, DOI_CHANNEL_WHATSAPP, str, id), DOI_OK,
           "the longest");

    doi_ledger_keys_free(&k);
}


static void
test_entries(void)
{
    int           bad;
    size_t        i;
    doi_str_t     row, content, none = { NULL, 0 };
    doi_entry_t   entry;
    test_row_t   *l, *c;
    test_store_t  store = { 0 };

    fill(&store);
    l = store.tables[DOI_TABLE_LEDGER].rows;
    c = store.tables[DOI_TABLE_CONTENT].rows;
    row.data = l->value;
    row.len = l->vlen;
    content.data = c->value;
    content.len = c->vlen;

    ok(doi_entry_decode(row, content, &entry) == DOI_OK
       && entry.event == DOI_CONSENT_SUBSCRIBE && entry.time == T
       && entry.from == DOI_CONSENT_NONE && entry.to == DOI_CONSENT_PENDING
       && entry.reply == DOI_REPLY_PROMPT && !entry.erased
       && entry.said[DOI_SAID_TEXT].len == 5
       && entry.source == DOI_SOURCE_KEYWORD, "an entry with its content");
    ok(doi_entry_decode(row, none, &entry) == DOI_OK && entry.erased
       && entry.said[DOI_SAID_TEXT].len == 0, "and without it");
    ok(memcmp(entry.wording,
              store.tables[DOI_TABLE_WORDINGS].rows[0].key, 8) == 0
       && store.tables[DOI_TABLE_WORDINGS].n == 1
       && store.tables[DOI_TABLE_WORDINGS].rows[0].vlen == 5,
       "its wording is stored once");

    row.data = l[1].value;
    ok(doi_entry_decode(row, none, &entry) == DOI_OK
       && entry.event == DOI_CONSENT_CONFIRM
       && memcmp(entry.wording,
                 store.tables[DOI_TABLE_WORDINGS].rows[0].key, 8) == 0,
       "what was confirmed is that wording");

    bad = 0;

    for (i = 0; i < row.len; i++) {
        row.len = i;
        bad += doi_entry_decode(row, none, &entry) == DOI_OK;
        row.len = l->vlen;
    }

    for (i = 1; i < content.len; i++) {
        content.len = i;
        bad += doi_entry_decode(row, content, &entry) == DOI_OK;
        content.len = c->vlen;
    }

    is_int(bad, 0, "cut off anywhere: unreadable");

    test_store_free(&store);
}


/* True if it is found in small pieces and at once, and nothing was lost of the
   rest. */

static int
found(test_store_t *store, const char *needle)
{
    unsigned      i;
    doi_verify_t  a, b;

    a = verify(store, 1);
    b = verify(store, 100000);

    if (a.problems == 0 || a.problems != b.problems || !b.done
        || a.problems == 9999)
    {
        printf("# %u and %u problems\n", (unsigned) a.problems,
               (unsigned) b.problems);
        return 0;
    }

    for (i = 0; i < a.problems && i < DOI_PROBLEMS; i++) {
        if (strstr(a.text[i], needle) != NULL) {
            return 1;
        }
    }

    show(&a);

    return 0;
}


static const doi_table_t  chained[] = {
    DOI_TABLE_LEDGER, DOI_TABLE_CONTENT, DOI_TABLE_EPOCHS, DOI_TABLE_SEALED
};

static const char *const  chained_names[] = {
    "LEDGER", "CONTENT", "EPOCHS", "SEALED"
};


/* Every byte of every row, keys too. */

static void
test_bytes(void)
{
    size_t         t, i, k, n, missed, missed_key;
    doi_str_t      key, value;
    test_row_t    *row;
    test_rows_t   *rows;
    doi_verify_t   v;
    test_store_t   store = { 0 }, copy = { 0 };

    fill(&store);

    for (t = 0; t < 4; t++) {
        rows = &store.tables[chained[t]];

        for (i = 0, n = 0, missed = 0, missed_key = 0; i < rows->n; i++) {
            row = &rows->rows[i];

            for (k = 0; k < row->vlen; k++, n++) {
                row->value[k] ^= 0x01;
                v = verify(&store, 100000);
                missed += v.problems == 0 || !v.done;
                row->value[k] ^= 0x01;
            }

            for (k = 0; k < row->klen; k++) {
                test_store_copy(&copy, &store);
                key.data = row->key;
                key.len = row->klen;
                value.data = row->value;
                value.len = row->vlen;
                test_rows_remove(&copy.tables[chained[t]], i);
                row->key[k] ^= 0x01;
                test_store_set(&copy, chained[t], key, value);
                row->key[k] ^= 0x01;
                v = verify(&copy, 100000);
                missed_key += v.problems == 0 || !v.done;
            }
        }

        ok(missed == 0 && n > 90, "each of %u bytes of %s, changed, is found",
           (unsigned) n, chained_names[t]);
        is_int(missed_key, 0, "and of its keys");
    }

    /* Of contacts: the head, and what the status is. */

    rows = &store.tables[DOI_TABLE_CONTACTS];
    missed = 0;

    for (i = 0; i < rows->n; i++) {
        for (k = 12; k < 48; k++) {
            rows->rows[i].value[k] ^= 0x80;
            missed += verify(&store, 100000).problems == 0;
            rows->rows[i].value[k] ^= 0x80;
        }

        k = rows->rows[i].value[52] == 4 ? 53 : 52 + 25 + 9 + 1;
        rows->rows[i].value[k] = DOI_CONSENT_DOUBLE;
        missed += !found(&store, "status double is not that of");
        rows->rows[i].value[k] = DOI_CONSENT_OPTED_OUT;
    }

    is_int(missed, 0, "so are heads and statuses of contacts");

    rows = &store.tables[DOI_TABLE_META];
    missed = 0;

    for (k = 0; k < rows->rows[0].vlen; k++) {
        rows->rows[0].value[k] ^= 0x10;
        missed += !found(&store, "is not the last");
        rows->rows[0].value[k] ^= 0x10;
    }

    is_int(missed, 0, "and the last epoch's mark");
    is_int(verify(&store, 2).problems, 0, "and now all is well again");

    test_store_free(&store);
    test_store_free(&copy);
}


static void
drop(test_store_t *store, doi_table_t table, size_t i)
{
    test_rows_remove(&store->tables[table], i);
}


/* All rows of that table whose key has these bytes there. */

static void
drop_all(test_store_t *store, doi_table_t table, const uint8_t *id, size_t at)
{
    size_t        i;
    test_rows_t  *rows;

    rows = &store->tables[table];

    for (i = rows->n; i-- != 0; ) {
        if (memcmp(rows->rows[i].key + at, id, DOI_CONTACT_ID) == 0) {
            test_rows_remove(rows, i);
        }
    }
}


static void
swap(test_store_t *store, doi_table_t table, size_t i, size_t k)
{
    size_t       len;
    uint8_t     *value;
    test_row_t  *a, *b;

    a = &store->tables[table].rows[i];
    b = &store->tables[table].rows[k];
    value = a->value;
    len = a->vlen;
    a->value = b->value;
    a->vlen = b->vlen;
    b->value = value;
    b->vlen = len;
}


static void
test_rows(void)
{
    size_t        i, k, missed;
    uint8_t       id[DOI_CONTACT_ID], last[DOI_CONTACT_ID];
    test_row_t   *row;
    test_rows_t  *rows;
    test_store_t  good = { 0 }, store = { 0 };

    fill(&good);

    /* Each row of each table, removed. */

    for (k = 0; k < 4; k++) {
        for (i = 0, missed = 0; i < good.tables[chained[k]].n; i++) {
            test_store_copy(&store, &good);
            drop(&store, chained[k], i);
            missed += !found(&store, "");
        }

        is_int(missed, 0, "any row of %s removed is found",
               chained_names[k]);
    }

    for (i = 0, missed = 0; i < good.tables[DOI_TABLE_CONTACTS].n; i++) {
        test_store_copy(&store, &good);
        drop(&store, DOI_TABLE_CONTACTS, i);
        missed += !found(&store, "its record is missing");
    }

    is_int(missed, 0, "so is any contact's record");

    /* In the middle: the second of three. */

    test_store_copy(&store, &good);
    drop(&store, DOI_TABLE_LEDGER, 1);
    drop(&store, DOI_TABLE_CONTENT, 1);
    ok(found(&store, "entry 2 is missing"), "an entry in the middle");

    /* Swapped within a chain, and between chains. */

    test_store_copy(&store, &good);
    swap(&store, DOI_TABLE_LEDGER, 0, 1);
    ok(found(&store, "entry 1 is changed, or follows"), "reordered");

    test_store_copy(&store, &good);
    swap(&store, DOI_TABLE_LEDGER, 0, 3);
    ok(found(&store, "entry 1 is changed"), "exchanged between contacts");

    for (i = 1, missed = 0; i < good.tables[DOI_TABLE_CONTENT].n; i++) {
        test_store_copy(&store, &good);
        row = store.tables[DOI_TABLE_CONTENT].rows;

        /* The same words are the same content. */

        if (row[0].vlen == row[i].vlen
            && memcmp(row[0].value, row[i].value, row[0].vlen) == 0)
        {
            continue;
        }

        swap(&store, DOI_TABLE_CONTENT, 0, i);
        missed += !found(&store, "content of entry 1 is changed");
    }

    is_int(missed, 0, "content swapped between two entries");

    /* Chain cut off after a seal, with its head put back. */

    test_store_copy(&store, &good);
    rows = &store.tables[DOI_TABLE_LEDGER];
    row = store.tables[DOI_TABLE_CONTACTS].rows;
    memcpy(row->value + 12, rows->rows[1].key + DOI_CONTACT_ID, 4);
    memcpy(row->value + 16, rows->rows[1].value + 62, 32);
    drop(&store, DOI_TABLE_LEDGER, 2);
    drop(&store, DOI_TABLE_CONTENT, 2);
    ok(found(&store, "entry 3 is missing"),
       "the tail of a chain that was sealed, head put back");

    test_store_copy(&store, &good);
    drop(&store, DOI_TABLE_LEDGER, 2);
    ok(found(&store, "truncated: entry 3 is missing"), "the tail alone");

    /* A contact, with every row that names it but those of epochs. */

    for (i = 0; i < CONTACTS; i++) {
        test_store_copy(&store, &good);
        contact_id(DOI_CHANNEL_SMS, number((unsigned) i), id);
        drop_all(&store, DOI_TABLE_CONTACTS, id, 0);
        drop_all(&store, DOI_TABLE_LEDGER, id, 0);
        drop_all(&store, DOI_TABLE_CONTENT, id, 0);
        drop_all(&store, DOI_TABLE_DIRTY, id, 0);
        ok(found(&store, "entry 2 is missing"), "a whole contact removed");

        drop_all(&store, DOI_TABLE_SEALED, id, 4);
        ok(found(&store, "has sealed other heads"),
           "and out of the epochs, too");
    }

    /* One that was never sealed leaves its row among the dirty. */

    test_store_copy(&store, &good);
    (void) say(&store, T, "+1", DOI_CONSENT_SUBSCRIBE, DOI_CONSENT_SINGLE);
    contact_id(DOI_CHANNEL_SMS, "+1", last);
    drop_all(&store, DOI_TABLE_CONTACTS, last, 0);
    drop_all(&store, DOI_TABLE_LEDGER, last, 0);
    drop_all(&store, DOI_TABLE_CONTENT, last, 0);
    ok(found(&store, "its record is missing"), "removed before any seal");

    (void) seal(&store, T, 1000, NULL);
    ok(found(&store, "its record is missing"), "which a seal does not hide");

    /* An epoch with its heads. */

    for (k = 1; k <= 3; k++) {
        test_store_copy(&store, &good);
        drop(&store, DOI_TABLE_EPOCHS, k - 1);
        rows = &store.tables[DOI_TABLE_SEALED];

        for (i = rows->n; i-- != 0; ) {
            if (rows->rows[i].key[3] == k) {
                test_rows_remove(rows, i);
            }
        }

        ok(found(&store, k == 3 ? "is not the last" : "is missing"),
           "epoch %u removed with its heads", (unsigned) k);
    }

    /* Consent out of nothing. */

    test_store_copy(&store, &good);
    (void) say(&store, T, "+2", DOI_CONSENT_HELP, DOI_CONSENT_SINGLE);
    contact_id(DOI_CHANNEL_SMS, "+2", id);

    for (i = 0; i < store.tables[DOI_TABLE_CONTACTS].n; i++) {
        row = &store.tables[DOI_TABLE_CONTACTS].rows[i];

        if (memcmp(row->key, id, sizeof(id)) == 0) {
            row->value[53] = DOI_CONSENT_SINGLE;
        }
    }

    ok(found(&store, "status single is not that of its entries"),
       "consent without an entry");

    /* What was shown. */

    test_store_copy(&store, &good);
    store.tables[DOI_TABLE_WORDINGS].rows[0].value[0] ^= 0x01;
    ok(found(&store, "the wording of entry 1 is changed"),
       "a wording changed");
    drop(&store, DOI_TABLE_WORDINGS, 0);
    ok(found(&store, "the wording of entry 1 is missing"),
       "a wording removed");

    /* Given before "since=", or a list that is no longer opted out. */

    test_store_copy(&store, &good);
    (void) say(&store, T, "+3", DOI_CONSENT_SUBSCRIBE, DOI_CONSENT_SINGLE);
    contact_id(DOI_CHANNEL_SMS, "+3", id);

    for (i = 0; i < store.tables[DOI_TABLE_CONTACTS].n; i++) {
        row = &store.tables[DOI_TABLE_CONTACTS].rows[i];

        if (memcmp(row->key, id, sizeof(id)) == 0) {
            row->value[52 + 16] ^= 0x01;
        }
    }

    ok(found(&store, "the time of its consent is not that of its entries"),
       "consent of another time");

    test_store_copy(&store, &good);
    (void) say(&store, T, "+3", DOI_CONSENT_SUBSCRIBE, DOI_CONSENT_SINGLE);

    for (i = 0; i < store.tables[DOI_TABLE_CONTACTS].n; i++) {
        row = &store.tables[DOI_TABLE_CONTACTS].rows[i];

        if (memcmp(row->key, id, sizeof(id)) == 0) {
            row->value[52 + 2] ^= 0x02;
        }
    }

    ok(found(&store, "its override is not that of its entries"),
       "an override that nobody made");

    test_store_copy(&store, &good);
    row = &store.tables[DOI_TABLE_CONTACTS].rows[0];
    k = 25 + (size_t) row->value[52];
    memmove(row->value + 52, row->value + 52 + k, row->vlen - 52 - k);
    row->value[3]--;
    row->vlen -= k;
    ok(found(&store, "a list of its entries is missing"), "a list removed");

    test_store_free(&good);
    test_store_free(&store);
}


static void
test_genuine(void)
{
    unsigned                  i, limit;
    doi_verify_t              v;
    test_store_t              store = { 0 };
    doi_ledger_seal_answer_t  a;

    is_int(verify(&store, 1).problems, 0, "an empty ledger");

    fill(&store);

    for (limit = 1; limit < 30; limit += 7) {
        v = verify(&store, limit);
        ok(v.done && v.problems == 0 && v.entries == 3 * CONTACTS
           && v.contacts == CONTACTS && v.epochs == 3 && v.unsealed == 1
           && v.last_epoch == 3, "whole, by %u rows", limit);
        show(&v);
    }

    is_int(admin(&store, DOI_OP_CONSENT_ERASE, T + 9, number(2), NULL, "op",
                 "gdpr"), DOI_WON, "erasure");
    v = verify(&store, 2);
    ok(v.problems == 0 && v.entries == 3 * CONTACTS + 1
       && v.unsealed == store.tables[DOI_TABLE_DIRTY].n && v.unsealed != 0,
       "is no tampering");
    show(&v);

    is_int(seal(&store, T + 10, 1000, &a), DOI_WON, "the rest is sealed");
    v = verify(&store, 3);
    ok(v.problems == 0 && v.unsealed == 0 && v.last_epoch == 4 && a.epoch == 4
       && a.count != 0 && memcmp(v.last_mac, a.mac, 32) == 0,
       "and the seal is that of the answer");

    test_begin(&store);
    ok(doi_ledger_seal_known(&store.view, 4, a.mac) == DOI_OK
       && doi_ledger_seal_known(&store.view, 3, a.mac) == DOI_NOT_FOUND
       && doi_ledger_seal_known(&store.view, 5, a.mac) == DOI_NOT_FOUND,
       "which can be kept elsewhere and asked for");
    store.fail = store.calls + 1;
    is_int(doi_ledger_seal_known(&store.view, 4, a.mac), DOI_ERROR,
           "unless the store is down");
    test_end(&store, 0);
    store.fail = 0;

    is_int(seal(&store, T, 1000, NULL), DOI_CONFLICT, "nothing to seal");
    is_int(seal(&store, T, 0, NULL), DOI_CONFLICT, "no limit");
    is_int(seal(&store, T, 1001, NULL), DOI_CONFLICT, "a large one");

    /* Content that only an erasure may remove. */

    drop(&store, DOI_TABLE_CONTENT, 0);
    ok(found(&store, "content of entry 1 is missing"), "content removed");
    test_store_free(&store);

    /* Entries that are added while it is being verified. */

    fill(&store);
    memset(&v, 0, sizeof(v));

    for (i = 0; !v.done && i < 1000; i++) {
        test_begin(&store);
        (void) doi_ledger_verify(&store.view, keys(), &v, 1);
        test_end(&store, 0);

        if (i < 60) {
            (void) say(&store, T + i, number(i % CONTACTS),
                       i / CONTACTS % 2 ? DOI_CONSENT_STOP
                                        : DOI_CONSENT_SUBSCRIBE,
                       DOI_CONSENT_SINGLE);
        }

        if (i % 10 == 9 && i < 100) {
            (void) seal(&store, T + i, 3, NULL);
        }
    }

    ok(v.done && v.problems == 0, "verified while it grows, %u looks", i);
    show(&v);
    test_store_free(&store);
}


static void
test_faults(void)
{
    int            bad;
    unsigned       i;
    doi_verify_t   v;
    test_store_t   store = { 0 }, copy = { 0 };

    fill(&store);
    bad = 0;

    for (i = 1; ; i++) {
        memset(&v, 0, sizeof(v));
        store.fail = i;
        test_begin(&store);
        store.fail = i;
        bad += doi_ledger_verify(&store.view, keys(), &v, 100000)
               != (store.calls < i ? DOI_OK : DOI_ERROR);
        test_end(&store, 0);
        bad += v.problems != 0;

        if (v.done || bad != 0) {
            printf("# %u calls\n", store.calls);
            break;
        }
    }

    store.fail = 0;
    ok(bad == 0 && i > 50, "a store that fails is an error, no tampering");

    test_store_copy(&copy, &store);
    bad = 0;

    for (i = 1; ; i++) {
        store.fail = i;

        if (seal(&store, T, 10, NULL) == DOI_WON) {
            break;
        }

        bad += !test_store_same(&store, &copy);
    }

    store.fail = 0;
    ok(bad == 0 && i > 5, "a seal is made whole or not at all");

    test_store_free(&store);
    test_store_free(&copy);
}


static doi_result_t
init(test_store_t *store, const char *sealed, const char *old)
{
    size_t                 len;
    uint8_t                bytes[4096];
    doi_ledger_init_arg_t  arg;

    memset(&arg, 0, sizeof(arg));
    arg.replace = old != NULL;
    arg.sealed_len = (uint32_t) strlen(sealed);

    if (old != NULL) {
        (void) EVP_Digest(old, strlen(old), arg.old, NULL, EVP_sha256(),
                          NULL);
    }

    len = append(bytes, 0, &arg, sizeof(arg));
    len = append(bytes, len, sealed, arg.sealed_len);

    return run(store, DOI_OP_LEDGER_INIT, T, bytes, len, &answer);
}


static int
answered(const char *s)
{
    return answer.len == strlen(s) && memcmp(answer.data, s, answer.len) == 0;
}


static void
test_init(void)
{
    char          large[DOI_LEDGER_SEALED_MAX + 2];
    test_store_t  store = { 0 };

    ok(init(&store, "two", "one") == DOI_CONFLICT, "nothing to replace yet");
    ok(init(&store, "one", NULL) == DOI_WON && answered("one"), "the first");
    ok(init(&store, "two", NULL) == DOI_WON && answered("one"), "stays");
    is_int(store.applied, 0, "without a write");
    ok(init(&store, "two", "six") == DOI_CONFLICT && answered("one"),
       "is not replaced by who does not know it");
    ok(init(&store, "two", "one") == DOI_WON && answered("two"),
       "but by who does");
    ok(init(&store, "two", "one") == DOI_WON && answered("two"), "run again");
    ok(init(&store, "", NULL) == DOI_CONFLICT && answer.len == 0, "empty");
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    ok(init(&store, large, NULL) == DOI_CONFLICT && answer.len == 0, "large");
    store.fail = 1;
    is_int(init(&store, "two", NULL), DOI_RETRY, "store down");

    test_store_free(&store);
}


int
main(void)
{
    _Static_assert(sizeof(doi_ledger_init_arg_t) == 40, "no holes");
    _Static_assert(sizeof(doi_ledger_seal_arg_t) == 36, "no holes");
    _Static_assert(sizeof(doi_ledger_seal_answer_t) == 40, "no holes");

    test_keys();
    test_entries();
    test_genuine();
    test_bytes();
    test_rows();
    test_faults();
    test_init();

    return done_testing();
}
