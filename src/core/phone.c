/*
 * Telephone numbers.  See phone.h.
 *
 * What can be understood in two ways is refused: consent that is filed under
 * another person's number is worse than a form that is filled in twice.
 *
 *   - "(0)" goes where the country code is; "+49 0151 ..." without brackets is
 *     refused, since it may as well be a slip in the country code.
 *   - Parameters of a tel: URI (RFC 3966) are refused: ";ext=" and ";isub="
 *     name somebody behind the number, ";phone-context=" says that it is local.
 *   - A national number that begins with the country's own code and is long
 *     enough to be an international one is refused.
 */

#include "phone.h"

#include <string.h>

#include "chars.h"


#define DOI_PHONE_TEXT      128     /* bytes: numbers pasted with formatting */
#define DOI_PHONE_DIGITS    15
#define DOI_PHONE_LEAST     7
#define DOI_PHONE_NO_ZERO   ((size_t) -1)


/* What is dialled in front of a national number, if not "0". */

typedef struct {
    char     code[4];
    char     trunk[3];
    uint8_t  len;               /* digits of national numbers; 0: differs    */
    uint8_t  keeps;             /* a zero in front is part of the number      */
} doi_phone_plan_t;


/* The digits of a number, and what was around them. */

typedef struct {
    uint8_t  digits[DOI_PHONE_TEXT];
    size_t   n;
    size_t   zero;              /* index of a "(0)", or DOI_PHONE_NO_ZERO    */
    int      plus;
} doi_phone_t;


static int doi_phone_ascii(doi_str_t text, char *p, const char **err);
static int doi_phone_ascii_char(uint32_t c);
static const char *doi_phone_scheme(const char *s);
static int doi_phone_read(const char *s, doi_phone_t *phone, const char **err);
static const char *doi_phone_wrong(const char *s);
static int doi_phone_brackets(doi_phone_t *phone, size_t open,
    const char **err);
static void doi_phone_drop(doi_phone_t *phone, size_t i, size_t n);
static int doi_phone_international(doi_phone_t *phone, const char **err);
static int doi_phone_national(doi_phone_t *phone, doi_str_t country,
    const char **err);
static int doi_phone_trunk(doi_phone_t *phone, const doi_phone_plan_t *plan,
    doi_str_t country, const char **err);
static int doi_phone_begins(const doi_phone_t *phone, const void *text,
    size_t len);
static size_t doi_phone_code(const uint8_t *digits, size_t n);
static const doi_phone_plan_t *doi_phone_plan(const uint8_t *code, size_t len);
static int doi_is_digit(int c);


/*
 * ITU-T E.164, list of assigned country codes, without the spare and the
 * reserved ones, in ascending order.  No code is the beginning of another one.
 */

static const struct {
    uint16_t  first;
    uint16_t  last;
} doi_phone_codes[] = {
    { 1, 1 }, { 7, 7 },

    { 20, 20 }, { 27, 27 }, { 30, 34 }, { 36, 36 }, { 39, 41 }, { 43, 49 },
    { 51, 58 }, { 60, 66 }, { 81, 82 }, { 84, 84 }, { 86, 86 }, { 90, 95 },
    { 98, 98 },

    { 211, 213 }, { 216, 216 }, { 218, 218 }, { 220, 258 }, { 260, 269 },
    { 290, 291 }, { 297, 299 }, { 350, 359 }, { 370, 383 }, { 385, 387 },
    { 389, 389 }, { 420, 421 }, { 423, 423 }, { 500, 509 }, { 590, 599 },
    { 670, 670 }, { 672, 683 }, { 685, 692 }, { 800, 800 }, { 808, 808 },
    { 850, 850 }, { 852, 853 }, { 855, 856 }, { 870, 870 }, { 878, 878 },
    { 880, 883 }, { 886, 886 }, { 960, 968 }, { 970, 977 }, { 979, 979 },
    { 992, 996 }, { 998, 998 }
};


