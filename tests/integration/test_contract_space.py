"""A Space as its contract has it: namespace, isolation, Secrets by consent, limits. Seen from outside only."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

import pytest

from testbed.api import RequestFailed
from testbed.controlplane import ControlPlane
from tests.integration.harness import (
    APIS,
    Cluster,
    Decco,
    Obj,
    app,
    eventually,
    http_app,
    own_control_plane,
    pod,
    space,
    tls_secret,
)
from tests.integration.loop import assert_no_defects

PREFIX = "decco.platform9.com"
EDGE = {"edge__namespace": "the-edge", "edge__cidrs": "192.0.2.0/24,2001:db8:0:1::/64"}
LONGEST = "s" + "-x" * 30 + "9z"


@pytest.fixture(scope="module")
def control_plane() -> Iterator[ControlPlane]:
    """One of this module's own: with other settings every policy of the cluster is another."""
    with own_control_plane() as cp:
        yield cp


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane) -> Cluster:
    return Cluster(control_plane)


@pytest.fixture(scope="module")
def decco(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decco]:
    """A controller with an edge: a namespace, and networks of both IP families."""
    decco = Decco(control_plane, tmp_path_factory.mktemp("decco"), **EDGE).start()
    yield decco
    assert decco.stop() == 0, decco.tail()
    assert_no_defects(decco)


@pytest.fixture(autouse=True)
def _running(decco: Decco) -> None:
    """Every test needs the controller."""


def namespace_of(cluster: Cluster, name: str) -> Obj:
    return (cluster.get(f"/api/v1/namespaces/{name}") or {"metadata": {}})["metadata"]


def reason(cluster: Cluster, name: str, kind: str) -> str:
    """Of a condition that is False, "" if it is not."""
    found = cluster.space_condition(name, kind) or {}
    return str(found["reason"]) if found.get("status") == "False" else ""


def true(cluster: Cluster, name: str, kind: str) -> bool:
    return (cluster.space_condition(name, kind) or {}).get("status") == "True"


