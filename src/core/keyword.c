/*
 * Keywords.  See keyword.h.
 *
 * A message is looked at three times, each time in a form that forgives more:
 *
 *   folded   no invisible characters, full-width letters and all hyphens as
 *            ASCII, small letters, one space between words: CONFIRM
 *   trimmed  also without quotation marks around (and the * and _ of WhatsApp's
 *            bold and italic), without . ! , at the end, and without commas
 *            before a space ("please, stop"): all other words
 *   words    letters and digits alone: is there a stop word in it?
 *
 * The forms differ on purpose: what opts in is read strictly, what opts out
 * generously.  Letters with marks are compared as telephones send them, in one
 * code point (NFC); small letters are found as chars.h says.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE     /* memmem() */
#endif

#include "keyword.h"

#include <string.h>

#include "chars.h"
#include "escape.h"


#define DOI_MESSAGE_MAX     1600    /* bytes: ten parts of an SMS            */

/* Of a text that is looked at piece by piece: a word and a space around. */
#define DOI_KEYWORD_KEPT    (DOI_KEYWORD_SIZE + 2)


typedef struct {
    const char  *word;
    doi_says_t   says;
} doi_keyword_known_t;


typedef struct {
    uint32_t  first;
    uint32_t  last;
} doi_keyword_range_t;


static int doi_keyword_confirm(doi_keywords_t *keywords, doi_str_t word,
    const char **err);
static int doi_keyword_check(const doi_keywords_t *keywords, doi_says_t says,
    doi_str_t word, const char **err);
static int doi_keyword_clash(const doi_keywords_t *keywords, doi_says_t says,
    doi_str_t word);
static doi_says_t doi_keyword_find(const doi_keywords_t *keywords,
    doi_str_t word);
static int doi_keyword_same(doi_str_t s, const char *word);
static int doi_keyword_doubtful(const doi_keywords_t *keywords,
    doi_str_t message);
static int doi_keyword_stops(const doi_keywords_t *keywords, doi_str_t words);
static int doi_keyword_has(doi_str_t words, const char *word);
static size_t doi_keyword_fold(doi_str_t s, uint8_t *p);
static uint32_t doi_keyword_char(uint32_t c);
static doi_str_t doi_keyword_trim(uint8_t *p, size_t len);
static size_t doi_keyword_words(doi_str_t s, uint8_t *p);
static size_t doi_keyword_word(uint8_t *p, size_t len, uint32_t c);
static int doi_keyword_wraps(uint32_t c);
static int doi_keyword_ends(uint32_t c);
static int doi_keyword_letter(uint32_t c);


static const char *const  doi_keyword_confirms[] = {
    "yes", "y", "ok", "confirm", "approve"
};


/*
 * Folded.  First the words of the carriers (CTIA Messaging Principles and Best
 * Practices, 5.1.3; FCC 47 CFR 64.1200(a)(10)), then plain phrases: those that
 * as a whole message cannot mean anything else.
 *
 * Of German there are "stopp" and "abmelden", which as a whole message ask for
 * just that; "ende" and others that may answer another question are a matter of
 * configuration.  The same goes for all other languages.
 */

