/* CSV: src/core/csv.c */

#include <stdlib.h>
#include <string.h>

#include "../../src/core/csv.h"
#include "tap.h"


#define NELTS(a)  (sizeof(a) / sizeof(a[0]))
#define TEXT_MAX  (256 * 1024)


static doi_csv_t  csv;
static char       text[TEXT_MAX], want[TEXT_MAX];
static size_t     text_len;


static doi_str_t
str(const void *data, size_t len)
{
    doi_str_t  s;

    s.data = data;
    s.len = len;

    return s;
}


static void
note(const void *data, size_t len)
{
    if (len < sizeof(text) - text_len) {
        memcpy(text + text_len, data, len);
        text_len += len;
        text[text_len] = '\0';
    }
}


/* "LINE:a|b\n" for a record, "LINE!error\n" for an error. */

static void
note_result(int rc, const char *err)
{
    char    line[32];
    size_t  i;

    (void) snprintf(line, sizeof(line), "%llu",
                    (unsigned long long) csv.line);
    note(line, strlen(line));

    if (rc == DOI_ERROR) {
        note("!", 1);
        note(err, strlen(err));

    } else {
        for (i = 0; i < csv.nfields; i++) {
            note(i ? "|" : ":", 1);
            note(csv.field[i].data, csv.field[i].len);
        }
    }

    note("\n", 1);
}


/* One piece, of memory that ends with it; what is read is noted in text. */

static int
feed(const void *data, size_t len)
{
    int             rc, good;
    uint8_t        *copy;
    const char     *err;
    const uint8_t  *pos, *end;

    copy = malloc(len ? len : 1);
    if (copy == NULL) {
        abort();
    }

    memcpy(copy, data, len);
    pos = copy;
    end = copy + len;
    good = 1;

    for ( ;; ) {
        err = "unset";
        rc = doi_csv_feed(&csv, &pos, end, &err);

        if (rc == DOI_NOT_FOUND) {
            good &= err == NULL && pos == end;
            break;
        }

        good &= (rc == DOI_ERROR) == (err != NULL);
        note_result(rc, err);
    }

    free(copy);

    return good;
}


static int
finish(void)
{
    int          rc, again, good;
    const char  *err;

    rc = doi_csv_finish(&csv, &err);
    good = (rc == DOI_ERROR) == (err != NULL);

    if (rc != DOI_NOT_FOUND) {
        note_result(rc, err);
    }

    again = doi_csv_finish(&csv, &err);

    return good && again == DOI_NOT_FOUND && err == NULL;
}


static void
start(void)
{
    /* what was there before does not matter */
    memset(&csv, 0xA5, sizeof(csv));
    doi_csv_init(&csv);
    text_len = 0;
    text[0] = '\0';
}


/* As a whole, byte by byte, and cut in two or three wherever that can be. */

static void
reads(const void *data, size_t len, const char *expected, const char *name)
{
    int             good;
    size_t          i, k, bad;
    const uint8_t  *p;

    p = data;

    start();
    good = feed(p, len) && finish();

    if (!ok(good && strcmp(text, expected) == 0, "%s", name)) {
        printf("# got      %s# expected %s", text, expected);
    }

    bad = 0;

    start();
    for (i = 0; i < len; i++) {
        bad += !feed(p + i, 1);
        bad += !feed(p + i, 0);
    }

    bad += !finish() || strcmp(text, expected) != 0;

    for (i = 0; i <= len; i++) {
        for (k = i; k <= len; k++) {
            start();
            bad += !feed(p, i) || !feed(p + i, k - i) || !feed(p + k, len - k)
                   || !finish() || strcmp(text, expected) != 0;
        }
    }

    is_int(bad, 0, "the same in pieces");
}


