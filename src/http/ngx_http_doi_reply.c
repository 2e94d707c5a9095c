/*
 * What contacts are told: texts of the replies to an event, and how contacts
 * are found again.
 *
 * A text goes with its event into the store, which decides whether it is sent.
 * As it waits there it is
 *
 *   for SMS and the like    TEXT
 *   for a mail              lines URL (of the button), TEMPLATES (whose mail it
 *                           is), OWNER (name), EMAIL (of the owner), each of
 *                           which may be empty, then TEXT (of doi_message) or
 *                           nothing
 *
 * and if there is a link in it, sealed, behind a byte that no text begins
 * with: a copy of the store opens no subscription.  The seal is bound to the
 * id of the link's token.
 */

#include "ngx_http_doi_consent.h"


/* A contact, or the one that a token is of. */

typedef struct {
    ngx_pool_t      *pool;
    const u_char    *id;
    const u_char    *token;         /* or NULL                               */
    doi_purpose_t    purpose;
    doi_contact_t   *contact;
    doi_str_t        list;
} ngx_http_doi_contact_find_t;


static ngx_int_t ngx_http_doi_reply_link(ngx_http_request_t *r,
    ngx_http_doi_event_t *event, ngx_str_t *link);
static ngx_int_t ngx_http_doi_reply_text(ngx_http_request_t *r,
    ngx_uint_t message, size_t lang, doi_message_vars_t *vars,
    ngx_str_t *text);
static ngx_int_t ngx_http_doi_reply_fill(ngx_pool_t *pool, ngx_str_t *pattern,
    doi_message_vars_t *vars, ngx_str_t *text);
static ngx_int_t ngx_http_doi_reply_render(ngx_http_request_t *r,
    ngx_uint_t message, size_t lang, doi_message_vars_t *vars,
    ngx_str_t *text);
static ngx_int_t ngx_http_doi_reply_mail(ngx_http_request_t *r,
    ngx_str_t *link, ngx_str_t *text, ngx_str_t *mail);
static ngx_int_t ngx_http_doi_reply_put(ngx_http_request_t *r,
    ngx_http_doi_event_t *event, ngx_uint_t reply, ngx_str_t *link,
    ngx_str_t *text);
static ngx_int_t ngx_http_doi_reply_seal(ngx_http_request_t *r,
    ngx_http_doi_event_t *event, ngx_str_t *text);
static ngx_int_t ngx_http_doi_reply_wording(ngx_http_request_t *r,
    ngx_http_doi_event_t *event, size_t lang, doi_message_vars_t *vars,
    ngx_str_t *text);
static ngx_int_t ngx_http_doi_contact_look(ngx_http_doi_contact_find_t *find);
static doi_result_t ngx_http_doi_contact_find(doi_view_t *view,
    doi_time_t now, doi_str_t arg, doi_buf_t *out);
static ngx_int_t ngx_http_doi_contact_copy(ngx_pool_t *pool, doi_str_t *text);


#define NGX_HTTP_DOI_OPT_IN_TTL  604800     /* seconds that a link works */


#define ngx_http_doi_may(reply)  ((ngx_uint_t) 1 << (reply))

/* What may be said to an event, whatever the status is. */

static const ngx_uint_t  ngx_http_doi_replies[DOI_CONSENT_EVENTS] = {
    [DOI_CONSENT_SUBSCRIBE] = ngx_http_doi_may(DOI_REPLY_PROMPT)
                              | ngx_http_doi_may(DOI_REPLY_REMINDER)
                              | ngx_http_doi_may(DOI_REPLY_CONFIRMED),
    [DOI_CONSENT_CONFIRM]   = ngx_http_doi_may(DOI_REPLY_REMINDER)
                              | ngx_http_doi_may(DOI_REPLY_CONFIRMED),
    [DOI_CONSENT_STOP]      = ngx_http_doi_may(DOI_REPLY_OPTED_OUT),
    [DOI_CONSENT_OTHER]     = ngx_http_doi_may(DOI_REPLY_REMINDER),
    [DOI_CONSENT_HELP]      = ngx_http_doi_may(DOI_REPLY_HELP)
};


