/* src/core/definition.h -- a report type: one annotated .sql file, parsed. Format:
 * doc/definitions.md. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "base/zone.h"
#include "core/pattern.h"
#include "core/problems.h"

enum {
    DEFINITION_FILE_MAX = 1 << 20, /* bytes of a definition file */
    DEFINITION_NAME_MAX = 128,     /* bytes of the name of a parameter, source or column */
    DEFINITION_PARAMETERS_MAX = 64,
    DEFINITION_CHECKS_MAX = 32,
    DEFINITION_SETS_MAX = 32,
    DEFINITION_COLUMNS_MAX = 256,
    DEFINITION_UNIT_MAX = 32, /* bytes */
    DEFINITION_ENUM_MAX = 64,
    DEFINITION_CLAIM_MAX = 48, /* bytes of the name of a claim */
    DEFINITION_CLAIMS_MAX = 16,
    PARAM_TYPE_TEXT = 24,         /* "list(timestamp)" fits */
    DEFINITION_VERSION_TEXT = 17, /* 16 hexadecimal digits and the NUL */
};

/* Begins the name in SQL of a claim of the calling session. */
#define DEFINITION_CLAIM_PREFIX "session_claim_"
enum { DEFINITION_CLAIM_TEXT = sizeof(DEFINITION_CLAIM_PREFIX) + DEFINITION_CLAIM_MAX };

/* Letters, digits and _, not beginning with a digit, at most DEFINITION_CLAIM_MAX bytes. It becomes
 * part of the name of a setting of PostgreSQL, so two names may not differ in case alone. */
static inline bool claim_is_name(const char *name, size_t len)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

    return len > 0 && len <= DEFINITION_CLAIM_MAX && !str_is_digit(name[0]) &&
           strspn(name, letters) >= len;
}

/* Parameter types: enum, the word in the file, what a refusal says it takes. */
#define PARAM_TYPES(X)                                                                             \
    X(STRING, "string", "a text")                                                                  \
    X(INTEGER, "integer", "an integer such as 42")                                                 \
    X(DECIMAL, "decimal", "a decimal number such as 12.50")                                        \
    X(DATE, "date", "a date written YYYY-MM-DD")                                                   \
    X(TIMESTAMP, "timestamp",                                                                      \
      "a timestamp such as 2024-01-12T03:04:05Z, or local time such as 2024-01-12 14:04")          \
    X(BOOLEAN, "boolean", "true or false")                                                         \
    X(ENUM, "enum", "one of its allowed values")

enum param_type {
#define X(name, word, takes) PARAM_##name,
    PARAM_TYPES(X)
#undef X
        PARAM_TYPE_COUNT
};

/* One SQL statement of the file. */
struct statement {
    char *sql; /* without the annotation line; parameters are :Name */
    int line;  /* of its first line in the file */
    int above; /* lines of `sql` that come before that line: those of `-- with` */
};

struct param {
    char *name;
    enum param_type type;
    int line;  /* in the file, for messages */
    bool list; /* of values of that type */
    bool required;
    char *default_value;     /* the default as written (today stays today); NULL: none */
    char *description;       /* "" if none */
    char *least, *most;      /* of a value, as written; NULL: no limit */
    struct pattern *pattern; /* string only: what a value has to match; NULL: anything */
    char **allowed;          /* enum only */
    size_t allowed_count;
    struct statement values; /* gives its choices; sql NULL: every value of the type is one */
};

/* How a declared column prints. Undeclared columns, and those that only have a label (COLUMN_ANY),
 * print by the type the database gives. */
enum column_type {
    COLUMN_DECIMAL,
    COLUMN_SCALED,
    COLUMN_JSON,
    COLUMN_BOOLEAN,
    COLUMN_STRING,
    COLUMN_ANY
};

struct column {
    char *name; /* as in the SQL: "total", "a.b" or "a[].b" */
    enum column_type type;
    int scale;          /* digits after the point: COLUMN_DECIMAL, COLUMN_SCALED */
    char *label, *unit; /* for people; NULL: none */
    int line;           /* in the file, for messages */
};

struct check {
    char *message; /* with :Name to be filled in */
    struct statement statement;
};

/* A further set of rows, after those of results. */
struct set {
    char *name; /* its key in the report's data */
    struct statement statement;
};

struct definition {
    char *file;                            /* path as given, for messages */
    char *text;                            /* the whole file; after it, what the other members point
                                            * to */
    char version[DEFINITION_VERSION_TEXT]; /* a hash of the text, for nodes that compare theirs */
    char *name, *description, *source;
    int name_line, source_line; /* in the file, for messages */
    char *timezone;             /* NULL: none is set */
    struct zone *zone;          /* of that name; NULL: UTC */
    struct param *params;
    size_t param_count;
    struct column *columns;
    size_t column_count;
    struct check *checks;
    size_t check_count;
    struct statement with;             /* as the file has it; sql NULL: none, as for summary */
    struct statement results, summary; /* those of `with` included */
    struct set *sets;
    size_t set_count;
    char (*claims)[DEFINITION_CLAIM_TEXT]; /* that its SQL uses: names with the prefix */
    size_t claim_count;
    int64_t timeout_ms; /* 0: the server's default; likewise the limits */
    int64_t row_limit, size_limit;
    int64_t retention_ms; /* 0: the server's, which is the longest that a report is kept */
    int retention_line;
    atomic_int holds; /* the catalog's */
};

/* Parse `text` (length `len`; `file` is only for messages). On success *ret is yours:
 * definition_free() it. On failure -E_DEFINITION and err->text is "FILE:LINE: what is wrong and
 * what to write". Pure: touches no database. */
int definition_parse(const char *file, const char *text, size_t len, struct definition **ret,
                     struct err *err);
void definition_free(struct definition *def); /* NULL is fine */

/* The time zone of a definition that does not set its own; NULL: none. -E_DEFINITION "FILE:LINE:
 * …": there is no such zone, or a default does not exist in it. */
int definition_set_timezone(struct definition *def, const char *name, struct err *err);

/* The same, with every problem of the text added to `problems`, in order of line; err is the first
 * of them. */
int definition_parse_all(const char *file, const char *text, size_t len, struct problems *problems,
                         struct definition **ret, struct err *err);

/* Read and parse a file; -E_IO if it can't be read, else as definition_parse_all(). */
int definition_load(const char *path, struct problems *problems, struct definition **ret,
                    struct err *err);

/* Borrowed; NULL if there is none. Names are case-sensitive. */
const struct param *definition_param(const struct definition *def, const char *name);
const struct column *definition_column(const struct definition *def, const char *name);
const char *param_type_name(enum param_type type);
/* The type as it is declared, without the values of an enum: "integer", "list(integer)". */
void param_type_text(const struct param *param, char out[PARAM_TYPE_TEXT]);
