/*
 * Unit tests of src/courier/twilio.c and inbound.c: what providers send.
 */

#include <stdio.h>

#include "courier/provider.h"
#include "core/consent.h"
#include "provider_help.h"
#include "tap.h"


#define TOKEN   "12345"
#define HOOK    "https://example.org/doi/inbound"
#define JSON    "{\"property\":\"value\",\"boolean\":true,\"text\":"         \
                "\"Gr\xC3\xBC\xC3\x9F" "e \xF0\x9F\x91\x8D\"}"
#define HASH    "40f26e71de8762fd21447dca32331db0"                            \
                "32b7327a562ef043e8fcfaf599453979"


/* Made by getExpectedTwilioSignature() of the npm package twilio 6.2.0. */

static const struct {
    const char  *name;
    const char  *url;
    const char  *body;
    const char  *signature;
} vectors[] = {
    { "the one of Twilio's documents",
      "https://mycompany.com/myapp.php?foo=1&bar=2",
      "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234"
      "&From=%2B14158675309&To=%2B18005551212",
      "RSOYDt4T1cUTdK1PDd93/VVr8B8=" },
    { "a message", HOOK,
      "ToCountry=DE&MessageSid=SM0123456789abcdef0123456789abcdef"
      "&SmsSid=SM0123456789abcdef0123456789abcdef&Body=Stop"
      "&From=%2B4915112345678&To=%2B4915735980000&NumMedia=0&OptOutType=STOP"
      "&AccountSid=AC0123456789abcdef0123456789abcdef&ApiVersion=2010-04-01",
      "vh4hSrfc45Ti25sFa4/FbKN9Es8=" },
    { "emoji, umlauts, Chinese", HOOK,
      "MessageSid=SM1&Body=Ja%2C+gerne+%F0%9F%91%8D%F0%9F%8F%BD+Gr%C3%BC%C3%9F"
      "e+aus+K%C3%B6ln+%E2%80%94+%E4%BD%A0%E5%A5%BD"
      "&From=whatsapp%3A%2B4915112345678&To=whatsapp%3A%2B4915735980000"
      "&ProfileName=Zo%C3%AB+%26+Co%3D1%2B1%25",
      "1faduXcX9l1U7/IBS8ySPpQpJOs=" },
    { "port 443", "https://example.org:443/doi/inbound",
      "MessageSid=SM2&Body=yes&From=%2B4915112345678",
      "LJTSpr7C3jr2by5PT2PtwKPqeCE=" },
    { "port 8443", "https://example.org:8443/doi/inbound",
      "MessageSid=SM2&Body=yes&From=%2B4915112345678",
      "ASmrFn69K8HmoadbA4AXKQVc2v0=" },
    { "user and port 80", "http://user:pw@example.org:80/doi/inbound?a=b:c",
      "MessageSid=SM2&Body=yes&From=%2B4915112345678",
      "6iaKFZbbRVNemv34ZXb17CaR5go=" },
    { "no port", HOOK, "MessageSid=SM2&Body=yes&From=%2B4915112345678",
      "/EgwZZ701hZxnc+1HKEvmbbfxWU=" },
    { "a parameter three times, two of them equal", HOOK,
      "From=%2B4915112345678&MediaUrl=https%3A%2F%2Fb.example%2F2"
      "&MediaUrl=https%3A%2F%2Fa.example%2F1"
      "&MediaUrl=https%3A%2F%2Fb.example%2F2&Body=x&MessageSid=SM3",
      "dbfzdSk+odc/PH4InC71nWZCJQs=" },
    { "values sort", HOOK, "Tag=b&Tag=a&Tag=b+&Tag=B&Tag=%C3%A4&Tag=",
      "CaXW8fPaPc9nS+ST4RCd+I39/XY=" },
    { "empty values, an empty name", HOOK,
      "Body=&MediaContentType=&From=%2B4915112345678&MessageSid=SM4&=x",
      "2uIIlYWXdxRwUAwJa9RgDkzSJi8=" },
    { "names sort by bytes", HOOK,
      "b=1&B=2&a=3&A=4&aa=5&a%5B%5D=6&_=7&Z=8",
      "Oh/il8Kb8Wc6vb8grYsPG+Nj/80=" },
    { "but as UTF-16", HOOK,
      "%F0%9F%98%80=astral&%EF%AC%80=bmp&%EE%80%80=private&z=z&%C3%A4=umlaut",
      "u/iVF4A/J7ijnYbRxgX7HKpPdDY=" },
    { "no parameters, no body", HOOK, "", "iJxdH8jFKL9jvPCLNQ24Wq7Li1c=" },
};


static doi_inbounds_t  in;


static int
parse(const char *body, doi_form_t *form, uint8_t *scratch)
{
    const char  *err;

    return doi_form_parse(DOI_FORM_URLENCODED, str(""), str(body), scratch,
                          form, &err);
}


static int
verify(const char *secret, const char *url, const char *body,
    const char *signature)
{
    int         rc;
    uint8_t     scratch[2048];
    doi_str_t   urls[1];
    doi_form_t  form;

    if (parse(body, &form, scratch) != DOI_OK) {
        return -9;
    }

    urls[0] = str(url);
    rc = doi_twilio_verify(str(secret), urls, 1, &form, str(body),
                           str(signature));

    return rc;
}


