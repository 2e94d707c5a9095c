/*
 * The pages that visitors see: HTML and problem+json (RFC 9457), in the
 * visitor's language, from templates that are files of the tree (pages/) and
 * can be overridden by an operator's directory (doi_templates).
 *
 * A set of pages is:
 *
 *   page.html     the frame of every page, a template
 *   style.css     put into the frame; its SHA-256 goes into the
 *                 Content-Security-Policy
 *   LANG.txt      texts of a language: lines "key = text", '#' comments
 *   STATE.html    optional frame for one state (used.html), in place of
 *                 page.html
 *   mail.html     the frame of every mail as HTML, a template
 *   mail.txt      likewise as plain text: nothing is escaped in it
 *
 * The language of the templates is in template.h, that of the operator's side
 * in docs/templates.md.
 */

#ifndef DOI_PAGES_H
#define DOI_PAGES_H

#include "doi.h"


/* docs/directives.md lists them for authors of templates. */

typedef enum {
    DOI_PAGE_INVALID = 0,   /* 403 malformed, forged, wrong scope or purpose  */
    DOI_PAGE_EXPIRED,       /* 410                                            */
    DOI_PAGE_USED,          /* 410 by somebody else: contact the owner        */
    DOI_PAGE_CONFIRMED,     /* 200 used by this same browser                  */
    DOI_PAGE_CLAIMED,       /* 409 another visitor is booking right now       */
    DOI_PAGE_PENDING,       /* 409 this same browser's booking is under way   */
    DOI_PAGE_IN_DOUBT,      /* 409                                            */
    DOI_PAGE_REVOKED,       /* 410                                            */
    DOI_PAGE_UNAVAILABLE,   /* 503                                            */
    DOI_PAGE_METHOD,        /* 405 only GET, HEAD, OPTIONS and POST           */
    DOI_PAGE_FORBIDDEN,     /* 403 form sent from another site                */

    /* bookings with double opt-in */
    DOI_PAGE_CHECK_MAIL,    /* 202 held; a mail is on its way                 */
    DOI_PAGE_CONFIRM,       /* 200 the booking, and the buttons               */
    DOI_PAGE_WRONG_CODE,    /* 422 the same, with what was wrong              */
    DOI_PAGE_BOOKED,        /* 200 confirmed, with the booking                */
    DOI_PAGE_CANCELLED,     /* 200 "it wasn't me" was pressed                 */
    DOI_PAGE_WITHDRAWN,     /* 410 the booking was cancelled before           */
    DOI_PAGE_REFUSED,       /* 409 the app said no: slot not to be had        */
    DOI_PAGE_LAPSED,        /* 410 not confirmed in time; start again         */
    DOI_PAGE_TAKEN,         /* 409 slot is taken or being confirmed           */
    DOI_PAGE_LIMITED,       /* 429 too many mails or holds                    */
    DOI_PAGE_FORM,          /* 422 the form cannot be used: problem           */
    DOI_PAGE_LARGE,         /* 413 the form is too large                      */
    DOI_PAGE_TYPE,          /* 415 neither a form nor JSON                    */

    /* consent */
    DOI_PAGE_SUBSCRIBE_CHECK,   /* 202 a mail or message is on its way,
                                   perhaps                                   */
    DOI_PAGE_SUBSCRIBED,    /* 200 opted in, or confirmed                     */
    DOI_PAGE_OPT_CONFIRM,   /* 200 "confirm your subscription", and buttons   */
    DOI_PAGE_UNSUBSCRIBE,   /* 200 "unsubscribe?", and a button               */
    DOI_PAGE_OPTED_OUT,     /* 200 done                                       */
    DOI_PAGES
} doi_page_t;


/* Mails, of the same set.  Each has a subject, a text and an HTML version. */