static const doi_phone_plan_t  doi_phone_plans[] = {
    { "1",   "1",  10, 0 },     /* North America                             */
    { "7",   "8",  10, 0 },     /* Russia, Kazakhstan                        */
    { "36",  "06", 0,  0 },     /* Hungary                                   */
    { "39",  "",   0,  1 },     /* Italy                                     */
    { "225", "",   0,  1 },     /* Ivory Coast, since 2021                   */
    { "229", "",   0,  1 },     /* Benin, since 2024                         */
    { "242", "",   0,  1 },     /* Congo                                     */
    { "378", "",   0,  1 },     /* San Marino                                */
    { "379", "",   0,  1 },     /* Vatican                                   */
    { "",    "0",  0,  0 }      /* the others                                */
};


int
doi_phone_normalise(doi_str_t text, doi_str_t country, doi_buf_t *out,
    const char **err)
{
    int          rc;
    char         ascii[DOI_PHONE_TEXT + 1];
    doi_phone_t  phone;

    if (doi_phone_ascii(text, ascii, err) != DOI_OK
        || doi_phone_read(doi_phone_scheme(ascii), &phone, err) != DOI_OK)
    {
        return DOI_ERROR;
    }

    if (phone.plus) {
        rc = doi_phone_international(&phone, err);

    } else if (country.len == 1 && country.data[0] == '1'
               && doi_phone_begins(&phone, "011", 3))
    {
        doi_phone_drop(&phone, 0, 3);
        rc = doi_phone_international(&phone, err);

    } else if (doi_phone_begins(&phone, "00", 2)) {
        doi_phone_drop(&phone, 0, 2);
        rc = doi_phone_international(&phone, err);

    } else {
        rc = doi_phone_national(&phone, country, err);
    }

    if (rc != DOI_OK) {
        return DOI_ERROR;
    }

    if (phone.n < DOI_PHONE_LEAST) {
        *err = "has too few digits";
        return DOI_ERROR;
    }

    if (phone.n > DOI_PHONE_DIGITS) {
        *err = "has too many digits";
        return DOI_ERROR;
    }

    if (out->size < out->len || out->size - out->len < phone.n + 1) {
        *err = "is too long";
        return DOI_ERROR;
    }

    out->data[out->len++] = '+';
    memcpy(out->data + out->len, phone.digits, phone.n);
    out->len += phone.n;

    return DOI_OK;
}


/* Without what is invisible, without blanks at the ends, zero-terminated. */

static int
doi_phone_ascii(doi_str_t text, char *p, const char **err)
{
    int             ascii;
    char           *start;
    uint32_t        c;
    const uint8_t  *s, *end;

    if (text.len > DOI_PHONE_TEXT) {
        *err = "is too long";
        return DOI_ERROR;
    }

    start = p;
    s = text.data;

    for (end = text.len ? s + text.len : s; s < end; /* void */ ) {

        if (doi_is_digit(*s) || *s == '+') {
            *p++ = (char) *s++;
            continue;
        }

        c = doi_char_next(&s, end);

        if (c == DOI_CHAR_NONE) {
            *err = "is not UTF-8";
            return DOI_ERROR;
        }

        if (doi_char_invisible(c)) {
            continue;
        }

        ascii = doi_phone_ascii_char(c);

        if (ascii == 0) {
            *err = "has a character that does not belong there";
            return DOI_ERROR;
        }

        if (ascii != ' ' || p != start) {
            *p++ = (char) ascii;
        }
    }

    while (p != start && p[-1] == ' ') {
        p--;
    }

    *p = '\0';

    if (p == start) {
        *err = "is empty";
        return DOI_ERROR;
    }

    return DOI_OK;
}


/* 0 for what no number has. */

static int
doi_phone_ascii_char(uint32_t c)
{
    if (c == '\n' || c == '\r') {
        return 0;
    }

    if (doi_char_blank(c)) {
        return ' ';
    }

    if (c >= 0x0660 && c <= 0x0669) {
        return (int) (c - 0x0660) + '0';
    }

    if (c >= 0x06F0 && c <= 0x06F9) {
        return (int) (c - 0x06F0) + '0';
    }

    c = doi_char_narrow(c);

    return c > ' ' && c < 0x7F ? (int) c : 0;
}


static const char *
doi_phone_scheme(const char *s)
{
    size_t  i, k;

    static const char *const  schemes[] = { "tel:", "whatsapp:" };

    for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {

        for (k = 0; schemes[i][k] != '\0'; k++) {
            if ((s[k] >= 'A' && s[k] <= 'Z' ? s[k] | 0x20 : s[k])
                != schemes[i][k])
            {
                break;
            }
        }

        if (schemes[i][k] == '\0') {
            s += k;
            break;
        }
    }

    while (*s == ' ') {
        s++;
    }

    return s;
}


