/*
 * What a contact means by a message: the words that carriers and providers
 * prescribe (CTIA Messaging Principles), and those that are configured.
 */

#ifndef DOI_KEYWORD_H
#define DOI_KEYWORD_H

#include "doi.h"


typedef enum {
    DOI_SAYS_OTHER = 0,         /* anything else                             */
    DOI_SAYS_CONFIRM,           /* the one configured word: YES, Y, OK, CONFIRM
                                   or APPROVE                                */
    DOI_SAYS_SUBSCRIBE,         /* START, SUBSCRIBE, UNSTOP, and configured  */
    DOI_SAYS_STOP,              /* STOP, UNSUBSCRIBE, END, QUIT, STOPALL, STOP
                                   ALL, REVOKE, OPTOUT, OPT-OUT, OPT OUT,
                                   CANCEL, ARRET, configured, and plain phrases
                                   ("please stop", "opt me out", "unsubscribe
                                   me")                                      */
    DOI_SAYS_HELP,              /* HELP, INFO, and configured                */
    DOI_SAYS_DOUBTFUL           /* has a stop word in it, but says more: for the
                                   review list, never an opt-in              */
} doi_says_t;

#define DOI_KEYWORDS_MAX    64      /* configured words in all               */
#define DOI_KEYWORD_SIZE    32      /* bytes, after folding                  */

typedef struct {
    char     word[DOI_KEYWORD_SIZE];    /* folded, zero-terminated           */
    uint8_t  says;                      /* doi_says_t                        */
} doi_keyword_t;

typedef struct {
    size_t         n;
    doi_keyword_t  words[DOI_KEYWORDS_MAX];     /* configured ones           */
    char           confirm[DOI_KEYWORD_SIZE];   /* folded                    */
} doi_keywords_t;

/* Only CONFIRM's word ("YES"); the standard words are always there. */
void doi_keywords_init(doi_keywords_t *keywords);

/* DOI_ERROR, *err static: for CONFIRM, not one of the five; too long, empty,
   means something else already, or has a stop word in it. */
int doi_keywords_add(doi_keywords_t *keywords, doi_says_t says, doi_str_t word,
    const char **err);

/*
 * The whole message must equal a word: ignoring case (also full-width letters,
 * U+FF01 to U+FF5E), blanks of any kind at both ends (also NBSP, ideographic),
 * runs of blanks inside, zero-width and other format characters (U+200B to
 * U+200F, U+2060, U+FEFF, U+00AD, variation selectors), quotation marks around
 * (also the * and _ of WhatsApp's bold and italic) and ".", "!" or "," at the
 * end; for CONFIRM only case and blanks are ignored (and what is invisible).
 * Bytes that are not UTF-8: OTHER.  Messages above 1600 bytes are OTHER, or
 * DOUBTFUL.
 */
doi_says_t doi_keyword(const doi_keywords_t *keywords, doi_str_t message);

#endif /* DOI_KEYWORD_H */
