"""An App as its contract has it: the result of its pod, endpoints and egresses. Seen from outside only."""

from __future__ import annotations

import re
from typing import Any

import pytest

from testbed.api import RequestFailed
from tests.integration.by_hand import pods, run_pods
from tests.integration.harness import APIS, Cluster, Decco, Obj, app, eventually, http_app, pod, tls_secret

PREFIX = "decco.platform9.com"
GATEWAY = "/apis/gateway.networking.k8s.io/v1"
LONGEST = "a" + "-y" * 30 + "0z"


@pytest.fixture(autouse=True)
def _ready(decco: Decco, cluster: Cluster) -> None:
    """Every test needs the controller, and a certificate."""
    for name in ("app-http", "app-tcp"):
        if cluster.get(f"/api/v1/namespaces/decco/secrets/{name}") is None:
            cluster.create(tls_secret(name))


SECRETS = {"httpCertSecretName": "app-http", "tcpCertAndCaSecretName": "app-tcp"}


def reason(cluster: Cluster, namespace: str, name: str, kind: str = "Ready") -> str:
    """Of a condition that is False, "" if it is not."""
    found = cluster.app_condition(namespace, name, kind) or {}
    return str(found["reason"]) if found.get("status") == "False" else ""


def message(cluster: Cluster, namespace: str, name: str, kind: str = "Ready") -> str:
    return str((cluster.app_condition(namespace, name, kind) or {}).get("message", ""))


def observed(cluster: Cluster, namespace: str, name: str) -> Obj:
    """The App, once its status is about its newest spec."""

    def current() -> Obj | None:
        found = cluster.app(namespace, name) or {}
        generation = (found.get("status") or {}).get("observedGeneration")
        return found if generation == found["metadata"]["generation"] else None

    found = eventually(current, 10, f"status of {namespace}/{name}")
    assert found is not None
    return found


def edit(cluster: Cluster, namespace: str, name: str, **spec: Any) -> Obj:
    """Replaces these fields of the spec as a whole, and waits until the status is about it."""
    patch = [{"op": "add", "path": f"/spec/{field}", "value": value} for field, value in spec.items()]
    cluster.patch(f"{APIS}/namespaces/{namespace}/apps/{name}", patch, "json")
    return observed(cluster, namespace, name)


def deployed_pod(cluster: Cluster, namespace: str, name: str) -> Obj:
    found = eventually(lambda: cluster.deployment(namespace, name), 10)
    return dict(found["spec"]["template"]["spec"])


def job(cluster: Cluster, namespace: str, name: str) -> Obj | None:
    return cluster.get(f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}")


def sections(cluster: Cluster, namespace: str, name: str) -> dict[str, list[str]]:
    """The lines of each section of the sidecar's configuration; {} if there is none."""
    found = cluster.get(f"/api/v1/namespaces/{namespace}/configmaps/{name}-stunnel") or {"data": {}}
    text = "\n".join(found["data"].values())
    return {
        head: [line.strip() for line in body.splitlines() if line.strip()]
        for head, body in re.findall(r"^\[(.+?)\]\n((?:(?!\[).*\n?)*)", text, re.MULTILINE)
    }


# -- the pod ----------------------------------------------------------------------------------------------------------

RICH_POD: Obj = {
    "serviceAccountName": "worker",
    "terminationGracePeriodSeconds": 7,
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "securityContext": {"fsGroup": 2000},
    "initContainers": [
        {"name": "migrate", "image": "registry.example/migrate:1", "command": ["true"]},
        {"name": "log-shipper", "image": "registry.example/logs:1", "restartPolicy": "Always"},
    ],
    "containers": [
        {
            "name": "main",
            "image": "registry.example/app@sha256:" + "0" * 64,
            "ports": [{"name": "web", "containerPort": 8080}, {"name": "udp", "containerPort": 53, "protocol": "UDP"}],
            "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}, {"name": "claim", "mountPath": "/claim"}],
            "livenessProbe": {"httpGet": {"path": "/", "port": "web"}},
            "resources": {"requests": {"cpu": "0.5"}, "limits": {"memory": "1024Mi"}},
        },
        {"name": "second", "image": "registry.example/second:1", "ports": [{"containerPort": 9090}]},
    ],
    "volumes": [
        {"name": "scratch", "emptyDir": {"medium": "Memory"}},
        {
            "name": "claim",
            "ephemeral": {
                "volumeClaimTemplate": {
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
                }
            },
        },
    ],
}


