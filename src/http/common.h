/* src/http/common.h -- GET /Common/HealthCheck, /openapi.json and, of metrics_page.c, /metrics. */
#pragma once

#include "http/exchange.h"

/* First steps of the routes (see http/router.c). */
exchange_step common_health, common_openapi, common_metrics;

/* The text of /openapi.json. */
const char *common_openapi_text(void);
