/* tests/fuzz/wire.c -- any packet, with any descriptors, is an order or an answer that holds what
 * it promises, or is refused; no descriptor stays open. */
#include "fuzz.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proc/wire.h"

enum {
    TO_SERVE = 1,    /* an answer, otherwise an order */
    COUNT_SHIFT = 1, /* two bits: how many descriptors come along … */
    UNSEALED = 8,    /* … of which the second is a memfd with the rest of the input */
    HEADER = 3,      /* those flags, and the length of the packet */
    COUNT_MAX = 3,
};

static void send_packet(int socket, const uint8_t *frame, size_t len, const int *fds, size_t count)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(COUNT_MAX * sizeof(int))];
    } control = {0};
    struct iovec io = {.iov_base = (void *)frame, .iov_len = len};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};

    if (count > 0) {
        control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(count * sizeof(int)),
                                          .cmsg_level = SOL_SOCKET,
                                          .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
        m.msg_control = &control;
        m.msg_controllen = CMSG_SPACE(count * sizeof(int));
    }
    if (sendmsg(socket, &m, 0) != (ssize_t)len)
        abort();
}

static int make_memfd(const uint8_t *data, size_t len, bool sealed)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || write(fd, data, len) != (ssize_t)len ||
        (sealed &&
         fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0))
        abort();
    return fd;
}

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void receive_order(int socket)
{
    struct wire_order order;
    struct err err = {0};
    int rc = wire_receive_order(socket, &order, &err);

    check(rc == 1 || rc == 0 || (rc == -E_IO && *err.text != '\0'));
    if (rc != 1)
        return;
    if (order.run.head.type == WIRE_CANCEL) {
        check(order.fd < 0 && order.map == NULL);
    } else {
        check(order.run.head.type == WIRE_RUN && fcntl(order.fd, F_GETFD) == FD_CLOEXEC);
#define X(name) check(strlen(order.texts.name) <= WIRE_TEXTS_MAX);
        WIRE_TEXTS(X)
#undef X
        close(order.fd);
    }
    wire_order_done(&order);
}

static void receive_answer(int socket)
{
    struct wire_answer answer;
    struct err err = {0};
    int rc = wire_receive_answer(socket, &answer, &err);

    check(rc == 1 || rc == 0 || (rc == -E_IO && *err.text != '\0'));
    check(rc != 1 ||
          ((answer.head.type == WIRE_PROGRESS || answer.head.type == WIRE_DONE) &&
           answer.outcome < WIRE_OUTCOME_COUNT && answer.rows >= 0 && answer.bytes >= 0 &&
           answer.unsynced >= 0 && strnlen(answer.message, WIRE_MESSAGE_MAX) < WIRE_MESSAGE_MAX &&
           strnlen(answer.detail, WIRE_MESSAGE_MAX) < WIRE_MESSAGE_MAX));
}

/* The descriptor that the next open() would get. */
static int next_descriptor(void)
{
    int fd = dup(STDERR_FILENO);

    close(fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2], fds[COUNT_MAX], before = next_descriptor();
    size_t len, rest;

    if (size < HEADER)
        return 0;
    len = (size_t)data[1] | (size_t)data[2] << 8;
    if (len > size - HEADER)
        len = size - HEADER;
    rest = size - HEADER - len;
    check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    fds[0] = fds[2] = open("/dev/null", O_WRONLY | O_CLOEXEC);
    fds[1] = make_memfd(data + HEADER + len, rest, (data[0] & UNSEALED) == 0);
    send_packet(pair[0], data + HEADER, len, fds, data[0] >> COUNT_SHIFT & COUNT_MAX);
    close(pair[0]);
    if ((data[0] & TO_SERVE) != 0)
        receive_answer(pair[1]);
    else
        receive_order(pair[1]);
    close(pair[1]);
    close(fds[0]);
    close(fds[1]);
    check(next_descriptor() == before);
    return 0;
}
