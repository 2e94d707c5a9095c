/* What contacts mean: src/core/keyword.c, and characters: src/core/chars.c */

#include <stdlib.h>
#include <string.h>

#include "../../src/core/chars.h"
#include "../../src/core/escape.h"
#include "../../src/core/keyword.h"
#include "tap.h"


#define NELTS(a)  (sizeof(a) / sizeof(a[0]))


static const char *const  names[] = {
    "other", "confirm", "subscribe", "stop", "help", "doubtful"
};

static doi_keywords_t  words;
static const char     *err;


static doi_str_t
str(const void *data, size_t len)
{
    doi_str_t  s;

    s.data = data;
    s.len = len;

    return s;
}


/* From memory of exactly that size, so that a sanitizer sees all of it. */

static doi_says_t
says_n(const void *data, size_t len)
{
    uint8_t    *copy;
    doi_says_t  says;

    copy = malloc(len ? len : 1);
    if (copy == NULL) {
        abort();
    }

    memcpy(copy, data, len);
    says = doi_keyword(&words, str(copy, len));
    free(copy);

    return says;
}


static int
says(const char *text, doi_says_t want)
{
    doi_says_t  got;

    got = says_n(text, strlen(text));

    return ok(got == want, "\"%s\" is %s, got %s", text, names[want],
              names[got]);
}


static int
add(doi_says_t what, const char *word)
{
    err = "unset";

    return doi_keywords_add(&words, what, str(word, strlen(word)), &err);
}


static void
added(doi_says_t what, const char *word)
{
    ok(add(what, word) == DOI_OK && err == NULL, "\"%s\" may be %s: %s", word,
       names[what], err ? err : "no error");
}


static void
refused(doi_says_t what, const char *word, const char *why)
{
    int             rc;
    doi_keywords_t  was;

    was = words;
    rc = add(what, word);

    ok(rc == DOI_ERROR && err != NULL && strstr(err, why) != NULL,
       "\"%s\" for %s: %s", word, names[what], err ? err : "no error");
    ok(memcmp(&was, &words, sizeof(was)) == 0, "and nothing has changed");
}


/* How a word may be written, but for its end: "%" is where it goes. */

static size_t
wrapped(char *buf, const char *form, const char *word, int how)
{
    size_t       i, len;
    const char  *p;

    len = 0;

    for ( /* void */ ; *form != '\0'; form++) {

        if (*form != '%') {
            buf[len++] = *form;
            continue;
        }

        for (p = word, i = 0; *p != '\0'; p++, i++) {

            switch (how) {

            case 0:
                buf[len++] = *p;
                break;

            case 1:
                buf[len++] = i % 2 && *p >= 'A' && *p <= 'Z' ? *p | 0x20 : *p;
                break;

            case 2:
                buf[len++] = *p >= 'A' && *p <= 'Z' ? *p | 0x20 : *p;
                break;

            case 3:
                /* full-width, capital and small ones */
                if (*p == ' ') {
                    memcpy(buf + len, "\xE3\x80\x80", 3);

                } else {
                    (void) doi_char_put((uint8_t *) buf + len,
                                        (uint32_t) (*p | (i % 2 ? 0x20 : 0))
                                        - '!' + 0xFF01);
                }

                len += 3;
                break;

            case 4:
                /* zero-width ones everywhere */
                memcpy(buf + len, "\xE2\x80\x8B", 3);
                buf[len + 3] = *p;
                memcpy(buf + len + 4, "\xEF\xB8\x8F\xC2\xAD", 5);
                len += 9;
                break;

            default:
                /* runs of blanks */
                buf[len++] = *p;
                if (*p == ' ') {
                    memcpy(buf + len, "\t\xC2\xA0\r\n", 5);
                    len += 5;
                }
            }
        }
    }

    buf[len] = '\0';

    return len;
}


