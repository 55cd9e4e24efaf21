/* src/core/config.c -- the configuration file, read by libconfuse, and its overrides in the
 * environment. */
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

#include "base/address.h"
#include "base/nearest.h"
#include "base/str.h"
#include "base/wrap.h"
#include "base/zone.h"
#include "core/config_impl.h"

struct key {
    const char *name;
    enum config_kind kind;
    enum config_reload reload;
    const char *default_value;
    int64_t lowest, highest;
    const char *what;
    size_t offset; /* of its union config_value in struct config */
};

static const struct key keys[] = {
#define X(name, kind, reload, default_value, lowest, highest, what)                                \
    {#name,                                                                                        \
     CONFIG_##kind,                                                                                \
     CONFIG_##reload,                                                                              \
     default_value,                                                                                \
     lowest,                                                                                       \
     highest,                                                                                      \
     what,                                                                                         \
     offsetof(struct config, name)},
    CONFIG_KEYS(X)
#undef X
};

enum { KEY_COUNT = sizeof(keys) / sizeof(keys[0]), HELP_INDENT = 20, KIND_MOST = 20 };

/* libconfuse hands its error callback no context, so the reader leaves one here. */
static _Thread_local struct err *reading_err;
/* All values of a key that may be repeated; libconfuse keeps only the last one. */
static _Thread_local char *repeated[KEY_COUNT];

static union config_value *key_value(struct config *config, const struct key *key)
{
    return (union config_value *)((char *)config + key->offset);
}

/* The first word of a CHOICE's a|b|c is its default; other defaults are taken as they are. */
static char *key_default(const struct key *key)
{
    size_t len =
        key->kind == CONFIG_CHOICE ? strcspn(key->default_value, "|") : strlen(key->default_value);

    return strndup(key->default_value, len);
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

bool config_split_listen(const char *listen, char host[CONFIG_HOST_TEXT],
                         char port[CONFIG_PORT_TEXT])
{
    const char *colon = strrchr(listen, ':');
    const char *start = listen, *end = colon;
    int64_t number;

    if (colon == NULL || !str_to_int64(colon + 1, &number) || number < 0 || number > 65535)
        return false;
    if (*start == '[') {
        start++;
        end--;
        if (end <= start || *end != ']')
            return false;
    } else if (memchr(start, ':', (size_t)(end - start)) != NULL) {
        return false;
    }
    if (end == start || end - start >= CONFIG_HOST_TEXT)
        return false;
    memcpy(host, start, (size_t)(end - start));
    host[end - start] = '\0';
    return str_copy(port, CONFIG_PORT_TEXT, colon + 1);
}

static bool is_listen(const char *entry)
{
    char host[CONFIG_HOST_TEXT], port[CONFIG_PORT_TEXT];

    if (str_starts(entry, CONFIG_UNIX))
        return entry[strlen(CONFIG_UNIX)] != '\0';
    return config_split_listen(entry, host, port);
}

/* Only a key without a default may be empty. */
static bool listen_problem(const struct key *key, const char *text, char *out, size_t cap)
{
    char *copy = strdup(text), *rest = copy, *entry;
    bool good = true, any = false;

    while (copy != NULL && good && (entry = strsep(&rest, " ")) != NULL) {
        any = any || *entry != '\0';
        good = *entry == '\0' || is_listen(entry);
    }
    free(copy);
    good = good && (any || *key->default_value == '\0');
    if (!good)
        snprintf(out, cap,
                 "%s = '%s': it takes ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080, with a "
                 "port from 0 to 65535, or unix:PATH",
                 key->name, text);
    return !good;
}

/* As in store/store.c: letters before a colon are a kind. */
static bool store_problem(const char *text, char *out, size_t cap)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz");

    if (len == 0 || text[len] != ':' || str_starts(text, "sqlite:") ||
        str_starts(text, "postgresql:"))
        return false;
    snprintf(out, cap,
             "store: there is none of kind '%.*s': it takes a path, sqlite:PATH or "
             "postgresql://USER@HOST/DATABASE",
             (int)len, text);
    return true;
}

struct network_message {
    char *out;
    size_t cap;
};

static bool network_is_good(void *context, const char *word)
{
    struct network_message *problem = context;
    struct network network;
    char block[NETWORK_TEXT];

    if (str_eq(word, "unix:"))
        return true;
    if (!network_read(word, &network))
        snprintf(problem->out, problem->cap,
                 "'%s' is not a network: it takes addresses and networks such as 10.0.0.0/8 or "
                 "2001:db8::/32, and unix:, separated by spaces",
                 word);
    else if (network_clear_host_bits(&network)) {
        network_format(&network, block);
        snprintf(problem->out, problem->cap,
                 "'%s' has bits beyond its prefix: write %s, or one address alone", word, block);
    } else
        return true;
    return false;
}

