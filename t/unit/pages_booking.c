/*
 * Pages and mails of bookings: what they say, to whom, and what slots become.
 */

#include "pages_help.h"


typedef size_t (*mail_pt)(const doi_pages_t *pages, doi_mail_t mail,
    size_t lang, const doi_page_vars_t *vars, doi_buf_t *out);


static const char *
mail(mail_pt part, const doi_pages_t *pages, doi_mail_t which, size_t lang,
    const doi_page_vars_t *vars)
{
    doi_buf_t  buf = { space, 0, sizeof(space) - 1 };

    (void) part(pages, which, lang, vars, &buf);
    space[buf.len] = '\0';

    return (const char *) space;
}


/* The pages of bookings. */

static void
bookings(void)
{
    size_t            i;
    char              err[256];
    json_t           *root;
    const char       *text;
    doi_pages_t       pages;
    doi_page_vars_t   vars;

    static const struct {
        doi_page_t   page;
        unsigned     status;
        const char  *name;
    } states[] = {
        { DOI_PAGE_CHECK_MAIL, 202, "check_mail" },
        { DOI_PAGE_CONFIRM, 200, "confirm" },
        { DOI_PAGE_WRONG_CODE, 422, "wrong_code" },
        { DOI_PAGE_BOOKED, 200, "booked" },
        { DOI_PAGE_CANCELLED, 200, "cancelled" },
        { DOI_PAGE_WITHDRAWN, 410, "withdrawn" },
        { DOI_PAGE_REFUSED, 409, "refused" },
        { DOI_PAGE_LAPSED, 410, "lapsed" },
        { DOI_PAGE_TAKEN, 409, "taken" },
        { DOI_PAGE_LIMITED, 429, "limited" },
        { DOI_PAGE_FORM, 422, "form" },
        { DOI_PAGE_LARGE, 413, "large" },
        { DOI_PAGE_TYPE, 415, "type" }
    };

    for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        ok(doi_page_status(states[i].page) == states[i].status
           && strcmp(doi_page_name(states[i].page), states[i].name) == 0,
           "%s is %u", states[i].name, states[i].status);
    }

    doi_pages_builtin(&pages);
    (void) doi_pages_check(&pages, err, sizeof(err));

    vars = full_vars();
    text = html(&pages, DOI_PAGE_CHECK_MAIL, 0, &vars);
    ok(has(text, "a message to ann+x@example.net.")
       && has(text, "until Wednesday, 25 November 2026, 09:46"
                    " (Europe/Berlin) we hold it"), "check_mail");
    ok(!has(text, "<form") && !has(text, "/c/tok") && !has(text, "048213"),
       "it tells no secret");

    text = html(&pages, DOI_PAGE_CONFIRM, 0, &vars);
    ok(has(text, "<dd><bdi>Check-up &lt;&amp;&gt; &quot;more&quot;</bdi>")
       && has(text, "<dd><bdi>Tuesday, 24 November 2026, 09:00\xE2\x80\x93"
                    "09:30 (Europe/Berlin)</bdi>")
       && has(text, "Ann &lt;b&gt;O&#39;Neil&lt;/b&gt;")
       && has(text, "<dd><bdi>ann+x@example.net</bdi>"), "confirm: details");
    ok(has(text, "<form method=\"post\" action=\"\">")
       && strstr(strstr(text, "<form") + 1, "<form") == NULL
       && has(text, "name=\"action\" value=\"confirm\">")
       && has(text, "name=\"action\" value=\"cancel\" formnovalidate>"),
       "one form, two buttons");
    ok(strstr(text, "value=\"confirm\"") < strstr(text, "value=\"cancel\""),
       "Enter is the first one");
    ok(has(text, "<label for=\"code\">")
       && has(text, "<input id=\"code\" name=\"code\" inputmode=\"numeric\""
                    " autocomplete=\"one-time-code\" pattern=\"[0-9]{6}\""
                    " maxlength=\"6\" required>")
       && !has(text, "048213") && !has(text, "role=\"alert\""),
       "it asks for the code, and does not tell it");

    text = html(&pages, DOI_PAGE_CONFIRM, 1, &vars);
    ok(has(text, "Dienstag, 24. November 2026, 09:00\xE2\x80\x93"
                 "09:30 Uhr (Europe/Berlin)"), "confirm: German");

    vars.code = UINT32_MAX;
    text = html(&pages, DOI_PAGE_CONFIRM, 0, &vars);
    ok(has(text, "<form") && !has(text, "<input"), "no code");

    vars.code = 0;
    ok(has(html(&pages, DOI_PAGE_CONFIRM, 0, &vars), "<input"), "code 0");

    text = html(&pages, DOI_PAGE_WRONG_CODE, 0, &vars);
    ok(has(text, " aria-describedby=\"error\"")
       && has(text, "id=\"error\" role=\"alert\">This is not the code from"
                    " our message. You have 4 tries left.<")
       && has(text, "value=\"cancel\""), "wrong_code");
    vars.tries = 1;
    ok(has(html(&pages, DOI_PAGE_WRONG_CODE, 1, &vars),
           "Sie haben noch einen Versuch."), "the last try");
    vars.tries = 0;
    text = html(&pages, DOI_PAGE_WRONG_CODE, 0, &vars);
    ok(has(text, "our message.<") && !has(text, "left"), "tries not known");
    root = json_loads(json(&pages, DOI_PAGE_WRONG_CODE, 0, &vars), 0, NULL);
    ok(has(member(root, "detail"), "This is not the code"), "in JSON");
    json_decref(root);

    vars = full_vars();
    text = html(&pages, DOI_PAGE_BOOKED, 0, &vars);
    ok(has(text, "class=\"good\"") && has(text, "09:30 (Europe/Berlin)")
       && !has(text, "<form") && !has(text, "Confirm by")
       && !has(text, "<time"), "booked");

    for (i = DOI_PAGE_WITHDRAWN; i <= DOI_PAGE_TYPE; i++) {

        if (i == DOI_PAGE_LIMITED) {
            continue;
        }

        vars.start_url = str("/book?a=1&b=2");
        text = html(&pages, (doi_page_t) i, 0, &vars);
        ok(has(text, "class=\"button\" href=\"/book?a=1&amp;b=2\">")
           && !has(text, "<form"), "%s: start again",
           doi_page_name((doi_page_t) i));

        vars.start_url = str("javascript:alert(1)");
        text = html(&pages, (doi_page_t) i, 0, &vars);
        ok(!has(text, "class=\"button\"") && !has(text, "javascript"),
           "%s: but not from there", doi_page_name((doi_page_t) i));
    }

    ok(!has(html(&pages, DOI_PAGE_TAKEN, 0, &vars), "ann+x"),
       "taken says nothing of people");

    vars.retry_after = 0;
    ok(has(html(&pages, DOI_PAGE_LIMITED, 0, &vars), "again in a minute."),
       "limited");
    vars.retry_after = 60;
    ok(has(html(&pages, DOI_PAGE_LIMITED, 0, &vars), "again in a minute."),
       "a minute");
    vars.retry_after = 61;
    ok(has(html(&pages, DOI_PAGE_LIMITED, 0, &vars), "again in 2 minutes."),
       "rounded up");
    vars.retry_after = 7200;
    ok(has(html(&pages, DOI_PAGE_LIMITED, 1, &vars), " in 120 Minuten noch"),
       "minutes");
    vars.retry_after = 7201;
    ok(has(html(&pages, DOI_PAGE_LIMITED, 1, &vars), " in 3 Stunden noch"),
       "hours");
    vars.retry_after = UINT32_MAX;
    root = json_loads(json(&pages, DOI_PAGE_LIMITED, 0, &vars), 0, NULL);
    ok(json_integer_value(json_object_get(root, "retry_after")) == UINT32_MAX
       && has(member(root, "detail"), "in 1193047 hours"), "for ever");
    json_decref(root);

    doi_pages_free(&pages);
}


