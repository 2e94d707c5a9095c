/*
 * Shared by inbound.c, twilio.c, outbound.c, crm.c and hubspot.c; the code is
 * in provider.c.
 */

#ifndef DOI_PROVIDER_INTERNAL_H
#define DOI_PROVIDER_INTERNAL_H

#include <jansson.h>

#include "provider.h"


#define DOI_SHA1_SIZE       20
#define DOI_SHA256_SIZE     32

/* "2026-11-22T10:32:07Z" */
#define DOI_TIME_TEXT       21


/* HMAC of parts, one after the other; size is that of the digest's output.  An
   empty secret is an error: whoever leaves it out must not be let in. */
int doi_provider_hmac(const char *digest, doi_str_t secret,
    const doi_str_t *parts, size_t n, uint8_t *mac, size_t size);

/* 2 * n lower-case digits and a zero. */
void doi_provider_hex(const uint8_t *p, size_t n, char *hex);

/* 1 if text is hexadecimal and says just these bytes; in constant time. */
int doi_provider_hex_is(doi_str_t text, const uint8_t *p, size_t n);

/* 1 if it begins with prefix, in this case. */
int doi_provider_prefix(doi_str_t s, const char *prefix);

/* "+" and 7 to 15 digits. */
int doi_provider_e164(doi_str_t s);


/* Requests.  All append to a request of zeros; after DOI_ERROR it is for the
   caller to free what is there. */

/* POST to url and path; a slash at the end of url is not doubled. */
int doi_request_post(doi_http_request_t *request, doi_str_t url,
    const char *path);

/* DOI_ERROR: no room, or a character that is not fit for a header. */
int doi_request_header(doi_http_request_t *request, const char *name,
    const char *prefix, doi_str_t value);

/* Body and Content-Type.  Takes json over, which may be NULL: an error. */
int doi_request_json(doi_http_request_t *request, json_t *json);

/* Idempotency-Key and X-Doi-Signature-256: the body is there already. */
int doi_request_sign(doi_http_request_t *request, doi_str_t secret,
    doi_str_t id);

/* A copy with a zero at its end; NULL: no memory, or a control character. */
char *doi_request_copy(doi_str_t s);

/* NULL if it is not UTF-8. */
json_t *doi_json_str(doi_str_t s);
json_t *doi_json_time(doi_time_t time);

void doi_provider_time(doi_time_t time, char text[DOI_TIME_TEXT]);


/* Answers. */

/* By the status alone.  401 is temporary: a token that has run out is replaced
   by an operator. */
doi_answer_t doi_answer_status(long status);

/* NULL if the body is no JSON, or not all of it was kept. */
json_t *doi_answer_json(doi_str_t body);

/* "HTTP status 400, CODE: message", cleaned: no address, no number of more than
   four digits but for the code.  code and message may be NULL. */
void doi_answer_text(char *text, size_t size, long status, const char *code,
    const char *message);


/* HubSpot's part of doi_crm_request and doi_crm_answer; code and message point
   into root. */
int doi_hubspot_request(const doi_crm_change_t *change,
    doi_http_request_t *request);
doi_answer_t doi_hubspot_answer(json_t *root, long status, const char **code,
    const char **message);

#endif /* DOI_PROVIDER_INTERNAL_H */
