/*
 * What ledger_verify.c (chains and heads) and ledger_epochs.c (epochs and what
 * they do not cover) share.
 */

#ifndef DOI_LEDGER_VERIFY_H
#define DOI_LEDGER_VERIFY_H

#include "consent_ops.h"


#define DOI_STAGE_CHAINS    0
#define DOI_STAGE_HEADS     1
#define DOI_STAGE_EPOCHS    2
#define DOI_STAGE_UNSEALED  3


typedef struct {
    doi_view_t               *view;
    const doi_ledger_keys_t  *keys;
    doi_verify_t             *v;
    uint32_t                  left;         /* rows                          */
    uint8_t                   wording[DOI_WORDING_ID];  /* that is well      */
    int                       failed;       /* the driver                    */
} doi_check_t;


/* One stage, or a part of it; DOI_OK or DOI_ERROR. */
int doi_check_epochs(doi_check_t *c);
int doi_check_unsealed(doi_check_t *c);

/* The next stage, from the start of its table. */
void doi_check_stage(doi_verify_t *v, unsigned stage);

/* DOI_OK: to the end of the table; DOI_NOT_FOUND: row ended it; DOI_ERROR. */
int doi_check_scan(doi_check_t *c, doi_table_t table, doi_str_t from,
    doi_scan_pt row);

/* As get of the view; a failure is noted. */
int doi_check_get(doi_check_t *c, doi_table_t table, const uint8_t *bytes,
    size_t len, doi_str_t *value);

/* The entry that a head names.  For a row function: its result. */
int doi_check_named(doi_check_t *c, const uint8_t *contact, uint32_t seq,
    const uint8_t *mac);

/* contact NULL: none in particular. */
void doi_problem(doi_verify_t *v, const uint8_t *contact, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif /* DOI_LEDGER_VERIFY_H */
