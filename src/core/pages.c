/*
 * The pages that visitors see.  See pages.h; pages_check.c compiles them.
 */

#include "pages_set.h"
#include "embedded.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>


#define DOI_PROBLEM_TYPE     "urn:doi:problem:"
#define DOI_FILE_MAX         1048576

/* "2026-03-14T10:32:00Z" */
#define DOI_DATE_SIZE        32


/* Strings that a page's values point to. */

typedef struct {
    char  retry_after[DOI_NUMBER_SIZE];
    char  booked_at[DOI_DATE_SIZE];
    char  day[DOI_NUMBER_SIZE];
} doi_scratch_t;


static int doi_set_lang(doi_pages_t *pages, const char *tag,
    doi_str_t content);
static void doi_page_values(const doi_pages_t *pages, doi_page_t page,
    size_t lang, const doi_page_vars_t *vars, doi_scratch_t *scratch,
    doi_str_t *values);
static void doi_out_member(doi_out_t *out, const char *before,
    doi_str_t value);


const char *const  doi_page_vars[DOI_VARS + 1] = {
    [DOI_VAR_LANG]         = "lang",
    [DOI_VAR_STATE]        = "state",
    [DOI_VAR_STATUS]       = "status",
    [DOI_VAR_ID]           = "id",
    [DOI_VAR_CONTACT]      = "contact",
    [DOI_VAR_OWNER_NAME]   = "owner.name",
    [DOI_VAR_OWNER_EMAIL]  = "owner.email",
    [DOI_VAR_OWNER_PHONE]  = "owner.phone",
    [DOI_VAR_OWNER_URL]    = "owner.url",
    [DOI_VAR_RETRY_URL]    = "retry.url",
    [DOI_VAR_RETRY_AFTER]  = "retry.after",
    [DOI_VAR_BOOKED_AT]    = "booked.at",
    [DOI_VAR_BOOKED_YEAR]  = "booked.year",
    [DOI_VAR_BOOKED_MONTH] = "booked.month",
    [DOI_VAR_BOOKED_DAY]   = "booked.day",
    [DOI_VAR_BOOKED_TIME]  = "booked.time",
    [DOI_VAR_GOOD]         = "is.good",
    [DOI_VAR_WAIT]         = "is.wait",
    [DOI_VAR_STOP]         = "is.stop",

    [DOI_VAR_STATES + DOI_PAGE_INVALID]     = "is.invalid",
    [DOI_VAR_STATES + DOI_PAGE_EXPIRED]     = "is.expired",
    [DOI_VAR_STATES + DOI_PAGE_USED]        = "is.used",
    [DOI_VAR_STATES + DOI_PAGE_CONFIRMED]   = "is.confirmed",
    [DOI_VAR_STATES + DOI_PAGE_CLAIMED]     = "is.claimed",
    [DOI_VAR_STATES + DOI_PAGE_PENDING]     = "is.pending",
    [DOI_VAR_STATES + DOI_PAGE_IN_DOUBT]    = "is.in_doubt",
    [DOI_VAR_STATES + DOI_PAGE_REVOKED]     = "is.revoked",
    [DOI_VAR_STATES + DOI_PAGE_UNAVAILABLE] = "is.unavailable",
    [DOI_VAR_STATES + DOI_PAGE_METHOD]      = "is.method",
    [DOI_VAR_STATES + DOI_PAGE_FORBIDDEN]   = "is.forbidden",

    [DOI_VARS] = NULL
};


static const struct {
    const char  *name;
    const char  *status_text;
    unsigned     status;
    doi_var_t    mood;
} doi_states[DOI_PAGES] = {
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
    [DOI_PAGE_FORBIDDEN]   = { "forbidden", "403", 403, DOI_VAR_STOP }
};


unsigned
doi_page_status(doi_page_t page)
{
    return doi_states[page].status;
}


const char *
doi_page_name(doi_page_t page)
{
    return doi_states[page].name;
}


void
doi_pages_builtin(doi_pages_t *pages)
{
    char                   tag[DOI_LANG_SIZE];
    doi_str_t              content;
    const doi_embedded_t  *file;

    memset(pages, 0, sizeof(doi_pages_t));

    /* the first language is the default, whatever the order of the files */

    content.data = NULL;
    content.len = 0;

    (void) doi_set_lang(pages, DOI_FALLBACK_LANG, content);

    for (file = doi_embedded; file->name != NULL; file++) {

        content.data = file->data;
        content.len = file->len;

        if (strcmp(file->name, "page.html") == 0) {
            pages->frame = content;

        } else if (strcmp(file->name, "style.css") == 0) {
            pages->style = content;

        } else if (doi_pages_tag(file->name, tag)) {
            (void) doi_set_lang(pages, tag, content);
        }
    }
}


