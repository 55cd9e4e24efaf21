/* src/proc/choices_run.c -- lists the choices of a parameter, and checks values against them. */
#include "proc/choices_run.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "base/json.h"
#include "base/timestamp.h"
#include "core/param_check.h"
#include "render/json_value.h"

enum {
    COLUMNS_MAX = 2,                  /* value, label */
    KEY_MAX = PARAM_VALUE_MAX + 1024, /* a REAL has up to 309 digits before the point */
    KEYS_MAX = 8 << 20,               /* for a list */
};

/* The query, its row, and the two texts of a row. */
struct choices {
    const struct param *param;
    struct source_query *query;
    size_t columns;
    struct source_value row[COLUMNS_MAX];
    struct buf value, label;
    int listed; /* number of choices listed for a form */
};

static bool is_number_param(const struct param *param)
{
    return param->type == PARAM_INTEGER || param->type == PARAM_DECIMAL;
}

int choices_no_memory(struct err *err)
{
    return err_set(err, -E_NOMEM, "The server is out of memory. Try again later.");
}

/* The definition is wrong: the line number is for its author. */
__attribute__((format(printf, 3, 4))) static int spoilt(const struct choices *choices,
                                                        struct err *err, const char *format, ...)
{
    char words[ERR_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(words, sizeof(words), format, args);
    va_end(args);
    err_set(err, -E_SOURCE, "The query for the values of '%s' %s", choices->param->name, words);
    return err_detail(err, "line %d: -- values: %s", choices->param->values.line, words);
}

static void choices_end(struct choices *choices)
{
    source_query_free(choices->query);
    buf_done(&choices->value);
    buf_done(&choices->label);
}

static int choices_begin(struct choices *choices, struct source *source, const struct param *param,
                         const struct claims *claims, struct err *err)
{
    int rc;

    *choices = (struct choices){.param = param};
    buf_init(&choices->value, PARAM_VALUE_MAX + 1);
    buf_init(&choices->label, PARAM_VALUE_MAX + 1);
    rc = source_query(source, &param->values, claims->values, claims->count, &choices->query, err);
    if (rc < 0)
        return rc;
    choices->columns = source_columns(choices->query);
    if (choices->columns < 1 || choices->columns > COLUMNS_MAX)
        return spoilt(choices, err, "gives %zu columns; it must give a value and a label.",
                      choices->columns);
    return 0;
}

/* As a parameter is written: text as it is, everything else as a report prints it. */
static int add_choice_text(struct choices *choices, struct buf *out,
                           const struct source_value *value, struct err *err)
{
    int rc = 0;

    buf_reset(out);
    if (value->kind == SOURCE_TEXT || value->kind == SOURCE_NUMERIC || value->kind == SOURCE_JSON)
        buf_add(out, value->text.data, value->text.len);
    else if (value->kind == SOURCE_BLOB)
        return spoilt(choices, err, "gives bytes; cast them to text.");
    else
        rc = json_value_add(out, value, choices->param->name, NULL, err);
    buf_add(out, "", 0); /* adds the NUL, which some printers do not write */
    if (rc == 0 && buf_is_starved(out))
        return choices_no_memory(err);
    if (rc == 0 && buf_failed(out))
        return spoilt(choices, err, "gives a text of more than %d bytes.", PARAM_VALUE_MAX);
    return rc;
}

/* As callers write it: a timestamp in UTC with its Z, a number without exponent and, for an
 * integer, without fraction. A text that is not one of these is not changed. */
static int spell(struct choices *choices, struct err *err)
{
    const struct param *param = choices->param;
    struct buf *value = &choices->value, exact;
    char utc[TIMESTAMP_TEXT];

    if (param->type == PARAM_TIMESTAMP &&
        timestamp_read(buf_str(value), NULL, utc) == TIMESTAMP_GOOD) {
        buf_reset(value);
        buf_add_str(value, utc);
    }
    if (!is_number_param(param) || param_accepts_value(param, buf_str(value)))
        return 0;
    buf_init(&exact, KEY_MAX);
    if (decimal_add_exact(&exact, buf_str(value), value->len)) {
        buf_reset(value);
        buf_add(value, buf_str(&exact), exact.len);
    }
    buf_done(&exact);
    if (buf_is_starved(&exact) || buf_is_starved(value))
        return choices_no_memory(err);
    return buf_failed(value)
               ? spoilt(choices, err, "gives a number of more than %d digits.", PARAM_VALUE_MAX)
               : 0;
}

/* 1: choices->row is the next row that has a value; 0: there are no more; <0: err. */
static int next_row(struct choices *choices, struct err *err)
{
    int rc;

    do
        rc = source_step(choices->query, choices->row, err);
    while (rc > 0 && choices->row[0].kind == SOURCE_NULL);
    return rc;
}

/* Set choices->value from the row. -E_SOURCE: it cannot be a value of any parameter. */
static int read_choice(struct choices *choices, struct err *err)
{
    return add_choice_text(choices, &choices->value, &choices->row[0], err) ?: spell(choices, err);
}

static int read_label(struct choices *choices, struct err *err)
{
    bool labelled = choices->columns == COLUMNS_MAX && choices->row[1].kind != SOURCE_NULL;

    return add_choice_text(choices, &choices->label, &choices->row[labelled], err);
}

/* ---- for a form ---- */

/* 1: the parameter takes the value of the row; 0: it is outside its limits; <0: err. */
static int is_choice(const struct choices *choices, const struct definition *def, struct err *err)
{
    const char *value = buf_str(&choices->value);

    if (strlen(value) != choices->value.len || !param_accepts_value(choices->param, value))
        return spoilt(choices, err, "gives a value that is not of the parameter's type, %s.",
                      param_type_name(choices->param->type));
    return param_is_within(def, choices->param, value);
}

static int add_choice(struct choices *choices, struct buf *out, struct err *err)
{
    const char *value = buf_str(&choices->value);

    if (++choices->listed > CHOICES_ROWS_MAX)
        return spoilt(choices, err, "gives more than %d rows, too many to choose from.",
                      CHOICES_ROWS_MAX);
    buf_add_str(out, choices->listed > 1 ? ",{" : "{");
    json_add_key(out, "value");
    if (!json_add_text(out, value, choices->value.len))
        return spoilt(choices, err, "gives text that is not UTF-8.");
    json_add_key(out, "label");
    if (!json_add_text(out, buf_str(&choices->label), choices->label.len))
        return spoilt(choices, err, "gives text that is not UTF-8.");
    buf_add_char(out, '}');
    if (out->len > CHOICES_BYTES_MAX)
        return spoilt(choices, err, "gives more than %d bytes, too many to choose from.",
                      CHOICES_BYTES_MAX);
    return 0;
}

int choices_list(struct source *source, const struct definition *def, const struct param *param,
                 const struct claims *claims, struct buf *out, struct err *err)
{
    struct choices choices;
    int rc = choices_begin(&choices, source, param, claims, err);

    buf_add_char(out, '[');
    while (rc >= 0 && (rc = next_row(&choices, err)) > 0) {
        rc = read_choice(&choices, err)
                 ?: read_label(&choices, err)
                 ?: is_choice(&choices, def, err);
        if (rc > 0)
            rc = add_choice(&choices, out, err);
    }
    buf_add_char(out, ']');
    choices_end(&choices);
    return rc;
}

/* ---- for a report ---- */

/* 1.0 and 1 are the same number, and so are -0 and 0. False: it is not a number, and so not a
 * choice. */
static bool add_comparable(struct buf *out, const struct param *param, const char *text, size_t len)
{
    buf_reset(out);
    if (is_number_param(param))
        return decimal_add_exact(out, text, len);
    buf_add(out, text, len);
    return true;
}

/* The given values, in a form in which equal values are the same text. */
struct wanted {
    struct buf keys;
    const char **list; /* into `keys`, sorted, without duplicates */
    size_t count;
    bool *found; /* one per entry of `list` */
};

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void wanted_done(struct wanted *wanted)
{
    buf_done(&wanted->keys);
    free(wanted->list);
    free(wanted->found);
}

static void sort_keys(struct wanted *wanted, size_t count)
{
    const char *at = buf_str(&wanted->keys);

    for (size_t i = 0; i < count; i++, at += strlen(at) + 1)
        wanted->list[i] = at;
    qsort(wanted->list, count, sizeof(*wanted->list), compare_texts);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(wanted->list[i], wanted->list[wanted->count - 1]) != 0)
            wanted->list[wanted->count++] = wanted->list[i];
    }
}

