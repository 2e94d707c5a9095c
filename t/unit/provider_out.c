/*
 * Unit tests of src/courier/outbound.c and crm.c: what providers and CRMs are
 * sent, and what their answers mean.
 */

#include <stdio.h>

#include <jansson.h>

#include "courier/provider.h"
#include "core/consent.h"
#include "provider_help.h"
#include "tap.h"


#define URL         "https://api.example.com/v1/messages"
#define NUMBER      "+4915112345678"
#define SINCE       1795343527          /* 2026-11-22T10:32:07Z */
#define OPTED_IN    1795257127          /* 2026-11-21T10:32:07Z */


static doi_http_request_t  request;


static doi_outbound_t
message(int channel)
{
    doi_outbound_t  m;

    memset(&m, 0, sizeof(m));
    m.url = URL;
    m.user = "AC0123";
    m.secret = str("t0ken:+/");
    m.from = str("+4915735980000");
    m.channel = channel;
    m.to = str(NUMBER);
    m.text = str("Gr\xC3\xBC\xC3\x9F" "e & 100%+1 \xF0\x9F\x91\x8D\r\n=~@");
    m.id = str("awLWosImo-IfDqmW");
    m.now = SINCE;

    return m;
}


static const char *
header(const char *name)
{
    size_t       i, len;
    const char  *found;

    found = NULL;
    len = strlen(name);

    for (i = 0; i < 8 && request.headers[i] != NULL; i++) {

        if (strpbrk(request.headers[i], "\r\n") != NULL) {
            return "a line end";
        }

        if (strncmp(request.headers[i], name, len) == 0
            && strncmp(request.headers[i] + len, ": ", 2) == 0)
        {
            if (found != NULL) {
                return "twice";
            }

            found = request.headers[i] + len + 2;
        }
    }

    return i < 8 ? found != NULL ? found : "" : "not ended";
}


static int
empty(void)
{
    static const doi_http_request_t  zeros;

    return memcmp(&request, &zeros, sizeof(zeros)) == 0;
}


/* The body, as it would be written with its keys in order. */

static int
body_is(const char *json)
{
    int      equal;
    json_t  *got, *wanted;

    if (request.body == NULL || request.len != strlen(request.body)) {
        return 0;
    }

    got = json_loads(request.body, JSON_REJECT_DUPLICATES, NULL);
    wanted = json_loads(json, 0, NULL);
    equal = got != NULL && wanted != NULL && json_equal(got, wanted);

    if (!equal) {
        printf("# body: %s\n", request.body);
    }

    json_decref(got);
    json_decref(wanted);

    return equal;
}


#define BODY    "Gr%C3%BC%C3%9Fe%20%26%20100%25%2B1%20%F0%9F%91%8D%0D%0A%3D"   \
                "%7E%40"

static void
test_twilio(void)
{
    doi_outbound_t  m;

    m = message(DOI_CHANNEL_SMS);
    is_int(doi_outbound(DOI_PROVIDER_TWILIO, &m, &request), DOI_OK, "an SMS");
    ok(strcmp(request.method, "POST") == 0 && strcmp(request.url, URL) == 0
       && strcmp(request.user, "AC0123") == 0
       && strcmp(request.password, "t0ken:+/") == 0, "goes where it should");
    ok(strcmp(header("Content-Type"), "application/x-www-form-urlencoded") == 0
       && request.headers[1] == NULL, "as a form");
    ok(request.len == strlen(request.body)
       && strcmp(request.body, "To=%2B4915112345678&From=%2B4915735980000&Body="
                 BODY) == 0, "its body: %s", request.body);
    doi_http_request_free(&request);
    ok(empty(), "freed");
    doi_http_request_free(&request);

    m = message(DOI_CHANNEL_WHATSAPP);
    is_int(doi_outbound(DOI_PROVIDER_TWILIO, &m, &request), DOI_OK,
           "WhatsApp by Twilio");
    ok(strcmp(request.body, "To=whatsapp%3A%2B4915112345678"
              "&From=whatsapp%3A%2B4915735980000&Body=" BODY) == 0,
       "both numbers are WhatsApp's");
    doi_http_request_free(&request);

    m.from = str("whatsapp:+4915735980000");
    is_int(doi_outbound(DOI_PROVIDER_TWILIO, &m, &request), DOI_OK,
           "a sender that says so");
    ok(strstr(request.body, "&From=whatsapp%3A%2B4915735980000&") != NULL,
       "says it once");
    doi_http_request_free(&request);

    m.from = str("MG0123456789abcdef");
    is_int(doi_outbound(DOI_PROVIDER_TWILIO, &m, &request), DOI_OK,
           "a messaging service");
    ok(strstr(request.body, "&MessagingServiceSid=MG0123456789abcdef&") != NULL
       && strstr(request.body, "From=") == NULL, "is no number");
    doi_http_request_free(&request);

    m = message(DOI_CHANNEL_SMS);
    m.from = str("A&To=+1");
    is_int(doi_outbound(DOI_PROVIDER_TWILIO, &m, &request), DOI_OK,
           "a sender with an ampersand");
    ok(strncmp(request.body, "To=%2B4915112345678&From=A%26To%3D%2B1&Body=",
               44) == 0, "adds no parameter");
    doi_http_request_free(&request);
}


static void
test_meta(void)
{
    doi_outbound_t  m;

    m = message(DOI_CHANNEL_WHATSAPP);
    is_int(doi_outbound(DOI_PROVIDER_META, &m, &request), DOI_OK, "Meta");
    ok(strcmp(request.method, "POST") == 0 && strcmp(request.url, URL) == 0
       && request.user == NULL && request.password == NULL,
       "goes where it should");
    ok(strcmp(header("Content-Type"), "application/json") == 0
       && strcmp(header("Authorization"), "Bearer t0ken:+/") == 0
       && request.headers[2] == NULL, "headers");
    ok(body_is("{\"messaging_product\":\"whatsapp\",\"recipient_type\":"
               "\"individual\",\"to\":\"4915112345678\",\"type\":\"text\","
               "\"text\":{\"preview_url\":false,\"body\":\"Gr\xC3\xBC\xC3\x9F"
               "e & 100%+1 \xF0\x9F\x91\x8D\\r\\n=~@\"}}"), "body");
    doi_http_request_free(&request);

    m = message(DOI_CHANNEL_SMS);
    is_int(doi_outbound(DOI_PROVIDER_META, &m, &request), DOI_ERROR,
           "Meta sends no SMS");
    ok(empty(), "nothing is left");
}


