/*
 * Templates.  See template.h for the language.
 */

#include "template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"


typedef enum {
    DOI_OP_LITERAL = 0,     /* bytes of the template                   */
    DOI_OP_TEXT,            /* bytes of a text, to be escaped          */
    DOI_OP_VAR,
    DOI_OP_IF_EMPTY,        /* go to target if the value is empty      */
    DOI_OP_IF_VALUE,        /* go to target if it is not               */
    DOI_OP_JUMP             /* section known to be hidden              */
} doi_op_t;


struct doi_template_op_s {
    doi_op_t      op;
    doi_escape_t  escape;
    size_t        index;    /* of the variable */
    size_t        target;
    doi_str_t     bytes;
};


typedef struct {
    doi_str_t  name;
    size_t     op;          /* to be given its target; DOI_NO_OP if none */
    unsigned   line;
} doi_section_t;

#define DOI_NO_OP  ((size_t) -1)


/* One tag, taken apart. */

typedef struct {
    uint8_t    kind;        /* '#', '^', '/', '!', or 0 for a value */
    doi_str_t  name;
    doi_str_t  filter;
} doi_tag_t;


typedef struct {
    doi_template_t            *t;
    const doi_template_env_t  *env;
    doi_template_error_t      *err;
    const uint8_t             *pos;
    const uint8_t             *end;
    unsigned                   line;
    int                        line_start;      /* pos is at one */
    size_t                     depth;
    doi_section_t              sections[DOI_TEMPLATE_DEPTH];
} doi_parser_t;


static int doi_compile_part(doi_template_t *t, const doi_template_env_t *env,
    doi_str_t source, doi_template_error_t *err);
static int doi_compile_tag(doi_parser_t *p, const doi_tag_t *tag);
static int doi_compile_value(doi_parser_t *p, const doi_tag_t *tag);
static int doi_compile_text(doi_parser_t *p, const doi_tag_t *tag);
static int doi_compile_open(doi_parser_t *p, const doi_tag_t *tag);
static int doi_compile_close(doi_parser_t *p, const doi_tag_t *tag);
static int doi_find_text(doi_parser_t *p, doi_str_t name, doi_str_t *text);
static int doi_find_var(doi_parser_t *p, doi_str_t name, size_t *index);
static int doi_find_filter(doi_parser_t *p, const doi_tag_t *tag,
    doi_escape_t *escape);
static int doi_parse_tag(doi_parser_t *p, doi_str_t inside, doi_tag_t *tag);
static doi_template_op_t *doi_add_op(doi_parser_t *p, doi_op_t op);
static int doi_add_literal(doi_parser_t *p, const uint8_t *data, size_t len);
static int doi_fail(doi_parser_t *p, const char *what);
static int doi_fail_name(doi_parser_t *p, const char *what, doi_str_t name,
    const char *hint);
static const uint8_t *doi_find_pair(const uint8_t *p, const uint8_t *end,
    uint8_t c);
static unsigned doi_count_lines(const uint8_t *from, const uint8_t *to);
static int doi_alone(const doi_parser_t *p, const uint8_t **from,
    const uint8_t **to);
static doi_str_t doi_trim(doi_str_t s);


static const struct {
    const char    *name;
    doi_escape_t   escape;
} doi_filters[] = {
    { "html",  DOI_ESCAPE_HTML },
    { "uri",   DOI_ESCAPE_URI },
    { "url",   DOI_ESCAPE_URL },
    { "short", DOI_ESCAPE_SHORT },
    { "tel",   DOI_ESCAPE_TEL }
};


int
doi_template_compile(doi_template_t *t, const doi_template_env_t *env,
    doi_str_t source, doi_template_error_t *err)
{
    memset(t, 0, sizeof(doi_template_t));

    err->line = 0;
    err->text[0] = '\0';

    if (doi_compile_part(t, env, source, err) != DOI_OK) {
        doi_template_free(t);
        return DOI_ERROR;
    }

    return DOI_OK;
}


void
doi_template_free(doi_template_t *t)
{
    free(t->ops);
    memset(t, 0, sizeof(doi_template_t));
}


void
doi_template_render(const doi_template_t *t, const doi_str_t *values,
    doi_out_t *out)
{
    size_t                    i;
    const doi_template_op_t  *op;

    i = 0;

    while (i < t->nops) {
        op = &t->ops[i++];

        switch (op->op) {

        case DOI_OP_LITERAL:
            doi_out_put(out, op->bytes.data, op->bytes.len);
            break;

        case DOI_OP_TEXT:
            doi_out_escape(out, op->escape, op->bytes);
            break;

        case DOI_OP_VAR:
            doi_out_escape(out, op->escape, values[op->index]);
            break;

        case DOI_OP_IF_EMPTY:
            if (doi_escape_empty(op->escape, values[op->index])) {
                i = op->target;
            }

            break;

        case DOI_OP_IF_VALUE:
            if (!doi_escape_empty(op->escape, values[op->index])) {
                i = op->target;
            }

            break;

        case DOI_OP_JUMP:
            i = op->target;
            break;
        }
    }
}


