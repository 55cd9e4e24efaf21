/* tests/unit/core_user_test.c -- what a user may run, from where, and when an account is locked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/user.h"

static bool may_run(const char *grants, const char *report)
{
    char text[256];
    struct user user = {.grants = grants != NULL ? strcpy(text, grants) : NULL};

    return user_may_run(&user, report);
}

static bool comes_from(const struct user *user, const char *text)
{
    struct address address;

    return address_read(text, &address) && user_may_come_from(user, &address);
}

static bool may_come(const char *allow, const char *address)
{
    char text[256];
    struct user user = {.allow = allow != NULL ? strcpy(text, allow) : NULL};

    return comes_from(&user, address);
}

static void a_grant_names_a_report_exactly(void **state)
{
    (void)state;
    assert_true(may_run("A\nBalance\nC", "Balance"));
    assert_true(may_run("A\nBalance\nC", "C"));
    assert_true(may_run("A\n", "A"));
    assert_false(may_run("A\nBalance\nC", "Bal"));
    assert_false(may_run("A\nBalance\nC", "Balances"));
    assert_false(may_run("A\nBalance\nC", "balance"));
    assert_false(may_run("A\nBalance\nC", "A\nBalance"));
}

static void no_grants_is_nothing_and_a_star_is_everything(void **state)
{
    (void)state;
    assert_false(may_run("", "A"));
    assert_false(may_run(NULL, "A"));
    assert_true(may_run("*", "A"));
    assert_true(may_run("B\n*", "A"));
    assert_false(may_run("*A", "BA"));
    assert_false(may_run("B*", "BA"));
}

static void a_key_may_do_no_more_than_its_user(void **state)
{
    char grants[] = "A\nB", of_key[] = "B\nC", all[] = "*", none[] = "";
    char networks[] = "10.0.0.0/8", network[] = "10.1.0.0/16";
    struct user_key key = {all, none, of_key};
    struct user user = {.grants = grants, .key = &key};

    (void)state;
    assert_true(user_may_run(&user, "B"));
    assert_false(user_may_run(&user, "A") || user_may_run(&user, "C"));
    key.grants = none;
    assert_true(user_may_run(&user, "A"));
    assert_false(user_may_run(&user, "C"));
    key.grants = all;
    assert_false(user_may_run(&user, "C"));
    user.allow = networks;
    key.allow = network;
    assert_true(comes_from(&user, "10.1.2.3"));
    assert_false(comes_from(&user, "10.2.0.1"));
    user.allow = network;
    key.allow = networks;
    assert_false(comes_from(&user, "10.2.0.1"));
}

static void an_empty_allow_list_lets_everyone_in(void **state)
{
    (void)state;
    assert_true(may_come(NULL, "192.0.2.1"));
    assert_true(may_come("", "2001:db8::1"));
    assert_true(may_come("  ", "192.0.2.1"));
}

static void an_ipv4_list_holds_addresses_and_networks(void **state)
{
    (void)state;
    assert_true(may_come("192.0.2.1", "192.0.2.1"));
    assert_false(may_come("192.0.2.1", "192.0.2.10"));
    assert_true(may_come("10.0.0.0/8 192.0.2.128/25", "192.0.2.200"));
    assert_false(may_come("10.0.0.0/8 192.0.2.128/25", "192.0.2.127"));
    assert_false(may_come("10.0.0.0/8", "11.0.0.0"));
    assert_true(may_come("10.1.2.3/8", "10.9.9.9")); /* of an older version */
    assert_true(may_come("192.0.2.4/31", "192.0.2.5"));
    assert_false(may_come("192.0.2.4/31", "192.0.2.6"));
    assert_true(may_come("0.0.0.0/0", "203.0.113.9"));
}

static void an_ipv6_list_holds_addresses_and_networks(void **state)
{
    (void)state;
    assert_true(may_come("2001:db8::/32", "2001:db8:1::5"));
    assert_false(may_come("2001:db8::/32", "2001:db9::5"));
    assert_true(may_come("2001:db8::1", "2001:DB8:0:0::1"));
    assert_true(may_come("2001:db8::/33", "2001:db8:7fff::"));
    assert_false(may_come("2001:db8::/33", "2001:db8:8000::"));
    assert_false(may_come("0.0.0.0/0", "2001:db8::1"));
}