static const struct {
    const char  *word;
    doi_says_t   says;
} standard[] = {
    { "YES", DOI_SAYS_CONFIRM },
    { "START", DOI_SAYS_SUBSCRIBE },
    { "SUBSCRIBE", DOI_SAYS_SUBSCRIBE },
    { "UNSTOP", DOI_SAYS_SUBSCRIBE },
    { "HELP", DOI_SAYS_HELP },
    { "INFO", DOI_SAYS_HELP },
    { "STOP", DOI_SAYS_STOP },
    { "UNSUBSCRIBE", DOI_SAYS_STOP },
    { "END", DOI_SAYS_STOP },
    { "QUIT", DOI_SAYS_STOP },
    { "STOPALL", DOI_SAYS_STOP },
    { "STOP ALL", DOI_SAYS_STOP },
    { "REVOKE", DOI_SAYS_STOP },
    { "OPTOUT", DOI_SAYS_STOP },
    { "OPT-OUT", DOI_SAYS_STOP },
    { "OPT OUT", DOI_SAYS_STOP },
    { "CANCEL", DOI_SAYS_STOP },
    { "ARRET", DOI_SAYS_STOP },
    { "PLEASE STOP", DOI_SAYS_STOP },
    { "OPT ME OUT", DOI_SAYS_STOP },
    { "UNSUBSCRIBE ME", DOI_SAYS_STOP },
    { "REMOVE ME", DOI_SAYS_STOP },
    { "STOP PLEASE", DOI_SAYS_STOP },
    { "STOP TEXTING ME", DOI_SAYS_STOP },
    { "BITTE ABMELDEN", DOI_SAYS_STOP },
    { "STOPP", DOI_SAYS_STOP },
};


static void
test_standard(void)
{
    int     how;
    char    buf[1024];
    size_t  i, k, bad, len;

    static const char *const  blanks[] = {
        "%", " %", "% ", "\t%\r\n", "\xC2\xA0%\xE3\x80\x80", "\xE2\x80\x83%",
        "\xEF\xBB\xBF%", "%\xE2\x80\x8B ", "\xE2\x80\xAA %\xE2\x80\xAC",
        " \xE2\x81\xA0 %\xF3\xA0\x84\x80", "\n\n%\n\n"
    };
    static const char *const  signs[] = {
        "%.", "%!", "%,", "%!!!", "% .", "%...", "%\xE2\x80\xA6", "\"%\"",
        "'%'", "\xE2\x80\x9C%\xE2\x80\x9D", "\xE2\x80\x9E%\xE2\x80\x9C",
        "\xC2\xAB%\xC2\xBB", "\xC2\xAB\xC2\xA0%\xC2\xA0\xC2\xBB", "\"%.\"",
        "\"%\".", "\xE2\x80\x98%!\xE2\x80\x99 ", "%\xEF\xBC\x81",
        "%\xEF\xBC\x8E", "%\xE3\x80\x82", "\xE3\x80\x8C%\xE3\x80\x8D", "*%*",
        "_*%*_", "\"\"%"
    };

    for (i = 0; i < NELTS(standard); i++) {
        bad = 0;

        for (how = 0; how < 6; how++) {

            for (k = 0; k < NELTS(blanks); k++) {
                len = wrapped(buf, blanks[k], standard[i].word, how);
                bad += says_n(buf, len) != standard[i].says;
            }

            for (k = 0; k < NELTS(signs); k++) {
                len = wrapped(buf, signs[k], standard[i].word, how);
                bad += says_n(buf, len)
                       != (standard[i].says == DOI_SAYS_CONFIRM
                           ? DOI_SAYS_OTHER : standard[i].says);
            }
        }

        is_int(bad, 0, "%s is %s, however it is written", standard[i].word,
               names[standard[i].says]);
    }
}


