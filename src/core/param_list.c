/* src/core/param_list.c -- lists: "1,2,3" or a JSON array in a string. */
#include "core/param_list.h"

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#include "base/json.h"
#include "core/json_read.h"

static const char blanks[] = " \t\r\n";
static const char is_broken[] = "takes a list: values with commas between them, or a JSON array of "
                                "strings; what begins with [ here is not one.";

static bool is_blank(char c)
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
        for (; len > 0 && is_blank(*text); len--)
            text++;
        while (len > 0 && is_blank(text[len - 1]))
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

/* A JSON string with escapes in it: text[len] has its quotes. */
static bool add_escaped(struct buf *out, const char *text, size_t len)
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

/* Read a string at *at, which goes behind it. */
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
        return add_escaped(out, start - 1, (size_t)(end + 2 - start));
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

/* `at` stands behind the opening bracket. */
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

const char *param_list_split(const char *text, struct buf *out, size_t *ret_count)
{
    *ret_count = 0;
    text += strspn(text, blanks);
    if (*text == '\0')
        return NULL;
    return *text == '[' ? split_array(text + 1, out, ret_count)
                        : split_commas(text, out, ret_count);
}

/* Would it be read back from between two commas? */
static bool is_plain(const char *item, size_t len)
{
    return len > 0 && !is_blank(*item) && !is_blank(item[len - 1]) && strchr(item, ',') == NULL &&
           *item != '[';
}

void param_list_add(struct buf *out, const char *items, size_t count)
{
    const char *item = items;
    bool plain = true;

    for (size_t i = 0; plain && i < count; i++, item += strlen(item) + 1)
        plain = is_plain(item, strlen(item));
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
