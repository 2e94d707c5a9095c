/*
 * INIT and SEAL: the ledger's secret, and the chain of epochs.
 *
 * DOI_TABLE_EPOCHS, epoch (4 BE), 73 bytes:
 *
 *   offset  size  field
 *   0       1     version: 1
 *   1       4     time, Unix seconds
 *   5       4     count of heads
 *   9       32    digest of the heads
 *   41      32    MAC
 *
 * DOI_TABLE_SEALED, epoch (4 BE) contact id: seq (4), MAC (32) of the head.
 * DOI_TABLE_META, "epoch": number (4) and MAC (32) of the last epoch.
 *
 *   digest: zeros, then for each head in the order of contact ids
 *           SHA-256(digest || contact id || seq || MAC)
 *   MAC = HMAC-SHA256(ledger key, MAC before || epoch || 0..40); before the
 *   first
 *         epoch: zeros
 *
 * The digest is a chain of its own, so that it can be checked in pieces.  What
 * is put under an epoch's MAC has another length than what is under an entry's,
 * so neither can stand for the other.
 */

#include <string.h>

#include "consent_ops.h"


#define DOI_EPOCH_VERSION   1

_Static_assert(4 + DOI_EPOCH_BODY != DOI_ENTRY_KEY + DOI_ENTRY_BODY,
               "epochs and entries cannot be mistaken for each other");


typedef struct {
    uint32_t   n;
    uint32_t   limit;
    uint8_t   *ids;
} doi_dirty_t;

typedef struct {
    uint32_t   number;
    uint32_t   count;
    uint8_t    before[DOI_MAC_SIZE];
    uint8_t    digest[DOI_MAC_SIZE];
} doi_epoch_t;


static int doi_dirty_row(void *data, doi_str_t key, doi_str_t value);
static int doi_epoch_begin(doi_view_t *view, doi_epoch_t *epoch);
static int doi_epoch_add(doi_view_t *view, doi_epoch_t *epoch,
    const uint8_t id[DOI_CONTACT_ID]);
static int doi_epoch_end(doi_view_t *view, doi_time_t now,
    const doi_epoch_t *epoch, const uint8_t *ledger_key,
    uint8_t mac[DOI_MAC_SIZE]);


const doi_str_t  doi_epoch_last = doi_str("epoch");

static const doi_str_t  doi_ledger_row = doi_str("ledger");


doi_result_t
doi_op_ledger_init(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                    rc, put;
    uint8_t                hash[DOI_MAC_SIZE];
    doi_str_t              sealed, stored;
    doi_result_t           result;
    doi_ledger_init_arg_t  a;

    (void) now;

    put = 0;
    result = DOI_WON;

    if (!doi_arg_head(arg, &a, sizeof(a), &sealed)
        || sealed.len != a.sealed_len || sealed.len == 0
        || sealed.len > DOI_LEDGER_SEALED_MAX || a.replace > 1)
    {
        return DOI_CONFLICT;
    }

    rc = view->get(view, DOI_TABLE_META, doi_ledger_row, &stored);

    if (rc != DOI_OK && rc != DOI_NOT_FOUND) {
        return DOI_RETRY;
    }

    if (rc == DOI_NOT_FOUND) {

        /* There is nothing that could be replaced by it. */

        if (a.replace) {
            return DOI_CONFLICT;
        }

        stored = sealed;
        put = 1;

    } else if (a.replace && !doi_str_same(stored, sealed)) {

        if (doi_digest(&stored, 1, hash, sizeof(hash)) != DOI_OK) {
            return DOI_RETRY;
        }

        if (memcmp(hash, a.old, sizeof(hash)) == 0) {
            stored = sealed;
            put = 1;

        } else {
            result = DOI_CONFLICT;
        }
    }

    if (put
        && view->put(view, DOI_TABLE_META, doi_ledger_row, stored) != DOI_OK)
    {
        return DOI_RETRY;
    }

    return doi_answer(out, stored.data, stored.len) == DOI_OK ? result
                                                              : DOI_RETRY;
}


