"""Small file systems of the tests' own, which vanish with the tests: in a mount namespace of this process."""

import ctypes
import os
import subprocess
from pathlib import Path

from harness import poll

CLONE_NEWNS = 0x00020000
MiB = 1 << 20


def own_mounts():
    """From now on what this process mounts is seen by its children only, and gone with them."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


class Disk:
    """A small file system, mounted at a folder."""

    def __init__(self, folder, kind="tmpfs", size=6 * MiB, options=""):
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)
        if kind == "tmpfs":
            self.mount("-t", "tmpfs", "-o", f"size={size},mode=700{options}", "tmpfs")
        else:
            image = self.folder.parent / f"{self.folder.name}.image"
            with open(image, "wb") as file:
                file.truncate(size)
            subprocess.run([f"mkfs.{kind}", "-q", "-F", "-m", "0", "-b", "4096", image], check=True)
            self.mount("-o", f"loop{options}", image)
            image.unlink()

    def mount(self, *words):
        subprocess.run(["mount", *map(str, words), str(self.folder)], check=True)

    def make_read_only(self):
        """Once no file is open for writing there."""
        poll(lambda: subprocess.run(["mount", "-o", "remount,ro", self.folder], check=False).returncode == 0, what="a read-only disk")

    def unmount(self):
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def free(self):
        """In bytes."""
        known = os.statvfs(self.folder)
        return known.f_bavail * known.f_frsize

    def fill(self, leave=0):
        """As another program would; room() undoes it."""
        with open(self.folder / "filler", "ab", buffering=0) as filler:
            for step in (64 * 1024, 4096):
                try:
                    while filler.write(bytes(step)) == step:
                        pass
                except OSError:
                    pass
            if leave:
                filler.truncate(max(0, filler.tell() - leave))
            os.fsync(filler.fileno())

    def fill_inodes(self):
        try:
            for number in range(100000):
                (self.folder / f"empty{number}").touch(exist_ok=False)
        except OSError:
            pass

    def room(self):
        for path in (self.folder / "filler", *self.folder.glob("empty*")):
            path.unlink(missing_ok=True)
