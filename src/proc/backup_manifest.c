/* src/proc/backup_manifest.c -- what a backup says of itself, in a file of JSON. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/version.h"
#include "proc/backup_impl.h"

enum { FORMAT = 1, MANIFEST_MAX = 4096 };

static void add_number(struct buf *b, const char *key, int64_t value)
{
    buf_add_str(b, "\n ");
    json_add_key(b, key);
    buf_add_format(b, "%" PRId64, value);
}

static void add_text(struct buf *b, const char *key, const char *text)
{
    buf_add_str(b, "\n ");
    json_add_key(b, key);
    json_add_string(b, text);
}

static void print(struct buf *b, const struct manifest *manifest)
{
    char time[CLOCK_TEXT];

    clock_format(manifest->made_ms, time);
    buf_add_char(b, '{');
    json_add_key(b, "format");
    buf_add_format(b, "%d", FORMAT);
    add_text(b, "version", REPORTD_VERSION);
    add_text(b, "made", time);
    add_number(b, "made_ms", manifest->made_ms);
    add_number(b, "reports", manifest->counts.reports);
    add_number(b, "results", manifest->counts.results);
    add_number(b, "bytes", manifest->counts.bytes);
    buf_add_str(b, "}\n");
}

static int write_file(const char *path, const struct buf *b, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), rc = 0;

    if (fd < 0)
        return err_errno(err, -E_IO, "make '%s'", path);
    if (file_write_all(fd, b->data, b->len, 0) < 0 || fsync(fd) < 0)
        rc = err_errno(err, -E_IO, "write '%s'", path);
    close(fd);
    return rc;
}

int manifest_write(const char *folder, const struct manifest *manifest, struct err *err)
{
    char *path = backup_path(folder, BACKUP_MANIFEST);
    struct buf b;
    int rc;

    buf_init(&b, MANIFEST_MAX);
    print(&b, manifest);
    rc = path == NULL || buf_failed(&b) ? err_set(err, -E_NOMEM, "out of memory")
                                        : write_file(path, &b, err);
    buf_done(&b);
    free(path);
    return rc;
}

static bool get_number(const json_t *json, const char *key, int64_t *ret)
{
    const json_t *value = json_object_get(json, key);

    *ret = json_integer_value(value);
    return json_is_integer(value);
}

int manifest_read(const char *folder, struct manifest *ret, struct err *err)
{
    char *path = backup_path(folder, BACKUP_MANIFEST);
    json_t *json = path != NULL ? json_load_file(path, 0, NULL) : NULL;
    int64_t format;
    int rc = 0;

    *ret = (struct manifest){0};
    if (!get_number(json, "format", &format) || !get_number(json, "made_ms", &ret->made_ms) ||
        !get_number(json, "reports", &ret->counts.reports) ||
        !get_number(json, "results", &ret->counts.results) ||
        !get_number(json, "bytes", &ret->counts.bytes))
        rc = err_set(err, -E_NOT_FOUND,
                     "'%s' is no whole backup of reportd: it has no " BACKUP_MANIFEST
                     " that can be read",
                     folder);
    else if (format != FORMAT)
        rc = err_set(err, -E_CONFIG, "the backup '%s' was made by a later version of reportd",
                     folder);
    json_decref(json);
    free(path);
    return rc;
}
