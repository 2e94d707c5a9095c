/*
 * The set of pages: its files, the built-in ones and an operator's over them.
 * See pages.h; pages_check.c compiles the set, pages_render.c shows a page.
 */

#include "pages_set.h"
#include "embedded.h"

#include <stdio.h>
#include <stdlib.h>


#define DOI_FILE_MAX         1048576


static int doi_find_place(doi_pages_t *pages, const char *name,
    doi_str_t **place);
static int doi_set_lang(doi_pages_t *pages, const char *tag,
    doi_str_t content);

const doi_page_state_t  doi_page_states[DOI_PAGES] = {
    [DOI_PAGE_INVALID]     = { "invalid", "403", 403, DOI_VAR_STOP },
    [DOI_PAGE_EXPIRED]     = { "expired", "410", 410, DOI_VAR_STOP },
    [DOI_PAGE_USED]        = { "used", "410", 410, DOI_VAR_STOP },
    [DOI_PAGE_CONFIRMED]   = { "confirmed", "200", 200, DOI_VAR_GOOD },
    [DOI_PAGE_CLAIMED]     = { "claimed", "409", 409, DOI_VAR_WAIT },
    [DOI_PAGE_PENDING]     = { "pending", "409", 409, DOI_VAR_WAIT },
    [DOI_PAGE_IN_DOUBT]    = { "in_doubt", "409", 409, DOI_VAR_WAIT },
    [DOI_PAGE_REVOKED]     = { "revoked", "410", 410, DOI_VAR_STOP },
    [DOI_PAGE_UNAVAILABLE] = { "unavailable", "503", 503, DOI_VAR_WAIT },
    [DOI_PAGE_METHOD]      = { "method", "405", 405, DOI_VAR_STOP },
    [DOI_PAGE_FORBIDDEN]   = { "forbidden", "403", 403, DOI_VAR_STOP },
    [DOI_PAGE_CHECK_MAIL]  = { "check_mail", "202", 202, DOI_VAR_WAIT },
    [DOI_PAGE_CONFIRM]     = { "confirm", "200", 200, DOI_VAR_WAIT },
    [DOI_PAGE_WRONG_CODE]  = { "wrong_code", "422", 422, DOI_VAR_STOP },
    [DOI_PAGE_BOOKED]      = { "booked", "200", 200, DOI_VAR_GOOD },
    [DOI_PAGE_CANCELLED]   = { "cancelled", "200", 200, DOI_VAR_GOOD },
    [DOI_PAGE_WITHDRAWN]   = { "withdrawn", "410", 410, DOI_VAR_STOP },
    [DOI_PAGE_REFUSED]     = { "refused", "409", 409, DOI_VAR_STOP },
    [DOI_PAGE_LAPSED]      = { "lapsed", "410", 410, DOI_VAR_STOP },
    [DOI_PAGE_TAKEN]       = { "taken", "409", 409, DOI_VAR_STOP },
    [DOI_PAGE_LIMITED]     = { "limited", "429", 429, DOI_VAR_WAIT },
    [DOI_PAGE_FORM]        = { "form", "422", 422, DOI_VAR_STOP },
    [DOI_PAGE_LARGE]       = { "large", "413", 413, DOI_VAR_STOP },
    [DOI_PAGE_TYPE]        = { "type", "415", 415, DOI_VAR_STOP },
    [DOI_PAGE_SUBSCRIBE_CHECK] = { "subscribe_check", "202", 202,
                                   DOI_VAR_WAIT },
    [DOI_PAGE_SUBSCRIBED]  = { "subscribed", "200", 200, DOI_VAR_GOOD },
    [DOI_PAGE_OPT_CONFIRM] = { "opt_confirm", "200", 200, DOI_VAR_WAIT },
    [DOI_PAGE_UNSUBSCRIBE] = { "unsubscribe", "200", 200, DOI_VAR_WAIT },
    [DOI_PAGE_OPTED_OUT]   = { "opted_out", "200", 200, DOI_VAR_GOOD }
};


