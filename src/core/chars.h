/*
 * What characters are to a reader: code points of Unicode 16, as far as short
 * texts that people type need it.
 */

#ifndef DOI_CHARS_H
#define DOI_CHARS_H

#include "doi.h"


#define DOI_CHAR_NONE   0xFFFFFFFF

/*
 * The code point at *p < end, and *p behind it.  DOI_CHAR_NONE: the bytes are
 * not UTF-8, and *p stays.
 */
uint32_t doi_char_next(const uint8_t **p, const uint8_t *end);

/* Writes UTF-8, 1 to 4 bytes.  For what doi_char_next() may give. */
size_t doi_char_put(uint8_t *p, uint32_t c);

/* White space of any kind: blanks, line ends, no-break, ideographic. */
int doi_char_blank(uint32_t c);

/* Format characters that show nothing, variation selectors, fillers. */
int doi_char_invisible(uint32_t c);

/* Full-width forms (U+FF01 to U+FF5E) to ASCII, and all hyphens to "-". */
uint32_t doi_char_narrow(uint32_t c);

/*
 * Small letters for capital ones: ASCII, Latin up to Extended-A, the Romanian
 * and Vietnamese ones, Greek (a final sigma becomes sigma), Cyrillic.  A dotted
 * capital and a dotless small I become "i": Turkish telephones write
 * "UNSUBSCR\u0130BE".  The UTF-8 of the result is never longer.
 */
uint32_t doi_char_fold(uint32_t c);

#endif /* DOI_CHARS_H */
