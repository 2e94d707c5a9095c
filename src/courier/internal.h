/*
 * Inside the courier.  An errand is a job that was accepted; a transfer is an
 * errand under way over the network.
 */

#ifndef DOI_COURIER_INTERNAL_H
#define DOI_COURIER_INTERNAL_H

#include <curl/curl.h>
#include <stdint.h>

#include "courier.h"


#define DOI_TEXT_MAX        200
#define DOI_ETAG_MAX        255
#define DOI_UNIQUE_MAX      128

/* Of a reply of an SMTP server; RFC 5321, 4.5.3.1.5 says 512. */
#define DOI_SMTP_LINE       2048


typedef struct doi_errand_s    doi_errand_t;
typedef struct doi_transfer_s  doi_transfer_t;

struct doi_errand_s {
    doi_errand_t      *next;
    size_t             size;        /* of this memory, with all strings      */

    doi_job_t          job;         /* its pointers point behind this struct */
    doi_job_done_pt    done;
    void              *data;

    doi_job_outcome_t  outcome;
    long               code;
    unsigned           retry_after;
    char               etag[DOI_ETAG_MAX + 1];
    char               text[DOI_TEXT_MAX + 1];

    uint8_t           *body;        /* HTTP: of the answer, DOI_COURIER_BODY */
    size_t             body_len;
};


typedef enum {
    DOI_SMTP_LOGIN = 0,             /* libcurl talks: up to AUTH             */
    DOI_SMTP_MAIL,
    DOI_SMTP_RCPT,
    DOI_SMTP_DATA,
    DOI_SMTP_END                    /* the message, and what is said to it   */
} doi_smtp_step_t;

typedef struct {
    doi_smtp_step_t    step;
    int                fd;
    unsigned           logged_in:1;

    uint8_t           *out;         /* command or message, from malloc       */
    size_t             out_len;
    size_t             out_sent;

    uint8_t            in[DOI_SMTP_LINE];
    size_t             in_len;

    long               code;        /* of the last reply                     */
    unsigned           lines;       /* of this reply so far                  */
    char               first[DOI_SMTP_LINE + 1];    /* its first line        */
} doi_smtp_t;


/*
 * A transfer has a multi handle of its own.  Nothing is shared then: a
 * connection that was made with private addresses allowed is not used by a
 * job that must not, and libcurl, which looks for dead connections in its
 * cache, does not close those that doi_smtp_run uses.
 */

struct doi_transfer_s {
    doi_errand_t      *errand;
    int                epoll;
    uint32_t           slot;        /* upper half of its epoll data          */

    CURLM             *multi;
    CURL              *easy;
    struct curl_slist *headers;

    uint64_t           deadline;    /* ms, monotonic                         */
    uint64_t           timer;       /* libcurl's; 0: none                    */

    unsigned           settled:1;   /* the errand has its result             */
    unsigned           answered:1;  /* HTTP: all headers of the answer seen  */
    unsigned           allowed:1;   /* an address was tried                  */
    unsigned           refused:1;   /* an address was not global             */

    long               status;      /* HTTP, of the headers being read       */
    size_t             read;        /* bytes of the body                     */

    doi_smtp_t         smtp;
    char               error[CURL_ERROR_SIZE];
};


/* errand.c */

/* A copy of the job, or NULL: no memory, or not fit to be run. */
doi_errand_t *doi_errand_copy(const doi_job_t *job);
void doi_errand_free(doi_errand_t *e);

/* Sets the result, its text cleaned: printable ASCII, no address. */
void doi_errand_settle(doi_errand_t *e, doi_job_outcome_t outcome, long code,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));


/* transfer.c */

doi_transfer_t *doi_transfer_start(doi_errand_t *e, int epoll, uint32_t slot);

/* Something happened on fd (EPOLLIN..), or the timer is due.  Sees whether the
   transfer is settled. */
void doi_transfer_event(doi_transfer_t *t, int fd, uint32_t events);
void doi_transfer_timer(doi_transfer_t *t);

/* The time of the job is over. */
void doi_transfer_expire(doi_transfer_t *t);

/* Closes the connection; leaves the errand alone. */
void doi_transfer_free(doi_transfer_t *t);

void doi_transfer_settle(doi_transfer_t *t, doi_job_outcome_t outcome,
    long code, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

int doi_transfer_watch(doi_transfer_t *t, int fd, uint32_t events);

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t doi_courier_ms(void);


/* smtp.c */

/* A line of the server while libcurl talks. */
void doi_smtp_login_line(doi_smtp_t *s, const char *line, size_t len);

/* Why libcurl did not get through the log-in. */
void doi_smtp_login_failed(doi_transfer_t *t, CURLcode rc);

/* Logged in: the rest of the dialogue is ours. */
void doi_smtp_begin(doi_transfer_t *t);
void doi_smtp_run(doi_transfer_t *t);
void doi_smtp_expire(doi_transfer_t *t);

/* The message as it goes over the wire, with the dot that ends it. */
uint8_t *doi_smtp_stuff(doi_str_t message, size_t *len);


/* maildir.c */

void doi_maildir_deliver(doi_errand_t *e);

#endif /* DOI_COURIER_INTERNAL_H */
