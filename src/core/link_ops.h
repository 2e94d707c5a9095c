/*
 * What the transactions on links share among themselves; everybody else gets
 * them from doi_op_function (link.h).
 *
 *   link_ops.c     CLAIM, SETTLE, READ: what a visitor causes
 *   link_admin.c   MINT, REVOKE, RESOLVE: what an operator does
 *   link_sweep.c   SWEEP: what time does
 */

#ifndef DOI_LINK_OPS_H
#define DOI_LINK_OPS_H

#include "record.h"


doi_result_t doi_op_mint(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out);
doi_result_t doi_op_revoke(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out);
doi_result_t doi_op_resolve(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out);
doi_result_t doi_op_sweep(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out);

/* Appends; DOI_ERROR if it does not fit. */
int doi_answer(doi_buf_t *out, const void *data, size_t len);

/* The functions below return DOI_OK or DOI_ERROR. */

/*
 * The row of DOI_TABLE_OPEN that an unsettled claim has: at its deadline, or
 * at 0 once it is in doubt for good.  del does nothing for a used claim.
 */
void doi_claim_row(const doi_link_t *link, const doi_claim_t *claim,
    uint8_t key[DOI_OPEN_KEY_SIZE]);
int doi_claim_row_put(doi_view_t *view, const doi_link_t *link,
    const doi_claim_t *claim);
int doi_claim_row_del(doi_view_t *view, const doi_link_t *link,
    const doi_claim_t *claim);

/* Settle a claim, with its row; removing shifts those that follow it. */
int doi_claim_used(doi_view_t *view, const doi_link_t *link,
    doi_claim_t *claim, doi_time_t now);
int doi_claim_doubt(doi_view_t *view, const doi_link_t *link,
    doi_claim_t *claim, doi_time_t now);
int doi_claim_remove(doi_view_t *view, doi_link_t *link, doi_claim_t *claim);

/* Removes the claims that are released by age; adds to *n (may be NULL). */
int doi_link_release_aged(doi_view_t *view, doi_link_t *link, doi_time_t now,
    uint32_t *n);

/* Writes the record. */
int doi_link_store(doi_view_t *view, doi_link_t *link, doi_time_t now);

/* The same, but a record that says no more than none would is deleted. */
int doi_link_store_or_forget(doi_view_t *view, doi_link_t *link,
    doi_time_t now);

#endif /* DOI_LINK_OPS_H */