static void
test_confirm(void)
{
    size_t  i, k;

    static const char *const  five[] = {
        "YES", "Y", "OK", "CONFIRM", "APPROVE"
    };

    for (i = 0; i < NELTS(five); i++) {
        doi_keywords_init(&words);
        added(DOI_SAYS_CONFIRM, five[i]);

        for (k = 0; k < NELTS(five); k++) {
            says(five[k], i == k ? DOI_SAYS_CONFIRM : DOI_SAYS_OTHER);
        }
    }

    doi_keywords_init(&words);
    added(DOI_SAYS_CONFIRM, " oK ");
    says("Ok", DOI_SAYS_CONFIRM);
    says("\xEF\xBC\xAF\xEF\xBC\xAB", DOI_SAYS_CONFIRM);
    says("ok.", DOI_SAYS_OTHER);
    says("OK!", DOI_SAYS_OTHER);
    says("o k", DOI_SAYS_OTHER);
    says("okay", DOI_SAYS_OTHER);
    says("\xE2\x84\xAA", DOI_SAYS_OTHER);

    doi_keywords_init(&words);
    says("YES!", DOI_SAYS_OTHER);
    says("yes please", DOI_SAYS_OTHER);
    says("\"yes\"", DOI_SAYS_OTHER);
    says("*YES*", DOI_SAYS_OTHER);
    says("yes yes", DOI_SAYS_OTHER);
    says("yes,", DOI_SAYS_OTHER);
    says("yess", DOI_SAYS_OTHER);
    says("ye", DOI_SAYS_OTHER);
    says("YES\xEF\xBC\x81", DOI_SAYS_OTHER);
    says("yes \xF0\x9F\x91\x8D", DOI_SAYS_OTHER);
    says("ye\xC5\xBF", DOI_SAYS_OTHER);
    is_int(says_n("YES\0", 4), DOI_SAYS_OTHER, "YES and a NUL byte");
    is_int(says_n("YES\0STOP", 8), DOI_SAYS_DOUBTFUL, "YES, NUL, STOP");

    refused(DOI_SAYS_CONFIRM, "JA", "none of");
    refused(DOI_SAYS_CONFIRM, "", "none of");
    refused(DOI_SAYS_CONFIRM, "YES!", "none of");
    refused(DOI_SAYS_CONFIRM, "Y ES", "none of");
    refused(DOI_SAYS_CONFIRM, "STOP", "none of");
}


static void
test_doubtful(void)
{
    size_t  i;

    static const char *const  texts[] = {
        "don't stop", "don\xE2\x80\x99t STOP", "can I cancel my appointment?",
        "I want to stop by tomorrow", "stop it YES", "YES STOP", "YES, stop",
        "stop?", "stop it", "START STOP", "unstop stop", "YES\nSTOP",
        "Is this the end", "opt-out? opt in!", "\xF0\x9F\x9B\x91 stop",
        "stop\xF0\x9F\x9B\x91", "(stop)", "stop/start", "STOP-YES", "yes.stop",
        "non-stop fun", "\xEF\xBC\xB3\xEF\xBC\xB4\xEF\xBC\xAF\xEF\xBC\xB0 yes",
        "s\xE2\x80\x8Btop yes", "help me stop", "SUBSCRIBE or unsubscribe?",
        "was hei\xC3\x9Ft abmelden?", "arre\xCC\x82t", "Arr\xC3\xAAt, oui",
        "st\xCC\xB6op", "yes:stop all", "  remove me now ",
        "\xEA\x9E\x8C stop"
    };
    static const char *const  plain[] = {
        "", " ", "!", "...", "\"\"", "hello", "stopover", "nonstop",
        "weekend", "ends", "stopping", "thank you!", "ja",
        "\xF0\x9F\x91\x8D", "startup", "I need help", "helpful", "op tout",
        "s t o p", "canceled"
    };

    for (i = 0; i < NELTS(texts); i++) {
        says(texts[i], DOI_SAYS_DOUBTFUL);
    }

    for (i = 0; i < NELTS(plain); i++) {
        says(plain[i], DOI_SAYS_OTHER);
    }
}


