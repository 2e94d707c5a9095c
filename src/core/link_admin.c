/*
 * The transactions of operators: MINT, REVOKE and RESOLVE.
 */

#include <string.h>

#include "link_ops.h"


static int doi_mint_arg(doi_str_t arg, doi_mint_arg_t *a, doi_str_t *ids,
    doi_link_t *link);
static int doi_mint_one(doi_view_t *view, const doi_link_t *link,
    const uint8_t *id, doi_str_t value);
static int doi_operator_arg(doi_str_t arg, doi_operator_arg_t *a,
    doi_link_t *action);
static doi_result_t doi_operator_done(doi_view_t *view, doi_time_t now,
    doi_link_t *link, const doi_link_t *action, doi_buf_t *out);
static doi_result_t doi_operator_answer(doi_result_t result,
    const doi_link_t *link, doi_buf_t *out);
static int doi_resolve_claims(doi_view_t *view, doi_time_t now,
    const doi_operator_arg_t *a, doi_link_t *link, unsigned *n);
static int doi_resolved_before(const doi_operator_arg_t *a,
    const doi_link_t *link, const doi_link_t *action);


doi_result_t
doi_op_mint(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    int             rc;
    size_t          i;
    doi_buf_t       buf;
    doi_str_t       value, ids;
    doi_link_t      link;
    doi_mint_arg_t  a;

    (void) out;

    if (!doi_mint_arg(arg, &a, &ids, &link)) {
        return DOI_CONFLICT;
    }

    /* The id is not in the record: all links of a batch share one value. */

    link.changed = now;

    buf.len = 0;
    buf.size = doi_link_size(&link);
    buf.data = view->alloc(view, buf.size);

    if (buf.data == NULL || doi_link_encode(&link, &buf) != DOI_OK) {
        return DOI_RETRY;
    }

    value.data = buf.data;
    value.len = buf.len;

    for (i = 0; i < a.count; i++) {
        rc = doi_mint_one(view, &link, ids.data + i * DOI_ID_SIZE, value);

        if (rc != DOI_OK) {
            return rc == DOI_NOT_FOUND ? DOI_CONFLICT : DOI_RETRY;
        }
    }

    return DOI_WON;
}


static int
doi_mint_arg(doi_str_t arg, doi_mint_arg_t *a, doi_str_t *ids,
    doi_link_t *link)
{
    doi_str_t  rest;

    if (arg.len < sizeof(doi_mint_arg_t)) {
        return 0;
    }

    memcpy(a, arg.data, sizeof(doi_mint_arg_t));

    if (a->count == 0 || a->count > DOI_MINT_BATCH
        || a->uses == 0 || a->uses > DOI_USES_MAX
        || a->scope_len > DOI_SCOPE_KEEP || a->meta_len > DOI_META_MAX
        || a->actor_len > DOI_ACTOR_MAX)
    {
        return 0;
    }

    memset(link, 0, sizeof(doi_link_t));
    link->expires = a->expires;
    link->uses = a->uses;
    link->minted = 1;

    rest.data = arg.data + sizeof(doi_mint_arg_t);
    rest.len = arg.len - sizeof(doi_mint_arg_t);

    if (!doi_str_take(&rest, (size_t) a->count * DOI_ID_SIZE, ids)
        || !doi_str_take(&rest, a->scope_len, &link->scope)
        || !doi_str_take(&rest, a->meta_len, &link->meta)
        || !doi_str_take(&rest, a->actor_len, &link->actor))
    {
        return 0;
    }

    return rest.len == 0;
}


/* DOI_NOT_FOUND: the id is taken, by something else than this batch. */

static int
doi_mint_one(doi_view_t *view, const doi_link_t *link, const uint8_t *id,
    doi_str_t value)
{
    int         rc;
    doi_str_t   key;
    doi_link_t  old;

    rc = doi_link_get(view, id, &old);

    if (rc == DOI_ERROR) {
        return DOI_ERROR;
    }

    if (rc == DOI_OK) {
        if (old.minted && !old.revoked && old.nclaims == 0
            && old.expires == link->expires && old.uses == link->uses
            && doi_str_same(old.scope, link->scope))
        {
            return DOI_OK;
        }

        return DOI_NOT_FOUND;
    }

    key.data = id;
    key.len = DOI_ID_SIZE;

    return view->put(view, DOI_TABLE_LINKS, key, value) == DOI_OK ? DOI_OK
                                                                  : DOI_ERROR;
}


doi_result_t
doi_op_revoke(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    int                 rc;
    size_t              i, used;
    doi_link_t          link, action;
    doi_operator_arg_t  a;

    if (!doi_operator_arg(arg, &a, &action)) {
        return DOI_CONFLICT;
    }

    rc = doi_link_get(view, a.id, &link);

    if (rc == DOI_ERROR) {
        return DOI_RETRY;
    }

    if (rc == DOI_NOT_FOUND) {
        memset(&link, 0, sizeof(link));
        memcpy(link.id, a.id, DOI_ID_SIZE);
        link.expires = UINT32_MAX;
        link.uses = 1;
    }

    if (link.revoked) {
        return doi_operator_answer(DOI_WON, &link, out);
    }

    used = 0;

    for (i = 0; i < link.nclaims; i++) {
        used += (link.claims[i].state == DOI_CLAIM_USED);
    }

    if (used == link.uses) {
        return doi_operator_answer(DOI_CONFLICT, &link, out);
    }

    link.revoked = 1;
    link.resolved = 0;

    return doi_operator_done(view, now, &link, &action, out);
}