static void a_mapped_address_counts_as_ipv4(void **state)
{
    (void)state;
    assert_true(may_come("192.0.2.0/24", "::ffff:192.0.2.7"));
    assert_true(may_come("::ffff:192.0.2.7", "192.0.2.7"));
    assert_false(may_come("192.0.2.0/24", "::ffff:192.0.3.7"));
    assert_true(may_come("::ffff:192.0.2.0/120", "192.0.2.7"));
    assert_true(may_come("::ffff:192.0.2.0/120", "::ffff:192.0.2.7"));
    assert_false(may_come("::ffff:192.0.2.0/120", "192.0.3.7"));
    assert_true(may_come("::ffff:0:0/96", "192.0.2.7"));
    assert_false(may_come("::ffff:0:0/96", "2001:db8::1"));
    assert_false(may_come("::/0", "192.0.2.7"));
    assert_false(may_come("::/0", "::ffff:192.0.2.7"));
    assert_true(may_come("::/0", "2001:db8::1"));
}

static void what_is_no_address_is_not_let_in(void **state)
{
    static const char *const bad[] = {"", "x", "192.0.2.1 ", "192.0.2", "[::1]", "192.0.2.1:80"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(may_come("0.0.0.0/0 ::/0", bad[i]));
}

static void an_entry_is_an_address_or_a_block(void **state)
{
    static const char *const good[] = {"192.0.2.1",     "10.0.0.0/8",         "::1",
                                       "2001:db8::/32", "192.0.2.1/32",       "::/0",
                                       "0.0.0.0/0",     "::ffff:10.0.0.0/104"};
    static const char *const bad[] = {"",
                                      " ",
                                      "x",
                                      "192.0.2.1/33",
                                      "::/129",
                                      "10.0.0.0/",
                                      "10.0.0.0/-1",
                                      "10.0.0.0/8/8",
                                      "10.0.0.0/8,::1",
                                      "10.0.0.0/8 x",
                                      "10.0.0.0/08x",
                                      "host.example",
                                      "[::1]",
                                      "010.0.0.1",
                                      "1.2.3.4/032"};
    char network[USER_NETWORK_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(user_allow_check(good[i], network), USER_ALLOW_GOOD);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(user_allow_check(bad[i], network), USER_ALLOW_NONE);
}

static void an_entry_with_host_bits_is_told_its_block(void **state)
{
    static const struct {
        const char *entry, *network;
    } cases[] = {
        {"10.0.0.1/8", "10.0.0.0/8"},
        {"192.0.2.129/25", "192.0.2.128/25"},
        {"192.0.2.1/0", "0.0.0.0/0"},
        {"2001:db8::1/32", "2001:db8::/32"},
        {"::1/0", "::/0"},
        {"::ffff:10.0.0.1/104", "10.0.0.0/8"},
        {"::ffff:10.0.0.1/90", "::ffc0:0:0/90"},
    };
    char network[USER_NETWORK_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(user_allow_check(cases[i].entry, network), USER_ALLOW_HOST_BITS);
        assert_string_equal(network, cases[i].network);
    }
}

static void a_bad_entry_lets_nobody_in_by_itself(void **state)
{
    char endless[200];

    (void)state;
    memset(endless, '1', sizeof(endless) - 1);
    endless[sizeof(endless) - 1] = '\0';
    assert_false(may_come("nonsense", "192.0.2.1"));
    assert_false(may_come(endless, "192.0.2.1"));
    assert_true(may_come("nonsense 192.0.2.1", "192.0.2.1"));
}

static void a_lock_ends_at_its_time(void **state)
{
    struct user user = {.locked_until_ms = 1000};

    (void)state;
    assert_true(user_is_locked(&user, 999));
    assert_false(user_is_locked(&user, 1000));
    user.locked_until_ms = 0;
    assert_false(user_is_locked(&user, 999));
}

static void a_user_that_is_done_owns_nothing(void **state)
{
    struct user user = {.id = 7, .name = strdup("n"), .grants = strdup("*")};

    (void)state;
    user_done(&user);
    assert_null(user.name);
    assert_int_equal(user.id, 0);
    user_done(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grant_names_a_report_exactly),
        cmocka_unit_test(no_grants_is_nothing_and_a_star_is_everything),
        cmocka_unit_test(a_key_may_do_no_more_than_its_user),
        cmocka_unit_test(an_empty_allow_list_lets_everyone_in),
        cmocka_unit_test(an_ipv4_list_holds_addresses_and_networks),
        cmocka_unit_test(an_ipv6_list_holds_addresses_and_networks),
        cmocka_unit_test(a_mapped_address_counts_as_ipv4),
        cmocka_unit_test(what_is_no_address_is_not_let_in),
        cmocka_unit_test(an_entry_is_an_address_or_a_block),
        cmocka_unit_test(an_entry_with_host_bits_is_told_its_block),
        cmocka_unit_test(a_bad_entry_lets_nobody_in_by_itself),
        cmocka_unit_test(a_lock_ends_at_its_time),
        cmocka_unit_test(a_user_that_is_done_owns_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
