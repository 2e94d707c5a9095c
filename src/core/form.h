/*
 * Fields of a submitted form: application/x-www-form-urlencoded (WHATWG URL,
 * section 5.1) and multipart/form-data (RFC 7578).  JSON bodies are read by
 * src/http, with a library.
 */

#ifndef DOI_FORM_H
#define DOI_FORM_H

#include "doi.h"


#define DOI_FORM_FIELDS     512     /* more fields than this are an error   */

typedef enum {
    DOI_FORM_UNKNOWN = 0,           /* or no Content-Type at all             */
    DOI_FORM_URLENCODED,
    DOI_FORM_MULTIPART,
    DOI_FORM_JSON                   /* application/json, or a +json type     */
} doi_form_type_t;

typedef struct {
    doi_str_t  name;                /* decoded                               */
    doi_str_t  value;
    int        file;                /* multipart part with a filename        */
} doi_field_t;

typedef struct {
    size_t       n;
    doi_field_t  fields[DOI_FORM_FIELDS];
} doi_form_t;


/* By the media type of a Content-Type value; parameters do not matter. */
doi_form_type_t doi_form_type(doi_str_t content_type);

/*
 * Splits body.  Names and values are decoded into scratch, which has room for
 * body.len bytes and has to live as long as form; multipart values may point
 * into body.  Any bytes may be in values: what they may be is for whoever
 * uses them to say.  On DOI_ERROR *err is a static text that says what is
 * wrong: a broken percent sign, too many fields, no boundary, a part without a
 * name, a body that ends before the last boundary.
 */
int doi_form_parse(doi_form_type_t type, doi_str_t content_type,
    doi_str_t body, uint8_t *scratch, doi_form_t *form, const char **err);

/* DOI_OK, DOI_NOT_FOUND, or DOI_ERROR if the field is there more than once. */
int doi_form_get(const doi_form_t *form, doi_str_t name, doi_str_t *value);


/*
 * A value that is to be shown, mailed or compared: DOI_ERROR if it is not
 * UTF-8 or holds a control character (C0, DEL, C1, U+2028, U+2029) or a
 * bidirectional override (U+202A to U+202E, U+2066 to U+2069).  *value loses
 * white space at both ends.  *err is a static text, as "holds a control
 * character".
 */
int doi_field_clean(doi_str_t *value, size_t max, const char **err);

#endif /* DOI_FORM_H */
