/* tests/unit/base_test.c -- the foundations: buffers, strings, GUIDs, time, decimals, JSON, errors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/decimal.h"
#include "base/err.h"
#include "base/guid.h"
#include "base/json.h"
#include "base/nearest.h"
#include "base/str.h"
#include "base/table.h"
#include "base/wrap.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* buf */

static void a_buffer_grows_up_to_its_maximum(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    assert_string_equal(buf_str(&b), "");
    for (int i = 0; i < 1000; i++)
        buf_add_char(&b, 'x');
    assert_false(buf_failed(&b));
    assert_int_equal(strlen(buf_str(&b)), 1000);
    buf_add_char(&b, 'x');
    assert_true(buf_failed(&b));
    assert_int_equal(b.len, 1000);
    buf_done(&b);
}

static void a_failed_buffer_stays_failed_until_it_is_reset(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 4);
    buf_add_str(&b, "abc");
    buf_add_str(&b, "de");
    buf_add_str(&b, "f");
    assert_true(buf_failed(&b));
    assert_string_equal(buf_str(&b), "abc");
    assert_null(buf_reserve(&b, 1));
    assert_null(buf_take(&b));
    buf_reset(&b);
    buf_add_format(&b, "%d", 1234);
    assert_false(buf_failed(&b));
    assert_string_equal(buf_str(&b), "1234");
    buf_add_format(&b, "%s", "");
    assert_false(buf_failed(&b));
    buf_add_format(&b, "%d", 5);
    assert_true(buf_failed(&b));
    buf_done(&b);
}

static void taken_text_is_the_callers(void **state)
{
    struct buf b;
    char *text;

    (void)state;
    buf_init(&b, 10);
    text = buf_take(&b);
    assert_string_equal(text, "");
    free(text);
    buf_add_str(&b, "ab");
    text = buf_take(&b);
    assert_string_equal(text, "ab");
    assert_int_equal(b.len, 0);
    free(text);
    buf_done(&b);
}

/* str */

static void strings_compare_with_null(void **state)
{
    (void)state;
    assert_true(str_eq(NULL, NULL));
    assert_false(str_eq("", NULL));
    assert_true(str_eq_nocase("Ab", "aB"));
    assert_false(str_eq_nocase(NULL, "a"));
    assert_true(str_starts("abc", "ab"));
    assert_false(str_starts("a", "ab"));
}

static void a_copy_is_always_terminated(void **state)
{
    char out[4] = "zzz";

    (void)state;
    assert_true(str_copy(out, sizeof(out), "abc"));
    assert_string_equal(out, "abc");
    assert_false(str_copy(out, sizeof(out), "abcd"));
    assert_string_equal(out, "abc");
    assert_true(str_copy(out, sizeof(out), ""));
    assert_string_equal(out, "");
}

static void nothing_is_cut_inside_a_letter(void **state)
{
    static const struct {
        const char *text, *cut; /* to 4 bytes */
    } cases[] = {
        {"abc\xc3\xa9", "abc"},
        {"ab\xe2\x82\xac", "ab"},
        {"abc\xe2\x82\xac", "abc"},
        {"a\xf0\x9f\x99\x82z", "a"},
        {"\xf0\x9f\x99\x82z", "\xf0\x9f\x99\x82"},
        {"ab\xc3\xa9z", "ab\xc3\xa9"},
        {"a\xe2\x82\xacz", "a\xe2\x82\xac"},
        {"\x80\x80\x80\x80\x80", "\x80\x80\x80\x80"},
    };
    struct err err;
    char out[5];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_false(str_copy(out, sizeof(out), cases[i].text));
        assert_string_equal(out, cases[i].cut);
    }
    assert_int_equal(str_whole("", 0), 0);
    assert_int_equal(str_whole("\xe2", 1), 0);
    err_set(&err, -E_PARAM, "'%.2s' and '%.3s'", "\xe2\x82\xac", "\xe2\x82\xac");
    assert_string_equal(err.text, "'' and '\xe2\x82\xac'");
}

