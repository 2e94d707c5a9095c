/*
 * The part of SMTP (RFC 5321) that comes after the log-in.
 *
 * libcurl connects, says EHLO and STARTTLS and logs in (CURLOPT_CONNECT_ONLY);
 * the envelope and the message are sent by curl_easy_send from here.  Left to
 * itself, libcurl blocks its thread while it waits for the answers to the
 * message and to QUIT, in the multi interface too: one slow server would hold
 * up all jobs.  And whether a 5xx was about us or about the mail would have to
 * be guessed.
 *
 * What a failure means:
 *
 *   before MAIL          our configuration, or their trouble: temporary
 *   MAIL, RCPT, DATA,    4xx temporary, 5xx permanent, except those that ask
 *   end of message       for a log-in (RFC 4954, 6), which are about us
 *   garbage, closed      temporary
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "internal.h"


/* Of one reply. */
#define SMTP_LINES_MAX  128

/* Given to libcurl at once. */
#define SMTP_CHUNK      16384


static int smtp_code(const uint8_t *line, size_t len);
static int smtp_say(doi_transfer_t *t, doi_smtp_step_t step, uint8_t *out,
    size_t len);
static int smtp_command(doi_transfer_t *t, doi_smtp_step_t step,
    const char *verb, const char *path);
static int smtp_flush(doi_transfer_t *t);
static int smtp_reply(doi_transfer_t *t);
static int smtp_take_line(doi_transfer_t *t);
static void smtp_answer(doi_transfer_t *t);
static void smtp_next(doi_transfer_t *t);
static void smtp_quit(doi_transfer_t *t);


static const char  *smtp_steps[] = {
    "the greeting or log-in", "MAIL", "RCPT", "DATA", "the message"
};


void
doi_smtp_login_line(doi_smtp_t *s, const char *line, size_t len)
{
    int  code;

    while (len != 0 && (line[len - 1] == '\r' || line[len - 1] == '\n')) {
        len--;
    }

    code = smtp_code((const uint8_t *) line, len);

    if (code == 0 || len > DOI_SMTP_LINE) {
        return;
    }

    s->code = code;
    memcpy(s->first, line, len);
    s->first[len] = '\0';

    if (code == 235) {
        s->logged_in = 1;
    }
}


/*
 * What the server says is passed on only if it cannot be about our secret: not
 * once we have tried to log in.
 */

void
doi_smtp_login_failed(doi_transfer_t *t, CURLcode rc)
{
    int               n;
    const doi_job_t  *job;
    doi_smtp_t       *s;

    s = &t->smtp;
    job = &t->errand->job;

    switch (rc) {

    case CURLE_LOGIN_DENIED:
    case CURLE_AUTH_ERROR:
        /* "535 5.7.8 ": the codes only */
        n = (int) strspn(s->first, "0123456789. ");

        doi_transfer_settle(t, DOI_JOB_TEMPORARY, s->code,
                            "%.*s the log-in was refused",
                            s->code >= 400 && n < 20 ? n : 0, s->first);
        return;

    case CURLE_USE_SSL_FAILED:
        doi_transfer_settle(t, DOI_JOB_TEMPORARY, s->code,
                            "the server %s STARTTLS%s",
                            s->code >= 400 ? "refused" : "does not offer",
                            job->starttls == DOI_TLS_TRY
                            ? ", and no password is sent without it" : "");
        return;

    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_REMOTE_ACCESS_DENIED:
        if (s->code >= 400) {
            doi_transfer_settle(t, DOI_JOB_TEMPORARY, s->code, "%s", s->first);
            return;
        }

        doi_transfer_settle(t, DOI_JOB_TEMPORARY, s->code,
                            "the answer is not one of an SMTP server");
        return;

    default:
        doi_transfer_settle(t, DOI_JOB_TEMPORARY, s->code, "%s",
                            t->error[0] != '\0' ? t->error
                                                : curl_easy_strerror(rc));
    }
}


