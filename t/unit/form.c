/* Submitted forms: src/core/form.c, src/core/form_multipart.c */

#include <stdlib.h>
#include <string.h>

#include "../../src/core/form.h"
#include "tap.h"


#define MULTI       "multipart/form-data; boundary=b"
#define MIB         1048576

/* Headers of a part, and a part with a value. */
#define HEAD(name)          "Content-Disposition: form-data; name=\"" name "\""
#define PART(name, value)   "--b\r\n" HEAD(name) "\r\n\r\n" value "\r\n"
#define END                 "--b--\r\n"


static doi_form_t    form;
static const char   *err;
static uint8_t      *body, *scratch;
static size_t        body_len;


static doi_str_t
str(const void *data, size_t len)
{
    doi_str_t  s;

    s.data = data;
    s.len = len;

    return s;
}


static doi_str_t
text(const char *s)
{
    return str(s, strlen(s));
}


static int
same(doi_str_t s, const char *want, size_t len)
{
    return s.len == len && (len == 0 || memcmp(s.data, want, len) == 0);
}


/* Where a sanitizer sees a byte read or written too many. */

static int
parse(doi_form_type_t type, const char *content_type, const void *data,
    size_t len)
{
    int       rc;
    size_t    n;
    uint8_t  *copy;

    free(body);
    free(scratch);

    n = strlen(content_type);
    copy = malloc(n ? n : 1);
    body = malloc(len ? len : 1);
    scratch = malloc(len ? len : 1);

    if (copy == NULL || body == NULL || scratch == NULL) {
        abort();
    }

    memcpy(copy, content_type, n);
    memcpy(body, data, len);
    body_len = len;

    err = "unset";
    rc = doi_form_parse(type, str(copy, n), str(body, len), scratch, &form,
                        &err);
    free(copy);

    return rc;
}


static int
urlencoded(const char *data)
{
    return parse(DOI_FORM_URLENCODED, "", data, strlen(data));
}


static int
multipart(const char *data)
{
    return parse(DOI_FORM_MULTIPART, MULTI, data, strlen(data));
}


static int
has(const char *name, const char *value)
{
    doi_str_t  got;

    return doi_form_get(&form, text(name), &got) == DOI_OK
           && same(got, value, strlen(value));
}


/* Refused with an error that holds why, and without fields. */

static int
refused(int rc, const char *why)
{
    if (rc == DOI_ERROR && form.n == 0 && err != NULL
        && strstr(err, why) != NULL)
    {
        return 1;
    }

    printf("# rc %d, %zu fields, %s\n", rc, form.n, err ? err : "no error");

    return 0;
}


static void
test_type(void)
{
    size_t  i;

    static const struct {
        const char       *type;
        doi_form_type_t   want;
    } types[] = {
        { "application/x-www-form-urlencoded", DOI_FORM_URLENCODED },
        { "APPLICATION/X-WWW-Form-UrlEncoded;charset=UTF-8",
          DOI_FORM_URLENCODED },
        { " application/x-www-form-urlencoded\t; a=b", DOI_FORM_URLENCODED },
        { "application/x-www-form-urlencoded2", DOI_FORM_UNKNOWN },
        { "application/x-www-form-urlencode", DOI_FORM_UNKNOWN },
        { "Multipart/Form-Data; charset=utf-8; boundary=\"a b\"",
          DOI_FORM_MULTIPART },
        { "multipart/mixed; boundary=a", DOI_FORM_UNKNOWN },
        { "application/json", DOI_FORM_JSON },
        { "Application/JSON; charset=utf-8", DOI_FORM_JSON },
        { "application/vnd.api+json", DOI_FORM_JSON },
        { "application/Problem+JSON ; x", DOI_FORM_JSON },
        { "application/+json", DOI_FORM_UNKNOWN },
        { "+json", DOI_FORM_UNKNOWN },
        { "/a+json", DOI_FORM_UNKNOWN },
        { "text/a +json", DOI_FORM_UNKNOWN },
        { "text/plain, text/a+json", DOI_FORM_UNKNOWN },
        { "text/plain; a=application/json", DOI_FORM_UNKNOWN },
        { "application/jsonp", DOI_FORM_UNKNOWN },
        { "application/JSO\x4e", DOI_FORM_JSON },
        { "application/JSO\x6e", DOI_FORM_JSON },
        { "application/jso\x0e", DOI_FORM_UNKNOWN },
        { "multipart\x0f" "form-data", DOI_FORM_UNKNOWN },
        { "multipart/form\x0d" "data", DOI_FORM_UNKNOWN },
        { "application", DOI_FORM_UNKNOWN },
        { ";application/json", DOI_FORM_UNKNOWN },
        { "", DOI_FORM_UNKNOWN },
    };

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        is_int(doi_form_type(text(types[i].type)), types[i].want,
               "type of '%s'", types[i].type);
    }

    is_int(doi_form_type(str(NULL, 0)), DOI_FORM_UNKNOWN, "no Content-Type");

    ok(refused(parse(DOI_FORM_JSON, "application/json", "{}", 2), "neither"),
       "JSON is not read here");
    ok(refused(parse(DOI_FORM_UNKNOWN, "", "a=b", 3), "neither"),
       "nor is what nobody knows");
}


