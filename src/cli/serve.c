/* src/cli/serve.c -- `reportd serve`: opens everything in order, answers until a signal, and closes
 * in turn. */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "base/service.h"
#include "base/str.h"
#include "base/thread.h"
#include "base/version.h"
#include "cli/options.h"
#include "cli/reload.h"
#include "cli/serve_check.h"
#include "cli/trail_line.h"
#include "cli/verbs.h"
#include "core/catalog.h"
#include "core/config.h"
#include "core/rights.h"
#include "core/trail.h"
#include "http/conversion.h"
#include "http/health.h"
#include "http/issuers.h"
#include "http/listener.h"
#include "http/password_work.h"
#include "http/receipt.h"
#include "http/server.h"
#include "http/token.h"
#include "proc/audit.h"
#include "proc/backup.h"
#include "proc/choices.h"
#include "proc/deletion.h"
#include "proc/events.h"
#include "proc/ledger.h"
#include "proc/recovery.h"
#include "proc/sandbox.h"
#include "proc/streams.h"
#include "proc/supervisor.h"
#include "proc/transfers.h"
#include "proc/waiters.h"
#include "proc/worker.h"
#include "source/source.h"
#include "spool/spool.h"
#include "store/store.h"

/* Everything that runs, in the order in which it is opened. */
struct node {
    sigset_t signals; /* that stop or reload the server; blocked in all threads */
    atomic_bool drained;
    struct config *config;
    struct config_snapshot *started; /* the configuration at the start */
    struct token_keys *token_keys;
    struct receipt_keys *receipt_keys;
    char host[HOST_NAME_MAX + 1];
    struct catalog *catalog;
    struct trail *trail;
    struct store *store;
    struct spool *spool;
    struct ledger *ledger;
    struct waiters *waiters;
    struct choices *choices;
    struct health *health;
    struct transfers *transfers;
    struct streams *streams;
    struct events *events;
    struct supervisor *supervisor;
    struct purger *purger;
    struct auditor *auditor;
    struct token_cache *token_cache;
    struct issuers *issuers; /* NULL: none */
    struct status_cache *status_cache;
    struct work_queue *passwords;
    struct conversions *conversions;
    struct server *server;
};

static const char node_name[] = STORE_ALONE;
enum {
    GRACE_MORE_MS = 3000,   /* grace of an audit, in addition to that of a cancelled query */
    CONNECTIONS_LEAST = 10, /* the least that the configuration accepts */
    HURRY_S = 15,           /* after a second signal, what still hangs is left to the next start */
};

static void usage(FILE *out)
{
    fprintf(out,
            "usage: reportd serve [-c FILE] [--check]\n\n"
            "Serve the report API. Prints \"ready on URL\" on standard output once it answers;\n"
            "the log goes to standard error. SIGTERM and SIGINT stop it: running reports have\n"
            "drain_grace to finish, then return to the queue; a second signal returns them at\n"
            "once. SIGHUP reads the configuration, the report definitions, the certificate\n"
            "and the keys that sign again, opens the audit trail again, and logs what has\n"
            "changed, and which keys of the configuration need a restart.\n\n"
            "  -c, --config FILE  the configuration (default: reportd.conf)\n"
            "  --check            print what a start would refuse, except that an address is\n"
            "                     in use, and exit: 0 if it is nothing. Nothing is made or\n"
            "                     changed, and the server may be running\n"
            "  -h, --help         print this\n\n"
            "Keys of the configuration. A change of those with * is applied at SIGHUP, of\n"
            "the others at a restart. REPORTD_KEY in the environment overrides KEY of the\n"
            "file. Paths are relative to the file's folder, or, if FILE is a pipe, to the\n"
            "working folder.\n\n");
    config_print_help(out);
}

/* 0: serve; otherwise the exit status + 1. */
static int read_arguments(int argc, char **argv, const char **ret_file, bool *ret_check)
{
    const struct verb_option options[] = {
        {.name = "config", .text = ret_file}, {.name = "check", .flag = ret_check}, {0}};
    int rc = options_read(&(struct verb_line){"serve", usage, options}, argc, argv);

    if (rc == 0 && optind < argc)
        return options_wrong("serve", "'%s' is one argument too many", argv[optind]) + 1;
    return rc;
}

/* ---- opening ---- */

static int source_known(void *context, const char *source)
{
    struct node *node = context;

    return config_source_url(node->config, source) != NULL;
}

