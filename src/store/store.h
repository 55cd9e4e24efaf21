/* src/store/store.h -- the truth about reports, users and sessions: durable, asynchronous, one
 * interface to every backend. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/guid.h"
#include "base/work_queue.h"
#include "core/report.h"
#include "core/user.h"
#include "store/store_rights.h"

struct store;

enum {
    STORE_KEY_MAX = 255,     /* bytes of an Idempotency-Key */
    STORE_HASH_BYTES = 32,   /* SHA-256 */
    STORE_ACTIVE_MAX = 1000, /* highest active limit that can be configured */
    STORE_ACTIVE = -2,       /* used as a state: queued or processing */
    STORE_PAGE_MAX = 1000,   /* reports in one page of a list, … */
    STORE_LISTED_MAX = 4096, /* … including their parameters, if those have at most this many
                              * bytes */
    STORE_BATCH_MAX = 256,   /* ids in one answer of EXPIRED and DELETING */
    STORE_MANY_MAX = 1024,   /* ids of one TOMBSTONE_MANY, HELD_MANY or DELETE_ROWS */
    STORE_MANY_FULL = 16,    /* … of TOMBSTONE_MANY or DELETE_ROWS, if it has to succeed on a full
                              * disk */
    STORE_SCAN_MAX = 64,     /* reports in one answer of SCAN */
    STORE_MATCH_MAX = 10000, /* ids in one answer of MATCH */
    STORE_SWEEP_MAX = 1000,  /* sessions, keys and addresses that a SWEEP removes of each */
    STORE_COUNT_MAX = 1000,  /* reports that are counted for a LIST of all users */
    STORE_SOURCE_TEXT = 256, /* of the name of a source */
    STORE_VERSION_TEXT = 17, /* of a definition: DEFINITION_VERSION_TEXT */
    STORE_RUNNING_MAX = 64,  /* reports that one node processes at the same time */
    STORE_LEEWAY_MS = 30000, /* how long a pair of tokens that was replaced is still accepted */
    STORE_STRAY_LEASES = 6,  /* leases without a node that can run a report, after which any node
                              * may claim it */
};

/* How an operation is answered.
 *   READ     answered from what is committed; may be answered before store_post() returns.
 *   VOLATILE answered like READ; nothing is promised: a crash forgets it.
 *   VISIBLE  committed, survives kill -9, may be lost by a power loss.
 *   DURABLE  committed and fsynced before `done`.
 * Concurrent writes share one transaction and one fsync (group commit). */
enum store_kind { STORE_READ, STORE_VOLATILE, STORE_VISIBLE, STORE_DURABLE };

/* The verbs: enum, member of struct store_op and name of the backend's function, kind. */
#define STORE_VERBS(X)                                                                             \
    X(SUBMIT, submit, STORE_DURABLE)                                                               \
    X(KEY, key, STORE_READ)                                                                        \
    X(CLAIM, claim, STORE_VISIBLE)                                                                 \
    X(PROGRESS, progress, STORE_VOLATILE)                                                          \
    X(SETTLE, settle, STORE_DURABLE)                                                               \
    X(FINISH, finish, STORE_DURABLE)                                                               \
    X(REQUEUE, requeue, STORE_VISIBLE)                                                             \
    X(FIND, find, STORE_READ)                                                                      \
    X(LIST, list, STORE_READ)                                                                      \
    X(TOMBSTONE, tombstone, STORE_DURABLE)                                                         \
    X(DELETE_ROW, delete_row, STORE_VISIBLE)                                                       \
    X(MATCH, match, STORE_READ)                                                                    \
    X(TOMBSTONE_MANY, tombstone_many, STORE_DURABLE)                                               \
    X(DELETE_ROWS, delete_rows, STORE_VISIBLE)                                                     \
    X(HELD_MANY, held_many, STORE_READ)                                                            \
    X(RECOVER, recover, STORE_DURABLE)                                                             \
    X(PAUSE, pause, STORE_DURABLE)                                                                 \
    X(PAUSED, paused, STORE_READ)                                                                  \
    X(HEARTBEAT, heartbeat, STORE_VISIBLE)                                                         \
    X(HELD, held, STORE_READ)                                                                      \
    X(SENT, sent, STORE_VOLATILE)                                                                  \
    X(NODES, nodes, STORE_READ)                                                                    \
    X(OVERVIEW, overview, STORE_READ)                                                              \
    X(DELETING, deleting, STORE_READ)                                                              \
    X(EXPIRED, expired, STORE_READ)                                                                \
    X(STATS, stats, STORE_READ)                                                                    \
    X(SCAN, scan, STORE_READ)                                                                      \
    X(IDENTITY, identity, STORE_READ)                                                              \
    X(IDENTITY_TAKE, identity_take, STORE_VISIBLE)                                                 \
    X(LEDGERS, ledgers, STORE_READ)                                                                \
    X(LEDGER_NOTE, ledger_note, STORE_VISIBLE)                                                     \
    X(USER_ADD, user_add, STORE_DURABLE)                                                           \
    X(USER_CHANGE, user_change, STORE_DURABLE)                                                     \
    X(USER_FIND, user_find, STORE_READ)                                                            \
    X(USER_LIST, user_list, STORE_READ)                                                            \
    X(USER_DROP, user_drop, STORE_DURABLE)                                                         \
    X(GROUP_CHANGE, group_change, STORE_DURABLE)                                                   \
    X(GROUP_LIST, group_list, STORE_READ)                                                          \
    X(ENROL, enrol, STORE_DURABLE)                                                                 \
    X(LOGIN, login, STORE_DURABLE)                                                                 \
    X(SESSION, session, STORE_READ)                                                                \
    X(SESSIONS, sessions, STORE_READ)                                                              \
    X(ROTATE, rotate, STORE_DURABLE)                                                               \
    X(LOGOUT, logout, STORE_DURABLE)                                                               \
    X(API_KEY_ADD, api_key_add, STORE_DURABLE)                                                     \
    X(API_KEY_REMOVE, api_key_remove, STORE_DURABLE)                                               \
    X(API_KEY_ENABLE, api_key_enable, STORE_DURABLE)                                               \
    X(API_KEY_USED, api_key_used, STORE_VISIBLE)                                                   \
    X(API_KEY_LIST, api_key_list, STORE_READ)                                                      \
    X(PROBE, probe, STORE_DURABLE)                                                                 \
    X(SWEEP, sweep, STORE_VISIBLE)                                                                 \
    X(SESSIONS_END, sessions_end, STORE_DURABLE)

