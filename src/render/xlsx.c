/* src/render/xlsx.c -- parts of a result → sheets: a header row, rows, and a further sheet when one
 * is full. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "render/xlsx_impl.h"

enum {
    WIDTH_MAX = 60, /* characters */
    WIDTH_DATE = 11,
    WIDTH_TIME = 24,
    WIDTH_NUMBER = 18, /* XLSX_DIGITS, a sign, a point: a number that is cut off shows as #### */
    WIDTH_BUTTON = 3,  /* that of the filter, in the header row */
    ROW_BYTES_MAX = 256 << 20,
};

/* The XML of a sheet, which is one entry of the archive; then follows a further sheet. */
static const uint64_t sheet_bytes_max = UINT32_MAX - ROW_BYTES_MAX;

/* ---- begin and end ---- */

static const char *column_title(const struct footer_column *column, bool labels)
{
    return labels && column->label != NULL ? column->label : column->name;
}

static bool is_number(const struct footer_column *column)
{
    return column->type == FOOTER_INTEGER || column->type == FOOTER_DECIMAL ||
           column->type == FOOTER_NUMBER;
}

/* Does the part fit into a sheet? */
static int check_part(const struct footer_part *part, struct err *err)
{
    if (part->column_count > XLSX_COLUMNS_MAX)
        return err_set(
            err, -E_PARAM,
            "'%.40s' has %zu columns, and a sheet of XLSX has at most %d. Get the result "
            "as JSON, NDJSON or CSV.",
            part->name, part->column_count, XLSX_COLUMNS_MAX);
    for (size_t i = 0; i < part->column_count; i++) {
        const struct footer_column *column = &part->columns[i];

        if (column->longest > XLSX_TEXT_MAX)
            return err_set(err, -E_PARAM,
                           "The column '%.100s' has a %s of %" PRId64
                           " characters, and a cell of XLSX has at most %d. Get the result as "
                           "JSON, NDJSON or CSV.",
                           column->name, is_number(column) ? "number" : "text", column->longest,
                           XLSX_TEXT_MAX);
    }
    return 0;
}

