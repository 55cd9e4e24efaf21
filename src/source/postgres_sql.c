/* src/source/postgres_sql.c -- rewrites a statement with :Names into one with $numbers. */
#include <stdlib.h>
#include <string.h>

#include "core/param.h"
#include "core/sql_text.h"
#include "source/postgres_impl.h"

enum {
    SQL_BYTES_MAX = 8 << 20, /* a :Name of 2 bytes becomes 4 at most, IN (:Name) four times that */
    ARRAY_BYTES_MAX = 2 << 20, /* of a list's values, escaped */
};

/* The numbers in pg_type.h, which never change, of the types of parameters, and of arrays of
 * them. */
static const struct {
    Oid scalar, array;
} parameter_types[PARAM_TYPE_COUNT] = {
    [PARAM_STRING] = {25, 1009}, [PARAM_INTEGER] = {20, 1016},     [PARAM_DECIMAL] = {1700, 1231},
    [PARAM_DATE] = {1082, 1182}, [PARAM_TIMESTAMP] = {1184, 1185}, [PARAM_BOOLEAN] = {16, 1000},
    [PARAM_ENUM] = {25, 1009},
};

static bool is_value_named(const struct param_value *value, const char *name, size_t len)
{
    return strlen(value->name) == len && memcmp(value->name, name, len) == 0;
}

/* {"a","b"}: an array as PostgreSQL reads it, whatever its type. */
static char *array_of(const struct param_value *list)
{
    const char *item = list->text;
    struct buf out;

    buf_init(&out, ARRAY_BYTES_MAX);
    buf_add_char(&out, '{');
    for (size_t i = 0; i < list->count; i++, item++) {
        buf_add_str(&out, i > 0 ? ",\"" : "\"");
        for (; *item != '\0'; item++) {
            if (*item == '"' || *item == '\\')
                buf_add_char(&out, '\\');
            buf_add_char(&out, *item);
        }
        buf_add_char(&out, '"');
    }
    buf_add_char(&out, '}');
    return buf_take(&out);
}

/* The number that the value has or now gets; 0: there are too many. */
static size_t placeholder_of(struct pg_sql *sql, const struct param_value *value)
{
    for (size_t i = 0; i < sql->count; i++) {
        if (sql->values[i] == value)
            return i + 1;
    }
    if (sql->count == PG_VALUES_MAX)
        return 0;
    sql->values[sql->count] = value;
    sql->types[sql->count] =
        value->list ? parameter_types[value->type].array : parameter_types[value->type].scalar;
    if (value->list && value->text != NULL) {
        sql->arrays[sql->count] = array_of(value);
        sql->starved = sql->starved || sql->arrays[sql->count] == NULL;
    }
    return ++sql->count;
}

static int refuse_token(const struct sql_token *token, const char *why, struct err *err)
{
    err_set(err, -E_SOURCE, "The report's query failed.");
    err_detail(err, "line %d: parameter '%.*s' %s", token->line,
               (int)(token->len < DEFINITION_NAME_MAX ? token->len : DEFINITION_NAME_MAX),
               token->text, why);
    return -E_SOURCE;
}

/* Is it the $ of a $1? At the beginning of a token it is not part of a name. */
static bool is_number_sign(const struct sql_token *token, const char *end)
{
    return token->kind == SQL_OTHER && *token->text == '$' && token->text + 1 < end &&
           token->text[1] >= '0' && token->text[1] <= '9';
}

struct values {
    const struct param_value *declared, *session_user;
    size_t count;
};

static const struct param_value *find_param_value(const struct values *values,
                                                  const struct sql_token *token)
{
    const char *name = token->text + 1;
    size_t len = token->len - 1;

    for (size_t i = 0; i < values->count; i++) {
        if (is_value_named(&values->declared[i], name, len))
            return &values->declared[i];
    }
    return is_value_named(values->session_user, name, len) ? values->session_user : NULL;
}

static int add_token(struct pg_sql *sql, const struct values *values, const struct sql_walk *walk,
                     const struct sql_token *token, struct err *err)
{
    const struct param_value *value;
    size_t number;

    if (is_number_sign(token, walk->end))
        return refuse_token(token, "is not named; write :Name", err);
    if (token->kind != SQL_PARAMETER) {
        buf_add(&sql->text, token->text, token->len);
        return 0;
    }
    value = find_param_value(values, token);
    number = value != NULL ? placeholder_of(sql, value) : 0;
    if (number == 0)
        return refuse_token(token, "is not declared; declare it with '-- parameter:'", err);
    /* The blank prevents "a$1", which would be a name. */
    buf_add_format(&sql->text, " $%zu", number);
    return 0;
}

/* IN (:Name) of a list: 1 if it is one, and it is then added. OPERATOR(=) has the right precedence
 * to replace IN anywhere, and means the same. */
static int add_in(struct pg_sql *sql, const struct values *values, struct sql_walk *walk,
                  const struct sql_token *token)
{
    const struct param_value *value;
    struct sql_in in;
    size_t number;

    if (!sql_in_begins(walk, token, &in))
        return 0;
    value = find_param_value(values, &in.name);
    number = value != NULL && value->list ? placeholder_of(sql, value) : 0;
    if (number == 0)
        return 0;
    buf_add_format(&sql->text, "OPERATOR(%s (", in.negated ? "<>) ALL" : "=) ANY");
    for (const char *c = token->text; c < in.behind.at; c++)
        buf_add(&sql->text, "\n", *c == '\n');
    buf_add_format(&sql->text, "$%zu)", number);
    *walk = in.behind;
    return 1;
}

int pg_sql_init(struct pg_sql *sql, const struct statement *statement,
                const struct param_value *values, size_t count,
                const struct param_value *session_user, struct err *err)
{
    const struct values all = {values, session_user, count};
    const char *done = statement->sql;
    struct sql_walk walk;
    struct sql_token token;
    bool lists = params_have_list(values, count);
    int rc = 0;

    *sql = (struct pg_sql){.count = 0};
    buf_init(&sql->text, SQL_BYTES_MAX);
    sql_walk_init(&walk, statement->sql, strlen(statement->sql),
                  statement->line - statement->above);
    while (rc == 0 && sql_walk_next(&walk, &token)) {
        buf_add(&sql->text, done, (size_t)(token.text - done)); /* blanks */
        if (!lists || !add_in(sql, &all, &walk, &token))
            rc = add_token(sql, &all, &walk, &token, err);
        done = walk.at;
    }
    if (rc == 0 && (buf_failed(&sql->text) || sql->starved))
        rc = err_set(err, -E_NOMEM, "Out of memory.");
    return rc;
}

void pg_sql_done(struct pg_sql *sql)
{
    buf_done(&sql->text);
    for (size_t i = 0; i < sql->count; i++)
        free(sql->arrays[i]);
}
