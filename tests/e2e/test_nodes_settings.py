"""Nodes whose role, database or PostgreSQL has settings of its own: sessions have ours, or refuse to begin."""

import pytest

from conftest import ALICE
from harness import Server, refused
from test_nodes import at_once

LONG = "20000"  # rows of Big: many chunks
HOSTILE = {
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "statement_timeout": "1ms",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "1ms",
    "idle_session_timeout": "300ms",
    "search_path": "nowhere",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "row_security": "off",
    "synchronous_commit": "off",
    "client_encoding": "LATIN1",
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "Asia/Kathmandu",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "plan_cache_mode": "force_generic_plan",
}


@pytest.fixture
def hostile(postgres):
    """A database, of the same name as its role, which has these settings."""

    def make(name, settings, of="ROLE", **options):
        postgres.sql(f"CREATE ROLE {name} LOGIN PASSWORD '{postgres.password}'")
        postgres.sql(f"CREATE DATABASE {name} OWNER {name}")
        for key, value in settings.items():
            value = value if key == "search_path" else f"'{value}'"
            postgres.sql(f"ALTER {of} {name} SET {key} = {value}")
        return postgres.url(name, user=name, **options)

    return make


def life(cluster):
    """Every verb of a report and of a user, the first of them over all sessions at once."""
    clients = cluster.clients(ALICE)
    orders = [lambda client=client: client.order("Quick", ProductID="1") for client in clients * 3]
    references = [*at_once(orders), clients[0].order("Big", Rows=LONG)]
    for reference in references:
        assert clients[1].finish(reference).json()["data"] == "complete", clients[1].status(reference).text
    results = at_once([lambda client=client: client.result(references[-1]).content for client in clients])
    assert len(results[0]) > 1 << 19 and len(set(results)) == 1
    assert sorted(clients[0].references()) == sorted(references)
    endless = clients[0].order("Endless")
    clients[1].wait_for(endless, "processing")
    for reference in [*references, endless]:
        assert clients[1].delete(reference).json()["result"] is True
        refused(clients[0].status(reference), "no such report")


def user_verbs(node):
    node.add_user("dave")
    for verb, *words in (["list"], ["disable", "dave"], ["enable", "dave"]):
        node.user(verb, *words)
    assert node.client("dave").references() == []


@pytest.mark.parametrize("of", ["ROLE", "DATABASE"])
def test_sessions_have_our_settings_whatever_the_role_and_the_database_have(make_cluster, postgres, hostile, of):
    name = f"hostile_{of.lower()}"
    cluster = make_cluster(nodes=2, workers=2, store=hostile(name, HOSTILE, of), spool="postgresql")
    life(cluster)
    user_verbs(cluster.nodes[1])
    listening = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND query = 'LISTEN reportd'"
    ears = listening.replace("count(*)", "string_agg(pid::text, ' ' ORDER BY pid)")
    before = postgres.sql(ears)
    life(cluster)
    assert postgres.sql(listening) == ["2"] and postgres.sql(ears) == before, "a listener's session was ended"
    counts = "SELECT (SELECT count(*) FROM reportd.report), (SELECT count(*) FROM reportd.result_chunk)"
    assert postgres.sql("SET search_path = reportd; " + counts, name) == ["0|0"]


def test_options_of_the_url_hold_but_for_ours(make_cluster, hostile, tmp_path):
    url = hostile("optional", {}, options="-c work_mem=1234kB -c statement_timeout=1")
    life(make_cluster(nodes=2, store=url, spool="postgresql"))
    node = Server.made(tmp_path / "node", store=url.replace("1234kB", "much"), spool="postgresql")
    assert "work_mem" in node.run("serve").stderr


def test_a_role_whose_foreign_keys_do_not_work_is_refused(postgres, hostile, tmp_path):
    """Its results would stay when their reports are deleted."""
    url = hostile("careless", {"session_replication_role": "replica"})
    node = Server.made(tmp_path / "node", store=url, spool="postgresql")
    done = node.run("serve")
    assert done.returncode != 0 and "session_replication_role" in done.stderr
    postgres.sql("ALTER ROLE careless RESET session_replication_role")
    node.add_user(ALICE)


def test_a_role_that_may_not_ask_which_database_it_is_in_is_told_what_to_grant(postgres, hostile, tmp_path):
    url = hostile("uninformed", {})
    node = Server.made(tmp_path / "node", store=url, spool="postgresql")
    postgres.sql("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC", "uninformed")
    done = node.run("serve", "-c", "reportd.conf")
    grant = 'GRANT EXECUTE ON FUNCTION pg_control_system() TO "uninformed"'
    assert done.returncode == 1 and grant in done.stderr.replace('\\"', '"'), done.stderr
    postgres.sql(grant, "uninformed")
    node.add_user(ALICE)
