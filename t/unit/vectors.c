/*
 * Checks src/core/token.c against t/vectors/token.json, which another
 * implementation wrote.  The file is argv[1], or $DOI_VECTORS, or
 * t/vectors/token.json.
 */

#include <stdlib.h>

#include <jansson.h>

#include "../../src/core/token.h"
#include "tap.h"


static const char *const  purposes[] = { NULL, "link", "confirm",
                                         "unsubscribe" };

/* by doi_token_rc_t */
static const char *const  results[] = { "ok", "malformed", "purpose",
                                        "unknown_key", "forged", "expired",
                                        "failed" };


static void
bail_out(const char *what)
{
    printf("Bail out! %s\n", what);
    exit(1);
}


static json_t *
field(const json_t *vector, const char *name, json_type type)
{
    json_t  *value;

    value = json_object_get(vector, name);

    if (value == NULL || json_typeof(value) != type) {
        printf("# field %s\n", name);
        bail_out("a field is missing or of another type");
    }

    return value;
}


static doi_str_t
text(const json_t *vector, const char *name)
{
    json_t     *value;
    doi_str_t   s;

    value = field(vector, name, JSON_STRING);
    s.data = (const uint8_t *) json_string_value(value);
    s.len = json_string_length(value);

    return s;
}


static long long
number(const json_t *vector, const char *name, long long max)
{
    long long  n;

    n = json_integer_value(field(vector, name, JSON_INTEGER));

    if (n < 0 || n > max) {
        bail_out("a number is out of range");
    }

    return n;
}


static int
index_of(const char *const *names, int first, int last, doi_str_t name)
{
    int  i;

    for (i = first; i <= last; i++) {
        if (strlen(names[i]) == name.len
            && memcmp(names[i], name.data, name.len) == 0)
        {
            return i;
        }
    }

    bail_out("unknown purpose or result");

    return -1;
}


static size_t
unhex(doi_str_t hex, uint8_t *data, size_t size)
{
    char    digits[3] = { 0 };
    char   *end;
    size_t  i;

    if (hex.len % 2 || hex.len / 2 > size) {
        bail_out("bad hexadecimal length");
    }

    for (i = 0; i < hex.len / 2; i++) {
        digits[0] = (char) hex.data[i * 2];
        digits[1] = (char) hex.data[i * 2 + 1];
        data[i] = (uint8_t) strtoul(digits, &end, 16);

        if (*end != '\0') {
            bail_out("bad hexadecimal digit");
        }
    }

    return i;
}


static void
check(const json_t *vector)
{
    int              want;
    size_t           len, parsed_len;
    uint8_t          secret[DOI_SECRET_MAX], parsed[DOI_SECRET_MAX], random[8];
    uint8_t          chars[DOI_TOKEN_CHARS], id[DOI_ID_CHARS];
    doi_str_t        scope, token, hex;
    const char      *name, *err;
    doi_time_t       minted, expires, now;
    doi_token_t      fields;
    doi_purpose_t    purpose;
    doi_keyring_t   *ring;
    doi_token_rc_t   rc;

    name = json_string_value(field(vector, "name", JSON_STRING));
    hex = text(vector, "secret");
    len = unhex(hex, secret, sizeof(secret));
    purpose = (doi_purpose_t) index_of(purposes, 1, 3, text(vector, "purpose"));
    scope = text(vector, "scope");
    token = text(vector, "token");
    now = (doi_time_t) number(vector, "now", UINT32_MAX);
    want = index_of(results, DOI_TOKEN_OK, DOI_TOKEN_EXPIRED,
                    text(vector, "result"));

    ok(doi_secret_parse(hex.data, hex.len, parsed, &parsed_len, &err) == DOI_OK
       && parsed_len == len && memcmp(secret, parsed, len) == 0,
       "%s: the secret is parsed", name);

    ring = doi_keyring_new();

    if (ring == NULL
        || doi_keyring_add(ring, (uint8_t) number(vector, "key_id", 255),
                           secret, len) != DOI_OK)
    {
        bail_out("no key ring");
    }

    rc = doi_token_verify(ring, purpose, scope, now, token, &fields);

    ok((int) rc == want, "%s: %s", name, results[want]);

    if ((int) rc != want) {
        printf("# got %s\n", results[rc]);
    }

    if (want == DOI_TOKEN_OK || want == DOI_TOKEN_EXPIRED) {
        minted = (doi_time_t) number(vector, "minted", UINT32_MAX);
        expires = (doi_time_t) number(vector, "expires", UINT32_MAX);

        if (unhex(text(vector, "random"), random, sizeof(random)) != 8) {
            bail_out("random is not 8 bytes");
        }

        ok(fields.expires == expires && fields.purpose == purpose
           && fields.key_id == number(vector, "key_id", 255)
           && memcmp(fields.id + 4, random, 8) == 0,
           "%s: fields", name);

        doi_id_encode(fields.id, id);
        hex = text(vector, "id");
        ok(hex.len == DOI_ID_CHARS && memcmp(hex.data, id, DOI_ID_CHARS) == 0,
           "%s: id", name);

        ok(doi_token_mint(ring, purpose, scope, minted, expires, random, chars,
                          NULL) == DOI_OK
           && token.len == DOI_TOKEN_CHARS
           && memcmp(token.data, chars, DOI_TOKEN_CHARS) == 0,
           "%s: minted", name);
    }

    doi_keyring_free(ring);
}


int
main(int argc, char **argv)
{
    size_t         i;
    json_t        *root, *vectors, *vector;
    const char    *path;
    json_error_t   error;

    path = (argc > 1) ? argv[1] : getenv("DOI_VECTORS");

    if (path == NULL) {
        path = "t/vectors/token.json";
    }

    root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);

    if (root == NULL) {
        printf("# %s:%d: %s\n", path, error.line, error.text);
        bail_out("cannot read the vectors");
    }

    vectors = field(root, "vectors", JSON_ARRAY);

    json_array_foreach(vectors, i, vector) {
        check(vector);
    }

    ok(json_array_size(vectors) >= 25, "%zu vectors",
       json_array_size(vectors));

    json_decref(root);

    return done_testing();
}
