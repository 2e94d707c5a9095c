/*
 * The courier against real servers (t/lib/smtpd.py, t/lib/httpd.py), whole and
 * broken ones; Maildirs.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"
#include "courier/courier.h"


#define SERVERS     16
#define RECIPIENT   "joe.bloggs@example.org"
#define PASSWORD    "s3cret-Pa55word"


/* What done was told; strings copied. */

typedef struct {
    int                calls;
    doi_job_outcome_t  outcome;
    long               code;
    unsigned           retry_after;
    double             at;
    char               etag[300];
    char               text[300];
    size_t             body_len;
    char               body[DOI_COURIER_BODY + 1];
} result_t;


static char            dir[128];
static const char     *root;
static const char     *python;
static pid_t           servers[SERVERS];
static int             nservers;
static doi_courier_t  *courier;

static const char  message[] =
    "From: a@example.org\r\n"
    "Subject: dots\r\n"
    "\r\n"
    ".\r\n"
    "..two\r\n"
    ".leading\r\n"
    "not. leading.\r\n"
    "last\r\n";


static double
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


static void
on_log(void *data, int level, const char *msg)
{
    (void) data;
    printf("# log %d: %s\n", level, msg);
}


static void
on_done(void *data, const doi_job_result_t *result)
{
    size_t     i, bad;
    result_t  *r;

    r = data;
    r->calls++;
    r->outcome = result->outcome;
    r->code = result->code;
    r->retry_after = result->retry_after;
    r->at = now();
    snprintf(r->etag, sizeof(r->etag), "%s", result->etag);
    snprintf(r->text, sizeof(r->text), "%s", result->text);

    r->body_len = result->body.len;

    if (result->body.len != 0 && result->body.len <= DOI_COURIER_BODY) {
        memcpy(r->body, result->body.data, result->body.len);
    }

    /* what the header promises of every text */

    bad = strlen(result->text) > 200 || result->text[0] == '\0'
          || strstr(result->text, "@") != NULL
          || strstr(result->text, "bloggs") != NULL
          || strstr(result->text, PASSWORD) != NULL;

    for (i = 0; result->text[i] != '\0'; i++) {
        bad |= result->text[i] < ' ' || result->text[i] > '~';
    }

    if (bad) {
        ok(0, "text \"%s\"", result->text);
    }
}


/* Until the result is there. */

static int
await(result_t *r, double seconds)
{
    double         end;
    struct pollfd  pfd;

    end = now() + seconds;

    while (r->calls == 0 && now() < end) {
        pfd.fd = doi_courier_fd(courier);
        pfd.events = POLLIN;
        (void) poll(&pfd, 1, 100);

        if (pfd.revents & POLLIN) {
            doi_courier_dispatch(courier);
        }
    }

    return r->calls;
}


static result_t
run(const doi_job_t *job)
{
    result_t  r;

    memset(&r, 0, sizeof(r));

    if (doi_courier_submit(courier, job, on_done, &r) != DOI_OK) {
        ok(0, "submit");
        return r;
    }

    if (!await(&r, 60)) {
        ok(0, "a result within a minute");
        exit(1);
    }

    return r;
}


static void
is_outcome(const result_t *r, doi_job_outcome_t outcome, long code,
    const char *text, const char *what)
{
    if (!ok(r->calls == 1 && r->outcome == outcome && r->code == code
            && (text == NULL || strstr(r->text, text) != NULL), "%s", what)
        || getenv("DOI_VERBOSE") != NULL)
    {
        printf("# calls %d outcome %d code %ld text \"%s\"\n", r->calls,
               r->outcome, r->code, r->text);
        printf("# expected outcome %d code %ld text \"%s\"\n", outcome, code,
               text != NULL ? text : "any");
    }
}


/* Starts a script and reads n ports of it. */

static int
server(int *ports, int n, const char *script, ...)
{
    int          i, pipes[2];
    char         line[256], path[512];
    FILE        *f;
    pid_t        pid;
    va_list      args;
    const char  *argv[64];

    snprintf(path, sizeof(path), "%s/t/lib/%s", root, script);

    argv[0] = python;
    argv[1] = path;

    va_start(args, script);

    for (i = 2; i < 63; i++) {
        argv[i] = va_arg(args, const char *);
        if (argv[i] == NULL) {
            break;
        }
    }

    va_end(args);

    if (pipe(pipes) == -1 || (pid = fork()) == -1) {
        return 0;
    }

    if (pid == 0) {
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(pipes[1], 1);
        dup2(open("/dev/null", O_WRONLY), 2);
        close(pipes[0]);
        close(pipes[1]);
        execv(python, (char *const *) argv);
        _exit(127);
    }

    servers[nservers++] = pid;
    close(pipes[1]);

    f = fdopen(pipes[0], "r");

    for (i = 0; i < n; i++) {
        if (fgets(line, sizeof(line), f) == NULL
            || sscanf(line, "listening %d", &ports[i]) != 1)
        {
            printf("# %s did not start\n", script);
            return 0;
        }
    }

    fclose(f);

    return 1;
}


static void
servers_stop(void)
{
    while (nservers != 0) {
        kill(servers[--nservers], SIGKILL);
        waitpid(servers[nservers], NULL, 0);
    }
}