typedef enum {
    DOI_MAIL_CONFIRM = 0,   /* visitor: please confirm                        */
    DOI_MAIL_REMIND,        /* visitor: the same, before the hold ends        */
    DOI_MAIL_BOOKED,        /* visitor: confirmed                             */
    DOI_MAIL_CANCELLED,     /* visitor: a confirmed booking was cancelled     */
    DOI_MAIL_OWNER,         /* owner: new booking                             */
    DOI_MAIL_OWNER_CANCELLED,
    DOI_MAIL_OWNER_DOUBT,   /* owner: outcome not known, please look          */
    DOI_MAIL_OPT_IN,        /* contact: please confirm your subscription      */
    DOI_MAIL_OPT_IN_REMIND, /* contact: the same, once more                   */
    DOI_MAIL_SUBSCRIBED,    /* contact: subscribed                            */
    DOI_MAIL_OPTED_OUT,     /* contact: unsubscribed                          */
    DOI_MAILS
} doi_mail_t;

/* "confirm", "remind", "booked", "cancelled", "owner", "owner_cancelled",
   "owner_doubt", "opt_in", "opt_in_remind", "subscribed", "opted_out" */
const char *doi_mail_name(doi_mail_t mail);

unsigned doi_page_status(doi_page_t page);

/* "invalid", "expired", "used", "confirmed", "claimed", "pending",
   "in_doubt", "revoked", "unavailable", "method", "forbidden", "check_mail",
   "confirm", "wrong_code", "booked", "cancelled", "withdrawn", "refused",
   "lapsed", "taken", "limited", "form", "large", "type", "subscribe_check",
   "subscribed", "opt_confirm", "unsubscribe", "opted_out" */
const char *doi_page_name(doi_page_t page);


#define DOI_LANGS_MAX       32
#define DOI_LANG_SIZE       16          /* with the terminating zero */
#define DOI_CSP_SIZE        256         /* with the terminating zero */

typedef struct {
    char       tag[DOI_LANG_SIZE];      /* lower case: "en", "pt-br" */
    doi_str_t  texts;
} doi_lang_t;

typedef struct {
    doi_str_t   frame;
    doi_str_t   style;
    doi_str_t   state[DOI_PAGES];       /* empty: the frame */
    doi_str_t   mail_html;
    doi_str_t   mail_text;
    doi_lang_t  langs[DOI_LANGS_MAX];   /* the first is the default */
    size_t      nlangs;
    char        csp[DOI_CSP_SIZE];      /* filled by doi_pages_check */

    struct doi_compiled_s  *compiled;   /* from malloc, by doi_pages_check */
} doi_pages_t;


/* Fills pages with the built-in set; strings point to static memory.  Not for
   a set that has been checked and not freed. */
void doi_pages_builtin(doi_pages_t *pages);

/*
 * Puts one file of an operator's directory over the set: "page.html",
 * "style.css", "used.html", "fr.txt".  A LANG.txt replaces or adds the
 * language; keys that it lacks come from the built-in texts of that language,
 * then from the default one.  content must outlive pages.
 * DOI_NOT_FOUND: not a name that is known.  DOI_ERROR: err says why.
 */
int doi_pages_override(doi_pages_t *pages, const char *name, doi_str_t content,
    char *err, size_t errsize);

/*
 * Checks syntax, names of variables, UTF-8; computes csp; compiles the pages,
 * which nothing can be rendered without.  DOI_ERROR: err says what is wrong,
 * with the file and the line.  Later calls of doi_pages_override() undo it.
 *
 * A checked set owns memory from malloc: it is not to be copied, and is given
 * back by doi_pages_free(), which may be called at any time, on any set, twice.
 */
int doi_pages_check(doi_pages_t *pages, char *err, size_t errsize);
void doi_pages_free(doi_pages_t *pages);

/* The language (index into langs) for an Accept-Language value (RFC 9110,
   12.5.4; may be empty). */
size_t doi_pages_lang(const doi_pages_t *pages, doi_str_t accept_language);

/*
 * 1 if this Accept value (RFC 9110, 12.5.1) prefers problem+json or json over
 * HTML.  Empty and wildcards mean HTML; with equal q-values so does text/html,
 * but a JSON type that is named beats an HTML that only a wildcard covers, as
 * in "application/json, text/plain" and then a wildcard.
 */
int doi_accepts_json(doi_str_t accept);


/* What a page may say; empty strings are absent.  Any bytes: escaped for where
   they stand; bytes that are not UTF-8 become U+FFFD. */