static void
test_own(void)
{
    char            wanted[128];
    doi_str_t       body, signature;
    doi_outbound_t  m;

    m = message(DOI_CHANNEL_SMS);
    m.text = str("Hello, \"World\"!");
    is_int(doi_outbound(DOI_PROVIDER_JSON, &m, &request), DOI_OK, "JSON");
    ok(strcmp(request.url, URL) == 0 && request.user == NULL, "no log-in");
    ok(body_is("{\"id\":\"awLWosImo-IfDqmW\",\"channel\":\"sms\",\"from\":"
               "\"+4915735980000\",\"to\":\"+4915112345678\",\"text\":"
               "\"Hello, \\\"World\\\"!\"}"), "body");
    ok(strcmp(header("Idempotency-Key"), "awLWosImo-IfDqmW") == 0
       && strcmp(header("Content-Type"), "application/json") == 0
       && strcmp(header("Authorization"), "") == 0, "headers");

    signature = str(header("X-Doi-Signature-256"));
    body.data = (const uint8_t *) request.body;
    body.len = request.len;
    is_int(doi_hub_verify(m.secret, body, signature), DOI_OK,
           "the signature is that of the body");

    /* by Python's hmac, of the bytes that we write */

    snprintf(wanted, sizeof(wanted), "sha256=%s",
             "43899a8cae0a00fce5633c8f66ec6405"
             "debe964df3507f0a4ad9e52e72e1ae24");
    ok(strcmp(header("X-Doi-Signature-256"), wanted) == 0, "%s %s",
       header("X-Doi-Signature-256"), request.body);
    doi_http_request_free(&request);

    m = message(DOI_CHANNEL_WHATSAPP);
    is_int(doi_outbound(DOI_PROVIDER_JSON, &m, &request), DOI_OK,
           "JSON for WhatsApp");
    ok(strstr(request.body, "\"channel\":\"whatsapp\"") != NULL, "says so");
    doi_http_request_free(&request);
}


/* For all three providers. */

static void
is_refused(const doi_outbound_t *m, const char *what)
{
    int  i, bad;

    bad = 0;

    for (i = 0; i < 3; i++) {
        memset(&request, 0xA5, sizeof(request));

        if (doi_outbound((doi_provider_t) i, m, &request) != DOI_ERROR
            || !empty())
        {
            printf("# provider %d\n", i);
            bad++;
        }
    }

    is_int(bad, 0, "refused: %s", what);
}


static void
test_refused(void)
{
    size_t          i;
    doi_outbound_t  m;

    static const char *const  numbers[] = {
        "", "4915112345678", "+", "+49", "+0915112345678",
        "+4915112345678901", "+49 1511234567", "+4915112345678\r\n",
        "whatsapp:+4915112345678", "+491511234567a", "+49151\r\nX:y"
    };

    static const char *const  secrets[] = {
        "", "a\r\nX-Evil: 1", "a\nb", "a\r", "\x01", "a\x7F"
    };

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        m = message(DOI_CHANNEL_WHATSAPP);
        m.to = str(numbers[i]);
        is_refused(&m, numbers[i]);
    }

    for (i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        m = message(DOI_CHANNEL_WHATSAPP);
        m.secret = str(secrets[i]);

        /* the secret of JSON signs, and is not sent */

        if (i == 0) {
            is_refused(&m, "no secret");
            continue;
        }

        is_int(doi_outbound(DOI_PROVIDER_META, &m, &request), DOI_ERROR,
               "secret %zu refused for Meta", i);
        ok(empty(), "nothing is left");
        is_int(doi_outbound(DOI_PROVIDER_TWILIO, &m, &request), DOI_ERROR,
               "and for Twilio");
        ok(empty(), "nothing is left");
    }

    m = message(DOI_CHANNEL_WHATSAPP);
    m.secret.data = (const uint8_t *) "a\0b";
    m.secret.len = 3;
    is_int(doi_outbound(DOI_PROVIDER_TWILIO, &m, &request), DOI_ERROR,
           "a zero in a password");
    is_int(doi_outbound(DOI_PROVIDER_META, &m, &request), DOI_ERROR,
           "a zero in a token");

    m = message(DOI_CHANNEL_WHATSAPP);
    m.id = str("a\r\nX-Evil: 1");
    is_int(doi_outbound(DOI_PROVIDER_JSON, &m, &request), DOI_ERROR,
           "a line end in the id");
    m.id = str("");
    is_int(doi_outbound(DOI_PROVIDER_JSON, &m, &request), DOI_ERROR, "no id");
    ok(empty(), "nothing is left");

    m = message(DOI_CHANNEL_WHATSAPP);
    m.url = "https://a.example/\r\nX: y";
    is_refused(&m, "a line end in the URL");
    m.url = "";
    is_refused(&m, "an empty URL");
    m.url = NULL;
    is_refused(&m, "no URL");

    m = message(DOI_CHANNEL_WHATSAPP);
    m.text = str("");
    is_refused(&m, "no text");
    m.text = str("a\xFF");
    is_refused(&m, "a text that is not UTF-8");

    m = message(DOI_CHANNEL_EMAIL);
    is_refused(&m, "e-mail");
    m = message(DOI_CHANNELS);
    is_refused(&m, "no channel");

    m = message(DOI_CHANNEL_SMS);
    m.user = NULL;
    is_int(doi_outbound(DOI_PROVIDER_TWILIO, &m, &request), DOI_ERROR,
           "Twilio without an account");
    m.user = "AC\r\nX";
    is_int(doi_outbound(DOI_PROVIDER_TWILIO, &m, &request), DOI_ERROR,
           "a line end in it");
    m = message(DOI_CHANNEL_SMS);
    m.from = str("");
    is_int(doi_outbound(DOI_PROVIDER_TWILIO, &m, &request), DOI_ERROR,
           "Twilio without a sender");
    ok(empty(), "nothing is left");
}


/* What every text promises; text itself must have been filled. */

static int
text_fit(const char *text)
{
    size_t  i, digits;

    if (strlen(text) > 200 || text[0] == '\0' || strchr(text, '@') != NULL) {
        return 0;
    }

    digits = 0;

    for (i = 0; text[i] != '\0'; i++) {

        if (text[i] < ' ' || text[i] > '~') {
            return 0;
        }

        digits = text[i] >= '0' && text[i] <= '9' ? digits + 1 : 0;

        if (digits > 7) {
            return 0;
        }
    }

    return 1;
}


