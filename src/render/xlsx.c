/* src/render/xlsx.c -- parts of a result → sheets: a header row, then the rows, and another sheet
 * whenever one is full. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "render/form.h"
#include "render/xlsx_cell.h"
#include "render/zip_stream.h"

#define XML "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n"
#define MAIN "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
#define PACKAGE "http://schemas.openxmlformats.org/package/2006/"
#define OFFICE "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
#define MEDIA "application/vnd.openxmlformats-officedocument.spreadsheetml."

enum { FORMATS_FIRST = 164 /* smaller numbers are defined by ECMA-376 part 1, 18.8.30 */ };

enum {
    XLSX_NAME_MAX = 31,       /* characters of a sheet's name */
    XLSX_XML_STEP = 64 << 10, /* bytes of XML compressed at a time, plus one cell */
    XLSX_XML_MAX = 1 << 20,
    XLSX_HEAD_MAX = 4 << 20, /* bytes before the results: 64 times the limit of a request */
};

struct xlsx {
    struct zip_stream *zip;
    struct buf xml, scratch;
    char *head; /* the JSON before the first row */
    size_t head_len;
    bool labels;
    /* The sheet that is being written. */
    const struct footer_part *part;
    struct xlsx_column *columns;
    size_t column_count;
    struct xlsx_row row;
    uint32_t rows;  /* of the sheet, including its header … */
    uint64_t bytes; /* … and bytes of its XML */
    /* All sheets so far. */
    char (*names)[XLSX_NAME_MAX + 1];
    size_t sheet_count;
};

/* ---- sheets and their names ---- */

/* Excel keeps "History" for itself, and exceljs reads no workbook with such a sheet. */
static bool is_sheet_name_taken(const struct xlsx *xlsx, const char *name)
{
    if (str_eq_nocase(name, "History"))
        return true;
    for (size_t i = 0; i < xlsx->sheet_count; i++) {
        if (str_eq_nocase(xlsx->names[i], name))
            return true;
    }
    return false;
}

/* The next sheet's name: `name`, cut, with " 2", " 3", … if necessary. Names of parts are ASCII
 * letters, digits and `_`. */
