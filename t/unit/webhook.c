/*
 * Unit tests of src/courier/webhook.c.
 */

#include <stdlib.h>

#include "../../src/courier/message.h"
#include "tap.h"


#define SECRET  "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


static doi_str_t
str(const char *text)
{
    doi_str_t  s;

    s.data = (const uint8_t *) text;
    s.len = strlen(text);

    return s;
}


static int
read_secret(doi_str_t text, size_t *len)
{
    int          rc;
    uint8_t     *secret;
    const char  *err;

    /* exactly as large as it may be, for the address sanitizer */

    secret = malloc(DOI_WEBHOOK_SECRET_MAX);
    err = NULL;
    *len = 0;
    rc = doi_webhook_secret(text, secret, len, &err);
    free(secret);

    return rc == DOI_OK ? err == NULL : err != NULL && *len == 0 ? -1 : 0;
}


static void
test_vector(void)
{
    size_t       len;
    uint8_t      secret[DOI_WEBHOOK_SECRET_MAX];
    const char  *err;
    char         signature[DOI_WEBHOOK_SIGNATURE];

    is_int(doi_webhook_secret(str(SECRET), secret, &len, &err), DOI_OK,
           "the secret of the specification's vector");
    is_int(len, 24, "has 24 bytes");

    is_int(doi_webhook_sign(secret, len, str("msg_p5jXN8AQM9LWM0D4loKWxJek"),
                            1614265330, str("{\"test\": 2432232314}"),
                            signature), DOI_OK, "signs");
    ok(strcmp(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
       == 0, "the vector's signature: %s", signature);

    is_int(doi_webhook_sign(secret, len, str("m"), 0xFFFFFFFF, str(""),
                            signature), DOI_OK, "an empty body");
    is_int(strlen(signature), 47, "is signed as well");
}


static void
test_secrets(void)
{
    size_t     i, len;
    doi_str_t  nul;

    static const char *const  good[] = {
        SECRET, SECRET "\n", SECRET "\r\n", " \t" SECRET " \n\n",
        "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",                  /* 24 */
        "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",              /* 25 */
        "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",              /* 26 */
        "whsec_+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+"
        "/+/+/+/+/+/+/+/+/+/+/+/+w=="                               /* 64 */
    };

    static const size_t  sizes[] = { 24, 24, 24, 24, 24, 25, 26, 64 };

    static const char *const  bad[] = {
        "", "\n", "whsec_", "whsec", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_ MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjU\nPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw=",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La=aSw",
        "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",                   /* 23 */
        "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",                   /* 22 */
        "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAA===",
        "whsec_====", "whsec_A===",
        "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAA=",                              /* 65 */
        "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ok(read_secret(str(good[i]), &len) == 1 && len == sizes[i],
           "secret %zu of %zu bytes", i, sizes[i]);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_int(read_secret(str(bad[i]), &len), -1, "secret %zu refused", i);
    }

    nul.data = (const uint8_t *) SECRET;
    nul.len = sizeof(SECRET);
    is_int(read_secret(nul, &len), -1, "a secret with a NUL at its end");
}


static void
test_ids(void)
{
    size_t     i, len;
    uint8_t    secret[DOI_WEBHOOK_SECRET_MAX + 1] = { 0 };
    char       signature[DOI_WEBHOOK_SIGNATURE];

    static const char *const  bad[] = {
        "", "a.b", ".", "a b", "a\r\n", "\xC3\xA4", "\x7F"
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_int(doi_webhook_sign(secret, 24, str(bad[i]), 1, str("x"),
                                signature), DOI_ERROR, "id %zu refused", i);
    }

    for (len = 0; len <= DOI_WEBHOOK_SECRET_MAX + 1; len += 13) {
        is_int(doi_webhook_sign(secret, len, str("a"), 1, str("x"), signature),
               len && len <= DOI_WEBHOOK_SECRET_MAX ? DOI_OK : DOI_ERROR,
               "a secret of %zu bytes", len);
    }
}


int
main(void)
{
    test_vector();
    test_secrets();
    test_ids();

    return done_testing();
}
