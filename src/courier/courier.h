/*
 * The courier: does network I/O (SMTP, HTTP, by libcurl) and writes to a
 * Maildir, in a thread of its own, several jobs at a time.
 *
 * Used from one thread, the event loop: submit never blocks, results come out
 * of doi_courier_dispatch.  It knows nothing of bookings, stores or retries:
 * one job, one try, one result.
 */

#ifndef DOI_COURIER_H
#define DOI_COURIER_H

#include "../core/doi.h"


#define DOI_COURIER_JOBS    64      /* accepted and not yet answered         */
#define DOI_COURIER_HEADERS 12
#define DOI_COURIER_BODY    16384   /* of an answer that are kept           */


typedef enum {
    DOI_JOB_SMTP = 1,
    DOI_JOB_MAILDIR,
    DOI_JOB_HTTP
} doi_job_kind_t;

typedef enum {
    DOI_TLS_OFF = 0,                /* never                                 */
    DOI_TLS_TRY,                    /* STARTTLS if it is offered             */
    DOI_TLS_REQUIRED                /* STARTTLS, or no mail                  */
} doi_tls_t;


/*
 * A job.  Everything is copied by submit.  Strings end with a zero; NULL means
 * none.  No string may hold CR or LF: submit refuses it.
 */

typedef struct {
    doi_job_kind_t  kind;

    /* SMTP: smtp:// or smtps://, host and port.  Maildir: its directory, made
       if it is not there (0700; tmp, new, cur).  HTTP: URL. */
    const char     *url;
    const char     *user;
    const char     *password;
    const char     *ca_file;        /* PEM, in place of the system's         */
    unsigned        timeout;        /* seconds for the whole of it           */

    /* mail */
    doi_tls_t       starttls;       /* smtp:// only                          */
    const char     *sender;         /* envelope                              */
    const char     *recipient;      /* exactly one                           */
    const char     *helo;           /* EHLO name                             */
    const char     *unique;         /* Maildir: part of the file's name; a file
                                       of this name in new or cur means that
                                       the mail is there already             */

    /* HTTP */
    const char     *method;         /* "GET", "PUT", "POST", "DELETE"        */
    const char     *headers[DOI_COURIER_HEADERS];   /* "Name: value"         */
    unsigned        private_ok:1;   /* loopback, private, link-local and other
                                       addresses that are not global are
                                       allowed; checked after resolution     */

    doi_str_t       body;           /* message, or body of the request       */
} doi_job_t;


typedef enum {
    DOI_JOB_DONE = 0,               /* SMTP: accepted; HTTP: 2xx; Maildir: on
                                       the disk                              */
    DOI_JOB_TEMPORARY,              /* try again: no connection, time out, 4xx
                                       of SMTP; 408, 425, 429, 5xx of HTTP; the
                                       log-in refused, TLS failed, disk full */
    DOI_JOB_PERMANENT,              /* SMTP: 5xx to the sender, the recipient
                                       or the message; HTTP: 3xx (redirects are
                                       not followed) and other 4xx; an address
                                       that is not allowed                   */
    DOI_JOB_ABORTED                 /* stopped before the end; unknown       */
} doi_job_outcome_t;

typedef struct {
    doi_job_outcome_t  outcome;
    long               code;        /* last SMTP or HTTP status, 0: none     */
    unsigned           retry_after; /* seconds by the server's header, or 0;
                                       an HTTP-date is understood as well    */
    const char        *etag;        /* HTTP, as sent, or ""                  */
    const char        *text;        /* why, for logs and operators: no address,
                                       no secret, printable ASCII, at most 200
                                       bytes                                 */
    doi_str_t          body;        /* HTTP: of the answer, at most its first
                                       DOI_COURIER_BODY bytes; valid during the
                                       callback; there may be less of it than
                                       was announced                         */
} doi_job_result_t;

typedef void (*doi_job_done_pt)(void *data, const doi_job_result_t *result);


typedef struct doi_courier_s  doi_courier_t;

/* Levels as in store.h: 3 error, 4 warning, 6 info.  Any thread calls it. */
typedef void (*doi_courier_log_pt)(void *data, int level, const char *msg);

/* Starts the thread, with all signals blocked.  NULL: err says why. */
doi_courier_t *doi_courier_start(doi_courier_log_pt log, void *log_data,
    char *err, size_t errsize);

/* Readable when there are results. */
int doi_courier_fd(doi_courier_t *courier);

/* DOI_ERROR: too many jobs, no memory, CR or LF where it must not be.  done is
   not called then, otherwise exactly once, from dispatch or stop. */
int doi_courier_submit(doi_courier_t *courier, const doi_job_t *job,
    doi_job_done_pt done, void *data);

void doi_courier_dispatch(doi_courier_t *courier);

/* Jobs whose done has not been called. */
size_t doi_courier_pending(const doi_courier_t *courier);

/* Waits at most timeout_ms for what is under way, answers the rest with
   DOI_JOB_ABORTED, ends the thread, frees. */
void doi_courier_stop(doi_courier_t *courier, unsigned timeout_ms);


/* 1 if this address (struct sockaddr) is global: not loopback, private (RFC
   1918), unique local (RFC 4193), link-local, shared (RFC 6598), multicast,
   documentation, benchmarking, unspecified, broadcast, nor any of these mapped
   or embedded into IPv6 (::ffff:0:0/96, 64:ff9b::/96, 2002::/16, Teredo). */
struct sockaddr;
int doi_address_global(const struct sockaddr *sa);

/*
 * Seconds until the next try after n failed ones (n from 1): 30 s doubled each
 * time up to one hour, then spread by random (32 bits) over 0.75 to 1.25 of
 * it.
 */
unsigned doi_backoff(unsigned n, uint32_t random);

/* doi_idn_pt of core/address.h, by libidn2 (IDNA 2008, non-transitional). */
int doi_idn(doi_str_t domain, doi_buf_t *out);

#endif /* DOI_COURIER_H */
