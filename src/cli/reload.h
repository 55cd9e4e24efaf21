/* src/cli/reload.h -- what SIGHUP reads again, and the log of what differs. */
#pragma once

#include "core/catalog.h"
#include "core/config_compare.h"
#include "http/issuers.h"
#include "http/receipt.h"
#include "http/token_cache.h"
#include "store/store.h"

/* Read the definitions again, and log each that was added, changed or removed. */
void reload_definitions(struct catalog *catalog);

/* Read the file of the configuration again, apply what can be applied, and log each key and source
 * that has changed and whether it takes a restart. A file that can't be used, or that was a pipe,
 * leaves what there is. */
void reload_config(struct config *running, const struct config_snapshot *started);

/* Read the keys of tokens, receipts and identity providers again, and log which sign from now on;
 * `store` is asked whether other nodes know those of receipts. A file that can't be used leaves
 * what there is. */
struct reload_keys {
    const struct config *config;
    struct store *store;
    struct token_keys *tokens;
    struct token_cache *token_cache;
    struct receipt_keys *receipts;
    struct issuers *issuers; /* NULL: none */
};
void reload_keys(const struct reload_keys *all);
/* Receipts are verified with the keys of any node, so all need the same. 0, or store_check_key()'s
 * error. */
int reload_check_receipt_key(const struct config *config, struct store *store,
                             const struct receipt_keys *keys, struct err *err);

/* Log the environment variables that do not stand for a key. */
void reload_warn_of_variables(void);