static void
test_urlencoded(void)
{
    is_int(urlencoded("email=a%40b.c&name=Anna+Maria%20M%C3%BCller&x="),
           DOI_OK, "a form");
    is_int(form.n, 3, "three fields");
    ok(err == NULL, "no error");
    ok(has("email", "a@b.c"), "percent encoding");
    ok(has("name", "Anna Maria M\xC3\xBCller"), "plus, %%20, UTF-8");
    ok(has("x", ""), "an empty value");
    is_int(form.fields[1].file, 0, "not a file");

    is_int(urlencoded(""), DOI_OK, "an empty body");
    is_int(form.n, 0, "no fields");

    is_int(doi_form_parse(DOI_FORM_URLENCODED, str(NULL, 0), str(NULL, 0),
                          NULL, &form, &err),
           DOI_OK, "no body at all");

    is_int(urlencoded("&&a=1&&b=2&"), DOI_OK, "ampersands that part nothing");
    is_int(form.n, 2, "make no fields");

    is_int(urlencoded("a&=b&=&c=d=e&f;g=h"), DOI_OK, "odd fields");
    is_int(form.n, 5, "are fields");
    ok(has("a", ""), "no equals sign");
    ok(same(form.fields[1].name, "", 0) && same(form.fields[1].value, "b", 1),
       "an empty name");
    ok(same(form.fields[2].name, "", 0) && same(form.fields[2].value, "", 0),
       "nothing but an equals sign");
    ok(has("c", "d=e"), "the second equals sign is of the value");
    ok(has("f;g", "h"), "a semicolon parts nothing");

    is_int(urlencoded("a%26b%3Dc=%3d%26%2B%00%0D%0a"), DOI_OK,
           "encoded delimiters");
    is_int(form.n, 1, "part nothing");
    ok(same(form.fields[0].name, "a&b=c", 5), "in the name");
    ok(same(form.fields[0].value, "=&+\0\r\n", 6), "in the value, NUL too");

    is_int(parse(DOI_FORM_URLENCODED, "", "a=\0\xff&b=\r\n", 9), DOI_OK,
           "any bytes");
    ok(same(form.fields[0].value, "\0\xff", 2), "are kept");

    is_int(urlencoded("a=%aa%AA%ff%FF%09%90"), DOI_OK, "all kinds of digits");
    ok(has("a", "\xaa\xaa\xff\xff\x09\x90"), "are digits");

    ok(refused(urlencoded("a=%@1"), "percent"), "%%@1");
    ok(refused(urlencoded("a=%1`"), "percent"), "%%1`");
    ok(refused(urlencoded("a=%1:"), "percent"), "%%1:");
    ok(refused(urlencoded("a=%1/"), "percent"), "%%1/");
    ok(refused(urlencoded("ok=1&a=%"), "percent"), "%% at the end");
    ok(refused(urlencoded("a=%4"), "percent"), "one digit at the end");
    ok(refused(urlencoded("a=%4&b=c"), "percent"), "one digit in the middle");
    ok(refused(urlencoded("a=%4g"), "percent"), "%%4g");
    ok(refused(urlencoded("a=%G4"), "percent"), "%%G4");
    ok(refused(urlencoded("a=100%"), "percent"), "100%%");
    ok(refused(urlencoded("a=%%34"), "percent"), "%%%%34");
    ok(refused(urlencoded("%x=a"), "percent"), "in a name");
    ok(refused(urlencoded("a%4=1"), "percent"),
       "digits are not taken from behind the equals sign");
}


