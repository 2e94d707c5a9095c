/*
 * Mail messages (RFC 5322, MIME: RFC 2045 to 2047, RFC 2231) and Standard
 * Webhooks.  Pure: bytes in, bytes out.
 */

#ifndef DOI_MESSAGE_H
#define DOI_MESSAGE_H

#include "../core/doi.h"


/*
 * Strings are UTF-8 and may be of unknown origin: control characters (CR and
 * LF too) become a blank, bytes that are not UTF-8 U+FFFD.  Empty: absent.
 * Addresses must have been checked (core/address.h): DOI_ERROR if one holds a
 * blank, a control character, or any of <>,;:\"()
 */

typedef struct {
    doi_str_t  from_name;
    doi_str_t  from;
    doi_str_t  to_name;
    doi_str_t  to;
    doi_str_t  reply_name;
    doi_str_t  reply_to;            /* empty: no Reply-To                    */
    doi_str_t  subject;
    doi_str_t  id;                  /* left part of Message-ID: a dot-atom of
                                       [A-Za-z0-9_.-], 1 to 60 bytes; the right
                                       is the domain of from                 */
    doi_time_t date;                /* Date, in UTC                          */
    doi_str_t  lang;                /* Content-Language                      */
    doi_str_t  text;                /* lines end with LF                     */
    doi_str_t  html;
    doi_str_t  calendar;            /* iCalendar object; empty: none         */
    doi_str_t  method;              /* its METHOD: "REQUEST", "PUBLISH",
                                       "CANCEL"                              */
} doi_message_t;

/*
 * Appends the message, lines ended by CRLF, all ASCII, none longer than 78
 * bytes (998 where nothing can be folded), with Auto-Submitted: auto-generated
 * (RFC 3834) and X-Auto-Response-Suppress: All.  Text and HTML are alternatives
 * (text first), with the calendar as third one (text/calendar; method=...) and
 * again as attachment "invite.ics"; bodies in base64 or quoted-printable.  The
 * same input gives the same bytes: boundaries come from the id.
 *
 * With too little room writes what fits; returns the length of the whole, or 0
 * if an address, the id or the method is not fit for a header.
 */
size_t doi_message(const doi_message_t *message, doi_buf_t *out);


/*
 * Standard Webhooks 1.0.  secret: content of a file: "whsec_" and base64 of 24
 * to 64 bytes, blanks and a line end around it allowed.  DOI_ERROR: *err is a
 * static text.
 */
#define DOI_WEBHOOK_SECRET_MAX  64

int doi_webhook_secret(doi_str_t text, uint8_t secret[DOI_WEBHOOK_SECRET_MAX],
    size_t *len, const char **err);

/* Writes "v1," and base64 of HMAC-SHA256(secret, id "." timestamp "." body),
   zero-terminated. */
#define DOI_WEBHOOK_SIGNATURE   64

int doi_webhook_sign(const uint8_t *secret, size_t len, doi_str_t id,
    doi_time_t timestamp, doi_str_t body,
    char signature[DOI_WEBHOOK_SIGNATURE]);

#endif /* DOI_MESSAGE_H */
