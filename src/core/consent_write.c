/*
 * How an event that is not refused is written.
 *
 * Nothing here scans: the events of a batch see what those before them wrote,
 * by get.
 *
 * Rows of one imported contact: CONTACTS, LEDGER, DIRTY; CONTENT if anything is
 * said of the person; an event and its place in the queue unless SILENT; and
 * STATS and WORDINGS, which a batch shares.
 */

#include <string.h>

#include "consent_ops.h"


#define DOI_HOUR            3600


/* One list whose status changes. */

typedef struct {
    doi_contact_t         *contact;
    doi_contact_list_t    *list;
    const doi_consent_t   *before;
    int                    known;
    unsigned               reply;
    int                    changed;
    int                    along;       /* opted out along with another      */
} doi_consent_change_t;


static int doi_consent_details(doi_consent_op_t *op);
static int doi_consent_text(doi_str_t *to, doi_str_t said);
static int doi_consent_change(doi_consent_op_t *op,
    const doi_consent_change_t *change);
static void doi_consent_entry(const doi_consent_op_t *op,
    const doi_consent_change_t *change, doi_entry_t *entry);
static int doi_consent_count(doi_consent_op_t *op,
    const doi_consent_change_t *change);
static int doi_consent_along(doi_consent_op_t *op, doi_contact_t *contact,
    unsigned *n);
static int doi_consent_others(doi_consent_op_t *op);
static int doi_consent_stop_person(doi_consent_op_t *op, doi_str_t person);
static int doi_consent_deliver(doi_consent_op_t *op);
static int doi_consent_mark(doi_consent_op_t *op);


int
doi_consent_write(doi_consent_op_t *op)
{
    unsigned              n;
    doi_contact_t        *contact;
    doi_consent_change_t  change;

    contact = &op->contact;

    if (doi_consent_details(op) != DOI_OK) {
        return DOI_ERROR;
    }

    change.contact = contact;
    change.list = op->list;
    change.before = &op->before;
    change.known = op->known;
    change.reply = op->effect.reply;
    change.changed = op->effect.changed;
    change.along = 0;

    if (op->effect.changed || op->effect.reply == DOI_REPLY_PROMPT
        || op->effect.reply == DOI_REPLY_REMINDER)
    {
        if (doi_consent_change(op, &change) != DOI_OK) {
            return DOI_ERROR;
        }

        op->answer.seq = contact->head_seq;
        op->store = 1;
    }

    if (doi_consent_stops(op) && op->arg.scope != DOI_SCOPE_LIST) {

        if (!contact->stopped) {
            contact->stopped = 1;
            op->store = 1;
        }

        if (doi_consent_along(op, contact, &n) != DOI_OK) {
            return DOI_ERROR;
        }

        op->store |= n != 0;
    }

    if (doi_consent_deliver(op) != DOI_OK || doi_consent_mark(op) != DOI_OK) {
        return DOI_ERROR;
    }

    if (op->store && doi_contact_put(op->view, op->now, contact) != DOI_OK) {
        return DOI_ERROR;
    }

    return doi_consent_stops(op) && op->arg.scope == DOI_SCOPE_PERSON
           ? doi_consent_others(op) : DOI_OK;
}


/*
 * Who the contact is.  Of a contact that is not known nothing is kept unless
 * the event does something; one that was erased stays so until it opts in
 * again.
 */

