/*
 * What the client would like to have: Accept-Language and Accept (RFC 9110,
 * 12.5).  Both are comma-separated ranges with a weight.
 */

#include "pages.h"

#include <string.h>

#include "bytes.h"


#define DOI_RANGES_MAX  64      /* of one header; bounds what a request costs */


typedef struct {
    doi_str_t  name;
    unsigned   q;               /* thousandths */
} doi_range_t;


static int doi_next_range(doi_str_t *rest, doi_range_t *range);
static int doi_parse_q(doi_str_t s, unsigned *q);
static size_t doi_token_end(doi_str_t s, uint8_t stop);
static doi_str_t doi_trim(doi_str_t s);
static int doi_lang_matches(doi_str_t range, const char *tag);


/* How well a range names a language or a media type. */

enum {
    DOI_MATCH_NONE = 0,
    DOI_MATCH_ANY,              /* a wildcard                        */
    DOI_MATCH_PART,             /* pt for pt-br, de-AT for de, text/ */
    DOI_MATCH_EXACT
};


size_t
doi_pages_lang(const doi_pages_t *pages, doi_str_t accept_language)
{
    int          match, found, best_match;
    size_t       i, n, best, candidate;
    unsigned     best_q;
    uint32_t     bit, named, refused;
    doi_str_t    rest;
    doi_range_t  range;

    /* "de;q=0" refuses de and de-at; "*" is about what no range names */

    named = 0;
    refused = 0;
    rest = accept_language;

    for (n = 0; n < DOI_RANGES_MAX && doi_next_range(&rest, &range); n++) {

        for (i = 0; i < pages->nlangs; i++) {

            if (doi_lang_matches(range.name, pages->langs[i].tag)
                < DOI_MATCH_PART)
            {
                continue;
            }

            bit = (uint32_t) 1 << i;
            named |= bit;

            if (range.q == 0
                && range.name.len <= strlen(pages->langs[i].tag))
            {
                refused |= bit;
            }
        }
    }

    best = 0;
    best_q = 0;
    best_match = DOI_MATCH_NONE;
    rest = accept_language;

    for (n = 0; n < DOI_RANGES_MAX && doi_next_range(&rest, &range); n++) {

        found = DOI_MATCH_NONE;
        candidate = 0;

        for (i = 0; i < pages->nlangs; i++) {
            bit = (uint32_t) 1 << i;
            match = doi_lang_matches(range.name, pages->langs[i].tag);

            if (refused & bit || (match == DOI_MATCH_ANY && named & bit)) {
                continue;
            }

            if (match > found) {
                found = match;
                candidate = i;
            }
        }

        if (found == DOI_MATCH_NONE) {
            continue;
        }

        /* among equal weights the first one: browsers list what they like
           best first; but a wildcard yields to a name */

        if (range.q > best_q
            || (range.q == best_q && best_match == DOI_MATCH_ANY
                && found > DOI_MATCH_ANY))
        {
            best = candidate;
            best_q = range.q;
            best_match = found;
        }
    }

    if (best_q) {
        return best;
    }

    /* nothing fits, but something has to be shown */

    for (i = 0; i < pages->nlangs; i++) {
        if (!(refused & ((uint32_t) 1 << i))) {
            return i;
        }
    }

    return 0;
}


size_t
doi_pages_lang_tag(const doi_pages_t *pages, doi_str_t tag)
{
    int     match, best_match;
    size_t  i, best, len, best_len;

    best = 0;
    best_len = 0;
    best_match = DOI_MATCH_ANY;

    tag = doi_trim(tag);

    for (i = 0; i < pages->nlangs; i++) {
        match = doi_lang_matches(tag, pages->langs[i].tag);
        len = strlen(pages->langs[i].tag);

        if (match < best_match || match == DOI_MATCH_ANY) {
            continue;
        }

        /* for "de-at-1996" rather "de-at" than "de", for "pt" the first */

        if (match > best_match || (len > best_len && len < tag.len)) {
            best = i;
            best_len = len;
            best_match = match;
        }
    }

    return best;
}


