/* src/core/report.h -- one report request, from submit to result. No SQL, no sockets here. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/guid.h"

/* One table makes the enum, the names, the legal moves and doc/states.md.
 * DELETING is invisible to the API: the reference is dead, files and row are being removed. */
#define REPORT_TO(state) (1u << REPORT_##state)
#define REPORT_STATES(X)                                                                           \
    X(QUEUED, "queued", REPORT_TO(PROCESSING) | REPORT_TO(ERROR) | REPORT_TO(DELETING))            \
    X(PROCESSING, "processing",                                                                    \
      REPORT_TO(COMPLETE) | REPORT_TO(ERROR) | REPORT_TO(QUEUED) | REPORT_TO(DELETING))            \
    X(COMPLETE, "complete", REPORT_TO(DELETING))                                                   \
    X(ERROR, "error", REPORT_TO(DELETING))                                                         \
    X(DELETING, "deleting", 0)

enum report_state {
#define X(name, text, moves) REPORT_##name,
    REPORT_STATES(X)
#undef X
        REPORT_STATE_COUNT
};

enum {
    REPORT_NAME_MAX = 128,         /* bytes of a report name */
    REPORT_PARAMETERS_MAX = 65536, /* bytes of the canonical parameters … */
    REPORT_LISTS_MAX = 192 << 10,  /* … of a report that takes lists */
    REPORT_MESSAGE_MAX = 480,      /* bytes of the message of an error */
    REPORT_DIGEST_BYTES = 32,      /* SHA-256 */
    REPORT_KEY_BYTES = 32,         /* of an encrypted result */
    REPORT_FAILURES_MAX = 3,       /* the number of worker deaths with which it ends in error */
};

/* The message of a report that was ended because its user may no longer run it. */
extern const char report_not_permitted[];

const char *report_state_name(enum report_state state); /* static */
bool report_state_parse(const char *name, enum report_state *ret);
bool report_may_move(enum report_state from, enum report_state to);
bool report_is_active(enum report_state state); /* queued or processing */

struct report {
    struct guid id;
    int64_t user_id;
    char *user_name;  /* owned; NULL where the caller did not ask for it */
    char *name;       /* owned: the report type */
    char *parameters; /* owned: canonical JSON object of strings; NULL where not asked for */
    char *message;    /* owned: why it failed, for the user who asked; NULL but in ERROR */
    enum report_state state;
    int attempt;  /* counts claims; the fence of a running report and part of its file name */
    int failures; /* workers that died on it */
    int64_t rows, bytes; /* so far while processing, final when complete */
    int64_t footer;      /* bytes after the JSON: core/footer.h; 0: none; < 0: JSON and footer are
                          * stored compressed, in that many bytes */
    int64_t submitted_ms, started_ms, finished_ms, expires_ms; /* UTC; 0: not yet */
    uint8_t digest[REPORT_DIGEST_BYTES]; /* SHA-256 of the result; zero but in COMPLETE */
    bool has_claims;                     /* report_claims() */
    bool in_row;                         /* COMPLETE: its result is in the store, not in a file */
    bool sealed;                         /* COMPLETE: the result is encrypted as it is kept … */
    uint8_t key[REPORT_KEY_BYTES];       /* … with this; where the caller looked for one report */
};

/* What is stored of a result before it is encrypted, of its `bytes` and `footer`. */
static inline int64_t report_stored(int64_t bytes, int64_t footer)
{
    return footer < 0 ? -footer : bytes + footer;
}

/* The store keeps the claims with the parameters, as one text of two lines. Takes `text`;
 * NULL: not asked for. */
void report_take_parameters(struct report *report, char *text);
/* Those of the session that submitted it (core/claims.h), with `parameters`; "": none. */
const char *report_claims(const struct report *report);
/* Make one text of both; `parameters` is free()d. NULL: out of memory. */
char *report_join_claims(char *parameters, const char *claims);

/* Free what the report owns and zero it; NULL is fine. */
void report_done(struct report *report);