static void on_definition_problem(void *context, const char *text)
{
    (void)context;
    log_error("definition.broken", "problem=%s", text);
}

static void warn_of_retention(void *context, const struct definition *def)
{
    const struct config *config = context;

    if (def->retention_ms > config->retention.number)
        log_warn("definition.retention",
                 "problem=%s: its retention is longer than the configuration's, which applies",
                 def->file);
}

/* Two servers on one spool would remove each other's files. */
static int lock_spool(struct node *node, struct err *err)
{
    int rc = spool_lock(node->spool, err);

    if (rc == 0)
        return err_set(err, -E_SPOOL,
                       "the folder '%s': another reportd serve or fsck is using it (nodes on one "
                       "machine need each their own temp)",
                       spool_temp_folder(node->spool));
    return rc < 0 ? rc : 0;
}

static int recover(struct node *node, struct err *err)
{
    const char *store_path = config_store_path(node->config);
    struct recovery found = {0};
    int rc = recovery_own_spool(node->store, node->spool, RECOVERY_START, err);

    if (rc == 0 && store_path != NULL)
        restore_clear(store_path);
    if (rc == 0)
        rc = recovery_run(node->store, node->spool, node_name, &found, err);
    if (rc < 0)
        return rc;
    if (found.requeued > 0)
        log_warn("start.requeued", "reports=%ld", (long)found.requeued);
    if (found.removed > 0)
        log_warn("start.swept", "files=%ld", (long)found.removed);
    return 0;
}

/* The drain of a node ends with its process; a node of a shared store has a new name each time, so
 * there is nothing to end. */
static int end_own_drain(struct store *store, struct err *err)
{
    struct store_op op = {.verb = STORE_PAUSED};
    int rc = store_is_shared(store) ? 0 : store_ask(store, &op, err);
    bool drained = rc == 0 && op.paused.sources != NULL &&
                   strstr(op.paused.sources, STORE_NODE_MARK STORE_ALONE) != NULL;

    free(op.paused.sources);
    op = (struct store_op){.verb = STORE_PAUSE, .pause = {.source = STORE_NODE_MARK STORE_ALONE}};
    return drained ? store_ask(store, &op, err) : rc;
}

static int open_data(struct node *node, struct err *err)
{
    const struct catalog_spec catalog = {.folder = node->config->reports.text,
                                         .timezone = config_timezone(node->config),
                                         .source_known = source_known,
                                         .problem = on_definition_problem,
                                         .context = node,
                                         .guarded = true};
    const struct store_spec store = {.url = node->config->store.text,
                                     .create = true,
                                     .alone = true,
                                     .erase_key = node->config->erase_key_file.text,
                                     .erase_after_ms = node->config->erase_after.number,
                                     .connections = (int)node->config->store_connections.number};
    const struct spool_spec spool = {.place = node->config->spool.text,
                                     .store = node->config->store.text,
                                     .temp = node->config->temp.text};
    struct ledger_spec ledger = {.path = node->config->deletion_ledger.text,
                                 .horizon_ms = node->config->backup_horizon.number,
                                 .create = true};
    int rc = token_keys_open(node->config->key_file.text, &node->token_keys, err)
                 ?: receipt_keys_open(node->config->receipt_key_file.text, &node->receipt_keys, err)
                 ?: trail_open(node->config, NULL, &node->trail, err)
                 ?: catalog_new(&catalog, &node->catalog, err)
                 ?: spool_open(&spool, &node->spool, err)
                 ?: lock_spool(node, err)
                 ?: store_open(&store, &node->store, err)
                 ?: reload_check_receipt_key(node->config, node->store, node->receipt_keys, err)
                 ?: trail_line_use_key(node->trail, node->config, node->store, err)
                 ?: recovery_check_home(node->store, err);

    ledger.store = node->store;
    if (rc == 0)
        rc = ledger_open(&ledger, &node->ledger, err)
                 ?: recover(node, err)
                 ?: end_own_drain(node->store, err);
    return rc;
}

static int out_of_memory(struct err *err)
{
    return err_set(err, -E_NOMEM, "out of memory");
}