enum store_verb {
#define X(name, member, kind) STORE_##name,
    STORE_VERBS(X)
#undef X
        STORE_VERB_COUNT
};

/* In every verb: pointers in the `in` part are borrowed until `done`; what the `out` part points to
 * belongs to the operation and is freed by store_op_done(). */

/* An access token that an operation of a shared store checks in its statement, as SESSION would:
 * without the session it finds, and does, nothing. */
struct store_access {
    struct guid session, access;
    int64_t now_ms;
};

/* Accept a report: a new row in QUEUED, unless the user has `active_limit` slots taken (an exact
 * limit) or the Idempotency-Key answers the request. -E_FORBIDDEN: the user may not run it. */
enum store_submit_outcome { SUBMIT_ACCEPTED, SUBMIT_REPLAYED, SUBMIT_KEY_REUSED, SUBMIT_LIMIT };
struct store_submit {
    struct guid id; /* in: of the new report; out: of the one in the answer (ACCEPTED, REPLAYED) */
    int64_t user_id;
    const char *name, *parameters;
    char version[STORE_VERSION_TEXT];       /* of the definition that accepted it, or "": CLAIM */
    const char *key;                        /* Idempotency-Key, NULL: none */
    uint8_t request_hash[STORE_HASH_BYTES]; /* of the request body; only with a key */
    int64_t now_ms, key_expires_ms;
    int active_limit;
    bool waits; /* it is only VISIBLE: nobody is told of it before its FINISH or a SETTLE */
    /* If it is checked, a limit of the user's own replaces `active_limit`, and any outcome but
     * ACCEPTED may mean that there is no such session. */
    const struct store_access *as;     /* NULL: nothing is checked */
    enum store_submit_outcome outcome; /* out */
    int64_t connection;                /* out: a number, for a SETTLE */
    struct report *active;             /* out, SUBMIT_LIMIT: the user's visible active reports */
    size_t active_count;
};

/* A report whose SUBMIT was only VISIBLE is durable from now on, or deleted; or it may be lost. */
struct store_settle {
    struct guid id;
    int64_t connection; /* as long as it lasts, nothing is lost */
    bool lost;
};

/* What SUBMIT would now find for an Idempotency-Key: it answers the request (REPLAYED, by `id`), it
 * belongs to another request (KEY_REUSED), or it is free (ACCEPTED, although nothing was
 * submitted). */
struct store_key {
    int64_t user_id;
    const char *key;
    uint8_t request_hash[STORE_HASH_BYTES];
    int64_t now_ms;
    enum store_submit_outcome outcome; /* out */
    struct guid id;                    /* out, SUBMIT_REPLAYED */
};

/* A source is full when this many reports are running. */
struct store_limit {
    const char *source;
    int64_t max_running;
};