int
doi_accepts_json(doi_str_t accept)
{
    int          match;
    size_t       i, n;
    doi_range_t  range;

    struct {
        const char  *name;
        size_t       len;
        size_t       slash;     /* length of "application/" */
        int          match;
        unsigned     q;
    } types[] = {
        { "text/html", sizeof("text/html") - 1, 5, DOI_MATCH_NONE, 0 },
        { "application/json", sizeof("application/json") - 1, 12,
          DOI_MATCH_NONE, 0 },
        { "application/problem+json", sizeof("application/problem+json") - 1,
          12, DOI_MATCH_NONE, 0 }
    };

    /* for each type the most specific range decides (RFC 9110, 12.5.1) */

    for (n = 0; n < DOI_RANGES_MAX && doi_next_range(&accept, &range); n++) {

        for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {

            match = DOI_MATCH_NONE;

            if (doi_str_like(range.name, types[i].name, types[i].len)) {
                match = DOI_MATCH_EXACT;

            } else if (range.name.len == types[i].slash + 1
                       && range.name.data[types[i].slash] == '*')
            {
                range.name.len--;

                if (doi_str_like(range.name, types[i].name, types[i].slash)) {
                    match = DOI_MATCH_PART;
                }

                range.name.len++;

            } else if (doi_str_like(range.name, "*/*", 3)) {
                match = DOI_MATCH_ANY;
            }

            if (match > types[i].match
                || (match == types[i].match && range.q > types[i].q))
            {
                types[i].match = match;
                types[i].q = range.q;
            }
        }
    }

    for (i = 1; i < sizeof(types) / sizeof(types[0]); i++) {

        if (types[i].match > DOI_MATCH_ANY && types[i].q > 0
            && (types[i].q > types[0].q
                || (types[i].q == types[0].q
                    && types[i].match > types[0].match)))
        {
            return 1;
        }
    }

    return 0;
}


/* Takes the next range that makes sense off rest; 0 at the end. */

static int
doi_next_range(doi_str_t *rest, doi_range_t *range)
{
    int        valid;
    size_t     end, part;
    doi_str_t  item, param;

    while (rest->len) {
        end = doi_token_end(*rest, ',');

        item.data = rest->data;
        item.len = end;

        end += end < rest->len;
        rest->data += end;
        rest->len -= end;

        part = doi_token_end(item, ';');

        range->name.data = item.data;
        range->name.len = part;
        range->name = doi_trim(range->name);
        range->q = 1000;

        valid = range->name.len != 0;

        while (part < item.len) {
            item.data += part + 1;
            item.len -= part + 1;

            part = doi_token_end(item, ';');

            param.data = item.data;
            param.len = part;
            param = doi_trim(param);

            if (param.len >= 2 && (param.data[0] | 0x20) == 'q'
                && param.data[1] == '=')
            {
                param.data += 2;
                param.len -= 2;

                if (!doi_parse_q(param, &range->q)) {
                    valid = 0;
                }

                /* what follows the weight are extensions */
                break;
            }
        }

        if (valid) {
            return 1;
        }
    }

    return 0;
}


/* "0", "0.5", "0.123", "1", "1.000" */

static int
doi_parse_q(doi_str_t s, unsigned *q)
{
    size_t    i;
    unsigned  value, unit;

    if (s.len == 0 || s.len > 5 || (s.data[0] != '0' && s.data[0] != '1')
        || (s.len > 1 && s.data[1] != '.'))
    {
        return 0;
    }

    value = s.data[0] == '1' ? 1000 : 0;
    unit = 100;

    for (i = 2; i < s.len; i++) {

        if (s.data[i] < '0' || s.data[i] > '9') {
            return 0;
        }

        value += (unsigned) (s.data[i] - '0') * unit;
        unit /= 10;
    }

    if (value > 1000) {
        return 0;
    }

    *q = value;

    return 1;
}


/* Offset of the next stop outside quotes, or s.len. */

static size_t
doi_token_end(doi_str_t s, uint8_t stop)
{
    int     quoted;
    size_t  i;

    quoted = 0;

    for (i = 0; i < s.len; i++) {

        if (s.data[i] == '"') {
            quoted = !quoted;

        } else if (s.data[i] == '\\' && quoted) {
            i++;

        } else if (s.data[i] == stop && !quoted) {
            return i;
        }
    }

    return s.len;
}


static doi_str_t
doi_trim(doi_str_t s)
{
    while (s.len && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s.data++;
        s.len--;
    }

    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t')) {
        s.len--;
    }

    return s;
}


static int
doi_lang_matches(doi_str_t range, const char *tag)
{
    size_t  len;

    len = strlen(tag);

    if (range.len == 1 && range.data[0] == '*') {
        return DOI_MATCH_ANY;
    }

    if (range.len == len) {
        return doi_str_like(range, tag, len) ? DOI_MATCH_EXACT : DOI_MATCH_NONE;
    }

    if (range.len < len) {
        return tag[range.len] == '-' && doi_str_like(range, tag, range.len)
               ? DOI_MATCH_PART : DOI_MATCH_NONE;
    }

    if (range.data[len] != '-') {
        return DOI_MATCH_NONE;
    }

    range.len = len;

    return doi_str_like(range, tag, len) ? DOI_MATCH_PART : DOI_MATCH_NONE;
}
