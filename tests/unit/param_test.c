/* tests/unit/param_test.c -- parameter values are checked, defaulted, and refused in clear words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/param.h"
#include "core/report.h"

static const int64_t noon_ms = INT64_C(1709208000000); /* 2024-02-29T12:00:00Z */

static const char text[] = "-- report: R\n-- source: s\n"
                           "-- parameter: ProductID integer required\n"
                           "-- parameter: ToDate date default today\n"
                           "-- parameter: Name string\n"
                           "-- parameter: Price decimal\n"
                           "-- parameter: Closed boolean default false\n"
                           "-- parameter: Kind enum(Buy|Sell)\n"
                           "-- check: :ProductID and :Name\n"
                           "SELECT :ToDate, :Price, :Closed, :Kind\n"
                           "-- results\nSELECT 1\n";

static int setup(void **state)
{
    struct definition *def;
    struct err err;

    if (definition_parse("t.sql", text, strlen(text), &def, &err) != 0)
        return -1;
    *state = def;
    return 0;
}

static int teardown(void **state)
{
    definition_free(*state);
    return 0;
}

/* What `json` (NULL: none) becomes; the error's words, if it is refused. */
static const char *canonical(const struct definition *def, const char *json)
{
    static char out[8192];
    json_t *given = json != NULL ? json_loads(json, JSON_ALLOW_NUL, NULL) : NULL;
    char *got = NULL;
    struct err err = {0};
    int rc;

    assert_true(json == NULL || given != NULL);
    rc = params_canonical(def, given, noon_ms, &got, &err);
    json_decref(given);
    assert_true(rc == 0 || rc == -E_PARAM);
    if (rc != 0)
        assert_null(got);
    snprintf(out, sizeof(out), "%s", rc == 0 ? got : err.text);
    free(got);
    return out;
}

/* The value of one parameter (JSON text) is refused with these words, or accepted (NULL). */
static void check_value(const struct definition *def, const char *name, const char *value,
                        const char *words)
{
    char json[8192];
    const char *got;

    snprintf(json, sizeof(json), "{%s\"%s\": %s}",
             strcmp(name, "ProductID") == 0 ? "" : "\"ProductID\": \"1\", ", name, value);
    got = canonical(def, json);
    if (words == NULL ? *got != '{' : strstr(got, words) == NULL)
        fail_msg("%s: %s gives %s", name, value, got);
}

static void what_is_missing_takes_its_default_or_is_left_out(void **state)
{
    assert_string_equal(canonical(*state, "{\"ProductID\": \"42\"}"),
                        "{\"ProductID\":\"42\",\"ToDate\":\"2024-02-29\",\"Closed\":\"false\"}");
}

static void values_stand_in_the_order_of_the_definition(void **state)
{
    assert_string_equal(canonical(*state,
                                  "{\"Kind\": \"Sell\", \"Closed\": \"true\", \"Price\": \"1.50\","
                                  " \"Name\": \"a \\\"b\\\"\", \"ToDate\": \"2023-12-31\","
                                  " \"ProductID\": \"-7\"}"),
                        "{\"ProductID\":\"-7\",\"ToDate\":\"2023-12-31\",\"Name\":\"a \\\"b\\\"\","
                        "\"Price\":\"1.50\",\"Closed\":\"true\",\"Kind\":\"Sell\"}");
}

static void a_required_parameter_is_asked_for_by_name(void **state)
{
    assert_string_equal(canonical(*state, NULL),
                        "Parameter 'ProductID' is required: an integer such as 42.");
    assert_string_equal(canonical(*state, "{}"),
                        "Parameter 'ProductID' is required: an integer such as 42.");
}

static void a_refusal_says_what_the_parameter_takes(void **state)
{
    assert_string_equal(canonical(*state, "{\"ProductID\": \"abc\"}"),
                        "Parameter 'ProductID' takes an integer such as 42; 'abc' is not one.");
    check_value(*state, "Kind", "\"buy\"",
                "'Kind' takes one of its allowed values (Buy, Sell); 'buy' is not one.");
}

static void only_strings_are_values(void **state)
{
    static const char *const others[] = {"42", "null", "true", "[]", "{}", "1.5"};

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        check_value(*state, "ProductID", others[i], "'ProductID' must be a JSON string");
        check_value(*state, "Name", others[i], "'Name' must be a JSON string");
    }
}