typedef struct {
    int            whom;
    long           status;
    const char    *body;
    doi_answer_t   answer;
    const char    *text;
} answer_t;


#define FAILED(code, message)                                                 \
    "{\"code\":" code ",\"message\":\"" message "\",\"more_info\":"           \
    "\"https://www.twilio.com/docs/errors/1\",\"status\":400}"
#define GRAPH(code, message)                                                  \
    "{\"error\":{\"message\":\"(#" code ") " message "\",\"type\":"           \
    "\"OAuthException\",\"code\":" code ",\"error_data\":{\"details\":\"d\"}}}"

static void
test_answers(void)
{
    char          text[300];
    size_t        i, n;
    doi_str_t     body;
    doi_answer_t  answer;

    static const answer_t  answers[] = {
        { DOI_PROVIDER_TWILIO, 201, "{\"sid\":\"SM1\",\"status\":\"queued\","
          "\"error_code\":null}", DOI_ANSWER_DONE, "HTTP status 201" },
        { DOI_PROVIDER_TWILIO, 400, FAILED("21610", "Attempt to send to "
          "unsubscribed recipient"), DOI_ANSWER_OPTED_OUT,
          "HTTP status 400, code 21610: Attempt to send to unsubscribed "
          "recipient" },
        { DOI_PROVIDER_TWILIO, 201, "{\"error_code\":21610}",
          DOI_ANSWER_OPTED_OUT, "HTTP status 201, code 21610" },
        { DOI_PROVIDER_TWILIO, 201, "{\"error_code\":30007}",
          DOI_ANSWER_PERMANENT, "HTTP status 201, code 30007" },
        { DOI_PROVIDER_TWILIO, 400, FAILED("21211", "The 'To' number "
          "+4915112345678 is not valid"), DOI_ANSWER_PERMANENT,
          "HTTP status 400, code 21211: The 'To' number +*** is not valid" },
        { DOI_PROVIDER_TWILIO, 429, FAILED("20429", "Too Many Requests"),
          DOI_ANSWER_TEMPORARY, "Too Many" },
        { DOI_PROVIDER_TWILIO, 400, FAILED("21611", "queue"),
          DOI_ANSWER_TEMPORARY, "21611" },
        { DOI_PROVIDER_TWILIO, 401, FAILED("20003", "Authenticate"),
          DOI_ANSWER_TEMPORARY, "20003" },
        { DOI_PROVIDER_TWILIO, 400, "{\"code\":\"21610\"}",
          DOI_ANSWER_PERMANENT, "HTTP status 400" },
        { DOI_PROVIDER_TWILIO, 500, "<html>", DOI_ANSWER_TEMPORARY, "500" },
        { DOI_PROVIDER_TWILIO, 404, "", DOI_ANSWER_PERMANENT, "404" },
        { DOI_PROVIDER_TWILIO, 302, "", DOI_ANSWER_PERMANENT, "302" },
        { DOI_PROVIDER_TWILIO, 0, "", DOI_ANSWER_TEMPORARY, "no answer" },
        { DOI_PROVIDER_TWILIO, 400, "[]", DOI_ANSWER_PERMANENT, "400" },

        { DOI_PROVIDER_META, 200, "{\"messages\":[{\"id\":\"wamid.1\"}]}",
          DOI_ANSWER_DONE, "HTTP status 200" },
        { DOI_PROVIDER_META, 400, GRAPH("131050", "opted out"),
          DOI_ANSWER_OPTED_OUT, "code 131050" },
        { DOI_PROVIDER_META, 400, GRAPH("131047", "Re-engagement"),
          DOI_ANSWER_PERMANENT, "code 131047" },
        { DOI_PROVIDER_META, 400, GRAPH("130429", "Rate limit hit"),
          DOI_ANSWER_TEMPORARY, "Rate limit hit" },
        { DOI_PROVIDER_META, 400, GRAPH("4", "Too many calls"),
          DOI_ANSWER_TEMPORARY, "code 4: (#4) Too many calls" },
        { DOI_PROVIDER_META, 400, GRAPH("80007", "x"), DOI_ANSWER_TEMPORARY,
          "80007" },
        { DOI_PROVIDER_META, 401, GRAPH("190", "expired"),
          DOI_ANSWER_TEMPORARY, "190" },
        { DOI_PROVIDER_META, 400, GRAPH("131026", "undeliverable"),
          DOI_ANSWER_PERMANENT, "131026" },
        { DOI_PROVIDER_META, 500, GRAPH("131000", "x"), DOI_ANSWER_TEMPORARY,
          "131000" },
        { DOI_PROVIDER_META, 500, GRAPH("131047", "x"), DOI_ANSWER_PERMANENT,
          "131047" },
        { DOI_PROVIDER_META, 200, GRAPH("100", "x"), DOI_ANSWER_PERMANENT,
          "code 100" },
        { DOI_PROVIDER_META, 400, "{\"error\":\"x\"}", DOI_ANSWER_PERMANENT,
          "400" },
        { DOI_PROVIDER_META, 400, "{\"error\":{\"code\":4915112345678,"
          "\"message\":\"n\"}}", DOI_ANSWER_PERMANENT,
          "HTTP status 400: n" },

        { DOI_PROVIDER_JSON, 202, "", DOI_ANSWER_DONE, "HTTP status 202" },
        { DOI_PROVIDER_JSON, 409, "{\"error\":\"opted_out\"}",
          DOI_ANSWER_OPTED_OUT, "HTTP status 409, code opted_out" },
        { DOI_PROVIDER_JSON, 200, "{\"error\":\"opted_out\"}",
          DOI_ANSWER_OPTED_OUT, "opted_out" },
        { DOI_PROVIDER_JSON, 400, "{\"error\":\"bad number\"}",
          DOI_ANSWER_PERMANENT, "HTTP status 400" },
        { DOI_PROVIDER_JSON, 400, "{\"error\":\"n4915112345678\"}",
          DOI_ANSWER_PERMANENT, "HTTP status 400" },
        { DOI_PROVIDER_JSON, 408, "", DOI_ANSWER_TEMPORARY, "408" },
        { DOI_PROVIDER_JSON, 425, "", DOI_ANSWER_TEMPORARY, "425" },
        { DOI_PROVIDER_JSON, 503, "{", DOI_ANSWER_TEMPORARY, "503" },
    };

    n = sizeof(answers) / sizeof(answers[0]);

    for (i = 0; i < n; i++) {
        body = tight(str(answers[i].body));
        memset(text, 'X', sizeof(text));
        answer = doi_outbound_answer((doi_provider_t) answers[i].whom,
                                     answers[i].status, body, text,
                                     sizeof(text));
        free((void *) body.data);

        is_int(answer, answers[i].answer, "%d: %ld %.80s", answers[i].whom,
               answers[i].status, answers[i].body);
        ok(text_fit(text) && strstr(text, answers[i].text) != NULL, "%s",
           text);
    }
}