static void
test_get(void)
{
    doi_str_t  value = { NULL, 77 };

    is_int(urlencoded("a=1&b=2&a=1&=x"), DOI_OK, "a form");

    is_int(doi_form_get(&form, text("a"), &value), DOI_ERROR,
           "a field that is there twice");
    is_int(doi_form_get(&form, text("c"), &value), DOI_NOT_FOUND,
           "one that is missing");
    is_int(doi_form_get(&form, text("B"), &value), DOI_NOT_FOUND,
           "names have a case");
    is_int(value.len, 77, "the value is left alone");
    is_int(doi_form_get(&form, text("b"), &value), DOI_OK, "one");
    ok(same(value, "2", 1), "has its value");
    is_int(doi_form_get(&form, str(NULL, 0), &value), DOI_OK,
           "the empty name");
    ok(same(value, "x", 1), "has its value");
}


static void
test_many(void)
{
    size_t  i, len;
    char   *p;

    p = malloc(MIB + 16);
    if (p == NULL) {
        abort();
    }

    for (len = 0, i = 0; i < DOI_FORM_FIELDS; i++) {
        len += (size_t) sprintf(p + len, "a%zu=%zu&", i, i);
    }

    is_int(parse(DOI_FORM_URLENCODED, "", p, len), DOI_OK, "512 fields");
    is_int(form.n, DOI_FORM_FIELDS, "all of them");
    ok(has("a511", "511"), "the last one");

    p[len++] = 'z';
    ok(refused(parse(DOI_FORM_URLENCODED, "", p, len), "512"), "513 fields");

    for (len = 0, i = 0; i <= DOI_FORM_FIELDS; i++) {
        len += (size_t) sprintf(p + len, PART("a", "%zu"), i);
    }

    len += (size_t) sprintf(p + len, END);
    ok(refused(parse(DOI_FORM_MULTIPART, MULTI, p, len), "512"), "513 parts");

    memset(p, 'x', MIB + 2);
    memcpy(p, "a=", 2);
    is_int(parse(DOI_FORM_URLENCODED, "", p, MIB + 2), DOI_OK, "1 MiB");
    is_int(form.fields[0].value.len, MIB, "in one field");

    memset(p, '&', MIB);
    is_int(parse(DOI_FORM_URLENCODED, "", p, MIB), DOI_OK, "1 MiB of &");
    is_int(form.n, 0, "has no fields");

    for (i = 0; i + 3 <= MIB; i += 3) {
        memcpy(p + i, "%41", 3);
    }

    is_int(parse(DOI_FORM_URLENCODED, "", p, i), DOI_OK, "1 MiB of %%41");
    is_int(form.fields[0].name.len, i / 3, "in one name");

    /* boundaries that are none, everywhere */

    for (len = 0; len < MIB; len += 3) {
        memcpy(p + len, "--b", 3);
    }

    p[0] = 'x';
    ok(refused(parse(DOI_FORM_MULTIPART, MULTI, p, len), "ends before"),
       "1 MiB of boundaries within a line");

    free(p);
}