static void
test_twilio_verify(void)
{
    char    changed[64];
    size_t  i, j, bad;

    for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        is_int(verify(TOKEN, vectors[i].url, vectors[i].body,
                      vectors[i].signature), DOI_OK, "%s", vectors[i].name);
        is_int(verify("12346", vectors[i].url, vectors[i].body,
                      vectors[i].signature), DOI_ERROR, "not with another key");
    }

    bad = 0;

    for (j = 0; j < 28; j++) {
        snprintf(changed, sizeof(changed), "%s", vectors[1].signature);
        changed[j] = changed[j] == 'A' ? 'B' : 'A';
        bad += verify(TOKEN, vectors[1].url, vectors[1].body, changed)
               != DOI_ERROR;
    }

    is_int(bad, 0, "each character of a signature counts");
    is_int(verify(TOKEN, vectors[1].url, vectors[1].body, ""), DOI_ERROR,
           "no signature");
    is_int(verify(TOKEN, vectors[1].url, vectors[1].body,
                  "vh4hSrfc45Ti25sFa4/FbKN9Es8"), DOI_ERROR, "no padding");
    is_int(verify(TOKEN, vectors[1].url, vectors[1].body,
                  "vh4hSrfc45Ti25sFa4/FbKN9Es8= "), DOI_ERROR, "a blank more");
    is_int(verify("", vectors[12].url, "", "iJxdH8jFKL9jvPCLNQ24Wq7Li1c="),
           DOI_ERROR, "an empty secret verifies nothing");

    /* HMAC-SHA1 with an empty key, of this URL */

    is_int(verify("", HOOK, "", "t7axEOzdYgVZJHIhj9/+ovXYs1A="), DOI_ERROR,
           "an empty secret verifies nothing, again");

    is_int(verify(TOKEN, HOOK, "MessageSid=SM2&Body=Yes&From=%2B4915112345678",
                  vectors[6].signature), DOI_ERROR, "another text");
    is_int(verify(TOKEN, HOOK "?", vectors[6].body, vectors[6].signature),
           DOI_ERROR, "another URL");
    is_int(verify(TOKEN, HOOK, "From=%2B4915112345678&Body=yes&MessageSid=SM2",
                  vectors[6].signature), DOI_OK, "another order");
    is_int(verify(TOKEN, HOOK, "MessageSid=SM2&Body=yes&From=%2B4915112345678"
                  "&Body=yes", vectors[6].signature), DOI_OK,
           "a parameter twice with one value is signed once, as the library");
    is_int(verify(TOKEN, HOOK, "MessageSid=SM2&Body=yes&From=%2B4915112345678"
                  "&Body=no", vectors[6].signature), DOI_ERROR,
           "with two values it is another one");
}


static void
test_twilio_urls(void)
{
    uint8_t     scratch[2048];
    doi_str_t   urls[3], body;
    doi_form_t  form;

    body = str(vectors[3].body);
    (void) parse(vectors[3].body, &form, scratch);

    urls[0] = str(HOOK);
    urls[1] = str("https://example.org:443/doi/inbound");
    urls[2] = str("https://example.com/doi/inbound");

    is_int(doi_twilio_verify(str(TOKEN), urls, 3, &form, body,
                             str(vectors[3].signature)), DOI_OK,
           "the second URL was signed");
    is_int(doi_twilio_verify(str(TOKEN), urls, 1, &form, body,
                             str(vectors[3].signature)), DOI_ERROR,
           "which is not among them");
    is_int(doi_twilio_verify(str(TOKEN), urls, 3, &form, body,
                             str(vectors[6].signature)), DOI_OK,
           "the first one was signed");
    is_int(doi_twilio_verify(str(TOKEN), urls, 0, &form, body,
                             str(vectors[6].signature)), DOI_ERROR,
           "no URL at all");
}


static int
verify_json(const char *url, const char *body, const char *signature,
    const doi_form_t *form)
{
    int        rc;
    doi_str_t  urls[1], copy;

    urls[0] = tight(str(url));
    copy = tight(str(body));
    rc = doi_twilio_verify(str(TOKEN), urls, 1, form, copy, str(signature));

    free((void *) urls[0].data);
    free((void *) copy.data);

    return rc;
}


static void
test_twilio_json(void)
{
    static doi_form_t  empty;

    static const char  one[] = "MpaYNb6r1hFoRy2eh7DEAjYmWfc=";
    static const char  two[] = "liSKtkkrBXV95vV/81KobcioEuk=";

    is_int(verify_json(HOOK "?bodySHA256=" HASH, JSON, one, NULL), DOI_OK,
           "a body of JSON, its digest in the URL");
    is_int(verify_json("https://example.org:443/x?a=1&bodySHA256=" HASH "&b=2",
                       JSON, two, NULL), DOI_OK, "between other arguments");
    is_int(verify_json(HOOK "?bodySHA256=" HASH, JSON, one, &empty), DOI_OK,
           "with an empty form in place of none");
    is_int(verify_json(HOOK "?bodySHA256=" HASH, JSON " ", one, NULL),
           DOI_ERROR, "another body");
    is_int(verify_json(HOOK "?bodySHA256=" HASH, "", one, NULL), DOI_ERROR,
           "no body");

    /* A signature of the bare URL says nothing of a body. */

    is_int(verify_json(HOOK, JSON, vectors[12].signature, NULL), DOI_ERROR,
           "no digest in the URL");
    is_int(verify_json(HOOK, JSON, vectors[12].signature, &empty), DOI_ERROR,
           "nor with an empty form");
    is_int(verify_json(HOOK, "", vectors[12].signature, NULL), DOI_ERROR,
           "nor without a body");
    is_int(verify_json(HOOK, "", vectors[12].signature, &empty), DOI_OK,
           "but an empty form is one");
}


