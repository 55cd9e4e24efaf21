/* tests/unit/xlsx_test.c -- results become workbooks that other programs open, cell by cell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/json.h"
#include "render/form.h"

enum { OUT_MAX = 256 << 20, FILE_MAX = 2 << 20, COLUMNS_MAX = 8 };

#define NUL                                                                                        \
    {                                                                                              \
        FORM_NULL, "", 0                                                                           \
    }
#define NUM(text)                                                                                  \
    {                                                                                              \
        FORM_NUMBER, text, sizeof(text) - 1                                                        \
    }
#define TXT(text)                                                                                  \
    {                                                                                              \
        FORM_TEXT, text, sizeof(text) - 1                                                          \
    }
#define JSON(text)                                                                                 \
    {                                                                                              \
        FORM_VALUE, text, sizeof(text) - 1                                                         \
    }
#define YES                                                                                        \
    {                                                                                              \
        FORM_TRUE, "", 0                                                                           \
    }
#define NO                                                                                         \
    {                                                                                              \
        FORM_FALSE, "", 0                                                                          \
    }

static const char head[] =
    "{\"result\":true,\"message\":\"\",\"data\":{\"reportName\":\"Cells\","
    "\"generatedDate\":\"2026-03-01T10:00:00Z\",\"parameters\":{\"Number\":12.50,"
    "\"List\":[\"a\",\"]\\\"b\"],\"Empty\":[],\"None\":null,\"On\":true},\"results\":[";

struct workbook {
    struct buf bytes;
    const char *head;
    void *table;
    struct err err;
};

/* A form_read_fn. */
static int read_head(void *context, int64_t at, void *out, size_t len, struct err *err)
{
    const struct workbook *book = context;

    (void)err;
    memcpy(out, book->head + at, len);
    return 0;
}

static void book_init(struct workbook *book)
{
    *book = (struct workbook){.head = head};
    buf_init(&book->bytes, OUT_MAX);
}

static void book_done(struct workbook *book)
{
    if (book->table != NULL)
        form_xlsx_table.free(book->table);
    buf_done(&book->bytes);
}

static int open_book(struct workbook *book, struct footer_part *parts, size_t count, bool labels)
{
    struct footer footer = {.parts = parts, .part_count = count};
    struct form_spec spec = {.form = FORM_XLSX,
                             .options = {.labels = labels},
                             .footer = &footer,
                             .read = read_head,
                             .context = book};

    parts[0].at = (int64_t)strlen(book->head);
    spec.bytes = parts[0].at;
    return form_xlsx_new(&spec, &book->table, &book->err);
}

