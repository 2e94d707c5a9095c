/*
 * LANG.txt: the texts of one language.
 *
 *   # comment
 *   used.title = This link has already been used
 *
 * One text to a line; white space around key and value is dropped.  A key is
 * of a-z, 0-9, "_" and ".".  A text may hold {{variables}} and sections.
 */

#ifndef DOI_TEXTS_H
#define DOI_TEXTS_H

#include "template.h"


typedef struct {
    doi_str_t  key;             /* both point into the content */
    doi_str_t  value;
    unsigned   line;
    int        used;            /* for the caller */
} doi_text_t;

typedef struct {
    doi_text_t  *list;          /* from malloc */
    size_t       n;
} doi_texts_t;


/* On DOI_ERROR err is filled and texts needs no freeing. */
int doi_texts_parse(doi_texts_t *texts, doi_str_t content,
    doi_template_error_t *err);

void doi_texts_free(doi_texts_t *texts);

/* Finds "scope.key", or "key" if scope is NULL; NULL if there is none. */
doi_text_t *doi_texts_find(const doi_texts_t *texts, const char *scope,
    doi_str_t key);

#endif /* DOI_TEXTS_H */