doi_result_t
doi_op_ledger_seal(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                       rc;
    uint32_t                  i;
    doi_str_t                 rest, from = { NULL, 0 };
    doi_dirty_t               dirty;
    doi_epoch_t               epoch;
    doi_ledger_seal_arg_t     a;
    doi_ledger_seal_answer_t  answer;

    if (!doi_arg_head(arg, &a, sizeof(a), &rest) || rest.len != 0
        || a.limit == 0 || a.limit > DOI_LEDGER_SEAL_MAX)
    {
        return DOI_CONFLICT;
    }

    dirty.n = 0;
    dirty.limit = a.limit;
    dirty.ids = view->alloc(view, (size_t) a.limit * DOI_CONTACT_ID);

    if (dirty.ids == NULL || doi_epoch_begin(view, &epoch) != DOI_OK) {
        return DOI_RETRY;
    }

    rc = view->scan(view, DOI_TABLE_DIRTY, from, doi_dirty_row, &dirty);

    if (rc != DOI_OK && rc != DOI_NOT_FOUND) {
        return DOI_RETRY;
    }

    for (i = 0; i < dirty.n; i++) {
        if (doi_epoch_add(view, &epoch, dirty.ids + i * DOI_CONTACT_ID)
            != DOI_OK)
        {
            return DOI_RETRY;
        }
    }

    if (epoch.count == 0) {
        return DOI_CONFLICT;
    }

    memset(&answer, 0, sizeof(answer));
    answer.epoch = epoch.number;
    answer.count = epoch.count;

    if (doi_epoch_end(view, now, &epoch, a.ledger, answer.mac) != DOI_OK) {
        return DOI_RETRY;
    }

    return doi_answer(out, &answer, sizeof(answer)) == DOI_OK ? DOI_WON
                                                              : DOI_RETRY;
}


/* DOI_NOT_FOUND ends the scan. */

static int
doi_dirty_row(void *data, doi_str_t key, doi_str_t value)
{
    doi_dirty_t *dirty = data;

    (void) value;

    if (key.len != DOI_CONTACT_ID) {
        return DOI_OK;
    }

    if (dirty->n == dirty->limit) {
        return DOI_NOT_FOUND;
    }

    memcpy(dirty->ids + dirty->n * DOI_CONTACT_ID, key.data, DOI_CONTACT_ID);
    dirty->n++;

    return DOI_OK;
}


static int
doi_epoch_begin(doi_view_t *view, doi_epoch_t *epoch)
{
    int        rc;
    doi_str_t  value;

    memset(epoch, 0, sizeof(doi_epoch_t));
    epoch->number = 1;

    rc = view->get(view, DOI_TABLE_META, doi_epoch_last, &value);

    if (rc == DOI_NOT_FOUND) {
        return DOI_OK;
    }

    if (rc != DOI_OK || value.len != DOI_EPOCH_LAST
        || doi_get32(value.data) == UINT32_MAX)
    {
        return DOI_ERROR;
    }

    epoch->number = doi_get32(value.data) + 1;
    memcpy(epoch->before, value.data + 4, DOI_MAC_SIZE);

    return DOI_OK;
}


/*
 * A contact that is gone was removed by somebody else: its row among the dirty
 * ones stays, as the only trace of that.
 */

static int
doi_epoch_add(doi_view_t *view, doi_epoch_t *epoch,
    const uint8_t id[DOI_CONTACT_ID])
{
    int            rc;
    uint8_t        bytes[DOI_SEALED_KEY], row[DOI_SEALED_SIZE];
    doi_str_t      key, value;
    doi_contact_t  contact;

    rc = doi_contact_get(view, id, &contact);

    if (rc == DOI_NOT_FOUND) {
        return DOI_OK;
    }

    if (rc != DOI_OK) {
        return DOI_ERROR;
    }

    doi_put32(bytes, epoch->number);
    memcpy(bytes + 4, id, DOI_CONTACT_ID);
    doi_put32(row, contact.head_seq);
    memcpy(row + 4, contact.head_mac, DOI_MAC_SIZE);

    key.data = bytes;
    key.len = sizeof(bytes);
    value.data = row;
    value.len = sizeof(row);

    if (view->put(view, DOI_TABLE_SEALED, key, value) != DOI_OK
        || doi_epoch_digest(epoch->digest, id, row) != DOI_OK)
    {
        return DOI_ERROR;
    }

    key.data = id;
    key.len = DOI_CONTACT_ID;
    epoch->count++;

    return view->del(view, DOI_TABLE_DIRTY, key) == DOI_OK ? DOI_OK
                                                           : DOI_ERROR;
}


