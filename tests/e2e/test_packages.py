"""The Debian packages: built without .git, faultless to lintian, and installed, used, upgraded and purged in a fresh system."""

import os
import re
import shutil
import subprocess

import pytest

from harness import PASSWORD, ROOT
from version_before import DATA

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a system in a folder"),
]
BUILDS_WITHIN = 1200  # seconds; on a busy machine
NAMES = ("reportd", "reportd-client")
# Into the folder $1, which has its own processes, runs the script $2; what it starts ends with it.
INSIDE = """
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
exec chroot "$1" bash -euo pipefail -c "$2"
"""
# As systemd starts the unit: its user, its folders.
SERVE = """
install -d -o reportd -g reportd -m 700 /var/lib/reportd /var/log/reportd
as_reportd="setpriv --reuid=reportd --regid=reportd --clear-groups"
serve() {
    coproc SERVER { cd /; REPORTD_LISTEN=127.0.0.1:0 exec $as_reportd reportd serve -c /etc/reportd/reportd.conf 2>/var/log/serve; }
    read -r ready <&${SERVER[0]} || { cat /var/log/serve; false; }
}
stop() { pid=$SERVER_PID; kill "$pid"; wait "$pid"; }
login() { reportctl login --server "${ready#ready on }" -u alice <<<"$PASSWORD"; }
"""
# Every file but those of dpkg, apt and logs, and the contents of /etc; a user that the package made stays.
SNAPSHOT = """
find / -xdev -path /proc -prune -o -path /dev -prune -o -path /packages -prune -o -path /tmp -prune -o -path /root -prune -o \
  -path /var/lib/dpkg -prune -o -path /var/lib/apt -prune -o -path /var/cache -prune -o -path /var/log/apt -prune -o \
  -not -path '/var/log/*' -not -path '/etc/*-' -print | sort
find /etc -type f -not -name 'passwd*' -not -name 'shadow*' -not -name 'group*' -not -name 'gshadow*' \
  -not -name ld.so.cache -exec md5sum {} + | sort
"""


def run(*command, **arguments):
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILDS_WITHIN, check=False, **arguments)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Folder of the packages, made of a copy of the tree that knows nothing of git."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT, tree, dirs_exist_ok=True, symlinks=True, ignore=lambda folder, names: {".git", "build"} & set(names))
    run("make", "-C", tree, "deb", env={key: value for key, value in os.environ.items() if key != "MAKEFLAGS"})
    return tree / "build"


@pytest.fixture(scope="module")
def base(tmp_path_factory, packages):
    """A fresh Debian with what the packages depend on, and those, and older ones, in /packages."""
    mirror = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages").splitlines()[0]
    archive, codename = mirror.split()
    folder = tmp_path_factory.mktemp("base")
    run("mmdebstrap", "--quiet", "--variant=apt", "--skip=cleanup/apt", "--include=systemd-standalone-sysusers", codename, folder, archive)
    shutil.copy("/etc/resolv.conf", folder / "etc")
    target = folder / "packages"
    target.mkdir()
    for name in NAMES:
        (path,) = packages.glob(f"{name}_*.deb")
        shutil.copy(path, target)
        older(path, target)
    inside(folder, """
        for deb in /packages/*[0-9]_*.deb; do
            apt-get satisfy -y --no-install-recommends "$(dpkg-deb -f "$deb" Depends)"
        done""")
    return folder


def older(package, target):
    """The same package as of a version that comes before it."""
    unpacked = target / "unpacked"
    run("dpkg-deb", "-R", package, unpacked)
    control = unpacked / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: (.*)$", r"Version: \1~before", control.read_text(), flags=re.M))
    run("dpkg-deb", "--root-owner-group", "-b", unpacked, target)
    shutil.rmtree(unpacked)


def inside(folder, script):
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive", "PASSWORD": PASSWORD}
    return run("unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-euc", INSIDE, "bash", folder, script, env=environment)


