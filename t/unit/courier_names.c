/*
 * What the courier knows of addresses, names and waiting: doi_address_global,
 * doi_idn, doi_backoff.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tap.h"
#include "courier/courier.h"


static void
test_addresses(void)
{
    size_t               i;
    struct sockaddr_un_t {
        sa_family_t      family;
        char             path[126];
    } un = { AF_UNIX, "" };
    struct sockaddr_in   sin;
    struct sockaddr_in6  sin6;

    static const struct {
        const char  *text;
        int          global;
    } table[] = {
        { "0.0.0.0", 0 }, { "0.1.2.3", 0 }, { "1.0.0.0", 1 },
        { "9.255.255.255", 1 }, { "10.0.0.0", 0 }, { "10.255.255.255", 0 },
        { "11.0.0.0", 1 }, { "100.63.255.255", 1 }, { "100.64.0.0", 0 },
        { "100.127.255.255", 0 }, { "100.128.0.0", 1 },
        { "126.255.255.255", 1 }, { "127.0.0.1", 0 }, { "127.255.255.255", 0 },
        { "128.0.0.0", 1 }, { "169.253.255.255", 1 }, { "169.254.169.254", 0 },
        { "169.255.0.0", 1 }, { "172.15.255.255", 1 }, { "172.16.0.0", 0 },
        { "172.31.255.255", 0 }, { "172.32.0.0", 1 }, { "192.0.0.1", 0 },
        { "192.0.1.0", 1 }, { "192.0.2.1", 0 }, { "192.0.3.0", 1 },
        { "192.88.99.1", 0 }, { "192.167.255.255", 1 }, { "192.168.0.1", 0 },
        { "192.169.0.0", 1 }, { "198.17.255.255", 1 }, { "198.18.0.0", 0 },
        { "198.19.255.255", 0 }, { "198.20.0.0", 1 }, { "198.51.100.7", 0 },
        { "203.0.113.9", 0 }, { "203.0.114.0", 1 },
        { "223.255.255.255", 1 }, { "224.0.0.1", 0 }, { "239.1.1.1", 0 },
        { "240.0.0.1", 0 }, { "255.255.255.255", 0 }, { "8.8.8.8", 1 },

        { "::", 0 }, { "::1", 0 }, { "::2", 0 }, { "::8.8.8.8", 0 },
        { "::ffff:127.0.0.1", 0 }, { "::ffff:10.0.0.1", 0 },
        { "::ffff:8.8.8.8", 1 }, { "::ffff:0:8.8.8.8", 0 },
        { "64:ff9b::127.0.0.1", 0 }, { "64:ff9b::8.8.8.8", 1 },
        { "64:ff9b:1::8.8.8.8", 0 }, { "100::1", 0 },
        { "2001:0:0808:0808::f7f7:f7f7", 1 },
        { "2001:0:7f00:1::f7f7:f7f7", 0 },
        { "2001:0:0808:0808::80ff:fffe", 0 }, { "2001:2::1", 0 },
        { "2001:10::1", 0 }, { "2001:20::1", 0 }, { "2001:1ff::1", 0 },
        { "2001:200::1", 1 }, { "2001:db7:ffff::1", 1 },
        { "2001:db8::1", 0 }, { "2001:db8:ffff::1", 0 },
        { "2001:db9::1", 1 }, { "2001:4860:4860::8888", 1 },
        { "2002:7f00:1::1", 0 }, { "2002:c0a8:1::1", 0 },
        { "2002:808:808::1", 1 }, { "2606:4700::1111", 1 },
        { "3ffe::1", 1 }, { "3fff::1", 0 }, { "3fff:fff::1", 0 },
        { "3fff:1000::1", 1 }, { "4000::1", 0 }, { "5f00::1", 0 },
        { "fc00::1", 0 }, { "fdff::1", 0 }, { "fe80::1", 0 },
        { "fec0::1", 0 }, { "ff02::1", 0 }, { "1fff::1", 0 },
    };

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        memset(&sin, 0, sizeof(sin));
        memset(&sin6, 0, sizeof(sin6));
        sin.sin_family = AF_INET;
        sin6.sin6_family = AF_INET6;

        if (inet_pton(AF_INET, table[i].text, &sin.sin_addr) == 1) {
            is_int(doi_address_global((struct sockaddr *) &sin),
                   table[i].global, "%s", table[i].text);

        } else if (ok(inet_pton(AF_INET6, table[i].text, &sin6.sin6_addr) == 1,
                      "%s is an address", table[i].text))
        {
            is_int(doi_address_global((struct sockaddr *) &sin6),
                   table[i].global, "%s", table[i].text);
        }
    }

    is_int(doi_address_global((struct sockaddr *) &un), 0, "a Unix socket");
}


static void
test_backoff(void)
{
    unsigned  n, base, low, high, mid;

    base = 30;

    for (n = 1; n < 20; n++) {
        low = doi_backoff(n, 0);
        mid = doi_backoff(n, 0x80000000);
        high = doi_backoff(n, UINT32_MAX);

        ok(low * 4 >= base * 3 && low * 4 <= base * 3 + 4, "n %u: from %u", n,
           low);
        is_int(mid, base, "n %u: around %u", n, mid);
        ok(high * 4 <= base * 5 && high * 4 >= base * 5 - 4, "n %u: to %u", n,
           high);

        base = base * 2 < 3600 ? base * 2 : 3600;
    }

    is_int(doi_backoff(UINT32_MAX, 0x80000000), 3600, "after very many");
    is_int(doi_backoff(0, 0x80000000), 30, "after none");
}


static void
test_idn(void)
{
    int        rc;
    size_t     i;
    uint8_t    out[300];
    doi_buf_t  buf;
    doi_str_t  str;

    static const struct {
        const char  *in, *out;
    } table[] = {
        { "example.org", "example.org" },
        { "EXAMPLE.Org", "example.org" },
        { "b\xc3\xbc" "cher.example", "xn--bcher-kva.example" },
        { "B\xc3\x9c" "CHER.example", "xn--bcher-kva.example" },
        { "bu\xcc\x88" "cher.example", "xn--bcher-kva.example" },
        { "fa\xc3\x9f.de", "xn--fa-hia.de" },           /* non-transitional */
        { "xn--fa-hia.de", "xn--fa-hia.de" },
        { "XN--FA-HIA.DE", "xn--fa-hia.de" },
        { "\xef\xbd\x85xample\xe3\x80\x82org", "example.org" },
        { "a b.de", NULL },
        { "a\xc2\xa0" "b.de", NULL },
        { "a_b.d\xc3\xa9", NULL },
        { "a\xff.de", NULL },
        { "\xc3", NULL },
        { "a\r\nb.de", NULL },
        { "a@\xc3\xa9.de", NULL },
        { "xn--\xc3\xa9.de", NULL },
        { "xn--999999999.de", NULL },
        { "\xc2\xad", NULL },
        { "", NULL },
    };

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        str.data = (const uint8_t *) table[i].in;
        str.len = strlen(table[i].in);
        buf.data = out;
        buf.len = 2;
        buf.size = sizeof(out);
        rc = doi_idn(str, &buf);

        if (table[i].out == NULL) {
            if (!ok(rc == DOI_ERROR && buf.len == 2, "no domain: case %zu", i))
            {
                printf("# got %.*s\n", (int) buf.len - 2, out + 2);
            }

        } else if (!ok(rc == DOI_OK && buf.len == 2 + strlen(table[i].out)
                       && memcmp(out + 2, table[i].out, buf.len - 2) == 0,
                       "to %s", table[i].out))
        {
            printf("# %d %.*s\n", rc, (int) buf.len - 2, out + 2);
        }
    }

    str.data = (const uint8_t *) "a\0b.de";
    str.len = 6;
    buf.len = 0;
    is_int(doi_idn(str, &buf), DOI_ERROR, "NUL");

    str.data = (const uint8_t *) "example.org!";
    str.len = 11;
    buf.size = 10;
    is_int(doi_idn(str, &buf), DOI_ERROR, "no room");
    buf.size = 11;
    is_int(doi_idn(str, &buf), DOI_OK, "just room");

    memset(out, 'a', sizeof(out));
    str.data = out;
    str.len = 300;
    is_int(doi_idn(str, &buf), DOI_ERROR, "a label that is too long");
}


int
main(void)
{
    test_addresses();
    test_backoff();
    test_idn();

    return done_testing();
}
