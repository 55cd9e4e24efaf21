/* src/base/service.h -- what the program and the service manager that started it say to each other:
 * sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3), and the journal's priorities. All of it
 * is nothing without such a manager.
 *
 * These are a datagram and a few variables, an interface that systemd keeps; libsystemd would load
 * six libraries into every worker. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum { SERVICE_SOCKETS_MAX = 16 };

/* Read what the manager has passed, and take it out of the environment, so that no other process
 * believes that it is meant. Once, before descriptors are opened and threads are started. */
void service_init(void);

/* Tell the manager, such as "READY=1\nSTATUS=…". Any thread. */
void service_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The manager expects WATCHDOG=1 at least so often; 0: it does not. */
int64_t service_watchdog_ms(void);

/* A socket that the manager holds for this address, close-on-exec and non-blocking: yours. -1:
 * there is none that was not taken before. */
int service_take_socket(const struct sockaddr *address, socklen_t len);
/* A socket that was not taken; -1: none. It stays the manager's. */
int service_left_socket(void);
/* Has one been taken? Then clients can connect while the program is not running. */
bool service_holds_sockets(void);

/* Is standard error the journal (JOURNAL_STREAM), which reads a priority at the start of each
 * line? */
bool service_logs_to_journal(void);
