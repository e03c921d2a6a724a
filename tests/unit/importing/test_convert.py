"""What becomes of each field of the first decco, and the remarks about those without a counterpart."""

from __future__ import annotations

from typing import Any

import pytest

from decco.importing.convert import convert
from decco.importing.fields import Level, Source
from decco.importing.result import Imported, Result
from decco.objects import Key, Obj

SPACE = {"domainName": "example.net", "httpCertSecretName": "http", "tcpCertAndCaSecretName": "tcp"}
POD = {"containers": [{"name": "main", "image": "registry.example/app:1", "ports": [{"containerPort": 8080}]}]}


def obj(kind: str, name: str, namespace: str, spec: Any, version: str = "v1beta2") -> Obj:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": f"decco.platform9.com/{version}", "kind": kind, "metadata": meta, "spec": spec}


def result_of(*objects: Obj, **options: Any) -> Result:
    given = [
        (Source("f", number, str(each.get("kind")), Key("", str(each["metadata"].get("name")))), each)
        for number, each in enumerate(objects, 1)
    ]
    return convert(given, **options)


def app_of(spec: Obj, *, space: Obj | None = None, **options: Any) -> Imported:
    """An App with a pod, in a Space that is given too."""
    there = obj("Space", "acme", "spaces", {**SPACE, **(space or {})})
    [app] = result_of(there, obj("App", "web", "acme", {"pod": POD, "initialReplicas": 1, **spec}), **options).apps
    return app


def space_of(spec: Obj) -> Imported:
    [space] = result_of(obj("Space", "acme", "spaces", spec)).spaces
    return space


def spec_of(imported: Imported) -> Obj:
    assert imported.obj is not None, imported.remarks
    return dict(imported.obj["spec"])


def remarks_of(imported: Imported, level: Level) -> list[str]:
    return [remark.path for remark in imported.remarks if remark.level is level]


# -- Spaces -----------------------------------------------------------------------------------------------------------


def test_a_space_becomes_cluster_scoped() -> None:
    space = space_of({**SPACE, "domainName": "Example.NET.", "project": "dev", "encryptHttp": True})
    assert space.obj is not None
    assert space.obj["metadata"] == {
        "name": "acme",
        "annotations": {"decco.platform9.com/imported-from": "v1beta2 spaces/acme"},
    }
    assert spec_of(space) == {**SPACE, "domainName": "example.net", "project": "dev", "encryptHttp": True}
    assert space.complete


@pytest.mark.parametrize(
    ("field", "value", "level"),
    [
        ("deleteHttpCertSecretAfterCopy", True, Level.NOTE),
        ("deleteTcpCertAndCaSecretAfterCopy", True, Level.NOTE),
        ("verboseIngressControllerLogging", True, Level.NOTE),
        ("privateIngressControllerTcpEndpoints", ["http"], Level.LOST),
        ("privateIngressControllerTcpHostnameSuffix", ".x", Level.NOTE),
        ("createDefaultHttpDeploymentAndIngress", True, Level.LOST),
        ("manualPhase", "active", Level.LOST),
        ("manifest", {"apps": ["a"]}, Level.LOST),
        ("size", 3, Level.LOST),
        ("encryptHttp", "yes", Level.ERROR),
        ("project", ["dev"], Level.ERROR),
        ("project", "system", Level.LOST),
        ("project", "Dev_1", Level.ERROR),
        ("domainName", "-", Level.ERROR),
        ("permissions", {"rules": []}, Level.ERROR),
        ("permissions", {"rules": [1], "subject": {}}, Level.ERROR),
    ],
)
def test_remarks_about_a_space(field: str, value: Any, level: Level) -> None:
    space = space_of({**SPACE, field: value})
    assert any(path.startswith(f"spec.{field}") for path in remarks_of(space, level)), space.remarks
    assert (space.obj is None) == (level is Level.ERROR)
    assert level is Level.ERROR or field not in spec_of(space)


@pytest.mark.parametrize("field", ["disablePrivateIngressController", "encryptHttp", "manualPhase", "project"])
def test_zero_values_are_not_worth_a_word(field: str) -> None:
    zero: Any = "" if field in ("manualPhase", "project") else False
    assert space_of({**SPACE, field: zero}).complete
    assert space_of({**SPACE, field: None}).complete


def test_permissions_of_a_space_are_objects_of_their_own() -> None:
    subject = {"kind": "User", "name": "ann"}
    space = space_of({**SPACE, "permissions": {"subject": subject, "rules": [{"verbs": ["get"]}]}})
    role, binding = space.extras
    assert (role["kind"], role["metadata"]) == ("Role", {"name": "space-creator", "namespace": "acme"})
    assert (binding["subjects"], binding["roleRef"]["name"]) == ([subject], "space-creator")


