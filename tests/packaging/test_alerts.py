"""Alerts, dashboard and metrics before Prometheus' own judge: rules that fire when they should and only then;
an exposition without a complaint; no name that the daemon does not have.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from testbed.controlplane import ControlPlane
from testbed.manifests import MANIFESTS
from tests.integration.harness import Decco, eventually
from tests.packaging.conftest import Tool
from tests.packaging.objects import Obj

HERE = Path(__file__).parent
MONITORING = MANIFESTS / "monitoring"
CHECKOUT = MANIFESTS.parent
READY_SECONDS = 90.0
"""Only for a machine that is very busy; it takes two."""
FIRING = 'count without (alertstate) (ALERTS{alertstate="firing"})'
METRIC = re.compile(r"\b(?:decco|process|python)_[a-z0-9_]+\b")
SUFFIXES = re.compile(r"_(bucket|sum|count)$")


def groups() -> Obj:
    spec = yaml.safe_load((MONITORING / "alerts" / "prometheusrule.yaml").read_text())["spec"]
    assert spec.keys() == {"groups"}
    return dict(spec)


def all_rules() -> list[Obj]:
    return [rule for group in groups()["groups"] for rule in group["rules"]]


def alerts() -> list[Obj]:
    return [rule for rule in all_rules() if "alert" in rule]


def dashboard() -> Obj:
    return dict(json.loads((MONITORING / "dashboard" / "decco.json").read_text()))


def queries() -> list[str]:
    board = dashboard()
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    return asked + [each["expr"] for each in board["annotations"]["list"] if "expr" in each]


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """The rules as Prometheus itself reads them."""
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(groups()))
    return file


@pytest.fixture(scope="module")
def daemon(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decco]:
    """With a DNS provider, so that every kind of metric has a series."""
    control_plane.install_decco()
    provider = json.dumps([{"type": "memory", "zones": ["example.net"]}])
    decco = Decco(control_plane, tmp_path_factory.mktemp("daemon"), dns__providers=provider)
    try:
        decco.start(wait=False)
        eventually(decco.ready, READY_SECONDS, "decco ready")
        yield decco
    finally:
        decco.kill()


def exposition(daemon: Decco, accept: str = "text/plain") -> tuple[str, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{daemon.port}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def test_promtool_accepts_the_rules(promtool_: Tool, rules: Path) -> None:
    assert f"{len(all_rules())} rules found" in promtool_("check", "rules", "--lint=all", "--lint-fatal", rules)


def test_alerts_fire_when_they_should_and_no_other_does(promtool_: Tool, rules: Path) -> None:
    cases = yaml.safe_load((HERE / "alerts.yaml").read_text())
    for case in cases["tests"]:
        for check in case["promql_expr_test"]:
            check["expr"] = FIRING
    file = rules.with_name("alerts.yaml")
    file.write_text(yaml.safe_dump(cases))
    promtool_("test", "rules", file)


def test_every_alert_is_seen_firing_and_silent() -> None:
    cases = yaml.safe_load((HERE / "alerts.yaml").read_text())["tests"]
    fired: set[str] = set()
    for case in cases:
        for check in case["promql_expr_test"]:
            fired |= set(re.findall(r'alertname="(\w+)"', str(check["exp_samples"])))
        assert case["promql_expr_test"][0]["exp_samples"] == [], f"{case['name']}: begins with an alert"
    assert fired == {alert["alert"] for alert in alerts()}


def test_each_alert_says_what_it_should_and_has_a_runbook() -> None:
    for alert in alerts():
        assert alert["labels"]["severity"] in {"critical", "warning"}, alert
        assert {"summary", "description", "runbook_url"} == alert["annotations"].keys()
        page = CHECKOUT / alert["annotations"]["runbook_url"]
        assert page == CHECKOUT / "docs" / "runbooks" / f"{alert['alert']}.md"
        text = page.read_text()
        assert text.startswith(f"# {alert['alert']}\n")
        for heading in ("## What it means", "## What is affected", "## Look", "## Do"):
            assert f"\n{heading}\n" in text, f"{page.name} lacks {heading}"
    pages = {page.stem for page in (CHECKOUT / "docs" / "runbooks").glob("*.md")} - {"README"}
    assert pages == {alert["alert"] for alert in alerts()}


def test_promtool_accepts_the_daemons_metrics(promtool_: Tool, daemon: Decco) -> None:
    kind, text = exposition(daemon)
    assert kind.startswith("text/plain")
    said = promtool_("check", "metrics", text=text.encode())
    assert said == ""


def test_openmetrics_is_served_to_who_asks_for_it(daemon: Decco) -> None:
    kind, text = exposition(daemon, "application/openmetrics-text; version=1.0.0, text/plain; q=0.5")
    assert kind.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


@pytest.mark.parametrize("source", ["alerts", "dashboard", "runbooks"])
def test_only_metrics_that_the_daemon_has_are_asked_for(daemon: Decco, source: str) -> None:
    """Those with a series already: an alert must not wait for the first failure to have one."""
    _, text = exposition(daemon)
    served = {re.split(r"[{ ]", line)[0] for line in text.splitlines() if not line.startswith("#")}
    served |= {SUFFIXES.sub("", name) for name in served}
    described = set(re.findall(r"^# TYPE (\S+)", text, flags=re.MULTILINE))
    # No Space has a certificate or an endpoint yet, and no watch has failed: these series come with their objects.
    later = {
        *("decco_certificate_expiry_timestamp_seconds", "decco_crl_expiry_timestamp_seconds"),
        *("decco_endpoints", "decco_watch_restarts_total"),
    }
    served |= later & described
    texts = {
        "alerts": [rule["expr"] for rule in all_rules()],
        "dashboard": queries(),
        "runbooks": [page.read_text() for page in (CHECKOUT / "docs" / "runbooks").glob("*.md")],
    }[source]
    asked = {name for each in texts for name in METRIC.findall(each)}
    assert asked - served == set()
    assert asked


def test_promtool_understands_every_query_of_the_dashboard(promtool_: Tool, tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(queries())
    ]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool_("check", "rules", "--lint=none", file)


def test_the_dashboard_is_whole() -> None:
    board = dashboard()
    assert (board["uid"], board["schemaVersion"] >= 39) == ("decco", True)
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies over another panel"
        taken |= cells
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert panel["targets"], panel["title"]
    assert panels[0]["type"] == "row"