static int read_head(struct xlsx *xlsx, const struct form_spec *spec, struct err *err)
{
    int64_t len = spec->footer->part_count > 0 ? spec->footer->parts[0].at : 0;
    int rc;

    if (len <= 0 || len > XLSX_HEAD_MAX)
        return err_set(err, -E_INTERNAL, "the stored result is not what was written");
    xlsx->head = malloc((size_t)len);
    if (xlsx->head == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    rc = spec->read(spec->context, 0, xlsx->head, (size_t)len, err);
    if (rc < 0)
        return rc;
    xlsx->head_len = (size_t)len;
    return 0;
}

static void free_table(void *table)
{
    struct xlsx *xlsx = table;

    if (xlsx == NULL)
        return;
    zip_stream_free(xlsx->zip);
    buf_done(&xlsx->xml);
    buf_done(&xlsx->scratch);
    free(xlsx->head);
    free(xlsx->columns);
    free(xlsx->names);
    free(xlsx);
}

int form_xlsx_new(const struct form_spec *spec, void **ret, struct err *err)
{
    struct xlsx *xlsx;
    int rc = 0;

    for (size_t i = 0; i < spec->footer->part_count && rc == 0; i++)
        rc = check_part(&spec->footer->parts[i], err);
    if (rc < 0)
        return rc;
    xlsx = calloc(1, sizeof(*xlsx));
    if (xlsx == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    buf_init(&xlsx->xml, XLSX_XML_MAX);
    buf_init(&xlsx->scratch, XLSX_XML_MAX);
    xlsx->row.xml = &xlsx->xml;
    xlsx->row.scratch = &xlsx->scratch;
    xlsx->labels = spec->options.labels;
    rc = zip_stream_new(&xlsx->zip, err);
    if (rc == 0)
        rc = read_head(xlsx, spec, err);
    if (rc < 0) {
        free_table(xlsx);
        return rc;
    }
    *ret = xlsx;
    return 0;
}

/* ---- sheets ---- */

/* Characters: a text has at most as many as UTF-16 units, or bytes. */
static int64_t column_width(const struct footer_column *column, const char *title)
{
    static const int widths[FOOTER_TYPE_COUNT] = {
        [FOOTER_INTEGER] = WIDTH_NUMBER, [FOOTER_DECIMAL] = WIDTH_NUMBER,
        [FOOTER_NUMBER] = WIDTH_NUMBER,  [FOOTER_DATE] = WIDTH_DATE,
        [FOOTER_TIMESTAMP] = WIDTH_TIME,
    };
    int64_t width = (int64_t)strlen(title) + WIDTH_BUTTON;

    if (column->longest > width)
        width = column->longest + 1;
    if (column->type == FOOTER_DECIMAL && column->scale <= XLSX_SCALE_MAX &&
        column->scale + 4 > width)
        width = column->scale + 4;
    width = width < WIDTH_MAX ? width : WIDTH_MAX;
    return width > widths[column->type] ? width : widths[column->type];
}

/* Compress what has come, if that is enough. */
static int flush_full(struct xlsx *xlsx, struct buf *out, struct err *err)
{
    return xlsx->xml.len < XLSX_XML_STEP ? 0 : xlsx_flush(xlsx, out, err);
}

static int add_columns(struct xlsx *xlsx, struct buf *out, struct err *err)
{
    const struct footer_part *part = xlsx->part;
    int rc = 0;

    if (part->column_count == 0)
        return 0; /* an element without children is not allowed */
    buf_add_str(&xlsx->xml, "<cols>");
    for (size_t i = 0; i < part->column_count && rc == 0; i++) {
        const struct footer_column *column = &part->columns[i];

        buf_add_format(&xlsx->xml,
                       "<col min=\"%zu\" max=\"%zu\" width=\"%" PRId64 "\" customWidth=\"1\"/>",
                       i + 1, i + 1, column_width(column, column_title(column, xlsx->labels)));
        rc = flush_full(xlsx, out, err);
    }
    buf_add_str(&xlsx->xml, "</cols>");
    return rc;
}

static int add_header(struct xlsx *xlsx, struct buf *out, struct err *err)
{
    const struct footer_part *part = xlsx->part;
    int rc = 0;

    xlsx_row_begin(&xlsx->row, ++xlsx->rows);
    for (size_t i = 0; i < part->column_count && rc == 0; i++) {
        const char *title = column_title(&part->columns[i], xlsx->labels);

        xlsx_add_text(&xlsx->row, &xlsx->columns[i], XLSX_BOLD, title, strlen(title));
        rc = flush_full(xlsx, out, err);
    }
    buf_add_str(&xlsx->xml, "</row>");
    return rc;
}

static int open_sheet(struct xlsx *xlsx, struct buf *out, struct err *err)
{
    int rc = xlsx_open_sheet(xlsx, xlsx->part->name, out, err);

    if (rc < 0)
        return rc;
    buf_add_str(&xlsx->xml,
                "<sheetViews><sheetView workbookViewId=\"0\"><pane ySplit=\"1\" "
                "topLeftCell=\"A2\" activePane=\"bottomLeft\" state=\"frozen\"/></sheetView>"
                "</sheetViews>");
    rc = add_columns(xlsx, out, err);
    buf_add_str(&xlsx->xml, "<sheetData>");
    return rc < 0 ? rc : add_header(xlsx, out, err);
}

static int close_sheet(struct xlsx *xlsx, struct buf *out, struct err *err)
{
    const struct xlsx_column *last = &xlsx->columns[xlsx->column_count];
    int rc;

    buf_add_str(&xlsx->xml, "</sheetData>");
    if (xlsx->column_count > 0) {
        last--;
        buf_add_format(&xlsx->xml, "<autoFilter ref=\"A1:%.*s%" PRIu32 "\"/>",
                       (int)last->letter_count, last->letters, xlsx->rows);
    }
    buf_add_str(&xlsx->xml, "</worksheet>");
    rc = xlsx_flush(xlsx, out, err);
    return rc == 0 ? zip_stream_close(xlsx->zip, out, err) : rc;
}

/* ---- the calls of a form_table ---- */

static int begin(void *table, struct buf *out, struct err *err)
{
    (void)table, (void)out, (void)err; /* the first sheet is the beginning of the archive */
    return 0;
}

/* The summary of a report without one. */
static bool has_no_sheet(const struct footer_part *part)
{
    return part->rows == 0 && str_eq(part->name, "summary");
}

static int begin_part(void *table, const struct footer_part *part, struct buf *out, struct err *err)
{
    struct xlsx *xlsx = table;
    struct xlsx_column *columns;

    xlsx->part = part;
    if (has_no_sheet(part))
        return 0;
    columns = reallocarray(xlsx->columns, part->column_count + 1, sizeof(*columns));
    if (columns == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    xlsx->columns = columns;
    xlsx->column_count = part->column_count;
    for (size_t i = 0; i < part->column_count; i++)
        xlsx_column_init(&columns[i], i, &part->columns[i]);
    return open_sheet(xlsx, out, err);
}

static int add_row(void *table, const struct form_value *values, struct buf *out, struct err *err)
{
    struct xlsx *xlsx = table;
    int rc = 0;

    if (xlsx->rows == XLSX_ROWS_MAX || xlsx->bytes > sheet_bytes_max) {
        rc = close_sheet(xlsx, out, err);
        if (rc == 0)
            rc = open_sheet(xlsx, out, err);
    }
    xlsx_row_begin(&xlsx->row, ++xlsx->rows);
    for (size_t i = 0; i < xlsx->column_count && rc == 0; i++) {
        if (!xlsx_add_value(&xlsx->row, &xlsx->columns[i], &values[i]))
            return err_set(err, -E_PARAM, "The column '%.100s' has a number of %zu digits.",
                           xlsx->part->columns[i].name, values[i].len);
        rc = flush_full(xlsx, out, err);
    }
    buf_add(&xlsx->xml, "</row>", 6);
    return rc < 0 || !buf_failed(&xlsx->xml) ? rc : err_set(err, -E_NOMEM, "Out of memory.");
}

static int end_part(void *table, struct buf *out, struct err *err)
{
    struct xlsx *xlsx = table;

    return has_no_sheet(xlsx->part) ? 0 : close_sheet(xlsx, out, err);
}

static int end(void *table, struct buf *out, struct err *err)
{
    int rc = xlsx_add_about(table, out, err);

    return rc == 0 ? xlsx_finish(table, out, err) : rc;
}

const struct form_table form_xlsx_table = {
    .begin = begin,
    .begin_part = begin_part,
    .row = add_row,
    .end_part = end_part,
    .end = end,
    .free = free_table,
    .all_parts = true,
};
