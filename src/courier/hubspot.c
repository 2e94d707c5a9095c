/*
 * HubSpot's communication preferences, version 4: "Update a contact's
 * subscription status".  See provider.h.
 *
 *   POST /communication-preferences/v4/statuses/ADDRESS
 *   {"channel", "statusState", "subscriptionId", "legalBasis",
 *    "legalBasisExplanation"}
 *
 * Not version 3: its "subscribe" leaves out whoever has opted out before, so
 * that a contact who comes back would stay opted out there for good.  Version
 * 4 knows a contact by its address alone, which is why that is in the URL; and
 * not the batch, which keeps it out of there: it needs a permission that not
 * every account has.
 */

#include <stdio.h>
#include <string.h>

#include "../core/address.h"
#include "../core/consent.h"
#include "../core/escape.h"
#include "provider_internal.h"


#define HUBSPOT_PATH        "/communication-preferences/v4/statuses/"
#define HUBSPOT_DIGITS      18          /* of the number of a subscription */


static int hubspot_path(doi_str_t address, char *path, size_t size);
static int hubspot_number(doi_str_t s, json_int_t *n);


int
doi_hubspot_request(const doi_crm_change_t *change,
    doi_http_request_t *request)
{
    int          out;
    char         explanation[160], since[DOI_TIME_TEXT];
    char         path[sizeof(HUBSPOT_PATH) + 3 * DOI_EMAIL_MAX];
    json_t      *json;
    doi_str_t    url;
    json_int_t   id;

    if (change->channel != DOI_CHANNEL_EMAIL) {
        return DOI_NOT_FOUND;
    }

    switch (change->status) {

    case DOI_CONSENT_SINGLE:
    case DOI_CONSENT_DOUBLE:
        out = 0;
        break;

    case DOI_CONSENT_OPTED_OUT:
        out = 1;
        break;

    default:
        return DOI_NOT_FOUND;
    }

    if (hubspot_number(change->list, &id) != DOI_OK
        || hubspot_path(change->address, path, sizeof(path)) != DOI_OK)
    {
        return DOI_ERROR;
    }

    doi_provider_time(change->since, since);

    (void) snprintf(explanation, sizeof(explanation), "%s (%s) at %s",
                    out ? "opt-out"
                    : change->status == DOI_CONSENT_DOUBLE ? "double opt-in"
                    : "opt-in",
                    doi_source_name((unsigned) change->source), since);

    url.data = (const uint8_t *) change->url;
    url.len = strlen(change->url);

    json = json_pack("{s:s, s:s, s:I, s:s, s:s}",
                     "channel", "EMAIL",
                     "statusState", out ? "UNSUBSCRIBED" : "SUBSCRIBED",
                     "subscriptionId", id,
                     "legalBasis", "CONSENT_WITH_NOTICE",
                     "legalBasisExplanation", explanation);

    if (doi_request_json(request, json) != DOI_OK
        || doi_request_post(request, url, path) != DOI_OK)
    {
        return DOI_ERROR;
    }

    return doi_request_header(request, "Authorization", "Bearer ",
                              change->secret);
}


/* The address as one segment of the path. */

static int
hubspot_path(doi_str_t address, char *path, size_t size)
{
    doi_out_t  out;
    doi_buf_t  buf;

    buf.data = (uint8_t *) path;
    buf.len = 0;
    buf.size = size - 1;

    doi_out_init(&out, &buf);
    doi_out_put(&out, HUBSPOT_PATH, sizeof(HUBSPOT_PATH) - 1);
    doi_out_escape(&out, DOI_ESCAPE_URI, address);
    doi_out_done(&out, &buf);

    path[buf.len] = '\0';

    return out.need <= buf.size ? DOI_OK : DOI_ERROR;
}


static int
hubspot_number(doi_str_t s, json_int_t *n)
{
    size_t  i;

    if (s.len == 0 || s.len > HUBSPOT_DIGITS) {
        return DOI_ERROR;
    }

    *n = 0;

    for (i = 0; i < s.len; i++) {

        if (s.data[i] < '0' || s.data[i] > '9') {
            return DOI_ERROR;
        }

        *n = *n * 10 + (s.data[i] - '0');
    }

    return DOI_OK;
}


/*
 * An error is an object with "category" and "message".  A success looks like
 * that of a batch, and may have such errors in a list: then nothing was set.
 */

doi_answer_t
doi_hubspot_answer(json_t *root, long status, const char **code,
    const char **message)
{
    json_t        *error;
    doi_answer_t   answer;

    answer = doi_answer_status(status);
    error = root;

    if (answer == DOI_ANSWER_DONE) {
        error = json_array_get(json_object_get(root, "errors"), 0);

        if (error == NULL
            && json_integer_value(json_object_get(root, "numErrors")) <= 0)
        {
            return DOI_ANSWER_DONE;
        }

        answer = DOI_ANSWER_PERMANENT;
    }

    *code = json_string_value(json_object_get(error, "category"));
    *message = json_string_value(json_object_get(error, "message"));

    if (*code != NULL && (strcmp(*code, "RATE_LIMITS") == 0
                          || strcmp(*code, "INTERNAL_ERROR") == 0))
    {
        return DOI_ANSWER_TEMPORARY;
    }

    return answer;
}