static void
test_ports(void)
{
    int         rc;
    char        got[128];
    size_t      i;
    uint8_t    *room;
    doi_buf_t   buf;
    doi_str_t   url;

    static const struct {
        const char  *url;
        const char  *with;
        const char  *without;
    } urls[] = {
        { "https://a.example/x", "https://a.example:443/x", NULL },
        { "http://a.example/x", "http://a.example:80/x", NULL },
        { "HTTPS://A.example/x", "HTTPS://A.example:443/x", NULL },
        { "https://a.example", "https://a.example:443", NULL },
        { "https://a.example?q=:1", "https://a.example:443?q=:1", NULL },
        { "https://a.example/x:1", "https://a.example:443/x:1", NULL },
        { "https://a.example:443/x", NULL, "https://a.example/x" },
        { "https://a.example:8443/x?y", NULL, "https://a.example/x?y" },
        { "https://a.example:80", NULL, "https://a.example" },
        { "https://a.example:/x", NULL, "https://a.example/x" },
        { "https://u:p@a.example/x", "https://u:p@a.example:443/x", NULL },
        { "https://u:p@a.example:1/x", NULL, "https://u:p@a.example/x" },
        { "https://[2001:db8::1]/x", "https://[2001:db8::1]:443/x", NULL },
        { "https://[2001:db8::1]:1/x", NULL, "https://[2001:db8::1]/x" },
        { "ftp://a.example/x", NULL, NULL },
        { "/x", NULL, NULL },
        { "https://", NULL, NULL },
        { "http://", NULL, NULL },
        { "https:///x", NULL, NULL },
        { "https:", NULL, NULL },
        { "", NULL, NULL },
    };

    for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        url = tight(str(urls[i].url));

        snprintf(got, sizeof(got), "=");
        buf.data = (uint8_t *) got;
        buf.size = sizeof(got);
        buf.len = 1;
        rc = doi_url_with_port(url, &buf);
        got[buf.len] = '\0';
        ok(urls[i].with != NULL
           ? rc == DOI_OK && strcmp(got + 1, urls[i].with) == 0
           : rc == DOI_NOT_FOUND && buf.len == 1,
           "%s with a port: %s", urls[i].url, got);

        buf.len = 1;
        rc = doi_url_without_port(url, &buf);
        got[buf.len] = '\0';
        ok(urls[i].without != NULL
           ? rc == DOI_OK && strcmp(got + 1, urls[i].without) == 0
           : rc == DOI_NOT_FOUND && buf.len == 1,
           "%s without one: %s", urls[i].url, got);

        free((void *) url.data);
    }

    for (i = 0; i <= sizeof("https://a.example:443/x") - 1; i++) {
        room = malloc(i + 1);
        buf.data = room;
        buf.size = i;
        buf.len = 0;
        rc = doi_url_with_port(str("https://a.example/x"), &buf);
        ok(i < sizeof("https://a.example:443/x") - 1
           ? rc == DOI_ERROR && buf.len == 0
           : rc == DOI_OK && buf.len == i, "room for %zu bytes", i);
        free(room);
    }
}


static void
test_hub(void)
{
    size_t     i;
    doi_str_t  body;

    /* printf %s "$body" | openssl dgst -sha256 -hmac secret */

    static const char  sum[] = "fcfaffa7fef86515c7beb6b62d779fa4"
                               "ccf092f2e61c164376054271252821ff";
    static const char  upper[] = "FCFAFFA7FEF86515C7BEB6B62D779FA4"
                                 "CCF092F2E61C164376054271252821FF";
    char               value[128];

    body = str("Hello, World!");
    snprintf(value, sizeof(value), "sha256=%s", sum);

    is_int(doi_hub_verify(str("secret"), body, str(value)),
           DOI_OK, "a signature");

    for (i = 0; i < strlen(value); i++) {
        snprintf(value, sizeof(value), "sha256=%s", sum);
        value[i] ^= 1;

        if (doi_hub_verify(str("secret"), body, str(value)) != DOI_ERROR) {
            break;
        }
    }

    is_int(i, 71, "each character of it counts");

    snprintf(value, sizeof(value), "sha256=%s", upper);
    is_int(doi_hub_verify(str("secret"), body, str(value)), DOI_OK,
           "capital letters");
    is_int(doi_hub_verify(str("secret"), body, str(sum)), DOI_ERROR,
           "no prefix");
    is_int(doi_hub_verify(str("secret"), body, str("")), DOI_ERROR, "nothing");
    is_int(doi_hub_verify(str("secret"), body, str("sha256=")), DOI_ERROR,
           "no digits");
    snprintf(value, sizeof(value), "sha256=%s0", sum);
    is_int(doi_hub_verify(str("secret"), body, str(value)), DOI_ERROR,
           "a digit more");
    value[70] = '\0';
    is_int(doi_hub_verify(str("secret"), body, str(value)), DOI_ERROR,
           "a digit less");
    snprintf(value, sizeof(value), "sha256=%s", sum);
    is_int(doi_hub_verify(str("Secret"), body, str(value)), DOI_ERROR,
           "another secret");
    body.len--;
    is_int(doi_hub_verify(str("secret"), body, str(value)), DOI_ERROR,
           "another body");

    /* HMAC-SHA256 of nothing with no key */

    is_int(doi_hub_verify(str(""), str(""), str("sha256="
           "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad")),
           DOI_ERROR, "an empty secret verifies nothing");
}


