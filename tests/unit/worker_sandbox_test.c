/* tests/unit/worker_sandbox_test.c -- a worker that has been taken over: on each of its threads,
 * what it may not do fails, and what a report needs works. */
#include "worker_fixture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#include "proc/sandbox.h"

enum { THREADS_MAX = 16, NAME = 600, OTHER_BYTES = 16 };

/* Shared with the workers, which run in copies of this program. */
static struct probe {
    char secret[4][NAME]; /* what serve has beside the source */
    char secret_by_root[2 * NAME], secret_link[NAME];
    char folder[NAME], made[NAME], source[NAME], moved[NAME];
    char temp[NAME], temp_file[NAME];
    char memory[2][NAME], environment[2][NAME]; /* of serve, and of another worker */
    pid_t others[2];                            /* those two */
    bool network;                               /* it is the database */
    char other_bytes[OTHER_BYTES];
    sem_t done;
    atomic_int count;
    struct {
        pid_t thread;
        const char *failed; /* the first check that did; NULL: none */
    } found[THREADS_MAX];
} * probe;

/* ---- what may not be; each is true if it was denied ---- */

static bool cannot_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);

    if (fd >= 0)
        close(fd);
    return fd < 0 && (errno == EACCES || errno == EPERM);
}

static bool no_secret_is_read(void)
{
    for (size_t i = 0; i < 4; i++) {
        if (!cannot_open(probe->secret[i], O_RDONLY) || !cannot_open(probe->secret[i], O_WRONLY))
            return false;
    }
    return cannot_open(probe->secret_by_root, O_RDONLY);
}

static bool nothing_is_moved_to_temp(void)
{
    return link(probe->secret[0], probe->secret_link) < 0 &&
           rename(probe->secret[0], probe->secret_link) < 0;
}

static bool folder_is_closed(void)
{
    return cannot_open(probe->folder, O_RDONLY | O_DIRECTORY) &&
           cannot_open(probe->made, O_RDWR | O_CREAT) && mkdir(probe->made, 0700) < 0 &&
           symlink("x", probe->made) < 0 &&
           /* other workers have files there */
           cannot_open(probe->temp, O_RDONLY | O_DIRECTORY);
}

static bool source_is_not_written(void)
{
    return cannot_open(probe->source, O_RDWR) && truncate(probe->source, 0) < 0 &&
           unlink(probe->source) < 0 && rename(probe->source, probe->moved) < 0;
}

static bool is_out_of_reach(pid_t pid, size_t which)
{
    char bytes[OTHER_BYTES];
    struct iovec here = {.iov_base = bytes, .iov_len = sizeof(bytes)};
    struct iovec there = {.iov_base = probe->other_bytes, .iov_len = sizeof(bytes)};
    struct rlimit limit;

    return kill(pid, 0) < 0 && syscall(SYS_tgkill, pid, pid, 0) < 0 &&
           syscall(SYS_tkill, pid, 0) < 0 && syscall(SYS_pidfd_open, pid, 0) < 0 &&
           process_vm_readv(pid, &here, 1, &there, 1, 0) < 0 &&
           ptrace(PTRACE_ATTACH, pid, NULL, NULL) < 0 &&
           prlimit(pid, RLIMIT_CPU, NULL, &limit) < 0 &&
           cannot_open(probe->memory[which], O_RDWR) &&
           cannot_open(probe->environment[which], O_RDONLY);
}

static bool no_process_is_reached(void)
{
    return is_out_of_reach(probe->others[0], 0) && is_out_of_reach(probe->others[1], 1) &&
           kill(0, 0) < 0 && kill(-1, 0) < 0;
}

static bool no_process_is_made(void)
{
    char *const words[] = {(char *)"true", NULL};
    long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

    if (pid == 0)
        _exit(0);
    return pid < 0 && execv("/bin/true", words) < 0 && errno == EPERM;
}

