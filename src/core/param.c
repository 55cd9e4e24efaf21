/* src/core/param.c -- the values of a report's parameters. */
#include "core/param.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "core/json_read.h"
#include "core/report.h"
#include "core/sql_text.h"

/* Append the value as it is shown to callers; nothing for NULL. */
static void add_shown(struct buf *out, const struct param_value *value)
{
    if (value->list && value->text != NULL)
        param_list_add(out, value->text, value->count);
    else if (value->text != NULL)
        buf_add_str(out, value->text);
}

/* The default: as written, or the day that it means now. */
static const char *default_value_text(const struct definition *def, const struct param *param,
                                      int64_t now_ms, char day[CLOCK_DATE_TEXT])
{
    return param->default_value != NULL && param->type == PARAM_DATE && !param->list &&
                   day_of_word(param->default_value, now_ms, def->zone, day)
               ? day
               : param->default_value;
}

int param_default(const struct definition *def, const struct param *param, int64_t now_ms,
                  struct buf *out, struct err *err)
{
    struct param_value value = {.list = param->list};
    char day[CLOCK_DATE_TEXT];
    const char *text = default_value_text(def, param, now_ms, day);
    int rc = text != NULL ? param_take(def, param, text, &value, err) : 0;

    add_shown(out, &value);
    free(value.text);
    return rc != 0 ? rc : text != NULL;
}

/* Take one parameter's value from what was given (NULL: nothing); its text is yours, or NULL. */
static int take_param_value(const struct definition *def, const struct param *param,
                            const json_t *given, int64_t now_ms, struct param_value *ret,
                            struct err *err)
{
    const json_t *value = json_object_get(given, param->name);
    const char *text = json_string_value(value);
    char day[CLOCK_DATE_TEXT], takes[PARAM_TAKES_TEXT];

    param_takes(param, takes);
    if (value != NULL && text == NULL)
        return err_set(err, -E_PARAM,
                       "Parameter '%s' must be a JSON string (%s, in double quotes); leave it out "
                       "to give it no value.",
                       param->name, takes);
    if (value != NULL && strlen(text) != json_string_length(value))
        return err_set(err, -E_PARAM, "Parameter '%s' may not contain the character U+0000.",
                       param->name);
    if (value == NULL && param->required)
        return err_set(err, -E_PARAM, "Parameter '%s' is required: %s.", param->name, takes);
    if (value == NULL)
        text = default_value_text(def, param, now_ms, day);
    if (text == NULL)
        return 0;
    if (text == day && !param_is_within(def, param, day))
        return err_set(err, -E_PARAM,
                       "Parameter '%s' has to be given now: it takes %s, and its default, %s, is "
                       "%s today.",
                       param->name, takes, param->default_value, day);
    return param_take(def, param, text, ret, err);
}

static int refuse_unknown(const struct definition *def, const char *name, struct err *err)
{
    char shown[PARAM_SHOWN_TEXT], known[PARAM_NAMES_TEXT] = "";

    param_show(name, shown);
    for (size_t i = 0; i < def->param_count; i++) {
        if (str_eq_nocase(def->params[i].name, name))
            return err_set(err, -E_PARAM,
                           "Report '%s' has no parameter '%s'; it is written '%s' there.",
                           def->name, shown, def->params[i].name);
        param_list_names(known, def->params[i].name);
    }
    return err_set(err, -E_PARAM, "Report '%s' has no parameter '%s'; it takes %s.", def->name,
                   shown, *known != '\0' ? known : "none");
}

static int check_param_names(const struct definition *def, const json_t *given, struct err *err)
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

/* Take all values, in the order of the definition, from what was given. */
static int take_param_values(const struct definition *def, const json_t *given, int64_t now_ms,
                             struct param_value **ret_values, struct err *err)
{
    struct param_value *values;
    int rc = check_param_names(def, given, err);

    if (rc != 0)
        return rc;
    values = calloc(def->param_count + 1, sizeof(*values));
    if (values == NULL)
        return err_no_memory(err);
    for (size_t i = 0; i < def->param_count && rc == 0; i++) {
        values[i].name = def->params[i].name;
        values[i].type = def->params[i].type;
        values[i].list = def->params[i].list;
        rc = take_param_value(def, &def->params[i], given, now_ms, &values[i], err);
    }
    if (rc != 0) {
        params_free(values, def->param_count);
        return rc;
    }
    *ret_values = values;
    return 0;
}

