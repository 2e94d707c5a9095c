/*
 * Between the files that deliver the outbox.
 *
 *   ngx_http_doi_courier.c           lease, timers, the queue, the sweep
 *   ngx_http_doi_deliver.c           one row: load, try, result, update
 *   ngx_http_doi_deliver_fanout.c    which deliveries an event makes
 *   ngx_http_doi_deliver_mail.c      mails
 *   ngx_http_doi_deliver_calendar.c  CalDAV
 *   ngx_http_doi_deliver_webhook.c   webhooks
 *   ngx_http_doi_ical.c              a booking as an iCalendar object
 */

#ifndef NGX_HTTP_DOI_COURIER_H
#define NGX_HTTP_DOI_COURIER_H

#include "ngx_http_doi.h"

#include "../courier/provider.h"


#define NGX_HTTP_DOI_WAIT_MAX  86400    /* seconds that a server may ask for */


/*
 * What a row waits for.  Each has its own share of what may be under way, so
 * that a mail server that hangs holds up no webhook.
 */

typedef enum {
    NGX_HTTP_DOI_EVENTS = 0,    /* to be turned into deliveries              */
    NGX_HTTP_DOI_MAILS,
    NGX_HTTP_DOI_CALENDARS,
    NGX_HTTP_DOI_WEBHOOKS,
    NGX_HTTP_DOI_MESSAGES,
    NGX_HTTP_DOI_SYNCS,
    NGX_HTTP_DOI_CHANNELS
} ngx_http_doi_channel_e;


/* A row of the outbox that is being worked on, in a pool of its own. */

typedef struct {
    ngx_queue_t                queue;
    ngx_pool_t                *pool;
    ngx_http_doi_main_conf_t  *conf;
    ngx_http_doi_channel_e     channel;
    doi_outbox_t               row;         /* without the error             */
    u_char                     id[DOI_ID_CHARS];

    doi_booking_t              booking;     /* texts: of the pool            */
    doi_time_t                 now;
    unsigned                   found:1;     /* booking is filled             */
    unsigned                   suppressed:1;    /* its address is            */
    unsigned                   putting:1;   /* calendar: second step         */
    unsigned                   deleting:1;  /* calendar: the object          */
    unsigned                   exists:1;    /* calendar: is on the server    */

    ngx_str_t                  etag;        /* of the calendar's object      */
    struct ngx_http_doi_sync_s  *sync;      /* of the try                    */
    ngx_uint_t                 told;        /* sync: the status that is sent */
    const char                *why;         /* NGX_DECLINED, NGX_ERROR: text */

    doi_fanout_t               fanout[DOI_FANOUT_MAX];
    ngx_uint_t                 nfanout;
    ngx_uint_t                 dropped;     /* mails that are suppressed     */

    struct ngx_http_doi_gateway_s  *gateway;    /* message: it goes there    */
    struct ngx_http_doi_reply_s    *reply;      /* message: what is said     */

    struct {
        doi_outbox_arg_t       head;
        u_char                 error[DOI_ERROR_TEXT];
    } update;

    ngx_event_t                event;       /* to submit the update again    */
    ngx_connection_t           dummy;
    ngx_uint_t                 tries;
} ngx_http_doi_delivery_t;


/* courier */

/* The libcurl thread, started when it is first needed; NULL: cannot be. */
doi_courier_t *ngx_http_doi_courier_get(void);

/* The row is not worked on any more; again: look at the queue at once. */
void ngx_http_doi_courier_end(ngx_http_doi_delivery_t *d, ngx_uint_t again);

/* Whether this process delivers, and does what else one process does. */
ngx_uint_t ngx_http_doi_courier_leased(void);

/* The process ends, or is about to. */
ngx_uint_t ngx_http_doi_courier_ending(void);


/* deliver */

ngx_http_doi_channel_e ngx_http_doi_deliver_channel(ngx_uint_t kind);
void ngx_http_doi_deliver(ngx_http_doi_delivery_t *d);

/* What became of a try. */
void ngx_http_doi_deliver_judge(ngx_http_doi_delivery_t *d,
    const doi_job_result_t *result);