static int
command(const char *fmt, ...)
{
    char     buf[2048];
    va_list  args;

    va_start(args, fmt);
    vsnprintf(buf, sizeof(buf), fmt, args);
    va_end(args);

    return system(buf) == 0;
}


/* The only file in a directory; NULL: none, or more than one. */

static char *
only_file(const char *sub, size_t *len)
{
    int             n;
    DIR            *d;
    FILE           *f;
    char            path[1024], name[300];
    static char     buf[10000000];
    struct dirent  *e;

    snprintf(path, sizeof(path), "%s/%s", dir, sub);

    d = opendir(path);
    if (d == NULL) {
        return NULL;
    }

    for (n = 0; (e = readdir(d)) != NULL; /* void */) {
        if (e->d_name[0] != '.') {
            snprintf(name, sizeof(name), "%s", e->d_name);
            n++;
        }
    }

    closedir(d);

    if (n != 1) {
        printf("# %d files in %s\n", n, path);
        return NULL;
    }

    snprintf(path, sizeof(path), "%s/%s/%s", dir, sub, name);

    f = fopen(path, "r");
    if (f == NULL) {
        return NULL;
    }

    *len = fread(buf, 1, sizeof(buf) - 1, f);
    buf[*len] = '\0';
    fclose(f);

    return buf;
}


static char *
slurp(const char *name)
{
    FILE         *f;
    size_t        n;
    char          path[512];
    static char   buf[1 << 18];

    snprintf(path, sizeof(path), "%s/%s", dir, name);

    f = fopen(path, "r");
    n = f != NULL ? fread(buf, 1, sizeof(buf) - 1, f) : 0;
    buf[n] = '\0';

    if (f != NULL) {
        fclose(f);
    }

    return buf;
}


/* A server may write it down a bit later. */

static int
said(const char *name, const char *what)
{
    double  end;

    end = now() + 30;

    while (strstr(slurp(name), what) == NULL) {
        if (now() > end) {
            return 0;
        }

        usleep(20000);
    }

    return 1;
}


static const char *
url(const char *scheme, int port, const char *rest)
{
    static int   i;
    static char  bufs[64][512];

    i = (i + 1) % 64;
    snprintf(bufs[i], sizeof(bufs[i]), "%s://127.0.0.1:%d%s", scheme, port,
             rest);

    return bufs[i];
}


static const char *
path(const char *name)
{
    static int   i;
    static char  bufs[64][512];

    i = (i + 1) % 64;
    snprintf(bufs[i], sizeof(bufs[i]), "%s/%s", dir, name);

    return bufs[i];
}


static doi_job_t
mail(const char *where)
{
    doi_job_t  job;

    memset(&job, 0, sizeof(job));
    job.kind = DOI_JOB_SMTP;
    job.url = where;
    job.timeout = 20;
    job.sender = "doi@example.com";
    job.recipient = RECIPIENT;
    job.helo = "nginx.example.com";
    job.body.data = (const uint8_t *) message;
    job.body.len = sizeof(message) - 1;

    return job;
}


static doi_job_t
http(const char *method, const char *where, const char *body)
{
    doi_job_t  job;

    memset(&job, 0, sizeof(job));
    job.kind = DOI_JOB_HTTP;
    job.url = where;
    job.method = method;
    job.timeout = 20;
    job.private_ok = 1;
    job.body.data = (const uint8_t *) body;
    job.body.len = body != NULL ? strlen(body) : 0;

    return job;
}


/* More than the buffers of a socket hold. */

static void
test_big(doi_job_t *job, const char *maildir)
{
    char      *got, *body;
    char       sub[64];
    size_t     i, len;
    result_t   r;

    (void) command("rm -rf %s/%s", dir, maildir);

    len = 8000000;
    body = malloc(len);

    for (i = 0; i < len; i++) {
        body[i] = i % 900 == 899 ? '\n' : i % 900 == 898 ? '\r'
                  : (char) ('a' + (i * i + i / 900) % 26);
    }

    memcpy(body, "X: y\r\n\r\n", 8);
    memcpy(body + len - 2, "\r\n", 2);

    job->body.data = (uint8_t *) body;
    job->body.len = len;

    r = run(job);
    is_outcome(&r, DOI_JOB_DONE, 250, NULL, "a message of 8 MB");

    snprintf(sub, sizeof(sub), "%s/new", maildir);
    got = only_file(sub, &i);
    got = got != NULL ? strstr(got, "X: y") : NULL;
    ok(got != NULL && strlen(got) == len && memcmp(got, body, len) == 0,
       "is whole");

    free(body);
}


