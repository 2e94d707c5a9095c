/* Durable limits: src/core/limit.c */

#include "../../src/core/limit.h"
#include "tap.h"
#include "view.h"


#define T       1700000000u         /* some moment */
#define DAY     86400u


static test_store_t  store;
static uint32_t      retry;


static doi_str_t
str(const void *data, size_t len)
{
    doi_str_t  s;

    s.data = data;
    s.len = len;

    return s;
}


static doi_limit_t
limit_of(const char *value, unsigned count, uint32_t period, unsigned burst)
{
    doi_limit_t  limit;

    memset(&limit, 0, sizeof(limit));
    limit.count = (uint16_t) count;
    limit.period = period;
    limit.burst = (uint16_t) burst;
    doi_limit_key("test", str(value, strlen(value)), &limit);

    return limit;
}


/* As a transaction: what is refused writes nothing. */

static int
take(doi_time_t now, const doi_limit_t *limits, size_t n)
{
    int  rc;

    retry = 77;

    test_begin(&store);
    rc = doi_limit_take(&store.view, now, limits, n, &retry);

    if (rc != DOI_OK && store.writes.n) {
        printf("# writes of what is refused\n");
        rc = 99;
    }

    test_end(&store, rc == DOI_OK);

    return rc;
}


static const test_row_t *
row_of(const doi_limit_t *limit)
{
    return test_rows_get(&store.tables[DOI_TABLE_LIMITS], limit->key,
                         DOI_LIMIT_KEY_SIZE);
}


/* Times in the row; -1: there is none. */

static int
events(const doi_limit_t *limit)
{
    const test_row_t  *row;

    row = row_of(limit);

    return row != NULL ? (int) (row->vlen - 4) / 4 : -1;
}


static void
set_row(const doi_limit_t *limit, const void *data, size_t len)
{
    test_store_set(&store, DOI_TABLE_LIMITS,
                   str(limit->key, DOI_LIMIT_KEY_SIZE), str(data, len));
}


static void
test_parse(void)
{
    size_t       i;
    uint16_t     count;
    uint32_t     period;
    const char  *err;

    static const struct {
        const char  *rate;
        uint16_t     count;
        uint32_t     period;
    } good[] = {
        { "1/15m", 1, 900 }, { "5/d", 5, 86400 }, { "60/h", 60, 3600 },
        { "10/2h", 10, 7200 }, { "1/s", 1, 1 }, { "120/30d", 120, 2592000 },
        { "1/2592000s", 1, 2592000 }, { "007/01m", 7, 60 },
    };

    static const char *const  bad[][2] = {
        { "", "form" }, { "5", "form" }, { "5/", "form" }, { "/d", "form" },
        { "5/w", "form" }, { "5/D", "form" }, { "5/dd", "form" },
        { "5/d ", "form" }, { " 5/d", "form" }, { "-5/d", "form" },
        { "+5/d", "form" }, { "5/-1d", "form" }, { "5/1", "form" },
        { "5 /d", "form" }, { "5//d", "form" }, { "0x5/d", "form" },
        { "5.5/d", "form" }, { "5r/d", "form" }, { "5xd", "form" },
        { "0/d", "nothing" }, { "121/d", "more than 120" },
        { "65537/d", "more than 120" },
        { "4294967297/d", "more than 120" },
        { "18446744073709551617/d", "more than 120" },
        { "99999999999999999999999999999/d", "more than 120" },
        { "5/0d", "no length" }, { "5/31d", "30 days" },
        { "5/2592001s", "30 days" }, { "5/4294967297s", "30 days" },
        { "5/18446744073709551617s", "30 days" },
        { "5/213503982334602d", "30 days" },
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ok(doi_limit_parse(str(good[i].rate, strlen(good[i].rate)), &count,
                           &period, &err) == DOI_OK
           && count == good[i].count && period == good[i].period
           && err == NULL, "good: %s", good[i].rate);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        count = 77;
        period = 77;
        ok(doi_limit_parse(str(bad[i][0], strlen(bad[i][0])), &count,
                           &period, &err) == DOI_ERROR
           && strstr(err, bad[i][1]) != NULL && count == 77 && period == 77,
           "bad: '%s'", bad[i][0]);
    }

    is_int(doi_limit_parse(str(NULL, 0), &count, &period, &err), DOI_ERROR,
           "no text at all");
}