static void
test_reading(void)
{
    size_t  i;

    static const char *const  cases[][2] = {
        { "", "" },
        { "\n", "" },
        { "\r\n\r\n\n\r", "" },
        { "a", "1:a\n" },
        { "a\n", "1:a\n" },
        { "a,b\nc,d\n", "1:a|b\n2:c|d\n" },
        { "a,b\r\nc,d\r\n", "1:a|b\n2:c|d\n" },
        { "a,b\rc,d\r", "1:a|b\n2:c|d\n" },
        { "a\n\r\n\rb\r\r\nc", "1:a\n4:b\n6:c\n" },
        { "a\n\nb\r\n\r\nc", "1:a\n3:b\n5:c\n" },
        { ",\n", "1:|\n" },
        { ",", "1:|\n" },
        { "a,,b,", "1:a||b|\n" },
        { "\"\"", "1:\n" },
        { "\"\"\n\"\",\"\"\n", "1:\n2:|\n" },
        { " \n a , b \n", "1: \n2: a | b \n" },
        { "\"a\",\"b\"", "1:a|b\n" },
        { "\"a,b\",c", "1:a,b|c\n" },
        { "\"say \"\"hi\"\"\"\n", "1:say \"hi\"\n" },
        { "\"\"\"\"", "1:\"\n" },
        { "\"\"\"\"\"\"\n", "1:\"\"\n" },
        { "\"a\nb\",c\nd\n", "1:a\nb|c\n3:d\n" },
        { "\"a\r\nb\rc\",d\r\ne", "1:a\r\nb\rc|d\n4:e\n" },
        { "\"\n\n\"\n\"\r\"\r\nx", "1:\n\n\n4:\r\n6:x\n" },
        { "\"\r\"\nx", "1:\r\n3:x\n" },
        { "'a',b;c\td", "1:'a'|b;c\td\n" },

        /* BOM, and what only begins like one */
        { "\xEF\xBB\xBF", "" },
        { "\xEF\xBB\xBF" "a,b\n", "1:a|b\n" },
        { "\xEF\xBB\xBF\"a\"\n", "1:a\n" },
        { "\xEF\xBB\xBF\xEF\xBB\xBF" "a\n", "1:\xEF\xBB\xBF" "a\n" },
        { "\n\xEF\xBB\xBF" "a\n", "2:\xEF\xBB\xBF" "a\n" },
        { "a\n\xEF\xBB\xBF" "b", "1:a\n2:\xEF\xBB\xBF" "b\n" },
        { "\xEF\xBC\x8B\n", "1:\xEF\xBC\x8B\n" },
        { "\xEF\xBB\xBE\n", "1:\xEF\xBB\xBE\n" },
        { "\xEF\xBB" "a\nb", "1!is not UTF-8\n2:b\n" },
        { "\xEF", "1!is not UTF-8\n" },
        { "\xEF\xBB", "1!is not UTF-8\n" },

        /* errors, and on with the next record */
        { "a\"b,c\nd\n", "1!has a quote in the middle of a field\n2:d\n" },
        { "x\na,b\"\nd\n", "1:x\n2!has a quote in the middle of a field\n"
                           "3:d\n" },
        { " \"a\"\nd\n", "1!has a quote in the middle of a field\n2:d\n" },
        { "\"a\"b,c\nd\n", "1!has text behind a closing quote\n2:d\n" },
        { "\"a\" ,c\r\nd\n", "1!has text behind a closing quote\n2:d\n" },
        { "\"a\"b,\"c\nd\",e\nf", "1!has text behind a closing quote\n3:f\n" },
        { "a\"b\"c\"d,\"\"\"\n\"\ne",
          "1!has a quote in the middle of a field\n3:e\n" },
        { "\"a\"b\"c\nd", "1!has text behind a closing quote\n2:d\n" },
        { "a\n\"b\nc\n", "1:a\n2!has a quoted field without an end\n" },
        { "\"", "1!has a quoted field without an end\n" },
        { "a,\"\"\"", "1!has a quoted field without an end\n" },
        { "a\"b,\"c\nd\n", "1!has a quote in the middle of a field\n"
                           "1!has a quoted field without an end\n" },
        { "a\"", "1!has a quote in the middle of a field\n" },
        { "a\"\n", "1!has a quote in the middle of a field\n" },
        { "a\"\rb", "1!has a quote in the middle of a field\n2:b\n" },
        { "a\"\"\"\n\nb\"\n", "1!has a quote in the middle of a field\n"
                            "3!has a quote in the middle of a field\n" },
        { "\xC3\xA4,\xFF\n\xC3\xB6\n", "1!is not UTF-8\n2:\xC3\xB6\n" },
        { "\xC3,\xA4\nb", "1!is not UTF-8\n2:b\n" },
        { "\"\xC3\n\xA4\"\nb", "1!is not UTF-8\n3:b\n" },
        { "a\xF0\x9F\x98", "1!is not UTF-8\n" },
        { "\xF0\x9F\x98\x80,\"\xF0\x9F\x98\x80\"",
          "1:\xF0\x9F\x98\x80|\xF0\x9F\x98\x80\n" },
    };

    for (i = 0; i < NELTS(cases); i++) {
        reads(cases[i][0], strlen(cases[i][0]), cases[i][1], cases[i][0]);
    }

    reads("a\0b,c\nd", 7, "1!has a NUL byte\n2:d\n", "a NUL byte");
    reads("\0\0\n\0", 4, "1!has a NUL byte\n2!has a NUL byte\n", "NUL bytes");
    reads("\"a\0\nb\0\",c\nd", 11, "1!has a NUL byte\n3:d\n", "within quotes");
    reads("\"a\"\0,\"\n\"\nd", 10, "1!has a NUL byte\n3:d\n", "behind quotes");
    reads("a,\0\"\nd", 6, "1!has a NUL byte\n2:d\n", "at a field's start");
}


