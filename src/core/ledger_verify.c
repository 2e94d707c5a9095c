/*
 * Verification of the ledger, in pieces.
 *
 *   0 chains   every entry of DOI_TABLE_LEDGER, in order: seq without gaps, MAC
 *              over the MAC before, content as committed to, the wording that
 *              it names; at the end of a chain, the contact with that head and
 *              with those statuses
 *   1 heads    every contact: the entry that its head names is there
 *   2 epochs   numbers without gaps, MACs, heads as counted and digested, and
 *              the entry that each of them names; the last one as noted in META
 *   3 unsealed heads that no epoch covers: their contacts are there
 *
 * Entries may be added between two pieces.  A chain that grows is met again,
 * since the scan goes on behind its last entry, and what is compared is always
 * read in one piece, hence from one snapshot.
 *
 * What cannot be seen from within: that the end of a chain was cut off together
 * with its head before any epoch covered it, or everything back to an older
 * epoch.  Against the latter stands a seal that is kept elsewhere.
 */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ledger_verify.h"


/* How a contact is named in a text. */
#define DOI_CONTACT_HEX     (2 * DOI_CONTACT_ID + 1)


static int doi_check_chains(doi_check_t *c);
static int doi_check_entry(void *data, doi_str_t key, doi_str_t value);
static int doi_check_content(doi_check_t *c, const uint8_t *key,
    const doi_entry_t *entry, uint32_t seq);
static int doi_check_wording(doi_check_t *c, const doi_entry_t *entry,
    uint32_t seq);
static void doi_check_status(doi_verify_t *v, const doi_entry_t *entry);
static int doi_check_end(doi_check_t *c);
static void doi_check_lists(doi_verify_t *v, const doi_contact_t *contact);
static int doi_check_heads(doi_check_t *c);
static int doi_check_head(void *data, doi_str_t key, doi_str_t value);