static void
test_key(void)
{
    doi_limit_t  a, b;

    /* printf 'recipient\0\0\5\0\1\121\200a@b.c' | sha256sum */

    static const uint8_t  want[DOI_LIMIT_KEY_SIZE] = {
        0x6c, 0x12, 0xb6, 0x08, 0xa4, 0xc0, 0x87, 0x43,
        0xce, 0x45, 0xf0, 0x70, 0xbc, 0x7c, 0xb8, 0x77
    };

    a = limit_of("", 5, DAY, 5);
    doi_limit_key("recipient", str("a@b.c", 5), &a);
    ok(memcmp(a.key, want, sizeof(want)) == 0, "the formula");

    b = a;
    b.burst = 1;
    doi_limit_key("recipient", str("a@b.c", 5), &b);
    ok(memcmp(a.key, b.key, sizeof(want)) == 0, "the burst is not in it");

    doi_limit_key("recipient2", str("a@b.c", 5), &b);
    ok(memcmp(a.key, b.key, sizeof(want)) != 0, "the kind is");
    doi_limit_key("recipient", str("a@b.d", 5), &b);
    ok(memcmp(a.key, b.key, sizeof(want)) != 0, "the value is");
    b.count = 6;
    doi_limit_key("recipient", str("a@b.c", 5), &b);
    ok(memcmp(a.key, b.key, sizeof(want)) != 0, "the count is");
    b.count = 5;
    b.period++;
    doi_limit_key("recipient", str("a@b.c", 5), &b);
    ok(memcmp(a.key, b.key, sizeof(want)) != 0, "the period is");

    doi_limit_key("recipient", str(NULL, 0), &b);
    ok(memcmp(a.key, b.key, sizeof(want)) != 0, "an empty value has a key");
}


static void
test_window(void)
{
    doi_limit_t  one, three;

    one = limit_of("one", 1, 900, 1);

    is_int(take(T, &one, 1), DOI_OK, "the first");
    is_int(retry, 0, "no wait");
    is_int(take(T, &one, 1), DOI_NOT_FOUND, "the second within that second");
    is_int(retry, 900, "has to wait for all of the period");
    is_int(take(T + 899, &one, 1), DOI_NOT_FOUND, "a second too early");
    is_int(retry, 1, "has to wait for that");
    is_int(take(T + 900, &one, 1), DOI_OK, "when the first is out of it");
    is_int(events(&one), 1, "which is forgotten");
    is_int(take(T + 901, &one, 1), DOI_NOT_FOUND, "the next");
    is_int(retry, 899, "waits for the second one");

    three = limit_of("three", 3, 1000, 3);

    is_int(take(T, &three, 1), DOI_OK, "at 0");
    is_int(take(T + 400, &three, 1), DOI_OK, "at 400");
    is_int(take(T + 400, &three, 1), DOI_OK, "at 400 again");
    is_int(take(T + 999, &three, 1), DOI_NOT_FOUND, "full at 999");
    is_int(take(T + 1000, &three, 1), DOI_OK, "not at 1000");
    is_int(take(T + 1001, &three, 1), DOI_NOT_FOUND, "full at 1001");
    is_int(retry, 399, "until 1400");
    is_int(take(T + 1400, &three, 1), DOI_OK, "when two have left");
    is_int(take(T + 1400, &three, 1), DOI_OK, "two may come");
    is_int(take(T + 1400, &three, 1), DOI_NOT_FOUND, "but not three");
    is_int(retry, 600, "until 2000");
    is_int(events(&three), 3, "no more is kept than counts");

    test_store_free(&store);
}


