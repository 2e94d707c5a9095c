/*
 * Copies of jobs, and results that may be logged.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"


#define ERRAND_STRINGS  (9 + DOI_COURIER_HEADERS)

/* RFC 5321, 4.5.3.1.3, is 254; a bit more does no harm. */
#define ERRAND_ADDRESS_MAX  320


static size_t errand_strings(doi_job_t *job,
    const char **strings[ERRAND_STRINGS]);
static int errand_fit(const doi_job_t *job);
static int errand_address_fit(const char *s);
static int errand_unique_fit(const char *s);


doi_errand_t *
doi_errand_copy(const doi_job_t *job)
{
    char          *p;
    size_t         i, n, len, size;
    const char   **strings[ERRAND_STRINGS];
    doi_job_t      copy;
    doi_errand_t  *e;

    if (!errand_fit(job)) {
        return NULL;
    }

    copy = *job;
    n = errand_strings(&copy, strings);

    size = sizeof(doi_errand_t);

    for (i = 0; i < n; i++) {
        if (*strings[i] == NULL) {
            continue;
        }

        if (strpbrk(*strings[i], "\r\n") != NULL) {
            return NULL;
        }

        size += strlen(*strings[i]) + 1;
    }

    if (job->body.len > SIZE_MAX - size) {
        return NULL;
    }

    size += job->body.len;

    /* the answer goes where it is wiped out with everything else */

    if (job->kind == DOI_JOB_HTTP) {

        if (size > SIZE_MAX - DOI_COURIER_BODY) {
            return NULL;
        }

        size += DOI_COURIER_BODY;
    }

    e = calloc(1, size);
    if (e == NULL) {
        return NULL;
    }

    e->size = size;
    e->job = *job;

    p = (char *) (e + 1);
    n = errand_strings(&e->job, strings);

    for (i = 0; i < n; i++) {
        if (*strings[i] != NULL) {
            len = strlen(*strings[i]) + 1;
            memcpy(p, *strings[i], len);
            *strings[i] = p;
            p += len;
        }
    }

    if (job->body.len != 0) {
        memcpy(p, job->body.data, job->body.len);
    }

    e->job.body.data = (uint8_t *) p;

    if (job->kind == DOI_JOB_HTTP) {
        e->body = (uint8_t *) p + job->body.len;
    }

    return e;
}


void
doi_errand_free(doi_errand_t *e)
{
    /* there are passwords and letters in it */
    explicit_bzero(e, e->size);
    free(e);
}


void
doi_errand_settle(doi_errand_t *e, doi_job_outcome_t outcome, long code,
    const char *fmt, ...)
{
    char     raw[DOI_SMTP_LINE + 256];
    size_t   i, len, word;
    va_list  args;

    e->outcome = outcome;
    e->code = code;

    va_start(args, fmt);
    (void) vsnprintf(raw, sizeof(raw), fmt, args);
    va_end(args);

    /* Words with an @ go: servers repeat the address that they refuse. */

    len = 0;

    for (i = 0; raw[i] != '\0' && len < DOI_TEXT_MAX; /* void */) {

        word = strcspn(raw + i, " \t\r\n");

        if (word == 0) {
            if (len != 0 && e->text[len - 1] != ' ') {
                e->text[len++] = ' ';
            }

            i++;
            continue;
        }

        if (memchr(raw + i, '@', word) != NULL) {
            i += word;

            for (word = 0; word < 3 && len < DOI_TEXT_MAX; word++) {
                e->text[len++] = '*';
            }

            continue;
        }

        for ( /* void */ ; word != 0 && len < DOI_TEXT_MAX; word--, i++) {
            e->text[len++] = raw[i] > ' ' && raw[i] < 0x7f ? raw[i] : '?';
        }
    }

    if (len != 0 && e->text[len - 1] == ' ') {
        len--;
    }

    e->text[len] = '\0';
}


static size_t
errand_strings(doi_job_t *job, const char **strings[ERRAND_STRINGS])
{
    size_t  i, n;

    n = 0;

    strings[n++] = &job->url;
    strings[n++] = &job->user;
    strings[n++] = &job->password;
    strings[n++] = &job->ca_file;
    strings[n++] = &job->sender;
    strings[n++] = &job->recipient;
    strings[n++] = &job->helo;
    strings[n++] = &job->unique;
    strings[n++] = &job->method;

    for (i = 0; i < DOI_COURIER_HEADERS; i++) {
        strings[n++] = &job->headers[i];
    }

    return n;
}


static int
errand_fit(const doi_job_t *job)
{
    if (job->url == NULL || job->url[0] == '\0'
        || (job->body.data == NULL && job->body.len != 0))
    {
        return 0;
    }

    switch (job->kind) {

    case DOI_JOB_SMTP:
        return job->sender != NULL && job->recipient != NULL
               && job->recipient[0] != '\0'
               && errand_address_fit(job->sender)
               && errand_address_fit(job->recipient);

    case DOI_JOB_MAILDIR:
        return job->unique != NULL && errand_unique_fit(job->unique);

    case DOI_JOB_HTTP:
        return job->method != NULL
               && (strcmp(job->method, "GET") == 0
                   || strcmp(job->method, "PUT") == 0
                   || strcmp(job->method, "POST") == 0
                   || strcmp(job->method, "DELETE") == 0);

    default:
        return 0;
    }
}


/* Nothing in it may end the path, or be a second parameter. */

static int
errand_address_fit(const char *s)
{
    size_t  i;

    for (i = 0; s[i] != '\0'; i++) {
        if (i == ERRAND_ADDRESS_MAX || s[i] <= ' ' || s[i] >= 0x7f
            || s[i] == '<' || s[i] == '>')
        {
            return 0;
        }
    }

    return 1;
}


/* It becomes a file name; a colon would start flags. */

static int
errand_unique_fit(const char *s)
{
    size_t  len;

    len = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                    "0123456789_.-");

    return len != 0 && len <= DOI_UNIQUE_MAX && s[len] == '\0' && s[0] != '.';
}
