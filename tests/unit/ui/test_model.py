"""The data of the pages, from files."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import orjson

from decco.messages import Category, messages
from decco.objects import APPS, SERVICES, SPACES, Key, Obj
from decco.ui.model import REMARKS_SHOWN, Rows, certificates_data, graph_data, remarks, space_data
from decco.views.connectivity import connectivity
from decco.views.findings import Finding
from tests.unit.cli.test_drawing import evil
from tests.unit.views.stories import NOW, app, secret, simulated, space
from tests.unit.views.test_explanation import world


def ready(obj: Obj, *conditions: tuple[str, str, str]) -> Obj:
    listed = [{"type": kind, "status": status, "reason": reason, "message": "m"} for kind, status, reason in conditions]
    return {**obj, "status": {"observedGeneration": 1, "conditions": listed}}


def overview(*objects: Obj, **hidden: Any) -> Obj:
    snapshot, _ = simulated(*objects)
    snapshot.offline = False
    for store in (snapshot.caches.spaces, snapshot.caches.apps):
        for entry in store:
            statuses = {each["metadata"]["name"]: each.get("status") or {} for each in objects}
            obj = {**entry.obj(), "status": statuses[entry.key.name]}
            obj["metadata"]["resourceVersion"] = "2"
            store.put(obj, own=False)
    for resource, namespace in hidden.get("unreadable", ()):
        snapshot.unreadable.add((resource, namespace))
    places = hidden.get("places") or [entry.key.name for entry in snapshot.caches.spaces]
    return Rows().overview(snapshot, places)


def test_the_state_of_a_space_is_what_decco_reported() -> None:
    good = ready(space("good", project="p"), ("Ready", "True", "Ready"))
    bad = ready(space("bad"), ("Ready", "False", "SecretMissing"))
    waits = ready(space("waits"), ("Ready", "False", "WaitingForEdge"))
    found = {row["name"]: row for row in overview(good, bad, waits, space("new"))["spaces"]}
    assert {name: row["state"] for name, row in found.items()} == {
        "good": "ok", "bad": "failure", "waits": "warning", "new": "failure",
    }  # fmt: skip
    assert found["good"]["fqdn"] == "good.example.net"
    finding = found["bad"]["finding"]
    assert finding["code"] == messages(Category.CONDITION)["SecretMissing"].code
    assert finding["cause"]
    assert finding["action"]


def test_apps_are_counted_and_the_worst_is_shown() -> None:
    good = ready(app("good"), ("Ready", "True", "Ready"))
    bad = ready(app("bad"), ("Ready", "False", "Unavailable"))
    (row,) = overview(space("acme"), good, bad)["spaces"]
    assert (row["apps"], row["bad"], row["apps_state"]) == (2, 1, "failure")


def test_what_may_not_be_read_is_not_guessed() -> None:
    (row,) = overview(app("web"), places=["acme"], unreadable=[(SPACES, ""), (APPS, "acme")])["spaces"]
    assert row["state"] == "unknown"
    assert row["finding"]["code"] == messages(Category.FINDING)["space-hidden"].code
    assert "apps" not in row
    assert "fqdn" not in row


def test_remarks_are_few() -> None:
    shown = remarks([Finding("", f"you may not read {number}", "kinds-hidden") for number in range(50)])
    assert len(shown) == REMARKS_SHOWN + 1
    assert shown[-1]["text"] == f"and {50 - REMARKS_SHOWN} more like these"


def test_a_space_has_its_chains_and_all_findings() -> None:
    found = world(
        space(httpCertSecretName="http"),
        secret("http", "acme.example.net"),
        app("web", "acme", {"name": "web", "httpPath": "/"}),
    )
    data = space_data(found, "acme")
    (web,) = data["apps"]
    (chain,) = web["chains"]
    assert [link["part"] for link in chain["links"]] == [
        "name", "record", "edge", "listener", "certificate", "route", "Service", "pods",
    ]  # fmt: skip
    assert chain["broken"] in {link["part"] for link in chain["links"] if link["state"] == "failure"}
    assert data["findings"]
    assert orjson.dumps(data)


def test_a_graph_of_hostile_names_is_data() -> None:
    """Names go through JSON unchanged: the page makes text nodes of them."""
    data = json.loads(orjson.dumps(graph_data(evil(), [])))
    tags = {shape["tag"] for shape in data["drawing"]["shapes"]}
    assert tags <= {"rect", "text", "path"}
    attributes = {name for shape in data["drawing"]["shapes"] for name in shape["attributes"]}
    assert attributes <= {"x", "y", "width", "height", "rx", "d"}
    assert "script" not in json.dumps([shape["attributes"] for shape in data["drawing"]["shapes"]])
    assert "<script>" in json.dumps([shape.get("title") for shape in data["drawing"]["shapes"]])


def test_the_drawing_has_what_the_svg_has() -> None:
    snapshot, result = simulated(space("a", tcpCertAndCaSecretName="t"), app("x", "a", {"name": "db"}))
    data = graph_data(connectivity(snapshot, result), [])
    texts = [shape.get("text") for shape in data["drawing"]["shapes"]]
    assert "a.example.net" in texts
    assert data["drawing"]["width"] > 0


def test_certificates_are_sorted_by_expiry() -> None:
    snapshot, _ = simulated(
        space("acme", httpCertSecretName="http"),
        secret("http", "acme.example.net"),
        secret("not-one", type="Opaque", data={}),
    )
    found = certificates_data(snapshot, ["acme"], NOW)["certificates"]
    rows = [(row["namespace"], row["name"]) for row in found]
    assert rows == [("acme", "http")]
    until = found[0]["days"]
    late = certificates_data(snapshot, ["acme"], NOW + timedelta(days=until + 2))["certificates"]
    assert late[0]["state"] == "failure"
    assert late[0]["days"] < 0
    assert b"PRIVATE" not in orjson.dumps(found)


def test_hidden_secrets_are_remarked() -> None:
    snapshot, _ = simulated(space("acme"))
    snapshot.unreadable |= {(snapshot.caches.sources.resource, "acme")}
    (remark,) = certificates_data(snapshot, ["acme"], NOW)["remarks"]
    assert remark["text"] == "you may not read the Secrets of namespace acme"
    assert remark["code"] == messages(Category.FINDING)["certificates-hidden"].code


def test_pods_are_part_of_the_chain() -> None:
    found = world(
        space(tcpCertAndCaSecretName="t"), secret("t", "*.acme.example.net"), app("db", "acme", {"name": "db"})
    )
    found.ready_backends = {Key("acme", "db"): (1, 2)}
    (chain,) = space_data(found, "acme")["apps"][0]["chains"]
    assert chain["links"][-1]["findings"][0]["text"] == "Service acme/db: 1 of 2 pods ready"
    found.snapshot.unreadable.add((SERVICES, "acme"))
    (chain,) = space_data(found, "acme")["apps"][0]["chains"]
    assert chain["links"][-2]["state"] == "unknown"
    assert "unknown" in {each["state"] for each in chain["links"][-1]["findings"]}
