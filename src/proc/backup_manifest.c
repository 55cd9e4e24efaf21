/* src/proc/backup_manifest.c -- what a backup says about itself, in a JSON file; and whether the
 * given deletion ledgers have every deletion since. */
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
#include "proc/backup.h"
#include "proc/backup_impl.h"
#include "proc/recovery.h"

/* ---- ledgers ---- */

void backup_state_done(struct backup_state *state)
{
    if (state == NULL)
        return;
    free(state->ledgers);
    *state = (struct backup_state){0};
}

/* A store that no server has opened since its schema was upgraded knows of no ledger. */
int backup_state_of(struct store *store, int64_t made_ms, struct backup_state *ret, struct err *err)
{
    struct store_op op = {.verb = STORE_LEDGERS};
    int rc = recovery_identity(store, &ret->store, err);

    if (rc < 0)
        return rc;
    if (store_ask(store, &op, err) < 0)
        return err->code;
    ret->ledgers = op.ledgers.items;
    ret->count = 0;
    for (size_t i = 0; i < op.ledgers.count; i++) {
        int64_t given_up_ms = ret->ledgers[i].given_up_ms;

        if (given_up_ms == 0 || (made_ms != 0 && given_up_ms >= made_ms))
            ret->ledgers[ret->count++] = ret->ledgers[i];
    }
    ret->known = op.ledgers.count > 0;
    ret->named = ret->known; /* this upgrade may just have made its id */
    return 0;
}

static const struct ledger_copy *find_copy(const struct ledgers *ledgers, const struct guid *id)
{
    for (size_t i = 0; i < ledgers->count; i++) {
        struct guid found = ledger_copy_id(ledgers->items[i]);

        if (guid_eq(&found, id))
            return ledgers->items[i];
    }
    return NULL;
}

/* Its records are numbered: records from number `wanted->records` on are of later deletions. */
static int check_one(const struct ledgers *ledgers, const struct store_ledger *wanted,
                     struct err *err)
{
    const struct ledger_copy *copy = find_copy(ledgers, &wanted->id);
    char since[CLOCK_TEXT];

    if (copy == NULL)
        return err_set(err, -E_LEDGER,
                       "the deletion ledger that was '%s' is not among those at hand, and what it "
                       "knows as deleted would come back: name it with --ledger, or accept that "
                       "with --resurrect",
                       wanted->place);
    if (ledger_copy_records(copy) < wanted->records)
        return err_set(err, -E_LEDGER,
                       "the deletion ledger that was '%s' has lost its end: it has %lld records "
                       "and had at least %lld; what was deleted since would come back; accept "
                       "that with --resurrect",
                       wanted->place, (long long)ledger_copy_records(copy),
                       (long long)wanted->records);
    if (ledger_copy_first(copy) <= wanted->records)
        return 0;
    clock_format(ledger_copy_since_ms(copy), since);
    return err_set(err, -E_LEDGER,
                   "the deletion ledger that was '%s' only knows what was deleted since %s: what "
                   "was deleted between the backup and then would come back; accept that with "
                   "--resurrect",
                   wanted->place, since);
}

/* A backup that does not say which ledgers it needs requires that none begins later than the
 * backup. If one does, another ledger was given up, and there may have been more in between. */
static int check_times(const struct ledgers *ledgers, int64_t made_ms, struct err *err)
{
    char made[CLOCK_TEXT], since[CLOCK_TEXT];

    for (size_t i = 0; i < ledgers->count && made_ms != 0; i++) {
        int64_t since_ms = ledger_copy_since_ms(ledgers->items[i]);

        if (since_ms <= made_ms)
            continue;
        clock_format(made_ms, made);
        clock_format(since_ms, since);
        return err_set(err, -E_LEDGER,
                       "the backup is of %s and does not say which deletion ledgers it needs, and "
                       "'%s' only knows what was deleted since %s. Name each ledger that the store "
                       "has had since the backup, and accept with --resurrect that what none of "
                       "them knows comes back: what they know stays deleted",
                       made, ledger_copy_path(ledgers->items[i]), since);
    }
    return 0;
}

int ledgers_check(const struct ledgers *ledgers, const struct backup_state *state, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < ledgers->count && state->named; i++) {
        if (!ledger_copy_is_of(ledgers->items[i], &state->store))
            return err_set(err, -E_LEDGER,
                           "a deletion ledger is of another store than the backup: name the one "
                           "of this store with --ledger, or go on without with --resurrect");
    }
    if (!state->known)
        return check_times(ledgers, state->made_ms, err);
    for (size_t i = 0; i < state->count && rc == 0; i++)
        rc = check_one(ledgers, &state->ledgers[i], err);
    return rc;
}

bool ledgers_store(const struct ledgers *ledgers, struct guid *ret)
{
    for (size_t i = 0; i < ledgers->count; i++) {
        if (ledger_copy_store(ledgers->items[i], ret))
            return true;
    }
    return false;
}

