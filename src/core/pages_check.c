/*
 * Checking and compiling a set of pages.  See pages.h.
 *
 * Every page and mail is compiled once for each language, with the texts put
 * in, so that rendering one is a walk over some two hundred operations.  These
 * point into the files: a compiled page costs a few kilobytes.
 */

#include "pages_set.h"
#include "embedded.h"
#include "texts.h"

#include <stdio.h>
#include <stdlib.h>


#define DOI_LAYERS_MAX       32

/* The text that puts a moment into words. */
#define DOI_WHEN             "when"

#define DOI_MESSAGE_PREFIX   "message."


/* Texts of a file: the set's own or a built-in one. */

typedef struct {
    char         tag[DOI_LANG_SIZE];
    doi_texts_t  texts;
    int          builtin;
} doi_source_t;


/* What doi_pages_check() works with. */

typedef struct {
    doi_pages_t   *pages;
    doi_source_t  *sources;
    size_t         nsources;

    doi_texts_t   *layers[DOI_LAYERS_MAX];  /* of the language, best first */
    size_t         nlayers;
    const char    *state;                   /* being compiled, or NULL */
    int            mail;                    /* it is a mail            */

    char          *err;
    size_t         errsize;
} doi_check_t;


static int doi_check_texts(doi_check_t *check);
static int doi_check_unused(doi_check_t *check);
static int doi_check_compile(doi_check_t *check);
static int doi_check_page(doi_check_t *check, doi_compiled_lang_t *lang,
    doi_page_t page);
static int doi_check_mail(doi_check_t *check, doi_compiled_lang_t *lang,
    doi_mail_t mail);
static int doi_check_part(doi_check_t *check, doi_template_t *t,
    const char *name, doi_str_t source, doi_escape_t escape);
static int doi_check_when(doi_check_t *check, doi_compiled_lang_t *lang);
static int doi_check_words(doi_check_t *check, const char *prefix,
    doi_str_t *words, int n);
static int doi_check_messages(doi_check_t *check, doi_compiled_lang_t *lang);
static int doi_check_problems(doi_check_t *check, doi_compiled_lang_t *lang);
static int doi_add_source(doi_check_t *check, const char *tag,
    doi_str_t content, int builtin);
static void doi_add_layers(doi_check_t *check, const char *tag);
static void doi_find_layers(doi_check_t *check, const char *tag);
static int doi_find_text(void *ctx, doi_str_t key, doi_str_t *text);
static const char *const *doi_text_vars(doi_str_t key);
static int doi_known_text(const doi_check_t *check, doi_str_t key);


int
doi_pages_check(doi_pages_t *pages, char *err, size_t errsize)
{
    int          rc;
    size_t       i;
    doi_check_t  check;

    doi_pages_free(pages);

    if (doi_pages_check_files(pages, err, errsize) != DOI_OK) {
        return DOI_ERROR;
    }

    memset(&check, 0, sizeof(doi_check_t));

    check.pages = pages;
    check.err = err;
    check.errsize = errsize;

    rc = doi_check_texts(&check);

    if (rc == DOI_OK) {
        rc = doi_check_compile(&check);
    }

    if (rc == DOI_OK) {
        rc = doi_check_unused(&check);
    }

    for (i = 0; i < check.nsources; i++) {
        doi_texts_free(&check.sources[i].texts);
    }

    free(check.sources);

    if (rc != DOI_OK) {
        doi_pages_free(pages);
        return DOI_ERROR;
    }

    return DOI_OK;
}


/* Reads the texts of the set and the built-in ones behind them. */

