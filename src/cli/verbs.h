/* src/cli/verbs.h -- the verbs of reportd: one table makes the dispatch and the usage text. */
#pragma once

#include <stdio.h>

/* Function, name, arguments, one line. */
#define VERBS(X)                                                                                   \
    X(serve, "serve", "[-c FILE] [--check]", "Serve the API")                                      \
    X(user, "user",                                                                                \
      "add|passwd|disable|enable|remove|grant|revoke|allow|operator|limit|import|list [-c FILE] "  \
      "[ARGUMENTS]",                                                                               \
      "Manage the users of the API")                                                               \
    X(key, "key",                                                                                  \
      "add|list|remove|enable [-c FILE] [--user USER] [--grant REPORT…] [--allow CIDR…] "      \
      "[--expires TIME] [--operator] [--json] [NAME…]",                                            \
      "Manage API keys")                                                                           \
    X(group, "group", "add|grant|revoke|operator|remove|list [-c FILE] [ARGUMENTS]",               \
      "Manage the groups of identity providers")                                                   \
    X(check, "check", "[-c FILE] [--strict] [PATH…]", "Check report definitions")                  \
    X(try, "try",                                                                                  \
      "[-c FILE] [--csv | --table] [--user NAME] [--claim NAME=VALUE]… REPORT [NAME=VALUE…]",      \
      "Run a report without a server")                                                             \
    X(fsck, "fsck", "[-c FILE] [--repair [--force]] [--new-ledger] [--new-identity] [--json]",     \
      "Compare store, files and clock")                                                            \
    X(receipt, "receipt", "[-c FILE] [--jwks FILE] [RECEIPT]", "Check a deletion receipt")         \
    X(signing_key, "signing-key", "list|rotate|retire [-c FILE] [token|receipt [ID]]",             \
      "Replace the keys of tokens and receipts")                                                   \
    X(trail, "trail", "find [-c FILE] REFERENCE [FILE…]", "Find a reference in the audit trail")   \
    X(backup, "backup", "[-c FILE] DIR", "Back up store and results")                              \
    X(restore, "restore", "[-c FILE] [--ledger FILE]… [--resurrect] [--force] [DIR]",              \
      "Restore what was not deleted since")                                                        \
    X(migrate, "migrate", "[-c FILE] [--undo] OLD", "Move an embedded store to PostgreSQL")        \
    X(demo, "demo", "DIR [--entities N] [--seed S] [--force]", "Make the demo registry")           \
    X(worker, "worker", "", "Run one worker (started by serve, not by hand)")                      \
    X(fetch, "fetch", "", "Fetch keys over https (started by serve, not by hand)")

/* Each gets argv with argv[0] = the verb; returns the exit status: 0 good, 1 failed, 2 usage. */
#define X(function, name, arguments, what) int verb_##function(int argc, char **argv);
VERBS(X)
#undef X

enum { EXIT_GOOD = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };
