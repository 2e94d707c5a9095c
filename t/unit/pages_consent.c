/*
 * Pages, mails and short messages about subscriptions.
 */

#include "pages_help.h"


typedef size_t (*mail_pt)(const doi_pages_t *pages, doi_mail_t mail,
    size_t lang, const doi_page_vars_t *vars, doi_buf_t *out);


static char  said[4096];


static const char *
mail(mail_pt part, const doi_pages_t *pages, doi_mail_t which, size_t lang,
    const doi_page_vars_t *vars)
{
    doi_buf_t  buf;

    buf.data = space;
    buf.len = 0;
    buf.size = PAGE_SIZE_MAX - 1;

    (void) part(pages, which, lang, vars, &buf);
    space[buf.len] = '\0';

    return (const char *) space;
}


static const char *
message(const doi_pages_t *pages, doi_message_kind_t which, size_t lang,
    const char *link, const char *owner)
{
    doi_buf_t           buf;
    doi_message_vars_t  vars;

    vars.keyword = str("YES");
    vars.link = str(link);
    vars.owner = str(owner);

    buf.data = (uint8_t *) said;
    buf.len = 0;
    buf.size = sizeof(said) - 1;

    (void) doi_message_text(pages, which, lang, &vars, &buf);
    said[buf.len] = '\0';

    return said;
}


static void
pages_and_mails(void)
{
    char             err[256];
    size_t           i, lang;
    const char      *text;
    doi_pages_t      pages;
    doi_page_vars_t  vars;

    static const struct {
        doi_page_t   page;
        unsigned     status;
        const char  *name;
        int          asks;
        int          cancels;
    } states[] = {
        { DOI_PAGE_SUBSCRIBE_CHECK, 202, "subscribe_check", 0, 0 },
        { DOI_PAGE_SUBSCRIBED, 200, "subscribed", 0, 0 },
        { DOI_PAGE_OPT_CONFIRM, 200, "opt_confirm", 1, 1 },
        { DOI_PAGE_UNSUBSCRIBE, 200, "unsubscribe", 1, 0 },
        { DOI_PAGE_OPTED_OUT, 200, "opted_out", 0, 0 }
    };

    static const char *const  mails[] = {
        "opt_in", "opt_in_remind", "subscribed", "opted_out"
    };

    doi_pages_builtin(&pages);
    ok(doi_pages_check(&pages, err, sizeof(err)) == DOI_OK, "%s", err);

    vars = full_vars();
    vars.opt_in = 1;

    for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {

        ok(doi_page_status(states[i].page) == states[i].status
           && strcmp(doi_page_name(states[i].page), states[i].name) == 0,
           "%s is %u", states[i].name, states[i].status);

        for (lang = 0; lang < pages.nlangs; lang++) {
            text = html(&pages, states[i].page, lang, &vars);

            is_int(has(text, "value=\"confirm\""), states[i].asks,
                   "%s, %s: a button", states[i].name, pages.langs[lang].tag);
            is_int(has(text, "value=\"cancel\""), states[i].cancels,
                   "%s: another", states[i].name);
            ok(!has(text, "Check-up") && !has(text, "{{")
               && !has(text, "048213") && !has(text, "/c/tok"),
               "%s: nothing of a booking", states[i].name);
        }
    }

    for (i = 0; i < sizeof(mails) / sizeof(mails[0]); i++) {

        ok(strcmp(doi_mail_name((doi_mail_t) (DOI_MAIL_OPT_IN + i)), mails[i])
           == 0, "mail %s", mails[i]);

        for (lang = 0; lang < pages.nlangs; lang++) {

            vars = no_vars();
            vars.opt_in = 1;
            vars.url = str("https://e.example/c/tok");

            text = mail(doi_mail_text, &pages,
                        (doi_mail_t) (DOI_MAIL_OPT_IN + i), lang, &vars);
            is_int(has(text, "/c/tok"), i < 2, "%s: its link", mails[i]);

            vars.message = str("From <us> to you");
            ok(has(mail(doi_mail_text, &pages,
                        (doi_mail_t) (DOI_MAIL_OPT_IN + i), lang, &vars),
                   "\nFrom <us> to you\n")
               && has(mail(doi_mail_html, &pages,
                           (doi_mail_t) (DOI_MAIL_OPT_IN + i), lang, &vars),
                      ">From &lt;us&gt; to you<"), "%s: the operator's text",
               mails[i]);
            ok(strpbrk(mail(doi_mail_subject, &pages,
                            (doi_mail_t) (DOI_MAIL_OPT_IN + i), lang, &vars),
                       "\n{") == NULL && space[0] != '\0',
               "%s: its subject", mails[i]);
        }
    }

    doi_pages_free(&pages);
}


