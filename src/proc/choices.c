/* src/proc/choices.c -- requests for choices: one loop, one worker, and a cache for a minute. */
#include "proc/choices.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/seam.h"
#include "base/str.h"
#include "base/thread.h"
#include "proc/channel.h"
#include "proc/child.h"
#include "proc/choices_run.h"
#include "proc/hang_up.h"

enum { IDLE_MS = 60 * 1000, TICK_MS = 1000, LAST_PATIENCE_MS = 2000 };

static const char TOO_LONG[] = "The database took too long.";

/* A request and its answer: it waits for the worker, is being run by it, or is cached. */
enum entry_state { ENTRY_WAITING, ENTRY_RUNNING, ENTRY_KEPT };

struct entry {
    enum entry_state state;
    char *user, *claims, *parameter;
    char version[DEFINITION_VERSION_TEXT]; /* of the definition: a hash of its text, including the
                                            * name */
    struct guid id;                        /* identifies it to the worker */
    bool stale;               /* the definitions were reloaded: it is answered, but not cached */
    int64_t due_ms;           /* WAITING, RUNNING: when to give up; KEPT: when to forget it */
    struct choices_ask *asks; /* WAITING, RUNNING: at least one, whose `def` is held; RUNNING and
                               * stale: possibly none */
    char *json;               /* KEPT */
    size_t size;
    struct entry *next;
};

struct choices {
    const struct config *config;
    const char *temp_folder;
    pthread_t thread;
    struct loop *loop;
    struct entry *entries; /* oldest first */
    size_t waiting, kept, kept_bytes;
    struct entry *running;
    int result_fd; /* file of the running request, or -1 */
    struct child child;
    struct channel channel;
    struct loop_watch exit_watch;
    bool dying; /* killed, but not yet reaped */
    bool again; /* the running request needs a new process */
    int64_t idle_since_ms;
    struct loop_timer tick;
    struct loop_message forget, stop, quit;
    atomic_bool forget_posted, stop_posted;
    bool stopped, over;
};

/* ---- answers ---- */

static void end_ask(struct choices_ask *ask)
{
    if (ask->watched)
        loop_unwatch(ask->choices->loop, &ask->hang_up);
    ask->watched = false;
    ask->done(ask);
}

/* With a copy of the list, or, if `err` is not NULL, with the error. */
static void answer_ask(struct choices_ask *ask, const char *json, const struct err *err)
{
    ask->json = err == NULL ? strdup(json) : NULL;
    if (err != NULL)
        ask->err = *err;
    else if (ask->json == NULL)
        err_set(&ask->err, -E_NOMEM, "out of memory");
    end_ask(ask);
}

/* Answer all requests for this entry. */
static void answer_all(struct entry *entry, const char *json, const struct err *err)
{
    struct choices_ask *ask = entry->asks, *next;

    entry->asks = NULL;
    for (; ask != NULL; ask = next) {
        next = ask->next;
        answer_ask(ask, json, err);
    }
}

static void entry_free(struct entry *entry)
{
    free(entry->user);
    free(entry->claims);
    free(entry->parameter);
    free(entry->json);
    free(entry);
}

static void entry_remove(struct choices *choices, struct entry *entry)
{
    struct entry **place = &choices->entries;

    while (*place != entry)
        place = &(*place)->next;
    *place = entry->next;
    if (entry->state == ENTRY_KEPT) {
        choices->kept--;
        choices->kept_bytes -= entry->size;
    } else if (entry->state == ENTRY_WAITING) {
        choices->waiting--;
    } else {
        choices->running = NULL;
    }
    entry_free(entry);
}

static void fail_entry(struct choices *choices, struct entry *entry, const char *why)
{
    struct err err;

    err_set(&err, -E_CHOICES, "The choices of '%s' are not available at the moment. %s",
            entry->parameter, why);
    answer_all(entry, NULL, &err);
    entry_remove(choices, entry);
}

static struct entry *oldest_entry(const struct choices *choices, enum entry_state state)
{
    struct entry *entry = choices->entries;

    while (entry != NULL && entry->state != state)
        entry = entry->next;
    return entry;
}