def test_names_that_collide_in_the_cluster() -> None:
    first, second = obj("Space", "acme", "a", SPACE), obj("Space", "acme", "b", {**SPACE, "domainName": "other.net"})
    found = result_of(first, second)
    assert [each.obj is not None for each in found.spaces] == [True, False]
    assert "cluster-scoped" in str(found.spaces[1].remarks[-1])
    apps = [obj("App", "web", "acme", {"pod": POD})] * 2
    assert [each.obj is not None for each in result_of(*apps).apps] == [True, False]


def test_a_domain_for_those_that_have_none() -> None:
    found = result_of(obj("Space", "acme", "", {"manifest": {}}, "v1beta3"), domain="example.net")
    assert spec_of(found.spaces[0]) == {"domainName": "example.net"}
    missing = result_of(obj("Space", "acme", "", {}, "v1beta3")).spaces[0]
    assert (missing.obj, remarks_of(missing, Level.ERROR)) == (None, ["spec.domainName"])


# -- Apps -------------------------------------------------------------------------------------------------------------

ENDPOINTS: dict[str, tuple[Obj, Obj]] = {
    "clients are verified unless it says otherwise": ({}, {"verifyTcpClientCert": True}),
    "no verification": ({"disableTcpClientTlsVerification": True}, {}),
    "as in 2017": ({"verifyTcpClientCert": False}, {}),
    "its own certificate": (
        {"certAndCaSecretName": "own"},
        {"certAndCaSecretName": "own", "verifyTcpClientCert": True},
    ),
    "a record": ({"createDnsRecord": True}, {"createDnsRecord": True, "verifyTcpClientCert": True}),
    "clear text": ({"createClearTextSvc": True}, {"createClearTextService": True, "verifyTcpClientCert": True}),
    "the Service keeps the container's port": (
        {"disableTlsTermination": True},
        {"disableTlsTermination": True, "tlsListenPort": 5000},
    ),
    "the sidecar's port is not the Service's": ({"tlsListenPort": 9443}, {"verifyTcpClientCert": True}),
    "a host name under the FQDN": (
        {"sniHostname": "A.acme.example.net"},
        {"hostname": "a.acme.example.net", "verifyTcpClientCert": True},
    ),
    "a suffix": (
        {"tcpHostnameSuffix": ".v0"},
        {"hostname": "e.v0.acme.example.net", "verifyTcpClientCert": True},
    ),
    "the name that it would have anyway": ({"sniHostname": "e.acme.example.net"}, {"verifyTcpClientCert": True}),
    "HTTP": ({"httpPath": "/e"}, {"httpPath": "/e"}),
    "HTTP, rewritten": ({"httpPath": "/e", "rewritePath": "/"}, {"httpPath": "/e", "rewritePath": "/"}),
    "HTTP, nothing to verify": ({"httpPath": "/e", "disableTcpClientTlsVerification": True}, {"httpPath": "/e"}),
    "metrics": ({"isMetricsEndpoint": True}, {"isMetricsEndpoint": True}),
    "metrics have no certificate": ({"isMetricsEndpoint": True, "createDnsRecord": True}, {"isMetricsEndpoint": True}),
}


@pytest.mark.parametrize("what", ENDPOINTS)
def test_endpoints(what: str) -> None:
    given, expected = ENDPOINTS[what]
    app = app_of({"endpoints": [{"name": "e", "port": 5000, **given}]})
    assert spec_of(app)["endpoints"] == [{"name": "e", "port": 5000, **expected}]
    assert app.complete


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"httpPath": "/e", "certAndCaSecretName": "own"}, "certAndCaSecretName"),
        ({"httpPath": "/e", "isMetricsEndpoint": True}, "isMetricsEndpoint"),
        ({"isMetricsEndpoint": True, "certAndCaSecretName": "own"}, "certAndCaSecretName"),
        ({"additionalIngressAnnotations": {"a": "b"}}, "additionalIngressAnnotations"),
        ({"sniHostname": "acme.example.net"}, "sniHostname"),
        ({"sniHostname": "*.example.net"}, "sniHostname"),
        ({"sniHostName2": "x"}, "sniHostName2"),
    ],
)
def test_what_an_endpoint_loses(given: Obj, field: str) -> None:
    app = app_of({"endpoints": [{"name": "e", "port": 5000, **given}]})
    assert remarks_of(app, Level.LOST) == [f"spec.endpoints[0].{field}"]
    [endpoint] = spec_of(app)["endpoints"]
    assert field not in endpoint
    assert "hostname" not in endpoint


def test_what_only_the_space_itself_could_reach_does_not_become_public() -> None:
    app = app_of({"endpoints": [{"name": "e", "port": 1, "httpPath": "/e", "httpLocalhostOnly": True}]})
    assert spec_of(app)["endpoints"] == []
    assert remarks_of(app, Level.LOST) == ["spec.endpoints[0].httpLocalhostOnly"]


