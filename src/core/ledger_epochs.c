/*
 * Verification of the epochs, and of what they do not cover yet.  See
 * ledger_verify.c.
 */

#include <string.h>

#include "ledger_verify.h"


static int doi_check_epoch(doi_check_t *c);
static int doi_check_epoch_row(void *data, doi_str_t key, doi_str_t value);
static int doi_check_sealed(void *data, doi_str_t key, doi_str_t value);
static int doi_check_close(doi_check_t *c);
static int doi_check_last(doi_check_t *c);
static int doi_check_beyond(void *data, doi_str_t key, doi_str_t value);
static int doi_check_dirty(void *data, doi_str_t key, doi_str_t value);


int
doi_check_epochs(doi_check_t *c)
{
    int        rc;
    uint8_t    bytes[DOI_SEALED_KEY + 1];
    doi_str_t  from;

    if (!c->v->open) {
        rc = doi_check_epoch(c);

        if (rc != DOI_NOT_FOUND) {
            return rc;
        }

        return doi_check_last(c);
    }

    doi_put32(bytes, c->v->epoch);
    memcpy(bytes + 4, c->v->contact, DOI_CONTACT_ID);
    bytes[DOI_SEALED_KEY] = 0;

    from.data = bytes;
    from.len = c->v->seq == 0 ? 4 : sizeof(bytes);

    rc = doi_check_scan(c, DOI_TABLE_SEALED, from, doi_check_sealed);

    if (rc == DOI_NOT_FOUND && c->left == 0) {
        return DOI_OK;
    }

    return rc == DOI_ERROR ? DOI_ERROR : doi_check_close(c);
}


/* Opens the next epoch; DOI_NOT_FOUND: there is none. */

static int
doi_check_epoch(doi_check_t *c)
{
    int            rc;
    uint8_t        bytes[5];
    doi_str_t      from;
    doi_verify_t  *v;

    v = c->v;

    doi_put32(bytes, v->epoch);
    bytes[4] = 0;

    from.data = bytes;
    from.len = sizeof(bytes);

    rc = doi_check_scan(c, DOI_TABLE_EPOCHS, from, doi_check_epoch_row);

    if (rc == DOI_OK) {
        return DOI_NOT_FOUND;
    }

    return rc == DOI_ERROR ? DOI_ERROR : DOI_OK;
}


static int
doi_check_epoch_row(void *data, doi_str_t key, doi_str_t value)
{
    uint32_t       number;
    doi_check_t   *c = data;
    doi_verify_t  *v;

    (void) value;

    v = c->v;

    if (key.len != 4) {
        return DOI_OK;
    }

    c->left--;
    number = doi_get32(key.data);
    v->gap = number != v->epoch + 1;

    if (v->gap) {
        doi_problem(v, NULL, "epoch %u is missing", v->epoch + 1);
    }

    v->open = 1;
    v->epoch = number;
    v->epochs++;
    v->count = 0;
    v->seq = 0;
    memset(v->digest, 0, DOI_MAC_SIZE);
    memset(v->contact, 0, DOI_CONTACT_ID);

    return DOI_NOT_FOUND;
}


/* DOI_NOT_FOUND with rows left: all heads of the epoch were seen. */

static int
doi_check_sealed(void *data, doi_str_t key, doi_str_t value)
{
    doi_check_t   *c = data;
    doi_verify_t  *v;

    v = c->v;

    if (key.len >= 4 && doi_get32(key.data) != v->epoch) {
        return DOI_NOT_FOUND;
    }

    if (c->left == 0) {
        return DOI_NOT_FOUND;
    }

    if (key.len != DOI_SEALED_KEY) {
        doi_problem(v, NULL, "epoch %u has a head that is none", v->epoch);
        return DOI_OK;
    }

    c->left--;
    v->count++;
    v->seq = 1;
    memcpy(v->contact, key.data + 4, DOI_CONTACT_ID);

    if (value.len != DOI_SEALED_SIZE) {
        doi_problem(v, v->contact, "its head in epoch %u is changed",
                    v->epoch);
        return DOI_OK;
    }

    if (doi_epoch_digest(v->digest, v->contact, value.data) != DOI_OK) {
        c->failed = 1;
        return DOI_NOT_FOUND;
    }

    return doi_check_named(c, v->contact, doi_get32(value.data),
                           value.data + 4);
}


