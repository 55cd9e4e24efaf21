"""Runs a program under what etc/reportd.service prescribes, where no systemd runs.

usage: unit_sandbox.py UNIT STATE_DIRECTORY LOGS_DIRECTORY UID GID PROGRAM…

It takes a mount namespace of its own in which everything but these directories is read-only (ProtectSystem=strict), gives up
root with all capabilities (User=, CapabilityBoundingSet=, NoNewPrivileges=), and loads the unit's filter of system calls.
What it does not know of the unit's lines ends it, so that a new one is not overlooked."""

import ctypes
import os
import subprocess
import sys

import seccomp

CLONE_NEWNS = 0x20000
NAMESPACES = 0x7E020000 | 0x80  # every CLONE_NEW* flag
PROT_WRITE_EXEC = 6
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
libc = ctypes.CDLL(None, use_errno=True)

# Lines that the steps below follow, and those that no file or system call of reportd shows.
FOLLOWED = {"User", "Group", "UMask", "StateDirectory", "LogsDirectory", "NoNewPrivileges", "CapabilityBoundingSet", "AmbientCapabilities",
            "ProtectSystem", "SystemCallFilter", "RestrictAddressFamilies", "RestrictNamespaces", "MemoryDenyWriteExecute"}
ELSEWHERE = {"Type", "TimeoutStartSec", "WatchdogSec", "ExecStart", "ExecReload", "Restart", "RestartSec", "TimeoutStopSec", "KillMode", "StateDirectoryMode",
             "ConfigurationDirectory", "RuntimeDirectory", "RuntimeDirectoryMode", "LogsDirectoryMode",
             "LimitNOFILE", "LimitCORE", "PrivateTmp", "PrivateDevices", "PrivateUsers", "ProtectHome",
             "ProtectClock", "ProtectHostname", "ProtectControlGroups", "ProtectKernelLogs", "ProtectKernelModules",
             "ProtectKernelTunables", "ProtectProc", "ProcSubset", "RestrictRealtime", "RestrictSUIDSGID",
             "LockPersonality", "RemoveIPC", "SystemCallArchitectures"}


def service_lines(unit):
    """Pairs of key and value of its [Service]."""
    with open(unit) as file:
        text = file.read().split("[Service]")[1].split("[Install]")[0]
    pairs = [line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#")]
    unknown = {key for key, _ in pairs} - FOLLOWED - ELSEWHERE
    assert not unknown, f"{unit} has lines that this does not know: {unknown}"
    return pairs


def call_sets():
    """systemd's own, @name to calls and other sets."""
    sets, name = {}, None
    for line in subprocess.check_output(["systemd-analyze", "syscall-filter"], text=True).splitlines():
        word = line.strip()
        if line.startswith("@"):
            name = word
            sets[name] = []
        elif name and word and not word.startswith("#"):
            sets[name].append(word)
        elif not word:
            name = None
    return sets


def calls_of(word, sets):
    if not word.startswith("@"):
        return {word}
    return set().union(*(calls_of(each, sets) for each in sets[word]))


def load_filter(pairs):
    sets, allowed = call_sets(), set()
    for value in [value for key, value in pairs if key == "SystemCallFilter"]:
        calls = set().union(*(calls_of(word, sets) for word in value.lstrip("~").split()))
        allowed = allowed - calls if value.startswith("~") else allowed | calls
    # systemd itself lets these through, for the exec of the service
    allowed |= calls_of("@default", sets) | {"execve", "rt_sigreturn", "exit", "exit_group"}
    families = [word for key, value in pairs if key == "RestrictAddressFamilies" for word in value.split()]
    rules = seccomp.SyscallFilter(seccomp.KILL_PROCESS)
    for call in sorted(allowed - {"socket", "mmap", "mprotect", "clone", "clone3", "unshare", "setns"}):
        try:
            rules.add_rule(seccomp.ALLOW, call)
        except RuntimeError:
            continue  # another architecture's
    deny = seccomp.ERRNO(1)
    for family in families:
        rules.add_rule(seccomp.ALLOW, "socket", seccomp.Arg(0, seccomp.EQ, FAMILIES[family]))
    for family in range(max(FAMILIES.values()) + 1):
        if family not in FAMILIES.values():
            rules.add_rule(seccomp.ERRNO(97), "socket", seccomp.Arg(0, seccomp.EQ, family))
    for call in ("mmap", "mprotect"):
        for protection in range(8):
            is_refused = protection & PROT_WRITE_EXEC == PROT_WRITE_EXEC or (call == "mprotect" and protection & 4)
            rules.add_rule(deny if is_refused else seccomp.ALLOW, call, seccomp.Arg(2, seccomp.MASKED_EQ, 7, protection))
    rules.add_rule(seccomp.ALLOW, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, NAMESPACES & ~0x80, 0))
    rules.add_rule(seccomp.ERRNO(38), "clone3")  # as systemd does: its flags lie in memory
    rules.load()


def make_read_only(*writable):
    """All mounts of a namespace of our own, except for the kernel's and these directories."""
    def checked(code):
        if code != 0:
            raise OSError(ctypes.get_errno(), "unshare")

    checked(libc.unshare(CLONE_NEWNS))
    mount = ["mount", "-n"]
    subprocess.run([*mount, "--make-rprivate", "/"], check=True)
    with open("/proc/self/mounts") as file:
        places = [line.split()[1] for line in file]
    for folder in writable:
        subprocess.run([*mount, "--bind", folder, folder], check=True)
    for place in places:
        if not place.startswith(("/proc", "/sys", "/dev")):
            subprocess.run([*mount, "-o", "remount,bind,ro", place], check=True, stderr=subprocess.DEVNULL)


def main(unit, state, logs, uid, gid, *program):
    make_read_only(state, logs)
    setpriv = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs", "--bounding-set=-all",
               "--inh-caps=-all"]
    os.umask(0o077)
    os.execvp("setpriv", [*setpriv, sys.executable, __file__, "--filter", unit, *program])


if __name__ == "__main__":
    if sys.argv[1] == "--filter":
        load_filter(service_lines(sys.argv[2]))
        os.execv(sys.argv[3], sys.argv[3:])
    main(*sys.argv[1:])
