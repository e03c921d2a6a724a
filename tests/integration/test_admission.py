"""What the real API server says to wrong Spaces and Apps, and what ``kubectl`` says about the right ones."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from decco.api.crd import crds as crds_of_decco
from decco.api.parse import InvalidObjectError, parse_app
from testbed.api import RequestFailed, Response
from testbed.controlplane import ControlPlane
from tests.integration.harness import eventually
from tests.unit.api.admission_table import ROWS, Obj, Row, app, endpoints, put, space

GROUP = "/apis/decco.platform9.com/v1beta2"
DRY = "?dryRun=All&fieldValidation=Strict"


def collection(obj: Obj) -> str:
    return f"{GROUP}/spaces" if obj["kind"] == "Space" else f"{GROUP}/namespaces/default/apps"


def post(cp: ControlPlane, obj: Obj, query: str = DRY) -> Response:
    return cp.request("POST", collection(obj) + query, obj)


def causes(answer: Response) -> list[tuple[str, str]]:
    """The fields of the server's refusal, and its messages."""
    return [(cause.get("field", ""), cause["message"]) for cause in answer.json()["details"]["causes"]]


@pytest.mark.parametrize("row", [pytest.param(row, id=row.id) for row in ROWS])
def test_wrong_input_is_refused_and_its_neighbour_is_not(control_plane: ControlPlane, row: Row) -> None:
    good = post(control_plane, row.good)
    assert good.status == 201, good.json()
    bad = post(control_plane, row.bad)
    assert bad.status == 422, bad.json()
    assert any(field == row.field and row.says in message for field, message in causes(bad)), causes(bad)


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        (
            space(domainName="Example.com"),
            # 1.37 shows the value here, 1.34 its type.
            r'The Space "acme" is invalid: spec\.domainName: Invalid value: "\S+": must be a DNS name in lower case',
        ),
        (
            endpoints({"rewritePath": "/"}),
            r'The App "web" is invalid: spec\.endpoints\[0\]\.rewritePath: Forbidden: replaces the prefix httpPath',
        ),
    ],
)
def test_kubectl_shows_a_message(control_plane: ControlPlane, obj: Obj, message: str) -> None:
    with pytest.raises(RequestFailed, match=message):
        control_plane.kubectl("create", "-f", "-", input=json.dumps(obj))


def test_the_domain_is_immutable(control_plane: ControlPlane) -> None:
    made = control_plane.create(f"{GROUP}/spaces", space("immutable"))
    path = f"{GROUP}/spaces/immutable"
    try:
        answer = control_plane.request("PUT", path, put(made, "spec.domainName", "example.org"))
        assert answer.status == 422
        ((field, message),) = causes(answer)
        assert field == "spec.domainName"
        assert message.startswith("Forbidden: cannot be changed, because host names, certificates and DNS records")
        assert control_plane.request("PUT", path, put(made, "spec.encryptHttp", True)).status == 200
    finally:
        control_plane.request("DELETE", path)


def test_stored_defaults(control_plane: ControlPlane) -> None:
    """Values that say something are shown by ``kubectl get -o yaml``; what absence already says is not stored, and
    nothing in items of lists, which GitOps tools compare with a file as a whole.
    """
    assert post(control_plane, space()).json()["spec"] == {
        "domainName": "example.com",
        "podSecurity": "baseline",
        "egressPolicy": "Open",
        "isolation": "Standard",
        "mesh": "None",
    }
    assert post(control_plane, space(topology={})).json()["spec"]["topology"] == {"zoneSpread": "Off"}
    short = post(control_plane, app(tlsEgresses=[{"localPort": 1, "fqdn": "a.b"}])).json()["spec"]
    assert short.keys() == {"pod", "initialReplicas", "tlsEgresses"}
    assert short["initialReplicas"] == 1
    assert short["tlsEgresses"] == [{"localPort": 1, "fqdn": "a.b"}]
    stored = post(control_plane, endpoints({})).json()["spec"]["endpoints"]
    assert stored == [{"name": "e0", "port": 8000}]


def test_a_pod_is_kept_as_it_is(control_plane: ControlPlane) -> None:
    pod = {
        "containers": [
            {
                "name": "c",
                "image": "i",
                "ports": [{"containerPort": 1, "name": "p"}],
                "resources": {"limits": {"cpu": 1}},
            }
        ],
        "futureField": {"a": [1, {"b": None}]},
    }
    kept = post(control_plane, app(pod=pod), "?dryRun=All").json()["spec"]["pod"]
    assert kept == {**pod, "futureField": {"a": [1, {"b": None}]}}


def test_unknown_fields_are_pointed_out(control_plane: ControlPlane) -> None:
    answer = post(control_plane, put(endpoints({}), "spec.endpoints[0].htpPath", "/a"))
    assert answer.status == 400
    assert 'unknown field "spec.endpoints[0].htpPath"' in answer.json()["message"]