static int open_auditor(struct node *node, struct err *err)
{
    const struct config *config = node->config;
    const char *store = config_store_path(config), *spool = config->spool.text;
    struct auditor_spec spec = {.store = node->store,
                                .spool = node->spool,
                                .grace_ms = config->cancel_grace.number + GRACE_MORE_MS};

    spec.disks[0] = (struct auditor_disk){.name = "store", .path = store};
    spec.disks[1] = (struct auditor_disk){.name = "spool",
                                          .path = strcmp(spool, "postgresql") == 0 ? NULL : spool};
    spec.disks[2] = (struct auditor_disk){.name = "temp", .path = spool_temp_folder(node->spool)};
    spec.disks[3] = (struct auditor_disk){.name = "ledger", .path = config->deletion_ledger.text};
    return auditor_new(&spec, &node->auditor, err);
}

/* Open what runs and removes reports, and what is notified of them. */
static int open_reports(struct node *node, struct err *err)
{
    struct supervisor_spec spec = {.config = node->config,
                                   .store = node->store,
                                   .spool = node->spool,
                                   .catalog = node->catalog,
                                   .node = node_name,
                                   .finished = events_report_finished};
    struct purger_spec purge = {
        .store = node->store, .spool = node->spool, .ledger = node->ledger, .trail = node->trail};
    int rc;

    node->waiters = waiters_new();
    node->transfers = transfers_new(node->store);
    node->streams = streams_new(node->store);
    if (node->waiters != NULL && node->transfers != NULL && node->streams != NULL)
        node->events = events_new(node->store, node->waiters, node->transfers, node->streams);
    if (node->events == NULL)
        return out_of_memory(err);
    spec.transfers = node->transfers;
    spec.context = node->events;
    rc = supervisor_new(&spec, &node->supervisor, err);
    if (rc < 0)
        return rc;
    events_add_supervisor(node->events, node->supervisor);
    catalog_each(node->catalog, warn_of_retention, node->config);
    purge.supervisor = node->supervisor;
    rc = purger_new(&purge, &node->purger, err);
    if (rc < 0)
        return rc;
    events_add_purger(node->events, node->purger);
    rc = open_auditor(node, err);
    return rc < 0 ? rc : store_subscribe(node->store, err);
}

static int open_server(struct node *node, struct err *err)
{
    struct services services = {.config = node->config,
                                .store = node->store,
                                .spool = node->spool,
                                .catalog = node->catalog,
                                .supervisor = node->supervisor,
                                .purger = node->purger,
                                .auditor = node->auditor,
                                .waiters = node->waiters,
                                .transfers = node->transfers,
                                .streams = node->streams,
                                .token_keys = node->token_keys,
                                .receipt_keys = node->receipt_keys,
                                .trail = node->trail,
                                .node = node->host};
    int rc = choices_new(node->config, spool_temp_folder(node->spool), &node->choices, err);

    if (rc < 0)
        return rc;
    gethostname(node->host, sizeof(node->host) - 1);
    node->health = health_new(&(struct health_spec){.store = node->store,
                                                    .spool = node->spool,
                                                    .ledger = node->ledger,
                                                    .supervisor = node->supervisor,
                                                    .waiters = node->waiters,
                                                    .trail = node->trail});
    services.choices = node->choices;
    services.health = node->health;
    services.token_cache = node->token_cache = token_cache_new();
    services.status_cache = node->status_cache = status_cache_new();
    services.passwords = node->passwords = password_work_queue_new();
    services.conversions = node->conversions = conversions_new();
    if (node->health == NULL || node->token_cache == NULL || node->status_cache == NULL ||
        node->passwords == NULL || node->conversions == NULL)
        return out_of_memory(err);
    rc = node->config->issuer_count > 0
             ? issuers_new(node->config, node->token_cache, node->streams, &node->issuers, err)
             : 0;
    if (rc < 0)
        return rc;
    services.issuers = node->issuers;
    transfers_await_name(node->transfers, node->config->lease.number);
    return server_new(&services, &node->server, err);
}

/* Called if a request or a deletion hangs, for example on a disk or a database that does not
 * answer. It leaves the same state as kill -9, from which the next start recovers. */
static void force_stop(void)
{
    log_error("stop.forced", "waited_s=%d", HURRY_S);
    log_stop();
    _exit(EXIT_FAILED);
}

/* Runs until the drain is over: a second signal ends what it waits for, and soon the process. The
 * thread is not cancelled, since it may hold a lock. */
