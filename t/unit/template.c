/*
 * Templates and escaping: every filter with hostile input, sections, texts,
 * errors with their lines, and buffers that are too small.
 */

#include "tap.h"
#include "template.h"

#include <stdlib.h>


enum { A, B, C, DOT, VARS };

static const char *const  names[] = { "a", "b", "c", "x.y", NULL };


static doi_str_t
str(const char *text)
{
    doi_str_t  s;

    s.data = (const uint8_t *) text;
    s.len = strlen(text);

    return s;
}


static int
find_text(void *ctx, doi_str_t key, doi_str_t *text)
{
    static const char *const  texts[][2] = {
        { "plain", "Tom & \"Jerry\"" },
        { "var", "<{{a}}>" },
        { "cond", "{{#b}}B {{b}}{{/b}}{{^b}}no b{{/b}}" },
        { "once", "{{a}}" },
        { "nested", "{{t.plain}}" },
        { "filter", "{{a|uri}}" },
        { "empty", "" },
        { "none", NULL }
    };

    size_t  i;

    (void) ctx;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strlen(texts[i][0]) == key.len
            && memcmp(texts[i][0], key.data, key.len) == 0)
        {
            if (texts[i][1] == NULL) {
                return DOI_NOT_FOUND;
            }

            *text = str(texts[i][1]);
            return DOI_OK;
        }
    }

    return DOI_ERROR;
}


static doi_template_env_t
environment(void)
{
    doi_template_env_t  env;

    memset(&env, 0, sizeof(env));
    env.vars = names;
    env.text = find_text;
    env.style = str("p{a:\"<\"}");

    return env;
}


/* Renders into a static buffer of text. */

static const char *
render_with(const char *source, const doi_str_t *values)
{
    static char           text[4096];

    doi_buf_t             buf;
    doi_out_t             out;
    doi_template_t        t;
    doi_template_env_t    env = environment();
    doi_template_error_t  err;

    if (doi_template_compile(&t, &env, str(source), &err) != DOI_OK) {
        (void) snprintf(text, sizeof(text), "%u: %s", err.line, err.text);
        return text;
    }

    buf.data = (uint8_t *) text;
    buf.len = 0;
    buf.size = sizeof(text) - 1;

    doi_out_init(&out, &buf);
    doi_template_render(&t, values, &out);
    doi_out_done(&out, &buf);
    doi_template_free(&t);

    text[buf.len] = '\0';

    return text;
}


static const char *
render(const char *source, const char *a, const char *b, const char *c)
{
    doi_str_t  values[VARS];

    values[A] = str(a);
    values[B] = str(b);
    values[C] = str(c);
    values[DOT] = str("dot");

    return render_with(source, values);
}


#define is_str(got, want, ...)                                                \
    do {                                                                      \
        const char  *got_ = (got), *want_ = (want);                           \
        if (!ok(strcmp(got_, want_) == 0, __VA_ARGS__)) {                     \
            printf("# got      '%s'\n# expected '%s'\n", got_, want_);        \
        }                                                                     \
    } while (0)


typedef struct {
    const char  *name;
    const char  *in;
    size_t       len;           /* 0: up to the zero */
    const char  *out;
} filter_case_t;

