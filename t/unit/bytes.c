/*
 * Strings of bytes, and numbers in rows.
 */

#include <stdint.h>
#include <string.h>

#include "tap.h"
#include "../../src/core/bytes.h"


static doi_str_t
str(const char *s)
{
    doi_str_t  t;

    t.data = (const uint8_t *) s;
    t.len = s ? strlen(s) : 0;

    return t;
}


static void
test_compare(void)
{
    doi_str_t  nul = { (const uint8_t *) "a\0b", 3 };

    ok(doi_str_same(str("abc"), str("abc")), "the same bytes");
    ok(!doi_str_same(str("abc"), str("abd")), "the last byte counts");
    ok(!doi_str_same(str("abc"), str("ab")), "and so does the length");
    ok(!doi_str_same(str("abc"), str("ABC")), "and the case");
    ok(doi_str_same(str(NULL), str("")), "nothing is nothing");

    ok(doi_str_is(str("abc"), "abc") && !doi_str_is(str("abcd"), "abc")
       && !doi_str_is(str("ab"), "abc"), "a text, whole");
    ok(!doi_str_is(nul, "a"), "a zero is no end");
    ok(doi_str_is(str(NULL), ""), "nothing is an empty text");

    ok(doi_str_like(str("aBz-[@9"), "abz-[@9", 7), "in any case");
    ok(!doi_str_like(str("@"), "`", 1) && !doi_str_like(str("["), "{", 1),
       "only letters have a case");
    ok(!doi_str_like(str("abc"), "abc", 2)
       && !doi_str_like(str("ab"), "abc", 3), "not a part of it");
}


static void
test_take(void)
{
    uint8_t    bytes[8];
    doi_str_t  rest, s;

    rest = str("abcde");

    ok(doi_str_take(&rest, 2, &s) && doi_str_is(s, "ab")
       && doi_str_is(rest, "cde"), "two bytes are taken");
    ok(doi_str_take(&rest, 0, &s) && s.len == 0 && doi_str_is(rest, "cde"),
       "none is taken");
    ok(!doi_str_take(&rest, 4, &s) && doi_str_is(rest, "cde"),
       "more than there are: nothing is taken");
    ok(!doi_str_take(&rest, SIZE_MAX, &s), "nor as many as there can be");
    ok(doi_str_take(&rest, 3, &s) && doi_str_is(s, "cde") && rest.len == 0,
       "all are taken");

    rest = str(NULL);
    ok(doi_str_take(&rest, 0, &s) && !doi_str_take(&rest, 1, &s),
       "of nothing, nothing");

    memset(bytes, '.', sizeof(bytes));
    ok(doi_str_put(doi_str_put(doi_str_put(bytes, str("ab")), str(NULL)),
                   str("cd")) == bytes + 4
       && memcmp(bytes, "abcd....", 8) == 0, "one behind the other");
}


static void
test_numbers(void)
{
    uint8_t  bytes[6];

    memset(bytes, 0xaa, sizeof(bytes));
    doi_put32(bytes + 1, 0xfedcba98);
    ok(memcmp(bytes, "\xaa\xfe\xdc\xba\x98\xaa", 6) == 0
       && doi_get32(bytes + 1) == 0xfedcba98, "four bytes, big-endian");

    memset(bytes, 0xaa, sizeof(bytes));
    doi_put16(bytes + 1, 0xfedc);
    ok(memcmp(bytes, "\xaa\xfe\xdc\xaa", 4) == 0
       && doi_get16(bytes + 1) == 0xfedc, "two bytes, big-endian");

    memset(bytes, 0, sizeof(bytes));
    ok(doi_zeros(bytes, 6) && doi_zeros(bytes, 0), "zeros");

    bytes[5] = 1;
    ok(!doi_zeros(bytes, 6) && doi_zeros(bytes, 5), "not all are zeros");
}


static void
test_digest(void)
{
    uint8_t    out[33];
    doi_str_t  parts[3];

    static const uint8_t  abc[] = {
        0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
        0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
        0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad
    };

    parts[0] = str("a");
    parts[1] = str(NULL);
    parts[2] = str("bc");

    memset(out, 0xaa, sizeof(out));
    ok(doi_digest(parts, 3, out, 32) == DOI_OK && memcmp(out, abc, 32) == 0
       && out[32] == 0xaa, "SHA-256 of the parts");

    memset(out, 0xaa, sizeof(out));
    ok(doi_digest(parts, 3, out, 8) == DOI_OK && memcmp(out, abc, 8) == 0
       && out[8] == 0xaa, "cut");

    ok(doi_digest(NULL, 0, out, 4) == DOI_OK
       && memcmp(out, "\xe3\xb0\xc4\x42", 4) == 0, "of nothing");
}


int
main(void)
{
    test_compare();
    test_take();
    test_numbers();
    test_digest();

    return done_testing();
}