static void
test_multipart(void)
{
    doi_str_t  value;

    is_int(multipart(PART("email", "a@b.c") PART("name", "M\xC3\xBCller")
                     PART("empty", "") END),
           DOI_OK, "a form");
    is_int(form.n, 3, "three fields");
    ok(err == NULL, "no error");
    ok(has("email", "a@b.c"), "a value");
    ok(has("name", "M\xC3\xBCller"), "UTF-8");
    ok(has("empty", ""), "an empty value");
    is_int(form.fields[0].file, 0, "not a file");

    is_int(multipart(PART("a", "x\r\ny\r\n") END), DOI_OK, "line ends");
    ok(has("a", "x\r\ny\r\n"), "are kept in a value");

    is_int(multipart(PART("a", "%41+%zz\n--\n-- b\r\n--c--b--") END), DOI_OK,
           "what looks like something else");
    ok(has("a", "%41+%zz\n--\n-- b\r\n--c--b--"), "is a value");

    is_int(parse(DOI_FORM_MULTIPART, MULTI,
                 PART("a", "\0\xff\r") END, sizeof(PART("a", "\0\xff\r") END)
                 - 1),
           DOI_OK, "any bytes");
    ok(same(form.fields[0].value, "\0\xff\r", 3), "are kept");

    is_int(multipart(END), DOI_OK, "a form without fields");
    is_int(form.n, 0, "has none");
    is_int(multipart("--b--"), DOI_OK, "the last line may have no end");

    is_int(multipart("pre\r\n--\r\n" PART("a", "1") END "epi\n--x"), DOI_OK,
           "preamble and epilogue");
    is_int(form.n, 1, "are no fields");
    ok(has("a", "1"), "between them is one");

    is_int(multipart("--b \t\r\n" HEAD("a") "\r\n\r\n1\r\n--b--  \t"), DOI_OK,
           "blanks after boundaries");
    ok(has("a", "1"), "are skipped");

    is_int(multipart("--b\r\ncontent-TYPE: text/plain\r\n"
                     "CONTENT-disposition:Form-Data;NAME=a ; x=y;\r\n"
                     "Content-Transfer-Encoding: 8BIT\r\nX-Empty:\r\n\r\n1\r\n"
                     END),
           DOI_OK, "headers of another make");
    ok(has("a", "1"), "are understood");

    is_int(multipart(PART("a", "1") PART("a", "2") END), DOI_OK, "twice");
    is_int(doi_form_get(&form, text("a"), &value), DOI_ERROR, "is seen");
}


static void
test_names(void)
{
    is_int(multipart(PART("a%22b", "1") PART("a\\\"c", "2")
                     PART("d\\\\e\\f", "3") PART("g%0D%0ah", "4")
                     PART("100%, %4 %20%02%1d%0x%1A", "5")
                     PART("i;j=k", "6")
                     PART("l\\\\\\\"", "7") PART("", "8") END),
           DOI_OK, "names with escapes");
    is_int(form.n, 8, "all of them");
    ok(has("a\"b", "1"), "as browsers send a quote");
    ok(has("a\"c", "2"), "as others do");
    ok(has("d\\e\\f", "3"), "backslashes");
    ok(has("g\r\nh", "4"), "line ends");
    ok(has("100%, %4 %20%02%1d%0x%1A", "5"),
       "other percent signs are themselves");
    ok(has("i;j=k", "6"), "delimiters in quotes");
    ok(has("l\\\"", "7"), "an escaped backslash, then an escaped quote");
    ok(has("", "8"), "an empty name");

    is_int(multipart("--b\r\nContent-Disposition: form-data; name=a%22\\\r\n"
                     "\r\n1\r\n" END),
           DOI_ERROR, "a backslash outside of quotes");
    is_int(multipart("--b\r\nContent-Disposition: form-data; name=a%22\r\n"
                     "\r\n1\r\n" END),
           DOI_OK, "a name without quotes");
    ok(has("a%22", "1"), "has no escapes");
}