ngx_int_t
ngx_http_doi_list(ngx_http_request_t *r, ngx_http_complex_value_t *value,
    ngx_str_t *list)
{
    ngx_str_set(list, "default");

    if (value == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, value, list) != NGX_OK) {
        return NGX_ERROR;
    }

    /* cut, it would be another list */

    if (list->len == 0 || list->len > doi_said_max[DOI_SAID_LIST]) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "doi: \"list=\" gave %uz bytes: the name of a list has "
                      "1 to %ui", list->len,
                      (ngx_uint_t) doi_said_max[DOI_SAID_LIST]);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_doi_event_replies(ngx_http_request_t *r, ngx_http_doi_event_t *event,
    size_t lang)
{
    u_char                    keyword[DOI_KEYWORD_SIZE];
    size_t                    len;
    ngx_str_t                 link, text, s;
    ngx_uint_t                reply, may;
    doi_message_vars_t        vars;
    ngx_http_doi_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_doi_module);
    may = ngx_http_doi_replies[event->arg.event];

    ngx_str_null(&link);
    ngx_memzero(&vars, sizeof(doi_message_vars_t));

    ngx_memcpy(keyword, "YES", 3);
    len = 3;

    if (conf->keywords) {

        /* it is kept as it is compared */

        for (len = 0; conf->keywords->confirm[len]; len++) {
            keyword[len] = ngx_toupper((u_char) conf->keywords->confirm[len]);
        }
    }

    vars.keyword.data = keyword;
    vars.keyword.len = len;

    if (conf->owner && conf->owner->name) {

        if (ngx_http_complex_value(r, conf->owner->name, &s) != NGX_OK) {
            return NGX_ERROR;
        }

        vars.owner.data = s.data;
        vars.owner.len = s.len;
    }

    for (reply = DOI_REPLY_PROMPT; reply < DOI_REPLIES; reply++) {

        if (!(may & ngx_http_doi_may(reply))
            || (reply == DOI_REPLY_PROMPT
                && event->arg.level != DOI_CONSENT_DOUBLE
                && event->arg.source != DOI_SOURCE_WEB))
        {
            continue;
        }

        vars.link.len = 0;

        if (reply == DOI_REPLY_PROMPT || reply == DOI_REPLY_REMINDER) {

            if (link.len == 0
                && ngx_http_doi_reply_link(r, event, &link) != NGX_OK)
            {
                return NGX_ERROR;
            }

            /* nobody answers such a mail */

            if (link.len == 0 && event->arg.channel == DOI_CHANNEL_EMAIL
                && event->arg.source == DOI_SOURCE_WEB)
            {
                continue;
            }

            vars.link.data = link.data;
            vars.link.len = link.len;
        }

        if (ngx_http_doi_reply_text(r, reply - 1, lang, &vars, &text)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (reply == DOI_REPLY_PROMPT
            && ngx_http_doi_reply_wording(r, event, lang, &vars, &text)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (ngx_http_doi_reply_put(r, event, reply, &link, &text) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* A link to confirm with, if the configuration says where; its token names the
   contact once the prompt is asked for. */

static ngx_int_t
ngx_http_doi_reply_link(ngx_http_request_t *r, ngx_http_doi_event_t *event,
    ngx_str_t *link)
{
    u_char                    random[8];
    uint8_t                   chars[DOI_TOKEN_CHARS];
    doi_str_t                 none;
    doi_time_t                now;
    ngx_str_t                 token, scope;
    doi_token_t               t;
    ngx_http_doi_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_doi_module);

    /* who writes to us answers by keyword */

    if (event->arg.source == DOI_SOURCE_KEYWORD || conf->ring == NULL
        || conf->base_url == NULL
        || conf->url[DOI_PURPOSE_CONFIRM] == NULL)
    {
        return NGX_OK;
    }

    now = ngx_http_doi_now();
    none.data = NULL;
    none.len = 0;

    event->arg.confirm_expires = now + NGX_HTTP_DOI_OPT_IN_TTL;

    if (ngx_http_doi_random(random, sizeof(random)) != NGX_OK
        || doi_token_mint(conf->ring, DOI_PURPOSE_CONFIRM, none, now,
                          event->arg.confirm_expires, random, chars, &t)
           != DOI_OK)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(event->arg.confirm, t.id, DOI_ID_SIZE);

    token.data = chars;
    token.len = DOI_TOKEN_CHARS;
    ngx_str_null(&scope);

    return ngx_http_doi_make_url(r, conf, DOI_PURPOSE_CONFIRM, &token, &scope,
                                 link);
}


/* By doi_message, or else by the pages, but for mails, which have their own. */

static ngx_int_t
ngx_http_doi_reply_text(ngx_http_request_t *r, ngx_uint_t message, size_t lang,
    doi_message_vars_t *vars, ngx_str_t *text)
{
    ngx_str_t                 pattern;
    ngx_http_doi_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_doi_module);

    ngx_str_null(text);

    if (conf->messages[message] == NULL) {
        return ngx_http_doi_reply_render(r, message, lang, vars, text);
    }

    if (ngx_http_complex_value(r, conf->messages[message], &pattern)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_doi_reply_fill(r->pool, &pattern, vars, text);
}


static ngx_int_t
ngx_http_doi_reply_fill(ngx_pool_t *pool, ngx_str_t *pattern,
    doi_message_vars_t *vars, ngx_str_t *text)
{
    u_char           *p, *last, *dst;
    size_t            n, len, left, most;
    ngx_uint_t        i;
    const doi_str_t  *value;

    const struct {
        const char       *name;
        const doi_str_t  *value;
    } names[] = {
        { "{{keyword}}", &vars->keyword },
        { "{{link}}", &vars->link },
        { "{{owner}}", &vars->owner }
    };

    n = sizeof(names) / sizeof(names[0]);
    len = 0;
    most = 1;

    for (i = 0; i < n; i++) {
        most = ngx_max(most, names[i].value->len);
    }

    /* no name is shorter than eight bytes */

    dst = ngx_pnalloc(pool, pattern->len + (pattern->len / 8 + 1) * most);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    text->data = dst;
    last = pattern->data + pattern->len;

    for (p = pattern->data; p < last; /* void */ ) {

        left = last - p;
        value = NULL;

        for (i = 0; i < n && value == NULL; i++) {
            len = ngx_strlen(names[i].name);

            if (left >= len && ngx_strncmp(p, names[i].name, len) == 0) {
                value = names[i].value;
            }
        }

        if (value == NULL) {
            *dst++ = *p++;
            continue;
        }

        p += len;

        if (value->len) {
            dst = ngx_cpymem(dst, value->data, value->len);
        }
    }

    text->len = dst - text->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_reply_render(ngx_http_request_t *r, ngx_uint_t message,
    size_t lang, doi_message_vars_t *vars, ngx_str_t *text)
{
    doi_buf_t                 out;
    ngx_http_doi_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_doi_module);

    out.size = 512;

    for ( ;; ) {
        out.len = 0;
        out.data = ngx_pnalloc(r->pool, out.size);
        if (out.data == NULL) {
            return NGX_ERROR;
        }

        text->data = out.data;
        text->len = doi_message_text(conf->pages,
                                     (doi_message_kind_t) message, lang, vars,
                                     &out);

        if (text->len <= out.size) {
            return NGX_OK;
        }

        out.size = text->len;
    }
}


/* What is shown is evidence, so it is kept, but without the link: unless the
   form has shown something else. */

static ngx_int_t
ngx_http_doi_reply_wording(ngx_http_request_t *r, ngx_http_doi_event_t *event,
    size_t lang, doi_message_vars_t *vars, ngx_str_t *text)
{
    doi_buf_t                 out;
    doi_page_vars_t           page;
    ngx_str_t                *wording;
    doi_message_vars_t        plain;
    ngx_http_doi_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_doi_module);
    wording = &event->said[DOI_SAID_WORDING];

    if (wording->len) {
        return NGX_OK;
    }

    if (event->arg.channel != DOI_CHANNEL_EMAIL) {

        if (vars->link.len == 0) {
            *wording = *text;
            return NGX_OK;
        }

        plain = *vars;
        plain.link.len = 0;

        return ngx_http_doi_reply_text(r, DOI_MESSAGE_PROMPT, lang, &plain,
                                       wording);
    }

    ngx_memzero(&page, sizeof(doi_page_vars_t));

    page.code = UINT32_MAX;
    page.opt_in = 1;
    page.owner_name = vars->owner;

    if (conf->messages[DOI_MESSAGE_PROMPT]) {
        page.message.data = text->data;
        page.message.len = text->len;
    }

    out.len = 0;
    out.size = doi_said_max[DOI_SAID_WORDING];
    out.data = ngx_pnalloc(r->pool, out.size);
    if (out.data == NULL) {
        return NGX_ERROR;
    }

    wording->data = out.data;
    wording->len = doi_mail_text(conf->pages, DOI_MAIL_OPT_IN, lang, &page,
                                 &out);

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_reply_put(ngx_http_request_t *r, ngx_http_doi_event_t *event,
    ngx_uint_t reply, ngx_str_t *link, ngx_str_t *text)
{
    ngx_str_t                 s, none;
    ngx_uint_t                linked;
    ngx_http_doi_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_doi_module);
    linked = link->len && (reply == DOI_REPLY_PROMPT
                           || reply == DOI_REPLY_REMINDER);
    s = *text;

    if (event->arg.channel == DOI_CHANNEL_EMAIL) {

        ngx_str_null(&none);

        if (ngx_http_doi_reply_mail(r, linked ? link : &none,
                                    conf->messages[reply - 1] ? text : &none,
                                    &s)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    /* what goes out in the answer does not wait */

    if (linked && !(event->arg.flags & DOI_CONSENT_INLINE)
        && ngx_http_doi_reply_seal(r, event, &s) != NGX_OK)
    {
        return NGX_ERROR;
    }

    event->reply[reply] = s;

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_reply_mail(ngx_http_request_t *r, ngx_str_t *link,
    ngx_str_t *text, ngx_str_t *mail)
{
    u_char                    *p, *end;
    size_t                     len;
    ngx_str_t                  lines[4];
    ngx_uint_t                 i;
    ngx_http_doi_loc_conf_t   *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_doi_module);

    ngx_memzero(lines, sizeof(lines));

    lines[0] = *link;
    lines[1] = conf->templates;

    if (conf->owner
        && (ngx_http_complex_value(r, conf->owner->name, &lines[2]) != NGX_OK
            || ngx_http_complex_value(r, conf->owner->email, &lines[3])
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    len = text->len;

    for (i = 0; i < 4; i++) {

        end = ngx_strlchr(lines[i].data, lines[i].data + lines[i].len, LF);

        if (end) {
            lines[i].len = end - lines[i].data;
        }

        len += lines[i].len + 1;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    mail->data = p;
    mail->len = len;

    for (i = 0; i < 4; i++) {
        if (lines[i].len) {
            p = ngx_cpymem(p, lines[i].data, lines[i].len);
        }

        *p++ = LF;
    }

    if (text->len) {
        ngx_memcpy(p, text->data, text->len);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_doi_reply_seal(ngx_http_request_t *r, ngx_http_doi_event_t *event,
    ngx_str_t *text)
{
    u_char                    nonce[DOI_SEAL_NONCE];
    doi_buf_t                 out;
    doi_str_t                 aad, plain;
    ngx_http_doi_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_doi_module);

    if (text->len + 1 + DOI_SEAL_OVERHEAD > doi_said_max[DOI_SAID_REPLY]) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "doi: a message with its link has %uz bytes, more than "
                      "%uz: shorten \"doi_message\"", text->len,
                      (size_t) (doi_said_max[DOI_SAID_REPLY] - 1
                                - DOI_SEAL_OVERHEAD));
        return NGX_ERROR;
    }

    out.len = 1;
    out.size = text->len + 1 + DOI_SEAL_OVERHEAD;
    out.data = ngx_pnalloc(r->pool, out.size);
    if (out.data == NULL) {
        return NGX_ERROR;
    }

    out.data[0] = NGX_HTTP_DOI_REPLY_SEALED;

    aad.data = event->arg.confirm;
    aad.len = DOI_ID_SIZE;
    plain.data = text->data;
    plain.len = text->len;

    if (ngx_http_doi_random(nonce, sizeof(nonce)) != NGX_OK
        || doi_seal(conf->ring, nonce, aad, plain, &out) != DOI_OK)
    {
        return NGX_ERROR;
    }

    text->data = out.data;
    text->len = out.len;

    return NGX_OK;
}


ngx_int_t
ngx_http_doi_contact_get(ngx_pool_t *pool, const u_char *id,
    doi_contact_t *contact)
{
    ngx_http_doi_contact_find_t  find;

    ngx_memzero(&find, sizeof(find));

    find.pool = pool;
    find.id = id;
    find.contact = contact;

    return ngx_http_doi_contact_look(&find);
}


ngx_int_t
ngx_http_doi_contact_of(ngx_pool_t *pool, const u_char *token,
    doi_purpose_t purpose, doi_contact_t *contact, ngx_str_t *list)
{
    ngx_int_t                    rc;
    ngx_http_doi_contact_find_t  find;

    ngx_memzero(&find, sizeof(find));

    find.pool = pool;
    find.token = token;
    find.purpose = purpose;
    find.contact = contact;

    rc = ngx_http_doi_contact_look(&find);

    list->data = (u_char *) find.list.data;
    list->len = find.list.len;

    return rc;
}


static ngx_int_t
ngx_http_doi_contact_look(ngx_http_doi_contact_find_t *find)
{
    doi_buf_t     out;
    doi_str_t     arg;
    doi_result_t  result;

    ngx_memzero(&out, sizeof(doi_buf_t));

    arg.data = (u_char *) find;
    arg.len = sizeof(*find);

    result = doi_store_read(ngx_http_doi_process_store(),
                            ngx_http_doi_contact_find, arg, &out);

    return result == DOI_WON ? NGX_OK
           : result == DOI_CONFLICT ? NGX_DECLINED : NGX_ERROR;
}


static doi_result_t
ngx_http_doi_contact_find(doi_view_t *view, doi_time_t now, doi_str_t arg,
    doi_buf_t *out)
{
    int                           rc;
    uint8_t                       id[DOI_CONTACT_ID];
    doi_contact_t                *c;
    ngx_http_doi_contact_find_t  *find;

    find = (ngx_http_doi_contact_find_t *) arg.data;
    c = find->contact;
    rc = DOI_OK;

    if (find->token) {
        rc = doi_token_contact(view, find->token, (unsigned) find->purpose,
                               id, &find->list);

    } else {
        ngx_memcpy(id, find->id, DOI_CONTACT_ID);
    }

    if (rc == DOI_OK) {
        rc = doi_contact_get(view, id, c);
    }

    if (rc != DOI_OK) {
        return rc == DOI_NOT_FOUND ? DOI_CONFLICT : DOI_RETRY;
    }

    c->lists = NULL;
    c->nlists = 0;

    return ngx_http_doi_contact_copy(find->pool, &c->address) == NGX_OK
           && ngx_http_doi_contact_copy(find->pool, &c->person) == NGX_OK
           && ngx_http_doi_contact_copy(find->pool, &c->lang) == NGX_OK
           && ngx_http_doi_contact_copy(find->pool, &c->sender) == NGX_OK
           && ngx_http_doi_contact_copy(find->pool, &find->list) == NGX_OK
           ? DOI_WON : DOI_RETRY;
}


static ngx_int_t
ngx_http_doi_contact_copy(ngx_pool_t *pool, doi_str_t *text)
{
    u_char  *p;

    if (text->len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, text->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, text->data, text->len);
    text->data = p;

    return NGX_OK;
}