int
doi_ledger_verify(doi_view_t *view, const doi_ledger_keys_t *keys,
    doi_verify_t *verify, uint32_t limit)
{
    int          rc;
    doi_check_t  c;

    c.view = view;
    c.keys = keys;
    c.v = verify;
    c.left = limit;
    c.failed = 0;
    memset(c.wording, 0, DOI_WORDING_ID);

    while (!verify->done && c.left != 0) {

        switch (verify->stage) {

        case DOI_STAGE_CHAINS:
            rc = doi_check_chains(&c);
            break;

        case DOI_STAGE_HEADS:
            rc = doi_check_heads(&c);
            break;

        case DOI_STAGE_EPOCHS:
            rc = doi_check_epochs(&c);
            break;

        case DOI_STAGE_UNSEALED:
            rc = doi_check_unsealed(&c);
            break;

        default:
            return DOI_ERROR;
        }

        if (rc != DOI_OK) {
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


int
doi_check_scan(doi_check_t *c, doi_table_t table, doi_str_t from,
    doi_scan_pt row)
{
    int  rc;

    rc = c->view->scan(c->view, table, from, row, c);

    return c->failed || (rc != DOI_OK && rc != DOI_NOT_FOUND) ? DOI_ERROR
                                                              : rc;
}


void
doi_check_stage(doi_verify_t *v, unsigned stage)
{
    v->stage = stage;
    v->seq = 0;
    memset(v->contact, 0, DOI_CONTACT_ID);
}


int
doi_check_get(doi_check_t *c, doi_table_t table, const uint8_t *bytes,
    size_t len, doi_str_t *value)
{
    int        rc;
    doi_str_t  key;

    key.data = bytes;
    key.len = len;
    value->data = NULL;
    value->len = 0;

    rc = c->view->get(c->view, table, key, value);

    if (rc != DOI_OK && rc != DOI_NOT_FOUND) {
        c->failed = 1;
        return DOI_ERROR;
    }

    return rc;
}


void
doi_problem(doi_verify_t *v, const uint8_t *contact, const char *fmt, ...)
{
    int      n;
    char     hex[DOI_CONTACT_HEX], *text;
    size_t   i;
    va_list  args;

    if (v->problems++ >= DOI_PROBLEMS) {
        return;
    }

    text = v->text[v->problems - 1];
    n = 0;

    if (contact != NULL) {

        for (i = 0; i < DOI_CONTACT_ID; i++) {
            (void) snprintf(hex + 2 * i, 3, "%02x", contact[i]);
        }

        n = snprintf(text, sizeof(v->text[0]), "contact %s: ", hex);
    }

    va_start(args, fmt);
    (void) vsnprintf(text + n, sizeof(v->text[0]) - (size_t) n, fmt, args);
    va_end(args);
}


static int
doi_check_chains(doi_check_t *c)
{
    int        rc;
    uint8_t    bytes[DOI_ENTRY_KEY + 1];
    doi_str_t  from;

    doi_entry_key(c->v->contact, c->v->seq, bytes);
    bytes[DOI_ENTRY_KEY] = 0;

    from.data = bytes;
    from.len = sizeof(bytes);

    rc = doi_check_scan(c, DOI_TABLE_LEDGER, from, doi_check_entry);

    if (rc == DOI_OK) {

        if (doi_check_end(c) != DOI_OK) {
            return DOI_ERROR;
        }

        doi_check_stage(c->v, DOI_STAGE_HEADS);
    }

    return rc == DOI_ERROR ? DOI_ERROR : DOI_OK;
}


static int
doi_check_entry(void *data, doi_str_t key, doi_str_t value)
{
    int            rc, gap;
    uint8_t        mac[DOI_MAC_SIZE];
    uint32_t       seq;
    doi_str_t      none = { NULL, 0 };
    doi_check_t   *c = data;
    doi_entry_t    entry;
    doi_verify_t  *v;

    v = c->v;

    if (c->left == 0) {
        return DOI_NOT_FOUND;
    }

    /* The next piece may meet it again, so it must not use this one up. */

    if (key.len != DOI_ENTRY_KEY) {
        doi_problem(v, NULL, "the ledger has a row that is no entry");
        return DOI_OK;
    }

    c->left--;

    if (memcmp(key.data, v->contact, DOI_CONTACT_ID) != 0) {

        if (doi_check_end(c) != DOI_OK) {
            return DOI_NOT_FOUND;
        }

        memcpy(v->contact, key.data, DOI_CONTACT_ID);
        memset(v->mac, 0, DOI_MAC_SIZE);
        v->seq = 0;
        v->missing = 0;
        v->nlists = 0;
    }

    seq = doi_get32(key.data + DOI_CONTACT_ID);
    gap = seq != v->seq + 1;

    if (gap) {
        doi_problem(v, v->contact, "entry %u is missing", v->seq + 1);
    }

    v->entries++;
    v->seq = seq;

    if (doi_entry_decode(value, none, &entry) != DOI_OK) {
        doi_problem(v, v->contact, "entry %u is changed: unreadable", seq);
        memset(v->mac, 0, DOI_MAC_SIZE);
        return DOI_OK;
    }

    if (doi_entry_mac(c->keys->ledger, v->mac, key.data, value.data, mac)
        != DOI_OK)
    {
        c->failed = 1;
        return DOI_NOT_FOUND;
    }

    /* The entry behind a gap follows one that is not there. */

    if (!gap && memcmp(mac, entry.mac, DOI_MAC_SIZE) != 0) {
        doi_problem(v, v->contact, "entry %u is changed, or follows another",
                    seq);
    }

    memcpy(v->mac, entry.mac, DOI_MAC_SIZE);
    doi_check_status(v, &entry);

    rc = doi_check_wording(c, &entry, seq);

    return rc == DOI_OK ? doi_check_content(c, key.data, &entry, seq) : rc;
}


/* For a row function, its result.  Most entries name the same one. */

static int
doi_check_wording(doi_check_t *c, const doi_entry_t *entry, uint32_t seq)
{
    int        rc;
    uint8_t    id[DOI_WORDING_ID];
    doi_str_t  text;

    if (doi_zeros(entry->wording, DOI_WORDING_ID)
        || memcmp(entry->wording, c->wording, DOI_WORDING_ID) == 0)
    {
        return DOI_OK;
    }

    rc = doi_check_get(c, DOI_TABLE_WORDINGS, entry->wording, DOI_WORDING_ID,
                       &text);

    if (rc == DOI_ERROR) {
        return DOI_NOT_FOUND;
    }

    if (rc == DOI_NOT_FOUND) {
        doi_problem(c->v, c->v->contact, "the wording of entry %u is missing",
                    seq);
        return DOI_OK;
    }

    if (doi_wording_id(text, id) != DOI_OK) {
        c->failed = 1;
        return DOI_NOT_FOUND;
    }

    if (memcmp(id, entry->wording, DOI_WORDING_ID) != 0) {
        doi_problem(c->v, c->v->contact, "the wording of entry %u is changed",
                    seq);
        return DOI_OK;
    }

    memcpy(c->wording, id, DOI_WORDING_ID);

    return DOI_OK;
}


/* Only an erasure, which is an entry itself, may have removed content. */

static int
doi_check_content(doi_check_t *c, const uint8_t *key,
    const doi_entry_t *entry, uint32_t seq)
{
    int            rc;
    uint8_t        commitment[DOI_MAC_SIZE];
    doi_str_t      content;
    doi_verify_t  *v;

    v = c->v;

    rc = doi_check_get(c, DOI_TABLE_CONTENT, key, DOI_ENTRY_KEY, &content);

    if (rc == DOI_ERROR) {
        return DOI_NOT_FOUND;
    }

    if (entry->event == DOI_ENTRY_ERASED) {
        v->missing = 0;
    }

    if (rc == DOI_NOT_FOUND) {

        if (v->missing == 0 && !doi_zeros(entry->commitment, DOI_MAC_SIZE)) {
            v->missing = seq;
        }

        return DOI_OK;
    }

    if (content.len == 0 || content.len > DOI_CONTENT_MAX) {
        doi_problem(v, v->contact, "content of entry %u is changed", seq);
        return DOI_OK;
    }

    if (doi_entry_commit(c->keys->content, key, content, commitment)
        != DOI_OK)
    {
        c->failed = 1;
        return DOI_NOT_FOUND;
    }

    if (memcmp(commitment, entry->commitment, DOI_MAC_SIZE) != 0) {
        doi_problem(v, v->contact, "content of entry %u is changed", seq);
    }

    return DOI_OK;
}


static void
doi_check_status(doi_verify_t *v, const doi_entry_t *entry)
{
    unsigned  i;

    if (entry->event == DOI_ENTRY_ERASED) {

        for (i = 0; i < v->nlists; i++) {
            v->lists[i].state = DOI_CONSENT_OPTED_OUT;
            v->lists[i].opted_in = 0;
            v->lists[i].overridden = 0;
        }

        return;
    }

    for (i = 0; i < v->nlists; i++) {
        if (memcmp(v->lists[i].hash, entry->list_hash, DOI_LIST_HASH) == 0) {
            break;
        }
    }

    if (i == v->nlists) {

        /* A review may name a list that the contact does not have. */

        if (entry->event == DOI_ENTRY_REVIEWED || i == DOI_LISTS_MAX) {
            return;
        }

        memcpy(v->lists[i].hash, entry->list_hash, DOI_LIST_HASH);
        v->lists[i].opted_in = 0;
        v->lists[i].overridden = 0;
        v->nlists++;
    }

    if (entry->from != entry->to) {
        v->lists[i].overridden = entry->event == DOI_CONSENT_OVERRIDE;
    }

    v->lists[i].state = entry->to;

    if (entry->to != DOI_CONSENT_SINGLE && entry->to != DOI_CONSENT_DOUBLE) {
        v->lists[i].opted_in = 0;

    } else if (v->lists[i].opted_in == 0) {
        v->lists[i].opted_in = entry->given != 0 ? entry->given : entry->time;
    }
}


/* The chain of v->contact has come to its end. */

static int
doi_check_end(doi_check_t *c)
{
    int                 rc;
    doi_str_t           value;
    doi_verify_t       *v;
    doi_contact_t       contact;
    doi_contact_list_t  lists[DOI_LISTS_MAX + 1];

    v = c->v;

    if (v->seq == 0) {
        return DOI_OK;
    }

    if (v->missing != 0) {
        doi_problem(v, v->contact, "content of entry %u is missing",
                    v->missing);
    }

    rc = doi_check_get(c, DOI_TABLE_CONTACTS, v->contact, DOI_CONTACT_ID,
                       &value);

    if (rc == DOI_ERROR) {
        return DOI_ERROR;
    }

    if (rc == DOI_NOT_FOUND) {
        doi_problem(v, v->contact, "its record is missing");
        return DOI_OK;
    }

    if (doi_contact_parse(value, &contact, lists, DOI_LISTS_MAX + 1)
        != DOI_OK)
    {
        doi_problem(v, v->contact, "its record is changed: unreadable");
        return DOI_OK;
    }

    if (contact.head_seq > v->seq) {
        doi_problem(v, v->contact, "truncated: entry %u is missing",
                    v->seq + 1);

    } else if (contact.head_seq != v->seq
               || memcmp(contact.head_mac, v->mac, DOI_MAC_SIZE) != 0)
    {
        doi_problem(v, v->contact, "its head is not entry %u", v->seq);

    } else {
        doi_check_lists(v, &contact);
    }

    return DOI_OK;
}


/* A status that no entry speaks of may be none or opted_out, never consent. */

static void
doi_check_lists(doi_verify_t *v, const doi_contact_t *contact)
{
    size_t                     i, k, n;
    uint8_t                    hash[DOI_LIST_HASH];
    const doi_contact_list_t  *list;

    n = 0;

    for (i = 0; i < contact->nlists; i++) {
        list = &contact->lists[i];

        if (doi_list_hash(list->name, hash) != DOI_OK) {
            return;
        }

        for (k = 0; k < v->nlists; k++) {
            if (memcmp(v->lists[k].hash, hash, DOI_LIST_HASH) == 0) {
                break;
            }
        }

        n += k < v->nlists;

        if (k < v->nlists
            && list->consent.opted_in != v->lists[k].opted_in)
        {
            doi_problem(v, v->contact, "the time of its consent is not that "
                        "of its entries");
        }

        if (k < v->nlists
            && list->consent.overridden != v->lists[k].overridden)
        {
            doi_problem(v, v->contact, "its override is not that of its "
                        "entries");
        }

        if (k < v->nlists ? list->consent.state == v->lists[k].state
            : list->consent.state == DOI_CONSENT_NONE
              || list->consent.state == DOI_CONSENT_OPTED_OUT)
        {
            continue;
        }

        doi_problem(v, v->contact, "its status %s is not that of its entries",
                    doi_consent_name(list->consent.state));
    }

    if (n != v->nlists) {
        doi_problem(v, v->contact, "a list of its entries is missing");
    }
}


static int
doi_check_heads(doi_check_t *c)
{
    int        rc;
    uint8_t    bytes[DOI_CONTACT_ID + 1];
    doi_str_t  from;

    memcpy(bytes, c->v->contact, DOI_CONTACT_ID);
    bytes[DOI_CONTACT_ID] = 0;

    from.data = bytes;
    from.len = c->v->seq == 0 ? 0 : sizeof(bytes);

    rc = doi_check_scan(c, DOI_TABLE_CONTACTS, from, doi_check_head);

    if (rc == DOI_OK) {
        doi_check_stage(c->v, DOI_STAGE_EPOCHS);
    }

    return rc == DOI_ERROR ? DOI_ERROR : DOI_OK;
}


static int
doi_check_head(void *data, doi_str_t key, doi_str_t value)
{
    doi_check_t         *c = data;
    doi_verify_t        *v;
    doi_contact_t        contact;
    doi_contact_list_t   lists[DOI_LISTS_MAX + 1];

    v = c->v;

    if (c->left == 0) {
        return DOI_NOT_FOUND;
    }

    if (key.len != DOI_CONTACT_ID) {
        doi_problem(v, NULL, "there is a record that is no contact's");
        return DOI_OK;
    }

    c->left--;

    v->contacts++;
    v->seq = 1;
    memcpy(v->contact, key.data, DOI_CONTACT_ID);

    if (doi_contact_parse(value, &contact, lists, DOI_LISTS_MAX + 1)
        != DOI_OK)
    {
        doi_problem(v, v->contact, "its record is changed: unreadable");
        return DOI_OK;
    }

    if (contact.head_seq != 0) {
        return doi_check_named(c, v->contact, contact.head_seq,
                               contact.head_mac);
    }

    v->nlists = 0;
    doi_check_lists(v, &contact);

    return DOI_OK;
}


int
doi_check_named(doi_check_t *c, const uint8_t *contact, uint32_t seq,
    const uint8_t *mac)
{
    int        rc;
    uint8_t    bytes[DOI_ENTRY_KEY];
    doi_str_t  value;

    doi_entry_key(contact, seq, bytes);

    rc = doi_check_get(c, DOI_TABLE_LEDGER, bytes, sizeof(bytes), &value);

    if (rc == DOI_ERROR) {
        return DOI_NOT_FOUND;
    }

    if (rc == DOI_NOT_FOUND) {
        doi_problem(c->v, contact, "entry %u is missing", seq);

    } else if (value.len != DOI_ENTRY_SIZE
               || memcmp(value.data + DOI_ENTRY_BODY, mac, DOI_MAC_SIZE) != 0)
    {
        doi_problem(c->v, contact, "entry %u is another one", seq);
    }

    return DOI_OK;
}
