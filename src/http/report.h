/* src/http/report.h -- the Report resource: the first step of each of its routes. */
#pragma once

#include "http/exchange.h"

/* What they answer is doc/api.md § Report. Those that are not public need ROUTE_TOKEN;
 * report_post and report_link need the body. */
exchange_step report_post;        /* POST   /Report: accept a request */
exchange_step report_get;         /* GET    /Report?reference=: the result */
exchange_step report_rows;        /* GET    /Report/Rows?reference=&from=&count= */
exchange_step report_link;        /* POST   /Report/Link: make a link to a result */
exchange_step report_link_open;   /* GET    /Report/Link?token=, public: follow it */
exchange_step report_delete;      /* DELETE /Report?reference= */
exchange_step report_status;      /* GET    /Report/Status?reference= */
exchange_step report_events;      /* GET    /Report/Events */
exchange_step report_list;        /* GET    /Report/List?PageNumber=&PageSize=&State= */
exchange_step report_delete_many; /* DELETE /Report/List?State=&ReportName=&Before=&dryRun= */
exchange_step report_types;       /* GET    /Report/Types?values= */
exchange_step report_keys;        /* GET    /.well-known/jwks.json, public: the keys of receipts */

/* GET /Report/Types with `values`: the choices of that parameter, "NAME.Param". */
void report_choices(struct exchange *ex, const char *values);
