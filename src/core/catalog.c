/* src/core/catalog.c -- the report types that are offered. */
#include "core/catalog.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"
#include "base/thread.h"
#include "core/rights.h"

enum { OFFER_FIRST = 4 << 10, OFFER_MAX = 64 << 20 };

/* The definitions at one time; the list holds each of them once. */
struct list {
    struct definition **defs;
    size_t count;
};

struct catalog {
    struct catalog_spec spec; /* .folder is the catalog's own copy */
    struct lock reloading;    /* one reload at a time */
    pthread_rwlock_t lock;    /* guards `list` */
    struct list list;         /* by name */
    atomic_uint generation;   /* of the list */
};

static void release_definition(struct definition *def)
{
    if (atomic_fetch_sub(&def->holds, 1) == 1)
        definition_free(def);
}

static void definitions_free(struct list *list)
{
    for (size_t i = 0; i < list->count; i++)
        release_definition(list->defs[i]);
    free(list->defs);
    *list = (struct list){0};
}

static int is_definition_file(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);

    /* Editors leave hidden copies. */
    return entry->d_name[0] != '.' && len > 4 && str_eq(entry->d_name + len - 4, ".sql");
}

static int by_file_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct definition *const *)a)->name, (*(struct definition *const *)b)->name);
}

/* The definition of that report name, or, if `name` is NULL, the one from that file. */
static struct definition *list_find(const struct list *list, const char *name, const char *file)
{
    for (size_t i = 0; i < list->count; i++) {
        if (str_eq(name != NULL ? list->defs[i]->name : list->defs[i]->file,
                   name != NULL ? name : file))
            return list->defs[i];
    }
    return NULL;
}

/* What the parser cannot check: the other files and the configuration. */
static int check_surroundings(const struct catalog_spec *spec, const struct list *list,
                              const struct definition *def, struct err *err)
{
    const struct definition *twin = list_find(list, def->name, NULL);

    if (twin != NULL)
        return err_set(err, -E_DEFINITION,
                       "%s:%d: report '%.40s' is already defined in %s; give one of them another "
                       "name",
                       def->file, def->name_line, def->name, twin->file);
    if (spec->source_known != NULL && !spec->source_known(spec->context, def->source))
        return err_set(err, -E_DEFINITION,
                       "%s:%d: there is no source '%.40s' in the configuration; add it there or "
                       "correct the name",
                       def->file, def->source_line, def->source);
    return 0;
}

/* Report all problems of the text, or else what `err` says. */
static void tell_problems(const struct catalog_spec *spec, const char *file,
                          const struct problems *problems, struct err *err)
{
    if (spec->problem == NULL)
        return;
    for (size_t i = 0; i < problems->count; i++) {
        problem_err(&problems->list[i], file, err);
        spec->problem(spec->context, err->text);
    }
    if (problems->count == 0)
        spec->problem(spec->context, err->text);
}

/* Add the definition in `file` to `list`. A broken file is reported and counts as 1, and its
 * previous definition (in the catalog's list) stays, as long as no other file defines that name
 * now. */
static int load_file(struct catalog *catalog, const char *file, struct list *list)
{
    struct definition *def = NULL, *old;
    struct problems problems = {0};
    struct err err = {0};
    int rc = (catalog->spec.guarded ? rights_check_file("the definition", file, &err) : 0)
                 ?: definition_load(file, &problems, &def, &err)
                 ?: definition_set_timezone(def, catalog->spec.timezone, &err)
                 ?: check_surroundings(&catalog->spec, list, def, &err);

    if (rc == 0) {
        atomic_init(&def->holds, 1);
        list->defs[list->count++] = def;
        return 0;
    }
    definition_free(def);
    tell_problems(&catalog->spec, file, &problems, &err);
    problems_done(&problems);
    old = list_find(&catalog->list, NULL, file);
    if (old != NULL && list_find(list, old->name, NULL) == NULL) {
        atomic_fetch_add(&old->holds, 1);
        list->defs[list->count++] = old;
    }
    return 1;
}

