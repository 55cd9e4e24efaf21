/* src/cli/user_password.h -- a new password for a user: from the terminal, or a line of input. */
#pragma once

#include "base/err.h"
#include "core/user.h"

enum { USER_PASSWORD_TEXT = USER_PASSWORD_MAX + 1 };

/* Standard input is a terminal: ask twice, without echo; else read its first line. -E_INVALID:
 * none, or one that password_check() refuses for this user; -E_CANCELLED: a signal. Wipe
 * `ret_password` with explicit_bzero() after use. */
int user_password_read(const char *name, char ret_password[USER_PASSWORD_TEXT], struct err *err);
