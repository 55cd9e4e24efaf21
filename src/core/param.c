/* src/core/param.c -- the values of a report's parameters. */
#include "core/param.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/decimal.h"
#include "base/json.h"
#include "base/str.h"
#include "core/json_read.h"
#include "core/param_list.h"
#include "core/report.h"

enum {
    SHOWN_MAX = 48, /* bytes of a caller's text that a message repeats */
    LIST_MAX = 240, /* bytes of the names or values that a message lists */
};

static bool is_text(const struct param *param, const char *text)
{
    (void)param;
    (void)text;
    return true;
}

static bool is_integer(const struct param *param, const char *text)
{
    int64_t value;

    (void)param;
    return str_to_int64(text, &value);
}

static bool is_decimal(const struct param *param, const char *text)
{
    (void)param;
    return decimal_is_plain(text, strlen(text));
}

static bool is_date(const struct param *param, const char *text)
{
    (void)param;
    return clock_is_date(text);
}

static bool is_boolean(const struct param *param, const char *text)
{
    (void)param;
    return str_eq(text, "true") || str_eq(text, "false");
}

static bool is_allowed(const struct param *param, const char *text)
{
    for (size_t i = 0; i < param->allowed_count; i++) {
        if (str_eq(param->allowed[i], text))
            return true;
    }
    return false;
}

static bool (*const accepts[PARAM_TYPE_COUNT])(const struct param *param, const char *text) = {
    [PARAM_STRING] = is_text, [PARAM_INTEGER] = is_integer, [PARAM_DECIMAL] = is_decimal,
    [PARAM_DATE] = is_date,   [PARAM_BOOLEAN] = is_boolean, [PARAM_ENUM] = is_allowed,
};

static const char *const takes[PARAM_TYPE_COUNT] = {
#define X(name, word, what) [PARAM_##name] = what,
    PARAM_TYPES(X)
#undef X
};

static bool accepts_value(const struct param *param, const char *text)
{
    return strlen(text) <= PARAM_VALUE_MAX && accepts[param->type](param, text);
}

/* The first of `count` values that is not one of the parameter's; NULL: all are. */
static const char *first_other(const struct param *param, const char *items, size_t count)
{
    for (size_t i = 0; i < count; i++, items += strlen(items) + 1) {
        if (!accepts_value(param, items))
            return items;
    }
    return NULL;
}

bool param_accepts(const struct param *param, const char *text)
{
    struct buf items;
    size_t count;
    bool good;

    if (!param->list)
        return accepts_value(param, text);
    buf_init(&items, REPORT_LISTS_MAX);
    good = param_list_split(text, &items, &count) == NULL && !buf_failed(&items) &&
           first_other(param, buf_str(&items), count) == NULL;
    buf_done(&items);
    return good;
}

/* What a message repeats of a caller's text: cut between two characters. */
static void show(char out[SHOWN_MAX + 4], const char *text)
{
    size_t n = strlen(text);
    bool cut = n > SHOWN_MAX;

    if (cut)
        for (n = SHOWN_MAX; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;)
            n--;
    snprintf(out, SHOWN_MAX + 4, "%.*s%s", (int)n, text, cut ? "..." : "");
}

/* Add ", name" to a list that a message will show; what does not fit becomes one "...". */
static void list_add(char list[LIST_MAX], const char *name)
{
    static const char more[] = ", ...";
    size_t len = strlen(list), room = LIST_MAX - sizeof(more);

    if (len >= sizeof(more) && str_eq(list + len - strlen(more), more))
        return;
    if (len + strlen(name) + 2 > room)
        str_copy(list + len, LIST_MAX - len, more);
    else
        snprintf(list + len, LIST_MAX - len, "%s%s", len > 0 ? ", " : "", name);
}

/* What stands before what each value of a list takes. */
static const char *plural(const struct param *param)
{
    return param->list ? "a list with commas, each value " : "";
}

static int refuse_value(const struct param *param, const char *text, struct err *err)
{
    char shown[SHOWN_MAX + 4], allowed[LIST_MAX] = "";

    if (strlen(text) > PARAM_VALUE_MAX)
        return err_set(err, -E_PARAM, "Parameter '%s' takes at most %d bytes%s; it was given %zu.",
                       param->name, PARAM_VALUE_MAX, param->list ? " per value" : "", strlen(text));
    if (*text == '\0')
        return err_set(err, -E_PARAM,
                       "Parameter '%s' takes %s%s; an empty text is not one. Leave the parameter "
                       "out to give it no value.",
                       param->name, plural(param), takes[param->type]);
    show(shown, text);
    for (size_t i = 0; i < param->allowed_count; i++)
        list_add(allowed, param->allowed[i]);
    return err_set(err, -E_PARAM, "Parameter '%s' takes %s%s%s%s%s; '%s' is not one.", param->name,
                   plural(param), takes[param->type], *allowed != '\0' ? " (" : "", allowed,
                   *allowed != '\0' ? ")" : "", shown);
}