static void
test_fields(void)
{
    int     n;
    char    buf[512];
    size_t  i;

    for (n = 63; n <= 66; n++) {
        memset(buf, ',', sizeof(buf));
        memcpy(buf + n - 1, "\nx,\"y\"\n", 8);

        start();
        ok(feed(buf, (size_t) n + 6) && finish(), "%d fields", n);

        if (n <= 64) {
            want[0] = '1';
            want[1] = ':';
            memset(want + 2, '|', (size_t) n - 1);
            memcpy(want + n + 1, "\n2:x|y\n", 8);
            ok(strcmp(text, want) == 0, "are read");

        } else {
            ok(strcmp(text, "1!has more than 64 fields\n2:x|y\n") == 0,
               "are too many: %s", text);
        }
    }

    /* a quoted field beyond is still one field */

    for (i = 0; i < 100; i++) {
        memcpy(buf + 4 * i, "\"\n\",", 4);
    }

    memcpy(buf + 399, "\nx", 3);
    start();
    ok(feed(buf, 401) && finish()
       && strcmp(text, "1!has more than 64 fields\n102:x\n") == 0,
       "100 quoted fields with a line end in each: %s", text);
}


static void
test_size(void)
{
    int     over, quoted;
    char   *buf;
    size_t  len, i, sum;

    buf = malloc(TEXT_MAX);
    if (buf == NULL) {
        abort();
    }

    for (over = -1; over <= 1; over++) {
        for (quoted = 0; quoted <= 1; quoted++) {

            sum = (size_t) (DOI_CSV_RECORD + over);
            len = 0;

            if (quoted) {
                buf[len++] = '"';
            }

            for (i = 0; i < sum; i++) {
                buf[len++] = 'a' + (char) (i % 26);

                if (quoted && i % 100 == 0) {
                    buf[len - 1] = '"';
                    buf[len++] = '"';
                }

                if (!quoted && i % 1000 == 500) {
                    buf[len++] = ',';
                }
            }

            if (quoted) {
                buf[len++] = '"';
            }

            memcpy(buf + len, "\nnext", 5);
            len += 5;

            start();
            ok(feed(buf, len) && finish(), "%zu bytes, %s", sum,
               quoted ? "quoted" : "plain");

            if (over <= 0) {
                ok(strncmp(text, "1:", 2) == 0
                   && text_len == sum + (quoted ? 0 : 16) + 3 + 7
                   && strcmp(text + text_len - 8, "\n2:next\n") == 0,
                   "are read");

            } else {
                ok(strcmp(text, "1!is longer than 16384 bytes\n2:next\n") == 0,
                   "are too much: %.60s", text);
            }
        }
    }

    /* what is beyond the limit stays inside its quotes */

    memset(buf, 'x', 100000);
    buf[0] = '"';
    for (i = 1000; i < 99000; i += 1000) {
        memcpy(buf + i, "\nevil,+1\n", 9);
    }
    memcpy(buf + 99999, "\"\nlast\n", 7);

    start();
    ok(feed(buf, 100006) && finish(), "a field of 100000 bytes");
    ok(strcmp(text, "1!is longer than 16384 bytes\n198:last\n") == 0,
       "its lines do not become records: %.80s", text);

    free(buf);
}