static void an_integer_is_64_bits_and_kept_in_one_form(void **state)
{
    static const char *const bad[] = {"\"\"",
                                      "\" 1\"",
                                      "\"1 \"",
                                      "\"+1\"",
                                      "\"1.0\"",
                                      "\"1e3\"",
                                      "\"0x1\"",
                                      "\"-\"",
                                      "\"--1\"",
                                      "\"9223372036854775808\"",
                                      "\"-9223372036854775809\""};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        check_value(*state, "ProductID", bad[i], "takes an integer");
    check_value(*state, "ProductID", "\"9223372036854775807\"", NULL);
    check_value(*state, "ProductID", "\"-9223372036854775808\"", NULL);
    assert_non_null(strstr(canonical(*state, "{\"ProductID\": \"007\"}"), "\"ProductID\":\"7\""));
    assert_non_null(strstr(canonical(*state, "{\"ProductID\": \"-0\"}"), "\"ProductID\":\"0\""));
}

/* The canonical parameters of a report with this header, at `now_ms`, or the error's words. */
static const char *of_header(const char *header, int64_t now_ms, const char *json)
{
    static char out[2048];
    const char *sql = strstr(header, " list(") != NULL ? "1 IN (:P)" : ":P";
    struct definition *def = NULL;
    struct err err = {0};
    json_t *given = json_loads(json, 0, NULL);
    char *got = NULL;

    snprintf(out, sizeof(out), "-- report: R\n-- source: s\n%s-- results\nSELECT %s", header, sql);
    if (definition_parse("t.sql", out, strlen(out), &def, &err) != 0 ||
        params_canonical(def, given, now_ms, &got, &err) != 0)
        snprintf(out, sizeof(out), "%s", err.text);
    else
        snprintf(out, sizeof(out), "%s", got);
    free(got);
    json_decref(given);
    definition_free(def);
    return out;
}

static void a_timestamp_is_kept_in_utc(void **state)
{
    static const char sydney[] = "-- parameter: P timestamp\n-- timezone: Australia/Sydney\n";

    (void)state;
    assert_string_equal(of_header(sydney, 0, "{\"P\": \"2024-01-12 14:04\"}"),
                        "{\"P\":\"2024-01-12T03:04:00Z\"}");
    assert_string_equal(
        of_header("-- parameter: P timestamp\n", 0, "{\"P\": \"2024-01-12 14:04\"}"),
        "{\"P\":\"2024-01-12T14:04:00Z\"}");
    assert_string_equal(of_header(sydney, 0, "{\"P\": \"2024-01-12T14:04:00.50+01:00\"}"),
                        "{\"P\":\"2024-01-12T13:04:00.5Z\"}");
    assert_string_equal(of_header(sydney, 0, "{\"P\": \"2024-01-12\"}"),
                        "Parameter 'P' takes a timestamp such as 2024-01-12T03:04:05Z, or local "
                        "time such as 2024-01-12 14:04; '2024-01-12' is not one.");
    assert_non_null(strstr(of_header(sydney, 0, "{\"P\": \"2024-10-06 02:30\"}"),
                           "Parameter 'P': the local time 2024-10-06 02:30 does not exist in "
                           "Australia/Sydney, where the clocks are put forward over it."));
    assert_non_null(strstr(of_header(sydney, 0, "{\"P\": \"2024-04-07 02:30\"}"),
                           "Parameter 'P': the local time 2024-04-07 02:30 exists twice in "
                           "Australia/Sydney, where the clocks are put back over it."));
    assert_string_equal(
        of_header("-- parameter: P timestamp default '2024-04-07 02:30'\n"
                  "-- timezone: Australia/Sydney\n",
                  0, "{}"),
        "t.sql:3: the default is rejected: Parameter 'P': the local time 2024-04-07 "
        "02:30 exists twice in Australia/Sydney, where the clocks are put back over "
        "it. Say which by its offset, such as 2024-01-12T14:04:00+11:00.");
    assert_string_equal(of_header("-- parameter: P timestamp default '2024-01-12 14:04'\n"
                                  "-- timezone: Australia/Sydney\n",
                                  0, "{}"),
                        "{\"P\":\"2024-01-12T03:04:00Z\"}");
}

