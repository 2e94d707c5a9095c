/*
 * Pages: every state in every language as HTML and JSON, overriding, and the
 * negotiation of language and type.
 */

#include "pages_help.h"

#include <openssl/evp.h>
#include <openssl/sha.h>


static void
check_html(const doi_pages_t *pages, doi_page_t page, size_t lang,
    const doi_page_vars_t *vars, const char *label)
{
    const char  *text, *h1, *body;

    text = html(pages, page, lang, vars);
    h1 = strstr(text, "<h1>");
    body = strstr(text, "</style>");    /* a style sheet may have "}}" */

    ok(strncmp(text, "<!DOCTYPE html>", 15) == 0 && !has(text, "{{")
       && body != NULL && !has(body, "}}") && h1 != NULL && h1[4] != '<'
       && strstr(h1 + 1, "<h1>") == NULL && has(text, "<main>")
       && !has(text, "<script") && has(text, "</html>\n"),
       "%s: HTML", label);
}


static void
check_json(const doi_pages_t *pages, doi_page_t page, size_t lang,
    const doi_page_vars_t *vars, const char *label)
{
    json_t        *root;
    const char    *text;
    json_error_t   err;

    text = json(pages, page, lang, vars);
    root = json_loads(text, JSON_REJECT_DUPLICATES, &err);

    ok(root != NULL && !has(text, "{{")
       && strcmp(member(root, "code"), doi_page_name(page)) == 0
       && json_integer_value(json_object_get(root, "status"))
          == doi_page_status(page)
       && member(root, "title")[0] && member(root, "detail")[0],
       "%s: JSON", label);

    is_int(json_object_get(root, "type") != NULL,
           doi_page_status(page) >= 300, "%s: JSON type", label);

    json_decref(root);
}


static void
all_pages(void)
{
    char             err[256], label[64];
    size_t           lang, set;
    unsigned         page;
    doi_pages_t      pages;
    doi_page_vars_t  vars[2];

    vars[0] = full_vars();
    vars[1] = no_vars();

    doi_pages_builtin(&pages);
    is_int(doi_pages_check(&pages, err, sizeof(err)), DOI_OK, "built-in set");
    is_int(pages.nlangs, 2, "two languages");
    ok(strcmp(pages.langs[0].tag, "en") == 0, "English is the default");

    for (page = 0; page < DOI_PAGES; page++) {
        for (lang = 0; lang < pages.nlangs; lang++) {
            for (set = 0; set < 2; set++) {
                (void) snprintf(label, sizeof(label), "%s %s %s",
                                doi_page_name((doi_page_t) page),
                                pages.langs[lang].tag, set ? "bare" : "full");
                check_html(&pages, (doi_page_t) page, lang, &vars[set],
                           label);
                check_json(&pages, (doi_page_t) page, lang, &vars[set],
                           label);
            }
        }
    }

    doi_pages_free(&pages);
    doi_pages_free(&pages);

    is_int(pages.compiled == NULL, 1, "freed twice");
}


