/*
 * One job over the network, by libcurl: all of HTTP, and SMTP up to the
 * log-in.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"


#define TRANSFER_TIMEOUT    30          /* seconds, of jobs that have none    */
#define TRANSFER_CONNECT    10
#define TRANSFER_READ       65536       /* bytes of a body that are read      */


static CURLcode transfer_set(doi_transfer_t *t);
static CURLcode transfer_set_smtp(doi_transfer_t *t);
static CURLcode transfer_set_http(doi_transfer_t *t);
static long transfer_connect_ms(doi_transfer_t *t, unsigned max);
static CURLcode transfer_set_body(doi_transfer_t *t);
static int transfer_set_headers(doi_transfer_t *t);
static void transfer_kick(doi_transfer_t *t, curl_socket_t fd, int mask);
static void transfer_http_done(doi_transfer_t *t, CURLcode rc);
static void transfer_http_status(doi_transfer_t *t);
static int transfer_on_socket(CURL *easy, curl_socket_t fd, int what,
    void *data, void *socket_data);
static int transfer_on_timer(CURLM *multi, long timeout_ms, void *data);
static curl_socket_t transfer_on_open(void *data, curlsocktype purpose,
    struct curl_sockaddr *address);
static size_t transfer_on_header(char *p, size_t size, size_t n, void *data);
static size_t transfer_on_body(char *p, size_t size, size_t n, void *data);
static void transfer_http_header(doi_transfer_t *t, const char *line,
    size_t len);
static void transfer_etag(doi_errand_t *e, const char *p, size_t len);


uint64_t
doi_courier_ms(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}


doi_transfer_t *
doi_transfer_start(doi_errand_t *e, int epoll, uint32_t slot)
{
    CURLcode         rc;
    doi_transfer_t  *t;

    t = calloc(1, sizeof(doi_transfer_t));
    if (t == NULL) {
        return NULL;
    }

    t->errand = e;
    t->epoll = epoll;
    t->slot = slot;
    t->deadline = doi_courier_ms()
                  + 1000 * (uint64_t) (e->job.timeout != 0 ? e->job.timeout
                                                           : TRANSFER_TIMEOUT);

    t->multi = curl_multi_init();
    t->easy = curl_easy_init();

    if (t->multi == NULL || t->easy == NULL) {
        doi_transfer_free(t);
        return NULL;
    }

    rc = transfer_set(t);

    if (rc != CURLE_OK) {
        doi_transfer_settle(t, DOI_JOB_TEMPORARY, 0, "%s",
                            curl_easy_strerror(rc));
        return t;
    }

    if (curl_multi_add_handle(t->multi, t->easy) != CURLM_OK) {
        doi_transfer_settle(t, DOI_JOB_TEMPORARY, 0, "no memory");
    }

    return t;
}


void
doi_transfer_event(doi_transfer_t *t, int fd, uint32_t events)
{
    int  mask;

    if (t->smtp.step != DOI_SMTP_LOGIN) {
        doi_smtp_run(t);
        return;
    }

    mask = 0;

    if (events & (EPOLLIN|EPOLLHUP|EPOLLRDHUP)) {
        mask |= CURL_CSELECT_IN;
    }

    if (events & EPOLLOUT) {
        mask |= CURL_CSELECT_OUT;
    }

    if (events & EPOLLERR) {
        mask |= CURL_CSELECT_ERR;
    }

    transfer_kick(t, fd, mask);
}


void
doi_transfer_timer(doi_transfer_t *t)
{
    t->timer = 0;

    if (t->smtp.step == DOI_SMTP_LOGIN) {
        transfer_kick(t, CURL_SOCKET_TIMEOUT, 0);
    }
}


void
doi_transfer_expire(doi_transfer_t *t)
{
    if (t->answered) {
        transfer_http_status(t);

    } else if (t->errand->job.kind == DOI_JOB_SMTP) {
        doi_smtp_expire(t);

    } else {
        doi_transfer_settle(t, DOI_JOB_TEMPORARY, 0, "timed out");
    }
}


