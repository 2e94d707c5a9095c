/* Telephone numbers: src/core/phone.c */

#include <stdlib.h>
#include <string.h>

#include "../../src/core/phone.h"
#include "tap.h"


#define NELTS(a)  (sizeof(a) / sizeof(a[0]))


static uint8_t      bytes[DOI_PHONE_MAX];
static doi_buf_t    out;
static const char  *err;


static doi_str_t
str(const void *data, size_t len)
{
    doi_str_t  s;

    s.data = data;
    s.len = len;

    return s;
}


/* From memory of exactly that size, so that a sanitizer sees all of it. */

static int
normalise(const void *data, size_t len, const char *country)
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

    rc = doi_phone_normalise(str(copy, len), str(country, strlen(country)),
                             &out, &err);
    free(copy);

    return rc;
}


static void
test_good(void)
{
    int     rc;
    size_t  i;

    static const char *const  good[][3] = {
        { "+49 151 2345678", "", "+491512345678" },
        { "+491512345678", "", "+491512345678" },
        { "0049 (0)151/234-56.78", "", "+491512345678" },
        { "tel:+49-151-2345678", "", "+491512345678" },
        { "TEL:+49-151-2345678", "", "+491512345678" },
        { "whatsapp:+491512345678", "", "+491512345678" },
        { "WhatsApp: +49 151 2345678", "", "+491512345678" },
        { "0151 2345678", "49", "+491512345678" },
        { "0151/2345678", "49", "+491512345678" },
        { "(0151) 234 56 78", "49", "+491512345678" },
        { "(0)151 2345678", "49", "+491512345678" },
        { "0 151 2345678", "49", "+491512345678" },
        { "151 2345678", "49", "+491512345678" },
        { "+49 (0) 151 2345678", "", "+491512345678" },
        { "+49(0)1512345678", "1", "+491512345678" },
        { "(+49) 151 2345678", "", "+491512345678" },
        { "( +49 ) 151 2345678", "", "+491512345678" },
        { "+49 (151) 2345678", "", "+491512345678" },
        { "+ 49 151 2345678", "", "+491512345678" },
        { "+49.151.2345678", "", "+491512345678" },
        { "+49 151 - 234 - 5678", "", "+491512345678" },
        { "+49\xC2\xA0" "151\xE2\x80\xAF" "2345678", "", "+491512345678" },
        { "+49 151\xE2\x80\x93" "2345678", "", "+491512345678" },
        { "+49\xE2\x80\x91" "151\xE2\x88\x92" "2345678", "", "+491512345678" },
        { "\xE2\x80\xAA+49 151 2345678\xE2\x80\xAC", "", "+491512345678" },
        { "\xEF\xBB\xBF +49 151 2345678 ", "", "+491512345678" },
        { "\t+491512345678\xE2\x80\x8B", "", "+491512345678" },
        { "\xEF\xBC\x8B\xEF\xBC\x94\xEF\xBC\x99 151\xEF\xBC\x8F\xEF\xBC\x92"
          "345678", "", "+491512345678" },
        { "+\xD9\xA9\xD9\xA6\xD9\xA6 \xD9\xA5\xD9\xA0 123 4567", "",
          "+966501234567" },
        { "\xDB\xB0\xDB\xB0\xDB\xB9\xDB\xB8 912 345 6789", "",
          "+989123456789" },

        { "(212) 555-1234", "1", "+12125551234" },
        { "1-212-555-1234", "1", "+12125551234" },
        { "212.555.1234", "1", "+12125551234" },
        { "+1 (212) 555-1234", "", "+12125551234" },
        { "011 49 151 2345678", "1", "+491512345678" },
        { "011-44-20-7946-0958", "1", "+442079460958" },
        { "001 212 555 1234", "49", "+12125551234" },
        { "011 212 555 123", "49", "+4911212555123" },

        { "+44 (0)20 7946 0958", "", "+442079460958" },
        { "020 7946 0958", "44", "+442079460958" },
        { "06 1234 5678", "39", "+390612345678" },
        { "+39 06 1234 5678", "", "+390612345678" },
        { "+39 (0)6 1234 5678", "", "+390612345678" },
        { "(0)6 1234 5678", "39", "+390612345678" },
        { "333 1234567", "39", "+393331234567" },
        { "393 1234567", "39", "+393931234567" },
        { "0549 991 234", "378", "+3780549991234" },
        { "+225 07 12 34 56 78", "", "+2250712345678" },
        { "07 12 34 56 78", "225", "+2250712345678" },
        { "8 (912) 345-67-89", "7", "+79123456789" },
        { "912 345-67-89", "7", "+79123456789" },
        { "800 555 3535", "7", "+78005553535" },
        { "06 20 123 4567", "36", "+36201234567" },
        { "+36 20 123 4567", "", "+36201234567" },
        { "45 12 34 56", "45", "+4545123456" },
        { "612 345 678", "34", "+34612345678" },
        { "+290 2345", "", "+2902345" },
        { "+882 16 1234567890", "", "+882161234567890" },
    };

    for (i = 0; i < NELTS(good); i++) {
        rc = normalise(good[i][0], strlen(good[i][0]), good[i][1]);

        ok(rc == DOI_OK && out.len == strlen(good[i][2])
           && memcmp(bytes, good[i][2], out.len) == 0,
           "%s (%s) is %s, got %.*s %s", good[i][0], good[i][1], good[i][2],
           (int) out.len, bytes, err ? err : "");

        if (rc == DOI_OK) {
            rc = normalise(good[i][2], strlen(good[i][2]), "49");
            ok(rc == DOI_OK && out.len == strlen(good[i][2])
               && memcmp(bytes, good[i][2], out.len) == 0,
               "and %s stays", good[i][2]);
        }
    }
}