static void today_is_the_day_of_the_zone(void **state)
{
    (void)state;
    assert_string_equal(of_header("-- parameter: P date default today\n", noon_ms, "{}"),
                        "{\"P\":\"2024-02-29\"}");
    assert_string_equal(
        of_header("-- parameter: P date default today\n-- timezone: Pacific/Auckland\n", noon_ms,
                  "{}"),
        "{\"P\":\"2024-03-01\"}"); /* it is one o'clock there */
    assert_string_equal(
        of_header("-- parameter: P date default today\n-- timezone: Pacific/Pago_Pago\n",
                  noon_ms - INT64_C(2) * 3600 * 1000, "{}"),
        "{\"P\":\"2024-02-28\"}");
    assert_string_equal(
        of_header("-- timezone: Australia/Sidney\n", 0, "{}"),
        "t.sql:3: 'Australia/Sidney' is not a time zone of this machine's tz database "
        "(the package tzdata); write a name such as Australia/Sydney");
}

static void a_default_may_be_a_day_by_its_distance(void **state)
{
    /* On 29 February 2024, and on 31 January 2023. */
    static const char *const days[][3] = {
        {"today", "2024-02-29", "2023-01-31"},
        {"today-30d", "2024-01-30", "2023-01-01"},
        {"today-0d", "2024-02-29", "2023-01-31"},
        {"today+1d", "2024-03-01", "2023-02-01"},
        {"today-00366d", "2023-02-28", "2022-01-30"},
        {"month-start", "2024-02-01", "2023-01-01"},
        {"month-end", "2024-02-29", "2023-01-31"},
        {"last-month-start", "2024-01-01", "2022-12-01"},
        {"last-month-end", "2024-01-31", "2022-12-31"},
        {"year-start", "2024-01-01", "2023-01-01"},
    };
    static const char *const wrong[] = {"today-",    "today-30", "today-d",       "today-30days",
                                        "Today",     "month",    "today-999999d", "today -30d",
                                        "yesterday", "today*2d", "month-start-1d"};
    char header[200], want[60];

    (void)state;
    for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
        snprintf(header, sizeof(header), "-- parameter: P date default %s\n", days[i][0]);
        snprintf(want, sizeof(want), "{\"P\":\"%s\"}", days[i][1]);
        assert_string_equal(of_header(header, noon_ms, "{}"), want);
        snprintf(want, sizeof(want), "{\"P\":\"%s\"}", days[i][2]);
        assert_string_equal(of_header(header, INT64_C(1675166400000), "{}"), want);
        assert_string_equal(of_header(header, 0, "{\"P\": \"2000-01-01\"}"),
                            "{\"P\":\"2000-01-01\"}");
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(header, sizeof(header), "-- parameter: P date default %s\n", wrong[i]);
        assert_true(strstr(of_header(header, noon_ms, "{}"), "t.sql:3: ") != NULL);
    }
    assert_non_null(
        strstr(of_header("-- parameter: P date default yesterday\n", 0, "{}"),
               "'yesterday' is not a valid default for 'P'; use a date written YYYY-MM-DD, today, "
               "today-30d, month-start, month-end, last-month-start, "
               "last-month-end or year-start, in"));
    /* A word is no value for callers, and no other type has it. */
    assert_non_null(strstr(of_header("-- parameter: P date\n", 0, "{\"P\": \"today\"}"),
                           "takes a date written YYYY-MM-DD; 'today' is not one."));
    assert_string_equal(of_header("-- parameter: P string default month-end\n", 0, "{}"),
                        "{\"P\":\"month-end\"}");
    /* Months and years begin by the zone's clocks: in Kiritimati it is already March. */
    assert_string_equal(of_header("-- parameter: P date default month-start\n"
                                  "-- timezone: Pacific/Kiritimati\n",
                                  noon_ms, "{}"),
                        "{\"P\":\"2024-03-01\"}");
}

