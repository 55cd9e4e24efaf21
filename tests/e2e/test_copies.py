"""A copy of a store beside the original: it knows that it is one, and touches nothing of the original's. doc/backup.md."""

import contextlib
import shutil

import pytest

from conftest import ALICE, close
from harness import SPOOL_MARK, Server, refused
from stores import SHARED_STORES
from test_backup_postgres import Dump, ledgers, restore

KEYS = ("erase.key", "receipt.key")


def fsck(server, *words):
    return server.run("fsck", "-c", "reportd.conf", *words)


def start_refused(server, *words):
    done = server.run("serve", "-c", "reportd.conf")
    assert done.returncode == 1 and all(word in done.stderr for word in words), done.stderr


@contextlib.contextmanager
def copied(original, folder, **config):
    """A server on a copy of the store of one that is stopped, with the keys of that."""
    copy = Server.made(folder, **config)
    for name in KEYS:
        if (original.folder / name).exists():
            shutil.copy(original.folder / name, folder)
    try:
        yield copy
    finally:
        close(copy)


def copy_database(postgres, database):
    postgres.sql(f'CREATE DATABASE "{database}-copy" TEMPLATE "{database}"')
    return f"{database}-copy"


def give_a_spool_of_its_own(original, copy):
    shutil.copytree(original.spool, copy.spool, ignore=shutil.ignore_patterns(SPOOL_MARK))


@pytest.fixture
def originals(make_server):
    """A server, stopped, with a report that stays, and with one that was deleted."""
    server = make_server()
    client = server.client(ALICE)
    kept = client.complete("Nested")
    client.delete(client.complete("Quick", ProductID="1"))
    content = client.result(kept).content
    assert server.stop() == 0
    return server, client, kept, content


@pytest.mark.stores(*SHARED_STORES)
def test_a_copy_of_a_database_gets_an_id_of_its_own_and_touches_nothing_of_the_originals(originals, tmp_path):
    original, client, kept, content = originals
    postgres, rows = original.store.postgres, original.store.in_rows
    database = copy_database(postgres, original.store.database)
    client.url = original.start().url
    later = client.complete("Quick", ProductID="1")  # of which the copy does not know
    config = {"store": postgres.url(database), "spool": "postgresql" if rows else "spool"}
    with copied(original, tmp_path / "copy", **config | ({} if rows else {"spool": original.spool})) as copy:
        start_refused(copy, "is a copy", "restore --ledger", "--new-identity")
        for words in (["--repair"], ["--new-ledger"]):
            done = fsck(copy, *words)
            assert done.returncode == 1 and "--new-identity" in done.stderr, done.stderr
        done = fsck(copy, "--new-identity")
        assert done.returncode == 0, done.stderr
        if not rows:
            start_refused(copy, "of another store")
            give_a_spool_of_its_own(original, copy)
            (copy.spool / f"{later}.1.json").unlink(missing_ok=True)
        copy.configure(**config, deletion_ledger=original.folder / "deletions.ledger")
        start_refused(copy, "in use by another process")
        copy.configure(**config)
        other = copy.start().client(ALICE)
        assert other.references() == [kept] and other.result(kept).content == content
        assert other.delete(kept).json()["result"] is True
        assert copy.stop() == 0
        assert copy.start()
    assert client.list().status_code == 200
    assert sorted(client.references()) == sorted([kept, later]) and client.result(kept).content == content
    assert original.stop() == 0
    assert original.start()
    postgres.drop_database(database)


@pytest.mark.stores("postgres-rows")
def test_nobody_is_logged_in_to_a_copy_and_the_ledger_of_the_original_is_not_its_own(originals, tmp_path):
    original, client, _, _ = originals
    database = copy_database(original.store.postgres, original.store.database)
    with copied(original, tmp_path / "copy", store=original.store.postgres.url(database), spool="postgresql",
                deletion_ledger=original.folder / "deletions.ledger") as copy:
        assert fsck(copy, "--new-identity").returncode == 0
        start_refused(copy, "of another store")
        copy.configure(store=original.store.postgres.url(database), spool="postgresql")
        client.url = copy.start().url
        assert client.call("POST", "/User/RefreshToken", json={"refreshToken": client.refresh_token}).status_code == 401
    original.store.postgres.drop_database(database)
    assert original.start()


def test_a_copy_of_the_files_gets_an_id_of_its_own(originals, tmp_path):
    original, _, kept, content = originals
    with copied(original, tmp_path / "copy") as copy:
        shutil.copy(original.folder / "store.db", copy.folder)
        give_a_spool_of_its_own(original, copy)
        assert fsck(copy, "--new-identity").returncode == 0
        other = copy.start().client(ALICE)
        assert other.result(kept).content == content
        assert (copy.spool / SPOOL_MARK).read_text() != (original.spool / SPOOL_MARK).read_text()
        assert other.delete(kept).json()["result"] is True
    assert original.start().client(ALICE).result(kept).content == content


def test_beside_a_server_a_store_keeps_its_id(make_server, make_cluster):
    assert "stop it first" in fsck(make_server(), "--new-identity").stderr
    assert "nodes use this store" in fsck(make_cluster(nodes=1).nodes[0], "--new-identity").stderr


@pytest.mark.parametrize("words", [["--repair"], ["--json"], ["--new-ledger"]])
def test_a_new_id_goes_alone(make_server, words):
    assert fsck(make_server(), "--new-identity", *words).returncode == 2


def test_a_dump_that_was_restored_is_not_served_before_the_ledgers_are_applied(make_cluster, tmp_path):
    cluster = make_cluster(nodes=1, spool="postgresql")
    (node,), (client,) = cluster.nodes, cluster.clients(ALICE)
    kept, gone = (client.complete("Quick", ProductID="1") for _ in range(2))
    dump = Dump(cluster, tmp_path)
    dump.make()
    client.delete(gone)
    assert node.stop() == 0
    dump.bring_back()
    cluster.sql("DELETE FROM node")  # its lease
    start_refused(node, "restore --ledger")
    done = restore(cluster, *ledgers(cluster))
    assert done.returncode == 0 and done.stdout.startswith("1 deletion applied again"), done.stderr
    client = node.start().client(ALICE)
    assert client.references() == [kept]
    refused(client.status(gone), "Unknown reference")


def test_a_database_from_before_it_said_where_it_is_says_so_from_the_next_start_on(make_cluster):
    cluster = make_cluster(nodes=1)
    (node,) = cluster.nodes
    assert node.stop() == 0
    cluster.sql("UPDATE identity SET home = NULL")
    node.start()
    assert cluster.sql("SELECT count(home) FROM identity") == ["1"]