static void
content(void)
{
    char             err[256];
    json_t          *root, *contact;
    const char      *text;
    doi_pages_t      pages;
    doi_page_vars_t  vars = full_vars();

    doi_pages_builtin(&pages);
    (void) doi_pages_check(&pages, err, sizeof(err));

    text = html(&pages, DOI_PAGE_USED, 0, &vars);
    ok(has(text, "Dr. &quot;&lt;M\xC3\xBCller&gt;&quot;"), "owner's name");
    ok(has(text, "href=\"mailto:a%2Bb@example.org?subject=Question"),
       "owner's mail");
    ok(has(text, "href=\"tel:+4930123\""), "owner's phone");
    ok(has(text, "href=\"https://example.org/?a=1&amp;b=2\""),
       "owner's page");
    ok(has(text, "<code>aVZ0kXq3TzE9pQ2m</code>"), "reference");
    ok(has(text, "<html lang=\"en\" dir=\"ltr\">"), "language");
    ok(!has(text, "/b/token"), "a used link is not offered again");

    ok(!has(text, "Check-up") && !has(text, "ann+x") && !has(text, "/book")
       && !has(text, "048213"), "nor does it tell of a booking");

    text = html(&pages, DOI_PAGE_CLAIMED, 0, &vars);
    ok(has(text, "href=\"/b/token\">Try again<"), "try again");

    text = html(&pages, DOI_PAGE_CONFIRMED, 0, &vars);
    ok(has(text, "datetime=\"2026-03-14T10:32:00Z\"")
       && has(text, "Booked on 14 March 2026 at 10:32 UTC"), "time, English");

    text = html(&pages, DOI_PAGE_CONFIRMED, 1, &vars);
    ok(has(text, "Gebucht am 14. M\xC3\xA4rz 2026 um 10:32 Uhr (UTC)"),
       "time, German");
    text = html(&pages, DOI_PAGE_CONFIRMED, 99, &vars);
    ok(has(text, "<html lang=\"en\""), "no such language: the default");

    text = html(&pages, DOI_PAGE_USED, 1, &vars);
    ok(!has(text, "<time"), "a time belongs to the confirmed page only");

    vars.when = UINT32_MAX;
    text = html(&pages, DOI_PAGE_CONFIRMED, 0, &vars);
    ok(has(text, "2106-02-07T06:28:15Z"), "the last second");

    vars.owner_url = str("javascript:alert(1)");
    vars.owner_phone = str("none");
    vars.owner_email = str("\xFF\"><script>@x");
    vars.id = str("<b>\r\n");
    vars.retry_url = str("//evil.example/");
    text = html(&pages, DOI_PAGE_CLAIMED, 0, &vars);
    ok(!has(text, "javascript:") && !has(text, "tel:")
       && !has(text, "<script") && !has(text, "<b>")
       && !has(text, "evil.example"), "hostile values in HTML");

    root = json_loads(json(&pages, DOI_PAGE_CLAIMED, 0, &vars), 0, NULL);
    contact = json_object_get(root, "contact");
    ok(strcmp(member(root, "type"), "urn:doi:problem:claimed") == 0, "type");
    ok(strcmp(member(contact, "email"), "\xEF\xBF\xBD\"><script>@x") == 0
       && strcmp(member(contact, "phone"), "none") == 0
       && json_object_get(contact, "url") == NULL
       && strcmp(member(root, "reference"), "<b>\r\n") == 0,
       "hostile values in JSON");
    is_int(json_integer_value(json_object_get(root, "retry_after")), 60,
           "retry_after");
    ok(json_object_get(root, "booked_at") == NULL, "no booked_at");
    json_decref(root);

    vars = full_vars();
    root = json_loads(json(&pages, DOI_PAGE_CONFIRMED, 0, &vars), 0, NULL);
    ok(strcmp(member(root, "booked_at"), "2026-03-14T10:32:00Z") == 0,
       "booked_at");
    json_decref(root);

    memset(&vars, 0, sizeof(vars));
    root = json_loads(json(&pages, DOI_PAGE_USED, 1, &vars), 0, NULL);
    is_int(json_object_size(root), 5, "nothing that is not known");
    json_decref(root);

    doi_pages_free(&pages);

    doi_buf_t  buf = { space, 0, sizeof(space) };
    is_int(doi_page_html(&pages, DOI_PAGE_USED, 0, &vars, &buf), 0,
           "unchecked: no HTML");
    is_int(doi_page_json(&pages, DOI_PAGE_USED, 0, &vars, &buf), 0,
           "unchecked: no JSON");
}


static void
sizes(void)
{
    char             err[256];
    size_t           i, need, bad;
    uint8_t         *small;
    doi_buf_t        buf = { NULL, 0, 0 };
    doi_pages_t      pages;
    doi_page_vars_t  vars = full_vars();

    doi_pages_builtin(&pages);
    (void) doi_pages_check(&pages, err, sizeof(err));

    need = doi_page_json(&pages, DOI_PAGE_USED, 0, &vars, &buf);
    ok(need > 100 && buf.len == 0, "size 0");

    for (i = 1, bad = 0; i <= need; i++) {
        small = malloc(i);              /* the sanitizer sees its end */
        buf.data = small;
        buf.len = 0;
        buf.size = i;
        bad += doi_page_json(&pages, DOI_PAGE_USED, 0, &vars, &buf) != need;
        bad += buf.len != i;
        free(small);
    }

    is_int(bad, 0, "every size");

    buf.data = space;
    buf.len = 3;
    buf.size = need + 3;
    memcpy(space, "abc", 3);
    (void) doi_page_json(&pages, DOI_PAGE_USED, 0, &vars, &buf);
    ok(buf.len == need + 3 && memcmp(space, "abc{", 4) == 0, "appended");

    need = doi_page_html(&pages, DOI_PAGE_USED, 0, &vars, &buf);
    ok(need > 1000 && buf.len == buf.size, "full");

    doi_pages_free(&pages);
}


