/*
 * The connection of one process to the leader.
 *
 * Nothing here blocks.  Operations are sent from where they are kept, several
 * in one call; what the kernel has taken of the last one is remembered, since
 * half a frame must be followed by its other half.
 *
 * epoll is told as little as possible: the socket is read whenever dispatch is
 * called, and watched for writing only while it is full.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "client_internal.h"


#define CLIENT_IOV          64
#define CLIENT_RETRY_MAX    50000000ULL         /* ns */
#define CLIENT_REFUSED      250000000ULL        /* ns, after another version  */


/* What is sent is the frame and what follows it. */

_Static_assert(offsetof(doi_client_op_t, arg)
               == offsetof(doi_client_op_t, frame) + sizeof(doi_frame_t),
               "a hole between frame and argument");


void
doi_client_drop_partial(doi_client_t *c)
{
    if (c->partial_dead) {
        free(c->partial);
    }

    c->partial = NULL;
    c->partial_pos = 0;
    c->partial_dead = 0;
}


void
doi_client_disconnect(doi_client_t *c, int refused)
{
    uint64_t          ns;
    doi_client_op_t  *op;

    if (c->fd == -1) {
        return;
    }

    (void) close(c->fd);

    c->fd = -1;
    c->blocked = 0;
    c->in_len = 0;
    doi_client_drop_partial(c);

    for (op = c->head; op != NULL && op->sent; op = op->next) {
        op->sent = 0;

        if (!refused) {
            op->exposed = 1;
        }
    }

    c->unsent = c->head;
    c->hello_sent = 0;

    ns = doi_store_ns();

    if (refused) {
        c->retry_at = ns + CLIENT_REFUSED;

    } else {
        c->retry_ns = DOI_CLIENT_RETRY;
        c->retry_at = ns;
        doi_leader_poke(c->leader);
    }
}


void
doi_client_connect(doi_client_t *c)
{
    int                 fd, rc;
    uint64_t            ns;
    struct sockaddr_un  addr;

    if (c->fd != -1 || doi_lmdb_stopped(c->lmdb)) {
        return;
    }

    ns = doi_store_ns();

    if (ns < c->retry_at) {
        return;
    }

    fd = socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, 0);

    if (fd != -1) {
        doi_store_address(doi_lmdb_dir(c->lmdb), &addr);

        do {
            rc = connect(fd, (struct sockaddr *) &addr, sizeof(addr));
        } while (rc == -1 && errno == EINTR);

        if (rc == 0 && doi_client_watch(c, EPOLL_CTL_ADD, fd, EPOLLIN) == 0) {
            c->fd = fd;
            c->in_len = 0;
            c->unsent = c->head;
            c->retry_ns = DOI_CLIENT_RETRY;
            return;
        }

        /* Nobody listens: is the lock free?  (EAGAIN is a leader that is too
           busy to accept, or hangs.) */

        if (rc == -1 && errno != EAGAIN) {
            doi_leader_poke(c->leader);
        }

        (void) close(fd);
    }

    c->retry_at = ns + c->retry_ns;

    c->retry_ns *= 2;
    if (c->retry_ns > CLIENT_RETRY_MAX) {
        c->retry_ns = CLIENT_RETRY_MAX;
    }
}


static int
client_send_hello(doi_client_t *c)
{
    ssize_t  n;

    struct {
        doi_frame_t  frame;
        doi_hello_t  hello;
    } msg;

    memset(&msg, 0, sizeof(msg));

    msg.frame.len = sizeof(msg.hello);
    msg.frame.op = DOI_WIRE_HELLO;
    msg.frame.version = c->store.hooks.protocol;
    msg.hello.magic = DOI_WIRE_MAGIC;
    msg.hello.data = doi_lmdb_id(c->lmdb);

    /* The first bytes of a connection always find room. */

    do {
        n = send(c->fd, &msg, sizeof(msg), MSG_NOSIGNAL);
    } while (n == -1 && errno == EINTR);

    if (n != (ssize_t) sizeof(msg)) {
        return DOI_ERROR;
    }

    c->hello_sent = 1;

    return DOI_OK;
}


/* Marks what the kernel has taken. */

static void
client_sent(doi_client_t *c, size_t n)
{
    size_t            left;
    doi_client_op_t  *op;

    while (n != 0) {

        if (c->partial != NULL) {
            left = c->partial->size - c->partial_pos;

            if (n < left) {
                c->partial_pos += n;
                return;
            }

            n -= left;
            doi_client_drop_partial(c);
            continue;
        }

        op = c->unsent;

        if (op == NULL) {
            return;
        }

        c->unsent = op->next;
        op->sent = 1;

        if (n < op->size) {
            c->partial = op;
            c->partial_pos = n;
            return;
        }

        n -= op->size;
    }
}


