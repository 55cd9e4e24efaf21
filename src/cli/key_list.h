/* src/cli/key_list.h -- the API keys, as a table for people or as JSON. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

/* Print on standard output; `now_ms` (UTC) decides which have expired. -E_NOMEM, or -E_IO if it
 * could not be written. */
int key_list_print(const struct store_api_key_list *list, bool json, int64_t now_ms,
                   struct err *err);
