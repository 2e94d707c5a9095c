/*
 * CSV.  See csv.h.
 *
 * A record that is wrong is told of where it goes wrong and then read on, by
 * the same rules, to where it ends: were it given up at the next line end, the
 * lines of a quoted field would become records of their own, and whoever wrote
 * the field would have written them.
 */

#include "csv.h"

#include <string.h>

#include "chars.h"
#include "escape.h"


/* state is one of these, and flags. */

enum {
    DOI_CSV_START = 0,          /* before the first byte of a record         */
    DOI_CSV_FIELD,              /* before the first byte of a further field  */
    DOI_CSV_PLAIN,
    DOI_CSV_QUOTED,
    DOI_CSV_QUOTE,              /* in a quoted field, behind a quote         */
    DOI_CSV_STATES = 0x0F,

    DOI_CSV_BAD = 0x10,         /* told already: the rest is skipped         */
    DOI_CSV_CR = 0x20           /* the last byte was CR: LF is no new line   */
};


static const uint8_t  doi_csv_bom[] = { 0xEF, 0xBB, 0xBF };


static int doi_csv_byte(doi_csv_t *csv, uint8_t c, const char **err);
static int doi_csv_lead(doi_csv_t *csv, uint8_t c, const char **err);
static int doi_csv_char(doi_csv_t *csv, uint8_t c, const char **err);
static int doi_csv_store(doi_csv_t *csv, uint8_t c, const char **err);
static int doi_csv_open(doi_csv_t *csv, const char **err);
static int doi_csv_record(doi_csv_t *csv, const char **err);
static int doi_csv_bad(doi_csv_t *csv, const char **err, const char *text);
static void doi_csv_state(doi_csv_t *csv, unsigned state);
static int doi_csv_formula(doi_str_t field);
static int doi_csv_quote(doi_str_t field);


void
doi_csv_init(doi_csv_t *csv)
{
    csv->nfields = 0;
    csv->line = 0;
    csv->len = 0;
    csv->lines = 0;
    csv->state = DOI_CSV_START;
    csv->bom = 0;
}


int
doi_csv_feed(doi_csv_t *csv, const uint8_t **pos, const uint8_t *end,
    const char **err)
{
    int  rc;

    *err = NULL;

    if ((csv->state & DOI_CSV_STATES) == DOI_CSV_START) {
        csv->nfields = 0;
    }

    while (*pos < end) {

        if (csv->bom < sizeof(doi_csv_bom)) {
            rc = doi_csv_lead(csv, **pos, err);

        } else {
            rc = doi_csv_byte(csv, **pos, err);
        }

        (*pos)++;

        if (rc != DOI_NOT_FOUND) {
            return rc;
        }
    }

    return DOI_NOT_FOUND;
}


int
doi_csv_finish(doi_csv_t *csv, const char **err)
{
    int       rc;
    unsigned  state;

    *err = NULL;

    /* of a BOM only a part: it is text, and not UTF-8 */

    if (csv->bom > 0 && csv->bom < sizeof(doi_csv_bom)) {
        return doi_csv_lead(csv, '\n', err);
    }

    state = csv->state;
    csv->state = DOI_CSV_START;

    /* also after another error: all up to the end may have been swallowed */

    if ((state & DOI_CSV_STATES) == DOI_CSV_QUOTED) {
        return doi_csv_bad(csv, err, "has a quoted field without an end");
    }

    if (state & DOI_CSV_BAD || (state & DOI_CSV_STATES) == DOI_CSV_START) {
        csv->nfields = 0;
        return DOI_NOT_FOUND;
    }

    csv->state = state;
    rc = doi_csv_record(csv, err);
    csv->state = DOI_CSV_START;

    return rc;
}


/* At the start of all: a BOM, or bytes that only look like one at first. */