/* Cache the answered entry; if there are too many, remove the oldest. */
static void keep_entry(struct choices *choices, struct entry *entry, char *json)
{
    entry->json = json;
    entry->size = strlen(json) + strlen(entry->claims);
    entry->state = ENTRY_KEPT;
    entry->due_ms = clock_steady_ms() + CHOICES_KEPT_MS;
    choices->running = NULL;
    choices->kept++;
    choices->kept_bytes += entry->size;
    while (choices->kept > CHOICES_KEPT_MAX || choices->kept_bytes > CHOICES_KEPT_BYTES)
        entry_remove(choices, oldest_entry(choices, ENTRY_KEPT));
}

static void take_choices(struct choices *choices, char *json)
{
    struct entry *entry = choices->running;

    answer_all(entry, json, NULL);
    if (entry->stale) {
        free(json);
        entry_remove(choices, entry);
    } else {
        keep_entry(choices, entry, json);
    }
}

/* ---- the worker ---- */

static void close_result(struct choices *choices)
{
    if (choices->result_fd >= 0)
        close(choices->result_fd);
    choices->result_fd = -1;
}

/* Read what the worker has written; NULL: it is not what its answer says. */
static char *read_choices(const struct choices *choices, int64_t bytes)
{
    char *json = bytes <= CHOICES_BYTES_MAX ? malloc((size_t)bytes + 1) : NULL;

    if (json == NULL || file_read_all(choices->result_fd, json, (size_t)bytes, 0) < bytes) {
        free(json);
        return NULL;
    }
    json[bytes] = '\0';
    return json;
}

static void kill_worker(struct choices *choices)
{
    if (choices->child.pid <= 0 || choices->dying)
        return;
    choices->dying = true;
    child_kill(&choices->child);
}

static void start_next(struct choices *choices);
static bool run_entry(struct choices *choices, struct entry *entry);

static void on_choices_answer(struct channel *channel, const struct wire_answer *answer)
{
    struct choices *choices = container_of(channel, struct choices, channel);
    struct entry *entry = choices->running;
    char *json;

    if (entry == NULL || answer->head.type != WIRE_DONE || !guid_eq(&entry->id, &answer->head.id))
        return;
    if (answer->spent != 0)
        kill_worker(choices); /* it is about to end anyway */
    choices->again = answer->outcome == WIRE_AGAIN;
    if (choices->again)
        return; /* on_choices_exit() continues */
    json = answer->outcome == WIRE_COMPLETE ? read_choices(choices, answer->bytes) : NULL;
    close_result(choices);
    if (json != NULL) {
        take_choices(choices, json);
    } else {
        log_warn("choices.failed", "parameter=%s detail=%s", entry->parameter, answer->detail);
        fail_entry(choices, entry, answer->message);
    }
    choices->idle_since_ms = clock_mono_ms();
    if (!choices->dying)
        start_next(choices);
}

static void on_choices_channel_end(struct channel *channel, const struct err *why)
{
    struct choices *choices = container_of(channel, struct choices, channel);

    if (why->code < 0)
        log_warn("worker.wire", "pid=%d error=%s", (int)choices->child.pid, why->text);
    channel_close(channel);
    kill_worker(choices); /* on_choices_exit() continues */
}

static void on_choices_exit(struct loop_watch *watch)
{
    struct choices *choices = container_of(watch, struct choices, exit_watch);
    struct child_end end;

    channel_drain(&choices->channel); /* it may have answered just before it died */
    channel_close(&choices->channel);
    loop_unwatch(choices->loop, watch);
    if (!child_reap(&choices->child, 0, &end))
        end = (struct child_end){.message = "no status"};
    choices->dying = false;
    if (choices->running != NULL && choices->running->asks == NULL) {
        entry_remove(choices, choices->running);
    } else if (choices->running != NULL && choices->again) {
        close_result(choices);
        run_entry(choices, choices->running);
    } else if (choices->running != NULL) {
        log_warn("choices.failed", "parameter=%s detail=%s", choices->running->parameter,
                 end.message);
        fail_entry(choices, choices->running,
                   end.signal == SIGXCPU ? "The query took too much processor time."
                                         : "The process that fetched them ended unexpectedly.");
    }
    if (choices->running == NULL)
        close_result(choices);
    start_next(choices);
}

