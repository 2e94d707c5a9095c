/*
 * Codec of contacts, version 1: the values of DOI_TABLE_CONTACTS.
 *
 *   offset  size  field
 *   0       1     version: 1
 *   1       1     channel: doi_channel_t
 *   2       1     bits: 0x01 erased, 0x02 stopped; others zero
 *   3       1     N, number of lists: to DOI_LISTS_MAX
 *   4       4     created, Unix seconds
 *   8       4     changed, Unix seconds
 *   12      4     head of its chain: seq; 0: none
 *   16      32    head of its chain: MAC; zeros: none
 *   48      1     A, bytes of address: 1 to 254; 0 if erased, as the next three
 *   49      1     P, bytes of person: to 128
 *   50      1     L, bytes of lang: to 35
 *   51      1     S, bytes of sender: to 64
 *   52            N lists, in ascending order of name
 *           A     address
 *           P     person
 *           L     lang
 *           S     sender
 *
 * One list:
 *
 *   0       1     n, bytes of name: to 64
 *   1       1     status: doi_consent_state_t
 *   2       1     bits: 0x01 a prompt is outstanding, 0x02 overridden; others
 *                 zero
 *   3       1     reminders: to DOI_REMINDERS_MAX
 *   4       1     source: doi_source_t
 *   5       4     since, Unix seconds
 *   9       4     asked, Unix seconds; 0: never
 *   13      4     opted in, Unix seconds; 0: not
 *   17      8     wording of the last prompt; zeros: none
 *   25      n     name
 *
 * Numbers are unsigned and big-endian; the id is the key of the row.  Lists
 * come before the texts, so that the gate walks from the head to its list and
 * looks at nothing else.  Order is by bytes, a name before those that it
 * begins.
 */

#include <string.h>

#include "consent_ops.h"


#define DOI_CONTACT_VERSION     1

#define DOI_CONTACT_ERASED      0x01
#define DOI_CONTACT_STOPPED     0x02
#define DOI_CONTACT_BITS        0x03

#define DOI_CONTACT_HEAD        52
#define DOI_CONTACT_TEXTS       4

#define DOI_LIST_PROMPTED       0x01
#define DOI_LIST_OVERRIDDEN     0x02
#define DOI_LIST_BITS           0x03

#define DOI_LIST_HEAD           25
#define DOI_LIST_NAME_MAX       64

_Static_assert(DOI_CONTACT_HEAD
               + DOI_LISTS_MAX * (DOI_LIST_HEAD + DOI_LIST_NAME_MAX)
               + 254 + 128 + 35 + 64 <= DOI_CONTACT_MAX,
               "the largest record fits");


static int doi_contact_check(const doi_contact_t *contact);
static int doi_contact_check_list(const doi_contact_t *contact, size_t i);
static size_t doi_contact_size(const doi_contact_t *contact);
static void doi_list_decode(const uint8_t *p, doi_contact_list_t *list);
static void doi_list_consent(const uint8_t *p, doi_consent_t *consent);
static uint8_t *doi_list_encode(uint8_t *p, const doi_contact_list_t *list);
static int doi_name_cmp(doi_str_t a, doi_str_t b);


int
doi_contact_decode(doi_view_t *view, doi_str_t value, doi_contact_t *contact)
{
    size_t               room;
    doi_contact_list_t  *lists;

    room = value.len < DOI_CONTACT_HEAD ? 1 : (size_t) value.data[3] + 1;
    lists = view->alloc(view, room * sizeof(doi_contact_list_t));

    return lists == NULL ? DOI_ERROR
                         : doi_contact_parse(value, contact, lists, room);
}


