/*
 * What the files of a set of pages share: pages.c holds the set, pages_files.c
 * and pages_check.c check and compile it, pages_values.c and pages_date.c make
 * the values, pages_render.c puts them in.
 * Nobody else includes this.
 */

#ifndef DOI_PAGES_SET_H
#define DOI_PAGES_SET_H

#include "pages.h"
#include "template.h"

#include <string.h>


#define DOI_FALLBACK_LANG    "en"
#define DOI_MAIL_TEXT        "mail.txt"
#define DOI_MONTHS           12
#define DOI_WEEKDAYS         7
#define DOI_NUMBER_SIZE      16

/* "2026-03-14T10:32:00Z" */
#define DOI_STAMP_SIZE       32

/* A moment in words: the longest slot and zone with room to spare. */
#define DOI_WHEN_SIZE        768

/* "unavailable.html", LANG.txt */
#define DOI_FILE_NAME_SIZE   32


/* What templates may name, and the same as indices of values. */

typedef enum {
    DOI_VAR_LANG = 0,
    DOI_VAR_STATE,
    DOI_VAR_STATUS,
    DOI_VAR_ID,
    DOI_VAR_CONTACT,
    DOI_VAR_OWNER_NAME,
    DOI_VAR_OWNER_EMAIL,
    DOI_VAR_OWNER_PHONE,
    DOI_VAR_OWNER_URL,
    DOI_VAR_RETRY_URL,
    DOI_VAR_RETRY_AFTER,
    DOI_VAR_BOOKED_AT,
    DOI_VAR_BOOKED_YEAR,
    DOI_VAR_BOOKED_MONTH,
    DOI_VAR_BOOKED_DAY,
    DOI_VAR_BOOKED_TIME,
    DOI_VAR_RETRY_MINUTES,
    DOI_VAR_RETRY_HOURS,
    DOI_VAR_SUMMARY,
    DOI_VAR_SLOT,
    DOI_VAR_NAME,
    DOI_VAR_EMAIL,
    DOI_VAR_EXPIRES,
    DOI_VAR_URL,
    DOI_VAR_START_URL,
    DOI_VAR_PROBLEM,
    DOI_VAR_FIELD,
    DOI_VAR_CODE,
    DOI_VAR_TRIES,
    DOI_VAR_GOOD,
    DOI_VAR_WAIT,
    DOI_VAR_STOP,
    DOI_VAR_ASK,
    DOI_VAR_HAS_CODE,
    DOI_VAR_LAST_TRY,
    DOI_VAR_DETAILS,
    DOI_VAR_TO_OWNER,
    DOI_VAR_OPT_IN,
    DOI_VAR_MESSAGE,
    DOI_VAR_STATES,
    DOI_VAR_MAILS = DOI_VAR_STATES + DOI_PAGES,
    DOI_VARS = DOI_VAR_MAILS + DOI_MAILS
} doi_var_t;

extern const char *const  doi_page_vars[DOI_VARS + 1];


/* What the text "when" may name: it puts a moment into words. */

typedef enum {
    DOI_DATE_WEEKDAY = 0,
    DOI_DATE_DAY,
    DOI_DATE_MONTH,
    DOI_DATE_YEAR,
    DOI_DATE_TIME,
    DOI_DATE_ZONE,
    DOI_DATE_VARS
} doi_date_var_t;

extern const char *const  doi_date_vars[DOI_DATE_VARS + 1];


/* What texts of messages may name. */

typedef enum {
    DOI_MESSAGE_KEYWORD = 0,
    DOI_MESSAGE_LINK,
    DOI_MESSAGE_OWNER,
    DOI_MESSAGE_VARS
} doi_message_var_t;

extern const char *const  doi_message_names[DOI_MESSAGE_VARS + 1];

/* "message.prompt", ...: their texts */
extern const char *const  doi_message_keys[DOI_MESSAGES];


/* What can be wrong with a form: names of texts. */