static const doi_keyword_known_t  doi_keyword_known[] = {

    { "start",                      DOI_SAYS_SUBSCRIBE },
    { "subscribe",                  DOI_SAYS_SUBSCRIBE },
    { "unstop",                     DOI_SAYS_SUBSCRIBE },

    { "help",                       DOI_SAYS_HELP },
    { "info",                       DOI_SAYS_HELP },

    { "stop",                       DOI_SAYS_STOP },
    { "unsubscribe",                DOI_SAYS_STOP },
    { "end",                        DOI_SAYS_STOP },
    { "quit",                       DOI_SAYS_STOP },
    { "stopall",                    DOI_SAYS_STOP },
    { "stop all",                   DOI_SAYS_STOP },
    { "revoke",                     DOI_SAYS_STOP },
    { "optout",                     DOI_SAYS_STOP },
    { "opt-out",                    DOI_SAYS_STOP },
    { "opt out",                    DOI_SAYS_STOP },
    { "cancel",                     DOI_SAYS_STOP },
    { "arret",                      DOI_SAYS_STOP },
    { "arr\xC3\xAAt",               DOI_SAYS_STOP },

    { "please stop",                DOI_SAYS_STOP },
    { "pls stop",                   DOI_SAYS_STOP },
    { "stop please",                DOI_SAYS_STOP },
    { "stop pls",                   DOI_SAYS_STOP },
    { "stop messages",              DOI_SAYS_STOP },
    { "stop texts",                 DOI_SAYS_STOP },
    { "stop texting me",            DOI_SAYS_STOP },
    { "please stop texting me",     DOI_SAYS_STOP },
    { "stop texting me please",     DOI_SAYS_STOP },
    { "stop messaging me",          DOI_SAYS_STOP },
    { "please stop messaging me",   DOI_SAYS_STOP },
    { "stop messaging me please",   DOI_SAYS_STOP },
    { "stop sending me messages",   DOI_SAYS_STOP },
    { "do not text me",             DOI_SAYS_STOP },
    { "don't text me",              DOI_SAYS_STOP },
    { "opt me out",                 DOI_SAYS_STOP },
    { "please opt me out",          DOI_SAYS_STOP },
    { "opt me out please",          DOI_SAYS_STOP },
    { "i want to opt out",          DOI_SAYS_STOP },
    { "unsubscribe me",             DOI_SAYS_STOP },
    { "please unsubscribe",         DOI_SAYS_STOP },
    { "unsubscribe please",         DOI_SAYS_STOP },
    { "please unsubscribe me",      DOI_SAYS_STOP },
    { "unsubscribe me please",      DOI_SAYS_STOP },
    { "i want to unsubscribe",      DOI_SAYS_STOP },
    { "cancel my subscription",     DOI_SAYS_STOP },
    { "remove me",                  DOI_SAYS_STOP },
    { "please remove me",           DOI_SAYS_STOP },
    { "remove me please",           DOI_SAYS_STOP },
    { "remove me from your list",   DOI_SAYS_STOP },
    { "take me off your list",      DOI_SAYS_STOP },

    { "stopp",                      DOI_SAYS_STOP },
    { "bitte stopp",                DOI_SAYS_STOP },
    { "stopp bitte",                DOI_SAYS_STOP },
    { "abmelden",                   DOI_SAYS_STOP },
    { "bitte abmelden",             DOI_SAYS_STOP },
    { "abmelden bitte",             DOI_SAYS_STOP }
};


#define doi_keyword_nknown                                                    \
    (sizeof(doi_keyword_known) / sizeof(doi_keyword_known[0]))


void
doi_keywords_init(doi_keywords_t *keywords)
{
    memset(keywords, 0, sizeof(doi_keywords_t));
    memcpy(keywords->confirm, "yes", sizeof("yes"));
}


int
doi_keywords_add(doi_keywords_t *keywords, doi_says_t says, doi_str_t word,
    const char **err)
{
    uint8_t         folded[DOI_MESSAGE_MAX];
    doi_str_t       text;
    doi_keyword_t  *keyword;

    *err = NULL;

    if (word.len > sizeof(folded)) {
        *err = "is too long";
        return DOI_ERROR;
    }

    if (doi_utf8_check(word) != word.len) {
        *err = "is not UTF-8";
        return DOI_ERROR;
    }

    text.data = folded;
    text.len = doi_keyword_fold(word, folded);

    if (says == DOI_SAYS_CONFIRM) {
        return doi_keyword_confirm(keywords, text, err);
    }

    text = doi_keyword_trim(folded, text.len);

    if (doi_keyword_check(keywords, says, text, err) != DOI_OK) {
        return DOI_ERROR;
    }

    if (doi_keyword_find(keywords, text) == says) {
        return DOI_OK;
    }

    if (keywords->n == DOI_KEYWORDS_MAX) {
        *err = "is one too many";
        return DOI_ERROR;
    }

    keyword = &keywords->words[keywords->n++];

    memset(keyword, 0, sizeof(doi_keyword_t));
    memcpy(keyword->word, text.data, text.len);
    keyword->says = (uint8_t) says;

    return DOI_OK;
}


