/* The pure state machine of consent, its names, and the gate. */

#include "tap.h"
#include "consent_help.h"


#define N   DOI_CONSENT_NONE
#define P   DOI_CONSENT_PENDING
#define S   DOI_CONSENT_SINGLE
#define D   DOI_CONSENT_DOUBLE
#define O   DOI_CONSENT_OPTED_OUT

#define PROMPT      DOI_REPLY_PROMPT
#define REMINDER    DOI_REPLY_REMINDER
#define CONFIRMED   DOI_REPLY_CONFIRMED
#define OUT         DOI_REPLY_OPTED_OUT
#define HELP        DOI_REPLY_HELP


/* One cell; prompted: a prompt is outstanding, and its reminder is due. */

typedef struct {
    uint8_t  from;
    uint8_t  prompted;
    uint8_t  event;
    uint8_t  level;
    uint8_t  to;
    uint8_t  reply;
    uint8_t  asks;      /* a prompt is outstanding afterwards */
} cell_t;

static const cell_t  cells[] = {
    { N, 0, DOI_CONSENT_SUBSCRIBE, S, S, CONFIRMED, 0 },
    { N, 0, DOI_CONSENT_SUBSCRIBE, D, P, PROMPT, 1 },
    { N, 0, DOI_CONSENT_CONFIRM, D, N, 0, 0 },
    { N, 0, DOI_CONSENT_STOP, S, O, OUT, 0 },
    { N, 0, DOI_CONSENT_REVOKE, S, O, 0, 0 },
    { N, 0, DOI_CONSENT_OVERRIDE, S, S, 0, 0 },
    { N, 0, DOI_CONSENT_OTHER, D, N, 0, 0 },
    { N, 0, DOI_CONSENT_HELP, S, N, HELP, 0 },

    { P, 1, DOI_CONSENT_SUBSCRIBE, S, S, CONFIRMED, 0 },
    { P, 1, DOI_CONSENT_SUBSCRIBE, D, P, REMINDER, 1 },
    { P, 1, DOI_CONSENT_CONFIRM, D, D, CONFIRMED, 0 },
    { P, 1, DOI_CONSENT_STOP, D, O, OUT, 0 },
    { P, 1, DOI_CONSENT_REVOKE, D, O, 0, 0 },
    { P, 1, DOI_CONSENT_OVERRIDE, D, S, 0, 0 },
    { P, 1, DOI_CONSENT_OTHER, D, P, REMINDER, 1 },
    { P, 1, DOI_CONSENT_HELP, D, P, HELP, 1 },

    { P, 0, DOI_CONSENT_SUBSCRIBE, S, S, CONFIRMED, 0 },
    { P, 0, DOI_CONSENT_SUBSCRIBE, D, P, PROMPT, 1 },
    { P, 0, DOI_CONSENT_CONFIRM, D, D, CONFIRMED, 0 },
    { P, 0, DOI_CONSENT_OTHER, D, P, PROMPT, 1 },

    { S, 0, DOI_CONSENT_SUBSCRIBE, S, S, CONFIRMED, 0 },
    { S, 0, DOI_CONSENT_SUBSCRIBE, D, S, PROMPT, 1 },
    { S, 0, DOI_CONSENT_CONFIRM, D, S, 0, 0 },
    { S, 0, DOI_CONSENT_STOP, D, O, OUT, 0 },
    { S, 0, DOI_CONSENT_REVOKE, D, O, 0, 0 },
    { S, 0, DOI_CONSENT_OVERRIDE, D, S, 0, 0 },
    { S, 0, DOI_CONSENT_OTHER, D, S, 0, 0 },
    { S, 0, DOI_CONSENT_HELP, D, S, HELP, 0 },

    { S, 1, DOI_CONSENT_SUBSCRIBE, S, S, CONFIRMED, 1 },
    { S, 1, DOI_CONSENT_SUBSCRIBE, D, S, REMINDER, 1 },
    { S, 1, DOI_CONSENT_CONFIRM, S, D, CONFIRMED, 0 },
    { S, 1, DOI_CONSENT_STOP, D, O, OUT, 0 },
    { S, 1, DOI_CONSENT_REVOKE, D, O, 0, 0 },
    { S, 1, DOI_CONSENT_OVERRIDE, D, S, 0, 1 },
    { S, 1, DOI_CONSENT_OTHER, D, S, REMINDER, 1 },
    { S, 1, DOI_CONSENT_HELP, D, S, HELP, 1 },

    { D, 0, DOI_CONSENT_SUBSCRIBE, S, D, CONFIRMED, 0 },
    { D, 0, DOI_CONSENT_SUBSCRIBE, D, D, CONFIRMED, 0 },
    { D, 0, DOI_CONSENT_CONFIRM, D, D, 0, 0 },
    { D, 0, DOI_CONSENT_STOP, D, O, OUT, 0 },
    { D, 0, DOI_CONSENT_REVOKE, D, O, 0, 0 },
    { D, 0, DOI_CONSENT_OVERRIDE, D, D, 0, 0 },
    { D, 0, DOI_CONSENT_OTHER, D, D, 0, 0 },
    { D, 0, DOI_CONSENT_HELP, D, D, HELP, 0 },

    { O, 0, DOI_CONSENT_SUBSCRIBE, S, S, CONFIRMED, 0 },
    { O, 0, DOI_CONSENT_SUBSCRIBE, D, P, PROMPT, 1 },
    { O, 0, DOI_CONSENT_CONFIRM, D, O, 0, 0 },
    { O, 0, DOI_CONSENT_STOP, D, O, 0, 0 },
    { O, 0, DOI_CONSENT_REVOKE, D, O, 0, 0 },
    { O, 0, DOI_CONSENT_OVERRIDE, D, S, 0, 0 },
    { O, 0, DOI_CONSENT_OTHER, D, O, 0, 0 },
    { O, 0, DOI_CONSENT_HELP, D, O, HELP, 0 }
};


