/* src/http/query.c -- reads query parameters, including those that select reports in a list. */
#include "http/query.h"

#include <inttypes.h>

#include "base/str.h"

struct reading {
    const char *const *names;
    int count;
    const char **values;
    const char *unknown, *twice;
};

static void record_query(void *context, const char *name, const char *value)
{
    struct reading *reading = context;
    int i = 0;

    while (i < reading->count && !str_eq_nocase(name, reading->names[i]))
        i++;
    if (i == reading->count)
        reading->unknown = name;
    else if (reading->values[i] != NULL)
        reading->twice = reading->names[i];
    else
        reading->values[i] = value != NULL ? value : "";
}

static int unknown_query(const struct reading *reading, struct err *err)
{
    struct buf known;
    int rc;

    buf_init(&known, ERR_TEXT_MAX);
    for (int i = 0; i < reading->count; i++)
        buf_add_format(&known, "%s%s",
                       i == 0                    ? ""
                       : i + 1 == reading->count ? " and "
                                                 : ", ",
                       reading->names[i]);
    rc = err_set(err, -E_INVALID, "There is no query parameter '%.64s' here: use %s.",
                 reading->unknown, buf_failed(&known) ? "others" : buf_str(&known));
    buf_done(&known);
    return rc;
}

static int check_twice(const struct reading *reading, struct err *err)
{
    if (reading->twice != NULL)
        return err_set(err, -E_INVALID, "%s occurs twice: give it once.", reading->twice);
    return 0;
}

int query_read(struct exchange *ex, const char *const *names, int count,
               const char *values[QUERY_MAX], struct err *err)
{
    struct reading reading = {.names = names, .count = count, .values = values};

    for (int i = 0; i < QUERY_MAX; i++)
        values[i] = NULL;
    exchange_each_query(ex, record_query, &reading);
    if (reading.unknown != NULL)
        return unknown_query(&reading, err);
    return check_twice(&reading, err);
}

int query_one(struct exchange *ex, const char *name, const char **ret, struct err *err)
{
    struct reading reading = {.names = &name, .count = 1, .values = ret};

    *ret = NULL;
    exchange_each_query(ex, record_query, &reading);
    return check_twice(&reading, err);
}

int query_number(const char *text, const char *name, int64_t least, int64_t most, int64_t *ret,
                 struct err *err)
{
    if (text != NULL && (!str_to_int64(text, ret) || *ret < least || *ret > most))
        return err_set(err, -E_INVALID,
                       "%s must be a whole number from %" PRId64 " to %" PRId64 ".", name, least,
                       most);
    return 0;
}

int query_state(const char *text, int *ret, struct err *err)
{
    enum report_state state;

    *ret = -1;
    if (text == NULL)
        return 0;
    if (!report_state_parse(text, &state) || state == REPORT_DELETING)
        return err_set(err, -E_INVALID,
                       "State must be queued, processing, complete or error; leave it out for all "
                       "states.");
    *ret = (int)state;
    return 0;
}

int query_name(const char *text, const char **ret, struct err *err)
{
    *ret = text;
    if (text != NULL && *text == '\0')
        return err_set(err, -E_INVALID, "ReportName is empty: leave it out for all reports.");
    return 0;
}