static int
doi_keyword_confirm(doi_keywords_t *keywords, doi_str_t word,
    const char **err)
{
    size_t  i;

    for (i = 0; i < sizeof(doi_keyword_confirms) / sizeof(char *); i++) {

        if (!doi_keyword_same(word, doi_keyword_confirms[i])) {
            continue;
        }

        if (doi_keyword_find(keywords, word) != DOI_SAYS_OTHER) {
            *err = "means something else already";
            return DOI_ERROR;
        }

        memset(keywords->confirm, 0, sizeof(keywords->confirm));
        memcpy(keywords->confirm, word.data, word.len);

        return DOI_OK;
    }

    *err = "is none of YES, Y, OK, CONFIRM and APPROVE";

    return DOI_ERROR;
}


static int
doi_keyword_check(const doi_keywords_t *keywords, doi_says_t says,
    doi_str_t word, const char **err)
{
    size_t      i;
    doi_says_t  was;

    if (says != DOI_SAYS_SUBSCRIBE && says != DOI_SAYS_STOP
        && says != DOI_SAYS_HELP)
    {
        *err = "has no meaning that could be configured";
        return DOI_ERROR;
    }

    if (word.len == 0) {
        *err = "is empty";
        return DOI_ERROR;
    }

    if (word.len >= DOI_KEYWORD_SIZE) {
        *err = "is too long";
        return DOI_ERROR;
    }

    for (i = 0; i < word.len; i++) {
        if (word.data[i] < ' ' || word.data[i] == 0x7F) {
            *err = "has a control character";
            return DOI_ERROR;
        }
    }

    was = doi_keyword_find(keywords, word);

    if ((was != DOI_SAYS_OTHER && was != says)
        || doi_keyword_same(word, keywords->confirm))
    {
        *err = "means something else already";
        return DOI_ERROR;
    }

    if (doi_keyword_clash(keywords, says, word)) {
        *err = says == DOI_SAYS_STOP ? "is part of a word that is no stop word"
                                     : "has a stop word in it";
        return DOI_ERROR;
    }

    return DOI_OK;
}


/* Nobody who writes a stop word shall be taken to ask for something else. */

static int
doi_keyword_clash(const doi_keywords_t *keywords, doi_says_t says,
    doi_str_t word)
{
    char       text[DOI_KEYWORD_SIZE];
    size_t     i;
    uint8_t    words[DOI_KEYWORD_SIZE + 2];
    doi_str_t  other;

    other.data = words;

    if (says != DOI_SAYS_STOP) {
        other.len = doi_keyword_words(word, words);
        return doi_keyword_stops(keywords, other);
    }

    memcpy(text, word.data, word.len);
    text[word.len] = '\0';

    for (i = 0; i < keywords->n; i++) {

        if (keywords->words[i].says == DOI_SAYS_STOP) {
            continue;
        }

        word.data = (const uint8_t *) keywords->words[i].word;
        word.len = strlen(keywords->words[i].word);
        other.len = doi_keyword_words(word, words);

        if (doi_keyword_has(other, text)) {
            return 1;
        }
    }

    return 0;
}


doi_says_t
doi_keyword(const doi_keywords_t *keywords, doi_str_t message)
{
    uint8_t     folded[DOI_MESSAGE_MAX];
    doi_str_t   text;
    doi_says_t  says;

    if (doi_utf8_check(message) != message.len) {
        return DOI_SAYS_OTHER;
    }

    if (message.len <= sizeof(folded)) {

        text.data = folded;
        text.len = doi_keyword_fold(message, folded);

        if (doi_keyword_same(text, keywords->confirm)) {
            return DOI_SAYS_CONFIRM;
        }

        says = doi_keyword_find(keywords, doi_keyword_trim(folded, text.len));

        if (says != DOI_SAYS_OTHER) {
            return says;
        }
    }

    return doi_keyword_doubtful(keywords, message) ? DOI_SAYS_DOUBTFUL
                                                   : DOI_SAYS_OTHER;
}


static doi_says_t
doi_keyword_find(const doi_keywords_t *keywords, doi_str_t word)
{
    size_t  i;

    for (i = 0; i < doi_keyword_nknown; i++) {
        if (doi_keyword_same(word, doi_keyword_known[i].word)) {
            return doi_keyword_known[i].says;
        }
    }

    for (i = 0; i < keywords->n; i++) {
        if (doi_keyword_same(word, keywords->words[i].word)) {
            return (doi_says_t) keywords->words[i].says;
        }
    }

    return DOI_SAYS_OTHER;
}


