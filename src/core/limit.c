/*
 * Durable limits.  See limit.h.
 *
 * An event at t counts for a limit at now if now - period < t, and for its
 * burst if now - 60 < t (now - period, if the period is shorter).  So an event
 * that lies in the future, because a clock was put back, goes on counting from
 * its own time: setting clocks lets nobody have more.
 *
 * A row that cannot be understood is an error of the driver: nobody gets in on
 * the strength of a guess.
 */

#include <string.h>

#include <openssl/evp.h>

#include "bytes.h"
#include "limit.h"


#define DOI_LIMIT_MINUTE    60

#define DOI_LIMIT_HEAD      4       /* period */
#define DOI_LIMIT_ROW_MAX   (DOI_LIMIT_HEAD + 4 * DOI_LIMIT_COUNT_MAX)

/*
 * Rows in one transaction, however large a limit is asked for: other
 * operations wait for it.
 */

#define DOI_LIMIT_ROWS      4096


typedef struct {
    uint32_t     period;
    size_t       n;
    doi_time_t   times[DOI_LIMIT_COUNT_MAX];
} doi_limit_row_t;


typedef struct {
    doi_time_t   mark;
    uint32_t     left;
    size_t       nkeys;
    uint8_t     *keys;
    uint8_t     *from;
} doi_limit_sweep_t;


static int doi_limit_number(doi_str_t *s, uint64_t *number);
static int doi_limit_digest(const EVP_MD *md, const char *kind,
    doi_str_t value, const doi_limit_t *limit, uint8_t *digest);
static int doi_limit_valid(const doi_limit_t *limit);
static int doi_limit_seen(const doi_limit_t *limits, size_t i);
static int doi_limit_load(doi_view_t *view, const uint8_t *key,
    doi_limit_row_t *row);
static int doi_limit_decode(doi_str_t value, doi_limit_row_t *row);
static uint64_t doi_limit_wait(const doi_limit_row_t *row, doi_time_t now,
    const doi_limit_t *limit);
static uint64_t doi_limit_window(const doi_limit_row_t *row, doi_time_t now,
    uint32_t period, size_t most);
static int doi_limit_count(doi_view_t *view, doi_time_t now,
    const doi_limit_t *limit);
static int doi_limit_sweep_row(void *data, doi_str_t key, doi_str_t value);
static int doi_limit_past(const doi_limit_row_t *row, doi_time_t mark);


int
doi_limit_parse(doi_str_t rate, uint16_t *count, uint32_t *period,
    const char **err)
{
    int       digits;
    uint64_t  events, units, seconds;

    *err = "is not of the form \"5/d\" or \"1/15m\": events, a slash, "
           "and a period in s, m, h or d";

    if (doi_limit_number(&rate, &events) == 0 || rate.len == 0
        || rate.data[0] != '/')
    {
        return DOI_ERROR;
    }

    rate.data++;
    rate.len--;

    digits = doi_limit_number(&rate, &units);

    if (digits == 0) {
        units = 1;
    }

    if (rate.len != 1) {
        return DOI_ERROR;
    }

    switch (rate.data[0]) {

    case 's':
        seconds = units;
        break;

    case 'm':
        seconds = units * 60;
        break;

    case 'h':
        seconds = units * 3600;
        break;

    case 'd':
        seconds = units * 86400;
        break;

    default:
        return DOI_ERROR;
    }

    if (events == 0) {
        *err = "allows nothing at all, the least is 1";
        return DOI_ERROR;
    }

    if (events > DOI_LIMIT_COUNT_MAX) {
        *err = "allows more than 120 events, "
               "take a shorter period and fewer of them";
        return DOI_ERROR;
    }

    if (seconds == 0) {
        *err = "has a period of no length, the shortest is 1s";
        return DOI_ERROR;
    }

    if (seconds > DOI_LIMIT_PERIOD_MAX) {
        *err = "has a period of more than 30 days";
        return DOI_ERROR;
    }

    *err = NULL;
    *count = (uint16_t) events;
    *period = (uint32_t) seconds;

    return DOI_OK;
}