static void
test_files(void)
{
    doi_str_t  value;

    is_int(multipart("--b\r\n" HEAD("f") "; filename=\"C:\\dir\\a \\\"b.txt\""
                     "\r\nContent-Type: text/plain\r\n\r\nfile\r\n"
                     "--b\r\n" HEAD("g") "; filename*=UTF-8''%e2%82%ac\r\n"
                     "\r\n\r\n"
                     "--b\r\nContent-Disposition: form-data; filename=x; "
                     "name=h\r\n\r\n\r\n" END),
           DOI_OK, "files");
    is_int(form.n, 3, "three");
    ok(form.fields[0].file && form.fields[1].file && form.fields[2].file,
       "are known as files, by filename and filename*");
    ok(same(form.fields[0].name, "f", 1)
       && same(form.fields[0].value, "file", 4), "name and content");
    ok(same(form.fields[2].name, "h", 1), "name after filename");
    is_int(doi_form_get(&form, text("f"), &value), DOI_NOT_FOUND,
           "a file is not the value of a field");

    is_int(multipart("--b\r\n" HEAD("f") "; filename=x\r\n\r\n1\r\n"
                     PART("f", "2") END),
           DOI_OK, "a field and a file of one name");
    is_int(doi_form_get(&form, text("f"), &value), DOI_ERROR,
           "are one too many");

    is_int(multipart("--b\r\n" HEAD("f") "; xfilename=a\r\n\r\n1\r\n" END),
           DOI_OK, "another parameter");
    is_int(form.fields[0].file, 0, "makes no file");
}


static void
test_boundaries(void)
{
    char    type[256], data[512];
    size_t  i;

    static const struct {
        const char  *type;
        const char  *why;
    } bad[] = {
        { "", "no boundary" },
        { "multipart/form-data", "no boundary" },
        { "multipart/form-data;", "no boundary" },
        { "multipart/form-data; x=b", "no boundary" },
        { "multipart/form-data; boundary", "broken parameter" },
        { "multipart/form-data; boundary=", "empty boundary" },
        { "multipart/form-data; boundary=\"\"", "empty boundary" },
        { "multipart/form-data; boundary=\"b", "broken parameter" },
        { "multipart/form-data; boundary=\"b\\", "broken parameter" },
        { "multipart/form-data; boundary=\"b\\\"", "broken parameter" },
        { "multipart/form-data; boundary=\"b\"x", "broken parameter" },
        { "multipart/form-data; boundary=b c", "broken parameter" },
        { "multipart/form-data; boundary =b", "broken parameter" },
        { "multipart/form-data; boundary=\"b \"", "may not be" },
        { "multipart/form-data; boundary=\"b\\\\\"", "may not be" },
        { "multipart/form-data; boundary=b\xC3\xBC", "may not be" },
        { "multipart/form-data; boundary=b*", "may not be" },
        { "multipart/form-data; boundary=b; boundary=b", "two boundaries" },
        { "multipart/form-data; boundary=b; Boundary=\"c\"",
          "two boundaries" },
        { "multipart/form-data; boundary=b; =x", "broken parameter" },
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ok(refused(parse(DOI_FORM_MULTIPART, bad[i].type, PART("a", "1") END,
                         sizeof(PART("a", "1") END) - 1), bad[i].why),
           "refused: %s", bad[i].type);
    }

#define AB_PART                                                               \
    "--a b\r\n" HEAD("a") "\r\n\r\n1\r\n--a b--\r\n"

    is_int(parse(DOI_FORM_MULTIPART,
                 "Multipart/Form-Data; charset=utf-8; boundary=\"a b\"",
                 AB_PART, sizeof(AB_PART) - 1),
           DOI_OK, "in quotes, with a blank, after another parameter");
    ok(has("a", "1"), "is used");

    is_int(parse(DOI_FORM_MULTIPART,
                 "multipart/form-data;BOUNDARY=----WebKit'()+_,-./:=?9 ; x=y",
                 "------WebKit'()+_,-./:=?9--", 27),
           DOI_OK, "all characters that are allowed, without quotes");

    is_int(parse(DOI_FORM_MULTIPART,
                 "multipart/form-data; azAZ09=azAZ09; boundary=azAZ09",
                 "--azAZ09--", 10),
           DOI_OK, "the ends of the alphabets");

    ok(refused(parse(DOI_FORM_MULTIPART, "multipart/form-data; boundary=@",
                     "--@--", 5), "may not be"), "what is before A");
    ok(refused(parse(DOI_FORM_MULTIPART, "multipart/form-data; boundary={",
                     "--{--", 5), "may not be"), "what is behind z");

    for (i = 69; i <= 71; i++) {
        snprintf(type, sizeof(type), "multipart/form-data; boundary=%.*s",
                 (int) i,
                 "0123456789012345678901234567890123456789"
                 "0123456789012345678901234567890123456789");
        snprintf(data, sizeof(data), "--%s--",
                 strchr(type, '=') + 1);

        if (i <= 70) {
            is_int(parse(DOI_FORM_MULTIPART, type, data, strlen(data)),
                   DOI_OK, "a boundary of %zu characters", i);
        } else {
            ok(refused(parse(DOI_FORM_MULTIPART, type, data, strlen(data)),
                       "more than 70"), "a boundary of %zu characters", i);
        }
    }
}


