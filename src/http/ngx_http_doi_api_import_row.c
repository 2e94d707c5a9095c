/*
 * The JSON API, import: what the columns of a row mean.
 */

#include "ngx_http_doi_api_import.h"


static doi_str_t ngx_http_doi_import_field(ngx_http_doi_import_t *im,
    ngx_uint_t column);
static const char *ngx_http_doi_import_contact(ngx_http_doi_import_t *im,
    ngx_http_doi_contact_t *contact);
static const char *ngx_http_doi_import_texts(ngx_http_doi_api_t *api,
    ngx_http_doi_import_t *im, ngx_http_doi_event_t *event);
static int ngx_http_doi_import_status(doi_str_t text);
static ngx_int_t ngx_http_doi_import_date(doi_str_t text, doi_time_t *at);
static ngx_uint_t ngx_http_doi_import_is(doi_str_t text, const char *name);


/* Names as other programs export them, without blanks, "-" and "_". */

static const struct {
    const char          *name;
    ngx_http_doi_col_e   column;
    ngx_int_t            channel;   /* that it says, or -1 */
} ngx_http_doi_import_names[] = {
    { "channel",     NGX_HTTP_DOI_COL_CHANNEL, -1 },
    { "type",        NGX_HTTP_DOI_COL_CHANNEL, -1 },
    { "address",     NGX_HTTP_DOI_COL_ADDRESS, -1 },
    { "contact",     NGX_HTTP_DOI_COL_ADDRESS, -1 },
    { "email",       NGX_HTTP_DOI_COL_ADDRESS, DOI_CHANNEL_EMAIL },
    { "emailaddress", NGX_HTTP_DOI_COL_ADDRESS, DOI_CHANNEL_EMAIL },
    { "mail",        NGX_HTTP_DOI_COL_ADDRESS, DOI_CHANNEL_EMAIL },
    { "phone",       NGX_HTTP_DOI_COL_ADDRESS, DOI_CHANNEL_SMS },
    { "phonenumber", NGX_HTTP_DOI_COL_ADDRESS, DOI_CHANNEL_SMS },
    { "mobile",      NGX_HTTP_DOI_COL_ADDRESS, DOI_CHANNEL_SMS },
    { "number",      NGX_HTTP_DOI_COL_ADDRESS, DOI_CHANNEL_SMS },
    { "whatsapp",    NGX_HTTP_DOI_COL_ADDRESS, DOI_CHANNEL_WHATSAPP },
    { "list",        NGX_HTTP_DOI_COL_LIST, -1 },
    { "status",      NGX_HTTP_DOI_COL_STATUS, -1 },
    { "state",       NGX_HTTP_DOI_COL_STATUS, -1 },
    { "consent",     NGX_HTTP_DOI_COL_STATUS, -1 },
    { "person",      NGX_HTTP_DOI_COL_PERSON, -1 },
    { "personid",    NGX_HTTP_DOI_COL_PERSON, -1 },
    { "customer",    NGX_HTTP_DOI_COL_PERSON, -1 },
    { "customerid",  NGX_HTTP_DOI_COL_PERSON, -1 },
    { "lang",        NGX_HTTP_DOI_COL_LANG, -1 },
    { "language",    NGX_HTTP_DOI_COL_LANG, -1 },
    { "locale",      NGX_HTTP_DOI_COL_LANG, -1 },
    { "date",        NGX_HTTP_DOI_COL_DATE, -1 },
    { "since",       NGX_HTTP_DOI_COL_DATE, -1 },
    { "optindate",   NGX_HTTP_DOI_COL_DATE, -1 },
    { "reason",      NGX_HTTP_DOI_COL_REASON, -1 },
    { "note",        NGX_HTTP_DOI_COL_REASON, -1 },
    { "wording",     NGX_HTTP_DOI_COL_WORDING, -1 }
};


