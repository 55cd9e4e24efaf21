/* src/http/admin.c -- GET /Admin/Overview: nodes, workers, queue, sources and disks; POST
 * /Admin/Queue: pauses the queue, or drains a node. */
#include "http/admin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "base/version.h"

enum {
    OVERVIEW_MAX = 1 << 20,
    TYPES_MAX = 1 << 20, /* bytes of the names of a source's reports */
};

#define UNKNOWN_SOURCE "There is no source '%.64s': GET /Admin/Overview lists them."

/* ---- the report types of a source ---- */

struct choosing {
    const char *source;
    struct buf types;
};

static void add_type(void *context, const struct definition *def)
{
    struct choosing *choosing = context;

    if (!str_eq(def->source, choosing->source))
        return;
    buf_add_str(&choosing->types, def->name);
    buf_add_char(&choosing->types, '\n');
}

int admin_types_of(struct exchange *ex, const char *name, char **ret, struct err *err)
{
    struct choosing choosing = {.source = name};

    *ret = NULL;
    if (name == NULL)
        return 0;
    if (config_source_url(ex->services->config, name) == NULL)
        return err_set(err, -E_INVALID, UNKNOWN_SOURCE, name);
    buf_init(&choosing.types, TYPES_MAX);
    catalog_each(ex->services->catalog, add_type, &choosing);
    *ret = buf_take(&choosing.types);
    return *ret != NULL ? 0 : err_set(err, -E_NOMEM, "no memory for the reports of a source");
}

/* ---- what is paused ---- */

static void queue_known(struct exchange *ex)
{
    const struct store_paused *paused = &ex->op.paused;
    const struct config *config = ex->services->config;
    bool first = true;
    struct buf data;

    buf_init(&data, OVERVIEW_MAX);
    buf_add_format(&data, "{\"paused\":%s,\"pausedSources\":[", paused->all ? "true" : "false");
    for (size_t i = 0; i < config->source_count; i++) {
        if (!str_has_line(paused->sources, config->sources[i].name))
            continue;
        buf_add_str(&data, first ? "" : ",");
        json_add_string(&data, config->sources[i].name);
        first = false;
    }
    buf_add_str(&data, "]}");
    exchange_reply_built(ex, &data);
}

static void queue_changed(struct exchange *ex)
{
    const struct store_pause *done = &ex->op.pause;
    const char *what = done->source != NULL ? done->source : "";
    bool is_node = str_starts(what, STORE_NODE_MARK);

    log_info("queue.pause", "paused=%s source=%s node=%s user=%s request=%s",
             done->paused ? "yes" : "no", is_node ? "" : what,
             is_node ? what + strlen(STORE_NODE_MARK) : "", ex->user->name, ex->request_id);
    ex->act.change =
        done->paused ? (is_node ? "drain" : "pause") : (is_node ? "undrain" : "resume");
    ex->act.subject = json_string_value(exchange_member(ex, is_node ? "node" : "source"));
    exchange_op(ex, STORE_PAUSED);
    exchange_post(ex, queue_known);
}

static void post_pause(struct exchange *ex, const char *source)
{
    bool paused = json_is_true(exchange_member(ex, "paused"));

    exchange_op(ex, STORE_PAUSE)->pause = (struct store_pause){.source = source, .paused = paused};
    exchange_post(ex, queue_changed);
}

/* In a shared store a host is followed by the process id. */
static bool is_host(const char *host, const char *name)
{
    size_t len = strlen(name);

    return strncmp(host, name, len) == 0 && strchr(":", host[len]) != NULL;
}

/* The only node with this id, or on this host: its name in the store. NULL: none, or several. */
static const char *find_node(struct exchange *ex, const char *name)
{
    const struct store_overview *all = &ex->op.overview;
    const char *found = NULL;

    if (!store_is_shared(ex->services->store))
        return str_eq(name, ex->services->node) ? STORE_ALONE : NULL;
    for (size_t i = 0; i < all->node_count; i++) {
        if (str_eq(all->nodes[i].id, name))
            return all->nodes[i].id;
    }
    for (size_t i = 0; i < all->node_count; i++) {
        if (!is_host(all->nodes[i].host, name))
            continue;
        if (found != NULL)
            return NULL;
        found = all->nodes[i].id;
    }
    return found;
}

static void nodes_known(struct exchange *ex)
{
    const char *name = json_string_value(exchange_member(ex, "node")), *node = find_node(ex, name);
    char *mark;

    if (node == NULL) {
        exchange_fail(ex, -E_INVALID,
                      "'%.64s' does not name exactly one node: give the id or the host of one "
                      "that GET /Admin/Overview lists.",
                      name);
    } else if (asprintf(&mark, "%s%s", STORE_NODE_MARK, node) < 0) {
        exchange_fail(ex, -E_NOMEM, "no memory for a node");
    } else {
        ex->state = mark;
        ex->state_free = free;
        post_pause(ex, mark);
    }
}

static bool is_text_or_none(const json_t *member)
{
    return member == NULL || json_is_null(member) || json_is_string(member);
}

void admin_queue(struct exchange *ex)
{
    const json_t *source = exchange_member(ex, "source"), *node = exchange_member(ex, "node");
    const char *name = json_string_value(source);

    if (!json_is_boolean(exchange_member(ex, "paused")) || !is_text_or_none(source) ||
        !is_text_or_none(node) || (name != NULL && json_is_string(node))) {
        exchange_fail(
            ex, -E_INVALID,
            "Send {\"paused\": true} or {\"paused\": false}, and with \"source\" the name "
            "of one source, or with \"node\" that of one node.");
    } else if (name != NULL && config_source_url(ex->services->config, name) == NULL) {
        exchange_fail(ex, -E_INVALID, UNKNOWN_SOURCE, name);
    } else if (json_is_string(node)) {
        exchange_op(ex, STORE_OVERVIEW);
        exchange_post(ex, nodes_known);
    } else {
        post_pause(ex, name);
    }
}