static void
problems(void)
{
    size_t            i, lang;
    char              err[256], first[2][256];
    json_t           *root;
    const char       *detail;
    doi_pages_t       pages;
    doi_page_vars_t   vars = full_vars();

    static const char *const  keys[] = {
        "problem.missing", "problem.twice", "problem.text", "problem.long",
        "problem.email", "problem.emails", "problem.slot", "problem.broken",
        "problem.zone"
    };

    doi_pages_builtin(&pages);
    (void) doi_pages_check(&pages, err, sizeof(err));

    /* what a page says that knows of none */

    vars.problem = str("problem.");

    for (lang = 0; lang < 2; lang++) {
        root = json_loads(json(&pages, DOI_PAGE_FORM, lang, &vars), 0, NULL);
        (void) snprintf(first[lang], sizeof(first[lang]), "%.40s",
                        member(root, "detail"));
        ok(strlen(first[lang]) == 40, "no such problem");
        json_decref(root);
    }

    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        vars.problem = str(keys[i]);

        for (lang = 0; lang < 2; lang++) {
            root = json_loads(json(&pages, DOI_PAGE_FORM, lang, &vars), 0,
                              NULL);
            detail = member(root, "detail");
            ok(detail[0] && strncmp(detail, first[lang], 40) != 0
               && strcmp(member(root, "field"), "e<mail") == 0, "%s in %s",
               keys[i], pages.langs[lang].tag);
            json_decref(root);
        }
    }

    ok(has(html(&pages, DOI_PAGE_FORM, 0, &vars), "(Field: e&lt;mail)"),
       "field in HTML");

    root = json_loads(json(&pages, DOI_PAGE_TAKEN, 0, &vars), 0, NULL);
    ok(root != NULL && json_object_get(root, "field") == NULL,
       "field only with a form");
    json_decref(root);

    vars.field.len = 0;
    root = json_loads(json(&pages, DOI_PAGE_FORM, 0, &vars), 0, NULL);
    ok(root != NULL && json_object_get(root, "field") == NULL
       && !has(member(root, "detail"), "Field"), "no field");
    json_decref(root);

    doi_pages_free(&pages);
}


