/* Bookings: states, codec and keys: src/core/booking.c */

#include "tap.h"
#include "booking_help.h"


static uint8_t  bytes[DOI_BOOKING_MAX], again[DOI_BOOKING_MAX];
static char     long_text[2048];


static void
typical(doi_booking_t *b)
{
    memset(b, 0, sizeof(doi_booking_t));
    b->state = DOI_BOOKING_CONFIRMED;
    b->flags = DOI_BOOKING_RESOLVED;
    b->tries = 2;
    b->sends = 3;
    b->created = 0x01020304;
    b->expires = 0x05060708;
    b->changed = 0x090a0b0c;
    b->start = 0x0d0e0f10;
    b->duration = 0x11121314;
    b->remind = 0x15161718;
    b->code = 123456;
    b->sequence = 0x191a1b1c;
    memset(b->again, 0x2a, DOI_ID_SIZE);
    memset(b->claim.attempt, 0x3a, DOI_ATTEMPT_SIZE);
    memset(b->claim.browser, 0x4a, DOI_BROWSER_SIZE);
    b->claim.claimed = 0x1d1e1f20;
    b->claim.deadline = 0x21222324;
    b->claim.settled = 0x25262728;
    b->claim.status = 0x292a;
    b->claim.state = DOI_CLAIM_USED;
    b->claim.flags = DOI_CLAIM_RETRY;
    b->text[DOI_TEXT_SCOPE] = (doi_str_t) doi_str("cal");
    b->text[DOI_TEXT_EMAIL] = (doi_str_t) doi_str("a@x.org");
    b->text[DOI_TEXT_REASON] = (doi_str_t) doi_str("why");
}


static int
encode(const doi_booking_t *b, size_t *len)
{
    int        rc;
    doi_buf_t  buf = { bytes, 0, sizeof(bytes) };

    rc = doi_booking_encode(b, &buf);
    *len = buf.len;

    return rc;
}


/* Decodes an exact-size copy; 99: what is decoded is encoded otherwise. */

static int
decode(const uint8_t *data, size_t len, doi_booking_t *b)
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

    rc = doi_booking_decode(value, b);

    if (rc == DOI_OK) {
        rc = doi_booking_encode(b, &buf) == DOI_OK && buf.len == len
             && memcmp(again, data, len) == 0 ? DOI_OK : 99;
    }

    free(copy);

    return rc;
}


static void
test_bytes(void)
{
    size_t         len;
    doi_booking_t  b;

    static const char  head[] =
        "\x01\x02\x08\x02\x03\x02\x02\x00"
        "\x01\x02\x03\x04" "\x05\x06\x07\x08" "\x09\x0a\x0b\x0c"
        "\x0d\x0e\x0f\x10" "\x11\x12\x13\x14" "\x15\x16\x17\x18"
        "\x00\x01\xe2\x40" "\x19\x1a\x1b\x1c"
        "************"
        "::::::::::::::::" "JJJJJJJJJJJJJJJJ"
        "\x1d\x1e\x1f\x20" "\x21\x22\x23\x24" "\x25\x26\x27\x28" "\x29\x2a"
        "\x00\x03\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
        "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03"
        "cala@x.orgwhy";

    typical(&b);
    ok(encode(&b, &len) == DOI_OK && len == sizeof(head) - 1
       && memcmp(bytes, head, len) == 0, "the bytes of the table");

    is_int(decode((const uint8_t *) head, sizeof(head) - 1, &b), DOI_OK,
           "and back again");
    ok(b.start == 0x0d0e0f10 && b.code == 123456 && b.tries == 2
       && b.claim.deadline == 0x21222324 && b.claim.status == 0x292a
       && b.text[DOI_TEXT_EMAIL].len == 7 && b.text[DOI_TEXT_NAME].len == 0,
       "with the right fields");
}


