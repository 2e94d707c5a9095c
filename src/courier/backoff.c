/*
 * How long to wait for the next try.
 */

#include "courier.h"


#define BACKOFF_FIRST   30
#define BACKOFF_MAX     3600


unsigned
doi_backoff(unsigned n, uint32_t random)
{
    uint64_t  base;

    base = BACKOFF_FIRST;

    while (n > 1 && base < BACKOFF_MAX) {
        base *= 2;
        n--;
    }

    if (base > BACKOFF_MAX) {
        base = BACKOFF_MAX;
    }

    /* base * (3/4 + random / 2^32 / 2), rounded */

    base *= ((uint64_t) 3 << 32) + 2 * (uint64_t) random;

    return (unsigned) ((base + ((uint64_t) 1 << 33)) >> 34);
}
