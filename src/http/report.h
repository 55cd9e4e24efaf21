/* src/http/report.h -- the Report resource: the first step of each of its routes. */
#pragma once

#include "http/exchange.h"

/* What they answer is doc/api.md § Report. All but the last need ROUTE_TOKEN; report_post needs the
 * body. */
exchange_step report_post;        /* POST   /Report: accept a request */
exchange_step report_get;         /* GET    /Report?reference=: the result */
exchange_step report_rows;        /* GET    /Report/Rows?reference=&from=&count= */
exchange_step report_delete;      /* DELETE /Report?reference= */
exchange_step report_status;      /* GET    /Report/Status?reference= */
exchange_step report_list;        /* GET    /Report/List?PageNumber=&PageSize=&State= */
exchange_step report_delete_many; /* DELETE /Report/List?State=&ReportName=&Before=&dryRun= */
exchange_step report_types;       /* GET    /Report/Types?values= */
exchange_step report_keys;        /* GET    /.well-known/jwks.json, public: the keys of receipts */

/* GET /Report/Types with `values`: the choices of that parameter, "NAME.Param". */
void report_choices(struct exchange *ex, const char *values);