static void a_value_keeps_its_limits(void **state)
{
    static const struct {
        const char *declared, *good[4], *bad[4];
    } cases[] = {
        {"integer min -5 max 500", {"-5", "500", "0"}, {"-6", "501", "9223372036854775807"}},
        {"integer max 500", {"500", "-9223372036854775808"}, {"501"}},
        {"decimal min 0.10 max 12.5", {"0.1", "12.50", "1"}, {"0.0999", "12.51", "100", "-1"}},
        {"decimal min -2.5 max -0", {"-2.50", "0", "-0.0"}, {"-2.51", "0.001", "-10"}},
        {"date min 2024-01-01 max 2024-12-31",
         {"2024-01-01", "2024-12-31"},
         {"2023-12-31", "2025-01-01"}},
        {"timestamp min 2024-01-01T00:00:00Z max '2024-01-01 12:00'",
         {"2024-01-01T00:00:00Z", "2024-01-01T23:00:00+11:00", "2024-01-01T00:00:00.5Z"},
         {"2023-12-31T23:59:59.9Z", "2024-01-01T12:00:00.000001Z"}},
        {"string matching \"[A-Z]{3}|x+\"", {"ABC", "xx"}, {"AB", "ABCx", "aABC", "ABC\\n"}},
        {"string matching \".{2}\"", {"é€", "ab"}, {"é", "abc"}},
        {"string matching \"say \"\"hi\"\"\" \"d\"", {"say \\\"hi\\\""}, {"say hi"}},
    };
    char header[200], json[100];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(header, sizeof(header), "-- parameter: P %s\n", cases[i].declared);
        for (size_t k = 0; k < 4 && cases[i].good[k] != NULL; k++) {
            snprintf(json, sizeof(json), "{\"P\": \"%s\"}", cases[i].good[k]);
            if (*of_header(header, 0, json) != '{')
                fail_msg("%s: %s: %s", header, json, of_header(header, 0, json));
        }
        for (size_t k = 0; k < 4 && cases[i].bad[k] != NULL; k++) {
            snprintf(json, sizeof(json), "{\"P\": \"%s\"}", cases[i].bad[k]);
            if (strncmp(of_header(header, 0, json), "Parameter 'P' takes ", 20) != 0)
                fail_msg("%s: %s: %s", header, json, of_header(header, 0, json));
        }
    }
    assert_string_equal(
        of_header("-- parameter: P integer max 500 min 1\n", 0, "{\"P\": \"501\"}"),
        "Parameter 'P' takes an integer such as 42, from 1 to 500; '501' is not one.");
    assert_string_equal(of_header("-- parameter: P string required matching \"[A-Z]+\"\n", 0, "{}"),
                        "Parameter 'P' is required: a text, matching [A-Z]+.");
    assert_string_equal(
        of_header("-- parameter: P decimal min 0.5\n", 0, "{\"P\": \"0\"}"),
        "Parameter 'P' takes a decimal number such as 12.50, at least 0.5; '0' is not "
        "one.");
}

static void limits_that_contradict_are_errors_of_the_definition(void **state)
{
    static const char *const cases[][2] = {
        {"integer min 5 max 4", "no value of 'P' is at least 5 and at most 4; correct min or max"},
        {"decimal min 1.1 max 1.09", "no value of 'P' is at least 1.1"},
        {"date min 2024-01-02 max 2024-01-01", "no value of 'P'"},
        {"integer default 600 max 500",
         "the default is rejected: Parameter 'P' takes an integer such as 42, "
         "at most 500; '600' is not one."},
        {"string default a matching \"b\"",
         "the default is rejected: Parameter 'P' takes a text, matching b"},
        {"integer min x", "'x' is not a valid min for 'P'; write a value of type integer"},
        {"integer min", "'' is not a valid min for 'P'"},
        {"integer min 1 min 2", "duplicate min of 'P'"},
        {"string max 5", "max is for integer, decimal, date and timestamp"},
        {"integer matching \"a\"", "matching is for string"},
        {"string matching a", "matching takes an expression in double quotes"},
        {"string matching \"a", "matching takes an expression in double quotes"},
        {"string matching \"(a\"", "is not a POSIX extended regular expression: "},
        {"string matching \"a)(b\"", "is not a POSIX extended regular expression: "},
        {"string matching \"(a)\\1\"", "there are no references"},
        {"string matching \"a\" matching \"a\"", "duplicate matching of 'P'"},
        {"integer required required", "'required' is not understood"},
        {"integer min 1 required default 2", "'P' is required, so its default is never used"},
    };
    char header[200];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *got;

        snprintf(header, sizeof(header), "-- parameter: P %s\n", cases[i][0]);
        got = of_header(header, 0, "{}");
        if (strncmp(got, "t.sql:3: ", 9) != 0 || strstr(got, cases[i][1]) == NULL)
            fail_msg("%s: %s", cases[i][0], got);
    }
}

