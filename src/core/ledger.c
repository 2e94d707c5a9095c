/*
 * The ledger: keys, codec of entries (version 1), and how one is appended.
 *
 * Values of DOI_TABLE_LEDGER, 94 bytes; the key is contact id, seq (4 BE):
 *
 *   offset  size  field
 *   0       1     version: 1
 *   1       1     event: doi_consent_event_t, DOI_ENTRY_*
 *   2       1     source: doi_source_t
 *   3       1     status before: doi_consent_state_t
 *   4       1     status after
 *   5       1     reply: doi_reply_t
 *   6       4     time, Unix seconds
 *   10      4     given, Unix seconds; 0: at that time
 *   14      8     first bytes of SHA-256(name of the list); zeros: all lists
 *   22      8     wording; zeros: none
 *   30      32    commitment to the content; zeros: there never was any
 *   62      32    MAC
 *
 * Values of DOI_TABLE_CONTENT, of the same key: version (1), then for each text
 * that is not empty, in the order of doi_said_t: its number (1 byte), its
 * length (2 bytes), the text.
 *
 * Numbers are unsigned and big-endian.
 *
 *   commitment = HMAC-SHA256(content key, contact id || seq || content)
 *   MAC = HMAC-SHA256(ledger key, MAC before || contact id || seq || 0..61)
 *
 * The commitment is keyed, so that what was erased cannot be guessed back from
 * what stays: a name and a phone number are few bits.
 */

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/hmac.h>

#include "consent_ops.h"


#define DOI_ENTRY_VERSION   1
#define DOI_CONTENT_VERSION 1

/* What an address is preceded by: the longest channel's name, and ":". */
#define DOI_CHANNEL_MAX     16

_Static_assert(1 + 128 + 128 + 512 + 64 + 255 + 128 + 35 + 64 + 1600 + 9 * 3
               <= DOI_CONTENT_MAX, "the longest content fits");


static int doi_entry_says(unsigned said);
static int doi_entry_check(const doi_entry_t *entry);
static int doi_content_decode(doi_str_t content, doi_entry_t *entry);
static int doi_content_encode(const doi_entry_t *entry, doi_buf_t *out);
static void doi_entry_encode(const doi_entry_t *entry, uint8_t *p);


const uint16_t  doi_said_max[DOI_SAIDS] = {
    [DOI_SAID_ADDRESS] = 254,
    [DOI_SAID_LIST] = 64,
    [DOI_SAID_PERSON] = 128,
    [DOI_SAID_ACTOR] = DOI_ACTOR_MAX,
    [DOI_SAID_REASON] = DOI_REASON_MAX,
    [DOI_SAID_CLIENT] = 64,
    [DOI_SAID_AGENT] = 255,
    [DOI_SAID_MESSAGE_ID] = 128,
    [DOI_SAID_LANG] = 35,
    [DOI_SAID_SENDER] = 64,
    [DOI_SAID_TEXT] = 1600,
    [DOI_SAID_WORDING] = 8192,
    [DOI_SAID_REPLY] = 2048
};


int
doi_ledger_keys(const uint8_t secret[DOI_LEDGER_SECRET],
    doi_ledger_keys_t *keys)
{
    uint8_t    derived[DOI_MAC_SIZE];
    doi_str_t  from;

    from.data = secret;
    from.len = DOI_LEDGER_SECRET;

    memset(keys, 0, sizeof(doi_ledger_keys_t));
    memcpy(keys->secret, secret, DOI_LEDGER_SECRET);

    if (doi_hkdf(from, "doi/v1/contact", derived) == DOI_OK) {
        keys->contact = doi_hmac_new(derived);
        OPENSSL_cleanse(derived, sizeof(derived));
    }

    if (keys->contact == NULL
        || doi_hkdf(from, "doi/v1/ledger", keys->ledger) != DOI_OK
        || doi_hkdf(from, "doi/v1/content", keys->content) != DOI_OK)
    {
        doi_ledger_keys_free(keys);
        return DOI_ERROR;
    }

    return DOI_OK;
}


void
doi_ledger_keys_free(doi_ledger_keys_t *keys)
{
    EVP_MAC_CTX_free(keys->contact);
    OPENSSL_cleanse(keys, sizeof(doi_ledger_keys_t));
}


