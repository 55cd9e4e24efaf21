/* src/base/err.c -- the error table and the message of one error. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static const struct {
    int status;
    const char *title;
} codes[E_COUNT] = {[E_NONE] = {200, "No error"},
#define X(name, status, title) [E_##name] = {status, title},
                    ERR_CODES(X)
#undef X
};

/* Cut at ERR_TEXT_MAX - 1, or before a character that would be split. */
__attribute__((format(printf, 2, 0))) static void format_text(char text[ERR_TEXT_MAX],
                                                              const char *format, va_list args)
{
    if (vsnprintf(text, ERR_TEXT_MAX, format, args) >= ERR_TEXT_MAX)
        text[str_whole(text, ERR_TEXT_MAX - 1)] = '\0';
}

/* "%.40s" may have split a character, too. */
__attribute__((format(printf, 2, 0))) static void format_message(char text[ERR_TEXT_MAX],
                                                                 const char *format, va_list args)
{
    format_text(text, format, args);
    str_drop_cut(text);
}

/* The names of both are in parentheses so that the macros of the header do not apply. */
int(err_set)(struct err *err, int code, const char *format, ...)
{
    if (err != NULL) {
        va_list args;

        va_start(args, format);
        format_message(err->text, format, args);
        va_end(args);
        err->code = code;
        err->detail[0] = '\0';
    }
    return code;
}

int(err_errno)(struct err *err, int code, const char *format, ...)
{
    int saved = errno;

    if (err != NULL) {
        va_list args;
        size_t len;

        va_start(args, format);
        format_message(err->text, format, args);
        va_end(args);
        len = strlen(err->text);
        snprintf(err->text + len, sizeof(err->text) - len, ": %s", strerror(saved));
        err->code = code;
        err->detail[0] = '\0';
    }
    errno = saved;
    return code;
}

int err_detail(struct err *err, const char *format, ...)
{
    va_list args;

    if (err == NULL)
        return -E_INTERNAL;
    va_start(args, format);
    format_text(err->detail, format, args);
    va_end(args);
    return err->code;
}

static int code_index(int code)
{
    int index = abs(code);

    return index < E_COUNT ? index : E_INTERNAL;
}

int err_status(int code)
{
    return codes[code_index(code)].status;
}

const char *err_title(int code)
{
    return codes[code_index(code)].title;
}
