/* src/core/trail.c -- actions as lines of JSON, and the thread that writes them. */
#include "core/trail.h"

#include <libgen.h>
#include <limits.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/log_trouble.h"
#include "base/str.h"
#include "base/thread.h"
#include "base/work_queue.h"
#include "core/trail_file.h"

enum {
    LINE_BYTES_MAX = 8192,
    CHUNK_BYTES = 256 * 1024,      /* written at a time */
    WAITING_BYTES_MAX = 8 << 20,   /* kept while the file cannot be written; … */
    WAITING_LINES_MAX = 64 * 1024, /* … and before the thread takes them */
    RETRY_MS = 1000,
    REST_MS = 5, /* between two writes, so that under load each has many lines */
};

static struct log_trouble trail_trouble = LOG_TROUBLE("trail.failed");

static const char *const event_words[] = {
#define X(name, word) [TRAIL_##name] = word,
    TRAIL_EVENTS(X)
#undef X
};

struct line {
    struct work_item item;
    size_t len;
    char text[];
};

struct trail {
    char *path, *system_user; /* NULL: the server */
    bool required;
    struct trail_key key;
    bool has_key;
    struct work_queue *queue;
    atomic_bool failing, reopen;
    atomic_long lost;
    /* only used by the thread */
    struct trail_file file;
    struct work_item *waiting, **last; /* lines that are not yet written */
    size_t waiting_bytes;
};

/* ---- the key ---- */

int trail_key_open(const char *path, bool make, struct trail_key *ret, struct err *err)
{
    const struct key_file file = {
        .path = path, .what = "key of the audit trail", .make = make ? key_file_random : NULL};
    struct buf content;
    int rc;

    buf_init(&content, 4096);
    rc = key_file_open(&file, &content, err);
    if (rc == 0 && content.len != TRAIL_KEY_BYTES)
        rc = err_set(err, -E_CONFIG,
                     "'%s' is not a file of %d bytes; remove it and a new one is made (what the "
                     "audit trail has so far can then not be searched for a reference)",
                     path, TRAIL_KEY_BYTES);
    if (rc == 0)
        memcpy(ret->bytes, content.data, TRAIL_KEY_BYTES);
    key_file_done(&content);
    return rc;
}

void trail_key_done(struct trail_key *key)
{
    sodium_memzero(key, sizeof(*key));
}

void trail_hash(const struct trail_key *key, const struct guid *id, char out[TRAIL_HASH_TEXT])
{
    unsigned char hash[crypto_generichash_BYTES_MIN];

    _Static_assert(2 * sizeof(hash) + 1 == TRAIL_HASH_TEXT, "room for the digits");
    crypto_generichash(hash, sizeof(hash), id->bytes, sizeof(id->bytes), key->bytes,
                       sizeof(key->bytes));
    sodium_bin2hex(out, TRAIL_HASH_TEXT, hash, sizeof(hash));
}

/* ---- lines ---- */

static void add_if_known(struct buf *out, const char *key, const char *text)
{
    if (text == NULL)
        return;
    json_add_key(out, key);
    json_add_visible(out, text);
}

static void begin_line(struct buf *out, const char *event)
{
    char stamp[CLOCK_TEXT];

    clock_format(clock_now_ms(), stamp);
    buf_add_char(out, '{');
    json_add_member(out, "time", stamp);
    json_add_member(out, "event", event);
}

static void add_line(const struct trail *trail, const struct trail_act *act, struct buf *out)
{
    char hash[TRAIL_HASH_TEXT];

    begin_line(out, event_words[act->event]);
    add_if_known(out, "change", act->change);
    add_if_known(out, "user", act->user);
    add_if_known(out, "key", act->key);
    add_if_known(out, "system_user", act->user == NULL ? trail->system_user : NULL);
    add_if_known(out, "subject", act->subject);
    add_if_known(out, "address", act->address);
    add_if_known(out, "request", act->request);
    add_if_known(out, "report", act->report);
    if (act->reference != NULL && trail->has_key) {
        trail_hash(&trail->key, act->reference, hash);
        json_add_member(out, "reference", hash);
    }
    json_add_member(out, "outcome", act->outcome != NULL ? act->outcome : "done");
    buf_add_str(out, "}\n");
}

