/*
 * Characters.  See chars.h.
 */

#include "chars.h"
#include "escape.h"


typedef struct {
    uint32_t  first;
    uint32_t  last;
} doi_char_range_t;


/* In a range of step 2, capital and small letters take turns. */

typedef struct {
    uint32_t  first;
    uint32_t  last;
    int       step;
    int       add;
} doi_char_fold_t;


static int doi_char_in(const doi_char_range_t *ranges, size_t n, uint32_t c);


#define doi_char_within(ranges, c)                                            \
    doi_char_in(ranges, sizeof(ranges) / sizeof(ranges[0]), c)


static const doi_char_range_t  doi_char_blanks[] = {
    { 0x0009, 0x000D },
    { 0x0020, 0x0020 },
    { 0x0085, 0x0085 },
    { 0x00A0, 0x00A0 },
    { 0x1680, 0x1680 },
    { 0x2000, 0x200A },
    { 0x2028, 0x2029 },
    { 0x202F, 0x202F },
    { 0x205F, 0x205F },
    { 0x2800, 0x2800 },         /* Braille without dots                      */
    { 0x3000, 0x3000 }
};


static const doi_char_range_t  doi_char_nothing[] = {
    { 0x00AD, 0x00AD },         /* soft hyphen                               */
    { 0x034F, 0x034F },         /* combining grapheme joiner                 */
    { 0x061C, 0x061C },         /* Arabic letter mark                        */
    { 0x115F, 0x1160 },         /* Hangul fillers                            */
    { 0x180B, 0x180F },         /* Mongolian selectors                       */
    { 0x200B, 0x200F },
    { 0x202A, 0x202E },         /* directions: contacts that were pasted     */
    { 0x2060, 0x206F },
    { 0x3164, 0x3164 },
    { 0xFE00, 0xFE0F },         /* variation selectors                       */
    { 0xFEFF, 0xFEFF },
    { 0xFFA0, 0xFFA0 },
    { 0xE0000, 0xE007F },       /* tags                                      */
    { 0xE0100, 0xE01EF }
};


static const doi_char_fold_t  doi_char_folds[] = {
    { 0x0041, 0x005A, 1, 32 },
    { 0x00C0, 0x00D6, 1, 32 },
    { 0x00D8, 0x00DE, 1, 32 },
    { 0x0100, 0x012E, 2, 1 },
    { 0x0130, 0x0130, 1, 'i' - 0x0130 },
    { 0x0131, 0x0131, 1, 'i' - 0x0131 },
    { 0x0132, 0x0136, 2, 1 },
    { 0x0139, 0x0147, 2, 1 },
    { 0x014A, 0x0176, 2, 1 },
    { 0x0178, 0x0178, 1, 0x00FF - 0x0178 },
    { 0x0179, 0x017D, 2, 1 },
    { 0x01A0, 0x01A0, 1, 1 },
    { 0x01AF, 0x01AF, 1, 1 },
    { 0x0218, 0x021A, 2, 1 },
    { 0x0386, 0x0386, 1, 38 },
    { 0x0388, 0x038A, 1, 37 },
    { 0x038C, 0x038C, 1, 64 },
    { 0x038E, 0x038F, 1, 63 },
    { 0x0391, 0x03A1, 1, 32 },
    { 0x03A3, 0x03AB, 1, 32 },
    { 0x03C2, 0x03C2, 1, 1 },
    { 0x0400, 0x040F, 1, 80 },
    { 0x0410, 0x042F, 1, 32 },
    { 0x0460, 0x0480, 2, 1 },
    { 0x048A, 0x04BE, 2, 1 },
    { 0x04C0, 0x04C0, 1, 15 },
    { 0x04C1, 0x04CD, 2, 1 },
    { 0x04D0, 0x052E, 2, 1 },
    { 0x1E00, 0x1E94, 2, 1 },
    { 0x1E9E, 0x1E9E, 1, 0x00DF - 0x1E9E },
    { 0x1EA0, 0x1EFE, 2, 1 }
};


uint32_t
doi_char_next(const uint8_t **p, const uint8_t *end)
{
    size_t          i, len, bad;
    uint32_t        c;
    const uint8_t  *s;

    s = *p;
    len = doi_utf8_next(s, end, &bad);

    if (len == 0) {
        return DOI_CHAR_NONE;
    }

    *p += len;

    if (len == 1) {
        return s[0];
    }

    c = s[0] & (0xFF >> (len + 1));

    for (i = 1; i < len; i++) {
        c = c << 6 | (s[i] & 0x3F);
    }

    return c;
}


size_t
doi_char_put(uint8_t *p, uint32_t c)
{
    if (c < 0x80) {
        p[0] = (uint8_t) c;
        return 1;
    }

    if (c < 0x800) {
        p[0] = (uint8_t) (0xC0 | c >> 6);
        p[1] = (uint8_t) (0x80 | (c & 0x3F));
        return 2;
    }

    if (c < 0x10000) {
        p[0] = (uint8_t) (0xE0 | c >> 12);
        p[1] = (uint8_t) (0x80 | (c >> 6 & 0x3F));
        p[2] = (uint8_t) (0x80 | (c & 0x3F));
        return 3;
    }

    p[0] = (uint8_t) (0xF0 | c >> 18);
    p[1] = (uint8_t) (0x80 | (c >> 12 & 0x3F));
    p[2] = (uint8_t) (0x80 | (c >> 6 & 0x3F));
    p[3] = (uint8_t) (0x80 | (c & 0x3F));

    return 4;
}


int
doi_char_blank(uint32_t c)
{
    return doi_char_within(doi_char_blanks, c);
}


int
doi_char_invisible(uint32_t c)
{
    return c >= 0x80 && doi_char_within(doi_char_nothing, c);
}


uint32_t
doi_char_narrow(uint32_t c)
{
    if (c >= 0xFF01 && c <= 0xFF5E) {
        c -= 0xFF01 - '!';
    }

    if ((c >= 0x2010 && c <= 0x2015) || c == 0x2212 || c == 0xFE58
        || c == 0xFE63)
    {
        return '-';
    }

    return c;
}


uint32_t
doi_char_fold(uint32_t c)
{
    size_t                  i;
    const doi_char_fold_t  *fold;

    for (i = 0; i < sizeof(doi_char_folds) / sizeof(doi_char_folds[0]); i++) {

        fold = &doi_char_folds[i];

        if (c < fold->first) {
            break;
        }

        if (c <= fold->last) {
            return (c - fold->first) % (uint32_t) fold->step
                   ? c : (uint32_t) ((int) c + fold->add);
        }
    }

    return c;
}


static int
doi_char_in(const doi_char_range_t *ranges, size_t n, uint32_t c)
{
    size_t  i;

    for (i = 0; i < n && c >= ranges[i].first; i++) {
        if (c <= ranges[i].last) {
            return 1;
        }
    }

    return 0;
}
