/*
 * The values that pages and mails may name.
 */

#include "pages_set.h"

#include <stdio.h>
#include <time.h>


#define DOI_MINUTE           60
#define DOI_HOUR             3600


static void doi_common_values(const doi_pages_t *pages, size_t lang,
    const doi_page_vars_t *vars, doi_scratch_t *scratch, doi_str_t *values);
static void doi_ask_values(doi_page_t page, const doi_page_vars_t *vars,
    doi_scratch_t *scratch, doi_str_t *values);
static void doi_retry_values(unsigned seconds, doi_scratch_t *scratch,
    doi_str_t *values);
static void doi_booked_values(const doi_compiled_lang_t *lang,
    doi_time_t booked, doi_scratch_t *scratch, doi_str_t *values);
static doi_str_t doi_problem_text(const doi_compiled_lang_t *lang,
    doi_str_t problem);


const char *const  doi_page_vars[DOI_VARS + 1] = {
    [DOI_VAR_LANG]           = "lang",
    [DOI_VAR_STATE]          = "state",
    [DOI_VAR_STATUS]         = "status",
    [DOI_VAR_ID]             = "id",
    [DOI_VAR_CONTACT]        = "contact",
    [DOI_VAR_OWNER_NAME]     = "owner.name",
    [DOI_VAR_OWNER_EMAIL]    = "owner.email",
    [DOI_VAR_OWNER_PHONE]    = "owner.phone",
    [DOI_VAR_OWNER_URL]      = "owner.url",
    [DOI_VAR_RETRY_URL]      = "retry.url",
    [DOI_VAR_RETRY_AFTER]    = "retry.after",
    [DOI_VAR_BOOKED_AT]      = "booked.at",
    [DOI_VAR_BOOKED_YEAR]    = "booked.year",
    [DOI_VAR_BOOKED_MONTH]   = "booked.month",
    [DOI_VAR_BOOKED_DAY]     = "booked.day",
    [DOI_VAR_BOOKED_TIME]    = "booked.time",
    [DOI_VAR_RETRY_MINUTES]  = "retry.minutes",
    [DOI_VAR_RETRY_HOURS]    = "retry.hours",
    [DOI_VAR_SUMMARY]        = "summary",
    [DOI_VAR_SLOT]           = "slot",
    [DOI_VAR_NAME]           = "name",
    [DOI_VAR_EMAIL]          = "email",
    [DOI_VAR_EXPIRES]        = "expires",
    [DOI_VAR_URL]            = "url",
    [DOI_VAR_START_URL]      = "start.url",
    [DOI_VAR_PROBLEM]        = "problem",
    [DOI_VAR_FIELD]          = "field",
    [DOI_VAR_CODE]           = "code",
    [DOI_VAR_TRIES]          = "tries",
    [DOI_VAR_GOOD]           = "is.good",
    [DOI_VAR_WAIT]           = "is.wait",
    [DOI_VAR_STOP]           = "is.stop",
    [DOI_VAR_ASK]            = "is.ask",
    [DOI_VAR_HAS_CODE]       = "is.code",
    [DOI_VAR_LAST_TRY]       = "is.last_try",
    [DOI_VAR_DETAILS]        = "details",
    [DOI_VAR_TO_OWNER]       = "to.owner",
    [DOI_VAR_OPT_IN]         = "is.opt_in",
    [DOI_VAR_MESSAGE]        = "message",

    [DOI_VAR_STATES + DOI_PAGE_INVALID]       = "is.invalid",
    [DOI_VAR_STATES + DOI_PAGE_EXPIRED]       = "is.expired",
    [DOI_VAR_STATES + DOI_PAGE_USED]          = "is.used",
    [DOI_VAR_STATES + DOI_PAGE_CONFIRMED]     = "is.confirmed",
    [DOI_VAR_STATES + DOI_PAGE_CLAIMED]       = "is.claimed",
    [DOI_VAR_STATES + DOI_PAGE_PENDING]       = "is.pending",
    [DOI_VAR_STATES + DOI_PAGE_IN_DOUBT]      = "is.in_doubt",
    [DOI_VAR_STATES + DOI_PAGE_REVOKED]       = "is.revoked",
    [DOI_VAR_STATES + DOI_PAGE_UNAVAILABLE]   = "is.unavailable",
    [DOI_VAR_STATES + DOI_PAGE_METHOD]        = "is.method",
    [DOI_VAR_STATES + DOI_PAGE_FORBIDDEN]     = "is.forbidden",
    [DOI_VAR_STATES + DOI_PAGE_CHECK_MAIL]    = "is.check_mail",
    [DOI_VAR_STATES + DOI_PAGE_CONFIRM]       = "is.confirm",
    [DOI_VAR_STATES + DOI_PAGE_WRONG_CODE]    = "is.wrong_code",
    [DOI_VAR_STATES + DOI_PAGE_BOOKED]        = "is.booked",
    [DOI_VAR_STATES + DOI_PAGE_CANCELLED]     = "is.cancelled",
    [DOI_VAR_STATES + DOI_PAGE_WITHDRAWN]     = "is.withdrawn",
    [DOI_VAR_STATES + DOI_PAGE_REFUSED]       = "is.refused",
    [DOI_VAR_STATES + DOI_PAGE_LAPSED]        = "is.lapsed",
    [DOI_VAR_STATES + DOI_PAGE_TAKEN]         = "is.taken",
    [DOI_VAR_STATES + DOI_PAGE_LIMITED]       = "is.limited",
    [DOI_VAR_STATES + DOI_PAGE_FORM]          = "is.form",
    [DOI_VAR_STATES + DOI_PAGE_LARGE]         = "is.large",
    [DOI_VAR_STATES + DOI_PAGE_TYPE]          = "is.type",
    [DOI_VAR_STATES + DOI_PAGE_SUBSCRIBE_CHECK]  = "is.subscribe_check",
    [DOI_VAR_STATES + DOI_PAGE_SUBSCRIBED]    = "is.subscribed",
    [DOI_VAR_STATES + DOI_PAGE_OPT_CONFIRM]   = "is.opt_confirm",
    [DOI_VAR_STATES + DOI_PAGE_UNSUBSCRIBE]   = "is.unsubscribe",
    [DOI_VAR_STATES + DOI_PAGE_OPTED_OUT]     = "is.opted_out",

    [DOI_VAR_MAILS + DOI_MAIL_CONFIRM]           = "is.mail_confirm",
    [DOI_VAR_MAILS + DOI_MAIL_REMIND]            = "is.mail_remind",
    [DOI_VAR_MAILS + DOI_MAIL_BOOKED]            = "is.mail_booked",
    [DOI_VAR_MAILS + DOI_MAIL_CANCELLED]         = "is.mail_cancelled",
    [DOI_VAR_MAILS + DOI_MAIL_OWNER]             = "is.mail_owner",
    [DOI_VAR_MAILS + DOI_MAIL_OWNER_CANCELLED]   = "is.mail_owner_cancelled",
    [DOI_VAR_MAILS + DOI_MAIL_OWNER_DOUBT]       = "is.mail_owner_doubt",
    [DOI_VAR_MAILS + DOI_MAIL_OPT_IN]            = "is.mail_opt_in",
    [DOI_VAR_MAILS + DOI_MAIL_OPT_IN_REMIND]     = "is.mail_opt_in_remind",
    [DOI_VAR_MAILS + DOI_MAIL_SUBSCRIBED]        = "is.mail_subscribed",
    [DOI_VAR_MAILS + DOI_MAIL_OPTED_OUT]         = "is.mail_opted_out",

    [DOI_VARS] = NULL
};


