"""Two tenants and one definition, examples/tenants: nobody of one learns anything of the other."""

import io
import json
import shutil
import subprocess
import uuid

import openpyxl
import pytest
import requests

from conftest import SharedServers
from events import Events
from harness import PATIENCE, ROOT, Client, Server, failed, poll
from provider import Provider
from stores import STORES, store_of

pytestmark = pytest.mark.stores(*STORES)
EXAMPLE = ROOT / "examples/tenants"
ENGINE_OF = {"sqlite": "sqlite", "postgres-files": "postgres", "postgres-rows": "sqlite"}
TOTALS = {"acme": [(1, "Rocket Skates Ltd", 1299.0), (2, "Anvil & Sons", 80.5), (3, "Rocket Skates Ltd", 49.99)],
          "globex": [(1, "Cypress Creek Power", 75000.0), (2, "Hammock Hut", 123.45)]}
CUSTOMERS = {tenant: {customer for _, customer, _ in rows} for tenant, rows in TOTALS.items()}
FORMS = ("json", "ndjson", "csv", "xlsx")
# A definition that forgets the tenant: for row-level security.
LEAKY = '-- report: Leaky\n-- source: billing\n-- results\nSELECT tenant AS "tenant", number AS "number" FROM invoice ORDER BY 1, 2\n'


class Tenants(Server):
    """The example copied, as its README says, with its source on one of the engines."""

    def __init__(self, folder, make_store, postgres, engine):
        shutil.copytree(EXAMPLE, folder)
        super().__init__(folder, make_store)
        self.reports.chmod(0o755)  # whatever the umask of the checkout
        self.environment |= {"REPORTD_LISTEN": "127.0.0.1:0", "REPORTD_WORKER_MEMORY": "0"}
        self.environment |= {f"REPORTD_{key.upper()}": str(value) for key, value in self.store.config.items()}
        self.engine, self.database = engine, None
        config, tables = (folder / "reportd.conf").read_text(), (folder / "billing.sql").read_text()
        if engine == "sqlite":
            subprocess.run(["sqlite3", folder / "billing.db"], input=tables, text=True, check=True)
        else:
            role = f"billing_reader_{uuid.uuid4().hex}"
            self.database = postgres.create_database("billing")
            tables += "INSERT INTO invoice VALUES ('', 1, 'Nobody', 1);\n"  # no claim is no claim to this one
            postgres.sql(tables + (folder / "postgresql.sql").read_text().replace("billing_reader", role), self.database)
            config = config.replace("sqlite:billing.db", postgres.url(self.database, role))
            (self.reports / "Leaky.sql").write_text(LEAKY)
        (folder / "reportd.conf").write_text(config)
        (folder / "reportd.conf").chmod(0o600)
        self.provider = Provider(folder, "login")

    def run(self, *words, stdin="", environment=None):
        return super().run(*words, stdin=stdin, environment=self.environment | (environment or {}))

    def of(self, tenant, subject=None, **claims):
        return Client(self.url, self.provider.token(subject or f"user of {tenant}", groups=["customers"], tenant=tenant, **claims))


class TenantServers(SharedServers):
    def make(self, kind):
        return Tenants(self.folder / kind, store_of(kind, self.postgres), self.postgres() if ENGINE_OF[kind] == "postgres" else None, ENGINE_OF[kind])


def add_group(server):
    done = server.run("group", "add", "-c", "reportd.conf", "login:customers", "--grant", "*")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def module_tenants(tmp_path_factory, shared_postgres):
    servers = TenantServers(tmp_path_factory.mktemp("tenants"), shared_postgres, add_group)
    yield servers
    servers.close()


@pytest.fixture
def tenants(module_tenants, store_kind):
    return module_tenants[store_kind]


@pytest.fixture
def both(tenants):
    """A client of each tenant; what they leave goes."""
    clients = {tenant: tenants.of(tenant) for tenant in TOTALS}
    yield clients
    for client in clients.values():
        client.delete_all()


def rows_of(form, answer):
    if form == "json":
        return [tuple(row.values()) for row in answer.json()["data"]["results"]]
    if form == "ndjson":
        return [tuple(json.loads(line).values()) for line in answer.text.splitlines()]
    if form == "csv":
        lines = [line.split(",") for line in answer.text.splitlines()[1:]]
        return [(int(number), customer, float(total)) for number, customer, total in lines]
    sheet = openpyxl.load_workbook(io.BytesIO(answer.content))["results"]
    return [tuple(row) for row in sheet.iter_rows(min_row=2, values_only=True)]


