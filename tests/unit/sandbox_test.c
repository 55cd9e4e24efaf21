/* tests/unit/sandbox_test.c -- what the sandbox takes away, and what it leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "folder.h"
#include "proc/sandbox.h"

/* Each runs in a forked child, since none of it can be undone; true: as it should be. */
typedef bool scene(const char *folder);

static void holds(scene *play)
{
    char folder[256];
    int status = -1;
    pid_t pid;

    folder_make(folder);
    pid = fork();
    if (pid == 0)
        _exit(play(folder) ? 0 : 1);
    waitpid(pid, &status, 0);
    folder_remove(folder);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static bool makes(const char *folder, const char *name)
{
    char path[600];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return fd >= 0 && write(fd, "x", 1) == 1;
}

static bool play_exec(const char *folder)
{
    char *const argv[] = {(char *)"true", NULL};

    (void)folder;
    if (!sandbox_process(0))
        return false;
    execv("/bin/true", argv);
    return errno == EPERM;
}

static void a_program_cannot_be_started(void **state)
{
    (void)state;
    holds(play_exec);
}

static bool play_fork(const char *folder)
{
    pid_t pid;

    (void)folder;
    sandbox_process(0);
    pid = fork();
    if (pid == 0)
        _exit(0);
    return pid < 0 && errno == EPERM;
}

static void a_process_cannot_be_forked(void **state)
{
    (void)state;
    holds(play_fork);
}

static void *set_flag(void *flag)
{
    *(bool *)flag = true;
    return NULL;
}

static bool play_thread(const char *folder)
{
    bool flag = false;
    pthread_t thread;

    (void)folder;
    sandbox_process(0);
    return pthread_create(&thread, NULL, set_flag, &flag) == 0 && pthread_join(thread, NULL) == 0 &&
           flag;
}

static void a_thread_can_be_started(void **state)
{
    (void)state;
    holds(play_thread);
}

static bool socket_is_denied(int family)
{
    return socket(family, SOCK_DGRAM, 0) < 0 && errno == EPERM;
}

static bool play_sockets(const char *folder)
{
    (void)folder;
    sandbox_process(0);
    return socket(AF_UNIX, SOCK_STREAM, 0) >= 0 && socket(AF_INET, SOCK_STREAM, 0) >= 0 &&
           socket_is_denied(AF_NETLINK) && socket_is_denied(AF_PACKET) && socket_is_denied(AF_X25);
}

static void only_sockets_for_databases_can_be_made(void **state)
{
    (void)state;
    holds(play_sockets);
}

static bool play_trace(const char *folder)
{
    struct rlimit core;

    (void)folder;
    sandbox_process(0);
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 && errno == EPERM &&
           getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0;
}

static void nothing_can_be_traced_and_nothing_is_dumped(void **state)
{
    (void)state;
    holds(play_trace);
}

static bool play_files(const char *folder)
{
    char temp[300], inside[600], outside[600];
    int part;

    snprintf(temp, sizeof(temp), "%s/temp", folder);
    snprintf(inside, sizeof(inside), "%s/temp/a", folder);
    snprintf(outside, sizeof(outside), "%s/part", folder);
    mkdir(temp, 0700);
    part = open(outside, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (!sandbox_thread(temp))
        return false;
    return write(part, "x", 1) == 1                    /* what was open stays open */
           && makes(temp, "a") && unlink(inside) == 0  /* beneath the folder all is allowed */
           && open(outside, O_RDONLY | O_CLOEXEC) >= 0 /* reading is, everywhere */
           && open(outside, O_WRONLY | O_CLOEXEC) < 0 && errno == EACCES /* writing elsewhere no */
           && !makes(folder, "new") && unlink(outside) < 0 && errno == EACCES;
}

static void files_can_be_written_beneath_the_folder_only(void **state)
{
    (void)state;
    if (!sandbox_offers_landlock())
        skip();
    holds(play_files);
}

static bool play_nowhere(const char *folder)
{
    return sandbox_thread(NULL) && !makes(folder, "a");
}

static void without_a_folder_nothing_can_be_written(void **state)
{
    (void)state;
    if (!sandbox_offers_landlock())
        skip();
    holds(play_nowhere);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_cannot_be_started),
        cmocka_unit_test(a_process_cannot_be_forked),
        cmocka_unit_test(a_thread_can_be_started),
        cmocka_unit_test(only_sockets_for_databases_can_be_made),
        cmocka_unit_test(nothing_can_be_traced_and_nothing_is_dumped),
        cmocka_unit_test(files_can_be_written_beneath_the_folder_only),
        cmocka_unit_test(without_a_folder_nothing_can_be_written),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