void
doi_transfer_free(doi_transfer_t *t)
{
    if (t->easy != NULL && t->multi != NULL) {
        (void) curl_multi_remove_handle(t->multi, t->easy);
    }

    curl_easy_cleanup(t->easy);
    (void) curl_multi_cleanup(t->multi);
    curl_slist_free_all(t->headers);

    free(t->smtp.out);
    free(t);
}


void
doi_transfer_settle(doi_transfer_t *t, doi_job_outcome_t outcome, long code,
    const char *fmt, ...)
{
    char     text[DOI_SMTP_LINE + 1];
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    doi_errand_settle(t->errand, outcome, code, "%s", text);
    t->settled = 1;
}


int
doi_transfer_watch(doi_transfer_t *t, int fd, uint32_t events)
{
    struct epoll_event  ev;

    memset(&ev, 0, sizeof(ev));
    ev.events = events;
    ev.data.u64 = (uint64_t) t->slot << 32 | (uint32_t) fd;

    /* A closed socket leaves by itself, and its number may be used again. */

    if (epoll_ctl(t->epoll, EPOLL_CTL_MOD, fd, &ev) == 0
        || epoll_ctl(t->epoll, EPOLL_CTL_ADD, fd, &ev) == 0)
    {
        return DOI_OK;
    }

    return DOI_ERROR;
}


/* libcurl's options take int, long or pointer: set stops at the first error. */

#define transfer_opt(rc, easy, name, value)                                   \
    if (rc == CURLE_OK) {                                                     \
        rc = curl_easy_setopt(easy, name, value);                             \
    }