static int
doi_consent_details(doi_consent_op_t *op)
{
    int             differs;
    doi_contact_t  *contact;

    contact = &op->contact;

    if (op->effect.changed
        || (op->effect.reply != DOI_REPLY_NONE
            && !(op->arg.flags & DOI_CONSENT_INLINE))
        || (op->arg.flags & DOI_CONSENT_REVIEW))
    {
        op->store = 1;
    }

    if (contact->erased) {

        if (!op->effect.changed
            || op->list->consent.state == DOI_CONSENT_OPTED_OUT)
        {
            return DOI_OK;
        }

        contact->erased = 0;
        contact->address = op->said[DOI_SAID_ADDRESS];
    }

    if (op->answer.created && !op->store) {
        return DOI_OK;
    }

    differs = doi_consent_text(&contact->lang, op->said[DOI_SAID_LANG]);
    differs |= doi_consent_text(&contact->sender, op->said[DOI_SAID_SENDER]);

    if (op->moves) {

        if (doi_person_del(op->view, contact->person, contact->id) != DOI_OK
            || doi_person_add(op->view, op->said[DOI_SAID_PERSON],
                              contact->id)
               != DOI_OK)
        {
            return DOI_ERROR;
        }

        contact->person = op->said[DOI_SAID_PERSON];
        differs = 1;
    }

    op->store |= differs;

    return DOI_OK;
}


static int
doi_consent_text(doi_str_t *to, doi_str_t said)
{
    if (said.len == 0 || doi_str_same(*to, said)) {
        return 0;
    }

    *to = said;

    return 1;
}


/* The entry of one list, with its event and its figures. */

static int
doi_consent_change(doi_consent_op_t *op, const doi_consent_change_t *change)
{
    doi_str_t                 wording;
    doi_entry_t               entry;
    doi_contact_t            *contact;
    doi_contact_list_t       *list;
    const doi_consent_arg_t  *a;

    a = &op->arg;
    list = change->list;
    contact = change->contact;
    wording = op->said[DOI_SAID_WORDING];

    if (!change->along && wording.len != 0
        && (doi_wording_id(wording, op->wording) != DOI_OK
            || doi_wording_put(op->view, op->wording, wording) != DOI_OK))
    {
        return DOI_ERROR;
    }

    doi_consent_entry(op, change, &entry);

    if (doi_list_hash(list->name, entry.list_hash) != DOI_OK
        || doi_ledger_append(op->view, op->now, &op->keys, contact, &entry)
           != DOI_OK
        || doi_consent_count(op, change) != DOI_OK)
    {
        return DOI_ERROR;
    }

    /* Who a change came from needs no telling of it. */

    if (change->changed && a->source != DOI_SOURCE_SYNC
        && !(a->flags & DOI_CONSENT_SILENT)
        && doi_event_put(op->view, op->now, contact->id, entry.to,
                         DOI_EVENT_CONSENT, entry.seq)
           != DOI_OK)
    {
        return DOI_ERROR;
    }

    list->source = a->source;

    if (!change->along && wording.len != 0) {
        memcpy(list->wording, op->wording, DOI_WORDING_ID);
    }

    return DOI_OK;
}


static void
doi_consent_entry(const doi_consent_op_t *op,
    const doi_consent_change_t *change, doi_entry_t *entry)
{
    size_t                    i;
    const doi_consent_arg_t  *a;

    a = &op->arg;

    memset(entry, 0, sizeof(doi_entry_t));
    entry->event = a->flags & DOI_CONSENT_SET ? DOI_ENTRY_IMPORTED : a->event;
    entry->source = a->source;
    entry->from = change->before->state;
    entry->to = change->list->consent.state;
    entry->reply = (uint8_t) change->reply;
    entry->given = op->when < op->now ? op->when : 0;

    /* What was confirmed is what the prompt said. */

    memcpy(entry->wording,
           entry->to == DOI_CONSENT_DOUBLE && doi_zeros(op->wording,
                                                        DOI_WORDING_ID)
           ? change->list->wording : op->wording, DOI_WORDING_ID);

    for (i = 0; i < DOI_SAIDS; i++) {
        entry->said[i] = op->said[i];
    }

    if (!change->along) {
        return;
    }

    /* Another contact may be erased alone: it gets nothing of what was said. */

    memset(entry->wording, 0, DOI_WORDING_ID);
    memset(entry->said, 0, sizeof(entry->said));
    entry->said[DOI_SAID_ACTOR] = op->said[DOI_SAID_ACTOR];
    entry->said[DOI_SAID_REASON] = op->said[DOI_SAID_REASON];
    entry->said[DOI_SAID_MESSAGE_ID] = op->said[DOI_SAID_MESSAGE_ID];
}


