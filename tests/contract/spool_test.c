/* tests/contract/spool_test.c -- what every backend of the spool does: results are published as a
 * whole, read from any place, and gone when they are removed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "contract/postgres_server.h"
#include "folder.h"
#include "spool/spool.h"
#include "store/store.h"

enum { ROW = SPOOL_ROW_BYTES, LARGEST = 3 * SPOOL_ROW_BYTES };

struct bench;
struct backend {
    const char *name;
    void (*make)(struct bench *b);
};

struct bench {
    const struct backend *backend;
    char base[256], folder[300], temp[300], url[256];
    struct spool_spec spec;
    struct spool *spool;
    struct guid id;
    sem_t done;
    char *data; /* LARGEST bytes that a result may have */
};

/* ---- backends ---- */

static void folder_backend(struct bench *b)
{
    b->spec = (struct spool_spec){.place = b->folder, .store = "sqlite:x", .temp = b->temp};
}

/* The store's database, with one report. */
static void postgres_backend(struct bench *b)
{
    struct store_spec spec = {.create = true};
    struct store *store = NULL;
    char sql[256], id[GUID_TEXT];

    postgres_server_url(b->url, sizeof(b->url));
    spec.url = b->url;
    spec.erase_key = postgres_server.erase_key;
    postgres_server_exec("DROP SCHEMA IF EXISTS reportd CASCADE");
    assert_int_equal(store_open(&spec, &store, NULL), 0);
    store_free(store);
    guid_format(&b->id, id);
    snprintf(sql, sizeof(sql),
             "INSERT INTO reportd.report (id, user_id, state, slot, submitted_ms, name)"
             " VALUES ('%s', 1, 1, true, 0, 'Quick')",
             id);
    postgres_server_exec(sql);
    b->spec = (struct spool_spec){.place = "postgresql", .store = b->url, .temp = b->temp};
}

static struct backend backends[] = {{"folder", folder_backend}, {"postgresql", postgres_backend}};
#define POSTGRES (&backends[1])

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));

    b->backend = *state;
    b->id = guid_new();
    folder_make(b->base);
    snprintf(b->folder, sizeof(b->folder), "%s/spool", b->base);
    snprintf(b->temp, sizeof(b->temp), "%s/temp", b->base);
    b->backend->make(b);
    assert_int_equal(spool_open(&b->spec, &b->spool, NULL), 0);
    sem_init(&b->done, 0, 0);
    b->data = malloc(LARGEST);
    for (int i = 0; i < LARGEST; i++)
        b->data[i] = (char)(i * 31 + i / 4096);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    spool_free(b->spool);
    sem_destroy(&b->done);
    folder_remove(b->base);
    free(b->data);
    free(b);
    return 0;
}

/* ---- steps ---- */

static void on_done(struct spool_op *op)
{
    sem_post(&((struct bench *)op->owner)->done);
}

static int run(struct bench *b, enum spool_verb verb, int attempt, int fd)
{
    struct spool_op op = {
        .verb = verb, .id = b->id, .attempt = attempt, .fd = fd, .done = on_done, .owner = b};

    spool_post(b->spool, &op);
    sem_wait(&b->done);
    if (op.rc < 0)
        print_message("spool: %s\n", op.err.text);
    return op.rc;
}

static int create(struct bench *b, int attempt, size_t len)
{
    int fd = spool_create(b->spool, &b->id, attempt, NULL);

    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(fd, b->data, len), len);
    return fd;
}

static void publish(struct bench *b, int attempt, size_t len)
{
    int fd = create(b, attempt, len);

    assert_int_equal(run(b, SPOOL_PUBLISH, attempt, fd), 0);
    close(fd);
}

static void on_fetched(void *owner)
{
    sem_post(owner);
}

/* As its reader does: fetch if that is needed, then read. */
static ssize_t read_at(struct bench *b, struct spool_reader *reader, int64_t at, void *out,
                       size_t max)
{
    if (!spool_reader_is_ready(reader, at)) {
        spool_reader_fetch(reader, at, on_fetched, &b->done);
        sem_wait(&b->done);
        assert_true(spool_reader_is_ready(reader, at));
    }
    return spool_reader_read(reader, at, out, max, NULL);
}

