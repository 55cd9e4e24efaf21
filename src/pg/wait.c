/* src/pg/wait.c -- waits for PostgreSQL, with a time limit. */
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "pg/pg.h"

enum { IDLE_NEWS_MAX = 16 };

enum pg_end pg_sleep(const PGconn *conn, short events, int64_t until_ms, int wake_fd)
{
    struct pollfd fds[] = {{.fd = conn != NULL ? PQsocket(conn) : -1, .events = events},
                           {.fd = wake_fd, .events = POLLIN}};
    int64_t left = until_ms != 0 ? until_ms - clock_mono_ms() : -1;
    int n;

    if (until_ms != 0 && left <= 0)
        return PG_LATE;
    n = poll(fds, 2, left < INT_MAX ? (int)left : INT_MAX);
    if (n > 0 && fds[1].revents != 0)
        return PG_WOKEN;
    return n == 0 ? PG_LATE : PG_READY; /* PG_READY also after a signal: the caller checks again */
}

/* Sleep, then read what has arrived. */
static enum pg_end await_news(PGconn *conn, int unsent, int64_t until_ms, int wake_fd)
{
    enum pg_end end = unsent < 0 ? PG_GONE
                                 : pg_sleep(conn, (short)(unsent > 0 ? POLLIN | POLLOUT : POLLIN),
                                            until_ms, wake_fd);

    return end == PG_READY && PQconsumeInput(conn) == 0 ? PG_GONE : end;
}

enum pg_end pg_wait(PGconn *conn, int64_t until_ms, int wake_fd)
{
    enum pg_end end = PG_READY;

    CHECK(pg_is_lost(conn) || PQisnonblocking(conn));
    while (end == PG_READY && PQisBusy(conn))
        end = await_news(conn, PQflush(conn), until_ms, wake_fd);
    return end;
}

enum pg_end pg_results(PGconn *conn, int sent, int64_t until_ms, int wake_fd, PGresult **ret)
{
    PGresult *last = NULL, *next = NULL;
    enum pg_end end = sent == 1 ? PG_READY : PG_GONE;

    while (sent == 1 && PQresultStatus(last) != PGRES_COPY_IN) {
        end = pg_wait(conn, until_ms, wake_fd);
        if (end == PG_LATE || end == PG_WOKEN || (next = PQgetResult(conn)) == NULL)
            break;
        PQclear(last);
        last = next;
    }
    if (end == PG_LATE || end == PG_WOKEN) {
        PQclear(last);
        last = NULL;
    }
    *ret = last;
    return end;
}

/* Say why there is no good result. After a timeout, shutting the socket down makes libpq notice
 * that the connection is lost. */
static void say_why(PGconn *conn, const PGresult *result, enum pg_end end, char why[PG_MESSAGE])
{
    if (end != PG_LATE) {
        pg_said(conn, result, why);
        return;
    }
    str_copy(why, PG_MESSAGE, "no answer in time");
    shutdown(PQsocket(conn), SHUT_RDWR);
    PQconsumeInput(conn);
}

PGresult *pg_result(PGconn *conn, int sent, int64_t until_ms, char why[PG_MESSAGE])
{
    PGresult *result;
    enum pg_end end = pg_results(conn, sent, until_ms, -1, &result);

    if (pg_is_good(result))
        return result;
    say_why(conn, result, end, why);
    PQclear(result);
    return NULL;
}

bool pg_copy_add(PGconn *conn, const void *data, int len, int64_t until_ms, char why[PG_MESSAGE])
{
    enum pg_end end = PQputCopyData(conn, data, len) == 1 ? PG_READY : PG_GONE;
    int unsent;

    while (end == PG_READY && (unsent = PQflush(conn)) != 0)
        end = await_news(conn, unsent, until_ms, -1);
    if (end != PG_READY)
        say_why(conn, NULL, end, why);
    return end == PG_READY;
}

bool pg_is_there(PGconn *conn)
{
    struct pollfd fd = {.fd = PQsocket(conn), .events = POLLIN};

    /* The server may have sent its last message and closed the socket, or reported a changed
     * setting. */
    for (int i = 0; i < IDLE_NEWS_MAX && poll(&fd, 1, 0) > 0; i++) {
        if (PQconsumeInput(conn) == 0)
            return false;
        PQisBusy(conn); /* processes what was read */
    }
    return !pg_is_lost(conn);
}