static int
doi_consent_count(doi_consent_op_t *op, const doi_consent_change_t *change)
{
    unsigned             source;
    doi_stat_t           stat;
    const uint8_t       *wording;
    doi_contact_list_t  *list;

    list = change->list;
    source = op->arg.source;
    wording = op->wording;

    if (change->reply == DOI_REPLY_PROMPT
        && doi_stat_add(op->view, op->now, op->arg.channel, source, wording,
                        list->name, DOI_STAT_PROMPT)
           != DOI_OK)
    {
        return DOI_ERROR;
    }

    if (!change->changed || op->arg.event == DOI_CONSENT_OVERRIDE) {
        return DOI_OK;
    }

    switch (list->consent.state) {

    case DOI_CONSENT_SINGLE:
        stat = DOI_STAT_SUBSCRIBE;
        break;

    case DOI_CONSENT_DOUBLE:
        stat = op->arg.event == DOI_CONSENT_CONFIRM ? DOI_STAT_CONFIRM
                                                    : DOI_STAT_SUBSCRIBE;
        break;

    case DOI_CONSENT_OPTED_OUT:
        stat = DOI_STAT_OUT;
        break;

    default:
        return DOI_OK;
    }

    /* It stands beside the prompt that it answers. */

    if (change->known && stat != DOI_STAT_SUBSCRIBE) {
        source = list->source;
        wording = list->wording;
    }

    return doi_stat_add(op->view, op->now, change->contact->channel, source,
                        wording, list->name, stat);
}


/* Opts out all lists of a contact; *n: how many of them have changed. */

static int
doi_consent_along(doi_consent_op_t *op, doi_contact_t *contact, unsigned *n)
{
    size_t                i;
    doi_consent_t         before;
    doi_consent_effect_t  effect;
    doi_consent_change_t  change;

    *n = 0;

    for (i = 0; i < contact->nlists; i++) {
        change.contact = contact;
        change.list = &contact->lists[i];
        change.before = &before;
        change.known = 1;
        change.reply = DOI_REPLY_NONE;
        change.changed = 1;
        change.along = 1;

        before = change.list->consent;
        doi_consent_step(&change.list->consent, DOI_CONSENT_REVOKE,
                         op->arg.source, op->arg.level, op->now, &effect);

        if (!effect.changed) {
            *n += (unsigned) doi_consent_stops_again(op,
                                                     &change.list->consent);
            continue;
        }

        doi_consent_date(op, &before, &change.list->consent);

        if (doi_consent_change(op, &change) != DOI_OK) {
            return DOI_ERROR;
        }

        (*n)++;
        op->answer.others++;
    }

    return DOI_OK;
}


/*
 * All contacts of the person but the one that said it.  That one may be another
 * person's as yet, or nobody's after an erasure.
 */

static int
doi_consent_others(doi_consent_op_t *op)
{
    if (doi_consent_stop_person(op, op->contact.person) != DOI_OK) {
        return DOI_ERROR;
    }

    return doi_str_same(op->contact.person, op->said[DOI_SAID_PERSON])
           ? DOI_OK : doi_consent_stop_person(op, op->said[DOI_SAID_PERSON]);
}