typedef struct {
    doi_str_t  owner_name;
    doi_str_t  owner_email;
    doi_str_t  owner_phone;
    doi_str_t  owner_url;       /* a link only if http:, https: or a /path */
    doi_str_t  id;              /* of the token, if it is genuine */
    doi_str_t  retry_url;       /* path to open again, or empty */
    doi_time_t when;            /* CONFIRMED: time of the booking, or 0 */
    unsigned   retry_after;     /* seconds, or 0 */

    /* bookings */
    doi_str_t  summary;         /* what is booked: "Haircut" */
    doi_str_t  slot;            /* as the form had it; shown as a date in the
                                   visitor's language if it begins with
                                   YYYY-MM-DD, then "T" or a blank, HH:MM */
    doi_str_t  zone;            /* time zone of the slot: "Europe/Berlin" */
    doi_str_t  name;            /* of the visitor */
    doi_str_t  email;
    doi_str_t  url;             /* mails: link of the booking */
    doi_str_t  start_url;       /* where to book anew, or empty */
    doi_str_t  problem;         /* FORM: key of a text: "problem.email" */
    doi_str_t  field;           /* FORM: name of the form's field */
    uint32_t   code;            /* mails: to be typed; CONFIRM: any number says
                                   that one is asked for; UINT32_MAX: none */
    unsigned   tries;           /* WRONG_CODE: how many are left */
    doi_time_t expires;         /* of the hold, as local time of expires_zone:
                                   Unix seconds plus its offset; or 0 */
    doi_str_t  expires_zone;    /* "UTC", "Europe/Berlin" */

    /* consent */
    doi_str_t  message;         /* mails: the operator's text, or empty */
    int        opt_in;          /* it is about a subscription, no booking */
} doi_page_vars_t;

/*
 * Append to out; with too little room (a size of 0 is fine) they write what
 * fits.  They return the length of the whole page, so that a second call with
 * that much room succeeds.
 */
size_t doi_page_html(const doi_pages_t *pages, doi_page_t page, size_t lang,
    const doi_page_vars_t *vars, doi_buf_t *out);
size_t doi_page_json(const doi_pages_t *pages, doi_page_t page, size_t lang,
    const doi_page_vars_t *vars, doi_buf_t *out);

/*
 * Mails, likewise.  The subject is one line of plain text; lines of text end
 * with LF.
 */
size_t doi_mail_subject(const doi_pages_t *pages, doi_mail_t mail, size_t lang,
    const doi_page_vars_t *vars, doi_buf_t *out);
size_t doi_mail_text(const doi_pages_t *pages, doi_mail_t mail, size_t lang,
    const doi_page_vars_t *vars, doi_buf_t *out);
size_t doi_mail_html(const doi_pages_t *pages, doi_mail_t mail, size_t lang,
    const doi_page_vars_t *vars, doi_buf_t *out);

/*
 * Short messages to contacts, by SMS and the like.  link may be empty: a text
 * that has {{link}} in it then shows nothing there.
 */

typedef enum {
    DOI_MESSAGE_PROMPT = 0,     /* please confirm                             */
    DOI_MESSAGE_REMINDER,
    DOI_MESSAGE_CONFIRMED,
    DOI_MESSAGE_OPTED_OUT,
    DOI_MESSAGE_HELP,
    DOI_MESSAGES
} doi_message_kind_t;

typedef struct {
    doi_str_t  keyword;         /* that confirms: "YES" */
    doi_str_t  link;
    doi_str_t  owner;           /* whose messages they are, or empty */
} doi_message_vars_t;

/* "prompt", "reminder", "confirmed", "opted_out", "help" */
const char *doi_message_name(doi_message_kind_t message);

/* As the functions for pages. */
size_t doi_message_text(const doi_pages_t *pages, doi_message_kind_t message,
    size_t lang, const doi_message_vars_t *vars, doi_buf_t *out);

/* The language for a tag ("de", "pt-BR", "de-at"), the default one if there is
   none that fits. */
size_t doi_pages_lang_tag(const doi_pages_t *pages, doi_str_t tag);

#endif /* DOI_PAGES_H */
