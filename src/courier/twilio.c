/*
 * Twilio's side of a webhook: signatures, forms, TwiML.  See provider.h.
 *
 *   https://www.twilio.com/docs/usage/security#validating-requests
 *
 * What is signed is the URL, then name and value of each parameter with
 * nothing in between.  In doubt we do as Twilio's library for Node.js does
 * (6.2.0): names sort by their UTF-16, a parameter that is there several times
 * sorts by its values, and equal ones count once.
 */

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "../core/consent.h"
#include "../core/escape.h"
#include "provider_internal.h"


#define TWILIO_SIGNATURE    28          /* base64 of SHA-1 */


/* Where the parts of "https://user@host:port/path" begin. */

typedef struct {
    int     https;
    size_t  port;               /* of the colon, or of what follows the host  */
    size_t  rest;               /* "/path" or "?query"                        */
} twilio_url_t;


static size_t twilio_signed(const doi_form_t *form, doi_str_t *parts);
static int twilio_compare(const void *one, const void *two);
static int twilio_compare_str(doi_str_t a, doi_str_t b);
static int twilio_body_ok(doi_str_t url, doi_str_t body);
static int twilio_url(doi_str_t url, twilio_url_t *parts);
static int twilio_url_put(doi_str_t url, const twilio_url_t *parts,
    const char *port, doi_buf_t *out);
static int twilio_get(const doi_form_t *form, const char *name,
    doi_str_t *value);
static int twilio_opt_out(doi_str_t type);


int
doi_twilio_verify(doi_str_t secret, const doi_str_t *urls, size_t n,
    const doi_form_t *form, doi_str_t body, doi_str_t signature)
{
    int        found;
    char       wanted[TWILIO_SIGNATURE + 1];
    size_t     i, nparts;
    uint8_t    mac[DOI_SHA1_SIZE];
    doi_str_t  parts[1 + 2 * DOI_FORM_FIELDS];

    if (signature.len != TWILIO_SIGNATURE) {
        return DOI_ERROR;
    }

    found = 0;
    nparts = 1 + twilio_signed(form, &parts[1]);

    for (i = 0; i < n; i++) {

        /* a body that is no form is not in what is signed */

        if (nparts == 1 && (form == NULL || body.len != 0)
            && !twilio_body_ok(urls[i], body))
        {
            continue;
        }

        parts[0] = urls[i];

        if (doi_provider_hmac("SHA1", secret, parts, nparts, mac, sizeof(mac))
            != DOI_OK)
        {
            return DOI_ERROR;
        }

        (void) EVP_EncodeBlock((unsigned char *) wanted, mac, sizeof(mac));

        found |= CRYPTO_memcmp(wanted, signature.data, TWILIO_SIGNATURE) == 0;
    }

    return found ? DOI_OK : DOI_ERROR;
}


/* Names and values as they are signed; returns how many strings. */

static size_t
twilio_signed(const doi_form_t *form, doi_str_t *parts)
{
    size_t  i, n;

    if (form == NULL || form->n == 0) {
        return 0;
    }

    for (i = 0; i < form->n; i++) {
        parts[2 * i] = form->fields[i].name;
        parts[2 * i + 1] = form->fields[i].value;
    }

    qsort(parts, form->n, 2 * sizeof(doi_str_t), twilio_compare);

    n = 2;

    for (i = 1; i < form->n; i++) {

        if (twilio_compare(&parts[2 * i], &parts[n - 2]) == 0) {
            continue;
        }

        parts[n++] = parts[2 * i];
        parts[n++] = parts[2 * i + 1];
    }

    return n;
}


/* Of a name, which is followed by its value. */

static int
twilio_compare(const void *one, const void *two)
{
    int               rc;
    const doi_str_t  *a, *b;

    a = one;
    b = two;

    rc = twilio_compare_str(a[0], b[0]);

    return rc != 0 ? rc : twilio_compare_str(a[1], b[1]);
}


