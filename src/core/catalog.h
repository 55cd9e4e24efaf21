/* src/core/catalog.h -- the report types that are offered: the folder's definitions, reloadable
 * while in use. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/nearest.h"
#include "core/definition.h"

struct catalog;

/* `source_known` says whether the config has a source of that name (a definition that names
 * another one is broken). `problem` is called for every problem of a broken file, with "FILE:LINE:
 * …". */
struct catalog_spec {
    const char *folder;
    const char *timezone; /* of definitions that do not set their own; NULL: none. Borrowed */
    int (*source_known)(void *context, const char *source);
    void (*problem)(void *context, const char *text);
    void *context;
    bool guarded; /* a file that group or others may write is broken */
};

/* -E_CONFIG names the first of the folder's definitions that group or others may write. */
int catalog_check_rights(const char *folder, struct err *err);

/* Load every *.sql file in the folder. Broken files are reported and left out; -E_IO only if the
 * folder cannot be read. *ret is yours: catalog_free(). */
int catalog_new(const struct catalog_spec *spec, struct catalog **ret, struct err *err);
void catalog_free(struct catalog *catalog);

/* What a reload has found; `def` is the new definition, or the one that went: borrowed for the
 * call. */
enum catalog_change { CATALOG_ADDED, CATALOG_CHANGED, CATALOG_REMOVED };
typedef void catalog_change_fn(void *context, enum catalog_change change,
                               const struct definition *def);

/* Read the folder again: new and changed files replace their definitions, those of removed files
 * are removed, a broken file keeps its old definition. `changed` (NULL is fine) is then called for
 * every definition that differs, in order of name. Any thread. Returns the number of broken files,
 * or -E_IO with nothing changed. */
int catalog_reload(struct catalog *catalog, catalog_change_fn *changed, void *context,
                   struct err *err);

/* For the definitions from the next catalog_reload() on; as in the spec. Any thread. */
void catalog_set_timezone(struct catalog *catalog, const char *zone);

/* A reference to the current definition of that name, NULL if there is none; it stays valid across
 * reloads until catalog_release(). Any thread. Names are case-sensitive. */
const struct definition *catalog_hold(struct catalog *catalog, const char *name);
void catalog_release(struct catalog *catalog, const struct definition *def);

/* What this node can run, as STORE_CLAIM takes it: a line for each name, and one for each name and
 * version, "NAME" and "NAME VERSION", each ended by a newline. Yours to free(); NULL: no memory.
 * Any thread. */
char *catalog_offer(struct catalog *catalog);
/* The same, and in *ret_sources, if that is not NULL, the source of each line, on a line. */
char *catalog_offer_sources(struct catalog *catalog, char **ret_sources);
/* Taken before an offer: as long as this is the same, so is the offer. Any thread. */
unsigned catalog_generation(const struct catalog *catalog);

/* Call `each` for every definition in order of name, under the catalog's read lock. */
void catalog_each(struct catalog *catalog,
                  void (*each)(void *context, const struct definition *def), void *context);

/* Append {"NAME": milliseconds, …} with the definitions whose results are kept for less than
 * `general_ms`. */
void catalog_add_retentions(struct catalog *catalog, int64_t general_ms, struct buf *json);

/* Try every definition's name. */
void catalog_nearest(struct catalog *catalog, struct nearest *nearest);