/* Read all of the result, as its row has it: how many bytes, all of them right, or the error. */
static int64_t read_all(struct bench *b, struct spool_reader *reader)
{
    static char out[50000];
    int64_t at = 0, size = spool_reader_size(reader);

    while (at < size) {
        size_t max = size - at < (int64_t)sizeof(out) ? (size_t)(size - at) : sizeof(out);
        ssize_t n = read_at(b, reader, at, out, max);

        if (n <= 0)
            return n < 0 ? n : at;
        assert_memory_equal(out, b->data + at, n);
        at += n;
    }
    return at;
}

static int64_t read_report(struct bench *b, const struct report *report)
{
    struct spool_reader *reader = NULL;
    int64_t n = spool_reader_new(b->spool, report, &reader, NULL);

    if (n < 0)
        return n;
    assert_int_equal(spool_reader_size(reader), report->bytes);
    n = read_all(b, reader);
    spool_reader_free(reader);
    return n;
}

static int64_t read_result(struct bench *b, int attempt, int64_t bytes)
{
    return read_report(b, &(struct report){.id = b->id, .attempt = attempt, .bytes = bytes});
}

static int64_t size(struct bench *b, int attempt)
{
    return spool_result_size(b->spool, &b->id, attempt, NULL);
}

/* ---- publishing and reading ---- */

static void a_result_is_there_once_it_is_published(void **state)
{
    struct bench *b = *state;
    int fd = create(b, 1, 5);

    assert_int_equal(read_result(b, 1, 5), -E_NOT_FOUND);
    assert_int_equal(size(b, 1), -E_NOT_FOUND);
    assert_int_equal(run(b, SPOOL_PUBLISH, 1, fd), 0);
    close(fd);
    assert_int_equal(read_result(b, 1, 5), 5);
    assert_int_equal(size(b, 1), 5);
}

static void a_result_of_any_size_is_read_back(void **state)
{
    static const int sizes[] = {1, ROW - 1, ROW, ROW + 1, 2 * ROW, LARGEST - 1};
    struct bench *b = *state;

    for (int i = 0; i < (int)(sizeof(sizes) / sizeof(sizes[0])); i++) {
        publish(b, i + 1, (size_t)sizes[i]);
        assert_int_equal(read_result(b, i + 1, sizes[i]), sizes[i]);
        assert_int_equal(size(b, i + 1), sizes[i]);
    }
}

static void read_places(struct bench *b, const struct report *report)
{
    static const int64_t places[] = {2 * ROW + 3, 0, ROW - 1, ROW, LARGEST - 2000, 7, ROW + 9};
    struct spool_reader *reader = NULL;

    assert_int_equal(spool_reader_new(b->spool, report, &reader, NULL), 0);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        char out[100];
        ssize_t n = read_at(b, reader, places[i], out, sizeof(out));

        assert_true(n > 0);
        assert_memory_equal(out, b->data + places[i], n);
    }
    assert_int_equal(read_at(b, reader, spool_reader_end(reader) + PACK_TAIL, b->base, 1), 0);
    spool_reader_free(reader);
}

static void a_result_is_read_from_any_place(void **state)
{
    struct bench *b = *state;

    publish(b, 1, LARGEST);
    read_places(b, &(struct report){.id = b->id, .attempt = 1, .bytes = LARGEST});
}

static int add_to_file(void *context, const void *data, size_t len)
{
    return write(*(int *)context, data, len) == (ssize_t)len ? 0 : 5;
}

static int add_to_seal(void *context, const void *data, size_t len)
{
    return seal_add(context, data, len);
}

