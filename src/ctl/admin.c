/* src/ctl/admin.c -- the command admin: what an operator sees and deletes, for all users. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/nearest.h"
#include "base/str.h"
#include "ctl/commands.h"

static long long number_of(const json_t *object, const char *member)
{
    return (long long)json_integer_value(json_object_get(object, member));
}

static void print_disk(const json_t *disk)
{
    char space[32], free_space[32];

    str_human_size(space, sizeof(space), number_of(disk, "bytes"));
    str_human_size(free_space, sizeof(free_space), number_of(disk, "freeBytes"));
    printf("disk of the %s: %s of %s free\n", step_text_of(disk, "what"), free_space, space);
}

static void print_node(const json_t *node)
{
    const char *id = step_text_of(node, "id");

    printf("node %s%s%s: %lld running%s\n", step_text_of(node, "host"), *id != '\0' ? " " : "", id,
           number_of(node, "running"),
           json_is_true(json_object_get(node, "draining")) ? ", draining" : "");
}

static void print_source(const json_t *source)
{
    long long most = number_of(source, "maxRunning");
    char limit[32] = "";

    if (most > 0)
        snprintf(limit, sizeof(limit), " of %lld", most);
    printf("source %s (%s): %lld%s running%s\n", step_text_of(source, "name"),
           step_text_of(source, "kind"), number_of(source, "running"), limit,
           json_is_true(json_object_get(source, "paused")) ? ", paused" : "");
}

static void print_overview(const json_t *data)
{
    const json_t *queue = json_object_get(data, "queue"), *workers;
    const char *oldest = step_text_of(queue, "oldestQueuedAt");
    const json_t *one;
    size_t i;

    printf("queue%s: %lld queued, %lld processing, %lld complete, %lld in error%s%s\n",
           json_is_true(json_object_get(queue, "paused")) ? " (paused)" : "",
           number_of(queue, "queued"), number_of(queue, "processing"), number_of(queue, "complete"),
           number_of(queue, "error"), *oldest != '\0' ? "; the oldest since " : "", oldest);
    json_array_foreach(json_object_get(data, "nodes"), i, one) print_node(one);
    workers = json_object_get(data, "workers");
    printf("workers of this node: %lld, %lld busy\n", number_of(workers, "count"),
           number_of(workers, "busy"));
    json_array_foreach(json_object_get(data, "sources"), i, one) print_source(one);
    json_array_foreach(json_object_get(data, "users"), i, one)
        printf("user %s: %lld running, %lld queued\n", step_text_of(one, "name"),
               number_of(one, "running"), number_of(one, "queued"));
    json_array_foreach(json_object_get(data, "disks"), i, one) print_disk(one);
}

static int show_overview(struct ctl *ctl, struct err *err)
{
    struct api *api = NULL;
    json_t *envelope = NULL;
    int rc = api_open(&ctl->options, &api, err)
                 ?: step_fetch(ctl, api, "/Admin/Overview", &envelope, err);

    if (envelope != NULL && !json_is_object(json_object_get(envelope, "data")))
        rc = api_unexpected(api, err);
    else if (envelope != NULL)
        print_overview(json_object_get(envelope, "data"));
    json_decref(envelope);
    api_free(api);
    return rc;
}

struct pausing {
    const char *what; /* source or node */
    bool paused;
    const char *done;
};

/* The command line names at most one of them. */
static int set_paused(struct ctl *ctl, const struct pausing *pausing, struct err *err)
{
    const char *name = ctl->count > 0 ? ctl->arguments[0] : NULL;
    json_t *body = json_pack("{sb ss*}", "paused", (int)pausing->paused, pausing->what, name);
    char *text = json_dumps(body, JSON_COMPACT);
    struct http_request request = {
        .method = "POST", .path = "/Admin/Queue", .body = text, .repeatable = true};
    struct api *api = NULL;
    int rc = text == NULL ? err_set(err, -E_NOMEM, "out of memory")
                          : api_open(&ctl->options, &api, err)
                                ?: api_call(api, &request, NULL, err);

    if (rc == 0 && ctl->options.json != NULL)
        api_print(api);
    else if (rc == 0)
        puts(pausing->done);
    api_free(api);
    json_decref(body);
    free(text);
    return rc;
}

static int pause_queue(struct ctl *ctl, struct err *err)
{
    return set_paused(ctl, &(struct pausing){"source", true, "paused"}, err);
}

static int resume_queue(struct ctl *ctl, struct err *err)
{
    return set_paused(ctl, &(struct pausing){"source", false, "resumed"}, err);
}

/* Without a name, the whole queue would be paused. */
static int set_draining(struct ctl *ctl, const struct pausing *pausing, struct err *err)
{
    return ctl->count > 0 ? set_paused(ctl, pausing, err)
                          : err_set(err, -E_INVALID,
                                    "name a node: its host or id, as admin overview shows it");
}

static int drain_one(struct ctl *ctl, struct err *err)
{
    return set_draining(ctl, &(struct pausing){"node", true, "draining"}, err);
}

static int undrain_one(struct ctl *ctl, struct err *err)
{
    return set_draining(ctl, &(struct pausing){"node", false, "in use again"}, err);
}

static const struct action {
    const char *name;
    ctl_run *run;
    size_t most; /* words after it */
} actions[] = {
    {"overview", show_overview, 0}, {"list", ctl_list, 0},       {"delete", ctl_delete, 1},
    {"pause", pause_queue, 1},      {"resume", resume_queue, 1}, {"drain", drain_one, 1},
    {"undrain", undrain_one, 1},
};

int ctl_admin(struct ctl *ctl, struct err *err)
{
    struct nearest nearest = {.typed = ctl->arguments[0]};
    char words[NEAREST_TEXT];
    const struct action *action =
        nearest_find(&nearest, actions, sizeof(actions) / sizeof(actions[0]), sizeof(actions[0]));

    if (action == NULL)
        return err_set(err, -E_INVALID, "admin has no action '%s'%s", nearest.typed,
                       nearest_words(&nearest, "", words));
    ctl->arguments++;
    ctl->count--;
    ctl->admin = true;
    if (ctl->count > action->most)
        return err_set(err, -E_INVALID, "admin %s: there is nothing to do with '%s'", action->name,
                       ctl->arguments[0]);
    return action->run(ctl, err);
}