const char *const  doi_problems[DOI_PROBLEMS] = {
    "problem.missing",
    "problem.twice",
    "problem.text",
    "problem.long",
    "problem.email",
    "problem.number",
    "problem.emails",
    "problem.slot",
    "problem.broken",
    "problem.zone"
};


/* What is not empty is there. */

static const doi_str_t  doi_yes = doi_str("1");


void
doi_page_values(const doi_pages_t *pages, doi_page_t page, size_t lang,
    const doi_page_vars_t *vars, doi_scratch_t *scratch, doi_str_t *values)
{
    const doi_page_state_t     *state;
    const doi_compiled_lang_t  *compiled;

    state = &doi_page_states[page];
    compiled = &pages->compiled->langs[lang];

    doi_common_values(pages, lang, vars, scratch, values);

    values[DOI_VAR_STATE] = doi_from_text(state->name);
    values[DOI_VAR_STATUS] = doi_from_text(state->status_text);
    values[DOI_VAR_RETRY_URL] = vars->retry_url;

    values[state->mood] = doi_yes;
    values[DOI_VAR_STATES + page] = doi_yes;

    doi_retry_values(vars->retry_after, scratch, values);

    if (page == DOI_PAGE_OPT_CONFIRM || page == DOI_PAGE_UNSUBSCRIBE) {
        values[DOI_VAR_ASK] = doi_yes;
    }

    if (page == DOI_PAGE_CONFIRM || page == DOI_PAGE_WRONG_CODE) {
        doi_ask_values(page, vars, scratch, values);
    }

    /* elsewhere the details are no help, and nobody's business */

    if (page != DOI_PAGE_CHECK_MAIL && page != DOI_PAGE_CONFIRM
        && page != DOI_PAGE_WRONG_CODE && page != DOI_PAGE_BOOKED)
    {
        values[DOI_VAR_DETAILS].len = 0;
    }

    /* its text has the address, and the list is without it */

    if (page == DOI_PAGE_CHECK_MAIL && vars->summary.len == 0
        && vars->slot.len == 0)
    {
        values[DOI_VAR_DETAILS].len = 0;
    }

    if (page == DOI_PAGE_FORM) {
        values[DOI_VAR_PROBLEM] = doi_problem_text(compiled, vars->problem);
        values[DOI_VAR_FIELD] = vars->field;
    }

    if (page == DOI_PAGE_CONFIRMED) {
        doi_booked_values(compiled, vars->when, scratch, values);
    }
}