static int ensure_worker(struct choices *choices, struct err *err)
{
    int socket;

    if (choices->child.pid > 0)
        return 0;
    if (child_spawn("worker", &choices->child, &socket, err) < 0)
        return err->code;
    if (channel_open(&choices->channel, choices->loop, socket, err) < 0 ||
        loop_watch(choices->loop, &choices->exit_watch, choices->child.pidfd, EPOLLIN, err) < 0) {
        channel_close(&choices->channel);
        child_kill(&choices->child);
        child_reap(&choices->child, LAST_PATIENCE_MS, &(struct child_end){0});
        return err->code;
    }
    return 0;
}

static int send_question(struct choices *choices, struct entry *entry, struct err *err)
{
    const struct definition *def = entry->asks->def;
    const struct config *config = choices->config;
    struct wire_order order = {
        .run = {.head = {.type = WIRE_RUN, .id = entry->id},
                .timeout_ms = entry->due_ms - clock_mono_ms(),
                .row_results = INT64_MAX, /* the result is never written to a disk */
                .temp_limit = config->temp_limit.number},
        .texts = {.definition_file = def->file,
                  .definition_text = def->text,
                  .parameters = "{}",
                  .user_name = entry->user,
                  .claims = entry->claims,
                  .source_url = config_source_url(config, def->source),
                  .temp_folder = choices->temp_folder,
                  .timezone = config->timezone.text,
                  .choices = entry->parameter},
        .texts_fd = -1,
    };
    int rc = ensure_worker(choices, err);

    if (rc < 0)
        return rc;
    order.fd = SEAM_FAILS("choices.memfd") ? -1 : memfd_create("reportd-choices", MFD_CLOEXEC);
    if (order.fd < 0)
        return err_errno(err, -E_IO, "make room for choices");
    choices->result_fd = order.fd;
    rc = wire_order_write_texts(&order, err) ?: channel_send(&choices->channel, &order, err);
    wire_order_done(&order);
    return rc;
}

/* Have the worker run it; false: it has failed and is removed. */
static bool run_entry(struct choices *choices, struct entry *entry)
{
    struct err err = {0};

    choices->again = false;
    if (clock_mono_ms() >= entry->due_ms) {
        fail_entry(choices, entry, TOO_LONG);
        return false;
    }
    if (send_question(choices, entry, &err) == 0)
        return true;
    log_error("choices.failed", "parameter=%s detail=%s", entry->parameter, err.text);
    close_result(choices);
    fail_entry(choices, entry, "Try again later.");
    return false;
}

/* Run the oldest waiting request, if the worker is free. */
static void start_next(struct choices *choices)
{
    struct entry *entry;

    while (choices->running == NULL && !choices->dying &&
           (entry = oldest_entry(choices, ENTRY_WAITING)) != NULL) {
        entry->state = ENTRY_RUNNING;
        choices->waiting--;
        choices->running = entry;
        run_entry(choices, entry);
    }
}

/* ---- requests ---- */

static struct entry *find_same_entry(const struct choices *choices, const struct choices_ask *ask)
{
    struct entry *entry = choices->entries;

    while (entry != NULL &&
           (entry->stale || !str_eq(entry->user, ask->user) ||
            !str_eq(entry->claims, ask->claims) || !str_eq(entry->version, ask->def->version) ||
            !str_eq(entry->parameter, ask->param->name)))
        entry = entry->next;
    return entry;
}

static size_t count_waiting(const struct choices *choices, const char *user)
{
    size_t count = 0;

    for (const struct entry *entry = choices->entries; entry != NULL; entry = entry->next)
        count += entry->state == ENTRY_WAITING && str_eq(entry->user, user);
    return count;
}

static void refuse_ask(struct choices_ask *ask, const char *why)
{
    err_set(&ask->err, -E_BUSY, "%s Try again in a moment.", why);
    end_ask(ask);
}

/* A waiting entry makes room for others; a running query is stopped, and its end is handled as
 * usual. */