static void *hurry_thread(void *arg)
{
    const struct timespec *patience = NULL, grace = {.tv_sec = HURRY_S};
    struct node *node = arg;

    for (;;) {
        int signal_number = sigtimedwait(&node->signals, NULL, patience);

        if (atomic_load(&node->drained))
            return NULL;
        if (signal_number < 0 && errno == EAGAIN)
            force_stop();
        if (signal_number != SIGTERM && signal_number != SIGINT)
            continue;
        log_warn("stop.hurried", "signal=%d", signal_number);
        server_hurry(node->server);
        if (node->supervisor != NULL)
            supervisor_hurry(node->supervisor);
        patience = &grace;
    }
}

/* Requests first, then deletions, then running reports: each may need those that end after it.
 * Requests that arrive meanwhile are asked to come back. */
static void drain_node(struct node *node)
{
    pthread_t hurry;
    bool may_hurry = thread_start(&hurry, "hurry", hurry_thread, node) == 0;

    if (node->waiters != NULL)
        waiters_stop(node->waiters);
    if (node->streams != NULL)
        streams_stop(node->streams);
    choices_stop(node->choices);
    issuers_stop(node->issuers);
    server_drain(node->server);
    auditor_free(node->auditor);
    purger_stop(node->purger);
    if (node->store != NULL)
        store_unsubscribe(node->store);
    if (node->supervisor != NULL)
        supervisor_drain(node->supervisor, node->config->drain_grace.number);
    server_close(node->server);
    if (may_hurry) {
        atomic_store(&node->drained, true);
        pthread_kill(hurry, SIGHUP);
        pthread_join(hurry, NULL);
    }
}

static void close_trail(struct node *node)
{
    struct err err = {0};

    if (trail_close(node->trail, &err) < 0)
        log_error("trail.lost", "error=%s", err.text);
}

static void close_node(struct node *node)
{
    drain_node(node);
    server_free(node->server);
    streams_close(node->streams);
    work_queue_free(node->passwords);
    conversions_free(node->conversions);
    issuers_free(node->issuers);
    token_cache_free(node->token_cache);
    status_cache_free(node->status_cache);
    choices_free(node->choices);
    health_free(node->health);
    supervisor_free(node->supervisor);
    purger_free(node->purger); /* the hub notified it of the last reports that finished */
    ledger_free(node->ledger);
    close_trail(node);
    store_free(node->store);
    events_free(node->events);
    streams_free(node->streams);
    waiters_free(node->waiters);
    transfers_free(node->transfers);
    spool_free(node->spool);
    catalog_free(node->catalog);
    receipt_keys_free(node->receipt_keys);
    token_keys_free(node->token_keys);
    config_snapshot_free(node->started);
    config_free(node->config);
}

/* ---- serving ---- */

static void start_log(const struct config *config)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    int level = LOG_ERROR;

    while (level > LOG_DEBUG && strcmp(names[level], config->log_level.text) != 0)
        level--;
    log_init((enum log_level)level, strcmp(config->log_format.text, "json") == 0);
}

/* Apply the keys that are not read at each use. */
static void apply_config(struct node *node)
{
    start_log(node->config);
    catalog_set_timezone(node->catalog, config_timezone(node->config));
    auditor_set_grace(node->auditor, node->config->cancel_grace.number + GRACE_MORE_MS);
}

static void reload(struct node *node)
{
    struct err err = {0};
    bool refused;

    reload_config(node->config, node->started);
    apply_config(node);
    refused = rights_check(node->config, &err) < 0;
    trail_reopen(node->trail);
    trail_record(node->trail,
                 &(struct trail_act){.event = TRAIL_RELOAD, .outcome = refused ? "refused" : NULL});
    reload_keys(&(struct reload_keys){.config = node->config,
                                      .store = node->store,
                                      .tokens = node->token_keys,
                                      .token_cache = node->token_cache,
                                      .receipts = node->receipt_keys,
                                      .issuers = node->issuers});
    if (refused)
        log_error("definitions.reload", "error=%s", err.text);
    else
        reload_definitions(node->catalog);
    catalog_each(node->catalog, warn_of_retention, node->config);
    choices_forget(node->choices);
    server_reload(node->server);
    supervisor_wake(node->supervisor); /* it may be able to run more reports now */
}

/* Wait for the next signal, and tell the service manager meanwhile that the node is alive: this
 * thread, and the supervisor's. */
