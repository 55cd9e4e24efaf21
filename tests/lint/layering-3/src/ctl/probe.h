/* src/ctl/probe.h -- the client looks into the server. */
#include "core/report.h"