static void
test_smtp_plain(void)
{
    int        port;
    char      *got, *body;
    size_t     len;
    result_t   r;
    doi_job_t  job;

    static const char  mixed[] = "a: b\r\n\r\none\n.\ntwo\r.\r\n.end";
    static const char  wanted[] =
        "a: b\r\n\r\none\r\n.\r\ntwo\r\n.\r\n.end\r\n";

    if (!ok(server(&port, 1, "smtpd.py", "--maildir", path("plain"), "--log",
                   path("plain.log"), NULL), "a plain server starts"))
    {
        return;
    }

    job = mail(url("smtp", port, ""));
    r = run(&job);
    is_outcome(&r, DOI_JOB_DONE, 250, "250 2.0.0 queued", "accepted");

    got = only_file("plain/new", &len);
    ok(got != NULL && strncmp(got, "X-Envelope-From: doi@example.com\r\n"
                                   "X-Envelope-To: " RECIPIENT "\r\n", 73) == 0,
       "the envelope arrived");
    body = got != NULL ? strstr(got, "From: a@") : NULL;
    ok(body != NULL && strcmp(body, message) == 0,
       "with lines of dots, byte by byte");

    ok(said("plain.log", "C EHLO nginx.example.com\n"), "EHLO name");
    ok(said("plain.log", "C QUIT\n"), "it says QUIT");

    job.starttls = DOI_TLS_TRY;
    r = run(&job);
    is_outcome(&r, DOI_JOB_DONE, 250, NULL, "STARTTLS is tried, and not there");

    job.starttls = DOI_TLS_REQUIRED;
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 250, "does not offer STARTTLS",
               "STARTTLS is required, and not there");

    job.starttls = DOI_TLS_OFF;
    job.helo = NULL;
    r = run(&job);
    is_outcome(&r, DOI_JOB_DONE, 250, NULL, "no EHLO name of ours");

    job.user = "u";
    job.password = PASSWORD;
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 250, "log in",
               "a log-in is wanted, and not offered");

    job = mail("smtp://127.0.0.1:1");
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 0, "connect", "nobody listens");

    job = mail("smtp://u:p@127.0.0.1:1");
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 0, NULL, "a password in the URL");

    job = mail(url("smtp", port, ""));
    job.sender = "";
    (void) command("rm -rf %s/plain", dir);
    job.body.data = (const uint8_t *) mixed;
    job.body.len = sizeof(mixed) - 1;
    r = run(&job);
    is_outcome(&r, DOI_JOB_DONE, 250, NULL, "lone CR and LF, null sender");

    got = only_file("plain/new", &len);
    body = got != NULL ? strstr(got, "a: b\r\n") : NULL;
    ok(body != NULL && strcmp(body, wanted) == 0,
       "lone CR and LF end lines, and no message");

    test_big(&job, "plain");
}


static void
test_smtp_tls(void)
{
    int        port, implicit;
    size_t     len;
    result_t   r;
    doi_job_t  job;

    if (!ok(server(&port, 1, "smtpd.py", "--tls-cert", path("cert.pem"),
                   "--tls-key", path("key.pem"), "--require-starttls",
                   "--auth", "user:" PASSWORD, "--maildir", path("tls"),
                   "--log", path("tls.log"), NULL)
            && server(&implicit, 1, "smtpd.py", "--tls-cert", path("cert.pem"),
                      "--tls-key", path("key.pem"), "--implicit-tls",
                      "--maildir", path("implicit"), NULL),
            "servers with TLS start"))
    {
        return;
    }

    job = mail(url("smtp", port, ""));
    job.starttls = DOI_TLS_REQUIRED;
    job.ca_file = path("cert.pem");
    job.user = "user";
    job.password = PASSWORD;
    r = run(&job);
    is_outcome(&r, DOI_JOB_DONE, 250, NULL, "STARTTLS and a log-in");
    ok(only_file("tls/new", &len) != NULL, "the message arrived");
    test_big(&job, "tls");

    job.body = mail("").body;
    job.starttls = DOI_TLS_TRY;
    r = run(&job);
    is_outcome(&r, DOI_JOB_DONE, 250, NULL, "STARTTLS is tried with a log-in");

    job.password = "wrong";
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 535, "535 5.7.8 the log-in was refused",
               "a wrong password");

    job.user = NULL;
    job.password = NULL;
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 530, "530",
               "no log-in where one is asked for");

    job.ca_file = path("other.pem");
    job.user = "user";
    job.password = PASSWORD;
    (void) command(": > %s/tls.log", dir);
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 220, "certificate", "the wrong CA");
    ok(strstr(slurp("tls.log"), "C STARTTLS") != NULL
       && strstr(slurp("tls.log"), "C AUTH") == NULL
       && strstr(slurp("tls.log"), "C MAIL") == NULL,
       "nothing is said to whom is not known, though TLS is only tried");

    job.ca_file = NULL;
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 220, "certificate",
               "a certificate that the system does not know");

    job.ca_file = path("cert.pem");
    job.starttls = DOI_TLS_OFF;
    job.user = NULL;
    job.password = NULL;
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 530, "530",
               "no TLS where it is asked for");

    job = mail(url("smtps", implicit, ""));
    job.starttls = DOI_TLS_REQUIRED;
    job.ca_file = path("cert.pem");
    r = run(&job);
    is_outcome(&r, DOI_JOB_DONE, 250, NULL, "implicit TLS");
    ok(only_file("implicit/new", &len) != NULL, "the message arrived");

    job.ca_file = path("other.pem");
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 0, "certificate",
               "implicit TLS, the wrong CA");
}


/* A password, and a server without TLS. */