static int await_signal(const struct node *node)
{
    int64_t every_ms = service_watchdog_ms() / 2;
    const struct timespec pause = {.tv_sec = every_ms / 1000, .tv_nsec = every_ms % 1000 * 1000000};

    for (;;) {
        int signal_number = sigtimedwait(&node->signals, NULL, every_ms > 0 ? &pause : NULL);

        if (signal_number > 0)
            return signal_number;
        if (errno == EAGAIN && supervisor_answers(node->supervisor))
            service_notify("WATCHDOG=1");
    }
}

static void notify_reload(void)
{
    service_notify("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_mono_us());
}

static void notify_ready(const struct node *node)
{
    service_notify("READY=1\nSTATUS=Serving on %s", server_url(node->server));
}

static void serve_until_signal(struct node *node)
{
    int signal_number;

    if (!sandbox_offers_landlock())
        log_warn("start.sandbox", "problem=%s",
                 "this kernel has no Landlock (or it is not in lsm=): a worker that is taken over "
                 "can open every file that the server may");

    dprintf(STDOUT_FILENO, "ready on %s\n", server_url(node->server));
    log_info("start.ready", "url=%s version=%s", server_url(node->server), REPORTD_VERSION);
    notify_ready(node);
    while ((signal_number = await_signal(node)) == SIGHUP) {
        notify_reload();
        reload(node);
        notify_ready(node);
    }
    service_notify("STOPPING=1");
    log_info("stop.begun", "signal=%d", signal_number);
}

/* Descriptors that are not for connections: those that are always open, and those that each part
 * may open. */
static int64_t reserved_descriptors(const struct config *config)
{
    return 80 /* log, locks, folders, wake-ups, definitions, files being removed, choices */
           + 8 * config->workers.number           /* socket, process and result file of each */
           + 16 * config->http_threads.number     /* epoll, wake-up, three of SQLite; twice … */
           + 8 + SOCKETS_MAX                      /* … with TLS; metrics_listen; listening
                                                   * sockets */
           + 2 * config->store_connections.number /* with PostgreSQL; as many again … */
           + 16                                   /* … for its spool */
           + 4 * (int64_t)config->issuer_count    /* socket and process of a fetch of keys */
           + LISTENER_REFUSED_MAX;
}

/* A connection may need two descriptors: its own, and that of the result being sent. A closed
 * connection whose client is still receiving a result counts as open, and keeps one. */
static int fit_connections(struct config *config, struct err *err)
{
    int64_t asked = config->connections.number, most, reserved = reserved_descriptors(config);
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return err_errno(err, -E_CONFIG, "read RLIMIT_NOFILE");
    if (files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    most = ((int64_t)(files.rlim_cur < INT32_MAX ? files.rlim_cur : INT32_MAX) - reserved) / 2;
    if (most < CONNECTIONS_LEAST)
        return err_set(err, -E_CONFIG,
                       "RLIMIT_NOFILE allows %lld descriptors, and %lld are needed: raise it "
                       "(ulimit -n, LimitNOFILE=), or lower workers, http_threads or "
                       "store_connections",
                       (long long)files.rlim_cur, (long long)reserved + 2LL * CONNECTIONS_LEAST);
    if (asked <= most)
        return 0;
    config->connections.number = most;
    log_warn("start.connections", "connections=%ld configured=%ld descriptors=%ld", (long)most,
             (long)asked, (long)files.rlim_cur);
    return 0;
}

/* Called before any thread starts, and before anything slow: only serve_until_signal() receives
 * signals. */
static void prepare_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
    signals_ignore();
}

/* A variable that may contain a password. */
static bool is_secret_variable(const char *variable)
{
    return str_starts(variable, "PGPASSWORD=") || str_starts(variable, "REPORTD_");
}

/* A worker gets the password of its own database, in its URL, and no other password. */
static int complete_sources(struct config *config, struct err *err)
{
    for (size_t i = 0; i < config->source_count; i++) {
        char *url = source_url_complete(config->sources[i].url);

        if (url == NULL)
            return out_of_memory(err);
        free(config->sources[i].url);
        config->sources[i].url = url;
    }
    return 0;
}

/* Limits what workers inherit, and what a compromised worker could find in this process. */
static void prepare_process(const struct config *config)
{
    char memory[24];

    process_hide();
    process_hide_variables(is_secret_variable);
    snprintf(memory, sizeof(memory), "%lld", (long long)config->worker_memory.number);
    setenv(WORKER_MEMORY_VARIABLE, memory, 1);
}

/* What a start writes: the log of the store and its index, and files that do not exist yet. */
enum { START_ROOM_KIB = 1024 };

/* The file system that contains, or would contain, `path`; false: it is not full, or its state is
 * unknown. */
static bool is_on_full_disk(const char *path, dev_t *ret_device, long *ret_free_kib)
{
    char *copy = strdup(path);
    const char *folder = copy != NULL ? dirname(copy) : "/";
    struct statvfs vfs;
    struct stat st;
    bool full = false;

    if (statvfs(folder, &vfs) == 0 && stat(folder, &st) == 0) {
        *ret_device = st.st_dev;
        *ret_free_kib = (long)(vfs.f_bavail * vfs.f_frsize / 1024);
        full = *ret_free_kib < START_ROOM_KIB || (vfs.f_files > 0 && vfs.f_favail == 0);
    }
    free(copy);
    return full;
}

static bool is_among(dev_t device, const dev_t *told, size_t count)
{
    while (count > 0 && told[count - 1] != device)
        count--;
    return count > 0;
}

/* SQLite and the system only say that something failed; this says what to do. */
static void name_full_disks(const struct config *config)
{
    const struct {
        const char *key, *path; /* NULL: in a database */
    } places[] = {
        {"store", config_store_path(config)},
        {"deletion_ledger", config->deletion_ledger.text},
        {"spool", strcmp(config->spool.text, "postgresql") == 0 ? NULL : config->spool.text},
        {"key_file", config->key_file.text},
        {"receipt_key_file", config->receipt_key_file.text},
        {"erase_key_file", config->erase_key_file.text}};
    dev_t device, told[sizeof(places) / sizeof(places[0])];
    size_t told_count = 0;
    long free_kib;

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        const char *path = places[i].path;

        if (path == NULL || !is_on_full_disk(path, &device, &free_kib) ||
            is_among(device, told, told_count))
            continue;
        told[told_count++] = device;
        log_error("start.full", "key=%s path=%s free_kib=%ld needed_kib=%d problem=%s",
                  places[i].key, path, free_kib, START_ROOM_KIB,
                  "this disk is full: free that much and an inode there, then start again");
    }
}

