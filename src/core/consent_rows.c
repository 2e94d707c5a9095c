/*
 * The rows beside contacts and ledger.
 *
 * DOI_TABLE_PERSONS: first 16 bytes of SHA-256("person" || person) -> ids of
 * the contacts, one after the other, at most DOI_PERSON_CONTACTS.
 *
 * DOI_TABLE_TOKENS: token id -> expires (4 BE), purpose (1), contact id, list.
 *
 * DOI_TABLE_REVIEW: hour, hash of what is said ->
 *
 *   0       1     version: 1
 *   1       1     channel
 *   2       4     time
 *   6       12    contact id
 *   18      1     L, bytes of list
 *   19      1     S, bytes of sender
 *   20      1     M, bytes of message id
 *   21      2     T, bytes of text
 *   23            list, sender, message id, text
 *
 * DOI_TABLE_PROVIDER: first 16 bytes of SHA-256(contact id || message id) ->
 * since when (4 BE).  By contact, since the ids of a small provider may be as
 * simple as "1", and two providers may have the same.
 *
 * Tokens, messages (consent_reply.c) and review rows have a second row each,
 * contact id || id -> "", by which an erasure finds them.  Numbers are unsigned
 * and big-endian.
 */

#include <string.h>

#include <openssl/evp.h>

#include "consent_ops.h"


#define DOI_PERSON_KEY      16

#define DOI_REVIEW_VERSION  1
#define DOI_REVIEW_HEAD     23
#define DOI_REVIEW_TEXTS    (64 + 64 + 128 + 1600)

#define DOI_HOUR            3600
#define DOI_DAY             86400

/* Ids that are collected at first; then twice as many, and so on. */
#define DOI_INDEX_ROOM      32


typedef struct {
    doi_view_t     *view;
    const uint8_t  *contact;
    size_t          len;
    uint8_t        *tails;
    size_t          n;
    size_t          room;
    int             failed;
} doi_index_t;


static void doi_index_key(const uint8_t *contact, const uint8_t *id,
    uint8_t key[2 * DOI_ID_SIZE], doi_str_t *str);
static int doi_index_row(void *data, doi_str_t key, doi_str_t value);
static int doi_index_grow(doi_index_t *index);
static int doi_person_key(doi_str_t person, uint8_t bytes[DOI_PERSON_KEY],
    doi_str_t *key);
static int doi_person_store(doi_view_t *view, doi_str_t key, doi_str_t ids);
static const uint8_t *doi_person_find(doi_str_t ids, const uint8_t *contact);


int
doi_list_hash(doi_str_t list, uint8_t hash[DOI_LIST_HASH])
{
    return doi_digest(&list, 1, hash, DOI_LIST_HASH);
}


int
doi_index_put(doi_view_t *view, doi_table_t table,
    const uint8_t contact[DOI_CONTACT_ID], const uint8_t id[DOI_ID_SIZE])
{
    uint8_t    bytes[2 * DOI_ID_SIZE];
    doi_str_t  key, none = { NULL, 0 };

    doi_index_key(contact, id, bytes, &key);

    return view->put(view, table, key, none) == DOI_OK ? DOI_OK : DOI_ERROR;
}


int
doi_index_del(doi_view_t *view, doi_table_t table,
    const uint8_t contact[DOI_CONTACT_ID], const uint8_t id[DOI_ID_SIZE])
{
    uint8_t    bytes[2 * DOI_ID_SIZE];
    doi_str_t  key;

    doi_index_key(contact, id, bytes, &key);

    return view->del(view, table, key) == DOI_OK ? DOI_OK : DOI_ERROR;
}


static void
doi_index_key(const uint8_t *contact, const uint8_t *id,
    uint8_t key[2 * DOI_ID_SIZE], doi_str_t *str)
{
    memcpy(key, contact, DOI_CONTACT_ID);
    memcpy(key + DOI_CONTACT_ID, id, DOI_ID_SIZE);

    str->data = key;
    str->len = DOI_CONTACT_ID + DOI_ID_SIZE;
}


int
doi_index_collect(doi_view_t *view, doi_table_t table,
    const uint8_t contact[DOI_CONTACT_ID], size_t len, uint8_t **tails,
    size_t *n)
{
    int          rc;
    doi_str_t    from;
    doi_index_t  index;

    memset(&index, 0, sizeof(index));
    index.view = view;
    index.contact = contact;
    index.len = len;

    from.data = contact;
    from.len = DOI_CONTACT_ID;

    rc = view->scan(view, table, from, doi_index_row, &index);

    if (index.failed || (rc != DOI_OK && rc != DOI_NOT_FOUND)) {
        return DOI_ERROR;
    }

    *tails = index.tails;
    *n = index.n;

    return DOI_OK;
}


/* DOI_NOT_FOUND ends the scan. */