/*
 * The order of UTF-16 is that of the bytes of UTF-8, with one exception:
 * characters that need two units (lead bytes F0 and more) come before U+E000
 * to U+FFFF (EE, EF).
 */

static int
twilio_compare_str(doi_str_t a, doi_str_t b)
{
    size_t   i;
    uint8_t  c, d;

    for (i = 0; i < a.len && i < b.len; i++) {
        c = a.data[i];
        d = b.data[i];

        if (c == d) {
            continue;
        }

        if (c >= 0xEE && d >= 0xEE && (c < 0xF0) != (d < 0xF0)) {
            return c < 0xF0 ? 1 : -1;
        }

        return c < d ? -1 : 1;
    }

    return a.len < b.len ? -1 : a.len > b.len;
}


/* The URL has bodySHA256=, and the body has this digest. */

static int
twilio_body_ok(doi_str_t url, doi_str_t body)
{
    size_t          i, end;
    uint8_t         digest[DOI_SHA256_SIZE];
    doi_str_t       arg;
    const uint8_t  *query;

    query = url.len ? memchr(url.data, '?', url.len) : NULL;

    if (query == NULL) {
        return 0;
    }

    (void) SHA256(body.len ? body.data : (const uint8_t *) "", body.len,
                  digest);

    for (i = (size_t) (query - url.data) + 1; i < url.len; i = end + 1) {

        for (end = i; end < url.len; end++) {
            if (url.data[end] == '&' || url.data[end] == '#') {
                break;
            }
        }

        arg.data = url.data + i;
        arg.len = end - i;

        if (doi_provider_prefix(arg, "bodySHA256=")) {
            arg.data += sizeof("bodySHA256=") - 1;
            arg.len -= sizeof("bodySHA256=") - 1;

            return doi_provider_hex_is(arg, digest, sizeof(digest));
        }

        if (end < url.len && url.data[end] == '#') {
            break;
        }
    }

    return 0;
}


int
doi_url_with_port(doi_str_t url, doi_buf_t *out)
{
    twilio_url_t  parts;

    if (twilio_url(url, &parts) != DOI_OK || parts.port != parts.rest) {
        return DOI_NOT_FOUND;
    }

    return twilio_url_put(url, &parts, parts.https ? ":443" : ":80", out);
}


int
doi_url_without_port(doi_str_t url, doi_buf_t *out)
{
    twilio_url_t  parts;

    if (twilio_url(url, &parts) != DOI_OK || parts.port == parts.rest) {
        return DOI_NOT_FOUND;
    }

    return twilio_url_put(url, &parts, "", out);
}


static int
twilio_url(doi_str_t url, twilio_url_t *parts)
{
    size_t   i, host;
    uint8_t  lower[sizeof("https://")];

    for (i = 0; i < url.len && i < sizeof("https://") - 1; i++) {
        lower[i] = url.data[i] >= 'A' && url.data[i] <= 'Z'
                   ? url.data[i] | 0x20 : url.data[i];
    }

    if (i == sizeof("https://") - 1 && memcmp(lower, "https://", i) == 0) {
        parts->https = 1;
        host = i;

    } else if (i >= sizeof("http://") - 1
               && memcmp(lower, "http://", sizeof("http://") - 1) == 0)
    {
        parts->https = 0;
        host = sizeof("http://") - 1;

    } else {
        return DOI_ERROR;
    }

    for (i = host; i < url.len; i++) {

        if (url.data[i] == '/' || url.data[i] == '?' || url.data[i] == '#') {
            break;
        }
    }

    parts->rest = i;
    parts->port = i;

    if (i == host) {
        return DOI_ERROR;
    }

    /* from the right: colons in an IPv6 address or a password are no port */

    for ( /* void */ ; i != host; i--) {

        switch (url.data[i - 1]) {
        case ']':
        case '@':
            return DOI_OK;
        case ':':
            parts->port = i - 1;
            break;
        default:
            break;
        }
    }

    return DOI_OK;
}