static void numbers_are_read_whole_or_not_at_all(void **state)
{
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "0x1",
                                      "1e3",
                                      "--1",
                                      "9223372036854775808",
                                      "-9223372036854775809"};
    int64_t value = 77;

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(str_to_int64(bad[i], &value));
    assert_int_equal(value, 77);
    assert_true(str_to_int64("9223372036854775807", &value));
    assert_true(value == INT64_MAX);
    assert_true(str_to_int64("-9223372036854775808", &value));
    assert_true(value == INT64_MIN);
    assert_true(str_to_int64("007", &value));
    assert_int_equal(value, 7);
}

static void durations_and_sizes_need_their_unit(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } durations[] = {{"0", 0},       {"250ms", 250},    {"10s", 10000},
                     {"5m", 300000}, {"24h", 86400000}, {"7d", 604800000}};
    static const char *const no_durations[] = {"",  "5",  "-1s", "1 s",
                                               "s", "1S", "1ss", "9223372036854775807d"};
    static const char *const no_sizes[] = {
        "", "1k", "-1", "K", "1KB", "1.5G", "9223372036854775807K"};
    int64_t value = -1;

    (void)state;
    for (size_t i = 0; i < COUNT(durations); i++) {
        assert_true(str_to_duration(durations[i].text, &value));
        assert_int_equal(value, durations[i].ms);
    }
    value = 77;
    for (size_t i = 0; i < COUNT(no_durations); i++)
        assert_false(str_to_duration(no_durations[i], &value));
    for (size_t i = 0; i < COUNT(no_sizes); i++)
        assert_false(str_to_size(no_sizes[i], &value));
    assert_true(str_to_size("4096", &value));
    assert_int_equal(value, 4096);
    assert_true(str_to_size("10G", &value));
    assert_int_equal(value, INT64_C(10) << 30);
}

static void sizes_are_shown_for_people(void **state)
{
    char out[32];

    (void)state;
    str_human_size(out, sizeof(out), 312);
    assert_string_equal(out, "312 B");
    str_human_size(out, sizeof(out), 1500000000);
    assert_string_equal(out, "1.5 GB");
    str_human_size(out, sizeof(out), INT64_C(5000000000000000));
    assert_string_equal(out, "5000.0 TB");
}

static void limits_are_shown_as_they_are_written(void **state)
{
    static const char *const texts[] = {"0", "312", "4097", "4K", "64M", "16G", "1025M", "2048T"};
    char out[32];
    int64_t bytes;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_true(str_to_size(texts[i], &bytes));
        str_size(out, sizeof(out), bytes);
        assert_string_equal(out, texts[i]);
    }
    str_size(out, sizeof(out), INT64_C(2048) << 10);
    assert_string_equal(out, "2M");
}

static void utf8_is_what_the_rfc_says(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
    } cases[] = {
        {"a", 1},
        {"\x7f", 1},
        {"\xc2\x80", 2},
        {"\xdf\xbf", 2},
        {"\xe0\xa0\x80", 3},
        {"\xed\x9f\xbf", 3},
        {"\xef\xbf\xbf", 3},
        {"\xf0\x90\x80\x80", 4},
        {"\xf4\x8f\xbf\xbf", 4},
        {"\x80", 0},
        {"\xbf", 0},
        {"\xc0\x80", 0}, /* overlong */
        {"\xc1\xbf", 0},
        {"\xe0\x9f\xbf", 0}, /* overlong */
        {"\xed\xa0\x80", 0},
        {"\xed\xbf\xbf", 0}, /* surrogates */
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xf4\x90\x80\x80", 0}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", 0},
        {"\xff", 0},
        {"\xc3", 0},
        {"\xe2\x82", 0}, /* cut */
        {"\xf0\x9f\x98", 0},
        {"\xc3(", 0},
        {"\xe2\x82(", 0},
        {"\xf0\x9f\x98(", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (str_utf8_length(cases[i].bytes, strlen(cases[i].bytes)) != cases[i].length)
            fail_msg("case %zu", i);
    }
    assert_int_equal(str_utf8_length("\xc3\xa4", 1), 0);
}

/* guid */