@pytest.fixture
def system(tmp_path, base):
    """A copy of it, with a store, definitions and a database of the version before in /root/before."""
    folder = tmp_path / "system"
    run("cp", "-a", base, folder)
    before = folder / "root/before"
    before.mkdir()
    run("tar", "-xJpf", DATA / "sqlite-10.tar.xz", "--no-same-owner", "-C", before)
    return folder


INSTALL = """
apt-get install -y /packages/reportd_*before_*.deb /packages/reportd-client_*before_*.deb
"""
CONFIGURE = """
install -D -m 644 /root/before/server/data.db /srv/data.db
install -m 644 -t /etc/reportd/reports /root/before/server/reports/*
echo 'source data { url = "sqlite:/srv/data.db" }' >>/etc/reportd/reportd.conf
"""


def test_lintian_finds_neither_an_error_nor_a_warning(packages):
    assert sorted(path.name.partition("_")[0] for path in packages.glob("*.deb")) == sorted(NAMES)
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", *packages.glob("*.deb")],
                          capture_output=True, text=True, timeout=BUILDS_WITHIN, check=False)
    assert done.returncode == 0 and not re.search("^[EW]:", done.stdout, re.M), done.stdout + done.stderr


def test_what_is_installed_runs_a_report_and_leaves_nothing_when_it_is_purged(system):
    inside(system, f"({SNAPSHOT}) >/root/before.list")
    out = inside(system, INSTALL.replace("before_", "[0-9]_") + SERVE + CONFIGURE + """
        $as_reportd reportd check -c /etc/reportd/reportd.conf /etc/reportd/reports >&2
        $as_reportd reportd user add alice --grant '*' -c /etc/reportd/reportd.conf <<<"$PASSWORD"
        serve
        login
        reportctl run Quick ProductID=1 | tail -n 1
        test -f /var/lib/reportd/reportd.db
        stop
        """)
    assert '"itemID":1,' in out.replace(" ", "")
    left = inside(system, f"""
        rm /srv/data.db /etc/reportd/reports/*  # its operator's
        dpkg --purge reportd reportd-client >&2
        ({SNAPSHOT}) >/root/after.list
        diff /root/before.list /root/after.list || :""")
    assert left == ""


def test_an_upgrade_goes_on_with_the_configuration_the_users_and_the_reports(system):
    out = inside(system, INSTALL + SERVE + CONFIGURE + """
        cp -a /root/before/server/. /var/lib/reportd/
        cd /var/lib/reportd && for file in store.db*; do mv "$file" "reportd.db${file#store.db}"; done
        chown -R reportd: /var/lib/reportd
        cp /etc/reportd/reportd.conf /root/edited.conf
        serve
        login
        reference=$(reportctl submit Quick ProductID=1)
        reportctl wait "$reference"
        reportctl get "$reference" >/root/result
        stop
        apt-get install -y $(ls /packages/*.deb | grep -v before) >&2
        cmp /etc/reportd/reportd.conf /root/edited.conf
        test "$(dpkg-query -W -f '${Version}' reportd)" = "$(reportd --version | cut -d ' ' -f 2)"
        serve
        login
        reportctl get "$reference" | cmp - /root/result
        reportctl delete "$reference" >&2
        ! reportctl status "$reference" >&2
        stop
        cat /root/result
        """)
    assert '"itemID":1,' in out.replace(" ", "")


def test_the_packages_are_built_with_what_make_deps_installs():
    control = (ROOT / "debian/control").read_text()
    wanted = set(re.search(r"Build-Depends:\n(.*?)\nStandards", control, re.S)[1].replace(",", " ").split())
    installed = set(re.search(r"^packages=\((.*?)\)", (ROOT / "tools/deps").read_text(), re.S | re.M)[1].split())
    assert {name for name in wanted if name.startswith("lib") or name == "zlib1g-dev"} == \
        {name for name in installed if name.startswith("lib") or name == "zlib1g-dev"}
    version = re.search(r'REPORTD_VERSION "(.*)"', (ROOT / "src/base/version.h").read_text())[1]
    assert (ROOT / "debian/changelog").read_text().startswith(f"reportd ({version}) ")
