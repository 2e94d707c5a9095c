/*
 * Checking and compiling a set of pages.  See pages.h.
 *
 * Every page is compiled once for each language, with the texts put in, so
 * that rendering one is a walk over some eighty operations.  These point into
 * the files: a compiled page costs a few kilobytes.
 */

#include "pages_set.h"
#include "embedded.h"
#include "texts.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>


#define DOI_LAYERS_MAX       32
#define DOI_NAME_SIZE        (DOI_LANG_SIZE + 8)


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

    char          *err;
    size_t         errsize;
} doi_check_t;


static int doi_check_bytes(const doi_pages_t *pages, char *err,
    size_t errsize);
static int doi_check_file(const char *name, doi_str_t content, char *err,
    size_t errsize);
static int doi_check_markup(const char *name, doi_str_t content, char *err,
    size_t errsize);
static int doi_check_style(doi_pages_t *pages, char *err, size_t errsize);
static int doi_check_texts(doi_check_t *check);
static int doi_check_unused(doi_check_t *check);
static int doi_check_compile(doi_check_t *check);
static int doi_check_page(doi_check_t *check, doi_compiled_lang_t *lang,
    doi_page_t page);
static int doi_check_months(doi_check_t *check, doi_compiled_lang_t *lang);
static int doi_add_source(doi_check_t *check, const char *tag,
    doi_str_t content, int builtin);
static void doi_add_layers(doi_check_t *check, const char *tag);
static void doi_find_layers(doi_check_t *check, const char *tag);
static int doi_find_text(void *ctx, doi_str_t key, doi_str_t *text);
static int doi_known_text(const doi_check_t *check, doi_str_t key);
static int doi_find_nocase(doi_str_t s, size_t from, const char *text,
    size_t *at);
static unsigned doi_line_at(doi_str_t s, size_t offset);