static void a_guid_prints_as_it_is_parsed(void **state)
{
    static const char text[] = "0189d2a0-7b1c-7def-8abc-0123456789ab";
    struct guid id, again;
    char out[GUID_TEXT];

    (void)state;
    assert_true(guid_parse(text, &id));
    guid_format(&id, out);
    assert_string_equal(out, text);
    assert_true(guid_parse("0189D2A0-7B1C-7DEF-8ABC-0123456789AB", &again));
    assert_true(guid_eq(&id, &again));
    again.bytes[15] ^= 1;
    assert_false(guid_eq(&id, &again));
}

static void what_is_no_guid_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "0189d2a0-7b1c-7def-8abc-0123456789a",
                                      "0189d2a0-7b1c-7def-8abc-0123456789abc",
                                      "0189d2a0-7b1c-7def-8abc-0123456789ag",
                                      "0189d2a07-b1c-7def-8abc-0123456789ab",
                                      "0189d2a0-7b1c-7def-8abc00123456789ab",
                                      "{189d2a0-7b1c-7def-8abc-0123456789a}",
                                      " 189d2a0-7b1c-7def-8abc-0123456789ab"};
    struct guid id = {{1}}, before = id;

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(guid_parse(bad[i], &id));
    assert_true(guid_eq(&id, &before));
}

static void new_guids_are_of_version_7_and_of_now(void **state)
{
    int64_t before = clock_now_ms(), ms = 0, after;
    struct guid a = guid_new(), b = guid_new();

    (void)state;
    after = clock_now_ms();
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | a.bytes[i];
    assert_in_range(ms, before, after);
    assert_int_equal(a.bytes[6] >> 4, 7);
    assert_int_equal(a.bytes[8] >> 6, 2);
    assert_false(guid_eq(&a, &b));
}

/* clock */

static void moments_print_in_utc(void **state)
{
    char text[CLOCK_TEXT], date[CLOCK_DATE_TEXT], http[CLOCK_HTTP_TEXT];
    int64_t ms = INT64_C(784111777999); /* the example of RFC 9110, and 999 ms */

    (void)state;
    clock_format(ms, text);
    clock_format_date(ms, date);
    clock_format_http(ms, http);
    assert_string_equal(text, "1994-11-06T08:49:37Z");
    assert_string_equal(date, "1994-11-06");
    assert_string_equal(http, "Sun, 06 Nov 1994 08:49:37 GMT");
    clock_format(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00Z");
}

static void an_http_date_is_read_in_its_three_forms(void **state)
{
    static const char *const good[] = {
        "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994", "Mon, 06 Nov 1994 08:49:37 GMT" /* the day is not compared */};
    static const char *const bad[] = {"",
                                      "Sun",
                                      "784111777",
                                      "1994-11-06T08:49:37Z",
                                      "Sun, 06 Nov 1994 08:49:37",
                                      "Sun, 06 Nov 1994 08:49:37 UTC",
                                      "Sun, 06 Nov 1994 08:49:37 GMT ",
                                      "Sun, 06 Nov 1994  08:49:37 GMT",
                                      "Sun, 6 Nov 1994 08:49:37 GMT",
                                      "Sun,06 Nov 1994 08:49:37 GMT",
                                      "Sun,06Nov199408:49:37GMT",
                                      "Sun, 31 Apr 1994 08:49:37 GMT",
                                      "Sun, 06 Nov 1994 24:00:00 GMT",
                                      "Sun, 06 nov 1994 08:49:37 GMT",
                                      "Xxx, 06 Nov 1994 08:49:37 GMT",
                                      "Sun, 06-Nov-1994 08:49:37 GMT",
                                      "Sun Nov 6 08:49:37 1994",
                                      "Sun Nov 06 08:49:37 1994"};
    const int64_t now_ms = INT64_C(1767225600000); /* 2026-01-01 */
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        ms = 0;
        assert_true(clock_parse_http(good[i], now_ms, &ms));
        assert_int_equal(ms, INT64_C(784111777000));
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        ms = 7;
        assert_false(clock_parse_http(bad[i], now_ms, &ms));
        assert_int_equal(ms, 7);
    }
    /* A year of two digits is at most 50 years ahead. */
    assert_true(clock_parse_http("Wednesday, 01-Jan-76 00:00:00 GMT", now_ms, &ms));
    assert_int_equal(ms, INT64_C(3345062400000)); /* 2076 */
    assert_true(clock_parse_http("Saturday, 01-Jan-77 00:00:00 GMT", now_ms, &ms));
    assert_int_equal(ms, INT64_C(220924800000)); /* 1977 */
}