/* Put, parsed, and without its apostrophe. */

static int
comes_back(doi_str_t field, int *apostrophe)
{
    int             rc;
    uint8_t        *exact;
    doi_buf_t       out = { NULL, 0, 0 };
    doi_str_t       got;
    const char     *err;
    const uint8_t  *pos;

    while (doi_csv_put(&out, field) != DOI_OK) {

        if (out.len != 0 || out.size > 2 * field.len + 3) {
            return 0;
        }

        out.size++;
        free(out.data);
        out.data = malloc(out.size);
        if (out.data == NULL) {
            abort();
        }
    }

    if (out.len != out.size) {
        free(out.data);
        return 0;
    }

    exact = malloc(out.len + 3);
    if (exact == NULL) {
        abort();
    }

    memcpy(exact, out.data, out.len);
    memcpy(exact + out.len, ",z\n", 3);
    pos = exact;

    start();
    rc = doi_csv_feed(&csv, &pos, exact + out.len + 3, &err);

    rc = rc == DOI_OK && csv.nfields == 2 && pos == exact + out.len + 3;

    if (rc) {
        got = doi_csv_unsafe(csv.field[0]);
        *apostrophe = got.len != csv.field[0].len;
        rc = got.len == field.len
             && (got.len == 0 || memcmp(got.data, field.data, got.len) == 0);
    }

    /* alone on its line as well */

    exact[out.len] = '\n';
    pos = exact;
    start();
    rc &= doi_csv_feed(&csv, &pos, exact + out.len + 1, &err) == DOI_OK
          && csv.nfields == 1;

    free(exact);
    free(out.data);

    return rc;
}