void
doi_client_send(doi_client_t *c)
{
    size_t            i;
    ssize_t           n;
    uint32_t          events;
    doi_client_op_t  *op;
    struct iovec      iov[CLIENT_IOV];
    struct msghdr     msg;

    if (c->fd == -1) {
        return;
    }

    if (!c->hello_sent && client_send_hello(c) != DOI_OK) {
        doi_client_disconnect(c, 0);
        return;
    }

    memset(&msg, 0, sizeof(msg));
    msg.msg_iov = iov;

    n = 0;

    while (c->partial != NULL || c->unsent != NULL) {

        i = 0;

        if (c->partial != NULL) {
            iov[i].iov_base = (uint8_t *) &c->partial->frame + c->partial_pos;
            iov[i++].iov_len = c->partial->size - c->partial_pos;
        }

        for (op = c->unsent; op != NULL && i < CLIENT_IOV; op = op->next) {
            iov[i].iov_base = &op->frame;
            iov[i++].iov_len = op->size;
        }

        msg.msg_iovlen = i;

        n = sendmsg(c->fd, &msg, MSG_NOSIGNAL);

        if (n == -1) {
            if (errno == EINTR) {
                continue;
            }

            if (errno == EAGAIN) {
                break;
            }

            /* There may be answers that were written before the end. */

            if (errno == EPIPE || errno == ECONNRESET) {
                break;
            }

            doi_client_disconnect(c, 0);
            return;
        }

        client_sent(c, (size_t) n);
    }

    /* After EPIPE the socket is readable, and says so. */

    if ((n == -1 && errno == EAGAIN) != (int) c->blocked) {
        c->blocked = !c->blocked;
        events = c->blocked ? EPOLLIN|EPOLLOUT : EPOLLIN;

        if (doi_client_watch(c, EPOLL_CTL_MOD, c->fd, events) == -1) {
            doi_client_disconnect(c, 0);
        }
    }
}


/* One answer; DOI_ERROR: the connection is of no more use. */

static int
client_take(doi_client_t *c, const doi_wire_reply_t *reply,
    const uint8_t *bytes)
{
    doi_str_t         answer;
    doi_client_op_t  *op;

    if (reply->mark > c->mark) {
        c->mark = reply->mark;
    }

    if (reply->seq == DOI_WIRE_HELLO) {

        if (reply->result == DOI_WON) {
            return DOI_OK;
        }

        doi_client_disconnect(c, 1);
        return DOI_ERROR;
    }

    for (op = *doi_client_bucket(c, reply->seq); op != NULL; op = op->chain) {
        if (op->frame.seq == reply->seq) {
            break;
        }
    }

    /* Not found: its time was over before. */

    if (op != NULL) {
        answer.data = bytes;
        answer.len = reply->len;

        doi_client_answer(c, op, reply->result <= DOI_UNKNOWN
                             ? (doi_result_t) reply->result : DOI_UNKNOWN,
                      answer);
    }

    return DOI_OK;
}


void
doi_client_receive(doi_client_t *c)
{
    size_t       pos, room, size;
    ssize_t      n;
    doi_wire_reply_t  reply;

    while (c->fd != -1) {

        room = DOI_CLIENT_IN - c->in_len;

        n = recv(c->fd, c->in + c->in_len, room, 0);

        if (n == -1) {
            if (errno == EINTR) {
                continue;
            }

            if (errno == EAGAIN) {
                return;
            }

            n = 0;
        }

        if (n == 0) {
            doi_client_disconnect(c, 0);
            return;
        }

        c->in_len += (size_t) n;

        for (pos = 0; c->in_len - pos >= sizeof(reply); pos += size) {

            memcpy(&reply, c->in + pos, sizeof(reply));

            if (reply.len > DOI_REPLY_MAX) {
                doi_store_log(&c->store, 3, "the leader has sent an answer "
                              "that makes no sense");
                doi_client_disconnect(c, 0);
                return;
            }

            size = sizeof(reply) + doi_wire_pad(reply.len);

            if (c->in_len - pos < size) {
                break;
            }

            if (client_take(c, &reply, c->in + pos + sizeof(reply)) != DOI_OK)
            {
                return;
            }
        }

        c->in_len -= pos;

        if (c->in_len != 0 && pos != 0) {
            memmove(c->in, c->in + pos, c->in_len);
        }

        if ((size_t) n < room) {
            return;
        }
    }
}
