/* E-mail addresses: src/core/address.c */

#include <stdlib.h>
#include <string.h>

#include "../../src/core/address.h"
#include "tap.h"


static uint8_t      bytes[DOI_EMAIL_MAX];
static doi_buf_t    out;
static const char  *err;
static int          asked;


static doi_str_t
str(const void *data, size_t len)
{
    doi_str_t  s;

    s.data = data;
    s.len = len;

    return s;
}


/*
 * Knows the A-labels of one domain, and that of one that is already one; what
 * else a library might give back is asked for by name.
 */

static int
toy_idn(doi_str_t domain, doi_buf_t *buf)
{
    size_t  i;

    static const struct {
        const char  *from;
        const char  *to;
    } known[] = {
        { "M\xC3\xBCller.example", "xn--mller-kva.example" },
        { "XN--mller-kva.example", "XN--Mller-kva.example" },
        { "\xC3\xA4" "at.example", "a@t.example" },
        { "\xC3\xA4" "lf.example", "a\nb.example" },
        { "\xC3\xA4" "dots.example", "a..example" },
        { "\xC3\xA4" "nothing.example", "" },
    };

    asked++;

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strlen(known[i].from) == domain.len
            && memcmp(known[i].from, domain.data, domain.len) == 0)
        {
            memcpy(buf->data + buf->len, known[i].to, strlen(known[i].to));
            buf->len += strlen(known[i].to);
            return DOI_OK;
        }
    }

    return DOI_ERROR;
}


/* From memory of exactly that size, so that a sanitizer sees all of it. */

static int
normalise(const void *data, size_t len)
{
    int       rc;
    uint8_t  *copy;

    copy = malloc(len ? len : 1);
    if (copy == NULL) {
        abort();
    }

    memcpy(copy, data, len);
    out.data = bytes;
    out.len = 0;
    out.size = sizeof(bytes);
    err = NULL;
    asked = 0;

    rc = doi_email_normalise(str(copy, len), toy_idn, &out, &err);
    free(copy);

    return rc;
}


static int
becomes(const char *text, const char *want)
{
    int  rc;

    rc = normalise(text, strlen(text));

    if (rc == DOI_OK && out.len == strlen(want)
        && memcmp(bytes, want, out.len) == 0)
    {
        return 1;
    }

    printf("# rc %d, %.*s, %s\n", rc, (int) out.len, bytes,
           err ? err : "no error");

    return 0;
}


static int
refused_n(const char *text, size_t len, const char *why)
{
    int  rc;

    rc = normalise(text, len);

    if (rc == DOI_ERROR && out.len == 0 && err != NULL
        && strstr(err, why) != NULL)
    {
        return 1;
    }

    printf("# rc %d, %.*s, %s\n", rc, (int) out.len, bytes,
           err ? err : "no error");

    return 0;
}


static int
refused(const char *text, const char *why)
{
    return refused_n(text, strlen(text), why);
}


static void
test_good(void)
{
    size_t  i;

    static const char *const  good[][2] = {
        { "anna@example.org", "anna@example.org" },
        { "  Anna.Maria@Example.ORG ", "anna.maria@example.org" },
        { "\xC2\xA0" "a@b.c\xE2\x80\x8B", "a@b.c" },
        { "a+b_c-d@sub.example.co.uk", "a+b_c-d@sub.example.co.uk" },
        { "!#$%&'*+-/=?^_`{|}~@example.org",
          "!#$%&'*+-/=?^_`{|}~@example.org" },
        { "o'neil@1and1.example", "o'neil@1and1.example" },
        { "a@1.2.3.x4", "a@1.2.3.x4" },
        { "a@a--b.example", "a@a--b.example" },
        { "-a-@b.c", "-a-@b.c" },
        { "azAZ09@azAZ09.zz", "azaz09@azaz09.zz" },
        { "Anna@M\xC3\xBCller.example", "anna@xn--mller-kva.example" },
        { "Anna@XN--mller-kva.example", "anna@xn--mller-kva.example" },
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ok(becomes(good[i][0], good[i][1]), "good: %s", good[i][1]);
    }

    is_int(normalise("a@xnb.example", 13), DOI_OK, "a domain of ASCII");
    is_int(asked, 0, "is not for the IDN library");
    is_int(normalise("a@b.xn--c", 9), DOI_ERROR, "something like an A-label");
    is_int(asked, 1, "is");
    is_int(normalise("a@xN--mller-kva.example", 23), DOI_ERROR,
           "one in front, which the library does not know");
    is_int(asked, 1, "is");
    is_int(normalise("a@bxn--c.example", 16), DOI_OK, "one that is none");
    is_int(asked, 0, "is not");
    is_int(normalise("a@b.xn-", 7), DOI_ERROR, "the start of one");
    is_int(asked, 0, "is not");
}