def policies(cluster: Cluster, namespace: str) -> list[Obj]:
    return cluster.items(f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies")


def secret_path(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/secrets/{name}"


# -- the children -----------------------------------------------------------------------------------------------------

FULL: Obj = {
    "domainName": "full.example.net",
    "project": "0-project",
    "hostnames": ["www.example.org", "xn--bcher-kva.example.com"],
    "encryptHttp": True,
    "podSecurity": "restricted",
    "resourceQuota": {"hard": {"pods": "10", "requests.cpu": "2"}},
    "limitRange": {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]},
}
SPACE_CHILDREN = {
    "Namespace": "/api/v1/namespaces/{n}",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{n}/networkpolicies/decco",
    "ResourceQuota": "/api/v1/namespaces/{n}/resourcequotas/decco",
    "LimitRange": "/api/v1/namespaces/{n}/limitranges/decco",
    "Secret of HTTP": "/api/v1/namespaces/{n}/secrets/contract-http",
    "Secret of TCP": "/api/v1/namespaces/{n}/secrets/contract-tcp",
    "Gateway": "/apis/gateway.networking.k8s.io/v1/namespaces/{n}/gateways/decco",
    "HTTPRoute": "/apis/gateway.networking.k8s.io/v1/namespaces/{n}/httproutes/decco.redirect",
    "ConfigMap": "/api/v1/namespaces/{n}/configmaps/decco",
}


@pytest.fixture(scope="module")
def full(cluster: Cluster, decco: Decco) -> str:
    for name in ("contract-http", "contract-tcp"):
        cluster.create(tls_secret(name, "*.full.example.net"))
    cluster.make_space(LONGEST, httpCertSecretName="contract-http", tcpCertAndCaSecretName="contract-tcp", **_full())
    return LONGEST


class TestChildren:
    """One Space with everything, under the longest name there is."""

    @pytest.mark.parametrize("kind", SPACE_CHILDREN)
    def test_every_child_says_whose_it_is(self, cluster: Cluster, full: str, kind: str) -> None:
        meta = eventually(lambda: cluster.get(SPACE_CHILDREN[kind].format(n=full)), 10)["metadata"]
        assert meta["labels"]["app.kubernetes.io/managed-by"] == "decco"
        assert meta["labels"][f"{PREFIX}/space"] == full
        assert f"{PREFIX}/app" not in meta["labels"]
        (owner,) = [owner for owner in meta["ownerReferences"] if owner.get("controller")]
        uid = (cluster.space(full) or {})["metadata"]["uid"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("Space", full, uid)
        managers = {
            entry["manager"]
            for entry in meta["managedFields"]
            if entry.get("subresource") is None and "f:ownerReferences" in entry["fieldsV1"].get("f:metadata", {})
        }
        assert managers == {"decco"}

    def test_the_namespace_contains_project_security_and_fqdn(self, cluster: Cluster, full: str) -> None:
        meta = namespace_of(cluster, full)
        assert meta["labels"][f"{PREFIX}/project"] == "0-project"
        assert meta["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        assert meta["annotations"][f"{PREFIX}/fqdn"] == f"{full}.full.example.net"

    def test_limits_are_as_written(self, cluster: Cluster, full: str) -> None:
        quota = cluster.get(SPACE_CHILDREN["ResourceQuota"].format(n=full)) or {}
        assert quota["spec"] == FULL["resourceQuota"]
        limits = cluster.get(SPACE_CHILDREN["LimitRange"].format(n=full)) or {}
        assert limits["spec"]["limits"][0]["max"] == {"memory": "1Gi"}

    def test_status_contains_namespace_and_hostname(self, cluster: Cluster, full: str) -> None:
        status = (cluster.space(full) or {})["status"]
        assert status["namespace"] == full
        assert status["hostname"] == f"{full}.full.example.net"
        for kind in ("NamespaceReady", "NetworkReady", "CertificatesReady"):
            assert true(cluster, full, kind), status

    def test_the_server_enforces_the_security_level(self, cluster: Cluster, full: str) -> None:
        bad = {"metadata": {"name": "bad"}, "spec": pod(hostNetwork=True)}
        answer = cluster.cp.request("POST", f"/api/v1/namespaces/{full}/pods?dryRun=All", bad)
        assert answer.status == 403
        assert "restricted" in answer.json()["message"]

    def test_the_encrypting_edge_is_given_certificates_and_no_key(self, cluster: Cluster, full: str) -> None:
        found = eventually(lambda: cluster.get(SPACE_CHILDREN["ConfigMap"].format(n=full)), 10)
        assert found["data"]["ca.crt"].startswith("-----BEGIN CERTIFICATE-----")
        assert "PRIVATE" not in str(found["data"])


def _full() -> Obj:
    spec = dict(FULL)
    return {"domain": spec.pop("domainName"), **spec}


def test_a_bare_space_has_only_a_namespace(cluster: Cluster, decco: Decco, name: str) -> None:
    """No Secrets, no limits, no Apps: what does not apply is absent, in the status too."""
    cluster.make_space(name)
    decco.settle()
    meta = namespace_of(cluster, name)
    assert meta["labels"]["pod-security.kubernetes.io/enforce"] == "baseline"
    assert f"{PREFIX}/project" not in meta["labels"]
    assert cluster.items(f"/api/v1/namespaces/{name}/resourcequotas") == []
    assert cluster.items(f"/api/v1/namespaces/{name}/limitranges") == []
    assert cluster.items(f"/api/v1/namespaces/{name}/secrets") == []
    assert cluster.space_condition(name, "CertificatesReady") is None
    assert cluster.space_condition(name, "DNSReady") is None
    assert true(cluster, name, "NamespaceReady")


def test_the_longest_fqdn_is_served_over_http(cluster: Cluster, decco: Decco, name: str) -> None:
    """253 characters: a Gateway refuses a wildcard above that, and must not lose the other listeners by it."""
    labels = (253 - len(name) - 1) // 50
    domain = ".".join(["d" * 49] * labels)
    domain += "." + "e" * (253 - len(name) - 2 - len(domain))
    assert len(f"{name}.{domain}") == 253
    cluster.create(space(name, domain=domain))
    path = f"/apis/gateway.networking.k8s.io/v1/namespaces/{name}/gateways/decco"
    gateway = eventually(lambda: cluster.get(path), 10)
    assert [listener["hostname"] for listener in gateway["spec"]["listeners"]] == [f"{name}.{domain}"]
    eventually(lambda: reason(cluster, name, "Ready") == "WaitingForEdge", 5)


def test_many_hostnames(cluster: Cluster, name: str) -> None:
    names = sorted(f"h{number}.{name}.example.org" for number in range(30))
    cluster.make_space(name, hostnames=names)
    path = f"/apis/gateway.networking.k8s.io/v1/namespaces/{name}/gateways/decco"
    gateway = eventually(lambda: cluster.get(path), 10)
    found = [listener["hostname"] for listener in gateway["spec"]["listeners"]]
    assert set(names) <= set(found)
    assert len({listener["name"] for listener in gateway["spec"]["listeners"]}) == len(found)


@pytest.mark.parametrize("system", ["kube-system", "default"])
def test_a_space_named_like_a_namespace_of_kubernetes_is_refused(cluster: Cluster, system: str) -> None:
    with pytest.raises(RequestFailed, match="choose another name"):
        cluster.create(space(system))


def test_a_space_named_like_the_namespace_of_the_controller(cluster: Cluster, decco: Decco) -> None:
    system = "decco"
    before = cluster.get(f"/api/v1/namespaces/{system}")
    objects = len(policies(cluster, system))
    cluster.create(space(system))
    try:
        eventually(lambda: reason(cluster, system, "Ready") == "NameReserved")
        cluster.create(http_app(system, "web"))
        eventually(lambda: cluster.app_condition(system, "web", "Ready"), 5)
        decco.settle()
        assert (cluster.app_condition(system, "web", "Ready") or {})["status"] == "False"
        assert cluster.deployment(system, "web") is None
        assert cluster.service(system, "web") is None
        assert len(policies(cluster, system)) == objects
    finally:
        cluster.delete(f"{APIS}/namespaces/{system}/apps/web")
        cluster.delete(f"{APIS}/spaces/{system}")
    eventually(lambda: cluster.space(system) is None, 10)
    decco.settle()
    assert cluster.get(f"/api/v1/namespaces/{system}") == before


# -- isolation --------------------------------------------------------------------------------------------------------

TENANTS = {"iso-a": "blue", "iso-b": "blue", "iso-c": "green", "iso-open": None}


@pytest.fixture(scope="module")
def spaces(cluster: Cluster, decco: Decco) -> dict[str, str | None]:
    if cluster.get(secret_path("decco", "iso-tcp")) is None:
        cluster.create(tls_secret("iso-tcp"))
    for name, project in TENANTS.items():
        cluster.make_space(name, tcpCertAndCaSecretName="iso-tcp", **({"project": project} if project else {}))
        endpoints = [
            {"name": "db", "port": 5432},
            {"name": "own-tls", "port": 8443, "disableTlsTermination": True},
            {"name": "web", "port": 8080, "httpPath": "/web"},
            {"name": "metrics", "port": 9090, "isMetricsEndpoint": True},
            {"name": "shared", "port": 7000, "createClearTextService": True},
        ]
        cluster.create(app(name, "mixed", pod=pod(5432, 8443, 8080, 9090, 7000, 6666), endpoints=endpoints))
    for name in TENANTS:
        eventually(lambda name=name: cluster.deployment(name, "mixed"), 10)
    for name, labels in (("the-edge", {}), ("iso-monitoring", {f"{PREFIX}/monitoring": "true"}), ("iso-other", {})):
        if cluster.get(f"/api/v1/namespaces/{name}") is None:
            cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    return TENANTS


class TestIsolation:
    """Who may connect, computed from the NetworkPolicies and the namespaces' labels as the API server has them."""

    @pytest.mark.parametrize(
        ("peer", "target", "port", "allowed"),
        [
            # Pods of one Space reach each other on any port.
            ("iso-a", "iso-a", "5432", True),
            ("iso-a", "iso-a", "6666", True),
            ("iso-open", "iso-open", "9090", True),
            # A project: only Spaces of the same, and only declared endpoints.
            ("iso-b", "iso-a", "tls:db", True),
            ("iso-b", "iso-a", "8443", True),
            ("iso-b", "iso-a", "8080", True),
            ("iso-b", "iso-a", "5432", False),  # the plain text behind TLS
            ("iso-b", "iso-a", "7000", False),  # the cleartext Service is for the same Space only
            ("iso-b", "iso-a", "6666", False),
            ("iso-c", "iso-a", "tls:db", False),
            ("iso-open", "iso-a", "tls:db", False),
            ("iso-other", "iso-a", "tls:db", False),
            ("198.51.100.1", "iso-a", "tls:db", False),
            # The edge: its namespace and its networks.
            ("the-edge", "iso-a", "tls:db", True),
            ("the-edge", "iso-a", "8080", True),
            ("the-edge", "iso-a", "5432", False),
            ("192.0.2.200", "iso-a", "8080", True),
            ("2001:db8:0:1::5", "iso-a", "8080", True),
            ("2001:db8:0:2::5", "iso-a", "8080", False),
            # No project: anybody, to declared endpoints.
            ("iso-c", "iso-open", "tls:db", True),
            ("iso-other", "iso-open", "8080", True),
            ("198.51.100.1", "iso-open", "8080", True),
            ("198.51.100.1", "iso-open", "5432", False),
            ("iso-other", "iso-open", "6666", False),
            # Metrics: monitoring namespaces, and no others from outside.
            ("iso-monitoring", "iso-a", "9090", True),
            ("iso-monitoring", "iso-open", "9090", True),
            ("iso-monitoring", "iso-a", "tls:db", False),
            ("iso-b", "iso-a", "9090", False),
            ("the-edge", "iso-a", "9090", False),
            ("iso-other", "iso-open", "9090", False),
        ],
    )
    def test_who_may_connect(
        self, cluster: Cluster, spaces: dict[str, str | None], peer: str, target: str, port: str, allowed: bool
    ) -> None:
        assert _may_connect(cluster, peer, target, _number(cluster, target, port)) is allowed

    def test_traffic_out_is_not_limited(self, cluster: Cluster, spaces: dict[str, str | None]) -> None:
        for name in spaces:
            assert all(policy["spec"]["policyTypes"] == ["Ingress"] for policy in policies(cluster, name))

    def test_a_space_that_leaves_its_project(self, cluster: Cluster, decco: Decco, name: str) -> None:
        cluster.make_space(name, project="blue")
        cluster.create(app(name, "web", endpoints=[{"name": "web", "port": 8080, "httpPath": "/"}]))
        eventually(lambda: cluster.deployment(name, "web"), 10)
        assert _may_connect(cluster, "iso-b", name, 8080)
        cluster.patch(f"{APIS}/spaces/{name}", {"spec": {"project": "red"}})
        eventually(lambda: not _may_connect(cluster, "iso-b", name, 8080), 5)
        assert not _may_connect(cluster, name, "iso-a", 8080)


def _number(cluster: Cluster, namespace: str, port: str) -> int:
    """ "tls:<endpoint>" is the port of the sidecar that its Service leads to."""
    if not port.startswith("tls:"):
        return int(port)
    service = cluster.service(namespace, port.removeprefix("tls:")) or {}
    wanted = service["spec"]["ports"][0]["targetPort"]
    template = (cluster.deployment(namespace, "mixed") or {})["spec"]["template"]["spec"]
    containers = [*template.get("initContainers", []), *template["containers"]]
    named = {each["name"]: each["containerPort"] for c in containers for each in c.get("ports", []) if "name" in each}
    return int(named[wanted])


def _may_connect(cluster: Cluster, peer: str, target: str, port: int) -> bool:
    """Whether a pod of the namespace ``peer``, or the address ``peer``, reaches this port of the App's pods."""
    template = next(
        deployment["spec"]["template"] for deployment in cluster.items(f"/apis/apps/v1/namespaces/{target}/deployments")
    )
    selecting = [
        policy["spec"]
        for policy in policies(cluster, target)
        if _matches(policy["spec"]["podSelector"], template["metadata"]["labels"])
    ]
    assert selecting, "no policy selects the pods: anybody could connect"
    return any(_allows(cluster, rule, peer, target, port) for spec in selecting for rule in spec.get("ingress", []))


def _allows(cluster: Cluster, rule: Obj, peer: str, target: str, port: int) -> bool:
    ports = rule.get("ports")
    if ports and not any(each["port"] == port and each["protocol"] == "TCP" for each in ports):
        return False
    peers = rule.get("from")
    return not peers or any(_is_peer(cluster, each, peer, target) for each in peers)


def _is_peer(cluster: Cluster, wanted: Obj, peer: str, target: str) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        pass
    else:
        return "ipBlock" in wanted and address in ipaddress.ip_network(wanted["ipBlock"]["cidr"])
    if "namespaceSelector" in wanted:
        return _matches(wanted["namespaceSelector"], namespace_of(cluster, peer)["labels"])
    return "podSelector" in wanted and peer == target and wanted["podSelector"] == {}


def _matches(selector: Obj, labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, selector
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


# -- Secrets ----------------------------------------------------------------------------------------------------------


class TestSecrets:
    """Copied only if their owner consents."""

    @pytest.mark.parametrize("kind", ["kubernetes.io/tls", "Opaque", "example.net/own"])
    def test_the_type_is_kept(self, cluster: Cluster, name: str, kind: str) -> None:
        source = tls_secret(name)
        cluster.create({**source, "type": kind})
        cluster.make_space(name, tcpCertAndCaSecretName=name)
        copy = eventually(lambda: cluster.get(secret_path(name, name)), 5)
        assert copy["type"] == kind
        assert copy["data"] == source["data"]
        assert f"{PREFIX}/share" not in copy["metadata"]["labels"]

    @pytest.mark.parametrize(
        ("label", "annotation", "shared"),
        [
            ("true", "*", True),
            ("true", " other ,\t{n} , third", True),
            ("true", "{n},", True),
            ("true", "other, *", True),
            ("true", "{n}.example.net", True),
            ("true", "*.example.net", True),
            ("true", "{n}x, x{n}, {n}.example.com, *.example.com", False),
            ("true", "", False),
            ("true", None, False),
            ("True", "*", False),
            ("yes", "{n}", False),
            (None, "*", False),
        ],
    )
    def test_consent(
        self, cluster: Cluster, decco: Decco, name: str, label: str | None, annotation: str | None, shared: bool
    ) -> None:
        secret = tls_secret(name, share=None)
        if label is not None:
            secret["metadata"]["labels"] = {f"{PREFIX}/share": label}
        if annotation is not None:
            secret["metadata"]["annotations"] = {f"{PREFIX}/share-with": annotation.format(n=name)}
        cluster.create(secret)
        cluster.make_space(name, httpCertSecretName=name)
        if shared:
            eventually(lambda: true(cluster, name, "CertificatesReady"), 5)
            assert cluster.get(secret_path(name, name))
        else:
            eventually(lambda: reason(cluster, name, "CertificatesReady") == "SecretMissing", 5)
            decco.settle(quiet=0.3)
            assert cluster.get(secret_path(name, name)) is None

    def test_one_is_revoked_and_the_other_space_keeps_its_copy(self, cluster: Cluster, name: str) -> None:
        first, second = f"{name}-a", f"{name}-b"
        cluster.create(tls_secret(name, "*.example.net", share=f"{first},{second}"))
        for each in (first, second):
            cluster.make_space(each, httpCertSecretName=name)
            eventually(lambda each=each: cluster.get(secret_path(each, name)), 5)
        patch = {"metadata": {"annotations": {f"{PREFIX}/share-with": second}}}
        cluster.patch(secret_path("decco", name), patch)
        eventually(lambda: cluster.get(secret_path(first, name)) is None, 5)
        eventually(lambda: reason(cluster, first, "CertificatesReady") == "SecretMissing", 5)
        assert cluster.get(secret_path(second, name))
        assert true(cluster, second, "CertificatesReady")

    def test_a_source_of_another_type_is_followed(self, cluster: Cluster, name: str) -> None:
        source = tls_secret(name)
        cluster.create(source)
        cluster.make_space(name, httpCertSecretName=name)
        eventually(lambda: cluster.get(secret_path(name, name)), 5)
        cluster.delete(secret_path("decco", name))
        cluster.create({**source, "type": "Opaque"})
        eventually(lambda: (cluster.get(secret_path(name, name)) or {}).get("type") == "Opaque", 10)
        eventually(lambda: true(cluster, name, "CertificatesReady"), 5)

    def test_a_copy_that_lost_deccos_label_is_still_a_copy(self, cluster: Cluster, name: str) -> None:
        """Named by an App only: then a foreign Secret would be used as it is."""
        cluster.create(tls_secret(name))
        cluster.make_space(name)
        cluster.create(app(name, "db", endpoints=[{"name": "db", "port": 8080, "certAndCaSecretName": name}]))
        eventually(lambda: cluster.get(secret_path(name, name)), 5)
        label = "app.kubernetes.io/managed-by"
        cluster.patch(secret_path(name, name), {"metadata": {"labels": {label: None}}})
        fresh = tls_secret(name)["data"]
        cluster.patch(secret_path("decco", name), {"data": fresh})
        eventually(lambda: (cluster.get(secret_path(name, name)) or {})["data"] == fresh, 5)
        assert label in (cluster.get(secret_path(name, name)) or {})["metadata"]["labels"]

    def test_only_shared_secrets_are_watched(self, cluster: Cluster, decco: Decco) -> None:
        watches = [event.uri for event in cluster.cp.audit("decco") if event.verb == "watch"]
        of_secrets = [uri for uri in watches if "/secrets" in uri]
        assert of_secrets
        assert all("/namespaces/decco/secrets?" in uri and "labelSelector=" in uri for uri in of_secrets)

    def test_what_a_secret_holds_is_in_no_log_and_in_no_status(self, cluster: Cluster, decco: Decco, name: str) -> None:
        marked = b"-----BEGIN PRIVATE KEY-----\nVERYSECRETMARK\n-----END PRIVATE KEY-----\n"
        cluster.create({**tls_secret(name, **{"tls.key": marked}), "type": "Opaque"})
        cluster.create(space(name, httpCertSecretName=name))
        eventually(lambda: reason(cluster, name, "CertificatesReady") == "SecretInvalid", 5)
        decco.settle(quiet=0.3)
        assert "VERYSECRETMARK" not in decco.log.read_text()
        assert "VERYSECRETMARK" not in str(cluster.space(name))


# -- defaults that Apps take from their Space --------------------------------------------------------------------------


def test_runtime_class_and_zones_are_defaults_of_the_apps(cluster: Cluster, name: str) -> None:
    cluster.make_space(name, runtimeClassName="kata", topology={"zoneSpread": "Require"})
    own = {"maxSkew": 3, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
    mine = pod(8080, runtimeClassName="gvisor", topologySpreadConstraints=[{**own, "labelSelector": {}}])
    cluster.create(app(name, "plain", endpoints=[]))
    cluster.create(app(name, "mine", pod=mine, endpoints=[]))
    plain = eventually(lambda: cluster.deployment(name, "plain"), 10)["spec"]["template"]["spec"]
    assert plain["runtimeClassName"] == "kata"
    (constraint,) = plain["topologySpreadConstraints"]
    assert constraint["topologyKey"] == "topology.kubernetes.io/zone"
    assert constraint["whenUnsatisfiable"] == "DoNotSchedule"
    kept = eventually(lambda: cluster.deployment(name, "mine"), 10)["spec"]["template"]["spec"]
    assert kept["runtimeClassName"] == "gvisor"
    assert [each["maxSkew"] for each in kept["topologySpreadConstraints"]] == [3]
    cluster.patch(f"{APIS}/spaces/{name}", {"spec": {"runtimeClassName": None, "topology": {"zoneSpread": "Off"}}})

    def gone() -> bool:
        found = (cluster.deployment(name, "plain") or {})["spec"]["template"]["spec"]
        return "runtimeClassName" not in found and "topologySpreadConstraints" not in found

    eventually(gone, 5)
