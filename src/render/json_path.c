/* src/render/json_path.c -- "array[].object.name" taken apart. */
#include "render/json_path.h"

#include <string.h>

enum { NAME_MAX_BYTES = 1024 };

static int misfit(const char *name, const char *why, struct err *err)
{
    return err_set(err, -E_SOURCE, "The column '%s' %s.", name, why);
}

bool json_part_eq(const struct json_part *a, const struct json_part *b)
{
    return a->len == b->len && memcmp(a->at, b->at, a->len) == 0;
}

static bool is_array(const struct json_part *part)
{
    return part->len >= 2 && memcmp(part->at + part->len - 2, "[]", 2) == 0;
}

/* A part that stands before a dot. */
static const char *add_part(struct json_path *path, struct json_part part)
{
    if (path->object.len > 0)
        return is_array(&part) ? "puts an array into an object; write 'array[].name'"
                               : "nests too deep; write 'object.name'";
    if (!is_array(&part)) {
        path->object = part;
        return NULL;
    }
    if (path->level == JSON_ARRAYS_MAX)
        return "nests arrays too deep; write 'array[].array[].name'";
    part.len -= 2;
    path->arrays[path->level++] = part;
    return NULL;
}

int json_path_parse(const char *name, struct json_path *ret, struct err *err)
{
    struct json_path path = {.level = 0};
    const char *at = name, *dot, *why = NULL;

    if (strlen(name) > NAME_MAX_BYTES)
        return misfit(name, "has a name that is too long", err);
    for (; why == NULL && (dot = strchr(at, '.')) != NULL; at = dot + 1) {
        struct json_part part = {.at = at, .len = (size_t)(dot - at)};

        if (part.len == 0 || (part.len == 2 && is_array(&part)))
            why = "has an empty name or part of a name";
        else
            why = add_part(&path, part);
    }
    path.leaf = (struct json_part){.at = at, .len = strlen(at)};
    if (why == NULL && path.leaf.len == 0)
        why = "has an empty name or part of a name";
    if (why == NULL && is_array(&path.leaf))
        why = "names no column of the array; write 'array[].name'";
    if (why != NULL)
        return misfit(name, why, err);
    *ret = path;
    return 0;
}
