/* tests/unit/worker_test.c -- what a worker makes of the reports that it is sent. */
#include "worker_fixture.h"

static void member_is(json_t *data, const char *member, const char *text)
{
    json_t *expected = json_loads(text, JSON_DECODE_ANY, NULL);
    char *got = json_dumps(json_object_get(data, member), JSON_COMPACT | JSON_ENCODE_ANY);

    if (!json_equal(json_object_get(data, member), expected))
        fail_msg("%s is %s, not %s", member, got, text);
    json_decref(expected);
    free(got);
}

static void a_report_completes_with_its_rows_and_summary(void **state)
{
    json_t *data = completes(
        *state, &(struct ask){.definition = HEAD
                              "-- parameter: Id integer required\n"
                              "-- results\nSELECT id AS \"id\", name AS \"name\" FROM entity "
                              "WHERE id >= :Id ORDER BY id;\n"
                              "-- summary\nSELECT count(*) AS \"total\" FROM entity;\n",
                              .parameters = "{\"Id\":\"2\"}"});

    member_is(data, "reportName", "\"Test\"");
    member_is(data, "parameters", "{\"Id\":\"2\"}");
    member_is(data, "results",
              "[{\"id\":2,\"name\":\"Bob\"},{\"id\":3,\"name\":\"Cy \\\"x\\\"\"}]");
    member_is(data, "summary", "{\"total\":3}");
    assert_int_equal(json_string_length(json_object_get(data, "generatedDate")), 20);
    json_decref(data);
}

static void a_nested_report_puts_rows_into_the_array_of_their_object(void **state)
{
    json_t *data = completes(
        *state, &(struct ask){.definition = HEAD
                              "-- column: accounts[].balance scaled(2)\n"
                              "-- results\nSELECT e.id AS \"id\", a.id AS \"accounts[].id\", "
                              "a.cents AS \"accounts[].balance\" FROM entity e LEFT JOIN account a "
                              "ON a.entity = e.id ORDER BY 1, 2;\n"});

    member_is(
        data, "results",
        "[{\"id\":1,\"accounts\":[{\"id\":10,\"balance\":123.45},{\"id\":11,\"balance\":0.05}"
        "]},{\"id\":2,\"accounts\":[{\"id\":12,\"balance\":-1000.00}]},{\"id\":3,\"accounts\":"
        "[]}]");
    member_is(data, "summary", "{}");
    json_decref(data);
}

static void a_report_without_rows_is_complete_and_empty(void **state)
{
    json_t *data =
        completes(*state, &(struct ask){.definition = HEAD
                                        "-- results\nSELECT 1 AS \"x\" FROM entity WHERE 0;\n"});

    member_is(data, "results", "[]");
    json_decref(data);
}

/* What DONE says of the sync, where a result of `ask` has `size` bytes. */
static int64_t unsynced(struct bench *b, struct ask ask, int64_t row_results, int64_t *ret_size)
{
    struct wire_answer done;
    size_t len;

    ask.row_results = row_results;
    run(b, &ask, &done);
    assert_int_equal(done.outcome, WIRE_COMPLETE);
    free(read_part(b, &len));
    *ret_size = (int64_t)len;
    return done.unsynced;
}

static void only_a_file_up_to_the_limit_is_left_unsynced(void **state)
{
    const struct ask ask = {.definition = HEAD "-- results\nSELECT 1 AS \"x\";\n"};
    int64_t size;

    assert_int_equal(unsynced(*state, ask, 0, &size), 0);
    assert_int_equal(unsynced(*state, ask, size, &size), size);
    assert_int_equal(unsynced(*state, ask, size - 1, &size), 0);
}

static void a_report_of_many_blocks_is_whole(void **state)
{
    json_t *data =
        completes(*state, &(struct ask){.definition = HEAD
                                        "-- results\nWITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
                                        "SELECT i + 1 FROM n LIMIT 60000) SELECT i AS \"i\", "
                                        "'a text that makes the row long enough, again and again' "
                                        "AS \"text\" FROM n;\n"});
    json_t *results = json_object_get(data, "results");

    assert_int_equal(json_array_size(results), 60000);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(results, 59999), "i")),
                     60000);
    json_decref(data);
}

