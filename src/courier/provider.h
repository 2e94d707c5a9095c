/*
 * What the providers of SMS and WhatsApp speak: their webhooks come in, our
 * messages go out; and what CRMs want to be told.  Pure: bytes in, bytes out.
 * JSON is read and written with Jansson.
 *
 *   Twilio   https://www.twilio.com/docs/usage/security (X-Twilio-Signature),
 *            Messages resource, TwiML
 *   Meta     WhatsApp Cloud API: webhooks (X-Hub-Signature-256), messages
 *   JSON     our own plain form, docs/consent.md
 */

#ifndef DOI_PROVIDER_H
#define DOI_PROVIDER_H

#include "../core/form.h"


typedef enum {
    DOI_PROVIDER_TWILIO = 0,
    DOI_PROVIDER_META,
    DOI_PROVIDER_JSON
} doi_provider_t;

#define DOI_INBOUND_MAX     256         /* messages in one post */

typedef struct {
    int        channel;         /* 1 sms, 2 whatsapp: doi_channel_t of
                                   consent.h                                 */
    doi_str_t  id;              /* the provider's message id                 */
    doi_str_t  from;            /* as it came: "+49...", "whatsapp:+49...",
                                   "49..."                                   */
    doi_str_t  to;              /* our number or phone number id             */
    doi_str_t  text;            /* UTF-8; of a button or list reply its title */
    int        opt_out;         /* Twilio OptOutType: 1 STOP, 2 START, 3 HELP,
                                   0                                         */
    doi_time_t sent;            /* Meta, JSON: when it was written; 0: not
                                   known                                     */
} doi_inbound_t;

typedef struct {
    size_t         n;
    doi_inbound_t  messages[DOI_INBOUND_MAX];
    void          *json;        /* owns what the strings point to;
                                   doi_inbound_free                          */
} doi_inbounds_t;


/*
 * Twilio: HMAC-SHA1(auth token, URL, then names and values of the POST
 * parameters sorted by name), base64.  urls: those that may have been signed
 * (with and without the port), n of them.  For a JSON body Twilio signs the URL
 * alone, which has bodySHA256=: verified too.  DOI_OK or DOI_ERROR, in constant
 * time.
 */
int doi_twilio_verify(doi_str_t secret, const doi_str_t *urls, size_t n,
    const doi_form_t *form, doi_str_t body, doi_str_t signature);

/* The URL with its default port added, or with its port taken out: appends to
   out; DOI_NOT_FOUND if there is no such variant. */
int doi_url_with_port(doi_str_t url, doi_buf_t *out);
int doi_url_without_port(doi_str_t url, doi_buf_t *out);

/* Meta and JSON: header value "sha256=" and 64 hexadecimal digits of
   HMAC-SHA256(secret, raw body). */
int doi_hub_verify(doi_str_t secret, doi_str_t body, doi_str_t signature);

/* From a verified Twilio form: one message.  A form without From, Body or
   MessageSid is an error; status callbacks (no Body, MessageStatus there) give
   0 messages. */
int doi_inbound_twilio(const doi_form_t *form, doi_inbounds_t *in,
    const char **err);

/* From verified JSON.  Meta: all messages of all entries and changes; statuses
   and other kinds (images without caption, reactions) are skipped.  JSON:
   {"messages": [{"id","channel","from","to","text","time"}]} or one such
   object. */
int doi_inbound_json(doi_provider_t provider, doi_str_t body,
    doi_inbounds_t *in, const char **err);
void doi_inbound_free(doi_inbounds_t *in);

/* TwiML: <Response/> or one with <Message>text</Message>.  Appends;
   DOI_ERROR. */
int doi_twiml(doi_str_t text, doi_buf_t *out);


/* Messages out. */

typedef struct {
    const char  *url;           /* as configured                             */
    const char  *user;          /* Twilio: account SID                       */
    doi_str_t    secret;        /* Twilio: auth token; Meta: access token; JSON:
                                   HMAC secret                               */
    doi_str_t    from;          /* our number; Meta: unused                  */
    int          channel;
    doi_str_t    to;            /* E.164                                     */
    doi_str_t    text;
    doi_str_t    id;            /* of the delivery: idempotency              */
    doi_time_t   now;
} doi_outbound_t;

typedef struct {
    char        *method;        /* "POST"                                    */
    char        *url;
    char        *user;          /* basic auth, or NULL                       */
    char        *password;
    char        *headers[8];    /* "Name: value", ended by NULL              */
    char        *body;
    size_t       len;
} doi_http_request_t;           /* all from malloc: doi_http_request_free    */

int doi_outbound(doi_provider_t provider, const doi_outbound_t *message,
    doi_http_request_t *request);
void doi_http_request_free(doi_http_request_t *request);

typedef enum {
    DOI_ANSWER_DONE = 0,
    DOI_ANSWER_TEMPORARY,
    DOI_ANSWER_PERMANENT,
    DOI_ANSWER_OPTED_OUT        /* the provider says the recipient has opted
                                   out: Twilio 21610; Meta 131050, 131047 is a
                                   closed window (PERMANENT); JSON
                                   {"error":"opted_out"}                     */
} doi_answer_t;

/* What an answer means.  text: at most 200 bytes printable ASCII, no number. */
doi_answer_t doi_outbound_answer(doi_provider_t provider, long status,
    doi_str_t body, char *text, size_t size);


/* CRMs. */

typedef enum {
    DOI_CRM_HUBSPOT = 0,        /* communication preferences v4              */
    DOI_CRM_SALESFORCE,         /* ContactPointTypeConsent, with
                                   DoubleConsentCaptureDate; composite upsert */
    DOI_CRM_JSON
} doi_crm_t;

typedef struct {
    const char  *url;
    doi_str_t    secret;        /* bearer token; JSON: HMAC secret           */
    doi_str_t    id;            /* of the delivery                           */
    int          channel;
    doi_str_t    address;
    doi_str_t    person;
    doi_str_t    list;          /* HubSpot: number of the subscription, mapped
                                   by the caller                             */
    int          status;        /* doi_consent_state_t                       */
    int          source;
    doi_time_t   since;         /* of the status                             */
    doi_time_t   opted_in;
    doi_time_t   now;
} doi_crm_change_t;

/* DOI_NOT_FOUND: this CRM has nothing to be told of this change (HubSpot:
   channels other than e-mail; pending). */
int doi_crm_request(doi_crm_t crm, const doi_crm_change_t *change,
    doi_http_request_t *request);
doi_answer_t doi_crm_answer(doi_crm_t crm, long status, doi_str_t body,
    char *text, size_t size);

#endif /* DOI_PROVIDER_H */
