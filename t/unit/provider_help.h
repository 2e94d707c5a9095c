/*
 * Helpers of the tests of providers: strings, and copies without a byte to
 * spare, for the address sanitizer.
 */

#ifndef PROVIDER_HELP_H
#define PROVIDER_HELP_H

#include <stdlib.h>
#include <string.h>

#include "core/doi.h"


static inline doi_str_t
str(const char *text)
{
    doi_str_t  s;

    s.data = (const uint8_t *) text;
    s.len = strlen(text);

    return s;
}


static inline doi_str_t
tight(doi_str_t s)
{
    uint8_t  *copy;

    copy = malloc(s.len ? s.len : 1);
    memcpy(copy, s.data, s.len);
    s.data = copy;

    return s;
}


static inline int
same(doi_str_t s, const char *text)
{
    return s.len == strlen(text)
           && (s.len == 0 || memcmp(s.data, text, s.len) == 0);
}

#endif /* PROVIDER_HELP_H */