static void a_check_without_a_row_fails_the_report_with_its_message(void **state)
{
    fails_with(*state,
               &(struct ask){.definition = HEAD "-- parameter: Id integer required\n"
                                                "-- check: Entity :Id does not exist.\n"
                                                "SELECT 1 FROM entity WHERE id = :Id;\n"
                                                "-- results\nSELECT 1 AS \"x\";\n",
                             .parameters = "{\"Id\":\"77\"}"},
               "Entity 77 does not exist.");
}

/* 479 bytes end inside a letter of two bytes. */
static void a_message_that_is_cut_is_still_text(void **state)
{
    char letters[601], definition[1000], expected[479];

    for (int i = 0; i < 300; i++)
        memcpy(letters + (ptrdiff_t)2 * i, "\xc3\xa9", 3);
    str_copy(expected, sizeof(expected), letters);
    snprintf(definition, sizeof(definition),
             HEAD "-- check: %s\nSELECT 1 WHERE 0;\n-- results\nSELECT 1 AS \"x\";\n", letters);
    fails_with(*state, &(struct ask){.definition = definition}, expected);
}

static void the_time_zone_of_the_configuration_comes_with_the_order(void **state)
{
    static const char *const cases[][2] = {
        {"Australia/Sydney", "[{\"t\":\"2024-01-11 13:00:00\"}]"},
        {"", "[{\"t\":\"2024-01-12 00:00:00\"}]"}, /* nothing is left of the one before */
    };
    struct ask ask = {.definition =
                          HEAD "-- parameter: T timestamp\n-- results\nSELECT :T AS \"t\"",
                      .parameters = "{\"T\":\"2024-01-12 00:00\"}"};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *data;

        ask.timezone = cases[i][0];
        data = completes(*state, &ask);
        member_is(data, "results", cases[i][1]);
        json_decref(data);
    }
}

#define CHOICES                                                                                    \
    HEAD "-- parameter: N decimal\n-- parameter: L list(integer)\n-- values: N\n"                  \
         "SELECT 0.0, 'zero' UNION ALL SELECT 1.5, NULL UNION ALL SELECT NULL, 'none' "            \
         "UNION ALL SELECT 10, 'ten' UNION ALL SELECT '2.50', '' "                                 \
         "UNION ALL SELECT '0.12345678901234567890', 'long' UNION ALL SELECT 1e20, 'big'\n"        \
         "-- values: L\nSELECT id FROM entity\n"                                                   \
         "-- results\nSELECT :N AS \"n\" WHERE :L IS NULL OR 1 IN (:L)\n"

static void choices_are_listed_as_a_parameter_is_written(void **state)
{
    struct bench *b = *state;
    struct wire_answer done;
    size_t len;
    char *text;

    run(b, &(struct ask){.definition = CHOICES, .choices = "N"}, &done);
    assert_int_equal(done.outcome, WIRE_COMPLETE);
    text = read_part(b, &len);
    assert_int_equal(done.bytes, len);
    assert_string_equal(text, "[{\"value\":\"0.0\",\"label\":\"zero\"},"
                              "{\"value\":\"1.5\",\"label\":\"1.5\"},"
                              "{\"value\":\"10\",\"label\":\"ten\"},"
                              "{\"value\":\"2.50\",\"label\":\"\"},"
                              "{\"value\":\"0.12345678901234567890\",\"label\":\"long\"},"
                              "{\"value\":\"100000000000000000000\",\"label\":\"big\"}]");
    free(text);
}

static void choices_keep_to_the_limits_of_their_parameter(void **state)
{
#define ONE(value) "[{\"value\":\"" value "\",\"label\":\"\"}]"
    static const struct {
        const char *parameter, *query, *want;
    } cases[] = {
        {"integer min 2 max 2", "SELECT id, '' FROM entity", ONE("2")},
        {"integer", "SELECT 7.0, ''", ONE("7")}, /* a number, however it is stored */
        {"decimal max 2.5", "SELECT '2.500', '' UNION ALL SELECT 2.51, ''", ONE("2.500")},
        {"string matching \"A[a-z]+\"", "SELECT name, '' FROM entity", ONE("Ann")},
        {"timestamp min 2024-01-01T00:00:00Z", /* a column of SQLite is in UTC, as what is bound */
         "SELECT '2024-01-01 00:00:00.5', '' UNION ALL SELECT '2023-12-31 23:59:59', ''",
         ONE("2024-01-01T00:00:00.5Z")},
        {"list(integer) max 0", "SELECT id FROM entity", "[]"},
    };
    struct wire_answer done;
    char definition[600], *text;
    size_t len;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(definition, sizeof(definition),
                 HEAD "-- parameter: P %s\n-- values: P\n%s\n"
                      "-- results\nSELECT 1 AS \"n\" WHERE 1 IN (:P)\n",
                 cases[i].parameter, cases[i].query);
        run(*state,
            &(struct ask){.definition = definition, .choices = "P", .timezone = "Australia/Sydney"},
            &done);
        text = read_part(*state, &len);
        assert_string_equal(text, cases[i].want);
        free(text);
    }
}

