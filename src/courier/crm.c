/*
 * Changes of consent, as CRMs want to be told.  See provider.h.
 *
 *   HubSpot     hubspot.c; url: https://api.hubapi.com
 *   Salesforce  one ContactPointTypeConsent for each contact and list, found
 *               again by an external id field that the organisation adds to
 *               the object; written by an upsert (PATCH) within a composite
 *               request.  url: https://NAME.my.salesforce.com, or the whole of
 *               https://NAME.my.salesforce.com/services/data/v60.0/sobjects/
 *               ContactPointTypeConsent/FIELD__c
 *   JSON        event consent.changed, signed
 *
 * The external id is a digest of contact and list: it is in a URL, and an
 * address must not be.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "../core/bytes.h"
#include "../core/consent.h"
#include "provider_internal.h"


#define CRM_KEY             16          /* bytes of the digest                */
#define CRM_DATA            "/services/data/"
#define CRM_VERSION         "v60.0"
#define CRM_OBJECT          "/sobjects/ContactPointTypeConsent/"
#define CRM_FIELD           "DoiKey__c"
#define CRM_NAME_MAX        255         /* characters of Name                 */
#define CRM_DEPTH           8           /* of an answer                       */


/* What is wrong in an answer. */

typedef struct {
    const char  *code;
    const char  *message;
    long         status;            /* of a part of the answer, or 0          */
    int          failed;
} crm_error_t;


static int crm_salesforce(const doi_crm_change_t *change,
    doi_http_request_t *request);
static int crm_salesforce_url(const doi_crm_change_t *change, char **base,
    char **upsert);
static json_t *crm_salesforce_record(const doi_crm_change_t *change);
static json_t *crm_salesforce_name(const doi_crm_change_t *change);
static int crm_key(const doi_crm_change_t *change,
    char hex[2 * CRM_KEY + 1]);
static int crm_is_id(doi_str_t s);
static int crm_own(const doi_crm_change_t *change,
    doi_http_request_t *request);
static json_t *crm_time(doi_time_t time);
static doi_answer_t crm_salesforce_answer(json_t *root, long status,
    doi_str_t body, crm_error_t *error);
static void crm_salesforce_look(json_t *json, unsigned depth,
    crm_error_t *error);
static void crm_salesforce_object(json_t *json, crm_error_t *error);


/* Of no error of ours, and over when it is tried again.  DUPLICATE_VALUE: two
   changes made the record at the same time. */

static const char *const  crm_temporary[] = {
    "REQUEST_LIMIT_EXCEEDED", "UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE",
    "SERVICE_UNAVAILABLE", "QUERY_TIMEOUT", "INVALID_SESSION_ID",
    "UNKNOWN_EXCEPTION", "DUPLICATE_VALUE", "API_CURRENTLY_DISABLED",
    "REQUEST_RUNNING_TOO_LONG", "ORG_IN_MAINTENANCE"
};