static void
test_texts(void)
{
    char    body[2048], text[300], wanted[300], *room;
    size_t  i;

    static const char *const  secrets[][2] = {
        { "+49 151 1234 5678 is bad", "+*** is bad" },
        { "to (0151) 12-34-56-78!", "to (***!" },
        { "49/151/123.456 78x", "***x" },
        { "call joe.bloggs@example.org now", "call *** now" },
        { "<joe@a.b>", "***" },
        { "49151@s.whatsapp.net 2 of 3", "*** 2 of 3" },
        { "12345 joe@a.b", "*** ***" },
        { "1234 and 12345", "1234 and ***" },
        { "\\u0664\\u0669 \\u00fc\\r\\nend", "???? ????end" },
        { "\\uff14\\uff19 1 2 3 4 5", "?????? ***" },
        { "zero \\u0000 4915112345678", "" },
        { "%2B4915112345678", "%2B***" },
        { "a\\tb\\u007fc", "a?b?c" },
        { "4@", "***" },
        { "1234567 9joe@a.b", "******" },
    };

    for (i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        snprintf(body, sizeof(body), "{\"code\":1,\"message\":\"%s\"}",
                 secrets[i][0]);
        (void) doi_outbound_answer(DOI_PROVIDER_TWILIO, 400, str(body), text,
                                   sizeof(text));
        snprintf(wanted, sizeof(wanted), "HTTP status 400, code 1%s%s",
                 secrets[i][1][0] != '\0' ? ": " : "", secrets[i][1]);

        if (secrets[i][1][0] == '\0') {
            wanted[strlen("HTTP status 400")] = '\0';
        }

        ok(text_fit(text) && strcmp(text, wanted) == 0, "%s: %s",
           secrets[i][0], text);
    }

    /* long ones, and little room */

    memset(body, 0, sizeof(body));
    strcpy(body, "{\"code\":21211,\"message\":\"");
    memset(body + strlen(body), 'x', 1800);
    strcat(body, "\"}");
    memset(text, 'X', sizeof(text));
    (void) doi_outbound_answer(DOI_PROVIDER_TWILIO, 400, str(body), text,
                               sizeof(text));
    is_int(strlen(text), 200, "200 bytes at most");

    for (i = 0; i <= 60; i++) {
        room = malloc(i ? i : 1);
        room[0] = 'X';
        (void) doi_outbound_answer(DOI_PROVIDER_TWILIO, 400, str(
            "{\"code\":21211,\"message\":\"a +4915112345678 b@c d\"}"), room,
            i);

        if (i == 0 ? room[0] != 'X' : strlen(room) > i - 1) {
            free(room);
            break;
        }

        free(room);
    }

    is_int(i, 61, "nor more than there is room for");
}


static doi_crm_change_t
change(int channel, int status)
{
    doi_crm_change_t  c;

    memset(&c, 0, sizeof(c));
    c.url = "https://crm.example.com/";
    c.secret = str("pat-eu1-0123");
    c.id = str("awLWosImo-IfDqmW");
    c.channel = channel;
    c.address = str(channel == DOI_CHANNEL_EMAIL ? "ada@example.com" : NUMBER);
    c.person = str("user-7");
    c.list = str("news");
    c.status = status;
    c.source = DOI_SOURCE_KEYWORD;
    c.since = SINCE;
    c.opted_in = OPTED_IN;
    c.now = SINCE + 60;

    return c;
}


