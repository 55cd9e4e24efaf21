"""Backups and restores as operators get them wrong, and on disks that are full: nothing is lost, and the words say what to do."""

import os
import shutil

import pytest

from harness import SPOOL_MARK
from test_backup import backup, check_order, lose_everything, restore, restored, tree
from test_transfers import small_disk

LARGE = {"Rows": "3000"}  # some 100 KB


def back_up(server, *words):
    return server.run("backup", "-c", "reportd.conf", *words)


@pytest.mark.parametrize("make", [lambda path: path.write_text("mine"), lambda path: path.symlink_to("empty"),
                                  lambda path: path.symlink_to("nowhere")], ids=["file", "link", "dangling"])
def test_a_target_that_is_no_folder_is_refused_at_once(make_server, make):
    server = make_server()
    server.client("alice").complete("Quick", ProductID="1")
    (server.folder / "empty").mkdir()
    make(server.folder / "target")
    before = tree(server.folder)
    done = back_up(server, "target")
    assert done.returncode == 1 and "name a folder that does not exist yet" in done.stderr, done.stderr
    assert tree(server.folder) == before


@pytest.mark.parametrize("room", [0, 150], ids=["none", "some"])
def test_a_backup_to_a_full_disk_leaves_nothing_there(make_server, tmp_path, room):
    server = make_server(row_results="0")
    client = server.client("alice")
    references = [client.complete("Big", **LARGE) for _ in range(4)]
    with small_disk(tmp_path / "disk", "2m") as disk:
        (disk / "mine").write_bytes(bytes(os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - room * 1024))
        done = back_up(server, disk / "backup")
        assert done.returncode == 1 and ("No space left" in done.stderr or "full" in done.stderr), done.stderr
        assert tree(disk) == ["mine"]
        (disk / "mine").unlink()
        backup(server, disk / "backup")
        lose_everything(server)
        restored(server, disk / "backup")
    assert sorted(server.start().client("alice").references()) == sorted(references)


@pytest.mark.parametrize("same", [False, True], ids=["another", "same"])
def test_a_restore_that_a_full_disk_stops_leaves_the_store_that_stands(make_server, tmp_path, same):
    with small_disk(tmp_path / "disk", "4m") as disk:
        server = make_server(row_results="0", store=disk / "store.db", spool=disk / "spool",
                             deletion_ledger=tmp_path / "ledger")
        source = server if same else make_server(row_results="0")
        client = source.client("alice")
        backed_up = [client.complete("Big", **LARGE) for _ in range(4)]
        shutil.move(backup(source), tmp_path / "backup")
        for reference in backed_up if same else []:
            client.delete(reference)
        kept = server.client("alice").complete("Nested")
        server.stop()
        source.stop() if source is not server else None
        mark = (disk / "spool" / SPOOL_MARK).read_text()
        (disk / "mine").write_bytes(bytes(os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - 250 * 1024))
        words = ["--force", tmp_path / "backup"]
        words += ["--resurrect"] if same else ["--ledger", source.folder / "deletions.ledger"]
        if same:
            words += ["--ledger", tmp_path / "none"]
        done = restore(server, *words)
        assert done.returncode == 1 and ("No space left" in done.stderr or "full" in done.stderr), done.stderr
        assert (disk / "spool" / SPOOL_MARK).read_text() == mark and not list(disk.glob("*.restore*"))
        (disk / "mine").unlink()
        client = server.start().client("alice")
        assert client.references() == [kept] and client.result(kept).status_code == 200
        server.stop()
        check_order(server)
        restored(server, *words)
        shutil.copy(source.folder / "deletions.ledger", tmp_path / "ledger") if not same else None
        assert server.run("fsck", "-c", "reportd.conf", "--new-ledger").returncode == 0
        assert sorted(server.start().client("alice").references()) == sorted(backed_up)
        server.stop()


@pytest.mark.parametrize("damage", [lambda data: b"x" * 4096, lambda data: data[:len(data) // 2]], ids=["other", "cut"])
def test_a_backup_whose_store_is_damaged_costs_nothing(make_server, damage):
    server = make_server()
    kept = server.client("alice").complete("Quick", ProductID="1")
    store = backup(server) / "store.db"
    server.stop()
    store.write_bytes(damage(store.read_bytes()))
    done = restore(server, "--force", "backup")
    assert done.returncode == 1 and "the store of the backup, 'backup/store.db', cannot be used" in done.stderr
    assert server.start().client("alice").references() == [kept]