static void
test_phrases(void)
{
    size_t  i;

    static const char *const  texts[] = {
        "Please stop.", "Please, stop!", "STOP, please", "stop please!!",
        "Unsubscribe me, please.", "Opt  me\nout", "don't text me",
        "Don\xE2\x80\x99t text me.", "opt\xE2\x80\x91out", "Opt\xE2\x80\x93Out",
        "Arr\xC3\xAAt", "ARR\xC3\x8AT", "Stopp!", "Bitte abmelden.",
        "stop texting me", "remove me", "STOP\xE2\x80\xA6", "*STOP*",
        "UNSUBSCR\xC4\xB0" "BE", "unsubscr\xC4\xB1" "be",
        "Pls stop", "Stop pls", "Stop messages", "Stop texts",
        "Please stop texting me", "Stop texting me please",
        "Stop messaging me", "Please stop messaging me",
        "Stop messaging me please", "Stop sending me messages",
        "Do not text me", "Opt me out", "Please opt me out",
        "Opt me out please", "I want to opt out", "Unsubscribe me",
        "Please unsubscribe", "Unsubscribe please", "Please unsubscribe me",
        "I want to unsubscribe", "Cancel my subscription",
        "Please remove me", "Remove me please", "Remove me from your list",
        "Take me off your list", "Bitte stopp", "Stopp bitte", "Abmelden",
        "Abmelden bitte"
    };

    for (i = 0; i < NELTS(texts); i++) {
        says(texts[i], DOI_SAYS_STOP);
    }
}


static void
test_bytes(void)
{
    char    buf[8192];
    size_t  i, bad;

    is_int(doi_keyword(&words, str(NULL, 0)), DOI_SAYS_OTHER, "no message");
    is_int(says_n("STOP\xFF", 5), DOI_SAYS_OTHER, "a byte that is not UTF-8");
    is_int(says_n("\xC3", 1), DOI_SAYS_OTHER, "half a character");
    is_int(says_n("STOP\xED\xA0\x80", 7), DOI_SAYS_OTHER, "a surrogate");
    is_int(says_n("stop\0", 5), DOI_SAYS_DOUBTFUL, "stop and a NUL byte");

    memset(buf, ' ', sizeof(buf));
    memcpy(buf + 1596, "STOP", 4);
    is_int(says_n(buf, 1600), DOI_SAYS_STOP, "1600 bytes");
    is_int(says_n(buf, 1601), DOI_SAYS_DOUBTFUL, "1601 bytes");

    memcpy(buf + 1596, " YES", 4);
    is_int(says_n(buf, 1600), DOI_SAYS_CONFIRM, "YES in 1600 bytes");
    is_int(says_n(buf, 1601), DOI_SAYS_OTHER, "YES in 1601 bytes");

    /* wherever it stands in a long text, it is found */

    bad = 0;

    for (i = 0; i + 6 < 5000; i++) {
        memset(buf, 'x', sizeof(buf));
        memcpy(buf + i, " stop ", 6);
        bad += says_n(buf, sizeof(buf)) != DOI_SAYS_DOUBTFUL;

        memcpy(buf + i, "xstop ", 6);
        bad += says_n(buf, sizeof(buf)) != DOI_SAYS_OTHER;
    }

    is_int(bad, 0, "a stop word anywhere in 8192 bytes");

    memcpy(buf + sizeof(buf) - 5, " stop", 5);
    is_int(says_n(buf, sizeof(buf)), DOI_SAYS_DOUBTFUL, "at the end");

    for (i = 0; i + 3 <= sizeof(buf); i += 3) {
        memcpy(buf + i, "\xE2\x80\x8B", 3);
    }

    memcpy(buf + 3 * 600, "st\xC2\xAD", 4);
    memcpy(buf + 3 * 600 + 4, "\xC2\xADop\xC2\xAD", 6);
    memcpy(buf + 3 * 600 + 10, "\xC2\xAD", 2);
    is_int(says_n(buf, 8190), DOI_SAYS_DOUBTFUL, "among invisible ones");
}