static int no_memory(struct err *err)
{
    return err_set(err, -E_NOMEM, "out of memory");
}

/* The default: as written, but for today. */
static const char *fallback_text(const struct param *param, int64_t now_ms,
                                 char day[CLOCK_DATE_TEXT])
{
    if (param->type != PARAM_DATE || !str_eq(param->fallback, "today"))
        return param->fallback;
    clock_format_date(now_ms, day);
    return day;
}

/* Append the one form of a value: an integer without leading zeros, all else as it is. */
static void add_canonical(struct buf *out, const struct param *param, const char *text)
{
    int64_t value;

    if (param->type == PARAM_INTEGER && str_to_int64(text, &value))
        buf_add_format(out, "%" PRId64, value);
    else
        buf_add_str(out, text);
}

static int take_list(const struct param *param, const char *text, struct param_value *ret,
                     struct buf *items, struct err *err)
{
    struct buf canonical;
    const char *why = param_list_split(text, items, &ret->count), *other;

    if (buf_is_starved(items))
        return no_memory(err);
    if (buf_failed(items))
        why = "takes a list of at most 196608 bytes.";
    if (why != NULL)
        return err_set(err, -E_PARAM, "Parameter '%s' %s", param->name, why);
    other = first_other(param, buf_str(items), ret->count);
    if (other != NULL)
        return refuse_value(param, other, err);
    buf_init(&canonical, (size_t)2 * REPORT_LISTS_MAX);
    other = buf_str(items);
    for (size_t i = 0; i < ret->count; i++, other += strlen(other) + 1) {
        add_canonical(&canonical, param, other);
        buf_add_char(&canonical, '\0');
    }
    ret->text = buf_take(&canonical);
    return ret->text != NULL ? 0 : no_memory(err);
}

static int take_text(const struct param *param, const char *text, struct param_value *ret,
                     struct err *err)
{
    struct buf out;
    int rc;

    buf_init(&out, param->list ? REPORT_LISTS_MAX : PARAM_VALUE_MAX);
    if (param->list) {
        rc = take_list(param, text, ret, &out, err);
        buf_done(&out);
        return rc;
    }
    if (!accepts_value(param, text))
        return refuse_value(param, text, err);
    add_canonical(&out, param, text);
    ret->text = buf_take(&out);
    return ret->text != NULL ? 0 : no_memory(err);
}

/* The value of one parameter from what was given (NULL: nothing): its text is yours, NULL for none.
 */
static int take_value(const struct param *param, const json_t *given, int64_t now_ms,
                      struct param_value *ret, struct err *err)
{
    const json_t *value = json_object_get(given, param->name);
    const char *text = json_string_value(value);
    char day[CLOCK_DATE_TEXT];

    if (value != NULL && text == NULL)
        return err_set(
            err, -E_PARAM,
            "Parameter '%s' must be a JSON string (%s%s, in double quotes); leave it out "
            "to give it no value.",
            param->name, plural(param), takes[param->type]);
    if (value != NULL && strlen(text) != json_string_length(value))
        return err_set(err, -E_PARAM, "Parameter '%s' may not contain the character U+0000.",
                       param->name);
    if (value == NULL && param->required)
        return err_set(err, -E_PARAM, "Parameter '%s' is required: %s%s.", param->name,
                       plural(param), takes[param->type]);
    if (value == NULL)
        text = fallback_text(param, now_ms, day);
    return text != NULL ? take_text(param, text, ret, err) : 0;
}

static int refuse_unknown(const struct definition *def, const char *name, struct err *err)
{
    char shown[SHOWN_MAX + 4], known[LIST_MAX] = "";

    show(shown, name);
    for (size_t i = 0; i < def->param_count; i++) {
        if (str_eq_nocase(def->params[i].name, name))
            return err_set(err, -E_PARAM,
                           "Report '%s' has no parameter '%s'; it is written '%s' there.",
                           def->name, shown, def->params[i].name);
        list_add(known, def->params[i].name);
    }
    return err_set(err, -E_PARAM, "Report '%s' has no parameter '%s'; it takes %s.", def->name,
                   shown, *known != '\0' ? known : "none");
}

static int check_names(const struct definition *def, const json_t *given, struct err *err)
{
    if (given != NULL && !json_is_object(given))
        return err_set(err, -E_PARAM, "The parameters must be a JSON object of strings.");
    for (void *at = json_object_iter((json_t *)given); at != NULL;
         at = json_object_iter_next((json_t *)given, at)) {
        if (definition_param(def, json_object_iter_key(at)) == NULL)
            return refuse_unknown(def, json_object_iter_key(at), err);
    }
    return 0;
}

