/*
 * A leader's connections: buffers in front of non-blocking sockets.
 *
 * Both directions are bounded.  A peer is not read while as much of it waits
 * as fits its input buffer, or while it leaves its answers unread; it then
 * runs into its own bound (queue_max), and says so to its clients.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "leader_internal.h"


#define CONN_IN_START       16384
#define CONN_IN_MAX         262144      /* several of the largest frames      */
#define CONN_OUT_START      16384
#define CONN_OUT_HIGH       1048576     /* not read while so much is unsent   */


doi_conn_t *
doi_conn_create(int fd, int epoll)
{
    doi_conn_t         *c;
    struct epoll_event  ev;

    c = calloc(1, sizeof(doi_conn_t));

    if (c == NULL) {
        (void) close(fd);
        return NULL;
    }

    c->fd = fd;
    c->epoll = epoll;
    c->events = EPOLLIN;

    memset(&ev, 0, sizeof(ev));
    ev.events = c->events;
    ev.data.ptr = c;

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) == -1) {
        (void) close(fd);
        free(c);
        return NULL;
    }

    return c;
}


void
doi_conn_close(doi_conn_t *c)
{
    (void) close(c->fd);
    free(c->in);
    free(c->out);
    free(c);
}


static int
conn_room(doi_conn_t *c)
{
    void   *p;
    size_t  size;

    if (c->in_pos != 0) {
        c->in_len -= c->in_pos;

        if (c->in_len != 0) {
            memmove(c->in, c->in + c->in_pos, c->in_len);
        }

        c->in_pos = 0;
    }

    if (c->in_len < c->in_size) {
        return DOI_OK;
    }

    if (c->in_size >= CONN_IN_MAX) {
        return DOI_NOT_FOUND;
    }

    size = c->in_size != 0 ? c->in_size * 2 : CONN_IN_START;

    p = realloc(c->in, size);
    if (p == NULL) {
        return DOI_ERROR;
    }

    c->in = p;
    c->in_size = size;

    return DOI_OK;
}


void
doi_conn_read(doi_conn_t *c)
{
    size_t   room;
    ssize_t  n;

    for ( ;; ) {

        if (c->eof || c->dead) {
            c->drained = 1;
            return;
        }

        switch (conn_room(c)) {

        case DOI_OK:
            break;

        case DOI_NOT_FOUND:
            return;

        default:
            c->dead = 1;
            return;
        }

        room = c->in_size - c->in_len;

        n = recv(c->fd, c->in + c->in_len, room, 0);

        if (n == -1) {
            if (errno == EINTR) {
                continue;
            }

            if (errno != EAGAIN) {
                c->eof = 1;
            }

            c->drained = 1;
            return;
        }

        if (n == 0) {
            c->eof = 1;
            c->drained = 1;
            return;
        }

        c->in_len += (size_t) n;

        /* Less than asked for: the socket was empty at that moment. */

        if ((size_t) n < room) {
            c->drained = 1;
            return;
        }
    }
}


int
doi_conn_frame(const doi_conn_t *c, size_t pos, doi_frame_t *f)
{
    size_t  left;

    left = c->in_len - pos;

    if (left < sizeof(doi_frame_t)) {
        return DOI_NOT_FOUND;
    }

    memcpy(f, c->in + pos, sizeof(doi_frame_t));

    if (f->len > DOI_ARG_MAX) {
        return DOI_ERROR;
    }

    if (left < sizeof(doi_frame_t) + doi_wire_pad(f->len)) {
        return DOI_NOT_FOUND;
    }

    return DOI_OK;
}


int
doi_conn_reply(doi_conn_t *c, uint64_t seq, doi_result_t result,
    uint32_t mark, uint16_t version, const uint8_t *bytes, size_t len)
{
    void        *p;
    size_t       need, size;
    doi_wire_reply_t  reply;

    need = sizeof(reply) + doi_wire_pad(len);

    if (c->out_size - c->out_len < need) {
        size = c->out_size != 0 ? c->out_size : CONN_OUT_START;

        while (size - c->out_len < need) {
            size *= 2;
        }

        p = realloc(c->out, size);
        if (p == NULL) {
            return DOI_ERROR;
        }

        c->out = p;
        c->out_size = size;
    }

    memset(&reply, 0, sizeof(reply));
    reply.len = (uint32_t) len;
    reply.mark = mark;
    reply.seq = seq;
    reply.result = result;
    reply.version = version;

    memcpy(c->out + c->out_len, &reply, sizeof(reply));

    if (len != 0) {
        memset(c->out + c->out_len + need - 8, 0, 8);
        memcpy(c->out + c->out_len + sizeof(reply), bytes, len);
    }

    c->out_len += need;

    return DOI_OK;
}


void
doi_conn_send(doi_conn_t *c)
{
    ssize_t  n;

    c->blocked = 0;

    while (c->out_pos != c->out_len) {

        n = send(c->fd, c->out + c->out_pos, c->out_len - c->out_pos,
                 MSG_NOSIGNAL);

        if (n == -1) {
            if (errno == EINTR) {
                continue;
            }

            if (errno == EAGAIN) {
                c->blocked = 1;
                return;
            }

            /* Nobody is there to be told; what it has sent is run none the
               less, it may be the outcome of a booking. */

            break;
        }

        c->out_pos += (size_t) n;
    }

    c->out_pos = 0;
    c->out_len = 0;

    if (c->out_size > CONN_OUT_HIGH) {
        free(c->out);
        c->out = NULL;
        c->out_size = 0;
    }
}


void
doi_conn_update(doi_conn_t *c)
{
    uint32_t            events;
    doi_frame_t         f;
    struct epoll_event  ev;

    if (c->eof) {

        if (doi_conn_frame(c, c->in_pos, &f) != DOI_OK) {
            c->dead = 1;
        }

        /* The end of a connection would be reported again and again. */

        if (c->events != 0) {
            memset(&ev, 0, sizeof(ev));
            (void) epoll_ctl(c->epoll, EPOLL_CTL_DEL, c->fd, &ev);
            c->events = 0;
        }

        return;
    }

    events = 0;

    if (c->out_len - c->out_pos < CONN_OUT_HIGH) {
        events |= EPOLLIN;
    }

    if (c->blocked) {
        events |= EPOLLOUT;
    }

    if (events == c->events || c->dead) {
        return;
    }

    memset(&ev, 0, sizeof(ev));
    ev.events = events;
    ev.data.ptr = c;

    if (epoll_ctl(c->epoll, EPOLL_CTL_MOD, c->fd, &ev) == -1) {
        c->dead = 1;
        return;
    }

    c->events = events;
}
