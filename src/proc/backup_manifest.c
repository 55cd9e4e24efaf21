/* src/proc/backup_manifest.c -- what a backup says of itself, in a file of JSON. */
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/str.h"
#include "base/version.h"
#include "proc/backup_impl.h"

enum { FORMAT = 1, MANIFEST_MAX = 64 * 1024 };

static void add_number(struct buf *b, const char *key, int64_t value)
{
    buf_add_str(b, "\n ");
    json_add_number(b, key, value);
}

static void add_text(struct buf *b, const char *key, const char *text)
{
    buf_add_str(b, "\n ");
    json_add_member(b, key, text);
}

/* Where each was is for whoever has to find it. */
static void add_ledgers(struct buf *b, const struct backup_state *state)
{
    char id[GUID_TEXT];

    guid_format(&state->store, id);
    add_text(b, "store", id);
    buf_add_str(b, "\n ");
    json_add_key(b, "ledgers");
    buf_add_char(b, '[');
    for (size_t i = 0; i < state->count; i++) {
        guid_format(&state->ledgers[i].id, id);
        buf_add_str(b, i > 0 ? ",\n {" : "\n {");
        json_add_member(b, "id", id);
        json_add_member(b, "place", state->ledgers[i].place);
        json_add_number(b, "records", state->ledgers[i].records);
        buf_add_char(b, '}');
    }
    buf_add_char(b, ']');
}

static void print_manifest(struct buf *b, const struct manifest *manifest)
{
    char time[CLOCK_TEXT];

    clock_format(manifest->state.made_ms, time);
    buf_add_char(b, '{');
    json_add_number(b, "format", FORMAT);
    add_text(b, "version", REPORTD_VERSION);
    add_text(b, "made", time);
    add_number(b, "made_ms", manifest->state.made_ms);
    add_number(b, "reports", manifest->counts.reports);
    add_number(b, "results", manifest->counts.results);
    add_number(b, "bytes", manifest->counts.bytes);
    add_ledgers(b, &manifest->state);
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
    print_manifest(&b, manifest);
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

static bool get_id(const json_t *json, const char *key, struct guid *ret)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text != NULL && guid_parse(text, ret);
}

/* A backup of an older version has none; one that was made before a server had opened the store
 * names none, and needs all the same what was deleted since. */
static int read_ledgers(const json_t *json, struct backup_state *ret, struct err *err)
{
    const json_t *list = json_object_get(json, "ledgers");

    ret->named = get_id(json, "store", &ret->store);
    ret->known = ret->named && json_array_size(list) > 0;
    if (!ret->known)
        return 0;
    ret->ledgers = calloc(json_array_size(list) + 1, sizeof(*ret->ledgers));
    if (ret->ledgers == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        struct store_ledger *ledger = &ret->ledgers[ret->count++];
        const char *place = json_string_value(json_object_get(item, "place"));

        if (!get_id(item, "id", &ledger->id) || !get_number(item, "records", &ledger->records) ||
            place == NULL)
            return err_set(err, -E_NOT_FOUND, "the ledgers in " BACKUP_MANIFEST " cannot be read");
        str_copy(ledger->place, sizeof(ledger->place), place);
    }
    return 0;
}

int manifest_read(const char *folder, struct manifest *ret, struct err *err)
{
    char *path = backup_path(folder, BACKUP_MANIFEST);
    json_t *json = path != NULL ? json_load_file(path, 0, NULL) : NULL;
    int64_t format;
    int rc = 0;

    *ret = (struct manifest){0};
    if (!get_number(json, "format", &format) || !get_number(json, "made_ms", &ret->state.made_ms) ||
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
    else
        rc = read_ledgers(json, &ret->state, err);
    if (rc < 0)
        backup_state_done(&ret->state);
    json_decref(json);
    free(path);
    return rc;
}
