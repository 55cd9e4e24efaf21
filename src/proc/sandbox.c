/* src/proc/sandbox.c -- a worker's limits: rlimits, seccomp, Landlock. */
#include "proc/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/process.h"

#if defined(__has_feature)
#define SANITIZER_OF_CLANG (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZER_OF_CLANG 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || SANITIZER_OF_CLANG
enum { CAN_LIMIT_MEMORY = false };
#else
enum { CAN_LIMIT_MEMORY = true };
#endif

static void set_limit(int resource, int64_t most)
{
    struct rlimit limit = {.rlim_cur = (rlim_t)most, .rlim_max = (rlim_t)most};

    /* Fails only if the process already has a lower limit. */
    setrlimit((__rlimit_resource_t)resource, &limit);
}

void sandbox_limit_cpu(int64_t ms)
{
    struct rusage used = {0};
    struct rlimit limit;

    if (getrusage(RUSAGE_SELF, &used) < 0 || getrlimit(RLIMIT_CPU, &limit) < 0)
        return;
    limit.rlim_cur = (rlim_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec + 2 + (ms + 999) / 1000);
    if (ms == 0 || limit.rlim_cur > limit.rlim_max)
        limit.rlim_cur = limit.rlim_max; /* the service manager's limit, or none */
    signal(SIGXCPU, SIG_DFL);
    setrlimit(RLIMIT_CPU, &limit);
}

/* A killed worker costs one report, a killed server all of them. */
static void volunteer_for_oom(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (write(fd, "500", 3) < 0)
        errno = 0; /* there is no /proc for us, or the score can only be raised: this is the best
                    * possible */
    close(fd);
}

/* Calls that libseccomp of Debian 12 has no name for; their numbers are the same on every
 * architecture. */
enum {
    CALL_FCHMODAT2 = 452,
    CALL_SETXATTRAT = 463,
    CALL_REMOVEXATTRAT = 466,
    CALL_OPEN_TREE_ATTR = 467,
    CALL_FILE_SETATTR = 469,
};

/* Calls that no report needs. Denied calls are listed, not permitted ones, since SQLite, libpq,
 * libcrypto and libc choose what they call, and change it between versions. */
static const int denied[] = {
    /* programs and other processes */
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(process_madvise),
    SCMP_SYS(process_mrelease),
    SCMP_SYS(pidfd_open),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(pidfd_send_signal),
    SCMP_SYS(tkill),
    SCMP_SYS(kcmp),
    SCMP_SYS(migrate_pages),
    SCMP_SYS(move_pages),
    SCMP_SYS(setpriority),
    SCMP_SYS(ioprio_set),
    SCMP_SYS(sched_setaffinity),
    SCMP_SYS(sched_setattr),
    SCMP_SYS(sched_setparam),
    SCMP_SYS(sched_setscheduler),
    SCMP_SYS(shmget),
    SCMP_SYS(shmat),
    SCMP_SYS(shmctl),
    SCMP_SYS(msgctl),
    SCMP_SYS(msgget),
    SCMP_SYS(msgrcv),
    SCMP_SYS(msgsnd),
    SCMP_SYS(semctl),
    SCMP_SYS(semget),
    SCMP_SYS(semop),
    SCMP_SYS(semtimedop),
    SCMP_SYS(mq_open),
    SCMP_SYS(mq_unlink),
    /* the machine */
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(move_mount),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(open_tree),
    CALL_OPEN_TREE_ATTR,
    SCMP_SYS(fsopen),
    SCMP_SYS(fsconfig),
    SCMP_SYS(fsmount),
    SCMP_SYS(fspick),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(acct),
    SCMP_SYS(quotactl),
    SCMP_SYS(quotactl_fd),
    SCMP_SYS(syslog),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(ioperm),
    SCMP_SYS(iopl),
    SCMP_SYS(personality),
    /* large parts of the kernel */
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(fanotify_init),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(keyctl),
    /* files that it may not open: Landlock does not cover times or watching, and truncation only
     * from version 3 on; openat2 hides its flags */
    SCMP_SYS(truncate),
    SCMP_SYS(truncate64),
    SCMP_SYS(creat),
    SCMP_SYS(openat2),
    SCMP_SYS(utime),
    SCMP_SYS(utimes),
    SCMP_SYS(futimesat),
    SCMP_SYS(utimensat),
    SCMP_SYS(utimensat_time64),
    SCMP_SYS(inotify_init),
    SCMP_SYS(inotify_init1),
    /* users, and the rights of files */
    SCMP_SYS(setuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setreuid),
    SCMP_SYS(setregid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setresgid),
    SCMP_SYS(setgroups),
    SCMP_SYS(setfsuid),
    SCMP_SYS(setfsgid),
    SCMP_SYS(capset),
    SCMP_SYS(chmod),
    SCMP_SYS(fchmodat),
    CALL_FCHMODAT2,
    SCMP_SYS(chown),
    SCMP_SYS(lchown),
    SCMP_SYS(fchownat),
    SCMP_SYS(setxattr),
    SCMP_SYS(lsetxattr),
    SCMP_SYS(fsetxattr),
    CALL_SETXATTRAT,
    SCMP_SYS(removexattr),
    SCMP_SYS(lremovexattr),
    SCMP_SYS(fremovexattr),
    CALL_REMOVEXATTRAT,
    CALL_FILE_SETATTR,
    SCMP_SYS(mknod),
    SCMP_SYS(mknodat),
    SCMP_SYS(name_to_handle_at),
    SCMP_SYS(open_by_handle_at),
    /* servers */
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
};