static CURLcode
transfer_set(doi_transfer_t *t)
{
    CURL             *easy;
    CURLcode          rc;
    const doi_job_t  *job;

    easy = t->easy;
    job = &t->errand->job;
    rc = CURLE_OK;

    if (curl_multi_setopt(t->multi, CURLMOPT_SOCKETFUNCTION,
                          transfer_on_socket) != CURLM_OK
        || curl_multi_setopt(t->multi, CURLMOPT_SOCKETDATA, t) != CURLM_OK
        || curl_multi_setopt(t->multi, CURLMOPT_TIMERFUNCTION,
                             transfer_on_timer) != CURLM_OK
        || curl_multi_setopt(t->multi, CURLMOPT_TIMERDATA, t) != CURLM_OK)
    {
        return CURLE_FAILED_INIT;
    }

    transfer_opt(rc, easy, CURLOPT_NOSIGNAL, 1L);
    transfer_opt(rc, easy, CURLOPT_QUICK_EXIT, 1L);
    transfer_opt(rc, easy, CURLOPT_ERRORBUFFER, t->error);
    transfer_opt(rc, easy, CURLOPT_PROXY, "");
    transfer_opt(rc, easy, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
    transfer_opt(rc, easy, CURLOPT_FOLLOWLOCATION, 0L);
    transfer_opt(rc, easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    transfer_opt(rc, easy, CURLOPT_FRESH_CONNECT, 1L);
    transfer_opt(rc, easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
    transfer_opt(rc, easy, CURLOPT_SSL_VERIFYPEER, 1L);
    transfer_opt(rc, easy, CURLOPT_SSL_VERIFYHOST, 2L);

    if (job->ca_file != NULL) {
        /* the directory of the system would be asked as well */
        transfer_opt(rc, easy, CURLOPT_CAINFO, job->ca_file);
        transfer_opt(rc, easy, CURLOPT_CAPATH, NULL);
    }

    if (job->user != NULL) {
        transfer_opt(rc, easy, CURLOPT_USERNAME, job->user);
        transfer_opt(rc, easy, CURLOPT_PASSWORD,
                     job->password != NULL ? job->password : "");
    }

    transfer_opt(rc, easy, CURLOPT_HEADERFUNCTION, transfer_on_header);
    transfer_opt(rc, easy, CURLOPT_HEADERDATA, t);
    transfer_opt(rc, easy, CURLOPT_WRITEFUNCTION, transfer_on_body);
    transfer_opt(rc, easy, CURLOPT_WRITEDATA, t);

    if (rc != CURLE_OK) {
        return rc;
    }

    return job->kind == DOI_JOB_SMTP ? transfer_set_smtp(t)
                                     : transfer_set_http(t);
}


/* libcurl takes the name that it says with EHLO from the path of the URL. */

static CURLcode
transfer_set_smtp(doi_transfer_t *t)
{
    int               n;
    long              tls;
    char             *url, *helo;
    size_t            len;
    CURLcode          rc;
    const char       *host;
    const doi_job_t  *job;

    job = &t->errand->job;
    rc = CURLE_OK;

    host = strstr(job->url, "://");
    len = host != NULL ? (size_t) (host + 3 - job->url) : 0;
    len += strcspn(job->url + len, "/?#");

    if (len > INT_MAX) {
        return CURLE_URL_MALFORMAT;
    }

    helo = curl_easy_escape(t->easy, job->helo != NULL ? job->helo : "", 0);
    if (helo == NULL) {
        return CURLE_OUT_OF_MEMORY;
    }

    n = asprintf(&url, "%.*s/%s", (int) len, job->url, helo);
    curl_free(helo);

    if (n == -1) {
        return CURLE_OUT_OF_MEMORY;
    }

    /* A password makes of "if it is offered" a "must". */

    tls = job->starttls == DOI_TLS_OFF ? CURLUSESSL_NONE
          : job->starttls == DOI_TLS_TRY && job->user == NULL ? CURLUSESSL_TRY
          : CURLUSESSL_ALL;

    transfer_opt(rc, t->easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    transfer_opt(rc, t->easy, CURLOPT_URL, url);
    transfer_opt(rc, t->easy, CURLOPT_USE_SSL, tls);

    /* Not GSSAPI and NTLM, which libcurl would prefer for user@domain. */

    transfer_opt(rc, t->easy, CURLOPT_LOGIN_OPTIONS,
                 "AUTH=PLAIN;AUTH=LOGIN;AUTH=CRAM-MD5");
    transfer_opt(rc, t->easy, CURLOPT_CONNECT_ONLY, 1L);

    /* To libcurl all this is connecting, and servers greet late on purpose. */

    transfer_opt(rc, t->easy, CURLOPT_CONNECTTIMEOUT_MS,
                 transfer_connect_ms(t, UINT_MAX));

    free(url);

    return rc;
}


static CURLcode
transfer_set_http(doi_transfer_t *t)
{
    CURL             *easy;
    CURLcode          rc;
    const doi_job_t  *job;

    job = &t->errand->job;
    easy = t->easy;
    rc = CURLE_OK;

    transfer_opt(rc, easy, CURLOPT_PROTOCOLS_STR, "http,https");
    transfer_opt(rc, easy, CURLOPT_URL, job->url);
    transfer_opt(rc, easy, CURLOPT_CONNECTTIMEOUT_MS,
                 transfer_connect_ms(t, TRANSFER_CONNECT));
    transfer_opt(rc, easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
    transfer_opt(rc, easy, CURLOPT_FORBID_REUSE, 1L);
    transfer_opt(rc, easy, CURLOPT_USERAGENT, "ngx_http_doi_module");
    transfer_opt(rc, easy, CURLOPT_HTTPAUTH, (long) CURLAUTH_BASIC);
    transfer_opt(rc, easy, CURLOPT_OPENSOCKETFUNCTION, transfer_on_open);
    transfer_opt(rc, easy, CURLOPT_OPENSOCKETDATA, t);

    if (rc == CURLE_OK) {
        rc = transfer_set_body(t);
    }

    if (rc == CURLE_OK && transfer_set_headers(t) != DOI_OK) {
        rc = CURLE_OUT_OF_MEMORY;
    }

    transfer_opt(rc, easy, CURLOPT_HTTPHEADER, t->headers);

    return rc;
}


/* Seconds of the job, max at most; libcurl's type may be of 32 bits. */

static long
transfer_connect_ms(doi_transfer_t *t, unsigned max)
{
    unsigned  seconds;

    seconds = t->errand->job.timeout;

    if (seconds == 0) {
        seconds = TRANSFER_TIMEOUT;
    }

    if (seconds > max) {
        seconds = max;
    }

    return seconds < INT_MAX / 1000 ? (long) seconds * 1000 : INT_MAX;
}


static CURLcode
transfer_set_body(doi_transfer_t *t)
{
    CURLcode          rc;
    const doi_job_t  *job;

    job = &t->errand->job;
    rc = CURLE_OK;

    if (strcmp(job->method, "GET") == 0) {
        transfer_opt(rc, t->easy, CURLOPT_HTTPGET, 1L);
        return rc;
    }

    if (strcmp(job->method, "DELETE") != 0 || job->body.len != 0) {
        transfer_opt(rc, t->easy, CURLOPT_POST, 1L);
        transfer_opt(rc, t->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     (curl_off_t) job->body.len);
        transfer_opt(rc, t->easy, CURLOPT_POSTFIELDS,
                     (const char *) job->body.data);
    }

    transfer_opt(rc, t->easy, CURLOPT_CUSTOMREQUEST, job->method);

    return rc;
}


/* An empty value takes away what libcurl would say by itself. */

static int
transfer_set_headers(doi_transfer_t *t)
{
    int                 typed;
    size_t              i;
    const char         *header;
    struct curl_slist  *list;

    typed = 0;

    for (i = 0; i < DOI_COURIER_HEADERS + 2; i++) {

        if (i < DOI_COURIER_HEADERS) {
            header = t->errand->job.headers[i];

        } else if (i == DOI_COURIER_HEADERS) {
            header = "Expect:";

        } else {
            header = typed ? NULL : "Content-Type:";
        }

        if (header == NULL) {
            continue;
        }

        if (strncasecmp(header, "Content-Type:", 13) == 0) {
            typed = 1;
        }

        list = curl_slist_append(t->headers, header);
        if (list == NULL) {
            return DOI_ERROR;
        }

        t->headers = list;
    }

    return DOI_OK;
}


static void
transfer_kick(doi_transfer_t *t, curl_socket_t fd, int mask)
{
    int       n;
    CURLcode  rc;
    CURLMsg  *msg;

    if (curl_multi_socket_action(t->multi, fd, mask, &n) != CURLM_OK) {
        doi_transfer_settle(t, DOI_JOB_TEMPORARY, 0, "libcurl failed");
        return;
    }

    do {
        msg = curl_multi_info_read(t->multi, &n);

        if (msg == NULL) {
            return;
        }

    } while (msg->msg != CURLMSG_DONE);

    rc = msg->data.result;

    if (t->errand->job.kind == DOI_JOB_HTTP) {
        transfer_http_done(t, rc);

    } else if (rc == CURLE_OK) {
        doi_smtp_begin(t);

    } else {
        doi_smtp_login_failed(t, rc);
    }
}


/* Once the headers are there, the status counts, whatever becomes of the
   body. */

static void
transfer_http_done(doi_transfer_t *t, CURLcode rc)
{
    doi_job_outcome_t  outcome;

    if (t->answered) {
        transfer_http_status(t);
        return;
    }

    if (t->refused && !t->allowed) {
        doi_transfer_settle(t, DOI_JOB_PERMANENT, 0,
                            "the address of the host is not a global one");
        return;
    }

    /* A server that answers garbage counts as an unsupported protocol, too. */

    outcome = !t->allowed && (rc == CURLE_URL_MALFORMAT
                              || rc == CURLE_UNSUPPORTED_PROTOCOL)
              ? DOI_JOB_PERMANENT : DOI_JOB_TEMPORARY;

    doi_transfer_settle(t, outcome, 0, "%s",
                        t->error[0] != '\0' ? t->error
                                            : curl_easy_strerror(rc));
}


static void
transfer_http_status(doi_transfer_t *t)
{
    curl_off_t         wait;
    doi_job_outcome_t  outcome;

    switch (t->status) {

    case 408:
    case 425:
    case 429:
        outcome = DOI_JOB_TEMPORARY;
        break;

    default:
        outcome = t->status >= 500 ? DOI_JOB_TEMPORARY
                  : t->status >= 300 ? DOI_JOB_PERMANENT : DOI_JOB_DONE;
    }

    if (curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &wait) == CURLE_OK
        && wait > 0)
    {
        t->errand->retry_after = wait < INT_MAX ? (unsigned) wait : INT_MAX;
    }

    doi_transfer_settle(t, outcome, t->status, "HTTP status %ld%s", t->status,
                        t->status / 100 == 3 ? ", redirects are not followed"
                                             : "");
}


static int
transfer_on_socket(CURL *easy, curl_socket_t fd, int what, void *data,
    void *socket_data)
{
    uint32_t         events;
    doi_transfer_t  *t;

    (void) easy;
    (void) socket_data;

    t = data;

    if (what == CURL_POLL_REMOVE) {
        (void) epoll_ctl(t->epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }

    events = 0;

    if (what & CURL_POLL_IN) {
        events |= EPOLLIN;
    }

    if (what & CURL_POLL_OUT) {
        events |= EPOLLOUT;
    }

    return doi_transfer_watch(t, fd, events) == DOI_OK ? 0 : -1;
}


static int
transfer_on_timer(CURLM *multi, long timeout_ms, void *data)
{
    doi_transfer_t  *t;

    (void) multi;

    t = data;
    t->timer = timeout_ms < 0 ? 0 : doi_courier_ms() + (uint64_t) timeout_ms;

    return 0;
}


/*
 * After the resolution, for each address that is tried: a name that changes
 * between a check and its use (DNS rebinding) gains nothing.
 */

static curl_socket_t
transfer_on_open(void *data, curlsocktype purpose,
    struct curl_sockaddr *address)
{
    doi_transfer_t  *t;

    t = data;

    if (purpose != CURLSOCKTYPE_IPCXN
        || (!t->errand->job.private_ok && !doi_address_global(&address->addr)))
    {
        t->refused = 1;
        return CURL_SOCKET_BAD;
    }

    t->allowed = 1;

    return socket(address->family, address->socktype | SOCK_CLOEXEC,
                  address->protocol);
}


static size_t
transfer_on_header(char *p, size_t size, size_t n, void *data)
{
    doi_transfer_t  *t;

    t = data;
    n *= size;

    if (t->errand->job.kind == DOI_JOB_HTTP) {
        transfer_http_header(t, p, n);

    } else {
        doi_smtp_login_line(&t->smtp, p, n);
    }

    return n;
}


/* The type is libcurl's.  NOLINTBEGIN(readability-non-const-parameter) */

static size_t
transfer_on_body(char *p, size_t size, size_t n, void *data)
{
    size_t           len;
    doi_errand_t    *e;
    doi_transfer_t  *t;

    t = data;
    e = t->errand;
    n *= size;
    t->read += n;

    len = e->body != NULL ? DOI_COURIER_BODY - e->body_len : 0;

    if (len > n) {
        len = n;
    }

    if (len != 0) {
        memcpy(e->body + e->body_len, p, len);
        e->body_len += len;
    }

    return t->read > TRANSFER_READ ? 0 : n;
}

/* NOLINTEND(readability-non-const-parameter) */


static void
transfer_http_header(doi_transfer_t *t, const char *line, size_t len)
{
    while (len != 0 && (line[len - 1] == '\r' || line[len - 1] == '\n')) {
        len--;
    }

    /* What follows a body are trailers. */

    if (t->answered) {
        return;
    }

    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        t->errand->etag[0] = '\0';
        t->status = 0;
        (void) curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->status);
        return;
    }

    if (len == 0) {
        t->answered = t->status >= 200;
        return;
    }

    if (len > 5 && strncasecmp(line, "ETag:", 5) == 0) {
        transfer_etag(t->errand, line + 5, len - 5);
    }
}


/* Half a tag is worse than none. */

static void
transfer_etag(doi_errand_t *e, const char *p, size_t len)
{
    size_t  i;

    while (len != 0 && (*p == ' ' || *p == '\t')) {
        p++;
        len--;
    }

    while (len != 0 && (p[len - 1] == ' ' || p[len - 1] == '\t')) {
        len--;
    }

    e->etag[0] = '\0';

    if (len > DOI_ETAG_MAX) {
        return;
    }

    for (i = 0; i < len; i++) {
        if ((unsigned char) p[i] < ' ' || p[i] == 0x7f) {
            return;
        }
    }

    memcpy(e->etag, p, len);
    e->etag[len] = '\0';
}