static void
test_burst(void)
{
    doi_limit_t  limit;

    limit = limit_of("burst", 5, DAY, 2);

    is_int(take(T, &limit, 1), DOI_OK, "one");
    is_int(take(T + 10, &limit, 1), DOI_OK, "two within a minute");
    is_int(take(T + 59, &limit, 1), DOI_NOT_FOUND, "not three");
    is_int(retry, 1, "until the first is a minute ago");
    is_int(take(T + 60, &limit, 1), DOI_OK, "then");
    is_int(take(T + 60, &limit, 1), DOI_NOT_FOUND, "again two");
    is_int(retry, 10, "within that minute");
    is_int(take(T + 200, &limit, 1), DOI_OK, "four in all");
    is_int(take(T + 400, &limit, 1), DOI_OK, "five in all");
    is_int(take(T + 600, &limit, 1), DOI_NOT_FOUND, "not six in a day");
    is_int(retry, DAY - 600, "until the first is a day ago");
    is_int(take(T + DAY, &limit, 1), DOI_OK, "then");

    /* both are full: the longer wait counts, whichever it is */

    limit = limit_of("both", 2, 70, 1);
    is_int(take(T, &limit, 1), DOI_OK, "one");
    is_int(take(T + 60, &limit, 1), DOI_OK, "two");
    is_int(take(T + 65, &limit, 1), DOI_NOT_FOUND, "both are full");
    is_int(retry, 55, "the burst for longer");

    /* a period of less than a minute has its burst within itself */

    limit = limit_of("short", 3, 10, 3);
    is_int(take(T, &limit, 1), DOI_OK, "one");
    is_int(take(T, &limit, 1), DOI_OK, "two");
    is_int(take(T, &limit, 1), DOI_OK, "three");
    is_int(take(T + 9, &limit, 1), DOI_NOT_FOUND, "not four");
    is_int(take(T + 10, &limit, 1), DOI_OK, "after ten seconds");

    test_store_free(&store);
}


static void
test_several(void)
{
    size_t       i;
    doi_limit_t  limits[DOI_LIMITS_MAX + 1];

    is_int(take(T, NULL, 0), DOI_OK, "no limits allow everything");

    limits[0] = limit_of("a", 1, 900, 1);
    limits[1] = limit_of("b", 5, DAY, 5);
    limits[2] = limit_of("c", 2, 3600, 2);

    is_int(take(T, limits, 3), DOI_OK, "three limits");
    ok(events(&limits[0]) == 1 && events(&limits[1]) == 1
       && events(&limits[2]) == 1, "each has counted it");

    is_int(take(T + 1, limits, 3), DOI_NOT_FOUND, "one of them is full");
    is_int(retry, 899, "for that long");
    ok(events(&limits[1]) == 1 && events(&limits[2]) == 1,
       "the others have not counted what was refused");

    is_int(take(T + 900, limits, 3), DOI_OK, "all allow it");
    is_int(take(T + 901, limits, 3), DOI_NOT_FOUND, "two of them are full");
    is_int(retry, 3600 - 901, "the longest wait is told");
    ok(events(&limits[0]) == 1 && events(&limits[1]) == 2
       && events(&limits[2]) == 2, "nothing was counted");

    /* the same key: one event, counted once */

    test_store_free(&store);
    limits[0] = limit_of("a", 3, 900, 3);
    limits[1] = limits[0];
    limits[2] = limit_of("a", 3, 900, 1);

    is_int(take(T, limits, 3), DOI_OK, "three times the same key");
    is_int(events(&limits[0]), 1, "counts once");
    is_int(take(T, limits, 3), DOI_NOT_FOUND, "the smallest burst is kept");
    is_int(retry, 60, "for a minute");
    is_int(take(T, limits, 2), DOI_OK, "by whom it concerns");

    limits[1].period = DAY;
    is_int(take(T + 1, limits, 2), DOI_OK, "the same key, other figures");
    is_int(take(T + 900, limits, 2), DOI_NOT_FOUND,
           "no event is forgotten that the longer one counts");
    is_int(retry, DAY - 900, "for a day");

    for (i = 0; i <= DOI_LIMITS_MAX; i++) {
        limits[i] = limit_of("x", 5, 900 + (uint32_t) i, 5);
    }

    is_int(take(T, limits, DOI_LIMITS_MAX), DOI_OK, "16 limits");
    is_int(take(T, limits, DOI_LIMITS_MAX + 1), DOI_ERROR, "17");

    test_store_free(&store);
}


