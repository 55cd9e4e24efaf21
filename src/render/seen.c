/* src/render/seen.c -- whether all texts of a column look like dates or timestamps. */
#include "render/seen.h"

#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

enum { DATE_TEXT = CLOCK_DATE_TEXT - 1, TIME_TEXT = 8 };

static bool fits(const char *text, const char *form)
{
    for (; *form != '\0'; text++, form++) {
        bool digit = *text >= '0' && *text <= '9';

        if (*form == '0' ? !digit : *text != *form)
            return false;
    }
    return true;
}

static int two_digits(const char *at)
{
    return (at[0] - '0') * 10 + at[1] - '0';
}

/* Runs for every row, so it has few branches, and asks the calendar only about the last days of
 * months. */
static bool seems_date(const char *text, size_t len)
{
    int month, day;
    int64_t number;

    if (len < DATE_TEXT ||
        !(str_is_digit(text[0]) & str_is_digit(text[1]) & str_is_digit(text[2]) &
          str_is_digit(text[3]) & (text[4] == '-') & str_is_digit(text[5]) & str_is_digit(text[6]) &
          (text[7] == '-') & str_is_digit(text[8]) & str_is_digit(text[9])))
        return false;
    month = two_digits(text + 5);
    day = two_digits(text + 8);
    if (text[0] > '0' && month >= 1 && month <= 12 && day >= 1 && day <= 28)
        return true;
    return clock_day(text, DATE_TEXT, &number);
}

/* HH:MM:SS[.fraction][Z] */
static bool is_time(const char *text, size_t len)
{
    size_t at = TIME_TEXT;

    if (len < TIME_TEXT || !fits(text, "00:00:00") || two_digits(text) > 23 ||
        two_digits(text + 3) > 59 || two_digits(text + 6) > 59)
        return false;
    if (at < len && text[at] == '.') {
        size_t begin = ++at;

        while (at < len && text[at] >= '0' && text[at] <= '9')
            at++;
        if (at == begin)
            return false;
    }
    return at == len || (at + 1 == len && text[at] == 'Z');
}

static bool seems_timestamp(const char *text, size_t len)
{
    return len > DATE_TEXT + 1 && (text[DATE_TEXT] == 'T' || text[DATE_TEXT] == ' ') &&
           seems_date(text, len) && is_time(text + DATE_TEXT + 1, len - DATE_TEXT - 1);
}

static int64_t utf16_units(const char *text, size_t len)
{
    int64_t units = 0;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        units += (c & 0xC0) != 0x80; /* one for the first byte of a character … */
        units += (c & 0xF8) == 0xF0; /* … and one more for a character beyond U+FFFF */
    }
    return units;
}

void seen_add_text(struct seen *seen, const struct source_value *value)
{
    const char *text = value->text.data;
    size_t len = value->text.len;

    if (seen_length_max(value) > seen->longest) {
        int64_t units =
            value->kind == SOURCE_BLOB ? seen_length_max(value) : utf16_units(text, len);

        if (units > seen->longest)
            seen->longest = units;
    }
    if (!seen->not_dates && !(len == DATE_TEXT && seems_date(text, len)))
        seen->not_dates = true;
    if (!seen->not_timestamps && !seems_timestamp(text, len))
        seen->not_timestamps = true;
}

static bool only(unsigned kinds, unsigned of)
{
    return kinds != 0 && (kinds & ~of) == 0;
}

static enum footer_type type_by_values(const struct seen *seen)
{
    static const unsigned integer = 1u << SOURCE_INTEGER, real = 1u << SOURCE_REAL,
                          numeric = 1u << SOURCE_NUMERIC, text = 1u << SOURCE_TEXT;
    const unsigned kinds = seen->kinds & ~(1u << SOURCE_NULL);

    if (only(kinds, integer))
        return FOOTER_INTEGER;
    if (only(kinds, integer | numeric))
        return FOOTER_DECIMAL;
    if (only(kinds, integer | numeric | real))
        return FOOTER_NUMBER;
    if (only(kinds, 1u << SOURCE_BOOLEAN))
        return FOOTER_BOOLEAN;
    if (only(kinds, 1u << SOURCE_JSON))
        return FOOTER_JSON;
    if (only(kinds, text) && !seen->not_dates)
        return FOOTER_DATE;
    if (only(kinds, text) && !seen->not_timestamps)
        return FOOTER_TIMESTAMP;
    return FOOTER_STRING;
}

enum footer_type seen_type(const struct seen *seen, const struct column *declared, int *ret_scale)
{
    *ret_scale = -1;
    if (declared == NULL)
        return type_by_values(seen);
    switch (declared->type) {
    case COLUMN_DECIMAL:
    case COLUMN_SCALED:
        *ret_scale = declared->scale;
        return FOOTER_DECIMAL;
    case COLUMN_JSON:
        return FOOTER_JSON;
    case COLUMN_BOOLEAN:
        return FOOTER_BOOLEAN;
    default:
        return FOOTER_STRING;
    }
}