static int
doi_phone_read(const char *s, doi_phone_t *phone, const char **err)
{
    int     inside;
    char    last;
    size_t  open;

    phone->n = 0;
    phone->zero = DOI_PHONE_NO_ZERO;
    phone->plus = 0;
    inside = 0;
    open = 0;
    last = '-';

    for ( /* void */ ; *s != '\0'; s++) {

        if (doi_is_digit(*s)) {
            phone->digits[phone->n++] = (uint8_t) *s;

        } else if (*s == '+') {

            if (phone->plus || phone->n || (last != '-' && last != '(')) {
                *err = "has a plus sign in a wrong place";
                return DOI_ERROR;
            }

            phone->plus = 1;

        } else if (*s == '(' && !inside) {
            inside = 1;
            open = phone->n;

        } else if (*s == ')' && inside) {
            inside = 0;

            if (doi_phone_brackets(phone, open, err) != DOI_OK) {
                return DOI_ERROR;
            }

        } else if (*s == '(' || *s == ')') {
            *err = "has brackets in a wrong place";
            return DOI_ERROR;

        } else if (strchr("-./", *s) != NULL) {

            if (phone->n == 0 || s[1] == '\0') {
                *err = "has a separator in a wrong place";
                return DOI_ERROR;
            }

        } else if (*s != ' ') {
            *err = doi_phone_wrong(s);
            return DOI_ERROR;
        }

        if (*s != ' ') {
            last = *s;
        }
    }

    if (inside) {
        *err = "has brackets in a wrong place";
        return DOI_ERROR;
    }

    if (phone->n == 0) {
        *err = "has no digits";
        return DOI_ERROR;
    }

    return DOI_OK;
}


/* Of bytes that are printable ASCII. */

static const char *
doi_phone_wrong(const char *s)
{
    int  c, next;

    c = *s >= 'A' && *s <= 'Z' ? *s | 0x20 : *s;

    next = c == ';' || c == 'e' ? s[1] | 0x20 : '\0';

    if (c == '#' || (c == 'x' && strpbrk(s, "0123456789") != NULL)
        || (c == ';' && next == 'e') || (c == 'e' && next == 'x'))
    {
        return "has an extension";
    }

    if (c == ';') {
        return "has parameters";
    }

    if (c >= 'a' && c <= 'z') {
        return "has letters in it";
    }

    return "has a character that does not belong there";
}


static int
doi_phone_brackets(doi_phone_t *phone, size_t open, const char **err)
{
    if (phone->n == open) {
        *err = "has brackets with nothing in them";
        return DOI_ERROR;
    }

    if (phone->n - open != 1 || phone->digits[open] != '0') {
        return DOI_OK;
    }

    if (phone->zero != DOI_PHONE_NO_ZERO) {
        *err = "has more than one (0)";
        return DOI_ERROR;
    }

    phone->zero = open;

    return DOI_OK;
}


static void
doi_phone_drop(doi_phone_t *phone, size_t i, size_t n)
{
    phone->n -= n;
    memmove(phone->digits + i, phone->digits + i + n, phone->n - i);

    if (phone->zero == DOI_PHONE_NO_ZERO) {
        return;
    }

    /* one that was part of what is gone is in a wrong place */

    phone->zero = phone->zero >= i + n ? phone->zero - n : 0;
}


static int
doi_phone_international(doi_phone_t *phone, const char **err)
{
    size_t                   len;
    const doi_phone_plan_t  *plan;

    len = doi_phone_code(phone->digits, phone->n);

    if (len == 0) {
        *err = "has a country code that does not exist";
        return DOI_ERROR;
    }

    plan = doi_phone_plan(phone->digits, len);

    if (phone->zero != DOI_PHONE_NO_ZERO && phone->zero != len) {
        *err = "has a (0) in a wrong place";
        return DOI_ERROR;
    }

    if (phone->zero == len && plan->keeps) {

        /* an Italian mobile number has no zero, a landline number has one */

        if (phone->n > len + 1 && phone->digits[len + 1] == '3') {
            *err = "has a (0) that may belong to it or not";
            return DOI_ERROR;
        }

    } else if (phone->zero == len) {
        doi_phone_drop(phone, len, 1);
    }

    if (!plan->keeps && phone->n > len && phone->digits[len] == '0') {
        *err = "has a zero behind the country code";
        return DOI_ERROR;
    }

    if (plan->len && phone->n != len + plan->len) {
        *err = phone->n < len + plan->len
               ? "has too few digits" : "has too many digits";
        return DOI_ERROR;
    }

    /* 001 149 ...: the 0011 of Australia, no American area code */

    if (plan->trunk[0] == '1' && phone->n > len
        && phone->digits[len] < '2')
    {
        *err = "has an area code that does not exist";
        return DOI_ERROR;
    }

    return DOI_OK;
}


