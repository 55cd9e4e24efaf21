/* src/proc/wire.c -- packets over a socketpair: fixed structs, two descriptors, texts in a
 * memfd. */
#include "proc/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/seam.h"
#include "base/str.h"

enum {
    DESCRIPTORS = 2, /* sent with a RUN */
    SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE,
};

/* No padding, so that no bytes of a stack or heap are sent along. */
_Static_assert(sizeof(struct wire_run) == sizeof(struct wire_head) + sizeof(int64_t[7]) +
                                              sizeof(uint64_t) + REPORT_KEY_BYTES +
                                              sizeof(uint32_t[1 + WIRE_TEXT_COUNT]),
               "struct wire_run has padding");
_Static_assert(sizeof(struct wire_answer) == sizeof(struct wire_head) + sizeof(int64_t[7]) +
                                                 REPORT_DIGEST_BYTES +
                                                 sizeof(char[2][WIRE_MESSAGE_MAX]),
               "struct wire_answer has padding");

static int malformed(struct err *err, const char *what)
{
    return err_set(err, -E_IO, "malformed frame: %s", what);
}

/* Room for exactly the descriptors of a packet: the kernel closes any that do not fit, and reports
 * it (MSG_CTRUNC). */
union control {
    struct cmsghdr header;
    char room[CMSG_SPACE(DESCRIPTORS * sizeof(int))];
};

