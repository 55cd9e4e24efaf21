/* src/ctl/commands.h -- the steps that several commands are made of. */
#pragma once

#include "base/err.h"
#include "base/guid.h"
#include "ctl/api.h"
#include "ctl/ctl.h"

/* The body of a submit made of "NAME" and "Key=Value"…; -E_INVALID. *ret is yours to free(). */
int step_make_body(char **arguments, size_t count, char **ret, struct err *err);

/* Submit `body`; safe to repeat with the same key. The reference into `reference`. */
int step_submit(struct api *api, const char *body, const char *key, char reference[GUID_TEXT],
                struct err *err);

/* Wait until the report has finished, showing how it goes. 0: complete; -E_SOURCE: it ended in
 * error, with the report's own words; or as api_call(). */
int step_wait(struct api *api, const char *reference, struct err *err);

/* -E_INVALID: there is no such format. */
int step_check_format(const struct ctl_options *options, struct err *err);
/* Fetch the result into the file `output`, or to standard output for NULL and "-", in that format.
 * -E_IO: the file could not be written, or the content does not match its digest; or as
 * step_check_format() and api_call(). */
int step_get(struct api *api, const char *reference, const struct ctl_options *options,
             struct err *err);

/* Delete the report. */
int step_delete(struct api *api, const char *reference, struct err *err);
