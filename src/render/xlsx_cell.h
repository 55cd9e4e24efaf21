/* src/render/xlsx_cell.h -- values as cells of a sheet (SpreadsheetML, ECMA-376 part 1, 18.3.1.4).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "core/footer.h"
#include "render/form.h"

enum {
    XLSX_TEXT_MAX = 32767, /* UTF-16 units of one cell; see "Excel specifications and limits" */
    XLSX_COLUMNS_MAX = 16384,
    XLSX_ROWS_MAX = 1048576, /* of one sheet */
    XLSX_DIGITS = 15,        /* of a number */
    XLSX_SCALE_MAX = 30,     /* digits after the point that a number format can show */
};

/* The number in a cell's `s`: which of the formats of xl/styles.xml. */
enum xlsx_style {
    XLSX_GENERAL,
    XLSX_BOLD,
    XLSX_DATE,
    XLSX_SECONDS, /* a date and a time */
    XLSX_MILLISECONDS,
    XLSX_FIXED, /* and XLSX_FIXED + n: n digits after the point */
    XLSX_STYLE_COUNT = XLSX_FIXED + XLSX_SCALE_MAX + 1
};

/* A column of a sheet. */
struct xlsx_column {
    char letters[3];
    size_t letter_count;
    enum footer_type type;
    enum xlsx_style style; /* of its numbers */
};

/* Column number `index` (from 0, below XLSX_COLUMNS_MAX) of values like `column`; NULL: of texts.
 */
void xlsx_column_init(struct xlsx_column *xlsx, size_t index, const struct footer_column *column);

/* Where cells are written. */
struct xlsx_row {
    struct buf *xml;
    struct buf *scratch; /* reset and used for texts with escapes */
    char number[8];      /* of the row, from 1 */
    size_t number_len;
};

/* Append the beginning of a row. */
void xlsx_row_begin(struct xlsx_row *row, uint32_t number);

/* Append the cell of a value. NULL has none; a value that no cell holds exactly is a text: a number
 * of more than XLSX_DIGITS digits or beyond a double, a day before 1900-03-01, a time that is finer
 * than the cell's number. False: the number is too long for a text, too. */
bool xlsx_add_value(struct xlsx_row *row, const struct xlsx_column *column,
                    const struct form_value *value);
/* Append a cell with a text in UTF-8. */
void xlsx_add_text(struct xlsx_row *row, const struct xlsx_column *column, enum xlsx_style style,
                   const char *text, size_t len);