def test_endpoints_are_merged_by_name(control_plane: ControlPlane) -> None:
    """Two field managers may own an endpoint each: that is what a list map is for."""
    path = f"{GROUP}/namespaces/default/apps/merged"
    headers = {"Content-Type": "application/apply-patch+yaml"}
    first = app("merged", endpoints=[{"name": "a", "port": 1}])
    second: dict[str, Any] = {**first, "spec": {"pod": first["spec"]["pod"], "endpoints": [{"name": "b", "port": 2}]}}
    try:
        for manager, body in (("one", first), ("two", second)):
            answer = control_plane.request("PATCH", f"{path}?fieldManager={manager}", body, headers=headers)
            assert answer.status in (200, 201), answer.json()
        assert [endpoint["name"] for endpoint in answer.json()["spec"]["endpoints"]] == ["a", "b"]
    finally:
        control_plane.request("DELETE", path)


def test_an_object_older_than_the_rules_can_still_be_worked_on(control_plane: ControlPlane) -> None:
    """It must be possible to finalise, label and report on what was stored before a rule existed."""
    group, path = "older.example.com", "/apis/older.example.com/v1beta2/namespaces/default/apps/old"
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    strict = next(crd for crd in crds_of_decco() if crd["spec"]["names"]["kind"] == "App")
    strict = put(put(strict, "spec.group", group), "metadata.name", f"apps.{group}")
    lax = copy.deepcopy(strict)
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    lax["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = anything
    wrong = {**endpoints({"rewritePath": "/", "hostname": "A b"}, {"port": 8000}), "apiVersion": f"{group}/v1beta2"}
    wrong["metadata"] = {"name": "old", "namespace": "default"}
    try:
        control_plane.create(crds, lax)
        eventually(lambda: control_plane.request("POST", path.rpartition("/")[0], wrong).status == 201)
        headers = {"Content-Type": "application/apply-patch+yaml"}
        query = f"{crds}/apps.{group}?fieldManager=test&force=true"
        assert control_plane.request("PATCH", query, strict, headers=headers).status == 200
        other = put(wrong, "metadata.name", "other")
        eventually(lambda: control_plane.request("POST", path.rpartition("/")[0] + DRY, other).status == 422)

        merge = {"Content-Type": "application/merge-patch+json"}
        for subresource, patch in (
            ("", {"metadata": {"labels": {"a": "b"}, "finalizers": ["example.com/test"]}}),
            ("/status", {"status": {"observedGeneration": 1}}),
            ("", {"metadata": {"finalizers": []}}),
        ):
            answer = control_plane.request("PATCH", path + subresource, patch, headers=merge)
            assert answer.status == 200, answer.json()
        answer = control_plane.request("PATCH", path, {"spec": {"initialReplicas": 2}}, headers=merge)
        assert answer.status == 422, "a change of the spec has to put it right"
        with pytest.raises(InvalidObjectError):
            parse_app(control_plane.request("GET", path).json())
    finally:
        control_plane.request("DELETE", f"{crds}/apps.{group}")


def test_status_is_a_subresource_with_its_own_schema(control_plane: ControlPlane) -> None:
    made = control_plane.create(f"{GROUP}/namespaces/default/apps", app("status"))
    path = f"{GROUP}/namespaces/default/apps/status"
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "Ready",
        "message": "",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    }
    endpoint = {"name": "status", "hostname": "status.acme.example.com", "url": "https://a/b", "port": 443}
    status = {
        "observedGeneration": 1,
        "conditions": [condition],
        "endpoints": [endpoint],
        "url": "https://a/b",
        "replicas": 3,
    }
    try:
        answer = control_plane.request("PUT", f"{path}/status", {**made, "status": status})
        assert answer.status == 200, answer.json()
        assert answer.json()["status"] == status
        assert answer.json()["metadata"]["generation"] == 1
        shown = control_plane.kubectl("get", "apps", "status", "--no-headers").split()
        assert shown[:4] == ["status", "https://a/b", "3", "True"]
        made = answer.json()
        wrong = put(made, "status.conditions[0].reason", "not a reason")
        assert control_plane.request("PUT", f"{path}/status", wrong).status == 422
        wrong = put(made, "status.conditions", [condition, condition])
        assert control_plane.request("PUT", f"{path}/status", wrong).status == 422
    finally:
        control_plane.request("DELETE", path)