def strangers_of(tenant):
    return [customer.encode() for other, customers in CUSTOMERS.items() if other != tenant for customer in customers]


def assert_own(tenant, answer):
    assert answer.status_code == 200
    assert not any(customer in answer.content for customer in strangers_of(tenant)), answer.url


def test_each_tenant_sees_its_own_rows_in_every_form(both):
    references = {tenant: client.order("Invoices") for tenant, client in both.items()}  # at the same time
    for tenant, client in both.items():
        assert client.finish(references[tenant]).json()["data"] == "complete"
        for form in FORMS:
            answer = client.get("/Report", params={"reference": references[tenant], "format": form})
            assert rows_of(form, answer) == TOTALS[tenant]
            assert_own(tenant, answer)
            url = client.call("POST", "/Report/Link", json={"reference": references[tenant], "format": form}).json()["data"]["url"]
            assert rows_of(form, requests.get(client.url + url, timeout=PATIENCE)) == TOTALS[tenant]
        window = client.get("/Report/Rows", params={"reference": references[tenant], "from": 0, "count": 1000})
        assert [tuple(row.values()) for row in window.json()["data"]["rows"]] == TOTALS[tenant] and window.json()["data"]["totalRows"] == len(TOTALS[tenant])
        summary = client.result(references[tenant]).json()["data"]["summary"]
        assert summary == {"invoices": len(TOTALS[tenant]), "total": round(sum(row[2] for row in TOTALS[tenant]), 2)}
        assert client.references() == [references[tenant]]


def test_the_choices_of_a_form_are_the_tenants_own(both):
    for _ in range(2):  # they are cached
        for tenant, client in both.items():
            answer = client.get("/Report/Types", params={"values": "Invoices.Customer"})
            assert {choice["value"] for choice in answer.json()["data"]} == CUSTOMERS[tenant]


def test_a_customer_of_the_other_tenant_is_as_unknown_as_one_of_nobody(both):
    client, messages = both["acme"], set()
    for customer in ("Cypress Creek Power", "Nobody At All Powers"):
        reference = client.order("Invoices", Customer=customer)
        answer = client.finish(reference)
        assert answer.json()["data"] == "error"
        messages.add(answer.json()["message"].replace(customer, "X"))
        client.delete(reference)
    assert len(messages) == 1, messages


REQUESTS = [
    ("GET", "/Report/Status", {}, {}, None), ("GET", "/Report/Status", {}, {"Prefer": "wait=1"}, None), ("GET", "/Report/Status", {}, {"If-None-Match": "ETAG"}, None),
    ("GET", "/Report/Status", {}, {"Accept": "application/problem+json"}, None),
    *[("GET", "/Report", {"format": form}, {}, None) for form in FORMS], ("HEAD", "/Report", {}, {}, None), ("GET", "/Report", {}, {"Range": "bytes=0-9"}, None),
    ("GET", "/Report", {}, {"If-None-Match": "ETAG"}, None), ("GET", "/Report", {}, {"If-Match": "ETAG"}, None), ("GET", "/Report", {}, {"If-Match": "*"}, None),
    ("GET", "/Report/Rows", {"from": "0", "count": "10"}, {}, None), ("GET", "/Report/List", {}, {}, None),
    ("POST", "/Report/Link", {}, {}, "json"), ("POST", "/Report/Link", {}, {}, "csv"),
    ("DELETE", "/Report", {}, {"If-Match": "ETAG"}, None), ("DELETE", "/Report", {}, {"If-Match": '"other"'}, None), ("DELETE", "/Report", {}, {}, None),
    ("GET", "/Admin/Reports", {}, {}, None), ("DELETE", "/Admin/Report", {}, {}, None),
]


def said(client, reference, etag, request):
    """All of an answer, except what differs between any two."""
    method, path, query, headers, form = request
    headers = {"X-Request-Id": "same"} | {name: etag if value == "ETAG" else value for name, value in headers.items()}
    if form:
        answer = client.call(method, path, headers, json={"reference": reference, "format": form})
    else:
        answer = client.call(method, path, headers, params={"reference": reference, **query})
    told = {name: value for name, value in answer.headers.items() if name != "Date"}
    return answer.status_code, told, answer.content.replace(reference.encode(), b"REFERENCE")


def test_a_reference_of_the_other_tenant_is_answered_byte_for_byte_as_an_unknown_one(both):
    reference = both["globex"].complete("Invoices")
    result = both["globex"].result(reference)
    for request in REQUESTS:
        foreign, unknown = [said(both["acme"], one, result.headers["ETag"], request) for one in (reference, str(uuid.uuid4()))]
        assert foreign == unknown, request
        assert "X-Deletion-Receipt" not in foreign[1]
    assert both["globex"].result(reference).content == result.content


