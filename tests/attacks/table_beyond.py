"""The controller's token in other hands: what leads out of the namespace of a Space, written in it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.attacks import people as p
from tests.attacks import tenants as t
from tests.attacks.attempts import OK, Attempt, Obj, edit, merged
from tests.attacks.table_spaces import notes

C = p.CONTROLLER
BEYOND = "DECCO-0645"
SERVICES = "/api/v1/namespaces/bank/services"
SERVICE: Obj = {"metadata": {"name": "n"}, "spec": {"ports": [{"port": 443}], "selector": {"a": "b"}}}


def beyond() -> Iterator[Attempt]:
    """In the namespace of a Space, but not of it: decco is exempt from the policies on tenants' objects there."""
    for what, of in (
        ("an external IP", {"externalIPs": ["203.0.113.10"]}),
        ("type LoadBalancer", {"type": "LoadBalancer"}),
        ("an address of a load balancer", {"type": "LoadBalancer", "loadBalancerIP": "203.0.113.10"}),
        ("type NodePort", {"type": "NodePort"}),
        ("type ExternalName", {"type": "ExternalName", "externalName": "kubernetes.default.svc"}),
    ):
        service = merged(SERVICE, {"spec": of})
        yield Attempt(f"makes a Service with {what}", C, BEYOND, "create", SERVICES, service)
        standing = t.path(t.SERVICES, name="own")
        yield from edit(f"gives a Service {what}", C, BEYOND, standing, {"spec": of}, ways=("put",))
    yield from edit("keeps a Service's external IP", C, OK, t.path(t.SERVICES, name="old"), notes(a="b"), ways=("put",))
    for key, value, expect in (
        (f"{t.NGINX}/server-snippet", "x", BEYOND),
        (f"{t.NGINX}/configuration-snippet", "x", BEYOND),
        (f"{t.NGINX}/auth-url", "http://169.254.169.254/", BEYOND),
        (f"{t.HAPROXY}/config-backend", "x", BEYOND),
        (f"{t.HAPROXY}/tcp-service-port", "22", BEYOND),
        ("haproxy.org/backend-config-snippet", "x", BEYOND),
        (f"{t.NGINX}/rewrite-target", "/;} location /x {", BEYOND),
        (f"{t.NGINX}/rewrite-target", "/x/$1", OK),
        (f"{t.HAPROXY}/secure-sni", "bank.victim.test", OK),
    ):
        noted = merged(t.ingress("bank.victim.test"), notes(**{key: value}))
        yield from t.one(f"annotates {key} {value!r}", C, expect, t.INGRESSES, noted)
    broken = t.ingress("bank.victim.test")
    broken["spec"]["rules"][0]["http"]["paths"][0] |= {"path": "/;} x {", "pathType": "ImplementationSpecific"}
    yield from t.one("breaks out of a path", C, BEYOND, t.INGRESSES, broken)
    for what, more in (
        ("an address", {"addresses": [{"type": "IPAddress", "value": "203.0.113.10"}]}),
        (
            "parameters",
            {
                "infrastructure": {
                    "parametersRef": {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "p"}
                }
            },
        ),
    ):
        yield from t.one(f"makes a Gateway with {what}", C, BEYOND, t.GATEWAY, t.gateway(t.OWN, **more))
    yield from t.one("makes a Gateway", C, OK, t.GATEWAY, t.gateway(t.OWN))
    middleware = "middlewares.traefik.io"
    for more, expect in (
        ({"plugin": {"any": {"code": "x"}}}, BEYOND),
        ({"forwardAuth": {"address": "http://169.254.169.254/"}}, BEYOND),
        ({"redirectScheme": {"scheme": "https"}}, OK),
    ):
        yield from t.one(f"makes a Middleware {next(iter(more))}", C, expect, middleware, t.made(middleware, more))
    for resource, what, spec_, expect in BEYOND_ITS_KINDS:
        yield from t.one(f"makes one with {what}", C, expect, resource, t.made(resource, spec_))


SECURITY, TRAEFIK_TCP = "securitypolicies.gateway.envoyproxy.io", "ingressroutetcps.traefik.io"
CERTIFICATES, ALLOW = "certificates.cert-manager.io", "authorizationpolicies.security.istio.io"
BACKEND: Obj = {"name": "s", "port": 443}
JWKS = {"providers": [{"name": "j", "remoteJWKS": {"uri": "http://169.254.169.254/"}}]}


def sending(ref: Obj) -> Obj:
    return {"parentRefs": [{"name": "decco"}], "hostnames": [t.OWN], "rules": [{"backendRefs": [ref]}]}


def mirroring(ref: Obj) -> Obj:
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": ref}}
    return {"parentRefs": [{"name": "decco"}], "rules": [{"backendRefs": [BACKEND], "filters": [mirror]}]}


def reaching(**ref: str) -> Obj:
    return {"routes": [{"match": f"HostSNI(`{t.OWN}`)", "services": [{**BACKEND, **ref}]}]}


BEYOND_ITS_KINDS: tuple[tuple[str, str, Obj, str], ...] = (
    (SECURITY, "allowed clients", {"authorization": {"defaultAction": "Deny"}}, OK),
    (SECURITY, "keys at an address", {"jwt": JWKS}, BEYOND),
    (SECURITY, "a service that is asked", {"extAuth": {"http": {"backendRefs": [BACKEND]}}}, BEYOND),
    (SECURITY, "a provider of logins", {"oidc": {"provider": {"issuer": "http://169.254.169.254/"}}}, BEYOND),
    (t.ROUTE, "its Service", sending(BACKEND), OK),
    (t.ROUTE, "a Service of kube-system", sending({**BACKEND, "namespace": "kube-system"}), BEYOND),
    (
        t.ROUTE,
        "api@internal",
        sending({"group": "traefik.io", "kind": "TraefikService", "name": "api@internal"}),
        BEYOND,
    ),
    (t.ROUTE, "a copy to kube-system", mirroring({**BACKEND, "namespace": "kube-system"}), BEYOND),
    (
        "tlsroutes.gateway.networking.k8s.io",
        "a Service of kube-system",
        sending({**BACKEND, "namespace": "kube-system"}),
        BEYOND,
    ),
    (TRAEFIK_TCP, "its Service", reaching(), OK),
    (TRAEFIK_TCP, "a Service of kube-system", reaching(namespace="kube-system"), BEYOND),
    (CERTIFICATES, "its names", {"dnsNames": [t.OWN], "issuerRef": {"name": "i", "kind": "ClusterIssuer"}}, OK),
    (CERTIFICATES, "authority over others", {"dnsNames": [t.OWN], "isCA": True}, BEYOND),
    (CERTIFICATES, "an address", {"dnsNames": [t.OWN], "ipAddresses": ["192.0.2.1"]}, BEYOND),
    (CERTIFICATES, "an identity of a mesh", {"uris": ["spiffe://cluster.local/ns/bank/sa/default"]}, BEYOND),
    (CERTIFICATES, "a whole subject", {"literalSubject": "CN=system:masters"}, BEYOND),
    (ALLOW, "allowed clients", {"action": "ALLOW", "rules": [{}]}, OK),
    (ALLOW, "a provider that is asked", {"action": "CUSTOM", "provider": {"name": "x"}, "rules": [{}]}, BEYOND),
)
"""Kinds that it writes, with what it never writes there."""