static void
test_hubspot(void)
{
    int               i, j, bad;
    char              longest[254];
    doi_crm_change_t  c;

    static const char *const  wrong[] = {
        "", "news", "-1", "1 ", "1.5", "0x10", "1000000000000000000"
    };

    c = change(DOI_CHANNEL_EMAIL, DOI_CONSENT_DOUBLE);
    c.list = str("7015");
    is_int(doi_crm_request(DOI_CRM_HUBSPOT, &c, &request), DOI_OK, "HubSpot");
    ok(strcmp(request.method, "POST") == 0
       && strcmp(request.url, "https://crm.example.com/"
                 "communication-preferences/v4/statuses/ada@example.com")
          == 0,
       "subscribe: %s", request.url);
    ok(body_is("{\"channel\":\"EMAIL\",\"statusState\":\"SUBSCRIBED\","
               "\"subscriptionId\":7015,\"legalBasis\":"
               "\"CONSENT_WITH_NOTICE\","
               "\"legalBasisExplanation\":\"double opt-in (keyword) at "
               "2026-11-22T10:32:07Z\"}"), "body");
    ok(strcmp(header("Authorization"), "Bearer pat-eu1-0123") == 0
       && strcmp(header("Content-Type"), "application/json") == 0,
       "headers");
    doi_http_request_free(&request);

    c.status = DOI_CONSENT_SINGLE;
    c.url = "https://crm.example.com";
    c.address = str("a+/?#&%\xc3\xa4.b-c_d@example.com");
    is_int(doi_crm_request(DOI_CRM_HUBSPOT, &c, &request), DOI_OK, "single");
    ok(strcmp(request.url, "https://crm.example.com/"
              "communication-preferences/v4/statuses/"
              "a%2B%2F%3F%23%26%25%C3%A4.b-c_d@example.com") == 0,
       "the address is one segment: %s", request.url);
    ok(strstr(request.body, "\"SUBSCRIBED\"") != NULL
       && strstr(request.body, "\"opt-in (keyword) at") != NULL,
       "subscribes too");
    doi_http_request_free(&request);

    memset(longest, 'a', sizeof(longest));
    c.address.data = (const uint8_t *) longest;
    c.address.len = sizeof(longest);
    is_int(doi_crm_request(DOI_CRM_HUBSPOT, &c, &request), DOI_OK,
           "the longest address");
    doi_http_request_free(&request);
    memset(longest, '/', sizeof(longest));
    is_int(doi_crm_request(DOI_CRM_HUBSPOT, &c, &request), DOI_OK,
           "and escaped");
    ok(strlen(request.url) == strlen("https://crm.example.com/"
              "communication-preferences/v4/statuses/") + 3 * sizeof(longest),
       "whole");
    doi_http_request_free(&request);

    c = change(DOI_CHANNEL_EMAIL, DOI_CONSENT_OPTED_OUT);
    c.list = str("999999999999999999");
    is_int(doi_crm_request(DOI_CRM_HUBSPOT, &c, &request), DOI_OK, "opted out");
    ok(strstr(request.body, "\"UNSUBSCRIBED\"") != NULL
       && strstr(request.body, ":999999999999999999,") != NULL
       && strstr(request.body, "\"opt-out (keyword) at") != NULL,
       "unsubscribes");
    doi_http_request_free(&request);

    bad = 0;

    for (i = 0; i < DOI_CHANNELS; i++) {
        for (j = 0; j < DOI_CONSENT_STATES; j++) {
            c = change(i, j);
            c.list = str("1");
            memset(&request, 0xA5, sizeof(request));

            if (i == DOI_CHANNEL_EMAIL && j != DOI_CONSENT_NONE
                && j != DOI_CONSENT_PENDING)
            {
                bad += doi_crm_request(DOI_CRM_HUBSPOT, &c, &request)
                       != DOI_OK;
                doi_http_request_free(&request);
                continue;
            }

            bad += doi_crm_request(DOI_CRM_HUBSPOT, &c, &request)
                   != DOI_NOT_FOUND || !empty();
        }
    }

    is_int(bad, 0, "nothing is said of other channels, and of what is pending");

    c = change(DOI_CHANNEL_EMAIL, DOI_CONSENT_DOUBLE);

    for (i = 0; i < (int) (sizeof(wrong) / sizeof(wrong[0])); i++) {
        c.list = str(wrong[i]);
        is_int(doi_crm_request(DOI_CRM_HUBSPOT, &c, &request), DOI_ERROR,
               "no number of a subscription: \"%s\"", wrong[i]);
    }
}


/* A field of the record in the body: its text, "null", or "" for none. */

static const char *
field(const char *name)
{
    json_t       *root, *value;
    static char   text[512];

    root = json_loads(request.body, 0, NULL);
    value = json_object_get(json_object_get(json_array_get(json_object_get(
                root, "compositeRequest"), 0), "body"), name);

    snprintf(text, sizeof(text), "%s", value == NULL ? ""
             : json_is_null(value) ? "null" : json_string_value(value));
    json_decref(root);

    return text;
}


static char *
upsert_url(void)
{
    char         *url;
    json_t       *root;
    const char   *text;

    root = json_loads(request.body, 0, NULL);
    text = json_string_value(json_object_get(json_array_get(json_object_get(
               root, "compositeRequest"), 0), "url"));
    url = strdup(text != NULL ? text : "");
    json_decref(root);

    return url;
}


