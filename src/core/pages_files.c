/*
 * What the files of a set have to be, each by itself, and the policy that goes
 * with the style sheet.  See pages.h.
 */

#include "pages_set.h"

#include <openssl/evp.h>
#include <stdio.h>


static int doi_check_html(const char *name, doi_str_t content, char *err,
    size_t errsize);
static int doi_check_file(const char *name, doi_str_t content, char *err,
    size_t errsize);
static int doi_check_scripts(const char *name, doi_str_t content, char *err,
    size_t errsize);
static int doi_check_styles(const char *name, doi_str_t content, char *err,
    size_t errsize);
static int doi_make_policy(doi_pages_t *pages, char *err, size_t errsize);
static int doi_find_nocase(doi_str_t s, size_t from, const char *text,
    size_t *at);
static unsigned doi_line_at(doi_str_t s, size_t offset);


int
doi_pages_check_files(doi_pages_t *pages, char *err, size_t errsize)
{
    char    name[DOI_FILE_NAME_SIZE];
    size_t  i;

    if (pages->frame.len == 0 || pages->mail_html.len == 0
        || pages->mail_text.len == 0 || pages->nlangs == 0)
    {
        return doi_pages_refuse(err, errsize, "page.html", 0,
                                "or the mails or the texts are not there");
    }

    if (doi_check_html("page.html", pages->frame, err, errsize) != DOI_OK
        || doi_check_file("style.css", pages->style, err, errsize) != DOI_OK
        || doi_check_file("mail.html", pages->mail_html, err, errsize)
           != DOI_OK
        || doi_check_scripts("mail.html", pages->mail_html, err, errsize)
           != DOI_OK
        || doi_check_file(DOI_MAIL_TEXT, pages->mail_text, err, errsize)
           != DOI_OK)
    {
        return DOI_ERROR;
    }

    for (i = 0; i < DOI_PAGES; i++) {

        (void) snprintf(name, sizeof(name), "%s.html",
                        doi_page_name((doi_page_t) i));

        if (doi_check_html(name, pages->state[i], err, errsize) != DOI_OK) {
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

    return doi_make_policy(pages, err, errsize);
}


static int
doi_check_html(const char *name, doi_str_t content, char *err, size_t errsize)
{
    if (doi_check_file(name, content, err, errsize) != DOI_OK
        || doi_check_scripts(name, content, err, errsize) != DOI_OK
        || doi_check_styles(name, content, err, errsize) != DOI_OK)
    {
        return DOI_ERROR;
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
 * Mails have no policy, but no mail program runs a script.
 */

static int
doi_check_scripts(const char *name, doi_str_t content, char *err,
    size_t errsize)
{
    size_t  at;

    if (doi_find_nocase(content, 0, "<script", &at)) {
        return doi_pages_refuse(err, errsize, name, doi_line_at(content, at),
                                strcmp(name, "mail.html") == 0
                                ? "scripts do not run in mails"
                                : "scripts do not run on these pages"
                                  " (Content-Security-Policy)");
    }

    return DOI_OK;
}


static int
doi_check_styles(const char *name, doi_str_t content, char *err,
    size_t errsize)
{
    size_t             at, from;
    static const char  style[] = "<style>{{style|css}}</style>";

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
doi_make_policy(doi_pages_t *pages, char *err, size_t errsize)
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