static int
doi_keyword_same(doi_str_t s, const char *word)
{
    return s.len == strlen(word) && s.len != 0
           && memcmp(s.data, word, s.len) == 0;
}


/* Of any length: piece by piece, and each piece begins with the last's end. */

static int
doi_keyword_doubtful(const doi_keywords_t *keywords, doi_str_t message)
{
    size_t          len;
    uint8_t         piece[DOI_MESSAGE_MAX];
    doi_str_t       words;
    const uint8_t  *p, *end;

    if (message.len == 0) {
        return 0;
    }

    words.data = piece;
    piece[0] = ' ';
    len = 1;

    p = message.data;
    end = p + message.len;

    while (p < end) {
        len += doi_keyword_word(piece, len, doi_char_next(&p, end));

        if (len + 4 < sizeof(piece)) {
            continue;
        }

        words.len = len;

        if (doi_keyword_stops(keywords, words)) {
            return 1;
        }

        memmove(piece, piece + len - DOI_KEYWORD_KEPT, DOI_KEYWORD_KEPT);
        len = DOI_KEYWORD_KEPT;
    }

    words.len = len + doi_keyword_word(piece, len, ' ');

    return doi_keyword_stops(keywords, words);
}


static int
doi_keyword_stops(const doi_keywords_t *keywords, doi_str_t words)
{
    size_t  i;

    for (i = 0; i < doi_keyword_nknown; i++) {
        if (doi_keyword_known[i].says == DOI_SAYS_STOP
            && doi_keyword_has(words, doi_keyword_known[i].word))
        {
            return 1;
        }
    }

    for (i = 0; i < keywords->n; i++) {
        if (keywords->words[i].says == DOI_SAYS_STOP
            && doi_keyword_has(words, keywords->words[i].word))
        {
            return 1;
        }
    }

    return 0;
}


/*
 * A word stands between spaces, unless it is written in a script that does
 * without them: Chinese, Japanese, Thai and other three-byte ones.
 */

static int
doi_keyword_has(doi_str_t words, const char *word)
{
    size_t     last;
    uint8_t    inner[DOI_KEYWORD_SIZE + 2];
    doi_str_t  s;

    s.data = (const uint8_t *) word;
    s.len = strlen(word);

    s.len = doi_keyword_words(s, inner);
    s.data = inner;

    /* a word of signs alone, an emoji, is found only as a whole message */

    if (s.len < 3) {
        return 0;
    }

    for (last = s.len - 2; (inner[last] & 0xC0) == 0x80; last--) {
        /* void */
    }

    if (inner[last] >= 0xE0) {
        s.len--;
    }

    if (inner[1] >= 0xE0) {
        s.data++;
        s.len--;
    }

    return memmem(words.data, words.len, s.data, s.len) != NULL;
}


/* Never longer than s. */

static size_t
doi_keyword_fold(doi_str_t s, uint8_t *p)
{
    int             blank;
    size_t          len;
    uint32_t        c;
    const uint8_t  *pos, *end;

    if (s.len == 0) {
        return 0;
    }

    len = 0;
    blank = 0;
    pos = s.data;
    end = pos + s.len;

    while (pos < end) {
        c = doi_char_next(&pos, end);

        if (doi_char_invisible(c)) {
            continue;
        }

        if (doi_char_blank(c)) {
            blank = len != 0;
            continue;
        }

        if (blank) {
            p[len++] = ' ';
            blank = 0;
        }

        len += doi_char_put(p + len, doi_keyword_char(c));
    }

    return len;
}


static uint32_t
doi_keyword_char(uint32_t c)
{
    c = doi_char_fold(doi_char_narrow(c));

    return c == 0x2019 || c == 0x02BC ? '\'' : c;
}


