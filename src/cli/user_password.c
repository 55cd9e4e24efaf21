/* src/cli/user_password.c -- reads a new password, without echo from a terminal, or from a pipe. */
#include "cli/user_password.h"

#include <string.h>
#include <unistd.h>

#include "cli/prompt.h"
#include "core/password.h"

enum { LINE_BYTES = USER_PASSWORD_MAX + 3 }; /* one byte too many, its CR, the NUL */

static int check_line(const char *line, size_t len, struct err *err)
{
    if (len == 0)
        return err_set(err, -E_INVALID, "no password; it takes %d characters or more",
                       PASSWORD_CHARS_MIN);
    if (len > USER_PASSWORD_MAX)
        return err_set(err, -E_INVALID, "the password is longer than %d bytes", USER_PASSWORD_MAX);
    if (memchr(line, '\0', len) != NULL)
        return err_set(err, -E_INVALID, "the password has a NUL in it");
    return 0;
}

/* Ask for a password, or read a line from a pipe. */
static int ask_password(const char *question, char ret_password[USER_PASSWORD_TEXT],
                        struct err *err)
{
    char line[LINE_BYTES];
    size_t len = 0;
    int rc =
        prompt_line(question, false, line, sizeof(line), &len, err) ?: check_line(line, len, err);

    if (rc == 0) {
        memcpy(ret_password, line, len);
        ret_password[len] = '\0';
    }
    explicit_bzero(line, sizeof(line));
    return rc;
}

/* An invalid password is refused before it has to be typed again. */
static int ask_twice(const char *name, char ret_password[USER_PASSWORD_TEXT], struct err *err)
{
    char again[USER_PASSWORD_TEXT];
    int rc = ask_password("new password: ", ret_password, err)
                 ?: password_check(ret_password, name, err)
                 ?: ask_password("once more: ", again, err);

    if (rc == 0 && strcmp(ret_password, again) != 0)
        rc = err_set(err, -E_INVALID, "the two passwords differ; nothing was changed");
    explicit_bzero(again, sizeof(again));
    return rc;
}

int user_password_read(const char *name, char ret_password[USER_PASSWORD_TEXT], struct err *err)
{
    bool asks = isatty(STDIN_FILENO);

    return (asks ? ask_twice(name, ret_password, err) : ask_password("", ret_password, err))
               ?: password_check(ret_password, name, err);
}