static void
policy(void)
{
    char           err[256], want[DOI_CSP_SIZE], hash[64];
    uint8_t        digest[32];
    const char    *text, *start, *end;
    doi_pages_t    pages;
    doi_page_vars_t  vars = full_vars();

    doi_pages_builtin(&pages);
    (void) doi_pages_check(&pages, err, sizeof(err));

    text = html(&pages, DOI_PAGE_USED, 0, &vars);
    start = strstr(text, "<style>") + 7;
    end = strstr(start, "</style>");
    SHA256((const uint8_t *) start, (size_t) (end - start), digest);
    EVP_EncodeBlock((uint8_t *) hash, digest, 32);
    (void) snprintf(want, sizeof(want), "style-src 'sha256-%s';", hash);

    ok(has(pages.csp, want), "hash of the style as rendered");
    ok(has(pages.csp, "default-src 'none'; ")
       && has(pages.csp, "; img-src data:; form-action 'self';"
                         " base-uri 'none'; frame-ancestors 'none'"),
       "the rest of the policy");

    /* what a browser makes of it: p{}\n\n\n */
    is_int(doi_pages_override(&pages, "style.css", str("p{}\r\n\r\r\n"), err,
                              sizeof(err)), DOI_OK, "style with CR");
    is_int(pages.compiled == NULL, 1, "overriding undoes the check");
    (void) doi_pages_check(&pages, err, sizeof(err));
    SHA256((const uint8_t *) "p{}\n\n\n", 6, digest);
    EVP_EncodeBlock((uint8_t *) hash, digest, 32);
    ok(has(pages.csp, hash), "hash of what browsers read");

    (void) doi_pages_override(&pages, "style.css", str(""), err, sizeof(err));
    is_int(doi_pages_check(&pages, err, sizeof(err)), DOI_OK, "no style");
    ok(has(pages.csp, "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
       "hash of nothing");

    doi_pages_free(&pages);
}


static void
overrides(void)
{
    char             err[256], name[16];
    size_t           i;
    const char      *said;
    doi_pages_t      pages;
    doi_page_vars_t  vars = full_vars();

    static const struct {
        const char  *name;
        const char  *text;
        const char  *said;
    } cases[] = {
        { "page.html", "<p>{{t.title}}</p>", "" },
        { "page.html", "\xEF\xBB\xBF<p>", "" },
        { "page.html", "", "page.html is empty" },
        { "page.html", "a\n{{nope}}",
          "page.html:2: unknown variable \"nope\"" },
        { "page.html", "a\n\n{{t.nope}}",
          "page.html:3: no LANG.txt has the text \"nope\"" },
        { "used.html", "{{#id}}", "used.html:1: section is not closed: \"id\""
        },
        { "used.html", "\n\xC0\xAF", "used.html:2: not UTF-8" },
        { "used.html", "\n<ScRipt>", "used.html:2: scripts do not run on these"
          " pages (Content-Security-Policy)" },
        { "used.html", "<style>p{}</style>", "used.html:1: styles go to"
          " style.css, and here comes <style>{{style|css}}</style>" },
        { "used.html", "<style>{{style|css}}</style>", "" },
        { "style.css", "p{}\n</STYLE>",
          "style.css:2: \"</style\" would end the style sheet" },
        { "style.css", "p{}\n\xFF", "style.css:2: not UTF-8" },
        { "fr.txt", "# rien\n\n", "" },
        { "fr.txt", "", "" },
        { "fr.txt", "used.title = x\nnope",
          "fr.txt:2: not of the form \"key = text\"" },
        { "fr.txt", "used.title = x\n\nused.title = y",
          "fr.txt:3: \"used.title\" is there twice" },
        { "fr.txt", "Used = x", "fr.txt:1: a key is of a-z, 0-9, \"_\" and"
          " \".\"" },
        { "fr.txt", " = x", "fr.txt:1: a key is of a-z, 0-9, \"_\" and \".\""
        },
        { "fr.txt", "\nused.title = {{nope}}",
          "fr.txt:2: unknown variable \"nope\"" },
        { "fr.txt", "used.title = {{t.email}}",
          "fr.txt:1: a text may not contain another text: \"t.email\"" },
        { "fr.txt", "used.title = {{#id}}",
          "fr.txt:1: section is not closed: \"id\"" },
        { "fr.txt", "used.titel = x",
          "fr.txt:1: no page uses \"used.titel\"" },
        { "fr.txt", "a\xC3", "fr.txt:1: not UTF-8" },
        { "mail.html", "\n{{nope}}",
          "mail.html:2: unknown variable \"nope\"" },
        { "mail.html", "", "mail.html is empty" },
        { "mail.html", "<p style=\"color:red\">{{t.title}}", "" },
        { "mail.html", "\n<SCRIPT>",
          "mail.html:2: scripts do not run in mails" },
        { "mail.html", "\xFF", "mail.html:1: not UTF-8" },
        { "mail.txt", "{{t.title}}", "" },
        { "mail.txt", "", "mail.txt is empty" },
        { "mail.txt", "a\n{{t.nope}}",
          "mail.txt:2: no LANG.txt has the text \"nope\"" },
        { "mail.txt", "\n\n{{#url}}",
          "mail.txt:3: section is not closed: \"url\"" },
        { "mail.txt", "{{url|url}}",
          "mail.txt:1: plain text does not take the filter \"url\"" },
        { "mail.txt", "{{t.title|html}}",
          "mail.txt:1: plain text does not take the filter \"html\"" },
        { "mail.txt", "a\n\xC3", "mail.txt:2: not UTF-8" },
        { "fr.txt", "mail_owner.titel = x",
          "fr.txt:1: no page uses \"mail_owner.titel\"" },
        { "fr.txt", "owner.title = x",
          "fr.txt:1: no page uses \"owner.title\"" },
        { "fr.txt", "problem.nope = x",
          "fr.txt:1: no page uses \"problem.nope\"" },
        { "fr.txt", "\nwhen = {{slot}}",
          "fr.txt:2: unknown variable \"slot\"" },
        { "fr.txt", "form.text = {{date.day}}",
          "fr.txt:1: unknown variable \"date.day\"" },
        { "confirm.html", "<p>{{slot}}", "" },
        { "mail_confirm.html", "x", "not found" },
        { "mail.HTML", "x", "not found" },
        { "pt-BR.txt", "", "" },
        { "x.txt", "", "not found" },
        { "en-.txt", "", "not found" },
        { "-en.txt", "", "not found" },
        { "en_us.txt", "", "not found" },
        { "12.txt", "", "not found" },
        { "waytoolongforalang.txt", "", "not found" },
        { ".txt", "", "not found" },
        { "README", "", "not found" },
        { "nope.html", "", "not found" },
        { "used.html~", "", "not found" },
        { "../page.html", "", "not found" },
        { "", "", "not found" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        said = override(&pages, cases[i].name, cases[i].text);

        if (!ok(strcmp(said, cases[i].said) == 0, "override %s: %s",
                cases[i].name, cases[i].said))
        {
            printf("# got '%s'\n", said);
        }

        is_int(pages.compiled != NULL, cases[i].said[0] == '\0',
               "compiled if good");

        doi_pages_free(&pages);
    }

    doi_pages_builtin(&pages);
    is_int(doi_pages_override(&pages, "used.html",
                              (doi_str_t) doi_str("a\nb\0c"), err,
                              sizeof(err)), DOI_OK, "zero byte");
    ok(doi_pages_check(&pages, err, sizeof(err)) == DOI_ERROR
       && strcmp(err, "used.html:2: a zero byte") == 0, "is found");

    (void) override(&pages, "used.html", "only {{status}} {{state}}"
                    "{{#is.used}} here{{/is.used}}{{#is.good}}!{{/is.good}}");
    ok(strcmp(html(&pages, DOI_PAGE_USED, 0, &vars), "only 410 used here")
       == 0, "one state has its own page");
    ok(has(html(&pages, DOI_PAGE_EXPIRED, 0, &vars), "<main>"),
       "the others keep theirs");
    doi_pages_free(&pages);

    (void) override(&pages, "fr.txt", "used.title = D\xC3\xA9j\xC3\xA0"
                    " utilis\xC3\xA9 & {{owner.name}}\nmonth.3 = mars\n");
    is_int(pages.nlangs, 3, "a new language");
    ok(has(html(&pages, DOI_PAGE_USED, 2, &vars),
           "<h1>D\xC3\xA9j\xC3\xA0 utilis\xC3\xA9 &amp; Dr. &quot;&lt;"),
       "its text");
    ok(has(html(&pages, DOI_PAGE_USED, 2, &vars), "<html lang=\"fr\""),
       "its tag");
    ok(has(html(&pages, DOI_PAGE_EXPIRED, 2, &vars),
           "<h1>This link has expired"), "what it lacks is the default's");
    ok(has(html(&pages, DOI_PAGE_CONFIRMED, 2, &vars), "14 mars 2026"),
       "its month");
    ok(has(json(&pages, DOI_PAGE_USED, 2, &vars),
           "utilis\xC3\xA9 & Dr. \\\"<M"), "its text in JSON");
    doi_pages_free(&pages);

    (void) override(&pages, "de.txt", "used.title = Schon weg\r\n"
                    "revoked.next =\r\n");
    is_int(pages.nlangs, 2, "a known language");
    ok(has(html(&pages, DOI_PAGE_USED, 1, &vars), "<h1>Schon weg</h1>"),
       "its new text");
    ok(has(html(&pages, DOI_PAGE_EXPIRED, 1, &vars),
           "<h1>Dieser Link ist abgelaufen"), "what it lacks is built in");
    ok(!has(html(&pages, DOI_PAGE_REVOKED, 1, &vars), "weiterhin"),
       "an empty text is empty");
    doi_pages_free(&pages);

    (void) override(&pages, "de-at.txt", "used.title = Schon weg\n");
    ok(has(html(&pages, DOI_PAGE_EXPIRED, 2, &vars),
           "<h1>Dieser Link ist abgelaufen"), "de-at falls back to de");
    doi_pages_free(&pages);

    (void) override(&pages, "en.txt", "retry = Go\n");
    ok(has(html(&pages, DOI_PAGE_REVOKED, 0, &vars), ">Go</a>")
       && has(html(&pages, DOI_PAGE_CLAIMED, 0, &vars), ">Go</a>"),
       "a text for all states");
    doi_pages_free(&pages);

    doi_pages_builtin(&pages);

    for (i = 2; i < DOI_LANGS_MAX; i++) {
        (void) snprintf(name, sizeof(name), "x%c-%c.txt",
                        (char) ('a' + i % 26), (char) ('a' + i / 26));
        if (doi_pages_override(&pages, name, str(""), err, sizeof(err))
            != DOI_OK)
        {
            break;
        }
    }

    is_int(i, DOI_LANGS_MAX, "as many languages as there is room for");
    is_int(doi_pages_override(&pages, "fr.txt", str(""), err, sizeof(err)),
           DOI_ERROR, "and not one more");
    is_int(doi_pages_check(&pages, err, sizeof(err)), DOI_OK, "all fine");
    doi_pages_free(&pages);
}


static void
languages(void)
{
    size_t       i, lang;
    char         err[256];
    doi_pages_t  pages;

    static const struct {
        const char  *accept;
        const char  *want;
    } cases[] = {
        { "", "en" },
        { "de", "de" },
        { "DE", "de" },
        { "de-AT", "de" },
        { "de-AT-1996", "de" },
        { "pt", "pt-br" },
        { "pt-PT", "en" },
        { "pt-BR", "pt-br" },
        { "fr", "en" },
        { "fr, de;q=0.5", "de" },
        { "de;q=0.5, en", "en" },
        { "de;q=0.5,en;q=0.4", "de" },
        { "en;q=0.8, de-DE;q=0.9", "de" },
        { "de, en", "de" },
        { "de-AT, en", "de" },
        { "*", "en" },
        { "*, de", "de" },
        { "de, *", "de" },
        { "de;q=0.5, *", "en" },
        { "en;q=0.1, *", "de" },
        { "en;q=0", "de" },
        { "en;q=0, *", "de" },
        { "en;q=0, de;q=0, pt;q=0", "en" },
        { "de;q=0, de-AT", "en" },
        { "de-AT;q=0, de", "de" },
        { "*;q=0", "en" },
        { "de;q=0.001", "de" },
        { "de;q=1.000", "de" },
        { "de;q=2, en", "en" },
        { "de;q=, en", "en" },
        { "de;q=0.1234, en;q=0.1", "en" },
        { " ,, ;q=1, de ; q=0.9 ", "de" },
        { "d", "en" },
        { "deu", "en" },
        { "\"de,", "en" },
        { "\xFF\xFE, de", "de" }
    };

    doi_pages_builtin(&pages);
    (void) doi_pages_override(&pages, "pt-BR.txt", str(""), err, sizeof(err));

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        lang = doi_pages_lang(&pages, str(cases[i].accept));

        if (!ok(strcmp(pages.langs[lang].tag, cases[i].want) == 0,
                "language for \"%s\" is %s",
                (uint8_t) cases[i].accept[0] < 0x80 ? cases[i].accept : "?",
                cases[i].want))
        {
            printf("# got %s\n", pages.langs[lang].tag);
        }
    }
}


static void
tags(void)
{
    size_t       i, lang;
    char         err[256];
    doi_pages_t  pages;

    static const struct {
        const char  *tag;
        const char  *want;
    } cases[] = {
        { "", "en" },
        { "en", "en" },
        { "de", "de" },
        { "DE", "de" },
        { "de-CH", "de" },
        { "de-AT", "de-at" },
        { "de-at-1996", "de-at" },
        { " de ", "de" },
        { "pt", "pt-br" },
        { "pt-BR", "pt-br" },
        { "pt-PT", "en" },
        { "fr", "en" },
        { "*", "en" },
        { "d", "en" },
        { "deu", "en" },
        { "de;q=0", "en" },
        { "\xFF\r\n", "en" }
    };

    doi_pages_builtin(&pages);
    (void) doi_pages_override(&pages, "pt-BR.txt", str(""), err, sizeof(err));
    (void) doi_pages_override(&pages, "de-AT.txt", str(""), err, sizeof(err));

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        lang = doi_pages_lang_tag(&pages, str(cases[i].tag));

        if (!ok(strcmp(pages.langs[lang].tag, cases[i].want) == 0,
                "tag %zu is %s", i, cases[i].want))
        {
            printf("# got %s\n", pages.langs[lang].tag);
        }
    }
}