def test_a_stolen_link_of_a_dead_report_and_an_invented_one_are_the_same(both):
    client = both["globex"]
    reference = client.complete("Invoices")
    url = client.call("POST", "/Report/Link", json={"reference": reference}).json()["data"]["url"]
    client.delete(reference)
    dead, invented = [requests.get(client.url + one, timeout=PATIENCE) for one in (url, url[:-9] + "AAAAAAAAA")]
    assert dead.status_code == 404 and dead.content == invented.content


def test_events_and_lists_tell_nothing_of_the_other_tenant(both):
    with Events(both["acme"]) as stream:
        foreign = both["globex"].complete("Invoices")
        own = both["acme"].complete("Invoices")
        both["globex"].delete(foreign)
        both["acme"].delete(own)
        poll(lambda: any(event["state"] == "deleted" for event in stream.of(own)), what="the end of the own report")
        assert stream.of(foreign) == []
        assert {event["reference"] for event in stream.seen} == {own}
    foreign = both["globex"].complete("Invoices")
    for query in ({}, {"State": "complete"}, {"ReportName": "Invoices"}, {"PageNumber": 2}):
        listed = both["acme"].list(**query).json()["data"]
        assert listed["totalCount"] == 0 and listed["reports"] == []
    assert both["acme"].get("/User/Me").json()["data"]["active"] == []
    answer = both["acme"].call("DELETE", "/Report/List", params={"ReportName": "Invoices"}).json()["data"]
    assert set(answer["deleted"].values()) <= {0} and answer["remaining"] == 0
    assert both["globex"].references() == [foreign]


def test_equal_requests_of_two_tenants_share_nothing(both):
    """The same key, body and parameters."""
    headers = {"Idempotency-Key": "one for all"}
    answers = {tenant: client.submit("Invoices", headers=headers) for tenant, client in both.items()}
    assert len({answer.json()["data"] for answer in answers.values()}) == 2
    for tenant, client in both.items():
        assert "Idempotent-Replayed" not in answers[tenant].headers
        reference = answers[tenant].json()["data"]
        client.finish(reference)
        assert rows_of("json", client.result(reference)) == TOTALS[tenant]


def test_a_user_who_changes_tenants_gets_the_rows_of_the_token_of_each_request(tenants):
    for tenant in ("acme", "globex", "acme"):
        client = tenants.of(tenant, "mover")
        reference = client.complete("Invoices")
        assert rows_of("json", client.result(reference)) == TOTALS[tenant]
    client.delete_all()


def test_without_a_tenant_there_is_nothing(tenants):
    client = tenants.of(None, "nobody")
    failed(client.submit("Invoices"), 403, "'tenant'")
    failed(client.get("/Report/Types", params={"values": "Invoices.Customer"}), 403, "'tenant'")
    stranger = tenants.of("ACME", "stranger")
    reference = stranger.order("Invoices")
    assert "There is no customer" in stranger.finish(reference).json()["message"]
    stranger.delete(reference)


@pytest.mark.stores("postgres-files")
def test_row_level_security_hides_what_a_definition_forgets_to(tenants, both):
    for tenant, client in both.items():
        reference = client.complete("Leaky")
        assert rows_of("json", client.result(reference)) == [(tenant, row[0]) for row in TOTALS[tenant]]
    client = tenants.of(None, "nobody")  # on the same connection
    reference = client.complete("Leaky")
    assert rows_of("json", client.result(reference)) == []
    client.delete(reference)


@pytest.mark.stores("sqlite")
def test_what_the_readme_types_works(tenants):
    done = tenants.run("check", "--strict", "-c", "reportd.conf", "reports")
    assert done.returncode == 0, done.stdout + done.stderr
    for tenant, rows in TOTALS.items():
        done = tenants.run("try", "-c", "reportd.conf", "--claim", f"tenant={tenant}", "Invoices")
        assert [tuple(row.values()) for row in json.loads(done.stdout)["data"]["results"]] == rows
    done = tenants.run("try", "-c", "reportd.conf", "Invoices")
    assert done.returncode == 1 and "'tenant'" in done.stderr
    for wrong in ("tenant", "tenant=", "=acme", "a-b=c"):
        done = tenants.run("try", "-c", "reportd.conf", "--claim", wrong, "Invoices")
        assert done.returncode == 2 and "write NAME=VALUE" in done.stderr
