/* src/proc/child.c -- starts and reaps worker processes. */
#include "proc/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/seam.h"
#include "base/str.h"
#include "proc/worker.h"
#include "source/source.h"

/* Which variables of serve's environment workers get: those that they read, including those of
 * tests and sanitizers. */
static bool is_passed_on(const char *variable)
{
    static const char *const prefixes[] = {
        WORKER_MEMORY_VARIABLE, "REPORTD_SEAMS", "ASAN_OPTIONS=",
        "UBSAN_OPTIONS=",       "TSAN_OPTIONS=", "LSAN_OPTIONS=",
        "GCOV_PREFIX",          "LD_PRELOAD=",   "LD_LIBRARY_PATH="};

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (str_starts(variable, prefixes[i]))
            return true;
    }
    return source_needs_variable(variable);
}

/* Made once, since serve's own environment does not change; NULL: out of memory. */
static char **environment;
static pthread_once_t environment_once = PTHREAD_ONCE_INIT;

static void make_environment(void)
{
    size_t count = 0, kept = 0;

    while (environ[count] != NULL)
        count++;
    environment = calloc(count + 1, sizeof(*environment));
    for (size_t i = 0; environment != NULL && i < count; i++) {
        if (is_passed_on(environ[i]))
            environment[kept++] = environ[i];
    }
}

static int spawn_on(const char *verb, int socket, pid_t *ret_pid)
{
    char word[16], log[LOG_WORD];
    char *const argv[] = {(char[]){"reportd"}, word, log, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int rc;

    str_copy(word, sizeof(word), verb);
    log_word(log);
    pthread_once(&environment_once, make_environment);
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
    rc = environment == NULL
             ? ENOMEM
             : posix_spawn(ret_pid, "/proc/self/exe", &actions, &attributes, argv, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    errno = rc;
    return rc == 0 ? 0 : -1;
}

int child_spawn(const char *verb, struct child *ret, int *ret_socket, struct err *err)
{
    struct child child = {.pidfd = -1};
    int sockets[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
        return err_errno(err, -E_IO, "can't make the socket of a %s", verb);
    if (spawn_on(verb, sockets[1], &child.pid) < 0) {
        err_errno(err, -E_IO, "can't start a %s", verb);
        close(sockets[0]);
        close(sockets[1]);
        return -E_IO;
    }
    close(sockets[1]);
    child.pidfd = pidfd_open(child.pid, 0);
    if (child.pidfd < 0) {
        err_errno(err, -E_IO, "can't watch a %s", verb);
        close(sockets[0]);
        kill(child.pid, SIGKILL);
        waitpid(child.pid, NULL, 0);
        return -E_IO;
    }
    *ret = child;
    *ret_socket = sockets[0];
    return 0;
}

void child_kill(const struct child *child)
{
    /* As if the kernel waited for a disk that never answers. */
    if (SEAM_FAILS("job.kill"))
        return;
    if (child->pid > 0)
        kill(child->pid, SIGKILL);
}

bool child_reap(struct child *child, int patience_ms, struct child_end *ret_end)
{
    struct pollfd exited = {.fd = child->pidfd, .events = POLLIN};
    int status = 0;

    poll(&exited, 1, patience_ms);
    if (waitpid(child->pid, &status, WNOHANG) != child->pid)
        return false;
    *ret_end = (struct child_end){.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0};
    if (WIFSIGNALED(status))
        snprintf(ret_end->message, sizeof(ret_end->message), "signal %d", ret_end->signal);
    else
        snprintf(ret_end->message, sizeof(ret_end->message), "exit %d", WEXITSTATUS(status));
    close(child->pidfd);
    *child = (struct child){.pidfd = -1};
    return true;
}