static doi_consent_t
consent_at(unsigned state, int prompted)
{
    doi_consent_t  c;

    memset(&c, 0, sizeof(c));
    c.state = (uint8_t) state;
    c.prompted = (uint8_t) prompted;
    c.since = T - 10 * DAY;
    c.asked = prompted ? T - DOI_REMIND_EVERY : 0;
    c.opted_in = state == S || state == D ? T - 10 * DAY : 0;

    return c;
}


static void
test_cells(void)
{
    size_t                i;
    const cell_t         *x;
    doi_consent_t         c;
    doi_consent_effect_t  e;

    for (i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
        x = &cells[i];
        c = consent_at(x->from, x->prompted);

        doi_consent_step(&c, x->event, x->event == DOI_CONSENT_OVERRIDE
                         ? DOI_SOURCE_AGENT : DOI_SOURCE_KEYWORD, x->level, T,
                         &e);

        ok(c.state == x->to && e.reply == x->reply && !e.refused
           && e.changed == (x->from != x->to) && c.prompted == x->asks
           && c.since == (x->from != x->to ? T : T - 10 * DAY)
           && (c.opted_in != 0) == (x->to == S || x->to == D),
           "%s%s, %s at %s: %s, %s", doi_consent_name(x->from),
           x->prompted ? " and asked" : "", doi_consent_event_name(x->event),
           doi_consent_name(x->level), doi_consent_name(x->to),
           doi_reply_name(x->reply));
    }
}


/* Whoever it is that says so, and whatever the state. */

static void
test_sources(void)
{
    int                   bad, own;
    unsigned              state, event, source, level;
    doi_consent_t         c;
    doi_consent_effect_t  e;

    bad = 0;

    for (state = N; state < DOI_CONSENT_STATES; state++) {
        for (event = 0; event < DOI_CONSENT_EVENTS; event++) {
            for (source = 0; source < DOI_SOURCES; source++) {
                for (level = S; level <= D; level++) {
                    c = consent_at(state, 0);
                    doi_consent_step(&c, event, source, level, T, &e);
                    own = source == DOI_SOURCE_WEB
                          || source == DOI_SOURCE_KEYWORD
                          || source == DOI_SOURCE_IVR;

                    if (state == O && c.state != O
                        && !(event == DOI_CONSENT_SUBSCRIBE && own)
                        && !(event == DOI_CONSENT_OVERRIDE
                             && source != DOI_SOURCE_IMPORT
                             && source != DOI_SOURCE_PROVIDER
                             && source != DOI_SOURCE_SYNC))
                    {
                        bad++;
                    }

                    if ((event == DOI_CONSENT_STOP
                         || event == DOI_CONSENT_REVOKE) && c.state != O)
                    {
                        bad++;
                    }

                    bad += e.refused && (e.changed || c.state != state);
                    bad += (c.state != state) != e.changed;
                    bad += state == O && event == DOI_CONSENT_SUBSCRIBE
                           && !own && !e.refused;
                }
            }
        }
    }

    is_int(bad, 0, "opted_out is left by the contact or an override only, "
           "and STOP works everywhere");

    c = consent_at(N, 0);
    doi_consent_step(&c, DOI_CONSENT_EVENTS, 0, S, T, &e);
    ok(e.refused && c.state == N, "an event that is none is refused");

    c.state = DOI_CONSENT_STATES;
    doi_consent_step(&c, DOI_CONSENT_SUBSCRIBE, 0, S, T, &e);
    ok(e.refused && c.state == DOI_CONSENT_STATES, "so is a state");
}


