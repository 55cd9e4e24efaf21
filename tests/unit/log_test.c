/* tests/unit/log_test.c -- one event is one line, readable as text or as JSON whatever it holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum { LINE_MAX_BYTES = 65536 };

/* Standard error is a pipe from capture() to captured(). */
static struct {
    int pipe[2], stderr_copy;
    char text[LINE_MAX_BYTES];
} output;

static void capture(enum log_level least, bool json)
{
    assert_int_equal(pipe2(output.pipe, O_CLOEXEC | O_NONBLOCK), 0);
    output.stderr_copy = dup(STDERR_FILENO);
    assert_true(output.stderr_copy >= 0);
    assert_true(dup2(output.pipe[1], STDERR_FILENO) >= 0);
    log_init(least, json);
}

/* What was written, without its time stamp (text) when it has one. */
static const char *captured(void)
{
    ssize_t n = read(output.pipe[0], output.text, sizeof(output.text) - 1);

    dup2(output.stderr_copy, STDERR_FILENO);
    close(output.stderr_copy);
    close(output.pipe[0]);
    close(output.pipe[1]);
    log_init(LOG_INFO, false);
    output.text[n > 0 ? n : 0] = '\0';
    return output.text;
}

/* The one JSON line that was written, parsed: yours. */
static json_t *captured_json(void)
{
    const char *text = captured();
    json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    assert_non_null(line);
    assert_int_equal(text[strlen(text) - 1], '\n');
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    return line;
}

static const char *member(const json_t *line, const char *key)
{
    const char *text = json_string_value(json_object_get(line, key));

    assert_non_null(text);
    return text;
}

static void a_text_line_has_time_level_event_and_fields(void **state)
{
    const char *text;

    (void)state;
    capture(LOG_INFO, false);
    log_info("report.move", "reference=%s from=%s rows=%d bytes=%lld size=%zu share=%f", "ab-c",
             "queued", -5, 1LL << 40, (size_t)7, 0.5);
    text = captured();
    assert_int_equal(text[CLOCK_TEXT - 2], 'Z');
    assert_string_equal(text + CLOCK_TEXT - 1,
                        " info report.move reference=ab-c from=queued rows=-5"
                        " bytes=1099511627776 size=7 share=0.500\n");
}

static void text_values_cannot_forge_fields_or_lines(void **state)
{
    const char *text;

    (void)state;
    capture(LOG_INFO, false);
    log_warn("x", "a=%s b=%s c=%s d=%s e=%s", "two words", "", "q\"\\", "k=v", "l1\nl2\x1b[0m");
    text = captured();
    assert_string_equal(text + CLOCK_TEXT - 1,
                        " warn x a=\"two words\" b=\"\" c=\"q\\\"\\\\\" d=\"k=v\""
                        " e=\"l1\\nl2\\u001b[0m\"\n");
}

/* DEL, C1 (as UTF-8 and as a byte), the separators of lines and paragraphs, the marks, embeddings,
 * overrides and isolates of direction. */
static void no_line_has_what_a_terminal_obeys(void **state)
{
    static const char orders[] = "\x7f\xc2\x80\xc2\x9b\xc2\x9f\xd8\x9c\xe2\x80\x8e\xe2\x80\x8f"
                                 "\xe2\x80\xa8\xe2\x80\xa9"
                                 "\xe2\x80\xaa\xe2\x80\xae\xe2\x81\xa6\xe2\x81\xa9";
    static const char escaped[] = "\\u007f\\u0080\\u009b\\u009f\\u061c\\u200e\\u200f"
                                  "\\u2028\\u2029\\u202a\\u202e"
                                  "\\u2066\\u2069";
    char expected[400];

    (void)state;
    capture(LOG_INFO, false);
    log_info("x", "a=%s b=%s", orders, "\xe2\x80\xa7\xc3\xa9");
    snprintf(expected, sizeof(expected), " info x a=\"%s\" b=\xe2\x80\xa7\xc3\xa9\n", escaped);
    assert_string_equal(captured() + CLOCK_TEXT - 1, expected);
    capture(LOG_INFO, false);
    log_info("x", "a=%s",
             "\x9b"
             "2J");
    assert_string_equal(captured() + CLOCK_TEXT - 1, " info x a=\"?2J\"\n");
    capture(LOG_INFO, true);
    log_info("x", "a=%s", orders);
    assert_non_null(strstr(captured(), escaped));
    assert_null(strpbrk(captured(), "\x7f\xc2\xd8\xe2"));
}

