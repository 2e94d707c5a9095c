/*
 * Webhooks with a body of JSON: Meta's WhatsApp Cloud API and our own form.
 * See provider.h.
 *
 *   { "object": "whatsapp_business_account",
 *     "entry": [ { "changes": [ { "field": "messages", "value": {
 *         "metadata": { "phone_number_id": "..." },
 *         "messages": [ { "from": "49...", "id": "wamid...", "type": "text",
 *                         "timestamp": "1749416383",
 *                         "text": { "body": "..." } } ],
 *         "statuses": [ ... ] } } ] } ] }
 *
 * Meta sends what was refused again for days, with what other people wrote
 * in the same post: what is of no use to us is skipped, and only a broken
 * structure is an error.
 */

#include <string.h>

#include <jansson.h>

#include "../core/bytes.h"
#include "../core/consent.h"
#include "provider_internal.h"


/* A kind of message of Meta, and where its text is. */

typedef struct {
    const char  *type;
    const char  *object;
    const char  *text;
} inbound_kind_t;


static int inbound_meta(json_t *root, doi_inbounds_t *in, const char **err);
static int inbound_meta_entry(json_t *entry, doi_inbounds_t *in,
    const char **err);
static int inbound_meta_value(json_t *value, doi_inbounds_t *in,
    const char **err);
static int inbound_meta_message(json_t *message, doi_str_t to,
    doi_inbounds_t *in, const char **err);
static int inbound_meta_text(json_t *message, doi_str_t *text);
static doi_time_t inbound_meta_time(json_t *message);
static int inbound_own(json_t *root, doi_inbounds_t *in, const char **err);
static int inbound_own_message(json_t *message, doi_inbounds_t *in,
    const char **err);
static int inbound_add(doi_inbounds_t *in, const doi_inbound_t *message,
    const char **err);
static int inbound_list(json_t *object, const char *name, json_t **list);
static int inbound_string(json_t *object, const char *name, doi_str_t *value);


static const inbound_kind_t  inbound_kinds[] = {
    { "text",     "text",     "body"    },
    { "button",   "button",   "text"    },
    { "image",    "image",    "caption" },
    { "video",    "video",    "caption" },
    { "document", "document", "caption" },
    { NULL, NULL, NULL }
};

static const inbound_kind_t  inbound_interactive[] = {
    { "button_reply", "button_reply", "title" },
    { "list_reply",   "list_reply",   "title" },
    { NULL, NULL, NULL }
};


int
doi_hub_verify(doi_str_t secret, doi_str_t body, doi_str_t signature)
{
    uint8_t  mac[DOI_SHA256_SIZE];

    if (!doi_provider_prefix(signature, "sha256=")) {
        return DOI_ERROR;
    }

    signature.data += sizeof("sha256=") - 1;
    signature.len -= sizeof("sha256=") - 1;

    if (doi_provider_hmac("SHA256", secret, &body, 1, mac, sizeof(mac))
        != DOI_OK)
    {
        return DOI_ERROR;
    }

    return doi_provider_hex_is(signature, mac, sizeof(mac)) ? DOI_OK
                                                            : DOI_ERROR;
}


int
doi_inbound_json(doi_provider_t provider, doi_str_t body, doi_inbounds_t *in,
    const char **err)
{
    int           rc;
    json_t       *root;
    json_error_t  error;

    *err = NULL;
    in->n = 0;
    in->json = NULL;

    /* What two parsers may read differently is refused.  A zero in a text must
       not keep the other messages out. */

    root = json_loadb(body.len ? (const char *) body.data : "", body.len,
                      JSON_REJECT_DUPLICATES|JSON_ALLOW_NUL, &error);

    if (root == NULL) {
        *err = "is not JSON";
        return DOI_ERROR;
    }

    in->json = root;

    if (!json_is_object(root)) {
        *err = "is not a JSON object";
        rc = DOI_ERROR;

    } else if (provider == DOI_PROVIDER_META) {
        rc = inbound_meta(root, in, err);

    } else {
        rc = inbound_own(root, in, err);
    }

    if (rc != DOI_OK) {
        doi_inbound_free(in);
    }

    return rc;
}


void
doi_inbound_free(doi_inbounds_t *in)
{
    json_decref(in->json);

    in->json = NULL;
    in->n = 0;
}


