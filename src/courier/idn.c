/*
 * Domains in UTF-8 to A-labels, by libidn2.
 */

#include <idn2.h>
#include <string.h>

#include "courier.h"


/* No name is longer in the end: 253 characters, each from at most 4 bytes. */
#define IDN_INPUT_MAX   1012

#define IDN_LETTERS     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" \
                        "0123456789.-"


int
doi_idn(doi_str_t domain, doi_buf_t *out)
{
    int       rc;
    char      text[IDN_INPUT_MAX + 1];
    size_t    i, len;
    uint8_t  *ascii;

    if (domain.len == 0 || domain.len > IDN_INPUT_MAX
        || memchr(domain.data, '\0', domain.len) != NULL)
    {
        return DOI_ERROR;
    }

    memcpy(text, domain.data, domain.len);
    text[domain.len] = '\0';

    /* UTS 46 maps first, capitals to small letters too. */

    rc = idn2_lookup_u8((const uint8_t *) text, &ascii,
                        IDN2_NFC_INPUT|IDN2_NONTRANSITIONAL);
    if (rc != IDN2_OK) {
        return DOI_ERROR;
    }

    len = strlen((char *) ascii);

    /* libidn2 lets other ASCII through, blanks and @ too. */

    if (len == 0 || len > out->size - out->len
        || strspn((char *) ascii, IDN_LETTERS) != len)
    {
        idn2_free(ascii);
        return DOI_ERROR;
    }

    for (i = 0; i < len; i++) {
        out->data[out->len++] = ascii[i] >= 'A' && ascii[i] <= 'Z'
                                ? (uint8_t) (ascii[i] | 0x20) : ascii[i];
    }

    idn2_free(ascii);

    return DOI_OK;
}