static int
doi_check_texts(doi_check_t *check)
{
    char                   tag[DOI_LANG_SIZE];
    size_t                 i, n;
    doi_str_t              content;
    doi_pages_t           *pages;
    const doi_embedded_t  *file;

    pages = check->pages;
    n = pages->nlangs;

    for (file = doi_embedded; file->name != NULL; file++) {
        n++;
    }

    check->sources = calloc(n, sizeof(doi_source_t));

    if (check->sources == NULL) {
        return doi_pages_refuse(check->err, check->errsize, "pages", 0,
                                "out of memory");
    }

    for (i = 0; i < pages->nlangs; i++) {
        if (doi_add_source(check, pages->langs[i].tag, pages->langs[i].texts,
                           0)
            != DOI_OK)
        {
            return DOI_ERROR;
        }
    }

    for (file = doi_embedded; file->name != NULL; file++) {

        content.data = file->data;
        content.len = file->len;

        if (doi_pages_tag(file->name, tag)
            && doi_add_source(check, tag, content, 1) != DOI_OK)
        {
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


static int
doi_add_source(doi_check_t *check, const char *tag, doi_str_t content,
    int builtin)
{
    char                   name[DOI_FILE_NAME_SIZE];
    size_t                 i;
    doi_source_t          *source;
    doi_template_t         template;
    doi_template_env_t     env;
    doi_template_error_t   err;

    (void) snprintf(name, sizeof(name), "%s.txt", tag);

    source = &check->sources[check->nsources];

    if (doi_texts_parse(&source->texts, content, &err) != DOI_OK) {
        return doi_pages_refuse(check->err, check->errsize, name, err.line,
                                err.text);
    }

    (void) snprintf(source->tag, DOI_LANG_SIZE, "%s", tag);
    source->builtin = builtin;

    check->nsources++;

    /* each text by itself, so that a mistake is reported where it is */

    memset(&env, 0, sizeof(doi_template_env_t));

    for (i = 0; i < source->texts.n; i++) {

        env.vars = doi_text_vars(source->texts.list[i].key);

        if (doi_template_compile(&template, &env, source->texts.list[i].value,
                                 &err)
            != DOI_OK)
        {
            return doi_pages_refuse(check->err, check->errsize, name,
                                    source->texts.list[i].line, err.text);
        }

        doi_template_free(&template);
    }

    return DOI_OK;
}


static int
doi_check_compile(doi_check_t *check)
{
    size_t                  i;
    unsigned                page, mail;
    doi_pages_t            *pages;
    doi_compiled_lang_t    *lang;
    struct doi_compiled_s  *compiled;

    pages = check->pages;

    compiled = calloc(1, sizeof(struct doi_compiled_s)
                         + pages->nlangs * sizeof(doi_compiled_lang_t));

    if (compiled == NULL) {
        return doi_pages_refuse(check->err, check->errsize, "pages", 0,
                                "out of memory");
    }

    compiled->nlangs = pages->nlangs;
    pages->compiled = compiled;

    for (i = 0; i < pages->nlangs; i++) {

        lang = &compiled->langs[i];

        doi_find_layers(check, pages->langs[i].tag);

        for (page = 0; page < DOI_PAGES; page++) {
            if (doi_check_page(check, lang, (doi_page_t) page) != DOI_OK) {
                return DOI_ERROR;
            }
        }

        for (mail = 0; mail < DOI_MAILS; mail++) {
            if (doi_check_mail(check, lang, (doi_mail_t) mail) != DOI_OK) {
                return DOI_ERROR;
            }
        }

        check->state = NULL;
        check->mail = 0;

        if (doi_check_when(check, lang) != DOI_OK
            || doi_check_words(check, "month", lang->months, DOI_MONTHS)
               != DOI_OK
            || doi_check_words(check, "weekday", lang->weekdays, DOI_WEEKDAYS)
               != DOI_OK
            || doi_check_messages(check, lang) != DOI_OK
            || doi_check_problems(check, lang) != DOI_OK)
        {
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


static int
doi_check_page(doi_check_t *check, doi_compiled_lang_t *lang, doi_page_t page)
{
    char             name[DOI_FILE_NAME_SIZE];
    doi_str_t        html;
    doi_template_t  *parts;

    static const doi_str_t  title = doi_str("{{t.title}}");
    static const doi_str_t  detail = doi_str("{{#t.error}}{{t.error}} "
                                             "{{/t.error}}{{t.text}}"
                                             "{{#t.next}} {{t.next}}"
                                             "{{/t.next}}");

    check->state = doi_page_name(page);
    check->mail = 0;

    html = check->pages->state[page];
    (void) snprintf(name, sizeof(name), "%s.html", check->state);

    if (html.len == 0) {
        html = check->pages->frame;
        (void) snprintf(name, sizeof(name), "page.html");
    }

    parts = lang->parts[page];

    if (doi_check_part(check, &parts[DOI_PART_HTML], name, html,
                       DOI_ESCAPE_HTML)
        != DOI_OK
        || doi_check_part(check, &parts[DOI_PART_TITLE], name, title,
                          DOI_ESCAPE_JSON)
           != DOI_OK
        || doi_check_part(check, &parts[DOI_PART_DETAIL], name, detail,
                          DOI_ESCAPE_JSON)
           != DOI_OK)
    {
        return DOI_ERROR;
    }

    return DOI_OK;
}


static int
doi_check_mail(doi_check_t *check, doi_compiled_lang_t *lang, doi_mail_t mail)
{
    doi_template_t  *parts;

    static const doi_str_t  subject = doi_str("{{t.subject}}");

    check->state = doi_mail_states[mail];
    check->mail = 1;

    parts = lang->mails[mail];

    if (doi_check_part(check, &parts[DOI_MAIL_PART_HTML], "mail.html",
                       check->pages->mail_html, DOI_ESCAPE_HTML)
        != DOI_OK
        || doi_check_part(check, &parts[DOI_MAIL_PART_TEXT], DOI_MAIL_TEXT,
                          check->pages->mail_text, DOI_ESCAPE_TEXT)
           != DOI_OK
        || doi_check_part(check, &parts[DOI_MAIL_PART_SUBJECT], "LANG.txt",
                          subject, DOI_ESCAPE_TEXT)
           != DOI_OK)
    {
        return DOI_ERROR;
    }

    return DOI_OK;
}


static int
doi_check_part(doi_check_t *check, doi_template_t *t, const char *name,
    doi_str_t source, doi_escape_t escape)
{
    doi_template_env_t    env;
    doi_template_error_t  err;

    env.vars = doi_page_vars;
    env.text = doi_find_text;
    env.ctx = check;
    env.style = check->pages->style;
    env.escape = escape;

    if (doi_template_compile(t, &env, source, &err) != DOI_OK) {
        return doi_pages_refuse(check->err, check->errsize, name, err.line,
                                err.text);
    }

    return DOI_OK;
}


/* It is written into a value, which is escaped where that stands. */

static int
doi_check_when(doi_check_t *check, doi_compiled_lang_t *lang)
{
    doi_str_t             text;
    doi_template_env_t    env;
    doi_template_error_t  err;

    memset(&env, 0, sizeof(doi_template_env_t));

    env.vars = doi_date_vars;
    env.escape = DOI_ESCAPE_RAW;

    if (doi_find_text(check, doi_from_text(DOI_WHEN), &text) != DOI_OK) {
        return doi_pages_refuse(check->err, check->errsize, "LANG.txt", 0,
                                "lacks \"" DOI_WHEN "\"");
    }

    /* it has been compiled before: what fails now is memory */

    if (doi_template_compile(&lang->when, &env, text, &err) != DOI_OK) {
        return doi_pages_refuse(check->err, check->errsize, "LANG.txt", 0,
                                err.text);
    }

    return DOI_OK;
}


/* Plain text, rendered by itself. */

static int
doi_check_messages(doi_check_t *check, doi_compiled_lang_t *lang)
{
    size_t                i;
    doi_str_t             text;
    doi_template_env_t    env;
    doi_template_error_t  err;

    memset(&env, 0, sizeof(doi_template_env_t));

    env.vars = doi_message_names;
    env.escape = DOI_ESCAPE_TEXT;

    for (i = 0; i < DOI_MESSAGES; i++) {

        if (doi_find_text(check, doi_from_text(doi_message_keys[i]), &text)
            != DOI_OK)
        {
            return doi_pages_refuse(check->err, check->errsize, "LANG.txt", 0,
                                    "lacks texts \"" DOI_MESSAGE_PREFIX "\"");
        }

        if (doi_template_compile(&lang->messages[i], &env, text, &err)
            != DOI_OK)
        {
            return doi_pages_refuse(check->err, check->errsize, "LANG.txt", 0,
                                    err.text);
        }
    }

    return DOI_OK;
}


static int
doi_check_words(doi_check_t *check, const char *prefix, doi_str_t *words,
    int n)
{
    int   i;
    char  key[DOI_FILE_NAME_SIZE];

    for (i = 0; i < n; i++) {

        (void) snprintf(key, sizeof(key), "%s.%d", prefix, i + 1);

        if (doi_find_text(check, doi_from_text(key), &words[i]) != DOI_OK) {
            (void) snprintf(key, sizeof(key), "lacks \"%s.%d\"", prefix,
                            i + 1);
            return doi_pages_refuse(check->err, check->errsize, "LANG.txt", 0,
                                    key);
        }
    }

    return DOI_OK;
}


static int
doi_check_problems(doi_check_t *check, doi_compiled_lang_t *lang)
{
    size_t  i;

    for (i = 0; i < DOI_PROBLEMS; i++) {

        if (doi_find_text(check, doi_from_text(doi_problems[i]),
                          &lang->problems[i])
            != DOI_OK)
        {
            return doi_pages_refuse(check->err, check->errsize, "LANG.txt", 0,
                                    "lacks texts \"problem.\"");
        }
    }

    return DOI_OK;
}


/* A key that nothing asks for is a slip of the pen. */

static int
doi_check_unused(doi_check_t *check)
{
    char           name[DOI_FILE_NAME_SIZE], what[160];
    size_t         i, j, k;
    doi_text_t    *text;
    doi_source_t  *source;

    for (i = 0; i < check->nsources; i++) {
        source = &check->sources[i];

        for (j = 0; j < source->texts.n && !source->builtin; j++) {
            text = &source->texts.list[j];

            for (k = 0; k < check->nsources && !text->used; k++) {

                /* an operator's page need not show what the built-in does */

                text->used = check->sources[k].builtin
                             && doi_texts_find(&check->sources[k].texts, NULL,
                                               text->key)
                                != NULL;
            }

            if (text->used) {
                continue;
            }

            (void) snprintf(name, sizeof(name), "%s.txt", source->tag);
            (void) snprintf(what, sizeof(what), "no page uses \"%.*s\"",
                            (int) text->key.len,
                            (const char *) text->key.data);

            return doi_pages_refuse(check->err, check->errsize, name,
                                    text->line, what);
        }
    }

    return DOI_OK;
}


/*
 * Where texts come from, best first: the language ("de-at"), what it is a
 * variant of ("de"), the default language, English; of each the set's own
 * file before the built-in one.
 */

static void
doi_find_layers(doi_check_t *check, const char *tag)
{
    char   parent[DOI_LANG_SIZE];
    char  *dash;

    check->nlayers = 0;

    (void) snprintf(parent, sizeof(parent), "%s", tag);

    for ( ;; ) {
        doi_add_layers(check, parent);

        dash = strrchr(parent, '-');

        if (dash == NULL) {
            break;
        }

        *dash = '\0';
    }

    doi_add_layers(check, check->pages->langs[0].tag);
    doi_add_layers(check, DOI_FALLBACK_LANG);
}


static void
doi_add_layers(doi_check_t *check, const char *tag)
{
    size_t  i;

    for (i = 0; i < check->nsources && check->nlayers < DOI_LAYERS_MAX; i++) {
        if (strcmp(check->sources[i].tag, tag) == 0) {
            check->layers[check->nlayers++] = &check->sources[i].texts;
        }
    }
}


/*
 * A page takes what is nearest to the language; among the texts of one file
 * that of the state goes before the one for all.  A mail takes its own before
 * any for all: "subject" is also what a visitor's mail is about.
 */

static int
doi_find_text(void *ctx, doi_str_t key, doi_str_t *text)
{
    doi_check_t *check = ctx;

    size_t       i;
    doi_text_t  *own, *shared, *found, *second;

    found = NULL;
    second = NULL;

    for (i = 0; i < check->nlayers; i++) {

        own = check->state == NULL ? NULL
              : doi_texts_find(check->layers[i], check->state, key);
        shared = doi_texts_find(check->layers[i], NULL, key);

        if (own != NULL) {
            own->used = 1;
        }

        if (shared != NULL) {
            shared->used = 1;
        }

        if (found == NULL) {
            found = own != NULL || check->mail ? own : shared;
        }

        if (second == NULL) {
            second = shared;
        }
    }

    if (found == NULL) {
        found = second;
    }

    if (found == NULL) {
        return doi_known_text(check, key) ? DOI_NOT_FOUND : DOI_ERROR;
    }

    *text = found->value;

    return DOI_OK;
}


/* What a text may name. */

static const char *const *
doi_text_vars(doi_str_t key)
{
    size_t  len;

    len = sizeof(DOI_MESSAGE_PREFIX) - 1;

    if (key.len > len && memcmp(key.data, DOI_MESSAGE_PREFIX, len) == 0) {
        return doi_message_names;
    }

    return key.len == sizeof(DOI_WHEN) - 1
           && memcmp(key.data, DOI_WHEN, key.len) == 0
           ? doi_date_vars : doi_page_vars;
}


/* Does any page or mail in any language have this text? */

static int
doi_known_text(const doi_check_t *check, doi_str_t key)
{
    size_t              i, scope;
    const char         *name;
    const doi_texts_t  *texts;

    for (i = 0; i < check->nsources; i++) {
        texts = &check->sources[i].texts;

        if (doi_texts_find(texts, NULL, key) != NULL) {
            return 1;
        }

        for (scope = 0; scope < DOI_PAGES + DOI_MAILS; scope++) {

            name = scope < DOI_PAGES ? doi_page_states[scope].name
                                     : doi_mail_states[scope - DOI_PAGES];

            if (doi_texts_find(texts, name, key) != NULL) {
                return 1;
            }
        }
    }

    return 0;
}
