/*
 * What providers and CRMs have in common: signatures, requests, and answers
 * that may be logged.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "provider_internal.h"


#define ANSWER_TEXT     200
#define ANSWER_DIGITS   4       /* in a row that may be shown */
#define ANSWER_CODE     48
#define ANSWER_CODE_DIGITS  7

#define REQUEST_HEADERS                                                       \
    (sizeof(((doi_http_request_t *) NULL)->headers) / sizeof(char *))


static int provider_control(doi_str_t s);
static int answer_code_fit(const char *code);
static void answer_clean(char *text, size_t size, const char *s);
static size_t answer_number(const char *s, size_t *len);
static int answer_letter(char c);


int
doi_provider_hmac(const char *digest, doi_str_t secret, const doi_str_t *parts,
    size_t n, uint8_t *mac, size_t size)
{
    int           ok;
    char          name[16];
    size_t        i, len;
    EVP_MAC      *hmac;
    OSSL_PARAM    params[2];
    EVP_MAC_CTX  *ctx;

    if (secret.len == 0) {
        return DOI_ERROR;
    }

    (void) snprintf(name, sizeof(name), "%s", digest);

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name,
                                                 0);
    params[1] = OSSL_PARAM_construct_end();

    hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    ctx = hmac != NULL ? EVP_MAC_CTX_new(hmac) : NULL;

    ok = ctx != NULL && EVP_MAC_init(ctx, secret.data, secret.len, params);

    for (i = 0; ok && i < n; i++) {
        ok = parts[i].len == 0
             || EVP_MAC_update(ctx, parts[i].data, parts[i].len);
    }

    ok = ok && EVP_MAC_final(ctx, mac, &len, size) && len == size;

    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(hmac);

    return ok ? DOI_OK : DOI_ERROR;
}


void
doi_provider_hex(const uint8_t *p, size_t n, char *hex)
{
    size_t             i;
    static const char  digits[] = "0123456789abcdef";

    for (i = 0; i < n; i++) {
        hex[2 * i] = digits[p[i] >> 4];
        hex[2 * i + 1] = digits[p[i] & 0xF];
    }

    hex[2 * n] = '\0';
}


int
doi_provider_hex_is(doi_str_t text, const uint8_t *p, size_t n)
{
    size_t   i;
    uint8_t  c;
    char     hex[2 * DOI_SHA256_SIZE + 1], lower[2 * DOI_SHA256_SIZE];

    if (n > DOI_SHA256_SIZE || text.len != 2 * n) {
        return 0;
    }

    doi_provider_hex(p, n, hex);

    for (i = 0; i < text.len; i++) {
        c = text.data[i];
        lower[i] = (char) (c >= 'A' && c <= 'F' ? c | 0x20 : c);
    }

    return CRYPTO_memcmp(hex, lower, 2 * n) == 0;
}


int
doi_provider_prefix(doi_str_t s, const char *prefix)
{
    size_t  len;

    len = strlen(prefix);

    return s.len >= len && memcmp(s.data, prefix, len) == 0;
}


int
doi_provider_e164(doi_str_t s)
{
    size_t  i;

    if (s.len < 1 + 7 || s.len > 1 + 15 || s.data[0] != '+'
        || s.data[1] == '0')
    {
        return 0;
    }

    for (i = 1; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') {
            return 0;
        }
    }

    return 1;
}


int
doi_request_post(doi_http_request_t *request, doi_str_t url, const char *path)
{
    if (path[0] == '/') {
        while (url.len != 0 && url.data[url.len - 1] == '/') {
            url.len--;
        }
    }

    if (url.len == 0 || url.len > 8192 || provider_control(url)) {
        return DOI_ERROR;
    }

    request->method = strdup("POST");

    if (asprintf(&request->url, "%.*s%s", (int) url.len,
                 (const char *) url.data, path) == -1)
    {
        request->url = NULL;
    }

    return request->method != NULL && request->url != NULL ? DOI_OK
                                                           : DOI_ERROR;
}


int
doi_request_header(doi_http_request_t *request, const char *name,
    const char *prefix, doi_str_t value)
{
    size_t  i;
    char   *line;

    if (value.len == 0 || value.len > 8192) {
        return DOI_ERROR;
    }

    for (i = 0; i < value.len; i++) {
        if (value.data[i] < ' ' || value.data[i] >= 0x7F) {
            return DOI_ERROR;
        }
    }

    for (i = 0; request->headers[i] != NULL; i++) {

        /* the last one stays NULL */

        if (i + 2 == REQUEST_HEADERS) {
            return DOI_ERROR;
        }
    }

    if (asprintf(&line, "%s: %s%.*s", name, prefix, (int) value.len,
                 (const char *) value.data) == -1)
    {
        return DOI_ERROR;
    }

    request->headers[i] = line;

    return DOI_OK;
}


int
doi_request_json(doi_http_request_t *request, json_t *json)
{
    static const doi_str_t  type = doi_str("application/json");

    if (json == NULL) {
        return DOI_ERROR;
    }

    request->body = json_dumps(json, JSON_COMPACT);
    json_decref(json);

    if (request->body == NULL) {
        return DOI_ERROR;
    }

    /* json_dumps() writes a NUL as an escape */
    request->len = strlen(request->body);

    return doi_request_header(request, "Content-Type", "", type);
}


int
doi_request_sign(doi_http_request_t *request, doi_str_t secret, doi_str_t id)
{
    char       hex[2 * DOI_SHA256_SIZE + 1];
    uint8_t    mac[DOI_SHA256_SIZE];
    doi_str_t  body, value;

    body.data = (const uint8_t *) request->body;
    body.len = request->len;

    if (doi_provider_hmac("SHA256", secret, &body, 1, mac, sizeof(mac))
        != DOI_OK)
    {
        return DOI_ERROR;
    }

    doi_provider_hex(mac, sizeof(mac), hex);

    value.data = (const uint8_t *) hex;
    value.len = sizeof(hex) - 1;

    if (doi_request_header(request, "X-Doi-Signature-256", "sha256=", value)
        != DOI_OK)
    {
        return DOI_ERROR;
    }

    return doi_request_header(request, "Idempotency-Key", "", id);
}