static void an_encrypted_result_is_read_from_any_place(void **state)
{
    struct bench *b = *state;
    struct report report = {.id = b->id, .attempt = 1, .bytes = LARGEST, .sealed = true};
    int fd = spool_create(b->spool, &b->id, 1, NULL);
    struct seal *seal = NULL;

    memcpy(report.key, "a key of the tests", 18);
    assert_int_equal(seal_new(report.key, add_to_file, &fd, &seal, NULL), 0);
    assert_int_equal(seal_add(seal, b->data, LARGEST), 0);
    assert_int_equal(seal_finish(seal), 0);
    seal_free(seal);
    assert_int_equal(run(b, SPOOL_PUBLISH, 1, fd), 0);
    close(fd);
    assert_int_equal(size(b, 1), seal_file_size(LARGEST));
    assert_int_equal(read_report(b, &report), LARGEST);
    read_places(b, &report);
    report.key[0] ^= 1;
    assert_int_equal(read_report(b, &report), -E_INTERNAL);
}

/* What frames of random bytes make is longer than they are, so that they lie across chunks. */
static void a_compressed_result_is_read_from_any_place(void **state)
{
    struct bench *b = *state;
    struct report report = {.id = b->id, .attempt = 1, .bytes = LARGEST, .sealed = true};
    struct spool_reader *reader = NULL;
    struct pack_frames frames;
    struct seal *seal = NULL;
    struct pack *pack = NULL;
    int fd = spool_create(b->spool, &b->id, 1, NULL);
    int64_t at;
    char out[8];

    for (uint32_t i = 0, x = 1; i < LARGEST; i++, x = x * 1664525 + 1013904223)
        b->data[i] = (char)(x >> 24);
    memcpy(report.key, "a key of the tests", 18);
    assert_int_equal(seal_new(report.key, add_to_file, &fd, &seal, NULL), 0);
    assert_int_equal(pack_new(add_to_seal, seal, &pack, NULL), 0);
    assert_int_equal(pack_add(pack, b->data, LARGEST), 0);
    assert_int_equal(pack_end(pack, &at), 0);
    assert_int_equal(pack_finish(pack, "footer", 6), 0);
    assert_int_equal(seal_finish(seal), 0);
    report.footer = -pack_stored(pack);
    pack_free(pack);
    seal_free(seal);
    assert_int_equal(run(b, SPOOL_PUBLISH, 1, fd), 0);
    close(fd);
    assert_int_equal(size(b, 1), seal_file_size(-report.footer));
    assert_int_equal(spool_reader_new(b->spool, &report, &reader, NULL), 0);
    assert_int_equal(spool_reader_end(reader), at + 6);
    assert_int_equal(read_at(b, reader, at, out, 6), 6);
    assert_memory_equal(out, "footer", 6);
    assert_int_equal(spool_reader_frames(reader, &frames, NULL), 0);
    assert_true(frames.end > LARGEST && frames.end < -report.footer);
    at = LARGEST;
    assert_int_equal(spool_reader_take_fd(reader, &at), -1); /* it is encrypted */
    assert_int_equal(read_all(b, reader), LARGEST);
    spool_reader_free(reader);
    read_places(b, &report);
    report.key[0] ^= 1;
    assert_int_equal(read_report(b, &report), -E_INTERNAL);
}

static void only_a_plain_file_is_sent_as_it_stands(void **state)
{
    struct bench *b = *state;
    const struct report report = {.id = b->id, .attempt = 1, .bytes = 4};
    struct spool_reader *reader = NULL;
    int64_t at = 2;
    int fd;

    publish(b, 1, 4);
    assert_int_equal(spool_reader_new(b->spool, &report, &reader, NULL), 0);
    fd = spool_reader_take_fd(reader, &at);
    assert_int_equal(fd >= 0, b->backend != POSTGRES);
    assert_int_equal(at, 2);
    if (fd >= 0)
        close(fd);
    else
        spool_reader_free(reader);
}

static void a_result_of_another_size_than_its_row_says_is_not_read(void **state)
{
    struct bench *b = *state;

    publish(b, 1, ROW + 10);
    assert_int_equal(read_result(b, 1, ROW + 9), -E_INTERNAL);
    assert_int_equal(read_result(b, 1, ROW + 11), -E_INTERNAL);
    assert_int_equal(read_result(b, 1, 10), -E_INTERNAL);
}