static void
test_configured(void)
{
    int   i, rc;
    char  word[64];

    doi_keywords_init(&words);

    added(DOI_SAYS_SUBSCRIBE, "ANMELDEN");
    added(DOI_SAYS_STOP, "k\xC3\xBCndigen");
    added(DOI_SAYS_STOP, "Keine  Nachrichten mehr!");
    added(DOI_SAYS_STOP, "\xD0\xA1\xD0\xA2\xD0\x9E\xD0\x9F");
    added(DOI_SAYS_STOP, "\xCE\xA3\xCE\xA4\xCE\x9F\xCE\xA0");
    added(DOI_SAYS_STOP, "\xE9\x80\x80\xE8\xAE\xA2");
    added(DOI_SAYS_STOP, "\xC4\xB0PTAL");
    added(DOI_SAYS_STOP, "\xC5\xBB" "EGNAJ");
    added(DOI_SAYS_STOP, "\xF0\x9F\x9B\x91");
    added(DOI_SAYS_HELP, "Hilfe");

    says("Anmelden.", DOI_SAYS_SUBSCRIBE);
    says("K\xC3\x9CNDIGEN", DOI_SAYS_STOP);
    says("keine nachrichten\xC2\xA0MEHR", DOI_SAYS_STOP);
    says("\xD1\x81\xD1\x82\xD0\xBE\xD0\xBF!", DOI_SAYS_STOP);
    says("\xCF\x83\xCF\x84\xCE\xBF\xCF\x80", DOI_SAYS_STOP);
    says("\xE9\x80\x80\xE8\xAE\xA2\xE3\x80\x82", DOI_SAYS_STOP);
    says("iptal", DOI_SAYS_STOP);
    says("IPTAL", DOI_SAYS_STOP);
    says("\xC5\xBC" "egnaj", DOI_SAYS_STOP);
    says("\xF0\x9F\x9B\x91", DOI_SAYS_STOP);
    says("\xE2\x80\x9EHILFE\xE2\x80\x9C", DOI_SAYS_HELP);

    says("Wie kann ich k\xC3\xBCndigen?", DOI_SAYS_DOUBTFUL);
    says("ich will keine Nachrichten, mehr nicht", DOI_SAYS_DOUBTFUL);
    says("\xE8\xAF\xB7\xE9\x80\x80\xE8\xAE\xA2\xE5\x90\xA7", DOI_SAYS_DOUBTFUL);
    says("\xD0\xBD\xD0\xB5 \xD1\x81\xD1\x82\xD0\xBE\xD0\xBF",
         DOI_SAYS_DOUBTFUL);
    says("k\xC3\xBCndigend", DOI_SAYS_OTHER);
    says("\xD1\x81\xD1\x82\xD0\xBE\xD0\xBF\xD0\xB0", DOI_SAYS_OTHER);
    says("anmelden oder stop", DOI_SAYS_DOUBTFUL);

    added(DOI_SAYS_STOP, "quit");
    added(DOI_SAYS_STOP, "K\xC3\xBCndigen");
    added(DOI_SAYS_SUBSCRIBE, "anmelden");
    added(DOI_SAYS_SUBSCRIBE, "OK");
    is_int(words.n, 11, "what is there already takes no room");

    refused(DOI_SAYS_CONFIRM, "OK", "something else");
    refused(DOI_SAYS_SUBSCRIBE, "yes", "something else");
    refused(DOI_SAYS_STOP, "Yes!", "something else");
    refused(DOI_SAYS_SUBSCRIBE, "stop", "something else");
    refused(DOI_SAYS_SUBSCRIBE, "please, stop", "something else");
    refused(DOI_SAYS_HELP, "quit", "something else");
    refused(DOI_SAYS_STOP, "start", "something else");
    refused(DOI_SAYS_STOP, "hilfe", "something else");
    refused(DOI_SAYS_STOP, "anmelden", "something else");
    refused(DOI_SAYS_SUBSCRIBE, "never stop", "has a stop word");
    refused(DOI_SAYS_HELP, "how to cancel", "has a stop word");
    refused(DOI_SAYS_SUBSCRIBE, "opt/out", "has a stop word");
    added(DOI_SAYS_SUBSCRIBE, "bin dabei");
    refused(DOI_SAYS_STOP, "dabei", "part of");
    refused(DOI_SAYS_STOP, "", "empty");
    refused(DOI_SAYS_STOP, " \xE2\x80\x8B ", "empty");
    refused(DOI_SAYS_STOP, "\"...\"", "empty");
    refused(DOI_SAYS_STOP, "a\x01" "b", "control");
    refused(DOI_SAYS_STOP, "\xFF", "UTF-8");
    refused(DOI_SAYS_OTHER, "word", "no meaning");
    refused(DOI_SAYS_DOUBTFUL, "word", "no meaning");
    refused(DOI_SAYS_STOP, "12345678901234567890123456789012", "too long");
    added(DOI_SAYS_STOP, "1234567890123456789012345678901");
    says("1234567890123456789012345678901", DOI_SAYS_STOP);
    says("a 1234567890123456789012345678901 b", DOI_SAYS_DOUBTFUL);

    for (i = (int) words.n, rc = DOI_OK; i < DOI_KEYWORDS_MAX; i++) {
        (void) snprintf(word, sizeof(word), "w%d", i);
        rc |= add(DOI_SAYS_STOP, word);
    }

    ok(rc == DOI_OK && words.n == DOI_KEYWORDS_MAX, "64 words");
    refused(DOI_SAYS_STOP, "another", "too many");
    added(DOI_SAYS_STOP, "w63");
    says("W63", DOI_SAYS_STOP);
}


