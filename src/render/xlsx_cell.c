/* src/render/xlsx_cell.c -- numbers, days, texts and booleans, each as its kind of cell. */
#include "render/xlsx_cell.h"

#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"

enum {
    CELL_ROOM = 96, /* the markup around a value, plus a number of up to … */
    NUMBER_ROOM = 64,
    EXPONENT_MAX = 307, /* a double can hold 1e308, but not 9e308 */
};

#define CELL_END "</v></c>"

/* Append a string literal, whose length is known. */
#define ADD(place, literal) append_bytes(place, literal, sizeof(literal) - 1)

static char *append_bytes(char *place, const char *bytes, size_t len)
{
    memcpy(place, bytes, len);
    return place + len;
}

static char *add_digits(char *place, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);

    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    return append_bytes(place, digits + at, sizeof(digits) - at);
}

void xlsx_row_begin(struct xlsx_row *row, uint32_t number)
{
    row->number_len = (size_t)(add_digits(row->number, number) - row->number);
    buf_add(row->xml, "<row r=\"", 8);
    buf_add(row->xml, row->number, row->number_len);
    buf_add(row->xml, "\">", 2);
}

/* ---- columns ---- */

static enum xlsx_style number_style(const struct footer_column *column)
{
    if (column->type == FOOTER_INTEGER)
        return XLSX_FIXED;
    if (column->type == FOOTER_DECIMAL && column->scale >= 0 && column->scale <= XLSX_SCALE_MAX)
        return XLSX_FIXED + (enum xlsx_style)column->scale;
    return XLSX_GENERAL;
}

void xlsx_column_init(struct xlsx_column *xlsx, size_t index, const struct footer_column *column)
{
    size_t at = sizeof(xlsx->letters);
    char letters[sizeof(xlsx->letters)];

    for (size_t left = index + 1; left > 0; left = (left - 1) / 26)
        letters[--at] = (char)('A' + (left - 1) % 26);
    xlsx->letter_count = sizeof(letters) - at;
    memcpy(xlsx->letters, letters + at, xlsx->letter_count);
    xlsx->type = column != NULL ? column->type : FOOTER_STRING;
    xlsx->style = column != NULL ? number_style(column) : XLSX_GENERAL;
}

/* Append `<c r="AB12" s="3"`; there is room. Excel lets the reference of a cell that follows
 * another be left out (18.3.1.4), but exceljs cannot read that. */
static char *begin_cell(char *place, struct xlsx_row *row, const struct xlsx_column *column,
                        enum xlsx_style style)
{
    place = ADD(place, "<c r=\"");
    place = append_bytes(place, column->letters, column->letter_count);
    place = append_bytes(place, row->number, row->number_len);
    *place++ = '"';
    if (style != XLSX_GENERAL) {
        place = ADD(place, " s=\"");
        place = add_digits(place, style);
        *place++ = '"';
    }
    return place;
}

static void end_place(struct buf *xml, char *place)
{
    xml->len = (size_t)(place - xml->data);
    *place = '\0';
}

/* A cell whose value needs no escapes: at most NUMBER_ROOM bytes. */
static void add_number_cell(struct xlsx_row *row, const struct xlsx_column *column,
                            enum xlsx_style style, const char *value, size_t len)
{
    char *place = buf_reserve(row->xml, CELL_ROOM + NUMBER_ROOM);

    if (place == NULL)
        return;
    place = begin_cell(place, row, column, style);
    place = ADD(place, "><v>");
    place = append_bytes(place, value, len);
    end_place(row->xml, ADD(place, CELL_END));
}

static void add_boolean(struct xlsx_row *row, const struct xlsx_column *column, bool value)
{
    char *place = buf_reserve(row->xml, CELL_ROOM);

    if (place == NULL)
        return;
    place = begin_cell(place, row, column, XLSX_GENERAL);
    place = ADD(place, " t=\"b\"><v>");
    *place++ = value ? '1' : '0';
    end_place(row->xml, ADD(place, CELL_END));
}

