/* src/core/trail.h -- the audit trail: one line of JSON for each act, appended to audit_log. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/guid.h"
#include "core/config.h"
#include "core/key_file.h"

/* What has a line, and its member "event". */
#define TRAIL_EVENTS(X)                                                                            \
    X(LOGIN, "login")       /* also a refused one */                                               \
    X(SUBMIT, "submit")     /* also one that was not accepted */                                   \
    X(DOWNLOAD, "download") /* a result, some of it, or some of its rows */                        \
    X(DELETE, "delete")     /* for each report */                                                  \
    X(PURGE, "purge")       /* not requested by a user of the API: see trail_record_purge() */     \
    X(QUEUE, "queue")       /* paused or resumed, all or one source */                             \
    X(USER, "user")         /* added, removed or changed */                                        \
    X(KEY, "key")           /* added, removed or enabled */                                        \
    X(GROUP, "group")       /* of an identity provider: what it may run */                         \
    X(SIGNING_KEY, "signing_key") /* replaced */                                                   \
    X(STORE, "store")             /* moved to PostgreSQL, or not */                                \
    X(RELOAD, "reload")           /* by SIGHUP */

enum trail_event {
    TRAIL_NONE,
#define X(name, word) TRAIL_##name,
    TRAIL_EVENTS(X)
#undef X
};

/* All borrowed; what is NULL is left out of the line. Never a value, a title or a file's name. */
struct trail_act {
    enum trail_event event;
    const char *change;  /* of QUEUE, USER, KEY, GROUP, SIGNING_KEY, STORE: the action, such as
                          * "grant" */
    const char *user;    /* the user of the API who did it; else see trail_open() */
    const char *key;     /* the name of the API key that was used; of KEY: the key concerned */
    const char *subject; /* whose report, which user or source, if that is not `user` */
    const char *address, *request, *report;
    const struct guid *reference; /* of which the line has a keyed hash */
    const char *outcome;          /* NULL: "done" */
};

/* The key of the hashes: audit_key_file, the same on all nodes. */
enum { TRAIL_KEY_BYTES = KEY_FILE_RANDOM_BYTES, TRAIL_HASH_TEXT = 33 };
struct trail_key {
    unsigned char bytes[TRAIL_KEY_BYTES];
};
/* Read it; `make`: or make it. -E_CONFIG. */
int trail_key_open(const char *path, bool make, struct trail_key *ret, struct err *err);
void trail_key_done(struct trail_key *key); /* clears it */
void trail_hash(const struct trail_key *key, const struct guid *id, char out[TRAIL_HASH_TEXT]);

struct trail;

/* Is the configuration of the trail valid, and, if it exists, its file? Changes nothing. -E_CONFIG:
 * the file is in a folder of data, others may write to it, or it is not a regular file. -E_TRAIL:
 * it cannot be opened. */
int trail_check_config(const struct config *config, struct err *err);
/* Open audit_log for appending, with a separate thread that writes it; *ret is NULL if none is
 * configured. `system_user`, which is copied, is the user of this machine who is named where no
 * user of the API is; NULL: the server. -E_CONFIG as trail_check_config(); a file that cannot be
 * made or written is opened again and again. Several processes may have it open. *ret is yours:
 * trail_close(). */
int trail_open(const struct config *config, const char *system_user, struct trail **ret,
               struct err *err);
/* From now on lines have hashes of references; call it before other threads record. NULL is
 * fine. */
void trail_use_key(struct trail *trail, const struct trail_key *key);
/* Write what waits. -E_TRAIL if that can't be done: those lines are lost. NULL is fine. */
int trail_close(struct trail *trail, struct err *err);

/* Add a line. Never blocks; any thread. While the file can't be written lines wait, and beyond a
 * few MiB are lost; then a line "lost" says how many. NULL is fine: nothing is recorded. */
void trail_record(struct trail *trail, const struct trail_act *act);
/* The same for a report that expired, whose deletion was interrupted, or that a command on the
 * machine has deleted: nothing is left of it. `user` and `name`, its type: "" if unknown. */
void trail_record_purge(struct trail *trail, const struct guid *id, const char *user,
                        const char *name);
/* -E_TRAIL, with a message for a client, while audit_required is on and the file can't be written.
 */
int trail_check(const struct trail *trail, struct err *err);
/* Open the file again: it has been renamed. */
void trail_reopen(struct trail *trail);
