/* src/render/xlsx_about.c -- the last sheet: the report's name, its time and its parameters, from
 * the beginning of the result. */
#include <string.h>

#include "render/xlsx_impl.h"

/* Where the head is read. It is compact JSON, as a run writes it. */
struct scan {
    const char *at, *end;
};

static bool take_char(struct scan *scan, char c)
{
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

/* The content of a text; its opening quote has been read. */
static bool take_text(struct scan *scan, struct form_value *ret)
{
    const char *first = scan->at;

    while (scan->at < scan->end && *scan->at != '"')
        scan->at += *scan->at == '\\' && scan->end - scan->at > 1 ? 2 : 1;
    *ret = (struct form_value){FORM_TEXT, first, (size_t)(scan->at - first)};
    return take_char(scan, '"');
}

/* An array or an object, whole. */
static bool take_nested(struct scan *scan, struct form_value *ret)
{
    const char *first = scan->at;
    struct form_value text;
    int depth = 0;

    while (scan->at < scan->end) {
        char c = *scan->at++;

        if (c == '"' && !take_text(scan, &text))
            return false;
        depth += (c == '[' || c == '{') - (c == ']' || c == '}');
        if (depth == 0) {
            *ret = (struct form_value){FORM_VALUE, first, (size_t)(scan->at - first)};
            return true;
        }
    }
    return false;
}

static bool take_value(struct scan *scan, struct form_value *ret)
{
    const char *first = scan->at;
    size_t len;

    if (take_char(scan, '"'))
        return take_text(scan, ret);
    if (first < scan->end && (*first == '[' || *first == '{'))
        return take_nested(scan, ret);
    while (scan->at < scan->end && strchr(",]}", *scan->at) == NULL)
        scan->at++;
    len = (size_t)(scan->at - first);
    *ret = (struct form_value){FORM_NUMBER, first, len};
    if (len > 0 && *first == 'n')
        ret->kind = FORM_NULL;
    else if (len > 0 && (*first == 't' || *first == 'f'))
        ret->kind = *first == 't' ? FORM_TRUE : FORM_FALSE;
    return len > 0;
}

static bool take_key(struct scan *scan, struct form_value *ret)
{
    return take_char(scan, '"') && take_text(scan, ret) && take_char(scan, ':');
}

static bool is_key(const struct form_value *key, const char *name)
{
    return key->len == strlen(name) && memcmp(key->at, name, key->len) == 0;
}

/* ---- rows ---- */

struct about {
    struct xlsx *xlsx;
    struct xlsx_column name, value;
    struct buf *out;
    struct err *err;
    int rc;
};

static void add_row(struct about *about, const struct form_value *name,
                    const struct form_value *value)
{
    struct xlsx *xlsx = about->xlsx;

    if (about->rc < 0)
        return;
    xlsx_row_begin(&xlsx->row, ++xlsx->rows);
    xlsx_add_text(&xlsx->row, &about->name, XLSX_BOLD, name->at, name->len);
    xlsx_add_value(&xlsx->row, &about->value, value);
    buf_add_str(&xlsx->xml, "</row>");
    about->rc = xlsx_flush(xlsx, about->out, about->err);
}

/* Each element of a list has a row. */
static bool add_list(struct about *about, const struct form_value *name,
                     const struct form_value *list)
{
    struct scan scan = {list->at + 1, list->at + list->len};
    struct form_value value = {FORM_NULL, "", 0};

    if (take_char(&scan, ']')) {
        add_row(about, name, &value);
        return true;
    }
    do {
        if (!take_value(&scan, &value))
            return false;
        add_row(about, name, &value);
    } while (take_char(&scan, ','));
    return take_char(&scan, ']');
}

static bool add_parameters(struct about *about, const struct form_value *parameters)
{
    struct scan scan = {parameters->at, parameters->at + parameters->len};
    struct form_value name, value;

    if (!take_char(&scan, '{'))
        return false;
    if (take_char(&scan, '}'))
        return true;
    do {
        if (!take_key(&scan, &name) || !take_value(&scan, &value))
            return false;
        if (value.kind != FORM_VALUE)
            add_row(about, &name, &value);
        else if (*value.at != '[' || !add_list(about, &name, &value))
            return false;
    } while (take_char(&scan, ','));
    return take_char(&scan, '}');
}

/* {…,"data":{"reportName":…,"generatedDate":…,"parameters":{…},"results":[ */
static bool add_head(struct about *about)
{
    struct scan scan = {about->xlsx->head, about->xlsx->head + about->xlsx->head_len};
    struct form_value key, value;

    if (!take_char(&scan, '{'))
        return false;
    while (take_key(&scan, &key) && !is_key(&key, "data")) {
        if (!take_value(&scan, &value) || !take_char(&scan, ','))
            return false;
    }
    if (!take_char(&scan, '{'))
        return false;
    while (take_key(&scan, &key) && !is_key(&key, "results")) {
        bool is_time = is_key(&key, "generatedDate");

        if (!take_value(&scan, &value) || !take_char(&scan, ','))
            return false;
        about->value.type = is_time ? FOOTER_TIMESTAMP : FOOTER_STRING;
        if (!is_key(&key, "parameters"))
            add_row(about, &key, &value);
        else if (!add_parameters(about, &value))
            return false;
    }
    return take_char(&scan, '[') && scan.at == scan.end;
}

int xlsx_add_about(struct xlsx *xlsx, struct buf *out, struct err *err)
{
    struct about about = {.xlsx = xlsx, .out = out, .err = err};
    int rc = xlsx_open_sheet(xlsx, "about", out, err);

    if (rc < 0)
        return rc;
    xlsx_column_init(&about.name, 0, NULL);
    xlsx_column_init(&about.value, 1, NULL);
    buf_add_str(&xlsx->xml, "<cols><col min=\"1\" max=\"2\" width=\"30\" customWidth=\"1\"/></cols>"
                            "<sheetData>");
    if (!add_head(&about))
        return err_set(err, -E_INTERNAL, "the stored result is not what was written");
    buf_add_str(&xlsx->xml, "</sheetData></worksheet>");
    rc = about.rc < 0 ? about.rc : xlsx_flush(xlsx, out, err);
    return rc == 0 ? zip_stream_close(xlsx->zip, out, err) : rc;
}
