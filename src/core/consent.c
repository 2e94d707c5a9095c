/*
 * The consent of one contact to one list: names, the step of the state machine,
 * and the gate.  See consent.h, whose table this one is.
 */

#include <string.h>

#include "consent.h"


/* What a cell of the table does. */

typedef enum {
    DOI_DO_NOTHING = 0,
    DOI_DO_SINGLE,              /* become single                             */
    DOI_DO_OVERRIDE,            /* become single, by an operator             */
    DOI_DO_PENDING,             /* become pending, with a prompt             */
    DOI_DO_DOUBLE,              /* become double                             */
    DOI_DO_OUT,                 /* become opted_out                          */
    DOI_DO_REMIND,              /* reminder, if it is due                    */
    DOI_DO_PROMPT,              /* prompt; reminder if one is outstanding    */
    DOI_DO_IF_DOUBLE,           /* as DOUBLE, if a prompt is outstanding     */
    DOI_DO_IF_REMIND,           /* as REMIND, if a prompt is outstanding     */
    DOI_DO_AGAIN                /* say once more that all is well            */
} doi_consent_do_t;

typedef enum {
    DOI_COLUMN_SINGLE = 0,      /* SUBSCRIBE                                 */
    DOI_COLUMN_DOUBLE,
    DOI_COLUMN_CONFIRM,
    DOI_COLUMN_STOP,            /* and REVOKE                                */
    DOI_COLUMN_OVERRIDE,
    DOI_COLUMN_OTHER,
    DOI_COLUMNS
} doi_consent_column_t;


static int doi_name_find(const char *const *names, unsigned n,
    doi_str_t name);
static int doi_consent_column(unsigned event, unsigned level);
static int doi_consent_refuses(const doi_consent_t *consent, unsigned event,
    unsigned source);
static void doi_consent_become(doi_consent_t *consent, unsigned state,
    doi_time_t now, doi_consent_effect_t *effect);
static void doi_consent_prompt(doi_consent_t *consent, doi_time_t now,
    doi_consent_effect_t *effect);
static void doi_consent_remind(doi_consent_t *consent, unsigned source,
    doi_time_t now, doi_consent_effect_t *effect);
static unsigned doi_consent_rank(unsigned state);


static const uint8_t  doi_consent_table[DOI_CONSENT_STATES][DOI_COLUMNS] = {

    [DOI_CONSENT_NONE] = {
        [DOI_COLUMN_SINGLE] = DOI_DO_SINGLE,
        [DOI_COLUMN_DOUBLE] = DOI_DO_PENDING,
        [DOI_COLUMN_STOP] = DOI_DO_OUT,
        [DOI_COLUMN_OVERRIDE] = DOI_DO_OVERRIDE
    },

    [DOI_CONSENT_PENDING] = {
        [DOI_COLUMN_SINGLE] = DOI_DO_SINGLE,
        [DOI_COLUMN_DOUBLE] = DOI_DO_REMIND,
        [DOI_COLUMN_CONFIRM] = DOI_DO_DOUBLE,
        [DOI_COLUMN_STOP] = DOI_DO_OUT,
        [DOI_COLUMN_OVERRIDE] = DOI_DO_OVERRIDE,
        [DOI_COLUMN_OTHER] = DOI_DO_REMIND
    },

    [DOI_CONSENT_SINGLE] = {
        [DOI_COLUMN_SINGLE] = DOI_DO_AGAIN,
        [DOI_COLUMN_DOUBLE] = DOI_DO_PROMPT,
        [DOI_COLUMN_CONFIRM] = DOI_DO_IF_DOUBLE,
        [DOI_COLUMN_STOP] = DOI_DO_OUT,
        [DOI_COLUMN_OTHER] = DOI_DO_IF_REMIND
    },

    [DOI_CONSENT_DOUBLE] = {
        [DOI_COLUMN_SINGLE] = DOI_DO_AGAIN,
        [DOI_COLUMN_DOUBLE] = DOI_DO_AGAIN,
        [DOI_COLUMN_STOP] = DOI_DO_OUT
    },

    [DOI_CONSENT_OPTED_OUT] = {
        [DOI_COLUMN_SINGLE] = DOI_DO_SINGLE,
        [DOI_COLUMN_DOUBLE] = DOI_DO_PENDING,
        [DOI_COLUMN_OVERRIDE] = DOI_DO_OVERRIDE
    }
};


static const char *const  doi_channel_names[DOI_CHANNELS] = {
    "email", "sms", "whatsapp"
};

static const char *const  doi_consent_names[DOI_CONSENT_STATES] = {
    "none", "pending", "single", "double", "opted_out"
};