static int
twilio(const char *body)
{
    int             rc;
    static uint8_t  scratch[2048];
    doi_form_t      form;
    const char     *err;

    if (parse(body, &form, scratch) != DOI_OK) {
        return -9;
    }

    err = NULL;
    memset(&in, 0xA5, sizeof(in));
    rc = doi_inbound_twilio(&form, &in, &err);

    if (rc == DOI_OK ? err != NULL : err == NULL || in.n != 0) {
        return -9;
    }

    return rc;
}


static void
test_twilio_form(void)
{
    size_t                i;
    const doi_inbound_t  *m;

    static const char *const  bad[] = {
        "", "Body=x", "Body=x&MessageSid=SM1", "Body=x&From=%2B49151",
        "MessageSid=SM1&From=%2B49151",
        "Body=x&Body=y&MessageSid=SM1&From=%2B49151",
        "Body=x&MessageSid=SM1&MessageSid=SM2&From=%2B49151",
        "Body=x&MessageSid=SM1&From=%2B49151&From=%2B49152",
        "Body=x&MessageSid=&From=%2B49151", "Body=x&MessageSid=SM1&From=",
        "Body=%FF&MessageSid=SM1&From=%2B49151",
        "Body=%ED%A0%80&MessageSid=SM1&From=%2B49151",
        "Body=x&MessageSid=SM1&From=messenger%3A123",
        "Body=x&MessageSid=SM1&From=%2B49151&To=a&To=b",
        "Body=x&MessageSid=SM1&From=%2B49151&OptOutType=STOP&OptOutType=START",
        "Body=x&Body=y&MessageStatus=sent&MessageSid=SM1&From=%2B49151",
        "body=x&messagesid=SM1&from=%2B49151",
    };

    is_int(twilio(vectors[1].body), DOI_OK, "a message");
    m = &in.messages[0];
    ok(in.n == 1 && in.json == NULL && m->channel == DOI_CHANNEL_SMS
       && same(m->id, "SM0123456789abcdef0123456789abcdef")
       && same(m->from, "+4915112345678") && same(m->to, "+4915735980000")
       && same(m->text, "Stop") && m->opt_out == 1, "is read");
    doi_inbound_free(&in);
    is_int(in.n, 0, "freed");

    is_int(twilio(vectors[2].body), DOI_OK, "one of WhatsApp");
    ok(m->channel == DOI_CHANNEL_WHATSAPP && m->opt_out == 0
       && same(m->from, "whatsapp:+4915112345678")
       && same(m->text, "Ja, gerne \xF0\x9F\x91\x8D\xF0\x9F\x8F\xBD Gr\xC3\xBC"
                        "\xC3\x9F" "e aus K\xC3\xB6ln \xE2\x80\x94 "
                        "\xE4\xBD\xA0\xE5\xA5\xBD"), "with emoji");

    is_int(twilio("Body=&MessageSid=SM1&From=%2B49151&NumMedia=1"), DOI_OK,
           "a picture without a text");
    ok(in.n == 1 && m->text.len == 0 && m->to.len == 0, "has an empty text");

    is_int(twilio("Body=x&MessageSid=SM1&From=%2B49151&OptOutType=START"),
           DOI_OK, "START");
    is_int(m->opt_out, 2, "is an opt-in");
    is_int(twilio("Body=x&MessageSid=SM1&From=%2B49151&OptOutType=HELP"),
           DOI_OK, "HELP");
    is_int(m->opt_out, 3, "asks for help");
    is_int(twilio("Body=x&MessageSid=SM1&From=%2B49151&OptOutType=stop"),
           DOI_OK, "an OptOutType that does not exist");
    is_int(m->opt_out, 0, "is none");

    is_int(twilio("MessageSid=SM1&MessageStatus=delivered&To=%2B49151"
                  "&From=%2B49157&SmsStatus=delivered"), DOI_OK,
           "a status callback");
    is_int(in.n, 0, "is no message");
    is_int(twilio("MessageSid=SM1&MessageStatus=read&Body=STOP&From=%2B49157"),
           DOI_OK, "with a Body it is one");
    is_int(in.n, 1, "which is not lost");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_int(twilio(bad[i]), DOI_ERROR, "refused: %s", bad[i]);
    }
}


/* Into in; err is there exactly if it is an error, and nothing else then. */

