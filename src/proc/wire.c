/* src/proc/wire.c -- frames over a socketpair: JSON with a length before it, and one descriptor. */
#include "proc/wire.h"

#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    DESCRIPTORS_MAX = 8,
    DIGEST_TEXT = 2 * REPORT_DIGEST_BYTES + 1,
    KEY_TEXT = 2 * REPORT_KEY_BYTES + 1,
};

enum field_kind { FIELD_TEXT, FIELD_NUMBER };

#define IN(type) (1u << WIRE_##type)
#define FIELD(kind, member, needed)                                                                \
    {                                                                                              \
#member, FIELD_##kind, offsetof(struct wire_message, member), needed                       \
    }

/* The members that travel as they are; `needed`: the types of message that must have it. */
static const struct field {
    const char *name;
    enum field_kind kind;
    size_t offset;
    unsigned needed;
} fields[] = {
    FIELD(TEXT, definition_file, IN(RUN)),
    FIELD(TEXT, definition_text, IN(RUN)),
    FIELD(TEXT, parameters, IN(RUN)),
    FIELD(TEXT, user_name, IN(RUN)),
    FIELD(TEXT, source_url, IN(RUN)),
    FIELD(TEXT, temp_folder, IN(RUN)),
    FIELD(NUMBER, timeout_ms, IN(RUN)),
    FIELD(NUMBER, clock_ahead_ms, IN(RUN)),
    FIELD(NUMBER, row_limit, IN(RUN)),
    FIELD(NUMBER, size_limit, IN(RUN)),
    FIELD(NUMBER, row_results, IN(RUN)),
    FIELD(NUMBER, temp_limit, IN(RUN)),
    FIELD(NUMBER, rows, IN(PROGRESS) | IN(DONE)),
    FIELD(NUMBER, bytes, IN(PROGRESS) | IN(DONE)),
    FIELD(NUMBER, unsynced, IN(DONE)),
    FIELD(TEXT, message, 0),
    FIELD(TEXT, detail, 0),
};

enum { FIELD_COUNT = sizeof(fields) / sizeof(fields[0]) };

static char **text_of(const struct wire_message *m, const struct field *field)
{
    return (char **)((char *)m + field->offset);
}

static int64_t *number_of(const struct wire_message *m, const struct field *field)
{
    return (int64_t *)((char *)m + field->offset);
}

void wire_message_done(struct wire_message *m)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (fields[i].kind != FIELD_TEXT)
            continue;
        free(*text_of(m, &fields[i]));
        *text_of(m, &fields[i]) = NULL;
    }
    sodium_memzero(m->key, sizeof(m->key));
}

static int malformed(struct err *err, const char *what)
{
    return err_set(err, -E_IO, "malformed frame: %s", what);
}

/* ---- sending ---- */

/* Let go of the JSON of a message, the key in it overwritten. */
static void forget(json_t *json)
{
    const char *key = json_string_value(json_object_get(json, "key"));

    if (key != NULL)
        sodium_memzero((char *)key, strlen(key));
    json_decref(json);
}

static int add_key(json_t *json, const struct wire_message *m)
{
    char text[KEY_TEXT];
    int failed = 0;

    if (m->sealed) {
        sodium_bin2hex(text, sizeof(text), m->key, sizeof(m->key));
        failed = json_object_set_new(json, "key", json_string(text));
        sodium_memzero(text, sizeof(text));
    }
    return failed;
}

static json_t *to_json(const struct wire_message *m)
{
    char id[GUID_TEXT], digest[DIGEST_TEXT];
    json_t *json;
    int failed = 0;

    guid_format(&m->id, id);
    sodium_bin2hex(digest, sizeof(digest), m->digest, sizeof(m->digest));
    json = json_pack("{s:i, s:s, s:i, s:i, s:s}", "type", (int)m->type, "id", id, "attempt",
                     m->attempt, "outcome", (int)m->outcome, "digest", digest);
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const char *text = fields[i].kind == FIELD_TEXT ? *text_of(m, &fields[i]) : NULL;

        if (fields[i].kind == FIELD_NUMBER)
            failed |=
                json_object_set_new(json, fields[i].name, json_integer(*number_of(m, &fields[i])));
        else if (text != NULL)
            failed |= json_object_set_new(json, fields[i].name, json_string(text));
    }
    failed |= add_key(json, m);
    if (failed == 0)
        return json;
    forget(json);
    return NULL;
}