/* Take a queued report: QUEUED → PROCESSING, attempt + 1. `node` names the claimer. It is the
 * oldest report of the user with the fewest running; among equals, of the user whose last start is
 * longest ago, or who never had one. A report that was deleted, or ended because its user may no
 * longer run it, counts as running until its query has stopped. Reports of a paused or full source
 * are passed over, and so are users with `running_limit` running. All this is exact over all nodes.
 * In a shared store the node must be able to run the report: it needs the definition in the version
 * that accepted the report, or in any version if no living node has had that one for a lease. */
struct store_claim {
    const char *node;
    const char *offer;   /* of catalog_offer(); NULL, or an embedded store: anything */
    const char *sources; /* of the offer: a line for each of its lines. NULL: unknown */
    const struct store_limit *limits; /* of sources; those without a limit are never full */
    size_t limit_count;
    int running_limit; /* of users without a limit of their own; 0: none */
    /* Of this claim, and of its repetition after -E_STORE: over a network a claim may have been
     * committed although its answer was lost; the repetition then returns the same report. */
    struct guid token;
    int64_t now_ms;
    bool found;
    bool held_back;       /* out, if none is found: there are queued reports nevertheless */
    bool stray;           /* out: no node has had its definition for STORE_STRAY_LEASES leases */
    bool permitted;       /* out: its user may still run it */
    struct report report; /* out: with user_name and parameters; in a shared store with its key */
};

/* Rows and bytes so far of a running attempt; ignored if the attempt lost the report. */
struct store_progress {
    struct guid id;
    int attempt;
    int64_t rows, bytes;
};

/* PROCESSING → COMPLETE or ERROR, if the report still belongs to `attempt`. For those that wait for
 * it with HELD, FINISH and REQUEUE also say that nothing of the attempt is running any more. */
struct store_finish {
    struct guid id;
    int attempt;
    enum report_state state; /* REPORT_COMPLETE or REPORT_ERROR */
    int64_t rows, bytes, footer, now_ms, expires_ms;
    uint8_t digest[REPORT_DIGEST_BYTES];
    /* REPORT_KEY_BYTES: the key that CLAIM returned; if it returned none, a key for this attempt,
     * or NULL. What the database may not see is sealed with it. */
    const uint8_t *key;
    bool sealed;         /* COMPLETE: the result is sealed, too, wherever it is */
    const char *message; /* ERROR: for the user */
    const void *result;  /* COMPLETE: the result, as it would be in a file; NULL: it is published.
                          * An embedded store keeps it until the row is deleted, a shared one as the
                          * only chunk of a spool in the same database */
    size_t result_len;
    bool moved; /* out: false: the attempt has lost the report, publish nothing. If it has ended
                 * like this already, it moves once more, as -E_STORE over a network needs */
};

/* PROCESSING → QUEUED at its old place, if the report still belongs to `attempt`. */
struct store_requeue {
    struct guid id;
    int attempt;
    bool failed; /* its worker died: counts towards REPORT_FAILURES_MAX */
    bool moved;
};

/* One report of one user. A reference of another user, one in DELETING and an unknown one are all
 * simply not found. */
struct store_find {
    struct guid id;
    int64_t user_id;               /* 0: any user, with user_name (operators, start-up and audit) */
    const struct store_access *as; /* NULL: nothing is checked */
    bool want_parameters;
    bool want_result; /* if the row has it */
    bool found;       /* out */
    /* In a shared store, if `node` is not NULL: it may send the result. This is recorded, as
     * `transfer`, before the report is looked up, so a later deletion sees it with HELD, until
     * SENT. */
    const char *node;
    struct guid transfer;
    struct report report; /* out: rows and bytes are the progress while PROCESSING; with its key */
    void *result;         /* out: yours if you set it to NULL; NULL: not requested, or not there */
    size_t result_len;
    int64_t position; /* out: 1 = next, while QUEUED, unless the result is wanted; else 0 */
};

/* A user's reports, newest first; or, if user_id is 0, those of all users, with user_name. */
struct store_list {
    int64_t user_id;
    const char *user, *types; /* as in STORE_MATCH */
    int state;                /* enum report_state, -1 for all, or STORE_ACTIVE */
    const char *name;         /* NULL: all */
    int64_t page;             /* from 1 */
    int page_size;            /* 1 … STORE_PAGE_MAX */
    struct report *reports;   /* out; long parameters are NULL */
    size_t count;
    int64_t total; /* of all users' reports, at most store_count_most() are counted */
};

/* So a page costs the same however many reports there are; that there is another page is known. */
static inline int64_t store_count_most(const struct store_list *list)
{
    int64_t end = list->page * list->page_size;

    return end < STORE_COUNT_MAX ? STORE_COUNT_MAX : end + 1;
}

