/* tests/unit/worker_fixture.h -- a real worker process, real databases, real jobs over its socket.
 */
#pragma once

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
#include "core/footer.h"
#include "folder.h"
#include "proc/wire.h"
#include "proc/worker.h"

/* Not every test uses all of it. */
#define MAYBE __attribute__((unused)) static

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
    int64_t runs; /* of the next one, before */
};

/* What a test asks for; zero means the usual. */
struct ask {
    const char *definition, *parameters, *database, *user, *choices, *timezone;
    const char *url, *temp_folder, *claims;
    int64_t timeout_ms, row_limit, size_limit, row_results, temp_limit;
};

/* A worker process, in the place of the one before. */
MAYBE void start_worker(struct bench *b)
{
    int pair[2];

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
}

MAYBE int setup(void **state)
{
    static const char schema[] =
        "CREATE TABLE entity(id INTEGER, name TEXT); CREATE TABLE account(entity, id, cents);"
        "INSERT INTO entity VALUES (1, 'Ann'), (2, 'Bob'), (3, 'Cy \"x\"');"
        "INSERT INTO account VALUES (1, 10, 12345), (1, 11, 5), (2, 12, -100000)";
    struct bench *b = calloc(1, sizeof(*b));

    folder_make(b->folder);
    sqlite3_close(folder_database(b->folder, "a.db", schema));
    start_worker(b);
    *state = b;
    return 0;
}

/* The status the worker left with. */
MAYBE int end_worker(struct bench *b)
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

MAYBE int teardown(void **state)
{
    struct bench *b = *state;

    end_worker(b);
    folder_remove(b->folder);
    free(b);
    return 0;
}

MAYBE void part_path(const struct bench *b, char path[300])
{
    snprintf(path, 300, "%s/result.part", b->folder);
}

MAYBE void send_run(struct bench *b, const struct ask *ask, struct guid *ret_id)
{
    char url[600], part[300];
    struct wire_order order = {
        .run = {.head = {.type = WIRE_RUN, .attempt = ++b->attempt, .id = guid_new()},
                .timeout_ms = ask->timeout_ms,
                .row_limit = ask->row_limit,
                .size_limit = ask->size_limit,
                .row_results = ask->row_results,
                .temp_limit = ask->temp_limit,
                .runs = b->runs},
        .texts = {.definition_file = "Test.sql",
                  .definition_text = ask->definition,
                  .parameters = ask->parameters != NULL ? ask->parameters : "{}",
                  .user_name = ask->user != NULL ? ask->user : "u",
                  .claims = ask->claims != NULL ? ask->claims : "",
                  .source_url = ask->url != NULL ? ask->url : url,
                  .temp_folder = ask->temp_folder != NULL ? ask->temp_folder : b->folder,
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
MAYBE int wait_answer(struct bench *b, struct wire_answer *ret)
{
    struct pollfd fd = {.fd = b->socket, .events = POLLIN};

    assert_int_equal(poll(&fd, 1, -1), 1);
    return wire_receive_answer(b->socket, ret, NULL);
}

MAYBE void receive(struct bench *b, struct wire_answer *ret)
{
    assert_int_equal(wait_answer(b, ret), 1);
}

/* The DONE, over all PROGRESS before it. A worker that ends then is replaced, as serve does. */
MAYBE void receive_done(struct bench *b, struct wire_answer *ret)
{
    do
        receive(b, ret);
    while (ret->head.type == WIRE_PROGRESS);
    if (ret->spent == 0)
        return;
    assert_int_equal(end_worker(b), 0);
    start_worker(b);
}

MAYBE void run(struct bench *b, const struct ask *ask, struct wire_answer *ret)
{
    struct guid id;
    int64_t runs = 0;

    do {
        b->runs = runs;
        send_run(b, ask, &id);
        receive_done(b, ret);
        runs = ret->runs;
    } while (ret->outcome == WIRE_AGAIN);
    b->runs = 0;
    assert_true(guid_eq(&ret->head.id, &id));
    assert_int_equal(ret->head.attempt, b->attempt);
}

MAYBE void fails_with(struct bench *b, const struct ask *ask, const char *message)
{
    struct wire_answer done;

    run(b, ask, &done);
    assert_int_equal(done.outcome, WIRE_FAILED);
    assert_string_equal(done.message, message);
}

MAYBE char *read_part(const struct bench *b, size_t *ret_len)
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
MAYBE struct footer *footer_of(const char *text, size_t len)
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
MAYBE void footer_fits(const char *text, const struct wire_answer *done)
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
MAYBE json_t *completes(struct bench *b, const struct ask *ask)
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