static void
test_smtp_secret(void)
{
    int        port;
    result_t   r;
    doi_job_t  job;

    if (!ok(server(&port, 1, "smtpd.py", "--auth", "user:" PASSWORD, "--log",
                   path("auth.log"), NULL), "a server with AUTH only starts"))
    {
        return;
    }

    job = mail(url("smtp", port, ""));
    job.user = "user";
    job.password = PASSWORD;
    job.starttls = DOI_TLS_TRY;
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 250, "no password is sent without it",
               "a password is not sent in the clear when TLS is tried");
    ok(strstr(slurp("auth.log"), "C EHLO") != NULL
       && strstr(slurp("auth.log"), "C AUTH") == NULL, "indeed not");

    job.starttls = DOI_TLS_OFF;
    r = run(&job);
    is_outcome(&r, DOI_JOB_DONE, 250, NULL,
               "but it is without TLS, if told so");
}


static void
test_smtp_faults(void)
{
    double     start;
    size_t     i;
    result_t   r;
    doi_job_t  job;

    static const struct {
        const char         *fault;
        doi_job_outcome_t   outcome;
        long                code;
        const char         *text;
    } faults[] = {
        { "refuse-mail-5xx", DOI_JOB_PERMANENT, 550,
          "550 5.7.1 *** sender refused" },
        { "refuse-rcpt-5xx", DOI_JOB_PERMANENT, 550,
          "550 5.1.1 *** no such user here" },
        { "refuse-rcpt-4xx", DOI_JOB_TEMPORARY, 451,
          "451 4.7.1 *** greylisted" },
        { "refuse-data-5xx", DOI_JOB_PERMANENT, 554, "554 5.5.1" },
        { "5xx-data", DOI_JOB_PERMANENT, 554, "looks like junk" },
        { "4xx-data", DOI_JOB_TEMPORARY, 452, "no room" },
        { "4xx-greeting", DOI_JOB_TEMPORARY, 421, "too busy" },
        { "5xx-greeting", DOI_JOB_TEMPORARY, 554, "no SMTP service for ***" },
        { "5xx-ehlo", DOI_JOB_TEMPORARY, 554, "go away" },
        { "hang-greeting", DOI_JOB_TEMPORARY, 0, "timed out" },
        { "hang-rcpt", DOI_JOB_TEMPORARY, 250, "timed out at RCPT" },
        { "hang-data", DOI_JOB_TEMPORARY, 354,
          "timed out at the message" },
        { "hang-quit", DOI_JOB_DONE, 250, NULL },
        { "garbage", DOI_JOB_TEMPORARY, 0, NULL },
        { "garbage-rcpt", DOI_JOB_TEMPORARY, 0, "not one of an SMTP" },
        { "endless-rcpt", DOI_JOB_TEMPORARY, 0, "not one of an SMTP" },
        { "close-mid-data", DOI_JOB_TEMPORARY, 354, NULL },
        { "reset", DOI_JOB_TEMPORARY, 0, NULL },
    };

    enum { N = sizeof(faults) / sizeof(faults[0]) };
    int        ports[N];

    if (!ok(server(ports, N, "smtpd.py",
#define F(i)  "--fault", faults[i].fault
                   F(0), F(1), F(2), F(3), F(4), F(5), F(6), F(7), F(8), F(9),
                   F(10), F(11), F(12), F(13), F(14), F(15), F(16), F(17),
                   NULL), "broken servers start"))
    {
        return;
    }

    for (i = 0; i < N; i++) {
        job = mail(url("smtp", ports[i], ""));
        job.timeout = strncmp(faults[i].fault, "hang", 4) == 0 ? 2 : 20;

        start = now();
        r = run(&job);
        is_outcome(&r, faults[i].outcome, faults[i].code, faults[i].text,
                   faults[i].fault);

        if (faults[i].outcome == DOI_JOB_TEMPORARY && job.timeout == 2) {
            ok(r.at - start > 1.9 && r.at - start < 20, "after its time");
        }
    }

    /* Hanging ones, as many as there may be: others go on. */

    static result_t  hanging[40], other;

    for (i = 0; i < 40; i++) {
        job = mail(url("smtp", ports[i % 3 == 0 ? 9 : i % 3 == 1 ? 10 : 11],
                       ""));
        job.timeout = 60;
        (void) doi_courier_submit(courier, &job, on_done, &hanging[i]);
    }

    start = now();
    job = http("GET", url("http", ports[0], "/"), NULL);
    job.private_ok = 0;
    (void) doi_courier_submit(courier, &job, on_done, &other);
    ok(await(&other, 30) && other.at - start < 30,
       "40 hanging mails do not hold up an HTTP job");

    memset(&other, 0, sizeof(other));
    memset(&job, 0, sizeof(job));
    job.kind = DOI_JOB_MAILDIR;
    job.url = path("beside");
    job.unique = "beside";
    (void) doi_courier_submit(courier, &job, on_done, &other);
    ok(await(&other, 30) && other.outcome == DOI_JOB_DONE,
       "nor one for a Maildir");

    is_int(doi_courier_pending(courier), 40, "all mails are pending");

    /* stop answers them all */

    start = now();
    doi_courier_stop(courier, 300);
    ok(now() - start >= 0.25 && now() - start < 30,
       "stop takes its time and no more");

    for (i = 0; i < 40; i++) {
        if (hanging[i].calls != 1 || hanging[i].outcome != DOI_JOB_ABORTED) {
            break;
        }
    }

    is_int(i, 40, "each mail is answered once: aborted");

    courier = doi_courier_start(on_log, NULL, (char [64]) { 0 }, 64);
    ok(courier != NULL, "a new courier starts");
}