void
doi_mail_values(const doi_pages_t *pages, doi_mail_t mail, size_t lang,
    const doi_page_vars_t *vars, doi_scratch_t *scratch, doi_str_t *values)
{
    doi_common_values(pages, lang, vars, scratch, values);

    values[DOI_VAR_STATE] = doi_from_text(doi_mail_states[mail]);
    values[DOI_VAR_URL] = vars->url;
    values[DOI_VAR_MAILS + mail] = doi_yes;

    if (mail == DOI_MAIL_OWNER || mail == DOI_MAIL_OWNER_CANCELLED
        || mail == DOI_MAIL_OWNER_DOUBT)
    {
        values[DOI_VAR_TO_OWNER] = doi_yes;
    }

    if (vars->code != UINT32_MAX
        && (mail == DOI_MAIL_CONFIRM || mail == DOI_MAIL_REMIND))
    {
        (void) snprintf(scratch->code, DOI_NUMBER_SIZE, "%06u",
                        (unsigned) vars->code);
        values[DOI_VAR_CODE] = doi_from_text(scratch->code);
        values[DOI_VAR_HAS_CODE] = doi_yes;
    }
}


static void
doi_common_values(const doi_pages_t *pages, size_t lang,
    const doi_page_vars_t *vars, doi_scratch_t *scratch, doi_str_t *values)
{
    const doi_compiled_lang_t  *compiled;

    compiled = &pages->compiled->langs[lang];

    memset(values, 0, DOI_VARS * sizeof(doi_str_t));

    values[DOI_VAR_LANG] = doi_from_text(pages->langs[lang].tag);
    values[DOI_VAR_ID] = vars->id;
    values[DOI_VAR_OWNER_NAME] = vars->owner_name;
    values[DOI_VAR_OWNER_EMAIL] = vars->owner_email;
    values[DOI_VAR_OWNER_PHONE] = vars->owner_phone;
    values[DOI_VAR_OWNER_URL] = vars->owner_url;
    values[DOI_VAR_START_URL] = vars->start_url;
    values[DOI_VAR_SUMMARY] = vars->summary;
    values[DOI_VAR_NAME] = vars->name;
    values[DOI_VAR_EMAIL] = vars->email;
    values[DOI_VAR_MESSAGE] = vars->message;
    values[DOI_VAR_SLOT] = doi_slot_text(compiled, vars->slot, vars->zone,
                                         scratch->slot);
    values[DOI_VAR_EXPIRES] = doi_time_text(compiled, vars->expires,
                                            vars->expires_zone,
                                            scratch->expires);

    if (vars->opt_in) {
        values[DOI_VAR_OPT_IN] = doi_yes;
    }

    if (vars->owner_name.len || vars->owner_email.len || vars->owner_phone.len
        || vars->owner_url.len)
    {
        values[DOI_VAR_CONTACT] = doi_yes;
    }

    if (vars->summary.len || vars->slot.len || vars->name.len
        || vars->email.len)
    {
        values[DOI_VAR_DETAILS] = doi_yes;
    }
}