/* Slots as forms write them, and what is shown. */

static void
slots(void)
{
    char              err[256], want[160], longer[1024];
    size_t            i;
    json_t           *root;
    doi_pages_t       pages;
    doi_page_vars_t   vars = no_vars();

    static const struct {
        const char  *slot;
        const char  *zone;
        const char  *shown;
    } cases[] = {
        { "2026-11-24T09:00", "", "Tuesday, 24 November 2026, 09:00" },
        { "2026-11-24 09:00", "Europe/Berlin",
          "Tuesday, 24 November 2026, 09:00 (Europe/Berlin)" },
        { "2026-11-24t23:59", "", "Tuesday, 24 November 2026, 23:59" },
        { "2026-11-24T09:00:00", "X",
          "Tuesday, 24 November 2026, 09:00 (X)" },
        { "2026-11-24T09:00:00.000", "X",
          "Tuesday, 24 November 2026, 09:00 (X)" },

        /* an offset is the truth about the hours, the zone is not */
        { "2026-11-24T09:00:00.000Z", "Europe/Berlin",
          "Tuesday, 24 November 2026, 09:00 (UTC)" },
        { "2026-11-24T09:00Z", "", "Tuesday, 24 November 2026, 09:00 (UTC)" },
        { "2026-11-24T09:00:00+01:00", "",
          "Tuesday, 24 November 2026, 09:00 (UTC+01:00)" },
        { "2026-11-24T09:00:00-0930", "X",
          "Tuesday, 24 November 2026, 09:00 (UTC-09:30)" },
        { "2026-11-24T09:00+01:00", "",
          "Tuesday, 24 November 2026, 09:00 (UTC+01:00)" },

        { "2026-11-24T09:00-09:30", "X",
          "Tuesday, 24 November 2026, 09:00\xE2\x80\x93" "09:30 (X)" },
        { "2026-11-24 09:00 09:30", "",
          "Tuesday, 24 November 2026, 09:00\xE2\x80\x93" "09:30" },
        { "2026-11-24 09:00 - 10:00", "",
          "Tuesday, 24 November 2026, 09:00\xE2\x80\x93" "10:00" },
        { "2026-11-24 09:00:00 \xE2\x80\x93 10:00:00", "",
          "Tuesday, 24 November 2026, 09:00\xE2\x80\x93" "10:00" },
        { "2026-11-24T23:00/24:00", "",
          "Tuesday, 24 November 2026, 23:00\xE2\x80\x93" "24:00" },

        { "2024-02-29T00:00", "", "Thursday, 29 February 2024, 00:00" },
        { "2000-02-29T00:00", "", "Tuesday, 29 February 2000, 00:00" },
        { "2026-01-01T00:00", "", "Thursday, 1 January 2026, 00:00" },
        { "2026-12-31T00:00", "", "Thursday, 31 December 2026, 00:00" },
        { "2027-08-01T00:00", "", "Sunday, 1 August 2027, 00:00" },
        { "2027-08-02T00:00", "", "Monday, 2 August 2027, 00:00" },
        { "0001-01-01T00:00", "", "Monday, 1 January 1, 00:00" },
        { "9999-12-31T00:00", "", "Friday, 31 December 9999, 00:00" },

        /* not understood: as it is */
        { "next Tuesday", "X", NULL },
        { "2026-11-24", "", NULL },
        { "2026-11-24T", "", NULL },
        { "2026-11-24T09:0", "", NULL },
        { "2026-11-24T9:00", "", NULL },
        { "2026-11-24x09:00", "", NULL },
        { "2026/11/24T09:00", "", NULL },
        { "2026-00-24T09:00", "", NULL },
        { "2026-13-24T09:00", "", NULL },
        { "2026-11-00T09:00", "", NULL },
        { "2026-11-31T09:00", "", NULL },
        { "2026-02-29T09:00", "", NULL },
        { "1900-02-29T09:00", "", NULL },
        { "0000-01-01T09:00", "", NULL },
        { "2026-11-24T24:00", "", NULL },
        { "2026-11-24T25:00", "", NULL },
        { "2026-11-24T09:60", "", NULL },
        { "2026-11-24T09:00-08:00", "", NULL },
        { "2026-11-24T09:00-09:00", "", NULL },
        { "2026-11-24T09:00-24:01", "", NULL },
        { "2026-11-24T09:00-09:30x", "", NULL },
        { "2026-11-24T09:00-", "", NULL },
        { "2026-11-24T09:00 ", "", NULL },
        { "2026-11-24T09:00\xE2\x80", "", NULL },
        { "2026-11-24T09:00\xE2\x80\x93", "", NULL },
        { "2026-11-24T09:00:", "", NULL },
        { "2026-11-24T09:00:61", "", NULL },
        { "2026-11-24T09:00:00.", "", NULL },
        { "2026-11-24T09:00:00+24:00", "", NULL },
        { "2026-11-24T09:00:00+01:60", "", NULL },
        { "2026-11-24T09:00:00+1", "", NULL },
        { "2026-11-24T09:00Zx", "", NULL },
        { "2026-11-24T09:0009:30", "", NULL },
        { "2026-11-24T09:00 room 5", "", NULL }
    };

    doi_pages_builtin(&pages);
    (void) doi_pages_check(&pages, err, sizeof(err));

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        /* from the heap: the sanitizer sees its end */
        vars.slot.len = strlen(cases[i].slot);
        vars.slot.data = memcpy(malloc(vars.slot.len), cases[i].slot,
                                vars.slot.len);
        vars.zone = str(cases[i].zone);

        (void) snprintf(want, sizeof(want), "confirming it: %s. Please",
                        cases[i].shown ? cases[i].shown : cases[i].slot);
        root = json_loads(json(&pages, DOI_PAGE_TAKEN, 0, &vars), 0, NULL);

        if (cases[i].slot[vars.slot.len - 1] == '\x80') {
            ok(has(member(root, "detail"), "09:00\xEF\xBF\xBD."),
               "slot of broken UTF-8");

        } else if (!ok(has(member(root, "detail"), want), "slot \"%s\"",
                       cases[i].slot))
        {
            printf("# got '%s'\n", member(root, "detail"));
        }

        json_decref(root);
        free((void *) vars.slot.data);
    }

    /* too long to be a zone */

    memset(longer, 'z', sizeof(longer));
    vars.slot = str("2026-11-24T09:00");
    vars.zone.data = (const uint8_t *) longer;
    vars.zone.len = sizeof(longer);
    ok(has(html(&pages, DOI_PAGE_TAKEN, 0, &vars),
           "confirming it: 2026-11-24T09:00."), "an endless zone");
    vars.zone.len = 255;
    ok(has(html(&pages, DOI_PAGE_TAKEN, 0, &vars), "09:00 (zzzzz"),
       "a long one");
    vars.zone = str("<i>{{id}}\"");
    ok(has(html(&pages, DOI_PAGE_TAKEN, 0, &vars),
           "09:00 (&lt;i&gt;{{id}}&quot;)"), "a hostile one");

    vars = no_vars();
    vars.email = str("a@b.example");
    ok(!has(html(&pages, DOI_PAGE_CHECK_MAIL, 0, &vars), "<dl"),
       "no empty list");
    vars.expires = UINT32_MAX;
    ok(has(html(&pages, DOI_PAGE_CHECK_MAIL, 0, &vars),
           "until Sunday, 7 February 2106, 06:28 we"), "the last second");

    doi_pages_free(&pages);

    is_int(override(&pages, "en.txt", "when = {{date.time}} {{date.year}}"
                    "-{{date.month}}-{{date.day}} {{date.weekday}}"
                    "{{^date.zone}} here{{/date.zone}}\nmonth.11 = Nov\n"
                    "weekday.2 = {{Tue}}\n")[0] == '\0', 0,
           "a weekday is no template");
    doi_pages_free(&pages);

    ok(override(&pages, "en.txt", "when = {{date.time}} {{date.year}}"
                "-{{date.month}}-{{date.day}} {{date.weekday}}"
                "{{^date.zone}} here{{/date.zone}}\nmonth.11 = Nov\n"
                "weekday.2 = Tue\n")[0] == '\0', "a pattern of our own");
    vars.slot = str("2026-11-24T09:00");
    ok(has(html(&pages, DOI_PAGE_TAKEN, 0, &vars),
           "it: 09:00 2026-Nov-24 Tue here."), "is used");
    doi_pages_free(&pages);
}


