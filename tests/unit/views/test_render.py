"""What is rendered without a cluster, and the remarks about what only a cluster has.

tests/integration/test_cli.py compares it with what the daemon writes.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from decco.api.crd import crds
from decco.desired.runs import run_digest
from decco.errors import ConfigError
from decco.objects import Obj
from decco.settings import Settings
from decco.views import documents
from decco.views.documents import Document
from decco.views.manifests import rendered
from decco.views.simulation import simulate
from decco.views.simulation_findings import assumptions, findings, prevents_rendering
from decco.views.snapshot import from_documents
from tests.sample import thorough
from tests.unit.api import admission_table
from tests.unit.views.stories import NOW, app, files, secret, simulated, space

EXAMPLES = Path(__file__).resolve().parents[3] / "manifests" / "examples"


def _validations(schema: Any) -> Iterator[Any]:
    if isinstance(schema, dict):
        yield from schema.get("x-kubernetes-validations", ())
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _validations(inner)


def objects(*given: Obj, **settings: Any) -> dict[tuple[str, str], Obj]:
    _, result = simulated(*given, **settings)
    made = [obj for reconciled in result.results for obj in rendered(reconciled)]
    found = {(obj["kind"], obj["metadata"]["name"]): obj for obj in made}
    assert len(found) == len(made)
    return found


def notes_of(*given: Obj, **settings: Any) -> list[str]:
    snapshot, result = simulated(*given, **settings)
    return [finding.text for finding in findings(snapshot, result, [])]


@pytest.mark.parametrize("as_in_a_cluster", [False, True], ids=["of files", "of a cluster whose children are left out"])
def test_a_job_that_had_its_run_is_shown_where_there_are_no_jobs_to_compare_with(as_in_a_cluster: bool) -> None:
    new = app("once", runAsJob=True)
    ran = {**new, "status": {"job": {"run": run_digest(new["spec"]["pod"]), "uid": "u1", "outcome": "Complete"}}}
    snapshot = from_documents(files([space(), ran]), Settings())
    if as_in_a_cluster:
        snapshot.offline = False
        snapshot.forget_children()
    shown = [obj for result in asyncio.run(simulate(snapshot, NOW)).results for obj in rendered(result)]
    assert [obj for obj in shown if obj["kind"] == "Job"] == [objects(space(), new)["Job", "once"]]


def test_the_objects_of_a_space_and_an_app_in_the_order_of_writing() -> None:
    made = objects(
        space(tcpCertAndCaSecretName="tcp"), app("db", "acme", {"name": "db"}), secret("tcp", "db.acme.example.net")
    )
    assert list(made) == [
        ("Namespace", "acme"),
        ("Secret", "tcp"),
        ("NetworkPolicy", "decco"),
        ("Gateway", "decco"),
        ("HTTPRoute", "decco.redirect"),
        ("NetworkPolicy", "app-db"),
        ("ConfigMap", "db-stunnel"),
        ("Service", "db"),
        ("Deployment", "db"),
        ("TLSRoute", "db"),
    ]


@pytest.mark.parametrize(("spec", "weights"), [({}, [95, 5]), ({"suspend": True}, []), ({"replicas": 0}, [])])
def test_a_canary_without_pods_gets_no_requests(spec: Obj, weights: list[int]) -> None:
    path = {"httpPath": "/"}
    made = objects(
        space(httpCertSecretName="http"),
        app("web", "acme", {"name": "web", **path}),
        app("next", "acme", {"name": "next", **path}, canaryOf="web", weight=5, **spec),
    )
    backends = made["HTTPRoute", "web"]["spec"]["rules"][0]["backendRefs"]
    assert [each["weight"] for each in backends if "weight" in each and each["weight"] != 1] == weights


CLAIM = {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("Deployment", {"deployment": {"minReadySeconds": 5}}),
        ("StatefulSet", {"statefulSet": {"volumeClaimTemplates": [CLAIM]}}),
        ("StatefulSet", {"statefulSet": {}, "suspend": True}),
        ("StatefulSet", {"statefulSet": {}, "replicas": 0}),
        ("Job", {"job": {"backoffLimit": 2}}),
        ("Job", {"job": {}, "suspend": True}),
    ],
)
def test_workloads_of_all_kinds(kind: str, spec: Obj) -> None:
    """No server has given them a time or a status."""
    assert (kind, "web") in objects(space(), app("web", "acme", **spec))


def test_uids_that_no_server_has_given_are_marked_and_known_ones_are_not() -> None:
    fresh = objects(space())["Namespace", "acme"]
    assert fresh["metadata"]["ownerReferences"][0]["uid"] == "<uid of Space acme>"
    # Neither the digest with the UID nor the host names with the time of their grant.
    assert fresh["metadata"]["annotations"].keys() == {"decco.platform9.com/fqdn"}
    known = space()
    known["metadata"]["uid"] = "1234"
    stored = objects(known)["Namespace", "acme"]
    assert stored["metadata"]["ownerReferences"][0]["uid"] == "1234"
    assert stored["metadata"]["annotations"]["decco.platform9.com/hash"]
    assert stored["metadata"]["annotations"]["decco.platform9.com/hostnames"].startswith(".acme.")
    # The namespace, which owns the policy as well, does not count: the digest has the UID of the controller only.
    policy = objects(known)["NetworkPolicy", "decco"]
    assert policy["metadata"]["ownerReferences"][1]["uid"] == "<uid of Namespace acme>"
    assert policy["metadata"]["annotations"]["decco.platform9.com/hash"]
    assert "resourceVersion" not in stored["metadata"]


def test_a_secret_that_is_not_given_is_taken_to_be_there() -> None:
    given = (space(httpCertSecretName="http", encryptHttp=True), app("web", "acme", {"name": "web", "httpPath": "/"}))
    snapshot, result = simulated(*given)
    assert [finding.text for finding in findings(snapshot, result, [])] == []
    made = objects(*given)
    assert "https" in {listener["name"] for listener in made["Gateway", "decco"]["spec"]["listeners"]}
    assert ("Secret", "http") not in made
    assert next(iter(assumptions(snapshot, result))).text == (
        "Secret decco/http is not in the files: taken to be there, usable, and shared with Space acme; its copies are "
        "not shown"
    )
    assert any("ConfigMap with the authority" in note.text for note in assumptions(snapshot, result))


@pytest.mark.parametrize(
    ("count", "words"),
    [(1, "Space a"), (2, "Spaces a and b"), (4, "Spaces a, b, c and 1 more"), (6, "Spaces a, b, c and 3 more")],
)
def test_a_secret_of_many_spaces_is_reported_once(count: int, words: str) -> None:
    snapshot, result = simulated(*(space(name, tcpCertAndCaSecretName="tcp") for name in "abcdef"[:count]))
    matching = [note.text for note in assumptions(snapshot, result) if "Secret decco/tcp" in note.text]
    assert len(matching) == 1
    assert f"and shared with {words}; its copies" in matching[0]


def test_a_secret_that_is_given_counts_as_it_is() -> None:
    with_http = space(httpCertSecretName="http", encryptHttp=True)
    made = objects(with_http, secret("http", "acme.example.net"))
    assert made["Secret", "http"]["metadata"]["namespace"] == "acme"
    assert "BEGIN CERTIFICATE" in made["ConfigMap", "decco"]["data"]["ca.crt"]
    assert notes_of(with_http, secret("http", share="other"))[0].startswith("Space acme: SecretMissing: ")
    assert notes_of(with_http, secret("http", share=None))[0].startswith("Space acme: SecretMissing: ")
    broken = notes_of(with_http, secret("http", data={}, stringData={"tls.crt": "no certificate"}))
    assert broken[0].startswith("Space acme: SecretInvalid: Secret http: tls.crt holds no")


def test_settings_count() -> None:
    given = (space(httpCertSecretName="http"), app("web", "acme", {"name": "web", "httpPath": "/"}))
    kinds = {kind for kind, _ in objects(*given, routing={"backend": "ingress"})}
    assert "Ingress" in kinds
    assert "Gateway" not in kinds
    kinds = {kind for kind, _ in objects(*given, routing={"parentGateway": "edge/shared"})}
    assert {"ListenerSet", "HTTPRoute"} <= kinds


def test_of_two_claims_the_first_in_the_files_wins_and_what_exists_wins_over_it() -> None:
    first, second = space("acme"), space("beta", domainName="acme.example.net")
    assert notes_of(first, second)[0].startswith("Space beta: HostnameConflict: ")
    assert notes_of(second, first)[0].startswith("Space acme: HostnameConflict: ")
    second["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    assert notes_of(first, second)[0].startswith("Space acme: HostnameConflict: ")


def test_an_app_without_its_space() -> None:
    snapshot, result = simulated(app())
    (finding,) = findings(snapshot, result, [Document(app(), "f.yaml:1")])
    assert prevents_rendering(finding)
    assert finding.text == (
        "f.yaml:1: App acme/web: there is no Space acme in the files, and an App gets its names from it: "
        "give it as well"
    )
    assert result.writes == []


OUR_MESSAGES = [rule["message"] for crd in crds() for rule in _validations(crd)]
"""What admission says in words of decco's own; for the rest (types, limits) the API server has words of its own."""