int
doi_pages_override(doi_pages_t *pages, const char *name, doi_str_t content,
    char *err, size_t errsize)
{
    char      tag[DOI_LANG_SIZE];
    size_t    i, len;
    unsigned  state;

    state = DOI_PAGES;

    for (i = 0; i < DOI_PAGES; i++) {
        len = strlen(doi_states[i].name);

        if (strncmp(name, doi_states[i].name, len) == 0
            && strcmp(name + len, ".html") == 0)
        {
            state = (unsigned) i;
        }
    }

    if (state == DOI_PAGES && strcmp(name, "page.html") != 0
        && strcmp(name, "style.css") != 0 && !doi_pages_tag(name, tag))
    {
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

    if (strcmp(name, "style.css") == 0) {
        pages->style = content;
        return DOI_OK;
    }

    if (doi_pages_tag(name, tag)) {

        if (doi_set_lang(pages, tag, content) != DOI_OK) {
            return doi_pages_refuse(err, errsize, name, 0,
                                    "is one language too many");
        }

        return DOI_OK;
    }

    if (content.len == 0) {
        return doi_pages_refuse(err, errsize, name, 0, "is empty");
    }

    if (state != DOI_PAGES) {
        pages->state[state] = content;

    } else {
        pages->frame = content;
    }

    return DOI_OK;
}


void
doi_pages_free(doi_pages_t *pages)
{
    size_t                  i, page, part;
    struct doi_compiled_s  *compiled;

    compiled = pages->compiled;

    if (compiled == NULL) {
        return;
    }

    for (i = 0; i < compiled->nlangs; i++) {
        for (page = 0; page < DOI_PAGES; page++) {
            for (part = 0; part < DOI_PARTS; part++) {
                doi_template_free(&compiled->langs[i].parts[page][part]);
            }
        }
    }

    free(compiled);

    pages->compiled = NULL;
}


size_t
doi_page_html(const doi_pages_t *pages, doi_page_t page, size_t lang,
    const doi_page_vars_t *vars, doi_buf_t *out)
{
    doi_out_t      o;
    doi_str_t      values[DOI_VARS];
    doi_scratch_t  scratch;

    if (pages->compiled == NULL) {
        return 0;
    }

    if (lang >= pages->compiled->nlangs) {
        lang = 0;
    }

    doi_page_values(pages, page, lang, vars, &scratch, values);

    doi_out_init(&o, out);

    doi_template_render(&pages->compiled->langs[lang].parts[page]
                        [DOI_PART_HTML], values, &o);

    doi_out_done(&o, out);

    return o.need;
}


size_t
doi_page_json(const doi_pages_t *pages, doi_page_t page, size_t lang,
    const doi_page_vars_t *vars, doi_buf_t *out)
{
    size_t                     i;
    doi_out_t                  o;
    doi_str_t                  values[DOI_VARS], url;
    const char                *comma;
    doi_scratch_t              scratch;
    const doi_template_t      *parts;

    static const struct {
        const char  *name;
        doi_var_t    var;
    } contact[] = {
        { "\"name\":\"",  DOI_VAR_OWNER_NAME },
        { "\"email\":\"", DOI_VAR_OWNER_EMAIL },
        { "\"phone\":\"", DOI_VAR_OWNER_PHONE },
        { "\"url\":\"",   DOI_VAR_OWNER_URL }
    };

    if (pages->compiled == NULL) {
        return 0;
    }

    if (lang >= pages->compiled->nlangs) {
        lang = 0;
    }

    parts = pages->compiled->langs[lang].parts[page];

    doi_page_values(pages, page, lang, vars, &scratch, values);

    /* programs follow it, so here it is a link or nothing */

    url = values[DOI_VAR_OWNER_URL];

    if (doi_escape_empty(DOI_ESCAPE_URL, url)) {
        values[DOI_VAR_OWNER_URL].len = 0;
    }

    doi_out_init(&o, out);

    if (page == DOI_PAGE_CONFIRMED) {
        doi_out_member(&o, "{\"status\":", doi_from_text("200"));

    } else {
        doi_out_member(&o, "{\"type\":\"" DOI_PROBLEM_TYPE,
                       values[DOI_VAR_STATE]);
        doi_out_member(&o, "\",\"status\":", values[DOI_VAR_STATUS]);
    }

    doi_out_member(&o, ",\"code\":\"", values[DOI_VAR_STATE]);

    doi_out_put(&o, "\",\"title\":\"", sizeof("\",\"title\":\"") - 1);
    doi_template_render(&parts[DOI_PART_TITLE], values, &o);

    doi_out_put(&o, "\",\"detail\":\"", sizeof("\",\"detail\":\"") - 1);
    doi_template_render(&parts[DOI_PART_DETAIL], values, &o);

    doi_out_put(&o, "\"", 1);

    if (values[DOI_VAR_BOOKED_AT].len) {
        doi_out_member(&o, ",\"booked_at\":\"", values[DOI_VAR_BOOKED_AT]);
        doi_out_put(&o, "\"", 1);
    }

    comma = ",\"contact\":{";

    for (i = 0; i < sizeof(contact) / sizeof(contact[0]); i++) {

        if (values[contact[i].var].len == 0) {
            continue;
        }

        doi_out_put(&o, comma, strlen(comma));
        doi_out_member(&o, contact[i].name, values[contact[i].var]);
        doi_out_put(&o, "\"", 1);

        comma = ",";
    }

    if (comma[1] == '\0') {
        doi_out_put(&o, "}", 1);
    }

    if (values[DOI_VAR_ID].len) {
        doi_out_member(&o, ",\"reference\":\"", values[DOI_VAR_ID]);
        doi_out_put(&o, "\"", 1);
    }

    if (values[DOI_VAR_RETRY_AFTER].len) {
        doi_out_member(&o, ",\"retry_after\":", values[DOI_VAR_RETRY_AFTER]);
    }

    doi_out_put(&o, "}\n", 2);

    doi_out_done(&o, out);

    return o.need;
}


static void
doi_out_member(doi_out_t *out, const char *before, doi_str_t value)
{
    doi_out_put(out, before, strlen(before));
    doi_out_escape(out, DOI_ESCAPE_JSON, value);
}


static void
doi_page_values(const doi_pages_t *pages, doi_page_t page, size_t lang,
    const doi_page_vars_t *vars, doi_scratch_t *scratch, doi_str_t *values)
{
    time_t     when;
    struct tm  tm;
    doi_str_t  one = doi_str("1");

    memset(values, 0, DOI_VARS * sizeof(doi_str_t));

    values[DOI_VAR_LANG] = doi_from_text(pages->langs[lang].tag);
    values[DOI_VAR_STATE] = doi_from_text(doi_states[page].name);
    values[DOI_VAR_STATUS] = doi_from_text(doi_states[page].status_text);
    values[DOI_VAR_ID] = vars->id;
    values[DOI_VAR_OWNER_NAME] = vars->owner_name;
    values[DOI_VAR_OWNER_EMAIL] = vars->owner_email;
    values[DOI_VAR_OWNER_PHONE] = vars->owner_phone;
    values[DOI_VAR_OWNER_URL] = vars->owner_url;
    values[DOI_VAR_RETRY_URL] = vars->retry_url;

    values[doi_states[page].mood] = one;
    values[DOI_VAR_STATES + page] = one;

    if (vars->owner_name.len || vars->owner_email.len || vars->owner_phone.len
        || vars->owner_url.len)
    {
        values[DOI_VAR_CONTACT] = one;
    }

    if (vars->retry_after) {
        (void) snprintf(scratch->retry_after, DOI_NUMBER_SIZE, "%u",
                        vars->retry_after);
        values[DOI_VAR_RETRY_AFTER] = doi_from_text(scratch->retry_after);
    }

    if (vars->when == 0 || page != DOI_PAGE_CONFIRMED) {
        return;
    }

    when = (time_t) vars->when;

    if (gmtime_r(&when, &tm) == NULL
        || strftime(scratch->booked_at, DOI_DATE_SIZE, "%Y-%m-%dT%H:%M:%SZ",
                    &tm) == 0)
    {
        return;
    }

    (void) snprintf(scratch->day, DOI_NUMBER_SIZE, "%d", tm.tm_mday);

    values[DOI_VAR_BOOKED_AT] = doi_from_text(scratch->booked_at);
    values[DOI_VAR_BOOKED_DAY] = doi_from_text(scratch->day);
    values[DOI_VAR_BOOKED_MONTH] =
                            pages->compiled->langs[lang].months[tm.tm_mon];

    /* "2026" and "10:32" are parts of the whole: the format ends in 2106 */

    values[DOI_VAR_BOOKED_YEAR].data = (uint8_t *) scratch->booked_at;
    values[DOI_VAR_BOOKED_YEAR].len = 4;
    values[DOI_VAR_BOOKED_TIME].data = (uint8_t *) scratch->booked_at + 11;
    values[DOI_VAR_BOOKED_TIME].len = 5;
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

    if (len <= 4 || strcmp(name + len - 4, ".txt") != 0) {
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