/* A mail is plain text and HTML, and its subject one line. */

static void
mails(void)
{
    char              err[256], label[64];
    size_t            i, lang, set, need, bad;
    unsigned          which;
    uint8_t          *small;
    doi_buf_t         buf;
    doi_pages_t       pages;
    const char       *text;
    doi_page_vars_t   vars[2], v;

    static const char *const  names[] = {
        "confirm", "remind", "booked", "cancelled", "owner",
        "owner_cancelled", "owner_doubt"
    };

    vars[0] = full_vars();
    vars[1] = no_vars();

    doi_pages_builtin(&pages);
    (void) doi_pages_check(&pages, err, sizeof(err));

    for (which = 0; which <= DOI_MAIL_OWNER_DOUBT; which++) {

        ok(strcmp(doi_mail_name((doi_mail_t) which), names[which]) == 0,
           "mail %s", names[which]);

        for (i = 0; i < 4; i++) {
            lang = i % 2;
            set = i / 2;
            v = vars[set];

            (void) snprintf(label, sizeof(label), "mail %s %s %s",
                            names[which], pages.langs[lang].tag,
                            set ? "bare" : "full");

            text = mail(doi_mail_subject, &pages, (doi_mail_t) which, lang,
                        &v);
            ok(text[0] && !has(text, "\n") && !has(text, "{{")
               && !has(text, "Question") && !has(text, "Frage"),
               "%s: subject", label);

            text = mail(doi_mail_text, &pages, (doi_mail_t) which, lang, &v);
            ok(text[0] > ' ' && !has(text, "{{") && !has(text, "}}")
               && !has(text, "\r") && !has(text, "\n\n\n")
               && text[strlen(text) - 1] == '\n', "%s: text", label);
            ok(!has(text, "&lt;") && !has(text, "&amp;"),
               "%s: plain", label);
            is_int(has(text, "\n\nhttps://example.org/c/tok?a=1&b=2\n\n"),
                   !set && which != DOI_MAIL_CANCELLED,
                   "%s: link on a line of its own", label);

            text = mail(doi_mail_html, &pages, (doi_mail_t) which, lang, &v);
            ok(strncmp(text, "<!DOCTYPE html>", 15) == 0
               && has(text, "dir=\"ltr\"") && has(text, "</html>\n")
               && !has(text, "{{") && !has(text, "<img")
               && !has(text, "<script") && !has(text, "<b>"),
               "%s: HTML", label);
            is_int(has(text, "<a href=\"https://example.org/c/tok?a=1&amp;b=2"
                             "\" style="),
                   !set && which != DOI_MAIL_CANCELLED, "%s: button", label);
            is_int(has(text, "048213"),
                   !set && (which == DOI_MAIL_CONFIRM
                            || which == DOI_MAIL_REMIND), "%s: code", label);

            /* who gets the first mails may be a stranger to the booker */

            is_int(has(text, "O&#39;Neil"), !set && which >= DOI_MAIL_OWNER,
                   "%s: visitor's name", label);
        }
    }

    v = full_vars();
    text = mail(doi_mail_text, &pages, DOI_MAIL_CONFIRM, 1, &v);
    ok(has(text, "Dr. \"<M\xC3\xBCller>\"")
       && has(text, "\nWas: Check-up <&> \"more\"\nWann: Dienstag, 24.")
       && has(text, "bis Mittwoch, 25. November 2026, 09:46 Uhr")
       && has(text, "\n\n048213\n\n") && has(text, "nicht\xE2\x80\x9C"),
       "what the mail says");

    text = mail(doi_mail_text, &pages, DOI_MAIL_OWNER_DOUBT, 0, &v);
    ok(has(text, "\nName: Ann <b>O'Neil</b>\nEmail: ann+x@example.net\n")
       && has(text, "(reference aVZ0kXq3TzE9pQ2m)")
       && !has(text, "a+b@example.org"), "what the owner is told");

    v.code = 0;
    ok(has(mail(doi_mail_text, &pages, DOI_MAIL_REMIND, 0, &v),
           "\n\n000000\n\n"), "code 0");

    /* nothing that comes from outside makes a line */

    v = full_vars();
    v.summary = str("a\r\nBcc: x@y\r\n\r\nb\xC2\x85" "c\xE2\x80\xA8" "d\x1B"
                    "\x7F\xFF\te\xC2\xA0");
    v.name = v.slot = v.owner_name = v.id = v.summary;

    for (which = 0; which <= DOI_MAIL_OWNER_DOUBT; which++) {
        text = mail(doi_mail_subject, &pages, (doi_mail_t) which, 0, &v);
        ok(has(text, "a  Bcc: x@y    b c d  \xEF\xBF\xBD e\xC2\xA0")
           && strpbrk(text, "\r\n\t\x1B\x7F") == NULL,
           "%s: the subject stays one line", names[which]);

        text = mail(doi_mail_text, &pages, (doi_mail_t) which, 0, &v);
        ok(!has(text, "\nBcc") && !has(text, "\r") && !has(text, "\xC2\x85")
           && !has(text, "\xE2\x80\xA8"), "%s: nor does the text gain one",
           names[which]);
    }

    v = full_vars();
    v.url = str("javascript:alert(1)");
    ok(!has(mail(doi_mail_html, &pages, DOI_MAIL_CONFIRM, 0, &v),
            "javascript"), "no such link");

    /* every size */

    v = full_vars();
    memset(&buf, 0, sizeof(buf));
    need = doi_mail_text(&pages, DOI_MAIL_CONFIRM, 0, &v, &buf);
    ok(need > 300 && buf.len == 0, "size 0");

    for (i = 1, bad = 0; i <= need; i++) {
        small = malloc(i);
        buf.data = small;
        buf.len = 0;
        buf.size = i;
        bad += doi_mail_text(&pages, DOI_MAIL_CONFIRM, 0, &v, &buf) != need;
        bad += buf.len != i;
        free(small);
    }

    is_int(bad, 0, "every size");
    ok(has(mail(doi_mail_html, &pages, DOI_MAIL_OWNER, 99, &v),
           "lang=\"en\""), "no such language: the default");

    doi_pages_free(&pages);
    is_int(doi_mail_text(&pages, DOI_MAIL_CONFIRM, 0, &v, &buf), 0,
           "unchecked: no mail");

    (void) override(&pages, "mail.txt",
                    "{{state}}{{#is.mail_owner}} O{{/is.mail_owner}}"
                    "{{#to.owner}} to{{/to.owner}} {{url}}|{{t.subject}}|"
                    "{{email|uri}}\n");
    ok(strcmp(mail(doi_mail_text, &pages, DOI_MAIL_OWNER_DOUBT, 0, &vars[1]),
              "mail_owner_doubt to |Please check a booking|\n") == 0
       && strcmp(mail(doi_mail_text, &pages, DOI_MAIL_OWNER, 0, &vars[0]),
                 "mail_owner O to https://example.org/c/tok?a=1&b=2|New"
                 " booking: Tuesday, 24 November 2026, 09:00\xE2\x80\x93"
                 "09:30 (Europe/Berlin), Ann <b>O'Neil</b>|"
                 "ann%2Bx@example.net\n") == 0, "a mail.txt of our own");
    ok(has(mail(doi_mail_html, &pages, DOI_MAIL_OWNER, 0, &vars[0]),
           "<h1"), "mail.html is still built in");
    is_int(pages.nlangs, 2, "mail.txt is not a language");
    doi_pages_free(&pages);

    (void) override(&pages, "mail.html", "<style>b{}</style><b>{{t.title}}");
    ok(strcmp(mail(doi_mail_html, &pages, DOI_MAIL_BOOKED, 1, &vars[1]),
              "<style>b{}</style><b>Ihr Termin ist gebucht") == 0,
       "a mail.html of our own");
    doi_pages_free(&pages);

    /* an operator's "subject" is not that of our mails */

    (void) override(&pages, "fr.txt", "subject = Ma question\n"
                    "mail_owner.title = Nouvelle\n");
    ok(strcmp(mail(doi_mail_subject, &pages, DOI_MAIL_BOOKED, 2, &vars[1]),
              "Your appointment is booked") == 0
       && has(mail(doi_mail_text, &pages, DOI_MAIL_OWNER, 2, &vars[1]),
              "Nouvelle\n"), "own texts of mails come first");
    doi_pages_free(&pages);
}


int
main(void)
{
    bookings();
    problems();
    slots();
    mails();

    return done_testing();
}
