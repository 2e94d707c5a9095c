/*
 * Encodings of MIME (RFC 2045 to 2047): text of unknown origin in, lines of
 * ASCII out.  Control characters become a blank, bytes that are not UTF-8
 * U+FFFD.
 */

#ifndef DOI_MIME_H
#define DOI_MIME_H

#include "../core/escape.h"


#define DOI_MIME_LINE  76       /* RFC 2047, 2, has less than RFC 5322's 78 */


typedef struct {
    doi_out_t  out;
    size_t     col;             /* bytes on this line */
} doi_mime_t;


/* Bytes of our own, without line ends. */
void doi_mime_put(doi_mime_t *mime, const void *data, size_t len);
void doi_mime_puts(doi_mime_t *mime, const char *text);
void doi_mime_crlf(doi_mime_t *mime);

/* A blank, on a new line if len bytes more would not fit on this one. */
void doi_mime_fold(doi_mime_t *mime, size_t len);

/* After the colon of a header: a display name; all of an unstructured one. */
void doi_mime_name(doi_mime_t *mime, doi_str_t name);
void doi_mime_text(doi_mime_t *mime, doi_str_t text);

/* 1 if nothing could be seen of it. */
int doi_mime_blank(doi_str_t text);

/* A body.  Quoted-printable does not end the last line if text does not. */
void doi_mime_qp(doi_mime_t *mime, doi_str_t text);
void doi_mime_base64(doi_mime_t *mime, doi_str_t data);

#endif /* DOI_MIME_H */