def test_a_host_name_elsewhere_is_added_to_the_space() -> None:
    app = obj(
        "App", "web", "acme", {"pod": POD, "endpoints": [{"name": "e", "port": 1, "sniHostname": "x.example.com"}]}
    )
    found = result_of(app, obj("Space", "acme", "", SPACE))
    assert spec_of(found.spaces[0])["hostnames"] == ["x.example.com"]
    assert spec_of(found.apps[0])["endpoints"][0]["hostname"] == "x.example.com"
    alone = result_of(app).apps[0]
    assert remarks_of(alone, Level.LOST) == ["spec.endpoints[0].sniHostname"]


def test_fields_match_whatever_their_case() -> None:
    app = app_of({"Endpoints": [{"Name": "e", "PORT": 5000, "httppath": "/e"}]})
    assert spec_of(app)["endpoints"] == [{"name": "e", "port": 5000, "httpPath": "/e"}]
    assert app.complete


EGRESSES: dict[str, tuple[Obj, Obj]] = {
    "an endpoint": ({"endpoint": "db"}, {"endpoint": "db"}),
    "as in 2017": ({"appName": "db", "targetPort": 443}, {"endpoint": "db"}),
    "in another Space": ({"endpoint": "db", "spaceName": "north"}, {"endpoint": "db", "spaceName": "north"}),
    "any host": ({"fqdn": "x.example.com", "targetPort": 8443}, {"fqdn": "x.example.com", "targetPort": 8443}),
    "a host counts more": ({"fqdn": "x.example.com", "endpoint": "db", "spaceName": "a"}, {"fqdn": "x.example.com"}),
    "an endpoint has its own port": ({"endpoint": "db", "targetPort": 5432}, {"endpoint": "db"}),
    "not verified": (
        {"endpoint": "db", "disableServerCertVerification": True, "certAndCaSecretName": "c"},
        {"endpoint": "db", "certAndCaSecretName": "c", "disableServerCertVerification": True},
    ),
    "a delay without need": ({"endpoint": "db", "springBoardDelaySeconds": 9}, {"endpoint": "db"}),
}


@pytest.mark.parametrize("name", ["egresses", "tlsEgresses", "Egresses"])
@pytest.mark.parametrize("what", EGRESSES)
def test_egresses(what: str, name: str) -> None:
    given, expected = EGRESSES[what]
    app = app_of({name: [{"localPort": 6000, **given}]})
    assert spec_of(app)["tlsEgresses"] == [{"localPort": 6000, **expected}]
    assert app.complete


@pytest.mark.parametrize("bad", [{"localPort": 6000}, {"endpoint": "db"}, {"localPort": "6000", "endpoint": "db"}])
def test_an_egress_that_leads_nowhere_or_listens_nowhere(bad: Obj) -> None:
    assert app_of({"egresses": [bad]}).obj is None


def test_a_job_has_no_endpoints_and_the_retries_that_it_had() -> None:
    job = spec_of(app_of({"runAsJob": True, "endpoints": [{"name": "e", "port": 1}]}))
    assert (job["runAsJob"], job["jobBackoffLimit"], job["endpoints"]) == (True, 0, [])
    assert spec_of(app_of({"runAsJob": True, "jobBackoffLimit": 3}))["jobBackoffLimit"] == 3
    assert "jobBackoffLimit" not in spec_of(app_of({"jobBackoffLimit": 3}))


def test_absent_replicas_were_none() -> None:
    assert spec_of(app_of({"initialReplicas": None}))["initialReplicas"] == 0
    assert "initialReplicas" not in spec_of(
        app_of({"pod": None, "container": POD["containers"][0], "initialReplicas": None})
    )


SHORT: dict[str, tuple[Obj, Obj]] = {
    "a path, taken off": ({"httpUrlPath": "/w"}, {"httpPath": "/w", "rewritePath": "/"}),
    "a path, preserved": ({"httpUrlPath": "/w", "preserveUri": True}, {"httpPath": "/w"}),
    "a path of 2018": ({"httpPath": "/w", "rewritePath": "/x"}, {"httpPath": "/w", "rewritePath": "/x"}),
    "a record": ({"createDnsRecord": True}, {"createDnsRecord": True}),
    "verified": ({"verifyTcpClientCert": True}, {"verifyTcpClientCert": True}),
}


@pytest.mark.parametrize("what", SHORT)
def test_the_short_form_of_2017(what: str) -> None:
    given, expected = SHORT[what]
    app = app_of(given)
    assert spec_of(app)["endpoints"] == [{"name": "web", "port": 8080, **expected}]
    assert app.complete