static int
doi_csv_lead(doi_csv_t *csv, uint8_t c, const char **err)
{
    unsigned  i, n;

    if (c == doi_csv_bom[csv->bom]) {
        csv->bom++;
        return DOI_NOT_FOUND;
    }

    n = csv->bom;
    csv->bom = sizeof(doi_csv_bom);

    for (i = 0; i < n; i++) {
        (void) doi_csv_byte(csv, doi_csv_bom[i], err);
    }

    return doi_csv_byte(csv, c, err);
}


/* Counts lines, whatever they are part of. */

static int
doi_csv_byte(doi_csv_t *csv, uint8_t c, const char **err)
{
    int  cr;

    cr = (csv->state & DOI_CSV_CR) != 0;
    csv->state &= ~(unsigned) DOI_CSV_CR;

    if ((csv->state & DOI_CSV_STATES) == DOI_CSV_START) {

        if (c == '\r' || c == '\n') {
            csv->lines += c == '\r' || !cr;
            csv->state |= c == '\r' ? DOI_CSV_CR : 0;
            return DOI_NOT_FOUND;
        }

        csv->line = csv->lines + 1;
        csv->len = 0;
        csv->nfields = 0;
        (void) doi_csv_open(csv, err);
    }

    if (c == '\r') {
        csv->lines++;
        csv->state |= DOI_CSV_CR;

    } else if (c == '\n' && !cr) {
        csv->lines++;
    }

    return doi_csv_char(csv, c, err);
}


static int
doi_csv_char(doi_csv_t *csv, uint8_t c, const char **err)
{
    unsigned  state;

    state = csv->state & DOI_CSV_STATES;

    if (c == '\0') {

        if (state != DOI_CSV_QUOTED) {
            doi_csv_state(csv, DOI_CSV_PLAIN);
        }

        return doi_csv_bad(csv, err, "has a NUL byte");
    }

    if (state == DOI_CSV_QUOTED) {

        if (c == '"') {
            doi_csv_state(csv, DOI_CSV_QUOTE);
            return DOI_NOT_FOUND;
        }

        return doi_csv_store(csv, c, err);
    }

    switch (c) {

    case '\r':
    case '\n':
        return doi_csv_record(csv, err);

    case ',':
        doi_csv_state(csv, DOI_CSV_FIELD);
        return doi_csv_open(csv, err);

    case '"':
        if (state == DOI_CSV_PLAIN) {
            return doi_csv_bad(csv, err,
                               "has a quote in the middle of a field");
        }

        doi_csv_state(csv, DOI_CSV_QUOTED);

        return state == DOI_CSV_QUOTE ? doi_csv_store(csv, c, err)
                                      : DOI_NOT_FOUND;

    default:
        doi_csv_state(csv, DOI_CSV_PLAIN);

        if (state == DOI_CSV_QUOTE) {
            return doi_csv_bad(csv, err, "has text behind a closing quote");
        }

        return doi_csv_store(csv, c, err);
    }
}


static int
doi_csv_store(doi_csv_t *csv, uint8_t c, const char **err)
{
    if (csv->state & DOI_CSV_BAD) {
        return DOI_NOT_FOUND;
    }

    if (csv->len == DOI_CSV_RECORD) {
        return doi_csv_bad(csv, err, "is longer than 16384 bytes");
    }

    csv->buf[csv->len++] = c;

    return DOI_NOT_FOUND;
}


static int
doi_csv_open(doi_csv_t *csv, const char **err)
{
    if (csv->state & DOI_CSV_BAD) {
        return DOI_NOT_FOUND;
    }

    if (csv->nfields == DOI_CSV_FIELDS) {
        return doi_csv_bad(csv, err, "has more than 64 fields");
    }

    csv->start[csv->nfields++] = csv->len;

    return DOI_NOT_FOUND;
}


