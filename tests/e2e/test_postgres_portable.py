"""The same definitions on SQLite and PostgreSQL: byte for byte the same results and summaries."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import REPORTD, ROOT, Server

DATA = ROOT / "../shared/data"
CHINOOK_SQLITE = Path(os.environ.get("CHINOOK_SQLITE", DATA / "Chinook_Sqlite.sqlite"))
CHINOOK_POSTGRES = Path(os.environ.get("CHINOOK_POSTGRES", DATA / "Chinook_PostgreSql.sql"))
GENERATED_WITHIN = 120  # seconds; under ASan on a busy machine


class Pair:
    """Two servers with the same definitions, one on each engine."""

    def __init__(self, folder, source, url):
        """`folder` has what the SQLite one needs; the other one gets a copy with another URL."""
        twin = folder.parent / (folder.name + "-postgres")
        shutil.copytree(folder, twin, ignore=shutil.ignore_patterns("*.db", "*.sqlite"))
        conf = (folder / "reportd.conf").read_text()
        assert source in conf
        (twin / "reportd.conf").write_text(conf.replace(source, url))
        self.servers = [Server.of_folder(folder), Server.of_folder(twin)]
        for server in self.servers:
            server.add_user("alice")
            server.start()

    def close(self):
        for server in self.servers:
            assert server.stop() == 0
            server.check_log()

    def same(self, name, parameters):
        """The text of results and summary, which must be the same on both."""
        texts = []
        for server in self.servers:
            client = server.client("alice")
            reference = client.complete(name, **parameters)
            text = client.result(reference).text
            texts.append(text[text.index('"results":'):])
            client.delete(reference)
        assert texts[0] == texts[1]
        return texts[0]


@pytest.fixture(scope="module")
def registry(postgres, tmp_path_factory):
    folder = tmp_path_factory.mktemp("registry") / "demo"
    subprocess.run([REPORTD, "demo", folder, "--entities", "300", "--seed", "7"], check=True, capture_output=True,
                   timeout=GENERATED_WITHIN)
    url = postgres.url(postgres.create_database("registry"))
    subprocess.run([ROOT / "tools/registry-to-postgres", folder, url], check=True, capture_output=True,
                   timeout=GENERATED_WITHIN)
    pair = Pair(folder, "sqlite:registry.db", url)
    yield pair
    pair.close()


@pytest.mark.parametrize("name, parameters", [
    ("EntityBalanceReport", {}),
    ("EntityBalanceReport", {"FromDate": "2025-06-01", "ToDate": "2025-06-30", "IncludeClosingBalances": "true"}),
    ("EntityBalanceReport", {"ToDate": "2024-01-31"}),
    ("TransactionSummary", {}),
    ("TransactionSummary", {"FromDate": "2024-02-01", "ToDate": "2024-03-31", "Status": "Updated"}),
    ("TransactionSummary", {"TransactionType": "Redemption"}),
    ("TransactionSummary", {"EntityID": "10001"}),
    ("TransactionSummary", {"AccountID": "500001"}),
    ("DistributionReconciliation", {}),
    ("DistributionReconciliation", {"InvestmentID": "1232", "FromDate": "2024-01-01"}),
])
def test_the_registry_reports_the_same_on_both(registry, name, parameters):
    assert '"results":[{' in registry.same(name, {"ProductID": "123", **parameters})


@pytest.mark.parametrize("name", ["EntityBalanceReport", "TransactionSummary", "DistributionReconciliation"])
def test_empty_reports_of_the_registry_are_the_same_too(registry, name):
    assert '"results":[],' in registry.same(name, {"ProductID": "125", "ToDate": "2023-07-02"})


@pytest.fixture(scope="module")
def chinook(postgres, tmp_path_factory):
    for path in (CHINOOK_SQLITE, CHINOOK_POSTGRES):
        if not path.is_file():
            pytest.skip(f"there is no {path.name}; name one in CHINOOK_SQLITE, CHINOOK_POSTGRES")
    folder = tmp_path_factory.mktemp("music") / "copy"
    shutil.copytree(ROOT / "examples/chinook", folder)
    (folder / "reports").chmod(0o755)  # whatever the umask of the checkout
    shutil.copy(CHINOOK_SQLITE, folder / "Chinook_Sqlite.sqlite")
    postgres.sql(CHINOOK_POSTGRES.read_text())
    # Its N'…' are character(n), which loses blanks at the end: one city has some.
    postgres.sql("UPDATE customer SET city = 'Edinburgh ' WHERE city = 'Edinburgh'", "chinook")
    postgres.sql((folder / "postgresql.sql").read_text(), "chinook")
    pair = Pair(folder, "sqlite:Chinook_Sqlite.sqlite", postgres.url("chinook", options="-csearch_path=chinook"))
    yield pair
    pair.close()


@pytest.mark.parametrize("name, parameters", [
    ("InvoiceLines", {}),
    ("CustomerInvoices", {}),
    ("CustomerInvoices", {"Country": "Norway"}),
    ("Sales", {"FromDate": "2000-01-01"}),
    ("Sales", {"FromDate": "2022-01-01", "ToDate": "2023-12-31", "By": "Artist"}),
    ("Sales", {"FromDate": "2000-01-01", "By": "Country"}),
    ("Sales", {"FromDate": "2000-01-01", "By": "MediaType"}),
])
def test_chinook_reports_the_same_on_both(chinook, name, parameters):
    assert '"results":[{' in chinook.same(name, parameters)