static int
doi_check_close(doi_check_t *c)
{
    int            rc;
    uint8_t        bytes[4], mac[DOI_MAC_SIZE];
    doi_str_t      value;
    doi_verify_t  *v;

    v = c->v;
    v->open = 0;

    doi_put32(bytes, v->epoch);
    rc = doi_check_get(c, DOI_TABLE_EPOCHS, bytes, sizeof(bytes), &value);

    if (rc == DOI_ERROR) {
        return DOI_ERROR;
    }

    v->last_epoch = v->epoch;

    if (rc == DOI_NOT_FOUND || value.len != DOI_EPOCH_SIZE) {
        doi_problem(v, NULL, "epoch %u is changed: unreadable", v->epoch);
        memset(v->last_mac, 0, DOI_MAC_SIZE);
        return DOI_OK;
    }

    if (doi_epoch_mac(c->keys->ledger, v->last_mac, v->epoch, value.data, mac)
        != DOI_OK)
    {
        return DOI_ERROR;
    }

    if (!v->gap
        && memcmp(mac, value.data + DOI_EPOCH_BODY, DOI_MAC_SIZE) != 0)
    {
        doi_problem(v, NULL, "epoch %u is changed, or follows another",
                    v->epoch);
    }

    if (v->count != doi_get32(value.data + 5)
        || memcmp(v->digest, value.data + 9, DOI_MAC_SIZE) != 0)
    {
        doi_problem(v, NULL, "epoch %u has sealed other heads", v->epoch);
    }

    memcpy(v->last_mac, value.data + DOI_EPOCH_BODY, DOI_MAC_SIZE);

    return DOI_OK;
}


/* The last epoch is the one that META tells of, and nothing lies beyond. */

static int
doi_check_last(doi_check_t *c)
{
    int            rc;
    uint8_t        bytes[5];
    doi_str_t      from, value;
    doi_verify_t  *v;

    v = c->v;

    rc = doi_check_get(c, DOI_TABLE_META, doi_epoch_last.data,
                       doi_epoch_last.len, &value);

    if (rc == DOI_ERROR) {
        return DOI_ERROR;
    }

    if (rc == DOI_NOT_FOUND ? v->last_epoch != 0
        : value.len != DOI_EPOCH_LAST
          || doi_get32(value.data) != v->last_epoch
          || memcmp(value.data + 4, v->last_mac, DOI_MAC_SIZE) != 0)
    {
        doi_problem(v, NULL, "epoch %u is not the last that was sealed",
                    v->last_epoch);
    }

    /* Heads of epochs that are numbered: behind all keys of this one. */

    doi_put32(bytes, v->last_epoch + 1);
    from.data = bytes;
    from.len = 4;

    rc = doi_check_scan(c, DOI_TABLE_SEALED, from, doi_check_beyond);

    if (rc != DOI_ERROR) {
        doi_check_stage(v, DOI_STAGE_UNSEALED);
    }

    return rc == DOI_ERROR ? DOI_ERROR : DOI_OK;
}


static int
doi_check_beyond(void *data, doi_str_t key, doi_str_t value)
{
    doi_check_t  *c = data;

    (void) value;

    doi_problem(c->v, NULL, "epoch %u is missing",
                key.len >= 4 ? doi_get32(key.data) : 0);

    return DOI_NOT_FOUND;
}


int
doi_check_unsealed(doi_check_t *c)
{
    int        rc;
    uint8_t    bytes[DOI_CONTACT_ID + 1];
    doi_str_t  from;

    memcpy(bytes, c->v->contact, DOI_CONTACT_ID);
    bytes[DOI_CONTACT_ID] = 0;

    from.data = bytes;
    from.len = c->v->seq == 0 ? 0 : sizeof(bytes);

    rc = doi_check_scan(c, DOI_TABLE_DIRTY, from, doi_check_dirty);

    if (rc == DOI_OK) {
        c->v->done = 1;
    }

    return rc == DOI_ERROR ? DOI_ERROR : DOI_OK;
}


static int
doi_check_dirty(void *data, doi_str_t key, doi_str_t value)
{
    int            rc;
    doi_str_t      record;
    doi_check_t   *c = data;
    doi_verify_t  *v;

    (void) value;

    v = c->v;

    if (c->left == 0) {
        return DOI_NOT_FOUND;
    }

    if (key.len != DOI_CONTACT_ID) {
        return DOI_OK;
    }

    c->left--;
    v->unsealed++;
    v->seq = 1;
    memcpy(v->contact, key.data, DOI_CONTACT_ID);

    rc = doi_check_get(c, DOI_TABLE_CONTACTS, v->contact, DOI_CONTACT_ID,
                       &record);

    if (rc == DOI_NOT_FOUND) {
        doi_problem(v, v->contact, "its record is missing");
    }

    return rc == DOI_ERROR ? DOI_NOT_FOUND : DOI_OK;
}
