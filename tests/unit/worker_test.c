/* tests/unit/worker_test.c -- a real worker process, real databases, real jobs over its socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "folder.h"
#include "core/footer.h"
#include "proc/wire.h"
#include "proc/worker.h"

/* Ten thousand times a million rows, and none of them leaves the join. */
#define FOREVER                                                                                    \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10000000000)"            \
    " SELECT count(*) AS \"n\" FROM n WHERE i < 0"

#define NARROW "Narrow it down by its parameters, or ask the operator for a longer limit."
#define HEAD "-- report: Test\n-- description: d\n-- source: s\n"

struct bench {
    char folder[256];
    int socket;
    pid_t pid;
    int attempt;
};

/* What a test asks for; zero means the usual. */
struct ask {
    const char *definition, *parameters, *database, *user, *choices, *timezone;
    int64_t timeout_ms, row_limit, size_limit, row_results, temp_limit;
};

static int setup(void **state)
{
    static const char schema[] =
        "CREATE TABLE entity(id INTEGER, name TEXT); CREATE TABLE account(entity, id, cents);"
        "INSERT INTO entity VALUES (1, 'Ann'), (2, 'Bob'), (3, 'Cy \"x\"');"
        "INSERT INTO account VALUES (1, 10, 12345), (1, 11, 5), (2, 12, -100000)";
    struct bench *b = calloc(1, sizeof(*b));
    int pair[2];

    folder_make(b->folder);
    sqlite3_close(folder_database(b->folder, "a.db", schema));
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    b->pid = fork();
    if (b->pid == 0) {
        close(pair[0]);
        if (pair[1] != WORKER_SOCKET)
            dup2(pair[1], WORKER_SOCKET);
        closefrom(WORKER_SOCKET + 1);
        _exit(worker_main());
    }
    close(pair[1]);
    b->socket = pair[0];
    *state = b;
    return 0;
}

/* The status the worker left with. */
static int end_worker(struct bench *b)
{
    int status = -1;

    if (b->socket >= 0)
        close(b->socket);
    b->socket = -1;
    if (b->pid > 0)
        waitpid(b->pid, &status, 0);
    b->pid = 0;
    return status;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    end_worker(b);
    folder_remove(b->folder);
    free(b);
    return 0;
}

static void part_path(const struct bench *b, char path[300])
{
    snprintf(path, 300, "%s/result.part", b->folder);
}

static void send_run(struct bench *b, const struct ask *ask, struct guid *ret_id)
{
    char url[600], part[300];
    struct wire_order order = {
        .run = {.head = {.type = WIRE_RUN, .attempt = ++b->attempt, .id = guid_new()},
                .timeout_ms = ask->timeout_ms,
                .row_limit = ask->row_limit,
                .size_limit = ask->size_limit,
                .row_results = ask->row_results,
                .temp_limit = ask->temp_limit},
        .texts = {.definition_file = "Test.sql",
                  .definition_text = ask->definition,
                  .parameters = ask->parameters != NULL ? ask->parameters : "{}",
                  .user_name = ask->user != NULL ? ask->user : "u",
                  .source_url = url,
                  .temp_folder = b->folder,
                  .timezone = ask->timezone != NULL ? ask->timezone : "",
                  .choices = ask->choices != NULL ? ask->choices : ""},
        .texts_fd = -1,
    };

    snprintf(url, sizeof(url), "sqlite:%s/%s", b->folder,
             ask->database != NULL ? ask->database : "a.db");
    part_path(b, part);
    order.fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(order.fd >= 0);
    assert_int_equal(wire_order_write_texts(&order, NULL), 0);
    assert_int_equal(wire_send_order(b->socket, &order, 0, NULL), 1);
    close(order.fd);
    wire_order_done(&order);
    *ret_id = order.run.head.id;
}

/* 1: an answer; 0: the end. */
static int wait_answer(struct bench *b, struct wire_answer *ret)
{
    struct pollfd fd = {.fd = b->socket, .events = POLLIN};

    assert_int_equal(poll(&fd, 1, -1), 1);
    return wire_receive_answer(b->socket, ret, NULL);
}

static void receive(struct bench *b, struct wire_answer *ret)
{
    assert_int_equal(wait_answer(b, ret), 1);
}

/* The DONE, over all PROGRESS before it. */
static void receive_done(struct bench *b, struct wire_answer *ret)
{
    do
        receive(b, ret);
    while (ret->head.type == WIRE_PROGRESS);
}

static void run(struct bench *b, const struct ask *ask, struct wire_answer *ret)
{
    struct guid id;

    send_run(b, ask, &id);
    receive_done(b, ret);
    assert_true(guid_eq(&ret->head.id, &id));
    assert_int_equal(ret->head.attempt, b->attempt);
}

