/* src/render/xlsx_book.c -- what makes sheets a workbook: their names, the number formats, the list
 * of sheets. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "render/xlsx_impl.h"

#define XML "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n"
#define MAIN "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
#define PACKAGE "http://schemas.openxmlformats.org/package/2006/"
#define OFFICE "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
#define MEDIA "application/vnd.openxmlformats-officedocument.spreadsheetml."

enum { FORMATS_FIRST = 164 /* numbers below are those that ECMA-376 part 1, 18.8.30, defines */ };

static bool is_taken(const struct xlsx *xlsx, const char *name)
{
    for (size_t i = 0; i < xlsx->sheet_count; i++) {
        if (str_eq_nocase(xlsx->names[i], name))
            return true;
    }
    return false;
}

/* The next sheet's name: `name`, cut, and with " 2", " 3", … if need be. Names of parts are ASCII
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
        if (!is_taken(xlsx, text))
            break;
        snprintf(number, sizeof(number), " %u", i);
    }
    memcpy(xlsx->names[xlsx->sheet_count++], text, sizeof(text));
    return 0;
}

int xlsx_open_sheet(struct xlsx *xlsx, const char *name, struct buf *out, struct err *err)
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

int xlsx_flush(struct xlsx *xlsx, struct buf *out, struct err *err)
{
    int rc;

    if (buf_failed(&xlsx->xml))
        return err_set(err, -E_NOMEM, "Out of memory.");
    xlsx->bytes += xlsx->xml.len;
    rc = zip_stream_add(xlsx->zip, buf_str(&xlsx->xml), xlsx->xml.len, out, err);
    buf_reset(&xlsx->xml);
    return rc;
}

/* ---- the other parts ---- */

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

/* One file of the package, with the XML that `xlsx->xml` has. */
static int add_file(struct xlsx *xlsx, const char *path, struct buf *out, struct err *err)
{
    int rc = zip_stream_open(xlsx->zip, path, out, err);

    if (rc == 0)
        rc = xlsx_flush(xlsx, out, err);
    if (rc == 0)
        rc = zip_stream_close(xlsx->zip, out, err);
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

static void add_types(const struct xlsx *xlsx, struct buf *xml)
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

int xlsx_finish(struct xlsx *xlsx, struct buf *out, struct err *err)
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
    add_types(xlsx, xml);
    if (rc == 0)
        rc = add_file(xlsx, "[Content_Types].xml", out, err);
    return rc == 0 ? zip_stream_end(xlsx->zip, out, err) : rc;
}
