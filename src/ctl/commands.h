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

/* Delete the report. */
int step_delete(struct api *api, const char *reference, struct err *err);
