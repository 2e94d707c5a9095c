/*
 * Durable limits: at most count events of one key in any period of that many
 * seconds, and of these at most burst within one minute.  Exact: the times of
 * the last events are kept.
 *
 * Row of DOI_TABLE_LIMITS, key: the 16 bytes of doi_limit_t.key
 *
 *   offset  size  field
 *   0       4     period, seconds (big-endian, as all numbers)
 *   4       4n    times of the last n events, ascending
 */

#ifndef DOI_LIMIT_H
#define DOI_LIMIT_H

#include "view.h"


#define DOI_LIMIT_COUNT_MAX     120     /* events per period                 */
#define DOI_LIMIT_PERIOD_MAX    2592000 /* seconds: 30 days                  */
#define DOI_LIMITS_MAX          16      /* limits that one operation checks  */
#define DOI_LIMIT_KEY_SIZE      16

/* Fixed width, without holes: travels between processes. */

typedef struct {
    uint8_t   key[DOI_LIMIT_KEY_SIZE];  /* see doi_limit_key                 */
    uint32_t  period;
    uint16_t  count;                    /* 1 .. DOI_LIMIT_COUNT_MAX          */
    uint16_t  burst;                    /* 1 .. count                        */
} doi_limit_t;


/*
 * "1/15m", "5/d", "60/h", "10/2h": count / [number] unit, unit s, m, h or d.
 * DOI_ERROR: *err is a static text.
 */
int doi_limit_parse(doi_str_t rate, uint16_t *count, uint32_t *period,
    const char **err);

/*
 * First 16 bytes of SHA-256(kind || 0 || count || period || value): name of
 * the limit ("recipient"), its figures, and what is counted, as an address.
 */
void doi_limit_key(const char *kind, doi_str_t value, doi_limit_t *limit);

/*
 * Within a transaction: DOI_OK if all of them allow one more event, which then
 * is counted for each.  DOI_NOT_FOUND if one does not: nothing is counted, and
 * *retry_after gets the seconds until all of them would.  DOI_ERROR: driver.
 */
int doi_limit_take(doi_view_t *view, doi_time_t now, const doi_limit_t *limits,
    size_t n, uint32_t *retry_after);

/* Deletes rows whose events are all out of their period, looking at no more
   than limit rows beginning at *from (16 bytes); *from is moved on, to zeros
   at the end of the table.  Adds to *dropped. */
int doi_limit_sweep(doi_view_t *view, doi_time_t mark, uint32_t limit,
    uint8_t from[DOI_LIMIT_KEY_SIZE], uint32_t *dropped);

#endif /* DOI_LIMIT_H */