static void
test_figures(void)
{
    doi_limit_t  limit;

    limit = limit_of("a", 0, 60, 1);
    is_int(take(T, &limit, 1), DOI_ERROR, "count of 0");
    limit = limit_of("a", DOI_LIMIT_COUNT_MAX + 1, 60, 1);
    is_int(take(T, &limit, 1), DOI_ERROR, "count of 121");
    limit = limit_of("a", 5, 60, 0);
    is_int(take(T, &limit, 1), DOI_ERROR, "burst of 0");
    limit = limit_of("a", 5, 60, 6);
    is_int(take(T, &limit, 1), DOI_ERROR, "burst above the count");
    limit = limit_of("a", 5, 0, 5);
    is_int(take(T, &limit, 1), DOI_ERROR, "period of 0");
    limit = limit_of("a", 5, DOI_LIMIT_PERIOD_MAX + 1, 5);
    is_int(take(T, &limit, 1), DOI_ERROR, "period of more than 30 days");
    is_int(store.tables[DOI_TABLE_LIMITS].n, 0, "nothing is written");
}


static void
test_clock(void)
{
    doi_limit_t  limit;

    limit = limit_of("a", 2, 900, 2);

    is_int(take(T, &limit, 1), DOI_OK, "one");
    is_int(take(T - 500, &limit, 1), DOI_OK, "two, by a clock put back");
    is_int(take(T - 500, &limit, 1), DOI_NOT_FOUND, "not three");
    is_int(take(T - 5000, &limit, 1), DOI_NOT_FOUND, "even further back");
    is_int(take(T + 399, &limit, 1), DOI_NOT_FOUND, "nor when it is put right");
    is_int(retry, 1, "until the second is out of it");
    is_int(take(T + 400, &limit, 1), DOI_OK, "then");
    is_int(take(T + 401, &limit, 1), DOI_NOT_FOUND,
           "the first still counts from its own time");
    is_int(retry, 499, "which is not the time it was put back to");

    test_store_free(&store);

    /* a clock that leapt ahead must not make the others forgotten */

    limit = limit_of("a", 3, 900, 3);

    is_int(take(T, &limit, 1), DOI_OK, "one");
    is_int(take(T + 1, &limit, 1), DOI_OK, "two");
    is_int(take(T + 90000, &limit, 1), DOI_OK, "three, far ahead");
    is_int(take(T + 2, &limit, 1), DOI_NOT_FOUND, "not four, put right");
    is_int(take(T + 900, &limit, 1), DOI_OK, "when the first is out of it");
    is_int(events(&limit), 3, "three are kept");

    test_store_free(&store);
    limit = limit_of("a", 2, 900, 2);

    /* at both ends of time */

    is_int(take(0, &limit, 1), DOI_OK, "at 0");
    is_int(take(1, &limit, 1), DOI_OK, "at 1");
    is_int(take(2, &limit, 1), DOI_NOT_FOUND, "at 2");
    is_int(take(UINT32_MAX, &limit, 1), DOI_OK, "at the end");
    is_int(take(UINT32_MAX, &limit, 1), DOI_OK, "once more");
    is_int(take(UINT32_MAX, &limit, 1), DOI_NOT_FOUND, "no more");
    is_int(retry, 900, "ever");
    is_int(take(0, &limit, 1), DOI_NOT_FOUND, "back to the start");
    is_int(retry, UINT32_MAX, "a wait that is longer than can be told");

    test_store_free(&store);
}


static void
test_full_row(void)
{
    unsigned           i;
    doi_limit_t        limit, wide;
    const test_row_t  *row;

    limit = limit_of("a", DOI_LIMIT_COUNT_MAX, DAY, DOI_LIMIT_COUNT_MAX);

    for (i = 0; i < DOI_LIMIT_COUNT_MAX; i++) {
        if (take(T + i, &limit, 1) != DOI_OK) {
            break;
        }
    }

    is_int(i, DOI_LIMIT_COUNT_MAX, "120 events");
    is_int(take(T + i, &limit, 1), DOI_NOT_FOUND, "not 121");
    is_int(retry, DAY - i, "for a day");

    row = row_of(&limit);
    ok(row->vlen == 4 + 4 * DOI_LIMIT_COUNT_MAX
       && memcmp(row->value, "\0\1\x51\x80" "\x65\x53\xf1\x00"
                 "\x65\x53\xf1\x01", 12) == 0,
       "the format: period, times");

    /* a shorter period with the same key must not make the row grow */

    wide = limit;
    wide.period = 60;
    is_int(take(T + 3600, &wide, 1), DOI_OK, "one more, by other figures");
    is_int(events(&limit), DOI_LIMIT_COUNT_MAX, "the oldest has made room");
    is_int(take(T + 3601, &limit, 1), DOI_NOT_FOUND, "and the row is whole");

    test_store_free(&store);
}