static bool rights_stay(void)
{
    int fd = open(probe->temp_file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bool stay = fd >= 0 && fchmod(fd, 0666) < 0 && errno == EPERM &&
                fchown(fd, getuid(), getgid()) < 0 && chmod(probe->temp_file, 0666) < 0 &&
                syscall(SYS_fchmodat, AT_FDCWD, probe->temp_file, 0666) < 0 &&
                syscall(452, AT_FDCWD, probe->temp_file, 0666, 0) < 0 &&
                chown(probe->temp_file, getuid(), getgid()) < 0 &&
                fsetxattr(fd, "user.a", "b", 1, 0) < 0 && errno == EPERM &&
                setxattr(probe->temp_file, "user.a", "b", 1, 0) < 0;

    if (fd >= 0)
        close(fd);
    unlink(probe->temp_file);
    return stay;
}

static bool fails(long number, long a, long b, long c)
{
    return syscall(number, a, b, c, 0L, 0L) < 0 && errno == EPERM;
}

static bool kernel_is_closed(void)
{
    struct io_uring_params params = {0};

    return fails(SYS_io_uring_setup, 1, (long)&params, 0) && fails(SYS_bpf, 0, 0, 0) &&
           fails(SYS_userfaultfd, 0, 0, 0) && fails(SYS_perf_event_open, 0, 0, 0) &&
           fails(SYS_keyctl, 0, 0, 0) && fails(SYS_unshare, CLONE_NEWUSER, 0, 0) &&
           fails(SYS_setns, 0, 0, 0) && fails(SYS_mount, 0, 0, 0) && fails(SYS_shmget, 1, 1, 0) &&
           fails(SYS_open_by_handle_at, 0, 0, 0) && fails(SYS_capset, 0, 0, 0) &&
           ioctl(STDERR_FILENO, TIOCSTI, "x") < 0 && errno == EPERM;
}

static bool network_is_closed(void)
{
    const struct sockaddr_in any = {.sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool closed = (fd >= 0) == probe->network && bind(fd, (const void *)&any, sizeof(any)) < 0 &&
                  listen(fd, 1) < 0 && socket(AF_NETLINK, SOCK_RAW, 0) < 0 &&
                  (probe->network || socket(AF_UNIX, SOCK_STREAM, 0) < 0);

    if (fd >= 0)
        close(fd);
    return closed;
}

/* ---- what must be ---- */

static bool temp_is_open(void)
{
    int fd = open(probe->temp_file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write(fd, "x", 1) == 1 && ftruncate(fd, 0) == 0;

    if (fd >= 0)
        close(fd);
    return good && unlink(probe->temp_file) == 0;
}

static bool can_read(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool what_it_needs_is_read(void)
{
    return (probe->network || can_read(probe->source)) && can_read("/usr/share/zoneinfo/UTC") &&
           can_read("/etc/hosts") && can_read("/dev/urandom") &&
           syscall(SYS_tgkill, getpid(), gettid(), 0) == 0;
}

static const struct {
    const char *name;
    bool (*holds)(void);
} checks[] = {
#define CHECK_OF(name)                                                                             \
    {                                                                                              \
#name, name                                                                                \
    }
    CHECK_OF(no_secret_is_read),     CHECK_OF(nothing_is_moved_to_temp),
    CHECK_OF(folder_is_closed),      CHECK_OF(source_is_not_written),
    CHECK_OF(no_process_is_reached), CHECK_OF(no_process_is_made),
    CHECK_OF(rights_stay),           CHECK_OF(kernel_is_closed),
    CHECK_OF(network_is_closed),     CHECK_OF(temp_is_open),
    CHECK_OF(what_it_needs_is_read),
};

/* In the thread that the signal was sent to. */
static void on_probe(int number)
{
    const char *failed = NULL;
    int saved = errno, at = atomic_fetch_add(&probe->count, 1);

    (void)number;
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]) && failed == NULL; i++) {
        if (!checks[i].holds())
            failed = checks[i].name;
    }
    if (at < THREADS_MAX) {
        probe->found[at].thread = gettid();
        probe->found[at].failed = failed;
    }
    sem_post(&probe->done);
    errno = saved;
}

/* ---- the test's side ---- */

static void make_file(char path[NAME], const char *folder, const char *name)
{
    int fd;

    snprintf(path, NAME, "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write(fd, "secret", 6) == 6);
    close(fd);
}

static int make_places(struct bench *b)
{
    const char *const names[] = {"token.key", "store.db", "other.db", "result.json"};

    for (size_t i = 0; i < 4; i++)
        make_file(probe->secret[i], b->folder, names[i]);
    snprintf(probe->secret_by_root, 2 * NAME, "/proc/self/root%s", probe->secret[0]);
    snprintf(probe->folder, NAME, "%s", b->folder);
    snprintf(probe->made, NAME, "%s/made", b->folder);
    snprintf(probe->source, NAME, "%s/a.db", b->folder);
    snprintf(probe->temp, NAME, "%s/temp", b->folder);
    snprintf(probe->temp_file, NAME, "%s/temp/file", b->folder);
    snprintf(probe->moved, NAME, "%s/temp/moved", b->folder);
    snprintf(probe->secret_link, NAME, "%s/temp/link", b->folder);
    return mkdir(probe->temp, 0700);
}

static void note_process(size_t which, pid_t pid)
{
    probe->others[which] = pid;
    snprintf(probe->memory[which], NAME, "/proc/%d/mem", (int)pid);
    snprintf(probe->environment[which], NAME, "/proc/%d/environ", (int)pid);
}

static struct bench other;

static int open_probe(void **state)
{
    probe = mmap(NULL, sizeof(*probe), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(probe != MAP_FAILED);
    assert_int_equal(sem_init(&probe->done, 1, 0), 0);
    signal(SIGURG, on_probe);
    start_worker(&other);
    note_process(0, getpid());
    note_process(1, other.pid);
    return setup(state) != 0 || make_places(*state) != 0;
}

static int close_probe(void **state)
{
    end_worker(&other);
    munmap(probe, sizeof(*probe));
    return teardown(state);
}

/* Each thread of the worker, one after another, as they share a file's name. */
static size_t probe_all(const struct bench *b)
{
    char path[64];
    DIR *tasks;
    size_t count = 0;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)b->pid);
    tasks = opendir(path);
    assert_non_null(tasks);
    for (const struct dirent *task; (task = readdir(tasks)) != NULL;) {
        pid_t thread = (pid_t)strtol(task->d_name, NULL, 10);

        if (thread == 0)
            continue;
        assert_int_equal(syscall(SYS_tgkill, b->pid, thread, SIGURG), 0);
        while (sem_wait(&probe->done) < 0)
            assert_int_equal(errno, EINTR);
        if (probe->found[count].failed != NULL)
            fail_msg("thread %d of %zu: %s", (int)(count + 1), count + 1,
                     probe->found[count].failed);
        assert_int_equal(probe->found[count].thread, thread);
        count++;
    }
    closedir(tasks);
    return count;
}

/* The first row comes, and no other: the query runs. */
static void a_taken_over_worker_of_sqlite_reaches_nothing(void **state)
{
    static const char definition[] =
        HEAD "-- results\nSELECT 1 AS \"n\" UNION ALL SELECT * FROM (" FOREVER ");\n";
    struct bench *b = *state;
    struct wire_answer m = {0};
    struct guid id;

    if (!sandbox_offers_landlock())
        skip();
    send_run(b, &(struct ask){.definition = definition, .temp_folder = probe->temp}, &id);
    while (m.rows == 0)
        receive(b, &m);
    assert_true(probe_all(b) >= 2);
}

static int make_server(char url[64])
{
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(place);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (void *)&place, len), 0);
    assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(getsockname(fd, (void *)&place, &len), 0);
    snprintf(url, 64, "postgresql://u@127.0.0.1:%d/d?sslmode=disable", ntohs(place.sin_port));
    return fd;
}