char *
doi_request_copy(doi_str_t s)
{
    char  *copy;

    copy = provider_control(s) ? NULL : malloc(s.len + 1);

    if (copy == NULL) {
        return NULL;
    }

    if (s.len) {
        memcpy(copy, s.data, s.len);
    }

    copy[s.len] = '\0';

    return copy;
}


void
doi_http_request_free(doi_http_request_t *request)
{
    size_t  i;

    /* there are tokens and numbers in it */

    if (request->password != NULL) {
        explicit_bzero(request->password, strlen(request->password));
    }

    if (request->body != NULL) {
        explicit_bzero(request->body, request->len);
    }

    for (i = 0; i < REQUEST_HEADERS && request->headers[i] != NULL; i++) {
        explicit_bzero(request->headers[i], strlen(request->headers[i]));
        free(request->headers[i]);
    }

    free(request->method);
    free(request->url);
    free(request->user);
    free(request->password);
    free(request->body);

    memset(request, 0, sizeof(doi_http_request_t));
}


json_t *
doi_json_str(doi_str_t s)
{
    return json_stringn(s.len ? (const char *) s.data : "", s.len);
}


json_t *
doi_json_time(doi_time_t time)
{
    char  text[DOI_TIME_TEXT];

    doi_provider_time(time, text);

    return json_string(text);
}


void
doi_provider_time(doi_time_t time, char text[DOI_TIME_TEXT])
{
    time_t     t;
    struct tm  tm;

    t = (time_t) time;
    text[0] = '\0';

    if (gmtime_r(&t, &tm) != NULL) {
        (void) strftime(text, DOI_TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm);
    }
}


/* Also what would end a C string. */

static int
provider_control(doi_str_t s)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] < ' ' || s.data[i] == 0x7F) {
            return 1;
        }
    }

    return 0;
}


doi_answer_t
doi_answer_status(long status)
{
    if (status >= 200 && status < 300) {
        return DOI_ANSWER_DONE;
    }

    /* 423: locked; 477: HubSpot moves this account */

    switch (status) {
    case 401:
    case 408:
    case 423:
    case 425:
    case 429:
    case 477:
        return DOI_ANSWER_TEMPORARY;
    default:
        return status < 200 || status >= 500 ? DOI_ANSWER_TEMPORARY
                                             : DOI_ANSWER_PERMANENT;
    }
}


json_t *
doi_answer_json(doi_str_t body)
{
    return body.len ? json_loadb((const char *) body.data, body.len, 0, NULL)
                    : NULL;
}


void
doi_answer_text(char *text, size_t size, long status, const char *code,
    const char *message)
{
    int   n;
    char  raw[1024];

    if (size == 0) {
        return;
    }

    if (size > ANSWER_TEXT + 1) {
        size = ANSWER_TEXT + 1;
    }

    n = status != 0 ? snprintf(text, size, "HTTP status %ld", status)
                    : snprintf(text, size, "no answer");

    if (n < 0 || (size_t) n >= size) {
        return;
    }

    text += n;
    size -= (size_t) n;

    if (code != NULL && answer_code_fit(code)) {
        n = snprintf(text, size, ", code %s", code);

        if (n < 0 || (size_t) n >= size) {
            return;
        }

        text += n;
        size -= (size_t) n;
    }

    if (message != NULL && message[0] != '\0') {
        (void) snprintf(raw, sizeof(raw), ": %s", message);
        answer_clean(text, size, raw);
    }
}


/* A word of a program, not a number that poses as one. */

static int
answer_code_fit(const char *code)
{
    size_t  i, digits;

    digits = 0;

    for (i = 0; code[i] != '\0'; i++) {

        if (code[i] >= '0' && code[i] <= '9') {
            digits++;

        } else if (!answer_letter(code[i]) && code[i] != '_') {
            return 0;
        }
    }

    return i != 0 && i <= ANSWER_CODE && digits <= ANSWER_CODE_DIGITS;
}


/*
 * Providers repeat the number that they refuse, in whatever spelling: digits
 * with anything but letters in between.  And addresses: words with an @.
 */

static void
answer_clean(char *text, size_t size, const char *s)
{
    size_t  len, skip;

    len = 0;

    while (*s != '\0' && len + 1 < size) {

        skip = 0;

        if (len == 0 || text[len - 1] == ' ' || text[len - 1] == '*') {
            skip = strcspn(s, " \t\r\n");

            if (memchr(s, '@', skip) == NULL) {
                skip = 0;
            }
        }

        if (skip == 0 && *s >= '0' && *s <= '9'
            && answer_number(s, &skip) <= ANSWER_DIGITS)
        {
            skip = 0;
        }

        if (skip == 0) {
            text[len++] = *s < ' ' || *s > '~' ? '?' : *s;
            s++;
            continue;
        }

        s += skip;

        for (skip = 0; skip < 3 && len + 1 < size; skip++) {
            text[len++] = '*';
        }
    }

    text[len] = '\0';
}


/* Digits up to the next letter; *len bytes to the last of them. */

static size_t
answer_number(const char *s, size_t *len)
{
    size_t  i, n;

    n = 0;

    for (i = 0; s[i] != '\0' && !answer_letter(s[i]); i++) {

        if (s[i] >= '0' && s[i] <= '9') {
            *len = i + 1;
            n++;
        }
    }

    return n;
}


static int
answer_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}