/* Reads the booking anew.  NGX_ERROR: the store cannot be read. */
ngx_int_t ngx_http_doi_deliver_load(ngx_http_doi_delivery_t *d);

/* The same bytes in the delivery's pool, with a zero after them; NULL. */
char *ngx_http_doi_deliver_string(ngx_http_doi_delivery_t *d,
    const u_char *data, size_t len);
ngx_int_t ngx_http_doi_deliver_text(ngx_http_doi_delivery_t *d,
    doi_str_t *text);

/* For provider.h to fill, freed with the delivery's pool; NULL. */
doi_http_request_t *ngx_http_doi_deliver_request(ngx_http_doi_delivery_t *d);

/* The job is to send it; how long that may take, and where to, is left. */
void ngx_http_doi_deliver_http(doi_job_t *job,
    const doi_http_request_t *request);


/* fanout: fills d->fanout from d->row, d->booking and the configuration. */

void ngx_http_doi_deliver_fanout(ngx_http_doi_delivery_t *d);


/*
 * Fill the job for a try.
 *
 *   NGX_OK        to be handed to the courier
 *   NGX_DONE      there is nothing to do any more
 *   NGX_DECLINED  it cannot be done, d->why
 *   NGX_ERROR     not now, d->why
 */

ngx_int_t ngx_http_doi_deliver_mail(ngx_http_doi_delivery_t *d, doi_job_t *job);
ngx_int_t ngx_http_doi_deliver_calendar(ngx_http_doi_delivery_t *d,
    doi_job_t *job);
ngx_int_t ngx_http_doi_deliver_webhook(ngx_http_doi_delivery_t *d,
    doi_job_t *job);

ngx_int_t ngx_http_doi_deliver_message(ngx_http_doi_delivery_t *d,
    doi_job_t *job);

/* NGX_OK: *result is what counts; NGX_AGAIN: it is judged later. */
ngx_int_t ngx_http_doi_deliver_message_result(ngx_http_doi_delivery_t *d,
    doi_job_result_t *result);

/* A mail that is about no booking: of d->booking it takes EMAIL, LANG,
   TEMPLATES, OWNER_NAME, OWNER_EMAIL, and expires. */
ngx_int_t ngx_http_doi_deliver_opt_mail(ngx_http_doi_delivery_t *d,
    doi_mail_t mail, doi_page_vars_t *vars, doi_job_t *job);

ngx_int_t ngx_http_doi_deliver_sync(ngx_http_doi_delivery_t *d,
    doi_job_t *job);

/* What the CRM's answer means: *result is what counts; text is for its text.
   NGX_AGAIN: it has to be told once more, at once. */
ngx_int_t ngx_http_doi_deliver_sync_result(ngx_http_doi_delivery_t *d,
    doi_job_result_t *result, char *text, size_t size);

/* 1: the CRM of this row has asked for a pause, which is not over yet. */
ngx_uint_t ngx_http_doi_deliver_sync_paused(ngx_http_doi_main_conf_t *conf,
    const doi_outbox_t *row);

/*
 * The result of a step of the calendar: NGX_AGAIN: the next step is to be made.
 * Otherwise *result is what counts.
 */
ngx_int_t ngx_http_doi_deliver_calendar_result(ngx_http_doi_delivery_t *d,
    doi_job_result_t *result);


/* ical */

/* The mail that is to go out is for its owner, or for the visitor. */

typedef enum {
    NGX_HTTP_DOI_FOR_VISITOR = 0,
    NGX_HTTP_DOI_FOR_OWNER,
    NGX_HTTP_DOI_FOR_CALENDAR
} ngx_http_doi_reader_e;

/* NGX_DECLINED: the start is not known. */
ngx_int_t ngx_http_doi_ical_event(ngx_pool_t *pool,
    ngx_http_doi_main_conf_t *mcf, const doi_booking_t *booking,
    doi_ical_status_t status, ngx_http_doi_reader_e reader,
    doi_ical_event_t *event);

#endif /* NGX_HTTP_DOI_COURIER_H */