/* ---- sources ---- */

/* How many reports are running on the source; NULL: on any. */
static int64_t running_on(const struct store_overview *all, const char *source)
{
    int64_t running = 0;

    for (size_t i = 0; i < all->source_count; i++) {
        if (source == NULL || str_eq(all->sources[i].name, source))
            running += all->sources[i].running;
    }
    return running;
}

static void add_sources(struct buf *out, struct exchange *ex, const struct store_overview *all)
{
    const struct config *config = ex->services->config;

    json_add_key(out, "sources");
    buf_add_char(out, '[');
    for (size_t i = 0; i < config->source_count; i++) {
        const struct config_source *source = &config->sources[i];

        buf_add_str(out, i > 0 ? ",{" : "{");
        json_add_member(out, "name", source->name);
        json_add_member(out, "kind", str_starts(source->url, "postgres") ? "postgresql" : "sqlite");
        json_add_number(out, "running", running_on(all, source->name));
        json_add_number(out, "maxRunning", source->max_running);
        json_add_bool(out, "paused", str_has_line(all->paused.sources, source->name));
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

/* ---- nodes and workers ---- */

static void add_nodes(struct buf *out, struct exchange *ex, const struct store_overview *all)
{
    const struct store_node alone = {.running = running_on(all, NULL)};
    bool shared = store_is_shared(ex->services->store);
    size_t count = shared ? all->node_count : 1;
    char mark[STORE_NODE_TEXT + sizeof(STORE_NODE_MARK)];

    json_add_key(out, "nodes");
    buf_add_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        const struct store_node *node = shared ? &all->nodes[i] : &alone;

        buf_add_str(out, i > 0 ? ",{" : "{");
        json_add_member(out, "host", shared ? node->host : ex->services->node);
        json_add_member(out, "id", shared ? node->id : NULL);
        json_add_number(out, "running", node->running);
        snprintf(mark, sizeof(mark), "%s%s", STORE_NODE_MARK, shared ? node->id : STORE_ALONE);
        json_add_bool(out, "draining", str_has_line(all->paused.sources, mark));
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static void add_workers(struct buf *out, struct exchange *ex)
{
    struct supervisor_stats workers;

    supervisor_stats(ex->services->supervisor, &workers);
    json_add_key(out, "workers");
    buf_add_char(out, '{');
    json_add_number(out, "count", workers.workers);
    json_add_number(out, "busy", workers.busy);
    json_add_number(out, "died", workers.died);
    json_add_number(out, "killed", workers.killed);
    buf_add_char(out, '}');
}

/* ---- users ---- */

static void add_users(struct buf *out, const struct store_overview *all)
{
    json_add_key(out, "users");
    buf_add_char(out, '[');
    for (size_t i = 0; i < all->user_count; i++) {
        buf_add_str(out, i > 0 ? ",{" : "{");
        json_add_member(out, "name", all->users[i].name);
        json_add_number(out, "running", all->users[i].running);
        json_add_number(out, "queued", all->users[i].queued);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

/* ---- queue and disks ---- */

static void add_queue(struct buf *out, const struct store_overview *all)
{
    char oldest[CLOCK_TEXT];

    json_add_key(out, "queue");
    buf_add_char(out, '{');
    for (int i = 0; i < REPORT_STATE_COUNT; i++)
        json_add_number(out, report_state_name(i), all->by_state[i]);
    if (all->oldest_ms != 0)
        clock_format(all->oldest_ms, oldest);
    json_add_bool(out, "paused", all->paused.all);
    json_add_member(out, "oldestQueuedAt", all->oldest_ms != 0 ? oldest : NULL);
    buf_add_char(out, '}');
}

/* Adds nothing if `path` is not a path, as with results in rows, or does not answer. */
static void add_disk(struct buf *out, const char *what, const char *path)
{
    struct statvfs disk;

    if (path == NULL || statvfs(path, &disk) != 0)
        return;
    buf_add_str(out, buf_str(out)[out->len - 1] == '[' ? "{" : ",{");
    json_add_member(out, "what", what);
    json_add_number(out, "bytes", (int64_t)(disk.f_blocks * disk.f_frsize));
    json_add_number(out, "freeBytes", (int64_t)(disk.f_bavail * disk.f_frsize));
    buf_add_char(out, '}');
}

static void add_disks(struct buf *out, const struct config *config)
{
    bool in_rows = str_eq(config->spool.text, "postgresql");

    json_add_key(out, "disks");
    buf_add_char(out, '[');
    add_disk(out, "store", config_store_path(config));
    add_disk(out, "spool", in_rows ? NULL : config->spool.text);
    add_disk(out, "ledger", config->deletion_ledger.text);
    buf_add_char(out, ']');
}

static void overview_known(struct exchange *ex)
{
    const struct store_overview *all = &ex->op.overview;
    struct buf data;

    buf_init(&data, OVERVIEW_MAX);
    buf_add_char(&data, '{');
    json_add_member(&data, "version", REPORTD_VERSION);
    add_queue(&data, all);
    add_nodes(&data, ex, all);
    add_workers(&data, ex);
    add_sources(&data, ex, all);
    add_users(&data, all);
    add_disks(&data, ex->services->config);
    buf_add_char(&data, '}');
    exchange_reply_built(ex, &data);
}

void admin_overview(struct exchange *ex)
{
    exchange_op(ex, STORE_OVERVIEW);
    exchange_post(ex, overview_known);
}