static void
test_hostile(void)
{
    size_t         i, len, accepted;
    uint8_t        copy[512];
    unsigned       v;
    doi_booking_t  b;

    typical(&b);
    encode(&b, &len);
    memcpy(copy, bytes, len);

    accepted = 0;

    for (i = 0; i < len; i++) {
        accepted += decode(copy, i, &b) != DOI_ERROR;
    }

    is_int(accepted, 0, "no truncated record");
    copy[len] = 0;
    is_int(decode(copy, len + 1, &b), DOI_ERROR, "no overlong record");

    accepted = 0;

    for (i = 0; i < len; i++) {
        for (v = 0; v < 256; v++) {
            memcpy(copy, bytes, len);
            copy[i] = (uint8_t) v;
            accepted += decode(copy, len, &b) == 99;
        }
    }

    is_int(accepted, 0, "one representation of each booking");
    memcpy(copy, bytes, len);

#define refuses(at, value, name)                                              \
    do {                                                                      \
        memcpy(copy, bytes, len);                                             \
        copy[at] = value;                                                     \
        is_int(decode(copy, len, &b), DOI_ERROR, name);                       \
    } while (0)

    refuses(0, 2, "version");
    refuses(1, 7, "state that is none");
    refuses(1, DOI_BOOKING_HELD, "hold with a used claim");
    refuses(1, DOI_BOOKING_CANCELLED, "cancelled hold with a used claim");
    refuses(2, 0x20, "flag that is none");
    refuses(2, DOI_BOOKING_WAS_CONFIRMED, "confirmed and cancelled");
    refuses(3, DOI_CODE_TRIES + 1, "tries");
    refuses(5, DOI_CLAIM_CLAIMED, "confirmed by a claim in flight");
    refuses(6, 4, "bit of the claim");
    refuses(7, 1, "byte that is zero");
    refuses(32, 1, "code of seven digits");
    refuses(99, 4, "length of a text");
}


static void
test_claims(void)
{
    size_t         len;
    doi_booking_t  b;

    typical(&b);
    memset(b.claim.attempt, 0, DOI_ATTEMPT_SIZE);
    is_int(encode(&b, &len), DOI_ERROR, "confirmed without an attempt");

    b.state = DOI_BOOKING_HELD;
    memset(&b.claim, 0, sizeof(b.claim));
    is_int(encode(&b, &len), DOI_OK, "held without a claim");
    b.claim.status = 1;
    is_int(encode(&b, &len), DOI_ERROR, "no attempt, but a status");

    b.claim.status = 0;
    b.state = DOI_BOOKING_REFUSED;
    is_int(encode(&b, &len), DOI_ERROR, "refused without an attempt");
    b.claim.attempt[15] = 1;
    is_int(encode(&b, &len), DOI_OK, "refused");

    b.state = DOI_BOOKING_CANCELLED;
    b.flags = DOI_BOOKING_WAS_CONFIRMED;
    is_int(encode(&b, &len), DOI_ERROR, "was confirmed by nobody");
    b.claim.state = DOI_CLAIM_USED;
    is_int(encode(&b, &len), DOI_OK, "was confirmed");
    b.claim.slot = 1;
    is_int(encode(&b, &len), DOI_ERROR, "slot");
}


static void
test_limits(void)
{
    size_t         i, len;
    unsigned       bad;
    doi_buf_t      buf = { bytes, 0, 0 };
    doi_booking_t  b;

    memset(long_text, 'x', sizeof(long_text));
    typical(&b);

    for (i = 0; i < DOI_TEXTS; i++) {
        b.text[i].data = (const uint8_t *) long_text;
        b.text[i].len = doi_booking_text_max[i];
    }

    ok(encode(&b, &len) == DOI_OK && len <= DOI_BOOKING_MAX
       && decode(bytes, len, &b) == DOI_OK, "the largest record: %u bytes",
       (unsigned) len);

    bad = 0;

    for (i = 0; i < DOI_TEXTS; i++) {
        typical(&b);
        b.text[i].data = (const uint8_t *) long_text;
        b.text[i].len = (size_t) doi_booking_text_max[i] + 1;
        bad += encode(&b, &len) == DOI_OK;
    }

    is_int(bad, 0, "no text too long");

    typical(&b);
    encode(&b, &len);
    buf.size = len - 1;
    ok(doi_booking_encode(&b, &buf) == DOI_ERROR && buf.len == 0,
       "a buffer that is too small is left alone");
}


