/*
 * The store's clock (clock.h).
 *
 *   wall <= mark                    now = mark; a leap, if any, has gone away
 *   wall <= mark + DOI_CLOCK_LEAP   now = wall, the mark follows
 *   beyond                          now = wall, the mark stands until the leap
 *                                   has been steady for DOI_CLOCK_TRUST
 */

#include "clock.h"


/*
 * How far wall and monotonic clock may drift apart while a leap is on trial.
 * NTP slews by at most 500 ppm, which is 2 seconds in the trial; the rest is
 * room for an event loop that was late and for the step of a first sync.
 */

#define DOI_CLOCK_SLACK     300     /* seconds */


static int doi_clock_steady(const doi_clock_t *clock, doi_time_t wall,
    uint64_t mono);


void
doi_clock_init(doi_clock_t *clock, doi_time_t mark)
{
    clock->mark = mark;
    clock->leap_wall = 0;
    clock->leap_mono = 0;
    clock->leaping = 0;
}


doi_time_t
doi_clock_tick(doi_clock_t *clock, doi_time_t wall, uint64_t mono)
{
    if (clock->mark != 0 && wall <= clock->mark) {
        clock->leaping = 0;
        return clock->mark;
    }

    /* A store without a mark has nothing that a wrong clock could harm. */

    if (clock->mark == 0 || wall - clock->mark <= DOI_CLOCK_LEAP) {
        clock->mark = wall;
        clock->leaping = 0;
        return wall;
    }

    if (!clock->leaping || !doi_clock_steady(clock, wall, mono)) {
        clock->leaping = 1;
        clock->leap_wall = wall;
        clock->leap_mono = mono;
        return wall;
    }

    if (mono - clock->leap_mono >= DOI_CLOCK_TRUST) {
        clock->mark = wall;
        clock->leaping = 0;
    }

    return wall;
}


/* Has the wall clock run as the monotonic one did since the leap? */

static int
doi_clock_steady(const doi_clock_t *clock, doi_time_t wall, uint64_t mono)
{
    int64_t   drift;
    uint64_t  passed;

    if (mono < clock->leap_mono) {
        return 0;
    }

    passed = mono - clock->leap_mono;

    if (passed > UINT32_MAX) {
        return 0;
    }

    drift = (int64_t) wall - (int64_t) clock->leap_wall - (int64_t) passed;

    return drift >= -DOI_CLOCK_SLACK && drift <= DOI_CLOCK_SLACK;
}