static void
test_multipart_bad(void)
{
    size_t  i;

    static const struct {
        const char  *what;
        const char  *body;
        const char  *why;
    } bad[] = {
        { "nothing", "", "ends before" },
        { "no boundary in the body", "a=b", "ends before" },
        { "another boundary", "--c\r\n" HEAD("a") "\r\n\r\n1\r\n--c--",
          "ends before" },
        { "no last boundary", PART("a", "1"), "ends before" },
        { "a last boundary without its hyphens", PART("a", "1") "--b",
          "ends before" },
        { "a last boundary and an end of line", PART("a", "1") "--b\r\n",
          "ends before" },
        { "a last boundary with one hyphen", PART("a", "1") "--b-",
          "only begins" },
        { "an end within the headers", "--b\r\nContent-Dispo",
          "ends before" },
        { "a longer boundary", PART("a", "1\r\n--bb") END, "only begins" },
        { "something after the last boundary", PART("a", "1") "--b--x",
          "only begins" },
        { "LF only", "--b\n" HEAD("a") "\n\n1\n--b--\n", "CR LF" },
        { "LF before a boundary", PART("a", "1\n--b") END, "CR LF" },
        { "CR before a boundary", PART("a", "1\r--b") END, "CR LF" },
        { "LF after the last boundary", PART("a", "1") "--b--\n", "CR LF" },
        { "CR after a boundary", "--b\rx" END, "CR LF" },
        { "LF in the preamble", "x\n" PART("a", "1") END, "CR LF" },
        { "LF in the headers",
          "--b\r\nX: y\n" HEAD("a") "\r\n\r\n1\r\n" END,
          "control character" },
        { "a form after the form", PART("a", "1") END PART("a", "2") END,
          "goes on" },
        { "a boundary in the epilogue after LF",
          PART("a", "1") "--b--\r\n\n--b\r\n", "CR LF" },
        { "no headers", "--b\r\n\r\n1\r\n" END, "without a name" },
        { "an empty part", "--b\r\n" END, "empty line" },
        { "no empty line", "--b\r\n" HEAD("a") "\r\n" END, "empty line" },
        { "no empty line before the value",
          "--b\r\n" HEAD("a") "\r\nvalue\r\n" END, "empty line" },
        { "no empty line before two lines",
          "--b\r\n" HEAD("a") "\r\nvalue\r\nx\r\n" END,
          "broken header line" },
        { "no name", "--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n" END,
          "without a name" },
        { "a filename without a name",
          "--b\r\nContent-Disposition: form-data; filename=a\r\n\r\n1\r\n"
          END, "without a name" },
        { "two names", "--b\r\n" HEAD("a") "; name=b\r\n\r\n1\r\n" END,
          "two names" },
        { "two Content-Dispositions",
          "--b\r\n" HEAD("a") "\r\n" HEAD("b") "\r\n\r\n1\r\n" END,
          "two Content-Dispositions" },
        { "name*",
          "--b\r\n" HEAD("a") "; name*=UTF-8''b\r\n\r\n1\r\n" END,
          "broken Content-Disposition" },
        { "not form-data",
          "--b\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n" END,
          "not form-data" },
        { "an empty Content-Disposition",
          "--b\r\nContent-Disposition:\r\n\r\n1\r\n" END, "not form-data" },
        { "an open quote",
          "--b\r\nContent-Disposition: form-data; name=\"a\r\n\r\n1\r\n" END,
          "broken Content-Disposition" },
        { "a quote that is escaped and so stays open",
          "--b\r\nContent-Disposition: form-data; name=\"a\\\"\r\n\r\n1\r\n"
          END, "broken Content-Disposition" },
        { "something after the quote",
          "--b\r\n" HEAD("a") "x\r\n\r\n1\r\n" END,
          "broken Content-Disposition" },
        { "a second disposition within the first",
          "--b\r\n" HEAD("a") "; Content-Disposition: form-data; name=c\r\n"
          "\r\n1\r\n" END, "broken Content-Disposition" },
        { "a quote within a name",
          "--b\r\nContent-Disposition: form-data; name=a\"b\"\r\n\r\n1\r\n"
          END, "broken Content-Disposition" },
        { "a blank within a name",
          "--b\r\nContent-Disposition: form-data; name=a b\r\n\r\n1\r\n" END,
          "broken Content-Disposition" },
        { "a folded line",
          "--b\r\nContent-Disposition: form-data;\r\n name=a\r\n\r\n1\r\n" END,
          "broken header line" },
        { "a blank before the colon",
          "--b\r\nContent-Disposition : form-data; name=a\r\n\r\n1\r\n" END,
          "broken header line" },
        { "base64",
          "--b\r\n" HEAD("a") "\r\nContent-Transfer-Encoding: Base64\r\n\r\n"
          "MQ==\r\n" END, "transfer encoding" },
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ok(refused(multipart(bad[i].body), bad[i].why), "refused: %s",
           bad[i].what);
    }

#define NUL_PART                                                              \
    "--b\r\n" HEAD("a\0b") "\r\n\r\n1\r\n" END

    ok(refused(parse(DOI_FORM_MULTIPART, MULTI, NUL_PART,
                     sizeof(NUL_PART) - 1), "control character"),
       "refused: NUL in a name");

    is_int(doi_form_parse(DOI_FORM_MULTIPART, text(MULTI), str(NULL, 0), NULL,
                          &form, &err),
           DOI_ERROR, "no body at all");
}


