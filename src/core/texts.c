/*
 * Texts of a language.  See texts.h for the format.
 */

#include "texts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static int doi_texts_line(doi_text_t *text, doi_str_t line,
    doi_template_error_t *err);
static doi_str_t doi_texts_trim(doi_str_t s);


int
doi_texts_parse(doi_texts_t *texts, doi_str_t content,
    doi_template_error_t *err)
{
    int             rc;
    size_t          lines;
    unsigned        number;
    doi_str_t       line;
    doi_text_t     *text;
    const uint8_t  *p, *end, *eol;

    memset(texts, 0, sizeof(doi_texts_t));

    if (content.len == 0) {
        return DOI_OK;
    }

    p = content.data;
    end = p + content.len;

    for (lines = 1, eol = p; eol < end; eol++) {
        lines += *eol == '\n';
    }

    texts->list = calloc(lines, sizeof(doi_text_t));

    if (texts->list == NULL) {
        err->line = 1;
        (void) snprintf(err->text, sizeof(err->text), "out of memory");
        return DOI_ERROR;
    }

    for (number = 1; p < end; number++, p = eol + 1) {

        eol = memchr(p, '\n', (size_t) (end - p));

        if (eol == NULL) {
            eol = end;
        }

        line.data = p;
        line.len = (size_t) (eol - p);

        text = &texts->list[texts->n];
        text->line = number;

        rc = doi_texts_line(text, line, err);

        if (rc == DOI_OK && doi_texts_find(texts, NULL, text->key) != NULL) {
            (void) snprintf(err->text, sizeof(err->text),
                            "\"%.*s\" is there twice", (int) text->key.len,
                            (const char *) text->key.data);
            rc = DOI_ERROR;
        }

        if (rc == DOI_ERROR) {
            err->line = number;
            doi_texts_free(texts);
            return DOI_ERROR;
        }

        if (rc == DOI_OK) {
            texts->n++;
        }

        if (eol == end) {
            break;
        }
    }

    return DOI_OK;
}


void
doi_texts_free(doi_texts_t *texts)
{
    free(texts->list);
    memset(texts, 0, sizeof(doi_texts_t));
}


doi_text_t *
doi_texts_find(const doi_texts_t *texts, const char *scope, doi_str_t key)
{
    size_t       i, len;
    doi_text_t  *text;

    len = scope != NULL ? strlen(scope) + 1 : 0;

    for (i = 0; i < texts->n; i++) {
        text = &texts->list[i];

        if (text->key.len != len + key.len
            || memcmp(text->key.data + len, key.data, key.len) != 0)
        {
            continue;
        }

        if (len == 0 || (text->key.data[len - 1] == '.'
                         && memcmp(text->key.data, scope, len - 1) == 0))
        {
            return text;
        }
    }

    return NULL;
}


/* DOI_NOT_FOUND: nothing on this line. */

static int
doi_texts_line(doi_text_t *text, doi_str_t line, doi_template_error_t *err)
{
    size_t          i;
    uint8_t         c;
    const uint8_t  *sign;

    line = doi_texts_trim(line);

    if (line.len == 0 || line.data[0] == '#') {
        return DOI_NOT_FOUND;
    }

    sign = memchr(line.data, '=', line.len);

    if (sign == NULL) {
        (void) snprintf(err->text, sizeof(err->text),
                        "not of the form \"key = text\"");
        return DOI_ERROR;
    }

    text->key.data = line.data;
    text->key.len = (size_t) (sign - line.data);
    text->key = doi_texts_trim(text->key);

    text->value.data = sign + 1;
    text->value.len = (size_t) (line.data + line.len - text->value.data);
    text->value = doi_texts_trim(text->value);

    for (i = 0; i < text->key.len; i++) {
        c = text->key.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'
              || c == '.'))
        {
            break;
        }
    }

    if (i != text->key.len || i == 0 || i > 64) {
        (void) snprintf(err->text, sizeof(err->text),
                        "a key is of a-z, 0-9, \"_\" and \".\"");
        return DOI_ERROR;
    }

    return DOI_OK;
}


static doi_str_t
doi_texts_trim(doi_str_t s)
{
    while (s.len && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s.data++;
        s.len--;
    }

    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'
                     || s.data[s.len - 1] == '\r'))
    {
        s.len--;
    }

    return s;
}