/* Deletion, first half: any state → DELETING. From `done` on, the reference is dead. The row keeps
 * the user's slot until DELETE_ROW if the report was PROCESSING; a QUEUED one frees it at once. A
 * result in the row is erased at once, and in an embedded store so is everything else that the row
 * says about the report: only its reference is left until DELETE_ROW. */
struct store_tombstone {
    struct guid id;
    int64_t user_id;               /* 0: any user (purge, operators) */
    const struct store_access *as; /* NULL: nothing is checked */
    struct guid token;             /* the store's: as in TOMBSTONE_MANY */
    bool found;
    enum report_state was; /* out */
    int attempt;           /* out: highest attempt, for the files */
    bool held;             /* out: in a shared store, what HELD finds after the commit */
    bool in_row;           /* out: its result, in the row or one chunk, goes with it: no file */
    char *name;            /* out: its type: REPORT_NAME_MAX + 1, the caller's; NULL: not wanted */
};

/* The least number of records in a deletion ledger. `records` 0: nothing is recorded. */
struct store_counted {
    struct guid ledger;
    int64_t records;
};

/* Deletion, second half: the row and its idempotency key are deleted. Only from DELETING; a report
 * in another state, or one that is already gone, is not affected. */
struct store_delete_row {
    struct guid id;
    /* Recorded in the same transaction, for a ledger that LEDGER_NOTE has named. */
    struct store_counted counted;
    char *user; /* out; the caller's, with room for USER_NAME_MAX + 1; NULL: not requested. The
                 * report's user; "": the row was gone already */
};

/* Which of a user's reports match, oldest first, at one moment; or, if user_id is 0, of all
 * reports. */
struct store_match {
    int64_t user_id;
    const char *user; /* only if user_id is 0: of the user with this name; NULL: of all users … */
    const char *types; /* … and of these types, with a newline after each; NULL: of all */
    int state;         /* enum report_state, or -1 for all */
    const char *name;  /* NULL: all */
    int64_t before_ms; /* submitted before that; 0: at any time */
    struct guid *ids;  /* out: the first STORE_MATCH_MAX; yours if you set it to NULL */
    size_t count;
    int64_t by_state[REPORT_STATE_COUNT]; /* out: number of `ids` */
    int64_t total;                        /* out: including those beyond `ids` */
};

/* TOMBSTONE for up to STORE_MANY_MAX reports of one user, or of any user if user_id is 0, all in
 * one transaction. */
struct store_marked {
    struct guid id; /* in */
    bool found;     /* out, like the rest: see struct store_tombstone */
    enum report_state was;
    int attempt;
    bool held, in_row;
    char name[REPORT_NAME_MAX + 1];
    char user[USER_NAME_MAX + 1]; /* out of DELETE_ROWS only */
};
struct store_tombstone_many {
    int64_t user_id;
    int state; /* only reports that are still in this state; -1: in any */
    /* Of this operation: over a network it may be repeated, and then finds what it has marked. */
    struct guid token;
    struct store_marked *reports; /* borrowed, with `count` elements */
    size_t count;
};

/* HELD for up to STORE_MANY_MAX reports that TOMBSTONE_MANY has found: fills `held` only. */
struct store_held_many {
    struct store_marked *reports; /* borrowed, with `count` elements */
    size_t count;
};

/* DELETE_ROW for up to STORE_MANY_MAX reports, all in one transaction: fills `user` only. */
struct store_delete_rows {
    struct store_marked *reports; /* borrowed, with `count` elements */
    size_t count;
    struct store_counted counted;
};

/* At start: every report that was being processed by `node`, or by no living node → QUEUED (this
 * counts no failure). */
struct store_recover {
    const char *node;
    int64_t requeued; /* out */
};

/* From now on no node claims reports, or those of one source; running reports continue. A pause
 * lasts until it is ended, across restarts. The pause of everything and that of one source are
 * independent. */
struct store_pause {
    const char
        *source; /* NULL: all; STORE_NODE_MARK and the name of a node: that node claims nothing */
    bool paused; /* false: resume, which wakes the nodes */
};
#define STORE_NODE_MARK "@" /* no source begins with it */
#define STORE_ALONE "local" /* the node of a store that is not shared */

/* What is paused now. */
struct store_paused {
    bool all;      /* out */
    char *sources; /* out: a line for each, ended by a newline; including nodes, as in
                    * store_pause */
};

struct store_ref {
    struct guid id;
    int attempt;
    bool deleted; /* HEARTBEAT only: it is in DELETING */
    bool recent;  /* DELETING only */
};

/* A node of a shared store lives for `lease_ms` after each HEARTBEAT, by the store's clock. After
 * that it counts as dead, and the next HEARTBEAT of any node takes its reports back: PROCESSING →
 * QUEUED (this counts no failure). A node that was given up cannot come back: it must stop what it
 * runs and start again under another name. */
