/*
 * Templates without logic, in the spirit of Mustache.
 *
 *   {{name}}              value, escaped for HTML text and quoted attributes
 *   {{name|filter}}       value, escaped for where it stands: html, uri, url,
 *                         short, tel
 *   {{t.key}}             text of the visitor's language; it may itself hold
 *                         {{name}} and sections, which are expanded once
 *   {{style|css}}         style sheet, as it is
 *   {{#name}}...{{/name}} shown if the value is not empty
 *   {{^name}}...{{/name}} shown if it is; both take a filter: {{#name|url}}
 *   {{! comment }}
 *
 * A line that holds only a section tag or a comment leaves no trace.
 *
 * Compiling resolves names, texts and nesting, so all mistakes are found then.
 * What is left is a list of operations that point into the sources: rendering
 * allocates nothing, cannot fail, and costs about as much as copying the page.
 */

#ifndef DOI_TEMPLATE_H
#define DOI_TEMPLATE_H

#include "escape.h"


#define DOI_TEMPLATE_DEPTH  16          /* of sections */


typedef struct doi_template_op_s  doi_template_op_t;

typedef struct {
    doi_template_op_t  *ops;            /* from malloc */
    size_t              nops;
    size_t              size;
} doi_template_t;


typedef struct {
    unsigned  line;                     /* counted from 1 */
    char      text[160];
} doi_template_error_t;


typedef struct {
    /* Names, ended by NULL; index i is values[i] in doi_template_render(). */
    const char *const  *vars;

    /*
     * Finds the text {{t.key}}: DOI_OK; DOI_NOT_FOUND if the key is known but
     * has no text here; DOI_ERROR if it is unknown.  NULL: the source is
     * itself a text, and may have neither texts nor filters.
     */
    int               (*text)(void *ctx, doi_str_t key, doi_str_t *text);
    void               *ctx;

    doi_str_t           style;
    doi_escape_t        escape;         /* for {{name}} without a filter */
} doi_template_env_t;


/*
 * Compiles source, which has to outlive t, like the texts and the style.  On
 * DOI_ERROR err is filled and t needs no freeing.
 */
int doi_template_compile(doi_template_t *t, const doi_template_env_t *env,
    doi_str_t source, doi_template_error_t *err);

void doi_template_free(doi_template_t *t);

void doi_template_render(const doi_template_t *t, const doi_str_t *values,
    doi_out_t *out);

#endif /* DOI_TEMPLATE_H */
