/* Link records: src/core/record.c */

#include "tap.h"
#include "view.h"


static uint8_t       bytes[DOI_REPLY_MAX], again[DOI_REPLY_MAX];
static doi_claim_t   claims[DOI_USES_MAX + 1];
static test_store_t  memory;


static void
fill(doi_claim_t *claim, unsigned slot)
{
    memset(claim, 0, sizeof(doi_claim_t));
    memset(claim->attempt, 0x11 + (int) slot, DOI_ATTEMPT_SIZE);
    memset(claim->browser, 0x22 + (int) slot, DOI_BROWSER_SIZE);
    claim->claimed = 0x01020304;
    claim->deadline = 0x05060708;
    claim->settled = 0x090a0b0c;
    claim->slot = (uint16_t) slot;
    claim->status = 303;
    claim->state = DOI_CLAIM_USED;
    claim->flags = DOI_CLAIM_RETRY;
}


static void
typical(doi_link_t *link)
{
    memset(link, 0, sizeof(doi_link_t));
    link->expires = 0xa1a2a3a4;
    link->changed = 0xb1b2b3b4;
    link->uses = 1;
    link->nclaims = 1;
    link->claims = claims;
    fill(&claims[0], 0);
}


static int
encode(const doi_link_t *link, size_t *len)
{
    int        rc;
    doi_buf_t  buf = { bytes, 0, sizeof(bytes) };

    rc = doi_link_encode(link, &buf);
    *len = buf.len;

    return rc;
}


/* Decodes an exact-size copy, so that a sanitizer sees any byte too many. */

static int
decode(const uint8_t *data, size_t len, doi_link_t *link)
{
    int         rc;
    uint8_t    *copy;
    doi_buf_t   buf = { again, 0, sizeof(again) };
    doi_str_t   value;

    copy = malloc(len ? len : 1);
    if (copy == NULL) {
        abort();
    }

    memcpy(copy, data, len);
    value.data = copy;
    value.len = len;

    test_begin(&memory);
    rc = doi_link_decode(&memory.view, value, link);

    if (rc == DOI_OK) {
        rc = doi_link_encode(link, &buf) == DOI_OK && buf.len == len
             && memcmp(again, data, len) == 0 ? DOI_OK : 99;
    }

    test_end(&memory, 0);
    free(copy);

    return rc;
}


static void
test_bytes(void)
{
    size_t      len;
    doi_link_t  link, back;

    static const uint8_t  want[] = {
        1, 3, 0xa1, 0xa2, 0xa3, 0xa4, 0xb1, 0xb2, 0xb3, 0xb4, 0, 1, 0, 1,
        2, 1, 0, 2, 0, 3, 's', 'c', '{', '}', 'a', 'w', 'h', 'y',
        0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
        0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
        0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22,
        0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22,
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0, 1, 47, 2, 2
    };

    typical(&link);
    is_int(encode(&link, &len), DOI_OK, "a typical record is encoded");
    is_int(len, 70, "in 70 bytes");

    link.minted = 1;
    link.revoked = 1;
    link.scope = (doi_str_t) doi_str("sc");
    link.meta = (doi_str_t) doi_str("{}");
    link.actor = (doi_str_t) doi_str("a");
    link.reason = (doi_str_t) doi_str("why");

    encode(&link, &len);
    ok(len == sizeof(want) && memcmp(bytes, want, len) == 0,
       "bytes are those of the table");

    is_int(decode(bytes, len, &back), DOI_OK, "and decode to themselves");
    ok(back.minted == 1 && back.revoked == 1 && back.uses == 1
       && back.expires == 0xa1a2a3a4 && back.changed == 0xb1b2b3b4
       && back.nclaims == 1, "with all their fields");
}


static void
test_claim_fields(void)
{
    size_t      len;
    doi_str_t   value;
    doi_link_t  link, back;

    typical(&link);
    encode(&link, &len);

    value.data = bytes;
    value.len = len;

    test_begin(&memory);
    is_int(doi_link_decode(&memory.view, value, &back), DOI_OK, "decodes");
    ok(back.claims != claims
       && memcmp(back.claims, claims, sizeof(doi_claim_t)) == 0,
       "claims come back byte for byte");

    /* Room for one more is promised; a sanitizer would tell. */
    memset(&back.claims[1], 0, sizeof(doi_claim_t));
    test_end(&memory, 0);

    memory.fail = 1;
    test_begin(&memory);
    is_int(doi_link_decode(&memory.view, value, &back), DOI_ERROR,
           "no memory is an error");
    test_end(&memory, 0);
    memory.fail = 0;
}


static void
test_largest(void)
{
    size_t      i, len;
    doi_buf_t   buf;
    doi_link_t  link, back;

    static uint8_t  text[DOI_META_MAX];

    memset(text, 'x', sizeof(text));
    typical(&link);
    link.uses = DOI_USES_MAX;
    link.nclaims = DOI_USES_MAX;
    link.scope = (doi_str_t) { text, DOI_SCOPE_KEEP };
    link.meta = (doi_str_t) { text, DOI_META_MAX };
    link.actor = (doi_str_t) { text, DOI_ACTOR_MAX };
    link.reason = (doi_str_t) { text, DOI_REASON_MAX };

    for (i = 0; i < DOI_USES_MAX; i++) {
        fill(&claims[i], (unsigned) i);
    }

    is_int(encode(&link, &len), DOI_OK, "the largest record is encoded");
    is_int(len, 52963, "its size is the one that record.c states");
    ok(len <= DOI_VALUE_MAX && len <= DOI_REPLY_MAX,
       "and fits a row and an answer");
    is_int(decode(bytes, len, &back), DOI_OK, "and is decoded");

    buf = (doi_buf_t) { bytes, 1, len };
    is_int(doi_link_encode(&link, &buf), DOI_ERROR,
           "a buffer that is one byte short is an error");
    is_int(buf.len, 1, "and is left as it was");
}