static void abandon_entry(struct choices *choices, struct entry *entry)
{
    struct wire_order cancel = {
        .run.head = {.type = WIRE_CANCEL, .id = entry->id}, .fd = -1, .texts_fd = -1};
    struct err err = {0};

    if (entry->state == ENTRY_WAITING) {
        entry_remove(choices, entry);
        return;
    }
    entry->stale = true;
    if (!choices->dying && channel_send(&choices->channel, &cancel, &err) < 0)
        kill_worker(choices);
}

static void on_ask_hang_up(struct loop_watch *watch)
{
    struct choices_ask *ask = container_of(watch, struct choices_ask, hang_up);
    struct choices *choices = ask->choices;

    if (!hang_up_is(ask->fd, ask->tls))
        return;
    for (struct entry *entry = choices->entries; entry != NULL; entry = entry->next) {
        struct choices_ask **link = &entry->asks;

        while (*link != NULL && *link != ask)
            link = &(*link)->next;
        if (*link == NULL)
            continue;
        *link = ask->next;
        refuse_ask(ask, "You have hung up.");
        if (entry->asks == NULL)
            abandon_entry(choices, entry);
        return;
    }
}

/* If the client cannot be watched, its request waits until it is answered or times out. */
static void watch_client(struct choices *choices, struct choices_ask *ask)
{
    struct err err;

    ask->hang_up.ready = on_ask_hang_up;
    ask->watched =
        loop_watch(choices->loop, &ask->hang_up, ask->fd, hang_up_events(ask->tls), &err) == 0;
}

static struct entry *entry_new(const struct choices_ask *ask)
{
    struct entry *entry = calloc(1, sizeof(*entry));

    if (entry == NULL)
        return NULL;
    entry->id = guid_new();
    entry->due_ms = clock_mono_ms() + CHOICES_PATIENCE_MS;
    entry->user = strdup(ask->user);
    entry->claims = strdup(ask->claims);
    entry->parameter = strdup(ask->param->name);
    str_copy(entry->version, sizeof(entry->version), ask->def->version);
    if (entry->user != NULL && entry->claims != NULL && entry->parameter != NULL)
        return entry;
    entry_free(entry);
    return NULL;
}

static void queue_ask(struct choices *choices, struct choices_ask *ask)
{
    struct entry *entry = entry_new(ask), **last = &choices->entries;

    if (entry == NULL) {
        err_set(&ask->err, -E_NOMEM, "out of memory");
        end_ask(ask);
        return;
    }
    while (*last != NULL)
        last = &(*last)->next;
    *last = entry;
    choices->waiting++;
    ask->next = NULL;
    entry->asks = ask;
    watch_client(choices, ask);
    start_next(choices);
    if (!loop_timer_is_set(&choices->tick))
        loop_timer_set(choices->loop, &choices->tick, clock_mono_ms() + TICK_MS);
}

static void on_ask(struct loop_message *message)
{
    struct choices_ask *ask = container_of(message, struct choices_ask, message);
    struct choices *choices = ask->choices;
    struct entry *entry = find_same_entry(choices, ask);

    if (choices->stopped) {
        refuse_ask(ask, "The server is stopping.");
    } else if (entry != NULL && entry->state == ENTRY_KEPT) {
        answer_ask(ask, entry->json, NULL);
    } else if (entry != NULL) {
        ask->next = entry->asks;
        entry->asks = ask;
        watch_client(choices, ask);
    } else if (choices->waiting >= CHOICES_WAITING_MAX ||
               count_waiting(choices, ask->user) >= CHOICES_WAITING_USER_MAX) {
        refuse_ask(ask, "Too many forms ask for choices.");
    } else {
        queue_ask(choices, ask);
    }
}

void choices_ask(struct choices *choices, struct choices_ask *ask)
{
    ask->json = NULL;
    ask->watched = false;
    ask->choices = choices;
    ask->message.run = on_ask;
    loop_post(choices->loop, &ask->message);
}

/* ---- time ---- */

/* Has the time of this entry run out? */
static void check_waiting_entry(struct choices *choices, struct entry *entry, int64_t now_ms)
{
    if (entry->state == ENTRY_KEPT) {
        if (clock_steady_ms() >= entry->due_ms)
            entry_remove(choices, entry);
        return;
    }
    if (entry->state == ENTRY_RUNNING && now_ms >= entry->due_ms) {
        /* The worker stops its query itself; if it does not, it is killed after a grace period. */
        if (now_ms < entry->due_ms + choices->config->cancel_grace.number)
            return;
        kill_worker(choices);
    }
    if (now_ms >= entry->due_ms)
        fail_entry(choices, entry, TOO_LONG);
}

