"""Objects of tenants in the namespace of a Space, as the tables use them.

evil1 has the FQDN evil1.evil.test and project widgets, and its namespace is recorded by an older decco; granted has the
names of ``standing.GRANTS``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.attacks import people as p
from tests.attacks.attempts import Attempt, Obj
from tests.attacks.third_parties import API_OF

UID = "11111111-2222-3333-4444-555555555555"
OWN, BELOW, BANK = "evil1.evil.test", "a.evil1.evil.test", "bank.victim.test"
EXTERNAL_DNS = "external-dns.alpha.kubernetes.io"
NGINX, HAPROXY, TRAEFIK = "nginx.ingress.kubernetes.io", "haproxy-ingress.github.io", "traefik.ingress.kubernetes.io"
SERVICES, INGRESSES, POLICIES = "services", "ingresses.networking.k8s.io", "networkpolicies.networking.k8s.io"


def path(resource: str, where: str = "evil1", name: str = "") -> str:
    """Of a resource that is written as in RBAC, at its first version."""
    plural = resource.partition(".")[0]
    api = API_OF[resource][0]
    prefix = "/apis/" if "/" in api else "/api/"
    return f"{prefix}{api}/namespaces/{where}/{plural}" + (f"/{name}" if name else "")


def made(resource: str, spec: Any = None, name: str = "n", meta: Obj | None = None, **more: Any) -> Obj:
    api, kind = API_OF[resource]
    found: Obj = {"apiVersion": api, "kind": kind, "metadata": {"name": name, **(meta or {})}, **more}
    return found if spec is None else {**found, "spec": spec}


def one(what: str, who: p.Person, expect: str, resource: str, obj: Obj, where: str = "evil1") -> Iterator[Attempt]:
    """By POST, for the many rows that differ in their object only."""
    yield Attempt(f"{what}: {resource}", who, expect, "create", path(resource, where), obj)


def ingress(host: str | None, **more: Any) -> Obj:
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    http = {"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    rule = http if host is None else {"host": host, **http}
    return made(INGRESSES, {"rules": [rule], **more})


def usual_port(protocol: str) -> int:
    return 443 if protocol in {"HTTPS", "TLS"} else 80


def listener(hostname: str | None, protocol: str = "HTTP", port: int = 0) -> Obj:
    found: Obj = {"name": "l", "port": port or usual_port(protocol), "protocol": protocol}
    if protocol in {"HTTPS", "TLS"}:
        found["tls"] = {"mode": "Terminate", "certificateRefs": [{"name": "c"}]}
    return found if hostname is None else {**found, "hostname": hostname}


PARENT: Obj = {"name": "edge", "namespace": "edge"}
GATEWAY = "gateways.gateway.networking.k8s.io"
ROUTE = "httproutes.gateway.networking.k8s.io"


def gateway(hostname: str | None, protocol: str = "HTTP", port: int = 0, **more: Any) -> Obj:
    return made(GATEWAY, {"gatewayClassName": "any", "listeners": [listener(hostname, protocol, port)], **more})


def listener_set(
    resource: str, hostname: str | None, protocol: str = "HTTP", port: int = 0, parent: Obj | None = None
) -> Obj:
    return made(
        resource,
        {"parentRef": PARENT if parent is None else parent, "listeners": [listener(hostname, protocol, port)]},
    )


def route(resource: str, hostname: str | None, parent: Obj | None = None) -> Obj:
    spec: Obj = {"parentRefs": [PARENT if parent is None else parent]}
    if resource != ROUTE and not resource.startswith("grpc"):
        spec["rules"] = [{"backendRefs": [{"name": "s", "port": 443}]}]
    return made(resource, spec if hostname is None else {**spec, "hostnames": [hostname]})


def rule(match: str, resource: str = "ingressroutes.traefik.io", **more: Any) -> Obj:
    return made(resource, {"routes": [{"match": match, "services": [{"name": "s", "port": 80}]}], **more})


def certificate(issuer: str = "ClusterIssuer", secret: str = "s", **names: Any) -> Obj:
    issuer_ref = {"name": "i", "kind": issuer, "group": "cert-manager.io"}
    return made("certificates.cert-manager.io", {"secretName": secret, "issuerRef": issuer_ref, **names})


def proxy(fqdn: str, **more: Any) -> Obj:
    return made("httpproxies.projectcontour.io", {"virtualhost": {"fqdn": fqdn}, **more})


VIRTUAL, ISTIO = "virtualservices.networking.istio.io", "gateways.networking.istio.io"


def servers(host: str, protocol: str = "HTTP", port: int = 0) -> Obj:
    at = {"number": port or usual_port(protocol), "protocol": protocol, "name": "p"}
    return made(ISTIO, {"servers": [{"port": at, "hosts": [host]}]})


def naming(host: str) -> list[tuple[str, Obj]]:
    """An object of each kind that names the host, and nothing else of note."""
    return [
        (INGRESSES, ingress(host)),
        (INGRESSES, ingress(OWN, tls=[{"hosts": [OWN, host], "secretName": "s"}])),
        (GATEWAY, gateway(host)),
        (GATEWAY, gateway(host, "TLS")),
        ("listenersets.gateway.networking.k8s.io", listener_set("listenersets.gateway.networking.k8s.io", host)),
        (
            "xlistenersets.gateway.networking.x-k8s.io",
            listener_set("xlistenersets.gateway.networking.x-k8s.io", host),
        ),
        *(
            (f"{kind}.gateway.networking.k8s.io", route(f"{kind}.gateway.networking.k8s.io", host))
            for kind in ("httproutes", "grpcroutes", "tlsroutes")
        ),
        (
            "dnsendpoints.externaldns.k8s.io",
            made(
                "dnsendpoints.externaldns.k8s.io",
                {"endpoints": [{"dnsName": host, "recordType": "A", "targets": ["192.0.2.1"]}]},
            ),
        ),
        ("certificates.cert-manager.io", certificate(dnsNames=[host])),
        ("certificates.cert-manager.io", certificate("Issuer", dnsNames=[OWN, host])),
        ("certificates.cert-manager.io", certificate(dnsNames=[OWN], commonName=host)),
        ("orders.acme.cert-manager.io", made("orders.acme.cert-manager.io", {"dnsNames": [host], "request": "Y3Ny"})),
        ("challenges.acme.cert-manager.io", made("challenges.acme.cert-manager.io", {"dnsName": host, "key": "k"})),
        ("ingressroutes.traefik.io", rule(f"Host(`{host}`)")),
        (
            "ingressroutes.traefik.io",
            rule(f"Host(`{OWN}`)", tls={"domains": [{"main": OWN, "sans": [host]}]}),
        ),
        ("ingressroutes.traefik.containo.us", rule(f"Host(`{host}`)", "ingressroutes.traefik.containo.us")),
        (
            "ingressroutetcps.traefik.io",
            rule(f"HostSNI(`{host}`)", "ingressroutetcps.traefik.io", tls={"passthrough": True}),
        ),
        (VIRTUAL, made(VIRTUAL, {"hosts": [host]})),
        (VIRTUAL, made(VIRTUAL, {"hosts": [OWN], "tls": [{"match": [{"sniHosts": [host]}]}]})),
        (ISTIO, servers(host)),
        (ISTIO, servers(f"*/{host}", "HTTPS")),
        ("serviceentries.networking.istio.io", made("serviceentries.networking.istio.io", {"hosts": [host]})),
        ("destinationrules.networking.istio.io", made("destinationrules.networking.istio.io", {"host": host})),
        ("httpproxies.projectcontour.io", proxy(host)),
    ]


SPEC: Obj = {"containers": [{"name": "c", "image": "x"}]}
SERVICE: Obj = {"ports": [{"port": 443}], "selector": {"a": "b"}}


def template(annotations: Obj | None = None, labels: Obj | None = None) -> Obj:
    return {"metadata": {"labels": {"a": "b", **(labels or {})}, "annotations": annotations or {}}, "spec": SPEC}