static void
test_chars(void)
{
    size_t          len, bad, badfold;
    uint8_t         a[4], b[4];
    uint32_t        c, folded;
    const uint8_t  *p;

    bad = 0;
    badfold = 0;

    for (c = 0; c < 0x110000; c++) {

        if (c >= 0xD800 && c <= 0xDFFF) {
            continue;
        }

        len = doi_char_put(a, c);
        p = a;
        bad += doi_char_next(&p, a + len) != c || p != a + len;

        folded = doi_char_fold(c);
        badfold += doi_char_put(b, folded) > len
                   || doi_char_fold(folded) != folded
                   || doi_char_put(b, doi_char_narrow(c)) > len;
    }

    is_int(bad, 0, "all code points there and back");
    is_int(badfold, 0, "folding makes nothing longer, and once is enough");

    ok(doi_char_fold('Z') == 'z' && doi_char_fold('[') == '['
       && doi_char_fold(0xD7) == 0xD7 && doi_char_fold(0xDF) == 0xDF
       && doi_char_fold(0xFF) == 0xFF && doi_char_fold(0x178) == 0xFF
       && doi_char_fold(0x139) == 0x13A && doi_char_fold(0x13A) == 0x13A
       && doi_char_fold(0x14A) == 0x14B && doi_char_fold(0x17D) == 0x17E
       && doi_char_fold(0x138) == 0x138 && doi_char_fold(0x149) == 0x149
       && doi_char_fold(0x3A2) == 0x3A2 && doi_char_fold(0x3C2) == 0x3C3
       && doi_char_fold(0x38F) == 0x3CE && doi_char_fold(0x401) == 0x451
       && doi_char_fold(0x4C0) == 0x4CF && doi_char_fold(0x1EA4) == 0x1EA5
       && doi_char_fold(0x1A0) == 0x1A1 && doi_char_fold(0x1AF) == 0x1B0
       && doi_char_fold(0x21A) == 0x21B && doi_char_fold(0x1F600) == 0x1F600,
       "some letters");
}


int
main(void)
{
    doi_keywords_init(&words);

    test_standard();
    test_confirm();
    doi_keywords_init(&words);
    test_doubtful();
    test_phrases();
    test_bytes();
    test_configured();
    test_chars();

    return done_testing();
}