/* ---- texts ---- */

/* What a byte may need: nothing, an entity, or a check of the next bytes. */
static const unsigned char special[256] = {
    [0x00 ... 0x08] = 1, [0x0b ... 0x1f] = 1, ['&'] = 1,  ['<'] = 1,
    ['>'] = 1,           ['_'] = 1,           [0xed] = 1, /* U+D800 to U+DFFF */
    [0xef] = 1,                                           /* U+FFFE, U+FFFF */
};

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* Is it `_x0041`? Followed by a '_', its own or that of another escape, it would be an escape. */
static bool is_like_escape(const char *text, size_t len)
{
    return len >= 6 && text[1] == 'x' && is_hex(text[2]) && is_hex(text[3]) && is_hex(text[4]) &&
           is_hex(text[5]);
}

static void add_unit(struct buf *xml, unsigned unit)
{
    static const char hex[] = "0123456789ABCDEF";
    const char escape[] = {
        '_', 'x', hex[unit >> 12], hex[unit >> 8 & 15], hex[unit >> 4 & 15], hex[unit & 15], '_'};

    buf_add(xml, escape, sizeof(escape));
}

/* The UTF-16 unit of a character of three bytes that XML does not allow; 0: it is allowed. */
static unsigned forbidden_unit(const char *text, size_t len)
{
    const unsigned char *bytes = (const unsigned char *)text;
    unsigned unit;

    if (len < 3)
        return 0;
    unit = (bytes[0] & 15U) << 12 | (bytes[1] & 63U) << 6 | (bytes[2] & 63U);
    return (unit >= 0xd800 && unit <= 0xdfff) || unit >= 0xfffe ? unit : 0;
}

/* Append the special byte at `text`; returns how many bytes that took. */
static size_t add_special(struct buf *xml, const char *text, size_t len)
{
    unsigned char c = (unsigned char)*text;
    unsigned unit;

    switch (c) {
    case '&':
        buf_add_str(xml, "&amp;");
        return 1;
    case '<':
        buf_add_str(xml, "&lt;");
        return 1;
    case '>':
        buf_add_str(xml, "&gt;");
        return 1;
    case '_':
        buf_add_str(xml, is_like_escape(text, len) ? "_x005F_" : "_");
        return 1;
    case 0xed:
    case 0xef:
        unit = forbidden_unit(text, len);
        if (unit == 0)
            buf_add_char(xml, *text);
        else
            add_unit(xml, unit);
        return unit == 0 ? 1 : 3;
    default:
        add_unit(xml, c);
        return 1;
    }
}

/* Append UTF-8 text as content of an element. A character that XML 1.0 (2.2) does not allow is
 * written as Excel does, _x0001_, and text that looks like such an escape as _x005F_x0001_
 * (ECMA-376 part 1, 22.9.2.19). */
static void add_xml_text(struct buf *xml, const char *text, size_t len)
{
    const char *end = text + len;

    for (const char *at = text;;) {
        while (at < end && special[(unsigned char)*at] == 0)
            at++;
        buf_add(xml, text, (size_t)(at - text));
        if (at == end)
            return;
        at += add_special(xml, at, (size_t)(end - at));
        text = at;
    }
}

static bool is_xml_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

void xlsx_add_text(struct xlsx_row *row, const struct xlsx_column *column, enum xlsx_style style,
                   const char *text, size_t len)
{
    char *place = buf_reserve(row->xml, CELL_ROOM);

    if (place == NULL)
        return;
    place = begin_cell(place, row, column, style);
    if (len > 0 && (is_xml_blank(text[0]) || is_xml_blank(text[len - 1])))
        place = ADD(place, " t=\"inlineStr\"><is><t xml:space=\"preserve\">");
    else
        place = ADD(place, " t=\"inlineStr\"><is><t>");
    end_place(row->xml, place);
    add_xml_text(row->xml, text, len);
    buf_add(row->xml, "</t></is></c>", 13);
}