static void a_default_that_the_calendar_moves_out_of_its_limits_breaks_nothing(void **state)
{
    static const char header[] = "-- parameter: P date default today max 2020-01-01\n";

    (void)state;
    assert_string_equal(of_header(header, INT64_C(1577880000000), "{}"), /* noon of that day */
                        "{\"P\":\"2020-01-01\"}");
    assert_string_equal(of_header(header, INT64_C(1577966400000), "{}"),
                        "Parameter 'P' has to be given now: it takes a date written YYYY-MM-DD, at "
                        "most 2020-01-01, and its default, today, is 2020-01-02 today.");
    assert_string_equal(of_header(header, INT64_C(1577966400000), "{\"P\": \"2019-12-31\"}"),
                        "{\"P\":\"2019-12-31\"}");
}

static void a_zero_has_no_sign(void **state)
{
    (void)state;
    assert_string_equal(of_header("-- parameter: P decimal\n", 0, "{\"P\": \"-0.00\"}"),
                        "{\"P\":\"0.00\"}");
    assert_string_equal(
        of_header("-- parameter: P list(decimal)\n", 0, "{\"P\": \"-0,-0.0,-0.01,0\"}"),
        "{\"P\":\"0,0.0,-0.01,0\"}");
    assert_string_equal(of_header("-- parameter: P decimal default -0\n", 0, "{}"),
                        "{\"P\":\"0\"}");
}

static void a_list_does_not_take_the_processor_for_as_long_as_it_likes(void **state)
{
    enum { VALUES = 45, LEN = 4000 }; /* seconds, if nothing ends it */
    static const char header[] = "-- parameter: P list(string) matching \"[ab]*a[ab]{900}\"\n";
    static char body[VALUES * (LEN + 1) + 32] = "{\"P\": \"";
    size_t len = strlen(body);
    unsigned bits = 1;

    (void)state;
    for (int i = 0; i < VALUES; i++, len += LEN + 1) {
        for (size_t k = 0; k < LEN; k++) {
            bits = bits * 1103515245u + 12345u;
            body[len + k] = (bits >> 16 & 1) != 0 ? 'a' : 'b';
        }
        body[len + LEN - 901] = 'a';
        body[len + LEN] = ',';
    }
    memcpy(body + len - 1, "\"}", 3);
    assert_string_equal(of_header(header, 0, body),
                        "Parameter 'P': it takes too long to compare so many values with "
                        "[ab]*a[ab]{900}. Give fewer or shorter ones.");
}

static void dates_are_days_that_exist(void **state)
{
    static const char *const bad[] = {"\"\"",         "\"2024-02-30\"", "\"2023-02-29\"",
                                      "\"2024-1-1\"", "\"today\"",      "\"2024-13-01\"",
                                      "\"20240101\"", "\"0000-01-01\"", "\"2024-01-01T00:00:00\""};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        check_value(*state, "ToDate", bad[i], "takes a date written YYYY-MM-DD");
    check_value(*state, "ToDate", "\"2024-02-29\"", NULL);
    check_value(*state, "ToDate", "\"9999-12-31\"", NULL);
}

static void booleans_and_decimals_have_one_way_to_be_written(void **state)
{
    static const char *const no_booleans[] = {"\"\"", "\"t\"", "\"1\"", "\"yes\""};
    static const char *const no_decimals[] = {"\"\"", "\"1,5\"", "\"1e5\"", "\".5\"", "\"NaN\""};

    for (size_t i = 0; i < sizeof(no_booleans) / sizeof(no_booleans[0]); i++)
        check_value(*state, "Closed", no_booleans[i], "takes true or false");
    for (size_t i = 0; i < sizeof(no_decimals) / sizeof(no_decimals[0]); i++)
        check_value(*state, "Price", no_decimals[i], "takes a decimal number");
    check_value(*state, "Closed", "\"true\"", NULL);
    check_value(*state, "Closed", "\"FALSE\"", "\"Closed\":\"false\""); /* in any letter case */
    check_value(*state, "Price", "\"-0.05\"", NULL);
}

