/*
 * Short messages: texts of LANG.txt, rendered as plain text.
 */

#include "pages_set.h"


#define DOI_MESSAGE_KEY      "message."


const char *const  doi_message_names[DOI_MESSAGE_VARS + 1] = {
    [DOI_MESSAGE_KEYWORD] = "keyword",
    [DOI_MESSAGE_LINK]    = "link",
    [DOI_MESSAGE_OWNER]   = "owner",
    [DOI_MESSAGE_VARS]    = NULL
};


const char *const  doi_message_keys[DOI_MESSAGES] = {
    [DOI_MESSAGE_PROMPT]    = DOI_MESSAGE_KEY "prompt",
    [DOI_MESSAGE_REMINDER]  = DOI_MESSAGE_KEY "reminder",
    [DOI_MESSAGE_CONFIRMED] = DOI_MESSAGE_KEY "confirmed",
    [DOI_MESSAGE_OPTED_OUT] = DOI_MESSAGE_KEY "opted_out",
    [DOI_MESSAGE_HELP]      = DOI_MESSAGE_KEY "help"
};


const char *
doi_message_name(doi_message_kind_t message)
{
    return doi_message_keys[message] + sizeof(DOI_MESSAGE_KEY) - 1;
}


size_t
doi_message_text(const doi_pages_t *pages, doi_message_kind_t message,
    size_t lang, const doi_message_vars_t *vars, doi_buf_t *out)
{
    doi_out_t  o;
    doi_str_t  values[DOI_MESSAGE_VARS];

    if (pages->compiled == NULL) {
        return 0;
    }

    if (lang >= pages->compiled->nlangs) {
        lang = 0;
    }

    values[DOI_MESSAGE_KEYWORD] = vars->keyword;
    values[DOI_MESSAGE_LINK] = vars->link;
    values[DOI_MESSAGE_OWNER] = vars->owner;

    doi_out_init(&o, out);

    doi_template_render(&pages->compiled->langs[lang].messages[message],
                        values, &o);

    doi_out_done(&o, out);

    return o.need;
}