static void
test_salesforce(void)
{
    size_t             i;
    char              *one, *two;
    doi_crm_change_t   c;

    static const struct {
        int          status;
        const char  *privacy;
        const char  *captured;
        const char  *twice;
    } states[] = {
        { DOI_CONSENT_NONE, "NotSeen", "2026-11-22T10:32:07Z", "null" },
        { DOI_CONSENT_PENDING, "Seen", "2026-11-22T10:32:07Z", "null" },
        { DOI_CONSENT_SINGLE, "OptIn", "2026-11-21T10:32:07Z", "null" },
        { DOI_CONSENT_DOUBLE, "OptIn", "2026-11-21T10:32:07Z",
          "2026-11-22T10:32:07Z" },
        { DOI_CONSENT_OPTED_OUT, "OptOut", "2026-11-22T10:32:07Z", "null" },
    };

    static const char  path[] =
        "/services/data/v58.0/sobjects/ContactPointTypeConsent/My_Key__c/";

    static const char *const  how[] = {
        "Web", "Phone", "Phone", "Phone", "Email", "Email", "Email", "Email"
    };

    static const char *const  urls[] = {
        "https://x.example/services/data/v60.0",
        "https://x.example/services/data/v60.0/sobjects/Contact/Key__c",
        "https://x.example/services/data/sobjects/ContactPointTypeConsent/K",
        "https://x.example/services/data/v60.0/sobjects/"
            "ContactPointTypeConsent/",
        "https://x.example/services/data/v60.0/sobjects/"
            "ContactPointTypeConsent/Key__c/1",
        "https://x.example/services/data/v60.0/sobjects/"
            "ContactPointTypeConsent/Key__c?x",
        "https://x.example/\r\nX: y", ""
    };

    c = change(DOI_CHANNEL_SMS, DOI_CONSENT_DOUBLE);
    is_int(doi_crm_request(DOI_CRM_SALESFORCE, &c, &request), DOI_OK,
           "Salesforce");
    ok(strcmp(request.method, "POST") == 0
       && strcmp(request.url,
                 "https://crm.example.com/services/data/v60.0/composite") == 0,
       "%s", request.url);
    ok(strcmp(header("Authorization"), "Bearer pat-eu1-0123") == 0
       && strcmp(header("Content-Type"), "application/json") == 0,
       "headers");
    ok(body_is("{\"allOrNone\":true,\"compositeRequest\":[{\"method\":"
               "\"PATCH\",\"referenceId\":\"consent\",\"url\":"
               "\"/services/data/v60.0/sobjects/ContactPointTypeConsent/"
               "DoiKey__c/2cf4f868d377bf5280e00893f5160109\",\"body\":{"
               "\"Name\":\"news, sms:+4915112345678\","
               "\"ContactPointType\":\"Phone\","
               "\"PrivacyConsentStatus\":\"OptIn\","
               "\"CaptureContactPointType\":\"Phone\","
               "\"CaptureSource\":\"keyword, sms\","
               "\"CaptureDate\":\"2026-11-21T10:32:07Z\","
               "\"EffectiveFrom\":\"2026-11-22T10:32:07Z\","
               "\"DoubleConsentCaptureDate\":\"2026-11-22T10:32:07Z\"}}]}"),
       "body");
    one = upsert_url();
    ok(strstr(one, "1511") == NULL, "no number in a URL");
    doi_http_request_free(&request);

    c.status = DOI_CONSENT_OPTED_OUT;
    c.id = str("another");
    (void) doi_crm_request(DOI_CRM_SALESFORCE, &c, &request);
    two = upsert_url();
    ok(strcmp(one, two) == 0, "the next change is of the same record");
    free(two);
    doi_http_request_free(&request);

    c.list = str("new");
    c.address = str(NUMBER "s");
    (void) doi_crm_request(DOI_CRM_SALESFORCE, &c, &request);
    two = upsert_url();
    ok(strcmp(one, two) != 0, "another contact has another one");
    free(two);
    doi_http_request_free(&request);

    c = change(DOI_CHANNEL_WHATSAPP, DOI_CONSENT_DOUBLE);
    (void) doi_crm_request(DOI_CRM_SALESFORCE, &c, &request);
    two = upsert_url();
    ok(strcmp(one, two) != 0, "so has another channel");
    ok(strcmp(field("ContactPointType"), "Phone") == 0, "a phone as well");
    ok(strcmp(field("PartyId"), "") == 0, "a person of ours is no party");
    free(two);
    free(one);
    doi_http_request_free(&request);

    c.person = str("0PK5g00000AbCdEGAV");
    (void) doi_crm_request(DOI_CRM_SALESFORCE, &c, &request);
    ok(strcmp(field("PartyId"), "0PK5g00000AbCdEGAV") == 0,
       "an Individual is one");
    doi_http_request_free(&request);

    for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        c = change(DOI_CHANNEL_EMAIL, states[i].status);
        is_int(doi_crm_request(DOI_CRM_SALESFORCE, &c, &request), DOI_OK,
               "state %d", states[i].status);
        ok(strcmp(field("PrivacyConsentStatus"), states[i].privacy) == 0,
           "is %s", states[i].privacy);
        ok(strcmp(field("CaptureDate"), states[i].captured) == 0, "captured");
        ok(strcmp(field("DoubleConsentCaptureDate"), states[i].twice) == 0,
           "confirmed: %s", states[i].twice);
        ok(strcmp(field("ContactPointType"), "Email") == 0, "by e-mail");
        doi_http_request_free(&request);
    }

    for (i = 0; i < DOI_SOURCES; i++) {
        c = change(DOI_CHANNEL_EMAIL, DOI_CONSENT_SINGLE);
        c.source = (int) i;
        (void) doi_crm_request(DOI_CRM_SALESFORCE, &c, &request);
        ok(strcmp(field("CaptureContactPointType"), how[i]) == 0,
           "source %zu: %s", i, how[i]);
        doi_http_request_free(&request);
    }

    c = change(DOI_CHANNEL_SMS, DOI_CONSENT_DOUBLE);
    c.url = "https://x.example:8443/services/data/v58.0/sobjects/"
            "ContactPointTypeConsent/My_Key__c";
    is_int(doi_crm_request(DOI_CRM_SALESFORCE, &c, &request), DOI_OK,
           "a whole URL");
    one = upsert_url();
    ok(strcmp(request.url,
              "https://x.example:8443/services/data/v58.0/composite") == 0
       && strncmp(one, path, strlen(path)) == 0
       && strlen(one) == strlen(path) + 32,
       "names version and field: %s", one);
    free(one);
    doi_http_request_free(&request);

    for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        c.url = urls[i];
        is_int(doi_crm_request(DOI_CRM_SALESFORCE, &c, &request), DOI_ERROR,
               "refused: %s", urls[i]);
        ok(empty(), "nothing is left");
    }
}


static void
test_crm_name(void)
{
    char              list[256];
    size_t            i;
    doi_crm_change_t  c;

    c = change(DOI_CHANNEL_EMAIL, DOI_CONSENT_SINGLE);
    c.list = str("");
    (void) doi_crm_request(DOI_CRM_SALESFORCE, &c, &request);
    ok(strcmp(field("Name"), "email:ada@example.com") == 0, "no list");
    doi_http_request_free(&request);

    for (i = 0; i < 254; i += 2) {
        memcpy(list + i, "\xC3\xA4", 2);
    }

    list[254] = '\0';

    for (i = 200; i <= 254; i++) {
        c.list.data = (uint8_t *) list + (254 - i / 2 * 2);
        c.list.len = i / 2 * 2;
        c.address = str(i % 2 ? "\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4"
                        "\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4"
                        "\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4"
                        : "x\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4"
                        "\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4"
                        "\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4");

        if (doi_crm_request(DOI_CRM_SALESFORCE, &c, &request) != DOI_OK
            || strlen(field("Name")) > 255 || strlen(field("Name")) < 240)
        {
            printf("# %zu: %zu\n", i, strlen(field("Name")));
            doi_http_request_free(&request);
            break;
        }

        doi_http_request_free(&request);
    }

    is_int(i, 255, "long names are cut between characters");
}