struct store_heartbeat {
    const char *node;
    const char *host;  /* for people */
    const char *offer; /* as in CLAIM: what no living node offers, any node may soon claim */
    bool begin;        /* the first heartbeat of `node` */
    const char *was;   /* with `begin`: its name before it was given up; a drain is kept; or NULL */
    int64_t lease_ms;
    bool alive;       /* out: false: it was given up, and nothing is assigned to it any more */
    int64_t requeued; /* out: reports of dead nodes */
    /* Out: what `node` is processing, then, in a shared store, what was deleted meanwhile and is
     * still assigned to it; the caller's, with room for STORE_RUNNING_MAX. */
    struct store_ref *running;
    size_t count;
    /* Deletions of reports whose results `node` is sending are notified once more, as changes. */
};

/* Does a node hold a report in DELETING, because it may still run it, or send its result? It
 * releases it with FINISH, REQUEUE or, after a transfer, SENT, or by dying. A change with
 * `released` says so, but another node may still hold the report. */
struct store_held {
    struct guid id;
    bool held; /* out */
};

/* A transfer that FIND has recorded is over. */
struct store_sent {
    struct guid id, transfer; /* of the report */
};

/* Nodes of a shared store whose leases have not run out, whether they are alive or were killed. */
struct store_nodes {
    int64_t count;   /* out */
    int64_t wait_ms; /* out: until the last lease runs out, if nothing renews it */
};

/* What an operator sees of the queue and the nodes. */
enum { STORE_NODE_TEXT = 256, STORE_BUSIEST = 50, STORE_BUSY_QUEUE = 10000 };
struct store_node {
    char id[STORE_NODE_TEXT], host[STORE_NODE_TEXT];
    int64_t running;
};
struct store_load {
    char name[STORE_NODE_TEXT]; /* of a source or a user */
    int64_t running, queued;
};
struct store_overview {
    int64_t by_state[REPORT_STATE_COUNT]; /* out, like all of this: as in STATS */
    int64_t oldest_ms;                    /* when the first queued report was submitted; 0: none */
    struct store_node *nodes;             /* nodes whose lease has not run out; in a shared store
                                           * only */
    size_t node_count;
    /* What occupies a worker, including ended and deleted reports, by source; a source may appear
     * more than once. Without queued reports. */
    struct store_load *sources;
    size_t source_count;
    struct store_load *users; /* the busiest STORE_BUSIEST users, of all running and
                               * STORE_BUSY_QUEUE queued reports */
    size_t user_count;
    struct store_paused paused;
};

/* Reports in DELETING that no node holds: left by a crash, unless, in a shared store, another node
 * is deleting them; it marked those that are `recent` less than `recent_ms` ago. */
struct store_deleting {
    struct store_ref *refs; /* out; room for STORE_BATCH_MAX, the caller's; recent ones last */
    size_t count;
    int64_t recent_ms;
};

/* Reports of removed users, then those that have expired, oldest first, and when the next one after
 * these expires. */
struct store_expired {
    int64_t now_ms;
    struct store_ref *refs; /* out; room for STORE_BATCH_MAX, the caller's */
    size_t count;
    int64_t next_ms; /* out: 0: none */
    bool removing;   /* out: users are being removed: see USER_DROP */
};

struct store_stats {
    int64_t by_state[REPORT_STATE_COUNT]; /* out */
    int64_t oldest_ms; /* out: when the first queued report was submitted; 0: none */
};

/* Every report, of all users and in all states (including DELETING), in the order of their
 * references, page by page: no reading transaction is long, and a report that is added or deleted
 * meanwhile may or may not be seen. */
struct store_scanned {
    struct guid id;
    enum report_state state;
    int attempt;
    int64_t bytes, expires_ms; /* report_stored() */
    bool sealed;               /* its stored result is encrypted */
    bool in_row;               /* its result is in the row, or should be: … */
    int64_t row_bytes;         /* … with this many stored bytes; -1: it is missing */
    bool locked;               /* no key of erase.key opens its key */
};
struct store_scan {
    struct guid after;             /* the last of the previous page; zero: the first page */
    struct store_scanned *reports; /* out; the caller's, with room for STORE_SCAN_MAX */
    size_t count;
};

/* The store's own id: random, made with it or when it was upgraded, and kept by its backups, so
 * that what belongs to it, such as its spool, can be marked. A database also records where it was
 * when it got the id: one that is elsewhere was moved, or is a copy, which has the id of the
 * original. */
enum store_home { STORE_HOME_UNKNOWN, STORE_AT_HOME, STORE_ELSEWHERE };
struct store_identity {
    struct guid id;       /* out */
    enum store_home home; /* out; a file is always at home */
};
/* Set the id, to another one or the same: the store is then at home where it is now. */
struct store_identity_take {
    struct guid id;
};