static void
test_put(void)
{
    int        apostrophe, rc;
    char       got[64];
    size_t     i;
    doi_buf_t  out;

    static const char *const  cases[][2] = {
        { "", "\"\"" },
        { "a", "a" },
        { "a b", "a b" },
        { "a,b", "\"a,b\"" },
        { "a\"b", "\"a\"\"b\"" },
        { "\"", "\"\"\"\"" },
        { "a\nb", "\"a\nb\"" },
        { "a\rb", "\"a\rb\"" },
        { " a", "\" a\"" },
        { "a=1", "a=1" },
        { "1-2", "1-2" },
        { "'", "'" },
        { "'a", "'a" },
        { "a;b", "\"a;b\"" },
        { "\xC3\xA4", "\xC3\xA4" },

        { "=1+1", "'=1+1" },
        { "=\"x\"", "\"'=\"\"x\"\"\"" },
        { "+491512345678", "'+491512345678" },
        { "-1", "'-1" },
        { "@SUM(A1)", "'@SUM(A1)" },
        { "\t=1", "\"'\t=1\"" },
        { "\tx", "\"'\tx\"" },
        { "\rx", "\"'\rx\"" },
        { "\nx", "\"'\nx\"" },
        { "  =1", "\"'  =1\"" },
        { " \t-1", "\"' \t-1\"" },
        { "\xC2\xA0=1", "'\xC2\xA0=1" },
        { "\xE3\x80\x80+1", "'\xE3\x80\x80+1" },
        { "\xE2\x80\x8B@x", "'\xE2\x80\x8B@x" },
        { "\xEF\xBB\xBF=1", "\"'\xEF\xBB\xBF=1\"" },
        { "\xEF\xBC\x9D" "1", "\"'\xEF\xBC\x9D" "1\"" },
        { "\xEF\xBC\x8B" "1", "\"'\xEF\xBC\x8B" "1\"" },
        { "\xEF\xBC\x8D" "1", "\"'\xEF\xBC\x8D" "1\"" },
        { "\xEF\xBC\xA0" "1", "\"'\xEF\xBC\xA0" "1\"" },
        { "\x01=1", "\"'\x01=1\"" },
        { "\xFF=1", "'\xFF=1" },
        { "'=1", "''=1" },
        { "''+1", "'''+1" },
        { "' =1", "'' =1" },
    };

    for (i = 0; i < NELTS(cases); i++) {
        out.data = (uint8_t *) got;
        out.len = 1;
        out.size = sizeof(got);
        got[0] = '#';

        rc = doi_csv_put(&out, str(cases[i][0], strlen(cases[i][0])));
        ok(rc == DOI_OK && got[0] == '#'
           && out.len == strlen(cases[i][1]) + 1
           && memcmp(got + 1, cases[i][1], out.len - 1) == 0,
           "%s is put as %s, got %.*s", cases[i][0], cases[i][1],
           (int) out.len - 1, got + 1);

        if (strchr(cases[i][0], '\xFF') == NULL) {
            apostrophe = 0;
            ok(comes_back(str(cases[i][0], strlen(cases[i][0])), &apostrophe),
               "and comes back");
            is_int(apostrophe, strlen(cases[i][1]) > strlen(cases[i][0])
                   && (cases[i][1][0] == '\''
                       || (cases[i][1][0] == '"' && cases[i][1][1] == '\'')),
                   "with an apostrophe if there is to be one");
        }
    }

    is_int(doi_csv_unsafe(str(NULL, 0)).len, 0, "nothing");
    is_int(doi_csv_unsafe(str("'", 1)).len, 1, "an apostrophe alone stays");
    is_int(doi_csv_unsafe(str("'tis", 4)).len, 4, "one of the text stays");

    out.len = 5;
    out.size = 3;
    ok(doi_csv_put(&out, str("a", 1)) == DOI_ERROR && out.len == 5,
       "a buffer that is overfull already");
}


/* All short fields of those characters that matter. */

static void
test_round_trip(void)
{
    int          apostrophe;
    char         field[16];
    size_t       i, k, n, bad, total, len, code, count;
    const char  *part;

    static const char *const  parts[] = {
        "'", "\"", "=", "+", ",", "\n", "\r", " ", "\t", "a",
        "\xEF\xBB\xBF", "\xEF\xBC\x9D", ";"
    };

    bad = 0;
    total = 0;

    for (n = 0, count = 1; n <= 4; n++, count *= NELTS(parts)) {

        for (i = 0; i < count; i++) {

            for (k = 0, len = 0, code = i; k < n; k++, code /= NELTS(parts)) {
                part = parts[code % NELTS(parts)];
                memcpy(field + len, part, strlen(part));
                len += strlen(part);
            }

            total++;
            bad += !comes_back(str(field, len), &apostrophe);
        }
    }

    is_int(bad, 0, "%zu short fields there and back", total);
}


int
main(void)
{
    test_reading();
    test_fields();
    test_size();
    test_put();
    test_round_trip();

    return done_testing();
}
