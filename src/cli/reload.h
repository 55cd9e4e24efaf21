/* src/cli/reload.h -- what SIGHUP reads again, and the log of what differs. */
#pragma once

#include "core/catalog.h"
#include "core/config_compare.h"
#include "http/receipt.h"
#include "http/token_cache.h"
#include "store/store.h"

/* Read the definitions again, and log each that was added, changed or removed. */
void reload_definitions(struct catalog *catalog);

/* Read the file of the configuration, and log what has changed in it since the start, which takes
 * a restart. A configuration that came from a pipe cannot be read again: nothing is logged. */
void reload_compare(const char *file, const struct config_snapshot *started);

/* Read the keys of tokens and of receipts again, and log which sign from now on; `store` is asked
 * whether other nodes know the latter. A file that can't be used leaves what there is. */
struct reload_keys {
    const struct config *config;
    struct store *store;
    struct token_keys *tokens;
    struct token_cache *token_cache;
    struct receipt_keys *receipts;
};
void reload_keys(const struct reload_keys *all);
/* Whoever checks a receipt asks any node for the keys, so all need the same. 0, or
 * store_check_key()'s error. */
int reload_check_receipt_key(const struct config *config, struct store *store,
                             const struct receipt_keys *keys, struct err *err);

/* Log the variables of the environment that stand for no key. */
void reload_warn_of_variables(void);