static void close_both(const int fds[DESCRIPTORS])
{
    for (int i = 0; i < DESCRIPTORS; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
}

/* ---- texts ---- */

static const char **text_at(struct wire_texts *texts, size_t i)
{
    return (const char **)texts + i;
}

/* Bytes of all texts, with their NULs. */
static size_t texts_size(const struct wire_run *run)
{
    size_t size = 0;

    for (size_t i = 0; i < WIRE_TEXT_COUNT; i++)
        size += (size_t)run->text_bytes[i] + 1;
    return size;
}

int wire_order_write_texts(struct wire_order *order, struct err *err)
{
    struct iovec pieces[WIRE_TEXT_COUNT];
    int fd;

    for (size_t i = 0; i < WIRE_TEXT_COUNT; i++) {
        const char *text = *text_at(&order->texts, i);
        size_t len = text != NULL ? strlen(text) : WIRE_TEXTS_MAX;

        if (len >= WIRE_TEXTS_MAX)
            return err_set(err, -E_IO, "a text of a report is missing, or too long for its worker");
        pieces[i] = (struct iovec){.iov_base = (char *)text, .iov_len = len + 1};
        order->run.text_bytes[i] = (uint32_t)len;
    }
    if (texts_size(&order->run) > WIRE_TEXTS_MAX)
        return err_set(err, -E_IO, "the texts of a report are too long for its worker");
    fd = SEAM_FAILS("wire.memfd") ? -1
                                  : memfd_create("reportd-texts", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return err_errno(err, -E_IO, "make room for the texts of a report");
    if (SEAM_FAILS("wire.texts") ||
        writev(fd, pieces, WIRE_TEXT_COUNT) != (ssize_t)texts_size(&order->run) ||
        fcntl(fd, F_ADD_SEALS, SEALS) < 0) {
        err_errno(err, -E_IO, "keep the texts of a report");
        close(fd);
        return -E_IO;
    }
    order->texts_fd = fd;
    return 0;
}

/* Map a file that the other side can no longer change. */
static int map_texts(struct wire_order *order, int fd, struct err *err)
{
    size_t size = texts_size(&order->run), at = 0;
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat st;
    char *map;

    if (seals < 0 || (seals & SEALS) != SEALS)
        return malformed(err, "its texts are not sealed");
    if (size > WIRE_TEXTS_MAX || fstat(fd, &st) < 0 || st.st_size != (off_t)size)
        return malformed(err, "the size of its texts");
    map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return err_errno(err, -E_IO, "map the texts of a report");
    for (size_t i = 0; i < WIRE_TEXT_COUNT; i++) {
        *text_at(&order->texts, i) = map + at;
        at += order->run.text_bytes[i];
        if (map[at++] != '\0') {
            munmap(map, size);
            return malformed(err, "a text without its end");
        }
    }
    order->map = map;
    return 0;
}

void wire_order_done(struct wire_order *order)
{
    if (order->texts_fd >= 0)
        close(order->texts_fd);
    if (order->map != NULL)
        munmap(order->map, texts_size(&order->run));
    order->texts_fd = -1;
    order->map = NULL;
    order->texts = (struct wire_texts){0};
    sodium_memzero(order->run.key, sizeof(order->run.key));
}

/* ---- packets ---- */

/* 1: sent; 0: the socket is full; -E_IO. `fds`: NULL, or DESCRIPTORS. */
static int send_packet(int socket, struct iovec frame, const int *fds, int flags, struct err *err)
{
    union control control = {0};
    struct msghdr message = {.msg_iov = &frame, .msg_iovlen = 1};
    ssize_t n;

    if (fds != NULL) {
        control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(DESCRIPTORS * sizeof(int)),
                                          .cmsg_level = SOL_SOCKET,
                                          .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), fds, DESCRIPTORS * sizeof(int));
        message.msg_control = &control;
        message.msg_controllen = sizeof(control.room);
    }
    do
        n = sendmsg(socket, &message, flags | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    return n < 0 ? err_errno(err, -E_IO, "send a frame") : 1;
}

static void take_descriptors(struct msghdr *message, int fds[DESCRIPTORS])
{
    struct cmsghdr *c = CMSG_FIRSTHDR(message);

    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
}

/* 1: a packet of *ret_len bytes is in `frame`; 0: the end; WIRE_NOTHING; -E_IO. With 1, the
 * descriptors in `fds` (NULL: none may come) belong to the caller. */
static int receive_packet(int socket, struct iovec frame, int *fds, int flags, size_t *ret_len,
                          struct err *err)
{
    union control control;
    struct msghdr message;
    ssize_t n;

    do {
        message = (struct msghdr){.msg_iov = &frame,
                                  .msg_iovlen = 1,
                                  .msg_control = fds != NULL ? &control : NULL,
                                  .msg_controllen = fds != NULL ? sizeof(control.room) : 0};
        n = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
        /* ECONNRESET, once: the other side died before it had read everything. What it sent can
         * still be received. */
    } while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return WIRE_NOTHING;
    if (n < 0)
        return err_errno(err, -E_IO, "receive a frame");
    if (fds != NULL)
        take_descriptors(&message, fds);
    *ret_len = (size_t)n;
    if (n > 0 && (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0)
        return 1;
    if (fds != NULL)
        close_both(fds);
    return n == 0 ? 0 : malformed(err, "it is too long, or has descriptors it should not have");
}

/* ---- orders ---- */

int wire_send_order(int socket, const struct wire_order *order, int flags, struct err *err)
{
    const int fds[DESCRIPTORS] = {order->fd, order->texts_fd};
    bool is_run = order->run.head.type == WIRE_RUN;
    struct iovec frame = {.iov_base = (void *)&order->run,
                          .iov_len = is_run ? sizeof(order->run) : sizeof(order->run.head)};

    CHECK(is_run ? order->fd >= 0 && order->texts_fd >= 0 : order->run.head.type == WIRE_CANCEL);
    return send_packet(socket, frame, is_run ? fds : NULL, flags, err);
}

static int read_run(struct wire_order *order, const int fds[DESCRIPTORS], struct err *err)
{
    int rc;

    if (fds[0] < 0 || fds[1] < 0)
        return malformed(err, "a report without its descriptors");
    if (order->run.packed > 1 || order->run.sealed > 1)
        return malformed(err, "packed or sealed");
    rc = map_texts(order, fds[1], err);
    if (rc < 0)
        return rc;
    close(fds[1]);
    order->fd = fds[0];
    return 0;
}

int wire_receive_order(int socket, struct wire_order *ret, struct err *err)
{
    struct wire_order order = {.fd = -1, .texts_fd = -1};
    struct iovec frame = {.iov_base = &order.run, .iov_len = sizeof(order.run)};
    int fds[DESCRIPTORS] = {-1, -1};
    size_t len;
    int rc = receive_packet(socket, frame, fds, 0, &len, err);

    if (rc != 1)
        return rc;
    if (len == sizeof(order.run) && order.run.head.type == WIRE_RUN)
        rc = read_run(&order, fds, err);
    else if (len == sizeof(order.run.head) && order.run.head.type == WIRE_CANCEL && fds[0] < 0)
        rc = 0;
    else
        rc = malformed(err, "no order, or not of its size");
    if (rc == 0)
        *ret = order;
    else
        close_both(fds);
    sodium_memzero(order.run.key, sizeof(order.run.key));
    return rc == 0 ? 1 : rc;
}

/* ---- answers ---- */

static void copy_message(char message[WIRE_MESSAGE_MAX], const char *text)
{
    size_t len = 0, step;

    memset(message, 0, WIRE_MESSAGE_MAX);
    for (; text != NULL && *text != '\0'; text += step) {
        size_t valid = str_utf8_length(text, strnlen(text, 4));

        step = valid > 0 ? valid : 1;
        if (len + step >= WIRE_MESSAGE_MAX)
            return;
        if (valid > 0)
            memcpy(message + len, text, valid);
        else
            message[len] = '?';
        len += step;
    }
}

static bool is_message(const char message[WIRE_MESSAGE_MAX])
{
    size_t len = strnlen(message, WIRE_MESSAGE_MAX), step;

    for (size_t at = 0; at < len; at += step) {
        step = str_utf8_length(message + at, len - at);
        if (step == 0)
            return false;
    }
    return len < WIRE_MESSAGE_MAX;
}

void wire_answer_set_message(struct wire_answer *answer, const char *message, const char *detail)
{
    copy_message(answer->message, message);
    copy_message(answer->detail, detail);
}

int wire_send_answer(int socket, const struct wire_answer *answer, struct err *err)
{
    struct iovec frame = {.iov_base = (void *)answer, .iov_len = sizeof(*answer)};
    int rc = send_packet(socket, frame, NULL, 0, err);

    return rc < 0 ? rc : 0;
}

/* No result has more rows or bytes: sizes and sums that are calculated from them do not
 * overflow. */
static const int64_t count_max = INT64_C(1) << 48;

static bool is_count(int64_t value)
{
    return value >= 0 && value <= count_max;
}

static bool is_answer(const struct wire_answer *answer, size_t len)
{
    return len == sizeof(*answer) &&
           (answer->head.type == WIRE_PROGRESS || answer->head.type == WIRE_DONE) &&
           answer->outcome < WIRE_OUTCOME_COUNT && answer->spent <= 1 &&
           (answer->outcome != WIRE_AGAIN || answer->spent == 1) && is_count(answer->rows) &&
           is_count(answer->bytes) && answer->footer >= -count_max && answer->footer <= count_max &&
           is_count(answer->unsynced) && is_count(answer->runs) && is_message(answer->message) &&
           is_message(answer->detail);
}

int wire_receive_answer(int socket, struct wire_answer *ret, struct err *err)
{
    struct wire_answer answer;
    struct iovec frame = {.iov_base = &answer, .iov_len = sizeof(answer)};
    size_t len;
    int rc = receive_packet(socket, frame, NULL, MSG_DONTWAIT, &len, err);

    if (rc != 1)
        return rc;
    if (!is_answer(&answer, len))
        return malformed(err, "no answer, or not of its size");
    *ret = answer;
    return 1;
}
