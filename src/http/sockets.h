/* src/http/sockets.h -- listening sockets from addresses in the configuration: bound, named, and,
 * those with a path, removed. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "core/config.h"

enum {
    SOCKETS_MAX = 16,
    SOCKETS_URL_TEXT = CONFIG_HOST_TEXT + 32,
};

/* What is spoken there, and about what. */
enum socket_kind { SOCKET_PLAIN, SOCKET_TLS, SOCKET_METRICS, SOCKET_KINDS };

struct listening {
    int fd;
    enum socket_kind kind;
    char *path; /* of a Unix socket, with … */
    dev_t device;
    ino_t inode; /* … what has to be removed there; NULL: nothing */
};

struct sockets {
    struct listening of[SOCKETS_MAX];
    int count;
    char url[SOCKETS_URL_TEXT]; /* of the first one, with the port that was bound; "": unknown */
};

/* Bind "HOST:PORT", "[IPv6]:PORT" or "unix:PATH", or several, separated by spaces; `sockets` may
 * have others already. Of a host, every address, with one port, except those that this machine does
 * not have, such as ::1 without IPv6, which the log has. A Unix socket never speaks TLS; it is for
 * the server's user and group (mode 0660), and replaces one that nobody listens on. Clients may
 * connect from here on. What the service manager holds (base/service.h) is taken from it, and
 * neither made nor removed. -E_CONFIG says which cannot be bound, and why. */
int sockets_open(struct sockets *sockets, const char *key, const char *list, enum socket_kind kind,
                 struct err *err);
/* Could `list` be opened, as far as names, forms and lengths tell? Nothing is bound. -E_CONFIG. */
int sockets_check(const char *key, const char *list, struct err *err);
/* After all are open: has the service manager a socket that no key names? Then -E_CONFIG. */
int sockets_check_left(struct err *err);
/* Close them, and remove the paths that are still theirs. */
void sockets_close(struct sockets *sockets);
