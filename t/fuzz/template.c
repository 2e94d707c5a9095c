/*
 * libFuzzer target: templates, texts, overrides, escaping, negotiation.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -Isrc/core
 *       -o fuzz_template t/fuzz/template.c src/core/{escape,template}.c
 *       src/core/{texts,lang}.c src/core/pages*.c EMBEDDED.c -lcrypto
 *
 * The first byte chooses what the rest is: mostly a template, which is fast,
 * or a file of a set of pages.  A zero byte ends it; what follows is the value
 * of every variable.
 */

#include "pages.h"
#include "template.h"

#include <stdlib.h>
#include <string.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* What comes out must be UTF-8, and safe for where it stands. */

static void
check_escape(doi_escape_t how, doi_str_t value)
{
    size_t      i, need;
    uint8_t    *data;
    doi_buf_t   buf = { NULL, 0, 0 };
    doi_out_t   out;
    doi_str_t   text;

    doi_out_init(&out, &buf);
    doi_out_escape(&out, how, value);
    need = out.need;

    data = malloc(need + 1);

    if (data == NULL) {
        return;
    }

    buf.data = data;
    buf.size = need;

    doi_out_init(&out, &buf);
    doi_out_escape(&out, how, value);
    doi_out_done(&out, &buf);

    if (buf.len != need || out.need != need
        || (need == 0) != doi_escape_empty(how, value))
    {
        abort();
    }

    text.data = data;
    text.len = need;

    if (doi_utf8_check(text) != need) {
        abort();
    }

    for (i = 0; i < need; i++) {

        if (how == DOI_ESCAPE_JSON || how == DOI_ESCAPE_TEXT) {
            if (data[i] < 0x20) {
                abort();
            }

        } else if (strchr("<>\"'\r", data[i]) != NULL) {
            abort();
        }

        if ((how == DOI_ESCAPE_URI || how == DOI_ESCAPE_URL
             || how == DOI_ESCAPE_TEL)
            && (data[i] <= 0x20 || data[i] >= 0x7F))
        {
            abort();
        }
    }

    free(data);
}


/* A subject is one line, whatever is in it. */

static void
check_mail(doi_pages_t *pages, doi_mail_t mail, size_t lang,
    const doi_page_vars_t *vars)
{
    size_t     i, need;
    uint8_t    small[64];
    uint8_t   *data;
    doi_buf_t  buf = { NULL, 0, 0 };

    need = doi_mail_subject(pages, mail, lang, vars, &buf);
    data = malloc(need + 1);

    if (data == NULL) {
        return;
    }

    buf.data = data;
    buf.size = need;

    if (doi_mail_subject(pages, mail, lang, vars, &buf) != need
        || buf.len != need)
    {
        abort();
    }

    for (i = 0; i < need; i++) {
        if (data[i] < 0x20 || data[i] == 0x7F) {
            abort();
        }
    }

    free(data);

    buf.data = small;
    buf.size = sizeof(small);
    buf.len = 0;
    (void) doi_mail_text(pages, mail, lang, vars, &buf);

    buf.len = 0;
    (void) doi_mail_html(pages, mail, lang, vars, &buf);
}


static void
check_render(doi_pages_t *pages, doi_str_t value)
{
    size_t           i, lang, need;
    uint8_t         *data;
    doi_buf_t        buf;
    doi_page_vars_t  vars;

    memset(&vars, 0, sizeof(vars));
    vars.owner_name = value;
    vars.owner_email = value;
    vars.owner_phone = value;
    vars.owner_url = value;
    vars.id = value;
    vars.retry_url = value;
    vars.when = (doi_time_t) value.len * 1000003;
    vars.summary = value;
    vars.slot = value;
    vars.zone = value;
    vars.name = value;
    vars.email = value;
    vars.url = value;
    vars.start_url = value;
    vars.problem = value;
    vars.field = value;
    vars.code = (uint32_t) value.len;
    vars.tries = (unsigned) value.len;
    vars.expires = vars.when;
    vars.expires_zone = value;

    lang = pages->nlangs - 1;

    for (i = 0; i < DOI_PAGES; i++) {

        memset(&buf, 0, sizeof(buf));
        need = doi_page_html(pages, (doi_page_t) i, lang, &vars, &buf);
        data = malloc(need + 1);

        if (data == NULL) {
            return;
        }

        buf.data = data;
        buf.size = need;

        if (doi_page_html(pages, (doi_page_t) i, lang, &vars, &buf) != need
            || buf.len != need)
        {
            abort();
        }

        buf.len = 0;
        (void) doi_page_json(pages, (doi_page_t) i, lang, &vars, &buf);

        free(data);
    }

    for (i = 0; i < DOI_MAILS; i++) {
        check_mail(pages, (doi_mail_t) i, lang, &vars);
    }
}


/* The texts are made of the template itself: whatever nests, nests. */

static int
find_text(void *ctx, doi_str_t key, doi_str_t *text)
{
    *text = *(doi_str_t *) ctx;

    if (key.len > text->len) {
        return DOI_NOT_FOUND;
    }

    text->data += key.len;
    text->len -= key.len;

    return key.len == 7 ? DOI_ERROR : DOI_OK;
}


static void
check_template(doi_str_t source, doi_str_t value)
{
    uint8_t                   data[256];
    doi_buf_t                 buf = { data, 0, sizeof(data) };
    doi_out_t                 out;
    doi_str_t                 values[2];
    doi_template_t            t;
    doi_template_env_t        env;
    doi_template_error_t      err;

    static const char *const  vars[] = { "a", "b.c", NULL };

    memset(&env, 0, sizeof(env));
    env.vars = vars;
    env.text = find_text;
    env.ctx = &source;

    values[0] = value;
    values[1] = source;

    if (doi_template_compile(&t, &env, source, &err) != DOI_OK) {

        if (err.line == 0 || err.text[0] == '\0') {
            abort();
        }

        return;
    }

    doi_out_init(&out, &buf);
    doi_template_render(&t, values, &out);
    doi_out_done(&out, &buf);

    if (buf.len != (out.need < sizeof(data) ? out.need : sizeof(data))) {
        abort();
    }

    doi_template_free(&t);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                 how;
    char                err[256];
    doi_str_t           first, value;
    doi_pages_t         pages;
    const char         *name;
    const uint8_t      *zero;

    static const char  *names[] = { "page.html", "used.html", "fr.txt",
                                    "de.txt", "style.css", "mail.html",
                                    "mail.txt" };

    if (size < 1) {
        return 0;
    }

    name = names[data[0] % 7];

    zero = memchr(data + 1, 0, size - 1);

    first.data = data + 1;
    first.len = zero != NULL ? (size_t) (zero - first.data) : size - 1;

    value.data = zero != NULL ? zero + 1 : NULL;
    value.len = zero != NULL ? size - first.len - 2 : 0;

    for (how = DOI_ESCAPE_HTML; how <= DOI_ESCAPE_TEXT; how++) {
        check_escape((doi_escape_t) how, first);
        check_escape((doi_escape_t) how, value);
    }

    check_template(first, value);

    doi_pages_builtin(&pages);

    (void) doi_pages_lang(&pages, first);
    (void) doi_accepts_json(first);

    if (data[0] < 0xF0 && size > 2) {
        return 0;
    }

    if (doi_pages_override(&pages, name, first, err, sizeof(err)) == DOI_OK
        && doi_pages_check(&pages, err, sizeof(err)) == DOI_OK)
    {
        check_render(&pages, value);
    }

    doi_pages_free(&pages);

    return 0;
}