static int
twilio_url_put(doi_str_t url, const twilio_url_t *parts, const char *port,
    doi_buf_t *out)
{
    size_t    rest, len;
    uint8_t  *p;

    len = strlen(port);
    rest = url.len - parts->rest;

    if (parts->port + len + rest > out->size - out->len) {
        return DOI_ERROR;
    }

    p = out->data + out->len;

    memcpy(p, url.data, parts->port);
    memcpy(p + parts->port, port, len);

    if (rest) {
        memcpy(p + parts->port + len, url.data + parts->rest, rest);
    }

    out->len += parts->port + len + rest;

    return DOI_OK;
}


int
doi_inbound_twilio(const doi_form_t *form, doi_inbounds_t *in,
    const char **err)
{
    int             body;
    doi_str_t       type, status;
    doi_inbound_t  *m;

    *err = NULL;
    in->n = 0;
    in->json = NULL;

    m = &in->messages[0];
    memset(m, 0, sizeof(doi_inbound_t));

    body = twilio_get(form, "Body", &m->text);

    if (body == DOI_NOT_FOUND
        && twilio_get(form, "MessageStatus", &status) == DOI_OK)
    {
        return DOI_OK;
    }

    if (body != DOI_OK || doi_utf8_check(m->text) != m->text.len) {
        *err = body == DOI_NOT_FOUND ? "has no Body"
               : body == DOI_ERROR ? "has Body twice" : "has no UTF-8 in Body";
        return DOI_ERROR;
    }

    if (twilio_get(form, "MessageSid", &m->id) != DOI_OK || m->id.len == 0) {
        *err = "does not have one MessageSid";
        return DOI_ERROR;
    }

    if (twilio_get(form, "From", &m->from) != DOI_OK || m->from.len == 0) {
        *err = "does not have one From";
        return DOI_ERROR;
    }

    if (twilio_get(form, "To", &m->to) == DOI_ERROR
        || twilio_get(form, "OptOutType", &type) == DOI_ERROR)
    {
        *err = "has To or OptOutType twice";
        return DOI_ERROR;
    }

    m->channel = doi_provider_prefix(m->from, "whatsapp:")
                 ? DOI_CHANNEL_WHATSAPP : DOI_CHANNEL_SMS;

    if (m->channel == DOI_CHANNEL_SMS && memchr(m->from.data, ':', m->from.len))
    {
        *err = "is neither of SMS nor of WhatsApp";
        return DOI_ERROR;
    }

    m->opt_out = twilio_get(form, "OptOutType", &type) == DOI_OK
                 ? twilio_opt_out(type) : 0;
    in->n = 1;

    return DOI_OK;
}


static int
twilio_get(const doi_form_t *form, const char *name, doi_str_t *value)
{
    doi_str_t  s;

    s.data = (const uint8_t *) name;
    s.len = strlen(name);

    return doi_form_get(form, s, value);
}


static int
twilio_opt_out(doi_str_t type)
{
    int  i;

    static const char *const  names[] = { "STOP", "START", "HELP" };

    for (i = 0; i < 3; i++) {
        if (type.len == strlen(names[i])
            && memcmp(type.data, names[i], type.len) == 0)
        {
            return i + 1;
        }
    }

    return 0;
}


int
doi_twiml(doi_str_t text, doi_buf_t *out)
{
    size_t     room;
    doi_out_t  xml;

    static const char  start[] =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
    static const char  none[] = "<Response/>";
    static const char  open[] = "<Response><Message>";
    static const char  close[] = "</Message></Response>";

    room = out->size - out->len;

    doi_out_init(&xml, out);
    doi_out_put(&xml, start, sizeof(start) - 1);

    if (text.len == 0) {
        doi_out_put(&xml, none, sizeof(none) - 1);

    } else {
        doi_out_put(&xml, open, sizeof(open) - 1);
        doi_out_escape(&xml, DOI_ESCAPE_HTML, text);
        doi_out_put(&xml, close, sizeof(close) - 1);
    }

    if (xml.need > room) {
        return DOI_ERROR;
    }

    doi_out_done(&xml, out);

    return DOI_OK;
}