/* ---- numbers ---- */

/* The exponent of the number whose `e` is at `at`; at `end` there is none. */
static int read_exponent(const char *at, const char *end)
{
    bool down = at < end && at[1] == '-';
    int exponent = 0;

    for (at++; at < end; at++) {
        if (*at >= '0' && *at <= '9' && exponent < 10000)
            exponent = exponent * 10 + (*at - '0');
    }
    return down ? -exponent : exponent;
}

/* Can a cell hold the JSON number exactly? If so, it is written unchanged. */
static bool is_cell_number(const char *text, size_t len)
{
    const char *end = text + len, *at = text;
    int digits = 0, zeros = 0, power = 0, behind = 0;

    if (len > NUMBER_ROOM)
        return false;
    for (; at < end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.') {
            behind = 1;
        } else if (*at == '0') {
            power -= behind;
            zeros += digits > 0; /* zeros count only if another digit follows */
        } else if (*at != '-') {
            power -= behind;
            digits += zeros + 1;
            zeros = 0;
        }
    }
    power += digits + zeros + read_exponent(at, end); /* 0.ddd × 10^power */
    return digits == 0 ||
           (digits <= XLSX_DIGITS && power <= EXPONENT_MAX && power >= -EXPONENT_MAX);
}

/* ---- days and times ---- */

static bool read_two_digits(const char *text, unsigned *ret)
{
    unsigned tens = (unsigned)(text[0] - '0'), ones = (unsigned)(text[1] - '0');

    *ret = tens * 10 + ones;
    return tens <= 9 && ones <= 9;
}

/* The number of the day YYYY-MM-DD at `text`: 1900-03-01 is 61, since Excel counts a 1900-02-29. 0:
 * a cell cannot hold it as a day. */
static unsigned excel_day(const char *text)
{
    enum { OF_1970 = 25569, FIRST = 61 };
    int64_t day;

    return clock_day(text, CLOCK_DATE_TEXT - 1, &day) && day + OF_1970 >= FIRST
               ? (unsigned)(day + OF_1970)
               : 0;
}

static bool add_day(struct xlsx_row *row, const struct xlsx_column *column,
                    const struct form_value *value)
{
    char number[20];
    unsigned day = value->len == 10 ? excel_day(value->at) : 0;

    if (day == 0)
        return false;
    add_number_cell(row, column, XLSX_DATE, number, (size_t)(add_digits(number, day) - number));
    return true;
}

enum {
    MICROSECONDS = 1000000,
    LAST_FINE_DAY = 1 << 16, /* up to that day, 2079-06-05, a double can tell microseconds apart */
};

/* The microseconds of the fraction `.ffffff` at `text`, 0 without one; -1: it is not a fraction, or
 * a finer one. */
static int64_t read_fraction(const char *text, size_t len)
{
    unsigned fraction = 0, unit = MICROSECONDS;

    if (len > 0 && (text[0] != '.' || len == 1))
        return -1;
    for (size_t i = 1; i < len; i++) {
        unsigned digit = (unsigned)(text[i] - '0');

        unit /= 10;
        if (digit > 9 || (unit == 0 && digit > 0))
            return -1;
        fraction += digit * unit;
    }
    return fraction;
}

/* The microseconds of the time HH:MM:SS[.ffffff][Z] at `text`; -1: it is not a time, or a finer
 * one. */
static int64_t time_of_day(const char *text, size_t len)
{
    unsigned hour, minute, second;
    int64_t fraction;

    if (len > 0 && text[len - 1] == 'Z')
        len--;
    if (len < 8 || !read_two_digits(text, &hour) || text[2] != ':' ||
        !read_two_digits(text + 3, &minute) || text[5] != ':' ||
        !read_two_digits(text + 6, &second))
        return -1;
    fraction = read_fraction(text + 8, len - 8);
    if (hour > 23 || minute > 59 || second > 59 || fraction < 0)
        return -1;
    return (int64_t)(hour * 3600 + minute * 60 + second) * MICROSECONDS + fraction;
}

