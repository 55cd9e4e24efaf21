/* src/ctl/token_source.h -- API keys and tokens that do not come from a login with a password: from
 * a file or a command, or by mistake in an argument. */
#pragma once

#include <stdbool.h>

#include "base/err.h"

#define TOKEN_VARIABLE "REPORTCTL_TOKEN"

/* Read the API key in the first line of the file; *ret is yours to free(). -E_IO: it cannot be
 * read, or others may read it; -E_INVALID: it contains none. */
int token_from_file(const char *path, char **ret, struct err *err);
/* Run the command with the shell, on this terminal: its output is the token. *ret is yours to
 * free(). -E_AUTH: it failed, or its output is not a token; -E_CANCELLED: a signal arrived. */
int token_from_command(const char *command, char **ret, struct err *err);
/* The token in the variable REPORTCTL_TOKEN; borrowed. 0 with NULL: it is not set, or empty.
 * -E_INVALID: it is not a token. */
int token_from_environment(const char **ret, struct err *err);

/* May it be sent in a header? Otherwise a value could smuggle in another header, or a request. */
bool token_is_sendable(const char *text);
/* Is an API key or an access token in `text`? */
bool token_is_in(const char *text);