struct wire_frame *wire_frame_new(const struct wire_message *m, struct err *err)
{
    json_t *json = to_json(m);
    size_t size = json != NULL ? json_dumpb(json, NULL, 0, JSON_COMPACT) : 0;
    struct wire_frame *frame = size > 0 && size <= WIRE_FRAME_MAX
                                   ? malloc(sizeof(*frame) + sizeof(uint32_t) + size)
                                   : NULL;
    uint32_t length = (uint32_t)size;

    if (frame == NULL) {
        malformed(err, "text that is not UTF-8, or too long, or no memory");
    } else {
        *frame = (struct wire_frame){.len = sizeof(length) + size,
                                     .fd = m->type == WIRE_RUN ? m->fd : -1};
        memcpy(frame->data, &length, sizeof(length));
        json_dumpb(json, frame->data + sizeof(length), size, JSON_COMPACT);
    }
    forget(json);
    return frame;
}

void wire_frame_free(struct wire_frame *frame)
{
    if (frame == NULL)
        return;
    sodium_memzero(frame->data, frame->len);
    free(frame);
}

int wire_frame_send(int socket, struct wire_frame *frame, int flags, struct err *err)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};

    while (frame->sent < frame->len) {
        struct iovec io = {.iov_base = frame->data + frame->sent,
                           .iov_len = frame->len - frame->sent};
        struct msghdr message = {.msg_iov = &io, .msg_iovlen = 1};
        ssize_t n;

        if (frame->fd >= 0 && frame->sent == 0) {
            control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
                                              .cmsg_level = SOL_SOCKET,
                                              .cmsg_type = SCM_RIGHTS};
            memcpy(CMSG_DATA(&control.header), &frame->fd, sizeof(frame->fd));
            message.msg_control = &control;
            message.msg_controllen = sizeof(control.room);
        }
        n = sendmsg(socket, &message, flags | MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return 0;
        if (n < 0 && errno != EINTR)
            return err_errno(err, -E_IO, "send a frame");
        frame->sent += n > 0 ? (size_t)n : 0;
    }
    return 1;
}

int wire_send(int socket, const struct wire_message *m, struct err *err)
{
    struct wire_frame *frame = wire_frame_new(m, err);
    int rc = frame != NULL ? wire_frame_send(socket, frame, 0, err) : -E_IO;

    wire_frame_free(frame);
    return rc < 0 ? rc : 0;
}

/* ---- receiving ---- */

/* Keep the first descriptor that came in *fd, close what comes beyond it. */
static void take_descriptors(struct msghdr *message, int *fd)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < count; i++) {
            int got;

            memcpy(&got, CMSG_DATA(c) + i * sizeof(got), sizeof(got));
            if (*fd < 0)
                *fd = got;
            else
                close(got);
        }
    }
}

/* 1: all `len` bytes are there; 0: the end before the first; -E_IO. Without `fd` no descriptor is
 * taken: the kernel drops it. */
static int receive_all(int socket, char *data, size_t len, int *fd, struct err *err)
{
    size_t have = 0;

    while (have < len) {
        union {
            struct cmsghdr header;
            char room[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
        } control;
        struct iovec io = {.iov_base = data + have, .iov_len = len - have};
        struct msghdr message = {.msg_iov = &io,
                                 .msg_iovlen = 1,
                                 .msg_control = fd != NULL ? &control : NULL,
                                 .msg_controllen = fd != NULL ? sizeof(control.room) : 0};
        ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, -E_IO, "receive a frame");
        if (n == 0)
            return have == 0 ? 0 : malformed(err, "it ends too early");
        if (fd != NULL)
            take_descriptors(&message, fd);
        have += (size_t)n;
    }
    return 1;
}

