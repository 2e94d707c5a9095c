/*
 * The files of pages/ as constants.  tools/embed.sh writes the C file that
 * defines them, when the module is built.
 */

#ifndef DOI_EMBEDDED_H
#define DOI_EMBEDDED_H

#include <stddef.h>


typedef struct {
    const char           *name;     /* "page.html"; NULL ends the list */
    const unsigned char  *data;
    size_t                len;
} doi_embedded_t;

extern const doi_embedded_t  doi_embedded[];

#endif /* DOI_EMBEDDED_H */