static void
test_bad(void)
{
    int     rc;
    size_t  i;

    static const char *const  bad[][3] = {
        { "", "", "is empty" },
        { "  ", "49", "is empty" },
        { "\xE2\x80\x8B", "", "is empty" },
        { "+", "", "no digits" },
        { "tel:", "49", "no digits" },
        { "()", "49", "nothing in them" },
        { "0151 2345678", "", "no country code" },
        { "151 2345678", "", "no country code" },
        { "0151 2345678", "999", "preset" },
        { "0151 2345678", "0", "preset" },
        { "0151 2345678", "+49", "preset" },
        { "0151 2345678", "4", "preset" },
        { "0151 2345678", "491", "preset" },
        { "+49 0151 2345678", "", "zero behind" },
        { "00490151 2345678", "", "zero behind" },
        { "+0 151 2345678", "", "does not exist" },
        { "+999 151 2345678", "", "does not exist" },
        { "+210 151 2345678", "", "does not exist" },
        { "+384 151 2345678", "", "does not exist" },
        { "+999", "", "does not exist" },
        { "+97 8 1234567", "", "does not exist" },
        { "+97", "", "does not exist" },
        { "000 49 151 2345678", "", "does not exist" },
        { "011 49 151 2345678", "", "no country code" },
        { "0011 49 151 2345678", "61", "too many" },
        { "+1 149 151 2345", "", "area code" },
        { "555-1234", "1", "too few" },
        { "+1 212 555 123", "", "too few" },
        { "+1 212 555 12345", "", "too many" },
        { "+7 912 345 67 8", "", "too few" },
        { "7 912 345 67 89", "7", "too many" },
        { "+49 151", "", "too few" },
        { "110", "49", "too few" },
        { "+49 151 2345678901234", "", "too many" },
        { "0151 2345678901234", "49", "too many" },
        { "+4915123456789012345678901234567890123456789", "", "too many" },
        { "49 151 2345678", "49", "no plus sign" },
        { "4512345678", "45", "no plus sign" },
        { "39 333 1234567", "39", "no plus sign" },
        { "+49 151 2345678 ext. 12", "", "extension" },
        { "+49 151 2345678x12", "", "extension" },
        { "+49 151 2345678 X 12", "", "extension" },
        { "+49 151 2345678#12", "", "extension" },
        { "tel:+49-151-2345678;ext=12", "", "extension" },
        { "tel:2345678;phone-context=+49151", "", "parameters" },
        { "tel:+49-151-2345678;isub=1", "", "parameters" },
        { "tel:+49%20151", "", "does not belong" },
        { "tel:tel:+491512345678", "", "letters" },
        { "mailto:a@b", "", "letters" },
        { "1-800-FLOWERS", "1", "letters" },
        { "+49 151 O345678", "", "letters" },
        { "+49 151 2345678, 0152 1", "", "does not belong" },
        { "*100#", "49", "does not belong" },
        { "+49 151 23\xC3\xA4" "5678", "", "does not belong" },
        { "+49 151 2345678\n+49 151 2345679", "", "does not belong" },
        { "+49 151 \xF0\x9F\x98\x80", "", "does not belong" },
        { "++49 151 2345678", "", "plus sign" },
        { "49+151 2345678", "", "plus sign" },
        { "+49 151 2345678+", "", "plus sign" },
        { "+49 +151 2345678", "", "plus sign" },
        { "-151 2345678", "49", "separator" },
        { "0151 2345678-", "49", "separator" },
        { "/0151 2345678", "49", "separator" },
        { "+-49 151 2345678", "", "separator" },
        { "(0151 2345678", "49", "brackets" },
        { "0151) 2345678", "49", "brackets" },
        { "((0151)) 2345678", "49", "brackets" },
        { "+49 () 151 2345678", "", "nothing in them" },
        { "+49 151 (0) 2345678", "", "(0) in a wrong place" },
        { "0151 (0) 2345678", "49", "(0) in a wrong place" },
        { "+49 (0)(0) 151 2345678", "", "more than one (0)" },
        { "(0)049 151 2345678", "", "(0) in a wrong place" },
        { "+39 (0)333 1234567", "", "or not" },
        { "(0)333 1234567", "39", "or not" },
        { "0212 555 1234", "1", "zero behind" },
    };

    for (i = 0; i < NELTS(bad); i++) {
        rc = normalise(bad[i][0], strlen(bad[i][0]), bad[i][1]);

        ok(rc == DOI_ERROR && out.len == 0 && err != NULL
           && strstr(err, bad[i][2]) != NULL,
           "\"%s\" (%s) %s, got %.*s", bad[i][0], bad[i][1],
           err ? err : "no error", (int) out.len, bytes);
    }

    ok(normalise("+49 151\xFF" "2345678", 15, "") == DOI_ERROR
       && strstr(err, "UTF-8") != NULL, "not UTF-8");
    ok(normalise("+49 151 2345678\0", 16, "") == DOI_ERROR, "a NUL byte");
}


