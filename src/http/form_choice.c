/* src/http/form_choice.c -- chooses the form of a result from `format=` and Accept, its options
 * from the query, and its coding from Accept-Encoding. */
#include "http/form_choice.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "http/query.h"

static const struct {
    const char *word, *type;
} forms[FORM_COUNT] = {
#define X(name, word, type) {word, type},
    FORMS(X)
#undef X
};

const char *form_word(enum form form)
{
    return forms[form].word;
}

const char *form_media_type(enum form form)
{
    return form == FORM_CSV ? "text/csv; charset=utf-8" : forms[form].type;
}

/* "json, ndjson, csv or xlsx", or their media types. */
static const char *list_forms(bool types, struct buf *out)
{
    for (int i = 0; i < FORM_COUNT; i++)
        buf_add_format(out, "%s%s",
                       i == 0               ? ""
                       : i + 1 < FORM_COUNT ? ", "
                                            : " or ",
                       types ? forms[i].type : forms[i].word);
    return buf_str(out);
}

static int refuse_form(const char *word, struct err *err)
{
    char room[ERR_TEXT_MAX];
    struct buf known;

    buf_init_in(&known, room, sizeof(room));
    if (word != NULL)
        return err_set(err, -E_NOT_ACCEPTABLE, "There is no format '%.32s': use %s.", word,
                       list_forms(false, &known));
    return err_set(err, -E_NOT_ACCEPTABLE, "The result is %s: let Accept allow one of them.",
                   list_forms(true, &known));
}

static int by_word(const char *word, enum form *ret, struct err *err)
{
    for (int i = 0; i < FORM_COUNT; i++) {
        if (str_eq_nocase(word, forms[i].word)) {
            *ret = (enum form)i;
            return 0;
        }
    }
    return refuse_form(word, err);
}

static int by_accept(struct exchange *ex, enum form *ret, struct err *err)
{
    const char *value = exchange_header(ex, MHD_HTTP_HEADER_ACCEPT);
    struct accept_fit fits[FORM_COUNT] = {0};
    int best = FORM_JSON;

    for (int i = 0; i < FORM_COUNT && value != NULL; i++) {
        accept_feed(&fits[i], value, forms[i].type);
        if (accept_is_better(&fits[i], &fits[best]))
            best = i;
    }
    if (value != NULL && fits[best].q == 0 && !ex->wants_problem)
        return refuse_form(NULL, err);
    *ret = (enum form)best;
    return 0;
}

/* ---- codings ---- */

/* RFC 9110, 12.5.3: an answer without a coding, unless the client refuses that. */
int form_read_codings(struct exchange *ex, struct form_choice *choice, struct err *err)
{
    const char *value = exchange_header(ex, MHD_HTTP_HEADER_ACCEPT_ENCODING);

    if (value != NULL)
        codings_feed(&choice->codings, value);
    if (codings_best(&choice->codings) == CODING_COUNT)
        return err_set(err, -E_NOT_ACCEPTABLE,
                       "The result is sent as zstd, as gzip or without a coding: let "
                       "Accept-Encoding allow one of them.");
    if (choice->form == FORM_XLSX && !codings_accept(&choice->codings, CODING_IDENTITY))
        return err_set(err, -E_NOT_ACCEPTABLE,
                       "A workbook is compressed itself and sent without a coding: let "
                       "Accept-Encoding allow identity.");
    return 0;
}

void form_choose_coding(struct exchange *ex, struct form_choice *choice,
                        const struct report *report)
{
    bool range = choice->form == FORM_JSON && !ex->head && exchange_header(ex, "Range") != NULL;
    bool plain = choice->form == FORM_XLSX || report->bytes < FORM_CODED_MIN || range;

    choice->packed = choice->form == FORM_JSON && report->footer < 0 &&
                     codings_best(&choice->codings) == CODING_ZSTD;
    if (choice->packed)
        plain = false;
    choice->coding = plain && codings_accept(&choice->codings, CODING_IDENTITY)
                         ? CODING_IDENTITY
                         : codings_best(&choice->codings);
}

bool form_is_stored(const struct form_choice *choice)
{
    return choice->packed || (choice->form == FORM_JSON && choice->coding == CODING_IDENTITY);
}

/* ---- options ---- */

static int read_flag(const char *name, const char *text, bool *ret, struct err *err)
{
    if (text != NULL && !str_eq(text, "1") && !str_eq(text, "0"))
        return err_set(err, -E_INVALID, "%s must be 1 or 0.", name);
    *ret = str_eq(text, "1");
    return 0;
}