static int
doi_phone_national(doi_phone_t *phone, doi_str_t country, const char **err)
{
    const doi_phone_plan_t  *plan;

    if (country.len == 0) {
        *err = "has no country code";
        return DOI_ERROR;
    }

    if (doi_phone_code(country.data, country.len) != country.len) {
        *err = "has no country code, and the preset one does not exist";
        return DOI_ERROR;
    }

    if (phone->zero != DOI_PHONE_NO_ZERO && phone->zero != 0) {
        *err = "has a (0) in a wrong place";
        return DOI_ERROR;
    }

    plan = doi_phone_plan(country.data, country.len);

    if (doi_phone_trunk(phone, plan, country, err) != DOI_OK) {
        return DOI_ERROR;
    }

    if (phone->n + country.len > DOI_PHONE_DIGITS) {
        *err = "has too many digits";
        return DOI_ERROR;
    }

    memmove(phone->digits + country.len, phone->digits, phone->n);
    memcpy(phone->digits, country.data, country.len);

    phone->n += country.len;

    /* "(0)" is gone with the trunk prefix, or stands where it may be kept */

    phone->zero = plan->keeps && phone->zero == 0
                  ? country.len : DOI_PHONE_NO_ZERO;

    return doi_phone_international(phone, err);
}


static int
doi_phone_trunk(doi_phone_t *phone, const doi_phone_plan_t *plan,
    doi_str_t country, const char **err)
{
    size_t  len;

    len = strlen(plan->trunk);

    if (len && doi_phone_begins(phone, plan->trunk, len)
        && (plan->len == 0 || phone->n == plan->len + len))
    {
        doi_phone_drop(phone, 0, len);
        return DOI_OK;
    }

    if (plan->len) {
        return DOI_OK;
    }

    /* 39x is an Italian mobile number of ten digits */

    if (doi_phone_begins(phone, country.data, country.len)
        && phone->n - country.len >= (plan->keeps ? 9 : 8))
    {
        *err = "begins with the country code, but has no plus sign";
        return DOI_ERROR;
    }

    return DOI_OK;
}


static int
doi_phone_begins(const doi_phone_t *phone, const void *text, size_t len)
{
    return phone->n >= len && memcmp(phone->digits, text, len) == 0;
}


/* The number of digits of the country code in front; 0: there is none. */

static size_t
doi_phone_code(const uint8_t *digits, size_t n)
{
    size_t    i, len;
    unsigned  code;

    code = 0;

    for (len = 1; len <= 3 && len <= n; len++) {

        if (!doi_is_digit(digits[len - 1])
            || (len == 1 && digits[0] == '0'))
        {
            return 0;
        }

        code = code * 10 + (digits[len - 1] - '0');

        for (i = 0;
             i < sizeof(doi_phone_codes) / sizeof(doi_phone_codes[0])
             && code >= doi_phone_codes[i].first;
             i++)
        {
            if (code <= doi_phone_codes[i].last) {
                return len;
            }
        }
    }

    return 0;
}


/* The last one is for all that have none of their own. */

static const doi_phone_plan_t *
doi_phone_plan(const uint8_t *code, size_t len)
{
    const doi_phone_plan_t  *plan;

    for (plan = doi_phone_plans; plan->code[0] != '\0'; plan++) {
        if (plan->code[0] == (char) code[0]
            && memcmp(plan->code, code, len) == 0 && plan->code[len] == '\0')
        {
            break;
        }
    }

    return plan;
}


static int
doi_is_digit(int c)
{
    return c >= '0' && c <= '9';
}
