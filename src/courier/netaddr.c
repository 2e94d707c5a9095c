/*
 * Which addresses are global, by IANA's registries of special-purpose
 * addresses (RFC 6890 and what followed).
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "courier.h"


typedef struct {
    uint8_t   prefix[4];
    unsigned  bits;
} netaddr_v4_t;

typedef struct {
    uint8_t   prefix[8];
    unsigned  bits;
} netaddr_v6_t;


static int netaddr_match(const uint8_t *addr, const uint8_t *prefix,
    unsigned bits);
static int netaddr_v4_global(const uint8_t *addr);
static int netaddr_v6_global(const uint8_t *addr);


static const netaddr_v4_t  netaddr_v4[] = {
    { { 0, 0, 0, 0 },        8 },   /* this network, unspecified             */
    { { 10, 0, 0, 0 },       8 },   /* private                               */
    { { 100, 64, 0, 0 },    10 },   /* shared                                */
    { { 127, 0, 0, 0 },      8 },   /* loopback                              */
    { { 169, 254, 0, 0 },   16 },   /* link-local                            */
    { { 172, 16, 0, 0 },    12 },   /* private                               */
    { { 192, 0, 0, 0 },     24 },   /* protocol assignments                  */
    { { 192, 0, 2, 0 },     24 },   /* documentation                         */
    { { 192, 88, 99, 0 },   24 },   /* 6to4 relays, deprecated               */
    { { 192, 168, 0, 0 },   16 },   /* private                               */
    { { 198, 18, 0, 0 },    15 },   /* benchmarking                          */
    { { 198, 51, 100, 0 },  24 },   /* documentation                         */
    { { 203, 0, 113, 0 },   24 },   /* documentation                         */
    { { 224, 0, 0, 0 },      4 },   /* multicast                             */
    { { 240, 0, 0, 0 },      4 }    /* reserved, broadcast                   */
};

/* Within 2000::/3, the only part of IPv6 that is given to the global net. */

static const netaddr_v6_t  netaddr_v6[] = {
    { { 0x20, 0x01, 0x00, 0x00 },  23 },    /* protocol assignments, ORCHID,
                                               benchmarking                  */
    { { 0x20, 0x01, 0x0d, 0xb8 },  32 },    /* documentation                 */
    { { 0x3f, 0xff, 0x00, 0x00 },  20 }     /* documentation                 */
};


int
doi_address_global(const struct sockaddr *sa)
{
    struct sockaddr_in   sin;
    struct sockaddr_in6  sin6;

    switch (sa->sa_family) {

    case AF_INET:
        memcpy(&sin, sa, sizeof(sin));
        return netaddr_v4_global((const uint8_t *) &sin.sin_addr);

    case AF_INET6:
        memcpy(&sin6, sa, sizeof(sin6));
        return netaddr_v6_global(sin6.sin6_addr.s6_addr);

    default:
        return 0;
    }
}


static int
netaddr_match(const uint8_t *addr, const uint8_t *prefix, unsigned bits)
{
    unsigned  mask, bytes;

    bytes = bits / 8;

    if (memcmp(addr, prefix, bytes) != 0) {
        return 0;
    }

    if (bits % 8 == 0) {
        return 1;
    }

    mask = 0xffu << (8 - bits % 8);

    return ((addr[bytes] ^ prefix[bytes]) & mask & 0xffu) == 0;
}


static int
netaddr_v4_global(const uint8_t *addr)
{
    size_t  i;

    for (i = 0; i < sizeof(netaddr_v4) / sizeof(netaddr_v4[0]); i++) {
        if (netaddr_match(addr, netaddr_v4[i].prefix, netaddr_v4[i].bits)) {
            return 0;
        }
    }

    return 1;
}


static int
netaddr_v6_global(const uint8_t *addr)
{
    size_t   i;
    uint8_t  client[4];

    static const uint8_t  mapped[12] = { [10] = 0xff, [11] = 0xff };
    static const uint8_t  nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
    static const uint8_t  six_to_four[2] = { 0x20, 0x02 };
    static const uint8_t  teredo[4] = { 0x20, 0x01, 0x00, 0x00 };
    static const uint8_t  unicast[1] = { 0x20 };

    /* What goes to an IPv4 address in the end is judged by that one. */

    if (netaddr_match(addr, mapped, 96) || netaddr_match(addr, nat64, 96)) {
        return netaddr_v4_global(addr + 12);
    }

    if (netaddr_match(addr, six_to_four, 16)) {
        return netaddr_v4_global(addr + 2);
    }

    if (netaddr_match(addr, teredo, 32)) {

        /* the server, and the client with all bits inverted (RFC 4380, 4) */

        for (i = 0; i < 4; i++) {
            client[i] = (uint8_t) ~addr[12 + i];
        }

        return netaddr_v4_global(addr + 4) && netaddr_v4_global(client);
    }

    if (!netaddr_match(addr, unicast, 3)) {
        return 0;
    }

    for (i = 0; i < sizeof(netaddr_v6) / sizeof(netaddr_v6[0]); i++) {
        if (netaddr_match(addr, netaddr_v6[i].prefix, netaddr_v6[i].bits)) {
            return 0;
        }
    }

    return 1;
}
