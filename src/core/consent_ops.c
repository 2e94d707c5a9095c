/*
 * EVENT and BATCH: what happens to a contact's consent.
 *
 * As in link_ops.c, an argument that is not well-formed is a CONFLICT without
 * an answer, and what cannot be read is a RETRY.
 *
 * Nothing is written before it is certain that the event is not refused: in a
 * batch the writes of the others are applied (consent_write.c).
 */

#include <string.h>

#include "consent_ops.h"


/* Entries that are looked through for the last word of a contact. */

#define DOI_BACK_MAX        1024


static int doi_consent_parse(doi_str_t arg, doi_consent_op_t *op);
static int doi_consent_valid(const doi_consent_op_t *op);
static doi_result_t doi_consent_run(doi_consent_op_t *op);
static int doi_consent_load(doi_consent_op_t *op);
static int doi_consent_seen(doi_consent_op_t *op);
static int doi_consent_is_out(const doi_consent_op_t *op);
static int doi_consent_last_word(const doi_consent_op_t *op, uint32_t seq,
    const uint8_t list_hash[DOI_LIST_HASH], int *out);
static void doi_consent_apply(doi_consent_op_t *op);
static int doi_consent_too_late(const doi_consent_op_t *op);
static void doi_consent_reply(doi_consent_op_t *op);
static int doi_consent_person(doi_consent_op_t *op);


doi_result_t
doi_op_consent_event(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    doi_result_t      result;
    doi_consent_op_t  op;

    if (!doi_consent_parse(arg, &op)) {
        return DOI_CONFLICT;
    }

    op.view = view;
    op.now = now;

    result = doi_consent_run(&op);

    if (result == DOI_RETRY) {
        return DOI_RETRY;
    }

    return doi_answer(out, &op.answer, sizeof(op.answer)) == DOI_OK
           ? result : DOI_RETRY;
}


doi_result_t
doi_op_consent_batch(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    size_t                 n;
    uint32_t               len;
    doi_str_t              event, padding;
    doi_consent_op_t       op;
    doi_consent_answer_t  *answers;

    answers = view->alloc(view,
                          DOI_BATCH_MAX * sizeof(doi_consent_answer_t));
    if (answers == NULL) {
        return DOI_RETRY;
    }

    for (n = 0; arg.len != 0; n++) {

        if (n == DOI_BATCH_MAX
            || !doi_arg_head(arg, &len, sizeof(len), &arg)
            || !doi_str_take(&arg, len, &event)
            || !doi_str_take(&arg, (4 - len % 4) % 4, &padding)
            || !doi_consent_parse(event, &op))
        {
            return DOI_CONFLICT;
        }

        op.view = view;
        op.now = now;

        if (doi_consent_run(&op) == DOI_RETRY) {
            return DOI_RETRY;
        }

        answers[n] = op.answer;
    }

    if (n == 0) {
        return DOI_CONFLICT;
    }

    return doi_answer(out, answers, n * sizeof(doi_consent_answer_t))
           == DOI_OK ? DOI_WON : DOI_RETRY;
}


static int
doi_consent_parse(doi_str_t arg, doi_consent_op_t *op)
{
    size_t              i;
    doi_str_t           rest;
    doi_consent_arg_t  *a;

    memset(op, 0, sizeof(doi_consent_op_t));

    a = &op->arg;

    if (!doi_arg_head(arg, a, sizeof(doi_consent_arg_t), &rest)) {
        return 0;
    }

    for (i = 0; i < DOI_SAIDS; i++) {
        if (a->said_len[i] > doi_said_max[i]
            || !doi_str_take(&rest, a->said_len[i], &op->said[i]))
        {
            return 0;
        }
    }

    for (i = 0; i < DOI_REPLIES; i++) {
        if (a->reply_len[i] > doi_said_max[DOI_SAID_REPLY]
            || !doi_str_take(&rest, a->reply_len[i], &op->reply[i]))
        {
            return 0;
        }
    }

    op->keys.ledger = a->ledger;
    op->keys.content = a->content;

    return rest.len == 0 && doi_consent_valid(op);
}


