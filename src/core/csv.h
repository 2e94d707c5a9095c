/*
 * CSV (RFC 4180), streaming: bytes in any pieces, one record at a time out.
 */

#ifndef DOI_CSV_H
#define DOI_CSV_H

#include "doi.h"


#define DOI_CSV_FIELDS  64
#define DOI_CSV_RECORD  16384       /* bytes of one record, unquoted */

typedef struct {
    size_t     nfields;
    doi_str_t  field[DOI_CSV_FIELDS];   /* in buf, until the next feed       */
    uint64_t   line;                    /* of the record's first byte, from 1 */

    /* the parser's own */
    uint8_t    buf[DOI_CSV_RECORD];
    size_t     len;
    size_t     start[DOI_CSV_FIELDS];
    uint64_t   lines;
    unsigned   state;
    unsigned   bom;
} doi_csv_t;

void doi_csv_init(doi_csv_t *csv);

/*
 * Takes bytes from *pos on.  DOI_OK: a record is complete, *pos stands behind
 * it; DOI_NOT_FOUND: all bytes are taken, more are needed; DOI_ERROR: *err is a
 * static text, fit for "The record ..." (a quote in the middle of a field, text
 * after a closing quote, record too long, too many fields, not UTF-8, NUL),
 * line is that of the record; feeding may go on, with the next record.  A BOM
 * at the start is skipped; CRLF, LF and CR end records; empty lines are
 * skipped.  finish takes what is left without a line end: DOI_OK, DOI_ERROR, or
 * DOI_NOT_FOUND if there is nothing.
 */
int doi_csv_feed(doi_csv_t *csv, const uint8_t **pos, const uint8_t *end,
    const char **err);
int doi_csv_finish(doi_csv_t *csv, const char **err);

/*
 * Appends a field, quoted if it has to be; one that a spreadsheet would take
 * for a formula (first byte =, +, -, @, TAB, CR, LF, also after blanks or in
 * full width) gets an apostrophe in front, telephone numbers too:
 * doi_csv_unsafe takes it away.  DOI_ERROR: there is no room.
 */
int doi_csv_put(doi_buf_t *out, doi_str_t field);

/* Without the apostrophe that doi_csv_put has put in front. */
doi_str_t doi_csv_unsafe(doi_str_t field);

#endif /* DOI_CSV_H */