ngx_int_t
ngx_http_doi_import_args(ngx_http_doi_api_t *api, ngx_http_doi_import_t *im)
{
    u_char      *src, *dst;
    doi_str_t    name;
    ngx_str_t    value;
    const char  *bad;

    bad = NULL;
    im->channel = -1;
    ngx_str_set(&im->list, "default");

    if (ngx_http_arg(api->request, (u_char *) "dry_run", 7, &value) == NGX_OK)
    {
        if (value.len == 1 && (value.data[0] == '1' || value.data[0] == '0')) {
            im->dry = (value.data[0] == '1');

        } else {
            bad = "\"dry_run\" must be 1 or 0";
        }
    }

    if (ngx_http_arg(api->request, (u_char *) "channel", 7, &value) == NGX_OK)
    {
        name.data = value.data;
        name.len = value.len;
        im->channel = doi_channel_by_name(name);

        if (im->channel == -1) {
            bad = "\"channel\" must be \"email\", \"sms\" or \"whatsapp\"";
        }
    }

    if (ngx_http_arg(api->request, (u_char *) "country", 7, &value) == NGX_OK)
    {
        im->country = value;

        if (value.len > 3 || ngx_atoi(value.data, value.len) <= 0) {
            bad = "\"country\" must be a country's code, such as 49";
        }
    }

    if (ngx_http_arg(api->request, (u_char *) "list", 4, &value) == NGX_OK) {

        dst = ngx_pnalloc(api->request->pool, value.len + 1);
        if (dst == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        im->list.data = dst;
        src = value.data;
        ngx_unescape_uri(&dst, &src, value.len, 0);
        im->list.len = dst - im->list.data;

        if (im->list.len == 0 || im->list.len > doi_said_max[DOI_SAID_LIST]) {
            bad = "\"list\" must have 1 to 64 bytes";
        }
    }

    return bad ? ngx_http_doi_api_problem(api, NGX_HTTP_BAD_REQUEST, "field",
                                          "%s", bad)
               : NGX_DECLINED;
}


const char *
ngx_http_doi_import_header(ngx_http_doi_import_t *im)
{
    size_t      i;
    ngx_uint_t  k;

    for (k = 0; k < NGX_HTTP_DOI_COLS; k++) {
        im->columns[k] = -1;
    }

    for (i = 0; i < im->csv.nfields; i++) {

        for (k = 0; k < sizeof(ngx_http_doi_import_names)
                        / sizeof(ngx_http_doi_import_names[0]);
             k++)
        {
            if (!ngx_http_doi_import_is(im->csv.field[i],
                                        ngx_http_doi_import_names[k].name))
            {
                continue;
            }

            if (im->columns[ngx_http_doi_import_names[k].column] >= 0) {
                im->columns[NGX_HTTP_DOI_COL_ADDRESS] = -1;
                return "two columns mean the same";
            }

            im->columns[ngx_http_doi_import_names[k].column] = i;

            if (ngx_http_doi_import_names[k].channel >= 0) {
                im->channel = ngx_http_doi_import_names[k].channel;
            }
        }
    }

    return im->columns[NGX_HTTP_DOI_COL_ADDRESS] >= 0
           ? NULL : "no column is called \"address\", \"email\" or \"phone\"";
}


/* Without case, blanks, "-" and "_". */

static ngx_uint_t
ngx_http_doi_import_is(doi_str_t text, const char *name)
{
    size_t  i;
    u_char  c;

    for (i = 0; i < text.len; i++) {
        c = ngx_tolower(text.data[i]);

        if (c == ' ' || c == '-' || c == '_' || c == '\t') {
            continue;
        }

        if (c != (u_char) *name) {
            return 0;
        }

        name++;
    }

    return *name == '\0';
}


static doi_str_t
ngx_http_doi_import_field(ngx_http_doi_import_t *im, ngx_uint_t column)
{
    doi_str_t  text = { NULL, 0 };

    if (im->columns[column] < 0
        || (size_t) im->columns[column] >= im->csv.nfields)
    {
        return text;
    }

    text = doi_csv_unsafe(im->csv.field[im->columns[column]]);

    while (text.len && text.data[0] <= ' ') {
        text.data++;
        text.len--;
    }

    while (text.len && text.data[text.len - 1] <= ' ') {
        text.len--;
    }

    return text;
}


const char *
ngx_http_doi_import_row(ngx_http_doi_api_t *api, ngx_http_doi_import_t *im)
{
    int                      status;
    size_t                   len;
    doi_str_t                text;
    const char              *bad;
    ngx_http_doi_event_t     event;
    ngx_http_doi_contact_t   contact;

    ngx_memzero(&event, sizeof(ngx_http_doi_event_t));

    bad = ngx_http_doi_import_contact(im, &contact);
    if (bad) {
        return bad;
    }

    text = ngx_http_doi_import_field(im, NGX_HTTP_DOI_COL_STATUS);
    status = text.len ? ngx_http_doi_import_status(text) : DOI_CONSENT_NONE;

    if (status == -1) {
        return "has a status that is not none, pending, single, double or "
               "opted_out";
    }

    if (text.len == 0) {
        event.arg.flags = DOI_CONSENT_KEEP;
    }

    text = ngx_http_doi_import_field(im, NGX_HTTP_DOI_COL_DATE);

    if (text.len && ngx_http_doi_import_date(text, &event.arg.at) != NGX_OK) {
        return "has a date that is not like 2026-03-14 or "
               "2026-03-14T15:09:26Z, or lies in the future";
    }

    bad = ngx_http_doi_import_texts(api, im, &event);
    if (bad) {
        return bad;
    }

    ngx_memcpy(event.arg.contact, contact.id, DOI_CONTACT_ID);
    event.arg.channel = (uint8_t) contact.channel;
    event.arg.event = DOI_CONSENT_SUBSCRIBE;
    event.arg.source = DOI_SOURCE_IMPORT;
    event.arg.level = (uint8_t) status;
    event.arg.flags |= DOI_CONSENT_SET|DOI_CONSENT_QUIET
                       |(im->dry ? DOI_CONSENT_DRY : 0);
    event.arg.scope = DOI_SCOPE_LIST;
    event.said[DOI_SAID_ADDRESS] = contact.address;

    if (ngx_http_doi_event_pack(&event, im->row, NGX_HTTP_DOI_EVENT_MAX, &len)
        != NGX_OK)
    {
        return "cannot be stored now";
    }

    im->row_len = len;
    im->row_line = im->csv.line;

    return NULL;
}


/* "sms", "+49..." or in one "sms:+49..." */

static const char *
ngx_http_doi_import_contact(ngx_http_doi_import_t *im,
    ngx_http_doi_contact_t *contact)
{
    int          channel;
    u_char      *colon;
    doi_str_t    text, name;
    ngx_str_t    address;
    const char  *err;

    channel = (int) im->channel;

    text = ngx_http_doi_import_field(im, NGX_HTTP_DOI_COL_CHANNEL);

    if (text.len) {
        channel = doi_channel_by_name(text);

        if (channel == -1) {
            return "has a channel that is not email, sms or whatsapp";
        }
    }

    text = ngx_http_doi_import_field(im, NGX_HTTP_DOI_COL_ADDRESS);

    if (text.len == 0) {
        return "has no address";
    }

    address.data = (u_char *) text.data;
    address.len = text.len;

    colon = ngx_strlchr(address.data, address.data + address.len, ':');

    if (colon) {
        name.data = address.data;
        name.len = colon - address.data;

        if (doi_channel_by_name(name) != -1) {
            channel = doi_channel_by_name(name);
            address.data = colon + 1;
            address.len = text.len - name.len - 1;
        }
    }

    if (channel == -1) {
        return "names no channel: add such a column, or \"?channel=\"";
    }

    err = "is not valid";

    switch (ngx_http_doi_contact(im->pool, channel, &address, &im->country,
                                 contact, &err))
    {
    case NGX_OK:
        return NULL;

    case NGX_DECLINED:
        return err;

    default:
        return "cannot be stored now";
    }
}


static const char *
ngx_http_doi_import_texts(ngx_http_doi_api_t *api, ngx_http_doi_import_t *im,
    ngx_http_doi_event_t *event)
{
    doi_str_t    text;
    ngx_uint_t   i;
    const char  *err;

    static const struct {
        ngx_uint_t   column;
        doi_said_t   said;
    } texts[] = {
        { NGX_HTTP_DOI_COL_LIST, DOI_SAID_LIST },
        { NGX_HTTP_DOI_COL_PERSON, DOI_SAID_PERSON },
        { NGX_HTTP_DOI_COL_LANG, DOI_SAID_LANG },
        { NGX_HTTP_DOI_COL_REASON, DOI_SAID_REASON },
        { NGX_HTTP_DOI_COL_WORDING, DOI_SAID_WORDING }
    };

    event->said[DOI_SAID_LIST] = im->list;
    event->said[DOI_SAID_ACTOR] = api->actor;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        text = ngx_http_doi_import_field(im, texts[i].column);

        if (text.len == 0) {
            continue;
        }

        if (text.len > doi_said_max[texts[i].said]) {
            return "has a text that is too long";
        }

        if (texts[i].said != DOI_SAID_WORDING
            && doi_field_clean(&text, doi_said_max[texts[i].said], &err)
               != DOI_OK)
        {
            return "has a text with control characters";
        }

        event->said[texts[i].said].data = (u_char *) text.data;
        event->said[texts[i].said].len = text.len;
    }

    return NULL;
}


