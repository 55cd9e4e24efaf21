/* src/store/sqlite_claim.c -- what starts next in SQLite, and what is paused. */
#include <stdlib.h>

#include "store/sqlite_impl.h"

int sqlite_pause(struct store_conn *conn, struct store_pause *arg, struct err *err)
{
    const char *source = arg->source != NULL ? arg->source : "";
    int rc = sql_do(conn, err, arg->paused ? SQL_PAUSE : SQL_RESUME, value_text(source));

    if (rc == 0 && !arg->paused)
        store_changed(conn, &(struct store_change){.state = REPORT_QUEUED}); /* of no report */
    return rc;
}

int sqlite_paused(struct store_conn *conn, struct store_paused *arg, struct err *err)
{
    struct sql q = sql_start(conn, SQL_PAUSED);
    struct buf sources;

    arg->all = false;
    buf_init(&sources, PAUSED_MAX);
    while (sql_next(&q)) {
        char *source = sql_get_text(&q, 0);

        store_add_paused(arg, &sources, source);
        free(source);
    }
    arg->sources = buf_take(&sources);
    return sql_end(&q, err) ?: arg->sources == NULL ? sqlite_no_memory(err) : 0;
}