static void add_members(struct buf *json, const struct param_value *values, size_t count)
{
    struct buf shown;

    buf_init(&shown, json->max);
    buf_add_char(json, '{');
    for (size_t i = 0; i < count; i++) {
        const char *text = values[i].text;

        if (text == NULL)
            continue;
        buf_reset(&shown);
        if (values[i].list) {
            param_list_add(&shown, text, values[i].count);
            text = buf_str(&shown);
        }
        json->failed = json->failed || shown.failed;
        json->starved = json->starved || shown.starved;
        json_add_member(json, values[i].name, text); /* jansson accepts only UTF-8 */
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
    int rc = take_param_values(def, given, now_ms, &values, err);

    if (rc != 0)
        return rc;
    most = params_have_list(values, def->param_count) ? REPORT_LISTS_MAX : REPORT_PARAMETERS_MAX;
    buf_init(&json, most);
    add_members(&json, values, def->param_count);
    params_free(values, def->param_count);
    starved = buf_is_starved(&json);
    canonical = buf_take(&json);
    if (starved)
        return err_no_memory(err);
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
        return err_no_memory(err);
    if (given == NULL)
        return err_set(err, -E_PARAM, "The stored parameters are not JSON.");
    /* The clock matters only for a parameter that was added to the definition since then. */
    rc = take_param_values(def, given, clock_now_ms(), ret_values, err);
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

    while ((colon = sql_mention(message, &len)) != NULL) {
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

/* ---- days that a definition names relative to today ---- */

enum { DAYS_DIGITS_MAX = 5 };

static bool write_day(struct tm *tm, char out[CLOCK_DATE_TEXT])
{
    int year;

    timegm(tm); /* 31 April becomes 1 May, and day 0 the last day of the month before */
    year = tm->tm_year + 1900;
    if (year < 1 || year > 9999)
        return false;
    snprintf(out, CLOCK_DATE_TEXT, "%04u-%02u-%02u", (unsigned)year % 10000,
             (unsigned)(tm->tm_mon + 1) % 100, (unsigned)tm->tm_mday % 100);
    return true;
}

/* today, today-Nd or today+Nd: the number of days from today. */
static bool read_distance(const char *word, int *ret)
{
    static const char today[] = "today";
    const char *at = word + strlen(today);
    size_t digits;

    if (!str_starts(word, today))
        return false;
    *ret = 0;
    if (*at == '\0')
        return true;
    digits = strspn(at + 1, "0123456789");
    if ((*at != '-' && *at != '+') || digits < 1 || digits > DAYS_DIGITS_MAX ||
        !str_eq(at + 1 + digits, "d"))
        return false;
    for (size_t i = 1; i <= digits; i++)
        *ret = *ret * 10 + at[i] - '0';
    if (*at == '-')
        *ret = -*ret;
    return true;
}

bool day_of_word(const char *word, int64_t now_ms, const struct zone *zone,
                 char out[CLOCK_DATE_TEXT])
{
    static const struct {
        const char *word;
        int months; /* from this one; day 0 is the last day of the month before */
        int day;
    } words[] = {
        {"month-start", 0, 1},
        {"month-end", 1, 0},
        {"last-month-start", -1, 1},
        {"last-month-end", 0, 0},
    };
    time_t local = (time_t)(now_ms / 1000 + zone_offset(zone, now_ms / 1000));
    struct tm tm = {0};
    int days;

    gmtime_r(&local, &tm);
    tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    if (read_distance(word, &days)) {
        tm.tm_mday += days;
        return write_day(&tm, out);
    }
    if (str_eq(word, "year-start")) {
        tm.tm_mon = 0;
        tm.tm_mday = 1;
        return write_day(&tm, out);
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!str_eq(word, words[i].word))
            continue;
        tm.tm_mon += words[i].months;
        tm.tm_mday = words[i].day;
        return write_day(&tm, out);
    }
    return false;
}
