/* tests/unit/spool_folder_test.c -- the files of a spool that is a folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "folder.h"
#include "proc/audit.h"
#include "spool/spool.h"

enum { BATCH = 20 };

struct bench {
    char base[256], folder[300];
    struct spool_spec spec;
    struct spool *spool;
    struct guid id;
    sem_t done;
};

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));

    folder_make(b->base);
    snprintf(b->folder, sizeof(b->folder), "%s/spool", b->base);
    b->spec = (struct spool_spec){.place = b->folder, .store = "sqlite:x"};
    assert_int_equal(spool_open(&b->spec, &b->spool, NULL), 0);
    b->id = guid_new();
    sem_init(&b->done, 0, 0);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    spool_free(b->spool);
    sem_destroy(&b->done);
    folder_remove(b->base);
    free(b);
    return 0;
}

static void on_done(struct spool_op *op)
{
    struct bench *b = op->owner;

    sem_post(&b->done);
}

static int run(struct bench *b, enum spool_verb verb, int attempt, struct err *err)
{
    struct spool_op op = {
        .verb = verb, .id = b->id, .attempt = attempt, .done = on_done, .owner = b};

    spool_post(b->spool, &op);
    sem_wait(&b->done);
    if (err != NULL)
        *err = op.err;
    return op.rc;
}

static void create(struct bench *b, int attempt, const char *text)
{
    int fd = spool_create(b->spool, &b->id, attempt, NULL);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static bool exists(const struct bench *b, int attempt, const char *suffix)
{
    char path[512], id[GUID_TEXT];

    guid_format(&b->id, id);
    snprintf(path, sizeof(path), "%s/%s.%d.%s", b->folder, id, attempt, suffix);
    return access(path, F_OK) == 0;
}

static void the_folder_is_made_for_its_owner_only(void **state)
{
    struct bench *b = *state;
    struct err err;
    struct stat st;

    assert_int_equal(stat(b->folder, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(stat(spool_temp_folder(b->spool), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(spool_check(b->spool, true, &err), 0);
}

static void a_folder_that_cannot_be_made_is_an_error(void **state)
{
    const struct spool_spec spec = {.place = "/proc/no/such", .store = "sqlite:x"};
    struct spool *spool = NULL;
    struct err err = {0};

    (void)state;
    assert_int_equal(spool_open(&spec, &spool, &err), -E_SPOOL);
    assert_null(spool);
}

static void publishing_what_is_not_there_fails(void **state)
{
    struct err err = {0};

    assert_int_equal(run(*state, SPOOL_PUBLISH, 1, &err), -E_SPOOL);
    assert_int_equal(err.code, -E_SPOOL);
}

static void one_that_fails_does_not_fail_its_batch(void **state)
{
    struct bench *b = *state;
    struct spool_op ops[BATCH];

    for (int i = 0; i < BATCH; i++) {
        ops[i] = (struct spool_op){
            .verb = SPOOL_PUBLISH, .id = guid_new(), .attempt = 1, .done = on_done, .owner = b};
        if (i != 7)
            close(spool_create(b->spool, &ops[i].id, 1, NULL));
    }
    for (int i = 0; i < BATCH; i++)
        spool_post(b->spool, &ops[i]);
    for (int i = 0; i < BATCH; i++)
        sem_wait(&b->done);
    for (int i = 0; i < BATCH; i++)
        assert_int_equal(ops[i].rc, i == 7 ? -E_SPOOL : 0);
}

static void removing_takes_every_attempt_published_or_not(void **state)
{
    struct bench *b = *state;

    create(b, 1, "x");
    create(b, 2, "x");
    assert_int_equal(run(b, SPOOL_PUBLISH, 2, NULL), 0);
    create(b, 3, "x");
    create(b, 4, "x");
    assert_int_equal(run(b, SPOOL_REMOVE, 3, NULL), 0);
    assert_false(exists(b, 1, "part") || exists(b, 2, "json") || exists(b, 3, "part"));
    assert_true(exists(b, 4, "part"));
    assert_int_equal(run(b, SPOOL_REMOVE, 3, NULL), 0); /* already gone */
}