doi_result_t
doi_op_resolve(doi_view_t *view, doi_time_t now, doi_str_t arg, doi_buf_t *out)
{
    int                 rc;
    unsigned            n;
    doi_link_t          link, action;
    doi_operator_arg_t  a;

    if (!doi_operator_arg(arg, &a, &action)
        || (a.outcome != DOI_OUTCOME_USED
            && a.outcome != DOI_OUTCOME_RELEASED))
    {
        return DOI_CONFLICT;
    }

    rc = doi_link_get(view, a.id, &link);

    if (rc != DOI_OK) {
        return rc == DOI_NOT_FOUND ? DOI_CONFLICT : DOI_RETRY;
    }

    if (doi_resolve_claims(view, now, &a, &link, &n) != DOI_OK) {
        return DOI_RETRY;
    }

    if (n != 0) {
        link.resolved = (uint8_t) a.outcome;
        return doi_operator_done(view, now, &link, &action, out);
    }

    return doi_operator_answer(doi_resolved_before(&a, &link, &action)
                               ? DOI_WON : DOI_CONFLICT, &link, out);
}


static int
doi_resolve_claims(doi_view_t *view, doi_time_t now,
    const doi_operator_arg_t *a, doi_link_t *link, unsigned *n)
{
    int           rc;
    size_t        i;
    doi_claim_t  *claim;

    *n = 0;
    i = 0;

    while (i < link->nclaims) {
        claim = &link->claims[i];

        if (doi_claim_state(claim, now) != DOI_CLAIM_IN_DOUBT
            || (a->slot != DOI_SLOT_ALL && a->slot != claim->slot))
        {
            i++;
            continue;
        }

        (*n)++;

        if (a->outcome == DOI_OUTCOME_USED) {
            rc = doi_claim_used(view, link, claim, now);
            i++;

        } else {
            rc = doi_claim_remove(view, link, claim);
        }

        if (rc != DOI_OK) {
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


/*
 * An operator's action carries no attempt id.  When nothing is in doubt, it is
 * taken for the same action run again if the last one was by the same actor for
 * the same reason and the slots are as it would have left them.
 */

static int
doi_resolved_before(const doi_operator_arg_t *a, const doi_link_t *link,
    const doi_link_t *action)
{
    size_t              i;
    unsigned            used, open;
    const doi_claim_t  *claim;

    if (link->resolved != a->outcome
        || !doi_str_same(link->actor, action->actor)
        || !doi_str_same(link->reason, action->reason)
        || (a->slot != DOI_SLOT_ALL && a->slot >= link->uses))
    {
        return 0;
    }

    used = 0;
    open = 0;

    for (i = 0; i < link->nclaims; i++) {
        claim = &link->claims[i];

        if (a->slot != DOI_SLOT_ALL && a->slot != claim->slot) {
            continue;
        }

        if (claim->state == DOI_CLAIM_USED) {
            used++;

        } else {
            open++;
        }
    }

    if (a->outcome == DOI_OUTCOME_USED) {
        return used != 0;
    }

    return a->slot == DOI_SLOT_ALL || used + open == 0;
}


/* action: an otherwise empty link with the actor and the reason. */

static int
doi_operator_arg(doi_str_t arg, doi_operator_arg_t *a, doi_link_t *action)
{
    doi_str_t  rest;

    if (arg.len < sizeof(doi_operator_arg_t)) {
        return 0;
    }

    memcpy(a, arg.data, sizeof(doi_operator_arg_t));

    memset(action, 0, sizeof(doi_link_t));

    rest.data = arg.data + sizeof(doi_operator_arg_t);
    rest.len = arg.len - sizeof(doi_operator_arg_t);

    return a->actor_len <= DOI_ACTOR_MAX && a->reason_len <= DOI_REASON_MAX
           && doi_str_take(&rest, a->actor_len, &action->actor)
           && doi_str_take(&rest, a->reason_len, &action->reason)
           && rest.len == 0;
}


static doi_result_t
doi_operator_done(doi_view_t *view, doi_time_t now, doi_link_t *link,
    const doi_link_t *action, doi_buf_t *out)
{
    link->actor = action->actor;
    link->reason = action->reason;

    if (doi_link_store(view, link, now) != DOI_OK) {
        return DOI_RETRY;
    }

    return doi_operator_answer(DOI_WON, link, out);
}


static doi_result_t
doi_operator_answer(doi_result_t result, const doi_link_t *link,
    doi_buf_t *out)
{
    return doi_link_encode(link, out) == DOI_OK ? result : DOI_RETRY;
}
