/*
 * What form.c and form_multipart.c share.
 */

#ifndef DOI_FORM_INTERNAL_H
#define DOI_FORM_INTERNAL_H

#include "form.h"


#define doi_form_blank(c)   ((c) == ' ' || (c) == '\t')


/* DOI_ERROR and *err if there are DOI_FORM_FIELDS of them. */
int doi_form_add(doi_form_t *form, doi_str_t name, doi_str_t value, int file,
    const char **err);

/* Lower case without regard to a locale; text is lower case. */
int doi_form_same(doi_str_t s, const char *text);

/* Without spaces and tabs at both ends. */
doi_str_t doi_form_trim(doi_str_t s);

int doi_form_hex(uint8_t c);

/* As doi_form_parse, of DOI_FORM_MULTIPART. */
int doi_form_multipart(doi_str_t content_type, doi_str_t body,
    uint8_t *scratch, doi_form_t *form, const char **err);

#endif /* DOI_FORM_INTERNAL_H */
