/* src/core/param_check.c -- checks one value of a parameter, or a list of values. */
#include "core/param_check.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/decimal.h"
#include "base/json.h"
#include "base/str.h"
#include "base/timestamp.h"
#include "core/json_read.h"
#include "core/report.h"

/* ---- lists: "1,2,3" or a JSON array in a string ---- */

static const char blanks[] = " \t\r\n";
static const char is_broken[] = "takes a list: values with commas between them, or a JSON array of "
                                "strings; what begins with [ here is not one.";

static bool is_list_blank(char c)
{
    return c != '\0' && strchr(blanks, c) != NULL;
}

static const char *count_one(size_t *count)
{
    return ++*count > PARAM_LIST_MAX ? "takes a list of at most 10000 values." : NULL;
}

static const char *split_commas(const char *text, struct buf *out, size_t *count)
{
    const char *why = NULL, *next;

    for (; why == NULL && text != NULL; text = next) {
        size_t len = strcspn(text, ",");

        next = text[len] == ',' ? text + len + 1 : NULL;
        for (; len > 0 && is_list_blank(*text); len--)
            text++;
        while (len > 0 && is_list_blank(text[len - 1]))
            len--;
        if (len == 0)
            return "takes a list; a value between its commas is empty. To give an empty text, "
                   "write a JSON array of strings.";
        buf_add(out, text, len);
        buf_add_char(out, '\0');
        why = count_one(count);
    }
    return why;
}

/* A JSON string with escapes in it; `text` includes its quotes. */
static bool add_unescaped(struct buf *out, const char *text, size_t len)
{
    struct buf array;
    json_t *root;
    bool starved;
    const char *value;

    buf_init(&array, len + 2);
    buf_add_char(&array, '[');
    buf_add(&array, text, len);
    buf_add_char(&array, ']');
    root = json_read(buf_str(&array), array.len, NULL, &starved);
    value = json_string_value(json_array_get(root, 0));
    if (value != NULL)
        buf_add(out, value, strlen(value) + 1);
    out->starved = out->starved || starved;
    out->failed = out->failed || starved;
    json_decref(root);
    buf_done(&array);
    return value != NULL || starved;
}

/* Read a string at *at, which moves past it. */
static bool take_string(const char **at, struct buf *out)
{
    const char *start = *at + 1, *end = start;
    bool plain = true;

    for (; *end != '"'; end++) {
        if (*end == '\0')
            return false;
        plain = plain && *end != '\\' && (unsigned char)*end >= 0x20;
        end += end[0] == '\\' && end[1] != '\0';
    }
    *at = end + 1;
    if (!plain)
        return add_unescaped(out, start - 1, (size_t)(end + 2 - start));
    buf_add(out, start, (size_t)(end - start));
    buf_add_char(out, '\0');
    return true;
}

/* A number or a boolean, as it is written: a decimal keeps its digits. */
static bool take_bare(const char **at, struct buf *out)
{
    size_t len = strcspn(*at, ",] \t\r\n\"");
    bool word = (len == 4 && strncmp(*at, "true", len) == 0) ||
                (len == 5 && strncmp(*at, "false", len) == 0);

    if (!word && (len == 0 || strspn(*at, "-+.eE0123456789") < len))
        return false;
    buf_add(out, *at, len);
    buf_add_char(out, '\0');
    *at += len;
    return true;
}

/* `at` is after the opening bracket. */
static const char *split_array(const char *at, struct buf *out, size_t *count)
{
    const char *why = NULL;
    bool more;

    at += strspn(at, blanks);
    for (more = *at != ']'; why == NULL && more; at += more) {
        at += strspn(at, blanks);
        if (!(*at == '"' ? take_string(&at, out) : take_bare(&at, out)))
            return is_broken;
        why = count_one(count);
        at += strspn(at, blanks);
        more = *at == ',';
    }
    if (why != NULL)
        return why;
    return *at == ']' && at[1 + strspn(at + 1, blanks)] == '\0' ? NULL : is_broken;
}

/* Split `text`: values separated by commas ("1,2,3", blanks around a value are dropped) or a JSON
 * array (RFC 8259) of strings, numbers and booleans. `out` gets *ret_count values, each ended by a
 * NUL; empty text is the empty list. Returns NULL, or what is wrong, to follow "Parameter 'x' ". If
 * `out` has failed, the answer means nothing. */
