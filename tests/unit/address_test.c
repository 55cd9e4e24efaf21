/* tests/unit/address_test.c -- addresses and networks, and whom a trusted proxy's headers name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/address.h"
#include "http/forwarded.h"

static void an_address_is_written_as_it_is_read(void **state)
{
    static const char *const pairs[][2] = {{"192.0.2.1", "192.0.2.1"},
                                           {"::ffff:192.0.2.1", "192.0.2.1"},
                                           {"2001:DB8:0::1", "2001:db8::1"},
                                           {"::1", "::1"}};
    static const char *const bad[] = {
        "", "192.0.2", "192.0.2.256", "[::1]", "192.0.2.1:80", "fe80::1%lo", "host"};
    struct address address;
    char text[ADDRESS_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        assert_true(address_read(pairs[i][0], &address));
        address_format(&address, text);
        assert_string_equal(text, pairs[i][1]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(address_read(bad[i], &address));
}

static void a_peer_of_a_unix_socket_is_loopback(void **state)
{
    const struct sockaddr local = {.sa_family = AF_UNIX};
    const struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_addr = {htonl(0xc0000201)}};
    struct address address = address_of_peer(&local);

    (void)state;
    assert_true(address_is_loopback(&address));
    address = address_of_peer((const struct sockaddr *)&ipv6);
    assert_true(address_is_loopback(&address));
    address = address_of_peer((const struct sockaddr *)&ipv4);
    assert_false(address_is_loopback(&address));
    address = address_of_peer(NULL);
    assert_false(address_is_loopback(&address));
}

static void bits_beyond_a_prefix_are_seen(void **state)
{
    struct network network;
    char text[NETWORK_TEXT];

    (void)state;
    assert_true(network_read("10.0.0.0/8", &network));
    assert_false(network_clear_host_bits(&network));
    assert_true(network_read("10.1.0.0/8", &network));
    assert_true(network_clear_host_bits(&network));
    network_format(&network, text);
    assert_string_equal(text, "10.0.0.0/8");
    assert_true(network_read("10.1.2.3", &network));
    assert_false(network_clear_host_bits(&network));
    assert_true(network_read("2001:db8::1/127", &network));
    assert_true(network_clear_host_bits(&network));
    network_format(&network, text);
    assert_string_equal(text, "2001:db8::/127");
}

/* "bad", or the address, and a + if it came over https. */
static void check_named(const char *trusted, bool usual, const char *header, const char *expected)
{
    struct forwarded forwarded = {.trusted = trusted};
    char text[ADDRESS_TEXT + 1] = "none";

    (usual ? forwarded_feed_x : forwarded_feed)(&forwarded, header);
    if (forwarded.any && !forwarded.bad)
        address_format(&forwarded.address, text);
    if (forwarded.https)
        snprintf(text + strlen(text), 2, "+");
    assert_string_equal(forwarded.bad ? "bad" : text, expected);
}

static void the_rightmost_address_that_is_not_trusted_is_the_client(void **state)
{
    static const char trusted[] = "10.0.0.0/8 2001:db8::/32";

    (void)state;
    check_named(trusted, true, "192.0.2.1", "192.0.2.1");
    check_named(trusted, true, "203.0.113.9, 192.0.2.1", "192.0.2.1");
    check_named(trusted, true, "203.0.113.9, 192.0.2.1, 10.1.2.3,2001:db8::7", "192.0.2.1");
    check_named(trusted, true, "10.9.9.9, 10.1.2.3", "10.9.9.9");
    check_named(trusted, true, "192.0.2.1:4711", "192.0.2.1");
    check_named(trusted, true, "[2001:db9::1]:4711, [2001:db8::1]", "2001:db9::1");
    check_named(trusted, true, "::ffff:192.0.2.1, ::ffff:10.0.0.1", "192.0.2.1");
    check_named(trusted, true, " , 192.0.2.1 ,, ", "192.0.2.1");
    check_named(trusted, true, " ,", "none");
}

static void what_is_no_address_matters_only_if_the_client_could_be_behind_it(void **state)
{
    static const char *const bad[] = {"x",
                                      "unknown",
                                      "192.0.2.1 203.0.113.9",
                                      "\"",
                                      "\", 10.0.0.1",
                                      "[::1",
                                      "192.0.2.1, unknown",
                                      "unix:",
                                      "unknown, 10.0.0.1"};
    char endless[200];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        check_named("10.0.0.0/8", true, bad[i], strcmp(bad[i], "unix:") == 0 ? "127.0.0.1" : "bad");
    check_named("10.0.0.0/8", true, "<script>, 192.0.2.1, 10.0.0.1", "192.0.2.1");
    memset(endless, '1', sizeof(endless) - 1);
    endless[sizeof(endless) - 1] = '\0';
    check_named("10.0.0.0/8", true, endless, "bad");
}

static void forwarded_is_read_as_rfc_7239_has_it(void **state)
{
    (void)state;
    check_named("10.0.0.0/8", false, "for=192.0.2.1", "192.0.2.1");
    check_named("10.0.0.0/8", false, "For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17");
    check_named("10.0.0.0/8", false, "for=192.0.2.1;proto=HTTPS;by=203.0.113.43", "192.0.2.1+");
    check_named("10.0.0.0/8", false, "proto=https; for=1.2.3.4, for=192.0.2.1;proto=http",
                "192.0.2.1");
    check_named("10.0.0.0/8", false, "for=192.0.2.1;proto=https, for=10.0.0.1;proto=http",
                "192.0.2.1+");
    check_named("10.0.0.0/8", false, "for=192.0.2.1;host=\"a;b,c\"", "192.0.2.1");
    check_named("10.0.0.0/8", false, "for=unknown", "bad");
    check_named("10.0.0.0/8", false, "for=_hidden", "bad");
    check_named("10.0.0.0/8", false, "proto=https", "bad");
    check_named("10.0.0.0/8", false, "for=192.0.2.1, by=10.0.0.1", "bad");
}

static void unix_is_a_peer_that_may_be_trusted(void **state)
{
    const struct sockaddr local = {.sa_family = AF_UNIX};
    const struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_addr = {htonl(0x0a000001)}};

    (void)state;
    assert_false(client_is_proxy("", &local));
    assert_false(client_is_proxy("127.0.0.0/8", &local));
    assert_true(client_is_proxy("127.0.0.0/8 unix:", &local));
    assert_false(client_is_proxy("unix:", (const struct sockaddr *)&ipv4));
    assert_true(client_is_proxy("10.0.0.0/8 unix:", (const struct sockaddr *)&ipv4));
    assert_false(client_is_proxy("0.0.0.0/0", NULL));
    check_named("unix:", true, "192.0.2.1, unix:", "192.0.2.1");
    check_named("10.0.0.0/8", true, "192.0.2.1, unix:", "127.0.0.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_written_as_it_is_read),
        cmocka_unit_test(a_peer_of_a_unix_socket_is_loopback),
        cmocka_unit_test(bits_beyond_a_prefix_are_seen),
        cmocka_unit_test(the_rightmost_address_that_is_not_trusted_is_the_client),
        cmocka_unit_test(what_is_no_address_matters_only_if_the_client_could_be_behind_it),
        cmocka_unit_test(forwarded_is_read_as_rfc_7239_has_it),
        cmocka_unit_test(unix_is_a_peer_that_may_be_trusted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
