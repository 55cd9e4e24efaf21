/* src/ctl/token_source.h -- API keys and tokens that reportctl did not get by a password: in a
 * file, from a command, or by mistake in an argument. */
#pragma once

#include <stdbool.h>

#include "base/err.h"

#define TOKEN_VARIABLE "REPORTCTL_TOKEN"

/* The API key in the first line of the file; *ret is yours to free(). -E_IO: it cannot be read, or
 * others may read it; -E_INVALID: there is none in it. */
int token_from_file(const char *path, char **ret, struct err *err);
/* Run it by the shell, on this terminal: its output is the token. *ret is yours to free(). -E_AUTH:
 * it failed, or its output is no token; -E_CANCELLED: a signal came. */
int token_from_command(const char *command, char **ret, struct err *err);
/* Of the variable REPORTCTL_TOKEN; borrowed. 0 with NULL: it is not set, or empty. -E_INVALID: it
 * is no token. */
int token_from_environment(const char **ret, struct err *err);

/* Is an API key or an access token in `text`? */
bool token_is_in(const char *text);