/* A good form, cut off anywhere, is an error and not a shorter form. */

static void
test_cut(void)
{
    int     bad;
    size_t  i, whole;

    static const char  good[] =
        PART("email", "a@b.c") "--b\r\n" HEAD("f") "; filename=\"x\"\r\n"
        "Content-Type: text/plain\r\n\r\nfile\r\n--b--";

    bad = 0;
    whole = sizeof(good) - 1;

    for (i = 0; i < whole; i++) {
        if (parse(DOI_FORM_MULTIPART, MULTI, good, i) != DOI_ERROR) {
            printf("# at %zu\n", i);
            bad++;
        }
    }

    is_int(bad, 0, "%zu cuts are refused", whole);
    is_int(parse(DOI_FORM_MULTIPART, MULTI, good, whole), DOI_OK,
           "the whole is not");
}


static int
clean(const void *data, size_t len, size_t max, doi_str_t *value)
{
    static uint8_t  *copy;

    free(copy);
    copy = malloc(len ? len : 1);
    if (copy == NULL) {
        abort();
    }

    memcpy(copy, data, len);
    *value = str(copy, len);
    err = "unset";

    return doi_field_clean(value, max, &err);
}


static void
test_clean(void)
{
    size_t     i;
    doi_str_t  value;

    static const struct {
        const char  *what;
        const char  *value;
        const char  *want;
    } good[] = {
        { "plain", "Anna", "Anna" },
        { "empty", "", "" },
        { "blanks only", "  \xC2\xA0 ", "" },
        { "blanks around", "  Anna  M ", "Anna  M" },
        { "NBSP at both ends, kept inside",
          "\xC2\xA0" "A\xC2\xA0" "B\xC2\xA0\xC2\xA0", "A\xC2\xA0" "B" },
        { "ideographic and thin spaces at the ends",
          "\xE3\x80\x80" "A\xE2\x80\x89\xE2\x80\xAF\xE1\x9A\x80", "A" },
        { "BOM at the start, kept inside",
          "\xEF\xBB\xBF" "A\xEF\xBB\xBF" "B", "A\xEF\xBB\xBF" "B" },
        { "zero-width space at the end", "A\xE2\x80\x8B", "A" },
        { "zero-width joiners inside",
          "\xD9\x85\xE2\x80\x8C\xD9\x85 \xF0\x9F\x91\xA9\xE2\x80\x8D"
          "\xF0\x9F\x92\xBB",
          "\xD9\x85\xE2\x80\x8C\xD9\x85 \xF0\x9F\x91\xA9\xE2\x80\x8D"
          "\xF0\x9F\x92\xBB" },
        { "4 bytes, the highest code point", "\xF4\x8F\xBF\xBF",
          "\xF4\x8F\xBF\xBF" },
        { "U+2065, between the overrides", "a\xE2\x81\xA5" "b",
          "a\xE2\x81\xA5" "b" },
        { "a non-BMP character with bits of U+202E",
          "\xF0\x92\x80\xAE", "\xF0\x92\x80\xAE" },
    };

    static const struct {
        const char  *what;
        const char  *value;
        const char  *why;
    } bad[] = {
        { "a lone continuation byte", "a\x80", "UTF-8" },
        { "Latin-1", "M\xFCller", "UTF-8" },
        { "cut off", "a\xE2\x82", "UTF-8" },
        { "overlong slash", "\xC0\xAF", "UTF-8" },
        { "overlong NUL", "\xC0\x80", "UTF-8" },
        { "overlong of 3 bytes", "\xE0\x80\xAF", "UTF-8" },
        { "surrogate", "\xED\xA0\x80", "UTF-8" },
        { "surrogate pair", "\xED\xA0\xBD\xED\xB8\x80", "UTF-8" },
        { "above U+10FFFF", "\xF4\x90\x80\x80", "UTF-8" },
        { "U+202E", "a\xE2\x80\xAE" "b", "direction" },
        { "U+202A", "\xE2\x80\xAA" "b", "direction" },
        { "U+2066", "b\xE2\x81\xA6", "direction" },
        { "U+2069", "b\xE2\x81\xA9", "direction" },
        { "CR LF", "a\r\nBcc: b@c.d", "control" },
        { "LF at the end", "a\n", "control" },
        { "tab", "a\tb", "control" },
        { "DEL", "a\x7f", "control" },
        { "NEL, of C1", "a\xC2\x85", "control" },
        { "U+0080", "\xC2\x80", "control" },
        { "U+009F", "\xC2\x9F", "control" },
        { "U+2028", "a\xE2\x80\xA8", "control" },
        { "U+2029", "\xE2\x80\xA9" "a", "control" },
        { "ESC", "\x1b[2J", "control" },
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ok(clean(good[i].value, strlen(good[i].value), 100, &value) == DOI_OK
           && err == NULL && same(value, good[i].want, strlen(good[i].want)),
           "good: %s", good[i].what);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ok(clean(bad[i].value, strlen(bad[i].value), 100, &value) == DOI_ERROR
           && strstr(err, bad[i].why) != NULL
           && same(value, bad[i].value, strlen(bad[i].value)),
           "bad: %s", bad[i].what);
    }

    ok(clean("a\0b", 3, 100, &value) == DOI_ERROR
       && strstr(err, "control") != NULL, "bad: NUL");

    is_int(clean("  abc ", 6, 3, &value), DOI_OK,
           "the size is that without white space");
    ok(clean("abcd", 4, 3, &value) == DOI_ERROR
       && strstr(err, "too long") != NULL, "one byte too many");

    value = str(NULL, 0);
    is_int(doi_field_clean(&value, 0, &err), DOI_OK, "no value at all");
}


int
main(void)
{
    test_type();
    test_urlencoded();
    test_get();
    test_many();
    test_multipart();
    test_names();
    test_files();
    test_boundaries();
    test_multipart_bad();
    test_cut();
    test_clean();

    free(body);
    free(scratch);

    return done_testing();
}
