/* src/http/common.c -- GET /Common/HealthCheck and /openapi.json. */
#include "http/common.h"

#include <stdlib.h>

#include "base/version.h"
#include "http/exchange_impl.h"
#include "http/health.h"

/* The file src/http/openapi.json, included in the program by the assembler. */
__asm__(".section .rodata\n"
        ".global http_openapi_json\n"
        "http_openapi_json:\n"
        ".incbin \"src/http/openapi.json\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char http_openapi_json[];

const char *common_openapi_text(void)
{
    return http_openapi_json;
}

void common_openapi(struct exchange *ex)
{
    exchange_reply_json(ex, http_openapi_json);
}

static void health_known(struct exchange *ex)
{
    const struct waiter *waiter = ex->state;

    if (health_read(ex->services->health, waiter->timed_out, &ex->err) < 0) {
        exchange_reply_error(ex, &ex->err, "{\"status\": \"failing\"}");
        return;
    }
    exchange_reply(ex, true, "The service is healthy.",
                   "{\"status\": \"ok\", \"version\": \"" REPORTD_VERSION "\"}");
}

static void health_woken(struct waiter *waiter)
{
    exchange_wake(waiter->owner);
}

void common_health(struct exchange *ex)
{
    struct waiter *waiter = calloc(1, sizeof(*waiter));

    if (waiter == NULL) {
        err_set(&ex->err, -E_NOMEM, "No memory for the check.");
        exchange_reply_error(ex, &ex->err, "{\"status\": \"failing\"}");
        return;
    }
    waiter->fd = -1;
    waiter->wake = health_woken;
    waiter->owner = ex;
    ex->state = waiter;
    ex->state_free = free;
    exchange_await(ex, health_known);
    health_ask(ex->services->health, waiter);
}
