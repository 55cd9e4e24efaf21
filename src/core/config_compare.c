/* src/core/config_compare.c -- differences between configurations, and variables that are not
 * keys. */
#include "core/config_compare.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/nearest.h"
#include "base/str.h"

static const struct key {
    const char *name;
    enum config_kind kind;
    enum config_reload reload;
    size_t offset; /* of its union config_value in struct config */
} keys[] = {
#define X(name, kind, reload, default_value, lowest, highest, what)                                \
    {#name, CONFIG_##kind, CONFIG_##reload, offsetof(struct config, name)},
    CONFIG_KEYS(X)
#undef X
};

enum { KEY_COUNT = sizeof(keys) / sizeof(keys[0]) };

/* ---- variables ---- */

static const char prefix[] = CONFIG_VARIABLE;

/* `name`: the part after the prefix. */
static bool is_of_others(const char *name)
{
    static const char *const names[] = {
        "BIN", "SERVICE_HOST", "SERVICE_PORT", "PORT" /* which program tools/ run; Kubernetes */
    };
    static const char *const beginnings[] = {"SERVICE_PORT_", "PORT_", "SEAMS" /* base/seam.h */};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (str_eq(name, names[i]))
            return true;
    }
    for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
        if (str_starts(name, beginnings[i]))
            return true;
    }
    return false;
}

void config_each_unknown_variable(void (*each)(void *context, const char *variable,
                                               const char *nearest),
                                  void *context)
{
    char name[CONFIG_VARIABLE_TEXT], better[CONFIG_VARIABLE_TEXT];

    for (char **one = environ; *one != NULL; one++) {
        size_t len = strcspn(*one, "=");
        struct nearest nearest = {.typed = name + strlen(prefix)};

        if (!str_starts(*one, prefix) || (*one)[len] == '\0')
            continue;
        str_copy(name, len < sizeof(name) ? len + 1 : sizeof(name), *one);
        if (is_of_others(nearest.typed))
            continue;
        for (int i = 0; i < KEY_COUNT; i++)
            nearest_try(&nearest, keys[i].name);
        if (nearest.name == NULL || !str_eq(name, config_variable(nearest.name, better)))
            each(context, name, nearest.name != NULL ? better : NULL);
    }
}

/* ---- differences ---- */

struct config_snapshot {
    char *texts[KEY_COUNT]; /* NULL for a number */
    int64_t numbers[KEY_COUNT];
    bool overridden[KEY_COUNT]; /* by the environment */
    struct config_source *sources;
    size_t source_count;
};

static const union config_value *config_value_of(const struct config *config, int key)
{
    return (const union config_value *)((const char *)config + keys[key].offset);
}

static union config_value *value_to_change(struct config *config, int key)
{
    return (union config_value *)((char *)config + keys[key].offset);
}

/* False: out of memory. */
static bool take_config_key(struct config_snapshot *snapshot, const struct config *config, int key)
{
    char variable[CONFIG_VARIABLE_TEXT];

    snapshot->overridden[key] = getenv(config_variable(keys[key].name, variable)) != NULL;
    if (config_kind_is_number(keys[key].kind)) {
        snapshot->numbers[key] = config_value_of(config, key)->number;
        return true;
    }
    snapshot->texts[key] = strdup(config_value_of(config, key)->text);
    return snapshot->texts[key] != NULL;
}

struct config_snapshot *config_snapshot_new(const struct config *config)
{
    struct config_snapshot *snapshot = calloc(1, sizeof(*snapshot));
    bool good = snapshot != NULL;

    for (int i = 0; i < KEY_COUNT && good; i++)
        good = take_config_key(snapshot, config, i);
    if (good) {
        snapshot->sources = calloc(config->source_count + 1, sizeof(*snapshot->sources));
        good = snapshot->sources != NULL;
    }
    for (size_t i = 0; good && i < config->source_count; i++) {
        snapshot->sources[i].name = strdup(config->sources[i].name);
        snapshot->sources[i].url = strdup(config->sources[i].url);
        snapshot->source_count++;
        good = snapshot->sources[i].name != NULL && snapshot->sources[i].url != NULL;
    }
    if (!good) {
        config_snapshot_free(snapshot);
        return NULL;
    }
    return snapshot;
}

void config_snapshot_free(struct config_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    for (int i = 0; i < KEY_COUNT; i++)
        free(snapshot->texts[i]);
    for (size_t i = 0; i < snapshot->source_count; i++) {
        free(snapshot->sources[i].name);
        free(snapshot->sources[i].url);
    }
    free(snapshot->sources);
    free(snapshot);
}

