/* src/http/report_events.c -- GET /Report/Events: changes of the caller's own reports (WHATWG HTML,
 * 9.2 server-sent events). */
#include "http/report.h"

#include "http/exchange_impl.h"

void report_events(struct exchange *ex)
{
    const struct stream_spec spec = {.fd = exchange_socket(ex),
                                     .tls = exchange_tls(ex) != NULL,
                                     .user_id = ex->user->id,
                                     .session = ex->claims.session,
                                     .ends_ms = ex->claims.expires_s * 1000,
                                     .external = ex->claims.external,
                                     .last_id = exchange_header(ex, "Last-Event-ID")};
    struct stream *stream;
    int rc;

    /* A proxy (nginx) has to pass events on at once, and unchanged. */
    exchange_add_text(ex, "X-Accel-Buffering", "no");
    exchange_add_text(ex, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store, no-transform");
    if (ex->head) {
        exchange_reply_text(ex, MHD_HTTP_OK, "text/event-stream", "");
        return;
    }
    rc = stream_open(ex->services->streams, &spec, &stream, &ex->err);
    if (spec.external && token_cache_age(ex->services->token_cache) != ex->age)
        streams_end_external(ex->services->streams); /* its key may have gone just before */
    if (rc == -E_STREAMS)
        exchange_count_limit(ex, LIMIT_STREAMS);
    if (rc < 0)
        exchange_reply_error(ex, &ex->err, NULL);
    else
        exchange_reply_stream(ex, stream);
}
