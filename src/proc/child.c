/* src/proc/child.c -- spawning and reaping worker processes. */
#include "proc/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "proc/worker.h"

extern char **environ;

static int spawn_on(int socket, pid_t *ret_pid)
{
    char log[LOG_WORD];
    char *const argv[] = {(char[]){"reportd"}, (char[]){"worker"}, log, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int rc;

    log_word(log);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, socket, WORKER_SOCKET);
    posix_spawn_file_actions_addclosefrom_np(&actions, WORKER_SOCKET + 1);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    rc = posix_spawn(ret_pid, "/proc/self/exe", &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    errno = rc;
    return rc == 0 ? 0 : -1;
}

int child_spawn(struct child *ret, struct err *err)
{
    const struct timeval patience = {.tv_sec = CHILD_SOCKET_TIMEOUT_S};
    struct child child = {.pidfd = -1};
    int sockets[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
        return err_errno(err, -E_IO, "can't make the socket of a worker");
    setsockopt(sockets[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (spawn_on(sockets[1], &child.pid) < 0) {
        err_errno(err, -E_IO, "can't start a worker");
        close(sockets[0]);
        close(sockets[1]);
        return -E_IO;
    }
    close(sockets[1]);
    child.socket = sockets[0];
    child.pidfd = pidfd_open(child.pid, 0);
    if (child.pidfd < 0) {
        char words[32];

        err_errno(err, -E_IO, "can't watch a worker");
        child_kill(&child);
        child_reap(&child, words);
        return -E_IO;
    }
    *ret = child;
    return 0;
}

void child_kill(const struct child *child)
{
    if (child->pid > 0)
        kill(child->pid, SIGKILL);
}

void child_close_socket(struct child *child)
{
    if (child->socket >= 0)
        close(child->socket);
    child->socket = -1;
}

void child_reap(struct child *child, char ret_words[32])
{
    int status = 0;

    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status))
        snprintf(ret_words, 32, "signal %d", WTERMSIG(status));
    else
        snprintf(ret_words, 32, "exit %d", WEXITSTATUS(status));
    child_close_socket(child);
    if (child->pidfd >= 0)
        close(child->pidfd);
    *child = (struct child){.pidfd = -1, .socket = -1};
}