static int
json_bytes(doi_provider_t provider, doi_str_t body, const char **err)
{
    int        rc;
    doi_str_t  copy;

    *err = NULL;
    memset(&in, 0xA5, sizeof(in));
    copy = tight(body);
    rc = doi_inbound_json(provider, copy, &in, err);
    free((void *) copy.data);

    if (rc == DOI_OK ? *err != NULL || in.json == NULL
                     : *err == NULL || in.n != 0 || in.json != NULL)
    {
        return -9;
    }

    return rc;
}


static int
json(doi_provider_t provider, const char *body)
{
    const char  *err;

    return json_bytes(provider, str(body), &err);
}


#define META(entries)                                                         \
    "{\"object\":\"whatsapp_business_account\",\"entry\":[" entries "]}"
#define ENTRY(value)                                                          \
    "{\"id\":\"102290129340398\",\"changes\":[{\"field\":\"messages\","       \
    "\"value\":{\"messaging_product\":\"whatsapp\",\"metadata\":{"            \
    "\"display_phone_number\":\"15550783881\",\"phone_number_id\":"           \
    "\"106540352242922\"},\"contacts\":[{\"profile\":{\"name\":\"Sheena\"},"  \
    "\"wa_id\":\"4915112345678\"}]," value "}}]}"
#define HEAD(id)                                                              \
    "\"from\":\"4915112345678\",\"id\":\"wamid." id "\","                     \
    "\"timestamp\":\"1749416383\","
#define TEXT(id, text)                                                        \
    "{" HEAD(id) "\"type\":\"text\",\"text\":{\"body\":" text "}}"
#define TIMED(time)                                                           \
    "{\"from\":\"49151\",\"id\":\"T\",\"timestamp\":" time ","               \
    "\"type\":\"text\",\"text\":{\"body\":\"x\"}}"
#define ONE(message)    META(ENTRY("\"messages\":[" message "]"))


static void
test_meta(void)
{
    doi_inbound_t  *m;

    m = in.messages;

    is_int(json(DOI_PROVIDER_META, ONE(TEXT("A", "\"Ja \\ud83d\\udc4d\\ud83c"
           "\\udffd \xF0\x9F\x8E\x89\""))), DOI_OK, "emoji");
    ok(in.n == 1 && m->channel == DOI_CHANNEL_WHATSAPP && m->opt_out == 0
       && same(m->id, "wamid.A") && same(m->from, "4915112345678")
       && same(m->to, "106540352242922")
       && same(m->text, "Ja \xF0\x9F\x91\x8D\xF0\x9F\x8F\xBD "
                        "\xF0\x9F\x8E\x89"),
       "escaped and not, the number without a plus sign");
    doi_inbound_free(&in);
    ok(in.n == 0 && in.json == NULL, "freed");
    doi_inbound_free(&in);

    is_int(json(DOI_PROVIDER_META,
           META(ENTRY("\"messages\":[" TEXT("A", "\"one\"") ","
                      TEXT("B", "\"two\"") "]") ","
                ENTRY("\"statuses\":[{\"id\":\"wamid.Z\",\"status\":\"read\","
                      "\"recipient_id\":\"49\"}]") ","
                ENTRY("\"messages\":[" TEXT("C", "\"three\"") "]"))),
           DOI_OK, "three messages in two of three entries");
    ok(in.n == 3 && same(m[0].text, "one") && same(m[1].text, "two")
       && same(m[2].text, "three") && same(m[2].id, "wamid.C"), "in order");
    doi_inbound_free(&in);

    is_int(json(DOI_PROVIDER_META,
           META("{\"changes\":[{\"field\":\"account_update\",\"value\":7},"
                "{\"field\":\"messages\",\"value\":{\"messages\":["
                TEXT("A", "\"x\"") "]}},{\"value\":1}]}")), DOI_OK,
           "several changes, of other kinds too, without metadata");
    ok(in.n == 1 && m->to.len == 0, "one message");
    doi_inbound_free(&in);

    is_int(json(DOI_PROVIDER_META, ONE(TEXT("A", "\"x\"") ","
                                       TEXT("A", "\"x\""))), DOI_OK,
           "one id twice");
    is_int(in.n, 2, "is for the ledger to find");
    doi_inbound_free(&in);

    is_int(json(DOI_PROVIDER_META, ONE(TEXT("A", "\"a\\u0000b\""))), DOI_OK,
           "a zero in a text");
    ok(in.n == 1 && m->text.len == 3 && memcmp(m->text.data, "a\0b", 3) == 0,
       "is kept");
    doi_inbound_free(&in);

    is_int(json(DOI_PROVIDER_META,
           META(ENTRY("\"messages\":[" TEXT("A", "\"x\"") ","
                      TIMED("null") "," TIMED("\"\"") "," TIMED("17") ","
                      TIMED("\"-5\"") "," TIMED("\"4294967295\"") ","
                      TIMED("\"4294967296\"") ","
                      TIMED("\"1749416383000\"") "]"))),
           DOI_OK, "times, good and bad");
    ok(in.n == 8 && m[0].sent == 1749416383 && m[5].sent == 4294967295u,
       "good ones are read");
    ok(m[1].sent == 0 && m[2].sent == 0 && m[3].sent == 0 && m[4].sent == 0
       && m[6].sent == 0 && m[7].sent == 0, "others are not known");
    doi_inbound_free(&in);

    is_int(json(DOI_PROVIDER_META, META("")), DOI_OK, "no entry");
    is_int(in.n, 0, "no message");
    doi_inbound_free(&in);
}