static const char *param_list_split(const char *text, struct buf *out, size_t *ret_count)
{
    *ret_count = 0;
    text += strspn(text, blanks);
    if (*text == '\0')
        return NULL;
    return *text == '[' ? split_array(text + 1, out, ret_count)
                        : split_commas(text, out, ret_count);
}

/* Can the value be read back from a list with commas? */
static bool is_plain_item(const char *item, size_t len)
{
    return len > 0 && !is_list_blank(*item) && !is_list_blank(item[len - 1]) &&
           strchr(item, ',') == NULL && *item != '[';
}

void param_list_add(struct buf *out, const char *items, size_t count)
{
    const char *item = items;
    bool plain = true;

    for (size_t i = 0; plain && i < count; i++, item += strlen(item) + 1)
        plain = is_plain_item(item, strlen(item));
    item = items;
    buf_add_str(out, plain ? "" : "[");
    for (size_t i = 0; i < count; i++, item += strlen(item) + 1) {
        buf_add_str(out, i > 0 ? "," : "");
        if (plain)
            buf_add_str(out, item);
        else
            json_add_string(out, item);
    }
    buf_add_str(out, plain ? "" : "]");
}

/* ---- one value ---- */

enum { MATCHING_MS = 200 }; /* processor time for the values of one list */

static bool is_text_value(const struct param *param, const char *text)
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

static bool is_date_value(const struct param *param, const char *text)
{
    (void)param;
    return clock_is_date(text);
}

/* Checked in UTC, where every local time exists once. */
static bool is_timestamp_value(const struct param *param, const char *text)
{
    char utc[TIMESTAMP_TEXT];

    (void)param;
    return timestamp_read(text, NULL, utc) == TIMESTAMP_GOOD;
}

static bool is_boolean(const struct param *param, const char *text)
{
    (void)param;
    return str_eq_nocase(text, "true") || str_eq_nocase(text, "false");
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
    [PARAM_STRING] = is_text_value,         [PARAM_INTEGER] = is_integer,
    [PARAM_DECIMAL] = is_decimal,           [PARAM_DATE] = is_date_value,
    [PARAM_BOOLEAN] = is_boolean,           [PARAM_ENUM] = is_allowed,
    [PARAM_TIMESTAMP] = is_timestamp_value,
};

bool param_accepts_value(const struct param *param, const char *text)
{
    return strlen(text) <= PARAM_VALUE_MAX && accepts[param->type](param, text);
}

bool param_accepts(const struct param *param, const char *text)
{
    struct buf items;
    const char *item;
    size_t count;
    bool good;

    if (!param->list)
        return param_accepts_value(param, text);
    buf_init(&items, REPORT_LISTS_MAX);
    good = param_list_split(text, &items, &count) == NULL && !buf_failed(&items);
    item = buf_str(&items);
    for (size_t i = 0; good && i < count; i++, item += strlen(item) + 1)
        good = param_accepts_value(param, item);
    buf_done(&items);
    return good;
}

/* ---- limits ---- */

bool param_has_order(enum param_type type)
{
    return type == PARAM_INTEGER || type == PARAM_DECIMAL || type == PARAM_DATE ||
           type == PARAM_TIMESTAMP;
}

/* Compare two timestamps in UTC: 05.5Z is after 05Z. */
static int compare_moments(const struct zone *zone, const char *a, const char *b)
{
    char left[TIMESTAMP_TEXT] = "", right[TIMESTAMP_TEXT] = "";

    timestamp_read(a, zone, left);
    timestamp_read(b, zone, right);
    left[strcspn(left, "Z")] = right[strcspn(right, "Z")] = '\0';
    return strcmp(left, right);
}

int param_compare(const struct definition *def, enum param_type type, const char *a, const char *b)
{
    int64_t left = 0, right = 0;

    switch (type) {
    case PARAM_INTEGER:
        str_to_int64(a, &left);
        str_to_int64(b, &right);
        return left < right ? -1 : left > right;
    case PARAM_DECIMAL:
        return decimal_compare(a, b);
    case PARAM_TIMESTAMP:
        return compare_moments(def->zone, a, b);
    default:
        return strcmp(a, b);
    }
}

