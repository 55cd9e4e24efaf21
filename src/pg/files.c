/* src/pg/files.c -- which files and variables libpq reads for a connection. */
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "pg/pg.h"

/* https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS */
static const char *const file_keywords[] = {"passfile",    "sslcert", "sslkey",
                                            "sslrootcert", "sslcrl",  "sslcrldir"};
/* Files in the home folder that are read unless a keyword names another one. */
static const char *const home_files[] = {".pgpass", ".pg_service.conf", ".postgresql"};
/* Variables that name files and do not belong to a keyword. */
static const char *const file_variables[] = {"PGSERVICEFILE", "PGSYSCONFDIR", "SSL_CERT_FILE",
                                             "SSL_CERT_DIR",  "OPENSSL_CONF", "KRB5_CONFIG",
                                             "TZDIR"};
static const char *const other_variables[] = {
    "PGLOCALEDIR", "PGTZ",     "PGDATESTYLE", "PGGEQO",      "HOME",        "KRB5CCNAME", "TZ",
    "LANG",        "LANGUAGE", "LC_ALL",      "LC_MESSAGES", "RES_OPTIONS", "LOCALDOMAIN"};
static const char kerberos_file[] = "FILE:";

#define EACH(i, list)                                                                              \
    size_t i = 0;                                                                                  \
    i < sizeof(list) / sizeof((list)[0]);                                                          \
    i++

static void each_option(const PQconninfoOption *options, pg_file_fn *found, void *context)
{
    for (; options != NULL && options->keyword != NULL; options++) {
        for (EACH(i, file_keywords)) {
            if (options->val != NULL && str_eq(options->keyword, file_keywords[i]))
                found(context, options->val);
        }
    }
}

/* Files that a service named in the URL sets: only PQconndefaults() reads a service, and only from
 * PGSERVICE. */
static void each_of_service(const PQconninfoOption *options, pg_file_fn *found, void *context)
{
    const char *before = getenv("PGSERVICE");
    char *kept = before != NULL ? strdup(before) : NULL;
    PQconninfoOption *defaults;

    for (; options != NULL && options->keyword != NULL; options++) {
        if (options->val != NULL && str_eq(options->keyword, "service"))
            setenv("PGSERVICE", options->val, 1);
    }
    defaults = PQconndefaults();
    each_option(defaults, found, context);
    PQconninfoFree(defaults);
    if (kept != NULL)
        setenv("PGSERVICE", kept, 1);
    else
        unsetenv("PGSERVICE");
    free(kept);
}

static void each_of_home(pg_file_fn *found, void *context)
{
    const char *home = getenv("HOME");
    struct passwd entry, *user = NULL;
    char room[4096], path[PATH_MAX];

    if ((home == NULL || *home == '\0') &&
        getpwuid_r(geteuid(), &entry, room, sizeof(room), &user) == 0 && user != NULL)
        home = user->pw_dir;
    for (EACH(i, home_files)) {
        if (home != NULL &&
            snprintf(path, sizeof(path), "%s/%s", home, home_files[i]) < (int)sizeof(path))
            found(context, path);
    }
}

void pg_each_file(const char *url, pg_file_fn *found, void *context)
{
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    const char *cache = getenv("KRB5CCNAME");
    char path[64];

    each_option(options, found, context);
    each_of_service(options, found, context);
    PQconninfoFree(options);
    each_of_home(found, context);
    for (EACH(i, file_variables)) {
        if (getenv(file_variables[i]) != NULL)
            found(context, getenv(file_variables[i]));
    }
    found(context, "/etc/postgresql-common"); /* Debian's PGSYSCONFDIR */
    snprintf(path, sizeof(path), "/tmp/krb5cc_%u", (unsigned)geteuid());
    if (cache != NULL)
        found(context, str_starts(cache, kerberos_file) ? cache + strlen(kerberos_file) : cache);
    else
        found(context, path);
}

static bool is_of(const char *variable, const char *name)
{
    size_t len = name != NULL ? strlen(name) : 0;

    return len > 0 && strncmp(variable, name, len) == 0 && variable[len] == '=';
}

bool pg_needs_variable(const char *variable)
{
    PQconninfoOption *defaults = PQconndefaults();
    bool needs = false;

    for (const PQconninfoOption *o = defaults; o != NULL && o->keyword != NULL; o++)
        needs = needs || (is_of(variable, o->envvar) && !str_eq(o->keyword, "password"));
    PQconninfoFree(defaults);
    for (EACH(i, file_variables))
        needs = needs || is_of(variable, file_variables[i]);
    for (EACH(i, other_variables))
        needs = needs || is_of(variable, other_variables[i]);
    return needs;
}

/* As in a URI (RFC 3986, 2.1): everything is encoded that is not certainly plain. */
static void add_encoded(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        bool plain = (*text >= '0' && *text <= '9') || (*text >= 'A' && *text <= 'Z') ||
                     (*text >= 'a' && *text <= 'z');

        if (plain)
            buf_add_char(out, *text);
        else
            buf_add_format(out, "%%%02X", (unsigned char)*text);
    }
}

bool pg_url_complete(const char *url, struct buf *out)
{
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    const char *password = getenv("PGPASSWORD");
    bool own = options == NULL || password == NULL;

    for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
        own = own ||
              (o->val != NULL && (str_eq(o->keyword, "password") || str_eq(o->keyword, "service")));
    PQconninfoFree(options);
    if (own || !(str_starts(url, "postgresql://") || str_starts(url, "postgres://")))
        return false;
    buf_add_str(out, url);
    buf_add_str(out, strchr(url, '?') != NULL ? "&password=" : "?password=");
    add_encoded(out, password);
    return true;
}