static void what_is_given_is_compared_with_the_choices_as_a_value(void **state)
{
    static const char *const good[] = {"{\"N\":\"0\"}",
                                       "{\"N\":\"-0.00\"}",
                                       "{\"N\":\"1.500\"}",
                                       "{\"N\":\"10.0\"}",
                                       "{\"N\":\"2.5\"}",
                                       "{}",
                                       "{\"N\":\"0.1234567890123456789\"}",
                                       "{\"N\":\"100000000000000000000.0\"}",
                                       "{\"L\":\"\"}",
                                       "{\"L\":\"3,1,3,2\"}"};
    static const char *const bad[] = {"{\"N\":\"1\"}",
                                      "{\"N\":\"1.5001\"}",
                                      "{\"N\":\"0.0000000000000000001\"}",
                                      "{\"N\":\"0.12345678901234567891\"}",
                                      "{\"N\":\"100000000000000000000.00000000000000000001\"}",
                                      "{\"L\":\"1,2,4\"}",
                                      "{\"L\":\"0\"}"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        json_decref(completes(*state, &(struct ask){.definition = CHOICES, .parameters = good[i]}));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        fails_with(*state, &(struct ask){.definition = CHOICES, .parameters = bad[i]},
                   bad[i][2] == 'N'
                       ? "The parameter 'N' has a value that is not among its choices."
                       : "The parameter 'L' has a value that is not among its choices.");
}

static void a_query_that_fails_tells_the_user_nothing_of_its_text(void **state)
{
    struct wire_answer done;

    run(*state,
        &(struct ask){.definition = HEAD "-- results\nSELECT\n nope AS \"x\"\nFROM entity;\n"},
        &done);
    assert_int_equal(done.outcome, WIRE_FAILED);
    assert_string_equal(done.message, "The report's query failed.");
    assert_string_equal(done.detail, "line 6: sqlite: no such column: nope (1)");
}

static void a_worker_goes_on_after_a_report_has_failed(void **state)
{
    static const char broken[] = HEAD "-- results\nSELECT nope AS \"x\";\n";
    static const char good[] = HEAD "-- results\nSELECT 1 AS \"x\";\n";

    for (int i = 0; i < 3; i++) {
        fails_with(*state, &(struct ask){.definition = broken}, "The report's query failed.");
        json_decref(completes(*state, &(struct ask){.definition = good}));
    }
}

static void the_next_report_may_read_another_database(void **state)
{
    struct bench *b = *state;
    static const char definition[] = HEAD "-- results\nSELECT v AS \"v\" FROM t;\n";
    json_t *data;

    /* In WAL mode and closed: its -wal and -shm files have to be made again to read it. */
    sqlite3_close(folder_database(b->folder, "one.db",
                                  "PRAGMA journal_mode = WAL; CREATE TABLE t(v);"
                                  "INSERT INTO t VALUES (1)"));
    sqlite3_close(folder_database(b->folder, "two.db",
                                  "PRAGMA journal_mode = WAL; CREATE TABLE t(v);"
                                  "INSERT INTO t VALUES (2)"));
    for (int i = 0; i < 2; i++) {
        data = completes(b, &(struct ask){.definition = definition, .database = "one.db"});
        member_is(data, "results", "[{\"v\":1}]");
        json_decref(data);
        data = completes(b, &(struct ask){.definition = definition, .database = "two.db"});
        member_is(data, "results", "[{\"v\":2}]");
        json_decref(data);
    }
}

static void the_same_connection_sees_what_was_written_since(void **state)
{
    struct bench *b = *state;
    static const char definition[] = HEAD "-- results\nSELECT count(*) AS \"n\" FROM entity;\n";
    json_t *data;

    json_decref(completes(b, &(struct ask){.definition = definition}));
    sqlite3_close(folder_database(b->folder, "a.db", "INSERT INTO entity VALUES (4, 'Dee')"));
    data = completes(b, &(struct ask){.definition = definition});
    member_is(data, "results", "[{\"n\":4}]");
    json_decref(data);
}

static void a_query_that_takes_too_long_is_stopped_with_its_limit_named(void **state)
{
    fails_with(*state,
               &(struct ask){.definition = HEAD "-- results\n" FOREVER ";\n", .timeout_ms = 300},
               "The report took longer than its limit of 300ms and was stopped. " NARROW);
}

static void a_sort_that_takes_too_long_is_stopped_too(void **state)
{
    fails_with(*state,
               &(struct ask){.definition =
                                 HEAD "-- results\nWITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
                                      "SELECT i + 1 FROM n) SELECT i AS \"i\" FROM n "
                                      "ORDER BY random();\n",
                             .timeout_ms = 1000},
               "The report took longer than its limit of 1s and was stopped. " NARROW);
}

static void cancel(struct bench *b, const struct guid *id, int attempt)
{
    struct wire_order order = {
        .run.head = {.type = WIRE_CANCEL, .attempt = attempt, .id = *id}, .fd = -1, .texts_fd = -1};

    assert_int_equal(wire_send_order(b->socket, &order, 0, NULL), 1);
}

static void a_cancelled_query_ends_although_it_gives_no_row(void **state)
{
    struct bench *b = *state;
    struct wire_answer m;
    struct guid id;

    send_run(b, &(struct ask){.definition = HEAD "-- results\n" FOREVER ";\n"}, &id);
    receive(b, &m); /* a sign of life: it is in the query */
    assert_int_equal(m.head.type, WIRE_PROGRESS);
    assert_int_equal(m.rows, 0);
    cancel(b, &id, b->attempt);
    receive_done(b, &m);
    assert_int_equal(m.outcome, WIRE_CANCELLED);
    json_decref(completes(b, &(struct ask){.definition = HEAD "-- results\nSELECT 1 AS \"x\";\n"}));
}

static void a_cancel_right_behind_its_report_is_not_lost(void **state)
{
    struct bench *b = *state;
    struct wire_answer m;
    struct guid id;

    send_run(b, &(struct ask){.definition = HEAD "-- results\n" FOREVER ";\n"}, &id);
    cancel(b, &id, b->attempt);
    receive_done(b, &m);
    assert_int_equal(m.outcome, WIRE_CANCELLED);
}

static void a_cancel_for_another_report_or_attempt_is_not_heeded(void **state)
{
    struct bench *b = *state;
    struct guid other = guid_new();
    struct wire_answer m;
    struct guid id;

    cancel(b, &other, 1);
    send_run(b, &(struct ask){.definition = HEAD "-- results\n" FOREVER ";\n", .timeout_ms = 300},
             &id);
    cancel(b, &other, b->attempt);
    cancel(b, &id, b->attempt + 1);
    receive_done(b, &m);
    assert_int_equal(m.outcome, WIRE_FAILED);
}

static void more_rows_than_the_limit_are_an_error(void **state)
{
    static const char definition[] = HEAD "-- results\nSELECT id AS \"id\" FROM entity;\n";

    json_decref(completes(*state, &(struct ask){.definition = definition, .row_limit = 3}));
    fails_with(
        *state, &(struct ask){.definition = definition, .row_limit = 2},
        "The report has more rows than its limit of 2 and was stopped. Narrow it down by its "
        "parameters.");
}

static void more_bytes_than_the_limit_are_an_error(void **state)
{
    fails_with(*state,
               &(struct ask){.definition =
                                 HEAD "-- results\nWITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
                                      "SELECT i + 1 FROM n) SELECT i AS \"i\" FROM n;\n",
                             .size_limit = 3000000},
               "The report is larger than its limit of 3000000 and was stopped. Narrow it down by "
               "its parameters.");
}

static void a_summary_must_have_exactly_one_row(void **state)
{
    fails_with(*state,
               &(struct ask){.definition = HEAD "-- results\nSELECT 1 AS \"x\";\n-- summary\n"
                                                "SELECT id AS \"id\" FROM entity WHERE 0;\n"},
               "The report's summary has no row; it must have one.");
    fails_with(*state,
               &(struct ask){.definition = HEAD "-- results\nSELECT 1 AS \"x\";\n-- summary\n"
                                                "SELECT id AS \"id\" FROM entity;\n"},
               "The report's summary has more than one row; it must have one.");
}

static void a_declared_column_that_no_query_gives_is_an_error(void **state)
{
    fails_with(*state,
               &(struct ask){.definition = HEAD "-- column: totl decimal(2)\n"
                                                "-- results\nSELECT 12345 AS \"total\";\n"},
               "The report declares the column 'totl', which its query does not give.");
}

static void a_broken_definition_is_told_to_the_operator_only(void **state)
{
    struct wire_answer done;

    run(*state, &(struct ask){.definition = "-- report: Test\n-- nonsense: x\n"}, &done);
    assert_int_equal(done.outcome, WIRE_FAILED);
    assert_string_equal(done.message, "The report's definition is broken.");
    assert_non_null(strstr(done.detail, "Test.sql:"));
}

static void the_session_user_can_be_asked_for(void **state)
{
    json_t *data = completes(
        *state, &(struct ask){.definition = HEAD "-- results\nSELECT :session_user AS \"who\";\n",
                              .user = "ann"});

    member_is(data, "results", "[{\"who\":\"ann\"}]");
    json_decref(data);
}

static void a_disk_that_is_full_fails_the_report_in_words(void **state)
{
    struct bench *b = *state;
    char part[300];

    /* The .part file is opened by its name: this one has no room at all. */
    part_path(b, part);
    assert_int_equal(symlink("/dev/full", part), 0);
    fails_with(b, &(struct ask){.definition = HEAD "-- results\nSELECT 1 AS \"x\";\n"},
               "The server's disk is full. Try again later.");
}

/* Ten thousand keys of 400 bytes, sorted: 4 MB on the disk. */
#define SPILL                                                                                      \
    HEAD "-- results\nWITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10000)" \
         " SELECT length(x) AS \"n\" FROM (SELECT hex(randomblob(200)) AS x FROM n ORDER BY x);\n"

static void a_sort_that_spills_more_than_its_limit_is_stopped_in_words(void **state)
{
    /* Twice: what the first one has spilled does not count for the second. */
    for (int i = 0; i < 2; i++)
        fails_with(*state, &(struct ask){.definition = SPILL, .temp_limit = 2 << 20},
                   "The report sorts or collects more than the 2M that it may keep in temporary "
                   "files (temp_limit), and was stopped. Narrow it down by its parameters, or ask "
                   "the operator for a higher limit or a query that sorts less.");
}

static void a_sort_within_its_limit_gives_back_what_it_has_used(void **state)
{
    for (int i = 0; i < 4; i++)
        json_decref(completes(*state, &(struct ask){.definition = SPILL, .temp_limit = 6 << 20}));
    json_decref(completes(*state, &(struct ask){.definition = SPILL}));
}

/* One call of a function, at which nothing can interrupt SQLite. */
static void a_query_that_nothing_interrupts_ends_by_its_processor_time(void **state)
{
    struct bench *b = *state;
    struct guid id;
    int status;

    json_decref(completes(b, &(struct ask){.definition = SPILL, .timeout_ms = 3600 * 1000}));
    send_run(b,
             &(struct ask){.definition = HEAD "-- results\nSELECT instr(hex(zeroblob(30000000)), "
                                              "hex(zeroblob(10000000)) || '1') AS \"x\";\n",
                           .timeout_ms = 200},
             &id);
    assert_int_equal(waitpid(b->pid, &status, 0), b->pid);
    b->pid = 0;
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGXCPU);
}