static void
test_meta_kinds(void)
{
    size_t          i;
    doi_inbound_t  *m;

    static const struct {
        const char  *message;
        const char  *text;
    } kinds[] = {
        { "\"type\":\"interactive\",\"interactive\":{\"type\":\"button_reply\","
          "\"button_reply\":{\"id\":\"no\",\"title\":\"Yes\"}}", "Yes" },
        { "\"type\":\"interactive\",\"interactive\":{\"type\":\"list_reply\","
          "\"list_reply\":{\"id\":\"1\",\"title\":\"Stop\",\"description\":"
          "\"d\"}}", "Stop" },
        { "\"type\":\"interactive\",\"interactive\":{\"type\":\"nfm_reply\","
          "\"nfm_reply\":{\"name\":\"flow\",\"body\":\"Sent\"}}", NULL },
        { "\"type\":\"button\",\"button\":{\"payload\":\"no\",\"text\":"
          "\"OK\"}", "OK" },
        { "\"type\":\"image\",\"image\":{\"id\":\"1\",\"caption\":\"stop\"}",
          "stop" },
        { "\"type\":\"image\",\"image\":{\"id\":\"1\"}", NULL },
        { "\"type\":\"image\",\"image\":{\"id\":\"1\",\"caption\":null}",
          NULL },
        { "\"type\":\"video\",\"video\":{\"id\":\"1\",\"caption\":\"v\"}",
          "v" },
        { "\"type\":\"document\",\"document\":{\"caption\":\"d\"}", "d" },
        { "\"type\":\"reaction\",\"reaction\":{\"message_id\":\"wamid.B\","
          "\"emoji\":\"\xF0\x9F\x91\x8D\"}", NULL },
        { "\"type\":\"audio\",\"audio\":{\"id\":\"1\",\"voice\":true}", NULL },
        { "\"type\":\"unsupported\",\"errors\":[{\"code\":131051}]", NULL },
        { "\"type\":\"system\",\"system\":{\"body\":\"STOP\"}", NULL },
        { "\"text\":{\"body\":\"no type\"}", NULL },
        { "\"type\":\"text\",\"text\":{\"body\":\"\"}", "" },
    };

    m = in.messages;

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        char  body[2048];

        snprintf(body, sizeof(body), ONE("{" HEAD("K") "%s}"),
                 kinds[i].message);

        is_int(json(DOI_PROVIDER_META, body), DOI_OK, "%s", kinds[i].message);
        ok(kinds[i].text == NULL ? in.n == 0
           : in.n == 1 && same(m->text, kinds[i].text),
           "%s", kinds[i].text != NULL ? kinds[i].text : "skipped");
        doi_inbound_free(&in);
    }

    is_int(json(DOI_PROVIDER_META, ONE("{\"from_user_id\":\"DE.1\",\"id\":"
           "\"wamid.U\",\"type\":\"text\",\"text\":{\"body\":\"x\"}},"
           TEXT("B", "\"y\""))), DOI_OK, "a user who hides the number");
    ok(in.n == 1 && same(m->text, "y"), "does not keep out another one");
    doi_inbound_free(&in);
}