static int
doi_index_row(void *data, doi_str_t key, doi_str_t value)
{
    doi_index_t *index = data;

    (void) value;

    if (key.len < DOI_CONTACT_ID
        || memcmp(key.data, index->contact, DOI_CONTACT_ID) != 0)
    {
        return DOI_NOT_FOUND;
    }

    if (key.len != DOI_CONTACT_ID + index->len) {
        return DOI_OK;
    }

    if (index->n == index->room && doi_index_grow(index) != DOI_OK) {
        index->failed = 1;
        return DOI_NOT_FOUND;
    }

    memcpy(index->tails + index->n * index->len, key.data + DOI_CONTACT_ID,
           index->len);
    index->n++;

    return DOI_OK;
}


static int
doi_index_grow(doi_index_t *index)
{
    size_t    room;
    uint8_t  *tails;

    room = index->room != 0 ? 2 * index->room : DOI_INDEX_ROOM;
    tails = index->view->alloc(index->view, room * index->len);

    if (tails == NULL) {
        return DOI_ERROR;
    }

    if (index->n != 0) {
        memcpy(tails, index->tails, index->n * index->len);
    }

    index->tails = tails;
    index->room = room;

    return DOI_OK;
}


int
doi_person_contacts(doi_view_t *view, doi_str_t person, doi_str_t *ids)
{
    int        rc;
    uint8_t    bytes[DOI_PERSON_KEY];
    doi_str_t  key;

    ids->data = NULL;
    ids->len = 0;

    if (person.len == 0) {
        return DOI_OK;
    }

    if (doi_person_key(person, bytes, &key) != DOI_OK) {
        return DOI_ERROR;
    }

    rc = view->get(view, DOI_TABLE_PERSONS, key, ids);

    if (rc == DOI_NOT_FOUND) {
        ids->len = 0;
        return DOI_OK;
    }

    return rc == DOI_OK && ids->len != 0 && ids->len % DOI_CONTACT_ID == 0
           && ids->len <= (size_t) DOI_PERSON_CONTACTS * DOI_CONTACT_ID
           ? DOI_OK : DOI_ERROR;
}


int
doi_person_add(doi_view_t *view, doi_str_t person,
    const uint8_t contact[DOI_CONTACT_ID])
{
    uint8_t    bytes[DOI_PERSON_KEY];
    uint8_t    all[DOI_PERSON_CONTACTS * DOI_CONTACT_ID];
    doi_str_t  key, ids;

    if (person.len == 0) {
        return DOI_OK;
    }

    if (doi_person_contacts(view, person, &ids) != DOI_OK
        || doi_person_key(person, bytes, &key) != DOI_OK)
    {
        return DOI_ERROR;
    }

    if (doi_person_find(ids, contact) != NULL) {
        return DOI_OK;
    }

    if (ids.len + DOI_CONTACT_ID > sizeof(all)) {
        return DOI_NOT_FOUND;
    }

    memcpy(doi_str_put(all, ids), contact, DOI_CONTACT_ID);
    ids.data = all;
    ids.len += DOI_CONTACT_ID;

    return doi_person_store(view, key, ids);
}


int
doi_person_del(doi_view_t *view, doi_str_t person,
    const uint8_t contact[DOI_CONTACT_ID])
{
    uint8_t         bytes[DOI_PERSON_KEY];
    uint8_t         all[DOI_PERSON_CONTACTS * DOI_CONTACT_ID];
    doi_str_t       key, ids, head, tail;
    const uint8_t  *p;

    if (person.len == 0) {
        return DOI_OK;
    }

    if (doi_person_contacts(view, person, &ids) != DOI_OK
        || doi_person_key(person, bytes, &key) != DOI_OK)
    {
        return DOI_ERROR;
    }

    p = doi_person_find(ids, contact);

    if (p == NULL) {
        return DOI_OK;
    }

    head.data = ids.data;
    head.len = (size_t) (p - ids.data);
    tail.data = p + DOI_CONTACT_ID;
    tail.len = ids.len - head.len - DOI_CONTACT_ID;

    (void) doi_str_put(doi_str_put(all, head), tail);
    ids.data = all;
    ids.len -= DOI_CONTACT_ID;

    return doi_person_store(view, key, ids);
}


static int
doi_person_key(doi_str_t person, uint8_t bytes[DOI_PERSON_KEY],
    doi_str_t *key)
{
    doi_str_t  parts[2] = { doi_str("person"), person };

    key->data = bytes;
    key->len = DOI_PERSON_KEY;

    return doi_digest(parts, 2, bytes, DOI_PERSON_KEY);
}


static int
doi_person_store(doi_view_t *view, doi_str_t key, doi_str_t ids)
{
    return ids.len == 0
           ? doi_row_del(view, DOI_TABLE_PERSONS, key.data, key.len)
           : doi_row_put(view, DOI_TABLE_PERSONS, key.data, key.len,
                         ids.data, ids.len);
}