static void creating_again_begins_anew(void **state)
{
    struct bench *b = *state;

    close(create(b, 1, 100));
    publish(b, 1, 7);
    assert_int_equal(read_result(b, 1, 7), 7);
}

/* ---- removing ---- */

static void discarding_takes_every_attempt_up_to_that_one(void **state)
{
    struct bench *b = *state;

    publish(b, 2, 3);
    publish(b, 3, ROW + 3);
    close(create(b, 3, 3));
    assert_int_equal(run(b, SPOOL_DISCARD, 2, -1), 0);
    assert_int_equal(size(b, 2), -E_NOT_FOUND);
    assert_int_equal(read_result(b, 3, ROW + 3), ROW + 3);
    assert_int_equal(run(b, SPOOL_DISCARD, 3, -1), 0);
    assert_int_equal(size(b, 3), -E_NOT_FOUND);
    assert_false(spool_has_part(b->spool, &b->id, 3));
    assert_int_equal(run(b, SPOOL_DISCARD, 3, -1), 0); /* already gone */
}

/* In one operation: all attempts, those that are there no more, and nothing else. */
static void removing_many_takes_all_of_each(void **state)
{
    struct bench *b = *state;
    struct spool_ref refs[] = {{.id = guid_new(), .attempt = 2, .left = true},
                               {.id = b->id, .attempt = 3, .left = true}};
    struct spool_op op = {
        .verb = SPOOL_REMOVE, .refs = refs, .count = 1, .done = on_done, .owner = b};

    publish(b, 1, 3);
    publish(b, 3, 2 * ROW + 3);
    spool_post(b->spool, &op);
    sem_wait(&b->done);
    assert_int_equal(op.rc, 0);
    assert_false(refs[0].left);
    assert_int_equal(size(b, 3), 2 * ROW + 3);
    op.count = 2;
    spool_post(b->spool, &op);
    sem_wait(&b->done);
    assert_int_equal(op.rc, 0);
    assert_false(refs[1].left);
    assert_int_equal(size(b, 1), -E_NOT_FOUND);
    assert_int_equal(size(b, 3), -E_NOT_FOUND);
}

static int keep_second(void *context, const struct spool_file *file)
{
    return guid_eq(&file->id, context) && file->attempt == 2 && file->kind == SPOOL_RESULT;
}

