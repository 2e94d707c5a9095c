/*
 * TOKEN, ERASE, REVIEW and SWEEP: what an operator does to contacts, and what
 * time does.
 *
 * As in link_ops.c, an argument that is not well-formed is a CONFLICT without
 * an answer, and what cannot be read is a RETRY.
 */

#include <string.h>

#include "consent_ops.h"


/* Rows in one transaction: other operations wait for it. */

#define DOI_SWEEP_ROWS      4096


typedef struct {
    doi_contact_arg_t  arg;
    doi_chain_keys_t   keys;
    doi_contact_t      contact;
    doi_entry_t        entry;           /* with actor and reason             */
} doi_admin_t;

/* What is over: 12 bytes of id, then for a token its contact. */

typedef struct {
    doi_consent_sweep_arg_t      arg;
    doi_consent_sweep_answer_t   answer;
    uint32_t                     looked;
    uint8_t                     *rows;
} doi_consent_sweep_t;

#define DOI_SWEEP_ROW       (DOI_PROVIDER_KEY + DOI_CONTACT_ID)


static doi_result_t doi_admin_load(doi_view_t *view, doi_str_t arg,
    doi_admin_t *admin);
static int doi_erase_rows(doi_view_t *view, const doi_contact_t *contact);
static int doi_erase_content(doi_view_t *view,
    const uint8_t contact[DOI_CONTACT_ID]);
static int doi_erase_index(doi_view_t *view, doi_table_t table,
    const uint8_t contact[DOI_CONTACT_ID]);
static doi_result_t doi_erase_mark(doi_view_t *view, doi_time_t now,
    doi_admin_t *admin);
static int doi_sweep_row(void *data, doi_str_t key, doi_str_t value);
static int doi_sweep_over(const doi_consent_sweep_t *sweep, doi_str_t key,
    doi_str_t value);
static int doi_sweep_drop(doi_view_t *view, const doi_consent_sweep_t *sweep,
    const uint8_t *row);


doi_result_t
doi_op_consent_token(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int              rc;
    doi_str_t        list, key, row, known;
    doi_contact_t    contact;
    doi_token_arg_t  a;

    (void) now;
    (void) out;

    if (!doi_arg_head(arg, &a, sizeof(a), &list) || list.len != a.list_len
        || list.len > doi_said_max[DOI_SAID_LIST]
        || (a.purpose != DOI_PURPOSE_CONFIRM
            && a.purpose != DOI_PURPOSE_UNSUBSCRIBE))
    {
        return DOI_CONFLICT;
    }

    rc = doi_contact_get(view, a.contact, &contact);

    if (rc == DOI_ERROR) {
        return DOI_RETRY;
    }

    if (rc == DOI_NOT_FOUND || contact.erased) {
        return DOI_CONFLICT;
    }

    key.data = a.id;
    key.len = DOI_ID_SIZE;

    rc = view->get(view, DOI_TABLE_TOKENS, key, &row);

    if ((rc != DOI_OK && rc != DOI_NOT_FOUND)
        || (rc == DOI_OK && row.len < DOI_TOKEN_ROW))
    {
        return DOI_RETRY;
    }

    if (rc == DOI_OK) {
        known.data = row.data + DOI_TOKEN_ROW;
        known.len = row.len - DOI_TOKEN_ROW;

        if (row.data[4] != a.purpose || !doi_str_same(known, list)
            || memcmp(row.data + 5, a.contact, DOI_CONTACT_ID) != 0)
        {
            return DOI_CONFLICT;
        }
    }

    return doi_token_put(view, a.id, a.contact, a.expires, a.purpose, list)
           == DOI_OK ? DOI_WON : DOI_RETRY;
}


/* The argument and the contact; DOI_WON, or what the operation returns. */

static doi_result_t
doi_admin_load(doi_view_t *view, doi_str_t arg, doi_admin_t *admin)
{
    int                 rc;
    doi_str_t           rest;
    doi_entry_t        *entry;
    doi_contact_arg_t  *a;

    memset(admin, 0, sizeof(doi_admin_t));

    a = &admin->arg;
    entry = &admin->entry;

    if (!doi_arg_head(arg, a, sizeof(doi_contact_arg_t), &rest)
        || a->actor_len > DOI_ACTOR_MAX || a->reason_len > DOI_REASON_MAX
        || !doi_str_take(&rest, a->actor_len, &entry->said[DOI_SAID_ACTOR])
        || !doi_str_take(&rest, a->reason_len, &entry->said[DOI_SAID_REASON])
        || rest.len != 0)
    {
        return DOI_CONFLICT;
    }

    admin->keys.ledger = a->ledger;
    admin->keys.content = a->content;
    entry->source = DOI_SOURCE_AGENT;

    rc = doi_contact_get(view, a->contact, &admin->contact);

    if (rc != DOI_OK) {
        return rc == DOI_NOT_FOUND ? DOI_CONFLICT : DOI_RETRY;
    }

    return DOI_WON;
}