void trail_record(struct trail *trail, const struct trail_act *act)
{
    char room[LINE_BYTES_MAX];
    struct line *line;
    struct buf text;

    if (trail == NULL)
        return;
    buf_init_in(&text, room, sizeof(room));
    add_line(trail, act, &text);
    line = buf_failed(&text) ? NULL : malloc(sizeof(*line) + text.len);
    if (line != NULL) {
        line->item = (struct work_item){0};
        line->len = text.len;
        memcpy(line->text, buf_str(&text), text.len);
    }
    if (line == NULL || !work_queue_push(trail->queue, &line->item)) {
        free(line);
        atomic_fetch_add(&trail->lost, 1);
    }
}

void trail_record_purge(struct trail *trail, const struct guid *id, const char *user,
                        const char *name)
{
    trail_record(trail, &(struct trail_act){.event = TRAIL_PURGE,
                                            .subject = *user != '\0' ? user : NULL,
                                            .report = *name != '\0' ? name : NULL,
                                            .reference = id});
}

/* An empty line makes the thread check the file. */
static void wake(struct trail *trail)
{
    struct line *line = calloc(1, sizeof(*line));

    if (line != NULL && !work_queue_push(trail->queue, &line->item))
        free(line);
}

void trail_reopen(struct trail *trail)
{
    if (trail == NULL)
        return;
    atomic_store(&trail->reopen, true);
    wake(trail);
}

int trail_check(const struct trail *trail, struct err *err)
{
    if (trail == NULL || !trail->required || !atomic_load(&trail->failing))
        return 0;
    return err_set(err, -E_TRAIL,
                   "The audit trail, which has to record this, cannot be written now; nothing was "
                   "done. The log says why.");
}

/* ---- the thread ---- */

static void keep(struct trail *trail, struct work_item *batch)
{
    while (batch != NULL) {
        struct line *line = container_of(batch, struct line, item);

        batch = batch->next;
        if (trail->waiting_bytes + line->len > WAITING_BYTES_MAX) {
            free(line);
            atomic_fetch_add(&trail->lost, 1);
            continue;
        }
        line->item.next = NULL;
        *trail->last = &line->item;
        trail->last = &line->item.next;
        trail->waiting_bytes += line->len;
    }
}

/* Free the lines of a chunk that is written: those before `end`. */
static void release(struct trail *trail, const struct work_item *end)
{
    while (trail->waiting != end) {
        struct line *line = container_of(trail->waiting, struct line, item);

        trail->waiting = line->item.next;
        trail->waiting_bytes -= line->len;
        free(line);
    }
    if (trail->waiting == NULL)
        trail->last = &trail->waiting;
}

static int write_chunk(struct trail *trail, struct err *err)
{
    struct work_item *item = trail->waiting;
    struct buf chunk;
    int rc;

    buf_init(&chunk, CHUNK_BYTES);
    for (; item != NULL; item = item->next) {
        const struct line *line = container_of(item, struct line, item);

        if (chunk.len + line->len > CHUNK_BYTES)
            break;
        buf_add(&chunk, line->text, line->len);
    }
    rc = buf_failed(&chunk) ? err_set(err, -E_TRAIL, "no memory to write the audit trail")
                            : trail_file_append(&trail->file, buf_str(&chunk), chunk.len, err);
    buf_done(&chunk);
    if (rc == 0)
        release(trail, item);
    return rc;
}

/* Write how many lines are missing, in their place. */
static int write_lost(struct trail *trail, struct err *err)
{
    long lost = atomic_load(&trail->lost);
    char room[256];
    struct buf text;
    int rc;

    if (lost == 0)
        return 0;
    buf_init_in(&text, room, sizeof(room));
    begin_line(&text, "lost");
    json_add_number(&text, "lines", lost);
    buf_add_str(&text, "}\n");
    rc = trail_file_append(&trail->file, buf_str(&text), text.len, err);
    if (rc == 0)
        atomic_fetch_sub(&trail->lost, lost);
    return rc;
}

static int write_waiting(struct trail *trail, struct err *err)
{
    int rc = 0;

    if (atomic_exchange(&trail->reopen, false))
        trail_file_close(&trail->file);
    while (rc == 0 && trail->waiting != NULL)
        rc = write_chunk(trail, err);
    return rc ?: write_lost(trail, err) ?: trail_file_open(&trail->file, err);
}

static void flush_and_tell(struct trail *trail)
{
    struct err err = {0};
    int rc = write_waiting(trail, &err);

    atomic_store(&trail->failing, rc < 0);
    if (rc < 0)
        log_trouble(&trail_trouble, &err);
    else
        log_trouble_over(&trail_trouble);
}

static void keep_batch(void *context, struct work_item *batch)
{
    keep(context, batch);
}