/* Appends to t: a template, or one text inside it. */

static int
doi_compile_part(doi_template_t *t, const doi_template_env_t *env,
    doi_str_t source, doi_template_error_t *err)
{
    int             alone;
    doi_str_t       inside;
    doi_tag_t       tag;
    doi_parser_t    p;
    const uint8_t  *open, *close, *from, *to;

    if (source.len == 0) {
        return DOI_OK;
    }

    p.t = t;
    p.env = env;
    p.err = err;
    p.pos = source.data;
    p.end = source.data + source.len;
    p.line = 1;
    p.line_start = env->text != NULL;
    p.depth = 0;

    for ( ;; ) {
        open = doi_find_pair(p.pos, p.end, '{');

        if (open == NULL) {
            break;
        }

        p.line += doi_count_lines(p.pos, open);

        close = doi_find_pair(open + 2, p.end, '}');

        if (close == NULL) {
            return doi_fail(&p, "\"{{\" without \"}}\"");
        }

        inside.data = open + 2;
        inside.len = (size_t) (close - inside.data);

        if (doi_parse_tag(&p, inside, &tag) != DOI_OK) {
            return DOI_ERROR;
        }

        from = open;
        to = close + 2;

        alone = tag.kind && doi_alone(&p, &from, &to);

        if (doi_add_literal(&p, p.pos, (size_t) (from - p.pos)) != DOI_OK
            || doi_compile_tag(&p, &tag) != DOI_OK)
        {
            return DOI_ERROR;
        }

        p.line += doi_count_lines(open, to);
        p.pos = to;
        p.line_start = alone;
    }

    if (p.depth) {
        p.line = p.sections[p.depth - 1].line;
        return doi_fail_name(&p, "section is not closed:",
                             p.sections[p.depth - 1].name, "");
    }

    return doi_add_literal(&p, p.pos, (size_t) (p.end - p.pos));
}


static int
doi_compile_tag(doi_parser_t *p, const doi_tag_t *tag)
{
    switch (tag->kind) {

    case '!':
        return DOI_OK;

    case '#':
    case '^':
        return doi_compile_open(p, tag);

    case '/':
        return doi_compile_close(p, tag);

    default:
        return doi_compile_value(p, tag);
    }
}


static int
doi_compile_value(doi_parser_t *p, const doi_tag_t *tag)
{
    size_t              index;
    doi_escape_t        escape;
    doi_template_op_t  *op;

    if (p->env->text != NULL && doi_str_is(tag->name, "style")) {

        if (!doi_str_is(tag->filter, "css")) {
            return doi_fail(p, "the style sheet is written {{style|css}}");
        }

        return doi_add_literal(p, p->env->style.data, p->env->style.len);
    }

    if (tag->name.len > 2 && memcmp(tag->name.data, "t.", 2) == 0) {
        return doi_compile_text(p, tag);
    }

    if (doi_find_var(p, tag->name, &index) != DOI_OK
        || doi_find_filter(p, tag, &escape) != DOI_OK)
    {
        return DOI_ERROR;
    }

    op = doi_add_op(p, DOI_OP_VAR);

    if (op == NULL) {
        return DOI_ERROR;
    }

    op->index = index;
    op->escape = escape;

    return DOI_OK;
}


/* A text becomes part of this template; what it holds is escaped for the place
   that the text stands in. */

static int
doi_compile_text(doi_parser_t *p, const doi_tag_t *tag)
{
    doi_str_t           text;
    doi_template_env_t  env;

    env = *p->env;
    env.text = NULL;

    if (doi_find_text(p, tag->name, &text) == DOI_ERROR
        || doi_find_filter(p, tag, &env.escape) != DOI_OK)
    {
        return DOI_ERROR;
    }

    /* a link or a number is judged as a whole, a text comes in pieces */

    if (tag->filter.len && env.escape != DOI_ESCAPE_HTML
        && env.escape != DOI_ESCAPE_URI)
    {
        return doi_fail_name(p,
                             "a text takes only the filters html and uri, not",
                             tag->filter, "");
    }

    return doi_compile_part(p->t, &env, text, p->err);
}


