/* src/proc/result_footer.c -- the index of a result keeps every second offset whenever it is full.
 */
#include "proc/result_footer.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM_FIRST = 64 };

int result_footer_init(struct result_footer *rf, const struct definition *def, struct err *err)
{
    size_t count = def->set_count + 2;

    rf->def = def;
    rf->footer = (struct footer){.stride = FOOTER_STRIDE,
                                 .parts = calloc(count, sizeof(rf->footer.parts[0]))};
    if (rf->footer.parts == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    rf->footer.part_count = count;
    for (size_t i = 0; i < count; i++) {
        const char *name = i == 0 ? "results" : i == count - 1 ? "summary" : def->sets[i - 1].name;

        rf->footer.parts[i].name = strdup(name);
        if (rf->footer.parts[i].name == NULL)
            return err_set(err, -E_NOMEM, "Out of memory.");
    }
    return 0;
}

void result_footer_done(struct result_footer *rf)
{
    footer_done(&rf->footer);
    free(rf->offsets);
}

static void halve(struct result_footer *rf)
{
    struct footer *footer = &rf->footer;

    for (int64_t i = 0; 2 * i < footer->index_count; i++)
        rf->offsets[i] = rf->offsets[2 * i];
    footer->index_count = (footer->index_count + 1) / 2;
    footer->stride *= 2;
}

static void make_room(struct result_footer *rf)
{
    size_t room = rf->room > 0 ? 2 * rf->room : ROOM_FIRST;
    void *grown =
        room <= FOOTER_INDEX_MAX ? realloc(rf->offsets, room * sizeof(rf->offsets[0])) : NULL;

    if (grown != NULL) {
        rf->offsets = grown;
        rf->room = room;
    } else if (rf->room > 0) {
        halve(rf);
    }
}

void result_footer_row(struct result_footer *rf, int64_t row, int64_t at)
{
    struct footer *footer = &rf->footer;

    if (!result_footer_wants(rf, row))
        return;
    if ((size_t)footer->index_count == rf->room) {
        make_room(rf);
        if (!result_footer_wants(rf, row) || rf->room == 0)
            return;
    }
    rf->offsets[footer->index_count++] = htole64((uint64_t)at);
}

int result_footer_part(struct result_footer *rf, size_t number, int64_t at, int64_t end,
                       const struct json_rows *rows, struct err *err)
{
    struct footer_part *part = &rf->footer.parts[number];

    part->at = at;
    part->end = end;
    if (rows == NULL)
        return 0;
    part->rows = (int64_t)json_rows_objects(rows);
    return json_rows_describe(rows, rf->def, part, err);
}

int result_footer_write(struct result_footer *rf, int64_t at, struct buf *out, struct err *err)
{
    rf->footer.index_at = at;
    buf_add(out, rf->offsets, (size_t)rf->footer.index_count * sizeof(rf->offsets[0]));
    return footer_write(&rf->footer, out, err);
}
