"""Every field of Space and App can be changed, and the children follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.harness import APIS, Cluster, Decco, Obj, app, eventually, pod, tls_secret

pytestmark = pytest.mark.usefixtures("decco")


def _ingress_rules(cluster: Cluster, namespace: str, app_name: str) -> Obj:
    policy = cluster.get(f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/app-{app_name}")
    return policy or {}


class TestSpace:
    """The children of a Space, before and after an edit."""

    def test_a_space_becomes_a_namespace_that_is_isolated(self, cluster: Cluster, name: str) -> None:
        made = cluster.make_space(name, project="foo")
        namespace = cluster.get(f"/api/v1/namespaces/{name}")
        assert namespace is not None
        meta = namespace["metadata"]
        assert meta["labels"]["decco.platform9.com/project"] == "foo"
        assert meta["labels"]["app.kubernetes.io/managed-by"] == "decco"
        assert meta["labels"]["decco.platform9.com/space"] == name
        assert meta["labels"]["pod-security.kubernetes.io/enforce"] == "baseline"
        assert meta["annotations"]["decco.platform9.com/fqdn"] == f"{name}.example.net"
        assert meta["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
        assert meta["ownerReferences"][0]["controller"] is True
        policy = cluster.get(f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies/decco")
        assert policy is not None
        assert policy["spec"]["ingress"] == [{"from": [{"podSelector": {}}]}]

    def test_status_names_namespace_and_hostname(self, cluster: Cluster, name: str) -> None:
        cluster.make_space(name)
        status = (cluster.space(name) or {})["status"]
        assert status["namespace"] == name
        assert status["hostname"] == f"{name}.example.net"
        assert status["observedGeneration"] == 1

    @pytest.mark.parametrize(
        ("before", "after", "label", "wanted"),
        [
            ({}, {"project": "foo"}, "decco.platform9.com/project", "foo"),
            ({"project": "foo"}, {"project": "bar"}, "decco.platform9.com/project", "bar"),
            ({"project": "foo"}, {"project": None}, "decco.platform9.com/project", None),
            ({}, {"podSecurity": "restricted"}, "pod-security.kubernetes.io/enforce", "restricted"),
            ({"podSecurity": "privileged"}, {"podSecurity": None}, "pod-security.kubernetes.io/enforce", "baseline"),
            ({}, {"mesh": "Istio"}, "istio.io/dataplane-mode", "ambient"),
            ({"mesh": "Istio"}, {"mesh": "None"}, "istio.io/dataplane-mode", None),
        ],
    )
    def test_namespace_labels_follow(
        self, cluster: Cluster, name: str, before: Obj, after: Obj, label: str, wanted: str | None
    ) -> None:
        cluster.make_space(name, **before)
        cluster.patch(f"{APIS}/spaces/{name}", {"spec": after})

        def label_is_as_wanted() -> bool:
            namespace = cluster.get(f"/api/v1/namespaces/{name}") or {}
            return bool(namespace["metadata"]["labels"].get(label) == wanted)

        eventually(label_is_as_wanted, 5)

    @pytest.mark.parametrize(
        ("field", "plural", "first", "second"),
        [
            ("resourceQuota", "resourcequotas", {"hard": {"pods": "5"}}, {"hard": {"pods": "7", "services": "3"}}),
            (
                "limitRange",
                "limitranges",
                {"limits": [{"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "100m"}}]},
                {"limits": [{"type": "Container", "max": {"cpu": "2"}}]},
            ),
        ],
    )
    def test_quota_and_limits_come_change_and_go(
        self, cluster: Cluster, name: str, field: str, plural: str, first: Obj, second: Obj
    ) -> None:
        path = f"/api/v1/namespaces/{name}/{plural}/decco"
        cluster.make_space(name, **{field: first})
        eventually(lambda: cluster.get(path), 5)
        cluster.patch(f"{APIS}/spaces/{name}", [{"op": "replace", "path": f"/spec/{field}", "value": second}], "json")
        if field == "resourceQuota":
            eventually(lambda: (cluster.get(path) or {})["spec"] == second, 5)
        else:
            eventually(lambda: (cluster.get(path) or {})["spec"]["limits"][0].get("max") == {"cpu": "2"}, 5)
        cluster.patch(f"{APIS}/spaces/{name}", {"spec": {field: None}})
        eventually(lambda: cluster.get(path) is None, 5)

    def test_two_quick_changes_end_in_the_last(self, cluster: Cluster, name: str) -> None:
        cluster.make_space(name)
        for project in ("one", "two", "three", "last"):
            cluster.patch(f"{APIS}/spaces/{name}", {"spec": {"project": project}})

        def settled() -> bool:
            namespace = cluster.get(f"/api/v1/namespaces/{name}") or {}
            status = (cluster.space(name) or {})["status"]
            label = namespace["metadata"]["labels"].get("decco.platform9.com/project")
            return bool(label == "last" and status["observedGeneration"] == 5)

        eventually(settled, 5)


Check = Callable[[Cluster, str], Any]

ENDPOINT = {"name": "db", "port": 5432, "certAndCaSecretName": "tls"}


def _deployment(cluster: Cluster, namespace: str) -> Obj:
    return (cluster.deployment(namespace, "web") or {})["spec"]


def _pod(cluster: Cluster, namespace: str) -> Obj:
    return dict(_deployment(cluster, namespace)["template"]["spec"])


def _config(cluster: Cluster, namespace: str) -> str:
    found = cluster.get(f"/api/v1/namespaces/{namespace}/configmaps/web-stunnel")
    return "\n".join((found or {"data": {}})["data"].values())


def _route(cluster: Cluster, namespace: str, kind: str, name: str) -> Obj | None:
    return cluster.get(f"/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/{kind}/{name}")


def _path(cluster: Cluster, namespace: str, name: str = "web") -> str | None:
    route = _route(cluster, namespace, "httproutes", name)
    return route["spec"]["rules"][0]["matches"][0]["path"]["value"] if route else None


# (what, spec before, spec after as a merge patch, what is true before, what is true after)
EDITS: list[tuple[str, Obj, Obj, Check, Check]] = [
    (
        "image",
        {},
        {"pod": pod(8080, image="registry.example/app:2")},
        lambda c, n: _pod(c, n)["containers"][0]["image"].endswith(":1"),
        lambda c, n: _pod(c, n)["containers"][0]["image"].endswith(":2"),
    ),
    (
        "a field of the pod goes",
        {"pod": pod(8080, nodeSelector={"disk": "ssd"}, hostNetwork=True)},
        {"pod": {"nodeSelector": None, "hostNetwork": None}},
        lambda c, n: _pod(c, n)["nodeSelector"] == {"disk": "ssd"} and _pod(c, n)["hostNetwork"],
        lambda c, n: "nodeSelector" not in _pod(c, n) and not _pod(c, n).get("hostNetwork"),
    ),
    (
        "initialReplicas",
        {"initialReplicas": 2},
        {"initialReplicas": 5},
        lambda c, n: _deployment(c, n)["replicas"] == 2,
        lambda c, n: _deployment(c, n)["replicas"] == 5,
    ),
    (
        "initialReplicas to zero",
        {"initialReplicas": 2},
        {"initialReplicas": 0},
        lambda c, n: _deployment(c, n)["replicas"] == 2,
        lambda c, n: _deployment(c, n)["replicas"] == 0,
    ),
    (
        "Deployment becomes Job",
        {},
        {"runAsJob": True, "jobBackoffLimit": 2, "pod": {"restartPolicy": "Never"}},
        lambda c, n: c.deployment(n, "web"),
        lambda c, n: c.deployment(n, "web") is None and c.get(f"/apis/batch/v1/namespaces/{n}/jobs/web"),
    ),
    (
        "jobBackoffLimit",
        {"runAsJob": True, "jobBackoffLimit": 2, "pod": pod(restartPolicy="Never")},
        {"jobBackoffLimit": 4},
        lambda c, n: (c.get(f"/apis/batch/v1/namespaces/{n}/jobs/web") or {})["spec"]["backoffLimit"] == 2,
        lambda c, n: (c.get(f"/apis/batch/v1/namespaces/{n}/jobs/web") or {})["spec"]["backoffLimit"] == 4,
    ),
    (
        "httpUrlPath",
        {"httpUrlPath": "/a"},
        {"httpUrlPath": "/b"},
        lambda c, n: _path(c, n) == "/a",
        lambda c, n: _path(c, n) == "/b",
    ),
    (
        "an HTTP path becomes a TCP endpoint",
        {"httpUrlPath": "/a"},
        {"httpUrlPath": None, "tlsCaAndCertSecretName": "tls"},
        lambda c, n: _path(c, n) == "/a",
        lambda c, n: _route(c, n, "httproutes", "web") is None and _route(c, n, "tlsroutes", "web"),
    ),
    (
        "rewritePath",
        {"endpoints": [{"name": "web", "port": 8080, "httpPath": "/a", "rewritePath": "/x"}]},
        {"endpoints": [{"name": "web", "port": 8080, "httpPath": "/a"}]},
        lambda c, n: "URLRewrite" in str(_route(c, n, "httproutes", "web")),
        lambda c, n: "URLRewrite" not in str(_route(c, n, "httproutes", "web")),
    ),
    (
        "an endpoint comes",
        {"endpoints": [{"name": "web", "port": 8080, "httpPath": "/a"}]},
        {"endpoints": [{"name": "web", "port": 8080, "httpPath": "/a"}, ENDPOINT]},
        lambda c, n: c.service(n, "web") and c.service(n, "db") is None,
        lambda c, n: c.service(n, "web") and c.service(n, "db") and _route(c, n, "tlsroutes", "db"),
    ),
    (
        "an endpoint goes, with all that it had",
        {"endpoints": [ENDPOINT]},
        {"endpoints": []},
        lambda c, n: c.service(n, "db") and _route(c, n, "tlsroutes", "db") and "db" in _config(c, n),
        lambda c, n: (
            c.service(n, "db") is None
            and _route(c, n, "tlsroutes", "db") is None
            and not _config(c, n)
            and not _ingress_rules(c, n, "web")
            and not _pod(c, n).get("initContainers")
        ),
    ),
    (
        "an endpoint's port",
        {"endpoints": [ENDPOINT]},
        {"endpoints": [{**ENDPOINT, "port": 5433}]},
        lambda c, n: ":5432" in _config(c, n),
        lambda c, n: ":5433" in _config(c, n) and ":5432" not in _config(c, n),
    ),
    (
        "tlsListenPort",
        {"endpoints": [ENDPOINT]},
        {"endpoints": [{**ENDPOINT, "tlsListenPort": 8443}]},
        lambda c, n: (c.service(n, "db") or {})["spec"]["ports"][0]["port"] == 443,
        lambda c, n: (c.service(n, "db") or {})["spec"]["ports"][0]["port"] == 8443,
    ),
    (
        "verifyTcpClientCert",
        {"endpoints": [ENDPOINT]},
        {"endpoints": [{**ENDPOINT, "verifyTcpClientCert": True}]},
        lambda c, n: "accept" in _config(c, n) and "requireCert = yes" not in _config(c, n),
        lambda c, n: "requireCert = yes" in _config(c, n) and "verifyChain = yes" in _config(c, n),
    ),
    (
        "allowedClients",
        {"endpoints": [{**ENDPOINT, "allowedClients": ["a.example.net"]}]},
        {"endpoints": [{**ENDPOINT, "allowedClients": ["b.example.net", "c.example.net"]}]},
        lambda c, n: "checkHost = a.example.net" in _config(c, n),
        lambda c, n: "checkHost = c.example.net" in _config(c, n) and "a.example.net" not in _config(c, n),
    ),
    (
        "hostname",
        {"endpoints": [ENDPOINT]},
        {"endpoints": [{**ENDPOINT, "hostname": "{fqdn-prefix}"}]},
        lambda c, n: (_route(c, n, "tlsroutes", "db") or {})["spec"]["hostnames"] == [f"db.{n}.example.net"],
        lambda c, n: (_route(c, n, "tlsroutes", "db") or {})["spec"]["hostnames"] == [f"other.{n}.example.net"],
    ),
    (
        "certAndCaSecretName",
        {"endpoints": [ENDPOINT]},
        {"endpoints": [{**ENDPOINT, "certAndCaSecretName": "tls-two"}]},
        lambda c, n: c.get(f"/api/v1/namespaces/{n}/secrets/tls"),
        lambda c, n: (
            c.get(f"/api/v1/namespaces/{n}/secrets/tls") is None
            and c.get(f"/api/v1/namespaces/{n}/secrets/tls-two")
            and "tls-two" in str(_pod(c, n)["volumes"])
        ),
    ),
    (
        "disableTlsTermination",
        {"endpoints": [ENDPOINT]},
        {"endpoints": [{"name": "db", "port": 5432, "disableTlsTermination": True}]},
        lambda c, n: _pod(c, n)["initContainers"],
        lambda c, n: not _pod(c, n).get("initContainers") and _route(c, n, "tlsroutes", "db"),
    ),
    (
        "createClearTextService",
        {"endpoints": [{**ENDPOINT, "createClearTextService": True}]},
        {"endpoints": [ENDPOINT]},
        lambda c, n: (c.service(n, "db-cleartext") or {})["spec"]["ports"][0]["targetPort"] == 5432,
        lambda c, n: c.service(n, "db-cleartext") is None and c.service(n, "db"),
    ),
    (
        "isMetricsEndpoint",
        {"endpoints": [{"name": "db", "port": 9090, "disableTlsTermination": True}]},
        {"endpoints": [{"name": "db", "port": 9090, "isMetricsEndpoint": True}]},
        lambda c, n: _route(c, n, "tlsroutes", "db"),
        lambda c, n: (
            _route(c, n, "tlsroutes", "db") is None
            and "decco.platform9.com/monitoring" in str(_ingress_rules(c, n, "web"))
        ),
    ),
    (
        "an egress comes",
        {"endpoints": []},
        {"tlsEgresses": [{"localPort": 6000, "fqdn": "out.example.com", "certAndCaSecretName": "tls"}]},
        lambda c, n: not _config(c, n),
        lambda c, n: "out.example.com.:443" in _config(c, n) and ":6000" in _config(c, n),
    ),
    (
        "an egress's target and port",
        {
            "endpoints": [],
            "egresses": [{"localPort": 6000, "fqdn": "out.example.com", "certAndCaSecretName": "tls"}],
        },
        {"egresses": [{"localPort": 6001, "fqdn": "two.example.com", "targetPort": 99, "certAndCaSecretName": "tls"}]},
        lambda c, n: "out.example.com.:443" in _config(c, n),
        lambda c, n: "two.example.com.:99" in _config(c, n) and "out.example.com" not in _config(c, n),
    ),
    (
        "an egress that trusts everybody",
        {
            "endpoints": [],
            "tlsEgresses": [{"localPort": 6000, "fqdn": "out.example.com", "certAndCaSecretName": "tls"}],
        },
        {
            "tlsEgresses": [
                {
                    "localPort": 6000,
                    "fqdn": "out.example.com",
                    "certAndCaSecretName": "tls",
                    "disableServerCertVerification": True,
                }
            ]
        },
        lambda c, n: "checkHost = out.example.com" in _config(c, n),
        lambda c, n: "client = yes" in _config(c, n) and "checkHost" not in _config(c, n),
    ),
]


class TestApp:
    """The children of an App, before and after an edit."""

    @pytest.fixture(autouse=True)
    def _secrets(self, cluster: Cluster) -> None:
        for secret in ("tls", "tls-two"):
            if cluster.get(f"/api/v1/namespaces/decco/secrets/{secret}") is None:
                cluster.create(tls_secret(secret))

    @pytest.mark.parametrize("edit", EDITS, ids=[edit[0] for edit in EDITS])
    def test_children_follow(self, cluster: Cluster, name: str, edit: tuple[str, Obj, Obj, Check, Check]) -> None:
        _, before, after, old, new = edit
        after = _filled(after, name)
        cluster.make_space(name)
        cluster.create(app(name, "web", **before))
        eventually(lambda: _true(old, cluster, name), 5, "the state before the edit")
        cluster.patch(f"{APIS}/namespaces/{name}/apps/web", {"spec": after})
        eventually(lambda: _true(new, cluster, name), 5, "the state after the edit")
        generation = (cluster.app(name, "web") or {})["metadata"]["generation"]

        def seen() -> bool:
            status = (cluster.app(name, "web") or {}).get("status") or {}
            return bool(status.get("observedGeneration") == generation)

        eventually(seen, 5, "status")

    def test_two_quick_changes_end_in_the_last(self, cluster: Cluster, name: str) -> None:
        cluster.make_space(name)
        cluster.create(app(name, "web", httpUrlPath="/first"))
        for path in ("/a", "/b", "/c", "/last"):
            cluster.patch(f"{APIS}/namespaces/{name}/apps/web", {"spec": {"httpUrlPath": path}})
        eventually(lambda: _path(cluster, name) == "/last", 5)


def _true(check: Check, cluster: Cluster, name: str) -> bool:
    try:
        return bool(check(cluster, name))
    except (KeyError, TypeError, IndexError):
        return False  # a child that is not there yet


def _filled(spec: Any, name: str) -> Any:
    """The spec with the test's own host name in it."""
    if isinstance(spec, dict):
        return {key: _filled(value, name) for key, value in spec.items()}
    if isinstance(spec, list):
        return [_filled(value, name) for value in spec]
    return f"other.{name}.example.net" if spec == "{fqdn-prefix}" else spec


def test_the_controller_is_the_real_one(decco: Decco) -> None:
    assert decco.metric("decco_build_info{") == 1
