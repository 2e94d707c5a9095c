/*
 * Messages out, and what the providers' answers mean.  See provider.h.
 *
 *   https://www.twilio.com/docs/messaging/api/message-resource
 *   https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "../core/consent.h"
#include "../core/escape.h"
#include "provider_internal.h"


typedef struct {
    json_int_t    code;
    doi_answer_t  answer;
} outbound_code_t;


static int outbound_twilio(const doi_outbound_t *m,
    doi_http_request_t *request);
static void outbound_form(doi_out_t *out, const doi_outbound_t *m);
static void outbound_field(doi_out_t *out, const char *name,
    const char *prefix, doi_str_t value);
static int outbound_meta(const doi_outbound_t *m, doi_http_request_t *request);
static int outbound_own(const doi_outbound_t *m, doi_http_request_t *request);
static doi_answer_t outbound_twilio_answer(json_t *root, long status,
    json_int_t *code, const char **message);
static doi_answer_t outbound_meta_answer(json_t *root, long status,
    json_int_t *code, const char **message);
static doi_answer_t outbound_code(const outbound_code_t *codes,
    json_int_t code, doi_answer_t otherwise);


/* https://www.twilio.com/docs/api/errors */

static const outbound_code_t  outbound_twilio_codes[] = {
    { 21610, DOI_ANSWER_OPTED_OUT },
    { 20003, DOI_ANSWER_TEMPORARY },        /* authentication               */
    { 20429, DOI_ANSWER_TEMPORARY },        /* too many requests            */
    { 20500, DOI_ANSWER_TEMPORARY },        /* internal error               */
    { 20503, DOI_ANSWER_TEMPORARY },
    { 21611, DOI_ANSWER_TEMPORARY },        /* the number's queue is full   */
    { 30001, DOI_ANSWER_TEMPORARY },        /* queue overflow               */
    { 63018, DOI_ANSWER_TEMPORARY },        /* WhatsApp's rate limit        */
    { 0, DOI_ANSWER_DONE }
};

/* .../docs/whatsapp/cloud-api/support/error-codes */

static const outbound_code_t  outbound_meta_codes[] = {
    { 131050, DOI_ANSWER_OPTED_OUT },
    { 131047, DOI_ANSWER_PERMANENT },       /* more than 24 hours           */
    { 1, DOI_ANSWER_TEMPORARY },            /* API unknown                  */
    { 2, DOI_ANSWER_TEMPORARY },            /* API service                  */
    { 4, DOI_ANSWER_TEMPORARY },            /* too many calls               */
    { 190, DOI_ANSWER_TEMPORARY },          /* access token has expired     */
    { 80007, DOI_ANSWER_TEMPORARY },        /* rate limits, of many kinds   */
    { 130429, DOI_ANSWER_TEMPORARY },
    { 131000, DOI_ANSWER_TEMPORARY },       /* something went wrong         */
    { 131016, DOI_ANSWER_TEMPORARY },       /* service unavailable          */
    { 131048, DOI_ANSWER_TEMPORARY },
    { 131056, DOI_ANSWER_TEMPORARY },
    { 131057, DOI_ANSWER_TEMPORARY },       /* maintenance                  */
    { 133004, DOI_ANSWER_TEMPORARY },       /* server unavailable           */
    { 0, DOI_ANSWER_DONE }
};


int
doi_outbound(doi_provider_t provider, const doi_outbound_t *message,
    doi_http_request_t *request)
{
    int  rc;

    memset(request, 0, sizeof(doi_http_request_t));

    if (message->url == NULL || message->text.len == 0
        || !doi_provider_e164(message->to)
        || doi_utf8_check(message->text) != message->text.len
        || doi_utf8_check(message->from) != message->from.len
        || (message->channel != DOI_CHANNEL_SMS
            && message->channel != DOI_CHANNEL_WHATSAPP))
    {
        return DOI_ERROR;
    }

    switch (provider) {

    case DOI_PROVIDER_TWILIO:
        rc = outbound_twilio(message, request);
        break;

    case DOI_PROVIDER_META:
        rc = outbound_meta(message, request);
        break;

    case DOI_PROVIDER_JSON:
        rc = outbound_own(message, request);
        break;

    default:
        rc = DOI_ERROR;
    }

    if (rc != DOI_OK) {
        doi_http_request_free(request);
    }

    return rc;
}