static const char *const  doi_event_names[DOI_CONSENT_EVENTS] = {
    "subscribe", "confirm", "stop", "revoke", "override", "other", "help"
};

static const char *const  doi_source_names[DOI_SOURCES] = {
    "web", "keyword", "agent", "ivr", "import", "api", "provider", "sync"
};

static const char *const  doi_reply_names[DOI_REPLIES] = {
    "none", "prompt", "reminder", "confirmed", "opted_out", "help"
};


const char *
doi_channel_name(unsigned channel)
{
    return channel < DOI_CHANNELS ? doi_channel_names[channel] : NULL;
}


const char *
doi_consent_name(unsigned state)
{
    return state < DOI_CONSENT_STATES ? doi_consent_names[state] : NULL;
}


const char *
doi_consent_event_name(unsigned event)
{
    return event < DOI_CONSENT_EVENTS ? doi_event_names[event] : NULL;
}


const char *
doi_source_name(unsigned source)
{
    return source < DOI_SOURCES ? doi_source_names[source] : NULL;
}


const char *
doi_reply_name(unsigned reply)
{
    return reply < DOI_REPLIES ? doi_reply_names[reply] : NULL;
}


int
doi_channel_by_name(doi_str_t name)
{
    return doi_name_find(doi_channel_names, DOI_CHANNELS, name);
}


int
doi_consent_by_name(doi_str_t name)
{
    return doi_name_find(doi_consent_names, DOI_CONSENT_STATES, name);
}


int
doi_consent_event_by_name(doi_str_t name)
{
    return doi_name_find(doi_event_names, DOI_CONSENT_EVENTS, name);
}


int
doi_source_by_name(doi_str_t name)
{
    return doi_name_find(doi_source_names, DOI_SOURCES, name);
}


static int
doi_name_find(const char *const *names, unsigned n, doi_str_t name)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        if (name.len == strlen(names[i])
            && memcmp(name.data, names[i], name.len) == 0)
        {
            return (int) i;
        }
    }

    return -1;
}


void
doi_consent_step(doi_consent_t *consent, unsigned event, unsigned source,
    unsigned level, doi_time_t now, doi_consent_effect_t *effect)
{
    int  column;

    memset(effect, 0, sizeof(doi_consent_effect_t));

    if (event == DOI_CONSENT_HELP) {
        effect->reply = DOI_REPLY_HELP;
        return;
    }

    /* Anybody can fill in a form: it takes an opt-out back only when confirmed. */

    if (source == DOI_SOURCE_WEB && (consent->state == DOI_CONSENT_OPTED_OUT
                                     || consent->state == DOI_CONSENT_PENDING))
    {
        level = DOI_CONSENT_DOUBLE;
    }

    column = doi_consent_column(event, level);

    if (column < 0 || consent->state >= DOI_CONSENT_STATES
        || doi_consent_refuses(consent, event, source))
    {
        effect->refused = 1;
        return;
    }

    switch (doi_consent_table[consent->state][column]) {

    case DOI_DO_SINGLE:
        doi_consent_become(consent, DOI_CONSENT_SINGLE, now, effect);
        effect->reply = DOI_REPLY_CONFIRMED;
        break;

    case DOI_DO_OVERRIDE:
        doi_consent_become(consent, DOI_CONSENT_SINGLE, now, effect);
        consent->overridden = 1;
        break;

    case DOI_DO_PENDING:
        doi_consent_become(consent, DOI_CONSENT_PENDING, now, effect);
        doi_consent_prompt(consent, now, effect);
        break;

    case DOI_DO_IF_DOUBLE:

        if (!consent->prompted) {
            break;
        }

        /* fall through */

    case DOI_DO_DOUBLE:
        doi_consent_become(consent, DOI_CONSENT_DOUBLE, now, effect);
        effect->reply = DOI_REPLY_CONFIRMED;
        break;

    case DOI_DO_OUT:
        doi_consent_become(consent, DOI_CONSENT_OPTED_OUT, now, effect);
        effect->reply = event == DOI_CONSENT_STOP ? DOI_REPLY_OPTED_OUT
                                                  : DOI_REPLY_NONE;
        break;

    case DOI_DO_PROMPT:

        if (consent->prompted) {
            doi_consent_remind(consent, source, now, effect);

        } else {
            doi_consent_prompt(consent, now, effect);
        }

        break;

    case DOI_DO_IF_REMIND:

        if (!consent->prompted) {
            break;
        }

        /* fall through */

    case DOI_DO_REMIND:
        doi_consent_remind(consent, source, now, effect);
        break;

    case DOI_DO_AGAIN:
        effect->reply = DOI_REPLY_CONFIRMED;
        break;

    default: /* DOI_DO_NOTHING */
        break;
    }
}


