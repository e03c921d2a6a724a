"""What a tenant writes: requests that a policy must refuse, and honest ones beside them that must be allowed."""

from __future__ import annotations

from collections.abc import Callable

from decco.frozen import frozen
from decco.objects import (
    APPS,
    BACKEND_TRAFFIC_POLICIES,
    CONFIGMAPS,
    DEPLOYMENTS,
    GATEWAYS,
    HTTP_ROUTES,
    INGRESSES,
    LABEL_MANAGED_BY,
    LABEL_PROJECT,
    LABEL_SPACE,
    LISTENER_SETS,
    NAMESPACES,
    NETWORK_POLICIES,
    PODS,
    SECRETS,
    SERVICES,
    SPACES,
    TLS_ROUTES,
    Obj,
    Resource,
)
from decco.verify.names import Names

Body = Callable[[Names], Obj]


@frozen
class Write:
    """``body`` is a new object or, with ``change``, what is merged into the object of this name; ``policy`` must refuse
    it, "" if it must be allowed; ``spaces`` are needed.
    """

    name: str
    text: str
    policy: str
    resource: Resource
    body: Body
    change: bool = False
    spaces: str = "ab"


def _named(names: Names, spec: Obj, name: str = "attempt", **meta: Obj) -> Obj:
    return {"metadata": {"name": name, "namespace": names.space("a"), **meta}, "spec": spec}


def _space(names: Names, **spec: object) -> Obj:
    return {"metadata": {"name": f"verify-{names.run}-x"}, "spec": {"domainName": names.domain, **spec}}


def _ingress(host: str, names: Names) -> Obj:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    return _named(names, {"rules": [{"host": host, "http": {"paths": [path]}}]})


def _route(host: str, names: Names) -> Obj:
    rule = {"backendRefs": [{"name": "web", "port": 80}]}
    return _named(names, {"hostnames": [host], "parentRefs": [{"name": "own"}], "rules": [rule]})


def _gateway(host: str, names: Names, port: int = 80) -> Obj:
    listener = {"name": "http", "port": port, "protocol": "HTTP", "hostname": host}
    return _named(names, {"gatewayClassName": "any", "listeners": [listener]})


def _listeners(names: Names, *listeners: tuple[str, int]) -> Obj:
    """A ListenerSet at a Gateway of another namespace, as the shared edge is."""
    own = [
        {"name": f"l{number}", "port": port, "protocol": protocol, "hostname": names.host("a", "own"), **_TLS[protocol]}
        for number, (protocol, port) in enumerate(listeners)
    ]
    parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge", "namespace": names.controller}
    return _named(names, {"parentRef": parent, "listeners": own})


_TLS: dict[str, Obj] = {"HTTP": {}, "TLS": {"tls": {"mode": "Passthrough"}}}