@thorough
@pytest.mark.parametrize("row", [row for row in admission_table.ROWS if row.parsed], ids=lambda row: row.id)
def test_wrong_input_gets_the_messages_of_admission(row: admission_table.Row) -> None:
    """The same table that the API server's admission is tested with."""
    snapshot, result = simulated(row.bad, namespace="default")
    found = [finding.text for finding in findings(snapshot, result, []) if prevents_rendering(finding)]
    assert found
    if any(row.says in message for message in OUR_MESSAGES):
        assert any(row.says in text for text in found), found


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([space(), space()], "Space acme is also at standard input:1"),
        ([{**app(), "metadata": {"name": "web"}}], "App web has no metadata.namespace: add it, or give one with -n"),
        (
            [{**space(), "apiVersion": "decco.platform9.com/v1beta3"}],
            "Space acme is of decco.platform9.com/v1beta3: use ",
        ),
    ],
)
def test_files_that_mean_nothing(given: list[Obj], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_documents(files(given), Settings())
    assert message in str(caught.value)


def test_unknown_fields() -> None:
    wrong = app("web", "acme", {"name": "web", "httppath": "/", "x": 1}, tlsEgress=[])
    snapshot = from_documents(files([space(domainname="x"), wrong, secret("a")]), Settings())
    assert [warning.text.partition(": ")[2] for warning in snapshot.warnings] == [
        "Space acme: spec.domainname: unknown field; did you mean domainName?",
        "App acme/web: spec.endpoints[0].httppath: unknown field; did you mean httpPath?",
        "App acme/web: spec.endpoints[0].x: unknown field",
        "App acme/web: spec.tlsEgress: unknown field; did you mean tlsEgresses?",
    ]


def test_the_examples_can_all_be_rendered() -> None:
    found = documents.read([str(EXAMPLES)], io.StringIO())
    snapshot = from_documents(found, Settings())
    assert [warning.text for warning in snapshot.warnings] == ["4 objects of other kinds left out"]
    made = objects(*(document.obj for document in found))
    assert {"Job", "Deployment", "ConfigMap", "Gateway"} <= {kind for kind, _ in made}


def test_a_paused_space_gets_nothing() -> None:
    paused = space()
    paused["metadata"]["annotations"] = {"decco.platform9.com/paused": "true"}
    assert objects(paused) == {}
    assert notes_of(paused)[0].startswith("Space acme: Paused: ")