static void empty_is_a_value_only_for_string(void **state)
{
    assert_non_null(
        strstr(canonical(*state, "{\"ProductID\": \"1\", \"Name\": \"\"}"), "\"Name\":\"\""));
    check_value(*state, "Kind", "\"\"", "an empty text is not one");
    check_value(*state, "ToDate", "\"\"", "an empty text is not one");
}

static void an_unknown_parameter_is_answered_with_the_known_ones(void **state)
{
    check_value(*state, "Produkt", "\"1\"",
                "Report 'R' has no parameter 'Produkt'; it takes ProductID, ToDate, Name");
    check_value(*state, "todate", "\"1\"", "'todate'; it is written 'ToDate' there");
    assert_string_equal(canonical(*state, "[]"),
                        "The parameters must be a JSON object of strings.");
}

static void a_value_has_at_most_4096_bytes_and_no_nul(void **state)
{
    char value[PARAM_VALUE_MAX + 4];

    memset(value, 'x', sizeof(value));
    value[0] = '"';
    strcpy(value + PARAM_VALUE_MAX + 1, "\"");
    check_value(*state, "Name", value, NULL);
    strcpy(value + PARAM_VALUE_MAX + 1, "x\"");
    check_value(*state, "Name", value, "takes at most 4096 bytes; it was given 4097");
    check_value(*state, "Name", "\"a\\u0000b\"", "U+0000");
}

static bool is_utf8(const char *s)
{
    size_t step = 1;

    for (; *s != '\0' && step > 0; s += step)
        step = str_utf8_length(s, strlen(s));
    return step > 0;
}

static void what_a_message_repeats_is_short_and_still_utf8(void **state)
{
    for (int shift = 0; shift < 2; shift++) {
        char json[400];
        const char *got;

        snprintf(json, sizeof(json), "{\"ProductID\": \"%s", shift == 0 ? "" : "x");
        for (int i = 0; i < 100; i++)
            strcat(json, "\xc3\xa4");
        strcat(json, "\"}");
        got = canonical(*state, json);
        assert_non_null(strstr(got, "...' is not one"));
        assert_true(strlen(got) < 150);
        assert_true(is_utf8(got));
    }
}

static void a_long_list_of_names_is_cut_once(void **state)
{
    struct definition *def;
    struct err err;
    char many[8192];
    const char *got, *dots;

    (void)state;
    strcpy(many, "-- report: R\n-- source: s\n");
    for (int i = 0; i < DEFINITION_PARAMETERS_MAX; i++)
        sprintf(many + strlen(many), "-- parameter: %s%d string\n", i % 9 == 8 ? "a" : "aParameter",
                i);
    strcat(many, "-- results\nSELECT 1");
    for (int i = 0; i < DEFINITION_PARAMETERS_MAX; i++)
        sprintf(many + strlen(many), ", :%s%d", i % 9 == 8 ? "a" : "aParameter", i);
    assert_int_equal(definition_parse("t.sql", many, strlen(many), &def, &err), 0);
    got = canonical(def, "{\"x\": \"1\"}");
    dots = strstr(got, "...");
    assert_non_null(dots);
    assert_string_equal(dots, "....");
    definition_free(def);
}

static void all_values_together_have_a_limit(void **state)
{
    struct definition *def;
    struct err err = {0};
    char many[4096], value[PARAM_VALUE_MAX + 1], *got = NULL;
    json_t *given = json_object();

    (void)state;
    memset(value, 'x', sizeof(value) - 1);
    value[PARAM_VALUE_MAX] = '\0';
    strcpy(many, "-- report: R\n-- source: s\n");
    for (int i = 0; i < 16; i++) {
        char name[16];

        snprintf(name, sizeof(name), "p%d", i);
        sprintf(many + strlen(many), "-- parameter: %s string\n", name);
        json_object_set_new(given, name, json_string(value));
    }
    strcat(many, "-- results\nSELECT 1");
    for (int i = 0; i < 16; i++)
        sprintf(many + strlen(many), ", :p%d", i);
    assert_int_equal(definition_parse("t.sql", many, strlen(many), &def, &err), 0);
    assert_int_equal(params_canonical(def, given, 0, &got, &err), -E_PARAM);
    assert_non_null(strstr(err.text, "more than 65536 bytes"));
    json_object_del(given, "p0");
    assert_int_equal(params_canonical(def, given, 0, &got, &err), 0);
    assert_true(strlen(got) <= REPORT_PARAMETERS_MAX);
    free(got);
    json_decref(given);
    definition_free(def);
}