int
doi_contact_parse(doi_str_t value, doi_contact_t *contact,
    doi_contact_list_t *lists, size_t room)
{
    size_t          i, left;
    doi_str_t      *texts[DOI_CONTACT_TEXTS];
    const uint8_t  *p;

    memset(contact, 0, sizeof(doi_contact_t));

    p = value.data;

    if (value.len < DOI_CONTACT_HEAD || p[0] != DOI_CONTACT_VERSION
        || (p[2] & ~DOI_CONTACT_BITS) || p[3] >= room)
    {
        return DOI_ERROR;
    }

    contact->channel = p[1];
    contact->erased = (p[2] & DOI_CONTACT_ERASED) != 0;
    contact->stopped = (p[2] & DOI_CONTACT_STOPPED) != 0;
    contact->nlists = p[3];
    contact->created = doi_get32(p + 4);
    contact->changed = doi_get32(p + 8);
    contact->head_seq = doi_get32(p + 12);
    memcpy(contact->head_mac, p + 16, sizeof(contact->head_mac));
    contact->lists = lists;

    texts[0] = &contact->address;
    texts[1] = &contact->person;
    texts[2] = &contact->lang;
    texts[3] = &contact->sender;

    left = value.len - DOI_CONTACT_HEAD;
    p += DOI_CONTACT_HEAD;

    for (i = 0; i < contact->nlists; i++) {

        if (left < DOI_LIST_HEAD || left - DOI_LIST_HEAD < p[0]
            || (p[2] & ~DOI_LIST_BITS))
        {
            return DOI_ERROR;
        }

        doi_list_decode(p, &lists[i]);

        left -= DOI_LIST_HEAD + lists[i].name.len;
        p += DOI_LIST_HEAD + lists[i].name.len;
    }

    for (i = 0; i < DOI_CONTACT_TEXTS; i++) {
        texts[i]->data = p;
        texts[i]->len = value.data[48 + i];

        if (texts[i]->len > left) {
            return DOI_ERROR;
        }

        left -= texts[i]->len;
        p += texts[i]->len;
    }

    return left == 0 ? doi_contact_check(contact) : DOI_ERROR;
}


int
doi_contact_encode(const doi_contact_t *contact, doi_buf_t *out)
{
    size_t    i, size;
    uint8_t  *p;

    if (doi_contact_check(contact) != DOI_OK) {
        return DOI_ERROR;
    }

    size = doi_contact_size(contact);

    if (size > out->size - out->len) {
        return DOI_ERROR;
    }

    p = out->data + out->len;

    p[0] = DOI_CONTACT_VERSION;
    p[1] = contact->channel;
    p[2] = (uint8_t) ((contact->erased ? DOI_CONTACT_ERASED : 0)
                      | (contact->stopped ? DOI_CONTACT_STOPPED : 0));
    p[3] = (uint8_t) contact->nlists;
    doi_put32(p + 4, contact->created);
    doi_put32(p + 8, contact->changed);
    doi_put32(p + 12, contact->head_seq);
    memcpy(p + 16, contact->head_mac, sizeof(contact->head_mac));
    p[48] = (uint8_t) contact->address.len;
    p[49] = (uint8_t) contact->person.len;
    p[50] = (uint8_t) contact->lang.len;
    p[51] = (uint8_t) contact->sender.len;
    p += DOI_CONTACT_HEAD;

    for (i = 0; i < contact->nlists; i++) {
        p = doi_list_encode(p, &contact->lists[i]);
    }

    p = doi_str_put(p, contact->address);
    p = doi_str_put(p, contact->person);
    p = doi_str_put(p, contact->lang);
    (void) doi_str_put(p, contact->sender);

    out->len += size;

    return DOI_OK;
}


/* One list of rules for both ways: what can be written can be read. */

