/* src/proc/backup_impl.h -- what backup and restore share. Only src/proc/{backup,restore}*.c
 * includes this. */
#pragma once

#include "proc/backup.h"

/* Look at every report of the store, also in DELETING; true: erase it (row and result in the row;
 * not files). */
typedef bool erase_fn(void *context, const struct store_scanned *report);
/* How many were erased, or -E_*. `trail` gets a line for each; NULL: no trail. */
int64_t erase_reports(struct store *store, struct trail *trail, erase_fn *wanted, void *context,
                      struct err *err);

/* FOLDER/NAME, yours; NULL: no memory. */
char *backup_path(const char *folder, const char *name);
char *backup_store_url(const char *path); /* the same of a store's URL; `path` may be NULL */