bool param_is_within(const struct definition *def, const struct param *param, const char *text)
{
    return (param->least == NULL || param_compare(def, param->type, text, param->least) >= 0) &&
           (param->most == NULL || param_compare(def, param->type, text, param->most) <= 0) &&
           (param->pattern == NULL || pattern_matches(param->pattern, text));
}

/* ", from 1 to 500", ", matching [A-Z]+" */
static void add_param_limits(const struct param *param, char *out, size_t cap)
{
    if (param->least != NULL && param->most != NULL)
        snprintf(out, cap, ", from %.60s to %.60s", param->least, param->most);
    else if (param->least != NULL || param->most != NULL)
        snprintf(out, cap, ", at %s %.60s", param->least != NULL ? "least" : "most",
                 param->least != NULL ? param->least : param->most);
    else if (param->pattern != NULL)
        snprintf(out, cap, ", matching %.120s%s", pattern_text(param->pattern),
                 strlen(pattern_text(param->pattern)) > 120 ? "…" : "");
    str_drop_cut(out);
}

/* ---- messages ---- */

void param_show(const char *text, char out[PARAM_SHOWN_TEXT])
{
    size_t n = strlen(text), most = PARAM_SHOWN_TEXT - 4;
    bool cut = n > most;

    if (cut)
        n = str_whole(text, most);
    snprintf(out, PARAM_SHOWN_TEXT, "%.*s%s", (int)n, text, cut ? "..." : "");
}

void param_list_names(char list[PARAM_NAMES_TEXT], const char *name)
{
    static const char more[] = ", ...";
    size_t len = strlen(list), room = PARAM_NAMES_TEXT - sizeof(more);

    if (len >= sizeof(more) && str_eq(list + len - strlen(more), more))
        return;
    if (len + strlen(name) + 2 > room)
        str_copy(list + len, PARAM_NAMES_TEXT - len, more);
    else
        snprintf(list + len, PARAM_NAMES_TEXT - len, "%s%s", len > 0 ? ", " : "", name);
}

void param_takes(const struct param *param, char out[PARAM_TAKES_TEXT])
{
    static const char *const takes[PARAM_TYPE_COUNT] = {
#define X(name, word, what) [PARAM_##name] = what,
        PARAM_TYPES(X)
#undef X
    };
    char allowed[PARAM_NAMES_TEXT] = "", limits[144] = "";

    for (size_t i = 0; i < param->allowed_count; i++)
        param_list_names(allowed, param->allowed[i]);
    add_param_limits(param, limits, sizeof(limits));
    snprintf(out, PARAM_TAKES_TEXT, "%s%s%s%s%s%s",
             param->list ? "a list with commas, each value " : "", takes[param->type],
             *allowed != '\0' ? " (" : "", allowed, *allowed != '\0' ? ")" : "", limits);
}

static int refuse_value(const struct param *param, const char *text, struct err *err)
{
    char shown[PARAM_SHOWN_TEXT], takes[PARAM_TAKES_TEXT];

    if (strlen(text) > PARAM_VALUE_MAX)
        return err_set(err, -E_PARAM, "Parameter '%s' takes at most %d bytes%s; it was given %zu.",
                       param->name, PARAM_VALUE_MAX, param->list ? " per value" : "", strlen(text));
    param_takes(param, takes);
    if (*text == '\0')
        return err_set(err, -E_PARAM,
                       "Parameter '%s' takes %s; an empty text is not one. Leave the parameter "
                       "out to give it no value.",
                       param->name, takes);
    param_show(text, shown);
    return err_set(err, -E_PARAM, "Parameter '%s' takes %s; '%s' is not one.", param->name, takes,
                   shown);
}

/* ---- the normal form of a value ---- */

/* The timestamp in UTC. A local time has to exist exactly once; an unreadable value is already
 * refused. */
static int take_timestamp(const struct definition *def, const struct param *param, const char *text,
                          struct buf *out, struct err *err)
{
    const char *zone = def->timezone != NULL ? def->timezone : "UTC";
    char utc[TIMESTAMP_TEXT], shown[PARAM_SHOWN_TEXT];
    enum timestamp_reading reading = timestamp_read(text, def->zone, utc);