static void the_end_of_the_socket_ends_an_idle_worker(void **state)
{
    assert_int_equal(end_worker(*state), 0);
}

static void the_end_of_the_socket_ends_a_busy_worker(void **state)
{
    struct bench *b = *state;
    struct guid id;

    send_run(b, &(struct ask){.definition = HEAD "-- results\n" FOREVER ";\n"}, &id);
    assert_int_equal(end_worker(b), 0);
}

static void a_signal_for_the_group_does_not_end_a_worker(void **state)
{
    struct bench *b = *state;

    json_decref(completes(b, &(struct ask){.definition = HEAD "-- results\nSELECT 1 AS \"x\";\n"}));
    kill(b->pid, SIGTERM);
    kill(b->pid, SIGINT);
    json_decref(completes(b, &(struct ask){.definition = HEAD "-- results\nSELECT 1 AS \"x\";\n"}));
}

static void a_killed_worker_is_seen_at_its_socket(void **state)
{
    struct bench *b = *state;
    struct wire_answer m;
    struct guid id;

    send_run(b, &(struct ask){.definition = HEAD "-- results\n" FOREVER ";\n"}, &id);
    receive(b, &m);
    kill(b->pid, SIGKILL);
    assert_int_equal(wait_answer(b, &m), 0);
}