static void a_date_is_a_day_of_the_calendar(void **state)
{
    static const char *const good[] = {"2024-02-29", "2000-02-29", "0001-01-01", "9999-12-31",
                                       "2023-04-30"};
    static const char *const bad[] = {"2023-02-29",  "1900-02-29", "2024-04-31", "2024-00-10",
                                      "2024-13-10",  "2024-01-00", "2024-01-32", "0000-01-01",
                                      "2024-1-1",    "2024/01/01", "2024-01-0x", "2024-01-01 ",
                                      " 2024-01-01", "",           "-024-01-01", "2024-01-+1"};

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        assert_true(clock_is_date(good[i]));
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(clock_is_date(bad[i]));
}

static void the_monotonic_clock_does_not_go_back(void **state)
{
    int64_t before = clock_mono_us();

    (void)state;
    assert_true(clock_mono_us() >= before);
    assert_true(clock_mono_ms() >= before / 1000);
}

/* decimal */

static void scaled_integers_print_exactly(void **state)
{
    static const struct {
        int64_t value;
        int scale;
        const char *text;
    } cases[] = {
        {125000000, 2, "1250000.00"},
        {5, 2, "0.05"},
        {-5, 2, "-0.05"},
        {0, 2, "0.00"},
        {0, 0, "0"},
        {-7, 0, "-7"},
        {100, 3, "0.100"},
        {10, 1, "1.0"},
        {99, 1, "9.9"},
        {100, 1, "10.0"},
        {1, 18, "0.000000000000000001"},
        {INT64_MAX, 0, "9223372036854775807"},
        {INT64_MIN, 0, "-9223372036854775808"},
        {INT64_MIN, 18, "-9.223372036854775808"},
        {INT64_MIN, 2, "-92233720368547758.08"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char out[DECIMAL_TEXT + 1];
        size_t len = decimal_format(out, cases[i].value, cases[i].scale);

        assert_in_range(len, 1, DECIMAL_TEXT);
        out[len] = '\0';
        assert_string_equal(out, cases[i].text);
    }
}

static void every_count_of_digits_prints_exactly(void **state)
{
    uint64_t power = 1;

    (void)state;
    for (int digits = 1; digits <= 19; digits++, power *= 10) {
        for (int64_t value = (int64_t)power - 1; value <= (int64_t)power + 1; value++) {
            char out[DECIMAL_TEXT + 1], want[DECIMAL_TEXT + 1];

            out[decimal_format(out, value, 0)] = '\0';
            snprintf(want, sizeof(want), "%lld", (long long)value);
            assert_string_equal(out, want);
        }
    }
}

static void decimals_are_equal_by_value(void **state)
{
    static const char *const equal[][2] = {{"1.0", "1.00"}, {"1", "+1."},   {"-0.50", "-.5"},
                                           {"0", "-0.000"}, {"10e-1", "1"}, {"1e2", "100.0"},
                                           {"007", "7"},    {"0e999", "0"}, {"12.5", "12.5"}};
    static const char *const other[][2] = {{"1.0", "1.01"}, {"1", "-1"},   {"10", "1"},
                                           {"0", "1"},      {"1", "1x"},   {"", ""},
                                           {"x", "x"},      {"1e3", "1e2"}};

    (void)state;
    for (size_t i = 0; i < sizeof(equal) / sizeof(equal[0]); i++)
        assert_true(
            decimal_equal(equal[i][0], strlen(equal[i][0]), equal[i][1], strlen(equal[i][1])));
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
        assert_false(
            decimal_equal(other[i][0], strlen(other[i][0]), other[i][1], strlen(other[i][1])));
}

static void equal_decimals_are_one_text(void **state)
{
    static const char *const cases[][2] = {
        {"1.0", "1"},
        {"+1.", "1"},
        {"-0.50", "-0.5"},
        {"-.5", "-0.5"},
        {"-0.000", "0"},
        {"0e999", "0"},
        {"10e-1", "1"},
        {"1e2", "100"},
        {"007", "7"},
        {"1e-3", "0.001"},
        {"12.5e1", "125"},
        {"120", "120"},
        {"0.1234567890123456789012345", "0.1234567890123456789012345"},
        {"99999999999999999999999.90", "99999999999999999999999.9"},
    };
    struct buf out;

    (void)state;
    buf_init(&out, 2000);
    for (size_t i = 0; i < COUNT(cases); i++) {
        buf_reset(&out);
        assert_true(decimal_add_exact(&out, cases[i][0], strlen(cases[i][0])));
        assert_string_equal(buf_str(&out), cases[i][1]);
    }
    assert_false(decimal_add_exact(&out, "1x", 2));
    assert_false(decimal_add_exact(&out, "", 0));
    buf_done(&out);
}

static void plain_decimals_are_json_numbers_without_exponent(void **state)
{
    static const char *const good[] = {"0", "-0", "12.50", "-0.05", "1234567890123456789012345"};
    static const char *const bad[] = {"",    "-",  ".5", "5.",  "00",    "01.5", "1e5", "+1",
                                      "1,5", "1 ", " 1", "-.5", "1.2.3", "NaN",  "--1"};

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        assert_true(decimal_is_plain(good[i], strlen(good[i])));
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(decimal_is_plain(bad[i], strlen(bad[i])));
    assert_true(decimal_is_plain("12x", 2));
}

/* json */

static void expect_json(const char *text, size_t len, const char *want)
{
    struct buf b;

    buf_init(&b, 1000);
    buf_add_str(&b, "[");
    if (json_add_text(&b, text, len) != (want != NULL))
        fail_msg("%s", text);
    assert_string_equal(buf_str(&b) + 1, want != NULL ? want : "");
    buf_done(&b);
}

static void json_texts_are_escaped(void **state)
{
    (void)state;
    expect_json("", 0, "\"\"");
    expect_json("a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\"");
    expect_json("\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\"");
    expect_json("\x01\x1f", 2, "\"\\u0001\\u001f\"");
    expect_json("a\0b", 3, "\"a\\u0000b\"");
    expect_json("\xc3\xa4 \xf0\x9f\x98\x80", 7, "\"\xc3\xa4 \xf0\x9f\x98\x80\"");
}

/* Eight bytes are looked at together: what one of them is must not depend on the others. */
static void what_is_escaped_is_escaped_wherever_it_stands(void **state)
{
    static const size_t places = 19;

    (void)state;
    for (int byte = 1; byte < 0x80; byte++) {
        char one[] = {(char)byte, '\0'};
        struct buf alone;

        buf_init(&alone, 100);
        assert_true(json_add_text(&alone, one, 1));
        for (size_t place = 0; place < places; place++) {
            char text[] = "abcdefghijklmnopqrs", want[64];

            text[place] = (char)byte;
            snprintf(want, sizeof(want), "\"%.*s%.*s%s\"", (int)place, text, (int)alone.len - 2,
                     buf_str(&alone) + 1, text + place + 1);
            expect_json(text, places, want);
        }
        buf_done(&alone);
    }
}

static void json_texts_that_are_not_utf8_add_nothing(void **state)
{
    (void)state;
    expect_json("ab\xff", 3, NULL);
    expect_json("\n\xc3", 2, NULL);
    expect_json("\xed\xa0\x80", 3, NULL);
    expect_json("\xc3\xa4", 1, NULL);
    expect_json("abcdefg\xff", 8, NULL);
    expect_json("\xff"
                "abcdefgh",
                9, NULL);
}

static void json_words_of_our_own_always_fit(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    buf_add_char(&b, '{');
    json_add_key(&b, "a");
    json_add_string(&b, "x\xff\xc3\xa4");
    json_add_key(&b, "b");
    json_add_string(&b, NULL);
    buf_add_char(&b, '}');
    assert_string_equal(buf_str(&b), "{\"a\":\"x???\",\"b\":null}");
    buf_done(&b);
}

/* err */

static void an_error_has_a_code_words_and_a_detail(void **state)
{
    struct err err = {.detail = "old"};

    (void)state;
    assert_int_equal(err_set(&err, -E_PARAM, "%d words", 2), -E_PARAM);
    assert_string_equal(err.text, "2 words");
    assert_string_equal(err.detail, "");
    assert_int_equal(err_detail(&err, "line %d", 5), -E_PARAM);
    assert_string_equal(err.detail, "line 5");
    assert_int_equal(err_set(NULL, -E_IO, "nobody listens"), -E_IO);
}

static void an_error_of_the_system_says_so_and_keeps_errno(void **state)
{
    struct err err;

    (void)state;
    errno = ENOENT;
    assert_int_equal(err_errno(&err, -E_IO, "open %s", "x"), -E_IO);
    assert_string_equal(err.text, "open x: No such file or directory");
    assert_int_equal(errno, ENOENT);
}

static void long_words_are_cut(void **state)
{
    struct err err;

    (void)state;
    err_set(&err, -E_IO, "%01000d", 1);
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
    errno = ENOENT;
    err_errno(&err, -E_IO, "%0*d", ERR_TEXT_MAX - 3, 1);
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
}

static void a_code_has_its_http_status_and_title(void **state)
{
    (void)state;
    assert_int_equal(err_status(-E_LIMIT), 429);
    assert_int_equal(err_status(E_LIMIT), 429);
    assert_int_equal(err_status(0), 200);
    assert_int_equal(err_status(-E_COUNT), 500);
    assert_int_equal(err_status(9999), 500);
    assert_string_equal(err_title(-E_PARAM), "Invalid parameter");
    for (int code = 1; code < E_COUNT; code++)
        assert_in_range(err_status(-code), 400, 599);
}

static void a_time_is_read_strictly(void **state)
{
    static const char *const wrong[] = {"",
                                        "2026-02-29",
                                        "1969-12-31",
                                        "2026-01-01T00:00:00",
                                        "2026-01-01T24:00:00Z",
                                        "2026-01-01T00:60:00Z",
                                        "2026-01-01T00:00:60Z",
                                        "2026-01-01 00:00:00Z",
                                        "2026-01-01T00:00:0xZ",
                                        "2026-01-01T00:00:00Zx"};
    int64_t ms = -1;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(clock_parse(wrong[i], &ms));
    assert_int_equal(ms, -1);
    assert_true(clock_parse("2026-01-31", &ms));
    assert_int_equal(ms, INT64_C(1769817600000));
    assert_true(clock_parse("2026-01-31T23:59:59Z", &ms));
    assert_int_equal(ms, INT64_C(1769903999000));
}

static const char *near_to(const char *typed)
{
    static const char *const names[] = {"listen", "store", "store_connections", "temp"};
    struct nearest nearest = {.typed = typed}, exact = {.typed = "store"};

    assert_null(nearest_find(&nearest, names, 4, sizeof(names[0])));
    assert_ptr_equal(nearest_find(&exact, names, 4, sizeof(names[0])), &names[1]);
    return nearest.name;
}

static void a_mistyped_name_is_near_the_one_that_was_meant(void **state)
{
    struct nearest nearest = {.typed = "cvs"};
    char words[NEAREST_TEXT];

    (void)state;
    assert_string_equal(near_to("listn"), "listen");
    assert_string_equal(near_to("LISTEN"), "listen");
    assert_string_equal(near_to("sotre"), "store");
    assert_string_equal(near_to("store_conections"), "store_connections");
    assert_null(near_to("port"));
    assert_null(near_to(""));
    assert_null(near_to("a_word_that_is_longer_than_any_name_could_be"));
    assert_string_equal(nearest_words(&nearest, "--", words), "");
    nearest_try(&nearest, "csv");
    assert_string_equal(nearest_words(&nearest, "--", words), " (did you mean --csv?)");
}

static void text_is_wrapped_between_words(void **state)
{
    char words[17 * 6 + 1] = "", want[sizeof(words) + 8] = "", *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    for (int i = 0; i < 17; i++) { /* 16 words of four letters fit into 80 columns */
        strcat(words, i > 0 ? " wörd" : "wörd");
        strcat(want, i == 0 ? "wörd" : i < 16 ? " wörd" : "\n  wörd\n");
    }
    wrap_print(out, 0, 2, words);
    fclose(out);
    assert_string_equal(text, want);
    free(text);
}

/* What table_add() makes of the text. */
static void is_cell(const char *text, struct table_cell cell, const char *expected)
{
    struct buf line;

    buf_init(&line, 1000);
    table_add(&line, text, strlen(text), &cell);
    assert_string_equal(buf_str(&line), expected);
    buf_done(&line);
}

static void a_cell_is_as_wide_as_a_terminal_shows_it(void **state)
{
    (void)state;
    assert_int_equal(table_width("", 0), 0);
    assert_int_equal(table_width("日本", 6), 4);
    assert_int_equal(table_width("e\u0301a", 4), 2);
    assert_int_equal(table_width("a\0b", 3), 3);
    is_cell("ab", (struct table_cell){.width = 4}, "ab  ");
    is_cell("ab", (struct table_cell){.width = 4, .right = true}, "  ab");
    is_cell("日本", (struct table_cell){.width = 5}, "日本 ");
    is_cell("a\n\x1b\x7f\xc2\x9bz", (struct table_cell){0}, "a    z");
    is_cell("a\xff\xed\xa0\x80z", (struct table_cell){0}, "a????z");
    is_cell("abcdef", (struct table_cell){.most = 6}, "abcdef");
    is_cell("abcdef", (struct table_cell){.width = 9, .most = 5}, "abcd…    ");
    is_cell("a日本語", (struct table_cell){.most = 5}, "a日 …");
    is_cell("日本語", (struct table_cell){.most = 5}, "日本…");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_is_read_strictly),
        cmocka_unit_test(a_buffer_grows_up_to_its_maximum),
        cmocka_unit_test(a_failed_buffer_stays_failed_until_it_is_reset),
        cmocka_unit_test(taken_text_is_the_callers),
        cmocka_unit_test(strings_compare_with_null),
        cmocka_unit_test(a_copy_is_always_terminated),
        cmocka_unit_test(nothing_is_cut_inside_a_letter),
        cmocka_unit_test(numbers_are_read_whole_or_not_at_all),
        cmocka_unit_test(durations_and_sizes_need_their_unit),
        cmocka_unit_test(sizes_are_shown_for_people),
        cmocka_unit_test(limits_are_shown_as_they_are_written),
        cmocka_unit_test(utf8_is_what_the_rfc_says),
        cmocka_unit_test(a_guid_prints_as_it_is_parsed),
        cmocka_unit_test(what_is_no_guid_is_refused),
        cmocka_unit_test(new_guids_are_of_version_7_and_of_now),
        cmocka_unit_test(moments_print_in_utc),
        cmocka_unit_test(an_http_date_is_read_in_its_three_forms),
        cmocka_unit_test(a_date_is_a_day_of_the_calendar),
        cmocka_unit_test(the_monotonic_clock_does_not_go_back),
        cmocka_unit_test(scaled_integers_print_exactly),
        cmocka_unit_test(every_count_of_digits_prints_exactly),
        cmocka_unit_test(plain_decimals_are_json_numbers_without_exponent),
        cmocka_unit_test(decimals_are_equal_by_value),
        cmocka_unit_test(equal_decimals_are_one_text),
        cmocka_unit_test(json_texts_are_escaped),
        cmocka_unit_test(what_is_escaped_is_escaped_wherever_it_stands),
        cmocka_unit_test(json_texts_that_are_not_utf8_add_nothing),
        cmocka_unit_test(json_words_of_our_own_always_fit),
        cmocka_unit_test(an_error_has_a_code_words_and_a_detail),
        cmocka_unit_test(an_error_of_the_system_says_so_and_keeps_errno),
        cmocka_unit_test(long_words_are_cut),
        cmocka_unit_test(a_code_has_its_http_status_and_title),
        cmocka_unit_test(a_mistyped_name_is_near_the_one_that_was_meant),
        cmocka_unit_test(text_is_wrapped_between_words),
        cmocka_unit_test(a_cell_is_as_wide_as_a_terminal_shows_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
