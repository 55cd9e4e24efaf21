/* src/ctl/commands.h -- the steps that several commands are made of. */
#pragma once

#include "base/err.h"
#include "ctl/api.h"
#include "ctl/ctl.h"

/* -E_INVALID: there is no such format. */
int step_check_format(const struct ctl_options *options, struct err *err);
/* Fetch the result into the file `output`, or to standard output for NULL and "-", in that format.
 * -E_IO: the file could not be written, or the content does not match its digest; or as
 * step_check_format() and api_call(). */
int step_get(struct api *api, const char *reference, const struct ctl_options *options,
             struct err *err);

/* GET `path`, and give its envelope, unless --json has it printed as it came. 0 with *ret NULL:
 * there is nothing more to show. */
int step_fetch(struct ctl *ctl, struct api *api, const char *path, json_t **ret, struct err *err);

/* A member's text, without anything that a terminal would obey; "" if it is not a text.
 * Borrowed. */
const char *step_text_of(const json_t *object, const char *member);
/* The member of an object, a number; 0: none. */
long long step_number_of(const json_t *object, const char *member);

/* Delete the report; `resource` is "Report", or, as an operator, "Admin/Report". */
int step_delete(struct api *api, const char *resource, const char *reference, struct err *err);