static void
messages(void)
{
    char         err[256];
    unsigned     which;
    size_t       lang;
    doi_pages_t  pages;

    static const char *const  names[DOI_MESSAGES] = {
        "prompt", "reminder", "confirmed", "opted_out", "help"
    };

    doi_pages_builtin(&pages);
    (void) doi_pages_check(&pages, err, sizeof(err));

    for (which = 0; which < DOI_MESSAGES; which++) {

        ok(strcmp(doi_message_name((doi_message_kind_t) which), names[which])
           == 0, "%s", names[which]);

        for (lang = 0; lang < pages.nlangs; lang++) {

            (void) message(&pages, (doi_message_kind_t) which, lang,
                           "https://e/x?a=1&b=2", "A & <B>");
            ok(strncmp(said, "A & <B>: ", 9) == 0 && !has(said, "{"),
               "%s: whose it is, not escaped", names[which]);
            is_int(has(said, "https://e/x?a=1&b=2"), which < 2,
                   "%s: its link", names[which]);
            is_int(has(said, "YES"), which < 2, "%s: the keyword",
                   names[which]);
            ok(has(message(&pages, (doi_message_kind_t) which, lang, "", ""),
                   which == DOI_MESSAGE_OPTED_OUT ? "START" : "STOP"),
               "%s: the way out, or back", names[which]);
            ok(!has(said, "open .") && !has(said, "://") && said[0] != ':',
               "%s: nothing is left of what is not there", names[which]);
        }
    }

    is_int(doi_message_text(&pages, DOI_MESSAGE_PROMPT, 99,
                            &(doi_message_vars_t) { .keyword = str("YES") },
                            &(doi_buf_t) { NULL, 0, 0 }),
           strlen(message(&pages, DOI_MESSAGE_PROMPT, 0, "", "")),
           "the length without room; an unknown language is the first");

    doi_pages_free(&pages);

    /* of an operator */

    doi_pages_builtin(&pages);
    ok(doi_pages_override(&pages, "fr.txt",
                          str("message.prompt = {{keyword}}?\n"), err,
                          sizeof(err)) == DOI_OK
       && doi_pages_check(&pages, err, sizeof(err)) == DOI_OK, "own text");
    ok(strcmp(message(&pages, DOI_MESSAGE_PROMPT, 2, "", ""), "YES?") == 0,
       "is used");
    doi_pages_free(&pages);

    doi_pages_builtin(&pages);
    ok(doi_pages_override(&pages, "fr.txt",
                          str("message.prompt = {{slot}}\n"), err, sizeof(err))
       == DOI_OK && doi_pages_check(&pages, err, sizeof(err)) == DOI_ERROR
       && has(err, "fr.txt:1"), "a variable of pages: %s", err);
    doi_pages_free(&pages);

    doi_pages_builtin(&pages);
    ok(doi_pages_override(&pages, "fr.txt",
                          str("message.promt = x\n"), err, sizeof(err))
       == DOI_OK && doi_pages_check(&pages, err, sizeof(err)) == DOI_ERROR,
       "a misspelt key: %s", err);
    doi_pages_free(&pages);
}


int
main(void)
{
    pages_and_mails();
    messages();

    return done_testing();
}
