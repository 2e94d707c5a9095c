/*
 * TAP (Test Anything Protocol) for the C unit tests: ok() per check, and
 * return done_testing() from main.
 */

#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>


static int  tap_count, tap_failed;


static inline int __attribute__((format(printf, 4, 5)))
tap_ok(int passed, const char *file, int line, const char *fmt, ...)
{
    va_list  args;

    printf("%sok %d - ", passed ? "" : "not ", ++tap_count);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");

    if (!passed) {
        tap_failed++;
        printf("# failed at %s:%d\n", file, line);
    }

    fflush(stdout);

    return passed;
}


#define ok(cond, ...)  tap_ok((cond) != 0, __FILE__, __LINE__, __VA_ARGS__)

#define is_int(got, want, ...)                                                \
    do {                                                                      \
        long long  got_ = (long long) (got), want_ = (long long) (want);      \
        if (!ok(got_ == want_, __VA_ARGS__)) {                                \
            printf("# got %lld, expected %lld\n", got_, want_);               \
        }                                                                     \
    } while (0)


static inline int
done_testing(void)
{
    printf("1..%d\n", tap_count);
    return tap_failed != 0;
}

#endif /* TAP_H */