static void
test_slow_beside_fast(int hanging, int good)
{
    int              i;
    doi_job_t        job;
    static result_t  slow[10], fast[5];

    for (i = 0; i < 10; i++) {
        job = mail(url("smtp", hanging, ""));
        job.timeout = 15;
        (void) doi_courier_submit(courier, &job, on_done, &slow[i]);
    }

    for (i = 0; i < 5; i++) {
        job = mail(url("smtp", good, ""));
        (void) doi_courier_submit(courier, &job, on_done, &fast[i]);
    }

    for (i = 0; i < 5; i++) {
        (void) await(&fast[i], 30);
    }

    ok(fast[4].calls == 1 && fast[4].outcome == DOI_JOB_DONE
       && fast[0].outcome == DOI_JOB_DONE && slow[0].calls == 0,
       "mails pass servers that do not answer to their message");

    for (i = 0; i < 10; i++) {
        (void) await(&slow[i], 60);
    }

    ok(slow[9].calls == 1 && slow[9].outcome == DOI_JOB_TEMPORARY,
       "which time out");
}


/* What of an answer's body comes back. */

static void
test_http_body(int port)
{
    size_t     i, j;
    result_t   r;
    doi_job_t  job;

    static const struct {
        const char  *path;
        size_t       len;
    } bodies[] = {
        { "/body-0", 0 },
        { "/body-1", 1 },
        { "/body-16383", 16383 },
        { "/body-16384", 16384 },
        { "/body-16385", 16384 },
        { "/body-65536", 16384 },
        { "/body-65537", 16384 },
        { "/body-2000000", 16384 },
    };

    for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        job = http("POST", url("http", port, bodies[i].path), "{}");
        r = run(&job);
        is_outcome(&r, DOI_JOB_DONE, 200, NULL, bodies[i].path);
        is_int(r.body_len, bodies[i].len, "%zu bytes of it", bodies[i].len);

        for (j = 0; j < r.body_len; j++) {
            if (r.body[j] != (char) ('0' + j % 10)) {
                break;
            }
        }

        is_int(j, r.body_len, "as they were sent");
    }

    job = http("POST", url("http", port, "/400-json"), "{}");
    r = run(&job);
    is_outcome(&r, DOI_JOB_PERMANENT, 400, "HTTP status 400", "/400-json");
    ok(strcmp(r.body, "{\"code\":21610,\"message\":\"unsubscribed "
                      "recipient\"}") == 0, "its body says why");
    ok(strstr(r.text, "21610") == NULL, "which is not in the text");

    job = http("GET", url("http", port, "/503"), NULL);
    r = run(&job);
    ok(r.body_len == 5 && strcmp(r.body, "body\n") == 0, "body of a 503");

    job = http("GET", url("http", port, "/204"), NULL);
    r = run(&job);
    is_int(r.body_len, 0, "204 has none");

    job = http("GET", url("http", port, "/half"), NULL);
    r = run(&job);
    is_outcome(&r, DOI_JOB_DONE, 200, NULL, "a body cut short");
    is_int(r.body_len, 5, "what came of it");

    job = http("GET", url("http", port, "/reset"), NULL);
    r = run(&job);
    is_int(r.body_len, 0, "no answer, no body");
}


