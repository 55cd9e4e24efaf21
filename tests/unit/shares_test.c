/* tests/unit/shares_test.c -- one address or user has no more than its share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "http/shares.h"

static int make(void **state)
{
    *state = shares_new();
    return *state != NULL ? 0 : -1;
}

static int drop(void **state)
{
    shares_free(*state);
    return 0;
}

static struct share share_of_text(enum share_kind kind, const char *text)
{
    struct address address;

    assert_true(address_read(text, &address));
    return share_of_address(kind, &address);
}

static void what_is_given_back_can_be_taken_again(void **state)
{
    struct share one = share_of_user(SHARE_WAITS, 1), other = share_of_user(SHARE_WAITS, 2);

    assert_true(shares_take(*state, &one, 2));
    assert_true(shares_take(*state, &one, 2));
    assert_false(shares_take(*state, &one, 2));
    assert_true(shares_take(*state, &other, 2));
    shares_give(*state, &one);
    assert_true(shares_take(*state, &one, 2));
}

static void kinds_are_counted_apart(void **state)
{
    struct share login = share_of_text(SHARE_LOGINS, "192.0.2.1");
    struct share connection = share_of_text(SHARE_CONNECTIONS, "192.0.2.1");

    assert_true(shares_take(*state, &login, 1));
    assert_true(shares_take(*state, &connection, 1));
    assert_false(shares_take(*state, &login, 1));
}

static void assert_one_owner(const char *address, const char *other, bool one)
{
    struct share a = share_of_text(SHARE_CONNECTIONS, address);
    struct share b = share_of_text(SHARE_CONNECTIONS, other);

    assert_int_equal(memcmp(&a, &b, sizeof(a)) == 0, one);
}

static void an_ipv6_address_stands_for_its_network(void **state)
{
    (void)state;
    assert_one_owner("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true);
    assert_one_owner("2001:db8:0:1::1", "2001:db8:0:2::1", false);
    assert_one_owner("::ffff:192.0.2.1", "192.0.2.1", true);
    assert_one_owner("::ffff:192.0.2.1", "192.0.2.2", false);
    assert_one_owner("192.0.2.1", "192.0.2.2", false);
}

static int take_all(struct shares *shares, int user, int places)
{
    struct share share = share_of_user(SHARE_LOGINS, user);
    int taken = 0;

    while (shares_take_of(shares, &share, places))
        taken++;
    return taken;
}

static void who_takes_all_leaves_as_much_to_others(void **state)
{
    assert_int_equal(take_all(*state, 1, 64), 32);
    assert_int_equal(take_all(*state, 2, 64), 16);
    assert_int_equal(take_all(*state, 3, 64), 8);
    assert_int_equal(take_all(*state, 1, 64), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(what_is_given_back_can_be_taken_again),
        test(kinds_are_counted_apart),
        test(an_ipv6_address_stands_for_its_network),
        test(who_takes_all_leaves_as_much_to_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
