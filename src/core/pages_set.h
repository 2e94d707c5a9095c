/*
 * What pages.c, which renders, and pages_check.c, which compiles, share.
 * Nobody else includes this.
 */

#ifndef DOI_PAGES_SET_H
#define DOI_PAGES_SET_H

#include "pages.h"
#include "template.h"

#include <string.h>


#define DOI_FALLBACK_LANG    "en"
#define DOI_MONTHS           12
#define DOI_NUMBER_SIZE      16


/* What templates may name, and the same as indices of values. */

typedef enum {
    DOI_VAR_LANG = 0,
    DOI_VAR_STATE,
    DOI_VAR_STATUS,
    DOI_VAR_ID,
    DOI_VAR_CONTACT,
    DOI_VAR_OWNER_NAME,
    DOI_VAR_OWNER_EMAIL,
    DOI_VAR_OWNER_PHONE,
    DOI_VAR_OWNER_URL,
    DOI_VAR_RETRY_URL,
    DOI_VAR_RETRY_AFTER,
    DOI_VAR_BOOKED_AT,
    DOI_VAR_BOOKED_YEAR,
    DOI_VAR_BOOKED_MONTH,
    DOI_VAR_BOOKED_DAY,
    DOI_VAR_BOOKED_TIME,
    DOI_VAR_GOOD,
    DOI_VAR_WAIT,
    DOI_VAR_STOP,
    DOI_VAR_STATES,
    DOI_VARS = DOI_VAR_STATES + DOI_PAGES
} doi_var_t;

extern const char *const  doi_page_vars[DOI_VARS + 1];


/* The parts of a compiled page; html comes from a file, the others serve
   problem+json. */

typedef enum {
    DOI_PART_HTML = 0,
    DOI_PART_TITLE,
    DOI_PART_DETAIL,
    DOI_PARTS
} doi_part_t;

typedef struct {
    doi_template_t  parts[DOI_PAGES][DOI_PARTS];
    doi_str_t       months[DOI_MONTHS];
} doi_compiled_lang_t;

struct doi_compiled_s {
    size_t               nlangs;
    doi_compiled_lang_t  langs[];
};


/* "pt-BR.txt" to "pt-br"; 0 if it is not the name of a language's file. */
int doi_pages_tag(const char *name, char *tag);

/* Writes "name:line: what", or without the line if it is 0; DOI_ERROR. */
int doi_pages_refuse(char *err, size_t errsize, const char *name,
    unsigned line, const char *what);


static inline doi_str_t
doi_from_text(const char *text)
{
    doi_str_t  s;

    s.data = (const uint8_t *) text;
    s.len = strlen(text);

    return s;
}

#endif /* DOI_PAGES_SET_H */
