/*
 * Rendering: pages as HTML and as problem+json, mails.  See pages.h.
 */

#include "pages_set.h"


#define DOI_PROBLEM_TYPE     "urn:doi:problem:"


static size_t doi_mail_render(const doi_pages_t *pages, doi_mail_t mail,
    size_t lang, doi_mail_part_t part, const doi_page_vars_t *vars,
    doi_buf_t *out);
static void doi_out_contact(doi_out_t *out, const doi_str_t *values);
static void doi_out_member(doi_out_t *out, const char *before,
    doi_str_t value);


size_t
doi_page_html(const doi_pages_t *pages, doi_page_t page, size_t lang,
    const doi_page_vars_t *vars, doi_buf_t *out)
{
    doi_out_t      o;
    doi_str_t      values[DOI_VARS];
    doi_scratch_t  scratch;

    if (pages->compiled == NULL) {
        return 0;
    }

    if (lang >= pages->compiled->nlangs) {
        lang = 0;
    }

    doi_page_values(pages, page, lang, vars, &scratch, values);

    doi_out_init(&o, out);

    doi_template_render(&pages->compiled->langs[lang].parts[page]
                        [DOI_PART_HTML], values, &o);

    doi_out_done(&o, out);

    return o.need;
}


size_t
doi_page_json(const doi_pages_t *pages, doi_page_t page, size_t lang,
    const doi_page_vars_t *vars, doi_buf_t *out)
{
    doi_out_t              o;
    doi_str_t              values[DOI_VARS], url;
    doi_scratch_t          scratch;
    const doi_template_t  *parts;

    if (pages->compiled == NULL) {
        return 0;
    }

    if (lang >= pages->compiled->nlangs) {
        lang = 0;
    }

    parts = pages->compiled->langs[lang].parts[page];

    doi_page_values(pages, page, lang, vars, &scratch, values);

    /* programs follow it, so here it is a link or nothing */

    url = values[DOI_VAR_OWNER_URL];

    if (doi_escape_empty(DOI_ESCAPE_URL, url)) {
        values[DOI_VAR_OWNER_URL].len = 0;
    }

    doi_out_init(&o, out);

    /* what went well is no problem (RFC 9457, 1) */

    if (doi_page_status(page) < 300) {
        doi_out_put(&o, "{", 1);

    } else {
        doi_out_member(&o, "{\"type\":\"" DOI_PROBLEM_TYPE,
                       values[DOI_VAR_STATE]);
        doi_out_put(&o, "\",", 2);
    }

    doi_out_member(&o, "\"status\":", values[DOI_VAR_STATUS]);
    doi_out_member(&o, ",\"code\":\"", values[DOI_VAR_STATE]);

    doi_out_put(&o, "\",\"title\":\"", sizeof("\",\"title\":\"") - 1);
    doi_template_render(&parts[DOI_PART_TITLE], values, &o);

    doi_out_put(&o, "\",\"detail\":\"", sizeof("\",\"detail\":\"") - 1);
    doi_template_render(&parts[DOI_PART_DETAIL], values, &o);

    doi_out_put(&o, "\"", 1);

    if (values[DOI_VAR_BOOKED_AT].len) {
        doi_out_member(&o, ",\"booked_at\":\"", values[DOI_VAR_BOOKED_AT]);
        doi_out_put(&o, "\"", 1);
    }

    if (values[DOI_VAR_FIELD].len) {
        doi_out_member(&o, ",\"field\":\"", values[DOI_VAR_FIELD]);
        doi_out_put(&o, "\"", 1);
    }

    doi_out_contact(&o, values);

    if (values[DOI_VAR_ID].len) {
        doi_out_member(&o, ",\"reference\":\"", values[DOI_VAR_ID]);
        doi_out_put(&o, "\"", 1);
    }

    if (values[DOI_VAR_RETRY_AFTER].len) {
        doi_out_member(&o, ",\"retry_after\":", values[DOI_VAR_RETRY_AFTER]);
    }

    doi_out_put(&o, "}\n", 2);

    doi_out_done(&o, out);

    return o.need;
}


size_t
doi_mail_subject(const doi_pages_t *pages, doi_mail_t mail, size_t lang,
    const doi_page_vars_t *vars, doi_buf_t *out)
{
    return doi_mail_render(pages, mail, lang, DOI_MAIL_PART_SUBJECT, vars,
                           out);
}


size_t
doi_mail_text(const doi_pages_t *pages, doi_mail_t mail, size_t lang,
    const doi_page_vars_t *vars, doi_buf_t *out)
{
    return doi_mail_render(pages, mail, lang, DOI_MAIL_PART_TEXT, vars, out);
}


size_t
doi_mail_html(const doi_pages_t *pages, doi_mail_t mail, size_t lang,
    const doi_page_vars_t *vars, doi_buf_t *out)
{
    return doi_mail_render(pages, mail, lang, DOI_MAIL_PART_HTML, vars, out);
}


static size_t
doi_mail_render(const doi_pages_t *pages, doi_mail_t mail, size_t lang,
    doi_mail_part_t part, const doi_page_vars_t *vars, doi_buf_t *out)
{
    doi_out_t      o;
    doi_str_t      values[DOI_VARS];
    doi_scratch_t  scratch;

    if (pages->compiled == NULL) {
        return 0;
    }

    if (lang >= pages->compiled->nlangs) {
        lang = 0;
    }

    doi_mail_values(pages, mail, lang, vars, &scratch, values);

    doi_out_init(&o, out);

    doi_template_render(&pages->compiled->langs[lang].mails[mail][part],
                        values, &o);

    doi_out_done(&o, out);

    return o.need;
}


static void
doi_out_contact(doi_out_t *out, const doi_str_t *values)
{
    size_t       i;
    const char  *comma;

    static const struct {
        const char  *name;
        doi_var_t    var;
    } contact[] = {
        { "\"name\":\"",  DOI_VAR_OWNER_NAME },
        { "\"email\":\"", DOI_VAR_OWNER_EMAIL },
        { "\"phone\":\"", DOI_VAR_OWNER_PHONE },
        { "\"url\":\"",   DOI_VAR_OWNER_URL }
    };

    comma = ",\"contact\":{";

    for (i = 0; i < sizeof(contact) / sizeof(contact[0]); i++) {

        if (values[contact[i].var].len == 0) {
            continue;
        }

        doi_out_put(out, comma, strlen(comma));
        doi_out_member(out, contact[i].name, values[contact[i].var]);
        doi_out_put(out, "\"", 1);

        comma = ",";
    }

    if (comma[1] == '\0') {
        doi_out_put(out, "}", 1);
    }
}


static void
doi_out_member(doi_out_t *out, const char *before, doi_str_t value)
{
    doi_out_put(out, before, strlen(before));
    doi_out_escape(out, DOI_ESCAPE_JSON, value);
}
