/*
 * Fuzzing of src/core/csv.c with libFuzzer: any bytes as a file, cut in any
 * pieces, and any bytes as a field to be written.
 *
 * The first byte of the input is the size of the pieces.
 */

#include <stdlib.h>
#include <string.h>

#include "../../src/core/csv.h"
#include "../../src/core/escape.h"


#define check(cond)                                                           \
    do {                                                                      \
        if (!(cond)) {                                                        \
            abort();                                                          \
        }                                                                     \
    } while (0)


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* What was read, as one number: FNV-1a over all fields, lines and errors. */

typedef struct {
    uint64_t  hash;
    uint64_t  last;
} trace_t;


static void
mix(trace_t *trace, const void *data, size_t len)
{
    size_t          i;
    const uint8_t  *p;

    p = data;

    for (i = 0; i < len; i++) {
        trace->hash = (trace->hash ^ p[i]) * 0x100000001B3;
    }

    trace->hash = (trace->hash ^ len ^ 0x5A) * 0x100000001B3;
}


static void
result(trace_t *trace, const doi_csv_t *csv, int rc, const char *err)
{
    size_t           i, total;
    const uint8_t   *end;
    const doi_str_t *field;

    check(csv->line >= 1 && csv->line >= trace->last);
    trace->last = csv->line;
    mix(trace, &csv->line, sizeof(csv->line));

    if (rc == DOI_ERROR) {
        check(err != NULL && csv->nfields == 0);
        mix(trace, err, strlen(err));
        return;
    }

    check(rc == DOI_OK && err == NULL);
    check(csv->nfields >= 1 && csv->nfields <= DOI_CSV_FIELDS);

    total = 0;
    end = csv->buf;

    for (i = 0; i < csv->nfields; i++) {
        field = &csv->field[i];

        check(field->data == end);
        end = field->data + field->len;
        total += field->len;

        check(doi_utf8_check(*field) == field->len);
        check(field->len == 0
              || memchr(field->data, '\0', field->len) == NULL);
        mix(trace, field->data, field->len);
    }

    check(total <= DOI_CSV_RECORD);
}


static uint64_t
fuzz_read(const uint8_t *data, size_t size, size_t piece)
{
    int             rc;
    size_t          len, results;
    uint8_t        *copy;
    trace_t         trace = { 0xCBF29CE484222325, 0 };
    const char     *err;
    const uint8_t  *pos, *end, *was;

    static doi_csv_t  csv;

    doi_csv_init(&csv);
    results = 0;

    while (size) {
        len = size < piece ? size : piece;

        copy = malloc(len);
        check(copy != NULL);
        memcpy(copy, data, len);

        pos = copy;
        end = copy + len;

        for ( ;; ) {
            was = pos;
            rc = doi_csv_feed(&csv, &pos, end, &err);

            if (rc == DOI_NOT_FOUND) {
                check(pos == end && err == NULL);
                break;
            }

            check(pos > was && pos <= end);
            result(&trace, &csv, rc, err);
            results++;
        }

        free(copy);
        data += len;
        size -= len;
    }

    rc = doi_csv_finish(&csv, &err);

    if (rc != DOI_NOT_FOUND) {
        result(&trace, &csv, rc, err);
    }

    check(doi_csv_finish(&csv, &err) == DOI_NOT_FOUND);
    mix(&trace, &results, sizeof(results));

    return trace.hash;
}


static void
fuzz_write(const uint8_t *data, size_t size)
{
    size_t          k;
    uint8_t        *bytes;
    doi_buf_t       out;
    doi_str_t       field, got;
    const char     *err;
    const uint8_t  *pos;

    static doi_csv_t  csv;

    field.data = data;
    field.len = size;

    for (k = 0; k < size; k++) {
        if (data[k] == '\0') {
            return;
        }
    }

    if (doi_utf8_check(field) != size || size >= DOI_CSV_RECORD) {
        return;
    }

    bytes = malloc(2 * size + 4);
    check(bytes != NULL);

    out.data = bytes;
    out.len = 0;
    out.size = 2 * size + 3;
    check(doi_csv_put(&out, field) == DOI_OK);

    /* without a byte to spare, and with one too few */

    out.size = out.len;
    out.len = 0;
    check(doi_csv_put(&out, field) == DOI_OK && out.len == out.size);

    out.size--;
    out.len = 0;
    check(doi_csv_put(&out, field) == DOI_ERROR && out.len == 0);

    out.len = out.size + 1;
    bytes[out.len++] = '\n';

    doi_csv_init(&csv);
    pos = bytes;
    check(doi_csv_feed(&csv, &pos, bytes + out.len, &err) == DOI_OK);
    check(pos == bytes + out.len && csv.nfields == 1);

    got = csv.field[0];
    check(got.len == 0 || strchr("=+-@\t\r\n", got.data[0]) == NULL);

    got = doi_csv_unsafe(got);
    check(got.len == size && (size == 0 || memcmp(got.data, data, size) == 0));

    free(bytes);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t    piece;
    uint64_t  whole;

    if (size == 0) {
        return 0;
    }

    piece = data[0] ? data[0] : 1;
    data++;
    size--;

    whole = fuzz_read(data, size, size ? size : 1);
    check(fuzz_read(data, size, piece) == whole);
    check(fuzz_read(data, size, 1) == whole);

    fuzz_write(data, size);

    return 0;
}
