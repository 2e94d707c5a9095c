/* The store's clock: src/core/clock.c */

#include "tap.h"

#include "../../src/core/clock.h"


#define T       1700000000u         /* some moment */
#define DAY     86400u


typedef struct {
    const char  *name;
    doi_time_t   wall;
    uint64_t     mono;
    doi_time_t   now;
    doi_time_t   mark;
    unsigned     leaping;
} step_t;

typedef struct {
    const char  *name;
    doi_time_t   mark;
    step_t       steps[8];
} clock_case_t;


static const clock_case_t  cases[] = {

    { "fresh store", 0, {
        { "first tick is believed", T, 5, T, T, 0 },
        { "and is the mark", T - 1, 6, T, T, 0 } } },

    { "fresh store, clock at zero", 0, {
        { "stays at zero", 0, 1, 0, 0, 0 },
        { "until there is a clock", T, 2, T, T, 0 } } },

    { "normal running", T, {
        { "same second", T, 10, T, T, 0 },
        { "a second later", T + 1, 11, T + 1, T + 1, 0 },
        { "exactly one leap ahead is no leap", T + 1 + DAY, 12,
          T + 1 + DAY, T + 1 + DAY, 0 } } },

    { "backward", T, {
        { "now stays at the mark", T - 100, 10, T, T, 0 },
        { "even at zero", 0, 11, T, T, 0 },
        { "follows again once the wall passes it", T + 1, 12, T + 1, T + 1,
          0 } } },

    { "a leap that stands", T, {
        { "judged by the wall, not believed", T + DAY + 1, 1000,
          T + DAY + 1, T, 1 },
        { "nor a second before the time", T + DAY + 3600, 1000 + 3599,
          T + DAY + 3600, T, 1 },
        { "believed after the time", T + DAY + 3601, 1000 + 3600,
          T + DAY + 3601, T + DAY + 3601, 0 },
        { "and runs on", T + DAY + 3602, 1000 + 3601, T + DAY + 3602,
          T + DAY + 3602, 0 } } },

    { "a leap that goes away", T, {
        { "leap", T + 9 * DAY, 1000, T + 9 * DAY, T, 1 },
        { "put right", T + 10, 1010, T + 10, T + 10, 0 },
        { "the same leap again starts anew", T + 9 * DAY + 3600, 5000,
          T + 9 * DAY + 3600, T + 10, 1 },
        { "its time runs from there", T + 9 * DAY + 3601, 5001,
          T + 9 * DAY + 3601, T + 10, 1 } } },

    { "a leap that turns into a backward clock", T, {
        { "leap", T + 9 * DAY, 1000, T + 9 * DAY, T, 1 },
        { "backward", T - 10, 1010, T, T, 0 } } },

    { "a leap upon a leap", T, {
        { "leap", T + 9 * DAY, 1000, T + 9 * DAY, T, 1 },
        { "further leap restarts the trial", T + 20 * DAY, 1000 + 3600,
          T + 20 * DAY, T, 1 },
        { "not believed by the first's time", T + 20 * DAY + 3599,
          1000 + 7199, T + 20 * DAY + 3599, T, 1 },
        { "believed by its own", T + 20 * DAY + 3600, 1000 + 7200,
          T + 20 * DAY + 3600, T + 20 * DAY + 3600, 0 } } },

    { "a leap that shrinks to a smaller leap", T, {
        { "leap", T + 20 * DAY, 1000, T + 20 * DAY, T, 1 },
        { "smaller: restarts too", T + 9 * DAY, 1000 + 3600, T + 9 * DAY, T,
          1 },
        { "believed by its own time", T + 9 * DAY + 3600, 1000 + 7200,
          T + 9 * DAY + 3600, T + 9 * DAY + 3600, 0 } } },

    { "slewing during the trial", T, {
        { "leap", T + 9 * DAY, 1000, T + 9 * DAY, T, 1 },
        { "300 s off is tolerated", T + 9 * DAY + 3900, 1000 + 3600,
          T + 9 * DAY + 3900, T + 9 * DAY + 3900, 0 } } },

    { "more than slewing", T, {
        { "leap", T + 9 * DAY, 1000, T + 9 * DAY, T, 1 },
        { "301 s ahead restarts", T + 9 * DAY + 3901, 1000 + 3600,
          T + 9 * DAY + 3901, T, 1 },
        { "301 s behind restarts", T + 9 * DAY + 3901 + 3299,
          1000 + 7200, T + 9 * DAY + 3901 + 3299, T, 1 } } },

    { "a frozen wall clock", T, {
        { "leap", T + 9 * DAY, 1000, T + 9 * DAY, T, 1 },
        { "that does not run is not believed", T + 9 * DAY, 1000 + 3600,
          T + 9 * DAY, T, 1 } } },

    { "monotonic clock of another boot", T, {
        { "leap", T + 9 * DAY, 9000, T + 9 * DAY, T, 1 },
        { "restarts when it runs backwards", T + 9 * DAY + 10, 5,
          T + 9 * DAY + 10, T, 1 },
        { "and is believed after its time", T + 9 * DAY + 3610, 3605,
          T + 9 * DAY + 3610, T + 9 * DAY + 3610, 0 } } },

    { "extremes", 1, {
        { "the last second", UINT32_MAX, 0, UINT32_MAX, 1, 1 },
        { "an endless wait is not steady", UINT32_MAX, UINT64_MAX,
          UINT32_MAX, 1, 1 },
        { "nor a zero after it", UINT32_MAX, 0, UINT32_MAX, 1, 1 } } },

    { "mark at the last second", UINT32_MAX, {
        { "stays there", T, 0, UINT32_MAX, UINT32_MAX, 0 } } }
};


int
main(void)
{
    size_t         i, j;
    doi_time_t     now;
    doi_clock_t    clock;
    const step_t  *step;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        doi_clock_init(&clock, cases[i].mark);

        for (j = 0; j < 8 && cases[i].steps[j].name; j++) {
            step = &cases[i].steps[j];
            now = doi_clock_tick(&clock, step->wall, step->mono);

            ok(now == step->now && clock.mark == step->mark
               && clock.leaping == step->leaping,
               "%s: %s", cases[i].name, step->name);
        }
    }

    return done_testing();
}