/* The deletion ledgers that servers of this store write, and the least number of records that each
 * had when last recorded: a restore needs each of them from that record on, and a ledger with fewer
 * records has lost its end. */
enum { STORE_PLACE_MAX = 512 };
struct store_ledger {
    struct guid id;
    int64_t records;
    int64_t given_up_ms; /* UTC: since then it is lost, or another one has replaced it; 0: in use */
    char place[STORE_PLACE_MAX]; /* for people; cut if it is too long */
};
struct store_ledgers {
    struct store_ledger *items; /* out */
    size_t count;
};

/* Record the ledger; its number of records never decreases. Others that were given up before
 * `forget_ms` (UTC, by the store's clock; 0: none), or in a shared store not recorded since, are
 * forgotten: no backup that needs them is kept. */
struct store_ledger_note {
    const struct store_ledger *ledger;
    int64_t forget_ms;
};

/* A new user. rc is -E_EXISTS if the name is taken. Names are unique without regard to case. */
struct store_user_add {
    const char *name, *password_hash, *allow, *grants;
    bool is_operator;
    int active_limit, running_limit; /* 0: that of the configuration */
    int64_t id;                      /* out */
};

/* Change a user; NULL or -1 leaves a field unchanged. A new password or `disabled` ends all
 * sessions; a new password or enabling also lifts a lock. -E_NOT_FOUND if there is no such user.
 *
 * With `disabled` or `grants`, reports that the user may no longer run end in the same transaction:
 * QUEUED or PROCESSING → ERROR, with report_not_permitted. A node that is running one of them is
 * notified, or finds out with HEARTBEAT, and stops it; in a shared store it holds the report until
 * then (HELD). */
struct store_user_change {
    const char *name;
    const char *password_hash, *allow, *grants;
    const char *old_grants; /* if its grants differ from these: -E_NOT_FOUND */
    int disabled;
    int active_limit, running_limit; /* 0: unchanged; -1: that of the configuration */
    int operates; /* 1: it becomes an operator; -1: it is no longer one; 0: unchanged */
    /* For reports that end: they expire after `retention_ms`, or after the milliseconds that
     * `retentions`, a JSON object or NULL, has for their type. */
    int64_t now_ms, retention_ms;
    const char *retentions;
    bool remove;   /* with `disabled`: EXPIRED lists all the user's reports, and the user cannot be
                    * changed any more; USER_DROP does the rest */
    int64_t ended; /* out: number of reports that were ended */
};

struct store_user_find {
    const char *name; /* case does not matter */
    bool found;
    struct user user; /* out: with password_hash, issuer, subject and groups */
};

struct store_user_list {
    struct user *users; /* out, by name, with issuer, subject and groups */
    size_t count;
};

/* Delete the users that USER_CHANGE has removed, if they have no reports left. Their ids are not
 * used again. */
struct store_user_drop {
    int64_t dropped, left; /* out */
};

/* Record the outcome of a password check: failures are counted and may lock the account; success
 * clears them and opens a session, unless the account is locked, disabled, or gone meanwhile. For
 * an address that the user has logged in from within USER_ADDRESS_MS, count and lock are those of
 * the address, not those of the account, so that no stranger can lock the owner out there. */
struct store_login {
    int64_t user_id;
    const char *address; /* the client's, numeric, as from address_site(); NULL: none, which counts
                          * as unknown */
    bool password_ok;
    const char *password_hash; /* that the password was checked against; if it has changed
                                * meanwhile, no session is opened. NULL: any */
    int64_t now_ms;
    struct guid session, access;            /* in: of the session and of its first access token */
    uint8_t refresh_hash[STORE_HASH_BYTES]; /* in: of its first refresh token */
    int64_t refresh_expires_ms;
    bool opened; /* out */
};

/* Is this access token still valid? It is while its session exists, no later token of the session
 * was issued more than STORE_LEEWAY_MS ago, and its user is not disabled. Or, with `by_key`, this
 * API key? It is until it is removed, suspended or expired, or its user is disabled; the user is
 * then an operator only if the key was made for that, too. */
struct store_session {
    struct guid session, access; /* for a key: only its id */
    bool any_access; /* only `session` is known, and it may be the id of a key: `access` and
                      * `key_hash` are ignored */
    bool by_key;
    uint8_t key_hash[API_KEY_HASH_BYTES];
    int64_t now_ms;
    bool found;
    bool replaced;               /* out: there is a later one, so the answer must not be cached */
    int64_t expires_ms, used_ms; /* out, for a key: 0: never */
    struct user user;            /* out: without password_hash */
};