static void
test_states(void)
{
    doi_booking_t  b;

    ok(strcmp(doi_booking_state_name(DOI_BOOKING_HELD), "held") == 0
       && strcmp(doi_booking_state_name(DOI_BOOKING_IN_DOUBT), "in_doubt")
          == 0
       && strcmp(doi_booking_state_name(DOI_BOOKING_EXPIRED), "expired") == 0
       && doi_booking_state_name(DOI_BOOKING_TAKEN) == NULL
       && doi_booking_state_name(DOI_BOOKING_UNKNOWN) == NULL
       && doi_booking_state_name(UINT32_MAX) == NULL, "names");

    memset(&b, 0, sizeof(b));
    b.expires = T + 100;
    ok(doi_booking_state(&b, T + 99) == DOI_BOOKING_HELD
       && doi_booking_state(&b, T + 100) == DOI_BOOKING_EXPIRED,
       "a hold ends when it expires");

    b.state = DOI_BOOKING_CLAIMED;
    b.claim.state = DOI_CLAIM_CLAIMED;
    b.claim.deadline = T + 50;
    ok(doi_booking_state(&b, T + 49) == DOI_BOOKING_CLAIMED
       && doi_booking_state(&b, T + 50) == DOI_BOOKING_IN_DOUBT
       && doi_booking_state(&b, T + 100) == DOI_BOOKING_IN_DOUBT,
       "a claim in doubt outlives the hold");

    b.claim.flags = DOI_CLAIM_RELEASE;
    ok(doi_booking_state(&b, T + 50) == DOI_BOOKING_HELD
       && doi_booking_state(&b, T + 100) == DOI_BOOKING_EXPIRED,
       "unless it is released by age");

    b.claim.deadline = T + 150;
    ok(doi_booking_state(&b, T + 120) == DOI_BOOKING_CLAIMED
       && doi_booking_state(&b, T + 150) == DOI_BOOKING_EXPIRED,
       "a hold does not end under a claim");

    b.state = DOI_BOOKING_CONFIRMED;
    b.claim.state = DOI_CLAIM_USED;
    is_int(doi_booking_state(&b, UINT32_MAX), DOI_BOOKING_CONFIRMED,
           "confirmed for good");
}


static void
test_keys(void)
{
    uint8_t    a[64], b[64];
    doi_str_t  s1 = doi_str("ab"), s2 = doi_str("c"), s3 = doi_str("a"),
               s4 = doi_str("bc"), none = { NULL, 0 }, big;

    static const uint8_t  empty_hash[] = {
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14
    };

    ok(doi_slot_key(s1, s2, a) == DOI_OK && doi_slot_key(s3, s4, b) == DOI_OK
       && memcmp(a, b, DOI_SLOT_KEY_SIZE) != 0,
       "scope and slot do not run together");
    is_int(doi_slot_key(none, none, a), DOI_OK, "empty ones");

    memset(long_text, 'x', sizeof(long_text));
    big.data = (const uint8_t *) long_text;
    big.len = 256;
    ok(doi_slot_key(big, s1, a) == DOI_ERROR
       && doi_slot_key(s1, big, a) == DOI_ERROR, "too long ones");
    big.len = 255;
    is_int(doi_slot_key(big, big, a), DOI_OK, "the longest");

    doi_agenda_key(none, 0x01020304, bid(7), a);
    ok(memcmp(a, empty_hash, 8) == 0 && memcmp(a + 8, "\1\2\3\4", 4) == 0
       && memcmp(a + 12, bid(7), DOI_ID_SIZE) == 0, "key of the agenda");
}


int
main(void)
{
    test_bytes();
    test_hostile();
    test_claims();
    test_limits();
    test_states();
    test_keys();

    return done_testing();
}