static void
test_bad(void)
{
    size_t  i;

    static const char *const  bad[][2] = {
        { "", "is empty" },
        { "   ", "is empty" },
        { "anna", "has no @" },
        { "@example.org", "nothing before" },
        { "anna@", "nothing behind" },
        { "@", "nothing before" },
        { "a@b@example.org", "more than one @" },
        { "a@@example.org", "more than one @" },
        { "a@b.c, d@e.f", "more than one address" },
        { "a@b.c,d@e.f", "more than one address" },
        { "a@b.c; d@e.f", "more than one address" },
        { "a@b.c d@e.f", "blank" },
        { "Anna <a@b.c>", "angle brackets" },
        { "<a@b.c>", "angle brackets" },
        { "\"Anna\" <a@b.c>", "angle brackets" },
        { "\"anna m\"@example.org", "quotation marks" },
        { "\"a\"@example.org", "quotation marks" },
        { "a(comment)@example.org", "comment" },
        { "a@example.org (Anna)", "comment" },
        { "a@[192.0.2.1]", "network address" },
        { "a@[IPv6:2001:db8::1]", "network address" },
        { "a@192.0.2.1", "ends with a number" },
        { "a@example.123", "ends with a number" },
        { "a@example.09", "ends with a number" },
        { "a@localhost", "without a dot" },
        { "a@example.org.", "dot in a wrong place behind" },
        { "a@.example.org", "dot in a wrong place behind" },
        { "a@example..org", "dot in a wrong place behind" },
        { "a@.", "dot in a wrong place behind" },
        { ".a@example.org", "dot in a wrong place before" },
        { "a.@example.org", "dot in a wrong place before" },
        { "a..b@example.org", "dot in a wrong place before" },
        { ".@example.org", "dot in a wrong place before" },
        { "a b@example.org", "blank" },
        { "a@exam ple.org", "blank" },
        { "a @example.org", "blank" },
        { "a@ example.org", "blank" },
        { "a@-example.org", "hyphen" },
        { "a@example-.org", "hyphen" },
        { "a@example.org-", "hyphen" },
        { "a@exa_mple.org", "not allowed behind" },
        { "a@exa:mple.org", "not allowed behind" },
        { "a@exa%mple.org", "not allowed behind" },
        { "a\\b@example.org", "not allowed before" },
        { "a:b@example.org", "not allowed before" },
        { "[a]@example.org", "not allowed before" },
        { "mailto:a@example.org", "not allowed before" },
        { "a@example.org\r\nBcc: b@c.d", "control character" },
        { "a@example.org\r\n", "control character" },
        { "\na@example.org", "control character" },
        { "a\t@example.org", "control character" },
        { "a\x7f@example.org", "control character" },
        { "\xF0\x9F\x98\x80@example.org", "other than ASCII before" },
        { "m\xC3\xBCller@example.org", "other than ASCII before" },
        { "a\xE2\x80\xAE@example.org", "direction" },
        { "a\xE2\x80\x8B" "b@example.org", "other than ASCII before" },
        { "m\xFCller@example.org", "not valid UTF-8" },
        { "a@m\xFCller.org", "not valid UTF-8" },
        { "a@\xF0\x9F\x98\x80.example", "international" },
        { "a@example\xE3\x80\x82org", "international" },
        { "a@b.c\xEF\xBC\xA0" "d.e", "international" },
        { "a@\xC3\xA4" "at.example", "not allowed behind" },
        { "a@\xC3\xA4" "lf.example", "not allowed behind" },
        { "a@\xC3\xA4" "dots.example", "dot in a wrong place" },
        { "a@\xC3\xA4" "nothing.example", "nothing behind" },
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ok(refused(bad[i][0], bad[i][1]), "bad %zu: %s", i, bad[i][1]);
    }

    ok(refused_n("a\0b@example.org", 15, "control character"),
       "bad: NUL in the local part");
    ok(refused_n("a@example.org\0", 14, "control character"),
       "bad: NUL at the end");
    ok(refused_n("a@example.org\0.evil.example", 27, "control character"),
       "bad: NUL in the domain");

    is_int(doi_email_normalise(str("a@\xC3\xA4.b", 6), NULL, &out, &err),
           DOI_ERROR, "an IDN without a library");
    is_int(doi_email_normalise(str(NULL, 0), toy_idn, &out, &err), DOI_ERROR,
           "no text at all");
}


