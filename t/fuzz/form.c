/*
 * Fuzzing of src/core/form.c, src/core/form_multipart.c and src/core/address.c
 * with libFuzzer: any bytes as a body, and every field of it as a value to be
 * shown and as an e-mail address.
 *
 * The first line of the input is the Content-Type; what follows is the body.
 */

#include <stdlib.h>
#include <string.h>

#include "../../src/core/address.h"
#include "../../src/core/escape.h"
#include "../../src/core/form.h"


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


static int
within(doi_str_t s, const uint8_t *data, size_t len)
{
    return s.data >= data && s.data <= data + len
           && s.len <= (size_t) (data + len - s.data);
}


/* Each non-ASCII byte becomes an "x": any domain has some A-label. */

static int
toy_idn(doi_str_t domain, doi_buf_t *out)
{
    size_t  i;

    if (out->size - out->len < domain.len) {
        return DOI_ERROR;
    }

    for (i = 0; i < domain.len; i++) {
        out->data[out->len++] = domain.data[i] < 0x80 ? domain.data[i] : 'x';
    }

    return DOI_OK;
}


static void
fuzz_address(doi_str_t text)
{
    size_t       i, n;
    uint8_t      first[DOI_EMAIL_MAX], second[DOI_EMAIL_MAX], mask[16];
    doi_buf_t    out = { first, 0, sizeof(first) };
    doi_buf_t    again = { second, 0, sizeof(second) };
    doi_str_t    s;
    const char  *err;

    n = doi_email_mask(text, mask);
    check(n >= 7 && n <= sizeof(mask));

    s.data = mask;
    s.len = n;
    check(doi_field_clean(&s, n, &err) == DOI_OK && s.len == n);

    err = NULL;

    if (doi_email_normalise(text, toy_idn, &out, &err) != DOI_OK) {
        check(out.len == 0 && err != NULL);
        return;
    }

    check(out.len >= 5 && out.len <= DOI_EMAIL_MAX);

    for (i = 0; i < out.len; i++) {
        check(first[i] > ' ' && first[i] < 0x7F
              && strchr("<>()[]\",;:\\", first[i]) == NULL
              && !(first[i] >= 'A' && first[i] <= 'Z'));
    }

    check(memchr(first, '@', out.len) != NULL);

    s.data = first;
    s.len = out.len;
    check(doi_email_normalise(s, toy_idn, &again, &err) == DOI_OK);
    check(again.len == out.len && memcmp(first, second, out.len) == 0);
}


static void
fuzz_clean(doi_str_t value)
{
    doi_str_t    was;
    const char  *err;

    was = value;

    if (doi_field_clean(&value, 64, &err) != DOI_OK) {
        check(err != NULL && value.data == was.data && value.len == was.len);
        return;
    }

    check(err == NULL && value.len <= 64);
    check(value.len == 0 || within(value, was.data, was.len));
    check(doi_utf8_check(value) == value.len);

    was = value;
    check(doi_field_clean(&value, 64, &err) == DOI_OK);
    check(value.len == was.len);
}


static void
fuzz_form(doi_form_type_t type, doi_str_t content_type, doi_str_t body)
{
    int                 rc;
    size_t              i, total;
    uint8_t            *scratch;
    doi_str_t           value;
    const char         *err;
    const doi_field_t  *field;
    static doi_form_t   form;

    scratch = copy_of(body.data, body.len);
    err = "unset";

    rc = doi_form_parse(type, content_type, body, scratch, &form, &err);

    check(rc == DOI_OK || rc == DOI_ERROR);
    check((err == NULL) == (rc == DOI_OK));
    check(rc == DOI_OK || form.n == 0);
    check(form.n <= DOI_FORM_FIELDS);

    for (i = 0, total = 0; i < form.n; i++) {
        field = &form.fields[i];

        check(within(field->name, scratch, body.len));
        check(within(field->value, scratch, body.len)
              || (type == DOI_FORM_MULTIPART
                  && within(field->value, body.data, body.len)));
        check(!field->file || type == DOI_FORM_MULTIPART);

        total += field->name.len + field->value.len;

        rc = doi_form_get(&form, field->name, &value);
        check(rc == DOI_ERROR
              || (rc == DOI_OK && value.data == field->value.data)
              || (rc == DOI_NOT_FOUND && field->file));

        fuzz_clean(field->value);
        fuzz_address(field->value);
    }

    check(total <= body.len);

    free(scratch);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t     len;
    uint8_t   *type, *bytes;
    doi_str_t  content_type, body;

    for (len = 0; len < size && data[len] != '\n'; len++) {
        /* void */
    }

    type = copy_of(data, len);
    content_type.data = type;
    content_type.len = len;

    len += len < size;
    bytes = copy_of(data + len, size - len);
    body.data = bytes;
    body.len = size - len;

    (void) doi_form_type(content_type);

    fuzz_form(DOI_FORM_URLENCODED, content_type, body);
    fuzz_form(DOI_FORM_MULTIPART, content_type, body);
    fuzz_clean(body);
    fuzz_address(body);

    free(type);
    free(bytes);

    return 0;
}