def test_an_app_without_endpoints_serves_its_first_port_as_the_talks_tcp_example() -> None:
    app = app_of({})
    assert spec_of(app)["endpoints"] == [{"name": "web", "port": 8080}]
    assert remarks_of(app, Level.NOTE) == ["spec.endpoints"]
    assert app.complete
    own = app_of({"certAndCaSecretName": "own", "createClearTextSvc": True})
    assert spec_of(own)["endpoints"] == [
        {"name": "web", "port": 8080, "createClearTextService": True, "certAndCaSecretName": "own"}
    ]
    assert own.complete


@pytest.mark.parametrize(
    "spec",
    [
        {"endpoints": []},
        {"runAsJob": True},
        {"pod": {"containers": [{"name": "main"}]}},
        {"pod": {"containers": [{"name": "main", "ports": []}]}},
    ],
)
def test_an_app_that_never_served_anything_still_serves_nothing(spec: Obj) -> None:
    app = app_of(spec)
    assert spec_of(app)["endpoints"] == []
    assert "spec.endpoints" not in remarks_of(app, Level.NOTE)


def test_the_other_reading_of_absent_endpoints() -> None:
    assert spec_of(app_of({}, serve_first_port=False))["endpoints"] == []
    short = app_of({"httpUrlPath": "/w"}, serve_first_port=False)
    assert [each["name"] for each in spec_of(short)["endpoints"]] == ["web"]


@pytest.mark.parametrize("item", [{"httpPath": "/e"}, {"isMetricsEndpoint": True}])
def test_a_record_of_an_endpoint_without_a_host_name_is_not_dropped_in_silence(item: Obj) -> None:
    app = app_of({"endpoints": [{"name": "e", "port": 5000, "createDnsRecord": True, **item}]})
    assert "spec.endpoints[0].createDnsRecord" in remarks_of(app, Level.NOTE)
    assert "createDnsRecord" not in spec_of(app)["endpoints"][0]


def test_permissions_become_objects_and_the_pod_their_account() -> None:
    app = app_of({"permissions": [{"verbs": ["get"]}]})
    assert [each["kind"] for each in app.extras] == ["ServiceAccount", "Role", "RoleBinding"]
    assert spec_of(app)["pod"]["serviceAccountName"] == "web"
    given = app_of({"permissions": [{"verbs": ["get"]}], "pod": {**POD, "serviceAccountName": "mine"}})
    assert [each["metadata"]["name"] for each in given.extras] == ["mine", "mine"]


def test_the_domain_variable_is_in_every_container() -> None:
    app = app_of({"domainEnvVarName": "D"})
    assert spec_of(app)["pod"]["containers"][0]["env"] == [{"name": "D", "value": "example.net"}]
    alone = result_of(obj("App", "web", "acme", {"pod": POD, "domainEnvVarName": "D"})).apps[0]
    assert remarks_of(alone, Level.LOST) == ["spec.domainEnvVarName"]


@pytest.mark.parametrize(
    "pod",
    [
        {"hostNetwork": True},
        {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]},
        {"containers": [{**POD["containers"][0], "securityContext": {"privileged": True}}]},
        {"containers": [{**POD["containers"][0], "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}]},
        {"containers": [{**POD["containers"][0], "ports": [{"containerPort": 1, "hostPort": 1}]}]},
    ],
)
def test_what_pod_security_will_refuse(pod: Obj) -> None:
    assert len(remarks_of(app_of({"pod": {**POD, **pod}}), Level.LOST)) == 1


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"pod": None}, "spec.pod"),
        ({"pod": "x"}, "spec.pod"),
        ({"pod": {"containers": []}}, "spec.pod"),
        ({"endpoints": "x"}, "spec.endpoints"),
        ({"endpoints": [1]}, "spec.endpoints"),
        ({"endpoints": [{"name": "E", "port": 1}]}, "spec.endpoints[0].name"),
        ({"endpoints": [{"name": "e"}]}, "spec.endpoints[0].port"),
        ({"endpoints": [{"name": "e", "port": "1"}]}, "spec.endpoints[0].port"),
        ({"endpoints": [{"name": "e", "port": True}]}, "spec.endpoints[0].port"),
        ({"endpoints": [{"name": "e", "port": 1, "httpPath": "no"}]}, "spec.endpoints[0].httpPath"),
        ({"endpoints": [{"name": "a", "port": 1}, {"name": "b", "port": 1}]}, "spec.endpoints"),
        ({"httpUrlPath": 5}, "spec.httpPath"),
    ],
)
def test_what_the_crds_would_refuse_is_left_out_with_their_message(spec: Obj, path: str) -> None:
    app = app_of(spec)
    assert app.obj is None
    assert path in remarks_of(app, Level.ERROR), app.remarks


def test_no_spec_at_all() -> None:
    found = result_of(obj("App", "web", "acme", None), obj("Space", "acme", "", "x"))
    assert [each.obj for each in found.all] == [None, None]
