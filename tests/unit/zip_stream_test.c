/* tests/unit/zip_stream_test.c -- archives are read by unzip, also where zip64 begins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "folder.h"
#include "render/zip_stream.c" /* for its counters, since 4 GiB take long to write */

enum { OUT_MAX = 64 << 20 };

struct archive {
    struct zip_stream *zip;
    struct buf out;
    struct err err;
    char folder[256], path[300];
};

static void archive_init(struct archive *archive)
{
    *archive = (struct archive){0};
    folder_make(archive->folder);
    snprintf(archive->path, sizeof(archive->path), "%s/a.zip", archive->folder);
    buf_init(&archive->out, OUT_MAX);
    assert_int_equal(zip_stream_new(&archive->zip, &archive->err), 0);
}

static void archive_done(struct archive *archive)
{
    zip_stream_free(archive->zip);
    buf_done(&archive->out);
    folder_remove(archive->folder);
}

static void add_entry(struct archive *archive, const char *name, const char *content)
{
    struct buf *out = &archive->out;

    assert_int_equal(zip_stream_open(archive->zip, name, out, &archive->err), 0);
    assert_int_equal(zip_stream_add(archive->zip, content, strlen(content), out, &archive->err), 0);
    assert_int_equal(zip_stream_close(archive->zip, out, &archive->err), 0);
}

/* Write what has come at the place in the file where it belongs. */
static void save(struct archive *archive, uint64_t at)
{
    FILE *file = fopen(archive->path, at > 0 ? "r+" : "w");

    assert_non_null(file);
    assert_int_equal(fseeko(file, (off_t)at, SEEK_SET), 0);
    assert_int_equal(fwrite(archive->out.data, 1, archive->out.len, file), archive->out.len);
    assert_int_equal(fclose(file), 0);
    buf_reset(&archive->out);
}

/* What `unzip` prints with these options is `words`. */
static void unzip_prints(const struct archive *archive, const char *options, const char *words)
{
    char command[512], line[64] = "";
    FILE *pipe;

    snprintf(command, sizeof(command), "unzip %s %s 2>&1", options, archive->path);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(line, sizeof(line), pipe));
    assert_string_equal(line, words);
    pclose(pipe);
}

static bool is_good(const struct archive *archive)
{
    char command[512];

    snprintf(command, sizeof(command), "unzip -tqq %s >/dev/null 2>&1", archive->path);
    return system(command) == 0;
}

static void a_spoilt_archive_is_noticed(void **state)
{
    struct archive archive;

    (void)state;
    for (int i = 0; i < 2; i++) {
        archive_init(&archive);
        add_entry(&archive, "one", "content of one");
        add_entry(&archive, "empty", "");
        assert_int_equal(zip_stream_end(archive.zip, &archive.out, &archive.err), 0);
        archive.out.data[40] ^= (char)i;
        save(&archive, 0);
        assert_int_equal(is_good(&archive), i == 0);
        archive_done(&archive);
    }
}

static void an_archive_may_have_more_entries_than_16_bits_count(void **state)
{
    char name[ZIP_STREAM_NAME];
    struct archive archive;

    (void)state;
    archive_init(&archive);
    for (int i = 0; i < 66000; i++) {
        snprintf(name, sizeof(name), "%d", i);
        add_entry(&archive, name, "content");
    }
    assert_int_equal(zip_stream_end(archive.zip, &archive.out, &archive.err), 0);
    save(&archive, 0);
    assert_true(is_good(&archive));
    archive_done(&archive);
}

static void an_archive_may_have_more_than_four_gibibytes(void **state)
{
    struct archive archive;
    uint64_t at;

    (void)state;
    archive_init(&archive);
    add_entry(&archive, "near", "before");
    save(&archive, 0);
    archive.zip->at = at = 5ULL << 30; /* with a hole, where other entries would be */
    add_entry(&archive, "far", "behind");
    assert_int_equal(zip_stream_end(archive.zip, &archive.out, &archive.err), 0);
    save(&archive, at);
    assert_true(is_good(&archive));
    unzip_prints(&archive, "-p", "beforebehind");
    archive_done(&archive);
}

static void an_entry_is_below_four_gibibytes(void **state)
{
    struct archive archive;

    (void)state;
    archive_init(&archive);
    zip_stream_open(archive.zip, "large", &archive.out, &archive.err);
    archive.zip->entries[0].size = max32;
    assert_int_equal(zip_stream_add(archive.zip, "x", 1, &archive.out, &archive.err), 0);
    assert_int_equal(zip_stream_close(archive.zip, &archive.out, &archive.err), -E_INTERNAL);
    archive_done(&archive);
}

static void a_buffer_that_is_full_is_an_error(void **state)
{
    struct archive archive;

    (void)state;
    archive_init(&archive);
    buf_done(&archive.out);
    buf_init(&archive.out, 8);
    assert_int_equal(zip_stream_open(archive.zip, "a", &archive.out, &archive.err), -E_NOMEM);
    archive_done(&archive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_spoilt_archive_is_noticed),
        cmocka_unit_test(an_archive_may_have_more_entries_than_16_bits_count),
        cmocka_unit_test(an_archive_may_have_more_than_four_gibibytes),
        cmocka_unit_test(an_entry_is_below_four_gibibytes),
        cmocka_unit_test(a_buffer_that_is_full_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