static int
doi_consent_valid(const doi_consent_op_t *op)
{
    const doi_consent_arg_t  *a;

    a = &op->arg;

    if (a->channel >= DOI_CHANNELS || a->event >= DOI_CONSENT_EVENTS
        || a->source >= DOI_SOURCES || a->level >= DOI_CONSENT_STATES
        || (a->flags & ~DOI_CONSENT_FLAGS) || a->scope > DOI_SCOPE_LIST
        || op->said[DOI_SAID_ADDRESS].len == 0
        || op->said[DOI_SAID_REPLY].len != 0
        || op->reply[DOI_REPLY_NONE].len != 0)
    {
        return 0;
    }

    if (a->flags & DOI_CONSENT_SET) {
        return a->source == DOI_SOURCE_IMPORT
               && a->event == DOI_CONSENT_SUBSCRIBE;
    }

    switch (a->event) {

    case DOI_CONSENT_SUBSCRIBE:
        return a->level == DOI_CONSENT_SINGLE
               || a->level == DOI_CONSENT_DOUBLE;

    case DOI_CONSENT_OVERRIDE:

        /* Never without somebody who answers for it. */

        return op->said[DOI_SAID_ACTOR].len != 0
               && op->said[DOI_SAID_REASON].len != 0;

    default:
        return 1;
    }
}


static doi_result_t
doi_consent_run(doi_consent_op_t *op)
{
    int                    rc;
    doi_consent_answer_t  *answer;

    answer = &op->answer;

    rc = doi_consent_load(op);

    if (rc == DOI_NOT_FOUND) {
        answer->refused = 1;
        return DOI_CONFLICT;
    }

    if (rc != DOI_OK) {
        return DOI_RETRY;
    }

    op->before = op->list->consent;
    answer->from = op->before.state;
    answer->to = op->before.state;

    rc = doi_consent_seen(op);

    if (rc == DOI_OK) {
        answer->duplicate = 1;
        answer->created = 0;
        return DOI_CONFLICT;
    }

    if (rc != DOI_NOT_FOUND) {
        return DOI_RETRY;
    }

    rc = doi_consent_is_out(op);

    if (rc == DOI_NOT_FOUND) {
        doi_consent_apply(op);
        rc = doi_consent_person(op);

    } else if (rc == DOI_OK) {
        op->effect.refused = 1;
    }

    if (rc == DOI_ERROR) {
        return DOI_RETRY;
    }

    if (rc == DOI_NOT_FOUND || op->effect.refused) {
        answer->refused = 1;
        answer->created = 0;
        return DOI_CONFLICT;
    }

    doi_consent_reply(op);

    answer->to = op->list->consent.state;
    answer->reply = op->effect.reply;

    if (op->arg.flags & DOI_CONSENT_DRY) {
        return DOI_WON;
    }

    return doi_consent_write(op) == DOI_OK ? DOI_WON : DOI_RETRY;
}


/* DOI_NOT_FOUND: the id is that of another address, or no list can be added. */

static int
doi_consent_load(doi_consent_op_t *op)
{
    int                       rc;
    doi_contact_t            *contact;
    const doi_consent_arg_t  *a;

    a = &op->arg;
    contact = &op->contact;

    rc = doi_contact_get(op->view, a->contact, contact);

    if (rc == DOI_NOT_FOUND) {
        memset(contact, 0, sizeof(doi_contact_t));
        memcpy(contact->id, a->contact, DOI_CONTACT_ID);
        contact->channel = a->channel;
        contact->created = op->now;
        contact->address = op->said[DOI_SAID_ADDRESS];
        contact->lists = op->view->alloc(op->view,
                                         sizeof(doi_contact_list_t));
        op->answer.created = 1;

        if (contact->lists == NULL) {
            return DOI_ERROR;
        }

    } else if (rc != DOI_OK) {
        return DOI_ERROR;

    } else if (contact->channel != a->channel
               || (!contact->erased
                   && !doi_str_same(contact->address,
                                    op->said[DOI_SAID_ADDRESS])))
    {
        return DOI_NOT_FOUND;
    }

    op->list = doi_contact_list(contact, op->said[DOI_SAID_LIST]);

    if (op->list == NULL) {
        op->list = doi_contact_list_add(contact, op->said[DOI_SAID_LIST]);
    }

    /* Who leaves all lists need not be on this one: any of them will do. */

    if (op->list == NULL && doi_consent_stops(op)
        && a->scope != DOI_SCOPE_LIST)
    {
        op->list = contact->lists;
    }

    if (op->list == NULL) {
        return DOI_NOT_FOUND;
    }

    /* A list that was only mentioned, as by HELP, has no status yet. */

    op->known = op->list->consent.state != DOI_CONSENT_NONE
                || op->list->consent.since != 0;

    return DOI_OK;
}