def test_columns_names_and_categories(control_plane: ControlPlane) -> None:
    control_plane.create(f"{GROUP}/spaces", space("columns", project="foo"))
    control_plane.create(f"{GROUP}/namespaces/default/apps", app("columns"))
    try:
        lines = control_plane.kubectl("get", "dspace", "columns").splitlines()
        assert lines[0].split() == ["NAME", "DOMAIN", "PROJECT", "HOSTNAME", "READY", "AGE"]
        assert lines[1].split()[:3] == ["columns", "example.com", "foo"]
        header = control_plane.kubectl("get", "dapp", "columns").splitlines()[0]
        assert header.split() == ["NAME", "URL", "REPLICAS", "READY", "AGE"]
        assert "app.decco.platform9.com/columns" not in control_plane.kubectl("get", "all")
        both = control_plane.kubectl("get", "decco")
        assert "space.decco.platform9.com/columns" in both
        assert "app.decco.platform9.com/columns" in both
        selected = control_plane.kubectl("get", "spaces", "--field-selector=spec.project=foo", "-o", "name")
        assert "space.decco.platform9.com/columns" in selected.split()
        other = control_plane.kubectl("get", "spaces", "--field-selector=spec.project=bar", "-o", "name")
        assert "space.decco.platform9.com/columns" not in other.split()
    finally:
        control_plane.request("DELETE", f"{GROUP}/spaces/columns")
        control_plane.request("DELETE", f"{GROUP}/namespaces/default/apps/columns")


def explained(cp: ControlPlane, what: str, *flags: str) -> str:
    return cp.kubectl("explain", what, "--api-version=decco.platform9.com/v1beta2", *flags)


@pytest.mark.parametrize(
    ("what", "part"),
    [
        (
            "app.spec.endpoints",
            """
            FIELD: endpoints <[]Object>

            DESCRIPTION:
                The ports this App offers. Without it, the short form: one endpoint named
                after the App, on the first port that the first container declares. An empty
                list means no endpoint at all.

            FIELDS:
              allowedClients <[]string>
                Accept only clients whose certificate has one of these names as a DNS SAN;
                implies verifyTcpClientCert. The common name and wildcards in the
                certificate do not count.
            """,
        ),
        (
            "app.spec.endpoints",
            """
              httpPath <string>
                Serve HTTP at https://<FQDN><httpPath> through the shared edge. Without it
                the endpoint is TCP, reached by TLS server name at its hostname.
            """,
        ),
        (
            "app.spec.endpoints",
            "name <string> -required- Name of the endpoint and of its Service; unique in the Space.",
        ),
        ("app.spec.endpoints", "tlsListenPort <integer> Port of the endpoint's Service. Default: 443."),
        (
            "space.spec",
            """
              podSecurity <string>
              enum: privileged, baseline, restricted
                Pod Security level enforced on the Space's namespace. Default: baseline.
            """,
        ),
        ("space.spec", "domainName <string> -required- DNS domain above the Space; its FQDN is <name>.<domainName>."),
        (
            "app.spec.egresses.fqdn",
            "FIELD: fqdn <string> DESCRIPTION: Host name of the target; either this or endpoint.",
        ),
        ("app.status.conditions.reason", "One CamelCase word that programs can rely on."),
        ("app.metadata.ownerReferences", "List of objects depended by this object."),
    ],
)
def test_kubectl_explains(control_plane: ControlPlane, what: str, part: str) -> None:
    assert " ".join(part.split()) in " ".join(explained(control_plane, what).split())


def test_kubectl_explains_every_field(control_plane: ControlPlane) -> None:
    for kind in ("space", "app"):
        text = explained(control_plane, kind, "--recursive")
        fields = [line.split("\t")[0].strip() for line in text.splitlines() if "\t<" in line]
        assert len(fields) > 20
        for part in ("spec", "status"):
            assert "<no description>" not in explained(control_plane, f"{kind}.{part}")


def test_the_largest_object_stays_within_the_cost_limit(control_plane: ControlPlane) -> None:
    """Every list full and every text long: the API server's budget for one object's rules must hold it."""
    name = ".".join(["a" * 63] * 3 + ["b" * 50])
    large = app(
        endpoints=[
            {
                "name": f"e{i}-{'x' * 40}",
                "port": 1000 + i,
                "httpPath": f"/{i:02d}" + "p" * 1000,
                "rewritePath": "/" + "r" * 1000,
                "hostname": f"h{i:02d}.{name}",
                "certAndCaSecretName": "s" * 253,
                "createClearTextService": True,
            }
            for i in range(32)
        ]
        + [
            {
                "name": f"t{i}-{'x' * 40}",
                "port": 2000 + i,
                "hostname": f"t{i:02d}.{name}",
                "allowedClients": [f"c{j:02d}.{name}" for j in range(64)],
            }
            for i in range(32)
        ],
        tlsEgresses=[{"localPort": 3000 + i, "fqdn": name} for i in range(64)],
    )
    answer = post(control_plane, large)
    assert answer.status == 201, answer.json()["message"][:2000]
    answer = post(control_plane, put(large, "spec.endpoints[63].name", large["spec"]["endpoints"][0]["name"]))
    assert any("two endpoints have the same name" in message for _, message in causes(answer)), causes(answer)
    hosts = space("s" * 63, domainName=name[:189], hostnames=[f"h{i:02d}.{name}" for i in range(60)])
    assert post(control_plane, hosts).status == 201