static void a_second_report_at_the_same_time_ends_the_worker(void **state)
{
    struct bench *b = *state;
    struct guid id;
    int status;

    send_run(b, &(struct ask){.definition = HEAD "-- results\n" FOREVER ";\n"}, &id);
    send_run(b, &(struct ask){.definition = HEAD "-- results\n" FOREVER ";\n"}, &id);
    assert_int_equal(waitpid(b->pid, &status, 0), b->pid);
    b->pid = 0;
    assert_int_equal(WEXITSTATUS(status), EXIT_FAILURE);
}

static void what_is_no_order_ends_the_worker(void **state)
{
    struct bench *b = *state;
    int status;

    assert_int_equal(write(b->socket, "nope", 4), 4);
    assert_int_equal(waitpid(b->pid, &status, 0), b->pid);
    b->pid = 0;
    assert_int_equal(WEXITSTATUS(status), EXIT_FAILURE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_report_completes_with_its_rows_and_summary),
        TEST(a_nested_report_puts_rows_into_the_array_of_their_object),
        TEST(a_report_without_rows_is_complete_and_empty),
        TEST(a_report_of_many_blocks_is_whole),
        TEST(only_a_file_up_to_the_limit_is_left_unsynced),
        TEST(a_check_without_a_row_fails_the_report_with_its_message),
        TEST(a_message_that_is_cut_is_still_text),
        TEST(choices_are_listed_as_a_parameter_is_written),
        TEST(what_is_given_is_compared_with_the_choices_as_a_value),
        TEST(choices_keep_to_the_limits_of_their_parameter),
        TEST(the_time_zone_of_the_configuration_comes_with_the_order),
        TEST(a_query_that_fails_tells_the_user_nothing_of_its_text),
        TEST(a_worker_goes_on_after_a_report_has_failed),
        TEST(the_next_report_may_read_another_database),
        TEST(the_same_connection_sees_what_was_written_since),
        TEST(a_query_that_takes_too_long_is_stopped_with_its_limit_named),
        TEST(a_sort_that_takes_too_long_is_stopped_too),
        TEST(a_cancelled_query_ends_although_it_gives_no_row),
        TEST(a_cancel_right_behind_its_report_is_not_lost),
        TEST(a_cancel_for_another_report_or_attempt_is_not_heeded),
        TEST(more_rows_than_the_limit_are_an_error),
        TEST(more_bytes_than_the_limit_are_an_error),
        TEST(a_summary_must_have_exactly_one_row),
        TEST(a_declared_column_that_no_query_gives_is_an_error),
        TEST(a_broken_definition_is_told_to_the_operator_only),
        TEST(the_session_user_can_be_asked_for),
        TEST(a_disk_that_is_full_fails_the_report_in_words),
        TEST(a_sort_that_spills_more_than_its_limit_is_stopped_in_words),
        TEST(a_sort_within_its_limit_gives_back_what_it_has_used),
        TEST(a_query_that_nothing_interrupts_ends_by_its_processor_time),
        TEST(the_end_of_the_socket_ends_an_idle_worker),
        TEST(the_end_of_the_socket_ends_a_busy_worker),
        TEST(a_signal_for_the_group_does_not_end_a_worker),
        TEST(a_killed_worker_is_seen_at_its_socket),
        TEST(a_second_report_at_the_same_time_ends_the_worker),
        TEST(what_is_no_order_ends_the_worker),
    };

    alarm(300); /* a worker that hangs ends the test, not the machine's patience */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