void
doi_smtp_begin(doi_transfer_t *t)
{
    const doi_job_t  *job;
    curl_socket_t     fd;

    job = &t->errand->job;
    fd = CURL_SOCKET_BAD;

    if (curl_easy_getinfo(t->easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK
        || fd == CURL_SOCKET_BAD)
    {
        doi_transfer_settle(t, DOI_JOB_TEMPORARY, 0, "the connection is gone");
        return;
    }

    t->smtp.fd = fd;

    /* libcurl goes on without a log-in if it knows none that is offered. */

    if (job->user != NULL && !t->smtp.logged_in) {
        doi_transfer_settle(t, DOI_JOB_TEMPORARY, t->smtp.code,
                            "the server does not offer a way to log in");
        smtp_quit(t);
        return;
    }

    t->smtp.code = 0;

    if (smtp_command(t, DOI_SMTP_MAIL, "MAIL FROM:", job->sender)
        == DOI_OK)
    {
        doi_smtp_run(t);
    }
}


void
doi_smtp_run(doi_transfer_t *t)
{
    int          rc;
    uint32_t     events;
    doi_smtp_t  *s;

    s = &t->smtp;

    while (!t->settled) {

        events = EPOLLOUT;
        rc = smtp_flush(t);

        if (rc == DOI_OK) {
            events = EPOLLIN;
            rc = smtp_reply(t);
        }

        if (rc == DOI_OK) {
            smtp_answer(t);
            continue;
        }

        if (rc == DOI_NOT_FOUND
            && doi_transfer_watch(t, s->fd, events) != DOI_OK)
        {
            doi_transfer_settle(t, DOI_JOB_TEMPORARY, 0,
                                "the connection cannot be watched");
        }

        return;
    }
}


void
doi_smtp_expire(doi_transfer_t *t)
{
    doi_transfer_settle(t, DOI_JOB_TEMPORARY, t->smtp.code, "timed out at %s",
                        smtp_steps[t->smtp.step]);
}


/* 0: not a line of a reply. */

static int
smtp_code(const uint8_t *line, size_t len)
{
    if (len < 3 || line[0] < '1' || line[0] > '5'
        || line[1] < '0' || line[1] > '9' || line[2] < '0' || line[2] > '9'
        || (len > 3 && line[3] != ' ' && line[3] != '-'))
    {
        return 0;
    }

    return (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
}


/*
 * Takes over out, which is from malloc, or NULL without memory.  On DOI_ERROR
 * the transfer is settled.
 */

static int
smtp_say(doi_transfer_t *t, doi_smtp_step_t step, uint8_t *out, size_t len)
{
    doi_smtp_t  *s;

    s = &t->smtp;

    free(s->out);

    s->step = step;
    s->out = out;
    s->out_len = len;
    s->out_sent = 0;
    s->lines = 0;

    if (out == NULL) {
        doi_transfer_settle(t, DOI_JOB_TEMPORARY, 0, "no memory");
        return DOI_ERROR;
    }

    return DOI_OK;
}


/* A command with a path, or, path NULL, without. */

static int
smtp_command(doi_transfer_t *t, doi_smtp_step_t step, const char *verb,
    const char *path)
{
    char  *line;
    int    len;

    len = asprintf(&line, "%s%s%s%s\r\n", verb, path != NULL ? "<" : "",
                   path != NULL ? path : "", path != NULL ? ">" : "");

    if (len == -1) {
        return smtp_say(t, step, NULL, 0);
    }

    return smtp_say(t, step, (uint8_t *) line, (size_t) len);
}


/* DOI_OK: all is sent; DOI_NOT_FOUND: not yet; DOI_ERROR: settled. */

static int
smtp_flush(doi_transfer_t *t)
{
    size_t       n;
    CURLcode     rc;
    doi_smtp_t  *s;

    s = &t->smtp;

    while (s->out_sent < s->out_len) {

        n = s->out_len - s->out_sent;

        if (n > SMTP_CHUNK) {
            n = SMTP_CHUNK;
        }

        rc = curl_easy_send(t->easy, s->out + s->out_sent, n, &n);

        if (rc == CURLE_AGAIN) {
            return DOI_NOT_FOUND;
        }

        if (rc != CURLE_OK) {
            doi_transfer_settle(t, DOI_JOB_TEMPORARY, s->code,
                                "the connection broke while %s was sent",
                                smtp_steps[s->step]);
            return DOI_ERROR;
        }

        s->out_sent += n;
    }

    return DOI_OK;
}


/* DOI_OK: a whole reply is there: code and first. */

static int
smtp_reply(doi_transfer_t *t)
{
    int          rc;
    size_t       n;
    CURLcode     code;
    doi_smtp_t  *s;

    s = &t->smtp;

    for ( ;; ) {

        rc = smtp_take_line(t);

        if (rc != DOI_NOT_FOUND) {
            return rc;
        }

        code = curl_easy_recv(t->easy, s->in + s->in_len,
                              sizeof(s->in) - s->in_len, &n);

        if (code == CURLE_AGAIN) {
            return DOI_NOT_FOUND;
        }

        if (code != CURLE_OK || n == 0) {
            doi_transfer_settle(t, DOI_JOB_TEMPORARY, s->code,
                                "the server closed the connection before it "
                                "answered to %s", smtp_steps[s->step]);
            return DOI_ERROR;
        }

        s->in_len += n;
    }
}


/* DOI_OK: it was the last of a reply; DOI_NOT_FOUND: more is needed. */

static int
smtp_take_line(doi_transfer_t *t)
{
    int          code, last;
    size_t       len;
    uint8_t     *lf;
    doi_smtp_t  *s;

    s = &t->smtp;

    while ((lf = memchr(s->in, '\n', s->in_len)) != NULL) {

        len = (size_t) (lf - s->in);

        if (len != 0 && s->in[len - 1] == '\r') {
            len--;
        }

        code = smtp_code(s->in, len);

        if (code == 0 || s->lines == SMTP_LINES_MAX) {
            break;
        }

        last = len == 3 || s->in[3] == ' ';

        if (s->lines++ == 0) {
            memcpy(s->first, s->in, len);
            s->first[len] = '\0';
            s->first[3] = len == 3 ? '\0' : ' ';
        }

        s->in_len -= (size_t) (lf + 1 - s->in);
        memmove(s->in, lf + 1, s->in_len);

        if (last) {
            s->code = code;
            return DOI_OK;
        }
    }

    if (lf == NULL && s->in_len < sizeof(s->in)) {
        return DOI_NOT_FOUND;
    }

    doi_transfer_settle(t, DOI_JOB_TEMPORARY, 0,
                        "the answer to %s is not one of an SMTP server",
                        smtp_steps[s->step]);
    return DOI_ERROR;
}


static void
smtp_answer(doi_transfer_t *t)
{
    doi_smtp_t         *s;
    doi_job_outcome_t   outcome;

    s = &t->smtp;
    s->lines = 0;

    if (s->step == DOI_SMTP_DATA ? s->code == 354 : s->code / 100 == 2) {
        smtp_next(t);
        return;
    }

    switch (s->code) {

    case 530:                       /* log in first                          */
    case 534:                       /* a better mechanism is needed          */
    case 535:                       /* credentials invalid                   */
    case 538:                       /* encryption required                   */
        outcome = DOI_JOB_TEMPORARY;
        break;

    default:
        outcome = s->code >= 500 ? DOI_JOB_PERMANENT : DOI_JOB_TEMPORARY;
    }

    doi_transfer_settle(t, outcome, s->code, "%s", s->first);
    smtp_quit(t);
}


static void
smtp_next(doi_transfer_t *t)
{
    size_t            len;
    uint8_t          *message;
    const doi_job_t  *job;

    job = &t->errand->job;

    switch (t->smtp.step) {

    case DOI_SMTP_MAIL:
        (void) smtp_command(t, DOI_SMTP_RCPT, "RCPT TO:", job->recipient);
        return;

    case DOI_SMTP_RCPT:
        (void) smtp_command(t, DOI_SMTP_DATA, "DATA", NULL);
        return;

    case DOI_SMTP_DATA:
        message = doi_smtp_stuff(job->body, &len);
        (void) smtp_say(t, DOI_SMTP_END, message, len);
        return;

    default:
        doi_transfer_settle(t, DOI_JOB_DONE, t->smtp.code, "%s",
                            t->smtp.first);
        smtp_quit(t);
    }
}


/*
 * Said, but its answer is not waited for: the result is known, and the
 * connection is closed next.
 */

static void
smtp_quit(doi_transfer_t *t)
{
    size_t  n;

    (void) curl_easy_send(t->easy, "QUIT\r\n", 6, &n);
}


/*
 * RFC 5321, 4.5.2, and 2.3.8: a line ends with CRLF, and neither CR nor LF
 * stands alone; servers that take one for the end of a line could be made to
 * see a second message.
 */

uint8_t *
doi_smtp_stuff(doi_str_t message, size_t *len)
{
    size_t          i, n;
    uint8_t        *out;
    const uint8_t  *p;

    /* At most two bytes for one. */

    *len = 0;

    if (message.len > SIZE_MAX / 2 - 8) {
        return NULL;
    }

    out = malloc(message.len * 2 + 8);
    if (out == NULL) {
        return NULL;
    }

    n = 0;
    p = message.data;

    for (i = 0; i < message.len; i++) {

        if (p[i] == '.' && (n == 0 || out[n - 1] == '\n')) {
            out[n++] = '.';
        }

        if (p[i] != '\r' && p[i] != '\n') {
            out[n++] = p[i];
            continue;
        }

        if (p[i] == '\r' && i + 1 < message.len && p[i + 1] == '\n') {
            i++;
        }

        out[n++] = '\r';
        out[n++] = '\n';
    }

    if (n != 0 && out[n - 1] != '\n') {
        out[n++] = '\r';
        out[n++] = '\n';
    }

    memcpy(out + n, ".\r\n", 3);
    *len = n + 3;

    return out;
}
