"""Backups of a store in PostgreSQL, made with its own tools, and `reportd restore --ledger`: doc/backup.md."""

import os
import shutil
import subprocess

import pytest

from conftest import ALICE
from harness import poll, refused
from postgres import program
from stores import UNDO_POSTGRES_14

SPOOLS = {"folder": {}, "database": {"spool": "postgresql"}}

def pg(name, *words, env=None):
    done = subprocess.run([program(name), *map(str, words)], capture_output=True, text=True,
                          env={**os.environ, **(env or {})})
    assert done.returncode == 0, done.stderr
    return done

class Dump:
    """pg_dump, into another database."""

    def __init__(self, cluster, folder):
        self.cluster, self.file = cluster, folder / "dump"

    def make(self):
        pg("pg_dump", "-Fc", "-f", self.file, "-d", self.cluster.postgres.url(self.cluster.database))

    def bring_back(self):
        postgres, database = self.cluster.postgres, self.cluster.database
        postgres.sql(f'DROP DATABASE "{database}" WITH (FORCE)')
        postgres.create_database(database)
        pg("pg_restore", "-d", postgres.url(database), self.file)

class BaseBackup:
    """pg_basebackup, in the place of the data folder."""

    def __init__(self, cluster, folder):
        self.cluster, self.copy = cluster, folder / "base"

    def make(self):
        pg("pg_basebackup", "-D", self.copy, "-c", "fast", "-d", self.cluster.postgres.url())

    def bring_back(self):
        postgres = self.cluster.postgres
        data = postgres.folder / "data"
        owner = data.stat()
        postgres.stop("SIGQUIT")
        shutil.rmtree(data)
        shutil.copytree(self.copy, data, symlinks=True)
        data.chmod(0o700)
        for path in [data, *data.rglob("*")]:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
        postgres.start()

def restore(cluster, *ledgers):
    words = [word for ledger in ledgers for word in ("--ledger", ledger)]
    return cluster.nodes[0].run("restore", "-c", "reportd.conf", *words)

def ledgers(cluster):
    return [node.folder / "deletions.ledger" for node in cluster.nodes]

@pytest.fixture(params=[Dump, BaseBackup], ids=["dump", "base-backup"])
def method(request, tmp_path):
    return lambda cluster: request.param(cluster, tmp_path)

@pytest.mark.parametrize("spool", SPOOLS)
def test_what_was_deleted_since_the_backup_stays_deleted(make_cluster, own_postgres, method, tmp_path, spool):
    cluster = make_cluster(nodes=2, server=own_postgres, **SPOOLS[spool])
    first, second = cluster.clients(ALICE)
    kept, gone, gone_too = (first.complete("Nested") for _ in range(3))
    error = first.order("Quick", ProductID="99")
    first.finish(error)
    content = first.result(kept).content
    backup = method(cluster)
    backup.make()
    keys = {key: key.read_bytes() for node in cluster.nodes for key in node.folder.glob("erase.key")}
    if spool == "folder":  # the results after the database: what that knows as complete is there
        shutil.copytree(cluster.folder / "spool", tmp_path / "spool-copy")
    late = first.complete("Quick", ProductID="1")
    assert first.delete(gone).json()["result"] and second.delete(gone_too).json()["result"]
    assert second.delete(error).json()["result"]
    for node in cluster.nodes:
        node.kill()
    backup.bring_back()
    if spool == "folder":
        shutil.rmtree(cluster.folder / "spool")
        (tmp_path / "spool-copy").rename(cluster.folder / "spool")
    for path, key in keys.items():
        path.write_bytes(key)

    done = poll(lambda: "runs out in" not in (done := restore(cluster, *ledgers(cluster))).stderr and done,
                what="the end of the leases in the backup")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "3 deletions applied again, 1 session ended\n"
    assert restore(cluster, *ledgers(cluster)).stdout == "0 deletions applied again, 0 sessions ended\n"
    if spool == "folder":
        assert [path.name for path in (cluster.folder / "spool").glob("*.json")] == [f"{kept}.1.json"]
    else:
        assert cluster.sql("SELECT DISTINCT report_id FROM result_chunk") == [kept]

    for node, client in zip(cluster.nodes, (first, second)):
        client.url = node.start().url
        assert client.list().status_code == 401  # the session is dead
        client.login(ALICE)
        assert client.references() == [kept]
        assert client.result(kept).content == content
        for reference in (gone, gone_too, error, late):
            refused(client.status(reference), "Unknown reference")
    done = cluster.nodes[0].run("fsck", "-c", "reportd.conf")
    assert done.returncode == 0, done.stdout

def test_ledgers_are_not_applied_while_a_node_lives(make_cluster):
    cluster = make_cluster(nodes=1)
    (client,) = cluster.clients(ALICE)
    reference = client.complete("Quick", ProductID="1")
    (cluster.nodes[0].folder / "empty").write_bytes((ledgers(cluster)[0]).read_bytes())
    done = restore(cluster, "empty")
    assert done.returncode == 1 and "1 nodes use this store" in done.stderr, done.stderr
    assert client.state(reference) == "complete"  # the session lives, too

def test_a_folder_is_not_restored_into_postgresql(make_cluster):
    cluster = make_cluster(nodes=1)
    cluster.nodes[0].stop()
    for verb in ("backup", "restore"):
        done = cluster.nodes[0].run(verb, "-c", "reportd.conf", "folder")
        assert done.returncode == 1 and "PostgreSQL" in done.stderr, done.stderr
    assert not (cluster.nodes[0].folder / "folder").exists()

@pytest.mark.parametrize("spool", SPOOLS)
def test_a_database_from_before_stores_had_an_id_gets_it_from_the_ledgers(make_cluster, spool):
    cluster = make_cluster(nodes=2, **SPOOLS[spool])
    for client in cluster.clients(ALICE):
        client.delete(client.complete("Quick", ProductID="1"))
    for node in cluster.nodes:
        node.stop()
    cluster.sql(UNDO_POSTGRES_14 +
                "DROP TABLE identity; DROP TABLE ledger; DROP TABLE login_address; ALTER TABLE report DROP COLUMN footer;"
                "ALTER TABLE used_refresh DROP COLUMN access, DROP COLUMN used_ms;"
                "DELETE FROM schema_version; INSERT INTO schema_version VALUES (6)")
    assert restore(cluster, *ledgers(cluster)).returncode == 0
    for node in cluster.nodes:
        node.start()


def test_a_missing_ledger_is_told(make_cluster):
    cluster = make_cluster(nodes=1)
    cluster.nodes[0].stop()
    done = restore(cluster, ledgers(cluster)[0], "missing")
    assert done.returncode == 1 and "missing" in done.stderr


def test_a_ledger_that_is_not_given_is_missed(make_cluster):
    cluster = make_cluster(nodes=2)
    for client in cluster.clients(ALICE):
        client.delete(client.complete("Quick", ProductID="1"))
    for node in cluster.nodes:
        node.stop()
    for given in ledgers(cluster):
        done = restore(cluster, given)
        assert done.returncode == 1 and "is not among those at hand" in done.stderr, done.stderr
    first, second = ledgers(cluster)
    whole = second.read_bytes()
    second.write_bytes(whole[:-32])
    done = restore(cluster, first, second)
    assert done.returncode == 1 and "has lost its end" in done.stderr, done.stderr
    second.write_bytes(whole)
    assert restore(cluster, first, second).returncode == 0
    done = cluster.nodes[0].run("restore", "-c", "reportd.conf", "--resurrect", "--ledger", first)
    assert done.returncode == 0 and "is not among those at hand" in done.stderr, done.stderr