/* Called after each batch. With `required`, a file that was removed or a disk that is full is
 * noticed without a new line, too. */
static int64_t maintain(void *context)
{
    struct trail *trail = context;

    flush_and_tell(trail);
    return trail->required || atomic_load(&trail->failing) ? RETRY_MS : 0;
}

/* ---- opening ---- */

/* Is `path` in `folder`, or below it? */
static bool is_within(const char *path, const char *folder)
{
    char copy[PATH_MAX], real_folder[PATH_MAX], real_path[PATH_MAX];
    size_t len;

    if (!str_copy(copy, sizeof(copy), path) || realpath(dirname(copy), real_path) == NULL ||
        realpath(folder, real_folder) == NULL)
        return false;
    len = strlen(real_folder);
    return strncmp(real_path, real_folder, len) == 0 && strchr("/", real_path[len]) != NULL;
}

static int check_place(const struct config *config, struct err *err)
{
    const char *path = config->audit_log.text, *store = config_store_path(config);
    char folder[PATH_MAX] = "";
    const char *folders[] = {NULL, config->spool.text, config->temp.text};

    if (store != NULL && str_copy(folder, sizeof(folder), store))
        folders[0] = dirname(folder);
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        if (folders[i] != NULL && is_within(path, folders[i]))
            return err_set(err, -E_CONFIG,
                           "audit_log '%s' is among the data in '%s': put it into a folder of its "
                           "own, such as /var/log/reportd",
                           path, folders[i]);
    }
    return 0;
}

int trail_check_config(const struct config *config, struct err *err)
{
    if (*config->audit_log.text == '\0' && str_eq(config->audit_required.text, "on"))
        return err_set(err, -E_CONFIG,
                       "audit_required is on, but audit_log is not set: set it, too");
    if (*config->audit_log.text == '\0')
        return 0;
    return check_place(config, err) ?: trail_file_check(config->audit_log.text, err);
}

static void free_trail(struct trail *trail)
{
    trail_file_close(&trail->file);
    release(trail, NULL);
    trail_key_done(&trail->key);
    free(trail->path);
    free(trail->system_user);
    free(trail);
}

static int start_trail(struct trail *trail, const char *system_user, struct err *err)
{
    bool whole = trail->path != NULL && (trail->system_user != NULL || system_user == NULL);
    int rc = whole ? trail_file_open(&trail->file, err) : err_set(err, -E_NOMEM, "out of memory");

    if (rc < 0 && rc != -E_TRAIL)
        return rc;
    if (rc < 0) {
        atomic_store(&trail->failing, true);
        log_trouble(&trail_trouble, err);
    }
    trail->queue = work_queue_new(&(struct work_queue_spec){.name = "trail",
                                                            .threads = 1,
                                                            .queue_max = WAITING_LINES_MAX,
                                                            .rest_ms = REST_MS,
                                                            .run = keep_batch,
                                                            .maintain = maintain,
                                                            .context = trail});
    if (trail->queue == NULL)
        return err_set(err, -E_NOMEM, "can't start the thread of the audit trail");
    wake(trail);
    return 0;
}

int trail_open(const struct config *config, const char *system_user, struct trail **ret,
               struct err *err)
{
    bool required = str_eq(config->audit_required.text, "on");
    struct trail *trail;
    int rc;

    *ret = NULL;
    rc = trail_check_config(config, err);
    if ((rc < 0 && rc != -E_TRAIL) || *config->audit_log.text == '\0')
        return rc;
    trail = calloc(1, sizeof(*trail));
    if (trail == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    trail->path = strdup(config->audit_log.text);
    trail->system_user = system_user != NULL ? strdup(system_user) : NULL;
    trail->file = (struct trail_file){.path = trail->path, .reserve = required, .fd = -1};
    trail->required = required;
    trail->last = &trail->waiting;
    rc = start_trail(trail, system_user, err);
    if (rc < 0)
        free_trail(trail);
    else
        *ret = trail;
    return rc;
}

void trail_use_key(struct trail *trail, const struct trail_key *key)
{
    if (trail == NULL)
        return;
    trail->key = *key;
    trail->has_key = true;
}

int trail_close(struct trail *trail, struct err *err)
{
    int rc;

    if (trail == NULL)
        return 0;
    work_queue_free(trail->queue);
    rc = write_waiting(trail, err);
    if (rc < 0 && trail->waiting == NULL && atomic_load(&trail->lost) == 0)
        rc = 0;
    free_trail(trail);
    return rc;
}
