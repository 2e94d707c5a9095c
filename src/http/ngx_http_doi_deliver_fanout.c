/*
 * What an event makes be delivered.
 */

#include "ngx_http_doi_consent.h"
#include "ngx_http_doi_courier.h"


#define NGX_HTTP_DOI_IF_OWNER      0x01     /* its address is known          */
#define NGX_HTTP_DOI_IF_CALENDAR   0x02
#define NGX_HTTP_DOI_IF_CONFIRMED  0x04     /* it had been confirmed         */
#define NGX_HTTP_DOI_IF_WANTED     0x08     /* no mail to suppressed         */


typedef struct {
    ngx_uint_t  event;
    ngx_uint_t  kind;
    ngx_uint_t  conditions;
} ngx_http_doi_fanout_rule_t;


/* Webhooks are told of each event that their configuration names. */

static const ngx_http_doi_fanout_rule_t  ngx_http_doi_fanout_rules[] = {

    { DOI_EVENT_HELD,           DOI_DELIVER_CONFIRM,
      NGX_HTTP_DOI_IF_WANTED },
    { DOI_EVENT_HELD,           DOI_DELIVER_CALENDAR,
      NGX_HTTP_DOI_IF_CALENDAR },

    { DOI_EVENT_RESEND,         DOI_DELIVER_CONFIRM,
      NGX_HTTP_DOI_IF_WANTED },

    { DOI_EVENT_REMIND,         DOI_DELIVER_REMIND,
      NGX_HTTP_DOI_IF_WANTED },

    { DOI_EVENT_CONFIRMED,      DOI_DELIVER_BOOKED,          0 },
    { DOI_EVENT_CONFIRMED,      DOI_DELIVER_OWNER,
      NGX_HTTP_DOI_IF_OWNER },
    { DOI_EVENT_CONFIRMED,      DOI_DELIVER_CALENDAR,
      NGX_HTTP_DOI_IF_CALENDAR },

    { DOI_EVENT_CONFIRM_RESEND, DOI_DELIVER_BOOKED,          0 },

    { DOI_EVENT_RELEASED,       DOI_DELIVER_CANCELLED,
      NGX_HTTP_DOI_IF_CONFIRMED },
    { DOI_EVENT_RELEASED,       DOI_DELIVER_OWNER_CANCELLED,
      NGX_HTTP_DOI_IF_CONFIRMED|NGX_HTTP_DOI_IF_OWNER },
    { DOI_EVENT_RELEASED,       DOI_DELIVER_CALENDAR,
      NGX_HTTP_DOI_IF_CALENDAR },

    { DOI_EVENT_IN_DOUBT,       DOI_DELIVER_OWNER_DOUBT,
      NGX_HTTP_DOI_IF_OWNER },

    { 0, 0, 0 }
};


static void ngx_http_doi_fanout_add(ngx_http_doi_delivery_t *d,
    ngx_uint_t kind, const u_char *target);


void
ngx_http_doi_deliver_fanout(ngx_http_doi_delivery_t *d)
{
    ngx_uint_t               i, have;
    ngx_http_doi_sync_t     *sync;
    ngx_http_doi_webhook_t  *hook;

    const ngx_http_doi_fanout_rule_t  *rule;

    d->nfanout = 0;
    d->dropped = 0;

    if (d->row.kind == DOI_EVENT_CONSENT) {

        sync = d->conf->syncs ? d->conf->syncs->elts : NULL;

        for (i = 0; sync && i < d->conf->syncs->nelts; i++) {
            ngx_http_doi_fanout_add(d, DOI_DELIVER_SYNC, sync[i].target);
        }

        return;
    }

    if (!d->found) {
        return;
    }

    have = (d->booking.text[DOI_TEXT_OWNER_EMAIL].len
            ? NGX_HTTP_DOI_IF_OWNER : 0)
           | (d->booking.text[DOI_TEXT_CALENDAR].len
              ? NGX_HTTP_DOI_IF_CALENDAR : 0)
           | ((d->booking.flags & DOI_BOOKING_WAS_CONFIRMED)
              ? NGX_HTTP_DOI_IF_CONFIRMED : 0)
           | (d->suppressed ? 0 : NGX_HTTP_DOI_IF_WANTED);

    for (rule = ngx_http_doi_fanout_rules; rule->event; rule++) {

        if (rule->event != d->row.kind) {
            continue;
        }

        if ((rule->conditions & have) == rule->conditions) {
            ngx_http_doi_fanout_add(d, rule->kind, NULL);

        } else if (rule->conditions & NGX_HTTP_DOI_IF_WANTED) {
            d->dropped++;
        }
    }

    if (d->conf->webhooks == NULL) {
        return;
    }

    hook = d->conf->webhooks->elts;

    for (i = 0; i < d->conf->webhooks->nelts; i++) {
        if (hook[i].events & ((ngx_uint_t) 1 << d->row.kind)) {
            ngx_http_doi_fanout_add(d, DOI_DELIVER_WEBHOOK, hook[i].target);
        }
    }
}


static void
ngx_http_doi_fanout_add(ngx_http_doi_delivery_t *d, ngx_uint_t kind,
    const u_char *target)
{
    doi_fanout_t  *f;

    if (d->nfanout == DOI_FANOUT_MAX) {
        return;
    }

    f = &d->fanout[d->nfanout++];

    ngx_memzero(f, sizeof(doi_fanout_t));
    f->kind = (uint16_t) kind;

    if (target) {
        ngx_memcpy(f->target, target, DOI_TARGET_SIZE);
    }
}