static void
types(void)
{
    size_t  i;

    static const struct {
        const char  *accept;
        int          json;
    } cases[] = {
        { "", 0 },
        { "*/*", 0 },
        { "text/html", 0 },
        { "text/html,application/xhtml+xml,application/xml;q=0.9,"
          "image/avif,*/*;q=0.8", 0 },
        { "image/png", 0 },
        { "application/json", 1 },
        { "APPLICATION/JSON", 1 },
        { "application/problem+json", 1 },
        { "application/json; charset=utf-8", 1 },
        { "application/json;q=0", 0 },
        { "application/json;q=0, application/problem+json;q=0.1", 1 },
        { "text/html, application/json", 0 },
        { "application/json, text/html", 0 },
        { "application/json, text/html;q=0.9", 1 },
        { "application/json;q=0.5, text/html", 0 },
        { "application/json, text/plain, */*", 1 },
        { "application/json;q=0.5, */*", 0 },
        { "application/json, */*;q=0.1", 1 },
        { "application/*", 1 },
        { "application/*, text/*", 0 },
        { "application/json, text/*", 1 },
        { "text/html;q=0, application/json;q=0.1", 1 },
        { "text/html;q=0, */*", 0 },
        { "application/json;x=\"a,text/html;q=1\"", 1 },
        { "application/json;x=\"a\\\",b\"", 1 },
        { "application/json;q=x", 0 },
        { "application/jsonp", 0 },
        { "application/vnd.api+json", 0 },
        { ",,;,", 0 },
        { "\"", 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        is_int(doi_accepts_json(str(cases[i].accept)), cases[i].json,
               "\"%s\" means %s", cases[i].accept,
               cases[i].json ? "JSON" : "HTML");
    }
}


int
main(void)
{
    all_pages();
    content();
    sizes();
    policy();
    overrides();
    languages();
    tags();
    types();

    return done_testing();
}