WITH_SYSCTL: Obj = {"fsGroup": 2000, "sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]}


def assert_covers(live: object, wanted: object, at: str) -> None:
    """Everything in ``wanted`` is in ``live``, lists item by item; quantities may be written in another way."""
    if isinstance(wanted, dict):
        assert isinstance(live, dict), at
        for key, value in wanted.items():
            assert key in live, f"{at}.{key}"
            assert_covers(live[key], value, f"{at}.{key}")
    elif isinstance(wanted, list):
        assert isinstance(live, list), at
        assert len(live) == len(wanted), at
        for number, (mine, theirs) in enumerate(zip(live, wanted, strict=True)):
            assert_covers(mine, theirs, f"{at}[{number}]")
    elif wanted not in ("0.5", "1024Mi"):
        assert live == wanted, at


def without_ours(live: Obj) -> Obj:
    """The pod less what decco says it adds: things whose names begin with decco-, and one sysctl."""
    found = dict(live)
    for field in ("initContainers", "containers", "volumes"):
        found[field] = [item for item in live.get(field) or () if not item["name"].startswith("decco-")]
    context = dict(live.get("securityContext") or {})
    if "sysctls" in context:
        ours = "net.ipv4.ip_unprivileged_port_start"
        context["sysctls"] = [item for item in context["sysctls"] if item["name"] != ours]
    return {**found, "securityContext": context}


class TestPod:
    """Handed to Kubernetes as it is; decco only adds."""

    @pytest.mark.parametrize("host", [False, True], ids=["own network", "host's network"])
    @pytest.mark.parametrize("tls", [False, True], ids=["bare", "with a sidecar"])
    def test_every_field_reaches_kubernetes(self, cluster: Cluster, name: str, host: bool, tls: bool) -> None:
        cluster.make_space(name, podSecurity="privileged", **SECRETS)
        wanted = {**RICH_POD, "hostNetwork": True} if host else RICH_POD | {"securityContext": WITH_SYSCTL}
        endpoints = [{"name": "db", "port": 8080}] if tls else []
        egresses = [{"localPort": 25, "fqdn": "mail.example.com"}] if tls else []
        cluster.create(app(name, "rich", pod=wanted, endpoints=endpoints, tlsEgresses=egresses))
        live = deployed_pod(cluster, name, "rich")
        assert ("decco-tls" in str(live)) is tls
        assert_covers(without_ours(live), wanted, "pod")

    def test_the_sidecar_passes_restricted(self, cluster: Cluster, name: str) -> None:
        cluster.make_space(name, podSecurity="restricted", encryptHttp=True, **SECRETS)
        careful = pod(8080, 9000, securityContext={"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}})
        careful["containers"][0]["securityContext"] = {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
        endpoints = [{"name": "web", "port": 8080, "httpPath": "/"}, {"name": "db", "port": 9000}]
        low = [{"localPort": 1, "fqdn": "out.example.com"}]
        cluster.create(app(name, "web", pod=careful, endpoints=endpoints, tlsEgresses=low))
        found = deployed_pod(cluster, name, "web")
        assert found["initContainers"][0]["restartPolicy"] == "Always"
        answer = cluster.cp.request(
            "POST",
            f"/api/v1/namespaces/{name}/pods?dryRun=All&fieldValidation=Strict",
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": found},
        )
        assert answer.status == 201, answer.json()
        eventually(lambda: pods(cluster, name, "web"), 15, "the ReplicaSet's own pod")

    def test_one_sidecar_whatever_the_number_of_endpoints(self, cluster: Cluster, name: str) -> None:
        """30 endpoints of all kinds and 64 egresses, at both ends of the range of ports."""
        cluster.make_space(name, encryptHttp=True, **SECRETS)
        ports = [1, 2, 65534, 65535, *range(20000, 20026)]
        endpoints = [{"name": f"e{number}", "port": port} for number, port in enumerate(ports)]
        for number in range(0, 30, 3):
            endpoints[number] |= {"httpPath": f"/path/{number}"}
        endpoints[1] |= {"allowedClients": [f"client-{number}.example.net" for number in range(64)]}
        egresses = [{"localPort": 3000 + number, "fqdn": f"out-{number}.example.com"} for number in range(64)]
        cluster.create(app(name, "many", pod=pod(*ports), endpoints=endpoints, egresses=egresses))
        found = deployed_pod(cluster, name, "many")
        assert [each["name"] for each in found["initContainers"]] == ["decco-tls"]
        config = sections(cluster, name, "many")
        assert len(config) == 94
        accepts = [line for lines in config.values() for line in lines if line.startswith("accept = ")]
        assert len(set(accepts)) == 94
        listening = {int(line.rsplit(":", 1)[1]) for line in accepts}
        assert listening.isdisjoint(ports)
        eventually(lambda: all(cluster.service(name, f"e{number}") for number in range(30)), 10)
        eventually(lambda: len(cluster.items(f"{GATEWAY}/namespaces/{name}/httproutes")) == 12, 10)  # two of the Space
        eventually(lambda: len(cluster.items(f"{GATEWAY}/namespaces/{name}/tlsroutes")) == 20, 10)
        status = observed(cluster, name, "many")["status"]
        assert [each["name"] for each in status["endpoints"]] == [f"e{number}" for number in range(30)]

    def test_a_pod_that_takes_our_names(self, cluster: Cluster, name: str) -> None:
        cluster.make_space(name, **SECRETS)
        thief = pod(8080)
        thief["containers"].append({"name": "decco-tls", "image": "registry.example/thief:1"})
        cluster.create(app(name, "thief", pod=thief, endpoints=[{"name": "db", "port": 8080}]))
        eventually(lambda: reason(cluster, name, "thief") == "ReservedName", 5)
        assert cluster.deployment(name, "thief") is None

    @pytest.mark.parametrize(
        ("spec", "broken"),
        [
            ({"pod": pod(8080)}, {"pod": pod(8080, restartPolicy="Never")}),
            ({"pod": pod(8080)}, {"pod": pod(8080, futureField=1)}),
            ({"pod": pod(8080)}, {"pod": {"containers": [{"name": "main"}]}, "endpoints": []}),
            ({"pod": pod(8080)}, {"pod": pod(8080, ephemeralContainers=[{"name": "e", "image": "i"}])}),
            ({"pod": pod(8080)}, {"runAsJob": True, "pod": pod(8080, restartPolicy="Always")}),
            ({"runAsJob": True}, {"pod": pod(8080, restartPolicy="Sometimes")}),
            ({"runAsJob": True}, {"runAsJob": False, "pod": pod(8080, restartPolicy="OnFailure")}),
        ],
        ids=["policy", "unknown", "no-image", "ephemeral", "bad-as-job", "another-run", "bad-as-deployment"],
    )
    def test_a_pod_that_the_server_refuses_touches_nothing(
        self, cluster: Cluster, decco: Decco, name: str, spec: Obj, broken: Obj
    ) -> None:
        cluster.make_space(name, **SECRETS)
        cluster.create(app(name, "web", **spec))
        eventually(lambda: sections(cluster, name, "web"))

        def begun() -> Obj | None:
            """A Job is created suspended, and resumed when its run is recorded."""
            found = cluster.deployment(name, "web") or job(cluster, name, "web")
            return found if found and not found["spec"].get("suspend") else None

        before = eventually(begun)
        edit(cluster, name, "web", **broken)
        assert reason(cluster, name, "web", "WorkloadReady") == "Invalid", cluster.app(name, "web")
        assert reason(cluster, name, "web") == "Invalid"
        decco.settle(quiet=0.5)
        after = cluster.deployment(name, "web") or job(cluster, name, "web") or {"metadata": {"uid": "gone"}}
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert "deletionTimestamp" not in after["metadata"]
        assert after["spec"] == before["spec"]
        assert cluster.get(f"/api/v1/namespaces/{name}/configmaps/web-stunnel"), "the running pods read it"


# -- endpoints --------------------------------------------------------------------------------------------------------

APP_CHILDREN = {
    "ConfigMap": "/api/v1/namespaces/{n}/configmaps/{a}-stunnel",
    "Deployment": "/apis/apps/v1/namespaces/{n}/deployments/{a}",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{n}/networkpolicies/app-{a}",
    "Service of HTTP": "/api/v1/namespaces/{n}/services/web",
    "Service of TCP": "/api/v1/namespaces/{n}/services/{a}",
    "Service of metrics": "/api/v1/namespaces/{n}/services/metrics",
    "Service in clear text": "/api/v1/namespaces/{n}/services/web-cleartext",
    "HTTPRoute": GATEWAY + "/namespaces/{n}/httproutes/web",
    "TLSRoute": GATEWAY + "/namespaces/{n}/tlsroutes/{a}",
    "BackendTLSPolicy": GATEWAY + "/namespaces/{n}/backendtlspolicies/web",
    "Job": "/apis/batch/v1/namespaces/{n}/jobs/once",
}


@pytest.fixture(scope="module")
def full(decco: Decco, cluster: Cluster) -> str:
    """A Space with an App that has one child of each kind and the longest name; ``once`` is a Job."""
    space = "app-children"
    for name in ("app-http", "app-tcp"):
        if cluster.get(f"/api/v1/namespaces/decco/secrets/{name}") is None:
            cluster.create(tls_secret(name))
    cluster.make_space(space, encryptHttp=True, **SECRETS)
    endpoints = [
        {"name": "web", "port": 8080, "httpPath": "/web", "createClearTextService": True},
        {"name": LONGEST, "port": 8081},
        {"name": "metrics", "port": 9090, "isMetricsEndpoint": True},
    ]
    cluster.create(app(space, LONGEST, endpoints=endpoints))
    cluster.create(app(space, "once", runAsJob=True, jobBackoffLimit=0, endpoints=[]))
    return space


class TestChildren:
    """Labels, owners, field manager."""

    @pytest.mark.parametrize("kind", APP_CHILDREN)
    def test_every_child_says_whose_it_is(self, cluster: Cluster, full: str, kind: str) -> None:
        path = APP_CHILDREN[kind].format(n=full, a=LONGEST)
        meta = eventually(lambda: cluster.get(path), 15, path)["metadata"]
        owner = "once" if kind == "Job" else LONGEST
        assert meta["labels"]["app.kubernetes.io/managed-by"] == "decco"
        assert meta["labels"][f"{PREFIX}/space"] == full
        assert meta["labels"][f"{PREFIX}/app"] == owner
        (reference,) = meta["ownerReferences"]
        assert reference["controller"] is True
        uid = (cluster.app(full, owner) or {})["metadata"]["uid"]
        assert (reference["kind"], reference["name"], reference["uid"]) == ("App", owner, uid)
        managers = {
            entry["manager"]
            for entry in meta["managedFields"]
            if entry.get("subresource") is None and "f:ownerReferences" in entry["fieldsV1"].get("f:metadata", {})
        }
        assert managers == {"decco"}

    def test_an_app_of_a_longer_name_is_refused(self, cluster: Cluster, full: str) -> None:
        with pytest.raises(RequestFailed, match=r"metadata\.name"):
            cluster.create(app(full, "x" * 64, endpoints=[]))

    def test_a_name_with_dots_is_fine_where_it_names_no_service(self, cluster: Cluster, full: str) -> None:
        cluster.create(app(full, "with.dots-1", endpoints=[{"name": "dotted", "port": 8080, "httpPath": "/dots"}]))
        eventually(lambda: cluster.deployment(full, "with.dots-1") and cluster.service(full, "dotted"), 10)


class TestEndpoints:
    """Services, paths, hostnames."""

    @pytest.mark.parametrize(
        "spec",
        [
            {"endpoints": []},
            {"pod": pod()},
            {"pod": {"containers": [*pod()["containers"], {**pod(80)["containers"][0], "name": "b"}]}},
        ],
        ids=["empty", "no port", "only the second container has one"],
    )
    def test_no_endpoint_is_fine(self, cluster: Cluster, decco: Decco, name: str, spec: Obj) -> None:
        cluster.make_space(name)
        cluster.create(app(name, "web", **spec))
        eventually(lambda: cluster.deployment(name, "web"), 10)
        decco.settle(quiet=0.3)
        assert cluster.items(f"/api/v1/namespaces/{name}/services") == []
        status = observed(cluster, name, "web")["status"]
        assert "endpoints" not in status
        assert "url" not in status
        assert {each["type"] for each in status["conditions"]} == {"Ready", "WorkloadReady"}

    def test_the_short_form_and_its_services(self, cluster: Cluster, name: str) -> None:
        cluster.make_space(name, **SECRETS)
        cluster.create(app(name, "web", pod=pod(65535, 1), httpUrlPath="/"))
        cluster.create(app(name, "db", pod=pod(5432), verifyTcpClientCert=True, tlsCaAndCertSecretName="app-tcp"))
        web = eventually(lambda: cluster.service(name, "web"), 10)["spec"]
        db = eventually(lambda: cluster.service(name, "db"), 10)["spec"]
        assert (web["ports"][0]["targetPort"], web["selector"]) == (65535, {f"{PREFIX}/app": "web"})
        assert db["ports"][0]["port"] == 443
        assert "requireCert = yes" in sections(cluster, name, "db")["db"]
        assert observed(cluster, name, "web")["status"]["endpoints"] == [
            {"name": "web", "hostname": f"{name}.example.net", "url": f"https://{name}.example.net/", "port": 80}
        ]
        assert observed(cluster, name, "db")["status"]["url"] == f"tls://db.{name}.example.net:443"

    def test_allowed_clients_imply_verification(self, cluster: Cluster, name: str) -> None:
        cluster.make_space(name, **SECRETS)
        allowed = ["one.example.net", "two.example.net"]
        cluster.create(app(name, "db", endpoints=[{"name": "db", "port": 8080, "allowedClients": allowed}]))
        lines = eventually(lambda: sections(cluster, name, "db").get("db"), 10)
        assert {"requireCert = yes", "verifyChain = yes", *(f"checkHost = {each}" for each in allowed)} <= set(lines)

    def test_a_secret_without_the_authority_for_verification(self, cluster: Cluster, name: str) -> None:
        source = tls_secret(name)
        del source["data"]["ca.crt"]
        cluster.create(source)
        cluster.make_space(name, tcpCertAndCaSecretName=name)
        cluster.create(app(name, "db", endpoints=[{"name": "db", "port": 8080, "verifyTcpClientCert": True}]))
        eventually(lambda: reason(cluster, name, "db", "CertificatesReady") == "SecretInvalid", 10)
        assert "ca.crt" in message(cluster, name, "db", "CertificatesReady")

    def test_http_without_a_certificate_of_the_space(self, cluster: Cluster, name: str) -> None:
        cluster.make_space(name)
        cluster.create(http_app(name, "web"))
        eventually(lambda: reason(cluster, name, "web", "CertificatesReady") == "CertificateMissing", 10)
        assert "httpCertSecretName" in message(cluster, name, "web", "CertificatesReady")
        cluster.patch(f"{APIS}/spaces/{name}", {"spec": {"httpCertSecretName": "app-http"}})
        eventually(lambda: (cluster.app_condition(name, "web", "CertificatesReady") or {})["status"] == "True", 5)

    @pytest.mark.parametrize("kind", ["Opaque", "kubernetes.io/tls"])
    def test_a_secret_of_the_namespace_is_used_as_it_is(
        self, cluster: Cluster, decco: Decco, name: str, kind: str
    ) -> None:
        """Also if decco's namespace shares one of the same name."""
        cluster.create(tls_secret(name))
        cluster.make_space(name)
        mine = cluster.create({**tls_secret(name, namespace=name, share=None), "type": kind})
        cluster.create(app(name, "db", endpoints=[{"name": "db", "port": 8080, "certAndCaSecretName": name}]))
        eventually(lambda: (cluster.app_condition(name, "db", "CertificatesReady") or {}).get("status") == "True", 10)
        decco.settle(quiet=0.3)
        assert cluster.get(f"/api/v1/namespaces/{name}/secrets/{name}") == mine
        expiry = decco.metric(f'decco_certificate_expiry_timestamp_seconds{{secret="{name}",space="{name}"}}')
        assert expiry > 1.7e9

    def test_a_hostname_that_is_not_the_spaces(self, cluster: Cluster, name: str) -> None:
        cluster.make_space(name, hostnames=[f"www.{name}.example.org"], **SECRETS)
        wanted = [f"www.{name}.example.org", f"deep.er.{name}.example.net", f"no.{name}.example.org"]
        endpoints = [{"name": f"e{n}", "port": 8000 + n, "hostname": host} for n, host in enumerate(wanted)]
        cluster.create(app(name, "db", endpoints=endpoints))
        eventually(lambda: reason(cluster, name, "db", "RoutesReady") == "HostnameNotAllowed", 10)
        routes = eventually(lambda: cluster.items(f"{GATEWAY}/namespaces/{name}/tlsroutes"), 5)
        eventually(lambda: len(cluster.items(f"{GATEWAY}/namespaces/{name}/tlsroutes")) == 2, 5)
        routes = cluster.items(f"{GATEWAY}/namespaces/{name}/tlsroutes")
        assert sorted(route["spec"]["hostnames"][0] for route in routes) == sorted(wanted[:2])
        status = observed(cluster, name, "db")["status"]["endpoints"]
        assert "url" not in status[2]

    def test_a_hostname_too_long_for_dns(self, cluster: Cluster, name: str) -> None:
        long = "s" * 63
        domain = ".".join(["d" * 60, "d" * 60, "example.net"])
        cluster.make_space(long, domain=domain, **SECRETS)
        cluster.create(app(long, LONGEST))
        eventually(lambda: reason(cluster, long, LONGEST, "RoutesReady") == "HostnameNotAllowed", 10)
        assert "253" in message(cluster, long, LONGEST, "RoutesReady")


class TestNeighbours:
    """Two Apps of one Space with the same claim: the older has it, and the younger takes over when it is deleted."""

    @pytest.mark.parametrize(
        ("older", "younger", "kind", "wanted"),
        [
            (
                {"name": "a", "port": 8080, "httpPath": "/same"},
                {"name": "b", "port": 8080, "httpPath": "/same/"},
                "RoutesReady",
                "PathConflict",
            ),
            (
                {"name": "a", "port": 8080},
                {"name": "b", "port": 8080, "hostname": "a.{n}.example.net"},
                "RoutesReady",
                "HostnameConflict",
            ),
            (
                {"name": "a", "port": 8080, "hostname": "b.{n}.example.net"},
                {"name": "b", "port": 8080},
                "RoutesReady",
                "HostnameConflict",
            ),
            (
                {"name": "a", "port": 8080, "createClearTextService": True},
                {"name": "a-cleartext", "port": 8080},
                "WorkloadReady",
                "EndpointConflict",
            ),
            (
                {"name": "a-cleartext", "port": 8080},
                {"name": "a", "port": 8080, "createClearTextService": True},
                "WorkloadReady",
                "EndpointConflict",
            ),
        ],
        ids=["path", "explicit-meets-default", "default-meets-explicit", "cleartext", "cleartext-younger"],
    )
    def test_the_older_has_it(
        self, cluster: Cluster, decco: Decco, name: str, older: Obj, younger: Obj, kind: str, wanted: str
    ) -> None:
        cluster.make_space(name, **SECRETS)
        for each, endpoint in (("older", older), ("younger", younger)):
            filled = {key: value.format(n=name) if isinstance(value, str) else value for key, value in endpoint.items()}
            made = cluster.create(app(name, each, endpoints=[filled]))
            eventually(lambda made=made: _later_than(cluster, made), 3)
        eventually(lambda: reason(cluster, name, "younger", kind) == wanted, 5)
        assert "App older" in message(cluster, name, "younger", kind)
        assert reason(cluster, name, "older", kind) != wanted
        cluster.delete(f"{APIS}/namespaces/{name}/apps/older")
        eventually(lambda: cluster.app(name, "older") is None, 20)
        eventually(lambda: reason(cluster, name, "younger", kind) != wanted, 5)

    def test_an_app_without_a_space(self, cluster: Cluster, decco: Decco) -> None:
        cluster.create(http_app("default", "homeless"))
        try:
            eventually(lambda: reason(cluster, "default", "homeless") == "SpaceNotFound", 5)
            decco.settle(quiet=0.3)
            assert cluster.service("default", "homeless") is None
        finally:
            cluster.delete(f"{APIS}/namespaces/default/apps/homeless")


def _later_than(cluster: Cluster, made: Obj) -> bool:
    """creationTimestamp counts seconds; the UID decides within one."""
    from tests.integration.by_hand import now

    return now() > str(made["metadata"]["creationTimestamp"])


# -- egresses ---------------------------------------------------------------------------------------------------------


class TestEgresses:
    """TLS out of the pod: where to, and whom it trusts."""

    def test_targets(self, cluster: Cluster, name: str) -> None:
        other = f"{name}-b"
        for each in (name, other):
            cluster.make_space(each, **SECRETS)
        cluster.create(app(other, "db", endpoints=[{"name": "db", "port": 8080, "tlsListenPort": 6432}]))
        mine = {"name": "mine", "port": 8080, "hostname": f"sql.{name}.example.net"}
        cluster.create(app(name, "mine", endpoints=[mine]))
        egresses = [
            {"localPort": 1, "fqdn": "out.example.com"},
            {"localPort": 2, "fqdn": "out.example.com", "targetPort": 8443, "disableServerCertVerification": True},
            {"localPort": 3, "endpoint": "mine"},
            {"localPort": 65535, "endpoint": "db", "spaceName": other},
        ]
        cluster.create(app(name, "client", endpoints=[], tlsEgresses=egresses))
        config = eventually(lambda: sections(cluster, name, "client"), 10)

        def lines(port: int) -> set[str]:
            return set(config[f"localhost:{port}"])

        assert {"client = yes", "accept = 127.0.0.1:1", "connect = out.example.com.:443"} <= lines(1)
        assert {"verifyChain = yes", "checkHost = out.example.com"} <= lines(1)
        assert "connect = out.example.com.:8443" in lines(2)
        assert not any(line.startswith(("check", "verify")) for line in lines(2))
        assert {f"connect = mine.{name}.svc.cluster.local.:443", f"checkHost = sql.{name}.example.net"} <= lines(3)
        assert {f"connect = db.{other}.svc.cluster.local.:6432", f"checkHost = db.{other}.example.net"} <= lines(65535)
        assert all({"cert = /etc/decco/tls/app-tcp/tls.crt"} <= lines(port) for port in (1, 2, 3, 65535))

    def test_a_target_that_comes_changes_and_goes_restarts_no_pod(
        self, cluster: Cluster, decco: Decco, name: str
    ) -> None:
        cluster.make_space(name, **SECRETS)
        cluster.create(app(name, "client", endpoints=[], egresses=[{"localPort": 6000, "endpoint": "db"}]))
        eventually(lambda: reason(cluster, name, "client", "WorkloadReady") == "EgressTargetNotFound", 10)
        before = (cluster.deployment(name, "client") or {})["metadata"]["generation"]
        cluster.create(app(name, "db", endpoints=[{"name": "db", "port": 8080}]))

        def connects_to() -> str:
            return next(line for line in sections(cluster, name, "client")["localhost:6000"] if "connect" in line)

        eventually(lambda: connects_to() == f"connect = db.{name}.svc.cluster.local.:443", 5)
        eventually(lambda: reason(cluster, name, "client", "WorkloadReady") != "EgressTargetNotFound", 5)
        edit(cluster, name, "db", endpoints=[{"name": "db", "port": 8080, "tlsListenPort": 7443}])
        eventually(lambda: connects_to().endswith(":7443"), 5)
        cluster.delete(f"{APIS}/namespaces/{name}/apps/db")
        eventually(lambda: reason(cluster, name, "client", "WorkloadReady") == "EgressTargetNotFound", 20)
        assert name not in connects_to()
        assert (cluster.deployment(name, "client") or {})["metadata"]["generation"] == before

    def test_a_renewed_certificate_touches_no_pod_and_no_configuration(
        self, cluster: Cluster, decco: Decco, name: str
    ) -> None:
        cluster.create(tls_secret(name))
        cluster.make_space(name, tcpCertAndCaSecretName=name)
        cluster.create(app(name, "db", endpoints=[{"name": "db", "port": 8080}]))
        eventually(lambda: cluster.deployment(name, "db"), 10)
        decco.settle(quiet=0.3)
        config = cluster.get(f"/api/v1/namespaces/{name}/configmaps/db-stunnel")
        generation = (cluster.deployment(name, "db") or {})["metadata"]["generation"]
        fresh = tls_secret(name)["data"]
        cluster.patch(f"/api/v1/namespaces/decco/secrets/{name}", {"data": fresh})
        eventually(lambda: (cluster.get(f"/api/v1/namespaces/{name}/secrets/{name}") or {})["data"] == fresh, 5)
        decco.settle(quiet=0.3)
        assert cluster.get(f"/api/v1/namespaces/{name}/configmaps/db-stunnel") == config
        assert (cluster.deployment(name, "db") or {})["metadata"]["generation"] == generation


# -- replicas and Jobs ------------------------------------------------------------------------------------------------


def replicas(cluster: Cluster, namespace: str) -> int | None:
    found = cluster.deployment(namespace, "web")
    return found["spec"]["replicas"] if found else None


def test_the_replica_count_belongs_to_whoever_scales(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.make_space(name)
    cluster.create(app(name, "web", endpoints=[], initialReplicas=2))
    eventually(lambda: replicas(cluster, name) == 2, 10)
    scale = f"/apis/apps/v1/namespaces/{name}/deployments/web/scale"
    cluster.patch(scale, {"spec": {"replicas": 7}})
    eventually(lambda: (cluster.app(name, "web") or {}).get("status", {}).get("replicas") == 7, 5, "in the status")
    edit(cluster, name, "web", pod=pod(8080, image="registry.example/app:2"))
    eventually(lambda: "app:2" in str(cluster.deployment(name, "web")), 5)
    decco.settle(quiet=0.3)
    assert replicas(cluster, name) == 7
    edit(cluster, name, "web", initialReplicas=0)
    eventually(lambda: replicas(cluster, name) == 0, 5)
    cluster.patch(scale, {"spec": {"replicas": 3}})
    decco.settle(quiet=0.3)
    assert replicas(cluster, name) == 3


def test_a_job_runs_once_for_each_pod(cluster: Cluster, decco: Decco, name: str) -> None:
    cluster.make_space(name, **SECRETS)
    egresses = [{"localPort": 6000, "fqdn": "out.example.com"}]
    cluster.create(app(name, "once", runAsJob=True, jobBackoffLimit=3, pod=pod(), tlsEgresses=egresses))
    first = eventually(lambda: job(cluster, name, "once"), 10)
    assert first["spec"]["backoffLimit"] == 3
    assert first["spec"]["template"]["spec"]["initContainers"][0]["restartPolicy"] == "Always", "or it never ends"
    run_pods(cluster, name, "once", "Succeeded")
    eventually(lambda: (cluster.app_condition(name, "once", "Ready") or {}).get("status") == "True", 20)
    assert (cluster.app_condition(name, "once", "WorkloadReady") or {})["reason"] == "JobComplete"
    # Neither a change of the Space nor one of the sidecar's nor an annotation runs it again.
    cluster.patch(f"{APIS}/spaces/{name}", {"spec": {"runtimeClassName": "kata", "topology": {"zoneSpread": "Prefer"}}})
    cluster.patch(f"{APIS}/namespaces/{name}/apps/once", {"metadata": {"annotations": {"touched": "yes"}}})
    edit(cluster, name, "once", tlsEgresses=[{"localPort": 6001, "fqdn": "two.example.com"}])
    decco.settle(quiet=0.5)
    same = job(cluster, name, "once") or {}
    assert same["metadata"]["uid"] == first["metadata"]["uid"]
    assert (cluster.app_condition(name, "once", "Ready") or {})["status"] == "True"
    edit(cluster, name, "once", pod=pod(image="registry.example/app:2"))

    def another() -> bool:
        found = job(cluster, name, "once")
        return found is not None and found["metadata"]["uid"] != first["metadata"]["uid"]

    eventually(another, 10)
    eventually(lambda: reason(cluster, name, "once", "WorkloadReady") == "JobRunning", 10)