static int
doi_compile_open(doi_parser_t *p, const doi_tag_t *tag)
{
    int                 rc;
    size_t              index;
    doi_str_t           text;
    doi_escape_t        escape;
    doi_section_t      *section;
    doi_template_op_t  *op;

    if (p->depth == DOI_TEMPLATE_DEPTH) {
        return doi_fail_name(p, "sections are nested too deeply:", tag->name,
                             "");
    }

    section = &p->sections[p->depth++];
    section->name = tag->name;
    section->op = DOI_NO_OP;
    section->line = p->line;

    if (tag->name.len > 2 && memcmp(tag->name.data, "t.", 2) == 0) {

        rc = doi_find_text(p, tag->name, &text);

        if (rc == DOI_ERROR) {
            return DOI_ERROR;
        }

        if ((text.len != 0) == (tag->kind == '#')) {
            return DOI_OK;
        }

        section->op = p->t->nops;

        return doi_add_op(p, DOI_OP_JUMP) == NULL ? DOI_ERROR : DOI_OK;
    }

    if (doi_find_var(p, tag->name, &index) != DOI_OK
        || doi_find_filter(p, tag, &escape) != DOI_OK)
    {
        return DOI_ERROR;
    }

    section->op = p->t->nops;

    op = doi_add_op(p, tag->kind == '#' ? DOI_OP_IF_EMPTY : DOI_OP_IF_VALUE);

    if (op == NULL) {
        return DOI_ERROR;
    }

    op->index = index;
    op->escape = escape;

    return DOI_OK;
}


static int
doi_compile_close(doi_parser_t *p, const doi_tag_t *tag)
{
    doi_section_t  *section;

    if (p->depth == 0) {
        return doi_fail_name(p, "no section is open to be closed by", tag->name,
                             "");
    }

    section = &p->sections[p->depth - 1];

    if (section->name.len != tag->name.len
        || memcmp(section->name.data, tag->name.data, tag->name.len) != 0)
    {
        return doi_fail_name(p, "the section to be closed first is not",
                             tag->name, "");
    }

    if (section->op != DOI_NO_OP) {
        p->t->ops[section->op].target = p->t->nops;
    }

    p->depth--;

    return DOI_OK;
}


static int
doi_find_text(doi_parser_t *p, doi_str_t name, doi_str_t *text)
{
    int        rc;
    doi_str_t  key;

    text->data = NULL;
    text->len = 0;

    if (p->env->text == NULL) {
        return doi_fail_name(p, "a text may not contain another text:", name,
                             "");
    }

    key.data = name.data + 2;
    key.len = name.len - 2;

    rc = p->env->text(p->env->ctx, key, text);

    if (rc == DOI_ERROR) {
        return doi_fail_name(p, "no LANG.txt has the text", key, "");
    }

    return rc;
}


static int
doi_find_var(doi_parser_t *p, doi_str_t name, size_t *index)
{
    size_t  i;

    *index = 0;

    for (i = 0; p->env->vars[i] != NULL; i++) {
        if (doi_str_is(name, p->env->vars[i])) {
            *index = i;
            return DOI_OK;
        }
    }

    return doi_fail_name(p, "unknown variable", name, "");
}


static int
doi_find_filter(doi_parser_t *p, const doi_tag_t *tag, doi_escape_t *escape)
{
    size_t  i;

    *escape = p->env->escape;

    if (tag->filter.len == 0) {
        return DOI_OK;
    }

    if (p->env->text == NULL) {
        return doi_fail_name(p, "a text may not contain a filter:", tag->filter,
                             "");
    }

    for (i = 0; i < sizeof(doi_filters) / sizeof(doi_filters[0]); i++) {
        if (doi_str_is(tag->filter, doi_filters[i].name)) {
            *escape = doi_filters[i].escape;
            break;
        }
    }

    if (i == sizeof(doi_filters) / sizeof(doi_filters[0])) {
        return doi_fail_name(p, "unknown filter", tag->filter,
                             " (there are html, uri, url, short, tel)");
    }

    /* "&" would come out as "&amp;" */

    if (p->env->escape == DOI_ESCAPE_TEXT && *escape != DOI_ESCAPE_URI
        && *escape != DOI_ESCAPE_TEL)
    {
        return doi_fail_name(p, "plain text does not take the filter",
                             tag->filter, "");
    }

    return DOI_OK;
}


