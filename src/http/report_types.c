/* src/http/report_types.c -- GET /Report/Types: the reports that the caller may run. */
#include "http/report.h"

#include "base/json.h"
#include "core/claims.h"
#include "core/param.h"
#include "core/report.h"
#include "http/query.h"

enum { TYPES_JSON_MAX = 16 << 20 };

struct types {
    const struct user *user;
    struct claims claims; /* of the session */
    int64_t now_ms;
    struct buf json;
    size_t count; /* number of types so far */
};

/* The default as it applies now: a day for `today`. */
static void add_default(struct types *types, const struct definition *def,
                        const struct param *param)
{
    struct buf text;

    buf_init(&text, REPORT_LISTS_MAX);
    json_add_member(&types->json, "default",
                    param_default(def, param, types->now_ms, &text, NULL) == 1 ? buf_str(&text)
                                                                               : NULL);
    buf_done(&text);
}

static void add_param(struct types *types, const struct definition *def, const struct param *param)
{
    struct buf *out = &types->json;
    char type[PARAM_TYPE_TEXT];

    param_type_text(param, type);
    buf_add_char(out, '{');
    json_add_member(out, "name", param->name);
    json_add_member(out, "type", type);
    json_add_bool(out, "required", param->required);
    add_default(types, def, param);
    json_add_key(out, "allowedValues");
    for (size_t i = 0; i < param->allowed_count; i++) {
        buf_add_char(out, i > 0 ? ',' : '[');
        json_add_string(out, param->allowed[i]);
    }
    buf_add_str(out, param->allowed_count > 0 ? "]" : "null");
    json_add_member(out, "min", param->least);
    json_add_member(out, "max", param->most);
    json_add_member(out, "matching", param->pattern != NULL ? pattern_text(param->pattern) : NULL);
    json_add_key(out, "values");
    if (param->values.sql != NULL)
        buf_add_format(out, "\"%s.%s\"", def->name, param->name);
    else
        buf_add_str(out, "null");
    json_add_member(out, "description", param->description);
    buf_add_char(out, '}');
}

/* A declared column; its type is given in the API's terms, null if only the database knows it. */
static void add_type_column(struct buf *out, const struct column *column)
{
    static const char *const types[] = {
        [COLUMN_DECIMAL] = "decimal", [COLUMN_SCALED] = "decimal", [COLUMN_JSON] = "json",
        [COLUMN_BOOLEAN] = "boolean", [COLUMN_STRING] = "string",  [COLUMN_ANY] = NULL,
    };

    buf_add_char(out, '{');
    json_add_member(out, "name", column->name);
    json_add_member(out, "type", types[column->type]);
    json_add_member(out, "label", column->label);
    json_add_member(out, "unit", column->unit);
    buf_add_char(out, '}');
}

static void add_definition(void *context, const struct definition *def)
{
    struct types *types = context;
    struct buf *out = &types->json;

    if (!user_may_run(types->user, def->name) || claims_check(&types->claims, def, NULL) < 0)
        return;
    buf_add_str(out, types->count++ > 0 ? ",{" : "{");
    json_add_member(out, "name", def->name);
    json_add_member(out, "description", def->description);
    json_add_key(out, "parameters");
    buf_add_char(out, '[');
    for (size_t i = 0; i < def->param_count; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        add_param(types, def, &def->params[i]);
    }
    buf_add_str(out, "],\"columns\":[");
    for (size_t i = 0; i < def->column_count; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        add_type_column(out, &def->columns[i]);
    }
    buf_add_str(out, "]}");
}

static void list_types(struct exchange *ex)
{
    struct types types = {.user = ex->user, .now_ms = store_now_ms(ex->services->store)};

    if (claims_read(ex->cached_token->session_claims, &types.claims, &ex->err) < 0) {
        exchange_reply_error(ex, &ex->err, NULL);
        claims_done(&types.claims);
        return;
    }
    buf_init(&types.json, TYPES_JSON_MAX);
    buf_add_char(&types.json, '[');
    catalog_each(ex->services->catalog, add_definition, &types);
    buf_add_char(&types.json, ']');
    if (buf_failed(&types.json))
        exchange_fail(ex, -E_NOMEM, "no memory for the list of report types");
    else
        exchange_reply_records(ex, types.count, buf_str(&types.json));
    buf_done(&types.json);
    claims_done(&types.claims);
}

void report_types(struct exchange *ex)
{
    const char *values;

    if (query_one(ex, "values", &values, &ex->err) != 0)
        exchange_reply_error(ex, &ex->err, NULL);
    else if (values != NULL)
        report_choices(ex, values);
    else
        list_types(ex);
}