/* The day and the elapsed part of it, with twelve digits: 1e12 / (24 · 3600 · 1e6) = 625 / 54. */
static bool add_time_cell(struct xlsx_row *row, const struct xlsx_column *column,
                          const struct form_value *value)
{
    char number[40], *end;
    const char *text = value->at;
    bool separated = value->len >= 19 && (text[10] == 'T' || text[10] == ' ');
    unsigned day = separated ? excel_day(text) : 0;
    int64_t time = day > 0 ? time_of_day(text + 11, value->len - 11) : -1;
    uint64_t part;

    if (time < 0 || (day >= LAST_FINE_DAY && time % 1000 != 0))
        return false;
    part = ((uint64_t)time * 625 + 27) / 54;
    end = add_digits(number, day);
    if (part > 0) {
        *end++ = '.';
        for (uint64_t unit = 100000000000; part > 0; unit /= 10) {
            *end++ = (char)('0' + part / unit);
            part %= unit;
        }
    }
    add_number_cell(row, column, time % MICROSECONDS == 0 ? XLSX_SECONDS : XLSX_MILLISECONDS,
                    number, (size_t)(end - number));
    return true;
}

/* ---- values ---- */

/* Add what is between the quotes of a JSON text. */
static void add_string(struct xlsx_row *row, const struct xlsx_column *column,
                       const struct form_value *value)
{
    if ((column->type == FOOTER_DATE && add_day(row, column, value)) ||
        (column->type == FOOTER_TIMESTAMP && add_time_cell(row, column, value)))
        return;
    if (memchr(value->at, '\\', value->len) == NULL) {
        xlsx_add_text(row, column, XLSX_GENERAL, value->at, value->len);
        return;
    }
    buf_reset(row->scratch);
    json_text_decode(row->scratch, value->at, value->len);
    xlsx_add_text(row, column, XLSX_GENERAL, buf_str(row->scratch), row->scratch->len);
    row->xml->failed |= row->scratch->failed;
}

/* A value of a column of JSON values, as its JSON text. */
static void add_json(struct xlsx_row *row, const struct xlsx_column *column,
                     const struct form_value *value)
{
    buf_reset(row->scratch);
    switch (value->kind) {
    case FORM_TEXT:
        buf_add_char(row->scratch, '"');
        buf_add(row->scratch, value->at, value->len);
        buf_add_char(row->scratch, '"');
        break;
    case FORM_TRUE:
    case FORM_FALSE:
        buf_add_str(row->scratch, value->kind == FORM_TRUE ? "true" : "false");
        break;
    default:
        buf_add(row->scratch, value->at, value->len);
    }
    xlsx_add_text(row, column, XLSX_GENERAL, buf_str(row->scratch), row->scratch->len);
    row->xml->failed |= row->scratch->failed;
}

bool xlsx_add_value(struct xlsx_row *row, const struct xlsx_column *column,
                    const struct form_value *value)
{
    if (value->kind == FORM_NULL)
        return true;
    if (value->kind == FORM_VALUE || column->type == FOOTER_JSON) {
        add_json(row, column, value);
    } else if (value->kind == FORM_TEXT) {
        add_string(row, column, value);
    } else if (value->kind != FORM_NUMBER) {
        add_boolean(row, column, value->kind == FORM_TRUE);
    } else if (is_cell_number(value->at, value->len)) {
        add_number_cell(row, column, column->style, value->at, value->len);
    } else if (value->len <= XLSX_TEXT_MAX) {
        xlsx_add_text(row, column, XLSX_GENERAL, value->at, value->len);
    } else {
        return false;
    }
    return true;
}