static void
test_meta_bad(void)
{
    size_t  i;

    static const char *const  bad[] = {
        "", " ", "null", "1", "\"x\"", "[]", "{", "{}", "{}x",
        "{\"object\":1}", "{\"object\":\"page\",\"entry\":[]}",
        "{\"object\":\"whatsapp_business_account\",\"entry\":{}}",
        "{\"object\":\"whatsapp_business_account\",\"entry\":\"x\"}",
        META("1"), META("[]"), META("null"), META("{\"changes\":{}}"),
        META("{\"changes\":[1]}"), META("{\"changes\":[{\"field\":1}]}"),
        META("{\"changes\":[{\"field\":\"messages\"}]}"),
        META("{\"changes\":[{\"field\":\"messages\",\"value\":[]}]}"),
        META(ENTRY("\"messages\":{}")), META(ENTRY("\"messages\":\"STOP\"")),
        META("{\"changes\":[{\"field\":\"messages\",\"value\":{\"metadata\":1,"
             "\"messages\":[]}}]}"),
        META("{\"changes\":[{\"field\":\"messages\",\"value\":{\"metadata\":"
             "{\"phone_number_id\":106540352242922},\"messages\":[]}}]}"),
        ONE("1"), ONE("[]"), ONE("null"), ONE(TEXT("A", "1")),
        ONE(TEXT("A", "null")), ONE(TEXT("A", "[\"STOP\"]")),
        ONE("{" HEAD("A") "\"type\":1}"),
        ONE("{" HEAD("A") "\"type\":\"text\"}"),
        ONE("{" HEAD("A") "\"type\":\"text\",\"text\":\"STOP\"}"),
        ONE("{" HEAD("A") "\"type\":\"text\",\"text\":{}}"),
        ONE("{" HEAD("A") "\"type\":\"interactive\"}"),
        ONE("{" HEAD("A") "\"type\":\"interactive\",\"interactive\":{\"type\":"
            "\"button_reply\"}}"),
        ONE("{" HEAD("A") "\"type\":\"image\",\"image\":{\"caption\":1}}"),
        ONE("{\"id\":\"A\",\"from\":4915112345678,\"type\":\"text\",\"text\":"
            "{\"body\":\"x\"}}"),
        ONE("{\"id\":\"A\",\"from\":\"\",\"type\":\"text\",\"text\":"
            "{\"body\":\"x\"}}"),
        ONE("{\"id\":\"\",\"from\":\"49\",\"type\":\"text\",\"text\":"
            "{\"body\":\"x\"}}"),
        ONE("{\"id\":7,\"from\":\"49\",\"type\":\"text\",\"text\":"
            "{\"body\":\"x\"}}"),
        ONE("{\"from\":\"49\",\"type\":\"text\",\"text\":{\"body\":\"x\"}}"),
        ONE("{\"from\":\"49\",\"from\":\"50\",\"id\":\"A\",\"type\":\"text\","
            "\"text\":{\"body\":\"x\"}}"),
        ONE(TEXT("A", "\"good\"") "," TEXT("B", "2")),
        ONE(TEXT("A", "\"\\ud83d\"")), ONE(TEXT("A", "\"\xFF\"")),
        ONE(TEXT("A", "\"\xED\xA0\x80\"")), ONE(TEXT("A", "\"line\nend\"")),
        ONE(TEXT("A", "'x'")), ONE(TEXT("A", "NaN")), "\xEF\xBB\xBF{}",
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_int(json(DOI_PROVIDER_META, bad[i]), DOI_ERROR, "refused: %.300s",
               bad[i]);
    }
}


/* n messages of our own form, in one list. */

static char *
many(size_t n)
{
    char    *body, *p;
    size_t   i;

    body = malloc(64 + n * 80);

    if (body == NULL) {
        exit(1);
    }

    p = body + sprintf(body, "{\"messages\":[");

    for (i = 0; i < n; i++) {
        p += sprintf(p, "%s{\"id\":\"m%zu\",\"channel\":\"sms\",\"from\":"
                     "\"+4915112345678\",\"text\":\"yes\"}", i ? "," : "", i);
    }

    sprintf(p, "]}");

    return body;
}