static int
doi_consent_column(unsigned event, unsigned level)
{
    switch (event) {

    case DOI_CONSENT_SUBSCRIBE:
        return level == DOI_CONSENT_SINGLE ? DOI_COLUMN_SINGLE
                                           : DOI_COLUMN_DOUBLE;

    case DOI_CONSENT_CONFIRM:
        return DOI_COLUMN_CONFIRM;

    case DOI_CONSENT_STOP:
    case DOI_CONSENT_REVOKE:
        return DOI_COLUMN_STOP;

    case DOI_CONSENT_OVERRIDE:
        return DOI_COLUMN_OVERRIDE;

    case DOI_CONSENT_OTHER:
        return DOI_COLUMN_OTHER;

    default:
        return -1;
    }
}


static int
doi_consent_refuses(const doi_consent_t *consent, unsigned event,
    unsigned source)
{
    switch (event) {

    case DOI_CONSENT_SUBSCRIBE:
        return consent->state == DOI_CONSENT_OPTED_OUT
               && !doi_source_own(source);

    case DOI_CONSENT_OVERRIDE:

        /* Somebody has to answer for it: a file or another system cannot. */

        return source == DOI_SOURCE_IMPORT || source == DOI_SOURCE_PROVIDER
               || source == DOI_SOURCE_SYNC;

    default:
        return 0;
    }
}


int
doi_source_own(unsigned source)
{
    return source == DOI_SOURCE_WEB || source == DOI_SOURCE_KEYWORD
           || source == DOI_SOURCE_IVR;
}


static void
doi_consent_become(doi_consent_t *consent, unsigned state, doi_time_t now,
    doi_consent_effect_t *effect)
{
    effect->changed = consent->state != state;

    consent->state = (uint8_t) state;
    consent->since = now;
    consent->prompted = 0;
    consent->reminders = 0;
    consent->overridden = 0;
    consent->asked = 0;

    if (state != DOI_CONSENT_SINGLE && state != DOI_CONSENT_DOUBLE) {
        consent->opted_in = 0;

    } else if (consent->opted_in == 0) {
        consent->opted_in = now;
    }
}


static void
doi_consent_prompt(doi_consent_t *consent, doi_time_t now,
    doi_consent_effect_t *effect)
{
    consent->prompted = 1;
    consent->reminders = 0;
    consent->asked = now;
    effect->reply = DOI_REPLY_PROMPT;
}


static void
doi_consent_remind(doi_consent_t *consent, unsigned source, doi_time_t now,
    doi_consent_effect_t *effect)
{
    if (!consent->prompted) {
        doi_consent_prompt(consent, now, effect);
        return;
    }

    if (!doi_source_own(source) || consent->reminders >= DOI_REMINDERS_MAX
        || now < consent->asked || now - consent->asked < DOI_REMIND_EVERY)
    {
        return;
    }

    consent->reminders++;
    consent->asked = now;
    effect->reply = DOI_REPLY_REMINDER;
}


int
doi_consent_late(const doi_consent_t *consent, unsigned event, doi_time_t at)
{
    if (at == 0 || at >= consent->since) {
        return 0;
    }

    return (event == DOI_CONSENT_SUBSCRIBE
            && consent->state == DOI_CONSENT_OPTED_OUT)
           || (event == DOI_CONSENT_CONFIRM
               && consent->state == DOI_CONSENT_PENDING);
}


void
doi_consent_import(doi_consent_t *consent, int known, unsigned state,
    doi_time_t when, doi_consent_effect_t *effect)
{
    memset(effect, 0, sizeof(doi_consent_effect_t));

    if (consent->state >= DOI_CONSENT_STATES || state >= DOI_CONSENT_STATES) {
        effect->refused = 1;
        return;
    }

    if (known
        && doi_consent_rank(state) >= doi_consent_rank(consent->state))
    {
        return;
    }

    doi_consent_become(consent, state, when, effect);
}


static unsigned
doi_consent_rank(unsigned state)
{
    return state == DOI_CONSENT_OPTED_OUT ? 0 : state + 1;
}


int
doi_consent_allows(const doi_consent_t *consent, unsigned level,
    doi_time_t since, unsigned *reason)
{
    *reason = consent->state;

    switch (consent->state) {

    case DOI_CONSENT_DOUBLE:
        return 1;

    case DOI_CONSENT_SINGLE:
        return level == DOI_CONSENT_SINGLE
               || consent->overridden
               || (since != 0 && consent->opted_in != 0
                   && consent->opted_in < since);

    case DOI_CONSENT_NONE:
    case DOI_CONSENT_PENDING:
    case DOI_CONSENT_OPTED_OUT:
        return 0;

    default:
        *reason = DOI_CONSENT_NONE;
        return 0;
    }
}