static int name_sheet(struct xlsx *xlsx, const char *name, struct err *err)
{
    char text[XLSX_NAME_MAX + 1], number[12] = "";
    void *names = reallocarray(xlsx->names, xlsx->sheet_count + 1, sizeof(*xlsx->names));

    if (names == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    xlsx->names = names;
    for (unsigned i = 2;; i++) {
        int room = XLSX_NAME_MAX - (int)strlen(number);

        snprintf(text, sizeof(text), "%.*s%s", room, name, number);
        if (!is_sheet_name_taken(xlsx, text))
            break;
        snprintf(number, sizeof(number), " %u", i);
    }
    memcpy(xlsx->names[xlsx->sheet_count++], text, sizeof(text));
    return 0;
}

/* Begin a sheet with a name like `name`. */
static int begin_sheet(struct xlsx *xlsx, const char *name, struct buf *out, struct err *err)
{
    char path[ZIP_STREAM_NAME];
    int rc = name_sheet(xlsx, name, err);

    if (rc < 0)
        return rc;
    snprintf(path, sizeof(path), "xl/worksheets/sheet%zu.xml", xlsx->sheet_count);
    xlsx->rows = 0;
    xlsx->bytes = 0;
    buf_reset(&xlsx->xml);
    buf_add_str(&xlsx->xml, XML "<worksheet xmlns=\"" MAIN "\">");
    return zip_stream_open(xlsx->zip, path, out, err);
}

/* Compress the XML that is waiting. */
static int flush_xml(struct xlsx *xlsx, struct buf *out, struct err *err)
{
    int rc;

    if (buf_failed(&xlsx->xml))
        return err_set(err, -E_NOMEM, "Out of memory.");
    xlsx->bytes += xlsx->xml.len;
    rc = zip_stream_add(xlsx->zip, buf_str(&xlsx->xml), xlsx->xml.len, out, err);
    buf_reset(&xlsx->xml);
    return rc;
}

/* ---- what makes the sheets a workbook ---- */

static void add_styles(struct buf *xml)
{
    static const char *const formats[XLSX_FIXED] = {
        [XLSX_DATE] = "yyyy\\-mm\\-dd",
        [XLSX_SECONDS] = "yyyy\\-mm\\-dd\\ hh:mm:ss",
        [XLSX_MILLISECONDS] = "yyyy\\-mm\\-dd\\ hh:mm:ss.000",
    };
    static const char zeros[XLSX_SCALE_MAX + 1] = "000000000000000000000000000000";

    buf_add_format(xml, "<styleSheet xmlns=\"" MAIN "\"><numFmts count=\"%d\">",
                   XLSX_STYLE_COUNT - XLSX_DATE);
    for (int i = XLSX_DATE; i < XLSX_STYLE_COUNT; i++) {
        buf_add_format(xml, "<numFmt numFmtId=\"%d\" formatCode=\"", FORMATS_FIRST + i);
        if (i < XLSX_FIXED)
            buf_add_str(xml, formats[i]);
        else
            buf_add_format(xml, "0%s%.*s", i > XLSX_FIXED ? "." : "", i - XLSX_FIXED, zeros);
        buf_add_str(xml, "\"/>");
    }
    buf_add_str(xml,
                "</numFmts><fonts count=\"2\">"
                "<font><sz val=\"11\"/><name val=\"Calibri\"/><family val=\"2\"/></font>"
                "<font><b/><sz val=\"11\"/><name val=\"Calibri\"/><family val=\"2\"/></font>"
                "</fonts><fills count=\"2\"><fill><patternFill patternType=\"none\"/></fill>"
                "<fill><patternFill patternType=\"gray125\"/></fill></fills>"
                "<borders count=\"1\"><border><left/><right/><top/><bottom/><diagonal/>"
                "</border></borders><cellStyleXfs count=\"1\">"
                "<xf numFmtId=\"0\" fontId=\"0\" fillId=\"0\" borderId=\"0\"/></cellStyleXfs>");
    buf_add_format(xml, "<cellXfs count=\"%d\">", XLSX_STYLE_COUNT);
    for (int i = 0; i < XLSX_STYLE_COUNT; i++) {
        buf_add_format(
            xml, "<xf numFmtId=\"%d\" fontId=\"%d\" fillId=\"0\" borderId=\"0\" xfId=\"0\"%s/>",
            i < XLSX_DATE ? 0 : FORMATS_FIRST + i, i == XLSX_BOLD,
            i == XLSX_BOLD   ? " applyFont=\"1\""
            : i >= XLSX_DATE ? " applyNumberFormat=\"1\""
                             : "");
    }
    buf_add_str(xml, "</cellXfs><cellStyles count=\"1\">"
                     "<cellStyle name=\"Normal\" xfId=\"0\" builtinId=\"0\"/></cellStyles>"
                     "</styleSheet>");
}

/* Write one file of the package, whose XML is in `xlsx->xml`. */
static int add_file(struct xlsx *xlsx, const char *path, struct buf *out, struct err *err)
{
    int rc = zip_stream_open(xlsx->zip, path, out, err)
                 ?: flush_xml(xlsx, out, err)
                 ?: zip_stream_close(xlsx->zip, out, err);

    buf_add_str(&xlsx->xml, XML);
    return rc;
}

static void add_workbook(const struct xlsx *xlsx, struct buf *xml)
{
    buf_add_str(xml, "<workbook xmlns=\"" MAIN "\" xmlns:r=\"" OFFICE "\"><sheets>");
    for (size_t i = 0; i < xlsx->sheet_count; i++)
        buf_add_format(xml, "<sheet name=\"%s\" sheetId=\"%zu\" r:id=\"rId%zu\"/>", xlsx->names[i],
                       i + 1, i + 1);
    buf_add_str(xml, "</sheets></workbook>");
}

static void add_relations(const struct xlsx *xlsx, struct buf *xml)
{
    buf_add_str(xml, "<Relationships xmlns=\"" PACKAGE "relationships\">");
    for (size_t i = 1; i <= xlsx->sheet_count; i++)
        buf_add_format(xml,
                       "<Relationship Id=\"rId%zu\" Type=\"" OFFICE "/worksheet\" "
                       "Target=\"worksheets/sheet%zu.xml\"/>",
                       i, i);
    buf_add_format(xml,
                   "<Relationship Id=\"rId%zu\" Type=\"" OFFICE "/styles\" "
                   "Target=\"styles.xml\"/></Relationships>",
                   xlsx->sheet_count + 1);
}

static void add_content_types(const struct xlsx *xlsx, struct buf *xml)
{
    buf_add_str(xml,
                "<Types xmlns=\"" PACKAGE "content-types\">"
                "<Default Extension=\"rels\" "
                "ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>"
                "<Default Extension=\"xml\" ContentType=\"application/xml\"/>"
                "<Override PartName=\"/xl/workbook.xml\" ContentType=\"" MEDIA "sheet.main+xml\"/>"
                "<Override PartName=\"/xl/styles.xml\" ContentType=\"" MEDIA "styles+xml\"/>");
    for (size_t i = 1; i <= xlsx->sheet_count; i++)
        buf_add_format(xml,
                       "<Override PartName=\"/xl/worksheets/sheet%zu.xml\" ContentType=\"" MEDIA
                       "worksheet+xml\"/>",
                       i);
    buf_add_str(xml, "</Types>");
}

/* Write the parts that describe the sheets, and the end of the archive. */
static int add_book(struct xlsx *xlsx, struct buf *out, struct err *err)
{
    struct buf *xml = &xlsx->xml;
    int rc;

    buf_reset(xml);
    buf_add_str(xml, XML);
    add_styles(xml);
    rc = add_file(xlsx, "xl/styles.xml", out, err);
    add_workbook(xlsx, xml);
    if (rc == 0)
        rc = add_file(xlsx, "xl/workbook.xml", out, err);
    add_relations(xlsx, xml);
    if (rc == 0)
        rc = add_file(xlsx, "xl/_rels/workbook.xml.rels", out, err);
    buf_add_str(xml, "<Relationships xmlns=\"" PACKAGE "relationships\">"
                     "<Relationship Id=\"rId1\" Type=\"" OFFICE "/officeDocument\" "
                     "Target=\"xl/workbook.xml\"/></Relationships>");
    if (rc == 0)
        rc = add_file(xlsx, "_rels/.rels", out, err);
    add_content_types(xlsx, xml);
    if (rc == 0)
        rc = add_file(xlsx, "[Content_Types].xml", out, err);
    return rc == 0 ? zip_stream_end(xlsx->zip, out, err) : rc;
}

/* ---- the last sheet: the report's name, its time and its parameters ---- */

/* Position in the head, which is compact JSON, as a run writes it. */
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

/* Read the content of a text; its opening quote has already been read. */
static bool take_about_text(struct scan *scan, struct form_value *ret)
{
    const char *first = scan->at;

    while (scan->at < scan->end && *scan->at != '"')
        scan->at += *scan->at == '\\' && scan->end - scan->at > 1 ? 2 : 1;
    *ret = (struct form_value){FORM_TEXT, first, (size_t)(scan->at - first)};
    return take_char(scan, '"');
}

/* Read a whole array or object. */
static bool take_nested(struct scan *scan, struct form_value *ret)
{
    const char *first = scan->at;
    struct form_value text;
    int depth = 0;

    while (scan->at < scan->end) {
        char c = *scan->at++;

        if (c == '"' && !take_about_text(scan, &text))
            return false;
        depth += (c == '[' || c == '{') - (c == ']' || c == '}');
        if (depth == 0) {
            *ret = (struct form_value){FORM_VALUE, first, (size_t)(scan->at - first)};
            return true;
        }
    }
    return false;
}

static bool take_about_value(struct scan *scan, struct form_value *ret)
{
    const char *first = scan->at;
    size_t len;

    if (take_char(scan, '"'))
        return take_about_text(scan, ret);
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

static bool take_about_key(struct scan *scan, struct form_value *ret)
{
    return take_char(scan, '"') && take_about_text(scan, ret) && take_char(scan, ':');
}

static bool is_key(const struct form_value *key, const char *name)
{
    return key->len == strlen(name) && memcmp(key->at, name, key->len) == 0;
}

struct about {
    struct xlsx *xlsx;
    struct xlsx_column name, value;
    struct buf *out;
    struct err *err;
    int rc;
};

static void add_about_row(struct about *about, const struct form_value *name,
                          const struct form_value *value)
{
    struct xlsx *xlsx = about->xlsx;

    if (about->rc < 0)
        return;
    xlsx_row_begin(&xlsx->row, ++xlsx->rows);
    xlsx_add_text(&xlsx->row, &about->name, XLSX_BOLD, name->at, name->len);
    xlsx_add_value(&xlsx->row, &about->value, value);
    buf_add_str(&xlsx->xml, "</row>");
    about->rc = flush_xml(xlsx, about->out, about->err);
}

/* Each element of a list gets a row. */
static bool add_about_list(struct about *about, const struct form_value *name,
                           const struct form_value *list)
{
    struct scan scan = {list->at + 1, list->at + list->len};
    struct form_value value = {FORM_NULL, "", 0};

    if (take_char(&scan, ']')) {
        add_about_row(about, name, &value);
        return true;
    }
    do {
        if (!take_about_value(&scan, &value))
            return false;
        add_about_row(about, name, &value);
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
        if (!take_about_key(&scan, &name) || !take_about_value(&scan, &value))
            return false;
        if (value.kind != FORM_VALUE)
            add_about_row(about, &name, &value);
        else if (*value.at != '[' || !add_about_list(about, &name, &value))
            return false;
    } while (take_char(&scan, ','));
    return take_char(&scan, '}');
}

/* {…,"data":{"reportName":…,"generatedDate":…,"parameters":{…},"results":[ */
static bool add_about_head(struct about *about)
{
    struct scan scan = {about->xlsx->head, about->xlsx->head + about->xlsx->head_len};
    struct form_value key, value;

    if (!take_char(&scan, '{'))
        return false;
    while (take_about_key(&scan, &key) && !is_key(&key, "data")) {
        if (!take_about_value(&scan, &value) || !take_char(&scan, ','))
            return false;
    }
    if (!take_char(&scan, '{'))
        return false;
    while (take_about_key(&scan, &key) && !is_key(&key, "results")) {
        bool is_time = is_key(&key, "generatedDate");

        if (!take_about_value(&scan, &value) || !take_char(&scan, ','))
            return false;
        about->value.type = is_time ? FOOTER_TIMESTAMP : FOOTER_STRING;
        if (!is_key(&key, "parameters"))
            add_about_row(about, &key, &value);
        else if (!add_parameters(about, &value))
            return false;
    }
    return take_char(&scan, '[') && scan.at == scan.end;
}

/* -E_INTERNAL: the head is not as it was written. */
static int add_about(struct xlsx *xlsx, struct buf *out, struct err *err)
{
    struct about about = {.xlsx = xlsx, .out = out, .err = err};
    int rc = begin_sheet(xlsx, "about", out, err);

    if (rc < 0)
        return rc;
    xlsx_column_init(&about.name, 0, NULL);
    xlsx_column_init(&about.value, 1, NULL);
    buf_add_str(&xlsx->xml, "<cols><col min=\"1\" max=\"2\" width=\"30\" customWidth=\"1\"/></cols>"
                            "<sheetData>");
    if (!add_about_head(&about))
        return err_set(err, -E_INTERNAL, "the stored result is not what was written");
    buf_add_str(&xlsx->xml, "</sheetData></worksheet>");
    rc = about.rc < 0 ? about.rc : flush_xml(xlsx, out, err);
    return rc == 0 ? zip_stream_close(xlsx->zip, out, err) : rc;
}

enum {
    WIDTH_MAX = 60, /* characters */
    WIDTH_DATE = 11,
    WIDTH_TIME = 24,
    WIDTH_NUMBER = 18, /* XLSX_DIGITS, a sign, a point: a number that does not fit is shown as
                        * #### */
    WIDTH_BUTTON = 3,  /* of the filter button in the header row */
    ROW_BYTES_MAX = 256 << 20,
};

/* The maximum XML of a sheet, which is one entry of the archive; after it another sheet begins. */
static const uint64_t sheet_bytes_max = UINT32_MAX - ROW_BYTES_MAX;

/* ---- begin and end ---- */

static const char *column_title(const struct footer_column *column, bool labels)
{
    return labels && column->label != NULL ? column->label : column->name;
}

static bool is_number_column(const struct footer_column *column)
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
                           column->name, is_number_column(column) ? "number" : "text",
                           column->longest, XLSX_TEXT_MAX);
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
    rc = zip_stream_new(&xlsx->zip, err) ?: read_head(xlsx, spec, err);
    if (rc < 0) {
        free_table(xlsx);
        return rc;
    }
    *ret = xlsx;
    return 0;
}

