/* src/base/table.c -- the width of characters by wcwidth(), whatever the locale of the program. */
#include "base/table.h"

#include <locale.h>
#include <pthread.h>
#include <wchar.h>

#include "base/str.h"

/* A character, or its replacement. */
struct letter {
    const char *at;
    size_t len, width;
};

static locale_t utf8;

static void find_locale(void)
{
    utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

/* wcwidth() uses the locale of the thread. */
static locale_t enter_locale(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, find_locale);
    return uselocale(utf8);
}

/* Get the first character of `text`; returns how many bytes of `text` it takes. */
static size_t next_letter(const char *text, size_t len, struct letter *ret)
{
    size_t bytes = str_utf8_length(text, len);
    int width = wcwidth(bytes > 0 ? (wchar_t)str_code_point(text, bytes) : L'?');

    *ret = (struct letter){bytes > 0 ? text : "?", bytes > 0 ? bytes : 1, 1};
    if (str_control_length(text, len) > 0)
        *ret = (struct letter){" ", 1, 1};
    else if (width >= 0)
        ret->width = (size_t)width;
    return bytes > 0 ? bytes : 1;
}

static size_t measure_text(const char *text, size_t len)
{
    struct letter letter;
    size_t width = 0;

    for (size_t at = 0; at < len; width += letter.width)
        at += next_letter(text + at, len - at, &letter);
    return width;
}

size_t table_width(const char *text, size_t len)
{
    locale_t before = enter_locale();
    size_t width = measure_text(text, len);

    uselocale(before);
    return width;
}

static void add_blanks(struct buf *line, size_t count)
{
    while (count-- > 0)
        buf_add_char(line, ' ');
}

void table_add(struct buf *line, const char *text, size_t len, const struct table_cell *cell)
{
    locale_t before = enter_locale();
    size_t width = measure_text(text, len), room = SIZE_MAX, shown = 0;
    struct letter letter;

    if (cell->most > 0 && width > cell->most) {
        width = cell->most;
        room = cell->most - 1;
    }
    if (cell->right && width < cell->width)
        add_blanks(line, cell->width - width);
    for (size_t at = 0; at < len; shown += letter.width) {
        at += next_letter(text + at, len - at, &letter);
        if (shown + letter.width > room)
            break;
        buf_add(line, letter.at, letter.len);
    }
    uselocale(before);
    if (room != SIZE_MAX) {
        add_blanks(line, room - shown); /* a character of two columns did not fit */
        buf_add_str(line, "…");
    }
    if (!cell->right && width < cell->width)
        add_blanks(line, cell->width - width);
}
