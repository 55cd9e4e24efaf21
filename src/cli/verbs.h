/* src/cli/verbs.h -- the verbs of reportd: one table makes the dispatch and the usage text. */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include <stdio.h>

#define VERBS(X)                                                                                   \
    X(serve, "Serve the API: reportd serve -c FILE")                                               \
    X(user, "Manage users: reportd user add|passwd|disable|enable|grant|revoke|allow|list")        \
    X(check, "Check report definitions: reportd check [-c FILE] [--strict] PATH…")                 \
    X(try, "Run a report without a server: reportd try [-c FILE] REPORT [NAME=VALUE…]")            \
    X(fsck, "Compare store, files and clock: reportd fsck [-c FILE] [--repair] [--json]")          \
    X(receipt, "Check a deletion receipt: reportd receipt [-c FILE] [--jwks FILE] [RECEIPT]")      \
    X(backup, "Back up store and results: reportd backup [-c FILE] DIR")                           \
    X(restore, "Restore what was not deleted since: reportd restore [-c FILE] DIR")                \
    X(demo, "Make the demo registry: reportd demo DIR [--entities N] [--seed S]")                  \
    X(worker, "Run one worker (started by serve, not by hand)")

/* Each gets argv with argv[0] = the verb; returns the exit status: 0 good, 1 failed, 2 usage. */
#define X(name, what) int verb_##name(int argc, char **argv);
VERBS(X)
#undef X

enum { EXIT_GOOD = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

#endif