#define DOI_PROBLEMS         10

extern const char *const  doi_problems[DOI_PROBLEMS];


typedef struct {
    const char  *name;
    const char  *status_text;
    unsigned     status;
    doi_var_t    mood;
} doi_page_state_t;

extern const doi_page_state_t  doi_page_states[DOI_PAGES];

/* "mail_confirm", ...: in front of a mail's texts */
extern const char *const  doi_mail_states[DOI_MAILS];


/* The parts of a compiled page; html comes from a file, the others serve
   problem+json.  Likewise of a mail. */

typedef enum {
    DOI_PART_HTML = 0,
    DOI_PART_TITLE,
    DOI_PART_DETAIL,
    DOI_PARTS
} doi_part_t;

typedef enum {
    DOI_MAIL_PART_HTML = 0,
    DOI_MAIL_PART_TEXT,
    DOI_MAIL_PART_SUBJECT,
    DOI_MAIL_PARTS
} doi_mail_part_t;

typedef struct {
    doi_template_t  parts[DOI_PAGES][DOI_PARTS];
    doi_template_t  mails[DOI_MAILS][DOI_MAIL_PARTS];
    doi_template_t  when;
    doi_template_t  messages[DOI_MESSAGES];
    doi_str_t       months[DOI_MONTHS];
    doi_str_t       weekdays[DOI_WEEKDAYS];     /* Monday first */
    doi_str_t       problems[DOI_PROBLEMS];
} doi_compiled_lang_t;

struct doi_compiled_s {
    size_t               nlangs;
    doi_compiled_lang_t  langs[];
};


/* Strings that values point to. */

typedef struct {
    char     retry_after[DOI_NUMBER_SIZE];
    char     retry_time[DOI_NUMBER_SIZE];
    char     booked_at[DOI_STAMP_SIZE];
    char     day[DOI_NUMBER_SIZE];
    char     code[DOI_NUMBER_SIZE];
    char     tries[DOI_NUMBER_SIZE];
    uint8_t  slot[DOI_WHEN_SIZE];
    uint8_t  expires[DOI_WHEN_SIZE];
} doi_scratch_t;

/* The values of a page or a mail: DOI_VARS of them, which point to vars, to
   scratch, and to pages, which is compiled. */
void doi_page_values(const doi_pages_t *pages, doi_page_t page, size_t lang,
    const doi_page_vars_t *vars, doi_scratch_t *scratch, doi_str_t *values);
void doi_mail_values(const doi_pages_t *pages, doi_mail_t mail, size_t lang,
    const doi_page_vars_t *vars, doi_scratch_t *scratch, doi_str_t *values);

/*
 * A moment in the words of a language, in space if it is one: a slot as a form
 * has it (otherwise as it is), or local seconds of a zone.
 */
doi_str_t doi_slot_text(const doi_compiled_lang_t *lang, doi_str_t slot,
    doi_str_t zone, uint8_t space[DOI_WHEN_SIZE]);
doi_str_t doi_time_text(const doi_compiled_lang_t *lang, doi_time_t when,
    doi_str_t zone, uint8_t space[DOI_WHEN_SIZE]);


/* What every file has to be by itself: UTF-8, no zero byte, no markup that the
   Content-Security-Policy forbids.  Computes csp.  DOI_ERROR: err says why. */
int doi_pages_check_files(doi_pages_t *pages, char *err, size_t errsize);

/* "pt-BR.txt" to "pt-br"; 0 if it is not the name of a language's file. */
int doi_pages_tag(const char *name, char *tag);

/* Writes "name:line: what", or without the line if it is 0; DOI_ERROR. */
int doi_pages_refuse(char *err, size_t errsize, const char *name,
    unsigned line, const char *what);


static inline doi_str_t
doi_from_text(const char *text)
{
    doi_str_t  s;

    s.data = (const uint8_t *) text;
    s.len = strlen(text);

    return s;
}

#endif /* DOI_PAGES_SET_H */