static void
test_http(void)
{
    int        i, port, tls;
    char      *log, name[128];
    result_t   r;
    doi_job_t  job;

    static const struct {
        const char         *path;
        doi_job_outcome_t   outcome;
        long                code;
    } answers[] = {
        { "/200", DOI_JOB_DONE, 200 },
        { "/204", DOI_JOB_DONE, 204 },
        { "/302", DOI_JOB_PERMANENT, 302 },
        { "/304", DOI_JOB_PERMANENT, 304 },
        { "/401", DOI_JOB_PERMANENT, 401 },
        { "/404", DOI_JOB_PERMANENT, 404 },
        { "/408", DOI_JOB_TEMPORARY, 408 },
        { "/412", DOI_JOB_PERMANENT, 412 },
        { "/425", DOI_JOB_TEMPORARY, 425 },
        { "/500", DOI_JOB_TEMPORARY, 500 },
        { "/503", DOI_JOB_TEMPORARY, 503 },
        { "/big", DOI_JOB_DONE, 200 },
        { "/half", DOI_JOB_DONE, 200 },
        { "/reset", DOI_JOB_TEMPORARY, 0 },
        { "/garbage", DOI_JOB_TEMPORARY, 0 },
    };

    if (!ok(server(&port, 1, "httpd.py", "--log", path("http.log"), NULL)
            && server(&tls, 1, "httpd.py", "--tls-cert", path("cert.pem"),
                      "--tls-key", path("key.pem"), NULL),
            "HTTP servers start"))
    {
        return;
    }

    for (i = 0; i < (int) (sizeof(answers) / sizeof(answers[0])); i++) {
        job = http("POST", url("http", port, answers[i].path), "{}");
        r = run(&job);
        is_outcome(&r, answers[i].outcome, answers[i].code, NULL,
                   answers[i].path);
        is_int(r.retry_after, 0, "no Retry-After");
    }

    job = http("POST", url("http", port, "/302"), "{}");
    (void) command(": > %s/http.log", dir);
    r = run(&job);
    log = slurp("http.log");
    ok(strstr(log, "\"/302\"") != NULL && strstr(log, "\"/200\"") == NULL,
       "a redirect is not followed");

    job = http("POST", url("http", port, "/429"), "{}");
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 429, NULL, "/429");
    is_int(r.retry_after, 7, "Retry-After in seconds");

    job = http("POST", url("http", port, "/503-date"), "{}");
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 503, NULL, "/503-date");
    ok(r.retry_after > 80 && r.retry_after <= 101, "Retry-After as a date");

    job = http("POST", url("http", port, "/429-bad"), "{}");
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 429, NULL, "/429-bad");
    is_int(r.retry_after, 0, "a Retry-After that is none");

    job = http("PUT", url("http", port, "/etag-long"), "{}");
    r = run(&job);
    is_outcome(&r, DOI_JOB_DONE, 200, NULL, "/etag-long");
    ok(r.etag[0] == '\0', "half an ETag is none");

    job = http("POST", url("http", port, "/hang"), "{}");
    job.timeout = 1;
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 0, "timed out", "/hang");

    job = http("PUT", url("http", port, "/hang-body"), "{}");
    job.timeout = 4;
    r = run(&job);
    is_outcome(&r, DOI_JOB_DONE, 200, NULL,
               "the status is there, the body not");

    test_http_body(port);

    (void) command(": > %s/http.log", dir);
    job = http("PUT", url("http", port, "/etag"), "BEGIN:VCALENDAR\r\n");
    job.user = "cal";
    job.password = "pa:ss";
    job.headers[0] = "Content-Type: text/calendar";
    job.headers[3] = "If-Match: \"v0\"";
    r = run(&job);
    is_outcome(&r, DOI_JOB_DONE, 201, NULL, "PUT");
    ok(strcmp(r.etag, "\"v1\"") == 0, "ETag as sent");
    log = slurp("http.log");
    ok(strstr(log, "\"method\": \"PUT\"") != NULL
       && strstr(log, "\"body\": \"BEGIN:VCALENDAR\\r\\n\"") != NULL
       && strstr(log, "\"Content-Length\": \"17\"") != NULL, "with its body");
    ok(strstr(log, "\"Authorization\": \"Basic Y2FsOnBhOnNz\"") != NULL,
       "Basic authentication, at once");
    ok(strstr(log, "\"Content-Type\": \"text/calendar\"") != NULL
       && strstr(log, "\"If-Match\": \"\\\"v0\\\"\"") != NULL, "headers");
    ok(strstr(log, "\"User-Agent\": \"ngx_http_doi_module\"") != NULL
       && strstr(log, "Expect") == NULL, "User-Agent, no Expect");

    (void) command(": > %s/http.log", dir);
    job = http("DELETE", url("http", port, "/204"), NULL);
    r = run(&job);
    is_outcome(&r, DOI_JOB_DONE, 204, NULL, "DELETE");
    ok(strcmp(r.etag, "") == 0, "no ETag");
    job = http("GET", url("http", port, "/200"), NULL);
    r = run(&job);
    job = http("POST", url("http", port, "/200"), "");
    r = run(&job);
    log = slurp("http.log");
    ok(strstr(log, "\"method\": \"DELETE\"") != NULL
       && strstr(log, "\"method\": \"GET\"") != NULL
       && strstr(log, "\"method\": \"POST\"") != NULL
       && strstr(log, "Content-Type") == NULL,
       "DELETE, GET and an empty POST, with no Content-Type of their own");

    /* addresses */

    (void) command(": > %s/http.log", dir);
    job = http("POST", url("http", port, "/200"), "{}");
    job.private_ok = 0;
    r = run(&job);
    is_outcome(&r, DOI_JOB_PERMANENT, 0, "not a global one",
               "127.0.0.1 is refused");

    static const char *const  hosts[] = {
        "localhost", "[::ffff:127.0.0.1]", "[::1]", "0x7f.1", "2130706433",
        "[::ffff:7f00:1]", "0.0.0.0"
    };

    for (i = 0; i < (int) (sizeof(hosts) / sizeof(hosts[0])); i++) {
        char  buf[256];

        snprintf(buf, sizeof(buf), "http://%s:%d/200", hosts[i], port);
        job = http("POST", buf, "{}");
        job.private_ok = 0;
        r = run(&job);
        is_outcome(&r, DOI_JOB_PERMANENT, 0, "not a global one", hosts[i]);
    }

    ok(slurp("http.log")[0] == '\0', "and nothing was sent");

    /* TLS, and what else a URL may be */

    job = http("GET", url("https", tls, "/200"), NULL);
    job.ca_file = path("cert.pem");
    r = run(&job);
    is_outcome(&r, DOI_JOB_DONE, 200, NULL, "https");
    job.ca_file = path("other.pem");
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 0, "certificate", "https, the wrong CA");
    snprintf(name, sizeof(name), "https://localhost:%d/200", tls);
    job.ca_file = path("cert.pem");
    job.url = name;
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 0, NULL, "https, the wrong name");
    job.url = url("https", tls, "/200");
    job.ca_file = path("nothing.pem");
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 0, NULL, "https, no CA file");

    job = http("GET", "file:///etc/passwd", NULL);
    r = run(&job);
    is_outcome(&r, DOI_JOB_PERMANENT, 0, NULL, "file: is refused");
    job = http("GET", "http://[::", NULL);
    r = run(&job);
    is_outcome(&r, DOI_JOB_PERMANENT, 0, NULL, "a broken URL");
    job = mail(url("http", port, "/200"));
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 0, NULL, "HTTP for mail is refused");

    /* stop waits for what is under way */

    (void) command(": > %s/http.log", dir);
    job = http("GET", url("http", port, "/slow"), NULL);
    memset(&r, 0, sizeof(r));
    (void) doi_courier_submit(courier, &job, on_done, &r);
    ok(said("http.log", "/slow"), "a request is under way");
    doi_courier_stop(courier, 20000);
    is_outcome(&r, DOI_JOB_DONE, 200, NULL, "stop waits for its answer");

    courier = doi_courier_start(on_log, NULL, (char [64]) { 0 }, 64);
    ok(courier != NULL, "a new courier starts");

    setenv("http_proxy", url("http", port, ""), 1);
    job = http("GET", "http://127.0.0.1:9/200", NULL);
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 0, NULL, "no proxy of the environment");
    unsetenv("http_proxy");
}


