/*
 * Fuzzing of src/core/keyword.c, src/core/chars.c and src/core/phone.c with
 * libFuzzer: any bytes as a message, as a configured word and as a number.
 *
 * The first byte of the input says what the word is to mean, the first line
 * behind it is the word, what follows is the message and the number.
 */

#include <stdlib.h>
#include <string.h>

#include "../../src/core/chars.h"
#include "../../src/core/escape.h"
#include "../../src/core/keyword.h"
#include "../../src/core/phone.h"


#define check(cond)                                                           \
    do {                                                                      \
        if (!(cond)) {                                                        \
            abort();                                                          \
        }                                                                     \
    } while (0)


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* A block of exactly that size: reading past it is seen. */

static uint8_t *
copy_of(const uint8_t *data, size_t len)
{
    uint8_t  *copy;

    copy = malloc(len ? len : 1);
    check(copy != NULL);

    if (len) {
        memcpy(copy, data, len);
    }

    return copy;
}


/* The strict reading, written another way. */

static int
is_yes(doi_str_t s)
{
    size_t          len;
    uint32_t        c;
    uint8_t         got[8];
    const uint8_t  *p, *end;

    len = 0;
    p = s.data;

    for (end = p + s.len; p < end; /* void */ ) {
        c = doi_char_next(&p, end);

        if (doi_char_invisible(c)) {
            continue;
        }

        c = doi_char_blank(c) ? ' ' : doi_char_fold(doi_char_narrow(c));

        if (c == ' ' && (len == 0 || got[len - 1] == ' ')) {
            continue;
        }

        if (len == 4 && c != ' ') {
            return 0;
        }

        if (len < 4) {
            if (c >= 0x80) {
                return 0;
            }

            got[len++] = (uint8_t) c;
        }
    }

    if (len == 4 && got[3] == ' ') {
        len = 3;
    }

    return len == 3 && memcmp(got, "yes", 3) == 0;
}


static void
fuzz_message(const doi_keywords_t *keywords, doi_str_t message)
{
    uint8_t        *longer;
    doi_str_t       s;
    doi_says_t      says, stopped;

    says = doi_keyword(keywords, message);
    check(says <= DOI_SAYS_DOUBTFUL);

    if (doi_utf8_check(message) != message.len) {
        check(says == DOI_SAYS_OTHER);
        return;
    }

    if (strcmp(keywords->confirm, "yes") == 0 && message.len <= 1600) {
        check((says == DOI_SAYS_CONFIRM) == is_yes(message));
    }

    /* with a stop word more it never is consent */

    longer = malloc(message.len + 5);
    check(longer != NULL);

    if (message.len) {
        memcpy(longer, message.data, message.len);
    }

    memcpy(longer + message.len, " stop", 5);
    s.data = longer;
    s.len = message.len + 5;

    stopped = doi_keyword(keywords, s);
    check(stopped == DOI_SAYS_STOP || stopped == DOI_SAYS_DOUBTFUL);

    free(longer);
}


static void
fuzz_phone(doi_str_t text, doi_str_t country)
{
    int          rc;
    size_t       i;
    uint8_t      first[DOI_PHONE_MAX], second[DOI_PHONE_MAX];
    doi_buf_t    out = { first, 0, sizeof(first) };
    doi_buf_t    again = { second, 0, sizeof(second) };
    doi_str_t    s, none = { NULL, 0 };
    const char  *err;

    err = NULL;
    rc = doi_phone_normalise(text, country, &out, &err);

    if (rc != DOI_OK) {
        check(rc == DOI_ERROR && out.len == 0 && err != NULL);
        return;
    }

    check(out.len >= 8 && out.len <= DOI_PHONE_MAX && first[0] == '+'
          && first[1] != '0');

    for (i = 1; i < out.len; i++) {
        check(first[i] >= '0' && first[i] <= '9');
    }

    s.data = first;
    s.len = out.len;
    check(doi_phone_normalise(s, none, &again, &err) == DOI_OK);
    check(again.len == out.len && memcmp(first, second, out.len) == 0);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int             rc;
    size_t          len, before;
    uint8_t        *word, *rest;
    doi_str_t       w, text;
    doi_says_t      says;
    const char     *err;
    doi_keywords_t  keywords;

    doi_str_t  germany = doi_str("49");
    doi_str_t  america = doi_str("1");
    doi_str_t  italy = doi_str("39");

    if (size == 0) {
        return 0;
    }

    says = (doi_says_t) (data[0] % 6);
    data++;
    size--;

    for (len = 0; len < size && data[len] != '\n'; len++) {
        /* void */
    }

    word = copy_of(data, len);
    w.data = word;
    w.len = len;

    len += len < size;
    rest = copy_of(data + len, size - len);
    text.data = rest;
    text.len = size - len;

    doi_keywords_init(&keywords);
    before = keywords.n;
    rc = doi_keywords_add(&keywords, says, w, &err);

    check((rc == DOI_OK) == (err == NULL));
    check(rc == DOI_OK || (keywords.n == before
                           && strcmp(keywords.confirm, "yes") == 0));
    check(rc != DOI_OK || doi_keyword(&keywords, w) == says);

    fuzz_message(&keywords, text);
    fuzz_message(&keywords, w);

    fuzz_phone(text, germany);
    fuzz_phone(text, america);
    fuzz_phone(text, italy);
    fuzz_phone(text, w);

    free(word);
    free(rest);

    return 0;
}
