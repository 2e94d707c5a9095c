/*
 * Between the files of the import.
 */

#ifndef NGX_HTTP_DOI_API_IMPORT_H
#define NGX_HTTP_DOI_API_IMPORT_H

#include "ngx_http_doi_api_consent.h"
#include "../core/csv.h"


typedef enum {
    NGX_HTTP_DOI_COL_CHANNEL = 0,
    NGX_HTTP_DOI_COL_ADDRESS,
    NGX_HTTP_DOI_COL_LIST,
    NGX_HTTP_DOI_COL_STATUS,
    NGX_HTTP_DOI_COL_PERSON,
    NGX_HTTP_DOI_COL_LANG,
    NGX_HTTP_DOI_COL_DATE,
    NGX_HTTP_DOI_COL_REASON,
    NGX_HTTP_DOI_COL_WORDING,
    NGX_HTTP_DOI_COLS
} ngx_http_doi_col_e;

typedef struct {
    doi_csv_t              csv;
    ngx_pool_t            *pool;            /* of one batch                  */
    ngx_int_t              columns[NGX_HTTP_DOI_COLS];  /* -1: not there     */
    ngx_int_t              channel;         /* of rows that name none, or -1 */
    ngx_str_t              list;
    ngx_str_t              country;

    u_char                *batch;
    size_t                 batch_len;
    ngx_uint_t             n;
    uint64_t               lines[DOI_BATCH_MAX];

    u_char                *row;             /* the last one, if row_len      */
    size_t                 row_len;
    uint64_t               row_line;

    uint64_t               rows;
    uint64_t               created;
    uint64_t               changed;
    uint64_t               unchanged;
    uint64_t               refused;
    uint64_t               invalid;
    json_t                *errors;
    const char            *bad;             /* what is wrong with the header */

    unsigned               dry:1;
    unsigned               header:1;        /* was read                      */
    unsigned               eof:1;           /* all of the body has come      */
    unsigned               finished:1;      /* and is parsed                 */
} ngx_http_doi_import_t;


/* dry_run=, channel=, list=, country=.  NGX_DECLINED: go on. */
ngx_int_t ngx_http_doi_import_args(ngx_http_doi_api_t *api,
    ngx_http_doi_import_t *im);

/* Which column is what; NULL, or what is wrong. */
const char *ngx_http_doi_import_header(ngx_http_doi_import_t *im);

/* The record to im->row; NULL, or what is wrong. */
const char *ngx_http_doi_import_row(ngx_http_doi_api_t *api,
    ngx_http_doi_import_t *im);

void ngx_http_doi_import_error(ngx_http_doi_import_t *im, uint64_t line,
    const char *err);

#endif /* NGX_HTTP_DOI_API_IMPORT_H */