/*
 * Takes the digits at the start and returns how many there are; what is too
 * large for any use stays just that.
 */

static int
doi_limit_number(doi_str_t *s, uint64_t *number)
{
    int  digits;

    digits = 0;
    *number = 0;

    while (s->len && s->data[0] >= '0' && s->data[0] <= '9') {

        if (*number <= UINT32_MAX) {
            *number = *number * 10 + (uint64_t) (s->data[0] - '0');
        }

        s->data++;
        s->len--;
        digits = 1;
    }

    return digits;
}


/*
 * Count in two bytes and period in four, big-endian.  Should libcrypto fail,
 * the key is zeros: all whom that befalls share one limit, none has more.
 */

void
doi_limit_key(const char *kind, doi_str_t value, doi_limit_t *limit)
{
    uint8_t   digest[EVP_MAX_MD_SIZE];
    EVP_MD   *md;

    md = EVP_MD_fetch(NULL, "SHA256", NULL);

    if (md == NULL
        || doi_limit_digest(md, kind, value, limit, digest) != DOI_OK)
    {
        memset(digest, 0, sizeof(digest));
    }

    memcpy(limit->key, digest, DOI_LIMIT_KEY_SIZE);

    EVP_MD_free(md);
}


static int
doi_limit_digest(const EVP_MD *md, const char *kind, doi_str_t value,
    const doi_limit_t *limit, uint8_t *digest)
{
    int          rc;
    uint8_t      figures[6];
    EVP_MD_CTX  *ctx;

    ctx = EVP_MD_CTX_new();

    if (ctx == NULL) {
        return DOI_ERROR;
    }

    doi_put16(figures, limit->count);
    doi_put32(figures + 2, limit->period);

    rc = EVP_DigestInit_ex(ctx, md, NULL) == 1
         && EVP_DigestUpdate(ctx, kind, strlen(kind) + 1) == 1
         && EVP_DigestUpdate(ctx, figures, sizeof(figures)) == 1
         && (value.len == 0
             || EVP_DigestUpdate(ctx, value.data, value.len) == 1)
         && EVP_DigestFinal_ex(ctx, digest, NULL) == 1
             ? DOI_OK : DOI_ERROR;

    EVP_MD_CTX_free(ctx);

    return rc;
}


/*
 * Limits with the same key, which may still differ in their bursts, count one
 * event between them.  DOI_ERROR also for figures that are out of range.
 */

