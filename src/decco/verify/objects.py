"""The objects of a run: Secrets, Spaces and Apps, a namespace outside of all Spaces, and the tenant's roles."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from decco.api.types import Isolation
from decco.objects import (
    ANNOTATION_SHARE_WITH,
    API_VERSION,
    APPS,
    LABEL_MONITORING,
    LABEL_SHARE,
    NAMESPACES,
    NETWORK_POLICIES,
    PODS,
    SPACES,
    Obj,
    Resource,
)
from decco.verify import pods
from decco.verify.material import BILLING, TLS_SPACES, Material
from decco.verify.names import LATER, Names
from decco.verify.pki import Leaf

RBAC = "rbac.authorization.k8s.io"
CLUSTER_ROLES = Resource(RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False)
CLUSTER_ROLE_BINDINGS = Resource(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)
POLICY_BINDINGS = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
    namespaced=False,
)

WEB, LONGER, REWRITTEN, TCP, EXTRA, PRIVATE, LISTED, METRICS, UNDECLARED = (
    8080,
    8081,
    8082,
    8083,
    8084,
    8085,
    8086,
    8087,
    8088,
)
"""Container ports of the App web. All but the last are declared; TCP to LISTED are behind the TLS sidecar."""
OPEN_PORT, CLOSED_PORT = 8080, 8081
"""Ports of the canary: its NetworkPolicy allows the first."""
CANARY = "canary"
SHARE = 20
"""Percent of the requests to the endpoint shared that the App share gets."""
HTTP_PATH = "/verify"


LIMITED_BYTES = 4096
REQUEST_SECONDS, IDLE_SECONDS = 4, 2
RATE = 60
CONNECTIONS = 4
LIMITS: Obj = {
    "requestBody": f"{LIMITED_BYTES // 1024}Ki",
    "requestRate": {"requests": RATE, "unit": "Minute"},
    "connections": CONNECTIONS,
    "timeouts": {"request": f"{REQUEST_SECONDS}s", "idle": f"{IDLE_SECONDS}s"},
}
"""Of Space f. pods.SLOW and DRIPS are between and beyond the two times."""


TOPOLOGY: Obj = {"zoneSpread": "Prefer", "trafficDistribution": "PreferClose"}
"""Of Space d: values that every version of Kubernetes serves, and that keep no pod from running."""
QUOTA: Obj = {"hard": {"count/configmaps": "50"}}
RANGE: Obj = {"limits": [{"type": "Container", "defaultRequest": {"cpu": "7m"}}]}
"""Of Space g."""


POD_METADATA: Obj = {
    "labels": {"team": "verify"},
    "annotations": {"note": "kept"},
}
"""Of the App timed."""


def limited_endpoints() -> list[Obj]:
    """Of the App limited in Space f."""
    return [
        {"name": "limited", "port": WEB, "httpPath": "/limited", "rewritePath": "/"},
        {"name": "rated", "port": LONGER, "httpPath": "/rated", "rewritePath": "/"},
        {"name": "counted", "port": TCP},
    ]


def timed_endpoints() -> list[Obj]:
    """Of the App timed in Space e: two with timeouts, and the same without."""
    timeouts = {"request": "10s", "idle": "1s"}
    return [
        {"name": "timed", "port": WEB, "httpPath": "/timed", "rewritePath": "/", "timeouts": {"request": "1s"}},
        {"name": "calm", "port": LONGER, "httpPath": "/calm", "rewritePath": "/", "timeouts": timeouts},
        {"name": "untimed", "port": REWRITTEN, "httpPath": "/untimed", "rewritePath": "/"},
        {"name": "idle", "port": TCP, "timeouts": {"idle": f"{IDLE_SECONDS}s"}},
        {"name": "lasting", "port": EXTRA},
    ]


def endpoints(names: Names, space: str) -> list[Obj]:
    """The endpoints of the App web in a Space."""
    web = {"name": "web", "port": WEB, "httpPath": HTTP_PATH}
    if space == "d":
        return [web]
    if space == "e":
        return [
            web,
            {"name": "paths", "port": LONGER, "httpPaths": [{"path": "/one", "rewritePath": "/"}, {"path": "/two"}]},
            {"name": "named", "port": REWRITTEN, "httpPath": "/named", "httpHostnames": [names.further]},
            {"name": "shared", "port": EXTRA, "httpPath": "/shared"},
        ]
    tcp = {"name": "tcp", "port": TCP, "createDnsRecord": True, "createClearTextService": True}
    private = {"name": "private", "port": PRIVATE, "verifyTcpClientCert": True}
    metrics = {"name": "metrics", "port": METRICS, "isMetricsEndpoint": True}
    if space != "a":
        return [web, tcp, private, metrics]
    return [
        web,
        {"name": "longer", "port": LONGER, "httpPath": f"{HTTP_PATH}/longer"},
        {"name": "rewritten", "port": REWRITTEN, "httpPath": "/old", "rewritePath": "/"},
        tcp,
        {"name": "extra", "port": EXTRA, "hostname": names.extra},
        private,
        {"name": "listed", "port": LISTED, "allowedClients": [names.host("a", BILLING)]},
        metrics,
    ]


def space(names: Names, word: str) -> Obj:
    spec: Obj = {"domainName": names.domain}
    if word not in LATER:
        spec["httpCertSecretName"] = names.secret(f"{word}-http")
    if (project := names.project(word)) is not None:
        spec["project"] = project
    if word in TLS_SPACES:
        spec["tcpCertAndCaSecretName"] = names.secret(f"{word}-tcp")
    if word == "a":
        spec["hostnames"] = [names.extra]
    if word == "b":
        spec["encryptHttp"] = True
    if word == "d":
        spec["topology"] = TOPOLOGY
    if word == "e":
        spec["egressPolicy"] = "Declared"
        spec["httpHostnames"] = [
            {"name": name, "certSecretName": secret} for name, secret in further_secrets(names).items()
        ]
    if word == "f":
        spec["limits"] = LIMITS
    if word == "g":
        spec["hostnames"] = [names.claimed]
        spec |= {"isolation": Isolation.USER_NAMESPACE.value, "resourceQuota": QUOTA, "limitRange": RANGE}
    meta = {"name": names.space(word), "labels": names.labels}
    return {"apiVersion": API_VERSION, "kind": SPACES.kind, "metadata": meta, "spec": spec}


def app(names: Names, word: str, name: str, pod: Obj, **spec: Any) -> Obj:
    meta = {"name": name, "namespace": names.space(word), "labels": names.labels}
    return {"apiVersion": API_VERSION, "kind": APPS.kind, "metadata": meta, "spec": {"pod": pod, **spec}}


def secret(names: Names, name: str, leaf: Leaf, *shared_with: str, namespace: str = "") -> Obj:
    """In decco's namespace, shared with these FQDNs; with ``namespace`` a tenant's own."""
    meta: Obj = {"name": name, "namespace": namespace or names.controller, "labels": dict(names.labels)}
    if shared_with:
        meta["labels"][LABEL_SHARE] = "true"
        meta["annotations"] = {ANNOTATION_SHARE_WITH: ",".join(shared_with)}
    data = encoded(leaf.data)
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "kubernetes.io/tls", "data": data}


def encoded(data: Mapping[str, bytes]) -> dict[str, str]:
    return {key: base64.b64encode(value).decode() for key, value in data.items()}


def decoded(secret: Obj) -> dict[str, bytes]:
    return {key: base64.b64decode(value) for key, value in secret["data"].items()}


def shared_secrets(names: Names, material: Material) -> list[Obj]:
    """Those that the Spaces name."""
    further = further_secrets(names)
    return [
        *(secret(names, further[name], leaf, names.fqdn("e")) for name, leaf in material.further.items()),
        *_of_spaces(names, material),
    ]


def further_secrets(names: Names) -> dict[str, str]:
    """Name of httpHostnames -> its Secret."""
    return {names.further: names.secret("e-shop"), names.wildcard: names.secret("e-any")}


def _of_spaces(names: Names, material: Material) -> list[Obj]:
    return [
        secret(names, names.secret(f"{word}-{kind}"), leaf, names.fqdn(word))
        for kind, leaves in (("http", material.web), ("tcp", material.tcp))
        for word, leaf in leaves.items()
    ]


def namespaces(names: Names) -> list[Obj]:
    """Those of no Space."""
    labels = {names.outside: names.labels, names.monitoring: {**names.labels, LABEL_MONITORING: "true"}}
    return [{**_head(NAMESPACES), "metadata": {"name": name, "labels": each}} for name, each in labels.items()]


def canary(names: Names, image: str, user: int | None) -> tuple[Obj, Obj]:
    """A pod outside of all Spaces, and its NetworkPolicy, which allows one of its two ports."""
    labels = {**names.labels, "verify.decco.platform9.com/pod": CANARY}
    meta = {"name": CANARY, "namespace": names.outside, "labels": labels}
    policy = {
        "podSelector": {"matchLabels": labels},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"protocol": "TCP", "port": OPEN_PORT}]}],
    }
    pod = pods.server(image, "outside", (OPEN_PORT, CLOSED_PORT), user)
    return (
        {**_head(NETWORK_POLICIES), "metadata": meta, "spec": policy},
        {**_head(PODS), "metadata": meta, "spec": pod},
    )


def bare_pod(names: Names, namespace: str, name: str, spec: Obj) -> Obj:
    meta = {"name": name, "namespace": namespace, "labels": names.labels}
    return {**_head(PODS), "metadata": meta, "spec": spec}


def _head(resource: Resource) -> Obj:
    return {"apiVersion": resource.api_version, "kind": resource.kind}
