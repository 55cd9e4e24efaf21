"""Claims of an identity provider's token in definitions: doc/definitions.md § Who asks."""

import json

import pytest

from conftest import ALICE, SharedServers
from harness import Client, failed
from provider import Provider
from stores import STORES

everywhere = pytest.mark.stores(*STORES)
CLAIMS = "tenant level on Case"

SHOWN = """-- report: Shown
-- source: data
-- parameter: Word string
-- results
SELECT :session_claim_tenant AS "tenant", typeof(:session_claim_tenant) AS "type", :session_user AS "user", :Word AS "word"
"""
PLAIN = '-- report: Plain\n-- source: data\n-- results\nSELECT 1 AS "one"\n'
LEVEL = '-- report: Level\n-- source: data\n-- check: Not for you.\nSELECT 1 WHERE :session_claim_level > \'1\'\n' \
    '-- results\nSELECT :session_claim_level AS "tenant", :session_claim_on AS "on", :session_claim_Case AS "case"\n'
CHOSEN = '-- report: Chosen\n-- source: data\n-- parameter: Own string\n-- values: Own\nSELECT :session_claim_tenant || \'-1\'\n' \
    '-- results\nSELECT :Own AS "own"\n'
SLOW = '-- report: Slow\n-- source: data\n-- results\nSELECT :session_claim_tenant AS "tenant", ' \
    '(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n) AS "n"\n'
OWN = {"Shown", "Plain", "Level", "Chosen", "Slow"}
HOSTILE = ["'; DROP TABLE item; --", 'a"b', "a\\b", "line\nline", "\r\n\t\x01\x7f", "\u2028\u202e é 水 🙂", "{\"a\": 1}", ":Word", "$1", "%s%n", "x" * 4000]


@pytest.fixture(scope="module")
def corp(tmp_path_factory):
    return Provider(tmp_path_factory.mktemp("provider"))


def define(server):
    for name, text in (("Shown", SHOWN), ("Plain", PLAIN), ("Level", LEVEL), ("Chosen", CHOSEN), ("Slow", SLOW)):
        (server.reports / f"{name}.sql").write_text(text)
    server.run("group", "add", "-c", "reportd.conf", "corp:all", "--grant", "*")  # another node has added it


def prepare(server):
    server.add_user(ALICE)
    define(server)


@pytest.fixture(scope="module")
def module_servers(tmp_path_factory, shared_postgres, corp):
    servers = SharedServers(tmp_path_factory.mktemp("claims"), shared_postgres, prepare,
                            sections=corp.section(session_claims=CLAIMS), spool_encryption="on")
    yield servers
    servers.close()


def of(server, corp, subject="ann", **claims):
    return Client(server.url, corp.token(subject, groups=["all"], **claims))


def row(client, name="Shown", **parameters):
    reference = client.complete(name, **parameters)
    answer = client.result(reference).json()["data"]
    client.delete(reference)
    return answer["results"][0]


def types(client):
    return {one["name"] for one in client.get("/Report/Types").json()["data"]}


@everywhere
def test_a_claim_is_a_text_that_the_definition_gets(shared, corp):
    client = of(shared, corp, tenant="acme")
    expected = {"tenant": "acme", "type": "text", "user": "corp:ann", "word": "w"}
    assert row(client, Word="w") == expected
    assert row(client, Word="w") == expected  # the token is known by now
    assert row(of(shared, corp, tenant="other"), Word="w") == expected | {"tenant": "other"}


def test_what_is_in_a_claim_is_only_ever_a_value(shared, corp):
    for value in HOSTILE:
        assert row(of(shared, corp, tenant=value))["tenant"] == value


@pytest.mark.parametrize("value, text", [(42, "42"), (-(2**63), str(-(2**63))), (True, "true"), (False, "false")])
def test_an_integer_and_a_boolean_are_their_text(shared, corp, value, text):
    assert row(of(shared, corp, tenant=value))["tenant"] == text


@everywhere
@pytest.mark.parametrize("value", [None, "", 1.5, [], ["acme"], {}, {"a": "acme"}], ids=str)
def test_a_report_is_refused_to_a_session_without_its_claim(shared, corp, value):
    client = of(shared, corp, tenant=value)
    failed(client.submit("Shown"), 403, "'tenant'")
    assert types(client) & OWN == {"Plain"}
    assert row(client, "Plain") == {"one": 1}