/* Add what the file `name` of the folder defines; 0, 1 if it is broken, or -E_NOMEM. */
static int load_entry(struct catalog *catalog, const char *name, struct list *list)
{
    char *file;
    struct stat st;
    int broken = 0;

    if (asprintf(&file, "%s/%s", catalog->spec.folder, name) < 0)
        return -E_NOMEM;
    /* A dangling link is not a folder or socket: it is loaded, and its problem is reported. */
    if (stat(file, &st) != 0 || S_ISREG(st.st_mode))
        broken = load_file(catalog, file, list);
    free(file);
    return broken;
}

/* Read the folder into `list`; returns the number of broken files, or -E_*. Only the reloading
 * thread writes catalog->list, so reading it here takes no other lock. */
static int load_folder(struct catalog *catalog, struct list *list, struct err *err)
{
    struct dirent **names;
    int n = scandir(catalog->spec.folder, &names, is_definition_file, by_file_name);
    int broken = 0;

    lock_check_held(&catalog->reloading);
    if (n < 0)
        return err_errno(err, -E_IO, "reports folder '%s' can't be read", catalog->spec.folder);
    list->defs = calloc((size_t)n + 1, sizeof(struct definition *));
    if (list->defs == NULL)
        broken = -E_NOMEM;
    for (int i = 0; i < n; i++) {
        int rc = broken >= 0 ? load_entry(catalog, names[i]->d_name, list) : 0;

        broken = rc >= 0 ? broken + rc : rc;
        free(names[i]);
    }
    free(names);
    return broken >= 0 ? broken : err_set(err, broken, "out of memory");
}

/* Both lists are in order of name. */
static void tell_catalog_changes(const struct list *old, const struct list *now,
                                 catalog_change_fn *changed, void *context)
{
    for (size_t i = 0, k = 0; i < old->count || k < now->count;) {
        int order = i == old->count   ? 1
                    : k == now->count ? -1
                                      : strcmp(old->defs[i]->name, now->defs[k]->name);

        if (order < 0)
            changed(context, CATALOG_REMOVED, old->defs[i]);
        else if (order > 0)
            changed(context, CATALOG_ADDED, now->defs[k]);
        else if (!str_eq(old->defs[i]->version, now->defs[k]->version))
            changed(context, CATALOG_CHANGED, now->defs[k]);
        i += order <= 0;
        k += order >= 0;
    }
}

int catalog_reload(struct catalog *catalog, catalog_change_fn *changed, void *context,
                   struct err *err)
{
    struct list list = {0}, old;
    int broken;

    lock_take(&catalog->reloading);
    broken = load_folder(catalog, &list, err);
    if (broken >= 0) {
        qsort(list.defs, list.count, sizeof(struct definition *), by_name);
        pthread_rwlock_wrlock(&catalog->lock);
        old = catalog->list;
        catalog->list = list;
        pthread_rwlock_unlock(&catalog->lock);
        atomic_fetch_add(&catalog->generation, 1);
        if (changed != NULL)
            tell_catalog_changes(&old, &catalog->list, changed, context);
        list = old;
    }
    definitions_free(&list);
    lock_release(&catalog->reloading);
    return broken;
}

void catalog_set_timezone(struct catalog *catalog, const char *zone)
{
    lock_take(&catalog->reloading);
    catalog->spec.timezone = zone;
    lock_release(&catalog->reloading);
}

int catalog_check_rights(const char *folder, struct err *err)
{
    struct dirent **names;
    int n = scandir(folder, &names, is_definition_file, alphasort), rc = 0;

    for (int i = 0; i < n; i++) {
        char *file = NULL;

        if (rc == 0 && asprintf(&file, "%s/%s", folder, names[i]->d_name) < 0)
            rc = err_set(err, -E_NOMEM, "out of memory");
        else if (rc == 0)
            rc = rights_check_file("the definition", file, err);
        free(file);
        free(names[i]);
    }
    if (n >= 0)
        free(names);
    return rc;
}