/* SQLite sets mode and owner of the -wal and -shm that it makes when it opens a database. */
static const int denied_once_open[] = {SCMP_SYS(fchmod), SCMP_SYS(fchown)};

static const uint32_t no = SCMP_ACT_ERRNO(EPERM);

/* The process and the signal that report when a descriptor is ready; leases, which keep others from
 * a file; and watching a folder. */
static const int denied_of_fcntl[] = {F_SETOWN, F_SETOWN_EX, F_SETSIG, F_SETLEASE, F_NOTIFY};
/* Input that a terminal would read as typed; the same signals; and flags that make a file
 * unwritable or unremovable. */
static const unsigned denied_of_ioctl[] = {
    TIOCSTI,         TIOCLINUX,         FIOSETOWN,           SIOCSPGRP,
    FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR, FS_IOC_ENABLE_VERITY};

/* The lower half of the second argument, which is all that the kernel reads of an int. */
static struct scmp_arg_cmp is_int(unsigned value)
{
    return SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, (scmp_datum_t)value);
}

/* Calls with many functions. */
static void add_verbs(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < sizeof(denied_of_fcntl) / sizeof(denied_of_fcntl[0]); i++)
        seccomp_rule_add(filter, no, SCMP_SYS(fcntl), 1, is_int((unsigned)denied_of_fcntl[i]));
    for (size_t i = 0; i < sizeof(denied_of_ioctl) / sizeof(denied_of_ioctl[0]); i++)
        seccomp_rule_add(filter, no, SCMP_SYS(ioctl), 1, is_int(denied_of_ioctl[i]));
    /* Before version 3 of Landlock, a file that may be read could be truncated. */
    seccomp_rule_add(filter, no, SCMP_SYS(open), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, O_TRUNC, O_TRUNC));
    seccomp_rule_add(filter, no, SCMP_SYS(openat), 1,
                     SCMP_A2(SCMP_CMP_MASKED_EQ, O_TRUNC, O_TRUNC));
}

static void add_rules(scmp_filter_ctx filter)
{
    static const int to_process[] = {SCMP_SYS(kill), SCMP_SYS(tgkill), SCMP_SYS(rt_sigqueueinfo),
                                     SCMP_SYS(rt_tgsigqueueinfo)};

    for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++)
        seccomp_rule_add(filter, no, denied[i], 0);
    /* Signals and limits: only its own. */
    for (size_t i = 0; i < sizeof(to_process) / sizeof(to_process[0]); i++)
        seccomp_rule_add(filter, no, to_process[i], 1,
                         SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid(), 0));
    seccomp_rule_add(filter, no, SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_NE, 0, 0));
    add_verbs(filter);
    /* Threads, but no processes; clone3 hides its flags, and libc works without it. */
    seccomp_rule_add(filter, no, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    /* AF_UNIX, AF_INET and AF_INET6 are for databases. */
    for (int family = AF_INET + 1; family < AF_INET6; family++)
        seccomp_rule_add(filter, no, SCMP_SYS(socket), 1,
                         SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family, 0));
    seccomp_rule_add(filter, no, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_GT, AF_INET6, 0));
}

/* For all threads of the process. */
static bool load(scmp_filter_ctx filter)
{
    bool taken = filter != NULL && seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0 &&
                 seccomp_load(filter) == 0;

    if (filter != NULL)
        seccomp_release(filter);
    return taken;
}

bool sandbox_process(int64_t memory)
{
    scmp_filter_ctx filter;

    set_limit(RLIMIT_CORE, 0);
    if (CAN_LIMIT_MEMORY && memory > 0)
        set_limit(RLIMIT_AS, memory);
    volunteer_for_oom();
    process_hide(); /* last: from here on /proc/self belongs to root */
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter != NULL)
        add_rules(filter);
    return load(filter);
}

