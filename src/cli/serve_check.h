/* src/cli/serve_check.h -- what a start would refuse, without one. */
#pragma once

#include "core/config.h"

/* Print every problem with the keys, the definitions, the certificate, the addresses, the folders
 * and the store on standard error, and return how many a start would refuse; definitions that it
 * would leave out are printed and not counted. Nothing is made or changed, and a server may run.
 * Whether an address is in use is not looked at. */
int serve_check(const struct config *config);
/* Print one, which counts. */
int serve_check_problem(const char *text);