/* All values in the order of the definition, from what was given. */
static int take_values(const struct definition *def, const json_t *given, int64_t now_ms,
                       struct param_value **ret_values, struct err *err)
{
    struct param_value *values;
    int rc = check_names(def, given, err);

    if (rc != 0)
        return rc;
    values = calloc(def->param_count + 1, sizeof(*values));
    if (values == NULL)
        return no_memory(err);
    for (size_t i = 0; i < def->param_count && rc == 0; i++) {
        values[i].name = def->params[i].name;
        values[i].type = def->params[i].type;
        values[i].list = def->params[i].list;
        rc = take_value(&def->params[i], given, now_ms, &values[i], err);
    }
    if (rc != 0) {
        params_free(values, def->param_count);
        return rc;
    }
    *ret_values = values;
    return 0;
}

/* Append the value as callers see it; nothing for NULL. */
static void add_shown(struct buf *out, const struct param_value *value)
{
    if (value->list && value->text != NULL)
        param_list_add(out, value->text, value->count);
    else if (value->text != NULL)
        buf_add_str(out, value->text);
}

static void add_members(struct buf *json, const struct param_value *values, size_t count)
{
    struct buf shown;

    buf_init(&shown, json->max);
    buf_add_char(json, '{');
    for (size_t i = 0; i < count; i++) {
        if (values[i].text == NULL)
            continue;
        buf_reset(&shown);
        add_shown(&shown, &values[i]);
        json->failed = json->failed || shown.failed;
        json->starved = json->starved || shown.starved;
        json_add_key(json, values[i].name);
        json_add_string(json, buf_str(&shown)); /* jansson lets only UTF-8 in */
    }
    buf_add_char(json, '}');
    buf_done(&shown);
}

int params_canonical(const struct definition *def, const json_t *given, int64_t now_ms,
                     char **ret_canonical, struct err *err)
{
    struct param_value *values;
    struct buf json;
    bool starved;
    char *canonical;
    size_t most;
    int rc = take_values(def, given, now_ms, &values, err);

    if (rc != 0)
        return rc;
    most = params_have_list(values, def->param_count) ? REPORT_LISTS_MAX : REPORT_PARAMETERS_MAX;
    buf_init(&json, most);
    add_members(&json, values, def->param_count);
    params_free(values, def->param_count);
    starved = buf_is_starved(&json);
    canonical = buf_take(&json);
    if (starved)
        return no_memory(err);
    if (canonical == NULL)
        return err_set(err, -E_PARAM,
                       "The parameters take more than %zu bytes altogether; shorten their values.",
                       most);
    *ret_canonical = canonical;
    return 0;
}

int params_values(const struct definition *def, const char *canonical,
                  struct param_value **ret_values, struct err *err)
{
    bool starved;
    json_t *given = json_read(canonical, strlen(canonical), NULL, &starved);
    int rc;

    if (starved)
        return no_memory(err);
    if (given == NULL)
        return err_set(err, -E_PARAM, "The stored parameters are not JSON.");
    /* The clock matters only for a parameter that the definition has gained since. */
    rc = take_values(def, given, clock_now_ms(), ret_values, err);
    json_decref(given);
    return rc;
}

bool params_have_list(const struct param_value *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (values[i].list)
            return true;
    }
    return false;
}

void params_free(struct param_value *values, size_t count)
{
    if (values == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        free(values[i].text);
    free(values);
}

static bool is_mention_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

const char *param_mention(const char *message, size_t *ret_len)
{
    const char *colon = message;

    while ((colon = strchr(colon, ':')) != NULL) {
        size_t colons = strspn(colon, ":"), len = 0;

        while (is_mention_char(colon[colons + len]))
            len++;
        if (colons == 1 && len > 0 && !(colon[1] >= '0' && colon[1] <= '9')) {
            *ret_len = len;
            return colon;
        }
        colon += colons;
    }
    return NULL;
}

static const struct param_value *find_value(const struct param_value *values, size_t count,
                                            const char *name, size_t len)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(values[i].name) == len && memcmp(values[i].name, name, len) == 0)
            return &values[i];
    }
    return NULL;
}

void params_fill(struct buf *out, const char *message, const struct param_value *values,
                 size_t count)
{
    const char *colon;
    size_t len;

    while ((colon = param_mention(message, &len)) != NULL) {
        const struct param_value *value = find_value(values, count, colon + 1, len);

        buf_add(out, message, (size_t)(colon - message));
        if (value == NULL)
            buf_add(out, colon, 1 + len);
        else
            add_shown(out, value);
        message = colon + 1 + len;
    }
    buf_add_str(out, message);
}
