/* src/http/admin.h -- the operators' resource: the first step of each route under /Admin/. */
#pragma once

#include "http/exchange.h"

/* What they answer is doc/api.md § Admin. They need ROUTE_OPERATOR. */
exchange_step admin_overview; /* GET    /Admin/Overview */
exchange_step admin_queue;    /* POST   /Admin/Queue */
exchange_step admin_list;     /* GET    /Admin/Reports?State=&User=&ReportName=&Source=&… */
exchange_step admin_delete;   /* DELETE /Admin/Report?reference= */

/* The report types that read the source `name`, with a newline after each: *ret is yours to free();
 * NULL: *ret is NULL, for all. -E_INVALID: there is no such source; -E_NOMEM. */
int admin_types_of(struct exchange *ex, const char *name, char **ret, struct err *err);