int
doi_contact_id(const doi_ledger_keys_t *keys, unsigned channel,
    doi_str_t address, uint8_t id[DOI_CONTACT_ID])
{
    uint8_t      mac[DOI_MAC_SIZE];
    doi_str_t    parts[3] = { { NULL, 0 }, doi_str(":"), address };
    const char  *name;

    name = doi_channel_name(channel);

    if (name == NULL || address.len == 0
        || address.len > doi_said_max[DOI_SAID_ADDRESS])
    {
        return DOI_ERROR;
    }

    parts[0].data = (const uint8_t *) name;
    parts[0].len = strlen(name);

    if (doi_hmac(keys->contact, parts, 3, mac) != DOI_OK) {
        return DOI_ERROR;
    }

    memcpy(id, mac, DOI_CONTACT_ID);

    return DOI_OK;
}


int
doi_ledger_hmac(const uint8_t *key, const uint8_t *data, size_t len,
    uint8_t mac[DOI_MAC_SIZE])
{
    unsigned  n;

    n = 0;

    return HMAC(EVP_sha256(), key, DOI_MAC_SIZE, data, len, mac, &n) != NULL
           && n == DOI_MAC_SIZE
           ? DOI_OK : DOI_ERROR;
}


void
doi_entry_key(const uint8_t contact[DOI_CONTACT_ID], uint32_t seq,
    uint8_t key[DOI_ENTRY_KEY])
{
    memcpy(key, contact, DOI_CONTACT_ID);
    doi_put32(key + DOI_CONTACT_ID, seq);
}


int
doi_entry_mac(const uint8_t *ledger_key, const uint8_t *before,
    const uint8_t key[DOI_ENTRY_KEY], const uint8_t *body,
    uint8_t mac[DOI_MAC_SIZE])
{
    uint8_t  text[DOI_MAC_SIZE + DOI_ENTRY_KEY + DOI_ENTRY_BODY];

    memcpy(text, before, DOI_MAC_SIZE);
    memcpy(text + DOI_MAC_SIZE, key, DOI_ENTRY_KEY);
    memcpy(text + DOI_MAC_SIZE + DOI_ENTRY_KEY, body, DOI_ENTRY_BODY);

    return doi_ledger_hmac(ledger_key, text, sizeof(text), mac);
}


int
doi_entry_commit(const uint8_t *content_key,
    const uint8_t key[DOI_ENTRY_KEY], doi_str_t content,
    uint8_t commitment[DOI_MAC_SIZE])
{
    uint8_t  text[DOI_ENTRY_KEY + DOI_CONTENT_MAX];

    if (content.len > DOI_CONTENT_MAX) {
        return DOI_ERROR;
    }

    if (content.len == 0) {
        memset(commitment, 0, DOI_MAC_SIZE);
        return DOI_OK;
    }

    memcpy(text, key, DOI_ENTRY_KEY);
    memcpy(text + DOI_ENTRY_KEY, content.data, content.len);

    return doi_ledger_hmac(content_key, text, DOI_ENTRY_KEY + content.len,
                           commitment);
}


/* Of the texts of an event, those that are content. */

static int
doi_entry_says(unsigned said)
{
    return said < DOI_SAIDS && said != DOI_SAID_ADDRESS
           && said != DOI_SAID_LIST && said != DOI_SAID_WORDING
           && said != DOI_SAID_REPLY;
}


int
doi_entry_decode(doi_str_t row, doi_str_t content, doi_entry_t *entry)
{
    const uint8_t  *p;

    memset(entry, 0, sizeof(doi_entry_t));

    p = row.data;

    if (row.len != DOI_ENTRY_SIZE || p[0] != DOI_ENTRY_VERSION) {
        return DOI_ERROR;
    }

    entry->event = p[1];
    entry->source = p[2];
    entry->from = p[3];
    entry->to = p[4];
    entry->reply = p[5];
    entry->time = doi_get32(p + 6);
    entry->given = doi_get32(p + 10);
    memcpy(entry->list_hash, p + 14, DOI_LIST_HASH);
    memcpy(entry->wording, p + 22, DOI_WORDING_ID);
    memcpy(entry->commitment, p + 30, DOI_MAC_SIZE);
    memcpy(entry->mac, p + DOI_ENTRY_BODY, DOI_MAC_SIZE);

    if (doi_entry_check(entry) != DOI_OK) {
        return DOI_ERROR;
    }

    if (content.len == 0) {
        entry->erased = !doi_zeros(entry->commitment, DOI_MAC_SIZE);
        return DOI_OK;
    }

    return doi_content_decode(content, entry);
}


static int
doi_entry_check(const doi_entry_t *entry)
{
    return (entry->event < DOI_CONSENT_EVENTS
            || (entry->event >= DOI_ENTRY_ERASED
                && entry->event <= DOI_ENTRY_IMPORTED))
           && entry->source < DOI_SOURCES
           && entry->from < DOI_CONSENT_STATES
           && entry->to < DOI_CONSENT_STATES && entry->reply < DOI_REPLIES
           ? DOI_OK : DOI_ERROR;
}


