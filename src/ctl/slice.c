/* src/ctl/slice.c -- finding where a JSON value ends (RFC 8259). */
#include "ctl/slice.h"

#include <string.h>

#include "base/str.h"

static const char *skip(const char *at, const char *end, const char *set)
{
    while (at < end && *at != '\0' && strchr(set, *at) != NULL)
        at++;
    return at;
}

static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++) {
        if (*at == '\\' && at + 1 < end)
            at++;
    }
    return at < end ? at + 1 : end;
}

static const char *skip_value(const char *at, const char *end)
{
    int depth = 0;

    do {
        if (at < end && *at == '"') {
            at = skip_string(at, end);
            continue;
        }
        if (at < end && (*at == '{' || *at == '['))
            depth++;
        else if (at < end && (*at == '}' || *at == ']'))
            depth--;
        else if (depth == 0)
            return at + strcspn(at, ",]} \t\r\n");
        at++;
    } while (depth > 0 && at < end);
    return at;
}

struct slice slice_inside(struct slice value)
{
    bool holds = value.end - value.at >= 2 && (*value.at == '{' || *value.at == '[');

    return holds ? (struct slice){value.at + 1, value.end - 1} : (struct slice){"", ""};
}

bool slice_next(struct slice *rest, struct slice *key, struct slice *value)
{
    const char *at = skip(rest->at, rest->end, ", \t\r\n");

    rest->at = at;
    if (at >= rest->end || (key != NULL && *at != '"'))
        return false;
    if (key != NULL) {
        *key = (struct slice){at, skip_string(at, rest->end)};
        at = skip(key->end, rest->end, ": \t\r\n");
    }
    *value = (struct slice){at, skip_value(at, rest->end)};
    if (value->end > rest->end || value->end <= at)
        return false;
    rest->at = value->end;
    return true;
}

bool slice_member(struct slice object, const char *name, struct slice *ret)
{
    struct slice rest = slice_inside(object), key;
    size_t len = strlen(name);

    while (slice_next(&rest, &key, ret)) {
        if ((size_t)(key.end - key.at) == len + 2 && memcmp(key.at + 1, name, len) == 0)
            return true;
    }
    return false;
}

bool slice_is(struct slice value, const char *text)
{
    size_t len = strlen(text);

    return (size_t)(value.end - value.at) == len && memcmp(value.at, text, len) == 0;
}

bool slice_number(struct slice value, int64_t *ret)
{
    size_t len = (size_t)(value.end - value.at);
    char text[24] = "";

    if (len >= sizeof(text))
        return false;
    memcpy(text, value.at, len);
    return str_to_int64(text, ret);
}
