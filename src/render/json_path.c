/* src/render/json_path.c -- "array[].object.name" taken apart. */
#include "render/json_path.h"

#include <string.h>

enum { NAME_MAX_BYTES = 1024 };

static int misfit(const char *name, const char *why, struct err *err)
{
    return err_set(err, -E_SOURCE, "The column '%.128s' %s.", name, why);
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
                               : "nests too deeply; write 'object.name'";
    if (!is_array(&part)) {
        path->object = part;
        return NULL;
    }
    if (path->level == JSON_ARRAYS_MAX)
        return "nests arrays too deeply; write 'array[].array[].name'";
    part.len -= 2;
    path->arrays[path->level++] = part;
    return NULL;
}

/* Move the part at *at, up to a dot or the end, into *keys; *at is behind the dot then, NULL behind
 * the last part. */
static struct json_part cut_part(const char **at, char **keys)
{
    struct json_part part = {.at = *keys};
    const char *from = *at;

    for (; *from != '\0' && *from != '.'; from++) {
        from += from[0] == '\\' && from[1] == '.';
        *(*keys)++ = *from;
    }
    part.len = (size_t)(*keys - part.at);
    *at = *from == '.' ? from + 1 : NULL;
    return part;
}

static const char *parse(const char *name, char *keys, struct json_path *path)
{
    for (const char *at = name; at != NULL;) {
        struct json_part part = cut_part(&at, &keys);
        const char *why = NULL;

        if (part.len == 0 || (at != NULL && part.len == 2 && is_array(&part)))
            return "has an empty name, or an empty part in it";
        if (at != NULL)
            why = add_part(path, part);
        else if (is_array(&part))
            return "names no column of the array; write 'array[].name'";
        else
            path->leaf = part;
        if (why != NULL)
            return why;
    }
    return NULL;
}

int json_path_parse(const char *name, bool nests, char *keys, struct json_path *ret,
                    struct err *err)
{
    struct json_path path = {.level = 0};
    const char *why = NULL;
    size_t len = strlen(name);

    if (len > NAME_MAX_BYTES)
        why = "has a name that is too long; give it a shorter one";
    else if (len == 0)
        why = "has an empty name, or an empty part in it";
    else if (nests)
        why = parse(name, keys, &path);
    else
        path.leaf = (struct json_part){.at = memcpy(keys, name, len + 1), .len = len};
    if (why != NULL)
        return misfit(name, why, err);
    *ret = path;
    return 0;
}