static void touch_temporary(const struct bench *b)
{
    char path[700];

    snprintf(path, sizeof(path), "%s/spilt", spool_temp_folder(b->spool));
    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static void a_sweep_takes_what_is_not_to_be_kept(void **state)
{
    struct bench *b = *state;

    publish(b, 3, 3); /* an older attempt, published late, leaves the newer one */
    publish(b, 2, 3);
    touch_temporary(b);
    assert_int_equal(spool_sweep(b->spool, keep_second, &b->id, NULL), 2);
    assert_int_equal(size(b, 3), -E_NOT_FOUND);
    assert_int_equal(size(b, 2), 3);
    assert_int_equal(spool_sweep(b->spool, keep_second, &b->id, NULL), 0);
}

struct seen {
    struct guid id;
    int results, temporaries;
};

static void note_file(void *context, const struct spool_file *file)
{
    struct seen *seen = context;

    seen->temporaries += file->kind == SPOOL_TEMPORARY && strcmp(file->name, "temp/spilt") == 0;
    seen->results += file->kind == SPOOL_RESULT && file->attempt == 2 &&
                     guid_eq(&file->id, &seen->id) && strstr(file->name, ".2.json") != NULL;
}

static void every_file_is_seen_once(void **state)
{
    struct bench *b = *state;
    struct seen seen = {.id = b->id};

    publish(b, 2, 2 * ROW);
    touch_temporary(b);
    assert_int_equal(spool_each(b->spool, note_file, &seen, NULL), 2);
    assert_int_equal(seen.results, 1);
    assert_int_equal(seen.temporaries, 1);
}

static void one_process_at_a_time_has_the_lock(void **state)
{
    struct bench *b = *state;
    struct spool *other = NULL;

    assert_int_equal(spool_lock(b->spool, NULL), 1);
    assert_int_equal(spool_open(&b->spec, &other, NULL), 0);
    assert_int_equal(spool_lock(other, NULL), 0);
    spool_free(b->spool);
    b->spool = NULL;
    assert_int_equal(spool_lock(other, NULL), 1);
    spool_free(other);
}

static void what_is_posted_is_done_before_the_spool_is_freed(void **state)
{
    struct bench *b = *state;
    int fd = create(b, 1, ROW);
    struct spool_op op = {
        .verb = SPOOL_PUBLISH, .id = b->id, .attempt = 1, .fd = fd, .done = on_done, .owner = b};

    spool_post(b->spool, &op);
    spool_free(b->spool);
    b->spool = NULL;
    sem_wait(&b->done);
    assert_int_equal(op.rc, 0);
    close(fd);
    assert_int_equal(spool_open(&b->spec, &b->spool, NULL), 0);
    assert_int_equal(read_result(b, 1, ROW), ROW);
}

/* ---- PostgreSQL only ---- */

/* The first value that a statement gives, as a number. */
static long ask(const char *sql)
{
    PGconn *pg = PQconnectdb(postgres_server.url);
    PGresult *result = PQexec(pg, sql);
    long value = -1;

    if (PQntuples(result) > 0)
        value = strtol(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    PQfinish(pg);
    return value;
}

static void what_goes_with_the_row_is_left_to_it(void **state)
{
    struct bench *b = *state;

    publish(b, 1, 2 * ROW);
    assert_int_equal(run(b, SPOOL_REMOVE, 1, -1), 0);
    assert_int_equal(size(b, 1), 2 * ROW);
    postgres_server_exec("DELETE FROM reportd.report");
    assert_int_equal(ask("SELECT count(*) FROM reportd.result_chunk"), 0);
}

static void no_chunk_is_stored_without_a_row(void **state)
{
    struct bench *b = *state;
    int fd = create(b, 1, 10);

    postgres_server_exec("DELETE FROM reportd.report");
    assert_int_equal(run(b, SPOOL_PUBLISH, 1, fd), -E_SPOOL);
    close(fd);
    assert_int_equal(ask("SELECT count(*) FROM reportd.result_chunk"), 0);
}

static void publishing_takes_what_earlier_attempts_have_left(void **state)
{
    struct bench *b = *state;

    publish(b, 1, ROW + 1);
    publish(b, 2, 10);
    assert_int_equal(size(b, 1), -E_NOT_FOUND);
    publish(b, 2, 9); /* as after a commit that was not heard */
    assert_int_equal(read_result(b, 2, 9), 9);
}

static void connections_that_were_lost_are_made_anew(void **state)
{
    struct bench *b = *state;

    publish(b, 1, 10);
    assert_int_equal(read_result(b, 1, 10), 10);
    assert_true(ask("SELECT count(pg_terminate_backend(pid, 10000)) FROM "
                    "pg_stat_activity WHERE application_name = 'reportd spool'") > 0);
    assert_int_equal(read_result(b, 1, 10), 10);
    assert_int_equal(run(b, SPOOL_DISCARD, 1, -1), 0);
    publish(b, 1, 11);
    assert_int_equal(read_result(b, 1, 11), 11);
}

static void a_result_that_goes_meanwhile_is_read_no_further(void **state)
{
    struct bench *b = *state;
    const struct report report = {.id = b->id, .attempt = 1, .bytes = 2 * ROW};
    struct spool_reader *reader = NULL;
    char byte;

    publish(b, 1, 2 * ROW);
    assert_int_equal(spool_reader_new(b->spool, &report, &reader, NULL), 0);
    assert_int_equal(read_at(b, reader, 0, &byte, 1), 1);
    postgres_server_exec("DELETE FROM reportd.report");
    assert_int_equal(read_at(b, reader, ROW - 1, &byte, 1), 1);
    assert_int_equal(read_at(b, reader, ROW, &byte, 1), -E_NOT_FOUND);
    spool_reader_free(reader);
}

static void a_result_without_its_middle_has_no_size(void **state)
{
    struct bench *b = *state;

    publish(b, 1, 3 * ROW);
    postgres_server_exec("DELETE FROM reportd.result_chunk WHERE number = 1");
    assert_int_equal(size(b, 1), 0);
    assert_int_equal(read_result(b, 1, 3 * ROW), -E_NOT_FOUND);
}

static void so_many_are_read_at_a_time_and_no_more(void **state)
{
    struct bench *b = *state;
    const struct report report = {.id = b->id, .attempt = 1, .bytes = 1};
    static struct spool_reader *readers[SPOOL_READERS_MAX + 1];

    for (int i = 0; i < SPOOL_READERS_MAX; i++)
        assert_int_equal(spool_reader_new(b->spool, &report, &readers[i], NULL), 0);
    assert_int_equal(spool_reader_new(b->spool, &report, &readers[SPOOL_READERS_MAX], NULL),
                     -E_BUSY);
    spool_reader_free(readers[0]);
    assert_int_equal(spool_reader_new(b->spool, &report, &readers[0], NULL), 0);
    for (int i = 0; i < SPOOL_READERS_MAX; i++)
        spool_reader_free(readers[i]);
}

static void nothing_of_a_worker_is_left_in_the_folder(void **state)
{
    struct bench *b = *state;

    close(create(b, 1, 10));
    assert_int_equal(spool_sweep(b->spool, keep_second, &b->id, NULL), 0);
}

static void a_store_without_postgresql_has_no_such_spool(void **state)
{
    const struct spool_spec spec = {
        .place = "postgresql", .store = "sqlite:store.db", .temp = "/nowhere"};
    struct spool *spool = NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(spool_open(&spec, &spool, &err), -E_CONFIG);
    assert_non_null(strstr(err.text, "spool = \"postgresql\""));
}

static void a_database_that_is_not_there_is_an_error(void **state)
{
    struct bench *b = *state;
    struct err err = {0};

    spool_free(b->spool);
    b->spool = NULL;
    b->spec.store = "postgresql:///x?host=/nowhere";
    assert_int_equal(spool_open(&b->spec, &b->spool, NULL), 0);
    assert_int_equal(spool_result_size(b->spool, &b->id, 1, &err), -E_SPOOL);
    assert_int_equal(read_result(b, 1, 1), -E_SPOOL);
}

#define ON(name, backend) cmocka_unit_test_prestate_setup_teardown(name, setup, teardown, backend)
#define BOTH(name) ON(name, &backends[0]), ON(name, &backends[1])

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_result_is_there_once_it_is_published),
        BOTH(a_result_of_any_size_is_read_back),
        BOTH(a_result_is_read_from_any_place),
        BOTH(an_encrypted_result_is_read_from_any_place),
        BOTH(a_compressed_result_is_read_from_any_place),
        BOTH(only_a_plain_file_is_sent_as_it_stands),
        BOTH(a_result_of_another_size_than_its_row_says_is_not_read),
        BOTH(creating_again_begins_anew),
        BOTH(discarding_takes_every_attempt_up_to_that_one),
        BOTH(removing_many_takes_all_of_each),
        BOTH(a_sweep_takes_what_is_not_to_be_kept),
        BOTH(every_file_is_seen_once),
        BOTH(one_process_at_a_time_has_the_lock),
        BOTH(what_is_posted_is_done_before_the_spool_is_freed),
        ON(what_goes_with_the_row_is_left_to_it, POSTGRES),
        ON(no_chunk_is_stored_without_a_row, POSTGRES),
        ON(publishing_takes_what_earlier_attempts_have_left, POSTGRES),
        ON(connections_that_were_lost_are_made_anew, POSTGRES),
        ON(a_result_that_goes_meanwhile_is_read_no_further, POSTGRES),
        ON(a_result_without_its_middle_has_no_size, POSTGRES),
        ON(so_many_are_read_at_a_time_and_no_more, POSTGRES),
        ON(nothing_of_a_worker_is_left_in_the_folder, POSTGRES),
        ON(a_store_without_postgresql_has_no_such_spool, POSTGRES),
        ON(a_database_that_is_not_there_is_an_error, POSTGRES),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
