/* src/base/wrap.h -- text for people in lines that fit a terminal. */
#pragma once

#include <stddef.h>
#include <stdio.h>

/* Columns of the terminal `out`, at most 80; 80 if it is not a terminal. */
int wrap_columns(FILE *out);

/* Columns of the terminal `out`; 0 if it is not a terminal. */
int wrap_terminal(FILE *out);

/* Characters of `text`, each of which a terminal gives a column. */
int wrap_width(const char *text, size_t len);

/* Print the words of `text` (UTF-8), with the cursor in column `column`, in lines of at most
 * wrap_columns(); the further ones begin in column `indent`. Ends the line. */
void wrap_print(FILE *out, int column, int indent, const char *text);