/* A page never shows the code: who is asked for it is to have the mail. */

static void
doi_ask_values(doi_page_t page, const doi_page_vars_t *vars,
    doi_scratch_t *scratch, doi_str_t *values)
{
    values[DOI_VAR_ASK] = doi_yes;

    if (page == DOI_PAGE_WRONG_CODE) {

        /* the way out of it is to type another */
        values[DOI_VAR_HAS_CODE] = doi_yes;

        if (vars->tries) {
            (void) snprintf(scratch->tries, DOI_NUMBER_SIZE, "%u",
                            vars->tries);
            values[DOI_VAR_TRIES] = doi_from_text(scratch->tries);
        }

        if (vars->tries == 1) {
            values[DOI_VAR_LAST_TRY] = doi_yes;
        }

    } else if (vars->code != UINT32_MAX) {
        values[DOI_VAR_HAS_CODE] = doi_yes;
    }
}


/* "in 15 minutes", "in 20 hours": rounded up, so that nobody comes too early;
   neither is set where "in a minute" will do. */

static void
doi_retry_values(unsigned seconds, doi_scratch_t *scratch, doi_str_t *values)
{
    doi_var_t  var;
    unsigned   unit;

    if (seconds == 0) {
        return;
    }

    (void) snprintf(scratch->retry_after, DOI_NUMBER_SIZE, "%u", seconds);
    values[DOI_VAR_RETRY_AFTER] = doi_from_text(scratch->retry_after);

    if (seconds <= DOI_MINUTE) {
        return;
    }

    var = DOI_VAR_RETRY_MINUTES;
    unit = DOI_MINUTE;

    if (seconds > 2 * DOI_HOUR) {
        var = DOI_VAR_RETRY_HOURS;
        unit = DOI_HOUR;
    }

    (void) snprintf(scratch->retry_time, DOI_NUMBER_SIZE, "%u",
                    seconds / unit + (seconds % unit != 0));
    values[var] = doi_from_text(scratch->retry_time);
}


static void
doi_booked_values(const doi_compiled_lang_t *lang, doi_time_t booked,
    doi_scratch_t *scratch, doi_str_t *values)
{
    time_t     when;
    struct tm  tm;

    when = (time_t) booked;

    if (booked == 0 || gmtime_r(&when, &tm) == NULL
        || strftime(scratch->booked_at, DOI_STAMP_SIZE, "%Y-%m-%dT%H:%M:%SZ",
                    &tm) == 0)
    {
        return;
    }

    (void) snprintf(scratch->day, DOI_NUMBER_SIZE, "%d", tm.tm_mday);

    values[DOI_VAR_BOOKED_AT] = doi_from_text(scratch->booked_at);
    values[DOI_VAR_BOOKED_DAY] = doi_from_text(scratch->day);
    values[DOI_VAR_BOOKED_MONTH] = lang->months[tm.tm_mon];

    /* "2026" and "10:32" are parts of the whole: the format ends in 2106 */

    values[DOI_VAR_BOOKED_YEAR].data = (uint8_t *) scratch->booked_at;
    values[DOI_VAR_BOOKED_YEAR].len = 4;
    values[DOI_VAR_BOOKED_TIME].data = (uint8_t *) scratch->booked_at + 11;
    values[DOI_VAR_BOOKED_TIME].len = 5;
}


/* Empty if it is not known: the page then says no more than that. */

static doi_str_t
doi_problem_text(const doi_compiled_lang_t *lang, doi_str_t problem)
{
    size_t     i;
    doi_str_t  none = { NULL, 0 };

    for (i = 0; i < DOI_PROBLEMS; i++) {
        if (problem.len == strlen(doi_problems[i])
            && memcmp(problem.data, doi_problems[i], problem.len) == 0)
        {
            return lang->problems[i];
        }
    }

    return none;
}