static int
doi_parse_tag(doi_parser_t *p, doi_str_t inside, doi_tag_t *tag)
{
    size_t     i;
    uint8_t    c;
    doi_str_t  s;

    memset(tag, 0, sizeof(doi_tag_t));

    s = inside;

    if (s.len && s.data[0] == '!') {
        tag->kind = '!';
        return DOI_OK;
    }

    s = doi_trim(s);

    if (s.len && (s.data[0] == '#' || s.data[0] == '^' || s.data[0] == '/')) {
        tag->kind = s.data[0];
        s.data++;
        s.len--;
    }

    tag->name = s;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] == '|') {

            tag->name.len = i;
            tag->filter.data = s.data + i + 1;
            tag->filter.len = s.len - i - 1;
            tag->filter = doi_trim(tag->filter);

            if (tag->filter.len == 0) {
                return doi_fail_name(p, "no filter after \"|\" in", inside, "");
            }

            break;
        }
    }

    tag->name = doi_trim(tag->name);

    for (i = 0; i < tag->name.len; i++) {
        c = tag->name.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9') || c == '_' || c == '.'))
        {
            break;
        }
    }

    if (tag->name.len == 0 || i != tag->name.len) {
        return doi_fail_name(p, "not a name:", inside, "");
    }

    /* the tag that closes need not repeat the filter */

    return DOI_OK;
}


static doi_template_op_t *
doi_add_op(doi_parser_t *p, doi_op_t op)
{
    size_t              size;
    doi_template_t     *t;
    doi_template_op_t  *ops;

    t = p->t;

    if (t->nops == t->size) {
        size = t->size ? t->size * 2 : 64;
        ops = realloc(t->ops, size * sizeof(doi_template_op_t));

        if (ops == NULL) {
            (void) doi_fail(p, "out of memory");
            return NULL;
        }

        t->ops = ops;
        t->size = size;
    }

    ops = &t->ops[t->nops++];

    memset(ops, 0, sizeof(doi_template_op_t));
    ops->op = op;

    return ops;
}


static int
doi_add_literal(doi_parser_t *p, const uint8_t *data, size_t len)
{
    doi_template_op_t  *op;

    if (len == 0) {
        return DOI_OK;
    }

    op = doi_add_op(p, p->env->text == NULL ? DOI_OP_TEXT : DOI_OP_LITERAL);

    if (op == NULL) {
        return DOI_ERROR;
    }

    op->bytes.data = data;
    op->bytes.len = len;
    op->escape = p->env->escape;

    return DOI_OK;
}


static int
doi_fail(doi_parser_t *p, const char *what)
{
    p->err->line = p->line;

    (void) snprintf(p->err->text, sizeof(p->err->text), "%s", what);

    return DOI_ERROR;
}


static int
doi_fail_name(doi_parser_t *p, const char *what, doi_str_t name,
    const char *hint)
{
    char    c, quoted[48];
    size_t  i;

    /* what goes to a terminal or a log must not carry control characters */

    for (i = 0; i < name.len && i < sizeof(quoted) - 1; i++) {
        c = (char) name.data[i];
        quoted[i] = '?';

        if (c >= 0x20 && c < 0x7F) {
            quoted[i] = c;
        }
    }

    quoted[i] = '\0';

    p->err->line = p->line;

    (void) snprintf(p->err->text, sizeof(p->err->text), "%s \"%s\"%s", what,
                    quoted, hint);

    return DOI_ERROR;
}


static const uint8_t *
doi_find_pair(const uint8_t *p, const uint8_t *end, uint8_t c)
{
    while (end - p >= 2) {

        p = memchr(p, c, (size_t) (end - p - 1));

        if (p == NULL) {
            return NULL;
        }

        if (p[1] == c) {
            return p;
        }

        p++;
    }

    return NULL;
}


static unsigned
doi_count_lines(const uint8_t *from, const uint8_t *to)
{
    unsigned  n;

    n = 0;

    while (from < to) {
        if (*from++ == '\n') {
            n++;
        }
    }

    return n;
}


/* If from..to has its line for itself, widens it to the whole line. */

static int
doi_alone(const doi_parser_t *p, const uint8_t **from, const uint8_t **to)
{
    const uint8_t  *left, *right;

    left = *from;

    while (left > p->pos && (left[-1] == ' ' || left[-1] == '\t')) {
        left--;
    }

    if (left == p->pos ? !p->line_start : left[-1] != '\n') {
        return 0;
    }

    right = *to;

    while (right < p->end
           && (*right == ' ' || *right == '\t' || *right == '\r'))
    {
        right++;
    }

    if (right < p->end && *right != '\n') {
        return 0;
    }

    *from = left;
    *to = right < p->end ? right + 1 : right;

    return 1;
}


static doi_str_t
doi_trim(doi_str_t s)
{
    while (s.len && (s.data[0] == ' ' || s.data[0] == '\t'
                     || s.data[0] == '\r' || s.data[0] == '\n'))
    {
        s.data++;
        s.len--;
    }

    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'
                     || s.data[s.len - 1] == '\r'
                     || s.data[s.len - 1] == '\n'))
    {
        s.len--;
    }

    return s;
}