static void
test_crm_own(void)
{
    size_t             i;
    doi_str_t          body;
    doi_crm_change_t   c;

    c = change(DOI_CHANNEL_WHATSAPP, DOI_CONSENT_DOUBLE);
    is_int(doi_crm_request(DOI_CRM_JSON, &c, &request), DOI_OK, "JSON");
    ok(strcmp(request.url, "https://crm.example.com/") == 0,
       "the URL as it is");
    ok(body_is("{\"type\":\"consent.changed\",\"id\":\"awLWosImo-IfDqmW\","
               "\"timestamp\":\"2026-11-22T10:32:07Z\",\"data\":{\"channel\":"
               "\"whatsapp\",\"address\":\"+4915112345678\",\"person\":"
               "\"user-7\",\"list\":\"news\",\"status\":\"double\",\"source\":"
               "\"keyword\",\"since\":1795343527,\"opted_in\":1795257127}}"),
       "body");
    body.data = (const uint8_t *) request.body;
    body.len = request.len;
    is_int(doi_hub_verify(c.secret, body, str(header("X-Doi-Signature-256"))),
           DOI_OK, "signed");
    ok(strcmp(header("Idempotency-Key"), "awLWosImo-IfDqmW") == 0
       && strcmp(header("Authorization"), "") == 0, "headers");
    doi_http_request_free(&request);

    c.opted_in = 0;
    c.status = DOI_CONSENT_PENDING;
    is_int(doi_crm_request(DOI_CRM_JSON, &c, &request), DOI_OK, "pending");
    ok(strstr(request.body, "\"status\":\"pending\"") != NULL
       && strstr(request.body, "\"opted_in\":null") != NULL, "is told as well");
    doi_http_request_free(&request);

    for (i = 0; i < 3; i++) {
        c = change(DOI_CHANNEL_EMAIL, DOI_CONSENT_SINGLE);
        c.address = str("a\xFF@b");
        is_int(doi_crm_request((doi_crm_t) i, &c, &request), DOI_ERROR,
               "CRM %zu: an address that is not UTF-8", i);
        ok(empty(), "nothing is left");

        c = change(DOI_CHANNEL_EMAIL, DOI_CONSENT_SINGLE);
        c.address = str("");
        is_int(doi_crm_request((doi_crm_t) i, &c, &request), DOI_ERROR,
               "no address");

        c = change(DOI_CHANNEL_EMAIL, DOI_CONSENT_SINGLE);
        c.secret = str("");
        is_int(doi_crm_request((doi_crm_t) i, &c, &request), DOI_ERROR,
               "no secret");
        ok(empty(), "nothing is left");

        c = change(DOI_CHANNEL_EMAIL, DOI_CONSENT_SINGLE);
        c.status = DOI_CONSENT_STATES;
        is_int(doi_crm_request((doi_crm_t) i, &c, &request), DOI_ERROR,
               "no status");
        c = change(DOI_CHANNEL_EMAIL, DOI_CONSENT_SINGLE);
        c.channel = -1;
        is_int(doi_crm_request((doi_crm_t) i, &c, &request), DOI_ERROR,
               "no channel");
        c = change(DOI_CHANNEL_EMAIL, DOI_CONSENT_SINGLE);
        c.source = DOI_SOURCES;
        is_int(doi_crm_request((doi_crm_t) i, &c, &request), DOI_ERROR,
               "no source");
        c = change(DOI_CHANNEL_EMAIL, DOI_CONSENT_SINGLE);
        c.url = NULL;
        is_int(doi_crm_request((doi_crm_t) i, &c, &request), DOI_ERROR,
               "no URL");
    }

    c = change(DOI_CHANNEL_EMAIL, DOI_CONSENT_SINGLE);
    c.secret = str("a\r\nX: y");
    is_int(doi_crm_request(DOI_CRM_HUBSPOT, &c, &request), DOI_ERROR,
           "a line end in a token of HubSpot");
    is_int(doi_crm_request(DOI_CRM_SALESFORCE, &c, &request), DOI_ERROR,
           "and in one of Salesforce");
    c.id = str("a\nb");
    is_int(doi_crm_request(DOI_CRM_JSON, &c, &request), DOI_ERROR,
           "and in an id");
    ok(empty(), "nothing is left");
}


#define HUB(message)                                                          \
    "{\"status\":\"error\",\"message\":\"" message "\",\"correlationId\":"    \
    "\"2dea5219-07f2-40ce-82ec-9c2e302317a4\",\"category\":"                  \
    "\"VALIDATION_ERROR\"}"
#define PART(status, body)                                                    \
    "{\"compositeResponse\":[{\"body\":" body ",\"httpHeaders\":{},"          \
    "\"httpStatusCode\":" status ",\"referenceId\":\"consent\"}]}"
#define SAVED       "{\"id\":\"0Zk1\",\"success\":true,\"errors\":[]," \
                    "\"created\":false}"
#define UNSAVED(code)                                                         \
    "{\"success\":false,\"errors\":[{\"statusCode\":\"" code "\",\"message\":" \
    "\"m\",\"fields\":[\"PartyId\"]}]}"
#define REFUSED(code)   "[{\"message\":\"m\",\"errorCode\":\"" code "\"}]"