static int
doi_csv_record(doi_csv_t *csv, const char **err)
{
    size_t      i, end;
    unsigned    bad;
    doi_str_t  *field;

    bad = csv->state & DOI_CSV_BAD;
    csv->state &= DOI_CSV_CR;

    if (bad) {
        csv->nfields = 0;
        return DOI_NOT_FOUND;
    }

    for (i = 0; i < csv->nfields; i++) {
        end = i + 1 < csv->nfields ? csv->start[i + 1] : csv->len;

        field = &csv->field[i];
        field->data = csv->buf + csv->start[i];
        field->len = end - csv->start[i];

        if (doi_utf8_check(*field) != field->len) {
            *err = "is not UTF-8";
            csv->nfields = 0;
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


/* The first error of a record is the one that counts. */

static int
doi_csv_bad(doi_csv_t *csv, const char **err, const char *text)
{
    if (csv->state & DOI_CSV_BAD) {
        return DOI_NOT_FOUND;
    }

    if ((csv->state & DOI_CSV_STATES) != DOI_CSV_START) {
        csv->state |= DOI_CSV_BAD;
    }

    csv->nfields = 0;
    *err = text;

    return DOI_ERROR;
}


static void
doi_csv_state(doi_csv_t *csv, unsigned state)
{
    csv->state = (csv->state & ~(unsigned) DOI_CSV_STATES) | state;
}


int
doi_csv_put(doi_buf_t *out, doi_str_t field)
{
    int       quote, formula;
    size_t    i, need;
    uint8_t  *p;

    quote = doi_csv_quote(field);
    formula = doi_csv_formula(field);
    need = 0;

    for (i = 0; i < field.len; i++) {
        need += field.data[i] == '"';
    }

    need += field.len + (quote ? 2 : 0) + (formula ? 1 : 0);

    if (out->size < out->len || out->size - out->len < need) {
        return DOI_ERROR;
    }

    p = out->data + out->len;

    if (quote) {
        *p++ = '"';
    }

    if (formula) {
        *p++ = '\'';
    }

    for (i = 0; i < field.len; i++) {
        if (field.data[i] == '"') {
            *p++ = '"';
        }

        *p++ = field.data[i];
    }

    if (quote) {
        *p++ = '"';
    }

    out->len += need;

    return DOI_OK;
}


doi_str_t
doi_csv_unsafe(doi_str_t field)
{
    doi_str_t  rest;

    if (field.len == 0 || field.data[0] != '\'') {
        return field;
    }

    rest.data = field.data + 1;
    rest.len = field.len - 1;

    return doi_csv_formula(rest) ? rest : field;
}


/*
 * Bytes that a reader might drop do not hide a formula behind them.
 * Apostrophes in front do not count: a field that looks as if it had got one
 * from here gets another, or it would come back without its own.
 */

static int
doi_csv_formula(doi_str_t field)
{
    uint32_t        c;
    const uint8_t  *p, *end;

    if (field.len == 0) {
        return 0;
    }

    p = field.data;
    end = p + field.len;

    while (p < end && *p == '\'') {
        p++;
    }

    if (p < end && (*p == '\t' || *p == '\r' || *p == '\n')) {
        return 1;
    }

    while (p < end) {
        c = doi_char_next(&p, end);

        if (c == DOI_CHAR_NONE) {
            p++;
            continue;
        }

        if (c <= ' ' || c == 0x7F || doi_char_blank(c)
            || doi_char_invisible(c))
        {
            continue;
        }

        c = doi_char_narrow(c);

        return c == '=' || c == '+' || c == '-' || c == '@';
    }

    return 0;
}


/*
 * An empty field alone on its line would be an empty line, a BOM in front of
 * all would be skipped, and blanks at the ends are trimmed by some readers.
 */

static int
doi_csv_quote(doi_str_t field)
{
    size_t   i;
    uint8_t  c;

    if (field.len == 0 || field.data[0] == ' ' || field.data[0] == 0xEF
        || field.data[field.len - 1] == ' ')
    {
        return 1;
    }

    for (i = 0; i < field.len; i++) {
        c = field.data[i];

        if (c == ',' || c == '"' || c == ';' || c < ' ') {
            return 1;
        }
    }

    return 0;
}
