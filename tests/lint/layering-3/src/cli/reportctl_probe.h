/* src/cli/reportctl_probe.h -- the client looks into the server. */
#include "core/report.h"