int catalog_new(const struct catalog_spec *spec, struct catalog **ret, struct err *err)
{
    struct catalog *catalog = calloc(1, sizeof(*catalog));
    int rc;

    if (catalog == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    catalog->spec = *spec;
    catalog->spec.folder = strdup(spec->folder);
    lock_init(&catalog->reloading);
    pthread_rwlock_init(&catalog->lock, NULL);
    rc = catalog->spec.folder != NULL ? catalog_reload(catalog, NULL, NULL, err)
                                      : err_set(err, -E_NOMEM, "out of memory");
    if (rc < 0) {
        catalog_free(catalog);
        return rc;
    }
    *ret = catalog;
    return 0;
}

void catalog_free(struct catalog *catalog)
{
    if (catalog == NULL)
        return;
    definitions_free(&catalog->list);
    pthread_rwlock_destroy(&catalog->lock);
    lock_done(&catalog->reloading);
    free((char *)catalog->spec.folder);
    free(catalog);
}

const struct definition *catalog_hold(struct catalog *catalog, const char *name)
{
    struct definition *def;

    pthread_rwlock_rdlock(&catalog->lock);
    def = list_find(&catalog->list, name, NULL);
    if (def != NULL)
        atomic_fetch_add(&def->holds, 1);
    pthread_rwlock_unlock(&catalog->lock);
    return def;
}

void catalog_release(struct catalog *catalog, const struct definition *def)
{
    (void)catalog;
    if (def != NULL)
        release_definition((struct definition *)def);
}

void catalog_each(struct catalog *catalog,
                  void (*each)(void *context, const struct definition *def), void *context)
{
    pthread_rwlock_rdlock(&catalog->lock);
    for (size_t i = 0; i < catalog->list.count; i++)
        each(context, catalog->list.defs[i]);
    pthread_rwlock_unlock(&catalog->lock);
}

struct retentions {
    struct buf *json;
    int64_t general_ms;
};

static void add_retention(void *context, const struct definition *def)
{
    const struct retentions *retentions = context;

    if (def->retention_ms != 0 && def->retention_ms < retentions->general_ms)
        json_add_number(retentions->json, def->name, def->retention_ms);
}

void catalog_add_retentions(struct catalog *catalog, int64_t general_ms, struct buf *json)
{
    buf_add_char(json, '{');
    catalog_each(catalog, add_retention, &(struct retentions){json, general_ms});
    buf_add_char(json, '}');
}

struct offer {
    struct buf lines, sources;
};

static void add_offer(void *context, const struct definition *def)
{
    struct offer *offer = context;

    buf_add_format(&offer->lines, "%s\n%s %s\n", def->name, def->name, def->version);
    buf_add_format(&offer->sources, "%s\n%s\n", def->source, def->source);
}

static void begin_offer(struct buf *text)
{
    buf_init(text, OFFER_MAX);
    buf_reserve(text, OFFER_FIRST);
    buf_add_str(text, ""); /* ended, even if nothing follows */
}

char *catalog_offer_sources(struct catalog *catalog, char **ret_sources)
{
    struct offer offer;
    char *lines, *sources;

    begin_offer(&offer.lines);
    begin_offer(&offer.sources);
    catalog_each(catalog, add_offer, &offer);
    lines = buf_take(&offer.lines);
    sources = buf_take(&offer.sources);
    if (ret_sources != NULL && lines != NULL && sources != NULL) {
        *ret_sources = sources;
        return lines;
    }
    free(sources);
    if (ret_sources == NULL)
        return lines;
    free(lines);
    return NULL;
}

unsigned catalog_generation(const struct catalog *catalog)
{
    return atomic_load(&catalog->generation);
}

char *catalog_offer(struct catalog *catalog)
{
    return catalog_offer_sources(catalog, NULL);
}

static void try_name(void *nearest, const struct definition *def)
{
    nearest_try(nearest, def->name);
}

void catalog_nearest(struct catalog *catalog, struct nearest *nearest)
{
    catalog_each(catalog, try_name, nearest);
}