/* DOI_OK: the message has been here before. */

static int
doi_consent_seen(doi_consent_op_t *op)
{
    int        rc;
    doi_str_t  key, value;

    if (op->said[DOI_SAID_MESSAGE_ID].len == 0) {
        return DOI_NOT_FOUND;
    }

    if (doi_provider_key(op->contact.id, op->said[DOI_SAID_MESSAGE_ID],
                         op->provider)
        != DOI_OK)
    {
        return DOI_ERROR;
    }

    key.data = op->provider;
    key.len = DOI_PROVIDER_KEY;

    rc = op->view->get(op->view, DOI_TABLE_PROVIDER, key, &value);

    return rc == DOI_OK || rc == DOI_NOT_FOUND ? rc : DOI_ERROR;
}


/*
 * DOI_OK: the contact has opted out, and is pending or none since, by a form
 * that anybody can fill in.  Nobody else may go on from there: an import or a
 * CRM that says "subscribe" every night would undo the opt-out.
 */

static int
doi_consent_is_out(const doi_consent_op_t *op)
{
    int       rc, out;
    uint8_t   hash[DOI_LIST_HASH];
    uint32_t  seq, last;

    if ((op->arg.event != DOI_CONSENT_SUBSCRIBE
         && op->arg.event != DOI_CONSENT_CONFIRM)
        || (op->arg.flags & DOI_CONSENT_SET)
        || doi_source_own(op->arg.source) || !op->known
        || (op->before.state != DOI_CONSENT_PENDING
            && op->before.state != DOI_CONSENT_NONE))
    {
        return DOI_NOT_FOUND;
    }

    if (doi_list_hash(op->list->name, hash) != DOI_OK) {
        return DOI_ERROR;
    }

    seq = op->contact.head_seq;
    last = seq > DOI_BACK_MAX ? seq - DOI_BACK_MAX : 0;

    for ( /* void */ ; seq > last; seq--) {

        rc = doi_consent_last_word(op, seq, hash, &out);

        if (rc != DOI_NOT_FOUND) {
            return rc == DOI_OK && !out ? DOI_NOT_FOUND : rc;
        }
    }

    /* What cannot be known is refused. */

    return last == 0 ? DOI_NOT_FOUND : DOI_OK;
}


/* DOI_NOT_FOUND: this entry is not about that. */

static int
doi_consent_last_word(const doi_consent_op_t *op, uint32_t seq,
    const uint8_t list_hash[DOI_LIST_HASH], int *out)
{
    uint8_t      bytes[DOI_ENTRY_KEY];
    doi_str_t    key, row, none = { NULL, 0 };
    doi_entry_t  entry;

    doi_entry_key(op->contact.id, seq, bytes);
    key.data = bytes;
    key.len = sizeof(bytes);

    if (op->view->get(op->view, DOI_TABLE_LEDGER, key, &row) != DOI_OK
        || doi_entry_decode(row, none, &entry) != DOI_OK)
    {
        return DOI_ERROR;
    }

    *out = entry.event == DOI_ENTRY_ERASED
           || entry.from == DOI_CONSENT_OPTED_OUT
           || entry.to == DOI_CONSENT_OPTED_OUT;

    if (entry.event == DOI_ENTRY_ERASED) {
        return DOI_OK;
    }

    return entry.from != entry.to
           && memcmp(entry.list_hash, list_hash, DOI_LIST_HASH) == 0
           && (*out || entry.from == DOI_CONSENT_SINGLE
               || entry.from == DOI_CONSENT_DOUBLE)
           ? DOI_OK : DOI_NOT_FOUND;
}


static void
doi_consent_apply(doi_consent_op_t *op)
{
    doi_consent_t            *consent;
    const doi_consent_arg_t  *a;

    a = &op->arg;
    consent = &op->list->consent;
    op->when = op->now;

    if (a->at != 0 && a->at < op->now
        && (a->source == DOI_SOURCE_IMPORT || a->source == DOI_SOURCE_KEYWORD))
    {
        op->when = a->at;
    }

    if (a->flags & DOI_CONSENT_SET) {

        if (!op->known || !(a->flags & DOI_CONSENT_KEEP)) {
            doi_consent_import(consent, op->known, a->level, op->when,
                               &op->effect);
        }

        /* Unknown until now, and to be none: that is a status too. */

        if (!op->known) {
            consent->since = op->when;
            op->store = 1;
        }

        return;
    }

    if (doi_consent_too_late(op)) {
        return;
    }

    doi_consent_step(consent, a->event, a->source, a->level, op->now,
                     &op->effect);

    if (op->effect.changed) {
        doi_consent_date(op, &op->before, consent);

    } else if (doi_consent_stops(op)) {
        op->store |= doi_consent_stops_again(op, consent);
    }
}