/* Against counting, for all that the limit has allowed so far. */

static void
test_model(void)
{
    int          bad, rc, want;
    size_t       i, k, n, all, minute;
    unsigned     round, seed;
    doi_time_t   now, times[4000];
    uint32_t     period;
    doi_limit_t  limit;

    bad = 0;
    seed = 1;

    for (round = 0; round < 40; round++) {
        period = 1 + round * 13;
        limit = limit_of("model", 1 + round % 12, period,
                         1 + round % 12 / 2);
        now = T;
        n = 0;

        for (i = 0; i < 400; i++) {
            seed = seed * 1103515245 + 12345;
            now += (seed >> 16) % (period / limit.count + 2);

            /* now and then a clock that was put back */

            if ((seed >> 8) % 50 == 0) {
                now -= period / 2;
            }

            for (all = 0, minute = 0, k = 0; k < n; k++) {
                all += times[k] + period > now;
                minute += times[k] + (period < 60 ? period : 60) > now;
            }

            want = all < limit.count && minute < limit.burst
                   ? DOI_OK : DOI_NOT_FOUND;
            rc = take(now, &limit, 1);
            bad += rc != want;

            if (rc == DOI_OK) {
                times[n++] = now;

            } else if (take(now + retry - 1, &limit, 1) != DOI_NOT_FOUND) {
                bad++;

            } else if (retry != 1) {
                bad++;

            } else {
                now += 1;
            }
        }

        test_store_free(&store);
    }

    is_int(bad, 0, "as by counting, and the wait is to the second");
}


static void
test_broken(void)
{
    size_t       i, calls;
    doi_limit_t  limits[2];

    static const struct {
        const char  *what;
        const char  *row;
        size_t       len;
    } bad[] = {
        { "empty", "", 0 },
        { "short", "\0\0\1", 3 },
        { "half a time", "\0\0\1\0" "\0\0", 6 },
        { "descending", "\0\0\1\0" "\0\0\0\2" "\0\0\0\1", 12 },
        { "period of 0", "\0\0\0\0" "\0\0\0\1", 8 },
        { "period above 30 days", "\1\0\0\0" "\0\0\0\1", 8 },
    };

    static const uint8_t  long_row[4 + 4 * (DOI_LIMIT_COUNT_MAX + 1)] = {
        0, 0, 1, 0
    };

    limits[0] = limit_of("a", 5, 900, 5);
    limits[1] = limit_of("b", 5, 900, 5);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        set_row(&limits[0], bad[i].row, bad[i].len);
        is_int(take(T, limits, 1), DOI_ERROR, "a row that is %s",
               bad[i].what);
    }

    set_row(&limits[0], long_row, sizeof(long_row));
    is_int(take(T, limits, 1), DOI_ERROR, "a row of 121 times");

    set_row(&limits[0], long_row, 4);
    is_int(take(T, limits, 1), DOI_OK, "a row without times is one");

    set_row(&limits[0], "\0\x27\x8d\0" "\0\0\0\1", 8);
    is_int(take(T, limits, 1), DOI_OK, "a period of 30 days is too");

    test_store_free(&store);

    /* every call to the driver fails once */

    is_int(take(T, limits, 2), DOI_OK, "no fault");
    calls = store.calls;
    ok(calls >= 4, "there are calls that may fail");

    for (i = 1; i <= calls; i++) {
        store.fail = (unsigned) i;
        test_begin(&store);
        is_int(doi_limit_take(&store.view, T, limits, 2, &retry), DOI_ERROR,
               "call %zu fails", i);
        test_end(&store, 0);
    }

    store.fail = 0;
    test_store_free(&store);
}