def _pod(**spec: object) -> Obj:
    """A PodSpec within the Pod Security level restricted."""
    security = {
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return {"containers": [{"name": "own", "image": "own", "securityContext": security}], **spec}


def _bare_pod(names: Names, word: str, **spec: object) -> Obj:
    return {"metadata": {"name": "attempt", "namespace": names.space(word)}, "spec": _pod(**spec)}


def _deployment(names: Names, **spec: object) -> Obj:
    labels = {"app": "own"}
    template = {"metadata": {"labels": labels}, "spec": _pod(**spec)}
    return _named(names, {"selector": {"matchLabels": labels}, "template": template})


def _service(names: Names, **spec: object) -> Obj:
    return _named(names, {"ports": [{"port": 80}], "selector": {"app": "own"}, **spec})


def _annotated(names: Names, host: str) -> Obj:
    made = _service(names)
    return {
        **made,
        "metadata": {**made["metadata"], "annotations": {"external-dns.alpha.kubernetes.io/hostname": host}},
    }


def _policy(names: Names, source: Obj) -> Obj:
    return _named(names, {"podSelector": {}, "ingress": [{"from": [source]}]})


def _labelled(names: Names, labels: Obj) -> Obj:
    return {"metadata": {"name": "attempt", "namespace": names.space("a"), "labels": labels}}


def _existing(name: str, patch: Obj) -> Body:
    return lambda names: {"metadata": {"name": name, "namespace": names.space("a")}, **patch}


FOREIGN = "shop.bank.test"
PRIORITY = "system-cluster-critical"
_EVERYBODY = {"topologyKey": "kubernetes.io/hostname", "namespaceSelector": {}, "labelSelector": {}}
AFFINITY = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [_EVERYBODY]}}
WRITES = (
    Write(
        "space-project",
        "a Space in a project without permission is refused",
        "space-membership",
        SPACES,
        lambda n: _space(n, project=n.project("a")),
    ),
    Write("space-domain", "a Space of a domain without permission is refused", "space-membership", SPACES, _space),
    Write(
        "space-hostnames",
        "a further host name without permission is refused",
        "space-hostnames|space-membership",
        SPACES,
        lambda n: _space(n, hostnames=[FOREIGN]),
    ),
    Write(
        "space-privileged",
        "a Space with privileged pods is refused",
        "space-privileges|space-membership",
        SPACES,
        lambda n: _space(n, podSecurity="privileged"),
    ),
    Write(
        "app-paused",
        "a tenant does not pause an App",
        "app-privileges",
        APPS,
        lambda n: {
            "metadata": {
                "name": "web",
                "namespace": n.space("a"),
                "annotations": {"decco.platform9.com/paused": "true"},
            }
        },
        change=True,
    ),
    Write(
        "ingress-foreign",
        "an Ingress with another's host name is refused",
        "tenant-hostnames",
        INGRESSES,
        lambda n: _ingress(FOREIGN, n),
    ),
    Write(
        "ingress-neighbour",
        "an Ingress with a neighbour's FQDN is refused",
        "tenant-hostnames",
        INGRESSES,
        lambda n: _ingress(n.fqdn("c"), n),
    ),
    Write(
        "ingress-own",
        "an Ingress with a name of the Space is allowed",
        "",
        INGRESSES,
        lambda n: _ingress(n.host("a", "own"), n),
    ),
    Write(
        "route-foreign",
        "an HTTPRoute with another's host name is refused",
        "tenant-hostnames",
        HTTP_ROUTES,
        lambda n: _route(FOREIGN, n),
    ),
    Write(
        "route-own",
        "an HTTPRoute with a name of the Space is allowed",
        "",
        HTTP_ROUTES,
        lambda n: _route(n.host("a", "own"), n),
    ),
    Write(
        "tls-route-foreign",
        "a TLSRoute with another's host name is refused",
        "tenant-hostnames",
        TLS_ROUTES,
        lambda n: _route(FOREIGN, n),
    ),
    Write(
        "gateway-foreign",
        "a Gateway with another's host name is refused",
        "tenant-hostnames",
        GATEWAYS,
        lambda n: _gateway(FOREIGN, n),
    ),
    Write(
        "service-node-port",
        "a Service of type NodePort is refused",
        "tenant-services",
        SERVICES,
        lambda n: _service(n, type="NodePort"),
    ),
    Write(
        "service-load-balancer",
        "a Service of type LoadBalancer is refused",
        "tenant-services",
        SERVICES,
        lambda n: _service(n, type="LoadBalancer"),
    ),
    Write(
        "service-external-ip",
        "a Service with an external IP is refused",
        "tenant-services",
        SERVICES,
        lambda n: _service(n, externalIPs=["203.0.113.7"]),
    ),
    Write("service-own", "a Service of type ClusterIP is allowed", "", SERVICES, _service),
    Write(
        "policy-open",
        "a NetworkPolicy that allows everybody is refused",
        "tenant-network",
        NETWORK_POLICIES,
        lambda n: _policy(n, {"ipBlock": {"cidr": "0.0.0.0/0"}}),
    ),
    Write(
        "policy-other-project",
        "a NetworkPolicy that allows another project is refused",
        "tenant-network",
        NETWORK_POLICIES,
        lambda n: _policy(n, {"namespaceSelector": {"matchLabels": {LABEL_PROJECT: n.project("b")}}}),
    ),
    Write(
        "policy-own",
        "a NetworkPolicy within the Space is allowed",
        "",
        NETWORK_POLICIES,
        lambda n: _policy(n, {"podSelector": {}}),
    ),
    Write(
        "forged-child",
        "an object with decco's labels is refused",
        "tenant-children",
        CONFIGMAPS,
        lambda n: _labelled(n, {LABEL_MANAGED_BY: "decco", LABEL_SPACE: n.space("a")}),
    ),
    Write("config-own", "a ConfigMap is allowed", "", CONFIGMAPS, lambda n: _labelled(n, {"app": "own"})),
    Write(
        "child-changed",
        "a child is not changed by a tenant",
        "tenant-children",
        SERVICES,
        _existing("tcp", {"spec": {"selector": {"app": "own"}}}),
        change=True,
    ),
    Write(
        "copy-changed",
        "the copy of a Secret is not changed by a tenant",
        "tenant-children",
        SECRETS,
        lambda n: {"metadata": {"name": n.secret("a-tcp"), "namespace": n.space("a")}, "data": {"tls.key": "eA=="}},
        change=True,
    ),
    Write(
        "namespace-project",
        "the project of a namespace is not changed by a tenant",
        "namespace-labels",
        NAMESPACES,
        lambda n: {"metadata": {"name": n.space("a"), "labels": {LABEL_PROJECT: n.project("b")}}},
        change=True,
    ),
    Write(
        "namespace-joins",
        "a namespace outside of all Spaces does not join a project",
        "namespace-labels",
        NAMESPACES,
        lambda n: {"metadata": {"name": n.outside, "labels": {LABEL_PROJECT: n.project("a")}}},
        change=True,
    ),
    Write(
        "listeners-protocol",
        "listeners of another protocol than the shared edge has at the port are refused",
        "tenant-routes",
        LISTENER_SETS,
        lambda n: _listeners(n, ("HTTP", 443)),
    ),
    Write(
        "listeners-port",
        "listeners at another port of the shared edge are refused",
        "tenant-routes",
        LISTENER_SETS,
        lambda n: _listeners(n, ("TLS", 8443)),
    ),
    Write(
        "listeners-own",
        "listeners for a name of the Space at the ports of the shared edge are allowed",
        "",
        LISTENER_SETS,
        lambda n: _listeners(n, ("HTTP", 80), ("TLS", 443)),
    ),
    Write(
        "gateway-protocol",
        "a Gateway with plain HTTP at 443 is refused",
        "tenant-routes",
        GATEWAYS,
        lambda n: _gateway(n.host("a", "own"), n, 443),
    ),
    Write(
        "edge-policy",
        "a policy of the edge is not written by a tenant",
        "tenant-kinds",
        BACKEND_TRAFFIC_POLICIES,
        lambda n: _named(n, {"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "own"}]}),
    ),
    Write(
        "annotation-hostname",
        "an annotation that names another's host for a DNS controller is refused",
        "tenant-annotations",
        SERVICES,
        lambda n: _annotated(n, FOREIGN),
    ),
    Write(
        "annotation-own",
        "an annotation with a name of the Space is allowed",
        "",
        SERVICES,
        lambda n: _annotated(n, n.host("a", "own")),
    ),
    Write(
        "pod-priority",
        "a pod with a PriorityClass of the cluster's own is refused",
        "tenant-pods",
        PODS,
        lambda n: _bare_pod(n, "a", priorityClassName=PRIORITY),
    ),
    Write(
        "deployment-priority",
        "a Deployment with a PriorityClass of the cluster's own is refused",
        "tenant-pods",
        DEPLOYMENTS,
        lambda n: _deployment(n, priorityClassName=PRIORITY),
    ),
    Write(
        "app-priority",
        "an App with a PriorityClass of the cluster's own is refused",
        "tenant-pods",
        APPS,
        lambda n: _named(n, {"pod": _pod(priorityClassName=PRIORITY), "endpoints": []}),
    ),
    Write(
        "app-affinity",
        "an App with an affinity to pods of other namespaces is refused",
        "tenant-pods",
        APPS,
        lambda n: _named(n, {"pod": _pod(affinity=AFFINITY), "endpoints": []}),
    ),
    Write("deployment-own", "a Deployment without priority is allowed", "", DEPLOYMENTS, _deployment),
    Write(
        "pod-weaker",
        "a pod that is isolated less than its Space demands is refused",
        "space-pods",
        PODS,
        lambda n: _bare_pod(n, "g"),
        spaces="g",
    ),
    Write(
        "pod-isolated",
        "a pod that is isolated as its Space demands is allowed",
        "",
        PODS,
        lambda n: _bare_pod(n, "g", hostUsers=False),
        spaces="g",
    ),
)