bool ledgers_lack(const struct ledgers *ledgers, const struct ledger_copy *copy)
{
    struct guid id = ledger_copy_id(copy), store, other;

    return find_copy(ledgers, &id) == NULL && ledgers_store(ledgers, &store) &&
           ledger_copy_store(copy, &other) && guid_eq(&store, &other);
}

static int record_ledger(struct store *store, const struct store_ledger *ledger, struct err *err)
{
    struct store_op op = {.verb = STORE_LEDGER_NOTE, .ledger_note = {ledger, 0}};

    return store_ask(store, &op, err);
}

static int record_copy(struct store *store, const struct store_ledgers *known,
                       const struct ledger_copy *copy, struct err *err)
{
    struct store_ledger ledger = {.id = ledger_copy_id(copy), .records = ledger_copy_records(copy)};

    str_copy(ledger.place, sizeof(ledger.place), ledger_copy_path(copy));
    for (size_t i = 0; i < known->count; i++) {
        if (guid_eq(&known->items[i].id, &ledger.id))
            str_copy(ledger.place, sizeof(ledger.place), known->items[i].place);
    }
    return record_ledger(store, &ledger, err);
}

/* Ledgers that are not given are given up; a number of records never decreases. */
static int record_known(const struct ledgers *ledgers, struct store *store,
                        const struct store_ledger *known, size_t count, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i++) {
        struct store_ledger ledger = known[i];

        if (find_copy(ledgers, &ledger.id) != NULL)
            ledger.given_up_ms = 0;
        else if (ledger.given_up_ms == 0)
            ledger.given_up_ms = store_now_ms(store);
        rc = record_ledger(store, &ledger, err);
    }
    return rc;
}

static int record_all(const struct ledgers *ledgers, struct store *store,
                      const struct store_ledgers *known, struct err *err)
{
    struct guid id;
    int rc = recovery_identity(store, &id, err);

    for (size_t i = 0; i < ledgers->count && rc == 0; i++) {
        if (ledger_copy_is_of(ledgers->items[i], &id))
            rc = record_copy(store, known, ledgers->items[i], err);
    }
    return rc < 0 ? rc : record_known(ledgers, store, known->items, known->count, err);
}

int ledgers_record(const struct ledgers *ledgers, const struct backup_state *kept,
                   struct store *store, struct err *err)
{
    struct store_op op = {.verb = STORE_LEDGERS};
    int rc = store_ask(store, &op, err);

    if (rc >= 0)
        rc = record_all(ledgers, store, &op.ledgers, err);
    store_op_done(&op);
    if (rc == 0 && kept != NULL)
        rc = record_known(ledgers, store, kept->ledgers, kept->count, err);
    return rc;
}

/* ---- the manifest ---- */

enum { FORMAT = 1, MANIFEST_MAX = 64 * 1024 };

static void add_number_line(struct buf *b, const char *key, int64_t value)
{
    buf_add_str(b, "\n ");
    json_add_number(b, key, value);
}

static void add_text_line(struct buf *b, const char *key, const char *text)
{
    buf_add_str(b, "\n ");
    json_add_member(b, key, text);
}

/* The place of each ledger helps the operator to find it. */
static void add_ledgers(struct buf *b, const struct backup_state *state)
{
    char id[GUID_TEXT];

    guid_format(&state->store, id);
    add_text_line(b, "store", id);
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
    add_text_line(b, "version", REPORTD_VERSION);
    add_text_line(b, "made", time);
    add_number_line(b, "made_ms", manifest->state.made_ms);
    add_number_line(b, "reports", manifest->counts.reports);
    add_number_line(b, "results", manifest->counts.results);
    add_number_line(b, "bytes", manifest->counts.bytes);
    add_ledgers(b, &manifest->state);
    buf_add_str(b, "}\n");
}

static int write_manifest_file(const char *path, const struct buf *b, struct err *err)
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
                                        : write_manifest_file(path, &b, err);
    buf_done(&b);
    free(path);
    return rc;
}

static bool get_member_number(const json_t *json, const char *key, int64_t *ret)
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

/* A backup of an older version lists no ledgers. One made before a server had opened the store has
 * an empty list, and still needs what was deleted since. */
static int read_manifest_ledgers(const json_t *json, struct backup_state *ret, struct err *err)
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

        if (!get_id(item, "id", &ledger->id) ||
            !get_member_number(item, "records", &ledger->records) || place == NULL)
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
    if (!get_member_number(json, "format", &format) ||
        !get_member_number(json, "made_ms", &ret->state.made_ms) ||
        !get_member_number(json, "reports", &ret->counts.reports) ||
        !get_member_number(json, "results", &ret->counts.results) ||
        !get_member_number(json, "bytes", &ret->counts.bytes))
        rc = err_set(err, -E_NOT_FOUND,
                     "'%s' is not a complete backup of reportd: it has no " BACKUP_MANIFEST
                     " that can be read",
                     folder);
    else if (format != FORMAT)
        rc = err_set(err, -E_CONFIG, "the backup '%s' was made by a later version of reportd",
                     folder);
    else
        rc = read_manifest_ledgers(json, &ret->state, err);
    if (rc < 0)
        backup_state_done(&ret->state);
    json_decref(json);
    free(path);
    return rc;
}
