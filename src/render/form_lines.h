/* src/render/form_lines.h -- the elements of results as lines, by their borders alone: nothing in
 * them is read. */
#pragma once

#include "base/buf.h"
#include "render/form_spec.h"

/* Only for a stored result whose blocks have checksums, which spec->read compares: then it is what
 * was written, and no byte of it needs to be compared with the columns of the footer. */
struct form_lines;

/* `spec` is borrowed. *ret is yours: form_lines_free(); NULL: this result has no checksums, or
 * something else in it may look like a border, so form_rows_lines() has to read it. */
int form_lines_new(const struct form_spec *spec, struct form_lines **ret, struct err *err);
void form_lines_free(struct form_lines *lines); /* NULL is fine */
/* As form_rows_lines(). -E_INTERNAL: there are not as many elements as the footer says, too. */
int form_lines_more(struct form_lines *lines, size_t least, struct buf *out, struct err *err);