/* ---- sheets ---- */

/* The width in characters: a text has at most as many as UTF-16 units, or bytes. */
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

/* Compress the waiting XML, if there is enough of it. */
static int flush_full(struct xlsx *xlsx, struct buf *out, struct err *err)
{
    return xlsx->xml.len < XLSX_XML_STEP ? 0 : flush_xml(xlsx, out, err);
}

static int add_widths(struct xlsx *xlsx, struct buf *out, struct err *err)
{
    const struct footer_part *part = xlsx->part;
    int rc = 0;

    if (part->column_count == 0)
        return 0; /* an empty <cols> is not allowed */
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

static int add_title_row(struct xlsx *xlsx, struct buf *out, struct err *err)
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
    int rc = begin_sheet(xlsx, xlsx->part->name, out, err);

    if (rc < 0)
        return rc;
    buf_add_str(&xlsx->xml,
                "<sheetViews><sheetView workbookViewId=\"0\"><pane ySplit=\"1\" "
                "topLeftCell=\"A2\" activePane=\"bottomLeft\" state=\"frozen\"/></sheetView>"
                "</sheetViews>");
    rc = add_widths(xlsx, out, err);
    buf_add_str(&xlsx->xml, "<sheetData>");
    return rc < 0 ? rc : add_title_row(xlsx, out, err);
}