static void
test_truncated(void)
{
    int         bad;
    size_t      i, len;
    doi_link_t  link, back;

    typical(&link);
    link.uses = 2;
    link.nclaims = 2;
    fill(&claims[1], 1);
    link.scope = (doi_str_t) doi_str("scope");
    link.reason = (doi_str_t) doi_str("reason");
    encode(&link, &len);

    bad = 0;

    for (i = 0; i < len; i++) {
        bad += decode(bytes, i, &back) != DOI_ERROR;
    }

    is_int(bad, 0, "no prefix of a record is a record");

    bytes[len] = 0;
    is_int(decode(bytes, len + 1, &back), DOI_ERROR,
           "nor one with a byte more");
}


static void
test_strict(void)
{
    size_t      i, len;
    doi_link_t  link, back;

    static const struct {
        const char  *name;
        size_t       offset;
        uint8_t      value;
    } cases[] = {
        { "version 0",                  0,   0    },
        { "a later version",            0,   2    },
        { "an unknown bit",             1,   0x10 },
        { "resolved both ways",         1,   0x0c },
        { "no uses",                    11,  0    },
        { "1001 uses and more",         10,  4    },
        { "fewer uses than claims",     11,  1    },
        { "more claims than bytes",     13,  3    },
        { "fewer claims than bytes",    13,  1    },
        { "a scope longer than it is",  14,  1    },
        { "an actor longer than it is", 15,  1    },
        { "an actor above the limit",   15,  129  },
        { "meta longer than it is",     17,  1    },
        { "meta above the limit",       16,  9    },
        { "reason longer than it is",   19,  1    },
        { "reason above the limit",     18,  3    },
        { "slot out of range",          65,  3    },
        { "slots not ascending",        65,  2    },
        { "the same slot twice",        65,  1    },
        { "slots in disorder",          115, 0    },
        { "state 0",                    68,  0    },
        { "an unknown state",           68,  4    },
        { "an unknown bit of a claim",  69,  0x04 },
        { "the op's own bit",           69,  0x80 }
    };

    typical(&link);
    link.uses = 3;
    link.nclaims = 2;
    fill(&claims[1], 1);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        encode(&link, &len);
        bytes[cases[i].offset] = cases[i].value;
        is_int(decode(bytes, len, &back), DOI_ERROR, "refused: %s",
               cases[i].name);
    }
}


/* Every byte in turn takes every value: an error, or the same bytes again. */

static void
test_mutated(void)
{
    int         rc, bad;
    size_t      i, v, len;
    uint8_t     was;
    doi_link_t  link, back;

    typical(&link);
    link.uses = 3;
    link.nclaims = 2;
    fill(&claims[1], 2);
    link.scope = (doi_str_t) doi_str("scope");
    encode(&link, &len);

    bad = 0;

    for (i = 0; i < len; i++) {
        was = bytes[i];

        for (v = 0; v < 256; v++) {
            bytes[i] = (uint8_t) v;
            rc = decode(bytes, len, &back);
            bad += (rc != DOI_OK && rc != DOI_ERROR);
        }

        bytes[i] = was;
    }

    is_int(bad, 0, "what decodes encodes to the same bytes");
}


static void
test_encode_limits(void)
{
    size_t      len;
    doi_link_t  link;

    static uint8_t  text[DOI_META_MAX + 1];

    memset(text, 'x', sizeof(text));

#define refuse(change, name)                                                  \
    typical(&link);                                                           \
    change;                                                                   \
    ok(encode(&link, &len) == DOI_ERROR && len == 0, "not encoded: " name)

    refuse(link.uses = 0, "no uses");
    refuse(link.uses = DOI_USES_MAX + 1, "1001 uses");
    refuse(link.nclaims = 2, "more claims than uses");
    refuse(link.scope = ((doi_str_t) { text, DOI_SCOPE_KEEP + 1 }), "scope");
    refuse(link.meta = ((doi_str_t) { text, DOI_META_MAX + 1 }), "meta");
    refuse(link.actor = ((doi_str_t) { text, DOI_ACTOR_MAX + 1 }), "actor");
    refuse(link.reason = ((doi_str_t) { text, DOI_REASON_MAX + 1 }), "reason");
    refuse(claims[0].slot = 1, "slot out of range");
    refuse(claims[0].state = 0, "no state");
    refuse(claims[0].flags = DOI_CLAIM_IDEMPOTENT, "an unknown bit");
}


int
main(void)
{
    test_bytes();
    test_claim_fields();
    test_largest();
    test_truncated();
    test_strict();
    test_mutated();
    test_encode_limits();

    test_store_free(&memory);

    return done_testing();
}