static const char *url_before(const struct config_snapshot *before, const char *name)
{
    for (size_t i = 0; i < before->source_count; i++) {
        if (str_eq(before->sources[i].name, name))
            return before->sources[i].url;
    }
    return NULL;
}

/* Does `now` have another value than the one in use? A RELOADED key has that of `running`, any
 * other key that of the snapshot, since a start may adjust it (see connections). */
static bool has_changed(const struct config_comparison *all, int key)
{
    bool reloaded = keys[key].reload == CONFIG_RELOADED;
    const union config_value *value = config_value_of(all->now, key);
    const union config_value *running = config_value_of(all->running, key);

    if (all->before->overridden[key])
        return false;
    if (config_kind_is_number(keys[key].kind))
        return value->number != (reloaded ? running->number : all->before->numbers[key]);
    return !str_eq(value->text, reloaded ? running->text : all->before->texts[key]);
}

/* The text that is replaced belongs to `now` from then on. */
static void adopt_key(const struct config_comparison *all, int key)
{
    union config_value *value = value_to_change(all->now, key);
    union config_value *running = value_to_change(all->running, key);

    if (config_kind_is_number(keys[key].kind))
        running->number = value->number;
    else
        value->text = atomic_exchange(&running->text, value->text);
}

static struct config_source *find_config_source(struct config *config, const char *name)
{
    for (size_t i = 0; i < config->source_count; i++) {
        if (str_eq(config->sources[i].name, name))
            return &config->sources[i];
    }
    return NULL;
}

static void adopt_source(const struct config_comparison *all, const struct config_source *source)
{
    const char *url = url_before(all->before, source->name);
    struct config_source *running = find_config_source(all->running, source->name);

    if (url == NULL || running == NULL) {
        all->each(CONFIG_SOURCE_ADDED, CONFIG_RESTART, source->name, "");
        return;
    }
    if (!str_eq(url, source->url))
        all->each(CONFIG_SOURCE_CHANGED, CONFIG_RESTART, source->name, "url");
    if (running->max_running != source->max_running) {
        running->max_running = source->max_running;
        all->each(CONFIG_SOURCE_CHANGED, CONFIG_RELOADED, source->name, "max_running");
    }
}

static bool is_same_issuer(const struct config_issuer *a, const struct config_issuer *b)
{
    return b != NULL && str_eq(a->url, b->url) && str_eq(a->audience, b->audience) &&
           str_eq(a->keys, b->keys) && str_eq(a->keys_ca, b->keys_ca) &&
           str_eq(a->user_claim, b->user_claim) && str_eq(a->groups_claim, b->groups_claim) &&
           str_eq(a->session_claims, b->session_claims);
}

/* The issuers in `a` that are not in `b`. */
static void tell_issuers(const struct config_comparison *all, const struct config *a,
                         const struct config *b, bool also_changed)
{
    for (size_t i = 0; i < a->issuer_count; i++) {
        const struct config_issuer *other = config_find_issuer(b, a->issuers[i].name);

        if (other == NULL || (also_changed && !is_same_issuer(&a->issuers[i], other)))
            all->each(CONFIG_ISSUER_CHANGED, CONFIG_RESTART, a->issuers[i].name, "");
    }
}

void config_adopt(const struct config_comparison *all)
{
    bool keeps_texts = false;

    for (int i = 0; i < KEY_COUNT; i++) {
        if (!has_changed(all, i))
            continue;
        if (keys[i].reload == CONFIG_RELOADED) {
            adopt_key(all, i);
            keeps_texts |= !config_kind_is_number(keys[i].kind);
        }
        all->each(CONFIG_KEY_CHANGED, keys[i].reload, keys[i].name, "");
    }
    for (size_t i = 0; i < all->now->source_count; i++)
        adopt_source(all, &all->now->sources[i]);
    for (size_t i = 0; i < all->before->source_count; i++) {
        if (config_source_url(all->now, all->before->sources[i].name) == NULL)
            all->each(CONFIG_SOURCE_REMOVED, CONFIG_RESTART, all->before->sources[i].name, "");
    }
    tell_issuers(all, all->running, all->now, true);
    tell_issuers(all, all->now, all->running, false);
    if (!keeps_texts) {
        config_free(all->now);
        return;
    }
    all->now->replaced = all->running->replaced;
    all->running->replaced = all->now;
}