bool sandbox_opened(bool network)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

    for (size_t i = 0; filter != NULL && i < sizeof(denied_once_open) / sizeof(int); i++)
        seccomp_rule_add(filter, no, denied_once_open[i], 0);
    if (filter != NULL && !network)
        seccomp_rule_add(filter, no, SCMP_SYS(socket), 0);
    return load(filter);
}

/* ---- files: Landlock (https://docs.kernel.org/userspace-api/landlock.html) ---- */

/* The kernel's values, since the headers of Debian 12 know only the first version. */
enum {
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_REMOVE_FILE = 1 << 5,
    FS_MAKE_REG = 1 << 8,
    FS_FIRST = (1 << 13) - 1, /* all rights of version 1 */
    FS_REFER = 1 << 13,
    FS_TRUNCATE = 1 << 14,
    FS_IOCTL_DEV = 1 << 15,
    NET_BIND_TCP = 1 << 0,
    NET_CONNECT_TCP = 1 << 1,
    SCOPE_ABSTRACT_SOCKET = 1 << 0,
    SCOPE_SIGNAL = 1 << 1,
    VERSION_REFER = 2,
    VERSION_TRUNCATE = 3,
    VERSION_NET = 4,
    VERSION_IOCTL_DEV = 5,
    VERSION_SCOPE = 6,
};

struct ruleset_attr {
    uint64_t fs, net, scoped;
};

/* What libc, libcrypto and libpq read for any database: libraries that are loaded late, time zones,
 * and the files for looking up addresses and users. No folder that could contain a key. */
static const char *const system_files[] = {
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/usr/share/locale",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/passwd",
    "/etc/group",
    "/etc/krb5.conf",
    "/etc/krb5.conf.d",
    "/etc/gss",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/openssl.cnf",
    "/etc/crypto-policies",
    "/run/systemd/resolve",
    "/dev/null",
    "/dev/urandom",
    "/dev/random",
};

/* 0 or less: the kernel does not support it. */
static long landlock_version(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

bool sandbox_offers_landlock(void)
{
    return landlock_version() > 0;
}

static uint64_t since(long version, long first, uint64_t rights)
{
    return version >= first ? rights : 0;
}

static void allow(struct sandbox_files *files, const char *path, uint64_t rights)
{
    int fd = files->rules >= 0 && path != NULL ? open(path, O_PATH | O_CLOEXEC) : -1;
    struct landlock_path_beneath_attr beneath = {.parent_fd = fd};
    struct stat st;

    if (fd < 0)
        return; /* there is nothing to permit */
    if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
        rights &= FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE;
    beneath.allowed_access = rights & files->rights;
    syscall(SYS_landlock_add_rule, files->rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
    close(fd);
}

void sandbox_files_read(struct sandbox_files *files, const char *path)
{
    allow(files, path, FS_READ_FILE | FS_READ_DIR);
}

void sandbox_files_temp(struct sandbox_files *files, const char *folder)
{
    allow(files, folder, FS_READ_FILE | FS_WRITE_FILE | FS_REMOVE_FILE | FS_MAKE_REG | FS_TRUNCATE);
}

void sandbox_files_begin(struct sandbox_files *files, bool network)
{
    long version = landlock_version();
    struct ruleset_attr attr = {
        .fs = FS_FIRST | since(version, VERSION_REFER, FS_REFER) |
              since(version, VERSION_TRUNCATE, FS_TRUNCATE) |
              since(version, VERSION_IOCTL_DEV, FS_IOCTL_DEV),
        .net = since(version, VERSION_NET, NET_BIND_TCP | (network ? 0 : NET_CONNECT_TCP)),
        .scoped =
            since(version, VERSION_SCOPE, SCOPE_SIGNAL | (network ? 0 : SCOPE_ABSTRACT_SOCKET)),
    };
    size_t size = version >= VERSION_SCOPE ? sizeof(attr)
                  : version >= VERSION_NET ? offsetof(struct ruleset_attr, scoped)
                                           : offsetof(struct ruleset_attr, net);

    files->rights = attr.fs;
    files->rules = version > 0 ? (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0) : -1;
    for (size_t i = 0; i < sizeof(system_files) / sizeof(system_files[0]); i++)
        sandbox_files_read(files, system_files[i]);
    if (!CAN_LIMIT_MEMORY)
        sandbox_files_read(files, "/proc/self"); /* a sanitizer reads it for its report */
}

bool sandbox_files_apply(const struct sandbox_files *files)
{
    return files->rules >= 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_landlock_restrict_self, files->rules, 0) == 0;
}

void sandbox_files_end(struct sandbox_files *files)
{
    if (files->rules >= 0)
        close(files->rules);
    files->rules = -1;
}