static int
inbound_meta(json_t *root, doi_inbounds_t *in, const char **err)
{
    size_t     i;
    json_t    *entries, *entry;
    doi_str_t  name;

    if (inbound_string(root, "object", &name) != DOI_OK
        || !doi_str_is(name, "whatsapp_business_account"))
    {
        *err = "is not about a WhatsApp business account";
        return DOI_ERROR;
    }

    if (inbound_list(root, "entry", &entries) != DOI_OK) {
        *err = "has an \"entry\" that is no list";
        return DOI_ERROR;
    }

    json_array_foreach(entries, i, entry) {
        if (inbound_meta_entry(entry, in, err) != DOI_OK) {
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


static int
inbound_meta_entry(json_t *entry, doi_inbounds_t *in, const char **err)
{
    int        rc;
    size_t     i;
    json_t    *changes, *change, *value;
    doi_str_t  field;

    if (!json_is_object(entry)
        || inbound_list(entry, "changes", &changes) != DOI_OK)
    {
        *err = "has an entry without a list of changes";
        return DOI_ERROR;
    }

    json_array_foreach(changes, i, change) {

        if (!json_is_object(change)) {
            *err = "has a change that is no object";
            return DOI_ERROR;
        }

        rc = inbound_string(change, "field", &field);

        if (rc == DOI_ERROR) {
            *err = "has a \"field\" that is no string";
            return DOI_ERROR;
        }

        if (rc == DOI_NOT_FOUND || !doi_str_is(field, "messages")) {
            continue;
        }

        value = json_object_get(change, "value");

        if (!json_is_object(value)) {
            *err = "has a change whose value is no object";
            return DOI_ERROR;
        }

        if (inbound_meta_value(value, in, err) != DOI_OK) {
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


static int
inbound_meta_value(json_t *value, doi_inbounds_t *in, const char **err)
{
    size_t     i;
    json_t    *messages, *message, *metadata;
    doi_str_t  to = { NULL, 0 };

    if (inbound_list(value, "messages", &messages) != DOI_OK) {
        *err = "has \"messages\" that are no list";
        return DOI_ERROR;
    }

    metadata = json_object_get(value, "metadata");

    if (metadata != NULL
        && (!json_is_object(metadata)
            || inbound_string(metadata, "phone_number_id", &to) == DOI_ERROR))
    {
        *err = "has metadata without a phone number id";
        return DOI_ERROR;
    }

    json_array_foreach(messages, i, message) {
        if (inbound_meta_message(message, to, in, err) != DOI_OK) {
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


static int
inbound_meta_message(json_t *message, doi_str_t to, doi_inbounds_t *in,
    const char **err)
{
    int            rc, from;
    doi_inbound_t  m;

    memset(&m, 0, sizeof(doi_inbound_t));

    if (!json_is_object(message)) {
        *err = "has a message that is no object";
        return DOI_ERROR;
    }

    rc = inbound_meta_text(message, &m.text);

    if (rc == DOI_NOT_FOUND) {
        return DOI_OK;
    }

    if (rc != DOI_OK || inbound_string(message, "id", &m.id) != DOI_OK
        || m.id.len == 0)
    {
        *err = "has a message without an id, or without its text";
        return DOI_ERROR;
    }

    /* Users who go by a name may hide their number: not a contact of ours. */

    from = inbound_string(message, "from", &m.from);

    if (from == DOI_NOT_FOUND) {
        return DOI_OK;
    }

    if (from != DOI_OK || m.from.len == 0) {
        *err = "has a message whose \"from\" is no number";
        return DOI_ERROR;
    }

    m.channel = DOI_CHANNEL_WHATSAPP;
    m.to = to;
    m.sent = inbound_meta_time(message);

    return inbound_add(in, &m, err);
}


/* DOI_NOT_FOUND: a kind of message without a text of the contact's. */

static int
inbound_meta_text(json_t *message, doi_str_t *text)
{
    int                    rc;
    json_t                *object;
    doi_str_t              type;
    const inbound_kind_t  *kind;

    rc = inbound_string(message, "type", &type);

    if (rc != DOI_OK) {
        return rc;
    }

    object = message;
    kind = inbound_kinds;

    if (doi_str_is(type, "interactive")) {
        object = json_object_get(message, "interactive");
        kind = inbound_interactive;

        rc = json_is_object(object) ? inbound_string(object, "type", &type)
                                    : DOI_ERROR;

        if (rc != DOI_OK) {
            return rc;
        }
    }

    while (kind->type != NULL && !doi_str_is(type, kind->type)) {
        kind++;
    }

    if (kind->type == NULL) {
        return DOI_NOT_FOUND;
    }

    object = json_object_get(object, kind->object);

    if (!json_is_object(object)) {
        return DOI_ERROR;
    }

    rc = inbound_string(object, kind->text, text);

    return rc == DOI_NOT_FOUND && strcmp(kind->text, "caption") != 0
           ? DOI_ERROR : rc;
}


/* A string of digits.  0: there is none, or it is another thing. */

static doi_time_t
inbound_meta_time(json_t *message)
{
    size_t     i;
    uint64_t   time;
    doi_str_t  text;

    if (inbound_string(message, "timestamp", &text) != DOI_OK
        || text.len > sizeof("4294967295") - 1)
    {
        return 0;
    }

    time = 0;

    for (i = 0; i < text.len; i++) {

        if (text.data[i] < '0' || text.data[i] > '9') {
            return 0;
        }

        time = time * 10 + (text.data[i] - '0');
    }

    return time <= UINT32_MAX ? (doi_time_t) time : 0;
}


static int
inbound_own(json_t *root, doi_inbounds_t *in, const char **err)
{
    size_t   i;
    json_t  *messages, *message;

    if (json_object_get(root, "messages") == NULL) {
        return inbound_own_message(root, in, err);
    }

    if (inbound_list(root, "messages", &messages) != DOI_OK) {
        *err = "has \"messages\" that are no list";
        return DOI_ERROR;
    }

    json_array_foreach(messages, i, message) {
        if (inbound_own_message(message, in, err) != DOI_OK) {
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


static int
inbound_own_message(json_t *message, doi_inbounds_t *in, const char **err)
{
    json_t        *sent;
    doi_str_t      channel;
    doi_inbound_t  m;

    memset(&m, 0, sizeof(doi_inbound_t));

    if (!json_is_object(message)) {
        *err = "has a message that is no object";
        return DOI_ERROR;
    }

    if (inbound_string(message, "channel", &channel) != DOI_OK) {
        *err = "has a message without a channel";
        return DOI_ERROR;
    }

    if (doi_str_is(channel, "sms")) {
        m.channel = DOI_CHANNEL_SMS;

    } else if (doi_str_is(channel, "whatsapp")) {
        m.channel = DOI_CHANNEL_WHATSAPP;

    } else {
        *err = "has a message whose channel is neither sms nor whatsapp";
        return DOI_ERROR;
    }

    if (inbound_string(message, "id", &m.id) != DOI_OK || m.id.len == 0) {
        *err = "has a message without an id";
        return DOI_ERROR;
    }

    if (inbound_string(message, "from", &m.from) != DOI_OK
        || m.from.len == 0)
    {
        *err = "has a message without a sender";
        return DOI_ERROR;
    }

    if (inbound_string(message, "text", &m.text) != DOI_OK) {
        *err = "has a message without a text";
        return DOI_ERROR;
    }

    if (inbound_string(message, "to", &m.to) == DOI_ERROR) {
        *err = "has a message whose \"to\" is no string";
        return DOI_ERROR;
    }

    sent = json_object_get(message, "time");

    if (sent != NULL && !json_is_null(sent)) {

        if (!json_is_integer(sent) || json_integer_value(sent) < 0
            || json_integer_value(sent) > UINT32_MAX)
        {
            *err = "has a message whose \"time\" is no number of seconds";
            return DOI_ERROR;
        }

        m.sent = (doi_time_t) json_integer_value(sent);
    }

    return inbound_add(in, &m, err);
}


static int
inbound_add(doi_inbounds_t *in, const doi_inbound_t *message,
    const char **err)
{
    if (in->n == DOI_INBOUND_MAX) {
        *err = "has more than 256 messages";
        return DOI_ERROR;
    }

    in->messages[in->n++] = *message;

    return DOI_OK;
}


/* An empty one if it is not there: json_array_foreach() takes NULL. */

static int
inbound_list(json_t *object, const char *name, json_t **list)
{
    *list = json_object_get(object, name);

    return *list == NULL || json_is_array(*list) ? DOI_OK : DOI_ERROR;
}


/* DOI_ERROR: it is no string. */

static int
inbound_string(json_t *object, const char *name, doi_str_t *value)
{
    json_t  *json;

    json = json_object_get(object, name);

    if (json == NULL || json_is_null(json)) {
        return DOI_NOT_FOUND;
    }

    if (!json_is_string(json)) {
        return DOI_ERROR;
    }

    value->data = (const uint8_t *) json_string_value(json);
    value->len = json_string_length(json);

    return DOI_OK;
}