static int
doi_content_decode(doi_str_t content, doi_entry_t *entry)
{
    int        last;
    uint8_t    head[3], version;
    doi_str_t  rest;

    if (!doi_arg_head(content, &version, 1, &rest)
        || version != DOI_CONTENT_VERSION)
    {
        return DOI_ERROR;
    }

    last = -1;

    while (rest.len != 0) {

        if (!doi_arg_head(rest, head, sizeof(head), &rest)
            || !doi_entry_says(head[0]) || head[0] <= last
            || doi_get16(head + 1) == 0
            || doi_get16(head + 1) > doi_said_max[head[0]]
            || !doi_str_take(&rest, doi_get16(head + 1),
                             &entry->said[head[0]]))
        {
            return DOI_ERROR;
        }

        last = head[0];
    }

    return last < 0 ? DOI_ERROR : DOI_OK;
}


/* Nothing is appended if nothing is said. */

static int
doi_content_encode(const doi_entry_t *entry, doi_buf_t *out)
{
    size_t     i;
    uint8_t   *p;
    doi_str_t  text;

    for (i = 0; i < DOI_SAIDS; i++) {
        text = entry->said[i];

        if (!doi_entry_says((unsigned) i) || text.len == 0) {
            continue;
        }

        if (text.len > doi_said_max[i]
            || 1 + 3 + text.len > out->size - out->len)
        {
            return DOI_ERROR;
        }

        if (out->len == 0) {
            out->data[out->len++] = DOI_CONTENT_VERSION;
        }

        p = out->data + out->len;
        p[0] = (uint8_t) i;
        doi_put16(p + 1, (uint16_t) text.len);
        memcpy(p + 3, text.data, text.len);
        out->len += 3 + text.len;
    }

    return DOI_OK;
}


/* All but the MAC. */

static void
doi_entry_encode(const doi_entry_t *entry, uint8_t *p)
{
    p[0] = DOI_ENTRY_VERSION;
    p[1] = entry->event;
    p[2] = entry->source;
    p[3] = entry->from;
    p[4] = entry->to;
    p[5] = entry->reply;
    doi_put32(p + 6, entry->time);
    doi_put32(p + 10, entry->given);
    memcpy(p + 14, entry->list_hash, DOI_LIST_HASH);
    memcpy(p + 22, entry->wording, DOI_WORDING_ID);
    memcpy(p + 30, entry->commitment, DOI_MAC_SIZE);
}


int
doi_ledger_append(doi_view_t *view, doi_time_t now,
    const doi_chain_keys_t *keys, doi_contact_t *contact, doi_entry_t *entry)
{
    uint8_t    bytes[DOI_ENTRY_KEY], row[DOI_ENTRY_SIZE];
    uint8_t    said[DOI_CONTENT_MAX];
    doi_buf_t  buf;
    doi_str_t  key, value, content, none = { NULL, 0 };

    if (contact->head_seq == UINT32_MAX || doi_entry_check(entry) != DOI_OK) {
        return DOI_ERROR;
    }

    buf.data = said;
    buf.len = 0;
    buf.size = sizeof(said);

    if (doi_content_encode(entry, &buf) != DOI_OK) {
        return DOI_ERROR;
    }

    content.data = buf.data;
    content.len = buf.len;

    entry->seq = contact->head_seq + 1;
    entry->time = now;
    doi_entry_key(contact->id, entry->seq, bytes);

    if (doi_entry_commit(keys->content, bytes, content, entry->commitment)
        != DOI_OK)
    {
        return DOI_ERROR;
    }

    doi_entry_encode(entry, row);

    if (doi_entry_mac(keys->ledger, contact->head_mac, bytes, row, entry->mac)
        != DOI_OK)
    {
        return DOI_ERROR;
    }

    memcpy(row + DOI_ENTRY_BODY, entry->mac, DOI_MAC_SIZE);
    contact->head_seq = entry->seq;
    memcpy(contact->head_mac, entry->mac, DOI_MAC_SIZE);

    key.data = bytes;
    key.len = sizeof(bytes);
    value.data = row;
    value.len = sizeof(row);

    if (view->put(view, DOI_TABLE_LEDGER, key, value) != DOI_OK
        || (content.len != 0
            && view->put(view, DOI_TABLE_CONTENT, key, content) != DOI_OK))
    {
        return DOI_ERROR;
    }

    key.data = contact->id;
    key.len = DOI_CONTACT_ID;

    return view->put(view, DOI_TABLE_DIRTY, key, none) == DOI_OK ? DOI_OK
                                                                 : DOI_ERROR;
}