static int
doi_contact_check(const doi_contact_t *contact)
{
    size_t  i;

    if (contact->channel >= DOI_CHANNELS || contact->nlists > DOI_LISTS_MAX
        || contact->address.len > doi_said_max[DOI_SAID_ADDRESS]
        || contact->person.len > doi_said_max[DOI_SAID_PERSON]
        || contact->lang.len > doi_said_max[DOI_SAID_LANG]
        || contact->sender.len > doi_said_max[DOI_SAID_SENDER])
    {
        return DOI_ERROR;
    }

    if ((contact->address.len == 0) != (contact->erased != 0)) {
        return DOI_ERROR;
    }

    if (contact->erased
        && (contact->person.len != 0 || contact->lang.len != 0
            || contact->sender.len != 0))
    {
        return DOI_ERROR;
    }

    if ((contact->head_seq == 0)
        != doi_zeros(contact->head_mac, sizeof(contact->head_mac)))
    {
        return DOI_ERROR;
    }

    for (i = 0; i < contact->nlists; i++) {
        if (doi_contact_check_list(contact, i) != DOI_OK) {
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


static int
doi_contact_check_list(const doi_contact_t *contact, size_t i)
{
    const doi_contact_list_t  *list;

    list = &contact->lists[i];

    if (list->name.len > DOI_LIST_NAME_MAX
        || list->source >= DOI_SOURCES
        || list->consent.state >= DOI_CONSENT_STATES
        || list->consent.reminders > DOI_REMINDERS_MAX)
    {
        return DOI_ERROR;
    }

    if (contact->erased && list->consent.state != DOI_CONSENT_OPTED_OUT) {
        return DOI_ERROR;
    }

    return i == 0 || doi_name_cmp(list[-1].name, list->name) < 0 ? DOI_OK
                                                                 : DOI_ERROR;
}


static size_t
doi_contact_size(const doi_contact_t *contact)
{
    size_t  i, size;

    size = DOI_CONTACT_HEAD + contact->address.len + contact->person.len
           + contact->lang.len + contact->sender.len;

    for (i = 0; i < contact->nlists; i++) {
        size += DOI_LIST_HEAD + contact->lists[i].name.len;
    }

    return size;
}


static void
doi_list_decode(const uint8_t *p, doi_contact_list_t *list)
{
    doi_list_consent(p, &list->consent);

    list->source = p[4];
    memcpy(list->wording, p + 17, DOI_WORDING_ID);
    list->name.data = p + DOI_LIST_HEAD;
    list->name.len = p[0];
}


static void
doi_list_consent(const uint8_t *p, doi_consent_t *consent)
{
    consent->state = p[1];
    consent->prompted = (p[2] & DOI_LIST_PROMPTED) != 0;
    consent->overridden = (p[2] & DOI_LIST_OVERRIDDEN) != 0;
    consent->reminders = p[3];
    consent->since = doi_get32(p + 5);
    consent->asked = doi_get32(p + 9);
    consent->opted_in = doi_get32(p + 13);
}


static uint8_t *
doi_list_encode(uint8_t *p, const doi_contact_list_t *list)
{
    const doi_consent_t  *consent;

    consent = &list->consent;

    p[0] = (uint8_t) list->name.len;
    p[1] = consent->state;
    p[2] = (uint8_t) ((consent->prompted ? DOI_LIST_PROMPTED : 0)
                      | (consent->overridden ? DOI_LIST_OVERRIDDEN : 0));
    p[3] = consent->reminders;
    p[4] = list->source;
    doi_put32(p + 5, consent->since);
    doi_put32(p + 9, consent->asked);
    doi_put32(p + 13, consent->opted_in);
    memcpy(p + 17, list->wording, DOI_WORDING_ID);

    return doi_str_put(p + DOI_LIST_HEAD, list->name);
}


static int
doi_name_cmp(doi_str_t a, doi_str_t b)
{
    int     rc;
    size_t  len;

    len = a.len < b.len ? a.len : b.len;
    rc = len != 0 ? memcmp(a.data, b.data, len) : 0;

    return rc != 0 ? rc : (a.len > b.len) - (a.len < b.len);
}


int
doi_contact_get(doi_view_t *view, const uint8_t id[DOI_CONTACT_ID],
    doi_contact_t *contact)
{
    int        rc;
    doi_str_t  key, value;

    key.data = id;
    key.len = DOI_CONTACT_ID;

    rc = view->get(view, DOI_TABLE_CONTACTS, key, &value);

    if (rc == DOI_NOT_FOUND) {
        return DOI_NOT_FOUND;
    }

    if (rc != DOI_OK || doi_contact_decode(view, value, contact) != DOI_OK) {
        return DOI_ERROR;
    }

    memcpy(contact->id, id, DOI_CONTACT_ID);

    return DOI_OK;
}


int
doi_contact_put(doi_view_t *view, doi_time_t now, doi_contact_t *contact)
{
    doi_buf_t  buf;
    doi_str_t  key, value;

    contact->changed = now;

    buf.len = 0;
    buf.size = doi_contact_size(contact);
    buf.data = view->alloc(view, buf.size);

    if (buf.data == NULL || doi_contact_encode(contact, &buf) != DOI_OK) {
        return DOI_ERROR;
    }

    key.data = contact->id;
    key.len = DOI_CONTACT_ID;
    value.data = buf.data;
    value.len = buf.len;

    return view->put(view, DOI_TABLE_CONTACTS, key, value) == DOI_OK
           ? DOI_OK : DOI_ERROR;
}


doi_contact_list_t *
doi_contact_list(const doi_contact_t *contact, doi_str_t name)
{
    size_t  i;

    for (i = 0; i < contact->nlists; i++) {
        if (doi_str_same(contact->lists[i].name, name)) {
            return &contact->lists[i];
        }
    }

    return NULL;
}


doi_contact_list_t *
doi_contact_list_add(doi_contact_t *contact, doi_str_t name)
{
    size_t               i;
    doi_contact_list_t  *list;

    if (contact->nlists >= DOI_LISTS_MAX) {
        return NULL;
    }

    for (i = 0; i < contact->nlists; i++) {
        if (doi_name_cmp(name, contact->lists[i].name) < 0) {
            break;
        }
    }

    list = &contact->lists[i];
    memmove(list + 1, list,
            (contact->nlists - i) * sizeof(doi_contact_list_t));
    contact->nlists++;

    memset(list, 0, sizeof(doi_contact_list_t));
    list->name = name;

    if (contact->erased || contact->stopped) {
        list->consent.state = DOI_CONSENT_OPTED_OUT;
    }

    return list;
}


int
doi_contact_look(doi_view_t *view, const uint8_t id[DOI_CONTACT_ID],
    doi_str_t list, doi_consent_t *consent)
{
    int             rc;
    size_t          i, left;
    doi_str_t       key, value;
    const uint8_t  *p;

    memset(consent, 0, sizeof(doi_consent_t));

    key.data = id;
    key.len = DOI_CONTACT_ID;

    rc = view->get(view, DOI_TABLE_CONTACTS, key, &value);

    if (rc != DOI_OK) {
        return rc == DOI_NOT_FOUND ? DOI_NOT_FOUND : DOI_ERROR;
    }

    p = value.data;

    if (value.len < DOI_CONTACT_HEAD || p[0] != DOI_CONTACT_VERSION
        || (p[2] & ~DOI_CONTACT_BITS) || p[3] > DOI_LISTS_MAX)
    {
        return DOI_ERROR;
    }

    p += DOI_CONTACT_HEAD;
    left = value.len - DOI_CONTACT_HEAD;

    for (i = 0; i < value.data[3]; i++) {

        if (left < DOI_LIST_HEAD || left - DOI_LIST_HEAD < p[0]) {
            return DOI_ERROR;
        }

        if (p[0] == list.len
            && (list.len == 0
                || memcmp(p + DOI_LIST_HEAD, list.data, list.len) == 0))
        {
            doi_list_consent(p, consent);

            return consent->state < DOI_CONSENT_STATES ? DOI_OK : DOI_ERROR;
        }

        left -= DOI_LIST_HEAD + (size_t) p[0];
        p += DOI_LIST_HEAD + p[0];
    }

    if (value.data[2] != 0) {
        consent->state = DOI_CONSENT_OPTED_OUT;
    }

    return DOI_NOT_FOUND;
}