static void tell_failure(const struct config *config, const struct err *err)
{
    service_notify("STATUS=%s", err->text);
    log_error("start.failed", "error=%s detail=%s", err->text, err->detail);
    name_full_disks(config);
}

static int check_start(struct config *config)
{
    struct err err = {0};
    int problems = 0;

    if (rights_check(config, &err) < 0)
        problems += serve_check_problem(err.text);
    if (fit_connections(config, &err) < 0)
        problems += serve_check_problem(err.text);
    if (complete_sources(config, &err) < 0)
        problems += serve_check_problem(err.text);
    problems += serve_check(config);
    config_free(config);
    return problems > 0 ? EXIT_FAILED : EXIT_GOOD;
}

int verb_serve(int argc, char **argv)
{
    struct node node = {0};
    bool check = false;
    const char *file = "reportd.conf";
    struct err err = {0};
    int64_t began_ms = clock_mono_ms();
    int rc = read_arguments(argc, argv, &file, &check);

    if (rc != 0)
        return rc - 1;
    service_init();
    prepare_signals(&node.signals);
    rc = config_load(file, &node.config, &err);
    if (rc < 0) {
        say_line(stderr, "reportd serve: %s", err.text);
        return EXIT_FAILED;
    }
    start_log(node.config);
    reload_warn_of_variables();
    if (check)
        return check_start(node.config);
    node.started = config_snapshot_new(node.config);
    rc = node.started != NULL ? 0 : out_of_memory(&err);
    prepare_process(node.config);
    log_start(); /* without it lines are written at once */
    rc = rc
             ?: rights_check(node.config, &err)
             ?: catalog_check_rights(node.config->reports.text, &err)
             ?: fit_connections(node.config, &err)
             ?: complete_sources(node.config, &err)
             ?: open_data(&node, &err)
             ?: open_reports(&node, &err)
             ?: open_server(&node, &err);
    if (rc == 0)
        serve_until_signal(&node);
    else
        tell_failure(node.config, &err);
    close_node(&node);
    if (rc == 0)
        log_info("stop.done", "uptime_ms=%ld", (long)(clock_mono_ms() - began_ms));
    log_stop();
    return rc < 0 ? EXIT_FAILED : EXIT_GOOD;
}
