/* src/cli/user_list.h -- the users, as a table for people or as JSON. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "core/user.h"

/* Print on standard output; `now_ms` (UTC) decides who is locked. -E_NOMEM, or -E_IO if it could
 * not be written. */
int user_list_print(const struct user *users, size_t count, bool json, int64_t now_ms,
                    struct err *err);

/* Print `list`, cut at `between`, on standard output, with a comma and a space between the entries;
 * … */
void user_list_print_entries(const char *list, char between, const char *if_none);
/* … or add it as a member of an object, a JSON array. */
void user_list_add_entries(struct buf *b, const char *key, const char *list, char between);

/* The end of any list of users, groups or keys. Close the JSON array in `b`, print it, and
 * buf_done() it: -E_NOMEM if there was no room. */
int user_list_print_json(struct buf *b, struct err *err);
int user_list_flush(struct err *err); /* -E_IO */
