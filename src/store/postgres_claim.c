/* src/store/postgres_claim.c -- what starts next in PostgreSQL, and what is paused. */
#include <stdlib.h>

#include "store/postgres_impl.h"

enum { LIMITS_MAX = 1 << 20 };

void postgres_send_claim(struct postgres_conn *c, struct store_claim *arg)
{
    static const struct guid none;
    struct buf limits;

    buf_init(&limits, LIMITS_MAX);
    for (size_t i = 0; i < arg->limit_count; i++)
        buf_add_format(&limits, "%lld %s\n", (long long)arg->limits[i].max_running,
                       arg->limits[i].source);
    call_run(c, PG_CLAIM_ALONE);
    call_run(c, PG_CLAIM, value_text(arg->node),
             value_guid(guid_eq(&arg->token, &none) ? NULL : &arg->token), value_int(arg->now_ms),
             value_text(buf_failed(&limits) ? "" : arg->offer), /* out of memory: nothing may
                                                                 * start */
             value_text(arg->sources), value_text(buf_str(&limits)), value_int(arg->running_limit));
    buf_done(&limits);
    call_run(c, PG_QUEUED);
}

int postgres_read_claim(struct postgres_conn *c, struct store_claim *arg)
{
    if (!results_take(c))
        return -E_STORE;
    arg->found = results_next(c);
    if (arg->found) {
        postgres_read_report(c, &arg->report);
        report_take_parameters(&arg->report, get_sealed_text(c, POSTGRES_REPORT_COLUMN_COUNT,
                                                             arg->report.key, KEYRING_PARAMETERS));
        arg->report.user_name = get_text(c, POSTGRES_REPORT_COLUMN_COUNT + 1);
        arg->stray = get_bool(c, POSTGRES_REPORT_COLUMN_COUNT + 2);
        arg->permitted = get_bool(c, POSTGRES_REPORT_COLUMN_COUNT + 3);
        postgres_changed(c, &arg->report.id, arg->report.user_id, POSTGRES_REPORT_COLUMN_COUNT + 1,
                         REPORT_PROCESSING);
    }
    if (!results_take(c) || !results_next(c))
        return -E_STORE;
    arg->held_back = !arg->found && get_bool(c, 0);
    return 0;
}

/* Waits for the claims in progress: once the pause is answered, nothing more starts. */
void postgres_send_pause(struct postgres_conn *c, struct store_pause *arg)
{
    call_run(c, PG_CLAIM_ALONE);
    call_run(c, arg->paused ? PG_PAUSE : PG_RESUME,
             value_text(arg->source != NULL ? arg->source : ""));
}

int postgres_read_pause(struct postgres_conn *c, struct store_pause *arg)
{
    if (!results_take(c))
        return -E_STORE;
    if (!arg->paused) /* not a change of a report */
        store_changed(&c->base, &(struct store_change){.state = REPORT_QUEUED});
    return 0;
}

POSTGRES_SENDS(paused, PG_PAUSED)

int postgres_read_paused(struct postgres_conn *c, struct store_paused *arg)
{
    struct buf sources;

    arg->all = false;
    buf_init(&sources, PAUSED_MAX);
    while (results_next(c)) {
        char *source = get_text(c, 0);

        store_add_paused(arg, &sources, source);
        free(source);
    }
    arg->sources = buf_take(&sources);
    return arg->sources == NULL ? results_no_memory(c) : 0;
}