static void a_json_line_is_one_object(void **state)
{
    const char *volatile missing = NULL; /* volatile: gcc refuses a NULL that it can see */
    json_t *line;

    (void)state;
    capture(LOG_INFO, true);
    log_error("a.b", "s=%s n=%d u=%u f=%f null=%s", "x \"\n\xc3\xa4", -3, 4000000000u, 2.25,
              missing);
    line = captured_json();
    assert_int_equal(json_object_size(line), 8);
    assert_string_equal(member(line, "level"), "error");
    assert_string_equal(member(line, "event"), "a.b");
    assert_int_equal(strlen(member(line, "time")), CLOCK_TEXT - 1);
    assert_string_equal(member(line, "s"), "x \"\n\xc3\xa4");
    assert_int_equal(json_integer_value(json_object_get(line, "n")), -3);
    assert_int_equal(json_integer_value(json_object_get(line, "u")), 4000000000);
    assert_true(json_real_value(json_object_get(line, "f")) == 2.25);
    assert_string_equal(member(line, "null"), "");
    json_decref(line);
}

static void what_is_below_the_level_is_not_written(void **state)
{
    (void)state;
    capture(LOG_WARN, false);
    log_info("quiet", "n=%d", 1);
    log_debug("quieter", "a=%s", "b");
    assert_string_equal(captured(), "");
    capture(LOG_DEBUG, false);
    log_debug("loud", "n=%d", 1);
    assert_non_null(strstr(captured(), " debug loud n=1\n"));
}

static void bytes_that_are_not_utf8_do_not_break_the_line(void **state)
{
    json_t *line;

    (void)state;
    capture(LOG_INFO, true);
    log_info("x", "a=%s b=%d", "caf\xe9", 5);
    line = captured_json();
    assert_string_equal(member(line, "a"), "caf?");
    assert_int_equal(json_integer_value(json_object_get(line, "b")), 5);
    json_decref(line);
}

/* Values of control characters take six bytes each as JSON: together far more than a line. */
static void a_line_that_would_be_too_long_is_still_one_whole_line(void **state)
{
    char long_value[3000];

    (void)state;
    memset(long_value, '\x01', sizeof(long_value) - 1);
    long_value[sizeof(long_value) - 1] = '\0';
    for (int json = 0; json < 2; json++) {
        const char *text;

        capture(LOG_INFO, json != 0);
        log_info("big", "a=%s b=%s c=%s d=%d", "small", long_value, long_value, 5);
        text = captured();
        assert_non_null(strstr(text, "small"));
        assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
        if (json != 0) {
            json_t *line = json_loads(text, 0, NULL);

            assert_non_null(line);
            assert_int_equal(json_integer_value(json_object_get(line, "d")), 5);
            assert_int_equal(json_integer_value(json_object_get(line, "dropped")), 2);
            json_decref(line);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_line_has_time_level_event_and_fields),
        cmocka_unit_test(text_values_cannot_forge_fields_or_lines),
        cmocka_unit_test(no_line_has_what_a_terminal_obeys),
        cmocka_unit_test(a_json_line_is_one_object),
        cmocka_unit_test(what_is_below_the_level_is_not_written),
        cmocka_unit_test(bytes_that_are_not_utf8_do_not_break_the_line),
        cmocka_unit_test(a_line_that_would_be_too_long_is_still_one_whole_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