static void
test_crm_answers(void)
{
    char          text[300];
    size_t        i;
    doi_str_t     body;
    doi_answer_t  answer;

    static const answer_t  answers[] = {
        { DOI_CRM_HUBSPOT, 200, "{\"status\":\"SUBSCRIBED\"}",
          DOI_ANSWER_DONE, "HTTP status 200" },
        { DOI_CRM_HUBSPOT, 200, "{\"status\":\"COMPLETE\",\"results\":[{"
          "\"status\":\"SUBSCRIBED\",\"setStatusSuccessReason\":"
          "\"NO_STATUS_CHANGE\"}],\"errors\":[],\"numErrors\":0}",
          DOI_ANSWER_DONE, "HTTP status 200" },
        { DOI_CRM_HUBSPOT, 200, "{\"results\":[],\"numErrors\":1,"
          "\"errors\":[" HUB("ada@example.com cannot be updated") "]}",
          DOI_ANSWER_PERMANENT, "code VALIDATION_ERROR: *** cannot be" },
        { DOI_CRM_HUBSPOT, 207, "{\"results\":[],\"numErrors\":1,"
          "\"errors\":[{\"category\":\"RATE_LIMITS\"}]}",
          DOI_ANSWER_TEMPORARY, "code RATE_LIMITS" },
        { DOI_CRM_HUBSPOT, 200, "{\"numErrors\":2}", DOI_ANSWER_PERMANENT,
          "200" },
        { DOI_CRM_HUBSPOT, 204, "", DOI_ANSWER_DONE, "204" },
        { DOI_CRM_HUBSPOT, 400, HUB("ada@example.com is already unsubscribed "
          "and cannot be subscribed"), DOI_ANSWER_PERMANENT,
          "code VALIDATION_ERROR: *** is already unsubscribed" },
        { DOI_CRM_HUBSPOT, 400, HUB("Invalid input JSON"),
          DOI_ANSWER_PERMANENT, "Invalid input JSON" },
        { DOI_CRM_HUBSPOT, 400, "", DOI_ANSWER_PERMANENT, "400" },
        { DOI_CRM_HUBSPOT, 409, "already", DOI_ANSWER_PERMANENT, "409" },
        { DOI_CRM_HUBSPOT, 429, "{\"category\":\"RATE_LIMITS\",\"message\":"
          "\"You have reached your secondly limit.\"}", DOI_ANSWER_TEMPORARY,
          "code RATE_LIMITS: You have reached" },
        { DOI_CRM_HUBSPOT, 401, "{}", DOI_ANSWER_TEMPORARY, "401" },
        { DOI_CRM_HUBSPOT, 403, HUB("missing scopes"), DOI_ANSWER_PERMANENT,
          "403" },
        { DOI_CRM_HUBSPOT, 477, "{}", DOI_ANSWER_TEMPORARY, "477" },
        { DOI_CRM_HUBSPOT, 502, "<html>", DOI_ANSWER_TEMPORARY, "502" },

        { DOI_CRM_SALESFORCE, 200, PART("200", SAVED), DOI_ANSWER_DONE,
          "HTTP status 200" },
        { DOI_CRM_SALESFORCE, 200, PART("201", SAVED), DOI_ANSWER_DONE,
          "HTTP status 200" },
        { DOI_CRM_SALESFORCE, 200, PART("204", "null"), DOI_ANSWER_DONE,
          "HTTP status 200" },
        { DOI_CRM_SALESFORCE, 200, PART("400", REFUSED(
          "REQUIRED_FIELD_MISSING")), DOI_ANSWER_PERMANENT,
          "code REQUIRED_FIELD_MISSING: m" },
        { DOI_CRM_SALESFORCE, 200, PART("403", REFUSED(
          "REQUEST_LIMIT_EXCEEDED")), DOI_ANSWER_TEMPORARY,
          "code REQUEST_LIMIT_EXCEEDED" },
        { DOI_CRM_SALESFORCE, 200, PART("400", REFUSED("UNABLE_TO_LOCK_ROW")),
          DOI_ANSWER_TEMPORARY, "UNABLE_TO_LOCK_ROW" },
        { DOI_CRM_SALESFORCE, 200, PART("400", REFUSED("DUPLICATE_VALUE")),
          DOI_ANSWER_TEMPORARY, "DUPLICATE_VALUE" },
        { DOI_CRM_SALESFORCE, 200, PART("503", "null"), DOI_ANSWER_TEMPORARY,
          "HTTP status 200" },
        { DOI_CRM_SALESFORCE, 200, PART("404", "null"), DOI_ANSWER_PERMANENT,
          "HTTP status 200" },
        { DOI_CRM_SALESFORCE, 403, REFUSED("REQUEST_LIMIT_EXCEEDED"),
          DOI_ANSWER_TEMPORARY, "REQUEST_LIMIT_EXCEEDED" },
        { DOI_CRM_SALESFORCE, 403, REFUSED("INSUFFICIENT_ACCESS"),
          DOI_ANSWER_PERMANENT, "INSUFFICIENT_ACCESS" },
        { DOI_CRM_SALESFORCE, 401, REFUSED("INVALID_SESSION_ID"),
          DOI_ANSWER_TEMPORARY, "INVALID_SESSION_ID" },
        { DOI_CRM_SALESFORCE, 503, REFUSED("X"), DOI_ANSWER_TEMPORARY,
          "code X: m" },
        { DOI_CRM_SALESFORCE, 200, SAVED, DOI_ANSWER_DONE, "200" },
        { DOI_CRM_SALESFORCE, 200, "[" SAVED "," SAVED "]", DOI_ANSWER_DONE,
          "200" },
        { DOI_CRM_SALESFORCE, 201, UNSAVED("REQUIRED_FIELD_MISSING"),
          DOI_ANSWER_PERMANENT, "REQUIRED_FIELD_MISSING" },
        { DOI_CRM_SALESFORCE, 200, "[" UNSAVED("REQUEST_LIMIT_EXCEEDED") "]",
          DOI_ANSWER_TEMPORARY, "REQUEST_LIMIT_EXCEEDED" },
        { DOI_CRM_SALESFORCE, 200, "[" SAVED "," UNSAVED("INVALID_FIELD") "]",
          DOI_ANSWER_PERMANENT, "INVALID_FIELD" },
        { DOI_CRM_SALESFORCE, 200, "{\"success\":false,\"errors\":[]}",
          DOI_ANSWER_PERMANENT, "200" },
        { DOI_CRM_SALESFORCE, 200, "{\"hasErrors\":true,\"results\":"
          "[{\"statusCode\":400,\"result\":" REFUSED("MALFORMED_ID") "}]}",
          DOI_ANSWER_PERMANENT, "MALFORMED_ID" },
        { DOI_CRM_SALESFORCE, 201, "{\"hasErrors\":true,\"results\":"
          "[{\"referenceId\":\"r\",\"errors\":[{\"statusCode\":"
          "\"INVALID_EMAIL_ADDRESS\",\"message\":\"Email: invalid email "
          "address: ada@example.com\"}]}]}", DOI_ANSWER_PERMANENT,
          "INVALID_EMAIL_ADDRESS: Email: invalid email address: ***" },
        { DOI_CRM_SALESFORCE, 200, "{\"hasErrors\":false,\"results\":"
          "[{\"statusCode\":204,\"result\":null}]}", DOI_ANSWER_DONE, "200" },
        { DOI_CRM_SALESFORCE, 200, "{\"hasErrors\":true}",
          DOI_ANSWER_PERMANENT, "200" },
        { DOI_CRM_SALESFORCE, 200, "<html>Log in</html>",
          DOI_ANSWER_TEMPORARY, "not an answer of the API" },
        { DOI_CRM_SALESFORCE, 204, "", DOI_ANSWER_DONE, "204" },

        { DOI_CRM_JSON, 204, "", DOI_ANSWER_DONE, "204" },
        { DOI_CRM_JSON, 410, "{\"error\":\"gone\"}", DOI_ANSWER_PERMANENT,
          "HTTP status 410, code gone" },
        { DOI_CRM_JSON, 500, "", DOI_ANSWER_TEMPORARY, "500" },
    };

    for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        body = tight(str(answers[i].body));
        memset(text, 'X', sizeof(text));
        answer = doi_crm_answer((doi_crm_t) answers[i].whom, answers[i].status,
                                body, text, sizeof(text));
        free((void *) body.data);

        is_int(answer, answers[i].answer, "%d: %ld %.120s", answers[i].whom,
               answers[i].status, answers[i].body);
        ok(text_fit(text) && strstr(text, answers[i].text) != NULL, "%s",
           text);
    }
}


int
main(void)
{
    test_twilio();
    test_meta();
    test_own();
    test_refused();
    test_answers();
    test_texts();
    test_hubspot();
    test_salesforce();
    test_crm_name();
    test_crm_own();
    test_crm_answers();

    return done_testing();
}
