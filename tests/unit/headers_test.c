/* tests/unit/headers_test.c -- Accept, Accept-Encoding, Prefer and Content-Type as clients write
 * them, and the blanks around values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/str.h"
#include "http/headers.h"

static int quality(const char *accept)
{
    struct accept_fit fit = {0};

    accept_feed(&fit, accept, "application/json");
    return fit.q;
}

static void a_media_type_fits_its_name_its_kind_and_anything(void **state)
{
    (void)state;
    assert_int_equal(quality("application/json"), 1000);
    assert_int_equal(quality("APPLICATION/JSON; charset=utf-8"), 1000);
    assert_int_equal(quality("text/html, application/*;q=0.5"), 500);
    assert_int_equal(quality("*/*;q=0.001"), 1);
    assert_int_equal(quality("text/html;x=\"a, application/json;q=1\", application/*;q=0.5"), 500);
    assert_int_equal(quality("text/html"), 0);
    assert_int_equal(quality("text/*, image/png"), 0);
    assert_int_equal(quality("application/jsonx, application/jso"), 0);
    assert_int_equal(quality(" ,; , ;;"), 0);
    assert_int_equal(quality(""), 0);
}

static void the_most_specific_range_decides(void **state)
{
    (void)state;
    assert_int_equal(quality("application/json;q=0, */*"), 0);
    assert_int_equal(quality("*/*, application/json ; q=0.0"), 0);
    assert_int_equal(quality("application/*;q=0, application/json;q=0.25"), 250);
}

static void several_headers_count_as_one(void **state)
{
    struct accept_fit fit = {0};

    (void)state;
    accept_feed(&fit, "*/*", "application/json");
    accept_feed(&fit, "application/json;q=0", "application/json");
    assert_int_equal(fit.specificity, 3);
    assert_int_equal(fit.q, 0);
}

static int coding(const char *accept)
{
    struct codings codings = {0};

    codings_feed(&codings, accept);
    return codings_best(&codings);
}

static void the_coding_of_the_greatest_quality_is_chosen(void **state)
{
    (void)state;
    assert_int_equal(coding("zstd"), CODING_ZSTD);
    assert_int_equal(coding("gzip, deflate, br"), CODING_GZIP);
    assert_int_equal(coding("gzip, zstd"), CODING_ZSTD);
    assert_int_equal(coding("zstd;q=0.5, GZIP;q=0.501"), CODING_GZIP);
    assert_int_equal(coding("identity, gzip;q=0.999"), CODING_IDENTITY);
    assert_int_equal(coding("identity, gzip"), CODING_GZIP);
    assert_int_equal(coding("X-GZIP"), CODING_GZIP);
    assert_int_equal(coding("x-zstd, gzipx, x-, x"), CODING_IDENTITY);
}

static void any_coding_is_less_precise_than_a_name(void **state)
{
    (void)state;
    assert_int_equal(coding("*"), CODING_ZSTD);
    assert_int_equal(coding("*, gzip"), CODING_GZIP);
    assert_int_equal(coding("identity, *"), CODING_IDENTITY);
    assert_int_equal(coding("zstd;q=0, *;q=0.1"), CODING_GZIP);
    assert_int_equal(coding("*;q=0, gzip;q=0.1"), CODING_GZIP);
}

static void identity_is_acceptable_unless_it_is_refused(void **state)
{
    struct codings codings = {0};

    (void)state;
    assert_true(codings_accept(&codings, CODING_IDENTITY));
    assert_int_equal(coding(""), CODING_IDENTITY);
    assert_int_equal(coding("br, deflate"), CODING_IDENTITY);
    assert_int_equal(coding("gzip;q=0, zstd;q=0.000"), CODING_IDENTITY);
    assert_int_equal(coding("identity;q=0"), CODING_COUNT);
    assert_int_equal(coding("*;q=0"), CODING_COUNT);
    assert_int_equal(coding("*;q=0, identity;q=0.1"), CODING_IDENTITY);
    assert_int_equal(coding("*, identity;q=0"), CODING_ZSTD);
    codings_feed(&codings, "gzip");
    codings_feed(&codings, "identity;q=0");
    assert_true(codings_accept(&codings, CODING_GZIP));
    assert_false(codings_accept(&codings, CODING_ZSTD));
    assert_false(codings_accept(&codings, CODING_IDENTITY));
}

static void a_wait_is_read_among_other_preferences(void **state)
{
    (void)state;
    assert_int_equal(prefer_wait("wait=10", 60), 10);
    assert_int_equal(prefer_wait("respond-async, Wait = \"7\" ; x=y", 60), 7);
    assert_int_equal(prefer_wait("wait=0", 60), 0);
    assert_int_equal(prefer_wait("wait=99999999999999999999", 60), 60);
    assert_int_equal(prefer_wait("wait=\"30\"", 60), 30);
    assert_int_equal(prefer_wait("respond-async, wait=10; foo=\"a,b\"", 60), 10);
    assert_int_equal(prefer_wait("foo=\"a, wait=5\", wait=7", 60), 7);
    assert_int_equal(prefer_wait("foo=\"a;\\\", wait=5\"; bar, wait=7;baz=\";\"", 60), 7);
    assert_int_equal(prefer_wait("wait=3, wait=9", 60), 3);
}

static void what_is_no_wait_is_ignored(void **state)
{
    (void)state;
    assert_int_equal(prefer_wait("", 60), -1);
    assert_int_equal(prefer_wait("wait", 60), -1);
    assert_int_equal(prefer_wait("wait=", 60), -1);
    assert_int_equal(prefer_wait("wait=-1", 60), -1);
    assert_int_equal(prefer_wait("wait=1.5", 60), -1);
    assert_int_equal(prefer_wait("awaits=3, return=minimal", 60), -1);
    assert_int_equal(prefer_wait("foo=\"a, wait=5\"", 60), -1);
    assert_int_equal(prefer_wait("foo=\"a, wait=5", 60), -1);
}

static void a_content_type_is_known_with_its_parameters(void **state)
{
    (void)state;
    assert_true(media_type_is("application/json", "application/json"));
    assert_true(media_type_is("Application/JSON ;charset=UTF-8", "application/json"));
    assert_false(media_type_is("application/jsonp", "application/json"));
    assert_false(media_type_is("text/plain", "application/json"));
    assert_false(media_type_is("", "application/json"));
    assert_false(media_type_is(NULL, "application/json"));
}

static void assert_trimmed(const char *text, const char *trimmed)
{
    size_t len = strlen(text);

    str_trim(&text, &len);
    assert_int_equal(len, strlen(trimmed));
    assert_memory_equal(text, trimmed, len);
}

static void blanks_around_a_text_are_left_out(void **state)
{
    (void)state;
    assert_trimmed(" \t a b\t ", "a b");
    assert_trimmed(" \t ", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blanks_around_a_text_are_left_out),
        cmocka_unit_test(a_media_type_fits_its_name_its_kind_and_anything),
        cmocka_unit_test(the_most_specific_range_decides),
        cmocka_unit_test(several_headers_count_as_one),
        cmocka_unit_test(the_coding_of_the_greatest_quality_is_chosen),
        cmocka_unit_test(any_coding_is_less_precise_than_a_name),
        cmocka_unit_test(identity_is_acceptable_unless_it_is_refused),
        cmocka_unit_test(a_wait_is_read_among_other_preferences),
        cmocka_unit_test(what_is_no_wait_is_ignored),
        cmocka_unit_test(a_content_type_is_known_with_its_parameters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