static void values_come_back_in_the_order_of_the_definition(void **state)
{
    const struct definition *def = *state;
    struct param_value *values;
    struct err err;

    assert_int_equal(params_values(def,
                                   "{\"Name\":\"\",\"ProductID\":\"5\",\"ToDate\":"
                                   "\"2024-01-01\"}",
                                   &values, &err),
                     0);
    assert_string_equal(values[0].name, "ProductID");
    assert_int_equal(values[0].type, PARAM_INTEGER);
    assert_string_equal(values[0].text, "5");
    assert_string_equal(values[1].text, "2024-01-01");
    assert_string_equal(values[2].text, "");
    assert_null(values[3].text);
    assert_null(values[5].text);
    params_free(values, def->param_count);
}

static void values_are_checked_again_against_a_changed_definition(void **state)
{
    static const char *const bad[] = {"{}", "{\"ProductID\":\"x\"}",
                                      "{\"ProductID\":\"1\",\"Gone\":\"1\"}", "", "[1"};
    struct param_value *values = NULL;
    struct err err;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(params_values(*state, bad[i], &values, &err), -E_PARAM);
    assert_null(values);
    assert_int_equal(params_values(*state, "{\"ProductID\":\"1\"}", &values, &err), 0);
    assert_string_equal(values[4].text, "false");
    params_free(values, 6);
}

static void expect_filled(const char *message, const char *want)
{
    char one[] = "1", name[] = "a:ID";
    const struct param_value values[] = {
        {.name = "ID", .text = one}, {.name = "IDs", .text = name}, {.name = "None", .text = NULL}};
    struct buf out;

    buf_init(&out, 1000);
    params_fill(&out, message, values, 3);
    assert_string_equal(buf_str(&out), want);
    buf_done(&out);
}

static void a_message_is_filled_in(void **state)
{
    (void)state;
    expect_filled("Product :ID does not exist.", "Product 1 does not exist.");
    expect_filled(":ID:IDs", "1a:ID");
    expect_filled("<:None>", "<>");
    expect_filled("12:30, a::ID, : ID, :Other", "12:30, a::ID, : ID, :Other");
    expect_filled("", "");
    expect_filled(":", ":");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_missing_takes_its_default_or_is_left_out),
        TEST(values_stand_in_the_order_of_the_definition),
        TEST(a_required_parameter_is_asked_for_by_name),
        TEST(a_refusal_says_what_the_parameter_takes),
        TEST(only_strings_are_values),
        TEST(an_integer_is_64_bits_and_kept_in_one_form),
        TEST(a_timestamp_is_kept_in_utc),
        TEST(a_default_that_the_calendar_moves_out_of_its_limits_breaks_nothing),
        TEST(a_zero_has_no_sign),
        TEST(a_list_does_not_take_the_processor_for_as_long_as_it_likes),
        TEST(today_is_the_day_of_the_zone),
        TEST(a_default_may_be_a_day_by_its_distance),
        TEST(a_value_keeps_its_limits),
        TEST(limits_that_contradict_are_errors_of_the_definition),
        TEST(dates_are_days_that_exist),
        TEST(booleans_and_decimals_have_one_way_to_be_written),
        TEST(empty_is_a_value_only_for_string),
        TEST(an_unknown_parameter_is_answered_with_the_known_ones),
        TEST(a_value_has_at_most_4096_bytes_and_no_nul),
        TEST(what_a_message_repeats_is_short_and_still_utf8),
        TEST(a_long_list_of_names_is_cut_once),
        TEST(all_values_together_have_a_limit),
        TEST(values_come_back_in_the_order_of_the_definition),
        TEST(values_are_checked_again_against_a_changed_definition),
        TEST(a_message_is_filled_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