static int
outbound_twilio(const doi_outbound_t *m, doi_http_request_t *request)
{
    doi_out_t  out;
    doi_buf_t  buf = { NULL, 0, 0 };
    doi_str_t  url, user;

    static const doi_str_t  type =
        doi_str("application/x-www-form-urlencoded");

    if (m->user == NULL || m->user[0] == '\0' || m->secret.len == 0
        || m->from.len == 0)
    {
        return DOI_ERROR;
    }

    /* once for the length, once for the bytes */

    doi_out_init(&out, &buf);
    outbound_form(&out, m);

    buf.size = out.need;
    buf.data = calloc(1, buf.size + 1);

    if (buf.data == NULL) {
        return DOI_ERROR;
    }

    doi_out_init(&out, &buf);
    outbound_form(&out, m);

    request->body = (char *) buf.data;
    request->len = buf.size;

    url.data = (const uint8_t *) m->url;
    url.len = strlen(m->url);
    user.data = (const uint8_t *) m->user;
    user.len = strlen(m->user);

    request->user = doi_request_copy(user);
    request->password = doi_request_copy(m->secret);

    if (request->user == NULL || request->password == NULL
        || doi_request_post(request, url, "") != DOI_OK)
    {
        return DOI_ERROR;
    }

    return doi_request_header(request, "Content-Type", "", type);
}


static void
outbound_form(doi_out_t *out, const doi_outbound_t *m)
{
    const char  *prefix;

    prefix = m->channel == DOI_CHANNEL_WHATSAPP ? "whatsapp:" : "";

    outbound_field(out, "To", prefix, m->to);

    if (doi_provider_prefix(m->from, "MG")) {
        outbound_field(out, "MessagingServiceSid", "", m->from);

    } else if (doi_provider_prefix(m->from, "whatsapp:")) {
        outbound_field(out, "From", "", m->from);

    } else {
        outbound_field(out, "From", prefix, m->from);
    }

    outbound_field(out, "Body", "", m->text);
}


/* Not DOI_ESCAPE_URI, which is for one line. */

static void
outbound_field(doi_out_t *out, const char *name, const char *prefix,
    doi_str_t value)
{
    char       hex[3];
    size_t     i;
    uint8_t    c;
    doi_str_t  text;

    static const char  digits[] = "0123456789ABCDEF";

    if (out->need != 0) {
        doi_out_put(out, "&", 1);
    }

    text.data = (const uint8_t *) prefix;
    text.len = strlen(prefix);

    doi_out_put(out, name, strlen(name));
    doi_out_put(out, "=", 1);
    doi_out_escape(out, DOI_ESCAPE_URI, text);

    for (i = 0; i < value.len; i++) {
        c = value.data[i];

        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')
            || (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '_')
        {
            doi_out_put(out, &c, 1);
            continue;
        }

        hex[0] = '%';
        hex[1] = digits[c >> 4];
        hex[2] = digits[c & 0xF];
        doi_out_put(out, hex, 3);
    }
}


static int
outbound_meta(const doi_outbound_t *m, doi_http_request_t *request)
{
    json_t     *json;
    doi_str_t   url, to;

    if (m->channel != DOI_CHANNEL_WHATSAPP) {
        return DOI_ERROR;
    }

    url.data = (const uint8_t *) m->url;
    url.len = strlen(m->url);

    /* without the plus sign */

    to.data = m->to.data + 1;
    to.len = m->to.len - 1;

    json = json_pack("{s:s, s:s, s:o, s:s, s:{s:b, s:o}}",
                     "messaging_product", "whatsapp",
                     "recipient_type", "individual",
                     "to", doi_json_str(to),
                     "type", "text",
                     "text", "preview_url", 0, "body", doi_json_str(m->text));

    if (doi_request_json(request, json) != DOI_OK
        || doi_request_post(request, url, "") != DOI_OK)
    {
        return DOI_ERROR;
    }

    return doi_request_header(request, "Authorization", "Bearer ", m->secret);
}


