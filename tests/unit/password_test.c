/* tests/unit/password_test.c -- a password is right, or wrong, or nobody can tell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/password.h"
#include "core/user.h"

static char hash[PASSWORD_HASH_TEXT];
static struct err err;

static int make(void **state)
{
    (void)state;
    return password_hash("right", hash) ? 0 : -1;
}

static void a_right_one_and_a_wrong_one_are_told_apart(void **state)
{
    (void)state;
    assert_int_equal(password_verify(hash, "right", &err), 1);
    assert_int_equal(password_verify(hash, "wrong", &err), 0);
    assert_int_equal(password_verify(hash, "", &err), 0);
    assert_int_equal(password_verify(NULL, "right", &err), 0);
}

static bool starving;

/* In the place of libc's, for libsodium. */
void *mmap(void *address, size_t len, int protection, int flags, int fd, off_t offset)
{
    if (!starving)
        return (void *)syscall(SYS_mmap, address, len, protection, flags, fd, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

static void want_of_memory_is_no_wrong_password(void **state)
{
    char unused[PASSWORD_HASH_TEXT];

    (void)state;
    starving = true;
    assert_int_equal(password_verify(hash, "right", &err), -E_NOMEM);
    assert_int_equal(password_verify(NULL, "right", &err), -E_NOMEM);
    assert_false(password_hash("right", unused));
    starving = false;
    assert_int_equal(password_verify(hash, "right", &err), 1);
}

static void a_hash_that_is_none_is_no_wrong_password(void **state)
{
    (void)state;
    assert_int_equal(password_verify("not a hash", "right", &err), -E_INTERNAL);
}

static bool may_be(const char *password, const char *name)
{
    return password_check(password, name, &err) == 0;
}

static void a_new_password_has_8_characters_and_is_not_the_name(void **state)
{
    char longest[USER_PASSWORD_MAX + 2];

    (void)state;
    memset(longest, 'x', sizeof(longest));
    longest[USER_PASSWORD_MAX + 1] = '\0';
    assert_true(may_be("12345678", "ann"));
    assert_false(may_be("1234567", "ann"));
    assert_false(may_be("", "ann"));
    assert_false(may_be("rdk_0123456789012345678901234567890123456789012", "ann"));
    assert_true(may_be("\u00f6\u00e4\u00fc\u00df\u00f6\u00e4\u00fc\u00df", "ann")); /* 16 bytes */
    assert_false(
        may_be("\u00f6\u00e4\u00fc\u00df\u00f6\u00e4\u00fc", "ann")); /* 7 characters, 14 bytes */
    assert_false(may_be("annannann", "AnnAnnAnn"));
    assert_true(may_be("annannann", "ann"));
    assert_false(may_be("1234567\xff", "ann"));
    assert_false(may_be(longest, "ann"));
    longest[USER_PASSWORD_MAX] = '\0';
    assert_true(may_be(longest, "ann"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_right_one_and_a_wrong_one_are_told_apart),
        cmocka_unit_test(want_of_memory_is_no_wrong_password),
        cmocka_unit_test(a_hash_that_is_none_is_no_wrong_password),
        cmocka_unit_test(a_new_password_has_8_characters_and_is_not_the_name),
    };

    return cmocka_run_group_tests(tests, make, NULL);
}
