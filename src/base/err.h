/* src/base/err.h -- what went wrong: one code from one table, message for the reader, detail for
 * the log. */
#pragma once

/* The table of errors: code, HTTP status, title. Functions return 0 or -E_*; the message goes
 * into `struct err`. "Business" errors are answered with HTTP 200 in the envelope and with this
 * status as problem details (http/reply.c). */
#define ERR_CODES(X)                                                                               \
    X(INVALID, 400, "Malformed request")                                                           \
    X(AUTH, 401, "Not authenticated")                                                              \
    X(FORBIDDEN, 403, "Not permitted")                                                             \
    X(NO_PATH, 404, "No such path")                                                                \
    X(UNKNOWN_REPORT, 404, "Unknown report")                                                       \
    X(UNKNOWN_REFERENCE, 404, "Unknown reference")                                                 \
    X(UNKNOWN_LINK, 404, "Unknown link")                                                           \
    X(UNKNOWN_SESSION, 404, "Unknown session")                                                     \
    X(METHOD, 405, "Method not allowed")                                                           \
    X(NOT_ACCEPTABLE, 406, "Not acceptable")                                                       \
    X(NOT_COMPLETE, 409, "Report not complete")                                                    \
    X(LENGTH, 411, "Length required")                                                              \
    X(PRECONDITION, 412, "Precondition failed")                                                    \
    X(TOO_LARGE, 413, "Too large")                                                                 \
    X(MEDIA_TYPE, 415, "Unsupported media type")                                                   \
    X(RANGE, 416, "Range not satisfiable")                                                         \
    X(PARAM, 422, "Invalid parameter")                                                             \
    X(KEY_REUSED, 422, "Idempotency-Key reused")                                                   \
    X(LIMIT, 429, "Too many active reports")                                                       \
    X(STREAMS, 429, "Too many event streams")                                                      \
    X(INTERNAL, 500, "Internal error")                                                             \
    X(LOST, 500, "Result lost")                                                                    \
    X(CODING, 501, "Unknown transfer coding")                                                      \
    X(NOMEM, 503, "Out of memory")                                                                 \
    X(STORE, 503, "Store unavailable")                                                             \
    X(FULL, 503, "Disk full")                                                                      \
    X(DOUBT, 503, "Outcome unknown")                                                               \
    X(SPOOL, 503, "Spool unavailable")                                                             \
    X(LEDGER, 503, "Deletion not recorded")                                                        \
    X(TRAIL, 503, "Audit trail unavailable")                                                       \
    X(CHOICES, 503, "Choices not available")                                                       \
    X(BUSY, 503, "Busy")                                                                           \
    X(CONFIG, 500, "Bad configuration")                                                            \
    X(DEFINITION, 500, "Bad report definition")                                                    \
    X(SOURCE, 500, "Report failed")                                                                \
    X(CHANGED, 503, "Source changed")                                                              \
    X(CANCELLED, 500, "Cancelled")                                                                 \
    X(EXISTS, 409, "Already exists")                                                               \
    X(NOT_FOUND, 404, "Not found")                                                                 \
    X(IO, 500, "Input or output failed")

enum err_code {
    E_NONE,
#define X(name, status, title) E_##name,
    ERR_CODES(X)
#undef X
        E_COUNT
};

enum { ERR_TEXT_MAX = 480 };

struct err {
    int code;                  /* 0 or -E_* */
    char text[ERR_TEXT_MAX];   /* for the person who asked: no SQL, no path, what to do */
    char detail[ERR_TEXT_MAX]; /* for the operator's log; may be empty */
};

/* Set the message (cut at ERR_TEXT_MAX, never inside a letter), clear the detail; returns `code`
 * (negative) so that a caller can `return err_set(…)`. `err` may be NULL. */
int err_set(struct err *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As err_set, and appends ": " and the text of the current errno. */
int err_errno(struct err *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Both return `code`, which is never 0. As macros they let the compiler and the analyser see that,
 * and so that an out-parameter that was not set is never used. */
#define err_set(err, code, ...)                                                                    \
    __extension__({                                                                                \
        err_set((err), (code), __VA_ARGS__);                                                       \
        (code);                                                                                    \
    })
#define err_errno(err, code, ...)                                                                  \
    __extension__({                                                                                \
        err_errno((err), (code), __VA_ARGS__);                                                     \
        (code);                                                                                    \
    })

/* The message of a program that has no memory; -E_NOMEM. */
#define err_no_memory(err) err_set((err), -E_NOMEM, "out of memory")

/* The literal `what` is not what was written: -E_INTERNAL. */
#define err_damaged(err, what) err_set((err), -E_INTERNAL, what " is not what was written")

/* Add the detail that only the log may show; returns err->code. */
int err_detail(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The HTTP status and the title of a code (either sign); 500 for one that is not in the table. */
int err_status(int code);
const char *err_title(int code);