static int
sweep(doi_time_t mark, uint32_t max, uint8_t *from, uint32_t *dropped)
{
    int  rc;

    test_begin(&store);
    rc = doi_limit_sweep(&store.view, mark, max, from, dropped);
    test_end(&store, rc == DOI_OK);

    return rc;
}


static void
test_sweep(void)
{
    int          rounds;
    char         name[16];
    size_t       i, calls;
    uint8_t      from[DOI_LIMIT_KEY_SIZE];
    uint32_t     dropped;
    doi_limit_t  limits[100], other;

    static const uint8_t  zero[DOI_LIMIT_KEY_SIZE];

    memset(from, 0, sizeof(from));
    dropped = 5;
    is_int(sweep(T, 10, from, &dropped), DOI_OK, "an empty table");
    ok(dropped == 5 && memcmp(from, zero, sizeof(zero)) == 0,
       "nothing is dropped");

    for (i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "%zu", i);
        limits[i] = limit_of(name, 5, i % 2 ? 100 : 1000, 5);
        take(T, &limits[i], 1);
        take(T + 50, &limits[i], 1);
    }

    dropped = 0;
    is_int(sweep(T + 149, 1000, from, &dropped), DOI_OK, "a second too early");
    is_int(dropped, 0, "nothing is dropped");

    rounds = 0;

    do {
        is_int(sweep(T + 150, 33, from, &dropped), DOI_OK, "33 rows");
        rounds++;

        if (rounds == 1) {
            ok(dropped > 0 && dropped <= 33, "no more than that are dropped");
        }
    } while (memcmp(from, zero, sizeof(zero)) != 0 && rounds < 10);

    is_int(rounds, 4, "four rounds to the end");
    is_int(dropped, 50, "those with the short period are dropped");
    is_int(store.tables[DOI_TABLE_LIMITS].n, 50, "the others are not");
    is_int(events(&limits[0]), 2, "and are whole");
    is_int(events(&limits[1]), -1, "these are gone");

    /* what is not a row of ours, and cannot be understood, is left alone */

    set_row(&limits[1], "xyz", 3);
    test_store_set(&store, DOI_TABLE_LIMITS, str("a", 1),
                   str("\0\0\1\0", 4));
    test_store_set(&store, DOI_TABLE_LIMITS,
                   str("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                       "\xff\xff\xff\xff", 17), str("\0\0\1\0", 4));
    set_row(&limits[3], "\0\0\1\0", 4);

    dropped = 0;
    is_int(sweep(T + 150, UINT32_MAX, from, &dropped), DOI_OK,
           "rows of another make");
    is_int(dropped, 1, "one without events is dropped");
    is_int(store.tables[DOI_TABLE_LIMITS].n, 53, "the others are not");

    dropped = 0;
    is_int(sweep(T + 5000, 0, from, &dropped), DOI_OK, "no rows at all");
    is_int(dropped, 0, "nothing is dropped");

    test_store_free(&store);

    /* one that the same transaction has counted an event for */

    other = limit_of("other", 5, 100, 5);
    take(T, &other, 1);

    memset(from, 0, sizeof(from));
    test_begin(&store);
    doi_limit_take(&store.view, T + 500, &other, 1, &retry);
    is_int(doi_limit_sweep(&store.view, T + 500, 10, from, &dropped), DOI_OK,
           "a row that was taken from");
    test_end(&store, 1);
    is_int(events(&other), 2, "is not dropped");

    /* every call to the driver fails once */

    take(T + 501, &limits[7], 1);
    test_begin(&store);
    is_int(doi_limit_sweep(&store.view, T + 5000, 10, from, &dropped), DOI_OK,
           "no fault");
    calls = store.calls;
    test_end(&store, 0);

    for (i = 1; i <= calls; i++) {
        store.fail = (unsigned) i;
        is_int(sweep(T + 5000, 10, from, &dropped), DOI_ERROR,
               "call %zu fails", i);
        memset(from, 0, sizeof(from));
    }

    store.fail = 0;
    ok(calls == 6, "alloc, scan, and get and del of two rows");

    test_store_free(&store);
}


int
main(void)
{
    test_parse();
    test_key();
    test_window();
    test_burst();
    test_several();
    test_figures();
    test_clock();
    test_full_row();
    test_model();
    test_broken();
    test_sweep();

    return done_testing();
}
