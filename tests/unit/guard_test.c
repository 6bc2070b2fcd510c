#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "producer/guard.h"

static const char *reason_of(const char *text)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in *four = (struct sockaddr_in *)&storage;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&storage;

    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        storage.ss_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
        storage.ss_family = AF_INET6;
    }
    return guard_reason((const struct sockaddr *)&storage);
}

static void addresses_are_told_apart(void **state)
{
    static const struct {
        const char *name, *address, *reason;
    } rows[] = {
        {"every address", "0.0.0.0", "unspecified"},
        {"this network", "0.0.0.1", "reserved"},
        {"the last of this network", "0.255.255.255", "reserved"},
        {"the first public one", "1.0.0.0", NULL},
        {"below the private ones", "9.255.255.255", NULL},
        {"private, first", "10.0.0.0", "private"},
        {"private, last", "10.255.255.255", "private"},
        {"past the private ones", "11.0.0.0", NULL},
        {"below a carrier's NAT", "100.63.255.255", NULL},
        {"a carrier's NAT, first", "100.64.0.0", "shared with a carrier's NAT"},
        {"metadata within a carrier's NAT", "100.100.100.200", "a cloud's metadata service"},
        {"a carrier's NAT, last", "100.127.255.255", "shared with a carrier's NAT"},
        {"past a carrier's NAT", "100.128.0.0", NULL},
        {"below loopback", "126.255.255.255", NULL},
        {"loopback", "127.0.0.1", "loopback"},
        {"loopback, last", "127.255.255.255", "loopback"},
        {"past loopback", "128.0.0.0", NULL},
        {"a cloud's host", "168.63.129.16", "a cloud's metadata service"},
        {"beside a cloud's host", "168.63.129.17", NULL},
        {"below link-local", "169.253.255.255", NULL},
        {"link-local", "169.254.0.1", "link-local"},
        {"metadata", "169.254.169.254", "a cloud's metadata service"},
        {"metadata of containers", "169.254.170.2", "a cloud's metadata service"},
        {"past link-local", "169.255.0.0", NULL},
        {"below the second private range", "172.15.255.255", NULL},
        {"the second private range, first", "172.16.0.0", "private"},
        {"the second private range, last", "172.31.255.255", "private"},
        {"past the second private range", "172.32.0.0", NULL},
        {"of the IETF", "192.0.0.8", "reserved"},
        {"metadata of the IETF's range", "192.0.0.192", "a cloud's metadata service"},
        {"past the IETF's range", "192.0.1.0", NULL},
        {"for documentation, first range", "192.0.2.1", "for documentation"},
        {"a 6to4 relay", "192.88.99.1", "reserved"},
        {"the third private range", "192.168.1.1", "private"},
        {"past the third private range", "192.169.0.0", NULL},
        {"for benchmarks, first", "198.18.0.0", "reserved"},
        {"for benchmarks, last", "198.19.255.255", "reserved"},
        {"past benchmarks", "198.20.0.0", NULL},
        {"for documentation, second range", "198.51.100.1", "for documentation"},
        {"for documentation, third range", "203.0.113.1", "for documentation"},
        {"the last public one", "223.255.255.255", NULL},
        {"multicast, first", "224.0.0.0", "multicast"},
        {"multicast, last", "239.255.255.255", "multicast"},
        {"reserved for ever", "240.0.0.1", "reserved"},
        {"broadcast", "255.255.255.255", "reserved"},
        {"every address, IPv6", "::", "unspecified"},
        {"loopback, IPv6", "::1", "loopback"},
        {"an old form of an IPv4 address", "::8.8.8.8", "reserved"},
        {"loopback mapped", "::ffff:127.0.0.1", "loopback"},
        {"every address mapped", "::ffff:0.0.0.0", "unspecified"},
        {"metadata mapped", "::ffff:169.254.169.254", "a cloud's metadata service"},
        {"private mapped", "::ffff:10.1.2.3", "private"},
        {"public mapped", "::ffff:8.8.8.8", NULL},
        {"translated, not mapped", "::ffff:0:127.0.0.1", "reserved"},
        {"loopback through NAT64", "64:ff9b::127.0.0.1", "loopback"},
        {"private through NAT64", "64:ff9b::192.168.0.1", "private"},
        {"public through NAT64", "64:ff9b::8.8.8.8", NULL},
        {"a NAT64 of one's own", "64:ff9b:1::8.8.8.8", "private"},
        {"past NAT64", "64:ff9b:0:0:0:1:808:808", "reserved"},
        {"loopback through 6to4", "2002:7f00:1::1", "loopback"},
        {"metadata through 6to4", "2002:a9fe:a9fe::", "a cloud's metadata service"},
        {"public through 6to4", "2002:808:808::1", NULL},
        {"nowhere", "100::1", "reserved"},
        {"Teredo", "2001::1", "reserved"},
        {"the last of the IETF's, IPv6", "2001:1ff:ffff::", "reserved"},
        {"past the IETF's, IPv6", "2001:200::", NULL},
        {"for documentation, IPv6", "2001:db8::1", "for documentation"},
        {"past documentation, IPv6", "2001:db9::1", NULL},
        {"public, IPv6", "2606:2800:220:1:248:1893:25c8:1946", NULL},
        {"for documentation, the newer range", "3fff:fff::1", "for documentation"},
        {"past the newer range", "3fff:1000::1", NULL},
        {"below what is given out", "1fff::1", "reserved"},
        {"past what is given out", "4000::1", "reserved"},
        {"private, IPv6", "fc00::1", "private"},
        {"private, IPv6, last", "fdff::1", "private"},
        {"metadata, IPv6", "fd00:ec2::254", "a cloud's metadata service"},
        {"metadata of another cloud", "fd20:ce::254", "a cloud's metadata service"},
        {"link-local, IPv6", "fe80::1", "link-local"},
        {"link-local, IPv6, last", "febf::1", "link-local"},
        {"of a site", "fec0::1", "private"},
        {"multicast, IPv6", "ff02::1", "multicast"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *reason = reason_of(rows[i].address);

        print_message("  %s\n", rows[i].name);
        if (rows[i].reason == NULL) {
            assert_null(reason);
        } else {
            assert_non_null(reason);
            assert_string_equal(reason, rows[i].reason);
        }
    }
}

static void another_family_is_refused(void **state)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "/x"};

    (void)state;
    assert_string_equal(guard_reason((const struct sockaddr *)&local), "not of the Internet");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_told_apart),
        cmocka_unit_test(another_family_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