static int
doi_epoch_end(doi_view_t *view, doi_time_t now, const doi_epoch_t *epoch,
    const uint8_t *ledger_key, uint8_t mac[DOI_MAC_SIZE])
{
    uint8_t    bytes[DOI_EPOCH_LAST], row[DOI_EPOCH_SIZE];
    doi_str_t  key, value;

    row[0] = DOI_EPOCH_VERSION;
    doi_put32(row + 1, now);
    doi_put32(row + 5, epoch->count);
    memcpy(row + 9, epoch->digest, DOI_MAC_SIZE);

    if (doi_epoch_mac(ledger_key, epoch->before, epoch->number, row, mac)
        != DOI_OK)
    {
        return DOI_ERROR;
    }

    memcpy(row + DOI_EPOCH_BODY, mac, DOI_MAC_SIZE);
    doi_put32(bytes, epoch->number);
    memcpy(bytes + 4, mac, DOI_MAC_SIZE);

    key.data = bytes;
    key.len = 4;
    value.data = row;
    value.len = sizeof(row);

    if (view->put(view, DOI_TABLE_EPOCHS, key, value) != DOI_OK) {
        return DOI_ERROR;
    }

    value.data = bytes;
    value.len = sizeof(bytes);

    return view->put(view, DOI_TABLE_META, doi_epoch_last, value) == DOI_OK
           ? DOI_OK : DOI_ERROR;
}


int
doi_epoch_digest(uint8_t digest[DOI_MAC_SIZE],
    const uint8_t contact[DOI_CONTACT_ID], const uint8_t *sealed)
{
    doi_str_t  parts[3];

    parts[0].data = digest;
    parts[0].len = DOI_MAC_SIZE;
    parts[1].data = contact;
    parts[1].len = DOI_CONTACT_ID;
    parts[2].data = sealed;
    parts[2].len = DOI_SEALED_SIZE;

    return doi_digest(parts, 3, digest, DOI_MAC_SIZE);
}


int
doi_epoch_mac(const uint8_t *ledger_key, const uint8_t *before,
    uint32_t epoch, const uint8_t *body, uint8_t mac[DOI_MAC_SIZE])
{
    uint8_t  text[DOI_MAC_SIZE + 4 + DOI_EPOCH_BODY];

    memcpy(text, before, DOI_MAC_SIZE);
    doi_put32(text + DOI_MAC_SIZE, epoch);
    memcpy(text + DOI_MAC_SIZE + 4, body, DOI_EPOCH_BODY);

    return doi_ledger_hmac(ledger_key, text, sizeof(text), mac);
}


int
doi_ledger_seal_known(doi_view_t *view, uint32_t epoch,
    const uint8_t mac[DOI_MAC_SIZE])
{
    int        rc;
    uint8_t    bytes[4];
    doi_str_t  key, value;

    doi_put32(bytes, epoch);
    key.data = bytes;
    key.len = sizeof(bytes);

    rc = view->get(view, DOI_TABLE_EPOCHS, key, &value);

    if (rc != DOI_OK) {
        return rc == DOI_NOT_FOUND ? DOI_NOT_FOUND : DOI_ERROR;
    }

    return value.len == DOI_EPOCH_SIZE
           && memcmp(value.data + DOI_EPOCH_BODY, mac, DOI_MAC_SIZE) == 0
           ? DOI_OK : DOI_NOT_FOUND;
}