/* One that does not answer: the worker waits for it. */
static void a_taken_over_worker_of_postgresql_reaches_nothing_else(void **state)
{
    struct bench *b = *state;
    int server, connection;
    char url[64];
    struct guid id;

    if (!sandbox_offers_landlock())
        skip();
    server = make_server(url);
    probe->network = true;
    send_run(b,
             &(struct ask){.definition = HEAD "-- results\nSELECT 1 AS \"n\";\n",
                           .url = url,
                           .temp_folder = probe->temp},
             &id);
    connection = accept(server, NULL, NULL);
    assert_true(connection >= 0);
    assert_true(probe_all(b) >= 2);
    close(connection);
    close(server);
}

static void a_process_serves_one_database(void **state)
{
    static const char definition[] = HEAD "-- results\nSELECT 1 AS \"n\";\n";
    struct bench *b = *state;
    struct wire_answer m;
    struct guid id;

    sqlite3_close(folder_database(b->folder, "b.db", "CREATE TABLE t(a)"));
    send_run(b, &(struct ask){.definition = definition}, &id);
    receive_done(b, &m);
    assert_int_equal(m.outcome, WIRE_COMPLETE);
    assert_int_equal(m.spent, 0);
    send_run(b, &(struct ask){.definition = definition, .database = "b.db"}, &id);
    receive_done(b, &m);
    assert_int_equal(m.outcome, WIRE_AGAIN);
    assert_int_equal(m.spent, 1);
}

int main(void)
{
#define PROBE(name) cmocka_unit_test_setup_teardown(name, open_probe, close_probe)
    const struct CMUnitTest tests[] = {
        PROBE(a_taken_over_worker_of_sqlite_reaches_nothing),
        PROBE(a_taken_over_worker_of_postgresql_reaches_nothing_else),
        TEST(a_process_serves_one_database),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
