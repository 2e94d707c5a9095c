/*
 * The store's clock: wall-clock time that never runs backwards, not even
 * across restarts, because its high-water mark is kept in the store.
 *
 * A wall clock that leaps ahead (a wrong date from a bad RTC or NTP server)
 * must not be persisted at once, or every link would stay expired after the
 * clock is put right.  So a leap of more than DOI_CLOCK_LEAP ahead of the mark
 * is believed only after it has stood for DOI_CLOCK_TRUST of monotonic time;
 * until then tokens are judged by the wall clock (those that look expired are
 * refused), but the mark does not move and nothing is dropped from the store.
 */

#ifndef DOI_CLOCK_H
#define DOI_CLOCK_H

#include "doi.h"


#define DOI_CLOCK_LEAP      86400       /* seconds */
#define DOI_CLOCK_TRUST     3600        /* seconds */


typedef struct {
    doi_time_t  mark;           /* high-water mark; 0: nothing known yet      */
    doi_time_t  leap_wall;      /* wall clock when a leap was first seen      */
    uint64_t    leap_mono;      /* monotonic seconds at that moment           */
    unsigned    leaping:1;
} doi_clock_t;


void doi_clock_init(doi_clock_t *clock, doi_time_t mark);

/*
 * Takes the wall clock and the monotonic clock (both in seconds), returns
 * now = max(wall, mark), and moves the mark where it may be moved.
 */
doi_time_t doi_clock_tick(doi_clock_t *clock, doi_time_t wall, uint64_t mono);

#endif /* DOI_CLOCK_H */