/* The sessions of a user, the latest STORE_PAGE_MAX of them, the latest first. */
struct store_user_session {
    struct guid id;
    int64_t created_ms, renewed_ms; /* by the login, and by the latest refresh token */
    int64_t expires_ms;             /* of that token */
    char *address;                  /* as in store_login; "": unknown */
};
struct store_sessions {
    int64_t user_id, now_ms;
    struct store_user_session *items; /* out */
    size_t count;
};

/* Exchange a refresh token: the old pair is replaced by the new one, which is `new_access` and the
 * token with `new_hash`. A token that was used at most STORE_LEEWAY_MS ago changes nothing, and
 * `current` is that of the session's pair (CURRENT): a retry, or a second thread. One that was used
 * before that (REUSED) ends its session, since one of its two holders is a thief. `session` is that
 * of the given access token: another session's refresh token is UNKNOWN. */
enum store_rotate_outcome { ROTATE_DONE, ROTATE_UNKNOWN, ROTATE_REUSED, ROTATE_CURRENT };
struct store_rotate {
    struct guid session, access; /* of the given access token, which must be valid unless … */
    bool any_access;             /* … none is needed */
    enum store_rotate_outcome outcome; /* out */
    uint8_t old_hash[STORE_HASH_BYTES], new_hash[STORE_HASH_BYTES];
    struct guid new_access;
    int64_t now_ms, refresh_expires_ms;
    int64_t life_ms;                        /* in: no session lives longer, whatever its tokens */
    struct guid current;                    /* out with ROTATE_CURRENT, and … */
    uint8_t current_hash[STORE_HASH_BYTES]; /* … the hash of the refresh token that goes with it */
    int64_t created_ms;                     /* out with DONE and CURRENT: of the session, and … */
    struct user user;                       /* … its user, without password_hash */
};

/* End one session: by a valid access token, by a refresh token, used or not, or by its user. */
struct store_logout {
    struct guid session, access;
    int64_t user_id;             /* 0: by `refresh_hash` or `access` */
    const uint8_t *refresh_hash; /* STORE_HASH_BYTES; NULL: by `access` */
    int64_t now_ms;
    bool ended; /* out: false: there is no such session, or its token is not valid */
};

/* Would a report be stored now? Needs what SUBMIT needs, and changes nothing. */
struct store_probe {
    char none;
};

/* Remove expired sessions and idempotency keys, and old addresses of logins: in a shared store at
 * most STORE_SWEEP_MAX of each, so that what is written meanwhile need not wait for long. */
struct store_sweep {
    int64_t now_ms;
    int64_t removed; /* out */
};

/* End the sessions of all users: after a restore, which brings back tokens that were revoked. */
struct store_sessions_end {
    bool suspend_keys;        /* and suspend all API keys until API_KEY_ENABLE */
    int64_t ended, suspended; /* out; `suspended`: those that were not suspended before */
};

/* One operation. Zero-initialise it; fill in `verb`, the verb's member, `done` and `owner`; then
 * keep it alive and untouched until `done`. */
struct store_op {
    enum store_verb verb;
    bool posted; /* and not yet answered: it is the store's, like `item` */
    bool again;  /* the store's: an earlier try may be committed, or be at its commit */
    void (*done)(struct store_op *op); /* called once, on any thread, possibly before store_post()
                                        * returns; must not block */
    void *owner;                       /* the caller's */
    int rc; /* 0 or -E_*: -E_STORE means that nothing was changed or, if `err` is -E_DOUBT, that
             * this is unknown */
    struct err err;
    union {
#define X(name, member, kind) struct store_##member member;
        STORE_VERBS(X)
#undef X
    };
    struct work_item item;
};
/* Each request has one, and so has each report in a batch of the purge. */
_Static_assert(sizeof(struct store_op) <= 1300, "what is large is behind a pointer");

/* A change, notified after the commit and before any `done` of that commit. */
struct store_change {
    struct guid id; /* zero with QUEUED: a pause has ended; zero with DELETING: a user is being
                     * removed */
    int64_t user_id;
    char user[USER_NAME_MAX + 1]; /* the report's user; "" if another node or process made the
                                   * change */
    enum report_state state;      /* REPORT_DELETING: the reference is dead */
    bool released; /* with DELETING: the node that ran it says that nothing is running any more */
    bool heard;    /* another node made the change */
    bool sessions; /* not about a report: sessions of `user_id` (0: of any user) were ended */
    /* For a deletion notified by a heartbeat: the transfer of this node that delays it; else 0. */
    struct guid transfer;
};
/* `change` is NULL if notifications may have been missed: anything may have changed. */
typedef void store_listen_fn(void *context, const struct store_change *change);

