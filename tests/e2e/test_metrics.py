"""GET /metrics: what is counted, in a text that Prometheus reads, with labels of few values."""

import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import requests

from conftest import ALICE
from events import Events
from exposition import Exposition
from harness import PASSWORD, PATIENCE, ROOT, Client, poll
from stores import STORES

pytestmark = pytest.mark.stores("sqlite")
ALERTS = ROOT / "etc/prometheus/reportd-alerts.yml"
DASHBOARD = ROOT / "etc/grafana/reportd.json"
TABLE = re.compile(r"^\| `(reportd_\w+)` \| (\w+) \| ([\w, ]*) \|", re.M)
DOCUMENTED = {name: (kind, set(filter(None, labels.split(", ")))) for name, kind, labels in
              TABLE.findall((ROOT / "doc/metrics.md").read_text())}


def metrics(server):
    answer = requests.get(server.url + "/metrics", timeout=PATIENCE, verify=server.trust)
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Exposition(answer.text)


def grows(server, name, by=1, **labels):
    """Call the result after something: has the sample grown by so much?"""
    before = metrics(server).value(name, **labels) or 0
    return lambda: poll(lambda: (metrics(server).value(name, **labels) or 0) >= before + by, what=f"more {name} {labels}")


@pytest.mark.stores(*STORES)
def test_every_metric_is_documented_and_there(make_server):
    server = make_server()
    server.client(ALICE).complete("Quick", ProductID="1")
    metrics(server)  # so that there is one answer to it
    found = metrics(server)
    assert {name: family.kind for name, family in found.families.items()} == {name: kind for name, (kind, _) in DOCUMENTED.items()}
    for name, family in found.families.items():
        assert family.samples, name
        assert family.labels() == DOCUMENTED[name][1], name


def test_requests_count_by_route_and_status(server, alice):
    counted = grows(server, "reportd_http_requests_total", method="GET", route="/Report/List", status="200")
    timed = grows(server, "reportd_http_request_duration_seconds_count", method="GET", route="/Report/List")
    refused = grows(server, "reportd_http_requests_total", method="GET", route="/Report/List", status="401")
    alice.list()
    counted()
    timed()
    Client(server.url).get("/Report/List")
    refused()


def test_unknown_paths_and_methods_are_one_label(server, alice):
    alice.get("/Nothing")
    alice.call("PUT", "/Report")
    metrics(server)  # its own answer counts from here on
    before = metrics(server)
    counted = grows(server, "reportd_http_requests_total", 50, method="other", route="other", status="404")
    for i in range(50):
        alice.get(f"/Nothing/{i}")
    alice.call("PATCH", "/Report")
    counted()
    assert metrics(server).series() == before.series()


@pytest.mark.stores(*STORES)
def test_reports_count_by_type_and_source(make_server):
    server = make_server()
    client = server.client(ALICE)
    client.complete("Quick", ProductID="1")
    client.complete("Quick", ProductID="1")
    assert client.finish(client.order("Quick", ProductID="99")).headers["X-Report-State"] == "error"
    own = {"report": "Quick", "source": "data"}
    ended = {"state": "error", **own}  # counted a moment after the answer
    found = poll(lambda: (page := metrics(server)).value("reportd_reports_finished_total", **ended) == 1 and page)
    size = len(client.result(client.references()[-1]).content)
    assert found.value("reportd_reports_finished_total", state="complete", **own) == 2
    assert found.value("reportd_report_rows_total", **own) == 6
    assert found.value("reportd_report_bytes_total", **own) == 2 * size
    assert found.value("reportd_report_queue_seconds_count", **own) == 3
    assert found.value("reportd_report_run_seconds_count", **own) == 3
    assert found.value("reportd_report_run_seconds_sum", **own) > 0
    assert found.value("reportd_reports", state="complete") == 2


def test_a_type_that_is_withdrawn_or_gets_another_source_goes(make_server):
    server = make_server()
    client = server.client(ALICE)
    client.complete("Quick", ProductID="1")
    client.complete("Nested")
    assert {sample["report"] for sample in metrics(server).all("reportd_report_rows_total")} == {"Quick", "Nested"}
    (server.reports / "Quick.sql").unlink()
    server.reload()
    assert {sample["report"] for sample in metrics(server).all("reportd_report_rows_total")} == {"Nested"}


def test_logins_count_by_outcome(server, dora):
    for password, outcome in ((PASSWORD, "opened"), ("wrong", "wrong password")):
        counted = grows(server, "reportd_logins_total", outcome=outcome)
        Client(server.url).call("POST", "/User/Login", json={"username": dora, "password": password})
        counted()
    counted = grows(server, "reportd_logins_total", outcome="unknown user")
    Client(server.url).call("POST", "/User/Login", json={"username": "nobody", "password": PASSWORD})
    counted()
    assert not any(dora in str(labels) for _, labels in metrics(server).series())