static void
test_own(void)
{
    char           *body;
    size_t          i;
    doi_str_t       bytes;
    const char     *err;
    doi_inbound_t  *m;

    static const char *const  bad[] = {
        "{}", "[]", "[{\"id\":\"1\"}]", "{\"messages\":{}}",
        "{\"messages\":null}", "{\"messages\":[1]}", "{\"messages\":[{}]}",
        "{\"id\":\"1\",\"channel\":\"email\",\"from\":\"a\",\"text\":\"x\"}",
        "{\"id\":\"1\",\"channel\":1,\"from\":\"a\",\"text\":\"x\"}",
        "{\"id\":\"1\",\"from\":\"a\",\"text\":\"x\"}",
        "{\"id\":\"\",\"channel\":\"sms\",\"from\":\"a\",\"text\":\"x\"}",
        "{\"id\":1,\"channel\":\"sms\",\"from\":\"a\",\"text\":\"x\"}",
        "{\"channel\":\"sms\",\"from\":\"a\",\"text\":\"x\"}",
        "{\"id\":\"1\",\"channel\":\"sms\",\"text\":\"x\"}",
        "{\"id\":\"1\",\"channel\":\"sms\",\"from\":\"\",\"text\":\"x\"}",
        "{\"id\":\"1\",\"channel\":\"sms\",\"from\":\"a\"}",
        "{\"id\":\"1\",\"channel\":\"sms\",\"from\":\"a\",\"text\":null}",
        "{\"id\":\"1\",\"channel\":\"sms\",\"from\":\"a\",\"text\":\"x\","
        "\"to\":1}",
        "{\"id\":\"1\",\"channel\":\"sms\",\"from\":\"a\",\"text\":\"x\","
        "\"text\":\"y\"}",
        "{\"id\":\"1\",\"channel\":\"sms\",\"from\":\"a\",\"text\":\"x\","
        "\"time\":\"1749416383\"}",
        "{\"id\":\"1\",\"channel\":\"sms\",\"from\":\"a\",\"text\":\"x\","
        "\"time\":1.5}",
        "{\"id\":\"1\",\"channel\":\"sms\",\"from\":\"a\",\"text\":\"x\","
        "\"time\":-1}",
        "{\"id\":\"1\",\"channel\":\"sms\",\"from\":\"a\",\"text\":\"x\","
        "\"time\":4294967296}",
    };

    m = in.messages;

    is_int(json(DOI_PROVIDER_JSON, "{\"messages\":[{\"id\":\"1\",\"channel\":"
           "\"sms\",\"from\":\"+49151\",\"to\":\"+49157\",\"text\":\"\xC3\x84\""
           ",\"more\":[1]},{\"id\":\"2\",\"channel\":\"whatsapp\",\"from\":"
           "\"+49152\",\"text\":\"\",\"time\":1749416383}]}"), DOI_OK,
           "two messages");
    ok(in.n == 2 && m[0].channel == DOI_CHANNEL_SMS && same(m[0].id, "1")
       && same(m[0].from, "+49151") && same(m[0].to, "+49157")
       && same(m[0].text, "\xC3\x84") && m[0].opt_out == 0
       && m[1].channel == DOI_CHANNEL_WHATSAPP && m[1].to.len == 0
       && same(m[1].text, "") && m[0].sent == 0 && m[1].sent == 1749416383,
       "are read");
    doi_inbound_free(&in);

    is_int(json(DOI_PROVIDER_JSON, "{\"id\":\"1\",\"channel\":\"sms\","
           "\"from\":\"+49151\",\"text\":\"stop\"}"), DOI_OK, "one message");
    ok(in.n == 1 && same(m[0].text, "stop"), "is read");
    doi_inbound_free(&in);

    is_int(json(DOI_PROVIDER_JSON, "{\"messages\":[]}"), DOI_OK, "none");
    is_int(in.n, 0, "is read as well");
    doi_inbound_free(&in);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        is_int(json(DOI_PROVIDER_JSON, bad[i]), DOI_ERROR, "refused: %s",
               bad[i]);
    }

    body = many(DOI_INBOUND_MAX);
    is_int(json(DOI_PROVIDER_JSON, body), DOI_OK, "256 messages");
    ok(in.n == DOI_INBOUND_MAX && same(m[255].id, "m255"), "are read");
    doi_inbound_free(&in);
    free(body);

    body = many(DOI_INBOUND_MAX + 1);
    is_int(json_bytes(DOI_PROVIDER_JSON, str(body), &err), DOI_ERROR,
           "one more is an error");
    ok(strstr(err, "256") != NULL, "which says so: %s", err);
    free(body);

    /* bombs */

    bytes.len = 1 << 20;
    body = malloc(bytes.len);
    bytes.data = (uint8_t *) body;

    memset(body, '[', bytes.len);
    is_int(json_bytes(DOI_PROVIDER_META, bytes, &err), DOI_ERROR,
           "a million brackets");

    for (i = 0; i + 5 <= bytes.len; i += 5) {
        memcpy(body + i, "{\"a\":", 5);
    }

    is_int(json_bytes(DOI_PROVIDER_META, bytes, &err), DOI_ERROR,
           "two hundred thousand objects");

    memcpy(body, "{\"messages\":[[", 14);
    memset(body + 14, '[', 1000);
    memset(body + 1014, ']', 1002);
    body[2016] = '}';
    bytes.len = 2017;
    is_int(json_bytes(DOI_PROVIDER_JSON, bytes, &err), DOI_ERROR,
           "a thousand, closed");
    ok(strstr(err, "no object") != NULL, "are of the wrong type: %s", err);
    free(body);
}


static void
test_twiml(void)
{
    int         rc;
    char        got[512];
    size_t      i, len;
    uint8_t    *room;
    doi_buf_t   buf;

    static const char  head[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";

    static const struct {
        const char  *text;
        const char  *xml;
    } replies[] = {
        { "", "<Response/>" },
        { "OK", "<Response><Message>OK</Message></Response>" },
        { "</Message><Message>a & \"b\" 'c'", "<Response><Message>&lt;/Message"
          "&gt;&lt;Message&gt;a &amp; &quot;b&quot; &#39;c&#39;</Message>"
          "</Response>" },
        { "Gr\xC3\xBC\xC3\x9F" "e \xF0\x9F\x91\x8D\nend", "<Response><Message>"
          "Gr\xC3\xBC\xC3\x9F" "e \xF0\x9F\x91\x8D\nend</Message></Response>" },
        { "a\x01\xFF" "b", "<Response><Message>a\xEF\xBF\xBD\xEF\xBF\xBD" "b"
          "</Message></Response>" },
    };

    for (i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        buf.data = (uint8_t *) got;
        buf.size = sizeof(got) - 1;
        buf.len = 2;
        memcpy(got, "==", 2);

        rc = doi_twiml(str(replies[i].text), &buf);
        got[buf.len] = '\0';
        ok(rc == DOI_OK && strncmp(got, "==", 2) == 0
           && strncmp(got + 2, head, sizeof(head) - 1) == 0
           && strcmp(got + 2 + sizeof(head) - 1, replies[i].xml) == 0,
           "TwiML: %s", got);
    }

    len = sizeof(head) - 1 + strlen(replies[1].xml);

    for (i = 0; i <= len; i++) {
        room = malloc(i + 1);
        buf.data = room;
        buf.size = i;
        buf.len = 0;
        rc = doi_twiml(str("OK"), &buf);

        if (rc != (i < len ? DOI_ERROR : DOI_OK)
            || buf.len != (i < len ? 0 : len))
        {
            free(room);
            break;
        }

        free(room);
    }

    is_int(i, len + 1, "no half answers");
}


int
main(void)
{
    test_twilio_verify();
    test_twilio_urls();
    test_twilio_json();
    test_ports();
    test_hub();
    test_twilio_form();
    test_meta();
    test_meta_kinds();
    test_meta_bad();
    test_own();
    test_twiml();

    return done_testing();
}
