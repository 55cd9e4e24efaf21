/* src/render/xlsx_impl.h -- the workbook that is being written; for xlsx*.c. */
#pragma once

#include "render/form.h"
#include "render/xlsx_cell.h"
#include "render/zip_stream.h"

enum {
    XLSX_NAME_MAX = 31,       /* characters of a sheet's name */
    XLSX_XML_STEP = 64 << 10, /* bytes of XML that are compressed at a time, and one cell more */
    XLSX_XML_MAX = 1 << 20,
    XLSX_HEAD_MAX = 4 << 20, /* bytes before the results: 64 times what a request may have */
};

struct xlsx {
    struct zip_stream *zip;
    struct buf xml, scratch;
    char *head; /* the JSON up to the first row */
    size_t head_len;
    bool labels;
    /* The sheet that is being written. */
    const struct footer_part *part;
    struct xlsx_column *columns;
    size_t column_count;
    struct xlsx_row row;
    uint32_t rows;  /* of the sheet, with its header … */
    uint64_t bytes; /* … and of its XML */
    /* All sheets so far. */
    char (*names)[XLSX_NAME_MAX + 1];
    size_t sheet_count;
};

/* Begin a sheet with a name like `name`. */
int xlsx_open_sheet(struct xlsx *xlsx, const char *name, struct buf *out, struct err *err);
/* Compress the XML that has come together. */
int xlsx_flush(struct xlsx *xlsx, struct buf *out, struct err *err);
/* The parts that say what the sheets are, and the end of the archive. */
int xlsx_finish(struct xlsx *xlsx, struct buf *out, struct err *err);

/* The sheet with the name and the time of the report and its parameters. -E_INTERNAL: the head is
 * not what was written. */
int xlsx_add_about(struct xlsx *xlsx, struct buf *out, struct err *err);