static int wanted_init(struct wanted *wanted, const struct param *param,
                       const struct param_value *value, struct err *err)
{
    size_t count = value->list ? value->count : 1;
    const char *text = value->text;
    struct buf key;

    *wanted = (struct wanted){.list = calloc(count + 1, sizeof(*wanted->list)),
                              .found = calloc(count + 1, sizeof(*wanted->found))};
    buf_init(&wanted->keys, KEYS_MAX);
    buf_init(&key, KEY_MAX);
    for (size_t i = 0; i < count; i++, text += strlen(text) + 1) {
        add_comparable(&key, param, text, strlen(text));
        buf_add(&wanted->keys, buf_str(&key), key.len + 1);
    }
    if (buf_failed(&key) || buf_failed(&wanted->keys) || wanted->list == NULL ||
        wanted->found == NULL) {
        buf_done(&key);
        wanted_done(wanted);
        return choices_no_memory(err);
    }
    buf_done(&key);
    sort_keys(wanted, count);
    return 0;
}

/* Step until all are found; returns how many are missing, or <0. A row that cannot be a choice
 * fails only values that are not found: its place among the other rows does not matter. */
static int find_all(struct choices *choices, struct wanted *wanted, struct err *err)
{
    size_t missing = wanted->count;
    struct buf key;
    int rc = 0, unfit = 0;

    buf_init(&key, KEY_MAX);
    while (missing > 0 && (rc = next_row(choices, err)) > 0) {
        const char *text;
        const char **hit = NULL;

        rc = read_choice(choices, err);
        if (rc < 0 && rc != -E_SOURCE)
            break;
        unfit = rc < 0 ? rc : unfit;
        if (rc == 0 &&
            add_comparable(&key, choices->param, buf_str(&choices->value), choices->value.len)) {
            text = buf_str(&key);
            hit = bsearch(&text, wanted->list, wanted->count, sizeof(*wanted->list), compare_texts);
        }
        if (hit != NULL && !wanted->found[hit - wanted->list]) {
            wanted->found[hit - wanted->list] = true;
            missing--;
        }
    }
    buf_done(&key);
    if (rc == 0 && missing > 0 && unfit < 0)
        return unfit;
    return rc < 0 ? rc : (int)missing;
}

int choices_check(struct source *source, const struct param *param, const struct param_value *value,
                  const struct claims *claims, struct err *err)
{
    struct choices choices;
    struct wanted wanted;
    int rc;

    if (value->text == NULL || (value->list && value->count == 0))
        return 0;
    rc = wanted_init(&wanted, param, value, err);
    if (rc < 0)
        return rc;
    rc = choices_begin(&choices, source, param, claims, err) ?: find_all(&choices, &wanted, err);
    choices_end(&choices);
    wanted_done(&wanted);
    if (rc <= 0)
        return rc;
    err_set(err, -E_SOURCE, "The parameter '%s' has a value that is not among its choices.",
            param->name);
    return err_detail(err, "line %d: -- values: %s: a value that is not among them",
                      param->values.line, param->name);
}