static void touch(const char *folder, const char *name)
{
    char path[700];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int keep_second(void *context, const struct spool_file *file)
{
    struct bench *b = context;

    return guid_eq(&file->id, &b->id) && file->attempt == 2;
}

static void a_sweep_leaves_published_results_that_have_a_row(void **state)
{
    struct bench *b = *state;

    for (int attempt = 1; attempt <= 3; attempt++)
        create(b, attempt, "x");
    assert_int_equal(run(b, SPOOL_PUBLISH, 1, NULL), 0);
    assert_int_equal(run(b, SPOOL_PUBLISH, 2, NULL), 0);
    touch(spool_temp_folder(b->spool), "etilqs_0123456789");
    assert_int_equal(spool_sweep(b->spool, keep_second, b, NULL), 3);
    assert_false(exists(b, 1, "json") || exists(b, 3, "part"));
    assert_true(exists(b, 2, "json"));
    assert_int_equal(spool_sweep(b->spool, keep_second, b, NULL), 0);
}

static int keep_none(void *context, const struct spool_file *file)
{
    (void)context;
    (void)file;
    return 0;
}

static void a_sweep_does_not_touch_names_it_did_not_make(void **state)
{
    static const char *const names[] = {
        "README",
        ".part",
        "notes.part",
        "0190c2f0-0000-7000-8000-000000000000.json",
        "0190c2f0-0000-7000-8000-000000000000.0.part",
        "0190c2f0-0000-7000-8000-000000000000.01.part",
        "0190c2f0-0000-7000-8000-000000000000.1",
        "0190c2f0-0000-7000-8000-000000000000.1.part.bak",
        "0190c2f0-0000-7000-8000-000000000000.1.txt",
        "0190c2f0-0000-7000-8000-000000000000.1.tmp",
        "0190c2f0-0000-7000-8000-000000000000.99999999999.part",
        "0190C2F0-0000-7000-8000-000000000000.1.part",
        "x0190c2f0-0000-7000-8000-000000000000.1.part",
    };
    struct bench *b = *state;
    char path[700];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        touch(b->folder, names[i]);
    assert_int_equal(spool_sweep(b->spool, keep_none, NULL, NULL), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", b->folder, names[i]);
        assert_int_equal(access(path, F_OK), 0);
    }
}

struct seen {
    int parts, results, temporaries;
};

static void note_file(void *context, const struct spool_file *file)
{
    struct seen *seen = context;

    seen->parts += file->kind == SPOOL_PART && file->attempt == 1;
    seen->results += file->kind == SPOOL_RESULT && file->attempt == 2;
    seen->temporaries += file->kind == SPOOL_TEMPORARY && strcmp(file->name, "temp/spilt") == 0;
}

static void every_file_of_ours_is_seen(void **state)
{
    struct bench *b = *state;
    struct seen seen = {0};

    create(b, 1, "part");
    create(b, 2, "result");
    assert_int_equal(run(b, SPOOL_PUBLISH, 2, NULL), 0);
    touch(spool_temp_folder(b->spool), "spilt");
    touch(b->folder, "README");
    assert_int_equal(spool_each(b->spool, note_file, &seen, NULL), 3);
    assert_int_equal(seen.parts, 1);
    assert_int_equal(seen.results, 1);
    assert_int_equal(seen.temporaries, 1);
    assert_int_equal(spool_result_size(b->spool, &b->id, 2, NULL), strlen("result"));
    assert_int_equal(spool_result_size(b->spool, &b->id, 1, NULL), -E_NOT_FOUND);
    assert_true(spool_has_part(b->spool, &b->id, 1));
    assert_false(spool_has_part(b->spool, &b->id, 2));
}

static void nodes_share_the_folder_but_not_the_temporary_one(void **state)
{
    struct bench *b = *state;
    struct spool *nodes[2] = {NULL, NULL};
    char temp[2][300];

    for (int i = 0; i < 2; i++) {
        const struct spool_spec spec = {
            .place = b->folder, .store = "postgresql:///x", .temp = temp[i]};

        snprintf(temp[i], sizeof(temp[i]), "%s/temp%d", b->base, i);
        assert_int_equal(spool_open(&spec, &nodes[i], NULL), 0);
        assert_int_equal(spool_lock(nodes[i], NULL), 1);
        assert_string_equal(spool_temp_folder(nodes[i]), temp[i]);
    }
    create(b, 1, "x");
    assert_true(spool_has_part(nodes[1], &b->id, 1));
    spool_free(nodes[0]);
    spool_free(nodes[1]);
}

static bool never(void *context, int64_t ms)
{
    (void)context;
    (void)ms;
    return false;
}

static void an_audit_ends_with_its_server(void **state)
{
    struct bench *b = *state;
    struct store_spec store = {.create = true};
    struct audit_spec spec = {.spool = b->spool, .serving = true, .pause = never};
    struct audit audit = {0};
    char url[300];

    create(b, 1, "x");
    snprintf(url, sizeof(url), "sqlite:%s/store.db", b->base);
    store.url = url;
    assert_int_equal(store_open(&store, &spec.store, NULL), 0);
    assert_int_equal(audit_run(&spec, &audit, NULL), -E_CANCELLED);
    store_free(spec.store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_folder_is_made_for_its_owner_only),
        TEST(a_folder_that_cannot_be_made_is_an_error),
        TEST(publishing_what_is_not_there_fails),
        TEST(one_that_fails_does_not_fail_its_batch),
        TEST(removing_takes_every_attempt_published_or_not),
        TEST(a_sweep_leaves_published_results_that_have_a_row),
        TEST(a_sweep_does_not_touch_names_it_did_not_make),
        TEST(every_file_of_ours_is_seen),
        TEST(nodes_share_the_folder_but_not_the_temporary_one),
        TEST(an_audit_ends_with_its_server),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