static int
ngx_http_doi_import_status(doi_str_t text)
{
    int         state;
    ngx_uint_t  i;

    static const struct {
        const char  *name;
        int          state;
    } names[] = {
        { "subscribed",   DOI_CONSENT_SINGLE },
        { "optedin",      DOI_CONSENT_SINGLE },
        { "active",       DOI_CONSENT_SINGLE },
        { "confirmed",    DOI_CONSENT_DOUBLE },
        { "unsubscribed", DOI_CONSENT_OPTED_OUT },
        { "optedout",     DOI_CONSENT_OPTED_OUT },
        { "optout",       DOI_CONSENT_OPTED_OUT }
    };

    state = doi_consent_by_name(text);

    for (i = 0; state == -1 && i < sizeof(names) / sizeof(names[0]); i++) {
        if (ngx_http_doi_import_is(text, names[i].name)) {
            state = names[i].state;
        }
    }

    return state;
}


static ngx_int_t
ngx_http_doi_import_date(doi_str_t text, doi_time_t *at)
{
    time_t      t;
    u_char     *p;
    ngx_int_t   y, m, d, hour, min, sec;
    struct tm   tm;

    p = (u_char *) text.data;

    if ((text.len != sizeof("2026-03-14") - 1
         && text.len != sizeof("2026-03-14T15:09:26Z") - 1)
        || p[4] != '-' || p[7] != '-')
    {
        return NGX_DECLINED;
    }

    y = ngx_atoi(p, 4);
    m = ngx_atoi(p + 5, 2);
    d = ngx_atoi(p + 8, 2);
    hour = min = sec = 0;

    if (text.len != sizeof("2026-03-14") - 1) {

        if ((p[10] != 'T' && p[10] != ' ') || p[13] != ':' || p[16] != ':'
            || p[19] != 'Z')
        {
            return NGX_DECLINED;
        }

        hour = ngx_atoi(p + 11, 2);
        min = ngx_atoi(p + 14, 2);
        sec = ngx_atoi(p + 17, 2);
    }

    if (y < 1970 || y > 2105 || m < 1 || d < 1 || hour < 0 || min < 0
        || min > 59 || sec < 0 || sec > 60)
    {
        return NGX_DECLINED;
    }

    ngx_memzero(&tm, sizeof(struct tm));

    tm.tm_year = (int) (y - 1900);
    tm.tm_mon = (int) (m - 1);
    tm.tm_mday = (int) d;
    tm.tm_hour = (int) hour;
    tm.tm_min = (int) min;
    tm.tm_sec = (int) sec;

    t = timegm(&tm);

    /* a 31st of February would be the 3rd of March */

    if (t <= 0 || tm.tm_mday != (int) d || tm.tm_mon != (int) m - 1
        || tm.tm_hour != (int) hour
        || t > (time_t) ngx_http_doi_now() + 86400)
    {
        return NGX_DECLINED;
    }

    *at = (doi_time_t) t;

    return NGX_OK;
}