#define DOI_MAIL_PREFIX      "mail_"

const char *const  doi_mail_states[DOI_MAILS] = {
    [DOI_MAIL_CONFIRM]         = DOI_MAIL_PREFIX "confirm",
    [DOI_MAIL_REMIND]          = DOI_MAIL_PREFIX "remind",
    [DOI_MAIL_BOOKED]          = DOI_MAIL_PREFIX "booked",
    [DOI_MAIL_CANCELLED]       = DOI_MAIL_PREFIX "cancelled",
    [DOI_MAIL_OWNER]           = DOI_MAIL_PREFIX "owner",
    [DOI_MAIL_OWNER_CANCELLED] = DOI_MAIL_PREFIX "owner_cancelled",
    [DOI_MAIL_OWNER_DOUBT]     = DOI_MAIL_PREFIX "owner_doubt",
    [DOI_MAIL_OPT_IN]          = DOI_MAIL_PREFIX "opt_in",
    [DOI_MAIL_OPT_IN_REMIND]   = DOI_MAIL_PREFIX "opt_in_remind",
    [DOI_MAIL_SUBSCRIBED]      = DOI_MAIL_PREFIX "subscribed",
    [DOI_MAIL_OPTED_OUT]       = DOI_MAIL_PREFIX "opted_out"
};


unsigned
doi_page_status(doi_page_t page)
{
    return doi_page_states[page].status;
}


const char *
doi_page_name(doi_page_t page)
{
    return doi_page_states[page].name;
}


const char *
doi_mail_name(doi_mail_t mail)
{
    return doi_mail_states[mail] + sizeof(DOI_MAIL_PREFIX) - 1;
}


void
doi_pages_builtin(doi_pages_t *pages)
{
    char                   tag[DOI_LANG_SIZE];
    doi_str_t              content, *place;
    const doi_embedded_t  *file;

    memset(pages, 0, sizeof(doi_pages_t));

    /* the first language is the default, whatever the order of the files */

    content.data = NULL;
    content.len = 0;

    (void) doi_set_lang(pages, DOI_FALLBACK_LANG, content);

    for (file = doi_embedded; file->name != NULL; file++) {

        content.data = file->data;
        content.len = file->len;

        if (doi_find_place(pages, file->name, &place)) {
            *place = content;

        } else if (doi_pages_tag(file->name, tag)) {
            (void) doi_set_lang(pages, tag, content);
        }
    }
}


int
doi_pages_override(doi_pages_t *pages, const char *name, doi_str_t content,
    char *err, size_t errsize)
{
    int         known;
    char        tag[DOI_LANG_SIZE];
    doi_str_t  *place;

    known = doi_find_place(pages, name, &place);

    if (!known && !doi_pages_tag(name, tag)) {
        return DOI_NOT_FOUND;
    }

    if (content.len > DOI_FILE_MAX) {
        return doi_pages_refuse(err, errsize, name, 0, "is larger than 1 MB");
    }

    /* Windows editors put a byte order mark in front */

    if (content.len >= 3 && memcmp(content.data, "\xEF\xBB\xBF", 3) == 0) {
        content.data += 3;
        content.len -= 3;
    }

    doi_pages_free(pages);

    if (!known) {

        if (doi_set_lang(pages, tag, content) != DOI_OK) {
            return doi_pages_refuse(err, errsize, name, 0,
                                    "is one language too many");
        }

        return DOI_OK;
    }

    /* no style is fine, but a page has to say something */

    if (content.len == 0 && place != &pages->style) {
        return doi_pages_refuse(err, errsize, name, 0, "is empty");
    }

    *place = content;

    return DOI_OK;
}