@everywhere
def test_the_types_are_those_whose_claims_the_session_has(shared, corp):
    assert types(of(shared, corp, tenant="acme")) & OWN == {"Shown", "Plain", "Chosen", "Slow"}
    assert types(of(shared, corp, level=1, on=True, Case="x")) & OWN == {"Level", "Plain"}
    assert types(of(shared, corp, level=1)) & OWN == types(shared.client(ALICE)) & OWN == {"Plain"}


def test_a_claim_that_is_null_or_another_ones_is_none(shared, corp):
    payload = json.dumps(corp.claims("ann", groups=["all"]) | {"tenant": None, "Tenant": "acme", "session_claim_tenant": "acme"}).encode()
    failed(Client(shared.url, corp.odd(payload=payload)).submit("Shown"), 403, "'tenant'")


@everywhere
def test_local_users_and_api_keys_have_no_claims(shared, corp):
    of(shared, corp, tenant="acme").list()
    done = shared.run("key", "add", "-c", "reportd.conf", "ann", "--user", "corp:ann", "--expires", "1d")
    assert done.returncode == 0, done.stderr
    for client in (shared.client(ALICE), Client(shared.url, done.stdout.split()[-1])):
        failed(client.submit("Shown"), 403, "'tenant'")
        failed(client.get("/Report/Types", params={"values": "Chosen.Own"}), 403, "'tenant'")
        assert row(client, "Plain") == {"one": 1}
    shared.run("key", "remove", "-c", "reportd.conf", "ann")


def test_each_claim_is_bound_by_its_name(shared, corp):
    client = of(shared, corp, level=7, on=True, Case="x")
    assert row(client, "Level") == {"tenant": "7", "on": "true", "case": "x"}
    failed(client.submit("Shown"), 403, "'tenant'")
    low = of(shared, corp, level=1, on=True, Case="x")
    reference = low.order("Level")
    assert low.finish(reference).json()["message"] == "Not for you."
    low.delete(reference)


@everywhere
def test_claims_are_shown_nowhere(shared, corp):
    """And nothing of them is stored in the clear in PostgreSQL, nor logged."""
    secret = "tenant-of-nobody-else"
    client = of(shared, corp, "olga", tenant=secret)
    reference = client.order("Slow")
    client.wait_for(reference, "processing")
    operator = of(shared, corp, "op", tenant="x")
    shared.run("group", "add", "-c", "reportd.conf", "corp:operators", "--operator")
    operator = Client(shared.url, corp.token("op", groups=["operators"]))
    answers = [client.status(reference), client.list(), client.list(Reference=reference), client.get("/User/Me"), client.get("/User/Sessions"),
               operator.get("/Admin/Reports"), operator.get("/Admin/Overview"), client.get("/Report/Types")]
    for answer in answers:
        assert answer.status_code == 200 and secret not in answer.text, answer.url
    assert secret not in shared.log_text()
    if not shared.store.is_readable:
        assert shared.holding(secret.encode()) == set()
    client.delete(reference)


@everywhere
def test_nothing_is_left_of_the_claims_of_a_deleted_report(shared, corp):
    """They go with the parameters."""
    secret = b"tenant-of-the-deleted"
    client = of(shared, corp, tenant=secret.decode())
    reference = client.complete("Plain")
    client.delete(reference)
    assert secret not in (shared.folder / "store.db").read_bytes() if shared.store.is_readable else shared.holding(secret) == set()


@everywhere
def test_claims_wait_with_a_queued_report_for_the_next_start(make_server, corp, store_kind):
    server = make_server(sections=corp.section(session_claims=CLAIMS), workers=1)
    define(server)
    server.reload()
    slow, client = of(server, corp, "slow", tenant="slow"), of(server, corp, tenant="acme")
    busy = slow.order("Slow")
    slow.wait_for(busy, "processing")
    reference = client.order("Shown", Word="queued")
    assert client.state(reference) == "queued"
    if store_kind == "sqlite":
        server.kill()
    else:
        server.stop()  # of a node that was killed the report would wait for its lease to end
    server.start()
    slow, client = of(server, corp, "slow", tenant="slow"), of(server, corp, tenant="another by now")
    slow.delete(busy)
    client.finish(reference)
    assert client.result(reference).json()["data"]["results"][0] | {"tenant": "acme"} == {"tenant": "acme", "type": "text", "user": "corp:ann", "word": "queued"}