static void
test_sizes(void)
{
    char    *text;
    size_t   i, n;

    text = malloc(1048576);
    if (text == NULL) {
        abort();
    }

    memset(text, 'a', 1048576);

    memcpy(text + 64, "@b.example", 10);
    is_int(normalise(text, 74), DOI_OK, "a local part of 64");
    is_int(out.len, 74, "all of it");

    memset(text, 'a', 1048576);
    memcpy(text + 65, "@b.example", 10);
    ok(refused_n(text, 75, "more than 64"), "a local part of 65");

    memset(text, 'a', 1048576);
    text[1] = '@';
    text[65] = '.';
    is_int(normalise(text, 68), DOI_OK, "a label of 63");

    memset(text, 'a', 1048576);
    text[1] = '@';
    text[66] = '.';
    ok(refused_n(text, 69, "more than 63"), "a label of 64");

    /* local part of 64, then labels of 50 */

    for (n = 253; n <= 256; n++) {
        memset(text, 'a', 1048576);
        text[64] = '@';

        for (i = 64 + 50; i < n - 5; i += 50) {
            text[i] = '.';
        }

        if (n <= DOI_EMAIL_MAX) {
            is_int(normalise(text, n), DOI_OK, "%zu bytes", n);
            is_int(out.len, n, "all of them");
        } else {
            ok(refused_n(text, n, "too long"), "%zu bytes", n);
        }
    }

    memset(text, 'a', 1048576);
    ok(refused_n(text, 1048576, "too long"), "1 MiB");

    memset(text, ' ', 1048576);
    memcpy(text + 500000, "a@b.c", 5);
    ok(becomes("a@b.c", "a@b.c"), "a short one");
    is_int(normalise(text, 1048576), DOI_OK, "with 1 MiB of blanks around");
    is_int(out.len, 5, "is as short");

    /* appended, and only if there is room */

    memcpy(bytes, "x", 1);
    out.len = 1;
    out.size = 6;
    is_int(doi_email_normalise(str("A@b.c", 5), toy_idn, &out, &err), DOI_OK,
           "room for it");
    ok(out.len == 6 && memcmp(bytes, "xa@b.c", 6) == 0,
       "it is behind what was there");

    out.len = 1;
    out.size = 5;
    memcpy(bytes, "xyyyy", 5);
    is_int(doi_email_normalise(str("A@b.c", 5), toy_idn, &out, &err),
           DOI_ERROR, "room for all but one byte");
    ok(out.len == 1 && memcmp(bytes, "xyyyy", 5) == 0, "nothing is written");

    free(text);
}


static int
masks(const char *email, size_t len, const char *want)
{
    size_t   n;
    uint8_t  mask[16 + 1];

    memset(mask, '!', sizeof(mask));
    n = doi_email_mask(str(email, len), mask);

    if (n == strlen(want) && memcmp(mask, want, n) == 0 && mask[n] == '!') {
        return 1;
    }

    printf("# %.*s\n", (int) n, mask);

    return 0;
}


static void
test_mask(void)
{
    ok(masks("anna@example.org", 16, "a***@e***"), "an address");
    ok(masks("a@b.c", 5, "a***@b***"), "a short one is as long");
    ok(masks("", 0, "***@***"), "none");
    ok(masks(NULL, 0, "***@***"), "none at all");
    ok(masks("anna", 4, "a***@***"), "no @ sign");
    ok(masks("@example.org", 12, "***@e***"), "no local part");
    ok(masks("a@", 2, "a***@***"), "no domain");
    ok(masks("a@b@c", 5, "a***@b***"), "two @ signs");
    ok(masks("\n@\0", 3, "?***@?***"), "control characters");
    ok(masks("\xFF@\xC2\x85", 4, "?***@?***"), "no UTF-8, C1");
    ok(masks("\xE2\x80\xAE@ b", 6, "?***@?***"), "an override, a blank");
    ok(masks("\xF0\x9F\x98\x80@\xF0\x9F\x98\x80", 9,
             "\xF0\x9F\x98\x80***@\xF0\x9F\x98\x80***"),
       "characters of 4 bytes fit");
    ok(masks("\xF0\x9F", 2, "?***@***"), "a character that is cut off");
}


int
main(void)
{
    test_good();
    test_bad();
    test_sizes();
    test_mask();

    return done_testing();
}