/* The list of ITU-T, code by code. */

static void
test_codes(void)
{
    int     known, rc;
    char    text[32], digits[16];
    size_t  bad;
    int     code;

    static const char  codes[] =
        " 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55"
        " 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98 211"
        " 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232"
        " 233 234 235 236 237 238 239 240 241 242 243 244 245 246 247 248 249"
        " 250 251 252 253 254 255 256 257 258 260 261 262 263 264 265 266 267"
        " 268 269 290 291 297 298 299 350 351 352 353 354 355 356 357 358 359"
        " 370 371 372 373 374 375 376 377 378 379 380 381 382 383 385 386 387"
        " 389 420 421 423 500 501 502 503 504 505 506 507 508 509 590 591 592"
        " 593 594 595 596 597 598 599 670 672 673 674 675 676 677 678 679 680"
        " 681 682 683 685 686 687 688 689 690 691 692 800 808 850 852 853 855"
        " 856 870 878 880 881 882 883 886 960 961 962 963 964 965 966 967 968"
        " 970 971 972 973 974 975 976 977 979 992 993 994 995 996 998 ";

    bad = 0;

    for (code = 200; code <= 999; code++) {

        (void) snprintf(digits, sizeof(digits), " %d ", code);
        known = strstr(codes, digits) != NULL;
        (void) snprintf(digits, sizeof(digits), " %d ", code / 10);
        known |= strstr(codes, digits) != NULL || code / 100 == 7;

        (void) snprintf(text, sizeof(text), "+%d2222 2222", code);
        rc = normalise(text, strlen(text), "");

        /* a zero behind a code of two digits is another matter */

        if (rc == DOI_OK ? !known
                         : (strstr(err, "does not exist") != NULL) == known)
        {
            printf("# %s: %s\n", text, rc == DOI_OK ? "good" : err);
            bad++;
        }
    }

    is_int(bad, 0, "country codes");
}


static void
test_room(void)
{
    char        text[256];
    size_t      size;
    uint8_t    *exact;
    doi_str_t   none = { NULL, 0 };

    /* appended, within its size, or not at all */

    for (size = 0; size <= 16; size++) {
        exact = malloc(size ? size : 1);
        if (exact == NULL) {
            abort();
        }

        out.data = exact;
        out.size = size;
        out.len = size < 2 ? size : 2;
        err = NULL;

        ok(doi_phone_normalise(str("+491512345678", 13), none, &out, &err)
           == (size < 15 ? DOI_ERROR : DOI_OK)
           && out.len == (size < 15 ? (size < 2 ? size : 2) : 15)
           && (size >= 15 || strstr(err, "too long") != NULL),
           "room for %zu", size);

        free(exact);
    }

    ok(doi_phone_normalise(none, none, &out, &err) == DOI_ERROR, "nothing");

    memset(text, ' ', sizeof(text));
    memcpy(text, "+491512345678", 13);
    ok(normalise(text, 128, "") == DOI_OK, "128 bytes");
    ok(normalise(text, 129, "") == DOI_ERROR && strstr(err, "too long"),
       "129 bytes");

    memset(text, '1', sizeof(text));
    ok(normalise(text, 128, "49") == DOI_ERROR && strstr(err, "too many"),
       "128 digits");
    text[0] = '+';
    ok(normalise(text, 128, "") == DOI_ERROR && strstr(err, "too many"),
       "127 digits of America");
}


int
main(void)
{
    test_good();
    test_bad();
    test_codes();
    test_room();

    return done_testing();
}