static void
test_maildir(void)
{
    size_t       len;
    char        *got;
    result_t     r;
    doi_job_t    job;
    struct stat  st;

    memset(&job, 0, sizeof(job));
    job.kind = DOI_JOB_MAILDIR;
    job.url = path("box");
    job.unique = "abc-1";
    job.body.data = (const uint8_t *) "A: b\r\n\r\nx\ry\n\r\n";
    job.body.len = 14;

    r = run(&job);
    is_outcome(&r, DOI_JOB_DONE, 0, NULL, "a Maildir that was not there");
    got = only_file("box/new", &len);
    ok(got != NULL && strcmp(got, "A: b\n\nx\ry\n\n") == 0,
       "CRLF becomes LF, nothing else changes");
    ok(stat(path("box"), &st) == 0 && (st.st_mode & 0777) == 0700, "0700");
    ok(stat(path("box/new/abc-1.doi"), &st) == 0
       && (st.st_mode & 0777) == 0600, "0600");
    ok(rmdir(path("box/tmp")) == 0, "nothing left in tmp");

    job.body.len = 6;
    r = run(&job);
    is_outcome(&r, DOI_JOB_DONE, 0, NULL, "again");
    got = only_file("box/new", &len);
    ok(got != NULL && len == 11, "is not written a second time");

    ok(rename(path("box/new/abc-1.doi"), path("box/cur/abc-1.doi:2,S")) == 0,
       "read");
    r = run(&job);
    is_outcome(&r, DOI_JOB_DONE, 0, NULL, "again");
    ok(rmdir(path("box/new")) == 0, "it was found in cur");

    job.unique = "abc-1.d";
    r = run(&job);
    is_outcome(&r, DOI_JOB_DONE, 0, NULL, "a similar name");
    ok(only_file("box/new", &len) != NULL, "is another mail");

    job.url = "box";
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 0, "start with", "a relative path");
    job.url = path("no/such/box");
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 0, "No such file", "missing parents");
    (void) command(": > %s/file", dir);
    job.url = path("file");
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 0, "Not a directory", "a file");
    job.url = path("file/box");
    r = run(&job);
    is_outcome(&r, DOI_JOB_TEMPORARY, 0, "Not a directory", "below a file");

    if (geteuid() == 0
        && command("mkdir %s/full && mount -t tmpfs -o size=64k none %s/full"
                   " 2>/dev/null", dir, dir))
    {
        char  *big;

        big = calloc(1, 200000);
        job.url = path("full/box");
        job.body.data = (uint8_t *) big;
        job.body.len = 200000;
        r = run(&job);
        is_outcome(&r, DOI_JOB_TEMPORARY, 0, "No space", "a full disk");
        ok(rmdir(path("full/box/tmp")) == 0 && rmdir(path("full/box/new")) == 0,
           "nothing is left of it");
        (void) command("umount %s/full", dir);
        free(big);

    } else {
        printf("# no tmpfs here: a full disk is not tested\n");
    }
}


static void
refused(const doi_job_t *job, const char *what)
{
    result_t  r;

    memset(&r, 0, sizeof(r));
    is_int(doi_courier_submit(courier, job, on_done, &r), DOI_ERROR, "%s",
           what);
}


