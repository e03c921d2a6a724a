"""Services, endpoints and NetworkPolicies of tenants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.attacks import people as p
from tests.attacks.attempts import OK, Attempt, Obj, create, delete, edit, flat, merged
from tests.attacks.tenants import POLICIES, SERVICE, SERVICES, made, one, path


def services() -> Iterator[Attempt]:
    own = path(SERVICES, name="own")
    cases: tuple[tuple[str, Obj, str], ...] = (
        ("an external IP", {"externalIPs": ["203.0.113.10"]}, "DECCO-0666"),
        (
            "an address of a load balancer",
            {"type": "LoadBalancer", "loadBalancerIP": "203.0.113.10"},
            "DECCO-0666|DECCO-0668",
        ),
        ("type LoadBalancer", {"type": "LoadBalancer"}, "DECCO-0668"),
        ("type NodePort", {"type": "NodePort"}, "DECCO-0668"),
        ("a port of decco's form", {"ports": [{"port": 80, "name": "http-0123abcde"}]}, "DECCO-0669"),
        ("a long port of decco's form", {"ports": [{"port": 80, "name": "tls-0123456789a"}]}, "DECCO-0669"),
        ("a port that is a digest", {"ports": [{"port": 80, "name": "0123456789a"}]}, "DECCO-0669"),
        ("a port of a joined form", {"ports": [{"port": 80, "name": "a-tls-0123456a"}]}, "DECCO-0669"),
        ("a port with a short number", {"ports": [{"port": 80, "name": "http-0123456"}]}, OK),
        ("a named port", {"ports": [{"port": 80, "name": "http-api"}]}, OK),
        ("no selector", {"selector": None}, OK),
        ("session affinity", {"sessionAffinity": "ClientIP"}, OK),
    )
    for what, patch, expect in cases:
        for who in (p.KUBE_EDIT, p.OWNER):
            yield from create(
                f"makes a Service with {what}", who, expect, path(SERVICES), made(SERVICES, merged(SERVICE, patch))
            )
            yield from edit(f"gives its Service {what}", who, expect, own, {"spec": patch}, ways=("merge", "put"))
    name = {"type": "ExternalName", "externalName": "db.bank.svc.cluster.local"}
    yield from create("makes an ExternalName", p.KUBE_EDIT, "DECCO-0667", path(SERVICES), made(SERVICES, name))
    yield from create(
        "makes a headless Service", p.KUBE_EDIT, OK, path(SERVICES), made(SERVICES, {**SERVICE, "clusterIP": "None"})
    )
    for kind in ("LoadBalancer", "NodePort"):
        obj = made(SERVICES, {**SERVICE, "type": kind})
        expect = OK if kind == "LoadBalancer" else "DECCO-0668"
        yield from create(f"makes a {kind} with the permission for one", p.BALANCED, expect, path(SERVICES), obj)
        yield from create(f"makes a {kind} as exempt", p.EXEMPT, OK, path(SERVICES), obj)
        yield from create(f"makes a {kind} in no Space", p.ADMIN, OK, path(SERVICES, "free"), obj)
    for kind, expect in (("NodePort", "DECCO-0668"), ("ClusterIP", OK)):
        obj = made(SERVICES, {**SERVICE, "type": kind})
        yield from create(f"makes a {kind} for a solver", p.CERT_MANAGER, expect, path(SERVICES), obj)
    balanced: Obj = made(SERVICES, {**SERVICE, "type": "LoadBalancer", "externalIPs": ["203.0.113.10"]})
    yield from create("adds an external IP to it", p.BALANCED, "DECCO-0666", path(SERVICES), balanced)
    old = path(SERVICES, name="old")
    yield from edit("labels an old Service", p.KUBE_EDIT, OK, old, {"metadata": {"labels": {"a": "b"}}})
    yield from edit("changes an old Service", p.KUBE_EDIT, "DECCO-0666", old, {"spec": {"sessionAffinity": "ClientIP"}})
    yield from edit(
        "closes an old Service", p.KUBE_EDIT, OK, old, {"spec": {"externalIPs": None}}, ways=("merge", "put")
    )
    yield from delete("deletes an old Service", p.KUBE_EDIT, OK, old)


def endpoints() -> Iterator[Attempt]:
    addresses = [{"addresses": [{"ip": "10.1.2.3"}], "ports": [{"port": 8080}]}]
    legacy: Obj = made("endpoints", subsets=addresses)
    resource = "endpointslices.discovery.k8s.io"
    sliced: Obj = made(resource, addressType="IPv4", endpoints=[{"addresses": ["10.1.2.3"]}], ports=[{"port": 8080}])
    named: Obj = made(resource, addressType="FQDN", endpoints=[{"addresses": ["db.bank.svc"]}], ports=[{"port": 8080}])
    for what, kind, obj in (
        ("Endpoints", "endpoints", legacy),
        ("a slice", resource, sliced),
        ("names", resource, named),
    ):
        yield from one(f"makes {what} of its choice", p.OWNER, "DECCO-0670", kind, obj)
        yield from one(f"makes {what} as exempt", p.EXEMPT, OK, kind, obj)
    yield from one("makes Endpoints of a Service", p.ENDPOINTS, OK, "endpoints", legacy)
    yield from one("makes a slice of a Service", p.ENDPOINT_SLICES, OK, resource, sliced)
    yield from one("makes a lock", p.OWNER, OK, "endpoints", made("endpoints", meta={"annotations": {"a": "b"}}))
    yield from one("makes an empty slice", p.OWNER, OK, resource, {**sliced, "endpoints": []})


SERVICE_ATTEMPTS = flat(services(), endpoints())


NAME, PROJECT, MONITORING = (
    "kubernetes.io/metadata.name",
    "decco.platform9.com/project",
    "decco.platform9.com/monitoring",
)


def namespaces(key: str, value: str) -> Obj:
    return {"namespaceSelector": {"matchLabels": {key: value}}}


PEERS_OK: tuple[tuple[str, Obj], ...] = (
    ("pods", {"podSelector": {}}),
    ("some pods", {"podSelector": {"matchLabels": {"a": "b"}}}),
    ("its namespace", namespaces(NAME, "evil1")),
    ("its project", namespaces(PROJECT, "widgets")),
    ("pods of its project", {**namespaces(PROJECT, "widgets"), "podSelector": {"matchLabels": {"a": "b"}}}),
    ("monitoring", namespaces(MONITORING, "true")),
    ("the edge", namespaces("decco.platform9.com/edge", "true")),
)
PEERS_BAD: tuple[tuple[str, Obj], ...] = (
    ("all namespaces", {"namespaceSelector": {}}),
    ("pods of all namespaces", {"namespaceSelector": {}, "podSelector": {"matchLabels": {"a": "b"}}}),
    ("another namespace", namespaces(NAME, "bank")),
    ("another project", namespaces(PROJECT, "bank")),
    ("any label", namespaces("a", "b")),
    ("no monitoring", namespaces(MONITORING, "false")),
    ("no edge", namespaces("decco.platform9.com/edge", "")),
    (
        "namespaces by expression",
        {
            "namespaceSelector": {
                "matchExpressions": [{"key": PROJECT, "operator": "In", "values": ["widgets", "bank"]}]
            }
        },
    ),
    ("everything by address", {"ipBlock": {"cidr": "0.0.0.0/0"}}),
    ("one address", {"ipBlock": {"cidr": "192.0.2.1/32"}}),
)


def network() -> Iterator[Attempt]:
    def allows(*peers: Obj, direction: str = "ingress", **more: Any) -> Obj:
        side = "from" if direction == "ingress" else "to"
        return made(POLICIES, {"podSelector": {}, direction: [{side: list(peers)}], **more})

    for who in (p.KUBE_EDIT, p.OWNER):
        for what, peer in PEERS_OK:
            yield from create(f"allows {what}", who, OK, path(POLICIES), allows(peer))
        for what, peer in PEERS_BAD:
            yield from create(f"allows {what}", who, "DECCO-0671", path(POLICIES), allows(peer))
    good, bad = PEERS_OK[0][1], PEERS_BAD[0][1]
    yield from create("allows pods and all", p.KUBE_EDIT, "DECCO-0671", path(POLICIES), allows(good, bad))
    second = made(POLICIES, {"podSelector": {}, "ingress": [{"from": [good]}, {"ports": [{"port": 80}]}]})
    yield from create("allows all at a port", p.KUBE_EDIT, "DECCO-0671", path(POLICIES), second)
    yield from create(
        "allows all", p.KUBE_EDIT, "DECCO-0671", path(POLICIES), made(POLICIES, {"podSelector": {}, "ingress": [{}]})
    )
    yield from create(
        "allows nobody",
        p.KUBE_EDIT,
        OK,
        path(POLICIES),
        made(POLICIES, {"podSelector": {}, "policyTypes": ["Ingress"]}),
    )
    egress = allows({"ipBlock": {"cidr": "0.0.0.0/0"}}, direction="egress")
    yield from create("opens egress of an open Space", p.KUBE_EDIT, OK, path(POLICIES), egress)
    # The namespace granted has no project, and limited egress.
    there = path(POLICIES, "granted")
    yield from create("allows another project", p.OWNER, "DECCO-0671", there, allows(namespaces(PROJECT, "widgets")))
    yield from create("allows no project", p.OWNER, "DECCO-0671", there, allows(namespaces(PROJECT, "")))
    yield from create("allows pods", p.OWNER, OK, there, allows(good))
    for what, peer in (PEERS_BAD[0], PEERS_BAD[2], PEERS_BAD[7]):
        yield from create(f"reaches {what}", p.OWNER, "DECCO-0672", there, allows(peer, direction="egress"))
    everywhere = made(POLICIES, {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]})
    yield from create("reaches everything", p.OWNER, "DECCO-0672", there, everywhere)
    yield from create("reaches pods", p.OWNER, OK, there, allows(good, direction="egress"))
    yield from create(
        "reaches its namespace", p.OWNER, OK, there, allows(namespaces(NAME, "granted"), direction="egress")
    )
    own = path(POLICIES, name="own")
    yield from edit("opens its policy", p.KUBE_EDIT, "DECCO-0671", own, {"spec": {"ingress": [{}]}})
    yield from edit("changes its policy", p.KUBE_EDIT, OK, own, {"spec": {"podSelector": {"matchLabels": {"a": "b"}}}})
    yield from edit(
        "labels an old policy", p.KUBE_EDIT, OK, path(POLICIES, name="old"), {"metadata": {"labels": {"a": "b"}}}
    )
    yield from create("allows all as exempt", p.EXEMPT, OK, path(POLICIES), allows(bad))
    yield from one("allows all as decco", p.CONTROLLER, OK, POLICIES, allows(bad))
    resource = "authorizationpolicies.security.istio.io"
    actions: tuple[tuple[Obj, str], ...] = (
        ({"action": "DENY", "rules": [{}]}, OK),
        ({"action": "AUDIT", "rules": [{}]}, OK),
        ({"action": "ALLOW", "rules": [{}]}, "DECCO-0673"),
        ({"rules": [{}]}, "DECCO-0673"),
        ({"action": "CUSTOM", "provider": {"name": "x"}}, "DECCO-0673"),
        ({}, "DECCO-0673"),
    )
    for spec, expect in actions:
        yield from one(
            f"authorises {spec.get('action', 'by default')}", p.OWNER, expect, resource, made(resource, spec)
        )


NETWORK_ATTEMPTS = flat(network())