int
doi_limit_take(doi_view_t *view, doi_time_t now, const doi_limit_t *limits,
    size_t n, uint32_t *retry_after)
{
    size_t           i;
    uint64_t         wait, longest;
    doi_limit_row_t  row;

    *retry_after = 0;
    longest = 0;

    if (n > DOI_LIMITS_MAX) {
        return DOI_ERROR;
    }

    for (i = 0; i < n; i++) {

        if (!doi_limit_valid(&limits[i])
            || doi_limit_load(view, limits[i].key, &row) == DOI_ERROR)
        {
            return DOI_ERROR;
        }

        wait = doi_limit_wait(&row, now, &limits[i]);

        if (wait > longest) {
            longest = wait;
        }
    }

    if (longest) {
        *retry_after = longest > UINT32_MAX ? UINT32_MAX : (uint32_t) longest;
        return DOI_NOT_FOUND;
    }

    for (i = 0; i < n; i++) {
        if (!doi_limit_seen(limits, i)
            && doi_limit_count(view, now, &limits[i]) != DOI_OK)
        {
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


static int
doi_limit_valid(const doi_limit_t *limit)
{
    return limit->count >= 1 && limit->count <= DOI_LIMIT_COUNT_MAX
           && limit->burst >= 1 && limit->burst <= limit->count
           && limit->period >= 1 && limit->period <= DOI_LIMIT_PERIOD_MAX;
}


/* 1 if one before limits[i] has its key. */

static int
doi_limit_seen(const doi_limit_t *limits, size_t i)
{
    size_t  j;

    for (j = 0; j < i; j++) {
        if (memcmp(limits[j].key, limits[i].key, DOI_LIMIT_KEY_SIZE) == 0) {
            return 1;
        }
    }

    return 0;
}


/* DOI_OK, DOI_NOT_FOUND and a row without events, or DOI_ERROR. */

static int
doi_limit_load(doi_view_t *view, const uint8_t *key, doi_limit_row_t *row)
{
    int        rc;
    doi_str_t  name, value;

    memset(row, 0, sizeof(doi_limit_row_t));

    name.data = key;
    name.len = DOI_LIMIT_KEY_SIZE;

    rc = view->get(view, DOI_TABLE_LIMITS, name, &value);

    if (rc == DOI_NOT_FOUND) {
        return DOI_NOT_FOUND;
    }

    return rc == DOI_OK ? doi_limit_decode(value, row) : DOI_ERROR;
}


static int
doi_limit_decode(doi_str_t value, doi_limit_row_t *row)
{
    size_t  i;

    if (value.len < DOI_LIMIT_HEAD || value.len > DOI_LIMIT_ROW_MAX
        || value.len % 4 != 0)
    {
        return DOI_ERROR;
    }

    row->period = doi_get32(value.data);
    row->n = (value.len - DOI_LIMIT_HEAD) / 4;

    if (row->period == 0 || row->period > DOI_LIMIT_PERIOD_MAX) {
        return DOI_ERROR;
    }

    for (i = 0; i < row->n; i++) {
        row->times[i] = doi_get32(value.data + DOI_LIMIT_HEAD + i * 4);

        if (i && row->times[i] < row->times[i - 1]) {
            return DOI_ERROR;
        }
    }

    return DOI_OK;
}


/* Seconds until one more event is allowed; 0: it is. */

static uint64_t
doi_limit_wait(const doi_limit_row_t *row, doi_time_t now,
    const doi_limit_t *limit)
{
    uint32_t  minute;
    uint64_t  all, burst;

    minute = limit->period < DOI_LIMIT_MINUTE ? limit->period
                                              : DOI_LIMIT_MINUTE;

    all = doi_limit_window(row, now, limit->period, limit->count);
    burst = doi_limit_window(row, now, minute, limit->burst);

    return all > burst ? all : burst;
}


/*
 * There is room again when the most-th event from the end has left the window;
 * whether those before it have does not matter.
 */

static uint64_t
doi_limit_window(const doi_limit_row_t *row, doi_time_t now, uint32_t period,
    size_t most)
{
    uint64_t  leaves;

    if (row->n < most) {
        return 0;
    }

    leaves = (uint64_t) row->times[row->n - most] + period;

    return leaves > now ? leaves - now : 0;
}


static int
doi_limit_count(doi_view_t *view, doi_time_t now, const doi_limit_t *limit)
{
    size_t           i, at, first;
    uint8_t          bytes[DOI_LIMIT_ROW_MAX];
    doi_str_t        key, value;
    doi_limit_row_t  row;

    if (doi_limit_load(view, limit->key, &row) == DOI_ERROR) {
        return DOI_ERROR;
    }

    /* A key that is shared by periods keeps what the longest of them needs. */

    if (row.period < limit->period) {
        row.period = limit->period;
    }

    /*
     * An event may be forgotten when there are count later ones and it is out
     * of its period: wherever the clock is put then, they are enough.
     */

    for (first = 0; first < row.n; first++) {

        if (row.n - first < limit->count) {
            break;
        }

        if (row.n - first < DOI_LIMIT_COUNT_MAX
            && (uint64_t) row.times[first] + row.period > now)
        {
            break;
        }
    }

    doi_put32(bytes, row.period);
    at = DOI_LIMIT_HEAD;

    for (i = first; i < row.n && row.times[i] <= now; i++, at += 4) {
        doi_put32(bytes + at, row.times[i]);
    }

    doi_put32(bytes + at, now);
    at += 4;

    for ( /* void */ ; i < row.n; i++, at += 4) {
        doi_put32(bytes + at, row.times[i]);
    }

    key.data = limit->key;
    key.len = DOI_LIMIT_KEY_SIZE;
    value.data = bytes;
    value.len = at;

    return view->put(view, DOI_TABLE_LIMITS, key, value) == DOI_OK ? DOI_OK
                                                                   : DOI_ERROR;
}


/*
 * Rows are collected by the scan and deleted afterwards, because a scan does
 * not see what its own transaction writes: each is looked at again.
 */

int
doi_limit_sweep(doi_view_t *view, doi_time_t mark, uint32_t limit,
    uint8_t from[DOI_LIMIT_KEY_SIZE], uint32_t *dropped)
{
    int                rc;
    size_t             i;
    uint8_t            start[DOI_LIMIT_KEY_SIZE];
    doi_str_t          key;
    doi_limit_row_t    row;
    doi_limit_sweep_t  sweep;

    if (limit > DOI_LIMIT_ROWS) {
        limit = DOI_LIMIT_ROWS;
    }

    sweep.mark = mark;
    sweep.left = limit;
    sweep.nkeys = 0;
    sweep.keys = view->alloc(view, ((size_t) limit + 1) * DOI_LIMIT_KEY_SIZE);
    sweep.from = from;

    if (sweep.keys == NULL) {
        return DOI_ERROR;
    }

    memcpy(start, from, DOI_LIMIT_KEY_SIZE);
    key.data = start;
    key.len = DOI_LIMIT_KEY_SIZE;

    rc = view->scan(view, DOI_TABLE_LIMITS, key, doi_limit_sweep_row, &sweep);

    if (rc != DOI_OK && rc != DOI_NOT_FOUND) {
        return DOI_ERROR;
    }

    if (rc == DOI_OK) {
        memset(from, 0, DOI_LIMIT_KEY_SIZE);
    }

    for (i = 0; i < sweep.nkeys; i++) {
        key.data = sweep.keys + i * DOI_LIMIT_KEY_SIZE;

        rc = doi_limit_load(view, key.data, &row);

        if (rc == DOI_ERROR) {
            return DOI_ERROR;
        }

        if (rc == DOI_NOT_FOUND || !doi_limit_past(&row, mark)) {
            continue;
        }

        if (view->del(view, DOI_TABLE_LIMITS, key) != DOI_OK) {
            return DOI_ERROR;
        }

        (*dropped)++;
    }

    return DOI_OK;
}


/* DOI_NOT_FOUND ends the scan. */

static int
doi_limit_sweep_row(void *data, doi_str_t key, doi_str_t value)
{
    doi_limit_sweep_t *sweep = data;

    doi_limit_row_t  row;

    if (sweep->left == 0) {
        memset(sweep->from, 0, DOI_LIMIT_KEY_SIZE);
        memcpy(sweep->from, key.data,
               key.len < DOI_LIMIT_KEY_SIZE ? key.len : DOI_LIMIT_KEY_SIZE);
        return DOI_NOT_FOUND;
    }

    sweep->left--;

    if (key.len == DOI_LIMIT_KEY_SIZE
        && doi_limit_decode(value, &row) == DOI_OK
        && doi_limit_past(&row, sweep->mark))
    {
        memcpy(sweep->keys + sweep->nkeys * DOI_LIMIT_KEY_SIZE, key.data,
               DOI_LIMIT_KEY_SIZE);
        sweep->nkeys++;
    }

    return DOI_OK;
}


static int
doi_limit_past(const doi_limit_row_t *row, doi_time_t mark)
{
    return row->n == 0
           || (uint64_t) row->times[row->n - 1] + row->period <= mark;
}