static int read_delimiter(const char *text, char *ret, struct err *err)
{
    *ret = ',';
    if (text == NULL || str_eq(text, ","))
        return 0;
    if (str_eq(text, ";") || str_eq(text, "|") || str_eq(text, "\t"))
        *ret = *text;
    else if (str_eq_nocase(text, "tab"))
        *ret = '\t';
    else
        return err_set(err, -E_INVALID,
                       "delimiter must be ',', ';', '|' or tab; in a URL: %%2C, %%3B, %%7C, tab.");
    return 0;
}

static int read_formulas(const char *text, bool *ret, struct err *err)
{
    *ret = text != NULL;
    if (text != NULL && !str_eq(text, "text"))
        return err_set(err, -E_INVALID,
                       "formulas must be text, which puts ' before a text that begins with = + - "
                       "or @; leave it out to keep texts as they are.");
    return 0;
}

enum option { LABELS, DELIMITER, BOM, FORMULAS, DOWNLOAD, OPTION_COUNT };

static const struct {
    const char *name;
    unsigned forms; /* the forms that take the option, as bits */
    const char *words;
} options[OPTION_COUNT] = {
    [LABELS] = {"labels", 1u << FORM_CSV | 1u << FORM_XLSX, "csv or xlsx"},
    [DELIMITER] = {"delimiter", 1u << FORM_CSV, "csv"},
    [BOM] = {"bom", 1u << FORM_CSV, "csv"},
    [FORMULAS] = {"formulas", 1u << FORM_CSV, "csv"},
    [DOWNLOAD] = {"download", ~0u, ""},
};

/* Read the options as given, NULL for those that are not; `ret` already has the form. */
static int read_form_options(const char *const values[OPTION_COUNT], struct form_choice *ret,
                             struct err *err)
{
    for (int i = 0; i < OPTION_COUNT; i++) {
        if (values[i] != NULL && (options[i].forms & 1u << ret->form) == 0)
            return err_set(err, -E_INVALID, "%s is for %s: leave it out, or add format=%s.",
                           options[i].name, options[i].words, form_word(FORM_CSV));
    }
    return read_flag("labels", values[LABELS], &ret->options.labels, err)
               ?: read_delimiter(values[DELIMITER], &ret->options.delimiter, err)
               ?: read_flag("bom", values[BOM], &ret->options.bom, err)
               ?: read_formulas(values[FORMULAS], &ret->options.formulas_text, err)
               ?: read_flag("download", values[DOWNLOAD], &ret->download, err);
}

int form_choose(struct exchange *ex, struct form_choice *ret, struct err *err)
{
    const char *values[OPTION_COUNT], *word;
    int rc = query_one(ex, "format", &word, err);

    if (rc == 0)
        rc = word != NULL ? by_word(word, &ret->form, err) : by_accept(ex, &ret->form, err);
    for (int i = 0; rc == 0 && i < OPTION_COUNT; i++)
        rc = query_one(ex, options[i].name, &values[i], err);
    return rc ?: read_form_options(values, ret, err);
}

/* The value as in a query; "": not a valid value. */
static const char *body_word(const json_t *value)
{
    if (json_is_boolean(value))
        return json_is_true(value) ? "1" : "0";
    if (json_is_integer(value))
        return json_integer_value(value) == 1 ? "1" : json_integer_value(value) == 0 ? "0" : "";
    return json_is_string(value) ? json_string_value(value) : "";
}

int form_choose_body(struct exchange *ex, struct form_choice *ret, struct err *err)
{
    const json_t *format = exchange_member(ex, "format");
    const char *values[OPTION_COUNT];
    int rc = format != NULL ? by_word(body_word(format), &ret->form, err) : 0;

    for (int i = 0; rc == 0 && i < OPTION_COUNT; i++) {
        const json_t *value = exchange_member(ex, options[i].name);

        values[i] = value != NULL ? body_word(value) : NULL;
    }
    return rc ?: read_form_options(values, ret, err);
}

void form_tag(const struct form_choice *choice, char out[FORM_TAG_TEXT])
{
    const struct form_options *given = &choice->options;

    snprintf(out, FORM_TAG_TEXT, "-%s%s%s%s", form_word(choice->form), given->labels ? "-l" : "",
             given->bom ? "-b" : "", given->formulas_text ? "-f" : "");
    if (choice->form == FORM_CSV && given->delimiter != ',')
        snprintf(out + strlen(out), FORM_TAG_TEXT - strlen(out), "-%02x", given->delimiter);
    if (choice->coding != CODING_IDENTITY)
        snprintf(out + strlen(out), FORM_TAG_TEXT - strlen(out), "-%s",
                 coding_name(choice->coding));
}