    param_show(text, shown);
    if (reading == TIMESTAMP_SKIPPED)
        return err_set(err, -E_PARAM,
                       "Parameter '%s': the local time %s does not exist in %s, where the clocks "
                       "are put forward over it. Give another time, or one with its offset, such "
                       "as 2024-01-12T14:04:00+11:00.",
                       param->name, shown, zone);
    if (reading == TIMESTAMP_TWICE)
        return err_set(err, -E_PARAM,
                       "Parameter '%s': the local time %s exists twice in %s, where the clocks are "
                       "put back over it. Say which by its offset, such as "
                       "2024-01-12T14:04:00+11:00.",
                       param->name, shown, zone);
    if (reading != TIMESTAMP_GOOD) /* possible only for local time at the ends of years 1 and
                                    * 9999 */
        return refuse_value(param, text, err);
    buf_add_str(out, utc);
    return 0;
}

/* Append the normal form of a value: an integer without leading zeros, a zero decimal without its
 * sign, a boolean in small letters, a timestamp in UTC, everything else unchanged. */
static int take_one(const struct definition *def, const struct param *param, const char *text,
                    struct buf *out, struct err *err)
{
    int64_t value;

    if (!param_accepts_value(param, text))
        return refuse_value(param, text, err);
    if (param->type == PARAM_TIMESTAMP) {
        int rc = take_timestamp(def, param, text, out, err);

        return rc != 0 || param_is_within(def, param, text) ? rc : refuse_value(param, text, err);
    }
    if (!param_is_within(def, param, text))
        return refuse_value(param, text, err);
    if (param->type == PARAM_INTEGER && str_to_int64(text, &value))
        buf_add_format(out, "%" PRId64, value);
    else if (param->type == PARAM_BOOLEAN)
        buf_add_str(out, str_eq_nocase(text, "true") ? "true" : "false");
    else if (param->type == PARAM_DECIMAL && text[strspn(text, "-0.")] == '\0')
        buf_add_str(out, text + (*text == '-'));
    else
        buf_add_str(out, text);
    return 0;
}

/* An expression may reach a new state at each byte of each value, and a list may have 192 KiB. */
static int watch_matching(const struct param *param, int64_t began_ms, struct err *err)
{
    if (param->pattern == NULL || clock_cpu_ms() - began_ms <= MATCHING_MS)
        return 0;
    return err_set(err, -E_PARAM,
                   "Parameter '%s': it takes too long to compare so many values with %.120s. Give "
                   "fewer or shorter ones.",
                   param->name, pattern_text(param->pattern));
}

/* Take each value of a list, and count them. */
static int take_list_value(const struct definition *def, const struct param *param,
                           const char *text, struct param_value *ret, struct err *err)
{
    struct buf items, out;
    const char *why, *item;
    int64_t began_ms = clock_cpu_ms();
    int rc = 0;

    buf_init(&items, REPORT_LISTS_MAX);
    buf_init(&out, (size_t)2 * REPORT_LISTS_MAX);
    why = param_list_split(text, &items, &ret->count);
    item = buf_str(&items);
    if (buf_failed(&items))
        why = "takes a list of at most 196608 bytes.";
    if (why != NULL)
        rc = err_set(err, -E_PARAM, "Parameter '%s' %s", param->name, why);
    for (size_t i = 0; rc == 0 && i < ret->count; i++, item += strlen(item) + 1) {
        rc = watch_matching(param, began_ms, err) ?: take_one(def, param, item, &out, err);
        buf_add_char(&out, '\0');
    }
    if (buf_is_starved(&items))
        rc = err_no_memory(err);
    buf_done(&items);
    if (rc == 0)
        ret->text = buf_take(&out);
    buf_done(&out);
    return rc == 0 && ret->text == NULL ? err_no_memory(err) : rc;
}

int param_take(const struct definition *def, const struct param *param, const char *text,
               struct param_value *ret, struct err *err)
{
    struct buf out;
    int rc;

    if (param->list)
        return take_list_value(def, param, text, ret, err);
    buf_init(&out, PARAM_VALUE_MAX);
    rc = take_one(def, param, text, &out, err);
    if (rc == 0)
        ret->text = buf_take(&out);
    buf_done(&out);
    return rc == 0 && ret->text == NULL ? err_no_memory(err) : rc;
}