/* Anybody can fill in a form. */

static void
test_form(void)
{
    doi_consent_t         c;
    doi_consent_effect_t  e;

    c = consent_at(N, 0);
    doi_consent_step(&c, DOI_CONSENT_SUBSCRIBE, DOI_SOURCE_WEB, S, T, &e);
    ok(c.state == S && e.reply == DOI_REPLY_CONFIRMED, "a new one is in");

    c = consent_at(O, 0);
    doi_consent_step(&c, DOI_CONSENT_SUBSCRIBE, DOI_SOURCE_WEB, S, T, &e);
    ok(c.state == P && e.reply == DOI_REPLY_PROMPT,
       "who has opted out is asked");

    doi_consent_step(&c, DOI_CONSENT_SUBSCRIBE, DOI_SOURCE_WEB, S, T + 1, &e);
    ok(c.state == P && e.reply == DOI_REPLY_NONE,
       "and is not in when the form is sent once more");

    doi_consent_step(&c, DOI_CONSENT_CONFIRM, DOI_SOURCE_WEB, S, T + 2, &e);
    ok(c.state == D && e.reply == DOI_REPLY_CONFIRMED, "but by the answer");
}


static void
test_reminders(void)
{
    unsigned              i, sent;
    doi_time_t            now;
    doi_consent_t         c;
    doi_consent_effect_t  e;

    memset(&c, 0, sizeof(c));
    now = T;
    doi_consent_step(&c, DOI_CONSENT_SUBSCRIBE, DOI_SOURCE_WEB, D, now, &e);

    doi_consent_step(&c, DOI_CONSENT_OTHER, DOI_SOURCE_KEYWORD, D,
                     now + DOI_REMIND_EVERY - 1, &e);
    is_int(e.reply, DOI_REPLY_NONE, "no reminder a second too early");

    doi_consent_step(&c, DOI_CONSENT_OTHER, DOI_SOURCE_KEYWORD, D, now - 5,
                     &e);
    is_int(e.reply, DOI_REPLY_NONE, "nor when the clock was put back");

    doi_consent_step(&c, DOI_CONSENT_SUBSCRIBE, DOI_SOURCE_API, D,
                     now + 2 * DOI_REMIND_EVERY, &e);
    is_int(e.reply, DOI_REPLY_NONE, "nor unless the contact itself writes");

    for (i = 0, sent = 0; i < 20; i++) {
        now += DOI_REMIND_EVERY;
        doi_consent_step(&c, DOI_CONSENT_OTHER, DOI_SOURCE_KEYWORD, D, now,
                         &e);
        sent += e.reply == DOI_REPLY_REMINDER;
    }

    is_int(sent, DOI_REMINDERS_MAX, "three at most");

    doi_consent_step(&c, DOI_CONSENT_CONFIRM, DOI_SOURCE_KEYWORD, D, now, &e);
    ok(c.state == D && c.reminders == 0 && !c.prompted && c.asked == 0
       && c.opted_in == now, "and YES is good for ever");

    doi_consent_step(&c, DOI_CONSENT_STOP, DOI_SOURCE_KEYWORD, D, now, &e);
    doi_consent_step(&c, DOI_CONSENT_OVERRIDE, DOI_SOURCE_AGENT, D, now + 9,
                     &e);
    ok(c.state == S && c.overridden && c.opted_in == now + 9,
       "an override is remembered, and the opt-in is a new one");

    doi_consent_step(&c, DOI_CONSENT_REVOKE, DOI_SOURCE_PROVIDER, D, now + 9,
                     &e);
    ok(!c.overridden && c.opted_in == 0, "until it ends");
}