/*
 * Times of messages are the provider's, others are ours: a CONFIRM is compared
 * only with a message, since the answer to a form may come within seconds, and
 * clocks differ.
 */

static int
doi_consent_too_late(const doi_consent_op_t *op)
{
    size_t                     i;
    doi_consent_t              consent;
    const doi_contact_list_t  *list;

    if (op->arg.source != DOI_SOURCE_KEYWORD
        || (op->arg.event == DOI_CONSENT_CONFIRM
            && op->list->source != DOI_SOURCE_KEYWORD))
    {
        return 0;
    }

    consent = op->list->consent;

    /* A list that is new to who has stopped everything: since he has. */

    for (i = 0; i < op->contact.nlists; i++) {
        list = &op->contact.lists[i];

        if (op->list->consent.since == 0
            && list->consent.state == DOI_CONSENT_OPTED_OUT
            && list->consent.since > consent.since)
        {
            consent.since = list->consent.since;
        }
    }

    return doi_consent_late(&consent, op->arg.event, op->arg.at);
}


void
doi_consent_date(const doi_consent_op_t *op, const doi_consent_t *before,
    doi_consent_t *consent)
{
    doi_time_t  when;

    when = op->when;

    if (op->arg.source == DOI_SOURCE_KEYWORD && when < before->since) {
        when = before->since < op->now ? before->since : op->now;
    }

    consent->since = when;

    /* As its entry has it, which says when it was given. */

    if (before->opted_in == 0 && consent->opted_in != 0) {
        consent->opted_in = op->when;
    }
}


/* What the event calls for is sent only if there is a text for it, and somebody
   to send it to. */

static void
doi_consent_reply(doi_consent_op_t *op)
{
    unsigned        reply;
    doi_consent_t  *consent;

    reply = op->effect.reply;
    consent = &op->list->consent;

    if (reply == DOI_REPLY_NONE
        || (op->reply[reply].len != 0
            && !(op->arg.flags & DOI_CONSENT_QUIET)
            && (!op->contact.erased || op->effect.changed
                || (op->arg.flags & DOI_CONSENT_INLINE))))
    {
        return;
    }

    op->effect.reply = DOI_REPLY_NONE;

    /* A prompt that nobody has seen is not outstanding. */

    if (reply == DOI_REPLY_PROMPT || reply == DOI_REPLY_REMINDER) {
        consent->prompted = op->effect.changed ? 0 : op->before.prompted;
        consent->reminders = op->effect.changed ? 0 : op->before.reminders;
        consent->asked = op->effect.changed ? 0 : op->before.asked;
    }
}


/*
 * DOI_NOT_FOUND: the person has as many contacts as there can be.  Nobody is
 * refused a STOP for that; the contact stays with whom it is.
 *
 * A form is filled in by anybody: it must not take a contact out of reach of
 * its person's opt-out.
 */

static int
doi_consent_person(doi_consent_op_t *op)
{
    doi_str_t  person, ids;

    person = op->said[DOI_SAID_PERSON];

    if (person.len == 0 || doi_str_same(person, op->contact.person)
        || (op->arg.source == DOI_SOURCE_WEB && op->contact.person.len != 0))
    {
        return DOI_OK;
    }

    if (doi_person_contacts(op->view, person, &ids) != DOI_OK) {
        return DOI_ERROR;
    }

    if (ids.len >= (size_t) DOI_PERSON_CONTACTS * DOI_CONTACT_ID) {
        return doi_consent_stops(op) ? DOI_OK : DOI_NOT_FOUND;
    }

    op->moves = 1;

    return DOI_OK;
}


int
doi_consent_stops_again(const doi_consent_op_t *op, doi_consent_t *consent)
{
    if (consent->state != DOI_CONSENT_OPTED_OUT || op->when <= consent->since)
    {
        return 0;
    }

    consent->since = op->when;

    return 1;
}


int
doi_consent_stops(const doi_consent_op_t *op)
{
    return op->arg.event == DOI_CONSENT_STOP
           || op->arg.event == DOI_CONSENT_REVOKE;
}
