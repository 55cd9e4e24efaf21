/* src/render/form.c -- writes a stored result block by block: unchanged, as lines, or as a
 * table. */
#include "render/form.h"

#include <stdlib.h>

#include "render/form_lines.h"
#include "render/form_rows.h"

enum stage { STAGE_BEGIN, STAGE_PART, STAGE_ROWS, STAGE_END, STAGE_OVER };

struct form_writer {
    struct form_spec spec;
    struct form_lines *lines;     /* NDJSON, if this result can be read so … */
    struct form_rows *rows;       /* … or else, and for tables */
    const struct form_table *ops; /* NULL: JSON or NDJSON */
    void *table;
    enum stage stage;
    size_t part; /* number in the footer: the part being read, or the next one */
    int64_t at;  /* JSON: how much of it has been written */
};

static int open_table(struct form_writer *writer, struct err *err)
{
    switch (writer->spec.form) {
    case FORM_JSON:
    case FORM_NDJSON:
        return 0;
    case FORM_CSV:
        writer->ops = &form_csv_table;
        return form_csv_new(&writer->spec, &writer->table, err);
    case FORM_XLSX:
        writer->ops = &form_xlsx_table;
        return form_xlsx_new(&writer->spec, &writer->table, err);
    default:
        return err_set(err, -E_NOT_ACCEPTABLE, "There is no such form.");
    }
}

int form_new(const struct form_spec *spec, struct form_writer **ret, struct err *err)
{
    struct form_writer *writer = calloc(1, sizeof(*writer));
    int rc;

    if (writer == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    writer->spec = *spec;
    rc = open_table(writer, err);
    if (rc == 0 && spec->form == FORM_NDJSON)
        rc = form_lines_new(&writer->spec, &writer->lines, err);
    if (rc == 0 && spec->form != FORM_JSON && writer->lines == NULL)
        rc = form_rows_new(&writer->spec, &writer->rows, err);
    if (rc < 0) {
        form_free(writer);
        return rc;
    }
    *ret = writer;
    return 0;
}

void form_free(struct form_writer *writer)
{
    if (writer == NULL)
        return;
    if (writer->table != NULL)
        writer->ops->free(writer->table);
    form_lines_free(writer->lines);
    form_rows_free(writer->rows);
    free(writer);
}

static const struct footer_part *part_of(const struct form_writer *writer)
{
    return &writer->spec.footer->parts[writer->part];
}

/* ---- JSON ---- */

static int more_bytes(struct form_writer *writer, struct buf *out, struct err *err)
{
    int64_t left = writer->spec.bytes - writer->at;
    size_t len = left < FORM_BLOCK ? (size_t)left : FORM_BLOCK;
    char *room = buf_reserve(out, len);
    int rc;

    if (room == NULL)
        return 0;
    rc = writer->spec.read(writer->spec.context, writer->at, room, len, err);
    if (rc < 0)
        return rc;
    out->len += len;
    out->data[out->len] = '\0';
    writer->at += (int64_t)len;
    return writer->at < writer->spec.bytes;
}

/* ---- NDJSON ---- */

static int more_lines(struct form_writer *writer, struct buf *out, struct err *err)
{
    int rc = 0;

    if (writer->lines != NULL)
        return form_lines_more(writer->lines, FORM_LINES_BLOCK, out, err);
    if (writer->stage == STAGE_BEGIN)
        rc = form_rows_begin(writer->rows, part_of(writer), err);
    writer->stage = STAGE_ROWS;
    return rc < 0 ? rc : form_rows_lines(writer->rows, FORM_LINES_BLOCK, out, err);
}

/* ---- tables ---- */

static int begin_part(struct form_writer *writer, struct buf *out, struct err *err)
{
    int rc = form_rows_begin(writer->rows, part_of(writer), err);

    writer->stage = STAGE_ROWS;
    return rc < 0 ? rc : writer->ops->begin_part(writer->table, part_of(writer), out, err);
}

static int end_part(struct form_writer *writer, struct buf *out, struct err *err)
{
    size_t count = writer->ops->all_parts ? writer->spec.footer->part_count : 1;

    writer->part++;
    writer->stage = writer->part < count ? STAGE_PART : STAGE_END;
    return writer->ops->end_part(writer->table, out, err);
}

static int add_rows(struct form_writer *writer, size_t least, struct buf *out, struct err *err)
{
    const struct form_value *values;
    int rc = 0;

    while (rc == 0 && out->len < least) {
        rc = form_rows_next(writer->rows, &values, err);
        if (rc == 0)
            return end_part(writer, out, err);
        if (rc > 0)
            rc = writer->ops->row(writer->table, values, out, err);
    }
    return rc;
}

static int advance_writer(struct form_writer *writer, size_t least, struct buf *out,
                          struct err *err)
{
    switch (writer->stage) {
    case STAGE_BEGIN:
        writer->stage = STAGE_PART;
        return writer->ops->begin(writer->table, out, err);
    case STAGE_PART:
        return begin_part(writer, out, err);
    case STAGE_ROWS:
        return add_rows(writer, least, out, err);
    default:
        writer->stage = STAGE_OVER;
        return writer->ops->end(writer->table, out, err);
    }
}

static int more_table(struct form_writer *writer, struct buf *out, struct err *err)
{
    size_t least = out->len + FORM_BLOCK;
    int rc = 0;

    while (rc == 0 && writer->stage != STAGE_OVER && out->len < least)
        rc = advance_writer(writer, least, out, err);
    return rc < 0 ? rc : writer->stage != STAGE_OVER;
}

int form_more(struct form_writer *writer, struct buf *out, struct err *err)
{
    int rc;

    if (writer->ops != NULL)
        rc = more_table(writer, out, err);
    else if (writer->spec.form == FORM_JSON)
        rc = more_bytes(writer, out, err);
    else
        rc = more_lines(writer, out, err);
    if (rc >= 0 && buf_failed(out))
        return err_set(err, -E_NOMEM, "Out of memory.");
    return rc;
}
