/*
 * Writing bytes of unknown origin to where they cannot do harm: HTML, URIs,
 * phone numbers, JSON, plain text.  Whatever comes in, valid UTF-8 goes out: a
 * sequence that is not UTF-8 becomes U+FFFD, one for each maximal subpart
 * (Unicode 16, chapter 3.9), so that no byte of markup is ever swallowed by a
 * broken lead byte before it.
 */

#ifndef DOI_ESCAPE_H
#define DOI_ESCAPE_H

#include "doi.h"


/*
 * Counts everything and writes what fits: need goes on growing after pos has
 * met end, so one pass tells the size for the next.
 */

typedef struct {
    uint8_t  *pos;
    uint8_t  *end;
    size_t    need;
} doi_out_t;


typedef enum {
    DOI_ESCAPE_HTML = 0,    /* text, and attribute values in quotes          */
    DOI_ESCAPE_URI,         /* part of a query, or the address of a mailto:  */
    DOI_ESCAPE_URL,         /* whole link: http:, https: or a /path, or ""   */
    DOI_ESCAPE_SHORT,       /* link for reading: no scheme, no last slash    */
    DOI_ESCAPE_TEL,         /* digits, and one plus sign in front            */
    DOI_ESCAPE_JSON,        /* inside a JSON string                          */
    DOI_ESCAPE_TEXT,        /* plain text, one line: controls become blanks  */
    DOI_ESCAPE_RAW          /* as it is: for bytes of our own                */
} doi_escape_t;


/* Appends at buf->data + buf->len; doi_out_done() moves buf->len. */
void doi_out_init(doi_out_t *out, const doi_buf_t *buf);
void doi_out_done(const doi_out_t *out, doi_buf_t *buf);

void doi_out_put(doi_out_t *out, const void *data, size_t len);
void doi_out_escape(doi_out_t *out, doi_escape_t how, doi_str_t value);

/* 1 if nothing would be written. */
int doi_escape_empty(doi_escape_t how, doi_str_t value);

/*
 * Length of the well-formed UTF-8 sequence at p < end, 1 to 4.  Otherwise 0,
 * and *bad is the number of bytes that one U+FFFD stands for.
 */
size_t doi_utf8_next(const uint8_t *p, const uint8_t *end, size_t *bad);

/* Offset of the first byte that is not UTF-8, or s.len. */
size_t doi_utf8_check(doi_str_t s);

#endif /* DOI_ESCAPE_H */