static void
test_submit(void)
{
    int              i;
    char             name[200];
    size_t           n;
    doi_job_t        job;
    static result_t  many[DOI_COURIER_JOBS + 1];

    n = doi_courier_pending(courier);

#define CRLF(kind, field)                                                     \
    job = kind; job.field = "x\ry"; refused(&job, #field " with CR");         \
    job = kind; job.field = "x\ny"; refused(&job, #field " with LF");

    CRLF(mail("smtp://127.0.0.1"), url)
    CRLF(mail("smtp://127.0.0.1"), user)
    CRLF(mail("smtp://127.0.0.1"), password)
    CRLF(mail("smtp://127.0.0.1"), ca_file)
    CRLF(mail("smtp://127.0.0.1"), sender)
    CRLF(mail("smtp://127.0.0.1"), recipient)
    CRLF(mail("smtp://127.0.0.1"), helo)
    CRLF(mail("smtp://127.0.0.1"), unique)
    CRLF(http("GET", "http://127.0.0.1/", NULL), method)
    CRLF(http("GET", "http://127.0.0.1/", NULL), headers[0])
    CRLF(http("GET", "http://127.0.0.1/", NULL),
         headers[DOI_COURIER_HEADERS - 1])

    static const char *const  addresses[] = {
        "a@b.de> SIZE=1", "<a@b.de>", "a@b.de,<c@d.de>", "a b@c.de",
        "\tx@y.de", "\xc3\xa4@x.de", "x\x7f@y.de"
    };

    for (i = 0; i < (int) (sizeof(addresses) / sizeof(addresses[0])); i++) {
        job = mail("smtp://127.0.0.1");
        job.recipient = addresses[i];
        refused(&job, "a recipient that is more than an address");
        job.recipient = RECIPIENT;
        job.sender = addresses[i];
        refused(&job, "a sender that is more than an address");
    }

    job = mail("smtp://127.0.0.1");
    job.recipient = "";
    refused(&job, "no recipient");
    job.recipient = NULL;
    refused(&job, "NULL recipient");
    job = mail(NULL);
    refused(&job, "no URL");
    job = mail("smtp://127.0.0.1");
    job.kind = 7;
    refused(&job, "a kind that there is not");
    job = http("TRACE", "http://127.0.0.1/", NULL);
    refused(&job, "a method that there is not");

    memset(&job, 0, sizeof(job));
    job.kind = DOI_JOB_MAILDIR;
    job.url = "/tmp/x";
    refused(&job, "a Maildir without unique");

    static const char *const  uniques[] = { "", "a/b", "../a", ".a", "a:2,S" };

    for (i = 0; i < (int) (sizeof(uniques) / sizeof(uniques[0])); i++) {
        job.unique = uniques[i];
        refused(&job, "a unique part that is no file name");
    }

    memset(name, 'a', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    job.unique = name;
    refused(&job, "a unique part that is too long");

    is_int(doi_courier_pending(courier), n, "nothing of this is pending");

    /* as many as there may be, everything copied */

    job.url = path("many");

    for (i = 0; i < DOI_COURIER_JOBS; i++) {
        snprintf(name, sizeof(name), "m%d", i);

        if (doi_courier_submit(courier, &job, on_done, &many[i]) != DOI_OK) {
            break;
        }
    }

    is_int(i, DOI_COURIER_JOBS, "all jobs that there may be");
    refused(&job, "one more");

    for (i = 0; i < DOI_COURIER_JOBS; i++) {
        (void) await(&many[i], 30);
    }

    for (i = 0; i < DOI_COURIER_JOBS; i++) {
        snprintf(name, sizeof(name), "many/new/m%d.doi", i);

        if (many[i].outcome != DOI_JOB_DONE || access(path(name), F_OK) != 0) {
            break;
        }
    }

    is_int(i, DOI_COURIER_JOBS, "are done, each under its name");
}


static int
make_certificates(void)
{
    const char  *names[] = { "", "other" };
    int          i;

    for (i = 0; i < 2; i++) {
        if (!command("openssl req -x509 -newkey rsa:2048 -nodes -days 2 "
                     "-subj /CN=doi-test -addext subjectAltName=IP:127.0.0.1 "
                     "-keyout %s/%skey.pem -out %s/%s.pem 2>/dev/null", dir,
                     names[i], dir, i == 0 ? "cert" : "other"))
        {
            return 0;
        }
    }

    return 1;
}


int
main(void)
{
    int   ports[2];
    char  err[128];

    root = getenv("DOI_ROOT");
    if (root == NULL) {
        root = ".";
    }

    signal(SIGPIPE, SIG_IGN);
    alarm(170);

    snprintf(dir, sizeof(dir), "/tmp/doi-courier-XXXXXX");

    if (mkdtemp(dir) == NULL) {
        return 1;
    }

    courier = doi_courier_start(on_log, NULL, err, sizeof(err));
    if (!ok(courier != NULL, "the courier starts")) {
        return done_testing();
    }

    is_int(doi_courier_pending(courier), 0, "nothing is pending");

    test_maildir();
    test_submit();

    python = access("/usr/bin/python3", X_OK) == 0 ? "/usr/bin/python3" : NULL;

    if (python == NULL || !command("%s -c 'import aiosmtpd' 2>/dev/null",
                                   python))
    {
        ok(1, "network # SKIP no python3-aiosmtpd");

    } else if (ok(make_certificates(), "certificates")) {
        test_smtp_plain();
        test_smtp_tls();
        test_smtp_secret();
        test_http();
        test_smtp_faults();

        if (server(&ports[0], 1, "smtpd.py", "--fault", "hang-data", NULL)
            && server(&ports[1], 1, "smtpd.py", NULL))
        {
            test_slow_beside_fast(ports[0], ports[1]);
        }
    }

    is_int(doi_courier_pending(courier), 0, "nothing is left");
    is_int(poll(&(struct pollfd) { doi_courier_fd(courier), POLLIN, 0 }, 1, 0),
           0, "and nothing to be read");
    doi_courier_stop(courier, 1000);

    servers_stop();
    (void) command("rm -rf %s", dir);

    return done_testing();
}