static void
test_import(void)
{
    static const int      rank[] = { [O] = 0, [N] = 1, [P] = 2, [S] = 3,
                                     [D] = 4 };

    int                   bad;
    unsigned              from, to;
    doi_consent_t         c;
    doi_consent_effect_t  e;

    bad = 0;

    for (from = N; from < DOI_CONSENT_STATES; from++) {
        for (to = N; to < DOI_CONSENT_STATES; to++) {
            c = consent_at(from, from == P);
            doi_consent_import(&c, 1, to, T - 5, &e);
            bad += c.state != (rank[to] < rank[from] ? to : from);
            bad += e.changed != (rank[to] < rank[from]);
            bad += e.reply != DOI_REPLY_NONE || e.refused;
            bad += c.since != (e.changed ? T - 5 : T - 10 * DAY);
        }

        memset(&c, 0, sizeof(c));
        doi_consent_import(&c, 0, from, T - 5, &e);
        bad += c.state != from || e.changed != (from != N);
    }

    is_int(bad, 0, "an import sets what is new and only lowers the rest");

    c = consent_at(D, 0);
    doi_consent_import(&c, 1, S, T, &e);
    ok(c.opted_in == T - 10 * DAY, "double to single keeps the opt-in's time");

    doi_consent_import(&c, 1, DOI_CONSENT_STATES, T, &e);
    ok(e.refused && c.state == S, "a status that is none is refused");
}


static void
test_gate(void)
{
    unsigned       reason;
    doi_consent_t  c;

    c = consent_at(D, 0);
    ok(doi_consent_allows(&c, S, 0, &reason)
       && doi_consent_allows(&c, D, 0, &reason), "double passes");

    c = consent_at(S, 0);
    ok(doi_consent_allows(&c, S, 0, &reason), "single passes for single");
    ok(!doi_consent_allows(&c, D, 0, &reason) && reason == S,
       "not for double: not confirmed");
    ok(doi_consent_allows(&c, D, c.opted_in + 1, &reason),
       "unless opted in before double was switched on");
    ok(!doi_consent_allows(&c, D, c.opted_in, &reason), "not at that moment");
    ok(!doi_consent_allows(&c, N, 0, &reason), "an odd level is double");
    c.overridden = 1;
    ok(doi_consent_allows(&c, D, 0, &reason), "an override passes for double");
    c.overridden = 0;

    c.opted_in = 0;
    ok(!doi_consent_allows(&c, D, T, &reason), "nor without a time");

    c = consent_at(N, 0);
    ok(!doi_consent_allows(&c, S, T, &reason) && reason == N, "none");
    c = consent_at(P, 1);
    ok(!doi_consent_allows(&c, S, T, &reason) && reason == P, "pending");
    c = consent_at(O, 0);
    ok(!doi_consent_allows(&c, S, T, &reason) && reason == O, "opted_out");
    c.state = 77;
    ok(!doi_consent_allows(&c, S, T, &reason) && reason == N, "rubbish");
}


static void
test_names(void)
{
    int       bad;
    unsigned  i;

    bad = 0;

    for (i = 0; i < DOI_CHANNELS; i++) {
        bad += doi_channel_by_name(text(doi_channel_name(i))) != (int) i;
    }

    for (i = 0; i < DOI_CONSENT_STATES; i++) {
        bad += doi_consent_by_name(text(doi_consent_name(i))) != (int) i;
    }

    for (i = 0; i < DOI_CONSENT_EVENTS; i++) {
        bad += doi_consent_event_by_name(text(doi_consent_event_name(i)))
               != (int) i;
    }

    for (i = 0; i < DOI_SOURCES; i++) {
        bad += doi_source_by_name(text(doi_source_name(i))) != (int) i;
    }

    is_int(bad, 0, "every name is that of its number");

    ok(doi_channel_name(DOI_CHANNELS) == NULL
       && doi_consent_name(DOI_CONSENT_STATES) == NULL
       && doi_consent_event_name(DOI_CONSENT_EVENTS) == NULL
       && doi_source_name(DOI_SOURCES) == NULL
       && doi_reply_name(DOI_REPLIES) == NULL, "others have none");
    ok(doi_channel_by_name(text("")) == -1
       && doi_channel_by_name(text("SMS")) == -1
       && doi_consent_by_name(text("singl")) == -1
       && doi_source_by_name(text("webs")) == -1, "nor do other names");
}


int
main(void)
{
    test_cells();
    test_sources();
    test_form();
    test_reminders();
    test_import();
    test_gate();
    test_names();

    return done_testing();
}