def test_another_node_runs_a_report_with_the_claims(make_cluster, corp):
    cluster = make_cluster(nodes=2, sections=corp.section(session_claims=CLAIMS))
    first, second = cluster.nodes
    for node in cluster.nodes:
        define(node)
        node.reload()
    slow, client = of(first, corp, "slow", tenant="slow"), of(first, corp, tenant="acme")
    busy = [slow.order("Slow") for _ in cluster.nodes]
    (there,) = [one for one in busy if cluster.node_of(one) is second]
    reference = client.order("Shown")
    slow.delete(there)  # the only worker that can run the next one
    client.finish(reference)
    assert client.result(reference).json()["data"]["results"][0]["tenant"] == "acme"
    for one in busy:
        slow.delete(one)
    client.delete(reference)


SETTINGS = """-- report: Settings
-- source: data
-- results
SELECT current_setting('reportd.claim_tenant', true) AS "setting", current_setting('reportd.claim_Case', true) AS "case"
"""


def test_postgresql_has_claims_as_settings_of_the_transaction(new_server, corp, postgres):
    server = new_server(source=postgres.url("postgres"), sections=corp.section(session_claims=CLAIMS), workers=1)
    for file in server.reports.iterdir():
        file.unlink()
    (server.reports / "Settings.sql").write_text(SETTINGS)
    (server.reports / "Bound.sql").write_text(SHOWN.replace("Shown", "Bound").replace("typeof", "pg_typeof"))
    server.start()
    server.run("group", "add", "-c", "reportd.conf", "corp:all", "--grant", "*")
    for value in HOSTILE:
        client = of(server, corp, tenant=value, Case="x")
        assert row(client, "Settings") == {"setting": value, "case": "x"}
        assert row(client, "Bound", Word="w") == {"tenant": value, "type": "text", "user": "corp:ann", "word": "w"}
    for client in (of(server, corp), server.client(ALICE)):  # on the same connection
        assert row(client, "Settings") in ({"setting": "", "case": ""}, {"setting": None, "case": None})
        failed(client.submit("Bound"), 403, "'tenant'")


@everywhere
def test_the_same_key_with_another_claim_is_another_request(shared, corp):
    headers = {"Idempotency-Key": "claims"}
    client = of(shared, corp, "ida", tenant="acme")
    first = client.submit("Shown", headers=headers).json()["data"]
    assert client.submit("Shown", headers=headers).json()["data"] == first
    failed(of(shared, corp, "ida", tenant="other").submit("Shown", headers=headers), 422)
    client.finish(first)
    client.delete(first)


def test_choices_are_those_of_the_claim(shared, corp):
    for tenant in ("acme", "other", "acme"):
        client = of(shared, corp, tenant=tenant)
        answer = client.get("/Report/Types", params={"values": "Chosen.Own"}).json()
        assert [choice["value"] for choice in answer["data"]] == [f"{tenant}-1"]
        assert row(client, "Chosen", Own=f"{tenant}-1") == {"own": f"{tenant}-1"}
        reference = client.order("Chosen", Own="third-1")
        assert "choices" in client.finish(reference).json()["message"]
        client.delete(reference)


def test_a_definition_that_begins_to_use_a_claim_fails_without_it(shared, corp):
    """Accepted before, and run after the definition was changed."""
    late = shared.reports / "Late.sql"
    late.write_text(PLAIN.replace("Plain", "Late"))
    shared.reload()
    slow = of(shared, corp, "slow", tenant="slow")
    busy = [slow.order("Slow") for _ in range(2)]
    for reference in busy:
        slow.wait_for(reference, "processing")
    alice = shared.client(ALICE)
    reference = alice.order("Late")
    late.write_text(SHOWN.replace("Shown", "Late"))
    shared.reload()
    for one in busy:
        slow.delete(one)
    assert "'tenant'" in alice.finish(reference).json()["message"]
    alice.delete(reference)
    late.unlink()
    shared.reload()


@pytest.mark.parametrize("claims, problem", [
    ("a-b", "a-b"), ("1a", "1a"), ("tenant Tenant", "Tenant"), ("x" * 49, "xxx"), (" ".join(f"c{i}" for i in range(17)), "at most 16"), ("é", "no name")])
def test_what_is_no_list_of_claims_is_refused_at_the_start(tmp_path, claims, problem):
    from harness import Server
    server = Server.made(tmp_path / "server", sections=Provider(tmp_path).section(session_claims=claims))
    done = server.run("serve", "--check", "-c", "reportd.conf")
    assert done.returncode == 1 and problem in done.stderr, done.stderr
