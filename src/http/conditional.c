/* src/http/conditional.c -- If-None-Match, If-Range and Range, read from their text. */
#include "http/conditional.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

/* The opaque part of an entity tag: with its quotes, without W/. */
static const char *opaque(const char *etag)
{
    return str_starts(etag, "W/") ? etag + 2 : etag;
}

bool etag_listed(const char *list, const char *etag)
{
    const char *wanted = opaque(etag);
    size_t len = strlen(wanted);

    if (list == NULL)
        return false;
    if (strcmp(list, "*") == 0)
        return true;
    for (const char *at = list; *at != '\0';) {
        const char *end;

        at += strspn(at, ", \t");
        at = opaque(at);
        end = *at == '"' ? strchr(at + 1, '"') : NULL;
        if (end == NULL)
            return false;
        if ((size_t)(end + 1 - at) == len && memcmp(at, wanted, len) == 0)
            return true;
        at = end + 1;
    }
    return false;
}

bool if_range_holds(const char *header, const char *etag, const char *modified)
{
    return header == NULL || strcmp(header, etag) == 0 || strcmp(header, modified) == 0;
}

/* Digits at *at as a number, cut at INT64_MAX (an end behind the end is allowed), or -1 if there
 * are none; moves *at. */
static int64_t read_position(const char **at)
{
    char *end;
    int64_t value;

    if (**at < '0' || **at > '9')
        return -1;
    value = strtoll(*at, &end, 10);
    *at = end;
    return value;
}

/* "bytes=FIRST-LAST", either of them -1 if left out, but not both. */
static bool read_one_range(const char *header, int64_t *ret_first, int64_t *ret_last)
{
    if (header == NULL || strncasecmp(header, "bytes=", 6) != 0)
        return false;
    header += 6;
    *ret_first = read_position(&header);
    if (*header++ != '-')
        return false;
    *ret_last = read_position(&header);
    return *header == '\0' && (*ret_first >= 0 || *ret_last >= 0) &&
           (*ret_last < 0 || *ret_first <= *ret_last);
}

enum range_kind range_read(const char *header, int64_t size, int64_t *ret_first,
                           int64_t *ret_length)
{
    int64_t first, last;

    if (!read_one_range(header, &first, &last))
        return RANGE_WHOLE;
    if (first < 0) { /* the last `last` bytes */
        if (last == 0)
            return RANGE_NONE;
        first = last < size ? size - last : 0;
        last = -1;
    }
    if (first >= size)
        return RANGE_NONE;
    if (last < 0 || last >= size)
        last = size - 1;
    *ret_first = first;
    *ret_length = last - first + 1;
    return RANGE_PART;
}