struct store_spec {
    const char *url; /* "sqlite:PATH", a bare path, or "postgresql://…" */
    bool create;     /* make the store if there is none, and upgrade its schema */
    bool upgrade;    /* only upgrade it */
    bool alone;      /* refuse a store that is not shared while another process has it alone */
    bool moving;     /* accept a store that store_move_rows() has marked; see store/move.h */
    int connections; /* over a network, 2 or more: one writes, the others read; heartbeats have one
                      * more of their own; 0: a few */
    const char *erase_key;  /* over a network: the file of keys that the database must not see */
    int64_t erase_after_ms; /* … and how old a key may get; 0: an hour */
};

/* Open the store. -E_STORE with a message that names the path and what to do; -E_BUSY if another
 * process has it alone. A schema newer than this program is refused; an older one, if it must not
 * be upgraded, gives -E_CHANGED; a database without a store, if none may be made, -E_NOT_FOUND; the
 * stub of a store that was moved, -E_EXISTS. *ret is yours: store_free(). */
int store_open(const struct store_spec *spec, struct store **ret, struct err *err);
/* Waits for what was posted, then closes. NULL is fine. */
void store_free(struct store *store);

/* Called now and then with the progress of a backup, as `done` of `total`. */
struct store_backup_watch {
    void (*progress)(void *context, int64_t done, int64_t total);
    void *context;
};
/* Copy an embedded store, as it is at one moment, to a new file, which is a store again and is
 * fsynced; others may read and write meanwhile. -E_STORE. */
int store_backup(struct store *store, const char *path, const struct store_backup_watch *watch,
                 struct err *err);

/* The number of connections to write, or to read if there are more of those. An operation takes the
 * connection that was idle longest: so this many operations of one kind, one after the other, find
 * each connection that hangs. */
int store_connections(const struct store *store);

/* Do other nodes use it? Then claims have leases, which HEARTBEAT renews. */
bool store_is_shared(const struct store *store);

/* The store's clock, UTC milliseconds: all times in the store are from this clock, and are compared
 * with it. That of a shared store is its database's, as last read and since then advanced by the
 * monotonic clock, so a node's own clock does not matter. Any thread. */
int64_t store_now_ms(const struct store *store);
/* How many milliseconds this machine's clock is ahead of the store's; 0 for an embedded store. */
int64_t store_clock_ahead_ms(const struct store *store);

/* Do the other nodes have the same key in their file? The first node that asks decides which it is.
 * A key that has replaced the known one, if the file still contains the known one, too, is accepted
 * in its place. The store gets only fingerprints of keys, so the keys have to be random. 0,
 * -E_STORE, or -E_CONFIG with a message that says which file to copy. A store that is not shared:
 * 0. */
struct store_key_file {
    const char *name; /* name of the file, such as "receipt.key" */
    const char *path;
    const void *(*key)(const void *keys, size_t i, size_t *ret_len); /* NULL: there are no more */
    const void *keys; /* the key in use is the first */
};
int store_check_key(struct store *store, const struct store_key_file *file, struct err *err);

/* The function that is notified of changes; set before the first post. `fn` must not block, but may
 * post. */
void store_listen(struct store *store, store_listen_fn *fn, void *context);
/* Notify it of changes by others, too, from a thread of the store's; and stop that. For an embedded
 * store these are changes by other processes, such as `reportd user`: always as NULL. */
int store_subscribe(struct store *store, struct err *err);
void store_unsubscribe(struct store *store);

/* Start the operation. Any thread. */
void store_post(struct store *store, struct store_op *op);
/* Run it and wait; returns op->rc; `done` is not used. For threads that may block. */
int store_run(struct store *store, struct store_op *op);
/* The same, with a failure in `err`. */
int store_ask(struct store *store, struct store_op *op, struct err *err);
/* Called for a page of SCAN: 0 continues, anything else ends the scan and is its result. */
typedef int store_page_fn(void *context, const struct store_scanned *reports, size_t count,
                          struct err *err);
/* SCAN page after page, to the last report, and wait. The function may delete the reports of its
 * page. */
int store_scan_pages(struct store *store, store_page_fn *each, void *context, struct err *err);
/* All reports there are. */
int store_count_reports(struct store *store, int64_t *ret, struct err *err);
/* Run several at the same time, so that they share commits; returns the first rc that is not 0. */
int store_run_all(struct store *store, struct store_op *ops, size_t count);
/* Free what the `out` part owns. The operation can be used again after being zeroed. */
void store_op_done(struct store_op *op);

/* For caching an answer about the report or session `id`: a number that changes as soon as it, or
 * anything, may have changed, by this process or another one on the same database. Take it before
 * posting the STORE_READ; the answer may be used again, instead of a READ, as long as the version
 * is the same. 0: nothing may be cached now (always so in a store of many nodes). Any thread, and
 * much cheaper than a READ. */
uint64_t store_version(struct store *store, const struct guid *id);