static int close_sheet(struct xlsx *xlsx, struct buf *out, struct err *err)
{
    const struct xlsx_column *last = &xlsx->columns[xlsx->column_count];

    buf_add_str(&xlsx->xml, "</sheetData>");
    if (xlsx->column_count > 0) {
        last--;
        buf_add_format(&xlsx->xml, "<autoFilter ref=\"A1:%.*s%" PRIu32 "\"/>",
                       (int)last->letter_count, last->letters, xlsx->rows);
    }
    buf_add_str(&xlsx->xml, "</worksheet>");
    return flush_xml(xlsx, out, err) ?: zip_stream_close(xlsx->zip, out, err);
}

/* ---- the calls of a form_table ---- */

static int xlsx_begin(void *table, struct buf *out, struct err *err)
{
    (void)table, (void)out, (void)err; /* the archive begins with the first sheet */
    return 0;
}

/* True for the summary of a report without one. */
static bool has_no_sheet(const struct footer_part *part)
{
    return part->rows == 0 && str_eq(part->name, "summary");
}

static int xlsx_begin_part(void *table, const struct footer_part *part, struct buf *out,
                           struct err *err)
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

    if (xlsx->rows == XLSX_ROWS_MAX || xlsx->bytes > sheet_bytes_max)
        rc = close_sheet(xlsx, out, err) ?: open_sheet(xlsx, out, err);
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

static int xlsx_end_part(void *table, struct buf *out, struct err *err)
{
    struct xlsx *xlsx = table;

    return has_no_sheet(xlsx->part) ? 0 : close_sheet(xlsx, out, err);
}

static int end(void *table, struct buf *out, struct err *err)
{
    return add_about(table, out, err) ?: add_book(table, out, err);
}

const struct form_table form_xlsx_table = {
    .begin = xlsx_begin,
    .begin_part = xlsx_begin_part,
    .row = add_row,
    .end_part = xlsx_end_part,
    .end = end,
    .free = free_table,
    .all_parts = true,
};
