/*
 * E-mail addresses as people type them (RFC 5321, 4.1.2; RFC 5322, 3.4.1).
 */

#ifndef DOI_ADDRESS_H
#define DOI_ADDRESS_H

#include "doi.h"


#define DOI_EMAIL_MAX       254     /* bytes, RFC 5321, 4.5.3.1.3 */


/*
 * Turns a domain in UTF-8 into its A-label form, lower case (IDNA 2008): DOI_OK
 * or DOI_ERROR.  src/courier/idn.c has one, by libidn2.
 */
typedef int (*doi_idn_pt)(doi_str_t domain, doi_buf_t *out);


/*
 * One address, normalised: without white space around it, lower case, the
 * domain as A-labels.  The local part is a dot-atom of ASCII of at most 64
 * bytes (quoted strings and local parts beyond ASCII are refused); the domain
 * has at least two labels of letters, digits and hyphens, the last not all
 * digits; no address literal, no comment, no display name, no second address.
 *
 * Writes to out, which has room for DOI_EMAIL_MAX bytes.  On DOI_ERROR *err is
 * a static text, fit for "The address ...": "has no @ sign".
 */
int doi_email_normalise(doi_str_t text, doi_idn_pt idn, doi_buf_t *out,
    const char **err);

/*
 * The address for logs: first character of the local part, then "***@", then
 * the first character of the domain and "***": "a***@e***".  At most 16 bytes.
 */
size_t doi_email_mask(doi_str_t email, uint8_t out[16]);

#endif /* DOI_ADDRESS_H */