static const uint8_t *
doi_person_find(doi_str_t ids, const uint8_t *contact)
{
    size_t  i;

    for (i = 0; i + DOI_CONTACT_ID <= ids.len; i += DOI_CONTACT_ID) {
        if (memcmp(ids.data + i, contact, DOI_CONTACT_ID) == 0) {
            return ids.data + i;
        }
    }

    return NULL;
}


int
doi_token_put(doi_view_t *view, const uint8_t id[DOI_ID_SIZE],
    const uint8_t contact[DOI_CONTACT_ID], doi_time_t expires,
    unsigned purpose, doi_str_t list)
{
    uint8_t  row[DOI_TOKEN_ROW + 64];

    if (list.len > doi_said_max[DOI_SAID_LIST]) {
        return DOI_ERROR;
    }

    doi_put32(row, expires);
    row[4] = (uint8_t) purpose;
    memcpy(row + 5, contact, DOI_CONTACT_ID);
    (void) doi_str_put(row + DOI_TOKEN_ROW, list);

    if (doi_row_put(view, DOI_TABLE_TOKENS, id, DOI_ID_SIZE, row,
                    DOI_TOKEN_ROW + list.len)
        != DOI_OK)
    {
        return DOI_ERROR;
    }

    return doi_index_put(view, DOI_TABLE_TOKENS, contact, id);
}


int
doi_token_del(doi_view_t *view, const uint8_t id[DOI_ID_SIZE],
    const uint8_t contact[DOI_CONTACT_ID])
{
    return doi_row_del(view, DOI_TABLE_TOKENS, id, DOI_ID_SIZE) == DOI_OK
           ? doi_index_del(view, DOI_TABLE_TOKENS, contact, id) : DOI_ERROR;
}


int
doi_token_contact(doi_view_t *view, const uint8_t id[DOI_ID_SIZE],
    unsigned purpose, uint8_t contact[DOI_CONTACT_ID], doi_str_t *list)
{
    int        rc;
    doi_str_t  key, value;

    key.data = id;
    key.len = DOI_ID_SIZE;

    rc = view->get(view, DOI_TABLE_TOKENS, key, &value);

    if (rc == DOI_NOT_FOUND) {
        return DOI_NOT_FOUND;
    }

    if (rc != DOI_OK || value.len < DOI_TOKEN_ROW
        || value.len - DOI_TOKEN_ROW > doi_said_max[DOI_SAID_LIST])
    {
        return DOI_ERROR;
    }

    if (value.data[4] != purpose) {
        return DOI_NOT_FOUND;
    }

    memcpy(contact, value.data + 5, DOI_CONTACT_ID);
    list->data = value.data + DOI_TOKEN_ROW;
    list->len = value.len - DOI_TOKEN_ROW;

    return DOI_OK;
}


int
doi_provider_key(const uint8_t contact[DOI_CONTACT_ID], doi_str_t id,
    uint8_t key[DOI_PROVIDER_KEY])
{
    doi_str_t  parts[2];

    parts[0].data = contact;
    parts[0].len = DOI_CONTACT_ID;
    parts[1] = id;

    return doi_digest(parts, 2, key, DOI_PROVIDER_KEY);
}


int
doi_review_put(doi_view_t *view, const doi_review_t *review)
{
    uint8_t    id[DOI_ID_SIZE], *p;
    uint8_t    bytes[DOI_REVIEW_HEAD + DOI_REVIEW_TEXTS];
    doi_str_t  parts[4];

    if (review->list.len > doi_said_max[DOI_SAID_LIST]
        || review->sender.len > doi_said_max[DOI_SAID_SENDER]
        || review->message_id.len > doi_said_max[DOI_SAID_MESSAGE_ID]
        || review->text.len > doi_said_max[DOI_SAID_TEXT])
    {
        return DOI_ERROR;
    }

    bytes[0] = DOI_REVIEW_VERSION;
    bytes[1] = review->channel;
    doi_put32(bytes + 2, review->time);
    memcpy(bytes + 6, review->contact, DOI_CONTACT_ID);
    bytes[18] = (uint8_t) review->list.len;
    bytes[19] = (uint8_t) review->sender.len;
    bytes[20] = (uint8_t) review->message_id.len;
    doi_put16(bytes + 21, (uint16_t) review->text.len);
    p = doi_str_put(bytes + DOI_REVIEW_HEAD, review->list);
    p = doi_str_put(p, review->sender);
    p = doi_str_put(p, review->message_id);
    p = doi_str_put(p, review->text);

    parts[0].data = review->contact;
    parts[0].len = DOI_CONTACT_ID;
    parts[1] = review->list;
    parts[2] = review->message_id;
    parts[3] = review->text;

    doi_put32(id, review->time - review->time % DOI_HOUR);

    if (doi_digest(parts, 4, id + 4, DOI_ID_SIZE - 4) != DOI_OK
        || doi_row_put(view, DOI_TABLE_REVIEW, id, DOI_ID_SIZE, bytes,
                       (size_t) (p - bytes))
           != DOI_OK)
    {
        return DOI_ERROR;
    }

    return doi_index_put(view, DOI_TABLE_REVIEW, review->contact, id);
}