int
doi_pages_check(doi_pages_t *pages, char *err, size_t errsize)
{
    int          rc;
    size_t       i;
    doi_check_t  check;

    doi_pages_free(pages);

    if (doi_check_bytes(pages, err, errsize) != DOI_OK
        || doi_check_style(pages, err, errsize) != DOI_OK)
    {
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


/* What every file has to be: UTF-8 without zero bytes. */

static int
doi_check_bytes(const doi_pages_t *pages, char *err, size_t errsize)
{
    char    name[DOI_NAME_SIZE];
    size_t  i;

    if (pages->frame.len == 0 || pages->nlangs == 0) {
        return doi_pages_refuse(err, errsize, "page.html", 0,
                                "or the texts are not there");
    }

    if (doi_check_file("page.html", pages->frame, err, errsize) != DOI_OK
        || doi_check_markup("page.html", pages->frame, err, errsize) != DOI_OK
        || doi_check_file("style.css", pages->style, err, errsize) != DOI_OK)
    {
        return DOI_ERROR;
    }

    for (i = 0; i < DOI_PAGES; i++) {

        (void) snprintf(name, sizeof(name), "%s.html",
                        doi_page_name((doi_page_t) i));

        if (doi_check_file(name, pages->state[i], err, errsize) != DOI_OK
            || doi_check_markup(name, pages->state[i], err, errsize) != DOI_OK)
        {
            return DOI_ERROR;
        }
    }

    for (i = 0; i < pages->nlangs; i++) {

        (void) snprintf(name, sizeof(name), "%s.txt", pages->langs[i].tag);

        if (doi_check_file(name, pages->langs[i].texts, err, errsize)
            != DOI_OK)
        {
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


static int
doi_check_file(const char *name, doi_str_t content, char *err, size_t errsize)
{
    size_t          at;
    const uint8_t  *zero;

    at = doi_utf8_check(content);

    if (at < content.len) {
        return doi_pages_refuse(err, errsize, name, doi_line_at(content, at),
                                "not UTF-8");
    }

    zero = content.len ? memchr(content.data, '\0', content.len) : NULL;

    if (zero != NULL) {
        at = (size_t) (zero - content.data);
        return doi_pages_refuse(err, errsize, name, doi_line_at(content, at),
                                "a zero byte");
    }

    return DOI_OK;
}


/*
 * What the Content-Security-Policy would silently keep from working is said
 * here: scripts, and style sheets other than the one whose hash it names.
 */

static int
doi_check_markup(const char *name, doi_str_t content, char *err,
    size_t errsize)
{
    size_t             at, from;
    static const char  style[] = "<style>{{style|css}}</style>";

    if (doi_find_nocase(content, 0, "<script", &at)) {
        return doi_pages_refuse(err, errsize, name, doi_line_at(content, at),
                                "scripts do not run on these pages"
                                " (Content-Security-Policy)");
    }

    for (from = 0; doi_find_nocase(content, from, "<style", &at);
         from = at + 1)
    {
        if (content.len - at < sizeof(style) - 1
            || memcmp(content.data + at, style, sizeof(style) - 1) != 0)
        {
            return doi_pages_refuse(err, errsize, name,
                                    doi_line_at(content, at),
                                    "styles go to style.css, and here comes"
                                    " <style>{{style|css}}</style>");
        }
    }

    return DOI_OK;
}


/*
 * The hash is that of what a browser finds between the tags, and browsers
 * read CR LF and CR as LF.
 */

static int
doi_check_style(doi_pages_t *pages, char *err, size_t errsize)
{
    int             ok;
    char            hash[64];
    size_t          at;
    uint8_t         digest[EVP_MAX_MD_SIZE];
    unsigned        len;
    EVP_MD_CTX     *md;
    const uint8_t  *p, *end, *run;

    if (doi_find_nocase(pages->style, 0, "</style", &at)) {
        return doi_pages_refuse(err, errsize, "style.css",
                                doi_line_at(pages->style, at),
                                "\"</style\" would end the style sheet");
    }

    md = EVP_MD_CTX_new();
    ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL);

    if (ok && pages->style.len) {

        p = pages->style.data;
        end = p + pages->style.len;

        for (run = p; p < end; p++) {

            if (*p != '\r') {
                continue;
            }

            ok = ok && EVP_DigestUpdate(md, run, (size_t) (p - run));
            run = p + 1;

            if (run == end || *run != '\n') {
                ok = ok && EVP_DigestUpdate(md, "\n", 1);
            }
        }

        ok = ok && EVP_DigestUpdate(md, run, (size_t) (end - run));
    }

    ok = ok && EVP_DigestFinal_ex(md, digest, &len);

    EVP_MD_CTX_free(md);

    if (!ok) {
        return doi_pages_refuse(err, errsize, "style.css", 0,
                                "OpenSSL cannot compute SHA-256");
    }

    (void) EVP_EncodeBlock((unsigned char *) hash, digest, (int) len);

    (void) snprintf(pages->csp, DOI_CSP_SIZE,
                    "default-src 'none'; style-src 'sha256-%s'; img-src data:;"
                    " form-action 'self'; base-uri 'none';"
                    " frame-ancestors 'none'", hash);

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
    char                   name[DOI_NAME_SIZE];
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
    env.vars = doi_page_vars;

    for (i = 0; i < source->texts.n; i++) {

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
    unsigned                page;
    doi_pages_t            *pages;
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

        doi_find_layers(check, pages->langs[i].tag);

        for (page = 0; page < DOI_PAGES; page++) {
            if (doi_check_page(check, &compiled->langs[i], (doi_page_t) page)
                != DOI_OK)
            {
                return DOI_ERROR;
            }
        }

        if (doi_check_months(check, &compiled->langs[i]) != DOI_OK) {
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


static int
doi_check_page(doi_check_t *check, doi_compiled_lang_t *lang, doi_page_t page)
{
    int                    part;
    char                   name[DOI_NAME_SIZE];
    doi_pages_t           *pages;
    doi_template_env_t     env;
    doi_template_error_t   err;

    doi_str_t              sources[DOI_PARTS] = {
        [DOI_PART_TITLE]  = doi_str("{{t.title}}"),
        [DOI_PART_DETAIL] = doi_str("{{t.text}}{{#t.next}} {{t.next}}"
                                    "{{/t.next}}")
    };

    pages = check->pages;
    check->state = doi_page_name(page);

    if (pages->state[page].len) {
        sources[DOI_PART_HTML] = pages->state[page];
        (void) snprintf(name, sizeof(name), "%s.html", check->state);

    } else {
        sources[DOI_PART_HTML] = pages->frame;
        (void) snprintf(name, sizeof(name), "page.html");
    }

    env.vars = doi_page_vars;
    env.text = doi_find_text;
    env.ctx = check;
    env.style = pages->style;

    for (part = 0; part < DOI_PARTS; part++) {

        env.escape = part == DOI_PART_HTML ? DOI_ESCAPE_HTML
                                           : DOI_ESCAPE_JSON;

        if (doi_template_compile(&lang->parts[page][part], &env,
                                 sources[part], &err)
            != DOI_OK)
        {
            return doi_pages_refuse(check->err, check->errsize, name, err.line,
                                    err.text);
        }
    }

    return DOI_OK;
}


static int
doi_check_months(doi_check_t *check, doi_compiled_lang_t *lang)
{
    int   month;
    char  key[DOI_NUMBER_SIZE];

    check->state = NULL;

    for (month = 0; month < DOI_MONTHS; month++) {

        (void) snprintf(key, sizeof(key), "month.%d", month + 1);

        if (doi_find_text(check, doi_from_text(key), &lang->months[month])
            == DOI_ERROR)
        {
            return doi_pages_refuse(check->err, check->errsize, "LANG.txt", 0,
                                    "month.1 to month.12 are not there");
        }
    }

    return DOI_OK;
}


/* A key that nothing asks for is a slip of the pen. */

static int
doi_check_unused(doi_check_t *check)
{
    char           name[DOI_NAME_SIZE], what[160];
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


static int
doi_find_text(void *ctx, doi_str_t key, doi_str_t *text)
{
    doi_check_t *check = ctx;

    size_t       i;
    doi_text_t  *own, *shared, *found;

    found = NULL;

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
            found = own != NULL ? own : shared;
        }
    }

    if (found == NULL) {
        return doi_known_text(check, key) ? DOI_NOT_FOUND : DOI_ERROR;
    }

    *text = found->value;

    return DOI_OK;
}


/* Does any page in any language have this text? */

static int
doi_known_text(const doi_check_t *check, doi_str_t key)
{
    size_t  i, page;

    for (i = 0; i < check->nsources; i++) {

        if (doi_texts_find(&check->sources[i].texts, NULL, key) != NULL) {
            return 1;
        }

        for (page = 0; page < DOI_PAGES; page++) {
            if (doi_texts_find(&check->sources[i].texts,
                               doi_page_name(page), key)
                != NULL)
            {
                return 1;
            }
        }
    }

    return 0;
}


static int
doi_find_nocase(doi_str_t s, size_t from, const char *text, size_t *at)
{
    size_t   i, j, len;
    uint8_t  c;

    len = strlen(text);

    for (i = from; i + len <= s.len; i++) {

        for (j = 0; j < len; j++) {
            c = s.data[i + j];

            if (c >= 'A' && c <= 'Z') {
                c |= 0x20;
            }

            if (c != (uint8_t) text[j]) {
                break;
            }
        }

        if (j == len) {
            *at = i;
            return 1;
        }
    }

    return 0;
}


static unsigned
doi_line_at(doi_str_t s, size_t offset)
{
    size_t    i;
    unsigned  line;

    line = 1;

    for (i = 0; i < offset; i++) {
        line += s.data[i] == '\n';
    }

    return line;
}