static int
doi_consent_stop_person(doi_consent_op_t *op, doi_str_t person)
{
    int            rc;
    size_t         i;
    unsigned       n;
    doi_str_t      ids;
    doi_contact_t  other;

    if (doi_person_contacts(op->view, person, &ids) != DOI_OK) {
        return DOI_ERROR;
    }

    for (i = 0; i < ids.len; i += DOI_CONTACT_ID) {

        if (memcmp(ids.data + i, op->contact.id, DOI_CONTACT_ID) == 0) {
            continue;
        }

        rc = doi_contact_get(op->view, ids.data + i, &other);

        if (rc == DOI_NOT_FOUND) {
            continue;
        }

        if (rc != DOI_OK || doi_consent_along(op, &other, &n) != DOI_OK) {
            return DOI_ERROR;
        }

        if (n == 0 && other.stopped) {
            continue;
        }

        other.stopped = 1;

        if (doi_contact_put(op->view, op->now, &other) != DOI_OK) {
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


/*
 * The reply, and the token of the link in it.  What tells replies of one
 * contact apart is the message that they answer, or else the hour: run again,
 * an event replaces a reply that still waits, and a provider that knows the id
 * sends it once.
 */

static int
doi_consent_deliver(doi_consent_op_t *op)
{
    uint8_t                   reply, hour[4], salt[DOI_TARGET_SIZE];
    doi_str_t                 parts[3];
    doi_reply_row_t           row;
    const doi_consent_arg_t  *a;

    a = &op->arg;
    reply = op->effect.reply;

    if (reply == DOI_REPLY_NONE) {
        return DOI_OK;
    }

    memset(&row, 0, sizeof(row));
    row.reply = reply;
    row.list = op->list->name;
    row.sender = op->contact.sender;
    row.text = op->reply[reply];

    if ((reply == DOI_REPLY_PROMPT || reply == DOI_REPLY_REMINDER)
        && !doi_zeros(a->confirm, DOI_ID_SIZE))
    {
        memcpy(row.confirm, a->confirm, DOI_ID_SIZE);
        row.confirm_expires = a->confirm_expires;

        if (doi_token_put(op->view, a->confirm, op->contact.id,
                          a->confirm_expires, DOI_PURPOSE_CONFIRM, row.list)
            != DOI_OK)
        {
            return DOI_ERROR;
        }
    }

    if (a->flags & DOI_CONSENT_INLINE) {
        return DOI_OK;
    }

    doi_put32(hour, op->now / DOI_HOUR);

    parts[0].data = &reply;
    parts[0].len = 1;
    parts[1] = op->said[DOI_SAID_MESSAGE_ID];
    parts[2] = row.list;

    if (parts[1].len == 0) {
        parts[1].data = hour;
        parts[1].len = sizeof(hour);
    }

    return doi_digest(parts, 3, salt, sizeof(salt)) == DOI_OK
           ? doi_reply_put(op->view, op->now, &op->contact,
                           op->list->consent.state, salt, &row)
           : DOI_ERROR;
}


/* That this message has been here, and that somebody is to read it. */

static int
doi_consent_mark(doi_consent_op_t *op)
{
    uint8_t       since[DOI_PROVIDER_SIZE];
    doi_str_t     key, value;
    doi_review_t  review;

    if (op->said[DOI_SAID_MESSAGE_ID].len != 0) {
        doi_put32(since, op->now);
        key.data = op->provider;
        key.len = DOI_PROVIDER_KEY;
        value.data = since;
        value.len = sizeof(since);

        if (op->view->put(op->view, DOI_TABLE_PROVIDER, key, value)
            != DOI_OK)
        {
            return DOI_ERROR;
        }
    }

    if (!(op->arg.flags & DOI_CONSENT_REVIEW)) {
        return DOI_OK;
    }

    memset(&review, 0, sizeof(review));
    memcpy(review.contact, op->contact.id, DOI_CONTACT_ID);
    review.channel = op->contact.channel;
    review.time = op->now;
    review.list = op->list->name;
    review.sender = op->said[DOI_SAID_SENDER];
    review.message_id = op->said[DOI_SAID_MESSAGE_ID];
    review.text = op->said[DOI_SAID_TEXT];

    return doi_review_put(op->view, &review);
}
