/* src/store/postgres_claim.c -- what starts next in PostgreSQL, and what is paused. */
#include <stdlib.h>

#include "store/postgres_impl.h"

void postgres_send_pause(struct postgres_conn *c, struct store_pause *arg)
{
    call_run(c, arg->paused ? PG_PAUSE : PG_RESUME,
             value_text(arg->source != NULL ? arg->source : ""));
}

int postgres_read_pause(struct postgres_conn *c, struct store_pause *arg)
{
    if (!arg->paused) /* of no report */
        store_changed(&c->base, &(struct store_change){.state = REPORT_QUEUED});
    return 0;
}

void postgres_send_paused(struct postgres_conn *c, struct store_paused *arg)
{
    (void)arg;
    call_run(c, PG_PAUSED);
}

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