doi_result_t
doi_op_consent_erase(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    doi_admin_t   admin;
    doi_result_t  result;

    (void) out;

    result = doi_admin_load(view, arg, &admin);

    if (result != DOI_WON) {
        return result;
    }

    /* Of one that was erased before, a text may wait for the review again. */

    if (admin.contact.erased) {
        return doi_erase_index(view, DOI_TABLE_REVIEW, admin.contact.id)
               == DOI_OK ? DOI_WON : DOI_RETRY;
    }

    if (doi_erase_rows(view, &admin.contact) != DOI_OK) {
        return DOI_RETRY;
    }

    return doi_erase_mark(view, now, &admin);
}


static int
doi_erase_rows(doi_view_t *view, const doi_contact_t *contact)
{
    if (doi_person_del(view, contact->person, contact->id) != DOI_OK
        || doi_erase_content(view, contact->id) != DOI_OK
        || doi_erase_index(view, DOI_TABLE_TOKENS, contact->id) != DOI_OK
        || doi_erase_index(view, DOI_TABLE_REVIEW, contact->id) != DOI_OK)
    {
        return DOI_ERROR;
    }

    return doi_erase_index(view, DOI_TABLE_MESSAGES, contact->id);
}


static int
doi_erase_content(doi_view_t *view, const uint8_t contact[DOI_CONTACT_ID])
{
    size_t     i, n;
    uint8_t   *seqs, bytes[DOI_ENTRY_KEY];
    doi_str_t  key;

    if (doi_index_collect(view, DOI_TABLE_CONTENT, contact, 4, &seqs, &n)
        != DOI_OK)
    {
        return DOI_ERROR;
    }

    for (i = 0; i < n; i++) {
        doi_entry_key(contact, doi_get32(seqs + i * 4), bytes);
        key.data = bytes;
        key.len = sizeof(bytes);

        if (view->del(view, DOI_TABLE_CONTENT, key) != DOI_OK) {
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


static int
doi_erase_index(doi_view_t *view, doi_table_t table,
    const uint8_t contact[DOI_CONTACT_ID])
{
    int       rc;
    size_t    i, n;
    uint8_t  *ids;

    if (doi_index_collect(view, table, contact, DOI_ID_SIZE, &ids, &n)
        != DOI_OK)
    {
        return DOI_ERROR;
    }

    for (i = 0; i < n; i++, ids += DOI_ID_SIZE) {

        switch (table) {

        case DOI_TABLE_TOKENS:
            rc = doi_token_del(view, ids, contact);
            break;

        case DOI_TABLE_REVIEW:
            rc = doi_review_del(view, ids, contact);
            break;

        default: /* DOI_TABLE_MESSAGES */
            rc = doi_outbox_drop(view, ids);
        }

        if (rc != DOI_OK) {
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


/* The contact as it stays, and the entry that says so. */

static doi_result_t
doi_erase_mark(doi_view_t *view, doi_time_t now, doi_admin_t *admin)
{
    size_t                i;
    doi_str_t             none = { NULL, 0 };
    doi_entry_t          *entry;
    doi_contact_t        *contact;
    doi_contact_list_t   *list;
    doi_consent_effect_t  effect;

    contact = &admin->contact;
    entry = &admin->entry;

    entry->event = DOI_ENTRY_ERASED;
    entry->from = DOI_CONSENT_NONE;
    entry->to = DOI_CONSENT_OPTED_OUT;

    for (i = 0; i < contact->nlists; i++) {
        list = &contact->lists[i];

        if (list->consent.state != DOI_CONSENT_OPTED_OUT) {
            entry->from = list->consent.state;
            list->source = entry->source;
        }

        doi_consent_step(&list->consent, DOI_CONSENT_REVOKE, entry->source, 0,
                         now, &effect);
    }

    contact->erased = 1;
    contact->stopped = 1;
    contact->address = none;
    contact->person = none;
    contact->lang = none;
    contact->sender = none;

    if (doi_ledger_append(view, now, &admin->keys, contact, entry) != DOI_OK
        || doi_event_put(view, now, contact->id, DOI_CONSENT_OPTED_OUT,
                         DOI_EVENT_CONSENT, entry->seq)
           != DOI_OK
        || doi_contact_put(view, now, contact) != DOI_OK)
    {
        return DOI_RETRY;
    }

    return DOI_WON;
}


doi_result_t
doi_op_consent_review(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                        rc;
    doi_str_t                  key, value;
    doi_admin_t                admin;
    doi_review_t               review;
    doi_result_t               result;
    const doi_contact_list_t  *list;

    (void) out;

    result = doi_admin_load(view, arg, &admin);

    if (result != DOI_WON) {
        return result;
    }

    key.data = admin.arg.review;
    key.len = DOI_ID_SIZE;

    rc = view->get(view, DOI_TABLE_REVIEW, key, &value);

    if (rc == DOI_NOT_FOUND) {
        return DOI_WON;
    }

    if (rc != DOI_OK || doi_review_decode(value, &review) != DOI_OK) {
        return DOI_RETRY;
    }

    if (memcmp(review.contact, admin.contact.id, DOI_CONTACT_ID) != 0) {
        return DOI_CONFLICT;
    }

    list = doi_contact_list(&admin.contact, review.list);

    admin.entry.event = DOI_ENTRY_REVIEWED;
    admin.entry.from = list != NULL ? list->consent.state : DOI_CONSENT_NONE;
    admin.entry.to = admin.entry.from;

    if (doi_list_hash(review.list, admin.entry.list_hash) != DOI_OK
        || doi_review_del(view, admin.arg.review, admin.contact.id) != DOI_OK
        || doi_ledger_append(view, now, &admin.keys, &admin.contact,
                             &admin.entry)
           != DOI_OK
        || doi_contact_put(view, now, &admin.contact) != DOI_OK)
    {
        return DOI_RETRY;
    }

    return DOI_WON;
}


doi_result_t
doi_op_consent_sweep(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                  rc;
    uint32_t             i;
    doi_str_t            from, rest;
    doi_table_t          table;
    doi_consent_sweep_t  sweep;

    memset(&sweep, 0, sizeof(sweep));

    if (!doi_arg_head(arg, &sweep.arg, sizeof(sweep.arg), &rest)
        || rest.len != 0 || sweep.arg.table > 1)
    {
        return DOI_CONFLICT;
    }

    /* A clock that leapt ahead of the mark is not believed yet. */

    if (sweep.arg.mark > now) {
        sweep.arg.mark = now;
    }

    if (sweep.arg.limit > DOI_SWEEP_ROWS) {
        sweep.arg.limit = DOI_SWEEP_ROWS;
    }

    table = sweep.arg.table == 0 ? DOI_TABLE_TOKENS : DOI_TABLE_PROVIDER;
    from.data = sweep.arg.from;
    from.len = DOI_CONSENT_SWEEP_KEY;

    /* Zeros behind a shorter key are not its own: it is not to be skipped. */

    while (from.len != 0 && from.data[from.len - 1] == 0) {
        from.len--;
    }

    sweep.rows = view->alloc(view, ((size_t) sweep.arg.limit + 1)
                                   * DOI_SWEEP_ROW);
    if (sweep.rows == NULL) {
        return DOI_RETRY;
    }

    rc = view->scan(view, table, from, doi_sweep_row, &sweep);

    if (rc != DOI_OK && rc != DOI_NOT_FOUND) {
        return DOI_RETRY;
    }

    for (i = 0; i < sweep.answer.dropped; i++) {
        if (doi_sweep_drop(view, &sweep, sweep.rows + i * DOI_SWEEP_ROW)
            != DOI_OK)
        {
            return DOI_RETRY;
        }
    }

    return doi_answer(out, &sweep.answer, sizeof(sweep.answer)) == DOI_OK
           ? DOI_WON : DOI_RETRY;
}


/* DOI_NOT_FOUND ends the scan. */

static int
doi_sweep_row(void *data, doi_str_t key, doi_str_t value)
{
    uint8_t              *row;
    doi_consent_sweep_t  *sweep = data;

    if (sweep->looked == sweep->arg.limit) {

        /* From this one on. */

        memcpy(sweep->answer.next, key.data,
               key.len < DOI_CONSENT_SWEEP_KEY ? key.len
                                               : DOI_CONSENT_SWEEP_KEY);
        return DOI_NOT_FOUND;
    }

    sweep->looked++;

    if (!doi_sweep_over(sweep, key, value)) {
        return DOI_OK;
    }

    row = sweep->rows + sweep->answer.dropped * DOI_SWEEP_ROW;
    memcpy(row, key.data, key.len);

    if (sweep->arg.table == 0) {
        memcpy(row + DOI_PROVIDER_KEY, value.data + 5, DOI_CONTACT_ID);
    }

    sweep->answer.dropped++;

    return DOI_OK;
}


static int
doi_sweep_over(const doi_consent_sweep_t *sweep, doi_str_t key,
    doi_str_t value)
{
    if (sweep->arg.table == 0) {
        return key.len == DOI_ID_SIZE && value.len >= DOI_TOKEN_ROW
               && doi_get32(value.data) <= sweep->arg.mark;
    }

    return key.len == DOI_PROVIDER_KEY && value.len == DOI_PROVIDER_SIZE
           && sweep->arg.mark >= DOI_PROVIDER_KEEP
           && doi_get32(value.data) <= sweep->arg.mark - DOI_PROVIDER_KEEP;
}


static int
doi_sweep_drop(doi_view_t *view, const doi_consent_sweep_t *sweep,
    const uint8_t *row)
{
    doi_str_t  key;

    if (sweep->arg.table == 0) {
        return doi_token_del(view, row, row + DOI_PROVIDER_KEY);
    }

    key.data = row;
    key.len = DOI_PROVIDER_KEY;

    return view->del(view, DOI_TABLE_PROVIDER, key) == DOI_OK ? DOI_OK
                                                              : DOI_ERROR;
}