static void add_part(struct workbook *book, const struct footer_part *part,
                     const struct form_value (*rows)[COLUMNS_MAX], size_t count)
{
    const struct form_table *ops = &form_xlsx_table;

    assert_int_equal(ops->begin_part(book->table, part, &book->bytes, &book->err), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(ops->row(book->table, rows[i], &book->bytes, &book->err), 0);
    assert_int_equal(ops->end_part(book->table, &book->bytes, &book->err), 0);
}

static uint32_t number_at(const char *at, size_t bytes)
{
    uint32_t number = 0;

    memcpy(&number, at, bytes);
    return le32toh(number);
}

/* The content of the entry `name`; yours to free(). NULL: there is none. */
static char *entry(const struct buf *bytes, const char *name)
{
    const char *end = bytes->data + bytes->len - 22, *at = bytes->data + number_at(end + 16, 4);

    assert_int_equal(number_at(end, 4), 0x06054b50);
    for (uint32_t left = number_at(end + 10, 2); left > 0; left--) {
        uint32_t len = number_at(at + 28, 2);

        assert_int_equal(number_at(at, 4), 0x02014b50);
        if (len == strlen(name) && memcmp(at + 46, name, len) == 0) {
            uint32_t packed = number_at(at + 20, 4), size = number_at(at + 24, 4);
            const char *from = bytes->data + number_at(at + 42, 4) + 30 + len;
            z_stream z = {.next_in = (unsigned char *)from, .avail_in = packed};
            char *text = malloc(size + 1);

            assert_int_equal(inflateInit2(&z, -MAX_WBITS), Z_OK);
            z.next_out = (unsigned char *)text;
            z.avail_out = size + 1;
            assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
            inflateEnd(&z);
            assert_int_equal(z.total_out, size);
            assert_int_equal(crc32_z(0, (unsigned char *)text, size), number_at(at + 16, 4));
            text[size] = '\0';
            return text;
        }
        at += 46 + len + number_at(at + 30, 2);
    }
    return NULL;
}

static void has_text(const struct buf *bytes, const char *name, const char *words)
{
    char *text = entry(bytes, name);

    if (text == NULL || strstr(text, words) == NULL)
        fail_msg("%s: no %s in %s", name, words, text != NULL ? text : "nothing");
    free(text);
}

/* The rows of the first sheet below its header, of columns of the given types, are `expected`. */
static void writes(const struct footer_column *columns, const struct form_value *values,
                   const char *expected)
{
    struct footer_part part = {.name = (char *)"results",
                               .columns = (struct footer_column *)columns};
    struct form_value rows[1][COLUMNS_MAX];
    struct workbook book;
    char words[2048];

    while (columns[part.column_count].name != NULL)
        part.column_count++;
    memcpy(rows[0], values, part.column_count * sizeof(*values));
    book_init(&book);
    assert_int_equal(open_book(&book, &part, 1, false), 0);
    add_part(&book, &part, (const struct form_value(*)[COLUMNS_MAX])rows, 1);
    assert_int_equal(form_xlsx_table.end(book.table, &book.bytes, &book.err), 0);
    snprintf(words, sizeof(words), "<row r=\"2\">%s</row></sheetData>", expected);
    has_text(&book.bytes, "xl/worksheets/sheet1.xml", words);
    book_done(&book);
}

/* As writes(), of one column. */
static void writes_one(enum footer_type type, struct form_value value, const char *expected)
{
    struct footer_column columns[2] = {{.name = (char *)"a", .type = type, .scale = -1}};

    writes(columns, &value, expected);
}

#define NUMBER_CELL(text) "<c r=\"A2\"><v>" text "</v></c>"
#define TEXT_CELL(text) "<c r=\"A2\" t=\"inlineStr\"><is><t>" text "</t></is></c>"

static void a_number_is_one_to_fifteen_digits(void **state)
{
    (void)state;
#define NUMBER(text) writes_one(FOOTER_NUMBER, (struct form_value)NUM(text), NUMBER_CELL(text))
#define IN_WORDS(text) writes_one(FOOTER_NUMBER, (struct form_value)NUM(text), TEXT_CELL(text))
    NUMBER("0");
    NUMBER("-0.00");
    NUMBER("0.1");
    NUMBER("123456789012345");
    IN_WORDS("1234567890123456");
    NUMBER("-12345678901234.5");
    IN_WORDS("-12345678901234.56");
    NUMBER("0.000000123456789012345");
    NUMBER("12345678901234500000");
    NUMBER("123456789012345.000");
    IN_WORDS("123456789012345.001");
    IN_WORDS("0.30000000000000004");
    NUMBER("1e306");
    NUMBER("9.99e+306");
    IN_WORDS("1e400");
    IN_WORDS("9e308");
    NUMBER("1E-300");
    IN_WORDS("1e-400");
    IN_WORDS("1e-99999999999999999999");
#undef NUMBER
#undef IN_WORDS
}

static void a_number_has_the_format_of_its_column(void **state)
{
    static const struct footer_column columns[] = {
        {.name = (char *)"a", .type = FOOTER_INTEGER},
        {.name = (char *)"b", .type = FOOTER_DECIMAL, .scale = 2},
        {.name = (char *)"c", .type = FOOTER_DECIMAL, .scale = -1},
        {.name = (char *)"d", .type = FOOTER_DECIMAL, .scale = 31},
        {0},
    };
    static const struct form_value values[] = {NUM("1"), NUM("1250000.00"), NUM("0.5"), NUM("1")};

    (void)state;
    writes(columns, values,
           "<c r=\"A2\" s=\"5\"><v>1</v></c><c r=\"B2\" s=\"7\"><v>1250000.00</v></c>"
           "<c r=\"C2\"><v>0.5</v></c><c r=\"D2\"><v>1</v></c>");
}

static void a_day_is_a_date_from_march_1900_on(void **state)
{
#define DAY(text, number)                                                                          \
    writes_one(FOOTER_DATE, (struct form_value)TXT(text),                                          \
               "<c r=\"A2\" s=\"2\"><v>" number "</v></c>")
#define IN_WORDS(text) writes_one(FOOTER_DATE, (struct form_value)TXT(text), TEXT_CELL(text))
    (void)state;
    DAY("1900-03-01", "61");
    DAY("1999-12-31", "36525");
    DAY("2000-02-29", "36585");
    DAY("2024-12-31", "45657");
    DAY("9999-12-31", "2958465");
    IN_WORDS("1900-02-28");
    IN_WORDS("0001-01-01");
    IN_WORDS("1999-02-29");
    IN_WORDS("2100-02-29");
    IN_WORDS("2024-13-01");
    IN_WORDS("2024-00-01");
    IN_WORDS("2024-01-32");
    IN_WORDS("20240-01-01");
#undef DAY
#undef IN_WORDS
}

static void a_timestamp_is_a_date_with_its_fraction(void **state)
{
#define TIME(text, style, number)                                                                  \
    writes_one(FOOTER_TIMESTAMP, (struct form_value)TXT(text),                                     \
               "<c r=\"A2\" s=\"" style "\"><v>" number "</v></c>")
#define IN_WORDS(text) writes_one(FOOTER_TIMESTAMP, (struct form_value)TXT(text), TEXT_CELL(text))
    (void)state;
    TIME("2024-01-12T00:00:00", "3", "45303");
    TIME("2024-01-12 12:00:00", "3", "45303.5");
    TIME("2024-01-12T18:00:00Z", "3", "45303.75");
    TIME("2024-01-12T00:00:01Z", "3", "45303.000011574074");
    TIME("2024-01-12T23:59:59.999Z", "4", "45303.999999988426");
    TIME("2024-01-12T12:00:00.500", "4", "45303.500005787037");
    TIME("2024-01-12T00:00:00.000001Z", "4", "45303.000000000012");
    TIME("2024-01-12T12:00:00.000000000Z", "3", "45303.5");
    TIME("9999-12-31T12:00:00.125Z", "4", "2958465.500001446759");
    IN_WORDS("9999-12-31T12:00:00.000001Z"); /* a double is no finer than 40 µs there */
    IN_WORDS("2024-01-12T12:00:00.0000001Z");
    IN_WORDS("1900-02-28T12:00:00Z");
    IN_WORDS("2024-01-12T24:00:00Z");
    IN_WORDS("2024-01-12T12:00:60Z");
    IN_WORDS("2024-01-12T12:00:00+01:00");
    IN_WORDS("2024-01-12T12:00");
    IN_WORDS("2024-01-12");
    IN_WORDS("2024-01-12T12:00:00.");
#undef TIME
#undef IN_WORDS
}

static void texts_hold_what_xml_does_not_have(void **state)
{
#define WRITES(text, xml) writes_one(FOOTER_STRING, (struct form_value)TXT(text), TEXT_CELL(xml))
#define KEEPS(text, xml)                                                                           \
    writes_one(FOOTER_STRING, (struct form_value)TXT(text),                                        \
               "<c r=\"A2\" t=\"inlineStr\"><is><t xml:space=\"preserve\">" xml "</t></is></c>")
    (void)state;
    WRITES("", "");
    WRITES("a<b>&c'", "a&lt;b&gt;&amp;c'");
    WRITES("=1+1", "=1+1");
    WRITES("12", "12");
    WRITES("a\\u0000b", "a_x0000_b");
    WRITES("a\\u001f\\u007f\\r\\n\\tb", "a_x001F_\x7f_x000D_\n\tb");
    WRITES("\\\"\\\\\\/\\b\\f", "\"\\/_x0008__x000C_");
    WRITES("\\u00e4\\u20AC\\ud83d\\uDE00", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    WRITES("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    WRITES("\\ud83dx", "_xD83D_x");
    WRITES("\\ude00\\ud83d", "_xDE00__xD83D_");
    WRITES("\xef\xbf\xbe\xef\xbf\xbf\xef\xbf\xbd\xed\x9f\xbf",
           "_xFFFE__xFFFF_\xef\xbf\xbd\xed\x9f\xbf");
    WRITES("_x0041_", "_x005F_x0041_");
    WRITES("_x0041_x0042_", "_x005F_x0041_x005F_x0042_");
    WRITES("_x0041\\u0001", "_x005F_x0041_x0001_");
    WRITES("snake_case_x12_", "snake_case_x12_");
    KEEPS(" a", " a");
    KEEPS("a ", "a ");
    KEEPS("\\na", "\na");
    KEEPS("a\\t", "a\t");
#undef WRITES
#undef KEEPS
}

static void a_null_has_no_cell(void **state)
{
    static const struct footer_column columns[] = {
        {.name = (char *)"a", .type = FOOTER_STRING},
        {.name = (char *)"b", .type = FOOTER_STRING},
        {.name = (char *)"c", .type = FOOTER_BOOLEAN},
        {.name = (char *)"d", .type = FOOTER_BOOLEAN},
        {.name = (char *)"e", .type = FOOTER_JSON},
        {.name = (char *)"f", .type = FOOTER_JSON},
        {0},
    };
    static const struct form_value values[] = {NUL, TXT(""), YES, NO, NUL, JSON("[1,\"<\"]")};
    static const struct form_value json[] = {TXT("x"), NUL, NUL, YES, NUM("1"), TXT("a\\n")};

    (void)state;
    writes(columns, values,
           "<c r=\"B2\" t=\"inlineStr\"><is><t></t></is></c><c r=\"C2\" t=\"b\"><v>1</v></c>"
           "<c r=\"D2\" t=\"b\"><v>0</v></c><c r=\"F2\" "
           "t=\"inlineStr\"><is><t>[1,\"&lt;\"]</t></is></c>");
    writes(columns, json,
           "<c r=\"A2\" t=\"inlineStr\"><is><t>x</t></is></c><c r=\"D2\" t=\"b\"><v>1</v></c>"
           "<c r=\"E2\" t=\"inlineStr\"><is><t>1</t></is></c>"
           "<c r=\"F2\" t=\"inlineStr\"><is><t>\"a\\n\"</t></is></c>");
}

static void each_part_has_a_sheet_of_its_own_name(void **state)
{
    static struct footer_column column = {
        .name = (char *)"a", .label = (char *)"The \"A\"", .type = FOOTER_STRING};
    static const struct form_value rows[][COLUMNS_MAX] = {{TXT("x")}};
    struct footer_part parts[] = {
        {.name = (char *)"results", .columns = &column, .column_count = 1, .rows = 1},
        {.name = (char *)"About", .columns = &column, .column_count = 1, .rows = 1},
        {.name = (char *)"aNameOfMoreThanThirtyOneCharacters",
         .columns = &column,
         .column_count = 1},
        {.name = (char *)"aNameOfMoreThanThirtyOneCHARACTERS2",
         .columns = &column,
         .column_count = 1},
        {.name = (char *)"summary"},
    };
    struct workbook book;

    (void)state;
    book_init(&book);
    assert_int_equal(open_book(&book, parts, 5, true), 0);
    for (size_t i = 0; i < 5; i++)
        add_part(&book, &parts[i], rows, (size_t)parts[i].rows);
    assert_int_equal(form_xlsx_table.end(book.table, &book.bytes, &book.err), 0);
    has_text(&book.bytes, "xl/workbook.xml",
             "<sheets><sheet name=\"results\" sheetId=\"1\" r:id=\"rId1\"/>"
             "<sheet name=\"About\" sheetId=\"2\" r:id=\"rId2\"/>"
             "<sheet name=\"aNameOfMoreThanThirtyOneCharact\" sheetId=\"3\" r:id=\"rId3\"/>"
             "<sheet name=\"aNameOfMoreThanThirtyOneCHARA 2\" sheetId=\"4\" r:id=\"rId4\"/>"
             "<sheet name=\"about 2\" sheetId=\"5\" r:id=\"rId5\"/></sheets>");
    has_text(&book.bytes, "xl/worksheets/sheet1.xml",
             "<sheetData><row r=\"1\"><c r=\"A1\" s=\"1\" t=\"inlineStr\"><is><t>The \"A\"</t></is>"
             "</c></row><row r=\"2\"><c r=\"A2\" t=\"inlineStr\"><is><t>x</t></is></c></row>"
             "</sheetData><autoFilter ref=\"A1:A2\"/></worksheet>");
    has_text(&book.bytes, "xl/worksheets/sheet4.xml",
             "</row></sheetData><autoFilter ref=\"A1:A1\"/>");
    has_text(&book.bytes, "[Content_Types].xml", "/xl/worksheets/sheet5.xml");
    assert_null(entry(&book.bytes, "xl/worksheets/sheet6.xml"));
    book_done(&book);
}

static void the_sheet_about_has_the_parameters(void **state)
{
    struct footer_part part = {.name = (char *)"results"};
    struct workbook book;

    (void)state;
    book_init(&book);
    assert_int_equal(open_book(&book, &part, 1, false), 0);
    add_part(&book, &part, NULL, 0);
    assert_int_equal(form_xlsx_table.end(book.table, &book.bytes, &book.err), 0);
    has_text(&book.bytes, "xl/worksheets/sheet1.xml", "<sheetData><row r=\"1\"></row></sheetData>");
#define NAME(row, name) "<c r=\"A" row "\" s=\"1\" t=\"inlineStr\"><is><t>" name "</t></is></c>"
#define TEXT(row, text) "<c r=\"B" row "\" t=\"inlineStr\"><is><t>" text "</t></is></c>"
#define ROW(row, name, cell) "<row r=\"" row "\">" NAME(row, name) cell "</row>"
    has_text(&book.bytes, "xl/worksheets/sheet2.xml",
             "<sheetData>" ROW("1", "reportName", TEXT("1", "Cells"))
                 ROW("2", "generatedDate", "<c r=\"B2\" s=\"3\"><v>46082.416666666667</v></c>")
                     ROW("3", "Number", "<c r=\"B3\"><v>12.50</v></c>")
                         ROW("4", "List", TEXT("4", "a")) ROW("5", "List", TEXT("5", "]\"b"))
                             ROW("6", "Empty", "") ROW("7", "None", "")
                                 ROW("8", "On", "<c r=\"B8\" t=\"b\"><v>1</v></c>") "</sheetData>");
#undef NAME
#undef TEXT
#undef ROW
    book_done(&book);
}

static void a_head_that_is_no_report_is_an_error(void **state)
{
    static const char *const heads[] = {
        "[",
        "{\"data\":{\"results\":",
        "{\"data\":{\"a\":\"b,\"results\":[",
        "{\"data\":{\"parameters\":{\"a\":{}},\"results\":[",
        "{\"data\":{\"parameters\":[]},\"results\":[",
        "{\"data\":{\"a\":[1,\"results\":[",
        "{\"data\":1,\"results\":[",
        "{\"data\":{\"a\":,\"results\":[",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct footer_part part = {.name = (char *)"results"};
        struct workbook book;

        book_init(&book);
        book.head = heads[i];
        assert_int_equal(open_book(&book, &part, 1, false), 0);
        add_part(&book, &part, NULL, 0);
        assert_int_equal(form_xlsx_table.end(book.table, &book.bytes, &book.err), -E_INTERNAL);
        book_done(&book);
    }
}

static void a_full_sheet_is_followed_by_another(void **state)
{
    static struct footer_column column = {.name = (char *)"a", .type = FOOTER_INTEGER};
    struct footer_part part = {.name = (char *)"results", .columns = &column, .column_count = 1};
    const struct form_value value = NUM("7");
    struct workbook book;
    char *text;

    (void)state;
    book_init(&book);
    assert_int_equal(open_book(&book, &part, 1, false), 0);
    form_xlsx_table.begin_part(book.table, &part, &book.bytes, &book.err);
    for (int i = 0; i < 1048575 + 1; i++)
        form_xlsx_table.row(book.table, &value, &book.bytes, &book.err);
    form_xlsx_table.end_part(book.table, &book.bytes, &book.err);
    assert_int_equal(form_xlsx_table.end(book.table, &book.bytes, &book.err), 0);
    text = entry(&book.bytes, "xl/worksheets/sheet1.xml");
    assert_non_null(strstr(text, "<row r=\"1048576\"><c r=\"A1048576\" s=\"5\"><v>7</v></c></row>"
                                 "</sheetData><autoFilter ref=\"A1:A1048576\"/>"));
    free(text);
    has_text(&book.bytes, "xl/worksheets/sheet2.xml",
             "<row r=\"1\"><c r=\"A1\" s=\"1\" t=\"inlineStr\"><is><t>a</t></is></c></row>"
             "<row r=\"2\"><c r=\"A2\" s=\"5\"><v>7</v></c></row></sheetData>");
    has_text(&book.bytes, "xl/workbook.xml",
             "<sheet name=\"results 2\" sheetId=\"2\" r:id=\"rId2\"/>");
    book_done(&book);
}

static void what_a_sheet_cannot_hold_is_refused(void **state)
{
    static struct footer_column columns[16385];
    struct footer_part part = {
        .name = (char *)"results", .columns = columns, .column_count = 16384};
    char digits[32768];
    struct form_value value = {FORM_NUMBER, digits, sizeof(digits)};
    struct workbook book;

    (void)state;
    for (size_t i = 0; i < 16385; i++)
        columns[i] =
            (struct footer_column){.name = (char *)"note", .type = FOOTER_STRING, .longest = 32767};
    book_init(&book);
    assert_int_equal(open_book(&book, &part, 1, false), 0);
    add_part(&book, &part, NULL, 0);
    assert_int_equal(form_xlsx_table.end(book.table, &book.bytes, &book.err), 0);
    has_text(&book.bytes, "xl/worksheets/sheet1.xml", "<autoFilter ref=\"A1:XFD1\"/>");
    book_done(&book);

    book_init(&book);
    part.column_count++;
    assert_int_equal(open_book(&book, &part, 1, false), -E_PARAM);
    assert_string_equal(book.err.text,
                        "'results' has 16385 columns, and a sheet of XLSX has at most 16384. Get "
                        "the result as JSON, NDJSON or CSV.");
    columns[1].longest++;
    part.column_count = 2;
    assert_int_equal(open_book(&book, &part, 1, false), -E_PARAM);
    assert_string_equal(book.err.text,
                        "The column 'note' has a text of 32768 characters, and a cell of XLSX has "
                        "at most 32767. Get the result as JSON, NDJSON or CSV.");
    columns[1].type = FOOTER_DECIMAL;
    assert_int_equal(open_book(&book, &part, 1, false), -E_PARAM);
    assert_non_null(strstr(book.err.text, "'note' has a number of 32768 characters"));
    part.column_count = 1;
    memset(digits, '1', sizeof(digits));
    assert_int_equal(open_book(&book, &part, 1, false), 0);
    form_xlsx_table.begin_part(book.table, &part, &book.bytes, &book.err);
    assert_int_equal(form_xlsx_table.row(book.table, &value, &book.bytes, &book.err), -E_PARAM);
    book_done(&book);
}

static void a_row_wider_than_a_block_is_written_in_steps(void **state)
{
    static struct footer_column columns[1000];
    static struct form_value values[1000];
    struct footer_part part = {.name = (char *)"results", .columns = columns, .column_count = 1000};
    static char text[32767];
    struct workbook book;
    char *xml;

    (void)state;
    memset(text, '&', sizeof(text));
    for (size_t i = 0; i < 1000; i++) {
        columns[i] = (struct footer_column){.name = (char *)"a", .type = FOOTER_STRING};
        values[i] = (struct form_value){FORM_TEXT, text, sizeof(text)};
    }
    book_init(&book);
    assert_int_equal(open_book(&book, &part, 1, false), 0);
    form_xlsx_table.begin_part(book.table, &part, &book.bytes, &book.err);
    assert_int_equal(form_xlsx_table.row(book.table, values, &book.bytes, &book.err), 0);
    form_xlsx_table.end_part(book.table, &book.bytes, &book.err);
    assert_int_equal(form_xlsx_table.end(book.table, &book.bytes, &book.err), 0);
    xml = entry(&book.bytes, "xl/worksheets/sheet1.xml");
    assert_true(strlen(xml) > 1000 * 5 * sizeof(text));
    free(xml);
    book_done(&book);
}

static void the_same_rows_give_the_same_bytes(void **state)
{
    static struct footer_column column = {.name = (char *)"a", .type = FOOTER_STRING};
    static const struct form_value rows[][COLUMNS_MAX] = {{TXT("x")}, {TXT("y")}};
    struct footer_part part = {.name = (char *)"results", .columns = &column, .column_count = 1};
    struct workbook books[2];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        book_init(&books[i]);
        assert_int_equal(open_book(&books[i], &part, 1, false), 0);
        add_part(&books[i], &part, rows, 2);
        assert_int_equal(form_xlsx_table.end(books[i].table, &books[i].bytes, &books[i].err), 0);
    }
    assert_int_equal(books[0].bytes.len, books[1].bytes.len);
    assert_memory_equal(books[0].bytes.data, books[1].bytes.data, books[0].bytes.len);
    book_done(&books[0]);
    book_done(&books[1]);
}

static void json_escapes_are_read(void **state)
{
    static const char *const broken[] = {"\\", "\\q", "\\u12", "\\u12g4"};
    struct buf out;

    (void)state;
    buf_init(&out, FILE_MAX);
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        buf_reset(&out);
        json_text_decode(&out, broken[i], strlen(broken[i]));
        assert_string_equal(buf_str(&out), broken[i]);
    }
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_one_to_fifteen_digits),
        cmocka_unit_test(a_number_has_the_format_of_its_column),
        cmocka_unit_test(a_day_is_a_date_from_march_1900_on),
        cmocka_unit_test(a_timestamp_is_a_date_with_its_fraction),
        cmocka_unit_test(texts_hold_what_xml_does_not_have),
        cmocka_unit_test(a_null_has_no_cell),
        cmocka_unit_test(each_part_has_a_sheet_of_its_own_name),
        cmocka_unit_test(the_sheet_about_has_the_parameters),
        cmocka_unit_test(a_head_that_is_no_report_is_an_error),
        cmocka_unit_test(a_full_sheet_is_followed_by_another),
        cmocka_unit_test(what_a_sheet_cannot_hold_is_refused),
        cmocka_unit_test(a_row_wider_than_a_block_is_written_in_steps),
        cmocka_unit_test(the_same_rows_give_the_same_bytes),
        cmocka_unit_test(json_escapes_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