int
doi_crm_request(doi_crm_t crm, const doi_crm_change_t *change,
    doi_http_request_t *request)
{
    int  rc;

    memset(request, 0, sizeof(doi_http_request_t));

    if (change->url == NULL || change->address.len == 0
        || doi_channel_name((unsigned) change->channel) == NULL
        || doi_consent_name((unsigned) change->status) == NULL
        || doi_source_name((unsigned) change->source) == NULL)
    {
        return DOI_ERROR;
    }

    switch (crm) {

    case DOI_CRM_HUBSPOT:
        rc = doi_hubspot_request(change, request);
        break;

    case DOI_CRM_SALESFORCE:
        rc = crm_salesforce(change, request);
        break;

    case DOI_CRM_JSON:
        rc = crm_own(change, request);
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
crm_salesforce(const doi_crm_change_t *change, doi_http_request_t *request)
{
    int         rc;
    char       *base, *upsert;
    json_t     *json;
    doi_str_t   url;

    if (crm_salesforce_url(change, &base, &upsert) != DOI_OK) {
        return DOI_ERROR;
    }

    url.data = (const uint8_t *) base;
    url.len = strlen(base);

    json = json_pack("{s:b, s:[{s:s, s:s, s:s, s:o}]}",
                     "allOrNone", 1, "compositeRequest",
                     "method", "PATCH", "url", upsert,
                     "referenceId", "consent",
                     "body", crm_salesforce_record(change));

    rc = doi_request_json(request, json);

    if (rc == DOI_OK) {
        rc = doi_request_post(request, url, "/composite");
    }

    if (rc == DOI_OK) {
        rc = doi_request_header(request, "Authorization", "Bearer ",
                                change->secret);
    }

    free(base);
    free(upsert);

    return rc;
}


/* base: "https://.../services/data/v60.0"; upsert: path of the record. */

static int
crm_salesforce_url(const doi_crm_change_t *change, char **base, char **upsert)
{
    int          host;
    char         key[2 * CRM_KEY + 1];
    size_t       version, field;
    const char  *data, *p;

    *base = NULL;
    *upsert = NULL;

    if (crm_key(change, key) != DOI_OK || strlen(change->url) > 4096) {
        return DOI_ERROR;
    }

    data = strstr(change->url, CRM_DATA);

    if (data == NULL) {
        host = (int) strlen(change->url);

        while (host != 0 && change->url[host - 1] == '/') {
            host--;
        }

        if (host == 0) {
            return DOI_ERROR;
        }

        data = CRM_DATA CRM_VERSION;
        version = sizeof(CRM_VERSION) - 1;
        p = CRM_FIELD;
        field = sizeof(CRM_FIELD) - 1;

    } else {
        host = (int) (data - change->url);

        p = data + sizeof(CRM_DATA) - 1;
        version = strspn(p, "v0123456789.");
        p += version;

        if (version == 0
            || strncmp(p, CRM_OBJECT, sizeof(CRM_OBJECT) - 1) != 0)
        {
            return DOI_ERROR;
        }

        p += sizeof(CRM_OBJECT) - 1;
        field = strspn(p, "abcdefghijklmnopqrstuvwxyz"
                          "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

        if (field == 0 || p[field] != '\0') {
            return DOI_ERROR;
        }
    }

    version += sizeof(CRM_DATA) - 1;

    if (asprintf(base, "%.*s%.*s", host, change->url, (int) version, data)
        == -1)
    {
        *base = NULL;
        return DOI_ERROR;
    }

    if (asprintf(upsert, "%.*s%s%.*s/%s", (int) version, data, CRM_OBJECT,
                 (int) field, p, key) == -1)
    {
        free(*base);
        return DOI_ERROR;
    }

    return DOI_OK;
}


/*
 * Fields that are not true any more have to be emptied: an old date of a
 * double opt-in would vouch for a new single one.
 */

static json_t *
crm_salesforce_record(const doi_crm_change_t *change)
{
    int          in;
    char         source[64];
    json_t      *json;
    const char  *point, *how, *status;

    point = change->channel == DOI_CHANNEL_EMAIL ? "Email" : "Phone";

    switch (change->source) {
    case DOI_SOURCE_WEB:
        how = "Web";
        break;
    case DOI_SOURCE_KEYWORD:
    case DOI_SOURCE_AGENT:
    case DOI_SOURCE_IVR:
        how = "Phone";
        break;
    default:
        how = point;
    }

    switch (change->status) {
    case DOI_CONSENT_SINGLE:
    case DOI_CONSENT_DOUBLE:
        status = "OptIn";
        break;
    case DOI_CONSENT_OPTED_OUT:
        status = "OptOut";
        break;
    case DOI_CONSENT_PENDING:
        status = "Seen";
        break;
    default:
        status = "NotSeen";
    }

    in = change->status == DOI_CONSENT_SINGLE
         || change->status == DOI_CONSENT_DOUBLE;

    (void) snprintf(source, sizeof(source), "%s, %s",
                    doi_source_name((unsigned) change->source),
                    doi_channel_name((unsigned) change->channel));

    json = json_pack("{s:o, s:s, s:s, s:s, s:s, s:o, s:o, s:o}",
                     "Name", crm_salesforce_name(change),
                     "ContactPointType", point,
                     "PrivacyConsentStatus", status,
                     "CaptureContactPointType", how,
                     "CaptureSource", source,
                     "CaptureDate",
                     doi_json_time(in && change->opted_in != 0
                                   ? change->opted_in : change->since),
                     "EffectiveFrom", doi_json_time(change->since),
                     "DoubleConsentCaptureDate",
                     change->status == DOI_CONSENT_DOUBLE
                     ? doi_json_time(change->since) : json_null());

    if (json != NULL && crm_is_id(change->person)
        && json_object_set_new(json, "PartyId", doi_json_str(change->person))
           != 0)
    {
        json_decref(json);
        return NULL;
    }

    return json;
}


/* "news, sms:+49...": for people who look at the record. */

static json_t *
crm_salesforce_name(const doi_crm_change_t *change)
{
    int         n;
    char        name[1024];
    size_t      len;
    doi_str_t   s;

    if (change->list.len > 255 || change->address.len > 255) {
        return NULL;
    }

    n = snprintf(name, sizeof(name), "%.*s%s%s:%.*s", (int) change->list.len,
                 change->list.len ? (const char *) change->list.data : "",
                 change->list.len ? ", " : "",
                 doi_channel_name((unsigned) change->channel),
                 (int) change->address.len,
                 (const char *) change->address.data);

    if (n < 0) {
        return NULL;
    }

    len = (size_t) n;

    if (len > CRM_NAME_MAX) {
        len = CRM_NAME_MAX;

        /* not in the middle of a character */

        while (len != 0 && ((unsigned char) name[len] & 0xC0) == 0x80) {
            len--;
        }
    }

    s.data = (const uint8_t *) name;
    s.len = len;

    return doi_json_str(s);
}


static int
crm_key(const doi_crm_change_t *change, char hex[2 * CRM_KEY + 1])
{
    uint8_t      digest[CRM_KEY];
    doi_str_t    parts[6];
    const char  *channel;

    static const doi_str_t  zero = { (const uint8_t *) "", 1 };

    channel = doi_channel_name((unsigned) change->channel);

    /* with its zero, which no part holds, nothing moves into the next one */

    parts[0].data = (const uint8_t *) channel;
    parts[0].len = strlen(channel);
    parts[1] = zero;
    parts[2] = change->address;
    parts[3] = zero;
    parts[4] = change->list;
    parts[5] = zero;

    if (doi_digest(parts, 6, digest, CRM_KEY) != DOI_OK) {
        return DOI_ERROR;
    }

    doi_provider_hex(digest, CRM_KEY, hex);

    return DOI_OK;
}


/* An id of Salesforce's, of an Individual: other names of persons are of no
   use there. */

static int
crm_is_id(doi_str_t s)
{
    size_t   i;
    uint8_t  c;

    if ((s.len != 15 && s.len != 18) || !doi_provider_prefix(s, "0PK")) {
        return 0;
    }

    for (i = 0; i < s.len; i++) {
        c = s.data[i];

        if ((c < '0' || c > '9') && (c < 'A' || c > 'Z')
            && (c < 'a' || c > 'z'))
        {
            return 0;
        }
    }

    return 1;
}


static int
crm_own(const doi_crm_change_t *change, doi_http_request_t *request)
{
    json_t     *json;
    doi_str_t   url;

    url.data = (const uint8_t *) change->url;
    url.len = strlen(change->url);

    json = json_pack("{s:s, s:o, s:o, s:{s:s, s:o, s:o, s:o, s:s, s:s, s:o,"
                     " s:o}}",
                     "type", "consent.changed",
                     "id", doi_json_str(change->id),
                     "timestamp", doi_json_time(change->since),
                     "data",
                     "channel", doi_channel_name((unsigned) change->channel),
                     "address", doi_json_str(change->address),
                     "person", doi_json_str(change->person),
                     "list", doi_json_str(change->list),
                     "status", doi_consent_name((unsigned) change->status),
                     "source", doi_source_name((unsigned) change->source),
                     "since", crm_time(change->since),
                     "opted_in", crm_time(change->opted_in));

    if (doi_request_json(request, json) != DOI_OK
        || doi_request_post(request, url, "") != DOI_OK)
    {
        return DOI_ERROR;
    }

    return doi_request_sign(request, change->secret, change->id);
}


/* As in the events of bookings; null: never. */

static json_t *
crm_time(doi_time_t time)
{
    return time != 0 ? json_integer((json_int_t) time) : json_null();
}


doi_answer_t
doi_crm_answer(doi_crm_t crm, long status, doi_str_t body, char *text,
    size_t size)
{
    json_t        *root;
    crm_error_t    error;
    doi_answer_t   answer;

    memset(&error, 0, sizeof(error));
    root = doi_answer_json(body);

    switch (crm) {

    case DOI_CRM_HUBSPOT:
        answer = doi_hubspot_answer(root, status, &error.code,
                                    &error.message);
        break;

    case DOI_CRM_SALESFORCE:
        answer = crm_salesforce_answer(root, status, body, &error);
        break;

    case DOI_CRM_JSON:
    default:
        answer = doi_answer_status(status);
        error.code = json_string_value(json_object_get(root, "error"));
    }

    doi_answer_text(text, size, status, error.code, error.message);
    json_decref(root);

    return answer;
}


static doi_answer_t
crm_salesforce_answer(json_t *root, long status, doi_str_t body,
    crm_error_t *error)
{
    size_t        i;
    doi_answer_t  answer;

    answer = doi_answer_status(status);

    /* a page to log in, or of a proxy: nothing was written for sure */

    if (answer == DOI_ANSWER_DONE && root == NULL && body.len != 0) {
        error->message = "not an answer of the API";
        return DOI_ANSWER_TEMPORARY;
    }

    crm_salesforce_look(root, 0, error);

    if (!error->failed) {
        return answer;
    }

    for (i = 0; i < sizeof(crm_temporary) / sizeof(crm_temporary[0]); i++) {
        if (error->code != NULL && strcmp(error->code, crm_temporary[i]) == 0)
        {
            return DOI_ANSWER_TEMPORARY;
        }
    }

    if (answer != DOI_ANSWER_DONE) {
        return answer;
    }

    return error->status != 0
           && doi_answer_status(error->status) == DOI_ANSWER_TEMPORARY
           ? DOI_ANSWER_TEMPORARY : DOI_ANSWER_PERMANENT;
}


/*
 * Errors come in several forms, according to the resource and to how far the
 * request came:
 *
 *   [{"errorCode", "message"}]
 *   {"success": false, "errors": [{"statusCode", "message"}]}, or a list
 *   {"hasErrors": true, "results": [...]}
 *   {"compositeResponse": [{"httpStatusCode": 400, "body": ...}]}
 *
 * The first one with a code says what is wrong.
 */

static void
crm_salesforce_look(json_t *json, unsigned depth, crm_error_t *error)
{
    size_t       i;
    json_t      *item;
    const char  *name;

    if (depth == CRM_DEPTH || error->code != NULL) {
        return;
    }

    if (json_is_array(json)) {
        json_array_foreach(json, i, item) {
            crm_salesforce_look(item, depth + 1, error);
        }

        return;
    }

    if (!json_is_object(json)) {
        return;
    }

    crm_salesforce_object(json, error);

    json_object_foreach(json, name, item) {
        if (json_is_array(item) || strcmp(name, "body") == 0) {
            crm_salesforce_look(item, depth + 1, error);
        }
    }
}


static void
crm_salesforce_object(json_t *json, crm_error_t *error)
{
    size_t       i;
    json_t      *code;
    json_int_t   status;

    static const char *const  numbers[] = { "httpStatusCode", "statusCode" };
    static const char *const  names[] = { "errorCode", "statusCode" };

    if (json_is_false(json_object_get(json, "success"))
        || json_is_true(json_object_get(json, "hasErrors")))
    {
        error->failed = 1;
    }

    for (i = 0; i < 2; i++) {
        code = json_object_get(json, numbers[i]);
        status = json_integer_value(code);

        if (status >= 300 && status < 600) {
            error->failed = 1;
            error->status = (long) status;
        }
    }

    for (i = 0; i < 2 && error->code == NULL; i++) {
        code = json_object_get(json, names[i]);

        if (json_is_string(code)) {
            error->failed = 1;
            error->code = json_string_value(code);
            error->message = json_string_value(json_object_get(json,
                                                               "message"));
        }
    }
}