static doi_str_t
doi_keyword_trim(uint8_t *p, size_t len)
{
    size_t          i, n;
    uint32_t        c;
    doi_str_t       s;
    const uint8_t  *pos, *end;

    for (end = p + len; end > p; end -= n) {

        for (n = 1; end - n > p && (end[-(ptrdiff_t) n] & 0xC0) == 0x80; n++) {
            /* void */
        }

        pos = end - n;
        c = doi_char_next(&pos, end);

        if (c != ' ' && !doi_keyword_wraps(c) && !doi_keyword_ends(c)) {
            break;
        }
    }

    while (p < end) {
        pos = p;
        c = doi_char_next(&pos, end);

        if (c != ' ' && !doi_keyword_wraps(c)) {
            break;
        }

        p += pos - p;
    }

    /* the last byte is no comma: there is one behind each */

    for (i = 0, n = 0, len = (size_t) (end - p); i < len; i++) {
        if (p[i] != ',' || p[i + 1] != ' ') {
            p[n++] = p[i];
        }
    }

    s.data = p;
    s.len = n;

    return s;
}


/* Into len + 2 bytes: one space in front, between the words, and at the end. */

static size_t
doi_keyword_words(doi_str_t s, uint8_t *p)
{
    size_t          len;
    const uint8_t  *pos, *end;

    p[0] = ' ';
    len = 1;

    for (pos = s.data, end = pos + s.len; pos < end; /* void */ ) {
        len += doi_keyword_word(p, len, doi_char_next(&pos, end));
    }

    return len + doi_keyword_word(p, len, ' ');
}


/* Appends c at p + len, len > 0; marks (U+0300 to U+036F) are left out. */

static size_t
doi_keyword_word(uint8_t *p, size_t len, uint32_t c)
{
    if (doi_char_invisible(c) || (c >= 0x0300 && c <= 0x036F)) {
        return 0;
    }

    c = doi_keyword_char(c);

    if (doi_keyword_letter(c)) {
        return doi_char_put(p + len, c);
    }

    if (p[len - 1] == ' ') {
        return 0;
    }

    p[len] = ' ';

    return 1;
}


/* Quotation marks of all languages, and the signs of bold and italic. */

static int
doi_keyword_wraps(uint32_t c)
{
    return c == '"' || c == '\'' || c == '`' || c == '*' || c == '_'
           || c == 0x00B4 || c == 0x00AB || c == 0x00BB
           || (c >= 0x2018 && c <= 0x201F) || c == 0x2032 || c == 0x2033
           || c == 0x2039 || c == 0x203A || (c >= 0x300C && c <= 0x300F)
           || (c >= 0x301D && c <= 0x301F);
}


/* Also the ellipsis that telephones make of three dots, and the full stop of
   Chinese and Japanese. */

static int
doi_keyword_ends(uint32_t c)
{
    return c == '.' || c == '!' || c == ',' || c == 0x2026 || c == 0x3002;
}


static int
doi_keyword_letter(uint32_t c)
{
    size_t  i;

    static const doi_keyword_range_t  others[] = {
        { 0x0000, 0x002F }, { 0x003A, 0x0060 }, { 0x007B, 0x00A9 },
        { 0x00AB, 0x00B4 }, { 0x00B6, 0x00B9 }, { 0x00BB, 0x00BF },
        { 0x00D7, 0x00D7 }, { 0x00F7, 0x00F7 }, { 0x037E, 0x037E },
        { 0x0387, 0x0387 }, { 0x055A, 0x055F }, { 0x0589, 0x058A },
        { 0x060C, 0x060C }, { 0x061B, 0x061F }, { 0x06D4, 0x06D4 },
        { 0x0964, 0x0965 }, { 0x1680, 0x1680 }, { 0x2000, 0x2BFF },
        { 0x2E00, 0x2E7F }, { 0x3000, 0x3004 }, { 0x3008, 0x3020 },
        { 0x3030, 0x3030 }, { 0x303D, 0x303F }, { 0x30FB, 0x30FB },
        { 0xE000, 0xF8FF }, { 0xFE10, 0xFE6F }, { 0xFF5F, 0xFF65 },
        { 0xFFE0, 0xFFFF }, { 0x1F000, 0x1FAFF }, { 0xF0000, 0x10FFFF }
    };

    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (c >= others[i].first && c <= others[i].last) {
            return 0;
        }
    }

    return 1;
}