static int
outbound_own(const doi_outbound_t *m, doi_http_request_t *request)
{
    json_t     *json;
    doi_str_t   url;

    url.data = (const uint8_t *) m->url;
    url.len = strlen(m->url);

    json = json_pack("{s:o, s:s, s:o, s:o, s:o}",
                     "id", doi_json_str(m->id),
                     "channel", m->channel == DOI_CHANNEL_SMS ? "sms"
                                                              : "whatsapp",
                     "from", doi_json_str(m->from),
                     "to", doi_json_str(m->to),
                     "text", doi_json_str(m->text));

    if (doi_request_json(request, json) != DOI_OK
        || doi_request_post(request, url, "") != DOI_OK)
    {
        return DOI_ERROR;
    }

    return doi_request_sign(request, m->secret, m->id);
}


doi_answer_t
doi_outbound_answer(doi_provider_t provider, long status, doi_str_t body,
    char *text, size_t size)
{
    char           number[24];
    json_t        *root, *error;
    json_int_t     code;
    const char    *name, *message;
    doi_answer_t   answer;

    code = 0;
    name = NULL;
    message = NULL;
    answer = doi_answer_status(status);
    root = doi_answer_json(body);

    switch (provider) {

    case DOI_PROVIDER_TWILIO:
        answer = outbound_twilio_answer(root, status, &code, &message);
        break;

    case DOI_PROVIDER_META:
        answer = outbound_meta_answer(root, status, &code, &message);
        break;

    case DOI_PROVIDER_JSON:
        error = json_object_get(root, "error");
        name = json_string_value(error);

        if (name != NULL && strcmp(name, "opted_out") == 0) {
            answer = DOI_ANSWER_OPTED_OUT;
        }

        break;
    }

    if (code != 0) {
        (void) snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, code);
        name = number;
    }

    doi_answer_text(text, size, status, name, message);
    json_decref(root);

    return answer;
}


static doi_answer_t
outbound_twilio_answer(json_t *root, long status, json_int_t *code,
    const char **message)
{
    doi_answer_t  answer;

    answer = doi_answer_status(status);

    if (answer != DOI_ANSWER_DONE) {
        *code = json_integer_value(json_object_get(root, "code"));
        *message = json_string_value(json_object_get(root, "message"));

        return outbound_code(outbound_twilio_codes, *code, answer);
    }

    /* a message that was made, and has failed already */

    *code = json_integer_value(json_object_get(root, "error_code"));
    *message = json_string_value(json_object_get(root, "error_message"));

    return *code == 0 ? answer : outbound_code(outbound_twilio_codes, *code,
                                               DOI_ANSWER_PERMANENT);
}


static doi_answer_t
outbound_meta_answer(json_t *root, long status, json_int_t *code,
    const char **message)
{
    json_t        *error;
    doi_answer_t   answer;

    answer = doi_answer_status(status);
    error = json_object_get(root, "error");

    if (!json_is_object(error)) {
        return answer;
    }

    *code = json_integer_value(json_object_get(error, "code"));
    *message = json_string_value(json_object_get(error, "message"));

    return outbound_code(outbound_meta_codes, *code,
                         answer == DOI_ANSWER_DONE ? DOI_ANSWER_PERMANENT
                                                   : answer);
}


static doi_answer_t
outbound_code(const outbound_code_t *codes, json_int_t code,
    doi_answer_t otherwise)
{
    for ( /* void */ ; codes->code != 0; codes++) {
        if (codes->code == code) {
            return codes->answer;
        }
    }

    return otherwise;
}
