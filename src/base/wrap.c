/* src/base/wrap.c -- lines broken between words. */
#include "base/wrap.h"

#include <string.h>
#include <sys/ioctl.h>

enum { COLUMNS_LEAST = 20, COLUMNS_MOST = 80 };

int wrap_terminal(FILE *out)
{
    struct winsize size;

    return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

int wrap_columns(FILE *out)
{
    int columns = wrap_terminal(out);

    return columns < COLUMNS_LEAST || columns > COLUMNS_MOST ? COLUMNS_MOST : columns;
}

int wrap_width(const char *text, size_t len)
{
    int width = 0;

    for (size_t i = 0; i < len; i++)
        width += ((unsigned char)text[i] & 0xc0) != 0x80;
    return width;
}

void wrap_print(FILE *out, int column, int indent, const char *text)
{
    static const char blanks[] = " \n";
    const int columns = wrap_columns(out);
    const char *end;

    for (const char *at = text; *at != '\0'; at = end) {
        int space = (int)strspn(at, blanks);
        const char *word = at + space;
        size_t len = strcspn(word, blanks);
        int width = wrap_width(word, len);

        end = word + len;
        if (at > text && column + space + width > columns) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
            space = 0;
        }
        fprintf(out, "%*s%.*s", space, "", (int)len, word);
        column += space + width;
    }
    fputc('\n', out);
}