static void on_choices_tick(struct loop_timer *timer)
{
    struct choices *choices = container_of(timer, struct choices, tick);
    int64_t now_ms = clock_mono_ms();
    struct entry *next;

    for (struct entry *entry = choices->entries; entry != NULL; entry = next) {
        next = entry->next;
        check_waiting_entry(choices, entry, now_ms);
    }
    if (choices->running == NULL && choices->entries == NULL && choices->child.pid > 0 &&
        now_ms - choices->idle_since_ms >= IDLE_MS)
        kill_worker(choices); /* it holds nothing that needs an orderly end */
    if (choices->entries != NULL || choices->child.pid > 0)
        loop_timer_set(choices->loop, timer, now_ms + TICK_MS);
}

/* ---- forget, stop ---- */

static void on_forget(struct loop_message *message)
{
    struct choices *choices = container_of(message, struct choices, forget);
    struct entry *next;

    atomic_store(&choices->forget_posted, false);
    for (struct entry *entry = choices->entries; entry != NULL; entry = next) {
        next = entry->next;
        entry->stale = true;
        if (entry->state == ENTRY_KEPT)
            entry_remove(choices, entry);
    }
}

void choices_forget(struct choices *choices)
{
    if (!atomic_exchange(&choices->forget_posted, true))
        loop_post(choices->loop, &choices->forget);
}

static void on_choices_stop(struct loop_message *message)
{
    struct choices *choices = container_of(message, struct choices, stop);
    struct err err;

    choices->stopped = true;
    err_set(&err, -E_BUSY, "The server is stopping. Try again in a moment.");
    while (choices->entries != NULL) {
        answer_all(choices->entries, NULL, &err);
        entry_remove(choices, choices->entries);
    }
    kill_worker(choices);
}

void choices_stop(struct choices *choices)
{
    if (choices != NULL && !atomic_exchange(&choices->stop_posted, true))
        loop_post(choices->loop, &choices->stop);
}

static void on_quit(struct loop_message *message)
{
    container_of(message, struct choices, quit)->over = true;
}

/* ---- start and end ---- */

static void *choices_thread(void *arg)
{
    struct choices *choices = arg;

    loop_enter(choices->loop);
    while (!choices->over)
        loop_round(choices->loop);
    loop_leave(choices->loop);
    return NULL;
}

int choices_new(const struct config *config, const char *temp_folder, struct choices **ret,
                struct err *err)
{
    struct choices *choices = calloc(1, sizeof(*choices));
    int rc;

    if (choices == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    choices->config = config;
    choices->temp_folder = temp_folder;
    choices->result_fd = -1;
    choices->child.pidfd = -1;
    choices->channel =
        (struct channel){.fd = -1, .heard = on_choices_answer, .ended = on_choices_channel_end};
    choices->exit_watch.ready = on_choices_exit;
    choices->tick.run = on_choices_tick;
    choices->forget.run = on_forget;
    choices->stop.run = on_choices_stop;
    choices->quit.run = on_quit;
    rc = loop_new(&choices->loop, err)
             ?: (thread_start(&choices->thread, "choices", choices_thread, choices) == 0
                     ? 0
                     : err_set(err, -E_NOMEM, "can't start the thread of the choices"));
    if (rc < 0) {
        loop_free(choices->loop);
        free(choices);
        return rc;
    }
    *ret = choices;
    return 0;
}

void choices_free(struct choices *choices)
{
    struct child_end end;

    if (choices == NULL)
        return;
    choices_stop(choices);
    loop_post(choices->loop, &choices->quit);
    pthread_join(choices->thread, NULL);
    channel_close(&choices->channel);
    if (choices->child.pid > 0 && !child_reap(&choices->child, LAST_PATIENCE_MS, &end))
        log_error("worker.unkillable", "pid=%d reason=%s", (int)choices->child.pid,
                  "left behind at the end of the server");
    loop_free(choices->loop);
    free(choices);
}
