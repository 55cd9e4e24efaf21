/* tests/unit/sandbox_test.c -- what the sandbox takes away, and what it leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
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

static bool is_refused(long number, long a, long b, long c)
{
    return syscall(number, a, b, c, 0L, 0L) < 0 && errno == EPERM;
}

/* What Landlock does not know of, or not in its first version. */
static bool play_unknown_to_landlock(const char *folder)
{
    char path[600];
    int fd;

    makes(folder, "file");
    snprintf(path, sizeof(path), "%s/file", folder);
    fd = open(path, O_RDWR | O_CLOEXEC);
    sandbox_process(0);
    return is_refused(SYS_truncate, (long)path, 0, 0) &&
           is_refused(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_TRUNC) &&
           is_refused(SYS_openat2, AT_FDCWD, (long)path, 0) &&
           is_refused(SYS_utimensat, AT_FDCWD, (long)path, 0) &&
           is_refused(SYS_inotify_init1, 0, 0, 0) && is_refused(SYS_setpriority, 0, 0, 19) &&
           is_refused(SYS_sched_setaffinity, 1, 0, 0) && is_refused(SYS_fcntl, fd, F_SETOWN, 1) &&
           is_refused(SYS_fcntl, fd, F_SETSIG, SIGKILL) &&
           is_refused(SYS_fcntl, fd, F_SETLEASE, F_RDLCK) &&
           is_refused(SYS_ioctl, fd, FIOSETOWN, 0) &&
           is_refused(SYS_ioctl, fd, FS_IOC_SETFLAGS, 0) && ftruncate(fd, 0) == 0;
}

static void without_landlock_other_files_and_processes_are_safe_from_these(void **state)
{
    (void)state;
    holds(play_unknown_to_landlock);
}

static bool is_denied(const char *folder, const char *name, int flags)
{
    char path[600];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return open(path, flags | O_CLOEXEC) < 0 && errno == EACCES;
}

/* A folder with a source, a secret and a folder of temporary files, and what a worker gets. */
static void make_files(const char *folder, struct sandbox_files *files)
{
    char path[600];

    makes(folder, "secret");
    makes(folder, "source");
    sandbox_files_begin(files, false);
    snprintf(path, sizeof(path), "%s/source", folder);
    sandbox_files_read(files, path);
    snprintf(path, sizeof(path), "%s/temp", folder);
    mkdir(path, 0700);
    sandbox_files_temp(files, path);
    sandbox_files_read(files, "/no/such/file");
    sandbox_files_read(files, NULL);
}

static bool only_source_and_temp_are_left(const char *folder)
{
    char inside[600];

    snprintf(inside, sizeof(inside), "%s/temp/a", folder);
    return makes(folder, "temp/a") && unlink(inside) == 0 &&
           !is_denied(folder, "source", O_RDONLY) && is_denied(folder, "source", O_RDWR) &&
           is_denied(folder, "secret", O_RDONLY) && is_denied(folder, "secret", O_WRONLY) &&
           is_denied(folder, "", O_RDONLY | O_DIRECTORY) && !makes(folder, "new") &&
           is_denied(folder, "temp", O_RDONLY | O_DIRECTORY) &&
           is_denied("/etc", "shadow", O_RDONLY) && is_denied("/proc", "1/environ", O_RDONLY);
}

static bool play_files(const char *folder)
{
    struct sandbox_files files;
    char path[600];
    int part;

    make_files(folder, &files);
    snprintf(path, sizeof(path), "%s/part", folder);
    part = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return sandbox_files_apply(&files) && write(part, "x", 1) == 1 /* what was open stays open */
           && only_source_and_temp_are_left(folder) && unlink(path) < 0 && errno == EACCES;
}

static void only_the_source_is_read_and_only_temp_is_written(void **state)
{
    (void)state;
    if (!sandbox_offers_landlock())
        skip();
    holds(play_files);
}

static void *look(void *folder)
{
    return only_source_and_temp_are_left(folder) ? folder : NULL;
}

static bool play_later_thread(const char *folder)
{
    struct sandbox_files files;
    pthread_t thread;
    void *good = NULL;

    make_files(folder, &files);
    return sandbox_files_apply(&files) &&
           pthread_create(&thread, NULL, look, (void *)folder) == 0 &&
           pthread_join(thread, &good) == 0 && good == folder;
}

static void a_thread_has_what_the_one_has_that_starts_it(void **state)
{
    (void)state;
    if (!sandbox_offers_landlock())
        skip();
    holds(play_later_thread);
}

/* Also of a thread that was there before. */
static void *wait_and_check(void *fd)
{
    char byte;

    while (read(*(int *)fd, &byte, 1) < 0)
        ;
    return fchmod(*(int *)fd, 0600) < 0 && errno == EPERM ? fd : NULL;
}

static bool play_rights(const char *folder)
{
    int pair[2];
    pthread_t thread;
    void *good = NULL;

    (void)folder;
    sandbox_process(0);
    return pipe(pair) == 0 && pthread_create(&thread, NULL, wait_and_check, &pair[0]) == 0 &&
           fchmod(pair[0], 0600) == 0 && sandbox_opened(true) && fchmod(pair[0], 0600) < 0 &&
           fchown(pair[0], getuid(), getgid()) < 0 && write(pair[1], "x", 1) == 1 &&
           pthread_join(thread, &good) == 0 && good == &pair[0];
}

static void rights_of_files_cannot_be_changed_by_any_thread(void **state)
{
    (void)state;
    holds(play_rights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_cannot_be_started),
        cmocka_unit_test(a_process_cannot_be_forked),
        cmocka_unit_test(a_thread_can_be_started),
        cmocka_unit_test(only_sockets_for_databases_can_be_made),
        cmocka_unit_test(nothing_can_be_traced_and_nothing_is_dumped),
        cmocka_unit_test(without_landlock_other_files_and_processes_are_safe_from_these),
        cmocka_unit_test(only_the_source_is_read_and_only_temp_is_written),
        cmocka_unit_test(a_thread_has_what_the_one_has_that_starts_it),
        cmocka_unit_test(rights_of_files_cannot_be_changed_by_any_thread),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