void
doi_pages_free(doi_pages_t *pages)
{
    size_t                  i, page, mail, part;
    doi_compiled_lang_t    *lang;
    struct doi_compiled_s  *compiled;

    compiled = pages->compiled;

    if (compiled == NULL) {
        return;
    }

    for (i = 0; i < compiled->nlangs; i++) {
        lang = &compiled->langs[i];

        for (page = 0; page < DOI_PAGES; page++) {
            for (part = 0; part < DOI_PARTS; part++) {
                doi_template_free(&lang->parts[page][part]);
            }
        }

        for (mail = 0; mail < DOI_MAILS; mail++) {
            for (part = 0; part < DOI_MAIL_PARTS; part++) {
                doi_template_free(&lang->mails[mail][part]);
            }
        }

        for (mail = 0; mail < DOI_MESSAGES; mail++) {
            doi_template_free(&lang->messages[mail]);
        }

        doi_template_free(&lang->when);
    }

    free(compiled);

    pages->compiled = NULL;
}


/* Where the content of a file that is not a language's goes; 0 if nowhere. */

static int
doi_find_place(doi_pages_t *pages, const char *name, doi_str_t **place)
{
    size_t  i, len;

    *place = &pages->frame;

    if (strcmp(name, "page.html") == 0) {
        return 1;
    }

    *place = &pages->style;

    if (strcmp(name, "style.css") == 0) {
        return 1;
    }

    *place = &pages->mail_html;

    if (strcmp(name, "mail.html") == 0) {
        return 1;
    }

    *place = &pages->mail_text;

    if (strcmp(name, DOI_MAIL_TEXT) == 0) {
        return 1;
    }

    for (i = 0; i < DOI_PAGES; i++) {
        len = strlen(doi_page_states[i].name);

        *place = &pages->state[i];

        if (strncmp(name, doi_page_states[i].name, len) == 0
            && strcmp(name + len, ".html") == 0)
        {
            return 1;
        }
    }

    return 0;
}


static int
doi_set_lang(doi_pages_t *pages, const char *tag, doi_str_t content)
{
    size_t  i;

    for (i = 0; i < pages->nlangs; i++) {
        if (strcmp(pages->langs[i].tag, tag) == 0) {
            break;
        }
    }

    if (i == DOI_LANGS_MAX) {
        return DOI_ERROR;
    }

    if (i == pages->nlangs) {
        (void) snprintf(pages->langs[i].tag, DOI_LANG_SIZE, "%s", tag);
        pages->nlangs++;
    }

    pages->langs[i].texts = content;

    return DOI_OK;
}


int
doi_pages_tag(const char *name, char *tag)
{
    int     first;
    char    c;
    size_t  i, len, part;

    len = strlen(name);

    /* "mail" could be the tag of a language, but none is called that */

    if (len <= 4 || strcmp(name + len - 4, ".txt") != 0
        || strcmp(name, DOI_MAIL_TEXT) == 0)
    {
        return 0;
    }

    len -= 4;

    if (len >= DOI_LANG_SIZE) {
        return 0;
    }

    /* RFC 5646: letters, then parts of one to eight letters or digits */

    first = 1;
    part = 0;

    for (i = 0; i < len; i++) {
        c = name[i];

        if (c >= 'A' && c <= 'Z') {
            c = (char) (c | 0x20);
        }

        tag[i] = c;

        if (c == '-') {

            if (part == 0 || (first && part < 2)) {
                return 0;
            }

            first = 0;
            part = 0;
            continue;
        }

        if (!((c >= 'a' && c <= 'z') || (!first && c >= '0' && c <= '9'))
            || ++part > 8)
        {
            return 0;
        }
    }

    tag[len] = '\0';

    return part > 0 && (!first || part >= 2);
}


int
doi_pages_refuse(char *err, size_t errsize, const char *name, unsigned line,
    const char *what)
{
    if (line) {
        (void) snprintf(err, errsize, "%s:%u: %s", name, line, what);

    } else {
        (void) snprintf(err, errsize, "%s %s", name, what);
    }

    return DOI_ERROR;
}
