/* src/core/config.c -- the configuration file, read by libconfuse, and what the environment
 * overrides. */
#include "core/config.h"

#include <confuse.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "base/zone.h"

struct key {
    const char *name;
    enum config_kind kind;
    const char *fallback;
    int64_t lowest, highest;
    const char *what;
    size_t offset; /* of its union config_value in struct config */
};

static const struct key keys[] = {
#define X(name, kind, fallback, lowest, highest, what)                                             \
    {#name, CONFIG_##kind, fallback, lowest, highest, what, offsetof(struct config, name)},
    CONFIG_KEYS(X)
#undef X
};

enum { KEY_COUNT = sizeof(keys) / sizeof(keys[0]) };

/* libconfuse hands its error callback no context, so the reader leaves one here. */
static _Thread_local struct err *reading_err;

static union config_value *key_value(struct config *config, const struct key *key)
{
    return (union config_value *)((char *)config + key->offset);
}

/* The first of a CHOICE's a|b|c is its default; other defaults stand as they are. */
static char *key_default(const struct key *key)
{
    size_t len = key->kind == CONFIG_CHOICE ? strcspn(key->fallback, "|") : strlen(key->fallback);

    return strndup(key->fallback, len);
}

static bool choice_has(const char *choices, const char *text)
{
    size_t len = strlen(text);

    while (len > 0) {
        size_t n = strcspn(choices, "|");

        if (n == len && strncmp(choices, text, n) == 0)
            return true;
        if (choices[n] == '\0')
            return false;
        choices += n + 1;
    }
    return false;
}

static bool zone_problem(const char *key, const char *text, char *out, size_t cap)
{
    struct zone *zone;
    struct err err = {0};

    if (*text == '\0')
        return false;
    if (zone_open(text, &zone, &err) == 0) {
        zone_free(zone);
        return false;
    }
    snprintf(out, cap, "%s: %s", key, err.text);
    return true;
}

/* What is wrong with `text` as the value of `key`, into out; false if it is good. */
static bool value_problem(const struct key *key, const char *text, int64_t *number, char *out,
                          size_t cap)
{
    bool read = true;
    const char *takes = "";

    *number = 0;
    switch (key->kind) {
    case CONFIG_INT:
        read = str_to_int64(text, number);
        takes = "a whole number";
        break;
    case CONFIG_DURATION:
        read = str_to_duration(text, number);
        takes = "a duration such as 500ms, 10s, 5m, 24h or 7d";
        break;
    case CONFIG_SIZE:
    case CONFIG_LIMIT:
        read = str_to_size(text, number);
        takes = "a size in bytes such as 65536, 512K, 64M or 2G";
        break;
    case CONFIG_CHOICE:
        if (choice_has(key->fallback, text))
            return false;
        snprintf(out, cap, "%s = '%s': it takes one of %s", key->name, text, key->fallback);
        return true;
    case CONFIG_ZONE:
        return zone_problem(key->name, text, out, cap);
    default:
        if (*text != '\0')
            return false;
        snprintf(out, cap, "%s is empty: give it a value or leave the line out", key->name);
        return true;
    }
    if (!read)
        snprintf(out, cap, "%s = '%s': it takes %s", key->name, text, takes);
    else if (key->kind == CONFIG_LIMIT && *number < key->lowest && *number != 0)
        snprintf(out, cap,
                 "%s = %s is too little to run a report: it takes %lldM or more, or 0 for no limit",
                 key->name, text, (long long)(key->lowest >> 20));
    else if ((*number < key->lowest && key->kind != CONFIG_LIMIT) || *number > key->highest)
        snprintf(out, cap, "%s = %s is out of range: from %lld to %lld%s", key->name, text,
                 (long long)key->lowest, (long long)key->highest,
                 key->kind == CONFIG_DURATION ? " ms" : "");
    else
        return false;
    return true;
}

static char *join_path(const char *folder, const char *path)
{
    char *joined;

    if (path[0] == '/')
        return strdup(path);
    return asprintf(&joined, "%s/%s", folder, path) < 0 ? NULL : joined;
}

/* "sqlite:registry.db" → "sqlite:FOLDER/registry.db"; other schemes stay as they are. */
static char *join_url(const char *folder, const char *url)
{
    static const char scheme[] = "sqlite:";
    char *path, *joined;

    if (!str_starts(url, scheme))
        return strdup(url);
    path = join_path(folder, url + strlen(scheme));
    if (path == NULL || asprintf(&joined, "%s%s", scheme, path) < 0)
        joined = NULL;
    free(path);
    return joined;
}

static char *join_store(const char *folder, const char *text)
{
    char *url, *joined;

    if (strchr(text, ':') != NULL)
        return join_url(folder, text);
    if (asprintf(&url, "sqlite:%s", text) < 0)
        return NULL;
    joined = join_url(folder, url);
    free(url);
    return joined;
}

const char *config_store_path(const struct config *config)
{
    static const char scheme[] = "sqlite:";
    const char *url = config->store.text;

    return str_starts(url, scheme) ? url + strlen(scheme) : NULL;
}

/* The store comes before it in the table of keys. */
static char *join_ledger(const struct config *config, const char *text, bool is_default)
{
    const char *store = config_store_path(config);
    const char *slash = is_default && store != NULL ? strrchr(store, '/') : NULL;
    char *folder, *joined;

    if (slash == NULL)
        return join_path(config->folder, text);
    folder = strndup(store, (size_t)(slash - store));
    joined = folder != NULL ? join_path(folder, text) : NULL;
    free(folder);
    return joined;
}

static int set_value(struct config *config, const struct key *key, const char *text,
                     struct err *err)
{
    union config_value *value = key_value(config, key);
    char problem[256];
    int64_t number;
    char *copy = NULL;

    if (value_problem(key, text, &number, problem, sizeof(problem)))
        return err_set(err, -E_CONFIG, "%s: %s", config->file, problem);
    switch (key->kind) {
    case CONFIG_INT:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
    case CONFIG_LIMIT:
        value->number = number;
        return 0;
    case CONFIG_PATH:
        copy = join_path(config->folder, text);
        break;
    case CONFIG_SPOOL:
        copy = str_eq(text, "postgresql") ? strdup(text) : join_path(config->folder, text);
        break;
    case CONFIG_STORE:
        copy = join_store(config->folder, text);
        break;
    case CONFIG_LEDGER:
        copy = join_ledger(config, text, str_eq(text, key->fallback));
        break;
    default:
        copy = strdup(text);
    }
    if (copy == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    value->text = copy;
    return 0;
}

/* REPORTD_ and the key in upper case. */
static const char *environment_value(const struct key *key)
{
    char name[64] = "REPORTD_";
    size_t at = strlen(name);

    for (const char *c = key->name; *c != '\0' && at + 1 < sizeof(name); c++)
        name[at++] = (char)toupper((unsigned char)*c);
    name[at] = '\0';
    return getenv(name);
}

static int take_values(struct config *config, cfg_t *cfg, struct err *err)
{
    for (int i = 0; i < KEY_COUNT; i++) {
        const char *text = environment_value(&keys[i]);
        int rc;

        if (text == NULL)
            text = cfg_getstr(cfg, keys[i].name);
        rc = set_value(config, &keys[i], text, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Of a kind that reports can be made from (source/source.c), and with something behind it. */
static bool is_source_url(const char *url)
{
    static const char *const schemes[] = {"sqlite:", "postgresql://", "postgres://"};

    for (size_t i = 0; url != NULL && i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (str_starts(url, schemes[i]) && url[strlen(schemes[i])] != '\0')
            return true;
    }
    return false;
}

static int take_sources(struct config *config, cfg_t *cfg, struct err *err)
{
    unsigned count = cfg_size(cfg, "source");

    config->sources = calloc(count + 1, sizeof(*config->sources));
    if (config->sources == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    for (unsigned i = 0; i < count; i++) {
        cfg_t *section = cfg_getnsec(cfg, "source", i);
        const char *url = cfg_getstr(section, "url");
        struct config_source *source = &config->sources[config->source_count];

        if (!is_source_url(url)) /* which is not quoted: it may have a password */
            return err_set(err, -E_CONFIG,
                           "%s: source %s needs the url of an SQLite or PostgreSQL database: "
                           "source %s { url = \"sqlite:PATH\" } or \"postgresql://USER@HOST/DB\"",
                           config->file, cfg_title(section), cfg_title(section));
        source->name = strdup(cfg_title(section));
        source->url = join_url(config->folder, url);
        config->source_count++;
        if (source->name == NULL || source->url == NULL)
            return err_set(err, -E_NOMEM, "out of memory");
    }
    return 0;
}

/* libconfuse's words with file and line; only the first error of a file is kept. */
__attribute__((format(printf, 2, 0))) static void on_error(cfg_t *cfg, const char *format,
                                                           va_list args)
{
    char words[300];

    vsnprintf(words, sizeof(words), format, args);
    if (reading_err != NULL && reading_err->code == 0)
        err_set(reading_err, -E_CONFIG, "%s:%d: %s (reportd serve --help lists the keys)",
                cfg->filename != NULL ? cfg->filename : "?", cfg->line, words);
}

/* Called by libconfuse as soon as a key's value is read, so that the line is known. */
static int on_value(cfg_t *cfg, cfg_opt_t *opt)
{
    char problem[256];
    int64_t number;

    for (int i = 0; i < KEY_COUNT; i++) {
        if (strcmp(keys[i].name, cfg_opt_name(opt)) != 0)
            continue;
        if (!value_problem(&keys[i], cfg_opt_getnstr(opt, 0), &number, problem, sizeof(problem)))
            return 0;
        cfg_error(cfg, "%s", problem);
        return -1;
    }
    return 0;
}

static cfg_t *make_parser(char *defaults[KEY_COUNT])
{
    static cfg_opt_t source_options[] = {CFG_STR("url", NULL, CFGF_NODEFAULT), CFG_END()};
    cfg_opt_t options[KEY_COUNT + 2];
    cfg_t *cfg;

    for (int i = 0; i < KEY_COUNT; i++)
        options[i] = (cfg_opt_t)CFG_STR(keys[i].name, defaults[i], CFGF_NONE);
    options[KEY_COUNT] =
        (cfg_opt_t)CFG_SEC("source", source_options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
    options[KEY_COUNT + 1] = (cfg_opt_t)CFG_END();
    cfg = cfg_init(options, CFGF_NONE);
    if (cfg == NULL)
        return NULL;
    cfg_set_error_function(cfg, on_error);
    for (int i = 0; i < KEY_COUNT; i++)
        cfg_set_validate_func(cfg, keys[i].name, on_value);
    return cfg;
}

static int read_file(struct config *config, struct err *err)
{
    char *defaults[KEY_COUNT] = {0};
    struct err local = {0};
    cfg_t *cfg;
    int rc;

    for (int i = 0; i < KEY_COUNT; i++)
        defaults[i] = key_default(&keys[i]);
    cfg = make_parser(defaults);
    reading_err = &local;
    rc = cfg == NULL ? CFG_FILE_ERROR : cfg_parse(cfg, config->file);
    reading_err = NULL;
    if (rc == CFG_FILE_ERROR)
        rc = err_errno(err, -E_CONFIG, "can't read the configuration '%s'", config->file);
    else if (rc == CFG_PARSE_ERROR)
        rc = err_set(err, -E_CONFIG, "%s", local.code != 0 ? local.text : "bad configuration");
    else
        rc = take_values(config, cfg, err);
    if (rc == 0)
        rc = take_sources(config, cfg, err);
    if (cfg != NULL)
        cfg_free(cfg);
    for (int i = 0; i < KEY_COUNT; i++)
        free(defaults[i]);
    return rc;
}

/* The absolute folder of a file: paths in the file are relative to it. What is no file, such as a
 * pipe that a shell calls /dev/fd/63, has none: the working folder. */
static char *folder_of(const char *path)
{
    char resolved[PATH_MAX];
    struct stat st;
    char *slash;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return getcwd(resolved, sizeof(resolved)) != NULL ? strdup(resolved) : NULL;
    if (realpath(path, resolved) == NULL)
        return NULL;
    slash = strrchr(resolved, '/');
    *(slash == resolved ? slash + 1 : slash) = '\0';
    return strdup(resolved);
}

int config_load(const char *path, struct config **ret, struct err *err)
{
    struct config *config = calloc(1, sizeof(*config));
    int rc;

    if (config == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    config->file = strdup(path);
    config->folder = folder_of(path);
    if (config->file == NULL || config->folder == NULL)
        rc = err_errno(err, -E_CONFIG, "can't read the configuration '%s'", path);
    else
        rc = read_file(config, err);
    if (rc < 0) {
        config_free(config);
        return rc;
    }
    *ret = config;
    return 0;
}

static bool is_number(enum config_kind kind)
{
    return kind == CONFIG_INT || kind == CONFIG_DURATION || kind == CONFIG_SIZE ||
           kind == CONFIG_LIMIT;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    for (int i = 0; i < KEY_COUNT; i++) {
        if (!is_number(keys[i].kind))
            free(key_value(config, &keys[i])->text);
    }
    for (size_t i = 0; i < config->source_count; i++) {
        free(config->sources[i].name);
        free(config->sources[i].url);
    }
    free(config->sources);
    free(config->file);
    free(config->folder);
    free(config);
}

const char *config_timezone(const struct config *config)
{
    return *config->timezone.text != '\0' ? config->timezone.text : NULL;
}

const char *config_source_url(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->source_count; i++) {
        if (strcmp(config->sources[i].name, name) == 0)
            return config->sources[i].url;
    }
    return NULL;
}

static const char source_what[] = "A database to report on, by the name that definitions give: "
                                  "sqlite:PATH or postgresql://USER@HOST/DATABASE (a libpq URI)";

void config_print_help(FILE *out)
{
    for (int i = 0; i < KEY_COUNT; i++) {
        char *fallback = key_default(&keys[i]);

        fprintf(out, "  %-15s %s\n  %-15s (default: %s", keys[i].name, keys[i].what, "",
                fallback != NULL && *fallback != '\0' ? fallback : "none");
        if (keys[i].kind == CONFIG_CHOICE)
            fprintf(out, "; one of %s", keys[i].fallback);
        fprintf(out, ")\n");
        free(fallback);
    }
    fprintf(out, "  %-15s %s:\n  %-15s source NAME { url = \"URL\" }\n", "source", source_what, "");
}

void config_print_markdown(FILE *out)
{
    fprintf(out, "| key | default | what it is |\n|---|---|---|\n");
    for (int i = 0; i < KEY_COUNT; i++) {
        char *fallback = key_default(&keys[i]);

        fprintf(out, "| `%s` | ", keys[i].name);
        if (fallback != NULL && *fallback != '\0')
            fprintf(out, "`%s` ", fallback);
        fprintf(out, "| %s", keys[i].what);
        if (keys[i].kind == CONFIG_CHOICE) {
            fprintf(out, " (one of");
            for (const char *c = keys[i].fallback; *c != '\0'; c += strcspn(c, "|"), c += *c == '|')
                fprintf(out, " `%.*s`", (int)strcspn(c, "|"), c);
            fprintf(out, ")");
        }
        fprintf(out, " |\n");
        free(fallback);
    }
    fprintf(out, "| `source NAME { url = \"URL\" }` | | %s |\n", source_what);
}
