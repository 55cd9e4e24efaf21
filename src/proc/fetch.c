/* src/proc/fetch.c -- the process that fetches, as the server sees it. */
#include "proc/fetch.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/seam.h"
#include "base/str.h"
#include "proc/fetch_wire.h"

enum { PATIENCE_MS = 1000, REASON_MAX = 300 };

void fetch_init(struct fetch *fetch)
{
    *fetch = (struct fetch){.child = {.pidfd = -1}};
    lock_init(&fetch->lock);
}

void fetch_done(struct fetch *fetch)
{
    lock_done(&fetch->lock);
}

static int refuse_fetch(struct err *err)
{
    return err_set(err, -E_CANCELLED, "the server is stopping");
}

static int start_fetch(struct fetch *fetch, int *ret_socket, struct err *err)
{
    int rc;

    lock_take(&fetch->lock);
    rc =
        fetch->cancelled ? refuse_fetch(err) : child_spawn("fetch", &fetch->child, ret_socket, err);
    lock_release(&fetch->lock);
    return rc;
}

static int send_fetch_question(int socket, const char *url, const char *ca, struct err *err)
{
    struct buf question;
    ssize_t sent = -1;

    buf_init(&question, FETCH_PACKET_MAX);
    buf_add(&question, url, strlen(url) + 1);
    buf_add_str(&question, ca != NULL ? ca : "");
    buf_add_char(&question, '\0');
    if (!buf_failed(&question))
        sent = send(socket, buf_str(&question), question.len, MSG_NOSIGNAL);
    buf_done(&question);
    return sent > 0 ? 0 : err_errno(err, -E_IO, "can't ask the process that fetches");
}

/* Packets until the process closes its end; *ret_kind is the first byte of the first. */
static int receive_answer(int socket, struct buf *ret, char *ret_kind, struct err *err)
{
    int64_t until_ms = clock_steady_ms() + FETCH_TIMEOUT_MS + PATIENCE_MS, left_ms;
    struct pollfd ready = {.fd = socket, .events = POLLIN};
    char packet[FETCH_PACKET_MAX];

    *ret_kind = '\0';
    while ((left_ms = until_ms - clock_steady_ms()) > 0) {
        ssize_t got;

        if (poll(&ready, 1, (int)SEAM_PATIENCE_MS(left_ms)) <= 0)
            continue;
        got = recv(socket, packet, sizeof(packet), 0);
        if (got == 0)
            return 0;
        if (got < 0)
            return err_errno(err, -E_IO, "can't read from the process that fetches");
        if (*ret_kind == '\0')
            *ret_kind = packet[0];
        buf_add(ret, packet + 1, (size_t)got - 1);
    }
    return err_set(err, -E_IO, "it took more than %d s", FETCH_TIMEOUT_MS / 1000);
}

static void end_fetch(struct fetch *fetch, struct child_end *ret_end)
{
    bool reaped;

    lock_take(&fetch->lock);
    child_kill(&fetch->child);
    reaped = child_reap(&fetch->child, PATIENCE_MS, ret_end);
    if (!reaped) {
        log_error("worker.unkillable", "pid=%d reason=%s", (int)fetch->child.pid,
                  "a process that fetches does not die of SIGKILL");
        close(fetch->child.pidfd);
        fetch->child = (struct child){.pidfd = -1};
    }
    lock_release(&fetch->lock);
}

/* Whatever the process has sent, the log gets one short line of it. */
static int take_fetch_answer(const struct buf *answer, char kind, const struct child_end *end,
                             struct buf *ret, struct err *err)
{
    char reason[REASON_MAX];

    if (buf_failed(answer))
        return err_set(err, -E_IO, "the process that fetches has sent too much");
    if (kind == FETCH_CONTENT) {
        buf_add(ret, buf_str(answer), answer->len);
        return buf_failed(ret) ? err_no_memory(err) : 0;
    }
    str_copy(reason, sizeof(reason), buf_str(answer));
    str_plain(reason);
    if (kind != FETCH_FAILURE)
        return err_set(err, -E_IO, "the process that fetches ended: %s", end->message);
    return err_set(err, -E_IO, "%s", reason);
}

/* A process that fetch_cancel() has killed has not failed. */
static int tell_cancelled(struct fetch *fetch, int rc, struct err *err)
{
    bool cancelled;

    lock_take(&fetch->lock);
    cancelled = fetch->cancelled;
    lock_release(&fetch->lock);
    return rc < 0 && cancelled ? refuse_fetch(err) : rc;
}

int fetch_url(struct fetch *fetch, const char *url, const char *ca, struct buf *ret,
              struct err *err)
{
    struct child_end end = {.message = "no status"};
    struct buf answer;
    char kind = '\0';
    int socket;
    int rc = start_fetch(fetch, &socket, err);

    if (rc < 0)
        return rc;
    buf_init(&answer, FETCH_BYTES_MAX);
    rc = send_fetch_question(socket, url, ca, err) ?: receive_answer(socket, &answer, &kind, err);
    close(socket);
    end_fetch(fetch, &end);
    rc = rc ?: take_fetch_answer(&answer, kind, &end, ret, err);
    buf_done(&answer);
    return tell_cancelled(fetch, rc, err);
}

void fetch_cancel(struct fetch *fetch)
{
    lock_take(&fetch->lock);
    fetch->cancelled = true;
    child_kill(&fetch->child);
    lock_release(&fetch->lock);
}