int
doi_review_decode(doi_str_t value, doi_review_t *review)
{
    uint8_t    head[DOI_REVIEW_HEAD];
    doi_str_t  rest;

    if (!doi_arg_head(value, head, sizeof(head), &rest)
        || head[0] != DOI_REVIEW_VERSION || head[1] >= DOI_CHANNELS)
    {
        return DOI_ERROR;
    }

    memset(review, 0, sizeof(doi_review_t));
    review->channel = head[1];
    review->time = doi_get32(head + 2);
    memcpy(review->contact, head + 6, DOI_CONTACT_ID);

    return doi_str_take(&rest, head[18], &review->list)
           && doi_str_take(&rest, head[19], &review->sender)
           && doi_str_take(&rest, head[20], &review->message_id)
           && doi_str_take(&rest, doi_get16(head + 21), &review->text)
           && rest.len == 0
           ? DOI_OK : DOI_ERROR;
}


int
doi_review_del(doi_view_t *view, const uint8_t id[DOI_ID_SIZE],
    const uint8_t contact[DOI_CONTACT_ID])
{
    return doi_row_del(view, DOI_TABLE_REVIEW, id, DOI_ID_SIZE) == DOI_OK
           ? doi_index_del(view, DOI_TABLE_REVIEW, contact, id) : DOI_ERROR;
}


int
doi_wording_id(doi_str_t text, uint8_t id[DOI_WORDING_ID])
{
    return doi_digest(&text, 1, id, DOI_WORDING_ID);
}


int
doi_wording_put(doi_view_t *view, const uint8_t id[DOI_WORDING_ID],
    doi_str_t text)
{
    int        rc;
    doi_str_t  key, value;

    key.data = id;
    key.len = DOI_WORDING_ID;

    rc = view->get(view, DOI_TABLE_WORDINGS, key, &value);

    if (rc == DOI_NOT_FOUND) {
        rc = view->put(view, DOI_TABLE_WORDINGS, key, text);
    }

    return rc == DOI_OK ? DOI_OK : DOI_ERROR;
}


int
doi_stat_add(doi_view_t *view, doi_time_t now, unsigned channel,
    unsigned source, const uint8_t wording[DOI_WORDING_ID], doi_str_t list,
    doi_stat_t stat)
{
    int        rc;
    uint8_t    bytes[DOI_STATS_KEY], row[DOI_STATS_VALUE + 64], *p;
    uint32_t   n;
    doi_str_t  key, value;

    doi_put32(bytes, now / DOI_DAY);
    bytes[4] = (uint8_t) channel;
    bytes[5] = (uint8_t) source;
    memcpy(bytes + 6, wording, DOI_WORDING_ID);

    if (list.len > doi_said_max[DOI_SAID_LIST]
        || doi_list_hash(list, bytes + 6 + DOI_WORDING_ID) != DOI_OK)
    {
        return DOI_ERROR;
    }

    key.data = bytes;
    key.len = sizeof(bytes);

    rc = view->get(view, DOI_TABLE_STATS, key, &value);

    if (rc == DOI_OK && value.len == DOI_STATS_VALUE + list.len) {
        memcpy(row, value.data, DOI_STATS_VALUE);

    } else if (rc == DOI_NOT_FOUND) {
        memset(row, 0, DOI_STATS_VALUE);

    } else {
        return DOI_ERROR;
    }

    p = row + (size_t) stat * 4;
    n = doi_get32(p);
    doi_put32(p, n < UINT32_MAX ? n + 1 : n);
    (void) doi_str_put(row + DOI_STATS_VALUE, list);

    return doi_row_put(view, DOI_TABLE_STATS, bytes, sizeof(bytes), row,
                       DOI_STATS_VALUE + list.len);
}


int
doi_row_put(doi_view_t *view, doi_table_t table, const uint8_t *key,
    size_t key_len, const uint8_t *value, size_t len)
{
    doi_str_t  k, v;

    k.data = key;
    k.len = key_len;
    v.data = value;
    v.len = len;

    return view->put(view, table, k, v) == DOI_OK ? DOI_OK : DOI_ERROR;
}


int
doi_row_del(doi_view_t *view, doi_table_t table, const uint8_t *key,
    size_t key_len)
{
    doi_str_t  k;

    k.data = key;
    k.len = key_len;

    return view->del(view, table, k) == DOI_OK ? DOI_OK : DOI_ERROR;
}