static int read_field(const json_t *json, const struct field *field, struct wire_message *m,
                      struct err *err)
{
    const json_t *value = json_object_get(json, field->name);
    bool needed = (field->needed & (1u << m->type)) != 0;

    if (value == NULL)
        return needed ? malformed(err, field->name) : 0;
    if (field->kind == FIELD_NUMBER) {
        if (!json_is_integer(value))
            return malformed(err, field->name);
        *number_of(m, field) = json_integer_value(value);
        return 0;
    }
    if (!json_is_string(value))
        return malformed(err, field->name);
    *text_of(m, field) = strdup(json_string_value(value));
    return *text_of(m, field) != NULL ? 0 : err_set(err, -E_NOMEM, "Out of memory.");
}

/* Exactly `len` bytes in hexadecimal. */
static bool read_hex(const char *text, uint8_t *out, size_t len)
{
    size_t read;

    return sodium_hex2bin(out, len, text, strlen(text), NULL, &read, NULL) == 0 && read == len;
}

static int read_key(const json_t *json, struct wire_message *m)
{
    const json_t *value = json_object_get(json, "key");
    const char *text = json_string_value(value);

    m->sealed = value != NULL;
    return value == NULL || (text != NULL && read_hex(text, m->key, sizeof(m->key))) ? 0 : -1;
}

static int from_json(json_t *json, struct wire_message *m, struct err *err)
{
    const char *id, *digest;
    int type, outcome;

    if (json_unpack(json, "{s:i, s:s, s:i, s:i, s:s}", "type", &type, "id", &id, "attempt",
                    &m->attempt, "outcome", &outcome, "digest", &digest) != 0)
        return malformed(err, "a member is missing");
    if (type < WIRE_RUN || type > WIRE_DONE || outcome < WIRE_COMPLETE ||
        outcome > WIRE_CANCELLED || !guid_parse(id, &m->id))
        return malformed(err, "type, outcome or id");
    if (!read_hex(digest, m->digest, sizeof(m->digest)))
        return malformed(err, "digest");
    m->type = (enum wire_type)type;
    m->outcome = (enum wire_outcome)outcome;
    if (read_key(json, m) < 0)
        return malformed(err, "key");
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        int rc = read_field(json, &fields[i], m, err);

        if (rc < 0)
            return rc;
    }
    if ((m->type == WIRE_RUN) != (m->fd >= 0))
        return malformed(err, "a descriptor comes with RUN, and only with RUN");
    return 0;
}

int wire_read(const char *payload, size_t len, int fd, struct wire_message *ret, struct err *err)
{
    struct wire_message m = {.fd = fd};
    json_t *json = json_loadb(payload, len, 0, NULL);
    int rc =
        json_is_object(json) ? from_json(json, &m, err) : malformed(err, "it is no JSON object");

    forget(json);
    if (rc == 0)
        *ret = m;
    else
        wire_message_done(&m);
    sodium_memzero(m.key, sizeof(m.key));
    return rc;
}

/* The payload of a frame whose length has been read. */
static int receive_payload(int socket, size_t len, int fd, struct wire_message *ret,
                           struct err *err)
{
    char *payload = malloc(len);
    int rc;

    if (payload == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    rc = receive_all(socket, payload, len, NULL, err);
    if (rc == 0)
        rc = malformed(err, "it ends too early");
    else if (rc == 1)
        rc = wire_read(payload, len, fd, ret, err);
    sodium_memzero(payload, len);
    free(payload);
    return rc;
}

int wire_receive(int socket, struct wire_message *ret, struct err *err)
{
    uint32_t length;
    int fd = -1;
    int rc = receive_all(socket, (char *)&length, sizeof(length), &fd, err);

    if (rc == 0)
        return 0;
    if (rc == 1 && (length == 0 || length > WIRE_FRAME_MAX))
        rc = malformed(err, "its length");
    else if (rc == 1)
        rc = receive_payload(socket, length, fd, ret, err);
    if (rc < 0 && fd >= 0)
        close(fd);
    return rc < 0 ? rc : 1;
}
