/*
 * Telephone numbers as people and providers write them, to E.164 (ITU-T).
 */

#ifndef DOI_PHONE_H
#define DOI_PHONE_H

#include "doi.h"


#define DOI_PHONE_MAX   16      /* "+" and 15 digits */

/*
 * "+49 151 2345678", "0049 (0)151/234-56.78", "tel:+49-151-2345678",
 * "whatsapp:+49..." and, with a country ("49"; empty: none), "0151 2345678";
 * with country "1" also "011 49 ...".  Digits may be full-width or
 * Arabic-Indic.  Appends "+491512345678".  DOI_ERROR: *err is a static text,
 * fit for "The number ...": "has no country code".  Extensions and all other
 * parameters of tel:, letters, fewer than 7 or more than 15 digits, a country
 * code that does not exist (ITU-T E.164 list, one to three digits) are errors.
 */
int doi_phone_normalise(doi_str_t text, doi_str_t country, doi_buf_t *out,
    const char **err);

#endif /* DOI_PHONE_H */