static const filter_case_t  html_cases[] = {
    { "markup", "<script>alert('x')</script>", 0,
      "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" },
    { "attribute", "\" onclick=\"x", 0, "&quot; onclick=&quot;x" },
    { "entity", "&amp;", 0, "&amp;amp;" },
    { "lines", "a\r\nb\rc\td", 0, "a\n\nb\nc\td" },
    { "zero", "a\0b", 3, "a\xEF\xBF\xBD" "b" },
    { "control", "a\x1B[31m\x7F", 0,
      "a\xEF\xBF\xBD[31m\xEF\xBF\xBD" },
    { "UTF-8", "M\xC3\xBCller \xE2\x82\xAC \xF0\x9F\x98\x80", 0,
      "M\xC3\xBCller \xE2\x82\xAC \xF0\x9F\x98\x80" },
    { "lone lead before markup", "\xC3<b>", 0, "\xEF\xBF\xBD&lt;b&gt;" },
    { "lone continuation", "\x80\xBF", 0, "\xEF\xBF\xBD\xEF\xBF\xBD" },
    { "cut short", "\xE2\x82", 0, "\xEF\xBF\xBD" },
    { "cut short, then a quote", "\xF0\x9F\x98\"", 0,
      "\xEF\xBF\xBD&quot;" },
    { "overlong <", "\xC0\xBC", 0, "\xEF\xBF\xBD\xEF\xBF\xBD" },
    { "overlong < of three", "\xE0\x80\xBC", 0,
      "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },
    { "surrogate", "\xED\xA0\x80", 0,
      "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },
    { "beyond U+10FFFF", "\xF4\x90\x80\x80", 0,
      "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },
    { "F5 to FF", "\xF5\xFE\xFF", 0,
      "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },
    { "braces", "{{a}}{{t.plain}}", 0, "{{a}}{{t.plain}}" },
    { NULL, NULL, 0, NULL }
};

static const filter_case_t  uri_cases[] = {
    { "address", "Tom+x@example.org", 0, "Tom%2Bx@example.org" },
    { "more parameters", "a@b.c?bcc=x&cc=y#z", 0,
      "a@b.c%3Fbcc%3Dx%26cc%3Dy%23z" },
    { "header injection", "a@b.c\r\nBcc: x", 0, "a@b.cBcc%3A%20x" },
    { "zero", "a\0b", 3, "ab" },
    { "markup", "\"><script>", 0, "%22%3E%3Cscript%3E" },
    { "percent", "%0a", 0, "%250a" },
    { "UTF-8", "\xC3\xBC", 0, "%C3%BC" },
    { "not UTF-8", "\xFF" "a", 0, "%EF%BF%BD" "a" },
    { "only control characters", "\r\n", 0, "" },
    { NULL, NULL, 0, NULL }
};

static const filter_case_t  url_cases[] = {
    { "https", "https://example.org/a?b=c&d=e#f", 0,
      "https://example.org/a?b=c&amp;d=e#f" },
    { "case", "HTTP://example.org", 0, "HTTP://example.org" },
    { "path", "/book/a%20b", 0, "/book/a%20b" },
    { "root", "/", 0, "/" },
    { "javascript", "javascript:alert(1)", 0, "" },
    { "javascript with a tab", "java\tscript:alert(1)", 0, "" },
    { "leading blank", " https://example.org/", 0, "" },
    { "data", "data:text/html,<b>", 0, "" },
    { "vbscript", "vbscript:x", 0, "" },
    { "relative", "book", 0, "" },
    { "other host", "//evil.example/", 0, "" },
    { "other host with a backslash", "/\\evil.example/", 0, "" },
    { "other host behind a tab", "/\t/evil.example/", 0,
      "/%09/evil.example/" },
    { "other host behind a line end", "/\n/evil.example/", 0,
      "/%0A/evil.example/" },
    { "scheme alone", "https://", 0, "" },
    { "scheme without slashes", "https:evil", 0, "" },
    { "quotes", "https://e.org/\"'<>`", 0,
      "https://e.org/%22%27%3C%3E%60" },
    { "lines", "https://e.org/\r\nX: y", 0, "https://e.org/%0D%0AX:%20y" },
    { "zero", "https://e.org/\0x", 16, "https://e.org/%00x" },
    { "UTF-8", "https://m\xC3\xBCller.example/", 0,
      "https://m%C3%BCller.example/" },
    { "not UTF-8", "https://e.org/\xC0\xAF", 0,
      "https://e.org/%EF%BF%BD%EF%BF%BD" },
    { "empty", "", 0, "" },
    { NULL, NULL, 0, NULL }
};

static const filter_case_t  short_cases[] = {
    { "https", "https://www.example.org/", 0, "www.example.org" },
    { "http with a path", "HTTP://example.org/a/b", 0, "example.org/a/b" },
    { "markup", "https://<b>/", 0, "&lt;b&gt;" },
    { "anything else", "javascript:x", 0, "javascript:x" },
    { "scheme alone", "https://", 0, "" },
    { NULL, NULL, 0, NULL }
};

static const filter_case_t  tel_cases[] = {
    { "plain", "030 123-45/67", 0, "0301234567" },
    { "international", "+49 30 123", 0, "+4930123" },
    { "the zero within the country", "+49 (0)30 123", 0, "+4930123" },
    { "brackets", "(030) 123", 0, "030123" },
    { "plus in brackets", "(+49) 30", 0, "+4930" },
    { "later plus", "12+34", 0, "1234" },
    { "two plus", "++49", 0, "+49" },
    { "plus alone", "+", 0, "" },
    { "letters", "call me", 0, "" },
    { "commands", "*21#\";x", 0, "21" },
    { "lines", "1\r\n2", 0, "12" },
    { "zero", "1\0" "2", 3, "12" },
    { "not UTF-8", "\xFF" "1", 0, "1" },
    { NULL, NULL, 0, NULL }
};

static const filter_case_t  json_cases[] = {
    { "quotes", "a\"b\\c/", 0, "a\\\"b\\\\c/" },
    { "lines", "a\r\n\tb", 0, "a\\r\\n\\tb" },
    { "zero", "a\0b", 3, "a\\u0000b" },
    { "control", "\x01\x1F\x7F", 0, "\\u0001\\u001f\\u007f" },
    { "UTF-8", "\xC3\xBC", 0, "\xC3\xBC" },
    { "not UTF-8 before a quote", "\xE2\"", 0, "\xEF\xBF\xBD\\\"" },
    { NULL, NULL, 0, NULL }
};


static const filter_case_t  text_cases[] = {
    { "as it is", "a\"<&>'\\{{x}}", 0, "a\"<&>'\\{{x}}" },
    { "lines", "a\r\nb\nc", 0, "a  b c" },
    { "controls", "a\tb\x1B\x7F", 0, "a b  " },
    { "zero", "a\0b", 3, "a b" },
    { "C1", "a\xC2\x80" "b\xC2\x85" "c\xC2\x9F" "d\xC2\xA0", 0,
      "a b c d\xC2\xA0" },
    { "separators", "a\xE2\x80\xA8" "b\xE2\x80\xA9" "c\xE2\x80\xA7", 0,
      "a b c\xE2\x80\xA7" },
    { "not UTF-8 before a line end", "\xE2\x80\n", 0, "\xEF\xBF\xBD " },
    { NULL, NULL, 0, NULL }
};


static void
filters(const char *label, doi_escape_t how, const filter_case_t *cases)
{
    char       text[512];
    doi_buf_t  buf;
    doi_out_t  out;
    doi_str_t  in;

    for ( /* void */ ; cases->name != NULL; cases++) {

        in = str(cases->in);

        if (cases->len) {
            in.len = cases->len;
        }

        buf.data = (uint8_t *) text;
        buf.len = 0;
        buf.size = sizeof(text) - 1;

        doi_out_init(&out, &buf);
        doi_out_escape(&out, how, in);
        doi_out_done(&out, &buf);

        text[buf.len] = '\0';

        is_str(text, cases->out, "%s: %s", label, cases->name);
        is_int(doi_escape_empty(how, in), cases->out[0] == '\0',
               "%s: %s: emptiness", label, cases->name);
    }
}


static void
values_and_sections(void)
{
    is_str(render("x", "", "", ""), "x", "text alone");
    is_str(render("", "", "", ""), "", "nothing");
    is_str(render("{{a}}-{{ b }}-{{x.y}}", "1", "2", ""), "1-2-dot",
           "values");
    is_str(render("{{a}}", "{{b}}", "2", ""), "{{b}}",
           "a value is not a template");
    is_str(render("{{a|html}} {{a|uri}}", "<", "", ""), "&lt; %3C",
           "filters");
    is_str(render("{{ a | uri }}", "<", "", ""), "%3C",
           "blanks around a filter");
    is_str(render("{ {a} } }} {", "1", "", ""), "{ {a} } }} {",
           "single braces");

    is_str(render("{{#a}}yes{{/a}}{{^a}}no{{/a}}", "1", "", ""), "yes",
           "shown if not empty");
    is_str(render("{{#a}}yes{{/a}}{{^a}}no{{/a}}", "", "", ""), "no",
           "shown if empty");
    is_str(render("{{#a}}1{{#b}}2{{^c}}3{{/c}}4{{/b}}5{{/a}}6", "x", "x", ""),
           "123456", "nested, all shown");
    is_str(render("{{#a}}1{{#b}}2{{^c}}3{{/c}}4{{/b}}5{{/a}}6", "x", "", ""),
           "156", "nested, inner hidden");
    is_str(render("{{#a}}1{{#b}}2{{^c}}3{{/c}}4{{/b}}5{{/a}}6", "", "x", "x"),
           "6", "nested, outer hidden");
    is_str(render("{{#a|url}}link{{/a}}{{^a|url}}text{{/a}}",
                  "javascript:x", "", ""), "text", "section with a filter");
    is_str(render("{{#a|url}}{{#a}}x{{/a}}{{/a|url}}", "/x", "", ""), "x",
           "the closing tag may repeat the filter");

    is_str(render("a{{! note\n with lines }}b", "", "", ""), "ab", "comment");
    is_str(render("1\n  {{#a}}\n2\n{{/a}}\t\n{{! x }}\n3", "x", "", ""),
           "1\n2\n3", "lines of tags alone vanish");
    is_str(render("{{! x }}\r\n{{#a}}\r\n2\r\n{{/a}}", "x", "", ""), "2\r\n",
           "so they do at the start, at the end and with CR LF");
    is_str(render("1 {{#a}}\n2{{/a}}\n", "x", "", ""), "1 \n2\n",
           "other lines stay");

    is_str(render("<style>{{style|css}}</style>", "", "", ""),
           "<style>p{a:\"<\"}</style>", "style sheet as it is");
}


static void
texts(void)
{
    is_str(render("{{t.plain}}", "", "", ""), "Tom &amp; &quot;Jerry&quot;",
           "a text is escaped");
    is_str(render("?s={{t.plain|uri}}", "", "", ""),
           "?s=Tom%20%26%20%22Jerry%22", "a text with a filter");
    is_str(render("{{t.var}}", "&", "", ""), "&lt;&amp;&gt;",
           "a variable in a text");
    is_str(render("{{t.var|uri}}", "&", "", ""), "%3C%26%3E",
           "takes the filter of the text");
    is_str(render("{{t.once}}", "{{b}}", "x", ""), "{{b}}",
           "is expanded once");
    is_str(render("{{t.cond}}", "", "x", ""), "B x", "sections in a text");
    is_str(render("{{t.cond}}", "", "", ""), "no b", "sections in a text, 2");
    is_str(render("{{#t.plain}}yes{{/t.plain}}{{^t.plain}}no{{/t.plain}}", "",
                  "", ""), "yes", "section of a text");
    is_str(render("{{#t.empty}}yes{{/t.empty}}{{^t.empty}}no{{/t.empty}}", "",
                  "", ""), "no", "section of an empty text");
    is_str(render("{{#t.none}}{{#a}}{{t.none}}{{/a}}{{/t.none}}.", "1", "",
                  ""), ".", "section of a text that is not there");
}


static void
errors(void)
{
    size_t  i;
    char    deep[256];

    static const char *const  cases[][2] = {
        { "a\nb {{a", "2: \"{{\" without \"}}\"" },
        { "{{a}", "1: \"{{\" without \"}}\"" },
        { "\n\n{{nope}}", "3: unknown variable \"nope\"" },
        { "{{#nope}}{{/nope}}", "1: unknown variable \"nope\"" },
        { "{{a}}\n{{! x\ny }}\n{{a|nope}}",
          "4: unknown filter \"nope\" (there are html, uri, url, short, tel)"
        },
        { "{{a|css}}",
          "1: unknown filter \"css\" (there are html, uri, url, short, tel)"
        },
        { "{{a|}}", "1: no filter after \"|\" in \"a|\"" },
        { "{{}}", "1: not a name: \"\"" },
        { "{{#}}", "1: not a name: \"#\"" },
        { "{{a b}}", "1: not a name: \"a b\"" },
        { "{{{a}}}", "1: not a name: \"{a\"" },
        { "{{&a}}", "1: not a name: \"&a\"" },
        { "{{a\x1B[31m}}", "1: not a name: \"a?[31m\"" },
        { "x\n{{#a}}\n{{#b}}\n{{/b}}",
          "2: section is not closed: \"a\"" },
        { "{{#a}}\n{{#b}}\n{{/a}}{{/b}}",
          "3: the section to be closed first is not \"a\"" },
        { "\n{{/a}}", "2: no section is open to be closed by \"a\"" },
        { "{{style}}", "1: the style sheet is written {{style|css}}" },
        { "{{t.nope}}", "1: no LANG.txt has the text \"nope\"" },
        { "{{#t.nope}}{{/t.nope}}", "1: no LANG.txt has the text \"nope\"" },
        { "{{t.plain|tel}}",
          "1: a text takes only the filters html and uri, not \"tel\"" },
        { "{{t.nested}}",
          "1: a text may not contain another text: \"t.plain\"" },
        { "{{t.filter}}", "1: a text may not contain a filter: \"uri\"" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        is_str(render(cases[i][0], "", "", ""), cases[i][1], "error: %s",
               cases[i][1]);
    }

    for (i = 0; i < DOI_TEMPLATE_DEPTH + 1; i++) {
        (void) snprintf(deep + i * 6, sizeof(deep) - i * 6, "{{#a}}");
    }

    is_str(render(deep, "", "", ""),
           "1: sections are nested too deeply: \"a\"", "error: too deep");
}


static void
sizes(void)
{
    char                  text[64], whole[64];
    size_t                i, good;
    doi_buf_t             buf;
    doi_out_t             out;
    doi_str_t             values[VARS];
    doi_template_t        t;
    doi_template_env_t    env = environment();
    doi_template_error_t  err;

    static const char     source[] = "<p>{{a}}</p>{{t.plain}}{{a|uri}}";

    memset(values, 0, sizeof(values));
    values[A] = str("<\xC3\xBC>");

    (void) snprintf(whole, sizeof(whole), "%s", render_with(source, values));

    is_int(doi_template_compile(&t, &env, str(source), &err), DOI_OK,
           "compiled");

    for (i = 0, good = 0; i <= strlen(whole) + 1; i++) {

        memset(text, '#', sizeof(text));

        buf.data = i ? (uint8_t *) text : NULL;
        buf.len = 0;
        buf.size = i;

        doi_out_init(&out, &buf);
        doi_template_render(&t, values, &out);
        doi_out_done(&out, &buf);

        good += out.need == strlen(whole)
                && buf.len == (i < strlen(whole) ? i : strlen(whole))
                && memcmp(text, whole, buf.len) == 0 && text[i] == '#';
    }

    is_int(good, strlen(whole) + 2, "every size writes what fits");

    doi_template_free(&t);
    doi_template_free(&t);
    ok(1, "freed twice");
}


int
main(void)
{
    filters("html", DOI_ESCAPE_HTML, html_cases);
    filters("uri", DOI_ESCAPE_URI, uri_cases);
    filters("url", DOI_ESCAPE_URL, url_cases);
    filters("short", DOI_ESCAPE_SHORT, short_cases);
    filters("tel", DOI_ESCAPE_TEL, tel_cases);
    filters("json", DOI_ESCAPE_JSON, json_cases);
    filters("text", DOI_ESCAPE_TEXT, text_cases);

    values_and_sections();
    texts();
    errors();
    sizes();

    return done_testing();
}
