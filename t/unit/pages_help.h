/*
 * What tests of pages and mails share.
 */

#ifndef PAGES_HELP_H
#define PAGES_HELP_H

#include "tap.h"
#include "pages.h"

#include <jansson.h>
#include <stdlib.h>


#define PAGE_SIZE_MAX  65536


static uint8_t  space[PAGE_SIZE_MAX];


static inline doi_str_t
str(const char *text)
{
    doi_str_t  s;

    s.data = (const uint8_t *) text;
    s.len = strlen(text);

    return s;
}


static inline doi_page_vars_t
full_vars(void)
{
    doi_page_vars_t  vars;

    memset(&vars, 0, sizeof(vars));

    vars.owner_name = str("Dr. \"<M\xC3\xBCller>\"");
    vars.owner_email = str("a+b@example.org");
    vars.owner_phone = str("+49 (0)30 123");
    vars.owner_url = str("https://example.org/?a=1&b=2");
    vars.id = str("aVZ0kXq3TzE9pQ2m");
    vars.retry_url = str("/b/token");
    vars.when = 1773484320;             /* 2026-03-14 10:32:00 UTC */
    vars.retry_after = 60;

    vars.summary = str("Check-up <&> \"more\"");
    vars.slot = str("2026-11-24T09:00-09:30");
    vars.zone = str("Europe/Berlin");
    vars.name = str("Ann <b>O'Neil</b>");
    vars.email = str("ann+x@example.net");
    vars.url = str("https://example.org/c/tok?a=1&b=2");
    vars.start_url = str("/book?a=1&b=2");
    vars.problem = str("problem.email");
    vars.field = str("e<mail");
    vars.code = 48213;
    vars.tries = 4;
    vars.expires = 1795600000;          /* 2026-11-25 09:46:40 */
    vars.expires_zone = str("Europe/Berlin");

    return vars;
}


static inline doi_page_vars_t
no_vars(void)
{
    doi_page_vars_t  vars;

    memset(&vars, 0, sizeof(vars));
    vars.code = UINT32_MAX;

    return vars;
}


static inline const char *
html(const doi_pages_t *pages, doi_page_t page, size_t lang,
    const doi_page_vars_t *vars)
{
    doi_buf_t  buf = { space, 0, sizeof(space) - 1 };

    (void) doi_page_html(pages, page, lang, vars, &buf);
    space[buf.len] = '\0';

    return (const char *) space;
}


static inline const char *
json(const doi_pages_t *pages, doi_page_t page, size_t lang,
    const doi_page_vars_t *vars)
{
    doi_buf_t  buf = { space, 0, sizeof(space) - 1 };

    (void) doi_page_json(pages, page, lang, vars, &buf);
    space[buf.len] = '\0';

    return (const char *) space;
}


static inline int
has(const char *page, const char *text)
{
    return strstr(page, text) != NULL;
}


static inline const char *
member(json_t *root, const char *name)
{
    const char  *value;

    value = json_string_value(json_object_get(root, name));

    return value != NULL ? value : "";
}


/* Puts one file over the built-in set; "" or what was said. */

static inline const char *
override(doi_pages_t *pages, const char *name, const char *text)
{
    int          rc;
    static char  err[256];

    err[0] = '\0';

    doi_pages_builtin(pages);

    rc = doi_pages_override(pages, name, str(text), err, sizeof(err));

    if (rc == DOI_NOT_FOUND) {
        return "not found";
    }

    if (rc == DOI_OK) {
        rc = doi_pages_check(pages, err, sizeof(err));
    }

    return rc == DOI_OK ? "" : err[0] ? err : "no message";
}

#endif /* PAGES_HELP_H */