static bool networks_problem(const char *key, const char *text, char *out, size_t cap)
{
    int len = snprintf(out, cap, "%s: ", key);
    struct network_message problem = {out + len, cap - (size_t)len};

    return !network_each_word(text, network_is_good, &problem);
}

/* As a browser writes it (RFC 6454, 6.2): in lower case, without a path, and without the default
 * port of the scheme. */
static bool is_origin(const char *word)
{
    const char *scheme = str_starts(word, "https://") ? "https://" : "http://";
    const char *own_port = str_starts(word, "https://") ? ":443" : ":80";
    const char *host = word + strlen(scheme), *end = word + strlen(word);
    size_t own = strlen(own_port);

    if (!str_starts(word, scheme) || *host == '\0' ||
        host[strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_:[]")] != '\0')
        return false;
    return (size_t)(end - host) <= own || strcmp(end - own, own_port) != 0;
}

static bool origins_problem(const char *text, char *out, size_t cap)
{
    char *copy = strdup(text), *rest = copy, *entry;
    bool good = true;

    while (copy != NULL && good && (entry = strsep(&rest, " ")) != NULL) {
        good = *entry == '\0' || is_origin(entry);
        if (!good)
            snprintf(out, cap,
                     "cors_origins: '%s' is not an origin as browsers send it, such as "
                     "https://app.example.com or http://localhost:3000: in lower case, without a "
                     "path and without the scheme's own port",
                     entry);
    }
    free(copy);
    return !good;
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

/* Write into `out` what is wrong with `text` as the value of `key`; false if it is valid. */
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
        if (choice_has(key->default_value, text))
            return false;
        snprintf(out, cap, "%s = '%s': it takes one of %s", key->name, text, key->default_value);
        return true;
    case CONFIG_LISTEN:
        return listen_problem(key, text, out, cap);
    case CONFIG_NETWORKS:
        return networks_problem(key->name, text, out, cap);
    case CONFIG_ORIGINS:
        return origins_problem(text, out, cap);
    case CONFIG_ZONE:
        return zone_problem(key->name, text, out, cap);
    case CONFIG_STORE:
    case CONFIG_SPOOL:
    case CONFIG_LEDGER:
    case CONFIG_RECEIPT_KEY:
    case CONFIG_PATH:
    case CONFIG_FILE:
        if (*text != '\0' || key->kind == CONFIG_FILE)
            return key->kind == CONFIG_STORE && store_problem(text, out, cap);
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

char *config_join_path(const char *folder, const char *path)
{
    char *joined;

    if (path[0] == '/')
        return strdup(path);
    return asprintf(&joined, "%s/%s", folder, path) < 0 ? NULL : joined;
}

/* "sqlite:registry.db" → "sqlite:FOLDER/registry.db"; other schemes are not changed. */
static char *join_url(const char *folder, const char *url)
{
    static const char scheme[] = "sqlite:";
    char *path, *joined;

    if (!str_starts(url, scheme))
        return strdup(url);
    path = config_join_path(folder, url + strlen(scheme));
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

/* "unix:reportd.sock" → "unix:FOLDER/reportd.sock"; the others are not changed. */
static char *join_listen(const char *folder, const char *text)
{
    char *copy = strdup(text), *rest = copy, *joined = strdup(""), *entry;

    while (copy != NULL && joined != NULL && (entry = strsep(&rest, " ")) != NULL) {
        bool is_unix = str_starts(entry, CONFIG_UNIX);
        char *path =
            is_unix ? config_join_path(folder, entry + strlen(CONFIG_UNIX)) : strdup(entry);
        char *longer = NULL;

        if (path == NULL || asprintf(&longer, "%s%s%s%s", joined, *joined != '\0' ? " " : "",
                                     is_unix ? CONFIG_UNIX : "", path) < 0)
            longer = NULL;
        free(path);
        free(joined);
        joined = longer;
    }
    free(copy);
    return joined;
}

/* The path of a default that is in the folder of the file `beside`, whose key comes earlier in the
 * table. NULL `beside`: in the folder of the configuration. */
static char *join_beside(const struct config *config, const char *beside, const char *text)
{
    const char *slash = beside != NULL ? strrchr(beside, '/') : NULL;
    char *folder, *joined;

    if (slash == NULL)
        return config_join_path(config->folder, text);
    folder = strndup(beside, (size_t)(slash - beside));
    joined = folder != NULL ? config_join_path(folder, text) : NULL;
    free(folder);
    return joined;
}

/* `origin`: the file, or the variable that contains the text; NULL: it is the default. */
static int set_value(struct config *config, const struct key *key, const char *origin,
                     const char *text, struct err *err)
{
    union config_value *value = key_value(config, key);
    char problem[256];
    int64_t number;
    char *copy = NULL;

    if (value_problem(key, text, &number, problem, sizeof(problem)))
        return err_set(err, -E_CONFIG, "%s: %s", origin, problem);
    switch (key->kind) {
    case CONFIG_INT:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
    case CONFIG_LIMIT:
        value->number = number;
        return 0;
    case CONFIG_PATH:
    case CONFIG_FILE:
        copy = *text != '\0' ? config_join_path(config->folder, text) : strdup(text);
        break;
    case CONFIG_SPOOL:
        copy = str_eq(text, "postgresql") ? strdup(text) : config_join_path(config->folder, text);
        break;
    case CONFIG_STORE:
        copy = join_store(config->folder, text);
        break;
    case CONFIG_LISTEN:
        copy = join_listen(config->folder, text);
        break;
    case CONFIG_LEDGER:
        copy = join_beside(
            config, str_eq(text, key->default_value) ? config_store_path(config) : NULL, text);
        break;
    case CONFIG_RECEIPT_KEY:
        copy = join_beside(config, origin == NULL ? config->key_file.text : NULL, text);
        break;
    case CONFIG_NETWORKS:
    case CONFIG_ORIGINS:
    case CONFIG_CHOICE:
    case CONFIG_ZONE:
        copy = strdup(text);
    }
    if (copy == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    value->text = copy;
    return 0;
}

const char *config_variable(const char *key, char variable[CONFIG_VARIABLE_TEXT])
{
    size_t at = strlen(CONFIG_VARIABLE);

    memcpy(variable, CONFIG_VARIABLE, at);
    for (; *key != '\0' && at + 1 < CONFIG_VARIABLE_TEXT; key++)
        variable[at++] = (char)toupper((unsigned char)*key);
    variable[at] = '\0';
    return variable;
}

static bool is_in_file(cfg_t *cfg, const char *key)
{
    return (cfg_getopt(cfg, key)->flags & CFGF_RESET) == 0;
}

static int take_config_values(struct config *config, cfg_t *cfg, struct err *err)
{
    char name[CONFIG_VARIABLE_TEXT];

    for (int i = 0; i < KEY_COUNT; i++) {
        const char *text = getenv(config_variable(keys[i].name, name));
        const char *origin = text != NULL                    ? name
                             : is_in_file(cfg, keys[i].name) ? config->file
                                                             : NULL;
        int rc = set_value(config, &keys[i], origin,
                           text ?: repeated[i] ?: cfg_getstr(cfg, keys[i].name), err);

        if (rc < 0)
            return rc;
    }
    return 0;
}

#define SOURCE_URL                                                                                 \
    "takes the url of an SQLite or PostgreSQL database: url = \"sqlite:PATH\" or "                 \
    "\"postgresql://USER@HOST/DATABASE\""

/* Of a kind that reports can use (source/source.c), and with text after the colon. */
static bool is_source_url(const char *url)
{
    static const char *const schemes[] = {"sqlite:", "postgresql://", "postgres://"};

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (str_starts(url, schemes[i]) && url[strlen(schemes[i])] != '\0')
            return true;
    }
    return false;
}

/* The word before the colon. */
static bool is_kind(const char *url, size_t len)
{
    return str_starts(url, "sqlite:") ||
           (len <= strlen("postgresql") && str_starts(url, "postgres"));
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

        if (url == NULL)
            return err_set(err, -E_CONFIG, "%s: source %s " SOURCE_URL, config->file,
                           cfg_title(section));
        source->max_running = cfg_getint(section, "max_running");
        if (source->max_running < 0)
            return err_set(err, -E_CONFIG, "%s: max_running of source %s is less than 0",
                           config->file, cfg_title(section));
        source->name = strdup(cfg_title(section));
        source->url = join_url(config->folder, url);
        config->source_count++;
        if (source->name == NULL || source->url == NULL)
            return err_set(err, -E_NOMEM, "out of memory");
    }
    return 0;
}

/* postgresql://USER:PASSWORD@…, or …?password=…; a keyword may have blanks around it. */
static bool has_password(const char *url)
{
    const char *user = strstr(url, "://"), *rest, *colon;

    if (user == NULL || str_starts(url, "sqlite:"))
        return false;
    user += strlen("://");
    rest = user + strcspn(user, "/?");
    colon = memchr(user, ':', (size_t)(rest - user));
    return strstr(rest, "password=") != NULL ||
           (colon != NULL && colon[1] != '@' && memchr(colon, '@', (size_t)(rest - colon)) != NULL);
}

/* A URL from the environment is not in the file. */
static bool holds_password(const struct config *config)
{
    bool found = getenv("REPORTD_STORE") == NULL && has_password(config->store.text);

    for (size_t i = 0; i < config->source_count; i++)
        found = found || has_password(config->sources[i].url);
    return found;
}

/* libconfuse's message; those that say too little are replaced. */
static void explain_syntax(cfg_t *cfg, const char *words, char *out, size_t cap)
{
    char name[64], near[NEAREST_TEXT];
    struct nearest nearest = {.typed = name};
    cfg_t *first;

    if (sscanf(words, "found duplicate title '%63[^']'", name) == 1 &&
        (first = cfg_gettsec(cfg, "source", name)) != NULL) {
        snprintf(out, cap, "there is a source %s already, which ends in line %d: rename one", name,
                 first->line);
    } else if (sscanf(words, "no such option '%63[^']'", name) == 1) {
        for (const cfg_opt_t *option = cfg->opts; option->name != NULL; option++)
            nearest_try(&nearest, option->name);
        snprintf(out, cap, "there is no key '%s'%s; reportd serve --help lists the keys", name,
                 nearest_words(&nearest, "", near));
    } else {
        snprintf(out, cap, "%s", words);
    }
}

/* Adds file and line; only the first error of a file is kept. */
__attribute__((format(printf, 2, 0))) static void on_error(cfg_t *cfg, const char *format,
                                                           va_list args)
{
    char words[300], better[400];

    vsnprintf(words, sizeof(words), format, args);
    explain_syntax(cfg, words, better, sizeof(better));
    if (reading_err != NULL && reading_err->code == 0)
        err_set(reading_err, -E_CONFIG, "%s:%d: %s", cfg->filename != NULL ? cfg->filename : "?",
                cfg->line, better);
}

static int repeat(int i, const char *text)
{
    char *all = NULL;

    if (asprintf(&all, "%s %s", repeated[i] != NULL ? repeated[i] : "", text) < 0)
        return -1;
    free(repeated[i]);
    repeated[i] = all;
    return 0;
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
            return keys[i].kind == CONFIG_LISTEN ? repeat(i, cfg_opt_getnstr(opt, 0)) : 0;
        cfg_error(cfg, "%s", problem);
        return -1;
    }
    return 0;
}

static int on_source_url(cfg_t *cfg, cfg_opt_t *opt)
{
    const char *url = cfg_opt_getnstr(opt, 0);
    size_t len;

    if (is_source_url(url))
        return 0;
    len = strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");
    /* The rest is not shown: it may contain a password. */
    if (len > 0 && url[len] == ':' && !is_kind(url, len))
        cfg_error(cfg, "source %s: there is no database of kind '%.*s': it " SOURCE_URL,
                  cfg_title(cfg), (int)(len < KIND_MOST ? len : KIND_MOST), url);
    else
        cfg_error(cfg, "source %s " SOURCE_URL, cfg_title(cfg));
    return -1;
}

static cfg_t *make_parser(char *defaults[KEY_COUNT])
{
    static cfg_opt_t source_options[] = {CFG_STR("url", NULL, CFGF_NODEFAULT),
                                         CFG_INT("max_running", 0, CFGF_NONE), CFG_END()};
    cfg_opt_t options[KEY_COUNT + 3];
    cfg_t *cfg;

    for (int i = 0; i < KEY_COUNT; i++)
        options[i] = (cfg_opt_t)CFG_STR(keys[i].name, defaults[i], CFGF_NONE);
    options[KEY_COUNT] =
        (cfg_opt_t)CFG_SEC("source", source_options, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
    options[KEY_COUNT + 1] = config_issuer_section();
    options[KEY_COUNT + 2] = (cfg_opt_t)CFG_END();
    cfg = cfg_init(options, CFGF_NONE);
    if (cfg == NULL)
        return NULL;
    cfg_set_error_function(cfg, on_error);
    for (int i = 0; i < KEY_COUNT; i++)
        cfg_set_validate_func(cfg, keys[i].name, on_value);
    cfg_set_validate_func(cfg, "source|url", on_source_url);
    return cfg;
}

static int read_config(struct config *config, struct err *err)
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
        rc = take_config_values(config, cfg, err)
                 ?: take_sources(config, cfg, err)
                 ?: config_issuers_take(config, cfg, err);
    if (rc == 0)
        config->has_password = holds_password(config);
    if (cfg != NULL)
        cfg_free(cfg);
    for (int i = 0; i < KEY_COUNT; i++) {
        free(defaults[i]);
        free(repeated[i]);
        repeated[i] = NULL;
    }
    return rc;
}

/* The absolute folder of a file: paths in the file are relative to it. For what is not a regular
 * file, such as a pipe that a shell calls /dev/fd/63, it is the working folder. */
static char *folder_of(const char *path)
{
    char resolved[PATH_MAX];
    struct stat st;
    char *slash;

    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        errno = EISDIR; /* libconfuse would end the process */
        return NULL;
    }
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
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
        rc = read_config(config, err);
    if (rc < 0) {
        config_free(config);
        return rc;
    }
    *ret = config;
    return 0;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    config_free(config->replaced);
    for (int i = 0; i < KEY_COUNT; i++) {
        if (!config_kind_is_number(keys[i].kind))
            free(key_value(config, &keys[i])->text);
    }
    for (size_t i = 0; i < config->source_count; i++) {
        free(config->sources[i].name);
        free(config->sources[i].url);
    }
    free(config->sources);
    config_issuers_free(config);
    free(config->file);
    free(config->folder);
    free(config);
}

const char *config_timezone(const struct config *config)
{
    return *config->timezone.text != '\0' ? config->timezone.text : NULL;
}

static const char source_what[] = "A database to report on, by the name that definitions give: "
                                  "sqlite:PATH or postgresql://USER@HOST/DATABASE (a libpq URI)";

static const char issuer_what[] =
    "An identity provider, whose tokens are accepted: man reportd.conf";
static const char issuer_takes[] =
    "issuer NAME { url = \"URL\" audience = \"NAME\" keys = \"URL\" }";

static void print_key(FILE *out, const char *name, enum config_reload reload, const char *what)
{
    int len = fprintf(out, "  %s%s", name, reload == CONFIG_RELOADED ? " *" : "");

    fprintf(out, len < HELP_INDENT ? "%*s" : "\n%*s", HELP_INDENT - (len < HELP_INDENT ? len : 0),
            "");
    wrap_print(out, HELP_INDENT, HELP_INDENT, what);
}

void config_print_help(FILE *out)
{
    for (int i = 0; i < KEY_COUNT; i++) {
        char *default_value = key_default(&keys[i]);

        print_key(out, keys[i].name, keys[i].reload, keys[i].what);
        fprintf(out, "%*s(default: %s", HELP_INDENT, "",
                default_value != NULL && *default_value != '\0' ? default_value : "none");
        if (keys[i].kind == CONFIG_CHOICE)
            fprintf(out, "; one of %s", keys[i].default_value);
        fprintf(out, ")\n");
        free(default_value);
    }
    print_key(out, "source", CONFIG_RESTART, source_what);
    fprintf(out, "%*ssource NAME { url = \"URL\" max_running = N * }\n", HELP_INDENT, "");
    print_key(out, "issuer", CONFIG_RESTART, issuer_what);
    fprintf(out, "%*s%s\n", HELP_INDENT, "", issuer_takes);
}

void config_print_markdown(FILE *out)
{
    fprintf(out, "| key | default | a change | what it is |\n|---|---|---|---|\n");
    for (int i = 0; i < KEY_COUNT; i++) {
        char *default_value = key_default(&keys[i]);

        fprintf(out, "| `%s` | ", keys[i].name);
        if (default_value != NULL && *default_value != '\0')
            fprintf(out, "`%s` ", default_value);
        fprintf(out, "| %s | %s",
                keys[i].reload == CONFIG_RELOADED ? "applied at SIGHUP" : "needs a restart",
                keys[i].what);
        if (keys[i].kind == CONFIG_CHOICE) {
            fprintf(out, " (one of");
            for (const char *c = keys[i].default_value; *c != '\0';
                 c += strcspn(c, "|"), c += *c == '|')
                fprintf(out, " `%.*s`", (int)strcspn(c, "|"), c);
            fprintf(out, ")");
        }
        fprintf(out, " |\n");
        free(default_value);
    }
    fprintf(out,
            "| `source NAME { url = \"URL\" max_running = N }` | | max_running: applied at SIGHUP; "
            "needs a restart otherwise | %s |\n| `%s` | | needs a restart | %s |\n",
            source_what, issuer_takes, issuer_what);
}
