/* src/source/source_impl.h -- what a backend implements. Only src/source/ includes this. */
#pragma once

#include "base/thread.h"
#include "source/source.h"

/* Each backend embeds these first in its own structs. */
struct source {
    const struct source_ops *ops;
    struct thread_owner user; /* from begin to end */
    bool begun;
};

struct source_query {
    const struct source_ops *ops;
};

/* A database. The verbs are those of source.h, with its rules. */
struct source_ops {
    /* `address` is what follows "scheme:" in the URL. After this no file needs to be opened for
     * writing any more: the caller gives up the right to. */
    int (*open)(const struct source_spec *spec, const char *address, struct source **ret,
                struct err *err);
    void (*close)(struct source *source); /* never NULL */
    void (*each_file)(const char *url, source_file_fn *found, void *context);
    bool reopens; /* open() makes and needs no file that each_file() has not named */
    int (*begin)(struct source *source, const struct source_session *session, struct err *err);
    int (*end)(struct source *source, struct err *err);
    bool (*is_current)(const struct source *source); /* NULL: always */
    int (*query)(struct source *source, const struct statement *statement,
                 const struct param_value *values, size_t count, struct source_query **ret,
                 struct err *err);
    void (*query_free)(struct source_query *query); /* never NULL */
    size_t (*columns)(const struct source_query *query);
    const char *(*column_name)(const struct source_query *query, size_t column);
    enum source_kind (*column_type)(const struct source_query *query, size_t column,
                                    char name[SOURCE_TYPE_TEXT]);
    int (*rehearse)(struct source_query *query, struct err *err); /* NULL: query() knows it all */
    int (*step)(struct source_query *query, struct source_value *row, struct err *err);
    void (*interrupt)(struct source *source);
    void (*resume)(struct source *source);
};

extern const struct source_ops source_sqlite, source_postgres;