@pytest.mark.stores(*STORES)
def test_limits_that_are_hit_count_and_the_oldest_queued_is_known(make_server):
    server = make_server(workers=1)
    client = server.client(ALICE)
    assert metrics(server).value("reportd_oldest_queued_seconds") == 0
    for _ in range(10):
        client.order("Endless")
    counted = grows(server, "reportd_limit_hits_total", limit="active_limit")
    assert client.submit("Endless").status_code == 429
    counted()
    counted = grows(server, "reportd_limit_hits_total", limit="body")
    assert client.call("POST", "/Report", json={"reportName": "Quick", "filler": "x" * (2 << 20)}).status_code == 413
    counted()
    poll(lambda: metrics(server).value("reportd_oldest_queued_seconds") > 0, what="a report that has waited")
    assert metrics(server).value("reportd_reports", state="queued") == 9
    client.delete_all()
    assert metrics(server).value("reportd_oldest_queued_seconds") == 0


def test_streams_are_counted_while_they_are_open(make_server):
    server = make_server()
    client = server.client(ALICE)
    with ExitStack() as streams:
        for _ in range(10):
            streams.enter_context(Events(client))
        poll(lambda: metrics(server).value("reportd_event_streams") == 10, what="ten streams")
        counted = grows(server, "reportd_limit_hits_total", limit="streams")
        assert client.get("/Report/Events").status_code == 429
        counted()
    poll(lambda: metrics(server).value("reportd_event_streams") == 0, what="the end of the streams")


def test_waits_beyond_the_limit_are_counted(make_server):
    server = make_server(workers=1)
    client = server.client(ALICE)
    reference = client.order("Endless")
    counted = grows(server, "reportd_limit_hits_total", limit="waits")
    with ThreadPoolExecutor(40) as pool:
        calls = [pool.submit(Client(server.url, client.token).status, reference, {"Prefer": "wait=40"}) for _ in range(40)]
        counted()
        client.delete(reference)
        assert {call.result().status_code for call in calls} == {200}


@pytest.mark.stores(*STORES)
def test_disks_and_results_are_measured(make_server):
    server = make_server(spool_encryption="off")
    found = metrics(server)
    places = {sample["place"]: sample.value for sample in found.all("reportd_disk_free_bytes")}
    assert {"temp", "ledger"} <= set(places)
    for place, free in places.items():
        assert 0 < free <= found.value("reportd_disk_size_bytes", place=place)


def queried(expression):
    """The metrics of an expression of PromQL, each with the labels that it is asked for."""
    found = re.findall(r"\b(reportd_\w+)(?:\{([^}]*)\})?", expression)
    return {(name, *re.findall(r"(\w+)(?:=~?|!~?=?)", labels)) for name, labels in found}


def test_the_dashboard_and_the_alerts_ask_for_what_there_is():
    panels = [target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel["targets"]]
    rules = re.findall(r"expr: (?:>-\n)?((?:.+\n)(?:          .+\n)*)", ALERTS.read_text())
    assert len(panels) > 20 and len(rules) > 10
    asked = {name for expression in panels + rules for name, *_ in queried(expression)}
    for expression in panels + rules:
        for name, *labels in queried(expression):
            kind, own = DOCUMENTED.get(name) or DOCUMENTED[re.sub("_(bucket|sum|count)$", "", name)]
            assert set(labels) <= own | {"job", "instance"}, expression
            assert (kind == "histogram") == (name not in DOCUMENTED), expression
        assert not re.search(r"\b(rate|increase)\((?!reportd_\w+_(total|bucket|sum|count)\b)", expression), expression
    families = {re.sub("_(bucket|sum|count)$", "", name) if name not in DOCUMENTED else name for name in asked}
    unseen = {"reportd_build_info", "reportd_uptime_seconds", "reportd_workers_spawned_total", "reportd_audits_total"}
    assert families == set(DOCUMENTED) - unseen


@pytest.mark.slow
def test_prometheus_takes_the_metrics_and_the_alerts(make_server):
    server = make_server()
    server.client(ALICE).complete("Quick", ProductID="1")
    text = requests.get(server.url + "/metrics", timeout=PATIENCE).text
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for verb, path in (("check", ALERTS), ("test", ALERTS.with_name("reportd-alerts-test.yml"))):
        done = subprocess.run(["promtool", verb, "rules", path], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
