/* src/source/source.c -- finds the backend for a source's URL and passes every call on to it. */
#include "source/source.h"

#include <string.h>

#include "pg/pg.h"
#include "source/source_impl.h"

enum { URL_BYTES_MAX = 1 << 20 };

static const struct {
    const char *scheme; /* the first word of the URL */
    const struct source_ops *ops;
} backends[] = {
    {"sqlite", &source_sqlite},
    {"postgresql", &source_postgres},
    {"postgres", &source_postgres},
};

/* NULL: there is none. */
static const struct source_ops *backend_of(const char *url)
{
    for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
        size_t len = strlen(backends[i].scheme);

        if (strncmp(url, backends[i].scheme, len) == 0 && url[len] == ':')
            return backends[i].ops;
    }
    return NULL;
}

void source_each_file(const char *url, source_file_fn *found, void *context)
{
    const struct source_ops *ops = backend_of(url);

    if (ops != NULL)
        ops->each_file(url, found, context);
}

bool source_reopens(const char *url)
{
    const struct source_ops *ops = backend_of(url);

    return ops != NULL && ops->reopens;
}

bool source_needs_variable(const char *variable)
{
    return pg_needs_variable(variable);
}

char *source_url_complete(const char *url)
{
    struct buf complete;
    char *text;

    buf_init(&complete, URL_BYTES_MAX);
    if (!pg_url_complete(url, &complete))
        buf_add_str(&complete, url);
    text = buf_failed(&complete) ? NULL : strdup(buf_str(&complete));
    buf_done(&complete);
    return text;
}

int source_open(const struct source_spec *spec, struct source **ret, struct err *err)
{
    const struct source_ops *ops = backend_of(spec->url);

    if (ops != NULL)
        return ops->open(spec, strchr(spec->url, ':') + 1, ret, err);
    err_set(err, -E_SOURCE, "The report's database is of a kind that this server cannot read.");
    return err_detail(err, "the source's URL must begin with 'sqlite:' or 'postgresql:'");
}

void source_free(struct source *source)
{
    if (source != NULL)
        source->ops->close(source);
}

int source_begin(struct source *source, const struct source_session *session, struct err *err)
{
    int rc;

    CHECK(!source->begun);
    thread_own(&source->user);
    rc = source->ops->begin(source, session, err);
    source->begun = rc == 0;
    if (rc < 0)
        thread_disown(&source->user);
    return rc;
}

int source_end(struct source *source, struct err *err)
{
    THREAD_CHECK(&source->user);
    if (source->begun)
        thread_disown(&source->user);
    source->begun = false;
    return source->ops->end(source, err);
}

bool source_is_current(const struct source *source)
{
    return source->ops->is_current == NULL || source->ops->is_current(source);
}

int source_query(struct source *source, const struct statement *statement,
                 const struct param_value *values, size_t count, struct source_query **ret,
                 struct err *err)
{
    THREAD_CHECK(&source->user);
    return source->ops->query(source, statement, values, count, ret, err);
}

void source_query_free(struct source_query *query)
{
    if (query != NULL)
        query->ops->query_free(query);
}

size_t source_columns(const struct source_query *query)
{
    return query->ops->columns(query);
}

const char *source_column_name(const struct source_query *query, size_t column)
{
    return query->ops->column_name(query, column);
}

enum source_kind source_column_type(const struct source_query *query, size_t column,
                                    char name[SOURCE_TYPE_TEXT])
{
    return query->ops->column_type(query, column, name);
}

int source_rehearse(struct source_query *query, struct err *err)
{
    return query->ops->rehearse != NULL ? query->ops->rehearse(query, err) : 0;
}

int source_step(struct source_query *query, struct source_value *row, struct err *err)
{
    return query->ops->step(query, row, err);
}

void source_interrupt(struct source *source)
{
    source->ops->interrupt(source);
}

void source_resume(struct source *source)
{
    source->ops->resume(source);
}