static void fails_with(struct bench *b, const struct ask *ask, const char *message)
{
    struct wire_answer done;

    run(b, ask, &done);
    assert_int_equal(done.outcome, WIRE_FAILED);
    assert_string_equal(done.message, message);
}

static char *read_part(const struct bench *b, size_t *ret_len)
{
    char path[300];
    struct stat st;
    char *data;
    int fd;

    part_path(b, path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    data = calloc(1, (size_t)st.st_size + 1);
    assert_int_equal(read(fd, data, (size_t)st.st_size), st.st_size);
    close(fd);
    *ret_len = (size_t)st.st_size;
    return data;
}

/* The footer of a whole object; footer_free() it. */
static struct footer *footer_of(const char *text, size_t len)
{
    const uint8_t *trailer = (const uint8_t *)text + len - FOOTER_TRAILER;
    struct footer *footer;
    int64_t at;
    size_t words;

    assert_true(len > FOOTER_TRAILER);
    assert_int_equal(footer_find(trailer, (int64_t)len, &at, &words, NULL), 0);
    assert_int_equal(footer_read(text + at, words, trailer, &footer, NULL), 0);
    return footer;
}

/* Each part is where the footer says, and so is every row in its index. */
static void footer_fits(const char *text, const struct wire_answer *done)
{
    struct footer *footer = footer_of(text, (size_t)(done->bytes + done->footer));
    const struct footer_part *results = footer_results(footer);
    uint64_t offset;

    assert_string_equal(results->name, "results");
    for (size_t i = 0; i + 1 < footer->part_count; i++) {
        assert_int_equal(text[footer->parts[i].at - 1], '[');
        assert_int_equal(text[footer->parts[i].end], ']');
    }
    assert_memory_equal(text + footer->parts[footer->part_count - 1].end, "}}", 2);
    assert_int_equal(footer->index_at, done->bytes);
    assert_int_equal(footer->index_count, (results->rows + footer->stride - 1) / footer->stride);
    for (int64_t i = 0; i < footer->index_count; i++) {
        memcpy(&offset, text + footer->index_at + 8 * i, sizeof(offset));
        assert_in_range(offset, results->at, results->end - 1);
        assert_memory_equal(text + offset - 1, i == 0 ? "[{" : ",{", 2);
    }
    footer_free(footer);
}

/* Runs it, checks size and digest, gives `data` of the result; json_decref() it. */
static json_t *completes(struct bench *b, const struct ask *ask)
{
    uint8_t digest[REPORT_DIGEST_BYTES];
    struct wire_answer done;
    json_t *whole, *data;
    size_t len;
    char *text;

    run(b, ask, &done);
    if (done.outcome != WIRE_COMPLETE)
        print_error("%s / %s\n", done.message, done.detail);
    assert_int_equal(done.outcome, WIRE_COMPLETE);
    text = read_part(b, &len);
    assert_int_equal(done.bytes + done.footer, len);
    footer_fits(text, &done);
    len = (size_t)done.bytes;
    EVP_Digest(text, len, digest, NULL, EVP_sha256(), NULL);
    assert_memory_equal(digest, done.digest, sizeof(digest));
    whole = json_loadb(text, len, 0, NULL);
    assert_non_null(whole);
    assert_true(json_is_true(json_object_get(whole, "result")));
    data = json_incref(json_object_get(whole, "data"));
    json_decref(whole);
    free(text);
    return data;
}

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

static void a_result_says_what_its_columns_hold(void **state)
{
    static const struct ask ask = {
        .definition =
            HEAD "-- column: cents decimal(2) \"Amount\" AUD\n"
                 "-- column: lines[].flag boolean\n"
                 "-- results\nSELECT id AS \"id\", id * 1.5 AS \"x\", name AS \"who.name\","
                 " '2024-02-29' AS \"day\", '2024-02-30' AS \"no_day\","
                 " '2024-02-29T12:00:00.5Z' AS \"moment\", 2 AS \"cents\", NULL AS \"none\","
                 " iif(id = 1, 7, 'seven') AS \"mixed\","
                 " char(128512, 97) AS \"a.b\", 1 AS \"lines[].flag\" FROM entity ORDER BY id;\n"
                 "-- set: more\nSELECT 1 AS \"one\";\n"};
    static const struct {
        const char *name, *object, *leaf, *label, *unit;
        enum footer_type type;
        int level, scale, longest;
    } expected[] = {
        {"id", NULL, "id", NULL, NULL, FOOTER_INTEGER, 0, -1, 0},
        {"x", NULL, "x", NULL, NULL, FOOTER_NUMBER, 0, -1, 0},
        {"who.name", "who", "name", NULL, NULL, FOOTER_STRING, 0, -1, 6},
        {"day", NULL, "day", NULL, NULL, FOOTER_DATE, 0, -1, 10},
        {"no_day", NULL, "no_day", NULL, NULL, FOOTER_STRING, 0, -1, 10},
        {"moment", NULL, "moment", NULL, NULL, FOOTER_TIMESTAMP, 0, -1, 22},
        {"cents", NULL, "cents", "Amount", "AUD", FOOTER_DECIMAL, 0, 2, 0},
        {"none", NULL, "none", NULL, NULL, FOOTER_STRING, 0, -1, 0},
        {"mixed", NULL, "mixed", NULL, NULL, FOOTER_STRING, 0, -1, 5},
        {"a.b", "a", "b", NULL, NULL, FOOTER_STRING, 0, -1, 3},
        {"lines.flag", NULL, "flag", NULL, NULL, FOOTER_BOOLEAN, 1, -1, 0},
    };
    enum { COUNT = sizeof(expected) / sizeof(expected[0]) };
    struct wire_answer done;
    struct footer *footer;
    size_t len;
    char *text;

    run(*state, &ask, &done);
    assert_int_equal(done.outcome, WIRE_COMPLETE);
    text = read_part(*state, &len);
    footer = footer_of(text, len);
    assert_int_equal(footer->part_count, 3);
    assert_string_equal(footer->parts[1].name, "more");
    assert_int_equal(footer->parts[1].rows, 1);
    assert_int_equal(footer->parts[0].rows, 3);
    assert_string_equal(footer->parts[0].arrays[0], "lines");
    assert_null(footer->parts[0].arrays[1]);
    assert_int_equal(footer->parts[0].column_count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        const struct footer_column *column = &footer->parts[0].columns[i];

        assert_string_equal(column->name, expected[i].name);
        assert_string_equal(column->leaf, expected[i].leaf);
        assert_string_equal(column->object ? column->object : "",
                            expected[i].object ? expected[i].object : "");
        assert_string_equal(column->label ? column->label : "",
                            expected[i].label ? expected[i].label : "");
        assert_string_equal(column->unit ? column->unit : "",
                            expected[i].unit ? expected[i].unit : "");
        assert_int_equal(column->type, expected[i].type);
        assert_int_equal(column->level, expected[i].level);
        assert_int_equal(column->scale, expected[i].scale);
        assert_int_equal(column->longest, expected[i].longest);
    }
    footer_free(footer);
    free(text);
}

/* More rows than the index has room for: every second offset goes, again and again. */
static void the_index_of_a_long_result_is_bounded(void **state)
{
    struct wire_answer done;
    struct footer *footer;
    size_t len;
    char *text;

    run(*state,
        &(struct ask){.definition = HEAD
                      "-- results\nWITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
                      " WHERE i < 4200000) SELECT 1 AS \"x\" FROM n;\n"},
        &done);
    assert_int_equal(done.outcome, WIRE_COMPLETE);
    text = read_part(*state, &len);
    footer_fits(text, &done);
    footer = footer_of(text, len);
    assert_int_equal(footer->stride, 2 * FOOTER_STRIDE);
    assert_in_range(footer->index_count, FOOTER_INDEX_MAX / 2, FOOTER_INDEX_MAX);
    footer_free(footer);
    free(text);
}

static void a_footer_that_was_changed_is_not_read(void **state)
{
    struct wire_answer done;
    struct footer *footer;
    size_t len, words, read_whole = 0;
    int64_t at;
    char *text;

    run(*state, &(struct ask){.definition = HEAD "-- results\nSELECT 1 AS \"x\";\n"}, &done);
    text = read_part(*state, &len);
    for (size_t i = (size_t)done.bytes + sizeof(uint64_t); i < len; i++) {
        const uint8_t *trailer = (const uint8_t *)text + len - FOOTER_TRAILER;

        text[i] ^= 1;
        if (footer_find(trailer, (int64_t)len, &at, &words, NULL) == 0 &&
            footer_read(text + at, words, trailer, &footer, NULL) == 0)
            read_whole++;
        text[i] ^= 1;
    }
    assert_int_equal(read_whole, 0);
    free(text);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_report_completes_with_its_rows_and_summary),
        TEST(a_nested_report_puts_rows_into_the_array_of_their_object),
        TEST(a_report_without_rows_is_complete_and_empty),
        TEST(a_report_of_many_blocks_is_whole),
        TEST(a_result_says_what_its_columns_hold),
        TEST(the_index_of_a_long_result_is_bounded),
        TEST(a_footer_that_was_changed_is_not_read),
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
